"""Outside references for crm_lab.uplift: numbers of scikit-uplift and causalml on Hillstrom's test.

The reference ranks within five folds, three times over; the rules need no fitting, so ours are
ranked once. The difference is a small part of the interval, which is what the tolerance says.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crm_lab.errors import DesignError
from crm_lab.uplift import (
    Economics,
    Trial,
    everyone,
    policy_value,
    rank_quality,
    targeting_effect,
    trials_of_arms,
    uplift_at,
    uplift_curve,
)

ALPHA = 0.05
NONE, MENS, WOMENS = "No E-Mail", "Mens E-Mail", "Womens E-Mail"
SHARES = {NONE: 1 / 3, MENS: 1 / 3, WOMENS: 1 / 3}
# Ranks within folds move a coefficient by this part of its interval's half width at most.
OF_HALF_WIDTH = 0.15
# Their 400 resamples know the half width to about 4 %; three of these.
OF_RESAMPLES = 0.12
PUBLISHED = 5e-7
RULES = {
    "rule_womens": lambda frame: frame["womens"],
    "rule_mens": lambda frame: frame["mens"],
    "rule_recent": lambda frame: -frame["recency"],
    "rule_history": lambda frame: frame["history"],
}


@pytest.fixture(scope="module")
def oracle(reference: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (reference / "uplift_oracles.json").read_text(encoding="utf-8")
    )
    return found


@pytest.fixture(scope="module")
def customers(shared_data: Path) -> pd.DataFrame:
    return pd.read_csv(shared_data / "hillstrom.csv.gz")


def trial_of(customers: pd.DataFrame, treatment: str, outcome: str) -> Trial:
    return trials_of_arms(
        customers,
        arm_column="segment",
        control=NONE,
        control_arms=[NONE],
        outcome=outcome,
        shares=SHARES,
    )[treatment]


def score_of(customers: pd.DataFrame, treatment: str, rule: str) -> np.ndarray:
    return RULES[rule](customers[customers["segment"].isin([treatment, NONE])]).to_numpy(float)


def bench(oracle: dict[str, Any], outcome: str, rule: str) -> dict[str, Any]:
    rows = oracle["computed_bench_hillstrom"][f"womens_vs_none/{outcome}"]
    return next(row for row in rows if row["model"] == rule)


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.mark.parametrize("outcome", ["visit", "conversion", "spend"])
@pytest.mark.parametrize("treatment", [MENS, WOMENS])
def test_arms_of_hillstrom(
    oracle: dict[str, Any], customers: pd.DataFrame, treatment: str, outcome: str
) -> None:
    expected = oracle["computed_ab"]["hillstrom"]["arms"][f"{treatment} vs {NONE}"][outcome]
    trial = trial_of(customers, treatment, outcome)
    assert (trial.n_treatment, trial.n_control) == (expected["n_t"], expected["n_c"])
    assert uplift_curve(trial, np.zeros(trial.n)).gain[-1] == pytest.approx(expected["diff"])
    found = policy_value(trial, everyone(trial.n), alpha=ALPHA, rng=rng(), customers=1).outcome
    assert found.estimate == pytest.approx(expected["diff"])
    # Theirs is the normal interval; equal arms leave little to correct.
    half = 1.959964 * expected["se"]
    assert [found.low, found.high] == pytest.approx(expected["ci95"], abs=0.03 * half)
    assert not trial.sample_ratio().is_mismatch


@pytest.mark.parametrize("outcome", ["visit", "conversion", "spend"])
@pytest.mark.parametrize("rule", RULES)
def test_rules_beside_the_reference(
    oracle: dict[str, Any], customers: pd.DataFrame, outcome: str, rule: str
) -> None:
    trial = trial_of(customers, WOMENS, outcome)
    score = score_of(customers, WOMENS, rule)
    expected = bench(oracle, outcome, rule)
    found = uplift_curve(trial, score).coefficients()
    names = {"adj_qini_per1k": "gain", "qini_causalml": "causalml_qini"}
    if trial.is_binary:
        names["qini_sklift"] = "sklift_qini"
    for theirs, ours in names.items():
        middle, low, high = expected[theirs]
        tolerance = (2 if outcome == "spend" else 1) * OF_HALF_WIDTH * (high - low) / 2
        assert found[ours] == pytest.approx(middle, abs=tolerance)
    quality = rank_quality(trial, score, alpha=ALPHA, rng=rng()).value
    _, low, high = expected["adj_qini_per1k"]
    assert quality.high - quality.low == pytest.approx(high - low, rel=OF_RESAMPLES)


@pytest.mark.parametrize("outcome", ["visit", "conversion", "spend"])
@pytest.mark.parametrize("share", [0.1, 0.3])
def test_uplift_at_a_depth_beside_the_reference(
    oracle: dict[str, Any], customers: pd.DataFrame, outcome: str, share: float
) -> None:
    trial = trial_of(customers, WOMENS, outcome)
    score = score_of(customers, WOMENS, "rule_history")
    middle, low, high = bench(oracle, outcome, "rule_history")[f"uplift_at_{share:.0%}"[:-1]]
    found = uplift_at(trial, score, share, alpha=ALPHA, rng=rng())
    assert found.estimate == pytest.approx(middle, abs=OF_HALF_WIDTH * (high - low) / 2)


@pytest.mark.parametrize("cost", [0.0, 0.1, 0.25, 0.5])
def test_value_of_a_mailing_beside_the_doubly_robust_reference(
    oracle: dict[str, Any], customers: pd.DataFrame, cost: float
) -> None:
    key = f"spend|linear|cost={cost:g}|none"
    expected = oracle["computed_policy_hillstrom_aipw"][key]
    trial = trial_of(customers, MENS, "spend")
    found = policy_value(
        trial,
        everyone(trial.n),
        alpha=ALPHA,
        rng=rng(),
        economics=Economics(contact_cost=cost),
        customers=1,
    ).profit
    low, high = expected["vs_all_mens_ci"]
    half = (high - low) / 2
    # Theirs uses covariates and all three arms.
    assert found.estimate == pytest.approx(-expected["vs_all_mens"], abs=0.05 * half)
    assert [found.low, found.high] == pytest.approx([-high, -low], abs=0.1 * half)


def test_ties_are_merged_and_the_order_of_the_file_changes_nothing(
    oracle: dict[str, Any], customers: pd.DataFrame
) -> None:
    traps = oracle["computed_traps"]
    trial = trial_of(customers, WOMENS, "visit")
    score = score_of(customers, WOMENS, "rule_womens")
    found = uplift_curve(trial, score).coefficients()["causalml_qini"]
    assert found == pytest.approx(traps["tie_aware"], abs=1e-3)
    constant = traps["causalml_constant_score_qini_on_row_order"]
    order = np.argsort(trial.outcome, kind="stable")
    by_outcome = Trial(
        outcome=trial.outcome[order], is_treated=trial.is_treated[order], probability=0.5
    )
    flat = uplift_curve(by_outcome, np.ones(trial.n)).coefficients()["causalml_qini"]
    assert flat == pytest.approx(constant["truth"], abs=1e-9)
    assert constant["file sorted by outcome"] < -10


def test_a_ranking_turned_around_is_not_as_good_as_itself(
    oracle: dict[str, Any], customers: pd.DataFrame
) -> None:
    same = oracle["computed_traps"]["econml_inverted_ranking_p"]
    assert same[0] == pytest.approx(same[1], abs=0.002)
    trial = trial_of(customers, WOMENS, "visit")
    score = score_of(customers, WOMENS, "rule_womens")
    ahead = targeting_effect(trial, score, alpha=ALPHA, rng=rng())
    behind = targeting_effect(trial, -score, alpha=ALPHA, rng=rng())
    assert ahead.low > 0 > behind.high


def test_the_other_mail_is_refused_as_control(customers: pd.DataFrame) -> None:
    with pytest.raises(DesignError, match="named as the control but is not among the arms that"):
        Trial.from_frame(
            customers,
            arm_column="segment",
            treatment=WOMENS,
            control=MENS,
            control_arms=[NONE],
            outcome="visit",
            shares=SHARES,
        )


def test_published_visit_rates(oracle: dict[str, Any], customers: pd.DataFrame) -> None:
    published = oracle["published"]["hillstrom_visit_rates"]
    for name, treatment in (("Mens", MENS), ("Womens", WOMENS)):
        trial = trial_of(customers, treatment, "visit")
        treated, control = (
            trial.outcome[arm].mean() for arm in (trial.is_treated, ~trial.is_treated)
        )
        assert treated == pytest.approx(published[name], abs=PUBLISHED)
        assert control == pytest.approx(published["None"], abs=PUBLISHED)
