"""The typed parameters of a report: what each accepts, and how values are checked before a run.

A value is checked by its type and must come back unchanged from the literal that is written into
the notebook, so a value can never become code.
"""

from __future__ import annotations

import ast
import difflib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, TypeAlias, cast

import numpy as np
from papermill.translators import PythonTranslator

from crm_lab.errors import Fault, ReportError
from crm_lab.language import message, say, word
from crm_lab.reports.bounds import Bounds
from crm_lab.reports.wording import TYPE_WORDS

Scalar: TypeAlias = bool | int | float | str
ParameterValue: TypeAlias = Scalar | list[Scalar] | None
ScalarType = Literal["bool", "int", "float", "str", "date"]

_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}
_INTEGER = re.compile(r"[+-]?\d+\Z", re.ASCII)
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)
_INTEGER_LIMIT = 2**63
_UNIT_AND_RANGE = message("{value}, in {unit}, in the range {range}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One declared parameter of a report notebook.

    Attributes
    ----------
    name : str
        Its name, an identifier.
    type : str
        Its annotation as written, such as ``float`` or ``str | None``.
    scalar : str
        The type of one value: bool, int, float, str or date.
    is_list, is_optional : bool
        Whether it takes several values, and whether it may be None.
    choices : tuple of str
        The texts it may take; empty when there is no such limit.
    is_required : bool
        Whether it has no default, so that a run must give it.
    default : bool, int, float, str, list or None
        The declared value; None for a required one.
    help : str
        Its comment.
    unit : str
        Unit of its number, such as ``days``; empty where there is none.
    bounds : Bounds or None
        The range it must lie in, each item of a list.
    """

    name: str
    type: str
    scalar: ScalarType
    is_list: bool = False
    is_optional: bool = False
    choices: tuple[str, ...] = ()
    is_required: bool = False
    default: ParameterValue = None
    help: str = ""
    unit: str = ""
    bounds: Bounds | None = None

    @property
    def plain_type(self) -> str:
        """Its type without the choices, such as ``str | None``."""
        one = f"list[{self.scalar}]" if self.is_list else self.scalar
        return f"{one} | None" if self.is_optional else one

    @property
    def range_text(self) -> str:
        """Its range as it is declared, such as ``0<..1``; empty where there is none."""
        return "" if self.bounds is None else str(self.bounds)

    @property
    def expectation(self) -> str:
        """What the parameter accepts, in words."""
        if self.choices:
            one = say("one of {choices}", choices=", ".join(self.choices))
        else:
            one = say(TYPE_WORDS[self.scalar])
        if self.unit and self.bounds is not None:
            one = say(_UNIT_AND_RANGE, value=one, unit=word(self.unit), range=self.range_text)
        elif self.unit:
            one = say("{value}, in {unit}", value=one, unit=word(self.unit))
        elif self.bounds is not None:
            one = say("{value}, in the range {range}", value=one, range=self.range_text)
        several = say("a list, each {value}", value=one) if self.is_list else one
        return say("{value}, or none", value=several) if self.is_optional else several


def check_parameters(
    declared: Sequence[Parameter], given: Mapping[str, object]
) -> dict[str, ParameterValue]:
    """Check given values against the declarations and fill in the defaults.

    Parameters
    ----------
    declared : sequence of Parameter
        From :func:`declared_parameters`.
    given : mapping of str to object
        Values by name; a ``datetime.date`` may be given for a date, a tuple for a list.

    Returns
    -------
    dict
        A JSON-ready value for every declared parameter.

    Raises
    ------
    ReportError
        With every unknown name, missing value and badly typed value at once.

    Examples
    --------
    >>> alpha = Parameter(name="alpha", type="float", scalar="float", default=0.05)
    >>> weeks = Parameter(name="weeks", type="int", scalar="int", default=4)
    >>> check_parameters([alpha, weeks], {"weeks": 8})
    {'alpha': 0.05, 'weeks': 8}
    """
    by_name = {parameter.name: parameter for parameter in declared}
    faults = _unknown(by_name, given)
    values: dict[str, ParameterValue] = {}
    for parameter in declared:
        if parameter.name not in given:
            if parameter.is_required:
                faults.append(
                    Fault(
                        found=say("parameter {name} is missing", name=parameter.name),
                        expected=parameter.expectation,
                    )
                )
            values[parameter.name] = parameter.default
            continue
        value = given[parameter.name]
        try:
            values[parameter.name] = accepted(parameter, value)
        except ValueError:
            faults.append(_wrong(parameter, value))
    if faults:
        raise ReportError(faults)
    return values


def parse_text_parameters(
    declared: Sequence[Parameter], texts: Mapping[str, str]
) -> dict[str, ParameterValue]:
    """Turn values typed on a command line into values of the declared types.

    Parameters
    ----------
    declared : sequence of Parameter
        From :func:`declared_parameters`.
    texts : mapping of str to str
        Text by name. ``true``/``false`` for a bool; a list as ``a,b`` or as JSON; empty text or
        ``none`` for None where the parameter allows it.

    Returns
    -------
    dict
        Only the parameters that were given.

    Raises
    ------
    ReportError
        With every unknown name and every text that does not fit.

    Examples
    --------
    >>> cuped = Parameter(name="cuped", type="bool", scalar="bool", default=True)
    >>> parse_text_parameters([cuped], {"cuped": "false"})
    {'cuped': False}
    """
    by_name = {parameter.name: parameter for parameter in declared}
    faults = _unknown(by_name, texts)
    values: dict[str, ParameterValue] = {}
    for name, text in texts.items():
        if name not in by_name:
            continue
        try:
            values[name] = accepted(by_name[name], _from_text(by_name[name], text))
        except ValueError:
            faults.append(_wrong(by_name[name], text))
    if faults:
        raise ReportError(faults)
    return values


def _unknown(declared: Mapping[str, Parameter], given: Mapping[str, object]) -> list[Fault]:
    faults = []
    for name in given:
        if name in declared:
            continue
        close = difflib.get_close_matches(str(name), list(declared), n=3, cutoff=0.5)
        meant = say("did you mean {names}?", names=say(" or ").join(close)) if close else ""
        faults.append(
            Fault(
                found=say("unknown parameter {name}", name=repr(short(str(name)))),
                expected=say("one of {choices}", choices=", ".join(declared))
                if declared
                else say("no parameter at all"),
                remedy=meant,
            )
        )
    return faults


def _wrong(parameter: Parameter, value: object) -> Fault:
    return Fault(
        found=say(
            "parameter {name} cannot be {value}", name=parameter.name, value=short(repr(value))
        ),
        expected=parameter.expectation,
    )


def accepted(parameter: Parameter, value: object) -> ParameterValue:
    """Give the JSON-ready form of a value, or raise ValueError where it does not fit."""
    if value is None:
        if not parameter.is_optional:
            raise ValueError("none is not allowed")
        return None
    if not parameter.is_list:
        return _survives(_within(parameter, _scalar(parameter, value)))
    items = value if isinstance(value, (list, tuple)) else None
    if items is None:
        raise ValueError("not a list")
    return cast(
        "list[Scalar]", _survives([_within(parameter, _scalar(parameter, item)) for item in items])
    )


def _within(parameter: Parameter, value: Scalar) -> Scalar:
    if parameter.bounds is not None and not parameter.bounds.holds(value):
        raise ValueError("out of range")
    return value


def _scalar(parameter: Parameter, value: object) -> Scalar:
    if isinstance(value, np.generic):
        value = value.item()
    kind = parameter.scalar
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind in ("int", "float") and isinstance(value, int) and not isinstance(value, bool):
        if not -_INTEGER_LIMIT <= value < _INTEGER_LIMIT:
            raise ValueError("too large")
        return value if kind == "int" else float(value)
    if kind == "float" and isinstance(value, float) and math.isfinite(value):
        return value
    if kind == "date" and isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if kind == "date" and isinstance(value, str):
        if date.fromisoformat(value).isoformat() != value:
            raise ValueError("not YYYY-MM-DD")
        return value
    if kind == "str" and isinstance(value, str):
        value.encode("utf-8")  # a lone surrogate is a UnicodeEncodeError, which is a ValueError
        if parameter.choices and value not in parameter.choices:
            raise ValueError("not among the choices")
        return value
    raise ValueError("wrong type")


def _survives(value: ParameterValue) -> ParameterValue:
    """Refuse a value that would not come back unchanged from the literal papermill writes."""
    back = ast.literal_eval(PythonTranslator.translate(value))
    if back != value or type(back) is not type(value) or json.loads(json.dumps(value)) != value:
        raise ValueError("does not survive being written into a notebook")
    return value


def _from_text(parameter: Parameter, text: str) -> object:
    if parameter.is_optional and text.strip().lower() in ("", "none", "null"):
        return None
    if not parameter.is_list:
        return _scalar_from_text(parameter, text)
    if text.lstrip().startswith("["):
        return json.loads(text)  # a JSONDecodeError is a ValueError
    return [_scalar_from_text(parameter, item.strip()) for item in text.split(",") if item.strip()]


def _scalar_from_text(parameter: Parameter, text: str) -> Scalar:
    word = text.strip()
    match parameter.scalar:
        case "bool" if word.lower() in _TRUE | _FALSE:
            return word.lower() in _TRUE
        case "int" if _INTEGER.match(word):
            return int(word)
        case "float" if _FLOAT.match(word):
            return float(word)
        case "date":
            return word
        case "str":
            return text
        case _:
            raise ValueError("wrong type")


def short(text: str, limit: int = 80) -> str:
    """Cut a text for a message."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
