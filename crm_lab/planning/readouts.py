"""What each past experiment found, in the one form in which experiments can be read together.

A read-out is one randomised experiment: the revenue of everybody assigned against the control
group, over all its arms. Only read-outs that may be believed go on; the others say why not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

import pandas as pd

from crm_lab import formats
from crm_lab.experiments.looks import window_is_complete
from crm_lab.experiments.results import ArmResult, ExperimentResult, Money
from crm_lab.language import say, word
from crm_lab.planning import league_wording as wording
from crm_lab.stats import Comparison, Effect
from crm_lab.stats.normal import implied_standard_error, two_sided_quantile

Measure = Literal["relative", "amount"]
"""``relative``: change of revenue against the control group. ``amount``: money per customer
assigned, over the window of the experiment."""
REVENUE = "revenue_per_customer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One effect on the scale on which effects are pooled.

    Attributes
    ----------
    estimate, standard_error : float
        Of the logarithm of 1 + lift (``relative``), or money per customer (``amount``); NaN where
        it is not known.
    reason : str
        Why it is not known; empty otherwise.
    """

    estimate: float
    standard_error: float
    reason: str = ""

    @property
    def is_known(self) -> bool:
        """Whether it can be pooled."""
        return not self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Readout:
    """One past experiment, ready to be read together with others.

    Attributes
    ----------
    experiment : str
        Its name.
    mechanic, channel, send_mode : str
        What kind of activity it was and how it was sent; empty: not named.
    starts_at, ends_at : datetime
        Its window (UTC, end excluded).
    customers, controls : int
        Customers assigned to its arms, and to its control.
    control : str
        Whose controls they are: the name of the standing group, or the experiment itself.
    relative, amount : Measured
        The effect of all its arms together.
    is_adjusted : bool
        Whether the revenue of the pre-period was taken out.
    owner : str
        The team that answers for it.
    decision : str
        What was decided on it; empty: nothing.
    reason : str
        Why it may not be believed or is not over; empty: it counts.
    arms : int
        How many arms its effect takes together.
    """

    experiment: str
    mechanic: str
    channel: str
    send_mode: str
    starts_at: datetime
    ends_at: datetime
    customers: int
    controls: int
    control: str
    relative: Measured
    amount: Measured
    is_adjusted: bool = False
    owner: str = ""
    decision: str = ""
    reason: str = ""
    arms: int = 1

    @property
    def days(self) -> int:
        """Length of its window."""
        return max((self.ends_at - self.starts_at).days, 1)

    def measured(self, measure: Measure) -> Measured:
        """Give one of its two effects."""
        return self.relative if measure == "relative" else self.amount

    def total(self, alpha: float) -> Money:
        """Give what it brought in all, with its ``1 - alpha`` interval."""
        half = two_sided_quantile(alpha) * self.amount.standard_error
        ends = (self.amount.estimate + side * half for side in (0, -1, 1))
        estimate, low, high = (end * self.customers for end in ends)
        return Money(estimate=estimate, low=low, high=high)

    def why_not(self, measure: Measure) -> str:
        """Say why it does not enter a league; empty: it does."""
        return self.reason or self.measured(measure).reason


def readout_of(
    result: ExperimentResult,
    *,
    mechanic: str = "",
    send_mode: str = "",
    decision: str = "",
) -> Readout:
    """Take from the result of an experiment what a league needs.

    Several arms become one effect, weighted by their customers; that they share one control is
    taken into account (with the same spread of revenue in every arm).

    Parameters
    ----------
    result : ExperimentResult
        The read-out of one experiment.
    mechanic, send_mode : str
        What kind of activity it was; by default the mechanic of its plan.
    decision : str
        What was decided on it.

    Notes
    -----
    Campaigns in the window that its controls did not get make it unusable; after such campaigns in
    the pre-period its revenue is read without adjustment.
    """
    plan = result.plan
    is_adjusted = not result.others.spoils_the_pre_period
    broken = [word(item.name).lower() for item in result.lights if item.tone == "bad"]
    reason = ""
    if broken:
        reason = say(wording.BROKEN, checks=", ".join(broken))
    elif not window_is_complete(plan, result.data_until):
        reason = say(wording.OPEN)
    elif result.others.is_in_the_effect:
        share = formats.percent(result.others.in_window, decimals=0)
        reason = say(wording.NOT_ALONE, share=share)
    return Readout(
        experiment=plan.name,
        mechanic=mechanic or plan.mechanic,
        channel=plan.channel,
        send_mode=send_mode,
        starts_at=plan.starts_at,
        ends_at=plan.ends_at,
        customers=sum(arm.customers for arm in result.arms),
        controls=result.arms[0].controls,
        control=plan.name if plan.own_control_share else plan.control_group,
        relative=combined(result.arms, "relative", is_adjusted=is_adjusted),
        amount=combined(result.arms, "amount", is_adjusted=is_adjusted),
        is_adjusted=plan.is_adjusted and is_adjusted,
        owner=plan.owner,
        decision=decision,
        reason=reason,
        arms=len(result.arms),
    )


