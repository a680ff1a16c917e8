from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import pytest

from crm_lab.errors import ReportError
from crm_lab.reports import RunRecord, rebuild_index, run_report
from crm_lab.reports.staging import clean_stale

from .conftest import write_notebook

Run = Callable[..., RunRecord]
Make = Callable[..., Path]


def manifest_of(record: RunRecord) -> dict[str, Any]:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    text = (record.folder / "manifest.json").read_text(encoding="utf-8")
    return json.loads(text, parse_constant=refuse)  # type: ignore[no-any-return]


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if path.exists() and path.read_text():
            return
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.1)


def test_a_good_run_is_published_whole(published: RunRecord) -> None:
    assert published.is_good
    assert {p.name for p in published.folder.iterdir()} == {
        "report.html",
        "executed.ipynb",
        "manifest.json",
    }
    reports = published.folder.parents[2]
    assert published.folder.parent == reports / "runs" / "campaign"
    assert not list(reports.glob(".running-*"))
    assert (reports / "index.html").is_file()
    assert "Winter" in published.sentence()
    assert "Cannot conclude." in published.sentence()
    assert published.to_frame().loc[0, "status"] == "ok"


def test_the_manifest_is_strict_json_and_complete(published: RunRecord) -> None:
    manifest = manifest_of(published)
    assert manifest["status"] == "ok"
    assert manifest["verdict"]["word"] == "cannot conclude"
    assert manifest["headline"].startswith("Mail B brought")
    assert [r["kind"] for r in manifest["results"]] == ["arm_table", "decision"]
    assert manifest["results"][1]["data"] == {"verdict": "cannot conclude", "share": None}
    assert manifest["parameters"]["alpha"] == 0.05
    assert manifest["parameters"]["name"].startswith('Зима "<script>')
    assert manifest["context"]["share"] is None
    assert manifest["seed"] == 7
    assert manifest["notebook"]["name"] == "campaign.ipynb"
    assert len(manifest["notebook"]["sha256"]) == 64
    assert manifest["packages"]["papermill"]
    assert "pytest" not in manifest["packages"]
    assert manifest["started_at"].endswith("Z")
    assert manifest["error"] is None


def test_the_given_parameters_reach_the_notebook_as_text(published: RunRecord) -> None:
    executed = nbformat.read(published.folder / "executed.ipynb", as_version=4)
    shown = executed.cells[-1].outputs[0].data["text/plain"]
    assert "Зима" in shown
    assert "0.05" in shown
    assert executed.metadata.papermill.input_path == "campaign.ipynb"


def test_the_run_id_is_safe_as_a_path(published: RunRecord) -> None:
    assert published.run_id == published.folder.name
    assert set(published.run_id) <= set("abcdefghijklmnopqrstuvwxyzTZ0123456789-")


def test_a_failing_notebook_never_replaces_the_last_good_one(notebook: Make, run: Run) -> None:
    path = notebook(
        "# Report",
        ("parameters", "divisor: int = 1  # by what"),
        "## Analysis of <arms>",
        "print(1 / divisor)",
        "## Never reached",
        "1",
    )
    good = run(path)
    bad = run(path, parameters={"divisor": 0})
    assert good.status == "ok"
    assert bad.status == "failed"
    assert bad.error == "ZeroDivisionError: division by zero"
    assert good.html.is_file()
    manifest = manifest_of(bad)
    assert manifest["error"]["heading"] == "Analysis of <arms>"
    assert manifest["error"]["frames"] == ["Cell In[3], line 1"]
    page = bad.html.read_text(encoding="utf-8")
    assert "ZeroDivisionError: division by zero" in page
    assert "<details>" in page
    assert "Never reached" not in page
    assert "print(1" not in page
    index = (bad.folder.parents[2] / "index.html").read_text(encoding="utf-8")
    tiles = index[: index.index('id="filters"')]
    assert f'<h3><a href="runs/campaign/{good.run_id}/report.html">' in tiles
    assert f"runs/campaign/{bad.run_id}/report.html" in tiles  # as the newer failure
    assert "failed" in bad.sentence()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import sys; sys.exit(0)", "exit"),
        ("exit()", "exit"),
        ("import os; os._exit(0)", "kernel died"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "kernel died"),
    ],
)
def test_an_end_that_papermill_calls_completed_is_a_failure(
    notebook: Make, run: Run, source: str, reason: str
) -> None:
    record = run(notebook("# Report", "## Part", source))
    assert record.status == "failed"
    assert manifest_of(record)["error"]["reason"] == reason


def test_the_wall_clock_limit_ends_a_run(notebook: Make, run: Run) -> None:
    path = notebook("# Report", "import time\nfor _ in range(600): time.sleep(0.1)")
    record = run(path, timeout_seconds=2.5)
    assert record.status == "failed"
    assert "limit of 2.5 seconds" in str(record.error)
    assert record.duration_seconds < 20


