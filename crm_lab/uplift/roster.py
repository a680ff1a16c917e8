"""Which learners stand in the league table when nobody names others."""

from __future__ import annotations

from collections.abc import Sequence

from crm_lab.stats.arguments import FloatArray
from crm_lab.uplift.features import Features
from crm_lab.uplift.learners import (
    EVEN_TOLERANCE,
    ClassTransformation,
    DRLearner,
    ResponseModel,
    RLearner,
    SLearner,
    TLearner,
    TwoPartLearner,
    XLearner,
)
from crm_lab.uplift.lessons import Learner
from crm_lab.uplift.one_feature import OneFeatureRule
from crm_lab.uplift.pieces import boosted_models, is_binary, linear_models


def default_learners(
    features: Features, outcome: FloatArray, *, control_share: float
) -> tuple[Learner, ...]:
    """Give the learners of the league table: a few of each kind, with response and plain rules.

    Parameters
    ----------
    features : Features
        Each becomes a one-feature rule.
    outcome : ndarray
        What is learned; with amounts that are mostly 0 the two-part learner joins.
    control_share : float
        Planned share of the control; off one half the class transformation is weighted.
    """
    linear, boosted = linear_models(), boosted_models()
    learners: list[Learner] = [
        TLearner(models=linear),
        SLearner(models=linear),
        XLearner(models=linear),
        DRLearner(models=linear),
        RLearner(models=linear),
        TLearner(models=boosted),
    ]
    if is_binary(outcome):
        uneven = abs(control_share - 0.5) > EVEN_TOLERANCE
        learners.append(ClassTransformation(models=linear, is_weighted=uneven))
    elif float(outcome.min()) >= 0 and float((outcome == 0).mean()) > 0.5:
        learners.append(TwoPartLearner(models=linear))
    learners.append(ResponseModel(models=linear))
    rules: Sequence[Learner] = [OneFeatureRule(feature=name) for name in features.names]
    return (*learners, *rules)
