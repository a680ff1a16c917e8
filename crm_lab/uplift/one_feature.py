"""Rules of one feature: what anybody could write down, and what models must beat."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from crm_lab import formats
from crm_lab.errors import DesignError
from crm_lab.language import say
from crm_lab.stats.arguments import FloatArray
from crm_lab.uplift import wording
from crm_lab.uplift.features import as_levels, as_numbers, is_number
from crm_lab.uplift.lessons import Lesson
from crm_lab.uplift.pieces import FittedEffect, Term
from crm_lab.uplift.trial import BoolArray

FEW_VALUES = 8
"""A number with at most so many different values has one group per value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneFeatureRule:
    """A rule that anybody can write down: the mean effect in each group of one feature.

    A category has a group per level; a number that takes few values one per value, else thirds.

    Attributes
    ----------
    feature : str
        Name of the feature.
    """

    feature: str
    is_effect: bool = field(default=True, init=False)

    @property
    def name(self) -> str:
        """How results name it."""
        return f"rule: {self.feature}"

    def fit(self, lesson: Lesson, *, rng: np.random.Generator) -> FittedEffect:
        """Learn the mean effect of each group; see `Learner.fit`.

        Raises
        ------
        DesignError
            There is no such feature.
        """
        if self.feature not in lesson.frame:
            raise DesignError(
                say("there is no feature '{name}'", name=self.feature),
                expected=say(
                    "one of {choices}",
                    choices=formats.listing(map(str, lesson.frame.columns), limit=12),
                ),
            )
        groups = feature_groups(lesson.frame[self.feature])
        encoder = GroupEncoder(feature=self.feature, groups=groups)
        label = encoder.labels(lesson.frame)
        overall = _weighted_difference(lesson, np.ones(len(label), dtype=bool))
        effects = [_weighted_difference(lesson, label == number) for number in range(len(groups))]
        found = tuple(value if np.isfinite(value) else overall for value in effects)
        return FittedEffect(
            learner=self.name,
            encoder=encoder,
            terms=(Term(weight=1.0, pieces=(LookupPiece(values=(*found, overall)),)),),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureGroup:
    """One group of a one-feature rule.

    Attributes
    ----------
    label : str
        In words.
    level : str, optional
        The level of a category.
    low, high : float
        A number from above ``low`` up to and including ``high``.
    """

    label: str
    level: str | None = None
    low: float = -np.inf
    high: float = np.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupEncoder:
    """Sees one feature as the number of its group; whatever fits none is the last number.

    Attributes
    ----------
    feature : str
        Name of the feature.
    groups : tuple of FeatureGroup
        The groups.
    """

    feature: str
    groups: tuple[FeatureGroup, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features that are needed."""
        return (self.feature,)

    def labels(self, frame: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Give the number of the group of every customer."""
        if self.feature not in frame:
            raise DesignError(say("features that are not there: {names}", names=self.feature))
        column = frame[self.feature]
        found = np.full(len(frame), len(self.groups), dtype=np.int64)
        if any(group.level is not None for group in self.groups):
            levels = as_levels(column).to_numpy()
            for number, group in enumerate(self.groups):
                found[levels == group.level] = number
            return found
        values = as_numbers(column)
        for number, group in enumerate(self.groups):
            found[(values > group.low) & (values <= group.high)] = number
        return found

    def encode(self, frame: pd.DataFrame) -> FloatArray:
        """Give the number of the group as the only column."""
        return self.labels(frame).astype(np.float64)[:, None]

    def unseen(self, frame: pd.DataFrame) -> dict[str, int]:
        """Count the customers that fit no group."""
        count = int((self.labels(frame) == len(self.groups)).sum())
        return {self.feature: count} if count else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupPiece:
    """One number per group.

    Attributes
    ----------
    values : tuple of float
        Of each group, the last for whoever is in none.
    """

    values: tuple[float, ...]

    def predict(self, encoded: FloatArray) -> FloatArray:
        """Give the number of the group of every row."""
        return np.asarray(self.values, dtype=np.float64)[encoded[:, 0].astype(np.int64)]


def feature_groups(column: pd.Series[Any]) -> tuple[FeatureGroup, ...]:
    """Cut one feature into groups: its levels, its few values, or thirds.

    Examples
    --------
    >>> [group.label for group in feature_groups(pd.Series([True, False, True]))]
    ['0', '1']
    """
    if not is_number(column):
        levels = sorted(as_levels(column).unique())
        return tuple(FeatureGroup(label=str(level), level=str(level)) for level in levels)
    values = as_numbers(column)
    there = np.sort(values[np.isfinite(values)])
    if not len(there):
        return (FeatureGroup(label="any"),)
    distinct = np.unique(there)
    if len(distinct) <= FEW_VALUES:
        edges, labels = distinct, [f"{value:g}" for value in distinct]
    else:
        # the values themselves are the edges, so that no customer lies on both sides
        places = [len(there) // 3, 2 * len(there) // 3, len(there) - 1]
        edges = np.unique(there[places])
        labels = _range_labels(edges)
    lows = [-np.inf, *edges[:-1]]
    highs = [*edges[:-1], np.inf]
    return tuple(
        FeatureGroup(label=label, low=float(low), high=float(high))
        for label, low, high in zip(labels, lows, highs, strict=True)
    )


def _range_labels(edges: FloatArray) -> list[str]:
    """Write ranges that end at ``edges``, the last one open."""
    if len(edges) == 1:
        return [wording.up_to(float(edges[0]))]
    inner = [wording.between(float(a), float(b)) for a, b in pairwise(edges[:-1])]
    return [wording.up_to(float(edges[0])), *inner, wording.above(float(edges[-2]))]


def _weighted_difference(lesson: Lesson, here: BoolArray) -> float:
    """Give the difference of means, each customer weighing 1 over the chance of his arm."""
    treated = lesson.is_treated & here
    control = ~lesson.is_treated & here
    if not treated.any() or not control.any():
        return float("nan")
    y, chance = lesson.outcome, lesson.probability
    up = np.average(y[treated], weights=1.0 / chance[treated])
    down = np.average(y[control], weights=1.0 / (1.0 - chance[control]))
    return float(up - down)
