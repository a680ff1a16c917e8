"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, TypeVar

import click

from crm_lab.language import current_language, message, say
from crm_lab.workbench import Workbench, open_workbench

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


class ShareType(click.ParamType[float]):
    """A share: ``0.05`` or ``5%``."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a share; refuse what is not between 0 and 1."""
        text = str(value).strip().replace(",", ".")
        try:
            share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
        except ValueError:
            self.fail(say("'{value}' is not a share; write 0.05 or 5%", value=value), param, ctx)
        if not 0 < share < 1:
            self.fail(say("{value} is not between 0 and 1 (100 %)", value=value), param, ctx)
        return share


def gateway_option(command: CommandT) -> CommandT:
    """Add ``--gateway``: another gateway folder than the declared one."""
    return click.option(
        "--gateway", metavar="FOLDER", help=message("Gateway folder, relative to the workbench.")
    )(command)


def as_of_option(command: CommandT) -> CommandT:
    """Add ``--as-of``: the business day that counts as today."""
    return click.option(
        "--as-of",
        type=click.DateTime(["%Y-%m-%d"]),
        help=message("Day that counts as today (from its first moment); by default now."),
    )(command)


def opened(gateway: str | None = None) -> Workbench:
    """Open the workbench around the current folder, in the language of the command."""
    return open_workbench(gateway=gateway, language=current_language())


def moment(workbench: Workbench, day: datetime | None) -> datetime | None:
    """Turn the day of ``--as-of`` into its first moment in the company's zone."""
    return None if day is None else workbench.day_start(as_date(day))


def as_date(day: datetime) -> date:
    """Take the day of a parsed date option."""
    return day.date()
