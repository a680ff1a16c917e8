"""What makes an experiment see more or less than a plain comparison of two arms.

A pre-period removes variance, clusters and planned looks add to it, several arms divide the error
level. Each is a factor on the variance of the difference, and they multiply; so every power
formula takes one `DesignFactors`.

References
----------
Deng, A., Xu, Y., Kohavi, R., Walker, T. (2013), "Improving the sensitivity of online controlled
experiments by utilizing pre-experiment data", WSDM, equation 4 (variance times 1 - rho^2).
Kish, L. (1965), "Survey sampling", section 5.4 (design effect). Eldridge, S. M., Ashby, D.,
Kerry, S. (2006), "Sample size for cluster randomized trials: effect of coefficient of variation of
cluster size and analysis method", International Journal of Epidemiology 35, equation 4. Donner,
A., Koval, J. J. (1980), "The estimation of intraclass correlation in the analysis of family data",
Biometrics 36 (analysis-of-variance estimator). Deng, A., Knoblich, U., Lu, J. (2018), "Applying
the delta method in metric analytics", KDD, section 3.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from crm_lab import formats
from crm_lab.errors import DesignError
from crm_lab.language import say, say_many
from crm_lab.stats.arguments import as_given, as_values, check_count, check_positive, check_share


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignFactors:
    """What changes the variance of a difference and the error level of one comparison.

    Attributes
    ----------
    correlation : float
        Correlation of the metric with its value before assignment, between -1 and 1; 0 without
        adjustment.
    design_effect : float
        Variance with clusters as a multiple of that without (see `design_effect`); above 0.
    inflation : float
        `SequentialPlan.inflation` of the planned looks; at least 1.
    comparisons : int
        Comparisons with the control that share the error level; at least 1.

    Raises
    ------
    DesignError
        When one of them is out of range.

    Examples
    --------
    >>> DesignFactors(correlation=0.6, design_effect=1.5).variance
    0.96
    >>> DesignFactors(comparisons=2).per_comparison(0.05)
    0.025
    """

    correlation: float = 0.0
    design_effect: float = 1.0
    inflation: float = 1.0
    comparisons: int = 1

    def __post_init__(self) -> None:
        if not -1.0 < self.correlation < 1.0:
            raise DesignError(
                as_given("correlation", self.correlation), expected=say("a number between -1 and 1")
            )
        check_positive(self.design_effect, "design_effect")
        # A plan of one look comes out a rounding error below 1.
        if not (math.isfinite(self.inflation) and self.inflation >= 1.0 - 1e-9):
            raise DesignError(
                as_given("inflation", self.inflation), expected=say("a number of at least 1")
            )
        check_count(self.comparisons, "comparisons", minimum=1)

    @property
    def variance(self) -> float:
        """Factor on the variance of the difference, and so on the size that is needed."""
        return (1.0 - self.correlation**2) * self.design_effect * self.inflation

    def per_comparison(self, alpha: float) -> float:
        """Give the error level of one comparison when all share ``alpha`` (Bonferroni)."""
        return check_share(alpha, "alpha") / self.comparisons

    @property
    def words(self) -> str:
        """What is taken into account, as an addition to the name of a method; may be empty."""
        parts = []
        if self.correlation:
            shown = formats.number(self.correlation, decimals=2)
            parts.append(
                say("adjusted by the pre-period (correlation {correlation})", correlation=shown)
            )
        if self.design_effect != 1.0:
            shown = formats.number(self.design_effect, decimals=2)
            parts.append(say("clusters (design effect {effect})", effect=shown))
        if abs(self.inflation - 1.0) > 1e-9:
            shown = formats.number(self.inflation, decimals=3)
            parts.append(say("planned looks (size times {inflation})", inflation=shown))
        if self.comparisons > 1:
            parts.append(
                say_many(
                    "alpha divided by {count} comparison",
                    "alpha divided by {count} comparisons",
                    self.comparisons,
                )
            )
        return "".join(f"; {part}" for part in parts)


PLAIN = DesignFactors()
"""Two arms, one look, no clusters, no pre-period."""


def design_effect(
    mean_cluster_size: float, intraclass_correlation: float, *, cluster_size_cv: float = 0.0
) -> float:
    """Give the variance of a mean under assignment of whole clusters, as a multiple.

    Use it when households, shops or shared contacts are assigned together.

    Parameters
    ----------
    mean_cluster_size : float
        Mean number of units per cluster, at least 1.
    intraclass_correlation : float
        Correlation of two units of one cluster, from -1 to 1.
    cluster_size_cv : float
        Standard deviation of the cluster sizes divided by their mean, 0 or more.

    Returns
    -------
    float
        ``1 + (m (1 + cv^2) - 1) ICC``; ``1 + (m - 1) ICC`` for equal clusters.

    Raises
    ------
    DesignError
        When an argument is out of range, or the correlation so negative that nothing is left.

    References
    ----------
    Eldridge, Ashby and Kerry (2006), equation 4.

    Examples
    --------
    >>> round(design_effect(2.0, 0.3), 3), round(design_effect(2.0, 0.3, cluster_size_cv=0.5), 3)
    (1.3, 1.45)
    """
    if not (math.isfinite(mean_cluster_size) and mean_cluster_size >= 1.0):
        raise DesignError(
            as_given("mean_cluster_size", mean_cluster_size), expected=say("a number of at least 1")
        )
    if not -1.0 <= intraclass_correlation <= 1.0:
        raise DesignError(
            as_given("intraclass_correlation", intraclass_correlation),
            expected=say("a number from -1 to 1"),
        )
    if not (math.isfinite(cluster_size_cv) and cluster_size_cv >= 0.0):
        raise DesignError(
            as_given("cluster_size_cv", cluster_size_cv), expected=say("a number of 0 or more")
        )
    effect = 1.0 + (mean_cluster_size * (1.0 + cluster_size_cv**2) - 1.0) * intraclass_correlation
    if effect <= 0.0:
        raise DesignError(
            say(
                "intraclass_correlation is {intraclass_correlation} in clusters of "
                "{mean_cluster_size}",
                intraclass_correlation=intraclass_correlation,
                mean_cluster_size=formats.significant(mean_cluster_size, figures=6),
            ),
            expected=say("a correlation that leaves some variance"),
        )
    return effect


def intraclass_correlation(values: ArrayLike, clusters: ArrayLike) -> float:
    """Estimate how alike units of one cluster are, from past values.

    Parameters
    ----------
    values : array-like, shape (n,)
        One finite value per unit.
    clusters : array-like, shape (n,)
        Label of the cluster of each unit; none missing.

    Returns
    -------
    float
        The analysis-of-variance estimate, at most 1; it may be negative by chance. NaN when no
        cluster has two units, there is only one cluster, or nothing varies.

    Raises
    ------
    DesignError
        When lengths differ, a value is not finite or a label is missing.

    References
    ----------
    Donner and Koval (1980).

    Examples
    --------
    >>> round(intraclass_correlation([1.0, 2.0, 5.0, 6.0], ["a", "a", "b", "b"]), 3)
    0.939
    """
    array = as_values(values, "values")
    sizes, codes = cluster_sizes(clusters)
    if codes.size != array.size:
        raise DesignError(
            say("{array} values but {codes} labels of clusters", array=array.size, codes=codes.size)
        )
    if not np.all(np.isfinite(array)):
        raise DesignError(say("a value is not finite"), expected=say("finite values"))
    n, groups = array.size, sizes.size
    if groups < 2 or groups == n:
        return math.nan
    means = np.bincount(codes, weights=array, minlength=groups) / sizes
    within = float(np.square(array - means[codes]).sum()) / (n - groups)
    between = float((sizes * np.square(means - array.mean())).sum()) / (groups - 1)
    typical = (n - float((sizes**2).sum()) / n) / (groups - 1)
    total = between + (typical - 1.0) * within
    return (between - within) / total if total > 0 else math.nan


def cluster_sizes(clusters: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the units per cluster and number the clusters.

    Parameters
    ----------
    clusters : array-like, shape (n,)
        Label of the cluster of each unit.

    Returns
    -------
    tuple of ndarray
        Units per cluster, and the number of its cluster for each unit.

    Raises
    ------
    DesignError
        When a label is missing.

    Examples
    --------
    >>> sizes, _ = cluster_sizes(["a", "b", "a"])
    >>> sizes.tolist()
    [2, 1]
    """
    codes, labels = pd.factorize(np.asarray(clusters))
    missing = int((codes < 0).sum())
    if missing:
        raise DesignError(
            say("{missing} units have no cluster", missing=formats.number(missing)),
            expected=say("a cluster for everybody; whoever stands alone is a cluster of one"),
        )
    return np.bincount(codes, minlength=len(labels)), codes.astype(np.int64)


