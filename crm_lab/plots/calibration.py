"""Plots of the A/A calibration besides its false claims: what the base can find."""

from __future__ import annotations

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from crm_lab.experiments.calibration_results import Calibration
from crm_lab.experiments.planted import WANTED_POWER
from crm_lab.language import say, say_many, word
from crm_lab.plots.axes import legend_below, localise_axes
from crm_lab.plots.palette import CONTROL, TREATED, ZERO

STYLES = {"more buyers": "-", "larger spend": "--"}


def plot_power_curve(calibration: Calibration, *, ax: Axes | None = None) -> Axes:
    """Draw how often each planted effect was found, with its interval, per metric.

    Parameters
    ----------
    calibration : Calibration
        The A/A calibration, with planted effects.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(7.2, 4.0), layout="constrained")
    metrics = list(dict.fromkeys(point.metric for point in calibration.power))
    for number, metric in enumerate(metrics):
        for way, style in STYLES.items():
            curve = [
                point
                for point in calibration.power
                if (point.metric, point.planted) == (metric, way) and point.draws
            ]
            if not curve:
                continue
            lifts = np.array([point.lift for point in curve])
            shares = np.array([point.share for point in curve])
            ends = np.array([point.interval for point in curve])
            ax.errorbar(
                lifts,
                shares,
                yerr=np.abs(ends.T - shares),
                fmt=f"o{style}",
                color=TREATED[number % len(TREATED)],
                markersize=4,
                capsize=2,
                label=f"{word(metric)}, {word(way)}",
            )
    ax.axhline(WANTED_POWER, color=ZERO, linewidth=1, linestyle=":")
    ax.axhline(calibration.alpha / 2, color=CONTROL, linewidth=1, linestyle=":")
    ax.annotate(
        say("{share} wanted", share=f"{WANTED_POWER:.0%}"),
        (0, WANTED_POWER),
        xycoords=("axes fraction", "data"),
        xytext=(4, 2),
        textcoords="offset points",
        ha="left",
        va="bottom",
        color=ZERO,
        fontsize="small",
    )
    if metrics:
        lifts = np.array(sorted({point.lift for point in calibration.power}))
        ticks = sorted({float(f"{lift:.1g}") for lift in lifts})
        ax.set_xscale("log")
        ax.set_xticks(ticks, [f"+{tick:.0%}" for tick in ticks])
        ax.minorticks_off()
        legend_below(ax)
    ax.set_ylim(0, 1.02)
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_xlabel(say("planted effect, change of the metric"))
    ax.set_ylabel(
        say_many(
            "share of {count} draw that claims a lift",
            "share of {count} draws that claim a lift",
            calibration.draws,
        )
    )
    ax.set_title(say("How large must an effect be to be found on this base?"), loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    return localise_axes(ax, x="percent", y="percent")
