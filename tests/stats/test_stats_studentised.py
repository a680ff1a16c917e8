from __future__ import annotations

import math

import numpy as np
import pytest

from crm_lab.stats import compare_means_welch
from crm_lab.stats.studentised import (
    ArmEstimate,
    Labels,
    Quantiles,
    comparison,
    no_comparison,
    t_quantiles,
)

# Two routes to the same number differ by rounding only.
ROUNDING = 1e-12
LABELS = Labels(alpha=0.05, method="example", metric="spend", arms=("mail", "control"))


def arm(values: np.ndarray) -> ArmEstimate:
    return ArmEstimate(
        value=float(values.mean()),
        squared_error=float(values.var(ddof=1)) / values.size,
        n=values.size,
    )


def test_it_is_welch_with_the_quantiles_of_welch() -> None:
    rng = np.random.default_rng(1)
    y_t, y_c = rng.gamma(2.0, 6.0, 300), rng.gamma(2.0, 5.0, 40)
    first, second = arm(y_t), arm(y_c)
    squared = first.squared_error + second.squared_error
    degrees = squared**2 / (first.squared_error**2 / 299 + second.squared_error**2 / 39)
    t = (first.value - second.value) / math.sqrt(squared)
    found = comparison(first, second, t_quantiles(t, degrees, alpha=0.05), LABELS)
    welch = compare_means_welch(y_t, y_c, alpha=0.05)
    for ours, theirs in zip(found.effects, welch.effects, strict=True):
        assert (ours.estimate, ours.low, ours.high, ours.p_value) == pytest.approx(
            (theirs.estimate, theirs.low, theirs.high, theirs.p_value), rel=ROUNDING
        )


def test_endless_degrees_of_freedom_are_the_normal_distribution() -> None:
    normal, many = (t_quantiles(2.0, df, alpha=0.05) for df in (math.inf, 1e9))
    assert normal.high == pytest.approx(1.959964, abs=1e-6)
    assert many.p_value == pytest.approx(normal.p_value, rel=1e-6)


def test_a_covariance_narrows_the_difference() -> None:
    one = ArmEstimate(value=12.0, squared_error=1.0, n=10)
    other = ArmEstimate(value=10.0, squared_error=1.0, n=10)
    judged = Quantiles(p_value=0.1, low=-2.0, high=2.0)
    found = comparison(
        one, other, judged, LABELS, covariance=0.5, no_relative="clusters are shared"
    )
    assert (found.absolute.low, found.absolute.high) == pytest.approx((0.0, 4.0), abs=ROUNDING)
    assert found.relative.reason == "clusters are shared"


def test_open_quantiles_are_open_ends_with_a_reason() -> None:
    one = ArmEstimate(value=12.0, squared_error=1.0, n=10)
    judged = Quantiles(p_value=0.2, low=-math.inf, high=math.inf)
    found = comparison(one, one, judged, LABELS, open_reason="there are too few shops")
    for effect in found.effects:
        assert (effect.low, effect.high) == (-math.inf, math.inf)
        assert effect.reason == "there are too few shops"


@pytest.mark.parametrize(
    ("treated", "control", "reason"),
    [
        ((3.0, 1.0), (-1.0, 1.0), "the value of arm control is not above zero"),
        ((3.0, 0.0), (1.0, 1.0), "the values of arm mail do not vary"),
    ],
)
def test_no_relative_lift(
    treated: tuple[float, float], control: tuple[float, float], reason: str
) -> None:
    first, second = (
        ArmEstimate(value=value, squared_error=error, n=10) for value, error in (treated, control)
    )
    found = comparison(first, second, t_quantiles(1.0, 10.0, alpha=0.05), LABELS)
    assert found.relative.reason == reason
    assert math.isnan(found.relative.estimate)
    assert found.absolute.is_known


def test_nothing_is_nan_with_a_reason() -> None:
    found = no_comparison(
        ArmEstimate(value=1.0, squared_error=math.nan, n=1),
        ArmEstimate(value=math.nan, squared_error=math.nan, n=0),
        LABELS,
        reason="arm control is empty",
    )
    assert [effect.reason for effect in found.effects] == ["arm control is empty"] * 2
    assert math.isnan(found.absolute.p_value)
    assert found.absolute.treatment_value == 1.0
