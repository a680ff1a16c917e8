"""Days in words: what ``{last_month_end}`` means for the slot that a run is made for.

The words are a closed list, and each may be moved by whole days: ``{today-28d}``. They stand for
days of the entry's zone at the slot, not at the moment of the run, so that a run caught up later
says the same. Braces that mean themselves are doubled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from types import MappingProxyType

from crm_lab.language import say

_DAY = timedelta(days=1)


def _month_start(day: date, months_back: int = 0) -> date:
    month = day.year * 12 + day.month - 1 - months_back
    return date(month // 12, month % 12 + 1, 1)


def _quarter_start(day: date, quarters_back: int = 0) -> date:
    return _month_start(day, (day.month - 1) % 3 + 3 * quarters_back)


def _week_start(day: date, weeks_back: int = 0) -> date:
    return day - timedelta(days=day.weekday() + 7 * weeks_back)


DAYS: Mapping[str, Callable[[date], date]] = MappingProxyType(
    {
        "today": lambda day: day,
        "yesterday": lambda day: day - _DAY,
        "week_start": _week_start,
        "last_week_start": lambda day: _week_start(day, 1),
        "last_week_end": lambda day: _week_start(day) - _DAY,
        "month_start": _month_start,
        "last_month_start": lambda day: _month_start(day, 1),
        "last_month_end": lambda day: _month_start(day) - _DAY,
        "quarter_start": _quarter_start,
        "last_quarter_start": lambda day: _quarter_start(day, 1),
        "last_quarter_end": lambda day: _quarter_start(day) - _DAY,
        "year_start": lambda day: date(day.year, 1, 1),
        "last_year_start": lambda day: date(day.year - 1, 1, 1),
        "last_year_end": lambda day: date(day.year - 1, 12, 31),
    }
)
"""Every word and the day it stands for; weeks begin on Monday."""

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_WORD = re.compile(r"([a-z_]+)(?:([+-])([0-9]{1,5})d)?\Z")


def filled(text: str, day: date | None, values: Mapping[str, object] = MappingProxyType({})) -> str:
    """Put the days, and the values of a fan-out, in the place of their words.

    Parameters
    ----------
    text : str
        Such as ``Base until {last_week_end}``.
    day : date or None
        The day that is today; None where days are not allowed.
    values : mapping of str to object
        Further words and what they stand for.

    Raises
    ------
    ValueError
        A word is not on the list, or a brace stands alone.

    Examples
    --------
    >>> filled("{last_month_end}", date(2026, 3, 1))
    '2026-02-28'
    >>> filled("{shop}: week to {yesterday-7d}", date(2026, 3, 9), {"shop": "Riga"})
    'Riga: week to 2026-03-01'
    """

    def word(match: re.Match[str]) -> str:
        if match[0] in ("{{", "}}"):
            return match[0][0]
        if match[1] is None:
            raise ValueError(
                say(
                    "a single '{brace}' in '{text}'; write it twice to mean itself",
                    brace=match[0],
                    text=text,
                )
            )
        if match[1] in values:
            return str(values[match[1]])
        found = _WORD.match(match[1])
        if day is None or found is None or found[1] not in DAYS:
            known = ", ".join((*values, *(DAYS if day is not None else ()))) or say("none")
            raise ValueError(
                say("unknown word '{word}'; known: {known}", word=match[0], known=known)
            )
        shift = timedelta(days=int(found[3] or 0))
        start = DAYS[found[1]](day)
        return (start - shift if found[2] == "-" else start + shift).isoformat()

    return _BRACES.sub(word, text)


def filled_value(value: object, day: date, values: Mapping[str, object]) -> object:
    """Fill in a parameter: text as in :func:`filled`, a list item by item, others as they are."""
    if isinstance(value, str):
        return filled(value, day, values)
    if isinstance(value, (list, tuple)):
        return [filled_value(item, day, values) for item in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return int(value) if isinstance(value, int) else float(value)  # not YAML's own kinds
    return value
