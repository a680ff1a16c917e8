"""The main job from end to end, on real data that packages carry, step by step.

Each step is a command that anybody could type; the demonstration types them. Three bases are used:
a grocery chain (Complete Journey) for the control group and a campaign whose effects are planted
and known, a music shop (CDNOW) for lifetime value and for the A/A calibration, and an invented
online school for forms, deals and who comes back.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape

from crm_lab import datasets
from crm_lab.errors import CrmLabError, SettingsError
from crm_lab.language import say, say_many
from crm_lab.settings import SETTINGS_FILE, load_settings
from crm_lab.simulation.school import make_school, with_campaign, write_school
from crm_lab.starter import DELIVERIES_MAP
from crm_lab.workbench import open_workbench

CAMPAIGN = "november-mailing"
STARTS_ON = date(2017, 11, 1)
ENDS_ON = date(2017, 11, 28)
TODAY = "2017-11-01"
MID_MONTH, DAY_AFTER = "2017-11-16", "2017-11-29"
JOURNEY_GATEWAY = "data/gateway"
CDNOW = "cdnow"
CDNOW_GATEWAY = "data/cdnow"
SHOP = "data/shop"
SCHOOL, SCHOOL_GATEWAY, REACTIVATION = "school", "data/school", "reactivation"
SCHOOL_STARTS_ON, SCHOOL_ENDS_ON = date(2026, 8, 3), date(2026, 8, 30)
SCHOOL_PEOPLE, SCHOOL_DAYS, SCHOOL_SEED = 6_000, 241, 7
SCHOOL_EFFECTS = {"chat": 0.06, "letter": 0.0}
SCHOOL_CHANNELS = {"chat": "messenger", "letter": "email"}
EFFECTS = {"reminder": 0.4, "newsletter": 0.02}
"""Planted: the first can be seen with a base of this size, the second cannot."""

Run = Callable[[Sequence[str]], int]


class StepFailedError(CrmLabError):
    """A step of the demonstration did not end well."""


def run_demo(run: Run, *, console: Console | None = None) -> None:
    """Run every step in the workbench around the current folder.

    Parameters
    ----------
    run : callable
        Runs one command of ``crm-lab`` and gives its exit code.
    console : rich.console.Console, optional
        Where steps are announced.

    Raises
    ------
    SettingsError
        The workbench is not a demonstration.
    StepFailedError
        A step failed; its own message stands above.
    """
    out = console or Console()
    head = say("Head of CRM")
    settings = load_settings()
    if not settings.declared.is_demonstration:
        raise SettingsError(
            say(
                "this workbench is not a demonstration, and the demonstration erases what it finds"
            ),
            where=str(settings.folder / SETTINGS_FILE),
            remedy=say(
                "run it in the checkout of crm-lab, or set is_demonstration: true in a folder"
                " made for it"
            ),
        )
    for name in (
        JOURNEY_GATEWAY,
        CDNOW_GATEWAY,
        SCHOOL_GATEWAY,
        SHOP,
        f"lists/{CAMPAIGN}",
        f"results/{CAMPAIGN}",
    ):
        shutil.rmtree(settings.folder / name, ignore_errors=True)
    out.rule(f"1  {say('Two companies deliver their files')}")
    shop, music = settings.folder / SHOP, settings.folder / SHOP / "cdnow"
    journey = datasets.load_complete_journey()
    pairs = datasets.write_complete_journey(shop, journey, until=pd.Timestamp(STARTS_ON))
    (shop / "maps" / "deliveries.yml").write_text(DELIVERIES_MAP, "utf-8")
    out.print(
        say_many(
            "{count} file of a grocery chain and its map in {folder}",
            "{count} files of a grocery chain and their maps in {folder}",
            len(pairs),
            folder=SHOP,
        )
    )
    out.print(say(datasets.JOURNEY_CAVEAT))
    out.print(say(datasets.INVENTED_ADDRESSES))
    music_pairs = datasets.write_cdnow(music)

    def step(*arguments: str) -> None:
        out.print(f"\n[bold cyan]$ crm-lab {' '.join(arguments)}[/bold cyan]")
        if run(arguments) != 0:
            raise StepFailedError(
                say("this step failed: {command}", command=f"crm-lab {' '.join(arguments)}")
            )

    def short(path: Path) -> str:
        return (
            path.relative_to(Path.cwd()).as_posix()
            if path.is_relative_to(Path.cwd())
            else str(path)
        )

    out.rule(f"2  {say('Load')}")
    for map_path, file in pairs:
        step("import", short(map_path), short(file))
    for map_path, file in music_pairs:
        step("import", short(map_path), short(file), "--gateway", CDNOW)
    out.rule(f"3  {say('Hold out 5 %')}")
    step("control-group", "draw", "--share", "5%", "--yes", "--as-of", TODAY)
    out.rule(f"4  {say('Plan, assign, export')}")
    step("experiment", "plan", CAMPAIGN, "--as-of", TODAY)
    step("experiment", "register", CAMPAIGN, "--by", head, "--as-of", TODAY)
    step("experiment", "assign", CAMPAIGN, "--as-of", TODAY)
    step("experiment", "export", CAMPAIGN, "--as-of", TODAY)
    running = ("--to", "running", "--by", say("CRM team"), "--as-of", TODAY)
    step("experiment", "status", CAMPAIGN, *running)
    out.rule(f"5  {say('Four weeks later: the sending service and the till deliver')}")
    till = journey.orders()
    till = till[
        (till["ordered_at"] >= pd.Timestamp(STARTS_ON))
        & (till["ordered_at"] < pd.Timestamp(ENDS_ON) + pd.Timedelta(days=1))
    ]
    _, till_file = datasets.write_orders(shop, till, name="till_november")
    effects = [part for arm, size in EFFECTS.items() for part in ("--effect", f"{arm}={size}")]
    results = f"results/{CAMPAIGN}"
    step("experiment", "loopback", CAMPAIGN, short(till_file), results, *effects)
    step("experiment", "ingest", CAMPAIGN, results)
    out.rule(f"6  {say('Read')}")
    step("experiment", "analyze", CAMPAIGN)
    decided = ("--by", head, "--note", say("reminder only; look again in February"))
    step("experiment", "decide", CAMPAIGN, "ship", *decided, "--as-of", DAY_AFTER)
    step("plan", "pacing", "--as-of", MID_MONTH)
    revised = ("--reason", say("the reminder works, the newsletter does not"), "--by", head)
    step(
        *("plan", "revise", "--item", "second-wave.recipients"),
        "--to",
        "2000",
        *revised,
        "--as-of",
        MID_MONTH,
    )
    out.rule(f"7  {say('An online school, invented, with its forms and deals')}")
    _school(settings.folder / SHOP / SCHOOL, step, short)
    out.rule(f"8  {say('Publish')}")
    step("report", "run", "customer_base")
    step("report", "run", "control_group")
    for name, size in ((say("a shop of 3,000"), "3000"), (say("a base of a million"), "1000000")):
        title = ("--title", say("Experiment design: {base}", base=name))
        step("report", "run", "experiment_design", *title, "-p", "example_customers", size)
    step(
        "report",
        "run",
        "aa_calibration",
        "--title",
        say("A/A calibration: {base}", base="Complete Journey"),
    )
    music_window = ("-p", "starts_on", "1997-07-01", "-p", "pre_period_days", "91")
    music_title = ("--title", say("A/A calibration: {base}", base="CDNOW"))
    step("report", "run", "aa_calibration", "--gateway", CDNOW, *music_title, *music_window)
    title = ("--title", say("Two mailings in November (effects planted)"))
    step("report", "run", "campaign_experiment", *title, "-p", "experiment", CAMPAIGN)
    step("report", "run", "uplift_targeting", "-p", "experiment", CAMPAIGN)
    step("report", "run", "crm_effect", "-p", "margin_share", "0.25")
    step("report", "run", "mechanics_league")
    step("report", "run", "month_pacing", "-p", "as_of", MID_MONTH)
    step("report", "run", "ltv_forecast", "--gateway", CDNOW, "-p", "calibration_end", "1997-09-30")
    title = ("--title", say("From the first form to a deal (invented school)"))
    step("report", "run", "funnel", "--gateway", SCHOOL, *title, "-p", "experiment", REACTIVATION)
    index = settings.reports_folder / "index.html"
    out.rule(say("Done"))
    out.print(
        say("Open {path} in a browser.", path=f"[bold]{escape(str(index))}[/bold]"), soft_wrap=True
    )


def _school(folder: Path, step: Callable[..., None], short: Callable[[Path], str]) -> None:
    """Load the school's files, draw its campaign, and load what came of it."""
    workbench = open_workbench(gateway=SCHOOL)
    start = workbench.day_start(SCHOOL_STARTS_ON)
    end = workbench.day_start(SCHOOL_ENDS_ON + timedelta(days=1))
    school = make_school(SCHOOL_PEOPLE, rng=np.random.default_rng(SCHOOL_SEED), days=SCHOOL_DAYS)
    for map_path, file in write_school(school.until(start), folder):
        step("import", short(map_path), short(file), "--gateway", SCHOOL)
    drawn = ("--gateway", SCHOOL, "--as-of", SCHOOL_STARTS_ON.isoformat())
    step("control-group", "draw", "--yes", *drawn)
    step("experiment", "assign", REACTIVATION, *drawn)
    members = open_workbench(gateway=SCHOOL).funnels().members(REACTIVATION)
    after = with_campaign(
        school,
        dict(zip(members["customer_id"], members["variant"], strict=True)),
        effects=SCHOOL_EFFECTS,
        channels=SCHOOL_CHANNELS,
        starts_at=start,
        ends_at=end,
        rng=np.random.default_rng(SCHOOL_SEED + 1),
    )
    for map_path, file in write_school(after, folder, name="_later"):
        step("import", short(map_path), short(file), "--gateway", SCHOOL)
