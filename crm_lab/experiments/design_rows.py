"""What a design can see in one metric by one method: by formula, or on the company's history."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from crm_lab.experiments import design_wording as wording
from crm_lab.experiments.design_sights import Base, Metric, Sight
from crm_lab.language import say
from crm_lab.stats import (
    DetectableEffect,
    Mechanism,
    SequentialPlan,
    SimulatedPower,
    simulate_power,
)

LIFTS = (0.05, 0.10, 0.20)
"""Relative effects for which the needed base and time are given."""
SIMULATED_MULTIPLES = (0.0, 0.5, 0.75, 1.0, 1.3, 1.7, 2.3, 3.2, 4.5)
"""Planted effects, as multiples of what the formula promises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDesign:
    """What the design can see in one metric by one method.

    Attributes
    ----------
    metric : str
        ``conversion``, ``revenue_per_customer`` or ``average_order_value``.
    method : str
        ``formula``, or ``simulation`` with how the effect came about.
    is_adjusted : bool
        Whether by the pre-period.
    correlation : float
        Correlation with the pre-period that the adjustment uses; 0 without.
    design_effect : float
        Factor on the variance from clusters; 1 without.
    detectable : DetectableEffect
        Smallest change that shows, with the reason where there is none.
    relative_with_looks : float
        The same with the planned looks; NaN without looks.
    required : tuple of (float, float)
        Eligible customers needed (control, every arm and the rest) per relative effect; NaN when
        no base is large enough.
    weeks_newcomers : tuple of (float, float)
        Weeks until so many customers have come, plus the window, per relative effect; NaN when
        nobody comes.
    weeks_window : tuple of (float, float)
        Length of the window that shows the effect on this base, per relative effect, from the
        windows given and the projection; NaN when none within them does.
    """

    metric: Metric
    method: str
    is_adjusted: bool
    correlation: float
    design_effect: float
    detectable: DetectableEffect
    relative_with_looks: float
    required: tuple[tuple[float, float], ...]
    weeks_newcomers: tuple[tuple[float, float], ...]
    weeks_window: tuple[tuple[float, float], ...]


def formula_row(
    sight: Sight,
    base: Base,
    plan: SequentialPlan | None,
    horizon: pd.DataFrame,
    weeks: float,
    newcomers: float,
) -> MetricDesign:
    """Read one metric by formula."""
    required = tuple((lift, sight.required_base(base, lift)) for lift in LIFTS)
    curve = horizon[
        (horizon["metric"] == sight.metric) & (horizon["is_adjusted"] == sight.is_adjusted)
    ]
    with_looks = math.nan
    if plan is not None:
        with_looks = sight.detectable(base, inflation=plan.inflation).relative
    return MetricDesign(
        metric=sight.metric,
        method="formula",
        is_adjusted=sight.is_adjusted,
        correlation=sight.correlation,
        design_effect=sight.design_effect,
        detectable=sight.detectable(base),
        relative_with_looks=with_looks,
        required=required,
        weeks_newcomers=tuple(
            (lift, _weeks_newcomers(size, base.n, newcomers, weeks)) for lift, size in required
        ),
        weeks_window=tuple((lift, _weeks_window(curve, lift)) for lift in LIFTS),
    )


def _weeks_newcomers(required: float, n: int, per_week: float, weeks: float) -> float:
    missing = required - n
    if not missing > 0:
        return weeks if math.isfinite(missing) else math.nan
    return weeks + missing / per_week if per_week > 0 else math.nan


def _weeks_window(curve: pd.DataFrame, lift: float) -> float:
    """Find where the curve over the horizon falls to ``lift``, between its points."""
    known = curve.dropna(subset=["relative"]).sort_values("weeks")
    weeks, relative = known["weeks"].to_numpy(np.float64), known["relative"].to_numpy(np.float64)
    below = np.flatnonzero(relative <= lift)
    if below.size == 0:
        return math.nan
    first = int(below[0])
    if first == 0:
        return float(weeks[0])
    part = (relative[first - 1] - lift) / (relative[first - 1] - relative[first])
    return float(weeks[first - 1] + part * (weeks[first] - weeks[first - 1]))


