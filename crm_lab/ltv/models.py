"""BG/NBD for purchases and Gamma-Gamma for spend: fits of a history, as frozen results.

A fit that the data cannot carry has a ``reason``. Its parameters are NaN when nothing was fitted,
and stand for inspection when they were fitted but mean nothing (collapse, no mean).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy import special

from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.formats import number, percent
from crm_lab.ltv import wording
from crm_lab.ltv.formulas import (
    BGNBDParameters,
    GammaGammaParameters,
    bg_nbd_log_likelihood,
    gamma_gamma_log_likelihood,
)
from crm_lab.ltv.history import DistinctHistories, PurchaseHistory, distinct_histories

MIN_CUSTOMERS = 50
"""Below this number of customers BG/NBD is not fitted."""

MIN_REPEATERS = 30
"""Below this number of customers with a repeat purchase neither model is fitted."""

COLLAPSE_DROPOUT = 0.001
"""A mean drop-out probability a/(a+b) below this is a collapse to the plain NBD."""

EXTREME_SHAPE = 1e4
"""A shape parameter above this has run off: its beta or gamma law has become a single point."""

INDEPENDENCE_LIMIT = 0.2
"""A correlation of frequency and spend beyond this, either way, is warned about."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class BGNBDFit(Result):
    """A BG/NBD model fitted to a purchase history by maximum likelihood.

    Attributes
    ----------
    parameters : BGNBDParameters
        r, alpha, a, b; NaN when nothing was fitted.
    standard_errors : BGNBDParameters
        Standard errors of the four (delta method on log-parameters).
    log_likelihood : float
        Maximum of the full log-likelihood.
    n_customers, n_distinct, n_repeaters : int
        Customers, distinct histories, and customers with a repeat purchase.
    unit_days : float
        Days in one unit of time, which is also the unit of ``alpha``.
    alpha : float
        Two-sided error probability of the intervals of the parameters.
    converged : bool
        Whether an optimum was reached.
    reason : str
        Why the fit cannot be trusted; empty when it can.
    method : str
        How it was fitted.
    """

    title: ClassVar[str] = "Purchases: BG/NBD"

    parameters: BGNBDParameters
    standard_errors: BGNBDParameters
    log_likelihood: float
    n_customers: int
    n_distinct: int
    n_repeaters: int
    unit_days: float
    alpha: float = 0.05
    converged: bool
    reason: str = ""
    method: str = wording.LIFETIMES_METHOD

    @property
    def is_trusted(self) -> bool:
        """Whether there is no reason against using the fit."""
        return not self.reason

    def sentence(self) -> str:
        """Say what the fit has found, or why there is none."""
        if self.reason:
            return wording.no_forecast("purchase model to rely on", self.reason)
        p = self.parameters
        return wording.bg_nbd_sentence(
            customers=self.n_customers,
            monthly_rate=p.r / p.alpha * 30 / self.unit_days,
            dropout=p.a / (p.a + p.b),
        )

    def to_frame(self) -> pd.DataFrame:
        """Give the parameters with standard errors and intervals."""
        return _parameter_frame(self.parameters, self.standard_errors, self.alpha)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class GammaGammaFit(Result):
    """A Gamma-Gamma spend model fitted to the repeat customers of a history.

    Attributes
    ----------
    parameters : GammaGammaParameters
        p, q, gamma; NaN when nothing was fitted.
    standard_errors : GammaGammaParameters
        Standard errors of the three (delta method on log-parameters).
    log_likelihood : float
        Maximum of the full log-likelihood.
    n_customers, n_distinct : int
        Customers with a paid repeat purchase, and distinct pairs (x, m) among them.
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
    method : str
        How it was fitted.
    """

    title: ClassVar[str] = "Spend per purchase: Gamma-Gamma"

    parameters: GammaGammaParameters
    standard_errors: GammaGammaParameters
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
    method: str = wording.LIFETIMES_METHOD

    @property
    def is_trusted(self) -> bool:
        """Whether there is no reason against using the fit."""
        return not self.reason

    @property
    def is_independent(self) -> bool:
        """Whether frequency and spend are near enough to independent."""
        return abs(self.frequency_correlation) <= INDEPENDENCE_LIMIT

    def sentence(self) -> str:
        """Say what the fit has found, or why there is none."""
        if self.reason:
            return wording.no_forecast("spend model to rely on", self.reason)
        return wording.gamma_gamma_sentence(
            repeaters=self.n_customers,
            mean=self.mean_spend,
            currency=self.currency,
            independence=self.independence,
        )

    def to_frame(self) -> pd.DataFrame:
        """Give the parameters with standard errors and intervals."""
        return _parameter_frame(self.parameters, self.standard_errors, self.alpha)


