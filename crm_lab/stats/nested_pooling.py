"""Effects of several kinds, each measured several times: kinds among each other, next of a kind.

Two levels. Effects of one kind scatter around the mean of the kind (``tau_within``); the means of
the kinds scatter around a mean of all. The scatter within a kind is taken as the same for every
kind, since few kinds are measured often enough to have one of their own. It is not known well, so
every answer averages over its plausible values, as :mod:`crm_lab.stats.pooling` does for the
scatter between kinds.

References
----------
Gelman, A. et al. (2013), "Bayesian data analysis", third edition, equations 5.17 to 5.21.
DuMouchel, W. H., Normand, S.-L. (2000), "Computer-modeling and graphical strategies for
meta-analysis" (the prior of the scatter).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from crm_lab.errors import DesignError
from crm_lab.language import message, say
from crm_lab.stats.arguments import FloatArray, as_given, as_values, check_share
from crm_lab.stats.effects import Scale
from crm_lab.stats.pooling import PooledEffects, pool_effects

NOT_REPEATED = message("nothing was measured twice, so how far repetitions differ is not known")
NO_SUCH_KIND = message("nothing of this kind was measured, and too few kinds to foresee a new one")

_TAU_NODES = 200
_TAU_SPAN = (1e-4, 1e2)
"""Range of the scatter, in standard errors of a typical effect."""
_BISECTIONS = 80
_SPREADS = 40.0
"""Half-width of the search for a quantile, in standard deviations of the widest component."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What is to be expected of the next effect, before it is measured.

    Attributes
    ----------
    estimate, low, high : float
        Centre and ``1 - alpha`` prediction interval; NaN where the data support none.
    alpha : float
        Two-sided error level.
    reason : str
        Why it is NaN, or what it leaves out; empty otherwise.
    """

    estimate: float
    low: float
    high: float
    alpha: float
    reason: str = ""

    @property
    def is_known(self) -> bool:
        """Whether the data support an expectation."""
        return math.isfinite(self.estimate)


@dataclass(frozen=True, slots=True, kw_only=True)
class NestedEffects:
    """Effects of several kinds, pooled on two levels.

    Attributes
    ----------
    kinds : tuple of str
        The kinds, in the order in which they first appear.
    counts : tuple of int
        Usable effects of each kind.
    means, standard_errors : tuple of float
        Mean of each kind from its own effects alone, and how sure it is (half the width of its
        interval, in units of the normal quantile); NaN where no effect of the kind could be used.
    pooled : PooledEffects
        The kinds among each other: shrunken means, tests, probability to be the best.
    taus, tau_weights : tuple of float
        Plausible scatters within a kind, and their weights.
    tau_within : float
        Weighted median of them; NaN where nothing was measured twice.
    within_q, within_degrees : float, int
        Cochran's Q within kinds, summed, and its degrees of freedom.
    within_p : float
        Its p-value: whether repetitions of a kind differ by more than chance; NaN without any.
    alpha : float
        Two-sided error level.
    reason : str
        What cannot be known; empty otherwise.
    """

    kinds: tuple[str, ...]
    counts: tuple[int, ...]
    means: tuple[float, ...]
    standard_errors: tuple[float, ...]
    pooled: PooledEffects
    taus: tuple[float, ...]
    tau_weights: tuple[float, ...]
    tau_within: float
    within_q: float
    within_degrees: int
    within_p: float
    alpha: float
    reason: str = ""

    def expect(self, kind: str, *, next_standard_error: float = 0.0) -> Expectation:
        """Say where the next effect of a kind will lie, before it is measured.

        Parameters
        ----------
        kind : str
            A kind of the pool; another one is foreseen from the kinds among each other.
        next_standard_error : float
            0 foresees the true effect; the standard error of the coming measurement foresees what
            will be measured.

        Returns
        -------
        Expectation
            NaN with a reason where nothing supports it. Where nothing was measured twice, the
            scatter of repetitions is left out and the reason says so.

        Raises
        ------
        DesignError
            When the standard error is negative or not a number.
        """
        if not (math.isfinite(next_standard_error) and next_standard_error >= 0):
            raise DesignError(
                as_given("next_standard_error", next_standard_error),
                expected=say("a finite number of at least 0"),
            )
        centre, spread = self._level(kind)
        if not (math.isfinite(centre) and math.isfinite(spread)):
            nan = math.nan
            return Expectation(
                estimate=nan, low=nan, high=nan, alpha=self.alpha, reason=say(NO_SUCH_KIND)
            )
        taus, weights = np.array(self.taus), np.array(self.tau_weights)
        spreads = np.sqrt(spread**2 + taus**2 + next_standard_error**2)
        tail = self.alpha / 2
        low, high = (
            _mixture_quantile(np.full_like(taus, centre), spreads, weights, q)
            for q in (tail, 1 - tail)
        )
        return Expectation(
            estimate=centre, low=low, high=high, alpha=self.alpha, reason=self.reason
        )

    def _level(self, kind: str) -> tuple[float, float]:
        """Centre and standard deviation of the mean of a kind, after pooling."""
        width = -2 * float(special.ndtri(self.alpha / 2))
        if kind in self.kinds:
            place = self.kinds.index(kind)
            if self.counts[place]:
                pooled = self.pooled
                spread = pooled.shrunken_high[place] - pooled.shrunken_low[place]
                return pooled.shrunken[place], spread / width
        pooled = self.pooled
        return pooled.mean, (pooled.prediction_high - pooled.prediction_low) / width


def pool_nested_effects(
    estimates: ArrayLike,
    standard_errors: ArrayLike,
    kinds: Sequence[str],
    *,
    alpha: float,
    scale: Scale = "number",
) -> NestedEffects:
    """Pool effects of several kinds, each measured once or several times.

    Use it where single measurements repeat a kind of treatment: mails of one mechanic, tests of
    one page. A kind that was measured once is not taken for more certain than its repetitions
    would be.

    Parameters
    ----------
    estimates, standard_errors : array-like, shape (k,)
        One independent effect each, about normal. A missing or infinite value, or a standard error
        of 0, leaves the effect out.
    kinds : sequence of str, length k
        The kind of each effect.
    alpha : float
        Two-sided error level, between 0 and 1.
    scale : {"number", "share"}
        How people read the effects.

    Returns
    -------
    NestedEffects
        Where nothing was measured twice, the scatter within kinds is taken as 0 and ``reason``
        says so.

    Raises
    ------
    DesignError
        When lengths differ, a standard error is negative, or alpha is not between 0 and 1.

    Notes
    -----
    The scatter within kinds has the prior ``s / (s + tau)^2`` with the harmonic mean of the squared
    standard errors as ``s^2``, and the likelihood of the deviations from the means of the kinds
    (which have flat priors). The mean of each kind is a mixture of normal distributions over it;
    half the width of its interval, divided by the normal quantile, goes as standard error into
    :func:`crm_lab.stats.pooling.pool_effects`.

    With 3 to 12 kinds of 1 to 4 effects each, nominal 95 %, the shrunken means held 91 to 99 % of
    the true ones and the expectation of the next effect 91 % or more of what was then measured;
    the least where 12 kinds differ by about one standard error, or where repetitions differ by two
    and few were made (120 runs each; see the tests of this module).

    References
    ----------
    See the head of this module.

    Examples
    --------
    >>> found = pool_nested_effects(
    ...     [0.10, 0.14, 0.02, 0.01, 0.03], [0.03, 0.04, 0.03, 0.03, 0.05],
    ...     ["discount", "discount", "news", "news", "quiz"], alpha=0.05)
    >>> found.kinds, found.counts
    (('discount', 'news', 'quiz'), (2, 2, 1))
    >>> found.means[0] > found.pooled.shrunken[0] > found.pooled.mean
    True
    """
    check_share(alpha, "alpha")
    y, s = as_values(estimates, "estimates"), as_values(standard_errors, "standard_errors")
    if not y.size == s.size == len(kinds):
        raise DesignError(
            say(
                "{y} estimates, {s} standard errors and {kinds} kinds",
                y=y.size,
                s=s.size,
                kinds=len(kinds),
            ),
            expected=say("as many of each"),
        )
    if (s < 0).any():
        raise DesignError(
            say("a standard error is {s}", s=float(np.nanmin(s))), expected=say("at least 0")
        )
    names = tuple(dict.fromkeys(kinds))
    used = np.isfinite(y) & np.isfinite(s) & (s > 0)
    places = np.array([names.index(kind) for kind in kinds], dtype=np.intp)
    y, s, places = y[used], s[used], places[used]
    counts = np.bincount(places, minlength=len(names))
    degrees = int(np.maximum(counts - 1, 0).sum())
    taus, weights = _scatter(y, s, places, len(names)) if degrees else (np.zeros(1), np.ones(1))
    means, errors = _means(y, s, places, len(names), taus, weights, alpha)
    q = _squares(y, s, places, len(names), np.zeros(1))[0] if degrees else math.nan
    return NestedEffects(
        kinds=names,
        counts=tuple(int(count) for count in counts),
        means=tuple(float(x) for x in means),
        standard_errors=tuple(float(x) for x in errors),
        pooled=pool_effects(means, errors, alpha=alpha, names=names, scale=scale),
        taus=tuple(float(x) for x in taus),
        tau_weights=tuple(float(x) for x in weights),
        tau_within=_weighted_median(taus, weights) if degrees else math.nan,
        within_q=float(q),
        within_degrees=degrees,
        within_p=float(special.chdtrc(degrees, q)) if degrees else math.nan,
        alpha=alpha,
        reason="" if degrees else say(NOT_REPEATED),
    )


def _scatter(
    y: FloatArray, s: FloatArray, places: np.ndarray, n_kinds: int
) -> tuple[FloatArray, FloatArray]:
    """Give plausible scatters within kinds, and their posterior weights."""
    typical = 1.0 / math.sqrt(float((1.0 / s**2).mean()))
    taus = np.geomspace(_TAU_SPAN[0] * typical, _TAU_SPAN[1] * typical, _TAU_NODES)
    precision = 1.0 / (s**2 + (taus**2)[:, None])  # node by effect
    sums = _by_kind(precision, places, n_kinds)
    log_likelihood = (
        0.5 * np.log(precision).sum(axis=1)
        - 0.5 * np.log(np.where(sums > 0, sums, 1.0)).sum(axis=1)
        - 0.5 * _squares(y, s, places, n_kinds, taus)
    )
    log_prior = np.log(typical) - 2 * np.log(typical + taus) + np.log(taus)  # steps are of log tau
    weights = np.exp(log_likelihood + log_prior - (log_likelihood + log_prior).max())
    return taus, weights / weights.sum()


def _squares(
    y: FloatArray, s: FloatArray, places: np.ndarray, n_kinds: int, taus: FloatArray
) -> FloatArray:
    """Weighted squares of the deviations from the means of the kinds, for each scatter."""
    precision = 1.0 / (s**2 + (taus**2)[:, None])
    sums = _by_kind(precision, places, n_kinds)
    means = _by_kind(precision * y, places, n_kinds) / np.where(sums > 0, sums, 1.0)
    squares: FloatArray = (precision * (y - means[:, places]) ** 2).sum(axis=1)
    return squares


def _means(
    y: FloatArray,
    s: FloatArray,
    places: np.ndarray,
    n_kinds: int,
    taus: FloatArray,
    weights: FloatArray,
    alpha: float,
) -> tuple[FloatArray, FloatArray]:
    """Mean of each kind and its standard error, averaged over the scatter."""
    precision = 1.0 / (s**2 + (taus**2)[:, None])
    sums = _by_kind(precision, places, n_kinds)
    safe = np.where(sums > 0, sums, 1.0)
    means = _by_kind(precision * y, places, n_kinds) / safe
    spreads = 1.0 / np.sqrt(safe)
    width = -2 * float(special.ndtri(alpha / 2))
    centre, error = np.full(n_kinds, math.nan), np.full(n_kinds, math.nan)
    for kind in range(n_kinds):
        if sums[0, kind] <= 0:
            continue
        low, high = (
            _mixture_quantile(means[:, kind], spreads[:, kind], weights, q)
            for q in (alpha / 2, 1 - alpha / 2)
        )
        centre[kind] = float(means[:, kind] @ weights)
        error[kind] = (high - low) / width
    return centre, error


def _by_kind(values: FloatArray, places: np.ndarray, n_kinds: int) -> FloatArray:
    """Sum the columns of each kind, row by row."""
    found = np.zeros((values.shape[0], n_kinds))
    for kind in range(n_kinds):
        found[:, kind] = values[:, places == kind].sum(axis=1)
    return found


def _mixture_quantile(
    means: FloatArray, spreads: FloatArray, weights: FloatArray, q: float
) -> float:
    """Quantile of a mixture of normal distributions, by bisection."""
    low = float((means - _SPREADS * spreads).min())
    high = float((means + _SPREADS * spreads).max())
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if float(special.ndtr((middle - means) / spreads) @ weights) < q:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _weighted_median(values: FloatArray, weights: FloatArray) -> float:
    place = int(np.searchsorted(np.cumsum(weights), 0.5))
    return float(values[min(place, values.size - 1)])
