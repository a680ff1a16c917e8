"""Past windows of bases that are not there: for planning before there are data."""

from __future__ import annotations

import numpy as np
import pandas as pd

from crm_lab.errors import DesignError
from crm_lab.language import say


def past_window(
    customers: int,
    *,
    conversion: float,
    mean_order: float = 1_000.0,
    sigma: float = 1.5,
    correlation: float = 0.5,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Make up what a base did in one window and in the window before it.

    Parameters
    ----------
    customers : int
        Customers of the base.
    conversion : float
        Share who buy in a window, between 0 and 1.
    mean_order : float
        Mean order, in any currency.
    sigma : float
        Spread of the log-normal order; 1.5 is a shop with a few very large orders.
    correlation : float
        How much the chance to buy is the customer's own, from 0 (nobody differs) to below 1.
    rng : numpy.random.Generator
        Source of chance.

    Returns
    -------
    pandas.DataFrame
        Columns customer_id, revenue, orders, pre_revenue, pre_orders; one row per customer.

    Raises
    ------
    DesignError
        A size, share or spread is impossible.
    """
    if customers < 2 or not 0 < conversion < 1 or not 0 <= correlation < 1 or sigma < 0:
        raise DesignError(
            say(
                "{customers} customers, conversion {conversion}, correlation {correlation}, "
                "sigma {sigma}",
                customers=customers,
                conversion=conversion,
                correlation=correlation,
                sigma=sigma,
            ),
            expected=say("at least 2 customers, shares between 0 and 1, a spread of 0 or more"),
        )
    if correlation > 0:
        strength = (1 - correlation) / correlation
        chance = rng.beta(conversion * strength, (1 - conversion) * strength, customers)
    else:
        chance = np.full(customers, conversion)
    columns = {"customer_id": np.arange(1, customers + 1).astype(str)}
    for prefix in ("", "pre_"):
        orders = (rng.random(customers) < chance).astype(np.int64)
        amounts = rng.lognormal(np.log(mean_order) - sigma**2 / 2, sigma, customers)
        columns[f"{prefix}revenue"] = np.round(amounts * orders, 2)
        columns[f"{prefix}orders"] = orders
    return pd.DataFrame(columns)
