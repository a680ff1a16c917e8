"""One checked request for a report: everything a run needs, decided before anything runs."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crm_lab.handles import now
from crm_lab.language import current_language, say, using_language
from crm_lab.publishing.notebooks import find_notebook, kind_of
from crm_lab.publishing.subjects import with_experiment
from crm_lab.settings import SETTINGS_FILE, load_settings
from crm_lab.workbench import Workbench

if TYPE_CHECKING:
    from crm_lab.reports import RunRecord
    from crm_lab.reports.parameters import ParameterValue
    from crm_lab.reports.warm_kernels import WarmParent

TIMEOUT_SECONDS = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRequest:
    """A report with checked parameters, ready to run.

    Attributes
    ----------
    kind : str
        Kind of report, such as ``campaign_experiment``.
    notebook : Path
        Its notebook.
    parameters : mapping
        A checked value for every declared parameter.
    title : str
        Title of the page; runs of the same kind and title are runs of the same report.
    context : mapping
        What the manifest states about the data and the workbench; a run is repeated when any of
        it changes.
    reports_folder, working_folder : Path
        Where pages are published, and the current folder of the notebook.
    timeout_seconds : float
        Wall-clock limit of the run.
    """

    kind: str
    notebook: Path
    parameters: Mapping[str, ParameterValue]
    title: str
    context: Mapping[str, Any]
    reports_folder: Path
    working_folder: Path
    timeout_seconds: float = TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How requests run.

    Attributes
    ----------
    is_forced : bool
        Whether to run also where the last good run had the same inputs.
    retries : int
        How often a kernel that died is replaced; an error of the notebook is never tried again.
    wait_seconds : float
        How long to wait for a run of the same report with the same parameters; negative: as long
        as it takes.
    memory_limit_bytes : int or None
        Limit of the memory of one kernel with its children; None: no limit.
    """

    is_forced: bool = False
    retries: int = 1
    wait_seconds: float = 0
    memory_limit_bytes: int | None = None


def report_request(
    workbench: Workbench,
    name: str,
    parameters: Mapping[str, object],
    *,
    title: str | None = None,
    title_parts: Sequence[str] = (),
    gateway: str | None = None,
    as_text: bool = False,
    timeout_seconds: float = TIMEOUT_SECONDS,
    context: Mapping[str, Any] | None = None,
) -> ReportRequest:
    """Find a report, check its parameters and fix the data that it will read.

    The parameters ``snapshot``, ``gateway`` and ``language`` are filled in where the notebook
    declares them and nobody gave them.

    Parameters
    ----------
    workbench : Workbench
        The opened workbench; of the gateway that is named, if one is.
    name : str
        Kind of report, a part of it, or path of a notebook.
    parameters : mapping
        Values by name.
    title : str, optional
        Title of the page; by default the heading of the notebook and the experiment that it is
        about, so that pages of different campaigns are different reports.
    title_parts : sequence of str
        What is added to the title, to tell reports of one fan-out apart.
    gateway : str, optional
        Name of the gateway, as a person gave it.
    as_text : bool, default False
        Whether the values are texts typed on a command line.
    timeout_seconds : float
        Wall-clock limit of the run.
    context : mapping, optional
        From :func:`stated` of ``workbench``, where several requests are made at once; it counts
        where the parameters name no other gateway and no other snapshot.

    Raises
    ------
    ReportError
        No such report, or its parameters are wrong, every fault at once.
    """
    # imported here: papermill takes seconds, and a workbench may be opened without reports
    from crm_lab.reports import check_parameters, declared_parameters, parse_text_parameters
    from crm_lab.reports.manifest import language_of
    from crm_lab.reports.notebooks import notebook_title, read_notebook

    notebook = find_notebook(workbench, name)
    declared = declared_parameters(notebook)
    given: dict[str, object] = dict(parameters)
    if as_text:
        texts = {key: str(value) for key, value in parameters.items()}
        given = dict(parse_text_parameters(declared, texts))
    names = {parameter.name for parameter in declared}
    source = workbench
    if "gateway" in names and given.get("gateway") not in (None, gateway):
        source = _of_gateway(workbench, str(given["gateway"]))
    source = pinned(source)
    known: dict[str, object] = {
        "snapshot": source.snapshot().snapshot_id,
        "language": current_language(),
    }
    if gateway:
        known["gateway"] = gateway
    given = {key: value for key, value in known.items() if key in names} | given
    given = with_experiment(source, name, given)
    checked = check_parameters(declared, given)
    if checked.get("snapshot") not in (None, known["snapshot"]):
        source = Workbench(source.settings, snapshot=int(str(checked["snapshot"])))
    is_other = (source.settings, source.snapshot()) != (workbench.settings, workbench.snapshot())
    if context is None or is_other:
        context = stated(source)
    heading = title
    if not heading:
        with using_language(language_of(checked)):
            heading = say(notebook_title(read_notebook(notebook)) or notebook.stem)
        if checked.get("experiment"):
            title_parts = list(dict.fromkeys([str(checked["experiment"]), *title_parts]))
    return ReportRequest(
        kind=kind_of(notebook),
        notebook=notebook,
        parameters=checked,
        title=f"{heading}: {', '.join(title_parts)}" if title_parts else heading,
        context=context,
        reports_folder=workbench.settings.reports_folder,
        working_folder=workbench.settings.folder,
        timeout_seconds=timeout_seconds,
    )


