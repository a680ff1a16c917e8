"""A base cut in two in time: what a model may see, and what happened afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from crm_lab.errors import DesignError
from crm_lab.formats import day
from crm_lab.language import say
from crm_lab.ltv.history import (
    PurchaseHistory,
    ValueKind,
    check_settings,
    day_of,
    purchase_history,
)
from crm_lab.ltv.purchase_days import purchase_days


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SplitHistory:
    """A base cut in two in time: what a model may see, and what happened afterwards.

    Attributes
    ----------
    calibration : PurchaseHistory
        Customers whose first purchase lies in the calibration period, until its end.
    holdout : pandas.DataFrame
        ``customer_id`` in the order of the calibration, ``holdout_orders`` (purchase days after
        the calibration) and ``holdout_spend`` (their totals).
    days : pandas.DataFrame
        Purchase days of these customers until ``as_of``: ``customer_id``, ``day``, ``amount``,
        ``is_first``.
    calibration_end, as_of : datetime.date
        Last day of the calibration and of the holdout.
    holdout_periods : float
        Length of the holdout in units.
    newcomers : int
        Customers whose first purchase lies in the holdout; no forecast is made for them.
    """

    calibration: PurchaseHistory
    holdout: pd.DataFrame
    days: pd.DataFrame
    calibration_end: date
    as_of: date
    holdout_periods: float
    newcomers: int


def split_history(
    purchases: pd.DataFrame,
    *,
    calibration_end: date,
    as_of: date,
    unit_days: float = 7,
    currency: str = "",
    value_kind: ValueKind = "revenue",
) -> SplitHistory:
    """Cut a base in two in time, to see what a forecast would have been worth.

    Parameters
    ----------
    purchases : pandas.DataFrame
        One row per order, as in :func:`purchase_history`.
    calibration_end : datetime.date
        Last day that the model may see.
    as_of : datetime.date
        Last day of the holdout, after ``calibration_end``.
    unit_days, currency, value_kind
        As in :func:`purchase_history`.

    Returns
    -------
    SplitHistory
        Calibration history and holdout counts of the same customers, in the same order.

    Raises
    ------
    DesignError
        When the dates are reversed, or as in :func:`purchase_history`.
    """
    end, last = day_of(calibration_end, "calibration_end"), day_of(as_of, "as_of")
    check_settings(unit_days, value_kind)
    if end >= last:
        raise DesignError(
            say(
                "the calibration ends on {end} and the data on {last}", end=day(end), last=day(last)
            ),
            expected=say("a calibration_end before as_of, so that something is held out"),
            where="calibration_end",
        )
    calibration = purchase_history(
        purchases,
        as_of=end.date(),
        unit_days=unit_days,
        currency=currency,
        value_kind=value_kind,
    )
    days, _, _ = purchase_days(purchases, as_of=last)
    first = days.groupby("customer_id", sort=False)["day"].transform("min")
    days["is_first"] = days["day"] == first
    newcomers = int((days["is_first"] & (days["day"] > end)).sum())
    days = days[first <= end].reset_index(drop=True)
    later = days[days["day"] > end].groupby("customer_id")["amount"].agg(["size", "sum"])
    ids = calibration.customers["customer_id"]
    holdout = pd.DataFrame(
        {
            "customer_id": ids,
            "holdout_orders": ids.map(later["size"]).fillna(0).astype(np.int64),
            "holdout_spend": ids.map(later["sum"]).fillna(0.0).astype(np.float64),
        }
    )
    return SplitHistory(
        calibration=calibration,
        holdout=holdout,
        days=days,
        calibration_end=end.date(),
        as_of=last.date(),
        holdout_periods=(last - end).days / unit_days,
        newcomers=newcomers,
    )
