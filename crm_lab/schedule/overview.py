"""The schedule as tables: what is planned, what is due, how it stands, what happened."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pandas as pd

from crm_lab import formats
from crm_lab.cards import GivenName, Result
from crm_lab.language import message, say, say_many
from crm_lab.schedule import wording
from crm_lab.schedule.due import Decision
from crm_lab.schedule.plan import Entry, Schedule
from crm_lab.schedule.slots import slots_after
from crm_lab.schedule.state import EntryState, Heartbeat, SlotRecord, stamp
from crm_lab.schedule.wording import local

NOBODY_LOOKS = timedelta(minutes=20)
"""The schedule is said to be without its clock when nobody has looked for so long."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PlannedEntries(Result):
    """Every entry and when it runs next.

    Attributes
    ----------
    entries : tuple of Entry
        In an order in which they can run.
    next_slots : mapping of str to tuple of datetime
        The next slots of each, in UTC; none where it is switched off.
    """

    title: ClassVar[str] = message("Schedule")

    entries: tuple[Entry, ...]
    next_slots: Mapping[str, tuple[datetime, ...]]

    def sentence(self) -> str:
        """Say how many entries there are and what runs first."""
        count = say_many("{count} entry", "{count} entries", len(self.entries))
        found = [(slots[0], name) for name, slots in self.next_slots.items() if slots]
        if not found:
            return say("{entries}; none is to run.", entries=count)
        slot, name = min(found)
        zone = next(entry.timing.zone for entry in self.entries if entry.name == name)
        return say(
            "{entries}; the next one is '{entry}' on {moment} ({zone}).",
            entries=count,
            entry=name,
            moment=local(slot, zone),
            zone=str(zone),
        )

    def to_frame(self) -> pd.DataFrame:
        """Give one row for each slot, in UTC."""
        rows = [
            {"entry": entry.name, "report": entry.report, "slot": slot}
            for entry in self.entries
            for slot in self.next_slots[entry.name]
        ]
        return pd.DataFrame(rows, columns=["entry", "report", "slot"])

    def coming(self, count: int) -> list[str]:
        """Give the next slots of all entries together, one line each."""
        slots = sorted(
            (slot, entry.name, entry.timing.zone)
            for entry in self.entries
            for slot in self.next_slots[entry.name]
        )
        return [f"{local(slot, zone)} ({zone})  {name}" for slot, name, zone in slots[:count]]

    def to_dict(self) -> dict[str, Any]:
        """Give the next slots by entry."""
        return {name: [stamp(slot) for slot in slots] for name, slots in self.next_slots.items()}

    def card_frame(self) -> pd.DataFrame:
        """Give one row for each entry, times on its own clock."""
        return pd.DataFrame(
            [
                {
                    "entry": GivenName(entry.name),
                    "report": GivenName(entry.report),
                    "cron": entry.timing.cron,
                    "timezone": str(entry.timing.zone),
                    "calendar": _calendar_text(entry),
                    "waits_for": GivenName(", ".join(entry.after)),
                    "next": "\n".join(
                        local(slot, entry.timing.zone) for slot in self.next_slots[entry.name]
                    )
                    if entry.enabled
                    else say(wording.STATUSES["off"]),
                }
                for entry in self.entries
            ],
            dtype=object,
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DueNow(Result):
    """What is due and why.

    Attributes
    ----------
    decisions : tuple of Decision
        In the order in which they are carried out.
    zones : mapping of str to ZoneInfo
        The zone of each entry.
    """

    title: ClassVar[str] = message("Due now")

    decisions: tuple[Decision, ...]
    zones: Mapping[str, ZoneInfo]

    def sentence(self) -> str:
        """Say how much is due."""
        count = sum(decision.action == "run" for decision in self.decisions)
        return say_many("{count} entry is due.", "{count} entries are due.", count)

    def to_frame(self) -> pd.DataFrame:
        """Give one row for each entry about which something is decided."""
        names = ["entry", "slot", "action", "why", "about", "passed_over"]
        return pd.DataFrame(
            [{name: getattr(item, name) for name in names} for item in self.decisions],
            columns=names,
        )

    def card_frame(self) -> pd.DataFrame:
        """Give the same in words."""
        return pd.DataFrame(
            [
                {
                    "entry": GivenName(item.entry),
                    "slot": local(item.slot, self.zones[item.entry]),
                    "action": say(wording.ACTIONS[item.action]),
                    "why": wording.reason_text(item.why, item.about),
                    "tried_again_at": local(item.until, self.zones[item.entry]),
                }
                for item in self.decisions
            ],
            dtype=object,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryStanding:
    """How one entry stands.

    Attributes
    ----------
    entry : str
        Its name.
    status : str
        Of its slot; ``never``, ``off`` and ``interrupted`` besides.
    record : SlotRecord or None
        The slot that it is not done with, else its last one.
    last_good : datetime or None
        End of its last good run.
    next_slot : datetime or None
        When it runs next.
    zone : ZoneInfo
        Its zone.
    """

    entry: str
    status: str
    record: SlotRecord | None
    last_good: datetime | None
    next_slot: datetime | None
    zone: ZoneInfo


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ScheduleStatus(Result):
    """How every entry stands, and whether anybody looks at the schedule.

    Attributes
    ----------
    entries : tuple of EntryStanding
        As in the schedule.
    heartbeat : Heartbeat or None
        When somebody last looked.
    at : datetime
        The present moment.
    is_busy : bool
        Whether a process is at work on it now.
    """

    title: ClassVar[str] = message("Schedule")

    entries: tuple[EntryStanding, ...]
    heartbeat: Heartbeat | None
    at: datetime
    is_busy: bool

    @property
    def is_looked_at(self) -> bool:
        """Whether somebody looked at the schedule lately, or is at work on it."""
        return self.is_busy or (
            self.heartbeat is not None and self.at - self.heartbeat.at < NOBODY_LOOKS
        )

    @property
    def troubles(self) -> tuple[str, ...]:
        """Names of the entries that are not well."""
        return tuple(
            item.entry
            for item in self.entries
            if item.status in ("failed", "blocked", "interrupted")
            or (item.status == "retry" and item.record is not None and item.record.tries > 0)
            or (item.record is not None and item.record.alert_faults)
        )

    @property
    def is_healthy(self) -> bool:
        """Whether every entry is well and somebody looks."""
        return self.is_looked_at and not self.troubles

    def sentence(self) -> str:
        """Say how the schedule stands."""
        count = say_many("{count} entry", "{count} entries", len(self.entries))
        if self.troubles:
            names = formats.listing(self.troubles)
            text = say("{entries}; not well: {names}.", entries=count, names=names)
        else:
            text = say("{entries}; all are well.", entries=count)
        return f"{text} {self._looked()}"

    def _looked(self) -> str:
        if self.is_busy:
            return say("A process is at work on it now.")
        if self.heartbeat is None:
            return say("Nobody has looked at the schedule yet: install it or call run-due.")
        moment = formats.minute(self.heartbeat.at)
        if self.is_looked_at:
            return say("Last looked at on {moment} (UTC).", moment=moment)
        return say("Nobody has looked at it since {moment} (UTC): its clock stands.", moment=moment)

    def to_frame(self) -> pd.DataFrame:
        """Give one row for each entry."""
        return pd.DataFrame(
            [
                {
                    "entry": item.entry,
                    "status": item.status,
                    "slot": item.record.slot if item.record else None,
                    "finished_at": item.record.finished_at if item.record else None,
                    "tries": item.record.tries if item.record else 0,
                    "reason": item.record.reason if item.record else "",
                    "last_good": item.last_good,
                    "next_slot": item.next_slot,
                }
                for item in self.entries
            ]
        )

    def card_frame(self) -> pd.DataFrame:
        """Give the same in words, times on each entry's clock."""
        return pd.DataFrame(
            [
                {
                    "entry": GivenName(item.entry),
                    "status": say(wording.STATUSES[item.status]),
                    "slot": local(item.record.slot if item.record else None, item.zone),
                    "reason": _record_text(item.record),
                    "last_good": local(item.last_good, item.zone),
                    "next_slot": local(item.next_slot, item.zone),
                }
                for item in self.entries
            ],
            dtype=object,
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ScheduleHistory(Result):
    """What happened, from the log.

    Attributes
    ----------
    events : tuple of mapping
        Newest first.
    """

    title: ClassVar[str] = message("What the schedule did")

    events: tuple[Mapping[str, Any], ...]

    def sentence(self) -> str:
        """Say how many events there are."""
        return say_many("{count} event, in UTC.", "{count} events, in UTC.", len(self.events))

    def to_frame(self) -> pd.DataFrame:
        """Give the events as they stand in the log."""
        names = ["at", "event", "entry", "slot", "reason", "about", "runs"]
        return pd.DataFrame([{name: item.get(name) for name in names} for item in self.events])

    def card_frame(self) -> pd.DataFrame:
        """Give the same in words."""
        return pd.DataFrame(
            [
                {
                    "at": _plain_moment(item["at"]),
                    "event": wording.event_text(str(item["event"])),
                    "entry": GivenName(item.get("entry", "")),
                    "slot": _plain_moment(item.get("slot", "")),
                    "reason": _event_reason(item),
                }
                for item in self.events
            ],
            dtype=object,
        )


def planned(schedule: Schedule, *, now: datetime, count: int) -> PlannedEntries:
    """Give every entry with its next slots."""
    return PlannedEntries(
        entries=tuple(schedule.entries.values()),
        next_slots={
            entry.name: tuple(itertools.islice(slots_after(entry.timing, now), count))
            if entry.enabled
            else ()
            for entry in schedule.entries.values()
        },
    )


def standing(
    schedule: Schedule,
    states: Mapping[str, EntryState],
    *,
    now: datetime,
    heartbeat: Heartbeat | None,
    is_busy: bool,
) -> ScheduleStatus:
    """Give how every entry stands.

    Parameters
    ----------
    schedule, states
        The entries, and what is remembered of each.
    now : datetime
        The time.
    heartbeat : Heartbeat or None
        When somebody last looked.
    is_busy : bool
        Whether a process is at work now; a run that none is at work on was interrupted.
    """
    return ScheduleStatus(
        entries=tuple(
            _standing(entry, states[entry.name], now, is_busy=is_busy)
            for entry in schedule.entries.values()
        ),
        heartbeat=heartbeat,
        at=now,
        is_busy=is_busy,
    )


def history(
    events: Iterable[Mapping[str, Any]], *, entry: str | None, count: int
) -> ScheduleHistory:
    """Give the newest events, of one entry where it is named."""
    fitting = (event for event in events if entry is None or event.get("entry") == entry)
    return ScheduleHistory(events=tuple(itertools.islice(fitting, count)))


def _standing(entry: Entry, state: EntryState, now: datetime, *, is_busy: bool) -> EntryStanding:
    record = state.unfinished or state.current
    status: str = "never" if record is None else record.status
    if status == "running" and not is_busy:
        status = "interrupted"
    return EntryStanding(
        entry=entry.name,
        status=status if entry.enabled else "off",
        record=record,
        last_good=state.last_good.finished_at if state.last_good else None,
        next_slot=next(slots_after(entry.timing, now), None) if entry.enabled else None,
        zone=entry.timing.zone,
    )


def _record_text(record: SlotRecord | None) -> str:
    if record is None:
        return ""
    reason = wording.reason_text(record.reason, record.about) if record.reason else ""
    return "; ".join(text for text in (reason, *record.alert_faults) if text)


def _event_reason(event: Mapping[str, Any]) -> str:
    code = event.get("reason") or event.get("why") or ""
    text = wording.reason_text(str(code), str(event.get("about", ""))) if code else ""
    return "; ".join(str(part) for part in (text, event.get("fault", "")) if part)


def _plain_moment(text: object) -> str:
    return formats.minute(datetime.fromisoformat(str(text))) if text else ""


def _calendar_text(entry: Entry) -> str:
    if entry.timing.calendar is None:
        return ""
    if entry.timing.on_day_off == "skip":
        return say("{name}: days off are left out", name=entry.timing.calendar.name)
    return say("{name}: next working day", name=entry.timing.calendar.name)
