"""The effect by segment, what to send to whom, and drift."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from crm_lab.errors import DesignError
from crm_lab.uplift.arm_effects import ArmEffects, ArmTrial, arm_effects
from crm_lab.uplift.drift import Reference, drift, stability_index
from crm_lab.uplift.features import Features
from crm_lab.uplift.policy import Economics
from crm_lab.uplift.segment_effects import segment_effects
from crm_lab.uplift.trial import Trial

AT = datetime(2024, 5, 1)
N = 6_000
MONEY = Economics(margin=0.5, contact_cost=1.0, currency="EUR")


def a_trial(seed: int = 2) -> tuple[Trial, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    region = rng.choice(["north", "south"], N)
    arm = rng.random(N) < 0.5
    y = rng.gamma(2.0, 2.0, N) + np.where(arm & (region == "south"), 6.0, 0.0)
    frame = pd.DataFrame({"region": region, "noise": rng.normal(size=N)})
    return Trial(outcome=y, is_treated=arm, probability=0.5, metric="spend"), frame


def test_segments_are_differences_of_means_in_money() -> None:
    trial, frame = a_trial()
    found = segment_effects(
        Features.of(frame, known_at=AT),
        trial,
        economics=MONEY,
        alpha=0.05,
        rng=np.random.default_rng(1),
        contact=frame["region"] == "south",
        permutations=300,
    )
    for row in found.of("region"):
        here = frame["region"].to_numpy() == row.group
        y, arm = trial.outcome[here], trial.is_treated[here]
        assert row.estimate == pytest.approx(0.5 * (y[arm].mean() - y[~arm].mean()))
        assert row.n == here.sum()
        assert row.chosen == (row.group == "south")
        assert row.pays == ("yes" if row.group == "south" else "no")
    assert found.differing == ("region",)
    sentence = found.sentence()
    assert "differs by region" in sentence
    assert "it is south" in sentence
    assert "By 1 other features no difference is shown." in sentence
    assert len(found.card_frame()) == len(found.to_frame()) == 5


def test_where_nothing_differs_that_is_said() -> None:
    trial, frame = a_trial()
    found = segment_effects(
        Features.of(frame[["noise"]], known_at=AT),
        trial,
        economics=MONEY,
        alpha=0.05,
        rng=np.random.default_rng(1),
        permutations=300,
    )
    assert "do not show that the effect differs" in found.sentence()


def test_a_segment_without_a_control_has_no_number() -> None:
    trial, frame = a_trial()
    lone = frame.assign(region=np.where(trial.is_treated & (frame["noise"] > 3), "moon", "earth"))
    found = segment_effects(
        Features.of(lone, known_at=AT),
        trial,
        economics=MONEY,
        alpha=0.05,
        rng=np.random.default_rng(1),
        names=["region"],
        permutations=300,
    )
    moon = next(row for row in found.rows if row.group == "moon")
    assert np.isnan(moon.estimate)
    assert moon.reason
    assert moon.pays == "no estimate"


def test_no_such_feature_and_rows_that_do_not_fit() -> None:
    trial, frame = a_trial()
    features = Features.of(frame, known_at=AT)
    options = {"economics": MONEY, "alpha": 0.05, "rng": np.random.default_rng(1)}
    with pytest.raises(DesignError, match="there is no feature 'age'"):
        segment_effects(features, trial, names=["age"], **options)  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="6000 customers and features of 5"):
        segment_effects(Features.of(frame[:5], known_at=AT), trial, **options)  # type: ignore[arg-type]


def three_arms(effects: dict[str, tuple[float, float]], seed: int = 1) -> ArmEffects:
    """Two segments; each arm's effects in them."""
    rng = np.random.default_rng(seed)
    names = ["control", *effects]
    arm = rng.choice(names, 9_000)
    segment = rng.choice(["new", "old"], 9_000)
    y = rng.gamma(2.0, 2.0, 9_000)
    for name, (new, old) in effects.items():
        y += np.where(arm == name, np.where(segment == "new", new, old), 0.0)
    frame = pd.DataFrame({"arm": arm, "segment": segment, "spend": y})
    shares = dict.fromkeys(names, 1 / len(names))
    arms = {}
    for name in effects:
        rows = frame[frame["arm"].isin([name, "control"])]
        trial = Trial.from_frame(
            rows,
            arm_column="arm",
            treatment=name,
            control="control",
            outcome="spend",
            control_arms=["control"],
            shares=shares,
        )
        arms[name] = ArmTrial(
            trial=trial,
            segments=rows["segment"].to_numpy(),
            economics=Economics(contact_cost=0.5, currency="EUR"),
        )
    return arm_effects(arms, alpha=0.05, rng=rng, permutations=300)


