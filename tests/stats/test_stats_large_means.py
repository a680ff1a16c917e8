from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from crm_lab.errors import DesignError
from crm_lab.stats import (
    Moments,
    compare_means,
    compare_means_welch,
    permutation_null,
)
from crm_lab.stats.large_means import (
    SKEWNESS_LIMIT,
    compare_means_moments,
    is_large_enough,
    normal_of_t,
    skew_term,
    t_of_normal,
)

ROUNDING = 1e-9
DRAWS = 10_000
# Beyond its quantiles lie these parts of what should: the range the docstring states, widened by
# three standard errors of a tail of 2.5 % found from DRAWS draws.
LEAST, MOST = 0.67 - 0.19, 1.06 + 0.19
# Ends of intervals are quantiles of DRAWS permutations: within some hundredths of a standard
# error, and the approximation adds as much.
CLOSE_QUANTILE = 0.12


def generator(seed: int = 5) -> np.random.Generator:
    return np.random.default_rng(seed)


def spend(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """Revenue of n customers of whom some buy."""
    values = np.zeros(n)
    count = rng.binomial(n, 0.1)
    drawn = {
        "exponential": lambda: rng.exponential(1.0, count),
        "log-normal": lambda: rng.lognormal(0.0, 1.0, count),
        "heavy log-normal": lambda: rng.lognormal(0.0, 1.5, count),
        "Pareto": lambda: 1 + rng.pareto(2.8, count),
    }
    values[:count] = drawn[kind]()
    return rng.permutation(values)


def summaries(values: np.ndarray, n_control: int) -> tuple[Moments, Moments]:
    return Moments.from_array(values[n_control:]), Moments.from_array(values[:n_control])


@pytest.mark.parametrize(
    ("kind", "customers", "share"),
    [
        ("exponential", 20_000, 0.05),
        ("log-normal", 100_000, 0.05),
        ("log-normal", 30_000, 0.1),
        ("log-normal", 6_000, 0.5),
        ("Pareto", 150_000, 0.05),
    ],
)
def test_quantiles_are_those_of_the_permutations_where_it_says_it_is_valid(
    kind: str, customers: int, share: float
) -> None:
    values = spend(kind, customers, generator(17))
    n_control = round(customers * share)
    treatment, control = summaries(values, n_control)
    assert is_large_enough(treatment, control)
    null = permutation_null(
        values, treatment.n, control.n, permutations=DRAWS, rng=generator(customers)
    )
    skew = skew_term(treatment, control)
    beyond = (
        np.mean(null < t_of_normal(-1.959964, skew)) / 0.025,
        np.mean(null > t_of_normal(1.959964, skew)) / 0.025,
    )
    assert LEAST < beyond[0] < MOST
    assert LEAST < beyond[1] < MOST


@pytest.mark.parametrize(("lift", "share"), [(1.0, 0.05), (1.05, 0.1), (1.2, 0.05)])
def test_agrees_with_the_permutation_test_of_the_values(lift: float, share: float) -> None:
    values = spend("log-normal", 120_000, generator(3))
    n_control = round(values.size * share)
    values[n_control:] *= lift
    treatment, control = summaries(values, n_control)
    ours = compare_means_moments(treatment, control, alpha=0.05, nonnegative=True)
    theirs = compare_means(
        values[n_control:], values[:n_control], alpha=0.05, rng=generator(4), permutations=DRAWS
    )
    error = math.sqrt(treatment.variance / treatment.n + control.variance / control.n)
    assert ours.absolute.estimate == pytest.approx(theirs.absolute.estimate, rel=ROUNDING)
    assert ours.absolute.low == pytest.approx(theirs.absolute.low, abs=CLOSE_QUANTILE * error)
    assert ours.absolute.high == pytest.approx(theirs.absolute.high, abs=CLOSE_QUANTILE * error)
    scale = CLOSE_QUANTILE * error / control.mean
    assert ours.relative.low == pytest.approx(theirs.relative.low, abs=scale)
    assert ours.relative.high == pytest.approx(theirs.relative.high, abs=scale)
    assert ours.absolute.p_value == pytest.approx(theirs.absolute.p_value, rel=0.2, abs=0.01)
    assert ours.absolute.is_significant == theirs.absolute.is_significant


def test_equal_large_arms_are_welch() -> None:
    rng = generator()
    treatment, control = (Moments.from_array(rng.normal(m, 1.0, 50_000)) for m in (5.0, 5.0))
    ours = compare_means_moments(treatment, control, alpha=0.05)
    welch = compare_means_welch(treatment, control, alpha=0.05)
    # Normal against t with 100,000 degrees of freedom, near the middle.
    assert ours.absolute.p_value == pytest.approx(welch.absolute.p_value, rel=1e-3)
    assert ours.absolute.low == pytest.approx(welch.absolute.low, rel=1e-3)
    assert ours.relative.high == pytest.approx(welch.relative.high, rel=1e-3)


def test_the_skewness_term_is_the_third_cumulant_of_random_splits() -> None:
    values = spend("log-normal", 2_000, generator(8))
    treatment, control = summaries(values, 200)
    rng = generator(9)
    splits = []
    for _ in range(5_000):
        drawn = rng.choice(values, 200, replace=False).sum()
        splits.append((values.sum() - drawn) / 1_800 - drawn / 200)
    # Five standard errors of a skewness from 5,000 values are 0.17.
    assert skew_term(treatment, control) == pytest.approx(scipy_stats.skew(splits), abs=0.18)


@given(z=st.floats(-8, 8), skew=st.floats(-SKEWNESS_LIMIT, SKEWNESS_LIMIT))
def test_p_values_and_quantiles_are_inverse(z: float, skew: float) -> None:
    assert normal_of_t(t_of_normal(z, skew), skew) == pytest.approx(z, abs=ROUNDING)


@given(
    lift=st.floats(0.7, 1.4),
    alpha=st.sampled_from([0.001, 0.05, 0.1, 0.5, 0.9]),
    share=st.sampled_from([0.05, 0.5, 0.95]),
)
def test_test_and_intervals_never_disagree(lift: float, alpha: float, share: float) -> None:
    whole = Moments(n=100_000, mean=3.0, m2=4.0e6, m3=1.0e8)
    n_control = round(whole.n * share)
    arms = [
        Moments(n=n, mean=3.0 * k, m2=whole.m2 * k**2 * n / whole.n, m3=whole.m3 * k**3 * n / 1e5)
        for n, k in ((whole.n - n_control, lift), (n_control, 1.0))
    ]
    result = compare_means_moments(arms[0], arms[1], alpha=alpha, nonnegative=True)
    for effect in result.effects:
        outside = effect.low > 0 or effect.high < 0
        assert outside == (effect.p_value <= alpha)
        assert effect.low <= effect.estimate <= effect.high


def test_the_order_of_the_arms_only_turns_the_sign() -> None:
    values = spend("log-normal", 100_000, generator(6))
    treatment, control = summaries(values, 5_000)
    one = compare_means_moments(treatment, control, alpha=0.05).absolute
    other = compare_means_moments(control, treatment, alpha=0.05).absolute
    assert one.p_value == pytest.approx(other.p_value, rel=ROUNDING)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), rel=ROUNDING)


