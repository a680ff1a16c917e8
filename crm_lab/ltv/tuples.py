"""Equal histories counted once: what a likelihood needs, and often much smaller than the base.

Times are whole days divided by the unit, so a history packs into one integer and sorting those
integers groups a base. Times that are no whole days are coded by their rank first.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crm_lab.errors import DesignError, Fault
from crm_lab.formats import number
from crm_lab.language import say
from crm_lab.ltv.parameters import FloatArray

DAY_ROUNDING = 1e-6
"""A time that is off a whole day by less than this, in days, is that whole day."""

LARGEST_KEY = 2**62


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DistinctHistories:
    """Distinct histories with the number of customers that share each.

    Attributes
    ----------
    frequency, recency, age : ndarray, shape (m,)
        Repeat purchases x, time of the last one t_x, and time under observation T; sorted by x.
    customers : ndarray, shape (m,)
        How many customers share each.
    position : ndarray of int, shape (n,)
        For each customer of the history, the place of the tuple; empty where not asked for.
    """

    frequency: FloatArray
    recency: FloatArray
    age: FloatArray
    customers: FloatArray
    position: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.customers)

    def with_customers(self, customers: FloatArray) -> DistinctHistories:
        """Give the same tuples with other counts; those that nobody has are left out."""
        used = customers > 0
        return DistinctHistories(
            frequency=self.frequency[used],
            recency=self.recency[used],
            age=self.age[used],
            customers=customers[used],
            position=np.empty(0, dtype=np.intp),
        )

    def every(self, step: int) -> DistinctHistories:
        """Give every ``step``-th tuple, as a small picture of the base."""
        return DistinctHistories(
            frequency=self.frequency[::step],
            recency=self.recency[::step],
            age=self.age[::step],
            customers=self.customers[::step],
            position=np.empty(0, dtype=np.intp),
        )

    def data_hash(self) -> str:
        """Give a fingerprint of the histories that does not depend on their order."""
        return fingerprint(self.frequency, self.recency, self.age, self.customers)


def count_histories(
    frequency: ArrayLike,
    recency: ArrayLike,
    age: ArrayLike,
    *,
    customers: ArrayLike | None = None,
    unit_days: float = 1.0,
    with_position: bool = False,
) -> DistinctHistories:
    """Count equal histories once.

    Parameters
    ----------
    frequency, recency, age : array_like, shape (n,)
        Repeat purchases x, time of the last one t_x (0 where there is none), and time under
        observation T; times in units of ``unit_days``.
    customers : array_like, shape (n,), optional
        How many customers each row stands for, above 0; 1 by default.
    unit_days : float, default 1
        Days in one unit of time.
    with_position : bool, default False
        Whether to say where each row's tuple is.

    Returns
    -------
    DistinctHistories
        Sorted by frequency, recency, age.

    Raises
    ------
    DesignError
        When a history is impossible; all faults at once.

    Examples
    --------
    >>> found = count_histories([0, 2, 0], [0, 30, 0], [38, 38, 38])
    >>> found.frequency.tolist(), found.customers.tolist()
    ([0.0, 2.0], [2.0, 1.0])
    """
    x, t_x, t_all = (np.asarray(c, dtype=np.float64) for c in (frequency, recency, age))
    weight = None if customers is None else np.asarray(customers, dtype=np.float64)
    _check(x, t_x, t_all, weight)
    last_code, last_values = _codes(t_x, unit_days)
    age_code, age_values = _codes(t_all, unit_days)
    n_last, n_age = _size(last_code), _size(age_code)
    if (float(x.max()) + 1) * n_last * n_age >= LARGEST_KEY:
        raise DesignError(
            say("the largest frequency is {value}", value=number(float(x.max()))),
            expected=say("counts of purchases that fit beside their times"),
            where="frequency",
        )
    key = x.astype(np.int64)
    key *= n_last
    key += last_code
    key *= n_age
    key += age_code
    del last_code, age_code
    position = np.empty(0, dtype=np.intp)
    if with_position or weight is not None:
        order = np.argsort(key)
        key = key[order]
    else:
        key.sort()
    is_first = np.empty(len(key), dtype=bool)
    is_first[0] = True
    np.not_equal(key[1:], key[:-1], out=is_first[1:])
    first = np.flatnonzero(is_first)
    kept = key[first]
    if weight is not None:
        counts = np.add.reduceat(weight[order], first)
    else:
        counts = np.diff(first, append=len(key)).astype(np.float64)
    if with_position:
        position = np.empty(len(key), dtype=np.intp)
        position[order] = np.cumsum(is_first) - 1
    kept, age_at = np.divmod(kept, n_age)
    kept, last_at = np.divmod(kept, n_last)
    return DistinctHistories(
        frequency=kept.astype(np.float64),
        recency=_times(last_at, last_values, unit_days),
        age=_times(age_at, age_values, unit_days),
        customers=counts,
        position=position,
    )


def fingerprint(*columns: FloatArray) -> str:
    """Give the SHA-256 of columns of numbers, byte for byte.

    Parameters
    ----------
    *columns : ndarray
        Numbers, in an order that is the same for the same data.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for column in columns:
        digest.update(np.ascontiguousarray(column, dtype="<f8").data)
    return digest.hexdigest()


