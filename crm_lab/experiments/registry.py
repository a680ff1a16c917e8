"""Pre-registration and the life of an experiment: who approved what, when, and what came of it.

An experiment is a draft until its plan is registered and approved, runs, and is closed::

    draft ──► approved ──► running ──► closed
      ▲          │
      └──────────┘  while nothing was sent

Every change, every registered plan and every decision is an entry of the append-only ledger;
nothing is kept anywhere else. The registry reads them back beside the files and names the
experiments that nobody evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, time, timedelta
from typing import Any, ClassVar, Literal, get_args
from zoneinfo import ZoneInfo

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result, plain
from crm_lab.errors import DesignError, LedgerError
from crm_lab.experiments.enrolment import registered_plan
from crm_lab.experiments.plan import Plan
from crm_lab.experiments.spec import ExperimentSpec
from crm_lab.gateway import Entry, Gateway, LedgerEntry, Reader

Status = Literal["draft", "approved", "running", "closed"]
Decision = Literal["ship", "stop", "continue", "cannot conclude"]
Evaluation = Literal["decided", "never evaluated", "never started", "open"]

TRANSITIONS: Mapping[Status, tuple[Status, ...]] = {
    "draft": ("approved",),
    "approved": ("running", "draft"),
    "running": ("closed",),
    "closed": (),
}
"""What may follow what."""

Check = Callable[[], Sequence[LedgerEntry]]
"""Looks at the ledger under the writer's lock and gives what is to be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChange:
    """One change of an experiment's status.

    Attributes
    ----------
    experiment : str
        Name of the experiment.
    from_status, to_status : Status
        Before and after.
    by, note : str
        Who did it, and why.
    at : datetime
        Business time (UTC, without zone).
    """

    experiment: str
    from_status: Status
    to_status: Status
    by: str
    at: datetime
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One place where a plan departs from the registered one.

    Attributes
    ----------
    key : str
        What differs, such as ``alpha`` or ``shares.reminder``.
    registered, found : str
        Both values, in words.
    """

    key: str
    registered: str
    found: str

    def __str__(self) -> str:
        return f"{self.key}: registered {self.registered}, found {self.found}"


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

    title: ClassVar[str] = "Experiments"

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
        """Say how many there are, where they stand, and name those never evaluated."""
        if not self.rows:
            return "There is no experiment yet."
        counts = [(status, sum(r.status == status for r in self.rows)) for status in TRANSITIONS]
        stand = ", ".join(f"{count} {status}" for status, count in counts if count)
        text = f"{_counted(len(self.rows), 'experiment')}: {stand}."
        if self.never_evaluated:
            text += f" Never evaluated: {', '.join(self.never_evaluated)}."
        elif any(row.evaluation == "decided" for row in self.rows):
            text += " Every experiment that has ended was evaluated."
        others = len(self.attention) - len(self.never_evaluated)
        return text + (f" {_counted(others, 'other point')} to look at." if others else "")

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
        return self.to_frame()[[*shown, "decision"]]


def current_status(gateway: Gateway, name: str) -> Status:
    """Give the status of an experiment; one that was never touched is a draft."""
    history = status_history(gateway, name)
    return history[-1].to_status if history else "draft"


def status_history(gateway: Gateway, name: str) -> tuple[StatusChange, ...]:
    """Give every change of an experiment's status, in order."""
    return tuple(
        StatusChange(
            experiment=name,
            from_status=entry.payload["from"],
            to_status=entry.payload["to"],
            by=str(entry.payload["by"]),
            at=datetime.fromisoformat(entry.payload["at"]),
            note=str(entry.payload["note"]),
        )
        for entry in gateway.entries(kind="status_changed", subject=name)
    )


def change_status(
    gateway: Gateway, name: str, to: Status, *, by: str, at: datetime, note: str = ""
) -> StatusChange:
    """Move an experiment to its next status, with who did it and when.

    Parameters
    ----------
    gateway : Gateway
        Holds the ledger.
    name : str
        Name of the experiment.
    to : {"draft", "approved", "running", "closed"}
        Where it goes. Approving needs a registered plan, running needs assigned arms, and back to
        draft goes only what was not sent.
    by, note : str
        Who, and why.
    at : datetime
        Business time (UTC, without zone), not before the last change.

    Raises
    ------
    LedgerError
        The change is impossible; the message says what is possible.
    DesignError
        Nobody is named, or the time has a zone.
    BusyError
        Another process is writing.
    """
    _signed(by, at)

    def entries() -> list[LedgerEntry]:
        return [_status_entry(gateway, name, to, by=by, at=at, note=note)]

    _write(gateway, f"status of {name}", entries)
    return status_history(gateway, name)[-1]


