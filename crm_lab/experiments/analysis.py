"""What a campaign brought: everybody assigned counts, with a value for everyone.

Intention to treat against the standing control group. Revenue is compared by studentised
permutation (Welch's t misleads with a small control group), after adjustment by the revenue of
the pre-period where the plan says so; shares by score methods. The decision is the registered
plan's rule and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import ClassVar, Literal

import numpy as np
import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.experiments import wording
from crm_lab.experiments.control_group import BALANCE_LIMIT
from crm_lab.experiments.plan import Plan, detectable_effect
from crm_lab.experiments.spec import CONTROL, REST
from crm_lab.gateway import Gateway, operations
from crm_lab.stats import (
    Comparison,
    DetectableEffect,
    SampleRatio,
    compare_means,
    compare_proportions,
    cuped,
    sample_ratio_test,
)

Verdict = Literal["ship", "stop", "continue", "cannot conclude"]
Tone = Literal["good", "unsure", "bad"]
CONTAMINATION_LIMIT = 0.05
"""Share of touched controls above which the comparison is broken."""
GOOD_POWER = 0.25
"""Relative effect up to which a design is called good."""
PERMUTATIONS = 10_000
ADJUSTED = "revenue_per_customer, adjusted"
"""Revenue per customer after adjustment by the revenue of the pre-period."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """One of the five checks a reader looks at before believing a number.

    Attributes
    ----------
    name : str
        Which check, for people.
    tone : {"good", "unsure", "bad"}
        How it stands; bad changes the verdict.
    detail : str
        One clause with the number behind it.
    word : str
        The tone in a word.
    """

    name: str
    tone: Tone
    detail: str
    word: str


def light(check: str, tone: Tone, detail: str) -> Light:
    """Make the light of a check from its short name."""
    return Light(
        name=wording.LIGHT_NAMES[check],
        tone=tone,
        detail=detail,
        word=wording.LIGHT_WORDS[tone],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An amount with its interval.

    Attributes
    ----------
    estimate, low, high : float
        In the plan's currency.
    """

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmResult:
    """What one arm brought.

    Attributes
    ----------
    arm : str
        Name of the arm.
    customers, controls : int
        Customers assigned to it, and controls it is compared with.
    primary : Comparison
        The primary metric as the plan decides by it.
    comparisons : tuple of Comparison
        Every metric, the primary first, then revenue without adjustment where it is adjusted.
    variance_reduction : float
        Part of the variance that the pre-period explained; 0 without adjustment.
    revenue_total : Money
        Incremental revenue of the whole arm.
    net_total : Money or None
        Incremental margin less costs; None where margin is not known.
    cost : float
        Messages and this arm's part of fixed costs.
    attributed_revenue : float
        Orders of recipients after the message: what attribution would claim.
    detectable : DetectableEffect
        What would have shown.
    verdict : str
        The registered rule applied to this arm.
    """

    arm: str
    customers: int
    controls: int
    primary: Comparison
    comparisons: tuple[Comparison, ...]
    variance_reduction: float
    revenue_total: Money
    net_total: Money | None
    cost: float
    attributed_revenue: float
    detectable: DetectableEffect
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ExperimentResult(Result):
    """The result of one experiment: decision, money with interval, evidence.

    Attributes
    ----------
    verdict : {"ship", "stop", "continue", "cannot conclude"}
        The decision by the registered rule.
    best_arm : str
        The arm that the verdict speaks of.
    plan : Plan
        The registered plan.
    plan_sha256, snapshot, ledger_digest : str
        Hash of the plan, label of the data, digest of the ledger's last entry.
    arms : tuple of ArmResult
        One per arm.
    lights : tuple of Light
        Whether it can be trusted.
    ratio : SampleRatio
        The test behind the first light.
    deliveries : pandas.DataFrame
        Sent, delivered, opened, clicked per arm.
    data_until : datetime or None
        Last order that is known.
    """

    title: ClassVar[str] = "What the campaign brought"
    plotter: ClassVar[str] = "crm_lab.plots.effects:plot_effects"

    verdict: Verdict
    best_arm: str
    plan: Plan
    plan_sha256: str
    snapshot: str
    ledger_digest: str
    arms: tuple[ArmResult, ...]
    lights: tuple[Light, ...]
    ratio: SampleRatio
    deliveries: pd.DataFrame
    data_until: datetime | None

    def sentence(self) -> str:
        """Say the decision, the money with its interval and the rule."""
        red = [item.name.lower() for item in self.lights if item.tone == "bad"]
        parts = [f"{wording.VERDICTS[self.verdict]}."]
        if red:
            parts.append(wording.RED.format(checks=", ".join(red)))
        ordered = sorted(self.arms, key=lambda arm: arm.arm != self.best_arm)
        clauses = [self._clause(arm) for arm in ordered]
        parts.append(_capital("; ".join(clauses)) + ".")
        parts.append(wording.RULE.format(rule=self._rule(), days=self.plan.days))
        return " ".join(parts)

    def to_frame(self) -> pd.DataFrame:
        """Give one row per arm, metric and effect, in long form."""
        frames = [comparison.to_frame() for arm in self.arms for comparison in arm.comparisons]
        return pd.concat(frames, ignore_index=True)

    def number(self) -> str:
        """Give the incremental revenue of the arm that the verdict speaks of, with its interval."""
        arm = self.arm(self.best_arm)
        total = arm.revenue_total
        if not np.isfinite(total.estimate):
            return ""
        money = formats.money_interval(total.estimate, total.low, total.high, self.plan.currency)
        return f"{arm.arm}: {money}"

    def card_frame(self) -> pd.DataFrame:
        """Give the short table of the card: verdict, money and relative lift of each arm."""
        return pd.DataFrame([self._summary(arm) for arm in self.arms])

    def evidence_frame(self) -> pd.DataFrame:
        """Give every metric of every arm as people read it."""
        return pd.DataFrame(
            [_readable(c, self.plan.currency) for arm in self.arms for c in arm.comparisons]
        )

    def money_frame(self) -> pd.DataFrame:
        """Give the money per arm: incremental, net where margin is known, attributed, costs."""
        currency = self.plan.currency
        rows = []
        for arm in self.arms:
            total = arm.revenue_total
            row = {
                "arm": arm.arm,
                "customers": arm.customers,
                "incremental revenue": formats.money_interval(
                    total.estimate, total.low, total.high, currency
                ),
                "orders after the message": formats.money(arm.attributed_revenue, currency),
                "cost": formats.money(arm.cost, currency),
            }
            if arm.net_total is not None:
                net = arm.net_total
                row["margin less costs"] = formats.money_interval(
                    net.estimate, net.low, net.high, currency
                )
            rows.append(row)
        return pd.DataFrame(rows)

    def lights_frame(self) -> pd.DataFrame:
        """Give the checks: name, word, detail."""
        return pd.DataFrame(
            [
                {"check": item.name, "state": item.word, "detail": item.detail}
                for item in self.lights
            ]
        )

    def arm(self, name: str) -> ArmResult:
        """Give the result of one arm by name."""
        return next(arm for arm in self.arms if arm.arm == name)

    def _summary(self, arm: ArmResult) -> Mapping[str, str]:
        total, relative = arm.revenue_total, arm.primary.relative
        currency = self.plan.currency
        return {
            "arm": arm.arm,
            "verdict": arm.verdict,
            "incremental revenue": formats.money_interval(
                total.estimate, total.low, total.high, currency
            ),
            "relative lift": formats.percent_interval(
                relative.estimate, relative.low, relative.high
            ),
        }

    def _clause(self, arm: ArmResult) -> str:
        effect, relative = arm.primary.absolute, arm.primary.relative
        if not effect.is_known:
            return wording.ARM_NO_ESTIMATE.format(arm=arm.arm, reason=effect.reason)
        words = {
            "arm": arm.arm,
            "effect": _effect_text(arm.primary, self.plan.currency),
            "relative": formats.percent_interval(relative.estimate, relative.low, relative.high)
            if relative.is_known
            else formats.CANNOT_TELL,
            "controls": f"{arm.controls:,}",
            "total": formats.money_interval(
                arm.revenue_total.estimate,
                arm.revenue_total.low,
                arm.revenue_total.high,
                self.plan.currency,
            ),
            "detectable": formats.percent(arm.detectable.relative, decimals=0, signed=True),
            "end": formats.day(self.plan.ends_at - timedelta(days=1)),
            "known": formats.day(self.data_until),
        }
        templates = {
            "ship": wording.ARM_SHIP,
            "stop": wording.ARM_STOP,
            "continue": wording.ARM_CONTINUE,
            "cannot conclude": wording.ARM_UNKNOWN,
        }
        return templates[arm.verdict].format(**words)

    def _rule(self) -> str:
        minimum = formats.money(self.plan.minimum, self.plan.currency, decimals=2)
        return wording.RULES[self.plan.rule].format(minimum=minimum)


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
        last = reader.one(operations.imported_until()).get("last_order_at")
        snapshot = reader.snapshot
    data_until = last if isinstance(last, datetime) else None
    ratio = sample_ratio_test(
        {str(name): int(n) for name, n in frame["variant"].value_counts().items()},
        expected_shares(plan),
    )
    claimed = dict(zip(attributed["variant"], attributed["revenue"], strict=True))
    sent = dict(zip(deliveries["variant"], deliveries["sent"], strict=True))
    lights = [
        _ratio_light(ratio),
        _balance_light(plan, frame),
        _contamination_light(int((frame["variant"] == CONTROL).sum()), len(touched)),
        _plan_light(plan, file_plan, data_until),
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
            is_complete=_is_complete(plan, data_until),
        )
        for arm, child in zip(plan.arms, rng.spawn(len(plan.arms)), strict=True)
    )
    lights.insert(3, _power_light(plan, arms))
    verdict, best = overall_verdict(arms)
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


