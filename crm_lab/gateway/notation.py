"""How numbers stand in a file: one rule, followed by two readers.

The reader that counts a file's money is Python (:func:`amount_of`), the one that loads it is SQL
(:func:`number_sql`). They share the rule and nothing else, so that each checks the other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Context, Decimal

from crm_lab.gateway.store import sql_text

SPACES = (" ", "\u00a0", "\u202f", "\u2009")
THOUSANDS = ("", *SPACES, ".", ",", "'", "\u2019", "_")
STRIPPED = "".join(SPACES) + "\t\r\n"
AMOUNT = "[+-]?([0-9]{1,30}[.]?[0-9]{0,30}|[.][0-9]{1,30})"
EXACT = Context(prec=200)
"""Sums of amounts never round: AMOUNT has 60 digits at most."""

_AMOUNT = re.compile(AMOUNT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notation:
    """The signs of a number.

    Attributes
    ----------
    decimal : str
        Decimal separator, point or comma.
    thousands : str
        What stands between groups of three digits, or empty; a space means every kind of space.
    """

    decimal: str = "."
    thousands: str = ""

    @property
    def separators(self) -> tuple[str, ...]:
        """Every character that may separate thousands."""
        if not self.thousands:
            return ()
        return SPACES if self.thousands in SPACES else (self.thousands,)

    @property
    def grouped(self) -> str:
        """Pattern of a number with thousands separated; three digits after every separator."""
        between = "".join(self.separators)
        return f"[+-]?[0-9]{{1,3}}([{between}][0-9]{{3}})+([{self.decimal}][0-9]*)?"


def amount_of(text: str, notation: Notation) -> Decimal | None:
    """Read one amount as the file writes it; None when it is not an amount."""
    cleaned = text.strip(STRIPPED)
    if notation.thousands and re.fullmatch(notation.grouped, cleaned):
        for separator in notation.separators:
            cleaned = cleaned.replace(separator, "")
    if notation.decimal == ",":
        if "." in cleaned:
            return None
        cleaned = cleaned.replace(",", ".")
    return Decimal(cleaned) if _AMOUNT.fullmatch(cleaned) else None


def number_sql(text: str, notation: Notation) -> str:
    """Write the SQL of a number in point notation; what breaks the rule stays unreadable."""
    cleaned = text
    if notation.thousands:
        for separator in notation.separators:
            cleaned = f"replace({cleaned}, '{sql_text(separator)}', '')"
        pattern = sql_text(notation.grouped)
        cleaned = (
            f"(case when regexp_full_match({text}, '{pattern}') then {cleaned} else {text} end)"
        )
    if notation.decimal == ",":
        # a point where the map promises a comma is not read at all
        cleaned = f"replace(replace({cleaned}, '.', '?'), ',', '.')"
    return cleaned


def trimmed_sql(text: str) -> str:
    """Write the SQL of a text without spaces around it; NULL when nothing is left."""
    # trimming by a list of characters is slow, and few cells need it
    return (
        f"(case when regexp_matches({text}, '^[{STRIPPED}]|[{STRIPPED}]$|^$')"
        f" then nullif(trim({text}, '{STRIPPED}'), '') else {text} end)"
    )
