"""Every sentence and label that a reader of a page meets, in one place.

Constants are English and marked for the catalogue; a template says them (``| say``).
"""

from __future__ import annotations

from crm_lab import formats
from crm_lab.headlines import VERDICTS, Tone, VerdictLook, verdict_look
from crm_lab.language import label, message, say, say_many

__all__ = ["VERDICTS", "Tone", "VerdictLook", "verdict_look"]

TYPE_WORDS: dict[str, str] = {
    "bool": message("true or false"),
    "int": message("a whole number of at most 64 bits"),
    "float": message("a finite number, written with a point"),
    "str": message("text"),
    "date": message("a date as YYYY-MM-DD"),
}
"""What each type of a parameter accepts, as a message says it."""

TONE_GLYPHS: dict[str, str] = {
    "good": "✓",
    "bad": "✕",
    "wait": "→",
    "unsure": "?",
    "neutral": "•",
}
"""Glyph of a light on a page, so that its colour never stands alone."""


KIND_WORDS: dict[str, str] = {
    "customer_base": message("Customer base"),
    "control_group": message("Control group"),
    "aa_calibration": message("A/A calibration"),
    "campaign_experiment": message("Campaign experiment"),
    "ltv_forecast": message("Lifetime value"),
    "experiment_design": message("Experiment design"),
    "funnel": message("Funnel"),
    "crm_effect": message("What CRM brings"),
    "mechanics_league": message("League of mechanics"),
    "month_pacing": message("Month against its plan"),
    "uplift_targeting": message("Whom to contact"),
}
"""Kinds of report that come with the package, as a list names them."""


def kind_text(kind: str) -> str:
    """Give a kind of report as people read it; one of the workbench's own by its name.

    Examples
    --------
    >>> kind_text("ltv_forecast"), kind_text("weekly-orders")
    ('Lifetime value', 'Weekly orders')
    """
    known = KIND_WORDS.get(kind.replace("-", "_"))
    if known is not None:
        return say(known)
    name = label(kind.replace("-", "_"))
    return name[:1].upper() + name[1:]


def failed_look() -> VerdictLook:
    """Give the look of a run that failed."""
    return VerdictLook(word=say(STATUS_WORDS["failed"]), glyph="!", tone="bad")


# Labels of a report page.
ALL_REPORTS = message("All reports")
ON_THIS_PAGE = message("On this page")
METHOD_AND_DATA = message("Method and data")
DATA_PERIOD = message("Data")
SNAPSHOT = message("Snapshot")
RUN_AT = message("Run")
RUN_TIME = message("{moment} UTC, took {duration}")
STATUS = message("Status")
STATUS_WORDS = {
    "ok": message("Complete"),
    "failed": message("Failed"),
    "unreadable": message("Unreadable"),
    "unchanged": message("Unchanged"),
}
TRUST = message("Can it be trusted?")
CHANGES = message("What changed since the last run")
CHANGE_WHAT = message("what")
CHANGE_BEFORE = message("before")
CHANGE_AFTER = message("after")
RUN = message("Run id")
PREVIOUS_RUN = message("Compared with run")
CHANGED_SINCE = message("Changed since that run")
NOTEBOOK = message("Notebook")
CODE = message("Code version")
CODE_CHANGED = message("with uncommitted changes")
SEED = message("Seed")
PACKAGES = message("Packages")
PARAMETERS = message("Parameters")
PARAMETER_NAME = message("Parameter")
PARAMETER_VALUE = message("Value")
MANIFEST_LINK = message("Everything on this page as data (manifest.json)")
NOTEBOOK_LINK = message("The executed notebook with its code (executed.ipynb)")
NOT_STATED = message("not stated")
NONE_VALUE = message("none")
YES, NO = message("yes"), message("no")
CHART = message("Chart")
CHART_ABOUT = message("Chart: {about}")
TABLE = message("Table")
STOPPED_HERE = message("The run stopped here. What follows in the notebook was not computed.")
FAILURE_PLACE = message("Section")
FAILURE_TRACE = message("Where in the code")
GOOD_RUN_STAYS = message(
    "The last good run of this report is unchanged; the list of reports leads to it."
)
SKIP_TO_CONTENT = message("Skip to the content")


