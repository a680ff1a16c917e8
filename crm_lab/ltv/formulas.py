"""Closed forms of BG/NBD and Gamma-Gamma on arrays: parameters in, arrays out, no fitting.

Every function broadcasts over customers. Times (recency, age, horizon) share one unit, which is
also the unit of ``alpha``.

References
----------
.. [1] Fader, P. S., Hardie, B. G. S., Lee, K. L. (2005). "Counting Your Customers" the Easy Way:
   An Alternative to the Pareto/NBD Model. Marketing Science 24(2), 275-284.
.. [2] Fader, P. S., Hardie, B. G. S. (2008). Computing P(alive) Using the BG/NBD Model. Note 021.
.. [3] Fader, P. S., Hardie, B. G. S. (2013). The Gamma-Gamma Model of Monetary Value. Note 025.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

FloatArray = NDArray[np.float64]

POLE_MARGIN = 1e-3
"""Closer than this to a = 1, or to a + b + x = 1, the closed form is 0/0 and we integrate."""

LARGEST_C = 50.0
"""Above this third argument scipy's hyp2f1 loses digits or is NaN (scipy 1.17), so we integrate."""

NEGLIGIBLE_LOG = 40.0
"""The integrand is cut where it has fallen by exp(-40), below the precision of a double."""

LARGEST_STEP = 0.25
"""Step of the trapezoidal rule in logit p; the integrand decays in a strip of half-width pi/2, so
its error is of the order exp(-pi pi / step), about 1e-17."""

