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
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import parse_qsl, urlsplit

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError, Fault
from crm_lab.experiments.latin_names import SHOWN, letter_faults, suggest_name
from crm_lab.experiments.spec import ExperimentSpec
from crm_lab.experiments.tagging_rules import (
    EXAMPLES,
    LONGEST_NAME,
    TaggingRules,
    UtmRules,
    parts_of,
    tags_by_pattern,
    tags_of,
    value_pattern_of,
    values_of,
)
from crm_lab.language import grouped, message, say, say_many

UTM_KEYS = ("utm_source", "utm_medium", "utm_campaign")


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
    >>> from crm_lab.experiments.tagging_rules import TagRule
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
    faults = letter_faults(name, say("the name '{name}'", name=name), where)
    # what else is wrong is looked for in the name as it would be written
    readable = suggest_name(name) if faults else name
    return faults + _part_faults(readable, rules, where)


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
            faults += letter_faults(value, f"{key} '{value}'", place)
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


def _part_faults(name: str, rules: TaggingRules, where: str) -> list[Fault]:
    found = tags_by_pattern(name, rules)
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
        _not_among(value, tag, values_of(tag, rules), where)
        for tag, value in found.items()
        if not re.fullmatch(value_pattern_of(tag, rules), value)
    ]


def _tag_faults(row: Mapping[str, object], called: str, rules: TaggingRules) -> list[Fault]:
    in_name = tags_of(called, rules)
    named = {part for part, is_tag in parts_of(rules.name_pattern or "") if is_tag}
    faults = []
    for tag, rule in rules.tags.items():
        value = _text(row.get(tag))
        if value and not re.fullmatch(value_pattern_of(tag, rules), value):
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
        (EXAMPLES.get(part) or next(iter(values_of(part, rules)), part)) if is_tag else part
        for part, is_tag in parts_of(rules.name_pattern or "")
    )
    return say("a name such as {example}", example=example)


def _text(value: object) -> str:
    return "" if value is None or bool(pd.isna(value)) else str(value).strip()  # type: ignore[call-overload]
