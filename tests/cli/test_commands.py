"""The command: exit codes, one clear message for each bad input, and the whole way in one go."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path

import click
import pandas as pd
import pytest

from crm_lab.cli import TRACEBACK_VARIABLE, commands, run
from crm_lab.cli.experiment import read_effects, read_till
from crm_lab.cli.options import ShareType
from crm_lab.errors import FileError, ReportError
from crm_lab.gateway.store import Store
from crm_lab.publishing import fan_out
from crm_lab.publishing.subjects import with_experiment
from crm_lab.simulation.shops import Shop, till_file, write_shop
from crm_lab.workbench import Workbench, open_workbench
from tests.experiments import shop_workbench as sw

WorkbenchAt = Callable[[str], Workbench]
COMMAND = (sys.executable, "-m", "crm_lab")


@pytest.fixture(autouse=True)
def _in_the_test_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("CRM_LAB_HOME", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    with chdir(tmp_path):
        yield


def failing(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 1) -> str:
    """Run a command that must fail, and give what it said; never a traceback."""
    capsys.readouterr()
    assert run(arguments) == code
    told = capsys.readouterr().err
    assert sum(line.startswith("Error: ") for line in told.splitlines()) == 1
    assert "Traceback" not in told
    return told


def done(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must work, and give what it printed, on one line."""
    capsys.readouterr()
    code = run(arguments)
    told = capsys.readouterr()
    assert code == 0, told.err
    return " ".join(told.out.split())


