"""The manifest of a run: what went in, what came out, and with what it was computed."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from crm_lab.cards import RESULT_MIME, plain
from crm_lab.headlines import without_verdict
from crm_lab.language import LANGUAGES, Language, current_language, using_language
from crm_lab.reports.execution import Failure
from crm_lab.reports.notebooks import digest
from crm_lab.reports.numbers import Number, numbers_of
from crm_lab.reports.provenance import CodeStamp, code_stamp, package_versions

MANIFEST_NAME = "manifest.json"
MANIFEST_VERSION = 2
PAGE_NAME = "report.html"
EXECUTED_NAME = "executed.ipynb"

ChangeKind = Literal[
    "parameter", "data", "plan", "notebook", "code", "package", "language", "verdict", "number"
]


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


class ErrorStamp(_Stamp):
    """Why a run failed."""

    reason: str
    type: str
    message: str
    heading: str = ""
    frames: tuple[str, ...] = ()


class Change(_Stamp):
    """One difference to the run before.

    Attributes
    ----------
    what : str
        Name of the parameter, of the input, or of the number.
    kind : ChangeKind
        What sort of difference it is.
    before, after : JSON value
        Both values; an estimate is a mapping of ``estimate``, ``low`` and ``high``, and None says
        that there is no such value.
    """

    what: str
    kind: ChangeKind
    before: Any = None
    after: Any = None


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
        What the caller stated: workbench, snapshot with its hash, head of the ledger, period, seed.
    numbers : dict
        The numbers of the results by names that stay (see :mod:`crm_lab.reports.numbers`).
    decisions : list of dict
        What was decided, from the registry: day, decision, by, note.
    plan_sha256 : str or None
        Hash of the registered plan that the report leans on.
    snapshots : tuple of str
        Snapshots that the results say they were computed from.
    previous_run_id : str or None
        The last good run of the same report.
    changes : list of Change
        What differs from it.
    changes_sentence : str
        The same in one sentence, in the language of the page.
    language : str
        Language of the page.
    code : CodeStamp
        Version and content of the code.
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
    peak_memory_bytes : int or None
        Most memory that the kernel held, where it is known.
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
    numbers: dict[str, Number] = {}
    decisions: list[dict[str, Any]] = []
    plan_sha256: str | None = None
    snapshots: tuple[str, ...] = ()
    previous_run_id: str | None = None
    changes: list[Change] = []
    changes_sentence: str = ""
    language: Language = "en"
    code: CodeStamp
    python: str
    packages: dict[str, str]
    seed: int | str | None
    started_at: AwareDatetime
    finished_at: AwareDatetime
    duration_seconds: float
    peak_memory_bytes: int | None = None
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
    peak_memory_bytes: int | None = None,
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
    peak_memory_bytes : int, optional
        Most memory that the kernel held.
    """
    results = displayed_results(executed)
    stated = plain(context)
    language = language_of(parameters)
    with using_language(language):
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
        numbers=numbers_of(results),
        decisions=_decisions(results, stated),
        plan_sha256=plan_sha256_of(results, stated),
        snapshots=_snapshots(results),
        language=language,
        code=code_stamp(),
        python=platform.python_version(),
        packages=package_versions(),
        seed=_seed(stated.get("seed", parameters.get("seed"))),
        started_at=started_at,
        finished_at=finished_at,
        duration_seconds=round((finished_at - started_at).total_seconds(), 3),
        peak_memory_bytes=peak_memory_bytes,
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


def _seed(value: object) -> int | str | None:
    return value if value is None or isinstance(value, (int, str)) else str(value)


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
            return VerdictStamp(word=word, sentence=without_verdict(sentence, word))
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


def _data_of(results: list[dict[str, Any]]) -> list[Mapping[str, Any]]:
    return [item["data"] for item in results if isinstance(item.get("data"), Mapping)]


def _decisions(results: list[dict[str, Any]], context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Take the decisions from the first result that carries some, else from the caller."""
    for data in (*_data_of(results), context):
        found = data.get("decisions")
        if isinstance(found, list) and found:
            return [dict(item) for item in found if isinstance(item, Mapping)]
    return []


def plan_sha256_of(results: list[dict[str, Any]], context: Mapping[str, Any]) -> str | None:
    """Give the hash of the registered plan that results, or else the caller, name."""
    found = (data.get("plan_sha256") for data in (*_data_of(results), context))
    return next((str(sha256) for sha256 in found if sha256), None)


def _snapshots(results: list[dict[str, Any]]) -> tuple[str, ...]:
    found = (data.get("snapshot") for data in _data_of(results))
    return tuple(dict.fromkeys(str(label) for label in found if label))


def language_of(parameters: Mapping[str, Any]) -> Language:
    """Give the language of the page: that of the parameters, else of this process."""
    asked = parameters.get("language")
    return next((known for known in LANGUAGES if known == asked), current_language())
