"""When a customer's next order is to be expected."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crm_lab.ltv.formulas import probability_of_purchase
from crm_lab.ltv.history import PurchaseHistory
from crm_lab.ltv.models import PurchaseFit
from crm_lab.ltv.tuples import DistinctHistories

FARTHEST_DAYS = 3 * 365
"""A next order that is not more likely than not within so many days has no date."""

HALVINGS = 40

EVEN = 0.5
"""An order is as likely as not."""


def next_order_days(
    fit: PurchaseFit, t: DistinctHistories, history: PurchaseHistory
) -> NDArray[np.datetime64]:
    """Give the day by which an order is as likely as not, by halving the span.

    The mean time to the next order is infinite where somebody may have left; this median exists
    for whoever orders at all with a probability of one half.

    Parameters
    ----------
    fit : PurchaseFit
        A purchase model of the history.
    t : DistinctHistories
        Distinct histories with the place of each customer.
    history : PurchaseHistory
        The customers.

    Returns
    -------
    ndarray of datetime64
        One day per customer; missing where it is beyond ``FARTHEST_DAYS`` or nothing was fitted.
    """
    days = np.full(len(t), np.nan)
    if not fit.reason:
        x = (t.frequency, t.recency, t.age)
        low = np.zeros(len(t))
        high = np.full(len(t), FARTHEST_DAYS / history.unit_days)
        comes = probability_of_purchase(fit.parameters, high, *x) >= EVEN
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            late = probability_of_purchase(fit.parameters, middle, *x) < EVEN
            low, high = np.where(late, middle, low), np.where(late, high, middle)
        days = np.where(comes, np.ceil(high * history.unit_days), np.nan)
    each = pd.Timestamp(history.as_of) + pd.to_timedelta(pd.Series(days[t.position]), unit="D")
    return each.to_numpy(dtype="datetime64[s]")