def expected_shares(plan: Plan) -> dict[str, float]:
    """Give the share of the audience that the draw promises each variant."""
    outside = 1 - plan.control_share
    shares = {CONTROL: plan.control_share}
    shares |= {arm: outside * share for arm, share in plan.shares.items()}
    rest = 1 - sum(shares.values())
    return {**shares, REST: rest} if rest > 1e-9 else shares


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


def _ratio_light(ratio: SampleRatio) -> Light:
    words = wording.RATIO_RED if ratio.is_mismatch else wording.RATIO_GREEN
    return light(
        "sample_ratio",
        "bad" if ratio.is_mismatch else "good",
        words.format(p=formats.p_value(ratio.p_value)),
    )


def _balance_light(plan: Plan, frame: pd.DataFrame) -> Light:
    if not plan.is_adjusted:
        return light("balance", "unsure", wording.BALANCE_NONE)
    control = frame.loc[frame["variant"] == CONTROL, "pre_revenue"]
    worst = 0.0
    for arm in plan.arms:
        treated = frame.loc[frame["variant"] == arm, "pre_revenue"]
        spread = float(np.sqrt((control.var() + treated.var()) / 2))
        if spread > 0:
            worst = max(worst, abs(float(treated.mean() - control.mean())) / spread)
    return light(
        "balance",
        "good" if worst <= BALANCE_LIMIT else "unsure",
        wording.BALANCE.format(
            worst=formats.number(worst, decimals=2), limit=formats.number(BALANCE_LIMIT, decimals=1)
        ),
    )


