"""How campaigns are named and tagged, so that a report can be made along every tag.

The rules stand in ``experiments/tagging.yml``; without that file nothing is asked::

    name_pattern: "{direction}_{channel}_{mechanic}_{yyyymm}"
    tags:
      direction: {values: [retention, acquisition, reactivation]}
      channel: {values: [email, sms, push]}
      mechanic: {values: [discount, reminder, news]}
      audience: {required: false}
    utm:
      source: [crm]
      medium: [email, sms, push]
      medium_of_channel: {email: email, sms: sms, push: push}

Names are small ASCII letters, digits and ``-``, ``_``, ``.``: they end up in addresses, file
names and other people's systems. For a name in Cyrillic letters a transliteration is offered.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, ClassVar
from urllib.parse import parse_qsl, urlsplit

import pandas as pd
from pydantic import AfterValidator, model_validator

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError, Fault, SpecError
from crm_lab.experiments.spec import TAGGING_FILE, ExperimentSpec
from crm_lab.language import grouped, message, say, say_many
from crm_lab.yaml_files import Declared, read_yaml, validate

UTM_KEYS = ("utm_source", "utm_medium", "utm_campaign")
LONGEST_NAME = 200
WORD = r"[a-z0-9]+(?:[-_.][a-z0-9]+)*"
"""A tag's value where no list of values is given."""
SHOWN = 5
"""How many bad letters, values or names a message lists."""

DATES: Mapping[str, str] = {
    "yyyy": r"20[0-9]{2}",
    "yyyymm": r"20[0-9]{2}(?:0[1-9]|1[0-2])",
    "yyyymmdd": r"20[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])",
}
"""Placeholders that stand for a date, with their pattern."""
EXAMPLES: Mapping[str, str] = {"yyyy": "2026", "yyyymm": "202612", "yyyymmdd": "20261201"}

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
            parts = _parts(self.name_pattern)
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


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class UntaggedShare(Result):
    """How many activities cannot be told apart in a report, because their tags are missing.

    Attributes
    ----------
    activities, untagged : int
        All of them, and those that break a rule.
    share : float
        Part that is untagged; NaN where there is no activity.
    reason : str
        Why the share is not known; else empty.
    faults : pandas.DataFrame
        Columns activity, what, expected, to_do: one row per fault.
    """

    title: ClassVar[str] = message("Tagging")

    activities: int
    untagged: int
    share: float
    reason: str
    faults: pd.DataFrame

    @property
    def is_complete(self) -> bool:
        """Whether a report along the tags would miss nothing."""
        return self.activities > 0 and self.untagged == 0

    def sentence(self) -> str:
        """Say which part is untagged and what comes first."""
        if self.reason:
            return say("The untagged share is not known: {reason}.", reason=self.reason)
        if not self.untagged:
            return say(
                "All {count} activities are named and tagged by the rules.",
                count=grouped(self.activities),
            )
        return say(
            "{untagged} of {activities} activities ({share}) are not tagged by the rules: {names}.",
            untagged=grouped(self.untagged),
            activities=grouped(self.activities),
            share=formats.percent(self.share),
            names=formats.listing(dict.fromkeys(self.faults["activity"]), limit=SHOWN),
        )

    def to_frame(self) -> pd.DataFrame:
        """Give the faults, one row each."""
        return self.faults


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


