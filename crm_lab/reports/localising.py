"""The text of a notebook in the language of its report: Markdown, block by block."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

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
                cell.source = "".join(_said(piece) for piece in _pieces(cell.source))
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
    for piece in _pieces(source):
        if any(letter.isalpha() for letter in piece.text):
            yield piece.text


class _Piece(NamedTuple):
    """A paragraph or a list item: as it is written, and its mark, text in one line, and end."""

    written: str
    mark: str = ""
    text: str = ""
    end: str = ""


def _said(piece: _Piece) -> str:
    """Give a piece in the current language; without a translation as it is written."""
    said = say(piece.text)
    return piece.written if said == piece.text else piece.mark + said + piece.end


def _pieces(source: str) -> Iterator[_Piece]:
    """Split Markdown into its pieces; what is no text, such as code and tables, has none."""
    paragraph: list[str] = []
    fenced = False
    for line in source.splitlines(keepends=True):
        fence = bool(_FENCE.match(line))
        mark = "" if fenced or fence else (m[0] if (m := _MARK.match(line)) else "")
        is_text = not (fenced or fence or line.startswith("|")) and bool(line.strip())
        if mark or not is_text:
            yield from _joined(paragraph)
            paragraph = []
        if fence:
            fenced = not fenced
        if not is_text:
            yield _Piece(line)
        else:
            paragraph.append(line)
            if mark.lstrip().startswith("#"):
                yield from _joined(paragraph)
                paragraph = []
    yield from _joined(paragraph)


def _joined(lines: list[str]) -> Iterator[_Piece]:
    if not lines:
        return
    whole = "".join(lines)
    text = whole.rstrip("\n")
    mark = m[0] if (m := _MARK.match(text)) else ""
    yield _Piece(whole, mark, " ".join(text[len(mark) :].split("\n")), whole[len(text) :])
