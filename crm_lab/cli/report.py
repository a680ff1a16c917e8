"""Commands about reports: list, params, run, index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
import pandas as pd

from crm_lab.cards import GivenName
from crm_lab.cli import report_checks
from crm_lab.cli.options import gateway_option, opened
from crm_lab.cli.spoken import Group
from crm_lab.errors import ReportError
from crm_lab.language import message, say, word
from crm_lab.publishing import (
    RunOptions,
    fan_out,
    find_notebook,
    kind_of,
    notebooks,
    parse_span,
    run_batch,
    run_request,
)
from crm_lab.publishing.fan_out import STEPS, Step
from crm_lab.publishing.requests import TIMEOUT_SECONDS
from crm_lab.terminal import show, show_frame

if TYPE_CHECKING:
    from crm_lab.reports import RunBatch, RunRecord


@click.group(cls=Group)
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
    """Print the parameters of a report: type, unit and range, choices, default, what it is."""
    from crm_lab.reports import declared_parameters

    declared = declared_parameters(find_notebook(opened(), name))
    frame = pd.DataFrame(
        [
            {
                "name": GivenName(p.name),
                "type": word(p.plain_type),
                "accepts": ", ".join(
                    part for part in (word(p.unit), p.range_text, *p.choices) if part
                ),
                "default": say("must be given") if p.is_required else repr(p.default),
                "what": say(p.help) if p.help else "",
            }
            for p in declared
        ],
        dtype=object,
    )
    show_frame(frame, title=name)


@report.command()
@click.argument("name")
@click.option(
    "-p", "pairs", nargs=2, multiple=True, metavar="NAME VALUE", help=message("A parameter.")
)
@click.option(
    "--each",
    "turns",
    multiple=True,
    metavar="NAME=A,B,C",
    help=message("One run for each of these values; NAME=all for every choice or experiment."),
)
@click.option(
    "--dates",
    metavar="[NAME=]FROM..TO",
    help=message("One run for each day of a span, into as_of or the date parameter NAME."),
)
@click.option(
    "--every",
    type=click.Choice(STEPS),
    default="month",
    show_default=True,
    help=message("Distance of the days of --dates."),
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help=message("Runs at once; by default the number of cores and one."),
)
@click.option("--title", help=message("Title of the page; by default the notebook's heading."))
@click.option("--timeout", type=click.FloatRange(1), default=TIMEOUT_SECONDS, show_default=True)
@click.option(
    "--memory", type=click.FloatRange(0.1), metavar="GB", help=message("Memory limit of one run.")
)
@click.option(
    "--retries",
    type=click.IntRange(0, 10),
    default=RunOptions().retries,
    show_default=True,
    help=message("New attempts after a kernel died; never after an error."),
)
@click.option("--force", is_flag=True, help=message("Run also where nothing has changed."))
@click.option(
    "--wait", is_flag=True, help=message("Wait for a run of the same report, do not refuse.")
)
@gateway_option
def run(
    name: str,
    pairs: tuple[tuple[str, str], ...],
    turns: tuple[str, ...],
    dates: str | None,
    every: Step,
    jobs: int | None,
    title: str | None,
    timeout: float,
    memory: float | None,
    retries: int,
    force: bool,
    wait: bool,
    gateway: str | None,
) -> int:
    """Run the report NAME and publish its page, or several with --each and --dates.

    A run whose inputs have not changed is left out. Exit code 1 when a run failed.
    """
    options = RunOptions(
        is_forced=force,
        retries=retries,
        wait_seconds=-1 if wait else 0,
        memory_limit_bytes=None if memory is None else round(memory * 1e9),
    )
    requests = fan_out(
        opened(gateway),
        name,
        dict(pairs),
        each=_turns(turns),
        dates=parse_span(dates, every=every) if dates else None,
        title=title,
        gateway=gateway,
        as_text=True,
        timeout_seconds=timeout,
    )
    if turns or dates:
        batch = run_batch(requests, jobs=jobs, options=options, progress=True)
        return _shown(batch, batch.runs)
    record = run_request(requests[0], options=options, progress=True)
    return _shown(record, [record])


@report.command()
def index() -> None:
    """Make the index page anew from the runs in the reports folder."""
    from crm_lab.reports import rebuild_index

    click.echo(rebuild_index(opened().settings.reports_folder))


report.add_command(report_checks.verify)
report.add_command(report_checks.diff)


def _shown(done: RunRecord | RunBatch, records: Sequence[RunRecord]) -> int:
    """Show what became of runs, and give the exit code."""
    show(done)
    for record in records:  # whole lines, to be copied from a narrow window; the folder is the id
        click.echo(record.html)
    return 0 if done.is_good else 1


def _turns(texts: tuple[str, ...]) -> dict[str, list[str]]:
    """Read ``NAME=A,B,C`` of each ``--each``."""
    turns: dict[str, list[str]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        turns[name.strip()] = [value.strip() for value in values.split(",") if value.strip()]
        if not equals or not turns[name.strip()]:
            raise ReportError(
                say("'{text}' names no values", text=text), expected="--each NAME=A,B,C"
            )
    return turns
