"""What a base of customers is expected to order and bring over a horizon, with intervals.

The interval of a total is a prediction interval: it carries the uncertainty of the parameters
(customers drawn again, models refitted) and the chance in each customer's own purchases.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from scipy import special

from crm_lab import formats
from crm_lab.cards import Result, plain
from crm_lab.errors import DesignError
from crm_lab.formats import separated
from crm_lab.language import label, say
from crm_lab.ltv import wording
from crm_lab.ltv.discounting import within_horizon
from crm_lab.ltv.fits import check_alpha, fit_bg_nbd, fit_gamma_gamma
from crm_lab.ltv.formulas import (
    FloatArray,
    expected_purchases,
    expected_spend,
    probability_alive,
    probability_of_purchase,
)
from crm_lab.ltv.history import PurchaseHistory, ValueKind, distinct_histories
from crm_lab.ltv.models import GammaGammaFit, PurchaseFit
from crm_lab.ltv.resampling import resample, spend_columns
from crm_lab.ltv.tuples import DistinctHistories

if TYPE_CHECKING:
    from crm_lab.ltv.predictions import LifetimePredictions

DEFAULT_REFITS = 50
"""Bootstrap refits; the standard deviation of the parameters' part is then known to about 10 %."""

MIN_REFITS = 10
"""With fewer successful refits there is no interval."""

