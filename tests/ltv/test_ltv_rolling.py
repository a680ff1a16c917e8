"""Forecasts of the past: brute force for the errors and baselines, and the gate's verdicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crm_lab.errors import DesignError
from crm_lab.ltv import BGNBDParameters, PurchaseHistory, forecast, purchase_history, split_history
from crm_lab.ltv.baselines import (
    BASELINES,
    average_rate,
    baseline_orders,
    last_period,
    rfm_regression,
    same_rate,
)
from crm_lab.ltv.forecast import Estimate
from crm_lab.ltv.gate import ForecastVerdict, judge_forecast, range_of_tests
from crm_lab.ltv.holdout import SplitHistory
from crm_lab.ltv.predictions import LifetimePredictions, predict
from crm_lab.ltv.rolling import Origin, RollingOrigin, rolling_origin

AS_OF = date(1998, 6, 30)
HORIZON = 182


@pytest.fixture(scope="module")
def split(cdnow: pd.DataFrame) -> SplitHistory:
    return split_history(cdnow, calibration_end=date(1997, 12, 30), as_of=AS_OF)


@pytest.fixture(scope="module")
def tests(cdnow: pd.DataFrame) -> RollingOrigin:
    return rolling_origin(
        cdnow, horizon_days=HORIZON, as_of=AS_OF, currency="USD", rng=np.random.default_rng(1)
    )


@pytest.fixture(scope="module")
def ahead(cdnow: pd.DataFrame) -> LifetimePredictions:
    history = purchase_history(cdnow, as_of=AS_OF, currency="USD")
    return predict(history, periods=26)


def test_origins_are_half_a_horizon_apart_and_have_history(tests: RollingOrigin) -> None:
    days = [each.origin for each in tests.origins]
    assert days == [AS_OF - timedelta(days=n) for n in (364, 273, 182)]
    assert all((each.until - each.origin).days == HORIZON for each in tests.origins)
    assert len(tests.to_frame()) == len(tests.card_frame()) == 3


def test_an_origin_counts_what_happened(tests: RollingOrigin, cdnow: pd.DataFrame) -> None:
    last = tests.origins[-1]
    day = cdnow["ordered_at"].dt.date
    first = day.groupby(cdnow["customer_id"]).transform("min")
    later = cdnow[(first <= last.origin) & (day > last.origin) & (day <= last.until)]
    visits = later.drop_duplicates(["customer_id", "ordered_at"])
    assert last.actual == len(visits)
    assert last.actual_value == pytest.approx(later["amount"].sum())
    assert last.relative_error == pytest.approx(last.expected / last.actual - 1)
    assert last.is_inside == (last.low <= last.actual <= last.high)


def test_probabilities_and_tiers_add_up(tests: RollingOrigin) -> None:
    table = tests.probabilities
    assert table["customers"].sum() == tests.origins[-1].n_customers
    assert table["expected"].is_monotonic_increasing
    assert (table["low"] <= table["actual"]).all()
    assert (table["actual"] <= table["high"]).all()
    tiers = tests.tiers
    assert tiers["tier"].tolist() == ["best 5 %", "next 15 %", "next 30 %", "last 50 %"]
    total = float((tiers["customers"] * tiers["actual"]).sum())
    assert total == pytest.approx(tests.origins[-1].actual_value)


def test_the_mean_errors_are_means(tests: RollingOrigin) -> None:
    errors = [abs(each.relative_error) for each in tests.origins]
    assert tests.error_of("model") == pytest.approx(np.mean(errors))
    name, error = tests.best_baseline()
    assert error == min(tests.error_of(each) for each in BASELINES)
    assert error == tests.error_of(name)
    assert tests.errors_frame()["forecast"].tolist() == ["model", *BASELINES]
    assert len(tests.errors_table()) == 5
    assert "3 times in the past" in tests.sentence()


def test_baselines_by_hand(split: SplitHistory) -> None:
    frame = split.calibration.customers
    days = split.days
    end = pd.Timestamp(split.calibration_end)
    window = pd.Timedelta(days=HORIZON)
    recent = days[(days["day"] > end - window) & (days["day"] <= end) & ~days["is_first"]]
    assert last_period(split).sum() == pytest.approx(len(recent))
    rates = frame["frequency"] / frame["age"]
    np.testing.assert_allclose(same_rate(split), rates * split.holdout_periods)
    mean = frame["frequency"].sum() / frame["age"].sum()
    np.testing.assert_allclose(average_rate(split), mean * split.holdout_periods)


def test_the_regression_keeps_the_total_it_learned(split: SplitHistory) -> None:
    found = rfm_regression(split)
    assert (found >= 0).all()
    # Least squares with an intercept hits its training total, the last stretch; shops go quieter.
    assert 0.6 < found.sum() / last_period(split).sum() < 1.1
    active = split.calibration.customers["frequency"] > 3
    assert found[active].mean() > 3 * found[~active].mean()


def test_a_short_past_teaches_no_regression(make_orders: Callable[..., pd.DataFrame]) -> None:
    orders = make_orders(
        BGNBDParameters(r=1.0, alpha=20.0, a=0.5, b=2.0),
        customers=40,
        days=120,
        rng=np.random.default_rng(1),
    )
    cut = split_history(orders, calibration_end=date(2024, 3, 20), as_of=date(2024, 4, 25))
    assert np.isnan(rfm_regression(cut)).all()
    assert list(baseline_orders(cut).columns) == list(BASELINES)


def test_no_history_is_no_test(cdnow: pd.DataFrame) -> None:
    found = rolling_origin(cdnow, horizon_days=500, as_of=AS_OF, rng=np.random.default_rng(1))
    assert found.origins == ()
    assert found.sentence().startswith("Not tested: there is no moment with 91 days")
    assert np.isnan(found.error_of("model"))
    assert found.best_baseline()[0] == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"horizon_days": 0}, "horizon"),
        ({"origins": 0}, "origins"),
        ({"origins": (date(1998, 6, 1),)}, "too late"),
        ({"alpha": 2.0}, "alpha"),
    ],
)
def test_impossible_tests_are_refused(
    cdnow: pd.DataFrame, changes: dict[str, Any], message: str
) -> None:
    wishes = {"horizon_days": HORIZON, "as_of": AS_OF, "rng": np.random.default_rng(1), **changes}
    with pytest.raises(DesignError, match=message):
        rolling_origin(cdnow, **wishes)


def with_errors(tests: RollingOrigin, *errors: float, half_width: float = 0.05) -> RollingOrigin:
    """The same tests with other misses of the model, and baselines far worse."""
    origins = []
    for each, error in zip(tests.origins, errors, strict=False):
        expected = each.actual * (1 + error)
        origins.append(
            replace(
                each,
                expected=expected,
                low=expected * (1 - half_width),
                high=expected * (1 + half_width),
                expected_value=each.actual_value * (1 + error),
                relative_error=error,
                mean_absolute_error=0.1,
                baseline_errors=tuple((name, 0.5) for name in BASELINES),
                baseline_absolute_errors=tuple((name, 0.5) for name in BASELINES),
            )
        )
    return replace(tests, origins=tuple(origins))


def test_good_tests_publish(ahead: LifetimePredictions, tests: RollingOrigin) -> None:
    found = judge_forecast(ahead, with_errors(tests, 0.02, -0.01, 0.03))
    assert found.verdict == "publish"
    assert found.is_publishable
    assert found.sentence().startswith("This forecast can be published")
    assert "26 weeks" in found.number_label()
    assert not found.reasons
    assert not found.cautions


def test_a_narrow_interval_is_for_care(ahead: LifetimePredictions, tests: RollingOrigin) -> None:
    found = judge_forecast(ahead, with_errors(tests, 0.02, -0.08, 0.03))
    assert found.verdict == "with care"
    assert found.sentence().startswith(
        "Use it with care: the same forecast, made on 1997-09-30, was 8 % too low"
    )
    assert found.tested.high == max(ahead.value.high, ahead.value.estimate / 0.92)


def test_far_outside_is_refused_with_the_reason_first(
    ahead: LifetimePredictions, tests: RollingOrigin
) -> None:
    found = judge_forecast(ahead, with_errors(tests, 0.02, -0.15, 0.03))
    assert found.verdict == "do not publish"
    assert found.number() == ""
    assert found.sentence().startswith(
        "Do not publish this forecast: the same forecast, made on 1997-09-30, was 15 % too low,"
    )
    assert "not to be used" in found.sentence()
    assert found.tested.high == pytest.approx(ahead.value.estimate / 0.85)
    assert "With the errors of the tests" in found.sentence()


def test_worse_than_a_simple_rule_is_refused(
    ahead: LifetimePredictions, tests: RollingOrigin
) -> None:
    made = with_errors(tests, 0.06, -0.05, 0.05, half_width=0.2)
    origins = tuple(
        replace(each, baseline_errors=(("last_period", 0.01), *each.baseline_errors[1:]))
        for each in made.origins
    )
    found = judge_forecast(ahead, replace(made, origins=origins))
    assert found.verdict == "do not publish"
    assert "a simple rule was better" in found.reasons[0]
    assert found.simple_rule == "last_period"


def test_worse_for_single_customers_is_for_care(
    ahead: LifetimePredictions, tests: RollingOrigin
) -> None:
    made = with_errors(tests, 0.02, -0.01, 0.03)
    origins = tuple(replace(each, mean_absolute_error=0.9) for each in made.origins)
    found = judge_forecast(ahead, replace(made, origins=origins))
    assert found.verdict == "with care"
    assert found.cautions[0].startswith("per customer a simple rule was better")


def test_never_tested_is_refused(ahead: LifetimePredictions, tests: RollingOrigin) -> None:
    found = judge_forecast(ahead, replace(tests, origins=(), reason="the past is too short"))
    assert found.reasons == ("the past is too short",)
    assert np.isnan(found.tested.low)


def test_one_test_and_a_longer_horizon_are_for_care(
    ahead: LifetimePredictions, tests: RollingOrigin
) -> None:
    made = with_errors(tests, 0.01)
    found = judge_forecast(ahead, replace(made, horizon_days=91))
    assert "tested once only" in found.cautions[0]
    assert "182 days ahead and was tested for 91" in found.cautions[0]


def test_too_few_of_everything_is_refused(
    make_orders: Callable[..., pd.DataFrame], tests: RollingOrigin
) -> None:
    orders = make_orders(
        BGNBDParameters(r=1.0, alpha=20.0, a=0.5, b=2.0),
        customers=90,
        days=80,
        rng=np.random.default_rng(3),
        joining_days=30,
    )
    history: PurchaseHistory = purchase_history(orders, as_of=date(2024, 3, 20))
    found = judge_forecast(predict(history, periods=4), tests)
    said = " ".join(found.reasons)
    for what in ("customers", "customers who came back", "days of history"):
        assert what in said


def test_a_fit_that_failed_is_refused_once(
    ahead: LifetimePredictions, tests: RollingOrigin
) -> None:
    broken = replace(
        ahead,
        reason="it collapsed",
        value_reason="it collapsed",
        orders=Estimate(),
        value=Estimate(),
    )
    found = judge_forecast(broken, with_errors(tests, 0.02, -0.01, 0.03))
    assert found.sentence().count("it collapsed") == 1
    assert "a simple rule" in found.sentence()
    failed = tuple(replace(each, reason="no fit") for each in tests.origins)
    untested = judge_forecast(ahead, replace(tests, origins=failed))
    assert "no forecast of the past could be made" in untested.reasons[0]


def test_a_forecast_by_refits_is_judged_too(cdnow: pd.DataFrame, tests: RollingOrigin) -> None:
    history = purchase_history(cdnow, as_of=AS_OF, currency="USD")
    found: ForecastVerdict = judge_forecast(forecast(history, periods=26, refits=10), tests)
    assert found.verdict in ("publish", "with care", "do not publish")
    assert len(found.to_frame()) == len(found.checks) == 9


def test_tests_of_another_model_do_not_count(
    ahead: LifetimePredictions, tests: RollingOrigin
) -> None:
    with pytest.raises(DesignError, match="same model"):
        judge_forecast(ahead, replace(tests, model="pareto_nbd"))


def test_the_range_of_tests_runs_over_the_misses(tests: RollingOrigin) -> None:
    made = with_errors(tests, 0.25, -0.2)
    found = range_of_tests(Estimate(estimate=100.0, low=95.0, high=105.0), made, by_value=False)
    assert (found.low, found.high) == pytest.approx((80.0, 125.0))
    assert isinstance(made.origins[0], Origin)
