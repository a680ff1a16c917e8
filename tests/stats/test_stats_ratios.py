from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy import optimize
from scipy import stats as scipy_stats

from crm_lab.errors import DesignError
from crm_lab.stats import PairMoments, compare_means, compare_means_welch
from crm_lab.stats.ratios import (
    _ratio_null,
    compare_ratio_moments,
    compare_ratios,
    ratio_estimate,
)

# Two routes to the same number differ by rounding only.
ROUNDING = 1e-9
DRAWS = 20_000
# Five standard errors of a share found from DRAWS draws, at its widest.
FIVE_ERRORS = 5 * 0.5 / math.sqrt(DRAWS)
Arm = tuple[np.ndarray, np.ndarray]
METHODS: tuple[Any, ...] = ("permutation", "fieller", "delta")


def generator(seed: int = 5) -> np.random.Generator:
    return np.random.default_rng(seed)


def shop(n: int, rng: np.random.Generator, *, buyers: float = 0.3) -> Arm:
    """Revenue and orders of n customers of whom some buy."""
    orders = np.where(rng.random(n) < buyers, 1 + rng.poisson(0.5, n), 0).astype(float)
    return orders * rng.lognormal(3.0, 0.8, n), orders


def t_of(arms: list[Arm]) -> float:
    """Difference of the ratios over its error, by the residuals of each customer."""
    ratios, squares = [], []
    for revenue, orders in arms:
        ratio = revenue.sum() / orders.sum()
        residuals = (revenue - ratio * orders) / orders.mean()
        ratios.append(ratio)
        squares.append(residuals.var(ddof=1) / orders.size)
    return float((ratios[0] - ratios[1]) / math.sqrt(sum(squares)))


def test_null_is_that_of_every_split() -> None:
    revenue = np.array([0.0, 0.0, 12.0, 30.0, 7.0, 55.0, 18.0, 9.0, 21.0])
    orders = np.array([0.0, 0.0, 1.0, 2.0, 1.0, 4.0, 1.0, 2.0, 1.0])
    exact = []
    for chosen in itertools.combinations(range(revenue.size), 3):
        mask = np.zeros(revenue.size, dtype=bool)
        mask[list(chosen)] = True
        if np.count_nonzero(orders[mask]) > 1:
            exact.append(t_of([(revenue[~mask], orders[~mask]), (revenue[mask], orders[mask])]))
    drawn = _ratio_null(revenue, orders, 6, 3, permutations=DRAWS, rng=generator())
    assert drawn.size < DRAWS
    for point in np.quantile(exact, [0.05, 0.2, 0.5, 0.8, 0.95]):
        share = np.mean(np.array(exact) <= point + ROUNDING)
        assert np.mean(drawn <= point + ROUNDING) == pytest.approx(share, abs=FIVE_ERRORS)


@pytest.mark.parametrize(("n_t", "n_c"), [(300, 40), (40, 300)])
def test_t_is_the_one_that_is_permuted(n_t: int, n_c: int) -> None:
    rng = generator(2)
    treatment, control = shop(n_t, rng), shop(n_c, rng)
    effect = compare_ratios(*treatment, *control, alpha=0.05, rng=rng).absolute
    t = t_of([treatment, control])
    revenue, orders = (np.concatenate(part) for part in zip(treatment, control, strict=True))
    null = _ratio_null(revenue, orders, n_t, n_c, permutations=DRAWS, rng=generator(3))
    tail = np.mean(null >= t) if t > 0 else np.mean(null <= t)
    assert effect.p_value == pytest.approx(2 * tail, abs=0.03)
    ratios = [revenue.sum() / orders.sum() for revenue, orders in (treatment, control)]
    assert effect.estimate == pytest.approx(ratios[0] - ratios[1], rel=ROUNDING)


