"""Commands about reports: list, params, run, index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pandas as pd

from crm_lab.cli.options import gateway_option, opened
from crm_lab.cli.workbench import shipped_notebooks
from crm_lab.errors import ReportError
from crm_lab.formats import listing
from crm_lab.terminal import show, show_frame
from crm_lab.workbench import Workbench

TIMEOUT_SECONDS = 900


@click.group()
def report() -> None:
    """Run notebooks with parameters into pages with manifests."""


@report.command("list")
def list_command() -> None:
    """List the report notebooks."""
    for path in notebooks(opened()).values():
        click.echo(f"{kind_of(path):24} {path}")


@report.command()
@click.argument("name")
def params(name: str) -> None:
    """Print the parameters of a report: type, default, what it is."""
    from crm_lab.reports import declared_parameters

    declared = declared_parameters(find_notebook(opened(), name))
    frame = pd.DataFrame(
        [
            {
                "name": p.name,
                "type": p.type,
                "default": "must be given" if p.is_required else repr(p.default),
                "what": p.help,
            }
            for p in declared
        ]
    )
    show_frame(frame, title=name)


@report.command()
@click.argument("name")
@click.option("-p", "pairs", nargs=2, multiple=True, metavar="NAME VALUE", help="A parameter.")
@click.option("--title", help="Title of the page; by default the notebook's heading.")
@click.option("--timeout", type=click.FloatRange(1), default=TIMEOUT_SECONDS, show_default=True)
@gateway_option
def run(
    name: str,
    pairs: tuple[tuple[str, str], ...],
    title: str | None,
    timeout: float,
    gateway: str | None,
) -> int:
    """Run the report NAME and publish its page; exit code 1 when the run failed."""
    # imported here: papermill takes seconds, and no other command needs it
    from crm_lab.reports import declared_parameters, parse_text_parameters, run_report

    workbench = opened(gateway)
    notebook = find_notebook(workbench, name)
    parameters = declared_parameters(notebook)
    declared = {parameter.name for parameter in parameters}
    given: dict[str, Any] = parse_text_parameters(parameters, dict(pairs))
    snapshot = workbench.snapshot()
    if "snapshot" in declared:
        given.setdefault("snapshot", snapshot.snapshot_id)
    if gateway and "gateway" in declared:
        given.setdefault("gateway", gateway)
    base = workbench.base()
    record = run_report(
        notebook,
        parameters=given,
        reports_folder=workbench.settings.reports_folder,
        kind=kind_of(notebook),
        title=title,
        context={
            "company": workbench.settings.company,
            "snapshot": snapshot.label,
            "snapshot_sha256": snapshot.digest,
            "ledger_sha256": workbench.gateway.ledger_head(),
            "data_from": base.first_order_at.date() if base.first_order_at else None,
            "data_to": base.last_order_at.date() if base.last_order_at else None,
            "about_the_data": workbench.settings.declared.note or None,
        },
        working_folder=workbench.settings.folder,
        timeout_seconds=timeout,
        progress=True,
    )
    show(record)
    return 0 if record.is_good else 1


@report.command()
def index() -> None:
    """Make the index page anew from the runs in the reports folder."""
    from crm_lab.reports import rebuild_index

    click.echo(rebuild_index(opened().settings.reports_folder))


def notebooks(workbench: Workbench) -> dict[str, Path]:
    """Give the report notebooks by kind: the workbench's own, else those of the package."""
    folder = workbench.settings.notebooks_folder
    chosen = folder if any(folder.glob("*.ipynb")) else shipped_notebooks()
    return {kind_of(path): path for path in sorted(chosen.glob("*.ipynb"))} if chosen else {}


def find_notebook(workbench: Workbench, name: str) -> Path:
    """Find a report notebook by kind (``campaign_experiment``), part of it, or path.

    Raises
    ------
    ReportError
        None fits, or several.
    """
    path = Path(name)
    if path.suffix == ".ipynb":
        return path
    known = notebooks(workbench)
    wanted = name.replace("-", "_")
    fitting = [known[wanted]] if wanted in known else [p for k, p in known.items() if wanted in k]
    if len(fitting) != 1:
        raise ReportError(
            f"{len(fitting)} report notebooks fit '{name}'",
            expected=f"one of {listing(list(known), limit=20)}",
        )
    return fitting[0]


def kind_of(path: Path) -> str:
    """Give a notebook's kind: its file name without the number in front."""
    return path.stem.lstrip("0123456789_")
