"""What single customers may do and bring: draws from the posterior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crm_lab.errors import DesignError
from crm_lab.language import say
from crm_lab.ltv.fits import check_alpha
from crm_lab.ltv.formulas import simulate_purchases, simulate_spend
from crm_lab.ltv.history import PurchaseHistory
from crm_lab.ltv.models import GammaGammaFit, PurchaseFit
from crm_lab.ltv.parameters import AnyParameters, FloatArray, as_vector, from_vector
from crm_lab.ltv.predictions import check_horizon
from crm_lab.ltv.resampling import spend_columns


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CustomerDraws:
    """What each customer may do and bring, drawn from the posterior.

    Attributes
    ----------
    customer_id : ndarray, shape (n,)
        The customers.
    orders : ndarray of int, shape (draws, n)
        Orders in the horizon.
    value : ndarray, shape (draws, n)
        Value in the horizon, not discounted; NaN where there is no spend model.
    """

    customer_id: NDArray[Any]
    orders: NDArray[np.int64]
    value: FloatArray

    def to_frame(self, *, alpha: float = 0.05) -> pd.DataFrame:
        """Give the quantiles of each customer's orders and value at alpha/2 and 1 - alpha/2."""
        check_alpha(alpha)
        ends = [alpha / 2, 1 - alpha / 2]
        low, high = np.quantile(self.orders, ends, axis=0)
        value_low, value_high = np.quantile(self.value, ends, axis=0)
        return pd.DataFrame(
            {
                "customer_id": self.customer_id,
                "orders_low": low,
                "orders_high": high,
                "value_low": value_low,
                "value_high": value_high,
            }
        )


def draw_customers(
    history: PurchaseHistory,
    *,
    periods: float,
    fit: PurchaseFit,
    spend_fit: GammaGammaFit | None = None,
    draws: int = 200,
    rng: np.random.Generator,
) -> CustomerDraws:
    """Draw what each customer may do: every draw has its own parameters and its own chance.

    Parameters
    ----------
    history : PurchaseHistory
        Customers until the closing day.
    periods : float
        Horizon, 0 or more, in units of the history.
    fit : PurchaseFit
        A purchase model without a reason against it.
    spend_fit : GammaGammaFit, optional
        Spend model; without it, or with a reason against it, values are NaN.
    draws : int, default 200
        How many draws, 1 or more; memory grows as draws times customers.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    CustomerDraws
        Parameters are drawn from the normal law of their logs.

    Raises
    ------
    DesignError
        When the horizon or the number of draws is impossible, or the fit cannot be trusted.
    """
    check_horizon(history, periods, fit)
    if draws < 1:
        raise DesignError(
            say("{draws} draws", draws=draws), expected=say("at least 1"), where="draws"
        )
    if not fit.is_trusted:
        raise DesignError(
            say("the fit cannot be trusted: {reason}", reason=fit.reason),
            expected=say("a trusted fit"),
            where="fit",
        )
    spends = spend_fit is not None and spend_fit.is_trusted
    frame = history.customers
    x, t_x, age = (frame[name].to_numpy(np.float64) for name in ("frequency", "recency", "age"))
    paid_x, mean = spend_columns(history)
    orders = np.empty((draws, len(frame)), dtype=np.int64)
    value = np.full((draws, len(frame)), np.nan)
    for index in range(draws):
        p = drawn_parameters(fit.parameters, fit.log_covariance, rng)
        orders[index] = simulate_purchases(p, periods, x, t_x, age, rng=rng)
        if spends and spend_fit is not None:
            s = drawn_parameters(spend_fit.parameters, spend_fit.log_covariance, rng)
            paid = rng.binomial(orders[index], history.paid_share)
            value[index] = simulate_spend(s, paid, paid_x, mean, rng=rng)
    return CustomerDraws(customer_id=frame["customer_id"].to_numpy(), orders=orders, value=value)


def drawn_parameters(
    parameters: AnyParameters, log_covariance: FloatArray, rng: np.random.Generator
) -> AnyParameters:
    """Draw parameters from the normal law of their logs."""
    logs = rng.multivariate_normal(np.log(as_vector(parameters)), log_covariance)
    return from_vector(type(parameters), np.exp(logs))
