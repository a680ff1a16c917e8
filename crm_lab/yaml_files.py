"""Strict YAML: duplicate keys, unknown keys and wrong types are refused with line and key.

YAML 1.2 rules (``no`` is a word, ``2024_10`` is a word), so that what a marketer wrote is what
the program reads. Every fault of a file is reported at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError, RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from crm_lab.errors import CrmLabError, Fault, FileError


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
        raise error("the file does not exist", where=str(path)) from None
    except UnicodeDecodeError as problem:
        raise error(
            f"byte {problem.start} is not UTF-8", where=str(path), remedy="save the file as UTF-8"
        ) from None
    except OSError as problem:
        raise error(f"cannot be read ({problem.strerror})", where=str(path)) from None
    yaml = YAML(typ="rt")
    yaml.Constructor = _Words
    try:
        data = yaml.load(text)
    except DuplicateKeyError as problem:
        line = problem.problem_mark.line + 1 if problem.problem_mark else 0
        found = str(problem.problem).split("with value")[0].strip()
        raise error(found, expected="each key once", where=f"{path}, line {line}") from None
    except MarkedYAMLError as problem:
        line = problem.problem_mark.line + 1 if problem.problem_mark else 0
        raise error(f"not valid YAML ({problem.problem})", where=f"{path}, line {line}") from None
    except YAMLError as problem:
        raise error(f"not valid YAML ({str(problem).splitlines()[0]})", where=str(path)) from None
    if not isinstance(data, CommentedMap):
        found = "the file is empty" if data is None else f"the top level is a {type(data).__name__}"
        raise error(found, expected="keys with values", where=str(path))
    return data


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
        raise error([_fault(item, data, path, model) for item in problem.errors()]) from None


def place(path: Path, data: Any, location: Sequence[int | str]) -> str:
    """Name a place for people: file, line and dotted key."""
    line = line_of(data, location)
    key = ".".join(str(step) for step in location)
    return ", ".join(
        part
        for part in (str(path), f"line {line}" if line else "", f"key '{key}'" if key else "")
        if part
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _fault(item: Any, data: Mapping[str, Any], path: Path, model: type[BaseModel]) -> Fault:
    location = tuple(step for step in item["loc"] if not str(step).startswith("function-"))
    where = place(path, data, location)
    if item["type"] == "extra_forbidden":
        known = [field.alias or name for name, field in model.model_fields.items()]
        close = get_close_matches(str(location[-1]), known, n=1) if len(location) == 1 else []
        hint = f"; did you mean '{close[0]}'?" if close else ""
        return Fault(found=f"unknown key '{location[-1]}'{hint}", where=where)
    if item["type"] == "missing":
        parent = place(path, data, location[:-1])
        return Fault(found=f"the key '{location[-1]}' is missing", where=parent)
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "value_error":
        return Fault(found=message, where=where)
    found = repr(item["input"]) if not isinstance(item["input"], Mapping) else "a mapping"
    return Fault(found=f"found {found}", expected=message, where=where)
