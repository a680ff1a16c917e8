"""Keep the catalogue of sentences in step with the code.

``python tools/messages.py update [PART ...]`` writes ``crm_lab/locale/ru/PART.po``: what stands in
``say``, ``say_many`` and ``message`` of that part of the package, in its notebooks their Markdown
too, and the docstrings of commands, which are their help. Translations are kept; sentences that no
longer occur go. Entries with the context ``label`` (column names and code words) are written by
hand and kept.

``python tools/messages.py check`` says what is missing and ends with 1 where something is.
"""

from __future__ import annotations

import ast
import re
import string
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "crm_lab"
NOTEBOOKS = "notebooks"
TOP = "workbench"
"""Part that holds the single modules at the top of the package."""
LABEL = "label"
LANGUAGES = ("ru",)
_ONE, _MANY, _MARK = "say", "say_many", "message"


@dataclass(frozen=True, slots=True)
class Found:
    """One message of the code: its text, the text of many, and where it stands."""

    text: str
    many: str | None
    where: tuple[str, int]


class WrongCallError(Exception):
    """A sentence is not a literal, so that nobody can translate it."""


def parts() -> list[str]:
    """Give the parts of the catalogue: the sub-packages, the single modules, the notebooks."""
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    return sorted(packages | {TOP, NOTEBOOKS})


def messages_of(part: str) -> list[Found]:
    """Give every message of a part, in the order of files and lines."""
    if part == NOTEBOOKS:
        paths = sorted((ROOT / NOTEBOOKS).glob("*.ipynb"))
        return [found for path in paths for found in _of_notebook(path)]
    files = PACKAGE.glob("*.py") if part == TOP else (PACKAGE / part).rglob("*.py")
    found = []
    for path in sorted(files):
        where = path.relative_to(ROOT).as_posix()
        found += _of_source(path.read_text("utf-8"), where)
    return found


def _of_notebook(path: Path) -> Iterator[Found]:
    # what the runner translates, and what the command prints of parameters
    from crm_lab.reports.declarations import parse_declarations
    from crm_lab.reports.localising import blocks
    from crm_lab.reports.notebooks import PARAMETERS_TAG, tags

    where = path.relative_to(ROOT).as_posix()
    for number, cell in enumerate(nbformat.read(path, as_version=4).cells, start=1):
        if cell.cell_type == "markdown":
            for text in blocks(cell.source):
                yield Found(text, None, (where, number))
        elif cell.cell_type == "code":
            if PARAMETERS_TAG in tags(cell):
                for parameter in parse_declarations(cell.source, where=path.name):
                    if parameter.help:
                        yield Found(parameter.help, None, (where, number))
            for found in _of_source(cell.source, where):
                yield Found(found.text, found.many, (where, number))


def _of_source(source: str, where: str) -> Iterator[Found]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and _is_command(node):
            yield Found(ast.get_docstring(node) or "", None, (where, node.lineno))
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        name, place = node.func.id, (where, node.lineno)
        if name not in (_ONE, _MANY, _MARK) or not node.args:
            continue
        texts = [_literal(argument) for argument in node.args[: 2 if name == _MANY else 1]]
        if any(text is None for text in texts):
            if name == _MARK or isinstance(node.args[0], (ast.JoinedStr, ast.BinOp)):
                raise WrongCallError(f"{where}:{node.lineno}: {name}() needs a literal")
            continue  # a constant that was marked where it is defined
        yield Found(texts[0] or "", texts[1] if name == _MANY else None, place)


def _is_command(function: ast.FunctionDef) -> bool:
    """Whether a function is a command of click, whose docstring is shown as help."""
    return ast.get_docstring(function) is not None and any(
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr in ("command", "group")
        for decorator in function.decorator_list
    )


def _literal(node: ast.expr) -> str | None:
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return node.value if is_text else None


def catalogue_path(part: str, language: str) -> Path:
    """Give the file of a part in a language."""
    return PACKAGE / "locale" / language / f"{part}.po"


def read(part: str, language: str) -> Catalog:
    """Read the file of a part; an empty catalogue where there is none."""
    path = catalogue_path(part, language)
    if not path.is_file():
        return _empty(language)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def _empty(language: str) -> Catalog:
    comment = "# Sentences of crm-lab in another language than English."
    return Catalog(locale=language, project="crm-lab", header_comment=comment, fuzzy=False)


