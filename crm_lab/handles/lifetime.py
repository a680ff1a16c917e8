"""Lifetime value of a workbench's base."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd

from crm_lab.gateway import cohorts as acquisition
from crm_lab.gateway import operations
from crm_lab.handles.context import Context, Handle
from crm_lab.ltv import (
    LifetimeForecast,
    PurchaseHistory,
    Validation,
    fit_purchases,
    forecast,
    history_from_summary,
    validate,
)
from crm_lab.ltv.cohorts import GroupValues, group_values
from crm_lab.ltv.gate import ForecastVerdict, judge_forecast
from crm_lab.ltv.health import DataHealth
from crm_lab.ltv.parameters import PurchaseModel
from crm_lab.ltv.predictions import LifetimePredictions, predict
from crm_lab.ltv.rolling import DEFAULT_ORIGINS, RollingOrigin, rolling_origin


class Lifetime(Handle):
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
            health=self.health().history_health,
        )

    def health(self) -> DataHealth:
        """Count what each policy did with how many orders."""
        query = acquisition.order_health(self._until(), zone=self._workbench.settings.timezone)
        with self._workbench.gateway.reader() as reader:
            return DataHealth.of(reader.one(query))

    def past_value(self) -> pd.Series[float]:
        """Give what each customer has brought so far, by customer id."""
        people = self._acquired("month")
        return people.set_index("customer_id")["past_value"]

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
        self,
        *,
        periods: float,
        model: PurchaseModel = "bg_nbd",
        refits: int = 50,
        seed: int = 1,
        progress: bool = False,
    ) -> LifetimeForecast:
        """Forecast orders and value of every customer over ``periods`` units."""
        history = self.history()
        return forecast(
            history,
            periods=periods,
            fit=fit_purchases(history, model=model),
            refits=refits,
            rng=np.random.default_rng(seed),
            progress=progress,
        )

    def predict(
        self,
        *,
        periods: float,
        model: PurchaseModel = "bg_nbd",
        discount_rate: float = 0.0,
        endless: bool = False,
        seed: int = 1,
    ) -> LifetimePredictions:
        """Predict orders, dates, spend and value of every customer, each with its interval."""
        history = self.history()
        return predict(
            history,
            periods=periods,
            fit=fit_purchases(history, model=model),
            discount_rate=discount_rate,
            endless=endless,
            past_value=self.past_value(),
            rng=np.random.default_rng(seed),
        )

    def test(
        self,
        *,
        horizon_days: int,
        model: PurchaseModel = "bg_nbd",
        origins: int = DEFAULT_ORIGINS,
        seed: int = 1,
        progress: bool = False,
    ) -> RollingOrigin:
        """Make the same forecast from several moments of the past, and compare."""
        return rolling_origin(
            self.purchases(),
            horizon_days=horizon_days,
            as_of=self.as_of,
            origins=origins,
            model=model,
            unit_days=self.unit_days,
            currency=self._workbench.settings.currency,
            rng=np.random.default_rng(seed),
            progress=progress,
        )

    def judge(
        self, forecast: LifetimeForecast | LifetimePredictions, tests: RollingOrigin
    ) -> ForecastVerdict:
        """Say what a forecast is worth, and whether it may be published."""
        return judge_forecast(forecast, tests)

    def groups(
        self, predictions: LifetimePredictions, *, by: acquisition.CohortBy, alpha: float = 0.05
    ) -> GroupValues:
        """Compare lifetime value by how customers came or who they are, and with their cost.

        Costs are entries of kind ``acquisition``; they are known by month, and by channel where
        the entries carry the channels of orders.
        """
        zone = self._workbench.settings.timezone
        people = self._acquired(by)
        with self._workbench.gateway.reader() as reader:
            curve = reader.frame(acquisition.value_by_age(self._until(), by=by, zone=zone))
            costs = reader.frame(acquisition.acquisition_costs(self._until(), zone=zone))
        priced: dict[str, float] = {}
        if by in ("month", "channel") and len(costs):
            totals = costs.groupby(by)["amount"].sum()
            priced = {str(name): float(total) for name, total in totals.items()}
        return group_values(predictions, people, by=by, costs=priced, curve=curve, alpha=alpha)

    def _acquired(self, by: acquisition.CohortBy) -> pd.DataFrame:
        zone = self._workbench.settings.timezone
        with self._workbench.gateway.reader() as reader:
            return reader.frame(acquisition.acquired(self._until(), by=by, zone=zone))

    def _until(self) -> datetime:
        return self._workbench.day_start(self.as_of + timedelta(days=1))
