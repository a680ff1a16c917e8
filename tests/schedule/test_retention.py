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


def ledger(*entries: tuple[str, str, dict[str, Any]]) -> Any:
    made = [SimpleNamespace(kind=kind, subject=s, payload=payload) for kind, s, payload in entries]
    return SimpleNamespace(entries=lambda: made)


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


def test_a_run_that_carries_a_decision_stays_however_it_does(reports, make_run):
    shown = make_run(90, decisions=[{"decision": "ship"}])
    revised = make_run(91)
    by_hash = make_run(92)
    read = make_run(93, title="Sale", parameters={"experiment": "sale"}, context={"snapshot": "v3"})
    other = make_run(
        94, title="Sale", parameters={"experiment": "sale"}, context={"snapshot": "v2"}
    )
    newest = {make_run(days) for days in (1, 2)} | {make_run(d, title="Sale") for d in (3, 4)}
    page = (reports / "runs" / "customer_base" / by_hash / "report.html").read_bytes()
    entries = ledger(
        ("plan_revision", "2026-05", {"report": revised, "item": "target"}),
        ("decision", "other", {"result_sha256": hashlib.sha256(page).hexdigest()}),
        ("decision", "sale", {"snapshot": "v3", "result_sha256": None}),
        ("arms_assigned", "sale", {"snapshot": "v2"}),
    )
    prune(reports, [ledger(), entries], KEEP, now=NOW, is_done=True)
    assert left(reports) == {shown, revised, by_hash, read} | newest
    assert other not in left(reports)


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
