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
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from crm_lab.errors import BusyError, StoreError
from crm_lab.gateway.manifest import STORE_VERSION, create_manifest
from crm_lab.gateway.schema import TABLES
from crm_lab.language import say

MANIFEST_NAME = "manifest.sqlite"
FACTS_FOLDER = "facts"
SPILL_FOLDER = "spill"
WORKING_PREFIX = ".import-"
STALE_SPILL_SECONDS = 24 * 3600
SMALL_FILE_ROWS = 100_000
MANY_SMALL_FILES = 24


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
            raise StoreError(
                say("cannot be written ({reason})", reason=problem.strerror), where=str(folder)
            ) from None
        if not store._manifest.exists():
            with store.write_lock(say("creating the gateway")):
                if not store._manifest.exists():
                    store._create_manifest()
        return cls.open(folder, threads=threads)

    @property
    def is_there(self) -> bool:
        """Whether the folder holds a gateway."""
        return self._manifest.is_file()

    @classmethod
    def open(cls, folder: Path, *, threads: int = 2) -> Store:
        """Open an existing store.

        Raises
        ------
        StoreError
            There is none, it is not a store, or it is of another version.
        """
        store = cls(folder, threads=threads)
        if not store.is_there:
            raise StoreError(
                say("there is no gateway here"),
                where=str(folder),
                remedy=say("load a first file with: crm-lab import MAP FILE"),
            )
        try:
            with store.manifest() as db:
                found = db.execute("select value from meta where key = 'version'").fetchone()
        except sqlite3.DatabaseError as problem:
            raise StoreError(
                say("not a readable manifest ({problem})", problem=problem),
                where=str(store._manifest),
            ) from None
        if found is None or found[0] != STORE_VERSION:
            raise StoreError(
                say(
                    "the gateway is of version {version}",
                    version=found[0] if found else say("unknown"),
                ),
                expected=say("version {version}", version=STORE_VERSION),
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
            holder = say("another process")
            with contextlib.suppress(OSError):  # it may be finishing just now
                holder = note.read_text("utf-8") or holder
            raise BusyError(
                say("the gateway is being written by {holder}", holder=holder),
                where=str(self.folder),
                remedy=say("wait until it has finished and try again; nothing was changed"),
            ) from None
        except OSError as problem:
            raise StoreError(
                say("cannot be written ({reason})", reason=problem.strerror),
                where=str(self.folder),
            ) from None
        try:
            note.write_text(
                say(
                    "process {number} ({purpose}, since {moment} UTC)",
                    number=os.getpid(),
                    purpose=purpose,
                    moment=f"{utc_now():%Y-%m-%d %H:%M:%S}",
                ),
                "utf-8",
            )
            if self._manifest.exists():
                self._remove_leftovers()
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
            raise StoreError(
                say("there is no snapshot {number}", number=snapshot_id), where=str(self.folder)
            )
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
        """Give a fresh in-process query engine with nothing in it, in UTC.

        What does not fit into memory goes to a folder of its own, which the engine makes when it
        needs it and removes when it is closed: two engines that share such a folder overwrite
        each other's pages.
        """
        spill = self.folder / SPILL_FOLDER
        spill.mkdir(exist_ok=True)
        engine = duckdb.connect(
            ":memory:",
            config={
                "threads": self.threads,
                "temp_directory": str(spill / f"{os.getpid()}-{secrets.token_hex(6)}"),
                "autoinstall_known_extensions": False,
            },
        )
        engine.execute("set TimeZone = 'UTC'")
        # its own progress bar would land among a command's output; in a notebook there is none
        # where it cannot be turned off
        with contextlib.suppress(duckdb.InvalidInputException):
            engine.execute("set enable_progress_bar = false")
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

    def altered_files(self) -> list[str]:
        """Name the files, of any snapshot, whose content is not as listed, or that are gone."""
        with self.manifest() as db:
            rows = db.execute("select distinct path, sha256 from data_file order by path")
            listed = [(str(name), str(sha256)) for name, sha256 in rows]
        return [
            name
            for name, sha256 in listed
            if not (self.folder / name).is_file() or file_sha256(self.folder / name) != sha256
        ]

    def altered_snapshots(self) -> list[int]:
        """Name the snapshots whose listed files are not those that they were made of."""
        with self.manifest() as db:
            made = db.execute("select snapshot_id, digest from snapshot order by 1").fetchall()
            files = db.execute(
                "select added_in, coalesce(removed_in, ?), table_name, sha256 from data_file",
                (made[-1][0] + 1 if made else 0,),
            ).fetchall()
        return [
            int(number)
            for number, digest in made
            if digest
            != _digest_of([(table, sha) for since, to, table, sha in files if since <= number < to])
        ]

    def _digest_after(
        self, db: sqlite3.Connection, add: Sequence[DataFile], remove: Sequence[DataFile]
    ) -> str:
        gone = {file.file_id for file in remove}
        current = db.execute(
            "select file_id, table_name, sha256 from data_file where removed_in is null"
        ).fetchall()
        parts = [(table, sha) for file_id, table, sha in current if file_id not in gone]
        return _digest_of(parts + [(file.table, file.sha256) for file in add if file.rows])

    def _create_manifest(self) -> None:
        building = self._manifest.with_suffix(".creating")
        building.unlink(missing_ok=True)
        create_manifest(building)
        _sync(building)
        building.replace(self._manifest)
        _sync(self.folder)

    def _remove_leftovers(self) -> None:
        """Remove what a killed process left behind; only the holder of the lock may."""
        with self.manifest() as db:
            listed = {row[0] for row in db.execute("select path from data_file")}
        for path in (self.folder / FACTS_FOLDER).rglob("*"):
            if path.is_file() and path.relative_to(self.folder).as_posix() not in listed:
                path.unlink()
        for path in self.folder.glob(f"{WORKING_PREFIX}*"):
            shutil.rmtree(path, ignore_errors=True)
        # an engine that reads may be at work in its folder, so only old ones go
        before = time.time() - STALE_SPILL_SECONDS
        for path in (self.folder / SPILL_FOLDER).glob("*"):
            with contextlib.suppress(FileNotFoundError):  # its engine may remove it just now
                if path.stat().st_mtime < before:
                    shutil.rmtree(path, ignore_errors=True)


def utc_now() -> datetime:
    """Give the time now, in UTC."""
    return datetime.now(UTC)


def file_sha256(path: Path) -> str:
    """Hash a file's content, in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def scan(table: str, files: Sequence[DataFile], *, numbered: bool = False) -> str:
    """Write the SELECT over a table's files; without files, one that gives no rows.

    With ``numbered``, a column ``file_no`` tells the position of the row's file in ``files``.
    """
    if not files:
        parts = [f'cast(null as {kind}) as "{name}"' for name, kind in TABLES[table].stored_columns]
        parts += ["cast(null as integer) as file_no"] if numbered else []
        return f"select {', '.join(parts)} where false"
    # no partitions are read out of folder names such as "shop=1"
    if numbered:
        return " union all ".join(
            f"select *, {number} as file_no from"
            f" read_parquet('{sql_text(str(file.path))}', hive_partitioning = false)"
            for number, file in enumerate(files)
        )
    listed = ", ".join(f"'{sql_text(str(file.path))}'" for file in files)
    return f"select * from read_parquet([{listed}], hive_partitioning = false)"


def sql_text(value: str) -> str:
    """Escape a text that stands between single quotes in SQL."""
    return value.replace("'", "''")


def quoted(names: Sequence[str]) -> str:
    """Write column names for SQL, each in double quotes."""
    return ", ".join('"' + name.replace('"', '""') + '"' for name in names)


def _digest_of(files: Sequence[tuple[str, str]]) -> str:
    lines = sorted(f"{table} {sha256}" for table, sha256 in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _sync(path: Path) -> None:
    """Force a file (or, where the system allows it, a folder's entries) to disk."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() or os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
