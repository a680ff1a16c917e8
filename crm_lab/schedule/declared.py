"""What ``schedule.yml`` may hold, as people write it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from crm_lab.experiments.fields import Name, read_day
from crm_lab.language import say
from crm_lab.schedule.slots import OnDayOff, check_cron
from crm_lab.settings import TimezoneName
from crm_lab.yaml_files import Declared

CatchUp = Literal["once", "none", "all"]
AlertEvent = Literal["failure", "recovery"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LONGEST_SECONDS = 31 * 86_400
_LONGEST_HOLIDAYS_DAYS = 366


def read_duration(value: object) -> float:
    """Read a length of time such as ``90s``, ``30m``, ``2h`` or ``1d`` into seconds."""
    match = _DURATION.match(str(value).strip())
    if match is None:
        raise ValueError(
            say("'{value}' is no length of time such as 90s, 30m, 2h or 1d", value=value)
        )
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds > _LONGEST_SECONDS:
        raise ValueError(say("'{value}' is longer than 31 days", value=value))
    return seconds


def _longer_than_nothing(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError(say("a length of time above 0 is needed"))
    return seconds


def read_days(value: object) -> tuple[date, ...]:
    """Read days, one or a list, each a day or a stretch such as ``2026-01-01..2026-01-08``."""
    days: list[date] = []
    for item in value if isinstance(value, (list, tuple)) else [value]:
        first, dots, last = str(item).partition("..")
        start = read_day(first.strip())
        end = read_day(last.strip()) if dots else start
        if not 0 <= (end - start).days < _LONGEST_HOLIDAYS_DAYS:
            raise ValueError(
                say(
                    "'{days}' is no stretch of 1 to {most} days",
                    days=item,
                    most=_LONGEST_HOLIDAYS_DAYS,
                )
            )
        days += [start + timedelta(days=step) for step in range((end - start).days + 1)]
    return tuple(days)


Duration = Annotated[float, BeforeValidator(read_duration)]
LongDuration = Annotated[Duration, AfterValidator(_longer_than_nothing)]
Days = Annotated[tuple[date, ...], BeforeValidator(read_days)]
Cron = Annotated[str, AfterValidator(check_cron)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Scalar = str | int | float | bool | date


class CalendarDeclared(Declared):
    """Working days.

    Attributes
    ----------
    weekend : list of day names
        Days of the week that are off.
    holidays : list of days
        Further days off; stretches as ``2026-01-01..2026-01-08``.
    working_days : list of days
        Days worked although they fall on a weekend or on a holiday.
    """

    weekend: tuple[Weekday, ...] = ("sat", "sun")
    holidays: Days = ()
    working_days: Days = ()

    @model_validator(mode="after")
    def _leaves_days(self) -> CalendarDeclared:
        if len(set(self.weekend)) == len(WEEKDAYS):
            raise ValueError(say("every day of the week is off; no day is left to work"))
        return self


class AlertDeclared(Declared):
    """One way to be told: exactly one of file, command, webhook, webhook_variable.

    Attributes
    ----------
    file : str
        One line per alert is appended to it; relative to the workbench.
    command : list of str
        Program and arguments, started without a shell; the sentence comes on its standard input.
    webhook : str
        Address that JSON is posted to.
    webhook_variable : str
        Environment variable that holds the address, where the address is a secret.
    on : list of {"failure", "recovery"}
        What it is told of.
    timeout : length of time
        After it a command or a webhook counts as failed.
    """

    file: Text | None = None
    command: tuple[Text, ...] | None = Field(default=None, min_length=1)
    webhook: Annotated[str, Field(pattern=r"^https?://[^\s]+$")] | None = None
    webhook_variable: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    on: tuple[AlertEvent, ...] = Field(default=("failure", "recovery"), min_length=1)
    timeout: LongDuration = 10.0

    @model_validator(mode="after")
    def _one_way(self) -> AlertDeclared:
        ways = (self.file, self.command, self.webhook, self.webhook_variable)
        if sum(way is not None for way in ways) != 1:
            raise ValueError(say("one of file, command, webhook, webhook_variable is needed"))
        return self


class RetentionDeclared(Declared):
    """Which runs are kept for good; see ``crm-lab schedule prune``.

    Attributes
    ----------
    keep_good : int
        The last good runs of each report.
    keep_failed_days : int
        Failed runs younger than this.
    automatic : bool
        Whether a pass of the schedule that ran something removes what is not kept.
    """

    keep_good: int = Field(default=30, ge=1, strict=True)
    keep_failed_days: int = Field(default=30, ge=0, strict=True)
    automatic: bool = False


class Habits(Declared):
    """What an entry does unless it says otherwise.

    Attributes
    ----------
    timeout : length of time
        Wall-clock limit of each run.
    retries : int
        How often a failed entry is tried again for the same slot.
    retry_delay : length of time
        How long it waits before that.
    catch_up : {"once", "none", "all"}
        What becomes of slots that passed while nothing ran: the latest is run, none, or each.
    on_day_off : {"skip", "next_working_day"}
        What becomes of a slot on a day off of the entry's calendar.
    """

    timeout: LongDuration = 1_800.0
    retries: int = Field(default=0, ge=0, le=10, strict=True)
    retry_delay: Duration = 300.0
    catch_up: CatchUp = "once"
    on_day_off: OnDayOff = "skip"


class EntryDeclared(Declared):
    """One report and when it is made.

    Attributes
    ----------
    report : str
        Kind of report, as ``crm-lab report list`` names it.
    cron : str, optional
        When; an entry with ``after`` may leave it out and has then the slots of what it waits for.
    timezone : str, optional
        Zone of the cron expression and of the days in words.
    parameters : mapping
        Values by name; texts may hold days in words such as ``{last_month_end}``.
    each : mapping
        Parameter name and the values it takes, one run for each; several names: every combination.
    title : str, optional
        Title of the page, with days in words and the names of ``each``.
    calendar : str, optional
        Name of a calendar of this file.
    after : list of str
        Entries that must have succeeded for the same slot.
    gateway : str, optional
        Another base than the declared one.
    enabled : bool
        False switches the entry off.
    timeout, retries, retry_delay, catch_up, on_day_off
        As in :class:`Habits`.
    """

    report: Text
    cron: Cron | None = None
    timezone: TimezoneName | None = None
    parameters: Mapping[str, Any] = Field(default_factory=dict)
    each: Mapping[str, Annotated[tuple[Scalar, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    title: Text | None = None
    calendar: str | None = None
    after: tuple[str, ...] = ()
    gateway: Text | None = None
    enabled: bool = True
    timeout: LongDuration | None = None
    retries: int | None = Field(default=None, ge=0, le=10, strict=True)
    retry_delay: Duration | None = None
    catch_up: CatchUp | None = None
    on_day_off: OnDayOff | None = None


class ScheduleFile(Declared):
    """The whole file.

    Attributes
    ----------
    timezone : str, optional
        Zone of every entry that names none; by default the workbench's.
    calendars, entries : mapping
        By name.
    habits : Habits
        What entries do unless they say otherwise.
    alerts : list
        Who is told when an entry fails, and when it works again.
    retention : RetentionDeclared
        Which runs are kept.
    grace : length of time
        A slot that nobody looked at for longer than this has been missed (see ``catch_up``).
    jobs : int
        Runs of one entry's ``each`` at the same time.
    """

    timezone: TimezoneName | None = None
    calendars: Mapping[Name, CalendarDeclared] = Field(default_factory=dict)
    habits: Habits = Habits()
    entries: Mapping[Name, EntryDeclared] = Field(min_length=1)
    alerts: tuple[AlertDeclared, ...] = ()
    retention: RetentionDeclared = RetentionDeclared()
    grace: LongDuration = 1_800.0
    jobs: int = Field(default=2, ge=1, le=64, strict=True)
