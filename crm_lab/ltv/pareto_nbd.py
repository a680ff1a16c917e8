"""Pareto/NBD: customers buy at their own rate and leave for good at any moment, unnoticed.

Everything rests on one integral, that of the moment of leaving between two times,

    I(k, q; t0, t1) = integral from t0 to t1 of (alpha + u)^-k (beta + u)^-q du,

which papers write with Gauss's hypergeometric function. Here it is a Gauss-Legendre sum in the
log of time, cut where the integrand has died away. It has no pole, stays finite for every count
and time, and its derivatives in all four parameters are sums over the same points.

References
----------
.. [1] Schmittlein, D. C., Morrison, D. G., Colombo, R. (1987). Counting Your Customers: Who Are
   They and What Will They Do Next? Management Science 33(1), 1-24.
.. [2] Fader, P. S., Hardie, B. G. S. (2005). A Note on Deriving the Pareto/NBD Model and Related
   Expressions. Note 009, equations 18 to 43.
.. [3] Fader, P. S., Hardie, B. G. S., Lee, K. L. (2005). RFM and CLV: Using Iso-Value Curves for
   Customer Base Analysis. J. of Marketing Research 42(4), 415-430, equation 2.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from crm_lab.ltv.parameters import FloatArray, ParetoNBDParameters, floats

NEGLIGIBLE_LOG = 42.0
"""The integral is cut where its integrand has fallen by exp(-42), below a double's precision."""

POINTS = (8, 16, 28, 44, 96)
"""Numbers of points of the quadrature, from the easiest integrals to the hardest."""

EASE = (1.2, 8.0, 24.0, 40.0)
"""Up to these totals of fall (in logs) and four times the length (in logs of time) the first to
fourth number of points give full precision; beyond, the last one."""

ROWS = 2_048
"""Histories integrated at a time, so that their points stay in the cache."""


def log_likelihood(
    parameters: ParetoNBDParameters, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
) -> FloatArray:
    """Give the log-likelihood of each history, with every constant that published values carry.

    Parameters
    ----------
    parameters : ParetoNBDParameters
        Where to evaluate.
    frequency, recency, age : array_like
        Repeat purchases x, time of the last one t_x, and time under observation T.

    Returns
    -------
    ndarray
        One value per history.

    Examples
    --------
    >>> paper = ParetoNBDParameters(r=0.553, alpha=10.578, s=0.606, beta=11.669)
    >>> log_likelihood(paper, [0, 2], [0, 30.43], [38.86, 38.86]).round(4)
    array([-0.521 , -9.5543])
    """
    x, t_x, t_all = floats(frequency, recency, age)
    p = parameters
    alive, left = _log_parts(p, x, t_x, t_all)
    start = special.gammaln(p.r + x) - special.gammaln(p.r)
    return np.asarray(
        start + p.r * np.log(p.alpha) + p.s * np.log(p.beta) + np.logaddexp(alive, left)
    )


def probability_alive(
    parameters: ParetoNBDParameters, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
) -> FloatArray:
    """Give the probability that a customer is still one at the end of observation.

    Parameters
    ----------
    parameters : ParetoNBDParameters
        The fitted model.
    frequency, recency, age : array_like
        Repeat purchases x, time of the last one t_x, and time under observation T.

    Returns
    -------
    ndarray
        Probabilities, 0 to 1 (note 009, equation 41).

    Examples
    --------
    >>> paper = ParetoNBDParameters(r=0.553, alpha=10.578, s=0.606, beta=11.669)
    >>> probability_alive(paper, [0, 2], [0, 30.43], [38.86, 38.86]).round(3)
    array([0.295, 0.869])
    """
    x, t_x, t_all = floats(frequency, recency, age)
    alive, left = _log_parts(parameters, x, t_x, t_all)
    return np.asarray(special.expit(alive - left))


def purchases_while_alive(
    parameters: ParetoNBDParameters, periods: ArrayLike, frequency: ArrayLike, age: ArrayLike
) -> FloatArray:
    """Give the purchases expected in the next ``periods`` of a customer alive at ``age``.

    Parameters
    ----------
    parameters : ParetoNBDParameters
        The fitted model.
    periods : array_like
        Length of the horizon, 0 or more.
    frequency, age : array_like
        Repeat purchases x and time under observation T.

    Returns
    -------
    ndarray
        Expected numbers (note 009, equation 43 without P(alive); through s = 1).
    """
    x, t_all, horizon = floats(frequency, age, periods)
    p = parameters
    length = np.log1p(horizon / (p.beta + t_all))
    # (1 - ((beta + T) / (beta + T + t))^(s - 1)) / (s - 1), which is the log at s = 1.
    share = length * special.exprel(-(p.s - 1) * length)
    return np.asarray((p.r + x) * (p.beta + t_all) / (p.alpha + t_all) * share)


