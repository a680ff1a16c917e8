from __future__ import annotations

import itertools
import math
from collections.abc import Callable

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
    fieller_set,
    permutation_null,
    permutation_test,
)
from crm_lab.stats.permutation import _distinct, _masked_subset

# Two routes to the same statistic differ by rounding only.
ROUNDING = 1e-9
DRAWS = 20_000
# Five standard errors of a share found from DRAWS draws, at its widest.
FIVE_ERRORS = 5 * 0.5 / math.sqrt(DRAWS)


def generator(seed: int = 5) -> np.random.Generator:
    return np.random.default_rng(seed)


def welch_t(treatment: np.ndarray, control: np.ndarray) -> float:
    difference = treatment.mean() - control.mean()
    squared = treatment.var(ddof=1) / treatment.size + control.var(ddof=1) / control.size
    return (
        float(difference / math.sqrt(squared)) if squared else math.copysign(math.inf, difference)
    )


def every_split(values: list[float], n_control: int) -> np.ndarray:
    """t of every way to choose the control: the distribution that is otherwise drawn."""
    pooled = np.array(values, dtype=float)
    found = []
    for chosen in itertools.combinations(range(pooled.size), n_control):
        mask = np.zeros(pooled.size, dtype=bool)
        mask[list(chosen)] = True
        found.append(welch_t(pooled[~mask], pooled[mask]))
    return np.array(found)


def shop(seed: int, n_treatment: int, n_control: int, lift: float = 1.0) -> tuple[np.ndarray, ...]:
    rng = generator(seed)
    arms = []
    for n, factor in ((n_treatment, lift), (n_control, 1.0)):
        arms.append(factor * rng.lognormal(3, 1, n) * (rng.random(n) < 0.2))
    return tuple(arms)


@pytest.mark.parametrize(
    ("values", "n_treatment", "n_control"),
    [
        ([0, 0, 0, 0, 0, 3, 5, 8, 9], 6, 3),
        ([0, 0, 0, 0, 0, 3, 5, 8, 9], 3, 6),
        ([1, 2, 4, 8, 16, 32, 70, 71], 3, 5),
        ([0, 0, 0, 1, 2, 9], 3, 3),
        ([0, 0, 0, 0, 7, 7], 4, 2),
        ([5, 5, 5, 5, 5, -3, 5, 5], 4, 4),
    ],
)
def test_the_drawn_distribution_is_that_of_all_splits(
    values: list[float], n_treatment: int, n_control: int
) -> None:
    exact = np.round(every_split(values, n_control), 6)
    drawn = permutation_null(
        values, n_treatment, n_control, permutations=DRAWS, rng=generator()
    ).round(6)
    assert set(drawn) == set(exact)
    for t in set(exact):
        assert np.mean(drawn == t) == pytest.approx(np.mean(exact == t), abs=FIVE_ERRORS)


def test_the_p_value_is_that_of_all_splits() -> None:
    treatment, control = np.array([9.0, 8.0, 0.0, 5.0, 7.0]), np.array([0.0, 0.0, 3.0, 1.0])
    exact = every_split([*treatment, *control], control.size)
    t = welch_t(treatment, control)
    expected = 2 * np.mean(exact >= t - ROUNDING)
    result = compare_means(treatment, control, alpha=0.05, rng=generator(), permutations=DRAWS)
    assert result.absolute.p_value == pytest.approx(expected, abs=2 * FIVE_ERRORS)