DEFAULT_SEED = 20_050_101
"""Seed of the bootstrap when no generator is passed, so that equal inputs give equal numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with the ends of its prediction interval.

    Attributes
    ----------
    estimate, low, high : float
        NaN where there is none.
    """

    estimate: float = math.nan
    low: float = math.nan
    high: float = math.nan

    def as_tuple(self) -> tuple[float, float, float]:
        """Give estimate, low and high for a sentence."""
        return (self.estimate, self.low, self.high)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class LifetimeForecast(Result):
    """What each customer and the whole base are expected to bring over a horizon.

    Attributes
    ----------
    customers : pandas.DataFrame
        ``customer_id``, ``frequency``, ``recency``, ``age``, ``probability_alive`` (1 for those
        who bought once, by the model), ``probability_of_order`` (at least one in the horizon),
        ``expected_orders``, ``expected_spend_per_order``, ``expected_value``.
    periods : float
        Horizon in units of ``unit_days``.
    unit_days : float
        Days in one unit.
    as_of : datetime.date
        Day from which the forecast looks ahead.
    orders : Estimate
        Total orders (purchase days) of the base.
    value : Estimate
        Total value of the base; NaN with a ``value_reason`` where there is no spend model.
    share_alive, share_ordering : Estimate
        Share of the base that is still a customer, and that orders at least once.
    discount_rate : float
        Yearly rate by which ``value`` is discounted to ``as_of``; 0 for none.
    currency, value_kind : str
        What the value is in.
    alpha : float
        1 minus the nominal coverage of the intervals.
    refits, refits_failed, spend_refits_failed : int
        Bootstrap refits asked for, and those without a usable purchase or spend model.
    model : PurchaseFit
        The purchase model.
    spend_model : GammaGammaFit
        The spend model.
    reason, value_reason : str
        Why there is no forecast, or none of value; empty where there is one.
    method : str
        How the intervals were made.
    tested : str
        What a forecast like this was worth when it was tested, in a sentence; empty: not tested.
    """

    title: ClassVar[str] = wording.FORECAST_TITLE
    plotter: ClassVar[str] = "crm_lab.plots.lifetime:plot_forecast"

    customers: pd.DataFrame
    periods: float
    unit_days: float
    as_of: date
    orders: Estimate
    value: Estimate
    share_alive: Estimate
    share_ordering: Estimate
    discount_rate: float
    currency: str
    value_kind: ValueKind
    alpha: float
    refits: int
    refits_failed: int
    spend_refits_failed: int
    model: PurchaseFit
    spend_model: GammaGammaFit
    reason: str
    value_reason: str
    method: str
    tested: str = ""

    @property
    def n_customers(self) -> int:
        """Number of customers."""
        return len(self.customers)

    def sentence(self) -> str:
        """Say what the base is expected to bring, or why that cannot be said."""
        if self.reason:
            return say(wording.NO_FORECAST, reason=self.reason)
        said = wording.forecast_sentence(
            customers=self.n_customers,
            periods=self.periods,
            unit_days=self.unit_days,
            orders=self.orders.as_tuple(),
            value=self.value.as_tuple(),
            ordering=self.share_ordering.as_tuple(),
            currency=self.currency,
            value_kind=self.value_kind,
            value_reason=self.value_reason,
            alpha=self.alpha,
            failures=wording.refit_failures(
                max(self.refits_failed, self.spend_refits_failed), self.refits
            ),
        )
        return f"{said} {self.tested or say(wording.NOT_TESTED)}"

    def with_test(self, tested: str) -> LifetimeForecast:
        """Give the same forecast with what a test of such a forecast found."""
        return replace(self, tested=tested)

    def to_frame(self) -> pd.DataFrame:
        """Give the totals with their intervals; the customers are in ``customers``."""
        rows = {
            "expected_orders": self.orders,
            "expected_value": self.value,
            "share_alive": self.share_alive,
            "share_ordering": self.share_ordering,
        }
        return pd.DataFrame(
            [
                {"quantity": name, "estimate": e.estimate, "low": e.low, "high": e.high}
                for name, e in rows.items()
            ]
        )

    def card_frame(self) -> pd.DataFrame:
        """Give the totals with their intervals as people read them; nothing without a forecast."""
        if self.reason:
            return pd.DataFrame()
        totals, shares = (self.orders, self.value), (self.share_alive, self.share_ordering)
        written = [
            *(formats.number_interval(*each.as_tuple()) for each in totals),
            *(formats.percent_interval(*each.as_tuple()).removeprefix("+") for each in shares),
        ]
        names = [label(name) for name in self.to_frame()["quantity"]]
        return pd.DataFrame({"quantity": names, "estimate": written})

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON-ready data, without the single customers."""
        return without_customers(self)


def without_customers(result: LifetimeForecast | LifetimePredictions) -> dict[str, Any]:
    """Give a result as JSON-ready data, the number of its customers instead of each of them."""
    kept: dict[str, Any] = {"n_customers": result.n_customers}
    for field in fields(result):
        if field.name != "customers":
            kept[field.name] = plain(getattr(result, field.name))
    return kept


def forecast(
    history: PurchaseHistory,
    *,
    periods: float,
    fit: PurchaseFit | None = None,
    spend_fit: GammaGammaFit | None = None,
    discount_rate: float = 0.0,
    alpha: float = 0.05,
    refits: int = DEFAULT_REFITS,
    rng: np.random.Generator | None = None,
    progress: bool = False,
) -> LifetimeForecast:
    """Forecast the orders and the value of every customer over a horizon.

    The value is expected orders times expected spend per paid order times the share of repeat
    purchase days that were paid. The total's interval is a gamma law around the estimate, whose
    variance is that of the expected total over refits of customers drawn with replacement plus
    the mean over refits of the variance of single customers' purchases, drawn from the model.
    It assumes that the model stays true over the horizon: a season or a changed offer is not in it.

    Parameters
    ----------
    history : PurchaseHistory
        Customers until the closing day.
    periods : float
        Horizon, 0 or more, in units of the history.
    fit : PurchaseFit, optional
        Purchase model of this history; fitted when missing.
    spend_fit : GammaGammaFit, optional
        Spend model of this history; fitted when missing.
    discount_rate : float, default 0
        Yearly rate, 0.1 for 10 %; orders are discounted at the middle of their unit of time.
    alpha : float, default 0.05
        1 minus the nominal coverage of the intervals.
    refits : int, default 50
        Bootstrap refits, at least ``MIN_REFITS``.
    rng : numpy.random.Generator, optional
        Source of randomness; a fixed seed when missing.
    progress : bool, default False
        Show a progress bar of the refits.

    Returns
    -------
    LifetimeForecast
        NaN with a ``reason`` where the fit cannot be trusted.

    Raises
    ------
    DesignError
        When the horizon, the rate, alpha or the number of refits is impossible, or the fit is in
        other units.
    """
    _check(history, periods, fit, discount_rate, alpha, refits)
    rng = rng if rng is not None else np.random.default_rng(DEFAULT_SEED)
    fit = fit if fit is not None else fit_bg_nbd(history, alpha=alpha)
    spend_fit = spend_fit if spend_fit is not None else fit_gamma_gamma(history, alpha=alpha)
    value_reason = fit.reason or spend_fit.reason
    tuples = distinct_histories(history)
    customers, discount = _customers(history, tuples, periods, fit, spend_fit, discount_rate)
    orders = value = alive = ordering = Estimate()
    failed = spend_failed = 0
    reason = fit.reason
    if not reason:
        resampled = resample(
            history,
            tuples,
            fit,
            None if value_reason else spend_fit.parameters,
            periods=periods,
            discount=discount,
            refits=refits,
            rng=rng,
            progress=progress,
        )
        failed = refits - len(resampled.orders)
        spend_failed = 0 if value_reason else refits - len(resampled.value)
        orders = _total_interval(
            float(customers["expected_orders"].sum()),
            resampled.orders,
            resampled.orders_noise,
            alpha,
        )
        alive = _share_interval(customers["probability_alive"], resampled.alive, alpha)
        ordering = _share_interval(customers["probability_of_order"], resampled.ordering, alpha)
        if not value_reason:
            value = _total_interval(
                float(customers["expected_value"].sum()),
                resampled.value,
                resampled.value_noise,
                alpha,
            )
        done = refits - failed
        if done < MIN_REFITS:
            reason = say(wording.TOO_FEW_REFITS, done=done, asked=refits)
        if not value_reason and refits - spend_failed < MIN_REFITS:
            value_reason = say(wording.TOO_FEW_REFITS, done=refits - spend_failed, asked=refits)
    return LifetimeForecast(
        customers=customers,
        periods=float(periods),
        unit_days=history.unit_days,
        as_of=history.as_of,
        orders=orders,
        value=value,
        share_alive=alive,
        share_ordering=ordering,
        discount_rate=float(discount_rate),
        currency=history.currency,
        value_kind=history.value_kind,
        alpha=alpha,
        refits=refits,
        refits_failed=failed,
        spend_refits_failed=spend_failed,
        model=fit,
        spend_model=spend_fit,
        reason=reason,
        value_reason=value_reason,
        method=wording.BOOTSTRAP_METHOD.format(refits=refits),
    )


def _customers(
    history: PurchaseHistory,
    tuples: DistinctHistories,
    periods: float,
    fit: PurchaseFit,
    spend_fit: GammaGammaFit,
    discount_rate: float,
) -> tuple[pd.DataFrame, FloatArray]:
    """Give the customers' forecasts and, per distinct history, the discount of its value."""
    frame = history.customers[["customer_id", "frequency", "recency", "age"]].copy()
    x, t_x, age = tuples.frequency, tuples.recency, tuples.age
    discount = np.ones(len(x))
    alive = ordering = orders = np.full(len(x), np.nan)
    if fit.is_trusted:
        p = fit.parameters
        alive = probability_alive(p, x, t_x, age)
        ordering = probability_of_purchase(p, periods, x, t_x, age)
        orders = expected_purchases(p, periods, x, t_x, age)
        if discount_rate > 0 and periods > 0:
            present = within_horizon(
                p, periods, x, t_x, age, yearly_rate=discount_rate, unit_days=history.unit_days
            )
            discount = np.divide(present, orders, out=np.ones(len(x)), where=orders > 0)
    spend = np.full(len(frame), np.nan)
    if spend_fit.is_trusted:
        spend = expected_spend(spend_fit.parameters, *spend_columns(history))
    frame["probability_alive"] = alive[tuples.position]
    frame["probability_of_order"] = ordering[tuples.position]
    frame["expected_orders"] = orders[tuples.position]
    frame["expected_spend_per_order"] = spend
    frame["expected_value"] = (orders * discount)[tuples.position] * spend * history.paid_share
    return frame, discount


