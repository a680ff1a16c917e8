"""Plots of a score: its curve with bands, effects by group, calibration, profit by cut."""

from __future__ import annotations

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from crm_lab.formats import currency_name
from crm_lab.language import message, say, word
from crm_lab.plots.axes import localise_axes
from crm_lab.plots.palette import CONTROL, TREATED, ZERO
from crm_lab.uplift import BestCut, CurveBands, EffectCalibration, Estimate, SortedEffects

SIZE = (7.2, 4.0)
_DEPTH = message("customers contacted, highest scores first")
_UNITS = {
    "uplift": message("effect per contacted customer ({metric})"),
    "gain": message("incremental {metric} per customer of the list"),
    "qini": message("incremental {metric} per treated customer"),
}


def plot_curve_bands(result: CurveBands, *, ax: Axes | None = None) -> Axes:
    """Draw a curve with the band of each depth, the band of all depths and the random line.

    Parameters
    ----------
    result : CurveBands
        The curve.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = _axes(ax)
    depth, colour = result.depth, TREATED[0]
    ax.fill_between(
        depth,
        result.low_all,
        result.high_all,
        color=colour,
        alpha=0.15,
        label=say("all depths at once"),
    )
    ax.fill_between(
        depth, result.low, result.high, color=colour, alpha=0.25, label=say("one depth alone")
    )
    ax.plot(depth, result.estimate, color=colour, linewidth=2, label=say("this score"))
    ax.plot(depth, result.random, color=CONTROL, linewidth=2, label=say("random order"))
    ax.axhline(0, color=ZERO, linewidth=0.8)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_xlim(0, 1)
    ax.set_xlabel(say(_DEPTH))
    ax.set_ylabel(say(_UNITS[result.kind], metric=word(result.metric)))
    ax.set_title(say("Does contacting the highest scores first bring more?"), loc="left")
    return localise_axes(_with_legend(ax), x="percent", y="number")


def plot_sorted_effects(result: SortedEffects, *, ax: Axes | None = None) -> Axes:
    """Draw the average effect of each group of the score beside that of everyone.

    Parameters
    ----------
    result : SortedEffects
        The effects.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = _axes(ax)
    places = np.arange(1, len(result.effects) + 1)
    if result.average.is_known:
        ax.axhline(result.average.estimate, color=CONTROL, linewidth=2, label=word("everyone"))
    ax.axhline(0, color=ZERO, linewidth=0.8)
    _intervals(ax, places.astype(float), result.effects)
    ax.set_xticks(places)
    ax.set_xlabel(say("group of the score, highest first"))
    ax.set_ylabel(say("average effect ({metric})", metric=word(result.metric)))
    ax.set_title(say("Do effects differ along the score?"), loc="left")
    return localise_axes(_with_legend(ax), y="number")


def plot_calibration(result: EffectCalibration, *, ax: Axes | None = None) -> Axes:
    """Draw the effects that the data show over those that were predicted.

    Parameters
    ----------
    result : EffectCalibration
        The effects.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = _axes(ax)
    predicted = np.array(result.predicted)
    ends = [float(predicted.min()), float(predicted.max())]
    ax.plot(ends, ends, color=CONTROL, linewidth=2, label=say("predicted = observed"))
    ax.axhline(0, color=ZERO, linewidth=0.8)
    _intervals(ax, predicted, result.observed)
    ax.set_xlabel(say("predicted effect ({metric})", metric=word(result.metric)))
    ax.set_ylabel(say("effect in the data ({metric})", metric=word(result.metric)))
    ax.set_title(say("Are the predicted effects right?"), loc="left")
    return localise_axes(_with_legend(ax), x="number", y="number")


def plot_profit_by_cut(result: BestCut, *, ax: Axes | None = None) -> Axes:
    """Draw the profit of every cut and, with its interval, the corrected profit of the chosen one.

    Parameters
    ----------
    result : BestCut
        The cuts.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = _axes(ax)
    cuts, found = result.cuts, result.honest.profit
    ax.axhline(0, color=CONTROL, linewidth=2, label=say("contact no one"))
    ax.plot(cuts["share"], cuts["profit"], color=TREATED[0], label=say("every cut, not corrected"))
    if found.is_known:
        ax.errorbar(
            [result.share],
            [found.estimate],
            yerr=[[found.estimate - found.low], [found.high - found.estimate]],
            fmt="o",
            color=TREATED[1],
            capsize=4,
            label=say("the chosen cut, corrected"),
        )
    if result.largest_share < 1.0:
        ax.axvline(result.largest_share, color=ZERO, linestyle=":", label=say("budget"))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_xlabel(say(_DEPTH))
    currency = result.honest.currency
    profit = say("profit")
    ax.set_ylabel(f"{profit} ({currency_name(currency)})" if currency else profit)
    ax.set_title(say("How far down the list does it pay to go?"), loc="left")
    return localise_axes(_with_legend(ax), x="percent", y="number")


def _axes(ax: Axes | None) -> Axes:
    if ax is None:
        _, ax = plt.subplots(figsize=SIZE, layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _with_legend(ax: Axes) -> Axes:
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize="small")
    return ax


def _intervals(ax: Axes, places: np.ndarray, found: tuple[Estimate, ...]) -> None:
    """Draw estimates with their intervals; those that are not known are left out."""
    known = [(place, one) for place, one in zip(places, found, strict=True) if one.is_known]
    if not known:
        return
    middle = np.array([one.estimate for _, one in known])
    ends = np.array([[one.estimate - one.low, one.high - one.estimate] for _, one in known]).T
    ax.errorbar(
        [place for place, _ in known],
        middle,
        yerr=ends,
        fmt="o",
        color=TREATED[0],
        capsize=4,
        label=say("in the data"),
    )
