"""The likelihood of BG/NBD and MBG/NBD on distinct histories, with gradient and Hessian.

Ratios of gamma functions at whole distances are sums over purchases, ln G(r + x) - ln G(r) =
sum over j < x of ln(r + j), so everything that depends on x alone is a sum over j of how many
customers went beyond j, without a special function and without loss of digits for large
parameters. What is left, per tuple, is one logistic term:

    ln L = ... - (r + x) ln(alpha + T) + ln(1 + exp(d)),
    d = (r + x) ln((alpha + T) / (alpha + t_x)) + ln(a / (b + x - 1)).

MBG/NBD is the same with b + 1 for b in the terms of the tuple, and with d for x = 0 too.

References
----------
.. [1] Fader, P. S., Hardie, B. G. S., Lee, K. L. (2005). "Counting Your Customers" the Easy Way.
   Marketing Science 24(2), 275-284, equation 6.
.. [2] Batislam, E. P., Denizel, M., Filiztekin, A. (2007). Empirical validation and comparison of
   models for customer base analysis. Int. J. of Research in Marketing 24(3), 201-209.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crm_lab.ltv.fitting import dot
from crm_lab.ltv.parameters import FloatArray
from crm_lab.ltv.tuples import DistinctHistories

BLOCK = 16_384
"""Tuples worked on at a time: a dozen arrays of them stay in the cache."""

PILOT = 20_000
"""Above twice this number of tuples the search begins on a part of them."""


class BGNBDLikelihood:
    """Log-likelihood of BG/NBD, or of MBG/NBD, over the logs of r, alpha, a, b.

    Parameters
    ----------
    tuples : DistinctHistories
        Distinct histories with their counts, sorted by frequency.
    leaves_at_once : bool
        Whether one may drop out after the first purchase already (MBG/NBD).
    """

    def __init__(self, tuples: DistinctHistories, *, leaves_at_once: bool = False) -> None:
        self.tuples = tuples
        self.leaves_at_once = leaves_at_once
        self.weight = float(tuples.customers.sum())
        self._repeats = dot(tuples.frequency, tuples.customers)
        self._beyond = beyond(tuples.frequency, tuples.customers)
        shift = 1 if leaves_at_once else 0
        self._stayed = np.concatenate([[self.weight], self._beyond]) if shift else self._beyond
        # Tuples are sorted by x, so those that carry a logistic term are the last ones.
        self._first_term = 0 if shift else int(np.searchsorted(tuples.frequency, 0.5))

    def starts(self) -> Sequence[FloatArray]:
        """Give logs from which to search: the mean rate, and a middling drop-out."""
        t = self.tuples
        exposed = dot(t.age, t.customers)
        rate = max(self._repeats, 0.5) / max(exposed, 1e-12)
        return [np.log([r, r / rate / 2, a, b]) for r, a, b in ((0.5, 0.8, 2.5), (1.5, 0.3, 5.0))]

    def pilot(self) -> BGNBDLikelihood | None:
        """Give the likelihood of every so many tuples, or nothing where there are few."""
        step = len(self.tuples) // PILOT
        if step < 2:
            return None
        return BGNBDLikelihood(self.tuples.every(step), leaves_at_once=self.leaves_at_once)

    def value(self, logs: FloatArray) -> tuple[float, FloatArray]:
        """Give the log-likelihood and its gradient."""
        value, gradient, _ = self._at(logs, with_hessian=False)
        return value, gradient

    def curvature(self, logs: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Give the log-likelihood, its gradient and its Hessian."""
        return self._at(logs, with_hessian=True)

    def _at(self, logs: FloatArray, *, with_hessian: bool) -> tuple[float, FloatArray, FloatArray]:
        natural = np.exp(logs)
        value, g, h = self._counts(natural, float(logs[1]))
        t = self.tuples
        for start in range(0, len(t), BLOCK):
            part = slice(start, start + BLOCK)
            columns: tuple[FloatArray, ...] = (
                t.frequency[part],
                t.recency[part],
                t.age[part],
                t.customers[part],
            )
            value += _alive_block(natural, columns, g, h)
            # Tuples of x = 0 carry no logistic term in BG/NBD.
            rest = slice(max(self._first_term - start, 0), None)
            columns = tuple(column[rest] for column in columns)
            if columns[0].size:
                before = 0.0 if self.leaves_at_once else 1.0
                value += _leaving_block(
                    natural, columns, g, h, before=before, with_hessian=with_hessian
                )
        h = np.triu(h) + np.triu(h, 1).T
        h = h * np.outer(natural, natural) + np.diag(g * natural)
        return value, g * natural, h

    def _counts(
        self, natural: FloatArray, log_alpha: float
    ) -> tuple[float, FloatArray, FloatArray]:
        """Give what depends on x alone: value, gradient and upper Hessian in (r, alpha, a, b)."""
        r, _, a, b = natural.tolist()
        beyond_, stayed = self._beyond, self._stayed
        g, h = np.zeros(4), np.zeros((4, 4))
        at_r = r + np.arange(len(beyond_))
        at_b = b + np.arange(len(stayed))
        at_ab = at_b + a
        value = dot(beyond_, np.log(at_r)) - dot(stayed, np.log1p(a / at_b))
        value -= self._repeats * log_alpha
        g[0] = dot(beyond_, 1 / at_r)
        g[2] = -dot(stayed, 1 / at_ab)
        g[3] = dot(stayed, a / (at_b * at_ab))
        h[0, 0] = -dot(beyond_, 1 / at_r**2)
        h[2, 2] = h[2, 3] = dot(stayed, 1 / at_ab**2)
        h[3, 3] = -dot(stayed, a * (at_b + at_ab) / (at_b * at_ab) ** 2)
        return value, g, h


