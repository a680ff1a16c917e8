"""What each customer did until a closing day, in the form that lifetime models read.

Times are days divided by the unit, never calendar periods: counting in calendar weeks would merge
purchases of one week and lose repeats. Several orders of a day are one purchase day. The first
purchase day is the start of a customer and no repeat.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from datetime import date
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import pandas as pd

from crm_lab.cards import Result, plain
from crm_lab.errors import DesignError
from crm_lab.formats import listing, separated
from crm_lab.language import say
from crm_lab.ltv import wording
from crm_lab.ltv.history_checks import fault_of, id_faults, numbers_of, summary_faults
from crm_lab.ltv.purchase_days import HistoryHealth, purchase_days
from crm_lab.ltv.tuples import DistinctHistories, count_histories

ValueKind = Literal["revenue", "margin"]

HISTORY_COLUMNS = ("customer_id", "frequency", "recency", "age", "monetary_value")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class PurchaseHistory(Result):
    """The purchases of a base of customers until a closing day, one row per customer.

    Attributes
    ----------
    customers : pandas.DataFrame
        ``customer_id``; ``frequency``, repeat purchase days (x); ``recency``, time from the first
        purchase to the last (t_x); ``age``, time from the first purchase to the closing day (T);
        ``paid_frequency``, repeat purchase days with a total above 0; ``monetary_value``, mean
        total of those days, NaN where there is none. Times in units of ``unit_days``.
    as_of : datetime.date
        Closing day, itself included.
    unit_days : float
        Days in one unit of time; 7 for weeks.
    currency : str
        Currency code of the amounts; empty where unknown.
    value_kind : {"revenue", "margin"}
        What the amounts are.
    health : HistoryHealth
        What was left out or merged, and how often.
    """

    title: ClassVar[str] = wording.HISTORY_TITLE

    customers: pd.DataFrame
    as_of: date
    unit_days: float
    currency: str = ""
    value_kind: ValueKind = "revenue"
    health: HistoryHealth = field(default_factory=HistoryHealth)

    @property
    def n_customers(self) -> int:
        """Number of customers."""
        return len(self.customers)

    @property
    def n_repeaters(self) -> int:
        """Number of customers with at least one repeat purchase day."""
        return int((self.customers["frequency"] > 0).sum())

    @property
    def n_spenders(self) -> int:
        """Number of customers with at least one repeat purchase day that brought money."""
        return int((self.customers["paid_frequency"] > 0).sum())

    @property
    def paid_share(self) -> float:
        """Share of repeat purchase days with a total above 0; NaN where nobody repeats."""
        repeats = float(self.customers["frequency"].sum())
        return float(self.customers["paid_frequency"].sum()) / repeats if repeats else float("nan")

    @property
    def span_days(self) -> float:
        """Days from the earliest first purchase to the closing day."""
        return float(self.customers["age"].max()) * self.unit_days

    def sentence(self) -> str:
        """Say who is in the history and what was left out."""
        notes = {key: count for key, count in asdict(self.health).items() if key != "rows"}
        return wording.history_sentence(
            customers=self.n_customers,
            repeaters=self.n_repeaters,
            as_of=self.as_of,
            notes=notes,
        )

    def to_frame(self) -> pd.DataFrame:
        """Give the customers, one row each."""
        return self.customers.copy()

    def to_dict(self) -> dict[str, Any]:
        """Give the description as JSON-ready data, without the customers."""
        kept: dict[str, Any] = {"n_customers": self.n_customers, "n_repeaters": self.n_repeaters}
        for each in fields(self):
            if each.name != "customers":
                kept[each.name] = plain(getattr(self, each.name))
        return kept

    def card_frame(self) -> pd.DataFrame:
        """Give the data-health table: what was done with how many rows."""
        return pd.DataFrame(
            [
                {"what": say(wording.HEALTH_WORDS[key]), "count": count}
                for key, count in asdict(self.health).items()
            ]
        )


def purchase_history(
    purchases: pd.DataFrame,
    *,
    as_of: date,
    unit_days: float = 7,
    currency: str = "",
    value_kind: ValueKind = "revenue",
) -> PurchaseHistory:
    """Build the purchase history of a base from its orders, on days.

    Policies: several orders of a customer on a day are one purchase day. An order of 0 counts as
    a purchase. A negative amount is a refund: it is netted in the total of its day, and a day
    with refunds only is no purchase day. Repeat purchase days whose total is 0 or less are left
    out of the spend. Each is counted in ``health``.

    Parameters
    ----------
    purchases : pandas.DataFrame
        One row per order: ``customer_id``, ``ordered_at`` (dates or times), ``amount`` (may be
        missing as a column; then there is no spend). A column ``currency`` must hold one value.
    as_of : datetime.date
        Closing day, itself included; later rows are left out.
    unit_days : float, default 7
        Days in one unit of time.
    currency : str, default ""
        Currency code of the amounts; taken from the column ``currency`` when empty.
    value_kind : {"revenue", "margin"}, default "revenue"
        What the amounts are.

    Returns
    -------
    PurchaseHistory
        Sorted by customer.

    Raises
    ------
    DesignError
        When columns or values are missing, currencies are mixed, or nobody bought by ``as_of``.

    Examples
    --------
    >>> orders = pd.DataFrame({
    ...     "customer_id": ["a", "a", "a", "b"],
    ...     "ordered_at": pd.to_datetime(["2026-01-01", "2026-01-15", "2026-01-15", "2026-01-08"]),
    ...     "amount": [10.0, 4.0, 8.0, 5.0],
    ... })
    >>> history = purchase_history(orders, as_of=date(2026, 1, 29))
    >>> history.customers[["customer_id", "frequency", "recency", "age", "monetary_value"]]
      customer_id  frequency  recency  age  monetary_value
    0           a          1      2.0  4.0            12.0
    1           b          0      0.0  3.0             NaN
    """
    day = day_of(as_of, "as_of")
    check_settings(unit_days, value_kind)
    days, health, found = purchase_days(purchases, as_of=day)
    if currency and found and currency != found:
        raise DesignError(
            say("the purchases are in {found}, not in {currency}", found=found, currency=currency),
            where="column currency",
        )
    return _summarise(
        days,
        as_of=day,
        unit_days=unit_days,
        currency=currency or found,
        value_kind=value_kind,
        health=health,
    )


def history_from_summary(
    summary: pd.DataFrame,
    *,
    as_of: date,
    unit_days: float = 7,
    currency: str = "",
    value_kind: ValueKind = "revenue",
    health: HistoryHealth | None = None,
) -> PurchaseHistory:
    """Take a purchase history that was computed elsewhere, such as in SQL, and check it.

    Parameters
    ----------
    summary : pandas.DataFrame
        One row per customer: ``customer_id``, ``frequency`` (repeat purchase days), ``recency``
        and ``age`` in units, ``monetary_value`` (mean total of the paid repeat days; ignored where
        the frequency is 0). Optional ``paid_frequency``: repeat purchase days with a total above
        0; without it, the frequency where there is a monetary value, else 0.
    as_of : datetime.date
        Closing day, itself included.
    unit_days : float, default 7
        Days in one unit of time.
    currency : str, default ""
        Currency code of the amounts.
    value_kind : {"revenue", "margin"}, default "revenue"
        What the amounts are.
    health : HistoryHealth, optional
        What was left out or merged when the summary was made.

    Returns
    -------
    PurchaseHistory
        In the order of the summary.

    Raises
    ------
    DesignError
        When a column is missing or a value impossible; all faults at once, with their customers.
    """
    day = day_of(as_of, "as_of")
    check_settings(unit_days, value_kind)
    missing = [name for name in HISTORY_COLUMNS if name not in summary.columns]
    if missing:
        raise DesignError(
            say("columns missing: {missing}", missing=listing(missing)),
            expected=", ".join(HISTORY_COLUMNS),
            where="summary",
        )
    if summary.empty:
        raise DesignError(say("the summary has no customers"), where="summary")
    frame = pd.DataFrame({"customer_id": summary["customer_id"].reset_index(drop=True)})
    faults = id_faults(frame["customer_id"])
    for name in HISTORY_COLUMNS[1:]:
        frame[name] = numbers_of(summary[name], name, faults)
    if not faults:
        faults = summary_faults(frame, unit_days)
    if faults:
        raise DesignError(faults)
    has_value = (frame["frequency"] > 0) & frame["monetary_value"].notna()
    frame["monetary_value"] = frame["monetary_value"].where(has_value)
    if "paid_frequency" in summary.columns:
        paid = numbers_of(summary["paid_frequency"], "paid_frequency", faults)
        wrong = ~(paid.ge(0) & paid.le(frame["frequency"]) & paid.eq(paid.round()))
        wrong |= paid.gt(0) != has_value
        fault_of(
            faults,
            frame["customer_id"],
            wrong,
            "paid_frequency",
            say("whole, not above frequency, and above 0 exactly where there is a monetary_value"),
        )
        if faults:
            raise DesignError(faults)
    else:
        paid = frame["frequency"].where(has_value, 0.0)
    frame.insert(4, "paid_frequency", paid.astype(np.int64))
    frame["frequency"] = frame["frequency"].astype(np.int64)
    unpaid = int((frame["frequency"] - frame["paid_frequency"]).sum()) if has_value.any() else 0
    counted = health or HistoryHealth(unpaid_repeat_days=unpaid)
    return PurchaseHistory(
        customers=frame,
        as_of=day.date(),
        unit_days=float(unit_days),
        currency=currency,
        value_kind=value_kind,
        health=counted,
    )


def distinct_histories(history: PurchaseHistory) -> DistinctHistories:
    """Count equal histories once; everything that a likelihood needs, and often much smaller.

    Parameters
    ----------
    history : PurchaseHistory
        Customers.

    Returns
    -------
    DistinctHistories
        Tuples with their counts, and the place of each customer's tuple.
    """
    frame = history.customers
    return count_histories(
        frame["frequency"].to_numpy(),
        frame["recency"].to_numpy(),
        frame["age"].to_numpy(),
        unit_days=history.unit_days,
        with_position=True,
    )


def _summarise(
    days: pd.DataFrame,
    *,
    as_of: pd.Timestamp,
    unit_days: float,
    currency: str,
    value_kind: ValueKind,
    health: HistoryHealth,
) -> PurchaseHistory:
    by_customer = days.groupby("customer_id", sort=False)["day"]
    first = by_customer.transform("min")
    is_repeat = days["day"] > first
    has_amounts = bool(days["amount"].notna().any())
    is_paid = is_repeat & (days["amount"] > 0)
    sums = (
        pd.DataFrame(
            {
                "customer_id": days["customer_id"],
                "first": first,
                "last": days["day"],
                "frequency": is_repeat,
                "paid_frequency": is_paid,
                "spend": days["amount"].where(is_paid, 0.0),
            }
        )
        .groupby("customer_id", sort=True)
        .agg(
            first=("first", "min"),
            last=("last", "max"),
            frequency=("frequency", "sum"),
            paid_frequency=("paid_frequency", "sum"),
            spend=("spend", "sum"),
        )
        .reset_index()
    )
    paid = sums["paid_frequency"]
    customers = pd.DataFrame(
        {
            "customer_id": sums["customer_id"],
            "frequency": sums["frequency"].astype(np.int64),
            "recency": (sums["last"] - sums["first"]).dt.days / unit_days,
            "age": (as_of - sums["first"]).dt.days / unit_days,
            "paid_frequency": paid.astype(np.int64),
            "monetary_value": (sums["spend"] / paid.where(paid > 0)).astype(np.float64),
        }
    )
    unpaid = int((is_repeat & ~is_paid).sum()) if has_amounts else 0
    return PurchaseHistory(
        customers=customers,
        as_of=as_of.date(),
        unit_days=float(unit_days),
        currency=currency,
        value_kind=value_kind,
        health=HistoryHealth(**{**asdict(health), "unpaid_repeat_days": unpaid}),
    )


def check_settings(unit_days: float, value_kind: str) -> None:
    """Refuse a unit that is no length of time, and an unknown kind of value.

    Parameters
    ----------
    unit_days : float
        To be above 0 and finite.
    value_kind : str
        To be revenue or margin.

    Raises
    ------
    DesignError
        When one is not.
    """
    if not (np.isfinite(unit_days) and unit_days > 0):
        raise DesignError(
            say("a unit of {unit_days} days", unit_days=separated(f"{unit_days:g}")),
            expected=say("a number of days above 0"),
            where="unit_days",
        )
    if value_kind not in get_args(ValueKind):
        raise DesignError(
            say("value kind {value_kind}", value_kind=repr(value_kind)),
            expected=say("revenue or margin"),
            where="value_kind",
        )


def day_of(moment: date, name: str) -> pd.Timestamp:
    """Give a date as the start of its day, without a zone.

    Parameters
    ----------
    moment : datetime.date
        A date or time.
    name : str
        What to call it in the fault.

    Returns
    -------
    pandas.Timestamp
        Midnight of that day.

    Raises
    ------
    DesignError
        When there is none.
    """
    day = pd.Timestamp(moment)
    if pd.isna(day):
        raise DesignError(say("no date"), expected=say("a date"), where=name)
    return day.tz_localize(None).normalize()
