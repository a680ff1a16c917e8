"""Effects that each customer gets from models that never saw him, learned several times over.

A model scored on what it learned from looks better than it is. So customers are cut into folds
and each fold is scored by models of the others; and since one random cut moves a Qini coefficient
by a fifth of its value, it is done anew several times and averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats as scipy_stats
from tqdm.auto import tqdm

from crm_lab import formats
from crm_lab.errors import DesignError
from crm_lab.language import say
from crm_lab.stats.arguments import FloatArray, check_count
from crm_lab.uplift import wording
from crm_lab.uplift.estimate import Predictions
from crm_lab.uplift.features import Encoder, Features
from crm_lab.uplift.learners import TwoPartLearner
from crm_lab.uplift.lessons import Learner, Lesson
from crm_lab.uplift.one_feature import OneFeatureRule
from crm_lab.uplift.pieces import Models, fit_piece, linear_models
from crm_lab.uplift.trial import Trial

FOLDS, REPEATS = 5, 3
SMALLEST_ARM = 10
"""Customers that each arm of each fold must hold."""
FoldArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Folds:
    """How customers are cut, the same for every learner so that they can be compared.

    Attributes
    ----------
    number : ndarray of int, shape (repeats, n)
        Fold of each customer in each repeat, from 0.
    """

    number: FoldArray

    @property
    def repeats(self) -> int:
        """How often customers are cut anew."""
        return int(self.number.shape[0])

    @property
    def count(self) -> int:
        """Folds of one cut."""
        return int(self.number.max()) + 1


def make_folds(
    trial: Trial,
    *,
    rng: np.random.Generator,
    folds: int = FOLDS,
    repeats: int = REPEATS,
    together: ArrayLike | None = None,
) -> Folds:
    """Cut customers into folds of equal size, with the same share of each arm and of buyers.

    Parameters
    ----------
    trial : Trial
        The customers.
    rng : numpy.random.Generator
        Source of chance.
    folds, repeats : int
        How many folds, and how often customers are cut anew.
    together : array-like, shape (n,), optional
        Customers with the same value (a household) stay in one fold.

    Raises
    ------
    DesignError
        There are too few customers in an arm for so many folds.

    Examples
    --------
    >>> trial = Trial(outcome=np.arange(40) % 2, is_treated=np.arange(40) < 20, probability=0.5)
    >>> cut = make_folds(trial, rng=np.random.default_rng(1), folds=2, repeats=1)
    >>> np.bincount(cut.number[0])
    array([20, 20])
    """
    check_count(folds, "folds", minimum=2)
    check_count(repeats, "repeats", minimum=1)
    least = min(trial.n_treatment, trial.n_control)
    if least < SMALLEST_ARM * folds:
        arm = trial.treatment if trial.n_treatment == least else trial.control
        raise DesignError(
            say("arm {arm} has {count} customers", arm=arm, count=formats.number(least)),
            expected=say(
                "at least {least} to learn in {folds} folds",
                least=SMALLEST_ARM * folds,
                folds=folds,
            ),
            remedy=say("compare the arms as a whole, or learn from a larger test"),
        )
    number = np.empty((repeats, trial.n), dtype=np.int64)
    if together is not None:
        _, group = np.unique(np.asarray(together), return_inverse=True)
        groups = int(group.max()) + 1
        for repeat in range(repeats):
            number[repeat] = rng.permutation(np.arange(groups) % folds)[group]
        return Folds(number=number)
    kind = 2 * trial.is_treated + (trial.outcome > 0)
    for repeat in range(repeats):
        shuffled = rng.permutation(trial.n)
        ordered = shuffled[np.argsort(kind[shuffled], kind="stable")]
        number[repeat, ordered] = np.arange(trial.n) % folds
    return Folds(number=number)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CrossFitted:
    """The effects that one learner expects, each customer by models that did not see him.

    Attributes
    ----------
    learner : str
        Name of the learner.
    trained_on : str
        Outcome that it learned from.
    effects : ndarray, shape (repeats, n)
        Expected effect of each customer, one row per cut; in the unit of ``trained_on``.
    folds : Folds
        The cuts.
    is_effect : bool
        Whether the numbers are effects, or only rank customers.
    """

    learner: str
    trained_on: str
    effects: FloatArray
    folds: Folds
    is_effect: bool

    @property
    def label(self) -> str:
        """Name of the learner with what it was trained on."""
        return f"{self.learner} ({self.trained_on})"

    @property
    def effect(self) -> FloatArray:
        """Mean over the cuts of the effect that is expected of each customer."""
        return np.asarray(self.effects.mean(axis=0))

    @property
    def ranks(self) -> FloatArray:
        """Rank of each customer within his fold, 0 to 1, one row per cut: (repeats, n).

        Models of different folds may lie at different levels; ranks do not. Ties share a rank.
        """
        ranks = np.empty_like(self.effects)
        for row, effects, number in zip(ranks, self.effects, self.folds.number, strict=True):
            for fold in range(self.folds.count):
                here = number == fold
                row[here] = scipy_stats.rankdata(effects[here]) / here.sum()
        return ranks


def cross_fit(
    learner: Learner,
    features: Features,
    trial: Trial,
    *,
    folds: Folds,
    rng: np.random.Generator,
    drawn_at: datetime,
    train_on: Trial | None = None,
) -> CrossFitted:
    """Score every customer by models that did not see him.

    Parameters
    ----------
    learner : Learner
        What learns.
    features : Features
        One row per customer of the trial, in its order.
    trial : Trial
        Arms and outcome.
    folds : Folds
        The cuts.
    rng : numpy.random.Generator
        Source of chance of the learner.
    drawn_at : datetime.datetime
        When the arms were drawn (UTC); features that look further are refused.
    train_on : Trial, optional
        The same customers with an outcome that is less rare (visits for purchases), to learn from
        instead.

    Raises
    ------
    DesignError
        Rows do not fit, a feature looks past the draw, or the learner refuses the data.
    """
    features.check_before(drawn_at)
    taught = trial if train_on is None else train_on
    if len(features.frame) != trial.n or taught.n != trial.n:
        raise DesignError(
            say(
                "{n} customers, features of {rows}, {taught} to learn from",
                n=trial.n,
                rows=len(features.frame),
                taught=taught.n,
            ),
            expected=say("one row per customer, in the same order"),
        )
    if not np.array_equal(taught.is_treated, trial.is_treated):
        raise DesignError(
            say("the outcome to learn from belongs to other arms"),
            expected=say("the same customers in the same arms"),
        )
    lesson = Lesson(
        frame=features.frame,
        outcome=taught.outcome,
        is_treated=taught.is_treated,
        probability=taught.probability,
    )
    effects = np.empty((folds.repeats, trial.n))
    for repeat, number in enumerate(folds.number):
        for fold in range(folds.count):
            held = number == fold
            fitted = learner.fit(lesson.of(~held), rng=rng)
            effects[repeat, held] = fitted.effect(features.rows(held))
    return CrossFitted(
        learner=learner.name,
        trained_on=taught.metric,
        effects=effects,
        folds=folds,
        is_effect=learner.is_effect,
    )


def cross_fit_all(
    learners: Sequence[Learner],
    features: Features,
    trial: Trial,
    *,
    folds: Folds,
    rng: np.random.Generator,
    drawn_at: datetime,
    train_on: Sequence[Trial] = (),
    progress: bool = False,
) -> tuple[CrossFitted, ...]:
    """Cross-fit every learner on the outcome, and on each denser one where it can.

    Parameters
    ----------
    learners, features, trial, folds, rng, drawn_at
        As in `cross_fit`.
    train_on : sequence of Trial
        Outcomes to learn from besides the trial's own. One-feature rules learn from the trial's
        own only, since they would rank nearly alike, and so does the two-part learner, which is
        made for amounts.
    progress : bool
        Whether to show a progress bar on standard error.
    """
    if len({item.name for item in learners}) < len(learners):
        raise DesignError(say("two learners have the same name"), expected=say("a name for each"))
    jobs = [(item, trial) for item in learners]
    jobs += [
        (item, taught)
        for taught in train_on
        for item in learners
        if not isinstance(item, OneFeatureRule | TwoPartLearner)
    ]
    children = rng.spawn(len(jobs))
    bar = tqdm(
        jobs,
        desc=say(wording.PROGRESS),
        unit=say("learner"),
        disable=not progress,
        leave=False,
    )
    found = []
    for (learner, taught), child in zip(bar, children, strict=True):
        fitted = cross_fit(
            learner,
            features,
            trial,
            folds=folds,
            rng=child,
            drawn_at=drawn_at,
            train_on=taught,
        )
        found.append(fitted)
    return tuple(found)


def calibrated(
    fitted: CrossFitted, trial: Trial, *, predictions: Predictions | None = None
) -> FloatArray:
    """Turn scores into effects in the unit of the trial's outcome, by what the data show.

    Scores of a response model or of a denser outcome are no effects of this outcome, and effects
    of flexible learners are spread too far. The doubly robust values of the outcome are laid
    straight against the scores; for each fold the line comes from the other folds. A line that
    falls says that the scores say nothing, and everybody gets the mean effect.

    Parameters
    ----------
    fitted : CrossFitted
        The scores.
    trial : Trial
        The outcome.
    predictions : Predictions, optional
        Expected outcomes in both arms from models that did not see the customer; they make the
        line steadier.

    Returns
    -------
    ndarray, shape (n,)
        Mean over the cuts.
    """
    values = effect_values(trial, predictions)
    total = np.zeros(trial.n)
    for scores, number in zip(fitted.effects, fitted.folds.number, strict=True):
        for fold in range(fitted.folds.count):
            here = number == fold
            intercept, slope = _line(scores[~here], values[~here])
            total[here] += intercept + slope * scores[here]
    return total / fitted.folds.repeats


def calibration_line(
    fitted: CrossFitted, trial: Trial, *, predictions: Predictions | None = None
) -> tuple[float, float]:
    """Give the line of `calibrated` from all folds: intercept and slope, for new customers."""
    values = effect_values(trial, predictions)
    lines = [_line(scores, values) for scores in fitted.effects]
    means = np.asarray(lines).mean(axis=0)
    return float(means[0]), float(means[1])


def effect_values(trial: Trial, predictions: Predictions | None = None) -> FloatArray:
    """Give one noisy value per customer whose mean over any group is the effect in the group.

    Doubly robust with predictions; without them, weighted by the known chance about the mean of
    each arm.
    """
    y, treated, chance = trial.outcome, trial.is_treated, trial.probability
    if predictions is None:
        up = np.full(trial.n, np.average(y[treated], weights=1.0 / chance[treated]))
        down = np.full(trial.n, np.average(y[~treated], weights=1.0 / (1.0 - chance[~treated])))
    else:
        up, down = predictions.treated, predictions.control
    return np.asarray(
        up - down + treated * (y - up) / chance - ~treated * (y - down) / (1.0 - chance)
    )


def expected_outcomes(
    features: Features,
    trial: Trial,
    *,
    folds: Folds,
    models: Models | None = None,
) -> Predictions:
    """Predict the outcome of each customer in both arms, by models that did not see him.

    Parameters
    ----------
    features : Features
        One row per customer.
    trial : Trial
        Arms and outcome.
    folds : Folds
        The cuts; the first is used.
    models : Models, optional
        What predicts; linear by default.
    """
    chosen = models or linear_models()
    model = chosen.outcome_model(trial.outcome)
    arms = {True: np.empty(trial.n), False: np.empty(trial.n)}
    number = folds.number[0]
    for fold in range(folds.count):
        held = number == fold
        encoder = Encoder.fit(features.rows(~held), missing=chosen.missing)
        learned, asked = encoder.encode(features.rows(~held)), encoder.encode(features.rows(held))
        for is_treated, predicted in arms.items():
            arm = trial.is_treated[~held] == is_treated
            piece = fit_piece(model, learned[arm], trial.outcome[~held][arm])
            predicted[held] = piece.predict(asked)
    return Predictions(treated=arms[True], control=arms[False])


def _line(scores: FloatArray, values: FloatArray) -> tuple[float, float]:
    spread = scores - scores.mean()
    squares = float(spread @ spread)
    level = float(values.mean())
    if squares <= 0.0:
        return level, 0.0
    slope = max(float(spread @ values) / squares, 0.0)
    return level - slope * float(scores.mean()), slope
