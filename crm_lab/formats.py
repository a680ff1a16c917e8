"""Numbers as people read them: rounded by what their interval supports, in their language.

English writes ``1,234.5 %``, ``1,234 RUB`` and ``2026-12-01``; Russian ``1 234,5 %``, ``1 234 ₽``
and ``01.12.2026``, with spaces that do not break. Days are those of the company's time zone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from crm_lab.language import current_language, message, say

CANNOT_TELL = message("n/a")
MOST_MORE_DECIMALS = 3
"""How many more decimals the end of an interval may get that would be rounded to 0."""
MOST_DECIMALS = 4
"""Up to so many decimals it gets them in any case."""
_TO_RUSSIAN = str.maketrans({",": "\u00a0", ".": ","})
_zone = ZoneInfo("UTC")
_RUSSIAN_SIGNS = {"RUB": "₽", "USD": "$", "EUR": "€", "GBP": "£", "KZT": "₸", "BYN": "Br"}


def decimals_for(low: float, high: float) -> int:
    """How many decimals a number deserves whose interval runs from ``low`` to ``high``.

    Two significant figures of the interval's width; negative means tens, hundreds and so on.
    """
    width = abs(high - low)
    if not math.isfinite(width) or width == 0:
        return 2
    return 1 - math.floor(math.log10(width))


def number(value: float, *, decimals: int = 0, signed: bool = False) -> str:
    """Write a number with its thousands separated; ``n/a`` where there is none."""
    if value is None or not math.isfinite(value):
        return say(CANNOT_TELL)
    rounded = round(value, decimals)
    text = separated(f"{abs(rounded):,.{max(decimals, 0)}f}")
    if rounded < 0:
        return f"-{text}"
    return f"+{text}" if signed and rounded > 0 else text


def separated(text: str) -> str:
    """Give a number written as ``1,234.5`` the separators of the language."""
    if current_language() != "ru":
        return text
    return re.sub(r"(?<=\d)%", "\u00a0%", text.translate(_TO_RUSSIAN))


def money(value: float, currency: str, *, decimals: int = 0, signed: bool = False) -> str:
    """Write an amount with its currency after it."""
    text = number(value, decimals=decimals, signed=signed)
    if value is None or not math.isfinite(value):
        return text
    if current_language() == "ru":
        return f"{text}\u00a0{currency_name(currency)}".rstrip()
    return f"{text} {currency}"


def currency_name(currency: str) -> str:
    """Write a currency as a unit: its code, in Russian its sign where it has one."""
    return _RUSSIAN_SIGNS.get(currency, currency) if current_language() == "ru" else currency


def percent(share: float, *, decimals: int = 1, signed: bool = False) -> str:
    """Write a share (0.05) as a percentage (5.0 %)."""
    if share is None or not math.isfinite(share):
        return say(CANNOT_TELL)
    return f"{number(100 * share, decimals=decimals, signed=signed)}{_space()}%"


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
    """Write the two ends of an interval; an end that does not exist is said to be open.

    An end near 0 keeps the figure that shows on which side it lies: that decides what can be said.
    Only an end that is as good as 0 is written as 0.

    Examples
    --------
    >>> interval(-0.09, 32.8, decimals=0, unit="%")
    '-0.09 to 33 %'
    """
    ends = [number(end, decimals=_beside_zero(end, decimals)) for end in (low, high)]
    ends[0] = say("no lower bound") if low == -math.inf else ends[0]
    ends[1] = say("no upper bound") if high == math.inf else ends[1]
    return say("{low} to {high}", low=ends[0], high=ends[1] + (_space() + unit if unit else ""))


def _beside_zero(end: float, decimals: int) -> int:
    if not math.isfinite(end) or end == 0 or round(end, decimals) != 0:
        return decimals
    shown = -math.floor(math.log10(abs(end)))
    return shown if shown <= max(decimals + MOST_MORE_DECIMALS, MOST_DECIMALS) else decimals


def p_value(value: float) -> str:
    """Write a p-value with two significant figures, and never as 0."""
    if value is None or not math.isfinite(value):
        return say(CANNOT_TELL)
    return separated("< 0.001" if value < 0.001 else f"{value:.2g}")


def p_text(value: float) -> str:
    """Write a p-value as an equation, such as ``p = 0.02`` or ``p < 0.001``."""
    text = p_value(value)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def significant(value: float, *, figures: int = 3) -> str:
    """Write a number with so many significant figures, such as an error rate of 0.05."""
    if value is None or not math.isfinite(value):
        return say(CANNOT_TELL)
    return separated(f"{value:.{figures}g}")


def set_timezone(name: str) -> None:
    """Write days of this IANA time zone from now on in this process; before, days of UTC."""
    global _zone
    _zone = ZoneInfo(name)


@contextmanager
def using_timezone(name: str) -> Iterator[None]:
    """Write days of a time zone for as long as the block lasts."""
    before = _zone.key
    set_timezone(name)
    try:
        yield
    finally:
        set_timezone(before)


def local_date(moment: datetime) -> date:
    """Give the day in which a moment (UTC where it names no zone) lies in the company's zone.

    Examples
    --------
    >>> with using_timezone("Europe/Moscow"):
    ...     local_date(datetime(2026, 11, 30, 21))
    datetime.date(2026, 12, 1)
    """
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return aware.astimezone(_zone).date()


def last_day(ends_at: datetime) -> str:
    """Write the last day of a window whose end (a moment) does not belong to it."""
    return day(ends_at - timedelta(microseconds=1))


def day(moment: date | None) -> str:
    """Write a date as 2026-12-01 (Russian 01.12.2026); ``n/a`` where there is none.

    Of a moment it is the day in the company's zone (`set_timezone`).
    """
    if moment is None:
        return say(CANNOT_TELL)
    return _date(local_date(moment) if isinstance(moment, datetime) else moment)


def minute(moment: datetime | None) -> str:
    """Write date and time to the minute as they stand, such as 2026-12-01 09:30."""
    return say(CANNOT_TELL) if moment is None else f"{_date(moment)} {moment:%H:%M}"


def month(moment: date) -> str:
    """Write a month as 2026-12 (Russian 12.2026)."""
    return f"{moment:%m.%Y}" if current_language() == "ru" else f"{moment:%Y-%m}"


def listing(words: Iterable[str], *, limit: int = 5) -> str:
    """Write a list for a message, cut after ``limit`` words with the count of the rest."""
    every = list(words)
    shown = ", ".join(every[:limit])
    if len(every) <= limit:
        return shown
    return say("{words} and {count} more", words=shown, count=len(every) - limit)


def _date(found: date) -> str:
    return f"{found:%d.%m.%Y}" if current_language() == "ru" else f"{found:%Y-%m-%d}"


def _space() -> str:
    """Give what stands between a number and its unit."""
    return "\u00a0" if current_language() == "ru" else " "
