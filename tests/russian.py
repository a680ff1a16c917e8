"""What a Russian sentence must not hold: words that nobody translated."""

from __future__ import annotations

import re
from collections.abc import Iterable

NAMES = frozenset(
    {
        "A/A", "BB", "BG", "BG/BB", "BG/NBD", "CRM", "CSAT", "CSV", "CUPED", "HTML", "ID", "JSON",
        "Kaplan-Meier", "LTV", "MBG/NBD", "NBD", "NPS", "Parquet", "Pareto/NBD", "Qini", "RFM",
        "ROI", "SMS", "SQL", "UTC", "YAML", "crm-lab", "e-mail", "email", "id", "score", "uplift",
    }
)  # fmt: skip
"""Names, abbreviations and terms that Russian writes in Latin letters."""

_CODE = re.compile(r"<style.*?</style>|<svg.*?</svg>|<script.*?</script>|<[^>]*>|&\w+;", re.S)
_WORD = re.compile(r"[A-Za-z][A-Za-z/-]*[A-Za-z]")


def latin_words(text: str, allowed: Iterable[str] = ()) -> list[str]:
    """Words in Latin letters, of two letters or more, that are neither names nor allowed.

    Parameters
    ----------
    text : str
        A sentence, or the HTML of a card: tags and styles are left out.
    allowed : iterable of str
        Words of this text that may stay, such as the names of its arms; whole texts too.

    Examples
    --------
    >>> latin_words("CUPED: <b>relative lift</b> 5 % (email)")
    ['relative', 'lift']
    """
    text = _CODE.sub(" ", text)
    for name in sorted(allowed, key=len, reverse=True):
        text = text.replace(name, " ")
    return [word for word in _WORD.findall(text) if word not in NAMES]
