"""Commands about the plan of a month: pacing, revise, revisions."""

from __future__ import annotations

from datetime import datetime

import click

from crm_lab.cli.options import as_of_option, gateway_option, moment, opened
from crm_lab.cli.spoken import Group
from crm_lab.errors import ReportError
from crm_lab.language import message, say
from crm_lab.terminal import show, show_frame
from crm_lab.workbench import Workbench

PACING_REPORT = "month_pacing"


@click.group(cls=Group)
def plan() -> None:
    """Compare the month with its plan, and revise the plan."""


@plan.command()
@click.option("--no-levers", is_flag=True, help=message("Do not read out past experiments."))
@as_of_option
@gateway_option
def pacing(no_levers: bool, as_of: datetime | None, gateway: str | None) -> None:
    """Show plan, fact, the forecast of the month's end and what the rest must bring."""
    workbench = opened(gateway)
    found = workbench.pacing(as_of=moment(workbench, as_of)).pace(
        levers=not no_levers, progress=True
    )
    show(found)
    for title, frame in (
        (say("Activities"), found.activities_frame()),
        (say("Levers"), found.levers_frame()),
        (say("Other tools"), found.split_frame()),
        (say("The same forecast in past months"), found.backtest_frame()),
    ):
        if not frame.empty:
            show_frame(frame, title=title)
    for line in (found.backtest_sentence(), *found.assumptions()):
        click.echo(f"- {line}")


@plan.command()
@click.option(
    "--item", required=True, help=message("target, an activity, or one of its keys: wave-2.day")
)
@click.option("--to", required=True, help=message("The new value; none takes an activity out."))
@click.option("--reason", required=True, help=message("Why."))
@click.option("--by", required=True, help=message("Who revises the plan."))
@click.option(
    "--report", help=message("Run id of the report it came from; by default the last pacing.")
)
@as_of_option
@gateway_option
def revise(
    item: str,
    to: str,
    reason: str,
    by: str,
    report: str | None,
    as_of: datetime | None,
    gateway: str | None,
) -> None:
    """Write a revision of the month's plan into the ledger; the file stays as it is."""
    workbench = opened(gateway)
    month = workbench.pacing(as_of=moment(workbench, as_of))
    month.revise(item=item, to=to, reason=reason, by=by, report=_report(workbench, report))
    show(month.plan())


@plan.command()
@gateway_option
def revisions(gateway: str | None) -> None:
    """List the revisions of the month's plan: old, new, reason, by whom, from which report."""
    show(opened(gateway).pacing().plan())


def _report(workbench: Workbench, given: str | None) -> str:
    """Give the run that a revision rests on: the one named, else the last pacing report.

    Raises
    ------
    ReportError
        The run that is named does not exist.
    """
    # imported here: notebooks take seconds to import, and no other command about plans needs them
    from crm_lab.reports.catalogue import listed_runs

    runs = listed_runs(workbench.settings.reports_folder)
    if given:
        if given not in {run.run_id for run in runs}:
            raise ReportError(
                say("there is no report '{name}'", name=given),
                expected=say("the run id of a published report"),
                where=str(workbench.settings.reports_folder),
            )
        return given
    own = [run for run in runs if run.kind == PACING_REPORT and run.status == "ok"]
    return max(own, key=lambda run: run.started_at).run_id if own else ""
