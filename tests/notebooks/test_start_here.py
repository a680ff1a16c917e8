"""The tour runs from the top in both languages and ends where it should."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crm_lab.errors import SettingsError
from crm_lab.practice import EFFECTS, make_practice
from crm_lab.reports import run_report

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "00_start_here.ipynb"


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_tour_goes_from_the_files_to_the_decision(tmp_path: Path, language: str):
    record = run_report(
        NOTEBOOK,
        parameters={"folder": str(tmp_path / "shop"), "language": language},
        reports_folder=tmp_path / "reports",
        kind="start_here",
        working_folder=tmp_path,
    )
    assert record.status == "ok", record.error
    manifest = json.loads((record.folder / "manifest.json").read_text("utf-8"))
    (found,) = (item["data"] for item in manifest["results"] if item["kind"] == "experiment_result")
    assert found["verdict"] == "ship"
    assert {arm["arm"] for arm in found["arms"]} == set(EFFECTS)


def test_a_practice_shop_is_not_put_over_another_workbench(tmp_path: Path):
    make_practice(tmp_path / "shop")
    with pytest.raises(SettingsError, match="is a workbench already"):
        make_practice(tmp_path / "shop")
