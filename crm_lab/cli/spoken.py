"""Commands whose help is in the language of the reader.

Texts of a command are written in English where it stands, its help as docstring; they are looked
up when help is shown, after ``--language`` was read.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Sequence
from difflib import get_close_matches

import click

from crm_lab.language import message, say, say_many

YES = ("y", "yes", "д", "да")
NO = ("", "n", "no", "н", "нет")
"""Answers that are taken in every language."""
HELP_OPTION = message("Show this message and exit.")
VERSION_OPTION = message("Show the version and exit.")


class Command(click.Command):
    """A command whose help is translated when it is shown."""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the line of usage."""
        pieces = " ".join(self.collect_usage_pieces(ctx))
        formatter.write_usage(ctx.command_path, pieces, prefix=f"{say('Usage:')} ")

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the command does."""
        click.Command.format_help_text(self._said(), ctx, formatter)

    def get_short_help_str(self, limit: int = 45) -> str:
        """Give what the command does in one line of the list of commands."""
        return click.Command.get_short_help_str(self._said(), limit)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each with its help."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        shown = [record for option in options if (record := _record(option, ctx))]
        if shown:
            with formatter.section(say("Options")):
                formatter.write_dl(shown)

    def _said(self) -> Command:
        """Give this command with its help in the language."""
        said = copy.copy(self)
        said.help = say(inspect.cleandoc(self.help)) if self.help else None
        return said


class Group(Command, click.Group):
    """A group of such commands."""

    command_class = Command
    group_class = type

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, then the commands."""
        super().format_options(ctx, formatter)
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        limit = formatter.width - 6 - max((len(name) for name, _ in commands), default=0)
        rows = [
            (name, command.get_short_help_str(limit))
            for name, command in commands
            if command is not None and not command.hidden
        ]
        if rows:
            with formatter.section(say("Commands")):
                formatter.write_dl(rows)


def confirm(question: str) -> None:
    """Ask a question of yes and no, in the language; anything but yes leaves the command.

    Raises
    ------
    click.Abort
        The answer is no, or there is nobody to ask.
    """
    while True:
        answer = click.prompt(
            f"{question} [{say('y/N')}]", default="", show_default=False, type=str
        )
        given = answer.strip().lower()
        if given in YES:
            return
        if given in NO:
            raise click.Abort
        click.echo(say("Answer yes or no: {letters}.", letters=say("y/N")))


def show_error(error: click.ClickException) -> None:
    """Print what is wrong with the use of a command, to standard error."""
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(error.ctx.get_usage(), err=True)
        names = error.ctx.help_option_names
        hint = f"{error.ctx.command_path} {max(names, key=len)}"
        click.echo(say("Try '{command}' for help.", command=hint) + "\n", err=True)
    click.echo(say("Error: {message}", message=_message(error)), err=True)


def _message(error: click.ClickException) -> str:
    """Write the usual mistakes in the language; what is rare stays as it was raised."""
    if isinstance(error, click.MissingParameter) and error.param is not None and not error.message:
        name = error.param.get_error_hint(error.ctx)
        if error.param.param_type_name == "argument":
            told = say("Missing argument {name}.", name=name)
        else:
            told = say("Missing option {name}.", name=name)
        if isinstance(error.param.type, click.Choice):
            return f"{told} {_one_of(error.param.type.choices)}"
        return told
    if isinstance(error, click.NoSuchOption):
        told = say("No such option {name}.", name=repr(error.option_name))
        return _meant(told, error.option_name, error.possibilities)
    if isinstance(error, click.NoSuchCommand):
        told = say("No such command {name}.", name=repr(error.command_name))
        return _meant(told, error.command_name, error.possibilities)
    if isinstance(error, click.BadOptionUsage) and " requires " in error.message:
        asked = re.search(r"(\d+) arguments", error.message)
        return say_many(
            "Option {name} requires an argument.",
            "Option {name} requires {count} arguments.",
            int(asked[1]) if asked else 1,
            name=repr(error.option_name),
        )
    if isinstance(error, click.BadParameter) and not isinstance(error, click.MissingParameter):
        hint = error.param.get_error_hint(error.ctx) if error.param is not None else ""
        if hint:
            problem = _wrong_value(error)
            return say("Invalid value for {name}: {problem}", name=hint, problem=problem)
    extra = re.fullmatch(r"Got unexpected extra arguments? \((.*)\)", error.message, re.DOTALL)
    if extra:
        return say("Too many arguments: {what}.", what=extra[1])
    return error.format_message()


def _wrong_value(error: click.BadParameter) -> str:
    """Write what click's own types say of a value; what is ours is in the language already."""
    expected = error.param.type if error.param is not None else None
    quoted = re.match(r"('.*'|\".*\") (?:is not|does not)", error.message, re.DOTALL)
    value = quoted[1] if quoted else ""
    if isinstance(expected, click.Choice) and "is not one of" in error.message:
        return say("{value} is unknown.", value=value) + " " + _one_of(expected.choices)
    if isinstance(expected, click.DateTime) and "does not match" in error.message:
        return say("{value} is not a day of the form 2026-10-02.", value=value)
    if " is not a valid " in error.message and quoted:
        if isinstance(expected, click.types.IntParamType):
            return say("{value} is not a whole number.", value=value)
        if isinstance(expected, click.types.FloatParamType):
            return say("{value} is not a number.", value=value)
    outside = re.fullmatch(r"(.*) is not in the range (.*)\.", error.message)
    if outside:
        return say("{value} is not in the range {range}.", value=outside[1], range=outside[2])
    return error.message


def _one_of(choices: Sequence[object]) -> str:
    return say("Possible: {choices}.", choices=", ".join(map(str, choices)))


def _meant(told: str, typed: str, possibilities: Sequence[str] | None) -> str:
    """Add what was probably meant."""
    close = get_close_matches(typed, possibilities or (), n=1)
    return f"{told} {say('Did you mean {name}?', name=close[0])}" if close else told


def _record(option: click.Option, ctx: click.Context) -> tuple[str, str] | None:
    """Give an option and its help with default, range and whether it must be given."""
    record = option.get_help_record(ctx)
    if record is None:
        return None
    extra = option.get_help_extra(ctx)
    notes = []
    if "default" in extra:
        notes.append(say("default: {value}", value=extra["default"]))
    if "range" in extra:
        notes.append(extra["range"])
    if "required" in extra:
        notes.append(say("required"))
    parts = [say(option.help)] if option.help else []
    if notes:
        parts.append(f"[{'; '.join(notes)}]")
    return record[0], "  ".join(parts)