def check_name(name: str, rules: TaggingRules, *, where: str = "") -> list[Fault]:
    """List everything that is wrong with the name of a campaign; nothing without a rule.

    Parameters
    ----------
    name : str
        The name as it was given.
    rules : TaggingRules
        Rules of the company.
    where : str
        File, row or link the name stands in, for the message.

    Examples
    --------
    >>> rules = TaggingRules(
    ...     name_pattern="{channel}_{yyyymm}", tags={"channel": TagRule(values=("email", "sms"))}
    ... )
    >>> check_name("email_202612", rules)
    []
    >>> [fault.found for fault in check_name("emial_202613", rules)]
    ["'emial' as channel", "'202613' as yyyymm"]
    """
    if rules.name_pattern is None:
        return []
    if not name:
        return [Fault(found=say("the name is empty"), expected=_like(rules), where=where)]
    if len(name) > LONGEST_NAME:
        return [
            Fault(
                found=say_many(
                    "the name has {count} character", "the name has {count} characters", len(name)
                ),
                expected=say("at most {most}", most=LONGEST_NAME),
                where=where,
            )
        ]
    faults = _letter_faults(name, say("the name '{name}'", name=name), where)
    # what else is wrong is looked for in the name as it would be written
    readable = suggest_name(name) if faults else name
    return faults + _part_faults(readable, rules, where)


def tags_of(name: str, rules: TaggingRules) -> dict[str, str]:
    """Read the tags and dates out of a name; those that cannot be read are left out."""
    if rules.name_pattern is None:
        return {}
    match = _match(name, rules)
    if match is None:
        return {}
    return {
        tag: value
        for tag, value in match.items()
        if re.fullmatch(_value_pattern(tag, rules), value)
    }


def check_experiment(spec: ExperimentSpec, rules: TaggingRules, *, where: str = "") -> list[Fault]:
    """List what is wrong with an experiment's name: the rule, and what the file itself says.

    A name that says ``sms`` while the file sends e-mail, or another month than the start's, would
    put the campaign into the wrong line of every report.
    """
    faults = check_name(spec.name, rules, where=where)
    tags = tags_of(spec.name, rules)
    said = {
        "channel": spec.channel,
        "yyyy": f"{spec.starts_on:%Y}",
        "yyyymm": f"{spec.starts_on:%Y%m}",
        "yyyymmdd": f"{spec.starts_on:%Y%m%d}",
    }
    return faults + [
        Fault(
            found=say("the name says {tag} '{value}'", tag=tag, value=tags[tag]),
            expected=say("'{value}', as the file says", value=value),
            where=where or spec.name,
        )
        for tag, value in said.items()
        if tag in tags and tags[tag] != value
    ]


def check_utm(
    link: str | Mapping[str, str], rules: TaggingRules, *, campaign: str = "", where: str = ""
) -> list[Fault]:
    """List everything that is wrong with the tags of a link; nothing without a rule for links.

    Parameters
    ----------
    link : str or mapping
        An address, or its utm parameters by name.
    rules : TaggingRules
        Rules of the company.
    campaign : str
        Name of the campaign that the link belongs to, if it is known.
    where : str
        Message or row the link stands in.
    """
    if rules.utm is None:
        return []
    faults: list[Fault] = []
    pairs = list(link.items()) if isinstance(link, Mapping) else _pairs(link, where, faults)
    place = where or (link[:LONGEST_NAME] if isinstance(link, str) else "")
    given: dict[str, list[str]] = {}
    for key, value in pairs:
        name = key.lower().removeprefix("amp;").strip()
        if not name.startswith("utm_"):
            continue
        given.setdefault(name, []).append(value)
        if name != key:
            remedy = say("write & instead of &amp;") if key.startswith("amp;") else ""
            faults.append(
                Fault(
                    found=say("the key '{key}'", key=key),
                    expected=f"'{name}'",
                    where=place,
                    remedy=remedy,
                )
            )
    for key in UTM_KEYS:
        values = given.get(key, [])
        if not any(values):
            found = say("{key} is empty", key=key) if values else say("{key} is missing", key=key)
            faults.append(Fault(found=found, expected=say("a value"), where=place))
        elif len(set(values)) > 1:
            listed = formats.listing(values, limit=SHOWN)
            faults.append(
                Fault(
                    found=say("{key} stands there twice: {values}", key=key, values=listed),
                    expected=say("once"),
                    where=place,
                )
            )
    first = {key: next((value for value in values if value), "") for key, values in given.items()}
    for key, value in first.items():
        if value and not (key == "utm_campaign" and rules.name_pattern):
            faults += _letter_faults(value, f"{key} '{value}'", place)
    for key, allowed in (("utm_source", rules.utm.source), ("utm_medium", rules.utm.medium)):
        value = first.get(key, "")
        if value and allowed and value not in allowed:
            faults.append(_not_among(value, key, allowed, place))
    return faults + _campaign_faults(first, rules, rules.utm, campaign, place)


