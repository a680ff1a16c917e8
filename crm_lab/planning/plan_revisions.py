"""Revisions of a monthly plan: entries of the append-only ledger; the file stays as it is.

The plan that counts is the file with its revisions. Each of them holds the old value and the new
one, the reason, who, when and the report it came from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError, LedgerError, SpecError
from crm_lab.experiments.spec import MONTHLY_PLAN_FILE
from crm_lab.gateway import EntryKind, Gateway, LedgerEntry, Reader
from crm_lab.language import message, say, using_language
from crm_lab.planning import pacing_wording as wording
from crm_lab.planning.monthly_plan import (
    ActivitySpec,
    MonthlyPlanSpec,
    load_monthly_plan,
    validated_plan,
)

PLAN_REVISED: EntryKind = "plan_revised"
REMOVED = "none"
"""Written as new value of an activity, it takes the activity out of the plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRevision:
    """One change of a monthly plan, as the ledger holds it.

    Attributes
    ----------
    item : str
        What was changed: ``target``, ``wave-2`` or ``wave-2.expected``.
    old, new : object
        The values before and after; None where an activity was added or taken out.
    reason, by : str
        Why, and who.
    at : datetime
        Business time (UTC, without zone).
    report : str
        The report it came from; empty: none was named.
    file_sha256 : str
        Hash of the plan's file at that time.
    """

    item: str
    old: Any
    new: Any
    reason: str
    by: str
    at: datetime
    report: str
    file_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class MonthlyPlan(Result):
    """The plan that counts: the file with its revisions.

    Attributes
    ----------
    spec : MonthlyPlanSpec
        What counts now.
    written : MonthlyPlanSpec
        What the file says.
    revisions : tuple of PlanRevision
        In order.
    file_sha256 : str
        Hash of the file.
    """

    title: ClassVar[str] = message("Revisions of the plan")

    spec: MonthlyPlanSpec
    written: MonthlyPlanSpec
    revisions: tuple[PlanRevision, ...]
    file_sha256: str

    @property
    def is_file_changed(self) -> bool:
        """Whether the file was changed after the last revision."""
        return bool(self.revisions) and self.revisions[-1].file_sha256 != self.file_sha256

    def sentence(self) -> str:
        """Say how often the plan was revised, and the last change."""
        if not self.revisions:
            return say(wording.NO_REVISION, month=formats.month(self.spec.first_day))
        last = self.revisions[-1]
        text = say(
            wording.REVISIONS,
            month=formats.month(self.spec.first_day),
            count=wording.times(len(self.revisions)),
            item=last.item,
            old=written(last.old),
            new=written(last.new),
            reason=last.reason,
        )
        return f"{text} {say(wording.ASSUME_CHANGED)}" if self.is_file_changed else text

    def to_frame(self) -> pd.DataFrame:
        """Give one row per revision."""
        with using_language("en"):
            return self.card_frame()

    def card_frame(self) -> pd.DataFrame:
        """Give the same as people read it."""
        return pd.DataFrame(
            [
                {
                    "day": formats.day(item.at),
                    "item": item.item,
                    "old": written(item.old),
                    "new": written(item.new),
                    "reason": item.reason,
                    "by": item.by,
                    "report": item.report,
                }
                for item in self.revisions
            ],
            columns=["day", "item", "old", "new", "reason", "by", "report"],
        )


