"""From orders to purchase days: one row per customer and day with a purchase, and what was done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pandas as pd

from crm_lab.errors import DesignError, Fault
from crm_lab.formats import day, listing
from crm_lab.language import say
from crm_lab.ltv.history_checks import fault_of, id_faults, numbers_of

PURCHASE_COLUMNS = ("customer_id", "ordered_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryHealth:
    """How many rows the policies of a purchase history touched.

    Attributes
    ----------
    rows : int
        Rows read.
    rows_after_as_of : int
        Rows after the closing day, left out.
    same_day_orders : int
        Orders beyond the first of their customer's day, merged into one purchase day.
    refund_rows : int
        Rows with a negative amount; they are netted in the total of their day.
    refund_only_days : int
        Customer days that hold refunds only and are no purchase day.
    customers_without_purchase : int
        Customers without any purchase day until the closing day, left out.
    unpaid_repeat_days : int
        Repeat purchase days with a total of 0 or less: kept as purchases, left out of the spend.
    """

    rows: int = 0
    rows_after_as_of: int = 0
    same_day_orders: int = 0
    refund_rows: int = 0
    refund_only_days: int = 0
    customers_without_purchase: int = 0
    unpaid_repeat_days: int = 0


def purchase_days(
    purchases: pd.DataFrame, *, as_of: pd.Timestamp
) -> tuple[pd.DataFrame, HistoryHealth, str]:
    """Reduce orders to purchase days, with the policies of :func:`purchase_history`.

    Parameters
    ----------
    purchases : pandas.DataFrame
        One row per order.
    as_of : pandas.Timestamp
        Closing day, itself included.

    Returns
    -------
    days : pandas.DataFrame
        ``customer_id``, ``day``, ``amount``: one row per purchase day, sorted.
    health : HistoryHealth
        What was left out or merged.
    currency : str
        The one value of the column ``currency``; empty where there is no such column.
    """
    frame, currency = _checked_purchases(purchases)
    shown = frame["day"] <= as_of
    kept = frame[shown].assign(is_order=frame["amount"] >= 0, is_refund=frame["amount"] < 0)
    days = kept.groupby(["customer_id", "day"], as_index=False, sort=True).agg(
        amount=("amount", "sum"), orders=("is_order", "sum"), refunds=("is_refund", "sum")
    )
    bought = days["orders"] > 0
    health = HistoryHealth(
        rows=len(frame),
        rows_after_as_of=int((~shown).sum()),
        same_day_orders=int((days.loc[bought, "orders"] - 1).sum()),
        refund_rows=int(days["refunds"].sum()),
        refund_only_days=int((~bought).sum()),
        customers_without_purchase=int(
            frame["customer_id"].nunique() - days.loc[bought, "customer_id"].nunique()
        ),
    )
    days = days.loc[bought, ["customer_id", "day", "amount"]].reset_index(drop=True)
    if days.empty:
        raise DesignError(
            say("nobody bought until {as_of}", as_of=day(as_of)),
            expected=say("at least one order with an amount of 0 or more"),
            where="purchases",
            remedy=say("check as_of and the dates of the orders"),
        )
    if "amount" not in purchases.columns:
        days["amount"] = np.nan
    return days, health, currency


def _checked_purchases(purchases: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    missing = [name for name in PURCHASE_COLUMNS if name not in purchases.columns]
    if missing:
        raise DesignError(
            say("columns missing: {missing}", missing=listing(missing)),
            expected="customer_id, ordered_at, amount",
            where="purchases",
        )
    if purchases.empty:
        raise DesignError(say("there are no orders"), where="purchases")
    ids = purchases["customer_id"].reset_index(drop=True)
    faults = id_faults(ids, unique=False)
    moments = purchases["ordered_at"].reset_index(drop=True)
    if moments.dtype == object:
        moments = pd.to_datetime(moments.where(moments.map(_is_date)), errors="coerce")
    if not pd.api.types.is_datetime64_any_dtype(moments):
        faults.append(
            Fault(
                found=say("ordered_at holds {dtype}", dtype=moments.dtype),
                expected=say("dates or times"),
                where="column ordered_at",
            )
        )
        raise DesignError(faults)
    if moments.dt.tz is not None:
        moments = moments.dt.tz_localize(None)
    fault_of(faults, ids, moments.isna(), "ordered_at", say("a date in every row"))
    if "amount" in purchases.columns:
        amounts = numbers_of(purchases["amount"], "amount", faults)
        fault_of(faults, ids, ~np.isfinite(amounts), "amount", say("a finite number in every row"))
    else:
        amounts = pd.Series(0.0, index=ids.index)
    currency = ""
    if "currency" in purchases.columns:
        found = [str(value) for value in purchases["currency"].dropna().unique()]
        if len(found) > 1:
            faults.append(
                Fault(
                    found=say(
                        "amounts in {count} currencies: {names}",
                        count=len(found),
                        names=listing(found),
                    ),
                    expected=say("one currency"),
                    where="column currency",
                    remedy=say("convert the amounts first"),
                )
            )
        currency = found[0] if found else ""
    if faults:
        raise DesignError(faults)
    days = moments.dt.normalize()
    return pd.DataFrame({"customer_id": ids, "day": days, "amount": amounts}), currency


def _is_date(value: object) -> bool:
    return isinstance(value, (date, datetime))
