"""Publishing reports: a month's campaigns at once, and what a run costs beside its notebook."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
import time
from datetime import date, datetime
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import papermill
from nbconvert import HTMLExporter

from benchmarks.harness import Sides, benchmark
from crm_lab.experiments.assignment import arm_of, bucket_of
from crm_lab.publishing import RunOptions, fan_out, run_batch
from crm_lab.reports import run_report
from crm_lab.simulation.shops import make_shop, till_file, write_shop
from crm_lab.workbench import Workbench, open_workbench

REPORTS = 20
PEER_REPORTS = 5
CUSTOMERS, DAYS, SEED = 5_000, 170, 20240501
NAME = "spring-mailing"
SHARES = {"strong": 0.5, "weak": 0.5}
LIFTS = {"strong": 0.6, "weak": 0.0}
CONTROL_SHARE, SALT = 0.2, "2024"
DRAWN_AT, ASSIGNED_AT, STARTS_AT = (
    datetime(2024, 4, 15),
    datetime(2024, 4, 30),
    datetime(2024, 5, 1),
)
ENDS_ON = date(2024, 5, 28)
FILES = {
    "crm-lab.yml": "company: A shop\ncurrency: EUR\n",
    "experiments/control_group.yml": (
        f'name: global\nshare: {CONTROL_SHARE}\nsalt: "{SALT}"\nchannel: email\n'
    ),
    f"experiments/{NAME}.yml": f"""\
name: {NAME}
title: "Two mailings in spring"
hypothesis: "A personal reminder brings buyers back sooner."
owner: CRM team
starts_on: {STARTS_AT:%Y-%m-%d}
ends_on: {ENDS_ON}
arms:
  strong: {{share: 0.5, message: strong-1}}
  weak: {{share: 0.5, message: weak-1}}
metrics: {{primary: revenue_per_customer, secondary: [conversion, orders_per_customer]}}
costs: {{per_message: 0.5, fixed: 100, margin_share: 0.3}}
""",
}
EMPTY_RUNS = 3


def scratch_folder() -> Path:
    """Give a folder that is removed when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="crm-lab-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def workbench(folder: Path) -> Workbench:
    """Make a shop whose campaign is over, through the real import."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")

    def lift(customer_id: str) -> float:
        if bucket_of(SALT, customer_id) < CONTROL_SHARE * 10_000:
            return 0.0
        return LIFTS[arm_of(bucket_of(f"experiment:{NAME}", customer_id), SHARES)]

    shop = make_shop(
        CUSTOMERS,
        rng=np.random.default_rng(SEED),
        days=DAYS,
        orders_per_customer_day=1 / 25,
        lift=lift,
        lift_from=STARTS_AT,
    )
    for map_path, file in write_shop(shop.until(STARTS_AT), folder):
        open_workbench(folder).import_file(map_path, file)
    open_workbench(folder).control_group().draw(as_of=DRAWN_AT)
    open_workbench(folder).experiment(NAME).assign(as_of=ASSIGNED_AT)
    later = folder / "incoming" / "orders_later.csv"
    till_file(shop.orders[shop.orders["ordered_at"] >= STARTS_AT]).to_csv(later, index=False)
    open_workbench(folder).import_file(folder / "maps" / "orders.yml", later)
    return open_workbench(folder)


@benchmark(
    "reports_20",
    peer="papermill.execute_notebook and nbconvert's HTMLExporter, one after another",
    note=f"wall-clock seconds on {os.cpu_count()} cores; 20 reports of a campaign with 5,000"
    f" customers; the peer runs {PEER_REPORTS} of them; ours also writes manifests and an index",
)
def reports_20() -> Sides:
    folder = scratch_folder()
    bench = workbench(folder)
    requests = fan_out(
        bench,
        "campaign_experiment",
        {"experiment": NAME},
        each={"seed": [str(seed) for seed in range(1, REPORTS + 1)]},
    )
    rounds = itertools.count()

    def ours() -> list[str]:
        batch = run_batch(requests, options=RunOptions(is_forced=True))
        assert batch.is_good, batch.sentence()
        return [(run.folder / "report.html").read_text("utf-8") for run in batch.runs]

    def peer() -> list[str]:
        out = folder / f"peer-{next(rounds)}"
        out.mkdir()
        return [
            by_hand(request.notebook, dict(request.parameters), out, folder)
            for request in requests[:PEER_REPORTS]
        ]

    return Sides(
        ours=ours,
        peer=peer,
        check=check_pages,
        peer_part=PEER_REPORTS / REPORTS,
        clock=time.perf_counter,
    )


@benchmark(
    "runner_overhead",
    peer="papermill.execute_notebook alone, no page",
    note=f"{EMPTY_RUNS} runs of a notebook with one cell that does nothing; ours also writes page,"
    " manifest and index, and judges the run",
)
def runner_overhead() -> Sides:
    folder = scratch_folder()
    notebook = folder / "empty.ipynb"
    cells = [nbformat.v4.new_markdown_cell("# Empty"), nbformat.v4.new_code_cell("pass")]
    made = nbformat.v4.new_notebook(cells=cells)
    made.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "P"}
    notebook.write_text(nbformat.writes(made), "utf-8")

    def ours() -> list[str]:
        return [
            run_report(
                notebook,
                parameters={},
                reports_folder=folder / "reports",
                kind="empty",
                working_folder=folder,
            ).status
            for _ in range(EMPTY_RUNS)
        ]

    def peer() -> list[str]:
        for number in range(EMPTY_RUNS):
            papermill.execute_notebook(
                notebook, folder / f"out-{number}.ipynb", progress_bar=False, cwd=folder
            )
        return ["ok"] * EMPTY_RUNS

    def check(ours: list[str], peer: list[str]) -> None:
        assert ours == peer

    return Sides(ours=ours, peer=peer, check=check)


def by_hand(notebook: Path, parameters: dict[str, Any], out: Path, folder: Path) -> str:
    """Publish one report as people do without crm-lab; give the page."""
    executed = out / f"{parameters['seed']}.ipynb"
    papermill.execute_notebook(
        notebook,
        executed,
        parameters=parameters,
        kernel_name="python3",
        cwd=folder,
        progress_bar=False,
    )
    page, _ = HTMLExporter().from_filename(str(executed))
    executed.with_suffix(".html").write_text(page, "utf-8")
    return str(page)


def check_pages(ours: list[str], peer: list[str]) -> None:
    """Both say the same verdict on every page that both made."""
    assert len(ours) == REPORTS
    for mine, theirs in zip(ours, peer, strict=False):
        assert "per customer" in mine
        assert "per customer" in theirs
