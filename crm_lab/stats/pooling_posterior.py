"""The numbers under `crm_lab.stats.pooling`: the mean of effects, and the average over tau.

References
----------
See `crm_lab.stats.pooling`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize, special

from crm_lab.language import message, say
from crm_lab.stats.arguments import FloatArray

NO_EFFECT = message("no effect has both an estimate and a standard error")
ONE_EFFECT = message("there is one effect only, so nothing is known of how effects differ")

_TAU_NODES, _TAU_SPAN = 240, (1e-4, 1e4)
# With two effects a flat prior of tau leaves nothing that can be averaged.
_FLAT_FROM = 3
_NEGLIGIBLE_WEIGHT = 1e-9
_TAU_GROUPS, _MEAN_NODES = 24, 11
_GRID_POINTS, _GRID_SPAN = 400, 7.0
_BISECTIONS = 60
_TINY = 1e-300


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What all effects say together; NaN where too few of them are there."""

    mean: float = math.nan
    mean_low: float = math.nan
    mean_high: float = math.nan
    tau: float = math.nan
    q: float = math.nan
    heterogeneity_p: float = math.nan
    i_squared: float = math.nan
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Each:
    """One number per effect that was used, and the prediction of the next."""

    shrunken: FloatArray
    low: FloatArray
    high: FloatArray
    weights: FloatArray
    probability_best: FloatArray
    prediction: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Posterior:
    """Values of tau with their weights, and given each the mean of the true effects."""

    tau: FloatArray
    weight: FloatArray
    mean: FloatArray
    variance: FloatArray


def pool(
    y: FloatArray, s: FloatArray, alpha: float, next_standard_error: float
) -> tuple[Whole, Each]:
    """Pool effects whose estimates and standard errors are finite and usable, none to many.

    Examples
    --------
    >>> whole, each = pool(np.array([0.0, 4.0]), np.array([1.0, 1.0]), 0.05, 0.0)
    >>> whole.mean, bool(0.0 < each.shrunken[0] < 2.0 < each.shrunken[1] < 4.0)
    (2.0, True)
    """
    if y.size < 2:
        z = -float(special.ndtri(alpha / 2))
        each = Each(
            shrunken=y,
            low=y - z * s,
            high=y + z * s,
            weights=np.ones_like(y),
            probability_best=np.ones_like(y),
            prediction=(math.nan, math.nan),
        )
        if y.size == 0:
            return Whole(reason=say(NO_EFFECT)), each
        return Whole(mean=float(y[0]), reason=say(ONE_EFFECT)), each
    posterior = posterior_of_tau(y, s, flat=y.size >= _FLAT_FROM)
    each = shrink(y, s, posterior, alpha=alpha, next_standard_error=next_standard_error)
    return _whole(y, s, alpha), replace(each, probability_best=_best(y, s, posterior))


def shrink(
    y: FloatArray,
    s: FloatArray,
    posterior: Posterior,
    *,
    alpha: float,
    next_standard_error: float = 0.0,
) -> Each:
    """Draw each effect towards the mean, averaged over tau; who is the best is left at NaN.

    Parameters
    ----------
    y, s : ndarray, shape (k,)
        Estimates and standard errors.
    posterior : Posterior
        Values of tau with their weights; a single one gives the usual empirical-Bayes answer.
    alpha : float
        Two-sided error level.
    next_standard_error : float
        Standard error of what is predicted.

    Examples
    --------
    >>> y, s = np.array([0.0, 2.0, 7.0]), np.ones(3)
    >>> each = shrink(y, s, posterior_of_tau(y, s, flat=True), alpha=0.05)
    >>> bool((each.low < each.shrunken).all())
    True
    """
    own = posterior.tau**2 / (posterior.tau**2 + (s**2)[:, None])
    means = own * y[:, None] + (1.0 - own) * posterior.mean
    spreads = np.sqrt(own * (s**2)[:, None] + (1.0 - own) ** 2 * posterior.variance)
    ahead = np.sqrt(posterior.tau**2 + posterior.variance + next_standard_error**2)
    weight = posterior.weight
    low, high = (mixture_quantile(means, spreads, weight, q) for q in (alpha / 2, 1 - alpha / 2))
    prediction = [
        float(mixture_quantile(posterior.mean[None], ahead[None], weight, q)[0])
        for q in (alpha / 2, 1 - alpha / 2)
    ]
    return Each(
        shrunken=means @ weight,
        low=low,
        high=high,
        weights=own @ weight,
        probability_best=np.full_like(y, math.nan),
        prediction=(prediction[0], prediction[1]),
    )


