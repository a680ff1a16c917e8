"""Loading a company's file: all of it accounted for, or nothing of it loaded.

The file is landed as text (:mod:`.staging`), cast with a reason for each failing cell
(:mod:`.casting`), compared with what is there by its natural key, and written as new files under
one new snapshot. Before the snapshot is made, rows and money must add up.
"""

from __future__ import annotations

import json
import tempfile
from decimal import Decimal
from pathlib import Path

import duckdb
from tqdm.auto import tqdm

from crm_lab import formats
from crm_lab.errors import ImportRefusedError
from crm_lab.gateway.batches import (
    FIRST_REJECTED,
    Attempt,
    Rejected,
    already_loaded,
    by_reason,
    loaded_before,
    make_report,
    record_batch,
    record_failure,
)
from crm_lab.gateway.casting import casts, reason_text
from crm_lab.gateway.import_report import ImportReport
from crm_lab.gateway.mapping import LoadedMap
from crm_lab.gateway.schema import BATCH_COLUMN, TABLES, Table
from crm_lab.gateway.staging import (
    ROW_NO,
    STAGED,
    WRONG_WIDTH,
    money_text,
    raw_json_expression,
    stage_file,
)
from crm_lab.gateway.store import (
    MANY_SMALL_FILES,
    SMALL_FILE_ROWS,
    DataFile,
    Snapshot,
    Store,
    file_sha256,
    quoted,
    sql_text,
    utc_now,
)


def import_file(
    store: Store, source: LoadedMap, file: Path, *, currency: str, progress: bool = False
) -> ImportReport:
    """Load one file through its map; safe to repeat, safe to kill.

    Parameters
    ----------
    store : Store
        The gateway's store.
    source : LoadedMap
        How the file is to be read.
    file : pathlib.Path
        The file.
    currency : str
        Currency of its amounts, for the report.
    progress : bool
        Whether to show a progress bar on standard error.

    Raises
    ------
    BusyError
        Another process is writing to the gateway.
    FileError
        The file cannot be read as the map declares.
    ImportRefusedError
        Rows or money do not add up, or too many records would be set aside. The attempt is
        recorded as failed; nothing is loaded.
    """
    with store.write_lock(f"importing {file.name}"):
        if not file.is_file():
            # the same words as for every other unreadable file
            with tempfile.TemporaryDirectory() as nowhere:
                stage_file(
                    store.engine(),
                    source,
                    file,
                    working_folder=Path(nowhere),
                    advance=lambda _: None,
                )
        digest = file_sha256(file)
        attempt = Attempt(
            source=source,
            file=file,
            sha256=digest,
            batch_id=f"{digest[:12]}-{source.sha256[:6]}",
            started_at=utc_now(),
        )
        if loaded_before(store, attempt.batch_id):
            return already_loaded(store, attempt, currency)
        try:
            return _load(store, attempt, currency=currency, progress=progress)
        except ImportRefusedError as refusal:
            record_failure(store, attempt, refusal)
            raise


def _load(store: Store, attempt: Attempt, *, currency: str, progress: bool) -> ImportReport:
    source, table = attempt.source, attempt.table
    before = store.snapshot()
    engine = store.engine()
    with tempfile.TemporaryDirectory(dir=store.folder, prefix=".import-") as working:
        size = attempt.file.stat().st_size
        with tqdm(
            total=size, unit="B", unit_scale=True, desc=attempt.file.name, disable=not progress
        ) as bar:
            attempt.staged = stage_file(
                engine, source, attempt.file, working_folder=Path(working), advance=bar.update
            )
            bar.update(size - bar.n)
        _check_landed(engine, attempt)
        for name in TABLES:
            _view_existing(engine, store, name, before)
        new_customers = _customers_to_create(engine, attempt)
        _judge(engine, attempt, new_customers=new_customers)
        rejected = _rejected_rows(engine, attempt)
        _refuse_if_too_bad(attempt, rejected)
        _split_loaded(engine, attempt)
        add, remove = _write(engine, store, attempt, before)
        if new_customers:
            columns = {name: "null" for name, _ in TABLES["customer"].stored_columns}
            columns |= {
                "customer_id": "customer_id",
                "source_system": f"'{sql_text(source.declared.source_system)}'",
                BATCH_COLUMN: f"'{attempt.batch_id}'",
            }
            add.append(
                store.write_file(
                    engine, "customer", _select(TABLES["customer"], columns, "new_customer")
                )
            )
            attempt.customers_created = add[-1].rows
        _reconcile(engine, store, attempt, before, add, remove, rejected)
        engine.close()
    snapshot = store.publish(
        add=add,
        remove=remove,
        reason=f"import of {attempt.file.name} into {table.name}",
        within=lambda db: record_batch(db, attempt, rejected),
    )
    return make_report(attempt, rejected, currency=currency, snapshot=snapshot)


