"""The balance of two shares of one sample: those in favour less those against.

A unit is in favour, against, or neither, so the two shares are not independent; the interval
inverts the score test of the difference of the two probabilities of one multinomial.

References
----------
Tango, T. (1998), "Equivalence test and confidence interval for the difference in proportions for
the paired-sample design", Statistics in Medicine 17, section 3 (the counts of discordant pairs are
here the units in favour and against).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import SupportsIndex

from scipy import optimize, special

from crm_lab.errors import DesignError
from crm_lab.language import say
from crm_lab.stats.arguments import check_count, check_share

_METHOD = "Tango score interval"
_ROOT_TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class NetShare:
    """The share in favour less the share against, with its interval.

    Attributes
    ----------
    estimate, low, high : float
        From -1 (all against) to 1 (all in favour); NaN without units.
    positive, negative, n : int
        Units in favour, against, and all units.
    alpha : float
        Two-sided error level.
    method : str
        The method, in words.
    reason : str
        Why the numbers are NaN; empty otherwise.
    """

    estimate: float
    low: float
    high: float
    positive: int
    negative: int
    n: int
    alpha: float
    method: str = _METHOD
    reason: str = ""


def net_share_interval(
    positive: SupportsIndex, negative: SupportsIndex, n: SupportsIndex, *, alpha: float
) -> NetShare:
    """Give the share in favour less the share against, as for a recommendation score.

    Parameters
    ----------
    positive, negative : int
        Units in favour and units against, together at most ``n``.
    n : int
        All units.
    alpha : float
        Two-sided error level, between 0 and 1.

    Raises
    ------
    DesignError
        When a count is negative or not whole, the two are more than ``n``, or alpha is not between
        0 and 1.

    References
    ----------
    Tango (1998), Statistics in Medicine 17.

    Examples
    --------
    >>> net = net_share_interval(50, 20, 100, alpha=0.05)
    >>> net.estimate, round(net.low, 3), round(net.high, 3)
    (0.3, 0.14, 0.443)
    """
    up, down = check_count(positive, "positive"), check_count(negative, "negative")
    size = check_count(n, "n")
    check_share(alpha, "alpha")
    if up + down > size:
        raise DesignError(
            say("{up} in favour and {down} against of n = {size}", up=up, down=down, size=size),
            expected=say("together at most n"),
        )
    if size == 0:
        gap = math.nan
        return NetShare(
            estimate=gap,
            low=gap,
            high=gap,
            positive=0,
            negative=0,
            n=0,
            alpha=alpha,
            reason=say("there are no units"),
        )
    z = -float(special.ndtri(alpha / 2))
    share = (up - down) / size
    return NetShare(
        estimate=share,
        low=_end(up, down, size, z, outer=-1.0, share=share),
        high=_end(up, down, size, -z, outer=1.0, share=share),
        positive=up,
        negative=down,
        n=size,
        alpha=alpha,
    )


def _end(up: int, down: int, size: int, level: float, *, outer: float, share: float) -> float:
    """Find where the score statistic takes ``level`` between the estimate and ``outer``."""
    if share == outer:
        return outer
    return float(
        optimize.brentq(
            lambda delta: _statistic(up, down, size, delta) - level,
            min(share, outer),
            max(share, outer),
            xtol=_ROOT_TOLERANCE,
        )
    )


def _statistic(up: int, down: int, size: int, delta: float) -> float:
    """Score statistic of "the balance is delta"; falls as delta rises."""
    distance = up - down - size * delta
    against = _against_given(up, down, size, delta)
    variance = size * (2 * against + delta * (1 - delta))
    if variance > 0:
        return distance / math.sqrt(variance)
    return math.copysign(math.inf, distance) if distance else 0.0


def _against_given(up: int, down: int, size: int, delta: float) -> float:
    """Most likely share against when the balance is ``delta`` (Tango 1998, equation 7)."""
    b = -up - down + (2 * size - up + down) * delta
    c = -down * delta * (1 - delta)
    return (math.sqrt(max(b * b - 8 * size * c, 0.0)) - b) / (4 * size)
