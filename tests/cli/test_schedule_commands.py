"""The commands of the schedule: exit codes, messages, and one real night from file to page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import chdir
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import nbformat
import pytest

from crm_lab.cli import commands, run
from crm_lab.cli.schedule import schedule
from crm_lab.schedule.__main__ import main as run_due_alone
from crm_lab.schedule.keeper import ScheduleKeeper
from crm_lab.schedule.state import EntryState, ItemRecord
from crm_lab.settings import load_settings
from crm_lab.workbench import open_workbench

MAP = """\
table: orders
source_system: till
files: "orders*.csv"
date_formats: ["%Y-%m-%d"]
create_customers: true
columns: {order_id: id, customer_id: customer, ordered_at: day, net_revenue: total}
"""
PARAMETERS = (
    "from datetime import date\n"
    'shop: str = "all"  # which shop\n'
    'as_of: date = "2026-01-01"  # last day\n'
    "is_wrong: bool = False  # whether it fails"
)
CODE = 'if is_wrong:\n    raise ValueError("ann@example.com owes 5")\nprint(shop, as_of)'


@pytest.fixture(autouse=True)
def _in_a_workbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("CRM_LAB_HOME", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    if "schedule" not in commands.commands:
        monkeypatch.setitem(commands.commands, "schedule", schedule)
    (tmp_path / "crm-lab.yml").write_text("company: Shop\n", "utf-8")
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    parameters = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    cells = [nbformat.v4.new_markdown_cell("# Shops"), parameters, nbformat.v4.new_code_cell(CODE)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    (notebooks / "01_shops.ipynb").write_text(nbformat.writes(notebook), "utf-8")
    with chdir(tmp_path):
        yield


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    capsys.readouterr()
    code = run(["schedule", *arguments])
    told = capsys.readouterr()
    assert "Traceback" not in told.err
    return code, " ".join((told.out + told.err).split())


def write(text: str) -> None:
    Path("schedule.yml").write_text(text, "utf-8")


def with_orders() -> None:
    Path("orders.csv").write_text("id,customer,day,total\n1,c1,2026-01-05,10\n", "utf-8")
    Path("map.yml").write_text(MAP, "utf-8")
    open_workbench().import_file("map.yml", "orders.csv")


def begun(*names: str) -> None:
    """Let the entries begin three hours ago."""
    folder = ScheduleKeeper(settings=load_settings()).folder
    for name in names:
        folder.write(EntryState(entry=name, since=datetime.now(UTC) - timedelta(hours=3)))


def test_a_first_schedule_is_written_once(capsys):
    code, said = call(capsys, "list")
    assert (code, "crm-lab schedule init" in said) == (1, True)
    assert call(capsys, "init")[0] == 0
    assert call(capsys, "list")[0] == 0
    code, said = call(capsys, "init")
    assert (code, "there is a schedule already" in said) == (1, True)


def test_check_holds_the_file_against_the_notebooks_with_every_fault_at_once(capsys):
    write(
        "entries:\n"
        "  a: {report: shops, cron: '0 6 * * *', parameters: {shopp: x, as_of: 5}}\n"
        "  b: {report: nothing, cron: '0 6 * * *'}\n"
        "  c: {report: shops, cron: '0 6 * * *', each: {is_wrong: [true, maybe]}}\n"
    )
    code, said = call(capsys, "check")
    assert code == 1
    for line, key, problem in (
        (2, "entries.a.parameters", "unknown parameter 'shopp'"),
        (2, "entries.a.parameters", "parameter as_of cannot be 5"),
        (3, "entries.b.report", "0 report notebooks fit 'nothing'"),
        (4, "entries.c.each", "parameter is_wrong cannot be 'maybe'"),
    ):
        assert f"line {line}, key '{key}': {problem}" in said
    write("entries: {a: {report: shops, cron: '0 6 * * *', parameters: {as_of: '{yesterday}'}}}")
    code, said = call(capsys, "check")
    assert code == 0
    assert len(re.findall(r"\d{4}-\d\d-\d\d 06:00 │", said)) == 5


def test_the_next_runs_of_all_entries_stand_in_order(capsys):
    write(
        "entries:\n  a: {report: shops, cron: '0 6 * * *', timezone: Asia/Tokyo}\n"
        "  b: {report: shops, cron: '0 6 * * *'}\n"
    )
    code, said = call(capsys, "next", "-n", "4")
    assert code == 0
    assert re.findall(r"\) ([ab])\b", said) in (["a", "b", "a", "b"], ["b", "a", "b", "a"])
    assert "06:00 (Asia/Tokyo) a" in said


def test_a_night_from_the_file_to_the_pages(capsys):
    with_orders()
    write(
        """\
habits: {timeout: 5m}
entries:
  shops:
    report: shops
    cron: "0 * * * *"
    parameters: {as_of: "{last_month_end}"}
    each: {shop: ["Рим 'x'"]}
  wrong: {report: shops, cron: "0 * * * *", parameters: {is_wrong: true}, title: Wrong}
  blocked: {report: shops, after: [wrong]}
