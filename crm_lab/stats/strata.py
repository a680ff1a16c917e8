"""Strata as numbers: who is in which, which are too thin, and splits drawn within them.

References
----------
See `crm_lab.stats.stratified`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from crm_lab import formats
from crm_lab.errors import DesignError
from crm_lab.language import say
from crm_lab.stats.adjustment import cuped
from crm_lab.stats.arguments import FloatArray
from crm_lab.stats.permutation import random_subsets
from crm_lab.stats.studentised import ArmEstimate

_JOIN = " + "
_CHUNK_MEMBERS = 2_000_000
_NOTHING = 1e-12
# What centring leaves of a covariate that is constant within the strata.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grouping:
    """Number of the stratum of each unit, after thin strata were merged.

    Attributes
    ----------
    treatment, control : ndarray of int
        Number of the stratum per unit, from 0.
    names : tuple of str
        Name of each stratum.
    merged : tuple of str
        Names of the strata that were read together.
    """

    treatment: NDArray[np.int64]
    control: NDArray[np.int64]
    names: tuple[str, ...]
    merged: tuple[str, ...]

    @property
    def size(self) -> int:
        """Number of strata."""
        return len(self.names)

    @property
    def both(self) -> NDArray[np.int64]:
        """Number of the stratum of every unit of both arms."""
        return np.concatenate([self.treatment, self.control])

    def levels(self, y_t: FloatArray, y_c: FloatArray) -> FloatArray:
        """Give the level of each stratum in the regression on arm and stratum.

        The equations are those of least squares with the arm taken out; they need only counts and
        sums, so that a million units with many strata stay small.
        """
        matrix, right = np.zeros((self.size, self.size)), np.zeros(self.size)
        for y, codes in ((y_t, self.treatment), (y_c, self.control)):
            counts = np.bincount(codes, minlength=self.size).astype(np.float64)
            matrix += np.diag(counts) - np.outer(counts, counts) / codes.size
            right += np.bincount(codes, weights=y - y.mean(), minlength=self.size)
        # The levels are known up to a constant; the shortest solution is one of them.
        return np.asarray(np.linalg.lstsq(matrix, right, rcond=None)[0], dtype=np.float64)

    def residuals(self, y_t: FloatArray, y_c: FloatArray) -> FloatArray:
        """Give what arm and stratum leave of a variable, treated units first."""
        levels = self.levels(y_t, y_c)
        left = [y_t - levels[self.treatment], y_c - levels[self.control]]
        return np.concatenate([part - part.mean() for part in left])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """Units, mean and variance of each stratum of one arm."""

    n: FloatArray
    mean: FloatArray
    variance: FloatArray

    @classmethod
    def of(cls, y: FloatArray, codes: NDArray[np.int64], size: int) -> Cells:
        """Summarise values by stratum, in two passes.

        Examples
        --------
        >>> cells = Cells.of(np.array([1.0, 3.0, 5.0]), np.array([0, 0, 1]), 2)
        >>> cells.mean.tolist(), cells.variance[0]
        ([2.0, 5.0], np.float64(2.0))
        """
        n = np.bincount(codes, minlength=size).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.bincount(codes, weights=y, minlength=size) / n
            squares = np.bincount(codes, weights=np.square(y - mean[codes]), minlength=size)
            return cls(n=n, mean=mean, variance=np.where(n > 1, squares / (n - 1), math.nan))

    def deviations(self, y: FloatArray, codes: NDArray[np.int64]) -> FloatArray:
        """Give each value less the mean of its stratum."""
        return np.asarray(y - self.mean[codes], dtype=np.float64)

    @property
    def squared_errors(self) -> FloatArray:
        """Squared standard error of the mean of each stratum; NaN where it is empty."""
        found = np.full(self.n.shape, math.nan)
        np.divide(self.variance, self.n, out=found, where=self.n > 0)
        return found

    def estimate(self, weights: FloatArray) -> ArmEstimate:
        """Weigh the strata together."""
        return ArmEstimate(
            value=float(weights @ self.mean),
            squared_error=float(weights**2 @ self.squared_errors),
            n=int(self.n.sum()),
        )


def group_strata(
    stratum_t: NDArray[np.generic], stratum_c: NDArray[np.generic], *, minimum_units: int
) -> Grouping:
    """Give each stratum a number and merge those that have too few units in an arm.

    The thin ones become one stratum; while that has too few units, the smallest other stratum
    joins it. Strata stand in the order of their names.

    Parameters
    ----------
    stratum_t, stratum_c : ndarray, shape (n,)
        Label of each unit.
    minimum_units : int
        Units that a stratum must have in each arm.

    Raises
    ------
    DesignError
        When a label is missing.

    Examples
    --------
    >>> found = group_strata(np.array(list("aaabbc")), np.array(list("aabb")), minimum_units=2)
    >>> found.names, found.merged
    (('a', 'b + c'), ('c', 'b'))
    """
    labels = pd.Index(np.concatenate([stratum_t.astype(object), stratum_c.astype(object)]))
    codes, known = pd.factorize(labels)
    missing = int((codes < 0).sum())
    if missing:
        raise DesignError(
            say("{missing} units have no stratum", missing=formats.number(missing)),
            expected=say("a stratum for everybody"),
        )
    names = [str(label) for label in known]
    split = stratum_t.size
    counts = np.array(
        [np.bincount(part, minlength=len(names)) for part in (codes[:split], codes[split:])]
    )
    stands = (counts >= minimum_units).all(axis=0)
    thin = sorted(np.flatnonzero(~stands).tolist(), key=lambda i: names[i])
    others = sorted(np.flatnonzero(stands).tolist(), key=lambda i: (counts[:, i].sum(), names[i]))
    while thin and others and (counts[:, thin].sum(axis=1) < minimum_units).any():
        thin.append(others.pop(0))
    order = sorted(others, key=lambda i: names[i])
    final = [names[i] for i in order]
    number = np.zeros(len(names), dtype=np.int64)
    number[order] = np.arange(len(order))
    if thin:
        number[thin] = len(order)
        final.append(_JOIN.join(sorted(names[i] for i in thin)))
    joined = number[codes]
    return Grouping(
        treatment=joined[:split],
        control=joined[split:],
        names=tuple(final),
        merged=tuple(names[i] for i in thin),
    )


def as_covariates(
    x_t: ArrayLike | None, n_t: int, x_c: ArrayLike | None, n_c: int
) -> tuple[FloatArray, FloatArray] | None:
    """Bring the covariates of both arms to shape (n, k); None when there are none.

    Raises
    ------
    DesignError
        When one arm only has covariates, or shapes differ.

    Examples
    --------
    >>> as_covariates([1, 2], 2, [3], 1)[0].shape
    (2, 1)
    """
    if x_t is None and x_c is None:
        return None
    if x_t is None or x_c is None:
        raise DesignError(say("one arm has covariates and the other has none"))
    found = []
    for x, n, name in ((x_t, n_t, "x_t"), (x_c, n_c, "x_c")):
        try:
            array = np.asarray(x, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DesignError(
                say("{name} holds something that is not a number: {error}", name=name, error=error)
            ) from error
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2 or array.shape[0] != n:
            raise DesignError(
                say("{name} has shape {x}", name=name, x=np.shape(x)),
                expected=say("({n},) or ({n}, k)", n=n),
            )
        found.append(array)
    if found[0].shape[1] != found[1].shape[1]:
        raise DesignError(
            say(
                "{treatment} covariates in the treatment but {control} in the control",
                treatment=found[0].shape[1],
                control=found[1].shape[1],
            )
        )
    return found[0], found[1]


def lowered_by_covariates(
    treatment: FloatArray,
    control: FloatArray,
    covariates: tuple[FloatArray, FloatArray],
    grouping: Grouping,
) -> tuple[FloatArray, FloatArray, tuple[float, ...]]:
    """Lower the outcome by what the covariates explain within stratum and arm.

    Returns
    -------
    tuple
        Lowered values of both arms, and one coefficient per covariate.
    """
    left_y = np.concatenate(
        [
            Cells.of(y, codes, grouping.size).deviations(y, codes)
            for y, codes in ((treatment, grouping.treatment), (control, grouping.control))
        ]
    )
    left_x = [
        np.concatenate(
            [
                Cells.of(x[:, i], codes, grouping.size).deviations(x[:, i], codes)
                for x, codes in zip(covariates, (grouping.treatment, grouping.control), strict=True)
            ]
        )
        for i in range(covariates[0].shape[1])
    ]
    theta = least_squares(left_y, left_x, covariates)
    mean_x = np.concatenate(covariates).mean(axis=0)
    lowered_t = treatment - (covariates[0] - mean_x) @ theta
    lowered_c = control - (covariates[1] - mean_x) @ theta
    return lowered_t, lowered_c, tuple(float(value) for value in theta)


def least_squares(
    left_y: FloatArray, left_x: list[FloatArray], covariates: tuple[FloatArray, FloatArray]
) -> FloatArray:
    """Regress what is left of the outcome on what is left of the covariates.

    Parameters
    ----------
    left_y : ndarray, shape (n,)
        The outcome, treated units first, less what arm and stratum explain.
    left_x : list of ndarray, shape (n,)
        The same of each covariate.
    covariates : tuple of ndarray, shape (n, k)
        The covariates as they were; one that varies by rounding only counts as constant.
    """
    if not left_x:
        return np.zeros(0)
    x = np.column_stack(left_x)
    scale = np.abs(np.concatenate(covariates)).max(axis=0)
    x = np.where(np.abs(x).max(axis=0) <= _ROUNDING * scale, 0.0, x)
    half = covariates[0].shape[0]
    found = cuped(left_y[:half], x[:half], left_y[half:], x[half:], convention="within")
    return np.asarray(np.nan_to_num(np.array(found.theta)), dtype=np.float64)


def within_strata_t(
    y_t: FloatArray,
    y_c: FloatArray,
    grouping: Grouping,
    *,
    permutations: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Draw the post-stratified t that chance alone gives when labels change within strata.

    Parameters
    ----------
    y_t, y_c : ndarray, shape (n,)
        Finite values; every stratum has two units or more in each arm.
    grouping : Grouping
        The strata.
    permutations : int
        How many splits to draw.
    rng : numpy.random.Generator
        Source of randomness; the same state gives the same result for any order of rows.

    Returns
    -------
    ndarray, shape (permutations,)
        t statistics, treatment minus control.

    Examples
    --------
    >>> grouping = group_strata(np.array(list("aabb")), np.array(list("aabb")), minimum_units=2)
    >>> t = within_strata_t(np.array([1.0, 2, 8, 9]), np.array([3.0, 4, 6, 7]), grouping,
    ...                     permutations=500, rng=np.random.default_rng(1))
    >>> t.shape, bool(abs(t.mean()) < 0.3)
    ((500,), True)
    """
    difference, squared = np.zeros(permutations), np.zeros(permutations)
    total = y_t.size + y_c.size
    by_stratum = [
        (_of(y_t, grouping.treatment, i), _of(y_c, grouping.control, i))
        for i in range(grouping.size)
    ]
    for inside_t, inside_c in by_stratum:
        pooled = np.sort(np.concatenate([inside_t, inside_c]))
        smaller = min(inside_t.size, inside_c.size)
        gap, error = _one_stratum(pooled, smaller, permutations, rng)
        weight = pooled.size / total
        difference += weight * (gap if inside_t.size == smaller else -gap)
        squared += weight**2 * error
    t = np.where(difference == 0, 0.0, np.copysign(math.inf, difference))
    np.divide(difference, np.sqrt(squared), out=t, where=squared > 0)
    return t


