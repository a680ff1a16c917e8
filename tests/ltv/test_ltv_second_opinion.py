"""The package lifetimes as a second opinion, the other models' predictions, and scoring."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from crm_lab.errors import DesignError
from crm_lab.ltv import (
    BGBBParameters,
    BGNBDParameters,
    MBGNBDParameters,
    ParetoNBDParameters,
    PurchaseHistory,
    cross_check,
    expected_purchases,
    expected_purchases_of_new_customer,
    expected_spend,
    fit_bg_bb,
    fit_gamma_gamma,
    fit_purchases,
    probability_alive,
    probability_of_purchase,
    probability_of_purchase_count,
    score_customers,
    score_in_pieces,
)
from crm_lab.ltv.formulas import discounted_expected_purchases, simulate_purchases
from crm_lab.ltv.parameters import PurchaseModel, PurchaseParameters, as_vector

OTHERS: list[PurchaseParameters] = [
    BGNBDParameters(r=0.9, alpha=12.0, a=0.8, b=2.5),
    MBGNBDParameters(r=0.9, alpha=12.0, a=0.8, b=2.5),
    ParetoNBDParameters(r=0.9, alpha=12.0, s=0.6, beta=11.7),
    BGBBParameters(alpha=1.2, beta=0.75, gamma=0.66, delta=2.8),
]
DRAWS = 100_000
STANDARD_ERRORS = 5


@pytest.mark.parametrize("model", ["bg_nbd", "mbg_nbd", "pareto_nbd"])
def test_both_packages_reach_one_likelihood(
    model: PurchaseModel, cdnow_history: PurchaseHistory
) -> None:
    fit = fit_purchases(cdnow_history, model=model)
    check = cross_check(fit, cdnow_history)
    assert check.agrees
    assert check.difference > -1e-6
    assert "reaches the same likelihood" in check.sentence()
    assert len(check.to_frame()) == 4


def test_both_packages_agree_on_spend(cdnow_history: PurchaseHistory) -> None:
    assert cross_check(fit_gamma_gamma(cdnow_history), cdnow_history).agrees


def test_a_disagreement_is_said(cdnow_history: PurchaseHistory) -> None:
    fit = fit_purchases(cdnow_history)
    worse = replace(fit, log_likelihood=fit.log_likelihood - 0.5)
    check = cross_check(worse, cdnow_history)
    assert not check.agrees
    assert "0.5 log-likelihood units above our optimum; do not publish" in check.sentence()


def test_no_fit_no_check(cdnow_history: PurchaseHistory) -> None:
    few = replace(cdnow_history, customers=cdnow_history.customers.head(20))
    check = cross_check(fit_purchases(few), few)
    assert not check.agrees
    assert "was not cross-checked: only 20 customers" in check.sentence()
    with pytest.raises(DesignError, match="opportunities"):
        cross_check(fit_bg_bb([0, 1], [0, 1], [2, 2]), cdnow_history)


def test_the_other_backend_gives_our_covariance(cdnow_history: PurchaseHistory) -> None:
    ours = fit_purchases(cdnow_history)
    theirs = fit_purchases(cdnow_history, backend="lifetimes")
    np.testing.assert_allclose(theirs.covariance, ours.covariance, rtol=1e-3)
    assert "lifetimes" in theirs.method
    assert "our own Hessian" in theirs.method


def test_bg_bb_of_both_backends() -> None:
    rng = np.random.default_rng(2)
    size = 2_000
    buys, leaves = rng.beta(1.2, 0.75, size), rng.beta(0.66, 2.8, size)
    alive, x, last = np.ones(size, dtype=bool), np.zeros(size), np.zeros(size)
    for opportunity in range(1, 7):
        alive &= rng.random(size) >= leaves
        bought = alive & (rng.random(size) < buys)
        x += bought
        last[bought] = opportunity
    ours = fit_bg_bb(x, last, np.full(size, 6))
    theirs = fit_bg_bb(x, last, np.full(size, 6), backend="lifetimes")
    assert ours.log_likelihood == pytest.approx(theirs.log_likelihood, abs=1e-3)
    assert "use" in ours.sentence()
    assert math.isnan(ours.unit_days)


@pytest.mark.parametrize(("key", "value"), [("model", "bg_bb"), ("backend", "R"), ("alpha", 2)])
def test_unknown_choices_are_refused(
    cdnow_history: PurchaseHistory, key: str, value: object
) -> None:
    with pytest.raises(DesignError, match=key):
        fit_purchases(cdnow_history, **{key: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("p", OTHERS, ids=lambda p: type(p).__name__)
def test_counts_of_new_customers_add_up(p: PurchaseParameters) -> None:
    horizon = 12
    n = np.arange(13 if isinstance(p, BGBBParameters) else 400)
    chances = probability_of_purchase_count(p, horizon, n)
    assert chances.sum() == pytest.approx(1, abs=1e-8)
    mean = float(expected_purchases_of_new_customer(p, horizon))
    assert chances @ n == pytest.approx(mean, rel=1e-6)
    some = float(probability_of_purchase(p, horizon, 0, 0, 0))
    assert 1 - chances[0] == pytest.approx(some, rel=1e-8)


@pytest.mark.parametrize("p", OTHERS, ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("history", [(0, 0, 8), (3, 6, 8), (8, 8, 8)])
def test_draws_follow_the_closed_forms(
    p: PurchaseParameters, history: tuple[int, int, int]
) -> None:
    x, last, age = history
    rng = np.random.default_rng(6)
    drawn = simulate_purchases(p, 10, np.full(DRAWS, x), last, age, rng=rng)
    error = STANDARD_ERRORS * drawn.std() / math.sqrt(DRAWS)
    assert drawn.mean() == pytest.approx(float(expected_purchases(p, 10, *history)), abs=error)
    some = float(probability_of_purchase(p, 10, *history))
    assert (drawn > 0).mean() == pytest.approx(some, abs=STANDARD_ERRORS * 0.5 / math.sqrt(DRAWS))


@pytest.mark.parametrize("p", OTHERS[2:], ids=lambda p: type(p).__name__)
def test_discounted_purchases_are_the_sum_of_small_steps(
    p: ParetoNBDParameters | BGBBParameters,
) -> None:
    discount = 0.05
    step = 1.0 if isinstance(p, BGBBParameters) else 0.05
    edges = np.arange(0, 500, step)
    upto = expected_purchases(p, edges, 3, 6, 8)
    if isinstance(p, BGBBParameters):
        factors = (1 + discount) ** -edges[1:]
    else:
        factors = np.exp(-discount * (edges[1:] - step / 2))
    expected = float(np.sum(np.diff(upto) * factors))
    found = float(discounted_expected_purchases(p, discount, 3, 6, 8))
    # Each step is discounted at its middle: second order in the step.
    assert found == pytest.approx(expected, rel=1e-5)
    with pytest.raises(DesignError, match="discount"):
        discounted_expected_purchases(p, 0.0, 3, 6, 8)


@pytest.mark.parametrize("periods", [-1.0, np.nan, np.inf])
def test_impossible_horizons_are_refused(periods: float) -> None:
    with pytest.raises(DesignError, match="periods"):
        expected_purchases(OTHERS[0], periods, 1, 1, 2)


def test_scores_are_the_closed_forms_whatever_the_pieces(cdnow_history: PurchaseHistory) -> None:
    fit, spend = fit_purchases(cdnow_history), fit_gamma_gamma(cdnow_history)
    frame = cdnow_history.customers

    def pieces() -> Iterator[pd.DataFrame]:
        for start in range(0, len(frame), 500):
            yield frame.iloc[start : start + 500]

    whole = score_customers(frame, fit=fit, periods=39, spend_fit=spend)
    scored = pd.concat(
        list(score_in_pieces(pieces(), fit=fit, periods=39, spend_fit=spend)), ignore_index=True
    )
    pd.testing.assert_frame_equal(whole, scored)
    history = [frame[name].to_numpy() for name in ("frequency", "recency", "age")]
    np.testing.assert_allclose(
        whole["expected_orders"], expected_purchases(fit.parameters, 39, *history), rtol=1e-12
    )
    np.testing.assert_allclose(
        whole["probability_alive"], probability_alive(fit.parameters, *history), rtol=1e-12
    )
    each = expected_spend(spend.parameters, frame["paid_frequency"], frame["monetary_value"])
    np.testing.assert_allclose(whole["expected_value"], whole["expected_orders"] * each)


def test_a_fit_that_cannot_be_trusted_scores_nothing(cdnow_history: PurchaseHistory) -> None:
    few = replace(cdnow_history, customers=cdnow_history.customers.head(20))
    scored = score_customers(few.customers, fit=fit_purchases(few), periods=39)
    assert scored.drop(columns="customer_id").isna().all().all()
    with pytest.raises(DesignError, match="columns missing: age"):
        score_customers(few.customers.drop(columns="age"), fit=fit_purchases(few), periods=1)


def test_sentences_of_the_models(cdnow_history: PurchaseHistory) -> None:
    said = {m: fit_purchases(cdnow_history, model=m) for m in ("mbg_nbd", "pareto_nbd")}
    assert "the first included" in said["mbg_nbd"].sentence()
    assert "leave in the first 365 days" in said["pareto_nbd"].sentence()
    assert said["pareto_nbd"].title == "Purchases: Pareto/NBD"
    errors = as_vector(said["pareto_nbd"].standard_errors)
    np.testing.assert_allclose(errors**2, np.diag(said["pareto_nbd"].covariance))
