"""Power and design page: what a control group can see on this base, and what would see more.

Everything is computed from a past window of the same customers, before anything is drawn or sent:
per metric the smallest change that shows, the base and the time that a wanted effect needs, the
curve over the control share, the price of planned looks, and advice where the design is hopeless.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError, Fault
from crm_lab.experiments import design_wording as wording
from crm_lab.stats import (
    Boundary,
    DesignFactors,
    DetectableEffect,
    Mechanism,
    SequentialPlan,
    SimulatedPower,
    cluster_sizes,
    design_effect,
    group_sequential,
    intraclass_correlation,
    minimum_detectable_effect_mean,
    minimum_detectable_effect_proportion,
    minimum_detectable_effect_ratio,
    ratio_variance,
    required_total,
    simulate_power,
)

Metric = Literal["conversion", "revenue_per_customer", "average_order_value"]
Verdict = Literal["enough", "only large effects", "hopeless", "cannot be said"]
FloatArray = NDArray[np.float64]

LIFTS = (0.05, 0.10, 0.20)
"""Relative effects for which the needed base and time are given."""
TARGET = 0.20
"""Relative effect that a good design sees; few campaigns bring more."""
HOPELESS = 0.50
"""Relative effect beyond which hardly any campaign lies."""
SIMULATED_MULTIPLES = (0.0, 0.5, 0.75, 1.0, 1.3, 1.7, 2.3, 3.2, 4.5)
"""Planted effects, as multiples of what the formula promises."""
WORTHWHILE = 0.05
"""Improvement of the detectable effect from which it is worth a sentence."""


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


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Design(Result):
    """What a control group would see on this base, and what would see more.

    Attributes
    ----------
    eligible : int
        Customers who may be contacted.
    control_share : float
        Share held out.
    n_control : int
        Controls.
    arms : mapping
        Customers per treated arm.
    weeks : float
        Length of the outcome window.
    alpha, alpha_per_arm, power : float
        Two-sided error level of all arms, of one, and wanted power.
    primary : str
        Metric of the headline and the advice.
    metrics : tuple of MetricDesign
        One per metric, method and adjustment; of the smallest arm.
    curve : pandas.DataFrame
        Columns control_share, metric, is_adjusted, relative: smallest change by formula.
    horizon : pandas.DataFrame
        Columns weeks, metric, is_adjusted, relative, source (window or projected).
    simulations : tuple of SimulatedPower
        Power on the company's own history; empty without a random generator.
    looks : SequentialPlan or None
        Planned looks.
    advice : tuple of str
        What would see more, most useful first; and what to mind.
    verdict : str
        ``enough``, ``only large effects``, ``hopeless`` or ``cannot be said``.
    currency : str
        Currency of amounts; may be empty.
    """

    title: ClassVar[str] = "What this design can see"
    plotter: ClassVar[str] = "crm_lab.plots.design:plot_design"

    eligible: int
    control_share: float
    n_control: int
    arms: Mapping[str, int]
    weeks: float
    alpha: float
    alpha_per_arm: float
    power: float
    primary: Metric
    metrics: tuple[MetricDesign, ...]
    curve: pd.DataFrame
    horizon: pd.DataFrame
    simulations: tuple[SimulatedPower, ...]
    looks: SequentialPlan | None
    advice: tuple[str, ...]
    verdict: Verdict
    currency: str

    def metric(
        self, name: Metric, *, method: str = "formula", adjusted: bool = False
    ) -> MetricDesign:
        """Give one metric by name.

        Raises
        ------
        DesignError
            The design does not hold it.
        """
        for row in self.metrics:
            if (row.metric, row.method, row.is_adjusted) == (name, method, adjusted):
                return row
        raise DesignError(
            f"the design holds no {name} by {method}{', adjusted' if adjusted else ''}",
            expected=formats.listing(_row_name(row) for row in self.metrics),
        )

    def sentence(self) -> str:
        """Say what would show, and the way out where that is hopeless."""
        effect = self.metric(self.primary).detectable
        metric = wording.METRIC_LABELS[self.primary]
        control = formats.number(self.n_control)
        if effect.reason:
            return wording.HEADLINE_NONE.format(
                control=control, metric=metric, reason=effect.reason
            )
        good = self.verdict == "enough"
        headline = (wording.HEADLINE_GOOD if good else wording.HEADLINE_POOR).format(
            control=control,
            detectable=wording.lift_words(effect.relative),
            metric=metric,
            base=wording.base_words(self.primary, effect.base_value, self.currency),
            weeks=wording.weeks_words(self.weeks),
            power=formats.percent(self.power, decimals=0),
        )
        return f"{headline} {wording.ENOUGH if good else self._next_step(effect)}"

    def number(self) -> str:
        """Give the smallest change of the primary metric that shows."""
        effect = self.metric(self.primary).detectable
        return "" if effect.reason else f"{wording.lift_words(effect.relative)}"

    def to_frame(self) -> pd.DataFrame:
        """Give one row per metric, method and adjustment, in long form."""
        return pd.DataFrame([_long_row(row) for row in self.metrics])

    def card_frame(self) -> pd.DataFrame:
        """Give the table for people."""
        return pd.DataFrame(
            [
                {
                    "metric": wording.METRIC_LABELS[row.metric]
                    + (", adjusted by pre-period" if row.is_adjusted else ""),
                    "by": wording.METHOD_LABELS[row.method],
                    "base value": wording.base_words(row.metric, row.detectable.base_value, self.currency),
                    "smallest change that shows": wording.lift_words(row.detectable.relative)
                    if not row.detectable.reason
                    else row.detectable.reason,
                    **{
                        f"base for {wording.lift_words(lift)}": formats.number(wording.rounded_up(size))
                        for lift, size in row.required
                    },
                }
                for row in self.metrics
            ]
        )

    def advice_frame(self) -> pd.DataFrame:
        """Give the advice, one sentence a row."""
        return pd.DataFrame({"advice": list(self.advice)})

    def _next_step(self, effect: DetectableEffect) -> str:
        share, best = _share_that_sees(self.curve, self.primary, self.control_share)
        campaigns = _campaigns(effect.relative)
        if math.isfinite(share):
            return wording.NEXT_SHARE.format(
                share=formats.percent(share, decimals=0),
                campaigns=campaigns,
                target=wording.lift_words(TARGET),
            )
        return wording.NEXT_POOL.format(
            target=wording.lift_words(TARGET),
            best=wording.lift_words(best),
            campaigns=campaigns,
            fewer=_pool(best) if math.isfinite(best) else formats.CANNOT_TELL,
        )


def design(
    frame: pd.DataFrame,
    *,
    control_share: float,
    weeks: float,
    eligible: int | None = None,
    shares: Mapping[str, float] | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
    primary: Metric = "conversion",
    windows: Mapping[float, pd.DataFrame] | None = None,
    pre_weeks: float | None = None,
    newcomers_per_week: float = 0.0,
    cluster: str | None = None,
    looks: int | Sequence[float] | None = None,
    boundary: Boundary = "lan_demets_obrien_fleming",
    rng: np.random.Generator | None = None,
    replicates: int = 400,
    permutations: int = 400,
    currency: str = "",
    progress: bool = False,
) -> Design:
    """Say what a control group would see, before anything is drawn.

    Parameters
    ----------
    frame : pandas.DataFrame
        A past window as long as the experiment, one row per customer, buyers or not: ``orders``;
        with ``revenue`` also revenue per customer and average order value; with ``pre_orders``
        and ``pre_revenue`` also the adjustment by the window before it.
    control_share : float
        Share of the eligible customers to be held out, between 0 and 1.
    weeks : float
        Length of the window.
    eligible : int, optional
        Customers who may be contacted; by default as many as ``frame`` has rows.
    shares : mapping, optional
        Share of the customers outside the control per treated arm, adding up to at most 1; one
        arm with all of them by default. Every arm is compared with the control, and alpha is
        divided by their number.
    alpha, power : float
        Two-sided error level and wanted power.
    primary : str
        Metric of the headline and the advice.
    windows : mapping, optional
        Past windows of other lengths in weeks, for the curve over the horizon.
    pre_weeks : float, optional
        Length of the pre-period. When it equals ``weeks``, the two windows say how far variance
        falls when the window grows, and longer ones are projected.
    newcomers_per_week : float
        Customers who become eligible each week.
    cluster : str, optional
        Column with the household or shop that is assigned as a whole.
    looks : int or sequence of float, optional
        Planned looks (see `group_sequential`).
    boundary : str
        Shape of their bounds.
    rng : numpy.random.Generator, optional
        Source of the simulation of revenue on this history; without one there is none.
    replicates, permutations : int
        Of the simulation (see `simulate_power`).
    currency : str
        Currency of ``revenue``.
    progress : bool
        Whether to show a progress bar on standard error.

    Returns
    -------
    Design
        A card with the headline, the table and the advice.

    Raises
    ------
    DesignError
        Columns are missing or hold no numbers, or an argument is out of range; all at once.

    Notes
    -----
    Formulas are those of `crm_lab.stats`; adjustment multiplies the variance by ``1 - rho^2``,
    clusters by their design effect, looks by their inflation. Average order value is a ratio of
    means over all assigned customers. Simulated rows with adjustment or clusters are the
    simulated ones scaled by the formula's factor. Required bases of simulated rows scale with the
    squared effect, which is too much for large bases, where the formula becomes right.

    Projection to ``k`` windows: the variance of a sum of exchangeable windows with correlation
    ``rho``, ``k s^2 (1 + (k - 1) rho)``; for buyers a beta distribution of the customers' chances
    fitted to those who bought in one window and in either of two (a beta-geometric model). It
    knows neither seasons nor customers who leave.

    Examples
    --------
    >>> shop = pd.DataFrame({"orders": [1] * 300 + [0] * 2_700})
    >>> print(design(shop, control_share=0.05, weeks=4).sentence())
    With 150 control customers only a change of about +85 % in the share who buy would show (base
    value 10.0 %, 4 weeks, 80 % probability). No control share reaches +20 % on this base (half and
    half sees +33 %): pool 19 campaigns, or 3 with half held out.
    """
    n = len(frame) if eligible is None else eligible
    parts = dict(shares) if shares is not None else {"treatment": 1.0}
    check_input(frame, windows or {}, n, control_share, weeks, parts, primary, cluster, pre_weeks)
    if not (math.isfinite(newcomers_per_week) and newcomers_per_week >= 0):
        raise DesignError(
            f"newcomers_per_week is {newcomers_per_week}", expected="a number of 0 or more"
        )
    n_control = round(n * control_share)
    arms = {arm: round((n - n_control) * part) for arm, part in parts.items()}
    if n_control < 2 or min(arms.values()) < 2:
        raise DesignError(
            f"{n:,} customers give {n_control:,} controls and arms of"
            f" {formats.listing(f'{size:,}' for size in arms.values())}",
            expected="at least two customers in the control and in every arm",
        )
    base = Base(
        n=n,
        share=control_share,
        smallest=min(parts.values()),
        comparisons=len(parts),
        alpha=alpha,
        power=power,
    )
    plan = (
        None
        if looks is None
        else group_sequential(looks, alpha=alpha / len(parts), power=power, boundary=boundary)
    )
    sights = read_sights(frame, cluster)
    horizon = horizon_frame(sights, base, weeks, windows or {}, pre_weeks, cluster)
    rows = [_formula_row(sight, base, plan, horizon, weeks, newcomers_per_week) for sight in sights]
    simulations: list[SimulatedPower] = []
    if rng is not None and "revenue" in frame:
        simulations, simulated = _simulated_rows(
            frame, sights, rows, base, rng, replicates, permutations, progress
        )
        rows += simulated
    curve = curve_frame(sights, base)
    draft = Design(
        eligible=n,
        control_share=control_share,
        n_control=n_control,
        arms=arms,
        weeks=weeks,
        alpha=alpha,
        alpha_per_arm=alpha / len(parts),
        power=power,
        primary=primary,
        metrics=tuple(rows),
        curve=curve,
        horizon=horizon,
        simulations=tuple(simulations),
        looks=plan,
        advice=(),
        verdict=_verdict(sight_of(sights, primary), sight_of(sights, primary).detectable(base)),
        currency=currency,
    )
    return replace(draft, advice=tuple(_advice(draft, sights, base)))


def _formula_row(
    sight: Sight,
    base: Base,
    plan: SequentialPlan | None,
    horizon: pd.DataFrame,
    weeks: float,
    newcomers: float,
) -> MetricDesign:
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


def _simulated_rows(
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
    reason = plain.detectable.reason or (wording.NEGATIVE_REVENUE if revenue.min() < 0 else "")
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
        why = reason or (wording.EVERYBODY_BOUGHT if simulated is None else "")
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
        method += wording.SCALED.format(words=factors.words)
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


def _verdict(sight: Sight, effect: DetectableEffect) -> Verdict:
    if sight.reason:
        return "cannot be said"
    if effect.reason:
        return "hopeless"
    if effect.relative <= TARGET:
        return "enough"
    return "only large effects" if effect.relative <= HOPELESS else "hopeless"


def _advice(made: Design, sights: Sequence[Sight], base: Base) -> list[str]:
    """Say what would see more, where the primary metric sees too little; and what to mind."""
    row = made.metric(made.primary)
    now, metric = row.detectable.relative, wording.METRIC_LABELS[made.primary]
    found: list[str] = []
    if made.verdict in ("only large effects", "hopeless") and math.isfinite(now):
        share, best = _share_that_sees(made.curve, made.primary, made.control_share)
        if math.isfinite(share):
            found.append(
                wording.LARGER_SHARE.format(
                    share=formats.percent(share, decimals=0), target=wording.lift_words(TARGET)
                )
            )
        elif best < now * (1 - WORTHWHILE):
            fifth = min(0.2, 2 * made.control_share) if made.control_share < 0.2 else 0.5
            found.append(
                wording.LARGER_SHARE_PART.format(
                    target=wording.lift_words(TARGET),
                    share=formats.percent(fifth, decimals=0),
                    better=wording.lift_words(
                        sight_of(sights, made.primary).detectable(base, share=fifth).relative
                    ),
                    best=wording.lift_words(best),
                )
            )
        found.append(
            wording.POOLING.format(
                campaigns=_campaigns(now), target=wording.lift_words(TARGET), detectable=wording.lift_words(now)
            )
        )
        found += _longer(made, now)
        if made.primary != "conversion":
            dense = made.metric("conversion").detectable
            if dense.relative < now * (1 - WORTHWHILE):
                found.append(
                    wording.DENSER.format(
                        dense=wording.METRIC_LABELS["conversion"],
                        dense_detectable=wording.lift_words(dense.relative),
                        metric=metric,
                        detectable=wording.lift_words(now),
                    )
                )
        if base.comparisons > 1:
            alone = replace(base, comparisons=1, smallest=1.0)
            found.append(
                wording.COMPARISONS.format(
                    arms=base.comparisons,
                    detectable=wording.lift_words(sight_of(sights, made.primary).detectable(alone).relative),
                    metric=metric,
                    now=wording.lift_words(now),
                )
            )
    if made.verdict != "enough":
        found += _pre_period(made)
    found += _mind(made)
    return found


def _longer(made: Design, now: float) -> list[str]:
    rows = made.horizon
    rows = rows[(rows["metric"] == made.primary) & ~rows["is_adjusted"].astype(bool)]
    rows = rows[(rows["weeks"] > made.weeks) & (rows["relative"] < now * (1 - WORTHWHILE))]
    if rows.empty:
        return []
    enough = rows[rows["relative"] <= TARGET]
    chosen = (enough if not enough.empty else rows.sort_values("weeks").tail(1)).iloc[0]
    text = wording.LONGER if chosen["source"] == "window" else wording.LONGER_PROJECTED
    return [
        text.format(
            weeks=wording.weeks_words(float(chosen["weeks"])),
            now=wording.weeks_words(made.weeks),
            better=wording.lift_words(float(chosen["relative"])),
        )
    ]


def _pre_period(made: Design) -> list[str]:
    """Say what the adjustment brings, for the metric that gains most."""
    adjusted = [
        row
        for row in made.metrics
        if row.is_adjusted and row.method == "formula" and not row.detectable.reason
    ]
    if not adjusted:
        return []
    row = max(adjusted, key=lambda each: abs(each.correlation))
    plain = made.metric(row.metric).detectable.relative
    gains = row.detectable.relative < plain * (1 - WORTHWHILE)
    return [
        (wording.PRE_PERIOD if gains else wording.PRE_PERIOD_NOTHING).format(
            metric=wording.METRIC_LABELS[row.metric],
            correlation=formats.number(row.correlation, decimals=2),
            better=wording.lift_words(row.detectable.relative),
            detectable=wording.lift_words(plain),
        )
    ]


def _mind(made: Design) -> list[str]:
    """Say where the formula is too hopeful, and what the looks cost."""
    found = []
    simulated = [r for r in made.metrics if r.method != "formula" and not r.is_adjusted]
    if any(row.metric == "revenue_per_customer" for row in made.metrics):
        formula = made.metric("revenue_per_customer").detectable
        worse = [
            row
            for row in simulated
            if row.detectable.reason or row.detectable.relative > 1.1 * formula.relative
        ]
        if not simulated:
            found.append(wording.NOT_SIMULATED)
        elif worse and not formula.reason and made.simulations:
            needs = [
                (wording.SIMULATED_NONE if row.detectable.reason else wording.SIMULATED).format(
                    detectable=wording.lift_words(row.detectable.relative),
                    how=row.method.removeprefix("simulation, "),
                )
                for row in simulated
            ]
            found.append(
                wording.FORMULA.format(
                    formula=wording.lift_words(formula.relative), simulated=" or ".join(needs)
                )
            )
    row = made.metric(made.primary)
    if made.looks is not None and math.isfinite(row.relative_with_looks):
        found.append(
            wording.LOOKS.format(
                metric=wording.METRIC_LABELS[made.primary],
                with_looks=wording.lift_words(row.relative_with_looks, decimals=1),
                detectable=wording.lift_words(row.detectable.relative, decimals=1),
            )
        )
    return found


def _share_that_sees(curve: pd.DataFrame, metric: Metric, share: float) -> tuple[float, float]:
    """Give the smallest larger share that sees the target (or NaN), and what half sees."""
    rows = curve[(curve["metric"] == metric) & ~curve["is_adjusted"].astype(bool)]
    rows = rows[rows["control_share"] >= share].sort_values("control_share")
    best = float(rows["relative"].min())
    enough = rows[rows["relative"] <= TARGET]
    if enough.empty:
        return math.nan, best
    return math.ceil(100 * float(enough["control_share"].iloc[0]) - 1e-9) / 100, best


def _row_name(row: MetricDesign) -> str:
    return f"{row.metric} by {row.method}{', adjusted' if row.is_adjusted else ''}"


def _long_row(row: MetricDesign) -> dict[str, object]:
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


