"""Who reacts: the effect in each group of each feature, in words that a marketer can check.

The explanation comes from the trial and not from the model: the mean effect of a group needs no
model. Groups are looked at only together with the test whether the effect differs over the feature
at all, and each is drawn to the others by what it says less than they do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.language import label, say
from crm_lab.stats import PooledEffects, adjust_p_values, pool_effects
from crm_lab.stats.arguments import FloatArray
from crm_lab.stats.normal import implied_standard_error
from crm_lab.uplift import wording
from crm_lab.uplift.contact_rules import check_rule
from crm_lab.uplift.contrast import PERMUTATIONS, contrast
from crm_lab.uplift.features import Features
from crm_lab.uplift.one_feature import GroupEncoder, feature_groups
from crm_lab.uplift.policy import Economics
from crm_lab.uplift.trial import Evidence, Trial

SAID_FEATURES = 2
"""Features whose groups the sentence names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentEffect:
    """One group of one feature.

    Attributes
    ----------
    feature, group : str
        Which.
    n : int
        Customers of both arms.
    estimate, low, high : float
        What contacting one of them brings before its cost, in money, with its interval.
    shrunken : float
        The same, drawn to the other groups of the feature; NaN where they cannot be pooled.
    cost : float
        Mean cost of the contact.
    chosen : float
        Share of the group that the rule contacts; NaN without a rule.
    reason : str
        Why there is no number; empty otherwise.
    """

    feature: str
    group: str
    n: int
    estimate: float
    low: float
    high: float
    shrunken: float
    cost: float
    chosen: float
    reason: str

    @property
    def pays(self) -> str:
        """Whether contacting the group pays, in words."""
        if self.reason:
            return wording.SEGMENT_UNKNOWN
        if self.low > self.cost:
            return wording.SEGMENT_PAYS
        return wording.SEGMENT_LOSES if self.high < self.cost else wording.SEGMENT_OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTest:
    """Whether the effect differs over the groups of a feature.

    Attributes
    ----------
    feature : str
        Which.
    p_value, holm : float
        Cochran's test, plain and adjusted for the number of features.
    """

    feature: str
    p_value: float
    holm: float


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SegmentEffects(Result):
    """The effect by groups of every feature.

    Attributes
    ----------
    treatment, metric, currency : str
        What was sent, the outcome, the unit.
    rows : tuple of SegmentEffect
        Groups, features in the order of their tests.
    tests : tuple of FeatureTest
        Features, the clearest difference first.
    alpha : float
        Two-sided error level.
    evidence : {"randomised", "observational"}
        What the numbers rest on.
    """

    title: ClassVar[str] = wording.SEGMENTS_TITLE
    plotter: ClassVar[str] = "crm_lab.plots.uplift:plot_segments"

    treatment: str
    metric: str
    currency: str
    rows: tuple[SegmentEffect, ...]
    tests: tuple[FeatureTest, ...]
    alpha: float
    evidence: Evidence

    @property
    def differing(self) -> tuple[str, ...]:
        """Features over which the effect is shown to differ."""
        return tuple(test.feature for test in self.tests if test.holm <= self.alpha)

    def of(self, feature: str) -> tuple[SegmentEffect, ...]:
        """Give the groups of one feature."""
        return tuple(row for row in self.rows if row.feature == feature)

    def sentence(self) -> str:
        """Say by which features the effect differs, and between which groups."""
        caution = [] if self.evidence == "randomised" else [say(wording.OBSERVATIONAL)]
        if not self.differing:
            return " ".join([say(wording.SEGMENTS_NONE, count=len(self.tests)), *caution])
        parts = []
        for feature in self.differing[:SAID_FEATURES]:
            known = [row for row in self.of(feature) if not row.reason]
            best = max(known, key=lambda row: row.shrunken)
            worst = min(known, key=lambda row: row.shrunken)
            parts.append(
                say(
                    wording.SEGMENT_DIFFERS,
                    feature=label(feature),
                    best=wording.group_text(best.group),
                    most=self._amount(best),
                    worst=wording.group_text(worst.group),
                    least=self._amount(worst),
                )
            )
        if self.differing[SAID_FEATURES:]:
            rest = [label(name) for name in self.differing[SAID_FEATURES:]]
            parts.append(say(wording.SEGMENTS_ALSO, features=formats.listing(rest)))
        others = len(self.tests) - len(self.differing)
        if others:
            parts.append(say(wording.SEGMENTS_OTHERS, count=others))
        return " ".join([*parts, *caution])

    def to_frame(self) -> pd.DataFrame:
        """Give one row per group: effect in money, interval, shrunken effect, share chosen."""
        holm = {test.feature: test.holm for test in self.tests}
        return pd.DataFrame(
            {
                "feature": row.feature,
                "group": row.group,
                "customers": row.n,
                "estimate": row.estimate,
                "low": row.low,
                "high": row.high,
                "shrunken": row.shrunken,
                "contact_cost": row.cost,
                "pays": row.pays,
                "chosen": row.chosen,
                "differs_holm": holm[row.feature],
                "evidence": self.evidence,
                "reason": row.reason,
            }
            for row in self.rows
        )

    def card_frame(self) -> pd.DataFrame:
        """Give group, customers, what a contact brings, whether it pays, share chosen."""
        return pd.DataFrame(
            {
                "group": f"{label(row.feature)}: {wording.group_text(row.group)}",
                "customers": formats.number(row.n),
                "a contact brings": self._amount(row),
                "pays": row.pays,
                "chosen": formats.percent(row.chosen, decimals=0),
            }
            for row in self.rows
        )

    def _amount(self, row: SegmentEffect) -> str:
        if row.reason:
            return say(formats.CANNOT_TELL)
        written = formats.money_interval(row.estimate, row.low, row.high, self.currency)
        return written.replace("  ", " ")


