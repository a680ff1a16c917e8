"""One run of a report: checked parameters in, a published folder out, good or failed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from filelock import FileLock, Timeout

from crm_lab.errors import BusyError, ReportError
from crm_lab.language import message, say, using_language
from crm_lab.reports.catalogue import rebuild_index
from crm_lab.reports.declarations import declared_parameters
from crm_lab.reports.differences import previous_run, with_changes
from crm_lab.reports.execution import Execution, execute
from crm_lab.reports.manifest import (
    EXECUTED_NAME,
    MANIFEST_NAME,
    PAGE_NAME,
    Manifest,
    build_manifest,
    language_of,
    run_hash,
    utc_now,
)
from crm_lab.reports.masking import SHOW_PARAMETER, mask_run, run_mask
from crm_lab.reports.notebooks import notebook_title, read_notebook
from crm_lab.reports.parameters import check_parameters
from crm_lab.reports.publishing import render_page
from crm_lab.reports.run_results import RunRecord, RunStatus
from crm_lab.reports.staging import check_kind, staging
from crm_lab.reports.supervision import OUTPUT_LIMIT_BYTES, Limits
from crm_lab.reports.unchanged import is_unchanged, last_good_run
from crm_lab.reports.warm_kernels import WarmParent

_LOCKS_FOLDER = ".locks"
_BUSY = message("{title} is running with these parameters already")
DEFAULT_TIMEOUT_SECONDS = 1800.0


@contextmanager
def _alone(
    reports_folder: Path, *, title: str, run_hash: str, wait_seconds: float
) -> Iterator[None]:
    """Keep runs of one report with the same parameters apart, across processes."""
    folder = reports_folder / _LOCKS_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run_hash}.lock"
    lock = FileLock(path, timeout=wait_seconds)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(
            say(_BUSY, title=title),
            where=str(path),
            remedy=say("wait for that run, or ask to wait for it (--wait)"),
        ) from None
    try:
        yield
    finally:
        lock.release()


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
    memory_limit_bytes: int | None = None,
    retries: int = 0,
    wait_seconds: float = 0,
    skip_unchanged: bool = False,
    warm_parent: WarmParent | None = None,
    stop: threading.Event | None = None,
    index: bool = True,
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
    memory_limit_bytes : int, optional
        Limit of the memory of the kernel and its children; by default none.
    retries : int, default 0
        How often a kernel that died is replaced; an error in the notebook is never tried again.
    wait_seconds : float, default 0
        How long to wait for a run of the same report with the same parameters; negative: as long
        as it takes.
    skip_unchanged : bool, default False
        Whether to run nothing when the last good run had the same inputs: notebook, parameters,
        context, code and packages.
    warm_parent : WarmParent, optional
        From which the kernel is forked; by default it is started cold.
    stop : threading.Event, optional
        Set from another thread to end the run; nothing of it is published.
    index : bool, default True
        Whether to write the list of reports anew; a batch does it once at its end.
    progress : bool, default False
        Whether to draw a progress bar over the cells.

    Returns
    -------
    RunRecord
        Also for a failed run: ask its ``status``.

    Raises
    ------
    ReportError
        Before anything runs: the notebook, its parameters, the kind or a limit is wrong; every
        fault of the parameters at once.
    BusyError
        The same report is running with the same parameters.
    """
    if not timeout_seconds > 0:
        raise ReportError(
            say("a limit of {seconds} seconds", seconds=timeout_seconds),
            expected=say("more than 0"),
        )
    if not working_folder.is_dir():
        raise ReportError(say("working folder {folder} does not exist", folder=working_folder))
    check_kind(kind)
    heading = notebook_title(read_notebook(notebook))
    values = check_parameters(declared_parameters(notebook), parameters)
    mask = run_mask(working_folder, show_customer_ids=bool(values.get(SHOW_PARAMETER)))
    report_title = mask.text((title or heading or notebook.stem).strip())
    identity = run_hash(kind, report_title, values)
    with (
        using_language(language_of(values)),
        _alone(reports_folder, title=report_title, run_hash=identity, wait_seconds=wait_seconds),
    ):
        if skip_unchanged:
            last = last_good_run(
                reports_folder, kind=kind, title=report_title, parameters=values, mask=mask
            )
            if last and is_unchanged(last[1], notebook=notebook, context=context or {}, mask=mask):
                return _record(*last, status="unchanged")
        started_at = utc_now()
        with staging(
            reports_folder, kind=kind, title=report_title, run_hash=identity, at=started_at
        ) as place:
            execution = execute(
                notebook,
                parameters=values,
                working_folder=working_folder,
                limits=Limits(
                    timeout_seconds=timeout_seconds,
                    output_bytes=output_limit_bytes,
                    memory_bytes=memory_limit_bytes,
                ),
                retries=retries,
                warm_parent=warm_parent,
                stop=stop,
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
                peak_memory_bytes=execution.peak_memory_bytes,
            )
            _, manifest = mask_run(
                execution.notebook,
                manifest,
                folder=working_folder,
                show_customer_ids=bool(values.get(SHOW_PARAMETER)),
            )
            before = previous_run(reports_folder, kind=kind, title=report_title, parameters=values)
            manifest = with_changes(manifest, before)
            _write(place.folder, execution, manifest)
            folder = place.publish()
    if index:
        rebuild_index(reports_folder)
    return _record(folder, manifest, status=manifest.status, attempts=execution.attempts)


def _record(folder: Path, manifest: Manifest, *, status: RunStatus, attempts: int = 0) -> RunRecord:
    return RunRecord(
        run_id=manifest.run_id,
        kind=manifest.kind,
        report_title=manifest.title,
        status=status,
        folder=folder,
        html=folder / PAGE_NAME,
        duration_seconds=manifest.duration_seconds if attempts else 0.0,
        verdict=manifest.verdict.word if manifest.verdict else None,
        headline=manifest.headline,
        error=manifest.headline if manifest.error else None,
        peak_memory_bytes=manifest.peak_memory_bytes if attempts else None,
        attempts=attempts,
    )


def _write(folder: Path, execution: Execution, manifest: Manifest) -> None:
    stopped_at = execution.failure.cell_index if execution.failure else None
    page = render_page(execution.notebook, manifest, stopped_at=stopped_at)
    (folder / PAGE_NAME).write_text(page, encoding="utf-8")
    notebook_json: str = nbformat.writes(execution.notebook)
    (folder / EXECUTED_NAME).write_text(notebook_json, encoding="utf-8")
    (folder / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
