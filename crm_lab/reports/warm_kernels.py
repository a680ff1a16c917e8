"""Kernels forked from a parent that has imported everything: a report starts in half a second.

Each run still has a process of its own, with its own session, folder, environment and connection
file; what it shares with the others is memory that none of them can change. Where a fork is not
to be had, or the parent has died, the kernel is started cold and nothing else is different.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from importlib.metadata import EntryPoint
from pathlib import Path
from types import TracebackType
from typing import Any

from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

PROVISIONER_NAME = "crm-lab-warm"
PRELOADED = (
    "ipykernel.kernelapp",
    "IPython.display",
    "matplotlib.pyplot",
    "pyarrow.parquet",
    "scipy.stats",
    "scipy.optimize",
    "statsmodels.api",
    "sklearn.ensemble",
    "crm_lab.workbench",
    "crm_lab.plots",
)
"""What a report is likely to import; what is not installed is left out."""

_PROGRAM = Path(__file__).with_name("warm_parent.py")
# Without the folder of the program in the path, where modules have names of others.
_START = "import runpy, sys; del sys.path[0]; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
_CLOSE_SECONDS = 10.0
_PRELOAD_SECONDS = 60.0
_FORK_SECONDS = 10.0
_LOOK_EVERY_SECONDS = 0.01


class WarmParentLostError(Exception):
    """The parent is gone; never leaves this module."""


class ForkedKernel:
    """A kernel forked by the parent, with the part of ``subprocess.Popen`` that a manager asks for.

    Parameters
    ----------
    pid : int
        Its process id, which is also its process group.
    """

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = threading.Event()

    def end(self, code: int) -> None:
        """Note how it ended; called by the reader of the parent's answers."""
        self.returncode = code
        self._ended.set()

    def poll(self) -> int | None:
        """Give the exit code, or None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for its end and give the exit code."""
        self._ended.wait(timeout)
        return self.returncode

    def send_signal(self, signum: int) -> None:
        """Send a signal to the process, unless it has ended."""
        if self.returncode is None:
            os.kill(self.pid, signum)

    def terminate(self) -> None:
        """Ask the process to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process."""
        self.send_signal(signal.SIGKILL)


class WarmParent:
    """The parent process of a batch of runs, as its owner sees it; a context manager.

    Parameters
    ----------
    working_folder : Path
        Folder in which the imports are made, as the kernels would make them.
    environment : mapping of str to str
        Environment of the imports; each kernel gets one of its own.
    preloaded : sequence of str
        Modules to import.
    """

    def __init__(
        self,
        working_folder: Path,
        environment: dict[str, str],
        *,
        preloaded: Sequence[str] = PRELOADED,
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, str(_PROGRAM), *preloaded],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=working_folder,
            env=environment,
            start_new_session=True,
        )
        self._expected_at = time.monotonic() + _PRELOAD_SECONDS
        self._ids = itertools.count()
        self._lock = threading.Lock()
        self._is_lost = False
        self._asked: dict[int, Future[ForkedKernel]] = {}
        self._kernels: dict[int, ForkedKernel] = {}
        self._reader = threading.Thread(target=self._read, name="crm-lab-warm", daemon=True)
        self._reader.start()

    @staticmethod
    def is_possible() -> bool:
        """Whether this system can fork kernels safely: Linux alone."""
        return sys.platform == "linux"

    @property
    def pid(self) -> int:
        """Process id of the parent."""
        return self._process.pid

    def __enter__(self) -> WarmParent:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def ask(self, request: dict[str, Any]) -> Future[ForkedKernel]:
        """Ask for a kernel; the future fails with :class:`WarmParentLostError`."""
        answer: Future[ForkedKernel] = Future()
        with self._lock:
            number = next(self._ids)
            if self._is_lost or self._process.stdin is None:
                answer.set_exception(WarmParentLostError())
                return answer
            self._asked[number] = answer
            line = json.dumps({"id": number, **request}).encode() + b"\n"
            try:
                self._process.stdin.write(line)
                self._process.stdin.flush()
            except OSError:
                del self._asked[number]
                answer.set_exception(WarmParentLostError())
        return answer

    def deadline(self) -> float:
        """Say until when (monotonic clock) an answer is worth waiting for."""
        return max(self._expected_at, time.monotonic() + _FORK_SECONDS)

    def close(self) -> None:
        """End the parent and with it every kernel that is left."""
        with self._lock:
            if self._process.stdin is not None:
                try:
                    self._process.stdin.close()
                except BrokenPipeError:
                    self._is_lost = True
        try:
            self._process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            answer = json.loads(line)
            with self._lock:
                if "ended" in answer:
                    self._kernels.pop(answer["ended"]).end(answer["code"])
                else:
                    kernel = ForkedKernel(answer["pid"])
                    self._kernels[kernel.pid] = kernel
                    self._asked.pop(answer["id"]).set_result(kernel)
        with self._lock:
            self._is_lost = True
            for future in self._asked.values():
                future.set_exception(WarmParentLostError())
            for kernel in self._kernels.values():
                kernel.end(-signal.SIGKILL)  # the system ends them with their parent
            self._asked.clear()
            self._kernels.clear()


class WarmProvisioner(LocalProvisioner):  # type: ignore[misc]
    """Gets its kernel from the manager's ``warm_parent``, and starts one cold where it cannot."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Fork the kernel; ``cmd`` says with which arguments."""
        request = {
            "arguments": cmd[cmd.index("-f") :],
            "cwd": kwargs["cwd"],
            "env": kwargs["env"],
            "log": kwargs["stdout"].name,
        }
        try:
            kernel = await self._forked(request)
        except WarmParentLostError:
            if self.parent.supervision.is_given_up:
                raise RuntimeError("the run is over before its kernel was there") from None
            return await super().launch_kernel(cmd, **kwargs)
        self.process = kernel
        self.pid = self.pgid = kernel.pid
        self.cwd = kwargs["cwd"]
        return self.connection_info

    async def _forked(self, request: dict[str, Any]) -> ForkedKernel:
        """Wait for the kernel while the run may last and the parent may still answer."""
        parent: WarmParent = self.parent.warm_parent
        answer = parent.ask(request)
        deadline = parent.deadline()
        is_answered = False
        try:
            while not (is_answered := answer.done()):
                if self.parent.supervision.is_given_up or time.monotonic() > deadline:
                    break
                await asyncio.sleep(_LOOK_EVERY_SECONDS)
        finally:
            if not is_answered:
                answer.add_done_callback(_end_unwanted)
        if not is_answered:
            raise WarmParentLostError
        return answer.result()


def _end_unwanted(answer: Future[ForkedKernel]) -> None:
    """Kill a kernel that came when nobody waited for it any more."""
    if answer.exception() is None:
        answer.result().kill()


def register_provisioner(manager: Any) -> dict[str, Any]:
    """Make the kernels' factory know our provisioner; give its part of a kernel's metadata."""
    factory = KernelProvisionerFactory.instance(parent=manager)
    factory.provisioners[PROVISIONER_NAME] = EntryPoint(
        PROVISIONER_NAME, f"{__name__}:{WarmProvisioner.__name__}", factory.GROUP_NAME
    )
    return {"provisioner_name": PROVISIONER_NAME}
