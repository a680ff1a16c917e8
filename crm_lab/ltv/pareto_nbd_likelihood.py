"""The likelihood of Pareto/NBD on distinct histories, with gradient and Hessian.

A customer with a history is either still alive, or left at some moment u after the last purchase:
two terms, of which the second is an integral over u. In the logs of the parameters the integrand's
derivatives are simple functions of ln((alpha + u) / alpha), u / (alpha + u) and the same in beta,
so gradient and Hessian are means and covariances of these four under the integrand.

References
----------
.. [1] Fader, P. S., Hardie, B. G. S. (2005). A Note on Deriving the Pareto/NBD Model and Related
   Expressions. Note 009, equation 18.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

from crm_lab.ltv.bg_nbd_likelihood import beyond
from crm_lab.ltv.fitting import dot
from crm_lab.ltv.parameters import FloatArray
from crm_lab.ltv.pareto_nbd import ROWS, classes, quadrature
from crm_lab.ltv.tuples import DistinctHistories

PILOT = 1_500
"""Above twice this number of tuples the search begins on a part of them."""

PAIRS = tuple((i, j) for i in range(4) for j in range(i, 4))
"""Places of the upper Hessian, in the order in which rows carry it."""


class ParetoNBDLikelihood:
    """Log-likelihood of Pareto/NBD over the logs of r, alpha, s, beta.

    Parameters
    ----------
    tuples : DistinctHistories
        Distinct histories with their counts.
    """

    def __init__(self, tuples: DistinctHistories) -> None:
        self.tuples = tuples
        self.weight = float(tuples.customers.sum())
        self._repeats = dot(tuples.frequency, tuples.customers)
        self._beyond = beyond(tuples.frequency, tuples.customers)

    def starts(self) -> Sequence[FloatArray]:
        """Give logs from which to search: the mean rate, and a lifetime like the history's."""
        t = self.tuples
        exposed = dot(t.age, t.customers)
        rate = max(self._repeats, 0.5) / max(exposed, 1e-12)
        age = exposed / self.weight
        return [
            np.log([r, r / rate / 2, s, beta * age])
            for r, s, beta in ((0.6, 0.6, 0.5), (1.5, 0.5, 2.0))
        ]

    def pilot(self) -> ParetoNBDLikelihood | None:
        """Give the likelihood of every so many tuples, or nothing where there are few."""
        step = len(self.tuples) // PILOT
        return ParetoNBDLikelihood(self.tuples.every(step)) if step >= 2 else None

    def value(self, logs: FloatArray) -> tuple[float, FloatArray]:
        """Give the log-likelihood and its gradient."""
        value, gradient, _ = self.curvature(logs)
        return value, gradient

    def curvature(self, logs: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Give the log-likelihood, its gradient and its Hessian."""
        t = self.tuples
        r, alpha, s, beta = np.exp(logs).tolist()
        at_r = r + np.arange(len(self._beyond))
        value = dot(self._beyond, np.log(at_r)) - self._repeats * float(logs[1])
        first = r * dot(self._beyond, 1 / at_r)
        g = np.array([first, -self._repeats, 0.0, 0.0])
        h = np.zeros((4, 4))
        h[0, 0] = first - r**2 * dot(self._beyond, 1 / at_r**2)
        k = r + t.frequency
        same = np.ones_like(k)
        sorted_rows = classes(k, (s + 1) * same, alpha * same, beta * same, t.recency, t.age)
        for rows, points in sorted_rows:
            for begin in range(0, len(rows), ROWS):
                at = rows[begin : begin + ROWS]
                value += _add_rows(
                    (r, alpha, s, beta),
                    (t.frequency[at], t.recency[at], t.age[at], t.customers[at]),
                    points,
                    g,
                    h,
                )
        return value, g, np.triu(h) + np.triu(h, 1).T


def _add_rows(
    parameters: tuple[float, float, float, float],
    columns: tuple[FloatArray, ...],
    points: int,
    g: FloatArray,
    h: FloatArray,
) -> float:
    """Add the log of the two terms of each history to gradient and upper Hessian."""
    r, alpha, s, beta = parameters
    x, _, age, weight = columns
    k = r + x
    log_left, mean, second = _moments(parameters, columns, points)
    log_a, log_b = np.log1p(age / alpha), np.log1p(age / beta)
    part_a, part_b = age / (alpha + age), age / (beta + age)
    log_alive = -k * log_a - s * log_b
    value = dot(weight, np.logaddexp(log_alive, log_left))
    alive = weight * special.expit(log_alive - log_left)
    left = weight - alive
    slope_alive = (-r * log_a, k * part_a, -s * log_b, s * part_b)
    slope_left = (-r * mean[0], k * mean[1], 1 - s * mean[2], (s + 1) * mean[3] - 1)
    for i in range(4):
        g[i] += dot(alive, slope_alive[i]) + dot(left, slope_left[i])
    # Both terms' own second derivatives, that of the means first.
    factors = (-r, k, -s, s + 1)
    for (i, j), covariance in zip(PAIRS, second, strict=True):
        h[i, j] += float(np.sum(left * covariance * factors[i] * factors[j]))
    square_a = second[4] + mean[1] ** 2
    square_b = second[9] + mean[3] ** 2
    h[0, 0] -= r * (dot(alive, log_a) + dot(left, mean[0]))
    h[0, 1] += r * (dot(alive, part_a) + dot(left, mean[1]))
    h[1, 1] -= dot(alive * k, part_a * (1 - part_a)) + dot(left * k, mean[1] - square_a)
    h[2, 2] -= s * (dot(alive, log_b) + dot(left, mean[2]))
    h[2, 3] += s * (dot(alive, part_b) + dot(left, mean[3]))
    h[3, 3] -= s * dot(alive, part_b * (1 - part_b)) + (s + 1) * dot(left, mean[3] - square_b)
    # Which of the two it is moves as well.
    alive *= left / weight
    apart = [one - other for one, other in zip(slope_alive, slope_left, strict=True)]
    for i, j in PAIRS:
        h[i, j] += dot(alive * apart[i], apart[j])
    return value


def _moments(
    parameters: tuple[float, float, float, float], columns: tuple[FloatArray, ...], points: int
) -> tuple[FloatArray, list[FloatArray], list[FloatArray]]:
    """Give the log of the second term, and means and covariances under its integrand.

    They are of ln((alpha+u)/alpha), u/(alpha+u), ln((beta+u)/beta), u/(beta+u); the covariances in
    the order of ``PAIRS``.
    """
    r, alpha, s, beta = parameters
    x, start, age, _ = columns
    same = np.ones_like(x)
    k, q = r + x, (s + 1) * same
    log_a, log_b, moved, density = quadrature(
        k, q, alpha * same, beta * same, start, age, points=points
    )
    density *= np.exp(-k[:, None] * log_a - (s + 1) * log_b)
    total = density.sum(axis=1)
    # Nobody leaves between equal times: the weights are then anything that adds to 1.
    some = total > 0
    density /= np.where(some, total, 1.0)[:, None]
    base_a, base_b = np.log1p(start / alpha), np.log1p(start / beta)
    with np.errstate(divide="ignore"):
        log_left = np.log(total) - k * base_a - (s + 1) * base_b + np.log(s / beta)
    moved += start[:, None]
    part_a = moved / (alpha + moved)
    part_b = moved / (beta + moved)
    values = (log_a, part_a, log_b, part_b)
    mean: list[FloatArray] = []
    second: list[FloatArray] = []
    for i, one in enumerate(values):
        weighted = density * one
        mean.append(weighted.sum(axis=1))
        second += [np.einsum("ij,ij->i", weighted, other) for other in values[i:]]
    for place, (i, j) in enumerate(PAIRS):
        second[place] -= mean[i] * mean[j]
    mean[0] += base_a
    mean[2] += base_b
    return log_left, mean, second
