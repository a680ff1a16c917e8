"""Reading the declarations of a report notebook as a syntax tree, without executing anything.

A report notebook declares its parameters in one code cell tagged ``parameters`` that holds only
annotated literals, each with a comment::

    from datetime import date

    experiment: str  # name of the experiment; no value: it must be given
    alpha: float = 0.05  # error rate that the plan allows
    as_of: date = "2017-10-01"  # last day of the data that the report may read

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
from crm_lab.reports.notebooks import PARAMETERS_TAG, read_notebook, tags
from crm_lab.reports.parameters import Parameter, ScalarType, accepted, short

_SCALARS: tuple[ScalarType, ...] = ("bool", "int", "float", "str", "date")
_ALLOWED_IMPORTS = {"__future__", "datetime", "typing"}


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
            f"{len(cells)} cells are tagged '{PARAMETERS_TAG}'",
            expected="one",
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
            "the parameters cell is not plain Python",
            expected="annotated literals such as `alpha: float = 0.05  # error rate`",
            where=where,
        ) from error
    comments = _comments(source)
    faults: list[Fault] = []
    found: dict[str, Parameter] = {}
    for statement in tree.body:
        place = f"{where}, parameters cell, line {statement.lineno}"
        if isinstance(statement, ast.ImportFrom) and statement.module in _ALLOWED_IMPORTS:
            continue
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            faults.append(
                Fault(
                    found=f"`{short(ast.unparse(statement))}` declares no parameter",
                    expected="an annotated literal such as `alpha: float = 0.05  # error rate`",
                    where=place,
                )
            )
            continue
        note = comments.get(statement.end_lineno or statement.lineno, "")
        try:
            parameter = _declaration(statement, statement.target.id, note)
        except ValueError as error:
            faults.append(Fault(found=str(error), where=place))
            continue
        if parameter.name in found:
            faults.append(Fault(found=f"parameter {parameter.name} is declared twice", where=place))
        found[parameter.name] = parameter
    if faults:
        raise ReportError(faults)
    return tuple(found.values())


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
            f"type `{short(annotation)}` of {name} is not supported; "
            "use bool, int, float, str, date, list[...], Literal[...], each also | None"
        )
    parameter = Parameter(
        name=name,
        type=annotation,
        scalar=shape.scalar,
        is_list=shape.is_list,
        is_optional=shape.is_optional,
        choices=shape.choices,
        is_required=statement.value is None,
        help=note,
    )
    if statement.value is None:
        return parameter
    try:
        literal = ast.literal_eval(statement.value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(
            f"{name} is set to `{short(ast.unparse(statement.value))}`, which is no literal"
        ) from error
    try:
        default = accepted(parameter, literal)
    except ValueError as error:
        raise ValueError(
            f"the default {short(repr(literal))} of {name} is not {parameter.expectation}"
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
