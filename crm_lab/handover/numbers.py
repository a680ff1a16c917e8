"""The numbers of a run for other programs: CSV, Parquet or Excel."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import xlsxwriter

from crm_lab.gateway.exports import write_parquet
from crm_lab.handover.folders import Handover, good_manifest_of, hand_over
from crm_lab.handover.inert import inert_cell, inert_text
from crm_lab.handover.tables import column_types, tables_of, typed
from crm_lab.reports.manifest import MANIFEST_NAME
from crm_lab.reports.notebooks import digest

NumbersFormat = Literal["csv", "parquet", "xlsx"]
WORKBOOK_NAME = "numbers.xlsx"
_SHEET_NAME_LENGTH = 31
_CELL_LENGTH = 32_767
_WIDEST_COLUMN = 60
_NOT_IN_SHEET_NAMES = re.compile(r"[\[\]:*?/\\']+")
_NOT_IN_FILE_NAMES = re.compile(r"[^\w.-]+")


def write_numbers(
    run_folder: Path,
    folder: Path,
    *,
    file_format: NumbersFormat = "csv",
    decimal_comma: bool = False,
    replace: bool = False,
) -> Handover:
    """Write every number and table of a published run as files that other programs read.

    Parameters
    ----------
    run_folder : Path
        A published run.
    folder : Path
        The folder to make.
    file_format : {"csv", "parquet", "xlsx"}
        One CSV or Parquet file per table, or one workbook with a sheet per table.
    decimal_comma : bool, default False
        Whether CSV files have ``;`` between cells and a comma in numbers, as Excel expects in
        Russia and most of Europe.
    replace : bool, default False
        Whether an earlier hand-over in this folder gives way.

    Raises
    ------
    ReportError
        There is no such run, it failed, or the folder is there already.
    """
    manifest = good_manifest_of(run_folder)
    tables = {name: typed(frame) for name, frame in tables_of(manifest).items()}

    def write(place: Path) -> None:
        if file_format == "xlsx":
            write_workbook(tables, place / WORKBOOK_NAME, made_at=manifest.finished_at)
            return
        names = _unique(tables, _NOT_IN_FILE_NAMES, 100)
        for name, frame in tables.items():
            path = place / f"{names[name]}.{file_format}"
            if file_format == "csv":
                write_csv(frame, path, decimal_comma=decimal_comma)
            else:
                write_parquet(frame, path, types=column_types(frame))

    return hand_over(
        folder,
        write,
        kind="numbers",
        source=manifest.run_id,
        facts={
            "title": manifest.title,
            "manifest_sha256": digest(run_folder / MANIFEST_NAME),
            "tables": {name: len(frame) for name, frame in tables.items()},
        },
        replace=replace,
    )


def write_csv(frame: pd.DataFrame, path: Path, *, decimal_comma: bool = False) -> None:
    """Write a CSV file that Excel opens as it is meant: UTF-8 with its mark, no live formulas.

    Parameters
    ----------
    frame : pandas.DataFrame
        What to write.
    path : Path
        The file.
    decimal_comma : bool
        Whether to write ``;`` between cells and a comma in numbers.
    """
    mark = "," if decimal_comma else "."
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=";" if decimal_comma else ",")
        writer.writerow([inert_cell(str(name)) for name in frame.columns])
        for row in frame.itertuples(index=False):
            writer.writerow([_csv_cell(value, mark) for value in row])


def write_workbook(tables: Mapping[str, pd.DataFrame], path: Path, *, made_at: datetime) -> None:
    """Write a workbook with a sheet per table; every text is a text, whatever it looks like."""
    options: dict[str, Any] = {
        "strings_to_formulas": False,
        "strings_to_numbers": False,
        "strings_to_urls": False,
        "nan_inf_to_errors": False,
    }
    names = _unique(tables, _NOT_IN_SHEET_NAMES, _SHEET_NAME_LENGTH)
    with xlsxwriter.Workbook(path, options) as workbook:
        workbook.set_properties({"created": made_at.replace(tzinfo=None)})
        bold = workbook.add_format({"bold": True})
        for name, frame in tables.items():
            sheet = workbook.add_worksheet(names[name])
            sheet.freeze_panes(1, 0)
            for column, heading in enumerate(frame.columns):
                sheet.write_string(0, column, inert_text(str(heading)), bold)
                for row, value in enumerate(frame[heading], start=1):
                    _write_cell(sheet, row, column, value)
                longest = max((len(str(value)) for value in frame[heading]), default=0)
                width = min(max(longest, len(str(heading))) + 2, _WIDEST_COLUMN)
                sheet.set_column(column, column, width)
            if len(frame.columns) and len(frame):
                sheet.autofilter(0, 0, len(frame), len(frame.columns) - 1)


def _write_cell(sheet: Any, row: int, column: int, value: Any) -> None:
    if value is None or value != value:
        return
    if isinstance(value, bool):
        sheet.write_boolean(row, column, value)
    elif isinstance(value, (int, float)):
        sheet.write_number(row, column, value)
    else:
        sheet.write_string(row, column, inert_text(str(value))[:_CELL_LENGTH])


def _csv_cell(value: Any, decimal_mark: str) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value).replace(".", decimal_mark)
    return inert_cell(str(value))


def _unique(tables: Mapping[str, Any], refused: re.Pattern[str], length: int) -> dict[str, str]:
    """Give each table a name without refused characters, cut, unlike all others in any case."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for table in tables:
        stem = refused.sub("_", inert_text(table)).strip("_.") or "table"
        name, number = stem[:length], 2
        while name.lower() in taken or name.lower() == "history":  # Excel keeps this name
            suffix = f"~{number}"
            name, number = stem[: length - len(suffix)] + suffix, number + 1
        taken.add(name.lower())
        names[table] = name
    return names
