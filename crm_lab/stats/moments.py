"""Mergeable centred moments: what a mean or an adjusted mean needs to know about its data.

Raw sums of squares lose precision as soon as the mean is large against the spread. These
summaries are centred, can be made per part of the data and merged in any order, and hold the
third moment as well.

References
----------
Chan, T. F., Golub, G. H., LeVeque, R. J. (1983), "Algorithms for computing the sample variance",
The American Statistician 37, equation 1.5. Pebay, P. (2008), "Formulas for robust, one-pass
parallel computation of covariances and arbitrary-order statistical moments", Sandia report
SAND2008-6212, equations 2.1, 3.3 and 3.8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from crm_lab.errors import DesignError
from crm_lab.language import say
from crm_lab.stats.arguments import FloatArray, as_values


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Count, mean and centred power sums of one variable.

    Attributes
    ----------
    n : int
        Number of units, 0 or more.
    mean : float
        Their mean, in the unit of the variable; NaN when ``n`` is 0.
    m2, m3 : float
        Sums of the squared and cubed deviations from the mean.

    Examples
    --------
    >>> parts = Moments.from_array([1, 2]).merge(Moments.from_array([3, 10]))
    >>> parts == Moments.from_array([1, 2, 3, 10])
    True
    >>> parts.mean, round(parts.variance, 4)
    (4.0, 16.6667)
    """

    n: int
    mean: float
    m2: float
    m3: float

    @classmethod
    def from_array(cls, values: ArrayLike) -> Moments:
        """Summarise an array of one value per unit, in two passes.

        Parameters
        ----------
        values : array-like, shape (n,)
            The values; a NaN or infinite value makes every moment NaN.

        Raises
        ------
        DesignError
            When the values are not numbers or not one-dimensional.
        """
        array = as_values(values, "values")
        return _summarise(array, np.ones_like(array), n=array.size)

    @classmethod
    def from_weighted(cls, values: ArrayLike, counts: ArrayLike) -> Moments:
        """Summarise distinct values with their numbers of units.

        Parameters
        ----------
        values : array-like, shape (k,)
            Distinct (or repeated) values.
        counts : array-like, shape (k,)
            How many units have each value; whole numbers, 0 or more.

        Raises
        ------
        DesignError
            When the lengths differ, or a count is negative or not whole.

        Examples
        --------
        >>> Moments.from_weighted([0, 25], [3, 1]).mean
        6.25
        """
        array, weights = as_values(values, "values"), as_values(counts, "counts")
        if array.shape != weights.shape:
            raise DesignError(
                say("{array} values but {weights} counts", array=array.size, weights=weights.size)
            )
        if not np.all((weights >= 0) & (weights == np.floor(weights)) & np.isfinite(weights)):
            raise DesignError(
                say("a count is negative or not whole"), expected=say("whole numbers from 0")
            )
        used = weights > 0
        return _summarise(array[used], weights[used], n=int(weights.sum()))

    def merge(self, other: Moments) -> Moments:
        """Give the moments of both sets of units together (Pebay 2008, equations 2.1 and 3.8)."""
        if self.n == 0 or other.n == 0:
            return other if self.n == 0 else self
        n = self.n + other.n
        delta = other.mean - self.mean
        share = other.n / n
        m2 = self.m2 + other.m2 + delta**2 * self.n * share
        m3 = (
            self.m3
            + other.m3
            + delta**3 * self.n * share * ((self.n - other.n) / n)
            + 3.0 * delta * (self.n * other.m2 - other.n * self.m2) / n
        )
        return Moments(n=n, mean=self.mean + delta * share, m2=m2, m3=m3)

    @property
    def variance(self) -> float:
        """Unbiased sample variance (divisor ``n - 1``); NaN below two units."""
        return self.m2 / (self.n - 1) if self.n > 1 else math.nan

    @property
    def skewness(self) -> float:
        """Third standardised moment ``(m3 / n) / (m2 / n) ** 1.5``; NaN for a constant."""
        if self.n == 0 or not self.m2 > 0:
            return math.nan
        return math.sqrt(self.n) * self.m3 / (self.m2 * math.sqrt(self.m2))


