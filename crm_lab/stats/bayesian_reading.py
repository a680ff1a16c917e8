"""How a Bayesian reading shows itself; `crm_lab.stats.bayes` computes it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.language import message, say, word
from crm_lab.stats.effects import Scale


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BayesianReading(Result):
    """What a stated prior and the data together say of two arms; larger is better.

    Attributes
    ----------
    metric : str
        Name of the metric.
    variant, control : str
        Names of the treated arm and of the control.
    scale : {"number", "share"}
        How people read the metric.
    prior : str
        The prior, in words.
    probability_better : float
        Probability that the treated arm is above the control, 0 to 1; NaN without an answer.
    difference, low, high : float
        Expected difference and the ``1 - alpha`` credible interval, ends at equal tails.
    lift, lift_low, lift_high : float
        Median of the relative lift and its credible interval.
    loss_choosing_variant, loss_choosing_control : float
        What is lost on average, per unit, by choosing this arm if it is the worse one.
    alpha : float
        One less the probability of the intervals.
    method : str
        The method, in words.
    n_treatment, n_control : int
        Units in each arm.
    caution : str
        Why the numbers may be too sure of themselves; empty otherwise.
    reason : str
        Why there are no numbers; empty otherwise.
    """

    metric: str
    variant: str
    control: str
    scale: Scale
    prior: str
    probability_better: float
    difference: float
    low: float
    high: float
    lift: float
    lift_low: float
    lift_high: float
    loss_choosing_variant: float
    loss_choosing_control: float
    alpha: float
    method: str
    n_treatment: int
    n_control: int
    caution: str = ""
    reason: str = ""
    title: ClassVar[str] = message("Bayesian reading")

    def sentence(self) -> str:
        """Say the probability, the lift, what each choice may cost, and the prior."""
        if self.reason:
            return say(
                "{metric}: cannot conclude, because {reason}.",
                metric=word(self.metric),
                reason=self.reason,
            )
        level = formats.percent(1.0 - self.alpha, decimals=0)
        lift = formats.percent_interval(self.lift, self.lift_low, self.lift_high)
        parts = [
            say(
                "{metric}: {variant} is better than {control} with a probability of {probability}.",
                metric=word(self.metric),
                variant=word(self.variant),
                control=word(self.control),
                probability=_probability(self.probability_better),
            ),
            say(
                "The relative lift is {lift} with a probability of {level}.", lift=lift, level=level
            ),
            say(
                "Choosing {variant} may cost {loss_variant} per unit on average, choosing"
                " {control} {loss_control}.",
                variant=word(self.variant),
                loss_variant=self._loss(self.loss_choosing_variant),
                control=word(self.control),
                loss_control=self._loss(self.loss_choosing_control),
            ),
            say("This rests on a {prior}.", prior=self.prior),
        ]
        if self.caution:
            parts.append(say("Too sure of itself: {caution}.", caution=self.caution))
        return " ".join(parts)

    def to_frame(self) -> pd.DataFrame:
        """Give one row per number: difference and relative lift, with both losses."""
        shared = {
            "metric": self.metric,
            "variant": self.variant,
            "control": self.control,
            "probability_better": self.probability_better,
            "loss_choosing_variant": self.loss_choosing_variant,
            "loss_choosing_control": self.loss_choosing_control,
            "prior": self.prior,
            "method": self.method,
            "reason": self.reason or self.caution,
        }
        numbers = {
            "difference": (self.difference, self.low, self.high),
            "relative lift": (self.lift, self.lift_low, self.lift_high),
        }
        return pd.DataFrame(
            [
                {"effect": name, "estimate": estimate, "low": low, "high": high} | shared
                for name, (estimate, low, high) in numbers.items()
            ]
        )

    def card_frame(self) -> pd.DataFrame:
        """Give the numbers without what the sentence says already."""
        return self.to_frame()[["effect", "estimate", "low", "high"]]

    def _loss(self, value: float) -> str:
        if self.scale == "share":
            return say("{points} percentage points", points=formats.number(100 * value, decimals=3))
        return formats.number(value, decimals=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingLabels:
    """What a reading carries besides its numbers."""

    metric: str
    arms: tuple[str, str]
    scale: Scale
    prior: str
    alpha: float
    method: str
    n: tuple[int, int]

    def reading(
        self,
        *,
        probability_better: float,
        difference: tuple[float, float, float],
        lift: tuple[float, float, float],
        losses: tuple[float, float],
        caution: str = "",
        reason: str = "",
    ) -> BayesianReading:
        """Give the reading with these numbers."""
        return BayesianReading(
            metric=self.metric,
            variant=self.arms[0],
            control=self.arms[1],
            scale=self.scale,
            prior=self.prior,
            probability_better=probability_better,
            difference=difference[0],
            low=difference[1],
            high=difference[2],
            lift=lift[0],
            lift_low=lift[1],
            lift_high=lift[2],
            loss_choosing_variant=losses[0],
            loss_choosing_control=losses[1],
            alpha=self.alpha,
            method=self.method,
            n_treatment=self.n[0],
            n_control=self.n[1],
            caution=caution,
            reason=reason,
        )

    def nothing(self, reason: str) -> BayesianReading:
        """Give the reading that the data do not support."""
        unknown = (math.nan, math.nan, math.nan)
        return self.reading(
            probability_better=math.nan,
            difference=unknown,
            lift=unknown,
            losses=(math.nan, math.nan),
            reason=reason,
        )


def _probability(value: float) -> str:
    """Write a probability; never 0 or 100 %."""
    if value > 0.999:
        return say("more than {share}", share=formats.percent(0.999))
    if value < 0.001:
        return say("less than {share}", share=formats.percent(0.001))
    return formats.percent(value, decimals=1)
