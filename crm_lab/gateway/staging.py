"""A company's file, landed as text: every record counted, none lost, none guessed.

A CSV file is decoded strictly and parsed by Python's reader, which counts the records and adds
up the money with decimal arithmetic on its own; the query engine then reads a clean copy. So the
two sides of the later reconciliation do not share a parser.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TextIO

import duckdb

from crm_lab.errors import FileError
from crm_lab.formats import listing
from crm_lab.gateway.mapping import LoadedMap, SourceMap
from crm_lab.gateway.store import quoted, sql_text

STAGED = "staged"
ROW_NO = "row_no"
SPACES = (" ", "\u00a0", "\u202f", "\u2009")
WRONG_WIDTH = "wrong_number_of_fields"
FIELD_LIMIT = 1_000_000


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
    """

    columns: tuple[str, ...]
    rows_in: int = 0
    amount_in: Decimal | None = None
    ragged: list[tuple[int, str]] = field(default_factory=list)
    amount_ragged: Decimal = Decimal(0)


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
        raise FileError("the file does not exist", where=str(file))
    if file.stat().st_size == 0:
        raise FileError("the file is empty", expected="a header and rows", where=str(file))
    if source.declared.format == "parquet":
        return _stage_parquet(engine, source, file)
    return _stage_csv(engine, source, file, working_folder, advance)


def money_text(text: str, declared: SourceMap) -> Decimal | None:
    """Read one amount as the map says it is written; None when it is not an amount."""
    cleaned = text.strip()
    if declared.thousands:
        separators = SPACES if declared.thousands in SPACES else (declared.thousands,)
        for separator in separators:
            cleaned = cleaned.replace(separator, "")
    if declared.decimal == ",":
        if "." in cleaned:
            return None
        cleaned = cleaned.replace(",", ".")
    if not cleaned or not set(cleaned) <= set("+-.0123456789"):
        return None
    try:
        return Decimal(cleaned)
    except InvalidOperation:
        return None


def _stage_csv(
    engine: duckdb.DuckDBPyConnection,
    source: LoadedMap,
    file: Path,
    working_folder: Path,
    advance: Callable[[int], None],
) -> Staged:
    clean = working_folder / "staged.csv"
    with file.open("rb") as raw, clean.open("w", encoding="utf-8", newline="") as out:
        text = _Decoded(raw, file=file, encoding=_encoding(source.declared), advance=advance)
        csv.field_size_limit(FIELD_LIMIT)
        reader = csv.reader(text, delimiter=source.declared.delimiter, strict=True)
        try:
            staged = _copy_records(reader, source, file, out)
        except csv.Error as problem:
            raise FileError(
                f"the CSV is broken near line {reader.line_num} ({problem})",
                expected="every quoted field closed, no stray quotes",
                where=str(file),
                remedy="look for an unclosed quote at or before that line; nothing was loaded",
            ) from None
    names = (ROW_NO, *(f"c{index}" for index in range(len(staged.columns))))
    types = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    engine.execute(
        f"create temp table {STAGED} as select cast({ROW_NO} as bigint) as {ROW_NO},"
        f" * exclude ({ROW_NO}) from read_csv('{sql_text(str(clean))}', auto_detect = false,"
        f" header = false, columns = {{{types}}}, delim = ',', quote = '\"', escape = '\"',"
        f" parallel = false, max_line_size = {FIELD_LIMIT * 4}, strict_mode = true)"
    )
    return staged


def _copy_records(
    reader: Iterator[list[str]], source: LoadedMap, file: Path, out: TextIO
) -> Staged:
    header = next(reader, None)
    if header is None:
        raise FileError("the file is empty", expected="a header and rows", where=str(file))
    staged = Staged(columns=_check_header([name.strip() for name in header], source, file))
    money_at = _money_position(source, staged.columns)
    total = Decimal(0)
    write = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow
    width = len(staged.columns)
    row_no = 0
    for record in reader:
        if not record:
            continue
        row_no += 1
        amount = Decimal(0)
        if money_at is not None and money_at < len(record):
            amount = money_text(record[money_at], source.declared) or amount
        total += amount
        if len(record) == width:
            write([row_no, *record])
        else:
            staged.ragged.append((row_no, json.dumps(record, ensure_ascii=False)))
            staged.amount_ragged += amount
    if row_no == 0:
        raise FileError("the file has a header and no rows", where=str(file))
    staged.rows_in = row_no
    staged.amount_in = None if money_at is None else total
    return staged