def segment_effects(
    features: Features,
    trial: Trial,
    *,
    economics: Economics,
    alpha: float,
    rng: np.random.Generator,
    contact: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    permutations: int = PERMUTATIONS,
) -> SegmentEffects:
    """Estimate what a contact brings in each group of each feature.

    Parameters
    ----------
    features : Features
        One row per customer.
    trial : Trial
        Outcome, arms, known chance.
    economics : Economics
        What an outcome is worth and a contact costs.
    alpha : float
        Two-sided error level of each interval.
    rng : numpy.random.Generator
        Source of the permutations.
    contact : array-like, shape (n,), optional
        A rule, to say how many of each group it contacts.
    names : sequence of str, optional
        Features to look at; by default all.
    permutations : int
        Random splits where an interval comes from permutation.

    Raises
    ------
    DesignError
        Rows do not fit, or there is no such feature.
    """
    if len(features.frame) != trial.n:
        raise DesignError(
            say("{n} customers and features of {rows}", n=trial.n, rows=len(features.frame))
        )
    chosen = None if contact is None else check_rule(contact, trial.n)
    money = trial.with_outcome(economics.earned(trial), metric=trial.metric)
    costs = economics.costs(trial.n)
    found: dict[str, list[SegmentEffect]] = {}
    pooled: dict[str, PooledEffects | None] = {}
    for name in features.names if names is None else names:
        rows = _groups(features, name, money, costs, chosen, alpha, rng, permutations)
        pooled[name] = _pool(rows, alpha)
        found[name] = [_shrunken(row, pooled[name], place) for place, row in enumerate(rows)]
    p_values = {
        name: math.nan if pool is None else pool.heterogeneity_p for name, pool in pooled.items()
    }
    holm = adjust_p_values(list(p_values.values()), method="holm")
    tests = [
        FeatureTest(feature=name, p_value=p, holm=float(adjusted))
        for (name, p), adjusted in zip(p_values.items(), holm, strict=True)
    ]
    tests.sort(key=lambda test: (math.isnan(test.p_value), test.p_value))
    return SegmentEffects(
        treatment=trial.treatment,
        metric=trial.metric,
        currency=economics.currency,
        rows=tuple(row for test in tests for row in found[test.feature]),
        tests=tuple(tests),
        alpha=alpha,
        evidence=trial.evidence,
    )


def _groups(
    features: Features,
    name: str,
    money: Trial,
    costs: FloatArray,
    chosen: FloatArray | None,
    alpha: float,
    rng: np.random.Generator,
    permutations: int,
) -> list[SegmentEffect]:
    if name not in features.names:
        raise DesignError(
            say("there is no feature '{name}'", name=name),
            expected=say("one of {choices}", choices=formats.listing(features.names, limit=12)),
        )
    groups = feature_groups(features.frame[name])
    labels = GroupEncoder(feature=name, groups=groups).labels(features.frame)
    rows = []
    for number in range(len(groups) + 1):
        here = labels == number
        if not here.any():
            continue
        share = float(here.mean())
        value = contrast(money, here, alpha=alpha, rng=rng, permutations=permutations)
        value = value.scaled(1.0 / share)
        rows.append(
            SegmentEffect(
                feature=name,
                group=groups[number].label if number < len(groups) else wording.MISSING,
                n=int(here.sum()),
                estimate=value.estimate,
                low=value.low,
                high=value.high,
                shrunken=math.nan,
                cost=float(costs[here].mean()),
                chosen=math.nan if chosen is None else float(chosen[here].mean()),
                reason=value.reason,
            )
        )
    return rows


def _pool(rows: Sequence[SegmentEffect], alpha: float) -> PooledEffects | None:
    known = [row for row in rows if not row.reason]
    if len(known) < 2:
        return None
    errors = [
        math.nan if row.reason else implied_standard_error(row.low, row.high, alpha=alpha)
        for row in rows
    ]
    return pool_effects([row.estimate for row in rows], errors, alpha=alpha)


def _shrunken(row: SegmentEffect, pool: PooledEffects | None, place: int) -> SegmentEffect:
    value = row.estimate if pool is None else pool.shrunken[place]
    fields = {name: getattr(row, name) for name in row.__dataclass_fields__}
    return SegmentEffect(**(fields | {"shrunken": value}))