def update(part: str, language: str) -> tuple[int, int]:
    """Write the file of a part anew; give how many sentences it holds and how many lack."""
    old, new = read(part, language), _empty(language)
    for found in messages_of(part):
        key = (found.text, found.many) if found.many else found.text
        before = old.get(found.text)
        kept = before.string if before is not None and _same_kind(before, found) else ""
        new.add(key, kept or None, locations=[found.where])
    for entry in old:
        if entry.context == LABEL:
            new.add(entry.id, entry.string, context=LABEL)
    path = catalogue_path(part, language)
    if not len(new):
        return 0, 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write_po(file, new, width=100, include_lineno=False, omit_header=False, sort_by_file=False)
    _without_dates(path)
    return len(new), sum(not _is_translated(entry) for entry in new if entry.id)


def _same_kind(entry: Message, found: Found) -> bool:
    return isinstance(entry.id, (list, tuple)) == (found.many is not None)


def _without_dates(path: Path) -> None:
    """Take out what changes with every writing."""
    lines = path.read_text("utf-8").splitlines(keepends=True)
    moving = re.compile(
        r'"(POT-Creation|PO-Revision|Generated|Last-|Report-|Language-Team|Project-)'
    )
    path.write_text("".join(line for line in lines if not moving.match(line)), "utf-8")


def _is_translated(entry: Message) -> bool:
    forms = entry.string if isinstance(entry.string, (list, tuple)) else (entry.string,)
    return bool(forms) and all(forms) and not entry.fuzzy


def faults(language: str) -> list[str]:
    """Say everything that is missing or wrong in the catalogue of a language."""
    wrong = []
    translations: dict[tuple[str, str], tuple[str, object]] = {}
    for part in parts():
        catalogue = [entry for entry in read(part, language) if entry.id]
        for entry in catalogue:
            key = (entry.context or "", _english(entry))
            before = translations.setdefault(key, (part, entry.string))
            if before[1] != entry.string:
                wrong.append(f"{part}.po and {before[0]}.po differ on {key[1]!r}")
        entries = {_english(entry): entry for entry in catalogue if entry.context != LABEL}
        said = set()
        for found in messages_of(part):
            said.add(found.text)
            where = f"{found.where[0]}:{found.where[1]}"
            entry = entries.get(found.text)
            if entry is None or not _same_kind(entry, found) or not _is_translated(entry):
                wrong.append(f"{where}: no {language} for {found.text!r}")
                continue
            wrong += _wrong_placeholders(entry, where)
        wrong += [f"{part}.po: {text!r} is no longer said" for text in entries if text not in said]
    return wrong


def _english(entry: Message) -> str:
    return entry.id[0] if isinstance(entry.id, (list, tuple)) else entry.id


def _wrong_placeholders(entry: Message, where: str) -> list[str]:
    sources = entry.id if isinstance(entry.id, (list, tuple)) else (entry.id,)
    forms = entry.string if isinstance(entry.string, (list, tuple)) else (entry.string,)
    wanted = set().union(*(_placeholders(text) for text in sources))
    is_plain = len(sources) == 1
    return [
        f"{where}: placeholders of {form!r} are not those of {sources[0]!r}"
        for form in forms
        if (_placeholders(form) != wanted if is_plain else not _placeholders(form) <= wanted)
    ]


def _placeholders(text: str) -> set[str]:
    try:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
    except ValueError:
        return set()  # no template: a brace in plain text


def main(arguments: list[str]) -> int:
    """Run ``update`` or ``check``."""
    sys.path.insert(0, str(ROOT))
    if arguments[:1] == ["update"]:
        for part in arguments[1:] or parts():
            for language in LANGUAGES:
                total, missing = update(part, language)
                if total:
                    print(f"{language}/{part}.po: {total} sentences, {missing} not translated")
        return 0
    if arguments == ["check"]:
        wrong = [line for language in LANGUAGES for line in faults(language)]
        print("\n".join(wrong) or "the catalogue is complete")
        return int(bool(wrong))
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
