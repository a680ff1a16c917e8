"""Orders of the future in today's money: finite horizons, and horizons without end.

Rates are yearly everywhere that people set them, 0.1 for 10 %; an order at time t counts
``(1 + rate) ** (-t in years)``.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from crm_lab.errors import DesignError
from crm_lab.formats import separated
from crm_lab.language import say
from crm_lab.ltv.formulas import discounted_expected_purchases, expected_purchases
from crm_lab.ltv.parameters import (
    BGBBParameters,
    FloatArray,
    ParetoNBDParameters,
    PurchaseParameters,
)

DAYS_PER_YEAR = 365.25

NODES = 24
"""Points of the integral over an endless future, in the logarithm of time."""

NEGLIGIBLE = 40.0
"""The endless future ends where its weight has fallen to exp(-40)."""


def within_horizon(
    parameters: PurchaseParameters,
    periods: float,
    frequency: FloatArray,
    recency: FloatArray,
    age: FloatArray,
    *,
    yearly_rate: float,
    unit_days: float,
) -> FloatArray:
    """Give the discounted orders expected in a horizon, each at the middle of its unit of time.

    Parameters
    ----------
    parameters : parameters of a purchase model
        The fitted model.
    periods : float
        Length of the horizon, 0 or more, in units.
    frequency, recency, age : ndarray
        Repeat purchases x, time of the last one t_x, and time under observation T.
    yearly_rate : float
        Yearly rate, 0 or more; 0 gives the plain expectation.
    unit_days : float
        Days in one unit.

    Returns
    -------
    ndarray
        Present numbers of orders.
    """
    if yearly_rate == 0 or periods == 0:
        return expected_purchases(parameters, periods, frequency, recency, age)
    edges = np.append(np.arange(0.0, periods), periods)
    before = np.zeros(np.shape(frequency))
    present = np.zeros(np.shape(frequency))
    for start, stop in pairwise(edges.tolist()):
        until = expected_purchases(parameters, stop, frequency, recency, age)
        years = (start + stop) / 2 * unit_days / DAYS_PER_YEAR
        present = present + (until - before) / (1 + yearly_rate) ** years
        before = until
    return np.asarray(present)


def without_end(
    parameters: PurchaseParameters,
    frequency: ArrayLike,
    recency: ArrayLike,
    age: ArrayLike,
    *,
    yearly_rate: float,
    unit_days: float,
) -> FloatArray:
    """Give the discounted orders expected over an endless future (DERT).

    Pareto/NBD has a closed form. BG/NBD and MBG/NBD have none that is known to us: with the
    continuous rate d it is the integral of d exp(-d t) E[Y(t)] over t, taken by Gauss-Legendre
    in the logarithm of time.

    Parameters
    ----------
    parameters : BGNBDParameters, MBGNBDParameters or ParetoNBDParameters
        The fitted model.
    frequency, recency, age : array_like
        Repeat purchases x, time of the last one t_x, and time under observation T.
    yearly_rate : float
        Yearly rate, above 0.
    unit_days : float
        Days in one unit.

    Returns
    -------
    ndarray
        Present numbers of orders.

    Raises
    ------
    DesignError
        When the rate is not above 0, where the sum would not end, or the model is BG/BB.

    References
    ----------
    .. [1] Fader, Hardie, Lee (2005). RFM and CLV. J. of Marketing Research 42(4), 415-430,
       equation 2 (DERT of Pareto/NBD).

    Examples
    --------
    >>> p = ParetoNBDParameters(r=0.55, alpha=10.58, s=0.61, beta=11.67)
    >>> without_end(p, [2], [30.43], [38.86], yearly_rate=0.15, unit_days=7).round(2)
    array([6.47])
    """
    if isinstance(parameters, BGBBParameters):
        raise DesignError(
            say("BG/BB counts opportunities, not days"),
            expected=say("a model in time"),
            where="parameters",
        )
    if not (np.isfinite(yearly_rate) and yearly_rate > 0):
        raise DesignError(
            say("a yearly rate of {yearly_rate}", yearly_rate=separated(f"{yearly_rate:g}")),
            expected=say("above 0, since an endless future is added up"),
            where="yearly_rate",
        )
    rate = math.log1p(yearly_rate) * unit_days / DAYS_PER_YEAR
    if isinstance(parameters, ParetoNBDParameters):
        return discounted_expected_purchases(parameters, rate, frequency, recency, age)
    return integrated(parameters, frequency, recency, age, rate=rate)


def integrated(
    parameters: PurchaseParameters,
    frequency: ArrayLike,
    recency: ArrayLike,
    age: ArrayLike,
    *,
    rate: float,
) -> FloatArray:
    """Give the endless discounted orders of any model in time by integrating.

    Parameters
    ----------
    parameters : parameters of a purchase model
        The fitted model.
    frequency, recency, age : array_like
        Repeat purchases x, time of the last one t_x, and time under observation T.
    rate : float
        Continuous rate per unit of time, above 0.

    Returns
    -------
    ndarray
        Present numbers of orders.
    """
    scale = float(getattr(parameters, "alpha", 1.0))
    points, weights = np.polynomial.legendre.leggauss(NODES)
    top = math.log1p(NEGLIGIBLE / (rate * scale))
    total = np.zeros(np.broadcast(frequency, recency, age).shape)
    for point, weight in zip(points.tolist(), weights.tolist(), strict=True):
        y = (point + 1) / 2 * top
        t = scale * math.expm1(y)
        step = weight / 2 * top * scale * math.exp(y)
        total = total + step * rate * math.exp(-rate * t) * expected_purchases(
            parameters, t, frequency, recency, age
        )
    return np.asarray(total)