def test_agrees_with_scipy_on_a_larger_sample() -> None:
    treatment, control = shop(11, 400, 80)

    def statistic(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        squared = a.var(axis=axis, ddof=1) / a.shape[axis]
        squared = squared + b.var(axis=axis, ddof=1) / b.shape[axis]
        return np.asarray((a.mean(axis=axis) - b.mean(axis=axis)) / np.sqrt(squared))

    theirs = scipy_stats.permutation_test(
        (treatment, control),
        statistic,
        vectorized=True,
        n_resamples=DRAWS,
        batch=1_000,
        rng=generator(1),
    )
    t = welch_t(treatment, control)
    null = permutation_null(
        np.concatenate([treatment, control]), 400, 80, permutations=DRAWS, rng=generator(2)
    )
    points = np.quantile(theirs.null_distribution, [0.025, 0.25, 0.5, 0.75, 0.975])
    for point, share in zip(points, (0.025, 0.25, 0.5, 0.75, 0.975), strict=True):
        assert np.mean(null <= point) == pytest.approx(share, abs=2 * FIVE_ERRORS)
    test = permutation_test(t, null, alpha=0.05)
    assert min(test.p_greater, test.p_less) == pytest.approx(theirs.pvalue / 2, abs=2 * FIVE_ERRORS)


@pytest.mark.parametrize("count", [1, 200, 600])
def test_subsets_are_uniform(count: int) -> None:
    size, repeats, rng = 1_200, 1_000, generator()
    values = np.arange(1.0, size + 1)
    draws: tuple[Callable[[], np.ndarray], ...] = (
        lambda: _masked_subset(values, count, rng),
        lambda: values[_distinct(size, count, rng)],
    )
    for draw in draws:
        seen = np.zeros(size)
        for _ in range(repeats):
            chosen = draw()
            chosen = chosen[chosen > 0].astype(int)
            assert len(set(chosen)) == chosen.size == count
            seen[chosen - 1] += 1
        share = count / size
        spread = np.square(seen - repeats * share).sum() / (repeats * share * (1 - share))
        # Approximately chi-square with size - 1 degrees of freedom; five standard deviations.
        assert spread == pytest.approx(size, abs=5 * math.sqrt(2 * size))


@pytest.mark.parametrize("values", [[0] * 3_000 + list(range(1, 1_001)), list(range(4_000))])
@pytest.mark.parametrize("n_control", [40, 400, 2_000, 3_600])
def test_every_way_of_drawing_has_the_moments_of_a_permutation(
    values: list[int], n_control: int
) -> None:
    n_treatment = len(values) - n_control
    null = permutation_null(values, n_treatment, n_control, permutations=3_000, rng=generator())
    reference = []
    rng, pooled = generator(9), np.array(values, dtype=float)
    for _ in range(3_000):
        mixed = rng.permutation(pooled)
        reference.append(welch_t(mixed[:n_treatment], mixed[n_treatment:]))
    # Kolmogorov-Smirnov on two samples of 3,000; a fixed seed, so it cannot fail by chance later.
    assert scipy_stats.ks_2samp(null, reference).pvalue > 0.001


@st.composite
def small_arms(draw: st.DrawFn) -> tuple[list[float], list[float]]:
    value = st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.5, 7.0, 40.0])
    return (
        draw(st.lists(value, min_size=2, max_size=30)),
        draw(st.lists(value, min_size=2, max_size=12)),
    )


@given(small_arms(), st.sampled_from([0.05, 0.1, 0.3]), st.integers(0, 99))
def test_interval_excludes_no_effect_exactly_when_the_test_rejects(
    arms: tuple[list[float], list[float]], alpha: float, seed: int
) -> None:
    result = compare_means(*arms, alpha=alpha, rng=generator(seed), permutations=199)
    for effect in result.effects:
        if effect.is_known:
            assert (effect.low > 0 or effect.high < 0) == effect.is_significant
            assert effect.low <= effect.estimate + ROUNDING
            assert effect.high >= effect.estimate - ROUNDING
            assert 0 < effect.p_value <= 1
        else:
            assert effect.reason


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=60), st.floats(-6, 6), st.floats(0.01, 0.9))
def test_quantiles_and_p_value_agree(null: list[float], t: float, alpha: float) -> None:
    test = permutation_test(t, np.array(null), alpha=alpha)
    slack = ROUNDING * max(1.0, abs(t))
    outside = t > test.high_quantile + slack or t < test.low_quantile - slack
    assert outside == (test.p_value <= alpha)


def test_scaling_the_values_scales_the_difference() -> None:
    treatment, control = shop(1, 900, 100, lift=1.4)
    one = compare_means(treatment, control, alpha=0.05, rng=generator(), permutations=999)
    # A power of two scales floating point exactly.
    many = compare_means(
        1_024 * treatment, 1_024 * control, alpha=0.05, rng=generator(), permutations=999
    )
    assert many.absolute.low == pytest.approx(1_024 * one.absolute.low, rel=ROUNDING)
    assert many.absolute.high == pytest.approx(1_024 * one.absolute.high, rel=ROUNDING)
    assert many.relative.low == pytest.approx(one.relative.low, rel=ROUNDING)
    assert many.absolute.p_value == one.absolute.p_value