def effective_plan(gateway: Gateway, folder: Path, *, until: datetime | None = None) -> MonthlyPlan:
    """Give the plan that counts: the file, and what the ledger holds of its revisions.

    Parameters
    ----------
    gateway : Gateway
        Holds the ledger.
    folder : pathlib.Path
        The experiments folder.
    until : datetime, optional
        Later revisions are left out (UTC, without zone); by default all count.

    Raises
    ------
    SpecError
        The file is wrong.
    LedgerError
        A revision does not fit the file any more.
    """
    spec = load_monthly_plan(folder)
    path = folder / MONTHLY_PLAN_FILE
    every = revisions_of(gateway, spec.month)
    revisions = tuple(item for item in every if until is None or item.at <= until)
    data = _data(spec)
    for item in revisions:
        try:
            _set(data, item.item, item.new)
        except DesignError as problem:
            raise LedgerError(
                say(wording.NOT_FITTING, fault=problem.faults[0].found),
                where=str(path),
                remedy=say(
                    "put the item back into the file; what is over is taken out by a revision"
                ),
            ) from None
    try:
        counting = validated_plan(data, path)
    except SpecError as problem:
        raise LedgerError(
            say(wording.NOT_FITTING, fault=problem.faults[0].found), where=str(path)
        ) from None
    return MonthlyPlan(
        spec=counting,
        written=spec,
        revisions=revisions,
        file_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def revisions_of(gateway: Gateway, month: str) -> tuple[PlanRevision, ...]:
    """Give the revisions of one month, in order."""
    return tuple(
        PlanRevision(
            item=str(entry.payload["item"]),
            old=entry.payload["old"],
            new=entry.payload["new"],
            reason=str(entry.payload["reason"]),
            by=str(entry.payload["by"]),
            at=datetime.fromisoformat(entry.payload["at"]),
            report=str(entry.payload["report"]),
            file_sha256=str(entry.payload["file_sha256"]),
        )
        for entry in gateway.entries(kind=PLAN_REVISED, subject=_subject(month))
    )


def revise(
    gateway: Gateway,
    folder: Path,
    *,
    item: str,
    to: str,
    reason: str,
    by: str,
    at: datetime,
    ends_at: datetime,
    report: str = "",
) -> PlanRevision:
    """Change one item of the month's plan; the ledger keeps it, the file stays as it is.

    Parameters
    ----------
    gateway : Gateway
        Holds the ledger.
    folder : pathlib.Path
        The experiments folder.
    item : str
        ``target``, the name of an activity, or one of its keys as ``wave-2.expected``.
    to : str
        The new value as in the file; of an activity ``{day: ..., recipients: ..., ...}``, or
        ``none`` to take it out.
    reason, by : str
        Why, and who.
    at : datetime
        Business time (UTC, without zone), not before the last revision.
    ends_at : datetime
        First moment after the month (UTC, without zone).
    report : str
        The report it came from, by its run id.

    Raises
    ------
    DesignError
        Nobody or no reason is named, the item is unknown, or the value is wrong or the old one.
    LedgerError
        The month is over, or the date is before the last revision.
    BusyError
        Another process is writing.
    """
    if not by.strip():
        raise DesignError(say("nobody is named"), expected=say("who does it, as 'by'"))
    if not reason.strip():
        raise DesignError(say(wording.NO_REASON), expected=say("why the plan is changed"))
    if at.tzinfo is not None:
        raise DesignError(
            say("the time {moment} has a zone", moment=at), expected=say("UTC without zone")
        )
    new = read_value(to)
    written_entries: list[LedgerEntry] = []

    def look(reader: Reader) -> None:
        plan = effective_plan(gateway, folder)
        month = plan.spec.month
        if at >= ends_at:
            raise LedgerError(
                say(wording.MONTH_OVER, month=month), expected=say("the running month")
            )
        if plan.revisions and at < plan.revisions[-1].at:
            raise LedgerError(
                say(wording.BEFORE_LAST, at=formats.minute(at)),
                expected=say("{moment} or later", moment=formats.minute(plan.revisions[-1].at)),
            )
        old, final = _changed(plan.spec, item, new)
        payload = {
            "item": item,
            "old": old,
            "new": final,
            "reason": reason,
            "by": by,
            "at": at.isoformat(),
            "report": report,
            "file_sha256": plan.file_sha256,
        }
        written_entries.append((PLAN_REVISED, _subject(month), payload))

    def entries(reader: Reader, files: Mapping[str, str]) -> list[LedgerEntry]:
        return written_entries

    gateway.append({}, reason=f"revision of the plan: {item}", entries=entries, check=look)
    month = written_entries[0][1].partition(":")[2]
    return revisions_of(gateway, month)[-1]


def read_value(text: str) -> Any:
    """Read a new value as the file would: a number, a day, a word, or keys in braces.

    Raises
    ------
    DesignError
        It is empty or no YAML.

    Examples
    --------
    >>> read_value("420000"), read_value("2017-05-24"), read_value("none")
    (420000, '2017-05-24', None)
    """
    try:
        value = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError):
        value = None
    if value is None and text.strip() != REMOVED:
        raise DesignError(
            say(wording.NOT_READABLE, text=text),
            expected=say("a number, a day, a word, {key: value, ...} or none"),
        )
    return None if text.strip() == REMOVED else _json(value)


def written(value: object) -> str:
    """Write a value of a plan for people."""
    if value is None:
        return say(wording.NOTHING)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {written(item)}" for key, item in value.items() if item != "")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return formats.number(value, decimals=0 if float(value).is_integer() else 2)
    return str(value)


def _changed(spec: MonthlyPlanSpec, item: str, new: Any) -> tuple[Any, Any]:
    """Give the old and the new value of an item, both as the plan holds them."""
    before = _data(spec)
    after = deepcopy(before)
    old = _set(after, item, new)
    try:
        checked = _data(validated_plan(after, Path(MONTHLY_PLAN_FILE)))
    except SpecError as problem:
        fault = problem.faults[0]
        raise DesignError(
            say(
                "'{item}' cannot become {value}: {fault}",
                item=item,
                value=written(new),
                fault=fault.found,
            ),
            expected=fault.expected,
            remedy=say("nothing was written"),
        ) from None
    final = _get(checked, item)
    if final == old:
        raise DesignError(
            say(wording.SAME, item=item, value=written(old)), expected=say("a change")
        )
    return old, final


def _data(spec: MonthlyPlanSpec) -> dict[str, Any]:
    """Give a plan as its file would say it, words that are not given left out."""
    data: dict[str, Any] = spec.model_dump(mode="json")
    data["activities"] = {
        name: {key: value for key, value in activity.items() if value != ""}
        for name, activity in data["activities"].items()
    }
    return data


def _set(data: dict[str, Any], item: str, new: Any) -> Any:
    """Set one item of a plan's data, and give what stood there."""
    activities: dict[str, Any] = data["activities"]
    name, _, key = item.partition(".")
    keys = list(ActivitySpec.model_fields)
    if item == "target":
        old, data["target"] = data["target"], new
        return old
    if key and name in activities and key in keys:
        old, activities[name][key] = activities[name].get(key), new
        return old
    if not key and (name in activities or isinstance(new, Mapping)):
        old = activities.pop(name, None)
        if new is not None:
            activities[name] = new
        return old
    known = ["target", *(f"{one}.{part}" for one in activities for part in keys)]
    raise DesignError(
        say(wording.NO_SUCH_ITEM, item=item),
        expected=say(wording.ITEMS, items=formats.listing([*activities, *known[1:]], limit=12)),
        remedy=say(
            "a new activity is given whole: --to '{day: ..., recipients: ..., expected: ...}'"
        ),
    )


def _get(data: Mapping[str, Any], item: str) -> Any:
    name, _, key = item.partition(".")
    if item == "target":
        return data["target"]
    found = data["activities"].get(name)
    return found if not key or found is None else found.get(key)


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    return value.isoformat() if isinstance(value, (date, datetime)) else value


def _subject(month: str) -> str:
    return f"plan:{month}"
