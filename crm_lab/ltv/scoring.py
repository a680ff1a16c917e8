"""Score a large base piece by piece, so that memory does not grow with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from crm_lab.errors import DesignError
from crm_lab.formats import listing
from crm_lab.language import say
from crm_lab.ltv.formulas import (
    expected_purchases,
    expected_spend,
    probability_alive,
    probability_of_purchase,
)
from crm_lab.ltv.models import GammaGammaFit, PurchaseFit
from crm_lab.ltv.tuples import count_histories

SCORE_COLUMNS = ("customer_id", "frequency", "recency", "age")


def score_customers(
    frame: pd.DataFrame,
    *,
    fit: PurchaseFit,
    periods: float,
    spend_fit: GammaGammaFit | None = None,
    paid_share: float = 1.0,
) -> pd.DataFrame:
    """Give every prediction of a fit for customers; equal histories are computed once.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``customer_id``, ``frequency``, ``recency``, ``age`` in units of the fit; with a spend fit
        also ``paid_frequency`` and ``monetary_value``.
    fit : PurchaseFit
        A fit without a reason against it.
    periods : float
        Horizon, 0 or more, in units of the fit.
    spend_fit : GammaGammaFit, optional
        Spend model; without it, or with a reason against it, no value is given.
    paid_share : float, default 1
        Share of repeat purchase days that bring money.

    Returns
    -------
    pandas.DataFrame
        ``customer_id``, ``probability_alive``, ``probability_of_order``, ``expected_orders``,
        ``expected_spend_per_order``, ``expected_value``; NaN where a fit cannot be trusted.

    Raises
    ------
    DesignError
        When columns are missing or a history is impossible.
    """
    wanted = [*SCORE_COLUMNS]
    if spend_fit is not None:
        wanted += ["paid_frequency", "monetary_value"]
    missing = [name for name in wanted if name not in frame.columns]
    if missing:
        raise DesignError(
            say("columns missing: {missing}", missing=listing(missing)), where="customers"
        )
    n = len(frame)
    alive, ordering, orders, spend = (np.full(n, np.nan) for _ in range(4))
    if n and fit.is_trusted:
        # Opportunities (BG/BB) have no unit of days.
        unit = fit.unit_days if np.isfinite(fit.unit_days) else 1.0
        t = count_histories(
            frame["frequency"].to_numpy(),
            frame["recency"].to_numpy(),
            frame["age"].to_numpy(),
            unit_days=unit,
            with_position=True,
        )
        history = (t.frequency, t.recency, t.age)
        alive = probability_alive(fit.parameters, *history)[t.position]
        ordering = probability_of_purchase(fit.parameters, periods, *history)[t.position]
        orders = expected_purchases(fit.parameters, periods, *history)[t.position]
    if n and spend_fit is not None and spend_fit.is_trusted:
        spend = expected_spend(
            spend_fit.parameters,
            frame["paid_frequency"].to_numpy(np.float64),
            frame["monetary_value"].fillna(0.0).to_numpy(np.float64),
        )
    return pd.DataFrame(
        {
            "customer_id": frame["customer_id"].to_numpy(),
            "probability_alive": alive,
            "probability_of_order": ordering,
            "expected_orders": orders,
            "expected_spend_per_order": spend,
            "expected_value": orders * spend * paid_share,
        }
    )


def score_in_pieces(
    pieces: Iterable[pd.DataFrame],
    *,
    fit: PurchaseFit,
    periods: float,
    spend_fit: GammaGammaFit | None = None,
    paid_share: float = 1.0,
) -> Iterator[pd.DataFrame]:
    """Score a base that comes in pieces; each is given out before the next one is read.

    Parameters
    ----------
    pieces : iterable of pandas.DataFrame
        As in :func:`score_customers`, some hundred thousand rows each.
    fit, periods, spend_fit, paid_share
        As in :func:`score_customers`.

    Yields
    ------
    pandas.DataFrame
        The scores of one piece.
    """
    for piece in pieces:
        yield score_customers(
            piece, fit=fit, periods=periods, spend_fit=spend_fit, paid_share=paid_share
        )
