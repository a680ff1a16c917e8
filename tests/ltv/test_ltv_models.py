"""Fits: identities, recovery, degenerate bases, and the backend kept harmless."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd
import pytest

from crm_lab.errors import DesignError
from crm_lab.ltv import (
    BGNBDParameters,
    GammaGammaParameters,
    PurchaseHistory,
    fit_bg_nbd,
    fit_gamma_gamma,
    forecast,
    history_from_summary,
    purchase_history,
)
from crm_lab.ltv import lifetimes_backend as backend
from crm_lab.ltv.history import distinct_histories

# Two searches that stop at a gradient of 1e-7 differ by less than this in the parameters.
OPTIMUM = 2e-4
AS_OF = date(2026, 1, 1)


def base(
    frequency: object, recency: object, age: object, money: object = np.nan
) -> PurchaseHistory:
    frame = pd.DataFrame(
        {"frequency": frequency, "recency": recency, "age": age, "monetary_value": money}
    )
    frame.insert(0, "customer_id", [f"c{index}" for index in range(len(frame))])
    return history_from_summary(frame, as_of=AS_OF)


def values(parameters: BGNBDParameters | GammaGammaParameters) -> list[float]:
    return [getattr(parameters, name) for name in type(parameters).__slots__]


def test_weighted_equals_exploded(cdnow_history: PurchaseHistory) -> None:
    frame = cdnow_history.customers
    columns = [frame[name].to_numpy(np.float64) for name in ("frequency", "recency", "age")]
    each = backend.fit_purchase_tuples("bg_nbd", *columns, np.ones(len(frame)))
    t = distinct_histories(cdnow_history)
    weighted = backend.fit_purchase_tuples("bg_nbd", t.frequency, t.recency, t.age, t.customers)
    np.testing.assert_allclose(weighted.parameters, each.parameters, rtol=OPTIMUM)
    np.testing.assert_allclose(weighted.standard_errors, each.standard_errors, rtol=10 * OPTIMUM)


def test_unit_scales_alpha_and_nothing_else(cdnow: pd.DataFrame) -> None:
    weeks = fit_bg_nbd(purchase_history(cdnow, as_of=date(1997, 9, 30), unit_days=7))
    days = fit_bg_nbd(purchase_history(cdnow, as_of=date(1997, 9, 30), unit_days=1))
    expected = np.array(values(weeks.parameters)) * [1, 7, 1, 1]
    np.testing.assert_allclose(values(days.parameters), expected, rtol=OPTIMUM)
    repeats = 2457
    assert days.log_likelihood == pytest.approx(
        weeks.log_likelihood - repeats * np.log(7), abs=1e-4
    )


def test_currency_scales_gamma_and_nothing_else(cdnow_history: PurchaseHistory) -> None:
    fit = fit_gamma_gamma(cdnow_history)
    frame = cdnow_history.customers.assign(
        monetary_value=cdnow_history.customers["monetary_value"] * 1000
    )
    scaled = fit_gamma_gamma(history_from_summary(frame, as_of=AS_OF))
    expected = np.array(values(fit.parameters)) * [1, 1, 1000]
    np.testing.assert_allclose(values(scaled.parameters), expected, rtol=1e-3)


def test_start_does_not_move_the_optimum(cdnow_history: PurchaseHistory) -> None:
    t = distinct_histories(cdnow_history)
    args = (t.frequency, t.recency, t.age, t.customers)
    cold = backend.fit_purchase_tuples("bg_nbd", *args)
    warm = backend.fit_purchase_tuples("bg_nbd", *args, start=(0.3, 5.0, 0.7, 2.0))
    np.testing.assert_allclose(warm.parameters, cold.parameters, rtol=OPTIMUM)


def test_parameters_are_recovered(make_orders: Callable[..., pd.DataFrame]) -> None:
    truth = BGNBDParameters(r=0.6, alpha=25.0, a=0.8, b=2.5)
    spend = GammaGammaParameters(p=5.0, q=4.0, gamma=20.0)
    orders = make_orders(
        truth, customers=4_000, days=365, rng=np.random.default_rng(8), spend=spend
    )
    history = purchase_history(orders, as_of=date(2024, 12, 30), unit_days=1)
    fit, money = fit_bg_nbd(history), fit_gamma_gamma(history)
    assert fit.is_trusted
    assert money.is_trusted
    # Merging orders of a day moves the parameters a little beside their standard errors.
    for found, true in ((fit, truth), (money, spend)):
        distance = np.abs(np.log(values(found.parameters)) - np.log(values(true)))
        errors = np.array(values(found.standard_errors)) / values(found.parameters)
        assert (distance < 3.5 * errors + 0.03).all()
    assert money.is_independent


def test_results_say_themselves(cdnow_history: PurchaseHistory) -> None:
    fit, money = fit_bg_nbd(cdnow_history), fit_gamma_gamma(cdnow_history)
    assert fit.to_frame()["parameter"].tolist() == ["r", "alpha", "a", "b"]
    assert (fit.to_frame()["low"] < fit.to_frame()["estimate"]).all()
    assert "24.6 % leave after a repeat purchase" in fit.sentence()
    assert "35.17 USD" in money.sentence()
    assert money.frequency_correlation == pytest.approx(0.114, abs=5e-4)
    assert "near enough to independent" in money.sentence()
    assert fit.to_dict()["parameters"]["r"] == fit.parameters.r


def test_dependence_is_warned_about(cdnow_history: PurchaseHistory) -> None:
    frame = cdnow_history.customers
    dearer = frame.assign(monetary_value=frame["monetary_value"] * (1 + frame["frequency"]))
    fit = fit_gamma_gamma(history_from_summary(dearer, as_of=AS_OF))
    assert not fit.is_independent
    assert fit.independence.startswith("Warning")
    assert "too low" in fit.independence


def test_no_dropout_is_said_to_be_a_collapse() -> None:
    rng = np.random.default_rng(4)
    n, age = 3_000, 365
    rate = rng.gamma(2.0, size=n) / 60
    bought = [np.flatnonzero(rng.random(age) < -np.expm1(-each)) + 1 for each in rate]
    x = [len(days) for days in bought]
    t_x = [float(days[-1]) if len(days) else 0.0 for days in bought]
    frame = pd.DataFrame(
        {
            "customer_id": range(n),
            "frequency": x,
            "recency": t_x,
            "age": float(age),
            "monetary_value": np.nan,
        }
    )
    history = history_from_summary(frame, as_of=AS_OF, unit_days=1)
    fit = fit_bg_nbd(history)
    assert not fit.is_trusted
    assert "collapsed" in fit.reason
    assert np.isfinite(values(fit.parameters)).all()
    ahead = forecast(history, periods=30, fit=fit)
    assert np.isnan(ahead.orders.estimate)
    assert "collapsed" in ahead.sentence()


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        (base([0], [0.0], [10.0]), "only 1 customers"),
        (base([0] * 200, [0.0] * 200, [10.0] * 200), "only 0 customers with a repeat"),
        (base([0] * 200, [0.0] * 200, [0.0] * 200), "no time to see"),
        (base([1] * 29 + [0] * 200, [5.0] * 29 + [0.0] * 200, 10.0), "only 29 customers with"),
    ],
)
def test_degenerate_bases_have_a_reason(history: PurchaseHistory, reason: str) -> None:
    fit = fit_bg_nbd(history)
    assert reason in fit.reason
    assert not fit.converged
    assert np.isnan(fit.log_likelihood)
    money = fit_gamma_gamma(history)
    assert not money.is_trusted
    ahead = forecast(history, periods=10)
    assert np.isnan(ahead.orders.estimate)
    assert ahead.customers["expected_orders"].isna().all()
    assert reason in ahead.sentence()


def test_everybody_alike_does_not_raise() -> None:
    history = base([3] * 100, [5.0] * 100, [10.0] * 100, [20.0] * 100)
    assert not fit_bg_nbd(history).is_trusted
    money = fit_gamma_gamma(history)
    assert not money.is_trusted
    assert np.isnan(money.frequency_correlation)


def test_failed_search_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "TOLERANCES", (0.0,))
    history = base([1, 2, 0, 4] * 50, [5.0, 6.0, 0.0, 9.5] * 50, 10.0)
    fit = fit_bg_nbd(history, backend="lifetimes")
    assert not fit.converged
    assert "did not converge" in fit.sentence()


def test_alpha_is_checked(cdnow_history: PurchaseHistory) -> None:
    with pytest.raises(DesignError, match="alpha = 1"):
        fit_bg_nbd(cdnow_history, alpha=1)


def test_import_of_the_backend_leaves_pandas_and_warnings_alone() -> None:
    script = """
import sys, warnings
import crm_lab.ltv
loaded = [name for name in ("lifetimes", "matplotlib", "autograd") if name in sys.modules]
assert not loaded, loaded
from crm_lab.ltv.lifetimes_backend import load_lifetimes, pandas_options
options, filters = pandas_options(), list(warnings.filters)
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    load_lifetimes()
assert "lifetimes" in sys.modules
assert pandas_options() == options
assert list(warnings.filters) == filters
assert not seen, seen
assert len(options) > 40 and "mode.chained_assignment" in options
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_fits_print_nothing_and_add_no_filter(
    cdnow_history: PurchaseHistory, capsys: pytest.CaptureFixture[str]
) -> None:
    before = list(warnings.filters)
    fit_bg_nbd(cdnow_history)
    assert list(warnings.filters) == before
    assert capsys.readouterr().out == ""
