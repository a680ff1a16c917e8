"""Cross-fitting: nobody is scored by what learned from him."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from crm_lab.errors import DesignError
from crm_lab.uplift.cross_fitting import (
    calibrated,
    calibration_line,
    cross_fit,
    cross_fit_all,
    effect_values,
    expected_outcomes,
    make_folds,
)
from crm_lab.uplift.estimate import Predictions
from crm_lab.uplift.features import Features
from crm_lab.uplift.learners import TLearner
from crm_lab.uplift.lessons import Lesson
from crm_lab.uplift.one_feature import OneFeatureRule
from crm_lab.uplift.pieces import ConstantPiece, FittedEffect, Term
from crm_lab.uplift.trial import Trial

DRAWN_AT = datetime(2024, 5, 1)
N = 1_000


def a_trial(seed: int = 1, n: int = N, probability: float = 0.5) -> tuple[Trial, Features]:
    rng = np.random.default_rng(seed)
    x, is_treated = rng.normal(size=n), rng.random(n) < probability
    y = rng.normal(size=n) + np.where(is_treated, 1.0 + x, 0.0)
    trial = Trial(outcome=y, is_treated=is_treated, probability=probability, metric="spend")
    frame = pd.DataFrame({"row": np.arange(n, dtype=float), "x": x})
    return trial, Features.of(frame, known_at=DRAWN_AT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spy:
    """Remembers whom it learned from and whom it scored."""

    seen: list[tuple[set[float], set[float]]] = field(default_factory=list)
    name: str = "spy"
    is_effect: bool = True

    def fit(self, lesson: Lesson, *, rng: np.random.Generator) -> FittedEffect:
        learned = set(lesson.frame["row"])
        seen = self.seen

        class Encoder:
            names = ("row",)

            def encode(self, frame: pd.DataFrame) -> np.ndarray:
                seen.append((learned, set(frame["row"])))
                return np.zeros((len(frame), 1))

            def unseen(self, frame: pd.DataFrame) -> dict[str, int]:
                return {}

        constant = Term(weight=1.0, pieces=(ConstantPiece(value=float(lesson.outcome.mean())),))
        return FittedEffect(learner="spy", encoder=Encoder(), terms=(constant,))


def test_nobody_is_scored_by_what_learned_from_him() -> None:
    trial, features = a_trial()
    spy = Spy()
    folds = make_folds(trial, rng=np.random.default_rng(1), folds=4, repeats=3)
    cross_fit(spy, features, trial, folds=folds, rng=np.random.default_rng(2), drawn_at=DRAWN_AT)
    assert len(spy.seen) == 12
    for learned, scored in spy.seen:
        assert not learned & scored
        assert len(learned | scored) == N
    for repeat in range(3):
        assert set().union(*(scored for _, scored in spy.seen[4 * repeat : 4 * repeat + 4])) == set(
            range(N)
        )


def test_folds_hold_the_same_share_of_arms_and_buyers() -> None:
    rng = np.random.default_rng(3)
    is_treated = rng.random(N) < 0.9
    trial = Trial(outcome=rng.random(N) < 0.1, is_treated=is_treated, probability=0.9)
    folds = make_folds(trial, rng=rng, folds=5, repeats=2)
    for number in folds.number:
        for values in (trial.is_treated, trial.outcome):
            counts = np.bincount(number, weights=values)
            assert np.ptp(counts) <= 2
    assert (folds.number[0] != folds.number[1]).any()


def test_households_stay_together() -> None:
    trial, _ = a_trial()
    home = np.arange(N) // 3
    folds = make_folds(trial, rng=np.random.default_rng(1), together=home)
    for number in folds.number:
        assert (pd.Series(number).groupby(home).nunique() == 1).all()


def test_too_few_controls_to_learn_from() -> None:
    trial = Trial(outcome=np.arange(100) % 2, is_treated=np.arange(100) < 90, probability=0.9)
    with pytest.raises(DesignError, match="arm control has 10 customers"):
        make_folds(trial, rng=np.random.default_rng(1))


def test_a_feature_from_after_the_draw_is_refused() -> None:
    trial, features = a_trial()
    folds = make_folds(trial, rng=np.random.default_rng(1))
    with pytest.raises(DesignError, match="known only on 2024-05-01"):
        cross_fit(
            TLearner(),
            features,
            trial,
            folds=folds,
            rng=np.random.default_rng(1),
            drawn_at=datetime(2024, 4, 30),
        )


def test_rows_that_do_not_fit() -> None:
    trial, features = a_trial()
    other, _ = a_trial(n=N - 1)
    folds = make_folds(other, rng=np.random.default_rng(1))
    with pytest.raises(DesignError, match="999 customers, features of 1000"):
        cross_fit(
            TLearner(),
            features,
            other,
            folds=folds,
            rng=np.random.default_rng(1),
            drawn_at=DRAWN_AT,
        )
    assert trial.n == N


def test_the_same_learner_twice() -> None:
    trial, features = a_trial()
    folds = make_folds(trial, rng=np.random.default_rng(1))
    with pytest.raises(DesignError, match="two learners have the same name"):
        cross_fit_all(
            [TLearner(), TLearner()],
            features,
            trial,
            folds=folds,
            rng=np.random.default_rng(1),
            drawn_at=DRAWN_AT,
        )


def test_a_denser_outcome_is_learned_from_and_calibrated_back() -> None:
    trial, features = a_trial(n=4_000)
    visits = trial.with_outcome(trial.outcome / 10.0 + 3.0, metric="visits")
    folds = make_folds(trial, rng=np.random.default_rng(1), repeats=1)
    rng = np.random.default_rng(2)
    own, dense = cross_fit_all(
        [TLearner()], features, trial, folds=folds, rng=rng, drawn_at=DRAWN_AT, train_on=[visits]
    )
    np.testing.assert_allclose(dense.effects * 10.0, own.effects, atol=0.02)
    assert (own.trained_on, dense.trained_on) == ("spend", "visits")
    np.testing.assert_allclose(calibrated(dense, trial), calibrated(own, trial), atol=0.02)
    assert calibration_line(own, trial)[1] == pytest.approx(1.0, abs=0.15)


def test_plain_rules_learn_from_the_outcome_of_the_trial_only() -> None:
    trial, features = a_trial()
    folds = make_folds(trial, rng=np.random.default_rng(1), repeats=1)
    fitted = cross_fit_all(
        [TLearner(), OneFeatureRule(feature="x")],
        features,
        trial,
        folds=folds,
        rng=np.random.default_rng(2),
        drawn_at=DRAWN_AT,
        train_on=[trial.with_outcome(trial.outcome > 0, metric="bought")],
    )
    assert [item.label for item in fitted] == [
        "T, linear (spend)",
        "rule: x (spend)",
        "T, linear (bought)",
    ]


def test_scores_that_say_nothing_become_the_mean_effect_or_close_to_it() -> None:
    trial, features = a_trial(n=4_000)
    folds = make_folds(trial, rng=np.random.default_rng(1), repeats=1)
    fitted = cross_fit(
        TLearner(), features, trial, folds=folds, rng=np.random.default_rng(1), drawn_at=DRAWN_AT
    )
    wrong = type(fitted)(
        learner="upside down",
        trained_on="spend",
        effects=-fitted.effects,
        folds=folds,
        is_effect=True,
    )
    money = calibrated(wrong, trial)
    assert np.ptp(money) < 0.2
    assert money.mean() == pytest.approx(effect_values(trial).mean(), abs=0.01)


def test_values_per_customer_add_up_to_the_difference_of_means() -> None:
    trial, features = a_trial(probability=0.8)
    y, arm = trial.outcome, trial.is_treated
    plain = effect_values(trial)
    assert plain.mean() == pytest.approx(y[arm].mean() - y[~arm].mean())
    # brute force of the doubly robust formula
    folds = make_folds(trial, rng=np.random.default_rng(1))
    found = expected_outcomes(features, trial, folds=folds)
    assert isinstance(found, Predictions)
    expected = [
        up - down + ((v - up) / 0.8 if t else -(v - down) / 0.2)
        for up, down, v, t in zip(found.treated, found.control, y, arm, strict=True)
    ]
    np.testing.assert_allclose(effect_values(trial, found), expected)


def test_ranks_lie_within_folds_and_share_ties() -> None:
    trial, features = a_trial()
    folds = make_folds(trial, rng=np.random.default_rng(1), folds=2, repeats=1)
    fitted = cross_fit(
        Spy(), features, trial, folds=folds, rng=np.random.default_rng(1), drawn_at=DRAWN_AT
    )
    # within a fold the spy gives everybody the same
    np.testing.assert_allclose(fitted.ranks, 0.5, atol=2 / N)
