"""Maximum likelihood of every model on distinct weighted tuples, and what the optimum is worth.

This is the layer below the results: no gate, no sentence. Bootstrap refits and cross-checks use
it. A fit is diagnosed for what a search does not say: a boundary, a collapse, a flat direction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crm_lab.formats import number, percent
from crm_lab.language import say
from crm_lab.ltv import wording
from crm_lab.ltv.bg_bb import BGBBLikelihood
from crm_lab.ltv.bg_nbd_likelihood import BGNBDLikelihood, beyond
from crm_lab.ltv.fitting import Likelihood, Optimum, dot, maximise
from crm_lab.ltv.gamma_gamma import GammaGammaLikelihood
from crm_lab.ltv.parameters import (
    PARAMETERS_OF,
    FloatArray,
    GammaGammaParameters,
    PurchaseModel,
    PurchaseParameters,
    as_vector,
    names_of,
)
from crm_lab.ltv.pareto_nbd_likelihood import ParetoNBDLikelihood
from crm_lab.ltv.tuples import DistinctHistories

COLLAPSE_DROPOUT = 0.001
"""A share of customers who leave below this is a collapse to the model in which nobody does."""

EXTREME_SHAPE = 1e4
"""A shape parameter above this has run off: its beta or gamma law has become a single point."""

VANISHED_SHAPE = 1e-4
"""A shape parameter below this has run off: its law sits at the ends of its range."""

WIDE_LOG_ERROR = 1.5
"""A standard error of a log-parameter above this is warned about: 95 % span a factor above 350."""

DROPOUT_RATIO = 1.353
"""Half the 5 % point of the boundary test (a half of chi-squared with 1 degree of freedom): where
the plain NBD is not lower by this, the data do not show that anybody leaves."""

SHAPES: dict[PurchaseModel, tuple[str, ...]] = {
    "bg_nbd": ("r", "a", "b"),
    "mbg_nbd": ("r", "a", "b"),
    "pareto_nbd": ("r", "s"),
    "bg_bb": ("alpha", "beta", "gamma", "delta"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What an optimum is worth.

    Attributes
    ----------
    reason : str
        Why the fit cannot be trusted; empty when it can.
    warnings : tuple of str
        What a reader must know although it can.
    """

    reason: str
    warnings: tuple[str, ...]


def likelihood_of(model: PurchaseModel, tuples: DistinctHistories) -> Likelihood:
    """Give the log-likelihood of a purchase model on distinct histories."""
    if model == "pareto_nbd":
        return ParetoNBDLikelihood(tuples)
    if model == "bg_bb":
        return BGBBLikelihood(tuples)
    return BGNBDLikelihood(tuples, leaves_at_once=model == "mbg_nbd")


def maximise_purchases(
    tuples: DistinctHistories,
    *,
    model: PurchaseModel = "bg_nbd",
    start: PurchaseParameters | None = None,
) -> Optimum:
    """Find the maximum-likelihood parameters of a purchase model.

    Parameters
    ----------
    tuples : DistinctHistories
        Distinct histories with their counts, from :func:`~crm_lab.ltv.tuples.count_histories`.
    model : {"bg_nbd", "mbg_nbd", "pareto_nbd", "bg_bb"}, default "bg_nbd"
        Which model.
    start : parameters, optional
        Parameters near the optimum, such as those of the base that is drawn from again.

    Returns
    -------
    Optimum
        Its ``estimates`` are in the order of the model's parameters.
    """
    logs = None if start is None else np.log(as_vector(start))
    return maximise(likelihood_of(model, tuples), start=logs)


def maximise_spend(
    frequency: FloatArray,
    monetary_value: FloatArray,
    customers: FloatArray,
    *,
    start: GammaGammaParameters | None = None,
) -> Optimum:
    """Find the maximum-likelihood parameters of the Gamma-Gamma model.

    Parameters
    ----------
    frequency, monetary_value, customers : ndarray, shape (n,)
        Paid purchases (1 or more), their mean value (above 0), and how many customers share both.
    start : GammaGammaParameters, optional
        Parameters near the optimum.

    Returns
    -------
    Optimum
        Its ``estimates`` are p, q, gamma.
    """
    logs = None if start is None else np.log(as_vector(start))
    # In units of the mean spend every currency gives the same search.
    unit = dot(monetary_value, customers) / float(customers.sum())
    shift = np.array([0.0, 0.0, math.log(unit)])
    found = maximise(
        GammaGammaLikelihood(frequency, monetary_value / unit, customers),
        start=None if logs is None else logs - shift,
    )
    return Optimum(
        logs=found.logs + shift,
        log_likelihood=found.log_likelihood - float(customers.sum()) * math.log(unit),
        log_covariance=found.log_covariance,
        decrement=found.decrement,
        converged=found.converged,
        evaluations=found.evaluations,
    )


def diagnose_purchases(
    model: PurchaseModel, found: Optimum, tuples: DistinctHistories
) -> Diagnosis:
    """Say what the optimum of a purchase model is worth.

    Parameters
    ----------
    model : {"bg_nbd", "mbg_nbd", "pareto_nbd", "bg_bb"}
        Which model.
    found : Optimum
        Where the search ended.
    tuples : DistinctHistories
        What was fitted.

    Returns
    -------
    Diagnosis
        Collapse, parameters that ran off, no convergence and no covariance are reasons; a weakly
        determined parameter and a drop-out that cannot be told from none are warnings.
    """
    names = names_of(PARAMETERS_OF[model])
    values = dict(zip(names, found.estimates.tolist(), strict=True))
    reason = (
        _collapse(model, values, float(tuples.age.max()))
        or _extreme({name: values[name] for name in SHAPES[model]})
        or _not_converged(found)
        or _no_errors(found)
    )
    if reason:
        return Diagnosis(reason=reason, warnings=())
    warnings = _wide(names, found)
    if model != "bg_bb":
        difference = found.log_likelihood - maximise(NBDLikelihood(tuples)).log_likelihood
        if difference < DROPOUT_RATIO:
            text = say(wording.NO_DROPOUT_SEEN, difference=number(max(difference, 0.0), decimals=2))
            warnings = (*warnings, text)
    return Diagnosis(reason="", warnings=warnings)


