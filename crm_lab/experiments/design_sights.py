"""What each metric of a past window allows to plan: base value, spread, clusters, two windows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from crm_lab.errors import DesignError, Fault
from crm_lab.experiments import design_wording as wording
from crm_lab.language import say, say_many
from crm_lab.stats import (
    DesignFactors,
    DetectableEffect,
    cluster_sizes,
    design_effect,
    intraclass_correlation,
    minimum_detectable_effect_mean,
    minimum_detectable_effect_proportion,
    minimum_detectable_effect_ratio,
    ratio_variance,
    required_total,
)

Metric = Literal["conversion", "revenue_per_customer", "average_order_value"]
FloatArray = NDArray[np.float64]

SHARES = (*(percent / 100 for percent in range(1, 51)), 0.0125, 0.015, 0.0175, 0.025, 0.035)
"""Control shares of the curve: every whole percent, and closer where it is steep."""
HORIZONS = (1, 2, 3, 4, 6, 9, 13)
"""Lengths of the projected windows, in lengths of the past window."""
MAX_WEEKS = 104


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """Size and rules of the design."""

    n: int
    share: float
    smallest: float
    comparisons: int
    alpha: float
    power: float

    def sizes(self, share: float) -> tuple[int, int]:
        """Give the customers of the smallest arm and of the control at this control share."""
        control = round(self.n * share)
        return round((self.n - control) * self.smallest), control

    @property
    def part_compared(self) -> float:
        """Share of the base in the control and the smallest arm together."""
        return self.share + (1 - self.share) * self.smallest


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What one metric needs to be planned, with or without adjustment."""

    metric: Metric
    is_adjusted: bool
    correlation: float
    design_effect: float
    base_value: float
    sd: float
    window_correlation: float
    window_either: float
    reason: str

    def factors(self, base: Base, *, inflation: float = 1.0) -> DesignFactors:
        """Give what changes the variance and the error level of this metric."""
        return DesignFactors(
            correlation=self.correlation if self.is_adjusted else 0.0,
            design_effect=self.design_effect,
            inflation=inflation,
            comparisons=base.comparisons,
        )

    def detectable(
        self, base: Base, *, share: float | None = None, inflation: float = 1.0
    ) -> DetectableEffect:
        """Give the smallest change that shows; NaN with the reason where there is none."""
        n_t, n_c = base.sizes(base.share if share is None else share)
        factors = self.factors(base, inflation=inflation)
        reason = self.reason or (
            "" if min(n_t, n_c) >= 2 else say("an arm has fewer than 2 customers")
        )
        if reason:
            return DetectableEffect(
                base_value=self.base_value,
                absolute=math.nan,
                relative=math.nan,
                n_treatment=n_t,
                n_control=n_c,
                alpha=factors.per_comparison(base.alpha),
                power=base.power,
                method="formula" + factors.words,
                reason=reason,
            )
        rules = {"alpha": base.alpha, "power": base.power}
        if self.metric == "conversion":
            return minimum_detectable_effect_proportion(
                self.base_value, n_t, n_c, **rules, factors=factors
            )
        if self.metric == "average_order_value":
            # sd is already that of the linearised ratio: a ratio with a denominator of one.
            return minimum_detectable_effect_ratio(
                n_t,
                n_c,
                mean_numerator=self.base_value,
                mean_denominator=1.0,
                variance_numerator=self.sd**2,
                variance_denominator=0.0,
                covariance=0.0,
                **rules,
                factors=factors,
            )
        return minimum_detectable_effect_mean(
            self.base_value, self.sd, n_t, n_c, **rules, factors=factors
        )

    def required_base(self, base: Base, lift: float, *, stretch: float = 1.0) -> float:
        """Give the eligible customers that an effect needs; NaN when no base is enough."""
        if self.reason:
            return math.nan
        factors = self.factors(base)
        factors = replace(factors, design_effect=factors.design_effect * stretch)
        known = (
            {"base_rate": self.base_value}
            if self.metric == "conversion"
            else {"mean": self.base_value, "sd": self.sd}
        )
        size = required_total(
            relative_effect=lift,
            control_share=base.share / base.part_compared,
            alpha=base.alpha,
            power=base.power,
            factors=factors,
            **known,
        )
        return math.ceil(size.total / base.part_compared) if not size.reason else math.nan

    def stretched(self, windows: float) -> Sight:
        """Give the metric over a window so many times as long."""
        if self.reason or windows == 1:
            return self
        if self.metric == "conversion":
            rate = _rate_over(self.base_value, self.window_either, windows)
            return replace(self, base_value=rate, is_adjusted=False)
        grown = windows * (1 + (windows - 1) * self.window_correlation)
        if self.metric == "revenue_per_customer":
            return replace(
                self,
                base_value=self.base_value * windows,
                sd=self.sd * math.sqrt(max(grown, 0.0)),
            )
        return replace(self, sd=self.sd * math.sqrt(max(grown, 0.0)) / windows)


