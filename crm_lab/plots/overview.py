"""Plots of the customer base."""

from __future__ import annotations

from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from crm_lab.customers import BaseOverview
from crm_lab.language import say
from crm_lab.plots.axes import localise_axes
from crm_lab.plots.palette import PALE, TREATED


def plot_months(base: BaseOverview, *, ax: Axes | None = None) -> Axes:
    """Draw revenue by month, and buyers on a second axis.

    Parameters
    ----------
    base : BaseOverview
        The base.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(7.2, 3.2), layout="constrained")
    if base.monthly.empty:
        ax.set_title(say("How do revenue and buyers develop?"), loc="left")
        ax.set_xlabel(say("no orders yet"))
        return ax
    months = base.monthly["month"].dt.strftime("%b\n%Y")
    bars = ax.bar(months, base.monthly["revenue"], color=PALE, label="revenue")
    ax.set_ylabel(say("revenue ({currency})", currency=base.currency))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    buyers = ax.twinx()
    buyers.plot(months, base.monthly["buyers"], "o-", color=TREATED[0], label="buyers")
    buyers.plot(months, base.monthly["new_buyers"], "o--", color=TREATED[1], label="first-time")
    buyers.set_ylabel(say("customers"))
    buyers.set_ylim(bottom=0)
    ax.set_title(say("How do revenue and buyers develop?"), loc="left")
    handles: list[Artist] = [bars[0], *buyers.lines]
    ax.legend(
        handles,
        [say("revenue"), say("buyers"), say("first-time buyers")],
        frameon=False,
        ncols=3,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
    )
    for tick in ax.get_xticklabels()[:: 1 if len(months) <= 13 else 2]:
        tick.set_visible(True)
    ax.spines[["top"]].set_visible(False)
    buyers.spines[["top"]].set_visible(False)
    localise_axes(buyers, y="number")
    return localise_axes(ax, x="date", y="money")
