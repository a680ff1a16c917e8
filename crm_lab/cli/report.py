"""Commands about reports: list, params, run, index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click
import pandas as pd

from crm_lab import formats
from crm_lab.cards import GivenName
from crm_lab.cli import report_checks
from crm_lab.cli.options import gateway_option, opened
from crm_lab.cli.spoken import Group
from crm_lab.errors import Fault, ReportError
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
from crm_lab.publishing.fan_out import ALL, STEPS, Step
from crm_lab.publishing.requests import TIMEOUT_SECONDS
from crm_lab.terminal import show, show_frame
from crm_lab.workbench import Workbench

if TYPE_CHECKING:
    from crm_lab.reports import RunBatch, RunRecord

EXPERIMENT = "experiment"
"""The parameter that names the experiment a report is about."""


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
    workbench, each = opened(gateway), _turns(turns)
    requests = fan_out(
        workbench,
        name,
        with_experiment(workbench, name, dict(pairs), each=each),
        each=each,
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


def with_experiment(
    workbench: Workbench,
    name: str,
    given: Mapping[str, str],
    *,
    each: Mapping[str, Sequence[str]],
) -> dict[str, str]:
    """Check the experiment that a report is about; where none is named, take the only one.

    Parameters
    ----------
    workbench : Workbench
        Its experiments have a file, or stand in the ledger.
    name : str
        Name of the report. One without a parameter ``experiment`` is left as it is, and so is the
        default of the notebook where there is an experiment of that name.
    given : mapping
        Texts by parameter.
    each : mapping
        Texts by parameter, one run for each.

    Raises
    ------
    ReportError
        There is no experiment of that name, or none is named and there are several, or none.
    """
    from crm_lab.reports import declared_parameters

    declared = {
        parameter.name: parameter
        for parameter in declared_parameters(find_notebook(workbench, name))
    }
    values = dict(given)
    if EXPERIMENT not in declared:
        return values
    assigned = {entry.subject for entry in workbench.gateway.entries(kind="arms_assigned")}
    registered = {entry.subject for entry in workbench.gateway.entries(kind="plan_registered")}
    known = sorted({*workbench.experiments(), *registered, *assigned})
    asked = [values[EXPERIMENT]] if EXPERIMENT in values else list(each.get(EXPERIMENT, ()))
    faults = [_no_experiment(text, known) for text in asked if text and text not in known]
    if faults and asked != [ALL]:
        raise ReportError(faults)
    default = declared[EXPERIMENT].default
    if asked or default in ("", None, *known):
        return values
    if len(assigned) != 1:
        raise ReportError(
            say("the report is about one experiment, and none is named"),
            expected=formats.listing(sorted(assigned) or known)
            or say("an experiment with a file in experiments/"),
            remedy=say("name it: {command}", command=f"-p {EXPERIMENT} NAME"),
        )
    return values | {EXPERIMENT: assigned.pop()}


def _no_experiment(text: str, known: Sequence[str]) -> Fault:
    close = get_close_matches(text, known, n=1)
    return Fault(
        found=say(
            "there is no experiment '{name}' (did you mean '{other}'?)", name=text, other=close[0]
        )
        if close
        else say("there is no experiment '{name}'", name=text),
        expected=formats.listing(known) or say("an experiment with a file in experiments/"),
    )


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
