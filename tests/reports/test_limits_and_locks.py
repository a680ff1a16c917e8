"""What ends a run, what keeps two runs apart, and what makes a run unnecessary."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from crm_lab.errors import BusyError
from crm_lab.reports import RunRecord
from crm_lab.reports.execution import judge
from crm_lab.reports.supervision import Limits, Supervision

Run = Callable[..., RunRecord]
Make = Callable[..., Path]

PARAMETERS = ("parameters", "part: int = 0  # which part")


def error_of(record: RunRecord) -> dict[str, str]:
    manifest = json.loads((record.folder / "manifest.json").read_text("utf-8"))
    return manifest["error"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "source",
    [
        "!exit 3",
        "listed = !ls /no/such/folder",
        "%%bash\nexit 4",
        "!!false",
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="shell lines of POSIX")
def test_a_failed_shell_line_fails_the_run(notebook: Make, run: Run, source: str) -> None:
    record = run(notebook("# T", source))
    assert record.status == "failed"
    assert "CalledProcessError" in str(record.error)


@pytest.mark.skipif(os.name != "posix", reason="shell lines of POSIX")
def test_a_shell_line_that_works_is_no_fault(notebook: Make, run: Run) -> None:
    assert run(notebook("# T", "!true", "found = !echo 7", "assert found == ['7']")).is_good


def test_a_run_that_takes_too_much_memory_is_ended(notebook: Make, run: Run) -> None:
    path = notebook("# T", "import time\nheld = bytearray(400_000_000)\ntime.sleep(60)")
    record = run(path, memory_limit_bytes=300_000_000, timeout_seconds=60)
    assert error_of(record)["reason"] == "memory"
    assert "memory exceeds the limit of 0.3 GB" in str(record.error)
    assert record.duration_seconds < 40


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("stream", {"text": "x" * 100}),
        ("error", {"ename": "E", "evalue": "x", "traceback": ["x" * 100]}),
    ],
)
def test_an_output_over_the_limit_at_the_very_end_fails_the_run(
    kind: str, content: dict[str, object]
) -> None:
    manager = SimpleNamespace(provisioner=SimpleNamespace(process=None))
    limits = Limits(timeout_seconds=100, output_bytes=50)
    with Supervision(manager, limits=limits, stop=threading.Event()) as supervision:
        assert not supervision.admits({"msg_type": kind, "content": content})
    failure = judge(nbformat.v4.new_notebook(), supervision, None)
    assert failure is not None
    assert failure.reason == "output"


def test_a_long_error_counts_as_output(notebook: Make, run: Run) -> None:
    path = notebook("# T", "raise ValueError('x' * 60_000)")
    assert error_of(run(path, output_limit_bytes=50_000))["reason"] == "output"
    assert error_of(run(path))["reason"] == "error"


def test_a_run_whose_outputs_do_not_arrive_has_failed(
    notebook: Make, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crm_lab.reports.supervision.OUTPUT_WAIT_SECONDS", 1)
    silent = "get_ipython().kernel._publish_status = lambda *_, **__: None"
    record = run(notebook("# T", "## Silent", silent, "1"))
    assert error_of(record)["type"] == "OutputsLost"
    assert "Outputs of a cell were lost" in str(record.error)


def test_the_most_memory_that_was_held_is_reported(notebook: Make, run: Run) -> None:
    record = run(notebook("# T", "held = bytearray(b'x' * 150_000_000)\ndel held"))
    assert record.is_good
    assert record.peak_memory_bytes is not None
    assert 150e6 < record.peak_memory_bytes < 1e9
    manifest = json.loads((record.folder / "manifest.json").read_text("utf-8"))
    assert manifest["peak_memory_bytes"] == record.peak_memory_bytes
    assert "MB" in record.sentence()


def test_a_dead_kernel_is_replaced_and_an_error_is_not(
    notebook: Make, run: Run, tmp_path: Path
) -> None:
    dies_once = (
        "import os\nfrom pathlib import Path\nmark = Path('mark')\n"
        "if not mark.exists():\n    mark.touch()\n    os._exit(1)"
    )
    record = run(notebook("# T", dies_once), retries=1)
    assert record.is_good
    assert record.attempts == 2
    assert "2 kernels were needed" in record.sentence()
    counts = "open('count', 'a').write('x')\n1 / 0"
    failed = run(notebook("# Error", counts, name="error.ipynb"), retries=3)
    assert failed.attempts == 1
    assert (tmp_path / "count").read_text() == "x"


def test_a_second_run_of_the_same_is_refused_or_waits(
    notebook: Make, run: Run, tmp_path: Path
) -> None:
    slow = "import time\nfrom pathlib import Path\nPath('started').touch()\ntime.sleep(2)"
    path = notebook("# Slow", PARAMETERS, slow)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(run, path)
        while not (tmp_path / "started").exists():
            assert not first.done()
            time.sleep(0.02)
        with pytest.raises(BusyError, match="Slow is running with these parameters already"):
            run(path)
        assert run(path, skip_unchanged=True, wait_seconds=-1).status == "unchanged"
        assert first.result().is_good


def test_a_run_is_left_out_only_while_nothing_has_changed(
    notebook: Make, run: Run, tmp_path: Path
) -> None:
    path = notebook("# T", PARAMETERS, "part")
    context = {"snapshot_sha256": "a", "inputs": {"files": "1"}}

    def again(**options: object) -> RunRecord:
        return run(path, **({"context": context, "skip_unchanged": True} | options))

    first = again()
    same = again()
    assert (first.status, same.status) == ("ok", "unchanged")
    assert same.run_id == first.run_id
    assert same.is_good
    assert "nothing has changed" in same.sentence()
    assert again(skip_unchanged=False).status == "ok"
    assert again(parameters={"part": 1}).status == "ok"
    assert again(context=context | {"snapshot_sha256": "b"}).status == "ok"
    assert again(context=context | {"inputs": {"files": "2"}}).status == "ok"
    notebook("# T", PARAMETERS, "part + 1")
    assert again().status == "ok"


def test_what_is_hidden_when_published_is_no_change(notebook: Make, run: Run) -> None:
    path = notebook("# T", ("parameters", 'contact: str = "ann@shop.example"  # who asked'))

    def again(note: str) -> str:
        return run(path, context={"about_the_data": note}, skip_unchanged=True).status

    assert again("ask ann@shop.example") == "ok"
    assert again("ask ann@shop.example") == "unchanged"
    assert again("ask nobody") == "ok"


def test_a_failed_run_is_run_again(notebook: Make, run: Run) -> None:
    path = notebook("# T", "1 / 0")
    assert run(path, skip_unchanged=True).status == "failed"
    assert run(path, skip_unchanged=True).status == "failed"


def test_a_stop_from_another_thread_publishes_nothing(
    notebook: Make, run: Run, tmp_path: Path
) -> None:
    path = notebook(
        "# T", "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(60)"
    )
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, path, stop=stop)
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert not running.done()
            time.sleep(0.02)
        stop.set()
        with pytest.raises(KeyboardInterrupt):
            running.result(timeout=30)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert list((tmp_path / "reports" / "runs").rglob("*.*")) == []
