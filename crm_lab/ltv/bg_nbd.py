"""Closed forms of BG/NBD and MBG/NBD on arrays: parameters in, arrays out, no fitting.

The two models differ in one thing: in MBG/NBD a customer may drop out after the first purchase
already. Every formula of MBG/NBD is the one of BG/NBD with b + 1 for b, given survival of the
first purchase. Parameters may be arrays with one value per customer.

References
----------
.. [1] Fader, P. S., Hardie, B. G. S., Lee, K. L. (2005). "Counting Your Customers" the Easy Way:
   An Alternative to the Pareto/NBD Model. Marketing Science 24(2), 275-284.
.. [2] Fader, P. S., Hardie, B. G. S. (2008). Computing P(alive) Using the BG/NBD Model. Note 021.
.. [3] Batislam, E. P., Denizel, M., Filiztekin, A. (2007). Empirical validation and comparison of
   models for customer base analysis. Int. J. of Research in Marketing 24(3), 201-209.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from crm_lab.ltv.parameters import BGNBDParameters, FloatArray, MBGNBDParameters, floats

BGParameters = BGNBDParameters | MBGNBDParameters

POLE_MARGIN = 1e-3
"""Closer than this to a = 1, or to a + b + x = 1, the closed form is 0/0 and we integrate."""

LARGEST_C = 50.0
"""Above this third argument scipy's hyp2f1 loses digits or is NaN (scipy 1.17), so we integrate."""

SMALLEST_SCALED = 1e-4
"""Below this horizon, relative to alpha + T, the closed form is 1 minus nearly 1: we integrate."""

NEGLIGIBLE_LOG = 40.0
"""The integrand is cut where it has fallen by exp(-40), below the precision of a double."""

LARGEST_STEP = 0.25
"""Step of the trapezoidal rule in logit p; the integrand decays in a strip of half-width pi/2, so
its error is of the order exp(-pi pi / step), about 1e-17."""

SMALLEST_DROPOUT = 1e-15
"""Dropout draws are not allowed below this, where the geometric law overflows an integer."""


def log_likelihood(
    parameters: BGParameters, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
) -> FloatArray:
    """Give the log-likelihood of each history, with every constant that published values carry.

    Parameters
    ----------
    parameters : BGNBDParameters or MBGNBDParameters
        Where to evaluate.
    frequency, recency, age : array_like
        Repeat purchases x, time of the last one t_x, and time under observation T.

    Returns
    -------
    ndarray
        One value per history (reference 1, equation 6).

    Examples
    --------
    >>> paper = BGNBDParameters(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> log_likelihood(paper, [2], [30.43], [38.86]).round(4)
    array([-9.4586])
    """
    x, t_x, t_all = floats(frequency, recency, age)
    p, first = parameters, _first(parameters)
    rate = special.gammaln(p.r + x) - special.gammaln(p.r) + p.r * np.log(p.alpha)
    stay = special.betaln(p.a, p.b + x + first) - special.betaln(p.a, p.b)
    alive = -(p.r + x) * np.log(p.alpha + t_all)
    odds = _log_odds_left(parameters, x, t_x, t_all)
    # B(a, b + x) / B(a, b) belongs to the alive term; the other is its multiple by these odds.
    return np.asarray(rate + stay + alive + np.logaddexp(0.0, odds))


def probability_alive(
    parameters: BGParameters, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
) -> FloatArray:
    """Give the probability that a customer is still a customer at the end of observation.

    In BG/NBD nobody drops out before the first repeat purchase, so it is 1 where x = 0: read it
    together with the probability of a purchase.

    Parameters
    ----------
    parameters : BGNBDParameters or MBGNBDParameters
        The fitted model.
    frequency, recency, age : array_like
        Repeat purchases x, time of the last one t_x, and time under observation T.

    Returns
    -------
    ndarray
        Probabilities, 0 to 1 (reference 2).

    Examples
    --------
    >>> paper = BGNBDParameters(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> probability_alive(paper, [0, 2], [0, 30.43], [38.86, 38.86]).round(3)
    array([1.   , 0.727])
    """
    x, t_x, t_all = floats(frequency, recency, age)
    return np.asarray(special.expit(-_log_odds_left(parameters, x, t_x, t_all)))


