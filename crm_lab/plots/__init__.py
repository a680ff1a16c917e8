"""Plots: a result in, axes out. No queries, no global style."""

from __future__ import annotations

from IPython.display import display
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure


def show_plot(ax: Axes, *, alt: str) -> None:
    """Show a plot in a notebook with a text for people who cannot see it, and let go of it.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        What a plot function gave.
    alt : str
        What the plot shows, in words.
    """
    figure = ax.get_figure()
    assert isinstance(figure, Figure)
    display(figure, metadata={"alt": alt})  # type: ignore[no-untyped-call]
    plt.close(figure)
