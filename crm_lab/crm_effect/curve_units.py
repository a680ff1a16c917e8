"""Money per drawn unit, and the comparisons behind each point of the curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crm_lab.crm_effect import curve_wording as wording
from crm_lab.crm_effect.curve_results import CurvePoint
from crm_lab.experiments.assignment import TREATABLE
from crm_lab.experiments.fields import CONTROL
from crm_lab.experiments.outlook import detectable_mean
from crm_lab.language import say
from crm_lab.stats import Comparison, DetectableEffect, Effect, compare_means, cuped
from crm_lab.stats.effects import EffectName, unknown_effect

FloatArray: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnitValues:
    """Money per drawn unit, ready to be compared.

    Attributes
    ----------
    frame : pandas.DataFrame
        Columns variant, customers, pre_revenue, discount, revenue_1, ...; one row per unit.
    mean_size : float
        Customers per unit, over both groups; 1 where single customers were drawn.
    """

    frame: pd.DataFrame
    mean_size: float

    @classmethod
    def of(cls, frame: pd.DataFrame) -> UnitValues:
        """Take the rows of `crm_lab.gateway.curves.weekly_money`."""
        size = float(frame["customers"].mean()) if len(frame) else 1.0
        return cls(frame=frame, mean_size=size)

    def units(self, variant: str) -> int:
        """Count the units of one group."""
        return int((self.frame["variant"] == variant).sum())

    def customers(self, variant: str) -> int:
        """Count the customers of one group."""
        return int(self.frame.loc[self.frame["variant"] == variant, "customers"].sum())

    def compare(
        self,
        columns: Sequence[str],
        *,
        rng: np.random.Generator,
        alpha: float,
        permutations: int,
        metric: str,
    ) -> tuple[Comparison, float]:
        """Compare the sum of ``columns`` per customer, and give what the adjustment removed."""
        arms = (wording.TREATED, CONTROL)
        if not columns:
            return self._nothing(alpha, metric), 0.0
        treated, control, reduction = self._adjust(columns)
        found = compare_means(
            treated,
            control,
            alpha=alpha,
            rng=rng,
            permutations=permutations,
            metric=metric,
            arms=arms,
        )
        return found, reduction

    def detectable(self, columns: Sequence[str], *, alpha: float, power: float) -> DetectableEffect:
        """Give the smallest change of the sum of ``columns`` that these groups would show."""
        units = {"n_treatment": self.units(TREATABLE), "n_control": self.units(CONTROL)}
        if not columns:
            return detectable_mean(math.nan, math.nan, **units, alpha=alpha, power=power)
        _, control, _ = self._adjust(columns)
        spread = float(np.std(control, ddof=1)) if control.size > 1 else math.nan
        mean = float(control.mean()) if control.size else math.nan
        return detectable_mean(mean, spread, **units, alpha=alpha, power=power)

    def _adjust(
        self, columns: Sequence[str]
    ) -> tuple[
        FloatArray,
        FloatArray,
        float,
    ]:
        is_control = (self.frame["variant"] == CONTROL).to_numpy()
        values = self.frame[list(columns)].to_numpy(dtype=float).sum(axis=1) / self.mean_size
        known = self.frame[["pre_revenue", "customers"]].to_numpy(dtype=float)
        made = cuped(values[~is_control], known[~is_control], values[is_control], known[is_control])
        reduction = made.variance_reduction if math.isfinite(made.variance_reduction) else 0.0
        return made.treatment, made.control, reduction

    def _nothing(self, alpha: float, metric: str) -> Comparison:
        def effect(name: EffectName) -> Effect:
            return unknown_effect(
                name,
                reason=say(wording.NO_WEEK_REASON),
                method="none",
                alpha=alpha,
                n_treatment=self.units(TREATABLE),
                n_control=self.units(CONTROL),
            )

        return Comparison(
            metric=metric,
            variant=wording.TREATED,
            control=CONTROL,
            scale="number",
            absolute=effect("absolute"),
            relative=effect("relative"),
        )


def curve_points(
    values: UnitValues,
    metric: str,
    *,
    weeks: int,
    days: Sequence[date],
    alpha: float,
    permutations: int,
    rng: np.random.Generator,
) -> tuple[CurvePoint, ...]:
    """Compare one metric in each week alone and from the draw to its end.

    Parameters
    ----------
    values : UnitValues
        Money per unit.
    metric : {"revenue", "margin"}
        Prefix of the columns.
    weeks : int
        How many weeks are known.
    days : sequence of datetime.date
        First day of each week, and of the one after the last.
    alpha : float
        Error level of each interval.
    permutations : int
        Random splits per comparison.
    rng : numpy.random.Generator
        Source of the permutations.
    """
    points = []
    for week, child in zip(range(1, weeks + 1), rng.spawn(weeks), strict=True):
        first, second = child.spawn(2)
        weekly, _ = values.compare(
            [f"{metric}_{week}"],
            rng=first,
            alpha=alpha,
            permutations=permutations,
            metric=metric,
        )
        cumulative = weekly
        if week > 1:
            cumulative, _ = values.compare(
                columns_of(metric, week),
                rng=second,
                alpha=alpha,
                permutations=permutations,
                metric=metric,
            )
        points.append(
            CurvePoint(
                week=week,
                first_day=days[week - 1],
                last_day=days[week] - timedelta(days=1),
                weekly=weekly.absolute,
                cumulative=cumulative.absolute,
            )
        )
    return tuple(points)


def columns_of(metric: str, weeks: int) -> list[str]:
    """Name the columns of a metric from the draw to the end of a week."""
    return [f"{metric}_{week}" for week in range(1, weeks + 1)]