def register_plan(gateway: Gateway, plan: Plan, *, by: str, at: datetime) -> str:
    """Freeze a resolved plan by its hash before anything is sent, and give the hash.

    Registering the plan that stands changes nothing. Another plan of the same name replaces it
    only while the experiment is a draft without assigned arms; both stay in the ledger.

    Raises
    ------
    LedgerError
        Another plan stands, or the outcome window is over.
    DesignError
        Nobody is named, or the time has a zone.
    BusyError
        Another process is writing.
    """
    _signed(by, at)
    sha256 = plan.sha256

    def stands() -> bool:
        known = registered_plan(gateway, plan.name, required=False)
        if known is None or known.sha256 == sha256:  # equal mappings may differ in their order
            return known is not None
        status = current_status(gateway, plan.name)
        is_assigned = bool(gateway.entries(kind="arms_assigned", subject=plan.name))
        if is_assigned or status != "draft":
            differences = plan_differences(known, plan)
            raise LedgerError(
                f"another plan of '{plan.name}' is registered"
                f" ({formats.listing(map(str, differences))})",
                expected="the registered plan, or a draft to which nobody was assigned yet",
                where=f"status {status}, arms {'drawn' if is_assigned else 'not drawn'}",
                remedy="give the changed experiment a new name"
                if is_assigned
                else "take the experiment back to draft first",
            )
        return False

    def entries() -> list[LedgerEntry]:
        if stands():
            return []
        if at >= plan.ends_at:
            raise LedgerError(
                f"the window of '{plan.name}' is over, so its outcome could be known",
                expected="a plan that is registered before its start",
            )
        payload = {"sha256": sha256, "plan": plan.to_payload(), "by": by, "at": at.isoformat()}
        return [("plan_registered", plan.name, payload)]

    if not stands():
        _write(gateway, f"plan of {plan.name}", entries)
    return sha256


