from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from crm_lab.errors import DesignError
from crm_lab.stats import Moments, PairMoments

# Rounding of sums over a few dozen numbers.
ROUNDING = 1e-9
NUMBERS = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40)


def test_agrees_with_scipy() -> None:
    values = np.random.default_rng(1).lognormal(0, 1, 500)
    moments = Moments.from_array(values)
    assert moments.mean == pytest.approx(values.mean(), rel=ROUNDING)
    assert moments.variance == pytest.approx(values.var(ddof=1), rel=ROUNDING)
    assert moments.skewness == pytest.approx(scipy_stats.skew(values), rel=ROUNDING)


@given(NUMBERS, NUMBERS)
def test_merging_parts_is_summarising_the_whole(first: list[float], second: list[float]) -> None:
    merged = Moments.from_array(first).merge(Moments.from_array(second))
    whole = Moments.from_array(first + second)
    scale = max(1.0, max(abs(value) for value in first + second))
    assert merged.n == whole.n
    assert merged.mean == pytest.approx(whole.mean, abs=ROUNDING * scale)
    assert merged.m2 == pytest.approx(whole.m2, abs=ROUNDING * whole.n * scale**2)
    assert merged.m3 == pytest.approx(whole.m3, abs=ROUNDING * whole.n * scale**3)


def test_counts_are_repetitions() -> None:
    weighted = Moments.from_weighted([0.0, 5.0, 80.0, 3.0], [90, 9, 1, 0])
    repeated = Moments.from_array([0.0] * 90 + [5.0] * 9 + [80.0])
    assert weighted.n == repeated.n == 100
    assert (weighted.mean, weighted.m2, weighted.m3) == pytest.approx(
        (repeated.mean, repeated.m2, repeated.m3), rel=ROUNDING
    )


def test_keeps_precision_at_a_large_mean() -> None:
    noise = np.random.default_rng(2).normal(0, 1, 100_000)
    values = 1e8 + noise
    halves = [Moments.from_array(part) for part in np.array_split(values, 7)]
    merged = halves[0]
    for part in halves[1:]:
        merged = merged.merge(part)
    # The values themselves are rounded to 1.5e-8; raw sums of squares give 2.62 here.
    assert merged.variance == pytest.approx((values - 1e8).var(ddof=1), rel=1e-7)
    assert Moments.from_array(values).variance == pytest.approx(noise.var(ddof=1), rel=1e-6)


def test_a_constant_has_exactly_no_variance() -> None:
    moments = Moments.from_array([0.1] * 1_001)
    assert (moments.mean, moments.m2) == (0.1, 0.0)
    assert math.isnan(moments.skewness)


def test_empty_and_single() -> None:
    empty, single = Moments.from_array([]), Moments.from_array([3.0])
    assert (empty.n, single.n) == (0, 1)
    assert math.isnan(empty.mean)
    assert math.isnan(empty.variance)
    assert math.isnan(single.variance)
    assert empty.merge(single) == single == single.merge(empty)


def test_a_missing_value_makes_everything_missing() -> None:
    moments = Moments.from_array([1.0, math.nan, 2.0])
    assert moments.n == 3
    assert math.isnan(moments.mean)
    assert math.isnan(Moments.from_array([1.0, math.inf]).m2)


@pytest.mark.parametrize(
    ("values", "counts", "message"),
    [([1.0], [1, 2], "1 values but 2 counts"), ([1.0], [-1], "negative"), ([1.0], [0.5], "whole")],
)
def test_impossible_counts(values: list[float], counts: list[float], message: str) -> None:
    with pytest.raises(DesignError, match=message):
        Moments.from_weighted(values, counts)


@pytest.mark.parametrize("values", [["a"], [[1.0, 2.0]]])
def test_not_an_array_of_numbers(values: list[object]) -> None:
    with pytest.raises(DesignError, match="values h"):
        Moments.from_array(values)  # type: ignore[arg-type]


def test_pairs_agree_with_numpy_and_merge() -> None:
    rng = np.random.default_rng(3)
    x = 1e8 + rng.normal(0, 1, 3_000)
    y = 0.5 * (x - 1e8) + rng.normal(0, 1, 3_000)
    whole = PairMoments.from_arrays(y, x)
    merged = PairMoments.from_arrays(y[:100], x[:100]).merge(
        PairMoments.from_arrays(y[100:], x[100:])
    )
    expected = np.cov(y, x - 1e8)
    for pair in (whole, merged):
        # x is rounded to 1.5e-8 at its mean.
        assert pair.variance_y == pytest.approx(expected[0, 0], rel=1e-7)
        assert pair.variance_x == pytest.approx(expected[1, 1], rel=1e-7)
        assert pair.covariance == pytest.approx(expected[0, 1], rel=1e-7)
    empty = PairMoments.from_arrays([], [])
    assert empty.merge(whole) == whole == whole.merge(empty)


def test_pairs_of_unequal_length() -> None:
    with pytest.raises(DesignError, match="2 values of y but 1 of x"):
        PairMoments.from_arrays([1.0, 2.0], [1.0])


def test_a_pair_with_a_missing_value() -> None:
    assert math.isnan(PairMoments.from_arrays([1.0, 2.0], [1.0, math.nan]).covariance)
