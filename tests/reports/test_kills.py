"""A run that is killed at any moment leaves a whole catalogue, or nothing of itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from crm_lab.reports import rebuild_index
from crm_lab.reports.staging import clean_stale

from .conftest import write_notebook

pytestmark = pytest.mark.skipif(os.name != "posix", reason="processes are forked")

FILES = {"report.html", "executed.ipynb", "manifest.json"}
RUN = """
import os, signal, sys, time
from pathlib import Path
from crm_lab.reports import run_report
folder = Path({folder!r})
for line in sys.stdin:  # one life of a process for each delay
    pid = os.fork()
    if pid == 0:
        for part in range(3):
            run_report(folder / "quick.ipynb", parameters={{"part": part}}, kind="campaign",
                       reports_folder=folder / "reports", working_folder=folder, wait_seconds=20)
        os._exit(0)
    time.sleep(float(line))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    print("killed", flush=True)
"""


def check_whole(reports: Path) -> int:
    """Every run that can be seen is whole, and so is the list; give the number of runs."""
    runs = list((reports / "runs").glob("*/*"))
    for run in runs:
        assert {path.name for path in run.iterdir()} == FILES
        manifest = json.loads((run / "manifest.json").read_text("utf-8"))
        assert manifest["run_id"] == run.name
        assert (run / "report.html").read_text("utf-8").rstrip().endswith("</html>")
    if (reports / "index.html").exists():
        assert (reports / "index.html").read_text("utf-8").rstrip().endswith("</html>")
    return len(runs)


def kill_at_random(folder: Path, *, kills: int, seed: int) -> None:
    path = write_notebook(
        folder / "quick.ipynb", "# Quick", ("parameters", "part: int = 0  # which"), "part"
    )
    assert path.is_file()
    reports, rng = folder / "reports", np.random.default_rng(seed)
    code = textwrap.dedent(RUN.format(folder=str(folder)))
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for delay in rng.uniform(0.05, 4, size=kills):
            process.stdin.write(f"{delay}\n")
            process.stdin.flush()
            assert process.stdout.readline() == "killed\n"
            seen = check_whole(reports)
            assert rebuild_index(reports).read_text("utf-8").count("manifest.json") >= seen
        process.stdin.close()
    clean_stale(reports)
    assert not list(reports.glob(".running-*"))
    check_whole(reports)


def test_some_kills_leave_the_catalogue_whole(tmp_path: Path) -> None:
    kill_at_random(tmp_path, kills=6, seed=1)


@pytest.mark.slow
def test_thirty_kills_leave_the_catalogue_whole(tmp_path: Path) -> None:
    kill_at_random(tmp_path, kills=30, seed=2)
