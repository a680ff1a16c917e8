"""Discounted orders: the integral against the closed form, brute force, and refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from crm_lab.errors import DesignError
from crm_lab.ltv import (
    BGBBParameters,
    BGNBDParameters,
    MBGNBDParameters,
    ParetoNBDParameters,
    discounted_expected_purchases,
    expected_purchases,
)
from crm_lab.ltv.discounting import DAYS_PER_YEAR, integrated, within_horizon, without_end

PARETO = ParetoNBDParameters(r=0.55, alpha=10.58, s=0.61, beta=11.67)
BG = BGNBDParameters(r=0.243, alpha=4.414, a=0.793, b=2.426)
MBG = MBGNBDParameters(r=0.525, alpha=6.183, a=0.891, b=1.614)
X, T_X, AGE = np.array([0.0, 2.0, 10.0]), np.array([0.0, 30.43, 35.0]), np.full(3, 38.86)

INTEGRAL = 1e-6
"""The 24 nodes of the integral are good to about 1e-8 for these rates."""

STEPS = 1e-3
"""Orders are discounted at the middle of their week, an endless future is cut after 60 years."""


@pytest.mark.parametrize("rate", [0.05, 0.15, 0.5])
def test_the_integral_agrees_with_the_closed_form_of_pareto_nbd(rate: float) -> None:
    continuous = math.log1p(rate) * 7 / DAYS_PER_YEAR
    closed = discounted_expected_purchases(PARETO, continuous, X, T_X, AGE)
    np.testing.assert_allclose(
        integrated(PARETO, X, T_X, AGE, rate=continuous), closed, rtol=INTEGRAL
    )
    np.testing.assert_allclose(
        without_end(PARETO, X, T_X, AGE, yearly_rate=rate, unit_days=7), closed
    )


@pytest.mark.parametrize("parameters", [BG, MBG])
def test_the_integral_agrees_with_a_very_long_horizon(
    parameters: BGNBDParameters | MBGNBDParameters,
) -> None:
    endless = without_end(parameters, X, T_X, AGE, yearly_rate=0.5, unit_days=28)
    long = within_horizon(parameters, 400, X, T_X, AGE, yearly_rate=0.5, unit_days=28)
    np.testing.assert_allclose(endless, long, rtol=STEPS)


def test_no_rate_and_no_horizon_are_plain_orders() -> None:
    plain = expected_purchases(BG, 39, X, T_X, AGE)
    np.testing.assert_array_equal(
        within_horizon(BG, 39, X, T_X, AGE, yearly_rate=0.0, unit_days=7), plain
    )
    nothing = within_horizon(BG, 0, X, T_X, AGE, yearly_rate=0.1, unit_days=7)
    np.testing.assert_array_equal(nothing, 0.0)


def test_a_higher_rate_gives_less() -> None:
    found = [
        within_horizon(BG, 26.5, X, T_X, AGE, yearly_rate=rate, unit_days=7)
        for rate in (0.0, 0.1, 0.5)
    ]
    assert (found[0] > found[1]).all()
    assert (found[1] > found[2]).all()


@pytest.mark.parametrize("rate", [0.0, -0.1, math.nan, math.inf])
def test_an_endless_future_needs_a_rate(rate: float) -> None:
    with pytest.raises(DesignError, match="yearly rate"):
        without_end(BG, X, T_X, AGE, yearly_rate=rate, unit_days=7)


def test_opportunities_have_no_time() -> None:
    p = BGBBParameters(alpha=1.2, beta=0.75, gamma=0.66, delta=2.78)
    with pytest.raises(DesignError, match="opportunities"):
        without_end(p, [1], [1], [6], yearly_rate=0.1, unit_days=7)