@pytest.mark.parametrize("method", ["fieller", "delta"])
def test_a_constant_denominator_is_a_mean(method: Any) -> None:
    rng = generator(4)
    treatment, control = rng.lognormal(1, 1, 400), rng.lognormal(1, 1, 50)
    fours = [np.full(arm.size, 4.0) for arm in (treatment, control)]
    ours = compare_ratios(treatment, fours[0], control, fours[1], alpha=0.1, method=method)
    means = compare_means_welch(treatment / 4, control / 4, alpha=0.1)
    for name in ("estimate", "low", "high", "p_value"):
        assert getattr(ours.absolute, name) == pytest.approx(
            getattr(means.absolute, name), rel=ROUNDING
        )
    if method == "fieller":
        assert ours.relative.high == pytest.approx(means.relative.high, rel=ROUNDING)
    one = ratio_estimate(PairMoments.from_arrays(control, fours[1]), alpha=0.1, method=method)
    theirs = scipy_stats.ttest_1samp(control / 4, 0.0).confidence_interval(0.9)
    assert (one.low, one.high) == pytest.approx((theirs.low, theirs.high), rel=ROUNDING)


def test_permutations_of_a_constant_denominator_are_those_of_a_mean() -> None:
    rng = generator(4)
    treatment, control = rng.lognormal(1, 1, 400), rng.lognormal(1, 1, 50)
    ones = np.ones(400), np.ones(50)
    ours = compare_ratios(
        treatment, ones[0], control, ones[1], alpha=0.05, rng=rng, permutations=DRAWS
    )
    means = compare_means(treatment, control, alpha=0.05, rng=rng, permutations=DRAWS)
    # Quantiles of two independent sets of permutations.
    error = (means.absolute.high - means.absolute.low) / 4
    assert ours.absolute.low == pytest.approx(means.absolute.low, abs=0.06 * error)
    assert ours.absolute.high == pytest.approx(means.absolute.high, abs=0.06 * error)
    assert ours.absolute.p_value == pytest.approx(means.absolute.p_value, abs=0.02)


def test_fieller_solves_its_equation() -> None:
    revenue, orders = shop(60, generator(9))
    pair = PairMoments.from_arrays(revenue, orders)
    found = ratio_estimate(pair, alpha=0.05)
    quantile = scipy_stats.t.ppf(0.975, 59)

    def excess(ratio: float) -> float:
        rest = revenue - ratio * orders
        return float(rest.mean() ** 2 - quantile**2 * rest.var(ddof=1) / rest.size)

    below = optimize.brentq(excess, found.estimate - 50, found.estimate)
    above = optimize.brentq(excess, found.estimate, found.estimate + 90)
    assert (found.low, found.high) == pytest.approx((below, above), rel=ROUNDING)


def test_fieller_is_open_when_the_denominator_may_be_zero() -> None:
    pair = PairMoments.from_arrays([5.0, 0, 0, 0, 9.0, 0], [1.0, 0, 0, 0, 4.0, 0])
    found = ratio_estimate(pair, alpha=0.01)
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert "cannot be told apart from zero" in found.reason
    assert math.isfinite(ratio_estimate(pair, alpha=0.01, method="delta").high)


@pytest.mark.parametrize("method", ["fieller", "delta"])
def test_summaries_give_what_arrays_give(method: Any) -> None:
    rng = generator(7)
    treatment, control = shop(500, rng), shop(80, rng)
    whole = compare_ratios(*treatment, *control, alpha=0.05, method=method)
    halves = [
        PairMoments.from_arrays(revenue[:40], orders[:40]).merge(
            PairMoments.from_arrays(revenue[40:], orders[40:])
        )
        for revenue, orders in (treatment, control)
    ]
    parts = compare_ratio_moments(*halves, alpha=0.05, method=method, nonnegative=True)
    for ours, theirs in zip(whole.effects, parts.effects, strict=True):
        assert (ours.low, ours.high, ours.p_value) == pytest.approx(
            (theirs.low, theirs.high, theirs.p_value), rel=1e-7
        )


def test_the_log_delta_interval_agrees_with_its_own_test() -> None:
    rng = generator(1)
    for lift in (1.0, 1.2, 1.4):
        revenue, orders = shop(400, rng)
        control = shop(100, rng)
        result = compare_ratios(lift * revenue, orders, *control, alpha=0.05, method="delta")
        relative = result.relative
        assert (relative.low > 0 or relative.high < 0) == relative.is_significant
        assert relative.low < relative.estimate < relative.high


@pytest.mark.parametrize("method", METHODS)
def test_scale_of_money_does_not_matter(method: Any) -> None:
    rng = generator(6)
    treatment, control = shop(300, rng), shop(60, rng)
    found = []
    for scale in (1.0, 1e6):
        result = compare_ratios(
            scale * treatment[0],
            treatment[1],
            scale * control[0],
            control[1],
            alpha=0.05,
            rng=generator(),
            permutations=500,
            method=method,
        )
        found.append((result.absolute.low / scale, result.relative.low, result.absolute.p_value))
    assert found[0] == pytest.approx(found[1], rel=1e-7)


