"""What a read-out gives: decision, money with its interval, evidence, checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result, lights_frame
from crm_lab.errors import DesignError
from crm_lab.experiments import wording
from crm_lab.experiments.fields import CONTROL
from crm_lab.experiments.guardrails import Guardrail
from crm_lab.experiments.headline import experiment_about, experiment_numbers
from crm_lab.experiments.looks import Look, look_words
from crm_lab.experiments.others import OtherMarketing
from crm_lab.experiments.plan import Plan
from crm_lab.experiments.readings import ArmReadings
from crm_lab.experiments.segments import SegmentReading
from crm_lab.headlines import HeadlineNumber, Light
from crm_lab.language import grouped, message, say
from crm_lab.stats import Comparison, DetectableEffect, Effect, SampleRatio

ADJUSTED = "revenue_per_customer" + wording.ADJUSTED_SUFFIX
"""Revenue per customer after adjustment by the revenue of the pre-period."""
Verdict = Literal["ship", "stop", "continue", "cannot conclude"]


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
    guardrails : tuple of Guardrail
        What must not get worse, and whether it did.
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
    guardrails: tuple[Guardrail, ...]
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
    main_effects : tuple of Comparison
        Of a factorial design: each level against the first of its factor, over all levels of the
        other factor; among those who were sent something.
    without_split : tuple of Comparison
        The primary metric of each arm again, without members who by now share a contact with a
        member of another arm; empty where there are none.
    holm : tuple of float
        p-values of all comparisons of all arms, adjusted by Holm over all of them, in the order of
        ``evidence_frame``; the decision uses the plan's rule, not these.
    deliveries : pandas.DataFrame
        Sent, delivered, opened, clicked per arm.
    data_until : datetime or None
        Last order that is known.
    look : Look
        Which reading this is, and at what error rate.
    others : OtherMarketing
        What else the arms were sent, and not the controls.
    readings : tuple of ArmReadings
        The same data read otherwise, one per arm: who was reached, how likely it is, at any time.
    segments : tuple of SegmentReading
        The effect by the segments of the plan.
    """

    title: ClassVar[str] = message("What the campaign brought")
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
    main_effects: tuple[Comparison, ...]
    without_split: tuple[Comparison, ...]
    holm: tuple[float, ...]
    deliveries: pd.DataFrame
    data_until: datetime | None
    look: Look
    others: OtherMarketing
    readings: tuple[ArmReadings, ...]
    segments: tuple[SegmentReading, ...]

    def sentence(self) -> str:
        """Say the decision, the money with its interval and the rule."""
        red = [item.name.lower() for item in self.lights if item.tone == "bad"]
        parts = [f"{say(wording.VERDICTS[self.verdict])}."]
        if red:
            parts.append(say(wording.RED, checks=", ".join(red)))
        ordered = sorted(self.arms, key=lambda arm: arm.arm != self.best_arm)
        clauses = [self._clause(arm) for arm in ordered]
        parts.append(_capital("; ".join(clauses)) + ".")
        passed = [
            (item.label, arm.arm)
            for arm in self.arms
            for item in arm.guardrails
            if item.state == "passed"
        ]
        if passed:
            parts.append(
                say(
                    wording.GUARDRAIL_PASSED,
                    which=formats.listing(dict.fromkeys(label for label, _ in passed)),
                    arm=formats.listing(dict.fromkeys(arm for _, arm in passed)),
                )
            )
        parts.append(say(wording.RULE, rule=self._rule(), days=self.plan.days))
        if not self.look.is_final:
            parts.append(say("This is {look}.", look=look_words(self.look)))
        return " ".join(parts)

    def subtitle(self) -> str:
        """Say what was tried, on whom and when."""
        return experiment_about(self)

    def headline_numbers(self) -> tuple[HeadlineNumber, ...]:
        """Give the money of the arm of the verdict: in all, per customer, attributed."""
        return experiment_numbers(self)

    def to_frame(self) -> pd.DataFrame:
        """Give one row per arm, metric and effect, in long form."""
        frames = [comparison.to_frame() for arm in self.arms for comparison in arm.comparisons]
        return pd.concat(frames, ignore_index=True)

    def card_frame(self) -> pd.DataFrame:
        """Give the short table of the card: verdict, money and relative lift of each arm."""
        return pd.DataFrame([self._summary(arm) for arm in self.arms])

    def evidence_frame(self) -> pd.DataFrame:
        """Give every metric of every arm as people read it."""
        adjusted = (formats.p_value(p) for p in self.holm)
        frame = pd.DataFrame(
            [
                {**_readable(comparison, self.plan), "p (Holm)": p}
                for comparison, p in zip(self.every_comparison(), adjusted, strict=True)
            ]
        )
        is_usual = (frame["against"] == CONTROL).all()
        return frame.drop(columns="against") if is_usual else frame

    def every_comparison(self) -> tuple[Comparison, ...]:
        """Give every comparison of the read-out, in the order of the evidence."""
        return every_comparison(self.arms, self.main_effects, self.without_split)

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

    def four_numbers_frame(self) -> pd.DataFrame:
        """Give the four ways to say one effect, each with what it is a part of."""
        rows = []
        for at, name in enumerate(wording.EFFECT_NAMES):
            row = {
                "number": say(wording.EFFECT_NAMES[name]),
                "what it is": say(wording.EFFECT_MEANINGS[name]),
            }
            for arm in self.arms:
                row[arm.arm] = self._effect_words(arm.primary, arm.primary.all_effects[at])
            rows.append(row)
        return pd.DataFrame(rows)

    def readings_frame(self) -> pd.DataFrame:
        """Give what the same data say otherwise, a sentence each: arm, question, answer."""
        rows = []
        for item in self.readings:
            for question, reading in (
                ("reached", item.complier),
                ("diluted", item.diluted),
                ("likely", item.bayesian),
                ("any time", item.sequence),
            ):
                if reading is not None:
                    rows.append(
                        {
                            "arm": item.arm,
                            "question": say(wording.READING_QUESTIONS[question]),
                            "answer": reading.sentence(),
                        }
                    )
        return pd.DataFrame(rows, columns=["arm", "question", "answer"])

    def guardrails_frame(self) -> pd.DataFrame:
        """Give every guardrail of every arm: level, limit, state; empty without guardrails."""
        return pd.DataFrame([item.row() for arm in self.arms for item in arm.guardrails])

    def by(self, segment: str) -> tuple[SegmentReading, ...]:
        """Give the effect by one segment, an arm each.

        Raises
        ------
        DesignError
            The plan names no such segment.
        """
        found = tuple(item for item in self.segments if item.segment == segment)
        if not found:
            known = dict.fromkeys(item.segment for item in self.segments)
            raise DesignError(
                say("the effect was not read by '{segment}'", segment=segment),
                expected=say("one of {words}", words=formats.listing(known))
                if known
                else say("no segment is planned"),
                remedy=say(
                    "name the segment under 'segments' before the start; what is chosen after"
                    " the result was seen finds differences by chance"
                ),
            )
        return found

    def lights_frame(self) -> pd.DataFrame:
        """Give the checks: name, word, detail."""
        return lights_frame(self.lights)

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
            return say(wording.ARM_NO_ESTIMATE, arm=arm.arm, reason=effect.reason)
        words = {
            "arm": arm.arm,
            "effect": self._effect(arm.primary),
            "relative": formats.percent_interval(relative.estimate, relative.low, relative.high)
            if relative.is_known
            else say(formats.CANNOT_TELL),
            "controls": grouped(arm.controls),
            "total": formats.money_interval(
                arm.revenue_total.estimate,
                arm.revenue_total.low,
                arm.revenue_total.high,
                self.plan.currency,
            ),
            "detectable": formats.percent(arm.detectable.relative, decimals=0, signed=True),
            "end": formats.last_day(self.plan.ends_at),
            "known": formats.day(self.data_until),
        }
        templates = {
            "ship": wording.ARM_SHIP,
            "stop": self._stop_template(arm),
            "continue": wording.ARM_CONTINUE,
            "cannot conclude": wording.ARM_UNKNOWN,
        }
        return say(templates[arm.verdict], **words)

    def _effect(self, comparison: Comparison) -> str:
        """Write the difference with what it is a difference of."""
        name = comparison.metric.partition(",")[0]
        text = _effect_text(comparison, self.plan)
        if self.plan.metric(name).kind == "mean":
            return say(wording.PER_CUSTOMER, effect=text)
        return say(wording.IN_METRIC, effect=text, metric=self.plan.label(name))

    def _stop_template(self, arm: ArmResult) -> str:
        """Give the reason for which an arm is stopped: its own effect, or a guardrail."""
        spec = self.plan.metric(self.plan.primary_metric)
        effect = arm.primary.absolute
        is_worse = effect.high < 0 if spec.direction == "up" else effect.low > 0
        if not is_worse:
            return wording.ARM_GUARDED
        return wording.ARM_STOP if spec.direction == "up" else wording.ARM_WORSE

    def _rule(self) -> str:
        plan = self.plan
        spec = plan.metric(plan.primary_metric)
        if spec.kind == "share":
            points = formats.number(100 * plan.minimum, decimals=2)
            minimum = say("{points} percentage points", points=points)
        elif spec.is_money:
            minimum = formats.money(plan.minimum, plan.currency, decimals=2)
        else:
            minimum = formats.number(plan.minimum, decimals=2)
        rules = wording.RULES if spec.direction == "up" else wording.RULES_DOWN
        return say(rules[plan.rule], minimum=minimum)

    def _effect_words(self, comparison: Comparison, effect: Effect) -> str:
        if not effect.is_known:
            return f"{say(formats.CANNOT_TELL)} ({effect.reason})"
        if effect.name in ("relative", "attributable"):
            return formats.percent_interval(effect.estimate, effect.low, effect.high)
        if effect.name == "total" and self.plan.metric(self.plan.primary_metric).is_money:
            return formats.money_interval(
                effect.estimate, effect.low, effect.high, self.plan.currency
            )
        if effect.name == "total":
            return formats.number_interval(effect.estimate, effect.low, effect.high)
        return _effect_text(comparison, self.plan)


