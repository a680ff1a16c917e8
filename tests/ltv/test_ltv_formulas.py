"""Closed forms: against integrals of their definitions, simulation, identities and corners."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special

from crm_lab.ltv import (
    BGNBDParameters,
    GammaGammaParameters,
    expected_purchases,
    expected_purchases_of_new_customer,
    expected_spend,
    probability_alive,
    probability_of_purchase,
    probability_of_purchase_count,
)
from crm_lab.ltv.formulas import (
    purchase_log_likelihood,
    simulate_purchases,
    simulate_spend,
    spend_log_likelihood,
)

PAPER = BGNBDParameters(r=0.243, alpha=4.414, a=0.793, b=2.426)
NOTE = GammaGammaParameters(p=6.25, q=3.74, gamma=15.44)

# scipy's quad is asked for 1e-11; the closed form loses digits only where t is a sliver of T.
INTEGRAL = 2e-6
DRAWS = 200_000
# Means of 200,000 draws: five standard errors.
STANDARD_ERRORS = 5

HISTORIES = [(0, 0.0, 10.0), (0, 0.0, 10_000.0), (3, 5.0, 5.0), (50, 49.0, 50.0), (0, 0.0, 0.0)]
LONG = (300, 900.0, 1_000.0)


def by_integral(p: BGNBDParameters, t: float, x: int, t_x: float, age: float) -> float:
    """E[(1 - exp(-rate dropout t)) / dropout] over the posterior, the rate integrated by hand."""
    scaled, shape, b = t / (p.alpha + age), p.r + x, p.b + x

    def each(y: float) -> float:
        log_p = -np.logaddexp(0, -y)
        density = p.a * log_p - b * np.logaddexp(0, y) - special.betaln(p.a, b)
        return float(-np.expm1(-shape * np.log1p(np.exp(log_p) * scaled)) * np.exp(density - log_p))

    centre = math.log(p.a / b)
    left, right = min(60 / p.a, 600.0), 60 / b
    edges = [centre + step for step in (-30 - left, -30, -5, -1, 0, 1, 5, 30, 30 + right)]
    total = sum(
        integrate.quad(each, low, high, epsabs=0, epsrel=1e-11, limit=400)[0]
        for low, high in pairwise(edges)
    )
    return total * float(probability_alive(p, x, t_x, age))


@pytest.mark.parametrize("a", [0.2, 0.793, 0.9995, 1.0, 1.0005, 1.002, 2.0, 40.0])
@pytest.mark.parametrize("b", [0.5, 2.426, 300.0])
def test_expected_purchases_against_an_integral(a: float, b: float) -> None:
    p = BGNBDParameters(r=0.243, alpha=4.414, a=a, b=b)
    for x, t_x, age in [*HISTORIES, LONG]:
        for t in (1.0, 39.0, 3_000.0):
            ours = float(expected_purchases(p, t, x, t_x, age))
            assert ours == pytest.approx(by_integral(p, t, x, t_x, age), rel=INTEGRAL)


@pytest.mark.parametrize("a", [0.4, 0.9])
def test_new_customer_through_the_pole_a_plus_b_is_one(a: float) -> None:
    steps = [-1e-2, -1.1e-3, -1e-6, 0.0, 1e-6, 1.1e-3, 1e-2]
    curve = [
        float(
            expected_purchases_of_new_customer(
                BGNBDParameters(r=0.5, alpha=5, a=a, b=1 - a + step), 20
            )
        )
        for step in steps
    ]
    assert np.isfinite(curve).all()
    assert np.all(np.diff(curve) > 0)
    at_pole = BGNBDParameters(r=0.5, alpha=5, a=a, b=1 - a)
    assert curve[3] == pytest.approx(by_integral(at_pole, 20, 0, 0, 0), rel=INTEGRAL)


def test_large_counts_and_long_times_stay_finite() -> None:
    x = np.array([132, 133, 1_000, 5_000])
    answer = expected_purchases(PAPER, 10, x, 200.0 * 50, 200.0 * 50)
    assert np.isfinite(answer).all()
    assert np.all(np.diff(answer) > 0)
    assert np.isfinite(purchase_log_likelihood(PAPER, x, 1e4, 1e4))


def test_near_collapse_everybody_goes_on_at_the_posterior_rate() -> None:
    p = BGNBDParameters(r=0.5, alpha=30, a=1e-6, b=900)
    x = np.array([0, 3, 80])
    expected = (p.r + x) * 50 / (p.alpha + 300)
    t_x = 250 * (x > 0)
    ours = expected_purchases(p, 50, x, t_x, 300) / probability_alive(p, x, t_x, 300)
    # The drop-out left is a/(a+b), one in 9e8.
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


@given(
    r=st.floats(0.02, 5),
    alpha=st.floats(0.1, 300),
    a=st.floats(0.02, 20),
    b=st.floats(0.05, 200),
    x=st.integers(0, 200),
    age=st.floats(0, 1_000),
    share=st.floats(0, 1),
    t=st.floats(0, 1_000),
)
def test_bounds_hold_everywhere(
    r: float, alpha: float, a: float, b: float, x: int, age: float, share: float, t: float
) -> None:
    p = BGNBDParameters(r=r, alpha=alpha, a=a, b=b)
    t_x = age * share if x else 0.0
    alive = float(probability_alive(p, x, t_x, age))
    purchases = float(expected_purchases(p, t, x, t_x, age))
    some = float(probability_of_purchase(p, t, x, t_x, age))
    without_dropout = (r + x) * t / (alpha + age)
    assert 0 <= some <= alive <= 1
    assert -1e-9 <= purchases <= alive * without_dropout * (1 + 1e-6) + 1e-9
    assert some <= purchases * (1 + 1e-6) + 1e-9


def test_alive_for_certain_before_the_first_repeat_and_nothing_in_no_time() -> None:
    assert np.all(probability_alive(PAPER, 0, 0, [0, 10, 1_000]) == 1)
    assert np.all(expected_purchases(PAPER, 0, [0, 2, 9], [0, 5, 30], 38) == 0)
    assert float(expected_purchases_of_new_customer(PAPER, 0)) == 0
    assert float(probability_of_purchase(PAPER, 0, 2, 5, 30)) == 0


def test_time_unit_does_not_matter() -> None:
    days = BGNBDParameters(r=0.243, alpha=4.414 * 7, a=0.793, b=2.426)
    np.testing.assert_allclose(
        expected_purchases(PAPER, 39, [0, 2, 26], [0, 30, 30.8], 38),
        expected_purchases(days, 273, [0, 2, 26], np.array([0, 30, 30.8]) * 7, 38 * 7),
        rtol=1e-12,
    )


def test_purchase_counts_sum_to_one_and_to_the_expectation() -> None:
    n = np.arange(0, 2_000)
    probabilities = probability_of_purchase_count(PAPER, 39, n)
    assert probabilities.sum() == pytest.approx(1, abs=1e-9)
    mean = float(expected_purchases_of_new_customer(PAPER, 39))
    assert probabilities @ n == pytest.approx(mean, rel=1e-6)
    some = float(probability_of_purchase(PAPER, 39, 0, 0, 0))
    assert 1 - probabilities[0] == pytest.approx(some, rel=1e-9)


@pytest.mark.parametrize(("x", "t_x", "age"), [(0, 0.0, 20.0), (2, 15.0, 30.0), (12, 29.0, 30.0)])
def test_draws_have_the_expected_mean(x: int, t_x: float, age: float) -> None:
    each = np.full(DRAWS, x)
    drawn = simulate_purchases(PAPER, 39, each, t_x, age, rng=np.random.default_rng(5))
    error = STANDARD_ERRORS * drawn.std() / math.sqrt(DRAWS)
    assert drawn.mean() == pytest.approx(
        float(expected_purchases(PAPER, 39, x, t_x, age)), abs=error
    )
    some = float(probability_of_purchase(PAPER, 39, x, t_x, age))
    assert (drawn > 0).mean() == pytest.approx(some, abs=STANDARD_ERRORS * 0.5 / math.sqrt(DRAWS))


def test_history_from_the_definition_agrees_with_bayes() -> None:
    """New customers drawn by the definition, conditioned on what they did by T."""
    rng = np.random.default_rng(11)
    n, age, horizon = 400_000, 10.0, 20.0
    rate = rng.gamma(1.2, size=n) / 6.0
    dropout = rng.beta(1.5, 3.0, size=n)
    clock, count = np.zeros(n), np.zeros(n, dtype=int)
    last, later = np.zeros(n), np.zeros(n, dtype=int)
    alive = np.ones(n, dtype=bool)
    dead_by_age = np.zeros(n, dtype=bool)
    while alive.any():
        clock += rng.exponential(size=n) / rate
        alive &= clock <= age + horizon
        early = alive & (clock <= age)
        count += early
        last[early] = clock[early]
        later += alive & ~early
        leaves = alive & (rng.random(n) < dropout)
        dead_by_age |= leaves & early
        alive &= ~leaves
    p = BGNBDParameters(r=1.2, alpha=6.0, a=1.5, b=3.0)
    for x in (0, 1, 3):
        chosen = count == x
        mean = later[chosen].mean()
        error = STANDARD_ERRORS * later[chosen].std() / math.sqrt(chosen.sum())
        ours = expected_purchases(p, horizon, count[chosen], last[chosen], age)
        assert ours.mean() == pytest.approx(mean, abs=error)
        living = 1 - dead_by_age[chosen].mean()
        error = STANDARD_ERRORS * 0.5 / math.sqrt(chosen.sum())
        assert probability_alive(p, count[chosen], last[chosen], age).mean() == pytest.approx(
            living, abs=error
        )


def test_likelihood_is_a_density() -> None:
    """P(x = 0) plus, for x = 1, the integral over t_x gives the probabilities of the counts."""
    age = 12.0
    none = math.exp(purchase_log_likelihood(PAPER, 0, 0, age))
    one = integrate.quad(
        lambda t_x: math.exp(purchase_log_likelihood(PAPER, 1, t_x, age)), 0, age, epsrel=1e-10
    )[0]
    counts = probability_of_purchase_count(PAPER, age, [0, 1])
    np.testing.assert_allclose([none, one], counts, rtol=1e-8)


def test_spend_likelihood_is_a_density_and_its_posterior_mean_is_ours() -> None:
    mass = integrate.quad(
        lambda m: math.exp(spend_log_likelihood(NOTE, 3, m)), 0, np.inf, epsrel=1e-10
    )[0]
    assert mass == pytest.approx(1, rel=1e-7)
    drawn = simulate_spend(
        NOTE, np.full(DRAWS, 1), np.full(DRAWS, 3), 30.0, rng=np.random.default_rng(3)
    )
    error = STANDARD_ERRORS * drawn.std() / math.sqrt(DRAWS)
    assert drawn.mean() == pytest.approx(float(expected_spend(NOTE, 3, 30.0)), abs=error)


def test_spend_lies_between_own_mean_and_population() -> None:
    population = NOTE.p * NOTE.gamma / (NOTE.q - 1)
    assert float(expected_spend(NOTE, 0, np.nan)) == pytest.approx(population)
    assert population < float(expected_spend(NOTE, 2, 80)) < 80
    assert float(expected_spend(NOTE, 1e6, 80)) == pytest.approx(80, rel=1e-4)


def test_no_mean_spend_is_nan_and_not_negative() -> None:
    heavy = GammaGammaParameters(p=2, q=0.9, gamma=10)
    assert np.isnan(expected_spend(heavy, [0, 3], [0, 20])).all()