def _total_interval(
    estimate: float, expected: FloatArray, noise: FloatArray, alpha: float
) -> Estimate:
    """Give the interval of a total, by a gamma law with the variance of both sources."""
    if len(expected) < MIN_REFITS:
        return Estimate(estimate=estimate)
    variance = float(np.var(expected, ddof=1) + np.mean(noise))
    return gamma_estimate(estimate, variance, alpha)


def gamma_estimate(estimate: float, variance: float, alpha: float) -> Estimate:
    """Give a total with the interval of a gamma law of this mean and variance."""
    mean = float(estimate)
    if mean <= 0 or variance <= 0:
        return Estimate(estimate=mean, low=mean, high=mean)
    shape, scale = mean**2 / variance, variance / mean
    low, high = special.gammaincinv(shape, [alpha / 2, 1 - alpha / 2]) * scale
    return Estimate(estimate=mean, low=float(low), high=float(high))


def _share_interval(
    probabilities: pd.Series[float], expected: FloatArray, alpha: float
) -> Estimate:
    """Give the interval of a realised share, by a beta law with the variance of both sources."""
    each = probabilities.to_numpy()
    estimate = float(each.mean())
    if len(expected) < MIN_REFITS:
        return Estimate(estimate=estimate)
    noise = float(np.sum(each * (1 - each))) / len(each) ** 2
    variance = float(np.var(expected, ddof=1)) + noise
    room = estimate * (1 - estimate)
    if variance == 0 or variance >= room:
        return Estimate(estimate=estimate, low=estimate, high=estimate)
    size = room / variance - 1
    low, high = special.betaincinv(
        estimate * size, (1 - estimate) * size, [alpha / 2, 1 - alpha / 2]
    )
    return Estimate(estimate=estimate, low=float(low), high=float(high))


