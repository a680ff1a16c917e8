from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize
from scipy import stats as scipy_stats

from crm_lab.errors import DesignError
from crm_lab.stats.quantiles import _difference, _ranks, compare_quantiles, quantile_interval

# Two routes to the same number differ by rounding only.
ROUNDING = 1e-9


def generator(seed: int = 5) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("n", [5, 17, 60, 151, 2_000])
@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
def test_interval_of_one_arm_is_that_of_scipy(n: int, q: float) -> None:
    values = generator(n).lognormal(0, 1, n)
    theirs: Any = scipy_stats.quantile_test(values, p=q).confidence_interval(0.95)
    estimate, low, high = quantile_interval(values, q=q, alpha=0.05)
    assert low == pytest.approx(-math.inf if math.isnan(theirs.low) else theirs.low, rel=ROUNDING)
    assert high == pytest.approx(math.inf if math.isnan(theirs.high) else theirs.high, rel=ROUNDING)
    assert estimate == np.quantile(values, q)


@pytest.mark.parametrize("q", [0.3, 0.5])
def test_interval_of_one_arm_holds_the_quantile_in_every_sample(q: float) -> None:
    # Every sample of 6 out of a population of four tied values, with its probability.
    population, chances = [0.0, 1.0, 1.0, 5.0], 0
    truth = np.quantile(population, q, method="inverted_cdf")
    for sample in itertools.product(population, repeat=6):
        _, low, high = quantile_interval(sample, q=q, alpha=0.1)
        chances += bool(low <= truth <= high)
    assert chances / 4**6 >= 0.9


def test_ends_of_the_difference_by_hand() -> None:
    treatment, control = np.arange(1.0, 42.0), np.arange(10.0, 21.0)
    result = compare_quantiles(treatment, control, q=0.5, alpha=0.05)
    # 41 values: ranks 14 and 28; 11 values: ranks 2 and 10.
    assert result.absolute.estimate == 21 - 15
    assert result.absolute.low == pytest.approx(6 - math.hypot(7, 4))
    assert result.absolute.high == pytest.approx(6 + math.hypot(7, 4))


def test_ends_of_the_lift_solve_their_equation() -> None:
    rng = generator(3)
    treatment, control = rng.lognormal(1.0, 1, 800), rng.lognormal(0.7, 1, 60)
    effect = compare_quantiles(treatment, control, q=0.5, alpha=0.05).relative
    top, low_t, high_t = quantile_interval(treatment, q=0.5, alpha=0.05)
    bottom, low_c, high_c = quantile_interval(control, q=0.5, alpha=0.05)

    def below(ratio: float) -> float:
        return top - ratio * bottom - math.hypot(top - low_t, ratio * (high_c - bottom))

    def above(ratio: float) -> float:
        return top - ratio * bottom + math.hypot(high_t - top, ratio * (bottom - low_c))

    assert 1 + effect.low == pytest.approx(optimize.brentq(below, 0, top / bottom))
    assert 1 + effect.high == pytest.approx(optimize.brentq(above, top / bottom, 50))


@given(
    treatment=st.lists(st.integers(0, 9), min_size=2, max_size=60),
    control=st.lists(st.integers(0, 9), min_size=2, max_size=12),
    q=st.sampled_from([0.1, 0.5, 0.9]),
    alpha=st.sampled_from([0.01, 0.05, 0.2]),
)
def test_test_and_intervals_never_disagree(
    treatment: list[int], control: list[int], q: float, alpha: float
) -> None:
    result = compare_quantiles(treatment, control, q=q, alpha=alpha)
    for effect in result.effects:
        if effect.is_known:
            outside = effect.low > 0 or effect.high < 0
            assert outside == (effect.p_value <= alpha)
            assert effect.low <= effect.estimate <= effect.high


def test_p_value_is_the_least_level_that_excludes_no_effect() -> None:
    rng = generator(8)
    treatment, control = rng.exponential(1.6, 900), rng.exponential(1.0, 50)
    p_value = compare_quantiles(treatment, control, q=0.5, alpha=0.05).absolute.p_value
    arms = _ranks(treatment, 0.5), _ranks(control, 0.5)
    assert _difference(*arms, p_value * 1.001)[0] > 0
    assert _difference(*arms, p_value * 0.999)[0] <= 0


def test_order_and_scale_do_not_matter() -> None:
    rng = generator(2)
    treatment, control = rng.lognormal(1, 1, 400), rng.lognormal(1, 1, 40)
    one = compare_quantiles(treatment, control, q=0.5, alpha=0.05)
    other = compare_quantiles(1e6 * rng.permutation(treatment), 1e6 * control, q=0.5, alpha=0.05)
    assert other.absolute.high / 1e6 == pytest.approx(one.absolute.high, rel=ROUNDING)
    assert other.relative.low == pytest.approx(one.relative.low, rel=ROUNDING)
    assert other.absolute.p_value == pytest.approx(one.absolute.p_value, rel=ROUNDING)


