"""The text of a notebook in the language of its report: Markdown, block by block."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

from crm_lab.language import Language, say, using_language
from crm_lab.reports.declarations import parse_declarations
from crm_lab.reports.notebooks import PARAMETERS_TAG, tags

_DEFAULT = re.compile(r'^(language: .* = )"\w+"', re.MULTILINE)
_FENCE = re.compile(r"^ {0,3}(```|~~~)")
_MARK = re.compile(r"^( {0,3}#{1,6} +| *[-*] +| *\d+[.)] +|> ?)")


def localised(notebook: Any, language: Language) -> Any:
    """Give a notebook whose Markdown cells are in a language.

    Parameters
    ----------
    notebook : NotebookNode
        It is not changed.
    language : {"en", "ru"}
        What is not in the catalogue stays as it is: a person's own notebook.
    """
    if language == "en":
        return notebook
    written = copy.deepcopy(notebook)
    with using_language(language):
        for cell in written.cells:
            if cell.cell_type == "markdown":
                cell.source = "".join(
                    mark + say(text) + end for mark, text, end in _pieces(cell.source)
                )
    return written


def with_default_language(notebook: Any, language: Language) -> Any:
    """Give a notebook that speaks a language where no parameter says otherwise.

    The notes of its parameters are translated too; everything else of its code stays as it is.
    """
    written = copy.deepcopy(notebook)
    for cell in written.cells:
        if cell.cell_type != "code" or PARAMETERS_TAG not in tags(cell):
            continue
        cell.source = _DEFAULT.sub(rf'\1"{language}"', cell.source)
        with using_language(language):
            for parameter in parse_declarations(cell.source, where=""):
                if parameter.help:
                    cell.source = cell.source.replace(
                        f"# {parameter.help}", f"# {say(parameter.help)}", 1
                    )
    return written


def blocks(source: str) -> Iterator[str]:
    """Give the texts of a Markdown cell that can be translated, without their marks."""
    for _, text, _ in _pieces(source):
        if any(letter.isalpha() for letter in text):
            yield text


def _pieces(source: str) -> Iterator[tuple[str, str, str]]:
    """Split Markdown into (mark, text, line end): a paragraph or a list item is one text."""
    paragraph: list[str] = []
    fenced = False
    for line in source.splitlines(keepends=True):
        fence = bool(_FENCE.match(line))
        mark = "" if fenced or fence else (m[0] if (m := _MARK.match(line)) else "")
        if fenced or fence or mark or not line.strip():
            yield from _joined(paragraph)
            paragraph = []
        if fence:
            fenced = not fenced
        if fenced or fence or not line.strip() or line.startswith("|"):
            yield line, "", ""
        else:
            paragraph.append(line)
            if mark.lstrip().startswith("#"):
                yield from _joined(paragraph)
                paragraph = []
    yield from _joined(paragraph)


def _joined(lines: list[str]) -> Iterator[tuple[str, str, str]]:
    if not lines:
        return
    whole = "".join(lines)
    text = whole.rstrip("\n")
    mark = m[0] if (m := _MARK.match(text)) else ""
    yield mark, " ".join(text[len(mark) :].split("\n")), whole[len(text) :]