def test_the_best_arm_of_each_segment_and_nobody_where_none_pays() -> None:
    found = three_arms({"email": (3.0, 0.0), "call": (1.0, 0.0)})
    by_segment = {choice.segment: choice for choice in found.choices}
    assert by_segment["new"].arm == "email"
    assert by_segment["new"].holm < 0.05
    assert by_segment["old"].arm == "nobody"
    assert by_segment["old"].holm < 0.05
    assert "email for 'new'" in found.sentence()


def test_arms_that_cannot_be_told_apart_have_no_winner() -> None:
    found = three_arms({"email": (2.0, 2.0), "call": (2.0, 2.0)})
    assert not found.certain()
    assert "not a finding" in found.sentence()
    assert not found.card_frame()["shown to earn most"].any()


def test_values_of_customers_come_from_their_segment_and_the_mean_elsewhere() -> None:
    found = three_arms({"email": (3.0, 0.0), "call": (1.0, 0.0)})
    values = found.values(["new", "old", "unheard of"])
    table = found.to_frame().pivot_table(index="segment", columns="arm", values="shrunken")
    np.testing.assert_allclose(values[0], table.loc["new", ["email", "call"]])
    np.testing.assert_allclose(values[1], table.loc["old", ["email", "call"]])
    assert values[1, 0] < values[2, 0] < values[0, 0]


def test_arms_that_do_not_go_together() -> None:
    trial, frame = a_trial()
    good = ArmTrial(trial=trial, segments=frame["region"].to_numpy(), economics=MONEY)
    rng = np.random.default_rng(1)
    with pytest.raises(DesignError, match="there is no arm"):
        arm_effects({}, alpha=0.05, rng=rng)
    short = ArmTrial(trial=trial, segments=["north"], economics=MONEY)
    with pytest.raises(DesignError, match="segments of shape"):
        arm_effects({"a": short}, alpha=0.05, rng=rng)
    other = ArmTrial(
        trial=trial.with_outcome(trial.outcome, metric="visits"),
        segments=frame["region"].to_numpy(),
        economics=MONEY,
    )
    with pytest.raises(DesignError, match="the arms differ in metric"):
        arm_effects({"a": good, "b": other}, alpha=0.05, rng=rng)


def test_stability_index_by_hand() -> None:
    before, now = [0.2, 0.3, 0.5], [0.3, 0.3, 0.4]
    expected = sum((b - a) * np.log(b / a) for a, b in zip(before, now, strict=True))
    assert stability_index(before, now) == pytest.approx(expected)
    assert stability_index(before, before) == 0.0


def test_no_drift_is_rarely_claimed_and_drift_is_named() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {"spend": rng.lognormal(0, 1, 5_000), "region": rng.choice(["a", "b"], 5_000)}
    )
    kept = Reference.of(frame, frame["spend"])
    again = pd.DataFrame(
        {"spend": rng.lognormal(0, 1, 3_000), "region": rng.choice(["a", "b"], 3_000)}
    )
    calm = drift(kept, again, again["spend"])
    assert {row.change for row in calm.rows} == {"none shown"}
    assert "are like those" in calm.sentence()
    moved = again.assign(region=np.where(rng.random(3_000) < 0.8, "c", again["region"]))
    found = drift(kept, moved, moved["spend"])
    assert found.is_large
    assert "region (large; any other: 0.0 % then" in found.sentence()
    assert [row.name for row in found.rows][:2] == ["score", "region"]


def test_drift_of_nobody_and_of_missing_features() -> None:
    frame = pd.DataFrame({"spend": [1.0, 2.0, np.nan]})
    kept = Reference.of(frame, [1.0, 2.0, 3.0])
    assert drift(kept, frame[:0], []).sentence() == "There is nobody to compare."
    with pytest.raises(DesignError, match="not there: spend"):
        drift(kept, pd.DataFrame({"other": [1.0]}), [1.0])
