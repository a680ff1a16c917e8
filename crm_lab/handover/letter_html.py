"""HTML that mail programs show: styles on every tag, narrow tables, pictures apart.

Mail programs drop style sheets, scripts and wide layouts, and some turn the colours of a page
around at night. So every tag carries its own style, each cell both its colours, and a table that
is too wide for 600 pixels becomes one small table per row.
"""

from __future__ import annotations

import base64
import html
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser

from crm_lab.handover.inert import inert_text

WIDTH = 600
"""Width of the content in pixels; with its margin the letter is 640 wide."""
TEXT_COLOUR, QUIET_COLOUR, LINE_COLOUR, PAPER = "#1b1f24", "#57606a", "#d0d7de", "#ffffff"
FONT = "font-family:Arial,Helvetica,sans-serif"
_WIDEST_ROW = 92
_MOST_COLUMNS = 6
_LONGEST_CELL = 22
_LONGEST_WORD = 24
_NUMBER = re.compile(r"[-+−<>≈~]?\s?[\d∞][\d\s.,:%∞+−–-]*([A-Za-zА-я₽$€£%].{0,24}|\(.*)?\Z")
_DATA_PICTURE = re.compile(r"data:(image/(?:png|jpeg|gif));base64,(.*)\Z", re.DOTALL)
_LINK = re.compile(r"(https?://|mailto:)", re.IGNORECASE)

