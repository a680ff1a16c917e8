"""Plot of the looks at a running experiment."""

from __future__ import annotations

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from crm_lab.language import say, word
from crm_lab.plots.axes import localise_axes
from crm_lab.plots.palette import CONTROL, PALE, TREATED
from crm_lab.stats.confidence_sequences import ConfidenceSequence

_ROOM = 1.6
"""The axis reaches this multiple of the last interval; the first ones would squeeze the rest."""


def plot_sequence(result: ConfidenceSequence, *, ax: Axes | None = None) -> Axes:
    """Draw the interval of each look against no difference; looks not to be relied on are pale.

    Parameters
    ----------
    result : ConfidenceSequence
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(7.2, 4.0), layout="constrained")
    ax.axhline(0, color=CONTROL, linewidth=2)
    shown = [(n, look) for n, look in enumerate(result.looks, 1) if np.isfinite(look.estimate)]
    if shown:
        last = shown[-1][1]
        ends = np.array([last.low, last.high, last.estimate, 0.0])
        ends = ends[np.isfinite(ends)]
        middle, half = (ends.max() + ends.min()) / 2, (ends.max() - ends.min()) / 2 or 1.0
        bottom, top = middle - _ROOM * half, middle + _ROOM * half
        ax.set_ylim(bottom, top)
        for number, look in shown:
            colour = TREATED[0] if look.is_reliable else PALE
            low, high = max(look.low, bottom - half), min(look.high, top + half)
            ax.plot([number, number], [low, high], color=colour, linewidth=3)
            ax.plot([number], [look.estimate], "o", color=colour, markersize=5)
    ax.set_xlim(0.3, len(result.looks) + 0.7)
    ax.set_xlabel(say("look (pale: too early to rely on; grey line: no difference)"))
    ax.set_ylabel(say("difference in {metric}", metric=word(result.metric)))
    ax.set_title(say("May one stop here?"), loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    return localise_axes(ax, x="number", y="number")
