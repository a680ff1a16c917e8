"""What is due and why: a function of the schedule, what it remembers, and the time."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from crm_lab.schedule.plan import Entry, Schedule
from crm_lab.schedule.slots import latest_slot, slots_after
from crm_lab.schedule.state import EntryState, SlotRecord

Action = Literal["run", "miss", "block", "wait"]
Why = Literal[
    "time",
    "caught_up",
    "late",
    "again",
    "interrupted",
    "unblocked",
    "later",
    "dependency_pending",
    "dependency_failed",
    "dependency_missing",
    "dependency_off",
]
MAX_CAUGHT_UP = 100
"""With ``catch_up: all`` no more than so many slots of an entry are made up for."""
_LOOK_BACK_DAYS = (1, 8, 40, 400, 4_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be done about one entry now.

    Attributes
    ----------
    entry : str
        Its name.
    slot : datetime
        The slot.
    action : {"run", "miss", "block", "wait"}
        What is to be done.
    why : str
        Code of the reason.
    about : str
        The other entry, where the reason is one.
    until : datetime or None
        When it is tried again, where it waits for that.
    passed_over : int
        Older slots that are not run any more; no more than `MAX_CAUGHT_UP` slots are counted.
    """

    entry: str
    slot: datetime
    action: Action
    why: Why
    about: str = ""
    until: datetime | None = None
    passed_over: int = 0


def decisions(
    schedule: Schedule,
    states: Mapping[str, EntryState],
    *,
    now: datetime,
    looking_since: datetime | None = None,
    taken: Collection[str] = (),
) -> tuple[Decision, ...]:
    """Decide what is to be done now, at most one thing for each entry, in the order to do it.

    Parameters
    ----------
    schedule : Schedule
        The entries.
    states : mapping of str to EntryState
        What is remembered of every entry.
    now : datetime
        The time.
    looking_since : datetime, optional
        When this pass began; slots that came since were not missed. By default now.
    taken : collection of str
        Entries that had their turn for a slot of this pass.
    """
    begun = looking_since or now
    found = []
    for entry in schedule.entries.values():
        if not entry.enabled:
            continue
        decision = _turn(entry, states[entry.name], now, begun - _grace(schedule))
        if decision is None or (entry.name in taken and decision.slot > begun):
            continue
        if decision.action == "run":
            decision = _after_others(decision, entry, schedule, states)
        current = states[entry.name].current
        is_news = not (
            decision.action == "block"
            and current is not None
            and (current.slot, current.status) == (decision.slot, "blocked")
        )
        if is_news:
            found.append(decision)
    order = {name: place for place, name in enumerate(schedule.entries)}
    return tuple(sorted(found, key=lambda item: (item.slot, order[item.entry])))


def next_moment(
    schedule: Schedule, states: Mapping[str, EntryState], *, now: datetime
) -> datetime | None:
    """Give the next moment at which something becomes due; None where nothing ever does."""
    moments = []
    for entry in schedule.entries.values():
        if not entry.enabled:
            continue
        unfinished = states[entry.name].unfinished
        if unfinished is not None and unfinished.not_before is not None:
            moments.append(max(unfinished.not_before, now))
        moments += itertools.islice(slots_after(entry.timing, now), 1)
    return min(moments, default=None)


def _grace(schedule: Schedule) -> timedelta:
    return timedelta(seconds=schedule.grace_seconds)


def _turn(
    entry: Entry, state: EntryState, now: datetime, missed_before: datetime
) -> Decision | None:
    unfinished = state.unfinished
    if entry.catch_up == "all":
        if unfinished is not None:
            return _again(entry, unfinished, now)
        fresh = slots_until(entry, state.anchor, now)
        if not fresh:
            return _if_blocked(entry, state)
        why: Why = "caught_up" if fresh[0] < missed_before else "time"
        return Decision(entry=entry.name, slot=fresh[0], action="run", why=why)
    latest = latest_slot(entry.timing, now)
    if latest is None or latest <= state.anchor:
        return _if_blocked(entry, state) if unfinished is None else _again(entry, unfinished, now)
    passed_over = len(slots_until(entry, state.anchor, now)) - 1
    is_missed = latest < missed_before and latest != state.waiting_slot
    if is_missed and entry.catch_up == "none":
        return Decision(
            entry=entry.name, slot=latest, action="miss", why="late", passed_over=passed_over
        )
    return Decision(
        entry=entry.name,
        slot=latest,
        action="run",
        why="caught_up" if is_missed or passed_over else "time",
        passed_over=passed_over,
    )


def _again(entry: Entry, record: SlotRecord, now: datetime) -> Decision:
    why: Why = "again" if record.tries else "caught_up"
    if record.reason == "interrupted":
        why = "interrupted"
    if record.not_before is not None and record.not_before > now:
        return Decision(
            entry=entry.name,
            slot=record.slot,
            action="wait",
            why="later",
            until=record.not_before,
        )
    return Decision(entry=entry.name, slot=record.slot, action="run", why=why)


def _if_blocked(entry: Entry, state: EntryState) -> Decision | None:
    record = state.current
    if record is None or record.status != "blocked" or record.slot <= state.since:
        return None
    return Decision(entry=entry.name, slot=record.slot, action="run", why="unblocked")


def _after_others(
    decision: Decision, entry: Entry, schedule: Schedule, states: Mapping[str, EntryState]
) -> Decision:
    """Turn a run into a wait or a block where an entry that it waits for was not good."""
    waits = None
    for name in entry.after:
        other, state = schedule.entries[name], states[name]
        needed = latest_slot(other.timing, decision.slot)
        record = state.record_for(needed) if needed is not None else None
        if record is not None and record.status == "ok":
            continue
        why: Why
        if not other.enabled:
            why = "dependency_off"
        elif record is None:
            is_to_come = needed is not None and needed > state.anchor
            why = "dependency_pending" if is_to_come else "dependency_missing"
        elif not record.is_over:
            why = "dependency_pending"
        else:
            why = "dependency_missing" if record.status == "missed" else "dependency_failed"
        if why == "dependency_pending":
            waits = _changed(decision, "wait", why, name)
        else:
            return _changed(decision, "block", why, name)
    return waits or decision


def _changed(decision: Decision, action: Action, why: Why, about: str) -> Decision:
    return Decision(
        entry=decision.entry,
        slot=decision.slot,
        action=action,
        why=why,
        about=about,
        passed_over=decision.passed_over,
    )


def slots_until(entry: Entry, start: datetime, end: datetime) -> list[datetime]:
    """Give the last slots, at most `MAX_CAUGHT_UP`, after one moment and up to another."""
    found: list[datetime] = []
    for days in _LOOK_BACK_DAYS:  # years of every five minutes are not counted one by one
        begin = max(start, end - timedelta(days=days))
        slots = slots_after(entry.timing, begin)
        found = list(itertools.takewhile(lambda slot: slot <= end, slots))
        if begin == start or len(found) >= MAX_CAUGHT_UP:
            break
    return found[-MAX_CAUGHT_UP:]
