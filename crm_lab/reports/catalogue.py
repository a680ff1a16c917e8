"""The list of all runs: ``reports/index.html``, ``index.json`` and ``feed.xml``.

They are made anew from the manifests each time. A published run never changes, so what the list
says of it is taken from the last ``index.json`` as long as its manifest is the same file.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from crm_lab import formats
from crm_lab.errors import BusyError
from crm_lab.language import label, say, using_language
from crm_lab.reports import wording
from crm_lab.reports.manifest import MANIFEST_NAME, PAGE_NAME, Manifest, read_manifest
from crm_lab.reports.staging import RUNS_FOLDER, write_atomically

INDEX_NAME = "index.html"
DATA_NAME = "index.json"
FEED_NAME = "feed.xml"
DATA_VERSION = 1
_LOCK_NAME = ".index.lock"
_LOCK_SECONDS = 60
_SUBJECTS = ("experiment", "campaign")
READ_OUT = "campaign_experiment"
"""Kind of the report that a decision on a campaign is read in."""
_FIELDS = frozenset({"day", "about", "decision", "by", "note", "report"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Something that was decided, as a report shows it from the ledger.

    Attributes
    ----------
    day : str
        Business day, ISO text.
    about : str
        Experiment, or month of a plan.
    decision : str
        The decision, or what of a plan was revised.
    by, note : str
        Who, and why.
    report : str
        Run id of the report it came from; empty: the ledger names none.
    """

    day: str
    about: str
    decision: str
    by: str
    note: str
    report: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRun:
    """One run as the list shows it.

    Attributes
    ----------
    run_id, kind, title : str
        Which run of which report.
    status : str
        ``ok``, ``failed`` or ``unreadable``.
    headline : str
        Verdict sentence, first sentence or failure message; empty: there is none.
    started_at : datetime
        In UTC.
    page, manifest : str
        Links relative to the list.
    verdict : str
        The verdict word; may be empty.
    subject : str
        The campaign that the report is about; empty: none.
    language : str
        Language of the page.
    decisions : tuple of Decision
        What the report says was decided.
    stamp : str
        Tells whether the manifest is still the file that was read.
    """

    run_id: str
    kind: str
    title: str
    status: str
    headline: str
    started_at: datetime
    page: str
    manifest: str
    verdict: str = ""
    subject: str = ""
    language: str = "en"
    decisions: tuple[Decision, ...] = ()
    stamp: str = ""

    @property
    def kind_label(self) -> str:
        """The kind as people read it."""
        return wording.kind_text(self.kind)

    @property
    def look(self) -> wording.VerdictLook | None:
        """How its verdict shows, where it has one."""
        if not self.verdict:
            return None
        with using_language("ru" if self.language == "ru" else "en"):
            return wording.verdict_look(self.verdict)

    @property
    def status_look(self) -> wording.VerdictLook:
        """How the status shows."""
        good = self.status == "ok"
        word = say(wording.STATUS_WORDS[self.status])
        tone: wording.Tone = "neutral" if good else "bad"
        return wording.VerdictLook(word=word, glyph="✓" if good else "!", tone=tone)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestGood:
    """The last good run of a report, and a newer failed one where there is one."""

    run: ListedRun
    newer_failure: ListedRun | None


def rebuild_index(reports_folder: Path) -> Path:
    """Write the list of all runs anew, from their manifests.

    Safe to call at any time and from several processes at once: the list is made under a lock,
    and each of its files is replaced in one step.

    Parameters
    ----------
    reports_folder : Path
        The folder that holds ``runs``.

    Returns
    -------
    Path
        The written ``index.html``.

    Raises
    ------
    BusyError
        When another process has held the lock for a minute.
    """
    # imported here: what renders the list knows what stands in it
    from crm_lab.reports.index_page import render_feed, render_index

    reports_folder.mkdir(parents=True, exist_ok=True)
    index = reports_folder / INDEX_NAME
    try:
        with FileLock(reports_folder / _LOCK_NAME, timeout=_LOCK_SECONDS):
            runs = listed_runs(reports_folder)
            write_atomically(reports_folder / DATA_NAME, _data(runs))
            write_atomically(reports_folder / FEED_NAME, render_feed(runs))
            write_atomically(index, render_index(runs))
    except Timeout as error:
        raise BusyError(
            say(
                "another process has been writing {path} for {seconds} seconds",
                path=index,
                seconds=_LOCK_SECONDS,
            ),
            remedy=say("the runs are safe; rebuild the list when that process has ended"),
        ) from error
    return index


def listed_runs(reports_folder: Path) -> tuple[ListedRun, ...]:
    """Read every published run, newest first; one with a broken manifest is listed as such."""
    known = _known(reports_folder / DATA_NAME)
    paths = (path for path in (reports_folder / RUNS_FOLDER).glob("*/*/") if path.is_dir())
    runs = []
    for path in paths:
        # retention may take a run away while the list is made
        with contextlib.suppress(FileNotFoundError):
            runs.append(_listed(path, reports_folder, known))
    return tuple(sorted(runs, key=lambda run: (run.started_at, run.run_id), reverse=True))


