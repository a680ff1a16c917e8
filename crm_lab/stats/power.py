"""What an experiment of a given size can see, and what size it needs.

References
----------
Fleiss, J. L., Levin, B., Paik, M. C. (2003), "Statistical methods for rates and proportions",
equations 4.13 and 4.17 (unequal arms). Cohen, J. (1988), "Statistical power analysis for the
behavioral sciences", chapter 2 (noncentral t). R's ``power.prop.test`` and ``power.t.test``. What
pre-periods, clusters, looks and several arms change: `crm_lab.stats.design_factors`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import overload

from scipy import optimize, special, stats

from crm_lab import formats
from crm_lab.errors import DesignError
from crm_lab.language import message, say
from crm_lab.stats.arguments import as_given, check_count, check_positive, check_share
from crm_lab.stats.design_factors import PLAIN, DesignFactors, ratio_variance
from crm_lab.stats.power_results import DetectableEffect, RequiredSize

_NORMAL_FROM_DF = 100_000
_LARGEST_TOTAL = 1e15


_PROPORTION_METHOD = message(
    "normal approximation for two proportions, pooled variance under no effect"
)
_MEAN_METHOD = message("two-sample t with equal variances")
_RATIO_METHOD = message("delta method for a ratio of means; two-sample t")


def power_proportion(
    base_rate: float, rate: float, n_treatment: float, n_control: float, *, alpha: float
) -> float:
    """Give the probability that a two-sided test finds ``rate`` against ``base_rate``.

    Parameters
    ----------
    base_rate, rate : float
        Shares in control and treatment, from 0 to 1.
    n_treatment, n_control : float
        Units per arm, above 0.
    alpha : float
        Two-sided error level, between 0 and 1.

    Returns
    -------
    float
        Power, counting only findings in the right direction, as R's ``power.prop.test`` does.

    Raises
    ------
    DesignError
        When an argument is out of range.

    References
    ----------
    Fleiss, Levin and Paik (2003), equation 4.13, without continuity correction.

    Examples
    --------
    >>> round(power_proportion(0.5, 0.75, 50, 50, alpha=0.05), 4)
    0.7402
    """
    check_share(alpha, "alpha")
    for value, name in ((base_rate, "base_rate"), (rate, "rate")):
        if not 0.0 <= value <= 1.0:
            raise DesignError(as_given(name, value), expected=say("a share from 0 to 1"))
    n_t, n_c = check_positive(n_treatment, "n_treatment"), check_positive(n_control, "n_control")
    pooled = (rate * n_t + base_rate * n_c) / (n_t + n_c)
    null_error = math.sqrt(pooled * (1 - pooled) * (1 / n_t + 1 / n_c))
    error = math.sqrt(rate * (1 - rate) / n_t + base_rate * (1 - base_rate) / n_c)
    margin = abs(rate - base_rate) - _normal_quantile(alpha / 2) * null_error
    if error == 0:
        return 1.0 if margin > 0 else 0.0
    return float(special.ndtr(margin / error))


def power_mean(
    difference: float, sd: float, n_treatment: float, n_control: float, *, alpha: float
) -> float:
    """Give the probability that a two-sided t test finds a difference of means.

    Parameters
    ----------
    difference : float
        True difference, in the unit of the metric.
    sd : float
        Standard deviation within arms, the same in both, above 0.
    n_treatment, n_control : float
        Units per arm, above 1.
    alpha : float
        Two-sided error level, between 0 and 1.

    Returns
    -------
    float
        Power, counting only findings in the right direction, as R's ``power.t.test`` does.

    Raises
    ------
    DesignError
        When an argument is out of range.

    Notes
    -----
    The noncentral t distribution below 100,000 degrees of freedom, the normal above. For revenue
    with a heavy tail and a small control the power of the permutation test differs from this.

    Examples
    --------
    >>> round(power_mean(1.0, 1.0, 20, 20, alpha=0.05), 4)
    0.869
    """
    check_share(alpha, "alpha")
    check_positive(sd, "sd")
    n_t, n_c = check_positive(n_treatment, "n_treatment"), check_positive(n_control, "n_control")
    if not math.isfinite(difference):
        raise DesignError(as_given("difference", difference), expected=say("a finite number"))
    df = n_t + n_c - 2
    if df <= 0:
        units = formats.significant(n_t + n_c, figures=6)
        found = say("{units} units in all", units=units)
        raise DesignError(found, expected=say("more than two units"))
    shift = abs(difference) / (sd * math.sqrt(1 / n_t + 1 / n_c))
    if df >= _NORMAL_FROM_DF or shift > 30:
        return float(special.ndtr(shift - _normal_quantile(alpha / 2)))
    return float(stats.nct.sf(stats.t.isf(alpha / 2, df), df, shift))


def minimum_detectable_effect_proportion(
    base_rate: float,
    n_treatment: int,
    n_control: int,
    *,
    alpha: float,
    power: float,
    factors: DesignFactors = PLAIN,
) -> DetectableEffect:
    """Give the smallest increase of a proportion that a design finds with the wanted power.

    Parameters
    ----------
    base_rate : float
        Share without treatment, between 0 and 1.
    n_treatment, n_control : int
        Units per arm, at least 1.
    alpha, power : float
        Two-sided error level and wanted power; power above ``alpha / 2``.
    factors : DesignFactors
        Pre-period, clusters, looks and number of comparisons; the result carries the ``alpha`` of
        one comparison.

    Raises
    ------
    DesignError
        When an argument is out of range.

    Examples
    --------
    >>> effect = minimum_detectable_effect_proportion(0.10, 2_850, 150, alpha=0.05, power=0.8)
    >>> print(effect.sentence())
    With 2,850 treated and 150 control units an increase of +85 % or more is found with
    probability 80 %; smaller ones will usually be missed.
    """
    check_share(base_rate, "base_rate")
    alpha = factors.per_comparison(alpha)
    n_t, n_c = _check_design(n_treatment, n_control, alpha, power)
    useful_t, useful_c = n_t / factors.variance, n_c / factors.variance

    def excess(rate: float) -> float:
        return power_proportion(base_rate, rate, useful_t, useful_c, alpha=alpha) - power

    if excess(1.0) < 0:
        absolute, reason = math.nan, say("even an increase to 100 % would be missed too often")
    else:
        absolute, reason = float(optimize.brentq(excess, base_rate, 1.0)) - base_rate, ""
    return DetectableEffect(
        base_value=base_rate,
        absolute=absolute,
        relative=absolute / base_rate,
        n_treatment=n_t,
        n_control=n_c,
        alpha=alpha,
        power=power,
        method=say(_PROPORTION_METHOD) + factors.words,
        reason=reason,
    )


@overload
def minimum_detectable_effect_mean(
    mean: float, sd: float, n_treatment: int, n_control: int, *, alpha: float, power: float
) -> DetectableEffect: ...


@overload
def minimum_detectable_effect_mean(
    mean: float,
    sd: float,
    n_treatment: int,
    n_control: int,
    *,
    alpha: float,
    power: float,
    factors: DesignFactors,
) -> DetectableEffect: ...


def minimum_detectable_effect_mean(
    mean: float,
    sd: float,
    n_treatment: int,
    n_control: int,
    *,
    alpha: float,
    power: float,
    factors: DesignFactors = PLAIN,
) -> DetectableEffect:
    """Give the smallest increase of a mean that a design finds with the wanted power.

    Parameters
    ----------
    mean, sd : float
        Mean (above 0) and standard deviation of the metric without treatment, zeros included.
    n_treatment, n_control : int
        Units per arm, at least 2.
    alpha, power : float
        Two-sided error level and wanted power; power above ``alpha / 2``.
    factors : DesignFactors
        Pre-period, clusters, looks and number of comparisons; the result carries the ``alpha`` of
        one comparison.

    Raises
    ------
    DesignError
        When an argument is out of range.

    Examples
    --------
    >>> effect = minimum_detectable_effect_mean(6.2, 40.0, 95_000, 5_000, alpha=0.05, power=0.8)
    >>> round(effect.absolute, 2), round(effect.relative, 3)
    (1.63, 0.262)
    """
    check_positive(mean, "mean")
    check_positive(sd, "sd")
    return _detectable_mean(
        mean, sd, n_treatment, n_control, alpha, power, factors, method=say(_MEAN_METHOD)
    )


def minimum_detectable_effect_ratio(
    n_treatment: int,
    n_control: int,
    *,
    mean_numerator: float,
    mean_denominator: float,
    variance_numerator: float,
    variance_denominator: float,
    covariance: float,
    alpha: float,
    power: float,
    factors: DesignFactors = PLAIN,
) -> DetectableEffect:
    """Give the smallest increase of a ratio of means that a design finds with the wanted power.

    Use it for average order value, revenue per message and the like, where customers are assigned
    and the denominator varies between them.

    Parameters
    ----------
    n_treatment, n_control : int
        Units per arm, at least 2.
    mean_numerator, mean_denominator : float
        Means per unit without treatment, both above 0; units without any count with 0 and 0.
    variance_numerator, variance_denominator, covariance : float
        Variances and covariance per unit.
    alpha, power : float
        Two-sided error level and wanted power; power above ``alpha / 2``.
    factors : DesignFactors
        Pre-period, clusters, looks and number of comparisons. Its correlation is that of the
        linearised values ``numerator - R denominator`` before and after.

    Raises
    ------
    DesignError
        When an argument is out of range, or the ratio does not vary.

    References
    ----------
    Deng, Knoblich and Lu (2018), see `crm_lab.stats.design_factors.ratio_variance`.

    Examples
    --------
    >>> effect = minimum_detectable_effect_ratio(
    ...     9_500, 500, mean_numerator=5.0, mean_denominator=0.5, variance_numerator=100.0,
    ...     variance_denominator=0.5, covariance=5.0, alpha=0.05, power=0.8)
    >>> effect.base_value, round(effect.relative, 3)
    (10.0, 0.182)
    """
    check_positive(mean_numerator, "mean_numerator")
    variance = ratio_variance(
        mean_numerator=mean_numerator,
        mean_denominator=mean_denominator,
        variance_numerator=variance_numerator,
        variance_denominator=variance_denominator,
        covariance=covariance,
    )
    if variance == 0:
        raise DesignError(
            say("the ratio is the same for every unit"), expected=say("a ratio that varies")
        )
    return _detectable_mean(
        mean_numerator / mean_denominator,
        math.sqrt(variance),
        n_treatment,
        n_control,
        alpha,
        power,
        factors,
        method=say(_RATIO_METHOD),
    )


def _detectable_mean(
    mean: float,
    sd: float,
    n_treatment: int,
    n_control: int,
    alpha: float,
    power: float,
    factors: DesignFactors,
    *,
    method: str,
) -> DetectableEffect:
    alpha = factors.per_comparison(alpha)
    n_t, n_c = _check_design(n_treatment, n_control, alpha, power, minimum=2)
    # Degrees of freedom are those of the units; the factors widen or narrow the spread.
    spread = sd * math.sqrt(factors.variance)
    unit = spread * math.sqrt(1 / n_t + 1 / n_c)

    def excess(difference: float) -> float:
        return power_mean(difference, spread, n_t, n_c, alpha=alpha) - power

    absolute = float(optimize.brentq(excess, 0.0, _bracket(excess, unit)))
    return DetectableEffect(
        base_value=float(mean),
        absolute=absolute,
        relative=absolute / mean,
        n_treatment=n_t,
        n_control=n_c,
        alpha=alpha,
        power=power,
        method=method + factors.words,
    )


def required_total(
    *,
    relative_effect: float,
    control_share: float,
    alpha: float,
    power: float,
    base_rate: float | None = None,
    mean: float | None = None,
    sd: float | None = None,
    factors: DesignFactors = PLAIN,
) -> RequiredSize:
    """Give the number of units that an experiment needs to find a relative effect.

    Parameters
    ----------
    relative_effect : float
        Effect to be found, as a share of the base value; not 0 (0.1 means 10 % more).
    control_share : float
        Share of the units in the control, between 0 and 1.
    alpha, power : float
        Two-sided error level and wanted power; power above ``alpha / 2``.
    base_rate : float, optional
        Share without treatment, for a proportion.
    mean, sd : float, optional
        Mean and standard deviation without treatment, for a mean. Give these or ``base_rate``. For
        a ratio they are the ratio and the root of `ratio_variance`.
    factors : DesignFactors
        Pre-period, clusters, looks and number of comparisons; the result carries the ``alpha`` of
        one comparison, and the size is that of the control and one arm.

    Raises
    ------
    DesignError
        When an argument is out of range, or not exactly one kind of base value is given.

    Examples
    --------
    >>> size = required_total(
    ...     base_rate=0.10, relative_effect=0.10, control_share=0.05, alpha=0.05, power=0.8)
    >>> round(size.total, -3)
    158000
    """
    check_share(control_share, "control_share")
    alpha = factors.per_comparison(alpha)
    _check_power(alpha, power)
    if not math.isfinite(relative_effect) or relative_effect == 0:
        wanted = say("a number other than 0")
        raise DesignError(as_given("relative_effect", relative_effect), expected=wanted)
    is_rate = base_rate is not None and mean is None and sd is None
    is_mean = base_rate is None and mean is not None and sd is not None
    if not (is_rate or is_mean):
        raise DesignError(
            say("the base value is not clear"), expected=say("base_rate, or both mean and sd")
        )
    reason = ""
    if base_rate is not None:
        base = check_share(base_rate, "base_rate")
        rate = base * (1 + relative_effect)
        if not 0.0 <= rate <= 1.0:
            reason = say("a rate of {rate} does not exist", rate=formats.percent(rate))

        def found(total: float) -> float:
            useful = total / factors.variance
            treated, held_out = useful * (1 - control_share), useful * control_share
            return power_proportion(base, rate, treated, held_out, alpha=alpha)
    else:
        level, spread = check_positive(mean or 0.0, "mean"), check_positive(sd or 0.0, "sd")
        spread *= math.sqrt(factors.variance)

        def found(total: float) -> float:
            treated, held_out = total * (1 - control_share), total * control_share
            return power_mean(level * relative_effect, spread, treated, held_out, alpha=alpha)

    n_t, n_c = math.nan, math.nan
    if not reason:
        # Each arm has a unit at least, and more than two units are needed in all.
        start = max(1 / control_share, 1 / (1 - control_share), 2.001)
        total = _smallest_total(lambda size: found(size) - power, start)
        if total > _LARGEST_TOTAL:
            reason = say("the effect is too small for any real base")
        else:
            n_t, n_c = _round_up(total * (1 - control_share)), _round_up(total * control_share)
    return RequiredSize(
        total=n_t + n_c,
        n_treatment=n_t,
        n_control=n_c,
        control_share=control_share,
        relative_effect=relative_effect,
        alpha=alpha,
        power=power,
        method=(say(_PROPORTION_METHOD) if is_rate else say(_MEAN_METHOD)) + factors.words,
        reason=reason,
    )


def _check_design(
    n_treatment: int, n_control: int, alpha: float, power: float, *, minimum: int = 1
) -> tuple[int, int]:
    _check_power(alpha, power)
    return (
        check_count(n_treatment, "n_treatment", minimum=minimum),
        check_count(n_control, "n_control", minimum=minimum),
    )


def _check_power(alpha: float, power: float) -> None:
    check_share(alpha, "alpha")
    check_share(power, "power")
    if power <= alpha / 2:
        least = formats.significant(alpha / 2, figures=6)
        wanted = say("a power above {alpha}", alpha=least)
        raise DesignError(as_given("power", power), expected=wanted)


def _normal_quantile(tail: float) -> float:
    return -float(special.ndtri(tail))


def _bracket(excess: Callable[[float], float], start: float) -> float:
    """Double ``start`` until ``excess`` is positive or the point is beyond any use."""
    point = start
    while excess(point) < 0 and point <= _LARGEST_TOTAL * start:
        point *= 2.0
    return point


def _smallest_total(excess: Callable[[float], float], start: float) -> float:
    if excess(start) >= 0:
        return start
    upper = _bracket(excess, start)
    if excess(upper) < 0:
        return math.inf
    return float(optimize.brentq(excess, start, upper, rtol=1e-12))


def _round_up(units: float) -> int:
    """Round up to whole units; a rounding error of the root above a whole number is ignored."""
    return math.ceil(units - 1e-6)
