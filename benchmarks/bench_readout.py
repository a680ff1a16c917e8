"""The read-out of one experiment on ten million customers: three metrics, one a ratio, CUPED."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.harness import Sides, benchmark
from benchmarks.peers import peer_python
from benchmarks.readout_data import BARE, METRICS, open_files, read_out, write_files

TEA_TASTING = (
    "tea-tasting==2.0.0",
    "ibis-framework[duckdb]==12.0.0",
    "duckdb==1.5.6",
    "sqlglot<30.18",
)
# tea-tasting pools theta over the whole sample, ours within arms: the effects agree to this.
CONVENTIONS = 2e-3


def files() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="crm-lab-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_files(folder)
    return folder


@benchmark(
    "readout_10m",
    peer="the bare aggregate query: the same join and the sums that means and a ratio need",
    note="10 million customers, 1.9 million of them with orders; revenue adjusted by the revenue"
    " before, conversion, average order; ours adds third moments in exact whole numbers, and tests",
)
def readout_10m() -> Sides:
    reader = open_files(files())

    def peer() -> dict[str, tuple[float, ...]]:
        rows = reader.engine.execute(BARE).fetchall()
        return {str(row[0]): tuple(float(value) for value in row[1:]) for row in rows}

    def check(ours: list, theirs: dict[str, tuple[float, ...]]) -> None:
        n, y, _, _, _, _, buyers, orders, *_ = theirs["mail"]
        assert ours[0].absolute.n_treatment == n
        np.testing.assert_allclose(ours[1].absolute.treatment_value, buyers / n, rtol=1e-12)
        np.testing.assert_allclose(ours[2].absolute.treatment_value, y / orders, rtol=1e-12)

    return Sides(ours=lambda: read_out(reader), peer=peer, check=check)


@benchmark(
    "readout_10m_tea_tasting",
    peer="tea-tasting 2.0 on the same files through Ibis and DuckDB",
    note="whole processes from start to end, imports included, on both sides; tea-tasting's own"
    " environment (Python 3.12); Welch's t there, a skewness-corrected t here",
)
def readout_10m_tea_tasting() -> Sides:
    folder = files()
    theirs = peer_python("tea_tasting", TEA_TASTING, versions=("3.12", "3.13"))

    def run(command: list[str]) -> dict[str, float]:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        return json.loads(done.stdout.splitlines()[-1])

    return Sides(
        ours=lambda: run([sys.executable, "-m", "benchmarks.readout_data", str(folder)]),
        peer=lambda: run(
            [str(theirs), str(Path(__file__).with_name("tea_tasting_peer.py")), str(folder)]
        ),
        check=_same_effects,
    )


def _same_effects(ours: dict[str, float], theirs: dict[str, float]) -> None:
    for metric in METRICS:
        np.testing.assert_allclose(ours[metric], theirs[metric], rtol=CONVENTIONS, atol=1e-6)