@pytest.mark.parametrize("shift", [100.0, 1e8])
def test_shifting_the_values_changes_no_difference(shift: float) -> None:
    rng = generator(3)
    treatment, control = rng.normal(0.3, 1, 500), rng.normal(0, 1, 60)
    one = compare_means(treatment, control, alpha=0.05, rng=generator(), permutations=999)
    moved = compare_means(
        treatment + shift, control + shift, alpha=0.05, rng=generator(), permutations=999
    )
    # The shifted values are rounded to 1.5e-8 at 1e8.
    assert moved.absolute.low == pytest.approx(one.absolute.low, abs=1e-6)
    assert moved.absolute.high == pytest.approx(one.absolute.high, abs=1e-6)
    assert moved.absolute.p_value == pytest.approx(one.absolute.p_value, abs=0.002)


def test_swapping_the_arms_flips_the_sign() -> None:
    treatment, control = shop(2, 900, 100, lift=1.2)
    one = compare_means(treatment, control, alpha=0.05, rng=generator(), permutations=999)
    other = compare_means(control, treatment, alpha=0.05, rng=generator(), permutations=999)
    assert other.absolute.estimate == -one.absolute.estimate
    assert other.absolute.low == pytest.approx(-one.absolute.high, rel=ROUNDING)
    assert other.absolute.high == pytest.approx(-one.absolute.low, rel=ROUNDING)
    assert other.absolute.p_value == one.absolute.p_value


def test_the_order_of_rows_does_not_matter() -> None:
    treatment, control = shop(3, 500, 70)
    one = compare_means(treatment, control, alpha=0.05, rng=generator(), permutations=299)
    rng = generator(8)
    mixed = compare_means(
        rng.permutation(treatment),
        rng.permutation(control),
        alpha=0.05,
        rng=generator(),
        permutations=299,
    )
    assert mixed == one


def test_the_inputs_are_not_changed() -> None:
    treatment, control = np.array([3.0, 0.0, 1.0, 9.0]), np.array([2.0, 0.0, 5.0])
    compare_means(treatment, control, alpha=0.05, rng=generator(), permutations=99)
    assert treatment.tolist() == [3.0, 0.0, 1.0, 9.0]
    assert control.tolist() == [2.0, 0.0, 5.0]


def test_a_distribution_can_be_used_again() -> None:
    treatment, control = shop(4, 600, 60)
    pooled = np.concatenate([treatment, control])
    null = permutation_null(pooled, 600, 60, permutations=499, rng=generator())
    reused = compare_means(treatment, control, alpha=0.05, rng=generator(99), null=null)
    drawn = compare_means(treatment, control, alpha=0.05, rng=generator(), permutations=499)
    assert reused == drawn


def test_an_unusable_distribution_is_refused() -> None:
    with pytest.raises(DesignError, match="null is empty or holds NaN"):
        compare_means([1.0, 2.0], [3.0, 5.0], alpha=0.05, rng=generator(), null=np.array([]))


@pytest.mark.parametrize(
    ("treatment", "control", "reason"),
    [
        ([], [1.0, 2.0], "arm treatment is empty"),
        ([1.0, 2.0], [1.0], "arm control has one unit"),
        ([4.0, 4.0], [4.0, 4.0, 4.0], "every unit has the same value"),
        ([0.0, 0.0], [0.0, 0.0], "every unit has the same value"),
        ([4.0, 4.0], [1.0, 1.0], "the values do not vary within either arm"),
        ([4.0, math.nan], [1.0, 2.0], "arm treatment holds a value that is missing or infinite"),
        ([4.0, 1.0], [1.0, math.inf], "arm control holds a value that is missing or infinite"),
    ],
)
def test_data_that_support_no_estimate(
    treatment: list[float], control: list[float], reason: str
) -> None:
    results = (
        compare_means(treatment, control, alpha=0.05, rng=generator(), permutations=99),
        compare_means_welch(treatment, control, alpha=0.05),
    )
    for effect in itertools.chain.from_iterable(result.effects for result in results):
        assert np.isnan([effect.estimate, effect.low, effect.high, effect.p_value]).all()
        assert effect.reason == reason
        assert not effect.is_significant
    assert all("cannot conclude, because " + reason in r.sentence() for r in results)


