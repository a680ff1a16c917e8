"""Power and design page: what a control group can see on this base, and what would see more.

Everything is computed from a past window of the same customers, before anything is drawn or sent:
per metric the smallest change that shows, the base and the time that a wanted effect needs, the
curve over the control share, the price of planned looks, and advice where the design is hopeless.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from crm_lab import formats
from crm_lab.errors import DesignError
from crm_lab.experiments import design_wording as wording
from crm_lab.experiments.design_results import TARGET, Design, Verdict, _share_that_sees
from crm_lab.experiments.design_rows import (
    formula_row,
    simulated_rows,
)
from crm_lab.experiments.design_sights import (
    Base,
    Metric,
    Sight,
    check_input,
    curve_frame,
    horizon_frame,
    read_sights,
    sight_of,
)
from crm_lab.language import grouped, say, word
from crm_lab.stats import (
    Boundary,
    DetectableEffect,
    SimulatedPower,
    group_sequential,
)

HOPELESS = 0.50
"""Relative effect beyond which hardly any campaign lies."""
WORTHWHILE = 0.05
"""Improvement of the detectable effect from which it is worth a sentence."""


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
    windows: Mapping[int, pd.DataFrame] | Mapping[float, pd.DataFrame] | None = None,
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
    half sees +33 %): pool 14 campaigns like it, or 3 with half held out.
    """
    n = len(frame) if eligible is None else eligible
    others = {float(length): window for length, window in (windows or {}).items()}
    parts = dict(shares) if shares is not None else {"treatment": 1.0}
    check_input(frame, others, n, control_share, weeks, parts, primary, cluster, pre_weeks)
    if not (math.isfinite(newcomers_per_week) and newcomers_per_week >= 0):
        raise DesignError(
            say("{name} is {value}", name="newcomers_per_week", value=newcomers_per_week),
            expected=say("a number of 0 or more"),
        )
    n_control = round(n * control_share)
    arms = {arm: round((n - n_control) * part) for arm, part in parts.items()}
    if n_control < 2 or min(arms.values()) < 2:
        raise DesignError(
            say(
                "{customers} customers give {controls} controls and arms of {sizes}",
                customers=grouped(n),
                controls=grouped(n_control),
                sizes=formats.listing(grouped(size) for size in arms.values()),
            ),
            expected=say("at least two customers in the control and in every arm"),
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
    horizon = horizon_frame(sights, base, weeks, others, pre_weeks, cluster)
    rows = [formula_row(sight, base, plan, horizon, weeks, newcomers_per_week) for sight in sights]
    simulations: list[SimulatedPower] = []
    if rng is not None and "revenue" in frame:
        simulations, simulated = simulated_rows(
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
        campaigns=_campaigns(sight_of(sights, primary), base),
        campaigns_half=_campaigns(sight_of(sights, primary), replace(base, share=0.5)),
        verdict=_verdict(sight_of(sights, primary), sight_of(sights, primary).detectable(base)),
        currency=currency,
    )
    return replace(draft, advice=tuple(_advice(draft, sights, base)))


def _campaigns(sight: Sight, base: Base) -> float:
    required = sight.required_base(base, TARGET)
    return math.ceil(required / base.n) if math.isfinite(required) else math.nan


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
    now, metric = row.detectable.relative, say(wording.METRIC_LABELS[made.primary])
    found: list[str] = []
    if made.verdict in ("only large effects", "hopeless") and math.isfinite(now):
        share, best = _share_that_sees(made.curve, made.primary, made.control_share)
        if math.isfinite(share):
            found.append(
                say(
                    wording.LARGER_SHARE,
                    share=formats.percent(share, decimals=0),
                    target=wording.lift_words(TARGET),
                )
            )
        elif best < now * (1 - WORTHWHILE):
            fifth = min(0.2, 2 * made.control_share) if made.control_share < 0.2 else 0.5
            found.append(
                say(
                    wording.LARGER_SHARE_PART,
                    target=wording.lift_words(TARGET),
                    share=formats.percent(fifth, decimals=0),
                    better=wording.lift_words(
                        sight_of(sights, made.primary).detectable(base, share=fifth).relative
                    ),
                    best=wording.lift_words(best),
                )
            )
        if math.isfinite(made.campaigns):
            campaigns = wording.campaigns_words(made.campaigns)
            target = wording.lift_words(TARGET)
            found.append(say(wording.POOLING, campaigns=campaigns, target=target))
        found += _longer(made, now)
        if made.primary != "conversion":
            dense = made.metric("conversion").detectable
            if dense.relative < now * (1 - WORTHWHILE):
                found.append(
                    say(
                        wording.DENSER,
                        dense=say(wording.METRIC_LABELS["conversion"]),
                        dense_detectable=wording.lift_words(dense.relative),
                        metric=metric,
                        detectable=wording.lift_words(now),
                    )
                )
        if base.comparisons > 1:
            alone = replace(base, comparisons=1, smallest=1.0)
            found.append(
                say(
                    wording.COMPARISONS,
                    arms=base.comparisons,
                    detectable=wording.lift_words(
                        sight_of(sights, made.primary).detectable(alone).relative
                    ),
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
        say(
            text,
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
        say(
            wording.PRE_PERIOD if gains else wording.PRE_PERIOD_NOTHING,
            metric=say(wording.METRIC_LABELS[row.metric]),
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
            found.append(say(wording.NOT_SIMULATED))
        elif worse and not formula.reason and made.simulations:
            needs = [
                say(
                    wording.SIMULATED_NONE if row.detectable.reason else wording.SIMULATED,
                    detectable=wording.lift_words(row.detectable.relative),
                    how=word(row.method.removeprefix("simulation, ")),
                )
                for row in simulated
            ]
            found.append(
                say(
                    wording.FORMULA,
                    formula=wording.lift_words(formula.relative),
                    simulated=say(" or ").join(needs),
                )
            )
    row = made.metric(made.primary)
    if made.looks is not None and math.isfinite(row.relative_with_looks):
        places = 1 if row.detectable.relative >= 0.1 else 2
        found.append(
            say(
                wording.LOOKS,
                metric=say(wording.METRIC_LABELS[made.primary]),
                with_looks=wording.lift_words(row.relative_with_looks, decimals=places),
                detectable=wording.lift_words(row.detectable.relative, decimals=places),
            )
        )
    return found
