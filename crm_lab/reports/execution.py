"""Executing one notebook under limits, and judging whether it really ran.

The cell status that papermill writes is never read: it calls the cells of a killed kernel
completed. A run is good when nothing was raised, no limit was met, the notebook did not end
itself, and every code cell that holds something has an execution count.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import papermill
from jupyter_core.utils import ensure_event_loop
from nbclient.exceptions import CellTimeoutError
from papermill.engines import papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.execute import remove_error_markers

from crm_lab.formats import number
from crm_lab.language import current_language, message, say
from crm_lab.reports import wording
from crm_lab.reports.kernels import KERNEL_NAME, kernel_log, kernel_manager
from crm_lab.reports.localising import localised
from crm_lab.reports.notebooks import heading_before
from crm_lab.reports.parameters import ParameterValue
from crm_lab.reports.supervision import (
    OUTPUT_WAIT_SECONDS,
    START_TIMEOUT_SECONDS,
    Limits,
    SupervisedEngine,
    Supervision,
)
from crm_lab.reports.warm_kernels import WarmParent

FailureReason = Literal[
    "error", "exit", "kernel died", "timeout", "output", "memory", "not executed"
]

ENGINE_NAME = "crm-lab"
MESSAGE_LIMIT = 2_000
_OUTPUTS_LOST_MESSAGE = message(
    "Outputs of a cell were lost: they did not arrive within {seconds} seconds after it had ended."
)
_MEMORY_MESSAGE = message("The run was stopped: its memory exceeds the limit of {limit} GB.")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_FRAME = re.compile(r"^(Cell In\[|File |Input In )")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a run is no good.

    Attributes
    ----------
    reason : str
        Which rule was broken.
    type : str
        Name of the exception, or of the limit.
    message : str
        What the exception or the limit says.
    heading : str
        The heading of the notebook under which it happened; empty when there is none.
    frames : tuple of str
        The places of the traceback, without code; the last words of a process that died.
    cell_index : int or None
        The cell at which the run stopped.
    """

    reason: FailureReason
    type: str
    message: str
    heading: str = ""
    frames: tuple[str, ...] = ()
    cell_index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What came out of executing a notebook.

    Attributes
    ----------
    notebook : NotebookNode
        The notebook with its outputs, also after a failure.
    failure : Failure or None
        Why it is no good; None for a good run.
    peak_memory_bytes : int or None
        Most memory that the kernel and its children held, where it was seen.
    attempts : int
        How many kernels it took: more than 1 when one died.
    """

    notebook: Any
    failure: Failure | None
    peak_memory_bytes: int | None = None
    attempts: int = 1


def execute(
    notebook: Path,
    *,
    parameters: Mapping[str, ParameterValue],
    working_folder: Path,
    limits: Limits,
    retries: int = 0,
    warm_parent: WarmParent | None = None,
    stop: threading.Event | None = None,
    progress: bool = False,
) -> Execution:
    """Execute a notebook with papermill and judge it.

    Parameters
    ----------
    notebook : Path
        The notebook; it is not changed.
    parameters : mapping
        Checked values for the parameters cell.
    working_folder : Path
        Current folder of the kernel.
    limits : Limits
        Time, outputs and memory that each attempt may use.
    retries : int, default 0
        How often a kernel that died is replaced by a new one, from the first cell. An error in the
        notebook or a limit that was met is never tried again.
    warm_parent : WarmParent, optional
        From which the kernel is forked; by default it is started cold.
    stop : threading.Event, optional
        Set by the caller, from another thread, to end the run.
    progress : bool, default False
        Whether to draw papermill's progress bar.

    Returns
    -------
    Execution
        Also for a failed run.

    Raises
    ------
    KeyboardInterrupt
        The user interrupted the run, or ``stop`` was set.
    """
    _prepare_papermill()
    stopped = stop or threading.Event()
    for attempt in itertools.count(1):
        execution = _attempt(
            notebook,
            parameters=dict(parameters),
            working_folder=working_folder,
            limits=limits,
            warm_parent=warm_parent,
            stop=stopped,
            progress_bar=progress,
        )
        failure = execution.failure
        if failure is None or failure.reason != "kernel died" or attempt > retries:
            break
    return replace(execution, attempts=attempt)


def _attempt(
    notebook: Path,
    *,
    limits: Limits,
    warm_parent: WarmParent | None,
    stop: threading.Event,
    **options: Any,
) -> Execution:
    escaped = str(notebook.resolve()).replace("{", "{{").replace("}", "}}")
    raised: RuntimeError | PapermillExecutionError | CellTimeoutError | None = None
    with (
        kernel_manager(warm_parent) as manager,
        Supervision(manager, limits=limits, stop=stop) as supervision,
    ):
        try:
            _in_own_thread(supervision, stop, escaped, **options)
        except (RuntimeError, PapermillExecutionError, CellTimeoutError) as error:
            raised = error
        if stop.is_set():
            raise KeyboardInterrupt
        last_words = _last_words(kernel_log(manager))
    executed = localised(remove_error_markers(supervision.notebook), current_language())
    executed.metadata.setdefault("papermill", {}).update(input_path=notebook.name, output_path=None)
    failure = judge(executed, supervision, raised)
    if failure is not None and failure.reason == "kernel died":
        failure = replace(failure, frames=last_words)
    return Execution(
        notebook=executed, failure=failure, peak_memory_bytes=supervision.peak_memory_bytes
    )


def _in_own_thread(
    supervision: Supervision, stop: threading.Event, path: str, **options: Any
) -> None:
    """Run papermill in a thread with an event loop of its own, which is closed at the end.

    So a run disturbs no loop of the caller (a notebook has one running), and an interruption of
    the caller ends the kernel before it is passed on.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="crm-lab-run") as pool:
        future = pool.submit(_run_papermill, supervision, path, options)
        try:
            future.result()
        finally:
            if not future.done():
                stop.set()


