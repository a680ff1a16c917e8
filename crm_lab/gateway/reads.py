"""Reading the gateway: a reader is pinned to one snapshot and can write nothing."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

import duckdb
import pandas as pd

from crm_lab.errors import StoreError
from crm_lab.gateway.schema import TABLES
from crm_lab.gateway.store import Snapshot, Store, scan
from crm_lab.language import say


class Reader:
    """The tables of one snapshot as views of an in-process query engine.

    Use it as a context manager; whatever happens in the gateway meanwhile, a reader sees the same
    rows from its first query to its last.

    Parameters
    ----------
    store : Store
        Where the files lie.
    snapshot_id : int, optional
        Which snapshot; by default the latest.

    Raises
    ------
    StoreError
        There is no such snapshot, or a file of it is gone or broken.
    """

    def __init__(self, store: Store, snapshot_id: int | None = None) -> None:
        self.store = store
        self.snapshot: Snapshot = store.snapshot(snapshot_id)
        self.engine: duckdb.DuckDBPyConnection = store.engine()
        try:
            for table in TABLES:
                files = store.files(table, self.snapshot.snapshot_id)
                self.engine.execute(f'create view "{table}" as {scan(table, files)}')
        except duckdb.Error as problem:
            self.engine.close()
            raise StoreError(
                say(
                    "a data file cannot be read ({problem})",
                    problem=str(problem).splitlines()[0],
                ),
                where=str(store.folder),
                remedy=say("restore the gateway folder from its copy"),
            ) from None

    def frame(self, query: str) -> pd.DataFrame:
        """Run one query of :mod:`crm_lab.gateway.operations` and give its rows as a frame."""
        frame: pd.DataFrame = self.engine.execute(query).df()
        return frame

    def one(self, query: str) -> dict[str, object]:
        """Run a query that gives one row, and give it as a dictionary."""
        result = self.engine.execute(query)
        names = [column[0] for column in result.description or []]
        row = result.fetchone()
        return dict(zip(names, row, strict=True)) if row is not None else {}

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Run a query and give its rows with whole numbers as they are, however large."""
        result = self.engine.execute(query)
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def integer(self, query: str) -> int:
        """Run a query that gives one whole number, and give it; 0 when it gives none."""
        row = self.engine.execute(query).fetchone()
        return int(row[0]) if row is not None and row[0] is not None else 0

    def temporary(self, name: str, query: str) -> None:
        """Make (or make anew) a temporary table of this reader from a query."""
        self.engine.execute(f'create or replace temp table "{name}" as {query}')

    def temporary_frame(self, name: str, frame: pd.DataFrame, types: Mapping[str, str]) -> None:
        """Make a temporary table of this reader from a frame, with the SQL types given."""
        self.engine.register("given_frame", frame)
        columns = ", ".join(f'cast("{key}" as {kind}) as "{key}"' for key, kind in types.items())
        self.temporary(name, f"select {columns} from given_frame")
        self.engine.unregister("given_frame")

    def count(self, relation: str) -> int:
        """Count the rows of a table, a view or a temporary table."""
        return self.integer(f'select count(*) from "{relation}"')

    def counts(self, relation: str, column: str) -> dict[str, int]:
        """Count the rows of a relation by the values of one column."""
        rows = self.engine.execute(
            f'select "{column}", count(*) from "{relation}" group by 1 order by 1'
        ).fetchall()
        return {str(value): int(count) for value, count in rows}

    def close(self) -> None:
        """Let go of the engine."""
        self.engine.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
