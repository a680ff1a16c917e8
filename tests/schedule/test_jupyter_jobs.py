"""A job of JupyterLab's job screen becomes an ordinary report."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest

from crm_lab.errors import ReportError
from crm_lab.reports.catalogue import listed_runs
from crm_lab.workbench import open_workbench

pytest.importorskip("jupyter_scheduler", reason="the extra 'scheduler' is not installed")

PARAMETERS = 'shop: str = "all"  # which shop\nis_wrong: bool = False  # whether it fails'
MAP = """\
table: orders
source_system: till
files: "orders*.csv"
date_formats: ["%Y-%m-%d"]
create_customers: true
columns: {order_id: id, customer_id: customer, ordered_at: day, net_revenue: total}
"""


@pytest.fixture
def job(workbench: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from crm_lab.schedule.jupyter_jobs import ReportExecutionManager

    monkeypatch.chdir(workbench)
    (workbench / "orders.csv").write_text("id,customer,day,total\n1,c1,2026-01-05,10\n", "utf-8")
    (workbench / "map.yml").write_text(MAP, "utf-8")
    open_workbench().import_file("map.yml", "orders.csv")
    cells = [
        nbformat.v4.new_markdown_cell("# Shops"),
        nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("if is_wrong:\n    raise ValueError(shop)\nprint(shop)"),
    ]
    staged = workbench / "staging"
    staged.mkdir()
    path = staged / "01_shops.ipynb"
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)), "utf-8")
    paths = {"input": str(path)} | {kind: str(staged / f"out.{kind}") for kind in ("html", "ipynb")}

    def make(**parameters: str) -> Any:
        made = ReportExecutionManager("id", str(workbench), "sqlite://", paths)
        made._model = SimpleNamespace(parameters=parameters, output_formats=["html", "ipynb"])
        return made

    return make


def test_a_job_is_published_as_a_report_and_its_files_are_the_page(job, workbench):
    job(shop="Riga'); import os").execute()
    [run] = listed_runs(workbench / "reports")
    assert (run.status, run.kind, run.title) == ("ok", "shops", "Shops")
    page = (workbench / "reports" / run.page).read_bytes()
    assert (workbench / "staging" / "out.html").read_bytes() == page
    assert "Riga'); import os" in (workbench / "staging" / "out.ipynb").read_text("utf-8")


def test_a_job_with_wrong_parameters_is_refused_before_it_runs(job, workbench):
    with pytest.raises(ReportError, match="unknown parameter 'shopp'") as problem:
        job(shopp="x", is_wrong="__import__('os')").execute()
    assert "parameter is_wrong cannot be" in str(problem.value)
    assert listed_runs(workbench / "reports") == ()


def test_a_job_that_fails_is_published_and_failed(job, workbench):
    with pytest.raises(ReportError, match="ValueError"):
        job(is_wrong="true").execute()
    [run] = listed_runs(workbench / "reports")
    assert run.status == "failed"
    assert (workbench / "staging" / "out.html").exists()