def _run_papermill(supervision: Supervision, path: str, options: dict[str, Any]) -> None:
    loop = ensure_event_loop(prefer_selector_loop=True)
    try:
        papermill.execute_notebook(
            path,
            None,
            engine_name=ENGINE_NAME,
            kernel_name=KERNEL_NAME,
            language="python",
            request_save_on_cell_execute=False,
            autosave_cell_every=0,
            start_timeout=START_TIMEOUT_SECONDS,
            supervision=supervision,
            **options,
        )
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.close()


def judge(notebook: Any, supervision: Supervision, raised: BaseException | None) -> Failure | None:
    """Say why a run is no good, or None when it is; papermill's cell status is not asked.

    Parameters
    ----------
    notebook : NotebookNode
        The notebook after the run.
    supervision : Supervision
        What was seen from outside.
    raised : BaseException or None
        What papermill raised.
    """
    index = supervision.cell_index
    heading = heading_before(notebook, index) if index is not None else ""
    if supervision.stopped_by == "timeout":
        message = wording.timeout_message(supervision.limits.timeout_seconds)
        return _failure("timeout", "TimeLimit", message, heading, index)
    if supervision.stopped_by == "output":
        message = wording.output_message(supervision.limits.output_bytes)
        return _failure("output", "OutputLimit", message, heading, index)
    if supervision.stopped_by == "memory":
        message = say(_MEMORY_MESSAGE, limit=_gigabytes(supervision.limits.memory_bytes))
        return _failure("memory", "MemoryLimit", message, heading, index)
    for position, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                return _error(notebook, position, output)
    if supervision.ended_itself:
        return _failure("exit", "SystemExit", say(wording.EXIT_MESSAGE), heading, index)
    if isinstance(raised, CellTimeoutError):
        message = say(_OUTPUTS_LOST_MESSAGE, seconds=number(OUTPUT_WAIT_SECONDS))
        return _failure("not executed", "OutputsLost", message, heading, index)
    if raised is not None:
        message = f"{say(wording.KERNEL_DIED_MESSAGE)} ({raised})"
        return _failure("kernel died", type(raised).__name__, message, heading, index)
    for position, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and cell.source.strip() and cell.get("execution_count") is None:
            place = heading_before(notebook, position)
            message = say(wording.NOT_EXECUTED_MESSAGE)
            return _failure("not executed", "NotExecuted", message, place, position)
    return None


def _error(notebook: Any, position: int, output: Any) -> Failure:
    lines = _ANSI.sub("", "\n".join(output.get("traceback", []))).splitlines()
    message = _ANSI.sub("", str(output.get("evalue", "")))
    is_exit = output.ename == "SystemExit"
    if is_exit:
        message = (
            f"{say(wording.EXIT_MESSAGE)} ({message})" if message else say(wording.EXIT_MESSAGE)
        )
    return Failure(
        reason="exit" if is_exit else "error",
        type=str(output.ename),
        message=message[:MESSAGE_LIMIT],
        heading=heading_before(notebook, position),
        frames=tuple(line.strip() for line in lines if _FRAME.match(line))[-12:],
        cell_index=position,
    )


def _last_words(log: Path) -> tuple[str, ...]:
    if not log.is_file():
        return ()
    lines = _ANSI.sub("", log.read_text(encoding="utf-8", errors="replace")).splitlines()
    return tuple(line for line in lines if line.strip())[-12:]


def _failure(
    reason: FailureReason, kind: str, message: str, heading: str, index: int | None
) -> Failure:
    return Failure(reason=reason, type=kind, message=message, heading=heading, cell_index=index)


def _gigabytes(size: int | None) -> str:
    return number((size or 0) / 1e9, decimals=1)


def _prepare_papermill() -> None:
    """Make papermill know our engine, and keep its remarks out of the terminal."""
    papermill_engines.register(ENGINE_NAME, SupervisedEngine)
    remarks = logging.getLogger("papermill")
    if not any(isinstance(handler, logging.NullHandler) for handler in remarks.handlers):
        remarks.addHandler(logging.NullHandler())
