"""What everybody assigned did since the draw, one history per arm, for value as an outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from crm_lab.errors import DesignError
from crm_lab.formats import day, listing
from crm_lab.language import say
from crm_lab.ltv.history import (
    PurchaseHistory,
    ValueKind,
    check_settings,
    day_of,
    history_from_summary,
)
from crm_lab.ltv.parameters import FloatArray
from crm_lab.ltv.purchase_days import purchase_days


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArmHistory:
    """The customers of one arm since the draw, those without an order included.

    Attributes
    ----------
    arm : str
        Name of the arm.
    history : PurchaseHistory
        ``frequency`` counts all purchase days since the draw, ``age`` is the same for everybody.
    observed : ndarray, shape (n,)
        Total of all orders and refunds of each customer in the window.
    starts_on : datetime.date
        First day of the window.
    """

    arm: str
    history: PurchaseHistory
    observed: FloatArray
    starts_on: date


def arm_histories(
    assigned: pd.DataFrame,
    purchases: pd.DataFrame,
    *,
    starts_on: date,
    as_of: date,
    unit_days: float = 7,
    currency: str = "",
    value_kind: ValueKind = "revenue",
) -> Mapping[str, ArmHistory]:
    """Start every customer's clock with the draw, and give one history per arm.

    The clock starts with the day ``starts_on``; a purchase on that day is one day old. Every
    purchase day of the window counts, and nobody has a first purchase that is taken for granted.

    Parameters
    ----------
    assigned : pandas.DataFrame
        ``customer_id`` and ``variant``, one row for everybody assigned.
    purchases : pandas.DataFrame
        One row per order, as in :func:`~crm_lab.ltv.history.purchase_history`; rows of others and
        outside the window are left out.
    starts_on, as_of : datetime.date
        First and last day of the window.
    unit_days, currency, value_kind
        As in :func:`~crm_lab.ltv.history.purchase_history`.

    Returns
    -------
    mapping of str to ArmHistory
        By name of the arm.

    Raises
    ------
    DesignError
        When columns are missing, the window is empty, or a customer is in two arms.

    Examples
    --------
    >>> orders = pd.DataFrame({
    ...     "customer_id": ["a", "a"], "amount": [10.0, 4.0],
    ...     "ordered_at": pd.to_datetime(["2026-01-01", "2026-01-15"]),
    ... })
    >>> arms = pd.DataFrame({"customer_id": ["a", "b"], "variant": ["mail", "control"]})
    >>> found = arm_histories(arms, orders, starts_on=date(2026, 1, 2), as_of=date(2026, 1, 15))
    >>> found["mail"].history.customers[["frequency", "recency", "age"]].values.tolist()
    [[1.0, 2.0, 2.0]]
    """
    start, end = day_of(starts_on, "starts_on"), day_of(as_of, "as_of")
    check_settings(unit_days, value_kind)
    missing = [name for name in ("customer_id", "variant") if name not in assigned.columns]
    if missing:
        raise DesignError(
            say("columns missing: {missing}", missing=listing(missing)), where="assigned"
        )
    if end < start:
        raise DesignError(
            say("the window runs from {start} to {end}", start=day(start), end=day(end)),
            expected=say("a last day that is not before the first"),
            where="as_of",
        )
    twice = assigned["customer_id"][assigned["customer_id"].duplicated()]
    if len(twice):
        raise DesignError(
            say(
                "assigned more than once: {customers}", customers=listing(map(str, twice.unique()))
            ),
            expected=say("every customer in one arm"),
            where="assigned",
        )
    days, observed = _in_window(purchases, assigned["customer_id"], start, end)
    summary = _summary(assigned, days, start, end, unit_days)
    histories = {}
    for arm, rows in summary.groupby("variant", sort=True):
        history = history_from_summary(
            rows, as_of=end.date(), unit_days=unit_days, currency=currency, value_kind=value_kind
        )
        totals = history.customers["customer_id"].map(observed).fillna(0.0)
        histories[str(arm)] = ArmHistory(
            arm=str(arm),
            history=history,
            observed=np.asarray(totals, dtype=np.float64),
            starts_on=start.date(),
        )
    return histories


def _in_window(
    purchases: pd.DataFrame, ids: pd.Series[str], start: pd.Timestamp, end: pd.Timestamp
) -> tuple[pd.DataFrame, pd.Series[float]]:
    """Give purchase days of the window, and what each customer paid in all."""
    when = pd.to_datetime(purchases["ordered_at"]).dt.tz_localize(None).dt.normalize()
    rows = purchases[(when >= start) & (when <= end) & purchases["customer_id"].isin(ids)]
    if rows.empty:
        empty = pd.DataFrame({"customer_id": [], "day": pd.to_datetime([]), "amount": []})
        return empty, pd.Series(dtype=np.float64)
    days, _, _ = purchase_days(rows, as_of=end)
    amounts = rows["amount"] if "amount" in rows.columns else pd.Series(0.0, index=rows.index)
    return days, amounts.astype(np.float64).groupby(rows["customer_id"]).sum()


def _summary(
    assigned: pd.DataFrame,
    days: pd.DataFrame,
    start: pd.Timestamp,
    end: pd.Timestamp,
    unit_days: float,
) -> pd.DataFrame:
    paid = days[days["amount"] > 0].groupby("customer_id")["amount"].agg(["size", "mean"])
    by_customer = days.groupby("customer_id")["day"].agg(["size", "max"])
    ids = assigned["customer_id"]
    recency = pd.Series(0.0, index=assigned.index)
    if len(days):
        since = (ids.map(by_customer["max"]) - start).dt.days + 1
        recency = (since / unit_days).fillna(0.0)
    return pd.DataFrame(
        {
            "customer_id": ids,
            "variant": assigned["variant"],
            "frequency": ids.map(by_customer["size"]).fillna(0).astype(np.int64),
            "recency": recency,
            "age": ((end - start).days + 1) / unit_days,
            "paid_frequency": ids.map(paid["size"]).fillna(0).astype(np.int64),
            "monetary_value": ids.map(paid["mean"]).astype(np.float64),
        }
    )
