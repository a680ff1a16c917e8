from __future__ import annotations

import math

import pytest
from scipy import stats as scipy_stats

from crm_lab.errors import DesignError
from crm_lab.stats import sample_ratio_test


def test_agrees_with_scipy_on_three_arms() -> None:
    observed, shares = {"a": 950, "b": 1_020, "c": 105}, {"a": 0.45, "b": 0.5, "c": 0.05}
    check = sample_ratio_test(observed, shares)
    theirs = scipy_stats.chisquare(list(observed.values()), [2_075 * s for s in shares.values()])
    assert check.statistic == pytest.approx(theirs.statistic, rel=1e-12)
    assert check.p_value == pytest.approx(theirs.pvalue, rel=1e-12)
    assert check.degrees_of_freedom == 2


def test_a_mismatch_is_said() -> None:
    check = sample_ratio_test({"control": 7_000, "mail": 93_000}, {"control": 0.05, "mail": 0.95})
    assert check.is_mismatch
    assert check.sentence().startswith("The arms do not have their planned shares: control holds")
    assert "7.00 % of 100,000 units against 5.00 % planned (p < 0.001)" in check.sentence()


def test_the_planned_shares_are_said() -> None:
    check = sample_ratio_test({"control": 5_010, "mail": 94_990}, {"control": 0.05, "mail": 0.95})
    assert not check.is_mismatch
    assert check.sentence().startswith("The arms have their planned shares")


def test_units_in_an_arm_without_share_are_a_mismatch_of_their_own() -> None:
    check = sample_ratio_test(
        {"control": 5_010, "mail": 94_990, "paused": 3, "sms": 1},
        {"control": 0.05, "mail": 0.95, "paused": 0.0},
    )
    assert check.unplanned == {"paused": 3, "sms": 1}
    assert check.is_mismatch
    assert check.p_value > 0.5
    assert "paused (3), sms (1)" in check.sentence()
    frame = check.to_frame().set_index("variant")
    assert frame.loc["paused", "planned_share"] == 0
    assert frame.loc["mail", "expected"] == pytest.approx(95_000)


def test_the_order_of_the_arms_does_not_matter() -> None:
    one = sample_ratio_test({"c": 60, "m": 840}, {"c": 0.05, "m": 0.95})
    other = sample_ratio_test({"m": 840, "c": 60}, {"m": 0.95, "c": 0.05})
    assert one.p_value == pytest.approx(other.p_value, rel=1e-9)
    assert one.method == "exact binomial test"


def test_a_rare_arm_is_tested_exactly() -> None:
    check = sample_ratio_test({"c": 0, "m": 2_000}, {"c": 0.004, "m": 0.996})
    assert check.method == "exact binomial test"
    assert check.p_value == pytest.approx(scipy_stats.binomtest(0, 2_000, 0.004).pvalue)


def test_a_planned_arm_that_is_missing_has_no_units() -> None:
    check = sample_ratio_test({"mail": 2_000}, {"control": 0.05, "mail": 0.95})
    assert check.observed == {"mail": 2_000, "control": 0}
    assert check.is_mismatch


@pytest.mark.parametrize(
    ("observed", "shares", "reason"),
    [
        ({}, {"a": 0.5, "b": 0.5}, "no planned arm holds a unit"),
        ({"a": 5}, {"a": 1.0}, "the plan has one arm"),
    ],
)
def test_what_cannot_be_checked(
    observed: dict[str, int], shares: dict[str, float], reason: str
) -> None:
    check = sample_ratio_test(observed, shares)
    assert math.isnan(check.p_value)
    assert check.reason == reason
    assert not check.is_mismatch
    assert reason in check.sentence()


@pytest.mark.parametrize(
    ("observed", "shares", "message"),
    [
        ({"a": -1}, {"a": 0.5, "b": 0.5}, "units of arm a is -1"),
        ({"a": 1}, {"a": 0.5, "b": 0.4}, "the shares sum to 0.9"),
        ({"a": 1}, {"a": 1.5, "b": -0.5}, "share of arm b is -0.5"),
        ({"a": 1}, {"a": math.nan, "b": 0.5}, "share of arm a is nan"),
    ],
)
def test_impossible_inputs(
    observed: dict[str, int], shares: dict[str, float], message: str
) -> None:
    with pytest.raises(DesignError, match=message):
        sample_ratio_test(observed, shares)