def every_command(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from every_command(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", every_command(commands), ids=" ".join)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_explains_itself(
    capsys: pytest.CaptureFixture[str], path: tuple[str, ...], flag: str
) -> None:
    text = done(capsys, *path, flag)
    assert text.startswith(" ".join(("Usage: crm-lab", *path)))
    assert "-h, --help" in text
    assert len(text) > 80


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("experiment", "nonsense"),
        ("import",),
        ("experiment", "analyze"),
        ("experiment", "analyze", "x", "--seed", "many"),
        ("control-group", "draw", "--share", "105%"),
        ("control-group", "draw", "--share", "some"),
        ("control-group", "draw", "--as-of", "01.05.2024"),
        ("calibrate", "--from", "2024-02-30"),
        ("calibrate", "--from", "2024-02-01", "--draws", "1"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert "Usage: crm-lab" in failing(capsys, *arguments, code=2)


def test_the_whole_way_from_an_empty_folder_to_the_result(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, shop: Shop
) -> None:
    assert "Workbench made in" in done(capsys, "init", "my-shop")
    folder = tmp_path / "my-shop"
    for starter in (folder / "maps").iterdir():
        starter.unlink()
    sw.write_settings(folder)
    sw.write_experiment(folder)
    with chdir(folder):
        for map_path, file in write_shop(shop.until(sw.STARTS_AT), folder):
            text = done(capsys, "import", str(map_path.relative_to(folder)), str(file))
            assert "0 set aside" in text
            assert "had been loaded before" in done(capsys, "import", str(map_path), str(file))
        assert f"{sw.CUSTOMERS:,} customers" in done(capsys, "status")
        drawn = done(
            capsys, "control-group", "draw", "--share", "20%", "--yes", "--as-of", "2024-04-15"
        )
        assert "receive no marketing" in drawn
        assert "What this control group would see" in drawn
        assert "ledger and files are sound" in done(capsys, "control-group", "status")
        assert "No objection" in done(
            capsys, "experiment", "plan", sw.NAME, "--as-of", "2024-04-30"
        )
        assert sw.NAME in done(capsys, "experiment", "list").split()
        assert "strong" in done(capsys, "experiment", "assign", sw.NAME, "--as-of", "2024-04-30")
        exported = done(capsys, "experiment", "export", sw.NAME, "--as-of", "2024-05-01")
        assert "addresses in 2 files; 0 of" in exported
        assert len(list((folder / "lists" / sw.NAME).glob("*.csv"))) == 2
        later = shop.orders[
            (shop.orders["ordered_at"] >= sw.STARTS_AT) & ~shop.orders["is_planted"]
        ]
        till_file(later).to_csv("till.csv", index=False)
        loopback = ("experiment", "loopback", sw.NAME, "till.csv", "back", "--effect", "strong=0.5")
        assert "not real" in done(capsys, *loopback)
        assert "0 set aside" in done(capsys, "experiment", "ingest", sw.NAME, "back")
        result = done(capsys, "experiment", "analyze", sw.NAME)
        assert "Ship. " in result
        assert "Can it be trusted?" in result
        assert "Ledger and files are sound" in done(capsys, "control-group", "verify")
        calibrated = done(
            capsys, "calibrate", "--from", "2024-03-01", "--draws", "20", "--share", "20%"
        )
        assert "20 draws of a control group of 20.0 %" in calibrated


def test_a_question_answered_with_no_changes_nothing(
    capsys: pytest.CaptureFixture[str], workbench_at: WorkbenchAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    workbench = workbench_at("loaded")
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: "n")
    with chdir(workbench.settings.folder):
        assert run(["control-group", "draw"]) == 1
    assert "nothing more was changed" in capsys.readouterr().err
    assert workbench.gateway.entries() == []


def test_outside_a_workbench_the_way_in_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert "crm-lab init" in failing(capsys, "status")


@pytest.mark.parametrize(
    "arguments",
    [
        ("control-group", "status"),
        ("control-group", "draw", "--yes"),
        ("control-group", "verify"),
        ("experiment", "plan", sw.NAME),
        ("experiment", "assign", sw.NAME),
        ("experiment", "export", sw.NAME),
        ("experiment", "analyze", sw.NAME),
        ("calibrate", "--from", "2024-01-01"),
        ("report", "run", "customer_base"),
    ],
)
def test_before_the_first_import_every_command_says_what_to_do(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    sw.write_experiment(sw.write_settings(tmp_path))
    assert "crm-lab import MAP FILE" in failing(capsys, *arguments)


def test_an_empty_workbench_says_how_to_begin(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sw.write_settings(tmp_path)
    assert "nothing is loaded yet; begin with: crm-lab import MAP FILE" in done(capsys, "status")


def test_a_workbench_is_not_made_twice(capsys: pytest.CaptureFixture[str]) -> None:
    done(capsys, "init", "shop")
    assert "is a workbench already" in failing(capsys, "init", "shop")


@pytest.mark.parametrize("name", ["shop", "2024", "a: b", 'it"s', "магазин"])
def test_a_new_workbench_is_right_whatever_its_folder_is_called(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    done(capsys, "init", name)
    workbench = open_workbench(name)
    assert workbench.settings.company == name
    assert workbench.control_group().spec.salt
    for experiment in workbench.experiments():
        assert workbench.experiment(experiment).spec.name == experiment


def test_a_workbench_where_a_file_lies_is_one_clear_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("x")
    assert "taken: " in failing(capsys, "init", "taken")


ORDERS_MAP = """\
table: orders
source_system: till
files: "orders*.csv"
create_customers: true
columns: {order_id: id, customer_id: who, ordered_at: at, net_revenue: total}
"""
GOOD_ORDERS = "id,who,at,total\n1,a,2024-01-01,5.00\n2,b,2024-01-02,6.00\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "does not exist"),
        ("", "empty"),
        ("id,who,at,total\n", ""),
        ("id,who,at\n1,a,2024-01-01\n", "total"),
        ("id,who,at,total\n1,a,soon,5.00\n2,b,later,6.00\n", "not a date in a declared format"),
        (GOOD_ORDERS + "1,c,2024-01-03,7.00\n", "the same key stands in an earlier record"),
        ("id,who,at,total\n1,17.0,2024-01-01,5.00\n", "looks like a number"),
        ("id,who,at,total\n1,a,2024-01-01,much\n", "not an amount"),
    ],
)
def test_a_bad_file_is_refused_whole(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str | None, told: str
) -> None:
    sw.write_settings(tmp_path)
    (tmp_path / "maps" / "orders.yml").write_text(ORDERS_MAP)
    if content is not None:
        (tmp_path / "orders.csv").write_text(content)
    assert told in failing(capsys, "import", "maps/orders.yml", "orders.csv")
    workbench = open_workbench(tmp_path)
    if workbench.settings.gateway_folder.is_dir():
        assert workbench.snapshot().snapshot_id == 0


def test_a_missing_map_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    sw.write_settings(tmp_path)
    (tmp_path / "orders.csv").write_text(GOOD_ORDERS)
    assert "maps/none.yml" in failing(capsys, "import", "maps/none.yml", "orders.csv")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("share: 0.5, message: weak-1", "share: 0.7, message: weak-1", "above 100 %"),
        ("ends_on: 2024-05-28", "ends_on: 2024-04-01", "before the start"),
        ("ends_on: 2024-05-28", "ends_on: 2024-02-31", "line 6: a date that does not exist"),
        ("owner: CRM team", "owner: CRM team\nowner: X", "duplicate key"),
        ("owner: CRM team", "owner: CRM team\nbudget: 5", "unknown key 'budget'"),
    ],
)
def test_a_bad_experiment_is_refused_by_every_command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, old: str, new: str, told: str
) -> None:
    path = sw.write_experiment(sw.write_settings(tmp_path))
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), "utf-8")
    for step in ("plan", "assign", "export", "analyze"):
        message = failing(capsys, "experiment", step, sw.NAME)
        assert told in message
        assert str(path) in message


