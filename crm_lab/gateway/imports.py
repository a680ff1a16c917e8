"""Loading a company's file: all of it accounted for, or nothing of it loaded.

The file is landed as text (:mod:`.staging`), cast with a reason for each failing cell
(:mod:`.casting`, :mod:`.judging`), compared with what is there by its natural key, and written as
new files under one new snapshot (:mod:`.changes`). Before the snapshot is made, rows and money
must add up.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import duckdb
from tqdm.auto import tqdm

from crm_lab import formats
from crm_lab.errors import FileError, ImportRefusedError, StoreError
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
from crm_lab.gateway.casting import reason_text
from crm_lab.gateway.changes import find_changes, reconcile, write_changes, write_new_customers
from crm_lab.gateway.import_report import ImportReport
from crm_lab.gateway.judging import judge, rejected_rows
from crm_lab.gateway.mapping import LoadedMap
from crm_lab.gateway.staging import STAGED, Staged, stage_file
from crm_lab.gateway.store import (
    WORKING_PREFIX,
    DataFile,
    Snapshot,
    Store,
    file_sha256,
    scan,
    utc_now,
)
from crm_lab.language import say


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
    StoreError
        The engine ran out of memory or disk; nothing is loaded.
    """
    with store.write_lock(say("importing {file}", file=file.name)):
        digest = _digest(file)
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
        except (duckdb.OutOfMemoryException, duckdb.IOException) as problem:
            raise StoreError(
                say(
                    "the import ran out of memory or disk ({problem})",
                    problem=str(problem).splitlines()[0],
                ),
                where=str(store.folder),
                remedy=say(
                    "free some, or import the file in parts; nothing of this file was loaded"
                ),
            ) from None


def _digest(file: Path) -> str:
    try:
        return file_sha256(file)
    except FileNotFoundError:
        raise FileError(say("the file does not exist"), where=str(file)) from None
    except OSError as problem:
        raise FileError(
            say("cannot be read ({reason})", reason=problem.strerror), where=str(file)
        ) from None


def _load(store: Store, attempt: Attempt, *, currency: str, progress: bool) -> ImportReport:
    before = store.snapshot()
    with (
        tempfile.TemporaryDirectory(dir=store.folder, prefix=WORKING_PREFIX) as working,
        contextlib.closing(store.engine()) as engine,
    ):
        staged = _stage(engine, attempt, Path(working), progress=progress)
        existing = _view_existing(engine, store, attempt, before)
        judge(engine, attempt, staged)
        rejected = rejected_rows(engine, attempt, staged)
        _refuse_if_too_bad(attempt, staged, rejected)
        find_changes(engine, attempt)
        files = existing[attempt.table.name]
        add, remove = write_changes(engine, store, attempt, files)
        reconcile(
            engine, attempt, staged, [file for file in files if file not in remove] + add, rejected
        )
        if attempt.source.declared.create_customers:
            created, merged = write_new_customers(engine, store, attempt, existing["customer"])
            add, remove = add + created, remove + merged
    snapshot = store.publish(
        add=add,
        remove=remove,
        reason=f"import of {attempt.file.name} into {attempt.table.name}",
        within=lambda db: record_batch(db, attempt, rejected),
    )
    return make_report(attempt, rejected, currency=currency, snapshot=snapshot)


def _stage(
    engine: duckdb.DuckDBPyConnection, attempt: Attempt, working: Path, *, progress: bool
) -> Staged:
    size = attempt.file.stat().st_size
    with tqdm(
        total=size,
        unit="B",
        unit_scale=True,
        desc=attempt.file.name,
        disable=not progress,
        leave=False,
    ) as bar:
        staged = attempt.staged = stage_file(
            engine, attempt.source, attempt.file, working_folder=working, advance=bar.update
        )
        bar.update(size - bar.n)
    row = engine.execute(f"select count(*) from {STAGED}").fetchone()
    landed, expected = int(row[0]) if row else 0, staged.rows_in - len(staged.ragged)
    if landed != expected:
        raise ImportRefusedError(
            say("{count} records reached the engine", count=formats.number(landed)),
            expected=say("{count} as counted by the reader", count=formats.number(expected)),
            where=str(attempt.file),
            remedy=say(
                "this is a fault of the program or of the file's quoting; nothing of this file was"
                " loaded"
            ),
        )
    if file_sha256(attempt.file) != attempt.sha256:
        raise FileError(
            say("the file changed while it was read"),
            where=str(attempt.file),
            remedy=say("import it when it is complete; nothing of this file was loaded"),
        )
    return staged


def _view_existing(
    engine: duckdb.DuckDBPyConnection, store: Store, attempt: Attempt, snapshot: Snapshot
) -> dict[str, list[DataFile]]:
    """Make the views of the tables that the import looks at, and give the files behind each."""
    names = {attempt.table.name, *(c.references for c in attempt.table.columns if c.references)}
    existing = {name: store.files(name, snapshot.snapshot_id) for name in sorted(names)}
    for name, files in existing.items():
        engine.execute(f"create temp view existing_{name} as {scan(name, files, numbered=True)}")
    return existing


def _refuse_if_too_bad(attempt: Attempt, staged: Staged, rejected: list[Rejected]) -> None:
    if not rejected:
        return
    declared = attempt.source.declared
    share = attempt.rejected / staged.rows_in
    if declared.on_error == "reject" and share <= declared.max_rejected_share:
        return
    counts = by_reason(rejected, attempt.source)
    reasons = "; ".join(f"{formats.number(n)} × {why}" for why, n in list(counts.items())[:4])
    first = "\n".join(
        say(
            "  record {record}, column {column}: {reason}: {content}",
            record=no,
            column=column or "-",
            reason=reason_text(why, source=attempt.source, column=column),
            content=text[:200],
        )
        for no, column, why, text in rejected[:FIRST_REJECTED]
    )
    limit = (
        say("the map says on_error: fail")
        if declared.on_error == "fail"
        else say("the map allows {share}", share=formats.percent(declared.max_rejected_share))
    )
    raise ImportRefusedError(
        say(
            "{rejected} of {rows} records would be set aside ({reasons}), and {limit}; the first"
            " are\n{first}\n",
            rejected=formats.number(attempt.rejected),
            rows=formats.number(staged.rows_in),
            reasons=reasons,
            limit=limit,
            first=first,
        ),
        where=str(attempt.file),
        remedy=say(
            "correct the file or the map, then import again; nothing of this file was loaded"
        ),
    )
