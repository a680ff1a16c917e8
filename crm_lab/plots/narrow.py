"""The same plot for a narrow screen: drawn smaller, so that its letters are larger beside it."""

from __future__ import annotations

import base64
import io
import textwrap
import warnings

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator
from matplotlib.transforms import ScaledTranslation

NARROW_INCHES = 4.4
_TITLE_CHARS, _AXIS_CHARS, _NAME_CHARS = 40, 46, 18
_TICKS = 4
_LINE_INCHES, _REST_INCHES = 0.19, 1.2
_LEGEND_INCHES = 0.08
_LEGEND_CHARS = 18
_LEAST_WIDTH = 0.4
"""Part of the picture that the axes must have; with less the wide drawing serves better."""
_ROOM_CHARS = 40
"""Letters of all names along the x axis from which on they stand aslant."""


def narrow_png(figure: Figure) -> str:
    """Draw a figure again, as wide as a phone; empty where it is no wider or does not fit.

    The figure is changed: it is of no use for anything else afterwards.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure as it was drawn for a wide page.
    """
    width, height = figure.get_size_inches()
    if width <= NARROW_INCHES:
        return ""
    lines = max(_fold(ax) for ax in figure.axes)
    figure.set_size_inches(NARROW_INCHES, max(height, _LINE_INCHES * lines + _REST_INCHES))
    drawn = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # matplotlib only warns where a layout has no room
            for ax in figure.axes:
                if (legend := ax.get_legend()) is not None:
                    legend.set_visible(False)
            figure.draw_without_rendering()
            for ax in figure.axes:
                _lower_legend(ax)
            figure.savefig(drawn, format="png", bbox_inches="tight")
    except (UserWarning, ValueError):
        return ""
    if min(ax.get_position().width for ax in figure.axes) < _LEAST_WIDTH:
        return ""
    return base64.b64encode(drawn.getvalue()).decode()


def _fold(ax: Axes) -> int:
    """Break titles and names into lines, set fewer ticks; give the lines of names at the side."""
    for side in ("left", "center", "right"):
        title = ax.get_title(loc=side)
        if title:
            ax.set_title(_folded(title, _TITLE_CHARS), loc=side)
    ax.set_xlabel(_folded(ax.get_xlabel(), _AXIS_CHARS))
    ax.set_ylabel(_folded(ax.get_ylabel(), _AXIS_CHARS))
    names = [_folded(name, _NAME_CHARS) for name in _names(ax.yaxis)]
    if any(letter.isalpha() for letter in "".join(names)):
        ax.set_yticks(ax.get_yticks(), names)
    if isinstance(ax.xaxis.get_major_locator(), MaxNLocator):
        ax.xaxis.set_major_locator(MaxNLocator(_TICKS, steps=[1, 2, 5, 10]))
    else:
        _thin(ax)
    return max((name.count("\n") + 1 for name in names), default=0) * len(names)


def _lower_legend(ax: Axes) -> None:
    """Put the legend under the label of the axis, where it covers nothing."""
    legend = ax.get_legend()
    if legend is None:
        return
    figure = ax.figure
    taken = ax.get_tightbbox()
    assert taken is not None  # it has been drawn
    down = (taken.y0 - ax.bbox.y0) / figure.dpi - _LEGEND_INCHES
    below = ScaledTranslation(0, down, figure.dpi_scale_trans)
    legend.set_loc("upper center")
    legend.set_bbox_to_anchor((0.5, 0.0), transform=ax.transAxes + below)
    longest = max((len(text.get_text()) for text in legend.get_texts()), default=0)
    legend.set_ncols(1 if longest > _LEGEND_CHARS else 2)
    legend.set_visible(True)


def _thin(ax: Axes) -> None:
    """Leave out every other tick where they are days or numbers, set names aslant."""
    places = list(ax.get_xticks())
    texts = [tick.get_text() for tick in ax.get_xticklabels()]
    if sum(len(max(text.split("\n"), key=len)) for text in texts) <= _ROOM_CHARS:
        return
    if all(any(letter.isdigit() for letter in text) for text in texts if text):
        step = -(-len(texts) // _TICKS)
        ax.set_xticks(places[::step], texts[::step])
    else:
        ax.tick_params(axis="x", labelrotation=60)


def _names(axis: Axis) -> list[str]:
    """Give the ticks of an axis where somebody has set them one by one."""
    if not isinstance(axis.get_major_locator(), FixedLocator):
        return []
    return [tick.get_text() for tick in axis.get_ticklabels()]


def _folded(text: str, width: int) -> str:
    return "\n".join(
        line
        for part in text.split("\n")
        for line in (textwrap.wrap(part, width, break_long_words=False) or [part])
    )
