"""Customers in tiers by what they are expected to bring, with who is due to order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from crm_lab.cards import Result, plain
from crm_lab.errors import DesignError
from crm_lab.language import say
from crm_lab.ltv import group_wording as wording
from crm_lab.ltv.predictions import LifetimePredictions
from crm_lab.ltv.rolling import TIERS
from crm_lab.ltv.wording import span

SHARE_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One tier of customers.

    Attributes
    ----------
    tier : str
        Its name, best first.
    customers : int
        How many.
    expected : float
        What they are expected to bring (or to order, where there is no value), together.
    share : float
        Their share of what all are expected to bring.
    mean : float
        Per customer.
    share_ordering : float
        Expected share of them who order in the horizon.
    at_risk : int
        How many of them have probably left (probability to be a customer below one half).
    """

    tier: str
    customers: int
    expected: float
    share: float
    mean: float
    share_ordering: float
    at_risk: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ValueTiers(Result):
    """A base in tiers by expected value.

    Attributes
    ----------
    tiers : tuple of Tier
        Best first.
    members : pandas.DataFrame
        ``customer_id`` and ``tier``.
    by_value : bool
        Whether tiers are by value; else by orders.
    horizon : str
        How far they look, in words.
    currency : str
        What values are in.
    reason : str
        Why there are none; empty otherwise.
    """

    title: ClassVar[str] = wording.TIERS_TITLE
    plotter: ClassVar[str] = "crm_lab.plots.lifetime_value:plot_tiers"

    tiers: tuple[Tier, ...]
    members: pd.DataFrame
    by_value: bool
    horizon: str
    currency: str
    reason: str

    def sentence(self) -> str:
        """Say how much the best customers carry."""
        return wording.tiers_sentence(self)

    def to_frame(self) -> pd.DataFrame:
        """Give one row per tier."""
        return pd.DataFrame([plain(tier) for tier in self.tiers])

    def card_frame(self) -> pd.DataFrame:
        """Give the tiers as people read them."""
        return wording.tiers_table(self)


def value_tiers(predictions: LifetimePredictions, *, shares: Sequence[float] = TIERS) -> ValueTiers:
    """Cut a base into tiers by expected value, the best first.

    Parameters
    ----------
    predictions : LifetimePredictions
        Of every customer.
    shares : sequence of float
        Shares of the customers in each tier, best first; they add up to 1.

    Returns
    -------
    ValueTiers
        By orders where there is no value; customers with equal expectations keep their order.

    Raises
    ------
    DesignError
        When the shares are not above 0 or do not add up to 1.
    """
    if not shares or min(shares) <= 0 or abs(math.fsum(shares) - 1) > SHARE_TOLERANCE:
        raise DesignError(
            say("tiers of {shares}", shares=", ".join(f"{share:g}" for share in shares)),
            expected=say("shares above 0 that add up to 1"),
            where="shares",
        )
    frame = predictions.customers
    by_value = not predictions.value_reason
    column = "expected_value" if by_value else "expected_orders"
    tiers: list[Tier] = []
    label = np.full(len(frame), "", dtype=object)
    if not predictions.reason:
        each = frame[column].to_numpy(np.float64)
        total = float(each.sum())
        ends = np.round(np.cumsum(shares) * len(frame)).astype(int)
        parts = np.split(np.argsort(-each, kind="stable"), ends[:-1])
        for name, places in zip(wording.tier_names(shares), parts, strict=True):
            label[places] = name
            if len(places):
                rows = frame.iloc[places]
                mine = float(each[places].sum())
                tiers.append(
                    Tier(
                        tier=name,
                        customers=len(places),
                        expected=mine,
                        share=mine / total if total > 0 else math.nan,
                        mean=mine / len(places),
                        share_ordering=float(1 - rows["probability_no_order"].mean()),
                        at_risk=int((rows["probability_alive"] < 0.5).sum()),
                    )
                )
    return ValueTiers(
        tiers=tuple(tiers),
        members=pd.DataFrame({"customer_id": frame["customer_id"], "tier": label}),
        by_value=by_value,
        horizon=span(predictions.periods, predictions.unit_days),
        currency=predictions.currency,
        reason=predictions.reason,
    )


def due_by_tier(predictions: LifetimePredictions, tiers: ValueTiers, *, days: int) -> pd.DataFrame:
    """Count the customers whose next order is to be expected within so many days, by tier.

    Parameters
    ----------
    predictions : LifetimePredictions
        Of every customer.
    tiers : ValueTiers
        Tiers of the same customers.
    days : int
        Length of the time ahead.

    Returns
    -------
    pandas.DataFrame
        ``tier``, ``customers``, ``expected_orders`` and ``expected_value`` of those who are due in
        the whole horizon; one row per tier, without a single customer's name.
    """
    due = predictions.due(days=days).merge(tiers.members, on="customer_id")
    sums = due.groupby("tier").agg(
        customers=("customer_id", "size"),
        expected_orders=("expected_orders", "sum"),
        expected_value=("expected_value", lambda values: values.sum(min_count=1)),
    )
    names = [tier.tier for tier in tiers.tiers]
    counts = sums.reindex(names).fillna({"customers": 0, "expected_orders": 0.0})
    counts["customers"] = counts["customers"].astype(np.int64)
    return counts.reset_index(names="tier")
