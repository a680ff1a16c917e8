"""Do effects differ along a score, and by how much: effects by group, slope, calibration.

Everything takes scores that were fitted on other units, once or as several rows from repeated
cross-fitting; the number is then the mean over the repetitions.

References
----------
Chernozhukov, V., Demirer, M., Duflo, E., Fernandez-Val, I. (2025), "Fisher-Schultz lecture: Generic
machine learning inference on heterogeneous treatment effects in randomized experiments",
Econometrica 93, sections 3.1 (best linear predictor), 3.2 (sorted group effects).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.language import message, say, word
from crm_lab.stats.arguments import FloatArray, check_count, check_share
from crm_lab.uplift.contrast import PERMUTATIONS, contrast, judge
from crm_lab.uplift.cumulative import unit_weights
from crm_lab.uplift.estimate import Estimate, Predictions, no_estimate
from crm_lab.uplift.linear_scores import LinearScore, mean_of
from crm_lab.uplift.ranking import is_learned, score_rows
from crm_lab.uplift.resampling import score_groups
from crm_lab.uplift.trial import Trial

GROUPS = 5
_GROUP = "group "

_SLOPE = "difference of the slopes of the two arms"
_ONE_VALUE = message("the score is the same for everyone")
_CANNOT = message("Cannot conclude whether effects differ, because {reason}.")
_DIFFER = message(
    "Effects differ along the score: {top} in the top group, {low} in the lowest ({number})."
)
_INVERSE = message(
    "Effects differ against the score: {top} in the top group, {low} in the lowest ({number})."
)
_ALIKE = message(
    "The data do not show that effects differ along the score: {top} in the top group, {low} in"
    " the lowest ({number})."
)
_FLAT = message(
    "The predicted effects say nothing that the data confirm: slope {number}, 1 is right."
)
_TOO_WIDE = message(
    "The predicted effects differ more than the real ones: slope {number}, 1 is right."
)
_TOO_NARROW = message(
    "The predicted effects differ less than the real ones: slope {number}, 1 is right."
)
_CALIBRATED = message("The predicted effects agree with the data: slope {number}, 1 is right.")
_SLOPE_OPEN = message(
    "The data cannot tell how far the predicted effects are right: slope {number}, 1 is right."
)
_TOO_HIGH = message("On average they are too high by {number}.")
_TOO_LOW = message("On average they are too low by {number}.")
_WIDE_SLOPE = 2.0
"""Half-width of the slope's interval from which agreement with 1 says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SortedEffects(Result):
    """Average effect by group of the score (GATES), and the slope along it (BLP).

    Attributes
    ----------
    metric : str
        Name of the outcome.
    effects : tuple of Estimate
        Average effect of each group, from the highest scores down.
    shares : tuple of float
        Share of the customers in each group.
    top_minus_lowest : Estimate
        Difference of the first and the last group.
    average : Estimate
        Average effect of all.
    slope : Estimate
        How much the effect rises with one unit of the score (the second coefficient of the best
        linear predictor); 0 where effects do not differ along the score.
    repetitions : int
        Repetitions of the cross-fitting.
    """

    title: ClassVar[str] = message("Do effects differ")
    plotter: ClassVar[str] = "crm_lab.plots.uplift_curves:plot_sorted_effects"

    metric: str
    effects: tuple[Estimate, ...]
    shares: tuple[float, ...]
    top_minus_lowest: Estimate
    average: Estimate
    slope: Estimate
    repetitions: int

    @property
    def is_heterogeneous(self) -> bool:
        """Whether the interval of the slope lies off 0."""
        return self.slope.is_above(0.0) or self.slope.is_below(0.0)

    def sentence(self) -> str:
        """Say whether the top and the lowest group differ."""
        found = self.top_minus_lowest
        if not found.is_known:
            return say(_CANNOT, reason=found.reason)
        text = _ALIKE
        if found.is_above(0.0):
            text = _DIFFER
        elif found.is_below(0.0):
            text = _INVERSE
        first, last = self.effects[0], self.effects[-1]
        difference = say("difference {number}", number=_shown(found))
        return say(text, top=_shown(first), low=_shown(last), number=difference)

    def to_frame(self) -> pd.DataFrame:
        """Give one row per group, then the difference, the average and the slope."""
        rows = [
            _row(f"{_GROUP}{number}", share, found)
            for number, (share, found) in enumerate(
                zip(self.shares, self.effects, strict=True), start=1
            )
        ]
        rows += [
            _row("top minus lowest", math.nan, self.top_minus_lowest),
            _row("everyone", 1.0, self.average),
            _row("slope", math.nan, self.slope),
        ]
        return pd.DataFrame(rows)

    def card_frame(self) -> pd.DataFrame:
        """Give number and interval of each row."""
        return _said(self.to_frame())[["group", "share", "estimate", "low", "high", "evidence"]]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class EffectCalibration(Result):
    """Predicted effects beside those that the data show.

    Attributes
    ----------
    metric : str
        Name of the outcome.
    predicted : tuple of float
        Mean predicted effect of each group, from the highest down.
    observed : tuple of Estimate
        Average effect of each group.
    shares : tuple of float
        Share of the customers in each group.
    slope : Estimate
        1 where predictions differ as much as effects do; 0 where they say nothing.
    level : Estimate
        Mean predicted effect minus average effect.
    """

    title: ClassVar[str] = message("Are the predicted effects right")
    plotter: ClassVar[str] = "crm_lab.plots.uplift_curves:plot_calibration"

    metric: str
    predicted: tuple[float, ...]
    observed: tuple[Estimate, ...]
    shares: tuple[float, ...]
    slope: Estimate
    level: Estimate

    def sentence(self) -> str:
        """Say whether the predicted effects differ as the real ones do, and at the right level."""
        if not self.slope.is_known:
            return say(_CANNOT, reason=self.slope.reason)
        text = _CALIBRATED
        if self.slope.is_below(1.0):
            text = _TOO_WIDE if self.slope.is_above(0.0) else _FLAT
        elif self.slope.is_above(1.0):
            text = _TOO_NARROW
        elif not self.slope.is_above(0.0) or self.slope.high - self.slope.low > _WIDE_SLOPE:
            text = _SLOPE_OPEN
        parts = [say(text, number=_shown(self.slope))]
        if self.level.is_above(0.0):
            parts.append(say(_TOO_HIGH, number=_shown(self.level)))
        elif self.level.is_below(0.0):
            parts.append(say(_TOO_LOW, number=_shown(self.level.scaled(-1.0))))
        return " ".join(parts)

    def to_frame(self) -> pd.DataFrame:
        """Give one row per group: predicted, observed, interval."""
        rows = [
            _row(f"{_GROUP}{number}", share, found) | {"predicted": predicted}
            for number, (share, found, predicted) in enumerate(
                zip(self.shares, self.observed, self.predicted, strict=True), start=1
            )
        ]
        return pd.DataFrame(rows)

    def card_frame(self) -> pd.DataFrame:
        """Give predicted and observed effects."""
        return _said(self.to_frame())[["group", "share", "predicted", "estimate", "low", "high"]]