@pytest.mark.parametrize("name", ["unknown", "../spring-mailing", "/etc/passwd"])
def test_an_unknown_experiment_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    sw.write_experiment(sw.write_settings(tmp_path))
    for step in ("plan", "assign", "export", "analyze"):
        failing(capsys, "experiment", step, name)


def test_every_fault_has_its_own_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = sw.write_experiment(sw.write_settings(tmp_path))
    path.write_text(path.read_text("utf-8") + "one: 1\ntwo: 2\n", "utf-8")
    assert run(["experiment", "plan", sw.NAME]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith("Error: ") for line in lines] == [True, True]


def test_a_share_other_than_the_files_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sw.write_settings(tmp_path)
    told = failing(capsys, "control-group", "draw", "--share", "7%", "--yes")
    assert "--share 0.07 is not the share" in told


def test_an_altered_ledger_is_an_error(
    capsys: pytest.CaptureFixture[str], workbench_at: WorkbenchAt
) -> None:
    workbench = workbench_at("drawn")
    (file,) = (workbench.settings.gateway_folder / "facts" / "assignment").glob("*.parquet")
    pd.read_parquet(file).assign(variant="treatment").to_parquet(file)
    with chdir(workbench.settings.folder):
        told = failing(capsys, "control-group", "verify")
    assert "was altered or is missing" in told


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "run", "campaign_experiment", "-p", "colour", "red"),
        ("report", "run", "no_such_report"),
        ("report", "params", "no_such_report"),
        ("report", "run", "missing.ipynb"),
    ],
)
def test_an_unknown_report_or_parameter_is_refused_before_the_run(
    capsys: pytest.CaptureFixture[str], workbench_at: WorkbenchAt, arguments: tuple[str, ...]
) -> None:
    workbench = workbench_at("loaded")
    with chdir(workbench.settings.folder):
        failing(capsys, *arguments)
    assert not workbench.settings.reports_folder.exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-p", "experiment", "sprin-mailing"), f"did you mean '{sw.NAME}'?"),
        (("--each", "experiment=sprin-mailing"), f"did you mean '{sw.NAME}'?"),
        ((), f"none is named. Expected: {sw.NAME}. To do: name it: -p experiment NAME"),
    ],
)
def test_a_report_about_an_experiment_that_is_none_is_refused_before_the_run(
    capsys: pytest.CaptureFixture[str],
    workbench_at: WorkbenchAt,
    arguments: tuple[str, ...],
    told: str,
) -> None:
    workbench = workbench_at("drawn")
    with chdir(workbench.settings.folder):
        assert told in failing(capsys, "report", "run", "campaign_experiment", *arguments)
    assert not workbench.settings.reports_folder.exists()


