from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special

from crm_lab.errors import DesignError
from crm_lab.stats import compare_proportions, proportion_interval, score_statistic
from crm_lab.stats.proportions import _Table

# Root search and special functions.
NEAR = 1e-7


@st.composite
def tables(draw: st.DrawFn) -> tuple[int, int, int, int]:
    n_t, n_c = draw(st.integers(2, 3_000)), draw(st.integers(2, 300))
    return draw(st.integers(0, n_t)), n_t, draw(st.integers(0, n_c)), n_c


@given(tables(), st.sampled_from([0.01, 0.05, 0.2]))
def test_interval_excludes_no_effect_exactly_when_the_test_rejects(
    table: tuple[int, int, int, int], alpha: float
) -> None:
    result = compare_proportions(*table, alpha=alpha)
    for effect in result.effects:
        if math.isnan(effect.p_value) or abs(effect.p_value - alpha) < NEAR:
            continue
        assert (effect.low > 0 or effect.high < 0) == effect.is_significant


@given(tables())
def test_swapping_the_arms_flips_the_sign(table: tuple[int, int, int, int]) -> None:
    x_t, n_t, x_c, n_c = table
    one = compare_proportions(x_t, n_t, x_c, n_c, alpha=0.05)
    other = compare_proportions(x_c, n_c, x_t, n_t, alpha=0.05)
    assert one.absolute.estimate == -other.absolute.estimate
    assert one.absolute.low == pytest.approx(-other.absolute.high, abs=NEAR)
    assert one.absolute.high == pytest.approx(-other.absolute.low, abs=NEAR)
    if x_t and x_c:
        turned = 1 / (1 + other.relative.high) - 1
        assert one.relative.low == pytest.approx(turned, rel=NEAR, abs=NEAR)


@given(tables(), st.floats(-0.98, 0.98))
def test_the_constrained_estimate_is_the_most_likely(
    table: tuple[int, int, int, int], delta: float
) -> None:
    x_t, n_t, x_c, n_c = table

    def minus_log_likelihood(control: float) -> float:
        treated = control + delta
        return -float(
            special.xlogy(x_c, control)
            + special.xlogy(n_c - x_c, 1 - control)
            + special.xlogy(x_t, treated)
            + special.xlogy(n_t - x_t, 1 - treated)
        )

    low, high = max(0.0, -delta), min(1.0, 1.0 - delta)
    found = _Table(x_t=x_t, n_t=n_t, x_c=x_c, n_c=n_c, correction=True)._control_given_difference(
        delta
    )
    best = optimize.minimize_scalar(
        minus_log_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-12}
    )
    assert low <= found <= high
    assert minus_log_likelihood(found) <= best.fun + 1e-6 * max(1.0, abs(best.fun))


@given(tables())
def test_estimates_lie_in_their_intervals(table: tuple[int, int, int, int]) -> None:
    for effect in compare_proportions(*table, alpha=0.05).effects:
        if effect.is_known:
            assert effect.low <= effect.estimate + NEAR
            assert effect.high >= effect.estimate - NEAR


def test_no_event_in_the_control() -> None:
    result = compare_proportions(9, 2_850, 0, 150, alpha=0.05)
    assert result.absolute.low < 0 < result.absolute.high
    assert math.isnan(result.relative.estimate)
    assert result.relative.high == math.inf
    assert -1 < result.relative.low < 0
    assert result.relative.reason == "no unit of arm control has the event"
    assert "not known because no unit of arm control has the event" in result.sentence()


def test_no_event_in_the_treatment() -> None:
    effect = compare_proportions(0, 150, 6, 150, alpha=0.05).relative
    assert (effect.estimate, effect.low) == (-1.0, -1.0)
    assert -1 < effect.high < 0


