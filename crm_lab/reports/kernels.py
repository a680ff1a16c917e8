"""The process that computes a report: this interpreter, on a connection nobody else shares."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

from crm_lab.reports.warm_kernels import WarmParent, register_provisioner

KERNEL_NAME = "python3"
_SOCKET_PATH_LIMIT = 80
_INLINE_BACKEND = "module://matplotlib_inline.backend_inline"


class InterpreterKernelSpecs(KernelSpecManager):  # type: ignore[misc]
    """Answers every kernel name with the running interpreter, whatever is installed elsewhere."""

    warm_parent: WarmParent | None = None

    def get_kernel_spec(self, kernel_name: str) -> Any:
        """Give the kernel of this interpreter, forked where there is a parent."""
        metadata: dict[str, Any] = {"debugger": False}
        if self.warm_parent is not None:
            metadata["kernel_provisioner"] = register_provisioner(self)
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
            name=kernel_name,
            metadata=metadata,
        )


@contextmanager
def kernel_manager(warm_parent: WarmParent | None = None) -> Iterator[Any]:
    """Give a manager whose connection file and sockets lie in a private folder of their own.

    On POSIX the transport is a file socket, so that parallel runs cannot clash over ports; on
    Windows it is TCP on the loopback interface.

    Parameters
    ----------
    warm_parent : WarmParent, optional
        From which the kernel is forked; by default it is started cold.
    """
    folder = _private_folder()
    try:
        connection: dict[str, Any] = {"connection_file": str(folder / "kernel.json")}
        if os.name == "posix":
            connection |= {"transport": "ipc", "ip": str(folder / "socket")}
        specs = InterpreterKernelSpecs()
        specs.warm_parent = warm_parent
        manager = AsyncKernelManager(
            kernel_name=KERNEL_NAME,
            kernel_spec_manager=specs,
            autorestart=False,
            **connection,
        )
        manager.warm_parent = warm_parent
        yield manager
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def kernel_environment(manager: Any) -> dict[str, str]:
    """Give the environment of the kernel; nobody's IPython start-up files are read."""
    profile = Path(manager.connection_file).parent / "ipython"
    return shared_environment() | {"IPYTHONDIR": str(profile)}


def shared_environment() -> dict[str, str]:
    """Give the environment of every kernel: the caller's, without what a profile changes.

    Plots go into the notebook, and the order of sets is fixed.
    """
    return os.environ | {
        "MPLBACKEND": _INLINE_BACKEND,
        "PYTHONHASHSEED": "0",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


@contextmanager
def warm_parent(working_folder: Path) -> Iterator[WarmParent | None]:
    """Give a parent of kernels for as long as a batch lasts; None where the system has no fork."""
    if not WarmParent.is_possible():
        yield None
        return
    with WarmParent(working_folder, shared_environment()) as parent:
        yield parent


def kernel_log(manager: Any) -> Path:
    """Give the file into which the kernel writes what it says outside of cells."""
    return Path(manager.connection_file).parent / "kernel.log"


def kernel_memory(manager: Any, *, with_children: bool = True) -> tuple[int, int]:
    """Give the memory (bytes) of the kernel with its children: now, and at its greatest so far.

    The greatest is that of the kernel alone where it is more than all of them hold now. Both are
    0 when the kernel is not there. Looking for children costs milliseconds.
    """
    process = getattr(manager.provisioner, "process", None)
    if process is None or process.poll() is not None:
        return 0, 0
    held = peak = 0
    try:
        kernel = psutil.Process(process.pid)
        peak = _own_peak(process.pid)
        held = kernel.memory_info().rss
        for child in kernel.children(recursive=True) if with_children else ():
            held += child.memory_info().rss
    except psutil.Error:  # one of them has just ended
        pass
    return held, max(held, peak)


def _own_peak(pid: int) -> int:
    """Give the greatest memory of a process so far; 0 where the system does not keep it."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def kill_kernel(manager: Any) -> None:
    """Kill the kernel and its children at once, from any thread; harmless if it is gone."""
    process = getattr(manager.provisioner, "process", None)
    if process is None or process.poll() is not None:
        return
    if os.name == "posix":
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
    else:
        process.kill()


def _private_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="crm-lab-"))
    if os.name == "posix" and len(str(folder)) > _SOCKET_PATH_LIMIT:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="crm-lab-", dir="/tmp"))
    return folder
