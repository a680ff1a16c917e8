"""Dressing clean HTML tables for a page: own scroll box, numbers to the right, text to the left."""

from __future__ import annotations

import re

from crm_lab.reports import wording
from crm_lab.reports.cleaning import text_of

_TABLE = re.compile(r"<table.*?</table>", re.DOTALL)
_ROW = re.compile(r"<tr[^>]*>(.*?)</tr>", re.DOTALL)
_CELL = re.compile(r"<(t[hd])([^>]*)>(.*?)</\1>", re.DOTALL)
_NUMBER = re.compile(r"[-+−<>≈~]?\s?[$€£¥]?\s?[\d∞][\d\s.,:%∞+−–-]*([A-Za-z₽%].{0,24}|\(.*)?\Z")
_EMPTY = {"", "n/a", "nan", "NaN", "None", "–", "-"}
_LONG_TEXT = 36


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
        columns marked ``text`` and cells of long text marked ``long``.
    """
    box = f'<div class="table-box" tabindex="0" role="group" aria-label="{wording.TABLE}">'
    marked = _TABLE.sub(lambda found: _marked(found[0]), clean)
    return marked.replace("<table", f"{box}<table").replace("</table>", "</table></div>")


def _marked(table: str) -> str:
    if "colspan=" in table or "rowspan=" in table or table.count("<table") > 1:
        return table
    text_columns: set[int] = set()
    for row in _ROW.findall(table):
        for column, (_, _, inner) in enumerate(_CELL.findall(row)):
            if "<thead" in table and row in table[: table.find("</thead>")]:
                continue
            text = text_of(inner)
            if text not in _EMPTY and not _NUMBER.match(text):
                text_columns.add(column)
    return _ROW.sub(lambda found: _row(found[0], text_columns), table)


def _row(row: str, text_columns: set[int]) -> str:
    column = -1

    def mark(found: re.Match[str]) -> str:
        nonlocal column
        column += 1
        words = ["text"] if column in text_columns else []
        if len(text_of(found[3])) > _LONG_TEXT:
            words.append("long")
        if not words or "class=" in found[2]:
            return found[0]
        return f'<{found[1]}{found[2]} class="{" ".join(words)}">{found[3]}</{found[1]}>'

    return _CELL.sub(mark, row)
