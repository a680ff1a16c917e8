"""How far two groups were apart before anything was done to either."""

from __future__ import annotations

import math


def balance_errors(difference: float, n_first: int, n_second: int) -> float:
    """Give a standardised difference in standard errors of two groups of these sizes.

    Where both groups come from one population the standardised difference of their means has a
    variance of about ``1/n_first + 1/n_second``.

    Parameters
    ----------
    difference : float
        Difference of the means in standard deviations; its sign does not matter.
    n_first, n_second : int
        Units of each group.

    Returns
    -------
    float
        0 or more; NaN where a group is empty.

    Examples
    --------
    >>> round(balance_errors(0.161, 392, 1540), 2)
    2.85
    """
    if n_first < 1 or n_second < 1:
        return math.nan
    return abs(difference) / math.sqrt(1 / n_first + 1 / n_second)