alerts: [{file: told.txt}]
"""
    )
    begun("shops", "wrong", "blocked")
    code, said = call(capsys, "due")
    assert (code, said.count("made up for"), said.count("has not ended yet")) == (0, 2, 1)
    code, said = call(capsys, "run-due")
    assert code == 3, said
    code, said = call(capsys, "status", "--check")
    assert code == 3
    assert "not well: wrong, blocked" in said
    assert "an error in the notebook (ValueError)" in said
    runs = sorted(path.parent for path in Path("reports/runs").glob("*/*/manifest.json"))
    assert len(runs) == 2
    text = "".join((run / "manifest.json").read_text("utf-8") for run in runs)
    assert "Shops: Рим 'x'" in text
    written = Path("told.txt").read_text("utf-8")
    written += Path("data/schedule/log.jsonl").read_text("utf-8")
    written += "".join(p.read_text("utf-8") for p in Path("data/schedule/entries").glob("*"))
    assert "Shop: 'wrong' failed" in written
    assert "ann@example.com" not in written
    assert call(capsys, "run-due") == (0, "")
    code, said = call(capsys, "run", "shops")
    assert (code, "shops, " in said) == (0, True)
    code, said = call(capsys, "history", "shops")
    assert (code, "started by hand" in said) == (0, True)
    code, said = call(capsys, "prune")
    assert (code, "Would remove 0 runs" in said) == (0, True)


def test_a_report_that_cannot_be_had_fails_alone(capsys):
    with_orders()
    write(
        "entries:\n  a: {report: nothing, cron: '0 * * * *', retries: 3}\n"
        "  b: {report: shops, cron: '0 * * * *', parameters: {nope: 1}}\n"
    )
    begun("a", "b")
    code, said = call(capsys, "run-due")
    assert code == 3
    assert "unknown parameter 'nope'" in said
    assert said.count("it cannot be started as it is declared") == 4  # each run and its entry, once


def test_another_process_at_work_gives_75(capsys):
    write("entries: {a: {report: shops, cron: '0 6 * * *'}}")
    with ScheduleKeeper(settings=load_settings()).folder.lock():
        code, said = call(capsys, "run-due", "--wait", "0")
        assert (code, "another process is at work" in said) == (75, True)
        assert call(capsys, "run", "a", "--wait", "0")[0] == 75
        assert run_due_alone() == 75


def test_retention_can_be_automatic_and_needs_no_data(capsys):
    write("entries: {a: {report: shops, cron: '0 6 * * *'}}\nretention: {automatic: true}")
    code, said = call(capsys, "prune", "--yes")
    assert (code, said.count("Removed 0 runs")) == (0, 1)
    lines: list[str] = []
    keeper = ScheduleKeeper(settings=load_settings(), tell=lines.append)
    keeper.run_items = lambda entry, items, done: done(ItemRecord(status="ok"))
    begun("a")
    keeper.clock = lambda: datetime.now(UTC) + timedelta(days=1)
    keeper.run_due()
    assert lines[-1].startswith("Removed 0 runs")


def test_what_the_clock_calls_gives_the_same_answers(capsys):
    assert run_due_alone() == 1
    assert "there is no schedule" in capsys.readouterr().err
    write("entries: {a: {report: shops, cron: '0 6 * * *'}}")
    assert run_due_alone() == 0
    assert "Last looked at" in call(capsys, "status", "--check")[1]


def test_cron_is_installed_and_removed(capsys, tmp_path, monkeypatch):
    table, program = tmp_path / "table", tmp_path / "bin" / "crontab"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n[ "$1" = - ] && exec cat > {table}\n[ -f {table} ] && exec cat {table}\n'
        "echo no crontab >&2; exit 1\n",
        "utf-8",
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    write("entries: {a: {report: shops, cron: '0 6 * * *'}}")
    code, said = call(capsys, "install", "--cron", "--print")
    assert (code, "crm_lab.schedule" in said, table.exists()) == (0, True, False)
    assert "Written into the crontab" in call(capsys, "install", "--cron")[1]
    once = table.read_text("utf-8")
    assert "has it already" in call(capsys, "install", "--cron")[1]
    assert table.read_text("utf-8") == once
    assert "systemctl --user enable --now" in call(capsys, "install", "--systemd")[1]
    code, said = call(capsys, "uninstall")
    assert (code, said.count("Removed")) == (0, 3)
    assert table.read_text("utf-8") == ""
    assert call(capsys, "uninstall") == (0, "")
    assert call(capsys, "install")[0] == 2
    write("entries: {}")
    assert call(capsys, "install", "--cron")[0] == 1


def test_every_command_of_the_schedule_is_documented():
    text = (Path(__file__).resolve().parents[2] / "docs" / "schedule.md").read_text("utf-8")
    assert isinstance(schedule, click.Group)
    missing = [name for name in schedule.commands if f"schedule {name}" not in text]
    assert missing == []
