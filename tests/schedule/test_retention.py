"""Retention: what goes, what stays, and that nothing goes without --yes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crm_lab.reports.manifest import read_manifest
from crm_lab.schedule.declared import RetentionDeclared
from crm_lab.schedule.retention import prune

NOW = datetime(2026, 11, 22, tzinfo=UTC)
KEEP = RetentionDeclared(keep_good=2, keep_failed_days=10)
MakeRun = Callable[..., str]


def ledger(*entries: tuple[str, str, dict[str, Any]], days_ago: float = 50) -> Any:
    at = NOW - timedelta(days=days_ago)
    made = [
        SimpleNamespace(kind=kind, subject=subject, payload=payload, at=at)
        for kind, subject, payload in entries
    ]
    return SimpleNamespace(entries=lambda: made)


def shows(count: int, about: str = "sale") -> dict[str, Any]:
    """What a run says that shows so many decisions."""
    taken = [{"day": "2026-10-03", "decision": "continue", "by": "Anna", "note": ""}] * count
    block = {"kind": "decisions", "data": {"about": about, "decisions": taken}}
    return {"decisions": taken, "results": [block]}


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    return tmp_path / "reports"


@pytest.fixture
def make_run(reports: Path) -> MakeRun:
    def make(days_ago: float, *, title: str = "Base", status: str = "ok", **changes: Any) -> str:
        at = NOW - timedelta(days=days_ago)
        name = f"{at:%Y%m%dT%H%M%SZ}-{title.lower()}-{status}"
        folder = reports / "runs" / "customer_base" / name
        folder.mkdir(parents=True)
        manifest: dict[str, Any] = {
            "run_id": name,
            "kind": "customer_base",
            "title": title,
            "notebook": {"name": "x.ipynb", "sha256": "0"},
            "parameters": {},
            "status": status,
            "verdict": None,
            "headline": "",
            "results": [],
            "context": {},
            "code": {"version": "1"},
            "python": "3",
            "packages": {},
            "seed": None,
            "started_at": at.isoformat(),
            "finished_at": at.isoformat(),
            "duration_seconds": 1,
            "error": None,
        }
        (folder / "manifest.json").write_text(json.dumps(manifest | changes), "utf-8")
        (folder / "report.html").write_text(f"<p>{name}</p>", "utf-8")
        assert read_manifest(folder / "manifest.json") is not None
        return name

    return make


def left(reports: Path) -> set[str]:
    return {folder.name for folder in (reports / "runs").glob("*/*")}


def test_the_last_good_runs_of_each_report_stay_and_the_list_is_made_anew(reports, make_run):
    old = [make_run(days) for days in (40, 30)]
    kept = {make_run(days) for days in (20, 1)} | {make_run(400, title="Other")}
    said = prune(reports, [], KEEP, now=NOW, is_done=False)
    assert left(reports) == kept | set(old)
    assert [run.folder.name for run in said.removed] == old[::-1]
    assert "Would remove 2 runs" in said.sentence()
    assert not (reports / "index.html").exists()
    done = prune(reports, [], KEEP, now=NOW, is_done=True)
    assert "Removed 2 runs" in done.sentence()
    assert left(reports) == kept
    index = (reports / "index.html").read_text("utf-8")
    assert all(name in index for name in kept)
    assert not any(name in index for name in old)
    assert not list(reports.glob(".pruned-*"))


def test_failures_of_late_stay_and_older_ones_and_broken_ones_go(reports, make_run):
    young = make_run(9, status="failed")
    make_run(11, status="failed")
    good = make_run(500)
    broken = reports / "runs" / "customer_base" / "broken"
    broken.mkdir()
    later = NOW + timedelta(days=30)  # its time is that of its folder
    prune(reports, [], KEEP, now=NOW, is_done=True)
    assert left(reports) == {young, good, "broken"}
    prune(reports, [], KEEP, now=max(later, datetime.now(UTC) + timedelta(days=11)), is_done=True)
    assert left(reports) == {good}


def test_a_run_that_the_ledger_names_stays_and_one_whose_decision_no_ledger_knows(
    reports, make_run
):
    shown = make_run(90, decisions=[{"decision": "ship"}])
    revised = make_run(91)
    by_hash = make_run(92)
    newest = {make_run(days) for days in (1, 2)}
    page = (reports / "runs" / "customer_base" / by_hash / "report.html").read_bytes()
    entries = ledger(
        ("plan_revision", "2026-05", {"report": revised, "item": "target"}),
        ("decision", "other", {"result_sha256": hashlib.sha256(page).hexdigest()}),
        ("arms_assigned", "sale", {"snapshot": "v2"}),
    )
    prune(reports, [ledger(), entries], KEEP, now=NOW, is_done=True)
    assert left(reports) == {shown, revised, by_hash} | newest


def test_of_a_decision_the_run_that_was_read_stays_though_data_came_in_between(reports, make_run):
    sale = {"parameters": {"experiment": "sale"}}
    for days in (60, 49, 40):  # one before the run that was read, and two that repeat the decision
        make_run(days, **sale, **(shows(1) if days < 50 else {}))
    read = make_run(51, **sale, context={"snapshot": "v5"})
    other = make_run(50.5, parameters={"experiment": "spring"})
    newest = {make_run(days, **sale, **shows(1)) for days in (1, 2)}
    entries = ledger(("decision", "sale", {"snapshot": "v6", "result_sha256": None}))
    prune(reports, [entries], KEEP, now=NOW, is_done=True)
    assert left(reports) == {read} | newest
    assert other not in left(reports)


def test_the_run_that_a_decision_names_stays_and_no_other_for_it(reports, make_run):
    sale = {"parameters": {"experiment": "sale"}}
    read = make_run(70, **sale)
    make_run(60, **sale)
    newest = {make_run(days) for days in (1, 2)}
    prune(
        reports,
        [ledger(("decision", "sale", {"report": read, "snapshot": "v6"}))],
        KEEP,
        now=NOW,
        is_done=True,
    )
    assert left(reports) == {read} | newest


def test_a_decision_that_was_written_down_later_keeps_what_was_read_on_its_day(reports, make_run):
    sale = {"parameters": {"experiment": "sale"}}
    make_run(80, **sale)
    on_its_day, before_it_was_written = make_run(71, **sale), make_run(55, **sale)
    newest = {make_run(days) for days in (1, 2)}
    at = (NOW - timedelta(days=70)).replace(tzinfo=None).isoformat()
    entries = ledger(("decision", "sale", {"snapshot": "v6", "at": at}))
    prune(reports, [entries], KEEP, now=NOW, is_done=True)
    assert left(reports) == {on_its_day, before_it_was_written} | newest


def test_of_every_decision_about_an_epoch_the_run_that_was_read_stays(reports, make_run):
    def effect(days: float, count: int, epoch: str | None = None) -> str:
        return make_run(days, title="CRM", parameters={"epoch": epoch}, **shows(count, "global-1"))

    effect(90, 0)
    first, second = effect(71, 0), effect(51, 1, "global-1")
    effect(60, 1)
    effect(45, 2)
    newest = {effect(1, 2), effect(2, 2)}
    decision = ("decision", "epoch:global-1", {"snapshot": "v6"})
    earlier, later = ledger(decision, days_ago=70), ledger(decision, days_ago=50)
    both = SimpleNamespace(entries=lambda: [*earlier.entries(), *later.entries()])
    prune(reports, [both], KEEP, now=NOW, is_done=True)
    assert left(reports) == {first, second} | newest


def test_where_nothing_is_left_from_before_a_decision_the_first_run_after_it_stays(
    reports, make_run
):
    sale = {"parameters": {"experiment": "sale"}, **shows(1)}
    first = make_run(49, **sale)
    make_run(40, **sale)
    newest = {make_run(days, **sale) for days in (1, 2)}
    prune(reports, [ledger(("decision", "sale", {}))], KEEP, now=NOW, is_done=True)
    assert left(reports) == {first} | newest


def test_what_a_killed_removal_left_behind_is_removed_by_the_next(reports, make_run):
    kept = make_run(1)
    (reports / ".pruned-old").mkdir()
    prune(reports, [], KEEP, now=NOW, is_done=False)
    assert (reports / ".pruned-old").exists()
    prune(reports, [], KEEP, now=NOW, is_done=True)
    assert not (reports / ".pruned-old").exists()
    assert left(reports) == {kept}


def test_a_workbench_without_runs_has_nothing_to_remove(reports):
    done = prune(reports, [], KEEP, now=NOW, is_done=True)
    assert done.runs == ()
    assert done.card_frame().empty
