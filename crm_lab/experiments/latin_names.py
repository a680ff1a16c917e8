"""Names in small ASCII letters: what is no such letter, and the name that is closest."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from crm_lab import formats
from crm_lab.errors import Fault
from crm_lab.language import say

SHOWN = 5
"""How many bad letters, values or names a message lists."""
LATIN_OF: Mapping[str, str] = {
    **dict(zip("абвгдезийклмнопрстуфыэіґўқ", "abvgdeziyklmnoprstufyeiguq", strict=True)),
    "ё": "e",
    "ж": "zh",
    "х": "kh",
    "ц": "ts",
    "ч": "ch",
    "ш": "sh",
    "щ": "shch",
    "ъ": "",
    "ь": "",
    "ю": "yu",
    "я": "ya",
    "ї": "i",
    "є": "e",
}
"""Cyrillic letter by letter into Latin ones."""
LOOKS_LIKE: Mapping[str, str] = dict(zip("аеорсухіјѕкмтвн", "aeopcyxijskmtbh", strict=True))
"""Cyrillic letters that look like a Latin one: what a keyboard left in a Latin word."""


def suggest_name(text: str) -> str:
    """Write a name in small ASCII letters, digits and ``-``, ``_``, ``.``, as close as it goes.

    Cyrillic is transliterated; in a word that mixes both alphabets a Cyrillic letter that looks
    like a Latin one becomes that one. The result may be empty where no letter is known.

    Examples
    --------
    >>> suggest_name("Весна Скидка_2026"), suggest_name("prоmo"), suggest_name("Été")
    ('vesna-skidka_2026', 'promo', 'ete')
    """
    words = re.split(r"([\s_.\-]+)", unicodedata.normalize("NFC", text).lower())
    joined = "".join(
        _latin(word) if place % 2 == 0 else ("-" if word.isspace() else word.strip())
        for place, word in enumerate(words)
    )
    return re.sub(r"([-_.])[-_.]+", r"\1", re.sub(r"[^a-z0-9._-]", "", joined)).strip("-_.")


def _latin(word: str) -> str:
    is_mixed = re.search("[a-z]", word) is not None
    letters = []
    for letter in word:
        if is_mixed and letter in LOOKS_LIKE:
            letters.append(LOOKS_LIKE[letter])
        elif letter in LATIN_OF:
            letters.append(LATIN_OF[letter])
        else:
            letters.append(unicodedata.normalize("NFKD", letter))
    return "".join(letters)


def letter_faults(text: str, what: str, where: str) -> list[Fault]:
    """Name the letters of a text that no name may hold, and offer one without them."""
    odd = list(dict.fromkeys(re.findall(r"[^a-z0-9._-]", text)))
    if not odd:
        return []
    named = formats.listing(
        (f"'{letter}' ({unicodedata.name(letter, 'no letter')})" for letter in odd), limit=SHOWN
    )
    offer = suggest_name(text)
    return [
        Fault(
            found=say("{what} holds {letters}", what=what, letters=named),
            expected=say("small ASCII letters, digits, - _ ."),
            where=where,
            remedy=say("write it '{name}'", name=offer) if offer else say("choose another"),
        )
    ]
