"""Plots of what campaigns brought."""

from __future__ import annotations

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from crm_lab.experiments.results import ExperimentResult
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
            ax.text(0, row, "  no estimate", va="center")
            continue
        colour = TREATED[row % len(TREATED)]
        ax.plot([effect.low, effect.high], [row, row], color=colour, linewidth=3)
        ax.plot([effect.estimate], [row], "o", color=colour, markersize=9)
        ax.annotate(
            f"{effect.estimate:+,.1f}",
            (effect.estimate, row),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            color=ZERO,
        )
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.7)
    unit = "share" if result.arms[0].primary.scale == "share" else result.plan.currency
    ax.set_xlabel(f"difference per customer ({unit}); grey line: the control group")
    ax.set_title("What did each arm bring, and how sure is that?", loc="left")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax


def plot_levels(result: ExperimentResult, *, ax: Axes | None = None) -> Axes:
    """Draw revenue per customer by arm, the control group in grey.

    Parameters
    ----------
    result : ExperimentResult
        The read-out.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(7.2, 3.2), layout="constrained")
    names = ["control", *(arm.arm for arm in result.arms)]
    first = result.arms[0].primary.absolute
    values = [first.control_value, *(arm.primary.absolute.treatment_value for arm in result.arms)]
    colours = [CONTROL, *(TREATED[row % len(TREATED)] for row in range(len(result.arms)))]
    ax.bar(names, np.asarray(values, dtype=float), color=colours, width=0.6)
    ax.set_ylabel(f"{result.plan.primary_metric} ({result.plan.currency})")
    ax.set_title("How much did a customer of each arm spend?", loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    return ax
