"""What a forecast would have been worth: fit on the past, forecast, compare with what happened."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from crm_lab.cards import Result
from crm_lab.language import say
from crm_lab.ltv import wording
from crm_lab.ltv.forecast import DEFAULT_REFITS, Estimate, LifetimeForecast, forecast
from crm_lab.ltv.formulas import (
    FloatArray,
    expected_purchases,
    expected_purchases_of_new_customer,
)
from crm_lab.ltv.history import ValueKind, distinct_histories
from crm_lab.ltv.holdout import SplitHistory, split_history

LAST_BIN = 7
"""Customers with this many repeat purchases or more share the last row of the table."""

PUBLISH_CUSTOMERS = 500
"""A forecast from fewer customers is not for publication."""

PUBLISH_REPEATERS = 100
"""A forecast from fewer customers with a repeat purchase is not for publication."""

PUBLISH_CALIBRATION_DAYS = 91
"""A forecast from a shorter history is not for publication."""

PUBLISH_HOLDOUT_DAYS = 28
"""A forecast checked on a shorter holdout is not for publication."""

MODEL = "model"
SAME_RATE = "same_rate"
LAST_PERIOD = "last_period"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Validation(Result):
    """A forecast beside what happened in the periods held out from it.

    Attributes
    ----------
    calibration_end, as_of : datetime.date
        Last day that the model saw, and last day of the holdout.
    unit_days, holdout_periods : float
        Days in one unit, and length of the holdout in units.
    n_customers, n_repeaters, n_newcomers : int
        Customers and repeat customers of the calibration; customers who came only later and of
        whom no forecast is made.
    expected_orders : Estimate
        Repeat purchase days expected in the holdout, with prediction interval.
    actual_orders : int
        Repeat purchase days that happened.
    expected_value : Estimate
        Value expected in the holdout; NaN where there is no spend model.
    actual_value : float
        Value that happened; NaN where the purchases carry no amounts.
    by_frequency : pandas.DataFrame
        ``frequency`` in the calibration (last row: 7 or more), ``customers``, ``actual_mean``,
        ``expected_mean`` of the holdout.
    tracking : pandas.DataFrame
        Per unit of time: ``until``, ``phase``, ``actual``, ``expected``, ``actual_cumulative``,
        ``expected_cumulative`` repeat purchases. In the calibration the expectation is that of
        new customers (equation 9); in the holdout that given each history (equation 10), added
        to what had happened by the end of the calibration.
    errors : pandas.DataFrame
        ``method`` (model, same_rate, last_period), ``expected``, ``actual``, ``relative_error``,
        ``mean_absolute_error``, ``root_mean_squared_error`` per customer.
    forecast : LifetimeForecast
        The forecast from the calibration.
    alpha : float
        1 minus the nominal coverage of the intervals.
    publishable : bool
        Whether data and fit can carry a published forecast.
    reason : str
        Why not; empty where they can.
    method : str
        How the comparison was made.
    """

    title: ClassVar[str] = wording.VALIDATION_TITLE
    plotter: ClassVar[str] = "crm_lab.plots.lifetime:plot_tracking"

    calibration_end: date
    as_of: date
    unit_days: float
    holdout_periods: float
    n_customers: int
    n_repeaters: int
    n_newcomers: int
    expected_orders: Estimate
    actual_orders: int
    expected_value: Estimate
    actual_value: float
    currency: str
    by_frequency: pd.DataFrame
    tracking: pd.DataFrame
    errors: pd.DataFrame
    forecast: LifetimeForecast
    alpha: float
    publishable: bool
    reason: str
    method: str

    def sentence(self) -> str:
        """Say what the forecast would have been worth."""
        if not math.isfinite(self.expected_orders.estimate):
            return say(wording.NO_COMPARISON, reason=self.reason)
        rate = self.errors.loc[self.errors["method"] == SAME_RATE, "relative_error"]
        text = wording.validation_sentence(
            periods=self.holdout_periods,
            unit_days=self.unit_days,
            expected=self.expected_orders.as_tuple(),
            actual=self.actual_orders,
            alpha=self.alpha,
            baseline_error=float(rate.iloc[0]),
        )
        value = wording.value_check(
            expected=self.expected_value.as_tuple(),
            actual=self.actual_value,
            currency=self.currency,
            value_kind=self.forecast.value_kind,
        )
        return " ".join(part for part in (text, value, wording.gate_sentence(self.reason)) if part)

    def worth(self) -> str:
        """Say in one sentence what a forecast like this one was worth, to stand beside others."""
        expected = self.expected_orders
        if not math.isfinite(expected.estimate) or not self.actual_orders:
            return say(wording.NOT_TESTED)
        return wording.tested_sentence(
            periods=self.holdout_periods,
            unit_days=self.unit_days,
            error=expected.estimate / self.actual_orders - 1,
            is_inside=expected.low <= self.actual_orders <= expected.high,
        )

    def to_frame(self) -> pd.DataFrame:
        """Give the model and the baselines with their errors."""
        return self.errors.copy()

    def card_frame(self) -> pd.DataFrame:
        """Give the table by frequency, in which a reader sees where the forecast is off."""
        return self.by_frequency

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON-ready data."""
        kept = Result.to_dict(self)
        kept["forecast"] = self.forecast.to_dict()
        return kept