def purchases_while_alive(
    parameters: BGParameters, periods: ArrayLike, frequency: ArrayLike, age: ArrayLike
) -> FloatArray:
    """Give the purchases expected in the next ``periods`` of a customer alive at ``age``.

    Euler's transformation turns ``(1-z)^(r+x) 2F1(r+x, b+x; a+b+x-1; z)`` of equation 10 into
    ``(1-z)^(a-1) 2F1(a-1, a+b-1-r; a+b+x-1; z)``, of which only one argument grows with x.

    Parameters
    ----------
    parameters : BGNBDParameters or MBGNBDParameters
        The fitted model.
    periods : array_like
        Length of the horizon, 0 or more.
    frequency, age : array_like
        Repeat purchases x and time under observation T.

    Returns
    -------
    ndarray
        Expected numbers (reference 1, equation 10 without P(alive)).
    """
    p = parameters
    x, t_all, horizon, r, alpha, a, b = floats(
        frequency, age, periods, p.r, p.alpha, p.a, p.b + _first(parameters)
    )
    scaled = horizon / (alpha + t_all)
    c = a + b + x - 1
    closed_form = (np.abs(c) > POLE_MARGIN) & (c < LARGEST_C) & (np.abs(a - 1) > POLE_MARGIN)
    closed_form &= scaled > SMALLEST_SCALED
    answer = np.empty(scaled.shape)
    if closed_form.any():
        at = closed_form
        log_rest = -np.log1p(scaled[at])
        series = special.hyp2f1(a[at] - 1, a[at] + b[at] - 1 - r[at], c[at], -np.expm1(log_rest))
        answer[at] = c[at] / (a[at] - 1) * (1 - np.exp((a[at] - 1) * log_rest) * series)
    if not closed_form.all():
        at = ~closed_form
        answer[at] = _purchases_by_quadrature(r[at] + x[at], a[at], b[at] + x[at], scaled[at])
    return np.maximum(answer, 0.0)


def purchase_chance_while_alive(
    parameters: BGParameters, periods: ArrayLike, frequency: ArrayLike, age: ArrayLike
) -> FloatArray:
    """Give the probability of a purchase in the next ``periods`` of a customer alive at ``age``.

    Parameters
    ----------
    parameters : BGNBDParameters or MBGNBDParameters
        The fitted model.
    periods : array_like
        Length of the horizon, 0 or more.
    frequency, age : array_like
        Repeat purchases x and time under observation T.

    Returns
    -------
    ndarray
        1 - ((alpha + T) / (alpha + T + t))^(r + x).
    """
    x, t_all, horizon = floats(frequency, age, periods)
    p = parameters
    return np.asarray(-np.expm1(-(p.r + x) * np.log1p(horizon / (p.alpha + t_all))))


def purchase_count_probability(
    parameters: BGParameters, periods: ArrayLike, count: ArrayLike
) -> FloatArray:
    """Give the probability that a new customer makes exactly ``count`` repeat purchases.

    Parameters
    ----------
    parameters : BGNBDParameters or MBGNBDParameters
        The fitted model.
    periods : array_like
        Time since the first purchase.
    count : array_like
        Numbers of repeat purchases, 0, 1, 2, and so on.

    Returns
    -------
    ndarray
        Probabilities (reference 1, equation 8).
    """
    n, horizon = floats(count, periods)
    r, alpha, a, b = parameters.r, parameters.alpha, parameters.a, parameters.b
    first = _first(parameters)
    bought = horizon / (alpha + horizon)
    log_nbd = (
        special.gammaln(r + n)
        - special.gammaln(r)
        - special.gammaln(n + 1)
        + r * np.log1p(-bought)
        + special.xlogy(n, bought)
    )
    stayed = np.exp(special.betaln(a, b + n + first) - special.betaln(a, b) + log_nbd)
    leaves_at = n if first else np.maximum(n, 1)
    # 1 - sum of the first n terms of the NBD is its survival function, an incomplete beta.
    reached = np.where(n > 0, special.betainc(np.maximum(n, 1), r, bought), 1.0)
    left = np.exp(special.betaln(a + 1, b + leaves_at - 1 + first) - special.betaln(a, b)) * reached
    return np.asarray(stayed + (left if first else np.where(n > 0, left, 0.0)))


