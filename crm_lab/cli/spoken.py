"""Commands whose help is in the language of the reader.

Texts of a command are written in English where it stands, its help as docstring; they are looked
up when help is shown, after ``--language`` was read.
"""

from __future__ import annotations

import copy
import inspect
import re

import click

from crm_lab.language import message, say, say_many

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
            return say("Missing argument {name}.", name=name)
        return say("Missing option {name}.", name=name)
    if isinstance(error, click.NoSuchOption) and not error.possibilities:
        return say("No such option {name}.", name=repr(error.option_name))
    if isinstance(error, click.NoSuchCommand) and not error.possibilities:
        return say("No such command {name}.", name=repr(error.command_name))
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
            return say("Invalid value for {name}: {problem}", name=hint, problem=error.message)
    return error.format_message()


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
