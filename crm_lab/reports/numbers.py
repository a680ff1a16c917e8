"""The numbers of displayed results under names that stay: ``experiment_result.arms[reminder].…``.

Rows of a list are named by what they are called, not by their place, so that a run with one arm
more or in another order can still be compared number by number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Number = int | float
Leaf = Number | str | bool | None

RELATIVE_TOLERANCE = 1e-9
"""Two runs of the same sums on several threads may differ in the last digits, and by no more."""
LONGEST_LIST = 40
"""Lists with more rows are curves and simulations; no manifest repeats them as numbers."""
MAX_NAME_LENGTH = 60
INTERVAL_KEYS = ("estimate", "low", "high")
NOT_OUTCOMES = ("plan", "parameters", "settings")
"""Parts of a result that say how it was asked, not what came out."""
_DECIMAL = re.compile(r"-?\d{1,16}\.\d+")


def leaves_of(results: Sequence[Mapping[str, Any]]) -> dict[str, Leaf]:
    """Give every value of every result by its name, in order.

    Examples
    --------
    >>> leaves_of([{"kind": "check", "data": {"rows": [{"arm": "a", "n": 3}]}}])
    {'check.rows[a].arm': 'a', 'check.rows[a].n': 3}
    """
    return {
        path: value
        for name, result in zip(result_names(results), results, strict=True)
        for path, value in _walk(name, result.get("data"))
    }


def numbers_of(
    results: Sequence[Mapping[str, Any]], *, longest: int | None = LONGEST_LIST
) -> dict[str, Number]:
    """Give every number of every result by its name.

    Parameters
    ----------
    results : sequence of mapping
        As the manifest holds them.
    longest : int, optional
        Lists with more rows are left out; None leaves nothing out.
    """
    return {
        path: number
        for name, result in zip(result_names(results), results, strict=True)
        for path, value in _walk(name, result.get("data"), longest)
        if (number := as_number(value)) is not None
    }


def as_number(value: Leaf) -> Number | None:
    """Read a number; exact amounts stand as text (``"12.50"``) and count as numbers too."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        return float(value) if _DECIMAL.fullmatch(value) else None
    return value


def is_same(before: Leaf, after: Leaf) -> bool:
    """Whether two values are equal, numbers within :data:`RELATIVE_TOLERANCE`."""
    numbers = as_number(before), as_number(after)
    if numbers[0] is None or numbers[1] is None:
        return before == after
    return math.isclose(numbers[0], numbers[1], rel_tol=RELATIVE_TOLERANCE, abs_tol=1e-12)


def main_result(results: Sequence[Mapping[str, Any]]) -> tuple[str, Mapping[str, Any]] | None:
    """Give name and content of the leading result: the first with a verdict, or the first."""
    named = [
        (name, result)
        for name, result in zip(result_names(results), results, strict=True)
        if isinstance(result.get("data"), Mapping)
    ]
    with_verdict = [item for item in named if item[1]["data"].get("verdict")]
    return next(iter(with_verdict or named), None)


def shown_numbers(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Give the numbers at the top of the page by their labels, with the text that is shown."""
    main = main_result(results)
    shown = main[1].get("numbers") if main else None
    return {
        str(number.get("label")): {key: number.get(key) for key in (*INTERVAL_KEYS, "text")}
        for number in (shown if isinstance(shown, list) else [])
        if isinstance(number, Mapping)
    }


def estimated_numbers(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Give the numbers of the leading result by name: estimates with their interval, plain ones.

    An estimate is a mapping of ``estimate``, ``low`` and ``high``. Estimates that say the same
    again are left out.
    """
    main = main_result(results)
    if main is None:
        return {}
    name, data = main[0], main[1]["data"]
    plain_numbers = {
        f"{name}.{key}": value
        for key, value in data.items()
        if not isinstance(value, bool) and isinstance(value, (int, float))
    }
    estimates: dict[str, Any] = {}
    for path, estimate in _estimates(name, data):
        if estimate not in estimates.values():
            estimates[path] = estimate
    return estimates | plain_numbers


def result_names(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name each result by its kind; several of one kind also by title, else by place."""
    kinds = [str(result.get("kind", "result")) for result in results]
    names = []
    for place, (kind, result) in enumerate(zip(kinds, results, strict=True)):
        if kinds.count(kind) == 1:
            names.append(kind)
            continue
        title = str(result.get("title", ""))
        same = [other for other in results if str(other.get("kind", "result")) == kind]
        is_title_unique = sum(str(other.get("title", "")) == title for other in same) == 1
        number = kinds[: place + 1].count(kind)
        names.append(f"{kind}[{title if is_title_unique and title else number}]")
    return names


def row_names(rows: Sequence[Any]) -> list[str]:
    """Name the rows of a list by a text that each has and no two share; else by place.

    Examples
    --------
    >>> row_names([{"metric": "revenue", "variant": "a"}, {"metric": "revenue", "variant": "b"}])
    ['a', 'b']
    """
    places = [str(place) for place in range(len(rows))]
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        return places
    named = [
        key
        for key in rows[0]
        if all(
            isinstance(row.get(key), str) and 0 < len(row[key]) <= MAX_NAME_LENGTH for row in rows
        )
    ]
    choices = [(key,) for key in named] + [
        (first, second) for place, first in enumerate(named) for second in named[place + 1 :]
    ]
    for keys in choices:
        names = [", ".join(row[key] for key in keys) for row in rows]
        if len(set(names)) == len(names):
            return names
    return places


def _walk(path: str, value: Any, longest: int | None = None) -> Iterator[tuple[str, Leaf]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _walk(f"{path}.{key}", item, longest)
    elif isinstance(value, list):
        if longest is None or len(value) <= longest:
            for name, item in zip(row_names(value), value, strict=True):
                yield from _walk(f"{path}[{name}]", item, longest)
    elif value is None or isinstance(value, (bool, int, float, str)):
        yield path, value


def _estimates(path: str, value: Any) -> Iterator[tuple[str, dict[str, Number | None]]]:
    if isinstance(value, Mapping):
        if isinstance(value.get("estimate"), (int, float)):
            yield path, {key: value.get(key) for key in INTERVAL_KEYS}
            return
        for key, item in value.items():
            if key not in NOT_OUTCOMES:
                yield from _estimates(f"{path}.{key}", item)
    elif isinstance(value, list) and len(value) <= LONGEST_LIST:
        for name, item in zip(row_names(value), value, strict=True):
            yield from _estimates(f"{path}[{name}]", item)