def beyond(frequency: FloatArray, customers: FloatArray) -> FloatArray:
    """Count the customers with more than j repeat purchases, for every j below the largest.

    Parameters
    ----------
    frequency, customers : ndarray, shape (m,)
        Repeat purchases and how many customers have them.

    Returns
    -------
    ndarray
        Entry j counts those with x > j.

    Examples
    --------
    >>> beyond(np.array([0.0, 1.0, 3.0]), np.array([5.0, 2.0, 1.0]))
    array([3., 1., 1.])
    """
    counts = np.bincount(frequency.astype(np.intp), weights=customers)
    return np.asarray(counts[::-1].cumsum()[::-1][1:], dtype=np.float64)


def _alive_block(
    natural: FloatArray, columns: tuple[FloatArray, ...], g: FloatArray, h: FloatArray
) -> float:
    """Add - (r + x) ln(alpha + T) + r ln(alpha), less the part - x ln(alpha), to g and h."""
    r, alpha = float(natural[0]), float(natural[1])
    x, _, age, weight = columns
    log_ratio = np.log1p(age / alpha)
    inverse = weight / (alpha + age)
    weight_x = weight * x
    value = -r * dot(weight, log_ratio) - dot(weight_x, log_ratio)
    with_age = dot(inverse, age)
    g[0] -= dot(weight, log_ratio)
    g[1] += r / alpha * with_age - dot(inverse, x)
    h[0, 1] += with_age / alpha
    # (r + x) / (alpha + T)^2 - r / alpha^2 without its cancellation.
    inverse /= alpha + age
    h[1, 1] += dot(inverse, x) - r / alpha**2 * dot(inverse, age * (2 * alpha + age))
    return value


def _leaving_block(
    natural: FloatArray,
    columns: tuple[FloatArray, ...],
    g: FloatArray,
    h: FloatArray,
    *,
    before: float,
    with_hessian: bool,
) -> float:
    """Add ln(1 + exp(d)), the chance to have left after the last purchase, to g and h."""
    r, alpha, a, b = natural.tolist()
    x, last, age, weight = columns
    shape = r + x
    at_last, at_age = alpha + last, alpha + age
    log_ratio = np.log1p((age - last) / at_last)
    slope_b = 1 / (b + x - before)
    d = shape * log_ratio
    d += np.log(a * slope_b)
    odds = np.exp(-np.abs(d))
    softplus = np.log1p(odds)
    softplus += np.maximum(d, 0.0)
    value = dot(weight, softplus)
    left = np.where(d >= 0, 1.0, odds)
    left /= 1 + odds
    # 1 / (alpha + T) - 1 / (alpha + t_x), the derivative of the log ratio in alpha.
    both = at_age * at_last
    slope = (last - age) / both
    slope_alpha = shape * slope
    chance = weight * left
    total = float(chance.sum())
    g[0] += dot(chance, log_ratio)
    g[1] += dot(chance, slope_alpha)
    g[2] += total / a
    g[3] -= dot(chance, slope_b)
    if not with_hessian:
        return value
    h[0, 1] += dot(chance, slope)
    # -(r + x) (1 / (alpha + T)^2 - 1 / (alpha + t_x)^2)
    bend = slope_alpha * (at_age + at_last)
    bend /= both
    h[1, 1] -= dot(chance, bend)
    h[2, 2] -= total / a**2
    h[3, 3] += dot(chance, slope_b * slope_b)
    chance *= 1 - left
    scaled = chance * log_ratio
    h[0, 0] += dot(scaled, log_ratio)
    h[0, 1] += dot(scaled, slope_alpha)
    h[0, 2] += float(scaled.sum()) / a
    h[0, 3] -= dot(scaled, slope_b)
    np.multiply(chance, slope_alpha, out=scaled)
    h[1, 1] += dot(scaled, slope_alpha)
    h[1, 2] += float(scaled.sum()) / a
    h[1, 3] -= dot(scaled, slope_b)
    np.multiply(chance, slope_b, out=scaled)
    h[2, 2] += float(chance.sum()) / a**2
    h[2, 3] -= float(scaled.sum()) / a
    h[3, 3] += dot(scaled, slope_b)
    return value
