"""What a campaign brought: everybody assigned counts, with a value for everyone.

Intention to treat against the standing control group. Revenue is compared by studentised
permutation (Welch's t misleads with a small control group), after adjustment by the revenue of
the pre-period where the plan says so; shares by score methods. The decision is the registered
plan's rule and nothing else.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial

import numpy as np
import pandas as pd

from crm_lab.experiments import wording
from crm_lab.experiments.lights import (
    balance_light,
    contamination_light,
    plan_light,
    power_light,
    ratio_light,
    window_is_complete,
)
from crm_lab.experiments.plan import Plan
from crm_lab.experiments.preview import detectable_effect
from crm_lab.experiments.results import (
    ADJUSTED,
    ArmResult,
    ExperimentResult,
    Money,
    Verdict,
    every_comparison,
)
from crm_lab.experiments.spec import CONTROL
from crm_lab.gateway import Gateway, audits, operations
from crm_lab.stats import (
    Comparison,
    adjust_p_values,
    compare_means,
    compare_proportions,
    cuped,
    sample_ratio_test,
)

PERMUTATIONS = 10_000


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
    with gateway.reader(snapshot_id) as reader:
        frame = reader.frame(
            operations.outcomes(
                operations.assigned(plan.scope),
                starts_at=plan.starts_at,
                ends_at=plan.ends_at,
                pre_starts_at=plan.pre_starts_at,
            )
        )
        deliveries = reader.frame(operations.deliveries_of(plan.name))
        window = {"starts_at": plan.starts_at, "ends_at": plan.ends_at}
        attributed = reader.frame(operations.attributed_revenue(plan.name, **window))
        touched = reader.frame(operations.touched_controls(plan.scope, **window))
        split = reader.frame(audits.split_units(plan.scope))
        last = reader.one(operations.imported_until()).get("last_order_at")
        snapshot = reader.snapshot
    data_until = last if isinstance(last, datetime) else None
    ratio = sample_ratio_test(
        {str(name): int(n) for name, n in frame["variant"].value_counts().items()},
        plan.expected_shares(),
    )
    claimed = dict(zip(attributed["variant"], attributed["revenue"], strict=True))
    sent = dict(zip(deliveries["variant"], deliveries["sent"], strict=True))
    lights = [
        ratio_light(ratio),
        balance_light(plan, frame),
        contamination_light(int((frame["variant"] == CONTROL).sum()), len(touched)),
        plan_light(plan, file_plan, data_until),
    ]
    is_broken = any(item.tone == "bad" for item in lights)
    arms = tuple(
        analyze_arm(
            plan,
            frame,
            arm,
            rng=child,
            messages=int(sent.get(arm, 0)),
            attributed=float(claimed.get(arm, 0.0)),
            is_broken=is_broken,
            is_complete=window_is_complete(plan, data_until),
        )
        for arm, child in zip(plan.arms, rng.spawn(len(plan.arms)), strict=True)
    )
    lights.insert(3, power_light(plan, arms))
    verdict, best = overall_verdict(arms)
    second, third = rng.spawn(2)
    factors = main_effects(plan, frame, rng=second)
    without = _without_split(plan, frame, split, rng=third)
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
    )


def analyze_arm(
    plan: Plan,
    frame: pd.DataFrame,
    arm: str,
    *,
    rng: np.random.Generator,
    messages: int = 0,
    attributed: float = 0.0,
    is_broken: bool = False,
    is_complete: bool = True,
    permutations: int = PERMUTATIONS,
) -> ArmResult:
    """Compare one arm with the control group on every metric of the plan.

    Parameters
    ----------
    plan : Plan
        What decides, and how.
    frame : pandas.DataFrame
        Columns variant, revenue, orders, pre_revenue, pre_orders; one row per customer assigned.
    arm : str
        The arm.
    rng : numpy.random.Generator
        Source of the permutations.
    messages : int
        Messages sent in this arm.
    attributed : float
        Orders of its recipients after the message, in money.
    is_broken, is_complete : bool
        Whether a check failed, and whether the window has passed.
    permutations : int
        Random splits per comparison of means.
    """
    treated = frame[frame["variant"] == arm]
    control = frame[frame["variant"] == CONTROL]
    generators = dict(zip(("revenue", "adjusted", "orders"), rng.spawn(3), strict=True))
    arms = (arm, CONTROL)
    compare = partial(compare_means, alpha=plan.alpha_per_arm, permutations=permutations, arms=arms)
    plain_revenue = compare(
        treated["revenue"].to_numpy(),
        control["revenue"].to_numpy(),
        rng=generators["revenue"],
        metric="revenue_per_customer",
    )
    revenue, reduction, extra = plain_revenue, 0.0, []
    if plan.is_adjusted:
        adjusted = cuped(
            treated["revenue"].to_numpy(),
            treated["pre_revenue"].to_numpy(),
            control["revenue"].to_numpy(),
            control["pre_revenue"].to_numpy(),
        )
        reduction = adjusted.variance_reduction if np.isfinite(adjusted.variance_reduction) else 0.0
        revenue = compare(
            adjusted.treatment,
            adjusted.control,
            rng=generators["adjusted"],
            metric=ADJUSTED,
        )
        extra = [plain_revenue]
    every = {
        "revenue_per_customer": revenue,
        "conversion": compare_proportions(
            int((treated["orders"] > 0).sum()),
            len(treated),
            int((control["orders"] > 0).sum()),
            len(control),
            alpha=plan.alpha_per_arm,
            metric="conversion",
            arms=arms,
        ),
        "orders_per_customer": compare(
            treated["orders"].to_numpy(dtype=float),
            control["orders"].to_numpy(dtype=float),
            rng=generators["orders"],
            metric="orders_per_customer",
        ),
    }
    primary = every[plan.primary_metric]
    shown = [primary, *(every[name] for name in plan.secondary_metrics)]
    if revenue not in shown:
        shown.append(revenue)
    cost = messages * plan.cost_per_message + plan.cost_fixed * plan.shares[arm] / sum(
        plan.shares.values()
    )
    total = _scaled(revenue, len(treated))
    return ArmResult(
        arm=arm,
        customers=len(treated),
        controls=len(control),
        primary=primary,
        comparisons=(*shown, *extra),
        variance_reduction=reduction,
        revenue_total=total,
        net_total=_net(total, plan.margin_share, cost),
        cost=cost,
        attributed_revenue=attributed,
        detectable=detectable_effect(
            plan, control, plan.primary_metric, len(treated), len(control)
        ),
        verdict=_verdict(plan, primary, is_broken=is_broken, is_complete=is_complete),
    )


def main_effects(
    plan: Plan, frame: pd.DataFrame, *, rng: np.random.Generator, permutations: int = PERMUTATIONS
) -> tuple[Comparison, ...]:
    """Compare the levels of each factor of a factorial design, over the levels of the other.

    Parameters
    ----------
    plan : Plan
        With ``factors``; without them nothing is compared.
    frame : pandas.DataFrame
        Columns variant, revenue, pre_revenue; one row per customer assigned.
    rng : numpy.random.Generator
        Source of the permutations.
    permutations : int
        Random splits per comparison.
    """
    if not plan.factors:
        return ()
    sent = frame[frame["variant"].isin(plan.arms)]
    levels = sent["variant"].map(dict(zip(plan.arms, plan.combinations(), strict=True)))
    found: list[Comparison] = []
    for position, (factor, shares) in enumerate(plan.factors.items()):
        first, *others = shares
        level = levels.map(lambda combination, at=position: combination[at])
        found += [
            _adjusted_comparison(
                plan,
                sent[level == other],
                sent[level == first],
                arms=(f"{factor} {other}", f"{factor} {first}"),
                rng=rng,
                permutations=permutations,
            )
            for other in others
        ]
    return tuple(found)


def _without_split(
    plan: Plan, frame: pd.DataFrame, split: pd.DataFrame, *, rng: np.random.Generator
) -> tuple[Comparison, ...]:
    if split.empty:
        return ()
    kept = frame[~frame["customer_id"].isin(split["customer_id"])]
    control = kept[kept["variant"] == CONTROL]
    return tuple(
        _adjusted_comparison(
            plan,
            kept[kept["variant"] == arm],
            control,
            arms=(arm, wording.CONTROL_WITHOUT_SPLIT.format(left_out=f"{len(split):,}")),
            rng=rng,
            permutations=PERMUTATIONS,
        )
        for arm in plan.arms
    )


def _adjusted_comparison(
    plan: Plan,
    treated: pd.DataFrame,
    control: pd.DataFrame,
    *,
    arms: tuple[str, str],
    rng: np.random.Generator,
    permutations: int,
) -> Comparison:
    values = treated["revenue"].to_numpy(), control["revenue"].to_numpy()
    metric = "revenue_per_customer"
    if plan.is_adjusted:
        adjusted = cuped(
            values[0],
            treated["pre_revenue"].to_numpy(),
            values[1],
            control["pre_revenue"].to_numpy(),
        )
        values, metric = (adjusted.treatment, adjusted.control), ADJUSTED
    return compare_means(
        *values,
        alpha=plan.alpha_per_arm,
        rng=rng,
        permutations=permutations,
        metric=metric,
        arms=arms,
    )


def overall_verdict(arms: tuple[ArmResult, ...]) -> tuple[Verdict, str]:
    """Give the experiment's verdict and the arm it speaks of, from those of its arms.

    Any arm that ships makes it ship, the one with the largest effect named; otherwise a window
    that is open says continue; all arms stopped says stop; else nothing can be concluded.
    """
    ranked = sorted(arms, key=lambda arm: -_or_low(arm.primary.absolute.estimate))
    for wanted in ("ship", "continue"):
        found = [arm for arm in ranked if arm.verdict == wanted]
        if found:
            return found[0].verdict, found[0].arm
    if all(arm.verdict == "stop" for arm in ranked):
        return "stop", ranked[0].arm
    return "cannot conclude", ranked[0].arm


def _verdict(plan: Plan, primary: Comparison, *, is_broken: bool, is_complete: bool) -> Verdict:
    effect = primary.absolute
    if is_broken or not effect.is_known:
        return "cannot conclude"
    if not is_complete:
        return "continue"
    if effect.low > plan.minimum:
        return "ship"
    return "stop" if effect.high < 0 else "cannot conclude"


def _scaled(comparison: Comparison, customers: int) -> Money:
    effect = comparison.absolute
    return Money(
        estimate=effect.estimate * customers,
        low=effect.low * customers,
        high=effect.high * customers,
    )


def _net(total: Money, margin_share: float | None, cost: float) -> Money | None:
    if margin_share is None:
        return None
    return Money(
        estimate=total.estimate * margin_share - cost,
        low=total.low * margin_share - cost,
        high=total.high * margin_share - cost,
    )


def _or_low(value: float) -> float:
    return value if np.isfinite(value) else -np.inf
