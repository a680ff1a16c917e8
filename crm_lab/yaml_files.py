"""Strict YAML: duplicate keys, unknown keys and wrong types are refused with line and key.

YAML 1.2 rules (``no`` is a word, ``2024_10`` is a word), so that what a marketer wrote is what
the program reads. Every fault of a file is reported at once.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError, RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from crm_lab.errors import CrmLabError, Fault, FileError
from crm_lab.language import message, say

_EXPECTED = {
    "bool_type": message("Input should be a valid boolean"),
    "dict_type": message("Input should be a valid dictionary"),
    "finite_number": message("Input should be a finite number"),
    "float_parsing": message("Input should be a valid number, unable to parse string as a number"),
    "float_type": message("Input should be a valid number"),
    "greater_than": message("Input should be greater than {gt}"),
    "greater_than_equal": message("Input should be greater than or equal to {ge}"),
    "int_from_float": message(
        "Input should be a valid integer, got a number with a fractional part"
    ),
    "int_parsing": message("Input should be a valid integer, unable to parse string as an integer"),
    "int_type": message("Input should be a valid integer"),
    "less_than": message("Input should be less than {lt}"),
    "less_than_equal": message("Input should be less than or equal to {le}"),
    "list_type": message("Input should be a valid list"),
    "literal_error": message("Input should be {expected}"),
    "string_type": message("Input should be a valid string"),
    "tuple_type": message("Input should be a valid tuple"),
}
"""What pydantic says was expected, by the type of its error; the rest stays as it says it."""


class _Words(RoundTripConstructor):
    """Numbers as people mean them: ``2024_10`` and ``007`` are names, not 202410 and 7."""

    def construct_yaml_int(self, node: Any) -> Any:
        text = str(node.value)
        digits = text.lstrip("+-")
        is_name = "_" in text or (len(digits) > 1 and digits[0] == "0")
        return text if is_name else super().construct_yaml_int(node)


_Words.add_constructor("tag:yaml.org,2002:int", _Words.construct_yaml_int)


class Declared(BaseModel):
    """Base of everything that people declare in a YAML file: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


ModelT = TypeVar("ModelT", bound=BaseModel)


def read_yaml(path: Path, *, error: type[CrmLabError] = FileError) -> CommentedMap:
    """Read one YAML file whose top level is a mapping; keys keep their line numbers.

    Raises
    ------
    CrmLabError
        Of the given kind: the file is missing, not UTF-8, not YAML, empty, has a key twice, or
        its top level is not a mapping.
    """
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise error(say("the file does not exist"), where=str(path)) from None
    except UnicodeDecodeError as problem:
        raise error(
            say("byte {place} is not UTF-8", place=problem.start),
            where=str(path),
            remedy=say("save the file as UTF-8"),
        ) from None
    except OSError as problem:
        reason = say("cannot be read ({reason})", reason=problem.strerror)
        raise error(reason, where=str(path)) from None
    yaml = YAML(typ="rt")
    yaml.Constructor = _Words
    try:
        data = yaml.load(text)
    except DuplicateKeyError as problem:
        found = str(problem.problem).split("with value")[0].strip()
        key = found.removeprefix("found duplicate key ")
        raise error(
            say("found duplicate key {key}", key=key),
            expected=say("each key once"),
            where=_line(path, problem),
        ) from None
    except MarkedYAMLError as problem:
        found = say("not valid YAML ({problem})", problem=problem.problem)
        raise error(found, where=_line(path, problem)) from None
    except YAMLError as problem:
        found = say("not valid YAML ({problem})", problem=str(problem).splitlines()[0])
        raise error(found, where=str(path)) from None
    if not isinstance(data, CommentedMap):
        found = (
            say("the file is empty")
            if data is None
            else say("the top level is a {kind}", kind=type(data).__name__)
        )
        raise error(found, expected=say("keys with values"), where=str(path))
    return data


def _line(path: Path, problem: MarkedYAMLError) -> str:
    line = problem.problem_mark.line + 1 if problem.problem_mark else 0
    return say("{path}, line {line}", path=path, line=line)


def line_of(data: Any, location: Sequence[int | str]) -> int | None:
    """Line (counted from 1) of the key at ``location``, or of its nearest existing parent."""
    line: int | None = None
    for step in location:
        try:
            if isinstance(data, CommentedMap):
                line = data.lc.key(step)[0] + 1
            elif isinstance(data, CommentedSeq) and isinstance(step, int):
                line = data.lc.item(step)[0] + 1
            data = data[step]
        except (KeyError, IndexError, TypeError):
            break
    return line


