"""Drift: whether the customers to be scored still are like those a model was learned from.

The population stability index compares shares of customers in fixed groups, then and now. It is
never exactly 0, so it is read beside what chance alone gives for so many customers.

References
----------
Yurdakul, B. (2018), "Statistical properties of population stability index", equation 2.11: without
drift, the index divided by ``1/n + 1/m`` is chi-squared with one degree of freedom less than
groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.language import label, say, word
from crm_lab.stats.arguments import FloatArray, as_values
from crm_lab.uplift import wording
from crm_lab.uplift.features import as_levels, as_numbers, is_number

Change = Literal["none shown", "small", "moderate", "large"]

TENTHS = 10
MODERATE, LARGE = 0.1, 0.25
"""Where an index is called moderate and large, by convention."""
CHANCE = 0.999
"""An index below this quantile of chance shows nothing: many features are looked at."""
LEAST_SHARE = 1e-4
"""An empty group counts as this share, so that the index stays finite."""
SCORE = "score"


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """How one number or category was spread over groups.

    Attributes
    ----------
    name : str
        Name of the feature, or "score".
    edges : tuple of float
        Inner edges of the groups of a number; empty for a category.
    levels : tuple of str
        Levels of a category; empty for a number.
    shares : tuple of float
        Share of the customers in each group; the last group holds what is missing (numbers) or
        any other level (categories).
    """

    name: str
    edges: tuple[float, ...]
    levels: tuple[str, ...]
    shares: tuple[float, ...]

    @classmethod
    def of(cls, column: pd.Series[Any], *, name: str) -> Distribution:
        """Cut a number into tenths, a category into its levels.

        Examples
        --------
        >>> Distribution.of(pd.Series([1, 1, 2, 3]), name="orders").shares
        (0.5, 0.25, 0.25, 0.0)
        """
        if not is_number(column):
            levels = tuple(sorted(map(str, as_levels(column).unique())))
            empty = cls(name=name, edges=(), levels=levels, shares=())
        else:
            values = as_numbers(column)
            there = np.sort(values[np.isfinite(values)])
            places = [len(there) * tenth // TENTHS for tenth in range(1, TENTHS)]
            cuts = np.unique(there[places]) if len(there) else there
            edges = tuple(float(cut) for cut in cuts if cut > there[0])
            empty = cls(name=name, edges=edges, levels=(), shares=())
        return cls(
            name=name,
            edges=empty.edges,
            levels=empty.levels,
            shares=tuple(empty.now(column).tolist()),
        )

    def now(self, column: pd.Series[Any]) -> FloatArray:
        """Give the share of each group in other data."""
        if self.levels:
            places = {level: place for place, level in enumerate(self.levels)}
            found = as_levels(column).map(places).fillna(len(self.levels)).to_numpy(dtype=np.int64)
            groups = len(self.levels) + 1
        else:
            values = as_numbers(column)
            groups = len(self.edges) + 2
            found = np.searchsorted(np.asarray(self.edges), values, side="right")
            found[np.isnan(values)] = groups - 1
        counts = np.bincount(found, minlength=groups)
        return np.asarray(counts / max(len(column), 1), dtype=np.float64)

    def labels(self) -> tuple[str, ...]:
        """Name the groups."""
        if self.levels:
            return (*self.levels, wording.OTHER_LEVEL)
        if not self.edges:
            return (wording.ANY_VALUE, wording.MISSING)
        inner = zip(self.edges, self.edges[1:], strict=False)
        return (
            wording.below(self.edges[0]),
            *(wording.between(low, high) for low, high in inner),
            wording.from_on(self.edges[-1]),
            wording.MISSING,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """How score and features were spread where a model was learned.

    Attributes
    ----------
    n : int
        Customers.
    parts : tuple of Distribution
        The score first, then the features.
    """

    n: int
    parts: tuple[Distribution, ...]

    @classmethod
    def of(cls, frame: pd.DataFrame, scores: ArrayLike) -> Reference:
        """Keep how the score and every feature are spread."""
        values = as_values(scores, "scores")
        if len(frame) != len(values) or not len(values):
            raise DesignError(
                say(
                    "{customers} customers and {scores} scores",
                    customers=len(frame),
                    scores=len(values),
                )
            )
        parts = [Distribution.of(pd.Series(values), name=SCORE)]
        parts += [Distribution.of(frame[name], name=str(name)) for name in frame.columns]
        return cls(n=len(values), parts=tuple(parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftRow:
    """The drift of the score or of one feature.

    Attributes
    ----------
    name : str
        Of what.
    index : float
        Population stability index, 0 or more.
    chance : float
        What chance alone stays below in 999 of 1,000 comparisons.
    change : {"none shown", "small", "moderate", "large"}
        In a word.
    most : str
        The group whose share changed most.
    before, now : float
        Its share then and now.
    """

    name: str
    index: float
    chance: float
    change: Change
    most: str
    before: float
    now: float


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Drift(Result):
    """How far customers to be scored are from those a model was learned from.

    Attributes
    ----------
    rows : tuple of DriftRow
        The score first, then the features, the largest change first.
    n_before, n_now : int
        Customers then and now.
    """

    title: ClassVar[str] = wording.DRIFT_TITLE
    plotter: ClassVar[str] = "crm_lab.plots.uplift:plot_drift"

    rows: tuple[DriftRow, ...]
    n_before: int
    n_now: int

    @property
    def is_large(self) -> bool:
        """Whether the score or a feature changed so much that the model should be learned anew."""
        return any(row.change == "large" for row in self.rows)

    @property
    def is_known(self) -> bool:
        """Whether there is anybody to compare."""
        return self.n_now > 0

    @property
    def changed(self) -> tuple[DriftRow, ...]:
        """What changed at least moderately."""
        return tuple(row for row in self.rows if row.change in ("moderate", "large"))

    def sentence(self) -> str:
        """Say whether the model still fits the customers."""
        if not self.n_now:
            return say(wording.DRIFT_NOBODY)
        if not self.changed:
            return say(wording.DRIFT_NONE, n=formats.number(self.n_now))
        text = wording.DRIFT_LARGE if self.is_large else wording.DRIFT_MODERATE
        return say(text, named=self.changes())

    def changes(self) -> str:
        """Name what changed, and the group whose share changed most; nothing where none did."""
        named = [
            say(
                wording.DRIFT_CHANGE,
                name=label(row.name),
                change=word(row.change),
                most=wording.group_text(row.most),
                before=formats.percent(row.before),
                now=formats.percent(row.now),
            )
            for row in self.changed
        ]
        return formats.listing(named, limit=3)

    def to_frame(self) -> pd.DataFrame:
        """Give one row for the score and for every feature."""
        return pd.DataFrame(
            {
                "what": row.name,
                "stability_index": row.index,
                "chance_below": row.chance,
                "change": row.change,
                "group_changed_most": row.most,
                "share_before": row.before,
                "share_now": row.now,
            }
            for row in self.rows
        )

    def card_frame(self) -> pd.DataFrame:
        """Give what changed, how much, and the group that changed most."""
        return pd.DataFrame(
            {
                "what": label(row.name),
                "change": row.change,
                "stability index": formats.separated(f"{row.index:.3f}"),
                "changed most": say(
                    wording.DRIFT_GROUP,
                    most=wording.group_text(row.most),
                    before=formats.percent(row.before),
                    now=formats.percent(row.now),
                ),
            }
            for row in self.rows
        )


def drift(reference: Reference, frame: pd.DataFrame, scores: ArrayLike) -> Drift:
    """Compare customers to be scored with those a model was learned from.

    Parameters
    ----------
    reference : Reference
        What was kept then.
    frame : pandas.DataFrame
        Features now.
    scores : array-like, shape (n,)
        Scores now.

    Raises
    ------
    DesignError
        A feature is not there, or there is not one score per customer.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> then, now = rng.normal(0.0, 1.0, 5_000), rng.normal(1.0, 1.0, 5_000)
    >>> kept = Reference.of(pd.DataFrame({"spend": then}), then)
    >>> drift(kept, pd.DataFrame({"spend": now}), now).is_large
    True
    """
    values = as_values(scores, "scores")
    if len(values) != len(frame):
        raise DesignError(
            say(
                "{customers} customers and {scores} scores",
                customers=len(frame),
                scores=len(values),
            )
        )
    columns: Mapping[str, pd.Series[Any]] = {
        part.name: pd.Series(values) if part.name == SCORE else _column(frame, part.name)
        for part in reference.parts
    }
    if not len(values):
        return Drift(rows=(), n_before=reference.n, n_now=0)
    rows = [_row(part, columns[part.name], reference.n) for part in reference.parts]
    rest = sorted(rows[1:], key=lambda row: -row.index)
    return Drift(rows=(rows[0], *rest), n_before=reference.n, n_now=len(values))


def stability_index(before: ArrayLike, now: ArrayLike) -> float:
    """Give the population stability index of two lists of shares.

    Examples
    --------
    >>> round(stability_index([0.5, 0.5], [0.6, 0.4]), 4)
    0.0405
    """
    first = np.maximum(as_values(before, "before"), LEAST_SHARE)
    second = np.maximum(as_values(now, "now"), LEAST_SHARE)
    return float(((second - first) * np.log(second / first)).sum())


def _column(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    if name not in frame:
        raise DesignError(say("features that are not there: {names}", names=name))
    return frame[name]


def _row(part: Distribution, column: pd.Series[Any], n_before: int) -> DriftRow:
    before, now = np.asarray(part.shares), part.now(column)
    used = (before > 0) | (now > 0)
    index = stability_index(before[used], now[used])
    groups = int(used.sum())
    spread = 1.0 / n_before + 1.0 / len(column)
    chance = float(special.chdtri(groups - 1, 1.0 - CHANCE)) * spread if groups > 1 else 0.0
    change: Change = "none shown"
    if index > chance:
        change = "small" if index < MODERATE else "moderate" if index < LARGE else "large"
    most = int(np.argmax(np.abs(now - before)))
    return DriftRow(
        name=part.name,
        index=index,
        chance=chance,
        change=change,
        most=part.labels()[most],
        before=float(before[most]),
        now=float(now[most]),
    )
