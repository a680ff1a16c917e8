"""A second opinion on a fit: the package lifetimes on the same weighted histories."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.language import say
from crm_lab.ltv import wording
from crm_lab.ltv.fits import fit_gamma_gamma, fit_purchases
from crm_lab.ltv.history import PurchaseHistory
from crm_lab.ltv.models import GammaGammaFit, PurchaseFit
from crm_lab.ltv.parameters import FloatArray, as_vector, names_of

LIKELIHOOD_LIMIT = 1e-3
"""Two optima of one likelihood may differ by less than this; it moves no printed digit."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class CrossCheck(Result):
    """Our optimum beside that of the package lifetimes.

    Attributes
    ----------
    model : str
        Which model.
    parameters, other_parameters : ndarray, shape (k,)
        Our estimates and those of lifetimes.
    names : tuple of str
        What they are.
    log_likelihood, other_log_likelihood : float
        Our log-likelihood at both.
    difference : float
        The first less the second; NaN where one is missing.
    reason : str
        Why there is no comparison; empty where there is one.
    """

    title: ClassVar[str] = wording.CROSS_CHECK_TITLE

    model: str
    parameters: FloatArray
    other_parameters: FloatArray
    names: tuple[str, ...]
    log_likelihood: float
    other_log_likelihood: float
    difference: float
    reason: str = ""

    @property
    def agrees(self) -> bool:
        """Whether both reach the same likelihood; False where that is not known."""
        return abs(self.difference) < LIKELIHOOD_LIMIT

    def sentence(self) -> str:
        """Say whether the two agree."""
        name = wording.MODEL_NAMES[self.model]
        if self.reason:
            return wording.no_cross_check(name, self.reason)
        return wording.cross_check_sentence(
            model=name, difference=self.difference, limit=LIKELIHOOD_LIMIT, agrees=self.agrees
        )

    def to_frame(self) -> pd.DataFrame:
        """Give the estimates of both, one row per parameter."""
        return pd.DataFrame(
            {
                "parameter": self.names,
                "crm_lab": self.parameters,
                "lifetimes": self.other_parameters,
            }
        )

    def card_frame(self) -> pd.DataFrame:
        """Give the same with the names of the parameters as people read them."""
        return wording.with_symbols(self.to_frame())


def cross_check(fit: PurchaseFit | GammaGammaFit, history: PurchaseHistory) -> CrossCheck:
    """Fit the same histories with the package lifetimes and compare the likelihoods.

    Do it in every report: two programs that agree to a thousandth are hardly wrong the same way.

    Parameters
    ----------
    fit : PurchaseFit or GammaGammaFit
        A fit of this history.
    history : PurchaseHistory
        What was fitted.

    Returns
    -------
    CrossCheck
        With a ``reason`` where one of the two has no optimum.

    Raises
    ------
    DesignError
        For BG/BB, whose data are no purchase history.
    """
    if isinstance(fit, PurchaseFit) and fit.model == "bg_bb":
        raise DesignError(
            say("BG/BB is fitted to opportunities"),
            expected=say("a fit of a purchase history"),
            where="fit",
            remedy=say("compare with fit_bg_bb(..., backend='lifetimes')"),
        )
    other: PurchaseFit | GammaGammaFit
    if isinstance(fit, PurchaseFit):
        model: str = fit.model
        other = fit_purchases(history, model=fit.model, backend="lifetimes")
    else:
        model = "gamma_gamma"
        other = fit_gamma_gamma(history, backend="lifetimes")
    difference = fit.log_likelihood - other.log_likelihood
    return CrossCheck(
        model=model,
        parameters=as_vector(fit.parameters),
        other_parameters=as_vector(other.parameters),
        names=names_of(type(fit.parameters)),
        log_likelihood=fit.log_likelihood,
        other_log_likelihood=other.log_likelihood,
        difference=difference,
        reason=(fit.reason or other.reason) if math.isnan(difference) else "",
    )