@dataclass(frozen=True, slots=True, kw_only=True)
class PairMoments:
    """Count, means and centred sums of two variables measured on the same units.

    Attributes
    ----------
    n : int
        Number of units.
    mean_y, mean_x : float
        Means of the outcome and of the covariate.
    m2_y, m2_x : float
        Sums of squared deviations.
    m_xy : float
        Sum of the products of the deviations.

    Examples
    --------
    >>> pair = PairMoments.from_arrays([1.0, 2.0, 4.0], [10.0, 20.0, 40.0])
    >>> round(pair.covariance / pair.variance_x, 12)
    0.1
    """

    n: int
    mean_y: float
    mean_x: float
    m2_y: float
    m2_x: float
    m_xy: float

    @classmethod
    def from_arrays(cls, y: ArrayLike, x: ArrayLike) -> PairMoments:
        """Summarise an outcome ``y`` and a covariate ``x``, both of shape (n,).

        Raises
        ------
        DesignError
            When the lengths differ or something is not a number.
        """
        outcome, covariate = as_values(y, "y"), as_values(x, "x")
        if outcome.shape != covariate.shape:
            raise DesignError(
                say(
                    "{outcome} values of y but {covariate} of x",
                    outcome=outcome.size,
                    covariate=covariate.size,
                )
            )
        first, second = Moments.from_array(outcome), Moments.from_array(covariate)
        if math.isnan(first.mean) or math.isnan(second.mean):
            product = 0.0 if first.n == 0 else math.nan
        else:
            product = float(((outcome - first.mean) * (covariate - second.mean)).sum())
        return cls(
            n=first.n,
            mean_y=first.mean,
            mean_x=second.mean,
            m2_y=first.m2,
            m2_x=second.m2,
            m_xy=product,
        )

    def merge(self, other: PairMoments) -> PairMoments:
        """Give the moments of both sets of units together (Pebay 2008, equation 3.3)."""
        if self.n == 0 or other.n == 0:
            return other if self.n == 0 else self
        n = self.n + other.n
        delta_y, delta_x = other.mean_y - self.mean_y, other.mean_x - self.mean_x
        share = other.n / n
        return PairMoments(
            n=n,
            mean_y=self.mean_y + delta_y * share,
            mean_x=self.mean_x + delta_x * share,
            m2_y=self.m2_y + other.m2_y + delta_y**2 * self.n * share,
            m2_x=self.m2_x + other.m2_x + delta_x**2 * self.n * share,
            m_xy=self.m_xy + other.m_xy + delta_y * delta_x * self.n * share,
        )

    @property
    def variance_y(self) -> float:
        """Unbiased variance of the outcome; NaN below two units."""
        return self.m2_y / (self.n - 1) if self.n > 1 else math.nan

    @property
    def variance_x(self) -> float:
        """Unbiased variance of the covariate; NaN below two units."""
        return self.m2_x / (self.n - 1) if self.n > 1 else math.nan

    @property
    def covariance(self) -> float:
        """Unbiased covariance of outcome and covariate; NaN below two units."""
        return self.m_xy / (self.n - 1) if self.n > 1 else math.nan


def _summarise(values: FloatArray, weights: FloatArray, *, n: int) -> Moments:
    if n == 0:
        return Moments(n=0, mean=math.nan, m2=0.0, m3=0.0)
    if not np.all(np.isfinite(values)):
        return Moments(n=n, mean=math.nan, m2=math.nan, m3=math.nan)
    # numpy sums pairwise and in one thread: precise, and the same on every machine.
    # A first guess near the mean, then the mean of what is left: exact for a constant.
    guess = float(values[0])
    mean = guess + float((weights * (values - guess)).sum()) / n
    deviations = values - mean
    drift = float((weights * deviations).sum()) / n
    squares = deviations * deviations
    m2 = float((weights * squares).sum()) - n * drift**2
    m3 = float((weights * squares * deviations).sum()) - 3.0 * drift * m2 - n * drift**3
    return Moments(n=n, mean=mean + drift, m2=max(m2, 0.0), m3=m3)
