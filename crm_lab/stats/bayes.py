"""The same data read with a stated prior: is B better, and what may choosing it cost.

Nothing is sampled: every number is an integral, taken by quadrature to many digits. The reading
adds to the test and does not replace it: a probability of 97 % is not a promise that one claim in
33 is wrong when one looks often.

References
----------
Kamalbasha, S., Eugster, M. J. A. (2021), "Bayesian A/B testing for business decisions", Data
Science - Analytics and Applications (expected loss). Gelman, A. et al. (2013), "Bayesian data
analysis", third edition, sections 2.4 and 2.5.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from crm_lab import formats
from crm_lab.errors import DesignError
from crm_lab.language import message, say, word
from crm_lab.stats.arguments import (
    FloatArray,
    as_values,
    check_count,
    check_positive,
    check_share,
)
from crm_lab.stats.bayesian_reading import BayesianReading, ReadingLabels
from crm_lab.stats.effects import size_reason
from crm_lab.stats.moments import Moments
from crm_lab.stats.pooling_posterior import mixture_quantile

UNIFORM = (1.0, 1.0)
"""Beta prior that takes every share for equally probable."""

WEAK_LIFT_SD = 1.0
"""Standard deviation of the default prior of a relative lift: two thirds within -100 to +100 %."""

_BETA = message("beta-binomial, by quadrature")
_NORMAL = message("normal approximation of both means, flat prior of the control, by quadrature")
_BETA_PRIOR = message("prior of each share: Beta({a}, {b})")
_UNIFORM_PRIOR = message(
    "prior: every share from 0 to 100 % is equally probable, in each arm by itself"
)
_LIFT_PRIOR = message(
    "prior of the relative lift: normal about 0 with a standard deviation of {sd}"
)
_NOT_FINITE = message("arm {arm} holds a value that is missing or infinite")
_NOT_ABOVE = message(
    "the mean of arm {arm} is not clearly above zero, so that it has no relative lift"
)
_CONSTANT = message("the values do not vary within arm {arm}")
_UNEVEN = message(
    "the values of arm {arm} are too uneven for its size; trust the permutation test instead"
)

_NODES, _REACH = 801, 9.5
_LIFT_NODES, _LIFT_REACH = 4_001, 10.0
# From this many standard errors above zero on, a flat prior of the control mean stays above zero.
_CLEAR = 3.0
# A one-sided error of 2.5 % is off by about 0.085 times skewness / sqrt(n) (Edgeworth).
_SKEWNESS_FACTOR, _SKEWNESS_LIMIT = 0.085, 0.01


def read_proportions(
    x_treatment: SupportsIndex,
    n_treatment: SupportsIndex,
    x_control: SupportsIndex,
    n_control: SupportsIndex,
    *,
    alpha: float,
    prior: tuple[float, float] = UNIFORM,
    metric: str = "proportion",
    arms: tuple[str, str] = ("treatment", "control"),
) -> BayesianReading:
    """Read two proportions with a beta prior, the same for both arms.

    Parameters
    ----------
    x_treatment, n_treatment, x_control, n_control : int
        Units with the event and all units of each arm, ``0 <= x <= n``.
    alpha : float
        One less the probability of the credible intervals, between 0 and 1.
    prior : tuple of float
        The two parameters of the beta distribution; ``(1, 1)`` takes every share for equally
        probable.
    metric : str
        Name of the metric.
    arms : tuple of str
        Names of the treated arm and of the control.

    Raises
    ------
    DesignError
        When a count is impossible, a parameter of the prior is not above 0, or alpha is not
        between 0 and 1.

    Notes
    -----
    An empty arm leaves its prior: nothing is learned, and a reason says so. The shares of the arms
    are independent beforehand; the reading then expects larger lifts than campaigns bring, so that
    it is a little bolder than the score test at small counts.

    References
    ----------
    Gelman et al. (2013), section 2.4.

    Examples
    --------
    >>> reading = read_proportions(56, 70, 48, 80, alpha=0.05)
    >>> round(reading.probability_better, 6), f"{reading.loss_choosing_variant:.3g}"
    (0.99593, '9.53e-05')
    """
    counts = [
        check_count(value, name)
        for value, name in (
            (x_treatment, "x_treatment"),
            (n_treatment, "n_treatment"),
            (x_control, "x_control"),
            (n_control, "n_control"),
        )
    ]
    x_t, n_t, x_c, n_c = counts
    for x, n, name in ((x_t, n_t, "treatment"), (x_c, n_c, "control")):
        if x > n:
            raise DesignError(
                say("x_{name} is {x} but n_{name} is {n}", name=name, x=x, n=n),
                expected=say("x at most n"),
            )
    check_share(alpha, "alpha")
    a, b = (check_positive(value, say("a parameter of the prior")) for value in prior)
    words = (
        say(_UNIFORM_PRIOR)
        if (a, b) == UNIFORM
        else say(
            _BETA_PRIOR, a=formats.significant(a, figures=6), b=formats.significant(b, figures=6)
        )
    )
    labels = ReadingLabels(
        metric=metric,
        arms=arms,
        scale="share",
        prior=words,
        alpha=alpha,
        method=say(_BETA),
        n=(n_t, n_c),
    )
    reason = size_reason(n_t, n_c, arms=arms) if 0 in (n_t, n_c) else ""
    if reason:
        return labels.nothing(reason)
    treated = _Beta(a=a + x_t, b=b + n_t - x_t)
    control = _Beta(a=a + x_c, b=b + n_c - x_c)
    z = np.linspace(-_REACH, _REACH, _NODES)
    weight = np.exp(-0.5 * z**2)
    weight /= weight.sum()
    # Over the narrower posterior the other one is smooth, however unequal the arms are.
    over_treated = treated.sd <= control.sd
    shares = (treated if over_treated else control).at(z)

    def below(difference: float) -> float:
        if over_treated:
            return float(weight @ control.survival(shares - difference))
        return float(weight @ treated.cdf(shares + difference))

    def below_ratio(ratio: float) -> float:
        if over_treated:
            return float(weight @ control.survival(shares / ratio))
        return float(weight @ treated.cdf(shares * ratio))

    if over_treated:
        better = float(weight @ control.cdf(shares))
        losses = weight @ control.expected_excess(shares), weight @ control.expected_gap(shares)
    else:
        better = float(weight @ treated.survival(shares))
        losses = weight @ treated.expected_gap(shares), weight @ treated.expected_excess(shares)
    tails = (alpha / 2, 1.0 - alpha / 2)
    low, high = (_where(below, tail, -1.0, 1.0) for tail in tails)
    ratios = [_ratio(below_ratio, tail) for tail in (0.5, *tails)]
    return labels.reading(
        probability_better=better,
        difference=(treated.mean - control.mean, low, high),
        lift=(ratios[0] - 1.0, ratios[1] - 1.0, ratios[2] - 1.0),
        losses=(float(losses[0]), float(losses[1])),
    )


def read_means(
    treatment: ArrayLike | Moments,
    control: ArrayLike | Moments,
    *,
    alpha: float,
    lift_sd: float = WEAK_LIFT_SD,
    metric: str = "mean",
    arms: tuple[str, str] = ("treatment", "control"),
) -> BayesianReading:
    """Read two means with a normal prior of the relative lift, about 0.

    Parameters
    ----------
    treatment, control : array-like of shape (n,) or Moments
        One value per assigned unit, or the summary of the arm; the mean of the control above 0.
    alpha : float
        One less the probability of the credible intervals, between 0 and 1.
    lift_sd : float
        Standard deviation of the prior of the relative lift. 0.1 says that two campaigns in three
        change the metric by less than 10 %; the wide default says little.
    metric : str
        Name of the metric.
    arms : tuple of str
        Names of the treated arm and of the control.

    Raises
    ------
    DesignError
        When ``lift_sd`` is not above 0, alpha is not between 0 and 1, or a value is not a number.

    Notes
    -----
    Both means are taken as normal with their standard errors, the prior of the control mean is
    flat. Given the lift r the data then say ``mean_t - (1 + r) mean_c`` with the variance
    ``se_t^2 + (1 + r)^2 se_c^2``, and the control mean is normal; r is integrated over a grid.

    The normal approximation is what misleads with small controls and heavy tails. Where the
    skewness of an arm moves a one-sided error of 2.5 % by more than a point, ``caution`` says so
    and the sentence repeats it.

    Examples
    --------
    >>> rng = np.random.default_rng(8)
    >>> reading = read_means(rng.normal(11, 3, 900), rng.normal(10, 3, 200), alpha=0.05,
    ...                      lift_sd=0.2)
    >>> reading.probability_better > 0.99, reading.lift_low < 0.1 < reading.lift_high
    (True, True)
    """
    check_share(alpha, "alpha")
    check_positive(lift_sd, "lift_sd")
    first, second = (
        values if isinstance(values, Moments) else Moments.from_array(as_values(values, name))
        for values, name in ((treatment, "treatment"), (control, "control"))
    )
    shown = formats.percent(lift_sd, decimals=0 if lift_sd >= 0.1 else 1)
    labels = ReadingLabels(
        metric=metric,
        arms=arms,
        scale="number",
        prior=say(_LIFT_PRIOR, sd=shown),
        alpha=alpha,
        method=say(_NORMAL),
        n=(first.n, second.n),
    )
    reason = _means_reason(first, second, arms)
    if reason:
        return labels.nothing(reason)
    squared_t, squared_c = first.variance / first.n, second.variance / second.n
    centre = first.mean / second.mean - 1.0
    error = math.sqrt(squared_t + (1.0 + centre) ** 2 * squared_c) / second.mean
    # The grid holds the data and the prior, whichever reaches further into the other.
    reach = _LIFT_REACH * min(error * _tail_factor(second.mean, squared_c), lift_sd)
    lifts = np.linspace(min(centre, 0.0) - reach, max(centre, 0.0) + reach, _LIFT_NODES)
    variance = squared_t + (1.0 + lifts) ** 2 * squared_c
    gap = first.mean - (1.0 + lifts) * second.mean
    log_weight = -0.5 * (gap**2 / variance + np.log(variance) + (lifts / lift_sd) ** 2)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    precision = (1.0 + lifts) ** 2 / squared_t + 1.0 / squared_c
    base = ((1.0 + lifts) * first.mean / squared_t + second.mean / squared_c) / precision
    spread = np.maximum(np.abs(lifts) / np.sqrt(precision), 1e-300)
    low, high = (
        float(mixture_quantile((lifts * base)[None], spread[None], weight, tail)[0])
        for tail in (alpha / 2, 1.0 - alpha / 2)
    )
    below = np.cumsum(weight) - 0.5 * weight
    found = np.interp([0.5, alpha / 2, 1.0 - alpha / 2], below, lifts)
    change = lifts * base
    return labels.reading(
        probability_better=1.0 - float(np.interp(0.0, lifts, below)),
        difference=(float(weight @ change), low, high),
        lift=(float(found[0]), float(found[1]), float(found[2])),
        losses=(
            float(weight @ np.maximum(-change, 0.0)),
            float(weight @ np.maximum(change, 0.0)),
        ),
        caution=_caution(first, second, arms),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beta:
    """A beta distribution."""

    a: float
    b: float

    @property
    def mean(self) -> float:
        return self.a / (self.a + self.b)

    def cdf(self, share: FloatArray) -> FloatArray:
        return np.asarray(special.betainc(self.a, self.b, np.clip(share, 0.0, 1.0)))

    def at(self, z: FloatArray) -> FloatArray:
        """Quantiles at the probabilities of a standard normal; both tails keep their digits."""
        lower = special.betaincinv(self.a, self.b, special.ndtr(z))
        upper = 1.0 - special.betaincinv(self.b, self.a, special.ndtr(-z))
        return np.asarray(np.where(z < 0, lower, upper))

    @property
    def sd(self) -> float:
        total = self.a + self.b
        return math.sqrt(self.a * self.b / (total + 1.0)) / total

    def survival(self, share: FloatArray) -> FloatArray:
        return np.asarray(special.betaincc(self.a, self.b, np.clip(share, 0.0, 1.0)))

    def expected_gap(self, share: FloatArray) -> FloatArray:
        """Give the expected gap of this one under a share, ``E max(share - X, 0)``."""
        below = special.betainc(self.a + 1.0, self.b, share)
        return np.asarray(share * special.betainc(self.a, self.b, share) - self.mean * below)

    def expected_excess(self, share: FloatArray) -> FloatArray:
        """Give the expected excess of this one over a share, ``E max(X - share, 0)``."""
        above = special.betaincc(self.a + 1.0, self.b, share)
        return np.asarray(self.mean * above - share * special.betaincc(self.a, self.b, share))


def _where(below: Callable[[float], float], tail: float, left: float, right: float) -> float:
    return float(optimize.brentq(lambda point: below(point) - tail, left, right, xtol=1e-13))


def _ratio(below: Callable[[float], float], tail: float) -> float:
    """Find the ratio that has this much below it; on the scale of logarithms."""

    def at(log_ratio: float) -> float:
        return below(math.exp(log_ratio))

    return math.exp(_where(at, tail, -60.0, 60.0))


def _means_reason(treatment: Moments, control: Moments, arms: tuple[str, str]) -> str:
    reason = size_reason(treatment.n, control.n, arms=arms)
    if reason:
        return reason
    for arm, moments in zip(arms, (treatment, control), strict=True):
        if math.isnan(moments.mean):
            return say(_NOT_FINITE, arm=word(arm))
        if not moments.m2 > 0:
            return say(_CONSTANT, arm=word(arm))
    if control.mean <= _CLEAR * math.sqrt(control.variance / control.n):
        return say(_NOT_ABOVE, arm=word(arms[1]))
    return ""


def _tail_factor(mean: float, squared_error: float) -> float:
    """Widen the grid where the control mean itself is uncertain."""
    return 1.0 / max(1.0 - _CLEAR * math.sqrt(squared_error) / mean, 0.05)


def _caution(treatment: Moments, control: Moments, arms: tuple[str, str]) -> str:
    for arm, moments in zip(arms, (treatment, control), strict=True):
        shift = _SKEWNESS_FACTOR * abs(moments.skewness) / math.sqrt(moments.n)
        if shift > _SKEWNESS_LIMIT:
            return say(_UNEVEN, arm=word(arm))
    return ""
