"""What a manifest holds, and what it says about the run before."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pytest

from crm_lab.cards import RESULT_MIME
from crm_lab.errors import ReportError
from crm_lab.language import using_language
from crm_lab.reports import RunRecord
from crm_lab.reports.differences import (
    change_text,
    compare_runs,
    find_run,
    manifest_of,
    plain_text,
    previous_run,
    value_text,
    what_text,
    with_changes,
)
from crm_lab.reports.manifest import Manifest, VerdictStamp, build_manifest, read_manifest
from crm_lab.reports.masking import run_mask
from crm_lab.reports.provenance import code_stamp, source_sha256
from crm_lab.reports.unchanged import is_unchanged

RESULT = """
import dataclasses
import pandas as pd
from crm_lab.cards import Result

@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Outcome(Result):
    title = "Outcome"
    verdict: str
    money: float
    def sentence(self):
        return f"It brought {self.money}."
    def to_frame(self):
        return pd.DataFrame({"money": [self.money]})

Outcome(verdict=verdict, money=money)
"""
PARAMETERS = (
    "parameters",
    'money: float = 5.5  # how much\nverdict: str = "ship"  # what came out',
)
DEFAULTS = {"experiment": "winter", "money": 5.5, "verdict": "ship", "language": "en"}


@pytest.fixture
def report(tmp_path: Path, notebook: Callable[..., Path]) -> Callable[..., Manifest]:
    """Put manifests of runs into a reports folder as the runner does, without a kernel."""
    path, reports = notebook("# Winter", "x"), tmp_path / "reports"
    folder = reports / "runs" / "campaign"

    def add(context: dict[str, object] | None = None, **given: object) -> Manifest:
        parameters = DEFAULTS | given
        payload = {
            "kind": "outcome",
            "title": "Outcome",
            "sentence": f"It brought {parameters['money']}.",
            "data": {
                "verdict": parameters["verdict"],
                "money": parameters["money"],
                "snapshot": "3-abc",
                "plan_sha256": "f" * 64,
                "decisions": [{"day": "2026-11-02", "decision": "ship", "by": "Head"}],
            },
        }
        output = nbformat.v4.new_output("display_data", data={RESULT_MIME: payload})
        cell = nbformat.v4.new_code_cell("x", outputs=[output])
        number = len(list(folder.glob("*")))
        manifest = build_manifest(
            run_id=f"20261201T00{number:02d}00Z-winter-0000000{number}",
            kind="campaign",
            title="Winter",
            notebook=path,
            executed=nbformat.v4.new_notebook(cells=[cell]),
            parameters=parameters,
            context=context or {},
            failure=None,
            started_at=datetime(2026, 12, 1, 0, number, tzinfo=UTC),
            finished_at=datetime(2026, 12, 1, 0, number, 30, tzinfo=UTC),
        )
        before = previous_run(reports, kind="campaign", title="Winter", parameters=parameters)
        manifest = with_changes(manifest, before)
        write(manifest)
        return manifest

    def write(manifest: Manifest) -> None:
        place = folder / manifest.run_id
        place.mkdir(parents=True)
        (place / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")

    return add


def test_a_run_writes_what_changed_into_its_manifest(
    notebook: Callable[..., Path], run: Callable[..., RunRecord]
) -> None:
    path = notebook("# Winter", PARAMETERS, RESULT)
    first = run(path)
    failed = run(notebook("# Winter", "1 / 0", name="bad.ipynb"))
    second = manifest_of(run(path, parameters={"money": 7.25}).folder)
    assert not failed.is_good
    assert second.previous_run_id == first.run_id
    assert second.numbers == {"outcome.money": 7.25}
    assert {change.what for change in second.changes} >= {"money", "outcome.money"}
    assert second.peak_memory_bytes is None or second.peak_memory_bytes > 1_000_000


def test_a_manifest_says_what_went_in_and_what_came_out(report: Callable[..., Manifest]) -> None:
    manifest = report({"snapshot": "3-abc", "snapshot_sha256": "a" * 64})
    assert manifest.numbers == {"outcome.money": 5.5}
    assert manifest.plan_sha256 == "f" * 64
    assert manifest.snapshots == ("3-abc",)
    assert manifest.decisions == [{"day": "2026-11-02", "decision": "ship", "by": "Head"}]
    assert manifest.language == "en"
    assert manifest.code.source_sha256 == code_stamp().source_sha256
    assert manifest.changes == []
    assert manifest.changes_sentence == "This is the first run of this report."


def test_any_changed_line_of_the_code_shows(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n", encoding="utf-8")
    before = source_sha256(tmp_path)
    (tmp_path / "notes.txt").write_text("no code", encoding="utf-8")
    assert source_sha256(tmp_path) == before
    (tmp_path / "a.py").write_text("x = 2\n", encoding="utf-8")
    assert source_sha256(tmp_path) != before


def test_the_next_run_says_what_changed(report: Callable[..., Manifest]) -> None:
    first = report({"snapshot": "3-abc", "snapshot_sha256": "a" * 64})
    second = report({"snapshot": "4-def", "snapshot_sha256": "b" * 64}, money=7.25, verdict="stop")
    assert second.previous_run_id == first.run_id
    said = {(change.kind, change.what): (change.before, change.after) for change in second.changes}
    assert said == {
        ("parameter", "money"): (5.5, 7.25),
        ("parameter", "verdict"): ("ship", "stop"),
        ("data", "snapshot"): ("3-abc", "4-def"),
        ("verdict", "verdict"): ("ship", "stop"),
        ("number", "outcome.money"): (5.5, 7.25),
    }
    assert "changed: parameters, data." in second.changes_sentence
    assert "The verdict was “Ship” and is “Stop”." in second.changes_sentence
    assert "1 headline number moved." in second.changes_sentence


def test_a_new_number_over_the_same_data_is_no_change(report: Callable[..., Manifest]) -> None:
    report({"snapshot": "3-abc", "snapshot_sha256": "a" * 64})
    again = report({"snapshot": "4-abc", "snapshot_sha256": "a" * 64})
    assert again.changes == []
    assert again.changes_sentence.startswith("Nothing has changed since the run of ")


def test_what_a_run_reads_is_compared_as_it_would_be_published(
    report: Callable[..., Manifest], tmp_path: Path
) -> None:
    mask = run_mask(tmp_path)
    states = {
        "customer_id": "KL-20417",
        "file": f"{tmp_path}/orders.csv",
        "about_the_data": "ask ann@shop.example",
    }
    manifest = report(mask.data(states))
    assert manifest.context != states

    def is_same(**context: str) -> bool:
        notebook = tmp_path / "report.ipynb"
        return is_unchanged(manifest, notebook=notebook, context=states | context, mask=mask)

    assert is_same()
    assert not is_same(customer_id="KL-20418")
    assert not is_same(about_the_data="ask nobody")


def test_another_experiment_is_another_report(
    report: Callable[..., Manifest], tmp_path: Path
) -> None:
    first = report()
    assert report(experiment="spring").previous_run_id is None
    found = previous_run(
        tmp_path / "reports", kind="campaign", title="Winter", parameters={"experiment": "winter"}
    )
    assert found is not None
    assert found.run_id == first.run_id


def changed(manifest: Manifest, **values: object) -> Manifest:
    return manifest.model_copy(update=values)


@pytest.fixture(scope="module")
def base(published: RunRecord) -> Manifest:
    return manifest_of(published.folder)


def test_two_runs_are_compared_in_everything_that_went_in(base: Manifest) -> None:
    code = base.code.model_copy(update={"source_sha256": "0" * 64})
    other = changed(
        base,
        run_id="other",
        python="3.99",
        code=code,
        packages=base.packages | {"pandas": "0"},
        plan_sha256="e" * 64,
        context=base.context | {"data_to": "2018-01-01"},
        verdict=VerdictStamp(word="ship", sentence="Yes."),
    )
    differences = compare_runs(base, other)
    assert [change.kind for change in differences.changes] == [
        "data",
        "plan",
        "code",
        "package",
        "package",
        "verdict",
    ]
    assert differences.sentence() == (
        "Between the two runs differ: data, plan, code, packages, verdict."
    )
    assert list(differences.to_frame().columns) == ["kind", "what", "before", "after"]
    assert len(differences.card_frame()) == 6
    assert json.loads(json.dumps(differences.to_dict()))["after"] == "other"
    assert compare_runs(base, base).changes == ()
    assert "agree" in compare_runs(base, base).sentence()


def test_changes_are_said_in_the_language_of_the_page(base: Manifest) -> None:
    said = with_changes(changed(base, language="ru"), base)
    assert [change.kind for change in said.changes] == ["language"]


def test_values_of_a_change_read_like_those_of_the_page(base: Manifest) -> None:
    assert value_text(None) == "none"
    assert value_text(True) == "yes"
    assert value_text(1200) == "1,200"
    assert value_text({"estimate": 64.07, "low": 35.19, "high": 88.55}) == "64 (35 to 89)"
    assert value_text({"estimate": 5.0, "low": None, "high": None}) == "5"
    assert value_text(["a", 2]) == "a, 2"
    assert plain_text({"text": "+3.2 % (1 to 5 %)"}) == "+3.2 % (1 to 5 %)"
    assert plain_text({"estimate": 5.0, "low": 1.0, "high": 9.0}) == "5.0 (1.0 to 9.0)"
    assert what_text("experiment_result.arms[a].n") == "experiment result, arms: a, n"
    number = {"estimate": 1.0, "low": 0.0, "high": 2.0, "text": "+1 USD (0 to 2)"}
    shown = [{"kind": "k", "data": {"verdict": "ship"}, "numbers": [number | {"label": "Money"}]}]
    moved = [{**shown[0], "numbers": [number | {"label": "Money", "estimate": 3.0, "text": "+3"}]}]
    change = compare_runs(changed(base, results=shown), changed(base, results=moved)).changes[0]
    assert change_text(change) == ("Money", "+1 USD (0 to 2)", "+3")


def test_runs_are_found_by_id_part_and_place_in_time(
    report: Callable[..., Manifest], tmp_path: Path
) -> None:
    runs = [report(money=money) for money in (1.0, 2.0, 3.0)]
    reports = tmp_path / "reports"
    assert find_run(reports, runs[0].run_id).name == runs[0].run_id
    assert find_run(reports, runs[1].run_id[-8:]).name == runs[1].run_id
    assert find_run(reports, "latest", of="Winter").name == runs[2].run_id
    assert find_run(reports, "previous", of="campaign").name == runs[1].run_id
    with pytest.raises(ReportError, match="3 runs fit"):
        find_run(reports, "winter")
    with pytest.raises(ReportError, match="no run fits"):
        find_run(reports, "../..")
    with pytest.raises(ReportError, match="of which report"):
        find_run(reports, "latest")
    with pytest.raises(ReportError, match="0 complete runs of 'Summer'"):
        find_run(reports, "latest", of="Summer")


def test_manifests_of_the_first_version_can_still_be_read(base: Manifest, tmp_path: Path) -> None:
    old = base.model_dump(mode="json")
    for name in ("numbers", "decisions", "plan_sha256", "snapshots", "changes", "language"):
        del old[name]
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(old | {"manifest_version": 1}), encoding="utf-8")
    found = read_manifest(path)
    assert found is not None
    assert found.language == "en"
    with pytest.raises(ReportError, match="missing or cannot be read"):
        manifest_of(tmp_path / "nowhere")
    with using_language("ru"):
        assert compare_runs(found, base).sentence()
