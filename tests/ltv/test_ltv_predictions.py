"""Predictions per customer: closed forms, errors against refits and draws, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crm_lab.errors import DesignError
from crm_lab.ltv import (
    BGNBDParameters,
    GammaGammaFit,
    PurchaseFit,
    PurchaseHistory,
    expected_purchases,
    expected_spend,
    fit_gamma_gamma,
    fit_purchases,
    forecast,
    probability_of_purchase,
)
from crm_lab.ltv.draws import draw_customers, drawn_parameters
from crm_lab.ltv.forecast import gamma_estimate
from crm_lab.ltv.predictions import LifetimePredictions, predict
from crm_lab.ltv.surfaces import surfaces

WEEKS = 39

SAME_WIDTH = 0.3
"""The refits carry that the model is not the truth, the covariance does not; 40 refits add 12 %."""

DRAWS = 0.12
"""A standard deviation from 300 draws is known to 4 %; 3 of those."""

Fits = tuple[PurchaseFit, GammaGammaFit]


@pytest.fixture(scope="module")
def fits(cdnow_history: PurchaseHistory) -> Fits:
    return fit_purchases(cdnow_history), fit_gamma_gamma(cdnow_history)


@pytest.fixture(scope="module")
def ahead(cdnow_history: PurchaseHistory, fits: Fits) -> LifetimePredictions:
    past = pd.Series(10.0, index=cdnow_history.customers["customer_id"])
    return predict(cdnow_history, periods=WEEKS, fit=fits[0], spend_fit=fits[1], past_value=past)


def test_customers_carry_the_closed_forms(
    ahead: LifetimePredictions, cdnow_history: PurchaseHistory, fits: Fits
) -> None:
    frame, given = ahead.customers, cdnow_history.customers
    x, t_x, age = (given[name].to_numpy() for name in ("frequency", "recency", "age"))
    p = fits[0].parameters
    orders = expected_purchases(p, WEEKS, x, t_x, age)
    spend = expected_spend(
        fits[1].parameters, given["paid_frequency"], given["monetary_value"].fillna(0)
    )
    np.testing.assert_allclose(frame["expected_orders"], orders)
    np.testing.assert_allclose(frame["expected_value"], orders * spend * cdnow_history.paid_share)
    none = 1 - probability_of_purchase(p, WEEKS, x, t_x, age)
    np.testing.assert_allclose(frame["probability_no_order"], none)
    np.testing.assert_allclose(frame["lifetime_value"], 10 + frame["expected_value"])
    assert ahead.share_ordering == pytest.approx(1 - none.mean())
    assert ahead.orders.estimate == pytest.approx(orders.sum())


def test_every_interval_holds_its_estimate(ahead: LifetimePredictions) -> None:
    frame = ahead.customers
    for name in (
        "probability_alive",
        "probability_no_order",
        "expected_orders",
        "expected_spend_per_order",
        "expected_value",
    ):
        assert (frame[f"{name}_low"] <= frame[name] * (1 + 1e-12)).all(), name
        assert (frame[name] <= frame[f"{name}_high"] * (1 + 1e-12)).all(), name
    once = frame["frequency"] == 0
    assert (frame.loc[once, "probability_alive_low"] == 1).all()


def test_totals_are_about_as_uncertain_as_refits_say(
    ahead: LifetimePredictions, cdnow_history: PurchaseHistory, fits: Fits
) -> None:
    refitted = forecast(cdnow_history, periods=WEEKS, fit=fits[0], spend_fit=fits[1], refits=40)
    for one, other in ((ahead.orders, refitted.orders), (ahead.value, refitted.value)):
        assert one.high - one.low == pytest.approx(other.high - other.low, rel=SAME_WIDTH)


def test_the_error_of_a_customer_is_that_of_drawn_parameters(
    cdnow_history: PurchaseHistory, fits: Fits, ahead: LifetimePredictions
) -> None:
    place = int(cdnow_history.customers["frequency"].argmax())
    one = cdnow_history.customers.iloc[place]
    rng = np.random.default_rng(5)
    drawn = [
        float(
            expected_purchases(
                drawn_parameters(fits[0].parameters, fits[0].log_covariance, rng),
                WEEKS,
                one["frequency"],
                one["recency"],
                one["age"],
            )
        )
        for _ in range(300)
    ]
    row = ahead.customers.iloc[place]
    width = np.log(row["expected_orders_high"] / row["expected_orders_low"])
    assert width / (2 * stats.norm.ppf(0.975)) == pytest.approx(np.std(np.log(drawn)), rel=DRAWS)


def test_the_next_order_is_as_likely_as_not_by_its_day(
    ahead: LifetimePredictions, fits: Fits
) -> None:
    frame = ahead.customers
    known = frame[frame["next_order_on"].notna()].head(20)
    days = (known["next_order_on"] - pd.Timestamp(ahead.as_of)).dt.days.to_numpy()
    p = fits[0].parameters
    x = tuple(known[name].to_numpy() for name in ("frequency", "recency", "age"))
    assert (probability_of_purchase(p, days / 7, *x) >= 0.5).all()
    assert (probability_of_purchase(p, (days - 1) / 7, *x) < 0.5).all()
    due = ahead.due(days=7)
    assert (due["next_order_on"] <= pd.Timestamp(ahead.as_of) + pd.Timedelta(days=7)).all()
    assert due["expected_value"].is_monotonic_decreasing


def test_slopes_are_those_of_a_known_function() -> None:
    p = BGNBDParameters(r=0.5, alpha=4.0, a=0.8, b=2.0)
    found = surfaces(
        p, np.diag([0.04, 0.0, 0.0, 0.0]), {"double": lambda q: np.array([2.0 * q.r, q.alpha])}
    )["double"]
    np.testing.assert_allclose(found.slopes[:2], [[1.0, 0.0], [0.0, 4.0]], atol=1e-7)
    np.testing.assert_allclose(found.errors(), [0.2, 0.0], atol=1e-7)
    assert found.times(found).total_variance() == pytest.approx(2 * 0.2**2)


def test_draws_scatter_around_the_expectation(
    cdnow_history: PurchaseHistory, fits: Fits, ahead: LifetimePredictions
) -> None:
    draws = draw_customers(
        cdnow_history,
        periods=WEEKS,
        fit=fits[0],
        spend_fit=fits[1],
        draws=60,
        rng=np.random.default_rng(2),
    )
    totals = draws.orders.sum(axis=1)
    error = totals.std(ddof=1) / np.sqrt(len(totals))
    assert abs(totals.mean() - ahead.orders.estimate) < 4 * error
    table = draws.to_frame(alpha=0.1)
    assert (table["orders_low"] <= table["orders_high"]).all()
    assert np.isfinite(table["value_high"]).all()


def test_an_endless_value_is_more_and_discounting_less(
    cdnow_history: PurchaseHistory, fits: Fits, ahead: LifetimePredictions
) -> None:
    pareto = fit_purchases(cdnow_history, model="pareto_nbd")
    found = predict(
        cdnow_history,
        periods=WEEKS,
        fit=pareto,
        spend_fit=fits[1],
        discount_rate=0.1,
        endless=True,
    )
    assert found.endless_value.estimate > found.value.estimate
    assert found.endless_value.low < found.endless_value.estimate < found.endless_value.high
    assert "discounted by 10.0 %" in found.sentence()
    assert (
        found.value.estimate
        < predict(cdnow_history, periods=WEEKS, fit=pareto, spend_fit=fits[1]).value.estimate
    )
    assert found.customers["lifetime_value"].isna().all()


def test_a_fit_that_cannot_be_trusted_predicts_nothing(
    cdnow_history: PurchaseHistory, fits: Fits
) -> None:
    broken = replace(fits[0], reason="it collapsed")
    found = predict(cdnow_history, periods=WEEKS, fit=broken, spend_fit=fits[1])
    assert found.sentence() == "No predictions: it collapsed."
    assert np.isnan(found.orders.estimate)
    assert found.customers["expected_value"].isna().all()
    assert found.customers["next_order_on"].isna().all()
    assert found.number() == ""


def test_without_a_spend_model_there_are_orders_only(
    cdnow_history: PurchaseHistory, fits: Fits
) -> None:
    spend = replace(fits[1], reason="no amounts")
    found = predict(cdnow_history, periods=WEEKS, fit=fits[0], spend_fit=spend)
    assert np.isfinite(found.orders.low)
    assert np.isnan(found.value.estimate)
    assert found.sentence().endswith("No value: no amounts.")
    assert found.number_label().startswith("Orders of the next")
    assert len(found.card_frame()) == 5
    assert "customers" not in found.to_dict()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"periods": -1.0}, "horizon"),
        ({"periods": np.nan}, "horizon"),
        ({"discount_rate": -0.1}, "discount rate"),
        ({"endless": True}, "without a discount rate"),
        ({"alpha": 0.0}, "alpha"),
    ],
)
def test_impossible_wishes_are_refused(
    cdnow_history: PurchaseHistory, fits: Fits, changes: dict[str, float], message: str
) -> None:
    wishes: dict[str, object] = {"periods": 4.0, "fit": fits[0], "spend_fit": fits[1], **changes}
    with pytest.raises(DesignError, match=message):
        predict(cdnow_history, **wishes)  # type: ignore[arg-type]


def test_a_fit_of_another_unit_is_refused(cdnow_history: PurchaseHistory, fits: Fits) -> None:
    other = replace(fits[0], unit_days=1.0)
    with pytest.raises(DesignError, match="same unit"):
        predict(cdnow_history, periods=4, fit=other)


def test_draws_need_a_trusted_fit_and_a_number(cdnow_history: PurchaseHistory, fits: Fits) -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(DesignError, match="draws"):
        draw_customers(cdnow_history, periods=4, fit=fits[0], draws=0, rng=rng)
    broken = replace(fits[0], reason="it collapsed")
    with pytest.raises(DesignError, match="it collapsed"):
        draw_customers(cdnow_history, periods=4, fit=broken, rng=rng)


def test_a_total_is_a_gamma_law() -> None:
    found = gamma_estimate(100.0, 400.0, 0.05)
    law = stats.gamma(a=25.0, scale=4.0)
    assert (found.low, found.high) == pytest.approx(law.ppf([0.025, 0.975]))
    assert gamma_estimate(0.0, 4.0, 0.05).high == 0.0
