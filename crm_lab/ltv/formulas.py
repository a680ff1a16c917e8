"""What a purchase model says of customers, whichever the model: parameters in, arrays out.

The kind of the parameters says which model is meant; the formulas stand in the module of each
family. Every function broadcasts over customers. Times (recency, age, horizon) share one unit,
which is also the unit of ``alpha`` and ``beta``; in BG/BB they are numbers of opportunities.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crm_lab.errors import DesignError
from crm_lab.formats import separated
from crm_lab.language import say
from crm_lab.ltv import bg_bb, bg_nbd, gamma_gamma, pareto_nbd
from crm_lab.ltv.gamma_gamma import expected_spend, simulate_spend
from crm_lab.ltv.parameters import (
    BGBBParameters,
    BGNBDParameters,
    FloatArray,
    GammaGammaParameters,
    MBGNBDParameters,
    ParetoNBDParameters,
    PurchaseParameters,
    floats,
)

__all__ = [
    "BGBBParameters",
    "BGNBDParameters",
    "FloatArray",
    "GammaGammaParameters",
    "MBGNBDParameters",
    "ParetoNBDParameters",
    "discounted_expected_purchases",
    "expected_purchases",
    "expected_purchases_of_new_customer",
    "expected_spend",
    "probability_alive",
    "probability_of_purchase",
    "probability_of_purchase_count",
    "purchase_log_likelihood",
    "simulate_purchases",
    "simulate_spend",
    "spend_log_likelihood",
]


def purchase_log_likelihood(
    parameters: PurchaseParameters,
    frequency: ArrayLike,
    recency: ArrayLike,
    age: ArrayLike,
    *,
    customers: ArrayLike = 1.0,
) -> float:
    """Give the log-likelihood of a base, with every constant that published values carry.

    Parameters
    ----------
    parameters : BGNBDParameters, MBGNBDParameters, ParetoNBDParameters or BGBBParameters
        Where to evaluate.
    frequency, recency, age : array_like
        Repeat purchases x, time of the last one t_x, and time under observation T.
    customers : array_like, default 1
        How many customers share each history.

    Returns
    -------
    float
        The sum over customers.

    Examples
    --------
    >>> paper = BGNBDParameters(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> round(purchase_log_likelihood(paper, [2], [30.43], [38.86]), 4)
    -9.4586
    """
    if isinstance(parameters, BGBBParameters):
        each = bg_bb.log_likelihood(parameters, frequency, recency, age)
    elif isinstance(parameters, ParetoNBDParameters):
        each = pareto_nbd.log_likelihood(parameters, frequency, recency, age)
    else:
        each = bg_nbd.log_likelihood(parameters, frequency, recency, age)
    return float(np.sum(each * np.asarray(customers, dtype=np.float64)))


def spend_log_likelihood(
    parameters: GammaGammaParameters,
    frequency: ArrayLike,
    monetary_value: ArrayLike,
    *,
    customers: ArrayLike = 1.0,
) -> float:
    """Give the log-likelihood of mean spends, with every constant.

    Parameters
    ----------
    parameters : GammaGammaParameters
        Where to evaluate.
    frequency, monetary_value : array_like
        Number of observed purchases x (1 or more) and their mean value, above 0.
    customers : array_like, default 1
        How many customers share each pair.

    Returns
    -------
    float
        The sum over customers.
    """
    each = gamma_gamma.log_likelihood(parameters, frequency, monetary_value)
    return float(np.sum(each * np.asarray(customers, dtype=np.float64)))


def probability_alive(
    parameters: PurchaseParameters, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
) -> FloatArray:
    """Give the probability that a customer is still a customer at the end of observation.

    In BG/NBD nobody drops out before the first repeat purchase, so it is 1 where x = 0: read it
    together with :func:`probability_of_purchase`. In BG/BB it is that of being active at the next
    opportunity.

    Parameters
    ----------
    parameters : BGNBDParameters, MBGNBDParameters, ParetoNBDParameters or BGBBParameters
        The fitted model.
    frequency, recency, age : array_like
        Repeat purchases x, time of the last one t_x, and time under observation T.

    Returns
    -------
    ndarray
        Probabilities, 0 to 1.

    Examples
    --------
    >>> paper = BGNBDParameters(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> probability_alive(paper, [0, 2], [0, 30.43], [38.86, 38.86]).round(3)
    array([1.   , 0.727])
    """
    if isinstance(parameters, BGBBParameters):
        return bg_bb.probability_alive(parameters, frequency, recency, age)
    if isinstance(parameters, ParetoNBDParameters):
        return pareto_nbd.probability_alive(parameters, frequency, recency, age)
    return bg_nbd.probability_alive(parameters, frequency, recency, age)


def expected_purchases(
    parameters: PurchaseParameters,
    periods: ArrayLike,
    frequency: ArrayLike,
    recency: ArrayLike,
    age: ArrayLike,
) -> FloatArray:
    """Give the purchases expected of a known customer in the next ``periods``.

    Parameters
    ----------
    parameters : BGNBDParameters, MBGNBDParameters, ParetoNBDParameters or BGBBParameters
        The fitted model.
    periods : array_like
        Length of the horizon, 0 or more, in the unit of the history.
    frequency, recency, age : array_like
        Repeat purchases x, time of the last one t_x, and time under observation T.

    Returns
    -------
    ndarray
        Expected numbers.

    Examples
    --------
    >>> paper = BGNBDParameters(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> expected_purchases(paper, 39, [2], [30.43], [38.86]).round(3)
    array([1.226])
    """
    _check_periods(periods)
    if isinstance(parameters, BGBBParameters):
        return bg_bb.purchases_ahead(parameters, periods, frequency, recency, age)
    alive = probability_alive(parameters, frequency, recency, age)
    if isinstance(parameters, ParetoNBDParameters):
        return alive * pareto_nbd.purchases_while_alive(parameters, periods, frequency, age)
    return alive * bg_nbd.purchases_while_alive(parameters, periods, frequency, age)


def expected_purchases_of_new_customer(
    parameters: PurchaseParameters, periods: ArrayLike
) -> FloatArray:
    """Give the repeat purchases expected of a customer in the first ``periods`` after the first.

    Parameters
    ----------
    parameters : BGNBDParameters, MBGNBDParameters, ParetoNBDParameters or BGBBParameters
        The fitted model.
    periods : array_like
        Time since the first purchase, 0 or more, in the unit of the history.

    Returns
    -------
    ndarray
        Expected numbers.

    Examples
    --------
    >>> paper = BGNBDParameters(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> expected_purchases_of_new_customer(paper, [0, 39]).round(3)
    array([0.   , 1.197])
    """
    return expected_purchases(parameters, periods, 0, 0, 0)


def probability_of_purchase(
    parameters: PurchaseParameters,
    periods: ArrayLike,
    frequency: ArrayLike,
    recency: ArrayLike,
    age: ArrayLike,
) -> FloatArray:
    """Give the probability of at least one purchase in the next ``periods``.

    Unlike P(alive) of BG/NBD it falls for a customer who bought once and long ago.

    Parameters
    ----------
    parameters : BGNBDParameters, MBGNBDParameters, ParetoNBDParameters or BGBBParameters
        The fitted model.
    periods : array_like
        Length of the horizon, 0 or more, in the unit of the history.
    frequency, recency, age : array_like
        Repeat purchases x, time of the last one t_x, and time under observation T.

    Returns
    -------
    ndarray
        Probabilities, 0 to 1.

    Examples
    --------
    >>> paper = BGNBDParameters(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> probability_of_purchase(paper, 39, [0, 2], [0, 30.43], [38.86, 38.86]).round(3)
    array([0.145, 0.555])
    """
    _check_periods(periods)
    if isinstance(parameters, BGBBParameters):
        # The same history seen for longer: nothing was bought in between.
        x, t_x, n, steps = floats(frequency, recency, age, periods)
        longer = bg_bb.log_likelihood(parameters, x, t_x, n + steps)
        return np.asarray(-np.expm1(longer - bg_bb.log_likelihood(parameters, x, t_x, n)))
    alive = probability_alive(parameters, frequency, recency, age)
    if isinstance(parameters, ParetoNBDParameters):
        return alive * pareto_nbd.purchase_chance_while_alive(parameters, periods, frequency, age)
    return alive * bg_nbd.purchase_chance_while_alive(parameters, periods, frequency, age)


def probability_of_purchase_count(
    parameters: PurchaseParameters, periods: ArrayLike, count: ArrayLike
) -> FloatArray:
    """Give the probability that a new customer makes exactly ``count`` repeat purchases.

    Parameters
    ----------
    parameters : BGNBDParameters, MBGNBDParameters, ParetoNBDParameters or BGBBParameters
        The fitted model.
    periods : array_like
        Time since the first purchase, in the unit of the history.
    count : array_like
        Numbers of repeat purchases, 0, 1, 2, and so on.

    Returns
    -------
    ndarray
        Probabilities.

    Examples
    --------
    >>> paper = BGNBDParameters(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> probability_of_purchase_count(paper, 39, [0, 1]).round(4)
    array([0.5738, 0.1994])
    """
    _check_periods(periods)
    if isinstance(parameters, BGBBParameters):
        return bg_bb.purchase_count_probability(parameters, periods, count)
    if isinstance(parameters, ParetoNBDParameters):
        return pareto_nbd.purchase_count_probability(parameters, periods, count)
    return bg_nbd.purchase_count_probability(parameters, periods, count)


def simulate_purchases(
    parameters: PurchaseParameters,
    periods: float,
    frequency: ArrayLike,
    recency: ArrayLike,
    age: ArrayLike,
    *,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Draw the purchases of each customer in the next ``periods``, given the history.

    Parameters
    ----------
    parameters : BGNBDParameters, MBGNBDParameters, ParetoNBDParameters or BGBBParameters
        The fitted model.
    periods : float
        Length of the horizon, in the unit of the history.
    frequency, recency, age : array_like
        Repeat purchases x, time of the last one t_x, and time under observation T.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of int
        One draw per customer; its expectation is :func:`expected_purchases`.
    """
    _check_periods(periods)
    x, t_x, t_all = floats(frequency, recency, age)
    if isinstance(parameters, BGBBParameters):
        return bg_bb.simulate_ahead(parameters, int(periods), x, t_x, t_all, rng=rng)
    alive = rng.random(x.shape) < probability_alive(parameters, x, t_x, t_all)
    if isinstance(parameters, ParetoNBDParameters):
        drawn = pareto_nbd.simulate_while_alive(parameters, periods, x, t_all, rng=rng)
    else:
        drawn = bg_nbd.simulate_while_alive(parameters, periods, x, t_all, rng=rng)
    return np.where(alive, drawn, 0)


def discounted_expected_purchases(
    parameters: ParetoNBDParameters | BGBBParameters,
    discount: float,
    frequency: ArrayLike,
    recency: ArrayLike,
    age: ArrayLike,
) -> FloatArray:
    """Give the discounted purchases expected over an endless horizon (DERT).

    Parameters
    ----------
    parameters : ParetoNBDParameters or BGBBParameters
        The fitted model.
    discount : float
        Above 0. Pareto/NBD: continuous rate per unit of time, ln(1.15) / 52 for 15 % a year in
        weeks. BG/BB: rate per opportunity, 0.15 for 15 %.
    frequency, recency, age : array_like
        Repeat purchases x, time of the last one t_x, and time under observation T.

    Returns
    -------
    ndarray
        Present numbers of purchases.

    Raises
    ------
    DesignError
        When the rate is not above 0, where the sum would not end.
    """
    if not (np.isfinite(discount) and discount > 0):
        raise DesignError(
            say("a discount of {discount}", discount=separated(f"{discount:g}")),
            expected=say("above 0, since purchases of an endless future are added up"),
            where="discount",
        )
    if isinstance(parameters, BGBBParameters):
        return bg_bb.discounted_purchases(parameters, discount, frequency, recency, age)
    return pareto_nbd.discounted_purchases(parameters, discount, frequency, recency, age)


def _check_periods(periods: ArrayLike) -> None:
    values = np.asarray(periods, dtype=np.float64)
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise DesignError(
            say("a horizon below 0 or without end"), expected=say("0 or more"), where="periods"
        )