def test_a_control_that_bought_nothing() -> None:
    treatment = shop(5, 900, 2)[0]
    result = compare_means(treatment, np.zeros(30), alpha=0.05, rng=generator(), permutations=999)
    assert result.absolute.low < result.absolute.estimate < result.absolute.high
    assert math.isnan(result.relative.estimate)
    assert result.relative.reason == "the mean of arm control is not above zero"


def test_a_treatment_that_bought_nothing() -> None:
    control = shop(6, 2, 400)[1]
    result = compare_means(np.zeros(500), control, alpha=0.05, rng=generator(), permutations=999)
    assert result.absolute.estimate == pytest.approx(-control.mean(), rel=ROUNDING)
    assert result.absolute.high < 0
    assert math.isnan(result.relative.low)
    assert result.relative.reason == "the values of arm treatment do not vary"
    bought = np.append(np.zeros(499), 0.5)
    result = compare_means(bought, control, alpha=0.05, rng=generator(), permutations=999)
    assert -1.0 <= result.relative.low < result.relative.estimate < result.relative.high < 0.0


def test_a_control_not_told_from_zero_leaves_the_lift_open() -> None:
    treatment, control = shop(7, 900, 2)[0], np.array([0.0] * 59 + [30.0])
    effect = compare_means(
        treatment, control, alpha=0.05, rng=generator(), permutations=999
    ).relative
    assert effect.high == math.inf
    assert effect.reason == "the mean of arm control cannot be told apart from zero"


def test_too_few_permutations_conclude_nothing() -> None:
    treatment, control = np.arange(50.0) + 100, np.arange(50.0)
    result = compare_means(treatment, control, alpha=0.05, rng=generator(), permutations=20)
    assert (result.absolute.low, result.absolute.high) == (-math.inf, math.inf)
    assert result.absolute.p_value == pytest.approx(2 / 21)
    assert result.absolute.reason == "too few permutations for alpha"
    enough = compare_means(treatment, control, alpha=0.05, rng=generator(), permutations=39)
    assert enough.absolute.is_significant
    assert enough.absolute.low > 0


def test_negative_values_are_allowed() -> None:
    rng = generator(12)
    margin_t, margin_c = rng.normal(1, 5, 400), rng.normal(1, 5, 80)
    result = compare_means(margin_t, margin_c, alpha=0.05, rng=generator(), permutations=999)
    assert result.absolute.low < 0 < result.absolute.high
    assert result.relative.low == -math.inf or result.relative.low < -0.5


def test_an_extreme_value_does_not_break_the_sums() -> None:
    values = [1e12, *([0.0] * 400), *([1e-3] * 30)]
    null = permutation_null(values, 400, 31, permutations=500, rng=generator())
    assert np.isfinite(null).all()


@pytest.mark.parametrize(
    ("values", "sizes", "message"),
    [
        ([1.0, 2.0, 3.0], (2, 2), "3 values for arms of 2 and 2"),
        ([1.0, 2.0, 3.0], (2, 1), "n_control is 1"),
        ([1.0, 2.0, math.nan, 3.0], (2, 2), "not finite"),
    ],
)
def test_an_impossible_distribution(
    values: list[float], sizes: tuple[int, int], message: str
) -> None:
    with pytest.raises(DesignError, match=message):
        permutation_null(values, *sizes, permutations=9, rng=generator())


def test_the_distribution_of_a_constant_is_not_known() -> None:
    null = permutation_null([2.0] * 6, 3, 3, permutations=4, rng=generator())
    assert np.isnan(null).all()


@pytest.mark.parametrize("alpha", [0.0, 1.0, math.nan])
def test_impossible_alpha(alpha: float) -> None:
    with pytest.raises(DesignError, match="alpha is"):
        compare_means([1.0, 2.0], [1.0, 3.0], alpha=alpha, rng=generator())
    with pytest.raises(DesignError, match="alpha is"):
        compare_means_welch([1.0, 2.0], [1.0, 3.0], alpha=alpha)


