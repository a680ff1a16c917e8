"""The map of a source file: which column goes where, and how its text is read.

One YAML file per kind of source file::

    table: orders
    source_system: till
    files: "orders*.csv"
    encoding: cp1251
    delimiter: ";"
    decimal: ","
    thousands: " "
    date_formats: ["%d.%m.%Y %H:%M"]
    timezone: Europe/Moscow
    columns:
      order_id: Номер
      customer_id: {from: Клиент}
      ordered_at: Дата
      net_revenue: {from: Сумма}
      channel: {from: Канал, values: {магазин: store, сайт: web}}
      status: {value: paid}
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from crm_lab.errors import Fault, FileError
from crm_lab.formats import listing
from crm_lab.gateway.notation import STRIPPED, THOUSANDS
from crm_lab.gateway.schema import TABLES, Table, importable_tables
from crm_lab.gateway.store import file_sha256
from crm_lab.language import say
from crm_lab.settings import TimezoneName
from crm_lab.yaml_files import Declared, place, read_yaml, validate

_DIRECTIVES = tuple(
    f"%{name}" for name in ("Y", "y", "-y", "m", "-m", "b", "B", "d", "-d", "j", "-j", "a", "A")
) + tuple(f"%{name}" for name in ("H", "-H", "I", "-I", "M", "-M", "S", "-S", "f", "g", "p", "z"))
_DAY_AND_MONTH = str.maketrans("dm", "md")
DEFAULT_DATE_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S")


class SourceColumn(Declared):
    """Where one column of the gateway comes from: a column of the file, or one fixed value.

    Attributes
    ----------
    source : str, optional
        Column of the file (``from`` in YAML).
    value : str, optional
        The same text for every row, instead of a column.
    values : mapping
        Words of the file and what they mean here, compared without case.
    prefix : str
        Text set before each value, to keep ids of two systems apart.
    """

    source: str | None = Field(default=None, alias="from")
    value: str | None = Field(default=None, min_length=1)
    values: Mapping[str, str] = Field(default_factory=dict)
    prefix: str = ""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: Any) -> Any:
        return {"from": data} if isinstance(data, (str, int)) else data

    @field_validator("source", "value", mode="before")
    @classmethod
    def _as_text(cls, data: Any) -> Any:
        return _text(data)

    @field_validator("values", mode="before")
    @classmethod
    def _meanings_as_text(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        return {str(word).strip(STRIPPED): _text(meaning) for word, meaning in data.items()}

    @field_validator("values")
    @classmethod
    def _words_differ(cls, values: Mapping[str, str]) -> Mapping[str, str]:
        if "" in values:
            raise ValueError(say("an empty cell has no word to translate"))
        lowered = [word.lower() for word in values]
        twice = sorted({word for word in lowered if lowered.count(word) > 1})
        if twice:
            raise ValueError(
                say("{words} twice: words are compared without case", words=listing(twice))
            )
        return values

    @model_validator(mode="after")
    def _one_origin(self) -> SourceColumn:
        if (self.source is None) == (self.value is None):
            raise ValueError(say("give either 'from' (a column of the file) or 'value'"))
        return self


class SourceMap(Declared):
    """What a map file may hold; see the module for an example.

    Attributes
    ----------
    table : str
        Table of the gateway that the rows go to.
    source_system : str
        Name of the system that wrote the file.
    files : str
        Pattern of the file names that this map reads.
    format : {"csv", "parquet"}
        Kind of file.
    encoding, delimiter, decimal, thousands : str
        How a CSV file is written.
    date_formats : list of str
        strptime formats that times may have; tried in order.
    timezone : str
        Zone of times that carry none.
    columns : mapping
        Column of the gateway to where it comes from.
    create_customers : bool
        Whether customer ids that are not known yet become customers (for a company that has only
        an order file).
    on_error : {"reject", "fail"}
        Whether a wrong row is set aside with its reason, or stops the import.
    max_rejected_share : float
        More rejected rows than this share refuse the whole file: the map is probably wrong.
    """

    table: str
    source_system: str = Field(min_length=1)
    files: str = "*"
    format: Literal["csv", "parquet"] = "csv"
    encoding: str = "utf-8"
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    decimal: Literal[".", ","] = "."
    thousands: str = Field(default="", max_length=1)
    date_formats: tuple[str, ...] = DEFAULT_DATE_FORMATS
    timezone: TimezoneName = "UTC"
    columns: Mapping[str, SourceColumn] = Field(min_length=1)
    create_customers: bool = False
    on_error: Literal["reject", "fail"] = "reject"
    max_rejected_share: float = Field(default=0.2, ge=0, le=1)

    @field_validator("table")
    @classmethod
    def _known_table(cls, name: str) -> str:
        if name not in importable_tables():
            raise ValueError(
                say(
                    "unknown table '{name}'; {hint}",
                    name=name,
                    hint=_hint(name, importable_tables()),
                )
            )
        return name

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, name: str) -> str:
        try:
            is_read = codecs.lookup(name).name == "utf-8-sig" or "a,\n".encode(name) == b"a,\n"
        except (LookupError, ValueError):
            raise ValueError(
                say("unknown encoding '{name}'; use utf-8, utf-8-sig or cp1251, say", name=name)
            ) from None
        if not is_read:
            raise ValueError(
                say("the encoding '{name}' is not read; save the file as 'CSV UTF-8'", name=name)
            )
        return name

    @field_validator("delimiter")
    @classmethod
    def _can_delimit(cls, sign: str) -> str:
        if sign.isalnum() or sign in '"\r\n+-':
            raise ValueError(say("{sign} cannot separate fields", sign=repr(sign)))
        return sign

    @field_validator("thousands")
    @classmethod
    def _can_separate(cls, sign: str) -> str:
        if sign not in THOUSANDS:
            raise ValueError(
                say(
                    "{sign} does not separate thousands; use a space, '.', ',' or \"'\"",
                    sign=repr(sign),
                )
            )
        return sign

    @field_validator("date_formats")
    @classmethod
    def _formats_agree(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        if not formats:
            raise ValueError(say('write formats such as "%d.%m.%Y"'))
        for item in formats:
            _check_format(item)
        swapped = {item.translate(_DAY_AND_MONTH) for item in formats}
        confused = sorted(item for item in formats if item in swapped and "%d" in item)
        if confused:
            raise ValueError(
                say(
                    "{formats} cannot stand together: 05/03 would be read as either day",
                    formats=listing(confused),
                )
            )
        return formats

    @model_validator(mode="after")
    def _separators_differ(self) -> SourceMap:
        if self.thousands and self.thousands == self.decimal:
            raise ValueError(say("'thousands' and 'decimal' are the same character"))
        says_utc = [item for item in self.date_formats if item.endswith("Z") and "%Z" not in item]
        if says_utc and self.timezone != "UTC":
            raise ValueError(
                say(
                    "times written as {formats} are UTC, and 'timezone' is {zone}",
                    formats=listing(says_utc),
                    zone=self.timezone,
                )
            )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedMap:
    """A map that has been read and checked, with the file it came from.

    Attributes
    ----------
    path : pathlib.Path
        The map file.
    sha256 : str
        Hash of the map file; a changed map makes a new import of the same data file.
    declared : SourceMap
        What it says.
    table : Table
        The gateway table it fills.
    """

    path: Path
    sha256: str
    declared: SourceMap
    table: Table

    def reads(self, file: Path) -> bool:
        """Whether the map's file pattern fits this file's name."""
        return fnmatchcase(file.name, self.declared.files)


def load_map(path: Path) -> LoadedMap:
    """Read and check one map file.

    Raises
    ------
    FileError
        With every fault of the file: unknown keys, tables or columns, missing required columns.
    """
    data = read_yaml(path)
    declared = validate(SourceMap, data, path=path)
    table = TABLES[declared.table]
    faults = [
        Fault(
            found=say(
                "unknown column of {table} '{name}'; {hint}",
                table=table.name,
                name=name,
                hint=_hint(name, tuple(table.by_name)),
            ),
            where=place(path, data, ("columns", name)),
        )
        for name in declared.columns
        if name not in table.by_name
    ]
    faults += [
        Fault(
            found=say(
                "the required column '{column}' of {table} is not mapped",
                column=column.name,
                table=table.name,
            ),
            where=place(path, data, ("columns",)),
        )
        for column in table.columns
        if column.required and column.name not in declared.columns
    ]
    faults += _column_faults(declared, table, path, data)
    if declared.create_customers and not _names_customers(declared, table):
        faults.append(
            Fault(
                found=say("create_customers is set, but no customer_id is mapped")
                if "customer_id" not in declared.columns
                else say(
                    "create_customers is set, but {table} makes its customers itself",
                    table=table.name,
                ),
                where=place(path, data, ("create_customers",)),
            )
        )
    if faults:
        raise FileError(faults)
    return LoadedMap(path=path, sha256=file_sha256(path), declared=declared, table=table)


def _column_faults(declared: SourceMap, table: Table, path: Path, data: Any) -> list[Fault]:
    """Find origins that their column cannot have: prefixes, and words outside a closed list."""
    faults = []
    for name, origin in declared.columns.items():
        column = table.by_name.get(name)
        if column is None:
            continue
        if origin.prefix and column.kind != "id":
            faults.append(
                Fault(
                    found=say("a prefix on '{name}', which is no id", name=name),
                    where=place(path, data, ("columns", name)),
                )
            )
        said = [*origin.values.values(), *([origin.value] if origin.value is not None else [])]
        unknown = [word for word in said if column.choices and word.lower() not in column.choices]
        if unknown:
            faults.append(
                Fault(
                    found=say(
                        "{words} is not a value of {table}.{column}",
                        words=listing(unknown),
                        table=table.name,
                        column=name,
                    ),
                    expected=say("one of {choices}", choices=listing(column.choices, limit=30)),
                    where=place(path, data, ("columns", name)),
                )
            )
    return faults


def _names_customers(declared: SourceMap, table: Table) -> bool:
    column = table.by_name.get("customer_id")
    return column is not None and bool(column.references) and column.name in declared.columns


def load_maps(folder: Path) -> list[LoadedMap]:
    """Read every map of a folder, in the order in which their tables refer to each other."""
    order = importable_tables()
    maps = [load_map(path) for path in sorted([*folder.glob("*.yml"), *folder.glob("*.yaml")])]
    return sorted(maps, key=lambda item: (order.index(item.table.name), item.path.name))


def _text(data: Any) -> Any:
    """Take numbers, days and yes/no, which YAML reads as such, as the text they were."""
    if isinstance(data, (int, float)):
        return str(data)
    return data.isoformat() if isinstance(data, date) else data


def _check_format(item: str) -> None:
    directives = re.findall("%(-?.)", item)
    unknown = sorted({f"%{name}" for name in directives} - set(_DIRECTIVES))
    if unknown:
        raise ValueError(
            say(
                "{names} in '{item}' is not read; a zone is written %z",
                names=listing(unknown),
                item=item,
            )
            if "%Z" in unknown
            else say(
                "{names} in '{item}' is not read; known: {known}",
                names=listing(unknown),
                item=item,
                known=listing(_DIRECTIVES, limit=40),
            )
        )
    if not {"Y", "y", "-y"} & set(directives):
        raise ValueError(
            say("'{item}' has no year; write a format such as \"%d.%m.%Y\"", item=item)
        )
    if "%z" in item and not item.endswith("%z"):
        raise ValueError(say("the zone in '{item}' must stand at the end", item=item))


def _hint(name: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(name, known, n=1)
    if close:
        return say("did you mean '{name}'?", name=close[0])
    return say("known: {names}", names=listing(known, limit=30))