def _stage_parquet(engine: duckdb.DuckDBPyConnection, source: LoadedMap, file: Path) -> Staged:
    scan = f"read_parquet('{sql_text(str(file))}', file_row_number = true)"
    try:
        described = engine.execute(f"describe select * exclude (file_row_number) from {scan}")
    except duckdb.Error as problem:
        first = str(problem).splitlines()[0]
        raise FileError(f"not a readable Parquet file ({first})", where=str(file)) from None
    types = {str(row[0]): str(row[1]) for row in described.fetchall()}
    columns = _check_header(list(types), source, file)
    for target, column in source.declared.columns.items():
        if source.table.by_name[target].kind == "id" and column.source is not None:
            found = types[column.source]
            if found in ("DOUBLE", "FLOAT") or found.startswith("DECIMAL"):
                raise FileError(
                    f"the id column '{column.source}' is stored as {found}",
                    expected="text or whole numbers",
                    where=str(file),
                    remedy="write the ids as text where the file is made: as numbers with"
                    " decimals they have already lost leading zeros or digits",
                )
    renamed = ", ".join(
        f'cast("{name.replace(chr(34), chr(34) * 2)}" as varchar) as c{index}'
        for index, name in enumerate(columns)
    )
    engine.execute(
        f"create temp table {STAGED} as"
        f" select file_row_number + 1 as {ROW_NO}, {renamed} from {scan}"
    )
    staged = Staged(columns=columns)
    counted = engine.execute(
        f"select sum(num_rows) from parquet_file_metadata('{sql_text(str(file))}')"
    ).fetchone()
    staged.rows_in = int(counted[0]) if counted else 0
    if staged.rows_in == 0:
        raise FileError("the file has no rows", where=str(file))
    money_at = _money_position(source, columns)
    if money_at is not None:
        values = engine.execute(f"select c{money_at} from {STAGED}").fetchall()
        staged.amount_in = sum(
            (money_text(value, source.declared) or Decimal(0) for (value,) in values if value),
            Decimal(0),
        )
    return staged


def _check_header(header: list[str], source: LoadedMap, file: Path) -> tuple[str, ...]:
    twice = sorted({name for name in header if name and header.count(name) > 1})
    wanted = [c.source for c in source.declared.columns.values() if c.source is not None]
    if twice and set(twice) & set(wanted):
        raise FileError(
            f"the header has {listing(twice)} twice", expected="each name once", where=str(file)
        )
    missing = sorted(set(wanted) - set(header))
    if missing:
        raise FileError(
            f"the column {listing(missing)} is not in the file",
            expected=f"one of the file's columns: {listing(header, limit=30)}",
            where=f"{source.path} and {file}",
            remedy="correct the map, or check the map's delimiter and encoding",
        )
    return tuple(header)


def _money_position(source: LoadedMap, columns: tuple[str, ...]) -> int | None:
    column = source.declared.columns.get(source.table.money) if source.table.money else None
    return columns.index(column.source) if column and column.source else None


def _encoding(declared: SourceMap) -> str:
    return "utf-8-sig" if declared.encoding.lower() in ("utf-8", "utf8") else declared.encoding


class _Decoded(Iterator[str]):
    """Lines of a file, decoded strictly; a wrong byte is reported with its place."""

    def __init__(
        self,
        raw: Iterator[bytes],
        *,
        file: Path,
        encoding: str,
        advance: Callable[[int], None],
    ) -> None:
        self._raw = raw
        self._file = file
        self._encoding = encoding
        self._advance = advance
        self._line = 0
        self._single_byte_lines = (
            not encoding.lower()
            .replace("_", "-")
            .startswith(("utf-16", "utf-32", "utf16", "utf32"))
        )
        if not self._single_byte_lines:
            raise FileError(
                f"the encoding {encoding} is not read",
                expected="utf-8 or an 8-bit encoding such as cp1251",
                where=str(file),
                remedy="save the file as 'CSV UTF-8'",
            )

    def __next__(self) -> str:
        line = next(self._raw)
        self._line += 1
        self._advance(len(line))
        try:
            text = line.decode(self._encoding if self._line == 1 else self._later())
        except UnicodeDecodeError as problem:
            raise FileError(
                f"byte {problem.start} of line {self._line} is not {self._encoding}",
                where=str(self._file),
                remedy=self._advice(line),
            ) from None
        if "\x00" in text:
            raise FileError(
                f"line {self._line} holds a zero byte",
                expected="a text file",
                where=str(self._file),
                remedy="the file may be UTF-16 or an Excel file: save it as 'CSV UTF-8'",
            )
        return text

    def _later(self) -> str:
        return "utf-8" if self._encoding == "utf-8-sig" else self._encoding

    def _advice(self, line: bytes) -> str:
        try:
            sample = line.decode("cp1251").strip()[:60]
        except UnicodeDecodeError:
            return "find out the encoding of the file and write it into the map"
        return f"if this reads well, write 'encoding: cp1251' into the map: {sample}"


def staged_columns(columns: tuple[str, ...]) -> dict[str, str]:
    """Map each source column to its name in the table ``staged``."""
    return {name: f"c{index}" for index, name in enumerate(columns)}


def raw_json_expression(columns: tuple[str, ...]) -> str:
    """Write the SQL that gives a staged row back as JSON with the file's column names."""
    pairs = ", ".join(
        f"'{sql_text(name)}', {quoted([inner])}" for name, inner in staged_columns(columns).items()
    )
    return f"cast(json_object({pairs}) as varchar)"
