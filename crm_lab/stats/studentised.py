"""From two estimates with their errors to a `Comparison`, by the quantiles of their t.

Whatever gave the quantiles (a t distribution, or permutations), the difference and the ratio are
judged by the same ones, so that test and both intervals agree.

References
----------
Fieller, E. C. (1954), "Some problems in interval estimation", Journal of the Royal Statistical
Society B 16.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import special

from crm_lab.language import message, say, word
from crm_lab.stats.effects import Comparison, Effect, Scale, unknown_effect
from crm_lab.stats.means import fieller_set
from crm_lab.stats.permutation import tie_slack

TOO_FEW_SPLITS = message("there are too few splits for this alpha")
_NOT_ABOVE = message("the value of arm {arm} is not above zero")
_CONSTANT = message("the values of arm {arm} do not vary")
_NEAR_ZERO = message("the value of arm {arm} cannot be told apart from zero")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmEstimate:
    """The estimate of one arm.

    Attributes
    ----------
    value : float
        The estimate, in the unit of the metric.
    squared_error : float
        Its squared standard error, independent of the other arm.
    n : int
        Units in the arm.
    """

    value: float
    squared_error: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What a comparison carries besides its numbers.

    Attributes
    ----------
    alpha : float
        Two-sided error level.
    method : str
        Method of interval and test, in words.
    metric : str
        Name of the metric.
    arms : tuple of str
        Names of the treated arm and of the control.
    scale : {"number", "share"}
        How people read the metric.
    """

    alpha: float
    method: str
    metric: str
    arms: tuple[str, str]
    scale: Scale = "number"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """The judgement of an observed t: its p-value and the quantiles that agree with it.

    Attributes
    ----------
    p_value : float
        Two-sided p-value of "no difference".
    low, high : float
        Quantiles of t, ``low <= 0 <= high``; infinite where there are none.
    """

    p_value: float
    low: float
    high: float


def t_quantiles(t: float, degrees_of_freedom: float, *, alpha: float) -> Quantiles:
    """Judge an observed t by Student's distribution.

    Parameters
    ----------
    t : float
        Observed statistic.
    degrees_of_freedom : float
        Above 0; infinite for the normal distribution.
    alpha : float
        Two-sided error level, between 0 and 1.

    Examples
    --------
    >>> found = t_quantiles(2.0, 10.0, alpha=0.05)
    >>> round(found.p_value, 4), round(found.high, 4)
    (0.0734, 2.2281)
    """
    if math.isinf(degrees_of_freedom):
        quantile = -float(special.ndtri(alpha / 2))
        p_value = 2.0 * float(special.ndtr(-abs(t)))
    else:
        quantile = -float(special.stdtrit(degrees_of_freedom, alpha / 2))
        p_value = 2.0 * float(special.stdtr(degrees_of_freedom, -abs(t)))
    return Quantiles(p_value=p_value, low=-quantile, high=quantile)


def comparison(
    treatment: ArmEstimate,
    control: ArmEstimate,
    quantiles: Quantiles,
    labels: Labels,
    *,
    nonnegative: bool = False,
    covariance: float = 0.0,
    no_relative: str = "",
    open_reason: str = TOO_FEW_SPLITS,
) -> Comparison:
    """Build both effects from two estimates and the quantiles of the t of their difference.

    Parameters
    ----------
    treatment, control : ArmEstimate
        The estimates; the error of the difference is above 0.
    quantiles : Quantiles
        p-value and quantiles of the t of the difference.
    labels : Labels
        Names, method and alpha.
    nonnegative : bool
        Whether the metric cannot be negative; a negative ratio is then not considered.
    covariance : float
        Covariance of the two estimates, for the difference; the ratio needs it to be 0.
    no_relative : str
        Why no relative lift can be given; empty when it can.
    open_reason : str
        What to say where a quantile is infinite.

    Examples
    --------
    >>> found = comparison(
    ...     ArmEstimate(value=12.0, squared_error=0.25, n=100),
    ...     ArmEstimate(value=10.0, squared_error=1.0, n=20),
    ...     t_quantiles(2.0 / 1.25 ** 0.5, math.inf, alpha=0.05),
    ...     Labels(alpha=0.05, method="example", metric="spend", arms=("mail", "control")))
    >>> round(found.absolute.low, 3), round(found.relative.high, 3)
    (-0.191, 0.512)
    """
    difference = treatment.value - control.value
    error = math.sqrt(treatment.squared_error + control.squared_error - 2.0 * covariance)
    t = difference / error
    slack = tie_slack(t)
    # An end that ties with its quantile is exactly "no difference", as the test says.
    low, high = (
        0.0 if abs(t - quantile) <= slack else error * (t - quantile)
        for quantile in (quantiles.high, quantiles.low)
    )
    absolute = Effect(
        name="absolute",
        estimate=difference,
        low=low,
        high=high,
        p_value=quantiles.p_value,
        method=labels.method,
        alpha=labels.alpha,
        n_treatment=treatment.n,
        n_control=control.n,
        treatment_value=treatment.value,
        control_value=control.value,
        reason="" if math.isfinite(low) and math.isfinite(high) else say(open_reason),
    )
    reason = no_relative
    if not reason and control.value <= 0:
        reason = say(_NOT_ABOVE, arm=word(labels.arms[1]))
    elif not reason and treatment.squared_error <= 0:
        # The statistic of Fieller is then the same for every ratio.
        reason = say(_CONSTANT, arm=word(labels.arms[0]))
    relative = (
        _nothing("relative", reason, treatment, control, labels)
        if reason
        else _relative(treatment, control, absolute, quantiles, labels, nonnegative=nonnegative)
    )
    pooled = math.nan if covariance else _pooled_error(treatment, control)
    return _assemble(labels, absolute, relative, pooled_error=pooled)