def sorted_effects(
    trial: Trial,
    score: ArrayLike,
    *,
    alpha: float,
    rng: np.random.Generator,
    groups: int = GROUPS,
    predictions: Predictions | None = None,
    is_cross_fitted: bool | None = None,
    permutations: int = PERMUTATIONS,
) -> SortedEffects:
    """Estimate the average effect by group of the score, and the slope along it.

    Parameters
    ----------
    trial, alpha, rng, predictions, permutations
        As in `crm_lab.uplift.contrast.contrast`.
    score : array-like, shape (n,) or (repetitions, n)
        Fitted on other units. Units that tie are never put into different groups, so a score of
        two values gives two groups.
    groups : int
        How many groups of about equal size.
    is_cross_fitted : bool, optional
        Whether the scores come from cross-fitting, as in `rank_quality`; difference and slope
        then have the wider interval.

    Raises
    ------
    DesignError
        When a score is missing or repetitions give different numbers of groups.

    Notes
    -----
    The intervals are for one group looked at alone. That effects differ is judged by the
    difference and the slope, which are one number each.

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> is_treated, reacts = rng.random((2, 6_000)) < 0.5
    >>> visit = rng.random(6_000) < 0.1 + 0.2 * is_treated * reacts
    >>> trial = Trial(outcome=visit, is_treated=is_treated, probability=0.5, metric="visit")
    >>> found = sorted_effects(trial, reacts, alpha=0.05, rng=rng)
    >>> len(found.effects), found.is_heterogeneous
    (2, True)
    """
    check_share(alpha, "alpha")
    check_count(groups, "groups", minimum=2)
    rows = score_rows(score, trial.n)
    weights, shares = _grouped(rows, groups)

    def effect(weight: FloatArray) -> Estimate:
        return contrast(
            trial, weight, alpha=alpha, rng=rng, predictions=predictions, permutations=permutations
        )

    slope = _slope(trial, rows, alpha=alpha, rng=rng, permutations=permutations)
    gap = replace(slope, reason=slope.reason or say(_ONE_VALUE))
    if len(weights) > 1:
        gap = effect(weights[0] - weights[-1])
    if is_learned(score, is_cross_fitted):
        slope, gap = slope.cross_fitted(), gap.cross_fitted()
    return SortedEffects(
        metric=trial.metric,
        effects=tuple(effect(weight) for weight in weights),
        shares=shares,
        top_minus_lowest=gap,
        average=effect(np.ones(trial.n)),
        slope=slope,
        repetitions=len(rows),
    )