def test_large_arms_agree_with_the_normal_approximation() -> None:
    rng = generator(4)
    treatment, control = rng.normal(0.1, 1, 190_000), rng.normal(0, 1, 10_000)
    effect = compare_quantiles(treatment, control, q=0.5, alpha=0.05).absolute
    # The error of a normal median is sqrt(pi / 2n).
    error = math.sqrt(math.pi / 2 * (1 / 190_000 + 1 / 10_000))
    assert effect.high - effect.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_ties_are_no_false_precision() -> None:
    # Days to the first order are whole: both medians are 3 whatever is drawn.
    result = compare_quantiles([3] * 50 + [1] * 3, [3] * 20, q=0.5, alpha=0.05)
    assert (result.absolute.low, result.absolute.high) == (0.0, 0.0)
    assert result.absolute.p_value == 1.0
    assert not result.absolute.is_significant


def test_too_few_for_the_quantile_leaves_the_end_open() -> None:
    rng = generator(6)
    for n, is_open in ((35, True), (36, False)):
        effect = compare_quantiles(
            rng.random(900), rng.random(n), q=0.9, alpha=0.05, arms=("mail", "control")
        ).absolute
        assert (effect.low == -math.inf) == is_open
        assert math.isnan(effect.p_value) == is_open
        assert effect.reason == (
            "arm control has too few units for an interval of the 90 % quantile" if is_open else ""
        )


@pytest.mark.parametrize(
    ("control", "reason"),
    [
        ([], "arm control is empty"),
        ([2.0], "arm control has one unit"),
        ([2.0, math.nan, 3.0], "arm control holds a value that is missing"),
    ],
)
def test_says_why_there_is_no_answer(control: list[float], reason: str) -> None:
    result = compare_quantiles([1.0, 2.0, 3.0], control, q=0.5, alpha=0.05)
    for effect in result.effects:
        assert math.isnan(effect.estimate)
        assert reason in effect.reason


def test_values_that_are_all_equal_are_no_data() -> None:
    effect = compare_quantiles([3.0] * 9, [3.0] * 4, q=0.5, alpha=0.05).absolute
    assert math.isnan(effect.p_value)
    assert effect.reason == "every unit has the same value"


def test_a_lift_needs_positive_values() -> None:
    many = np.arange(40.0)
    assert "negative" in compare_quantiles(many, many - 5, q=0.5, alpha=0.05).relative.reason
    mostly_nothing = np.where(np.arange(40) < 30, 0.0, 9.0)
    relative = compare_quantiles(many, mostly_nothing, q=0.5, alpha=0.05).relative
    assert math.isnan(relative.estimate)
    assert "not above zero" in relative.reason
    near = np.where(np.arange(40) < 19, 0.0, 9.0)
    relative = compare_quantiles(many, near, q=0.5, alpha=0.05).relative
    assert relative.high == math.inf
    assert "cannot be told apart from zero" in relative.reason


def test_callers_mistakes() -> None:
    with pytest.raises(DesignError, match="q is 1"):
        compare_quantiles([1, 2], [1, 2], q=1.0, alpha=0.05)
    with pytest.raises(DesignError, match="alpha is 0"):
        quantile_interval([1, 2], q=0.5, alpha=0.0)
    with pytest.raises(DesignError, match="control holds something that is not a number"):
        compare_quantiles([1, 2], ["a"], q=0.5, alpha=0.05)


def test_one_arm_without_values() -> None:
    assert all(math.isnan(x) for x in quantile_interval([], q=0.5, alpha=0.05))


@pytest.mark.slow
@pytest.mark.parametrize("n_control", [15, 100])
@pytest.mark.parametrize("whole", [False, True])
def test_intervals_cover_the_difference(n_control: int, whole: bool) -> None:
    rng, runs, missed = generator(n_control), 1_500, 0
    truth = 0.0 if whole else 2.0 * math.log(2)
    for _ in range(runs):
        if whole:  # both medians are 4
            arms = [rng.poisson(4.2, n).astype(float) for n in (19 * n_control, n_control)]
        else:
            arms = [rng.exponential(3, 19 * n_control), rng.exponential(1, n_control)]
        effect = compare_quantiles(*arms, q=0.5, alpha=0.05).absolute
        missed += not effect.low <= truth <= effect.high
    # Three standard errors of a share of 5 %.
    assert missed / runs < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
