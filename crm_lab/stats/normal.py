"""The normal distribution behind an interval: its quantile, and what an interval stands for."""

from __future__ import annotations

import math

from scipy import special

from crm_lab.stats.arguments import check_share


def two_sided_quantile(alpha: float) -> float:
    """Give the normal quantile that an interval with error level ``alpha`` reaches to both sides.

    Raises
    ------
    DesignError
        When ``alpha`` is not between 0 and 1.

    Examples
    --------
    >>> round(two_sided_quantile(0.05), 3)
    1.96
    """
    check_share(alpha, "alpha")
    return -float(special.ndtri(alpha / 2.0))


def implied_standard_error(low: float, high: float, *, alpha: float) -> float:
    """Give the standard error whose normal interval is as wide; NaN for an open or empty one.

    Examples
    --------
    >>> round(implied_standard_error(-1.96, 1.96, alpha=0.05), 3)
    1.0
    """
    width = high - low
    if not math.isfinite(width) or width <= 0:
        return math.nan
    return width / (2.0 * two_sided_quantile(alpha))


def implied_p_value(
    estimate: float, low: float, high: float, *, against: float, alpha: float
) -> float:
    """Give the two-sided p-value of "the truth is ``against``" that an interval stands for.

    The half of the interval towards ``against`` is read as that of a normal. NaN where it has no
    width.

    Examples
    --------
    >>> round(implied_p_value(1.96, 0.0, 3.0, against=0.0, alpha=0.05), 3)
    0.05
    """
    away = estimate - against
    half = estimate - low if away > 0 else high - estimate
    if not half > 0:
        return math.nan
    return 2.0 * float(special.ndtr(-abs(away) * two_sided_quantile(alpha) / half))
