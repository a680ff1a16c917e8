"""Where a plan departs from the registered one, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from crm_lab import formats
from crm_lab.cards import plain
from crm_lab.experiments.plan import Plan
from crm_lab.language import say


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One place where a plan departs from the registered one.

    Attributes
    ----------
    key : str
        What differs, such as ``alpha`` or ``shares.reminder``.
    registered, found : str
        Both values, in words.
    """

    key: str
    registered: str
    found: str

    def __str__(self) -> str:
        return say(
            "{key}: registered {registered}, found {found}",
            key=self.key,
            registered=self.registered,
            found=self.found,
        )


def plan_differences(registered: Plan, found: Plan) -> tuple[Difference, ...]:
    """Say where a plan departs from the registered one, key by key.

    Parameters
    ----------
    registered : Plan
        What the ledger holds.
    found : Plan
        What the file says now, or what an analysis followed.
    """
    differences: list[Difference] = []
    for field in fields(Plan):
        before, after = getattr(registered, field.name), getattr(found, field.name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            differences += _mapping_differences(field.name, before, after)
        elif before != after:
            differences.append(_difference(field.name, before, after))
    return tuple(differences)


def _mapping_differences(
    key: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[Difference]:
    found: list[Difference] = []
    for name in dict.fromkeys([*before, *after]):
        one, other = before.get(name), after.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += _mapping_differences(f"{key}.{name}", one, other)
        elif one != other or (name in before) != (name in after):
            found.append(_difference(f"{key}.{name}", one, other))
    if not found and list(before) != list(after):  # arms own their buckets in this order
        found.append(_difference(f"{key} (order)", tuple(before), tuple(after)))
    return found


def _difference(key: str, before: object, after: object) -> Difference:
    return Difference(key=key, registered=_words(key, before), found=_words(key, after))


def _words(key: str, value: object) -> str:
    """Write a value of a plan for people."""
    if value is None:
        return say("nothing")
    if isinstance(value, bool):
        return say("yes") if value else say("no")
    if isinstance(value, datetime):
        return f"{formats.minute(value)} UTC"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(key, item)}" for name, item in value.items())
    if isinstance(value, float):
        first = key.partition(".")[0]
        is_share = "share" in first or first == "factors"
        return formats.separated(f"{100 * value:.10g} %" if is_share else f"{value:.12g}")
    if isinstance(value, (list, tuple)):
        return ", ".join(_words(key, item) for item in value) or say("nothing")
    if isinstance(value, str):
        return f"'{value}'"
    return str(plain(value))
