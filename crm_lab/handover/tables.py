"""Everything a run says, as tidy tables: one of all numbers, and those of each result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from crm_lab.reports.manifest import Manifest
from crm_lab.reports.numbers import Leaf, as_number, leaves_of, result_names, row_names

NUMBERS_TABLE = "numbers"


def tables_of(manifest: Manifest) -> dict[str, pd.DataFrame]:
    """Give the tables of a run by name.

    ``numbers`` holds every number of every result, one row each: run, report, result, name,
    value. Each result gives a table of its single values and one for every list of rows in it,
    nested values as columns and nested lists as tables of their own.
    """
    tables = {NUMBERS_TABLE: numbers_table(manifest)}
    for name, result in zip(result_names(manifest.results), manifest.results, strict=True):
        data = result.get("data")
        single: dict[str, Leaf] = {}
        rows: dict[str, list[dict[str, Leaf]]] = {}
        _collect(name, "", data if isinstance(data, Mapping) else {}, {}, single, rows)
        said = {key: str(result[key]) for key in ("title", "sentence") if result.get(key)}
        values = [
            {"name": key, "value": as_number(value), "text": _text(value)}
            for key, value in (said | single).items()
        ]
        tables[name] = pd.DataFrame(values, columns=["name", "value", "text"])
        tables |= {key: pd.DataFrame(found) for key, found in rows.items()}
    return tables


def numbers_table(manifest: Manifest) -> pd.DataFrame:
    """Give every number of a run, one row each."""
    rows = [
        {
            "run_id": manifest.run_id,
            "report": manifest.kind,
            "title": manifest.title,
            "result": name.partition(".")[0].partition("[")[0],
            "name": name,
            "value": number,
        }
        for name, value in leaves_of(manifest.results).items()
        if (number := as_number(value)) is not None
    ]
    return pd.DataFrame(rows, columns=["run_id", "report", "title", "result", "name", "value"])


def column_types(frame: pd.DataFrame) -> dict[str, str]:
    """Give the SQL type of each column: numbers, yes or no, else text."""
    return {str(name): _type(frame[name]) for name in frame.columns}


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Give a frame in which a column holds only numbers, only yes or no, or only text."""
    columns = {}
    for name in frame.columns:
        values = [None if _is_missing(value) else value for value in frame[name]]
        if _type(frame[name]) == "VARCHAR":
            values = [None if value is None else str(value) for value in values]
        columns[str(name)] = pd.Series(values, dtype=object)
    return pd.DataFrame(columns)


def _collect(
    name: str,
    path: str,
    value: Mapping[str, Any],
    parents: dict[str, Leaf],
    single: dict[str, Leaf],
    rows: dict[str, list[dict[str, Leaf]]],
) -> None:
    """Sort the content of one mapping: single values into ``single``, lists into ``rows``."""
    for key, item in value.items():
        full = f"{path}.{key}" if path else key
        if isinstance(item, Mapping):
            _collect(name, full, item, parents, single, rows)
        elif not isinstance(item, list):
            single[full] = item
        elif item:
            _collect_rows(name, full, item, parents, rows)


def _collect_rows(
    name: str,
    path: str,
    items: list[Any],
    parents: dict[str, Leaf],
    rows: dict[str, list[dict[str, Leaf]]],
) -> None:
    table = rows.setdefault(f"{name}.{path}", [])
    for row_name, item in zip(row_names(items), items, strict=True):
        flat: dict[str, Leaf] = {}
        table.append(flat)
        flat |= parents
        if isinstance(item, Mapping):
            below = parents | {path.rpartition(".")[2]: row_name}
            nested: dict[str, list[dict[str, Leaf]]] = {}
            _collect(f"{name}.{path}", "", item, below, flat, nested)
            for key, found in nested.items():
                rows.setdefault(key, []).extend(found)
        elif isinstance(item, list):
            flat |= {
                f"value_{place}": value if isinstance(value, (int, float, bool)) else _text(value)
                for place, value in enumerate(item, start=1)
            }
        else:
            flat["value"] = item


def _type(column: pd.Series) -> str:
    values = [value for value in column if not _is_missing(value)]
    if values and all(isinstance(value, bool) for value in values):
        return "BOOLEAN"
    if values and all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in values
    ):
        is_whole = all(isinstance(value, int) and abs(value) < 2**63 for value in values)
        return "BIGINT" if is_whole else "DOUBLE"
    return "VARCHAR"


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _text(value: Any) -> str:
    return "" if value is None else str(value)
