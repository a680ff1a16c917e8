"""Fit a model to a purchase history: check that the data can carry it, search, diagnose."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from crm_lab.errors import DesignError
from crm_lab.formats import separated
from crm_lab.language import say
from crm_lab.ltv import wording
from crm_lab.ltv.estimation import (
    Diagnosis,
    diagnose_purchases,
    diagnose_spend,
    likelihood_of,
    maximise_purchases,
    maximise_spend,
)
from crm_lab.ltv.fitting import Optimum, optimum_at
from crm_lab.ltv.gamma_gamma import GammaGammaLikelihood
from crm_lab.ltv.history import PurchaseHistory
from crm_lab.ltv.models import INDEPENDENCE_LIMIT, GammaGammaFit, PurchaseFit
from crm_lab.ltv.parameters import (
    PARAMETERS_OF,
    FloatArray,
    GammaGammaParameters,
    PurchaseModel,
    from_vector,
    unknown,
)
from crm_lab.ltv.tuples import DistinctHistories, count_histories, fingerprint
from crm_lab.stats.normal import two_sided_quantile

Backend = Literal["own", "lifetimes"]
"""Who searches: our own Newton method, or the package lifetimes as a second opinion."""

MIN_CUSTOMERS = 50
"""Below this number of customers no purchase model is fitted."""

MIN_REPEATERS = 30
"""Below this number of customers with a repeat purchase no model is fitted."""


def fit_purchases(
    history: PurchaseHistory,
    *,
    model: PurchaseModel = "bg_nbd",
    alpha: float = 0.05,
    backend: Backend = "own",
) -> PurchaseFit:
    """Fit a model of how often customers buy and whether they still do.

    BG/NBD lets customers leave after a repeat purchase, MBG/NBD after any, Pareto/NBD at any
    moment. Valid where customers buy at their own random times and leave for good, unnoticed; not
    for subscriptions, nor for a base with a strong season or a change of offer.

    Parameters
    ----------
    history : PurchaseHistory
        At least ``MIN_CUSTOMERS`` customers, ``MIN_REPEATERS`` of them with a repeat purchase.
    model : {"bg_nbd", "mbg_nbd", "pareto_nbd"}, default "bg_nbd"
        Which model; BG/BB has its own function, :func:`fit_bg_bb`.
    alpha : float, default 0.05
        Two-sided error probability of the intervals of the parameters.
    backend : {"own", "lifetimes"}, default "own"
        Who searches. The covariance is ours in both.

    Returns
    -------
    PurchaseFit
        With a ``reason`` where the data cannot carry it.

    Raises
    ------
    DesignError
        For an unknown model or backend, or an impossible alpha.

    References
    ----------
    .. [1] Fader, Hardie, Lee (2005). Marketing Science 24(2), 275-284, equation 6.
    .. [2] Batislam, Denizel, Filiztekin (2007). Int. J. of Research in Marketing 24(3), 201-209.
    .. [3] Fader, Hardie (2005). A Note on Deriving the Pareto/NBD Model. Note 009, equation 18.
    """
    check_alpha(alpha)
    _check_choice("backend", backend, ("own", "lifetimes"))
    _check_choice("model", model, ("bg_nbd", "mbg_nbd", "pareto_nbd"))
    frame = history.customers
    tuples = count_histories(
        frame["frequency"].to_numpy(),
        frame["recency"].to_numpy(),
        frame["age"].to_numpy(),
        unit_days=history.unit_days,
    )
    return _purchase_fit(
        tuples,
        model=model,
        alpha=alpha,
        backend=backend,
        unit_days=history.unit_days,
        as_of=history.as_of,
        policies=wording.POLICIES,
    )


def fit_bg_nbd(
    history: PurchaseHistory, *, alpha: float = 0.05, backend: Backend = "own"
) -> PurchaseFit:
    """Fit BG/NBD, in which customers leave after a repeat purchase; see :func:`fit_purchases`."""
    return fit_purchases(history, model="bg_nbd", alpha=alpha, backend=backend)


def fit_mbg_nbd(
    history: PurchaseHistory, *, alpha: float = 0.05, backend: Backend = "own"
) -> PurchaseFit:
    """Fit MBG/NBD, in which customers leave after any purchase; see :func:`fit_purchases`."""
    return fit_purchases(history, model="mbg_nbd", alpha=alpha, backend=backend)


def fit_pareto_nbd(
    history: PurchaseHistory, *, alpha: float = 0.05, backend: Backend = "own"
) -> PurchaseFit:
    """Fit Pareto/NBD, in which customers leave at any moment; see :func:`fit_purchases`."""
    return fit_purchases(history, model="pareto_nbd", alpha=alpha, backend=backend)


def fit_bg_bb(
    frequency: ArrayLike,
    recency: ArrayLike,
    opportunities: ArrayLike,
    *,
    customers: ArrayLike | None = None,
    alpha: float = 0.05,
    backend: Backend = "own",
) -> PurchaseFit:
    """Fit BG/BB, for purchases that can happen at set opportunities only.

    Parameters
    ----------
    frequency : array_like, shape (n,)
        Opportunities used after the first purchase, x.
    recency : array_like, shape (n,)
        The last opportunity used, t_x; 0 where there is none.
    opportunities : array_like, shape (n,)
        How many opportunities there were.
    customers : array_like, shape (n,), optional
        How many customers each row stands for; 1 by default.
    alpha : float, default 0.05
        Two-sided error probability of the intervals of the parameters.
    backend : {"own", "lifetimes"}, default "own"
        Who searches. The covariance is ours in both.

    Returns
    -------
    PurchaseFit
        With a ``reason`` where the data cannot carry it.

    Raises
    ------
    DesignError
        When a history is impossible; all faults at once.

    References
    ----------
    .. [1] Fader, Hardie, Shang (2010). Marketing Science 29(6), 1086-1108, equation 5.
    """
    check_alpha(alpha)
    _check_choice("backend", backend, ("own", "lifetimes"))
    tuples = count_histories(frequency, recency, opportunities, customers=customers)
    whole = all(np.array_equal(times, np.rint(times)) for times in (tuples.recency, tuples.age))
    if not whole or (tuples.frequency > tuples.recency).any():
        raise DesignError(
            say("recency or opportunities are no counts, or more were used than there were"),
            expected=say("whole numbers with frequency <= recency <= opportunities"),
            where="histories",
        )
    return _purchase_fit(
        tuples,
        model="bg_bb",
        alpha=alpha,
        backend=backend,
        unit_days=math.nan,
        as_of=None,
        policies=(wording.AS_GIVEN,),
    )


def fit_gamma_gamma(
    history: PurchaseHistory, *, alpha: float = 0.05, backend: Backend = "own"
) -> GammaGammaFit:
    """Fit the Gamma-Gamma model of what a customer spends on a purchase day.

    Valid where the value of purchases is positive and does not depend on how often the customer
    buys; the result carries the check of that.

    Parameters
    ----------
    history : PurchaseHistory
        At least ``MIN_REPEATERS`` customers with a repeat purchase day above 0.
    alpha : float, default 0.05
        Two-sided error probability of the intervals.
    backend : {"own", "lifetimes"}, default "own"
        Who searches. The covariance is ours in both.

    Returns
    -------
    GammaGammaFit
        With a ``reason`` where the data cannot carry it.

    References
    ----------
    .. [1] Fader, Hardie (2013). The Gamma-Gamma Model of Monetary Value. Note 025, equation 1a.
    """
    check_alpha(alpha)
    _check_choice("backend", backend, ("own", "lifetimes"))
    x, mean = spends_of(history)
    parameters = unknown(GammaGammaParameters)
    covariance = np.full((3, 3), math.nan)
    found: Optimum | None = None
    warnings: tuple[str, ...] = ()
    reason, digest, method = _spend_gate(x), "", wording.OWN_METHOD
    if not reason:
        found, method, reason = _search_spend(x, mean, backend)
    if found is not None:
        diagnosis = diagnose_spend(found)
        reason, warnings = diagnosis.reason, diagnosis.warnings
        parameters = from_vector(GammaGammaParameters, found.estimates)
        covariance = found.covariance
        digest = fingerprint(np.sort(x), np.sort(mean), np.sort(x * mean))
    correlation, low, high = _correlation(x, mean, alpha)
    independence = ""
    if not math.isnan(correlation):
        independence = wording.independence_sentence(
            correlation, low, high, limit=INDEPENDENCE_LIMIT
        )
    has_mean = parameters.q > 1
    return GammaGammaFit(
        parameters=parameters,
        covariance=covariance,
        log_likelihood=math.nan if found is None else found.log_likelihood,
        n_customers=len(x),
        n_distinct=len(np.unique(x)),
        mean_spend=parameters.p * parameters.gamma / (parameters.q - 1) if has_mean else math.nan,
        currency=history.currency,
        frequency_correlation=correlation,
        correlation_low=low,
        correlation_high=high,
        independence=independence,
        alpha=alpha,
        converged=found is not None and found.converged,
        reason=reason,
        warnings=warnings,
        as_of=history.as_of,
        data_hash=digest,
        method=method,
    )


def spends_of(history: PurchaseHistory) -> tuple[FloatArray, FloatArray]:
    """Give the paid repeat purchases and their mean value, of those customers who have any.

    Parameters
    ----------
    history : PurchaseHistory
        Customers.

    Returns
    -------
    frequency, monetary_value : ndarray
        One entry per customer with a paid repeat purchase.
    """
    x = history.customers["paid_frequency"].to_numpy(np.float64)
    mean = history.customers["monetary_value"].to_numpy(np.float64)
    paid = x > 0
    return x[paid], mean[paid]


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
        raise DesignError(
            say("alpha = {alpha}", alpha=separated(f"{alpha:g}")),
            expected=say("above 0 and below 1"),
            where="alpha",
        )


def _check_choice(name: str, found: str, choices: tuple[str, ...]) -> None:
    if found not in choices:
        raise DesignError(
            say("{name} {found}", name=name, found=repr(found)),
            expected=say("one of {choices}", choices=", ".join(choices)),
            where=name,
        )


def _purchase_fit(
    tuples: DistinctHistories,
    *,
    model: PurchaseModel,
    alpha: float,
    backend: Backend,
    unit_days: float,
    **carried: Any,
) -> PurchaseFit:
    repeaters = int(tuples.customers[tuples.frequency > 0].sum())
    parameters = unknown(PARAMETERS_OF[model])
    covariance = np.full((4, 4), math.nan)
    found: Optimum | None = None
    diagnosis = Diagnosis(reason=_too_few(tuples, repeaters), warnings=())
    method, digest = wording.OWN_METHOD, ""
    if not diagnosis.reason:
        found, method, reason = _search_purchases(model, tuples, backend)
        diagnosis = Diagnosis(reason=reason, warnings=())
    if found is not None:
        diagnosis = diagnose_purchases(model, found, tuples)
        parameters = from_vector(PARAMETERS_OF[model], found.estimates)
        covariance = found.covariance
        digest = tuples.data_hash()
    return PurchaseFit(
        model=model,
        parameters=parameters,
        covariance=covariance,
        log_likelihood=math.nan if found is None else found.log_likelihood,
        n_customers=round(float(tuples.customers.sum())),
        n_distinct=len(tuples),
        n_repeaters=repeaters,
        unit_days=unit_days,
        alpha=alpha,
        converged=found is not None and found.converged,
        reason=diagnosis.reason,
        warnings=diagnosis.warnings,
        data_hash=digest,
        method=method,
        **carried,
    )


def _search_purchases(
    model: PurchaseModel, tuples: DistinctHistories, backend: Backend
) -> tuple[Optimum | None, str, str]:
    """Give the optimum, how it was found, and why there is none."""
    if backend == "own":
        return maximise_purchases(tuples, model=model), wording.OWN_METHOD, ""
    from crm_lab.ltv.lifetimes_backend import fit_purchase_tuples

    method = f"{wording.LIFETIMES_METHOD}; {wording.LIFETIMES_COVARIANCE}"
    found = fit_purchase_tuples(
        model, tuples.frequency, tuples.recency, tuples.age, tuples.customers
    )
    if not found.converged:
        return None, method, say(wording.NOT_CONVERGED, detail=found.detail)
    logs = np.log(found.parameters)
    return optimum_at(likelihood_of(model, tuples), logs), method, ""


def _search_spend(
    x: FloatArray, mean: FloatArray, backend: Backend
) -> tuple[Optimum | None, str, str]:
    ones = np.ones(len(x))
    if backend == "own":
        return maximise_spend(x, mean, ones), wording.OWN_METHOD, ""
    from crm_lab.ltv.lifetimes_backend import fit_gamma_gamma_tuples

    method = f"{wording.LIFETIMES_METHOD}; {wording.LIFETIMES_COVARIANCE}"
    pairs = pd.DataFrame({"x": x, "mean": mean}).groupby(["x", "mean"]).size()
    found = fit_gamma_gamma_tuples(
        pairs.index.get_level_values(0).to_numpy(np.float64),
        pairs.index.get_level_values(1).to_numpy(np.float64),
        pairs.to_numpy().astype(np.float64),
    )
    if not found.converged:
        return None, method, say(wording.NOT_CONVERGED, detail=found.detail)
    likelihood = GammaGammaLikelihood(x, mean, ones)
    return optimum_at(likelihood, np.log(found.parameters)), method, ""


def _too_few(tuples: DistinctHistories, repeaters: int) -> str:
    customers = round(float(tuples.customers.sum()))
    if customers < MIN_CUSTOMERS:
        return wording.too_few("customers", customers, MIN_CUSTOMERS)
    if not tuples.age.max() > 0:
        return say(wording.NO_OBSERVATION_TIME)
    if repeaters < MIN_REPEATERS:
        return wording.too_few("repeaters", repeaters, MIN_REPEATERS)
    if len(tuples) == 1:
        return say(wording.EVERYBODY_ALIKE)
    return ""


def _spend_gate(x: FloatArray) -> str:
    if not len(x):
        return say(wording.NO_AMOUNTS)
    if len(x) < MIN_REPEATERS:
        return wording.too_few("spenders", len(x), MIN_REPEATERS)
    return ""


def _correlation(x: FloatArray, mean: FloatArray, alpha: float) -> tuple[float, float, float]:
    """Pearson's correlation with Fisher's z interval; NaN where a column does not vary."""
    if len(x) < 4 or np.ptp(x) == 0 or np.ptp(mean) == 0:
        return (math.nan, math.nan, math.nan)
    estimate = float(np.corrcoef(x, mean)[0, 1])
    if abs(estimate) >= 1:
        return (estimate, estimate, estimate)
    z, width = math.atanh(estimate), two_sided_quantile(alpha) / math.sqrt(len(x) - 3)
    return (estimate, math.tanh(z - width), math.tanh(z + width))
