"""Validation and its figures: identities on CDNOW, the gate, degenerate bases."""

from __future__ import annotations

import json
from datetime import date

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from crm_lab.cards import RESULT_MIME
from crm_lab.ltv import Validation, validate
from crm_lab.plots.lifetime import plot_forecast, plot_holdout_by_frequency, plot_tracking


def shop(customers: int, days: list[int], *, amount: float = 10.0) -> pd.DataFrame:
    rows = [
        (f"c{who}", pd.Timestamp("2026-01-01") + pd.Timedelta(days=day), amount)
        for who in range(customers)
        for day in days
    ]
    return pd.DataFrame(rows, columns=["customer_id", "ordered_at", "amount"])


def test_cdnow_is_publishable_and_said_in_words(cdnow_validation: Validation) -> None:
    assert cdnow_validation.publishable
    assert cdnow_validation.reason == ""
    sentence = cdnow_validation.sentence()
    assert "In the 39 weeks held out it expected 1,653 repeat purchases" in sentence
    assert "1,882 happened: 12.1 % too low" in sentence
    assert "would have been worse: 55.7 % too high" in sentence
    assert "Revenue: 60,000 (5" in sentence
    assert "USD came, outside the interval" in sentence


def test_tables_add_up(cdnow_validation: Validation) -> None:
    v = cdnow_validation
    table = v.by_frequency
    assert table["frequency"].tolist() == ["0", "1", "2", "3", "4", "5", "6", "7+"]
    assert table["customers"].sum() == v.n_customers
    assert table["actual_mean"] @ table["customers"] == pytest.approx(v.actual_orders)
    assert table["expected_mean"] @ table["customers"] == pytest.approx(v.expected_orders.estimate)
    track = v.tracking
    assert (track["phase"] == "calibration").sum() == 39
    assert (track["phase"] == "holdout").sum() == 39
    assert track["actual_cumulative"].iloc[-1] == 2457 + 1882
    assert track["actual"].sum() == 2457 + 1882
    later = track[track["phase"] == "holdout"]
    assert later["expected"].sum() == pytest.approx(v.expected_orders.estimate)
    assert later["expected_cumulative"].iloc[-1] == pytest.approx(2457 + v.expected_orders.estimate)
    assert later["until"].iloc[-1] == pd.Timestamp("1998-06-30")


def test_fitted_curve_follows_the_calibration(cdnow_validation: Validation) -> None:
    fitted = cdnow_validation.tracking.query("phase == 'calibration'").iloc[-1]
    # The model reproduces the mean count it was fitted to within 2 % (2,494 to 2,457).
    assert fitted["expected_cumulative"] == pytest.approx(fitted["actual_cumulative"], rel=0.02)


def test_model_beats_both_baselines_on_cdnow(cdnow_validation: Validation) -> None:
    errors = cdnow_validation.errors.set_index("method")
    assert errors.index.tolist() == ["model", "same_rate", "last_period"]
    for measure in ("mean_absolute_error", "root_mean_squared_error"):
        assert errors[measure].idxmin() == "model"
    # The calibration is as long as the holdout: last period again is the repeat count so far.
    assert errors.loc["last_period", "expected"] == pytest.approx(2457 * 39 / (272 / 7))


def test_data_of_the_card_is_small_and_json(cdnow_validation: Validation) -> None:
    bundle = cdnow_validation._repr_mimebundle_()
    assert len(json.dumps(bundle[RESULT_MIME], allow_nan=False)) < 40_000
    assert len(bundle["text/html"]) < 4_000


@pytest.mark.parametrize(
    ("purchases", "reason"),
    [
        (shop(1, [0, 40, 120]), "only 1 customers"),
        (shop(600, [0]), "only 0 customers with a repeat purchase"),
        (shop(600, [99]), "no time to see"),
        (shop(600, [0, 20, 140]), "all customers have the same history"),
    ],
)
def test_degenerate_bases_are_not_for_publication(purchases: pd.DataFrame, reason: str) -> None:
    v = validate(purchases, calibration_end=date(2026, 4, 10), as_of=date(2026, 6, 30))
    assert not v.publishable
    assert reason in v.reason
    assert np.isnan(v.expected_orders.estimate)
    assert v.by_frequency["expected_mean"].isna().all()
    assert v.sentence().startswith("No forecast")
    for draw in (plot_tracking, plot_holdout_by_frequency):
        plt.close(draw(v).figure)
    plt.close(plot_forecast(v.forecast).figure)


def test_short_history_and_short_holdout_are_refused(cdnow: pd.DataFrame) -> None:
    v = validate(cdnow, calibration_end=date(1997, 3, 20), as_of=date(1997, 4, 3), refits=10)
    assert not v.publishable
    assert "only 78 days of history" in v.reason
    assert "only 14 days held out" in v.reason
    assert "Not for publication" in v.sentence()
    assert v.n_newcomers > 0
    assert v.holdout_periods == 2


def test_no_amounts(cdnow: pd.DataFrame) -> None:
    v = validate(
        cdnow[["customer_id", "ordered_at"]],
        calibration_end=date(1997, 9, 30),
        as_of=date(1998, 6, 30),
        refits=10,
    )
    assert v.publishable
    assert np.isnan(v.actual_value)
    assert np.isnan(v.expected_value.estimate)
    axes = v.forecast.plot()
    assert "orders" in axes.get_title()
    plt.close(axes.figure)


def test_figures_ask_and_name_units(cdnow_validation: Validation) -> None:
    figure, axes = plt.subplots(1, 3)
    assert cdnow_validation.plot(ax=axes[0]) is axes[0]
    assert plot_holdout_by_frequency(cdnow_validation, ax=axes[1]) is axes[1]
    assert cdnow_validation.forecast.plot(ax=axes[2]) is axes[2]
    for each in axes:
        assert each.get_title().endswith("?")
        assert each.get_xlabel()
        assert each.get_ylabel()
    assert "39 weeks" in axes[1].get_ylabel()
    assert "(%)" in axes[2].get_ylabel()
    heights = [bar.get_height() for bar in axes[2].patches]
    assert sum(heights) == pytest.approx(100)
    assert heights == sorted(heights, reverse=True)
    plt.close(figure)
