"""From an executed notebook to the body of a page: text, cards and charts, and never code."""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crm_lab.cards import NARROW_MIME, RESULT_MIME
from crm_lab.headlines import bar_svg, without_verdict
from crm_lab.language import say
from crm_lab.reports import wording
from crm_lab.reports.cleaning import clean_html, markdown_html, text_of
from crm_lab.reports.notebooks import HIDE_TAG, SHOW_STDOUT_TAG, tags
from crm_lab.reports.pictures import smaller_png
from crm_lab.reports.staging import slug
from crm_lab.reports.tables import dressed

_HEADING = re.compile(r"<h([1-6])[^>]*>(.*?)</h\1>", re.DOTALL)
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_OBJECT = re.compile(
    r"\s*[\[(]?\s*(<[^<>]*( at 0x| object|Axes|Figure|matplotlib)|Text\(|\[<).*", re.S
)
_MORE_ROWS = re.compile(r'<p class="crm-more">([^<\d]*[\d][\d,\u00a0]*)[^<]*</p>')
_VERDICT = re.compile(r'<p class="crm-verdict crm-(\w+)">(.*?)</p>', re.DOTALL)
_NUMBER = re.compile(r'<p class="crm-number">.*?</p>', re.DOTALL)
_BESIDE = re.compile(r'<p class="crm-beside">.*?</p>', re.DOTALL)
_AMOUNT = re.compile(r"(.*?) (\(.*\))(.*)", re.DOTALL)
_PICTURES = ("image/png", "image/jpeg", "image/svg+xml")
_NARROW = "(max-width:560px)"
"""Windows in which a plot's narrow drawing is shown."""
_HEADING_ALONE = re.compile(r'<h2 id="([^"]*)">[^\n]*</h2>')
_TOP_LEVEL, _OUTPUT_LEVEL = 2, 3
WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
HEADLINE_CHART_TAG = "headline-chart"
_ALT_LIMIT = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """What a page says before its body; every part clean HTML or plain text, empty where none.

    Attributes
    ----------
    about : str
        What was tried, on whom and when.
    numbers, lights, chart : str
        The one number with its bar, the checks, the one chart.
    """

    about: str = ""
    numbers: str = ""
    lights: str = ""
    chart: str = ""


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
    lead : Lead
        What stands before it.
    """

    html: str
    first_heading: str
    contents: tuple[tuple[str, str], ...]
    lead: Lead


@dataclass(slots=True)
class _Writer:
    leading: Any = None
    parts: list[str] = field(default_factory=list)
    contents: list[tuple[str, str]] = field(default_factory=list)
    first_heading: str = ""
    heading: str = ""
    subject: str = ""
    chart: str = ""
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

    def code(self, cell: Any, *, lifts_chart: bool) -> None:
        """Write the outputs of a code cell; the chart of a page goes to its top."""
        show = SHOW_STDOUT_TAG in tags(cell)
        written = [self.output(output, show_stdout=show) for output in cell.outputs]
        if lifts_chart and HEADLINE_CHART_TAG in tags(cell) and not self.chart:
            charts = [part for part in written if part.startswith("<figure")]
            self.chart = "".join(charts[:1])
            written = [part for part in written if part not in charts[:1]]
        self.parts += written

    def output(self, output: Any, *, show_stdout: bool) -> str:
        """Write one output in its richest inert form; errors and warnings are never shown."""
        if output.output_type == "stream":
            if output.name != "stdout" or not show_stdout or not output.text.strip():
                return ""
            return f'<pre class="printed" tabindex="0">{_escaped(output.text)}</pre>'
        if output.output_type not in ("display_data", "execute_result"):
            return ""
        data: Mapping[str, Any] = output.data
        if WIDGET_MIME in data:
            return ""  # a progress bar or a control: it lives in JupyterLab only
        for mime in _PICTURES:
            if mime in data:
                narrow = data.get(NARROW_MIME, "")
                return self._picture(mime, data[mime], output.get("metadata", {}), narrow=narrow)
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
            clean = self._card(clean, payload)
            if payload is self.leading and "<table" not in clean:
                return ""  # the top of the page has said it all
        clean = _MORE_ROWS.sub(_more_rows, clean)
        return dressed(_HEADING.sub(self._card_heading, clean))

    def _card(self, clean: str, payload: Mapping[str, Any]) -> str:
        """Put numbers and lights into a card; what stands at the top of the page leaves it."""
        word = verdict_of(payload)
        shown = without_verdict(self.subject, word) if word else self.subject
        paragraphs = (
            f"<p>{clean_html(html.escape(t, quote=False))}</p>" for t in (shown, self.subject)
        )
        said = next((each for each in paragraphs if each in clean), "")
        if payload is self.leading:
            for part in (_VERDICT, _NUMBER, _BESIDE):
                clean = part.sub("", clean)
            return clean.replace(said, "", 1) if said else clean
        clean = _VERDICT.sub(r'<p class="pill tone-\1">\2</p>', clean)
        figures = numbers_html(payload)
        if figures:
            clean = _BESIDE.sub("", _NUMBER.sub(lambda _: figures, clean, count=1))
        return clean.replace(said, said + lights(payload), 1) if said else clean + lights(payload)

    def _card_heading(self, found: re.Match[str]) -> str:
        """Write the title of a card, unless the heading above it has just said the same."""
        if text_of(found[2]) == self.heading:
            return ""
        return f'<h{_OUTPUT_LEVEL} class="card-title">{found[2]}</h{_OUTPUT_LEVEL}>'

    def _picture(
        self, mime: str, content: Any, metadata: Mapping[str, Any], *, narrow: Any = ""
    ) -> str:
        own = metadata.get(mime, {})
        own = own if isinstance(own, Mapping) else {}
        alt = own.get("alt") or metadata.get("alt") or self._default_alt()
        text = _joined(content)
        if mime == "image/svg+xml":
            encoded = base64.b64encode(text.encode()).decode()
        else:
            encoded = re.sub(r"[^A-Za-z0-9+/=]", "", text)
        if mime == "image/png":
            encoded = _reduced(encoded)
        width = own.get("width")
        size = f' width="{width}"' if isinstance(width, int) and not isinstance(width, bool) else ""
        about = html.escape(str(alt)[:_ALT_LIMIT])
        picture = f'<img alt="{about}"{size} src="data:{mime};base64,{encoded}">'
        if narrow:
            drawn = _reduced(re.sub(r"[^A-Za-z0-9+/=]", "", _joined(narrow)))
            source = f'<source media="{_NARROW}" srcset="data:image/png;base64,{drawn}">'
            picture = f"<picture>{source}{picture}</picture>"
        return f'<figure class="chart">{picture}</figure>'

    def _default_alt(self) -> str:
        about = ". ".join(part.rstrip(".") for part in (self.heading, self.subject) if part)
        return say(wording.CHART_ABOUT, about=about) if about else say(wording.CHART)


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
    writer = _Writer(leading=leading_result(notebook) if stop_at is None else None)
    for index, cell in enumerate(notebook.cells):
        if HIDE_TAG not in tags(cell):
            if cell.cell_type == "markdown":
                text = dressed(writer.markdown(cell.source, top=_TOP_LEVEL))
                writer.parts.append(text)
            elif cell.cell_type == "code":
                writer.code(cell, lifts_chart=stop_at is None)
        if index == stop_at:
            stopped = html.escape(say(wording.STOPPED_HERE))
            writer.parts.append(f'<p class="stopped">{stopped}</p>')
            break
    parts, contents = _without_empty(writer.parts, writer.contents)
    leading: Mapping[str, Any] = writer.leading or {}
    return Body(
        html="\n".join(parts),
        first_heading=writer.first_heading,
        contents=contents,
        lead=Lead(
            about=str(leading.get("about", "")),
            numbers=numbers_html(leading),
            lights=lights(leading),
            chart=writer.chart,
        ),
    )


def _without_empty(
    parts: Sequence[str], contents: Sequence[tuple[str, str]]
) -> tuple[list[str], tuple[tuple[str, str], ...]]:
    """Leave out a section that holds nothing but its heading, since its chart has moved up."""
    kept: list[str] = []
    gone: set[str] = set()
    for part in reversed([part for part in parts if part.strip()]):
        alone = _HEADING_ALONE.fullmatch(part.strip())
        follows = not kept or kept[-1].lstrip().startswith(f"<h{_TOP_LEVEL} ")
        if alone and follows:
            gone.add(alone[1])
        else:
            kept.append(part)
    return kept[::-1], tuple(entry for entry in contents if entry[0] not in gone)


def numbers_html(payload: Mapping[str, Any]) -> str:
    """Write the numbers of a result: the first large with its bar, the others beside it.

    Parameters
    ----------
    payload : mapping
        A displayed result. It may carry ``numbers`` (as ``HeadlineNumber.to_dict`` gives them), or
        one ``number`` as text, with its ``number_label``.
    """
    found = payload.get("numbers")
    numbers = (
        [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []
    )
    if not numbers:
        text, label = payload.get("number", ""), payload.get("number_label", "")
        numbers = [{"label": label, "text": text}] if text else []
    if not numbers:
        return ""
    first, *others = (_number_html(each) for each in numbers)
    beside = f'<div class="beside">{"".join(others)}</div>' if others else ""
    return f'<div class="figures">{first}{beside}</div>'


def _number_html(number: Mapping[str, Any]) -> str:
    label, text, note = (html.escape(str(number.get(key, ""))) for key in ("label", "text", "note"))
    parts = _AMOUNT.fullmatch(text)
    amount = (
        f'<span class="amount">{parts[1]}</span> <span class="range">{parts[2]}</span>{parts[3]}'
        if parts
        else f'<span class="amount">{text}</span>'
    )
    above = f'<p class="what">{label}</p>' if label else ""
    below = f'<p class="note">{note}</p>' if note else ""
    return f'<div class="figure">{above}<p>{amount}</p>{bar_svg(number)}{below}</div>'


def _more_rows(found: re.Match[str]) -> str:
    count = int(re.sub(r"\D", "", found[1]))
    return f'<p class="crm-more">{html.escape(wording.more_rows(count))}</p>'


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


def leading_result(notebook: Any) -> Mapping[str, Any] | None:
    """Give the result that stands at the top of the page: the first verdict, else the first."""
    payloads = [
        output.data[RESULT_MIME]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if isinstance(output.get("data", {}).get(RESULT_MIME), Mapping)
    ]
    return next((each for each in payloads if verdict_of(each)), next(iter(payloads), None))


def verdict_of(payload: Mapping[str, Any]) -> str:
    """Give the verdict word of a displayed result, or nothing."""
    data = payload.get("data")
    return str(data.get("verdict") or "") if isinstance(data, Mapping) else ""


def _reduced(encoded: str) -> str:
    try:
        png = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return encoded
    return base64.b64encode(smaller_png(png)).decode()


def _joined(content: Any) -> str:
    return "".join(content) if isinstance(content, list) else str(content)


def _escaped(text: str) -> str:
    return html.escape(_ANSI.sub("", text).strip("\n"))