def validate(
    model: type[ModelT],
    data: Mapping[str, Any],
    *,
    path: Path,
    error: type[CrmLabError] = FileError,
) -> ModelT:
    """Check ``data`` against ``model`` and raise one error with all faults, each with its line."""
    try:
        return model.model_validate(_plain(data))
    except ValidationError as problem:
        items = problem.errors()
    commas = {place(path, data, location): fault for location, fault in _commas(items, data, path)}
    others = [_fault(item, data, path, model) for item in items if not _is_comma(item, data)]
    raise error([*commas.values(), *(fault for fault in others if fault.where not in commas)])


def place(path: Path, data: Any, location: Sequence[int | str]) -> str:
    """Name a place for people: file, line and dotted key."""
    line = line_of(data, location)
    key = ".".join(str(step) for step in location)
    return ", ".join(
        part
        for part in (
            str(path),
            say("line {line}", line=line) if line else "",
            say("key '{key}'", key=key) if key else "",
        )
        if part
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _commas(
    items: Sequence[Any], data: Mapping[str, Any], path: Path
) -> Iterator[tuple[tuple[int | str, ...], Fault]]:
    """Give the numbers that were written with a decimal comma, each with its place."""
    for item in items:
        found = _comma(item, data)
        if found is not None:
            location, written = found
            yield (
                location,
                Fault(
                    found=say("'{number}' has a decimal comma", number=written),
                    expected=say("a decimal point: {number}", number=written.replace(",", ".")),
                    where=place(path, data, location),
                ),
            )


def _is_comma(item: Any, data: Mapping[str, Any]) -> bool:
    return _comma(item, data) is not None


def _comma(item: Any, data: Any) -> tuple[tuple[int | str, ...], str] | None:
    """Give place and text of a number with a decimal comma; None where it is something else.

    Within braces YAML reads ``{share: 0,5}`` as the two keys ``share: 0`` and ``5`` without value.
    """
    location, found = _location(item), item["input"]
    is_number = str(item["type"]).startswith(("float_", "int_"))
    if is_number and isinstance(found, str) and re.fullmatch(r"[+-]?\d+,\d+", found.strip()):
        return location, found.strip()
    if not location or not re.fullmatch(r"\d+", str(location[-1])):
        return None
    for step in location[:-1]:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return None
    if not isinstance(data, CommentedMap) or not data.fa.flow_style():
        return None
    for (before, value), (key, nothing) in itertools.pairwise(data.items()):
        if str(key) == location[-1] and nothing is None and re.fullmatch(r"[+-]?\d+", str(value)):
            return (*location[:-1], str(before)), f"{value},{key}"
    return None


def _location(item: Any) -> tuple[int | str, ...]:
    """Give the keys to a fault's place, without what pydantic adds for itself."""
    return tuple(
        step for step in item["loc"] if step != "[key]" and not str(step).startswith("function-")
    )


def _fault(item: Any, data: Mapping[str, Any], path: Path, model: type[BaseModel]) -> Fault:
    location = _location(item)
    where = place(path, data, location)
    if item["type"] == "extra_forbidden":
        known = [field.alias or name for name, field in model.model_fields.items()]
        close = get_close_matches(str(location[-1]), known, n=1) if len(location) == 1 else []
        found = (
            say("unknown key '{key}'; did you mean '{other}'?", key=location[-1], other=close[0])
            if close
            else say("unknown key '{key}'", key=location[-1])
        )
        return Fault(found=found, where=where)
    if item["type"] == "missing":
        parent = place(path, data, location[:-1])
        return Fault(found=say("the key '{key}' is missing", key=location[-1]), where=parent)
    said = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "value_error":
        return Fault(found=said, where=where)
    expected = _EXPECTED.get(item["type"])
    if expected is not None:
        said = say(expected, **_limits(item.get("ctx", {})))
    found = say("a mapping") if isinstance(item["input"], Mapping) else repr(item["input"])
    return Fault(found=say("found {what}", what=found), expected=said, where=where)


def _limits(context: Mapping[str, Any]) -> dict[str, object]:
    """Give the limits that pydantic names, as it writes them: 2 for 2.0, words with "or"."""
    return {
        name: int(value)
        if isinstance(value, float) and value.is_integer()
        else str(value).replace(" or ", say(" or "))
        for name, value in context.items()
    }
