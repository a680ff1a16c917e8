"""What each customer is expected to do and to bring, each number with its interval.

The intervals of single customers say how well the expectation is known: delta method on the whole
covariance of the log-parameters, so flat directions of a fit cancel where the data fix the
forecast. They take the model as true. What one customer will really do varies far more; for that
draw from the posterior (:mod:`.draws`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from crm_lab.cards import Result, plain
from crm_lab.errors import DesignError
from crm_lab.formats import separated
from crm_lab.headlines import HeadlineNumber
from crm_lab.language import say
from crm_lab.ltv import discounting
from crm_lab.ltv import value_wording as wording
from crm_lab.ltv.fits import check_alpha, fit_gamma_gamma, fit_purchases
from crm_lab.ltv.forecast import (
    DEFAULT_SEED,
    Estimate,
    check_periods,
    check_rate,
    gamma_estimate,
    without_customers,
)
from crm_lab.ltv.formulas import (
    expected_purchases,
    expected_spend,
    probability_alive,
    probability_of_purchase,
    simulate_purchases,
    simulate_spend,
)
from crm_lab.ltv.history import PurchaseHistory, ValueKind, distinct_histories
from crm_lab.ltv.models import GammaGammaFit, PurchaseFit
from crm_lab.ltv.next_order import next_order_days
from crm_lab.ltv.parameters import FloatArray, PurchaseParameters
from crm_lab.ltv.resampling import spend_columns
from crm_lab.ltv.surfaces import Surface, surfaces
from crm_lab.ltv.tuples import DistinctHistories
from crm_lab.stats.normal import two_sided_quantile

NOISE_DRAWS = 10
"""Draws of every customer's own chance; the variance of a total is then known to a few percent."""

