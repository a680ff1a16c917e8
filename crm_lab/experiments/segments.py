"""The effect by segment: shrunken, with the heterogeneity test first.

Splitting a result into groups finds differences by chance, the more groups the more. So the
question comes first whether the effect differs at all; the effects of the groups are drawn towards
their common mean by as much as chance explains; and a group is named only if its adjusted p-value
holds. Segments are named in the plan and use nothing that happened after the draw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.experiments import wording
from crm_lab.experiments.estimators import RowEstimator
from crm_lab.experiments.fields import CONTROL
from crm_lab.language import grouped, message, say, word
from crm_lab.stats import Comparison, PooledEffects, pool_effects, unknown_comparison

SMALLEST_GROUP = 30
"""Customers of a segment in an arm below which no effect of it is given."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SegmentReading(Result):
    """The effect of one arm on the primary metric in each group of a segment.

    Attributes
    ----------
    segment, arm, metric : str
        What is split, whose effect, on what.
    scale : {"number", "share"}
        How the metric is read.
    currency : str
        Of the metric where it is money, else empty.
    comparisons : tuple of Comparison
        Raw effect of each group; NaN with a reason where it is too small.
    pooled : PooledEffects
        Shrunken effects and the test of heterogeneity.
    """

    title: ClassVar[str] = message("The effect by segment")
    plotter: ClassVar[str] = "crm_lab.plots.effects:plot_segments"

    segment: str
    arm: str
    metric: str
    scale: str
    currency: str
    comparisons: tuple[Comparison, ...]
    pooled: PooledEffects

    @property
    def label(self) -> str:
        """The segment, as people call it."""
        return say(wording.SEGMENT_LABELS.get(self.segment, self.segment))

    @property
    def is_readable(self) -> bool:
        """Whether at least two groups have an effect of their own."""
        return sum(item.absolute.is_known for item in self.comparisons) > 1

    @property
    def differs(self) -> bool:
        """Whether the effect certainly is not the same in every group."""
        return bool(self.pooled.heterogeneity_p <= self.pooled.alpha)

    def sentence(self) -> str:
        """Say whether the effect differs, and of which groups something can be said."""
        known = [item for item in self.comparisons if item.absolute.is_known]
        words = {
            "arm": self.arm,
            "segment": self.label,
            "p": formats.p_text(self.pooled.heterogeneity_p),
            "groups": str(len(known)),
        }
        if not self.is_readable:
            return say(wording.SEGMENTS_FEW, **words)
        first = wording.SEGMENTS_DIFFER if self.differs else wording.SEGMENTS_ALIKE
        certain = [
            word(name)
            for name, p in zip(self.pooled.names, self.pooled.holm, strict=True)
            if p <= self.pooled.alpha
        ]
        second = wording.SEGMENTS_CERTAIN if certain else wording.SEGMENTS_NONE
        return " ".join(
            [say(first, **words), say(second, groups=formats.listing(certain, limit=10))]
        )

    def to_frame(self) -> pd.DataFrame:
        """Give one row per group: sizes, raw and shrunken effect, adjusted p-value."""
        pooled = self.pooled
        return pd.DataFrame(
            {
                "segment": self.segment,
                "group": [item.variant for item in self.comparisons],
                "arm": self.arm,
                "n_treatment": [item.absolute.n_treatment for item in self.comparisons],
                "n_control": [item.absolute.n_control for item in self.comparisons],
                "estimate": [item.absolute.estimate for item in self.comparisons],
                "low": [item.absolute.low for item in self.comparisons],
                "high": [item.absolute.high for item in self.comparisons],
                "shrunken": pooled.shrunken,
                "shrunken_low": pooled.shrunken_low,
                "shrunken_high": pooled.shrunken_high,
                "p_holm": pooled.holm,
                "reason": [item.absolute.reason for item in self.comparisons],
            }
        )

    def card_frame(self) -> pd.DataFrame:
        """Give the groups as people read them."""
        factor = 100.0 if self.scale == "share" else 1.0
        unit = (
            say(wording.POINTS) if self.scale == "share" else formats.currency_name(self.currency)
        )
        rows = []
        for row in self.to_frame().to_dict("records"):
            is_known = np.isfinite(row["estimate"])
            raw = [factor * float(row[key]) for key in ("estimate", "low", "high")]
            drawn = [
                factor * float(row[key]) for key in ("shrunken", "shrunken_low", "shrunken_high")
            ]
            rows.append(
                {
                    "group": row["group"],
                    "customers": grouped(row["n_treatment"]),
                    "controls": grouped(row["n_control"]),
                    say("effect ({unit})", unit=unit): formats.number_interval(*raw)
                    if is_known
                    else row["reason"],
                    say("drawn to the mean ({unit})", unit=unit): formats.number_interval(*drawn)
                    if is_known
                    else "",
                    "p (Holm)": formats.p_value(row["p_holm"]),
                }
            )
        return pd.DataFrame(rows)


