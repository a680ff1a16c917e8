"""Fitting by the package ``lifetimes``, kept in this one module and made harmless.

``lifetimes`` is loaded on first use, because it is slow to load. Its import switches a pandas
option and adds a warnings filter; both are put back. Fits run on distinct weighted histories, with
warnings and printing of the package held back, and a failure becomes a reason. Its covariance is
wrong off the diagonal, so only standard errors leave this module.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import math
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from crm_lab.formats import separated
from crm_lab.language import say
from crm_lab.ltv.parameters import FloatArray, PurchaseModel

TOLERANCES = (1e-7, 1e-6, 1e-5)
"""Gradient tolerances, tried in turn: rounding can stop the strict one at the optimum itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendFit:
    """What ``lifetimes`` returned, as plain numbers.

    Attributes
    ----------
    parameters, standard_errors : tuple of float
        In the model's order; NaN where there are none.
    converged : bool
        Whether the optimiser ended at an optimum.
    detail : str
        What went wrong; empty when nothing did.
    """

    parameters: tuple[float, ...]
    standard_errors: tuple[float, ...]
    converged: bool
    detail: str = ""


def load_lifetimes() -> ModuleType:
    """Import ``lifetimes`` and put back the pandas options and warnings filters that it changes.

    Returns
    -------
    module
        The package.
    """
    if "lifetimes" in sys.modules:
        return sys.modules["lifetimes"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = pandas_options()
        module = importlib.import_module("lifetimes")
        for name, value in pandas_options().items():
            if name in before and before[name] is not value and before[name] != value:
                pd.set_option(name, before[name])
    return module


def pandas_options() -> dict[str, Any]:
    """Read the value of every pandas option, by its dotted name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(_walk_options(pd.options, ""))


def fit_purchase_tuples(
    model: PurchaseModel,
    frequency: FloatArray,
    recency: FloatArray,
    age: FloatArray,
    customers: FloatArray,
    *,
    start: tuple[float, ...] | None = None,
) -> BackendFit:
    """Fit a purchase model by maximum likelihood on distinct histories.

    Parameters
    ----------
    model : {"bg_nbd", "mbg_nbd", "pareto_nbd", "bg_bb"}
        Which model.
    frequency, recency, age, customers : ndarray
        The distinct tuples (x, t_x, T) and how many customers share each.
    start : tuple of float, optional
        Parameters to start from, for BG/NBD and MBG/NBD; makes a refit quicker.

    Returns
    -------
    BackendFit
        Parameters in the model's order.
    """
    data = {"frequency": frequency, "recency": recency, "weights": customers}
    if model == "bg_bb":
        whole = {name: column.astype(np.int64) for name, column in data.items()}
        whole["n_periods"] = age.astype(np.int64)
        return _fit("BetaGeoBetaBinomFitter", ("alpha", "beta", "gamma", "delta"), whole, None)
    data["T"] = age
    if model == "pareto_nbd":
        # Without a start this fitter draws one from the global random state.
        return _fit("ParetoNBDFitter", ("r", "alpha", "s", "beta"), data, np.ones(4))
    # lifetimes divides all times by the largest age, so alpha starts in that scale.
    first = None if start is None else _logs(start, scale=(1.0, 1.0 / age.max(), 1.0, 1.0))
    name = "BetaGeoFitter" if model == "bg_nbd" else "ModifiedBetaGeoFitter"
    return _fit(name, ("r", "alpha", "a", "b"), data, first)


def fit_gamma_gamma_tuples(
    frequency: FloatArray,
    monetary_value: FloatArray,
    customers: FloatArray,
    *,
    start: tuple[float, ...] | None = None,
) -> BackendFit:
    """Fit the Gamma-Gamma model by maximum likelihood on distinct (x, m) pairs.

    Parameters
    ----------
    frequency, monetary_value, customers : ndarray
        Distinct numbers of paid repeat days with their mean, and how many customers share each.
    start : tuple of float, optional
        Parameters (p, q, gamma) to start from.

    Returns
    -------
    BackendFit
        Parameters in the order p, q, gamma.
    """
    # Money is divided by its mean, so that the start of the search suits every currency.
    unit = float(np.average(monetary_value, weights=customers))
    first = None if start is None else _logs(start, scale=(1.0, 1.0, 1.0 / unit))
    fit = _fit(
        "GammaGammaFitter",
        ("p", "q", "v"),
        {"frequency": frequency, "monetary_value": monetary_value / unit, "weights": customers},
        first,
    )
    scale = (1.0, 1.0, unit)
    return BackendFit(
        parameters=tuple(np.multiply(fit.parameters, scale).tolist()),
        standard_errors=tuple(np.multiply(fit.standard_errors, scale).tolist()),
        converged=fit.converged,
        detail=fit.detail,
    )


def _fit(
    fitter_name: str,
    names: tuple[str, ...],
    data: dict[str, Any],
    start: FloatArray | None,
) -> BackendFit:
    package = load_lifetimes()
    failure = importlib.import_module("lifetimes.utils").ConvergenceError
    attempts: list[tuple[FloatArray | None, float]] = [(start, TOLERANCES[0])]
    attempts += [(None, tolerance) for tolerance in TOLERANCES[start is None :]]
    detail = ""
    for first, tolerance in attempts:
        fitter = getattr(package, fitter_name)()
        with _quiet():
            try:
                fitter.fit(**data, initial_params=first, tol=tolerance)
            except failure:
                detail = say(
                    "tolerance {tolerance} not reached", tolerance=separated(f"{tolerance:g}")
                )
                continue
            except np.linalg.LinAlgError:
                # The parameters stand; the Hessian at the optimum cannot be inverted.
                found = tuple(float(fitter.params_[name]) for name in names)
                return BackendFit(
                    parameters=found, standard_errors=(np.nan,) * len(names), converged=True
                )
        found = tuple(float(fitter.params_[name]) for name in names)
        if not np.isfinite(found).all():
            detail = say("parameters overflow")
            continue
        given = getattr(fitter, "standard_errors_", None)
        errors = tuple(math.nan if given is None else float(given[name]) for name in names)
        return BackendFit(parameters=found, standard_errors=errors, converged=True)
    nothing = (float("nan"),) * len(names)
    return BackendFit(parameters=nothing, standard_errors=nothing, converged=False, detail=detail)


def _logs(start: tuple[float, ...], *, scale: tuple[float, ...]) -> FloatArray:
    return np.log(np.multiply(start, scale))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what the package prints and warns, and the warnings filters that it adds."""
    with (
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


def _walk_options(node: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name in dir(node):
        value = getattr(node, name)
        if isinstance(value, type(pd.options)):
            yield from _walk_options(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
