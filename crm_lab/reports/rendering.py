"""From an executed notebook to the body of a page: text, cards and charts, and never code."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from crm_lab.cards import RESULT_MIME
from crm_lab.reports import wording
from crm_lab.reports.cleaning import clean_html, markdown_html, text_of
from crm_lab.reports.notebooks import HIDE_TAG, SHOW_STDOUT_TAG, tags
from crm_lab.reports.staging import slug
from crm_lab.reports.tables import dressed

_HEADING = re.compile(r"<h([1-6])[^>]*>(.*?)</h\1>", re.DOTALL)
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_OBJECT = re.compile(
    r"\s*[\[(]?\s*(<[^<>]*( at 0x| object|Axes|Figure|matplotlib)|Text\(|\[<).*", re.S
)
_MORE_ROWS = re.compile(r"([\d,]+) more rows in to_frame\(\)")
_PICTURES = ("image/png", "image/jpeg", "image/svg+xml")
_TOP_LEVEL, _OUTPUT_LEVEL = 2, 3
_ALT_LIMIT = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The body of a page.

    Attributes
    ----------
    html : str
        Clean HTML.
    first_heading : str
        Text of the notebook's H1, which the page prints as its title line.
    contents : tuple of (str, str)
        Anchor and text of each H2.
    """

    html: str
    first_heading: str
    contents: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Writer:
    said: str
    parts: list[str] = field(default_factory=list)
    contents: list[tuple[str, str]] = field(default_factory=list)
    first_heading: str = ""
    heading: str = ""
    subject: str = ""
    headings: int = 0

    def markdown(self, source: str, *, top: int) -> str:
        """Write Markdown; headings get anchors, and the first H1 of a page is taken out."""
        return _HEADING.sub(lambda found: self._anchor(found, top), markdown_html(source))

    def _anchor(self, found: re.Match[str], top: int) -> str:
        level, inner = int(found[1]), found[2]
        text = text_of(inner)
        self.heading, self.subject = text, ""
        if level == 1 and top == _TOP_LEVEL and not self.first_heading:
            self.first_heading = text
            return ""
        self.headings += 1
        level = max(level, top)
        anchor = f"s{self.headings}-{slug(text, default='section')}"
        if level == _TOP_LEVEL:
            self.contents.append((anchor, text))
        return f'<h{level} id="{anchor}">{inner}</h{level}>'

    def output(self, output: Any, *, show_stdout: bool) -> str:
        """Write one output in its richest inert form; errors and warnings are never shown."""
        if output.output_type == "stream":
            if output.name != "stdout" or not show_stdout or not output.text.strip():
                return ""
            return f'<pre class="printed" tabindex="0">{_escaped(output.text)}</pre>'
        if output.output_type not in ("display_data", "execute_result"):
            return ""
        data: Mapping[str, Any] = output.data
        for mime in _PICTURES:
            if mime in data:
                return self._picture(mime, data[mime], output.get("metadata", {}))
        if "text/html" in data:
            return self._html(_joined(data["text/html"]), data.get(RESULT_MIME))
        if "text/markdown" in data:
            text = self.markdown(_joined(data["text/markdown"]), top=_OUTPUT_LEVEL)
            return f'<div class="note">{dressed(text)}</div>'
        plain = _joined(data.get("text/plain", ""))
        if not plain.strip() or _OBJECT.match(plain):
            return ""
        return f'<pre class="printed" tabindex="0">{_escaped(plain)}</pre>'

    def _html(self, source: str, payload: Any) -> str:
        clean = clean_html(source)
        if isinstance(payload, Mapping):
            self.subject = str(payload.get("sentence", ""))
            said = f"<p>{clean_html(html.escape(self.subject, quote=False))}</p>"
            pills = lights(payload)
            if self.said and self.subject == self.said:
                self.said = ""
                clean = clean.replace(said, pills, 1)
                if "<table" not in clean and not pills:
                    return ""  # the top of the page has said it all
            else:
                clean = clean.replace(said, said + pills, 1)
        clean = _MORE_ROWS.sub(lambda found: wording.more_rows(found[1]), clean)
        return dressed(_HEADING.sub(self._card_heading, clean))

    def _card_heading(self, found: re.Match[str]) -> str:
        """Write the title of a card, unless the heading above it has just said the same."""
        if text_of(found[2]) == self.heading:
            return ""
        return f'<h{_OUTPUT_LEVEL} class="card-title">{found[2]}</h{_OUTPUT_LEVEL}>'

    def _picture(self, mime: str, content: Any, metadata: Mapping[str, Any]) -> str:
        own = metadata.get(mime, {})
        own = own if isinstance(own, Mapping) else {}
        alt = own.get("alt") or metadata.get("alt") or self._default_alt()
        text = _joined(content)
        if mime == "image/svg+xml":
            encoded = base64.b64encode(text.encode()).decode()
        else:
            encoded = re.sub(r"[^A-Za-z0-9+/=]", "", text)
        width = own.get("width")
        size = f' width="{width}"' if isinstance(width, int) and not isinstance(width, bool) else ""
        return (
            f'<figure class="chart"><img alt="{html.escape(str(alt)[:_ALT_LIMIT])}"{size} '
            f'src="data:{mime};base64,{encoded}"></figure>'
        )

    def _default_alt(self) -> str:
        about = ". ".join(part.rstrip(".") for part in (self.heading, self.subject) if part)
        return f"{wording.CHART}: {about}" if about else wording.CHART