def _check_landed(engine: duckdb.DuckDBPyConnection, attempt: Attempt) -> None:
    assert attempt.staged is not None  # set just before
    landed = _count(engine, f"select count(*) from {STAGED}")
    expected = attempt.staged.rows_in - len(attempt.staged.ragged)
    if landed != expected:
        raise ImportRefusedError(
            f"{landed:,} records reached the engine",
            expected=f"{expected:,} as counted by the reader",
            where=str(attempt.file),
            remedy="this is a fault of the program or of the file's quoting; nothing was loaded",
        )


def _view_existing(
    engine: duckdb.DuckDBPyConnection, store: Store, table: str, snapshot: Snapshot
) -> None:
    files = [str(file.path) for file in store.files(table, snapshot.snapshot_id)]
    engine.execute(f"create temp view existing_{table} as {scan(table, files, with_file=True)}")


def scan(table: str, files: list[str], *, with_file: bool = False) -> str:
    """Write the SELECT over a table's files; without files, one that gives no rows."""
    if files:
        listed = ", ".join(f"'{sql_text(file)}'" for file in files)
        extra = ", filename = true" if with_file else ""
        return f"select * from read_parquet([{listed}]{extra})"
    columns = ", ".join(
        f'cast(null as {kind}) as "{name}"' for name, kind in TABLES[table].stored_columns
    )
    extra = ", cast(null as varchar) as filename" if with_file else ""
    return f"select {columns}{extra} where false"


def _customers_to_create(engine: duckdb.DuckDBPyConnection, attempt: Attempt) -> bool:
    if not attempt.source.declared.create_customers:
        return False
    assert attempt.staged is not None
    cast = next(c for c in casts(attempt.source, attempt.staged.columns) if c.name == "customer_id")
    engine.execute(
        f"create temp table new_customer as select distinct {cast.value} as customer_id"
        f" from {STAGED} where {cast.reason} is null and {cast.value} is not null"
        f" and {cast.value} not in (select customer_id from existing_customer)"
    )
    return _count(engine, "select count(*) from new_customer") > 0


def _judge(engine: duckdb.DuckDBPyConnection, attempt: Attempt, *, new_customers: bool) -> None:
    """Make the table ``judged``: typed values, and column and reason of what is wrong."""
    assert attempt.staged is not None
    every = casts(attempt.source, attempt.staged.columns)
    values = ", ".join(f'{cast.value} as "{cast.name}"' for cast in every)
    found = ", ".join(f"'{cast.name}:' || {cast.reason}" for cast in every if cast.reason != "null")
    engine.execute(
        f"create temp table typed as select {ROW_NO}, {values},"
        f" coalesce({found or 'null'}, null) as problem from {STAGED}"
    )
    key = quoted(attempt.table.key)
    checks = [
        "problem",
        f"case when problem is null and row_number() over"
        f" (partition by problem is null, {key} order by {ROW_NO}) > 1"
        f" then '{attempt.table.key[0]}:duplicate_key' end",
    ]
    for column in attempt.table.columns:
        if column.references and column.name in attempt.source.declared.columns:
            target = TABLES[column.references]
            known = f"select {quoted(target.key)} from existing_{target.name}"
            if target.name == "customer" and new_customers:
                known += " union all select customer_id from new_customer"
            checks.append(
                f'case when "{column.name}" is not null and "{column.name}" not in ({known})'
                f" then '{column.name}:unknown_{target.name}' end"
            )
    engine.execute(
        f"create temp table judged as select * exclude (problem),"
        f" coalesce({', '.join(checks)}) as problem from typed"
    )
    engine.execute("drop table typed")


