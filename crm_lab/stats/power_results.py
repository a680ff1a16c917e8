"""What a power computation gives: the smallest effect that shows, and the units it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.language import message, say


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DetectableEffect(Result):
    """The smallest increase that a design finds with the wanted power.

    Attributes
    ----------
    base_value : float
        Value without treatment: a share, or a mean in the unit of the metric.
    absolute : float
        Smallest detectable increase, in the unit of ``base_value``; NaN when there is none.
    relative : float
        The same as a share of ``base_value``; NaN when the base is 0.
    n_treatment, n_control : int
        Units per arm.
    alpha, power : float
        Two-sided error level, and the probability of finding an effect of this size.
    method : str
        Formula, in words.
    reason : str
        Why there is no number; empty otherwise.
    """

    base_value: float
    absolute: float
    relative: float
    n_treatment: int
    n_control: int
    alpha: float
    power: float
    method: str
    reason: str = ""
    title: ClassVar[str] = message("Minimum detectable effect")

    def sentence(self) -> str:
        """Say the smallest effect that the design can see."""
        arms = {
            "treated": formats.number(self.n_treatment),
            "controls": formats.number(self.n_control),
        }
        if self.reason:
            return say(
                "With {treated} treated and {controls} control units no increase can be promised"
                " to be found: {reason}.",
                reason=self.reason,
                **arms,
            )
        lift = formats.percent(self.relative, decimals=1 if self.relative < 0.1 else 0, signed=True)
        return say(
            "With {treated} treated and {controls} control units an increase of {lift} or more is"
            " found with probability {power}; smaller ones will usually be missed.",
            lift=lift,
            power=formats.percent(self.power, decimals=0),
            **arms,
        )

    def to_frame(self) -> pd.DataFrame:
        """Give one row with all attributes."""
        return pd.DataFrame([self.to_dict()])


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RequiredSize(Result):
    """The number of units that a design needs for an effect.

    Attributes
    ----------
    total : float
        Units of both arms together, rounded up so that each arm is whole; NaN when no size does.
    n_treatment, n_control : float
        Units per arm.
    control_share : float
        Planned share of the control.
    relative_effect : float
        Effect to be found, as a share of the base value.
    alpha, power : float
        Two-sided error level and wanted power.
    method : str
        Formula, in words.
    reason : str
        Why there is no number; empty otherwise.
    """

    total: float
    n_treatment: float
    n_control: float
    control_share: float
    relative_effect: float
    alpha: float
    power: float
    method: str
    reason: str = ""
    title: ClassVar[str] = message("Required number of units")

    def sentence(self) -> str:
        """Say the size that the effect needs."""
        lift = formats.percent(self.relative_effect, decimals=1, signed=True)
        share = formats.percent(self.control_share, decimals=1)
        if self.reason:
            return say(
                "No size is enough for an effect of {lift}: {reason}.",
                lift=lift,
                reason=self.reason,
            )
        return say(
            "To find an effect of {lift} with probability {power}, {total} units are needed, of"
            " whom {controls} ({share}) in the control.",
            lift=lift,
            power=formats.percent(self.power, decimals=0),
            total=formats.number(self.total),
            controls=formats.number(self.n_control),
            share=share,
        )

    def to_frame(self) -> pd.DataFrame:
        """Give one row with all attributes."""
        return pd.DataFrame([self.to_dict()])
