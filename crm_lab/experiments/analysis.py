"""What a campaign brought: everybody assigned counts, with a value for everyone.

Intention to treat against the standing control group, at the look that the plan foresees and the
data have reached. Each metric is compared by the method that keeps its promise with a small
control (:mod:`.estimators`). The decision is the registered plan's rule and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd

from crm_lab.experiments import wording
from crm_lab.experiments.decision import arm_verdict, overall_verdict
from crm_lab.experiments.enrolment import assigned_at
from crm_lab.experiments.epochs import Epoch, epochs
from crm_lab.experiments.estimators import Estimate, Estimator, RowEstimator
from crm_lab.experiments.fields import CONTROL
from crm_lab.experiments.guardrails import judge
from crm_lab.experiments.lights import (
    balance_light,
    contamination_light,
    plan_light,
    power_light,
    ratio_light,
)
from crm_lab.experiments.looks import Look, current_look
from crm_lab.experiments.others import OtherMarketing
from crm_lab.experiments.outcomes import NET, Window
from crm_lab.experiments.plan import Plan
from crm_lab.experiments.preview import detectable_effect
from crm_lab.experiments.reading import open_estimator, segment_labels
from crm_lab.experiments.readings import read_arm
from crm_lab.experiments.results import (
    ArmResult,
    ExperimentResult,
    Money,
    every_comparison,
)
from crm_lab.experiments.segments import SegmentReading, read_segment
from crm_lab.gateway import Gateway, Reader, audits, operations, segments
from crm_lab.language import grouped, say
from crm_lab.stats import Comparison, adjust_p_values, sample_ratio_test


def analyze(
    gateway: Gateway,
    plan: Plan,
    *,
    rng: np.random.Generator,
    snapshot_id: int | None = None,
    file_plan: Plan | None = None,
) -> ExperimentResult:
    """Read out one experiment from one snapshot.

    Parameters
    ----------
    gateway : Gateway
        The base with what came back.
    plan : Plan
        The registered plan.
    rng : numpy.random.Generator
        Source of the permutations.
    snapshot_id : int, optional
        Snapshot to read; by default the latest.
    file_plan : Plan, optional
        What the experiment's file says now, to see whether it still is the registered plan.
    """
    drawn_at = assigned_at(gateway, plan.name)
    with gateway.reader(snapshot_id) as reader:
        last = reader.one(operations.imported_until()).get("last_order_at")
        data_until = last if isinstance(last, datetime) else None
        look = current_look(plan, data_until)
        window = Window.of(
            plan, assigned_at=drawn_at, until=look.until if look.is_planned else None
        )
        span = {"starts_at": window.starts_at, "ends_at": window.ends_at}
        others = OtherMarketing.of(
            reader.frame(
                audits.others_sent(
                    plan.scope, plan.name, **span, pre_starts_at=window.pre_starts_at
                )
            )
        )
        estimator = open_estimator(reader, adjusted_plan(plan, others), window)
        deliveries = reader.frame(operations.deliveries_of(plan.name))
        attributed = reader.frame(operations.attributed_revenue(plan.name, **span))
        exempt = exempt_classes(epochs(gateway, plan.control_group), drawn_at)
        touched = len(
            reader.frame(audits.touched_controls(plan.scope, **span, exempt_classes=exempt))
        )
        split = reader.frame(audits.split_units(plan.scope))
        apart = _apart(reader, estimator.plan, window, split)
        labels = segment_labels(reader, plan, window)
        reached = reader.frame(segments.reached(plan.name, **span))["customer_id"].tolist()
        snapshot = reader.snapshot
    ratio = sample_ratio_test(dict(estimator.customers), plan.expected_shares())
    lights = [
        ratio_light(ratio),
        balance_light(
            estimator.plan, others, [estimator.imbalance(arm, CONTROL) for arm in plan.arms]
        ),
        contamination_light(estimator.customers.get(CONTROL, 0), touched, others=others),
        plan_light(plan, file_plan, data_until, look=look, drawn_at=drawn_at),
    ]
    claimed = dict(zip(attributed["variant"], attributed["revenue"], strict=True))
    sent = dict(zip(deliveries["variant"], deliveries["sent"], strict=True))
    arms = tuple(
        analyze_arm(
            estimator,
            arm,
            rng=child,
            look=look,
            messages=int(sent.get(arm, 0)),
            attributed=float(claimed.get(arm, 0.0)),
            is_broken=any(item.tone == "bad" for item in lights),
        )
        for arm, child in zip(plan.arms, rng.spawn(len(plan.arms)), strict=True)
    )
    lights.insert(3, power_light(plan, arms))
    verdict, best = overall_verdict(
        arms, sign=1.0 if plan.metric(plan.primary_metric).direction == "up" else -1.0
    )
    second, third, fourth, fifth = rng.spawn(4)
    touched_share = touched / max(estimator.customers.get(CONTROL, 0), 1)
    factors = main_effects(estimator, rng=second, alpha=look.alpha)
    without = _without_split(apart, len(split), rng=third, alpha=look.alpha)
    p_values = [c.absolute.p_value for c in every_comparison(arms, factors, without)]
    return ExperimentResult(
        verdict=verdict,
        best_arm=best,
        plan=plan,
        plan_sha256=plan.sha256,
        snapshot=snapshot.label,
        ledger_digest=gateway.ledger_head(),
        arms=arms,
        lights=tuple(lights),
        ratio=ratio,
        main_effects=factors,
        without_split=without,
        holm=tuple(float(p) for p in adjust_p_values(p_values, method="holm")),
        deliveries=deliveries,
        data_until=data_until,
        look=look,
        others=others,
        readings=tuple(
            read_arm(
                estimator,
                arm.arm,
                arm.primary,
                reached,
                touched_share=touched_share,
                look=look,
                rng=child,
            )
            for arm, child in zip(arms, fifth.spawn(len(arms)), strict=True)
        ),
        segments=_read_segments(estimator, labels, look, rng=fourth),
    )


def adjusted_plan(plan: Plan, others: OtherMarketing) -> Plan:
    """Give the plan as it can be followed: not adjusted by a pre-period that others spoiled."""
    if not (plan.is_adjusted and others.spoils_the_pre_period):
        return plan
    return replace(plan, is_adjusted=False, covariates=())


def analyze_arm(
    estimator: Estimator,
    arm: str,
    *,
    rng: np.random.Generator,
    look: Look,
    messages: int = 0,
    attributed: float = 0.0,
    is_broken: bool = False,
) -> ArmResult:
    """Compare one arm with the control group on every metric of the plan.

    Parameters
    ----------
    estimator : Estimator
        With everybody assigned.
    arm : str
        The arm.
    rng : numpy.random.Generator
        Source of the permutations.
    look : Look
        Which reading this is, and its error rate.
    messages : int
        Messages sent in this arm.
    attributed : float
        Orders of its recipients after the message, in money.
    is_broken : bool
        Whether a check failed.
    """
    plan = estimator.plan
    names = list(dict.fromkeys([*plan.metrics, "revenue_per_customer"]))
    children = dict(zip([*names, NET], rng.spawn(len(names) + 1), strict=True))

    def estimate(name: str) -> Estimate:
        return estimator.estimate(
            name,
            treated=(arm,),
            control=(CONTROL,),
            alpha=look.alpha,
            rng=children[name],
            arms=(arm, CONTROL),
        )

    found = {name: estimate(name) for name in names}
    primary, revenue = found[plan.primary_metric], found["revenue_per_customer"]
    shown = [found[name].comparison for name in names if name not in plan.guardrails]
    plain = [item.plain for item in found.values() if item.plain is not None]
    guardrails = tuple(
        judge(
            plan,
            name,
            arm,
            found[name].comparison,
            estimator.level(name, arm, alpha=look.alpha),
        )
        for name in plan.guardrails
    )
    cost = messages * plan.cost_per_message + plan.cost_fixed * plan.shares[arm] / sum(
        plan.shares.values()
    )
    customers = estimator.customers.get(arm, 0)
    controls = estimator.customers.get(CONTROL, 0)
    total = _scaled(revenue.comparison, customers)
    return ArmResult(
        arm=arm,
        customers=customers,
        controls=controls,
        primary=primary.comparison,
        comparisons=(*shown, *plain),
        variance_reduction=primary.variance_reduction,
        revenue_total=total,
        net_total=_net(plan, total, customers, cost, estimate),
        cost=cost,
        attributed_revenue=attributed,
        detectable=detectable_effect(
            plan, estimator.base(plan.primary_metric, CONTROL), customers, controls
        ),
        guardrails=guardrails,
        verdict=arm_verdict(plan, primary.comparison, guardrails, look=look, is_broken=is_broken),
    )


def main_effects(
    estimator: Estimator, *, alpha: float, rng: np.random.Generator
) -> tuple[Comparison, ...]:
    """Compare the levels of each factor of a factorial design, over the levels of the other.

    Parameters
    ----------
    estimator : Estimator
        With everybody assigned; a plan without ``factors`` compares nothing.
    alpha : float
        Two-sided error rate.
    rng : numpy.random.Generator
        Source of the permutations.
    """
    plan = estimator.plan
    combinations = dict(zip(plan.arms, plan.combinations(), strict=False))
    found: list[Comparison] = []
    for position, (factor, shares) in enumerate(plan.factors.items()):
        first, *others = shares

        def arms_with(level: str, at: int = position) -> list[str]:
            return [arm for arm, levels in combinations.items() if levels[at] == level]

        found += [
            estimator.estimate(
                plan.primary_metric,
                treated=arms_with(other),
                control=arms_with(first),
                alpha=alpha,
                rng=rng,
                arms=(f"{factor} {other}", f"{factor} {first}"),
            ).comparison
            for other in others
        ]
    return tuple(found)


def exempt_classes(known: Sequence[Epoch], drawn_at: datetime) -> tuple[str, ...]:
    """Give the message classes that the control group of a draw does receive."""
    before = [epoch for epoch in known if epoch.opened_at <= drawn_at]
    return before[-1].exempt_classes if before else ()


def _apart(reader: Reader, plan: Plan, window: Window, split: pd.DataFrame) -> Estimator | None:
    """Give the estimator without members who by now share a contact with another arm."""
    if split.empty:
        return None
    reader.temporary_frame("split_member", split[["customer_id"]], {"customer_id": "varchar"})
    people = audits.without(operations.assigned(plan.scope), "split_member")
    return open_estimator(reader, plan, window, people)


def _without_split(
    estimator: Estimator | None, left_out: int, *, alpha: float, rng: np.random.Generator
) -> tuple[Comparison, ...]:
    if estimator is None:
        return ()
    control = say(wording.CONTROL_WITHOUT_SPLIT, left_out=grouped(left_out))
    return tuple(
        estimator.estimate(
            estimator.plan.primary_metric,
            treated=(arm,),
            control=(CONTROL,),
            alpha=alpha,
            rng=rng,
            arms=(arm, control),
        ).comparison
        for arm in estimator.plan.arms
    )


def _read_segments(
    estimator: Estimator,
    labels: Mapping[str, pd.Series[str]],
    look: Look,
    *,
    rng: np.random.Generator,
) -> tuple[SegmentReading, ...]:
    if not isinstance(estimator, RowEstimator):
        return ()
    children = iter(rng.spawn(max(len(labels) * len(estimator.plan.arms), 1)))
    return tuple(
        read_segment(
            estimator, groups, segment=segment, arm=arm, alpha=look.alpha, rng=next(children)
        )
        for segment, groups in labels.items()
        for arm in estimator.plan.arms
    )


def _scaled(comparison: Comparison, customers: int) -> Money:
    effect = comparison.absolute
    return Money(
        estimate=effect.estimate * customers,
        low=effect.low * customers,
        high=effect.high * customers,
    )


def _net(
    plan: Plan,
    revenue: Money,
    customers: int,
    cost: float,
    estimate: Callable[[str], Estimate],
) -> Money | None:
    """Give incremental margin less costs; nothing where the margin is not known."""
    costs = any(plan.metric(name).cost for name in plan.metrics)
    if plan.margin_share is not None and not costs:
        share = plan.margin_share
        gross = Money(
            estimate=revenue.estimate * share, low=revenue.low * share, high=revenue.high * share
        )
    else:
        comparison = estimate(NET).comparison
        if not comparison.absolute.is_known:
            return None
        gross = _scaled(comparison, customers)
    return Money(estimate=gross.estimate - cost, low=gross.low - cost, high=gross.high - cost)
