"""How a result shows itself in a terminal: title, sentence, table."""

from __future__ import annotations

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from crm_lab.cards import Result, cell, heading
from crm_lab.language import say, say_many

MAX_ROWS = 40


def show(result: Result, *, console: Console | None = None) -> None:
    """Print a result for people: its title, its sentence and its short table."""
    out = console or Console()
    out.print(f"[bold]{escape(say(result.title))}[/bold]")
    if result.number():
        label = f"{escape(result.number_label())}: " if result.number_label() else ""
        out.print(f"{label}[bold green]{escape(result.number())}[/bold green]")
    out.print(escape(result.sentence()), soft_wrap=False)
    frame = result.card_frame()
    if not frame.empty:
        show_frame(frame, console=out)


def show_frame(frame: pd.DataFrame, *, title: str = "", console: Console | None = None) -> None:
    """Print a frame as a table; numbers to the right, the first column to the left."""
    out = console or Console()
    table = Table(title=escape(title) or None, title_justify="left", header_style="bold")
    for index, name in enumerate(frame.columns):
        is_number = pd.api.types.is_numeric_dtype(frame[name].dtype)
        table.add_column(
            escape(heading(name)),
            justify="right" if index and is_number else "left",
            overflow="fold",
        )
    for row in frame.head(MAX_ROWS).itertuples(index=False):
        table.add_row(*(escape(cell(value)) for value in row))
    out.print(table)
    if len(frame) > MAX_ROWS:
        more = len(frame) - MAX_ROWS
        out.print(say_many("{count} more row", "{count} more rows", more))