def purchase_chance_while_alive(
    parameters: ParetoNBDParameters, periods: ArrayLike, frequency: ArrayLike, age: ArrayLike
) -> FloatArray:
    """Give the probability of a purchase in the next ``periods`` of a customer alive at ``age``.

    The first event is a purchase rather than the end: the integral over its moment.

    Parameters
    ----------
    parameters : ParetoNBDParameters
        The fitted model.
    periods : array_like
        Length of the horizon, 0 or more.
    frequency, age : array_like
        Repeat purchases x and time under observation T.

    Returns
    -------
    ndarray
        Probabilities, 0 to 1.
    """
    x, t_all, horizon = floats(frequency, age, periods)
    p = parameters
    shape = p.r + x
    log_value = log_integral(
        shape + 1, p.s, p.alpha + t_all, p.beta + t_all, np.zeros_like(t_all), horizon
    )
    whole = np.log(shape) + shape * np.log(p.alpha + t_all) + p.s * np.log(p.beta + t_all)
    return np.asarray(np.minimum(np.exp(whole + log_value), 1.0))


def purchase_count_probability(
    parameters: ParetoNBDParameters, periods: ArrayLike, count: ArrayLike
) -> FloatArray:
    """Give the probability that a new customer makes exactly ``count`` repeat purchases.

    Parameters
    ----------
    parameters : ParetoNBDParameters
        The fitted model.
    periods : array_like
        Time since the first purchase.
    count : array_like
        Numbers of repeat purchases.

    Returns
    -------
    ndarray
        Probabilities (note 009, equation 19, as an integral over the moment of leaving).
    """
    n, horizon = floats(count, periods)
    p = parameters
    stay = (
        special.gammaln(p.r + n)
        - special.gammaln(p.r)
        - special.gammaln(n + 1)
        - p.r * np.log1p(horizon / p.alpha)
        + special.xlogy(n, horizon / (p.alpha + horizon))
        - p.s * np.log1p(horizon / p.beta)
    )
    nodes, weights = _legendre(POINTS[-1])
    flat_n, flat_t = n.ravel(), horizon.ravel()
    # Leaving at u: the NBD count by then, with u = t z^2 because the density is steep at 0.
    z = nodes**2
    u = flat_t[:, None] * z
    counts = flat_n[:, None]
    log_nbd = (
        special.gammaln(p.r + counts)
        - special.gammaln(p.r)
        - special.gammaln(counts + 1)
        - p.r * np.log1p(u / p.alpha)
        + special.xlogy(counts, u / (p.alpha + u))
    )
    density = p.s / p.beta * np.exp(-(p.s + 1) * np.log1p(u / p.beta))
    gone = np.einsum("ij,j->i", np.exp(log_nbd) * density, weights * 2 * nodes) * flat_t
    return np.asarray(np.exp(stay) + gone.reshape(n.shape))


