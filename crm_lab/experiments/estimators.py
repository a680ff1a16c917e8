"""From what happened to effects: one metric, one arm, its control, by the method that fits.

Two estimators give the same kind of answer. :class:`RowEstimator` reads a value for everybody
and permutes; :class:`SummaryEstimator` is for bases of millions, whose sums the database adds up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd

from crm_lab.experiments.fields import CONTROL
from crm_lab.experiments.metrics import MetricSpec
from crm_lab.experiments.outcomes import (
    Outcomes,
    covariates_for,
    limited,
    metric_span,
    winsor_limit_of,
)
from crm_lab.experiments.plan import Plan
from crm_lab.experiments.wording import ADJUSTED_SUFFIX
from crm_lab.language import say
from crm_lab.stats import (
    Adjustment,
    Comparison,
    Moments,
    PairMoments,
    adjust_by_strata,
    compare_clustered_means,
    compare_means,
    compare_proportions,
    compare_quantiles,
    compare_ratios,
    cuped,
    mean_interval,
    proportion_interval,
    ratio_estimate,
    residual_spread,
    size_reason,
    unknown_comparison,
)

PERMUTATIONS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The effect on one metric.

    Attributes
    ----------
    comparison : Comparison
        As the plan wants it, adjusted where it says so.
    plain : Comparison or None
        Without adjustment, where there was one.
    variance_reduction : float
        Part of the variance that the adjustment removed; 0 without one.
    """

    comparison: Comparison
    plain: Comparison | None = None
    variance_reduction: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What the detectable effect of a metric depends on.

    Attributes
    ----------
    value : float
        Level without treatment.
    spread : float
        Standard deviation per customer of what is compared, after adjustment where the plan
        adjusts; NaN where it is not known.
    is_share : bool
        Whether the level is a share, whose spread follows from it.
    """

    value: float
    spread: float
    is_share: bool = False


class Estimator(Protocol):
    """What an analysis asks for, however the numbers come about."""

    @property
    def plan(self) -> Plan:
        """What decides, and how."""

    @property
    def customers(self) -> Mapping[str, int]:
        """Customers per variant."""

    def estimate(
        self,
        metric: str,
        *,
        treated: Sequence[str],
        control: Sequence[str],
        alpha: float,
        rng: np.random.Generator,
        arms: tuple[str, str],
    ) -> Estimate:
        """Compare the customers of some variants with those of others on one metric."""

    def level(self, metric: str, variant: str, *, alpha: float) -> tuple[float, float, float]:
        """Give the level of one variant with its interval; NaN where there is none."""

    def base(self, metric: str, variant: str) -> Base:
        """Give what the detectable effect of a metric depends on, as one variant shows it."""

    def imbalance(self, treated: str, control: str) -> float:
        """Give the standardised difference of the pre-period's revenue; NaN where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowEstimator:
    """Effects from one row per customer: permutation, score methods, clusters, strata.

    Attributes
    ----------
    plan : Plan
        What decides, and how.
    outcomes : Outcomes
        What happened to everybody assigned.
    strata : pandas.Series or None
        Stratum of each row, where the plan makes their shares equal.
    permutations : int
        Random splits per comparison.
    """

    plan: Plan
    outcomes: Outcomes
    strata: pd.Series[str] | None = None
    permutations: int = PERMUTATIONS

    @property
    def customers(self) -> Mapping[str, int]:
        """Customers per variant."""
        counts = self.outcomes.frame["variant"].value_counts()
        return {str(name): int(n) for name, n in counts.items()}

    def imbalance(self, treated: str, control: str) -> float:
        """Give the standardised difference of the pre-period's revenue; NaN where there is none."""
        one = self.outcomes.of(treated)["pre_revenue"]
        other = self.outcomes.of(control)["pre_revenue"]
        spread = float(np.sqrt((one.var() + other.var()) / 2))
        if not np.isfinite(spread):
            return float("nan")
        return abs(float(one.mean() - other.mean())) / spread if spread > 0 else 0.0

    def estimate(
        self,
        metric: str,
        *,
        treated: Sequence[str],
        control: Sequence[str],
        alpha: float,
        rng: np.random.Generator,
        arms: tuple[str, str],
    ) -> Estimate:
        """Compare the customers of some variants with those of others on one metric."""
        frame = self.outcomes.frame
        is_treated, is_control = frame["variant"].isin(treated), frame["variant"].isin(control)
        return self.estimate_between(
            metric, is_treated, is_control, alpha=alpha, rng=rng, arms=arms
        )

    def estimate_between(
        self,
        metric: str,
        is_treated: pd.Series[bool],
        is_control: pd.Series[bool],
        *,
        alpha: float,
        rng: np.random.Generator,
        arms: tuple[str, str],
    ) -> Estimate:
        """Compare two sets of rows on one metric; used for segments as well."""
        spec = self.plan.metric(metric)
        rows = self.outcomes.frame
        one, other = rows[is_treated], rows[is_control]
        if metric not in self.outcomes.columns or metric in self.outcomes.reasons:
            reason = self.outcomes.reasons.get(metric, say("it was not measured"))
            return Estimate(comparison=_unknown(metric, spec, reason, one, other, alpha, arms))
        columns = self.outcomes.columns[metric]
        shared: dict[str, Any] = {"alpha": alpha, "arms": arms}
        if spec.kind == "share":
            return Estimate(comparison=self._share(metric, columns[0], one, other, rng, **shared))
        if spec.kind == "ratio":
            return Estimate(comparison=self._ratio(metric, columns, one, other, rng, **shared))
        values = [self._values(spec, columns, part) for part in (one, other)]
        if spec.kind == "quantile":
            assert spec.quantile is not None  # the definition of a quantile names it
            buyers = [part[part != 0] for part in values]
            compared = compare_quantiles(*buyers, q=spec.quantile, metric=metric, **shared)
            return Estimate(comparison=compared)
        return self._mean(metric, spec, values, one, other, rng, **shared)

    def level(self, metric: str, variant: str, *, alpha: float) -> tuple[float, float, float]:
        """Give the level of one variant with its interval; NaN where there is none."""
        spec = self.plan.metric(metric)
        part = self.outcomes.of(variant)
        if metric in self.outcomes.reasons or len(part) < 2:
            return (float("nan"),) * 3
        columns = self.outcomes.columns[metric]
        if spec.kind == "share":
            events = int((part[columns[0]] > 0).sum())
            share = proportion_interval(events, len(part), alpha=alpha)
            return share.estimate, share.low, share.high
        if spec.kind == "ratio":
            pair = PairMoments.from_arrays(part[columns[0]], part[columns[1]])
            ratio = ratio_estimate(pair, alpha=alpha)
            return ratio.estimate, ratio.low, ratio.high
        values = self._values(spec, columns, part)
        if spec.kind == "quantile":
            return (float("nan"),) * 3
        return mean_interval(Moments.from_array(values), alpha=alpha)

    def base(self, metric: str, variant: str) -> Base:
        """Give what the detectable effect of a metric depends on, as one variant shows it."""
        spec = self.plan.metric(metric)
        part = self.outcomes.of(variant)
        unknown = Base(value=float("nan"), spread=float("nan"))
        if metric in self.outcomes.reasons or part.empty or spec.kind == "quantile":
            return unknown
        columns = self.outcomes.columns[metric]
        if spec.kind == "share":
            rate = float((part[columns[0]] > 0).mean())
            return Base(value=rate, spread=float("nan"), is_share=True)
        values = self._values(spec, columns, part)
        if spec.kind == "ratio":
            below = part[columns[1]].to_numpy(dtype=float)
            if not below.sum() > 0:
                return unknown
            ratio = float(values.sum() / below.sum())
            linear = (values - ratio * below) / below.mean()
            return Base(value=ratio, spread=float(np.std(linear, ddof=1)))
        spread = float(np.std(values, ddof=1)) if values.size > 1 else float("nan")
        names = covariates_for(self.plan, spec)
        if names and spread > 0:
            covariates = part[list(names)].to_numpy(dtype=float)
            spread = residual_spread(values, covariates)
        return Base(value=float(values.mean()), spread=spread)

    def _mean(
        self,
        metric: str,
        spec: MetricSpec,
        values: list[np.ndarray],
        one: pd.DataFrame,
        other: pd.DataFrame,
        rng: np.random.Generator,
        *,
        alpha: float,
        arms: tuple[str, str],
    ) -> Estimate:
        first, second = rng.spawn(2)
        shared: dict[str, Any] = {"alpha": alpha, "arms": arms}
        plain = self._compare(metric, (values[0], values[1]), one, other, rng=first, **shared)
        adjusted = self._adjusted(spec, values, one, other)
        if adjusted is None:
            return Estimate(comparison=plain)
        compared = self._compare(
            metric + ADJUSTED_SUFFIX,
            (adjusted.treatment, adjusted.control),
            one,
            other,
            rng=second,
            **shared,
        )
        gain = adjusted.variance_reduction
        return Estimate(
            comparison=compared,
            plain=plain,
            variance_reduction=gain if np.isfinite(gain) else 0.0,
        )

    def _adjusted(
        self, spec: MetricSpec, values: list[np.ndarray], one: pd.DataFrame, other: pd.DataFrame
    ) -> Adjustment | None:
        names = list(covariates_for(self.plan, spec))
        if not names and self.strata is None:
            return None
        x = [part[names].to_numpy(dtype=float) for part in (one, other)]
        if self.strata is None:
            return cuped(values[0], x[0], values[1], x[1])
        groups = [self.strata[part.index].to_numpy() for part in (one, other)]
        if not names:
            return adjust_by_strata(values[0], groups[0], values[1], groups[1])
        return adjust_by_strata(values[0], groups[0], values[1], groups[1], x_t=x[0], x_c=x[1])

    def compared_values(self, metric: str, arm: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Give the values whose means are compared, of an arm and the control.

        They are adjusted where the plan adjusts, 0 or 1 for a share, and missing for metrics that
        are no mean over everybody assigned.
        """
        one, other = self.outcomes.of(arm), self.outcomes.of(CONTROL)
        spec = self.plan.metric(metric)
        if spec.kind not in ("mean", "share", "days_to_first") or metric in self.outcomes.reasons:
            return None
        columns = self.outcomes.columns[metric]
        if spec.kind == "share":
            has = [(part[columns[0]] > 0).to_numpy(dtype=float) for part in (one, other)]
            return has[0], has[1]
        values = [self._values(spec, columns, part) for part in (one, other)]
        adjusted = self._adjusted(spec, values, one, other)
        if adjusted is None:
            return values[0], values[1]
        return adjusted.treatment, adjusted.control

    def _compare(
        self,
        metric: str,
        values: tuple[np.ndarray, np.ndarray],
        one: pd.DataFrame,
        other: pd.DataFrame,
        *,
        rng: np.random.Generator,
        alpha: float,
        arms: tuple[str, str],
    ) -> Comparison:
        shared: dict[str, Any] = {"alpha": alpha, "metric": metric, "arms": arms, "rng": rng}
        if self.outcomes.is_clustered:
            return compare_clustered_means(
                values[0],
                one["unit_id"].to_numpy(),
                values[1],
                other["unit_id"].to_numpy(),
                permutations=self.permutations,
                **shared,
            )
        return compare_means(*values, permutations=self.permutations, **shared)

    def _share(
        self,
        metric: str,
        column: str,
        one: pd.DataFrame,
        other: pd.DataFrame,
        rng: np.random.Generator,
        *,
        alpha: float,
        arms: tuple[str, str],
    ) -> Comparison:
        has = [part[column].to_numpy() > 0 for part in (one, other)]
        if self.outcomes.is_clustered:
            numbers = [part.astype(float) for part in has]
            compared = self._compare(
                metric, (numbers[0], numbers[1]), one, other, rng=rng, alpha=alpha, arms=arms
            )
            return replace(compared, scale="share")
        return compare_proportions(
            int(has[0].sum()),
            len(one),
            int(has[1].sum()),
            len(other),
            alpha=alpha,
            metric=metric,
            arms=arms,
        )

    def _ratio(
        self,
        metric: str,
        columns: tuple[str, ...],
        one: pd.DataFrame,
        other: pd.DataFrame,
        rng: np.random.Generator,
        *,
        alpha: float,
        arms: tuple[str, str],
    ) -> Comparison:
        parts = []
        for part in (one, other):
            sums = part[list(columns)]
            if self.outcomes.is_clustered:  # units that were drawn together count as one
                sums = sums.groupby(part["unit_id"]).sum()
            parts += [sums[columns[0]].to_numpy(), sums[columns[1]].to_numpy()]
        return compare_ratios(
            *parts,
            alpha=alpha,
            rng=rng,
            permutations=self.permutations,
            metric=metric,
            arms=arms,
        )

    def _values(self, spec: MetricSpec, columns: tuple[str, ...], part: pd.DataFrame) -> np.ndarray:
        raw = part[columns[0]].to_numpy(dtype=float)
        if spec.kind == "days_to_first":  # everybody is watched until the end, so nobody is lost
            horizon = self._span_days(spec)
            return np.minimum(np.where(np.isnan(raw), horizon, raw), horizon)
        values = limited(raw, spec, limit=winsor_limit_of(self.outcomes.frame, columns, spec))
        return values * (7 / self._span_days(spec)) if spec.per_week else values

    def _span_days(self, spec: MetricSpec) -> float:
        start, end = metric_span(spec, self.outcomes.window)
        return (end - start).total_seconds() / 86_400


def _unknown(
    metric: str,
    spec: MetricSpec,
    reason: str,
    one: pd.DataFrame,
    other: pd.DataFrame,
    alpha: float,
    arms: tuple[str, str],
) -> Comparison:
    return unknown_comparison(
        metric=metric,
        reason=size_reason(len(one), len(other), arms=arms) or reason,
        method="none",
        alpha=alpha,
        n_treatment=len(one),
        n_control=len(other),
        arms=arms,
        scale="share" if spec.kind == "share" else "number",
    )
