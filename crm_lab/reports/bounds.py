"""The range of a parameter, as it stands in brackets at the end of its comment."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date

Number = int | float
_NOTE = re.compile(r"^(?P<help>.*?)\s*\[(?P<inside>[^\[\]]*)\]\Z", re.DOTALL)
_RANGE = re.compile(r"(?P<low>[^<\s]*)(?P<above><?)\.\.(?P<below><?)(?P<high>[^<\s]*)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """A range of numbers or of dates (as ISO text); an end that is None is open.

    Attributes
    ----------
    low, high : int, float, str or None
        The ends.
    is_above_low, is_below_high : bool
        Whether the end itself is left out.
    """

    low: Number | str | None = None
    high: Number | str | None = None
    is_above_low: bool = False
    is_below_high: bool = False

    def __str__(self) -> str:
        """Give the range as it is written in a notebook."""
        low = "" if self.low is None else f"{self.low}{'<' if self.is_above_low else ''}"
        high = "" if self.high is None else f"{'<' if self.is_below_high else ''}{self.high}"
        return f"{low}..{high}"

    def holds(self, value: Number | str) -> bool:
        """Whether a value lies in the range; it is a number or a date as the ends are."""
        if self.low is not None and (
            value < self.low or (self.is_above_low and value == self.low)  # type: ignore[operator]
        ):
            return False
        return self.high is None or not (
            value > self.high or (self.is_below_high and value == self.high)  # type: ignore[operator]
        )


def parse_note(comment: str, *, is_date: bool) -> tuple[str, str, Bounds | None]:
    """Take a comment apart into help, unit and range.

    Parameters
    ----------
    comment : str
        Such as ``part that is held out [share, 0<..<1]``; without brackets it is all help.
    is_date : bool
        Whether the ends of the range are dates.

    Raises
    ------
    ValueError
        The brackets hold something else than a unit, a range, or both.

    Examples
    --------
    >>> help_text, unit, bounds = parse_note("length of the window [days, 1..366]", is_date=False)
    >>> help_text, unit, str(bounds)
    ('length of the window', 'days', '1..366')
    """
    found = _NOTE.match(comment)
    if found is None:
        return comment, "", None
    unit, bounds = "", None
    for part in found["inside"].split(","):
        word = part.strip()
        if ".." in word and bounds is None:
            bounds = _bounds(word, is_date=is_date)
        elif word and not unit and not re.search(r"\d", word):
            unit = word
        else:
            raise ValueError(f"`[{found['inside']}]` is no unit and range")
    return found["help"], unit, bounds


def _bounds(text: str, *, is_date: bool) -> Bounds:
    found = _RANGE.match(text)
    if found is None or not (found["low"] or found["high"]):
        raise ValueError(f"`{text}` is no range")
    bounds = Bounds(
        low=_end(found["low"], is_date=is_date),
        high=_end(found["high"], is_date=is_date),
        is_above_low=bool(found["above"]),
        is_below_high=bool(found["below"]),
    )
    if bounds.low is not None and bounds.high is not None:
        if bounds.low > bounds.high:  # type: ignore[operator]
            raise ValueError(f"`{text}` holds nothing")
        if bounds.low == bounds.high and (bounds.is_above_low or bounds.is_below_high):
            raise ValueError(f"`{text}` holds nothing")
    return bounds


def _end(text: str, *, is_date: bool) -> Number | str | None:
    if not text:
        return None
    if is_date:
        return date.fromisoformat(text).isoformat()
    try:
        return int(text)
    except ValueError:
        value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"`{text}` is no end of a range")
    return value