def simulate_while_alive(
    parameters: ParetoNBDParameters,
    periods: float,
    frequency: FloatArray,
    age: FloatArray,
    *,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Draw the purchases in the next ``periods`` of customers alive at ``age``.

    Parameters
    ----------
    parameters : ParetoNBDParameters
        The fitted model.
    periods : float
        Length of the horizon.
    frequency, age : ndarray
        Repeat purchases x and time under observation T.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of int
        One draw per customer.
    """
    p = parameters
    rate = rng.gamma(p.r + frequency) / (p.alpha + age)
    leaving = rng.gamma(p.s, size=age.shape) / (p.beta + age)
    stays = rng.exponential(size=age.shape) / np.maximum(leaving, np.finfo(float).tiny)
    return np.asarray(rng.poisson(rate * np.minimum(stays, periods)), dtype=np.int64)


def discounted_purchases(
    parameters: ParetoNBDParameters,
    discount: float,
    frequency: ArrayLike,
    recency: ArrayLike,
    age: ArrayLike,
) -> FloatArray:
    """Give the discounted expected residual transactions (DERT) over an endless horizon.

    Parameters
    ----------
    parameters : ParetoNBDParameters
        The fitted model.
    discount : float
        Continuous rate per unit of time, above 0: ln(1.15) / 52 for 15 % a year in weeks.
    frequency, recency, age : array_like
        Repeat purchases x, time of the last one t_x, and time under observation T.

    Returns
    -------
    ndarray
        Present numbers of purchases (reference 3, equation 2, as P(alive) times the rate times
        the present length of a lifetime).

    Examples
    --------
    >>> paper = ParetoNBDParameters(r=0.553, alpha=10.578, s=0.606, beta=11.669)
    >>> discounted_purchases(paper, np.log(1.15) / 52, [2], [30.43], [38.86]).round(3)
    array([6.502])
    """
    x, t_x, t_all = floats(frequency, recency, age)
    p = parameters
    alive = probability_alive(p, x, t_x, t_all)
    present = (p.beta + t_all) * _present_length(discount * (p.beta + t_all), p.s)
    return np.asarray(alive * (p.r + x) / (p.alpha + t_all) * present)


def log_integral(
    k: ArrayLike, q: ArrayLike, alpha: ArrayLike, beta: ArrayLike, start: ArrayLike, stop: ArrayLike
) -> FloatArray:
    """Give the log of the integral of (alpha + u)^-k (beta + u)^-q over u from start to stop.

    Parameters
    ----------
    k, q : array_like
        Exponents, 0 or more.
    alpha, beta : array_like
        Above 0.
    start, stop : array_like
        Limits, ``0 <= start <= stop``.

    Returns
    -------
    ndarray
        Logs; minus infinity where the limits are equal.
    """
    columns = floats(k, q, alpha, beta, start, stop)
    shape = columns[0].shape
    flat = [column.ravel() for column in columns]
    answer = np.empty(flat[0].shape)
    for rows, points in classes(*flat):
        for begin in range(0, len(rows), ROWS):
            at = rows[begin : begin + ROWS]
            each = [column[at] for column in flat]
            log_alpha, log_beta, _, measure = quadrature(*each, points=points)
            density = np.exp(-each[0][:, None] * log_alpha - each[1][:, None] * log_beta)
            total = np.einsum("ij,ij->i", density, measure)
            with np.errstate(divide="ignore"):
                answer[at] = (
                    np.log(total)
                    - each[0] * np.log(each[2] + each[4])
                    - each[1] * np.log(each[3] + each[4])
                )
    return answer.reshape(shape)


def classes(
    k: FloatArray,
    q: FloatArray,
    alpha: FloatArray,
    beta: FloatArray,
    start: FloatArray,
    stop: FloatArray,
) -> list[tuple[NDArray[np.intp], int]]:
    """Sort integrals by how many points they need: places of the rows, and the number."""
    near = np.minimum(alpha, beta) + start
    length = np.log1p((stop - start) / near)
    fall = k * np.log1p((stop - start) / (alpha + start))
    fall += q * np.log1p((stop - start) / (beta + start))
    effort = np.minimum(fall, NEGLIGIBLE_LOG) + 4 * length
    kind = np.searchsorted(EASE, effort)
    return [
        (rows, points)
        for place, points in enumerate(POINTS)
        if (rows := np.flatnonzero(kind == place)).size
    ]


def quadrature(
    k: FloatArray,
    q: FloatArray,
    alpha: FloatArray,
    beta: FloatArray,
    start: FloatArray,
    stop: FloatArray,
    *,
    points: int,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Give the points of the integrals: shape (rows, points) each.

    These are ln((alpha+u)/(alpha+start)), ln((beta+u)/(beta+start)), u - start and the measure.

    The points lie in w = ln((m + u) / (m + start)) with m the smaller of alpha and beta: there the
    integrand is analytic in a strip of half-width pi. The interval ends where one of its factors
    alone has fallen by ``NEGLIGIBLE_LOG``, the growth of the measure counted.
    """
    nodes, weights = _legendre(points)
    near_is_alpha = alpha <= beta
    near = np.where(near_is_alpha, alpha, beta) + start
    other = np.where(near_is_alpha, beta, alpha) + start
    # Each factor alone says where the integrand has died away.
    gone_near = NEGLIGIBLE_LOG / np.maximum(np.where(near_is_alpha, k, q) - 1, 0.01)
    gone_other = NEGLIGIBLE_LOG / np.maximum(np.where(near_is_alpha, q, k) - 1, 0.1)
    gone = np.minimum(gone_near, np.log1p(np.expm1(gone_other) * other / near))
    length = np.minimum(np.log1p((stop - start) / near), gone)
    w = length[:, None] * nodes
    moved = near[:, None] * np.expm1(w)
    log_other = np.log1p(moved / other[:, None])
    measure = (moved + near[:, None]) * (length[:, None] * weights)
    if near_is_alpha.all():
        return w, log_other, moved, measure
    if not near_is_alpha.any():
        return log_other, w, moved, measure
    swap = near_is_alpha[:, None]
    return np.where(swap, w, log_other), np.where(swap, log_other, w), moved, measure


def _present_length(scaled: FloatArray, s: float) -> FloatArray:
    """Integrate exp(-z u) (1 + u)^-s over u from 0 on, which is U(1, 2 - s, z), in ln(1 + u)."""
    nodes, weights = _legendre(POINTS[-1])
    length = np.minimum(np.log1p(NEGLIGIBLE_LOG / scaled), NEGLIGIBLE_LOG / max(s - 1, 0.01))
    w = length[..., None] * nodes
    density = np.exp(-scaled[..., None] * np.expm1(w) + (1 - s) * w)
    return np.asarray(length * np.einsum("...j,j->...", density, weights))


@functools.cache
def _legendre(points: int) -> tuple[FloatArray, FloatArray]:
    """Give nodes and weights of Gauss and Legendre on 0 to 1."""
    nodes, weights = special.roots_legendre(points)
    return np.asarray((nodes + 1) / 2), np.asarray(weights / 2)


def _log_parts(
    p: ParetoNBDParameters, x: FloatArray, t_x: FloatArray, t_all: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Give the logs of the two ways to such a history: still alive, or left since t_x."""
    alive = -(p.r + x) * np.log(p.alpha + t_all) - p.s * np.log(p.beta + t_all)
    left = np.log(p.s) + log_integral(p.r + x, p.s + 1, p.alpha, p.beta, t_x, t_all)
    return np.asarray(alive), np.asarray(left)
