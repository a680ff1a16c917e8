"""The list of all runs as a page and as a feed; nothing on it needs its script but the filters."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from xml.etree import ElementTree

from markupsafe import Markup

from crm_lab import formats
from crm_lab.language import current_language, say
from crm_lab.reports import wording
from crm_lab.reports.catalogue import (
    DATA_NAME,
    FEED_NAME,
    ListedRun,
    decisions_taken,
    latest_good,
)
from crm_lab.reports.publishing import environment, page_css

SHOWN_FIRST = 50
"""Runs that the list shows before somebody searches or asks for all."""
_FEED_ENTRIES = 50
_ATOM = "http://www.w3.org/2005/Atom"


def render_index(runs: Sequence[ListedRun]) -> str:
    """Render the list; complete without its script, which only filters."""
    failed = sum(run.status != "ok" for run in runs)
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            w=wording,
            language=current_language(),
            policy=_policy(),
            css=page_css(),
            script=_script(),
            runs=runs,
            moments={run.page: formats.minute(run.started_at) for run in runs},
            latest=latest_good(runs),
            decisions=[(_day(taken.day), taken, run) for taken, run in decisions_taken(runs)],
            days={run.page: f"{run.started_at:%Y-%m-%d}" for run in runs},
            kinds=sorted({(run.kind_label, run.kind) for run in runs}),
            subjects=sorted({run.subject for run in runs if run.subject}),
            statuses=sorted({run.status for run in runs}),
            summary=wording.run_count(len(runs), failed),
            shown_first=SHOWN_FIRST,
            data_name=DATA_NAME,
            feed_name=FEED_NAME,
        )
    )


def _day(text: str) -> str:
    try:
        return formats.day(date.fromisoformat(text))
    except ValueError:
        return text


def render_feed(runs: Sequence[ListedRun]) -> str:
    """Render the newest runs as an Atom feed with relative links.

    Parameters
    ----------
    runs : sequence of ListedRun
        Newest first.
    """
    latest = runs[0].started_at if runs else datetime.fromtimestamp(0, tz=UTC)
    feed = ElementTree.Element("feed", {"xmlns": _ATOM, "xml:lang": current_language()})
    _add(feed, "title", say(wording.INDEX_TITLE))
    _add(feed, "id", "urn:crm-lab:reports")
    _add(feed, "updated", latest.isoformat())
    _add(feed, "link", None, rel="self", href=FEED_NAME)
    _add(_add(feed, "author", None), "name", "crm-lab")
    for run in runs[:_FEED_ENTRIES]:
        entry = _add(feed, "entry", None)
        look = run.look if run.status == "ok" else run.status_look
        _add(entry, "title", f"{run.title}: {look.word}" if look else run.title)
        _add(entry, "id", f"urn:crm-lab:run:{run.run_id}")
        _add(entry, "updated", run.started_at.isoformat())
        _add(entry, "link", None, href=run.page)
        _add(entry, "summary", run.headline or say(wording.NO_HEADLINE))
    return ElementTree.tostring(feed, encoding="unicode", xml_declaration=True) + "\n"


def _add(
    parent: ElementTree.Element, name: str, text: str | None, **attributes: str
) -> ElementTree.Element:
    child = ElementTree.SubElement(parent, name, attributes)
    child.text = None if text is None else _printable(text)
    return child


def _printable(text: str) -> str:
    """Leave out what XML cannot hold."""
    return "".join(c for c in text if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff"))


@functools.cache
def _script() -> Markup:
    source, _, _ = environment().loader.get_source(environment(), "index.js")  # type: ignore[union-attr]
    return Markup(source)


def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_script().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