def read_segment(
    estimator: RowEstimator,
    labels: pd.Series[str],
    *,
    segment: str,
    arm: str,
    alpha: float,
    rng: np.random.Generator,
) -> SegmentReading:
    """Compare one arm with the control within every group of a segment.

    Parameters
    ----------
    estimator : RowEstimator
        With everybody assigned.
    labels : pandas.Series
        Group of each row of the estimator's frame, known before the draw.
    segment, arm : str
        What the groups are, and whose effect.
    alpha : float
        Two-sided error rate.
    rng : numpy.random.Generator
        Source of the permutations.

    Notes
    -----
    For drawing to the mean the standard error of a group comes from the spread of both sides
    together: that of a small control alone misses the rare large orders, and pooled intervals then
    cover 88 % instead of 95 % (``docs/simulations/designs.md``). A group with fewer than 30
    customers on a side has no effect of its own.
    """
    plan = estimator.plan
    frame = estimator.outcomes.frame
    is_arm, is_control = frame["variant"] == arm, frame["variant"] == CONTROL
    groups = sorted(labels[is_arm | is_control].unique())
    children = rng.spawn(len(groups))
    found = [
        _group(estimator, labels == group, is_arm, is_control, group, alpha, child)
        for group, child in zip(groups, children, strict=True)
    ]
    pooled = pool_effects(
        [item.absolute.estimate for item in found],
        [item.pooled_error for item in found],
        alpha=alpha,
        names=groups,
        p_values=[item.absolute.p_value for item in found],
        scale=found[0].scale if found else "number",
    )
    spec = plan.metric(plan.primary_metric)
    return SegmentReading(
        segment=segment,
        arm=arm,
        metric=plan.primary_metric,
        scale="share" if spec.kind == "share" else "number",
        currency=plan.currency if spec.is_money else "",
        comparisons=tuple(found),
        pooled=pooled,
    )


def _group(
    estimator: RowEstimator,
    is_group: pd.Series[bool],
    is_arm: pd.Series[bool],
    is_control: pd.Series[bool],
    group: str,
    alpha: float,
    rng: np.random.Generator,
) -> Comparison:
    metric = estimator.plan.primary_metric
    sizes = int((is_group & is_arm).sum()), int((is_group & is_control).sum())
    if min(sizes) < SMALLEST_GROUP:
        return unknown_comparison(
            metric=metric,
            reason=say(wording.SEGMENT_SMALL, limit=SMALLEST_GROUP),
            method="none",
            alpha=alpha,
            n_treatment=sizes[0],
            n_control=sizes[1],
            arms=(group, CONTROL),
        )
    return estimator.estimate_between(
        metric,
        is_group & is_arm,
        is_group & is_control,
        alpha=alpha,
        rng=rng,
        arms=(group, CONTROL),
    ).comparison
