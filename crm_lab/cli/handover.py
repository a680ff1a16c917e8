"""Commands that hand a report over: email, pdf, numbers, star."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from crm_lab.cli.options import gateway_option, opened
from crm_lab.cli.spoken import Group
from crm_lab.language import message
from crm_lab.terminal import show

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


def _run_argument(command: CommandT) -> CommandT:
    return click.argument("run")(command)


def _of_option(command: CommandT) -> CommandT:
    return click.option(
        "--of",
        metavar="REPORT",
        help=message("Title or kind of the report, where RUN is 'latest'."),
    )(command)


def _target_options(command: CommandT) -> CommandT:
    replace = click.option(
        "--replace", is_flag=True, help=message("Replace an earlier hand-over there.")
    )
    target = click.option(
        "--to",
        "target",
        required=True,
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help=message("The folder to make."),
    )
    return target(replace(command))


@click.group(cls=Group)
def handover() -> None:
    """Hand a published report over: as e-mail, PDF, numbers, or tables for BI tools."""


@handover.command()
@_run_argument
@_of_option
@_target_options
def email(run: str, of: str | None, target: Path, replace: bool) -> None:
    """Write RUN as an e-mail (.eml) and as the HTML of one."""
    from crm_lab.handover import write_email

    show(write_email(_run_folder(run, of), target, replace=replace))


@handover.command()
@_run_argument
@_of_option
@_target_options
def pdf(run: str, of: str | None, target: Path, replace: bool) -> None:
    """Print RUN as a PDF; needs Chromium on this machine."""
    from crm_lab.handover import write_pdf

    show(write_pdf(_run_folder(run, of), target, replace=replace))


@handover.command()
@_run_argument
@_of_option
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["csv", "parquet", "xlsx"]),
    default="csv",
    show_default=True,
)
@click.option(
    "--decimal-comma",
    is_flag=True,
    help=message("CSV with ';' between cells and decimal commas, as Excel expects in Russia."),
)
@_target_options
def numbers(
    run: str,
    of: str | None,
    file_format: Literal["csv", "parquet", "xlsx"],
    decimal_comma: bool,
    target: Path,
    replace: bool,
) -> None:
    """Write every number and table of RUN as CSV, Parquet or Excel."""
    from crm_lab.handover import write_numbers

    show(
        write_numbers(
            _run_folder(run, of),
            target,
            file_format=file_format,
            decimal_comma=decimal_comma,
            replace=replace,
        )
    )


@handover.command()
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["parquet", "csv", "both"]),
    default="both",
    show_default=True,
)
@_target_options
@gateway_option
def star(
    file_format: Literal["parquet", "csv", "both"],
    target: Path,
    replace: bool,
    gateway: str | None,
) -> None:
    """Write star-schema tables of the whole base, with a dictionary, for BI tools."""
    from crm_lab.handover import write_star

    show(write_star(opened(gateway), target, file_format=file_format, replace=replace))


def _run_folder(run: str, of: str | None) -> Path:
    from crm_lab.reports.differences import find_run

    return find_run(opened().settings.reports_folder, run, of=of)
