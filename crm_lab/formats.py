"""Numbers as people read them: rounded by what their interval supports, in one place.

The language's separators come from here, so that a second language is a change of this file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime

CANNOT_TELL = "n/a"


def decimals_for(low: float, high: float) -> int:
    """How many decimals a number deserves whose interval runs from ``low`` to ``high``.

    Two significant figures of the interval's width; negative means tens, hundreds and so on.
    """
    width = abs(high - low)
    if not math.isfinite(width) or width == 0:
        return 2
    return 1 - math.floor(math.log10(width))


def number(value: float, *, decimals: int = 0, signed: bool = False) -> str:
    """Write a number with thousands separated by a comma; ``n/a`` where there is none."""
    if value is None or not math.isfinite(value):
        return CANNOT_TELL
    rounded = round(value, decimals)
    text = f"{abs(rounded):,.{max(decimals, 0)}f}"
    if rounded < 0:
        return f"-{text}"
    return f"+{text}" if signed and rounded > 0 else text


def money(value: float, currency: str, *, decimals: int = 0, signed: bool = False) -> str:
    """Write an amount with its currency code after it."""
    text = number(value, decimals=decimals, signed=signed)
    return text if text == CANNOT_TELL else f"{text} {currency}"


def percent(share: float, *, decimals: int = 1, signed: bool = False) -> str:
    """Write a share (0.05) as a percentage (5.0 %)."""
    if share is None or not math.isfinite(share):
        return CANNOT_TELL
    return f"{number(100 * share, decimals=decimals, signed=signed)} %"


def money_interval(estimate: float, low: float, high: float, currency: str) -> str:
    """Write an amount and its interval, all rounded to what the interval supports."""
    places = min(decimals_for(low, high), 2)
    return (
        f"{money(estimate, currency, decimals=places, signed=True)} "
        f"({interval(low, high, decimals=places)})"
    )


def percent_interval(estimate: float, low: float, high: float) -> str:
    """Write a relative change and its interval, rounded to what the interval supports."""
    places = min(decimals_for(100 * low, 100 * high), 3)
    places = places if places <= -2 else max(places, 0)  # tens of percent are written out
    return (
        f"{percent(estimate, decimals=places, signed=True)} "
        f"({interval(100 * low, 100 * high, decimals=places, unit='%')})"
    )


def number_interval(estimate: float, low: float, high: float) -> str:
    """Write a plain number and its interval, rounded to what the interval supports."""
    places = min(decimals_for(low, high), 4)
    return f"{number(estimate, decimals=places)} ({interval(low, high, decimals=places)})"


def interval(low: float, high: float, *, decimals: int, unit: str = "") -> str:
    """Write the two ends of an interval; an end that does not exist is said to be open."""
    ends = [number(end, decimals=decimals) for end in (low, high)]
    ends[0] = "no lower bound" if low == -math.inf else ends[0]
    ends[1] = "no upper bound" if high == math.inf else ends[1]
    return f"{ends[0]} to {ends[1]}{' ' + unit if unit else ''}"


def p_value(value: float) -> str:
    """Write a p-value with two significant figures, and never as 0."""
    if value is None or not math.isfinite(value):
        return CANNOT_TELL
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def day(moment: datetime | None) -> str:
    """Write a date as 2026-12-01; ``n/a`` where there is none."""
    return CANNOT_TELL if moment is None else f"{moment:%Y-%m-%d}"


def listing(words: Iterable[str], *, limit: int = 5) -> str:
    """Write a list for a message, cut after ``limit`` words with the count of the rest."""
    every = list(words)
    rest = f" and {len(every) - limit} more" if len(every) > limit else ""
    return ", ".join(every[:limit]) + rest
