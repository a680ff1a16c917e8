"""Computing the pace of a month from its plan, daily sales and past experiments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import pandas as pd

from crm_lab.experiments.results import Money
from crm_lab.planning.league import LeagueTable
from crm_lab.planning.levers import (
    ActivityState,
    build_levers,
    closes,
    judge_base,
    missing_after,
    per_recipient,
    scaled,
)
from crm_lab.planning.monthly_plan import ActivitySpec
from crm_lab.planning.pace import Pace, PaceVerdict
from crm_lab.planning.plan_revisions import MonthlyPlan
from crm_lab.stats.period_totals import LEAST_DAYS, PeriodTotal, forecast_period

UNKNOWN = Money(estimate=math.nan, low=math.nan, high=math.nan)
BACKTEST_MONTHS = 12
"""Past months at most for which the same forecast is made and compared."""


def build_pace(
    plan: MonthlyPlan,
    daily: pd.DataFrame,
    *,
    today: date,
    alpha: float = 0.05,
    currency: str,
    league: LeagueTable | None = None,
    reachable: Mapping[str, int] | None = None,
    measured: Mapping[str, Money | None] | None = None,
) -> Pace:
    """Compare a month with its plan and foresee its end.

    Parameters
    ----------
    plan : MonthlyPlan
        The plan that counts.
    daily : pandas.DataFrame
        Sales by day: day, revenue, orders, known_revenue, known_orders; days without sales may be
        missing.
    today : datetime.date
        The day it is made for; days before it are over, as far as orders are known. The last day
        with orders counts as over only if it is before this day.
    alpha : float
        Two-sided error level of every interval.
    currency : str
        Currency of amounts.
    league : LeagueTable, optional
        Past experiments in money per customer; without it no lever is known.
    reachable : mapping, optional
        Customers who can be reached, by channel.
    measured : mapping, optional
        What activities brought by their experiments, by name of the activity: None where the window
        is not over.
    """
    spec = plan.spec
    series = _series(daily, spec.metric, today=today)
    days = series.index.to_numpy().astype("datetime64[D]")
    first, last = np.datetime64(spec.first_day), np.datetime64(spec.last_day)
    forecast = forecast_period(series.to_numpy(), days, first=first, last=last, alpha=alpha)
    known_until = series.index[-1].date() if len(series) else spec.first_day - timedelta(days=1)
    gap = Money(
        estimate=spec.target - forecast.total,
        low=spec.target - forecast.high,
        high=spec.target - forecast.low,
    )
    usable = league if spec.metric == "revenue" else None
    levers = (
        build_levers(usable, reachable or {}, days_left=forecast.days_ahead)
        if usable is not None and forecast.days_ahead
        else ()
    )
    base = judge_base(levers, gap) if forecast.days_ahead else "not needed"
    remainder = missing_after(levers[0].total, gap) if base == "cannot" else UNKNOWN
    return Pace(
        verdict=_verdict(forecast, spec.target),
        plan=plan,
        known_until=known_until,
        forecast=forecast,
        expected_by_now=spec.target * forecast.expected_share,
        probability=forecast.probability_of(spec.target),
        gap=gap,
        activities=_activities(
            plan,
            today=today,
            gap=gap,
            days_left=forecast.days_ahead,
            league=usable,
            measured=measured or {},
        ),
        levers=levers,
        base=base,
        remainder=remainder,
        split={
            name: scaled(remainder, share)
            for name, share in spec.acquisition_channels.items()
            if base == "cannot"
        },
        known_share=_known_share(daily, spec.metric, spec.first_day, known_until),
        daily=_daily(series, forecast, spec.target, first, last),
        backtest=_backtest(series, spec.first_day, forecast.days_known, alpha=alpha),
        stale_days=max((min(today, spec.last_day + timedelta(days=1)) - known_until).days - 1, 0)
        if len(series)
        else 0,
        currency=currency,
    )


def _series(daily: pd.DataFrame, metric: str, *, today: date) -> pd.Series[float]:
    """Give the metric of every day that is over, days without sales as 0."""
    if daily.empty:
        return pd.Series(dtype=float, index=pd.DatetimeIndex([]))
    values = pd.Series(
        daily[metric].to_numpy(dtype=float), index=pd.DatetimeIndex(pd.to_datetime(daily["day"]))
    )
    values = values[values.index < pd.Timestamp(today)]
    if values.empty:
        return values
    return values.reindex(pd.date_range(values.index[0], values.index[-1]), fill_value=0.0)


def _verdict(forecast: PeriodTotal, target: float) -> PaceVerdict:
    if not forecast.days_ahead:
        return "on plan" if forecast.known >= target else "behind"
    if forecast.reason:
        return "cannot tell"
    if forecast.low >= target:
        return "on plan"
    return "behind" if forecast.high < target else "cannot tell"


def _activities(
    plan: MonthlyPlan,
    *,
    today: date,
    gap: Money,
    days_left: int,
    league: LeagueTable | None,
    measured: Mapping[str, Money | None],
) -> tuple[ActivityState, ...]:
    ordered = sorted(plan.spec.activities.items(), key=lambda pair: (pair[1].day, pair[0]))
    coming = sum(item.recipients for _, item in ordered if item.day >= today)
    found = []
    for name, item in ordered:
        is_over = item.day < today
        each = None
        if league is not None and not is_over:
            left = (plan.spec.last_day - item.day).days + 1
            each = per_recipient(league, item.mechanic, days_left=min(left, days_left))
        foreseen = None if each is None else scaled(each, item.recipients)
        needed = UNKNOWN if is_over else scaled(gap, item.recipients / coming)
        found.append(
            ActivityState(
                name=name,
                day=str(item.day),
                mechanic=item.mechanic,
                channel=item.channel,
                recipients=item.recipients,
                expected=item.expected,
                state=_state(name, item, is_over, measured),
                measured=measured.get(name) if is_over else None,
                foreseen=foreseen,
                needed=needed,
                verdict="not known" if is_over else closes(foreseen, needed),
            )
        )
    return tuple(found)


def _state(
    name: str, item: ActivitySpec, is_over: bool, measured: Mapping[str, Money | None]
) -> str:
    if not is_over:
        return "to come"
    if not item.experiment or name not in measured:
        return "not measured"
    return "being measured" if measured[name] is None else "measured"


def _known_share(daily: pd.DataFrame, metric: str, first: date, until: date) -> float:
    if daily.empty:
        return math.nan
    days = pd.to_datetime(daily["day"])
    inside = daily[(days >= pd.Timestamp(first)) & (days <= pd.Timestamp(until))]
    total = float(inside[metric].sum())
    return float(inside[f"known_{metric}"].sum()) / total if total > 0 else math.nan


def _daily(
    series: pd.Series[float],
    forecast: PeriodTotal,
    target: float,
    first: np.datetime64,
    last: np.datetime64,
) -> pd.DataFrame:
    days = np.arange(first, last + 1, dtype="datetime64[D]")
    factors = forecast.shape.of(days)
    index = pd.DatetimeIndex(days)
    return pd.DataFrame(
        {
            "day": index,
            "fact": series.reindex(index).to_numpy(),
            "planned": target * factors / factors.sum(),
        }
    )


def _backtest(
    series: pd.Series[float], first_day: date, days_known: int, *, alpha: float
) -> pd.DataFrame:
    """Make the same forecast on the same day of each past month that is known whole."""
    rows = []
    start = pd.Period(first_day, freq="M")
    for back in range(1, BACKTEST_MONTHS + 1):
        month = start - back
        first, last = month.start_time.normalize(), month.end_time.normalize()
        cut = first + pd.Timedelta(days=min(days_known, month.days_in_month - 1))
        if series.empty or last > series.index[-1]:
            continue
        known = series[series.index < cut]
        if len(known) < LEAST_DAYS or first < series.index[0]:
            break
        found = forecast_period(
            known.to_numpy(),
            known.index.to_numpy().astype("datetime64[D]"),
            first=first.to_datetime64().astype("datetime64[D]"),
            last=last.to_datetime64().astype("datetime64[D]"),
            alpha=alpha,
        )
        if found.reason:
            continue
        fact = float(series[(series.index >= first) & (series.index <= last)].sum())
        rows.append(
            {
                "month": str(month),
                "forecast": found.total,
                "low": found.low,
                "high": found.high,
                "fact": fact,
                "inside": bool(found.low <= fact <= found.high),
            }
        )
    return pd.DataFrame(rows, columns=["month", "forecast", "low", "high", "fact", "inside"])
