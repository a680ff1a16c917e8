"""Watching a run from outside its kernel, and papermill's engine under that watch."""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine

from crm_lab.reports.kernels import kernel_environment, kernel_log, kernel_memory, kill_kernel

START_TIMEOUT_SECONDS = 120
OUTPUT_LIMIT_BYTES = 20_000_000
OUTPUT_WAIT_SECONDS = 60
"""How long outputs may still arrive after their cell has ended."""
_LOOK_EVERY_SECONDS = 0.2
_LOOKS_PER_CHILDREN = 5
_log = logging.getLogger("crm_lab.reports")
_log.addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a run may use.

    Attributes
    ----------
    timeout_seconds : float
        Wall-clock time of the whole run, the start of the kernel included; above 0.
    output_bytes : int
        All outputs together.
    memory_bytes : int or None
        Memory of the kernel and its children at any moment; None: no limit.
    """

    timeout_seconds: float
    output_bytes: int = OUTPUT_LIMIT_BYTES
    memory_bytes: int | None = None


class Supervision:
    """Watches one run from outside its kernel: time, memory, outputs, self-made ends.

    Parameters
    ----------
    manager : KernelManager
        Manager of the kernel to kill when a limit is met.
    limits : Limits
        What the run may use.
    stop : threading.Event
        Set by the caller to end the run early.
    """

    def __init__(self, manager: Any, *, limits: Limits, stop: threading.Event) -> None:
        self.manager = manager
        manager.supervision = self
        self.limits = limits
        self.peak_memory_bytes: int | None = None
        self.notebook: Any = None
        self.cell_index: int | None = None
        self.ended_itself = False
        self.stopped_by: Literal["timeout", "output", "memory"] | None = None
        self._output_bytes = 0
        self._finished = threading.Event()
        self._over_output = threading.Event()
        self._stop = stop
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
        if self.stopped_by is None and self._over_output.is_set():
            self.stopped_by = "output"  # too late for the watcher, but an output was dropped

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
        elif message["msg_type"] == "error":
            texts = [content.get("evalue", ""), *content.get("traceback", ())]
            self._output_bytes += sum(map(len, texts))
        else:
            return True
        if self._output_bytes > self.limits.output_bytes:
            self._over_output.set()
            return False
        return True

    @property
    def is_given_up(self) -> bool:
        """Whether the run is to end: a limit was met or the caller said so."""
        return self.stopped_by is not None or self._stop.is_set()

    def cell_started(self, *, cell: Any, cell_index: int) -> None:
        """Remember which cell runs; a hook of the notebook client."""
        self.cell_index = cell_index

    def cell_executed(self, *, cell: Any, cell_index: int, execute_reply: Any) -> None:
        """Notice a cell that asked the kernel to end; a hook of the notebook client."""
        payloads = execute_reply["content"].get("payload") or []
        if any(payload.get("source") == "ask_exit" for payload in payloads):
            self.ended_itself = True
        self._measure()

    def _measure(self, *, with_children: bool = False) -> int:
        held, peak = kernel_memory(self.manager, with_children=with_children)
        if peak:
            self.peak_memory_bytes = max(peak, self.peak_memory_bytes or 0)
        return held

    def _watch(self) -> None:
        deadline = time.monotonic() + self.limits.timeout_seconds
        most = self.limits.memory_bytes
        looks = itertools.count(1)
        while not self._finished.wait(_LOOK_EVERY_SECONDS):
            held = self._measure(with_children=next(looks) % _LOOKS_PER_CHILDREN == 0)
            if self.stopped_by is None and self._over_output.is_set():
                self.stopped_by = "output"
            if self.stopped_by is None and most is not None and held > most:
                self.stopped_by = "memory"
            if self.stopped_by is None and time.monotonic() > deadline:
                self.stopped_by = "timeout"
            if self.is_given_up:
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
            iopub_timeout=OUTPUT_WAIT_SECONDS,
            raise_on_iopub_timeout=True,
            timeout=None,
            coalesce_streams=True,
            on_cell_start=supervision.cell_started,
            on_cell_executed=supervision.cell_executed,
            extra_arguments=[
                '--InlineBackend.figure_formats={"retina"}',
                "--InteractiveShell.system_raise_on_error=True",  # a failed shell line is an error
            ],
        )
        with kernel_log(supervision.manager).open("wb") as log:
            client.execute(
                cleanup_kc=True,
                cwd=str(working_folder),
                env=kernel_environment(supervision.manager),
                stdout=log,
                stderr=log,
            )