def diagnose_spend(found: Optimum) -> Diagnosis:
    """Say what the optimum of the Gamma-Gamma model is worth.

    Parameters
    ----------
    found : Optimum
        Where the search ended.

    Returns
    -------
    Diagnosis
        A q of 1 or less, parameters that ran off, no convergence and no covariance are reasons.
    """
    names = names_of(GammaGammaParameters)
    p, q, _ = found.estimates.tolist()
    reason = ""
    if q <= 1:
        reason = say(wording.NO_MEAN_SPEND, q=number(q, decimals=3))
    reason = reason or _extreme({"p": p, "q": q}) or _not_converged(found) or _no_errors(found)
    return Diagnosis(reason=reason, warnings=() if reason else _wide(names, found))


class NBDLikelihood:
    """Log-likelihood of the plain NBD, in which nobody leaves, over the logs of r and alpha.

    It carries the same constants as that of BG/NBD and Pareto/NBD, of which it is the limit.

    Parameters
    ----------
    tuples : DistinctHistories
        Distinct histories with their counts.
    """

    def __init__(self, tuples: DistinctHistories) -> None:
        self.weight = float(tuples.customers.sum())
        ages, place = np.unique(tuples.age, return_inverse=True)
        self._ages = ages
        self._customers = np.bincount(place, weights=tuples.customers)
        self._purchases = np.bincount(place, weights=tuples.customers * tuples.frequency)
        self._beyond = beyond(tuples.frequency, tuples.customers)

    def starts(self) -> Sequence[FloatArray]:
        """Give logs from which to search."""
        exposed = dot(self._ages, self._customers)
        rate = max(float(self._purchases.sum()), 0.5) / max(exposed, 1e-12)
        return [np.log([r, r / rate]) for r in (0.5, 5.0)]

    def pilot(self) -> None:
        """Give nothing: two sums over the ages are small already."""

    def value(self, logs: FloatArray) -> tuple[float, FloatArray]:
        """Give the log-likelihood and its gradient."""
        value, gradient, _ = self.curvature(logs)
        return value, gradient

    def curvature(self, logs: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Give the log-likelihood, its gradient and its Hessian."""
        r, alpha = np.exp(logs).tolist()
        at_r = r + np.arange(len(self._beyond))
        log_ratio = np.log1p(self._ages / alpha)
        part = self._ages / (alpha + self._ages)
        events = r * self._customers + self._purchases
        purchases = float(self._purchases.sum())
        value = dot(self._beyond, np.log(at_r)) - purchases * float(logs[1])
        value -= dot(events, log_ratio)
        first = r * dot(self._beyond, 1 / at_r)
        spent = r * dot(self._customers, log_ratio)
        g = np.array([first - spent, dot(events, part) - purchases])
        cross = r * dot(self._customers, part)
        h = np.array(
            [
                [first - spent - r**2 * dot(self._beyond, 1 / at_r**2), cross],
                [cross, -dot(events, part * (1 - part))],
            ]
        )
        return value, g, h


def _collapse(model: PurchaseModel, values: dict[str, float], longest: float) -> str:
    if model == "pareto_nbd":
        dropout = -math.expm1(-values["s"] * math.log1p(longest / values["beta"]))
    elif model == "bg_bb":
        dropout = values["gamma"] / (values["gamma"] + values["delta"])
    else:
        dropout = values["a"] / (values["a"] + values["b"])
    if dropout >= COLLAPSE_DROPOUT:
        return ""
    return say(
        wording.COLLAPSED,
        measure=say(wording.DROPOUT_MEASURES[model]),
        dropout=percent(dropout, decimals=3),
        model=wording.MODEL_NAMES[model],
        plain=say(wording.BETA_BINOMIAL) if model == "bg_bb" else "NBD",
    )


def _extreme(shapes: dict[str, float]) -> str:
    off = [name for name, value in shapes.items() if not VANISHED_SHAPE <= value <= EXTREME_SHAPE]
    return say(wording.WEAK, names=wording.names(off)) if off else ""


def _not_converged(found: Optimum) -> str:
    if found.converged:
        return ""
    detail = say("after {count} evaluations", count=found.evaluations)
    return say(wording.NOT_CONVERGED, detail=detail)


def _no_errors(found: Optimum) -> str:
    return "" if np.isfinite(found.log_covariance).all() else say(wording.NO_ERRORS)


def _wide(names: tuple[str, ...], found: Optimum) -> tuple[str, ...]:
    errors = np.sqrt(np.diag(found.log_covariance))
    wide = [name for name, error in zip(names, errors, strict=True) if error > WIDE_LOG_ERROR]
    if not wide:
        return ()
    factor = math.exp(2 * 1.96 * float(min(errors[errors > WIDE_LOG_ERROR].min(), 10.0)))
    return (say(wording.WIDE, names=wording.names(wide), factor=number(factor)),)