def _pooled_error(treatment: ArmEstimate, control: ArmEstimate) -> float:
    """Give the standard error of the difference if units vary alike in both arms."""
    units = treatment.n + control.n
    spread = treatment.squared_error * treatment.n**2 + control.squared_error * control.n**2
    return math.sqrt(spread / units * (1 / treatment.n + 1 / control.n))


def no_comparison(
    treatment: ArmEstimate, control: ArmEstimate, labels: Labels, *, reason: str
) -> Comparison:
    """Give the comparison that the data do not support: NaN throughout, with its reason.

    Examples
    --------
    >>> arm = ArmEstimate(value=1.0, squared_error=math.nan, n=4)
    >>> labels = Labels(alpha=0.05, method="example", metric="spend", arms=("mail", "control"))
    >>> no_comparison(arm, arm, labels, reason="arm control has one cluster").sentence()
    'spend: cannot conclude, because arm control has one cluster.'
    """
    return _assemble(
        labels,
        _nothing("absolute", reason, treatment, control, labels),
        _nothing("relative", reason, treatment, control, labels),
    )


def _relative(
    treatment: ArmEstimate,
    control: ArmEstimate,
    absolute: Effect,
    quantiles: Quantiles,
    labels: Labels,
    *,
    nonnegative: bool,
) -> Effect:
    low, high = fieller_set(
        treatment.value,
        control.value,
        treatment.squared_error,
        control.squared_error,
        low_quantile=quantiles.low,
        high_quantile=quantiles.high,
        nonnegative=nonnegative,
    )
    # At a ratio of 1 the statistic is the t of the absolute difference: keep both on one side.
    low = 1.0 if absolute.low == 0 else low
    high = 1.0 if absolute.high == 0 else high
    reason = absolute.reason
    if not reason and not (math.isfinite(low) and math.isfinite(high)):
        reason = say(_NEAR_ZERO, arm=word(labels.arms[1]))
    return Effect(
        name="relative",
        estimate=absolute.estimate / control.value,
        low=low - 1.0,
        high=high - 1.0,
        p_value=absolute.p_value,
        method=labels.method,
        alpha=labels.alpha,
        n_treatment=treatment.n,
        n_control=control.n,
        treatment_value=treatment.value,
        control_value=control.value,
        reason=reason,
    )


def _nothing(
    name: str, reason: str, treatment: ArmEstimate, control: ArmEstimate, labels: Labels
) -> Effect:
    return unknown_effect(
        "absolute" if name == "absolute" else "relative",
        reason=reason,
        method=labels.method,
        alpha=labels.alpha,
        n_treatment=treatment.n,
        n_control=control.n,
        treatment_value=treatment.value,
        control_value=control.value,
    )


def _assemble(
    labels: Labels, absolute: Effect, relative: Effect, *, pooled_error: float = math.nan
) -> Comparison:
    return Comparison(
        metric=labels.metric,
        variant=labels.arms[0],
        control=labels.arms[1],
        scale=labels.scale,
        absolute=absolute,
        relative=relative,
        pooled_error=pooled_error,
    )
