"""The plan of a month: the target, the activities that are to bring it, and its revisions.

``experiments/monthly_plan.yml``::

    month: 2017-05
    metric: revenue
    target: 420000
    owner: Head of CRM
    activities:
      wave-1: {day: 2017-05-04, mechanic: reminder, recipients: 1200, expected: 6000}
      wave-2: {day: 2017-05-24, mechanic: discount, recipients: 1500, expected: 9000}
    acquisition_channels: {context: 0.5, targeted: 0.3, media: 0.2}

The file is what was planned. What is changed on the way is a revision, an entry of the append-only
ledger with the old value, the new one, the reason, who, when and the report it came from; the file
stays as it is. The plan that counts is the file with its revisions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from crm_lab import formats
from crm_lab.errors import Fault, SpecError
from crm_lab.experiments.fields import Channel, Day, Name, Number, Whole
from crm_lab.experiments.spec import MONTHLY_PLAN_FILE
from crm_lab.gateway import EntryKind
from crm_lab.language import say
from crm_lab.planning import pacing_wording as wording
from crm_lab.yaml_files import Declared, place, read_yaml, validate

PLAN_REVISED: EntryKind = "plan_revised"
REMOVED = "none"
"""Written as new value of an activity, it takes the activity out of the plan."""

PlanMetric = Literal["revenue", "orders"]


def check_month(month: str) -> str:
    """Accept a month such as 2017-05."""
    if not re.fullmatch(r"(19|20|21)[0-9]{2}-(0[1-9]|1[0-2])", month):
        raise ValueError(say("'{month}' is not a month such as 2026-05", month=month))
    return month


class ActivitySpec(Declared):
    """One activity of the month.

    Attributes
    ----------
    day : datetime.date
        When it is sent.
    mechanic : str
        What kind of activity it is; empty: not named.
    channel : str
        How it is sent.
    recipients : int
        To how many.
    expected : float
        What it is planned to bring, in the unit of the metric.
    experiment : str
        The experiment that measures it; empty: none.
    """

    day: Day
    mechanic: Name = ""
    channel: Channel = "email"
    recipients: Whole = Field(ge=1)
    expected: Number = Field(ge=0)
    experiment: Name = ""


class MonthlyPlanSpec(Declared):
    """The plan of one month; see the module for an example.

    Attributes
    ----------
    month : str
        Such as 2026-05.
    metric : {"revenue", "orders"}
        What is planned.
    target : float
        How much of it, above 0.
    owner : str
        Who answers for it.
    activities : mapping
        The activities by name.
    acquisition_channels : mapping
        Other tools, with the share of what is missing that each is to bring; they add up to 1.
    """

    month: Annotated[str, AfterValidator(check_month)]
    metric: PlanMetric = "revenue"
    target: Number = Field(gt=0)
    owner: str = Field(min_length=1)
    activities: Mapping[Name, ActivitySpec] = Field(default_factory=dict)
    acquisition_channels: Mapping[Name, Annotated[Number, Field(gt=0, le=1)]] = Field(
        default_factory=dict
    )

    @property
    def first_day(self) -> date:
        """First day of the month."""
        return date.fromisoformat(f"{self.month}-01")

    @property
    def last_day(self) -> date:
        """Last day of the month."""
        return (self.first_day + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def load_monthly_plan(folder: Path) -> MonthlyPlanSpec:
    """Read ``monthly_plan.yml`` of the experiments folder and check it whole.

    Raises
    ------
    SpecError
        The file is missing, or anything in it is wrong: all faults at once.
    """
    path = folder / MONTHLY_PLAN_FILE
    if not path.is_file():
        raise SpecError(
            say("there is no plan of a month"),
            expected=say("a file with month, target, owner and activities"),
            where=str(path),
            remedy=say("write it as docs/monthly-plan.md shows"),
        )
    try:
        data = read_yaml(path, error=SpecError)
    except ValueError as problem:  # YAML reads 2026-02-30 as a date, and there is none
        raise SpecError(
            say("a date that does not exist ({problem})", problem=problem), where=str(path)
        ) from None
    return validated_plan(data, path)


def validated_plan(data: Mapping[str, Any], path: Path) -> MonthlyPlanSpec:
    """Check a plan whole: its keys by themselves, and what cannot be meant together.

    Raises
    ------
    SpecError
        Anything in it is wrong: all faults at once.
    """
    contrary = [
        Fault(found=text, where=place(path, data, location))
        for location, text in _contradictions(data)
    ]
    try:
        spec = validate(MonthlyPlanSpec, data, path=path, error=SpecError)
    except SpecError as problem:
        raise SpecError([*problem.faults, *contrary]) from None
    if contrary:
        raise SpecError(contrary)
    return spec


def _contradictions(data: Mapping[str, Any]) -> list[tuple[tuple[str, ...], str]]:
    """List what cannot be meant, each with the key it concerns; tolerates other faults."""
    found: list[tuple[tuple[str, ...], str]] = []
    month = str(data.get("month", ""))
    activities = data.get("activities")
    if isinstance(activities, Mapping) and re.fullmatch(r"[0-9]{4}-[0-9]{2}", month):
        for name, activity in activities.items():
            day = str(activity.get("day", "")) if isinstance(activity, Mapping) else ""
            is_day = re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", day)
            if is_day and not day.startswith(f"{month}-"):
                text = say(wording.NOT_IN_MONTH, day=day, name=name, month=month)
                found.append((("activities", str(name), "day"), text))
    channels = data.get("acquisition_channels")
    if isinstance(channels, Mapping) and channels:
        shares = [
            share
            for share in channels.values()
            if isinstance(share, (int, float)) and not isinstance(share, bool)
        ]
        if len(shares) == len(channels) and abs(sum(shares) - 1) > 1e-6:
            total = formats.percent(sum(shares))
            found.append((("acquisition_channels",), say(wording.SHARES, total=total)))
    return found
