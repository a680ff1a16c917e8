"""BG/BB: purchases that can happen at set opportunities only, such as a yearly appeal or a fair.

A history is x, the number of opportunities used after the first purchase; t_x, the last one used;
and n, how many there were. At each opportunity an active customer buys with an own probability;
before each, an own probability decides whether the customer leaves for good.

References
----------
.. [1] Fader, P. S., Hardie, B. G. S., Shang, J. (2010). Customer-Base Analysis in a Discrete-Time
   Noncontractual Setting. Marketing Science 29(6), 1086-1108.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from crm_lab.ltv.fitting import dot
from crm_lab.ltv.parameters import BGBBParameters, FloatArray, floats
from crm_lab.ltv.tuples import DistinctHistories

ROWS = 1_024
"""Histories worked on at a time."""


class BGBBLikelihood:
    """Log-likelihood of BG/BB over the logs of alpha, beta, gamma, delta.

    Parameters
    ----------
    tuples : DistinctHistories
        Distinct histories with their counts; times are numbers of opportunities.
    """

    def __init__(self, tuples: DistinctHistories) -> None:
        self.tuples = tuples
        self.weight = float(tuples.customers.sum())

    def starts(self) -> Sequence[FloatArray]:
        """Give logs from which to search."""
        t = self.tuples
        share = dot(t.frequency, t.customers) / max(dot(t.age, t.customers), 1e-12)
        share = min(max(share, 0.01), 0.99)
        return [np.log([2 * share, 2 * (1 - share), 0.5, 3.0]), np.log([1.0, 1.0, 1.0, 1.0])]

    def pilot(self) -> None:
        """Give nothing: distinct histories of opportunities are few."""

    def value(self, logs: FloatArray) -> tuple[float, FloatArray]:
        """Give the log-likelihood and its gradient."""
        value, gradient, _ = self.curvature(logs)
        return value, gradient

    def curvature(self, logs: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Give the log-likelihood, its gradient and its Hessian."""
        natural = np.exp(logs)
        value = 0.0
        g, h = np.zeros(4), np.zeros((4, 4))
        t = self.tuples
        for begin in range(0, len(t), ROWS):
            part = slice(begin, begin + ROWS)
            value += _add_rows(
                natural,
                (t.frequency[part], t.recency[part], t.age[part], t.customers[part]),
                g,
                h,
            )
        h = h * np.outer(natural, natural) + np.diag(g * natural)
        return value, g * natural, h


def log_likelihood(
    parameters: BGBBParameters,
    frequency: ArrayLike,
    recency: ArrayLike,
    opportunities: ArrayLike,
) -> FloatArray:
    """Give the log-likelihood of each history.

    Parameters
    ----------
    parameters : BGBBParameters
        Where to evaluate.
    frequency, recency, opportunities : array_like
        Opportunities used x, the last one used t_x, and how many there were n.

    Returns
    -------
    ndarray
        One value per history (equation 5).

    Examples
    --------
    >>> paper = BGBBParameters(alpha=1.204, beta=0.750, gamma=0.657, delta=2.783)
    >>> log_likelihood(paper, [0, 6], [0, 6], 6).round(4)
    array([-1.1673, -2.1822])
    """
    x, t_x, n = floats(frequency, recency, opportunities)
    logs, _ = _log_terms(_vector(parameters), x.ravel(), t_x.ravel(), n.ravel())
    p = parameters
    whole = special.logsumexp(logs, axis=1) - special.betaln(p.alpha, p.beta)
    return np.asarray((whole - special.betaln(p.gamma, p.delta)).reshape(x.shape))


def probability_alive(
    parameters: BGBBParameters,
    frequency: ArrayLike,
    recency: ArrayLike,
    opportunities: ArrayLike,
    *,
    ahead: ArrayLike = 1,
) -> FloatArray:
    """Give the probability that a customer is still active at a coming opportunity.

    Parameters
    ----------
    parameters : BGBBParameters
        The fitted model.
    frequency, recency, opportunities : array_like
        Opportunities used x, the last one used t_x, and how many there were n.
    ahead : array_like, default 1
        How many opportunities after n; 1 for the next, 0 for n itself.

    Returns
    -------
    ndarray
        Probabilities, 0 to 1 (equation 11).

    Examples
    --------
    >>> paper = BGBBParameters(alpha=1.204, beta=0.750, gamma=0.657, delta=2.783)
    >>> probability_alive(paper, [0, 2, 6], [0, 4, 6], 6).round(2)
    array([0.11, 0.59, 0.93])
    """
    x, t_x, n, steps = floats(frequency, recency, opportunities, ahead)
    p = parameters
    log_alive = (
        special.betaln(p.alpha + x, p.beta + n - x)
        - special.betaln(p.alpha, p.beta)
        + special.betaln(p.gamma, p.delta + n + steps)
        - special.betaln(p.gamma, p.delta)
    )
    return np.asarray(np.exp(log_alive - log_likelihood(parameters, x, t_x, n)))


