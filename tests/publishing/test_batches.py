"""Several runs at once, from small notebooks that need no data."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import nbformat
import pytest

from crm_lab.errors import DesignError
from crm_lab.language import using_language
from crm_lab.publishing import ReportRequest, RunOptions, run_batch
from crm_lab.reports.run_results import RunBatch

PARAMETERS = 'part: int = 0  # which part [part, 0..9]\nlanguage: str = "en"  # of the page'


def request(folder: Path, part: int, *sources: str, **changes: Any) -> ReportRequest:
    path = folder / "part.ipynb"
    declared = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    cells = [nbformat.v4.new_markdown_cell("# Part"), declared]
    cells += [nbformat.v4.new_code_cell(source) for source in sources or ("part",)]
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)), "utf-8")
    fields: dict[str, Any] = {
        "kind": "part",
        "notebook": path,
        "parameters": {"part": part, "language": "en"},
        "title": f"Part {part}",
        "context": {"snapshot": "1"},
        "reports_folder": folder / "reports",
        "working_folder": folder,
        "timeout_seconds": 120.0,
    }
    return ReportRequest(**(fields | changes))


def test_every_request_becomes_a_page_and_one_failure_stops_nobody(tmp_path: Path) -> None:
    requests = [request(tmp_path, part, "1 / (part - 2)") for part in (1, 2, 3)]
    ended: dict[str, str] = {}
    batch = run_batch(
        requests, jobs=2, on_done=lambda asked, run: ended.update({asked.title: run.status})
    )
    assert ended == {"Part 1": "ok", "Part 2": "failed", "Part 3": "ok"}
    assert [run.report_title for run in batch.runs] == ["Part 1", "Part 2", "Part 3"]
    assert [run.status for run in batch.runs] == ["ok", "failed", "ok"]
    assert not batch.is_good
    assert batch.failed == (batch.runs[1],)
    assert "2 reports were published. 1 failed. Part 2 failed: ZeroDivisionError" in (
        batch.sentence()
    )
    index = (tmp_path / "reports" / "index.html").read_text("utf-8")
    assert all(run.run_id in index for run in batch.runs)
    assert list(batch.card_frame()["status"]) == ["Complete", "Failed", "Complete"]
    again = run_batch(requests, jobs=2, is_warm=False)  # the code has not changed in between
    assert [run.status for run in again.runs] == ["unchanged", "failed", "unchanged"]
    assert "2 were not run, because nothing has changed." in again.sentence()
    forced = run_batch(requests[:1], options=RunOptions(is_forced=True))
    assert forced.runs[0].status == "ok"


def test_the_same_request_twice_runs_once(tmp_path: Path) -> None:
    one = request(tmp_path, 1)
    batch = run_batch([one, one], jobs=2, is_warm=False)
    assert sorted(run.status for run in batch.runs) == ["ok", "unchanged"]


def test_an_empty_batch_is_no_error(tmp_path: Path) -> None:
    batch = run_batch([])
    assert batch.is_good
    assert batch.sentence().startswith("0 reports were published.")
    assert batch.to_frame().empty


def test_at_least_one_runs_at_once(tmp_path: Path) -> None:
    with pytest.raises(DesignError, match="at least 1"):
        run_batch([request(tmp_path, 1)], jobs=-1)


def test_a_batch_speaks_russian() -> None:
    with using_language("ru"):
        said = RunBatch(runs=(), duration_seconds=1.0, jobs=1).sentence()
    assert "reports" not in said


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C of a terminal")
def test_an_interruption_ends_every_kernel_of_a_batch(tmp_path: Path) -> None:
    code = textwrap.dedent(
        """
        import signal, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[1])
        from test_batches import request
        from crm_lab.publishing import run_batch
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sources = ("import os, time",
                   "open(f'pid-{part}', 'w').write(str(os.getpid()))", "time.sleep(60)")
        run_batch([request(Path(sys.argv[2]), part, *sources) for part in (1, 2, 3)], jobs=2,
                  is_warm=False)
        """
    )
    arguments = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE) as process:
        pids: list[int] = []
        waiting = threading.Event()
        for _ in range(600):
            found = [path.read_text() for path in tmp_path.glob("pid-*")]
            pids = [int(text) for text in found if text]
            if len(pids) == 2:
                break
            assert process.poll() is None
            waiting.wait(0.1)
        process.send_signal(2)
        _, errors = process.communicate(timeout=60)
    assert b"KeyboardInterrupt" in errors
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert list((tmp_path / "reports" / "runs").rglob("*.*")) == []
