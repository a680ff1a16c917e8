"""The p-value that belongs to an interval: the least error level at which it excludes no effect."""

from __future__ import annotations

import math
from collections.abc import Callable

_SMALLEST, _LARGEST = 1e-15, 1.0 - 1e-12
_HALVINGS = 60


def least_alpha(interval: Callable[[float], tuple[float, float]], alpha: float) -> float:
    """Find the p-value of "no effect" from intervals that shrink as their error level grows.

    Use it where a method gives intervals and no test, so that the two can never disagree.

    Parameters
    ----------
    interval : callable
        From an error level to the two ends.
    alpha : float
        The level that is shown; the p-value is at most ``alpha`` exactly when the interval at
        ``alpha`` excludes 0.

    Returns
    -------
    float
        Between 1e-15 and 1.

    Examples
    --------
    >>> def interval(level):
    ...     return 1.0 - 4.0 * (1.0 - level), 9.0
    >>> round(least_alpha(interval, 0.05), 6)
    0.75
    """

    def excludes(level: float) -> bool:
        low, high = interval(level)
        return low > 0 or high < 0

    if excludes(_SMALLEST):
        return _SMALLEST
    if not excludes(_LARGEST):
        return 1.0
    low, high = math.log(_SMALLEST), math.log(_LARGEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if excludes(math.exp(middle)) else (middle, high)
    found = math.exp(high)
    # The interval at alpha decides; a p-value that ties with it stands on the same side.
    return min(found, alpha) if excludes(alpha) else max(found, math.nextafter(alpha, 1.0))
