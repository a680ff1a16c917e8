"""Writing a frame as a Parquet file, without another engine than the gateway's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb
import pandas as pd

from crm_lab.gateway.store import sql_text


def write_parquet(frame: pd.DataFrame, path: Path, *, types: Mapping[str, str]) -> None:
    """Write a frame as a Parquet file.

    Parameters
    ----------
    frame : pandas.DataFrame
        What to write.
    path : Path
        The file.
    types : mapping of str to str
        Column to SQL type, in the order of the file.
    """
    columns = ", ".join(
        f'cast("{_name(key)}" as {kind}) as "{_name(key)}"' for key, kind in types.items()
    )
    with duckdb.connect(":memory:", config={"threads": 1}) as engine:
        engine.register("given_frame", frame.astype(object).where(frame.notna(), None))
        engine.execute(
            f"copy (select {columns} from given_frame) to '{sql_text(str(path))}' (format parquet)"
        )


def _name(column: str) -> str:
    return column.replace('"', '""')
