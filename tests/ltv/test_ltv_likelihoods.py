"""Likelihoods that are maximised: derivatives, plain sums, weights, units, limits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from crm_lab.ltv.bg_bb import BGBBLikelihood
from crm_lab.ltv.bg_nbd_likelihood import BGNBDLikelihood
from crm_lab.ltv.estimation import (
    NBDLikelihood,
    likelihood_of,
    maximise_purchases,
    maximise_spend,
)
from crm_lab.ltv.fitting import Likelihood, eigen, inverse_information, maximise, newton
from crm_lab.ltv.formulas import purchase_log_likelihood, spend_log_likelihood
from crm_lab.ltv.gamma_gamma import GammaGammaLikelihood
from crm_lab.ltv.parameters import (
    PARAMETERS_OF,
    FloatArray,
    GammaGammaParameters,
    PurchaseModel,
    as_vector,
    from_vector,
)
from crm_lab.ltv.tuples import DistinctHistories, count_histories

MODELS: tuple[PurchaseModel, ...] = ("bg_nbd", "mbg_nbd", "pareto_nbd", "bg_bb")

# Central differences with a step of 1e-5 in logs: 1e-10 of curvature and 1e-11 of rounding,
# measured against the largest entry.
DIFFERENCES = 1e-6
# Sums of the same numbers in another order.
ROUNDING = 1e-10

POINTS = {
    "bg_nbd": ([0.25, 40.0, 0.8, 2.4], [5.0, 1.0, 3.0, 0.2], [1e5, 1e7, 1e-4, 3.0]),
    "mbg_nbd": ([0.25, 40.0, 0.8, 2.4], [5.0, 1.0, 3.0, 0.2], [1e5, 1e7, 1e-4, 3.0]),
    "pareto_nbd": ([0.55, 70.0, 0.6, 80.0], [5.0, 1.0, 3.0, 0.2], [1e3, 1e5, 1e-2, 3e3]),
    "bg_bb": ([1.2, 0.75, 0.66, 2.8], [0.2, 5.0, 1.0, 30.0], [30.0, 3.0, 1e-2, 9.0]),
}


def base(model: PurchaseModel = "bg_nbd", *, customers: int = 400) -> DistinctHistories:
    """Histories with every kind of customer: none, few and many repeats, seen short and long."""
    rng = np.random.default_rng(12)
    if model == "bg_bb":
        n = rng.integers(1, 9, customers).astype(float)
        last = np.floor(rng.random(customers) * (n + 1))
        x = np.where(last > 0, 1 + np.floor(rng.random(customers) * last), 0.0)
        return count_histories(x, last, n)
    age = rng.integers(1, 700, customers).astype(float)
    last = np.ceil(age * rng.random(customers)) * (rng.random(customers) < 0.6)
    x = np.where(last > 0, np.ceil(last * rng.random(customers) ** 4), 0.0)
    return count_histories(x, last, age)


@pytest.mark.parametrize("model", MODELS)
def test_gradient_and_hessian_against_differences(model: PurchaseModel) -> None:
    likelihood = likelihood_of(model, base(model))
    for point in POINTS[model]:
        check_derivatives(likelihood, np.log(point))


def test_derivatives_of_spend_and_of_the_plain_nbd() -> None:
    rng = np.random.default_rng(1)
    x, mean = rng.integers(1, 20, 200).astype(float), rng.gamma(5, 7, 200)
    spend = GammaGammaLikelihood(x, mean, rng.integers(1, 4, 200).astype(float))
    for point in ([6.25, 3.74, 15.44], [0.1, 50.0, 1500.0], [50.0, 1.1, 0.1]):
        check_derivatives(spend, np.log(point))
    check_derivatives(NBDLikelihood(base()), np.log([0.4, 33.0]))


def check_derivatives(likelihood: Likelihood, at: FloatArray, step: float = 1e-5) -> None:
    value, gradient, hessian = likelihood.curvature(at)
    again, slope = likelihood.value(at)
    assert again == pytest.approx(value, rel=ROUNDING)
    np.testing.assert_allclose(slope, gradient, rtol=0, atol=ROUNDING * np.abs(gradient).max())
    numeric_gradient, numeric_hessian = np.empty_like(gradient), np.empty_like(hessian)
    for place in range(len(at)):
        aside = np.zeros_like(at)
        aside[place] = step
        (up, up_slope), (down, down_slope) = (
            likelihood.value(at + aside),
            likelihood.value(at - aside),
        )
        numeric_gradient[place] = (up - down) / (2 * step)
        numeric_hessian[place] = (up_slope - down_slope) / (2 * step)
    scale = max(np.abs(gradient).max(), abs(value) * 1e-4)
    np.testing.assert_allclose(numeric_gradient, gradient, rtol=0, atol=DIFFERENCES * scale)
    scale = max(np.abs(hessian).max(), abs(value) * 1e-4)
    np.testing.assert_allclose(numeric_hessian, hessian, rtol=0, atol=DIFFERENCES * scale)


@pytest.mark.parametrize("model", MODELS)
def test_fast_value_is_the_sum_of_the_plain_formula(model: PurchaseModel) -> None:
    tuples = base(model)
    likelihood = likelihood_of(model, tuples)
    for point in POINTS[model][:2]:
        plain = purchase_log_likelihood(
            from_vector(PARAMETERS_OF[model], point),
            tuples.frequency,
            tuples.recency,
            tuples.age,
            customers=tuples.customers,
        )
        assert likelihood.value(np.log(point))[0] == pytest.approx(plain, rel=ROUNDING)


def test_fast_spend_value_is_the_sum_of_the_plain_formula() -> None:
    rng = np.random.default_rng(1)
    x, mean = rng.integers(1, 20, 200).astype(float), rng.gamma(5, 7, 200)
    for point in ([6.25, 3.74, 15.44], [0.1, 50.0, 1500.0]):
        plain = spend_log_likelihood(from_vector(GammaGammaParameters, point), x, mean)
        fast = GammaGammaLikelihood(x, mean, np.ones(200)).value(np.log(point))[0]
        assert fast == pytest.approx(plain, rel=ROUNDING)


@pytest.mark.parametrize("model", MODELS)
def test_weighted_equals_exploded(model: PurchaseModel) -> None:
    weighted = base(model, customers=900)
    each = np.repeat(np.arange(len(weighted)), weighted.customers.astype(int))
    exploded = DistinctHistories(
        frequency=weighted.frequency[each],
        recency=weighted.recency[each],
        age=weighted.age[each],
        customers=np.ones(len(each)),
        position=np.empty(0, dtype=np.intp),
    )
    assert len(exploded) > len(weighted)
    at = np.log(POINTS[model][0])
    one = likelihood_of(model, weighted).curvature(at)
    other = likelihood_of(model, exploded).curvature(at)
    for found, expected in zip(one, other, strict=True):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING * scale)


@pytest.mark.parametrize("model", ["bg_nbd", "mbg_nbd", "pareto_nbd"])
def test_unit_of_time_scales_rates_and_nothing_else(
    model: PurchaseModel, shop: Callable[..., tuple[FloatArray, FloatArray, FloatArray]]
) -> None:
    x, last, age = shop(4_000, rng=np.random.default_rng(2))
    days = maximise_purchases(count_histories(x, last, age), model=model)
    weeks = maximise_purchases(count_histories(x, last / 7, age / 7, unit_days=7), model=model)
    in_time = [1, 7, 1, 7] if model == "pareto_nbd" else [1, 7, 1, 1]
    np.testing.assert_allclose(days.estimates, weeks.estimates * in_time, rtol=1e-5)
    np.testing.assert_allclose(days.log_covariance, weeks.log_covariance, rtol=1e-4)
    # Each purchase carries a density per unit of time.
    expected = weeks.log_likelihood - x.sum() * np.log(7)
    assert days.log_likelihood == pytest.approx(expected, rel=ROUNDING)


def test_currency_scales_gamma_and_nothing_else() -> None:
    rng = np.random.default_rng(9)
    x = rng.geometric(0.3, 3_000).astype(float)
    mean = rng.gamma(6.25 * x) / (rng.gamma(3.74, size=3_000) / 15.44) / x
    euros, cents = (maximise_spend(x, mean * unit, np.ones(3_000)) for unit in (1, 100))
    np.testing.assert_allclose(cents.estimates, euros.estimates * [1, 1, 100], rtol=1e-6)
    np.testing.assert_allclose(cents.log_covariance, euros.log_covariance, rtol=1e-5)


@pytest.mark.parametrize("model", ["bg_nbd", "mbg_nbd", "pareto_nbd"])
def test_without_dropout_the_plain_nbd_is_left(model: PurchaseModel) -> None:
    tuples = base()
    few = count_histories(
        np.minimum(tuples.frequency, 3), tuples.recency, tuples.age, customers=tuples.customers
    )
    plain = NBDLikelihood(few).value(np.log([0.4, 33.0]))[0]
    # The odds of having left are the third parameter times at most 700^3.4.
    limit = likelihood_of(model, few).value(np.log([0.4, 33.0, 1e-17, 5.0]))[0]
    assert limit == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_optimum_is_one_and_no_start_moves_it(
    model: PurchaseModel, shop: Callable[..., tuple[FloatArray, FloatArray, FloatArray]]
) -> None:
    if model == "bg_bb":
        tuples = opportunity_base()
    else:
        tuples = count_histories(*shop(3_000, rng=np.random.default_rng(5)))
    found = maximise_purchases(tuples, model=model)
    assert found.converged
    likelihood = likelihood_of(model, tuples)
    _, gradient, hessian = likelihood.curvature(found.logs)
    errors = np.sqrt(np.diag(found.log_covariance))
    assert np.abs(gradient * errors).max() < 1e-3
    assert np.linalg.eigvalsh(hessian).max() < 0
    np.testing.assert_allclose(found.log_covariance, np.linalg.inv(-hessian), rtol=1e-6)
    aside = from_vector(PARAMETERS_OF[model], found.estimates * [1.5, 0.6, 1.4, 0.7])
    warm = maximise_purchases(tuples, model=model, start=aside)
    assert np.abs((warm.logs - found.logs) / errors).max() < 1e-3
    assert warm.log_likelihood == pytest.approx(found.log_likelihood, abs=1e-6)


def opportunity_base() -> DistinctHistories:
    rng = np.random.default_rng(7)
    size = 3_000
    buys, leaves = rng.beta(1.2, 0.75, size), rng.beta(0.66, 2.8, size)
    alive = np.ones(size, dtype=bool)
    x, last = np.zeros(size), np.zeros(size)
    for opportunity in range(1, 7):
        alive &= rng.random(size) >= leaves
        bought = alive & (rng.random(size) < buys)
        x += bought
        last[bought] = opportunity
    return count_histories(x, last, np.full(size, 6.0))


def test_a_pilot_gives_the_same_optimum(
    shop: Callable[..., tuple[FloatArray, FloatArray, FloatArray]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tuples = count_histories(*shop(4_000, rng=np.random.default_rng(6)))
    whole = maximise(BGNBDLikelihood(tuples))
    monkeypatch.setattr("crm_lab.ltv.bg_nbd_likelihood.PILOT", 300)
    assert BGNBDLikelihood(tuples).pilot() is not None
    piloted = maximise(BGNBDLikelihood(tuples))
    np.testing.assert_allclose(piloted.logs, whole.logs, atol=1e-5)
    assert piloted.evaluations < whole.evaluations


def test_lengths_beyond_one_block_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    tuples = base(customers=2_000)
    at = np.log(POINTS["bg_nbd"][0])
    whole = [BGNBDLikelihood(tuples, leaves_at_once=first).curvature(at) for first in (0, 1)]
    monkeypatch.setattr("crm_lab.ltv.bg_nbd_likelihood.BLOCK", 37)
    parts = [BGNBDLikelihood(tuples, leaves_at_once=first).curvature(at) for first in (0, 1)]
    for one, other in zip(whole, parts, strict=True):
        for found, expected in zip(one, other, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_eigenvalues_against_numpy() -> None:
    rng = np.random.default_rng(3)
    for size in (1, 2, 4, 10):
        matrix = rng.normal(size=(size, size))
        matrix = matrix + matrix.T
        values, vectors = eigen(matrix)
        np.testing.assert_allclose(np.sort(values), np.linalg.eigvalsh(matrix), atol=1e-12)
        np.testing.assert_allclose((vectors * values) @ vectors.T, matrix, atol=1e-12)


def test_a_flat_or_rising_surface_has_no_covariance() -> None:
    assert np.isnan(inverse_information(np.diag([-1.0, 0.0]))).all()
    assert np.isnan(inverse_information(np.diag([-1.0, 2.0]))).all()
    assert np.isnan(inverse_information(np.array([[-1.0, 1.0], [1.0, -1.0]]))).all()
    assert np.isnan(inverse_information(np.array([[np.nan]]))).all()
    np.testing.assert_allclose(inverse_information(np.diag([-4.0, -1e-9])), np.diag([0.25, 1e9]))


def test_newton_stops_at_nonsense_instead_of_raising() -> None:
    class Broken(BGBBLikelihood):
        def curvature(self, logs: FloatArray) -> tuple[float, FloatArray, FloatArray]:
            return np.nan, np.full(4, np.nan), np.full((4, 4), np.nan)

    found = newton(Broken(base("bg_bb")), np.zeros(4))
    assert not found.converged
    assert np.isnan(found.log_covariance).all()


def test_as_vector_and_back() -> None:
    for kind in (*PARAMETERS_OF.values(), GammaGammaParameters):
        values = np.arange(1.0, 1 + len(kind.__slots__))
        np.testing.assert_array_equal(as_vector(from_vector(kind, values)), values)
