"""The process that computes a report: this interpreter, on a connection nobody else shares."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

KERNEL_NAME = "python3"
_SOCKET_PATH_LIMIT = 80
_INLINE_BACKEND = "module://matplotlib_inline.backend_inline"


class InterpreterKernelSpecs(KernelSpecManager):  # type: ignore[misc]
    """Answers every kernel name with the running interpreter, whatever is installed elsewhere."""

    def get_kernel_spec(self, kernel_name: str) -> Any:
        """Give the kernel of this interpreter."""
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
            name=kernel_name,
            metadata={"debugger": False},
        )


@contextmanager
def kernel_manager() -> Iterator[Any]:
    """Give a manager whose connection file and sockets lie in a private folder of their own.

    On POSIX the transport is a file socket, so that parallel runs cannot clash over ports; on
    Windows it is TCP on the loopback interface.
    """
    folder = _private_folder()
    try:
        connection: dict[str, Any] = {"connection_file": str(folder / "kernel.json")}
        if os.name == "posix":
            connection |= {"transport": "ipc", "ip": str(folder / "socket")}
        yield AsyncKernelManager(
            kernel_name=KERNEL_NAME,
            kernel_spec_manager=InterpreterKernelSpecs(),
            autorestart=False,
            **connection,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def kernel_environment(manager: Any) -> dict[str, str]:
    """Give the environment of the kernel: the caller's, without what a person's profile changes.

    Plots go into the notebook, the order of sets is fixed, and nobody's IPython start-up files
    are read.
    """
    profile = Path(manager.connection_file).parent / "ipython"
    return os.environ | {
        "MPLBACKEND": _INLINE_BACKEND,
        "PYTHONHASHSEED": "0",
        "IPYTHONDIR": str(profile),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


def kernel_log(manager: Any) -> Path:
    """Give the file into which the kernel writes what it says outside of cells."""
    return Path(manager.connection_file).parent / "kernel.log"


def kill_kernel(manager: Any) -> None:
    """Kill the kernel and its children at once, from any thread; harmless if it is gone."""
    process: subprocess.Popen[bytes] | None = getattr(manager.provisioner, "process", None)
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
