"""The rules of ``experiments/tagging.yml``, and how a name is read by them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, model_validator

from crm_lab import formats
from crm_lab.errors import SpecError
from crm_lab.experiments.spec import TAGGING_FILE
from crm_lab.language import say
from crm_lab.yaml_files import Declared, read_yaml, validate

LONGEST_NAME = 200
WORD = r"[a-z0-9]+(?:[-_.][a-z0-9]+)*"
"""A tag's value where no list of values is given."""
DATES: Mapping[str, str] = {
    "yyyy": r"20[0-9]{2}",
    "yyyymm": r"20[0-9]{2}(?:0[1-9]|1[0-2])",
    "yyyymmdd": r"20[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])",
}
"""Placeholders that stand for a date, with their pattern."""
EXAMPLES: Mapping[str, str] = {"yyyy": "2026", "yyyymm": "202612", "yyyymmdd": "20261201"}


def _word(value: str) -> str:
    if not re.fullmatch(WORD, value):
        raise ValueError(
            say("'{value}' is not made of small ASCII letters, digits and - _ .", value=value)
        )
    return value


Word = Annotated[str, AfterValidator(_word)]


class TagRule(Declared):
    """One tag that activities carry.

    Attributes
    ----------
    values : tuple of str
        What it may be; empty: any word.
    required : bool
        Whether an activity without it counts as untagged.
    """

    values: tuple[Word, ...] = ()
    required: bool = True


class UtmRules(Declared):
    """What the links of a campaign carry.

    Attributes
    ----------
    source, medium : tuple of str
        Allowed values of utm_source and utm_medium; empty: any word.
    medium_of_channel : mapping
        The utm_medium that belongs to each value of the tag ``channel``.
    """

    source: tuple[Word, ...] = ()
    medium: tuple[Word, ...] = ()
    medium_of_channel: Mapping[Word, Word] = {}

    @model_validator(mode="after")
    def _consistent(self) -> UtmRules:
        odd = sorted(set(self.medium_of_channel.values()) - set(self.medium))
        if self.medium and odd:
            raise ValueError(
                say(
                    "medium_of_channel names {words}, which no medium is",
                    words=formats.listing(odd),
                )
            )
        return self


class TaggingRules(Declared):
    """Naming and tagging rules of a company; by default there are none.

    Attributes
    ----------
    name_pattern : str or None
        How campaigns are called, with tags and dates in braces; None: no rule for names.
    tags : mapping
        The tags by name.
    utm : UtmRules or None
        What links carry; None: no rule for links.
    """

    name_pattern: str | None = None
    tags: Mapping[Word, TagRule] = {}
    utm: UtmRules | None = None

    @model_validator(mode="after")
    def _pattern_can_be_read(self) -> TaggingRules:
        if self.name_pattern is not None:
            parts = parts_of(self.name_pattern)
            held = [name for name, is_tag in parts if is_tag]
            known = {*self.tags, *DATES}
            unknown = [name for name in held if name not in known]
            if unknown:
                raise ValueError(
                    say(
                        "the name_pattern holds {placeholder}, which is neither a tag nor one of"
                        " {words}",
                        placeholder=f"{{{unknown[0]}}}",
                        words=", ".join(DATES),
                    )
                )
            if len(set(held)) < len(held):
                raise ValueError(say("the name_pattern holds the same placeholder twice"))
            if any(a[1] and b[1] for a, b in pairwise(parts)):
                raise ValueError(
                    say("two placeholders of the name_pattern touch: put a _ between them")
                )
        clash = sorted(set(self.tags) & set(DATES))
        if clash:
            raise ValueError(say("the tag '{name}' is called like a date", name=clash[0]))
        return self

    @property
    def has_rule(self) -> bool:
        """Whether anything is asked of a name, a tag or a link."""
        return bool(self.name_pattern or self.tags or self.utm)


def load_tagging_rules(folder: Path) -> TaggingRules:
    """Read ``tagging.yml`` of the experiments folder; without the file there are no rules.

    Raises
    ------
    SpecError
        The file is wrong: all faults at once.
    """
    path = folder / TAGGING_FILE
    if not path.is_file():
        return TaggingRules()
    return validate(TaggingRules, read_yaml(path, error=SpecError), path=path, error=SpecError)


def tags_of(name: str, rules: TaggingRules) -> dict[str, str]:
    """Read the tags and dates out of a name; those that cannot be read are left out."""
    if rules.name_pattern is None:
        return {}
    match = tags_by_pattern(name, rules)
    if match is None:
        return {}
    return {
        tag: value
        for tag, value in match.items()
        if re.fullmatch(value_pattern_of(tag, rules), value)
    }


def values_of(tag: str, rules: TaggingRules) -> tuple[str, ...]:
    """Give the values that a tag may have; empty where any word will do."""
    rule = rules.tags.get(tag, TagRule())
    return rule.values


def value_pattern_of(tag: str, rules: TaggingRules) -> str:
    """Give the pattern that a value of a tag follows."""
    if tag in DATES:
        return DATES[tag]
    values = values_of(tag, rules)
    # the longest first: of 'push' and 'push-web' the second is tried before
    return "|".join(map(re.escape, sorted(values, key=len, reverse=True))) if values else WORD


def tags_by_pattern(name: str, rules: TaggingRules) -> dict[str, str] | None:
    """Take a name apart: by the values that are allowed, else by the separators alone."""
    parts = parts_of(rules.name_pattern or "")
    separators = sorted(
        {sign for text, is_tag in parts if not is_tag for sign in text} & set("-_.")
    )
    other = f"[^{re.escape(''.join(separators))}]+" if separators else ".+"
    listed = {
        tag: f"{value_pattern_of(tag, rules)}|{other}"
        if tag in DATES or values_of(tag, rules)
        else other
        for tag, is_tag in parts
        if is_tag
    }
    text = "".join(f"({listed[part]})" if is_tag else re.escape(part) for part, is_tag in parts)
    match = re.fullmatch(text, name)
    return None if match is None else dict(zip(listed, match.groups(), strict=True))


def parts_of(pattern: str) -> list[tuple[str, bool]]:
    """Split a pattern into texts and placeholders, in order: (text or name, is a placeholder)."""
    pieces = re.split(r"\{([^{}]*)\}", pattern)
    parts = [(piece, place % 2 == 1) for place, piece in enumerate(pieces) if piece or place % 2]
    for piece, is_tag in parts:
        if not is_tag and not re.fullmatch(r"[a-z0-9._-]+", piece):
            raise ValueError(
                say(
                    "the name_pattern holds '{piece}', which is no text of small ASCII letters,"
                    " digits and - _ . and no {tag}",
                    piece=piece,
                    tag="{tag}",
                )
            )
    return parts
