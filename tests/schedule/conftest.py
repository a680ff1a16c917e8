"""A workbench with a schedule, a clock set by hand, and runs that only say how they ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crm_lab.schedule.keeper import ScheduleKeeper
from crm_lab.schedule.plan import Entry, Item, Schedule, load_schedule
from crm_lab.schedule.state import EntryState, ItemRecord, SlotRecord
from crm_lab.settings import load_settings

START = datetime(2026, 11, 2, 12, tzinfo=UTC)  # a Monday


@dataclass
class Night:
    """One workbench over the nights: set the clock, make a pass, look."""

    keeper: ScheduleKeeper
    now: datetime = START
    bad: set[str] = field(default_factory=set)
    ran: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    takes: timedelta = timedelta(0)
    on_run: Callable[[Entry], None] = lambda entry: None

    def at(self, text: str) -> Night:
        """Set the clock: '03 06:00' is that day of November 2026, in UTC."""
        self.now = datetime.strptime(f"2026-11-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
        return self

    def make_runs(
        self, entry: Entry, items: Sequence[Item], done: Callable[[ItemRecord], None]
    ) -> None:
        self.on_run(entry)
        for item in items:
            name = f"{entry.name}/{item.key}" if item.key else entry.name
            self.ran.append(name)
            self.now += self.takes
            is_bad = name in self.bad
            done(
                ItemRecord(
                    key=item.key,
                    status="failed" if is_bad else "ok",
                    run_id=f"run-{len(self.ran)}",
                    page=f"reports/runs/{len(self.ran)}/report.html",
                    reason="error" if is_bad else "",
                    about="ValueError" if is_bad else "",
                )
            )

    def run_due(self) -> list[str]:
        """Make a pass; give what it ran."""
        self.ran.clear()
        self.keeper.run_due(wait_seconds=0)
        return list(self.ran)

    def state(self, name: str) -> EntryState:
        return self.keeper.folder.read(name, since=self.now)

    def record(self, name: str) -> SlotRecord:
        record = self.state(name).current
        assert record is not None
        return record

    def events(self, name: str | None = None) -> list[str]:
        """The events of the log, oldest first."""
        found = self.keeper.history(name, count=1000).events
        return [str(event["event"]) for event in reversed(found)]


@pytest.fixture
def workbench(tmp_path: Path) -> Path:
    (tmp_path / "crm-lab.yml").write_text("company: Shop\ntimezone: UTC\n", "utf-8")
    return tmp_path


@pytest.fixture
def write(workbench: Path) -> Callable[[str], Schedule]:
    def write_schedule(text: str) -> Schedule:
        (workbench / "schedule.yml").write_text(text, "utf-8")
        return load_schedule(workbench, timezone="UTC")

    return write_schedule


@pytest.fixture
def night(workbench: Path, write: Callable[[str], Schedule]) -> Callable[[str], Night]:
    def make(text: str) -> Night:
        write(text)
        keeper = ScheduleKeeper(settings=load_settings(workbench))
        made = Night(keeper=keeper)
        keeper.clock = lambda: made.now
        keeper.run_items = made.make_runs
        keeper.tell = made.told.append
        made.run_due()  # the schedule begins
        return made

    return make
