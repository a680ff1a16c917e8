"""Commands about the base: init, import, status, calibrate."""

from __future__ import annotations

import shlex
from datetime import datetime, timedelta
from pathlib import Path

import click
import pandas as pd

from crm_lab.cli.options import ShareType, as_date, gateway_option, opened
from crm_lab.cli.spoken import Command
from crm_lab.errors import FileError
from crm_lab.gateway import ImportReport
from crm_lab.language import message, say
from crm_lab.publishing import notebook_texts
from crm_lab.starter import create_workbench
from crm_lab.terminal import show, show_frame

YAML_ENDINGS = (".yml", ".yaml")


@click.command(cls=Command)
@click.argument("folder", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Make a new workbench in FOLDER with starter files."""
    next_week = as_date(datetime.now()) + timedelta(days=7)
    settings = create_workbench(folder, starts_on=next_week, notebooks=notebook_texts())
    click.echo(say("Workbench made in {folder}. Next:", folder=settings.folder))
    click.echo(f"  cd {folder}")
    look = say("look at crm-lab.yml and maps/orders.yml, put in your own names")
    click.echo(f"  {look}")
    click.echo("  crm-lab import maps/orders.yml YOUR-ORDERS.csv")


@click.command("import", cls=Command)
@click.argument("map_file", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
@gateway_option
def import_command(map_file: Path, file: Path, gateway: str | None) -> None:
    """Load FILE into the gateway as MAP_FILE describes it."""
    if file.suffix.lower() in YAML_ENDINGS and map_file.suffix.lower() not in YAML_ENDINGS:
        raise FileError(
            say("'{file}' is no map, and '{map}' looks like one", file=map_file, map=file),
            expected=say("the map first, then the file that it describes"),
            remedy=say(
                "turn them round: {command}",
                command=shlex.join(["crm-lab", "import", str(file), str(map_file)]),
            ),
        )
    show_import(opened(gateway).import_file(map_file, file, progress=True))


@click.command(cls=Command)
@gateway_option
def status(gateway: str | None) -> None:
    """Show what the workbench holds."""
    show(opened(gateway).status())


@click.command(cls=Command)
@click.option(
    "--from",
    "starts_on",
    type=click.DateTime(["%Y-%m-%d"]),
    help=message("First day; by default the window ends where the first control group was drawn."),
)
@click.option("--days", type=click.IntRange(1, 366), default=28, show_default=True)
@click.option("--pre-days", type=click.IntRange(0, 730), default=28, show_default=True)
@click.option(
    "--share", type=ShareType(), default="5%", show_default=True, help=message("Control share.")
)
@click.option("--draws", type=click.IntRange(10, 100_000), default=1_000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@gateway_option
def calibrate(
    starts_on: datetime | None,
    days: int,
    pre_days: int,
    share: float,
    draws: int,
    seed: int,
    gateway: str | None,
) -> None:
    """Test the tests: false positives on past weeks in which nothing was done."""
    found = opened(gateway).calibrate(
        starts_on=as_date(starts_on) if starts_on else None,
        days=days,
        pre_period_days=pre_days,
        control_share=share,
        draws=draws,
        seed=seed,
        progress=True,
    )
    show(found)
    for sentence in filter(None, (found.power_sentence(), found.coverage_sentence())):
        click.echo(sentence)


def show_import(report: ImportReport) -> None:
    """Print what an import did and the first rows that it set aside."""
    show(report)
    if report.first_rejected:
        show_frame(pd.DataFrame(report.first_rejected), title=say("The first records set aside"))
