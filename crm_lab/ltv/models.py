"""What a fit has found, as frozen results: purchase models, and Gamma-Gamma for spend.

A fit that the data cannot carry has a ``reason``. Its parameters are NaN when nothing was fitted,
and stand for inspection when they were fitted but mean nothing (collapse, no mean).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

import numpy as np
import pandas as pd

from crm_lab.cards import Result
from crm_lab.language import say
from crm_lab.ltv import wording
from crm_lab.ltv.parameters import (
    AnyParameters,
    BGBBParameters,
    FloatArray,
    GammaGammaParameters,
    Parameters,
    ParetoNBDParameters,
    PurchaseModel,
    PurchaseParameters,
    as_vector,
    from_vector,
    names_of,
)
from crm_lab.stats.normal import two_sided_quantile

INDEPENDENCE_LIMIT = 0.2
"""A correlation of frequency and spend beyond this, either way, is warned about."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class PurchaseFit(Result):
    """A purchase model fitted to a base by maximum likelihood.

    Attributes
    ----------
    model : {"bg_nbd", "mbg_nbd", "pareto_nbd", "bg_bb"}
        Which model.
    parameters : BGNBDParameters, MBGNBDParameters, ParetoNBDParameters or BGBBParameters
        The estimates; NaN when nothing was fitted.
    covariance : ndarray, shape (4, 4)
        Covariance of the estimates (delta method on log-parameters); NaN where there is none.
    log_likelihood : float
        Maximum of the full log-likelihood.
    n_customers, n_distinct, n_repeaters : int
        Customers, distinct histories, and customers with a repeat purchase.
    unit_days : float
        Days in one unit of time; NaN where the unit is an opportunity (BG/BB).
    alpha : float
        Two-sided error probability of the intervals of the parameters.
    converged : bool
        Whether an optimum was reached.
    reason : str
        Why the fit cannot be trusted; empty when it can.
    warnings : tuple of str
        What a reader must know although the fit can be trusted.
    as_of : datetime.date or None
        Closing day of the history.
    policies : tuple of str
        How orders became histories.
    data_hash : str
        Fingerprint of the histories that were fitted; empty when nothing was.
    method : str
        How it was fitted.
    """

    model: PurchaseModel
    parameters: PurchaseParameters
    covariance: FloatArray
    log_likelihood: float
    n_customers: int
    n_distinct: int
    n_repeaters: int
    unit_days: float
    alpha: float = 0.05
    converged: bool
    reason: str = ""
    warnings: tuple[str, ...] = ()
    as_of: date | None = None
    policies: tuple[str, ...] = wording.POLICIES
    data_hash: str = ""
    method: str = wording.OWN_METHOD

    @property
    def title(self) -> str:  # type: ignore[override]
        """The heading of the card."""
        return say(wording.PURCHASE_TITLE, model=wording.MODEL_NAMES[self.model])

    @property
    def is_trusted(self) -> bool:
        """Whether there is no reason against using the fit."""
        return not self.reason

    @property
    def standard_errors(self) -> PurchaseParameters:
        """Standard errors of the parameters."""
        return standard_errors(self.parameters, self.covariance)

    @property
    def log_covariance(self) -> FloatArray:
        """Covariance of the logs of the parameters, from which to draw them."""
        values = as_vector(self.parameters)
        return np.asarray(self.covariance / np.outer(values, values))

    def sentence(self) -> str:
        """Say what the fit has found, or why there is none."""
        if self.reason:
            return say(wording.NO_PURCHASE_MODEL, reason=self.reason)
        return wording.with_warnings(self._finding(), self.warnings)

    def to_frame(self) -> pd.DataFrame:
        """Give the parameters with standard errors and intervals."""
        return parameter_frame(self.parameters, self.covariance, self.alpha)

    def card_frame(self) -> pd.DataFrame:
        """Give the same with the names of the parameters as people read them."""
        return wording.with_symbols(self.to_frame())

    def _finding(self) -> str:
        p = self.parameters
        if isinstance(p, BGBBParameters):
            return wording.bg_bb_sentence(
                customers=self.n_customers,
                buys=p.alpha / (p.alpha + p.beta),
                leaves=p.gamma / (p.gamma + p.delta),
            )
        rate = p.r / p.alpha * 30 / self.unit_days
        if isinstance(p, ParetoNBDParameters):
            left = -math.expm1(-p.s * math.log1p(365 / self.unit_days / p.beta))
            return wording.pareto_nbd_sentence(
                customers=self.n_customers, monthly_rate=rate, left=left
            )
        return wording.bg_nbd_sentence(
            customers=self.n_customers,
            monthly_rate=rate,
            dropout=p.a / (p.a + p.b),
            first_too=self.model == "mbg_nbd",
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class GammaGammaFit(Result):
    """A Gamma-Gamma spend model fitted to the repeat customers of a history.

    Attributes
    ----------
    parameters : GammaGammaParameters
        p, q, gamma; NaN when nothing was fitted.
    covariance : ndarray, shape (3, 3)
        Covariance of the estimates (delta method on log-parameters); NaN where there is none.
    log_likelihood : float
        Maximum of the full log-likelihood.
    n_customers, n_distinct : int
        Customers with a paid repeat purchase, and distinct numbers of purchases among them.
    mean_spend : float
        Expected value of a purchase over all customers, p gamma / (q - 1).
    currency : str
        Currency code of the money.
    frequency_correlation, correlation_low, correlation_high : float
        Pearson's correlation of the number and the mean value of a customer's purchases, with
        Fisher's interval; the model needs it near 0.
    independence : str
        What that correlation means for the forecast, in a sentence; a warning beyond
        ``INDEPENDENCE_LIMIT``.
    alpha : float
        Two-sided error probability of the intervals.
    converged : bool
        Whether an optimum was reached.
    reason : str
        Why the fit cannot be trusted; empty when it can.
    warnings : tuple of str
        What a reader must know although the fit can be trusted.
    as_of : datetime.date or None
        Closing day of the history.
    policies : tuple of str
        How orders became histories.
    data_hash : str
        Fingerprint of the spends that were fitted; empty when nothing was.
    method : str
        How it was fitted.
    """

    title: ClassVar[str] = wording.SPEND_TITLE

    parameters: GammaGammaParameters
    covariance: FloatArray
    log_likelihood: float
    n_customers: int
    n_distinct: int
    mean_spend: float
    currency: str
    frequency_correlation: float
    correlation_low: float
    correlation_high: float
    independence: str
    alpha: float = 0.05
    converged: bool
    reason: str = ""
    warnings: tuple[str, ...] = ()
    as_of: date | None = None
    policies: tuple[str, ...] = wording.POLICIES
    data_hash: str = ""
    method: str = wording.OWN_METHOD

    @property
    def is_trusted(self) -> bool:
        """Whether there is no reason against using the fit."""
        return not self.reason

    @property
    def is_independent(self) -> bool:
        """Whether frequency and spend are near enough to independent."""
        return abs(self.frequency_correlation) <= INDEPENDENCE_LIMIT

    @property
    def standard_errors(self) -> GammaGammaParameters:
        """Standard errors of the parameters."""
        return standard_errors(self.parameters, self.covariance)

    @property
    def log_covariance(self) -> FloatArray:
        """Covariance of the logs of the parameters, from which to draw them."""
        values = as_vector(self.parameters)
        return np.asarray(self.covariance / np.outer(values, values))

    def sentence(self) -> str:
        """Say what the fit has found, or why there is none."""
        if self.reason:
            return say(wording.NO_SPEND_MODEL, reason=self.reason)
        said = wording.gamma_gamma_sentence(
            repeaters=self.n_customers,
            mean=self.mean_spend,
            currency=self.currency,
            independence=self.independence,
        )
        return wording.with_warnings(said, self.warnings)

    def to_frame(self) -> pd.DataFrame:
        """Give the parameters with standard errors and intervals."""
        return parameter_frame(self.parameters, self.covariance, self.alpha)

    def card_frame(self) -> pd.DataFrame:
        """Give the same with the names of the parameters as people read them."""
        return wording.with_symbols(self.to_frame())


def standard_errors(parameters: AnyParameters, covariance: FloatArray) -> AnyParameters:
    """Give the standard errors of parameters as a record of the same kind.

    Parameters
    ----------
    parameters : parameters of a model
        The estimates.
    covariance : ndarray, shape (k, k)
        Their covariance.

    Returns
    -------
    parameters of the same kind
        NaN where there is no covariance.
    """
    variances = np.diag(covariance)
    return from_vector(type(parameters), np.sqrt(np.where(variances >= 0, variances, np.nan)))


def parameter_frame(parameters: Parameters, covariance: FloatArray, alpha: float) -> pd.DataFrame:
    """Give estimates with standard errors and intervals.

    The intervals are on the log scale: parameters are positive, and their logs nearly normal.

    Parameters
    ----------
    parameters : parameters of a model
        The estimates.
    covariance : ndarray, shape (k, k)
        Their covariance.
    alpha : float
        Two-sided error probability.

    Returns
    -------
    pandas.DataFrame
        ``parameter``, ``estimate``, ``standard_error``, ``low``, ``high``.
    """
    width = two_sided_quantile(alpha)
    values = as_vector(parameters)
    errors = as_vector(standard_errors(parameters, covariance))
    factor = np.exp(np.minimum(width * errors / values, 700.0))
    return pd.DataFrame(
        {
            "parameter": names_of(type(parameters)),
            "estimate": values,
            "standard_error": errors,
            "low": values / factor,
            "high": values * factor,
        }
    )
