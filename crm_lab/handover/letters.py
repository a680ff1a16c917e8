"""A published report as an e-mail: one ``.eml`` to send, and its HTML for a sending service."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

from crm_lab import formats
from crm_lab.handover.folders import Handover, good_manifest_of, hand_over
from crm_lab.handover.inert import inert_text, one_line
from crm_lab.handover.letter_html import (
    FONT,
    PAPER,
    QUIET_COLOUR,
    TEXT_COLOUR,
    WIDTH,
    Picture,
    restyled,
    table_html,
)
from crm_lab.headlines import Tone, verdict_look
from crm_lab.language import say, using_language
from crm_lab.reports.manifest import EXECUTED_NAME, MANIFEST_NAME, Manifest
from crm_lab.reports.notebooks import digest, read_notebook
from crm_lab.reports.numbers import main_result
from crm_lab.reports.rendering import Body, render_body

MESSAGE_NAME = "report.eml"
HTML_NAME = "report.html"
MOST_HTML_BYTES = 90_000
"""Mail programs cut what is longer than about 100 KB."""
_TONES: Mapping[Tone, str] = {
    "good": "#0f7346",
    "bad": "#b42323",
    "wait": "#2161ab",
    "unsure": "#8a5800",
    "neutral": "#55626f",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A report as a letter.

    Attributes
    ----------
    subject : str
        Title and verdict, on one line.
    html : str
        The letter; its pictures are referred to by ``cid:``.
    text : str
        The same for programs that show no HTML, without the tables.
    pictures : tuple of Picture
        In order.
    written_at : datetime
        When the report ran.
    """

    subject: str
    html: str
    text: str
    pictures: tuple[Picture, ...]
    written_at: datetime

    def standalone(self) -> str:
        """Give the HTML with its pictures in it."""
        page = self.html
        for picture in self.pictures:
            page = page.replace(f"cid:{picture.cid}", picture.data_url)
        return page

    def message(self) -> EmailMessage:
        """Give the e-mail; without sender and recipient, so that it opens as a draft."""
        message = EmailMessage(policy=SMTP)
        message["Subject"] = self.subject
        message["Date"] = self.written_at
        message["X-Unsent"] = "1"
        message.set_content(self.text)
        message.add_alternative(self.html, subtype="html")
        page: Any = message.get_body(("html",))
        for number, picture in enumerate(self.pictures, start=1):
            main, _, sub = picture.mime.partition("/")
            page.add_related(
                picture.content,
                main,
                sub,
                cid=f"<{picture.cid}>",
                disposition="inline",
                filename=f"picture-{number}.{sub}",
            )
        return message


def write_email(run_folder: Path, folder: Path, *, replace: bool = False) -> Handover:
    """Write a published run as an e-mail and as the HTML of one.

    Parameters
    ----------
    run_folder : Path
        A published run.
    folder : Path
        The folder to make.
    replace : bool, default False
        Whether an earlier hand-over in this folder gives way.

    Raises
    ------
    ReportError
        There is no such run, it failed, or the folder is there already.
    """
    manifest = good_manifest_of(run_folder)
    letter = compose(manifest, read_notebook(run_folder / EXECUTED_NAME))

    def write(place: Path) -> None:
        (place / MESSAGE_NAME).write_bytes(letter.message().as_bytes())
        (place / HTML_NAME).write_text(letter.standalone(), encoding="utf-8")

    return hand_over(
        folder,
        write,
        kind="email",
        source=manifest.run_id,
        facts={
            "title": manifest.title,
            "manifest_sha256": digest(run_folder / MANIFEST_NAME),
            "pictures": len(letter.pictures),
        },
        replace=replace,
    )


