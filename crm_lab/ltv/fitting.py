"""Maximum likelihood on log-parameters: Newton steps, after a rough search where they need it.

A likelihood says its value, gradient and Hessian; here they are only put to use. Parameters are
positive, so the search runs over their logs, where the surface is nearly quadratic, and the
covariance of the logs carries over to the parameters by the delta method.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from crm_lab.ltv.parameters import FloatArray

LARGEST_LOG = 18.0
"""Logs of parameters stay within this, so parameters within about 1e-8 and 1e8 of their unit."""

ROUGH_GRADIENT = 1e-4
"""The rough search (BFGS) ends at a gradient of this size per customer; Newton goes on."""

ROUGH_GAIN = 1e-10
"""It also ends where a step raises the log-likelihood per customer by less than this."""

ROUGH_STEPS = 150

NEWTON_STEPS = 60
LONGEST_STEP = 3.0
"""No Newton step moves a log-parameter further than this."""

DECREMENT = 1e-9
"""Newton ends where the likelihood can rise by less than this in all, whatever the base's size."""

ENOUGH = 1e-4
"""Where rounding stops Newton earlier, an optimum is still one if it could rise by less than this;
it then lies within about 1 % of a standard error."""


FLAT = 5.0
"""A standard error of a log above this is a flat direction: a factor of 150 either way."""

SINGULAR = 1e-11
"""Eigenvalues below this part of the largest are rounding: a direction without information."""

JACOBI_SWEEPS = 30


