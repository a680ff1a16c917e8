"""The manifest of a run: what went in, what came out, and with what it was computed."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from crm_lab.cards import RESULT_MIME, plain
from crm_lab.reports.execution import Failure
from crm_lab.reports.notebooks import digest

MANIFEST_NAME = "manifest.json"
MANIFEST_VERSION = 1
PAGE_NAME = "report.html"
EXECUTED_NAME = "executed.ipynb"
_DISTRIBUTION = "crm-lab"
_REQUIREMENT = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")
_GIT_TIMEOUT_SECONDS = 10


class _Stamp(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class NotebookStamp(_Stamp):
    """Which notebook ran: its file name and the SHA-256 of its bytes."""

    name: str
    sha256: str


class VerdictStamp(_Stamp):
    """The verdict word and the sentence that goes with it."""

    word: str
    sentence: str


class CodeStamp(_Stamp):
    """Version of crm-lab; commit and state of its checkout where it is one."""

    version: str
    commit: str | None = None
    dirty: bool | None = None


class ErrorStamp(_Stamp):
    """Why a run failed."""

    reason: str
    type: str
    message: str
    heading: str = ""
    frames: tuple[str, ...] = ()


class Manifest(_Stamp):
    """Everything about one run as data; the page says nothing that is not here.

    Attributes
    ----------
    run_id, kind, title : str
        Which run of which report.
    notebook : NotebookStamp
        Name and hash of the notebook.
    parameters : dict
        Every parameter with the value it had.
    status : str
        ``ok`` or ``failed``.
    verdict : VerdictStamp or None
        From the first displayed result whose data has the key ``verdict``.
    headline : str
        The sentence of the verdict, or of the first result, or of the failure.
    results : list of dict
        Every displayed result in order: kind, title, sentence, data.
    context : dict
        What the caller stated: workbench, snapshot, period, seed.
    code : CodeStamp
        Version of the code.
    python : str
        Version of Python.
    packages : dict
        Versions of the direct dependencies of crm-lab.
    seed : int, str or None
        From the context, or from a parameter of that name.
    started_at, finished_at : datetime
        In UTC.
    duration_seconds : float
        Wall-clock time of the execution.
    error : ErrorStamp or None
        Why it failed.
    """

    manifest_version: int = MANIFEST_VERSION
    run_id: str
    kind: str
    title: str
    notebook: NotebookStamp
    parameters: dict[str, Any]
    status: Literal["ok", "failed"]
    verdict: VerdictStamp | None
    headline: str
    results: list[dict[str, Any]]
    context: dict[str, Any]
    code: CodeStamp
    python: str
    packages: dict[str, str]
    seed: int | str | None
    started_at: AwareDatetime
    finished_at: AwareDatetime
    duration_seconds: float
    error: ErrorStamp | None

    def to_json(self) -> str:
        """Write strict JSON: no NaN, no infinity."""
        data = self.model_dump(mode="json")
        return json.dumps(data, allow_nan=False, ensure_ascii=False, indent=2) + "\n"


def read_manifest(path: Path) -> Manifest | None:
    """Read a manifest; None where the file is missing, broken or of another kind."""
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def build_manifest(
    *,
    run_id: str,
    kind: str,
    title: str,
    notebook: Path,
    executed: Any,
    parameters: Mapping[str, Any],
    context: Mapping[str, Any],
    failure: Failure | None,
    started_at: datetime,
    finished_at: datetime,
) -> Manifest:
    """Put together the manifest of a run that has just ended.

    Parameters
    ----------
    run_id, kind, title : str
        Which run of which report.
    notebook : Path
        The notebook as it is in the workbench.
    executed : NotebookNode
        The same with its outputs.
    parameters, context : mapping
        As checked and as given.
    failure : Failure or None
        From the execution.
    started_at, finished_at : datetime
        In UTC.
    """
    results = displayed_results(executed)
    stated = plain(context)
    verdict = None if failure else first_verdict(results)
    return Manifest(
        run_id=run_id,
        kind=kind,
        title=title,
        notebook=NotebookStamp(name=notebook.name, sha256=digest(notebook)),
        parameters=plain(parameters),
        status="failed" if failure else "ok",
        verdict=verdict,
        headline=_headline(results, verdict, failure),
        results=results,
        context=stated,
        code=code_stamp(),
        python=platform.python_version(),
        packages=package_versions(),
        seed=stated.get("seed", parameters.get("seed")),
        started_at=started_at,
        finished_at=finished_at,
        duration_seconds=round((finished_at - started_at).total_seconds(), 3),
        error=None
        if failure is None
        else ErrorStamp(
            reason=failure.reason,
            type=failure.type,
            message=failure.message,
            heading=failure.heading,
            frames=failure.frames,
        ),
    )


def displayed_results(executed: Any) -> list[dict[str, Any]]:
    """Collect the data of every result that the notebook displayed, in order."""
    found = []
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            payload = output.get("data", {}).get(RESULT_MIME)
            if isinstance(payload, Mapping):
                found.append(plain(payload))
    return found


def first_verdict(results: list[dict[str, Any]]) -> VerdictStamp | None:
    """Give the verdict of the first result whose data carries one."""
    for payload in results:
        data = payload.get("data")
        if isinstance(data, Mapping) and data.get("verdict"):
            word, sentence = str(data["verdict"]), str(payload.get("sentence", ""))
            if sentence.lower().startswith(f"{word.lower()}. "):
                sentence = sentence[len(word) + 2 :]  # the word stands before it anyway
            return VerdictStamp(word=word, sentence=sentence)
    return None


def _headline(
    results: list[dict[str, Any]], verdict: VerdictStamp | None, failure: Failure | None
) -> str:
    if failure is not None:
        return f"{failure.type}: {failure.message}"
    if verdict is not None:
        return verdict.sentence
    return str(results[0].get("sentence", "")) if results else ""


def run_hash(kind: str, title: str, parameters: Mapping[str, Any]) -> str:
    """Give eight hexadecimal digits that tell runs with other parameters apart."""
    text = json.dumps([kind, title, plain(parameters)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def utc_now() -> datetime:
    """Give the present moment in UTC."""
    return datetime.now(UTC)


@functools.cache
def package_versions() -> dict[str, str]:
    """Give the installed versions of what crm-lab itself requires, by name."""
    try:
        requirements = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    names = {
        match[0]
        for text in requirements
        if "extra ==" not in text and (match := _REQUIREMENT.match(text))
    }
    versions = {}
    for name in sorted(names, key=str.lower):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def code_stamp() -> CodeStamp:
    """Give the version of crm-lab, with its commit where the package lies in its own checkout."""
    folder = Path(__file__).resolve().parents[1]
    # Asked for by name: the front of the package leads to everything, and reports may not.
    version: str = importlib.metadata.version(_DISTRIBUTION)
    if not (folder.parent / ".git").exists():
        return CodeStamp(version=version)
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=normal", "--", ".")
    return CodeStamp(
        version=version,
        commit=commit or None,
        dirty=None if changes is None else bool(changes),
    )


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_SECONDS,
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
