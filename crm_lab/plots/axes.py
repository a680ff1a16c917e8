"""Tick labels in the language of the reader, as the text beside the plot writes numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import Formatter, ScalarFormatter

from crm_lab import formats
from crm_lab.language import Language, current_language, using_language

TickKind = Literal["number", "percent", "money", "date"]

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = "|".join(_MONTHS)
_WHOLE_DAY = re.compile(rf"(?P<year>\d{{4}})-(?P<month>{_MONTH}|\d\d)-(?P<day>\d\d)")
_MONTH_OF_YEAR = re.compile(rf"(?P<year>\d{{4}})-(?P<month>{_MONTH}|\d\d)")
_DAY_OF_MONTH = re.compile(rf"(?P<month>{_MONTH})-(?P<day>\d\d)")
_MONTH_ALONE = re.compile(rf"\b(?P<month>{_MONTH})\b")
_LONG_NUMBER = re.compile(r"(?<![\d.,])\d{5,}")


def localise_axes(ax: Axes, *, x: TickKind | None = None, y: TickKind | None = None) -> Axes:
    """Write tick labels with the separators and months of the language.

    Call it last in a plot function, when the formatters stand. English dates stay as they are.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        The axes.
    x, y : {"number", "percent", "money", "date"}, optional
        What the ticks of this direction say; None: names, which are left as they are.
    """
    language = current_language()
    for axis, kind in ((ax.xaxis, x), (ax.yaxis, y)):
        if kind is not None and (language, kind) != ("en", "date"):
            _localise(axis, kind, language)
    return ax


class LocalisedFormatter(Formatter):
    """What another formatter writes in English, written anew in the language of the plot.

    Parameters
    ----------
    inner : matplotlib.ticker.Formatter
        The other formatter.
    rewrite : callable
        From its English text to the text of the language.
    language : {"en", "ru"}
        The language of the plot, whatever the language is when it is drawn.
    """

    def __init__(self, inner: Formatter, rewrite: Callable[[str], str], language: Language) -> None:
        self.inner = inner
        self.rewrite = rewrite
        self.language: Language = language

    def set_axis(self, axis: Any) -> None:
        """Take the axis, which the other formatter needs, too."""
        self.axis = axis
        self.inner.set_axis(axis)

    def set_locs(self, locs: list[float]) -> None:
        """Take the places of the ticks."""
        self.inner.set_locs(locs)

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Write one tick."""
        with using_language("en"):
            text = self.inner(x, pos)
        return self._written(text)

    def format_ticks(self, values: list[float]) -> list[str]:
        """Write all ticks."""
        with using_language("en"):
            texts = self.inner.format_ticks(values)
        return [self._written(text) for text in texts]

    def get_offset(self) -> str:
        """Write what all ticks have in common, such as the year."""
        with using_language("en"):
            text = self.inner.get_offset()
        return self._written(text)

    def _written(self, text: str) -> str:
        with using_language(self.language):
            return self.rewrite(text)


def _localise(axis: Axis, kind: TickKind, language: Language) -> None:
    inner = axis.get_major_formatter()
    if isinstance(inner, LocalisedFormatter):
        return
    if isinstance(inner, ScalarFormatter):
        inner.set_scientific(False)
        inner.set_useOffset(False)
    rewrite = _dates if kind == "date" else _numbers
    axis.set_major_formatter(LocalisedFormatter(inner, rewrite, language))


def _numbers(text: str) -> str:
    grouped = _LONG_NUMBER.sub(lambda found: f"{int(found[0]):,}", text)
    return re.sub(r"\s*%", "\u00a0%", formats.separated(grouped))


def _dates(text: str) -> str:
    for pattern in (_WHOLE_DAY, _MONTH_OF_YEAR, _DAY_OF_MONTH, _MONTH_ALONE):
        if pattern.search(text):
            return pattern.sub(_date, text)
    return text


def _date(found: re.Match[str]) -> str:
    from babel.dates import get_month_names  # only other languages need it

    parts = found.groupdict()
    month = parts["month"]
    number = int(month) if month.isdigit() else 1 + _MONTHS.index(month)
    if month.isdigit():
        first = date(int(parts["year"]), number, int(parts.get("day", 1)))
        return formats.day(first) if "day" in parts else formats.month(first)
    context = "format" if "day" in parts else "stand-alone"
    name = get_month_names("abbreviated", context, locale=current_language())[number]
    return " ".join(filter(None, (parts.get("day"), name, parts.get("year"))))


def legend_below(ax: Axes) -> None:
    """Put a legend of many entries under the axis, where it covers no curve."""
    ax.legend(
        frameon=False,
        fontsize="small",
        ncols=2,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
    )
