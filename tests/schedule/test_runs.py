"""From an entry to pages: what is told of each run, and what one that cannot be had costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crm_lab.errors import BusyError, ReportError
from crm_lab.publishing import RunOptions
from crm_lab.schedule.runs import ReportRuns
from crm_lab.schedule.state import ItemRecord, utc_now

SHOPS = "entries: {base: {report: x, cron: '0 6 * * *', each: {shop: [Riga, Rome, Oslo]}}}"


@dataclass
class Batches:
    """Stands for the runs of reports: which of them are busy elsewhere, fail or are published."""

    folder: Path
    busy: set[str] = field(default_factory=set)
    failing: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    published: set[str] = field(default_factory=set)

    def run(
        self,
        requests: Sequence[str],
        *,
        jobs: int,
        options: RunOptions,
        on_done: Callable[[str, Any], None] = lambda request, record: None,
    ) -> Any:
        self.asked.append(tuple(requests))
        runs = []
        for request in requests:
            runs.append(self._one(request))
            on_done(request, runs[-1])
        return SimpleNamespace(runs=tuple(runs))

    def _one(self, name: str) -> Any:
        if name in self.busy:
            raise BusyError("it is running elsewhere")
        folder = self.folder / "reports" / name
        status = "failed" if name in self.failing else "ok"
        if name in self.published:
            status = "unchanged"
        self.published.add(name)
        return SimpleNamespace(
            status=status,
            is_good=status != "failed",
            run_id=f"run-{name}",
            folder=folder,
            html=folder / "report.html",
            sentence=lambda: f"{name}: {self.failing[name]}",
        )


@pytest.fixture
def batches(workbench: Path, monkeypatch: pytest.MonkeyPatch) -> Batches:
    made = Batches(workbench)

    def request(opened: object, entry: object, item: Any) -> str:
        if item.key == "Atlantis":
            raise ReportError("no such shop")
        return str(item.key)

    monkeypatch.setattr("crm_lab.workbench.open_workbench", lambda *_, **__: None)
    monkeypatch.setattr("crm_lab.schedule.runs._request", request)
    monkeypatch.setattr("crm_lab.publishing.run_batch", made.run)
    error = SimpleNamespace(reason="error", type="ValueError")
    manifest = SimpleNamespace(error=error)
    monkeypatch.setattr("crm_lab.reports.manifest.read_manifest", lambda path: manifest)
    return made


def run(write: Any, workbench: Path, text: str) -> tuple[dict[str, ItemRecord], list[str]]:
    entry = write(text).entry("base")
    told: list[str] = []
    ended: list[ItemRecord] = []
    ReportRuns(folder=workbench, tell=told.append)(entry, entry.items(utc_now()), ended.append)
    assert len({item.key for item in ended}) == len(ended)
    return {item.key: item for item in ended}, told


def test_what_is_told_of_a_run_is_how_it_ended_and_its_page_never_the_text_of_an_error(
    write, workbench, batches
):
    batches.failing = {"Rome": "order of Anna Petrova"}
    batches.published = {"Oslo"}
    _, told = run(write, workbench, SHOPS)
    assert told == [
        "base (Riga): good; reports/Riga/report.html",
        "base (Rome): failed; an error in the notebook (ValueError); reports/Rome/report.html",
        "base (Oslo): nothing has changed; reports/Oslo/report.html",
    ]


def test_a_run_that_somebody_else_makes_is_not_had_and_the_others_are(write, workbench, batches):
    batches.busy = {"Rome"}
    ended, told = run(write, workbench, SHOPS)
    assert {name: (item.status, item.reason) for name, item in ended.items()} == {
        "Riga": ("ok", ""),
        "Rome": ("failed", "unavailable"),
        "Oslo": ("ok", ""),
    }
    assert "base (Rome): failed; what it needs cannot be had (BusyError)" in told
    assert batches.asked == [("Riga", "Rome", "Oslo"), ("Rome",), ("Oslo",)]


def test_every_run_of_an_entry_ends_where_the_workbench_cannot_be_opened(
    write, workbench, batches, monkeypatch
):
    def closed(*_: object, **__: object) -> None:
        raise BusyError("somebody imports")

    monkeypatch.setattr("crm_lab.workbench.open_workbench", closed)
    ended, _ = run(write, workbench, SHOPS)
    assert {item.about for item in ended.values()} == {"BusyError"}
    assert len(ended) == 3


def test_a_run_that_is_refused_ends_once_and_the_others_are_made(write, workbench, batches):
    ended, told = run(write, workbench, SHOPS.replace("Rome", "Atlantis"))
    assert ended["Atlantis"].reason == "refused"
    assert {ended["Riga"].status, ended["Oslo"].status} == {"ok"}
    assert "no such shop" in told[0]
