"""Comparison of two proportions by score methods, which hold at small arms and rare events.

The difference has its Miettinen-Nurminen interval, the ratio its Koopman interval; at "no effect"
both rest on the same score statistic, so there is one p-value and the intervals agree with it.

References
----------
Miettinen, O., Nurminen, M. (1985), "Comparative analysis of two rates", Statistics in Medicine 4,
equations 8 and 10, appendix I. Koopman, P. A. R. (1984), "Confidence intervals for the ratio of
two binomial proportions", Biometrics 40. Mee, R. W. (1984), Biometrics 40. Wilson, E. B. (1927),
"Probable inference, the law of succession, and statistical inference", JASA 22.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from crm_lab.errors import DesignError
from crm_lab.language import message, say, word
from crm_lab.stats.arguments import FloatArray, check_count, check_share
from crm_lab.stats.effects import Comparison, Effect, size_reason, unknown_effect

_DIFFERENCE = message("Miettinen-Nurminen score interval and test")
_MEE = message("Mee score interval and test")
_RATIO = message("Koopman score interval and test")

_ROOT_TOLERANCE = 1e-12
_WIDEST_LOG_RATIO = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProportionEstimate:
    """One proportion with its Wilson interval.

    Attributes
    ----------
    estimate, low, high : float
        The share of units with the event and the ends of the interval, within 0 to 1.
    events, n : int
        Units with the event, and all units.
    alpha : float
        Two-sided error level.
    method : str
        The method, in words.
    reason : str
        Why the numbers are NaN; empty otherwise.
    """

    estimate: float
    low: float
    high: float
    events: int
    n: int
    alpha: float
    method: str = "Wilson score interval"
    reason: str = ""


def proportion_interval(
    events: SupportsIndex, n: SupportsIndex, *, alpha: float
) -> ProportionEstimate:
    """Give a proportion with its Wilson score interval, as for the conversion of one arm.

    Parameters
    ----------
    events, n : int
        Units with the event and all units, ``0 <= events <= n``.
    alpha : float
        Two-sided error level, between 0 and 1.

    Raises
    ------
    DesignError
        When a count is negative, ``events`` is above ``n``, or alpha is not between 0 and 1.

    References
    ----------
    Wilson (1927), JASA 22.

    Examples
    --------
    >>> interval = proportion_interval(0, 150, alpha=0.05)
    >>> interval.estimate, interval.low, round(interval.high, 4)
    (0.0, 0.0, 0.025)
    """
    events, n = _check_events(events, n, "events", "n")
    check_share(alpha, "alpha")
    if n == 0:
        return ProportionEstimate(
            estimate=math.nan,
            low=math.nan,
            high=math.nan,
            events=0,
            n=0,
            alpha=alpha,
            reason=say("there are no units"),
        )
    share = events / n
    z = _normal_quantile(alpha)
    centre = share + z**2 / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    return ProportionEstimate(
        estimate=share,
        low=0.0 if events == 0 else (centre - half) / scale,
        high=1.0 if events == n else (centre + half) / scale,
        events=events,
        n=n,
        alpha=alpha,
    )


def compare_proportions(
    x_treatment: SupportsIndex,
    n_treatment: SupportsIndex,
    x_control: SupportsIndex,
    n_control: SupportsIndex,
    *,
    alpha: float,
    correction: bool = True,
    metric: str = "proportion",
    arms: tuple[str, str] = ("treatment", "control"),
) -> Comparison:
    """Compare two proportions by score methods; the default for conversion.

    Parameters
    ----------
    x_treatment, x_control : int
        Units with the event in each arm.
    n_treatment, n_control : int
        All units assigned to each arm.
    alpha : float
        Two-sided error level, between 0 and 1.
    correction : bool
        Whether the variance carries the factor ``N / (N - 1)`` of Miettinen and Nurminen; without
        it the interval of the difference is Mee's (also called Farrington-Manning).
    metric : str
        Name of the metric.
    arms : tuple of str
        Names of the treated arm and of the control.

    Returns
    -------
    Comparison
        Absolute difference (a share: 0.01 is one percentage point) and relative lift. With no
        event in the control the lift has no estimate and no upper end. With no event in either
        arm, or with nothing but events, there is no test; the interval of the difference holds.

    Raises
    ------
    DesignError
        When a count is negative or not whole, ``x`` is above ``n``, or alpha is outside (0, 1).

    Notes
    -----
    Score intervals are approximate: over all designs their coverage varies around ``1 - alpha``,
    and stays close to it even where an arm has few events. No interval is given for an arm of
    fewer than two units.

    Examples
    --------
    >>> result = compare_proportions(5_200, 95_000, 250, 5_000, alpha=0.05)
    >>> print(f"{result.absolute.low:.5f} {result.absolute.high:.5f} {result.relative.high:.3f}")
    -0.00181 0.01063 0.239
    """
    x_t, n_t = _check_events(x_treatment, n_treatment, "x_treatment", "n_treatment")
    x_c, n_c = _check_events(x_control, n_control, "x_control", "n_control")
    check_share(alpha, "alpha")
    table = _Table(x_t=x_t, n_t=n_t, x_c=x_c, n_c=n_c, correction=correction)
    absolute, relative = _effects(table, alpha=alpha, arms=arms)
    return Comparison(
        metric=metric,
        variant=arms[0],
        control=arms[1],
        scale="share",
        absolute=absolute,
        relative=relative,
        pooled_error=_pooled_error(table),
    )


def _pooled_error(table: _Table) -> float:
    """Give the standard error of the difference if both arms have the share of both together."""
    n = table.n_t + table.n_c
    if min(table.n_t, table.n_c) < 2:
        return math.nan
    share = (table.x_t + table.x_c) / n
    return math.sqrt(share * (1 - share) * (1 / table.n_t + 1 / table.n_c))


def score_statistic(
    x_treatment: ArrayLike,
    n_treatment: ArrayLike,
    x_control: ArrayLike,
    n_control: ArrayLike,
    *,
    correction: bool = True,
) -> FloatArray:
    """Give the score statistic of "no difference" for many tables at once.

    It is the test of `compare_proportions`: normal with mean 0 and variance 1 when nothing
    differs. Use it to judge many splits of one base, as in an A/A calibration.

    Parameters
    ----------
    x_treatment, n_treatment, x_control, n_control : array-like
        Counts; broadcast against each other.
    correction : bool
        Whether the variance carries the factor ``N / (N - 1)``.

    Returns
    -------
    ndarray
        z, positive where the treatment has the larger share; NaN where the shares are both 0 or
        both 1, or an arm is empty.

    Raises
    ------
    DesignError
        When a count is negative or some ``x`` is above its ``n``.

    Examples
    --------
    >>> score_statistic([56, 40], 70, 48, 80, correction=False).round(4)
    array([ 2.6502, -0.3545])
    """
    x_t, n_t, x_c, n_c = np.broadcast_arrays(
        *(np.asarray(a, dtype=np.float64) for a in (x_treatment, n_treatment, x_control, n_control))
    )
    if not (np.all((x_t >= 0) & (x_t <= n_t)) and np.all((x_c >= 0) & (x_c <= n_c))):
        raise DesignError(
            say("a count is negative or above its total"), expected=say("0 <= x <= n")
        )
    total = n_t + n_c
    usable = (n_t > 0) & (n_c > 0) & (x_t + x_c > 0) & (x_t + x_c < total)
    z = np.full(usable.shape, math.nan)
    a, m, b, n, size = (v[usable] for v in (x_t, n_t, x_c, n_c, total))
    pooled = (a + b) / size
    variance = pooled * (1 - pooled) * (1 / m + 1 / n)
    if correction:
        variance = variance * size / (size - 1)
    z[usable] = (a / m - b / n) / np.sqrt(variance)
    return z


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """Events and units of both arms, and the score statistics they give."""

    x_t: int
    n_t: int
    x_c: int
    n_c: int
    correction: bool

    @property
    def share_t(self) -> float:
        return self.x_t / self.n_t if self.n_t else math.nan

    @property
    def share_c(self) -> float:
        return self.x_c / self.n_c if self.n_c else math.nan

    @property
    def difference(self) -> float:
        return self.share_t - self.share_c

    @property
    def factor(self) -> float:
        total = self.n_t + self.n_c
        return total / (total - 1) if self.correction else 1.0

    def z_difference(self, delta: float) -> float:
        """Score statistic of "the difference is delta"; falls as delta rises."""
        control = self._control_given_difference(delta)
        treatment = control + delta
        variance = treatment * (1 - treatment) / self.n_t + control * (1 - control) / self.n_c
        return _studentised(self.difference - delta, variance * self.factor)

    def z_ratio(self, log_ratio: float) -> float:
        """Score statistic of "the ratio is exp(log_ratio)"; falls as the ratio rises."""
        ratio = math.exp(log_ratio)
        control = self._control_given_ratio(ratio)
        treatment = min(ratio * control, 1.0)
        variance = (
            treatment * (1 - treatment) / self.n_t + ratio**2 * control * (1 - control) / self.n_c
        )
        return _studentised(self.share_t - ratio * self.share_c, variance * self.factor)

    def _control_given_difference(self, delta: float) -> float:
        """Most likely control share when the difference is ``delta`` (M-N 1985, appendix I)."""
        x, total = self.x_t + self.x_c, self.n_t + self.n_c
        l3 = float(total)
        l2 = (self.n_t + 2 * self.n_c) * delta - total - x
        l1 = (self.n_c * delta - total - 2 * self.x_c) * delta + x
        l0 = self.x_c * delta * (1 - delta)
        q = l2**3 / (3 * l3) ** 3 - l1 * l2 / (6 * l3**2) + l0 / (2 * l3)
        p = math.copysign(math.sqrt(max(l2**2 / (3 * l3) ** 2 - l1 / (3 * l3), 0.0)), q)
        cosine = q / p**3 if p != 0 and p**3 != 0 else 0.0
        angle = (math.pi + math.acos(min(max(cosine, -1.0), 1.0))) / 3
        share = 2 * p * math.cos(angle) - l2 / (3 * l3)
        return min(max(share, 0.0, -delta), 1.0, 1.0 - delta)

    def _control_given_ratio(self, ratio: float) -> float:
        """Most likely control share when the ratio is ``ratio`` (M-N 1985, equation 13)."""
        x, total = self.x_t + self.x_c, self.n_t + self.n_c
        b = self.n_t * ratio + self.x_t + self.n_c + self.x_c * ratio
        root = math.sqrt(max(b * b - 4 * total * ratio * x, 0.0))
        return min(2 * x / (b + root), 1.0, 1.0 / ratio)


def _effects(table: _Table, *, alpha: float, arms: tuple[str, str]) -> tuple[Effect, Effect]:
    difference_method = say(_DIFFERENCE if table.correction else _MEE)
    reason = size_reason(table.n_t, table.n_c, arms=arms)
    n_t, n_c, share_t, share_c = table.n_t, table.n_c, table.share_t, table.share_c
    if reason:
        absolute = unknown_effect(
            "absolute",
            reason=reason,
            method=difference_method,
            alpha=alpha,
            n_treatment=n_t,
            n_control=n_c,
            treatment_value=share_t,
            control_value=share_c,
        )
        relative = unknown_effect(
            "relative",
            reason=reason,
            method=say(_RATIO),
            alpha=alpha,
            n_treatment=n_t,
            n_control=n_c,
            treatment_value=share_t,
            control_value=share_c,
        )
        return absolute, relative
    events = table.x_t + table.x_c
    no_test = ""
    if events == 0:
        no_test = say("no unit of either arm has the event")
    elif events == n_t + n_c:
        no_test = say("every unit of both arms has the event")
    z = float(score_statistic(table.x_t, n_t, table.x_c, n_c, correction=table.correction))
    p_value = 2.0 * float(special.ndtr(-abs(z)))
    low, high = _difference_interval(table, alpha)
    absolute = Effect(
        name="absolute",
        estimate=table.difference,
        low=low,
        high=high,
        p_value=p_value,
        method=difference_method,
        alpha=alpha,
        n_treatment=n_t,
        n_control=n_c,
        treatment_value=share_t,
        control_value=share_c,
        reason=no_test,
    )
    low, high = _ratio_interval(table, alpha) if events else (math.nan, math.nan)
    relative = Effect(
        name="relative",
        estimate=table.difference / share_c if table.x_c else math.nan,
        low=low - 1.0,
        high=high - 1.0,
        p_value=p_value,
        method=say(_RATIO),
        alpha=alpha,
        n_treatment=n_t,
        n_control=n_c,
        treatment_value=share_t,
        control_value=share_c,
        reason=no_test
        or ("" if table.x_c else say("no unit of arm {arm} has the event", arm=word(arms[1]))),
    )
    return absolute, relative


def _difference_interval(table: _Table, alpha: float) -> tuple[float, float]:
    z = _normal_quantile(alpha)
    estimate = table.difference
    low = _crossing(table.z_difference, z, -1.0, estimate)
    high = _crossing(table.z_difference, -z, estimate, 1.0)
    return low, high


def _ratio_interval(table: _Table, alpha: float) -> tuple[float, float]:
    """Give the ends of the ratio; an arm without events leaves one end at 0 or at infinity."""
    z = _normal_quantile(alpha)
    wide = _WIDEST_LOG_RATIO
    low, high = 0.0, math.inf
    if table.x_t:
        top = math.log(table.share_t / table.share_c) if table.x_c else wide
        low = math.exp(_crossing(table.z_ratio, z, -wide, top))
    if table.x_c:
        bottom = math.log(table.share_t / table.share_c) if table.x_t else -wide
        high = math.exp(_crossing(table.z_ratio, -z, bottom, wide))
    return low, high


def _crossing(
    statistic: Callable[[float], float], level: float, left: float, right: float
) -> float:
    """Find where a falling statistic takes ``level``; the nearer end where it never does."""
    if statistic(left) <= level:
        return left
    if statistic(right) >= level:
        return right
    return float(
        optimize.brentq(lambda point: statistic(point) - level, left, right, xtol=_ROOT_TOLERANCE)
    )


def _studentised(distance: float, variance: float) -> float:
    if variance > 0:
        return distance / math.sqrt(variance)
    return math.copysign(math.inf, distance) if distance != 0 else 0.0


def _normal_quantile(alpha: float) -> float:
    return -float(special.ndtri(alpha / 2))


def _check_events(
    events: SupportsIndex, n: SupportsIndex, events_name: str, n_name: str
) -> tuple[int, int]:
    x, size = check_count(events, events_name), check_count(n, n_name)
    if x > size:
        raise DesignError(
            say(
                "{events_name} is {x} but {n_name} is {size}",
                events_name=events_name,
                x=x,
                n_name=n_name,
                size=size,
            ),
            expected=say("{events_name} at most {n_name}", events_name=events_name, n_name=n_name),
        )
    return x, size
