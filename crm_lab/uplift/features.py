"""What is known of customers before they are drawn, and how learners see it.

A feature that was known only after the draw can carry the effect that is to be found, so every
feature has the moment until which it looks, and one that looks past the draw is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crm_lab import formats
from crm_lab.errors import DesignError, Fault
from crm_lab.language import say
from crm_lab.stats.arguments import FloatArray

Missing = Literal["keep", "fill", "refuse"]
NOT_KNOWN = "not known"
"""Level of a category that is missing."""
SMALLEST_LEVEL = 20
"""Customers below which a category gets no column of its own."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """Features of customers with the moment until which each of them looks.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per customer, one column per feature: numbers, flags or categories.
    known_at : mapping of str to datetime.datetime
        For each column the first moment (UTC, without zone) that it does not use.
    """

    frame: pd.DataFrame
    known_at: Mapping[str, datetime]

    @classmethod
    def of(cls, frame: pd.DataFrame, *, known_at: datetime | Mapping[str, datetime]) -> Features:
        """Take features that are already there.

        Parameters
        ----------
        frame : pandas.DataFrame
            One row per customer, in the order of the trial.
        known_at : datetime.datetime or mapping
            First moment that is not used, for all columns or for each.

        Raises
        ------
        DesignError
            There is no column, a name comes twice, or a column has no moment.

        Examples
        --------
        >>> frame = pd.DataFrame({"orders": [1, 4], "region": ["north", None]})
        >>> Features.of(frame, known_at=datetime(2024, 5, 1)).names
        ('orders', 'region')
        """
        names = [str(name) for name in frame.columns]
        if not names:
            raise DesignError(say("there is no feature"), expected=say("at least one column"))
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise DesignError(
                say("features that come twice: {twice}", twice=formats.listing(twice))
            )
        moments = known_at if isinstance(known_at, Mapping) else dict.fromkeys(names, known_at)
        lacking = [name for name in names if name not in moments]
        if lacking:
            raise DesignError(
                say("features without a moment: {lacking}", lacking=formats.listing(lacking)),
                expected=say("for every feature the moment until which it looks"),
                where="known_at",
            )
        return cls(
            frame=frame.set_axis(names, axis=1),
            known_at={name: moments[name] for name in names},
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features."""
        return tuple(self.frame.columns)

    def check_before(self, drawn_at: datetime) -> None:
        """Refuse features that look past the moment of the draw.

        Raises
        ------
        DesignError
            With every such feature.

        Examples
        --------
        >>> frame = pd.DataFrame({"clicks": [0, 3]})
        >>> clicks = Features.of(frame, known_at=datetime(2024, 6, 1))
        >>> clicks.check_before(datetime(2024, 5, 1))
        Traceback (most recent call last):
        ...
        crm_lab.errors.DesignError: clicks: known only on 2024-06-01. Expected: nothing later than
        the draw of 2024-05-01. To do: leave it out, or compute it from before the draw.
        """
        faults = [
            Fault(
                found=say("known only on {moment}", moment=formats.day(moment)),
                expected=say(
                    "nothing later than the draw of {drawn_at}", drawn_at=formats.day(drawn_at)
                ),
                where=name,
                remedy=say("leave it out, or compute it from before the draw"),
            )
            for name, moment in self.known_at.items()
            if moment > drawn_at
        ]
        if faults:
            raise DesignError(faults)

    def rows(self, mask: NDArray[np.bool_]) -> pd.DataFrame:
        """Give the frame of some customers."""
        return self.frame.iloc[np.flatnonzero(mask)]


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberColumn:
    """How one number is seen: less its mean, in units of its standard deviation.

    Attributes
    ----------
    name : str
        Name of the feature.
    mean, deviation : float
        Of the values that were learned from; the deviation is 1 where they do not vary.
    has_missing : bool
        Whether values were missing when it was learned.
    """

    name: str
    mean: float
    deviation: float
    has_missing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceColumn:
    """How one category is seen: a column of 0 and 1 for every level.

    Attributes
    ----------
    name : str
        Name of the feature.
    levels : tuple of str
        Levels with a column; every other level, seen or not, is 0 in all of them.
    known : frozenset of str
        Levels that were there when it was learned.
    """

    name: str
    levels: tuple[str, ...]
    known: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """Turns features into numbers, always by what was learned once.

    Attributes
    ----------
    numbers, choices : tuple
        The columns.
    missing : {"keep", "fill", "refuse"}
        What happens to a missing number: it stays NaN, for learners that take it; it becomes the
        mean, with a column that says so; or it is refused. A missing category is a level.
    """

    numbers: tuple[NumberColumn, ...]
    choices: tuple[ChoiceColumn, ...]
    missing: Missing
    columns: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = [column.name for column in self.numbers]
        if self.missing == "fill":
            names += [f"{column.name} is missing" for column in self.numbers if column.has_missing]
        names += [f"{column.name} = {level}" for column in self.choices for level in column.levels]
        object.__setattr__(self, "columns", tuple(names))

    @classmethod
    def fit(cls, frame: pd.DataFrame, *, missing: Missing = "fill") -> Encoder:
        """Learn means, deviations and levels.

        Raises
        ------
        DesignError
            A column is neither number nor category, or holds missing values that are refused.

        Examples
        --------
        >>> frame = pd.DataFrame({"orders": [1.0, None, 3.0], "is_member": [True, False, True]})
        >>> encoder = Encoder.fit(frame)
        >>> encoder.columns
        ('orders', 'is_member', 'orders is missing')
        >>> encoder.encode(frame)[1].round(2)
        array([ 0.  , -1.41,  1.  ])
        """
        numbers: list[NumberColumn] = []
        choices: list[ChoiceColumn] = []
        for name in frame.columns:
            column = frame[name]
            if not is_number(column):
                choices.append(_choice(str(name), column))
                continue
            values = as_numbers(column)
            there = values[np.isfinite(values)]
            deviation = float(there.std()) if len(there) else 0.0
            numbers.append(
                NumberColumn(
                    name=str(name),
                    mean=float(there.mean()) if len(there) else 0.0,
                    deviation=deviation or 1.0,
                    has_missing=len(there) < len(values),
                )
            )
        encoder = cls(numbers=tuple(numbers), choices=tuple(choices), missing=missing)
        encoder._refuse_missing(frame)
        return encoder

    def encode(self, frame: pd.DataFrame) -> FloatArray:
        """Give the numbers of a frame: (rows, columns).

        Raises
        ------
        DesignError
            A feature is not there, or a value is missing that may not be.
        """
        lacking = [name for name in self.names if name not in frame]
        if lacking:
            raise DesignError(
                say("features that are not there: {names}", names=formats.listing(lacking)),
                expected=say("the features that the model was learned from"),
            )
        self._refuse_missing(frame)
        encoded = np.zeros((len(frame), len(self.columns)))
        place = 0
        flags: list[FloatArray] = []
        for column in self.numbers:
            values = (as_numbers(frame[column.name]) - column.mean) / column.deviation
            lost = ~np.isfinite(values)
            values[lost] = 0.0 if self.missing == "fill" else np.nan
            encoded[:, place] = values
            place += 1
            if self.missing == "fill" and column.has_missing:
                flags.append(lost.astype(np.float64))
        for flag in flags:
            encoded[:, place] = flag
            place += 1
        for choice in self.choices:
            found = as_levels(frame[choice.name])
            for level in choice.levels:
                encoded[:, place] = found == level
                place += 1
        return encoded

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features that are needed."""
        every = [column.name for column in self.numbers]
        return tuple(every + [column.name for column in self.choices])

    def unseen(self, frame: pd.DataFrame) -> dict[str, int]:
        """Count, per category, the customers whose level was not there when it was learned.

        Examples
        --------
        >>> encoder = Encoder.fit(pd.DataFrame({"region": ["north"] * 30}))
        >>> encoder.unseen(pd.DataFrame({"region": ["north", "moon"]}))
        {'region': 1}
        """
        counts = {
            choice.name: int((~as_levels(frame[choice.name]).isin(list(choice.known))).sum())
            for choice in self.choices
        }
        return {name: count for name, count in counts.items() if count}

    def _refuse_missing(self, frame: pd.DataFrame) -> None:
        if self.missing != "refuse":
            return
        faults = [
            Fault(
                found=say("{lost} missing values", lost=int(lost)),
                expected=say("a value for everybody"),
                where=column.name,
                remedy=say("fill them, or choose a learner that takes missing values"),
            )
            for column in self.numbers
            if (lost := (~np.isfinite(as_numbers(frame[column.name]))).sum())
        ]
        if faults:
            raise DesignError(faults)


def is_number(column: pd.Series[Any]) -> bool:
    """Whether a feature is seen as a number (flags are)."""
    return bool(pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))


def as_numbers(column: pd.Series[Any]) -> FloatArray:
    """Give a feature as numbers, NaN where missing or infinite."""
    values = column.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    values[~np.isfinite(values)] = np.nan
    return values


def as_levels(column: pd.Series[Any]) -> pd.Series[str]:
    """Give a feature as levels, with a level of its own for what is missing."""
    return column.astype(object).where(column.notna(), NOT_KNOWN).astype(str)


def _choice(name: str, column: pd.Series[Any]) -> ChoiceColumn:
    if pd.api.types.is_datetime64_any_dtype(column):
        raise DesignError(
            say("a moment is no feature"),
            where=name,
            expected=say("a number or a category"),
            remedy=say("count the days until the draw"),
        )
    counts = as_levels(column).value_counts()
    large = sorted(str(level) for level, count in counts.items() if count >= SMALLEST_LEVEL)
    return ChoiceColumn(name=name, levels=tuple(large), known=frozenset(map(str, counts.index)))
