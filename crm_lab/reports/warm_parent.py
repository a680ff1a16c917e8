"""A process that has already imported what reports need, and forks one kernel per run.

It is started as a program by :mod:`crm_lab.reports.warm_kernels`, imports nothing of the package
for itself, and runs no thread of its own. Requests come as lines of JSON on its standard input,
answers go out as lines on the standard output it was born with. When the input ends, because its
owner is done or was killed, every kernel is killed and the process ends.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import random
import select
import signal
import sys
import threading
import warnings
from typing import Any

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux


def preload(names: list[str]) -> None:
    """Import what reports share, as a kernel would find it from its folder; leave out the rest."""
    sys.path.insert(0, "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    sys.path.remove("")
    gc.collect()
    gc.freeze()


def serve() -> dict[str, Any] | None:
    """Fork kernels until the input ends; comes back in each kernel with its request."""
    answers = os.dup(1)
    os.dup2(2, 1)
    wakeup_out, wakeup_in = os.pipe()
    os.set_blocking(wakeup_in, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: os.close(0))
    signal.set_wakeup_fd(wakeup_in, warn_on_full_buffer=False)
    kernels: set[int] = set()
    pending = b""
    while True:
        try:
            readable, _, _ = select.select([0, wakeup_out], [], [])
        except OSError:
            break  # the input was closed by SIGTERM
        if wakeup_out in readable:
            os.read(wakeup_out, 4096)
            _report_ended(kernels, answers)
        if 0 not in readable:
            continue
        received = os.read(0, 65536)
        if not received:
            break
        *lines, pending = (pending + received).split(b"\n")
        for line in lines:
            request = json.loads(line)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of threads in libraries
                pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                for handle in (answers, wakeup_out, wakeup_in):
                    os.close(handle)
                return dict(request)
            kernels.add(pid)
            _answer(answers, {"id": request["id"], "pid": pid})
    for pid in kernels:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    return None


def become_kernel(request: dict[str, Any]) -> None:
    """Be the kernel that was asked for, in a session, folder and environment of its own."""
    parent = os.getppid()
    os.setsid()
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(log)
    os.close(nothing)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    random.seed()
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed()
    gc.unfreeze()
    poller = f"--IPKernelApp.parent_handle={parent}"
    sys.argv = ["ipykernel_launcher", *request["arguments"], poller]
    kernelapp = importlib.import_module("ipykernel.kernelapp")
    try:
        kernelapp.launch_new_instance()
    finally:
        # The exit handlers run; taking apart what was inherited would only copy its memory.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _report_ended(kernels: set[int], answers: int) -> None:
    for pid in list(kernels):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            kernels.remove(pid)
            _answer(answers, {"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _answer(answers: int, content: dict[str, Any]) -> None:
    os.write(answers, json.dumps(content).encode() + b"\n")


if __name__ == "__main__":
    preload(sys.argv[1:])
    # A fork copies one thread alone: with others of Python, kernels start cold instead.
    wanted = serve() if threading.active_count() == 1 else None
    if wanted is not None:
        become_kernel(wanted)
