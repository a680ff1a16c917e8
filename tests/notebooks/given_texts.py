"""What may stand in English on a Russian page of the demonstration: what people gave."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from crm_lab.simulation.school_histories import FORMS, LANDINGS, REASONS
from tests.russian import latin_words

_UNSEEN = re.compile(
    r"<(style|script|svg|head|code)\b.*?</\1>|<table class=\"parameters\">.*?</table>"
    r"|<[^>]*>|\bdata:\S+",
    re.S,
)
_MADE = re.compile(
    r"\w[\w-]*\.(?:csv|parquet|yml|ipynb|json)\b"  # files
    r"|\b\d{8}T\d{6}Z-[\w-]+|\b(?=\w*\d)[0-9a-f]{7,64}\b|\b\d+-[0-9a-f]{8}\b"  # runs, hashes
    r"|\bcj-\d+|\baa-\d+|\bglobal-\d+|\bwb\.[\w.()=]+"
)
"""Names that files, runs and draws get by rule."""
_GIVEN_VALUES = {"company", "note", "title", "hypothesis", "owner", "label", "mechanic", "month"}
_GIVEN_KEYS = {"arms", "activities"}
_KNOWN = frozenset(
    {
        "Fader", "Hardie", "Lee", "Gamma-Gamma", "lifetimes",  # the forecast's models
        "intention to treat", "tau", "floor", "DR",
        "Type A", "Type B", "Type C",  # campaigns of the grocery chain
        "USD", "Python", "sha256",
        "reminder only; look again in February", "the reminder works, the newsletter does not",
        "crm-lab experiment decide", "crm-lab plan revise", "write_list",
    }
)  # fmt: skip
"""Names of methods and of the data; what the demonstration notes with its decisions."""


def left_in_english(page: Path, workbench: Path) -> list[str]:
    """Give the Latin words of a Russian page that neither people gave nor are names.

    Parameters
    ----------
    page : Path
        The published page, its manifest beside it.
    workbench : Path
        The folder with ``crm-lab.yml`` and ``experiments``.
    """
    manifest = json.loads((page.parent / "manifest.json").read_text("utf-8"))
    text = html.unescape(_UNSEEN.sub(" ", page.read_text("utf-8")))
    text = " ".join(_MADE.sub(" ", text).split())
    given = {" ".join(name.split()) for name in _given(workbench, manifest)} - {""}
    for name in sorted(given, key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", " ", text, flags=re.I)
    return latin_words(text)


def _given(workbench: Path, manifest: dict[str, Any]) -> Iterator[str]:
    yield from _KNOWN
    for path in [workbench / "crm-lab.yml", *sorted((workbench / "experiments").glob("*.yml"))]:
        yield path.stem if path.parent != workbench else ""
        yield from _names_of(yaml.safe_load(path.read_text("utf-8")))
    yield from manifest["packages"]
    yield from (str(manifest["context"][key]) for key in ("company", "about_the_data"))
    yield from LANDINGS.values()
    yield from (form[0] for form in FORMS.values())
    for reason in REASONS.values():
        yield from (reason[0], reason[2])


def _names_of(node: object) -> Iterator[str]:
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key in _GIVEN_VALUES:
            yield str(value)
        if key in _GIVEN_KEYS:
            yield from value
            yield from (f"{name}.{field}" for name, fields in value.items() for field in fields)
        yield from _names_of(value)
