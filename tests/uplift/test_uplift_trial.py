from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from crm_lab.errors import DesignError
from crm_lab.uplift import Trial, chance_of, trials_of_arms

SHARES = {"mail": 0.3, "sms": 0.6, "none": 0.1}


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": list("abcdefgh"),
            "arm": ["mail", "mail", "none", "none", "sms", "sms", "mail", "none"],
            "visit": [1, 0, 0, 1, 1, 1, 1, 0],
        }
    )


def read(frame: pd.DataFrame | None = None, **changes: Any) -> Trial:
    settings: dict[str, Any] = {
        "arm_column": "arm",
        "treatment": "mail",
        "control": "none",
        "outcome": "visit",
        "control_arms": ["none"],
        "shares": SHARES,
        "unit_column": "customer_id",
    }
    return Trial.from_frame(table() if frame is None else frame, **(settings | changes))


def test_it_takes_exactly_the_two_arms() -> None:
    trial = read()
    assert (trial.n, trial.n_treatment, trial.n_control) == (6, 3, 3)
    assert trial.unit_ids is not None
    assert trial.unit_ids.tolist() == list("abcdgh")
    assert trial.probability.tolist() == pytest.approx([0.75] * 6)
    assert (trial.metric, trial.treatment, trial.control) == ("visit", "mail", "none")
    assert trial.control_share == pytest.approx(0.25)
    assert trial.is_binary


def test_a_trial_is_read_only() -> None:
    trial = read()
    with pytest.raises(ValueError, match="read-only"):
        trial.outcome[0] = 5.0


def test_another_campaign_is_refused_as_control() -> None:
    with pytest.raises(DesignError, match="sms is named as the control but is not among the arms"):
        read(control="sms")


def test_the_control_is_refused_as_treatment() -> None:
    with pytest.raises(DesignError, match="named as the treatment and among the arms that got"):
        read(treatment="none")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arm_column": "group"}, "no column group"),
        ({"treatment": "letter"}, "no unit in arm letter"),
        ({"shares": None}, "the chance to be treated is not given"),
        ({"shares": {"mail": 0.5}}, "no share is given for arm none"),
        ({"shares": {"mail": 0.9, "none": 0.4}}, "shares above 0 that come to 1"),
        ({"control_arms": "none"}, "control_arms is a text"),
        ({"is_randomised": False, "shares": None}, "no propensity of each unit is given"),
        ({"is_randomised": False}, "no propensity of each unit is given"),
        ({"probability_column": "visit"}, "expected: one of the two"),
    ],
)
def test_bad_settings(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DesignError, match=f"(?i){message}"):
        read(**changes)


def test_units_in_both_arms_are_counted_and_refused() -> None:
    frame = table()
    frame.loc[[2, 3], "customer_id"] = ["a", "b"]
    with pytest.raises(DesignError, match=r"2 units are in both arms \(a, b\)"):
        read(frame)


def test_a_unit_twice_in_an_arm_is_refused() -> None:
    frame = table()
    frame.loc[1, "customer_id"] = "a"
    with pytest.raises(DesignError, match="1 rows repeat a unit of the same arm"):
        read(frame)


def test_a_missing_outcome_is_refused_with_its_count() -> None:
    frame = table().assign(visit=[1.0, np.nan, 0, 1, 1, 1, np.nan, 0])
    with pytest.raises(DesignError, match="2 of 6 units have no finite value"):
        read(frame)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"is_treated": [True, True]}, "arm treatment|arm control has no unit"),
        ({"is_treated": [False, False]}, "arm treatment has no unit"),
        ({"is_treated": [True]}, "2 units but an array of shape"),
        ({"is_treated": [2, 0]}, "neither 0 nor 1"),
        ({"probability": 1.0}, "0 or less, or 1 or more"),
        ({"probability": [0.5, np.nan]}, "a chance to be treated is missing"),
        ({"probability": [0.5]}, "2 outcomes but 1 chances"),
        ({"unit_ids": ["a", None]}, "1 units have no id"),
        ({"probability": None}, "the chance to be treated is not given"),
    ],
)
def test_bad_fields(fields: dict[str, Any], message: str) -> None:
    settings: dict[str, Any] = {"outcome": [1, 0], "is_treated": [1, 0], "probability": 0.5}
    with pytest.raises(DesignError, match=message):
        Trial(**(settings | fields))


def test_observational_data_need_propensities_and_say_so() -> None:
    frame = table().assign(propensity=[0.2, 0.4, 0.6, 0.5, 0.5, 0.5, 0.7, 0.3])
    trial = read(frame, is_randomised=False, shares=None, probability_column="propensity")
    assert trial.evidence == "observational"
    assert not trial.has_one_chance


def test_subset_keeps_everything_that_belongs_to_the_units() -> None:
    trial = read()
    part = trial.subset([True, True, True, True, False, False])
    assert part.n == 4
    assert part.unit_ids is not None
    assert part.unit_ids.tolist() == list("abcd")
    assert part.metric == "visit"
    with pytest.raises(DesignError, match="arm none has no unit"):
        trial.subset(trial.is_treated)


def test_each_treatment_against_the_same_control() -> None:
    trials = trials_of_arms(
        table(),
        arm_column="arm",
        control="none",
        outcome="visit",
        control_arms=["none"],
        shares=SHARES,
    )
    assert {name: trial.n for name, trial in trials.items()} == {"mail": 6, "sms": 5}
    assert trials["sms"].probability[0] == pytest.approx(0.6 / 0.7)


def test_sample_ratio_is_that_of_the_plan() -> None:
    assert read().sample_ratio().shares == pytest.approx({"mail": 0.75, "none": 0.25})
    rng = np.random.default_rng(1)
    lost = Trial(outcome=rng.random(9_000), is_treated=rng.random(9_000) < 0.5, probability=0.6)
    assert lost.sample_ratio().is_mismatch


def test_chance_of_an_arm() -> None:
    assert chance_of("mail", "none", shares=SHARES) == pytest.approx(0.75)
