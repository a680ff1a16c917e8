"""Resamples of a trial by score group: what sampling customers anew does to a curve.

Each customer counts a Poisson(1) number of times. Customers of one score group, arm and outcome are
alike, so their counts add up to one Poisson number: a million binary outcomes in 200 groups need
800 numbers a resample instead of a million. Outcomes that are rarely alike, such as amounts, are
drawn one by one, which for a shop where few buy is still little.

Only the scores are made coarser. How little that changes is measured in
``docs/simulations/uplift.md``.

References
----------
Chamandy, N., Muralidharan, O., Najmi, A., Naidu, S. (2012), "Estimating uncertainty for massive
data streams", Google technical report (the Poisson bootstrap).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crm_lab.stats.arguments import FloatArray
from crm_lab.uplift.cumulative import Sums, unit_weights
from crm_lab.uplift.trial import Trial

GROUPS = 200
"""Score groups; scores with fewer distinct values are taken as they are."""
ALIKE = 128
"""Up to this many distinct pairs of outcome and weight every customer is alike with many."""
CHUNK_CELLS = 1 << 21
"""Numbers drawn at a time: 16 MB."""

IntArray = NDArray[np.intp]
Picks = tuple[IntArray, IntArray | slice]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupedTrial:
    """A trial by score group and arm; ``2 * group`` is the control, ``2 * group + 1`` the treated.

    Attributes
    ----------
    groups : int
        Score groups, from the highest score down.
    cell, count, weight, value : ndarray, shape (k,)
        Customers that are alike: their group and arm, how many, their weight and outcome; in the
        order of ``cell``.
    single_cell, single_weight, single_value : ndarray, shape (m,)
        Customers that are drawn one by one.
    """

    groups: int
    cell: IntArray
    count: FloatArray
    weight: FloatArray
    value: FloatArray
    single_cell: IntArray
    single_weight: FloatArray
    single_value: FloatArray

    @property
    def size(self) -> int:
        """Numbers to be drawn for one resample, about."""
        return int(self.cell.size + self.single_cell.size)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """A stack of resamples: cumulative sums and the squared errors of the two means.

    Attributes
    ----------
    sums : Sums
        Shape (resamples, groups).
    squared_errors : tuple of ndarray, shape (resamples, groups)
        Squared standard errors of the mean so far of the treated units and of the control; empty
        where they were not asked for.
    """

    sums: Sums
    squared_errors: tuple[FloatArray, ...]


def score_groups(score: FloatArray, groups: int) -> tuple[IntArray, int]:
    """Give the group of each unit, from the highest score down; ties are never split.

    Examples
    --------
    >>> score_groups(np.array([5.0, 1.0, 5.0, 3.0]), 10)[0]
    array([0, 2, 0, 1])
    """
    distinct, place = np.unique(-score, return_inverse=True)
    if distinct.size <= groups:
        return place.astype(np.intp), int(distinct.size)
    sizes = np.bincount(place, minlength=distinct.size)
    middle = np.cumsum(sizes) - sizes / 2.0
    # Scores whose middle lies in the same slice of the customers form a group.
    slices = np.floor(middle * groups / score.size).astype(np.intp)
    used, merged = np.unique(slices, return_inverse=True)
    return merged.astype(np.intp)[place], int(used.size)


def grouped_trial(trial: Trial, score: FloatArray, *, groups: int = GROUPS) -> GroupedTrial:
    """Put the customers of a trial into score groups."""
    group, k = score_groups(score, groups)
    cell = 2 * group + trial.is_treated
    weight = unit_weights(trial)
    outcomes, which_outcome = np.unique(trial.outcome, return_inverse=True)
    weights, which_weight = np.unique(weight, return_inverse=True)
    if outcomes.size * weights.size <= ALIKE:
        alike = np.ones(trial.n, dtype=np.bool_)
    elif weights.size <= ALIKE:
        alike = np.asarray(trial.outcome == 0.0)
    else:
        alike = np.zeros(trial.n, dtype=np.bool_)
    kinds = outcomes.size * weights.size
    key = cell * kinds + which_outcome * weights.size + which_weight
    kept, count = np.unique(key[alike], return_counts=True)
    kind = kept % kinds
    single = np.argsort(cell[~alike], kind="stable")
    return GroupedTrial(
        groups=k,
        cell=(kept // kinds).astype(np.intp),
        count=count.astype(np.float64),
        weight=weights[kind % weights.size],
        value=outcomes[kind // weights.size],
        single_cell=cell[~alike][single],
        single_weight=weight[~alike][single],
        single_value=trial.outcome[~alike][single],
    )


def itself(grouped: GroupedTrial, *, with_errors: bool = False) -> Drawn:
    """Give the sums of the grouped trial as it is, in a stack of one."""
    counts = grouped.count[None, :]
    return _summed(grouped, counts, [(grouped.single_cell, slice(None))], with_errors)


def resamples(
    grouped: GroupedTrial,
    *,
    replicates: int,
    rng: np.random.Generator,
    with_errors: bool = False,
) -> Iterator[Drawn]:
    """Draw resamples, in stacks that fit into little memory.

    Parameters
    ----------
    grouped : GroupedTrial
        From `grouped_trial`.
    replicates : int
        How many resamples in all.
    rng : numpy.random.Generator
        Source of randomness.
    with_errors : bool
        Whether the squared error of the effect is wanted for each.
    """
    at_once = max(1, CHUNK_CELLS // max(grouped.cell.size, 1))
    done = 0
    while done < replicates:
        rows = min(at_once, replicates - done)
        counts = rng.poisson(grouped.count, size=(rows, grouped.cell.size)).astype(np.float64)
        singles: list[Picks] = []
        m = grouped.single_cell.size
        for _ in range(rows if m else 0):
            # A Poisson number of picks among m customers: each counts Poisson(1) times.
            picks = rng.integers(0, m, size=rng.poisson(m))
            singles.append((grouped.single_cell[picks], picks))
        yield _summed(grouped, counts, singles, with_errors)
        done += rows


def random_splits(
    grouped: GroupedTrial, *, share: float, replicates: int, rng: np.random.Generator
) -> Iterator[Drawn]:
    """Split the same customers at random into arms, as if the treatment changed nothing.

    Parameters
    ----------
    grouped : GroupedTrial
        From `grouped_trial`, of a trial with one chance for all.
    share : float
        Chance to be treated.
    replicates : int
        How many splits in all.
    rng : numpy.random.Generator
        Source of randomness.
    """
    pooled = np.stack([grouped.cell // 2, grouped.value], axis=1)
    alike, place = np.unique(pooled, axis=0, return_inverse=True)
    count = np.bincount(place.ravel(), weights=grouped.count).astype(np.int64)
    group = alike[:, 0].astype(np.intp)
    cell = np.concatenate([2 * group, 2 * group + 1])
    order = np.argsort(cell, kind="stable")
    both = replace(
        grouped,
        cell=cell[order],
        count=np.concatenate([count, count])[order].astype(np.float64),
        weight=np.ones(cell.size),
        value=np.concatenate([alike[:, 1], alike[:, 1]])[order],
    )
    at_once = max(1, CHUNK_CELLS // max(cell.size, 1))
    done = 0
    while done < replicates:
        rows = min(at_once, replicates - done)
        treated = rng.binomial(count, share, size=(rows, count.size))
        counts = np.concatenate([count - treated, treated], axis=1)[:, order].astype(np.float64)
        singles: list[Picks] = []
        for _ in range(rows if grouped.single_cell.size else 0):
            arm = rng.random(grouped.single_cell.size) < share
            singles.append((2 * (grouped.single_cell // 2) + arm, slice(None)))
        yield _summed(both, counts, singles, with_errors=True)
        done += rows


def _summed(
    grouped: GroupedTrial,
    counts: FloatArray,
    singles: list[Picks],
    with_errors: bool,
) -> Drawn:
    rows, cells = counts.shape[0], 2 * grouped.groups

    def total(alike: FloatArray, single: FloatArray) -> FloatArray:
        """Sum a quantity by cell: rows times cells."""
        summed = np.zeros((rows, cells))
        if grouped.cell.size:
            starts = np.flatnonzero(np.diff(grouped.cell, prepend=-1))
            parts = np.add.reduceat(counts * alike, starts, axis=1)
            summed[:, grouped.cell[starts]] = parts
        for row, (cell, picks) in enumerate(singles):
            summed[row] += np.bincount(cell, weights=single[picks], minlength=cells)
        return summed

    one_weight = bool(np.all(grouped.weight == 1.0) and np.all(grouped.single_weight == 1.0))
    w, y = grouped.weight, grouped.value
    sw, sy = grouped.single_weight, grouped.single_value
    n = total(np.ones_like(w), np.ones_like(sw))
    weight = n if one_weight else total(w, sw)
    outcome = total(w * y, sw * sy)
    sums = Sums(
        n=np.cumsum(n[:, 0::2] + n[:, 1::2], axis=1),
        n_treated=np.cumsum(n[:, 1::2], axis=1),
        weight_treated=np.cumsum(weight[:, 1::2], axis=1),
        weight_control=np.cumsum(weight[:, 0::2], axis=1),
        outcome_treated=np.cumsum(outcome[:, 1::2], axis=1),
        outcome_control=np.cumsum(outcome[:, 0::2], axis=1),
    )
    if not with_errors:
        return Drawn(sums=sums, squared_errors=())
    second = (
        (n, outcome, total(y * y, sy * sy))
        if one_weight
        else tuple(total(w * w * y**power, sw * sw * sy**power) for power in (0, 1, 2))
    )
    errors = []
    arms = (
        (1, sums.weight_treated, sums.outcome_treated),
        (0, sums.weight_control, sums.outcome_control),
    )
    for arm, weights, outcomes in arms:
        squares = [np.cumsum(part[:, arm::2], axis=1) for part in second]
        safe = np.where(weights > 0.0, weights, np.nan)
        mean = outcomes / safe
        spread = squares[2] - 2.0 * mean * squares[1] + mean**2 * squares[0]
        units = sums.n_treated if arm else sums.n - sums.n_treated
        enough = np.where(units > 1.0, units / np.maximum(units - 1.0, 1.0), np.nan)
        errors.append(np.asarray(np.maximum(spread, 0.0) / safe**2 * enough))
    return Drawn(sums=sums, squared_errors=tuple(errors))
