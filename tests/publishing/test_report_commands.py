"""``crm-lab report`` as a person types it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from crm_lab.cli import run
from crm_lab.workbench import Workbench


@pytest.fixture
def at_finished(
    workbench_at: Callable[[str], Workbench], monkeypatch: pytest.MonkeyPatch
) -> Workbench:
    workbench = workbench_at("finished")
    monkeypatch.chdir(workbench.settings.folder)
    monkeypatch.setenv("COLUMNS", "200")
    return workbench


def test_one_line_publishes_a_report_in_both_languages_once(
    at_finished: Workbench, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ("report", "run", "customer_base", "--each", "language=all")
    assert run(line) == 0
    assert "2 reports were published." in capsys.readouterr().out
    runs = at_finished.settings.reports_folder / "runs" / "customer_base"
    manifests = [json.loads(path.read_text("utf-8")) for path in runs.glob("*/manifest.json")]
    assert {manifest["language"] for manifest in manifests} == {"en", "ru"}
    for manifest in manifests:
        page = (runs / manifest["run_id"] / "report.html").read_text("utf-8")
        assert f'<html lang="{manifest["language"]}">' in page
    assert run(line) == 0
    assert "2 were not run, because nothing has changed." in capsys.readouterr().out
    assert len(list(runs.iterdir())) == 2


def test_parameters_are_printed_with_what_they_may_be(
    at_finished: Workbench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(("report", "params", "aa_calibration")) == 0
    printed = capsys.readouterr().out
    for word in ("date | None", "0.05", "length of the window", "en, ru"):
        assert word in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--each", "seed"), "'seed' names no values"),
        (("--each", "seed="), "'seed=' names no values"),
        (("--dates", "2024-01-01"), "no span of dates"),
        (("-p", "seed", "x", "-p", "colour", "red"), "unknown parameter 'colour'"),
    ],
)
def test_a_wrong_line_is_refused_before_anything_runs(
    at_finished: Workbench,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    message: str,
) -> None:
    assert run(("report", "run", "campaign_experiment", *options)) == 1
    assert message in capsys.readouterr().err
    assert not at_finished.settings.reports_folder.exists()
