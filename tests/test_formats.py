"""Numbers as people read them: never more digits than the interval supports."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_lab import formats


@pytest.mark.parametrize(
    ("low", "high", "places"),
    [(12_300, 70_900, -3), (0.5, 0.9, 2), (-3.0, 5.0, 1), (0.001, 0.002, 4), (7.0, 7.0, 2)],
)
def test_two_figures_of_the_width(low: float, high: float, places: int) -> None:
    assert formats.decimals_for(low, high) == places


def test_money_is_rounded_by_its_interval() -> None:
    text = formats.money_interval(41_234.5, 12_345.6, 70_912.3, "RUB")
    assert text == "+41,000 RUB (12,000 to 71,000)"


def test_a_relative_change_names_its_unit_once_per_end() -> None:
    assert formats.percent_interval(0.061, 0.018, 0.105) == "+6.1 % (1.8 to 10.5 %)"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_there_is_said(value: float) -> None:
    assert formats.number(value) == "n/a"
    assert formats.money(value, "RUB") == "n/a"
    assert formats.percent(value) == "n/a"
    assert formats.p_value(value) == "n/a"


@pytest.mark.parametrize(
    ("low", "high", "decimals", "text"),
    [
        (-0.09, 33.0, 0, "-0.09 to 33"),
        (0.004, 33.0, 0, "0.004 to 33"),
        (-20.0, -0.3, 0, "-20 to -0.3"),
        (300.0, 91_000.0, -3, "300 to 91,000"),
        (0.0, 33.0, 0, "0 to 33"),
        (-1e-6, 33.0, 0, "0 to 33"),
    ],
)
def test_an_end_near_zero_keeps_its_side(low: float, high: float, decimals: int, text: str) -> None:
    assert formats.interval(low, high, decimals=decimals) == text


def test_an_open_end_is_said_in_words() -> None:
    assert formats.interval(0.1, math.inf, decimals=1) == "0.1 to no upper bound"
    assert formats.interval(-math.inf, 2, decimals=0) == "no lower bound to 2"


def test_a_p_value_is_never_zero() -> None:
    assert formats.p_value(0.0) == "< 0.001"
    assert formats.p_value(0.0421) == "0.042"


@given(st.floats(-1e12, 1e12), st.floats(1e-6, 1e9))
def test_rounding_never_moves_by_more_than_the_interval_hides(value: float, width: float) -> None:
    places = formats.decimals_for(value - width / 2, value + width / 2)
    assert abs(round(value, places) - value) <= width / 20 + abs(value) * 1e-12


def test_a_long_list_is_cut_with_its_count() -> None:
    assert formats.listing(list("abcdefg"), limit=3) == "a, b, c and 4 more"


def test_a_percentage_with_a_very_wide_interval_is_rounded_to_hundreds() -> None:
    shown = formats.percent_interval(470.45, 272.94, 638.36)
    assert shown == "+47,000 % (27,000 to 64,000 %)"
    assert formats.percent_interval(0.39, -0.38, 1.62) == "+39 % (-38 to 162 %)"