def simulate_while_alive(
    parameters: BGParameters,
    periods: float,
    frequency: FloatArray,
    age: FloatArray,
    *,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Draw the purchases in the next ``periods`` of customers alive at ``age``.

    The rate is gamma(r + x, alpha + T) and the dropout probability beta(a, b + x), independent of
    each other; the purchases are the smaller of a Poisson count and the geometric number of the
    purchase after which the customer leaves.

    Parameters
    ----------
    parameters : BGNBDParameters or MBGNBDParameters
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
    dropout = np.clip(rng.beta(p.a, p.b + frequency + _first(p)), SMALLEST_DROPOUT, 1.0)
    possible = rng.poisson(rate * periods)
    return np.asarray(np.minimum(possible, rng.geometric(dropout)), dtype=np.int64)


def _first(parameters: BGParameters) -> float:
    """Give 1 where the first purchase can already be the last, else 0."""
    return 1.0 if isinstance(parameters, MBGNBDParameters) else 0.0


def _log_odds_left(
    p: BGParameters, x: FloatArray, t_x: FloatArray, t_all: FloatArray
) -> FloatArray:
    """Give the log odds of having left after the last purchase; minus infinity where it cannot."""
    first = _first(p)
    ratio = np.log(p.a) - np.log(p.b + np.maximum(x + first, 1) - 1)
    odds = (p.r + x) * np.log1p((t_all - t_x) / (p.alpha + t_x)) + ratio
    return np.asarray(np.where(x + first > 0, odds, -np.inf))


def _purchases_by_quadrature(
    shape: FloatArray, a: FloatArray, b: FloatArray, scaled: FloatArray
) -> FloatArray:
    """Integrate (1 - (1 + p s)^-shape) / p over p ~ beta(a, b) by trapezoids in logit p.

    This is E[(1 - exp(-rate p t)) / p] for a customer alive now, with s = t / (alpha + T). Where
    a beta tail is long (a or b below 1/2) the integrand's limit at that end is taken out and
    added back exactly.
    """
    at_zero = shape * scaled * (a < 0.5)
    at_one = -np.expm1(-shape * np.log1p(scaled)) * (b < 0.5)
    left, right = a + (a < 0.5), b + (b < 0.5)
    spread = np.sqrt(1 / left + 1 / right)
    step = np.minimum(LARGEST_STEP, spread / 3)
    centre = np.log(left / right)
    start = centre - 10 * spread - NEGLIGIBLE_LOG / left
    stop = centre + 10 * spread + NEGLIGIBLE_LOG / right
    count = int(np.max((stop - start) / step)) + 1
    log_norm = special.betaln(a, b)
    total = np.zeros_like(scaled)
    for index in range(count):
        y = start + index * step
        log_p, log_rest = -np.logaddexp(0, -y), -np.logaddexp(0, y)
        p = np.exp(log_p)
        each = -np.expm1(-shape * np.log1p(p * scaled)) / p
        each = each - at_zero * np.exp(log_rest) - at_one * p
        total += each * np.exp(a * log_p + b * log_rest - log_norm)
    return np.asarray(total * step + (at_zero * b + at_one * a) / (a + b))
