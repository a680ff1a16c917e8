"""The total of a period under way: by hand, in the limits, and by coverage."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crm_lab.datasets import load_cdnow
from crm_lab.errors import DesignError
from crm_lab.stats.period_totals import (
    LEAST_DAYS,
    LEVEL_DAYS,
    fit_day_shape,
    forecast_period,
    third_of,
    weekday_of,
)

EXACT = 1e-9
COVERAGE = 0.93
"""Least share of 60 runs that a 95 % interval may hold: two standard errors below."""


def days_of(first: str, last: str) -> np.ndarray:
    return np.arange(np.datetime64(first), np.datetime64(last) + 1, dtype="datetime64[D]")


def month(values: np.ndarray, days: np.ndarray, name: str = "2024-05", alpha: float = 0.05):  # type: ignore[no-untyped-def]
    first = np.datetime64(f"{name}-01")
    last = (np.datetime64(name) + 1).astype("datetime64[D]") - 1
    return forecast_period(values, days, first=first, last=last, alpha=alpha)


def test_weekdays_and_thirds_are_those_of_the_calendar() -> None:
    days = days_of("2023-12-20", "2024-03-05")
    calendar = pd.DatetimeIndex(days)
    assert (weekday_of(days) == calendar.weekday).all()
    assert (third_of(days) == np.minimum((calendar.day - 1) // 10, 2)).all()


def test_a_series_without_chance_is_foreseen_exactly() -> None:
    days = days_of("2024-01-01", "2024-05-15")
    week = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 9.0, 4.0])
    found = month(week[weekday_of(days)], days)
    whole = week[weekday_of(days_of("2024-05-01", "2024-05-31"))]
    assert found.total == pytest.approx(whole.sum(), rel=EXACT)
    assert found.low == pytest.approx(found.high)
    assert found.known == whole[:15].sum()
    assert found.expected_share == pytest.approx(whole[:15].sum() / whole.sum())


def test_the_rest_and_its_interval_by_hand() -> None:
    rng = np.random.default_rng(4)
    days = days_of("2024-01-01", "2024-04-20")
    values = rng.gamma(5, 20, days.size)
    found = month(values, days, "2024-04")
    ahead = days_of("2024-04-21", "2024-04-30")

    def rest(known: int, to_come: np.ndarray) -> float:
        shape = fit_day_shape(values[:known], days[:known])
        recent = slice(known - LEVEL_DAYS, known)
        level = values[recent].sum() / shape.of(days[recent]).sum()
        return float(level * shape.of(to_come).sum())

    assert found.rest == pytest.approx(rest(days.size, ahead))
    errors = [
        values[origin : origin + 10].sum() / rest(origin, days[origin : origin + 10]) - 1
        for origin in range(LEAST_DAYS, days.size - 10 + 1)
    ]
    assert found.spread == pytest.approx(math.sqrt(np.mean(np.square(errors))))
    assert found.windows == (len(errors) + LEVEL_DAYS - 1) // LEVEL_DAYS
    half = stats.t.ppf(0.975, found.windows) * found.spread * found.rest
    assert found.high == pytest.approx(found.total + half)
    assert found.low == pytest.approx(found.total - half)
    above = stats.t.cdf((found.total - 1_000) / (found.spread * found.rest), found.windows)
    assert found.probability_of(1_000) == pytest.approx(above)


def test_a_period_that_is_over_is_known() -> None:
    days = days_of("2024-01-01", "2024-05-31")
    found = month(np.ones(days.size), days)
    assert (found.total, found.low, found.high, found.days_ahead) == (31, 31, 31, 0)
    assert found.probability_of(31) == 1.0
    assert found.probability_of(32) == 0.0


def test_a_period_that_has_not_begun_is_foreseen_whole() -> None:
    days = days_of("2023-06-01", "2024-04-25")
    found = month(np.random.default_rng(1).gamma(9, 1, days.size), days)
    assert (found.known, found.days_known, found.days_ahead) == (0, 0, 31)
    assert found.low < found.total < found.high


def test_too_little_history_gives_a_reason_and_no_number() -> None:
    days = days_of("2024-04-01", "2024-05-15")
    short = month(np.ones(days.size), days)
    assert short.reason == f"45 days are known and a forecast needs {LEAST_DAYS}"
    assert math.isnan(short.total)
    assert math.isnan(short.probability_of(10))
    assert short.known == 15
    days = days_of("2024-02-20", "2024-05-10")
    few = month(np.ones(days.size), days)
    assert "the past holds 1 windows of 21 days" in few.reason
    assert few.total == pytest.approx(31)
    assert math.isnan(few.low)
    nothing = month(np.zeros(200), days_of("2023-10-29", "2024-05-15"))
    assert "sum to nothing" in nothing.reason
    gaps = np.where(np.arange(200) % 60 < 20, 1.0, 0.0)
    assert "on some past day" in month(gaps, days_of("2023-10-29", "2024-05-15")).reason
    assert math.isnan(month(np.array([]), np.array([], dtype="datetime64[D]")).total)


def test_what_is_never_negative_is_not_foreseen_negative() -> None:
    rng = np.random.default_rng(3)
    days = days_of("2024-01-01", "2024-05-02")
    lumpy = np.where(rng.random(days.size) < 0.15, 1_000.0 * rng.gamma(0.3, 1, days.size), 0.0)
    found = month(lumpy, days)
    assert found.rest_low == 0.0
    assert found.low == found.known


def test_days_on_which_nothing_is_ever_sold_are_no_trouble() -> None:
    days = days_of("2024-01-01", "2024-05-15")
    closed = np.where(weekday_of(days) == 6, 0.0, 10.0)
    found = month(closed, days)
    assert found.total == pytest.approx(270.0)


def test_thirds_count_only_where_months_agree() -> None:
    days = days_of("2023-05-01", "2024-04-30")
    steady = np.array([1.2, 1.0, 0.8])[third_of(days)]
    noisy = np.random.default_rng(2).gamma(1, 1, days.size)
    thirds = fit_day_shape(steady, days).thirds
    assert thirds[0] == pytest.approx(1.2, abs=0.02)
    assert np.abs(np.array(fit_day_shape(noisy, days).thirds) - 1).max() < 0.1
    assert fit_day_shape(steady[:70], days[:70]).thirds == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("values", "days", "message"),
    [
        (np.ones(3), days_of("2024-01-01", "2024-01-02"), "3 values but 2 days"),
        (np.array([1.0, np.nan]), days_of("2024-01-01", "2024-01-02"), "a value is missing"),
        (np.ones(2), np.array(["2024-01-01", "2024-01-03"], "datetime64[D]"), "gaps"),
        (np.ones(2), np.array(["2024-01-01", "2024-01-01"], "datetime64[D]"), "stand twice"),
    ],
)
def test_wrong_input_is_refused(values: np.ndarray, days: np.ndarray, message: str) -> None:
    with pytest.raises(DesignError, match=message):
        month(values, days)


def test_a_period_that_ends_before_it_begins_is_refused() -> None:
    days = days_of("2024-01-01", "2024-03-01")
    with pytest.raises(DesignError, match="ends on"):
        forecast_period(np.ones(days.size), days, first=days[5], last=days[4], alpha=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("drift", [0.0, 0.01, 0.02])
@pytest.mark.parametrize(("months", "start"), [(5, 15), (11, 10)])
def test_intervals_hold(drift: float, months: int, start: int) -> None:
    rng = np.random.default_rng(8)
    held = runs = 0
    last = np.datetime64("2023-01") + months
    for _ in range(60):
        days = days_of("2023-01-01", str((last + 1).astype("datetime64[D]") - 1))
        level = 1_000 * np.exp(np.cumsum(drift * rng.normal(size=days.size)))
        week = np.array([0.8, 0.8, 0.9, 1.0, 1.2, 1.6, 1.2])[weekday_of(days)]
        values = level * week * np.array([1.1, 1.0, 0.9])[third_of(days)]
        values = values * rng.gamma(10, 0.1, days.size)
        known = days < last.astype("datetime64[D]") + start
        found = month(values[known], days[known], str(last))
        held += found.low <= values[days >= last.astype("datetime64[D]")].sum() <= found.high
        runs += 1
    assert held / runs >= COVERAGE


@pytest.mark.slow
def test_intervals_hold_on_a_real_shop() -> None:
    sales = load_cdnow().groupby("ordered_at")["amount"].sum()
    series = sales.reindex(pd.date_range(sales.index[0], sales.index[-1]), fill_value=0.0)
    days = series.index.to_numpy().astype("datetime64[D]")
    held = runs = 0
    for name in pd.period_range("1997-07", "1998-06", freq="M"):
        inside = days.astype("datetime64[M]") == np.datetime64(str(name))
        for day in (8, 15, 22):
            known = days < np.datetime64(f"{name}-01") + day
            found = month(series.to_numpy()[known], days[known], str(name))
            held += found.low <= series.to_numpy()[inside].sum() <= found.high
            runs += 1
    assert held / runs >= 0.9  # of 36 forecasts, three a month, that go together
