"""Plots of the power and design page."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from scipy import special

from crm_lab import formats
from crm_lab.experiments import design_wording as wording
from crm_lab.experiments.design_results import Design
from crm_lab.language import say, word
from crm_lab.plots.axes import legend_below, localise_axes
from crm_lab.plots.palette import CONTROL, PALE, TREATED, ZERO
from crm_lab.stats import SequentialPlan, SimulatedPower

_COLOURS = dict(zip(wording.METRIC_LABELS, TREATED, strict=False))
_MARKERS = {"simulation, more buyers": "^", "simulation, larger spend": "s"}
_SHARE_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_HIGHEST = 2.0
"""The axis ends at this multiple of what the plan sees: tiny controls would squeeze the rest."""


def plot_design(design: Design, *, ax: Axes | None = None) -> Axes:
    """Draw the smallest change that shows by control share, the plan's share marked.

    Conversion and revenue per customer by formula (adjusted dashed), and at the plan's share what
    the simulation found for revenue.

    Parameters
    ----------
    design : Design
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = ax or _axes(height=4.4)
    curve = design.curve[design.curve["metric"].isin(["conversion", "revenue_per_customer"])]
    _draw_curves(ax, curve)
    shown: list[float] = []
    for row in design.metrics:
        marker = _MARKERS.get(row.method)
        if marker is None or row.is_adjusted or not math.isfinite(row.detectable.relative):
            continue
        ax.plot(
            [design.control_share],
            [100 * row.detectable.relative],
            marker,
            color=_COLOURS[row.metric],
            markersize=8,
            linestyle="none",
            label=", ".join(
                (say(wording.METRIC_LABELS[row.metric]), say(wording.METHOD_LABELS[row.method]))
            ),
        )
        shown.append(100 * row.detectable.relative)
    ax.axvline(design.control_share, color=CONTROL, linewidth=2)
    ax.annotate(
        say(wording.PLOT_THIS_PLAN),
        (design.control_share, 0.02),
        xycoords=("data", "axes fraction"),
        xytext=(5, 0),
        textcoords="offset points",
        color=ZERO,
    )
    ax.set_xscale("log")
    ax.set_xticks(_SHARE_TICKS, [f"{tick:.0%}" for tick in _SHARE_TICKS])
    ax.minorticks_off()
    at_plan = curve.loc[curve["control_share"] == design.control_share, "relative"]
    shown += list(_HIGHEST * 100 * at_plan.dropna())
    ax.set_xlabel(say(wording.PLOT_SHARE_X))
    ax.set_ylabel(say(wording.PLOT_CHANGE_Y))
    ax.set_title(say(wording.PLOT_SHARE_TITLE), loc="left")
    _finish(ax, top=1.1 * max(shown) if shown else math.nan)
    if ax.get_legend() is not None:
        # Six entries would cover the curves: they stand under the axis.
        legend_below(ax)
    return ax


def plot_horizon(design: Design, *, ax: Axes | None = None) -> Axes:
    """Draw the smallest change that shows by length of the window; projections dashed.

    Parameters
    ----------
    design : Design
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = ax or _axes()
    rows = design.horizon[~design.horizon["is_adjusted"].astype(bool)].dropna(subset=["relative"])
    for metric, part in rows.groupby("metric", sort=False):
        label, colour = say(wording.METRIC_LABELS[str(metric)]), _COLOURS[str(metric)]
        ordered = part.sort_values("weeks")
        seen = ordered[ordered["source"] == "window"]
        ahead = ordered[ordered["source"] == "projected"]
        ax.plot(seen["weeks"], 100 * seen["relative"], "o-", color=colour, label=label)
        if not ahead.empty:
            joined = pd.concat([seen.tail(1), ahead])
            ax.plot(
                joined["weeks"],
                100 * joined["relative"],
                "--",
                color=colour,
                label=say(wording.PLOT_PROJECTED, metric=label),
            )
    ax.axvline(design.weeks, color=CONTROL, linewidth=2)
    ax.set_xlabel(say(wording.PLOT_HORIZON_X))
    ax.set_ylabel(say(wording.PLOT_CHANGE_Y))
    ax.set_title(say(wording.PLOT_HORIZON_TITLE), loc="left")
    return _finish(ax, top=110 * float(rows["relative"].max()) if len(rows) else math.nan)


def plot_simulated_power(simulated: SimulatedPower, *, ax: Axes | None = None) -> Axes:
    """Draw how often a planted effect was found, with Monte Carlo intervals.

    Parameters
    ----------
    simulated : SimulatedPower
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = ax or _axes()
    table = simulated.to_frame()
    power = 100 * table["power"].to_numpy(np.float64)
    ends = np.array([power - 100 * table["low"], 100 * table["high"] - power])
    ax.errorbar(
        100 * table["effect"],
        power,
        yerr=np.maximum(ends, 0.0),
        fmt="o-",
        color=TREATED[1],
        capsize=3,
        label=say("{how} (95 % Monte Carlo interval)", how=word(simulated.how)),
    )
    ax.axhline(100 * simulated.power, color=ZERO, linestyle=":", label=say(wording.PLOT_WANTED))
    if math.isfinite(simulated.detectable):
        ax.axvline(100 * simulated.detectable, color=PALE, linewidth=3, zorder=0)
        ax.annotate(
            wording.lift_words(simulated.detectable),
            (100 * simulated.detectable, 2),
            xytext=(5, 0),
            textcoords="offset points",
            color=ZERO,
        )
    ax.set_xlabel(say(wording.PLOT_POWER_X))
    ax.set_ylabel(say(wording.PLOT_POWER_Y))
    ax.set_title(say(wording.PLOT_POWER_TITLE), loc="left")
    return _finish(ax, top=102.0)


