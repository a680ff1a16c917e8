"""The one estimator under everything here: a weighted sum of effects, with its interval.

A rule, the comparison of two rules, a group of customers and the area under a curve are all the
mean over units of ``weight * effect``. With predictions ``m1`` and ``m0`` of the outcome with and
without the treatment and the realised share ``s`` of treated units, the doubly robust estimate of
it is exactly the difference of the means of ``weight * (outcome - (1 - s) m1 - s m0)`` between the
arms. So it is judged like any difference of means, by the studentised permutation, which keeps
its level where the control is small and revenue has heavy tails.

References
----------
Robins, J., Rotnitzky, A., Zhao, L. (1994), "Estimation of regression coefficients when some
regressors are not always observed", Journal of the American Statistical Association 89. Hajek, J.
(1971), comment on an essay by D. Basu. Chung, E., Romano, J. P. (2013), Annals of Statistics 41.
Hall, P. (1992), "On the removal of skewness by transformation", Journal of the Royal Statistical
Society B 54, equation 2.1.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from crm_lab.errors import DesignError
from crm_lab.language import message, say
from crm_lab.stats import (
    Comparison,
    Moments,
    compare_means,
    compare_means_moments,
    compare_stratified_means,
    is_large_enough,
)
from crm_lab.stats.arguments import FloatArray, as_values, check_count, check_share
from crm_lab.stats.normal import two_sided_quantile
from crm_lab.uplift.estimate import Estimate, Predictions, no_estimate
from crm_lab.uplift.trial import BoolArray, Trial

MAXIMUM_CHANCES = 50
"""With more distinct chances to be treated the units are weighted instead of stratified."""
PERMUTATIONS = 4_000
"""Random splits per interval; the p-value is known to 0.0035 near 0.05."""
MINIMUM_UNITS = 2

_WEIGHTED = "weighting by the known chance"
_ROBUST = "doubly robust, predictions fitted on other units"
_NORMAL = "normal approximation with Hall's correction of skewness"
_NO_WEIGHT = message("the two are the same for every unit")
_TOO_SMALL = message("arm {arm} has {n} of the units that it is about and 2 are needed")
_NO_VARIATION = message("the outcome does not vary among the units that it is about")
_NO_SIGN = message("the units on one side of the comparison are all in one arm")


def contrast(
    trial: Trial,
    weights: ArrayLike,
    *,
    alpha: float,
    rng: np.random.Generator,
    predictions: Predictions | None = None,
    is_cross_fitted: bool = False,
    permutations: int = PERMUTATIONS,
) -> Estimate:
    """Estimate the mean over all units of ``weight * effect``, with its interval.

    Parameters
    ----------
    trial : Trial
        Outcome, arms and the chance to be treated.
    weights : array-like, shape (n,)
        One number per unit that does not depend on the unit's own outcome or arm: 1 or 0 for a
        rule, the difference of two rules, a rank.
    alpha : float
        Two-sided error level, between 0 and 1.
    rng : numpy.random.Generator
        Source of the permutations.
    predictions : Predictions, optional
        Expected outcomes for the doubly robust estimate, fitted on other units. Without them the
        known chance alone is used, normalised within the units of positive and of negative weight.
    is_cross_fitted : bool
        Whether the weights come from models that were fitted on the other units of this trial;
        the interval is then wider, see `Estimate.cross_fitted`.
    permutations : int
        Random splits where the interval comes from permutation.

    Returns
    -------
    Estimate
        In the unit of the outcome per unit of the trial.

    Raises
    ------
    DesignError
        When lengths differ, a weight is missing, or alpha is impossible.

    Notes
    -----
    Units of weight 0 are left out and counted again at the end. With one chance for everyone, or
    at most 50 distinct ones (then within each), the interval is that of `crm_lab.stats`: by third
    moments where both arms are large enough for their skewness, by permutation otherwise. With
    propensities it is the normal one, corrected for skewness; it is known to be too short where a
    few units carry most of the weight.

    Examples
    --------
    >>> rng = np.random.default_rng(2)
    >>> is_treated = rng.random(4_000) < 0.5
    >>> spend = rng.gamma(2.0, 5.0, 4_000) + 3.0 * is_treated
    >>> trial = Trial(outcome=spend, is_treated=is_treated, probability=0.5)
    >>> found = contrast(trial, np.ones(4_000), alpha=0.05, rng=rng)
    >>> difference = spend[is_treated].mean() - spend[~is_treated].mean()
    >>> bool(abs(found.estimate - difference) < 1e-9), found.low < 3.0 < found.high
    (True, True)
    """
    check_share(alpha, "alpha")
    check_count(permutations, "permutations", minimum=1)
    weight = check_weights(trial, weights)
    if predictions is not None and predictions.treated.size != trial.n:
        raise DesignError(
            say("{n} units but {size} predictions", n=trial.n, size=predictions.treated.size)
        )
    blank = no_estimate(trial, alpha=alpha, method=_WEIGHTED if predictions is None else _ROBUST)
    used = weight != 0.0
    if not used.any():
        return replace(blank, estimate=0.0, low=0.0, high=0.0, reason=say(_NO_WEIGHT))
    if predictions is None:
        levels = levels_by_sign(trial, weight)
        if levels is None:
            return replace(_counted(blank, trial, used), reason=say(_NO_SIGN))
    else:
        levels = (predictions.treated, predictions.control)
    found = judge(
        trial,
        weight=weight,
        treated_level=weight * levels[0],
        control_level=weight * levels[1],
        used=used,
        blank=blank,
        rng=rng,
        permutations=permutations,
    )
    if is_cross_fitted:
        return found.cross_fitted(float(weight.mean() ** 2 / np.mean(weight**2)))
    return found


def judge(
    trial: Trial,
    *,
    weight: FloatArray,
    treated_level: FloatArray,
    control_level: FloatArray,
    blank: Estimate,
    rng: np.random.Generator,
    used: BoolArray | None = None,
    permutations: int = PERMUTATIONS,
) -> Estimate:
    """Judge a doubly robust sum of effects whose levels are given.

    Parameters
    ----------
    trial : Trial
        Outcome, arms and the chance to be treated.
    weight : ndarray, shape (n,)
        What the outcome of each unit counts.
    treated_level, control_level : ndarray, shape (n,)
        What is expected of ``weight * outcome`` with and without the treatment; with levels that
        are means of the data the estimate is the one those means make.
    blank : Estimate
        Carries alpha and the method so far, from `no_estimate`.
    rng : numpy.random.Generator
        Source of the permutations.
    used : ndarray of bool, optional
        The units that count; the others are units with an effect of 0.
    permutations : int
        Random splits where the interval comes from permutation.

    Returns
    -------
    Estimate
        Mean over all units of the trial.
    """
    chosen = np.ones(trial.n, dtype=np.bool_) if used is None else used
    blank = _counted(blank, trial, chosen)
    counts = ((trial.treatment, blank.n_treatment), (trial.control, blank.n_control))
    for arm, n in counts:
        if n < MINIMUM_UNITS:
            return replace(blank, reason=say(_TOO_SMALL, arm=arm, n=n))
    if np.ptp(trial.outcome[chosen]) == 0.0:
        return replace(blank, reason=say(_NO_VARIATION))
    share = float(chosen.mean())
    treated = trial.is_treated[chosen]
    values = (weight * trial.outcome)[chosen]
    level_t, level_c = treated_level[chosen], control_level[chosen]
    chances, stratum = np.unique(np.round(trial.probability[chosen], 12), return_inverse=True)
    if chances.size > MAXIMUM_CHANCES:
        chance = trial.probability[chosen]
        scores = (
            level_t
            - level_c
            + np.where(treated, (values - level_t) / chance, 0.0)
            - np.where(treated, 0.0, (values - level_c) / (1.0 - chance))
        )
        return mean_of_scores(scores, blank).scaled(share)
    realised = (np.bincount(stratum, weights=treated) / np.bincount(stratum))[stratum]
    values = values - (1.0 - realised) * level_t - realised * level_c
    if chances.size == 1:
        found = difference_of_means(
            values[treated], values[~treated], alpha=blank.alpha, rng=rng, permutations=permutations
        )
    else:
        found = compare_stratified_means(
            values[treated],
            stratum[treated],
            values[~treated],
            stratum[~treated],
            alpha=blank.alpha,
            rng=rng,
            permutations=permutations,
        ).comparison
    return from_comparison(found, blank).scaled(share)


def difference_of_means(
    treatment: FloatArray,
    control: FloatArray,
    *,
    alpha: float,
    rng: np.random.Generator,
    permutations: int = PERMUTATIONS,
) -> Comparison:
    """Compare two means by third moments where the arms are large enough, else by permutation.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> both = rng.normal(0.0, 1.0, (2, 900))
    >>> found = difference_of_means(both[0] + 1.0, both[1], alpha=0.05, rng=rng)
    >>> found.absolute.low < 1.0 < found.absolute.high
    True
    """
    moments = (Moments.from_array(treatment), Moments.from_array(control))
    if is_large_enough(*moments):
        return compare_means_moments(*moments, alpha=alpha)
    return compare_means(treatment, control, alpha=alpha, rng=rng, permutations=permutations)


def from_comparison(found: Comparison, blank: Estimate) -> Estimate:
    """Take number, interval and test of a comparison of means into ``blank``."""
    effect = found.absolute
    words = effect.method.split(";")[0]
    return replace(
        blank,
        estimate=effect.estimate,
        low=effect.low,
        high=effect.high,
        p_value=effect.p_value,
        method=f"{blank.method}; {words}",
        reason=effect.reason,
    )


def check_weights(trial: Trial, weights: ArrayLike) -> FloatArray:
    """Give the weights as finite numbers, one per unit.

    Raises
    ------
    DesignError
        When lengths differ or a weight is missing or infinite.
    """
    weight = as_values(weights, "weights")
    if weight.size != trial.n:
        raise DesignError(say("{n} units but {size} weights", n=trial.n, size=weight.size))
    if not np.all(np.isfinite(weight)):
        raise DesignError(say("a weight is missing or infinite"), expected=say("a number per unit"))
    return weight


def levels_by_sign(trial: Trial, weight: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """Give the weighted mean of each arm, apart for units of positive and of negative weight.

    None where one side has no unit in one of the arms.
    """
    levels = (np.zeros(trial.n), np.zeros(trial.n))
    arms = ((trial.is_treated, trial.probability), (~trial.is_treated, 1.0 - trial.probability))
    for side in (weight > 0, weight < 0):
        if not side.any():
            continue
        for level, (arm, chance) in zip(levels, arms, strict=True):
            chosen = side & arm
            if not chosen.any():
                return None
            scale = np.abs(weight[chosen]) / chance[chosen]
            level[side] = float((scale * trial.outcome[chosen]).sum() / scale.sum())
    return levels


def mean_of_scores(scores: FloatArray, blank: Estimate) -> Estimate:
    """Take the mean of scores per unit, with a normal interval corrected for skewness."""
    summary = Moments.from_array(scores)
    if not summary.m2 > 0:
        return replace(blank, reason=say(_NO_VARIATION))
    error = math.sqrt(summary.variance / summary.n)
    z = two_sided_quantile(blank.alpha)
    ends = [hall_quantile(q, skewness=summary.skewness, n=summary.n) for q in (z, -z)]
    turned = hall_transform(summary.mean / error, skewness=summary.skewness, n=summary.n)
    return replace(
        blank,
        estimate=summary.mean,
        low=summary.mean - error * ends[0],
        high=summary.mean - error * ends[1],
        p_value=2.0 * float(special.ndtr(-abs(turned))),
        method=f"{blank.method}; {_NORMAL}",
    )


def _counted(blank: Estimate, trial: Trial, used: BoolArray) -> Estimate:
    n_treatment = int((trial.is_treated & used).sum())
    return replace(blank, n_treatment=n_treatment, n_control=int(used.sum()) - n_treatment)


def hall_transform(t: float, *, skewness: float, n: int) -> float:
    """Turn the t of a mean into a number that is normal up to order 1/n (Hall 1992).

    Examples
    --------
    >>> hall_transform(1.5, skewness=0.0, n=50)
    1.5
    """
    a = skewness / (3.0 * math.sqrt(n))
    return t + a * t**2 + a**2 * t**3 / 3.0 + a / 2.0


def hall_quantile(z: float, *, skewness: float, n: int) -> float:
    """Give the t whose transform is ``z``: the inverse of `hall_transform`.

    Examples
    --------
    >>> t = hall_quantile(1.96, skewness=2.0, n=100)
    >>> round(hall_transform(t, skewness=2.0, n=100), 6)
    1.96
    """
    a = skewness / (3.0 * math.sqrt(n))
    if abs(a) < 1e-12:
        return z
    cube = 1.0 + 3.0 * a * (z - a / 2.0)
    return (math.copysign(abs(cube) ** (1.0 / 3.0), cube) - 1.0) / a
