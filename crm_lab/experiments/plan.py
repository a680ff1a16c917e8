"""From what a person wrote to what will be done: the resolved plan and what it can find out.

The plan is frozen and named by its hash; the ledger registers it before the first message, and
the analysis reads the plan, not the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime, time, timedelta
from itertools import product
from math import prod
from typing import Any
from zoneinfo import ZoneInfo

from crm_lab.experiments.assignment import arm_expression
from crm_lab.experiments.control_group_spec import ControlGroupSpec
from crm_lab.experiments.fields import BUCKETS, CONTROL, REST
from crm_lab.experiments.metrics import MetricSpec, label_of, metric_of
from crm_lab.experiments.spec import ExperimentSpec
from crm_lab.gateway import operations
from crm_lab.language import word


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
    own_control_share : float
        Part of the audience outside the control group that gets nothing of this campaign and is
        what arms are compared with; 0: the control group is.
    layer, layer_from, layer_to : str, float, float
        Part of the base that the experiment takes for itself; no layer: everybody.
    salt : str
        Salt of the arms' hash.
    shares, messages : mapping
        Share (of the audience outside the control group, and outside its own control) and message
        per arm.
    factors : mapping
        Levels and shares of each factor of a factorial design, whose combinations are the arms.
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
    guardrails : tuple of str
        Metrics that must not get worse.
    definitions : mapping
        Metrics that the company declared, by name; those not here are built in.
    covariates, strata, segments : tuple of str
        What adjusts besides the revenue of the pre-period, and groups that are read apart.
    looks, boundary : tuple of float, str
        Shares of the window at which a decision may be taken, and how the error is spent.
    mechanic : str
        What kind of activity it is, as its file says; empty: not named.
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
    own_control_share: float
    layer: str
    layer_from: float
    layer_to: float
    salt: str
    shares: Mapping[str, float]
    messages: Mapping[str, str]
    factors: Mapping[str, Mapping[str, float]]
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
    guardrails: tuple[str, ...] = ()
    definitions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    covariates: tuple[str, ...] = ()
    strata: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    looks: tuple[float, ...] = ()
    boundary: str = ""
    mechanic: str = ""

    @property
    def scope(self) -> str:
        """Scope of its members in the assignment table."""
        return f"experiment:{self.name}"

    @property
    def arms(self) -> tuple[str, ...]:
        """Names of the arms that receive something."""
        return tuple(self.shares)

    def arm_sql(self) -> str:
        """Write the arm of a unit in SQL, over the columns ``bucket`` and ``unit_id``."""
        drawn = arm_expression("bucket", self.shares)
        if self.factors:
            levels = [
                arm_expression(operations.bucket_expression(f"{self.salt}:{factor}", "unit_id"), of)
                for factor, of in self.factors.items()
            ]
            drawn = " || '-' || ".join(f"({level})" for level in levels)
        if not self.own_control_share:
            return drawn
        own = operations.bucket_expression(f"{self.salt}:own-control", "unit_id")
        end = round(self.own_control_share * BUCKETS)
        return f"case when {own} < {end} then '{CONTROL}' else {drawn} end"

    def expected_shares(self) -> dict[str, float]:
        """Give the share of everybody assigned that the draw promises each variant."""
        held = self.own_control_share or self.control_share
        shares = {CONTROL: held} | {arm: (1 - held) * share for arm, share in self.shares.items()}
        rest = 1 - sum(shares.values())
        return {**shares, REST: rest} if rest > 1e-9 else shares

    def combinations(self) -> list[tuple[str, ...]]:
        """Give the levels of each arm of a factorial design, in the order of the arms."""
        return list(product(*self.factors.values()))

    @property
    def days(self) -> int:
        """Length of the outcome window."""
        return round((self.ends_at - self.starts_at) / timedelta(days=1))  # clocks may change

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric of the plan, the primary first, then secondary ones and guardrails."""
        return tuple(
            dict.fromkeys((self.primary_metric, *self.secondary_metrics, *self.guardrails))
        )

    def metric(self, name: str) -> MetricSpec:
        """Give the definition of one of its metrics."""
        return metric_of(name, self.definitions)

    def label(self, name: str) -> str:
        """Write one of its metrics for people; what follows a comma, as ``, adjusted``, stays."""
        known, _, rest = name.partition(",")
        return label_of(known, self.definitions) + (word(f",{rest}") if rest else "")

    def to_payload(self) -> dict[str, Any]:
        """Give the plan as JSON-ready data, complete.

        What came later to plans is left out where it is not used, so that the hash of a plan that
        was registered before stays what it was.
        """
        values: dict[str, Any] = {}
        for item in fields(self):
            name = item.name
            value = getattr(self, name)
            came_later = item.default is not MISSING or item.default_factory is not MISSING
            if came_later and not value:
                continue
            if isinstance(value, datetime):
                value = value.isoformat()
            elif isinstance(value, Mapping):
                value = _pairs(value)  # the order of the arms counts
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
        for name in ("factors", "definitions"):
            values[name] = {key: dict(pairs) for key, pairs in values.get(name, ())}
        for name in ("guardrails", "covariates", "strata", "segments", "looks"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)

    @property
    def sha256(self) -> str:
        """Hash of the whole plan; what the ledger registers."""
        text = json.dumps(self.to_payload(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def resolve(
    spec: ExperimentSpec,
    control: ControlGroupSpec,
    *,
    timezone: str,
    currency: str,
    metrics: Mapping[str, MetricSpec] | None = None,
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
    metrics : mapping, optional
        Metrics that the company declared (see :func:`.metrics.load_metrics`).
    """
    shares, messages = _arms(spec)
    layer = spec.layer
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
        own_control_share=spec.own_control_share or 0.0,
        layer=layer.name if layer else "",
        layer_from=layer.start if layer else 0.0,
        layer_to=layer.end if layer else 1.0,
        salt=f"experiment:{spec.name}",
        shares=shares,
        messages=messages,
        factors={name: dict(levels) for name, levels in spec.factors.items()},
        primary_metric=spec.metrics.primary,
        secondary_metrics=spec.metrics.secondary,
        alpha=spec.alpha,
        alpha_per_arm=spec.alpha / len(shares),
        power=spec.power,
        is_adjusted=spec.pre_period_days > 0,
        rule=spec.decision.rule,
        minimum=spec.decision.minimum,
        cost_per_message=spec.costs.per_message,
        cost_fixed=spec.costs.fixed,
        margin_share=spec.costs.margin_share,
        currency=currency,
        guardrails=spec.metrics.guardrails,
        definitions={
            name: metrics[name].model_dump(mode="json")
            for name in spec.metrics.names
            if metrics and name in metrics
        },
        covariates=spec.adjust.covariates if spec.pre_period_days else (),
        strata=spec.adjust.strata,
        segments=spec.segments,
        looks=spec.looks.at if spec.looks else (),
        boundary=spec.looks.boundary if spec.looks else "",
        mechanic=spec.mechanic,
    )


def _arms(spec: ExperimentSpec) -> tuple[dict[str, float], dict[str, str]]:
    """Give share and message of each arm; of a factorial design, of each combination."""
    if not spec.factors:
        return (
            {name: arm.share for name, arm in spec.arms.items()},
            {name: arm.message for name, arm in spec.arms.items()},
        )
    combinations = product(*(levels.items() for levels in spec.factors.values()))
    shares = {
        "-".join(level for level, _ in combination): prod(share for _, share in combination)
        for combination in combinations
    }
    return shares, {name: name for name in shares}


def _pairs(value: Mapping[str, Any]) -> list[list[Any]]:
    return [
        [key, _pairs(item) if isinstance(item, Mapping) else item] for key, item in value.items()
    ]


def _midnight(local: datetime, timezone: str) -> datetime:
    aware = local.replace(tzinfo=ZoneInfo(timezone))
    return aware.astimezone(ZoneInfo("UTC")).replace(tzinfo=None)
