"""The list of runs as data, as a feed, and when it has grown long."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from crm_lab.language import using_language
from crm_lab.reports import RunRecord, rebuild_index
from crm_lab.reports.catalogue import decisions_taken, latest_good, listed_runs
from tests.reports import hostile

ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture(scope="module")
def template(published: RunRecord) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((published.folder / "manifest.json").read_text("utf-8"))
    return found


def plant(reports: Path, template: dict[str, Any], name: str, **changed: Any) -> Path:
    folder = reports / "runs" / "campaign" / name
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(template | {"run_id": name} | changed), encoding="utf-8")
    return manifest


def test_the_list_as_data_holds_every_run(template: dict[str, Any], tmp_path: Path) -> None:
    plant(tmp_path, template, "one", parameters={"experiment": "spring"})
    plant(tmp_path, template, "two", status="failed", headline="Boom", verdict=None)
    rebuild_index(tmp_path)
    data = json.loads((tmp_path / "index.json").read_text(encoding="utf-8"))
    found = {run["run_id"]: run for run in data["runs"]}
    assert found["one"]["subject"] == "spring"
    assert found["one"]["verdict"] == "cannot conclude"
    assert found["one"]["page"] == "runs/campaign/one/report.html"
    assert found["two"]["headline"] == "Boom"


def test_a_list_made_from_the_last_one_is_the_same(
    template: dict[str, Any], tmp_path: Path
) -> None:
    decision = {"day": "2026-01-02", "decision": "ship", "by": "Boss", "note": ""}
    plant(tmp_path, template, "one", decisions=[decision])
    fresh = listed_runs(tmp_path)
    rebuild_index(tmp_path)
    assert listed_runs(tmp_path) == fresh
    first = (tmp_path / "index.html").read_text(encoding="utf-8")
    rebuild_index(tmp_path)
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == first


@pytest.mark.parametrize(
    "broken", ["{", "[]", '{"version": 1}', '{"version": 1, "runs": [{}]}', ""]
)
def test_a_broken_list_is_made_anew(template: dict[str, Any], tmp_path: Path, broken: str) -> None:
    plant(tmp_path, template, "one")
    (tmp_path / "index.json").write_text(broken, encoding="utf-8")
    rebuild_index(tmp_path)
    assert len(json.loads((tmp_path / "index.json").read_text("utf-8"))["runs"]) == 1


def test_another_manifest_in_the_same_place_is_read_again(
    template: dict[str, Any], tmp_path: Path
) -> None:
    plant(tmp_path, template, "one", title="Before")
    rebuild_index(tmp_path)
    plant(tmp_path, template, "one", title="Afterwards")
    assert [run.title for run in listed_runs(tmp_path)] == ["Afterwards"]


def test_a_decision_stands_once_with_the_newest_report(
    template: dict[str, Any], tmp_path: Path
) -> None:
    decision = {"day": "2026-01-02", "decision": "ship", "by": "Boss", "note": "n"}
    for number in (1, 2):
        plant(
            tmp_path,
            template,
            f"run-{number}",
            decisions=[decision],
            parameters={"experiment": "spring"},
            started_at=f"2026-01-0{number}T00:00:00Z",
        )
    [(taken, run)] = decisions_taken(listed_runs(tmp_path))
    assert (taken.about, taken.decision, run.run_id) == ("spring", "ship", "run-2")
    page = rebuild_index(tmp_path).read_text(encoding="utf-8")
    assert "<strong>Ship</strong>" in page


def test_a_revision_of_the_plan_leads_to_the_report_it_came_from(
    template: dict[str, Any], tmp_path: Path
) -> None:
    revision = {
        "item": "second-wave.recipients",
        "old": 1000,
        "new": 2000,
        "reason": "it works",
        "by": "Boss",
        "at": "2026-01-16T00:00:00",
        "report": "cause",
    }
    shown = [{"kind": "monthly_plan", "data": {"revisions": [revision, "no mapping"]}}]
    plant(tmp_path, template, "cause", started_at="2026-01-15T00:00:00Z")
    plant(tmp_path, template, "later", results=shown, started_at="2026-01-17T00:00:00Z")
    [(taken, run)] = decisions_taken(listed_runs(tmp_path))
    assert taken.decision == "second-wave, recipients: 1,000 → 2,000"
    assert (taken.day, taken.note, run.run_id) == ("2026-01-16", "it works", "cause")


def test_languages_are_reports_of_their_own(template: dict[str, Any], tmp_path: Path) -> None:
    plant(tmp_path, template, "en", language="en")
    plant(tmp_path, template, "ru", language="ru")
    assert len(latest_good(listed_runs(tmp_path))) == 2


def test_the_list_speaks_the_language_of_the_workbench(
    template: dict[str, Any], tmp_path: Path
) -> None:
    plant(tmp_path, template, "one")
    with using_language("ru"):
        page = rebuild_index(tmp_path).read_text(encoding="utf-8")
    assert '<html lang="ru">' in page
    assert "Все запуски" in page


def test_the_feed_is_well_formed_whatever_a_title_holds(
    template: dict[str, Any], tmp_path: Path
) -> None:
    for number, text in enumerate(hostile.EVERY):
        plant(tmp_path, template, f"run-{number}", title=text, headline=text)
    rebuild_index(tmp_path)
    feed = ElementTree.parse(tmp_path / "feed.xml").getroot()
    entries = feed.findall(f"{ATOM}entry")
    assert len(entries) == 50
    for entry in entries:
        [link] = entry.findall(f"{ATOM}link")
        assert link.attrib["href"].startswith("runs/campaign/run-")
