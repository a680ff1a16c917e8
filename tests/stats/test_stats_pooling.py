from __future__ import annotations

import math

import numpy as np
import pytest

from crm_lab.errors import DesignError
from crm_lab.stats.pooling import pool_effects
from crm_lab.stats.pooling_posterior import paule_mandel

# Two routes to the same number differ by rounding, or by a root search that stops early.
ROUNDING, ROOT = 1e-9, 1e-6
# A quadrature over tau against one over tau and the mean on other nodes.
QUADRATURE = 2e-3
# Probabilities found from 400,000 draws: five standard errors at their widest.
DRAWS = 400_000
FIVE_ERRORS = 5 * 0.5 / math.sqrt(DRAWS)

SCHOOLS = ([28, 8, -3, 7, -1, 1, 18, 12], [15, 10, 16, 11, 9, 11, 10, 18])


def drawn(k: int, tau: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True effects, estimates and uneven standard errors."""
    rng = np.random.default_rng(seed)
    errors = np.exp(rng.normal(0.0, 0.5, k))
    true = rng.normal(1.0, tau, k) if tau else np.ones(k)
    return true, true + errors * rng.normal(size=k), errors


def posterior_by_draws(y: np.ndarray, s: np.ndarray, seed: int) -> np.ndarray:
    """True effects drawn from the posterior on a plain grid of tau, flat prior."""
    rng = np.random.default_rng(seed)
    tau = np.linspace(1e-4, 60 * s.max(), 60_000)
    precision = 1.0 / (s[:, None] ** 2 + tau**2)
    total = precision.sum(axis=0)
    mean = (precision * y[:, None]).sum(axis=0) / total
    log_weight = 0.5 * (
        np.log(precision).sum(axis=0)
        - np.log(total)
        - (precision * (y[:, None] - mean) ** 2).sum(axis=0)
    )
    weight = np.exp(log_weight - log_weight.max())
    node = rng.choice(tau.size, DRAWS, p=weight / weight.sum())
    centre = mean[node] + rng.normal(size=DRAWS) / np.sqrt(total[node])
    own = tau[node] ** 2 / (tau[node] ** 2 + s[:, None] ** 2)
    spread = np.sqrt(own) * s[:, None]
    return own * y[:, None] + (1 - own) * centre + spread * rng.normal(size=(y.size, DRAWS))


def test_the_posterior_is_that_of_draws() -> None:
    y, s = (np.array(values, dtype=float) for values in SCHOOLS)
    draws = posterior_by_draws(y, s, seed=1)
    pooled = pool_effects(y, s, alpha=0.05)
    # Five standard errors of a mean, and of a 2.5 % quantile, of draws with a spread of about 9.
    assert pooled.shrunken == pytest.approx(draws.mean(axis=1), abs=0.1)
    assert pooled.shrunken_low == pytest.approx(np.quantile(draws, 0.025, axis=1), abs=0.35)
    assert pooled.shrunken_high == pytest.approx(np.quantile(draws, 0.975, axis=1), abs=0.35)
    best = np.bincount(draws.argmax(axis=0), minlength=8) / DRAWS
    # Tau is brought down to 24 groups for this number.
    assert pooled.probability_best == pytest.approx(best, abs=2 * FIVE_ERRORS)


def test_eight_schools_as_published() -> None:
    """Quantiles of the effects from 200 draws, in the table of section 5.5 of the book."""
    pooled = pool_effects(*SCHOOLS, alpha=0.05, names=list("ABCDEFGH"))
    # 200 draws leave about 2 points of error in a 2.5 % quantile.
    published = {"A": (-2, 31), "C": (-11, 19), "E": (-9, 18), "G": (-1, 26)}
    for name, (low, high) in published.items():
        at = pooled.names.index(name)
        assert pooled.shrunken_low[at] == pytest.approx(low, abs=2)
        assert pooled.shrunken_high[at] == pytest.approx(high, abs=2)
    assert pooled.q == pytest.approx(4.7, abs=0.05)


@pytest.mark.parametrize(("k", "tau", "seed"), [(5, 2.0, 8), (12, 1.0, 2), (30, 3.0, 3)])
def test_mean_and_tau_are_those_of_statsmodels(k: int, tau: float, seed: int) -> None:
    meta = pytest.importorskip("statsmodels.stats.meta_analysis")
    _, y, s = drawn(k, tau, seed)
    theirs = meta.combine_effects(
        y, s**2, method_re="iterated", use_t=True, atol=1e-12, maxiter=500
    )
    ours = pool_effects(y, s, alpha=0.05)
    assert ours.tau**2 == pytest.approx(theirs.tau2, rel=ROOT)
    assert ours.mean == pytest.approx(theirs.mean_effect_re, rel=ROOT)
    assert ours.q == pytest.approx(theirs.q, rel=ROUNDING)
    assert ours.i_squared == pytest.approx(theirs.i2, rel=ROUNDING)
    half = (ours.mean_high - ours.mean_low) / 2
    low, high = theirs.conf_int(alpha=0.05, use_t=True)[3]  # Hartung-Knapp
    assert half == pytest.approx((high - low) / 2, rel=ROOT)


def test_without_differences_the_mean_is_that_of_one_effect() -> None:
    meta = pytest.importorskip("statsmodels.stats.meta_analysis")
    y, s = np.array([1.0, 1.1, 0.9, 1.05]), np.array([0.5, 0.8, 0.6, 1.0])
    pooled = pool_effects(y, s, alpha=0.05)
    theirs = meta.combine_effects(y, s**2)
    assert (pooled.tau, pooled.i_squared) == (0.0, 0.0)
    assert pooled.mean == pytest.approx(theirs.mean_effect_fe, rel=ROUNDING)
    # The factor of Hartung and Knapp would make it narrower than one effect; it stays 1.
    low, high = theirs.conf_int(alpha=0.05, use_t=True)[0]
    assert pooled.mean_high - pooled.mean_low == pytest.approx(high - low, rel=ROUNDING)


def test_paule_mandel_by_hand() -> None:
    # Two effects with equal errors: the sample variance less the squared error.
    y, s = np.array([2.0, 6.0]), np.array([1.0, 1.0])
    assert paule_mandel(y, s) == pytest.approx(y.var(ddof=1) - 1.0, rel=ROUNDING)
    assert paule_mandel(np.array([1.0, 1.5]), s) == 0.0


def test_two_effects_follow_the_stated_prior() -> None:
    y, s = np.array([0.0, 3.0]), np.array([1.0, 2.0])
    typical = 1 / math.sqrt(np.mean(s**-2))
    tau = (np.arange(400_000) + 0.5) / 400_000
    tau = typical * tau / (1 - tau)  # equal prior weight in every cell
    precision = 1.0 / (s[:, None] ** 2 + tau**2)
    total = precision.sum(axis=0)
    mean = (precision * y[:, None]).sum(axis=0) / total
    weight = np.sqrt(precision.prod(axis=0) / total)
    weight *= np.exp(-0.5 * (precision * (y[:, None] - mean) ** 2).sum(axis=0))
    weight /= weight.sum()
    own = tau**2 / (tau**2 + s[:, None] ** 2)
    expected = (own * y[:, None] + (1 - own) * mean) @ weight
    pooled = pool_effects(y, s, alpha=0.05)
    assert pooled.shrunken == pytest.approx(expected, rel=QUADRATURE)
    assert "s / (s + tau)^2" in pooled.method


def test_two_effects_alike_are_equally_probable() -> None:
    pooled = pool_effects([1.0, 1.0], [0.5, 0.5], alpha=0.05)
    assert pooled.probability_best == pytest.approx((0.5, 0.5), abs=ROOT)
    assert not pooled.is_best_certain


def test_shrinking_pulls_to_the_mean_and_keeps_the_order_of_equal_errors() -> None:
    pooled = pool_effects([5.0, 1.0, -2.0, 0.5], [1.0] * 4, alpha=0.05)
    assert list(np.argsort(pooled.shrunken)) == list(np.argsort(pooled.estimates))
    for raw, shrunken in zip(pooled.estimates, pooled.shrunken, strict=True):
        assert abs(shrunken - pooled.mean) < abs(raw - pooled.mean)
    assert sum(pooled.probability_best) == pytest.approx(1.0, abs=ROUNDING)


def test_large_differences_are_hardly_shrunk_and_the_best_is_named() -> None:
    pooled = pool_effects([0.0, 100.0, 300.0], [1.0] * 3, alpha=0.05, names=["a", "b", "c"])
    assert pooled.shrunken == pytest.approx(pooled.estimates, abs=0.1)
    assert pooled.best == "c"
    assert pooled.is_best_certain
    assert pooled.sentence().endswith("The best is c (probability 100 %).")


def test_an_uncertain_order_is_said() -> None:
    sentence = pool_effects([1.0, 1.1, 0.9], [1.0] * 3, alpha=0.05).sentence()
    assert "The data do not show that they differ" in sentence
    assert "The order is not certain" in sentence


def test_effects_that_are_not_known_keep_their_place() -> None:
    whole = pool_effects([1.0, 2.0, 4.0], [1.0, 0.5, 1.0], alpha=0.05)
    pooled = pool_effects(
        [1.0, math.nan, 2.0, 4.0, 3.0], [1.0, 1.0, 0.5, 1.0, 0.0], alpha=0.05, names=list("abcde")
    )
    assert pooled.n_effects == 3
    assert [pooled.shrunken[i] for i in (0, 2, 3)] == list(whole.shrunken)
    for numbers in (pooled.shrunken, pooled.weights, pooled.holm, pooled.probability_best):
        assert math.isnan(numbers[1])
        assert math.isnan(numbers[4])
    assert pooled.reasons[1] == "there is no estimate"
    assert pooled.reasons[4] == "there is no standard error above 0"
    assert pooled.sentence().endswith("Effects that could not be used: 2.")
    assert pooled.to_frame()["name"].tolist() == list("abcde")


def test_one_effect_stays_as_it_is() -> None:
    pooled = pool_effects([2.0], [1.0], alpha=0.05)
    assert pooled.shrunken == (2.0,)
    assert pooled.shrunken_high[0] == pytest.approx(2 + 1.959964, abs=ROOT)
    assert math.isnan(pooled.tau)
    assert math.isnan(pooled.prediction_low)
    assert "one effect only" in pooled.reason
    assert "cannot be compared" in pooled.sentence()
    assert not pooled.is_best_certain


def test_no_effect_at_all() -> None:
    pooled = pool_effects([], [], alpha=0.05)
    assert pooled.sentence().startswith("Cannot conclude, because no effect has both")
    assert pooled.to_frame().empty
    assert pooled.best == ""


def test_the_unit_does_not_matter() -> None:
    _, y, s = drawn(100, 1.0, 4)
    small, large = (pool_effects(factor * y, factor * s, alpha=0.05) for factor in (1e-6, 1e6))
    assert np.array(large.shrunken) / 1e12 == pytest.approx(np.array(small.shrunken), rel=ROOT)
    assert large.probability_best == pytest.approx(small.probability_best, abs=ROOT)


def test_a_prediction_of_what_will_be_measured_is_wider() -> None:
    true, measured = (
        pool_effects(*SCHOOLS, alpha=0.05, next_standard_error=error) for error in (0.0, 10.0)
    )
    assert measured.prediction_low < true.prediction_low
    assert measured.prediction_high > true.prediction_high


def test_given_p_values_are_adjusted_instead() -> None:
    pooled = pool_effects([1.0, 2.0], [1.0, 1.0], alpha=0.05, p_values=[0.01, 0.04])
    assert pooled.holm == pytest.approx((0.02, 0.04))
    assert pooled.p_values == (0.01, 0.04)


def test_shares_are_written_as_percentages() -> None:
    sentence = pool_effects([0.1, 0.2], [0.01, 0.01], alpha=0.05, scale="share").sentence()
    assert "on average +20 %" in sentence or "on average +15 %" in sentence


@pytest.mark.parametrize(
    ("estimates", "errors", "options", "message"),
    [
        ([1.0], [1.0, 2.0], {}, "1 estimates but 2 standard errors"),
        ([1.0], [-1.0], {}, "a standard error is negative"),
        ([1.0, 2.0], [1.0, 1.0], {"names": ["a"]}, "2 estimates but 1 names"),
        ([1.0, 2.0], [1.0, 1.0], {"names": ["a", "a"]}, "a name is given twice"),
        ([1.0], [1.0], {"p_values": [0.1, 0.2]}, "1 estimates but 2 p-values"),
        ([1.0], [1.0], {"next_standard_error": -1.0}, "next_standard_error is -1.0"),
    ],
)
def test_impossible_requests(
    estimates: list[float], errors: list[float], options: dict[str, object], message: str
) -> None:
    with pytest.raises(DesignError, match=message):
        pool_effects(estimates, errors, alpha=0.05, **options)  # type: ignore[arg-type]


def test_alpha_must_be_a_share() -> None:
    with pytest.raises(DesignError, match="alpha is 5"):
        pool_effects([1.0], [1.0], alpha=5)


@pytest.mark.slow
@pytest.mark.parametrize(("k", "tau"), [(5, 0.0), (5, 1.0), (24, 0.5), (24, 2.0)])
def test_intervals_cover(k: int, tau: float) -> None:
    runs, covered, ahead, certain_and_wrong = 150, 0.0, 0, 0
    rng = np.random.default_rng(k)
    for seed in range(runs):
        true, y, s = drawn(k, tau, 1_000 * k + seed)
        pooled = pool_effects(y, s, alpha=0.05)
        low, high = np.array(pooled.shrunken_low), np.array(pooled.shrunken_high)
        covered += float(np.mean((low <= true) & (true <= high))) / runs
        following = rng.normal(1.0, tau) if tau else 1.0
        ahead += pooled.prediction_low <= following <= pooled.prediction_high
        certain_and_wrong += pooled.is_best_certain and pooled.best != str(true.argmax() + 1)
    # Three Monte Carlo errors below 95 % for 150 runs.
    assert covered >= 0.95 - 0.053
    assert ahead / runs >= 0.95 - 0.053
    if tau:
        assert certain_and_wrong / runs <= 0.05
