"""verify, diff and handover as commands, on a report of a real base."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path

import nbformat
import pytest

from crm_lab.cli.handover import handover
from crm_lab.cli.report_checks import diff, verify
from crm_lab.errors import ReportError, StoreError
from crm_lab.publishing.requests import report_request, run_request
from crm_lab.workbench import Workbench, open_workbench

PARAMETERS = (
    "snapshot: int | None = None  # snapshot to read\nfactor: float = 1.0  # to multiply by"
)
SALES = """
import dataclasses
import pandas as pd
from crm_lab import open_workbench
from crm_lab.cards import Result

@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Sales(Result):
    title = "Sales"
    orders: float
    def sentence(self):
        return f"{self.orders:g} orders."
    def to_frame(self):
        return pd.DataFrame({"orders": [self.orders]})

Sales(orders=factor * open_workbench(snapshot=snapshot).base().orders)
"""


@pytest.fixture
def folder(workbench_at: Callable[[str], Workbench]) -> Iterator[Path]:
    where = workbench_at("loaded").settings.folder
    declared = nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    cells = [nbformat.v4.new_markdown_cell("# Sales"), declared, nbformat.v4.new_code_cell(SALES)]
    (where / "notebooks").mkdir(exist_ok=True)
    path = where / "notebooks" / "01_sales.ipynb"
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)), encoding="utf-8")
    with chdir(where):
        yield where


def publish(folder: Path, **parameters: object) -> str:
    record = run_request(report_request(open_workbench(folder), "sales", parameters))
    assert record.is_good, record.error
    return record.run_id


def test_a_run_is_verified_compared_and_handed_over(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = publish(folder)
    publish(folder, factor=2.0)
    assert verify.main([first], standalone_mode=False) == 0
    said = capsys.readouterr().out
    assert "Confirmed: all 1 numbers came out the same to the last digit" in " ".join(said.split())
    record = folder / "reports" / "verifications" / f"{first}.json"
    assert json.loads(record.read_text(encoding="utf-8"))[0]["is_confirmed"] is True

    diff.main(["--of", "sales"], standalone_mode=False)
    said = " ".join(capsys.readouterr().out.split())
    assert "Between the two runs differ: parameters, numbers." in said
    assert "Of 1 headline number that both have, 1 moved." in said

    for words in (
        ["email", "latest", "--of", "sales", "--to", "out/mail"],
        ["numbers", first, "--format", "xlsx", "--to", "out/numbers"],
        ["star", "--format", "csv", "--to", "out/star"],
    ):
        handover.main(words, standalone_mode=False)
        assert "with their hashes in" in capsys.readouterr().out or words[0] == "numbers"
    assert (folder / "out" / "mail" / "report.eml").is_file()
    assert (folder / "out" / "numbers" / "numbers.xlsx").is_file()
    assert (folder / "out" / "star" / "fact_orders.csv").is_file()
    with pytest.raises(ReportError, match="holds a hand-over already"):
        handover.main(["star", "--to", "out/star"], standalone_mode=False)


def altered(folder: Path, run_id: str, part: str, **values: object) -> None:
    path = folder / "reports" / "runs" / "sales" / run_id / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest[part] |= values
    path.write_text(json.dumps(manifest), encoding="utf-8")


def test_a_run_whose_data_are_gone_is_not_verified(folder: Path) -> None:
    run_id = publish(folder)
    altered(folder, run_id, "context", snapshot_sha256="0" * 64)
    with pytest.raises(ReportError, match="is not the one that the run read"):
        verify.main([run_id], standalone_mode=False)
    altered(folder, run_id, "parameters", snapshot=999)
    with pytest.raises(StoreError, match="there is no snapshot 999"):
        verify.main([run_id], standalone_mode=False)
    altered(folder, run_id, "parameters", snapshot=None)
    with pytest.raises(ReportError, match="names no snapshot"):
        verify.main([run_id], standalone_mode=False)
    assert not (folder / "reports" / "verifications").exists()


def test_an_unknown_run_is_refused_everywhere(folder: Path) -> None:
    for command, words in ((verify, []), (handover, ["email"]), (handover, ["numbers"])):
        target = ["--to", "out"] if words else []
        with pytest.raises(ReportError, match="no run fits 'nothing'"):
            command.main([*words, "nothing", *target], standalone_mode=False)
    assert not (folder / "out").exists()
