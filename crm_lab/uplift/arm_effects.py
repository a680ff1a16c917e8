"""Next best channel and offer: the effect of each arm in each segment, drawn to the rest.

Every arm is measured against the customers who got nothing. An arm is named best in a segment only
where the data tell it from the second, adjusted for the number of segments; until then it is the
arm to try first and no more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.language import say, word
from crm_lab.stats import adjust_p_values, pool_effects
from crm_lab.stats.arguments import FloatArray
from crm_lab.stats.normal import implied_p_value, implied_standard_error
from crm_lab.uplift import wording
from crm_lab.uplift.contrast import PERMUTATIONS, contrast, difference_of_means
from crm_lab.uplift.policy import Economics
from crm_lab.uplift.trial import BoolArray, Evidence, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmTrial:
    """One arm that could be sent, with its test.

    Attributes
    ----------
    trial : Trial
        The arm against the customers who got nothing.
    segments : ndarray, shape (n,)
        Segment of each customer of the trial, known before the draw.
    economics : Economics
        What the outcome is worth and what a contact by this arm costs.
    """

    trial: Trial
    segments: ArrayLike
    economics: Economics


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmEffect:
    """One arm in one segment.

    Attributes
    ----------
    segment, arm : str
        Which.
    n : int
        Customers of the arm and its control.
    estimate, low, high : float
        What a contact brings before its cost, in money.
    shrunken : float
        The same, drawn to the other segments of the arm.
    cost : float
        Cost of a contact.
    reason : str
        Why there is no number; empty otherwise.
    """

    segment: str
    arm: str
    n: int
    estimate: float
    low: float
    high: float
    shrunken: float
    cost: float
    reason: str

    @property
    def profit(self) -> float:
        """Expected profit of a contact: shrunken effect less cost."""
        return self.shrunken - self.cost


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentChoice:
    """What to send to one segment.

    Attributes
    ----------
    segment : str
        Which.
    arm : str
        The arm with the largest expected profit; "nobody" where none is above 0.
    second : str
        The next one.
    p_value, holm : float
        Test that it earns no more than the second and no more than leaving them alone, plain and
        adjusted for the number of segments; for "nobody", that no arm costs more than it brings.
    """

    segment: str
    arm: str
    second: str
    p_value: float
    holm: float


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ArmEffects(Result):
    """The effect of every arm in every segment.

    Attributes
    ----------
    metric, currency : str
        Outcome and unit.
    arms, segments : tuple of str
        Names.
    rows : tuple of ArmEffect
        Segment by segment, arm by arm.
    choices : tuple of SegmentChoice
        What to send to each segment.
    alpha : float
        Two-sided error level.
    evidence : {"randomised", "observational"}
        What the numbers rest on.
    """

    title: ClassVar[str] = wording.ARMS_TITLE
    plotter: ClassVar[str] = "crm_lab.plots.uplift:plot_arm_effects"

    metric: str
    currency: str
    arms: tuple[str, ...]
    segments: tuple[str, ...]
    rows: tuple[ArmEffect, ...]
    choices: tuple[SegmentChoice, ...]
    alpha: float
    evidence: Evidence

    def certain(self) -> tuple[SegmentChoice, ...]:
        """Give the choices that the data tell from the second best."""
        return tuple(choice for choice in self.choices if choice.holm <= self.alpha)

    def values(self, labels: ArrayLike) -> FloatArray:
        """Give the expected money of each arm for each customer: (customers, arms).

        Parameters
        ----------
        labels : array-like, shape (n,)
            Segment of each customer now. A segment that was not tested gets the mean over the
            tested ones, weighted by their customers.
        """
        table = np.full((len(self.segments) + 1, len(self.arms)), np.nan)
        weight = np.zeros(table.shape)
        for place, row in enumerate(self.rows):
            at = divmod(place, len(self.arms))
            table[at], weight[at] = row.shrunken, row.n
        known = np.isfinite(table)
        total = np.where(known, table * weight, 0.0).sum(axis=0)
        mean = total / np.maximum(np.where(known, weight, 0.0).sum(axis=0), 1.0)
        table = np.where(np.isfinite(table), table, mean)
        places = {segment: number for number, segment in enumerate(self.segments)}
        found = [places.get(str(label), len(self.segments)) for label in np.asarray(labels)]
        return np.asarray(table[found], dtype=np.float64)

    def sentence(self) -> str:
        """Say for how many segments an arm is shown to be the best."""
        caution = [] if self.evidence == "randomised" else [say(wording.OBSERVATIONAL)]
        certain = self.certain()
        if not certain:
            return " ".join([say(wording.ARMS_OPEN, count=len(self.segments)), *caution])
        named = formats.listing(
            [
                say(
                    "{arm} for '{segment}'",
                    arm=word(choice.arm),
                    segment=wording.group_text(choice.segment),
                )
                for choice in certain
            ],
            limit=4,
        )
        parts = [
            say(wording.ARMS_CERTAIN, certain=len(certain), count=len(self.segments), named=named)
        ]
        if len(certain) < len(self.segments):
            parts.append(say(wording.ARMS_ELSEWHERE))
        return " ".join([*parts, *caution])

    def to_frame(self) -> pd.DataFrame:
        """Give one row per segment and arm."""
        chosen = {choice.segment: choice for choice in self.choices}
        return pd.DataFrame(
            {
                "segment": row.segment,
                "arm": row.arm,
                "customers": row.n,
                "estimate": row.estimate,
                "low": row.low,
                "high": row.high,
                "shrunken": row.shrunken,
                "contact_cost": row.cost,
                "expected_profit": row.profit,
                "is_first": chosen[row.segment].arm == row.arm,
                "holm": chosen[row.segment].holm,
                "evidence": self.evidence,
                "reason": row.reason,
            }
            for row in self.rows
        )

    def card_frame(self) -> pd.DataFrame:
        """Give segment, what to send first, expected profit, and whether it is shown."""
        profit = {(row.segment, row.arm): row.profit for row in self.rows}
        return pd.DataFrame(
            {
                "segment": wording.group_text(choice.segment),
                "send first": choice.arm,
                "expected profit of a contact": formats.money(
                    profit.get((choice.segment, choice.arm), 0.0), self.currency, decimals=2
                ).strip(),
                "next": choice.second,
                "shown to earn most": choice.holm <= self.alpha,
            }
            for choice in self.choices
        )


def arm_effects(
    arms: Mapping[str, ArmTrial],
    *,
    alpha: float,
    rng: np.random.Generator,
    permutations: int = PERMUTATIONS,
) -> ArmEffects:
    """Estimate what each arm brings in each segment.

    Parameters
    ----------
    arms : mapping of str to ArmTrial
        The arms; they may come from one test or from several, on the same outcome.
    alpha : float
        Two-sided error level of each interval.
    rng : numpy.random.Generator
        Source of the permutations.
    permutations : int
        Random splits where an interval comes from permutation.

    Raises
    ------
    DesignError
        There is no arm, segments do not fit, or outcomes, currencies or evidence differ.
    """
    _check(arms)
    labels = {name: np.asarray(arm.segments).astype(str) for name, arm in arms.items()}
    segments = tuple(sorted({str(s) for found in labels.values() for s in np.unique(found)}))
    found: dict[tuple[str, str], ArmEffect] = {}
    for name, arm in arms.items():
        money = arm.trial.with_outcome(arm.economics.earned(arm.trial), metric=arm.trial.metric)
        costs = arm.economics.costs(money.n)
        rows = [
            _one(money, labels[name] == segment, costs, segment, name, alpha, rng, permutations)
            for segment in segments
        ]
        for row in _shrunken(rows, alpha):
            found[row.segment, name] = row
    choices = [
        _choose(segment, found, arms, labels, alpha, rng, permutations) for segment in segments
    ]
    holm = adjust_p_values([choice.p_value for choice in choices], method="holm")
    first = next(iter(arms.values()))
    return ArmEffects(
        metric=first.trial.metric,
        currency=first.economics.currency,
        arms=tuple(arms),
        segments=segments,
        rows=tuple(found[segment, name] for segment in segments for name in arms),
        choices=tuple(
            SegmentChoice(
                segment=choice.segment,
                arm=choice.arm,
                second=choice.second,
                p_value=choice.p_value,
                holm=float(adjusted),
            )
            for choice, adjusted in zip(choices, holm, strict=True)
        ),
        alpha=alpha,
        evidence=first.trial.evidence,
    )


def _check(arms: Mapping[str, ArmTrial]) -> None:
    if not arms:
        raise DesignError(say("there is no arm"), expected=say("one or more"))
    for name, arm in arms.items():
        if np.shape(arm.segments) != (arm.trial.n,):
            raise DesignError(
                say(
                    "{n} customers and segments of shape {segments}",
                    n=arm.trial.n,
                    segments=np.shape(arm.segments),
                ),
                where=name,
            )
    for what in ("metric", "evidence"):
        if len({getattr(arm.trial, what) for arm in arms.values()}) > 1:
            raise DesignError(
                say("the arms differ in {what}", what=what), expected=say("the same for all")
            )
    if len({arm.economics.currency for arm in arms.values()}) > 1:
        raise DesignError(say("the arms differ in currency"), expected=say("the same for all"))


def _one(
    money: Trial,
    here: BoolArray,
    costs: FloatArray,
    segment: str,
    arm: str,
    alpha: float,
    rng: np.random.Generator,
    permutations: int,
) -> ArmEffect:
    n = int(here.sum())
    cost = float(costs[here].mean()) if n else float(costs.mean())
    if not n:
        nan = math.nan
        return ArmEffect(
            segment=segment,
            arm=arm,
            n=0,
            estimate=nan,
            low=nan,
            high=nan,
            shrunken=nan,
            cost=cost,
            reason=say(wording.NOT_TESTED),
        )
    value = contrast(money, here, alpha=alpha, rng=rng, permutations=permutations)
    value = value.scaled(money.n / n)
    return ArmEffect(
        segment=segment,
        arm=arm,
        n=n,
        estimate=value.estimate,
        low=value.low,
        high=value.high,
        shrunken=value.estimate,
        cost=cost,
        reason=value.reason,
    )


def _shrunken(rows: Sequence[ArmEffect], alpha: float) -> list[ArmEffect]:
    """Draw the segments of one arm to each other; a lone one stays as it is."""
    if sum(not row.reason for row in rows) < 2:
        return list(rows)
    errors = [
        math.nan if row.reason else implied_standard_error(row.low, row.high, alpha=alpha)
        for row in rows
    ]
    pool = pool_effects([row.estimate for row in rows], errors, alpha=alpha)
    changed = []
    for row, value in zip(rows, pool.shrunken, strict=True):
        fields = {name: getattr(row, name) for name in row.__dataclass_fields__}
        changed.append(ArmEffect(**(fields | {"shrunken": value})))
    return changed


def _choose(
    segment: str,
    found: Mapping[tuple[str, str], ArmEffect],
    arms: Mapping[str, ArmTrial],
    labels: Mapping[str, np.ndarray[tuple[int, ...], np.dtype[np.str_]]],
    alpha: float,
    rng: np.random.Generator,
    permutations: int,
) -> SegmentChoice:
    """Take the arm with the largest expected profit, and test it against the second."""
    ranked = sorted(
        (
            (row.profit, name)
            for name in arms
            if math.isfinite((row := found[segment, name]).profit)
        ),
        reverse=True,
    )
    if not ranked or ranked[0][0] <= 0.0:
        losing = [_beside_cost(found[segment, name], alpha, above=False) for _, name in ranked]
        return SegmentChoice(
            segment=segment,
            arm=wording.NOBODY,
            second=ranked[0][1] if ranked else "",
            p_value=float(np.max(losing)) if len(losing) == len(arms) else math.nan,
            holm=math.nan,
        )
    paying = _beside_cost(found[segment, ranked[0][1]], alpha, above=True)
    if len(ranked) < 2:
        return SegmentChoice(
            segment=segment, arm=ranked[0][1], second="", p_value=paying, holm=math.nan
        )
    pair = (ranked[0][1], ranked[1][1])
    profits = []
    for name in pair:
        arm = arms[name]
        here = (labels[name] == segment) & arm.trial.is_treated
        earned = arm.economics.earned(arm.trial) - arm.economics.costs(arm.trial.n)
        profits.append(np.asarray(earned[here], dtype=np.float64))
    test = difference_of_means(
        profits[0], profits[1], alpha=alpha, rng=rng, permutations=permutations
    )
    return SegmentChoice(
        segment=segment,
        arm=pair[0],
        second=pair[1],
        p_value=float(np.max([paying, test.absolute.p_value])),
        holm=math.nan,
    )


def _beside_cost(row: ArmEffect, alpha: float, *, above: bool) -> float:
    """Test whether a contact brings what it costs, by the half of the interval towards the cost."""
    away = row.estimate - row.cost
    if (away > 0) != above:
        return 1.0
    return implied_p_value(row.estimate, row.low, row.high, against=row.cost, alpha=alpha)
