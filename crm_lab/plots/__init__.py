"""Plots: a result in, axes out. No queries, no global style."""

from __future__ import annotations

from IPython.core.getipython import get_ipython
from IPython.display import display
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crm_lab.cards import NARROW_MIME
from crm_lab.plots.narrow import narrow_png


def show_plot(ax: Axes, *, alt: str) -> None:
    """Show a plot in a notebook with a text for people who cannot see it, and let go of it.

    A second drawing goes with it that can be read on a phone; published pages choose.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        What a plot function gave.
    alt : str
        What the plot shows, in words.
    """
    figure = ax.get_figure()
    assert isinstance(figure, Figure)
    shell = get_ipython()
    formatter = shell.display_formatter if shell else None
    data, metadata = (
        formatter.format(figure)  # type: ignore[no-untyped-call]
        if formatter
        else ({}, {})
    )
    if "image/png" in data:
        narrow = narrow_png(figure)
        data = data | ({NARROW_MIME: narrow} if narrow else {})
        display(data, metadata=metadata | {"alt": alt}, raw=True)  # type: ignore[no-untyped-call]
    else:
        display(figure, metadata={"alt": alt})  # type: ignore[no-untyped-call]
    plt.close(figure)