def every_comparison(
    arms: tuple[ArmResult, ...], *more: tuple[Comparison, ...]
) -> tuple[Comparison, ...]:
    """Put the comparisons of all arms and further ones into one row."""
    of_arms = tuple(comparison for arm in arms for comparison in arm.comparisons)
    return of_arms + tuple(comparison for group in more for comparison in group)


def _readable(comparison: Comparison, plan: Plan) -> Mapping[str, str]:
    effect, relative = comparison.absolute, comparison.relative
    is_share = comparison.scale == "share"

    def level(value: float) -> str:
        return formats.percent(value) if is_share else formats.number(value, decimals=2)

    return {
        "arm": comparison.variant,
        "against": comparison.control,
        "metric": _metric_words(comparison.metric, plan),
        "value": level(effect.treatment_value),
        "control": level(effect.control_value),
        "difference": _effect_text(comparison, plan) if effect.is_known else effect.reason,
        "relative": formats.percent_interval(relative.estimate, relative.low, relative.high)
        if relative.is_known
        else relative.reason,
        "p": formats.p_value(effect.p_value),
    }


def _metric_words(metric: str, plan: Plan) -> str:
    """Write a metric, and among whom it is taken where that is not everybody assigned."""
    is_everybody = plan.metric(metric.partition(",")[0]).is_randomised
    name = plan.label(metric)
    return name if is_everybody else say(wording.AMONG_SOME, metric=name)


def _effect_text(comparison: Comparison, plan: Plan) -> str:
    effect = comparison.absolute
    if comparison.scale == "share":
        points = (100 * effect.estimate, 100 * effect.low, 100 * effect.high)
        places = max(formats.decimals_for(points[1], points[2]), 0)
        estimate = formats.number(points[0], decimals=places, signed=True)
        ends = formats.interval(points[1], points[2], decimals=places)
        return say("{estimate} percentage points ({ends})", estimate=estimate, ends=ends)
    if plan.metric(comparison.metric.partition(",")[0]).is_money:
        return formats.money_interval(effect.estimate, effect.low, effect.high, plan.currency)
    return formats.number_interval(effect.estimate, effect.low, effect.high)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