def _of(values: FloatArray, codes: NDArray[np.int64], number: int) -> FloatArray:
    return np.asarray(values[codes == number], dtype=np.float64)


def _one_stratum(
    ordered: FloatArray, size: int, draws: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Difference of means, drawn units less the rest, and its squared error, per split."""
    middle = ordered[(ordered.size - 1) // 2]
    differs = ordered != middle
    # Relative to a value that half of the units share, only the others need to be drawn.
    if 2 * int(differs.sum()) <= ordered.size:
        active = ordered[differs] - middle
    else:
        active = ordered - ordered.mean()
    sums, squares = np.zeros(draws), np.zeros(draws)
    step = max(1, _CHUNK_MEMBERS // max(1, active.size * size // ordered.size))
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        members, ends = random_subsets(ordered.size, size, rows, of_interest=active.size, rng=rng)
        row = np.repeat(np.arange(rows), np.diff(ends))
        drawn = active[members]
        part = slice(start, start + rows)
        sums[part] = np.bincount(row, weights=drawn, minlength=rows)
        squares[part] = np.bincount(row, weights=drawn**2, minlength=rows)
    others = ordered.size - size
    rest, rest_squares = active.sum() - sums, np.square(active).sum() - squares
    error = _squared_error(sums, squares, size) + _squared_error(rest, rest_squares, others)
    return sums / size - rest / others, error


def _squared_error(sums: FloatArray, squares: FloatArray, n: int) -> FloatArray:
    spread = np.maximum(squares - sums**2 / n, 0.0)
    spread[spread <= _NOTHING * squares] = 0.0
    return np.asarray(spread / (n * (n - 1)), dtype=np.float64)
