"""The result of a comparison: one number, its interval, and how both were found.

An `Effect` is plain data. A `Comparison` holds the absolute and the relative effect of one metric
for one pair of arms and shows itself as a card.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.language import message, say, word

EffectName = Literal["absolute", "relative", "attributable", "total"]
Scale = Literal["number", "share"]

_ATTRIBUTABLE = message("; attributable share as lift / (1 + lift)")
_TOTAL = message("; difference times units treated")
_NOTHING_BROUGHT = message("the value of arm {arm} is not above zero")
_LEVEL_NOT_KNOWN = message("the value of arm {arm} cannot be told apart from zero")

_FRAME_FIELDS = ("estimate", "low", "high", "p_value", "method", "n_treatment", "n_control")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One effect of a treatment against a control, with its interval and test.

    Attributes
    ----------
    name : {"absolute", "relative", "attributable", "total"}
        ``"absolute"`` is treatment minus control in the unit of the metric; ``"relative"`` is
        treatment divided by control, minus 1 (0.1 means 10 % more); ``"attributable"`` is the
        share of what the treated arm brought that the treatment added (difference divided by
        treatment); ``"total"`` is the difference times the units of the treated arm.
    estimate : float
        The point estimate; NaN where the data support none.
    low, high : float
        The ends of the two-sided ``1 - alpha`` interval; an end may be infinite.
    p_value : float
        Two-sided p-value of "no effect"; NaN where there is no test.
    method : str
        The method of interval and test, in words.
    alpha : float
        Two-sided error level of the interval.
    n_treatment, n_control : int
        Units in each arm.
    treatment_value, control_value : float
        The value of the metric in each arm (a mean, or a share); for ``"total"`` what the treated
        arm brought in all, and what it would have brought at the level of the control.
    reason : str
        Why a number is NaN or an end is infinite; empty otherwise.

    Examples
    --------
    >>> effect = Effect(
    ...     name="absolute", estimate=0.2, low=0.05, high=0.34, p_value=0.008, method="example",
    ...     alpha=0.05, n_treatment=70, n_control=80, treatment_value=0.8, control_value=0.6)
    >>> effect.is_significant, effect.is_known
    (True, True)
    """

    name: EffectName
    estimate: float
    low: float
    high: float
    p_value: float
    method: str
    alpha: float
    n_treatment: int
    n_control: int
    treatment_value: float
    control_value: float
    reason: str = ""

    @property
    def is_known(self) -> bool:
        """Whether the data support an estimate."""
        return math.isfinite(self.estimate)

    @property
    def is_significant(self) -> bool:
        """Whether the test rejects "no effect" at ``alpha``; False where there is no test."""
        return self.p_value <= self.alpha


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Comparison(Result):
    """The absolute and the relative effect of one metric for one pair of arms.

    Attributes
    ----------
    metric : str
        Name of the metric.
    variant, control : str
        Names of the treated arm and of the arm it is compared with.
    scale : {"number", "share"}
        How people read the metric: a plain number, or a share written as a percentage.
    absolute, relative : Effect
        The two effects; both come from one test and share its p-value wherever both are known.
    pooled_error : float
        Standard error of the difference from the spread of both arms together, for pooling many
        comparisons: a small control that misses the rare large values has too small a spread of
        its own, and pooled intervals then cover too little (``docs/simulations/designs.md``). NaN
        where the method has none.

    Examples
    --------
    >>> from crm_lab.stats import compare_proportions
    >>> result = compare_proportions(56, 70, 48, 80, alpha=0.05, metric="conversion")
    >>> print(result.sentence())
    conversion: treatment 80.00 % against control 60.00 %. Difference +20 percentage points
    (5 to 34), relative lift +33 % (8 to 67 %), p = 0.0083. The data show a difference at the
    5 % level.
    """

    metric: str
    variant: str
    control: str
    scale: Scale
    absolute: Effect
    relative: Effect
    pooled_error: float = math.nan

    @property
    def title(self) -> str:  # type: ignore[override]
        """The heading of the card."""
        return say(
            "{metric}: {variant} against {control}",
            metric=word(self.metric),
            variant=word(self.variant),
            control=word(self.control),
        )

    @property
    def effects(self) -> tuple[Effect, Effect]:
        """The absolute and the relative effect, in this order."""
        return (self.absolute, self.relative)

    @property
    def attributable(self) -> Effect:
        """Share of what the treated arm brought that the treatment added, ``(T - C) / T``.

        Its interval is that of the relative lift, turned by ``lift / (1 + lift)``. It is at most 1
        and has no lower end where the treated arm may have brought nothing.
        """
        relative, brought = self.relative, self.absolute.treatment_value
        method = relative.method + say(_ATTRIBUTABLE)
        reason = "" if relative.is_known or relative.low > -1.0 else relative.reason
        if not reason and not brought > 0:
            reason = say(_NOTHING_BROUGHT, arm=word(self.variant))
        if reason or math.isnan(relative.low) or math.isnan(relative.high):
            return self._derived("attributable", method=method, reason=reason or relative.reason)
        low = _share_of_outcome(relative.low)
        open_end = say(_LEVEL_NOT_KNOWN, arm=word(self.variant)) if low == -math.inf else ""
        return replace(
            relative,
            name="attributable",
            estimate=self.absolute.estimate / brought,
            low=low,
            high=_share_of_outcome(relative.high),
            method=method,
            reason=open_end or relative.reason,
        )

    @property
    def total(self) -> Effect:
        """What the treatment added over all units of the treated arm, in the unit of the metric."""
        absolute, units = self.absolute, self.absolute.n_treatment
        return replace(
            absolute,
            name="total",
            estimate=units * absolute.estimate,
            low=units * absolute.low,
            high=units * absolute.high,
            method=absolute.method + say(_TOTAL),
            treatment_value=units * absolute.treatment_value,
            control_value=units * absolute.control_value,
        )

    @property
    def all_effects(self) -> tuple[Effect, Effect, Effect, Effect]:
        """The absolute, relative and attributable effect and the total, in this order."""
        return (self.absolute, self.relative, self.attributable, self.total)

    def sentence(self) -> str:
        """Say both effects, the p-value and what they allow to conclude."""
        effect = self.absolute
        if not effect.is_known:
            return say(
                "{metric}: cannot conclude, because {reason}.",
                metric=word(self.metric),
                reason=effect.reason,
            )
        parts = [
            say(
                "{metric}: {variant} {treated} against {control} {held_out}.",
                metric=word(self.metric),
                variant=word(self.variant),
                treated=self._level(effect.treatment_value),
                control=word(self.control),
                held_out=self._level(effect.control_value),
            ),
            say(
                "Difference {difference}, {lift}, {test}.",
                difference=self._difference(),
                lift=self._lift(),
                test=self._test(),
            ),
            self._conclusion(),
        ]
        return " ".join(parts)

    def to_frame(self) -> pd.DataFrame:
        """Give one row per effect: metric, variant, control, effect, numbers, method, reason."""
        return pd.DataFrame([self._row(effect) for effect in self.effects])

    def _row(self, effect: Effect) -> dict[str, Any]:
        row: dict[str, Any] = {
            "metric": self.metric,
            "variant": self.variant,
            "control": self.control,
            "effect": effect.name,
        }
        row |= {field: getattr(effect, field) for field in _FRAME_FIELDS}
        return row | {"reason": effect.reason}

    def _derived(self, name: EffectName, *, method: str, reason: str) -> Effect:
        """Give an effect that is not known, with the arms of this comparison."""
        return unknown_effect(
            name,
            reason=reason,
            method=method,
            alpha=self.absolute.alpha,
            n_treatment=self.absolute.n_treatment,
            n_control=self.absolute.n_control,
            treatment_value=self.absolute.treatment_value,
            control_value=self.absolute.control_value,
        )

    def _level(self, value: float) -> str:
        if self.scale == "share":
            return formats.percent(value, decimals=2)
        return formats.number(value, decimals=_places(value))

    def _difference(self) -> str:
        effect = self.absolute
        factor = 100.0 if self.scale == "share" else 1.0
        estimate, low, high = (factor * x for x in (effect.estimate, effect.low, effect.high))
        places = min(formats.decimals_for(low, high), 4)
        shown = formats.number(estimate, decimals=places, signed=True)
        ends = formats.interval(low, high, decimals=places)
        if self.scale == "share":
            return say("{points} percentage points ({interval})", points=shown, interval=ends)
        return f"{shown} ({ends})"

    def _lift(self) -> str:
        effect = self.relative
        if not effect.is_known:
            return say("relative lift not known because {reason}", reason=effect.reason)
        lift = formats.percent_interval(effect.estimate, effect.low, effect.high)
        return say("relative lift {lift}", lift=lift)

    def _test(self) -> str:
        if math.isnan(self.absolute.p_value):
            return say("no p-value")
        return formats.p_text(self.absolute.p_value)

    def _conclusion(self) -> str:
        effect = self.absolute
        if math.isnan(effect.p_value):
            return say("Cannot conclude, because {reason}.", reason=effect.reason)
        level = formats.percent(effect.alpha, decimals=0 if effect.alpha >= 0.01 else 2)
        if effect.is_significant:
            return say("The data show a difference at the {level} level.", level=level)
        return say(
            "Cannot conclude at the {level} level: the interval includes no difference.",
            level=level,
        )


