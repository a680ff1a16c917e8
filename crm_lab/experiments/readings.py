"""The same data read otherwise: who was reached, how likely it is, what holds at any time.

None of these decides. The intention to treat does, by the plan; they stand beside it for the
questions that people ask next.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from crm_lab.experiments.estimators import Estimator, RowEstimator
from crm_lab.experiments.fields import CONTROL
from crm_lab.experiments.looks import Look
from crm_lab.experiments.plan import Plan
from crm_lab.stats import (
    BayesianReading,
    Comparison,
    ComplierEffect,
    ConfidenceSequence,
    Dilution,
    Moments,
    complier_effect,
    confidence_sequence,
    dilution,
    read_means,
    read_proportions,
)

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmReadings:
    """Further readings of one arm; None where the data or the metric do not support one.

    Attributes
    ----------
    arm : str
        The arm.
    complier : ComplierEffect or None
        Effect on those to whom a message was delivered, from the effect as assigned.
    diluted : Dilution or None
        What the difference would have been without touched controls; None where none was touched.
    bayesian : BayesianReading or None
        How likely the arm is better, with the prior named.
    sequence : ConfidenceSequence or None
        While the window is open: an interval that holds however often one looks.
    """

    arm: str
    complier: ComplierEffect | None
    diluted: Dilution | None
    bayesian: BayesianReading | None
    sequence: ConfidenceSequence | None


def read_arm(
    estimator: Estimator,
    arm: str,
    primary: Comparison,
    reached: Collection[str],
    *,
    touched_share: float,
    look: Look,
    rng: np.random.Generator,
) -> ArmReadings:
    """Read one arm in every further way that its data support.

    Parameters
    ----------
    estimator : Estimator
        With everybody assigned.
    arm : str
        The arm.
    primary : Comparison
        Its effect as assigned.
    reached : collection of str
        Customers to whom a message of the campaign was delivered.
    touched_share : float
        Part of the controls that marketing reached all the same.
    look : Look
        Which reading this is.
    rng : numpy.random.Generator
        Source of the permutations.
    """
    plan = estimator.plan
    diluted = None
    if 0 < touched_share < 1 and primary.absolute.is_known:
        diluted = dilution(
            replace(primary, metric=plan.label(primary.metric)), contaminated_share=touched_share
        )
    values = None
    if isinstance(estimator, RowEstimator):
        values = estimator.compared_values(plan.primary_metric, arm)
    if values is None or not isinstance(estimator, RowEstimator):
        return ArmReadings(arm=arm, complier=None, diluted=diluted, bayesian=None, sequence=None)
    return ArmReadings(
        arm=arm,
        complier=_complier(estimator, arm, values, reached, look=look, rng=rng),
        diluted=diluted,
        bayesian=_bayesian(plan, arm, values, look=look),
        sequence=_sequence(plan, arm, values, look=look),
    )


def _complier(
    estimator: RowEstimator,
    arm: str,
    values: Pair,
    reached: Collection[str],
    *,
    look: Look,
    rng: np.random.Generator,
) -> ComplierEffect | None:
    known = set(reached)
    marks = [
        estimator.outcomes.of(name)["customer_id"].isin(known).to_numpy() for name in (arm, CONTROL)
    ]
    if not marks[0].any() or estimator.outcomes.is_clustered:
        return None
    return complier_effect(
        values[0],
        marks[0],
        values[1],
        marks[1],
        alpha=look.alpha,
        rng=rng,
        permutations=estimator.permutations,
        metric=estimator.plan.label(estimator.plan.primary_metric),
        arms=(arm, CONTROL),
    )


def _sequence(plan: Plan, arm: str, values: Pair, *, look: Look) -> ConfidenceSequence | None:
    """Judge an open window so that looking at it again costs nothing."""
    if look.is_final or not look.share > 0:
        return None
    one, other = (Moments.from_array(part) for part in values)
    error = math.sqrt(one.variance / one.n + other.variance / other.n) if min(one.n, other.n) else 0
    if not error > 0:
        return None
    return confidence_sequence(
        [(one, other)],
        alpha=plan.alpha_per_arm,
        planned_error=error / math.sqrt(min(look.share, 1.0)),  # values add up over the window
        metric=plan.label(plan.primary_metric),
        arms=(arm, CONTROL),
    )


def _bayesian(plan: Plan, arm: str, values: Pair, *, look: Look) -> BayesianReading | None:
    """Read the arm with a stated prior, which calls more better: nothing where less is."""
    if plan.metric(plan.primary_metric).direction == "down":
        return None
    label = plan.label(plan.primary_metric)
    shared: dict[str, Any] = {"alpha": look.alpha, "metric": label, "arms": (arm, CONTROL)}
    if plan.metric(plan.primary_metric).kind == "share":
        events = [int(part.sum()) for part in values]
        return read_proportions(events[0], values[0].size, events[1], values[1].size, **shared)
    return read_means(values[0], values[1], **shared)
