"""Forecasts from several moments of the past, each beside what happened and the baselines.

One split is one experiment. Several origins show whether the forecast is good or was lucky, and
how far off it may be next time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import ClassVar

import numpy as np
import pandas as pd

from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.formats import day
from crm_lab.language import say
from crm_lab.ltv import value_wording as wording
from crm_lab.ltv.baselines import BASELINES, baseline_orders
from crm_lab.ltv.fits import check_alpha, fit_gamma_gamma, fit_purchases
from crm_lab.ltv.group_wording import tier_names
from crm_lab.ltv.history import ValueKind, day_of
from crm_lab.ltv.holdout import SplitHistory, split_history
from crm_lab.ltv.parameters import FloatArray, PurchaseModel
from crm_lab.ltv.predictions import LifetimePredictions, predict
from crm_lab.stats import proportion_interval

DEFAULT_ORIGINS = 4
"""How many origins are tried, where the history is long enough."""

MIN_HISTORY_DAYS = 91
"""An origin with less history before it is left out."""

BINS = 10

TIERS = (0.05, 0.15, 0.30, 0.50)
"""Shares of the customers from the most valuable tier to the least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One forecast of the past.

    Attributes
    ----------
    origin, until : datetime.date
        Last day that the model saw, and last day of the time forecast.
    n_customers, n_repeaters, history_days : int
        What the model saw.
    expected, low, high : float
        Repeat orders expected with prediction interval; NaN where nothing could be fitted.
    actual : int
        Repeat orders that came.
    expected_value, value_low, value_high, actual_value : float
        The same in money.
    relative_error : float
        Expected divided by actual, minus 1.
    baseline_errors : tuple of (str, float)
        Relative error of the total by each baseline.
    mean_absolute_error : float
        Per customer.
    baseline_absolute_errors : tuple of (str, float)
        Per customer, by each baseline.
    reason : str
        Why the model gave no forecast; empty where it did.
    """

    origin: date
    until: date
    n_customers: int
    n_repeaters: int
    history_days: int
    expected: float
    low: float
    high: float
    actual: int
    expected_value: float
    value_low: float
    value_high: float
    actual_value: float
    relative_error: float
    baseline_errors: tuple[tuple[str, float], ...]
    mean_absolute_error: float
    baseline_absolute_errors: tuple[tuple[str, float], ...]
    reason: str

    @property
    def is_inside(self) -> bool:
        """Whether what happened lies in the interval."""
        return self.low <= self.actual <= self.high


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class RollingOrigin(Result):
    """Forecasts from several moments of the past, beside what happened.

    Attributes
    ----------
    origins : tuple of Origin
        The earliest first.
    horizon_days : int
        Length of each forecast.
    probabilities : pandas.DataFrame
        From the last origin, tenths of the customers by the predicted probability of an order:
        ``customers``, ``probability_alive``, ``expected`` and ``actual`` share with at least one
        order, ``low``, ``high`` of the actual share.
    tiers : pandas.DataFrame
        From the last origin, customers by predicted value: ``tier``, ``customers``, ``expected``
        and ``actual`` mean value (orders where there is no value).
    model : str
        The purchase model.
    unit_days : float
        Days in one unit.
    alpha : float
        1 minus the nominal coverage of the intervals.
    currency : str
        What values are in.
    reason : str
        Why there is nothing; empty where there is.
    method : str
        How it was done.
    """

    title: ClassVar[str] = wording.ROLLING_TITLE
    plotter: ClassVar[str] = "crm_lab.plots.lifetime_value:plot_rolling"

    origins: tuple[Origin, ...]
    horizon_days: int
    probabilities: pd.DataFrame
    tiers: pd.DataFrame
    model: PurchaseModel
    unit_days: float
    alpha: float
    currency: str
    reason: str
    method: str

    @property
    def usable(self) -> tuple[Origin, ...]:
        """The origins at which the model gave a forecast and something happened."""
        return tuple(each for each in self.origins if not each.reason and each.actual > 0)

    def error_of(self, name: str) -> float:
        """Give the mean absolute relative error of the total; ``model`` or a baseline."""
        errors = [
            abs(each.relative_error if name == "model" else dict(each.baseline_errors)[name])
            for each in self.usable
        ]
        return float(np.mean(errors)) if errors else math.nan

    def customer_error_of(self, name: str) -> float:
        """Give the mean absolute error per customer; ``model`` or a baseline."""
        errors = [
            each.mean_absolute_error
            if name == "model"
            else dict(each.baseline_absolute_errors)[name]
            for each in self.usable
        ]
        return float(np.mean(errors)) if errors else math.nan

    def best_baseline(self, *, by_customer: bool = False) -> tuple[str, float]:
        """Give the baseline with the smallest error, and that error; empty where there is none."""
        measure = self.customer_error_of if by_customer else self.error_of
        found = [(measure(name), name) for name in BASELINES]
        finite = [pair for pair in found if math.isfinite(pair[0])]
        error, name = min(finite, default=(math.nan, ""))
        return name, error

    def sentence(self) -> str:
        """Say how far off the forecasts were, and whether anything simpler was better."""
        return wording.rolling_sentence(self)

    def to_frame(self) -> pd.DataFrame:
        """Give one row per origin."""
        rows = []
        for each in self.origins:
            row = {
                "origin": each.origin.isoformat(),
                "until": each.until.isoformat(),
                "expected": each.expected,
                "low": each.low,
                "high": each.high,
                "actual": each.actual,
                "relative_error": each.relative_error,
            }
            row |= dict(each.baseline_errors)
            row["reason"] = each.reason
            rows.append(row)
        return pd.DataFrame(rows)

    def card_frame(self) -> pd.DataFrame:
        """Give the origins with their errors as percentages."""
        return wording.rolling_table(self)

    def errors_frame(self) -> pd.DataFrame:
        """Give the model and each baseline with its mean errors over the origins."""
        return pd.DataFrame(
            [
                {"forecast": name, "error_of_total": total, "error_per_customer": each}
                for name, (total, each) in self._errors().items()
            ]
        )

    def errors_table(self) -> pd.DataFrame:
        """Give :meth:`errors_frame` as people read it."""
        return wording.errors_table(self._errors())

    def _errors(self) -> dict[str, tuple[float, float]]:
        names = ("model", *BASELINES)
        return {name: (self.error_of(name), self.customer_error_of(name)) for name in names}


def rolling_origin(
    purchases: pd.DataFrame,
    *,
    horizon_days: int,
    as_of: date,
    origins: int | Sequence[date] = DEFAULT_ORIGINS,
    model: PurchaseModel = "bg_nbd",
    unit_days: float = 7,
    currency: str = "",
    value_kind: ValueKind = "revenue",
    alpha: float = 0.05,
    rng: np.random.Generator,
    progress: bool = False,
) -> RollingOrigin:
    """Forecast the same horizon from several moments of the past, and compare.

    Parameters
    ----------
    purchases : pandas.DataFrame
        One row per order, as in :func:`~crm_lab.ltv.history.purchase_history`.
    horizon_days : int
        Length of each forecast, 1 or more.
    as_of : datetime.date
        Last day with data.
    origins : int or sequence of dates, default 4
        How many, the last one ``horizon_days`` before ``as_of`` and half a horizon between two;
        or which days. Those with less than ``MIN_HISTORY_DAYS`` before them are left out.
    model : {"bg_nbd", "mbg_nbd", "pareto_nbd"}, default "bg_nbd"
        The purchase model.
    unit_days, currency, value_kind
        As in :func:`~crm_lab.ltv.history.purchase_history`.
    alpha : float, default 0.05
        1 minus the nominal coverage of the intervals.
    rng : numpy.random.Generator
        Source of randomness.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    RollingOrigin
        With a ``reason`` where no origin has history enough before it.

    Raises
    ------
    DesignError
        When the horizon, alpha or an origin is impossible.
    """
    check_alpha(alpha)
    if horizon_days < 1:
        raise DesignError(
            say("a horizon of {horizon_days} days", horizon_days=horizon_days),
            expected=say("1 or more"),
            where="horizon_days",
        )
    days = _origins(purchases, horizon_days, as_of, origins)
    found: list[Origin] = []
    last: tuple[SplitHistory, LifetimePredictions] | None = None
    for moment in _steps(days, progress):
        split = split_history(
            purchases,
            calibration_end=moment,
            as_of=moment + timedelta(days=horizon_days),
            unit_days=unit_days,
            currency=currency,
            value_kind=value_kind,
        )
        ahead = predict(
            split.calibration,
            periods=split.holdout_periods,
            fit=fit_purchases(split.calibration, model=model, alpha=alpha),
            spend_fit=fit_gamma_gamma(split.calibration, alpha=alpha),
            alpha=alpha,
            rng=rng,
        )
        found.append(_origin(split, ahead))
        last = (split, ahead)
    return RollingOrigin(
        origins=tuple(found),
        horizon_days=horizon_days,
        probabilities=probability_table(*last, alpha=alpha) if last else pd.DataFrame(),
        tiers=tier_check(*last) if last else pd.DataFrame(),
        model=model,
        unit_days=unit_days,
        alpha=alpha,
        currency=currency,
        reason="" if found else wording.no_origin(MIN_HISTORY_DAYS, horizon_days),
        method=wording.ROLLING_METHOD,
    )


def probability_table(
    split: SplitHistory, ahead: LifetimePredictions, *, alpha: float
) -> pd.DataFrame:
    """Compare predicted probabilities of an order with the share who ordered, by tenths.

    Whether somebody is still a customer is never seen; whether they ordered is. The mean
    probability to be a customer stands beside it, which must not lie below the share who ordered.
    """
    frame = ahead.customers
    expected = 1 - frame["probability_no_order"].to_numpy(np.float64)
    if ahead.reason:
        return pd.DataFrame()
    ordered = split.holdout["holdout_orders"].to_numpy() > 0
    ranks = np.argsort(np.argsort(expected, kind="stable"), kind="stable")
    group = ranks * BINS // len(expected)
    alive = frame["probability_alive"].to_numpy(np.float64)
    rows = []
    for place in np.unique(group):
        mine = group == place
        share = proportion_interval(int(ordered[mine].sum()), int(mine.sum()), alpha=alpha)
        rows.append(
            {
                "tenth": int(place) + 1,
                "customers": int(mine.sum()),
                "probability_alive": float(alive[mine].mean()),
                "expected": float(expected[mine].mean()),
                "actual": share.estimate,
                "low": share.low,
                "high": share.high,
            }
        )
    return pd.DataFrame(rows)


def tier_check(split: SplitHistory, ahead: LifetimePredictions) -> pd.DataFrame:
    """Compare the mean value of predicted tiers with what they brought."""
    if ahead.reason:
        return pd.DataFrame()
    by_value = not ahead.value_reason
    column = "expected_value" if by_value else "expected_orders"
    expected = ahead.customers[column].to_numpy(np.float64)
    name = "holdout_spend" if by_value else "holdout_orders"
    actual = split.holdout[name].to_numpy(np.float64)
    order = np.argsort(-expected, kind="stable")
    ends = np.round(np.cumsum(TIERS) * len(expected)).astype(int)
    rows = []
    for label, places in zip(tier_names(TIERS), np.split(order, ends[:-1]), strict=True):
        if len(places):
            rows.append(
                {
                    "tier": label,
                    "customers": len(places),
                    "expected": float(expected[places].mean()),
                    "actual": float(actual[places].mean()),
                }
            )
    return pd.DataFrame(rows)


def _origin(split: SplitHistory, ahead: LifetimePredictions) -> Origin:
    actual = split.holdout["holdout_orders"].to_numpy(np.float64)
    total = float(actual.sum())
    baselines = baseline_orders(split)
    has_amounts = bool(split.days["amount"].notna().any())
    history = split.calibration

    def of_total(each: FloatArray) -> float:
        return float(each.sum()) / total - 1 if total else math.nan

    def of_customer(each: FloatArray) -> float:
        return float(np.abs(each - actual).mean())

    each_baseline = {name: baselines[name].to_numpy(np.float64) for name in BASELINES}
    model = ahead.customers["expected_orders"].to_numpy(np.float64)
    return Origin(
        origin=split.calibration_end,
        until=split.as_of,
        n_customers=history.n_customers,
        n_repeaters=history.n_repeaters,
        history_days=round(history.span_days),
        expected=ahead.orders.estimate,
        low=ahead.orders.low,
        high=ahead.orders.high,
        actual=int(total),
        expected_value=ahead.value.estimate,
        value_low=ahead.value.low,
        value_high=ahead.value.high,
        actual_value=float(split.holdout["holdout_spend"].sum()) if has_amounts else math.nan,
        relative_error=of_total(model),
        baseline_errors=tuple((name, of_total(each)) for name, each in each_baseline.items()),
        mean_absolute_error=of_customer(model),
        baseline_absolute_errors=tuple(
            (name, of_customer(each)) for name, each in each_baseline.items()
        ),
        reason=ahead.reason,
    )


def _origins(
    purchases: pd.DataFrame, horizon_days: int, as_of: date, origins: int | Sequence[date]
) -> list[date]:
    end = day_of(as_of, "as_of").date()
    last = end - timedelta(days=horizon_days)
    first = day_of(pd.to_datetime(purchases["ordered_at"]).min(), "ordered_at").date()
    if isinstance(origins, int):
        if origins < 1:
            raise DesignError(
                say("{origins} origins", origins=origins),
                expected=say("at least 1"),
                where="origins",
            )
        step = max(horizon_days // 2, 1)
        days = [last - timedelta(days=step * place) for place in range(origins)]
    else:
        days = list(origins)
        if late := [day(each) for each in days if each > last]:
            raise DesignError(
                say("origins too late: {late}", late=", ".join(late)),
                expected=say("not after {last}, a horizon before the data end", last=day(last)),
                where="origins",
            )
    return sorted(each for each in days if (each - first).days >= MIN_HISTORY_DAYS)


def _steps(days: list[date], progress: bool) -> Iterable[date]:
    if not progress:
        return days
    from tqdm.auto import tqdm

    bar: Iterable[date] = tqdm(days, desc=say(wording.TESTING), unit=say("origin"), leave=False)
    return bar