def latest_good(runs: Iterable[ListedRun]) -> tuple[LatestGood, ...]:
    """Give the last good run of each report (kind, title and language), newest first.

    Parameters
    ----------
    runs : iterable of ListedRun
        Newest first.
    """
    failures: dict[tuple[str, str, str], ListedRun] = {}
    good: dict[tuple[str, str, str], LatestGood] = {}
    for run in runs:
        key = (run.kind, run.title, run.language)
        if key in good:
            continue
        if run.status == "ok":
            good[key] = LatestGood(run=run, newer_failure=failures.get(key))
        elif key not in failures:
            failures[key] = run
    return tuple(good.values())


def decisions_taken(runs: Iterable[ListedRun]) -> list[tuple[Decision, ListedRun]]:
    """Give every decision once, newest first, with the report to read about it.

    Parameters
    ----------
    runs : iterable of ListedRun
        Newest first. The report is the one that the ledger names, else the newest read-out that
        shows it, else the newest other report.
    """
    every = list(runs)
    by_id = {run.run_id: run for run in every}
    found: dict[Decision, ListedRun] = {}
    for run in every:
        for decision in run.decisions:
            shown = found.setdefault(decision, by_id.get(decision.report, run))
            if run.kind == READ_OUT and shown.kind != READ_OUT and decision.report not in by_id:
                found[decision] = run
    return sorted(found.items(), key=lambda item: item[0].day, reverse=True)


def _listed(folder: Path, reports_folder: Path, known: Mapping[str, ListedRun]) -> ListedRun:
    link = folder.relative_to(reports_folder).as_posix()
    path = folder / MANIFEST_NAME
    stamp = ""
    if path.is_file():
        state = path.stat()
        stamp = f"{state.st_size}-{state.st_mtime_ns}"
    before = known.get(link)
    if before is not None and stamp and before.stamp == stamp:
        return before
    manifest = read_manifest(path)
    if manifest is None:
        return ListedRun(
            run_id=folder.name,
            kind=folder.parent.name,
            title=folder.name,
            status="unreadable",
            headline=say(wording.UNREADABLE_MESSAGE),
            started_at=datetime.fromtimestamp(folder.stat().st_mtime, tz=UTC),
            page=f"{link}/{PAGE_NAME}",
            manifest=f"{link}/{MANIFEST_NAME}",
        )
    return ListedRun(
        run_id=folder.name,
        kind=folder.parent.name,
        title=manifest.title,
        status=manifest.status,
        headline=manifest.headline,
        started_at=manifest.started_at,
        page=f"{link}/{PAGE_NAME}",
        manifest=f"{link}/{MANIFEST_NAME}",
        verdict=manifest.verdict.word if manifest.verdict else "",
        subject=_subject(manifest),
        language=manifest.language,
        decisions=_decisions(manifest),
        stamp=stamp,
    )


def _subject(manifest: Manifest) -> str:
    named = (manifest.parameters.get(name) for name in _SUBJECTS)
    return next((str(value) for value in named if value), "")


def _decisions(manifest: Manifest) -> tuple[Decision, ...]:
    """Take the decisions of a report, and the revisions of the plan that it shows."""
    about = _subject(manifest) or manifest.title
    taken = [
        {"about": about} | {key: value for key, value in item.items() if key in _FIELDS}
        for item in manifest.decisions
    ]
    for payload in manifest.results:
        data = payload.get("data")
        revisions = data.get("revisions") if isinstance(data, Mapping) else None
        taken += [
            _revision(item, about=manifest.title)
            for item in (revisions if isinstance(revisions, list) else [])
            if isinstance(item, Mapping)
        ]
    words = [{key: str(value or "") for key, value in item.items()} for item in taken]
    return tuple(_decision(item) for item in words if item.get("day"))


def _revision(item: Mapping[str, Any], *, about: str) -> dict[str, Any]:
    what = ", ".join(label(part) for part in str(item.get("item")).split("."))
    old, new = (_value(item.get(side)) for side in ("old", "new"))
    return {
        "day": str(item.get("at", ""))[:10],
        "about": about,
        "decision": f"{what}: {old} → {new}",
        "by": item.get("by"),
        "note": item.get("reason"),
        "report": item.get("report"),
    }


def _value(value: Any) -> str:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return (
        formats.number(value, decimals=0 if value == int(value) else 2) if is_number else str(value)
    )


def _decision(words: Mapping[str, str]) -> Decision:
    return Decision(**{name: words.get(name, "") for name in _FIELDS})


def _data(runs: Iterable[ListedRun]) -> str:
    entries = [asdict(run) | {"started_at": run.started_at.isoformat()} for run in runs]
    data = {"version": DATA_VERSION, "runs": entries}
    return json.dumps(data, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _known(path: Path) -> dict[str, ListedRun]:
    """Read what the last list said of each run; nothing where it is missing or of another kind."""
    try:
        data = json.loads(path.read_bytes())
        entries = data["runs"] if data["version"] == DATA_VERSION else []
        runs = [_restored(entry) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {run.manifest.removesuffix(f"/{MANIFEST_NAME}"): run for run in runs}


def _restored(entry: Mapping[str, Any]) -> ListedRun:
    run = ListedRun(**entry)
    return replace(
        run,
        started_at=datetime.fromisoformat(str(run.started_at)),
        decisions=tuple(Decision(**item) for item in entry["decisions"]),
    )