def test_an_interruption_ends_the_kernel_and_publishes_nothing(
    notebook: Make, run: Run, tmp_path: Path
) -> None:
    path = notebook(
        "# T", "import os\nopen('pid', 'w').write(str(os.getpid()))\nimport time\ntime.sleep(60)"
    )
    code = textwrap.dedent(
        f"""
        import signal
        from pathlib import Path
        from crm_lab.reports import run_report
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
        folder = Path({str(tmp_path)!r})
        run_report(Path({str(path)!r}), parameters={{}}, reports_folder=folder / "reports",
                   kind="campaign", working_folder=folder)
        """
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) as process:
        _wait_for(tmp_path / "pid", process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert b"KeyboardInterrupt" in errors
    kernel = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(kernel, 0)
    assert list((tmp_path / "reports" / "runs").rglob("*.*")) == []
    assert list((tmp_path / "reports").glob(".running-*")) == []


def test_too_much_output_ends_a_run(notebook: Make, run: Run) -> None:
    path = notebook("# Report", "while True: print('x' * 10000)")
    record = run(path, output_limit_bytes=100_000, timeout_seconds=60)
    assert manifest_of(record)["error"]["reason"] == "output"
    assert (record.folder / "executed.ipynb").stat().st_size < 1_000_000


def test_the_kernel_is_this_interpreter_in_the_working_folder(
    notebook: Make, run: Run, tmp_path: Path
) -> None:
    work = tmp_path / "work here"
    work.mkdir()
    before = Path.cwd()
    # compared inside, because a page names no folder of the machine
    path = notebook(
        "# T",
        (
            "parameters",
            "python: str  # this interpreter\nfolder: str  # the working folder",
        ),
        "import os, sys\nassert (sys.executable, os.getcwd()) == (python, folder)",
    )
    given = {"python": sys.executable, "folder": str(work)}
    assert run(path, parameters=given, working_folder=work).is_good
    assert Path.cwd() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parameters": {"typo": 1}}, "unknown parameter"),
        ({"kind": "../../etc"}, "cannot be a folder name"),
        ({"kind": ""}, "cannot be a folder name"),
        ({"timeout_seconds": 0}, "more than 0"),
        ({"timeout_seconds": float("nan")}, "more than 0"),
        ({"working_folder": Path("/nowhere/at/all")}, "does not exist"),
    ],
)
def test_bad_requests_are_refused_before_anything_is_written(
    notebook: Make, run: Run, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    path = notebook("# T", ("parameters", "x: int = 1"))
    with pytest.raises(ReportError, match=message):
        run(path, **options)
    assert not (tmp_path / "reports").exists()


def test_runs_at_once_in_threads_and_processes_leave_a_whole_index(
    notebook: Make, run: Run, tmp_path: Path
) -> None:
    path = notebook("# Report", ("parameters", "part: int = 0  # which"), "print(1)")
    code = textwrap.dedent(
        f"""
        from pathlib import Path
        from crm_lab.reports import run_report
        folder = Path({str(tmp_path)!r})
        run_report(Path({str(path)!r}), parameters={{}}, reports_folder=folder / "reports",
                   kind="campaign", working_folder=folder)
        """
    )
    with subprocess.Popen([sys.executable, "-c", code]) as other:
        with ThreadPoolExecutor(2) as pool:
            records = list(pool.map(lambda part: run(path, parameters={"part": part}), (1, 2)))
        assert other.wait(timeout=60) == 0
    assert [r.status for r in records] == ["ok", "ok"]
    runs = sorted(p.name for p in (tmp_path / "reports" / "runs" / "campaign").iterdir())
    assert len(runs) == 3
    index = (tmp_path / "reports" / "index.html").read_text(encoding="utf-8")
    assert index.rstrip().endswith("</html>")
    assert all(f"runs/campaign/{name}/manifest.json" in index for name in runs)
    assert not list((tmp_path / "reports").glob(".running-*"))


def test_a_killed_run_leaves_nothing_visible_and_is_cleaned_later(tmp_path: Path) -> None:
    path = write_notebook(
        tmp_path / "slow.ipynb",
        "# Slow",
        "open('started', 'w').write('1')\nimport time\ntime.sleep(60)",
    )
    reports = tmp_path / "reports"
    code = textwrap.dedent(
        f"""
        from pathlib import Path
        from crm_lab.reports import run_report
        folder = Path({str(tmp_path)!r})
        run_report(Path({str(path)!r}), parameters={{}}, reports_folder=folder / "reports",
                   kind="campaign", working_folder=folder)
        """
    )
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        _wait_for(tmp_path / "started", process)
        assert clean_stale(reports) == ()  # its owner lives
        process.kill()
    assert list((reports / "runs").rglob("*.*")) == []
    assert len([p for p in reports.glob(".running-*") if p.is_dir()]) == 1
    rebuild_index(reports)
    assert "No report has run yet." in (reports / "index.html").read_text(encoding="utf-8")
    assert len(clean_stale(reports)) == 1
    assert list(reports.glob(".running-*")) == []


@pytest.mark.skipif(os.name != "posix", reason="a private temporary folder per kernel")
def test_a_long_temporary_folder_is_no_obstacle(
    notebook: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    record = run_report(
        notebook("# T", "1"),
        parameters={},
        reports_folder=tmp_path / "reports",
        kind="t",
        working_folder=tmp_path,
    )
    assert record.status == "ok"