def _rate_over(rate: float, either: float, windows: float) -> float:
    """Give the share who buy in ``windows`` windows, from those in one and in either of two."""
    missed, missed_both = 1 - rate, 1 - either
    variance = missed_both - missed**2
    if variance <= 1e-12:
        return float(1 - missed**windows)
    spread = missed * rate / variance - 1
    if spread <= 1e-9:
        return rate
    a, b = missed * spread, rate * spread
    return float(1 - np.exp(special.betaln(a + windows, b) - special.betaln(a, b)))


def read_sights(frame: pd.DataFrame, cluster: str | None) -> list[Sight]:
    """Read every metric that the frame allows, without and with adjustment."""
    orders = frame["orders"].to_numpy(np.float64)
    bought = (orders > 0).astype(np.float64)
    before = frame["pre_orders"].to_numpy(np.float64) if "pre_orders" in frame else None
    bought_before = None if before is None else (before > 0).astype(np.float64)
    rate = float(bought.mean())
    reason = (
        say(wording.NOBODY_BOUGHT)
        if rate == 0
        else say(wording.EVERYBODY_BOUGHT)
        if rate == 1
        else ""
    )
    found = _pair(
        "conversion",
        values=bought,
        earlier=bought_before,
        base_value=rate,
        sd=math.sqrt(rate * (1 - rate)),
        reason=reason,
        labels=None if cluster is None else frame[cluster],
    )
    if "revenue" not in frame:
        return found
    revenue = frame["revenue"].to_numpy(np.float64)
    earlier = frame["pre_revenue"].to_numpy(np.float64) if "pre_revenue" in frame else None
    mean, sd = float(revenue.mean()), float(revenue.std(ddof=1))
    reason = say(wording.NO_REVENUE) if mean <= 0 else say(wording.NO_VARIATION) if sd == 0 else ""
    labels = None if cluster is None else frame[cluster]
    found += _pair(
        "revenue_per_customer",
        values=revenue,
        earlier=earlier,
        base_value=mean,
        sd=sd,
        reason=reason,
        labels=labels,
    )
    if not orders.mean() > 0:
        return found
    ratio = mean / float(orders.mean())
    variance = ratio_variance(
        mean_numerator=mean,
        mean_denominator=float(orders.mean()),
        variance_numerator=sd**2,
        variance_denominator=float(orders.var(ddof=1)),
        covariance=float(np.cov(revenue, orders)[0, 1]),
    )
    linear_before = None
    if earlier is not None and before is not None and before.mean() > 0:
        linear_before = earlier - earlier.mean() / before.mean() * before
    return found + _pair(
        "average_order_value",
        values=revenue - ratio * orders,
        earlier=linear_before,
        base_value=ratio,
        sd=math.sqrt(variance),
        # A variance that is rounding only is none.
        reason=reason or (say(wording.NO_VARIATION) if variance <= 1e-18 * ratio**2 else ""),
        labels=labels,
    )


def _pair(
    metric: Metric,
    *,
    values: FloatArray,
    earlier: FloatArray | None,
    base_value: float,
    sd: float,
    reason: str,
    labels: pd.Series | None,
) -> list[Sight]:
    correlation = 0.0
    if earlier is not None and not reason and earlier.std() > 0:
        correlation = float(np.corrcoef(values, earlier)[0, 1])
    either = math.nan
    if metric == "conversion" and earlier is not None:
        either = float(np.maximum(values, earlier).mean())
    plain = Sight(
        metric=metric,
        is_adjusted=False,
        correlation=0.0,
        design_effect=_design_effect(values, labels),
        base_value=base_value,
        sd=sd,
        window_correlation=correlation,
        window_either=either,
        reason=reason,
    )
    if earlier is None:
        return [plain]
    if not reason and not earlier.std() > 0:
        reason = say(wording.NO_PRE_VARIATION)
    # A perfect correlation would leave no variance at all: the pre-period is then the outcome.
    bounded = float(np.clip(correlation, -0.999, 0.999))
    return [plain, replace(plain, is_adjusted=True, correlation=bounded, reason=reason)]


def _design_effect(values: FloatArray, labels: pd.Series | None) -> float:
    """Read the design effect of a metric; clusters that are alike by chance never help."""
    if labels is None:
        return 1.0
    correlation = intraclass_correlation(values, labels)
    if not correlation > 0:
        return 1.0
    sizes, _ = cluster_sizes(labels)
    mean = float(sizes.mean())
    return design_effect(mean, correlation, cluster_size_cv=float(sizes.std()) / mean)


def sight_of(sights: Sequence[Sight], metric: Metric) -> Sight:
    """Give a metric without adjustment."""
    return next(sight for sight in sights if sight.metric == metric)


