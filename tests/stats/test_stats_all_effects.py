"""The attributable share and the total of a comparison."""

from __future__ import annotations

import math

import numpy as np
import pytest

from crm_lab.stats import Comparison, compare_means, compare_means_welch, compare_proportions

# Two routes to the same number differ by rounding only.
ROUNDING = 1e-12


def spend(seed: int = 1) -> Comparison:
    rng = np.random.default_rng(seed)
    y_t, y_c = rng.gamma(2.0, 6.0, 500), rng.gamma(2.0, 5.0, 60)
    return compare_means(y_t, y_c, alpha=0.05, rng=rng, permutations=999)


def test_all_effects_stand_in_their_order() -> None:
    names = [effect.name for effect in spend().all_effects]
    assert names == ["absolute", "relative", "attributable", "total"]
    assert len(spend().effects) == 2


def test_attributable_is_what_would_be_missing() -> None:
    result = compare_proportions(60, 1_000, 40, 1_000, alpha=0.05)
    attributable, relative = result.attributable, result.relative
    assert attributable.estimate == pytest.approx((0.06 - 0.04) / 0.06, rel=ROUNDING)
    for end, turned in ((relative.low, attributable.low), (relative.high, attributable.high)):
        assert turned == pytest.approx(1 - 1 / (1 + end), rel=ROUNDING)
    assert attributable.p_value == relative.p_value


def test_total_is_the_difference_times_the_units() -> None:
    result = spend()
    total, absolute = result.total, result.absolute
    assert total.estimate == pytest.approx(500 * absolute.estimate, rel=ROUNDING)
    assert (total.low, total.high) == (500 * absolute.low, 500 * absolute.high)
    assert total.treatment_value - total.control_value == pytest.approx(
        total.estimate, rel=ROUNDING
    )


def test_every_effect_agrees_with_the_test() -> None:
    for seed in range(20):
        result = spend(seed)
        for effect in result.all_effects:
            assert effect.is_significant == (effect.low > 0 or effect.high < 0)


def test_without_an_event_in_the_control_everything_is_attributable() -> None:
    attributable = compare_proportions(5, 100, 0, 50, alpha=0.05).attributable
    assert attributable.estimate == 1.0
    assert attributable.high == 1.0
    assert attributable.low < 0
    assert attributable.reason == "no unit of arm control has the event"


def test_without_an_event_in_the_treatment_there_is_no_share() -> None:
    result = compare_proportions(0, 100, 5, 50, alpha=0.05, arms=("mail", "control"))
    assert math.isnan(result.attributable.estimate)
    assert result.attributable.reason == "the value of arm mail is not above zero"
    assert result.total.estimate == pytest.approx(-10.0)


def test_an_open_lift_leaves_the_share_open_below() -> None:
    # The treated mean is not clear of zero, so the ratio may be negative.
    result = compare_means_welch([-5.0, 0.0, 9.0], [4.0, 5.0, 6.0], alpha=0.05)
    assert result.relative.low < -1
    attributable = result.attributable
    assert attributable.low == -math.inf
    assert attributable.reason == "the value of arm treatment cannot be told apart from zero"


def test_an_open_upper_end_of_the_lift_is_a_share_of_one() -> None:
    result = compare_means_welch([8.0, 9.0, 10.0, 11.0], [-1.0, 1.0, 3.0], alpha=0.05)
    assert result.relative.high == math.inf
    assert result.attributable.high == 1.0


def test_an_empty_arm_leaves_every_effect_unknown() -> None:
    for effect in compare_proportions(0, 0, 1, 3, alpha=0.05).all_effects:
        assert not effect.is_known
        assert effect.reason == "arm treatment is empty"
        assert not effect.is_significant


def test_the_pooled_error_takes_the_spread_of_both_arms_together() -> None:
    rng = np.random.default_rng(3)
    treated, control = rng.exponential(4.0, 900), rng.exponential(4.0, 60)
    found = compare_means(treated, control, alpha=0.05, rng=rng, permutations=99)
    both = np.concatenate([treated - treated.mean(), control - control.mean()])
    spread = np.sqrt(np.square(both).sum() / (960 - 2))
    expected = spread * np.sqrt(1 / 900 + 1 / 60)
    assert found.pooled_error == pytest.approx(expected)
    shares = compare_proportions(30, 900, 1, 60, alpha=0.05)
    share = 31 / 960
    assert shares.pooled_error == pytest.approx(np.sqrt(share * (1 - share) * (1 / 900 + 1 / 60)))
