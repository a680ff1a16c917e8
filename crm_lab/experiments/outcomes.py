"""What happened to everybody assigned: a value of every metric for each customer.

Only orders of customers who were assigned before count, so that nothing that was known at the draw
can enter the outcome; covariates come from the time before both the start and the draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from crm_lab.experiments.metrics import MetricSpec
from crm_lab.experiments.plan import Plan
from crm_lab.gateway import Reader, operations
from crm_lab.gateway.measures import Measured, as_numbers, customer_measures
from crm_lab.language import message, say

NET = "net_per_customer"
NO_COST = message("the margin is not known: no margin_share in the plan, and orders without a cost")
RECENCY_SPAN = timedelta(days=365)
"""How far back the last order is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The spans of time that an analysis reads.

    Attributes
    ----------
    starts_at, ends_at : datetime
        Outcome: from the start of the plan, or from the draw where that was later, until the end
        or the look.
    pre_starts_at, pre_ends_at : datetime
        Pre-period: before the start and before the draw.
    """

    starts_at: datetime
    ends_at: datetime
    pre_starts_at: datetime
    pre_ends_at: datetime

    @classmethod
    def of(cls, plan: Plan, *, assigned_at: datetime, until: datetime | None = None) -> Window:
        """Give the spans of a plan whose arms were drawn at ``assigned_at``.

        Parameters
        ----------
        plan : Plan
            The registered plan.
        assigned_at : datetime
            When the arms were drawn.
        until : datetime, optional
            Look before the end of the window.
        """
        start = max(plan.starts_at, assigned_at)
        before = min(plan.starts_at, assigned_at)
        return cls(
            starts_at=start,
            ends_at=min(plan.ends_at, until) if until else plan.ends_at,
            pre_starts_at=before - (plan.starts_at - plan.pre_starts_at),
            pre_ends_at=before,
        )

    @property
    def days(self) -> float:
        """Length of the outcome in days."""
        return (self.ends_at - self.starts_at) / timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcomes:
    """Everybody assigned, with what was measured.

    Attributes
    ----------
    frame : pandas.DataFrame
        Columns customer_id, unit_id, variant, then measures and covariates, as numbers; one row
        per customer, in the order of the ids.
    columns : mapping
        For each metric the column of its numerator, and that of its denominator.
    reasons : mapping
        Metrics that cannot be measured, and why.
    window : Window
        The spans of time.
    """

    frame: pd.DataFrame
    columns: Mapping[str, tuple[str, ...]]
    reasons: Mapping[str, str]
    window: Window

    @classmethod
    def from_frame(cls, plan: Plan, frame: pd.DataFrame, window: Window | None = None) -> Outcomes:
        """Take measures that are already there, named as :func:`wanted_measures` names them.

        Parameters
        ----------
        plan : Plan
            Whose metrics.
        frame : pandas.DataFrame
            Columns variant, revenue, orders, pre_revenue, pre_orders, and whatever else the
            metrics of the plan need; one row per customer.
        window : Window, optional
            The spans of time; by default those of the plan.
        """
        spans = window or Window.of(plan, assigned_at=plan.starts_at)
        _, columns, reasons = wanted_measures(plan, spans)
        net, why_not = net_values(plan, frame)
        if net is not None:
            frame = frame.assign(net=net)
        columns, reasons = {**columns, NET: ("net",)}, dict(reasons)
        if why_not:
            reasons[NET] = why_not
        for name, used in columns.items():
            lacking = [column for column in used if column not in frame]
            if lacking:
                reasons.setdefault(name, say("'{column}' was not measured", column=lacking[0]))
            elif plan.metric(name).numerator == "margin" and frame[used[0]].isna().any():
                reasons.setdefault(name, say(NO_COST))
        return cls(
            frame=frame,
            columns=columns,
            reasons=reasons,
            window=spans,
        )

    @property
    def is_clustered(self) -> bool:
        """Whether several customers were drawn together as one unit."""
        return "unit_id" in self.frame and bool(self.frame["unit_id"].duplicated().any())

    def of(self, variant: str) -> pd.DataFrame:
        """Give the customers of one variant."""
        return self.frame[self.frame["variant"] == variant]


def read_outcomes(
    reader: Reader, plan: Plan, window: Window, population: str | None = None
) -> Outcomes:
    """Read a value of every metric of the plan for everybody assigned.

    Parameters
    ----------
    reader : Reader
        Of the snapshot.
    plan : Plan
        Whose members and metrics.
    window : Window
        The spans of time.
    population : str, optional
        A SELECT of customer_id, unit_id and variant; by default everybody assigned.
    """
    population = population or operations.assigned(plan.scope)
    wanted, _, _ = wanted_measures(plan, window)
    reader.temporary("measured", customer_measures(population, wanted))
    return Outcomes.from_frame(plan, reader.frame(as_numbers("measured", wanted)), window)


def net_values(plan: Plan, frame: pd.DataFrame) -> tuple[np.ndarray | None, str]:
    """Give margin less the costs of metrics per customer; or nothing, and why.

    The margin is the part of revenue that the plan names, or what the cost of every order leaves.
    Costs of messages and of the campaign as a whole are not in it.
    """
    if plan.margin_share is not None:
        net = frame["revenue"].to_numpy(dtype=float) * plan.margin_share
    elif "margin" not in frame or frame["margin"].isna().any():
        return None, say(NO_COST)
    else:
        net = frame["margin"].to_numpy(dtype=float)
    for name in plan.metrics:
        spec = plan.metric(name)
        if spec.cost and spec.numerator in frame:
            net = net - spec.cost * frame[spec.numerator].to_numpy(dtype=float)
    return net, ""


def wanted_measures(
    plan: Plan, window: Window
) -> tuple[list[Measured], dict[str, tuple[str, ...]], dict[str, str]]:
    """List the columns that the metrics of a plan need, which metric uses which, and what fails.

    Revenue, margin and orders of the window and of the pre-period are always read: the money of
    the page and the balance of the groups come from them.
    """
    columns: dict[str, tuple[str, ...]] = {}
    reasons: dict[str, str] = {}
    wanted = {
        measure: Measured(
            column=measure,
            measure=measure,
            starts_at=window.starts_at,
            ends_at=window.ends_at,
        )
        for measure in ("revenue", "orders", "margin")
    }
    for name in plan.metrics:
        spec = plan.metric(name)
        start, end = metric_span(spec, window)
        if start >= end:
            reasons[name] = say("its first day, day {day}, has not come yet", day=spec.from_day + 1)
            continue
        used = _measures_of(spec)
        whole = (start, end) == (window.starts_at, window.ends_at)
        suffix = "" if whole else f"_{spec.from_day}_{spec.days or 'end'}"
        for measure in used:
            column = f"{measure}{suffix}"
            wanted[column] = Measured(column=column, measure=measure, starts_at=start, ends_at=end)
        columns[name] = tuple(f"{measure}{suffix}" for measure in used)
    every = [*wanted.values(), *covariates_of(plan, window)]
    return list({item.column: item for item in every}.values()), columns, reasons


def metric_span(spec: MetricSpec, window: Window) -> tuple[datetime, datetime]:
    """Give the first moment that a metric counts, and the first that it does not count any more."""
    start = window.starts_at + timedelta(days=spec.from_day)
    end = window.ends_at
    if spec.days is not None:
        end = min(end, start + timedelta(days=spec.days))
    return start, end


def covariates_of(plan: Plan, window: Window) -> list[Measured]:
    """List what is read of the time before the draw."""
    pre = {"starts_at": window.pre_starts_at, "ends_at": window.pre_ends_at}
    found = [
        Measured(column="pre_revenue", measure="revenue", **pre),
        Measured(column="pre_orders", measure="orders", **pre),
    ]
    if "recency_days" in plan.covariates:
        found.append(
            Measured(
                column="recency_days",
                measure="recency_days",
                starts_at=window.pre_ends_at - RECENCY_SPAN,
                ends_at=window.pre_ends_at,
            )
        )
    return found


def covariates_for(plan: Plan, spec: MetricSpec) -> tuple[str, ...]:
    """Name the covariates by which a metric is adjusted; nothing where it is not.

    Money is adjusted by the revenue of the pre-period; what else the plan names, adjusts every
    mean.
    """
    if not plan.is_adjusted or spec.kind != "mean":
        return ()
    usual = ("pre_revenue",) if spec.is_money else ()
    return tuple(dict.fromkeys((*usual, *plan.covariates)))


def limited(values: np.ndarray, spec: MetricSpec, *, limit: float) -> np.ndarray:
    """Cut what is above the cap of a metric, or above the limit that its winsorising gave."""
    top = spec.cap if spec.cap is not None else limit
    return np.minimum(values, top) if np.isfinite(top) else values


def winsor_limit_of(frame: pd.DataFrame, columns: Sequence[str], spec: MetricSpec) -> float:
    """Give the value above which a metric is cut: a quantile of everybody assigned together."""
    if spec.winsorise is None or frame.empty:
        return float("inf")
    values = frame[columns[0]].to_numpy()
    return float(np.quantile(values, spec.winsorise, method="higher"))


def _measures_of(spec: MetricSpec) -> tuple[str, ...]:
    if spec.kind == "days_to_first":
        return ("days_to_first_order",)
    return (spec.numerator,) if spec.denominator is None else (spec.numerator, spec.denominator)
