"""A number with its interval and what it rests on; and predictions of both arms."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from crm_lab.errors import DesignError
from crm_lab.language import say
from crm_lab.stats.arguments import FloatArray, as_values
from crm_lab.stats.normal import two_sided_quantile
from crm_lab.uplift.trial import Evidence, Trial

_CROSS_FITTED = "wider because the models were fitted by cross-fitting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its interval and how it was found.

    Attributes
    ----------
    estimate, low, high : float
        The number and the ends of its two-sided ``1 - alpha`` interval; NaN where the data
        support none.
    p_value : float
        Two-sided p-value of "it is 0"; NaN where there is no test.
    alpha : float
        Two-sided error level.
    method : str
        Method of number and interval, in words.
    evidence : {"randomised", "observational"}
        What the number rests on.
    n_treatment, n_control : int
        Units of each arm that it is about.
    reason : str
        Why there is no number; empty otherwise.

    Examples
    --------
    >>> found = Estimate(estimate=2.0, low=1.0, high=3.0, p_value=0.001, alpha=0.05, method="t",
    ...                  evidence="randomised", n_treatment=90, n_control=10)
    >>> found.scaled(10.0, shift=-5.0).low, found.is_above(0.0), found.is_below(5.0)
    (5.0, True, True)
    """

    estimate: float
    low: float
    high: float
    p_value: float
    alpha: float
    method: str
    evidence: Evidence
    n_treatment: int
    n_control: int
    reason: str = ""

    @property
    def is_known(self) -> bool:
        """Whether the data support a number."""
        return math.isfinite(self.estimate)

    def is_above(self, value: float) -> bool:
        """Whether the whole interval lies above ``value``."""
        return self.low > value

    def is_below(self, value: float) -> bool:
        """Whether the whole interval lies below ``value``."""
        return self.high < value

    def scaled(self, factor: float, *, shift: float = 0.0) -> Estimate:
        """Give ``factor * number + shift``; the p-value is kept only where the shift is 0."""
        ends = sorted((factor * self.low + shift, factor * self.high + shift))
        return replace(
            self,
            estimate=factor * self.estimate + shift,
            low=ends[0],
            high=ends[1],
            p_value=self.p_value if shift == 0.0 and factor != 0.0 else math.nan,
        )

    def cross_fitted(self, constant_part: float = 0.0) -> Estimate:
        """Give the same number with an interval that holds for models fitted by cross-fitting.

        Each customer is scored by models of the others, and so counts in their scores as they
        count in his. Where there is nothing to find, the sum over customers of the score from the
        others times the own effect is a degenerate U-statistic: every pair counts twice, which
        doubles the variance of what depends on the score. Where there is much to find, the
        interval is wider than needed. Measured in ``docs/simulations/uplift_cross_fitting.md``.

        Parameters
        ----------
        constant_part : float
            Part of the variance that does not depend on the scores, 0 to 1: for a rule that
            contacts a share of the customers, that share; for a ranking 0.
        """
        if not self.is_known or self.low == self.high:
            return self
        factor = math.sqrt(2.0 - constant_part)
        return replace(
            self,
            low=self.estimate - factor * (self.estimate - self.low),
            high=self.estimate + factor * (self.high - self.estimate),
            p_value=2.0 * float(special.ndtr(special.ndtri(self.p_value / 2.0) / factor)),
            method=f"{self.method}; {_CROSS_FITTED}",
        )

    def widened(self, squared_error: float) -> Estimate:
        """Give the same number with one more source of error, independent of the others.

        Parameters
        ----------
        squared_error : float
            Its squared standard error, 0 or more.
        """
        if squared_error == 0.0 or not self.is_known:
            return self
        reach = two_sided_quantile(self.alpha) ** 2 * squared_error
        return replace(
            self,
            low=self.estimate - math.sqrt((self.estimate - self.low) ** 2 + reach),
            high=self.estimate + math.sqrt((self.high - self.estimate) ** 2 + reach),
            p_value=math.nan,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """Expected outcome of each unit in both arms, fitted on other units.

    Attributes
    ----------
    treated, control : ndarray, shape (n,)
        Expected outcome with and without the treatment, in the unit of the outcome.

    Raises
    ------
    DesignError
        When lengths differ or a prediction is missing or infinite.

    Examples
    --------
    >>> Predictions(treated=[2.0, 3.0], control=[1.0, 1.0]).effect
    array([1., 2.])
    """

    treated: FloatArray
    control: FloatArray

    def __post_init__(self) -> None:
        treated, control = as_values(self.treated, "treated"), as_values(self.control, "control")
        if treated.size != control.size:
            raise DesignError(
                say(
                    "{first} predictions of one arm and {second} of other",
                    first=treated.size,
                    second=control.size,
                )
            )
        if not (np.all(np.isfinite(treated)) and np.all(np.isfinite(control))):
            raise DesignError(
                say("a prediction is missing or infinite"), expected=say("one per unit")
            )
        object.__setattr__(self, "treated", treated)
        object.__setattr__(self, "control", control)

    @property
    def effect(self) -> FloatArray:
        """Predicted effect of each unit."""
        return self.treated - self.control


def no_estimate(trial: Trial, *, alpha: float, method: str, reason: str = "") -> Estimate:
    """Give the estimate that is not there yet, or not at all: NaN, with a reason if it is final."""
    return Estimate(
        estimate=math.nan,
        low=math.nan,
        high=math.nan,
        p_value=math.nan,
        alpha=alpha,
        method=method,
        evidence=trial.evidence,
        n_treatment=trial.n_treatment,
        n_control=trial.n_control,
        reason=reason,
    )
