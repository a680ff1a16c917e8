"""The record of every import: what was tried, what came of it, what was set aside and why."""

from __future__ import annotations

import dataclasses
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from crm_lab.cards import GivenName
from crm_lab.errors import CrmLabError
from crm_lab.gateway.casting import reason_text
from crm_lab.gateway.import_report import ImportReport
from crm_lab.gateway.manifest import add_missing_columns, counts_unread
from crm_lab.gateway.mapping import LoadedMap
from crm_lab.gateway.schema import Table
from crm_lab.gateway.staging import Staged
from crm_lab.gateway.store import Snapshot, Store, utc_now

FIRST_REJECTED = 5
Rejected = tuple[int, str, str, str]
"""Record number, column, reason code and the record as JSON."""


@dataclass(slots=True)
class Attempt:
    """One import on its way: what is known so far."""

    source: LoadedMap
    file: Path
    sha256: str
    batch_id: str
    started_at: datetime
    staged: Staged | None = None
    loaded: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    customers_created: int = 0
    amount_loaded: Decimal | None = None
    amount_rejected: Decimal | None = None

    @property
    def table(self) -> Table:
        """Table of the gateway that the file goes to."""
        return self.source.table


def record_batch(db: sqlite3.Connection, attempt: Attempt, rejected: list[Rejected]) -> None:
    """Write the batch and its rejected rows inside the caller's transaction."""
    number = _insert_batch(db, attempt, status="partial" if rejected else "ok", message="")
    db.executemany(
        "insert into rejected_row values (?, ?, ?, ?, ?, ?)",
        [(number, no, attempt.table.name, column, why, text) for no, column, why, text in rejected],
    )


def record_failure(store: Store, attempt: Attempt, refusal: CrmLabError) -> None:
    """Write a refused attempt with its message; it holds no rows and may be tried again."""
    attempt.loaded = attempt.inserted = attempt.updated = attempt.unchanged = 0
    attempt.amount_loaded = attempt.amount_rejected = None
    with store.transaction() as db:
        _insert_batch(db, attempt, status="failed", message=str(refusal))


def _insert_batch(db: sqlite3.Connection, attempt: Attempt, *, status: str, message: str) -> int:
    declared, staged = attempt.source.declared, attempt.staged
    values = {
        "import_batch_id": attempt.batch_id,
        "status": status,
        "table_name": attempt.table.name,
        "source_system": declared.source_system,
        "file_name": attempt.file.name,
        "file_format": declared.format,
        "file_sha256": attempt.sha256,
        "map_name": attempt.source.path.name,
        "map_sha256": attempt.source.sha256,
        "started_at": attempt.started_at.isoformat(),
        "finished_at": utc_now().isoformat(),
        "rows_in": staged.rows_in if staged else 0,
        "rows_loaded": attempt.loaded,
        "rows_inserted": attempt.inserted,
        "rows_updated": attempt.updated,
        "rows_unchanged": attempt.unchanged,
        "rows_rejected": attempt.rejected,
        "amount_in": _decimal(staged.amount_in if staged else None),
        "amount_loaded": _decimal(attempt.amount_loaded),
        "amount_rejected": _decimal(attempt.amount_rejected),
        "amounts_unread": staged.amounts_unread if staged else None,
        "message": message,
    }
    add_missing_columns(db)
    names, marks = ", ".join(values), ", ".join("?" for _ in values)
    cursor = db.execute(
        f"insert into import_batch ({names}) values ({marks})", tuple(values.values())
    )
    return int(cursor.lastrowid or 0)


def loaded_before(store: Store, batch_id: str) -> bool:
    """Whether this content was loaded before through this map."""
    with store.manifest() as db:
        row = db.execute(
            "select 1 from import_batch where import_batch_id = ? and status <> 'failed'",
            (batch_id,),
        ).fetchone()
    return row is not None


def already_loaded(store: Store, attempt: Attempt, currency: str) -> ImportReport:
    """Report on a file whose content had been loaded before."""
    with store.manifest() as db:
        unread = "amounts_unread" if counts_unread(db) else "null"
        row = db.execute(
            "select rows_in, rows_rejected, amount_in, amount_loaded, amount_rejected, batch_no,"
            f" {unread} from import_batch where import_batch_id = ? and status <> 'failed'",
            (attempt.batch_id,),
        ).fetchone()
        rejected = db.execute(
            "select row_no, column_name, reason, raw_json from rejected_row"
            " where batch_no = ? order by row_no",
            (row[5],),
        ).fetchall()
    attempt.staged = Staged(
        columns=(), rows_in=row[0], amount_in=_from_text(row[2]), amounts_unread=row[6] or 0
    )
    attempt.rejected = row[1]
    attempt.loaded = attempt.unchanged = row[0] - row[1]
    attempt.amount_loaded, attempt.amount_rejected = _from_text(row[3]), _from_text(row[4])
    report = make_report(attempt, rejected, currency=currency, snapshot=store.snapshot())
    return dataclasses.replace(report, status="already loaded")


def make_report(
    attempt: Attempt,
    rejected: list[Rejected],
    *,
    currency: str,
    snapshot: Snapshot,
) -> ImportReport:
    """Make the report that people see of an attempt."""
    assert attempt.staged is not None
    return ImportReport(
        import_batch_id=attempt.batch_id,
        status="partial" if attempt.rejected else "ok",
        table=attempt.table.name,
        file_name=attempt.file.name,
        rows_in=attempt.staged.rows_in,
        rows_loaded=attempt.loaded,
        rows_rejected=attempt.rejected,
        rows_inserted=attempt.inserted,
        rows_updated=attempt.updated,
        rows_unchanged=attempt.unchanged,
        customers_created=attempt.customers_created,
        amount_in=attempt.staged.amount_in,
        amount_loaded=attempt.amount_loaded,
        amount_rejected=attempt.amount_rejected,
        amounts_unread=attempt.staged.amounts_unread,
        rejected_by_reason=by_reason(rejected, attempt.source),
        first_rejected=tuple(
            {
                "record": str(no),
                "column": GivenName(column),
                "reason": GivenName(reason_text(why, source=attempt.source, column=column)),
                "content": GivenName(text),
            }
            for no, column, why, text in rejected[:FIRST_REJECTED]
        ),
        currency=currency,
        snapshot=snapshot.label,
        seconds=(utc_now() - attempt.started_at).total_seconds(),
    )


def by_reason(rejected: list[Rejected], source: LoadedMap) -> dict[str, int]:
    """Count rejected rows by column and reason, the most frequent first."""
    counts: dict[str, int] = {}
    for _, column, why, _ in rejected:
        reason = reason_text(why, source=source, column=column)
        label = f"{column}: {reason}" if column else reason
        counts[label] = counts.get(label, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _decimal(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _from_text(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)
