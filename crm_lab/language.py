"""The language of what people read: one current language, one catalogue of sentences.

English is written in the code; the catalogue ``crm_lab/locale/<language>/*.po`` holds the rest, in
the format of GNU gettext. A sentence is translated when it is shown:

>>> say("{count} runs", count=3)
'3 runs'
>>> with using_language("ru"):
...     say("All reports")
'Все отчёты'

What machines read (manifests, ``to_frame`` columns, code words) stays English.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Literal, get_args

Language = Literal["en", "ru"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
LANGUAGE_VARIABLE = "CRM_LAB_LANGUAGE"
"""Environment variable that chooses the language where nothing nearer does."""

CATALOGUE_FOLDER = Path(__file__).parent / "locale"
LABEL_CONTEXT = "label"
"""Context of column names and code words in the catalogue."""

_of_process: Language = "en"
_of_block: ContextVar[Language | None] = ContextVar("crm_lab_language", default=None)
"""What :func:`using_language` chose, for its own thread alone."""


Messages = Mapping[tuple[str, str], tuple[str, ...]]
"""Translations by context and English text, one for each plural form."""


def current_language() -> Language:
    """Give the language in which sentences are written now."""
    return _of_block.get() or _of_process


def set_language(language: Language) -> None:
    """Choose the language of this process, or of the :func:`using_language` block around it.

    Raises
    ------
    ValueError
        The language is not one of :data:`LANGUAGES`.
    """
    global _of_process
    _check(language)
    if _of_block.get() is None:
        _of_process = language
    else:
        _of_block.set(language)


@contextmanager
def using_language(language: Language) -> Iterator[None]:
    """Write sentences in a language for as long as the block lasts, in this thread alone.

    Raises
    ------
    ValueError
        The language is not one of :data:`LANGUAGES`.
    """
    _check(language)
    before = _of_block.set(language)
    try:
        yield
    finally:
        _of_block.reset(before)


def _check(language: str) -> None:
    if language not in LANGUAGES:
        raise ValueError(f"language {language!r} is not one of {', '.join(LANGUAGES)}")


def language_of_environment() -> Language | None:
    """Give the language that the environment asks for, or None where it names no known one."""
    asked = os.environ.get(LANGUAGE_VARIABLE, "")
    return next((language for language in LANGUAGES if language == asked), None)


def message(text: str) -> str:
    """Mark a text for the catalogue and give it back; it is translated where it is said."""
    return text


def say(text: str, /, **values: object) -> str:
    """Translate a sentence into the current language and fill in its values.

    Parameters
    ----------
    text : str
        The English sentence, a literal or a constant made by :func:`message`, with named
        placeholders such as ``{path}``.
    **values : object
        What stands in the placeholders; numbers and dates already written for people. Without
        values the text is taken as it is.
    """
    translated = _found(text) or text
    return translated.format(**values) if values else translated


def say_many(one: str, many: str, count: int, /, **values: object) -> str:
    """Translate a sentence that counts, in the form that the count takes.

    Parameters
    ----------
    one, many : str
        The English sentence for one and for any other count; ``{count}`` is the count, written
        with the separators of the language.
    count : int
        The count.
    **values : object
        As in :func:`say`.

    Examples
    --------
    >>> say_many("{count} customer", "{count} customers", 1200)
    '1,200 customers'
    >>> with using_language("ru"):
    ...     say_many("{count} run", "{count} runs", 3)
    '3 запуска'
    """
    written = {"count": grouped(count)} | values
    if current_language() != "en":
        forms = _messages(current_language()).get(("", one))
        if forms:
            form = min(plural_form(count, current_language()), len(forms) - 1)
            return forms[form].format(**written)
    return (one if abs(count) == 1 else many).format(**written)


def label(name: str) -> str:
    """Give a column name or a code word as people read it.

    Examples
    --------
    >>> label("customer_id")
    'customer id'
    """
    words = name.replace("_", " ")
    return _found(words, context=LABEL_CONTEXT) or words


def word(value: str) -> str:
    """Give a code word (a status, a channel) as people read it; any other text as it is."""
    return _found(value.replace("_", " "), context=LABEL_CONTEXT) or value


def grouped(count: int) -> str:
    """Write a whole number with the separators of the language."""
    text = f"{count:,}"
    return text if current_language() == "en" else text.replace(",", "\u00a0")


def plural_form(count: int, language: Language) -> int:
    """Give the number of the plural form that a count takes (Unicode CLDR).

    Examples
    --------
    >>> [plural_form(count, "ru") for count in (1, 3, 11, 21)]
    [0, 1, 2, 0]
    """
    count = abs(count)
    if language == "ru":
        if count % 10 == 1 and count % 100 != 11:
            return 0
        return 1 if count % 10 in (2, 3, 4) and count % 100 not in (12, 13, 14) else 2
    return int(count != 1)


def _found(text: str, *, context: str = "") -> str | None:
    if current_language() == "en":
        return None
    forms = _messages(current_language()).get((context, text))
    return forms[0] if forms else None


@functools.cache
def _messages(language: Language) -> Messages:
    """Read every file of a language; what is not translated yet is left out."""
    from babel.messages.pofile import read_po  # only other languages need it

    messages: dict[tuple[str, str], tuple[str, ...]] = {}
    for path in sorted((CATALOGUE_FOLDER / language).glob("*.po")):
        with path.open("rb") as file:
            entries = read_po(file, locale=language)
        for entry in entries:
            forms = entry.string if isinstance(entry.string, tuple) else (entry.string,)
            text = entry.id[0] if isinstance(entry.id, (list, tuple)) else entry.id
            if text and all(forms) and not entry.fuzzy:
                messages[(entry.context or "", text)] = forms
    return messages
