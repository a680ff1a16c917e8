"""Parquet files go the same way as text, and their own types are not read a second time."""

from __future__ import annotations

from decimal import Decimal

import pytest

from crm_lab.errors import FileError

FIRST = "2024-03-01 10:00:00"
ORDER_COLUMNS = "{order_id: no, customer_id: client, ordered_at: date, net_revenue: total}"


def test_parquet_loads_like_its_text(company):
    file = company.parquet(
        "select 'A' || i as no, 'c' || i % 3 as client, timestamp '2024-03-01 10:00:00.5' as date,"
        " cast(i + 0.25 as decimal(9,2)) as total from range(10) t(i)"
    )
    lines = ("format: parquet", "create_customers: true", "decimal: ','", 'thousands: "."')
    report = company.load("orders", ORDER_COLUMNS, file, *lines)
    assert (report.rows_in, report.rows_loaded, report.customers_created) == (10, 10, 3)
    assert report.amount_loaded == Decimal("47.50")
    stored = company.rows("select distinct cast(ordered_at as varchar) from orders")
    assert stored == [("2024-03-01 10:00:00.5",)]


def test_parquet_times_carry_their_zone_and_days_do_not_move(company):
    file = company.parquet(
        "select 'c1' as id, timestamptz '2024-03-01 01:00:00+03' as made, date '1980-05-03' as born"
    )
    columns = "{customer_id: id, created_at: made, birth_date: born}"
    zone = ("format: parquet", "timezone: Asia/Tokyo", 'date_formats: ["%Y-%d-%m"]')
    company.load("customer", columns, file, *zone)
    stored = company.rows(
        "select cast(created_at as varchar), cast(birth_date as varchar) from customer"
    )
    assert stored == [("2024-02-29 22:00:00", "1980-05-03")]


def test_parquet_nanoseconds_are_read(company):
    file = company.parquet(
        "select 'c1' as id, timestamp_ns '2024-03-01 10:00:00.123456789' as made"
    )
    company.load(
        "customer",
        "{customer_id: id, created_at: made}",
        file,
        "format: parquet",
        "timezone: Europe/Moscow",
    )
    assert company.rows("select cast(created_at as varchar) from customer") == [
        ("2024-03-01 07:00:00.123456",)
    ]


@pytest.mark.parametrize("kind", ["double", "float", "decimal(9,1)"])
def test_ids_stored_with_decimals_are_refused(company, kind):
    file = company.parquet(f"select cast(17 as {kind}) as id")
    with pytest.raises(FileError, match=r"id column 'id' is stored as .*write the ids as text"):
        company.load("customer", "{customer_id: id}", file, "format: parquet")


@pytest.mark.parametrize("kind", ["bigint", "utinyint", "decimal(20,0)", "varchar"])
def test_whole_ids_are_read(company, kind):
    file = company.parquet(f"select cast(17 as {kind}) as id")
    company.load("customer", "{customer_id: id}", file, "format: parquet")
    assert company.rows("select customer_id from customer") == [("17",)]


def test_what_is_no_parquet_file_is_refused(company):
    text = "id\nc1\n"
    with pytest.raises(FileError, match="not a readable Parquet file"):
        company.load("customer", "{customer_id: id}", text, "format: parquet")
    with pytest.raises(FileError, match=r"this is a Parquet file.*format: parquet"):
        company.load("customer", "{customer_id: id}", company.parquet("select 'c1' as id"))
    with pytest.raises(FileError, match="the file has no rows"):
        company.load(
            "customer",
            "{customer_id: id}",
            company.parquet("select 'c1' as id where false"),
            "format: parquet",
        )


def test_parquet_folder_names_do_not_become_columns(company_in):
    odd = company_in("client=7")
    columns = "{customer_id: id, city: client}"
    with pytest.raises(FileError, match="column client is not in the file"):
        odd.load("customer", columns, odd.parquet("select 'c1' as id"), "format: parquet")


def test_money_stored_as_double_is_taken_where_it_has_two_decimals(company):
    file = company.parquet(
        f"select no, 'c1' as client, '{FIRST}' as date, total from (values ('A1', 12.3::double),"
        " ('A2', 0.1::double + 0.2), ('A3', 'nan'::double), ('A4', 7::double)) as t(no, total)"
    )
    report = company.load(
        "orders",
        ORDER_COLUMNS,
        file,
        "format: parquet",
        "create_customers: true",
        "max_rejected_share: 0.5",
    )
    assert report.rejected_by_reason == {
        "net_revenue: an amount with more than two decimals": 1,
        "net_revenue: not an amount as the map declares amounts, such as 1234.56": 1,
    }
    assert company.rows("select sum(net_revenue) from orders") == [(Decimal("19.30"),)]
