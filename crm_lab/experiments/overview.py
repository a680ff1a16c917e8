"""All experiments at once: how each stands, and which of them nobody evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import ClassVar, Literal
from zoneinfo import ZoneInfo

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.experiments.differences import plan_differences
from crm_lab.experiments.plan import Plan
from crm_lab.experiments.registry import TRANSITIONS, Status
from crm_lab.experiments.spec import ExperimentSpec
from crm_lab.gateway import Entry, Gateway
from crm_lab.language import message, say, say_many, word

Evaluation = Literal["decided", "never evaluated", "never started", "open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryRow:
    """One experiment, as files and ledger know it.

    Attributes
    ----------
    name, headline, owner : str
        Of the registered plan, or of the file where none is registered.
    status : Status
        Where it stands.
    registered_at : datetime or None
        When its plan was registered.
    starts_at, ends_at : datetime
        Outcome window in UTC, end excluded.
    first_day, last_day : datetime.date
        The same as days of the company, both included.
    assigned : int
        Customers with an arm, the control group included.
    is_exported : bool
        Whether a send list was exported.
    decision : str
        The last decision, or empty.
    evaluation : {"decided", "never evaluated", "never started", "open"}
        Whether its result is known: a decision was recorded; the window has passed without one;
        the window has passed and nobody was ever assigned; or it is not over yet.
    has_file : bool
        Whether there is a file of this name.
    """

    name: str
    headline: str
    owner: str
    status: Status
    registered_at: datetime | None
    starts_at: datetime
    ends_at: datetime
    first_day: str
    last_day: str
    assigned: int
    is_exported: bool
    decision: str
    evaluation: Evaluation
    has_file: bool


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Registry(Result):
    """Every experiment of a workbench, and which of them nobody evaluated.

    Attributes
    ----------
    rows : tuple of RegistryRow
        One per experiment, the latest start first.
    attention : tuple of str
        What somebody should look at, in words, the most pressing first.
    as_of : datetime
        The moment it is judged at (UTC).
    """

    title: ClassVar[str] = message("Experiments")

    rows: tuple[RegistryRow, ...]
    attention: tuple[str, ...]
    as_of: datetime

    def named(self, evaluation: Evaluation) -> tuple[str, ...]:
        """Name the experiments of one state of evaluation."""
        return tuple(row.name for row in self.rows if row.evaluation == evaluation)

    @property
    def never_evaluated(self) -> tuple[str, ...]:
        """Experiments whose window has passed without a decision."""
        return self.named("never evaluated")

    def sentence(self) -> str:
        """Say how many there are and where they stand, and name all that needs a look."""
        if not self.rows:
            return say("There is no experiment yet.")
        counts = [(status, sum(r.status == status for r in self.rows)) for status in TRANSITIONS]
        stand = ", ".join(
            say("{count} {status}", count=count, status=word(status))
            for status, count in counts
            if count
        )
        parts = [
            say_many(
                "{count} experiment: {stand}.",
                "{count} experiments: {stand}.",
                len(self.rows),
                stand=stand,
            )
        ]
        if self.never_evaluated:
            parts.append(say("Never evaluated: {names}.", names=", ".join(self.never_evaluated)))
        elif any(row.evaluation == "decided" for row in self.rows):
            parts.append(say("Every experiment that has ended was evaluated."))
        others = self.attention[len(self.never_evaluated) :]  # those stand first, each once
        if others:
            parts.append(
                say_many(
                    "{count} other point to look at: {points}",
                    "{count} other points to look at: {points}",
                    len(others),
                    points=" ".join(others),
                )
            )
        return " ".join(parts)

    def to_frame(self) -> pd.DataFrame:
        """Give one row per experiment."""
        return pd.DataFrame(
            [
                {
                    "name": row.name,
                    "title": row.headline,
                    "owner": row.owner,
                    "status": row.status,
                    "registered_at": row.registered_at,
                    "first_day": row.first_day,
                    "last_day": row.last_day,
                    "assigned_customers": row.assigned,
                    "list_exported": row.is_exported,
                    "decision": row.decision,
                    "evaluation": row.evaluation,
                    "has_file": row.has_file,
                }
                for row in self.rows
            ],
            columns=[
                "name",
                "title",
                "owner",
                "status",
                "registered_at",
                "first_day",
                "last_day",
                "assigned_customers",
                "list_exported",
                "decision",
                "evaluation",
                "has_file",
            ],
        )

    def card_frame(self) -> pd.DataFrame:
        """Give what fits on a card."""
        shown = ["name", "owner", "status", "last_day", "assigned_customers", "evaluation"]
        frame = self.to_frame()[[*shown, "decision"]]
        return frame.assign(last_day=[_day(row.last_day) for row in self.rows])


def build_registry(
    gateway: Gateway,
    specs: Mapping[str, ExperimentSpec],
    *,
    as_of: datetime,
    timezone: str = "UTC",
    file_plans: Mapping[str, Plan] | None = None,
) -> Registry:
    """List every experiment that has a file or stands in the ledger, and what is open about it.

    Parameters
    ----------
    gateway : Gateway
        Holds the ledger.
    specs : mapping
        The experiments that have a file, by name.
    as_of : datetime
        The moment it is judged at (UTC, without zone).
    timezone : str
        IANA name of the zone whose days the company means.
    file_plans : mapping, optional
        What the files resolve to now, by name, to see where they depart from what is registered.
    """
    known = _Known(gateway)
    zone = ZoneInfo(timezone)
    rows: list[RegistryRow] = []
    attention: list[tuple[int, str]] = []
    for name in sorted({*specs, *known.names()}):
        spec, plan = specs.get(name), known.plan(name)
        if plan is not None:
            starts_at, ends_at = plan.starts_at, plan.ends_at
        elif spec is not None:
            starts_at = _utc(datetime.combine(spec.starts_on, time()), zone)
            ends_at = _utc(datetime.combine(spec.ends_on, time()) + timedelta(days=1), zone)
        else:  # a status without a plan or a file cannot be written by this module
            continue
        declared = plan or spec
        assert declared is not None
        row = RegistryRow(
            name=name,
            headline=declared.title,
            owner=declared.owner,
            status=known.status(name),
            registered_at=known.registered_at(name),
            starts_at=starts_at,
            ends_at=ends_at,
            first_day=_local(starts_at, zone).date().isoformat(),
            last_day=(_local(ends_at, zone) - timedelta(days=1)).date().isoformat(),
            assigned=known.assigned(name),
            is_exported=bool(known.of("list_exported", name)),
            decision=known.decision(name),
            evaluation=known.evaluation(name, ends_at, as_of),
            has_file=spec is not None,
        )
        rows.append(row)
        attention += _attention(row, known, as_of)
        resolved = (file_plans or {}).get(name)
        if plan is not None and resolved is not None and resolved.sha256 != plan.sha256:
            listed = formats.listing(map(str, plan_differences(plan, resolved)))
            text = say(
                "{name}: the file departs from the registered plan ({where}).",
                name=name,
                where=listed,
            )
            attention.append((1, text))
    return Registry(
        rows=tuple(sorted(rows, key=lambda row: row.starts_at, reverse=True)),
        attention=tuple(text for _, text in sorted(attention)),
        as_of=as_of,
    )


class _Known:
    """What the ledger says about experiments, read once."""

    KINDS = ("plan_registered", "arms_assigned", "list_exported", "status_changed", "decision")

    def __init__(self, gateway: Gateway) -> None:
        self._entries: dict[tuple[str, str], list[Entry]] = {}
        for entry in gateway.entries():
            if entry.kind in self.KINDS:
                self._entries.setdefault((entry.kind, entry.subject), []).append(entry)

    def names(self) -> set[str]:
        return {subject for _, subject in self._entries}

    def of(self, kind: str, name: str) -> list[Entry]:
        return self._entries.get((kind, name), [])

    def plan(self, name: str) -> Plan | None:
        found = self.of("plan_registered", name)
        return Plan.from_payload(found[-1].payload["plan"]) if found else None

    def registered_at(self, name: str) -> datetime | None:
        """Give the business time of the registration, or else when the entry was written."""
        found = self.of("plan_registered", name)
        if not found:
            return None
        timed = [found[-1], *self.of("arms_assigned", name)]
        given = [entry.payload["at"] for entry in timed if "at" in entry.payload]
        return datetime.fromisoformat(given[0]) if given else found[-1].at.replace(tzinfo=None)

    def status(self, name: str) -> Status:
        found = self.of("status_changed", name)
        status: Status = found[-1].payload["to"] if found else "draft"
        return status

    def assigned(self, name: str) -> int:
        drawn = self.of("arms_assigned", name)
        return sum(int(count) for entry in drawn for count in entry.payload["arms"].values())

    def decision(self, name: str) -> str:
        found = self.of("decision", name)
        return str(found[-1].payload["decision"]) if found else ""

    def evaluation(self, name: str, ends_at: datetime, as_of: datetime) -> Evaluation:
        if self.of("decision", name):
            return "decided"
        if as_of < ends_at and self.status(name) != "closed":
            return "open"
        return "never evaluated" if self.of("arms_assigned", name) else "never started"


def _attention(row: RegistryRow, known: _Known, as_of: datetime) -> list[tuple[int, str]]:
    """Say what somebody should look at, each with its rank (0: most pressing)."""
    found: list[tuple[int, str]] = []
    told = {
        "name": row.name,
        "owner": row.owner,
        "status": word(row.status),
        "decision": word(row.decision),
        "first_day": _day(row.first_day),
        "last_day": _day(row.last_day),
    }
    if row.evaluation == "never evaluated":
        text = (
            say("{name} was closed and was never evaluated ({owner}).", **told)
            if as_of < row.ends_at
            else say("{name} ended on {last_day} and was never evaluated ({owner}).", **told)
        )
        found.append((0, text))
    if row.evaluation == "never started":
        found.append(
            (3, say("{name}: its window ended on {last_day} and nobody was assigned.", **told))
        )
    if row.is_exported and row.status in ("draft", "approved"):
        found.append((2, say("{name} was sent while its status is '{status}'.", **told)))
    if row.status == "running" and row.decision and as_of >= row.ends_at:
        found.append(
            (3, say("{name} is decided ({decision}) and over, but still '{status}'.", **told))
        )
    if row.registered_at is not None and row.registered_at > row.starts_at:
        found.append(
            (1, say("{name}: its plan was registered after its start on {first_day}.", **told))
        )
    is_early = any(entry.payload.get("before_end") for entry in known.of("decision", row.name)[-1:])
    if is_early and row.decision in ("ship", "cannot conclude"):
        found.append((1, say("{name}: '{decision}' was decided before its window ended.", **told)))
    if not row.has_file:
        found.append((4, say("{name} stands in the ledger and has no file.", **told)))
    return found


def _utc(local: datetime, zone: ZoneInfo) -> datetime:
    return local.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)


def _local(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.replace(tzinfo=UTC).astimezone(zone)


def _day(text: str) -> str:
    return formats.day(date.fromisoformat(text))