def _rejected_rows(engine: duckdb.DuckDBPyConnection, attempt: Attempt) -> list[Rejected]:
    assert attempt.staged is not None
    raw = raw_json_expression(attempt.staged.columns)
    rows = engine.execute(
        f"select {ROW_NO}, split_part(problem, ':', 1), split_part(problem, ':', 2), {raw}"
        f" from judged join {STAGED} using ({ROW_NO}) where problem is not null order by {ROW_NO}"
    ).fetchall()
    rejected = [(int(no), str(column), str(why), str(text)) for no, column, why, text in rows]
    rejected += [(no, "", WRONG_WIDTH, text) for no, text in attempt.staged.ragged]
    attempt.rejected = len(rejected)
    attempt.loaded = attempt.staged.rows_in - attempt.rejected
    return sorted(rejected)


def _refuse_if_too_bad(attempt: Attempt, rejected: list[Rejected]) -> None:
    if not rejected:
        return
    declared = attempt.source.declared
    assert attempt.staged is not None
    share = attempt.rejected / attempt.staged.rows_in
    if declared.on_error == "reject" and share <= declared.max_rejected_share:
        return
    counts = by_reason(rejected)
    reasons = "; ".join(f"{n:,} × {why}" for why, n in list(counts.items())[:4])
    first = "\n".join(
        f"  record {no}, column {column or '-'}: {reason_text(why)}: {text[:200]}"
        for no, column, why, text in rejected[:FIRST_REJECTED]
    )
    limit = (
        "the map says on_error: fail"
        if declared.on_error == "fail"
        else f"the map allows {formats.percent(declared.max_rejected_share)}"
    )
    raise ImportRefusedError(
        f"{attempt.rejected:,} of {attempt.staged.rows_in:,} records would be set aside"
        f" ({reasons}), and {limit}; the first are\n{first}\n",
        where=str(attempt.file),
        remedy="correct the file or the map, then import again; nothing was loaded",
    )


def _split_loaded(engine: duckdb.DuckDBPyConnection, attempt: Attempt) -> None:
    """Make ``changed``: the loaded rows that are new or differ from what is there."""
    table = attempt.table
    key = quoted(table.key)
    same = " and ".join(
        f'old."{c.name}" is not distinct from new."{c.name}"' for c in table.columns
    )
    on = " and ".join(f'old."{name}" = new."{name}"' for name in table.key)
    names = quoted([column.name for column in table.columns])
    engine.execute(
        f"create temp table changed as select {names}, '{attempt.batch_id}' as {BATCH_COLUMN}"
        f" from judged new where problem is null and not exists"
        f" (select 1 from existing_{table.name} old where {on} and {same})"
    )
    engine.execute(
        f"create temp table replaced as select {key}, filename from existing_{table.name}"
        f" semi join changed using ({key})"
    )
    changed = _count(engine, "select count(*) from changed")
    attempt.updated = _count(engine, "select count(*) from replaced")
    attempt.inserted = changed - attempt.updated
    attempt.unchanged = attempt.loaded - changed


