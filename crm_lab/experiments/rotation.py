"""When to draw a control group anew, and what holding it costs beside what it sees.

A group that is held for long changes: customers leave, others grow apart because they get nothing.
And those held out for years are owed an offer. An independent redraw (another salt) puts an end to
both; the price is that effects which build up slowly start again from nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

import pandas as pd
from scipy.stats import chi2_contingency

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.experiments.epochs import Epoch
from crm_lab.experiments.fields import CONTROL
from crm_lab.gateway import Gateway, audits, operations
from crm_lab.language import message, say, say_many

DRIFT_LIMIT = 0.2
LOST_LIMIT = 0.3
DAYS_PER_MONTH = 365.25 / 12
WINDOW_DAYS = 91


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RotationAdvice(Result):
    """Whether to draw the group anew, with what it costs to hold it.

    Attributes
    ----------
    epoch : Epoch
        The group.
    as_of : datetime
        When it is looked at (UTC).
    months_held : float
        Since the first draw.
    controls, controls_lost : int
        Controls, and those of them who may no longer be contacted.
    drift : pandas.DataFrame
        covariate, at the draw, now: standardised differences (control minus others) of the 13
        weeks before the first draw and of the 13 weeks before ``as_of``.
    monthly_revenue : float
        What the controls spend a month: the sales that campaigns may not ask for.
    assumed_lift : float
        What campaigns are assumed to bring, as a part of revenue.
    reasons : tuple of str
        What speaks for a redraw; empty: keep the group.
    currency : str
        Currency of the amounts.
    """

    title: ClassVar[str] = message("Rotation")

    epoch: Epoch
    as_of: datetime
    months_held: float
    controls: int
    controls_lost: int
    drift: pd.DataFrame
    monthly_revenue: float
    assumed_lift: float
    reasons: tuple[str, ...]
    currency: str

    @property
    def monthly_cost(self) -> float:
        """Sales a month that the assumed lift would have brought from the controls."""
        return self.monthly_revenue * self.assumed_lift

    def sentence(self) -> str:
        """Say whether to redraw, why, and what the group costs a month."""
        price = say(
            "Holding it costs about {cost} of sales a month, if campaigns bring {lift} (the"
            " controls spend {spent}).",
            cost=formats.money(self.monthly_cost, self.currency),
            lift=formats.percent(self.assumed_lift, signed=True),
            spent=formats.money(self.monthly_revenue, self.currency),
        )
        held = {
            "epoch": self.epoch.epoch_id,
            "months": formats.number(self.months_held, decimals=1),
        }
        advice = (
            say(
                "Draw {epoch}, held for {months} months, anew: {reasons}.",
                reasons="; ".join(self.reasons),
                **held,
            )
            if self.reasons
            else say("Keep {epoch}, held for {months} months.", **held)
        )
        return f"{advice} {price}"

    def to_frame(self) -> pd.DataFrame:
        """Give the drift of the covariates."""
        return self.drift


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Independence(Result):
    """Whether a redraw is independent of the group before it.

    Attributes
    ----------
    old, new : str
        The two epochs.
    table : pandas.DataFrame
        Customers by variant in the old (rows) and the new epoch (columns).
    both : int
        Controls of both.
    expected : float
        How many of them chance gives when the draws are independent.
    p_value : float
        Of the chi-square test of independence; NaN where it cannot be made.
    """

    title: ClassVar[str] = message("Is the redraw independent?")

    old: str
    new: str
    table: pd.DataFrame
    both: int
    expected: float
    p_value: float

    def sentence(self) -> str:
        """Say how many controls stayed controls, beside what chance gives."""
        found = say_many(
            "{count} customer is a control in {old} and in {new}; {expected} are expected of"
            " independent draws",
            "{count} customers are controls in {old} and in {new}; {expected} are expected of"
            " independent draws",
            self.both,
            old=self.old,
            new=self.new,
            expected=formats.number(self.expected, decimals=1),
        )
        if math.isnan(self.p_value):
            return say("{found}; too few to test.", found=found)
        p = formats.p_text(self.p_value)
        if self.p_value >= 0.001:
            return say("{found} ({p}): no sign of dependence.", found=found, p=p)
        return say("{found} ({p}): the draws depend on each other.", found=found, p=p)

    def to_frame(self) -> pd.DataFrame:
        """Give the counts, one row per variant of the old epoch."""
        return self.table.reset_index(names="old epoch")


def rotation_advice(
    gateway: Gateway, epoch: Epoch, *, as_of: datetime, assumed_lift: float = 0.05
) -> RotationAdvice:
    """Look at a control group and say whether to draw it anew.

    Parameters
    ----------
    gateway : Gateway
        The base.
    epoch : Epoch
        The group, open.
    as_of : datetime
        When it is looked at (UTC).
    assumed_lift : float
        What campaigns are assumed to bring, as a part of revenue; an assumption, for the price.
    """
    window = timedelta(days=WINDOW_DAYS)
    with gateway.reader() as reader:
        before = reader.frame(
            audits.activity_of(epoch.scope, since=epoch.opened_at - window, until=epoch.opened_at)
        )
        now = reader.frame(audits.activity_of(epoch.scope, since=as_of - window, until=as_of))
        judged = reader.frame(operations.reachability(epoch.channel, as_of))
    before = before[before["assigned_at"] <= epoch.opened_at]
    controls = now[now["variant"] == CONTROL]
    reachable = set(judged.loc[judged["eligible"], "customer_id"])
    lost = int((~controls["customer_id"].isin(reachable)).sum())
    drift = _drift(before, now)
    months = (as_of - epoch.opened_at).days / DAYS_PER_MONTH
    monthly = float(controls["revenue"].sum()) / WINDOW_DAYS * DAYS_PER_MONTH
    return RotationAdvice(
        epoch=epoch,
        as_of=as_of,
        months_held=months,
        controls=len(controls),
        controls_lost=lost,
        drift=drift,
        monthly_revenue=monthly,
        assumed_lift=assumed_lift,
        reasons=tuple(_reasons(epoch, as_of, lost, len(controls), drift)),
        currency=gateway.currency,
    )


def independence(gateway: Gateway, old: Epoch, new: Epoch) -> Independence:
    """Compare two epochs: whether the controls of the new one are a fresh draw."""
    with gateway.reader() as reader:
        frame = reader.frame(audits.overlap(old.scope, new.scope))
    table = frame.pivot_table(
        index="old", columns="new", values="customers", aggfunc="sum", fill_value=0
    )
    counts = frame["customers"].astype(float)
    total = float(counts.sum())
    held_old = float(counts[frame["old"] == CONTROL].sum())
    held_new = float(counts[frame["new"] == CONTROL].sum())
    both = counts[(frame["old"] == CONTROL) & (frame["new"] == CONTROL)].sum()
    expected = held_old * held_new / total if total else float("nan")
    is_testable = table.shape == (2, 2) and expected >= 1
    return Independence(
        old=old.epoch_id,
        new=new.epoch_id,
        table=table,
        both=int(both),
        expected=expected,
        p_value=float(chi2_contingency(table.to_numpy(), correction=False).pvalue)
        if is_testable
        else float("nan"),
    )


def _reasons(
    epoch: Epoch, as_of: datetime, lost: int, controls: int, drift: pd.DataFrame
) -> list[str]:
    found = []
    if as_of > epoch.opened_at + timedelta(days=epoch.planned_horizon_days):
        found.append(
            say_many(
                "the planned {count} day has passed",
                "the planned {count} days have passed",
                epoch.planned_horizon_days,
            )
        )
    if controls and lost > LOST_LIMIT * controls:
        found.append(
            say(
                "{share} of the controls may no longer be contacted",
                share=formats.percent(lost / controls, decimals=0),
            )
        )
    worst = float(drift["at the draw"].abs().max())
    if worst > DRIFT_LIMIT:
        found.append(
            say(
                "the group differed from the others before the draw ({difference} standard"
                " deviations)",
                difference=formats.number(worst, decimals=2),
            )
        )
    return found


def _drift(before: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for column, label in (("revenue", "revenue of 13 weeks"), ("orders", "orders of 13 weeks")):
        rows.append(
            {
                "covariate": label,
                "at the draw": _difference(before, column),
                "now": _difference(now, column),
            }
        )
    return pd.DataFrame(rows)


def _difference(frame: pd.DataFrame, column: str) -> float:
    held = frame.loc[frame["variant"] == CONTROL, column].astype(float)
    others = frame.loc[frame["variant"] != CONTROL, column].astype(float)
    spread = math.sqrt((held.var() + others.var()) / 2) if len(held) > 1 < len(others) else 0.0
    return float(held.mean() - others.mean()) / spread if spread > 0 else float("nan")
