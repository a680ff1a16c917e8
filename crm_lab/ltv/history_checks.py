"""What makes a purchase history impossible: every fault of a table, with its customers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from crm_lab.errors import Fault
from crm_lab.formats import listing, number, separated
from crm_lab.language import say

ROUNDING = 1e-9
"""Times that differ by less than this are equal; they come from divisions by the unit."""


def summary_faults(frame: pd.DataFrame, unit_days: float) -> list[Fault]:
    """Give every impossible value of a summary with one row per customer.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``customer_id``, ``frequency``, ``recency``, ``age``, ``monetary_value`` as numbers.
    unit_days : float
        Days in one unit of time.

    Returns
    -------
    list of Fault
        Empty where everything is possible.
    """
    faults: list[Fault] = []
    x, t_x, age = frame["frequency"], frame["recency"], frame["age"]
    money = frame["monetary_value"]
    rules: list[tuple[str, pd.Series, str]] = [
        (
            "frequency",
            ~(np.isfinite(x) & x.ge(0) & x.eq(x.round())),
            say("a whole number, 0 or more"),
        ),
        ("recency", ~(np.isfinite(t_x) & t_x.ge(0)), say("a finite time, 0 or more")),
        ("age", ~(np.isfinite(age) & age.ge(0)), say("a finite time, 0 or more")),
        ("recency", t_x.gt(age + ROUNDING), say("not above age")),
        ("recency", x.eq(0) & t_x.gt(0), say("0 where frequency is 0")),
        (
            "frequency",
            x.gt(t_x * unit_days * (1 + ROUNDING) + ROUNDING) & t_x.ge(0),
            say(
                "purchase days, so not more than the days in recency (units of {days} days)",
                days=separated(f"{unit_days:g}"),
            ),
        ),
        (
            "monetary_value",
            x.gt(0) & (money.le(0) | np.isinf(money)),
            say("above 0 and finite, or missing"),
        ),
    ]
    for column, wrong, expected in rules:
        fault_of(faults, frame["customer_id"], wrong, column, expected)
    return faults


def id_faults(ids: pd.Series, *, unique: bool = True) -> list[Fault]:
    """Give what is wrong with customer ids: decimals, missing ones, and repeated ones.

    Parameters
    ----------
    ids : pandas.Series
        One id per row.
    unique : bool, default True
        Whether each customer may stand there once only.

    Returns
    -------
    list of Fault
        Empty where nothing is wrong.
    """
    faults: list[Fault] = []
    if pd.api.types.is_float_dtype(ids.dtype):
        faults.append(
            Fault(
                found=say("customer_id holds decimal numbers"),
                expected=say("text or whole numbers"),
                where="column customer_id",
                remedy=say("read the column as text"),
            )
        )
    if ids.isna().any():
        count = int(ids.isna().sum())
        faults.append(
            Fault(
                found=say("{count} rows without a customer_id", count=number(count)),
                where=say("row {row} and others", row=int(np.flatnonzero(ids.isna())[0]) + 1),
            )
        )
    if unique:
        fault_of(
            faults, ids, ids.duplicated() & ids.notna(), "customer_id", say("each customer once")
        )
    return faults


def fault_of(
    faults: list[Fault], ids: pd.Series, wrong: pd.Series, column: str, expected: str
) -> None:
    """Add a fault that names the customers of the wrong rows; nothing where no row is wrong.

    Parameters
    ----------
    faults : list of Fault
        Where to add it.
    ids : pandas.Series
        Customer of each row.
    wrong : pandas.Series of bool
        Which rows are wrong.
    column, expected : str
        Which column, and what would have been right.
    """
    if wrong.any():
        who = list(dict.fromkeys(str(name) for name in ids[wrong].head(50)))
        faults.append(
            Fault(
                found=say(
                    "{count} impossible values in {column}",
                    count=number(int(wrong.sum())),
                    column=column,
                ),
                expected=expected,
                where=say("customer {who}", who=listing(who, limit=3)),
            )
        )


def numbers_of(column: pd.Series, name: str, faults: list[Fault]) -> pd.Series:
    """Give a column as doubles; a column that holds none is a fault and comes back as NaN.

    Parameters
    ----------
    column : pandas.Series
        Values.
    name : str
        What to call it in the fault.
    faults : list of Fault
        Where to add it.

    Returns
    -------
    pandas.Series
        Doubles, with a new index.
    """
    values = column.reset_index(drop=True)
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError):
        faults.append(
            Fault(
                found=say("{name} holds {dtype}", name=name, dtype=values.dtype),
                expected=say("numbers"),
                where=say("column {name}", name=name),
            )
        )
        return pd.Series(np.nan, index=values.index)
