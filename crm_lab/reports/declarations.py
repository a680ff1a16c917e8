"""Reading the declarations of a report notebook as a syntax tree, without executing anything.

A report notebook declares its parameters in one code cell tagged ``parameters`` that holds only
annotated literals, each with a comment behind it or on the line above::

    from datetime import date

    experiment: str  # name of the experiment; no value: it must be given
    alpha: float = 0.05  # error rate that the plan allows
    as_of: date = "2017-10-01"  # last day of the data that the report may read
    days: int = 28  # length of the window [days, 1..366]
    share: float = 0.05  # part of the base that is held out [share, 0<..<1]

A comment may end with a unit, a range, or both in brackets; an end with ``<`` is left out, and
``0..`` has no upper end. Other square brackets do not stand at the end of a comment.

Types are ``bool``, ``int``, ``float``, ``str``, ``date`` (kept as ISO text), ``list`` of one of
them, ``Literal`` of texts, and each of them ``| None``. A name without a value must be given.
"""

from __future__ import annotations

import ast
import io
import tokenize
from dataclasses import dataclass, replace
from pathlib import Path

from crm_lab.errors import Fault, ReportError
from crm_lab.language import message, say
from crm_lab.reports.bounds import parse_note
from crm_lab.reports.notebooks import PARAMETERS_TAG, read_notebook, tags
from crm_lab.reports.parameters import Parameter, ScalarType, accepted, short

