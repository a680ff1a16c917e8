"""When an entry is to run: cron expression, time zone and working days give its slots.

A slot is the moment (UTC) for which a run is made. The hours that a change of the clock skips or
doubles are handled as Debian's cron does: an entry for a fixed time that does not exist runs at
the first minute after the gap, one whose time comes twice runs the first time; an entry of every
hour or every few minutes follows the elapsed time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from crm_lab.language import say
from crm_lab.schedule.calendars import WorkingCalendar

OnDayOff = Literal["skip", "next_working_day"]
_CRON_FIELDS = 5
_STRETCHES = 1_000
"""After so many stretches of days off in a row an entry is said to have no slot."""
_LOOK_BACK_DAYS = (1, 8, 40, 400, 4_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When an entry is to run.

    Attributes
    ----------
    cron : str
        Five fields: minute, hour, day of the month, month, day of the week.
    zone : ZoneInfo
        The zone whose clock the fields mean.
    calendar : WorkingCalendar or None
        Working days, where they matter.
    on_day_off : {"skip", "next_working_day"}
        What becomes of a time on a day off.
    """

    cron: str
    zone: ZoneInfo
    calendar: WorkingCalendar | None = None
    on_day_off: OnDayOff = "skip"


def check_cron(expression: str) -> str:
    """Accept a cron expression of five fields that has a time at all; else raise ValueError."""
    fields = expression.split()
    if len(fields) != _CRON_FIELDS:
        raise ValueError(
            say(
                "'{cron}' has not five fields: minute, hour, day of the month, month, day of the "
                "week",
                cron=expression,
            )
        )
    try:
        next(CronSim(expression, datetime(2026, 1, 1)))
    except CronSimError as problem:
        raise ValueError(
            say("'{cron}' is no cron expression ({problem})", cron=expression, problem=problem)
        ) from None
    except StopIteration:
        raise ValueError(say("'{cron}' names a day that never comes", cron=expression)) from None
    return " ".join(fields)


def slots_after(timing: Timing, moment: datetime) -> Iterator[datetime]:
    """Give the slots after a moment, in order.

    Parameters
    ----------
    timing : Timing
        When the entry is to run.
    moment : datetime
        Aware; a slot at this very moment is not given.

    Yields
    ------
    datetime
        In UTC. The sequence ends only where no working day ever fits.
    """
    local = moment.astimezone(timing.zone)
    calendar = timing.calendar
    if calendar is None:
        slots = _raw_slots(timing, local)
    elif timing.on_day_off == "skip":
        slots = _slots_on_working_days(timing, local, calendar)
    else:
        slots = _shifted_slots(timing, local, calendar)
    return (slot for slot in slots if slot > moment)


def latest_slot(timing: Timing, moment: datetime) -> datetime | None:
    """Give the last slot at or before a moment; None where there was none in eleven years."""
    for days in _LOOK_BACK_DAYS:
        last = None
        for slot in slots_after(timing, moment - timedelta(days=days)):
            if slot > moment:
                break
            last = slot
        if last is not None:
            return last
    return None


def _raw_slots(timing: Timing, local: datetime) -> Iterator[datetime]:
    last = None
    for slot in CronSim(timing.cron, local):
        moment = slot.astimezone(UTC)
        # a start within a doubled hour may be given times of its first pass
        if last is None or moment > last:
            last = moment
            yield moment


def _slots_on_working_days(
    timing: Timing, local: datetime, calendar: WorkingCalendar
) -> Iterator[datetime]:
    for _ in range(_STRETCHES):
        for slot in _raw_slots(timing, local):
            day = slot.astimezone(timing.zone).date()
            working = calendar.working_day_from(day)
            if working != day:
                local = _day_start(timing, working) - timedelta(seconds=1)
                break
            yield slot
        else:
            return


def _shifted_slots(
    timing: Timing, local: datetime, calendar: WorkingCalendar
) -> Iterator[datetime]:
    """Move the times of each stretch of days off to the working day after it, each time once."""
    start = _day_start(timing, calendar.stretch_start(local.date())) - timedelta(seconds=1)

    def target(slot: datetime) -> date:
        return calendar.working_day_from(slot.astimezone(timing.zone).date())

    for day, group in itertools.groupby(_raw_slots(timing, start), key=target):
        yield from sorted({_moved(slot, day, timing.zone) for slot in group})


def _moved(slot: datetime, day: date, zone: ZoneInfo) -> datetime:
    local = slot.astimezone(zone)
    if local.date() == day:
        return slot
    return datetime.combine(day, local.time(), tzinfo=zone).astimezone(UTC)


def _day_start(timing: Timing, day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=timing.zone)
