"""What is said of one ranking, or of two beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.language import message, say
from crm_lab.uplift.cumulative import FORMULAS, Definition
from crm_lab.uplift.estimate import Estimate
from crm_lab.uplift.wording import method_text, name_text

_RANDOM = message("The score ranks customers better than chance ({number}).")
_WORSE = message(
    "The score ranks customers worse than chance ({number}): the wrong ones come first."
)
_OPEN = message("The data cannot tell this ranking from a random one ({number}).")
_CANNOT = message("Cannot conclude how well the score ranks, because {reason}.")
_FIRST = message("{first} ranks customers better than {second} (difference {number}).")
_SECOND = message("{first} ranks customers worse than {second} (difference {number}).")
_NEITHER = message("The data cannot tell {first} from {second} (difference {number}).")
_OBSERVATIONAL = message("Observational: customers were not randomised.")
_SPLITS = message("Mean over {n} repetitions; one alone moves by {sd}.")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RankQuality(Result):
    """One coefficient of one score.

    Attributes
    ----------
    name : str
        Name of the score.
    metric : str
        Name of the outcome.
    definition : str
        Which coefficient; its formula stands in `crm_lab.uplift.cumulative.FORMULAS`.
    value : Estimate
        The coefficient with its interval.
    random_level : float
        What a random score gives.
    repetitions : int
        Repetitions of the cross-fitting.
    split_sd : float
        Standard deviation of the coefficient over them; NaN for one.
    """

    title: ClassVar[str] = message("How well the score ranks")

    name: str
    metric: str
    definition: Definition
    value: Estimate
    random_level: float
    repetitions: int
    split_sd: float

    @property
    def is_better_than_random(self) -> bool:
        """Whether the whole interval lies above what a random score gives."""
        return self.value.is_above(self.random_level)

    def sentence(self) -> str:
        """Say whether the score ranks better than chance."""
        if not self.value.is_known:
            return say(_CANNOT, reason=self.value.reason)
        text = _OPEN
        if self.is_better_than_random:
            text = _RANDOM
        elif self.value.is_below(self.random_level):
            text = _WORSE
        found = say(text, number=_shown(self.value))
        return " ".join([found, *_notes(self, self.value)])

    def to_frame(self) -> pd.DataFrame:
        """Give one row with the number, its interval, its formula and its method."""
        return pd.DataFrame(
            [
                {
                    "score": self.name,
                    "metric": self.metric,
                    "definition": self.definition,
                    "estimate": self.value.estimate,
                    "low": self.value.low,
                    "high": self.value.high,
                    "p_value": self.value.p_value,
                    "random": self.random_level,
                    "split_sd": self.split_sd,
                    "evidence": self.value.evidence,
                    "formula": FORMULAS[self.definition],
                    "method": self.value.method,
                    "reason": self.value.reason,
                }
            ]
        )

    def card_frame(self) -> pd.DataFrame:
        """Give the number with its interval and formula."""
        columns = ["score", "definition", "estimate", "low", "high", "evidence", "formula"]
        return self.to_frame()[columns].assign(score=name_text(self.name))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RankComparison(Result):
    """Two scores on the same customers: the difference of one coefficient.

    Attributes
    ----------
    first, second : str
        Names of the scores.
    metric : str
        Name of the outcome.
    definition : str
        Which coefficient.
    first_value, second_value : float
        The coefficient of each.
    difference : Estimate
        First minus second with its interval.
    repetitions : int
        Repetitions of the cross-fitting.
    split_sd : float
        Standard deviation of the difference over them; NaN for one.
    """

    title: ClassVar[str] = message("Which score ranks better")

    first: str
    second: str
    metric: str
    definition: Definition
    first_value: float
    second_value: float
    difference: Estimate
    repetitions: int
    split_sd: float

    def sentence(self) -> str:
        """Say which score ranks better, or that the data cannot tell."""
        if not self.difference.is_known:
            return say(_CANNOT, reason=self.difference.reason)
        text = _NEITHER
        if self.difference.is_above(0.0):
            text = _FIRST
        elif self.difference.is_below(0.0):
            text = _SECOND
        found = say(
            text,
            first=name_text(self.first),
            second=name_text(self.second),
            number=_shown(self.difference),
        )
        return " ".join([found, *_notes(self, self.difference)])

    def to_frame(self) -> pd.DataFrame:
        """Give one row: both coefficients, their difference, its interval and method."""
        return pd.DataFrame(
            [
                {
                    "first": self.first,
                    "second": self.second,
                    "metric": self.metric,
                    "definition": self.definition,
                    "first_value": self.first_value,
                    "second_value": self.second_value,
                    "difference": self.difference.estimate,
                    "low": self.difference.low,
                    "high": self.difference.high,
                    "p_value": self.difference.p_value,
                    "split_sd": self.split_sd,
                    "evidence": self.difference.evidence,
                    "method": self.difference.method,
                    "reason": self.difference.reason,
                }
            ]
        )

    def card_frame(self) -> pd.DataFrame:
        """Give the same with scores and method as people read them."""
        return self.to_frame().assign(
            first=name_text(self.first),
            second=name_text(self.second),
            method=method_text(self.difference.method),
        )


def _shown(found: Estimate) -> str:
    return formats.number_interval(found.estimate, found.low, found.high)


def _notes(result: RankQuality | RankComparison, found: Estimate) -> list[str]:
    notes = [say(_OBSERVATIONAL)] if found.evidence == "observational" else []
    if result.repetitions > 1:
        sd = formats.number(result.split_sd, decimals=formats.decimals_for(0.0, result.split_sd))
        notes.append(say(_SPLITS, n=result.repetitions, sd=sd))
    return notes
