"""How a result shows itself: a card in JupyterLab, a sentence in a terminal, data for a machine.

A result class is a frozen dataclass that inherits :class:`Result` and says three things:
``title``, ``sentence()`` and ``to_frame()``. Everything else comes from here. The MIME type
:data:`RESULT_MIME` carries the same content as data, so that a published page and its manifest
can never say different things.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

import numpy as np
import pandas as pd

from crm_lab import formats
from crm_lab.headlines import HeadlineNumber, Light, bar_svg, verdict_look, without_verdict
from crm_lab.language import label, message, say, say_many, word

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RESULT_MIME = "application/vnd.crm-lab.result+json"
"""MIME type under which a displayed result carries itself as data."""
NARROW_MIME = "application/vnd.crm-lab.narrow+png"
"""MIME type under which a plot carries its drawing for a narrow screen (PNG, base64)."""

CARD_CSS = (
    ".crm-card{border:1px solid #8886;border-left:4px solid #1f6f8b;border-radius:6px;"
    "padding:.7em 1em;margin:.4em 0;max-width:60em}"
    ".crm-card h4{margin:0 0 .3em}.crm-card p{margin:.2em 0 .5em}"
    ".crm-card .crm-scroll{overflow-x:auto}"
    ".crm-card table{border-collapse:collapse;font-size:.92em}"
    ".crm-card th,.crm-card td{padding:.2em .7em;text-align:right;border-bottom:1px solid #8883}"
    ".crm-card :is(th,td):first-child,.crm-card .crm-scroll [data-kind=text]{text-align:left}"
    ".crm-number{font-size:1.5em;font-weight:700;margin:.1em 0}"
    ".crm-number small{font-size:.62em;font-weight:400}"
    ".crm-bar{display:block;max-width:100%;margin:.2em 0 .5em}"
    ".crm-card .crm-verdict{font-weight:700}"
    ".crm-verdict b{display:inline-block;width:1.5em;line-height:1.5em;border-radius:1em;"
    "text-align:center;margin-right:.4em;color:#fff;background:#55626f}"
    ".crm-good b{background:#0f7346}.crm-bad b{background:#b42323}.crm-wait b{background:#2161ab}"
    ".crm-unsure b{background:#8a5800}"
)
"""Style of the card, scoped to its class; a published page carries it once."""

MAX_CARD_ROWS = 12
_WITHOUT_CENTS = 1000
"""From here on a number of a table is written whole."""
YES, NO = message("yes"), message("no")


class Result:
    """What every result can do; inherit it in a frozen, slotted, keyword-only dataclass.

    Attributes
    ----------
    title : str
        The heading of the card; a class attribute or a property.
    plotter : str
        ``"module:function"`` of the function that draws this result, resolved when it is called
        (so that results do not import matplotlib), or empty.
    """

    __slots__ = ()
    title: ClassVar[str] = "Result"
    plotter: ClassVar[str] = ""

    def sentence(self) -> str:
        """Say the result in one plain sentence for somebody who decides."""
        raise TypeError(f"{type(self).__name__} does not say its sentence")

    def to_frame(self) -> pd.DataFrame:
        """Give the result as a table in long form, one row per estimate."""
        raise TypeError(f"{type(self).__name__} has no table")

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON-ready data; NaN and infinity become None."""
        fields = dataclasses.fields(cast(Any, self))
        return {field.name: plain(getattr(self, field.name)) for field in fields}

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw the result on ``ax`` (or on new axes) and give the axes back."""
        module, _, name = self.plotter.partition(":")
        if not name:
            raise TypeError(f"{type(self).__name__} has no plot")
        draw: Callable[..., Axes] = getattr(importlib.import_module(module), name)
        return draw(self, ax=ax)

    def card_frame(self) -> pd.DataFrame:
        """Give the table that the card shows: by default the long one, shortened."""
        return self.to_frame()

    def headline_numbers(self) -> tuple[HeadlineNumber, ...]:
        """Give the one number of the result first, and what stands smaller beside it."""
        return ()

    def number(self) -> str:
        """Give the one number of the result with its interval, or nothing where there is none."""
        known = _known(self.headline_numbers())
        return known[0].text() if known else ""

    def number_label(self) -> str:
        """Say what :meth:`number` is."""
        known = _known(self.headline_numbers())
        return known[0].label if known else ""

    def subtitle(self) -> str:
        """Say what was tried, on whom and when; nothing where the title says it."""
        return ""

    def _repr_html_(self) -> str:
        verdict = getattr(self, "verdict", "")
        return card(
            say(self.title),
            self.sentence(),
            self.card_frame(),
            number=self.number(),
            number_label=self.number_label(),
            numbers=self.headline_numbers(),
            verdict=verdict if isinstance(verdict, str) else "",
        )

    def __repr__(self) -> str:
        return f"{say(self.title)}: {self.sentence()}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {
            "text/plain": repr(self),
            "text/html": self._repr_html_(),
            RESULT_MIME: self._payload(),
        }

    def _payload(self) -> dict[str, Any]:
        """Give the result as data, with the words that are shown."""
        numbers = [number.to_dict() for number in _known(self.headline_numbers())]
        shown = {
            "about": self.subtitle(),
            "number": self.number(),
            "number_label": self.number_label() if self.number() else "",
            "numbers": numbers,
        }
        return {
            "kind": kind_of(type(self)),
            "title": say(self.title),
            "sentence": self.sentence(),
            **{name: value for name, value in shown.items() if value},
            "data": self.to_dict(),
        }


R = TypeVar("R", bound=Result)


class Results(list[R]):
    """Results one after the other: a list that shows the card of each."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return "".join(result._repr_html_() for result in self)