def fit_bg_nbd(history: PurchaseHistory, *, alpha: float = 0.05) -> BGNBDFit:
    """Fit the BG/NBD model, which says how often customers buy and whether they still do.

    Valid where customers buy at their own random times and leave for good, unnoticed, after some
    purchase; not for subscriptions, nor for a base with a strong season or a change of offer.

    Parameters
    ----------
    history : PurchaseHistory
        At least ``MIN_CUSTOMERS`` customers, ``MIN_REPEATERS`` of them with a repeat purchase.
    alpha : float, default 0.05
        Two-sided error probability of the intervals of the parameters.

    Returns
    -------
    BGNBDFit
        With a ``reason`` where the data cannot carry it.

    References
    ----------
    .. [1] Fader, Hardie, Lee (2005). Marketing Science 24(2), 275-284, equation 6.
    """
    check_alpha(alpha)
    tuples = distinct_histories(history)
    reason = _too_few(history)
    if reason:
        return _bg_nbd_fit(history, tuples, alpha=alpha, reason=reason)
    from crm_lab.ltv.lifetimes_backend import fit_bg_nbd_tuples

    found = fit_bg_nbd_tuples(tuples.frequency, tuples.recency, tuples.age, tuples.customers)
    if not found.converged:
        reason = wording.NOT_CONVERGED.format(detail=found.detail)
        return _bg_nbd_fit(history, tuples, alpha=alpha, reason=reason)
    parameters = BGNBDParameters(
        **dict(zip(("r", "alpha", "a", "b"), found.parameters, strict=True))
    )
    errors = BGNBDParameters(
        **dict(zip(("r", "alpha", "a", "b"), found.standard_errors, strict=True))
    )
    return _bg_nbd_fit(
        history,
        tuples,
        alpha=alpha,
        reason=bg_nbd_problem(parameters, errors),
        parameters=parameters,
        errors=errors,
        converged=True,
    )


def fit_gamma_gamma(history: PurchaseHistory, *, alpha: float = 0.05) -> GammaGammaFit:
    """Fit the Gamma-Gamma model of what a customer spends on a purchase day.

    Valid where the value of purchases is positive and does not depend on how often the customer
    buys; the result carries the check of that.

    Parameters
    ----------
    history : PurchaseHistory
        At least ``MIN_REPEATERS`` customers with a repeat purchase day above 0.
    alpha : float, default 0.05
        Two-sided error probability of the intervals.

    Returns
    -------
    GammaGammaFit
        With a ``reason`` where the data cannot carry it.

    References
    ----------
    .. [1] Fader, Hardie (2013). The Gamma-Gamma Model of Monetary Value. Note 025, equation 1a.
    """
    check_alpha(alpha)
    paid = history.customers.loc[
        history.customers["paid_frequency"] > 0, ["paid_frequency", "monetary_value"]
    ]
    sizes = paid.groupby(["paid_frequency", "monetary_value"]).size()
    if paid.empty:
        return _gamma_gamma_fit(history, paid, len(sizes), alpha=alpha, reason=wording.NO_AMOUNTS)
    if len(paid) < MIN_REPEATERS:
        reason = wording.too_few("customers with a paid repeat purchase", len(paid), MIN_REPEATERS)
        return _gamma_gamma_fit(history, paid, len(sizes), alpha=alpha, reason=reason)
    from crm_lab.ltv.lifetimes_backend import fit_gamma_gamma_tuples

    found = fit_gamma_gamma_tuples(
        sizes.index.get_level_values(0).to_numpy(np.float64),
        sizes.index.get_level_values(1).to_numpy(np.float64),
        sizes.to_numpy().astype(np.float64),
    )
    if not found.converged:
        reason = wording.NOT_CONVERGED.format(detail=found.detail)
        return _gamma_gamma_fit(history, paid, len(sizes), alpha=alpha, reason=reason)
    names = ("p", "q", "gamma")
    parameters = GammaGammaParameters(**dict(zip(names, found.parameters, strict=True)))
    errors = GammaGammaParameters(**dict(zip(names, found.standard_errors, strict=True)))
    return _gamma_gamma_fit(
        history,
        paid,
        len(sizes),
        alpha=alpha,
        reason=gamma_gamma_problem(parameters, errors),
        parameters=parameters,
        errors=errors,
        converged=True,
    )


def bg_nbd_problem(parameters: BGNBDParameters, errors: BGNBDParameters) -> str:
    """Say why BG/NBD parameters cannot be trusted; empty when they can.

    Parameters
    ----------
    parameters, errors : BGNBDParameters
        Estimates and their standard errors.

    Returns
    -------
    str
        The reason.
    """
    dropout = parameters.a / (parameters.a + parameters.b)
    if dropout < COLLAPSE_DROPOUT:
        return wording.COLLAPSED.format(dropout=percent(dropout, decimals=3))
    return _extreme({"r": parameters.r, "a": parameters.a, "b": parameters.b}) or _errors(
        (errors.r, errors.alpha, errors.a, errors.b)
    )


def gamma_gamma_problem(parameters: GammaGammaParameters, errors: GammaGammaParameters) -> str:
    """Say why Gamma-Gamma parameters cannot be trusted; empty when they can.

    Parameters
    ----------
    parameters, errors : GammaGammaParameters
        Estimates and their standard errors.

    Returns
    -------
    str
        The reason.
    """
    if parameters.q <= 1:
        return wording.NO_MEAN_SPEND.format(q=number(parameters.q, decimals=3))
    return _extreme({"p": parameters.p, "q": parameters.q}) or _errors(
        (errors.p, errors.q, errors.gamma)
    )