def _codes(
    times: FloatArray, unit_days: float
) -> tuple[NDArray[np.int64] | NDArray[np.intp], FloatArray | None]:
    """Give whole days as they are (no values), or else ranks with the values of the ranks."""
    days = times * unit_days
    whole = np.rint(days)
    np.subtract(days, whole, out=days)
    np.abs(days, out=days)
    if float(days.max()) <= DAY_ROUNDING and float(whole.max()) < 1e6:
        return whole.astype(np.int64), None
    values, ranks = np.unique(times, return_inverse=True)
    return ranks, values


def _size(codes: NDArray[np.int64] | NDArray[np.intp]) -> int:
    return int(codes.max()) + 1


def _times(
    codes: NDArray[np.int64], values: FloatArray | None, unit_days: float
) -> NDArray[np.float64]:
    return codes / unit_days if values is None else values[codes]


def _check(x: FloatArray, t_x: FloatArray, t_all: FloatArray, weight: FloatArray | None) -> None:
    if x.ndim != 1 or not x.shape == t_x.shape == t_all.shape or not x.size:
        raise DesignError(
            say(
                "frequency, recency and age of shapes {first}, {second}, {third}",
                first=x.shape,
                second=t_x.shape,
                third=t_all.shape,
            ),
            expected=say("columns of equal length with at least one customer"),
            where="histories",
        )
    rules = [
        ("frequency", _bad(x) | (x != np.rint(x)), say("a whole number, 0 or more")),
        ("recency", _bad(t_x), say("a finite time, 0 or more")),
        ("age", _bad(t_all), say("a finite time, 0 or more")),
        ("recency", t_x > t_all * (1 + 1e-9), say("not above age")),
        ("recency", (x == 0) & (t_x > 0), say("0 where frequency is 0")),
        ("recency", (x > 0) & (t_x == 0), say("above 0 where frequency is above 0")),
    ]
    if weight is not None:
        if weight.shape != x.shape:
            raise DesignError(say("customers is not as long as frequency"), where="customers")
        rules.append(
            ("customers", ~(np.isfinite(weight) & (weight > 0)), say("above 0 and finite"))
        )
    faults = [
        Fault(
            found=say(
                "{count} impossible values in {column}",
                count=number(int(wrong.sum())),
                column=column,
            ),
            expected=expected,
            where=say("row {row}", row=int(np.flatnonzero(wrong)[0]) + 1),
        )
        for column, wrong, expected in rules
        if wrong.any()
    ]
    if faults:
        raise DesignError(faults)


def _bad(values: FloatArray) -> NDArray[np.bool_]:
    return ~((values >= 0) & (values < np.inf))
