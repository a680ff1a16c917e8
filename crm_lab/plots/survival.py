"""Plot of how soon an event comes in two arms."""

from __future__ import annotations

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from crm_lab import formats
from crm_lab.language import say, word
from crm_lab.plots.axes import localise_axes
from crm_lab.plots.palette import CONTROL, TREATED, ZERO
from crm_lab.stats.survival_comparison import SurvivalComparison


def plot_survival(result: SurvivalComparison, *, ax: Axes | None = None) -> Axes:
    """Draw the share to whom the event has come by time, the control in grey.

    Parameters
    ----------
    result : SurvivalComparison
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(7.2, 4.0), layout="constrained")
    highest = 0.0
    for curve, colour in zip(result.curves, (TREATED[0], CONTROL), strict=True):
        if not curve.times:
            continue
        times = np.array(curve.times)
        share, low, high = (100 * np.array(part) for part in (curve.share, curve.low, curve.high))
        ax.step(times, share, where="post", color=colour, linewidth=2)
        ax.fill_between(times, low, high, step="post", color=colour, alpha=0.18, linewidth=0)
        ax.annotate(
            f"{word(curve.arm)} ({formats.number(curve.n)})",
            (times[-1], share[-1]),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=colour,
        )
        highest = max(highest, float(np.nanmax(high)))
    ax.axvline(result.horizon, color=ZERO, linewidth=1, linestyle=":")
    ax.set_xlim(left=0)
    ax.set_ylim(0, min(100.0, 1.08 * highest) or 1.0)
    ax.set_xlabel(say("{unit} since the start (dotted: horizon)", unit=word(result.unit)))
    level = f"{formats.significant(100 * (1 - result.alpha), figures=6)} %"
    ax.set_ylabel(say("share with the event, % (band: {level} interval)", level=level))
    ax.set_title(say("How soon did it come? {metric}", metric=word(result.metric)), loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    return localise_axes(ax, x="number", y="number")