_STYLES = {
    "h2": f"{FONT};font-size:19px;line-height:25px;margin:28px 0 8px;color:{TEXT_COLOUR}",
    "h3": f"{FONT};font-size:16px;line-height:22px;margin:20px 0 6px;color:{TEXT_COLOUR}",
    "p": f"{FONT};font-size:15px;line-height:22px;margin:0 0 12px;color:{TEXT_COLOUR}",
    "ul": f"{FONT};font-size:15px;line-height:22px;margin:0 0 12px;padding-left:22px",
    "ol": f"{FONT};font-size:15px;line-height:22px;margin:0 0 12px;padding-left:22px",
    "li": f"margin:0 0 4px;color:{TEXT_COLOUR}",
    "pre": f"font-family:Consolas,monospace;font-size:12px;line-height:17px;white-space:pre-wrap;"
    f"word-break:break-word;margin:0 0 12px;color:{TEXT_COLOUR}",
    "code": "font-family:Consolas,monospace;font-size:13px",
    "strong": "font-weight:bold",
    "em": "font-style:italic",
    "sup": "font-size:11px",
    "sub": "font-size:11px",
    "a": "color:#0b57a4",
}
_SAME = {"b": "strong", "i": "em", "h1": "h2", "h4": "h3", "h5": "h3", "h6": "h3", "summary": "p"}
_SKIPPED = {"script", "style", "svg", "title", "template", "noscript", "head"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture of a letter.

    Attributes
    ----------
    cid : str
        Name under which the HTML refers to it.
    mime : str
        Such as ``image/png``.
    content : bytes
        The file.
    """

    cid: str
    mime: str
    content: bytes

    @property
    def data_url(self) -> str:
        """Give the picture as text within HTML."""
        return f"data:{self.mime};base64,{base64.b64encode(self.content).decode()}"


@dataclass(slots=True)
class _Table:
    head: list[list[str]] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    cells: list[str] | None = None
    is_heading: bool = True


class _Restyler(HTMLParser):
    def __init__(self, pictures: list[Picture]) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.pictures = pictures
        self._open: list[str] = []
        self._skipped = 0
        self._table: _Table | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SKIPPED:
            self._skipped += 1
        if self._skipped:
            return
        given = {name: value or "" for name, value in attrs}
        if self._table is not None:
            self._in_table(self._table, tag)
        elif tag == "table":
            self._table = _Table()
        elif tag == "img":
            self.parts.append(self._picture(given))
        elif tag in ("br", "hr"):
            self.parts.append(f"<{tag}>")
        else:
            name = _SAME.get(tag, tag)
            if name in _STYLES:
                link = given.get("href", "")
                href = f' href="{html.escape(link)}"' if name == "a" and _LINK.match(link) else ""
                self.parts.append(f'<{name}{href} style="{_STYLES[name]}">')
                self._open.append(name)

    def handle_endtag(self, tag: str) -> None:
        if tag in _SKIPPED:
            self._skipped = max(self._skipped - 1, 0)
        elif not self._skipped and self._table is not None:
            self._end_in_table(self._table, tag)
        elif not self._skipped:
            name = _SAME.get(tag, tag)
            if name in self._open:
                while (last := self._open.pop()) != name:
                    self.parts.append(f"</{last}>")
                self.parts.append(f"</{name}>")

    def handle_data(self, data: str) -> None:
        if self._skipped:
            return
        if self._table is None:
            text = inert_text(data)
            if text.strip() and not self._open:
                text = f'<p style="{_STYLES["p"]}">{html.escape(text.strip())}</p>'
                self.parts.append(text)
            else:
                self.parts.append(html.escape(text))
        elif self._table.cells:
            self._table.cells[-1] += inert_text(data)

    def _in_table(self, table: _Table, tag: str) -> None:
        if tag == "tr":
            table.cells, table.is_heading = [], True
        elif tag in ("td", "th") and table.cells is not None:
            table.cells.append("")
            table.is_heading = table.is_heading and tag == "th"
        elif tag == "br" and table.cells:
            table.cells[-1] += " "

    def _end_in_table(self, table: _Table, tag: str) -> None:
        if tag == "tr" and table.cells is not None:
            row = [" ".join(cell.split()) for cell in table.cells]
            (table.head if table.is_heading and not table.rows else table.rows).append(row)
            table.cells = None
        elif tag == "table":
            self.parts.append(table_html(table.head[-1] if table.head else [], table.rows))
            self._table = None

    def _picture(self, given: dict[str, str]) -> str:
        found = _DATA_PICTURE.match(given.get("src", ""))
        alt = html.escape(inert_text(given.get("alt", "")))
        if found is None:
            return f'<p style="{_STYLES["p"]}">[{alt}]</p>' if alt else ""
        content = base64.b64decode(found[2])
        picture = Picture(
            cid=f"picture-{len(self.pictures) + 1}@crm-lab", mime=found[1], content=content
        )
        self.pictures.append(picture)
        shown = given.get("width", "")
        asked = int(shown) if shown.isdigit() else _png_width(content)
        width = min(asked or WIDTH, WIDTH)
        return (
            f'<img src="cid:{picture.cid}" alt="{alt}" width="{width}" style="display:block;'
            f"width:100%;max-width:{width}px;height:auto;margin:0 0 16px;background:{PAPER};"
            f'border:0">'
        )


def restyled(clean: str, pictures: list[Picture]) -> str:
    """Write clean HTML for mail programs.

    Parameters
    ----------
    clean : str
        Balanced HTML without scripts.
    pictures : list of Picture
        Gets every picture of it; the HTML refers to them by ``cid:``.
    """
    parser = _Restyler(pictures)
    parser.feed(clean)
    parser.close()
    return "".join(parser.parts)


def table_html(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table for mail programs; one that is too wide as one small table per row."""
    if not rows:
        return ""
    count = max(len(row) for row in rows)
    widths = [
        min(max((len(row[place]) for row in [head, *rows] if place < len(row)), default=0), 60)
        for place in range(count)
    ]
    is_wide = count > _MOST_COLUMNS or (
        count > 2 and sum(min(width, _LONGEST_CELL) + 2 for width in widths) > _WIDEST_ROW
    )
    if is_wide and len(head) == count:
        return "".join(_stacked(head, row) for row in rows)
    is_number = [
        all(not row[place] or _NUMBER.match(row[place]) for row in rows if place < len(row))
        for place in range(count)
    ]
    headings = "".join(
        _cell("th", text, right=place > 0 and is_number[place])
        for place, text in enumerate(head[:count])
    )
    body = "".join(
        "<tr>"
        + "".join(
            _cell("td", text, right=place > 0 and is_number[place])
            for place, text in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return _boxed((f"<tr>{headings}</tr>" if headings else "") + body)


def _stacked(head: Sequence[str], row: Sequence[str]) -> str:
    lines = [
        f"<tr>{_cell('th', name, quiet=True)}{_cell('td', text)}</tr>"
        for name, text in zip(head, row, strict=False)
        if text
    ]
    return _boxed("".join(lines))


def _boxed(rows: str) -> str:
    return (
        f'<table cellpadding="0" cellspacing="0" border="0" width="100%" '
        f'style="border-collapse:collapse;width:100%;margin:0 0 16px;'
        f'border-top:1px solid {LINE_COLOUR}">{rows}</table>'
    )


def _cell(tag: str, text: str, *, right: bool = False, quiet: bool = False) -> str:
    align = "right" if right else "left"
    weight = "bold" if tag == "th" and not quiet else "normal"
    colour = QUIET_COLOUR if quiet else TEXT_COLOUR
    scope = (' scope="row"' if quiet else ' scope="col"') if tag == "th" else ""
    width = ' width="38%"' if quiet else ""
    return (
        f'<{tag}{scope}{width} align="{align}" valign="top" bgcolor="{PAPER}" style="{FONT};'
        f"font-size:13px;line-height:18px;font-weight:{weight};text-align:{align};color:{colour};"
        f"background:{PAPER};padding:5px 8px 5px 0;border-bottom:1px solid {LINE_COLOUR}"
        f'">{_breakable(text)}</{tag}>'
    )


def _breakable(text: str) -> str:
    """Escape a text; a word too long for its column may break where it is cut here."""
    return " ".join(
        "<wbr>".join(
            html.escape(word[start : start + _LONGEST_WORD])
            for start in range(0, len(word), _LONGEST_WORD)
        )
        for word in text.split(" ")
    )


def _png_width(content: bytes) -> int:
    """Read the width that a PNG says at its beginning; half of it, since charts are sharp."""
    if content[:8] != b"\x89PNG\r\n\x1a\n" or len(content) < 24:
        return 0
    width: int = struct.unpack(">I", content[16:20])[0]
    return width // 2 if width > WIDTH else width
