"""The numbers of a run in other programs: complete, typed, and inert."""

from __future__ import annotations

import csv
import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import pandas as pd
import pytest

from crm_lab.errors import ReportError
from crm_lab.handover import write_numbers
from crm_lab.handover.inert import DANGEROUS, inert_cell
from crm_lab.handover.numbers import write_csv
from crm_lab.handover.tables import numbers_table, tables_of
from crm_lab.reports.differences import manifest_of
from crm_lab.reports.numbers import leaves_of, numbers_of

SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def cells_of(path: Path, delimiter: str = ",") -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file, delimiter=delimiter))


def test_the_long_table_holds_every_number(run_folder: Path) -> None:
    manifest = manifest_of(run_folder)
    frame = numbers_table(manifest)
    assert dict(zip(frame["name"], frame["value"], strict=True)) == numbers_of(
        manifest.results, longest=None
    )
    assert set(frame["run_id"]) == {run_folder.name}
    assert set(frame["result"]) == {"experiment_result"}


def test_lists_of_rows_become_tables_with_the_names_of_what_is_above(run_folder: Path) -> None:
    tables = tables_of(manifest_of(run_folder))
    assert list(tables) == [
        "numbers",
        "experiment_result",
        "experiment_result.arms",
        "experiment_result.arms.weeks",
        "experiment_result.arms.comparisons",
        "experiment_result.lights",
    ]
    arms, comparisons = (
        tables["experiment_result.arms"],
        tables["experiment_result.arms.comparisons"],
    )
    assert list(arms.columns) == ["arm", "effect.estimate", "effect.low", "effect.high", "is_best"]
    assert len(comparisons) == 2 * len(arms)
    assert set(comparisons["arms"]) == set(arms["arm"])
    assert list(tables["experiment_result.arms.weeks"].columns) == ["arms", "value_1", "value_2"]
    single = tables["experiment_result"].set_index("name")
    assert single.loc["cost", "value"] == 20.78
    assert single.loc["verdict", "text"] == "ship"


def test_no_cell_of_a_csv_file_is_a_formula(run_folder: Path, tmp_path: Path) -> None:
    write_numbers(run_folder, tmp_path / "out")
    files = sorted((tmp_path / "out").glob("*.csv"))
    assert len(files) == 6
    texts = []
    for path in files:
        content = path.read_bytes()
        assert content.startswith(b"\xef\xbb\xbf")
        assert b"\x00" not in content
        assert "\u202e" not in content.decode("utf-8")
        texts += [cell for row in cells_of(path) for cell in row]
    live = [cell for cell in texts if cell.startswith(DANGEROUS) and not _is_number(cell)]
    assert live == []
    assert any(cell.startswith("'=HYPERLINK") for cell in texts)
    assert any("Зима ≠ winter" in cell for cell in texts)


def test_numbers_survive_a_csv_file_to_the_last_digit(run_folder: Path, tmp_path: Path) -> None:
    write_numbers(run_folder, tmp_path / "out")
    rows = cells_of(tmp_path / "out" / "numbers.csv")
    expected = numbers_of(manifest_of(run_folder).results, longest=None)
    values = [float(row[-1]) for row in rows[1:]]
    assert values == list(expected.values())


def test_excel_in_russia_reads_semicolons_and_decimal_commas(
    run_folder: Path, tmp_path: Path
) -> None:
    write_numbers(run_folder, tmp_path / "out", decimal_comma=True)
    rows = cells_of(tmp_path / "out" / "experiment_result.arms.csv", ";")
    assert rows[1][1:] == ["1,5", "-0,25", "3,125", "true"]


def test_parquet_files_keep_types_and_texts(run_folder: Path, tmp_path: Path) -> None:
    write_numbers(run_folder, tmp_path / "out", file_format="parquet")
    path = tmp_path / "out" / "experiment_result.arms.parquet"
    described = duckdb.sql(f"describe select * from read_parquet('{path}')").fetchall()
    assert [(row[0], row[1]) for row in described] == [
        ("arm", "VARCHAR"),
        ("effect.estimate", "DOUBLE"),
        ("effect.low", "DOUBLE"),
        ("effect.high", "DOUBLE"),
        ("is_best", "BOOLEAN"),
    ]
    arms = [row[0] for row in duckdb.sql(f"select arm from read_parquet('{path}')").fetchall()]
    assert arms[1] == '=HYPERLINK("http://evil.example","click")'


def test_a_workbook_holds_texts_as_texts(run_folder: Path, tmp_path: Path) -> None:
    write_numbers(run_folder, tmp_path / "out", file_format="xlsx")
    with zipfile.ZipFile(tmp_path / "out" / "numbers.xlsx") as book:
        names = book.namelist()
        sheets = [book.read(name) for name in names if name.startswith("xl/worksheets/sheet")]
        strings = book.read("xl/sharedStrings.xml").decode("utf-8")
        listed = book.read("xl/workbook.xml").decode("utf-8")
        everything = b"".join(book.read(name) for name in names)
    assert len(sheets) == 6
    for sheet in sheets:
        tree = ElementTree.fromstring(sheet)
        assert tree.findall(f".//{SHEET}f") == []
        assert tree.findall(f".//{SHEET}hyperlink") == []
    assert b"externalLink" not in everything
    assert "=HYPERLINK(" in strings
    assert "\x00" not in strings
    sheet_names = re.findall(r'<sheet name="([^"]+)"', listed)
    assert all(len(name) <= 31 for name in sheet_names)
    assert len({name.lower() for name in sheet_names}) == 6


def test_an_unknown_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="missing or cannot be read"):
        write_numbers(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("start", DANGEROUS)
def test_every_dangerous_beginning_is_guarded(start: str, tmp_path: Path) -> None:
    assert inert_cell(f"{start}x") == f"'{start}x"
    write_csv(pd.DataFrame({f"{start}name": [f"{start}x"]}), tmp_path / "t.csv")
    assert cells_of(tmp_path / "t.csv") == [[f"'{start}name"], [f"'{start}x"]]


def test_every_leaf_stands_in_some_table(run_folder: Path) -> None:
    manifest = manifest_of(run_folder)
    cells = {str(v) for t in tables_of(manifest).values() for column in t for v in t[column]}
    missing = [
        value
        for value in leaves_of(manifest.results).values()
        if value is not None and str(value) not in cells
    ]
    assert missing == []


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", text))