def _write(
    engine: duckdb.DuckDBPyConnection, store: Store, attempt: Attempt, before: Snapshot
) -> tuple[list[DataFile], list[DataFile]]:
    table = attempt.table
    key, names = quoted(table.key), quoted([name for name, _ in table.stored_columns])
    files = store.files(table.name, before.snapshot_id)
    touched = {
        str(row[0]) for row in engine.execute("select distinct filename from replaced").fetchall()
    }
    small = [file for file in files if file.rows < SMALL_FILE_ROWS]
    if len(small) >= MANY_SMALL_FILES:
        touched |= {str(file.path) for file in small}
    remove = [file for file in files if str(file.path) in touched]
    add = []
    kept = [f"select {names} from changed"]
    for file in remove:
        query = f"select {names} from ({scan(table.name, [str(file.path)])})"
        query += f" anti join changed using ({key})"
        if file.rows < SMALL_FILE_ROWS:
            kept.append(query)
        else:
            add.append(store.write_file(engine, table.name, query))
    if attempt.inserted or attempt.updated or len(kept) > 1:
        add.append(store.write_file(engine, table.name, " union all ".join(kept)))
    return add, remove


def _reconcile(
    engine: duckdb.DuckDBPyConnection,
    store: Store,
    attempt: Attempt,
    before: Snapshot,
    add: list[DataFile],
    remove: list[DataFile],
    rejected: list[Rejected],
) -> None:
    """Compare the file with what the gateway would hold, read back from the new files."""
    table, staged = attempt.table, attempt.staged
    assert staged is not None
    gone = {file.path for file in remove}
    after = [f for f in store.files(table.name, before.snapshot_id) if f.path not in gone]
    after += [file for file in add if file.table == table.name and file.rows]
    engine.execute(
        f"create temp view after as {scan(table.name, [str(file.path) for file in after])}"
    )
    key = quoted(table.key)
    rows_before = _count(engine, f"select count(*) from existing_{table.name}")
    rows_after = _count(engine, "select count(*) from after")
    held = _count(
        engine,
        f"select count(*) from after semi join"
        f" (select {key} from judged where problem is null) using ({key})",
    )
    problems = []
    if rows_after != rows_before + attempt.inserted:
        problems.append(f"{rows_after:,} rows after {rows_before:,} + {attempt.inserted:,} new")
    if held != attempt.loaded:
        problems.append(f"{held:,} rows held of {attempt.loaded:,} loaded")
    if staged.rows_in != attempt.loaded + attempt.rejected:
        problems.append(
            f"{staged.rows_in:,} records in, {attempt.loaded:,} loaded"
            f" + {attempt.rejected:,} set aside"
        )
    if staged.amount_in is not None:
        attempt.amount_rejected = _amount_rejected(attempt, rejected)
        attempt.amount_loaded = _sum(
            engine,
            f'select sum("{table.money}") from after semi join'
            f" (select {key} from judged where problem is null) using ({key})",
        )
        if staged.amount_in != attempt.amount_loaded + attempt.amount_rejected:
            problems.append(
                f"{staged.amount_in} in the file, {attempt.amount_loaded} loaded"
                f" + {attempt.amount_rejected} set aside"
            )
    if problems:
        raise ImportRefusedError(
            f"rows or money do not add up: {'; '.join(problems)}",
            where=str(attempt.file),
            remedy="nothing was loaded; check the map's decimal and thousands separators",
        )


def _amount_rejected(attempt: Attempt, rejected: list[Rejected]) -> Decimal:
    column = attempt.source.declared.columns[attempt.table.money]
    assert attempt.staged is not None
    total = attempt.staged.amount_ragged
    for _, _, why, text in rejected:
        if why != WRONG_WIDTH:
            cell = json.loads(text)[column.source]
            total += money_text(cell or "", attempt.source.declared) or 0
    return total


def _select(table: Table, columns: dict[str, str], origin: str) -> str:
    parts = [f'cast({columns[name]} as {kind}) as "{name}"' for name, kind in table.stored_columns]
    return f"select {', '.join(parts)} from {origin}"


def _count(engine: duckdb.DuckDBPyConnection, query: str) -> int:
    row = engine.execute(query).fetchone()
    return int(row[0]) if row else 0


def _sum(engine: duckdb.DuckDBPyConnection, query: str) -> Decimal:
    row = engine.execute(query).fetchone()
    return Decimal(row[0]) if row and row[0] is not None else Decimal(0)