def pinned(workbench: Workbench) -> Workbench:
    """Give the same workbench, which from now on reads the snapshot that is the latest now."""
    return Workbench(workbench.settings, snapshot=workbench.snapshot().snapshot_id)


def _of_gateway(workbench: Workbench, gateway: str) -> Workbench:
    return Workbench(load_settings(workbench.settings.folder, gateway=gateway))


def stated(workbench: Workbench) -> dict[str, Any]:
    """Give what a manifest states about the data and the workbench, hashes of them included."""
    snapshot = workbench.snapshot()
    base = workbench.base()
    return {
        "company": workbench.settings.company,
        "snapshot": snapshot.label,
        "snapshot_sha256": snapshot.digest,
        "ledger_sha256": workbench.gateway.ledger_head(),
        "data_from": workbench.local_day(base.first_order_at) if base.first_order_at else None,
        "data_to": workbench.local_day(base.last_order_at) if base.last_order_at else None,
        "about_the_data": workbench.settings.declared.note or None,
        "inputs": _inputs(workbench),
    }


def run_request(
    request: ReportRequest,
    *,
    options: RunOptions | None = None,
    warm_parent: WarmParent | None = None,
    stop: threading.Event | None = None,
    index: bool = True,
    progress: bool = False,
) -> RunRecord:
    """Run a request and publish its page, unless its last good run had the same inputs.

    Parameters
    ----------
    request : ReportRequest
        From :func:`report_request`.
    options : RunOptions, optional
        How it runs.
    warm_parent : WarmParent, optional
        From which the kernel is forked; by default it is started cold.
    stop : threading.Event, optional
        Set from another thread to end the run; nothing of it is published.
    index : bool, default True
        Whether to write the list of reports anew.
    progress : bool, default False
        Whether to draw a progress bar over the cells.

    Raises
    ------
    BusyError
        The same report is running with the same parameters, and ``options`` do not say to wait.
    """
    from crm_lab.reports import run_report

    chosen = options or RunOptions()
    return run_report(
        request.notebook,
        parameters=request.parameters,
        reports_folder=request.reports_folder,
        kind=request.kind,
        title=request.title,
        context=request.context,
        working_folder=request.working_folder,
        timeout_seconds=request.timeout_seconds,
        memory_limit_bytes=chosen.memory_limit_bytes,
        retries=chosen.retries,
        wait_seconds=chosen.wait_seconds,
        skip_unchanged=not chosen.is_forced,
        warm_parent=warm_parent,
        stop=stop,
        index=index,
        progress=progress,
    )


def _inputs(workbench: Workbench) -> dict[str, str]:
    """Give what a report may read beside the gateway: the files that people wrote, and the day."""
    settings = workbench.settings
    files = [settings.folder / SETTINGS_FILE, *settings.experiments_folder.glob("*.yml")]
    digest = hashlib.sha256()
    for path in sorted(files):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.name}\0{content}\0".encode())
    return {"files": digest.hexdigest(), "day": workbench.local_day(now()).isoformat()}
