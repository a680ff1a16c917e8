"""Which of many groups has the largest share, and whether the data allow saying so.

Pairs are compared by Fisher's exact test: where a group of thirty stands beside one of thousands
and events are rare, a score test calls one chance event a difference.

References
----------
Fisher, R. A. (1935), "The logic of inductive inference", Journal of the Royal Statistical Society
98 (the test; the smaller tail is doubled). Holm, S. (1979), "A simple sequentially rejective
multiple test procedure", Scandinavian Journal of Statistics 6. Wilson, E. B. (1927), JASA 22
(intervals of the single shares).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import SupportsIndex

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

from crm_lab.errors import DesignError
from crm_lab.language import say
from crm_lab.stats.arguments import FloatArray, check_share
from crm_lab.stats.multiplicity import adjust_p_values
from crm_lab.stats.proportions import ProportionEstimate, proportion_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedShares:
    """Shares of several groups, and which of them is certainly the largest.

    Attributes
    ----------
    shares : tuple of ProportionEstimate
        One per group, in the order given, each with its own interval.
    top : int
        Place of the group with the largest share; -1 without groups.
    p_against_top : tuple of float
        Per group the p-value of "as large as the top one", adjusted by Holm over all pairs; NaN
        for the top itself and for a group without units.
    comparisons : int
        Pairs that were tested.
    is_certain : bool
        Whether the top one differs from every other one at ``alpha`` after adjustment.
    alpha : float
        Two-sided error level of each interval, and of all tests together.
    """

    shares: tuple[ProportionEstimate, ...]
    top: int
    p_against_top: tuple[float, ...]
    comparisons: int
    is_certain: bool
    alpha: float


def rank_shares(
    events: Sequence[SupportsIndex], n: Sequence[SupportsIndex], *, alpha: float
) -> RankedShares:
    """Compare the shares of several groups pair by pair, and say whether one is the largest.

    The largest of many shares is large by chance too. So the top group is certain only when its
    exact test against every other group rejects after Holm's adjustment over all pairs of groups;
    then the wrong group is named with probability of at most ``alpha``.

    Parameters
    ----------
    events, n : sequence of int
        Units with the event and all units of each group.
    alpha : float
        Two-sided error level, between 0 and 1.

    Raises
    ------
    DesignError
        When the lengths differ, a count is wrong, or alpha is not between 0 and 1.

    Notes
    -----
    The groups must not share units. With a single group nothing is certain. The exact test keeps
    its error at every size, and is cautious where events are few.

    Examples
    --------
    >>> clear = rank_shares([90, 30, 28], [300, 300, 300], alpha=0.05)
    >>> clear.top, clear.is_certain, clear.comparisons
    (0, True, 3)
    >>> rank_shares([2, 20], [3, 60], alpha=0.05).is_certain
    False
    """
    if len(events) != len(n):
        raise DesignError(
            say("{events} counts of events for {n} groups", events=len(events), n=len(n))
        )
    check_share(alpha, "alpha")
    shares = tuple(proportion_interval(x, m, alpha=alpha) for x, m in zip(events, n, strict=True))
    known = [place for place, share in enumerate(shares) if share.n]
    if not known:
        return RankedShares(
            shares=shares,
            top=-1,
            p_against_top=(math.nan,) * len(shares),
            comparisons=0,
            is_certain=False,
            alpha=alpha,
        )
    top = max(known, key=lambda place: (shares[place].estimate, shares[place].n))
    pairs = list(combinations(known, 2))
    raw = _pair_p_values(
        np.array([(shares[a].events, shares[a].n, shares[b].events, shares[b].n) for a, b in pairs])
    )
    adjusted = adjust_p_values(raw, method="holm")
    against = [math.nan] * len(shares)
    for (first, second), p in zip(pairs, adjusted, strict=True):
        if top in (first, second):
            against[second if first == top else first] = float(p)
    others = [against[place] for place in known if place != top]
    return RankedShares(
        shares=shares,
        top=top,
        p_against_top=tuple(against),
        comparisons=len(pairs),
        is_certain=bool(others) and all(p <= alpha for p in others),
        alpha=alpha,
    )


def _pair_p_values(tables: NDArray[np.int64]) -> FloatArray:
    """Give the p-value of Fisher's exact test per row of events, n, events, n."""
    x, m, y, n = tables.reshape(-1, 4).T
    same = hypergeom(m + n, x + y, m)
    tails = np.minimum(same.cdf(x), same.sf(x - 1))
    p_values: FloatArray = np.minimum(1.0, 2 * tails)
    return p_values