def test_a_report_takes_the_only_experiment_and_asks_where_there_are_two(
    workbench_at: WorkbenchAt,
) -> None:
    workbench = workbench_at("assigned")
    filled = with_experiment(workbench, "campaign_experiment", {})
    assert filled == {"experiment": sw.NAME}
    (only,) = fan_out(workbench, "campaign_experiment", {}, each={"experiment": ["all"]})
    assert only.parameters["experiment"] == sw.NAME
    assert with_experiment(workbench, "customer_base", {}) == {}
    assert with_experiment(workbench, "funnel", {}) == {}
    sw.write_experiment(workbench.settings.folder, "another")
    workbench.experiment("another").assign(as_of=sw.ASSIGNED_AT)
    with pytest.raises(ReportError, match=f"Expected: another, {sw.NAME}"):
        with_experiment(workbench, "campaign_experiment", {})
    sw.write_experiment(workbench.settings.folder, "november-mailing")
    assert with_experiment(workbench, "campaign_experiment", {}) == {}


@pytest.mark.parametrize("shown", [False, True])
def test_an_unforeseen_error_is_owned_in_one_line(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shown: bool,
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ImportError("no module named 'nowhere'")

    sw.write_settings(tmp_path)
    monkeypatch.setattr("crm_lab.cli.workbench.opened", broken)
    monkeypatch.setenv(TRACEBACK_VARIABLE, "1" if shown else "")
    assert run(["status"]) == 1
    *before, last = capsys.readouterr().err.splitlines()
    assert last == (
        "Error: ImportError: no module named 'nowhere'. This is a fault of crm-lab, not of your"
        " files. To see where: CRM_LAB_TRACEBACK=1 before the command."
    )
    assert bool(before) == shown
    assert not shown or before[0].startswith("Traceback")


def test_an_interruption_is_still_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    sw.write_settings(tmp_path)
    monkeypatch.setattr("crm_lab.cli.workbench.opened", interrupted)
    assert run(["status"]) == 1
    assert capsys.readouterr().err.strip() == "Stopped; nothing more was changed."


def test_a_map_after_its_file_is_noticed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sw.write_settings(tmp_path)
    told = failing(capsys, "import", "заказы.xlsx", "maps/orders.yml")
    assert "the map first" in told
    assert "crm-lab import maps/orders.yml 'заказы.xlsx'" in told


def test_the_registry_lists_what_needs_a_look(
    capsys: pytest.CaptureFixture[str], workbench_at: WorkbenchAt
) -> None:
    with chdir(workbench_at("exported").settings.folder):
        told = done(capsys, "experiment", "status", "--as-of", "2024-05-02")
    assert f"to look at: {sw.NAME} was sent while its status is 'draft'." in told


def test_the_page_of_a_run_is_printed_on_a_line_of_its_own(
    capsys: pytest.CaptureFixture[str],
    workbench_at: WorkbenchAt,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from crm_lab.reports.run_results import RunRecord

    page = tmp_path / ("a-long-folder-name-" * 8) / "report.html"
    record = RunRecord(
        run_id="20240501-1",
        kind="customer_base",
        report_title="Base",
        status="ok",
        folder=page.parent,
        html=page,
        duration_seconds=1,
    )
    monkeypatch.setattr("crm_lab.cli.report.run_request", lambda *given, **options: record)
    monkeypatch.setenv("COLUMNS", "80")
    with chdir(workbench_at("loaded").settings.folder):
        assert run(["report", "run", "customer_base"]) == 0
    assert str(page) in capsys.readouterr().out.splitlines()


def test_the_demonstration_refuses_a_workbench_that_is_none(
    capsys: pytest.CaptureFixture[str], workbench_at: WorkbenchAt
) -> None:
    workbench = workbench_at("drawn")
    before = sw.state(workbench)
    with chdir(workbench.settings.folder):
        assert "is not a demonstration" in failing(capsys, "demo")
    assert sw.state(workbench) == before


@pytest.mark.parametrize(
    ("effects", "told"),
    [
        (("strong",), "not of the form ARM=SHARE"),
        (("strong=much",), "not of the form ARM=SHARE"),
        (("strong=0.1", "strong=0.2"), "named twice"),
    ],
)
def test_a_wrong_effect_is_wrong_usage(effects: tuple[str, ...], told: str) -> None:
    with pytest.raises(click.BadParameter, match=told):
        read_effects(effects)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "the file does not exist"),
        ("", "not a CSV file in UTF-8"),
        ("order_id,customer_id\n1,2\n", "the columns discount, ordered_at, store, total are"),
        ("{head}1,a,s,soon,5.00,0.00\n", "'soon' in the column 'ordered_at'"),
        ("{head}1,a,s,2024-05-01 10:00:00,5.005,0\n", "'5.005' in the column 'total'"),
        ("{head}1,a,s,2024-05-01 10:00:00,,0\n", "'' in the column 'total'"),
        ("{head}1,a,s,2024-05-01 10:00:00,nan,0\n", "'nan' in the column 'total'"),
        ("{head}1,a,s,2024-05-01 10:00:00,5,x\n", "'x' in the column 'discount'"),
    ],
)
def test_a_wrong_till_file_is_refused(tmp_path: Path, content: str | None, told: str) -> None:
    path = tmp_path / "till.csv"
    if content is not None:
        head = "order_id,customer_id,store,ordered_at,total,discount\n"
        path.write_text(content.replace("{head}", head), "utf-8")
    with pytest.raises(FileError, match=told):
        read_till(path)


