"""Epochs of the control group: the rule a group was drawn with, from when to when.

A change of share, salt, population or unit is a new epoch: the old one is closed and stays
readable for ever. What is open and what is closed stands in the append-only ledger.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from crm_lab import formats
from crm_lab.errors import LedgerError
from crm_lab.experiments.control_group_spec import ControlGroupSpec, StableSpec
from crm_lab.gateway import Entry, Gateway
from crm_lab.language import say

RULE_TEXT = "floor(first 8 hex digits of sha256(salt:unit_id) * 10000 / 2**32)"
RULE_KEYS = ("share", "salt", "channel", "unit", "strata")
"""What makes an epoch; a change of any of them opens a new one."""
DEFAULT_STABLE = StableSpec()
"""The rule of epochs whose file, or whose time, named none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One epoch of the control group, as the ledger holds it.

    Attributes
    ----------
    epoch_id, name : str
        Name and number, such as ``global-1``; name of the group.
    share, salt, channel : float, str, str
        The rule of the draw; a customer is eligible who may be reached through the channel.
    unit : {"customer", "cluster"}
        What is drawn: single customers, or everybody who shares a contact, together.
    strata : tuple of str
        Within which groups the first draw was balanced; newcomers fall in by the hash alone.
    opened_at : datetime
        Business time of the first draw (UTC).
    closed_at : datetime or None
        Business time from which it no longer protects anybody; None while it is open.
    planned_horizon_days : int
        How long it is meant to be held.
    exempt_classes : tuple of str
        Message classes that controls do receive.
    draw : str
        How the first draw was made: hash, stratum, or upload.
    attempts : int
        How many salts were tried until the groups were alike (1: no rerandomisation).
    stable_weeks, stable_minimum : int, float
        When the gain of all contact together is called stable (see `StableSpec`); of epochs that
        were opened before there was such a rule, the default.
    """

    epoch_id: str
    name: str
    share: float
    salt: str
    channel: str
    unit: Literal["customer", "cluster"]
    strata: tuple[str, ...]
    opened_at: datetime
    planned_horizon_days: int
    exempt_classes: tuple[str, ...]
    closed_at: datetime | None = None
    draw: str = "hash"
    attempts: int = 1
    stable_weeks: int = DEFAULT_STABLE.weeks
    stable_minimum: float = DEFAULT_STABLE.minimum

    @property
    def scope(self) -> str:
        """Scope of its members in the assignment table."""
        return f"epoch:{self.epoch_id}"

    @property
    def drawn_salt(self) -> str:
        """Salt that the hash really used: a rerandomised draw tells its attempt."""
        return self.salt if self.attempts == 1 else f"{self.salt}#{self.attempts}"

    def to_payload(self) -> dict[str, object]:
        """Give what the ledger keeps of the epoch when it is opened."""
        return {
            "name": self.name,
            "share": self.share,
            "salt": self.salt,
            "channel": self.channel,
            "unit": self.unit,
            "strata": list(self.strata),
            "opened_at": self.opened_at.isoformat(),
            "planned_horizon_days": self.planned_horizon_days,
            "exempt_classes": list(self.exempt_classes),
            "draw": self.draw,
            "attempts": self.attempts,
            "stable": {"weeks": self.stable_weeks, "minimum": self.stable_minimum},
            "rule": RULE_TEXT,
        }


def epochs(gateway: Gateway, name: str | None = None) -> list[Epoch]:
    """Give every epoch in the order in which they were opened, of one group or of all."""
    closed = {entry.subject: entry for entry in gateway.entries(kind="epoch_closed")}
    found = []
    for entry in gateway.entries(kind="epoch_opened"):
        epoch = _from_entry(entry)
        end = closed.get(epoch.epoch_id)
        if end is not None:
            epoch = replace(epoch, closed_at=datetime.fromisoformat(end.payload["closed_at"]))
        if name is None or epoch.name == name:
            found.append(epoch)
    return found


def open_epoch(gateway: Gateway, name: str) -> Epoch | None:
    """Give the open epoch of a control group, or None when there is none."""
    standing = [epoch for epoch in epochs(gateway, name) if epoch.closed_at is None]
    return standing[-1] if standing else None


def required_epoch(gateway: Gateway, name: str) -> Epoch:
    """Give the open epoch of a control group.

    Raises
    ------
    LedgerError
        None was drawn yet.
    """
    epoch = open_epoch(gateway, name)
    if epoch is None:
        raise LedgerError(
            say("the control group '{name}' was never drawn", name=name),
            remedy=say("draw it with: crm-lab control-group draw"),
        )
    return epoch


def next_epoch(
    gateway: Gateway, spec: ControlGroupSpec, *, as_of: datetime, draw: str = "hash"
) -> Epoch:
    """Give the epoch that a draw by ``spec`` would open at ``as_of``.

    Raises
    ------
    LedgerError
        It would overlap an epoch of the same group that ended later.
    """
    before = epochs(gateway, spec.name)
    late = [epoch for epoch in before if as_of < (epoch.closed_at or epoch.opened_at)]
    if late:
        raise LedgerError(
            say(
                "an epoch from {start} would overlap {epoch}",
                start=formats.day(as_of),
                epoch=late[-1].epoch_id,
            ),
            expected=say(
                "a start after {day}", day=formats.day(late[-1].closed_at or late[-1].opened_at)
            ),
        )
    return Epoch(
        epoch_id=f"{spec.name}-{len(before) + 1}",
        name=spec.name,
        share=spec.share,
        salt=spec.salt,
        channel=spec.channel,
        unit=spec.unit,
        strata=spec.strata,
        opened_at=as_of,
        planned_horizon_days=spec.planned_horizon_days,
        exempt_classes=spec.exempt_classes,
        draw=draw if draw != "hash" else ("stratum" if spec.strata else "hash"),
        stable_weeks=spec.stable.weeks,
        stable_minimum=spec.stable.minimum,
    )


def changed_rule(epoch: Epoch, spec: ControlGroupSpec) -> list[str]:
    """Say in what the file differs from the rule of an epoch; empty when it is the same."""
    return [
        say(
            "{key} {drawn} (the file says {written})",
            key=key,
            drawn=getattr(epoch, key),
            written=getattr(spec, key),
        )
        for key in RULE_KEYS
        if getattr(epoch, key) != getattr(spec, key)
    ]


def _from_entry(entry: Entry) -> Epoch:
    payload = entry.payload
    stable = payload.get("stable", {})
    return Epoch(
        epoch_id=entry.subject,
        name=str(payload["name"]),
        share=float(payload["share"]),
        salt=str(payload["salt"]),
        channel=str(payload["channel"]),
        unit=payload["unit"],
        strata=tuple(payload["strata"]),
        opened_at=datetime.fromisoformat(payload["opened_at"]),
        planned_horizon_days=int(payload["planned_horizon_days"]),
        exempt_classes=tuple(payload["exempt_classes"]),
        draw=str(payload["draw"]),
        attempts=int(payload["attempts"]),
        stable_weeks=int(stable.get("weeks", DEFAULT_STABLE.weeks)),
        stable_minimum=float(stable.get("minimum", DEFAULT_STABLE.minimum)),
    )