def plot_sequential(plan: SequentialPlan, *, ax: Axes | None = None) -> Axes:
    """Draw the bounds by look, beside the bound of a single look at the end.

    Parameters
    ----------
    plan : SequentialPlan
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = ax or _axes()
    information = 100 * np.asarray(plan.information)
    bounds = np.asarray(plan.bounds)
    bounds = np.where(np.isfinite(bounds), bounds, math.nan)
    signs = (1.0, -1.0) if plan.sides == 2 else (1.0,)
    fixed = -float(special.ndtri(plan.alpha / plan.sides))
    for sign in signs:
        label = say(wording.PLOT_LOOKS_BOUND) if sign > 0 else None
        ax.plot(information, sign * bounds, "o-", color=TREATED[0], label=label)
        ax.axhline(
            sign * fixed,
            color=ZERO,
            linestyle=":",
            label=say(wording.PLOT_LOOKS_FIXED) if sign > 0 else None,
        )
    for x, bound in zip(information, bounds, strict=True):
        if math.isfinite(bound) and len(information) <= 10:
            ax.annotate(
                formats.number(bound, decimals=2),
                (x, bound),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                color=ZERO,
            )
    ax.axhline(0, color=CONTROL, linewidth=2)
    ax.margins(x=0.07, y=0.12)
    ax.set_xlabel(say(wording.PLOT_LOOKS_X))
    ax.set_ylabel(say(wording.PLOT_LOOKS_Y))
    ax.set_title(say(wording.PLOT_LOOKS_TITLE), loc="left")
    ax.legend(frameon=False, fontsize="small")
    return _clean(ax)


def _draw_curves(ax: Axes, curve: pd.DataFrame) -> None:
    """Draw one line per metric and adjustment."""
    for (metric, adjusted), part in curve.groupby(["metric", "is_adjusted"], sort=False):
        known = part.dropna(subset=["relative"])
        if known.empty:
            continue
        ax.plot(
            known["control_share"],
            100 * known["relative"],
            "--" if adjusted else "-",
            color=_COLOURS[str(metric)],
            linewidth=1.4 if adjusted else 2.2,
            label=say(
                wording.PLOT_ADJUSTED if adjusted else wording.PLOT_BY_FORMULA,
                metric=say(wording.METRIC_LABELS[str(metric)]),
            ),
        )


def _finish(ax: Axes, *, top: float) -> Axes:
    if not math.isfinite(top) or not ax.has_data():
        ax.text(
            0.5, 0.5, say(wording.PLOT_NOTHING), ha="center", va="center", transform=ax.transAxes
        )
        return _clean(ax)
    ax.set_ylim(0, top)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize="small")
    return _clean(ax)


def _axes(*, height: float = 3.6) -> Axes:
    _, ax = plt.subplots(figsize=(7.2, height), layout="constrained")
    return ax


def _clean(ax: Axes) -> Axes:
    ax.spines[["top", "right"]].set_visible(False)
    return localise_axes(ax, x="number", y="number")