_SCALARS: tuple[ScalarType, ...] = ("bool", "int", "float", "str", "date")
_ALLOWED_IMPORTS = {"__future__", "datetime", "typing"}
_NO_NOTE = message(
    "the brackets at the end of `{note}` ({name}) hold no unit and range, such as [days, 1..366]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    scalar: ScalarType
    is_list: bool = False
    is_optional: bool = False
    choices: tuple[str, ...] = ()


def declared_parameters(notebook_path: Path) -> tuple[Parameter, ...]:
    """Read the parameters that a notebook declares, without executing anything.

    Parameters
    ----------
    notebook_path : Path
        The report notebook.

    Returns
    -------
    tuple of Parameter
        In the order of the cell; empty when no cell carries the tag ``parameters``.

    Raises
    ------
    ReportError
        When the file is no notebook, or the cell holds anything else than annotated literals;
        every fault of the cell at once.
    """
    notebook = read_notebook(notebook_path)
    cells = [
        cell for cell in notebook.cells if cell.cell_type == "code" and PARAMETERS_TAG in tags(cell)
    ]
    if len(cells) > 1:
        raise ReportError(
            say("{count} cells are tagged '{tag}'", count=len(cells), tag=PARAMETERS_TAG),
            expected=say("one"),
            where=notebook_path.name,
        )
    return parse_declarations(cells[0].source, where=notebook_path.name) if cells else ()


def parse_declarations(source: str, *, where: str) -> tuple[Parameter, ...]:
    """Read declarations from the source of a parameters cell.

    Parameters
    ----------
    source : str
        Python source of annotated literals.
    where : str
        Name of the notebook, for messages.

    Raises
    ------
    ReportError
        With every fault of the cell.

    Examples
    --------
    >>> [alpha] = parse_declarations("alpha: float = 0.05  # error rate", where="demo")
    >>> alpha.default, alpha.help
    (0.05, 'error rate')
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise ReportError(
            say("the parameters cell is not plain Python"),
            expected=say("annotated literals such as `alpha: float = 0.05  # error rate`"),
            where=where,
        ) from error
    comments = _comments(source)
    faults: list[Fault] = []
    found: dict[str, Parameter] = {}
    for statement in tree.body:
        place = say("{where}, parameters cell, line {line}", where=where, line=statement.lineno)
        if isinstance(statement, ast.ImportFrom) and statement.module in _ALLOWED_IMPORTS:
            continue
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            faults.append(
                Fault(
                    found=say("`{code}` declares no parameter", code=short(ast.unparse(statement))),
                    expected=say(
                        "an annotated literal such as `alpha: float = 0.05  # error rate`"
                    ),
                    where=place,
                )
            )
            continue
        note = _note(statement, source, comments)
        try:
            parameter = _declaration(statement, statement.target.id, note)
        except ValueError as error:
            faults.append(Fault(found=str(error), where=place))
            continue
        if parameter.name in found:
            twice = say("parameter {name} is declared twice", name=parameter.name)
            faults.append(Fault(found=twice, where=place))
        found[parameter.name] = parameter
    if faults:
        raise ReportError(faults)
    return tuple(found.values())


def _note(statement: ast.AnnAssign, source: str, comments: dict[int, str]) -> str:
    """Give the comment of a declaration: behind it, else alone on the line above it."""
    behind = comments.get(statement.end_lineno or statement.lineno)
    above = statement.lineno - 1
    if behind is None and above in comments:
        line = source.splitlines()[above - 1]
        return comments[above] if line.lstrip().startswith("#") else ""
    return behind or ""


def _comments(source: str) -> dict[int, str]:
    readline = io.StringIO(source).readline
    return {
        token.start[0]: token.string.lstrip("#").strip()
        for token in tokenize.generate_tokens(readline)
        if token.type == tokenize.COMMENT
    }


def _declaration(statement: ast.AnnAssign, name: str, note: str) -> Parameter:
    shape = _shape(statement.annotation)
    annotation = ast.unparse(statement.annotation).strip("'\"")
    if shape is None:
        raise ValueError(
            say(
                "type `{type}` of {name} is not supported; use bool, int, float, str, date,"
                " list[...], Literal[...], each also | None",
                type=short(annotation),
                name=name,
            )
        )
    try:
        text, unit, bounds = parse_note(note, is_date=shape.scalar == "date")
    except ValueError as error:
        raise ValueError(say(_NO_NOTE, name=name, note=short(note))) from error
    if bounds is not None and shape.scalar not in ("int", "float", "date"):
        raise ValueError(say("{name} is no number and no date and has no range", name=name))
    parameter = Parameter(
        name=name,
        type=annotation,
        scalar=shape.scalar,
        is_list=shape.is_list,
        is_optional=shape.is_optional,
        choices=shape.choices,
        is_required=statement.value is None,
        help=text,
        unit=unit,
        bounds=bounds,
    )
    if statement.value is None:
        return parameter
    try:
        literal = ast.literal_eval(statement.value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(
            say(
                "{name} is set to `{value}`, which is no literal",
                name=name,
                value=short(ast.unparse(statement.value)),
            )
        ) from error
    try:
        default = accepted(parameter, literal)
    except ValueError as error:
        raise ValueError(
            say(
                "the default {value} of {name} is not {expected}",
                value=short(repr(literal)),
                name=name,
                expected=parameter.expectation,
            )
        ) from error
    return replace(parameter, default=default)


def _shape(node: ast.expr) -> _Shape | None:
    match node:
        case ast.Constant(value=str(text)):
            try:
                return _shape(ast.parse(text, mode="eval").body)
            except SyntaxError:
                return None
        case ast.Name(id=name) if name in _SCALARS:
            return _Shape(scalar=name)
        case ast.BinOp(op=ast.BitOr(), left=inner, right=ast.Constant(value=None)):
            one = _shape(inner)
            if one is None:
                return None
            return _Shape(
                scalar=one.scalar, is_list=one.is_list, is_optional=True, choices=one.choices
            )
        case ast.Subscript(value=ast.Name(id="list"), slice=inner):
            one = _shape(inner)
            if one is None or one.is_list or one.is_optional:
                return None
            return _Shape(scalar=one.scalar, is_list=True, choices=one.choices)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            items = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            words = [item.value for item in items if isinstance(item, ast.Constant)]
            texts = tuple(word for word in words if isinstance(word, str))
            return _Shape(scalar="str", choices=texts) if len(texts) == len(items) else None
        case _:
            return None