def untagged_share(
    frame: pd.DataFrame, rules: TaggingRules, *, name: str = "campaign_id"
) -> UntaggedShare:
    """Count the activities that break a rule; before a report along tags it must be 0.

    A tag counts as given when the frame has a column of its name with an allowed value in it, or
    else when the name holds one.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per activity, with its name and, where they are kept apart, its tags.
    rules : TaggingRules
        Rules of the company.
    name : str
        Column with the name.

    Raises
    ------
    DesignError
        There is no such column.
    """
    if name not in frame.columns:
        raise DesignError(
            say("the frame has no column '{name}'", name=name),
            expected=say("one of {words}", words=formats.listing(map(str, frame.columns))),
        )
    rows: list[dict[str, str]] = []
    untagged = 0
    for record in frame.to_dict("records"):
        row = {str(key): value for key, value in record.items()}
        called = _text(row[name])
        faults = check_name(called, rules) + _tag_faults(row, called, rules)
        untagged += bool(faults)
        rows += [
            {
                "activity": called or say("(no name)"),
                "what": fault.found,
                "expected": fault.expected,
                "to_do": fault.remedy,
            }
            for fault in faults
        ]
    return UntaggedShare(
        activities=len(frame),
        untagged=untagged,
        share=untagged / len(frame) if len(frame) else float("nan"),
        reason="" if len(frame) else say("there is no activity"),
        faults=pd.DataFrame(rows, columns=["activity", "what", "expected", "to_do"]),
    )


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


def _letter_faults(text: str, what: str, where: str) -> list[Fault]:
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


def _part_faults(name: str, rules: TaggingRules, where: str) -> list[Fault]:
    found = _match(name, rules)
    if found is None:
        return [
            Fault(
                found=say(
                    "the name '{name}' is not built like {pattern}",
                    name=name,
                    pattern=rules.name_pattern,
                ),
                expected=_like(rules),
                where=where,
            )
        ]
    return [
        _not_among(value, tag, _values(tag, rules), where)
        for tag, value in found.items()
        if not re.fullmatch(_value_pattern(tag, rules), value)
    ]


def _tag_faults(row: Mapping[str, object], called: str, rules: TaggingRules) -> list[Fault]:
    in_name = tags_of(called, rules)
    named = {part for part, is_tag in _parts(rules.name_pattern or "") if is_tag}
    faults = []
    for tag, rule in rules.tags.items():
        value = _text(row.get(tag))
        if value and not re.fullmatch(_value_pattern(tag, rules), value):
            faults.append(_not_among(value, tag, rule.values, ""))
        elif value and tag in in_name and in_name[tag] != value:
            faults.append(
                Fault(
                    found=say("{tag} is '{value}'", tag=tag, value=value),
                    expected=say("'{value}', as the name says", value=in_name[tag]),
                )
            )
        elif not value and rule.required and tag not in named:
            faults.append(
                Fault(found=say("{key} is missing", key=tag), expected=_choices(rule.values))
            )
    return faults


