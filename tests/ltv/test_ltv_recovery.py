"""Simulated bases with known parameters: recovery, coverage of intervals, and degenerate bases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd
import pytest

from crm_lab.ltv import (
    BGNBDParameters,
    GammaGammaParameters,
    ParetoNBDParameters,
    PurchaseHistory,
    fit_bg_nbd,
    fit_gamma_gamma,
    fit_purchases,
    history_from_summary,
)
from crm_lab.ltv.estimation import diagnose_purchases, maximise_purchases, maximise_spend
from crm_lab.ltv.formulas import FloatArray
from crm_lab.ltv.parameters import PurchaseModel, as_vector
from crm_lab.ltv.tuples import count_histories

BASES = 60
"""Simulated bases for each of three models."""

# 60 bases of four intervals of 95 %: 0.95 give or take four standard errors of 60 correlated sets.
COVERAGE = (0.89, 0.995)
# The median distance in standard errors is 0.67 where errors are right.
MEDIAN_DISTANCE = (0.45, 0.95)

Shop = Callable[..., tuple[FloatArray, FloatArray, FloatArray]]


def pareto_shop(
    customers: int, p: ParetoNBDParameters, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    age = rng.integers(50, 500, customers).astype(float)
    rate = rng.gamma(p.r, size=customers) / p.alpha
    until = rng.exponential(size=customers) / np.maximum(
        rng.gamma(p.s, size=customers) / p.beta, 1e-12
    )
    until = np.minimum(until, age)
    x = rng.poisson(rate * until).astype(float)
    # Given their number, purchases are spread evenly: the last is the largest of x uniforms.
    last = np.where(x > 0, until * rng.random(customers) ** (1 / np.maximum(x, 1)), 0.0)
    return x, last, age


def mbg_shop(
    customers: int, truth: FloatArray, shop: Shop, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """A BG/NBD shop of those whom the first purchase did not already drive away."""
    r, alpha, a, b = truth.tolist()
    dropout = rng.beta(a, b, customers)
    gone = rng.random(customers) < dropout
    # Survivors' drop-out probabilities follow the beta law with b + 1.
    x, last, age = shop(customers, rng=rng, r=r, alpha=alpha, a=a, b=b + 1)
    return np.where(gone, 0.0, x), np.where(gone, 0.0, last), age


@pytest.mark.slow
@pytest.mark.parametrize("model", ["bg_nbd", "mbg_nbd", "pareto_nbd"])
def test_recovery_and_coverage(model: PurchaseModel, shop: Shop) -> None:
    rng = np.random.default_rng(20)
    inside, distances = [], []
    for _ in range(BASES):
        truth = np.exp(rng.uniform(*np.log([[0.4, 10, 0.4, 1], [1.5, 60, 1.2, 4]])))
        size = int(rng.integers(3_000, 8_000))
        if model == "pareto_nbd":
            truth = np.exp(rng.uniform(*np.log([[0.4, 10, 0.4, 30], [1.5, 60, 1.5, 200]])))
            r, alpha, s, beta = truth.tolist()
            p = ParetoNBDParameters(r=r, alpha=alpha, s=s, beta=beta)
            columns = pareto_shop(size, p, rng)
        elif model == "mbg_nbd":
            columns = mbg_shop(size, truth, shop, rng)
        else:
            r, alpha, a, b = truth.tolist()
            columns = shop(size, rng=rng, r=r, alpha=alpha, a=a, b=b)
        tuples = count_histories(*columns)
        found = maximise_purchases(tuples, model=model)
        diagnosis = diagnose_purchases(model, found, tuples)
        if diagnosis.reason or diagnosis.warnings:
            continue
        errors = np.sqrt(np.diag(found.log_covariance))
        distance = np.abs(found.logs - np.log(truth)) / errors
        inside += (distance < 1.96).tolist()
        distances += distance.tolist()
    assert len(inside) > 4 * BASES * 0.8
    assert COVERAGE[0] < np.mean(inside) < COVERAGE[1]
    assert MEDIAN_DISTANCE[0] < np.median(distances) < MEDIAN_DISTANCE[1]


@pytest.mark.slow
def test_recovery_and_coverage_of_spend() -> None:
    rng = np.random.default_rng(21)
    inside = []
    for _ in range(BASES):
        p, q, gamma = np.exp(rng.uniform(*np.log([[2, 2.5, 5], [10, 6, 50]]))).tolist()
        x = rng.geometric(0.4, 2_000).astype(float)
        mean = rng.gamma(p * x) / (rng.gamma(q, size=2_000) / gamma) / x
        found = maximise_spend(x, mean, np.ones(2_000))
        errors = np.sqrt(np.diag(found.log_covariance))
        inside += (np.abs(found.logs - np.log([p, q, gamma])) < 1.96 * errors).tolist()
    assert COVERAGE[0] < np.mean(inside) < COVERAGE[1]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["bg_nbd", "mbg_nbd", "pareto_nbd"])
def test_degenerate_bases_never_raise(model: PurchaseModel, shop: Shop) -> None:
    """Small, short, never leaving, always leaving, alike: an answer or a reason, no exception."""
    rng = np.random.default_rng(22)
    reasons = []
    for index in range(BASES):
        kind = index % 6
        size = int(rng.integers(2, 400))
        settings = {"r": 0.6, "alpha": 20.0, "a": 0.8, "b": 2.5}
        if kind == 1:
            settings |= {"a": 1e-6, "b": 50.0}
        elif kind == 2:
            settings |= {"a": 50.0, "b": 1e-6}
        elif kind == 3:
            settings |= {"r": 500.0, "alpha": 15_000.0}
        elif kind == 4:
            settings |= {"r": 0.01}
        x, last, age = shop(size, rng=rng, days=int(rng.integers(2, 900)), **settings)
        if kind == 5:
            x, last, age = (np.full(size, value) for value in (3.0, 5.0, 10.0))
        tuples = count_histories(x, last, age)
        found = maximise_purchases(tuples, model=model)
        diagnosis = diagnose_purchases(model, found, tuples)
        assert np.isfinite(found.estimates).all()
        if not diagnosis.reason:
            assert np.isfinite(found.covariance).all()
        reasons.append(diagnosis.reason)
    assert sum(map(bool, reasons)) > BASES / 4


def base(frequency: object, recency: object, age: object, **named: object) -> PurchaseHistory:
    frame = pd.DataFrame({"frequency": frequency, "recency": recency, "age": age})
    frame["monetary_value"] = named.pop("money", np.nan)
    frame.insert(0, "customer_id", [f"c{index}" for index in range(len(frame))])
    return history_from_summary(frame, as_of=date(2026, 1, 1), unit_days=1)


@pytest.mark.parametrize("model", ["bg_nbd", "mbg_nbd", "pareto_nbd"])
@pytest.mark.parametrize(
    ("history", "reason"),
    [
        (base([0], [0.0], [10.0]), "only 1 customers"),
        (base([0] * 99, [0.0] * 99, [9.0] * 99), "only 0 customers with a repeat purchase"),
        (base([0] * 99, [0.0] * 99, [0.0] * 99), "no time to see"),
        (base([3] * 99, [5.0] * 99, [9.0] * 99), "all customers have the same history"),
    ],
)
def test_bases_without_information_have_a_reason(
    model: PurchaseModel, history: PurchaseHistory, reason: str
) -> None:
    fit = fit_purchases(history, model=model)
    assert reason in fit.reason
    assert not fit.is_trusted
    assert np.isnan(as_vector(fit.parameters)).all()
    assert np.isnan(fit.covariance).all()
    assert reason in fit.sentence()
    assert fit.data_hash == ""


def merged_by_day(columns: tuple[FloatArray, ...]) -> PurchaseHistory:
    """Whole days, at most one purchase on each."""
    x, last, age = columns
    last = np.minimum(np.ceil(last), age)
    return base(np.minimum(x, last), np.where(x > 0, last, 0.0), age)


@pytest.mark.parametrize("model", ["bg_nbd", "mbg_nbd", "pareto_nbd"])
def test_no_dropout_is_a_collapse_or_said_to_be_invisible(model: PurchaseModel) -> None:
    rng = np.random.default_rng(4)
    size, age = 3_000, 365.0
    rate = rng.gamma(2.0, size=size) / 60
    x = rng.poisson(rate * age).astype(float)
    last = np.where(x > 0, age * rng.random(size) ** (1 / np.maximum(x, 1)), 0.0)
    fit = fit_purchases(merged_by_day((x, last, np.full(size, age))), model=model)
    said = fit.reason + " ".join(fit.warnings)
    assert "collapsed" in said or "cannot be told from none" in said
    assert np.isfinite(as_vector(fit.parameters)).all()


def test_fits_of_three_models_recover_one_shop(shop: Shop) -> None:
    """Different models of the same base agree on the rate of purchases while active."""
    history = merged_by_day(shop(6_000, rng=np.random.default_rng(8), r=1.2, alpha=60.0))
    fits = [fit_purchases(history, model=m) for m in ("bg_nbd", "mbg_nbd", "pareto_nbd")]
    assert all(fit.is_trusted for fit in fits)
    assert fits[0].log_likelihood == max(fit.log_likelihood for fit in fits)
    truth = np.log([1.2, 60.0, 0.8, 2.5])
    errors = np.sqrt(np.diag(fits[0].log_covariance))
    # Merging orders of a day moves the parameters a little beside their standard errors.
    assert (np.abs(np.log(as_vector(fits[0].parameters)) - truth) < 3.5 * errors + 0.05).all()


def test_spend_without_a_mean_is_refused() -> None:
    rng = np.random.default_rng(3)
    size = 2_000
    x = np.full(size, 2.0)
    mean = rng.gamma(2.0 * x) / rng.gamma(0.7, size=size) / x
    fit = fit_gamma_gamma(base(x, [9.0] * size, [9.0] * size, money=mean))
    assert "must be above 1" in fit.reason
    assert np.isnan(fit.mean_spend)
    assert isinstance(fit.parameters, GammaGammaParameters)


def test_equal_data_have_equal_fingerprints_in_any_order(cdnow_history: PurchaseHistory) -> None:
    frame = cdnow_history.customers
    shuffled = history_from_summary(frame.sample(frac=1, random_state=1), as_of=cdnow_history.as_of)
    changed = history_from_summary(
        frame.assign(age=frame["age"] + (frame.index == 5)), as_of=cdnow_history.as_of
    )
    fits = [fit_bg_nbd(history) for history in (cdnow_history, shuffled, changed)]
    assert fits[0].data_hash == fits[1].data_hash
    assert fits[0].data_hash != fits[2].data_hash
    assert fits[0].parameters == fits[1].parameters
    assert isinstance(fits[0].parameters, BGNBDParameters)
    spends = [fit_gamma_gamma(history) for history in (cdnow_history, shuffled)]
    assert spends[0].data_hash == spends[1].data_hash