def test_a_till_file_is_read_to_the_cent(tmp_path: Path, shop: Shop) -> None:
    till_file(shop.orders).to_csv(tmp_path / "till.csv", index=False)
    found = read_till(tmp_path / "till.csv")
    assert (found["amount_cents"].to_numpy() == shop.orders["amount_cents"].to_numpy()).all()
    assert (found["ordered_at"].to_numpy() == shop.orders["ordered_at"].to_numpy()).all()


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("0.05", 0.05), ("5,5 %", 0.055)])
def test_a_share_may_be_written_in_two_ways(text: str, share: float) -> None:
    assert ShareType().convert(text, None, None) == pytest.approx(share)


# --- real processes -----------------------------------------------------------------------------


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name != "CRM_LAB_HOME"}
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def test_a_real_process_ends_with_its_exit_code(tmp_path: Path) -> None:
    process = start(tmp_path, "status")
    out, told = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert told.startswith("Error: ")
    assert len(told.splitlines()) == 1


def test_an_import_while_another_process_writes_is_told_who(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("loaded")
    folder = workbench.settings.folder
    file = folder / "incoming" / "orders_more.csv"
    pd.read_csv(folder / "incoming" / "orders.csv", dtype=str).head(5).to_csv(file, index=False)
    before = sw.state(workbench)
    store = Store.open(workbench.settings.gateway_folder)
    with store.write_lock("importing something else"):
        process = start(folder, "import", "maps/orders.yml", str(file))
        _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert told.count("Error: ") == 1
    assert "importing something else" in told
    assert sw.state(workbench) == before


def test_of_two_processes_that_draw_at_once_one_wins(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("loaded")
    draw = ("control-group", "draw", "--yes", "--as-of", "2024-04-15")
    processes = [start(workbench.settings.folder, *draw) for _ in range(2)]
    told = [process.communicate(timeout=120)[1] for process in processes]
    codes = sorted(process.returncode for process in processes)
    assert codes in ([0, 0], [0, 1])
    assert all("Traceback" not in text for text in told)
    assert sum(text.count("Error: ") for text in told) == codes.count(1)
    assert len(workbench.gateway.entries(kind="epoch_opened")) == 1
    assert len(workbench.gateway.entries(kind="members_drawn")) == 1
    drawn = open_workbench(sw.STAGES["drawn"]())
    assert sw.assignment(workbench) == sw.assignment(drawn)