def kind_of(cls: type) -> str:
    """Name a result class for a machine: ``ControlGroupDraw`` becomes ``control_group_draw``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


def card(
    title: str,
    sentence: str,
    frame: pd.DataFrame | None = None,
    *,
    number: str = "",
    number_label: str = "",
    numbers: Sequence[HeadlineNumber] = (),
    verdict: str = "",
) -> str:
    """Build the HTML card of a result; every text is escaped, no script, style scoped.

    Parameters
    ----------
    title, sentence : str
        Heading and text.
    frame : pandas.DataFrame, optional
        Table under them.
    number : str
        One number with its interval in parentheses, shown large.
    number_label : str
        What it is, shown smaller before it.
    numbers : sequence of HeadlineNumber
        The same as data, which gives the bar under it; further ones stand smaller.
    verdict : str
        The verdict word, shown with its glyph and colour.
    """
    known = _known(numbers)
    if known:
        number, number_label = known[0].text(), known[0].label
    name = f"<small>{escape(number_label)}: </small>" if number_label else ""
    large = f'<p class="crm-number">{name}{escape(number)}</p>' if number else ""
    bar = bar_svg(known[0].to_dict()) if known else ""
    small = "".join(f'<p class="crm-beside">{escape(each.sentence())}</p>' for each in known[1:])
    table = "" if frame is None or frame.empty else table_html(frame)
    return (
        f"<style>{CARD_CSS}</style>"
        f'<div class="crm-card mathjax_ignore"><h4>{escape(title)}</h4>{_verdict(verdict)}'
        f"<p>{escape(without_verdict(sentence, verdict) if verdict else sentence)}</p>"
        f"{large}{bar}{small}{table}</div>"
    )


def _verdict(code: str) -> str:
    if not code:
        return ""
    look = verdict_look(code)
    shown = escape(look.word)
    return (
        f'<p class="crm-verdict crm-{look.tone}"><b aria-hidden="true">{look.glyph}</b>{shown}</p>'
    )


def _known(numbers: Sequence[HeadlineNumber]) -> list[HeadlineNumber]:
    return [number for number in numbers if number.is_known]


class TableView:
    """A frame that shows itself as a plain table, escaped and without row numbers.

    Parameters
    ----------
    frame : pandas.DataFrame
        What to show.
    max_rows : int
        Longer frames are cut and say so.
    """

    def __init__(self, frame: pd.DataFrame, *, max_rows: int = 60) -> None:
        self.frame = frame
        self.max_rows = max_rows

    def _repr_html_(self) -> str:
        table = table_html(self.frame, max_rows=self.max_rows)
        return f'<style>{CARD_CSS}</style><div class="crm-card mathjax_ignore">{table}</div>'

    def __repr__(self) -> str:
        return self.frame.head(self.max_rows).to_string(index=False)


def lights_frame(lights: Iterable[Light]) -> pd.DataFrame:
    """Give lights as a table: name, word, detail."""
    return pd.DataFrame(
        [{"check": item.name, "state": item.word, "detail": item.detail} for item in lights]
    )


def table_html(frame: pd.DataFrame, *, max_rows: int = MAX_CARD_ROWS) -> str:
    """Build an HTML table with a header row; longer frames are cut and say so."""
    shown = frame.head(max_rows)
    rows = [list(_cells(shown.columns, row)) for row in shown.itertuples(index=False)]
    kinds = [_kind(row[place] for row in rows) for place in range(len(shown.columns))]
    head = "".join(
        f'<th scope="col"{kind}>{escape(heading(name))}</th>'
        for kind, name in zip(kinds, shown.columns, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{escape(text)}</td>" for kind, text in zip(kinds, row, strict=True))
        + "</tr>"
        for row in rows
    )
    rest = len(frame) - len(shown)
    note = f'<p class="crm-more">{_more_rows(rest)}</p>' if rest > 0 else ""
    return (
        f'<div class="crm-scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{note}"
    )


def _kind(column: Iterable[str]) -> str:
    return ' data-kind="text"' if any(text[:1].isalpha() for text in column) else ""


def _cells(names: Iterable[object], row: Iterable[Any]) -> Iterator[str]:
    for name, value in zip(names, row, strict=True):
        is_month = name == "month" and isinstance(value, pd.Timestamp) and value.day == 1
        if is_month:
            yield formats.month(value)
        else:
            yield label(value) if name == "table" and isinstance(value, str) else cell(value)


def _more_rows(count: int) -> str:
    return say_many("{count} more row in to_frame()", "{count} more rows in to_frame()", count)


def heading(name: object) -> str:
    """Write the name of a column for people."""
    return label(str(name))


class GivenName(str):
    """A name that a person gave, shown as it is also where a code word is spelled the same."""

    __slots__ = ()


def cell(value: Any) -> str:
    """Write one cell of a table for people."""
    if value is None or value is pd.NaT:
        return ""
    if isinstance(value, (bool, np.bool_)):
        return say(YES) if value else say(NO)
    if isinstance(value, (float, np.floating)):
        number = float(value)
        if not math.isfinite(number):
            return "" if math.isnan(number) else ("∞" if number > 0 else "-∞")
        if number == int(number) and abs(number) < 1e15:
            return formats.separated(f"{number:,.0f}")
        if abs(number) >= _WITHOUT_CENTS:
            return formats.separated(f"{number:,.0f}")
        return formats.separated(f"{number:,.2f}" if abs(number) >= 10 else f"{number:.3g}")
    if isinstance(value, (int, np.integer)):
        return formats.separated(f"{int(value):,}")
    if isinstance(value, pd.Timestamp):
        return formats.day(value.date()) if value == value.normalize() else formats.minute(value)
    return str(value) if isinstance(value, GivenName) else word(str(value))


def plain(value: Any) -> Any:
    """Turn a value into JSON-ready data; NaN and infinity become None, dates ISO text."""
    if value is None or value is pd.NaT or isinstance(value, (bool, str)):
        return value if value is not pd.NaT else None
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(float(value)) else None
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, pd.DataFrame):
        return [plain(row) for row in value.to_dict("records")]
    if isinstance(value, pd.Series):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value.tolist()]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return str(value)
