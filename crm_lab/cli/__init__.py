"""The command ``crm-lab``: parse, call, print, exit code.

Exit code 0: done. 1: refused with one clear message, or crm-lab itself failed. 2: wrong usage of
the command.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import click
from rich.console import Console
from rich.markup import escape

from crm_lab.cli.spoken import Command, Group, show_error
from crm_lab.errors import CrmLabError, SettingsError
from crm_lab.language import (
    LANGUAGES,
    Language,
    current_language,
    language_of_environment,
    message,
    say,
    set_language,
    using_language,
)
from crm_lab.settings import load_settings

__all__ = ["main"]

SUBCOMMANDS = {
    "demo": "crm_lab.cli:demo",
    "init": "crm_lab.cli.workbench:init",
    "import": "crm_lab.cli.workbench:import_command",
    "status": "crm_lab.cli.workbench:status",
    "calibrate": "crm_lab.cli.workbench:calibrate",
    "control-group": "crm_lab.cli.control_group:control_group",
    "experiment": "crm_lab.cli.experiment:experiment",
    "plan": "crm_lab.cli.plan:plan",
    "report": "crm_lab.cli.report:report",
    "handover": "crm_lab.cli.handover:handover",
    "schedule": "crm_lab.cli.schedule:schedule",
}
"""Module and name of each command; it is imported when it is asked for, since statistics and
notebooks take seconds to import and most commands need one of them only."""


TRACEBACK_VARIABLE = "CRM_LAB_TRACEBACK"
"""Environment variable; with any value, a fault of crm-lab itself is shown with its traceback."""


class Commands(Group):
    """The commands of ``crm-lab``, each found where it is written."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names in the order of the work."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command, or give None where there is none of that name."""
        if cmd_name not in SUBCOMMANDS:
            return None
        module, _, name = SUBCOMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


def _speak(context: click.Context, parameter: click.Parameter, language: Language | None) -> None:
    if language is not None:
        set_language(language)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--language",
    type=click.Choice(LANGUAGES),
    is_eager=True,
    expose_value=False,
    callback=_speak,
    help=message("Language of what is shown; by default that of CRM_LAB_LANGUAGE or crm-lab.yml."),
)
@click.version_option(package_name="crm-lab")
def commands() -> None:
    """Workbench for CRM campaign experiments: control group, campaigns, reports."""


@click.command(cls=Command)
def demo() -> None:
    """Run the main job from end to end on real data that packages carry."""
    from crm_lab.demo import run_demo

    run_demo(lambda arguments: run(["--language", current_language(), *arguments]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave the process with its exit code."""
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: Sequence[str]) -> int:
    """Run one command and give its exit code; errors are printed, not raised."""
    with using_language(_default_language()):
        return _run(arguments)


def _default_language() -> Language:
    """Give the language where no option names one: of the environment, else of the workbench."""
    try:
        return language_of_environment() or load_settings().declared.language
    except SettingsError:  # no workbench here, or a faulty one: the command itself will say so
        return "en"


def _run(arguments: Sequence[str]) -> int:
    try:
        code = commands.main(list(arguments), prog_name="crm-lab", standalone_mode=False)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.ClickException as wrong:
        show_error(wrong)
        return wrong.exit_code
    except click.Abort:
        click.echo(say("Stopped; nothing more was changed."), err=True)
        return 1
    except CrmLabError as problem:
        errors = Console(stderr=True)
        for fault in problem.faults:
            mark = say("Error:")
            errors.print(f"[bold red]{mark}[/bold red] {escape(str(fault))}", soft_wrap=True)
        return problem.exit_code
    except OSError as problem:
        place = f"{problem.filename}: " if problem.filename else ""
        click.echo(f"{say('Error:')} {place}{problem.strerror or problem}.", err=True)
        return 1
    except Exception as fault:  # noqa: BLE001  the end of the command, which is told and fails
        _show_own_fault(fault)
        return 1
    return code if isinstance(code, int) else 0


def _show_own_fault(fault: Exception) -> None:
    """Say in one line that crm-lab failed, or show all of it where the environment asks for it."""
    if os.environ.get(TRACEBACK_VARIABLE):
        click.echo("".join(traceback.format_exception(fault)), err=True, nl=False)
    said = " ".join(str(fault).split())
    click.echo(
        say(
            "Error: {error}. This is a fault of crm-lab, not of your files. To see where:"
            " {variable}=1 before the command.",
            error=(f"{type(fault).__name__}: {said}" if said else type(fault).__name__).rstrip("."),
            variable=TRACEBACK_VARIABLE,
        ),
        err=True,
    )
