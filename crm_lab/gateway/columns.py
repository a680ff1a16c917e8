"""What a table of the gateway is made of: columns of a kind, keys, closed lists."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

ColumnKind = Literal["id", "text", "integer", "number", "money", "time", "day", "flag", "choice"]

SQL_TYPES: dict[ColumnKind, str] = {
    "id": "VARCHAR",
    "text": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "money": "DECIMAL(18,2)",
    "time": "TIMESTAMP",
    "day": "DATE",
    "flag": "BOOLEAN",
    "choice": "VARCHAR",
}

CHANNELS = (
    "email",
    "sms",
    "call",
    "messenger",
    "bot",
    "push_mobile",
    "push_web",
    "social",
    "postal",
)
MESSAGE_CLASSES = ("marketing", "service_survey", "transactional", "legal")
BATCH_COLUMN = "import_batch_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name : str
        Column name.
    kind : ColumnKind
        What it holds; decides the SQL type and how text is read.
    required : bool
        Whether a row without it is rejected.
    choices : tuple of str
        The closed list of a ``choice`` column.
    references : str
        Table whose single key this column points to, or empty.
    about : str
        One line for people.
    """

    name: str
    kind: ColumnKind
    required: bool = False
    choices: tuple[str, ...] = ()
    references: str = ""
    about: str = ""

    @property
    def sql_type(self) -> str:
        """Type of the column in the store."""
        return SQL_TYPES[self.kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table of the gateway.

    Attributes
    ----------
    name, about : str
        Name and one line for people.
    columns : tuple of Column
        Columns in order, without ``import_batch_id``.
    key : tuple of str
        Natural key; rows with the same key are the same thing.
    money : str
        The money column that an import reconciles, or empty.
    append_only : bool
        Whether rows, once written, can never be replaced.
    """

    name: str
    about: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    money: str = ""
    append_only: bool = False
    importable: bool = True
    by_name: dict[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {column.name: column for column in self.columns})

    @property
    def stored_columns(self) -> tuple[tuple[str, str], ...]:
        """Names and SQL types as they stand in the files, batch column last."""
        return (*((c.name, c.sql_type) for c in self.columns), (BATCH_COLUMN, "VARCHAR"))


def id_column(name: str, *, required: bool = True, references: str = "", about: str = "") -> Column:
    """Make a column of an id; required unless said otherwise."""
    return Column(name=name, kind="id", required=required, references=references, about=about)


def text_column(name: str, about: str = "") -> Column:
    """Make a column of text."""
    return Column(name=name, kind="text", about=about)


def choice_column(name: str, *choices: str, required: bool = False) -> Column:
    """Make a column of a closed list."""
    return Column(name=name, kind="choice", choices=choices, required=required)


def time_column(name: str, *, required: bool = False, about: str = "") -> Column:
    """Make a column of a moment, in UTC."""
    return Column(name=name, kind="time", required=required, about=about)


def money_column(name: str, *, required: bool = False, about: str = "") -> Column:
    """Make a column of an amount."""
    return Column(name=name, kind="money", required=required, about=about)


def integer_column(name: str, *, required: bool = False) -> Column:
    """Make a column of a whole number."""
    return Column(name=name, kind="integer", required=required)


CUSTOMER = id_column("customer_id", references="customer")
"""The customer that a row is about; a row without one is rejected."""
SOURCE = text_column("source_system", "where the row comes from")