def _whole(y: FloatArray, s: FloatArray, alpha: float) -> Whole:
    degrees = y.size - 1
    q = _q(y, s, 0.0)
    tau_squared = paule_mandel(y, s)
    precision = 1.0 / (s**2 + tau_squared)
    mean = float((precision * y).sum() / precision.sum())
    half = -float(special.stdtrit(degrees, alpha / 2)) / math.sqrt(float(precision.sum()))
    return Whole(
        mean=mean,
        mean_low=mean - half,
        mean_high=mean + half,
        tau=math.sqrt(tau_squared),
        q=q,
        heterogeneity_p=float(special.chdtrc(degrees, q)),
        i_squared=max(0.0, 1.0 - degrees / q) if q > 0 else 0.0,
    )


def paule_mandel(estimates: FloatArray, standard_errors: FloatArray) -> float:
    """Give the variance of the true effects at which the weighted squares are as expected.

    Parameters
    ----------
    estimates, standard_errors : ndarray, shape (k,)
        Two effects or more; finite, standard errors above 0.

    Returns
    -------
    float
        ``tau^2``, 0 where the estimates differ no more than their standard errors let expect.

    References
    ----------
    Paule and Mandel (1982).

    Examples
    --------
    >>> round(paule_mandel(np.array([1.0, 5.0]), np.array([1.0, 1.0])), 6)
    7.0
    """
    y, s = estimates, standard_errors
    degrees = y.size - 1
    if _q(y, s, 0.0) <= degrees:
        return 0.0
    # At this variance every weight is small enough for the sum to have fallen below k - 1.
    above = float(np.square(y - y.mean()).sum())
    return float(
        optimize.brentq(lambda v: _q(y, s, v) - degrees, 0.0, above, xtol=1e-300, rtol=1e-12)
    )


def _q(y: FloatArray, s: FloatArray, tau_squared: float) -> float:
    """Weighted sum of squares about the weighted mean: Cochran's Q at ``tau_squared`` = 0."""
    precision = 1.0 / (s**2 + tau_squared)
    mean = (precision * y).sum() / precision.sum()
    return float((precision * np.square(y - mean)).sum())


def posterior_of_tau(y: FloatArray, s: FloatArray, *, flat: bool) -> Posterior:
    """Weigh values of tau by prior and marginal likelihood (Gelman et al. 2013, equation 5.21).

    Parameters
    ----------
    y, s : ndarray, shape (k,)
        Estimates and standard errors, two or more; three or more for a flat prior.
    flat : bool
        Whether the prior of tau is flat; otherwise it is ``s / (s + tau)^2``.

    Examples
    --------
    >>> found = posterior_of_tau(np.array([0.0, 2.0, 7.0]), np.ones(3), flat=True)
    >>> round(float(found.weight.sum()), 9)
    1.0
    """
    typical = 1.0 / math.sqrt(float(np.mean(s**-2)))
    widest = max(typical, float(np.abs(y - np.median(y)).max()))
    ends = (_TAU_SPAN[0] * typical, _TAU_SPAN[1] * widest)
    # The second pass puts all nodes where there is weight, however many effects there are.
    for _ in range(2):
        tau = np.geomspace(*ends, _TAU_NODES)
        precision = 1.0 / ((s**2)[:, None] + tau**2)
        total = precision.sum(axis=0)
        mean = (precision * y[:, None]).sum(axis=0) / total
        squares = (precision * np.square(y[:, None] - mean)).sum(axis=0)
        log_weight = 0.5 * (np.log(precision).sum(axis=0) - np.log(total) - squares)
        # The nodes are equally far apart in the logarithm, hence the factor tau.
        log_weight += np.log(tau)
        if not flat:
            log_weight -= 2.0 * np.log(typical + tau)
        weight = np.exp(log_weight - log_weight.max())
        kept = np.flatnonzero(weight > _NEGLIGIBLE_WEIGHT * weight.sum())
        ends = (float(tau[max(kept[0] - 1, 0)]), float(tau[min(kept[-1] + 1, tau.size - 1)]))
    return Posterior(
        tau=tau[kept],
        weight=weight[kept] / weight[kept].sum(),
        mean=mean[kept],
        variance=1.0 / total[kept],
    )