def check_alpha(alpha: float) -> None:
    """Refuse an error probability that is none.

    Parameters
    ----------
    alpha : float
        To be above 0 and below 1.

    Raises
    ------
    DesignError
        When it is not.
    """
    if not 0 < alpha < 1:
        raise DesignError(f"alpha = {alpha:g}", expected="above 0 and below 1", where="alpha")


def _bg_nbd_fit(
    history: PurchaseHistory,
    tuples: DistinctHistories,
    *,
    alpha: float,
    reason: str,
    parameters: BGNBDParameters | None = None,
    errors: BGNBDParameters | None = None,
    converged: bool = False,
) -> BGNBDFit:
    nothing = BGNBDParameters(r=math.nan, alpha=math.nan, a=math.nan, b=math.nan)
    likelihood = math.nan
    if parameters is not None:
        likelihood = bg_nbd_log_likelihood(
            parameters, tuples.frequency, tuples.recency, tuples.age, customers=tuples.customers
        )
    return BGNBDFit(
        parameters=parameters or nothing,
        standard_errors=errors or nothing,
        log_likelihood=likelihood,
        n_customers=history.n_customers,
        n_distinct=len(tuples.customers),
        n_repeaters=history.n_repeaters,
        unit_days=history.unit_days,
        alpha=alpha,
        converged=converged,
        reason=reason,
    )


def _gamma_gamma_fit(
    history: PurchaseHistory,
    paid: pd.DataFrame,
    n_distinct: int,
    *,
    alpha: float,
    reason: str,
    parameters: GammaGammaParameters | None = None,
    errors: GammaGammaParameters | None = None,
    converged: bool = False,
) -> GammaGammaFit:
    nothing = GammaGammaParameters(p=math.nan, q=math.nan, gamma=math.nan)
    likelihood = mean = math.nan
    if parameters is not None:
        likelihood = gamma_gamma_log_likelihood(
            parameters, paid["paid_frequency"].to_numpy(), paid["monetary_value"].to_numpy()
        )
        if parameters.q > 1:
            mean = parameters.p * parameters.gamma / (parameters.q - 1)
    correlation, low, high = _correlation(paid, alpha)
    return GammaGammaFit(
        parameters=parameters or nothing,
        standard_errors=errors or nothing,
        log_likelihood=likelihood,
        n_customers=len(paid),
        n_distinct=n_distinct,
        mean_spend=mean,
        currency=history.currency,
        frequency_correlation=correlation,
        correlation_low=low,
        correlation_high=high,
        independence=""
        if math.isnan(correlation)
        else wording.independence_sentence(correlation, low, high, limit=INDEPENDENCE_LIMIT),
        alpha=alpha,
        converged=converged,
        reason=reason,
    )


def _too_few(history: PurchaseHistory) -> str:
    if history.n_customers < MIN_CUSTOMERS:
        return wording.too_few("customers", history.n_customers, MIN_CUSTOMERS)
    if not history.span_days > 0:
        return wording.NO_OBSERVATION_TIME
    if history.n_repeaters < MIN_REPEATERS:
        return wording.too_few(
            "customers with a repeat purchase", history.n_repeaters, MIN_REPEATERS
        )
    return ""


def _extreme(shapes: dict[str, float]) -> str:
    off = [name for name, value in shapes.items() if value > EXTREME_SHAPE]
    return wording.WEAK.format(names=wording.names(off)) if off else ""


def _errors(errors: tuple[float, ...]) -> str:
    return "" if np.isfinite(errors).all() else wording.NO_ERRORS


def _correlation(paid: pd.DataFrame, alpha: float) -> tuple[float, float, float]:
    """Pearson's correlation with Fisher's z interval; NaN where a column does not vary."""
    x, m = paid["paid_frequency"].to_numpy(np.float64), paid["monetary_value"].to_numpy()
    if len(x) < 4 or np.ptp(x) == 0 or np.ptp(m) == 0:
        return (math.nan, math.nan, math.nan)
    estimate = float(np.corrcoef(x, m)[0, 1])
    z, width = math.atanh(estimate), special.ndtri(1 - alpha / 2) / math.sqrt(len(x) - 3)
    return (estimate, math.tanh(z - width), math.tanh(z + width))


def _parameter_frame(
    parameters: BGNBDParameters | GammaGammaParameters,
    errors: BGNBDParameters | GammaGammaParameters,
    alpha: float,
) -> pd.DataFrame:
    width = float(special.ndtri(1 - alpha / 2))
    rows = []
    for name in type(parameters).__slots__:
        estimate, error = getattr(parameters, name), getattr(errors, name)
        # Intervals on the log scale: parameters are positive, the logs nearly normal.
        factor = math.exp(min(width * error / estimate, 700.0)) if error >= 0 else math.nan
        rows.append(
            {
                "parameter": name,
                "estimate": estimate,
                "standard_error": error,
                "low": estimate / factor,
                "high": estimate * factor,
            }
        )
    return pd.DataFrame(rows)
