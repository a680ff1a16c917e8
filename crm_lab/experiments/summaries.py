"""Effects from sums that the database adds up: for bases of millions, read in one query.

Customers without any order, message or answer are not even joined: all their measures are 0, and
zeros change no sum. What is added up are whole numbers (money in hundredths), so the summaries are
exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from crm_lab.errors import DesignError
from crm_lab.experiments.estimators import Base, Estimate
from crm_lab.experiments.metrics import MetricSpec
from crm_lab.experiments.outcomes import (
    NET,
    Window,
    covariates_for,
    metric_span,
    wanted_measures,
)
from crm_lab.experiments.plan import Plan
from crm_lab.experiments.wording import (
    ADJUSTED_SUFFIX,
    SUMMARY_CLUSTERS,
    SUMMARY_KIND,
    SUMMARY_MARGIN,
)
from crm_lab.gateway import Reader
from crm_lab.gateway.measures import (
    MONEY_MEASURES,
    SCALE,
    Measured,
    customer_measures,
    customers_by_variant,
    power_sums,
)
from crm_lab.language import say
from crm_lab.stats import (
    Comparison,
    Moments,
    Products,
    compare_means_moments,
    compare_proportions,
    cuped_products,
    mean_interval,
    proportion_interval,
    size_reason,
    unknown_comparison,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SummaryEstimator:
    """Effects from exact sums per variant.

    Attributes
    ----------
    plan : Plan
        What decides, and how.
    customers : mapping
        Customers per variant.
    sums : mapping
        For each variant the sums of :func:`crm_lab.gateway.measures.power_sums`.
    scales : mapping
        What each column was multiplied with to make it whole.
    columns : mapping
        For each metric the column of its numerator, and that of its denominator.
    reasons : mapping
        Metrics that cannot be measured, and why.
    window : Window
        The spans of time.
    """

    plan: Plan
    customers: Mapping[str, int]
    sums: Mapping[str, Mapping[str, Any]]
    scales: Mapping[str, int]
    columns: Mapping[str, tuple[str, ...]]
    reasons: Mapping[str, str]
    window: Window

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
        spec = self.plan.metric(metric)
        shared: dict[str, Any] = {"alpha": alpha, "arms": arms}
        n_t, n_c = self._count(treated), self._count(control)
        reason = self.reasons.get(metric, "")
        if reason or metric not in self.columns:
            return Estimate(
                comparison=unknown_comparison(
                    metric=metric,
                    reason=size_reason(n_t, n_c, arms=arms) or reason or say(SUMMARY_KIND),
                    method="none",
                    n_treatment=n_t,
                    n_control=n_c,
                    scale="share" if spec.kind == "share" else "number",
                    **shared,
                )
            )
        columns = self.columns[metric]
        if spec.kind == "share":
            events = [self._events(columns[0], names) for names in (treated, control)]
            return Estimate(
                comparison=compare_proportions(
                    events[0], n_t, events[1], n_c, metric=metric, **shared
                )
            )
        if spec.kind == "ratio":
            ratios = [self._ratio(columns, group) for group in (treated, control)]
            return Estimate(comparison=self._judged(metric, *ratios, **shared))
        names = covariates_for(self.plan, spec)
        parts = [self._products((columns[0], *names), group) for group in (treated, control)]
        factor = self._factor(spec)
        first = np.array([factor, *(0.0 for _ in names)])
        plain = self._judged(metric, *(part.combined(first) for part in parts), **shared)
        if not names:
            return Estimate(comparison=plain)
        adjusted = cuped_products(*parts)
        compared = self._judged(
            metric + ADJUSTED_SUFFIX, adjusted.treatment, adjusted.control, **shared
        )
        return Estimate(
            comparison=compared, plain=plain, variance_reduction=adjusted.variance_reduction
        )

    def level(self, metric: str, variant: str, *, alpha: float) -> tuple[float, float, float]:
        """Give the level of one variant with its interval; NaN where there is none."""
        spec = self.plan.metric(metric)
        if metric in self.reasons or metric not in self.columns:
            return (float("nan"),) * 3
        columns = self.columns[metric]
        if spec.kind == "share":
            n = self.customers.get(variant, 0)
            if n == 0:
                return (float("nan"),) * 3
            share = proportion_interval(self._events(columns[0], [variant]), n, alpha=alpha)
            return share.estimate, share.low, share.high
        return mean_interval(self._moments(metric, spec, variant), alpha=alpha)

    def base(self, metric: str, variant: str) -> Base:
        """Give what the detectable effect of a metric depends on, as one variant shows it."""
        spec = self.plan.metric(metric)
        if metric in self.reasons or metric not in self.columns:
            return Base(value=float("nan"), spread=float("nan"))
        if spec.kind == "share":
            n = self.customers.get(variant, 0)
            rate = self._events(self.columns[metric][0], [variant]) / n if n else float("nan")
            return Base(value=rate, spread=float("nan"), is_share=True)
        moments = self._moments(metric, spec, variant)
        spread = float(np.sqrt(moments.variance))
        names = covariates_for(self.plan, spec)
        if names:
            products = self._products((self.columns[metric][0], *names), [variant])
            spread *= float(np.sqrt(1 - cuped_products(products, products).variance_reduction))
        return Base(value=moments.mean, spread=spread)

    def imbalance(self, treated: str, control: str) -> float:
        """Give the standardised difference of the pre-period's revenue; NaN where there is none."""
        one, other = (
            self._products(("pre_revenue",), [name]).combined(np.ones(1))
            for name in (treated, control)
        )
        spread = float(np.sqrt((one.variance + other.variance) / 2))
        if not np.isfinite(spread):
            return float("nan")
        return abs(one.mean - other.mean) / spread if spread > 0 else 0.0

    def _moments(self, metric: str, spec: MetricSpec, variant: str) -> Moments:
        columns = self.columns[metric]
        if spec.kind == "ratio":
            return self._ratio(columns, [variant])
        factor = self._factor(spec)
        return self._products((columns[0],), [variant]).combined(np.array([factor]))

    def _factor(self, spec: MetricSpec) -> float:
        start, end = metric_span(spec, self.window)
        return 7 * 86_400 / (end - start).total_seconds() if spec.per_week else 1.0

    def _judged(
        self,
        metric: str,
        treatment: Moments,
        control: Moments,
        *,
        alpha: float,
        arms: tuple[str, str],
    ) -> Comparison:
        return compare_means_moments(treatment, control, alpha=alpha, metric=metric, arms=arms)

    def _ratio(self, columns: tuple[str, ...], variants: Sequence[str]) -> Moments:
        """Moments of the linearised ratio, whose mean varies as the ratio of the sums does."""
        products = self._products(columns, variants)
        numerator, denominator = products.means
        if not denominator > 0:
            return Moments(n=products.n, mean=float("nan"), m2=float("nan"), m3=float("nan"))
        ratio = float(numerator / denominator)
        weights = np.array([1.0, -ratio]) / denominator
        return replace(products.combined(weights), mean=ratio)

    def _products(self, columns: tuple[str, ...], variants: Sequence[str]) -> Products:
        order = {name: at for at, name in enumerate(columns)}
        first = next(iter(self.sums.values()), {})
        sums: dict[tuple[int, ...], int] = {}
        for key in first:
            factors = key.split("__")[1:] if key.startswith("sum__") else []
            if factors and all(name in order for name in factors):
                powers = tuple(sorted(order[name] for name in factors))
                sums[powers] = sum(int(self.sums[v][key]) for v in variants if v in self.sums)
        scales = tuple(self.scales[name] for name in columns)
        return Products.from_power_sums(self._count(variants), sums, scales=scales)

    def _events(self, column: str, variants: Sequence[str]) -> int:
        return sum(int(self.sums[v][f"{column}_n"]) for v in variants if v in self.sums)

    def _count(self, variants: Sequence[str]) -> int:
        return sum(self.customers.get(name, 0) for name in variants)