def ratio_variance(
    *,
    mean_numerator: float,
    mean_denominator: float,
    variance_numerator: float,
    variance_denominator: float,
    covariance: float,
) -> float:
    """Give the variance per unit of a ratio of two means, such as average order value.

    Use it for metrics whose denominator varies by customer: revenue by orders, clicks by messages.

    Parameters
    ----------
    mean_numerator, mean_denominator : float
        Means per unit; the second above 0.
    variance_numerator, variance_denominator : float
        Variances per unit, 0 or more.
    covariance : float
        Covariance of the two within units.

    Returns
    -------
    float
        ``(s_n^2 - 2 R s_nd + R^2 s_d^2) / mean_d^2`` with ``R = mean_n / mean_d``; divided by the
        number of units it is the squared standard error of the ratio.

    Raises
    ------
    DesignError
        When an argument is out of range or the covariance exceeds what the variances allow.

    References
    ----------
    Delta method; Deng, Knoblich and Lu (2018), equation 3.

    Examples
    --------
    >>> ratio_variance(mean_numerator=5.0, mean_denominator=0.5, variance_numerator=100.0,
    ...                variance_denominator=0.5, covariance=5.0)
    200.0
    """
    check_positive(mean_denominator, "mean_denominator")
    if not math.isfinite(mean_numerator):
        raise DesignError(
            as_given("mean_numerator", mean_numerator), expected=say("a finite number")
        )
    for value, name in (
        (variance_numerator, "variance_numerator"),
        (variance_denominator, "variance_denominator"),
    ):
        if not (math.isfinite(value) and value >= 0.0):
            raise DesignError(as_given(name, value), expected=say("a finite number of 0 or more"))
    limit = math.sqrt(variance_numerator * variance_denominator)
    if not abs(covariance) <= limit * (1 + 1e-9) + 1e-300:
        raise DesignError(
            as_given("covariance", covariance),
            expected=say(
                "a number from -{limit} to {limit}", limit=formats.significant(limit, figures=6)
            ),
        )
    ratio = mean_numerator / mean_denominator
    spread = variance_numerator - 2.0 * ratio * covariance + ratio**2 * variance_denominator
    return max(spread, 0.0) / mean_denominator**2
