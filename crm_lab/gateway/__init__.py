"""The Data Gateway: the only code that opens the store or a customer file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from crm_lab.gateway import ledger
from crm_lab.gateway.import_report import ImportReport
from crm_lab.gateway.imports import import_file
from crm_lab.gateway.ledger import Entry, EntryKind
from crm_lab.gateway.mapping import LoadedMap, load_map, load_maps
from crm_lab.gateway.reads import Reader
from crm_lab.gateway.schema import BATCH_COLUMN, TABLES
from crm_lab.gateway.store import Snapshot, Store, quoted

__all__ = [
    "Entry",
    "EntryKind",
    "Gateway",
    "ImportReport",
    "LoadedMap",
    "Reader",
    "Snapshot",
    "load_map",
    "load_maps",
]


class Gateway:
    """One company's data: imports, snapshots, reads and the ledger.

    Parameters
    ----------
    folder : pathlib.Path
        Where its files lie; made by the first import.
    currency : str
        Currency of every amount.
    threads : int
        Threads of the query engine.
    """

    def __init__(self, folder: Path, *, currency: str, threads: int = 2) -> None:
        self.folder = folder
        self.currency = currency
        self._threads = threads

    def import_file(self, source: LoadedMap, file: Path, *, progress: bool = False) -> ImportReport:
        """Load one file through its map (see :func:`crm_lab.gateway.imports.import_file`)."""
        store = Store.create(self.folder, threads=self._threads)
        return import_file(store, source, file, currency=self.currency, progress=progress)

    def reader(self, snapshot_id: int | None = None) -> Reader:
        """Open a reader on one snapshot, by default the latest."""
        return Reader(self._store(), snapshot_id)

    def snapshot(self, snapshot_id: int | None = None) -> Snapshot:
        """Give one snapshot, by default the latest."""
        return self._store().snapshot(snapshot_id)

    def entries(self, *, kind: EntryKind | None = None, subject: str = "") -> list[Entry]:
        """Read the ledger, whole or by kind and subject."""
        return ledger.entries(self._store(), kind=kind, subject=subject)

    def ledger_head(self) -> str:
        """Digest of the ledger's last entry."""
        return ledger.head(self._store())

    def verify(self) -> list[str]:
        """Check ledger and files; give what is wrong, in words (empty: sound)."""
        return ledger.verify(self._store())

    def record(self, kind: EntryKind, subject: str, payload: Mapping[str, Any]) -> str:
        """Write one entry into the ledger and give its digest."""
        store = self._store()
        with store.write_lock(f"recording {kind}"), store.transaction() as db:
            return ledger.append(db, kind, subject, payload)

    def append(
        self,
        table: str,
        query_or_frame: str | pd.DataFrame,
        *,
        reason: str,
        entries: Callable[[Reader, str, int], list[tuple[EntryKind, str, Mapping[str, Any]]]],
        check: Callable[[Reader], None] | None = None,
        prepare: Callable[[Reader], None] | None = None,
    ) -> Snapshot:
        """Append rows to a table and write ledger entries, both in one transaction.

        Parameters
        ----------
        table : str
            Table of the gateway; its keys must be new.
        query_or_frame : str or pandas.DataFrame
            The rows, without ``import_batch_id``; a query runs on the latest snapshot.
        reason : str
            What made the rows.
        entries : callable
            Gets the reader, the hash of the written file and the number of rows; gives the
            ledger entries.
        check : callable
            Gets the reader under the writer's lock, before anything is written; raises to stop.
        prepare : callable
            Makes what the query needs (temporary tables) in the reader's engine.

        Raises
        ------
        LedgerError
            From ``check``.
        BusyError
            Another process is writing.
        """
        store = self._store()
        with store.write_lock(reason), Reader(store) as reader:
            if check is not None:
                check(reader)
            if prepare is not None:
                prepare(reader)
            if isinstance(query_or_frame, pd.DataFrame):
                reader.engine.register("appended", query_or_frame)
                query = "select * from appended"
            else:
                query = query_or_frame
            columns = ", ".join(
                f'cast("{c.name}" as {c.sql_type}) as "{c.name}"' for c in TABLES[table].columns
            )
            typed = f"select {columns}, '{reason}' as {BATCH_COLUMN} from ({query})"
            file = store.write_file(reader.engine, table, typed)
            held = f"select {quoted(TABLES[table].key)} from read_parquet('{file.path}')"
            twice = reader.one(
                f'select count(*) as n from "{table}" semi join ({held})'
                f" using ({quoted(TABLES[table].key)})"
            )["n"]
            repeated = reader.one(
                f"select count(*) - count(distinct ({quoted(TABLES[table].key)})) as n"
                f" from ({held})"
            )["n"]
            if twice or repeated:
                raise ValueError(f"{twice or repeated} rows of {table} are there already")
            written = entries(reader, file.sha256, file.rows)
            return store.publish(
                add=[file],
                remove=[],
                reason=reason,
                within=lambda db: _append_all(db, written),
            )

    def imports(self) -> pd.DataFrame:
        """List every import, the latest first."""
        with self._store().manifest() as db:
            return pd.read_sql_query(
                "select import_batch_id, status, table_name, source_system, file_name, started_at,"
                " rows_in, rows_loaded, rows_inserted, rows_updated, rows_unchanged,"
                " rows_rejected, amount_in, amount_loaded, amount_rejected, message"
                " from import_batch order by batch_no desc",
                db,
            )

    def rejected_rows(self, import_batch_id: str | None = None) -> pd.DataFrame:
        """List rows that imports set aside, with column, reason and content."""
        with self._store().manifest() as db:
            return pd.read_sql_query(
                "select b.import_batch_id, b.file_name, r.row_no, r.column_name, r.reason,"
                " r.raw_json from rejected_row r join import_batch b using (batch_no)"
                " where ?1 is null or b.import_batch_id = ?1 order by b.batch_no, r.row_no",
                db,
                params=(import_batch_id,),
            )

    def _store(self) -> Store:
        return Store.open(self.folder, threads=self._threads)


def _append_all(db: Any, written: list[tuple[EntryKind, str, Mapping[str, Any]]]) -> None:
    for kind, subject, payload in written:
        ledger.append(db, kind, subject, payload)
