"""Forecast: sums, intervals, discounting, refusals; coverage as a slow simulation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crm_lab.errors import DesignError
from crm_lab.ltv import (
    BGNBDParameters,
    GammaGammaFit,
    LifetimeForecast,
    PurchaseFit,
    PurchaseHistory,
    expected_purchases,
    expected_spend,
    fit_bg_nbd,
    fit_gamma_gamma,
    forecast,
    history_from_summary,
    resampling,
    split_history,
)
from crm_lab.ltv.fitting import Optimum

WEEKS = 39


@pytest.fixture(scope="module")
def fits(cdnow_history: PurchaseHistory) -> tuple[PurchaseFit, GammaGammaFit]:
    return fit_bg_nbd(cdnow_history), fit_gamma_gamma(cdnow_history)


@pytest.fixture(scope="module")
def ahead(
    cdnow_history: PurchaseHistory, fits: tuple[PurchaseFit, GammaGammaFit]
) -> LifetimeForecast:
    return forecast(cdnow_history, periods=WEEKS, fit=fits[0], spend_fit=fits[1], refits=15)


def test_customers_carry_the_closed_forms(
    ahead: LifetimeForecast,
    cdnow_history: PurchaseHistory,
    fits: tuple[PurchaseFit, GammaGammaFit],
) -> None:
    frame, purchases = ahead.customers, cdnow_history.customers
    x, t_x, age = (purchases[name].to_numpy() for name in ("frequency", "recency", "age"))
    orders = expected_purchases(fits[0].parameters, WEEKS, x, t_x, age)
    spend = expected_spend(fits[1].parameters, x, purchases["monetary_value"])
    np.testing.assert_allclose(frame["expected_orders"], orders)
    np.testing.assert_allclose(frame["expected_value"], orders * spend)
    assert ahead.orders.estimate == pytest.approx(orders.sum())
    assert ahead.value.estimate == pytest.approx((orders * spend).sum())
    assert frame["customer_id"].tolist() == purchases["customer_id"].tolist()


def test_intervals_hold_their_estimates_and_more_than_chance_alone(ahead: LifetimeForecast) -> None:
    table = ahead.to_frame()
    assert (table["low"] < table["estimate"]).all()
    assert (table["estimate"] < table["high"]).all()
    poisson = 2 * 1.96 * np.sqrt(ahead.orders.estimate)
    assert ahead.orders.high - ahead.orders.low > poisson
    assert ahead.refits_failed == 0
    assert "refits failed" not in ahead.sentence()
    assert "39 weeks" in ahead.sentence()
    assert "refits" in ahead.method
    assert "customers" not in ahead.to_dict()


def test_equal_seeds_give_equal_intervals(
    cdnow_history: PurchaseHistory, fits: tuple[PurchaseFit, GammaGammaFit], ahead: LifetimeForecast
) -> None:
    again = forecast(cdnow_history, periods=WEEKS, fit=fits[0], spend_fit=fits[1], refits=15)
    assert again.orders == ahead.orders
    other = forecast(
        cdnow_history,
        periods=WEEKS,
        fit=fits[0],
        spend_fit=fits[1],
        refits=15,
        rng=np.random.default_rng(99),
    )
    assert other.orders.estimate == ahead.orders.estimate
    assert other.orders.low != ahead.orders.low


def test_discount_lowers_value_by_less_than_the_whole_horizon(
    cdnow_history: PurchaseHistory, fits: tuple[PurchaseFit, GammaGammaFit], ahead: LifetimeForecast
) -> None:
    discounted = forecast(
        cdnow_history,
        periods=WEEKS,
        fit=fits[0],
        spend_fit=fits[1],
        discount_rate=0.2,
        refits=10,
    )
    share = discounted.value.estimate / ahead.value.estimate
    assert 1.2 ** (-WEEKS * 7 / 365.25) < share < 1
    # Purchases come a little earlier than evenly, so the factor is near that of the middle.
    assert share == pytest.approx(1.2 ** (-WEEKS * 7 / 365.25 / 2), abs=0.01)
    assert discounted.orders.estimate == ahead.orders.estimate


def test_no_horizon_expects_nothing(
    cdnow_history: PurchaseHistory, fits: tuple[PurchaseFit, GammaGammaFit]
) -> None:
    now = forecast(cdnow_history, periods=0, fit=fits[0], spend_fit=fits[1], refits=10)
    assert now.orders.as_tuple() == (0, 0, 0)
    assert now.value.as_tuple() == (0, 0, 0)


def test_unpaid_orders_bring_nothing(
    cdnow_history: PurchaseHistory, fits: tuple[PurchaseFit, GammaGammaFit]
) -> None:
    frame = cdnow_history.customers.copy()
    half = frame["frequency"] // 2
    frame["paid_frequency"] = half
    frame["monetary_value"] = frame["monetary_value"].where(half > 0)
    history = history_from_summary(frame, as_of=cdnow_history.as_of)
    ahead = forecast(history, periods=WEEKS, refits=10)
    paid_share = half.sum() / frame["frequency"].sum()
    spend = ahead.customers["expected_spend_per_order"]
    expected = (ahead.customers["expected_orders"] * spend).sum() * paid_share
    assert ahead.value.estimate == pytest.approx(expected)


def test_without_amounts_there_are_orders_and_a_reason(cdnow_history: PurchaseHistory) -> None:
    frame = cdnow_history.customers.drop(columns="paid_frequency").assign(monetary_value=np.nan)
    history = history_from_summary(frame, as_of=cdnow_history.as_of)
    ahead = forecast(history, periods=WEEKS, refits=10)
    assert ahead.orders.low > 0
    assert np.isnan(ahead.value.estimate)
    assert "No forecast of value: the history carries no amounts" in ahead.sentence()


def test_failed_refits_are_counted_and_said(
    cdnow_history: PurchaseHistory,
    fits: tuple[PurchaseFit, GammaGammaFit],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, calls = resampling.maximise_purchases, []

    def sometimes(*args: Any, **named: Any) -> Optimum:
        calls.append(1)
        return replace(real(*args, **named), converged=len(calls) % 3 != 0)

    monkeypatch.setattr(resampling, "maximise_purchases", sometimes)
    some = forecast(cdnow_history, periods=WEEKS, fit=fits[0], spend_fit=fits[1], refits=18)
    assert some.refits_failed == 6
    assert "6 of 18 refits failed" in some.sentence()
    few = forecast(cdnow_history, periods=WEEKS, fit=fits[0], spend_fit=fits[1], refits=12)
    assert np.isnan(few.orders.low)
    assert "only 8 of 12 refits" in few.sentence()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"periods": -1}, "periods"),
        ({"periods": np.nan}, "periods"),
        ({"periods": 5, "discount_rate": -0.1}, "discount_rate"),
        ({"periods": 5, "alpha": 0}, "alpha"),
        ({"periods": 5, "refits": 3}, "at least 10"),
    ],
)
def test_impossible_requests(
    cdnow_history: PurchaseHistory, settings: dict[str, float], message: str
) -> None:
    with pytest.raises(DesignError, match=message):
        forecast(cdnow_history, **settings)  # type: ignore[arg-type]


def test_fit_of_another_unit_is_refused(
    cdnow: pd.DataFrame, fits: tuple[PurchaseFit, GammaGammaFit]
) -> None:
    split = split_history(
        cdnow, calibration_end=date(1997, 9, 30), as_of=date(1998, 6, 30), unit_days=1
    )
    with pytest.raises(DesignError, match="the same unit"):
        forecast(split.calibration, periods=273, fit=fits[0])


@pytest.mark.slow
def test_interval_of_the_total_covers_what_happens(
    make_orders: Callable[..., pd.DataFrame],
) -> None:
    """60 shops that obey the model; 95 % nominal, so 52 or more is within three errors.

    Purchases are rare beside days (a rate of 0.003 a day), so that merging orders of a day, which
    the model does not know, costs less than 1 % of them. At a rate of 0.024 it costs 3 % and the
    forecast comes out that much too high.
    """
    truth = BGNBDParameters(r=0.6, alpha=200.0, a=0.8, b=2.5)
    start, runs, orders_inside, value_inside = date(2024, 1, 1), 60, 0, 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        orders = make_orders(
            truth, customers=600, days=2000, joining_days=500, rng=rng, start=start
        )
        split = split_history(
            orders,
            calibration_end=start + timedelta(days=1100),
            as_of=start + timedelta(days=1999),
        )
        ahead = forecast(split.calibration, periods=split.holdout_periods, refits=25, rng=rng)
        happened = split.holdout["holdout_orders"].sum()
        spent = split.holdout["holdout_spend"].sum()
        orders_inside += ahead.orders.low <= happened <= ahead.orders.high
        value_inside += ahead.value.low <= spent <= ahead.value.high
    assert orders_inside >= 52
    assert value_inside >= 52
