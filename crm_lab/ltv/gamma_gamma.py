"""The Gamma-Gamma model of spend per purchase: likelihood, expectation, draws.

References
----------
.. [1] Fader, P. S., Hardie, B. G. S. (2013). The Gamma-Gamma Model of Monetary Value. Note 025.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from crm_lab.ltv.fitting import dot
from crm_lab.ltv.parameters import FloatArray, GammaGammaParameters, floats

BLOCK = 16_384
"""Customers worked on at a time, so that their arrays stay in the cache."""

PILOT = 4_000
"""Above twice this number of customers the search begins on a part of them."""


class GammaGammaLikelihood:
    """Log-likelihood of the Gamma-Gamma model over the logs of p, q, gamma.

    Parameters
    ----------
    frequency, monetary_value : ndarray, shape (n,)
        Number of paid purchases x (1 or more) and their mean value, above 0.
    customers : ndarray, shape (n,)
        How many customers share each pair.
    """

    def __init__(
        self, frequency: FloatArray, monetary_value: FloatArray, customers: FloatArray
    ) -> None:
        self._columns = (frequency, monetary_value, customers)
        self.weight = float(customers.sum())
        self._weighted_x = frequency * customers
        self._spend = frequency * monetary_value
        counts = np.bincount(frequency.astype(np.intp), weights=customers)
        self._x = np.flatnonzero(counts).astype(np.float64)
        self._n = counts[counts > 0]
        self._purchases = dot(self._x, self._n)
        log_mean = np.log(monetary_value)
        self._log_mean = dot(log_mean, customers)
        log_x = np.where(self._x > 0, np.log(np.maximum(self._x, 1)), 0.0)
        self._log_spend = dot(log_mean, self._weighted_x) + dot(self._x * self._n, log_x)

    def starts(self) -> Sequence[FloatArray]:
        """Give logs from which to search, in the scale of the mean spend."""
        mean = float(self._spend.mean() / self._columns[0].mean())
        return [np.log([p, q, mean * (q - 1) / p]) for p, q in ((3.0, 3.0), (1.0, 2.0))]

    def pilot(self) -> GammaGammaLikelihood | None:
        """Give the likelihood of every so many customers, or nothing where there are few."""
        step = len(self._spend) // PILOT
        if step < 2:
            return None
        return GammaGammaLikelihood(*(column[::step] for column in self._columns))

    def value(self, logs: FloatArray) -> tuple[float, FloatArray]:
        """Give the log-likelihood and its gradient."""
        value, gradient, _ = self.curvature(logs)
        return value, gradient

    def curvature(self, logs: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Give the log-likelihood, its gradient and its Hessian."""
        natural = np.exp(logs)
        p, q, gamma = natural.tolist()
        x, n = self._x, self._n
        shape = p * x + q
        value = dot(n, special.gammaln(shape) - special.gammaln(p * x))
        value -= self.weight * float(special.gammaln(q))
        value += p * (self._log_spend - self._purchases * float(logs[2])) - self._log_mean
        psi, psi1 = special.psi(shape), special.polygamma(1, shape)
        g, h = np.zeros(3), np.zeros((3, 3))
        g[0] = dot(n * x, psi - special.psi(p * x))
        g[0] += self._log_spend - self._purchases * float(logs[2])
        g[1] = dot(n, psi) - self.weight * float(special.psi(q))
        h[0, 0] = dot(n * x**2, psi1 - special.polygamma(1, p * x))
        h[0, 1] = dot(n * x, psi1)
        h[1, 1] = dot(n, psi1) - self.weight * float(special.polygamma(1, q))
        sums = np.zeros(6)
        customers = self._columns[2]
        for begin in range(0, len(self._spend), BLOCK):
            part = slice(begin, begin + BLOCK)
            weight, weight_x = customers[part], self._weighted_x[part]
            share = self._spend[part] / gamma
            log_ratio = np.log1p(share)
            np.add(share, 1.0, out=share)
            inverse = np.divide(1.0, share, out=share)
            square = inverse * inverse
            for at, column in enumerate((log_ratio, inverse, square)):
                sums[2 * at] += dot(weight, column)
                sums[2 * at + 1] += dot(weight_x, column)
        # With i = gamma / (gamma + x m): the sums of ln(1 + x m / gamma), of i and of i squared.
        log, log_x, one, one_x, two, two_x = sums.tolist()
        value -= p * log_x + q * log
        g[0] -= log_x
        g[1] -= log
        rest, rest_two = self.weight - one, one - two
        g[2] = (q * rest - p * one_x) / gamma
        h[0, 2] = -one_x / gamma
        h[1, 2] = rest / gamma
        h[2, 2] = -(q * rest_two - p * two_x + q * rest) / gamma**2
        h = np.triu(h) + np.triu(h, 1).T
        return value, g * natural, h * np.outer(natural, natural) + np.diag(g * natural)


def log_likelihood(
    parameters: GammaGammaParameters, frequency: ArrayLike, monetary_value: ArrayLike
) -> FloatArray:
    """Give the log-likelihood of each customer's mean spend, with every constant.

    Parameters
    ----------
    parameters : GammaGammaParameters
        Where to evaluate.
    frequency, monetary_value : array_like
        Number of observed purchases x (1 or more) and their mean value, above 0.

    Returns
    -------
    ndarray
        One value per customer (equation 1a).

    Examples
    --------
    >>> note = GammaGammaParameters(p=6.25, q=3.74, gamma=15.44)
    >>> log_likelihood(note, [2], [22.345]).round(4)
    array([-3.5512])
    """
    x, mean = floats(frequency, monetary_value)
    p, q, gamma = parameters.p, parameters.q, parameters.gamma
    return np.asarray(
        -special.betaln(p * x, q)
        + q * np.log(gamma)
        + (p * x - 1) * np.log(mean)
        + p * x * np.log(x)
        - (p * x + q) * np.log(x * mean + gamma)
    )


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
        population (equation 5).

    Examples
    --------
    >>> note = GammaGammaParameters(p=6.25, q=3.74, gamma=15.44)
    >>> expected_spend(note, [0, 2], [0, 22.345]).round(2)
    array([35.22, 24.66])
    """
    x, mean = floats(frequency, monetary_value)
    p, q, gamma = parameters.p, parameters.q, parameters.gamma
    if not q > 1:
        return np.full(x.shape, np.nan)
    own = np.where(x > 0, x * mean, 0.0)
    return np.asarray(p * (gamma + own) / (p * x + q - 1))


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
    y, x, mean = floats(purchases, frequency, monetary_value)
    own = np.where(x > 0, x * mean, 0.0)
    rate = rng.gamma(parameters.q + parameters.p * x) / (parameters.gamma + own)
    return np.asarray(rng.gamma(parameters.p * y) / rate)
