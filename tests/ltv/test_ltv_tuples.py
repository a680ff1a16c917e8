"""Distinct histories: counting, packing, and every impossible input refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_lab.errors import DesignError
from crm_lab.ltv.fits import fit_bg_bb
from crm_lab.ltv.tuples import count_histories


@given(
    rows=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(9, 20)), min_size=1),
    unit=st.sampled_from([1.0, 7.0, 30.0, 0.37]),
)
def test_counts_against_a_dictionary(rows: list[tuple[int, int, int]], unit: float) -> None:
    x, last, age = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    last, age = last / unit, age / unit
    found = count_histories(x, last, age, unit_days=unit, with_position=True)
    expected: dict[tuple[float, ...], int] = {}
    for row in zip(x, last, age, strict=True):
        expected[row] = expected.get(row, 0) + 1
    tuples = list(zip(found.frequency, found.recency, found.age, strict=True))
    assert dict(zip(tuples, found.customers, strict=True)) == expected
    assert tuples == sorted(tuples)
    for place, row in enumerate(zip(x, last, age, strict=True)):
        assert tuples[found.position[place]] == row


def test_times_that_are_no_days_are_kept_digit_by_digit() -> None:
    last, age = np.array([0.1 + 0.2, 0.3, np.pi]), np.array([4.0, 4.0, 4.0])
    found = count_histories([1, 1, 1], last, age)
    assert sorted(found.recency) == sorted(last)
    assert len(found) == 3


def test_weights_are_added() -> None:
    found = count_histories([1, 0, 1], [2, 0, 2], [5, 5, 5], customers=[2.5, 1, 4])
    assert found.customers.tolist() == [1.0, 6.5]
    fewer = found.with_customers(np.array([0.0, 3.0]))
    assert fewer.frequency.tolist() == [1.0]
    assert fewer.customers.tolist() == [3.0]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([1], [6.0], [5.0]), r"1 impossible values in recency\. Expected: not above age"),
        (([-1], [1.0], [5.0]), "impossible values in frequency"),
        (([1.5], [1.0], [5.0]), "impossible values in frequency"),
        (([np.nan], [1.0], [5.0]), "impossible values in frequency"),
        (([np.inf], [1.0], [5.0]), "impossible values in frequency"),
        (([1], [np.nan], [5.0]), "impossible values in recency"),
        (([1], [1.0], [np.inf]), "impossible values in age"),
        (([1], [1.0], [-5.0]), "impossible values in age"),
        (([0], [1.0], [5.0]), "Expected: 0 where frequency is 0"),
        (([2], [0.0], [5.0]), "Expected: above 0 where frequency is above 0"),
        (([], [], []), "at least one customer"),
        (([1, 2], [1.0], [5.0]), "columns of equal length"),
        (([4e18, 1], [5.0, 0.31], [5.0, 7.13]), "counts of purchases that fit"),
    ],
)
def test_impossible_histories_are_refused(columns: tuple[list[float], ...], message: str) -> None:
    with pytest.raises(DesignError, match=message):
        count_histories(*columns)


def test_all_faults_come_at_once() -> None:
    with pytest.raises(DesignError, match=r"(?s)frequency.*recency.*age"):
        count_histories([-1, 1, 1], [0.0, -2.0, 1.0], [5.0, 5.0, np.nan])


@pytest.mark.parametrize("customers", [[0.0, 1.0], [np.nan, 1.0], [1.0]])
def test_impossible_weights_are_refused(customers: list[float]) -> None:
    with pytest.raises(DesignError, match="customers"):
        count_histories([0, 0], [0, 0], [5, 6], customers=customers)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([3], [2], [6]), "no counts, or more were used"),
        (([1], [1.5], [6]), "no counts, or more were used"),
        (([1], [7], [6]), "not above age"),
    ],
)
def test_impossible_opportunities_are_refused(
    columns: tuple[list[float], ...], message: str
) -> None:
    with pytest.raises(DesignError, match=message):
        fit_bg_bb(*columns)
