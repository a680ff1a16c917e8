"""Where a run is written before anybody may see it, and how it becomes visible at once.

A run grows in ``.running-<run_id>`` inside the reports folder. When it is whole, its files are
synced to the disk and the folder is renamed into ``runs/<kind>/<run_id>``: a run that is killed
at any moment is either all there or not there. While it grows, its owner holds a file lock; a
folder whose lock is free belongs to a process that has died, and the next run removes it.
"""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from crm_lab.errors import ReportError
from crm_lab.language import say

RUNS_FOLDER = "runs"
_PREFIX = ".running-"
_LOCK_SUFFIX = ".lock"
_KIND = re.compile(r"[a-z0-9]([a-z0-9_-]{0,38}[a-z0-9])?\Z")
_SLUG_LENGTH = 40
_ATTEMPTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """A claimed run: its id, the folder it grows in, and the folder it will be.

    Attributes
    ----------
    run_id : str
        Unique and safe as a folder name.
    folder : Path
        Where to write; only this run's process touches it.
    target : Path
        Where it will be seen.
    """

    run_id: str
    folder: Path
    target: Path

    def publish(self) -> Path:
        """Sync every file and make the run visible in one step; give its folder."""
        for path in sorted(self.folder.rglob("*")):
            _sync(path)
        _sync(self.folder)
        self.folder.rename(self.target)
        _sync(self.target.parent)
        return self.target


def check_kind(kind: str) -> None:
    """Refuse a kind of report that is not usable as a folder name.

    Raises
    ------
    ReportError
        It is not.
    """
    if not _KIND.match(kind):
        raise ReportError(
            say("kind of report {kind!r} cannot be a folder name", kind=kind),
            expected=say("up to 40 lower-case letters, digits, '-' and '_'"),
        )


@contextmanager
def staging(
    reports_folder: Path, *, kind: str, title: str, run_hash: str, at: datetime
) -> Iterator[Staging]:
    """Claim a run id and its folder; whatever is not published is removed at the end.

    Parameters
    ----------
    reports_folder : Path
        The folder that holds ``index.html`` and ``runs``; made if missing.
    kind : str
        Kind of report, in lower-case letters, digits, ``-`` and ``_``.
    title : str
        Title of the report; a part of it is readable in the id.
    run_hash : str
        Short hash of the parameters.
    at : datetime
        Start in UTC.

    Raises
    ------
    ReportError
        When ``kind`` is not usable as a folder name.
    """
    check_kind(kind)
    reports_folder.mkdir(parents=True, exist_ok=True)
    clean_stale(reports_folder)
    stem = f"{at:%Y%m%dT%H%M%SZ}-{slug(title, default=kind)}-{run_hash}"
    parent = reports_folder / RUNS_FOLDER / kind
    parent.mkdir(parents=True, exist_ok=True)
    claimed, lock = _claim(reports_folder, parent, stem)
    try:
        yield claimed
    finally:
        shutil.rmtree(claimed.folder, ignore_errors=True)
        _lock_path(claimed.folder).unlink(missing_ok=True)
        lock.release()


def _claim(reports_folder: Path, parent: Path, stem: str) -> tuple[Staging, BaseFileLock]:
    for attempt in range(1, _ATTEMPTS):
        run_id = stem if attempt == 1 else f"{stem}-{attempt}"
        folder, target = reports_folder / f"{_PREFIX}{run_id}", parent / run_id
        lock = FileLock(_lock_path(folder), timeout=0)
        try:
            lock.acquire()
        except Timeout:
            continue
        if folder.exists() or target.exists():
            lock.release()
            continue
        folder.mkdir()
        return Staging(run_id=run_id, folder=folder, target=target), lock
    raise ReportError(say("no free run id for {stem}", stem=stem), where=str(reports_folder))


def clean_stale(reports_folder: Path) -> tuple[str, ...]:
    """Remove what runs of dead processes left; give the ids of the runs removed."""
    removed = []
    for folder in reports_folder.glob(f"{_PREFIX}*"):
        if not folder.is_dir():
            continue
        try:
            with FileLock(_lock_path(folder), timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
                _lock_path(folder).unlink(missing_ok=True)
        except Timeout:
            continue
        removed.append(folder.name.removeprefix(_PREFIX))
    return tuple(removed)


def write_atomically(path: Path, text: str) -> None:
    """Replace a file in one step; a reader sees the old one or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        _sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync(path.parent)


def slug(text: str, *, default: str) -> str:
    """Make a short name of lower-case ASCII letters, digits and hyphens out of any text.

    Examples
    --------
    >>> slug("Winter sale: ../../etc", default="report")
    'winter-sale-etc'
    >>> slug("Зима", default="campaign")
    'campaign'
    """
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "-", ascii_text.lower()).strip("-")
    return words[:_SLUG_LENGTH].strip("-") or default


def _lock_path(folder: Path) -> Path:
    return folder.with_name(folder.name + _LOCK_SUFFIX)


def _sync(path: Path) -> None:
    if path.is_dir() and os.name != "posix":
        return  # Windows gives no handle for a folder
    handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