def validate(
    purchases: pd.DataFrame,
    *,
    calibration_end: date,
    as_of: date,
    unit_days: float = 7,
    currency: str = "",
    value_kind: ValueKind = "revenue",
    alpha: float = 0.05,
    refits: int = DEFAULT_REFITS,
    rng: np.random.Generator | None = None,
    progress: bool = False,
) -> Validation:
    """Fit on the calibration period, forecast the holdout, and compare with what happened.

    Do it before any forecast is published. One split is one experiment: a forecast that was right
    once may be wrong when the season or the offer changes.

    Parameters
    ----------
    purchases : pandas.DataFrame
        One row per order, as in :func:`~crm_lab.ltv.history.purchase_history`.
    calibration_end : datetime.date
        Last day that the model may see.
    as_of : datetime.date
        Last day of the holdout.
    unit_days, currency, value_kind
        As in :func:`~crm_lab.ltv.history.purchase_history`.
    alpha, refits, rng, progress
        As in :func:`~crm_lab.ltv.forecast.forecast`.

    Returns
    -------
    Validation
        With ``publishable`` and the reason where it is not.

    Raises
    ------
    DesignError
        As :func:`~crm_lab.ltv.history.split_history`.
    """
    split = split_history(
        purchases,
        calibration_end=calibration_end,
        as_of=as_of,
        unit_days=unit_days,
        currency=currency,
        value_kind=value_kind,
    )
    expected = forecast(
        split.calibration,
        periods=split.holdout_periods,
        alpha=alpha,
        refits=refits,
        rng=rng,
        progress=progress,
    )
    actual = split.holdout["holdout_orders"].to_numpy(np.float64)
    has_amounts = bool(split.days["amount"].notna().any())
    reason = _gate(split, expected)
    return Validation(
        calibration_end=split.calibration_end,
        as_of=split.as_of,
        unit_days=split.calibration.unit_days,
        holdout_periods=split.holdout_periods,
        n_customers=split.calibration.n_customers,
        n_repeaters=split.calibration.n_repeaters,
        n_newcomers=split.newcomers,
        expected_orders=expected.orders,
        actual_orders=int(actual.sum()),
        expected_value=expected.value,
        actual_value=float(split.holdout["holdout_spend"].sum()) if has_amounts else math.nan,
        currency=split.calibration.currency,
        by_frequency=_by_frequency(expected.customers, actual),
        tracking=_tracking(split, expected),
        errors=_errors(split, expected, actual),
        forecast=expected,
        alpha=alpha,
        publishable=not reason,
        reason=reason,
        method=wording.VALIDATION_METHOD,
    )


def _gate(split: SplitHistory, expected: LifetimeForecast) -> str:
    history = split.calibration
    parts = [expected.reason] if expected.reason else []
    holdout_days = round(split.holdout_periods * history.unit_days)
    needs = [
        ("customers", history.n_customers, PUBLISH_CUSTOMERS),
        ("repeaters", history.n_repeaters, PUBLISH_REPEATERS),
        ("days", round(history.span_days), PUBLISH_CALIBRATION_DAYS),
        ("held out", holdout_days, PUBLISH_HOLDOUT_DAYS),
    ]
    # A fit that lacks customers says so itself; the gate does not repeat it.
    parts += [wording.too_few(*need) for need in needs if need[1] < need[2]]
    return "; ".join(parts)


