"""A/A calibration: the tests that decide keep their promise on a base of our own making."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crm_lab.errors import DesignError
from crm_lab.experiments.calibration import count_false_positives
from crm_lab.experiments.calibration_results import Calibration, FalsePositives
from crm_lab.workbench import Workbench

DRAWS = 250
ALMOST_NEVER = 1e-4
WINDOW: dict[str, Any] = {"starts_on": date(2024, 3, 1), "pre_period_days": 28}


@pytest.fixture(scope="module")
def calibration(finished: Workbench) -> Calibration:
    return finished.calibrate(**WINDOW, draws=DRAWS, control_share=0.05, seed=3)


def test_the_tests_that_decide_keep_their_promise(calibration: Calibration) -> None:
    ours = [test for test in calibration.tests if test.is_default]
    assert {test.metric for test in ours} == {
        "conversion",
        "revenue per customer",
        "revenue per customer, adjusted",
    }
    for test in ours:
        assert test.draws == DRAWS
        claims = test.lifts + test.drops
        assert stats.binomtest(claims, DRAWS, 0.05, "greater").pvalue > ALMOST_NEVER
        assert test.keeps_promise
    assert "They keep their promise." in calibration.sentence()
    assert calibration.to_dict()["verdict"] == "promise kept"


def test_the_verdict_follows_the_tests_that_decide(calibration: Calibration) -> None:
    worst = dataclasses.replace(calibration.tests[0], lifts=DRAWS // 2, is_default=True)
    other = dataclasses.replace(worst, is_default=False)
    assert dataclasses.replace(calibration, tests=(worst,)).verdict == "promise broken"
    assert dataclasses.replace(calibration, tests=(other,)).verdict == "cannot be said"


def test_a_test_that_always_claims_is_told_to_break_its_promise() -> None:
    broken = FalsePositives(
        metric="m", method="x", draws=200, lifts=30, drops=5, alpha=0.05, is_default=True
    )
    assert not broken.keeps_promise
    assert broken.is_one_sided
    assert broken.rate == pytest.approx(0.175)
    harmless = dataclasses.replace(broken, lifts=5, drops=4)
    assert harmless.keeps_promise
    assert not harmless.is_one_sided


def test_the_same_seed_gives_the_same_calibration(
    calibration: Calibration, finished: Workbench
) -> None:
    first = finished.calibrate(**WINDOW, draws=30, seed=3)
    assert finished.calibrate(**WINDOW, draws=30, seed=3) == first
    assert first.customers == calibration.customers


def test_a_window_in_which_nobody_bought_gives_no_claim_and_no_crash(
    make_workbench: Callable[..., Workbench], small_shop: Callable[..., Any]
) -> None:
    workbench = make_workbench(small_shop(150))
    found = workbench.calibrate(starts_on=date(2025, 1, 1), draws=20, control_share=0.1)
    assert all(test.lifts + test.drops == 0 for test in found.tests)
    assert "Broken promise" not in found.sentence()
    assert isinstance(found.to_frame(), pd.DataFrame)


def test_too_few_customers_are_refused(
    make_workbench: Callable[..., Workbench], small_shop: Callable[..., Any]
) -> None:
    workbench = make_workbench(small_shop(40))
    with pytest.raises(DesignError, match="at least 100"):
        workbench.calibrate(**WINDOW, draws=10)


@pytest.mark.parametrize("changes", [{"control_share": 1.0}, {"control_share": 2.0}, {"draws": 0}])
def test_an_impossible_calibration_is_refused(
    finished: Workbench, changes: dict[str, float]
) -> None:
    with pytest.raises(DesignError):
        finished.calibrate(**(WINDOW | {"draws": 10} | changes))


def test_draws_without_two_controls_are_left_out() -> None:
    frame = pd.DataFrame(
        {
            "revenue": [1.0, 2.0, 3.0, 4.0, 5.0, 0.0],
            "orders": [1, 1, 1, 1, 1, 0],
            "pre_revenue": 0.0,
        }
    )
    groups = [np.array([0]), np.array([0, 1]), np.array([], dtype=np.int64), np.arange(5)]
    tests = count_false_positives(frame, groups, alpha=0.05, rng=np.random.default_rng(1))
    assert {test.draws for test in tests} == {1}
