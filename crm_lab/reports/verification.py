"""Doing a run again: the same notebook, parameters and data, and every number compared.

Nothing is published. What a verification found is kept beside the runs, in
``verifications/<run_id>.json``, since the folder of a run never changes.
"""

from __future__ import annotations

import json
import platform
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import nbformat
import pandas as pd
from filelock import FileLock

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import ReportError
from crm_lab.language import message, say, using_language
from crm_lab.reports.differences import manifest_of, value_text, what_text
from crm_lab.reports.execution import Failure, execute
from crm_lab.reports.manifest import (
    EXECUTED_NAME,
    Manifest,
    displayed_results,
    first_verdict,
    plan_sha256_of,
    utc_now,
)
from crm_lab.reports.masking import (
    SHOW_PARAMETER,
    Mask,
    holds_masked,
    masked_results,
    run_mask,
)
from crm_lab.reports.notebooks import digest, read_notebook, tags
from crm_lab.reports.numbers import RELATIVE_TOLERANCE, Leaf, as_number, is_same, leaves_of
from crm_lab.reports.provenance import code_stamp, package_versions
from crm_lab.reports.staging import write_atomically
from crm_lab.reports.supervision import Limits

VERIFICATIONS_FOLDER = "verifications"
SHOWN_DIFFERENCES = 15
LEDGER_VALUE = ".ledger_digest"
INJECTED_TAG = "injected-parameters"
_SHORTENED_PATH = re.compile(r"(?<![\w./~-])~(?=[/'\"]|$)")
SourceOfNotebook = Literal["workbench", "executed copy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """A value that came out otherwise.

    Attributes
    ----------
    what : str
        Name of the value.
    published, again : number, text or None
        As the run published it, and as it came out now.
    """

    what: str
    published: Leaf
    again: Leaf


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Verification(Result):
    """What came of doing a run again.

    Attributes
    ----------
    run_id, report_title : str
        Which run.
    is_confirmed : bool
        Whether the run completed and every value came out the same.
    numbers, exact : int
        How many numbers were compared, and how many came out the same to the last digit.
    texts : int
        How many other values (words, sentences, dates) were compared.
    tolerance : float
        Largest relative difference of a number that counts as the same.
    departures : tuple of Departure
        What came out otherwise.
    source : str
        Which notebook was executed: that of the workbench, or the copy that the run kept because
        the workbench's has changed.
    changed_since : tuple of str
        What has changed since the run: notebook, plan, ledger, code, packages, Python.
    failure : str
        Why it could not be done again; empty when it could.
    seconds : float
        How long it took.
    at : str
        When (UTC, ISO).
    """

    title: ClassVar[str] = message("Verification of a run")

    run_id: str
    report_title: str
    is_confirmed: bool
    numbers: int
    exact: int
    texts: int
    tolerance: float = RELATIVE_TOLERANCE
    departures: tuple[Departure, ...] = ()
    source: SourceOfNotebook = "workbench"
    changed_since: tuple[str, ...] = ()
    failure: str = ""
    seconds: float = 0.0
    at: str = ""

    def sentence(self) -> str:
        """Say whether the run is confirmed, how closely, and what has changed since."""
        return " ".join([self._outcome(), self._changes()])

    def to_frame(self) -> pd.DataFrame:
        """Give one row per value that came out otherwise."""
        rows = [(item.what, item.published, item.again) for item in self.departures]
        return pd.DataFrame(rows, columns=["what", "published", "again"])

    def card_frame(self) -> pd.DataFrame:
        """Give the first values that came out otherwise, as people read them."""
        rows = [
            (what_text(item.what), value_text(item.published), value_text(item.again))
            for item in self.departures[:SHOWN_DIFFERENCES]
        ]
        return pd.DataFrame(rows, columns=["what", "published", "again"])

    def _outcome(self) -> str:
        if self.failure:
            return say(
                "{title} could not be done again: {failure}",
                title=self.report_title,
                failure=self.failure,
            )
        counts = {
            "numbers": formats.number(self.numbers),
            "texts": formats.number(self.texts),
        }
        if self.is_confirmed and self.exact == self.numbers:
            return say(
                "Confirmed: all {numbers} numbers came out the same to the last digit, and so did"
                " {texts} words and sentences.",
                **counts,
            )
        if self.is_confirmed:
            return say(
                "Confirmed: of {numbers} numbers {exact} came out the same to the last digit, the"
                " rest within {tolerance} of their value, and {texts} words and sentences are the"
                " same.",
                exact=formats.number(self.exact),
                tolerance=f"{self.tolerance:.0e}",
                **counts,
            )
        return say(
            "Not confirmed: {departures} of {values} values came out otherwise.",
            departures=formats.number(len(self.departures)),
            values=formats.number(self.numbers + self.texts),
        )

    def _changes(self) -> str:
        if not self.changed_since:
            return say("Notebook, plan, ledger, code and packages are those of the run.")
        changed = ", ".join(say(CHANGED_WORDS.get(name, name)) for name in self.changed_since)
        if self.source == "executed copy":
            return say(
                "Changed since the run: {changed}; the notebook was taken from the run itself.",
                changed=changed,
            )
        return say("Changed since the run: {changed}.", changed=changed)


CHANGED_WORDS = {
    "notebook": message("notebook"),
    "plan": message("registered plan"),
    "ledger": message("ledger"),
    "code": message("code"),
    "packages": message("packages"),
    "Python": "Python",
}


def verify_run(
    run_folder: Path, *, notebooks: Sequence[Path], working_folder: Path, timeout_seconds: float
) -> Verification:
    """Execute the notebook of a run again and compare every value of its results.

    The run's own parameters are used, and with them the snapshot that they name.

    Parameters
    ----------
    run_folder : Path
        A published run.
    notebooks : sequence of Path
        The report notebooks of the workbench. The one with the hash of the run is executed; where
        there is none any more, the copy that the run keeps.
    working_folder : Path
        The workbench.
    timeout_seconds : float
        Wall-clock limit.

    Raises
    ------
    ReportError
        The run failed itself, holds what was masked, or its notebook is nowhere any more.
    """
    manifest = manifest_of(run_folder)
    _check(manifest, run_folder)
    started_at = utc_now()
    notebook, source = _notebook_of(manifest, notebooks)
    shows_ids = bool(manifest.parameters.get(SHOW_PARAMETER))
    mask = run_mask(working_folder, show_customer_ids=shows_ids)
    with (
        tempfile.TemporaryDirectory(prefix="crm-lab-verify-") as scratch,
        using_language(manifest.language),
    ):
        if notebook is None:
            notebook = _kept_source(run_folder, manifest, Path(scratch))
        execution = execute(
            notebook,
            parameters=manifest.parameters,
            working_folder=working_folder,
            limits=Limits(timeout_seconds=timeout_seconds),
        )
        results = masked_results(
            displayed_results(execution.notebook),
            execution.notebook,
            folder=working_folder,
            show_customer_ids=shows_ids,
        )
    compared = _compared(manifest, results) if execution.failure is None else _Compared()
    return Verification(
        run_id=manifest.run_id,
        report_title=manifest.title,
        is_confirmed=execution.failure is None and not compared.departures,
        numbers=compared.numbers,
        exact=compared.exact,
        texts=compared.texts,
        departures=compared.departures,
        source=source,
        changed_since=_changed_since(manifest, results, source),
        failure=_failure_text(execution.failure, mask),
        seconds=round((utc_now() - started_at).total_seconds(), 3),
        at=started_at.isoformat(timespec="seconds"),
    )


def record_verification(reports_folder: Path, verification: Verification) -> Path:
    """Add a verification to those of its run, in one step; give the file."""
    folder = reports_folder / VERIFICATIONS_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{verification.run_id}.json"
    with FileLock(folder / ".verifications.lock", timeout=60):
        known = verifications_of(reports_folder, verification.run_id)
        text = json.dumps([*known, verification.to_dict()], ensure_ascii=False, indent=2)
        write_atomically(path, text + "\n")
    return path


def verifications_of(reports_folder: Path, run_id: str) -> list[dict[str, Any]]:
    """Give what verifications of a run found, the first one first."""
    path = reports_folder / VERIFICATIONS_FOLDER / f"{run_id}.json"
    if not path.is_file():
        return []
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    numbers: int = 0
    exact: int = 0
    texts: int = 0
    departures: tuple[Departure, ...] = ()


def _check(manifest: Manifest, run_folder: Path) -> None:
    if manifest.status != "ok":
        raise ReportError(
            say("this run failed; there is nothing to compare"),
            where=manifest.run_id,
            remedy=say("choose a complete run"),
        )
    hidden = [
        name
        for name, value in manifest.parameters.items()
        if holds_masked(str(value)) or _SHORTENED_PATH.search(str(value))
    ]
    if hidden:
        raise ReportError(
            say(
                "the run does not say the values of {names}: they were hidden or shortened when"
                " it was published",
                names=", ".join(hidden),
            ),
            where=str(run_folder),
            remedy=say(
                "run the report again with the values that were meant, and compare the runs"
            ),
        )


def _notebook_of(
    manifest: Manifest, notebooks: Sequence[Path]
) -> tuple[Path | None, SourceOfNotebook]:
    wanted = manifest.notebook
    same_name_first = sorted(notebooks, key=lambda path: path.name != wanted.name)
    for path in same_name_first:
        if digest(path) == wanted.sha256:
            return path, "workbench"
    return None, "executed copy"


def _kept_source(run_folder: Path, manifest: Manifest, scratch: Path) -> Path:
    """Write the notebook as it was before the run, out of the executed copy."""
    kept = run_folder / EXECUTED_NAME
    if not kept.is_file():
        raise ReportError(
            say(
                "no notebook of the workbench is the one of this run ({name}, sha256 {digest}…),"
                " and the run keeps no copy of it",
                name=manifest.notebook.name,
                digest=manifest.notebook.sha256[:12],
            ),
            where=str(run_folder),
            remedy=say("bring the notebook back from version control"),
        )
    notebook = read_notebook(kept)
    if any(holds_masked(cell.source) for cell in notebook.cells if cell.cell_type == "code"):
        raise ReportError(
            say("the copy of the notebook that the run keeps has hidden parts in its code"),
            where=str(kept),
            remedy=say("bring the notebook back from version control"),
        )
    notebook.cells = [cell for cell in notebook.cells if INJECTED_TAG not in tags(cell)]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    path = scratch / manifest.notebook.name
    path.write_text(nbformat.writes(notebook), encoding="utf-8")
    return path


def _compared(manifest: Manifest, results: list[dict[str, Any]]) -> _Compared:
    published, again = _values(manifest.results), _values(results)
    verdict = first_verdict(results)
    pairs = {
        name: (published.get(name), again.get(name)) for name in dict.fromkeys([*published, *again])
    }
    pairs["verdict"] = (
        manifest.verdict.word if manifest.verdict else None,
        verdict.word if verdict else None,
    )
    numbers = [pair for pair in pairs.values() if None not in map(as_number, pair)]
    one_sided = published.keys() ^ again.keys()
    departures = tuple(
        Departure(what=name, published=before, again=after)
        for name, (before, after) in pairs.items()
        if not is_same(before, after) or name in one_sided
    )
    return _Compared(
        numbers=len(numbers),
        exact=sum(before == after for before, after in numbers),
        texts=len(pairs) - len(numbers),
        departures=departures,
    )


def _values(results: Sequence[Mapping[str, Any]]) -> dict[str, Leaf]:
    """Give every value that must come out again; what the ledger has gained since is no result."""
    results = [result for result in results if not _is_of_ledger(result)]
    said = {
        f"{result.get('kind', 'result')}[{place}].{key}": str(result.get(key, ""))
        for place, result in enumerate(results, start=1)
        for key in ("title", "sentence")
    }
    values = said | leaves_of(results)
    return {name: value for name, value in values.items() if not name.endswith(LEDGER_VALUE)}


def _is_of_ledger(result: Mapping[str, Any]) -> bool:
    data = result.get("data")
    return isinstance(data, Mapping) and isinstance(data.get("decisions"), list)


def _ledger_values(results: Sequence[Mapping[str, Any]]) -> dict[str, Leaf]:
    recorded = [result for result in results if _is_of_ledger(result)]
    heads = {
        name: value for name, value in leaves_of(results).items() if name.endswith(LEDGER_VALUE)
    }
    return leaves_of(recorded) | heads


def _changed_since(
    manifest: Manifest, results: list[dict[str, Any]], source: SourceOfNotebook
) -> tuple[str, ...]:
    code = code_stamp()
    known = manifest.code
    if known.source_sha256 is not None:
        is_code_changed = known.source_sha256 != code.source_sha256
    else:
        is_code_changed = (known.version, known.commit) != (code.version, code.commit)
    changed = {
        "notebook": source != "workbench",
        "plan": bool(results) and manifest.plan_sha256 != plan_sha256_of(results, manifest.context),
        "ledger": bool(results) and _ledger_values(manifest.results) != _ledger_values(results),
        "code": is_code_changed,
        "packages": manifest.packages != package_versions(),
        "Python": manifest.python != platform.python_version(),
    }
    return tuple(name for name, is_changed in changed.items() if is_changed)


def _failure_text(failure: Failure | None, mask: Mask) -> str:
    return "" if failure is None else mask.text(f"{failure.type}: {failure.message}")