def combined(
    arms: tuple[ArmResult, ...], measure: Measure, *, is_adjusted: bool = True
) -> Measured:
    """Give the effect of all arms together on revenue, on the scale of a measure."""
    found = [
        (arm, measured_revenue(arm.comparisons, measure, is_adjusted=is_adjusted))
        for arm in arms
        if arm.customers
    ]
    unknown = [f"{arm.arm}: {item.reason}" for arm, item in found if not item.is_known]
    if unknown or not found:
        return _unknown("; ".join(unknown) or say(wording.NOBODY))
    if len(found) == 1:
        return found[0][1]
    total = sum(arm.customers for arm, _ in found)
    controls = found[0][0].controls
    estimate = sum(arm.customers * item.estimate for arm, item in found) / total
    # each squared error is spread * (1/arm + 1/controls); together they share the controls' part
    spread = sum(
        arm.customers / total * item.standard_error**2 / (1 / arm.customers + 1 / controls)
        for arm, item in found
    )
    error = math.sqrt(spread * (1 / total + 1 / controls))
    return Measured(estimate=estimate, standard_error=error)


def measured_revenue(
    comparisons: tuple[Comparison, ...], measure: Measure, *, is_adjusted: bool = True
) -> Measured:
    """Give the effect on revenue on a measure's scale: the adjusted one, or the plain one."""
    revenue = [item for item in comparisons if item.metric.partition(",")[0] == REVENUE]
    plain = [item for item in revenue if item.metric == REVENUE]
    adjusted = [item for item in revenue if item.metric != REVENUE]
    chosen = [*adjusted, *plain] if is_adjusted else plain
    if not chosen:
        return _unknown(say(wording.NO_REVENUE))
    comparison = chosen[0]
    effect = comparison.relative if measure == "relative" else comparison.absolute
    found = measured_effect(effect, measure)
    if not found.is_known or not math.isfinite(comparison.pooled_error):
        return found
    return replace(found, standard_error=pooled_error(comparison, measure))


def pooled_error(comparison: Comparison, measure: Measure) -> float:
    """Give the standard error on a measure's scale from the spread of both arms together.

    A small control that misses the rare large orders has a low mean and a narrow interval at
    once. Pooled by their own intervals, such read-outs cover 88 % where 95 % are promised.
    """
    error, effect = comparison.pooled_error, comparison.absolute
    if measure == "amount":
        return error
    units = (effect.n_treatment, effect.n_control)
    spread = error / math.sqrt(sum(1 / n for n in units))
    levels = (effect.treatment_value, effect.control_value)
    return spread * math.sqrt(
        sum(1 / (n * level**2) for n, level in zip(units, levels, strict=True))
    )


def measured_effect(effect: Effect, measure: Measure) -> Measured:
    """Put an effect with its interval on the scale on which effects are pooled.

    The standard error is half the interval, divided by the normal quantile. An interval with an
    open end has none: such an effect does not enter.

    Examples
    --------
    >>> effect = Effect(
    ...     name="relative", estimate=0.1, low=0.0, high=0.21, p_value=0.05, method="example",
    ...     alpha=0.05, n_treatment=950, n_control=50, treatment_value=11.0, control_value=10.0)
    >>> round(measured_effect(effect, "relative").standard_error, 4)
    0.0486
    """
    if not effect.is_known:
        return _unknown(effect.reason)
    ends = (effect.estimate, effect.low, effect.high)
    if not all(math.isfinite(end) for end in ends):
        return _unknown(say(wording.OPEN_END))
    if measure == "relative":
        if min(ends) <= -1:
            return _unknown(say(wording.OPEN_END))
        ends = (math.log1p(ends[0]), math.log1p(ends[1]), math.log1p(ends[2]))
    error = implied_standard_error(ends[1], ends[2], alpha=effect.alpha)
    if math.isnan(error):
        return _unknown(say(wording.NO_WIDTH))
    return Measured(estimate=ends[0], standard_error=error)


def people_scale(value: float, measure: Measure) -> float:
    """Turn a number of the pooling scale into what people read: a lift, or money."""
    if measure == "amount":
        return value
    return math.expm1(value) if value < _LARGEST_LOG else math.inf


_LARGEST_LOG = 700.0
"""Above it the exponential has no floating point number."""


def readout_frame(readouts: tuple[Readout, ...], measure: Measure, alpha: float) -> pd.DataFrame:
    """Give the raw effect of each experiment with its interval, one row each.

    Columns: experiment, mechanic, channel, send_mode, ended_on, customers, controls, estimate,
    low, high, decision, reason.
    """
    z = two_sided_quantile(alpha)
    rows: list[Mapping[str, object]] = []
    for item in sorted(readouts, key=lambda one: (one.ends_at, one.experiment)):
        found = item.measured(measure)
        ends = [found.estimate + side * z * found.standard_error for side in (0, -1, 1)]
        estimate, low, high = (people_scale(end, measure) for end in ends)
        rows.append(
            {
                "experiment": item.experiment,
                "mechanic": item.mechanic,
                "channel": item.channel,
                "send_mode": item.send_mode,
                "ended_on": pd.Timestamp(item.ends_at),
                "customers": item.customers,
                "controls": item.controls,
                "estimate": estimate,
                "low": low,
                "high": high,
                "decision": item.decision,
                "reason": item.why_not(measure),
            }
        )
    return pd.DataFrame(rows, columns=READOUT_COLUMNS)


READOUT_COLUMNS = [
    "experiment",
    "mechanic",
    "channel",
    "send_mode",
    "ended_on",
    "customers",
    "controls",
    "estimate",
    "low",
    "high",
    "decision",
    "reason",
]


def sharing(readouts: tuple[Readout, ...]) -> int:
    """Count the experiments that are measured against the same control group as another one."""
    controls = [item.control for item in readouts]
    return sum(controls.count(control) > 1 for control in controls)


def _unknown(reason: str) -> Measured:
    return Measured(estimate=math.nan, standard_error=math.nan, reason=reason)
