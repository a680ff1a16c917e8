"""Bootstrap refits: what a base would be expected to bring had other customers been drawn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crm_lab.language import say
from crm_lab.ltv import wording
from crm_lab.ltv.estimation import maximise_purchases, maximise_spend
from crm_lab.ltv.formulas import (
    expected_purchases,
    expected_spend,
    probability_alive,
    probability_of_purchase,
    simulate_purchases,
    simulate_spend,
)
from crm_lab.ltv.history import PurchaseHistory
from crm_lab.ltv.models import PurchaseFit
from crm_lab.ltv.parameters import FloatArray, GammaGammaParameters, from_vector
from crm_lab.ltv.tuples import DistinctHistories


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampled:
    """Expected totals and noise variances, one entry per successful refit.

    Attributes
    ----------
    orders, value : ndarray
        Expected totals of the base.
    orders_noise, value_noise : ndarray
        Variances of single customers' draws around their expectations, added up.
    alive, ordering : ndarray
        Shares of the base that are customers, and that order.
    """

    orders: FloatArray
    orders_noise: FloatArray
    value: FloatArray
    value_noise: FloatArray
    alive: FloatArray
    ordering: FloatArray


def resample(
    history: PurchaseHistory,
    tuples: DistinctHistories,
    fit: PurchaseFit,
    spend_parameters: GammaGammaParameters | None,
    *,
    periods: float,
    discount: FloatArray,
    refits: int,
    rng: np.random.Generator,
    progress: bool,
) -> Resampled:
    """Draw the customers again, refit, and give what each refit expects of the base.

    Parameters
    ----------
    history : PurchaseHistory
        The base.
    tuples : DistinctHistories
        Its distinct histories, with the place of each customer's.
    fit : PurchaseFit
        Purchase model of the base, from which every search starts.
    spend_parameters : GammaGammaParameters or None
        Spend model of the base; None where there is no value.
    periods : float
        Horizon in units of the history.
    discount : ndarray
        Mean discount factor of each distinct history's orders.
    refits : int
        How often to draw.
    rng : numpy.random.Generator
        Source of randomness.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Resampled
        Refits without an optimum are left out.
    """
    n = history.n_customers
    model, parameters = fit.model, fit.parameters
    x, t_x, age = tuples.frequency, tuples.recency, tuples.age
    paid_x, mean = spend_columns(history)
    frequency = history.customers["frequency"].to_numpy(np.float64)
    discount_each = discount[tuples.position]
    orders, orders_noise, value, value_noise, alive, ordering = ([] for _ in range(6))
    for _ in _progress(refits, progress):
        drawn = np.bincount(rng.integers(0, n, n), minlength=n).astype(np.float64)
        weight = _counts(tuples.position, drawn, len(x))
        found = maximise_purchases(tuples.with_customers(weight), model=model, start=parameters)
        if not found.converged:
            continue
        p = from_vector(type(parameters), found.estimates)
        expected = expected_purchases(p, periods, x, t_x, age)
        each = expected[tuples.position]
        coming = simulate_purchases(
            p,
            periods,
            x[tuples.position],
            t_x[tuples.position],
            age[tuples.position],
            rng=rng,
        )
        orders.append(float(expected @ tuples.customers))
        orders_noise.append(float(np.sum((coming - each) ** 2)))
        alive.append(float(probability_alive(p, x, t_x, age) @ tuples.customers) / n)
        ordering.append(
            float(probability_of_purchase(p, periods, x, t_x, age) @ tuples.customers) / n
        )
        if spend_parameters is None:
            continue
        payers = (drawn > 0) & (paid_x > 0)
        spend_found = maximise_spend(
            paid_x[payers], mean[payers], drawn[payers], start=spend_parameters
        )
        s = from_vector(GammaGammaParameters, spend_found.estimates)
        if not (spend_found.converged and s.q > 1):
            continue
        paid_share = float(paid_x @ drawn / (frequency @ drawn))
        expected_value = each * discount_each * paid_share * expected_spend(s, paid_x, mean)
        paid = rng.binomial(coming, paid_share)
        brought = simulate_spend(s, paid, paid_x, mean, rng=rng) * discount_each
        value.append(float(expected_value.sum()))
        value_noise.append(float(np.sum((brought - expected_value) ** 2)))
    return Resampled(
        orders=np.array(orders),
        orders_noise=np.array(orders_noise),
        value=np.array(value),
        value_noise=np.array(value_noise),
        alive=np.array(alive),
        ordering=np.array(ordering),
    )


def spend_columns(history: PurchaseHistory) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give paid repeat days and their mean, 0 where there is none.

    Parameters
    ----------
    history : PurchaseHistory
        Customers.

    Returns
    -------
    paid_frequency, monetary_value : ndarray
        One entry per customer.
    """
    frame = history.customers
    return (
        frame["paid_frequency"].to_numpy(np.float64),
        frame["monetary_value"].fillna(0.0).to_numpy(np.float64),
    )


def _counts(position: NDArray[np.intp], drawn: FloatArray, size: int) -> FloatArray:
    """Give how many drawn customers share each distinct history."""
    return np.bincount(position, weights=drawn, minlength=size).astype(np.float64)


def _progress(refits: int, progress: bool) -> Iterable[int]:
    if not progress:
        return range(refits)
    from tqdm.auto import tqdm

    bar: Iterable[int] = tqdm(
        range(refits), desc=say(wording.PROGRESS), unit=say("refit"), leave=False
    )
    return bar