def calibrate_effects(
    trial: Trial,
    predicted: ArrayLike,
    *,
    alpha: float,
    rng: np.random.Generator,
    groups: int = GROUPS,
    is_cross_fitted: bool | None = None,
    permutations: int = PERMUTATIONS,
) -> EffectCalibration:
    """Compare predicted effects with those that the data show.

    Parameters
    ----------
    trial, alpha, rng, permutations
        As in `crm_lab.uplift.contrast.contrast`.
    predicted : array-like, shape (n,)
        Predicted effect of each unit in the unit of the outcome, fitted on other units.
    groups : int
        How many groups of about equal size.
    is_cross_fitted : bool, optional
        Whether the predictions come from cross-fitting, as in `rank_quality`.

    Raises
    ------
    DesignError
        When a prediction is missing.

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> is_treated, reacts = rng.random((2, 6_000)) < 0.5
    >>> visit = rng.random(6_000) < 0.1 + 0.2 * is_treated * reacts
    >>> trial = Trial(outcome=visit, is_treated=is_treated, probability=0.5, metric="visit")
    >>> found = calibrate_effects(trial, 0.2 * reacts, alpha=0.05, rng=rng)
    >>> found.slope.low < 1.0 < found.slope.high
    True
    """
    found = sorted_effects(
        trial,
        predicted,
        alpha=alpha,
        rng=rng,
        groups=groups,
        is_cross_fitted=is_cross_fitted,
        permutations=permutations,
    )
    rows = score_rows(predicted, trial.n)
    mean = np.mean(rows, axis=0)
    weights, _ = _grouped(rows, groups)
    means = [float(np.mean(weight * mean)) for weight in weights]
    return EffectCalibration(
        metric=trial.metric,
        predicted=tuple(means),
        observed=found.effects,
        shares=found.shares,
        slope=found.slope,
        level=found.average.scaled(-1.0, shift=float(mean.mean())),
    )


def _slope(
    trial: Trial,
    rows: list[FloatArray],
    *,
    alpha: float,
    rng: np.random.Generator,
    permutations: int,
) -> Estimate:
    """Estimate the slope of the effect along the score.

    With the lines fitted to each arm as levels, the doubly robust sum with weights
    ``(score - mean) / variance`` is exactly the difference of their slopes.
    """
    blank = no_estimate(trial, alpha=alpha, method=_SLOPE)
    if any(np.ptp(row) == 0.0 for row in rows):
        return replace(blank, reason=say(_ONE_VALUE))
    parts = [_line_score(trial, row) for row in rows]
    if any(part is None for part in parts):
        return replace(blank, reason=say(_ONE_VALUE))
    whole = mean_of([part for part in parts if part is not None])
    return judge(
        trial,
        weight=whole.weight,
        treated_level=whole.treated_level,
        control_level=whole.control_level,
        blank=blank,
        rng=rng,
        permutations=permutations,
    )


def _line_score(trial: Trial, score: FloatArray) -> LinearScore | None:
    centred = score - score.mean()
    weight = centred / np.mean(centred**2)
    inverse = unit_weights(trial)
    levels, slopes = [], []
    for arm in (trial.is_treated, ~trial.is_treated):
        w, x, y = inverse[arm], centred[arm], trial.outcome[arm]
        mean_x, mean_y = float(np.average(x, weights=w)), float(np.average(y, weights=w))
        spread = float((w * (x - mean_x) ** 2).sum())
        if not spread > 0.0:
            return None
        slopes.append(float((w * (x - mean_x) * (y - mean_y)).sum()) / spread)
        levels.append(weight * (mean_y + slopes[-1] * (centred - mean_x)))
    return LinearScore(
        weight=weight,
        treated_level=levels[0],
        control_level=levels[1],
        estimate=slopes[0] - slopes[1],
    )


def _grouped(rows: list[FloatArray], groups: int) -> tuple[list[FloatArray], tuple[float, ...]]:
    """Give weights whose sum of effects is the average effect of each group, and the shares."""
    found = [score_groups(row, groups) for row in rows]
    counts = {size for _, size in found}
    if len(counts) > 1:
        raise DesignError(
            say("repetitions give {count} groups", count=formats.listing(map(str, sorted(counts)))),
            expected=say("as many groups in each"),
            remedy=say("ask for fewer groups: ties are never split"),
        )
    weights, shares = [], []
    for group in range(counts.pop()):
        members = [place == group for place, _ in found]
        weights.append(np.mean([member / member.mean() for member in members], axis=0))
        shares.append(float(np.mean([member.mean() for member in members])))
    return weights, tuple(shares)


def _said(frame: pd.DataFrame) -> pd.DataFrame:
    """Give a frame with the names of its groups as people read them."""
    return frame.assign(group=frame["group"].map(_group_text))


def _group_text(group: str) -> str:
    if group.startswith(_GROUP):
        return say("group {number}", number=group.removeprefix(_GROUP))
    return word(group)


def _row(group: str, share: float, found: Estimate) -> dict[str, object]:
    return {
        "group": group,
        "share": share,
        "estimate": found.estimate,
        "low": found.low,
        "high": found.high,
        "p_value": found.p_value,
        "evidence": found.evidence,
        "method": found.method,
        "reason": found.reason,
    }


def _shown(found: Estimate) -> str:
    return formats.number_interval(found.estimate, found.low, found.high)
