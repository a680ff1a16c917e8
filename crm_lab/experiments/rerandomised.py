"""Many control groups of one base at once: means and errors of every arm, draw by draw.

Only what differs counts: a customer whose values are the usual ones in every column (bought
nothing, say) is left out of the tables, and a column is held as its distance from that usual
value. The sums over all control groups are then one product of a sparse matrix (groups by
customers) with the table, and the other arm follows by subtraction from the totals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from crm_lab.stats.permutation import random_subsets

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
GRID_STEP = 0.03
"""Sizes of control groups this close (relative) share one null distribution."""
BLOCK_MEMBERS = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Columns of one base, without the customers who have the usual value in all of them.

    Attributes
    ----------
    names : tuple of str
        Names of the columns.
    population : int
        Customers, those left out included.
    places : ndarray
        Which customers are kept.
    usual, scale : ndarray, shape (columns,)
        A value is ``usual + scale * entry``.
    table : ndarray, shape (kept, 2 * columns)
        Entries, and their squares behind them.
    """

    names: tuple[str, ...]
    population: int
    places: IntArray
    usual: FloatArray
    scale: FloatArray
    table: FloatArray

    @classmethod
    def of(cls, values: Mapping[str, FloatArray]) -> Columns:
        """Take the columns apart into usual values and what differs from them."""
        arrays = list(values.values())
        usual = np.array([_usual(array) for array in arrays])
        differs = np.zeros(arrays[0].size, dtype=bool)
        for array, value in zip(arrays, usual, strict=True):
            differs |= array != value
        places = np.flatnonzero(differs)
        table = np.empty((places.size, 2 * len(arrays)))
        scale = np.ones(len(arrays))
        for number, (array, value) in enumerate(zip(arrays, usual, strict=True)):
            entries = array[places] - value
            scale[number] = max(float(np.abs(entries).max(initial=0.0)), np.finfo(float).tiny)
            table[:, number] = entries / scale[number]
        np.square(table[:, : len(arrays)], out=table[:, len(arrays) :])
        return cls(
            names=tuple(values),
            population=arrays[0].size,
            places=places,
            usual=usual,
            scale=scale,
            table=table,
        )

    def keep(self, names: Sequence[str]) -> Columns:
        """Give some of the columns, of the same customers."""
        chosen = [self.names.index(name) for name in names]
        both = chosen + [len(self.names) + number for number in chosen]
        return Columns(
            names=tuple(names),
            population=self.population,
            places=self.places,
            usual=self.usual[chosen],
            scale=self.scale[chosen],
            table=np.ascontiguousarray(self.table[:, both]),
        )

    def means(self) -> dict[str, float]:
        """Give the mean of every column over all customers."""
        sums = self.table[:, : len(self.names)].sum(axis=0)
        found = self.usual + self.scale * sums / self.population
        return dict(zip(self.names, found.tolist(), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """Control groups over the customers kept by `Columns`.

    Attributes
    ----------
    sizes : ndarray, shape (draws,)
        Controls per draw, those who are left out of the columns included.
    members : scipy.sparse.csr_array, shape (draws, kept)
        1 where a customer is a control.
    """

    sizes: IntArray
    members: csr_array

    @classmethod
    def of(cls, groups: Sequence[IntArray], columns: Columns) -> Groups:
        """Take control groups given as places in the base, one array per draw."""
        place = np.full(columns.population, -1, dtype=np.int64)
        place[columns.places] = np.arange(columns.places.size)
        sizes = np.array([group.size for group in groups], dtype=np.int64)
        flat = place[np.concatenate(groups)] if len(groups) else np.zeros(0, dtype=np.int64)
        kept = flat >= 0
        draw = np.repeat(np.arange(len(groups)), sizes)[kept]
        counts = np.bincount(draw, minlength=len(groups))
        return cls(
            sizes=sizes,
            members=_indicator(
                flat[kept], np.concatenate([[0], np.cumsum(counts)]), columns.places.size
            ),
        )

    @classmethod
    def random(cls, columns: Columns, *, size: int, draws: int, rng: np.random.Generator) -> Groups:
        """Draw control groups of one size by a random generator."""
        kept = columns.places.size
        members, ends = random_subsets(columns.population, size, draws, of_interest=kept, rng=rng)
        return cls(
            sizes=np.full(draws, size, dtype=np.int64), members=_indicator(members, ends, kept)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Arms:
    """Mean and squared standard error per draw (rows) and column, of one arm.

    Attributes
    ----------
    sizes : ndarray, shape (draws, 1)
        Customers in the arm.
    means, errors : ndarray, shape (draws, columns)
        Means, and squared standard errors of them.
    """

    sizes: IntArray
    means: FloatArray
    errors: FloatArray


def both_arms(columns: Columns, groups: Groups) -> tuple[Arms, Arms]:
    """Give the other customers and the controls of every draw, in this order."""
    sums = np.asarray(groups.members @ columns.table)
    return _both(columns, sums, groups.sizes)


def t_statistics(treated: Arms, control: Arms, *, ratio: float | FloatArray = 1.0) -> FloatArray:
    """Give Welch's t (of ``treated - ratio * control``) per draw and column.

    NaN where neither arm varies and the means are equal, infinite where they differ.
    """
    distance = treated.means - ratio * control.means
    errors = treated.errors + np.square(ratio) * control.errors
    t = np.where(distance == 0, math.nan, np.copysign(math.inf, distance))
    np.divide(distance, np.sqrt(errors), out=t, where=errors > 0)
    return t


def null_statistics(
    columns: Columns, *, size: int, permutations: int, rng: np.random.Generator
) -> FloatArray:
    """Draw what chance alone gives for every column at one size of the control group.

    Returns
    -------
    ndarray, shape (columns, permutations)
        Welch's t, sorted. The columns share their splits. It is the distribution of
        `crm_lab.stats.permutation.permutation_null`, for several columns at once.
    """
    smaller = min(size, columns.population - size)
    expected = max(1, smaller * columns.places.size // columns.population)
    rows = max(1, BLOCK_MEMBERS // expected)
    parts = []
    for start in range(0, permutations, rows):
        groups = Groups.random(
            columns, size=smaller, draws=min(rows, permutations - start), rng=rng
        )
        others, drawn = both_arms(columns, groups)
        t = t_statistics(others, drawn)
        parts.append(t if smaller == size else -t)
    return np.sort(np.nan_to_num(np.concatenate(parts), nan=0.0, posinf=np.inf, neginf=-np.inf).T)


def size_grid(sizes: IntArray, *, step: float = GRID_STEP) -> tuple[IntArray, IntArray]:
    """Choose few sizes that stand for all, and say for each size which of them is nearest.

    Parameters
    ----------
    sizes : ndarray
        Sizes of control groups, at least 1.
    step : float
        Distance of neighbours, relative; small sizes all stand for themselves.

    Examples
    --------
    >>> grid, nearest = size_grid(np.array([95, 100, 104]))
    >>> grid.tolist(), nearest.tolist()
    ([95, 99, 104], [0, 1, 2])
    """
    low, high = int(sizes.min()), int(sizes.max())
    count = 1 + math.ceil(math.log(high / low) / math.log1p(step))
    grid = np.unique(np.rint(np.geomspace(low, high, count)).astype(np.int64))
    middles = (grid[1:] + grid[:-1]) / 2
    nearest = np.searchsorted(middles, sizes, side="right")
    used, nearest = np.unique(nearest, return_inverse=True)
    return grid[used], np.asarray(nearest, dtype=np.int64)


def _usual(values: FloatArray) -> float:
    """Value of half of the customers or more; the mean where there is none."""
    middle = float(np.partition(values, (values.size - 1) // 2)[(values.size - 1) // 2])
    return middle if 2 * int((values == middle).sum()) >= values.size else float(values.mean())


def _indicator(members: IntArray, ends: IntArray, kept: int) -> csr_array:
    return csr_array((np.ones(members.size), members, ends), shape=(ends.size - 1, kept))


def _both(columns: Columns, sums: FloatArray, sizes: IntArray) -> tuple[Arms, Arms]:
    totals = columns.table.sum(axis=0)
    drawn = sizes[:, None]
    return (
        _arms(columns, totals - sums, columns.population - drawn),
        _arms(columns, sums, drawn),
    )


def _arms(columns: Columns, sums: FloatArray, sizes: IntArray) -> Arms:
    width = len(columns.names)
    first, second = sums[:, :width], sums[:, width:]
    squares = np.maximum(second - np.square(first) / sizes, 0.0)
    # what rounding leaves of a sum of equal squares is no variation
    squares[squares < 1e-13 * np.abs(second)] = 0.0
    return Arms(
        sizes=sizes,
        means=columns.usual + columns.scale * first / sizes,
        errors=np.square(columns.scale) * squares / (sizes * (sizes - 1.0)),
    )
