"""Comparison of two means from summaries alone, for arms too large to read value by value."""

from __future__ import annotations

import math

from scipy import optimize, special

from crm_lab import formats
from crm_lab.language import message, say
from crm_lab.stats.arguments import check_share
from crm_lab.stats.effects import Comparison
from crm_lab.stats.means import _ARMS, _comparison, _Pair, _unknown
from crm_lab.stats.moments import Moments
from crm_lab.stats.permutation import tie_slack

SKEWNESS_LIMIT = 0.3
"""Largest pooled skewness, divided by the root of the smaller arm's size, that is still judged."""

MINIMUM_UNITS = 500
"""Fewest units of the smaller arm; below them reading the values costs nothing."""

_METHOD = message(
    "third-moment approximation of the studentised permutation test; relative lift "
    "by Fieller's set with the same quantiles"
)
_NO_MOMENTS = message("a summary holds a moment that is missing or infinite")
_TOO_FEW = message("the smaller arm has {n} units and a test from summaries needs {needed}")
_TOO_FEW_FOR_SKEW = message(
    "the smaller arm has {n} units and a test from summaries needs {needed} for values as"
    " skewed as these"
)
_INSTEAD = message("; the values themselves can be compared by permutation")
_FLATTEST = 2.0 / 3.0
"""The quantile rises at least this steeply with the normal one, see `t_of_normal`."""


def compare_means_moments(
    treatment: Moments,
    control: Moments,
    *,
    alpha: float,
    metric: str = "mean",
    arms: tuple[str, str] = _ARMS,
    nonnegative: bool = False,
) -> Comparison:
    """Compare two means from count, mean and centred moments; for bases of millions.

    Use it where the values are not read, only summed. It approximates what `compare_means` finds
    by permutation and corrects for the skewness that misleads Welch's t. Where the summaries do
    not support the approximation it says so, and `compare_means` has to read the values.

    Parameters
    ----------
    treatment, control : Moments
        Summary of one value per assigned unit, zeros included, in the unit of the metric.
    alpha : float
        Two-sided error level, between 0 and 1.
    metric : str
        Name of the metric.
    arms : tuple of str
        Names of the treated arm and of the control.
    nonnegative : bool
        Whether the metric cannot be negative; a relative lift below -100 % is then not considered.

    Returns
    -------
    Comparison
        As `compare_means` gives it: test, interval of the difference and set of the relative lift
        from the same two quantiles of t. NaN with a reason where `is_large_enough` is False.

    Raises
    ------
    DesignError
        When ``alpha`` is not between 0 and 1.

    Notes
    -----
    Let g be the skewness of the values of both arms together and ``A = g (n_c - n_t) /
    sqrt(n_t n_c (n_t + n_c))``. The quantile of t that belongs to the normal quantile z is
    ``z - A (2 z^2 + 1) / 6 + A^2 z (8 z^2 + 31) / 72``. The first term in A is the same for random
    splits of fixed values and for samples of two equal populations. The term in A^2 needs the
    kurtosis, which the summary does not hold; it is taken as twice the squared skewness, which
    lies between exponential spend (1.5) and samples of log-normal spend (1.6 to 3).

    It is valid when the smaller arm has at least 500 units and ``(g / 0.3) ^ 2`` of them. Within
    that limit the shares of 40,000 permutations beyond its 95 % quantiles were 0.79 to 1.09 of
    what they should be, for exponential, log-normal and Pareto spend and controls of 5 to 50 %; it
    errs towards "cannot conclude" where the tail is heavier than assumed. Beyond the 99 % quantiles
    they were 0.51 to 1.17: a p-value far below 0.01 is an order of magnitude, not a number. With
    10 % buyers, log-normal spend of sigma 1.5 and a control of 5 % it judges a third of the bases
    of 400,000 and two thirds of those of 1,000,000, claims more than there is in 2.2 to 2.3 % of
    them and less in 2.6 to 2.7 %; Welch's t does so in 4.5 to 4.7 and 1.1 to 1.3 %.
    Outcomes of yes and no belong to `compare_proportions`. See
    ``docs/simulations/large_means.md``.

    References
    ----------
    Hall, P. (1992), "The Bootstrap and Edgeworth Expansion", Springer, section 2.6 (the
    polynomials of the studentised mean) and section 2.5 (their inversion). Robinson, J. (1978),
    "An asymptotic expansion for samples from a finite population", Annals of Statistics 6.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(7)
    >>> spend = rng.lognormal(3.0, 1.0, 400_000) * (rng.random(400_000) < 0.3)
    >>> treatment = Moments.from_array(spend[20_000:] * 1.2)
    >>> control = Moments.from_array(spend[:20_000])
    >>> result = compare_means_moments(treatment, control, alpha=0.05, nonnegative=True)
    >>> result.absolute.low > 0, round(result.relative.estimate, 1)
    (True, 0.2)
    """
    check_share(alpha, "alpha")
    pair = _Pair(
        treatment=treatment,
        control=control,
        alpha=alpha,
        metric=metric,
        arms=arms,
        nonnegative=nonnegative,
    )
    reason = pair.reason
    if not reason:
        reason = large_means_reason(treatment, control)
        reason += say(_INSTEAD) if reason else ""
    if reason:
        return _unknown(pair, say(_METHOD), reason=reason)
    skew = skew_term(treatment, control)
    z = -float(special.ndtri(alpha / 2))
    t = pair.difference / pair.standard_error
    if abs(t) <= tie_slack(t):
        p_value = 1.0
    else:
        p_value = min(1.0, 2.0 * float(special.ndtr(-math.copysign(1.0, t) * normal_of_t(t, skew))))
    # As in the permutation test, an effect is only claimed in the direction that was seen.
    low, high = min(t_of_normal(-z, skew), 0.0), max(t_of_normal(z, skew), 0.0)
    return _comparison(pair, say(_METHOD), p_value, low, high)


