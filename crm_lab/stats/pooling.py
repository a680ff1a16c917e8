"""Many effects read together: what they share, how they differ, and each one drawn to the rest.

The largest of many noisy effects is mostly luck. Every effect is therefore drawn towards the mean
of all, the more so the less it says by itself (partial pooling). How far the true effects differ
(tau) is not known well from a few of them, so the answer is an average over all plausible values
of tau and not over one estimate of it.

References
----------
DuMouchel, W. H., Normand, S.-L. (2000), "Computer-modeling and graphical strategies for
meta-analysis", in: Meta-analysis in medicine and health policy (the prior of tau for two effects).
Gelman, A. et al. (2013), "Bayesian data analysis", third edition, section 5.4, equations 5.17 to
5.21, and section 5.7 (a flat prior of tau from three effects on). Paule,
R. C., Mandel, J. (1982), "Consensus values and weighting factors", Journal of Research of the
National Bureau of Standards 87. Hartung, J., Knapp, G. (2001), Statistics in Medicine 20. Rover,
C., Knapp, G., Friede, T. (2015), BMC Medical Research Methodology 15 (the factor is never below
1). Higgins, J. P. T., Thompson, S. G. (2002), Statistics in Medicine 21 (I squared).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.language import message, say, say_many
from crm_lab.stats.arguments import FloatArray, as_given, as_values, check_share
from crm_lab.stats.effects import Scale
from crm_lab.stats.multiplicity import adjust_p_values
from crm_lab.stats.pooling_posterior import pool

_METHOD = message(
    "normal-normal partial pooling, averaged over tau ({prior}, flat prior of the "
    "mean); mean by Paule-Mandel and Hartung-Knapp"
)
_FLAT = message("flat prior of tau")
_DUMOUCHEL = message("prior of tau s / (s + tau)^2")
_NO_ESTIMATE = message("there is no estimate")
_NO_ERROR = message("there is no standard error above 0")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PooledEffects(Result):
    """Many effects with what they say of each other; larger is taken as better.

    Fields in the plural and ``shrunken...``, ``weights``, ``holm``, ``benjamini_hochberg`` and
    ``probability_best`` hold one number per effect, in the order given, NaN where an effect could
    not be used.

    Attributes
    ----------
    names : tuple of str
        Name of each effect.
    estimates, standard_errors : tuple of float
        What was given, in the unit of the effects.
    shrunken, shrunken_low, shrunken_high : tuple of float
        Each effect drawn towards the mean (posterior mean), and its ``1 - alpha`` interval, which
        carries the uncertainty of the mean and of tau.
    weights : tuple of float
        Share of each shrunken effect that comes from its own data, 0 to 1.
    mean, mean_low, mean_high : float
        Mean of the true effects and its interval (Hartung-Knapp).
    tau : float
        Standard deviation of the true effects (Paule-Mandel); 0 when the estimates differ no more
        than chance.
    q, degrees_of_freedom, heterogeneity_p : float, int, float
        Cochran's test that all true effects are the same.
    i_squared : float
        Share of the variation of the estimates that is not chance, 0 to 1.
    prediction_low, prediction_high : float
        Where the next effect of this kind lies with probability ``1 - alpha``.
    p_values, holm, benjamini_hochberg : tuple of float
        Two-sided tests of the raw effects against 0, plain and adjusted for their number.
    probability_best : tuple of float
        Probability that the effect is the largest of all; they sum to 1.
    alpha : float
        Two-sided error level.
    method : str
        The method, in words.
    scale : {"number", "share"}
        How people read the effects.
    reasons : tuple of str
        Why an effect was not used; empty otherwise.
    reason : str
        Why numbers of the whole are NaN; empty otherwise.
    """

    names: tuple[str, ...]
    estimates: tuple[float, ...]
    standard_errors: tuple[float, ...]
    shrunken: tuple[float, ...]
    shrunken_low: tuple[float, ...]
    shrunken_high: tuple[float, ...]
    weights: tuple[float, ...]
    mean: float
    mean_low: float
    mean_high: float
    tau: float
    q: float
    degrees_of_freedom: int
    heterogeneity_p: float
    i_squared: float
    prediction_low: float
    prediction_high: float
    p_values: tuple[float, ...]
    holm: tuple[float, ...]
    benjamini_hochberg: tuple[float, ...]
    probability_best: tuple[float, ...]
    alpha: float
    method: str
    scale: Scale
    reasons: tuple[str, ...]
    reason: str = ""

    @property
    def title(self) -> str:  # type: ignore[override]
        """The heading of the card."""
        return say_many("{count} effect together", "{count} effects together", self.n_effects)

    @property
    def n_effects(self) -> int:
        """How many effects were used."""
        return sum(not reason for reason in self.reasons)

    @property
    def best(self) -> str:
        """Name of the effect that is most probably the largest; empty when there is none."""
        found = [p if math.isfinite(p) else -1.0 for p in self.probability_best]
        return self.names[found.index(max(found))] if self.n_effects else ""

    @property
    def is_best_certain(self) -> bool:
        """Whether one of several effects is the largest with probability ``1 - alpha`` or more."""
        known = [p for p in self.probability_best if math.isfinite(p)]
        return len(known) > 1 and max(known) >= 1.0 - self.alpha

    def sentence(self) -> str:
        """Say the mean, whether the effects differ, and whether a best one can be named."""
        if self.n_effects == 0:
            return say("Cannot conclude, because {reason}.", reason=self.reason)
        if self.n_effects == 1:
            return say("The effects cannot be compared, because {reason}.", reason=self.reason)
        mean = self._interval(self.mean, self.mean_low, self.mean_high)
        average = say_many(
            "{count} effect: on average {mean}.",
            "{count} effects: on average {mean}.",
            self.n_effects,
            mean=mean,
        )
        parts = [average, self._differences()]
        top = formats.percent(max(p for p in self.probability_best if p == p), decimals=0)
        if self.is_best_certain:
            parts.append(
                say(
                    "The best is {name} (probability {probability}).",
                    name=self.best,
                    probability=top,
                )
            )
        else:
            parts.append(
                say(
                    "The order is not certain: {name} is the best with a probability of"
                    " {probability}.",
                    name=self.best,
                    probability=top,
                )
            )
        left_out = len(self.names) - self.n_effects
        if left_out:
            shown = formats.number(left_out)
            parts.append(say("Effects that could not be used: {count}.", count=shown))
        return " ".join(parts)

    def to_frame(self) -> pd.DataFrame:
        """Give one row per effect: raw and shrunken numbers, tests, probability to be the best."""
        return pd.DataFrame(
            {
                "name": self.names,
                "estimate": self.estimates,
                "standard_error": self.standard_errors,
                "shrunken": self.shrunken,
                "shrunken_low": self.shrunken_low,
                "shrunken_high": self.shrunken_high,
                "weight": self.weights,
                "p_value": self.p_values,
                "holm": self.holm,
                "benjamini_hochberg": self.benjamini_hochberg,
                "probability_best": self.probability_best,
                "reason": self.reasons,
            }
        )

    def card_frame(self) -> pd.DataFrame:
        """Give the columns that decide, the most probable best first."""
        shown = ["name", "estimate", "shrunken", "shrunken_low", "shrunken_high", "holm"]
        table = self.to_frame().sort_values("probability_best", ascending=False, kind="stable")
        return table[[*shown, "probability_best"]]

    def _differences(self) -> str:
        p = formats.p_text(self.heterogeneity_p)
        if self.heterogeneity_p <= self.alpha:
            return say("They differ by more than chance ({p}).", p=p)
        return say("The data do not show that they differ ({p}).", p=p)

    def _interval(self, estimate: float, low: float, high: float) -> str:
        if self.scale == "share":
            return formats.percent_interval(estimate, low, high)
        return formats.number_interval(estimate, low, high)


def pool_effects(
    estimates: ArrayLike,
    standard_errors: ArrayLike,
    *,
    alpha: float,
    names: Sequence[str] | None = None,
    p_values: ArrayLike | None = None,
    next_standard_error: float = 0.0,
    scale: Scale = "number",
) -> PooledEffects:
    """Read many effects together: shrink each, compare them, and say what to expect of the next.

    Use it for a league of campaigns, forms or shops. Naming the largest raw effect as the best
    promises more than it will repeat; the shrunken effects do not.

    Parameters
    ----------
    estimates, standard_errors : array-like, shape (k,)
        One independent effect each, on a scale on which it is about normal (differences, or
        logarithms of ratios). A missing or infinite estimate, and a standard error that is missing,
        infinite or 0, leave the effect out; its place stays.
    alpha : float
        Two-sided error level, between 0 and 1.
    names : sequence of str, optional
        Names of the effects; ``"1"``, ``"2"`` and so on by default.
    p_values : array-like, shape (k,), optional
        Two-sided p-values of the tests the effects came from; by default those of the normal
        distribution. Only ``holm`` and ``benjamini_hochberg`` use them.
    next_standard_error : float
        0 predicts the true effect of the next one; its standard error predicts what will be
        measured.
    scale : {"number", "share"}
        How people read the effects: plain numbers, or shares written as percentages.

    Returns
    -------
    PooledEffects
        One effect alone stays as it is; then mean interval, tau and prediction are NaN with a
        reason.

    Raises
    ------
    DesignError
        When lengths differ, a standard error is negative, a name is given twice, or alpha is not
        between 0 and 1.

    Notes
    -----
    ``tau`` is the estimate of Paule and Mandel, at which the factor of Hartung and Knapp is 1; the
    mean has the quantiles of t with k - 1 degrees of freedom. Where tau is 0 the factor stays 1.

    The shrunken effects average over tau with a flat prior, and with two effects, where that is not
    possible, with the prior ``s / (s + tau)^2`` (``s^2`` the harmonic mean of the squared standard
    errors). Given tau they follow equations 5.17 and 5.20 of Gelman et al. (2013). The prediction
    is that of the same average. The flat prior was chosen by simulation: with 4, 8 and 24 effects
    and a tau of 0 to 3 standard errors its intervals of nominally 95 % covered 93.7 to 99.9 % of
    the effects, those of the other prior 90.9 to 99.9 % and those at one estimate of tau 82.8 to
    97.8 %. See ``docs/simulations/designs.md``.

    The standard errors that go in decide. On revenue against a control of 5 % the error of Welch
    is small where the control missed its large spenders, which is where the effect looks large:
    pooled intervals then covered 87.6 %. With the error ``s sqrt(1 / n_t + 1 / n_c)`` from the
    standard deviation s of both arms together they covered 98.1 %.

    Standard errors are taken as known, and the true effects as drawn from one normal distribution.
    Whoever pools effects of one control group should know that they are not independent.

    References
    ----------
    See the head of this module.

    Examples
    --------
    >>> league = pool_effects([28, 8, -3, 7, -1, 1, 18, 12], [15, 10, 16, 11, 9, 11, 10, 18],
    ...                       alpha=0.05, names=list("ABCDEFGH"))
    >>> round(league.shrunken[0], 1), league.best, league.is_best_certain
    (11.4, 'A', False)
    """
    check_share(alpha, "alpha")
    y, s = as_values(estimates, "estimates"), as_values(standard_errors, "standard_errors")
    labels = _names(names, y.size)
    _check(y, s, next_standard_error)
    tests = 2.0 * special.ndtr(-np.abs(_divided(y, s))) if p_values is None else p_values
    raw = as_values(tests, "p_values").copy()
    if raw.size != y.size:
        raise DesignError(say("{y} estimates but {raw} p-values", y=y.size, raw=raw.size))
    reasons = tuple(_reason(a, b) for a, b in zip(y, s, strict=True))
    used = np.array([not reason for reason in reasons], dtype=bool)
    raw[~used] = math.nan
    whole, each = pool(y[used], s[used], alpha, next_standard_error)

    def in_place(found: FloatArray) -> tuple[float, ...]:
        full = np.full(y.size, math.nan)
        full[used] = found
        return _floats(full)

    return PooledEffects(
        names=labels,
        estimates=_floats(y),
        standard_errors=_floats(s),
        shrunken=in_place(each.shrunken),
        shrunken_low=in_place(each.low),
        shrunken_high=in_place(each.high),
        weights=in_place(each.weights),
        mean=whole.mean,
        mean_low=whole.mean_low,
        mean_high=whole.mean_high,
        tau=whole.tau,
        q=whole.q,
        degrees_of_freedom=max(int(used.sum()) - 1, 0),
        heterogeneity_p=whole.heterogeneity_p,
        i_squared=whole.i_squared,
        prediction_low=each.prediction[0],
        prediction_high=each.prediction[1],
        p_values=_floats(raw),
        holm=_floats(adjust_p_values(raw, method="holm")),
        benjamini_hochberg=_floats(adjust_p_values(raw, method="benjamini-hochberg")),
        probability_best=in_place(each.probability_best),
        alpha=alpha,
        method=say(_METHOD, prior=say(_FLAT if used.sum() > 2 else _DUMOUCHEL)),
        scale=scale,
        reasons=reasons,
        reason=whole.reason,
    )


def _divided(y: FloatArray, s: FloatArray) -> FloatArray:
    found = np.full(y.shape, math.nan)
    np.divide(y, s, out=found, where=np.isfinite(y) & np.isfinite(s) & (s > 0))
    return found


def _reason(estimate: float, standard_error: float) -> str:
    if not math.isfinite(estimate):
        return say(_NO_ESTIMATE)
    if not (math.isfinite(standard_error) and standard_error > 0):
        return say(_NO_ERROR)
    return ""


def _names(names: Sequence[str] | None, size: int) -> tuple[str, ...]:
    if names is None:
        return tuple(str(number) for number in range(1, size + 1))
    if len(names) != size:
        raise DesignError(say("{size} estimates but {names} names", size=size, names=len(names)))
    if len(set(names)) != size:
        raise DesignError(say("a name is given twice"), expected=say("one name per effect"))
    return tuple(names)


def _check(y: FloatArray, s: FloatArray, next_standard_error: float) -> None:
    if y.size != s.size:
        raise DesignError(say("{y} estimates but {s} standard errors", y=y.size, s=s.size))
    if bool((s < 0).any()):
        raise DesignError(say("a standard error is negative"), expected=say("numbers above 0"))
    if not (math.isfinite(next_standard_error) and next_standard_error >= 0):
        raise DesignError(
            as_given("next_standard_error", next_standard_error),
            expected=say("a finite number of 0 or more"),
        )


def _floats(values: FloatArray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
