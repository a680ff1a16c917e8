"""Measure a piece of crm-lab beside the peer that people use today.

A benchmark is a function in ``benchmarks/bench_<topic>.py`` that prepares the data and gives the
two sides to measure::

    from benchmarks.harness import Sides, benchmark

    @benchmark("assignment_1m", peer="a Python loop over hashlib")
    def assignment_1m() -> Sides:
        customers = ...                                   # preparation is not counted
        return Sides(
            ours=lambda: assign(customers, salt="x"),
            peer=lambda: [one_by_one(customer) for customer in customers],
            check=lambda ours, peer: np.testing.assert_array_equal(ours, peer),
        )

How it measures:

* **Time** is CPU time, of all threads and of finished child processes, so that a second core does
  not flatter and a busy machine does not harm. Both sides run by turns in one fresh process on the
  same data; the least of the rounds counts. Slow pairs get fewer rounds (:data:`BUDGET_S`).
* **Results** are compared by ``check`` before any figure is given: a fast wrong answer is no
  answer.
* **Memory** is the peak above what the prepared data already takes. Each side runs once in a
  process of its own, because what one side freed would hide in the other's peak. These processes
  are started, not forked: a fork copies none of the threads of a database or of a linear algebra
  library and can hang on their locks.

The environment of the caller is passed on unchanged.
"""

from __future__ import annotations

import dataclasses
import gc
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import resource
except ImportError:  # Windows has no such module: children and peaks are then not counted
    resource = None  # type: ignore[assignment]

FOLDER = Path(__file__).resolve().parent
ROUNDS = 3
BUDGET_S = 60.0
"""No further round is begun when the next one would pass this many wall seconds."""

SIDES = ("ours", "peer")


