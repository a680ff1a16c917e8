"""The folder of a hand-over: it appears whole, says what is in it, and covers nothing up."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import pandas as pd

from crm_lab.cards import Result
from crm_lab.errors import ReportError
from crm_lab.language import message, say, say_many
from crm_lab.reports.differences import manifest_of
from crm_lab.reports.manifest import Manifest, utc_now

HANDOVER_NAME = "handover.json"
HandoverKind = Literal["email", "pdf", "numbers", "star"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedFile:
    """One file of a hand-over.

    Attributes
    ----------
    name : str
        Its name in the folder.
    size_bytes : int
        Its size.
    sha256 : str
        Hash of its content.
    """

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Handover(Result):
    """What was handed over.

    Attributes
    ----------
    kind : str
        Email, pdf, numbers or star.
    source : str
        The run, or the snapshot, that it was made of.
    folder : Path
        Where it lies.
    files : tuple of HandedFile
        Every file with its hash.
    """

    title: ClassVar[str] = message("Hand-over")

    kind: HandoverKind
    source: str
    folder: Path
    files: tuple[HandedFile, ...]

    def sentence(self) -> str:
        """Say how many files lie where."""
        return say_many(
            "{count} file in {folder}, with its hash in {manifest}.",
            "{count} files in {folder}, with their hashes in {manifest}.",
            len(self.files),
            folder=str(self.folder),
            manifest=HANDOVER_NAME,
        )

    def to_frame(self) -> pd.DataFrame:
        """Give one row per file: name, size, hash."""
        rows = [(file.name, file.size_bytes, file.sha256) for file in self.files]
        return pd.DataFrame(rows, columns=["file", "size_bytes", "sha256"])

    def card_frame(self) -> pd.DataFrame:
        """Give name and size of each file, and the beginning of its hash."""
        frame = self.to_frame()
        frame["sha256"] = frame["sha256"].str.slice(0, 12)
        return frame


def good_manifest_of(run_folder: Path) -> Manifest:
    """Read the manifest of a run that is good enough to be handed to somebody.

    Raises
    ------
    ReportError
        It is missing or cannot be read, or the run failed.
    """
    manifest = manifest_of(run_folder)
    if manifest.status != "ok":
        raise ReportError(
            say("the run failed, so its numbers are not those of a finished report"),
            expected=say("a run that went through"),
            where=str(run_folder),
        )
    return manifest


def hand_over(
    folder: Path,
    write: Callable[[Path], None],
    *,
    kind: HandoverKind,
    source: str,
    facts: Mapping[str, Any],
    replace: bool,
) -> Handover:
    """Make a folder of files in one step, with a manifest of their hashes.

    Parameters
    ----------
    folder : Path
        The folder to make.
    write : callable
        Writes the files into the folder that it is given.
    kind : {"email", "pdf", "numbers", "star"}
        What is handed over.
    source : str
        The run or the snapshot that it is made of.
    facts : mapping
        JSON data for the manifest: where the content comes from.
    replace : bool
        Whether an earlier hand-over in this folder gives way.

    Raises
    ------
    ReportError
        The folder is there already.
    """
    _check_target(folder, replace=replace)
    folder.parent.mkdir(parents=True, exist_ok=True)
    growing = folder.with_name(f".{folder.name}.{os.getpid()}-{secrets.token_hex(4)}")
    growing.mkdir()
    try:
        write(growing)
        files = tuple(
            _handed(path, growing) for path in sorted(growing.rglob("*")) if path.is_file()
        )
        about = {
            "kind": kind,
            "source": source,
            **facts,
            "crm_lab": importlib.metadata.version("crm-lab"),
            "made_at": utc_now().isoformat(timespec="seconds"),
            "files": [
                {"name": file.name, "size_bytes": file.size_bytes, "sha256": file.sha256}
                for file in files
            ],
        }
        text = json.dumps(about, ensure_ascii=False, indent=2, allow_nan=False)
        (growing / HANDOVER_NAME).write_text(text + "\n", encoding="utf-8")
        _put_in_place(growing, folder)
    finally:
        shutil.rmtree(growing, ignore_errors=True)
    return Handover(kind=kind, source=source, folder=folder, files=files)


def _check_target(folder: Path, *, replace: bool) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    is_handover = (folder / HANDOVER_NAME).is_file()
    if not is_handover:
        raise ReportError(
            say("{folder} exists and is no hand-over", folder=str(folder)),
            expected=say("a folder that does not exist yet"),
            remedy=say("choose another name; nothing was changed"),
        )
    if not replace:
        raise ReportError(
            say("{folder} holds a hand-over already", folder=str(folder)),
            remedy=say("choose another name, or replace it with --replace; nothing was changed"),
        )


def _put_in_place(growing: Path, folder: Path) -> None:
    old = growing.with_name(growing.name + ".old")
    if folder.exists():
        folder.rename(old)
    try:
        growing.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _handed(path: Path, folder: Path) -> HandedFile:
    return HandedFile(
        name=path.relative_to(folder).as_posix(),
        size_bytes=path.stat().st_size,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