def test_no_event_at_all_has_an_interval_but_no_test() -> None:
    result = compare_proportions(0, 2_850, 0, 150, alpha=0.05)
    absolute, relative = result.effects
    assert absolute.estimate == 0
    # With no event the score interval ends where z^2 = n p / (1 - p), but for N / (N - 1).
    bound = 1.959964**2 / (150 + 1.959964**2)
    assert absolute.low == pytest.approx(-bound, rel=2e-3)
    assert 0 < absolute.high < -absolute.low
    assert math.isnan(absolute.p_value)
    assert not absolute.is_significant
    assert np.isnan([relative.estimate, relative.low, relative.high, relative.p_value]).all()
    assert relative.reason == absolute.reason == "no unit of either arm has the event"
    assert "Cannot conclude, because no unit of either arm has the event" in result.sentence()


def test_nothing_but_events() -> None:
    absolute, relative = compare_proportions(150, 150, 80, 80, alpha=0.05).effects
    assert absolute.low < 0 < absolute.high
    assert math.isnan(absolute.p_value)
    assert relative.low < 0 < relative.high
    assert relative.reason == "every unit of both arms has the event"


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ((0, 0, 3, 10), "arm mail is empty"),
        ((3, 10, 0, 0), "arm control is empty"),
        ((3, 10, 1, 1), "arm control has one unit"),
    ],
)
def test_an_arm_too_small(table: tuple[int, int, int, int], reason: str) -> None:
    result = compare_proportions(*table, alpha=0.05, arms=("mail", "control"))
    for effect in result.effects:
        numbers = [effect.estimate, effect.low, effect.high, effect.p_value]
        assert np.isnan(numbers).all()
        assert effect.reason == reason


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ((-1, 10, 1, 10), "x_treatment is -1"),
        ((11, 10, 1, 10), "x_treatment is 11 but n_treatment is 10"),
        ((1, 10, 1, -5), "n_control is -5"),
        ((1.5, 10, 1, 10), "x_treatment is 1.5"),
    ],
)
def test_impossible_counts(table: tuple[int, int, int, int], message: str) -> None:
    with pytest.raises(DesignError, match=message):
        compare_proportions(*table, alpha=0.05)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, 5, math.nan])
def test_impossible_alpha(alpha: float) -> None:
    with pytest.raises(DesignError, match="alpha is"):
        compare_proportions(1, 10, 1, 10, alpha=alpha)


def test_many_tables_at_once() -> None:
    z = score_statistic([56, 0, 9], [70, 5, 9], [48, 0, 7], [80, 5, 7])
    one = compare_proportions(56, 70, 48, 80, alpha=0.05).absolute
    assert 2 * special.ndtr(-z[0]) == pytest.approx(one.p_value, rel=1e-12)
    assert np.isnan(z[1:]).all()
    with pytest.raises(DesignError, match="above its total"):
        score_statistic(5, 4, 1, 4)


def test_wilson_ends() -> None:
    assert proportion_interval(0, 9, alpha=0.05).low == 0.0
    assert proportion_interval(9, 9, alpha=0.05).high == 1.0
    nothing = proportion_interval(0, 0, alpha=0.05)
    assert math.isnan(nothing.estimate)
    assert nothing.reason == "there are no units"
    with pytest.raises(DesignError, match="events is 3 but n is 2"):
        proportion_interval(3, 2, alpha=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("n_t", "n_c", "rate"), [(2_850, 150, 0.1), (950, 50, 0.05)])
def test_coverage_with_a_small_control(n_t: int, n_c: int, rate: float) -> None:
    """Exact coverage: every table weighted by its probability."""
    from scipy import stats

    truth, covered, weight = 0.2 * rate, 0.0, 0.0
    control = stats.binom(n_c, rate)
    treated = stats.binom(n_t, rate + truth)
    centre, spread = treated.mean(), treated.std()
    for x_t in range(int(centre - 4 * spread), int(centre + 4 * spread), 5):
        for x_c in range(int(control.isf(1e-6)) + 1):
            chance = treated.pmf(x_t) * control.pmf(x_c)
            effect = compare_proportions(x_t, n_t, x_c, n_c, alpha=0.05).absolute
            covered += chance * (effect.low <= truth <= effect.high)
            weight += chance
    # Score intervals vary around the nominal 95 %.
    assert covered / weight == pytest.approx(0.95, abs=0.015)