LARGEST_LOG = 700.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class LifetimePredictions(Result):
    """Every prediction for every customer, and the totals.

    Attributes
    ----------
    customers : pandas.DataFrame
        ``customer_id``, ``frequency``, ``recency``, ``age``; ``probability_alive``,
        ``probability_no_order``, ``expected_orders``, ``expected_spend_per_order``,
        ``expected_value`` (discounted), each with ``_low`` and ``_high``; ``next_order_on``, the
        day by which an order is as likely as not, given that the customer may have left (missing
        where it is more than three years away); ``value_standard_error``; ``past_value`` and
        ``lifetime_value`` (past and expected) where the past was given; ``endless_orders`` and
        ``endless_value``, discounted and without end, where asked for.
    periods, unit_days : float
        Horizon in units, and days in one unit.
    as_of : datetime.date
        Day from which the predictions look ahead.
    orders, value : Estimate
        Totals of the base with prediction interval.
    endless_value : Estimate
        Total value without end, with the interval of the parameters alone; NaN where not asked for.
    share_alive, share_ordering : float
        Expected shares of the base that are still customers, and that order in the horizon.
    discount_rate : float
        Yearly rate; 0 for none.
    currency, value_kind : str
        What values are in.
    alpha : float
        1 minus the nominal coverage of the intervals.
    model, spend_model
        The fits.
    reason, value_reason : str
        Why there are no predictions, or none of value; empty where there are.
    method : str
        How the intervals were made.
    """

    title: ClassVar[str] = wording.PREDICTIONS_TITLE

    customers: pd.DataFrame
    periods: float
    unit_days: float
    as_of: date
    orders: Estimate
    value: Estimate
    endless_value: Estimate
    share_alive: float
    share_ordering: float
    discount_rate: float
    currency: str
    value_kind: ValueKind
    alpha: float
    model: PurchaseFit
    spend_model: GammaGammaFit
    reason: str
    value_reason: str
    method: str

    @property
    def n_customers(self) -> int:
        """Number of customers."""
        return len(self.customers)

    def due(self, *, days: int) -> pd.DataFrame:
        """Give the customers whose next order is to be expected within so many days, most first.

        Parameters
        ----------
        days : int
            Length of the time ahead, 1 or more.
        """
        last = pd.Timestamp(self.as_of) + pd.Timedelta(days=days)
        shown = self.customers[self.customers["next_order_on"] <= last]
        order = "expected_value" if not self.value_reason else "expected_orders"
        columns = ["customer_id", "next_order_on", "probability_alive", "expected_orders"]
        found = shown.sort_values([order, "customer_id"], ascending=[False, True])
        return found[[*columns, "expected_value"]].reset_index(drop=True)

    def sentence(self) -> str:
        """Say what the base is expected to do and to bring."""
        return wording.predictions_sentence(self)

    def headline_numbers(self) -> tuple[HeadlineNumber, ...]:
        """Give the total with its interval, or nothing where there is none."""
        if self.reason:
            return ()
        return (wording.total_headline(self, by_value=not self.value_reason),)

    def to_frame(self) -> pd.DataFrame:
        """Give the customers, one row each."""
        return self.customers.copy()

    def card_frame(self) -> pd.DataFrame:
        """Give the totals."""
        rows = {
            "orders": self.orders,
            say("value"): self.value,
            "value without end": self.endless_value,
            "share still customers": Estimate(estimate=self.share_alive),
            "share who will order": Estimate(estimate=self.share_ordering),
        }
        return pd.DataFrame([{"what": name, **plain(each)} for name, each in rows.items()])

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON-ready data, without the single customers."""
        return without_customers(self)


def predict(
    history: PurchaseHistory,
    *,
    periods: float,
    fit: PurchaseFit | None = None,
    spend_fit: GammaGammaFit | None = None,
    discount_rate: float = 0.0,
    endless: bool = False,
    past_value: pd.Series[float] | None = None,
    alpha: float = 0.05,
    rng: np.random.Generator | None = None,
) -> LifetimePredictions:
    """Predict orders, their date, spend and value of every customer, with intervals.

    Parameters
    ----------
    history : PurchaseHistory
        Customers until the closing day.
    periods : float
        Horizon, 0 or more, in units of the history.
    fit : PurchaseFit, optional
        Purchase model of this history (not BG/BB); BG/NBD is fitted when missing.
    spend_fit : GammaGammaFit, optional
        Spend model of this history; fitted when missing.
    discount_rate : float, default 0
        Yearly rate, 0.1 for 10 %.
    endless : bool, default False
        Whether to add the discounted value without end; the rate must then be above 0.
    past_value : pandas.Series, optional
        What each customer has brought so far, by customer id.
    alpha : float, default 0.05
        1 minus the nominal coverage of the intervals.
    rng : numpy.random.Generator, optional
        Source of the draws behind the chance part of the totals; a fixed seed when missing.

    Returns
    -------
    LifetimePredictions
        NaN with a ``reason`` where the fit cannot be trusted.

    Raises
    ------
    DesignError
        When horizon, rate or alpha are impossible, or a fit is in other units.

    Notes
    -----
    Orders and values have intervals on the log scale, probabilities on the logit scale. The two
    models are taken as independent of each other, as Gamma-Gamma takes frequency and spend. Totals
    are gamma laws with the variance of the parameters plus that of each customer's own chance;
    with the model as the truth, so a validation must stand beside them.
    """
    check_alpha(alpha)
    check_horizon(history, periods, fit)
    _check_rate(discount_rate, endless)
    rng = rng if rng is not None else np.random.default_rng(DEFAULT_SEED)
    fit = fit if fit is not None else fit_purchases(history, alpha=alpha)
    spend_fit = spend_fit if spend_fit is not None else fit_gamma_gamma(history, alpha=alpha)
    z = two_sided_quantile(alpha)
    value_reason = fit.reason or spend_fit.reason
    t = distinct_histories(history)
    frame = history.customers[["customer_id", "frequency", "recency", "age"]].copy()
    known = {} if fit.reason else _purchase_surfaces(fit, t, periods)
    spend = None if value_reason else _spend_surface(spend_fit, history)
    for name in ("probability_alive", "probability_no_order", "expected_orders"):
        surface = known.get(name)
        add = _shares if name.startswith("probability") else _amounts
        add(frame, name, None if surface is None else surface.of(t.position), z)
    _amounts(frame, "expected_spend_per_order", spend, z)
    frame["next_order_on"] = next_order_days(fit, t, history)
    orders = value = endless_value = Estimate()
    value_surface = None
    if not fit.reason:
        each = known["expected_orders"].of(t.position)
        coming = _chance(fit, history, periods, rng)
        noise = float(np.mean(np.sum((coming - each.value) ** 2, axis=1)))
        orders = gamma_estimate(each.value.sum(), each.total_variance() + noise, alpha)
        if spend is not None:
            factor = _discounts(fit, t, periods, discount_rate, history.unit_days)[t.position]
            value_surface = each.scaled(factor * history.paid_share).times(spend)
            money = _money(spend_fit, history, coming, rng) * factor
            noise = float(np.mean(np.sum((money - value_surface.value) ** 2, axis=1)))
            value = gamma_estimate(
                value_surface.value.sum(), value_surface.total_variance() + noise, alpha
            )
    _amounts(frame, "expected_value", value_surface, z)
    errors = np.full(len(frame), np.nan) if value_surface is None else value_surface.errors()
    frame["value_standard_error"] = errors
    past = np.full(len(frame), np.nan)
    if past_value is not None:
        past = frame["customer_id"].map(past_value).to_numpy(np.float64)
    frame["past_value"] = past
    frame["lifetime_value"] = past + frame["expected_value"]
    if endless and not fit.reason:
        far = _endless_surface(fit, t, discount_rate, history.unit_days).of(t.position)
        frame["endless_orders"] = far.value
        if spend is not None:
            far = far.scaled(np.full(len(frame), history.paid_share)).times(spend)
            frame["endless_value"] = far.value
            endless_value = gamma_estimate(far.value.sum(), far.total_variance(), alpha)
    return LifetimePredictions(
        customers=frame,
        periods=float(periods),
        unit_days=history.unit_days,
        as_of=history.as_of,
        orders=orders,
        value=value,
        endless_value=endless_value,
        share_alive=float(frame["probability_alive"].mean()),
        share_ordering=float(1 - frame["probability_no_order"].mean()),
        discount_rate=float(discount_rate),
        currency=history.currency,
        value_kind=history.value_kind,
        alpha=alpha,
        model=fit,
        spend_model=spend_fit,
        reason=fit.reason,
        value_reason=value_reason,
        method=wording.PREDICTIONS_METHOD,
    )


def check_horizon(history: PurchaseHistory, periods: float, fit: PurchaseFit | None) -> None:
    """Refuse an impossible horizon, and a fit that is of another kind or unit.

    Raises
    ------
    DesignError
        When one is.
    """
    check_periods(periods)
    if fit is not None and (fit.model == "bg_bb" or fit.unit_days != history.unit_days):
        raise DesignError(
            say(
                "a fit of {model} in units of {unit} days, a history in units of {other_unit}",
                model=fit.model,
                unit=separated(f"{fit.unit_days:g}"),
                other_unit=separated(f"{history.unit_days:g}"),
            ),
            expected=say("a model in time, in the same unit"),
            where="fit",
        )


def _check_rate(discount_rate: float, endless: bool) -> None:
    check_rate(discount_rate)
    if endless and discount_rate == 0:
        raise DesignError(
            say("a value without end and without a discount rate"),
            expected=say("a yearly rate above 0"),
            where="discount_rate",
        )


def _purchase_surfaces(
    fit: PurchaseFit, t: DistinctHistories, periods: float
) -> dict[str, Surface]:
    x = (t.frequency, t.recency, t.age)
    return surfaces(
        fit.parameters,
        fit.log_covariance,
        {
            "probability_alive": lambda p: probability_alive(p, *x),
            "probability_no_order": lambda p: 1 - probability_of_purchase(p, periods, *x),
            "expected_orders": lambda p: expected_purchases(p, periods, *x),
        },
    )


def _spend_surface(spend_fit: GammaGammaFit, history: PurchaseHistory) -> Surface:
    paid_x, mean = spend_columns(history)
    name = "expected_spend_per_order"
    return surfaces(
        spend_fit.parameters,
        spend_fit.log_covariance,
        {name: lambda p: expected_spend(p, paid_x, mean)},
    )[name]


def _endless_surface(
    fit: PurchaseFit, t: DistinctHistories, rate: float, unit_days: float
) -> Surface:
    name = "endless_orders"

    def endless(p: PurchaseParameters) -> FloatArray:
        return discounting.without_end(
            p, t.frequency, t.recency, t.age, yearly_rate=rate, unit_days=unit_days
        )

    return surfaces(fit.parameters, fit.log_covariance, {name: endless})[name]


def _discounts(
    fit: PurchaseFit, t: DistinctHistories, periods: float, rate: float, unit_days: float
) -> FloatArray:
    """Give the mean discount factor of each history's orders."""
    if rate == 0 or periods == 0:
        return np.ones(len(t))
    x = (t.frequency, t.recency, t.age)
    orders = expected_purchases(fit.parameters, periods, *x)
    present = discounting.within_horizon(
        fit.parameters, periods, *x, yearly_rate=rate, unit_days=unit_days
    )
    return np.divide(present, orders, out=np.ones(len(t)), where=orders > 0)


