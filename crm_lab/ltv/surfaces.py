"""Predictions with how they move when the parameters move: the delta method, done once.

A surface holds a quantity for each customer and its derivatives by the log-parameters. Sums,
products and scalings keep the derivatives, so the error of a total carries that all customers
share the same parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from crm_lab.ltv.parameters import AnyParameters, FloatArray, as_vector, from_vector

STEP = 1e-4
"""Step of the central differences in the log-parameters; their error is of the order 1e-8."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surface:
    """A quantity per customer with its derivatives.

    Attributes
    ----------
    value : ndarray, shape (n,)
        The quantity at the estimates.
    slopes : ndarray, shape (k, n)
        Its derivatives by the log-parameters.
    covariance : ndarray, shape (k, k)
        Covariance of the log-parameters.
    """

    value: FloatArray
    slopes: FloatArray
    covariance: FloatArray

    def of(self, position: NDArray[np.intp]) -> Surface:
        """Give the surface of customers from that of distinct histories."""
        return Surface(
            value=self.value[position],
            slopes=self.slopes[:, position],
            covariance=self.covariance,
        )

    def scaled(self, factor: FloatArray) -> Surface:
        """Multiply each customer's quantity by a known number."""
        return Surface(
            value=self.value * factor, slopes=self.slopes * factor, covariance=self.covariance
        )

    def times(self, other: Surface) -> Surface:
        """Multiply two quantities of independent models."""
        slopes = np.vstack([self.slopes * other.value, other.slopes * self.value])
        covariance = linalg.block_diag(self.covariance, other.covariance)
        return Surface(value=self.value * other.value, slopes=slopes, covariance=covariance)

    def errors(self) -> FloatArray:
        """Give the standard error of each customer's quantity."""
        variances = np.einsum("kn,kl,ln->n", self.slopes, self.covariance, self.slopes)
        return np.asarray(np.sqrt(np.maximum(variances, 0.0)), dtype=np.float64)

    def total_variance(self) -> float:
        """Give the variance of the sum over customers that the parameters cause."""
        total = self.slopes.sum(axis=1)
        return max(float(total @ self.covariance @ total), 0.0)


def surfaces(
    parameters: AnyParameters,
    log_covariance: FloatArray,
    functions: dict[str, Callable[[AnyParameters], FloatArray]],
) -> dict[str, Surface]:
    """Evaluate quantities and their derivatives by central differences in the log-parameters.

    Parameters
    ----------
    parameters : parameters of a model
        The estimates.
    log_covariance : ndarray, shape (k, k)
        Covariance of their logs.
    functions : dict
        By name, a function of parameters that gives one value per customer.

    Returns
    -------
    dict of str to Surface
        By the same names.
    """
    logs = np.log(as_vector(parameters))

    def at(shifted: FloatArray) -> dict[str, FloatArray]:
        moved = from_vector(type(parameters), np.exp(shifted))
        return {name: function(moved) for name, function in functions.items()}

    centre = at(logs)
    slopes: dict[str, list[FloatArray]] = {name: [] for name in functions}
    for place in range(len(logs)):
        step = np.zeros(len(logs))
        step[place] = STEP
        above, below = at(logs + step), at(logs - step)
        for name in functions:
            slopes[name].append((above[name] - below[name]) / (2 * STEP))
    return {
        name: Surface(value=centre[name], slopes=np.array(slopes[name]), covariance=log_covariance)
        for name in functions
    }