def check_periods(periods: float) -> None:
    """Refuse a horizon that is negative or endless.

    Raises
    ------
    DesignError
        When it is.
    """
    if not (np.isfinite(periods) and periods >= 0):
        raise DesignError(
            say("a horizon of {periods} units", periods=separated(f"{periods:g}")),
            expected=say("0 or more, finite"),
            where="periods",
        )


def check_rate(discount_rate: float) -> None:
    """Refuse a yearly discount rate that is negative or not finite.

    Raises
    ------
    DesignError
        When it is.
    """
    if not (np.isfinite(discount_rate) and discount_rate >= 0):
        raise DesignError(
            say(
                "a discount rate of {discount_rate}", discount_rate=separated(f"{discount_rate:g}")
            ),
            expected=say("0 or more a year, 0.1 for 10 %"),
            where="discount_rate",
        )


def _check(
    history: PurchaseHistory,
    periods: float,
    fit: PurchaseFit | None,
    discount_rate: float,
    alpha: float,
    refits: int,
) -> None:
    check_periods(periods)
    check_rate(discount_rate)
    check_alpha(alpha)
    if refits < MIN_REFITS:
        raise DesignError(
            say("{refits} refits", refits=refits),
            expected=say("at least {least}", least=MIN_REFITS),
            where="refits",
        )
    if fit is not None and fit.unit_days != history.unit_days:
        raise DesignError(
            say(
                "the fit is in units of {unit} days, the history of {other_unit}",
                unit=separated(f"{fit.unit_days:g}"),
                other_unit=separated(f"{history.unit_days:g}"),
            ),
            expected=say("the same unit"),
            where="fit",
        )