def purchases_ahead(
    parameters: BGBBParameters,
    coming: ArrayLike,
    frequency: ArrayLike,
    recency: ArrayLike,
    opportunities: ArrayLike,
) -> FloatArray:
    """Give the purchases expected at the next ``coming`` opportunities.

    Parameters
    ----------
    parameters : BGBBParameters
        The fitted model.
    coming : array_like
        How many opportunities are ahead, 0 or more.
    frequency, recency, opportunities : array_like
        Opportunities used x, the last one used t_x, and how many there were n.

    Returns
    -------
    ndarray
        Expected numbers (equation 13; through gamma = 1).

    Examples
    --------
    >>> paper = BGBBParameters(alpha=1.204, beta=0.750, gamma=0.657, delta=2.783)
    >>> purchases_ahead(paper, 10, [0], [0], [0]).round(4)
    array([3.1789])
    """
    steps, x, t_x, n = floats(coming, frequency, recency, opportunities)
    p = parameters
    log_start = (
        special.betaln(p.alpha + x + 1, p.beta + n - x)
        - special.betaln(p.alpha, p.beta)
        - log_likelihood(parameters, x, t_x, n)
    )
    return np.asarray(np.exp(log_start) * _active_opportunities(p, n, steps))


def purchase_count_probability(
    parameters: BGBBParameters, opportunities: ArrayLike, count: ArrayLike
) -> FloatArray:
    """Give the probability that a new customer uses exactly ``count`` of ``opportunities``.

    Parameters
    ----------
    parameters : BGBBParameters
        The fitted model.
    opportunities, count : array_like
        How many there are, and how many are used.

    Returns
    -------
    ndarray
        Probabilities (equation 7).

    Examples
    --------
    >>> paper = BGBBParameters(alpha=1.204, beta=0.750, gamma=0.657, delta=2.783)
    >>> (11_104 * purchase_count_probability(paper, 6, [0, 6])).round(1)
    array([3455.8, 1252.4])
    """
    n, x = floats(opportunities, count)
    p = parameters
    norm = special.betaln(p.alpha, p.beta) + special.betaln(p.gamma, p.delta)
    total = np.exp(
        _log_choose(n, x)
        + special.betaln(p.alpha + x, p.beta + n - x)
        + special.betaln(p.gamma, p.delta + n)
        - norm
    )
    for step in range(int(n.max()) if n.size else 0):
        still = np.maximum(step - x, 0.0)
        each = np.exp(
            _log_choose(x + still, x)
            + special.betaln(p.alpha + x, p.beta + still)
            + special.betaln(p.gamma + 1, p.delta + step)
            - norm
        )
        total = total + np.where((step >= x) & (step < n), each, 0.0)
    return np.asarray(np.where((x >= 0) & (x <= n), total, 0.0))


