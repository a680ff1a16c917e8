"""Lifetime value of a workbench's base."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd

from crm_lab.gateway import operations
from crm_lab.handles.context import Context
from crm_lab.ltv import (
    LifetimeForecast,
    PurchaseHistory,
    Validation,
    forecast,
    history_from_summary,
    validate,
)


class Lifetime:
    """Lifetime value of a workbench's base.

    Parameters
    ----------
    workbench : Context
        Whose base.
    as_of : datetime.date, optional
        Last day that is used; by default the last day with orders.
    unit_days : float
        Days in one unit of time.
    """

    def __init__(self, workbench: Context, *, as_of: date | None, unit_days: float) -> None:
        self._workbench = workbench
        self.unit_days = unit_days
        self.as_of = as_of or workbench.last_day()

    def history(self) -> PurchaseHistory:
        """Compute the purchase history in the database."""
        zone = self._workbench.settings.timezone
        until = self._workbench.day_start(self.as_of + timedelta(days=1))
        with self._workbench.gateway.reader() as reader:
            frame = reader.frame(operations.purchase_summary(until, zone=zone))
        first, last = pd.to_datetime(frame["first_day"]), pd.to_datetime(frame["last_day"])
        summary = frame.assign(
            recency=(last - first).dt.days / self.unit_days,
            age=(pd.Timestamp(self.as_of) - first).dt.days / self.unit_days,
        )
        return history_from_summary(
            summary,
            as_of=self.as_of,
            unit_days=self.unit_days,
            currency=self._workbench.settings.currency,
        )

    def purchases(self) -> pd.DataFrame:
        """Read the purchase days: customer_id, ordered_at, amount."""
        until = self._workbench.day_start(self.as_of + timedelta(days=1))
        with self._workbench.gateway.reader() as reader:
            return reader.frame(
                operations.purchase_log(until, zone=self._workbench.settings.timezone)
            )

    def validate(
        self,
        *,
        calibration_end: date | None = None,
        refits: int = 50,
        seed: int = 1,
        progress: bool = False,
    ) -> Validation:
        """Fit until ``calibration_end`` (by default half-way) and compare with the rest."""
        purchases = self.purchases()
        if calibration_end is None:
            first = pd.Timestamp(purchases["ordered_at"].min())
            calibration_end = (first + (pd.Timestamp(self.as_of) - first) / 2).date()
        return validate(
            purchases,
            calibration_end=calibration_end,
            as_of=self.as_of,
            unit_days=self.unit_days,
            currency=self._workbench.settings.currency,
            refits=refits,
            rng=np.random.default_rng(seed),
            progress=progress,
        )

    def forecast(
        self, *, periods: float, refits: int = 50, seed: int = 1, progress: bool = False
    ) -> LifetimeForecast:
        """Forecast orders and value of every customer over ``periods`` units."""
        return forecast(
            self.history(),
            periods=periods,
            refits=refits,
            rng=np.random.default_rng(seed),
            progress=progress,
        )
