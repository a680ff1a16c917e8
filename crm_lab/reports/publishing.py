"""The page of a run: one file, no script, nothing loaded from elsewhere."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from crm_lab import formats
from crm_lab.cards import CARD_CSS
from crm_lab.language import label, say, using_language
from crm_lab.reports import wording
from crm_lab.reports.differences import change_text
from crm_lab.reports.manifest import EXECUTED_NAME, MANIFEST_NAME, Change, ChangeKind, Manifest
from crm_lab.reports.rendering import Body, render_body

PAGE_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'"
)
_PRINTED_APART = {"data_from", "data_to", "snapshot", "seed", "workbench", "about_the_data"}
_CONTENTS_FROM = 3
_DIGEST_SHOWN = 12
_TOLD: tuple[ChangeKind, ...] = ("verdict", "number", "data", "parameter", "plan", "language")
"""Kinds of change at the top of a page; versions of code and packages stand at its end."""
_TO_KEEP_TOGETHER = re.compile(
    r"(?<=\d) (?=%)|(?<=\bp) (?=(?:=|&lt;) ?\d)|(?<=\bp =) (?=\d)|(?<=&lt;) (?=\d)"
)
"""Spaces at which a line must not end: before a percent sign, within a p-value."""
_DAY = re.compile(r"\b\d{4}-\d\d-\d\d\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of small print: a label and what it says."""

    label: str
    value: str


def render_page(executed: Any, manifest: Manifest, *, stopped_at: int | None = None) -> str:
    """Render the HTML page of a run.

    Parameters
    ----------
    executed : NotebookNode
        The notebook with its outputs.
    manifest : Manifest
        Everything else that the page says.
    stopped_at : int, optional
        The cell at which a failed run stopped.
    """
    with using_language(manifest.language):
        page = _page(render_body(executed, stop_at=stopped_at), manifest)
    return _TO_KEEP_TOGETHER.sub("\N{NO-BREAK SPACE}", page)


def _page(body: Body, manifest: Manifest) -> str:
    verdict = manifest.verdict
    look, sentence = None, ""
    if manifest.error is not None:
        look, sentence = wording.failed_look(), f"{manifest.error.type}: {manifest.error.message}"
    elif verdict is not None:
        look, sentence = wording.verdict_look(verdict.word), verdict.sentence
    kicker = body.first_heading if body.first_heading != manifest.title else ""
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            w=wording,
            language=manifest.language,
            policy=PAGE_POLICY,
            css=page_css(),
            manifest=manifest,
            kicker=kicker or wording.kind_text(manifest.kind),
            look=look,
            sentence=sentence,
            small_print=small_print(manifest),
            about_the_data=manifest.context.get("about_the_data") or "",
            about=body.lead.about,
            numbers=Markup(body.lead.numbers),
            chart=Markup(body.lead.chart),
            lights=Markup(body.lead.lights),
            changes=[change_text(change) for change in _told(manifest.changes)],
            body=Markup(body.html),
            contents=body.contents if len(body.contents) >= _CONTENTS_FROM else (),
            facts=method_facts(manifest),
            parameters=[
                Fact(label=name, value=written(value))
                for name, value in manifest.parameters.items()
            ],
            manifest_name=MANIFEST_NAME,
            executed_name=EXECUTED_NAME,
        )
    )


def _told(changes: Iterable[Change]) -> list[Change]:
    """Give what a reader of the top of a page asks for: what came out first, then what went in."""
    told = [change for change in changes if change.kind in _TOLD]
    return sorted(told, key=lambda change: _TOLD.index(change.kind))


def small_print(manifest: Manifest) -> list[Fact]:
    """Give what stands under the title: period and snapshot of the data, time, status."""
    context = manifest.context
    facts = []
    period = [_day(context[key]) for key in ("data_from", "data_to") if context.get(key)]
    if period:
        facts.append(Fact(label=say(wording.DATA_PERIOD), value=" – ".join(period)))
    if context.get("snapshot"):
        facts.append(Fact(label=say(wording.SNAPSHOT), value=written(context["snapshot"])))
    run = say(
        wording.RUN_TIME,
        moment=formats.minute(manifest.started_at),
        duration=wording.duration(manifest.duration_seconds),
    )
    facts.append(Fact(label=say(wording.RUN_AT), value=run))
    status = say(wording.STATUS_WORDS[manifest.status])
    facts.append(Fact(label=say(wording.STATUS), value=status))
    return facts


def _day(value: Any) -> str:
    """Write a day of the context, which is ISO text there."""
    try:
        return formats.day(date.fromisoformat(str(value)))
    except ValueError:
        return written(value)


def method_facts(manifest: Manifest) -> list[Fact]:
    """Give what the end of the page says about how the run was computed."""
    code = manifest.code
    version = code.version
    if code.commit:
        version += f" ({code.commit[:_DIGEST_SHOWN]})"
    if code.dirty:
        version += f", {say(wording.CODE_CHANGED)}"
    sha = manifest.notebook.sha256[:_DIGEST_SHOWN]
    packages = ", ".join(f"{name} {number}" for name, number in manifest.packages.items())
    seed = say(wording.NOT_STATED) if manifest.seed is None else str(manifest.seed)
    facts = [Fact(label=say(wording.RUN), value=manifest.run_id)]
    if manifest.previous_run_id:
        facts.append(Fact(label=say(wording.PREVIOUS_RUN), value=manifest.previous_run_id))
    technical = [change_text(each) for each in manifest.changes if each.kind not in _TOLD]
    if technical:
        changed = "; ".join(f"{what} {before} → {after}" for what, before, after in technical)
        facts.append(Fact(label=say(wording.CHANGED_SINCE), value=changed))
    facts += [
        Fact(label=say(wording.NOTEBOOK), value=f"{manifest.notebook.name} (sha256 {sha}…)"),
        Fact(label=say(wording.CODE), value=version),
        Fact(label=say(wording.SEED), value=seed),
    ]
    facts += [
        Fact(label=label(key), value=written(value))
        for key, value in manifest.context.items()
        if key not in _PRINTED_APART and not isinstance(value, (list, Mapping))
    ]
    python = f"Python {manifest.python}, {packages}"
    facts.append(Fact(label=say(wording.PACKAGES), value=python))
    return facts


def written(value: Any) -> str:
    """Write a JSON value for people."""
    if value is None:
        return say(wording.NONE_VALUE)
    if isinstance(value, bool):
        return say(wording.YES) if value else say(wording.NO)
    if isinstance(value, list):
        return ", ".join(written(item) for item in value) or say(wording.NONE_VALUE)
    return str(value)


@functools.cache
def environment() -> Environment:
    """Give the template environment: everything escaped, nothing undefined."""
    made = Environment(
        loader=PackageLoader("crm_lab.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["say"] = say
    made.filters["unbroken"] = unbroken
    made.filters["verdict_word"] = lambda word: wording.verdict_look(word).word
    return made


def unbroken(text: str) -> Markup:
    """Escape a text; a day such as 2026-12-01 gets no line break at its hyphens.

    Examples
    --------
    >>> print(unbroken("from 2026-12-01"))
    from <span class="day">2026-12-01</span>
    """
    return Markup(_DAY.sub(r'<span class="day">\g<0></span>', str(escape(text))))


@functools.cache
def page_css() -> Markup:
    """Give the style of all pages: the card's own and the page's, in that order."""
    source, _, _ = environment().loader.get_source(environment(), "pages.css")  # type: ignore[union-attr]
    return Markup(CARD_CSS + "\n" + source)
