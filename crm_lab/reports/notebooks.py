"""Reading report notebooks: their title, headings and tags, without running anything."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat

from crm_lab.errors import ReportError
from crm_lab.language import say

PARAMETERS_TAG = "parameters"
HIDE_TAG = "hide"
SHOW_STDOUT_TAG = "show-stdout"

_HEADING = re.compile(r"^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_FENCE = re.compile(r"^ {0,3}(```|~~~)")


def read_notebook(path: Path) -> Any:
    """Read a notebook file; a missing or broken file is refused in one sentence.

    Parameters
    ----------
    path : Path
        The ``.ipynb`` file.

    Raises
    ------
    ReportError
        When the file is missing or is no notebook.
    """
    if not path.is_file():
        raise ReportError(
            say("notebook {path} does not exist", path=path),
            remedy=say("check the path, or list the notebooks of the workbench"),
        )
    try:
        return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    except (
        nbformat.reader.NotJSONError,
        nbformat.ValidationError,
        json.JSONDecodeError,
        UnicodeDecodeError,
        AttributeError,
        KeyError,
    ) as error:
        raise ReportError(
            say(
                "{path} cannot be read as a notebook ({error})",
                path=path,
                error=type(error).__name__,
            ),
            expected=say("a Jupyter notebook of format 4"),
        ) from error


def digest(path: Path) -> str:
    """Give the SHA-256 of a file as hexadecimal text."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tags(cell: Any) -> frozenset[str]:
    """Give the tags of a cell."""
    return frozenset(cell.get("metadata", {}).get("tags", []))


def headings(source: str) -> Iterator[tuple[int, str]]:
    """Give level and text of each heading of a Markdown text, code fences left out."""
    fenced = False
    for line in source.splitlines():
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced and (found := _HEADING.match(line)):
            yield len(found[1]), found[2]


def notebook_title(notebook: Any) -> str | None:
    """Give the text of the first H1, or None where there is none."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for level, text in headings(cell.source):
                if level == 1:
                    return text
    return None


def heading_before(notebook: Any, index: int) -> str:
    """Give the text of the nearest heading above a cell, for saying where something happened."""
    last = ""
    for cell in notebook.cells[: index + 1]:
        if cell.cell_type == "markdown":
            for _, text in headings(cell.source):
                last = text
    return last
