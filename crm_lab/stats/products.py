"""Centred products of several variables: what an adjusted mean of millions needs to know.

Sums of powers are taken as whole numbers and centred exactly, so nothing is lost when a mean is
large against the spread, and two runs give the same digits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations_with_replacement, permutations

import numpy as np

from crm_lab.errors import DesignError
from crm_lab.language import say
from crm_lab.stats.arguments import FloatArray
from crm_lab.stats.moments import Moments

Powers = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Products:
    """Count, means and centred products up to the third order of ``k`` variables.

    Attributes
    ----------
    n : int
        Number of units.
    means : ndarray, shape (k,)
        Means.
    second : ndarray, shape (k, k)
        Sums of products of two deviations from the means.
    third : ndarray, shape (k, k, k)
        Sums of products of three.
    """

    n: int
    means: FloatArray
    second: FloatArray
    third: FloatArray

    @classmethod
    def from_power_sums(
        cls, n: int, sums: Mapping[Powers, int], *, scales: tuple[int, ...]
    ) -> Products:
        """Centre sums of products of whole numbers, exactly.

        Parameters
        ----------
        n : int
            Number of units, those included that are 0 throughout and were not added up.
        sums : mapping
            Sum of each product, by the indices of its factors in rising order: ``(0,)``,
            ``(0, 1)``, ``(0, 0, 1)``.
        scales : tuple of int
            What each variable was multiplied with to make it whole.

        Raises
        ------
        DesignError
            A sum is missing.

        Examples
        --------
        >>> sums = {(0,): 6, (0, 0): 14, (0, 0, 0): 36}           # 1, 2, 3
        >>> Products.from_power_sums(3, sums, scales=(1,)).second
        array([[2.]])
        """
        k = len(scales)
        needed = [
            powers
            for order in (1, 2, 3)
            for powers in combinations_with_replacement(range(k), order)
        ]
        missing = [powers for powers in needed if powers not in sums]
        if missing:
            raise DesignError(
                say("the sum of the product {missing} is missing", missing=missing[0])
            )
        if n == 0:
            shape = np.full((k, k, k), math.nan)
            return cls(n=0, means=shape[0, 0], second=shape[0], third=shape)
        first = [Fraction(sums[i,]) for i in range(k)]
        means = [total / n for total in first]
        second, third = np.zeros((k, k)), np.zeros((k, k, k))
        for i, j in combinations_with_replacement(range(k), 2):
            value = float((sums[i, j] - first[i] * means[j]) / (scales[i] * scales[j]))
            second[i, j] = second[j, i] = value
        for i, j, m in combinations_with_replacement(range(k), 3):
            centred = (
                sums[i, j, m]
                - means[i] * sums[j, m]
                - means[j] * sums[i, m]
                - means[m] * sums[i, j]
                + 2 * means[i] * means[j] * first[m]
            )
            value = float(centred / (scales[i] * scales[j] * scales[m]))
            for order in set(permutations((i, j, m))):
                third[order] = value
        scaled = np.array([float(mean / scale) for mean, scale in zip(means, scales, strict=True)])
        return cls(n=n, means=scaled, second=second, third=third)

    def combined(self, coefficients: FloatArray, *, shift: float = 0.0) -> Moments:
        """Give the moments of a weighted sum of the variables, plus a constant.

        Parameters
        ----------
        coefficients : ndarray, shape (k,)
            Weights of the variables.
        shift : float
            Added to every unit's value.
        """
        c = np.asarray(coefficients, dtype=np.float64)
        return Moments(
            n=self.n,
            mean=float(c @ self.means) + shift,
            m2=max(float(c @ self.second @ c), 0.0),
            m3=float(np.einsum("ijk,i,j,k->", self.third, c, c, c)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustedMoments:
    """Moments of an outcome after adjustment (CUPED, theta pooled within arms).

    Attributes
    ----------
    treatment, control : Moments
        Of the adjusted values.
    theta : tuple of float
        One coefficient per covariate.
    variance_reduction : float
        Part of the variance within arms that was removed.
    """

    treatment: Moments
    control: Moments
    theta: tuple[float, ...]
    variance_reduction: float


def cuped_products(treatment: Products, control: Products) -> AdjustedMoments:
    """Adjust the first variable by the others, from summaries; the same numbers as ``cuped``.

    Parameters
    ----------
    treatment, control : Products
        Outcome first, then the covariates.

    Notes
    -----
    Covariates that do not vary, or that others determine, get no coefficient of their own.

    Examples
    --------
    >>> sums = {(0,): 6, (1,): 6, (0, 0): 14, (0, 1): 14, (1, 1): 14,
    ...         (0, 0, 0): 36, (0, 0, 1): 36, (0, 1, 1): 36, (1, 1, 1): 36}
    >>> arm = Products.from_power_sums(3, sums, scales=(1, 1))    # the outcome is the covariate
    >>> adjusted = cuped_products(arm, arm)
    >>> [round(theta, 9) for theta in adjusted.theta], round(adjusted.variance_reduction, 9)
    ([1.0], 1.0)
    """
    within = treatment.second + control.second
    square, product = within[1:, 1:], within[1:, 0]
    lengths = np.sqrt(np.diag(square))
    theta = np.zeros(lengths.size)
    varies = lengths > 0
    if varies.any():
        scale = lengths[varies]
        correlation = square[np.ix_(varies, varies)] / np.outer(scale, scale)
        theta[varies] = np.linalg.lstsq(correlation, product[varies] / scale, rcond=1e-10)[0]
        theta[varies] /= scale
    coefficients = np.concatenate([[1.0], -theta])
    n = treatment.n + control.n
    grand = (treatment.n * treatment.means[1:] + control.n * control.means[1:]) / n
    shift = float(theta @ grand)
    before = float(within[0, 0])
    left = float(coefficients @ within @ coefficients)
    return AdjustedMoments(
        treatment=treatment.combined(coefficients, shift=shift),
        control=control.combined(coefficients, shift=shift),
        theta=tuple(float(value) for value in theta),
        variance_reduction=1.0 - left / before if before > 0 else 0.0,
    )
