"""Text that does nothing, wherever it is opened: no formulas, no control characters."""

from __future__ import annotations

import re

DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""First characters of a cell that a spreadsheet would run as a formula."""
QUOTE = "'"
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]")


def inert_text(text: str) -> str:
    r"""Take control characters and overrides of the writing direction out of a text.

    Examples
    --------
    >>> inert_text("a\x00b\u202ec")
    'abc'
    """
    return _CONTROLS.sub("", text)


def inert_cell(text: str) -> str:
    r"""Make a text safe as a cell of a CSV file: an apostrophe before what looks like a formula.

    Examples
    --------
    >>> inert_cell('=HYPERLINK("http://x")')
    '\'=HYPERLINK("http://x")'
    """
    cleaned = inert_text(text)
    return QUOTE + cleaned if cleaned.startswith(DANGEROUS) else cleaned


def one_line(text: str) -> str:
    r"""Make one line of a text, for a header of an e-mail.

    Examples
    --------
    >>> one_line("Sale\r\nBcc: x@y.z")
    'Sale Bcc: x@y.z'
    """
    return " ".join(inert_text(text).split())