def test_refuses_what_the_summaries_do_not_support() -> None:
    values = spend("heavy log-normal", 20_000, generator(2))
    treatment, control = summaries(values, 1_000)
    assert not is_large_enough(treatment, control)
    result = compare_means_moments(treatment, control, alpha=0.05, metric="revenue")
    for effect in result.effects:
        assert math.isnan(effect.estimate)
        assert math.isnan(effect.p_value)
        assert "the smaller arm has 1,000 units" in effect.reason
        assert "by permutation" in effect.reason
    assert result.absolute.treatment_value == treatment.mean
    assert result.sentence().startswith("revenue: cannot conclude, because the smaller arm")


@pytest.mark.parametrize(
    ("treatment", "control", "reason"),
    [
        (Moments(n=0, mean=math.nan, m2=0, m3=0), Moments(n=9, mean=1, m2=1, m3=0), "is empty"),
        (Moments(n=900, mean=1, m2=9, m3=0), Moments(n=1, mean=1, m2=0, m3=0), "has one unit"),
        (
            Moments(n=900, mean=math.nan, m2=math.nan, m3=math.nan),
            Moments(n=900, mean=1, m2=9, m3=0),
            "missing or infinite",
        ),
        (
            Moments(n=900, mean=1, m2=9, m3=math.nan),
            Moments(n=900, mean=1, m2=9, m3=0),
            "a moment that is missing",
        ),
        (
            Moments(n=900, mean=1, m2=0, m3=0),
            Moments(n=900, mean=1, m2=0, m3=0),
            "every unit has the same value",
        ),
        (
            Moments(n=400, mean=1, m2=9, m3=0),
            Moments(n=900, mean=1, m2=9, m3=0),
            "400 units and a test from summaries needs 500",
        ),
    ],
)
def test_says_why_there_is_no_answer(treatment: Moments, control: Moments, reason: str) -> None:
    effect = compare_means_moments(treatment, control, alpha=0.05).absolute
    assert math.isnan(effect.estimate)
    assert reason in effect.reason


def test_equal_means_are_no_difference() -> None:
    arm = Moments(n=10_000, mean=2.0, m2=4.0e4, m3=8.0e5)
    effect = compare_means_moments(arm, arm, alpha=0.05).absolute
    assert effect.p_value == 1.0
    assert effect.low < 0 < effect.high


def test_relative_lift_needs_a_positive_control_mean() -> None:
    treatment = Moments(n=10_000, mean=1.0, m2=1.0e4, m3=0.0)
    control = Moments(n=1_000, mean=-1.0, m2=1.0e3, m3=0.0)
    result = compare_means_moments(treatment, control, alpha=0.05)
    assert result.absolute.is_known
    assert "not above zero" in result.relative.reason


def test_alpha_is_checked() -> None:
    arm = Moments(n=10_000, mean=2.0, m2=4.0e4, m3=8.0e5)
    with pytest.raises(DesignError, match="alpha is 1"):
        compare_means_moments(arm, arm, alpha=1.0)


@pytest.mark.slow
def test_keeps_its_level_with_a_control_of_five_percent() -> None:
    rng = generator(12)
    runs, judged, claims = 2_000, 0, [0, 0]
    for _ in range(runs):
        arms = []
        for n in (190_000, 10_000):
            count = rng.binomial(n, 0.1)
            bought = Moments.from_array(rng.lognormal(0.0, 1.2, count))
            arms.append(bought.merge(Moments(n=n - count, mean=0.0, m2=0.0, m3=0.0)))
        effect = compare_means_moments(arms[0], arms[1], alpha=0.05).absolute
        if effect.is_known:
            judged += 1
            claims[effect.estimate > 0] += effect.is_significant
    assert judged > runs / 2
    # Three standard errors of a share of 2.5 % of the runs that were judged.
    allowed = 0.025 + 3 * math.sqrt(0.025 * 0.975 / judged)
    assert max(claims) / judged < allowed
