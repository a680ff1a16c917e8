"""Tick labels follow the language: separators, percent signs, months; English is left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.dates import ConciseDateFormatter, DayLocator
from matplotlib.ticker import FuncFormatter, PercentFormatter

from crm_lab import formats
from crm_lab.language import using_language
from crm_lab.plots.axes import TickKind, localise_axes


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def plain() -> Axes:
    _, ax = plt.subplots()
    ax.plot([-5_000_000, 25_000_000], [-0.05, 0.25])
    return ax


def shares() -> Axes:
    ax = plain()
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: formats.number(value)))
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    return ax


def november() -> Axes:
    _, ax = plt.subplots()
    ax.plot(pd.date_range("2026-11-01", "2026-12-01"), range(31))
    locator = DayLocator(bymonthday=(1, 16))
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    return ax


def named() -> Axes:
    ax = plain()
    ax.set_xticks([0, 1, 2], ["Oct\n2026", "2026-12-01", "2026-Dec-31"])
    return ax


def written(ax: Axes) -> tuple[list[str], list[str]]:
    """Draw, and give the labels of both directions."""
    ax.figure.canvas.draw()
    x, y = ([text.get_text() for text in axis.get_ticklabels()] for axis in (ax.xaxis, ax.yaxis))
    return x, y


@pytest.mark.parametrize(
    ("draw", "x", "y", "expected"),
    [
        (plain, "money", "number", ("−5\u00a0000\u00a0000", "0,05")),
        (shares, "number", "percent", ("-5\u00a0000\u00a0000", "5,0\u00a0%")),
        (november, "date", None, ("нояб.", "15")),
        (named, "date", None, ("окт.\n2026", "0.05")),
        (named, "date", None, ("01.12.2026", "0.05")),
        (named, "date", None, ("31 дек. 2026", "0.05")),
    ],
)
def test_ticks_are_written_in_russian(
    draw: Callable[[], Axes], x: TickKind, y: TickKind | None, expected: tuple[str, str]
) -> None:
    with using_language("ru"):
        ax = localise_axes(draw(), x=x, y=y)
    found = written(ax)  # drawn later, in whatever language the process is then
    assert expected[0] in found[0]
    assert expected[1] in found[1]


def test_the_month_beside_an_axis_of_days_is_russian() -> None:
    with using_language("ru"):
        ax = localise_axes(november(), x="date")
    written(ax)
    assert ax.xaxis.get_major_formatter().get_offset() == "дек. 2026"


@pytest.mark.parametrize("draw", [november, named])
def test_english_dates_stay_as_they_are(draw: Callable[[], Axes]) -> None:
    assert written(localise_axes(draw(), x="date")) == written(draw())


def test_english_ticks_are_written_as_in_the_text() -> None:
    ticks = written(localise_axes(shares(), x="number", y="percent"))
    assert "-5,000,000" in ticks[0]
    assert "5.0\u00a0%" in ticks[1]


def test_axes_are_localised_once() -> None:
    with using_language("ru"):
        ax = localise_axes(localise_axes(plain(), x="number"), x="number")
    assert "−5\u00a0000\u00a0000" in written(ax)[0]