def _chance(
    fit: PurchaseFit, history: PurchaseHistory, periods: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw every customer's orders at the estimates, some times."""
    frame = history.customers
    x, t_x, age = (frame[name].to_numpy(np.float64) for name in ("frequency", "recency", "age"))
    return np.array(
        [
            simulate_purchases(fit.parameters, periods, x, t_x, age, rng=rng)
            for _ in range(NOISE_DRAWS)
        ]
    )


def _money(
    spend_fit: GammaGammaFit,
    history: PurchaseHistory,
    coming: NDArray[np.int64],
    rng: np.random.Generator,
) -> FloatArray:
    paid_x, mean = spend_columns(history)
    return np.array(
        [
            simulate_spend(
                spend_fit.parameters,
                rng.binomial(orders, history.paid_share),
                paid_x,
                mean,
                rng=rng,
            )
            for orders in coming
        ]
    )


def _amounts(frame: pd.DataFrame, name: str, surface: Surface | None, z: float) -> None:
    """Add a quantity above 0 with its interval on the log scale."""
    value, low, high = (np.full(len(frame), np.nan) for _ in range(3))
    if surface is not None:
        value, error = surface.value, surface.errors()
        relative = np.divide(error, value, out=np.zeros(len(value)), where=value > 0)
        factor = np.exp(np.minimum(z * relative, LARGEST_LOG))
        low, high = value / factor, value * factor
    frame[name], frame[f"{name}_low"], frame[f"{name}_high"] = value, low, high


def _shares(frame: pd.DataFrame, name: str, surface: Surface | None, z: float) -> None:
    """Add a probability with its interval on the logit scale."""
    value, low, high = (np.full(len(frame), np.nan) for _ in range(3))
    if surface is not None:
        value, error = surface.value, surface.errors()
        low, high = value.copy(), value.copy()
        inside = (value > 0) & (value < 1)
        share = value[inside]
        logit, width = special.logit(share), z * error[inside] / (share * (1 - share))
        low[inside], high[inside] = special.expit(logit - width), special.expit(logit + width)
    frame[name], frame[f"{name}_low"], frame[f"{name}_high"] = value, low, high
