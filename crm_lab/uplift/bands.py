"""Bands around the curves of a score, for one depth and for all depths together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.language import message, say, word
from crm_lab.stats.arguments import FloatArray, as_values, check_count, check_share
from crm_lab.uplift.contact_rules import check_score, top_share
from crm_lab.uplift.cumulative import Definition, coefficient
from crm_lab.uplift.curves import CurveKind, UpliftCurve, uplift_curve
from crm_lab.uplift.resampling import GROUPS, Drawn, grouped_trial, itself, random_splits, resamples
from crm_lab.uplift.trial import Evidence, Trial

REPLICATES = 1_000
MINIMUM_UNITS = 20
"""Fewest customers of each arm at a depth that is given a band, not counting those with the most
common outcome where that is the outcome of most (such as 0, nothing bought)."""
DEPTHS = tuple(step / 40 for step in range(2, 41))

_SPLITS = "studentised random splits of the customers, {replicates:,}, in {groups:,} score groups"
_RESAMPLES = "studentised resamples of the customers, {replicates:,}, in {groups:,} score groups"
_TOO_FEW = message("an arm has fewer than {n} customers who did something down to this depth")
_NO_VARIATION = message("the outcome does not vary down to this depth")
_NONE = message("Cannot conclude: {reason} at every depth.")
_ABOVE = message(
    "The {kind} curve of {metric} lies above random for {share} of the depths, with {level}"
    " certainty for all of them together."
)
_INSIDE = message(
    "At no depth does the {kind} curve of {metric} differ from random, with {level} certainty for"
    " all depths together."
)
_BELOW = message("For {share} of the depths it lies below random.")
_OBSERVATIONAL = message("Observational: customers were not randomised.")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class CurveBands(Result):
    """One curve at some depths, with a band for each depth and one for all of them.

    Attributes
    ----------
    metric, treatment, control : str
        Names of the outcome and of the arms.
    kind : {"uplift", "gain", "qini"}
        Which curve.
    depth : ndarray, shape (d,)
        Shares of the customers with the highest scores.
    estimate : ndarray, shape (d,)
        The curve, in units of the outcome per customer (``qini``: per treated unit; ``uplift``:
        per customer down to the depth).
    low, high : ndarray, shape (d,)
        Interval for one depth looked at alone.
    low_all, high_all : ndarray, shape (d,)
        Band that holds for all depths at once.
    random : ndarray, shape (d,)
        What a random order gives: a straight line to the average effect.
    above_random_low, above_random_high : ndarray, shape (d,)
        Band for all depths of the curve minus the random line.
    alpha : float
        Two-sided error level.
    evidence : {"randomised", "observational"}
        What the numbers rest on.
    method : str
        How the bands were made.
    reasons : tuple of str
        Why a depth has no band; empty texts elsewhere.
    """

    title: ClassVar[str] = message("Uplift by depth, with bands")
    plotter: ClassVar[str] = "crm_lab.plots.uplift_curves:plot_curve_bands"

    metric: str
    treatment: str
    control: str
    kind: CurveKind
    depth: FloatArray
    estimate: FloatArray
    low: FloatArray
    high: FloatArray
    low_all: FloatArray
    high_all: FloatArray
    random: FloatArray
    above_random_low: FloatArray
    above_random_high: FloatArray
    alpha: float
    evidence: Evidence
    method: str
    reasons: tuple[str, ...]

    def sentence(self) -> str:
        """Say at how many depths the curve differs from a random order."""
        caution = [say(_OBSERVATIONAL)] if self.evidence == "observational" else []
        if all(self.reasons):
            return " ".join([say(_NONE, reason=self.reasons[-1]), *caution])
        # At full depth the curve is the random line by definition.
        inner = self.depth < 1.0
        above = float(np.mean(self.above_random_low[inner] > 0.0))
        below = float(np.mean(self.above_random_high[inner] < 0.0))
        values = {
            "kind": word(self.kind),
            "metric": word(self.metric),
            "level": formats.percent(1.0 - self.alpha, decimals=0),
        }
        if not above and not below:
            return " ".join([say(_INSIDE, **values), *caution])
        parts = [say(_ABOVE, **values, share=formats.percent(above, decimals=0))]
        if below:
            parts.append(say(_BELOW, share=formats.percent(below, decimals=0)))
        return " ".join([*parts, *caution])

    def to_frame(self) -> pd.DataFrame:
        """Give one row per depth: curve, both bands, the random line, method and reason."""
        names = ("depth", "estimate", "low", "high", "low_all", "high_all", "random")
        frame = pd.DataFrame({name: getattr(self, name) for name in names})
        frame.insert(0, "curve", self.kind)
        return frame.assign(
            above_random_low=self.above_random_low,
            above_random_high=self.above_random_high,
            evidence=self.evidence,
            method=self.method,
            reason=self.reasons,
        )

    def card_frame(self) -> pd.DataFrame:
        """Give every fourth depth without the method."""
        columns = ["depth", "estimate", "low", "high", "low_all", "high_all", "random"]
        return self.to_frame()[columns].iloc[::-4].iloc[::-1]


def curve_bands(
    trial: Trial,
    score: ArrayLike,
    *,
    alpha: float,
    rng: np.random.Generator,
    kind: CurveKind = "gain",
    depth: ArrayLike = DEPTHS,
    replicates: int = REPLICATES,
    groups: int = GROUPS,
) -> CurveBands:
    """Give a curve with its bands, pointwise and for all depths at once.

    Parameters
    ----------
    trial : Trial
        Outcome, arms and the chance to be treated.
    score : array-like, shape (n,)
        Higher means contacted earlier; fitted on other units.
    alpha : float
        Two-sided error level, between 0 and 1.
    rng : numpy.random.Generator
        Source of the resamples.
    kind : {"uplift", "gain", "qini"}
        Which curve.
    depth : array-like
        Shares of the customers, above 0 up to 1.
    replicates : int
        Resamples.
    groups : int
        Score groups for the resamples; the curve itself uses every score.

    Raises
    ------
    DesignError
        When a depth or something else is impossible.

    Notes
    -----
    The same customers are split at random into arms, as in the studentised permutation test of
    `crm_lab.stats.compare_means`; each split gives the curve in units of its own standard error.
    The bands take the quantiles of these, apart for both sides, so that they lean to the side of
    the tail; the band for all depths those of the largest and the smallest over the depths. With
    chances that differ the customers are resampled instead.

    What the bands cover with small controls and heavy tails stands in
    ``docs/simulations/uplift.md``.

    References
    ----------
    Hall, P. (1992), "The Bootstrap and Edgeworth Expansion", Springer, section 3.5. Montiel Olea,
    J. L., Plagborg-Moller, M. (2019), "Simultaneous confidence bands", Journal of Applied
    Econometrics 34, algorithm 2.

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> is_treated, reacts = rng.random((2, 6_000)) < 0.5
    >>> visit = rng.random(6_000) < 0.1 + 0.2 * is_treated * reacts
    >>> trial = Trial(outcome=visit, is_treated=is_treated, probability=0.5, metric="visit")
    >>> bands = curve_bands(trial, reacts, alpha=0.05, rng=rng, depth=[0.25, 0.5, 1.0],
    ...                     replicates=200)
    >>> bool(np.all(bands.low_all <= bands.low)), bool(bands.above_random_low[1] > 0)
    (True, True)
    """
    check_share(alpha, "alpha")
    check_count(replicates, "replicates", minimum=1)
    check_count(groups, "groups", minimum=2)
    if kind not in ("uplift", "gain", "qini"):
        raise DesignError(
            say("kind is {kind}", kind=repr(kind)), expected=say("'uplift', 'gain' or 'qini'")
        )
    depths = np.sort(as_values(depth, "depth"))
    if depths.size == 0 or not np.all((depths > 0.0) & (depths <= 1.0)):
        raise DesignError(say("a depth is not a share above 0, at most 1"))
    values = check_score(score, trial.n)
    curve = uplift_curve(trial, values)
    grouped = grouped_trial(trial, values, groups=groups)
    whole = itself(grouped, with_errors=True)
    center = _at(whole, depths)
    if trial.has_one_chance:
        stacks = random_splits(grouped, share=trial.share, replicates=replicates, rng=rng)
        middle, above = np.zeros_like(center.effect), np.zeros_like(center.above)
    else:
        stacks = resamples(grouped, replicates=replicates, rng=rng, with_errors=True)
        middle, above = center.effect, center.above
    method = _SPLITS if trial.has_one_chance else _RESAMPLES
    drawn = [_at(stack, depths) for stack in stacks]
    t = _studentised([part.effect for part in drawn], [part.error for part in drawn], middle)
    t_line = _studentised(
        [part.above for part in drawn], [part.above_error for part in drawn], above
    )
    reasons = _reasons(trial, values, depths, center.error[0])
    known = np.array([not reason for reason in reasons])
    # The whole list ends on the line whatever the score, so it cannot differ from it.
    inner = known & (depths < 1.0)
    scale = _scale(curve, depths, kind)
    exact = curve.at(depths, kind="uplift")
    end = float(curve.uplift[-1])

    def band(middle: FloatArray, error: FloatArray, limits: Limits) -> tuple[FloatArray, ...]:
        # The upper quantile of the deviations gives the lower end.
        ends = (middle - error * limit for limit in limits)
        return tuple(np.where(known, scale * one, np.nan) for one in ends)

    low, high = band(exact, center.error[0], _limits(t, alpha, known, together=False))
    low_all, high_all = band(exact, center.error[0], _limits(t, alpha, known, together=True))
    low_line, high_line = band(
        exact - end, center.above_error[0], _limits(t_line, alpha, inner, together=True)
    )
    return CurveBands(
        metric=trial.metric,
        treatment=trial.treatment,
        control=trial.control,
        kind=kind,
        depth=depths,
        estimate=np.where(known, scale * exact, np.nan),
        low=low,
        high=high,
        low_all=low_all,
        high_all=high_all,
        random=scale * end,
        above_random_low=np.where(inner | ~known, low_line, 0.0),
        above_random_high=np.where(inner | ~known, high_line, 0.0),
        alpha=alpha,
        evidence=trial.evidence,
        method=method.format(replicates=replicates, groups=grouped.groups),
        reasons=reasons,
    )


def coefficient_replicates(
    trial: Trial,
    score: FloatArray,
    definition: Definition,
    *,
    replicates: int,
    rng: np.random.Generator,
    groups: int = GROUPS,
) -> FloatArray:
    """Give a coefficient of each resample of the customers.

    Parameters
    ----------
    trial : Trial
        Outcome, arms and the chance to be treated.
    score : ndarray, shape (n,)
        Higher means contacted earlier.
    definition : str
        Which coefficient.
    replicates : int
        Resamples.
    rng : numpy.random.Generator
        Source of the resamples.
    groups : int
        Score groups.

    Returns
    -------
    ndarray, shape (replicates,)
        NaN where a resample does not allow the coefficient.

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> trial = Trial(outcome=rng.random(500) < 0.5, is_treated=rng.random(500) < 0.5,
    ...               probability=0.5)
    >>> found = coefficient_replicates(trial, rng.random(500), "gain", replicates=9, rng=rng)
    >>> found.shape
    (9,)
    """
    grouped = grouped_trial(trial, score, groups=groups)
    parts = [
        coefficient(stack.sums, definition)
        for stack in resamples(grouped, replicates=replicates, rng=rng)
    ]
    return np.concatenate(parts)


Limits = tuple[FloatArray, FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _AtDepths:
    """Effects down to some depths and what they have above the average, with errors."""

    effect: FloatArray
    error: FloatArray
    above: FloatArray
    above_error: FloatArray


def _at(drawn: Drawn, depths: FloatArray) -> _AtDepths:
    sums = drawn.sums
    v_t, v_c = drawn.squared_errors
    share_t = sums.weight_treated / np.maximum(sums.weight_treated[:, -1:], 1e-300)
    share_c = sums.weight_control / np.maximum(sums.weight_control[:, -1:], 1e-300)
    # A mean and the mean of a part of it: their covariance is the part's share of its variance.
    line = v_t * (1.0 - 2.0 * share_t) + v_t[:, -1:] + v_c * (1.0 - 2.0 * share_c) + v_c[:, -1:]
    share = sums.n / sums.n[:, -1:]
    gain = _interpolate(share, share * sums.effect, depths, from_zero=True)
    effect = gain / depths
    error = _interpolate(share, v_t + v_c, depths)
    above_error = _interpolate(share, np.maximum(line, 0.0), depths)
    return _AtDepths(
        effect=effect,
        error=np.sqrt(error),
        above=effect - sums.effect[:, -1:],
        above_error=np.sqrt(above_error),
    )


def _interpolate(
    share: FloatArray, values: FloatArray, depths: FloatArray, *, from_zero: bool = False
) -> FloatArray:
    """Read each row at the depths, straight between the groups."""
    found = np.empty((share.shape[0], depths.size))
    for row, (x, y) in enumerate(zip(share, values, strict=True)):
        if from_zero:
            found[row] = np.interp(depths, np.append(0.0, x), np.append(0.0, y))
        else:
            found[row] = np.interp(depths, x, y)
    return found


def _studentised(
    drawn: list[FloatArray], errors: list[FloatArray], center: FloatArray
) -> FloatArray:
    """Deviations in units of their own error; one without an error is beyond every limit."""
    deviation = np.concatenate(drawn) - center
    error = np.concatenate(errors)
    t = np.divide(deviation, error, out=np.zeros_like(deviation), where=error > 0.0)
    lost = ~(error > 0.0) & (deviation != 0.0)
    return np.where(lost, np.copysign(np.inf, deviation), t)


def _limits(t: FloatArray, alpha: float, used: NDArray[np.bool_], *, together: bool) -> Limits:
    """Give the upper and the lower quantile of the deviations at each depth."""
    tail = alpha / 2.0
    if not used.any():
        nothing = np.full(t.shape[1], np.nan)
        return nothing, nothing
    if not together:
        upper = np.quantile(t, 1.0 - tail, axis=0, method="higher")
        return upper, np.quantile(t, tail, axis=0, method="lower")
    upper = np.quantile(t[:, used].max(axis=1), 1.0 - tail, method="higher")
    lower = np.quantile(t[:, used].min(axis=1), tail, method="lower")
    return np.full(t.shape[1], upper), np.full(t.shape[1], lower)


def _scale(curve: UpliftCurve, depths: FloatArray, kind: CurveKind) -> FloatArray:
    """Give what turns the effect down to a depth into the curve there."""
    if kind == "uplift":
        return np.ones_like(depths)
    if kind == "gain":
        return depths
    treated = curve.sums.n_treated / curve.sums.n_treated[-1]
    return np.asarray(np.interp(depths, np.append(0.0, curve.depth), np.append(0.0, treated)))


def _reasons(
    trial: Trial, score: FloatArray, depths: FloatArray, error: FloatArray
) -> tuple[str, ...]:
    outcomes, counts = np.unique(trial.outcome, return_counts=True)
    common = outcomes[np.argmax(counts)]
    telling = trial.outcome != common if counts.max() * 2 > trial.n else np.ones(trial.n, bool)
    reasons = []
    for depth, size in zip(depths, error, strict=True):
        inside = top_share(score, depth) * telling
        fewest = min(inside[trial.is_treated].sum(), inside[~trial.is_treated].sum())
        if outcomes.size == 1:
            reasons.append(say(_NO_VARIATION))
        elif fewest < MINIMUM_UNITS or not size > 0.0:
            reasons.append(say(_TOO_FEW, n=MINIMUM_UNITS))
        else:
            reasons.append("")
    return tuple(reasons)
