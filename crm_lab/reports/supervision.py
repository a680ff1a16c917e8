"""Watching a run from outside its kernel, and papermill's engine under that watch."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine

from crm_lab.reports.kernels import kernel_environment, kernel_log, kill_kernel

START_TIMEOUT_SECONDS = 120
_OUTPUT_WAIT_SECONDS = 60
_KILL_EVERY_SECONDS = 0.2
_log = logging.getLogger("crm_lab.reports")
_log.addHandler(logging.NullHandler())


class Supervision:
    """Watches one run from outside its kernel: wall-clock time, outputs, self-made ends.

    Parameters
    ----------
    manager : KernelManager
        Manager of the kernel to kill when a limit is met.
    timeout_seconds : float
        Limit over the whole run, the start of the kernel included.
    output_limit_bytes : int
        Limit over all outputs together.
    """

    def __init__(self, manager: Any, *, timeout_seconds: float, output_limit_bytes: int) -> None:
        self.manager = manager
        self.timeout_seconds = timeout_seconds
        self.output_limit_bytes = output_limit_bytes
        self.notebook: Any = None
        self.cell_index: int | None = None
        self.ended_itself = False
        self.stopped_by: Literal["timeout", "output"] | None = None
        self._output_bytes = 0
        self._finished = threading.Event()
        self._over_output = threading.Event()
        self._interrupted = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="crm-lab-watch", daemon=True)

    def __enter__(self) -> Supervision:
        self._watcher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._finished.set()
        self._watcher.join()

    def interrupt(self) -> None:
        """End the kernel because the caller no longer waits."""
        self._interrupted.set()

    def admits(self, message: Mapping[str, Any]) -> bool:
        """Count an output message; False once the limit of outputs is passed."""
        content = message["content"]
        if message["msg_type"] == "stream":
            self._output_bytes += len(content.get("text", ""))
        elif message["msg_type"] in ("display_data", "execute_result", "update_display_data"):
            self._output_bytes += sum(
                len(item if isinstance(item, str) else json.dumps(item))
                for item in content.get("data", {}).values()
            )
        else:
            return True
        if self._output_bytes > self.output_limit_bytes:
            self._over_output.set()
            return False
        return True

    def cell_started(self, *, cell: Any, cell_index: int) -> None:
        """Remember which cell runs; a hook of the notebook client."""
        self.cell_index = cell_index

    def cell_executed(self, *, cell: Any, cell_index: int, execute_reply: Any) -> None:
        """Notice a cell that asked the kernel to end; a hook of the notebook client."""
        payloads = execute_reply["content"].get("payload") or []
        if any(payload.get("source") == "ask_exit" for payload in payloads):
            self.ended_itself = True

    def _watch(self) -> None:
        deadline = time.monotonic() + self.timeout_seconds
        while not self._finished.wait(_KILL_EVERY_SECONDS):
            if self.stopped_by is None and self._over_output.is_set():
                self.stopped_by = "output"
            if self.stopped_by is None and time.monotonic() > deadline:
                self.stopped_by = "timeout"
            if self.stopped_by is not None or self._interrupted.is_set():
                kill_kernel(self.manager)


class SupervisedClient(PapermillNotebookClient):  # type: ignore[misc]
    """A notebook client that shows every output message to the supervision first."""

    def __init__(self, notebook_manager: Any, *, supervision: Supervision, **options: Any) -> None:
        super().__init__(notebook_manager, **options)
        self.supervision = supervision

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        """Take one message of the kernel, unless the run has already said too much."""
        if not self.supervision.admits(msg):
            return None
        return super().process_message(msg, cell, cell_index)


class SupervisedEngine(NBClientEngine):  # type: ignore[misc]
    """papermill's own engine with our kernel, folder and limits."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        *,
        supervision: Supervision,
        working_folder: Path,
        start_timeout: int = START_TIMEOUT_SECONDS,
        **ignored: Any,
    ) -> None:
        """Run every cell; the working folder is the kernel's alone, this process keeps its own."""
        supervision.notebook = nb_man.nb
        client = SupervisedClient(
            nb_man,
            supervision=supervision,
            km=supervision.manager,
            kernel_name=kernel_name,
            log=_log,
            startup_timeout=start_timeout,
            iopub_timeout=_OUTPUT_WAIT_SECONDS,
            timeout=None,
            coalesce_streams=True,
            on_cell_start=supervision.cell_started,
            on_cell_executed=supervision.cell_executed,
            extra_arguments=['--InlineBackend.figure_formats={"retina"}'],
        )
        with kernel_log(supervision.manager).open("wb") as log:
            client.execute(
                cleanup_kc=True,
                cwd=str(working_folder),
                env=kernel_environment(supervision.manager),
                stdout=log,
                stderr=log,
            )