def more_rows(count: int) -> str:
    """Say how many rows of a table a page leaves out."""
    return say_many(
        "{count} more row is not shown here.", "{count} more rows are not shown here.", count
    )


# Why a run failed.
EXIT_MESSAGE = message("The notebook ended itself (exit); a report runs to its last cell.")
KERNEL_DIED_MESSAGE = message(
    "The process that computed the report died: killed from outside, out of memory, or crashed."
)
NOT_EXECUTED_MESSAGE = message("A cell of the notebook was not executed.")


def timeout_message(seconds: float) -> str:
    """Say that the run was stopped by its time limit."""
    written = formats.separated(f"{seconds:,g}")
    return say("The run was stopped after its limit of {seconds} seconds.", seconds=written)


def output_message(limit_bytes: int) -> str:
    """Say that the run was stopped because it printed too much."""
    return say(
        "The run was stopped: its outputs exceed the limit of {size} MB.",
        size=formats.number(limit_bytes / 1e6),
    )


# Labels of the list of reports.
MANIFEST_SHORT = message("manifest")
INDEX_TITLE = message("Reports")
LATEST = message("Latest good run of each report")
EVERY_RUN = message("All runs")
NO_RUNS = message("No report has run yet.")
NO_GOOD_RUNS = message("No report has completed yet.")
SEARCH = message("Search")
SEARCH_HINT = message("title, verdict, message")
ANY_KIND = message("All kinds")
ANY_STATUS = message("Any status")
ANY_SUBJECT = message("All campaigns")
KIND = message("Kind")
SUBJECT = message("Campaign")
SINCE = message("Since")
UNTIL = message("Until")
SHOWN_FIRST = message("Only the newest runs are shown; the search looks through all of them.")
SHOW_ALL = message("Show all runs")
NO_MATCH = message("No run matches.")
NEWER_FAILED = message("A newer run failed ({moment})")
UNREADABLE_MESSAGE = message("The manifest of this run cannot be read.")
NO_HEADLINE = message("The report has no headline.")
AT_UTC = message("{moment} UTC")
INDEX_COLUMNS = (
    message("When (UTC)"),
    message("Report"),
    message("Status"),
    message("Result"),
    message("Files"),
)
DECISIONS_TAKEN = message("Decisions taken")
DECISION_COLUMNS = (
    message("Day"),
    message("About"),
    message("Decision"),
    message("By"),
    message("Note"),
    message("Report"),
)
AS_DATA = message("This list as data (index.json)")
AS_FEED = message("The newest runs as a feed (feed.xml)")


def run_count(total: int, failed: int) -> str:
    """Say how many runs there are and how many of them failed."""
    runs = say_many("{count} run", "{count} runs", total)
    if not failed:
        return runs
    return say_many("{runs}, {count} failed", "{runs}, {count} failed", failed, runs=runs)


def duration(seconds: float) -> str:
    """Write a duration as people say it."""
    if seconds < 60:
        return say("{seconds} s", seconds=formats.number(seconds, decimals=1))
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return say("{minutes} min {seconds} s", minutes=minutes, seconds=rest)
    return say("{hours} h {minutes} min", hours=minutes // 60, minutes=minutes % 60)


def run_sentence(
    *, title: str, seconds: float, page: str, verdict: str | None, error: str | None
) -> str:
    """Say how a run ended and where its page is."""
    took = duration(seconds)
    if error is not None:
        return say(
            "{title} failed after {duration}: {error} Its page: {page}",
            title=title,
            duration=took,
            error=error,
            page=page,
        )
    said = f" {verdict_look(verdict).word}." if verdict else ""
    return say(
        "{title} is published ({duration}).{verdict} Its page: {page}",
        title=title,
        duration=took,
        verdict=said,
        page=page,
    )