def plan_differences(registered: Plan, found: Plan) -> tuple[Difference, ...]:
    """Say where a plan departs from the registered one, key by key.

    Parameters
    ----------
    registered : Plan
        What the ledger holds.
    found : Plan
        What the file says now, or what an analysis followed.
    """
    differences: list[Difference] = []
    for field in fields(Plan):
        before, after = getattr(registered, field.name), getattr(found, field.name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            differences += _mapping_differences(field.name, before, after)
        elif before != after:
            differences.append(_difference(field.name, before, after))
    return tuple(differences)


def record_decision(
    gateway: Gateway,
    name: str,
    *,
    decision: Decision,
    by: str,
    at: datetime,
    note: str = "",
    result_sha256: str = "",
    snapshot: str = "",
    close: bool = False,
) -> None:
    """Write what was decided on an experiment, and on which result.

    Parameters
    ----------
    gateway : Gateway
        Holds the ledger.
    name : str
        Name of an experiment whose arms were drawn.
    decision : {"ship", "stop", "continue", "cannot conclude"}
        What was decided; "cannot conclude" is a normal one.
    by, note : str
        Who, and why.
    at : datetime
        Business time (UTC, without zone).
    result_sha256, snapshot : str
        Hash of the result or report it rests on, or label of the data snapshot; one of the two.
    close : bool
        Whether the experiment is closed with it, in the same transaction.

    Raises
    ------
    LedgerError
        The experiment was never assigned, is closed with a decision already, or cannot be closed
        from where it stands; nothing is written.
    DesignError
        The decision is none of these, nobody is named, or it rests on nothing.
    BusyError
        Another process is writing.
    """
    _signed(by, at)
    if decision not in get_args(Decision):
        raise DesignError(
            f"'{decision}' is no decision", expected=f"one of {', '.join(get_args(Decision))}"
        )
    if not result_sha256 and not snapshot:
        raise DesignError(
            f"the decision on '{name}' rests on no result",
            expected="the hash of the result (result_sha256) or the snapshot it was read from",
        )
    if close and decision == "continue":
        raise DesignError(
            f"'{name}' cannot be continued and closed", expected="one of the two", where=name
        )

    def entries() -> list[LedgerEntry]:
        plan = registered_plan(gateway, name)
        assert plan is not None  # required=True raises instead
        if not gateway.entries(kind="arms_assigned", subject=name):
            raise LedgerError(
                f"nobody was assigned to '{name}', so there is nothing to decide",
                remedy=f"assign it with: crm-lab experiment assign {name}",
            )
        status = current_status(gateway, name)
        earlier = gateway.entries(kind="decision", subject=name)
        if status == "closed" and earlier:
            raise LedgerError(
                f"'{name}' is closed with the decision '{earlier[-1].payload['decision']}'",
                expected="one last decision; a new look at it is a new experiment",
            )
        payload = {
            "decision": decision,
            "by": by,
            "at": at.isoformat(),
            "note": note,
            "plan_sha256": plan.sha256,
            "result_sha256": result_sha256 or None,
            "snapshot": snapshot or None,
            "before_end": at < plan.ends_at,
        }
        written: list[LedgerEntry] = [("decision", name, payload)]
        if close and status != "closed":
            reason = note or f"decided: {decision}"
            written.append(_status_entry(gateway, name, "closed", by=by, at=at, note=reason))
        return written

    _write(gateway, f"decision on {name}", entries)


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
            first_day=formats.day(_local(starts_at, zone)),
            last_day=formats.day(_local(ends_at, zone) - timedelta(days=1)),
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
            attention.append((1, f"{name}: the file departs from the registered plan ({listed})."))
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
    name = row.name
    if row.evaluation == "never evaluated":
        how = "was closed" if as_of < row.ends_at else f"ended on {row.last_day}"
        found.append((0, f"{name} {how} and was never evaluated ({row.owner})."))
    if row.evaluation == "never started":
        found.append((3, f"{name}: its window ended on {row.last_day} and nobody was assigned."))
    if row.is_exported and row.status in ("draft", "approved"):
        found.append((2, f"{name} was sent while its status is '{row.status}'."))
    if row.status == "running" and row.decision and as_of >= row.ends_at:
        found.append((3, f"{name} is decided ({row.decision}) and over, but still 'running'."))
    if row.registered_at is not None and row.registered_at > row.starts_at:
        found.append((1, f"{name}: its plan was registered after its start on {row.first_day}."))
    is_early = any(entry.payload.get("before_end") for entry in known.of("decision", name)[-1:])
    if is_early and row.decision in ("ship", "cannot conclude"):
        found.append((1, f"{name}: '{row.decision}' was decided before its window ended."))
    if not row.has_file:
        found.append((4, f"{name} stands in the ledger and has no file."))
    return found


def _status_entry(
    gateway: Gateway, name: str, to: Status, *, by: str, at: datetime, note: str
) -> LedgerEntry:
    """Check a change against the ledger and give its entry."""
    history = status_history(gateway, name)
    now: Status = history[-1].to_status if history else "draft"
    plan = registered_plan(gateway, name, required=False)
    obstacles = {
        status: _obstacle(gateway, name, now, status, is_registered=plan is not None)
        for status in TRANSITIONS[now]
    }
    possible = [status for status, obstacle in obstacles.items() if not obstacle]
    if to not in obstacles or obstacles[to]:
        why = obstacles.get(to, "")
        raise LedgerError(
            f"'{name}' cannot go from '{now}' to '{to}'" + (f": {why}" if why else ""),
            expected=f"{' or '.join(possible)}"
            if possible
            else "; ".join(f"{status}, but {why}" for status, why in obstacles.items())
            or "nothing: a closed experiment stays closed, and a new one gets a new name",
        )
    if history and at < history[-1].at:
        raise LedgerError(
            f"the change of '{name}' is dated {at:%Y-%m-%d %H:%M}, before its last one",
            expected=f"{history[-1].at:%Y-%m-%d %H:%M} or later",
        )
    payload = {
        "from": now,
        "to": to,
        "by": by,
        "at": at.isoformat(),
        "note": note,
        "plan_sha256": None if plan is None else plan.sha256,
    }
    return ("status_changed", name, payload)


def _obstacle(gateway: Gateway, name: str, now: Status, to: Status, *, is_registered: bool) -> str:
    """Say what stands in the way of an allowed transition; empty when nothing does."""
    if to == "approved" and not is_registered:
        return "no plan is registered, so there is nothing to approve"
    if to == "running" and not gateway.entries(kind="arms_assigned", subject=name):
        return "no arms are drawn yet"
    if to == "draft" and gateway.entries(kind="list_exported", subject=name):
        return f"its list was exported, and what is sent cannot be taken back from '{now}'"
    return ""


def _write(gateway: Gateway, reason: str, check: Check) -> None:
    """Write entries that ``check`` gives under the writer's lock, all of them or none."""
    found: list[LedgerEntry] = []

    def look(reader: Reader) -> None:
        found.extend(check())

    def entries(reader: Reader, files: Mapping[str, str]) -> list[LedgerEntry]:
        return found

    gateway.append({}, reason=reason, entries=entries, check=look)


def _signed(by: str, at: datetime) -> None:
    if not by.strip():
        raise DesignError("nobody is named", expected="who does it, as 'by'")
    if at.tzinfo is not None:
        raise DesignError(f"the time {at} has a zone", expected="UTC without zone")


def _mapping_differences(
    key: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[Difference]:
    found: list[Difference] = []
    for name in dict.fromkeys([*before, *after]):
        one, other = before.get(name), after.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += _mapping_differences(f"{key}.{name}", one, other)
        elif one != other or (name in before) != (name in after):
            found.append(_difference(f"{key}.{name}", one, other))
    if not found and list(before) != list(after):  # arms own their buckets in this order
        found.append(_difference(f"{key} (order)", tuple(before), tuple(after)))
    return found


def _difference(key: str, before: object, after: object) -> Difference:
    return Difference(key=key, registered=_words(key, before), found=_words(key, after))


def _words(key: str, value: object) -> str:
    """Write a value of a plan for people."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(key, item)}" for name, item in value.items())
    if isinstance(value, float):
        first = key.partition(".")[0]
        is_share = "share" in first or first == "factors"
        return f"{100 * value:.10g} %" if is_share else f"{value:.12g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_words(key, item) for item in value) or "nothing"
    if isinstance(value, str):
        return f"'{value}'"
    return str(plain(value))


def _utc(local: datetime, zone: ZoneInfo) -> datetime:
    return local.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)


def _local(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.replace(tzinfo=UTC).astimezone(zone)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
