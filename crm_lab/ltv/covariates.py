"""Static covariates of BG/NBD and Pareto/NBD: what customers were from the start.

A covariate z moves the scales of the laws over customers, each by a factor exp(z c):

* BG/NBD: alpha = alpha_0 exp(-c z), a = a_0 exp(d z), b = b_0 exp(e z);
* Pareto/NBD: alpha = alpha_0 exp(-c z), beta = beta_0 exp(-d z).

A positive c so means more purchases. Customers of equal covariates share their parameters: the
likelihood is a sum over such groups, and its derivatives follow from those of each group.

References
----------
.. [1] Fader, P. S., Hardie, B. G. S. (2007). Incorporating Time-Invariant Covariates into the
   Pareto/NBD and BG/NBD Models. Note 019.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from crm_lab.cards import Result
from crm_lab.errors import DesignError, Fault
from crm_lab.formats import listing, number
from crm_lab.language import say
from crm_lab.ltv import wording
from crm_lab.ltv.estimation import WIDE_LOG_ERROR, likelihood_of, maximise_purchases
from crm_lab.ltv.fits import MIN_REPEATERS, check_alpha
from crm_lab.ltv.fitting import Likelihood, maximise
from crm_lab.ltv.history import PurchaseHistory
from crm_lab.ltv.parameters import (
    PARAMETERS_OF,
    BGNBDParameters,
    FloatArray,
    ParetoNBDParameters,
    as_vector,
    from_vector,
    names_of,
    unknown,
)
from crm_lab.ltv.tuples import DistinctHistories, count_histories
from crm_lab.stats.normal import two_sided_quantile

CovariateModel = Literal["bg_nbd", "pareto_nbd"]

MOVED: dict[CovariateModel, tuple[tuple[int, float], ...]] = {
    "bg_nbd": ((1, -1.0), (2, 1.0), (3, 1.0)),
    "pareto_nbd": ((1, -1.0), (3, -1.0)),
}
"""Which parameters covariates move (by place), and with which sign."""

LARGEST_GROUPS = 2_000
"""More distinct covariate rows than this make a fit long; cut the covariates into classes."""

FLAT_COEFFICIENT = 5.0
"""A standard error of a coefficient above this: the data do not determine it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class CovariateFit(Result):
    """A purchase model whose parameters differ by static covariates.

    Attributes
    ----------
    model : {"bg_nbd", "pareto_nbd"}
        Which model.
    parameters : BGNBDParameters or ParetoNBDParameters
        Those of a customer whose covariates are all 0; NaN when nothing was fitted.
    covariates : tuple of str
        Names of the covariates.
    coefficients : ndarray, shape (moved parameters, covariates)
        How the log of a parameter moves with a covariate, sign as in the reference: a positive
        coefficient of alpha means more purchases.
    covariance : ndarray
        Covariance of the logs of the four parameters, followed by the coefficients row by row.
    log_likelihood, plain_log_likelihood : float
        With covariates, and of the same model without.
    p_value : float
        Likelihood-ratio test that no covariate matters.
    n_customers, n_groups : int
        Customers, and distinct rows of covariates.
    unit_days : float
        Days in one unit of time.
    alpha : float
        Two-sided error probability of the intervals.
    converged : bool
        Whether an optimum was reached.
    reason : str
        Why the fit cannot be trusted; empty when it can.
    method : str
        How it was fitted.
    """

    model: CovariateModel
    parameters: BGNBDParameters | ParetoNBDParameters
    covariates: tuple[str, ...]
    coefficients: FloatArray
    covariance: FloatArray
    log_likelihood: float
    plain_log_likelihood: float
    p_value: float
    n_customers: int
    n_groups: int
    unit_days: float
    alpha: float = 0.05
    converged: bool
    reason: str = ""
    method: str = wording.OWN_METHOD

    @property
    def title(self) -> str:  # type: ignore[override]
        """The heading of the card."""
        return say(wording.COVARIATE_TITLE, model=wording.MODEL_NAMES[self.model])

    @property
    def is_trusted(self) -> bool:
        """Whether there is no reason against using the fit."""
        return not self.reason

    def parameters_of(self, **covariates: float) -> BGNBDParameters | ParetoNBDParameters:
        """Give the parameters of customers with these covariates.

        Parameters
        ----------
        **covariates : float
            Values by name; each covariate of the fit.

        Returns
        -------
        BGNBDParameters or ParetoNBDParameters
            For the functions of :mod:`crm_lab.ltv.formulas`.

        Raises
        ------
        DesignError
            When a covariate is missing or unknown.
        """
        if set(covariates) != set(self.covariates):
            raise DesignError(
                say(
                    "covariates {covariates}", covariates=listing(sorted(covariates)) or say("none")
                ),
                expected=listing(self.covariates),
                where="covariates",
            )
        z = np.array([covariates[name] for name in self.covariates])
        logs = np.log(as_vector(self.parameters))
        for (place, sign), row in zip(MOVED[self.model], self.coefficients, strict=True):
            logs[place] += sign * float(np.sum(row * z))
        if isinstance(self.parameters, ParetoNBDParameters):
            return from_vector(ParetoNBDParameters, np.exp(logs))
        return from_vector(BGNBDParameters, np.exp(logs))

    def sentence(self) -> str:
        """Say what goes with the rate of purchases, or why that cannot be said."""
        if self.reason:
            return say(wording.NO_COVARIATE_MODEL, reason=self.reason)
        frame = self.to_frame()
        rows = frame[(frame["parameter"] == "alpha") & (frame["covariate"] != "")]
        effects = [
            wording.covariate_effect(name=name, rate=rate, low=low, high=high)
            for name, rate, low, high in zip(
                rows["covariate"].tolist(),
                np.exp(rows["estimate"]).tolist(),
                np.exp(rows["low"]).tolist(),
                np.exp(rows["high"]).tolist(),
                strict=True,
            )
        ]
        return wording.covariate_sentence(customers=self.n_customers, effects=effects)

    def to_frame(self) -> pd.DataFrame:
        """Give the parameters' logs and the coefficients, with intervals, one row each."""
        names = names_of(type(self.parameters))
        moved = [names[place] for place, _ in MOVED[self.model]]
        labels = [(name, "") for name in names]
        labels += [(name, covariate) for name in moved for covariate in self.covariates]
        estimates = np.concatenate(
            [np.log(as_vector(self.parameters)), np.ravel(self.coefficients)]
        )
        errors = np.sqrt(np.diag(self.covariance))
        width = two_sided_quantile(self.alpha)
        return pd.DataFrame(
            {
                "parameter": [name for name, _ in labels],
                "covariate": [covariate for _, covariate in labels],
                "estimate": estimates,
                "standard_error": errors,
                "low": estimates - width * errors,
                "high": estimates + width * errors,
            }
        )

    def card_frame(self) -> pd.DataFrame:
        """Give the same with the names of the parameters as people read them."""
        return wording.with_symbols(self.to_frame())


