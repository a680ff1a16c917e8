"""The standing control group: drawn once, kept in the ledger, joined by newcomers at one rate.

A customer who may be contacted is either a control (receives no marketing) or open to treatment,
by the bucket of the id alone. The draw is written as an epoch: share, salt and rule stand in the
append-only ledger, the members in an append-only table whose file hash the ledger holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import LedgerError
from crm_lab.experiments.assignment import TREATABLE, epoch_rows
from crm_lab.experiments.spec import CONTROL, ControlGroupSpec
from crm_lab.gateway import Gateway, LedgerEntry, Reader, operations
from crm_lab.stats import (
    DetectableEffect,
    SampleRatio,
    minimum_detectable_effect_mean,
    minimum_detectable_effect_proportion,
    sample_ratio_test,
)

HORIZON_WEEKS = (4, 8, 13)
ALPHA, POWER = 0.05, 0.8
BALANCE_LIMIT = 0.2
"""Standardised difference above which a small group is called unbalanced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One epoch of the control group, as the ledger holds it.

    Attributes
    ----------
    epoch_id : str
        Name and number, such as ``global-1``.
    share, salt, channel : float, str, str
        The rule of the draw.
    opened_at : datetime
        Business time of the first draw (UTC).
    planned_horizon_days : int
        How long it is meant to be held.
    exempt_classes : tuple of str
        Message classes that controls do receive.
    """

    epoch_id: str
    share: float
    salt: str
    channel: str
    opened_at: datetime
    planned_horizon_days: int
    exempt_classes: tuple[str, ...]

    @property
    def scope(self) -> str:
        """Scope of its members in the assignment table."""
        return f"epoch:{self.epoch_id}"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class HoldoutOutlook(Result):
    """What a control group of this share would see on this base, and what it holds back.

    Attributes
    ----------
    share : float
        Share of the eligible base.
    eligible, control : int
        Eligible customers, and expected controls among them.
    obstacles : mapping
        Customers who are not eligible, by obstacle.
    detectable : tuple of (weeks, metric, DetectableEffect)
        Smallest effect that is found with 80 % probability, per horizon and metric, from the
        base's own last weeks.
    held_revenue_per_month : float
        What the control customers spent a month, so far: the sales that campaigns may not ask for.
    currency : str
        Currency of the amounts.
    """

    title: ClassVar[str] = "What this control group would see"
    plotter: ClassVar[str] = "crm_lab.plots.control_group:plot_outlook"

    share: float
    eligible: int
    control: int
    obstacles: Mapping[str, int]
    detectable: tuple[tuple[int, str, DetectableEffect], ...]
    held_revenue_per_month: float
    currency: str

    def sentence(self) -> str:
        """Say size, sight and price of the group."""
        known = [d for w, m, d in self.detectable if w == 13 and m == "revenue per customer"]
        sight = (
            f"in 13 weeks it finds a change of revenue per customer of"
            f" {formats.percent(known[0].relative, decimals=0, signed=True)} or more"
            if known and known[0].relative == known[0].relative
            else "the base has too little history to say what it would see"
        )
        held = formats.money(self.held_revenue_per_month, self.currency)
        return (
            f"{formats.percent(self.share)} of {self.eligible:,} customers who may be contacted is"
            f" about {self.control:,} controls; {sight} (80 % probability). These customers spend"
            f" about {held} a month without being asked."
        )

    def to_frame(self) -> pd.DataFrame:
        """Give one row per horizon and metric: base value and smallest change that shows."""
        return pd.DataFrame(
            [
                {
                    "weeks": weeks,
                    "metric": metric,
                    "base value": effect.base_value,
                    "smallest change that shows": formats.percent(
                        effect.relative, decimals=0, signed=True
                    ),
                    "reason": effect.reason,
                }
                for weeks, metric, effect in self.detectable
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ControlGroupStatus(Result):
    """The control group as it stands: members, ratio, balance, ledger.

    Attributes
    ----------
    epoch : Epoch
        The open epoch.
    controls, treatable : int
        Members of each kind.
    newcomers : int
        Members who came after the first draw.
    joined : int
        Members that the last draw added.
    ratio : SampleRatio
        Whether the share of controls is what the rule promises.
    balance : pandas.DataFrame
        Covariate, mean of controls, mean of the others, standardised difference; before the draw.
    not_eligible : mapping
        Customers outside, by obstacle.
    ledger_digest : str
        Digest of the ledger's last entry.
    faults : tuple of str
        What the check of ledger and files found; empty when sound.
    """

    title: ClassVar[str] = "Control group"
    plotter: ClassVar[str] = "crm_lab.plots.control_group:plot_balance"

    epoch: Epoch
    controls: int
    treatable: int
    newcomers: int
    joined: int
    ratio: SampleRatio
    balance: pd.DataFrame
    not_eligible: Mapping[str, int]
    ledger_digest: str
    faults: tuple[str, ...]

    @property
    def worst_balance(self) -> float:
        """Largest absolute standardised difference of the balance table."""
        return float(self.balance["standardised difference"].abs().max())

    @property
    def is_balanced(self) -> bool:
        """Whether every standardised difference is within the limit."""
        return not self.worst_balance > BALANCE_LIMIT

    def sentence(self) -> str:
        """Say size, rule and soundness of the group."""
        total = self.controls + self.treatable
        state = "ledger and files are sound" if not self.faults else "; ".join(self.faults)
        return (
            f"{self.controls:,} of {total:,} customers"
            f" ({formats.percent(self.controls / total, decimals=2)}, promised"
            f" {formats.percent(self.epoch.share)}) receive no marketing since"
            f" {formats.day(self.epoch.opened_at)}; {self.newcomers:,} joined later at the same"
            f" rate. Largest standardised difference before the draw"
            f" {formats.number(self.worst_balance, decimals=2)}; {state}."
        )

    def to_frame(self) -> pd.DataFrame:
        """Give the balance table."""
        return self.balance


def open_epoch(gateway: Gateway, name: str) -> Epoch | None:
    """Give the open epoch of a control group, or None when none was drawn yet."""
    closed = {entry.subject for entry in gateway.entries(kind="epoch_closed")}
    opened = [
        entry
        for entry in gateway.entries(kind="epoch_opened")
        if entry.payload["name"] == name and entry.subject not in closed
    ]
    if not opened:
        return None
    payload = opened[-1].payload
    return Epoch(
        epoch_id=opened[-1].subject,
        share=float(payload["share"]),
        salt=str(payload["salt"]),
        channel=str(payload["channel"]),
        opened_at=datetime.fromisoformat(payload["opened_at"]),
        planned_horizon_days=int(payload["planned_horizon_days"]),
        exempt_classes=tuple(payload["exempt_classes"]),
    )


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
            f"the control group '{name}' was never drawn",
            remedy="draw it with: crm-lab control-group draw",
        )
    return epoch


def draw(gateway: Gateway, spec: ControlGroupSpec, *, as_of: datetime) -> ControlGroupStatus:
    """Draw the control group, or let newcomers join the one that stands.

    Parameters
    ----------
    gateway : Gateway
        Customers and ledger.
    spec : ControlGroupSpec
        The rule; it must be the rule of the open epoch, if there is one.
    as_of : datetime
        Business time of the draw (UTC, without zone).

    Raises
    ------
    LedgerError
        The rule differs from the open epoch's, or nobody is eligible.
    BusyError
        Another process is writing.
    """
    existing = open_epoch(gateway, spec.name)
    epoch = existing or Epoch(
        epoch_id=f"{spec.name}-1",
        share=spec.share,
        salt=spec.salt,
        channel=spec.channel,
        opened_at=as_of,
        planned_horizon_days=spec.planned_horizon_days,
        exempt_classes=spec.exempt_classes,
    )
    _same_rule(epoch, spec)
    joined: list[int] = []

    def check(reader: Reader) -> None:
        prepare_newcomers(reader, epoch, as_of)
        joined.append(reader.count("newcomer"))
        if not joined[0] and existing is None:
            raise LedgerError(
                "nobody may be contacted, so there is nobody to hold out",
                expected=f"customers with a working {epoch.channel} address and consent",
                remedy="load contact points and consents first; crm-lab status shows what is there",
            )
        if existing is None and open_epoch(gateway, spec.name) is not None:
            raise LedgerError(f"the control group '{spec.name}' was drawn in this moment")

    def entries(reader: Reader, files: Mapping[str, str]) -> list[LedgerEntry]:
        written: list[LedgerEntry] = []
        if existing is None:
            written.append(("epoch_opened", epoch.epoch_id, epoch_payload(epoch, spec.name)))
        return [*written, newcomers_entry(reader, epoch, as_of, files["assignment"])]

    if existing is None or _has_newcomers(gateway, epoch, as_of):
        gateway.append(
            {"assignment": "select * from newcomer"},
            reason=f"draw of {epoch.epoch_id}",
            entries=entries,
            check=check,
        )
    return status(gateway, spec.name, as_of=as_of, joined=joined[0] if joined else 0)


def prepare_newcomers(reader: Reader, epoch: Epoch, as_of: datetime) -> None:
    """Make the temporary table ``newcomer``: eligible, not yet in the epoch, with their draw."""
    people = (
        f"select customer_id from ({operations.reachability(epoch.channel, as_of)}) as judged"
        " where eligible and customer_id not in"
        f" (select customer_id from ({operations.assigned(epoch.scope)}) as members)"
    )
    rows = epoch_rows(people, scope=epoch.scope, salt=epoch.salt, share=epoch.share, at=as_of)
    reader.engine.execute(f"create temp table newcomer as {rows}")


def newcomers_entry(reader: Reader, epoch: Epoch, as_of: datetime, sha256: str) -> LedgerEntry:
    """Give the ledger entry of the newcomers that are about to be written."""
    members = reader.counts("newcomer", "variant")
    payload = {"at": as_of.isoformat(), "members": members, "file_sha256": sha256}
    return ("members_drawn", epoch.epoch_id, payload)


def epoch_payload(epoch: Epoch, name: str) -> dict[str, object]:
    """Give what the ledger keeps of a new epoch."""
    return {
        "name": name,
        "share": epoch.share,
        "salt": epoch.salt,
        "channel": epoch.channel,
        "unit": "customer",
        "rule": "floor(first 8 hex digits of sha256(salt:customer_id) * 10000 / 2**32)",
        "opened_at": epoch.opened_at.isoformat(),
        "planned_horizon_days": epoch.planned_horizon_days,
        "exempt_classes": list(epoch.exempt_classes),
    }


def status(gateway: Gateway, name: str, *, as_of: datetime, joined: int = 0) -> ControlGroupStatus:
    """Describe the control group as it stands at ``as_of``.

    Raises
    ------
    LedgerError
        The group was never drawn.
    """
    epoch = required_epoch(gateway, name)
    with gateway.reader() as reader:
        members = reader.frame(operations.assigned(epoch.scope))
        judged = reader.frame(operations.reachability(epoch.channel, as_of))
        before = reader.frame(
            operations.outcomes(
                operations.assigned(epoch.scope),
                starts_at=epoch.opened_at,
                ends_at=epoch.opened_at,
                pre_starts_at=epoch.opened_at - pd.Timedelta(weeks=13).to_pytimedelta(),
            )
        )
    controls = int((members["variant"] == CONTROL).sum())
    treatable = len(members) - controls
    return ControlGroupStatus(
        epoch=epoch,
        controls=controls,
        treatable=treatable,
        newcomers=int((members["assigned_at"] > epoch.opened_at).sum()),
        joined=joined,
        ratio=sample_ratio_test(
            {CONTROL: controls, TREATABLE: treatable},
            {CONTROL: epoch.share, TREATABLE: 1 - epoch.share},
        ),
        balance=balance_table(before),
        not_eligible=count_obstacles(judged),
        ledger_digest=gateway.ledger_head(),
        faults=tuple(gateway.verify()),
    )


def outlook(
    gateway: Gateway, *, share: float, channel: str, as_of: datetime, last_order_at: datetime
) -> HoldoutOutlook:
    """Say what a control group would see, before it is drawn.

    Parameters
    ----------
    gateway : Gateway
        The base.
    share : float
        Share of eligible customers to hold out.
    channel : str
        Channel that decides who may be contacted.
    as_of : datetime
        Business time of the draw (UTC).
    last_order_at : datetime
        End of the history that is used.
    """
    end = min(as_of, last_order_at)
    found: list[tuple[int, str, DetectableEffect]] = []
    held = 0.0
    with gateway.reader() as reader:
        judged = reader.frame(operations.reachability(channel, as_of))
        population = (
            "select customer_id, 'all' as variant"
            f" from ({operations.reachability(channel, as_of)}) as judged where eligible"
        )
        eligible = int(judged["eligible"].sum())
        control = round(share * eligible)
        for weeks in HORIZON_WEEKS if control >= 2 else ():
            frame = reader.frame(
                operations.outcomes(
                    population,
                    starts_at=end - pd.Timedelta(weeks=weeks).to_pytimedelta(),
                    ends_at=end,
                    pre_starts_at=end - pd.Timedelta(weeks=weeks).to_pytimedelta(),
                )
            )
            sizes = {"n_treatment": eligible - control, "n_control": control}
            found += [
                (weeks, metric, effect)
                for metric, effect in detectable_effects(frame, **sizes).items()
            ]
            held = float(frame["revenue"].mean()) * control * 52 / 12 / weeks
    return HoldoutOutlook(
        share=share,
        eligible=eligible,
        control=control,
        obstacles=count_obstacles(judged),
        detectable=tuple(found),
        held_revenue_per_month=held,
        currency=gateway.currency,
    )


def detectable_effects(
    frame: pd.DataFrame,
    *,
    n_treatment: int,
    n_control: int,
    alpha: float = ALPHA,
    power: float = POWER,
) -> dict[str, DetectableEffect]:
    """Give the smallest effect that shows per metric, from a frame of past outcomes."""
    rate = float((frame["orders"] > 0).mean())
    sizes = {"n_treatment": n_treatment, "n_control": n_control}
    return {
        "conversion": minimum_detectable_effect_proportion(
            rate, n_treatment, n_control, alpha=alpha, power=power
        ),
        "revenue per customer": minimum_detectable_effect_mean(
            float(frame["revenue"].mean()),
            float(frame["revenue"].std()),
            **sizes,
            alpha=alpha,
            power=power,
        ),
    }


def balance_table(before: pd.DataFrame) -> pd.DataFrame:
    """Compare controls and others before the draw: means and standardised differences.

    Parameters
    ----------
    before : pandas.DataFrame
        Columns variant, pre_revenue, pre_orders; one row per member.
    """
    frame = before.assign(pre_bought=(before["pre_orders"] > 0).astype(float))
    is_control = frame["variant"] == CONTROL
    rows = []
    for column, label in (
        ("pre_revenue", "revenue of 13 weeks"),
        ("pre_orders", "orders of 13 weeks"),
        ("pre_bought", "share who bought in 13 weeks"),
    ):
        ours, others = frame.loc[is_control, column], frame.loc[~is_control, column]
        spread = float(((ours.var() + others.var()) / 2) ** 0.5)
        difference = float(ours.mean() - others.mean())
        rows.append(
            {
                "covariate": label,
                "control": float(ours.mean()),
                "others": float(others.mean()),
                "standardised difference": difference / spread if spread > 0 else 0.0,
            }
        )
    return pd.DataFrame(rows)


def count_obstacles(judged: pd.DataFrame) -> dict[str, int]:
    """Count customers by what keeps them from being contacted, the most frequent first."""
    counts = judged["obstacle"].value_counts()
    return {str(name): int(count) for name, count in counts.items()}


def _has_newcomers(gateway: Gateway, epoch: Epoch, as_of: datetime) -> bool:
    with gateway.reader() as reader:
        prepare_newcomers(reader, epoch, as_of)
        return reader.count("newcomer") > 0


def _same_rule(epoch: Epoch, spec: ControlGroupSpec) -> None:
    differing = [
        f"{name} {getattr(epoch, name)} (the file says {getattr(spec, name)})"
        for name in ("share", "salt", "channel")
        if getattr(epoch, name) != getattr(spec, name)
    ]
    if differing:
        raise LedgerError(
            f"the epoch {epoch.epoch_id} is open with {', '.join(differing)}",
            expected="the rule it was drawn with: a control group that changes is none",
            remedy="put the old values back into control_group.yml",
        )
