"""One run of a report: checked parameters in, a published folder out, good or failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import nbformat
import pandas as pd

from crm_lab.cards import Result
from crm_lab.errors import ReportError
from crm_lab.reports import wording
from crm_lab.reports.catalogue import rebuild_index
from crm_lab.reports.declarations import declared_parameters
from crm_lab.reports.execution import OUTPUT_LIMIT_BYTES, Execution, execute
from crm_lab.reports.manifest import (
    EXECUTED_NAME,
    MANIFEST_NAME,
    PAGE_NAME,
    Manifest,
    build_manifest,
    run_hash,
    utc_now,
)
from crm_lab.reports.notebooks import notebook_title, read_notebook
from crm_lab.reports.parameters import check_parameters
from crm_lab.reports.publishing import render_page
from crm_lab.reports.staging import staging

DEFAULT_TIMEOUT_SECONDS = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RunRecord(Result):
    """What became of one run of a report.

    Attributes
    ----------
    run_id : str
        Unique id, also the name of its folder.
    kind, report_title : str
        Which report it was.
    status : str
        ``ok`` or ``failed``.
    folder : Path
        The published folder with page, executed notebook and manifest.
    html : Path
        The page.
    duration_seconds : float
        Wall-clock time of the execution.
    verdict : str or None
        The verdict word, where the report gave one.
    headline : str
        The sentence of the verdict, of the first result, or of the failure.
    error : str or None
        Why it failed.
    """

    title: ClassVar[str] = "Report run"

    run_id: str
    kind: str
    report_title: str
    status: Literal["ok", "failed"]
    folder: Path
    html: Path
    duration_seconds: float
    verdict: str | None = None
    headline: str = ""
    error: str | None = None

    @property
    def is_good(self) -> bool:
        """Whether the run completed."""
        return self.status == "ok"

    def sentence(self) -> str:
        """Say how the run ended and where its page is."""
        return wording.run_sentence(
            title=self.report_title,
            seconds=self.duration_seconds,
            page=str(self.html),
            verdict=self.verdict,
            error=self.error,
        )

    def to_frame(self) -> pd.DataFrame:
        """Give the record as one row."""
        return pd.DataFrame([self.to_dict()])

    def card_frame(self) -> pd.DataFrame:
        """Give the three facts that the sentence does not say."""
        return self.to_frame()[["run_id", "kind", "status"]]


def run_report(
    notebook: Path,
    *,
    parameters: Mapping[str, object],
    reports_folder: Path,
    kind: str,
    title: str | None = None,
    context: Mapping[str, Any] | None = None,
    working_folder: Path,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    output_limit_bytes: int = OUTPUT_LIMIT_BYTES,
    progress: bool = False,
) -> RunRecord:
    """Run a report notebook and publish what came out, in a new folder that appears whole.

    A notebook that fails is published as failed, with its message, in a folder of its own: the
    last good run stays where it is and stays on top of the list.

    Parameters
    ----------
    notebook : Path
        The report notebook; it is not changed.
    parameters : mapping
        Values by name; what is not given takes its declared default.
    reports_folder : Path
        Folder of the published reports; made if missing.
    kind : str
        Kind of report and name of its folder, such as ``campaign``.
    title : str, optional
        Title of this report; by default the notebook's H1. Runs of the same kind and title are
        runs of the same report.
    context : mapping, optional
        JSON data for the manifest. The page prints ``data_from``, ``data_to``, ``snapshot``,
        ``seed``, and every other plain value except ``workbench``.
    working_folder : Path
        Current folder of the notebook, usually the workbench.
    timeout_seconds : float
        Wall-clock limit of the whole run, above 0.
    output_limit_bytes : int, default 20 MB
        Limit of all outputs together.
    progress : bool, default False
        Whether to draw a progress bar.

    Returns
    -------
    RunRecord
        Also for a failed run: ask its ``status``.

    Raises
    ------
    ReportError
        Before anything runs: the notebook, its parameters, the kind or a limit is wrong; every
        fault of the parameters at once.
    """
    if not timeout_seconds > 0:
        raise ReportError(f"a limit of {timeout_seconds} seconds", expected="more than 0")
    if not working_folder.is_dir():
        raise ReportError(f"working folder {working_folder} does not exist")
    heading = notebook_title(read_notebook(notebook))
    values = check_parameters(declared_parameters(notebook), parameters)
    report_title = (title or heading or notebook.stem).strip()
    started_at = utc_now()
    with staging(
        reports_folder,
        kind=kind,
        title=report_title,
        run_hash=run_hash(kind, report_title, values),
        at=started_at,
    ) as place:
        execution = execute(
            notebook,
            parameters=values,
            working_folder=working_folder,
            timeout_seconds=timeout_seconds,
            output_limit_bytes=output_limit_bytes,
            progress=progress,
        )
        manifest = build_manifest(
            run_id=place.run_id,
            kind=kind,
            title=report_title,
            notebook=notebook,
            executed=execution.notebook,
            parameters=values,
            context=context or {},
            failure=execution.failure,
            started_at=started_at,
            finished_at=utc_now(),
        )
        _write(place.folder, execution, manifest)
        folder = place.publish()
    rebuild_index(reports_folder)
    return RunRecord(
        run_id=manifest.run_id,
        kind=kind,
        report_title=report_title,
        status=manifest.status,
        folder=folder,
        html=folder / PAGE_NAME,
        duration_seconds=manifest.duration_seconds,
        verdict=manifest.verdict.word if manifest.verdict else None,
        headline=manifest.headline,
        error=manifest.headline if manifest.error else None,
    )


def _write(folder: Path, execution: Execution, manifest: Manifest) -> None:
    stopped_at = execution.failure.cell_index if execution.failure else None
    page = render_page(execution.notebook, manifest, stopped_at=stopped_at)
    (folder / PAGE_NAME).write_text(page, encoding="utf-8")
    notebook_json: str = nbformat.writes(execution.notebook)
    (folder / EXECUTED_NAME).write_text(notebook_json, encoding="utf-8")
    (folder / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
