"""From what a person wrote to what will be done: the resolved plan and what it can find out.

The plan is frozen and named by its hash; the ledger registers it before the first message, and
the analysis reads the plan, not the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import LedgerError
from crm_lab.experiments.assignment import arm_expression, experiment_rows
from crm_lab.experiments.control_group import (
    Epoch,
    count_obstacles,
    newcomers_entry,
    open_epoch,
    prepare_newcomers,
    required_epoch,
)
from crm_lab.experiments.spec import CONTROL, REST, ControlGroupSpec, ExperimentSpec
from crm_lab.gateway import Gateway, LedgerEntry, Reader, operations
from crm_lab.stats import (
    DetectableEffect,
    minimum_detectable_effect_mean,
    minimum_detectable_effect_proportion,
)

SMALL_CONTROL = 100
"""Controls below which a plan is objected to."""
HOPELESS_EFFECT = 0.5
"""Relative effect above which hardly any campaign lies: a design that needs it is hopeless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One experiment, resolved: nothing is left to a default or to the day it is read.

    Attributes
    ----------
    name, title, hypothesis, owner, channel, message_class : str
        As written.
    starts_at, ends_at, pre_starts_at : datetime
        Outcome window (end excluded) and start of the pre-period, UTC without zone.
    bought_within_days, min_orders : int or None, int
        The audience's conditions.
    control_group, control_share : str, float
        Control group by name, and its share.
    salt : str
        Salt of the arms' hash.
    shares, messages : mapping
        Share (of the audience outside the control group) and message per arm.
    primary_metric, secondary_metrics : str, tuple of str
        What decides, what is watched.
    alpha, alpha_per_arm, power : float
        Error rate of the experiment, of each arm's interval (Bonferroni), and wanted power.
    is_adjusted : bool
        Whether revenue is adjusted by the revenue of the pre-period (CUPED).
    rule, minimum : str, float
        The decision rule.
    cost_per_message, cost_fixed, margin_share : float, float, float or None
        Costs, and margin as a part of revenue where known.
    currency : str
        Currency of every amount.
    """

    name: str
    title: str
    hypothesis: str
    owner: str
    channel: str
    message_class: str
    starts_at: datetime
    ends_at: datetime
    pre_starts_at: datetime
    bought_within_days: int | None
    min_orders: int
    control_group: str
    control_share: float
    salt: str
    shares: Mapping[str, float]
    messages: Mapping[str, str]
    primary_metric: str
    secondary_metrics: tuple[str, ...]
    alpha: float
    alpha_per_arm: float
    power: float
    is_adjusted: bool
    rule: str
    minimum: float
    cost_per_message: float
    cost_fixed: float
    margin_share: float | None
    currency: str

    @property
    def scope(self) -> str:
        """Scope of its members in the assignment table."""
        return f"experiment:{self.name}"

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms that receive something."""
        return tuple(self.shares)

    @property
    def days(self) -> int:
        """Length of the outcome window."""
        return (self.ends_at - self.starts_at).days

    def to_payload(self) -> dict[str, Any]:
        """Give the plan as JSON-ready data, complete."""
        values: dict[str, Any] = {}
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, datetime):
                value = value.isoformat()
            elif isinstance(value, Mapping):
                value = [list(pair) for pair in value.items()]  # the order of the arms counts
            elif isinstance(value, tuple):
                value = list(value)
            values[name] = value
        return values

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Plan:
        """Read a plan back from what the ledger keeps."""
        values = dict(payload)
        for name in ("starts_at", "ends_at", "pre_starts_at"):
            values[name] = datetime.fromisoformat(values[name])
        values["secondary_metrics"] = tuple(values["secondary_metrics"])
        values["shares"], values["messages"] = dict(values["shares"]), dict(values["messages"])
        return cls(**values)

    @property
    def sha256(self) -> str:
        """Hash of the whole plan; what the ledger registers."""
        text = json.dumps(self.to_payload(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def resolve(
    spec: ExperimentSpec, control: ControlGroupSpec, *, timezone: str, currency: str
) -> Plan:
    """Turn what a person wrote into a plan.

    Parameters
    ----------
    spec : ExperimentSpec
        The experiment.
    control : ControlGroupSpec
        The standing control group it is measured against.
    timezone : str
        IANA name of the zone whose days the file means.
    currency : str
        Currency of every amount.
    """
    starts_at = _midnight(datetime.combine(spec.starts_on, time()), timezone)
    ends_at = _midnight(datetime.combine(spec.ends_on, time()) + timedelta(days=1), timezone)
    return Plan(
        name=spec.name,
        title=spec.title,
        hypothesis=spec.hypothesis,
        owner=spec.owner,
        channel=spec.channel,
        message_class=spec.message_class,
        starts_at=starts_at,
        ends_at=ends_at,
        pre_starts_at=starts_at - timedelta(days=spec.pre_period_days),
        bought_within_days=spec.audience.bought_within_days,
        min_orders=spec.audience.min_orders,
        control_group=control.name,
        control_share=control.share,
        salt=f"experiment:{spec.name}",
        shares={name: arm.share for name, arm in spec.arms.items()},
        messages={name: arm.message for name, arm in spec.arms.items()},
        primary_metric=spec.metrics.primary,
        secondary_metrics=spec.metrics.secondary,
        alpha=spec.alpha,
        alpha_per_arm=spec.alpha / len(spec.arms),
        power=spec.power,
        is_adjusted=spec.pre_period_days > 0,
        rule=spec.decision.rule,
        minimum=spec.decision.minimum,
        cost_per_message=spec.costs.per_message,
        cost_fixed=spec.costs.fixed,
        margin_share=spec.costs.margin_share,
        currency=currency,
    )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PowerTable(Result):
    """What each arm of a plan can find, by metric, and the curve behind it.

    Attributes
    ----------
    rows : tuple of (arm, metric, DetectableEffect)
        Smallest effect that shows.
    curve : pandas.DataFrame
        Columns control_share, relative: smallest change of the primary metric that shows in the
        first arm, by share of the control group, the audience being as it is.
    power : float
        Probability with which it shows.
    metric : str
        The metric of the curve.
    control_share : float
        The plan's share.
    """

    title: ClassVar[str] = "What this plan can find"
    plotter: ClassVar[str] = "crm_lab.plots.control_group:plot_power"

    rows: tuple[tuple[str, str, DetectableEffect], ...]
    curve: pd.DataFrame
    power: float
    metric: str
    control_share: float

    def sentence(self) -> str:
        """Say the smallest effect on the primary metric that shows in each arm."""
        found = [
            f"{arm}: {formats.percent(effect.relative, decimals=0, signed=True)}"
            for arm, metric, effect in self.rows
            if metric == self.metric
        ]
        return (
            f"Smallest change of {self.metric} that shows with"
            f" {formats.percent(self.power, decimals=0)} probability: {'; '.join(found)}."
        )

    def to_frame(self) -> pd.DataFrame:
        """Give one row per arm and metric."""
        return pd.DataFrame(
            [
                {
                    "arm": arm,
                    "metric": metric,
                    "base value": effect.base_value,
                    "smallest change": formats.percent(effect.relative, decimals=0, signed=True),
                    "customers": effect.n_treatment,
                    "controls": effect.n_control,
                }
                for arm, metric, effect in self.rows
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PlanPreview(Result):
    """A plan before it starts: sizes, what it can find, and every objection at once.

    Attributes
    ----------
    plan : Plan
        The resolved plan.
    sizes : mapping
        Expected customers per arm, the control group included.
    waterfall : mapping
        Customers left out, by obstacle.
    power : PowerTable
        What it can find.
    objections : tuple of str
        What speaks against starting it like this.
    is_registered : bool
        Whether the ledger holds exactly this plan.
    """

    title: ClassVar[str] = "Plan"
    plotter: ClassVar[str] = "crm_lab.plots.control_group:plot_plan"

    plan: Plan
    sizes: Mapping[str, int]
    waterfall: Mapping[str, int]
    power: PowerTable
    objections: tuple[str, ...]
    is_registered: bool

    def sentence(self) -> str:
        """Say what is tried on whom, what it can find and what speaks against it."""
        sizes = ", ".join(f"{name} {count:,}" for name, count in self.sizes.items())
        last = self.plan.ends_at - timedelta(days=1)
        text = (
            f"{self.plan.title}: {formats.day(self.plan.starts_at)} to {formats.day(last)};"
            f" {sizes}. {self.power.sentence()}"
        )
        if not self.objections:
            return text + " No objection."
        return text + " Objections: " + " ".join(self.objections)

    def to_frame(self) -> pd.DataFrame:
        """Give one row per arm and metric."""
        return self.power.to_frame()


def preview(gateway: Gateway, plan: Plan, *, as_of: datetime) -> PlanPreview:
    """Say what a plan would do on the base as it is at ``as_of``; changes nothing."""
    epoch = open_epoch(gateway, plan.control_group)
    with gateway.reader() as reader:
        judged = reader.frame(audience_query(plan, as_of))
        sizes = _expected_sizes(reader, plan, epoch, as_of)
        start = min(plan.starts_at, as_of)
        window = plan.ends_at - plan.starts_at
        population = (
            f"select customer_id, 'all' as variant from ({audience_query(plan, as_of)}) as judged"
            " where eligible"
        )
        history = reader.frame(
            operations.outcomes(
                population,
                starts_at=start - window,
                ends_at=start,
                pre_starts_at=start - window - (plan.starts_at - plan.pre_starts_at),
            )
        )
    power = power_table(plan, history, sizes)
    return PlanPreview(
        plan=plan,
        sizes=sizes,
        waterfall=count_obstacles(judged),
        power=power,
        objections=tuple(_objections(plan, epoch, sizes, power, as_of)),
        is_registered=registered_plan(gateway, plan.name, required=False) == plan,
    )


def power_table(plan: Plan, history: pd.DataFrame, sizes: Mapping[str, int]) -> PowerTable:
    """Compute what each arm can find, from past outcomes of the same people.

    Parameters
    ----------
    plan : Plan
        Arms, error rates and metrics.
    history : pandas.DataFrame
        Columns revenue, orders, pre_revenue of a past window as long as the experiment's.
    sizes : mapping
        Customers per arm, the control group included.
    """
    controls = sizes.get(CONTROL, 0)
    rows: list[tuple[str, str, DetectableEffect]] = []
    for arm in plan.arms:
        rows += [
            (arm, metric, detectable_effect(plan, history, metric, sizes.get(arm, 0), controls))
            for metric in (plan.primary_metric, *plan.secondary_metrics)
            if len(history) > 1 and sizes.get(arm, 0) > 1 and controls > 1
        ]
    everybody = sum(sizes.values())
    curve = []
    for share in np.geomspace(0.01, 0.5, 40):
        treated = round(everybody * (1 - share) * next(iter(plan.shares.values())))
        held = round(everybody * share)
        if held > 1 and treated > 1 and len(history) > 1:
            effect = detectable_effect(plan, history, plan.primary_metric, treated, held)
            curve.append({"control_share": float(share), "relative": effect.relative})
    return PowerTable(
        rows=tuple(rows),
        curve=pd.DataFrame(curve, columns=["control_share", "relative"]),
        power=plan.power,
        metric=plan.primary_metric,
        control_share=plan.control_share,
    )


def assign(gateway: Gateway, plan: Plan, *, as_of: datetime) -> dict[str, int]:
    """Register the plan and draw its arms, in one transaction; newcomers join the control group.

    Returns
    -------
    dict
        Customers per variant, the control group included.

    Raises
    ------
    LedgerError
        The control group was never drawn, the experiment was assigned before, or nobody is in
        its audience.
    BusyError
        Another process is writing.
    """
    epoch = required_epoch(gateway, plan.control_group)
    sizes: dict[str, int] = {}

    def check(reader: Reader) -> None:
        if registered_plan(gateway, plan.name, required=False) is not None:
            raise LedgerError(
                f"the experiment '{plan.name}' was assigned before",
                expected="a new name: arms that were drawn are never drawn again",
            )
        prepare_newcomers(reader, epoch, as_of)
        reader.engine.execute(f"create temp table drawn as {_drawn_arms(plan, epoch, as_of)}")
        sizes.update(reader.counts("drawn", "variant"))
        if not sizes:
            raise LedgerError(
                "nobody is in the audience",
                where=plan.name,
                remedy=f"look at the waterfall of: crm-lab experiment plan {plan.name}",
            )

    def entries(reader: Reader, files: Mapping[str, str]) -> list[LedgerEntry]:
        sha = files["assignment"]
        written: list[LedgerEntry] = []
        if reader.count("newcomer"):
            written.append(newcomers_entry(reader, epoch, as_of, sha))
        payload = {"at": as_of.isoformat(), "arms": sizes, "epoch": epoch.epoch_id}
        return [
            *written,
            ("plan_registered", plan.name, {"sha256": plan.sha256, "plan": plan.to_payload()}),
            ("arms_assigned", plan.name, {**payload, "file_sha256": sha}),
        ]

    gateway.append(
        {"assignment": "select * from newcomer union all select * from drawn"},
        reason=f"assignment of {plan.name}",
        entries=entries,
        check=check,
    )
    return sizes


def registered_plan(gateway: Gateway, name: str, *, required: bool = True) -> Plan | None:
    """Give the plan that the ledger holds for an experiment.

    Raises
    ------
    LedgerError
        There is none and it is required, or it does not fit its own hash.
    """
    found = gateway.entries(kind="plan_registered", subject=name)
    if not found:
        if required:
            raise LedgerError(
                f"the experiment '{name}' was never assigned",
                remedy=f"assign it with: crm-lab experiment assign {name}",
            )
        return None
    plan = Plan.from_payload(found[-1].payload["plan"])
    if plan.sha256 != found[-1].payload["sha256"]:
        raise LedgerError(f"the registered plan of '{name}' does not fit its hash")
    return plan


def assigned_at(gateway: Gateway, name: str) -> datetime:
    """Give the business time at which an experiment's arms were drawn (UTC, without zone)."""
    entry = gateway.entries(kind="arms_assigned", subject=name)[-1]
    return datetime.fromisoformat(entry.payload["at"])


def audience_query(plan: Plan, as_of: datetime) -> str:
    """Write the SELECT that judges every customer for the plan's audience."""
    return operations.audience(
        plan.channel,
        as_of,
        bought_within_days=plan.bought_within_days,
        min_orders=plan.min_orders,
    )


def _drawn_arms(plan: Plan, epoch: Epoch, as_of: datetime) -> str:
    """Everybody in the audience with an arm; needs the temporary table ``newcomer``."""
    people = f"""
        select a.customer_id, m.variant = '{CONTROL}' as is_control
        from ({audience_query(plan, as_of)}) as a
        join (
            select customer_id, variant from ({operations.assigned(epoch.scope)}) as members
            union all select customer_id, variant from newcomer
        ) as m on m.customer_id = a.customer_id
        where a.eligible
    """
    return experiment_rows(people, scope=plan.scope, salt=plan.salt, shares=plan.shares, at=as_of)


def _expected_sizes(
    reader: Reader, plan: Plan, epoch: Epoch | None, as_of: datetime
) -> dict[str, int]:
    if epoch is not None:
        prepare_newcomers(reader, epoch, as_of)
        reader.engine.execute(f"create temp table expected as {_drawn_arms(plan, epoch, as_of)}")
    else:
        bucket = operations.bucket_expression(plan.salt, "customer_id")
        reader.engine.execute(
            f"create temp table expected as"
            f" select {arm_expression(bucket, plan.shares)} as variant"
            f" from ({audience_query(plan, as_of)}) as judged where eligible"
        )
    counts = reader.counts("expected", "variant")
    if epoch is None:
        total = sum(counts.values())
        counts = {name: round(n * (1 - plan.control_share)) for name, n in counts.items()}
        counts[CONTROL] = total - sum(counts.values())
    order = (CONTROL, *plan.arms, REST)
    return {name: counts[name] for name in order if counts.get(name)}


def detectable_effect(
    plan: Plan, history: pd.DataFrame, metric: str, n_treatment: int, n_control: int
) -> DetectableEffect:
    """Give the smallest change of one metric that these sizes show, from past outcomes.

    Parameters
    ----------
    plan : Plan
        Error rates, and whether revenue is adjusted.
    history : pandas.DataFrame
        Columns revenue, orders, pre_revenue, pre_orders of untreated customers.
    metric : str
        The metric.
    n_treatment, n_control : int
        Customers in the arm and in the control group.
    """
    if metric == "conversion":
        return minimum_detectable_effect_proportion(
            float((history["orders"] > 0).mean()),
            n_treatment,
            n_control,
            alpha=plan.alpha_per_arm,
            power=plan.power,
        )
    column = "revenue" if metric == "revenue_per_customer" else "orders"
    spread = float(history[column].std())
    if plan.is_adjusted and metric == plan.primary_metric:
        covariate = "pre_revenue" if column == "revenue" else "pre_orders"
        known = history[covariate].std() > 0 and spread > 0
        correlation = float(history[column].corr(history[covariate])) if known else 0.0
        spread *= float(np.sqrt(1 - correlation**2))
    return minimum_detectable_effect_mean(
        float(history[column].mean()),
        spread,
        n_treatment,
        n_control,
        alpha=plan.alpha_per_arm,
        power=plan.power,
    )


def _objections(
    plan: Plan,
    epoch: Epoch | None,
    sizes: Mapping[str, int],
    power: PowerTable,
    as_of: datetime,
) -> list[str]:
    found = []
    if epoch is None:
        found.append(f"The control group '{plan.control_group}' is not drawn yet.")
    if not sizes:
        found.append("Nobody is in the audience.")
    controls = sizes.get(CONTROL, 0)
    if sizes and controls < SMALL_CONTROL:
        found.append(
            f"Only {controls:,} controls: hold out more, plan a longer window, or pool campaigns."
        )
    for arm, metric, effect in power.rows:
        if metric == plan.primary_metric and effect.relative > HOPELESS_EFFECT:
            found.append(
                f"{arm}: only a change above"
                f" {formats.percent(effect.relative, decimals=0, signed=True)} would show;"
                " few campaigns bring that."
            )
    if as_of > plan.starts_at:
        found.append(f"The start, {formats.day(plan.starts_at)}, is past.")
    return found


def _midnight(local: datetime, timezone: str) -> datetime:
    aware = local.replace(tzinfo=ZoneInfo(timezone))
    return aware.astimezone(ZoneInfo("UTC")).replace(tzinfo=None)
