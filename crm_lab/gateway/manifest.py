"""The manifest under the store: its tables, and the triggers that keep them append-only."""

from __future__ import annotations

import hashlib
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

STORE_VERSION = "1"

_TABLES_SQL = """
create table meta (key text primary key, value text not null) strict;
create table snapshot (
    snapshot_id integer primary key,
    created_at text not null,
    reason text not null,
    digest text not null
) strict;
create table data_file (
    file_id integer primary key,
    table_name text not null,
    path text not null,
    rows integer not null check (rows > 0),
    sha256 text not null,
    append_only integer not null,
    added_in integer not null references snapshot,
    removed_in integer references snapshot
) strict;
create index data_file_by_table on data_file (table_name, added_in, removed_in);
create table import_batch (
    batch_no integer primary key,
    import_batch_id text not null,
    status text not null check (status in ('ok', 'partial', 'failed')),
    table_name text not null,
    source_system text not null,
    file_name text not null,
    file_format text not null,
    file_sha256 text not null,
    map_name text not null,
    map_sha256 text not null,
    started_at text not null,
    finished_at text not null,
    rows_in integer not null,
    rows_loaded integer not null,
    rows_inserted integer not null,
    rows_updated integer not null,
    rows_unchanged integer not null,
    rows_rejected integer not null,
    amount_in text,
    amount_loaded text,
    amount_rejected text,
    amounts_unread integer,
    message text not null default ''
) strict;
create unique index import_batch_once on import_batch (import_batch_id) where status <> 'failed';
create table rejected_row (
    batch_no integer not null references import_batch,
    row_no integer not null,
    table_name text not null,
    column_name text not null,
    reason text not null,
    raw_json text not null,
    primary key (batch_no, row_no)
) strict, without rowid;
create table ledger (
    seq integer primary key,
    at text not null,
    kind text not null,
    subject text not null,
    payload text not null,
    prev_digest text not null,
    digest text not null
) strict;
"""

_NEVER_CHANGED = {
    "ledger": ("seq",),
    "snapshot": ("snapshot_id",),
    "import_batch": ("batch_no",),
    "rejected_row": ("batch_no", "row_no"),
}

_FILE_TRIGGERS_SQL = """
create trigger data_file_kept before delete on data_file
begin select raise(abort, 'data_file is append-only'); end;
create trigger data_file_frozen before update on data_file
when old.removed_in is not null
  or new.removed_in is null
  or old.append_only = 1
  or new.file_id is not old.file_id
  or new.table_name is not old.table_name
  or new.path is not old.path
  or new.rows is not old.rows
  or new.sha256 is not old.sha256
  or new.append_only is not old.append_only
  or new.added_in is not old.added_in
begin select raise(abort, 'data_file is append-only'); end;
"""


def create_manifest(path: Path) -> None:
    """Write an empty manifest with its first snapshot, complete or not at all."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.executescript(_TABLES_SQL + _FILE_TRIGGERS_SQL)
        for table, key in _NEVER_CHANGED.items():
            for action in ("update", "delete"):
                db.execute(
                    f"create trigger {table}_no_{action} before {action} on {table}"
                    f" begin select raise(abort, '{table} is append-only'); end"
                )
            db.execute(_never_replaced(table, key))
        db.execute(_never_replaced("data_file", ("file_id",)))
        db.execute("insert into meta values ('version', ?)", (STORE_VERSION,))
        empty = hashlib.sha256(b"").hexdigest()
        db.execute(
            "insert into snapshot values (0, ?, 'created', ?)",
            (datetime.now(UTC).isoformat(), empty),
        )
    finally:
        db.close()


def add_missing_columns(db: sqlite3.Connection) -> None:
    """Give a manifest made by an earlier version the columns that came since, all empty."""
    if not counts_unread(db):
        db.execute("alter table import_batch add column amounts_unread integer")


def counts_unread(db: sqlite3.Connection) -> bool:
    """Whether the record of imports says how many amounts could not be read."""
    columns = db.execute("select name from pragma_table_info('import_batch')").fetchall()
    return ("amounts_unread",) in columns


def _never_replaced(table: str, key: tuple[str, ...]) -> str:
    """Write the trigger against INSERT OR REPLACE, which deletes without asking other triggers."""
    same = " and ".join(f"{name} = new.{name}" for name in key)
    return (
        f"create trigger {table}_no_replace before insert on {table}"
        f" when exists (select 1 from {table} where {same})"
        f" begin select raise(abort, '{table} is append-only'); end"
    )
