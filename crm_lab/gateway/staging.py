"""A company's file, landed as text: every record counted, none lost, none guessed.

A CSV file is decoded strictly and parsed by Python's reader, which counts the records and adds
up the money with decimal arithmetic on its own; the query engine then reads a clean copy. So the
two sides of the later reconciliation do not share a parser.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Literal, TextIO

import duckdb

from crm_lab import formats
from crm_lab.errors import FileError
from crm_lab.formats import listing
from crm_lab.gateway.decoding import DecodedLines
from crm_lab.gateway.mapping import LoadedMap
from crm_lab.gateway.notation import EXACT, STRIPPED, Notation, amount_of
from crm_lab.gateway.store import quoted, sql_text
from crm_lab.language import say

STAGED = "staged"
ROW_NO = "row_no"
WRONG_WIDTH = "wrong_number_of_fields"
FIELD_LIMIT = 1_000_000
StoredKind = Literal["text", "number", "time"]


@dataclass(slots=True)
class Staged:
    """What was landed.

    Attributes
    ----------
    columns : tuple of str
        Source columns, in the order of the file.
    rows_in : int
        Records of the file without the header, counted by the reader.
    amount_in : Decimal or None
        Sum of the money column over all records whose amount can be read; None without one.
    ragged : list of (row number, fields as JSON)
        Records with too few or too many fields; they never reach the engine.
    amount_ragged : Decimal
        What of ``amount_in`` stands in those records.
    amounts_unread : int
        Records whose money cannot be read, so that no sum holds it.
    kinds : mapping
        How a Parquet file stores each column; a column of a CSV file is text.
    """

    columns: tuple[str, ...]
    rows_in: int = 0
    amount_in: Decimal | None = None
    ragged: list[tuple[int, str]] = field(default_factory=list)
    amount_ragged: Decimal = Decimal(0)
    amounts_unread: int = 0
    kinds: dict[str, StoredKind] = field(default_factory=dict)


def stage_file(
    engine: duckdb.DuckDBPyConnection,
    source: LoadedMap,
    file: Path,
    *,
    working_folder: Path,
    advance: Callable[[int], None],
) -> Staged:
    """Land ``file`` as a table ``staged`` of text columns with ``row_no`` first.

    Parameters
    ----------
    engine : duckdb.DuckDBPyConnection
        Where the table is made.
    source : LoadedMap
        How the file is written.
    file : pathlib.Path
        The file.
    working_folder : pathlib.Path
        A folder for the clean copy; the caller removes it.
    advance : callable
        Called with the number of bytes read since the last call.

    Raises
    ------
    FileError
        The file is missing, empty, wrongly encoded or broken, or lacks a mapped column.
    """
    if not file.is_file():
        raise FileError(say("the file does not exist"), where=str(file))
    if file.stat().st_size == 0:
        raise FileError(
            say("the file is empty"), expected=say("a header and rows"), where=str(file)
        )
    if source.declared.format == "parquet":
        return _stage_parquet(engine, source, file)
    return _stage_csv(engine, source, file, working_folder, advance)


def notation_of(source: LoadedMap, column: str, kinds: Mapping[str, StoredKind]) -> Notation:
    """Say how a source column writes numbers: as the map declares, or plainly if stored as such."""
    if kinds.get(column) == "number":
        return Notation()
    return Notation(decimal=source.declared.decimal, thousands=source.declared.thousands)


def amount_reader(
    source: LoadedMap, kinds: Mapping[str, StoredKind]
) -> Callable[[str], Decimal | None] | None:
    """Give the reader of the table's money column; None without one.

    The reader gives None for what is no amount, and 0 for an empty cell that may be empty.
    """
    column = source.declared.columns.get(source.table.money)
    if column is None or column.source is None:
        return None
    notation = notation_of(source, column.source, kinds)
    meanings = {word.lower(): meaning for word, meaning in column.values.items()}
    empty = None if source.table.by_name[source.table.money].required else Decimal(0)

    @lru_cache(maxsize=100_000)
    def read(text: str) -> Decimal | None:
        said = meanings.get(text.strip(STRIPPED).lower(), text) if meanings else text
        return amount_of(said, notation) if said.strip(STRIPPED) else empty

    return read


def _stage_csv(
    engine: duckdb.DuckDBPyConnection,
    source: LoadedMap,
    file: Path,
    working_folder: Path,
    advance: Callable[[int], None],
) -> Staged:
    clean = working_folder / "staged.csv"
    with file.open("rb") as raw, clean.open("w", encoding="utf-8", newline="") as out:
        text = DecodedLines(raw, file=file, encoding=source.declared.encoding, advance=advance)
        csv.field_size_limit(FIELD_LIMIT)
        reader = csv.reader(text, delimiter=source.declared.delimiter, strict=True)
        try:
            staged = _copy_records(reader, source, file, out)
        except csv.Error as problem:
            raise FileError(
                say(
                    "the CSV is broken near line {line} ({problem})",
                    line=reader.line_num,
                    problem=problem,
                ),
                expected=say("every quoted field closed, no stray quotes"),
                where=str(file),
                remedy=say(
                    "look for an unclosed quote at or before that line; nothing of this file was"
                    " loaded"
                ),
            ) from None
    names = (ROW_NO, *(f"c{index}" for index in range(len(staged.columns))))
    types = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    try:
        engine.execute(
            f"create temp table {STAGED} as select cast({ROW_NO} as bigint) as {ROW_NO},"
            f" * exclude ({ROW_NO}) from read_csv('{sql_text(str(clean))}', auto_detect = false,"
            f" header = false, columns = {{{types}}}, delim = ',', quote = '\"', escape = '\"',"
            f" parallel = false, max_line_size = {FIELD_LIMIT * 4}, strict_mode = true,"
            " new_line = '\\n', hive_partitioning = false)"
        )
    except duckdb.InvalidInputException as problem:
        raise FileError(
            say("a record cannot be read ({problem})", problem=str(problem).splitlines()[0]),
            expected=say(
                "records of fewer than {count} characters", count=formats.number(FIELD_LIMIT)
            ),
            where=str(file),
        ) from None
    return staged


def _copy_records(
    reader: Iterator[list[str]], source: LoadedMap, file: Path, out: TextIO
) -> Staged:
    header = next(reader, None)
    if header is None:
        raise FileError(
            say("the file is empty"), expected=say("a header and rows"), where=str(file)
        )
    staged = Staged(columns=_check_header([name.strip() for name in header], source, file))
    read_amount = amount_reader(source, {})
    money_at = _money_position(source, staged.columns)
    total = Decimal(0)
    write = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow
    width = len(staged.columns)
    row_no = 0
    for record in reader:
        if not record:
            continue
        row_no += 1
        amount = None
        if read_amount is not None:
            amount = read_amount(record[money_at]) if money_at < len(record) else None
            staged.amounts_unread += amount is None
            total = EXACT.add(total, amount or 0)
        if len(record) == width:
            write([row_no, *record])
        else:
            staged.ragged.append((row_no, json.dumps(record, ensure_ascii=False)))
            staged.amount_ragged = EXACT.add(staged.amount_ragged, amount or 0)
    if row_no == 0:
        raise FileError(say("the file has a header and no rows"), where=str(file))
    staged.rows_in = row_no
    staged.amount_in = None if read_amount is None else total
    return staged


def _stage_parquet(engine: duckdb.DuckDBPyConnection, source: LoadedMap, file: Path) -> Staged:
    scan = (
        f"read_parquet('{sql_text(str(file))}', file_row_number = true, hive_partitioning = false)"
    )
    try:
        described = engine.execute(f"describe select * exclude (file_row_number) from {scan}")
    except duckdb.Error as problem:
        first = str(problem).splitlines()[0]
        raise FileError(
            say("not a readable Parquet file ({problem})", problem=first), where=str(file)
        ) from None
    types = {str(row[0]): str(row[1]) for row in described.fetchall()}
    columns = _check_header(list(types), source, file)
    for target, column in source.declared.columns.items():
        if source.table.by_name[target].kind == "id" and column.source is not None:
            found = types[column.source]
            if _has_decimals(found):
                raise FileError(
                    say(
                        "the id column '{column}' is stored as {kind}",
                        column=column.source,
                        kind=found,
                    ),
                    expected=say("text or whole numbers"),
                    where=str(file),
                    remedy=say(
                        "write the ids as text where the file is made: as numbers with decimals"
                        " they have already lost leading zeros or digits"
                    ),
                )
    kinds = {name: _stored_kind(kind) for name, kind in types.items()}
    renamed = ", ".join(
        f"{_as_text(quoted([name]), types[name])} as c{index}" for index, name in enumerate(columns)
    )
    engine.execute(
        f"create temp table {STAGED} as"
        f" select file_row_number + 1 as {ROW_NO}, {renamed} from {scan}"
    )
    staged = Staged(columns=columns, kinds=kinds)
    counted = engine.execute(
        f"select sum(num_rows) from parquet_file_metadata('{sql_text(str(file))}')"
    ).fetchone()
    staged.rows_in = int(counted[0]) if counted else 0
    if staged.rows_in == 0:
        raise FileError(say("the file has no rows"), where=str(file))
    read_amount = amount_reader(source, kinds)
    if read_amount is not None:
        money = f"c{_money_position(source, columns)}"
        amounts = engine.execute(
            f"select coalesce({money}, ''), count(*) from {STAGED} group by 1"
        ).fetchall()
        staged.amount_in = Decimal(0)
        for text, times in amounts:
            amount = read_amount(text)
            staged.amounts_unread += times if amount is None else 0
            staged.amount_in = EXACT.fma(amount or 0, times, staged.amount_in)
    return staged


def _has_decimals(kind: str) -> bool:
    return kind in ("DOUBLE", "FLOAT") or (kind.startswith("DECIMAL") and not kind.endswith(",0)"))


def _stored_kind(kind: str) -> StoredKind:
    if kind.startswith(("DATE", "TIMESTAMP")):
        return "time"
    is_number = _has_decimals(kind) or kind.startswith("DECIMAL") or kind.endswith("INT")
    return "number" if is_number or kind == "INTEGER" or kind == "UINTEGER" else "text"


def _as_text(column: str, kind: str) -> str:
    if kind == "TIMESTAMP_NS":  # more digits than any format reads
        return f"cast(cast({column} as timestamp) as varchar)"
    return f"cast({column} as varchar)"


def _check_header(header: list[str], source: LoadedMap, file: Path) -> tuple[str, ...]:
    twice = sorted({name for name in header if name and header.count(name) > 1})
    wanted = [c.source for c in source.declared.columns.values() if c.source is not None]
    if twice and set(twice) & set(wanted):
        raise FileError(
            say("the header has {names} twice", names=listing(twice)),
            expected=say("each name once"),
            where=str(file),
        )
    missing = sorted(set(wanted) - set(header))
    if missing:
        raise FileError(
            say("the column {names} is not in the file", names=listing(missing)),
            expected=say("one of the file's columns: {names}", names=listing(header, limit=30)),
            where=say("{map} and {file}", map=source.path, file=file),
            remedy=say("correct the map, or check the map's delimiter and encoding"),
        )
    return tuple(header)


def _money_position(source: LoadedMap, columns: tuple[str, ...]) -> int:
    """Give the place of the money column; past every record when there is none."""
    column = source.declared.columns.get(source.table.money)
    return columns.index(column.source) if column and column.source else len(columns)


def staged_columns(columns: tuple[str, ...]) -> dict[str, str]:
    """Map each source column to its name in the table ``staged``."""
    return {name: f"c{index}" for index, name in enumerate(columns)}


def raw_json_expression(columns: tuple[str, ...]) -> str:
    """Write the SQL that gives a staged row back as JSON with the file's column names."""
    pairs = ", ".join(
        f"'{sql_text(name)}', {quoted([inner])}" for name, inner in staged_columns(columns).items()
    )
    return f"cast(json_object({pairs}) as varchar)"
