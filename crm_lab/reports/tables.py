"""Dressing clean HTML tables for a page: own scroll box, numbers to the right, text to the left."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from crm_lab.language import say
from crm_lab.reports import wording
from crm_lab.reports.cleaning import text_of

_TABLE = re.compile(r"<table.*?</table>", re.DOTALL)
_ROW = re.compile(r"<tr[^>]*>(.*?)</tr>", re.DOTALL)
_CELL = re.compile(r"<(t[hd])([^>]*)>(.*?)</\1>", re.DOTALL)
_NUMBER = re.compile(
    r"[-+−<>≈~]?\s?[$€£¥]?\s?[\d∞][\d\s.,:%∞+−–-]*"
    r"([A-Za-zА-Яа-яЁё₽₸$€£¥%].{0,24}(\(.*)?|\(.*)?\Z"
)
_INTERVAL = re.compile(r"\([^()<>]{0,30}\d[^()<>]{0,30}\)")
"""An interval, which no line may break."""
_UNBROKEN = "\N{NO-BREAK SPACE}"
_EMPTY = {"", "n/a", "nan", "NaN", "None", "–", "-"}
_OPENING = re.compile(r"<table[^>]*>")
_LONG_TEXT = 36
_STACKED_FROM, _STACKED_ROWS = 3, 12
_MANY_COLUMNS = 6
"""From so many columns on cells may break, so that the last ones are seen without scrolling."""


def dressed(clean: str) -> str:
    """Dress every table of a clean fragment.

    Parameters
    ----------
    clean : str
        HTML that has been cleaned, so that it is balanced.

    Returns
    -------
    str
        The same with each table in a box that scrolls alone and can be reached by keyboard, text
        columns marked ``text``, cells of long text marked ``long``, and cells named by their
        column where a narrow screen shows a row as a block.
    """
    box = f'<div class="table-box" tabindex="0" role="group" aria-label="{say(wording.TABLE)}">'
    marked = _TABLE.sub(lambda found: _marked(found[0]), clean)
    return marked.replace("<table", f"{box}<table").replace("</table>", "</table></div>")


def _marked(table: str) -> str:
    """Mark columns of text, and name each cell by its column for a narrow screen."""
    if "colspan=" in table or "rowspan=" in table or table.count("<table") > 1:
        return table
    head, _, body = table.rpartition("</thead>")
    names = [text_of(inner) for _, _, inner in _CELL.findall(head)]
    rows = [_CELL.findall(row) for row in _ROW.findall(body)]
    if any(len(row) != len(names) for row in rows):
        names = []
    text_columns = {
        column
        for row in rows
        for column, (_, _, inner) in enumerate(row)
        if (text := text_of(inner)) not in _EMPTY and not _NUMBER.match(text)
    }
    stacks = len(names) >= _STACKED_FROM and len(rows) <= _STACKED_ROWS
    form = "stacks" if stacks else "pairs" if len(names) < _STACKED_FROM else "sticks"
    if len(names) >= _MANY_COLUMNS:
        form += " many"
    opened = _OPENING.sub(f'<table class="{form}">', table, count=1)
    top, end, rest = opened.rpartition("</thead>")
    named = names if stacks else []
    return _ROW.sub(lambda found: _row(found[0], text_columns, []), top + end) + _ROW.sub(
        lambda found: _row(found[0], text_columns, named), rest
    )


def _row(row: str, text_columns: set[int], names: Sequence[str]) -> str:
    column = -1

    def mark(found: re.Match[str]) -> str:
        nonlocal column
        column += 1
        words = ["text"] if column in text_columns else []
        if len(text_of(found[3])) > _LONG_TEXT:
            words.append("long")
        look = f' class="{" ".join(words)}"' if words and "class=" not in found[2] else ""
        name = f' data-label="{html.escape(names[column])}"' if column < len(names) else ""
        inner = _INTERVAL.sub(lambda ends: ends[0].replace(" ", _UNBROKEN), found[3])
        return f"<{found[1]}{found[2]}{look}{name}>{inner}</{found[1]}>"

    return _CELL.sub(mark, row)
