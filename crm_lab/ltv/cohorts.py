"""Lifetime value by how customers came and who they are, and when they pay back what they cost.

Differences between groups are observational: people who came by another channel are other people.
Small groups are pulled towards the mean of all, because the largest of many noisy numbers is
mostly noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from crm_lab.cards import Result, plain
from crm_lab.errors import DesignError
from crm_lab.formats import listing
from crm_lab.language import say
from crm_lab.ltv import group_wording as wording
from crm_lab.ltv.fits import check_alpha
from crm_lab.ltv.predictions import LifetimePredictions
from crm_lab.ltv.wording import span
from crm_lab.stats import pool_effects
from crm_lab.stats.normal import two_sided_quantile

MIN_GROUP = 20
"""A group with fewer customers has no interval of its own."""

MONTH_DAYS = 30
"""Days in a month of a customer's life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupValue:
    """Lifetime value of one group of customers, per customer.

    Attributes
    ----------
    group : str
        Name of the group.
    customers : int
        How many.
    past_value, expected_value : float
        What they have brought, and what is expected in the horizon.
    lifetime_value, low, high : float
        The sum with its interval; NaN where there is none.
    shrunken, shrunken_low, shrunken_high : float
        The sum after partial pooling with the other groups.
    cost : float
        What it cost to acquire one; NaN where unknown.
    payback_months : float
        Months of life after which the group had brought its cost on average; NaN where it has not
        yet, or the cost is unknown.
    pays_back : {"yes", "expected", "not sure", "no", "not known"}
        Whether it has paid back; or whether lifetime value, with its interval, says that it will.
    reason : str
        Why a number is missing; empty otherwise.
    """

    group: str
    customers: int
    past_value: float
    expected_value: float
    lifetime_value: float
    low: float
    high: float
    shrunken: float
    shrunken_low: float
    shrunken_high: float
    cost: float
    payback_months: float
    pays_back: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class GroupValues(Result):
    """Lifetime value per customer by group.

    Attributes
    ----------
    rows : tuple of GroupValue
        The groups by name.
    by : str
        What the groups are.
    horizon : str
        How far the expected part looks, in words.
    differ : bool
        Whether the groups differ by more than chance.
    heterogeneity_p : float
        p-value of that they do not; NaN where it cannot be tested.
    currency, value_kind : str
        What values are in.
    alpha : float
        1 minus the nominal coverage of the intervals.
    reason : str
        Why there is nothing; empty otherwise.
    method : str
        How it was computed.
    """

    title: ClassVar[str] = wording.GROUPS_TITLE
    plotter: ClassVar[str] = "crm_lab.plots.lifetime_value:plot_groups"

    rows: tuple[GroupValue, ...]
    by: str
    horizon: str
    differ: bool
    heterogeneity_p: float
    currency: str
    value_kind: str
    alpha: float
    reason: str
    method: str

    def sentence(self) -> str:
        """Say which groups bring most and whether that is more than chance."""
        return wording.groups_sentence(self)

    def to_frame(self) -> pd.DataFrame:
        """Give one row per group."""
        return pd.DataFrame([plain(row) for row in self.rows])

    def card_frame(self) -> pd.DataFrame:
        """Give the groups as people read them."""
        return wording.groups_table(self)