def test_rows_may_come_in_any_order() -> None:
    rng = generator(6)
    treatment, control = shop(300, rng), shop(60, rng)
    mixed = rng.permutation(300)
    one, other = (
        compare_ratios(*arm, *control, alpha=0.05, rng=generator(), permutations=300)
        for arm in (treatment, (treatment[0][mixed], treatment[1][mixed]))
    )
    assert one == other


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("control", "reason"),
    [
        (([0.0] * 5, [0.0] * 5), "the denominators of arm control add up to 0"),
        (([9.0, 0, 0, 0], [1.0, 0, 0, 0]), "arm control has a denominator in one unit only"),
        (([9.0, 4.0, 8.0], [1.0, -1.0, 2.0]), "arm control holds a negative denominator"),
        (([], []), "arm control is empty"),
        (([3.0], [1.0]), "arm control has one unit"),
        (([3.0, math.nan], [1.0, 1.0]), "arm control holds a value that is missing"),
    ],
)
def test_says_why_there_is_no_answer(method: Any, control: Any, reason: str) -> None:
    result = compare_ratios(
        *shop(50, generator()), *control, alpha=0.05, rng=generator(), method=method
    )
    for effect in result.effects:
        assert math.isnan(effect.estimate)
        assert math.isnan(effect.p_value)
        assert reason in effect.reason


@pytest.mark.parametrize("method", METHODS)
def test_the_same_ratio_everywhere_is_no_difference_to_test(method: Any) -> None:
    orders = np.array([0.0, 1, 2, 3, 1, 0, 2])
    result = compare_ratios(
        0.1 * orders, orders, 0.1 * orders, orders, alpha=0.05, rng=generator(), method=method
    )
    assert math.isnan(result.absolute.p_value)
    assert result.absolute.reason


def test_one_arm_without_answer() -> None:
    for pair, reason in (
        (PairMoments.from_arrays([1.0], [1.0]), "too few units"),
        (PairMoments.from_arrays([0.0, 0.0], [0.0, 0.0]), "add up to 0"),
        (PairMoments.from_arrays([0.0, math.inf], [1.0, 1.0]), "missing or infinite"),
    ):
        found = ratio_estimate(pair, alpha=0.05)
        assert math.isnan(found.estimate)
        assert reason in found.reason
    same = ratio_estimate(PairMoments.from_arrays([2.0, 4.0], [1.0, 2.0]), alpha=0.05)
    assert (same.estimate, same.reason) == (2.0, "the ratio is the same for every unit")
    assert math.isnan(same.low)


def test_callers_mistakes() -> None:
    one, two = [1.0, 2.0, 3.0], [1.0, 1.0, 2.0]
    with pytest.raises(DesignError, match="3 numerators but 2 denominators of control"):
        compare_ratios(one, two, one, two[:2], alpha=0.05, rng=generator())
    with pytest.raises(DesignError, match="permutations without rng"):
        compare_ratios(one, two, one[::-1], two, alpha=0.05)
    with pytest.raises(DesignError, match="method is 'bootstrap'"):
        compare_ratios(one, two, one, two, alpha=0.05, method="bootstrap")  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="alpha is 2"):
        ratio_estimate(PairMoments.from_arrays(one, two), alpha=2)


@pytest.mark.slow
def test_permutations_keep_their_level_where_t_does_not() -> None:
    rng = generator(21)
    runs, claims = 800, {"permutation": 0, "fieller": 0}
    for _ in range(runs):
        arms = []
        for n in (2_850, 150):
            revenue, orders = shop(n, rng, buyers=0.1)
            arms += [revenue * rng.lognormal(0.0, 1.3, n), orders]
        for method in ("permutation", "fieller"):
            effect = compare_ratios(
                *arms, alpha=0.05, rng=rng, permutations=199, method=method
            ).absolute
            claims[method] += effect.is_significant
    # Three standard errors of a share of 5 %.
    allowed = 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    assert claims["permutation"] / runs < allowed
    assert claims["fieller"] / runs > allowed
