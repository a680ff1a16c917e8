"""The star schema: every key joins, nobody is named, nothing is a formula."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from crm_lab.errors import ReportError, StoreError
from crm_lab.gateway import star
from crm_lab.gateway.star import STAR_TABLES, UNKNOWN
from crm_lab.handover import write_star
from crm_lab.handover.star import experiment_effects
from crm_lab.handover.star_dictionary import COLUMN_TEXTS, TABLE_TEXTS, dictionary
from crm_lab.language import using_language
from crm_lab.reports.masking import masked_id, masking_key
from crm_lab.workbench import Workbench, open_workbench

FILES = {
    "customer": (
        "customer_id,kind,full_name,city,created_at",
        'KL-1,person,Anna Petrova,"=HYPERLINK(""http://evil.example"")",2024-01-05 10:00:00',
        "KL-2,person,Ivan Sidorov,<script>alert(1)</script>,",
        "KL-3,organisation,,Зима,2024-02-01 22:30:00",
    ),
    "campaign": (
        "campaign_id,name,mechanic,starts_at",
        'spring,"+Spring\rsale",reminder,2024-03-01 00:00:00',
        "other,,,",
    ),
    "orders": (
        "order_id,customer_id,ordered_at,channel,status,net_revenue",
        "O-1,KL-1,2024-03-02 22:30:00,web,paid,10.50",
        "O-2,,2024-03-03 10:00:00,,paid,3.25",
        "O-3,KL-2,2024-03-04 10:00:00,store,cancelled,7.00",
    ),
    "send": (
        "send_id,campaign_id,customer_id,channel,variant,scheduled_at",
        "spring/KL-1,spring,KL-1,email,a,2024-03-01 09:00:00",
        "spring/KL-2,spring,KL-2,email,,",
    ),
    "delivery_event": (
        "delivery_event_id,send_id,at,type",
        "E-1,spring/KL-1,2024-03-01 09:01:00,delivered",
        "E-2,spring/KL-1,2024-03-01 09:02:00,click",
    ),
    "cost_entry": (
        "cost_id,campaign_id,spent_on,kind,amount",
        "C-1,spring,2024-03-01,message,2.50",
        "C-2,,2024-03-05,media,9.00",
    ),
}


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "crm-lab.yml").write_text("currency: EUR\ntimezone: Europe/Moscow\n", "utf-8")
    workbench = open_workbench(folder)
    for table, lines in FILES.items():
        columns = "".join(f"  {name}: {name}\n" for name in lines[0].split(","))
        path = folder / f"{table}.yml"
        path.write_text(
            f'table: {table}\nsource_system: till\nfiles: "{table}.csv"\ncolumns:\n{columns}',
            "utf-8",
        )
        (folder / f"{table}.csv").write_text("\n".join(lines) + "\n", "utf-8", newline="")
        report = workbench.import_file(path, folder / f"{table}.csv")
        assert report.rows_rejected == 0, report
    return workbench


@pytest.fixture(scope="session")
def written(shop: Workbench, run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    reports = shop.settings.reports_folder / "runs" / "campaign_experiment" / run_folder.name
    reports.mkdir(parents=True)
    manifest = json.loads((run_folder / "manifest.json").read_text("utf-8"))
    effect = {"estimate": 1.5, "low": 0.5, "high": 2.5, "p_value": 0.01, "n_control": 9}
    comparison = {"metric": "revenue", "scale": "number", "absolute": effect, "relative": None}
    manifest["results"][0]["data"] = {
        "plan": {"name": "spring"},
        "arms": [{"arm": "a", "verdict": "ship", "comparisons": [comparison]}],
    }
    (reports / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    folder = tmp_path_factory.mktemp("star") / "out"
    write_star(shop, folder)
    return folder


def rows_of(folder: Path, table: str) -> list[dict[str, Any]]:
    found = duckdb.sql(f"select * from read_parquet('{folder / table}.parquet')")
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


@pytest.mark.parametrize("table", STAR_TABLES, ids=lambda table: table.name)
def test_keys_are_unique_and_every_reference_is_found(written: Path, table: Any) -> None:
    rows = rows_of(written, table.name)
    assert rows
    assert list(rows[0]) == list(table.columns)
    keys = [row[table.key] for row in rows]
    assert len(set(keys)) == len(keys)
    own = {star.name: star.key for star in STAR_TABLES}
    for column, dimension in table.joins.items():
        known = {row[own[dimension]] for row in rows_of(written, dimension)}
        assert {row[column] for row in rows} <= known


def test_facts_keep_every_row_and_every_cent(written: Path) -> None:
    orders = rows_of(written, "fact_orders")
    assert sum(row["net_revenue"] for row in orders) == pytest.approx(20.75, abs=0)
    assert sum(row["amount"] for row in rows_of(written, "fact_costs")) == pytest.approx(
        11.5, abs=0
    )
    assert sorted(row["customer_key"] == UNKNOWN for row in orders) == [False, False, True]
    messages = {row["variant_key"]: row for row in rows_of(written, "fact_messages")}
    assert messages["spring/a"]["clicked"] == 1
    assert messages["spring/a"]["bounced"] == 0
    assert messages["spring/unknown"]["date_key"] == 0
    effect = rows_of(written, "fact_results")
    assert [(row["variant_key"], row["estimate"], row["verdict"]) for row in effect] == [
        ("spring/a", 1.5, "ship")
    ]


def test_days_are_those_of_the_company(written: Path) -> None:
    days = {row["date_key"] for row in rows_of(written, "fact_orders")}
    assert days == {20240303, 20240304}  # 22:30 UTC of the 2nd is the 3rd in Moscow
    calendar = {row["date_key"]: row for row in rows_of(written, "dim_date")}
    assert calendar[20240303]["weekday"] == 7
    assert calendar[20240303]["iso_week"] == 9
    known = {
        row["known_since"].isoformat()
        for row in rows_of(written, "dim_customer")
        if row["known_since"]
    }
    assert known == {"2024-01-05", "2024-02-02"}


def test_nobody_can_be_told_from_the_files(written: Path, shop: Workbench) -> None:
    for path in written.iterdir():
        content = path.read_bytes()
        for word in (
            b"KL-",
            b"O-1",
            b"Petrova",
            b"Sidorov",
            masking_key(shop.settings.folder).encode(),
        ):
            assert word not in content, path.name
    keys = {row["customer_key"] for row in rows_of(written, "dim_customer")}
    assert masked_id(masking_key(shop.settings.folder), "KL-1") in keys


def test_csv_files_say_the_same_and_hold_no_formula(written: Path) -> None:
    for table in STAR_TABLES:
        with (written / f"{table.name}.csv").open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len(rows_of(written, table.name))
        assert (written / f"{table.name}.csv").read_bytes().startswith(b"\xef\xbb\xbf")
        for row in rows:
            live = [cell for cell in row.values() if re.match(r"[=+@\t\r-](?!\d)", cell)]
            assert live == []
    with (written / "dim_campaign.csv").open(encoding="utf-8-sig", newline="") as file:
        names = {row["name"] for row in csv.DictReader(file)}
    assert "'+Spring\rsale" in names


def test_only_the_files_that_were_asked_for(shop: Workbench, tmp_path: Path) -> None:
    write_star(shop, tmp_path / "out", file_format="parquet")
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".parquet", ".md", ".json"}
    with pytest.raises(ReportError, match="holds a hand-over already"):
        write_star(shop, tmp_path / "out")


def test_the_dictionary_describes_every_column_in_both_languages(
    written: Path, handed: Callable[[Path], dict[str, Any]]
) -> None:
    assert {table.name: set(table.columns) for table in STAR_TABLES} == {
        name: set(texts) for name, texts in COLUMN_TEXTS.items()
    }
    assert set(TABLE_TEXTS) == {table.name for table in STAR_TABLES}
    text = (written / "README.md").read_text(encoding="utf-8")
    assert "Amounts are in EUR, days are those of Europe/Moscow." in text
    assert "| `customer_key` | dim_customer | who ordered |" in text
    with using_language("ru"):
        assert "Таблицы" in dictionary({}, currency="EUR", zone="UTC")
    about = handed(written)
    assert about["rows"]["fact_orders"] == 3
    assert len(about["snapshot_sha256"]) == 64


def test_an_empty_or_missing_base_is_no_failure_of_the_joins(
    tmp_path: Path, shop: Workbench
) -> None:
    assert experiment_effects(tmp_path).empty
    with shop.gateway.reader(0) as reader:
        nothing = experiment_effects(tmp_path)
        pools = nothing[[]].assign(campaign_key=None, team_pool=None)
        star.build_star(reader, key="k", zone="UTC", results=nothing, team_pools=pools)
        assert set(star.missing_keys(reader).values()) == {0}
        assert reader.count("dim_date") == 1
    (tmp_path / "crm-lab.yml").write_text("currency: EUR\n", "utf-8")
    with pytest.raises(StoreError, match="there is no gateway here"):
        write_star(open_workbench(tmp_path), tmp_path / "out")
