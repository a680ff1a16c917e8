"""Rules: whom to contact, as one number per unit between 0 (leave alone) and 1 (contact).

A number in between is a chance: of customers with equal scores at a cut only some can be
contacted, and over repeated fits a customer is chosen in some of them.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import ArrayLike

from crm_lab import formats
from crm_lab.errors import DesignError
from crm_lab.language import say
from crm_lab.stats.arguments import FloatArray, as_values


def everyone(n: int) -> FloatArray:
    """Give the rule that contacts all ``n`` units.

    Examples
    --------
    >>> everyone(3)
    array([1., 1., 1.])
    """
    return np.ones(n)


def no_one(n: int) -> FloatArray:
    """Give the rule that leaves all ``n`` units alone.

    Examples
    --------
    >>> no_one(2)
    array([0., 0.])
    """
    return np.zeros(n)


def top_share(score: ArrayLike, share: float) -> FloatArray:
    """Contact the given share of units with the highest scores.

    Parameters
    ----------
    score : array-like, shape (n,)
        Higher means contacted earlier; finite.
    share : float
        Part of the units to contact, 0 to 1.

    Returns
    -------
    ndarray, shape (n,)
        1 above the cut, 0 below it; units that tie at the cut share what is left, so that the
        order of rows changes nothing.

    Raises
    ------
    DesignError
        When a score is missing or the share is impossible.

    Examples
    --------
    >>> top_share([9.0, 1.0, 5.0, 5.0], 0.5)
    array([1. , 0. , 0.5, 0.5])
    """
    if not 0.0 <= share <= 1.0:
        raise DesignError(say("share is {share}", share=share), expected=say("a share from 0 to 1"))
    return top_count(score, share * np.size(score))


def top_count(score: ArrayLike, count: float) -> FloatArray:
    """Contact the given number of units with the highest scores; ties share what is left.

    Raises
    ------
    DesignError
        When a score is missing or the count is negative or above the number of units.

    Examples
    --------
    >>> top_count([3.0, 2.0, 2.0], 2)
    array([1. , 0.5, 0.5])
    """
    values = check_score(score)
    if not 0.0 <= count <= values.size:
        raise DesignError(
            say(
                "{count} contacts among {size} units",
                count=formats.number(count),
                size=formats.number(values.size),
            ),
            expected=say("0 up to the number of units"),
        )
    distinct, place = np.unique(-values, return_inverse=True)
    sizes = np.bincount(place, minlength=distinct.size)
    before = np.cumsum(sizes) - sizes
    chance = np.asarray(np.clip((count - before) / sizes, 0.0, 1.0), dtype=np.float64)
    return chance[place]


def above(score: ArrayLike, cut: float) -> FloatArray:
    """Contact the units whose score lies above ``cut``.

    Raises
    ------
    DesignError
        When a score is missing.

    Examples
    --------
    >>> above([0.2, -0.1, 0.0], 0.0)
    array([1., 0., 0.])
    """
    return np.asarray(check_score(score) > cut, dtype=np.float64)


def members_of(labels: ArrayLike, chosen: Collection[object]) -> FloatArray:
    """Contact the units of some segments, such as cells of an RFM table.

    Parameters
    ----------
    labels : array-like, shape (n,)
        Segment of each unit.
    chosen : collection
        Segments to contact; each must be there.

    Raises
    ------
    DesignError
        When a chosen segment has no unit.

    Examples
    --------
    >>> members_of(["new", "loyal", "new"], ["new"])
    array([1., 0., 1.])
    """
    segments = np.asarray(labels)
    present = set(segments.tolist())
    absent = [str(name) for name in chosen if name not in present]
    if absent:
        raise DesignError(
            say("no unit in segment {segment}", segment=formats.listing(sorted(absent))),
            expected=say(
                "one of {choices}", choices=formats.listing(sorted(map(str, present)), limit=12)
            ),
        )
    return np.isin(segments, np.array(list(chosen))).astype(np.float64)


def check_rule(rule: ArrayLike, n: int) -> FloatArray:
    """Give a rule as chances from 0 to 1, one per unit.

    Raises
    ------
    DesignError
        When the length is wrong or a value lies outside 0 to 1.

    Examples
    --------
    >>> check_rule([True, False], 2)
    array([1., 0.])
    """
    chances = as_values(rule, "rule")
    if chances.size != n:
        raise DesignError(say("{n} units but a rule for {size}", n=n, size=chances.size))
    if not np.all((chances >= 0.0) & (chances <= 1.0)):
        raise DesignError(
            say("a rule holds a value that is missing, below 0 or above 1"),
            expected=say("0 (leave alone) to 1 (contact) for each unit"),
        )
    return chances


def check_score(score: ArrayLike, n: int | None = None) -> FloatArray:
    """Give scores as finite numbers.

    Raises
    ------
    DesignError
        When a score is missing or infinite, or there are not ``n`` of them.

    Examples
    --------
    >>> check_score([1, 2], 2)
    array([1., 2.])
    """
    values = as_values(score, "score")
    if n is not None and values.size != n:
        raise DesignError(say("{n} units but {size} scores", n=n, size=values.size))
    if not np.all(np.isfinite(values)):
        raise DesignError(
            say(
                "{count} scores are missing or infinite",
                count=formats.number(int((~np.isfinite(values)).sum())),
            ),
            expected=say("a score for everyone"),
            remedy=say("score everyone, or leave out units on grounds known before assignment"),
        )
    return values
