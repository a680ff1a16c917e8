"""Pre-registration and the life of an experiment: who approved what, when, and what came of it.

An experiment is a draft until its plan is registered and approved, runs, and is closed::

    draft ──► approved ──► running ──► closed
      ▲          │
      └──────────┘  while nothing was sent

A decision closes what runs. Where the lists went out and the window has begun, the campaign runs
whether or not anybody said so: the decision writes both steps.

Every change, every registered plan and every decision is an entry of the append-only ledger;
nothing is kept anywhere else. The registry reads them back beside the files and names the
experiments that nobody evaluated.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from crm_lab import formats
from crm_lab.errors import DesignError, LedgerError
from crm_lab.experiments.differences import plan_differences
from crm_lab.experiments.enrolment import registered_plan
from crm_lab.experiments.plan import Plan
from crm_lab.gateway import Gateway, LedgerEntry, Reader
from crm_lab.language import say, word

Status = Literal["draft", "approved", "running", "closed"]
Decision = Literal["ship", "stop", "continue", "cannot conclude"]

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
                say(
                    "another plan of '{name}' is registered ({where})",
                    name=plan.name,
                    where=formats.listing(map(str, differences)),
                ),
                expected=say("the registered plan, or a draft to which nobody was assigned yet"),
                where=say("status {status}, arms drawn", status=word(status))
                if is_assigned
                else say("status {status}, arms not drawn", status=word(status)),
                remedy=say("give the changed experiment a new name")
                if is_assigned
                else say("take the experiment back to draft first"),
            )
        return False

    def entries() -> list[LedgerEntry]:
        if stands():
            return []
        if at >= plan.ends_at:
            raise LedgerError(
                say(
                    "the window of '{name}' is over, so its outcome could be known",
                    name=plan.name,
                ),
                expected=say("a plan that is registered before its start"),
            )
        payload = {"sha256": sha256, "plan": plan.to_payload(), "by": by, "at": at.isoformat()}
        return [("plan_registered", plan.name, payload)]

    if not stands():
        _write(gateway, f"plan of {plan.name}", entries)
    return sha256


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
        Whether the experiment is closed with it, in the same transaction. One that is approved
        is first set to running there, if its lists were exported and its window has begun.

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
            say("'{decision}' is no decision", decision=decision),
            expected=say("one of {words}", words=", ".join(get_args(Decision))),
        )
    if not result_sha256 and not snapshot:
        raise DesignError(
            say("the decision on '{name}' rests on no result", name=name),
            expected=say("the hash of the result (result_sha256) or the snapshot it was read from"),
        )
    if close and decision == "continue":
        raise DesignError(
            say("'{name}' cannot be continued and closed", name=name),
            expected=say("one of the two"),
            where=name,
        )

    def entries() -> list[LedgerEntry]:
        plan = registered_plan(gateway, name)
        assert plan is not None  # required=True raises instead
        if not gateway.entries(kind="arms_assigned", subject=name):
            raise LedgerError(
                say("nobody was assigned to '{name}', so there is nothing to decide", name=name),
                remedy=say(
                    "assign it with: {command}", command=f"crm-lab experiment assign {name}"
                ),
            )
        status = current_status(gateway, name)
        earlier = gateway.entries(kind="decision", subject=name)
        if status == "closed" and earlier:
            raise LedgerError(
                say(
                    "'{name}' is closed with the decision '{decision}'",
                    name=name,
                    decision=word(earlier[-1].payload["decision"]),
                ),
                expected=say("one last decision; a new look at it is a new experiment"),
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
            sent = gateway.entries(kind="list_exported", subject=name)
            if status == "approved" and sent and at >= plan.starts_at:
                started = "its list was exported and its window has begun"
                written.append(_status_entry(gateway, name, "running", by=by, at=at, note=started))
                status = "running"
            written.append(
                _status_entry(gateway, name, "closed", by=by, at=at, note=reason, now=status)
            )
        return written

    _write(gateway, f"decision on {name}", entries)


def _status_entry(
    gateway: Gateway,
    name: str,
    to: Status,
    *,
    by: str,
    at: datetime,
    note: str,
    now: Status | None = None,
) -> LedgerEntry:
    """Check a change against the ledger and give its entry.

    With ``now``, the change follows one that is written with it and is not in the ledger yet.
    """
    history = status_history(gateway, name)
    now = now or (history[-1].to_status if history else "draft")
    plan = registered_plan(gateway, name, required=False)
    obstacles = {
        status: _obstacle(gateway, name, now, status, is_registered=plan is not None)
        for status in TRANSITIONS[now]
    }
    possible = [word(status) for status, obstacle in obstacles.items() if not obstacle]
    if to not in obstacles or obstacles[to]:
        why = obstacles.get(to, "")
        told = {"name": name, "now": word(now), "to": word(to)}
        raise LedgerError(
            say("'{name}' cannot go from '{now}' to '{to}': {why}", why=why, **told)
            if why
            else say("'{name}' cannot go from '{now}' to '{to}'", **told),
            expected=say(" or ").join(possible)
            or "; ".join(
                say("{status}, but {why}", status=word(status), why=why)
                for status, why in obstacles.items()
            )
            or say("nothing: a closed experiment stays closed, and a new one gets a new name"),
            remedy=_remedy(name, now, to, obstacles, by=by),
        )
    if history and at < history[-1].at:
        raise LedgerError(
            say(
                "the change of '{name}' is dated {moment}, before its last one",
                name=name,
                moment=formats.minute(at),
            ),
            expected=say("{moment} or later", moment=formats.minute(history[-1].at)),
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


def _remedy(name: str, now: Status, to: Status, obstacles: Mapping[Status, str], *, by: str) -> str:
    """Name the command of the first step from ``now`` towards ``to``; empty where none leads on."""
    step = _first_step(now, to)
    if step is None or (step == "draft" and obstacles[step]):
        return ""
    if not obstacles[step]:
        if step == to:
            return ""
        return say(
            "run first: {command}",
            command=f"crm-lab experiment status {name} --to {step} --by {_typed(by)}",
        )
    if step == "approved":
        return say(
            "run first: {command}",
            command=f"crm-lab experiment register {name} --by {_typed(by)}",
        )
    return say("run first: {command}", command=f"crm-lab experiment assign {name}")


def _typed(name: str) -> str:
    """Write a name as it is typed in a shell; letters of every alphabet need no marks."""
    return name if re.fullmatch(r"[\w.@-]+", name) else shlex.quote(name)


def _first_step(now: Status, to: Status) -> Status | None:
    """Give the first status on the shortest way; None where no way leads there."""
    ways: list[tuple[Status, ...]] = [(status,) for status in TRANSITIONS[now]]
    for way in ways:
        if way[-1] == to:
            return way[0]
        ways += [(*way, after) for after in TRANSITIONS[way[-1]] if after not in (now, *way)]
    return None


def _obstacle(gateway: Gateway, name: str, now: Status, to: Status, *, is_registered: bool) -> str:
    """Say what stands in the way of an allowed transition; empty when nothing does."""
    if to == "approved" and not is_registered:
        return say("no plan is registered, so there is nothing to approve")
    if to == "running" and not gateway.entries(kind="arms_assigned", subject=name):
        return say("no arms are drawn yet")
    if to == "draft" and gateway.entries(kind="list_exported", subject=name):
        return say(
            "its list was exported, and what is sent cannot be taken back from '{now}'",
            now=word(now),
        )
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
        raise DesignError(say("nobody is named"), expected=say("who does it, as 'by'"))
    if at.tzinfo is not None:
        raise DesignError(say("the time {at} has a zone", at=at), expected=say("UTC without zone"))
