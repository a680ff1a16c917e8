"""Doing a run again: confirmed, departed, or refused with a reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest

from crm_lab.errors import ReportError
from crm_lab.reports import RunRecord, run_report
from crm_lab.reports.masking import HIDDEN
from crm_lab.reports.verification import (
    Verification,
    record_verification,
    verifications_of,
    verify_run,
)

MONEY, LINES = "money.txt", "1.5 2.5"
RESULT = """
import dataclasses, pathlib
import pandas as pd
from crm_lab.cards import Result

@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Outcome(Result):
    title = "Outcome"
    verdict: str
    rows: pd.DataFrame
    def sentence(self):
        best = self.rows["customer_id"].iloc[-1]
        return f"It brought {self.rows['money'].sum():.1f}, most of it {best}."
    def to_frame(self):
        return self.rows

@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Decided(Result):
    title = "Decided"
    decisions: list
    def sentence(self):
        return f"{len(self.decisions)} decisions."
    def to_frame(self):
        return pd.DataFrame({"decision": self.decisions})

ledger = pathlib.Path("ledger.txt")
decided = ledger.read_text().split() if ledger.exists() else []
ids = [f"KL-{number}" for number in (20417, 20418)]
print("Best:", ids[1])
money = [float(line) for line in pathlib.Path("money.txt").read_text().split()]
rows = pd.DataFrame({"customer_id": ids, "money": money})
display(Decided(decisions=decided))
Outcome(verdict="ship" if sum(money) > 2 else "stop", rows=rows)
"""


Verify = Callable[..., Verification]


@pytest.fixture(scope="module")
def winter(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunRecord]:
    """A notebook and its published run, made once."""
    folder = tmp_path_factory.mktemp("winter")
    declared = nbformat.v4.new_code_cell("seed: int = 1  # seed", metadata={"tags": ["parameters"]})
    heading, code = nbformat.v4.new_markdown_cell("# Winter"), nbformat.v4.new_code_cell(RESULT)
    path = folder / "winter.ipynb"
    path.write_text(
        nbformat.writes(nbformat.v4.new_notebook(cells=[heading, declared, code])), "utf-8"
    )
    (folder / MONEY).write_text(LINES, "utf-8")
    record = run_report(
        path,
        parameters={"seed": 5},
        reports_folder=folder / "reports",
        kind="campaign",
        working_folder=folder,
    )
    assert record.is_good, record.error
    return path, record


@pytest.fixture
def notebook_file(winter: tuple[Path, RunRecord]) -> Iterator[Path]:
    """The notebook; it and its data are put back after the test."""
    path = winter[0]
    before = path.read_bytes()
    yield path
    path.write_bytes(before)
    (path.parent / MONEY).write_text(LINES, "utf-8")
    (path.parent / "ledger.txt").unlink(missing_ok=True)


@pytest.fixture
def verify(winter: tuple[Path, RunRecord]) -> Verify:
    def again(*notebooks: Path, folder: Path | None = None) -> Verification:
        return verify_run(
            folder or winter[1].folder,
            notebooks=notebooks,
            working_folder=winter[0].parent,
            timeout_seconds=120,
        )

    return again


def test_the_same_run_is_confirmed_to_the_last_digit(
    winter: tuple[Path, RunRecord], verify: Verify
) -> None:
    notebook, record = winter
    before = {path: path.read_bytes() for path in record.folder.iterdir()}
    found = verify(notebook)
    assert found.is_confirmed, found.departures
    assert (found.numbers, found.exact) == (2, 2)
    assert found.source == "workbench"
    assert found.changed_since == ()
    assert found.sentence().startswith("Confirmed: all 2 numbers came out the same to the last")
    assert {path: path.read_bytes() for path in record.folder.iterdir()} == before
    reports = record.folder.parents[2]
    for _ in range(2):
        path = record_verification(reports, found)
    assert len(json.loads(path.read_text(encoding="utf-8"))) == 2
    assert verifications_of(reports, record.run_id)[1]["is_confirmed"] is True
    assert verifications_of(reports, "another") == []
    assert sorted(p.name for p in (reports / "runs" / "campaign").iterdir()) == [record.run_id]


def test_what_comes_out_otherwise_is_named(notebook_file: Path, verify: Verify) -> None:
    (notebook_file.parent / MONEY).write_text("1.5 0.25", "utf-8")
    found = verify(notebook_file)
    assert not found.is_confirmed
    frame = found.to_frame().set_index("what")
    named = next(name for name in frame.index if name.endswith(".money"))
    assert tuple(frame.loc[named]) == (2.5, 0.25)
    assert tuple(frame.loc["verdict"]) == ("ship", "stop")
    assert "outcome[1].sentence" in frame.index
    assert "Not confirmed: " in found.sentence()
    assert "KL-2041" not in str(found.to_dict())
    assert len(found.card_frame()) == len(frame)


def test_a_decision_taken_since_is_said_and_contradicts_nothing(
    notebook_file: Path, verify: Verify
) -> None:
    (notebook_file.parent / "ledger.txt").write_text("ship", "utf-8")
    found = verify(notebook_file)
    assert found.is_confirmed, found.departures
    assert found.changed_since == ("ledger",)


def test_a_changed_notebook_is_replaced_by_the_runs_own_copy(
    notebook_file: Path, verify: Verify
) -> None:
    source = notebook_file.read_text("utf-8")
    notebook_file.write_text(source.replace("> 2", "> 2000"), "utf-8")
    found = verify(notebook_file)
    assert found.is_confirmed, found.departures
    assert found.source == "executed copy"
    assert found.changed_since == ("notebook",)
    assert "Changed since the run: notebook; the notebook was taken from" in found.sentence()


def test_a_copy_whose_code_names_a_masked_id_is_not_executed(
    winter: tuple[Path, RunRecord], verify: Verify, tmp_path: Path
) -> None:
    copy = shutil.copytree(winter[1].folder, tmp_path / "copy")
    path = copy / "executed.ipynb"
    path.write_text(path.read_text("utf-8").replace("ids[1]", "'c-566c8e941f92f3d3'"), "utf-8")
    with pytest.raises(ReportError, match="has hidden parts in its code"):
        verify(folder=copy)


def test_a_run_that_cannot_be_done_again_says_why(
    notebook_file: Path, winter: tuple[Path, RunRecord], verify: Verify, tmp_path: Path
) -> None:
    (notebook_file.parent / MONEY).unlink()
    found = verify(notebook_file)
    assert not found.is_confirmed
    assert "could not be done again: FileNotFoundError" in found.sentence()
    copy = shutil.copytree(winter[1].folder, tmp_path / "copy")
    (copy / "executed.ipynb").unlink()
    with pytest.raises(ReportError, match="no notebook of the workbench is the one of this run"):
        verify(folder=copy)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"status": "failed"}, "nothing to compare"),
        ({"parameters": {"contact": HIDDEN}}, "does not say the values of contact"),
        ({"parameters": {"who": "c-566c8e941f92f3d3", "seed": 5}}, "the values of who: they"),
        ({"parameters": {"a": ["x", "c-566c8e941f92f3d3"]}}, "the values of a: they"),
        ({"parameters": {"file": "~/x.csv"}}, "hidden or shortened when it was published"),
        ({"parameters": {"files": ["a.csv", "~/x.csv"]}}, "the values of files"),
    ],
)
def test_failed_and_hidden_runs_are_refused(
    winter: tuple[Path, RunRecord],
    verify: Verify,
    tmp_path: Path,
    values: dict[str, object],
    told: str,
) -> None:
    copy = shutil.copytree(winter[1].folder, tmp_path / "copy")
    manifest = json.loads((copy / "manifest.json").read_text("utf-8"))
    (copy / "manifest.json").write_text(json.dumps(manifest | values), "utf-8")
    with pytest.raises(ReportError, match=told):
        verify(winter[0], folder=copy)
