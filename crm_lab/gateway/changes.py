"""What a judged file changes: new files for the tables, and the proof that they add up."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import duckdb

from crm_lab import formats
from crm_lab.errors import ImportRefusedError
from crm_lab.gateway.batches import Attempt, Rejected
from crm_lab.gateway.notation import EXACT
from crm_lab.gateway.schema import BATCH_COLUMN, TABLES, Table
from crm_lab.gateway.staging import WRONG_WIDTH, Staged, amount_reader
from crm_lab.gateway.store import (
    MANY_SMALL_FILES,
    SMALL_FILE_ROWS,
    DataFile,
    Store,
    quoted,
    scan,
    sql_text,
)
from crm_lab.language import say

LOADED = "(select * from judged where problem is null)"


def find_changes(engine: duckdb.DuckDBPyConnection, attempt: Attempt) -> None:
    """Make ``changed`` (loaded rows that are new or differ) and ``replaced`` (what they replace).

    The counts of new, changed and unchanged rows are put into the attempt.
    """
    table = attempt.table
    key = quoted(table.key)
    same = " and ".join(
        f'old."{c.name}" is not distinct from new."{c.name}"' for c in table.columns
    )
    on = " and ".join(f'old."{name}" = new."{name}"' for name in table.key)
    names = quoted([column.name for column in table.columns])
    engine.execute(
        f"create temp table changed as select {names}, '{attempt.batch_id}' as {BATCH_COLUMN}"
        f" from {LOADED} as new where not exists"
        f" (select 1 from existing_{table.name} old where {on} and {same})"
    )
    engine.execute(
        f"create temp table replaced as select {key}, file_no from existing_{table.name}"
        f" semi join changed using ({key})"
    )
    changed, _ = _count_and_sum(engine, "changed")
    attempt.updated, _ = _count_and_sum(engine, "replaced")
    attempt.inserted = changed - attempt.updated
    attempt.unchanged = attempt.loaded - changed


def write_changes(
    engine: duckdb.DuckDBPyConnection, store: Store, attempt: Attempt, files: list[DataFile]
) -> tuple[list[DataFile], list[DataFile]]:
    """Write ``changed`` and the other rows of the files it touches; give files to add and remove.

    ``files`` are those of ``existing_<table>``, in the same order.
    """
    rows = engine.execute("select distinct file_no from replaced").fetchall()
    touched = {files[int(number)].path for (number,) in rows}
    return _rewrite(engine, store, attempt.table, files, rows="changed", touched=touched)


def write_new_customers(
    engine: duckdb.DuckDBPyConnection, store: Store, attempt: Attempt, files: list[DataFile]
) -> tuple[list[DataFile], list[DataFile]]:
    """Write the customers whom the file named for the first time."""
    attempt.customers_created, _ = _count_and_sum(engine, "new_customer")
    given = {
        "customer_id": "customer_id",
        "source_system": f"'{sql_text(attempt.source.declared.source_system)}'",
        BATCH_COLUMN: f"'{attempt.batch_id}'",
    }
    table = TABLES["customer"]
    columns = ", ".join(
        f'cast({given.get(name, "null")} as {kind}) as "{name}"'
        for name, kind in table.stored_columns
    )
    engine.execute(f"create temp view created as select {columns} from new_customer")
    return _rewrite(engine, store, table, files, rows="created", touched=set())


def _rewrite(
    engine: duckdb.DuckDBPyConnection,
    store: Store,
    table: Table,
    files: list[DataFile],
    *,
    rows: str,
    touched: set[Path],
) -> tuple[list[DataFile], list[DataFile]]:
    """Write new rows, replace the touched files without the rows' keys, merge many small files."""
    key, names = quoted(table.key), quoted([name for name, _ in table.stored_columns])
    new, _ = _count_and_sum(engine, rows)
    if not new:
        return [], []
    small = {file.path for file in files if file.rows < SMALL_FILE_ROWS}
    if len(small) >= MANY_SMALL_FILES:
        touched = touched | small
    remove = [file for file in files if file.path in touched]
    add = []
    together = [f"select {names} from {rows}"]
    for file in remove:
        kept = f"select {names} from ({scan(table.name, [file])}) anti join {rows} using ({key})"
        if file.path in small:
            together.append(kept)
        else:
            add.append(store.write_file(engine, table.name, kept))
    add.append(store.write_file(engine, table.name, " union all ".join(together)))
    return add, remove


def reconcile(
    engine: duckdb.DuckDBPyConnection,
    attempt: Attempt,
    staged: Staged,
    after: list[DataFile],
    rejected: list[Rejected],
) -> None:
    """Compare the file with what the gateway would hold, read back from the new files.

    Raises
    ------
    ImportRefusedError
        Rows or money do not add up.
    """
    table = attempt.table
    engine.execute(f"create temp view after as {scan(table.name, after)}")
    rows_before, _ = _count_and_sum(engine, f"existing_{table.name}")
    rows_after, _ = _count_and_sum(engine, "after")
    held, amount = _count_and_sum(
        engine, f"after semi join {LOADED} as loaded using ({quoted(table.key)})", table.money
    )
    problems = []
    if rows_after != rows_before + attempt.inserted:
        problems.append(
            say(
                "{after} rows after {before} + {new} new",
                after=formats.number(rows_after),
                before=formats.number(rows_before),
                new=formats.number(attempt.inserted),
            )
        )
    if held != attempt.loaded:
        problems.append(
            say(
                "{held} rows held of {loaded} loaded",
                held=formats.number(held),
                loaded=formats.number(attempt.loaded),
            )
        )
    if staged.amount_in is not None:
        attempt.amount_loaded = amount
        attempt.amount_rejected = _amount_rejected(attempt, staged, rejected)
        if staged.amount_in != EXACT.add(amount, attempt.amount_rejected):
            problems.append(
                say(
                    "{file} in the file, {loaded} loaded + {rejected} set aside",
                    file=staged.amount_in,
                    loaded=attempt.amount_loaded,
                    rejected=attempt.amount_rejected,
                )
            )
    if problems:
        raise ImportRefusedError(
            say("rows or money do not add up: {problems}", problems="; ".join(problems)),
            where=str(attempt.file),
            remedy=say(
                "nothing of this file was loaded; check the map's decimal and thousands separators"
            ),
        )


def _amount_rejected(attempt: Attempt, staged: Staged, rejected: list[Rejected]) -> Decimal:
    column = attempt.source.declared.columns[attempt.table.money].source
    read = amount_reader(attempt.source, staged.kinds)
    assert read is not None  # there is an amount in the file
    total = staged.amount_ragged
    for _, _, why, text in rejected:
        if why != WRONG_WIDTH:
            total = EXACT.add(total, read(json.loads(text)[column] or "") or 0)
    return total


def _count_and_sum(
    engine: duckdb.DuckDBPyConnection, relation: str, money: str = ""
) -> tuple[int, Decimal]:
    amount = f'sum("{money}")' if money else "null"
    row = engine.execute(f"select count(*), {amount} from {relation}").fetchone()
    return (int(row[0]), Decimal(row[1] or 0)) if row else (0, Decimal(0))
