"""The drawing for a phone: narrower, with the same words, none of them over another."""

from __future__ import annotations

import base64
import io
import itertools
from typing import Any

import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from PIL import Image

from crm_lab import plots
from crm_lab.cards import NARROW_MIME
from crm_lab.plots.narrow import NARROW_INCHES, narrow_png

LONG = "revenue per customer, adjusted by what was spent before"


def wide(*, width: float = 7.2) -> Axes:
    _, ax = plt.subplots(figsize=(width, 2.5), layout="constrained")
    ax.barh([0, 1, 2], [1.0, 2.0, 3.0], label="claimed a lift by chance alone")
    ax.set_yticks([0, 1, 2], [LONG, "short", LONG])
    ax.set_title("How often is an effect claimed where there is none at all?", loc="left")
    ax.set_xlabel("share of 1,000 draws of a control group in which nothing was done")
    ax.legend()
    return ax


def overlaps(ax: Axes) -> bool:
    """Whether two names of the axis stand over each other."""
    boxes = [tick.get_window_extent() for tick in ax.get_yticklabels()]
    return any(first.overlaps(second) for first, second in itertools.pairwise(boxes))


def test_a_narrow_drawing_is_narrow_and_its_words_are_whole() -> None:
    ax = wide()
    picture = Image.open(io.BytesIO(base64.b64decode(narrow_png(ax.figure))))
    assert picture.width < 1.35 * NARROW_INCHES * ax.figure.dpi
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert [name.replace("\n", " ") for name in names] == [LONG, "short", LONG]
    assert max(len(line) for name in names for line in name.split("\n")) <= 18
    assert not overlaps(ax)
    legend = ax.get_legend()
    assert legend is not None
    assert not legend.get_window_extent().overlaps(ax.xaxis.label.get_window_extent())
    assert not legend.get_window_extent().overlaps(ax.bbox)
    plt.close(ax.figure)


def test_days_are_thinned_and_names_stand_aslant() -> None:
    _, ax = plt.subplots(figsize=(7.2, 3.0), layout="constrained")
    ax.set_xticks(range(12), [f"2026-{month:02}" for month in range(1, 13)])
    narrow_png(ax.figure)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == [
        "2026-01",
        "2026-04",
        "2026-07",
        "2026-10",
    ]
    _, other = plt.subplots(figsize=(7.2, 3.0), layout="constrained")
    other.set_xticks(range(6), ["reminder of the cart"] * 6)
    narrow_png(other.figure)
    assert len(other.get_xticks()) == 6
    plt.close("all")


def test_a_figure_that_is_narrow_already_stays_alone() -> None:
    ax = wide(width=4.0)
    assert narrow_png(ax.figure) == ""
    plt.close(ax.figure)


def test_a_plot_is_shown_with_its_narrow_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Formatter:
        def format(self, figure: Any) -> tuple[dict[str, str], dict[str, Any]]:
            return {"image/png": "iVBOR", "text/plain": "<Figure>"}, {}

    class Shell:
        display_formatter = Formatter()

    shown: list[Any] = []
    monkeypatch.setattr(plots, "get_ipython", Shell)
    monkeypatch.setattr(plots, "display", lambda data, **given: shown.append((data, given)))
    plots.show_plot(wide(), alt="Three bars")
    ((data, given),) = shown
    assert set(data) == {"image/png", "text/plain", NARROW_MIME}
    assert given == {"metadata": {"alt": "Three bars"}, "raw": True}
    assert not plt.get_fignums()
