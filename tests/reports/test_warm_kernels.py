"""Kernels forked from a parent: as good as cold ones, apart from each other, and none is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest

from crm_lab.reports import RunRecord
from crm_lab.reports.kernels import shared_environment
from crm_lab.reports.warm_kernels import WarmParent

Run = Callable[..., RunRecord]
Make = Callable[..., Path]

pytestmark = pytest.mark.skipif(not WarmParent.is_possible(), reason="kernels are forked on Linux")
LIGHT = ("ipykernel.kernelapp", "numpy")
"""Enough for these tests; the imports of real reports take seconds."""


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[WarmParent]:
    with WarmParent(tmp_path, shared_environment(), preloaded=LIGHT) as warm:
        yield warm


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def shown(record: RunRecord) -> dict[str, object]:
    executed = nbformat.read(record.folder / "executed.ipynb", as_version=4)
    return json.loads(executed.cells[-1].outputs[0].text)  # type: ignore[no-any-return]


FACTS = (
    "import json, os, sys\n"
    "print(json.dumps({'pid': os.getpid(), 'parent': os.getppid(), 'group': os.getpgid(0),"
    " 'folder': os.getcwd(), 'hash': hash('a'), 'seed': os.environ['PYTHONHASHSEED'],"
    " 'profile': os.environ['IPYTHONDIR'], 'backend': os.environ['MPLBACKEND'],"
    " 'given': os.environ.get('GIVEN'), 'path': sys.path}))"
)


def test_a_forked_kernel_finds_what_a_cold_one_finds(
    notebook: Make, run: Run, parent: WarmParent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIVEN", "after the parent was started")
    path = notebook("# T", FACTS)
    warm, cold = shown(run(path, warm_parent=parent)), shown(run(path))
    assert warm["parent"] == parent.pid
    assert cold["parent"] == os.getpid()
    for facts in (warm, cold):
        assert facts["group"] == facts["pid"]
        assert "crm-lab-" in str(facts["profile"])
    assert warm["profile"] != cold["profile"]
    for own in ("pid", "parent", "group", "profile"):
        del warm[own], cold[own]
    assert warm == cold


def test_runs_from_one_parent_do_not_see_each_other(
    notebook: Make, run: Run, parent: WarmParent
) -> None:
    path = notebook(
        "# T",
        "import json, os, random, numpy, ipykernel\n"
        "print(json.dumps({'pid': os.getpid(), 'marked': hasattr(ipykernel, 'mark'),"
        " 'drawn': [random.random(), numpy.random.random()]}))\nipykernel.mark = 1",
    )
    first, second = (shown(run(path, warm_parent=parent)) for _ in range(2))
    assert first["pid"] != second["pid"]
    assert not second["marked"]
    assert first["drawn"] != second["drawn"]


def test_plots_of_a_forked_kernel_are_on_its_page(notebook: Make, run: Run, tmp_path: Path) -> None:
    path = notebook("# T", "import matplotlib.pyplot as plt\nplt.plot([1, 2])")
    preloaded = ("ipykernel.kernelapp", "matplotlib.pyplot")
    with WarmParent(tmp_path, shared_environment(), preloaded=preloaded) as parent:
        record = run(path, warm_parent=parent)
    assert "data:image/png" in record.html.read_text("utf-8")


@pytest.mark.parametrize(
    ("source", "status"),
    [("1", "ok"), ("1 / 0", "failed"), ("import os; os._exit(3)", "failed")],
)
def test_no_kernel_is_left_after_a_run(
    notebook: Make, run: Run, parent: WarmParent, tmp_path: Path, source: str, status: str
) -> None:
    keeps = "import os\nopen('pid', 'w').write(str(os.getpid()))"
    record = run(notebook("# T", keeps, source), warm_parent=parent)
    assert record.status == status
    wait_until(lambda: not is_alive(int((tmp_path / "pid").read_text())))


def test_a_time_limit_ends_a_forked_kernel_with_its_children(
    notebook: Make, run: Run, parent: WarmParent, tmp_path: Path
) -> None:
    path = notebook(
        "# T",
        "import os, subprocess\nchild = subprocess.Popen(['sleep', '60'])\n"
        "open('pid', 'w').write(f'{os.getpid()} {child.pid}')\nchild.wait()",
    )
    record = run(path, warm_parent=parent, timeout_seconds=5)
    assert "limit of 5 seconds" in str(record.error)
    for pid in (tmp_path / "pid").read_text().split():
        wait_until(lambda pid=pid: not is_alive(int(pid)))  # type: ignore[misc]


def test_without_its_parent_a_run_starts_cold(notebook: Make, run: Run, parent: WarmParent) -> None:
    path = notebook("# T", "import json, os\nprint(json.dumps({'parent': os.getppid()}))")
    assert shown(run(path, warm_parent=parent))["parent"] == parent.pid
    os.kill(parent.pid, signal.SIGKILL)
    assert shown(run(path, warm_parent=parent))["parent"] == os.getpid()


SLOW = ("slow_import",)


@pytest.fixture
def slow_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WarmParent]:
    """A parent that does not come to answer."""
    monkeypatch.setattr("crm_lab.reports.warm_kernels._CLOSE_SECONDS", 0.1)
    (tmp_path / "slow_import.py").write_text("import time\ntime.sleep(120)", "utf-8")
    with WarmParent(tmp_path, shared_environment(), preloaded=SLOW) as warm:
        yield warm


def test_a_parent_that_is_still_importing_does_not_stretch_the_time_limit(
    notebook: Make, run: Run, slow_parent: WarmParent
) -> None:
    record = run(notebook("# T", "1"), warm_parent=slow_parent, timeout_seconds=2)
    assert "limit of 2 seconds" in str(record.error)
    assert record.duration_seconds < 30


def test_a_stop_is_heard_while_the_parent_is_importing(
    notebook: Make, run: Run, slow_parent: WarmParent
) -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(notebook("# T", "1"), warm_parent=slow_parent, stop=stop)
    assert time.monotonic() - started < 30


def test_a_parent_that_is_too_late_is_replaced_by_a_cold_start(
    notebook: Make, run: Run, slow_parent: WarmParent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crm_lab.reports.warm_kernels._FORK_SECONDS", 0.2)
    slow_parent._expected_at = 0.0
    path = notebook("# T", "import json, os\nprint(json.dumps({'parent': os.getppid()}))")
    assert shown(run(path, warm_parent=slow_parent))["parent"] == os.getpid()


def test_a_kernel_that_comes_too_late_is_ended(
    notebook: Make, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crm_lab.reports.warm_kernels._FORK_SECONDS", 0.1)
    go = tmp_path / "go"
    (tmp_path / "slow_import.py").write_text(
        "import pathlib, time\nwhile not pathlib.Path('go').exists():\n    time.sleep(0.05)",
        "utf-8",
    )
    with WarmParent(tmp_path, shared_environment(), preloaded=SLOW) as parent:
        parent._expected_at = 0.0
        assert run(notebook("# T", "1"), warm_parent=parent).is_good
        go.touch()
        wait_until(lambda: not parent._asked and not parent._kernels)


def test_a_kernel_dies_with_its_parent_and_is_replaced(
    notebook: Make, run: Run, parent: WarmParent, tmp_path: Path
) -> None:
    path = notebook(
        "# T",
        "import os, signal, time\nfrom pathlib import Path\n"
        "if not Path('mark').exists():\n"
        "    Path('mark').write_text(str(os.getpid()))\n"
        "    os.kill(os.getppid(), signal.SIGKILL)\n    time.sleep(60)",
    )
    record = run(path, warm_parent=parent, retries=1)
    assert record.is_good
    assert record.attempts == 2
    assert not is_alive(int((tmp_path / "mark").read_text()))


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_whatever_ends_the_owner_ends_parent_and_kernels(
    tmp_path: Path, notebook: Make, signum: signal.Signals
) -> None:
    path = notebook(
        "# T",
        "import os, time\nopen('pids', 'w').write(f'{os.getppid()} {os.getpid()}')\ntime.sleep(60)",
    )
    code = textwrap.dedent(
        f"""
        import signal
        from pathlib import Path
        from crm_lab.reports import run_report
        from crm_lab.reports.kernels import shared_environment
        from crm_lab.reports.warm_kernels import WarmParent
        signal.signal(signal.SIGINT, signal.default_int_handler)
        folder = Path({str(tmp_path)!r})
        with WarmParent(folder, shared_environment(), preloaded={LIGHT!r}) as parent:
            run_report(Path({str(path)!r}), parameters={{}}, reports_folder=folder / "reports",
                       kind="campaign", working_folder=folder, warm_parent=parent)
        """
    )
    pids = tmp_path / "pids"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as owner:
        wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2, 60)
        owner.send_signal(signum)
        owner.wait(timeout=30)
    for pid in pids.read_text().split():
        wait_until(lambda pid=pid: not is_alive(int(pid)))  # type: ignore[misc]
    assert list((tmp_path / "reports" / "runs").rglob("*.*")) == []
