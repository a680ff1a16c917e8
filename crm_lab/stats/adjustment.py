"""Adjustment of an outcome by what was known before assignment (CUPED).

Two conventions are in use and differ in the digits. ``"within"`` pools theta within the arms; its
effect equals the analysis of covariance. ``"total"`` takes theta over the whole sample, as several
experiment platforms do. Every result names its own.

References
----------
Deng, A., Xu, Y., Kohavi, R., Walker, T. (2013), "Improving the sensitivity of online controlled
experiments by utilizing pre-experiment data", WSDM, equations 4 and 5. Fisher, R. A. (1932),
"Statistical methods for research workers", on the analysis of covariance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from crm_lab.errors import DesignError
from crm_lab.language import message, say
from crm_lab.stats.arguments import FloatArray, as_given, as_values
from crm_lab.stats.moments import PairMoments

Convention = Literal["within", "total"]

_WORDS: dict[Convention, str] = {
    "within": message("CUPED, theta pooled within arms (equals ANCOVA)"),
    "total": message("CUPED, theta over the whole sample"),
}
_RANK_TOLERANCE = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Adjustment:
    """Outcomes after adjustment, ready for any comparison of means.

    Attributes
    ----------
    treatment, control : ndarray
        Adjusted values per unit, in the unit of the outcome; the mean over both arms together is
        that of the raw values.
    theta : tuple of float
        One coefficient per covariate; 0 for a covariate that does not vary.
    convention : {"within", "total"}
        Over what theta was pooled.
    method : str
        The convention in words.
    variance_reduction : float
        Share of the variance within arms that the adjustment removed; 0.3 means that the interval
        is as narrow as with 1 / 0.7 times the units. NaN where nothing could be adjusted. With
        ``"total"`` it may come out slightly below 0.
    reason : str
        Why the values are the raw ones; empty when they were adjusted.
    """

    treatment: FloatArray
    control: FloatArray
    theta: tuple[float, ...]
    convention: Convention
    method: str
    variance_reduction: float
    reason: str = ""


def cuped(
    y_treatment: ArrayLike,
    x_treatment: ArrayLike,
    y_control: ArrayLike,
    x_control: ArrayLike,
    *,
    convention: Convention = "within",
) -> Adjustment:
    """Remove from an outcome what covariates from before assignment explain.

    Use it before `compare_means` when customers have a history. The covariates must have been
    measured before assignment; otherwise the effect itself may be removed.

    Parameters
    ----------
    y_treatment, y_control : array-like, shape (n,)
        Outcome per unit.
    x_treatment, x_control : array-like, shape (n,) or (n, k)
        One or several covariates per unit, in the same order.
    convention : {"within", "total"}
        Whether theta is pooled within arms (equals ANCOVA) or taken over the whole sample.

    Raises
    ------
    DesignError
        When lengths or numbers of covariates differ, or something is not a number.

    Notes
    -----
    Values are adjusted by ``y - (x - mean(x)) theta`` with the mean over both arms, so that levels
    stay those of the outcome. A covariate that does not vary, or that others determine, changes
    nothing. When an outcome or covariate is missing or infinite the raw values are given back with
    a reason, as they are when no degree of freedom is left.

    Examples
    --------
    >>> adjusted = cuped([5.0, 7.0, 9.0, 12.0], [1, 2, 3, 4], [3.0, 5.0, 6.0, 9.0], [1, 2, 3, 4])
    >>> [round(theta, 3) for theta in adjusted.theta], round(adjusted.variance_reduction, 3)
    ([2.1], 0.969)
    """
    y_t, y_c = as_values(y_treatment, "y_treatment"), as_values(y_control, "y_control")
    x_t = _as_covariates(x_treatment, y_t.size, "x_treatment")
    x_c = _as_covariates(x_control, y_c.size, "x_control")
    if convention not in _WORDS:
        raise DesignError(
            as_given("convention", repr(convention)), expected=say("'within' or 'total'")
        )
    if x_t.shape[1] != x_c.shape[1]:
        raise DesignError(
            say(
                "{treatment} covariates in the treatment but {control} in the control",
                treatment=x_t.shape[1],
                control=x_c.shape[1],
            )
        )
    reason = _reason(y_t, x_t, y_c, x_c)
    if reason:
        return Adjustment(
            treatment=y_t.copy(),
            control=y_c.copy(),
            theta=(math.nan,) * x_t.shape[1],
            convention=convention,
            method=say(_WORDS[convention]),
            variance_reduction=math.nan,
            reason=reason,
        )
    centred_y = np.concatenate([y_t - y_t.mean(), y_c - y_c.mean()])
    centred_x = np.concatenate([x_t - x_t.mean(axis=0), x_c - x_c.mean(axis=0)])
    scale = np.abs(np.concatenate([x_t, x_c])).max(axis=0)
    mean_x = np.concatenate([x_t, x_c]).mean(axis=0)
    if convention == "within":
        theta = _coefficients(centred_x, centred_y, scale)
    else:
        both_y = np.concatenate([y_t, y_c])
        theta = _coefficients(np.concatenate([x_t, x_c]) - mean_x, both_y - both_y.mean(), scale)
    before = float(np.square(centred_y).sum())
    left = centred_y - centred_x @ theta
    return Adjustment(
        treatment=y_t - (x_t - mean_x) @ theta,
        control=y_c - (x_c - mean_x) @ theta,
        theta=tuple(float(value) for value in theta),
        convention=convention,
        method=say(_WORDS[convention]),
        variance_reduction=1.0 - float(np.square(left).sum()) / before if before > 0 else 0.0,
    )


def cuped_theta(
    treatment: PairMoments, control: PairMoments, *, convention: Convention = "within"
) -> float:
    """Give theta for one covariate from summaries, without the rows.

    Parameters
    ----------
    treatment, control : PairMoments
        Summaries of outcome and covariate per arm.
    convention : {"within", "total"}
        Whether theta is pooled within arms or taken over the whole sample.

    Returns
    -------
    float
        The coefficient of the covariate; 0 when it does not vary, NaN when values are missing.

    Raises
    ------
    DesignError
        When the convention is not known.

    References
    ----------
    Deng et al. (2013), equation 4.

    Examples
    --------
    >>> pair = PairMoments.from_arrays([5.0, 7.0, 9.0, 12.0], [1, 2, 3, 4])
    >>> round(cuped_theta(pair, pair), 3)
    2.3
    """
    if convention == "within":
        product, square = treatment.m_xy + control.m_xy, treatment.m2_x + control.m2_x
    elif convention == "total":
        merged = treatment.merge(control)
        product, square = merged.m_xy, merged.m2_x
    else:
        raise DesignError(
            as_given("convention", repr(convention)), expected=say("'within' or 'total'")
        )
    return product / square if square != 0 else 0.0


def residual_spread(y: ArrayLike, x: ArrayLike) -> float:
    """Give the standard deviation of what covariates leave of an outcome in one arm.

    Use it to say what an adjusted design would see, from customers who were not treated.

    Parameters
    ----------
    y : array-like, shape (n,)
        Outcome per unit.
    x : array-like, shape (n,) or (n, k)
        Covariates.

    Examples
    --------
    >>> round(residual_spread([1.0, 2.0, 3.0, 5.0], [2, 4, 6, 10]), 9)
    0.0
    """
    outcome = as_values(y, "y")
    covariates = _as_covariates(x, outcome.size, "x")
    if outcome.size < 2:
        return math.nan
    centred = covariates - covariates.mean(axis=0)
    deviations = outcome - outcome.mean()
    theta = _coefficients(centred, deviations, np.abs(covariates).max(axis=0))
    left = deviations - centred @ theta
    return math.sqrt(float(np.square(left).sum()) / (outcome.size - 1))


def _as_covariates(x: ArrayLike, n: int, name: str) -> FloatArray:
    try:
        array = np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DesignError(
            say("{name} holds something that is not a number: {error}", name=name, error=error)
        ) from error
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[0] != n:
        raise DesignError(
            say("{name} has shape {x}", name=name, x=np.shape(x)),
            expected=say("({n},) or ({n}, number of covariates)", n=n),
        )
    return array


def _reason(y_t: FloatArray, x_t: FloatArray, y_c: FloatArray, x_c: FloatArray) -> str:
    if y_t.size == 0 or y_c.size == 0:
        return say("an arm is empty")
    if not (np.all(np.isfinite(y_t)) and np.all(np.isfinite(y_c))):
        return say("an outcome is missing or infinite")
    if not (np.all(np.isfinite(x_t)) and np.all(np.isfinite(x_c))):
        return say("a covariate is missing or infinite")
    if y_t.size + y_c.size - 2 <= x_t.shape[1]:
        return say("there are not more units than covariates")
    return ""


def _coefficients(x: FloatArray, y: FloatArray, scale: FloatArray) -> FloatArray:
    """Least squares of centred y on centred x; columns that do not vary get 0."""
    theta = np.zeros(x.shape[1])
    lengths = np.sqrt(np.einsum("ij,ij->j", x, x))
    # Rounding leaves about 1e-16 of its scale in a constant column after centring.
    varies = lengths > 1e-13 * scale * math.sqrt(x.shape[0])
    if not varies.any():
        return theta
    solution = np.linalg.lstsq(x[:, varies] / lengths[varies], y, rcond=_RANK_TOLERANCE)[0]
    theta[varies] = solution / lengths[varies]
    return theta