def compose(manifest: Manifest, executed: Any) -> Letter:
    """Write the letter of a run in the language of its page."""
    with using_language(manifest.language):
        body = render_body(executed)
        top = _Top.of(manifest, body)
        pictures: list[Picture] = []
        chart = restyled(body.lead.chart, pictures)
        sections = _fitting(body.html, pictures, room=MOST_HTML_BYTES - len(chart))
        return Letter(
            subject=one_line(": ".join(part for part in (manifest.title, top.verdict) if part)),
            html=_page(top, chart + sections, language=manifest.language),
            text=top.as_text(),
            pictures=tuple(pictures),
            written_at=manifest.finished_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Top:
    """What a letter says first, in plain words."""

    title: str
    about: str
    verdict: str
    tone: Tone
    sentence: str
    numbers: tuple[str, ...]
    lights: tuple[tuple[str, str], ...]
    changes: str
    source: str

    @classmethod
    def of(cls, manifest: Manifest, body: Body) -> _Top:
        look = verdict_look(manifest.verdict.word) if manifest.verdict else None
        main = main_result(manifest.results)
        shown: Mapping[str, Any] = main[1] if main else {}
        snapshot = manifest.context.get("snapshot")
        ran = formats.minute(manifest.started_at)
        return cls(
            title=one_line(manifest.title),
            about=inert_text(body.lead.about),
            verdict=look.word if look else "",
            tone=look.tone if look else "neutral",
            sentence=inert_text(manifest.headline),
            numbers=tuple(inert_text(line) for line in _numbers(shown)),
            lights=tuple(_lights(shown)),
            changes=inert_text(manifest.changes_sentence),
            source=say(
                "Run {run} of {when} UTC, data snapshot {snapshot}.",
                run=manifest.run_id,
                when=ran,
                snapshot=snapshot,
            )
            if snapshot
            else say("Run {run} of {when} UTC.", run=manifest.run_id, when=ran),
        )

    def as_text(self) -> str:
        lights = [f"- {name}: {word}" for name, word in self.lights]
        blocks = [
            self.title,
            self.about,
            f"{self.verdict}. {self.sentence}" if self.verdict else self.sentence,
            "\n".join(self.numbers),
            "\n".join([say("Can it be trusted?"), *lights]) if lights else "",
            self.changes,
            self.source,
        ]
        return "\n\n".join(block for block in blocks if block) + "\n"


def _numbers(result: Mapping[str, Any]) -> list[str]:
    shown = result.get("numbers")
    if isinstance(shown, list) and shown:
        return [
            ". ".join(
                part
                for part in (
                    f"{number.get('label', '')}: {number.get('text', '')}",
                    str(number.get("note", "")),
                )
                if part
            )
            for number in shown
            if isinstance(number, Mapping)
        ]
    label, text = str(result.get("number_label", "")), str(result.get("number", ""))
    return [f"{label}: {text}" if label else text] if text else []


def _lights(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    data = result.get("data")
    found = data.get("lights") if isinstance(data, Mapping) else None
    return [
        (inert_text(str(light.get("name", ""))), inert_text(str(light.get("word", ""))))
        for light in (found if isinstance(found, list) else [])
        if isinstance(light, Mapping)
    ]


def _fitting(body: str, pictures: list[Picture], *, room: int) -> str:
    """Write the sections of a body as far as there is room, and say what is left out."""
    written: list[str] = []
    for section in _sections(body):
        with_own = [*pictures]
        part = restyled(section, with_own)
        if len(part.encode()) > room:
            note = say("The rest stands in the report itself.")
            written.append(
                f'<p style="{_paragraph(15)};color:{QUIET_COLOUR}">{html.escape(note)}</p>'
            )
            break
        room -= len(part.encode())
        written.append(part)
        pictures[:] = with_own
    return "".join(written)


def _sections(body: str) -> list[str]:
    first, *others = body.split("<h2 ")
    return [part for part in (first, *(f"<h2 {other}" for other in others)) if part.strip()]


def _page(top: _Top, content: str, *, language: str) -> str:
    parts = [
        f'<h1 style="{FONT};font-size:24px;line-height:30px;margin:0 0 8px;color:{TEXT_COLOUR}">'
        f"{html.escape(top.title)}</h1>"
    ]
    if top.about:
        parts.append(_said(top.about, size=14, colour=QUIET_COLOUR))
    if top.verdict:
        parts.append(
            '<table cellpadding="0" cellspacing="0" border="0" role="presentation"><tr>'
            f'<td bgcolor="{_TONES[top.tone]}" style="{FONT};background:{_TONES[top.tone]};'
            "color:#ffffff;font-size:16px;line-height:22px;font-weight:bold;padding:6px 14px;"
            f'border-radius:4px">{html.escape(top.verdict)}</td></tr></table>'
            '<div style="font-size:0;line-height:12px;height:12px">&nbsp;</div>'
        )
    if top.sentence:
        parts.append(_said(top.sentence, size=16))
    for place, line in enumerate(top.numbers):
        parts.append(_said(line, size=14 if place else 20, bold=place == 0))
    if top.lights:
        trust = say("Can it be trusted?")
        rows = [[name, word] for name, word in top.lights]
        parts += [_said(trust, size=15, bold=True), table_html([], rows)]
    if top.changes:
        parts.append(_said(top.changes, size=14, colour=QUIET_COLOUR))
    foot = _said(top.source, size=12, colour=QUIET_COLOUR)
    return (
        f'<!DOCTYPE html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        '<meta name="supported-color-schemes" content="light dark">'
        f"<title>{html.escape(top.title)}</title></head>"
        f'<body style="margin:0;padding:0;background:{PAPER};color:{TEXT_COLOUR}" '
        f'bgcolor="{PAPER}">'
        '<table role="presentation" align="center" cellpadding="0" cellspacing="0" border="0" '
        f'width="100%" style="max-width:{WIDTH + 40}px;margin:0 auto;background:{PAPER}">'
        f'<tr><td bgcolor="{PAPER}" style="padding:20px;background:{PAPER};color:{TEXT_COLOUR}">'
        f"{''.join(parts)}{content}{foot}</td></tr></table></body></html>\n"
    )


def _said(text: str, *, size: int, colour: str = TEXT_COLOUR, bold: bool = False) -> str:
    weight = ";font-weight:bold" if bold else ""
    return f'<p style="{_paragraph(size)};color:{colour}{weight}">{html.escape(text)}</p>'


def _paragraph(size: int) -> str:
    return f"{FONT};font-size:{size}px;line-height:{round(size * 1.45)}px;margin:0 0 12px"