def _by_frequency(customers: pd.DataFrame, actual: FloatArray) -> pd.DataFrame:
    label = customers["frequency"].clip(upper=LAST_BIN)
    table = (
        pd.DataFrame(
            {"bin": label, "actual": actual, "expected": customers["expected_orders"].to_numpy()}
        )
        .groupby("bin")
        .agg(
            customers=("actual", "size"),
            actual_mean=("actual", "mean"),
            expected_mean=("expected", lambda values: values.mean(skipna=False)),
        )
        .reset_index(names="frequency")
    )
    table["frequency"] = [
        f"{LAST_BIN}+" if value == LAST_BIN else str(value) for value in table["frequency"]
    ]
    return table


def _errors(split: SplitHistory, expected: LifetimeForecast, actual: FloatArray) -> pd.DataFrame:
    methods = {
        MODEL: expected.customers["expected_orders"].to_numpy(),
        SAME_RATE: _same_rate(split),
        LAST_PERIOD: _last_period(split),
    }
    total = float(actual.sum())
    rows = []
    for name, each in methods.items():
        difference = each - actual
        rows.append(
            {
                "method": name,
                "expected": float(each.sum()),
                "actual": total,
                "relative_error": float(each.sum()) / total - 1 if total else math.nan,
                "mean_absolute_error": float(np.abs(difference).mean()),
                "root_mean_squared_error": float(np.sqrt((difference**2).mean())),
            }
        )
    return pd.DataFrame(rows)


def _same_rate(split: SplitHistory) -> FloatArray:
    """Baseline: every customer goes on at the own rate of the calibration."""
    frame = split.calibration.customers
    age = frame["age"].to_numpy()
    rate = np.divide(
        frame["frequency"].to_numpy(np.float64), age, out=np.zeros(len(age)), where=age > 0
    )
    return np.asarray(rate * split.holdout_periods)


def _last_period(split: SplitHistory) -> FloatArray:
    """Baseline: every customer repeats the last stretch of the calibration as long as the holdout.

    Where the calibration is shorter than the holdout, the whole of it is scaled up.
    """
    history = split.calibration
    window = min(split.holdout_periods, history.span_days / history.unit_days)
    ids = history.customers["customer_id"]
    if window <= 0:
        return np.zeros(len(ids))
    end = pd.Timestamp(split.calibration_end)
    begin = end - pd.Timedelta(days=window * history.unit_days)
    days = split.days
    recent = days[(days["day"] > begin) & (days["day"] <= end) & ~days["is_first"]]
    counts = ids.map(recent.groupby("customer_id").size()).fillna(0).to_numpy(np.float64)
    return np.asarray(counts * split.holdout_periods / window)


def _tracking(split: SplitHistory, expected: LifetimeForecast) -> pd.DataFrame:
    history = split.calibration
    unit = history.unit_days
    age = history.customers["age"].to_numpy()
    back = math.ceil(float(age.max()) - 1e-9)
    ahead = math.ceil(split.holdout_periods - 1e-9)
    # Times in units from the end of the calibration; the last step ends with the holdout.
    until = np.append(np.arange(-back + 1, ahead, dtype=np.float64), split.holdout_periods)
    end = pd.Timestamp(split.calibration_end)
    repeats = split.days[~split.days["is_first"]]
    when = (repeats["day"] - end).dt.days.to_numpy() / unit
    actual_cumulative = np.searchsorted(np.sort(when), until + 1e-9, side="right")
    by_calibration = int((when <= 0).sum())
    expected_cumulative = np.full(len(until), np.nan)
    if not expected.reason:
        p = expected.model.parameters
        ages, counts = np.unique(age, return_counts=True)
        tuples = distinct_histories(history)
        for index, moment in enumerate(until):
            if moment <= 0:
                lived = np.maximum(ages + moment, 0.0)
                total = float(expected_purchases_of_new_customer(p, lived) @ counts)
            else:
                each = expected_purchases(p, moment, tuples.frequency, tuples.recency, tuples.age)
                total = by_calibration + float(each @ tuples.customers)
            expected_cumulative[index] = total
    calibrating = until <= 0
    # The holdout's steps start from what had happened, not from what had been expected.
    base = np.concatenate([[0.0], expected_cumulative[:-1]])
    base[np.flatnonzero(~calibrating)[0]] = by_calibration
    return pd.DataFrame(
        {
            "until": end + pd.to_timedelta(np.round(until * unit), unit="D"),
            "phase": np.where(calibrating, "calibration", "holdout"),
            "actual": np.diff(actual_cumulative, prepend=0),
            "expected": expected_cumulative - base,
            "actual_cumulative": actual_cumulative,
            "expected_cumulative": expected_cumulative,
        }
    )