def is_large_enough(treatment: Moments, control: Moments) -> bool:
    """Say whether two summaries support `compare_means_moments`; otherwise read the values.

    Parameters
    ----------
    treatment, control : Moments
        Summaries of the two arms.

    Returns
    -------
    bool
        Whether the smaller arm has at least 500 units, and at least ``(g / 0.3) ^ 2`` where g is
        the skewness of both arms together.

    Examples
    --------
    >>> large = Moments(n=950_000, mean=2.0, m2=3.8e6, m3=1.9e8)
    >>> is_large_enough(large, Moments(n=50_000, mean=2.0, m2=2.0e5, m3=1.0e7))
    True
    >>> is_large_enough(large, Moments(n=5_000, mean=2.0, m2=2.0e4, m3=1.0e6))
    False
    """
    return not large_means_reason(treatment, control)


def large_means_reason(treatment: Moments, control: Moments) -> str:
    """Say why the summaries do not support the approximation; empty when they do.

    Examples
    --------
    >>> few = Moments(n=90, mean=2.0, m2=400.0, m3=0.0)
    >>> large_means_reason(few, few)
    'the smaller arm has 90 units and a test from summaries needs 500'
    """
    pooled = treatment.merge(control)
    if not all(math.isfinite(x) for x in (pooled.mean, pooled.m2, pooled.m3)):
        return say(_NO_MOMENTS)
    smaller = min(treatment.n, control.n)
    skewness = pooled.skewness if pooled.m2 > 0 else 0.0
    needed = math.ceil((skewness / SKEWNESS_LIMIT) ** 2)
    if smaller >= max(needed, MINIMUM_UNITS):
        return ""
    return say(
        _TOO_FEW_FOR_SKEW if needed > MINIMUM_UNITS else _TOO_FEW,
        n=formats.number(smaller),
        needed=formats.number(max(needed, MINIMUM_UNITS)),
    )


def skew_term(treatment: Moments, control: Moments) -> float:
    """Give the third cumulant of the standardised difference when chance alone splits the values.

    Examples
    --------
    >>> skew_term(Moments(n=75, mean=0.0, m2=75.0, m3=150.0),
    ...           Moments(n=25, mean=0.0, m2=25.0, m3=50.0)).__round__(4)
    -0.2309
    """
    n_t, n_c = treatment.n, control.n
    return treatment.merge(control).skewness * (n_c - n_t) / math.sqrt(n_t * n_c * (n_t + n_c))


def t_of_normal(z: float, skew: float) -> float:
    """Give the quantile of t for a normal quantile; it rises with a slope of two thirds or more.

    Examples
    --------
    >>> round(t_of_normal(1.96, 0.0), 2), round(t_of_normal(1.96, -0.2), 2)
    (1.96, 2.32)
    """
    second = skew**2 * z * (8.0 * z**2 + 31.0) / 72.0
    return z - skew * (2.0 * z**2 + 1.0) / 6.0 + second


def normal_of_t(t: float, skew: float) -> float:
    """Find the normal quantile of a t: the inverse of `t_of_normal`.

    Examples
    --------
    >>> round(normal_of_t(t_of_normal(1.5, -0.2), -0.2), 9)
    1.5
    """
    shifted = t + skew / 6.0
    if shifted == 0.0:
        return 0.0
    # The curve starts at -skew / 6 and is never flatter than two thirds.
    reach = math.copysign(abs(shifted) / _FLATTEST * 1.01, shifted)
    return float(optimize.brentq(lambda z: t_of_normal(z, skew) - t, 0.0, reach, xtol=1e-12))
