"""Who was really reached, and what the treatment did to those.

The assignment is random, the delivery is not: an address may be dead, and a unit of the control
may be reached by another way. Comparing the reached with the others would compare different people.
So the difference of the arms as assigned is divided by the difference in delivery.

References
----------
Imbens, G., Angrist, J. (1994), "Identification and estimation of local average treatment effects",
Econometrica 62. Angrist, J., Imbens, G., Rubin, D. (1996), "Identification of causal effects using
instrumental variables", JASA 91. Anderson, T. W., Rubin, H. (1949), Annals of Mathematical
Statistics 20. Fieller, E. C. (1954), Journal of the Royal Statistical Society B 16.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.language import message, say, word
from crm_lab.stats.arguments import FloatArray, as_given, as_values, check_count, check_share
from crm_lab.stats.effects import Comparison
from crm_lab.stats.means import compare_means
from crm_lab.stats.moments import PairMoments
from crm_lab.stats.permutation import permutation_null, permutation_test
from crm_lab.stats.studentised import (
    ArmEstimate,
    Labels,
    Quantiles,
    comparison,
    t_quantiles,
)

ComplianceMethod = Literal["permutation", "t"]
SetShape = Literal["interval", "two rays", "everything", "nothing"]

_WORDS: dict[ComplianceMethod, str] = {
    "permutation": message(
        "ratio of differences; Anderson-Rubin set with the quantiles of the studentised"
        " permutation of the outcome"
    ),
    "t": message("ratio of differences; Anderson-Rubin set with Welch's t"),
}
_ASSUMPTIONS = (
    message("the assignment was random"),
    message("the assignment changes an outcome only through what was delivered"),
    message("nobody is reached just because of being held out"),
)
_NOBODY = message("nobody of arm {arm} was reached")
_SAME = message("the same share was reached in both arms")
_FEWER = message("fewer were reached in arm {treatment} than in arm {control}")
_UNBOUNDED = message(
    "the arms do not differ enough in what was delivered: the data exclude no large effect"
)
_LENGTHS = message("{values} values but {reached} marks of who was reached in the {arm}")
_MARKS = message("a mark of who was reached is neither 0 nor 1")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ComplierEffect(Result):
    """The effect on units who are reached when assigned and not reached when held out.

    Attributes
    ----------
    metric : str
        Name of the metric.
    estimate : float
        Effect per such unit, in the unit of the metric; NaN where the data support none.
    low, high : float
        Ends of the ``1 - alpha`` set; infinite where it is open.
    excluded_low, excluded_high : float
        For the shape ``"two rays"`` the gap that the set leaves out; NaN otherwise.
    shape : {"interval", "two rays", "everything", "nothing"}
        Form of the set. ``"nothing"`` where there is no set at all.
    p_value : float
        Two-sided p-value of "no effect": that of the difference as assigned.
    reached_treatment, reached_control : float
        Share of each arm that was reached.
    intention_to_treat : Comparison
        The difference of the arms as assigned, which this number is made from.
    assumptions : tuple of str
        What must hold besides the random assignment.
    alpha : float
        Two-sided error level.
    method : str
        The method, in words.
    reason : str
        Why there is no estimate, or why the set is open; empty otherwise.
    """

    metric: str
    estimate: float
    low: float
    high: float
    excluded_low: float
    excluded_high: float
    shape: SetShape
    p_value: float
    reached_treatment: float
    reached_control: float
    intention_to_treat: Comparison
    assumptions: tuple[str, ...]
    alpha: float
    method: str
    reason: str = ""
    title: ClassVar[str] = message("Effect on those who were reached")

    @property
    def is_known(self) -> bool:
        """Whether the data support an estimate."""
        return math.isfinite(self.estimate)

    @property
    def compliers(self) -> float:
        """Share of units whom the assignment decides about: reached less reached anyway."""
        return self.reached_treatment - self.reached_control

    def sentence(self) -> str:
        """Say the effect with its set, the shares reached, and what it rests on."""
        if not self.is_known:
            return say(
                "{metric}: cannot conclude, because {reason}.",
                metric=word(self.metric),
                reason=self.reason,
            )
        places = min(formats.decimals_for(self.low, self.high), 4)
        shown = formats.number(self.estimate, decimals=places, signed=True)
        parts = [
            say(
                "{metric}: {effect} per unit reached ({interval}).",
                metric=word(self.metric),
                effect=shown,
                interval=self._set(places),
            )
        ]
        if self.reason:
            parts.append(say("Cannot conclude on its size, because {reason}.", reason=self.reason))
        parts += [
            say(
                "{treated} of the treated and {controls} of the controls were reached.",
                treated=formats.percent(self.reached_treatment),
                controls=formats.percent(self.reached_control),
            ),
            say("It holds if {assumptions}.", assumptions="; ".join(self.assumptions)),
        ]
        return " ".join(parts)

    def to_frame(self) -> pd.DataFrame:
        """Give the effect as assigned and the effect on those reached, a row each."""
        assigned = self.intention_to_treat.absolute
        rows = [
            {
                "effect": "as assigned",
                "estimate": assigned.estimate,
                "low": assigned.low,
                "high": assigned.high,
                "shape": "interval" if assigned.is_known else "nothing",
                "p_value": assigned.p_value,
                "method": assigned.method,
                "reason": assigned.reason,
            },
            {
                "effect": "on those reached",
                "estimate": self.estimate,
                "low": self.low,
                "high": self.high,
                "shape": self.shape,
                "p_value": self.p_value,
                "method": self.method,
                "reason": self.reason,
            },
        ]
        return pd.DataFrame(rows)

    def _set(self, places: int) -> str:
        if self.shape == "everything":
            return say("any size is possible")
        if self.shape == "two rays":
            low, high = (
                formats.number(end, decimals=min(formats.decimals_for(*self._gap()), 4))
                for end in self._gap()
            )
            return say("anything up to {low} or from {high} on", low=low, high=high)
        return formats.interval(self.low, self.high, decimals=places)

    def _gap(self) -> tuple[float, float]:
        return self.excluded_low, self.excluded_high


def complier_effect(
    y_t: ArrayLike,
    reached_t: ArrayLike,
    y_c: ArrayLike,
    reached_c: ArrayLike | None = None,
    *,
    alpha: float,
    rng: np.random.Generator,
    permutations: int = 10_000,
    method: ComplianceMethod = "permutation",
    metric: str = "mean",
    arms: tuple[str, str] = ("treatment", "control"),
) -> ComplierEffect:
    """Estimate the effect on units who were reached because they were assigned.

    Use it beside the difference as assigned, never instead of it: the decision to send is about
    everybody who would be assigned.

    Parameters
    ----------
    y_t, y_c : array-like, shape (n,)
        Outcome of every assigned unit, reached or not, in the unit of the metric.
    reached_t : array-like, shape (n,)
        1 (or True) where the treatment was delivered, 0 elsewhere.
    reached_c : array-like, shape (n,), optional
        The same for the control; by default nobody of it was reached.
    alpha : float
        Two-sided error level, between 0 and 1.
    rng : numpy.random.Generator
        Source of the permutations; not used by method ``"t"``.
    permutations : int
        Number of random splits.
    method : {"permutation", "t"}
        Where the quantiles of t come from.
    metric : str
        Name of the metric.
    arms : tuple of str
        Names of the treated arm and of the control.

    Raises
    ------
    DesignError
        When lengths differ, a mark is neither 0 nor 1, or alpha is not between 0 and 1.

    Notes
    -----
    The estimate is the difference of the means of y divided by the difference of the shares
    reached. An effect b is in the set when the t of ``y - b reached`` lies between the quantiles;
    at b = 0 that is the test of the difference as assigned, so both always agree. The set is not
    an interval when the shares reached cannot be told apart; that is said and not hidden.

    The quantiles come from the outcome and serve for every b. That is exact at b = 0 and holds in
    the limit elsewhere. With heavy-tailed revenue, a control of 5 % of 3,000 or 20,000 and 10 or
    70 % reached, the set of nominally 95 % covered 95.4 to 95.9 %; with the quantiles of t 79 to
    89 %. See ``docs/simulations/designs.md``.

    References
    ----------
    Angrist, Imbens and Rubin (1996), equation 9; Anderson and Rubin (1949).

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> reached = rng.random(1_900) < 0.6
    >>> y_t, y_c = rng.normal(10.0, 2.0, 1_900) + 2.0 * reached, rng.normal(10.0, 2.0, 400)
    >>> found = complier_effect(y_t, reached, y_c, alpha=0.05, rng=rng, permutations=999)
    >>> found.shape, found.low < 2.0 < found.high
    ('interval', True)
    """
    check_share(alpha, "alpha")
    check_count(permutations, "permutations", minimum=1)
    if method not in _WORDS:
        raise DesignError(as_given("method", repr(method)), expected=say("'permutation' or 't'"))
    outcome_t, outcome_c = as_values(y_t, "y_t"), as_values(y_c, "y_c")
    marks_t = _marks(reached_t, outcome_t.size, "treatment")
    marks_c = (
        np.zeros(outcome_c.size)
        if reached_c is None
        else _marks(reached_c, outcome_c.size, "control")
    )
    treatment = PairMoments.from_arrays(outcome_t, marks_t)
    control = PairMoments.from_arrays(outcome_c, marks_c)
    assigned, quantiles = _as_assigned(
        outcome_t, outcome_c, alpha, rng, permutations, method, metric, arms
    )
    first_stage = treatment.mean_x - control.mean_x
    reason = assigned.absolute.reason if not assigned.absolute.is_known else ""
    if not reason and not first_stage > 0:
        if treatment.mean_x == 0:
            reason = say(_NOBODY, arm=word(arms[0]))
        elif first_stage == 0:
            reason = say(_SAME)
        else:
            reason = say(_FEWER, treatment=word(arms[0]), control=word(arms[1]))
    gap = (math.nan, math.nan)
    low = high = estimate = math.nan
    shape: SetShape = "nothing"
    if not reason:
        estimate = assigned.absolute.estimate / first_stage
        low, high, gap, shape = _set_of_effects(treatment, control, quantiles)
        if shape == "interval":
            # An end that ties with its quantile is exactly "no effect", as the test says.
            low = 0.0 if assigned.absolute.low == 0 else low
            high = 0.0 if assigned.absolute.high == 0 else high
        if not (math.isfinite(low) and math.isfinite(high)):
            reason = assigned.absolute.reason or say(_UNBOUNDED)
    assumed = _ASSUMPTIONS if marks_c.any() else _ASSUMPTIONS[:2]
    return ComplierEffect(
        metric=metric,
        estimate=estimate,
        low=low,
        high=high,
        excluded_low=gap[0],
        excluded_high=gap[1],
        shape=shape,
        p_value=math.nan if shape == "nothing" else assigned.absolute.p_value,
        reached_treatment=treatment.mean_x,
        reached_control=control.mean_x,
        intention_to_treat=assigned,
        assumptions=tuple(say(text) for text in assumed),
        alpha=alpha,
        method=say(_WORDS[method]),
        reason=reason,
    )


def _as_assigned(
    y_t: FloatArray,
    y_c: FloatArray,
    alpha: float,
    rng: np.random.Generator,
    permutations: int,
    method: ComplianceMethod,
    metric: str,
    arms: tuple[str, str],
) -> tuple[Comparison, Quantiles]:
    """Compare the arms as assigned, and give the quantiles that this rests on."""
    nothing = Quantiles(p_value=math.nan, low=-math.inf, high=math.inf)
    usable = min(y_t.size, y_c.size) > 1 and all(np.all(np.isfinite(y)) for y in (y_t, y_c))
    if not usable or not (np.ptp(y_t) > 0 or np.ptp(y_c) > 0):
        # compare_means names the reason.
        return compare_means(y_t, y_c, alpha=alpha, rng=rng, metric=metric, arms=arms), nothing
    first, second = (
        ArmEstimate(value=float(y.mean()), squared_error=float(y.var(ddof=1)) / y.size, n=y.size)
        for y in (y_t, y_c)
    )
    error = math.sqrt(first.squared_error + second.squared_error)
    t = (first.value - second.value) / error
    if method == "t":
        spread = first.squared_error**2 / (first.n - 1) + second.squared_error**2 / (second.n - 1)
        quantiles = t_quantiles(t, error**4 / spread, alpha=alpha)
        labels = Labels(alpha=alpha, method="Welch t", metric=metric, arms=arms)
        return comparison(first, second, quantiles, labels), quantiles
    null = permutation_null(
        np.concatenate([y_t, y_c]), y_t.size, y_c.size, permutations=permutations, rng=rng
    )
    test = permutation_test(t, null, alpha=alpha)
    quantiles = Quantiles(p_value=test.p_value, low=test.low_quantile, high=test.high_quantile)
    found = compare_means(y_t, y_c, alpha=alpha, rng=rng, null=null, metric=metric, arms=arms)
    return found, quantiles


def _set_of_effects(
    treatment: PairMoments, control: PairMoments, quantiles: Quantiles
) -> tuple[float, float, tuple[float, float], SetShape]:
    """Collect the effects b for which the t of y - b reached lies between the quantiles."""
    difference = treatment.mean_y - control.mean_y
    first_stage = treatment.mean_x - control.mean_x
    v_y, v_x, v_xy = (
        sum(getattr(arm, name) / arm.n for arm in (treatment, control))
        for name in ("variance_y", "variance_x", "covariance")
    )

    def is_inside(b: float) -> bool:
        distance = difference - b * first_stage
        error = math.sqrt(max(v_y - 2.0 * b * v_xy + b**2 * v_x, 0.0))
        return quantiles.low * error <= distance <= quantiles.high * error

    roots: set[float] = set()
    for quantile in (quantiles.low, quantiles.high):
        if math.isfinite(quantile):
            roots |= _roots(
                first_stage**2 - quantile**2 * v_x,
                difference * first_stage - quantile**2 * v_xy,
                difference**2 - quantile**2 * v_y,
            )
    ends = sorted(roots)
    if not ends:
        return -math.inf, math.inf, (math.nan, math.nan), "everything"
    width = max(1.0, abs(ends[0]), abs(ends[-1]))
    points = [ends[0] - width, *((a + b) / 2 for a, b in itertools.pairwise(ends))]
    inside = [is_inside(point) for point in [*points, ends[-1] + width]]
    edges = [-math.inf, *ends, math.inf]
    parts = [(edges[i], edges[i + 1]) for i, holds in enumerate(inside) if holds]
    joined = _joined(parts)
    gap = (math.nan, math.nan)
    if not joined:
        # The estimate itself always belongs to the set; both quantiles at 0 leave only it.
        estimate = difference / first_stage
        return estimate, estimate, gap, "interval"
    low, high = joined[0][0], joined[-1][1]
    if len(joined) > 1:
        return low, high, (joined[0][1], joined[-1][0]), "two rays"
    return low, high, gap, "everything" if low == -math.inf and high == math.inf else "interval"


def _joined(parts: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Join neighbours that share an end."""
    found: list[tuple[float, float]] = []
    for low, high in parts:
        if found and found[-1][1] == low:
            found[-1] = (found[-1][0], high)
        else:
            found.append((low, high))
    return found


def _roots(a: float, b: float, c: float) -> set[float]:
    """Solve ``a x^2 - 2 b x + c = 0``."""
    if a == 0:
        return {c / (2.0 * b)} if b != 0 else set()
    inner = b**2 - a * c
    if inner < 0:
        return set()
    larger = b + math.copysign(math.sqrt(inner), b)
    return {larger / a, c / larger} if larger != 0 else {0.0}


def _marks(reached: ArrayLike, size: int, arm: str) -> FloatArray:
    marks = as_values(reached, say("marks of who was reached in the {arm}", arm=word(arm)))
    if marks.size != size:
        raise DesignError(say(_LENGTHS, values=size, reached=marks.size, arm=word(arm)))
    if not np.all((marks == 0) | (marks == 1)):
        raise DesignError(
            say(_MARKS), expected=say("1 where the treatment was delivered, 0 elsewhere")
        )
    return marks
