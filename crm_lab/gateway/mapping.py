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
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from crm_lab.errors import Fault, FileError
from crm_lab.formats import listing
from crm_lab.gateway.schema import TABLES, Table, importable_tables
from crm_lab.gateway.store import file_sha256
from crm_lab.settings import TimezoneName
from crm_lab.yaml_files import Declared, place, read_yaml, validate

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
    value: str | None = None
    values: Mapping[str, str] = Field(default_factory=dict)
    prefix: str = ""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, data: Any) -> Any:
        return {"from": data} if isinstance(data, (str, int)) else data

    @field_validator("source", "value", mode="before")
    @classmethod
    def _as_text(cls, data: Any) -> Any:
        return str(data) if isinstance(data, (int, float)) else data

    @model_validator(mode="after")
    def _one_origin(self) -> SourceColumn:
        if (self.source is None) == (self.value is None):
            raise ValueError("give either 'from' (a column of the file) or 'value'")
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
            raise ValueError(_unknown("table", name, importable_tables()))
        return name

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, name: str) -> str:
        try:
            codecs.lookup(name)
        except LookupError:
            raise ValueError(
                f"unknown encoding '{name}'; use utf-8, utf-8-sig or cp1251, say"
            ) from None
        return name

    @field_validator("date_formats")
    @classmethod
    def _formats_agree(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        if not formats or any("%" not in item for item in formats):
            raise ValueError('write formats such as "%d.%m.%Y"')
        if len({"%z" in item for item in formats}) > 1:
            raise ValueError("either every format carries a zone (%z) or none does")
        return formats

    @model_validator(mode="after")
    def _separators_differ(self) -> SourceMap:
        if self.thousands and self.thousands == self.decimal:
            raise ValueError("'thousands' and 'decimal' are the same character")
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
            found=_unknown(f"column of {table.name}", name, tuple(table.by_name)),
            where=place(path, data, ("columns", name)),
        )
        for name in declared.columns
        if name not in table.by_name
    ]
    faults += [
        Fault(
            found=f"the required column '{column.name}' of {table.name} is not mapped",
            where=place(path, data, ("columns",)),
        )
        for column in table.columns
        if column.required and column.name not in declared.columns
    ]
    if declared.create_customers and "customer_id" not in declared.columns:
        faults.append(
            Fault(
                found="create_customers is set, but no customer_id is mapped",
                where=place(path, data, ("create_customers",)),
            )
        )
    if faults:
        raise FileError(faults)
    return LoadedMap(path=path, sha256=file_sha256(path), declared=declared, table=table)


def load_maps(folder: Path) -> list[LoadedMap]:
    """Read every map of a folder, in the order in which their tables refer to each other."""
    order = importable_tables()
    maps = [load_map(path) for path in sorted([*folder.glob("*.yml"), *folder.glob("*.yaml")])]
    return sorted(maps, key=lambda item: (order.index(item.table.name), item.path.name))


def _unknown(what: str, name: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"known: {listing(known, limit=30)}"
    return f"unknown {what} '{name}'; {hint}"
