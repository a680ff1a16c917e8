"""Plots of what campaigns brought."""

from __future__ import annotations

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from crm_lab import formats
from crm_lab.experiments.results import ExperimentResult
from crm_lab.experiments.segments import SegmentReading
from crm_lab.language import say, word
from crm_lab.plots.axes import localise_axes
from crm_lab.plots.palette import CONTROL, TREATED, ZERO


def plot_effects(result: ExperimentResult, *, ax: Axes | None = None) -> Axes:
    """Draw the effect of each arm on revenue per customer, with its interval, against 0.

    Parameters
    ----------
    result : ExperimentResult
        The read-out.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(7.2, 1.4 + 0.75 * len(result.arms)), layout="constrained")
    ax.axvline(0, color=CONTROL, linewidth=2)
    names = [arm.arm for arm in result.arms]
    for row, arm in enumerate(result.arms):
        effect = arm.primary.absolute
        if not effect.is_known:
            ax.text(0, row, f"  {say('no estimate')}", va="center")
            continue
        colour = TREATED[row % len(TREATED)]
        ax.plot([effect.low, effect.high], [row, row], color=colour, linewidth=3)
        ax.plot([effect.estimate], [row], "o", color=colour, markersize=9)
        ax.annotate(
            formats.separated(f"{effect.estimate:+,.1f}"),
            (effect.estimate, row),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            color=ZERO,
        )
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.7)
    is_share = result.arms[0].primary.scale == "share"
    unit = say("share") if is_share else formats.currency_name(result.plan.currency)
    ax.set_xlabel(say("difference per customer ({unit}); grey line: the control group", unit=unit))
    ax.set_title(say("What did each arm bring, and how sure is that?"), loc="left")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return localise_axes(ax, x="number")


def plot_segments(reading: SegmentReading, *, ax: Axes | None = None) -> Axes:
    """Draw the effect in each group: raw with a thin line, drawn to the common mean with a thick.

    Parameters
    ----------
    reading : SegmentReading
        The effect by segment.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    frame = reading.to_frame()
    frame = frame[np.isfinite(frame["estimate"])]
    if ax is None:
        _, ax = plt.subplots(figsize=(7.2, 1.4 + 0.6 * len(frame)), layout="constrained")
    factor = 100.0 if reading.scale == "share" else 1.0
    ax.axvline(0, color=CONTROL, linewidth=2)
    for row, item in enumerate(frame.to_dict("records")):
        ends = [factor * item["low"], factor * item["high"]]
        ax.plot(ends, [row - 0.12] * 2, color=CONTROL, linewidth=1)
        ax.plot(factor * item["estimate"], row - 0.12, "o", color=CONTROL, markersize=4)
        ends = [factor * item["shrunken_low"], factor * item["shrunken_high"]]
        ax.plot(ends, [row + 0.12] * 2, color=TREATED[0], linewidth=3)
        ax.plot(factor * item["shrunken"], row + 0.12, "o", color=TREATED[0], markersize=7)
    ax.set_yticks(range(len(frame)), [word(str(group)) for group in frame["group"]])
    ax.set_ylim(len(frame) - 0.4, -0.6)
    is_share = reading.scale == "share"
    unit = say("percentage points") if is_share else formats.currency_name(reading.currency)
    ax.set_xlabel(
        say(
            "difference per customer ({unit}); thin: by itself, thick: drawn to the mean",
            unit=unit,
        )
    )
    ax.set_title(
        say(
            "Does the effect of {arm} differ by {segment}?",
            arm=reading.arm,
            segment=reading.label,
        ),
        loc="left",
    )
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return localise_axes(ax, x="number")