class Likelihood(Protocol):
    """A log-likelihood over the logs of its parameters."""

    def value(self, logs: FloatArray) -> tuple[float, FloatArray]:
        """Give the log-likelihood and its gradient."""
        ...

    def curvature(self, logs: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Give the log-likelihood, its gradient and its Hessian."""
        ...

    def starts(self) -> Sequence[FloatArray]:
        """Give logs from which to search, the likeliest first."""
        ...

    def pilot(self) -> Likelihood | None:
        """Give a smaller likelihood of nearly the same shape, or nothing when small enough."""
        ...

    @property
    def weight(self) -> float:
        """Number of customers."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Optimum:
    """Where a search ended.

    Attributes
    ----------
    logs : ndarray, shape (k,)
        Logs of the parameters.
    log_likelihood : float
        The log-likelihood there.
    log_covariance : ndarray, shape (k, k)
        Inverse of the observed information in the logs; NaN where it cannot be inverted.
    decrement : float
        By how much a quadratic surface could still rise; NaN where it bends the wrong way.
    converged : bool
        Whether this is an optimum.
    evaluations : int
        How often the whole likelihood was evaluated.
    """

    logs: FloatArray
    log_likelihood: float
    log_covariance: FloatArray
    decrement: float
    converged: bool
    evaluations: int

    @property
    def estimates(self) -> FloatArray:
        """The parameters."""
        return np.exp(self.logs)

    @property
    def covariance(self) -> FloatArray:
        """Covariance of the parameters, by the delta method."""
        values = self.estimates
        return np.asarray(self.log_covariance * values[:, None] * values[None, :])


def maximise(likelihood: Likelihood, *, start: FloatArray | None = None) -> Optimum:
    """Find the maximum of a likelihood.

    Parameters
    ----------
    likelihood : Likelihood
        What to maximise.
    start : ndarray, shape (k,), optional
        Logs of parameters near the optimum; makes a refit quicker and is tried first.

    Returns
    -------
    Optimum
        The best of the searches; ``converged`` says whether it is an optimum.
    """
    pilot = likelihood.pilot()
    starts = list(likelihood.starts())
    if start is not None and np.isfinite(start).all():
        best = newton(likelihood, start)
    elif pilot is not None:
        best = newton(likelihood, maximise(pilot).logs)
    else:
        best = newton(likelihood, starts[0])
    count = best.evaluations
    if _is_inner(best):
        return best
    # A search that ended at an edge may have missed a better place inside.
    for first in starts:
        rough, calls = _search(likelihood, first)
        found = newton(likelihood, rough)
        count += calls + found.evaluations
        if not math.isfinite(best.log_likelihood) or found.log_likelihood > best.log_likelihood:
            best = found
        if _is_inner(best):
            break
    return replace(best, evaluations=count)


def newton(likelihood: Likelihood, start: FloatArray) -> Optimum:
    """Go to the optimum by Newton steps, shortened where they would not rise.

    Parameters
    ----------
    likelihood : Likelihood
        What to maximise.
    start : ndarray, shape (k,)
        Logs of parameters.

    Returns
    -------
    Optimum
        Where the steps ended.
    """
    logs = np.clip(np.asarray(start, dtype=np.float64), -LARGEST_LOG, LARGEST_LOG)
    value, gradient, hessian = likelihood.curvature(logs)
    calls = 1
    for _ in range(NEWTON_STEPS):
        if not (math.isfinite(value) and np.isfinite(hessian).all()):
            break
        step, rise, bends_down = _step(gradient, hessian, logs)
        if bends_down and rise < DECREMENT:
            break
        taken = False
        for shorter in (1.0, 0.3, 0.05, 0.005):
            there = np.clip(logs + shorter * step, -LARGEST_LOG, LARGEST_LOG)
            found = likelihood.curvature(there)
            calls += 1
            if math.isfinite(found[0]) and found[0] > value:
                taken = True
                break
        if not taken:
            break
        logs, (value, gradient, hessian) = there, found
    return _optimum(logs, value, gradient, hessian, calls)


def optimum_at(likelihood: Likelihood, logs: FloatArray) -> Optimum:
    """Describe a point that another search found, with gradient and covariance of our own.

    Parameters
    ----------
    likelihood : Likelihood
        What was maximised.
    logs : ndarray, shape (k,)
        Logs of the parameters found.

    Returns
    -------
    Optimum
        ``converged`` says whether it is an optimum.
    """
    return _optimum(logs, *likelihood.curvature(logs), 1)


def inverse_information(hessian: FloatArray) -> FloatArray:
    """Give the inverse of minus the Hessian; NaN where that is no covariance.

    Parameters
    ----------
    hessian : ndarray, shape (k, k)
        Second derivatives of the log-likelihood.

    Returns
    -------
    ndarray, shape (k, k)
        The covariance.
    """
    nothing = np.full_like(hessian, np.nan)
    if not np.isfinite(hessian).all():
        return nothing
    scale = np.sqrt(np.abs(np.diag(hessian)))
    if not (np.diag(hessian) < 0).all():
        return nothing
    scaled = -hessian / np.outer(scale, scale)
    values, vectors = eigen(scaled)
    if values.min() <= SINGULAR * values.max():
        return nothing
    return np.asarray((vectors / values) @ vectors.T / np.outer(scale, scale))


def dot(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Multiply and add without the linear algebra library, whose threads would only spin.

    Examples
    --------
    >>> dot(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    11.0
    """
    return float(np.einsum("i,i->", one, other))


def eigen(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give eigenvalues and eigenvectors of a small symmetric matrix, by Jacobi's rotations.

    For a handful of parameters this takes less time than waking the threads of a linear algebra
    library, and gives the same digits whatever their number.

    Parameters
    ----------
    matrix : ndarray, shape (k, k)
        Symmetric.

    Returns
    -------
    values : ndarray, shape (k,)
        Eigenvalues, in no order.
    vectors : ndarray, shape (k, k)
        Their vectors, as columns.

    Examples
    --------
    >>> values, vectors = eigen(np.array([[2.0, 1.0], [1.0, 2.0]]))
    >>> sorted(values.round(12).tolist())
    [1.0, 3.0]
    """
    k = len(matrix)
    a = matrix.tolist()
    v = [[float(i == j) for j in range(k)] for i in range(k)]
    for _ in range(JACOBI_SWEEPS):
        moved = False
        for p in range(k - 1):
            for q in range(p + 1, k):
                if abs(a[p][q]) <= 1e-18 * math.sqrt(abs(a[p][p] * a[q][q])) or a[p][q] == 0:
                    continue
                moved = True
                half = (a[q][q] - a[p][p]) / (2 * a[p][q])
                tangent = math.copysign(1.0, half) / (abs(half) + math.hypot(half, 1.0))
                cosine = 1 / math.hypot(tangent, 1.0)
                sine = tangent * cosine
                for row in a:
                    row[p], row[q] = (
                        cosine * row[p] - sine * row[q],
                        sine * row[p] + cosine * row[q],
                    )
                one, other = a[p], a[q]
                a[p] = [cosine * s - sine * t for s, t in zip(one, other, strict=True)]
                a[q] = [sine * s + cosine * t for s, t in zip(one, other, strict=True)]
                for row in v:
                    row[p], row[q] = (
                        cosine * row[p] - sine * row[q],
                        sine * row[p] + cosine * row[q],
                    )
        if not moved:
            break
    return np.array([a[i][i] for i in range(k)]), np.array(v)


def _step(
    gradient: FloatArray, hessian: FloatArray, logs: FloatArray
) -> tuple[FloatArray, float, bool]:
    """Give the Newton step, how far it would rise, and whether the surface bends down."""
    # Logs that stand at their limit and would go beyond it stay.
    free = ~((logs >= LARGEST_LOG) & (gradient > 0)) & ~((logs <= -LARGEST_LOG) & (gradient < 0))
    step = np.zeros_like(gradient)
    if not free.any():
        return step, 0.0, True
    g, h = gradient[free], hessian[np.ix_(free, free)]
    values, vectors = eigen(-h)
    floor = max(SINGULAR * float(np.abs(values).max()), 1e-300)
    bent = np.maximum(np.abs(values), floor)
    along = vectors.T @ g
    step[free] = vectors @ (along / bent)
    longest = float(np.abs(step).max())
    if longest > LONGEST_STEP:
        step *= LONGEST_STEP / longest
    rise = float(np.sum(along**2 / bent)) / 2
    return step, rise, bool((values > -floor).all())


def _search(likelihood: Likelihood, start: FloatArray) -> tuple[FloatArray, int]:
    """Search roughly by BFGS, per customer, so that its tolerances suit every base.

    It builds its picture of the curvature from gradients, so it also climbs where the Hessian
    bends the wrong way. Written here because that of scipy wakes threads for 4x4 matrices.
    """
    scale = 1 / likelihood.weight
    logs = np.clip(start, -LARGEST_LOG, LARGEST_LOG)
    value, gradient = likelihood.value(logs)
    calls = 1
    inverse = np.eye(len(logs))
    for _ in range(ROUGH_STEPS):
        slope = gradient * scale
        if not math.isfinite(value) or np.abs(slope).max() < ROUGH_GRADIENT:
            break
        step = inverse @ slope
        step *= min(1.0, LONGEST_STEP / max(float(np.abs(step).max()), 1e-300))
        for shorter in (1.0, 0.3, 0.1, 0.02, 0.002):
            there = np.clip(logs + shorter * step, -LARGEST_LOG, LARGEST_LOG)
            higher, turned = likelihood.value(there)
            calls += 1
            if math.isfinite(higher) and higher > value:
                break
        else:
            break
        moved, fall = there - logs, (gradient - turned) * scale
        bend = float(np.sum(moved * fall))
        if bend > 1e-12:
            turn = np.eye(len(logs)) - np.outer(moved, fall) / bend
            inverse = turn @ inverse @ turn.T + np.outer(moved, moved) / bend
        gain = (higher - value) * scale
        logs, value, gradient = there, higher, turned
        if gain < ROUGH_GAIN:
            break
    return logs, calls


def _optimum(
    logs: FloatArray, value: float, gradient: FloatArray, hessian: FloatArray, calls: int
) -> Optimum:
    rise = math.nan
    is_top = False
    if math.isfinite(value) and np.isfinite(hessian).all():
        _, rise, bends_down = _step(gradient, hessian, logs)
        is_top = bends_down and rise < ENOUGH
    return Optimum(
        logs=logs,
        log_likelihood=value,
        log_covariance=inverse_information(hessian),
        decrement=rise,
        converged=is_top,
        evaluations=calls,
    )


def _is_inner(found: Optimum) -> bool:
    """Whether this is an optimum in whose every direction the likelihood falls off."""
    errors = np.diag(found.log_covariance)
    return found.converged and bool(np.isfinite(errors).all() and errors.max() < FLAT**2)