def simulate_ahead(
    parameters: BGBBParameters,
    coming: int,
    frequency: ArrayLike,
    recency: ArrayLike,
    opportunities: ArrayLike,
    *,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Draw the purchases of each customer at the next ``coming`` opportunities.

    Parameters
    ----------
    parameters : BGBBParameters
        The fitted model.
    coming : int
        How many opportunities are ahead.
    frequency, recency, opportunities : array_like
        Opportunities used x, the last one used t_x, and how many there were n.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of int
        One draw per customer; its expectation is :func:`purchases_ahead`.
    """
    x, t_x, n = floats(frequency, recency, opportunities)
    p = parameters
    chance = probability_alive(p, x, t_x, n, ahead=0)
    alive = rng.random(x.shape) < chance
    buys = rng.beta(p.alpha + x, p.beta + n - x)
    leaves = rng.beta(p.gamma, p.delta + n)
    # The opportunity before which the customer leaves; all those before it are open.
    open_ = np.minimum(rng.geometric(np.maximum(leaves, 1e-15)) - 1, coming)
    return np.asarray(rng.binomial(np.where(alive, open_, 0), buys), dtype=np.int64)


def discounted_purchases(
    parameters: BGBBParameters,
    discount: float,
    frequency: ArrayLike,
    recency: ArrayLike,
    opportunities: ArrayLike,
) -> FloatArray:
    """Give the discounted expected residual transactions (DERT) over endless opportunities.

    Parameters
    ----------
    parameters : BGBBParameters
        The fitted model.
    discount : float
        Rate per opportunity, above 0: 0.1 for 10 %.
    frequency, recency, opportunities : array_like
        Opportunities used x, the last one used t_x, and how many there were n.

    Returns
    -------
    ndarray
        Present numbers of purchases (equation 14).
    """
    x, t_x, n = floats(frequency, recency, opportunities)
    p = parameters
    log_start = (
        special.betaln(p.alpha + x + 1, p.beta + n - x)
        - special.betaln(p.alpha, p.beta)
        - log_likelihood(parameters, x, t_x, n)
        + special.betaln(p.gamma, p.delta + n + 1)
        - special.betaln(p.gamma, p.delta)
    )
    rest = special.hyp2f1(1, p.delta + n + 1, p.gamma + p.delta + n + 1, 1 / (1 + discount))
    return np.asarray(np.exp(log_start) * rest / (1 + discount))


def _active_opportunities(p: BGBBParameters, n: FloatArray, steps: FloatArray) -> FloatArray:
    """Give the sum over coming i of P(active at n + i): B(gamma, delta + n + i) / B."""
    if abs(p.gamma - 1) > 1e-3:
        # The sum telescopes: (c(n) - c(n + steps)) / (gamma - 1).
        first = _ratio(p, n)
        last = _ratio(p, n + steps)
        return np.asarray((first - last) / (p.gamma - 1))
    total = np.zeros(np.broadcast_shapes(n.shape, steps.shape))
    norm = special.betaln(p.gamma, p.delta)
    for i in range(1, int(np.max(steps, initial=0)) + 1):
        total += np.where(i <= steps, np.exp(special.betaln(p.gamma, p.delta + n + i) - norm), 0.0)
    return total


def _ratio(p: BGBBParameters, n: FloatArray) -> FloatArray:
    log = (
        special.gammaln(p.gamma + p.delta)
        - special.gammaln(p.delta)
        + special.gammaln(1 + p.delta + n)
        - special.gammaln(p.gamma + p.delta + n)
    )
    return np.asarray(np.exp(log))


def _log_choose(n: FloatArray, x: FloatArray) -> FloatArray:
    return np.asarray(
        special.gammaln(n + 1) - special.gammaln(x + 1) - special.gammaln(np.maximum(n - x, 0) + 1)
    )


def _vector(p: BGBBParameters) -> FloatArray:
    return np.array([p.alpha, p.beta, p.gamma, p.delta])


def _log_terms(
    natural: FloatArray, x: FloatArray, t_x: FloatArray, n: FloatArray
) -> tuple[FloatArray, tuple[FloatArray, ...]]:
    """Give the logs of the terms of equation 5, one column each, and the four beta arguments.

    Column 0 is the customer still active at n; column 1 + i one who left after t_x + i.
    """
    alpha, beta, gamma, delta = natural.tolist()
    longest = int(np.max(n - t_x, initial=0))
    step = np.arange(-1, longest)
    unused = np.where(step < 0, (n - x)[:, None], (t_x - x)[:, None] + step)
    stayed = np.where(step < 0, n[:, None], t_x[:, None] + step)
    exists = step < (n - t_x)[:, None]
    one = np.broadcast_to(alpha + x[:, None], unused.shape)
    two = beta + unused
    three = np.broadcast_to(gamma + (step >= 0), unused.shape)
    four = delta + stayed
    logs = special.betaln(one, two) + special.betaln(three, four)
    return np.where(exists, logs, -np.inf), (one, two, three, four)


def _add_rows(
    natural: FloatArray, columns: tuple[FloatArray, ...], g: FloatArray, h: FloatArray
) -> float:
    """Add the log of each history's likelihood to gradient and Hessian."""
    x, t_x, n, weight = columns
    logs, arguments = _log_terms(natural, x, t_x, n)
    whole = special.logsumexp(logs, axis=1)
    share = np.exp(logs - whole[:, None])
    value = dot(weight, whole)
    weighted = share * weight[:, None]
    total = float(weight.sum())
    slopes: list[FloatArray] = []
    for place in (0, 2):
        one, two = arguments[place], arguments[place + 1]
        norm_one, norm_two = natural[place], natural[place + 1]
        norm = norm_one + norm_two
        value -= total * float(special.betaln(norm_one, norm_two))
        common, common_norm = special.psi(one + two), float(special.psi(norm))
        bend = special.polygamma(1, one + two)
        bend_norm = float(special.polygamma(1, norm))
        for argument, start in ((one, norm_one), (two, norm_two)):
            at = len(slopes)
            slopes.append(special.psi(argument) - common - float(special.psi(start)) + common_norm)
            own = special.polygamma(1, argument) - float(special.polygamma(1, start))
            h[at, at] += float(np.sum(weighted * own))
        both = float(np.sum(weighted * (bend - bend_norm)))
        h[place : place + 2, place : place + 2] -= both
    mean = [np.einsum("ij,ij->i", share, slope) for slope in slopes]
    for i, one in enumerate(slopes):
        g[i] += dot(weight, mean[i])
        for j, two in enumerate(slopes):
            covariance = np.einsum("ij,ij->i", share * one, two) - mean[i] * mean[j]
            h[i, j] += dot(weight, covariance)
    return value
