"""The Data Gateway: the only code that opens the store or a customer file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from crm_lab.errors import CrmLabError, Fault, LedgerError
from crm_lab.formats import listing
from crm_lab.gateway import ledger
from crm_lab.gateway.import_report import ImportReport
from crm_lab.gateway.imports import import_file
from crm_lab.gateway.ledger import Entry, EntryKind
from crm_lab.gateway.manifest import counts_unread
from crm_lab.gateway.mapping import LoadedMap, load_map, load_maps
from crm_lab.gateway.reads import Reader
from crm_lab.gateway.schema import BATCH_COLUMN, TABLES
from crm_lab.gateway.store import DataFile, Snapshot, Store, quoted, sql_text
from crm_lab.language import say

__all__ = [
    "Entry",
    "EntryKind",
    "Gateway",
    "ImportReport",
    "LedgerEntry",
    "LoadedMap",
    "Reader",
    "Snapshot",
    "load_map",
    "load_maps",
]


LedgerEntry = tuple[EntryKind, str, Mapping[str, Any]]
"""Kind, subject and payload of an entry to write."""


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
    snapshot_id : int, optional
        The snapshot that reads are pinned to; by default each read takes the latest.
    """

    def __init__(
        self, folder: Path, *, currency: str, threads: int = 2, snapshot_id: int | None = None
    ) -> None:
        self.folder = folder
        self.currency = currency
        self._threads = threads
        self._snapshot_id = snapshot_id

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever loaded."""
        return not Store(self.folder, threads=self._threads).is_there

    def import_file(self, source: LoadedMap, file: Path, *, progress: bool = False) -> ImportReport:
        """Load one file through its map (see :func:`crm_lab.gateway.imports.import_file`)."""
        store = Store.create(self.folder, threads=self._threads)
        return import_file(store, source, file, currency=self.currency, progress=progress)

    def import_files(
        self, chosen: Sequence[tuple[LoadedMap, Path]], *, progress: bool = False
    ) -> list[ImportReport]:
        """Load several files in this order; where one is refused, say which went in before it.

        Raises
        ------
        CrmLabError
            As :meth:`import_file`; with the files that were loaded and those that were not.
        """
        reports: list[ImportReport] = []
        for source, file in chosen:
            try:
                reports.append(self.import_file(source, file, progress=progress))
            except CrmLabError as refusal:
                if len(chosen) == 1:
                    raise
                names = [path.name for _, path in chosen]
                standing = Fault(
                    found=say(
                        "loaded from this folder: {loaded}; not loaded: {rest}",
                        loaded=listing(names[: len(reports)], limit=len(names)) or say("none"),
                        rest=listing(names[len(reports) :], limit=len(names)),
                    ),
                    where=str(file.parent),
                    remedy=say("load the folder again then; what is loaded is not loaded twice"),
                )
                raise type(refusal)([*refusal.faults, standing]) from None
        return reports

    def reader(self, snapshot_id: int | None = None) -> Reader:
        """Open a reader on one snapshot, by default the gateway's own."""
        return Reader(self._store(), self._pinned(snapshot_id))

    def snapshot(self, snapshot_id: int | None = None) -> Snapshot:
        """Give one snapshot, by default the gateway's own."""
        return self._store().snapshot(self._pinned(snapshot_id))

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
        with store.write_lock(say("recording {what}", what=kind)), store.transaction() as db:
            return ledger.append(db, kind, subject, payload)

    def append(
        self,
        rows: Mapping[str, str | pd.DataFrame],
        *,
        reason: str,
        entries: Callable[[Reader, Mapping[str, str]], list[LedgerEntry]],
        check: Callable[[Reader], None] | None = None,
    ) -> Snapshot:
        """Append rows to tables and write ledger entries, all in one transaction.

        Parameters
        ----------
        rows : mapping
            Table to its new rows, without ``import_batch_id``: a query on the latest snapshot (or
            on temporary tables that ``check`` made), or a frame. Their keys must be new.
        reason : str
            What made the rows.
        entries : callable
            Gets the reader and the hash of each written file; gives the ledger entries.
        check : callable, optional
            Gets the reader under the writer's lock, before anything is written; raises to stop,
            and may make temporary tables in the reader's engine.

        Raises
        ------
        LedgerError
            A row with the same key is there already, or ``check`` raised it.
        BusyError
            Another process is writing.
        """
        store = self._store()
        with store.write_lock(reason), Reader(store) as reader:
            if check is not None:
                check(reader)
            files = [self._new_file(store, reader, name, new, reason) for name, new in rows.items()]
            written = entries(reader, {file.table: file.sha256 for file in files})
            return store.publish(
                add=files,
                remove=[],
                reason=reason,
                within=lambda db: _append_all(db, written),
            )

    def _new_file(
        self, store: Store, reader: Reader, name: str, new: str | pd.DataFrame, reason: str
    ) -> DataFile:
        table = TABLES[name]
        query = new
        if isinstance(new, pd.DataFrame):
            reader.engine.register(f"new_{name}", new)
            query = f"select * from new_{name}"
        columns = ", ".join(
            f'cast("{c.name}" as {c.sql_type}) as "{c.name}"' for c in table.columns
        )
        batch = f"'{sql_text(reason)}' as {BATCH_COLUMN}"
        file = store.write_file(reader.engine, name, f"select {columns}, {batch} from ({query})")
        key = quoted(table.key)
        held = f"select {key} from read_parquet('{sql_text(str(file.path))}')"
        there = reader.integer(f'select count(*) from "{name}" semi join ({held}) using ({key})')
        twice = reader.integer(f"select count(*) - count(distinct ({key})) from ({held})")
        if there or twice:
            raise LedgerError(
                say(
                    "{count} rows of {table} are there already or come twice",
                    count=there + twice,
                    table=name,
                ),
                expected=say("rows that are new"),
                where=reason,
            )
        return file

    def imports(self) -> pd.DataFrame:
        """List every import, the latest first.

        ``amounts_unread`` counts the records whose money could not be read: where it is above 0,
        the sums do not hold all the money of the file. It is empty for older imports.
        """
        with self._store().manifest() as db:
            unread = "amounts_unread" if counts_unread(db) else "null as amounts_unread"
            return pd.read_sql_query(
                "select import_batch_id, status, table_name, source_system, file_name, started_at,"
                " rows_in, rows_loaded, rows_inserted, rows_updated, rows_unchanged,"
                f" rows_rejected, amount_in, amount_loaded, amount_rejected, {unread}, message"
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

    def _pinned(self, snapshot_id: int | None) -> int | None:
        return self._snapshot_id if snapshot_id is None else snapshot_id

    def _store(self) -> Store:
        return Store.open(self.folder, threads=self._threads)


def _append_all(db: sqlite3.Connection, written: list[LedgerEntry]) -> None:
    for kind, subject, payload in written:
        ledger.append(db, kind, subject, payload)
