"""Every sentence and label that a reader of a page meets, in one place.

A second language is a second set of these constants; nothing else on a page is written elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TYPE_WORDS: dict[str, str] = {
    "bool": "true or false",
    "int": "a whole number of at most 64 bits",
    "float": "a finite number, written with a point",
    "str": "text",
    "date": "a date as YYYY-MM-DD",
}
"""What each type of a parameter accepts, as a message says it."""

Tone = Literal["good", "bad", "wait", "unsure", "neutral"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictLook:
    """How a verdict shows: a word, a glyph and a tone; the colour never stands alone.

    Attributes
    ----------
    word : str
        The verdict as it is printed.
    glyph : str
        One character that tells verdicts apart without colour.
    tone : str
        Name of the colour pair in the style sheet.
    """

    word: str
    glyph: str
    tone: Tone


VERDICTS: dict[str, VerdictLook] = {
    "ship": VerdictLook(word="Ship", glyph="✓", tone="good"),
    "stop": VerdictLook(word="Stop", glyph="✕", tone="bad"),
    "continue": VerdictLook(word="Continue", glyph="→", tone="wait"),
    "cannot conclude": VerdictLook(word="Cannot conclude", glyph="?", tone="unsure"),
    "not decided yet": VerdictLook(word="Not decided yet", glyph="→", tone="wait"),
    "crm pays for itself": VerdictLook(word="CRM pays for itself", glyph="✓", tone="good"),
    "crm brings more sales": VerdictLook(word="CRM brings more sales", glyph="✓", tone="good"),
    "crm brings more sales; whether it pays for itself cannot be told": VerdictLook(
        word="CRM brings more sales; whether it pays for itself cannot be told",
        glyph="?",
        tone="unsure",
    ),
    "crm does not pay for itself": VerdictLook(
        word="CRM does not pay for itself", glyph="✕", tone="bad"
    ),
    "crm costs sales": VerdictLook(word="CRM costs sales", glyph="✕", tone="bad"),
    "on plan": VerdictLook(word="On plan", glyph="✓", tone="good"),
    "behind": VerdictLook(word="Behind", glyph="!", tone="bad"),
    "cannot tell": VerdictLook(word="Cannot tell", glyph="?", tone="unsure"),
    "best known": VerdictLook(word="The best is known", glyph="✓", tone="good"),
    "order not certain": VerdictLook(word="The order is not certain", glyph="?", tone="unsure"),
    "publish": VerdictLook(word="Can be published", glyph="✓", tone="good"),
    "with care": VerdictLook(word="Use with care", glyph="!", tone="unsure"),
    "do not publish": VerdictLook(word="Do not publish", glyph="✕", tone="bad"),
    "enough": VerdictLook(word="It can see enough", glyph="✓", tone="good"),
    "only large effects": VerdictLook(word="It sees only large effects", glyph="!", tone="unsure"),
    "hopeless": VerdictLook(word="Hopeless like this", glyph="!", tone="unsure"),
    "cannot be said": VerdictLook(word="Cannot be said", glyph="?", tone="unsure"),
    "information": VerdictLook(word="For information", glyph="i", tone="neutral"),
}
"""The verdicts that a result may carry under the key ``verdict``."""

TONE_GLYPHS: dict[str, str] = {
    "good": "✓",
    "bad": "✕",
    "wait": "→",
    "unsure": "?",
    "neutral": "•",
}
"""Glyph of a light on a page, so that its colour never stands alone."""

FAILED_LOOK = VerdictLook(word="Failed", glyph="!", tone="bad")


def verdict_look(word: str) -> VerdictLook:
    """Give the look of a verdict word; an unknown word is printed as it is, in neutral colour."""
    known = VERDICTS.get(word.strip().lower())
    return known or VerdictLook(word=word.strip(), glyph="•", tone="neutral")


LANGUAGE = "en"

# Labels of a report page.
ALL_REPORTS = "All reports"
ON_THIS_PAGE = "On this page"
METHOD_AND_DATA = "Method and data"
DATA_PERIOD = "Data"
SNAPSHOT = "Snapshot"
RUN_AT = "Run"
TOOK = "took"
STATUS = "Status"
STATUS_WORDS = {"ok": "Complete", "failed": "Failed", "unreadable": "Unreadable"}
RUN = "Run id"
NOTEBOOK = "Notebook"
CODE = "Code version"
CODE_CHANGED = "with uncommitted changes"
SEED = "Seed"
PACKAGES = "Packages"
PARAMETERS = "Parameters"
PARAMETER_NAME = "Parameter"
PARAMETER_VALUE = "Value"
MANIFEST_LINK = "Everything on this page as data (manifest.json)"
NOTEBOOK_LINK = "The executed notebook with its code (executed.ipynb)"
NOT_STATED = "not stated"
NONE_VALUE = "none"
YES, NO = "yes", "no"
CHART = "Chart"
TABLE = "Table"
STOPPED_HERE = "The run stopped here. What follows in the notebook was not computed."
FAILURE_PLACE = "Section"
FAILURE_TRACE = "Where in the code"
GOOD_RUN_STAYS = "The last good run of this report is unchanged; the list of reports leads to it."
SKIP_TO_CONTENT = "Skip to the content"


def more_rows(count: str) -> str:
    """Say how many rows of a table a page leaves out."""
    return f"{count} more rows are not shown here."


# Why a run failed.
EXIT_MESSAGE = "The notebook ended itself (exit); a report runs to its last cell."
KERNEL_DIED_MESSAGE = (
    "The process that computed the report died: killed from outside, out of memory, or crashed."
)
NOT_EXECUTED_MESSAGE = "A cell of the notebook was not executed."


def timeout_message(seconds: float) -> str:
    """Say that the run was stopped by its time limit."""
    return f"The run was stopped after its limit of {seconds:,g} seconds."


def output_message(limit_bytes: int) -> str:
    """Say that the run was stopped because it printed too much."""
    return f"The run was stopped: its outputs exceed the limit of {limit_bytes / 1e6:,.0f} MB."


# Labels of the list of reports.
MANIFEST_SHORT = "manifest"
UTC = "UTC"
INDEX_TITLE = "Reports"
LATEST = "Latest good run of each report"
EVERY_RUN = "All runs"
NO_RUNS = "No report has run yet."
NO_GOOD_RUNS = "No report has completed yet."
SEARCH = "Search"
SEARCH_HINT = "title, verdict, message"
ANY_KIND = "All kinds"
ANY_STATUS = "Any status"
KIND = "Kind"
NO_MATCH = "No run matches."
NEWER_FAILED = "A newer run failed"
OPEN = "Open"
UNREADABLE_MESSAGE = "The manifest of this run cannot be read."
NO_HEADLINE = "The report has no headline."
INDEX_COLUMNS = ("When (UTC)", "Report", "Status", "Result", "Files")


def run_count(total: int, failed: int) -> str:
    """Say how many runs there are and how many of them failed."""
    runs = f"{total:,} run" if total == 1 else f"{total:,} runs"
    return f"{runs}, {failed:,} failed" if failed else runs


def duration(seconds: float) -> str:
    """Write a duration as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def run_sentence(
    *, title: str, seconds: float, page: str, verdict: str | None, error: str | None
) -> str:
    """Say how a run ended and where its page is."""
    if error is not None:
        return f"{title} failed after {duration(seconds)}: {error} Its page: {page}"
    said = f" {verdict_look(verdict).word}." if verdict else ""
    return f"{title} is published ({duration(seconds)}).{said} Its page: {page}"