def _campaign_faults(
    first: Mapping[str, str], rules: TaggingRules, utm: UtmRules, campaign: str, where: str
) -> list[Fault]:
    value = first.get("utm_campaign", "")
    faults: list[Fault] = []
    if value:
        faults += check_name(value, rules, where=where)
    if value and campaign and value != campaign:
        faults.append(
            Fault(
                found=f"utm_campaign '{value}'",
                expected=say("'{name}', the name of the campaign", name=campaign),
                where=where,
            )
        )
    channel = tags_of(campaign or value, rules).get("channel", "")
    medium = first.get("utm_medium", "")
    belongs = utm.medium_of_channel.get(channel, "")
    if medium and belongs and medium != belongs:
        faults.append(
            Fault(
                found=say(
                    "utm_medium '{medium}' with the channel '{channel}'",
                    medium=medium,
                    channel=channel,
                ),
                expected=f"'{belongs}'",
                where=where,
            )
        )
    return faults


def _pairs(link: str, where: str, faults: list[Fault]) -> list[tuple[str, str]]:
    try:
        parts = urlsplit(link.strip())
    except ValueError as problem:
        faults.append(
            Fault(
                found=say("'{link}' is no address ({problem})", link=link, problem=problem),
                expected="https://…",
                where=where,
            )
        )
        return []
    behind = parse_qsl(parts.fragment.partition("?")[2] or parts.fragment, keep_blank_values=True)
    if any(key.lower().startswith("utm_") for key, _ in behind):
        faults.append(
            Fault(
                found=say("utm tags behind the #"),
                expected=say("tags before it: what follows # is not counted"),
                where=where or link[:LONGEST_NAME],
            )
        )
    return parse_qsl(parts.query, keep_blank_values=True)


def _not_among(value: str, tag: str, allowed: tuple[str, ...], where: str) -> Fault:
    near = difflib.get_close_matches(value, allowed, n=1)
    return Fault(
        found=say("'{value}' as {tag}", value=value, tag=tag),
        expected=say("{example}, for example", example=EXAMPLES[tag])
        if tag in EXAMPLES
        else _choices(allowed),
        where=where,
        remedy=say("perhaps '{name}' is meant", name=near[0]) if near else "",
    )


def _choices(allowed: tuple[str, ...]) -> str:
    if not allowed:
        return say("a word such as spring")
    return say("one of {words}", words=formats.listing(allowed, limit=20))


def _like(rules: TaggingRules) -> str:
    example = "".join(
        (EXAMPLES.get(part) or next(iter(_values(part, rules)), part)) if is_tag else part
        for part, is_tag in _parts(rules.name_pattern or "")
    )
    return say("a name such as {example}", example=example)


def _values(tag: str, rules: TaggingRules) -> tuple[str, ...]:
    rule = rules.tags.get(tag, TagRule())
    return rule.values  # noqa: PD011 - a rule is no frame


def _value_pattern(tag: str, rules: TaggingRules) -> str:
    if tag in DATES:
        return DATES[tag]
    values = _values(tag, rules)
    # the longest first: of 'push' and 'push-web' the second is tried before
    return "|".join(map(re.escape, sorted(values, key=len, reverse=True))) if values else WORD


def _match(name: str, rules: TaggingRules) -> dict[str, str] | None:
    """Take a name apart: by the values that are allowed, else by the separators alone."""
    parts = _parts(rules.name_pattern or "")
    separators = sorted(
        {sign for text, is_tag in parts if not is_tag for sign in text} & set("-_.")
    )
    other = f"[^{re.escape(''.join(separators))}]+" if separators else ".+"
    listed = {
        tag: f"{_value_pattern(tag, rules)}|{other}"
        if tag in DATES or _values(tag, rules)
        else other
        for tag, is_tag in parts
        if is_tag
    }
    text = "".join(f"({listed[part]})" if is_tag else re.escape(part) for part, is_tag in parts)
    match = re.fullmatch(text, name)
    return None if match is None else dict(zip(listed, match.groups(), strict=True))


def _parts(pattern: str) -> list[tuple[str, bool]]:
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


def _text(value: object) -> str:
    return "" if value is None or bool(pd.isna(value)) else str(value).strip()  # type: ignore[call-overload]