def unknown_effect(
    name: EffectName,
    *,
    reason: str,
    method: str,
    alpha: float,
    n_treatment: int,
    n_control: int,
    treatment_value: float = math.nan,
    control_value: float = math.nan,
) -> Effect:
    """Give the effect that the data do not support: NaN throughout, with its reason.

    Examples
    --------
    >>> effect = unknown_effect("relative", reason="the control arm is empty", method="Welch",
    ...                         alpha=0.05, n_treatment=10, n_control=0)
    >>> effect.estimate, effect.reason
    (nan, 'the control arm is empty')
    """
    return Effect(
        name=name,
        estimate=math.nan,
        low=math.nan,
        high=math.nan,
        p_value=math.nan,
        method=method,
        alpha=alpha,
        n_treatment=n_treatment,
        n_control=n_control,
        treatment_value=treatment_value,
        control_value=control_value,
        reason=reason,
    )


def unknown_comparison(
    *,
    metric: str,
    reason: str,
    method: str,
    alpha: float,
    n_treatment: int,
    n_control: int,
    arms: tuple[str, str],
    scale: Scale = "number",
) -> Comparison:
    """Give the comparison that the data do not support: both effects NaN, with the reason.

    Examples
    --------
    >>> unknown = unknown_comparison(metric="margin", reason="no order has a cost", method="none",
    ...                              alpha=0.05, n_treatment=9, n_control=3, arms=("a", "b"))
    >>> print(unknown.sentence())
    margin: cannot conclude, because no order has a cost.
    """
    names: tuple[EffectName, EffectName] = ("absolute", "relative")
    absolute, relative = (
        unknown_effect(
            name,
            reason=reason,
            method=method,
            alpha=alpha,
            n_treatment=n_treatment,
            n_control=n_control,
        )
        for name in names
    )
    return Comparison(
        metric=metric,
        variant=arms[0],
        control=arms[1],
        scale=scale,
        absolute=absolute,
        relative=relative,
    )


def size_reason(n_treatment: int, n_control: int, *, arms: tuple[str, str]) -> str:
    """Say which arm is too small to be compared; empty when both hold two units or more.

    Examples
    --------
    >>> size_reason(10, 1, arms=("mail", "control"))
    'arm control has one unit'
    """
    for arm, n in zip(arms, (n_treatment, n_control), strict=True):
        if n == 0:
            return say("arm {arm} is empty", arm=word(arm))
        if n == 1:
            return say("arm {arm} has one unit", arm=word(arm))
    return ""


def _share_of_outcome(lift: float) -> float:
    """Turn a relative lift into the share of the treated outcome that it makes up."""
    if lift <= -1.0:
        return -math.inf
    return 1.0 if lift == math.inf else lift / (1.0 + lift)


def _places(value: float) -> int:
    """Decimals that show three significant figures of a level, at most four."""
    if value == 0 or not math.isfinite(value):
        return 2
    return min(max(2 - math.floor(math.log10(abs(value))), 0), 4)