class BenchmarkError(Exception):
    """A benchmark is unknown, named twice, fails, or its sides disagree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """The two things to measure and how their results must agree.

    Attributes
    ----------
    ours, peer : callable
        Do the work and give its result; called without arguments, possibly several times.
    check : callable
        Takes both results and raises ``AssertionError`` when they differ.
    peer_part : float
        Part of the work that the peer does, where all of it would take minutes and equal steps
        follow each other; its time is divided by it, and the note of the benchmark says so.
    clock : callable, optional
        Gives seconds; by default CPU seconds. A benchmark of waiting or of parallel work takes
        :func:`time.perf_counter`, and its note says so.
    """

    ours: Callable[[], Any]
    peer: Callable[[], Any]
    check: Callable[[Any, Any], object]
    peer_part: float = 1.0
    clock: Callable[[], float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A registered benchmark: its name, what it is compared with, and how to prepare it."""

    name: str
    peer: str
    note: str
    prepare: Callable[[], Sides]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One line of the table.

    Attributes
    ----------
    name, peer, note : str
        From the benchmark.
    ours_s, peer_s : float
        CPU seconds, the least of the rounds; wall-clock seconds where the note says so.
    ratio : float or None
        ``peer_s / ours_s``: above 1 we are faster. None where we are too fast to be timed.
    peak_mb, peer_peak_mb : float or None
        Peak memory above the prepared data, in MB (10^6 bytes); None where it cannot be measured.
    rounds : int
        How often each side ran for the times.
    """

    name: str
    ours_s: float
    peer: str
    peer_s: float
    ratio: float | None
    peak_mb: float | None
    peer_peak_mb: float | None
    rounds: int
    note: str


REGISTRY: dict[str, Benchmark] = {}


def benchmark(
    name: str, *, peer: str, note: str = ""
) -> Callable[[Callable[[], Sides]], Callable[[], Sides]]:
    """Register the decorated function under ``name``; ``peer`` says what it is measured against."""

    def register(prepare: Callable[[], Sides]) -> Callable[[], Sides]:
        if name in REGISTRY:
            raise BenchmarkError(f"two benchmarks are named '{name}'")
        REGISTRY[name] = Benchmark(name=name, peer=peer, note=note, prepare=prepare)
        return prepare

    return register


def discover(folder: Path = FOLDER) -> dict[str, Benchmark]:
    """Load every ``bench_*.py`` of ``folder`` and give the benchmarks by name."""
    REGISTRY.clear()
    for path in sorted(folder.glob("bench_*.py")):
        spec = importlib.util.spec_from_file_location(f"benchmarks.{path.stem}", path)
        if spec is None or spec.loader is None:
            raise BenchmarkError(f"{path} cannot be loaded")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # so that what it defines can be pickled
        spec.loader.exec_module(module)
    return dict(REGISTRY)


def measure(name: str, *, folder: Path = FOLDER) -> Measurement:
    """Measure one benchmark: times in one process, the memory of each side in its own.

    Raises
    ------
    BenchmarkError
        There is no such benchmark, one of its sides failed, or the two results differ.
    """
    known = discover(folder)
    if name not in known:
        raise BenchmarkError(
            f"there is no benchmark '{name}'; there are: {', '.join(sorted(known)) or 'none'}"
        )
    times = _in_process(folder, name, "times")
    ours_s, peer_s = float(times["ours_s"]), float(times["peer_s"])
    return Measurement(
        name=name,
        ours_s=ours_s,
        peer=known[name].peer,
        peer_s=peer_s,
        ratio=peer_s / ours_s if ours_s > 0 else None,
        peak_mb=_in_process(folder, name, "ours")["peak_mb"],
        peer_peak_mb=_in_process(folder, name, "peer")["peak_mb"],
        rounds=int(times["rounds"]),
        note=known[name].note,
    )


def _in_process(folder: Path, name: str, what: str) -> dict[str, Any]:
    """Do one part of a measurement in a fresh process and read its answer."""
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch) / "answer.json"
        command = [sys.executable, "-m", "benchmarks", "--folder", str(folder)]
        command += ["--part", name, what, str(answer)]
        done = subprocess.run(command, cwd=FOLDER.parent, check=False)
        if done.returncode or not answer.exists():
            raise BenchmarkError(f"'{name}' failed ({what}, exit code {done.returncode})")
        return dict(json.loads(answer.read_text("utf-8")))


def run_part(name: str, what: str, answer: Path, *, folder: Path) -> None:
    """Be the fresh process: prepare, run, write the answer."""
    sides = discover(folder)[name].prepare()
    found = _times(sides) if what == "times" else {"peak_mb": _peak_mb(getattr(sides, what))}
    answer.write_text(json.dumps(found), "utf-8")


def _times(sides: Sides) -> dict[str, Any]:
    """Least CPU seconds of each side over the rounds; the first round is also checked."""
    best = dict.fromkeys(SIDES, float("inf"))
    clock = sides.clock or cpu_s
    begun = time.perf_counter()
    rounds = 0
    while rounds < ROUNDS:
        results: dict[str, Any] = {}
        for side in SIDES if rounds % 2 == 0 else reversed(SIDES):
            gc.collect()
            start = clock()
            results[side] = getattr(sides, side)()
            best[side] = min(best[side], clock() - start)
        if rounds == 0:
            sides.check(results["ours"], results["peer"])
        del results
        rounds += 1
        passed = time.perf_counter() - begun
        if passed + passed / rounds > BUDGET_S:
            break
    return {"ours_s": best["ours"], "peer_s": best["peer"] / sides.peer_part, "rounds": rounds}


def cpu_s() -> float:
    """CPU seconds of this process, all its threads, and its finished children."""
    own = time.process_time()
    if resource is None:
        return own
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own + children.ru_utime + children.ru_stime


def _peak_mb(work: Callable[[], Any]) -> float | None:
    """Peak memory of ``work`` above what is held before it, its largest child included."""
    if resource is None:
        return None
    gc.collect()
    children_before = _maxrss_bytes(resource.RUSAGE_CHILDREN)
    before = _held_bytes()
    _reset_peak()
    result = work()
    peak = _peak_bytes() - before
    del result
    children = _maxrss_bytes(resource.RUSAGE_CHILDREN)
    if children > children_before:
        peak += children
    return max(peak, 0) / 1e6


def _status_bytes(key: str) -> int | None:
    """Read one line of this process's status; None where the system keeps no such file."""
    try:
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    except OSError:
        return None
    values = [int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:")]
    return values[0] if values else None


def _held_bytes() -> int:
    held = _status_bytes("VmRSS")
    return _maxrss_bytes(resource.RUSAGE_SELF) if held is None else held


def _peak_bytes() -> int:
    peak = _status_bytes("VmHWM")
    return _maxrss_bytes(resource.RUSAGE_SELF) if peak is None else peak


def _reset_peak() -> None:
    """Begin the system's peak anew; where it cannot, a peak of the preparation may be counted."""
    try:
        Path("/proc/self/clear_refs").write_text("5", "utf-8")
    except OSError:
        return


def _maxrss_bytes(who: int) -> int:
    """Greatest memory so far; Linux counts it in KiB, macOS in bytes."""
    return int(resource.getrusage(who).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def write_results(measurements: Iterable[Measurement], path: Path, *, keep: bool) -> None:
    """Write the list of measurements; ``keep`` leaves other benchmarks' earlier lines in place."""
    lines = {found.name: dataclasses.asdict(found) for found in measurements}
    if keep and path.exists():
        earlier = {line["name"]: line for line in json.loads(path.read_text("utf-8"))}
        lines = earlier | lines
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(list(lines.values()), indent=2) + "\n", "utf-8")
    scratch.replace(path)


def table(measurements: Sequence[Measurement]) -> str:
    """Write the measurements as a table of plain text that also reads as Markdown."""
    head = ["name", "ours, CPU s", "peer, CPU s", "ratio", "ours, MB", "peer, MB", "peer", "note"]
    rows = [
        [
            found.name,
            f"{found.ours_s:.3f}",
            f"{found.peer_s:.3f}",
            "-" if found.ratio is None else f"{found.ratio:.1f}",
            "-" if found.peak_mb is None else f"{found.peak_mb:,.0f}",
            "-" if found.peer_peak_mb is None else f"{found.peer_peak_mb:,.0f}",
            found.peer,
            found.note,
        ]
        for found in measurements
    ]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    numeric = range(1, 6)

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if column in numeric else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = [
        "-" * (width - 1) + (":" if column in numeric else "-")
        for column, width in enumerate(widths)
    ]
    return "\n".join([line(head), line(rule), *(line(row) for row in rows)])


def machine() -> str:
    """Say in one line what the figures were measured on."""
    system = os.uname() if hasattr(os, "uname") else None
    kind = f"{system.sysname} {system.machine}" if system else sys.platform
    version = ".".join(str(part) for part in sys.version_info[:3])
    return f"Python {version}, {os.cpu_count()} cores, {kind}"
