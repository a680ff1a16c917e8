"""What a learner learns from, and what every learner can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd

from crm_lab import formats
from crm_lab.language import say
from crm_lab.stats.arguments import FloatArray
from crm_lab.uplift import wording
from crm_lab.uplift.pieces import FittedEffect
from crm_lab.uplift.trial import BoolArray

SMALL_CONTROL = 0.2
"""Share of the control below which models starve (measured: a quarter of the gain is lost)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lesson:
    """What a learner learns from.

    Attributes
    ----------
    frame : pandas.DataFrame
        Features, one row per customer.
    outcome : ndarray, shape (n,)
        What is learned.
    is_treated : ndarray of bool, shape (n,)
        The arm.
    probability : ndarray, shape (n,)
        Known chance to be treated.
    """

    frame: pd.DataFrame
    outcome: FloatArray
    is_treated: BoolArray
    probability: FloatArray

    def of(self, chosen: BoolArray) -> Lesson:
        """Give the lesson of some customers."""
        return Lesson(
            frame=self.frame.iloc[np.flatnonzero(chosen)],
            outcome=self.outcome[chosen],
            is_treated=self.is_treated[chosen],
            probability=self.probability[chosen],
        )


@runtime_checkable
class Learner(Protocol):
    """What every learner can do.

    Attributes
    ----------
    name : str
        How results name it.
    is_effect : bool
        Whether it gives an effect in the unit of the outcome; a response is only a ranking.
    """

    @property
    def name(self) -> str:
        """How results name it."""
        ...

    @property
    def is_effect(self) -> bool:
        """Whether it gives an effect in the unit of the outcome."""
        ...

    def fit(self, lesson: Lesson, *, rng: np.random.Generator) -> FittedEffect:
        """Learn the effect."""
        ...


def control_warning(control_share: float) -> str:
    """Say that a small control starves models, with what to do; empty where it is large enough.

    Examples
    --------
    >>> control_warning(0.5)
    ''
    >>> control_warning(0.05)[:34]
    'The control is 5.0 % of the trial:'
    """
    if control_share >= SMALL_CONTROL:
        return ""
    return say(
        wording.SMALL_CONTROL,
        share=formats.percent(control_share),
        least=formats.percent(SMALL_CONTROL, decimals=0),
    )
