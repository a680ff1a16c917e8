"""Plot of how soon an event comes in two arms."""

from __future__ import annotations

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

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
            f"{curve.arm} ({curve.n:,})",
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
    ax.set_xlabel(f"{result.unit} since the start (dotted: horizon)")
    level = f"{100 * (1 - result.alpha):g} %"
    ax.set_ylabel(f"share with the event, % (band: {level} interval)")
    ax.set_title(f"How soon did it come? {result.metric}", loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    return ax