def render_body(notebook: Any, *, stop_at: int | None = None) -> Body:
    """Render what a reader sees of an executed notebook.

    Parameters
    ----------
    notebook : NotebookNode
        With outputs. Cells tagged ``hide`` are left out; printed text shows only from cells
        tagged ``show-stdout``.
    stop_at : int, optional
        The cell at which a failed run stopped; what follows is left out.
    """
    writer = _Writer(said=headline_of(notebook) if stop_at is None else "")
    for index, cell in enumerate(notebook.cells):
        if HIDE_TAG not in tags(cell):
            if cell.cell_type == "markdown":
                text = dressed(writer.markdown(cell.source, top=_TOP_LEVEL))
                writer.parts.append(text)
            elif cell.cell_type == "code":
                show = SHOW_STDOUT_TAG in tags(cell)
                writer.parts += [writer.output(out, show_stdout=show) for out in cell.outputs]
        if index == stop_at:
            writer.parts.append(f'<p class="stopped">{html.escape(wording.STOPPED_HERE)}</p>')
            break
    return Body(
        html="\n".join(part for part in writer.parts if part.strip()),
        first_heading=writer.first_heading,
        contents=tuple(writer.contents),
    )


def lights(payload: Mapping[str, Any]) -> str:
    """Write the lights of a result: a row of words, each with glyph and colour.

    Parameters
    ----------
    payload : mapping
        A displayed result. Its data may carry ``lights``: a list of mappings with ``name``,
        ``word`` and ``tone`` (good, bad, wait, unsure, neutral).
    """
    data = payload.get("data")
    found = data.get("lights") if isinstance(data, Mapping) else None
    items = []
    for light in found if isinstance(found, list) else []:
        if isinstance(light, Mapping):
            tone = str(light.get("tone"))
            tone = tone if tone in wording.TONE_GLYPHS else "neutral"
            name, word = (html.escape(str(light.get(key, ""))) for key in ("name", "word"))
            items.append(
                f'<li class="pill tone-{tone}"><span aria-hidden="true">'
                f"{wording.TONE_GLYPHS[tone]}</span>{name}: {word}</li>"
            )
    return f'<ul class="lights">{"".join(items)}</ul>' if items else ""


def headline_of(notebook: Any) -> str:
    """Give the sentence for the top of the page: of the first verdict, else of the first result."""
    payloads = [
        output.data[RESULT_MIME]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if isinstance(output.get("data", {}).get(RESULT_MIME), Mapping)
    ]
    verdicts = [payload for payload in payloads if _is_verdict(payload)]
    first: Mapping[str, Any] = next(iter(verdicts or payloads), {})
    return str(first.get("sentence", ""))


def _is_verdict(payload: Mapping[str, Any]) -> bool:
    data = payload.get("data")
    return isinstance(data, Mapping) and bool(data.get("verdict"))


def _joined(content: Any) -> str:
    return "".join(content) if isinstance(content, list) else str(content)


def _escaped(text: str) -> str:
    return html.escape(_ANSI.sub("", text).strip("\n"))