def simulated_rows(
    frame: pd.DataFrame,
    sights: Sequence[Sight],
    formula: Sequence[MetricDesign],
    base: Base,
    rng: np.random.Generator,
    replicates: int,
    permutations: int,
    progress: bool,
) -> tuple[list[SimulatedPower], list[MetricDesign]]:
    """Simulate the default revenue test on this history, by both mechanisms."""
    revenue = frame["revenue"].to_numpy(np.float64)
    ours = [sight for sight in sights if sight.metric == "revenue_per_customer"]
    plain = next(row for row in formula if row.metric == "revenue_per_customer")
    promised = plain.detectable.relative / math.sqrt(plain.design_effect)
    reason = plain.detectable.reason or (say(wording.NEGATIVE_REVENUE) if revenue.min() < 0 else "")
    found: list[SimulatedPower] = []
    rows: list[MetricDesign] = []
    n_t, n_c = base.sizes(base.share)
    mechanisms: tuple[Mechanism, ...] = ("more buyers", "larger spend")
    for how in mechanisms:
        simulated = None
        if not reason:
            limit = 1 / float((revenue > 0).mean()) - 1 if how == "more buyers" else math.inf
            effects = sorted({min(promised * m, limit) for m in SIMULATED_MULTIPLES})
            if len(effects) > 1:
                simulated = simulate_power(
                    revenue,
                    n_treatment=n_t,
                    n_control=n_c,
                    effects=effects,
                    how=how,
                    alpha=base.alpha / base.comparisons,
                    power=base.power,
                    rng=rng,
                    replicates=replicates,
                    permutations=permutations,
                    progress=progress,
                )
                found.append(simulated)
        why = reason or (say(wording.EVERYBODY_BOUGHT) if simulated is None else "")
        rows += [_simulated_row(sight, simulated, promised, base, how, why) for sight in ours]
    return found, rows


def _simulated_row(
    sight: Sight,
    simulated: SimulatedPower | None,
    promised: float,
    base: Base,
    how: Mechanism,
    reason: str,
) -> MetricDesign:
    reason = reason or sight.reason or (simulated.reason if simulated else "")
    factors = replace(sight.factors(base), comparisons=1)
    raw = simulated.detectable if simulated is not None else math.nan
    relative = math.nan if reason else raw * math.sqrt(factors.variance)
    n_t, n_c = base.sizes(base.share)
    method = simulated.method if simulated is not None else "simulation"
    if factors.words:
        method += say(wording.SCALED, words=factors.words)
    stretch = (raw / promised) ** 2
    required = tuple(
        (lift, math.nan if reason else sight.required_base(base, lift, stretch=stretch))
        for lift in LIFTS
    )
    unknown = tuple((lift, math.nan) for lift in LIFTS)
    return MetricDesign(
        metric=sight.metric,
        method=f"simulation, {how}",
        is_adjusted=sight.is_adjusted,
        correlation=sight.correlation,
        design_effect=sight.design_effect,
        detectable=DetectableEffect(
            base_value=sight.base_value,
            absolute=relative * sight.base_value,
            relative=relative,
            n_treatment=n_t,
            n_control=n_c,
            alpha=base.alpha / base.comparisons,
            power=base.power,
            method=method,
            reason=reason,
        ),
        relative_with_looks=math.nan,
        required=required,
        weeks_newcomers=unknown,
        weeks_window=unknown,
    )


def row_name(row: MetricDesign) -> str:
    """Name a row for a message."""
    return f"{row.metric} by {row.method}{', adjusted' if row.is_adjusted else ''}"


def long_row(row: MetricDesign) -> dict[str, object]:
    """Give a row in long form."""
    effect = row.detectable
    return {
        "metric": row.metric,
        "method": row.method,
        "adjusted": row.is_adjusted,
        "correlation": row.correlation,
        "design_effect": row.design_effect,
        "base_value": effect.base_value,
        "n_treatment": effect.n_treatment,
        "n_control": effect.n_control,
        "absolute": effect.absolute,
        "relative": effect.relative,
        "relative_with_looks": row.relative_with_looks,
        **{f"required_{lift:.0%}": size for lift, size in row.required},
        **{f"weeks_newcomers_{lift:.0%}": weeks for lift, weeks in row.weeks_newcomers},
        **{f"weeks_window_{lift:.0%}": weeks for lift, weeks in row.weeks_window},
        "note": effect.method,
        "reason": effect.reason,
    }