def mixture_quantile(
    means: FloatArray, spreads: FloatArray, weight: FloatArray, quantile: float
) -> FloatArray:
    """Give a quantile of a mixture of normals per row, by bisection.

    Parameters
    ----------
    means, spreads : ndarray, shape (k, m)
        The normals of each row; spreads above 0.
    weight : ndarray, shape (m,)
        Weights of the normals, summing to 1.
    quantile : float
        Between 0 and 1.

    Examples
    --------
    >>> one = np.array([[0.0, 10.0]])
    >>> mixture_quantile(one, np.ones_like(one), np.array([0.5, 0.5]), 0.75).round(3)
    array([10.])
    """
    reach = spreads * special.ndtri(quantile)
    low, high = (means + reach).min(axis=1), (means + reach).max(axis=1)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        below = special.ndtr((middle[:, None] - means) / spreads) @ weight < quantile
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray(0.5 * (low + high), dtype=np.float64)


def _best(y: FloatArray, s: FloatArray, posterior: Posterior) -> FloatArray:
    """Probability of each effect to be the largest, by quadrature over tau, mean and effects.

    Given tau and the mean the effects are independent, so the chance that one lies in a small
    interval above all others is a product of normal probabilities.
    """
    nodes, node_weights = np.polynomial.hermite_e.hermegauss(_MEAN_NODES)
    node_weights = node_weights / node_weights.sum()
    found = np.zeros_like(y)
    for tau, weight, centre, variance in zip(*_grouped(posterior), strict=True):
        own = tau**2 / (tau**2 + s**2)
        spread = np.sqrt(own) * s
        for node, node_weight in zip(nodes, node_weights, strict=True):
            mean = own * y + (1.0 - own) * (centre + math.sqrt(variance) * node)
            found += weight * node_weight * _largest(mean, spread)
    return np.asarray(found / found.sum(), dtype=np.float64)


def _grouped(posterior: Posterior) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Bring the values of tau down to a few of about equal weight: tau, weight, mean, variance."""
    ends = np.cumsum(posterior.weight)
    group = np.minimum(((ends - 0.5 * posterior.weight) * _TAU_GROUPS).astype(int), _TAU_GROUPS - 1)
    weight = np.bincount(group, weights=posterior.weight, minlength=_TAU_GROUPS).astype(float)
    filled = weight > 0

    def average(values: FloatArray) -> FloatArray:
        sums = np.bincount(group, weights=posterior.weight * values, minlength=_TAU_GROUPS)
        return np.asarray(sums[filled] / weight[filled], dtype=np.float64)

    return (
        np.exp(average(np.log(posterior.tau))),
        weight[filled],
        average(posterior.mean),
        average(posterior.variance),
    )


def _largest(mean: FloatArray, spread: FloatArray) -> FloatArray:
    """Probability of each of several independent normal numbers to be the largest."""
    top = float((mean + _GRID_SPAN * spread).max())
    bottom = float((mean - _GRID_SPAN * spread).max())
    grid = np.linspace(bottom, top, _GRID_POINTS)
    below = special.ndtr((grid - mean[:, None]) / spread[:, None])
    log_below = np.log(np.maximum(below, _TINY))
    others = np.exp(log_below.sum(axis=0) - log_below)
    step = np.diff(below, axis=1)
    chance = (step * 0.5 * (others[:, 1:] + others[:, :-1])).sum(axis=1)
    return np.asarray(chance / chance.sum(), dtype=np.float64)
