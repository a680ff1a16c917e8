"""Static covariates: recovery, identities, brute force, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd
import pytest

from crm_lab.errors import DesignError
from crm_lab.ltv import (
    BGNBDParameters,
    ParetoNBDParameters,
    PurchaseHistory,
    fit_purchases,
    fit_with_covariates,
    history_from_summary,
)
from crm_lab.ltv.covariates import MOVED, CovariateLikelihood, CovariateModel
from crm_lab.ltv.formulas import FloatArray, purchase_log_likelihood
from crm_lab.ltv.parameters import PARAMETERS_OF, from_vector
from crm_lab.ltv.tuples import DistinctHistories, count_histories

Shop = Callable[..., tuple[FloatArray, FloatArray, FloatArray]]
MODELS: tuple[CovariateModel, ...] = ("bg_nbd", "pareto_nbd")
SIZE = 6_000
# Moved by merging orders of a day; the rest is chance.
ERRORS = 4.0


def history_of(columns: tuple[FloatArray, ...]) -> PurchaseHistory:
    """Whole days, at most one purchase on each."""
    x, last, age = columns
    last = np.minimum(np.ceil(last), age)
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{index}" for index in range(len(x))],
            "frequency": np.minimum(x, last),
            "recency": np.where(x > 0, last, 0.0),
            "age": age,
            "monetary_value": np.nan,
        }
    )
    return history_from_summary(frame, as_of=date(2026, 1, 1), unit_days=1)


@pytest.fixture(scope="module")
def base(shop: Shop) -> tuple[PurchaseHistory, pd.DataFrame]:
    """Two halves: in the second, purchases come at 1.5 times the rate."""
    rng = np.random.default_rng(31)
    settings = {"r": 1.2, "a": 0.8, "b": 2.5, "days": 400}
    one = shop(SIZE // 2, rng=rng, alpha=60.0, **settings)
    two = shop(SIZE // 2, rng=rng, alpha=40.0, **settings)
    columns = tuple(np.concatenate(pair) for pair in zip(one, two, strict=True))
    history = history_of(columns)
    table = pd.DataFrame({"customer_id": history.customers["customer_id"]})
    table["card"] = np.repeat([0.0, 1.0], SIZE // 2)
    table["noise"] = rng.integers(0, 2, SIZE)
    return history, table.sample(frac=1, random_state=2)


@pytest.mark.parametrize("model", MODELS)
def test_a_covariate_of_the_rate_is_recovered(
    model: CovariateModel, base: tuple[PurchaseHistory, pd.DataFrame]
) -> None:
    history, table = base
    fit = fit_with_covariates(history, table, model=model)
    assert fit.is_trusted
    assert fit.n_groups == 4
    frame = fit.to_frame().set_index(["parameter", "covariate"])
    card, noise = frame.loc[("alpha", "card")], frame.loc[("alpha", "noise")]
    assert abs(card["estimate"] - np.log(1.5)) < ERRORS * card["standard_error"]
    assert card["low"] > 0
    assert abs(noise["estimate"]) < ERRORS * noise["standard_error"]
    assert fit.p_value < 1e-6
    assert fit.log_likelihood > fit.plain_log_likelihood
    assert "One more of card goes with 1." in fit.sentence()
    assert "not effects" in fit.sentence()


def test_noise_alone_gives_no_evidence(base: tuple[PurchaseHistory, pd.DataFrame]) -> None:
    history, table = base
    fit = fit_with_covariates(history, table[["customer_id", "noise"]])
    assert fit.p_value > 0.01
    plain = fit_purchases(history)
    assert fit.plain_log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-6)


def test_shifting_a_covariate_moves_the_base_and_no_likelihood(
    base: tuple[PurchaseHistory, pd.DataFrame],
) -> None:
    history, table = base
    table = table[["customer_id", "card"]]
    one = fit_with_covariates(history, table)
    other = fit_with_covariates(history, table.assign(card=2 * table["card"] + 3))
    assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-6)
    np.testing.assert_allclose(other.coefficients, one.coefficients / 2, rtol=1e-3, atol=1e-4)
    for card in (0.0, 1.0):
        same, moved = one.parameters_of(card=card), other.parameters_of(card=2 * card + 3)
        assert isinstance(same, BGNBDParameters)
        assert isinstance(moved, BGNBDParameters)
        assert moved.alpha == pytest.approx(same.alpha, rel=1e-4)
        assert moved.a == pytest.approx(same.a, rel=1e-3)


@pytest.mark.parametrize("model", MODELS)
def test_likelihood_against_one_customer_at_a_time(
    model: CovariateModel, base: tuple[PurchaseHistory, pd.DataFrame]
) -> None:
    history = base[0]
    frame = history.customers.iloc[::600]
    rng = np.random.default_rng(1)
    z = rng.normal(size=(len(frame), 2))
    logs = np.concatenate([np.log([0.8, 50.0, 0.7, 2.0]), rng.normal(size=2 * len(MOVED[model]))])
    columns = [frame[name].to_numpy(np.float64) for name in ("frequency", "recency", "age")]
    groups: list[DistinctHistories] = []
    total = 0.0
    for place, row in enumerate(z):
        x, last, age = (column[place : place + 1] for column in columns)
        groups.append(count_histories(x, last, age))
        own = logs[:4].copy()
        for at, (parameter, sign) in enumerate(MOVED[model]):
            own[parameter] += sign * row @ logs[4 + 2 * at : 6 + 2 * at]
        p = from_vector(PARAMETERS_OF[model], np.exp(own))
        total += purchase_log_likelihood(p, x, last, age)
    likelihood = CovariateLikelihood(model, groups, z, logs[:4])
    value, gradient, hessian = likelihood.curvature(logs)
    assert value == pytest.approx(total, rel=1e-10)
    for place in range(len(logs)):
        aside = np.zeros_like(logs)
        aside[place] = 1e-5
        (up, up_slope), (down, down_slope) = (
            likelihood.value(logs + aside),
            likelihood.value(logs - aside),
        )
        assert (up - down) / 2e-5 == pytest.approx(gradient[place], rel=1e-5, abs=1e-4)
        np.testing.assert_allclose(
            (up_slope - down_slope) / 2e-5, hessian[place], rtol=1e-5, atol=1e-4
        )


def test_parameters_of_a_pareto_fit(base: tuple[PurchaseHistory, pd.DataFrame]) -> None:
    history, table = base
    fit = fit_with_covariates(history, table, model="pareto_nbd")
    with_card = fit.parameters_of(card=1, noise=0)
    assert isinstance(with_card, ParetoNBDParameters)
    assert with_card.alpha == pytest.approx(fit.parameters.alpha * np.exp(-fit.coefficients[0][0]))
    with pytest.raises(DesignError, match="card, noise"):
        fit.parameters_of(card=1)


def test_too_few_repeaters_are_a_reason(base: tuple[PurchaseHistory, pd.DataFrame]) -> None:
    history, table = base
    nobody = history.customers.assign(frequency=0, recency=0.0).drop(columns="paid_frequency")
    quiet = history_from_summary(nobody, as_of=history.as_of, unit_days=1)
    fit = fit_with_covariates(quiet, table)
    assert "only 0 customers with a repeat purchase" in fit.sentence()
    assert np.isnan(fit.coefficients).all()


def broken(table: pd.DataFrame, **columns: object) -> pd.DataFrame:
    return table[["customer_id"]].assign(**columns)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[["customer_id"]], "at least one covariate"),
        (lambda t: t.drop(columns="customer_id"), "at least one covariate"),
        (lambda t: t.iloc[:-2], "2 customers without a number in card"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "stands there twice"),
        (lambda t: broken(t, channel="web"), "without a number in channel"),
        (lambda t: broken(t, card=1.0), "the same for every customer"),
        (lambda t: broken(t, card=np.inf), "without a number in card"),
        (lambda t: t.assign(other=1 - t["card"]), "a sum of others"),
        (lambda t: broken(t, fine=np.linspace(0, 1, len(t))), "6,000 distinct rows"),
    ],
)
def test_impossible_covariates_are_refused(
    base: tuple[PurchaseHistory, pd.DataFrame],
    change: Callable[[pd.DataFrame], pd.DataFrame],
    message: str,
) -> None:
    history, table = base
    covariates = change(table)
    with pytest.raises(DesignError, match=message):
        fit_with_covariates(history, covariates)