class CovariateLikelihood:
    """Log-likelihood over the logs of four parameters and the coefficients of covariates.

    Parameters
    ----------
    model : {"bg_nbd", "pareto_nbd"}
        Which model.
    groups : sequence of DistinctHistories
        The histories of the customers of each distinct row of covariates.
    rows : ndarray, shape (groups, covariates)
        Those rows.
    start : ndarray, shape (4,)
        Logs of the parameters of the model without covariates.
    """

    def __init__(
        self,
        model: CovariateModel,
        groups: Sequence[DistinctHistories],
        rows: FloatArray,
        start: FloatArray,
    ) -> None:
        self._parts: list[Likelihood] = [likelihood_of(model, group) for group in groups]
        self.weight = float(sum(part.weight for part in self._parts))
        size = 4 + len(MOVED[model]) * rows.shape[1]
        # Each group's logs are its design times the whole vector.
        self._designs = []
        for z in rows:
            design = np.zeros((4, size))
            design[:, :4] = np.eye(4)
            for at, (place, sign) in enumerate(MOVED[model]):
                design[place, 4 + at * len(z) : 4 + (at + 1) * len(z)] = sign * z
            self._designs.append(design)
        self._start = np.concatenate([start, np.zeros(size - 4)])

    def starts(self) -> Sequence[FloatArray]:
        """Give the optimum without covariates."""
        return [self._start]

    def pilot(self) -> None:
        """Give nothing: the optimum without covariates is a start already."""

    def value(self, logs: FloatArray) -> tuple[float, FloatArray]:
        """Give the log-likelihood and its gradient."""
        value, gradient = 0.0, np.zeros(len(logs))
        for part, design in zip(self._parts, self._designs, strict=True):
            each, slope = part.value(np.einsum("ij,j->i", design, logs))
            value += each
            gradient += np.einsum("ij,i->j", design, slope)
        return value, gradient

    def curvature(self, logs: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Give the log-likelihood, its gradient and its Hessian."""
        size = len(logs)
        value, gradient, hessian = 0.0, np.zeros(size), np.zeros((size, size))
        for part, design in zip(self._parts, self._designs, strict=True):
            each, slope, bend = part.curvature(np.einsum("ij,j->i", design, logs))
            value += each
            gradient += np.einsum("ij,i->j", design, slope)
            hessian += np.einsum("ki,kl,lj->ij", design, bend, design)
        return value, gradient, hessian


def fit_with_covariates(
    history: PurchaseHistory,
    covariates: pd.DataFrame,
    *,
    model: CovariateModel = "bg_nbd",
    alpha: float = 0.05,
) -> CovariateFit:
    """Fit a purchase model whose parameters differ by what customers were from the start.

    Use it for the channel or the form of the first purchase, region, sex. What changes after the
    start, such as campaigns received, does not belong here. Coefficients compare customers as they
    are (observational) and say nothing about what a change would do.

    Parameters
    ----------
    history : PurchaseHistory
        At least ``MIN_REPEATERS`` customers with a repeat purchase.
    covariates : pandas.DataFrame
        ``customer_id`` and one numeric column per covariate; classes as columns of 0 and 1, one
        class left out. Customers of the history must all be in it.
    model : {"bg_nbd", "pareto_nbd"}, default "bg_nbd"
        Which model.
    alpha : float, default 0.05
        Two-sided error probability of the intervals.

    Returns
    -------
    CovariateFit
        With a ``reason`` where the data cannot carry it.

    Raises
    ------
    DesignError
        When covariates are missing, not numbers, constant, or of too many distinct rows.
    """
    check_alpha(alpha)
    if model not in MOVED:
        raise DesignError(
            say("model {model}", model=repr(model)), expected=listing(MOVED), where="model"
        )
    names, values = _covariate_values(history, covariates)
    groups, rows = _groups(history, values)
    size = 4 + len(MOVED[model]) * len(names)
    parameters = unknown(PARAMETERS_OF[model])
    coefficients = np.full((len(MOVED[model]), len(names)), math.nan)
    covariance = np.full((size, size), math.nan)
    reason, converged = "", False
    likelihood = plain = p_value = math.nan
    if history.n_repeaters < MIN_REPEATERS:
        reason = wording.too_few("repeaters", history.n_repeaters, MIN_REPEATERS)
    else:
        whole = count_histories(
            history.customers["frequency"].to_numpy(),
            history.customers["recency"].to_numpy(),
            history.customers["age"].to_numpy(),
            unit_days=history.unit_days,
        )
        without = maximise_purchases(whole, model=model)
        found = maximise(CovariateLikelihood(model, groups, rows, without.logs))
        parameters = from_vector(PARAMETERS_OF[model], np.exp(found.logs[:4]))
        coefficients = found.logs[4:].reshape(coefficients.shape)
        covariance, converged = found.log_covariance, found.converged
        likelihood, plain = found.log_likelihood, without.log_likelihood
        p_value = float(special.chdtrc(size - 4, max(2 * (likelihood - plain), 0.0)))
        reason = _problem(names, covariance, converged=converged)
    assert isinstance(parameters, BGNBDParameters | ParetoNBDParameters)
    return CovariateFit(
        model=model,
        parameters=parameters,
        covariates=names,
        coefficients=coefficients,
        covariance=covariance,
        log_likelihood=likelihood,
        plain_log_likelihood=plain,
        p_value=p_value,
        n_customers=history.n_customers,
        n_groups=len(groups),
        unit_days=history.unit_days,
        alpha=alpha,
        converged=converged,
        reason=reason,
    )


def _problem(names: tuple[str, ...], covariance: FloatArray, *, converged: bool) -> str:
    if not converged:
        return say(wording.NOT_CONVERGED, detail=say(wording.WITH_COVARIATES))
    errors = np.sqrt(np.diag(covariance))
    if not np.isfinite(errors).all():
        return say(wording.NO_ERRORS)
    worst = errors[4:].reshape(-1, len(names)).max(axis=0).tolist()
    off = [name for name, error in zip(names, worst, strict=True) if error > FLAT_COEFFICIENT]
    if (errors[:4] > 2 * WIDE_LOG_ERROR).any():
        off.append(say(wording.BASE_PARAMETERS))
    return say(wording.WEAK, names=wording.names(off)) if off else ""


def _covariate_values(
    history: PurchaseHistory, covariates: pd.DataFrame
) -> tuple[tuple[str, ...], FloatArray]:
    """Give names and values in the order of the history's customers; every fault at once."""
    names = tuple(str(name) for name in covariates.columns if name != "customer_id")
    if "customer_id" not in covariates.columns or not names:
        raise DesignError(
            say("columns {columns}", columns=listing(map(str, covariates.columns))),
            expected=say("customer_id and at least one covariate"),
            where="covariates",
        )
    faults: list[Fault] = []
    if covariates["customer_id"].duplicated().any():
        faults.append(Fault(found=say("a customer_id stands there twice"), where="covariates"))
        raise DesignError(faults)
    table = covariates.set_index("customer_id").reindex(history.customers["customer_id"])
    values = np.empty((len(table), len(names)))
    for place, name in enumerate(names):
        column = pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64)
        values[:, place] = column
        wrong = int((~np.isfinite(column)).sum())
        if wrong:
            faults.append(
                Fault(
                    found=say(
                        "{count} customers without a number in {name}",
                        count=number(wrong),
                        name=name,
                    ),
                    expected=say("a finite number for every customer of the history"),
                    where=say("column {name}", name=name),
                    remedy=say("classes become columns of 0 and 1"),
                )
            )
        elif np.ptp(column) == 0:
            faults.append(
                Fault(
                    found=say("{name} is the same for every customer", name=name),
                    expected=say("a covariate that differs"),
                    where=say("column {name}", name=name),
                )
            )
    if faults:
        raise DesignError(faults)
    return names, values


