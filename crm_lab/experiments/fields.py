"""What every declared file is made of: names, days, shares, numbers; and how one is read."""

from __future__ import annotations

import re
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from ruamel.yaml.comments import CommentedMap

from crm_lab.errors import SpecError
from crm_lab.language import say
from crm_lab.yaml_files import read_yaml

CONTROL = "control"
REST = "rest"
BUCKETS = 10_000
FIRST_YEAR, LAST_YEAR = 1990, 2200

Channel = Literal[
    "email", "sms", "call", "messenger", "bot", "push_mobile", "push_web", "social", "postal"
]


def check_name(name: str) -> str:
    """Accept a name that is safe as a file name: small letters, digits and hyphens."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", name):
        raise ValueError(
            say(
                "'{name}' is not a name of small letters, digits and hyphens (at most 64)",
                name=name,
            )
        )
    return name


def check_whole_buckets(share: float) -> float:
    """Accept a share that is a whole number of 1/10,000 parts."""
    if abs(share * BUCKETS - round(share * BUCKETS)) > 1e-6:
        raise ValueError(
            say("{share} is finer than 0.0001, the smallest part of the base", share=share)
        )
    return share


def read_day(value: object) -> date:
    """Read a day as YAML gives it, in quotes or not; a moment or a bare number is none."""
    text = "" if isinstance(value, datetime) else str(value)
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise ValueError(say("'{value}' is not a day such as 2026-12-01", value=value)) from None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(
            say(
                "{day} is not between {first} and {last}",
                day=day,
                first=FIRST_YEAR,
                last=LAST_YEAR,
            )
        )
    return day


Name = Annotated[str, AfterValidator(check_name)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True)]
Day = Annotated[date, BeforeValidator(read_day)]
Share = Annotated[Number, Field(gt=0, le=1), AfterValidator(check_whole_buckets)]


def day_or_none(value: object) -> date | None:
    """Read a day, or nothing where it is none."""
    try:
        return read_day(value)
    except ValueError:
        return None


def read_declared(path: Path) -> CommentedMap:
    """Read one YAML file of the experiments folder.

    Raises
    ------
    SpecError
        It is missing or no YAML, or holds a date that does not exist.
    """
    try:
        return read_yaml(path, error=SpecError)
    except ValueError as problem:  # YAML reads 2026-02-30 as a date, and there is none
        lines = path.read_text("utf-8-sig").splitlines()
        line = next((n for n, text in enumerate(lines, 1) if _has_no_such_day(text)), None)
        raise SpecError(
            say("a date that does not exist ({problem})", problem=problem),
            where=say("{path}, line {line}", path=path, line=line) if line else str(path),
        ) from None


def _has_no_such_day(text: str) -> bool:
    return any(
        day_or_none(word) is None for word in re.findall(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}\b", text)
    )
