"""A plan before it starts: sizes, what it can find, and every objection at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.experiments.draws import prepare_newcomers
from crm_lab.experiments.enrolment import audience_query, drawn_arms, registered_plan
from crm_lab.experiments.epochs import Epoch, open_epoch
from crm_lab.experiments.estimators import Base, Estimator
from crm_lab.experiments.fields import CONTROL, REST
from crm_lab.experiments.outcomes import Window
from crm_lab.experiments.outlook import (
    HOPELESS_EFFECT,
    SMALL_CONTROL,
    count_obstacles,
    detectable_mean,
    detectable_share,
)
from crm_lab.experiments.plan import Plan
from crm_lab.experiments.reading import open_estimator
from crm_lab.gateway import Gateway, Reader, operations, recipients
from crm_lab.language import grouped, label, message, say, say_many, word
from crm_lab.stats import (
    DetectableEffect,
)

EVERYBODY = "all"
"""Variant of a past window, in which nothing was drawn."""
OUTSIDE = (CONTROL, REST)
"""Variants of those who get nothing of an experiment."""


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

    title: ClassVar[str] = message("What this plan can find")
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
        if not found:
            return say("What it can find cannot be said.")
        return say(
            "Smallest change of {metric} that shows with {power} probability: {found}.",
            metric=label(self.metric),
            power=formats.percent(self.power, decimals=0),
            found="; ".join(found),
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

    title: ClassVar[str] = message("Plan")
    plotter: ClassVar[str] = "crm_lab.plots.control_group:plot_plan"

    plan: Plan
    sizes: Mapping[str, int]
    waterfall: Mapping[str, int]
    power: PowerTable
    objections: tuple[str, ...]
    is_registered: bool

    def sentence(self) -> str:
        """Say what is tried on whom, what it can find and what speaks against it."""
        sizes = ", ".join(f"{word(name)} {grouped(count)}" for name, count in self.sizes.items())
        parts = [
            say(
                "{title}: {start} to {end}; {sizes}.",
                title=self.plan.title,
                start=formats.day(self.plan.starts_at),
                end=formats.last_day(self.plan.ends_at),
                sizes=sizes or word("nobody"),
            ),
            self.power.sentence(),
        ]
        if not self.objections:
            return " ".join([*parts, say("No objection.")])
        return " ".join([*parts, say("Objections:"), *self.objections])

    def to_frame(self) -> pd.DataFrame:
        """Give one row per arm and metric."""
        return self.power.to_frame()

    def card_frame(self) -> pd.DataFrame:
        """Give the same with the metrics as people call them."""
        frame = self.to_frame()
        if frame.empty:
            return frame
        return frame.assign(metric=[self.plan.label(name) for name in frame["metric"]])


def preview(gateway: Gateway, plan: Plan, *, as_of: datetime) -> PlanPreview:
    """Say what a plan would do on the base as it is at ``as_of``; changes nothing."""
    epoch = open_epoch(gateway, plan.control_group)
    with gateway.reader() as reader:
        judged = reader.frame(audience_query(plan, as_of))
        sizes = _expected_sizes(reader, plan, epoch, as_of)
        start = min(plan.starts_at, as_of)
        window = plan.ends_at - plan.starts_at
        population = recipients.eligible(audience_query(plan, as_of), EVERYBODY)
        before = start - window
        past = Window(
            starts_at=before,
            ends_at=start,
            pre_starts_at=before - (plan.starts_at - plan.pre_starts_at),
            pre_ends_at=before,
        )
        history = open_estimator(reader, plan, past, population)
        shared = shared_customers(gateway, reader, plan)
    power = power_table(plan, history, sizes)
    frozen = registered_plan(gateway, plan.name, required=False)
    return PlanPreview(
        plan=plan,
        sizes=sizes,
        waterfall=count_obstacles(judged),
        power=power,
        objections=tuple(_objections(plan, epoch, sizes, power, shared, as_of)),
        is_registered=frozen is not None and frozen.sha256 == plan.sha256,
    )


def power_table(plan: Plan, history: Estimator, sizes: Mapping[str, int]) -> PowerTable:
    """Compute what each arm can find, from past outcomes of the same people.

    Parameters
    ----------
    plan : Plan
        Arms, error rates and metrics.
    history : Estimator
        A past window as long as the experiment's, everybody in the variant ``all``.
    sizes : mapping
        Customers per arm, the control group included.
    """
    controls = sizes.get(CONTROL, 0)
    bases = {name: history.base(name, EVERYBODY) for name in plan.metrics}
    detect = partial(detectable_effect, plan, is_past=True)
    rows: list[tuple[str, str, DetectableEffect]] = []
    known = history.customers.get(EVERYBODY, 0) > 1
    for arm in plan.arms:
        rows += [
            (arm, metric, detect(bases[metric], sizes.get(arm, 0), controls))
            for metric in (plan.primary_metric, *plan.secondary_metrics)
            if known and sizes.get(arm, 0) > 1 and controls > 1
        ]
    everybody = sum(sizes.values())
    curve = []
    for share in np.geomspace(0.01, 0.5, 40):
        treated = round(everybody * (1 - share) * next(iter(plan.shares.values())))
        held = round(everybody * share)
        if held > 1 and treated > 1 and known:
            effect = detect(bases[plan.primary_metric], treated, held)
            curve.append({"control_share": float(share), "relative": effect.relative})
    return PowerTable(
        rows=tuple(rows),
        curve=pd.DataFrame(curve, columns=["control_share", "relative"]),
        power=plan.power,
        metric=plan.primary_metric,
        control_share=plan.control_share,
    )


def _expected_sizes(
    reader: Reader, plan: Plan, epoch: Epoch | None, as_of: datetime
) -> dict[str, int]:
    standing = epoch or _imagined_epoch(plan, as_of)
    prepare_newcomers(reader, standing, as_of)
    reader.temporary("expected", drawn_arms(plan, standing, as_of))
    counts = reader.counts("expected", "variant")
    order = (CONTROL, *plan.arms, REST)
    return {name: counts[name] for name in order if counts.get(name)}


def shared_customers(gateway: Gateway, reader: Reader, plan: Plan) -> tuple[tuple[Plan, int], ...]:
    """Count the customers of a plan's arms whom other experiments treat in an overlapping window.

    Parameters
    ----------
    gateway : Gateway
        Holds the ledger.
    reader : Reader
        With the temporary table ``expected`` (customer_id, variant) of the plan.
    plan : Plan
        The plan; experiments that take other customers, such as those of another part of its
        layer, do not count.

    Returns
    -------
    tuple of (Plan, int)
        The other experiments with their customers in common, the earliest start first.
    """
    outside = ", ".join(f"'{name}'" for name in OUTSIDE)
    found = []
    for subject in sorted({entry.subject for entry in gateway.entries(kind="arms_assigned")}):
        other = registered_plan(gateway, subject, required=False)
        if other is None or other.name == plan.name:
            continue
        if other.ends_at <= plan.starts_at or plan.ends_at <= other.starts_at:
            continue
        count = reader.integer(
            "select count(distinct mine.customer_id) from expected as mine"
            f" join ({operations.assigned(other.scope)}) as theirs"
            "   on theirs.customer_id = mine.customer_id"
            f" where mine.variant not in ({outside}) and theirs.variant not in ({outside})"
        )
        if count:
            found.append((other, count))
    return tuple(sorted(found, key=lambda pair: (pair[0].starts_at, pair[0].name)))


def _imagined_epoch(plan: Plan, as_of: datetime) -> Epoch:
    """Give the control group as it would be drawn now, for a plan made before there is one."""
    return Epoch(
        epoch_id="none",
        name=plan.control_group,
        share=plan.control_share,
        salt="none",
        channel=plan.channel,
        unit="customer",
        strata=(),
        opened_at=as_of,
        planned_horizon_days=90,
        exempt_classes=(),
    )


def detectable_effect(
    plan: Plan, base: Base, n_treatment: int, n_control: int, *, is_past: bool = False
) -> DetectableEffect:
    """Give the smallest change of one metric that these sizes show.

    Parameters
    ----------
    plan : Plan
        Error rates.
    base : Base
        Level and spread of the metric without treatment.
    n_treatment, n_control : int
        Customers in the arm and in the control group.
    is_past : bool
        Whether the base comes from a past window, and not from that of the experiment.
    """
    detect = (
        partial(detectable_share, base.value)
        if base.is_share
        else partial(detectable_mean, base.value, base.spread)
    )
    found = detect(
        n_treatment=n_treatment,
        n_control=n_control,
        alpha=plan.alpha_per_arm,
        power=plan.power,
    )
    if not is_past and min(n_treatment, n_control) > 1 and not base.value > 0:
        return replace(found, reason=say("no orders of the controls in this window are known yet"))
    return found


def _objections(
    plan: Plan,
    epoch: Epoch | None,
    sizes: Mapping[str, int],
    power: PowerTable,
    shared: Sequence[tuple[Plan, int]],
    as_of: datetime,
) -> list[str]:
    found = []
    if epoch is None:
        found.append(say("The control group '{name}' is not drawn yet.", name=plan.control_group))
    if not sizes:
        found.append(say("Nobody is in the audience."))
    controls = sizes.get(CONTROL, 0)
    if sizes and controls < SMALL_CONTROL:
        found.append(
            say_many(
                "Only {count} control: hold out more, plan a longer window, or pool campaigns.",
                "Only {count} controls: hold out more, plan a longer window, or pool campaigns.",
                controls,
            )
        )
    for arm, metric, effect in power.rows:
        if metric == plan.primary_metric and effect.relative > HOPELESS_EFFECT:
            found.append(
                say(
                    "{arm}: only a change above {change} would show; few campaigns bring that.",
                    arm=arm,
                    change=formats.percent(effect.relative, decimals=0, signed=True),
                )
            )
    treated = sum(count for name, count in sizes.items() if name not in OUTSIDE)
    for other, count in shared:
        found.append(
            say_many(
                "{count} of {total} customers to be treated takes part in '{other}' as well"
                " ({start} to {end}), so what that brings counts here too: move the dates, or give"
                " both their parts of one layer.",
                "{count} of {total} customers to be treated take part in '{other}' as well"
                " ({start} to {end}), so what that brings counts here too: move the dates, or give"
                " both their parts of one layer.",
                count,
                total=grouped(treated),
                other=other.name,
                start=formats.day(other.starts_at),
                end=formats.last_day(other.ends_at),
            )
        )
    if as_of > plan.starts_at:
        found.append(say("The start, {day}, is past.", day=formats.day(plan.starts_at)))
    return found
