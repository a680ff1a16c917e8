"""The list of all runs: ``reports/index.html``, made anew from the manifests each time."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout
from markupsafe import Markup

from crm_lab.errors import BusyError
from crm_lab.reports import wording
from crm_lab.reports.manifest import MANIFEST_NAME, PAGE_NAME, Manifest, read_manifest
from crm_lab.reports.publishing import environment, page_css
from crm_lab.reports.staging import RUNS_FOLDER, write_atomically

INDEX_NAME = "index.html"
_LOCK_NAME = ".index.lock"
_LOCK_SECONDS = 60


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
        Verdict sentence, first sentence or failure message.
    started_at : datetime
        In UTC.
    page, manifest : str
        Links relative to the list.
    look : VerdictLook or None
        How its verdict shows, where it has one.
    """

    run_id: str
    kind: str
    title: str
    status: str
    headline: str
    started_at: datetime
    page: str
    manifest: str
    look: wording.VerdictLook | None = None

    @property
    def when(self) -> str:
        """Start of the run, to the minute."""
        return f"{self.started_at:%Y-%m-%d %H:%M}"

    @property
    def kind_label(self) -> str:
        """The kind as people read it."""
        return self.kind.replace("_", " ").replace("-", " ")

    @property
    def status_look(self) -> wording.VerdictLook:
        """How the status shows."""
        good = self.status == "ok"
        return wording.VerdictLook(
            word=wording.STATUS_WORDS[self.status],
            glyph="✓" if good else "!",
            tone="neutral" if good else "bad",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestGood:
    """The last good run of a report, and a newer failed one where there is one."""

    run: ListedRun
    newer_failure: ListedRun | None


def rebuild_index(reports_folder: Path) -> Path:
    """Write the list of all runs anew, from their manifests.

    Safe to call at any time and from several processes at once: the list is made under a lock
    and replaced in one step.

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
    reports_folder.mkdir(parents=True, exist_ok=True)
    index = reports_folder / INDEX_NAME
    try:
        with FileLock(reports_folder / _LOCK_NAME, timeout=_LOCK_SECONDS):
            write_atomically(index, render_index(listed_runs(reports_folder)))
    except Timeout as error:
        raise BusyError(
            f"another process has been writing {index} for {_LOCK_SECONDS} seconds",
            remedy="the runs are safe; rebuild the list when that process has ended",
        ) from error
    return index


def listed_runs(reports_folder: Path) -> tuple[ListedRun, ...]:
    """Read every published run, newest first; one with a broken manifest is listed as such."""
    paths = (reports_folder / RUNS_FOLDER).glob("*/*/")
    runs = [_listed(path, reports_folder) for path in paths if path.is_dir()]
    return tuple(sorted(runs, key=lambda run: (run.started_at, run.run_id), reverse=True))


def latest_good(runs: Iterable[ListedRun]) -> tuple[LatestGood, ...]:
    """Give the last good run of each report (kind and title), newest first.

    Parameters
    ----------
    runs : iterable of ListedRun
        Newest first.
    """
    failures: dict[tuple[str, str], ListedRun] = {}
    good: dict[tuple[str, str], LatestGood] = {}
    for run in runs:
        key = (run.kind, run.title)
        if key in good:
            continue
        if run.status == "ok":
            good[key] = LatestGood(run=run, newer_failure=failures.get(key))
        elif key not in failures:
            failures[key] = run
    return tuple(good.values())


def render_index(runs: Sequence[ListedRun]) -> str:
    """Render the list; complete without its script, which only filters."""
    failed = sum(run.status != "ok" for run in runs)
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            w=wording,
            policy=_policy(),
            css=page_css(),
            script=_script(),
            runs=runs,
            latest=latest_good(runs),
            kinds=sorted({run.kind for run in runs}),
            statuses=sorted({run.status for run in runs}),
            summary=wording.run_count(len(runs), failed),
        )
    )


def _listed(folder: Path, reports_folder: Path) -> ListedRun:
    link = folder.relative_to(reports_folder).as_posix()
    manifest = read_manifest(folder / MANIFEST_NAME)
    if manifest is None:
        return ListedRun(
            run_id=folder.name,
            kind=folder.parent.name,
            title=folder.name,
            status="unreadable",
            headline=wording.UNREADABLE_MESSAGE,
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
        look=_look(manifest),
    )


def _look(manifest: Manifest) -> wording.VerdictLook | None:
    return None if manifest.verdict is None else wording.verdict_look(manifest.verdict.word)


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
