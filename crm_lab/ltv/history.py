"""What each customer did until a closing day, in the form that lifetime models read.

Times are days divided by the unit, never calendar periods: counting in calendar weeks would merge
purchases of one week and lose repeats. Several orders of a day are one purchase day. The first
purchase day is the start of a customer and no repeat.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crm_lab.cards import Result, plain
from crm_lab.errors import DesignError, Fault
from crm_lab.formats import listing, number
from crm_lab.ltv import wording
from crm_lab.ltv.formulas import FloatArray

ValueKind = Literal["revenue", "margin"]

HISTORY_COLUMNS = ("customer_id", "frequency", "recency", "age", "monetary_value")
PURCHASE_COLUMNS = ("customer_id", "ordered_at")
ROUNDING = 1e-9
"""Times that differ by less than this are equal; they come from divisions by the unit."""


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

    title: ClassVar[str] = "Purchase history"

    customers: pd.DataFrame
    as_of: date
    unit_days: float
    currency: str = ""
    value_kind: ValueKind = "revenue"
    health: HistoryHealth = HistoryHealth()

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
        for field in fields(self):
            if field.name != "customers":
                kept[field.name] = plain(getattr(self, field.name))
        return kept

    def card_frame(self) -> pd.DataFrame:
        """Give the data-health table: what was done with how many rows."""
        return pd.DataFrame(
            [
                {"what": wording.HEALTH_WORDS[key], "count": count}
                for key, count in asdict(self.health).items()
            ]
        )


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DistinctHistories:
    """Equal histories counted once, with the number of customers that share each.

    Attributes
    ----------
    frequency, recency, age : ndarray
        The distinct tuples (x, t_x, T).
    customers : ndarray
        How many customers share each.
    position : ndarray of int
        For each customer of the history, the place of the tuple.
    """

    frequency: FloatArray
    recency: FloatArray
    age: FloatArray
    customers: FloatArray
    position: NDArray[np.intp]


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
    day = _day(as_of, "as_of")
    _check_settings(unit_days, value_kind)
    days, health, found = purchase_days(purchases, as_of=day)
    if currency and found and currency != found:
        raise DesignError(
            f"the purchases are in {found}, not in {currency}", where="column currency"
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
    day = _day(as_of, "as_of")
    _check_settings(unit_days, value_kind)
    missing = [name for name in HISTORY_COLUMNS if name not in summary.columns]
    if missing:
        raise DesignError(
            f"columns missing: {listing(missing)}",
            expected=", ".join(HISTORY_COLUMNS),
            where="summary",
        )
    if summary.empty:
        raise DesignError("the summary has no customers", where="summary")
    frame = pd.DataFrame({"customer_id": summary["customer_id"].reset_index(drop=True)})
    faults = _id_faults(frame["customer_id"])
    for name in HISTORY_COLUMNS[1:]:
        frame[name] = _numbers(summary[name], name, faults)
    if not faults:
        faults = _summary_faults(frame, unit_days)
    if faults:
        raise DesignError(faults)
    has_value = (frame["frequency"] > 0) & frame["monetary_value"].notna()
    frame["monetary_value"] = frame["monetary_value"].where(has_value)
    if "paid_frequency" in summary.columns:
        paid = _numbers(summary["paid_frequency"], "paid_frequency", faults)
        wrong = ~(paid.ge(0) & paid.le(frame["frequency"]) & paid.eq(paid.round()))
        wrong |= paid.gt(0) != has_value
        _fault(
            faults,
            frame["customer_id"],
            wrong,
            "paid_frequency",
            "whole, not above frequency, and above 0 exactly where there is a monetary_value",
        )
        if faults:
            raise DesignError(faults)
    else:
        paid = frame["frequency"].where(has_value, 0.0)
    frame.insert(4, "paid_frequency", paid.astype(np.int64))
    frame["frequency"] = frame["frequency"].astype(np.int64)
    counted = health or HistoryHealth(
        unpaid_repeat_days=int((frame["frequency"] - frame["paid_frequency"]).sum())
    )
    return PurchaseHistory(
        customers=frame,
        as_of=day.date(),
        unit_days=float(unit_days),
        currency=currency,
        value_kind=value_kind,
        health=counted,
    )


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
    end, last = _day(calibration_end, "calibration_end"), _day(as_of, "as_of")
    _check_settings(unit_days, value_kind)
    if end >= last:
        raise DesignError(
            f"the calibration ends on {end:%Y-%m-%d} and the data on {last:%Y-%m-%d}",
            expected="a calibration_end before as_of, so that something is held out",
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


def distinct_histories(history: PurchaseHistory) -> DistinctHistories:
    """Count equal histories once; everything that a BTYD likelihood needs, and often much smaller.

    Parameters
    ----------
    history : PurchaseHistory
        Customers.

    Returns
    -------
    DistinctHistories
        Tuples with their counts, and the place of each customer's tuple.
    """
    grouped = history.customers.groupby(["frequency", "recency", "age"], sort=True)
    sizes = grouped.size()
    return DistinctHistories(
        frequency=sizes.index.get_level_values(0).to_numpy(np.float64),
        recency=sizes.index.get_level_values(1).to_numpy(np.float64),
        age=sizes.index.get_level_values(2).to_numpy(np.float64),
        customers=sizes.to_numpy().astype(np.float64),
        position=grouped.ngroup().to_numpy().astype(np.intp),
    )


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
            f"nobody bought until {as_of:%Y-%m-%d}",
            expected="at least one order with an amount of 0 or more",
            where="purchases",
            remedy="check as_of and the dates of the orders",
        )
    if "amount" not in purchases.columns:
        days["amount"] = np.nan
    return days, health, currency


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


def _checked_purchases(purchases: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    missing = [name for name in PURCHASE_COLUMNS if name not in purchases.columns]
    if missing:
        raise DesignError(
            f"columns missing: {listing(missing)}",
            expected="customer_id, ordered_at, amount",
            where="purchases",
        )
    if purchases.empty:
        raise DesignError("there are no orders", where="purchases")
    ids = purchases["customer_id"].reset_index(drop=True)
    faults = _id_faults(ids, unique=False)
    moments = purchases["ordered_at"].reset_index(drop=True)
    if moments.dtype == object:
        moments = pd.to_datetime(moments.where(moments.map(_is_date)), errors="coerce")
    if not pd.api.types.is_datetime64_any_dtype(moments):
        faults.append(
            Fault(
                found=f"ordered_at holds {moments.dtype}",
                expected="dates or times",
                where="column ordered_at",
            )
        )
        raise DesignError(faults)
    if moments.dt.tz is not None:
        moments = moments.dt.tz_localize(None)
    _fault(faults, ids, moments.isna(), "ordered_at", "a date in every row")
    if "amount" in purchases.columns:
        amounts = _numbers(purchases["amount"], "amount", faults)
        _fault(faults, ids, ~np.isfinite(amounts), "amount", "a finite number in every row")
    else:
        amounts = pd.Series(0.0, index=ids.index)
    currency = ""
    if "currency" in purchases.columns:
        found = [str(value) for value in purchases["currency"].dropna().unique()]
        if len(found) > 1:
            faults.append(
                Fault(
                    found=f"amounts in {len(found)} currencies: {listing(found)}",
                    expected="one currency",
                    where="column currency",
                    remedy="convert the amounts first",
                )
            )
        currency = found[0] if found else ""
    if faults:
        raise DesignError(faults)
    days = moments.dt.normalize()
    return pd.DataFrame({"customer_id": ids, "day": days, "amount": amounts}), currency


def _summary_faults(frame: pd.DataFrame, unit_days: float) -> list[Fault]:
    faults: list[Fault] = []
    x, t_x, age = frame["frequency"], frame["recency"], frame["age"]
    money = frame["monetary_value"]
    rules: list[tuple[str, pd.Series, str]] = [
        ("frequency", ~(np.isfinite(x) & x.ge(0) & x.eq(x.round())), "a whole number, 0 or more"),
        ("recency", ~(np.isfinite(t_x) & t_x.ge(0)), "a finite time, 0 or more"),
        ("age", ~(np.isfinite(age) & age.ge(0)), "a finite time, 0 or more"),
        ("recency", t_x.gt(age + ROUNDING), "not above age"),
        ("recency", x.eq(0) & t_x.gt(0), "0 where frequency is 0"),
        (
            "frequency",
            x.gt(t_x * unit_days * (1 + ROUNDING) + ROUNDING) & t_x.ge(0),
            f"purchase days, so not more than the days in recency (units of {unit_days:g} days)",
        ),
        (
            "monetary_value",
            x.gt(0) & (money.le(0) | np.isinf(money)),
            "above 0 and finite, or missing",
        ),
    ]
    for column, wrong, expected in rules:
        _fault(faults, frame["customer_id"], wrong, column, expected)
    return faults


def _id_faults(ids: pd.Series, *, unique: bool = True) -> list[Fault]:
    faults: list[Fault] = []
    if pd.api.types.is_float_dtype(ids.dtype):
        faults.append(
            Fault(
                found="customer_id holds decimal numbers",
                expected="text or whole numbers",
                where="column customer_id",
                remedy="read the column as text",
            )
        )
    if ids.isna().any():
        count = int(ids.isna().sum())
        faults.append(
            Fault(
                found=f"{number(count)} rows without a customer_id",
                where=f"row {int(np.flatnonzero(ids.isna())[0]) + 1} and others",
            )
        )
    if unique:
        _fault(faults, ids, ids.duplicated() & ids.notna(), "customer_id", "each customer once")
    return faults


def _fault(
    faults: list[Fault], ids: pd.Series, wrong: pd.Series, column: str, expected: str
) -> None:
    if wrong.any():
        who = list(dict.fromkeys(str(name) for name in ids[wrong].head(50)))
        faults.append(
            Fault(
                found=f"{number(int(wrong.sum()))} impossible values in {column}",
                expected=expected,
                where=f"customer {listing(who, limit=3)}",
            )
        )


def _numbers(column: pd.Series, name: str, faults: list[Fault]) -> pd.Series:
    values = column.reset_index(drop=True)
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError):
        faults.append(
            Fault(found=f"{name} holds {values.dtype}", expected="numbers", where=f"column {name}")
        )
        return pd.Series(np.nan, index=values.index)


def _check_settings(unit_days: float, value_kind: str) -> None:
    if not (np.isfinite(unit_days) and unit_days > 0):
        raise DesignError(
            f"a unit of {unit_days:g} days", expected="a number of days above 0", where="unit_days"
        )
    if value_kind not in get_args(ValueKind):
        raise DesignError(
            f"value kind {value_kind!r}", expected="revenue or margin", where="value_kind"
        )


def _day(moment: date, name: str) -> pd.Timestamp:
    day = pd.Timestamp(moment)
    if pd.isna(day):
        raise DesignError("no date", expected="a date", where=name)
    return day.tz_localize(None).normalize()


def _is_date(value: object) -> bool:
    return isinstance(value, (date, datetime))
