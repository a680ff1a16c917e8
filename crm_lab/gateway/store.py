"""The store under the gateway: immutable Parquet files listed in a SQLite manifest.

Every change writes new files under names made of their content, then adds one snapshot to the
manifest in one transaction. A reader is pinned to one snapshot, so an open notebook, the night's
run and an import never disturb each other; a process killed at any moment leaves files that no
manifest lists, and the next writer removes them. Who was in which arm, which plans were
registered and which lists left the house stands in an append-only ledger that the store itself
refuses to change (see :mod:`crm_lab.gateway.ledger`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from crm_lab.errors import BusyError, StoreError
from crm_lab.gateway.schema import TABLES

STORE_VERSION = "1"
MANIFEST_NAME = "manifest.sqlite"
FACTS_FOLDER = "facts"
SMALL_FILE_ROWS = 100_000
MANY_SMALL_FILES = 24

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

_NEVER_CHANGED = ("ledger", "snapshot", "import_batch", "rejected_row")

_FILE_TRIGGERS_SQL = """
create trigger data_file_kept before delete on data_file
begin select raise(abort, 'data_file is append-only'); end;
create trigger data_file_frozen before update on data_file
when old.removed_in is not null
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One state of the whole gateway, never changed afterwards.

    Attributes
    ----------
    snapshot_id : int
        Counted from 0 (empty).
    digest : str
        sha256 over the content of every file that belongs to it (64 hexadecimal digits).
    created_at : datetime
        When it was made (UTC).
    reason : str
        What made it.
    """

    snapshot_id: int
    digest: str
    created_at: datetime
    reason: str

    @property
    def label(self) -> str:
        """Short name for people: number and the first digits of the digest."""
        return f"{self.snapshot_id}-{self.digest[:8]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """One immutable Parquet file of a table.

    Attributes
    ----------
    table : str
        Table it belongs to.
    path : pathlib.Path
        Where it lies.
    rows : int
        How many rows it holds.
    sha256 : str
        Hash of its content.
    file_id : int
        Row of the manifest; 0 while it is not listed yet.
    """

    table: str
    path: Path
    rows: int
    sha256: str
    file_id: int = 0


class Store:
    """Files and manifest of one gateway folder; open it with :meth:`open` or :meth:`create`."""

    def __init__(self, folder: Path, *, threads: int = 2) -> None:
        self.folder = folder
        self.threads = threads
        self._manifest = folder / MANIFEST_NAME

    @classmethod
    def create(cls, folder: Path, *, threads: int = 2) -> Store:
        """Make an empty store, or open the one that is there.

        Raises
        ------
        StoreError
            The folder cannot be written.
        """
        store = cls(folder, threads=threads)
        try:
            (folder / FACTS_FOLDER).mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise StoreError(f"cannot be written ({problem.strerror})", where=str(folder)) from None
        with store.write_lock("creating the gateway"):
            if not store._manifest.exists():
                store._create_manifest()
        return cls.open(folder, threads=threads)

    @classmethod
    def open(cls, folder: Path, *, threads: int = 2) -> Store:
        """Open an existing store.

        Raises
        ------
        StoreError
            There is none, it is not a store, or it is of another version.
        """
        store = cls(folder, threads=threads)
        if not store._manifest.is_file():
            raise StoreError(
                "there is no gateway here",
                where=str(folder),
                remedy="load a first file with: crm-lab import MAP FILE",
            )
        try:
            with store.manifest() as db:
                found = db.execute("select value from meta where key = 'version'").fetchone()
        except sqlite3.DatabaseError as problem:
            raise StoreError(
                f"not a readable manifest ({problem})", where=str(store._manifest)
            ) from None
        if found is None or found[0] != STORE_VERSION:
            raise StoreError(
                f"the gateway is of version {found[0] if found else 'unknown'}",
                expected=f"version {STORE_VERSION}",
                where=str(store._manifest),
            )
        return store

    @contextlib.contextmanager
    def manifest(self) -> Iterator[sqlite3.Connection]:
        """Open the manifest; the connection is in autocommit mode and closed at the end."""
        db = sqlite3.connect(self._manifest, timeout=60, isolation_level=None)
        try:
            db.execute("pragma journal_mode = wal")
            db.execute("pragma synchronous = full")
            db.execute("pragma foreign_keys = on")
            yield db
        finally:
            db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Open the manifest in one writing transaction: all of it happens, or nothing."""
        with self.manifest() as db:
            db.execute("begin immediate")
            try:
                yield db
            except BaseException:
                db.execute("rollback")
                raise
            db.execute("commit")

    @contextlib.contextmanager
    def write_lock(self, purpose: str) -> Iterator[None]:
        """Hold the one writer's place; a second writer is told who is there.

        The lock is the operating system's, so it goes with its process however that ends.

        Raises
        ------
        BusyError
            Another process is writing.
        """
        lock = FileLock(self.folder / "write.lock")
        note = self.folder / "write.lock.holder"
        try:
            lock.acquire(timeout=0)
        except Timeout:
            holder = note.read_text("utf-8") if note.exists() else "another process"
            raise BusyError(
                f"the gateway is being written by {holder}",
                where=str(self.folder),
                remedy="wait until it has finished and try again; nothing was changed",
            ) from None
        try:
            note.write_text(
                f"process {os.getpid()} ({purpose}, since {utc_now():%Y-%m-%d %H:%M:%S} UTC)",
                "utf-8",
            )
            if self._manifest.exists():
                self._remove_orphans()
            yield
        finally:
            note.unlink(missing_ok=True)
            lock.release()

    def snapshot(self, snapshot_id: int | None = None) -> Snapshot:
        """Give one snapshot, by default the latest.

        Raises
        ------
        StoreError
            There is no such snapshot.
        """
        with self.manifest() as db:
            row = db.execute(
                "select snapshot_id, digest, created_at, reason from snapshot"
                " where snapshot_id = coalesce(?, (select max(snapshot_id) from snapshot))",
                (snapshot_id,),
            ).fetchone()
        if row is None:
            raise StoreError(f"there is no snapshot {snapshot_id}", where=str(self.folder))
        return Snapshot(
            snapshot_id=row[0],
            digest=row[1],
            created_at=datetime.fromisoformat(row[2]),
            reason=row[3],
        )

    def files(self, table: str, snapshot_id: int) -> list[DataFile]:
        """List the files of a table in one snapshot, oldest first."""
        with self.manifest() as db:
            rows = db.execute(
                "select file_id, path, rows, sha256 from data_file where table_name = ?"
                " and added_in <= ? and (removed_in is null or removed_in > ?) order by file_id",
                (table, snapshot_id, snapshot_id),
            ).fetchall()
        return [
            DataFile(
                table=table, path=self.folder / row[1], rows=row[2], sha256=row[3], file_id=row[0]
            )
            for row in rows
        ]

    def engine(self) -> duckdb.DuckDBPyConnection:
        """Give a fresh in-process query engine with nothing in it, in UTC."""
        spill = self.folder / "spill"
        engine = duckdb.connect(
            ":memory:",
            config={"threads": self.threads, "temp_directory": str(spill)},
        )
        engine.execute("set TimeZone = 'UTC'")
        engine.execute("set preserve_insertion_order = true")
        return engine

    def write_file(self, engine: duckdb.DuckDBPyConnection, table: str, query: str) -> DataFile:
        """Write the rows of ``query`` as one new file of ``table``, not yet listed.

        The file is complete and on disk when this returns; its name is its content's hash.
        """
        folder = self.folder / FACTS_FOLDER / table
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{os.getpid()}.writing"
        order = ", ".join(f'"{name}"' for name in TABLES[table].key)
        copied = engine.execute(
            f"copy (select * from ({query}) order by {order})"
            f" to '{sql_text(str(temporary))}' (format parquet, compression zstd)"
        ).fetchone()
        rows = int(copied[0]) if copied else 0
        digest = file_sha256(temporary)
        path = folder / f"{digest[:24]}.parquet"
        _sync(temporary)
        temporary.replace(path)
        _sync(folder)
        return DataFile(table=table, path=path, rows=rows, sha256=digest)

    def publish(
        self,
        *,
        add: Sequence[DataFile],
        remove: Sequence[DataFile],
        reason: str,
        within: Callable[[sqlite3.Connection], None] | None = None,
    ) -> Snapshot:
        """Make one new snapshot in one transaction.

        Parameters
        ----------
        add, remove : sequence of DataFile
            Files that the snapshot gains and loses; files without rows are passed over.
        reason : str
            What made it, for people.
        within : callable, optional
            Writes more rows of the manifest (batch, ledger) in the same transaction.
        """
        now = utc_now()
        with self.transaction() as db:
            latest = db.execute("select max(snapshot_id) from snapshot").fetchone()[0]
            new_id = latest + 1
            db.execute(
                "insert into snapshot values (?, ?, ?, ?)",
                (new_id, now.isoformat(), reason, self._digest_after(db, add, remove)),
            )
            for file in remove:
                db.execute(
                    "update data_file set removed_in = ? where file_id = ?", (new_id, file.file_id)
                )
            db.executemany(
                "insert into data_file (table_name, path, rows, sha256, append_only, added_in)"
                " values (?, ?, ?, ?, ?, ?)",
                [
                    (
                        file.table,
                        file.path.relative_to(self.folder).as_posix(),
                        file.rows,
                        file.sha256,
                        int(TABLES[file.table].append_only),
                        new_id,
                    )
                    for file in add
                    if file.rows
                ],
            )
            if within is not None:
                within(db)
        return self.snapshot(new_id)

    def altered_files(self, snapshot_id: int | None = None) -> list[str]:
        """Name the files whose content is not what the manifest says, or that are gone."""
        chosen = self.snapshot(snapshot_id).snapshot_id
        listed = [file for table in TABLES for file in self.files(table, chosen)]
        return [
            file.path.relative_to(self.folder).as_posix()
            for file in listed
            if not file.path.is_file() or file_sha256(file.path) != file.sha256
        ]

    def _digest_after(
        self, db: sqlite3.Connection, add: Sequence[DataFile], remove: Sequence[DataFile]
    ) -> str:
        gone = {file.file_id for file in remove}
        current = db.execute(
            "select file_id, table_name, sha256 from data_file where removed_in is null"
        ).fetchall()
        lines = [f"{table} {sha}" for file_id, table, sha in current if file_id not in gone]
        lines += [f"{file.table} {file.sha256}" for file in add if file.rows]
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()

    def _create_manifest(self) -> None:
        building = self._manifest.with_suffix(".creating")
        building.unlink(missing_ok=True)
        db = sqlite3.connect(building, isolation_level=None)
        try:
            db.executescript(_TABLES_SQL + _FILE_TRIGGERS_SQL)
            for table in _NEVER_CHANGED:
                for action in ("update", "delete"):
                    db.execute(
                        f"create trigger {table}_no_{action} before {action} on {table}"
                        f" begin select raise(abort, '{table} is append-only'); end"
                    )
            db.execute("insert into meta values ('version', ?)", (STORE_VERSION,))
            empty = hashlib.sha256(b"").hexdigest()
            db.execute(
                "insert into snapshot values (0, ?, 'created', ?)", (utc_now().isoformat(), empty)
            )
        finally:
            db.close()
        _sync(building)
        building.replace(self._manifest)

    def _remove_orphans(self) -> None:
        """Remove files that no manifest lists; only the holder of the lock may."""
        with self.manifest() as db:
            listed = {row[0] for row in db.execute("select path from data_file")}
        for path in (self.folder / FACTS_FOLDER).rglob("*"):
            if path.is_file() and path.relative_to(self.folder).as_posix() not in listed:
                path.unlink()


def utc_now() -> datetime:
    """Give the time now, in UTC."""
    return datetime.now(UTC)


def file_sha256(path: Path) -> str:
    """Hash a file's content, in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sql_text(value: str) -> str:
    """Escape a text that stands between single quotes in SQL."""
    return value.replace("'", "''")


def quoted(names: Sequence[str]) -> str:
    """Write column names for SQL, each in double quotes."""
    return ", ".join(f'"{name}"' for name in names)


def _sync(path: Path) -> None:
    """Force a file (or, where the system allows it, a folder's entries) to disk."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() or os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