def group_values(
    predictions: LifetimePredictions,
    groups: pd.DataFrame,
    *,
    by: str,
    costs: Mapping[str, float] | None = None,
    curve: pd.DataFrame | None = None,
    alpha: float = 0.05,
) -> GroupValues:
    """Compare lifetime value between groups of customers, and with what they cost.

    Parameters
    ----------
    predictions : LifetimePredictions
        Of every customer, with ``past_value``.
    groups : pandas.DataFrame
        ``customer_id`` and ``label``, one row per customer.
    by : str
        What the groups are, for the reader: ``month``, ``channel``.
    costs : mapping of str to float, optional
        Total cost of acquiring each group.
    curve : pandas.DataFrame, optional
        ``label``, ``age_month``, ``customers`` seen to its end, ``revenue``: when groups paid back.
    alpha : float, default 0.05
        1 minus the nominal coverage of the intervals.

    Returns
    -------
    GroupValues
        Groups below ``MIN_GROUP`` customers have no interval of their own.

    Raises
    ------
    DesignError
        When columns are missing, alpha is impossible or a cost is negative.

    Notes
    -----
    The variance of a group's mean is that between its customers plus the square of their mean
    standard error of the prediction, which takes the errors of the parameters as fully shared.
    Pooling uses the first part alone, since the second moves all groups together.
    """
    check_alpha(alpha)
    missing = [name for name in ("customer_id", "label") if name not in groups.columns]
    if missing:
        raise DesignError(
            say("columns missing: {missing}", missing=listing(missing)), where="groups"
        )
    priced = dict(costs or {})
    if wrong := [name for name, cost in priced.items() if not cost >= 0]:
        raise DesignError(say("costs below 0: {wrong}", wrong=listing(wrong)), where="costs")
    reason = predictions.value_reason
    label = groups.set_index("customer_id")["label"]
    frame = predictions.customers
    known = frame.assign(group=frame["customer_id"].map(label)).dropna(subset=["group"])
    parts = [_part(str(name), rows) for name, rows in known.groupby("group", sort=True)]
    usable = [part for part in parts if not part.reason and math.isfinite(part.sampling_error)]
    pooled = (
        pool_effects(
            [part.lifetime for part in usable],
            [part.sampling_error for part in usable],
            alpha=alpha,
            names=[part.name for part in usable],
        )
        if len(usable) > 1
        else None
    )
    shrunk: dict[str, tuple[float, float, float]] = {}
    if pooled is not None:
        ends = zip(pooled.shrunken, pooled.shrunken_low, pooled.shrunken_high, strict=True)
        shrunk = dict(zip(pooled.names, ends, strict=True))
    z = two_sided_quantile(alpha)
    rows = tuple(
        _row(part, z, shrunk.get(part.name), priced.get(part.name, math.nan), curve)
        for part in parts
    )
    p = pooled.heterogeneity_p if pooled is not None else math.nan
    return GroupValues(
        rows=rows,
        by=by,
        horizon=span(predictions.periods, predictions.unit_days),
        differ=bool(p <= alpha),
        heterogeneity_p=p,
        currency=predictions.currency,
        value_kind=predictions.value_kind,
        alpha=alpha,
        reason=reason or ("" if parts else say(wording.NO_GROUPS)),
        method=wording.GROUPS_METHOD,
    )


def payback_months(curve: pd.DataFrame, *, cost: float) -> float:
    """Give after how many months of life customers had brought what they cost, on average.

    Parameters
    ----------
    curve : pandas.DataFrame
        One group: ``age_month`` from 0, ``customers`` seen to its end, ``revenue`` in it.
    cost : float
        Cost of acquiring one customer.

    Returns
    -------
    float
        1 for the first month; NaN where the observed months do not reach the cost.

    Examples
    --------
    >>> lived = pd.DataFrame({"age_month": [0, 1], "customers": [10, 5], "revenue": [100.0, 30.0]})
    >>> payback_months(lived, cost=15.0)
    2.0
    """
    ordered = curve.sort_values("age_month")
    added = ordered["revenue"].to_numpy(np.float64) / ordered["customers"].to_numpy(np.float64)
    reached = np.flatnonzero(np.cumsum(added) >= cost)
    return float(reached[0] + 1) if len(reached) else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    name: str
    n: int
    past: float
    expected: float
    lifetime: float
    sampling_error: float
    error: float
    reason: str


def _part(name: str, rows: pd.DataFrame) -> _Part:
    n = len(rows)
    past, expected = float(rows["past_value"].mean()), float(rows["expected_value"].mean())
    each = (rows["past_value"] + rows["expected_value"]).to_numpy(np.float64)
    reason = wording.small_group(n, MIN_GROUP) if n < MIN_GROUP else ""
    sampling = float(np.std(each, ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    return _Part(
        name=name,
        n=n,
        past=past,
        expected=expected,
        lifetime=past + expected,
        sampling_error=sampling,
        error=math.hypot(sampling, float(rows["value_standard_error"].mean())),
        reason=reason,
    )


def _row(
    part: _Part,
    z: float,
    shrunken: tuple[float, float, float] | None,
    total_cost: float,
    curve: pd.DataFrame | None,
) -> GroupValue:
    low = high = math.nan
    if not part.reason:
        low, high = part.lifetime - z * part.error, part.lifetime + z * part.error
    cost = total_cost / part.n
    months = math.nan
    if curve is not None and math.isfinite(cost):
        months = payback_months(curve[curve["label"].astype(str) == part.name], cost=cost)
    nothing = (math.nan, math.nan, math.nan)
    pooled, pooled_low, pooled_high = shrunken or nothing
    return GroupValue(
        group=part.name,
        customers=part.n,
        past_value=part.past,
        expected_value=part.expected,
        lifetime_value=part.lifetime,
        low=low,
        high=high,
        shrunken=pooled,
        shrunken_low=pooled_low,
        shrunken_high=pooled_high,
        cost=cost,
        payback_months=months,
        pays_back=_pays_back(part.past, low, high, cost),
        reason=part.reason,
    )


def _pays_back(past: float, low: float, high: float, cost: float) -> str:
    if not math.isfinite(cost):
        return "not known"
    if past >= cost:
        return "yes"
    if not math.isfinite(low):
        return "not known"
    if low >= cost:
        return "expected"
    return "no" if high < cost else "not sure"