def open_summaries(reader: Reader, plan: Plan, window: Window, population: str) -> SummaryEstimator:
    """Let the database add up what the metrics of a plan need.

    Parameters
    ----------
    reader : Reader
        Of the snapshot.
    plan : Plan
        What is compared.
    window : Window
        The spans of time.
    population : str
        A SELECT of customer_id, unit_id and variant.

    Raises
    ------
    DesignError
        The plan asks for what sums cannot give: strata, segments.
    """
    if plan.strata:
        raise DesignError(
            say("strata and a base above two million customers"),
            expected=say("no 'strata' in a plan of this size"),
        )
    wanted, columns, reasons = summary_measures(plan, window)
    counts = reader.rows(customers_by_variant(population))
    relation = customer_measures(population, wanted, only_active=True)
    groups, counted = _needed(plan, columns)
    money = [item.column for item in wanted if item.measure in MONEY_MEASURES]
    rows = power_sums(reader, relation, groups, money=money, counted=counted)
    if any(row["drawn_with_others"] for row in rows):
        reasons = dict.fromkeys(plan.metrics, say(SUMMARY_CLUSTERS))
    return SummaryEstimator(
        plan=plan,
        customers={str(row["variant"]): int(row["customers"]) for row in counts},
        sums={str(row["variant"]): row for row in rows},
        scales={item.column: SCALE if item.column in money else 1 for item in wanted},
        columns=columns,
        reasons=reasons,
        window=window,
    )


def summary_measures(
    plan: Plan, window: Window
) -> tuple[list[Measured], dict[str, tuple[str, ...]], dict[str, str]]:
    """List the columns that sums are taken of; what rows alone can give has a reason."""
    wanted, columns, reasons = wanted_measures(plan, window)
    reasons[NET] = say(SUMMARY_MARGIN)
    for name in list(columns):
        spec = plan.metric(name)
        if spec.kind in ("days_to_first", "quantile") or spec.winsorise or spec.cap:
            reasons[name] = say(SUMMARY_KIND)
        if spec.numerator == "margin":
            reasons[name] = say(SUMMARY_MARGIN)
    columns = {name: used for name, used in columns.items() if name not in reasons}
    columns.setdefault("revenue_per_customer", ("revenue",))
    used = {column for parts in columns.values() for column in parts}
    used |= {"pre_revenue"}  # its balance is shown
    for name in columns:
        used |= set(covariates_for(plan, plan.metric(name)))
    return [item for item in wanted if item.column in used], columns, reasons


def _needed(
    plan: Plan, columns: Mapping[str, tuple[str, ...]]
) -> tuple[list[tuple[str, ...]], list[str]]:
    groups: list[tuple[str, ...]] = [("pre_revenue",)]
    counted: list[str] = []
    for name, used in columns.items():
        spec = plan.metric(name)
        if spec.kind == "share":
            counted.append(used[0])
        elif spec.kind == "ratio":
            groups.append(used)
        else:
            groups.append((used[0], *covariates_for(plan, spec)))
    return groups, list(dict.fromkeys(counted))