def horizon_frame(
    sights: Sequence[Sight],
    base: Base,
    weeks: float,
    windows: Mapping[float, pd.DataFrame],
    pre_weeks: float | None,
    cluster: str | None,
) -> pd.DataFrame:
    """Give the smallest change by length of the window: seen where given, else projected."""
    seen: dict[float, Sequence[Sight]] = {
        length: read_sights(window, cluster) for length, window in windows.items()
    }
    seen[weeks] = sights
    rows: list[tuple[float, str, bool, float, str]] = [
        (length, s.metric, s.is_adjusted, s.detectable(base).relative, "window")
        for length, every in sorted(seen.items())
        for s in every
    ]
    if pre_weeks == weeks and any(sight.is_adjusted for sight in sights):
        with_pre = {sight.metric for sight in sights if sight.is_adjusted}
        rows += [
            (
                weeks * k,
                s.metric,
                False,
                s.stretched(k).detectable(base).relative,
                "projected",
            )
            for k in HORIZONS
            for s in sights
            if weeks * k > max(seen)
            and weeks * k <= MAX_WEEKS
            and not s.is_adjusted
            and s.metric in with_pre
        ]
    columns = ["weeks", "metric", "is_adjusted", "relative", "source"]
    return pd.DataFrame(rows, columns=columns)


def curve_frame(sights: Sequence[Sight], base: Base) -> pd.DataFrame:
    """Give the smallest change by control share, the base being as it is."""
    shares = sorted({*SHARES, base.share})
    return pd.DataFrame(
        [
            (share, s.metric, s.is_adjusted, s.detectable(base, share=share).relative)
            for s in sights
            for share in shares
        ],
        columns=["control_share", "metric", "is_adjusted", "relative"],
    )


def check_input(
    frame: pd.DataFrame,
    windows: Mapping[float, pd.DataFrame],
    n: int,
    control_share: float,
    weeks: float,
    parts: Mapping[str, float],
    primary: str,
    cluster: str | None,
    pre_weeks: float | None,
) -> None:
    """Report everything that is wrong with the input at once."""
    faults: list[Fault] = []
    if not 0 < control_share < 1:
        faults.append(
            Fault(
                found=_is("control_share", control_share), expected=say("a share between 0 and 1")
            )
        )
    for name, length in (("weeks", weeks), ("pre_weeks", pre_weeks)):
        if length is not None and not (math.isfinite(length) and length > 0):
            faults.append(Fault(found=_is(name, length), expected=say("a number above 0")))
    if not parts or any(not part > 0 for part in parts.values()) or sum(parts.values()) > 1 + 1e-9:
        faults.append(
            Fault(
                found=say("shares are {shares}", shares=dict(parts)),
                expected=say("one or more arms with shares above 0 that add up to at most 1"),
            )
        )
    if primary not in wording.METRIC_LABELS:
        faults.append(
            Fault(
                found=_is("primary", repr(primary)),
                expected=say("one of {words}", words=", ".join(wording.METRIC_LABELS)),
            )
        )
    elif primary != "conversion" and "revenue" not in frame:
        faults.append(
            Fault(
                found=say("primary is {metric} without revenue", metric=repr(primary)),
                expected=say("a column {name}", name="revenue"),
            )
        )
    if n < 4:
        faults.append(
            Fault(
                found=say_many("{count} eligible customer", "{count} eligible customers", n),
                expected=say("at least {least}", least=4),
            )
        )
    for where, window in (("frame", frame), *((f"windows[{w:g}]", f) for w, f in windows.items())):
        faults += _frame_faults(window, where, cluster)
    if faults:
        raise DesignError(faults)


def _frame_faults(frame: pd.DataFrame, where: str, cluster: str | None) -> list[Fault]:
    faults = [
        Fault(
            found=say("no column {name}", name=name),
            expected=say("columns {first} and {second}", first="orders", second=cluster)
            if cluster
            else say("columns {names}", names="orders"),
            where=where,
        )
        for name in ("orders", *((cluster,) if cluster else ()))
        if name not in frame
    ]
    if len(frame) < 2:
        faults.append(
            Fault(
                found=say_many("{count} customer", "{count} customers", len(frame)),
                expected=say("at least {least}", least=2),
                where=where,
            )
        )
    for name in ("orders", "revenue", "pre_orders", "pre_revenue"):
        if name not in frame:
            continue
        if not pd.api.types.is_numeric_dtype(frame[name]):
            faults.append(Fault(found=say("{name} holds no numbers", name=name), where=where))
            continue
        values = frame[name].to_numpy(np.float64, na_value=math.nan)
        bad = int((~np.isfinite(values)).sum())
        if bad:
            faults.append(
                Fault(
                    found=say_many(
                        "{name} is missing or infinite for {count} customer",
                        "{name} is missing or infinite for {count} customers",
                        bad,
                        name=name,
                    ),
                    expected=say("0 for whoever did not buy"),
                    where=where,
                )
            )
        elif name in ("orders", "pre_orders") and values.size and values.min() < 0:
            faults.append(
                Fault(
                    found=say("{name} is negative", name=name),
                    expected=say("counts"),
                    where=where,
                )
            )
    return faults


def _is(name: str, value: object) -> str:
    return say("{name} is {value}", name=name, value=value)