SMALLEST_DROPOUT = 1e-15
"""Dropout draws are not allowed below this, where the geometric law overflows an integer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BGNBDParameters:
    """The four parameters of BG/NBD.

    Attributes
    ----------
    r, alpha : float
        Shape and rate of the gamma distribution of purchase rates; ``alpha`` is in time units.
    a, b : float
        The beta distribution of the probability to drop out after a purchase.
    """

    r: float
    alpha: float
    a: float
    b: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GammaGammaParameters:
    """The three parameters of the Gamma-Gamma spend model.

    Attributes
    ----------
    p : float
        Shape of the gamma distribution of one purchase's value.
    q, gamma : float
        Shape and rate of the gamma distribution, over customers, of that value's rate; ``gamma``
        (written v in some packages) is in money.
    """

    p: float
    q: float
    gamma: float


def bg_nbd_log_likelihood(
    parameters: BGNBDParameters,
    frequency: ArrayLike,
    recency: ArrayLike,
    age: ArrayLike,
    *,
    customers: ArrayLike = 1.0,
) -> float:
    """Give the log-likelihood of BG/NBD, with every constant, comparable to published values.

    Parameters
    ----------
    parameters : BGNBDParameters
        Where to evaluate.
    frequency, recency, age : array_like
        Repeat purchases x, time of the last one t_x, and time under observation T.
    customers : array_like, default 1
        How many customers share each history.

    Returns
    -------
    float
        The sum over customers of the log of equation 6 of Fader, Hardie and Lee (2005).

    Examples
    --------
    >>> paper = BGNBDParameters(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> round(bg_nbd_log_likelihood(paper, [2], [30.43], [38.86]), 4)
    -9.4586
    """
    x, t_x, t_all = _floats(frequency, recency, age)
    r, alpha, a, b = parameters.r, parameters.alpha, parameters.a, parameters.b
    rate = special.gammaln(r + x) - special.gammaln(r) + r * np.log(alpha)
    stay = special.betaln(a, b + x) - special.betaln(a, b)
    alive = -(r + x) * np.log(alpha + t_all)
    last = np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + t_x)
    both = np.where(x > 0, np.logaddexp(alive, last), alive)
    # B(a, b + x) / B(a, b) belongs to the alive term; the other term's ratio to it is a/(b+x-1).
    return float(np.sum((rate + stay + both) * np.asarray(customers, dtype=np.float64)))


def probability_alive(
    parameters: BGNBDParameters, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
) -> FloatArray:
    """Give the probability that a customer is still a customer at the end of observation.

    In BG/NBD nobody drops out before the first repeat purchase, so it is 1 where x = 0: read it
    together with :func:`probability_of_purchase`.

    Parameters
    ----------
    parameters : BGNBDParameters
        The fitted model.
    frequency, recency, age : array_like
        Repeat purchases x, time of the last one t_x, and time under observation T.

    Returns
    -------
    ndarray
        Probabilities, 0 to 1 (Fader and Hardie 2008, note 021).

    Examples
    --------
    >>> paper = BGNBDParameters(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> probability_alive(paper, [0, 2], [0, 30.43], [38.86, 38.86]).round(3)
    array([1.   , 0.727])
    """
    x, t_x, t_all = _floats(frequency, recency, age)
    p = parameters
    log_odds_dead = (p.r + x) * (np.log(p.alpha + t_all) - np.log(p.alpha + t_x)) + np.log(
        p.a / (p.b + np.maximum(x, 1) - 1)
    )
    return np.where(x == 0, 1.0, special.expit(-log_odds_dead))


def expected_purchases(
    parameters: BGNBDParameters,
    periods: ArrayLike,
    frequency: ArrayLike,
    recency: ArrayLike,
    age: ArrayLike,
) -> FloatArray:
    """Give the purchases expected of a known customer in the next ``periods``.

    Parameters
    ----------
    parameters : BGNBDParameters
        The fitted model.
    periods : array_like
        Length of the horizon, 0 or more, in the unit of the history.
    frequency, recency, age : array_like
        Repeat purchases x, time of the last one t_x, and time under observation T.

    Returns
    -------
    ndarray
        Expected numbers (Fader, Hardie and Lee 2005, equation 10, in Euler's transformed form,
        which stays finite for large x and through a = 1).

    Examples
    --------
    >>> paper = BGNBDParameters(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> expected_purchases(paper, 39, [2], [30.43], [38.86]).round(3)
    array([1.226])
    """
    x, t_all, horizon = _floats(frequency, age, periods)
    return probability_alive(parameters, frequency, recency, age) * _purchases_while_alive(
        parameters, horizon, x, t_all
    )


def expected_purchases_of_new_customer(
    parameters: BGNBDParameters, periods: ArrayLike
) -> FloatArray:
    """Give the repeat purchases expected of a customer in the first ``periods`` after the first.

    Parameters
    ----------
    parameters : BGNBDParameters
        The fitted model.
    periods : array_like
        Time since the first purchase, 0 or more, in the unit of the history.

    Returns
    -------
    ndarray
        Expected numbers (Fader, Hardie and Lee 2005, equation 9).

    Examples
    --------
    >>> paper = BGNBDParameters(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> expected_purchases_of_new_customer(paper, [0, 39]).round(3)
    array([0.   , 1.197])
    """
    horizon = np.asarray(periods, dtype=np.float64)
    none = np.zeros_like(horizon)
    return _purchases_while_alive(parameters, horizon, none, none)


def probability_of_purchase(
    parameters: BGNBDParameters,
    periods: ArrayLike,
    frequency: ArrayLike,
    recency: ArrayLike,
    age: ArrayLike,
) -> FloatArray:
    """Give the probability of at least one purchase in the next ``periods``.

    A customer buys again when alive now and when the gamma-distributed rate yields an event:
    P(alive) (1 - ((alpha + T) / (alpha + T + t))^(r + x)). Unlike P(alive) it falls for a
    customer who bought once and long ago.

    Parameters
    ----------
    parameters : BGNBDParameters
        The fitted model.
    periods : array_like
        Length of the horizon, 0 or more, in the unit of the history.
    frequency, recency, age : array_like
        Repeat purchases x, time of the last one t_x, and time under observation T.

    Returns
    -------
    ndarray
        Probabilities, 0 to 1.
    """
    x, t_all, horizon = _floats(frequency, age, periods)
    p = parameters
    buys = -np.expm1(-(p.r + x) * np.log1p(horizon / (p.alpha + t_all)))
    return probability_alive(parameters, frequency, recency, age) * buys


def probability_of_purchase_count(
    parameters: BGNBDParameters, periods: ArrayLike, count: ArrayLike
) -> FloatArray:
    """Give the probability that a new customer makes exactly ``count`` repeat purchases.

    Parameters
    ----------
    parameters : BGNBDParameters
        The fitted model.
    periods : array_like
        Time since the first purchase, in the unit of the history.
    count : array_like
        Numbers of repeat purchases, 0, 1, 2, and so on.

    Returns
    -------
    ndarray
        Probabilities (Fader, Hardie and Lee 2005, equation 8).

    Examples
    --------
    >>> paper = BGNBDParameters(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> probability_of_purchase_count(paper, 39, [0, 1]).round(4)
    array([0.5738, 0.1994])
    """
    n, horizon = _floats(count, periods)
    r, alpha, a, b = parameters.r, parameters.alpha, parameters.a, parameters.b
    bought = horizon / (alpha + horizon)
    log_nbd = (
        special.gammaln(r + n)
        - special.gammaln(r)
        - special.gammaln(n + 1)
        + r * np.log1p(-bought)
        + special.xlogy(n, bought)
    )
    stayed = np.exp(special.betaln(a, b + n) - special.betaln(a, b) + log_nbd)
    previous = np.maximum(n, 1)
    # 1 - sum of the first n terms of the NBD is its survival function, an incomplete beta.
    left = np.exp(special.betaln(a + 1, b + previous - 1) - special.betaln(a, b))
    return stayed + np.where(n > 0, left * special.betainc(previous, r, bought), 0.0)


def simulate_purchases(
    parameters: BGNBDParameters,
    periods: float,
    frequency: ArrayLike,
    recency: ArrayLike,
    age: ArrayLike,
    *,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Draw the purchases of each customer in the next ``periods``, given the history.

    Given that a customer is alive the rate is gamma(r + x, alpha + T) and the dropout
    probability beta(a, b + x), independent of each other; the purchases are the smaller of a
    Poisson count and the geometric number of the purchase after which the customer leaves.

    Parameters
    ----------
    parameters : BGNBDParameters
        The fitted model.
    periods : float
        Length of the horizon, in the unit of the history.
    frequency, recency, age : array_like
        Repeat purchases x, time of the last one t_x, and time under observation T.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of int
        One draw per customer; its expectation is :func:`expected_purchases`.
    """
    x, t_all = _floats(frequency, age)
    p = parameters
    alive = rng.random(x.shape) < probability_alive(p, frequency, recency, age)
    rate = rng.gamma(p.r + x) / (p.alpha + t_all)
    dropout = np.clip(rng.beta(p.a, p.b + x), SMALLEST_DROPOUT, 1.0)
    possible = rng.poisson(rate * periods)
    return np.where(alive, np.minimum(possible, rng.geometric(dropout)), 0)


def gamma_gamma_log_likelihood(
    parameters: GammaGammaParameters,
    frequency: ArrayLike,
    monetary_value: ArrayLike,
    *,
    customers: ArrayLike = 1.0,
) -> float:
    """Give the log-likelihood of the Gamma-Gamma model, with every constant.

    Parameters
    ----------
    parameters : GammaGammaParameters
        Where to evaluate.
    frequency, monetary_value : array_like
        Number of observed purchases x (1 or more) and their mean value, above 0.
    customers : array_like, default 1
        How many customers share each pair.

    Returns
    -------
    float
        The sum over customers of the log of equation 1a of Fader and Hardie (2013).
    """
    x, mean = _floats(frequency, monetary_value)
    p, q, gamma = parameters.p, parameters.q, parameters.gamma
    each = (
        -special.betaln(p * x, q)
        + q * np.log(gamma)
        + (p * x - 1) * np.log(mean)
        + p * x * np.log(x)
        - (p * x + q) * np.log(x * mean + gamma)
    )
    return float(np.sum(each * np.asarray(customers, dtype=np.float64)))


def expected_spend(
    parameters: GammaGammaParameters, frequency: ArrayLike, monetary_value: ArrayLike
) -> FloatArray:
    """Give the value expected of a customer's next purchase.

    Valid for q > 1 only; otherwise the population has no mean and the answer is NaN.

    Parameters
    ----------
    parameters : GammaGammaParameters
        The fitted model.
    frequency, monetary_value : array_like
        Number of observed purchases x and their mean value; the value is ignored where x = 0.

    Returns
    -------
    ndarray
        Money per purchase: a weighted mean of the customer's own mean and that of the
        population (Fader and Hardie 2013, equation 5).

    Examples
    --------
    >>> note = GammaGammaParameters(p=6.25, q=3.74, gamma=15.44)
    >>> expected_spend(note, [0, 2], [0, 22.345]).round(2)
    array([35.22, 24.66])
    """
    x, mean = _floats(frequency, monetary_value)
    p, q, gamma = parameters.p, parameters.q, parameters.gamma
    if not q > 1:
        return np.full(x.shape, np.nan)
    own = np.where(x > 0, x * mean, 0.0)
    return p * (gamma + own) / (p * x + q - 1)


def simulate_spend(
    parameters: GammaGammaParameters,
    purchases: ArrayLike,
    frequency: ArrayLike,
    monetary_value: ArrayLike,
    *,
    rng: np.random.Generator,
) -> FloatArray:
    """Draw what each customer spends in a given number of coming purchases.

    Parameters
    ----------
    parameters : GammaGammaParameters
        The fitted model.
    purchases : array_like
        How many purchases each customer will make.
    frequency, monetary_value : array_like
        Number of observed purchases x and their mean value; the value is ignored where x = 0.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray
        Money per customer: gamma(p times purchases) with a rate drawn from its posterior
        gamma(q + p x, gamma + x m).
    """
    y, x, mean = _floats(purchases, frequency, monetary_value)
    own = np.where(x > 0, x * mean, 0.0)
    rate = rng.gamma(parameters.q + parameters.p * x) / (parameters.gamma + own)
    return rng.gamma(parameters.p * y) / rate


def _purchases_while_alive(
    parameters: BGNBDParameters, periods: FloatArray, frequency: FloatArray, age: FloatArray
) -> FloatArray:
    """Give equation 10 without its P(alive): purchases expected of a customer alive at ``age``.

    Euler's transformation turns ``(1-z)^(r+x) 2F1(r+x, b+x; a+b+x-1; z)`` into
    ``(1-z)^(a-1) 2F1(a-1, a+b-1-r; a+b+x-1; z)``, of which only one argument grows with x.
    """
    r, a, b = parameters.r, parameters.a, parameters.b
    x, t_all, horizon = np.broadcast_arrays(frequency, age, periods)
    scaled = horizon / (parameters.alpha + t_all)
    c = a + b + x - 1
    closed_form = (np.abs(c) > POLE_MARGIN) & (c < LARGEST_C) & (abs(a - 1) > POLE_MARGIN)
    answer = np.empty(scaled.shape)
    if closed_form.any():
        log_rest = -np.log1p(scaled[closed_form])
        c_there = c[closed_form]
        series = special.hyp2f1(a - 1, a + b - 1 - r, c_there, -np.expm1(log_rest))
        answer[closed_form] = c_there / (a - 1) * (1 - np.exp((a - 1) * log_rest) * series)
    if not closed_form.all():
        rest = ~closed_form
        answer[rest] = _purchases_by_quadrature(parameters, scaled[rest], x[rest])
    return np.maximum(answer, 0.0)


def _purchases_by_quadrature(
    parameters: BGNBDParameters, scaled: FloatArray, frequency: FloatArray
) -> FloatArray:
    """Integrate (1 - (1 + p s)^-(r+x)) / p over p ~ beta(a, b+x) by trapezoids in logit p.

    This is E[(1 - exp(-rate p t)) / p] for a customer alive now, with s = t / (alpha + T). Where
    a beta tail is long (a or b + x below 1/2) the integrand's limit at that end is taken out and
    added back exactly.
    """
    shape = parameters.r + frequency
    a, b = parameters.a, parameters.b + frequency
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


def _floats(*values: ArrayLike) -> tuple[FloatArray, ...]:
    return tuple(np.broadcast_arrays(*(np.asarray(value, dtype=np.float64) for value in values)))
