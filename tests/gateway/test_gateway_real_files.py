"""Files as companies write them, read through maps."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest


def present(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return path


def records(path: Path, encoding: str, delimiter: str) -> list[dict[str, str]]:
    with path.open(encoding=encoding, newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def test_bank_clients_in_cp1251_equal_their_reference(company, shared_data):
    folder = shared_data / "ru_formats"
    file = present(folder / "otp_cp1251_semicolon_decimalcomma_crlf.csv")
    reference = records(present(folder / "otp_utf8_comma_reference.csv"), "utf-8", ",")
    written = ("encoding: cp1251", 'delimiter: ";"', 'decimal: ","')
    columns = """
  customer_id: Код клиента
  gender: {from: Пол, values: {1: m, 0: f}}
  region_code: Регион
  income_band: Доход семьи
  full_name: Образование
  is_test: Отклик"""
    report = company.load("customer", columns, file, *written)
    assert (report.rows_in, report.rows_loaded) == (3000, 3000)
    stored = company.frame("select * from customer").set_index("customer_id")
    for row in reference:
        client = stored.loc[row["Код клиента"]]
        assert client["gender"] == {"1": "m", "0": "f"}[row["Пол"]]
        for name, source in (
            ("region_code", "Регион"),
            ("income_band", "Доход семьи"),
            ("full_name", "Образование"),
        ):
            assert (client[name] if isinstance(client[name], str) else "") == row[source].strip()
        assert client["is_test"] == (row["Отклик"] == "1")

    orders = """
  order_id: {from: Код клиента, prefix: "income-"}
  customer_id: Код клиента
  ordered_at: {value: 2024-01-01}
  net_revenue: Личный доход"""
    report = company.load("orders", orders, file, *written)
    expected = {row["Код клиента"]: Decimal(row["Личный доход"]) for row in reference}
    assert report.rows_rejected == 0
    assert dict(company.rows("select customer_id, net_revenue from orders")) == expected
    assert report.amount_in == report.amount_loaded == sum(expected.values())


def test_no_break_spaces_between_thousands(company, shared_data):
    file = present(shared_data / "ru_formats" / "retail_cp1251_nbsp_thousands.csv")
    with file.open(encoding="cp1251", newline="") as opened:
        rows = list(csv.reader(opened, delimiter=";"))
    numbered = [
        ("n;client;date;total", *(f"{n};{';'.join(row)}" for n, row in enumerate(rows[1:])))
    ]
    content = "\r\n".join(numbered[0]).encode("cp1251")
    report = company.load(
        "orders",
        "{order_id: n, customer_id: client, ordered_at: date, net_revenue: total}",
        content,
        "encoding: cp1251",
        'delimiter: ";"',
        'decimal: ","',
        'thousands: " "',
        'date_formats: ["%d.%m.%Y"]',
        "create_customers: true",
    )
    expected = sum(Decimal(row[2].replace("\xa0", "").replace(",", ".")) for row in rows[1:])
    assert (report.rows_in, report.rows_rejected) == (5000, 0)
    assert report.amount_in == report.amount_loaded == expected
    days = company.rows("select distinct strftime(ordered_at, '%d.%m.%Y') from orders")
    assert {day for (day,) in days} == {row[1] for row in rows[1:]}


def test_a_sales_file_with_a_mark_and_days_first(company, shared_data):
    file = present(shared_data / "ru_formats" / "prodazhi_bom_semicolon_ddmmyyyy.csv")
    rows = records(file, "utf-8-sig", ";")
    numbers = [row["Номер заказа"] for row in rows]
    report = company.load(
        "orders",
        "{order_id: Номер заказа, ordered_at: Дата заказа, net_revenue: Общая стоимость}",
        file,
        'delimiter: ";"',
        'date_formats: ["%d.%m.%Y"]',
        "max_rejected_share: 0.99",
    )
    assert report.rows_in == len(rows) == 64
    assert report.rows_loaded == len(set(numbers))
    assert report.amount_in == sum(Decimal(row["Общая стоимость"]) for row in rows)
    days = company.rows("select min(ordered_at), max(ordered_at) from orders")[0]
    assert all(pd.Timestamp(day).year == 2021 for day in days)


def test_northwind_with_cyrillic_names_and_american_dates(company, shared_data):
    folder = present(shared_data / "northwind_ru")
    clients = company.load(
        "customer",
        "{customer_id: КодКлиента, full_name: Название, city: Город}",
        folder / "Клиенты.csv",
    )
    assert (clients.rows_in, clients.rows_loaded) == (91, 91)
    file = folder / "Заказы.csv"
    report = company.load(
        "orders",
        "{order_id: КодЗаказа, customer_id: КодКлиента, ordered_at: ДатаРазмещения,"
        " net_revenue: СтоимостьДоставки}",
        file,
        'date_formats: ["%m/%d/%y %H:%M:%S"]',
    )
    rows = records(file, "utf-8-sig", ",")
    assert (report.rows_in, report.rows_loaded, report.rows_rejected) == (830, 830, 0)
    assert report.amount_loaded == sum(Decimal(row["СтоимостьДоставки"]) for row in rows)
    stored = dict(
        company.rows("select order_id, strftime(ordered_at, '%m/%d/%y %H:%M:%S') from orders")
    )
    assert stored == {row["КодЗаказа"]: row["ДатаРазмещения"] for row in rows}
    assert company.rows("select city from customer where customer_id = 'ALFKI'") == [("Берлин",)]

    products = company.load(
        "product", "{product_id: КодТовара, name: Марка, price: Цена}", folder / "Товары.csv"
    )
    assert products.rows_rejected == 0


def test_days_first_in_the_answers_of_a_bank(company, shared_data):
    file = present(shared_data / "nps_bank_dd-mm-yy.csv")
    report = company.load(
        "orders",
        "{order_id: ID, ordered_at: Survey date, net_revenue: NPS, store_id: Month}",
        file,
        'date_formats: ["%d/%m/%y"]',
    )
    assert (report.rows_in, report.rows_rejected) == (5000, 0)
    assert company.rows(
        "select count(*) from orders where month(ordered_at) <> cast(store_id as integer)"
    ) == [(0,)]


def test_online_retail_lines_from_parquet(company, shared_data):
    file = present(shared_data / "online_retail_2010_2011.parquet")
    path = str(file).replace("'", "''")
    # a line has no number of its own in this file, and no amount
    lines = company.parquet(
        "select cast(row_number() over () as varchar) as no, CustomerID, InvoiceDate,"
        " cast(round(UnitPrice * Quantity, 2) as decimal(18,2)) as amount"
        f" from read_parquet('{path}')"
    )
    report = company.load(
        "orders",
        "{order_id: no, customer_id: CustomerID, ordered_at: InvoiceDate, net_revenue: amount}",
        lines,
        "format: parquet",
        "create_customers: true",
        "timezone: Europe/London",
    )
    assert (report.rows_in, report.rows_rejected) == (541_909, 0)
    assert company.rows("select count(*) from orders where customer_id is null") == [(135_080,)]
    assert company.rows("select count(*) from customer") == [(4_372,)]
    window = "cast(min(ordered_at) as varchar), cast(max(ordered_at) as varchar)"
    assert company.rows(f"select {window} from orders") == [
        ("2010-12-01 08:26:00", "2011-12-09 12:50:00")
    ]
    assert report.amount_in == report.amount_loaded


def test_online_retail_lines_refer_to_their_orders(company, shared_data):
    file = present(shared_data / "online_retail_2010_2011.parquet")
    path = str(file).replace("'", "''")
    invoices = company.parquet(
        "select InvoiceNo as no, any_value(CustomerID) as client, min(InvoiceDate) as date,"
        " cast(sum(round(UnitPrice * Quantity, 2)) as decimal(18,2)) as total"
        f" from read_parquet('{path}') where InvoiceNo like 'C%' group by 1"
    )
    orders = "{order_id: no, customer_id: client, ordered_at: date, net_revenue: total}"
    made = company.load("orders", orders, invoices, "format: parquet", "create_customers: true")
    lines = company.parquet(
        "select InvoiceNo as no, row_number() over (partition by InvoiceNo) as line, Quantity as q,"
        " cast(round(UnitPrice * Quantity, 2) as decimal(18,2)) as amount"
        f" from read_parquet('{path}') where InvoiceNo like 'C%' or InvoiceNo = '536365'"
    )
    columns = "{order_id: no, line_no: line, quantity: q, amount: amount}"
    report = company.load("order_line", columns, lines, "format: parquet")
    assert report.rejected_by_reason == {
        "order_id: refers to a orders that the gateway does not know": 7
    }
    assert report.amount_loaded == made.amount_loaded
    assert report.amount_in == report.amount_loaded + report.amount_rejected
