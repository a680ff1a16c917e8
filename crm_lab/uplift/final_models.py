"""The model for customers outside the trial: learned from everybody in it, once judged."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from crm_lab.errors import DesignError
from crm_lab.language import say
from crm_lab.uplift.cross_fitting import CrossFitted, calibration_line
from crm_lab.uplift.drift import Reference
from crm_lab.uplift.estimate import Predictions
from crm_lab.uplift.features import Features
from crm_lab.uplift.lessons import Learner, Lesson
from crm_lab.uplift.policy import Economics
from crm_lab.uplift.saved_models import UpliftModel
from crm_lab.uplift.trial import Trial


def fit_model(
    learner: Learner,
    judged: CrossFitted,
    features: Features,
    trial: Trial,
    *,
    economics: Economics,
    rng: np.random.Generator,
    drawn_at: datetime,
    snapshot: str = "",
    predictions: Predictions | None = None,
    train_on: Trial | None = None,
) -> UpliftModel:
    """Learn the model for new customers, and the line that turns its scores into money.

    Parameters
    ----------
    learner : Learner
        What learns.
    judged : CrossFitted
        Its cross-fitted scores, which the line comes from.
    features : Features
        One row per customer of the trial.
    trial : Trial
        The outcome that is worth money.
    economics : Economics
        Margin and discount.
    rng : numpy.random.Generator
        Source of chance of the learner.
    drawn_at : datetime.datetime
        When the trial was drawn (UTC).
    snapshot : str
        Snapshot of the data.
    predictions : Predictions, optional
        Expected outcomes in both arms, for the line.
    train_on : Trial, optional
        The outcome it learns from, where that is another.

    Raises
    ------
    DesignError
        The scores are those of another learner, or a feature looks past the draw.
    """
    features.check_before(drawn_at)
    taught = trial if train_on is None else train_on
    if (judged.learner, judged.trained_on) != (learner.name, taught.metric):
        raise DesignError(
            say(
                "scores of {label} for {name} ({metric})",
                label=judged.label,
                name=learner.name,
                metric=taught.metric,
            ),
            expected=say("the cross-fitted scores of the same learner"),
        )
    lesson = Lesson(
        frame=features.frame,
        outcome=taught.outcome,
        is_treated=taught.is_treated,
        probability=taught.probability,
    )
    fitted = learner.fit(lesson, rng=rng)
    money = trial.with_outcome(economics.earned(trial), metric=trial.metric)
    line = calibration_line(judged, money, predictions=economics.predictions(predictions))
    return UpliftModel(
        effect=fitted,
        calibration=line,
        trained_on=taught.metric,
        metric=trial.metric,
        treatment=trial.treatment,
        drawn_at=drawn_at,
        n=trial.n,
        snapshot=snapshot,
        reference=Reference.of(features.frame, fitted.effect(features.frame)),
    )


def picked_learner(
    learners: Sequence[Learner], fitted: Sequence[CrossFitted], label: str
) -> tuple[Learner, CrossFitted]:
    """Find a learner and its scores by the label that the league gives it.

    Raises
    ------
    DesignError
        There is none.
    """
    for item in fitted:
        if item.label == label:
            for learner in learners:
                if learner.name == item.learner:
                    return learner, item
    raise DesignError(
        say("there is no learner '{name}'", name=label),
        expected=say("one of {choices}", choices=", ".join(item.label for item in fitted)),
    )
