"""The schedule as it counts: every entry resolved, in an order in which it can run."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from crm_lab.errors import Fault, ScheduleError
from crm_lab.experiments.fields import read_declared
from crm_lab.language import say
from crm_lab.schedule.calendars import WorkingCalendar
from crm_lab.schedule.declared import (
    WEEKDAYS,
    AlertDeclared,
    CalendarDeclared,
    CatchUp,
    EntryDeclared,
    Habits,
    RetentionDeclared,
    ScheduleFile,
)
from crm_lab.schedule.placeholders import filled, filled_value
from crm_lab.schedule.slots import Timing, slots_after
from crm_lab.yaml_files import place, validate

SCHEDULE_FILE = "schedule.yml"
_ANY_DAY = date(2026, 3, 31)
_ANY_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One run of an entry: one value of each name of its fan-out.

    Attributes
    ----------
    key : str
        What tells it from the entry's other runs; empty where there is only one.
    parameters : mapping
        Values by name, days filled in.
    title : str or None
        Title of the page; None: the heading of the notebook with the key.
    """

    key: str
    parameters: Mapping[str, object]
    title: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the schedule, resolved.

    Attributes
    ----------
    name, report : str
        Its name, and the kind of report that it makes.
    timing : Timing
        When.
    after : tuple of str
        Names of the entries that must have succeeded for the same slot.
    timeout_seconds, retry_delay_seconds : float
        Limit of each run, and the wait before another try.
    retries : int
        Further tries after a failed one.
    catch_up : {"once", "none", "all"}
        What becomes of missed slots.
    gateway : str or None
        Another base than the declared one.
    enabled : bool
        Whether it runs at all.
    parameters, each, title
        As written; :meth:`items` fills them in.
    """

    name: str
    report: str
    timing: Timing
    after: tuple[str, ...]
    timeout_seconds: float
    retry_delay_seconds: float
    retries: int
    catch_up: CatchUp
    gateway: str | None
    enabled: bool
    parameters: Mapping[str, Any]
    each: Mapping[str, tuple[object, ...]]
    title: str | None

    def items(self, slot: datetime) -> tuple[Item, ...]:
        """Give the runs of the entry for a slot, days filled in as of the entry's zone."""
        day = slot.astimezone(self.timing.zone).date()
        return tuple(
            Item(
                key=", ".join(str(value) for value in values.values()),
                parameters={
                    name: filled_value(value, day, values)
                    for name, value in {**self.parameters, **values}.items()
                },
                title=self._title(values),
            )
            for values in (
                dict(zip(self.each, chosen, strict=True))
                for chosen in itertools.product(*self.each.values())
            )
        )

    def _title(self, values: Mapping[str, object]) -> str | None:
        if self.title is None:
            return None
        unnamed = [str(value) for name, value in values.items() if f"{{{name}}}" not in self.title]
        title = filled(self.title, None, values)
        return f"{title}: {', '.join(unnamed)}" if unnamed else title


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The whole schedule.

    Attributes
    ----------
    path : Path
        The file it was read from.
    data : mapping
        The file as read, with its line numbers.
    entries : mapping of str to Entry
        By name; an entry stands after those it waits for.
    alerts, retention
        As declared.
    grace_seconds : float
        A slot that nobody looked at for longer than this was missed.
    jobs : int
        Runs of one entry at the same time.
    """

    path: Path
    data: Mapping[str, Any]
    entries: Mapping[str, Entry]
    alerts: tuple[AlertDeclared, ...]
    retention: RetentionDeclared
    grace_seconds: float
    jobs: int

    def entry(self, name: str) -> Entry:
        """Give an entry by name.

        Raises
        ------
        ScheduleError
            There is none of that name.
        """
        if name not in self.entries:
            raise ScheduleError(
                say("no entry '{name}'", name=name),
                expected=say("one of {names}", names=", ".join(self.entries)),
                where=str(self.path),
            )
        return self.entries[name]


def load_schedule(folder: Path, *, timezone: str) -> Schedule:
    """Read and check the schedule of a workbench.

    Parameters
    ----------
    folder : Path
        The workbench.
    timezone : str
        Zone of entries where the file names none.

    Raises
    ------
    ScheduleError
        There is no such file, or it is wrong: every fault at once, with line and key.
    """
    path = folder / SCHEDULE_FILE
    if not path.exists():
        raise ScheduleError(
            say("there is no schedule"),
            where=str(path),
            remedy=say("make one with: crm-lab schedule init"),
        )
    data = read_declared(path)
    faults: list[Fault] = []
    declared = None
    try:
        declared = validate(ScheduleFile, data, path=path, error=ScheduleError)
    except ScheduleError as problem:
        faults += problem.faults
    faults += _cross_faults(data, path)
    if declared is None or faults:
        raise ScheduleError(faults)
    schedule = _resolved(declared, data, path, timezone)
    faults = [
        Fault(
            found=say("no slot of this entry ever falls on a working day"),
            where=place(path, data, ("entries", entry.name, "calendar")),
        )
        for entry in schedule.entries.values()
        if next(slots_after(entry.timing, _ANY_MOMENT), None) is None
    ]
    if faults:
        raise ScheduleError(faults)
    return schedule


def _cross_faults(data: Mapping[str, Any], path: Path) -> list[Fault]:
    """Find what no single key shows; the data may be of any form, other faults are told too."""
    entries = {
        name: item for name, item in _mapping(data, "entries").items() if isinstance(item, Mapping)
    }
    calendars = _mapping(data, "calendars")
    faults = []

    def fault(found: str, *location: str | int) -> None:
        faults.append(Fault(found=found, where=place(path, data, ("entries", *location))))

    for name, entry in entries.items():
        calendar = entry.get("calendar")
        if isinstance(calendar, str) and calendar not in calendars:
            known = ", ".join(calendars) or say("none")
            text = say("unknown calendar '{name}'; known: {known}", name=calendar, known=known)
            fault(text, name, "calendar")
        if "cron" not in entry and not entry.get("after"):
            fault(say("neither 'cron' nor 'after' says when this entry runs"), name)
        after = entry.get("after")
        for index, other in enumerate(after if isinstance(after, list) else ()):
            if other not in entries:
                text = say("'{name}' is no entry of this file", name=str(other))
                fault(text, name, "after", index)
        each = _mapping(entry, "each")
        for both in [key for key in each if key in _mapping(entry, "parameters")]:
            fault(say("'{name}' stands in parameters too", name=str(both)), name, "each", both)
        for key, problem in _word_faults(entry, dict.fromkeys(each, "x")):
            fault(problem, name, *key)
    waiting = {name: entry.get("after") for name, entry in entries.items()}
    for name in _in_a_circle(waiting):
        fault(say("this entry waits for itself, over others or directly"), name, "after")
    return faults


def _word_faults(
    entry: Mapping[str, Any], values: Mapping[str, object]
) -> list[tuple[tuple[str, ...], str]]:
    """Find the words in braces that nobody knows."""
    found = []
    texts: list[tuple[tuple[str, ...], object]] = [
        ((part, name), value)
        for part in ("parameters", "each")
        for name, value in _mapping(entry, part).items()
    ]
    for location, value in [*texts, (("title",), entry.get("title"))]:
        try:
            if location == ("title",):
                filled(str(value or ""), None, values)
            else:
                filled_value(value, _ANY_DAY, values)
        except ValueError as problem:
            found.append((location, str(problem)))
    return found


def _in_a_circle(waiting: Mapping[str, Any]) -> list[str]:
    def reaches(name: str) -> set[str]:
        seen: set[str] = set()
        todo = [name]
        while todo:
            others = waiting.get(todo.pop())
            for other in others if isinstance(others, list) else ():
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
        return seen

    return [name for name in waiting if name in reaches(name)]


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return {str(k): item for k, item in value.items()} if isinstance(value, Mapping) else {}


def _resolved(
    declared: ScheduleFile, data: Mapping[str, Any], path: Path, timezone: str
) -> Schedule:
    calendars = {name: _calendar(name, item) for name, item in declared.calendars.items()}
    zone = declared.timezone or timezone
    entries: dict[str, Entry] = {}

    def add(name: str) -> None:
        if name in entries:
            return
        item = declared.entries[name]
        for other in item.after:
            add(other)
        entries[name] = _entry(name, item, declared.habits, calendars, zone, entries)

    for name in declared.entries:
        add(name)
    return Schedule(
        path=path,
        data=data,
        entries=entries,
        alerts=declared.alerts,
        retention=declared.retention,
        grace_seconds=declared.grace,
        jobs=declared.jobs,
    )


def _entry(
    name: str,
    item: EntryDeclared,
    habits: Habits,
    calendars: Mapping[str, WorkingCalendar],
    zone: str,
    known: Mapping[str, Entry],
) -> Entry:
    first = known[item.after[0]].timing if item.cron is None else None
    calendar = calendars[item.calendar] if item.calendar else None
    timing = Timing(
        cron=first.cron if first else str(item.cron),
        zone=ZoneInfo(item.timezone) if item.timezone else first.zone if first else ZoneInfo(zone),
        calendar=calendar or (first.calendar if first else None),
        on_day_off=item.on_day_off or (first.on_day_off if first else habits.on_day_off),
    )
    return Entry(
        name=name,
        report=item.report,
        timing=timing,
        after=item.after,
        timeout_seconds=habits.timeout if item.timeout is None else item.timeout,
        retry_delay_seconds=habits.retry_delay if item.retry_delay is None else item.retry_delay,
        retries=habits.retries if item.retries is None else item.retries,
        catch_up=item.catch_up or habits.catch_up,
        gateway=item.gateway,
        enabled=item.enabled,
        parameters=dict(item.parameters),
        each=dict(item.each),
        title=item.title,
    )


def _calendar(name: str, item: CalendarDeclared) -> WorkingCalendar:
    return WorkingCalendar(
        name=name,
        weekend=frozenset(WEEKDAYS.index(day) for day in item.weekend),
        holidays=frozenset(item.holidays),
        working_days=frozenset(item.working_days),
    )