def test_values_that_are_not_numbers() -> None:
    with pytest.raises(DesignError, match="treatment holds something that is not a number"):
        compare_means(["x", "y"], [1.0, 2.0], alpha=0.05, rng=generator())


def test_welch_agrees_with_scipy_and_takes_summaries() -> None:
    treatment, control = shop(13, 300, 50)
    theirs = scipy_stats.ttest_ind(treatment, control, equal_var=False)
    ours = compare_means_welch(treatment, control, alpha=0.05)
    interval = theirs.confidence_interval(0.95)
    assert ours.absolute.p_value == pytest.approx(theirs.pvalue, rel=ROUNDING)
    assert (ours.absolute.low, ours.absolute.high) == pytest.approx(interval, rel=ROUNDING)
    summaries = compare_means_welch(
        Moments.from_array(treatment), Moments.from_array(control), alpha=0.05
    )
    assert summaries == ours


@given(
    st.floats(-5, 50),
    st.floats(0.1, 50),
    st.floats(0.01, 30),
    st.floats(0, 30),
    st.floats(-4, 0),
    st.floats(0, 4),
    st.booleans(),
)
def test_fieller_keeps_what_the_statistic_does_not_reject(
    mean_t: float,
    mean_c: float,
    error_t: float,
    error_c: float,
    low_q: float,
    high_q: float,
    nonnegative: bool,
) -> None:
    mean_t = abs(mean_t) if nonnegative else mean_t
    low, high = fieller_set(
        mean_t,
        mean_c,
        error_t,
        error_c,
        low_quantile=low_q,
        high_quantile=high_q,
        nonnegative=nonnegative,
    )
    estimate = mean_t / mean_c
    near = 1e-6 * max(1.0, abs(estimate))
    assert low <= estimate + near
    assert high >= estimate - near

    def rejected(rho: float) -> bool:
        t = (mean_t - rho * mean_c) / math.sqrt(error_t + rho**2 * error_c)
        return t > high_q + near or t < low_q - near

    # What lies between the ends is kept; just outside of a finite end it is rejected.
    left = max(low, estimate - 100.0)
    right = min(high, estimate + 100.0)
    if math.isfinite(low) and math.isfinite(high):
        assert not any(rejected(rho) for rho in np.linspace(left, right, 41)[1:-1])
    step = 1e-3 * max(1.0, abs(estimate))
    if math.isfinite(high) and abs(high) < 1e3:
        beyond = (mean_t - (high + step) * mean_c) / math.sqrt(
            error_t + (high + step) ** 2 * error_c
        )
        assert beyond <= low_q + near
    if math.isfinite(low) and abs(low) < 1e3 and not (nonnegative and low == 0.0):
        beyond = (mean_t - (low - step) * mean_c) / math.sqrt(error_t + (low - step) ** 2 * error_c)
        assert beyond >= high_q - near


def test_fieller_refuses_a_control_at_zero() -> None:
    with pytest.raises(DesignError, match="control mean 0"):
        fieller_set(1.0, 0.0, 1.0, 1.0, low_quantile=-1.0, high_quantile=1.0)


@pytest.mark.slow
def test_false_positives_keep_their_promise_where_welch_does_not() -> None:
    rng, runs, n_treatment, n_control = generator(21), 1_500, 2_850, 150
    claims = {"welch": [0, 0], "permutation": [0, 0]}
    for _ in range(runs):
        arms = [rng.lognormal(0, 1.5, n) * (rng.random(n) < 0.1) for n in (n_treatment, n_control)]
        welch = compare_means_welch(*arms, alpha=0.05).absolute
        ours = compare_means(*arms, alpha=0.05, rng=rng, permutations=399).absolute
        for name, effect in (("welch", welch), ("permutation", ours)):
            if effect.is_significant:
                claims[name][effect.estimate < 0] += 1
    error = math.sqrt(0.025 * 0.975 / runs)
    more, less = (count / runs for count in claims["permutation"])
    assert more < 0.025 + 3 * error
    assert less < 0.025 + 3 * error
    assert claims["welch"][0] / runs > 0.15
