"""The process in the foreground, and processes that are killed in the middle of anything."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from crm_lab.errors import LedgerError
from crm_lab.schedule.keeper import ScheduleKeeper
from crm_lab.schedule.plan import Entry, Item
from crm_lab.schedule.serving import Stopping, stopping_on_signals
from crm_lab.schedule.state import EntryState, ItemRecord, OverlapError
from crm_lab.settings import load_settings

FORK = multiprocessing.get_context("fork")
PATIENCE_SECONDS = 30.0
THREE = """\
entries:
  a: {report: x, cron: "* * * * *", each: {n: [1, 2, 3]}}
  b: {report: x, after: [a], each: {n: [1, 2, 3]}}
  c: {report: x, after: [a, b]}
alerts: [{file: told.txt}]
"""


def until(condition: Callable[[], object]) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.005)


def slow_runs(folder: Path, seconds: float) -> Callable[..., None]:
    def run(entry: Entry, items: Sequence[Item], done: Callable[[ItemRecord], None]) -> None:
        for item in items:
            with (folder / "ran.txt").open("a", encoding="utf-8") as file:
                file.write(f"{entry.name}{item.key}\n")
            time.sleep(seconds)
            done(ItemRecord(key=item.key, status="ok"))

    return run


def keeper(folder: Path, seconds: float = 0.0) -> ScheduleKeeper:
    return ScheduleKeeper(
        settings=load_settings(folder), run_items=slow_runs(folder, seconds), tell=lambda line: None
    )


def begun(folder: Path) -> datetime:
    """Let the schedule begin ten minutes ago, and give that moment."""
    since = datetime.now(UTC) - timedelta(minutes=10)
    made = keeper(folder)
    for name in made.load().entries:
        made.folder.write(EntryState(entry=name, since=since))
    return since


def in_a_process(work: Callable[[], object]) -> BaseProcess:
    process = FORK.Process(target=work)
    process.start()
    return process


def ran(folder: Path) -> list[str]:
    path = folder / "ran.txt"
    return path.read_text("utf-8").split() if path.exists() else []


def serve(folder: Path, seconds: float) -> None:
    with stopping_on_signals() as stopping:
        keeper(folder, seconds).serve(stopping)


def test_sigterm_ends_the_server_after_the_run_that_is_at_work(workbench, write):
    write(THREE)
    begun(workbench)
    process = in_a_process(lambda: serve(workbench, 0.2))
    until(lambda: ran(workbench))
    assert process.pid is not None
    os.kill(process.pid, signal.SIGTERM)
    process.join(PATIENCE_SECONDS)
    assert process.exitcode == 0
    made = keeper(workbench)
    events = [str(e["event"]) for e in reversed(made.history(count=99).events)]
    assert events == ["serving", "started", "ok", "served"]
    states = {name: made.folder.read(name, since=datetime.now(UTC)) for name in "abc"}
    assert [bool(state.slots) for state in states.values()] == [True, False, False]
    made.run_due()
    assert ran(workbench)[-4:] == ["b1", "b2", "b3", "c"]


def test_only_one_process_serves_and_a_run_by_hand_meets_the_lock(workbench, write):
    write(THREE)
    begun(workbench)
    process = in_a_process(lambda: serve(workbench, 0.5))
    until(lambda: ran(workbench))
    with pytest.raises(OverlapError, match="another process"):
        keeper(workbench).run_due(wait_seconds=0)
    with pytest.raises(OverlapError, match="another process"):
        keeper(workbench).serve(Stopping())
    process.kill()
    process.join(PATIENCE_SECONDS)
    assert keeper(workbench).status().entries[0].status == "interrupted"
    assert keeper(workbench).run_due(wait_seconds=0)  # the lock of a dead process is free


def test_a_second_ctrl_c_interrupts_the_run(workbench, write):
    with stopping_on_signals() as stopping:
        signal.raise_signal(signal.SIGINT)
        assert stopping()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


class Watch:
    """A clock for a server: time passes only while it sleeps, and may jump."""

    def __init__(self, made: ScheduleKeeper, jumps: dict[int, timedelta], rounds: int) -> None:
        self.now = datetime(2026, 11, 3, 5, 59, tzinfo=UTC)
        self.slept: list[float] = []
        self.jumps, self.rounds = jumps, rounds
        self.stopping = Stopping()
        self.stopping.sleep = self.sleep  # type: ignore[method-assign]
        made.clock = lambda: self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds) + self.jumps.get(len(self.slept), timedelta(0))
        if len(self.slept) >= self.rounds:
            self.stopping.ask()


def test_a_server_sleeps_until_the_next_slot_and_survives_a_clock_that_jumps(workbench, write):
    write("entries: {a: {report: x, cron: '0 * * * *'}}")
    made = keeper(workbench)
    watch = Watch(made, {3: timedelta(hours=5), 5: -timedelta(hours=5)}, rounds=8)
    made.serve(watch.stopping)
    assert watch.slept[:2] == [30.0, 30.0]
    assert all(0 < seconds <= 30 for seconds in watch.slept)
    slots = [record.slot.hour for record in made.folder.read("a", since=watch.now).slots]
    assert slots == [6, 11]  # once for the five hours that were jumped over, none twice


def test_a_schedule_that_breaks_while_it_is_served_goes_on_as_it_was(workbench, write):
    write("entries: {a: {report: x, cron: '0 * * * *'}}")
    made = keeper(workbench)
    told: list[str] = []
    made.tell = told.append
    watch = Watch(made, {}, rounds=6)
    path = workbench / "schedule.yml"

    def sleep(seconds: float) -> None:
        watch.sleep(seconds)
        text = {1: "entries: {a: 1}", 4: "entries: {b: {report: x, cron: '0 * * * *'}}"}
        if len(watch.slept) in text:
            path.write_text(text[len(watch.slept)], "utf-8")
            os.utime(path, (len(watch.slept), len(watch.slept)))

    watch.stopping.sleep = sleep  # type: ignore[method-assign]
    made.serve(watch.stopping)
    assert ran(workbench) == ["a"]
    events = [event["event"] for event in made.history(count=99).events]
    assert "schedule_broken" in events
    assert "schedule_changed" in events
    assert any("entries.a" in line for line in told)


def test_a_schedule_that_is_edited_while_it_is_read_is_read_again(workbench, write):
    write("entries: {a: {report: x, cron: '0 * * * *'}}")
    made = keeper(workbench)
    load, loaded = made.load, []

    def load_and_edit():
        loaded.append(load())
        if len(loaded) == 1:
            write("entries: {b: {report: x, cron: '0 * * * *'}}")
            os.utime(workbench / "schedule.yml", (1, 1))
        return loaded[-1]

    made.load = load_and_edit  # type: ignore[method-assign]
    made.serve(Watch(made, {}, rounds=4).stopping)
    assert ran(workbench) == ["b"]


@pytest.mark.parametrize("problem", [LedgerError("the ledger is broken"), OSError("full")])
def test_old_runs_that_cannot_be_removed_stop_nothing(workbench, write, monkeypatch, problem):
    write(
        "entries: {a: {report: x, cron: '* * * * *'}}\n"
        "retention: {automatic: true}\nalerts: [{file: told.txt}]"
    )
    begun(workbench)
    made, told = keeper(workbench), []
    made.tell = told.append

    def broken(self, **_):
        raise problem

    monkeypatch.setattr(ScheduleKeeper, "prune", broken)
    assert [item.record.status for item in made.run_due()] == ["ok"]
    assert made.folder.read_heartbeat() is not None
    assert told[-1].startswith("Old runs could not be removed: ")
    event = made.history().events[0]
    assert (event["event"], event["fault"]) == ("prune_failed", type(problem).__name__)


@pytest.fixture
def never_given_up(monkeypatch):
    """On a slow machine every kill may meet the same slot: it is taken up again each time."""
    monkeypatch.setattr("crm_lab.schedule.passes.MAX_INTERRUPTIONS", 1_000)


def kill_again_and_again(folder: Path, kills: int, seed: int) -> None:
    """Kill passes at random moments; whatever is on the disk can be read after each."""
    chance = random.Random(seed)
    since = begun(folder)
    for _ in range(kills):
        process = in_a_process(lambda: keeper(folder, 0.01).run_due(wait_seconds=5))
        process.join(chance.uniform(0.0, 0.15))
        process.kill()
        process.join(PATIENCE_SECONDS)
        made = keeper(folder)
        assert all(made.folder.read(name, since=since).since == since for name in "abc")
        made.status()
        made.due()
    keeper(folder).run_due(wait_seconds=5)
    for name in "abc":
        state = keeper(folder).folder.read(name, since=since)
        assert state.current is not None
        assert state.current.is_over
    lines = (folder / "data/schedule/log.jsonl").read_text("utf-8").splitlines()
    assert {json.loads(line)["event"] for line in lines} >= {"started", "ok"}


def test_kills_at_random_moments_leave_everything_readable_and_the_work_is_done(
    workbench, write, never_given_up
):
    write(THREE)
    kill_again_and_again(workbench, kills=8, seed=1)


@pytest.mark.slow
def test_a_hundred_kills(workbench, write, never_given_up):
    write(THREE)
    kill_again_and_again(workbench, kills=100, seed=2)


def test_a_log_whose_last_line_was_cut_goes_on(workbench, night):
    n = night("entries: {base: {report: x, cron: '0 6 * * *'}}")
    n.at("03 06:00").run_due()
    with n.keeper.folder.log_path.open("a", encoding="utf-8") as file:
        file.write('{"at": "2026-11-0')
    n.at("04 06:00").run_due()
    assert n.events() == ["started", "ok", "started", "ok"]


def test_a_log_that_has_grown_is_turned_over_and_read_to_its_end(night, monkeypatch):
    monkeypatch.setattr("crm_lab.schedule.journal.TURN_BYTES", 300)
    n = night("entries: {base: {report: x, cron: '0 6 * * *'}}")
    for day in range(3, 29):
        n.at(f"{day:02} 06:00").run_due()
    files = sorted(path.name for path in n.keeper.folder.folder.glob("log*"))
    assert files == ["log.1.jsonl", "log.2.jsonl", "log.3.jsonl", "log.4.jsonl", "log.jsonl"]
    slots = [event["slot"] for event in n.keeper.history(count=10).events]
    assert slots[0] == "2026-11-28T06:00:00Z"
    assert slots == sorted(slots, reverse=True)