def _groups(
    history: PurchaseHistory, values: FloatArray
) -> tuple[list[DistinctHistories], FloatArray]:
    """Give the histories of each distinct row of covariates, and the rows."""
    rows, place = np.unique(values, axis=0, return_inverse=True)
    if len(rows) > LARGEST_GROUPS:
        raise DesignError(
            say("{count} distinct rows of covariates", count=number(len(rows))),
            expected=say("at most {most}", most=number(LARGEST_GROUPS)),
            where="covariates",
            remedy=say("cut fine covariates into classes"),
        )
    if np.linalg.matrix_rank(np.column_stack([np.ones(len(rows)), rows])) <= rows.shape[1]:
        raise DesignError(
            say("one covariate is a sum of others"),
            expected=say("classes as columns of 0 and 1 with one class left out"),
            where="covariates",
        )
    order: NDArray[np.intp] = np.argsort(place.ravel(), kind="stable")
    ends = np.searchsorted(place.ravel()[order], np.arange(len(rows) + 1))
    columns = [
        history.customers[name].to_numpy(np.float64) for name in ("frequency", "recency", "age")
    ]
    groups = []
    for start, stop in pairwise(ends.tolist()):
        members = order[start:stop]
        x, t_x, age = (column[members] for column in columns)
        groups.append(count_histories(x, t_x, age, unit_days=history.unit_days))
    return groups, rows