def _contamination_light(controls: int, touched: int) -> Light:
    if touched == 0:
        return light("contamination", "good", wording.CONTAMINATION_GREEN)
    return light(
        "contamination",
        "bad" if touched > CONTAMINATION_LIMIT * controls else "unsure",
        wording.CONTAMINATION.format(touched=f"{touched:,}", controls=f"{controls:,}"),
    )


def _power_light(plan: Plan, arms: tuple[ArmResult, ...]) -> Light:
    worst = max(arms, key=lambda arm: _or_high(arm.detectable.relative)).detectable
    if not np.isfinite(worst.relative):
        detail = wording.POWER_UNKNOWN.format(reason=worst.reason or "the base value is 0")
        return light("power", "unsure", detail)
    return light(
        "power",
        "good" if worst.relative <= GOOD_POWER else "unsure",
        wording.POWER.format(
            detectable=formats.percent(worst.relative, decimals=0, signed=True),
            power=formats.percent(plan.power, decimals=0),
        ),
    )


def _plan_light(plan: Plan, file_plan: Plan | None, data_until: datetime | None) -> Light:
    name = "plan_followed"
    if file_plan is not None and file_plan != plan:
        return light(name, "unsure", wording.PLAN_CHANGED)
    if not _is_complete(plan, data_until):
        detail = wording.PLAN_OPEN.format(
            end=formats.day(plan.ends_at - timedelta(days=1)), known=formats.day(data_until)
        )
        return light(name, "unsure", detail)
    return light(name, "good", wording.PLAN_GREEN)


def _is_complete(plan: Plan, data_until: datetime | None) -> bool:
    return data_until is not None and data_until >= plan.ends_at - timedelta(days=1)


def _readable(comparison: Comparison, currency: str) -> Mapping[str, str]:
    effect, relative = comparison.absolute, comparison.relative
    is_share = comparison.scale == "share"

    def level(value: float) -> str:
        return formats.percent(value) if is_share else formats.number(value, decimals=2)

    return {
        "arm": comparison.variant,
        "metric": wording.metric_label(comparison.metric),
        "value": level(effect.treatment_value),
        "control": level(effect.control_value),
        "difference": _effect_text(comparison, currency) if effect.is_known else effect.reason,
        "relative": formats.percent_interval(relative.estimate, relative.low, relative.high)
        if relative.is_known
        else relative.reason,
        "p": formats.p_value(effect.p_value),
    }


def _effect_text(comparison: Comparison, currency: str) -> str:
    effect = comparison.absolute
    if comparison.scale == "share":
        points = (100 * effect.estimate, 100 * effect.low, 100 * effect.high)
        places = max(formats.decimals_for(points[1], points[2]), 0)
        estimate = formats.number(points[0], decimals=places, signed=True)
        ends = formats.interval(points[1], points[2], decimals=places)
        return f"{estimate} percentage points ({ends})"
    if comparison.metric.startswith("revenue"):
        return formats.money_interval(effect.estimate, effect.low, effect.high, currency)
    return formats.number_interval(effect.estimate, effect.low, effect.high)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _or_low(value: float) -> float:
    return value if np.isfinite(value) else -np.inf


def _or_high(value: float) -> float:
    return value if np.isfinite(value) else np.inf
