"""Commands that check published reports: verify, diff."""

from __future__ import annotations

import click

from crm_lab.cli.options import opened
from crm_lab.cli.spoken import Command
from crm_lab.errors import ReportError
from crm_lab.language import message, say
from crm_lab.terminal import show

TIMEOUT_SECONDS = 900


@click.command(cls=Command)
@click.argument("run")
@click.option(
    "--of", metavar="REPORT", help=message("Title or kind of the report, where RUN is 'latest'.")
)
@click.option("--timeout", type=click.FloatRange(1), default=TIMEOUT_SECONDS, show_default=True)
def verify(run: str, of: str | None, timeout: float) -> int:
    """Do RUN again on its snapshot and compare every number; exit code 1 when one differs."""
    # imported here: papermill takes seconds, and no other command needs it
    from crm_lab.publishing.notebooks import notebooks
    from crm_lab.reports.differences import find_run, manifest_of
    from crm_lab.reports.verification import record_verification, verify_run

    workbench = opened()
    reports_folder = workbench.settings.reports_folder
    run_folder = find_run(reports_folder, run, of=of)
    _check_snapshot(manifest_of(run_folder).parameters, manifest_of(run_folder).context)
    found = verify_run(
        run_folder,
        notebooks=list(notebooks(workbench).values()),
        working_folder=workbench.settings.folder,
        timeout_seconds=timeout,
    )
    path = record_verification(reports_folder, found)
    show(found)
    click.echo(say("Recorded in {path}.", path=path))
    return 0 if found.is_confirmed else 1


@click.command(cls=Command)
@click.argument("before", default="previous")
@click.argument("after", default="latest")
@click.option(
    "--of", metavar="REPORT", help=message("Title or kind that 'latest' and 'previous' are about.")
)
def diff(before: str, after: str, of: str | None) -> None:
    """Show what differs between the runs BEFORE and AFTER: inputs, code, headline numbers.

    A run is named by its id, a unique part of it, 'latest' or 'previous' (with --of).
    """
    from crm_lab.reports.differences import compare_runs, find_run, manifest_of

    folder = opened().settings.reports_folder
    runs = [manifest_of(find_run(folder, name, of=of)) for name in (before, after)]
    show(compare_runs(*runs))


def _check_snapshot(parameters: dict[str, object], context: dict[str, object]) -> None:
    """Refuse a run whose data are gone or are no longer what they were.

    Raises
    ------
    ReportError
        The snapshot is another one now.
    StoreError
        It, or a file of it, is gone.
    """
    number = parameters.get("snapshot")
    if not isinstance(number, int):
        raise ReportError(
            say("the run names no snapshot, so its data cannot be read again"),
            expected=say("a notebook that declares the parameter 'snapshot'"),
        )
    gateway = parameters.get("gateway")
    workbench = opened(str(gateway) if gateway else None)
    with workbench.gateway.reader(number) as reader:
        digest = reader.snapshot.digest
    if context.get("snapshot_sha256") not in (None, digest):
        raise ReportError(
            say("snapshot {number} is not the one that the run read", number=number),
            expected=str(context["snapshot_sha256"]),
            where=str(workbench.settings.gateway_folder),
        )
