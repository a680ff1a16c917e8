"""The area under a curve as a sum of effects, so that it is judged like any other.

A curve from the top down is made of means among the units so far. Written unit by unit it gives
each outcome a weight and an expected level, and their doubly robust sum is exactly the area. So no
resampling is needed for its interval, and two scores are compared on the same units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from crm_lab.stats.arguments import FloatArray
from crm_lab.uplift.cumulative import PER, Sums, sums_by_score
from crm_lab.uplift.trial import Trial

LinearDefinition = Literal["gain", "radcliffe"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearScore:
    """What each unit counts in an area.

    Attributes
    ----------
    weight : ndarray, shape (n,)
        What the outcome counts.
    treated_level, control_level : ndarray, shape (n,)
        What is expected of it with and without the treatment.
    estimate : float
        The area itself.
    """

    weight: FloatArray
    treated_level: FloatArray
    control_level: FloatArray
    estimate: float

    def minus(self, other: LinearScore) -> LinearScore:
        """Give the difference of two areas, unit by unit."""
        return LinearScore(
            weight=self.weight - other.weight,
            treated_level=self.treated_level - other.treated_level,
            control_level=self.control_level - other.control_level,
            estimate=self.estimate - other.estimate,
        )


def mean_of(parts: list[LinearScore]) -> LinearScore:
    """Average over repeated fits."""
    k = float(len(parts))
    return LinearScore(
        weight=np.asarray(sum(part.weight for part in parts) / k),
        treated_level=np.asarray(sum(part.treated_level for part in parts) / k),
        control_level=np.asarray(sum(part.control_level for part in parts) / k),
        estimate=sum(part.estimate for part in parts) / k,
    )


def area_score(trial: Trial, score: FloatArray, definition: LinearDefinition) -> LinearScore:
    """Write the area between a curve and its straight line unit by unit.

    Parameters
    ----------
    trial : Trial
        Outcome and arms.
    score : ndarray, shape (n,)
        Higher means earlier.
    definition : {"gain", "radcliffe"}
        See `crm_lab.uplift.cumulative.FORMULAS`.

    Returns
    -------
    LinearScore
        ``estimate`` is what `crm_lab.uplift.cumulative.coefficient` gives.
    """
    distinct, sums = sums_by_score(trial, score)
    step = _trapezoids(sums)
    if definition == "gain":
        step, end = PER * step, PER / 2.0
    else:
        share = sums.n / sums.n[-1]
        step, end = step * (sums.n_treated / sums.n_treated[-1]) / share, 0.5
    levels = [
        np.divide(y, w, out=np.zeros_like(y), where=w > 0)
        for y, w in (
            (sums.outcome_treated, sums.weight_treated),
            (sums.outcome_control, sums.weight_control),
        )
    ]
    place = np.searchsorted(-distinct, -score)
    parts = [_from_here_down(step * level) - end * level[-1] for level in levels]
    share = sums.n / sums.n[-1]
    area = float((step * share * sums.effect).sum() - end * sums.effect[-1])
    return LinearScore(
        weight=(_from_here_down(step) - end)[place],
        treated_level=parts[0][place],
        control_level=parts[1][place],
        estimate=area,
    )


def _trapezoids(sums: Sums) -> FloatArray:
    """Give what each point of a curve counts in its area, by depth shares."""
    share = np.concatenate([[0.0], sums.n / sums.n[-1]])
    widths = np.diff(share)
    return np.asarray((widths + np.append(widths[1:], 0.0)) / 2.0)


def _from_here_down(values: FloatArray) -> FloatArray:
    return np.asarray(np.cumsum(values[::-1])[::-1])
