"""Honest baselines: what anybody could forecast without a lifetime model.

Each gives the repeat orders of every customer in the holdout from the calibration alone. A model
that does not beat them brings nothing but its name.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pandas as pd

from crm_lab.ltv.holdout import SplitHistory
from crm_lab.ltv.parameters import FloatArray

Baseline = Literal["last_period", "same_rate", "average_rate", "rfm_regression"]
BASELINES: tuple[Baseline, ...] = get_args(Baseline)

MIN_TRAINING = 50
"""Customers that the regression needs in its own past."""


def baseline_orders(split: SplitHistory) -> pd.DataFrame:
    """Forecast the holdout of every customer by each baseline.

    Parameters
    ----------
    split : SplitHistory
        A base cut in two in time.

    Returns
    -------
    pandas.DataFrame
        In the order of the calibration: ``last_period`` (the orders of the last stretch as long as
        the holdout come again), ``same_rate`` (everybody goes on at the own rate),
        ``average_rate`` (everybody orders at the mean rate of all), ``rfm_regression`` (least
        squares on recency, frequency, spend and age, learned one stretch earlier; NaN where the
        past is too short to learn from).
    """
    found: dict[Baseline, FloatArray] = {
        "last_period": last_period(split),
        "same_rate": same_rate(split),
        "average_rate": average_rate(split),
        "rfm_regression": rfm_regression(split),
    }
    return pd.DataFrame(found)


def last_period(split: SplitHistory) -> FloatArray:
    """Give each customer's repeat orders of the last stretch, scaled where it is shorter."""
    window = _window(split)
    if window <= 0:
        return np.zeros(split.calibration.n_customers)
    end = pd.Timestamp(split.calibration_end)
    begin = end - pd.Timedelta(days=window)
    return _repeats(split, begin, end) * _holdout_days(split) / window


def same_rate(split: SplitHistory) -> FloatArray:
    """Give each customer's own repeat rate times the holdout."""
    frame = split.calibration.customers
    age = frame["age"].to_numpy(np.float64)
    orders = frame["frequency"].to_numpy(np.float64)
    rate = np.divide(orders, age, out=np.zeros(len(age)), where=age > 0)
    return np.asarray(rate * split.holdout_periods)


def average_rate(split: SplitHistory) -> FloatArray:
    """Give everybody the repeat rate of all customers together, times the holdout."""
    frame = split.calibration.customers
    time = float(frame["age"].sum())
    rate = float(frame["frequency"].sum()) / time if time else 0.0
    return np.full(len(frame), rate * split.holdout_periods)


def rfm_regression(split: SplitHistory) -> FloatArray:
    """Learn orders from recency, frequency, spend and age one stretch earlier, then forecast.

    The stretch is as long as the holdout, at most half of the calibration. Least squares on
    the own rate and the logarithms of the four; forecasts below 0 count as 0.
    """
    n = split.calibration.n_customers
    window = min(_holdout_days(split), split.calibration.span_days // 2)
    end = pd.Timestamp(split.calibration_end)
    origin = end - pd.Timedelta(days=window)
    first = split.days[split.days["is_first"]].set_index("customer_id")["day"]
    ids = split.calibration.customers["customer_id"]
    known = (ids.map(first) <= origin).to_numpy()
    if window <= 0 or int(known.sum()) < MIN_TRAINING:
        return np.full(n, np.nan)
    before = _features(split, origin)
    slopes, *_ = np.linalg.lstsq(before[known], _repeats(split, origin, end)[known], rcond=None)
    later = np.maximum(_features(split, end) @ slopes, 0.0)
    return np.asarray(later * _holdout_days(split) / window)


def _features(split: SplitHistory, moment: pd.Timestamp) -> FloatArray:
    """Give what was known of each customer at a moment, as logarithms, with an intercept."""
    ids = split.calibration.customers["customer_id"]
    days = split.days[split.days["day"] <= moment]
    known = days.groupby("customer_id").agg(
        first=("day", "min"), last=("day", "max"), n=("day", "size"), amount=("amount", "mean")
    )
    seen = known.reindex(ids)
    age = (moment - seen["first"]).dt.days.fillna(0).to_numpy(np.float64)
    silent = (moment - seen["last"]).dt.days.fillna(0).to_numpy(np.float64)
    repeats = seen["n"].fillna(1).to_numpy(np.float64) - 1
    spend = np.maximum(seen["amount"].fillna(0).to_numpy(np.float64), 0)
    rate = np.divide(repeats, age, out=np.zeros(len(ids)), where=age > 0)
    logs = [np.log1p(values) for values in (repeats, silent, age, spend)]
    return np.column_stack([np.ones(len(ids)), rate, *logs])


def _repeats(split: SplitHistory, begin: pd.Timestamp, end: pd.Timestamp) -> FloatArray:
    """Count each customer's repeat orders after ``begin`` and until ``end``."""
    days = split.days
    recent = days[(days["day"] > begin) & (days["day"] <= end) & ~days["is_first"]]
    ids = split.calibration.customers["customer_id"]
    counts = ids.map(recent.groupby("customer_id").size()).fillna(0)
    return np.asarray(counts, dtype=np.float64)


def _holdout_days(split: SplitHistory) -> float:
    return split.holdout_periods * split.calibration.unit_days


def _window(split: SplitHistory) -> float:
    return min(_holdout_days(split), split.calibration.span_days)
