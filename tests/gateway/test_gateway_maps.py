"""A map is checked whole before any file is opened, and every fault names its line."""

from __future__ import annotations

import pytest

from crm_lab.errors import FileError
from crm_lab.gateway import load_map, load_maps

GOOD = """\
table: orders
source_system: till
files: "orders*.csv"
columns:
  order_id: no
  customer_id: client
  ordered_at: date
  net_revenue: total
"""


def write(folder, text, name="orders.yml"):
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_a_good_map_is_read(tmp_path):
    loaded = load_map(write(tmp_path, GOOD))
    assert loaded.table.name == "orders"
    assert loaded.declared.columns["order_id"].source == "no"
    assert loaded.reads(tmp_path / "orders_2024.csv")
    assert not loaded.reads(tmp_path / "lines.csv")


@pytest.mark.parametrize(
    ("change", "to", "message"),
    [
        (
            "source_system: till",
            "source_system: till\ndelimeter: ';'",
            r"line 3, key 'delimeter': unknown key 'delimeter'; did you mean 'delimiter'",
        ),
        (
            "  net_revenue: total",
            "  net_revenu: total",
            r"line 8, key 'columns\.net_revenu'.*did you mean 'net_revenue'",
        ),
        (
            "  net_revenue: total\n",
            "",
            r"line 4, key 'columns': the required column 'net_revenue' of orders is not mapped",
        ),
        (
            "table: orders",
            "table: order",
            "line 1, key 'table': unknown table 'order'; did you mean 'orders'",
        ),
        ("table: orders", "table: assignment", "unknown table 'assignment'"),
        ("table: orders\n", "", "the key 'table' is missing"),
        (
            "source_system: till",
            "table: product",
            "line 2: found duplicate key .table.*each key once",
        ),
        ("  customer_id: client", "  order_id: client", "line 6: found duplicate key .order_id"),
        (
            "source_system: till",
            "source_system: ''",
            "line 2, key 'source_system'.*at least 1 character",
        ),
        ("source_system: till", "source_system: [a]", "line 2, key 'source_system'.*valid string"),
        (
            "source_system: till",
            "source_system: till\nmax_rejected_share: 1.5",
            "less than or equal to 1",
        ),
        ("source_system: till", "source_system: till\ndelimiter: ';;'", "at most 1 character"),
        ("source_system: till", "source_system: till\ndelimiter: 'a'", "cannot separate fields"),
        (
            "source_system: till",
            "source_system: till\nthousands: '5'",
            "does not separate thousands",
        ),
        ("source_system: till", "source_system: till\nthousands: '.'", "are the same character"),
        ("source_system: till", "source_system: till\nencoding: cp12x", "unknown encoding 'cp12x'"),
        (
            "source_system: till",
            "source_system: till\nencoding: base64",
            "unknown encoding 'base64'",
        ),
        (
            "source_system: till",
            "source_system: till\nencoding: utf-16",
            "'utf-16' is not read; save the file",
        ),
        (
            "source_system: till",
            "source_system: till\ntimezone: Europe/Moskow",
            "unknown time zone 'Europe/Moskow'",
        ),
        (
            "source_system: till",
            "source_system: till\ntimezone: localtime",
            "unknown time zone 'localtime'",
        ),
        ("source_system: till", "source_system: till\non_error: skip", "'reject' or 'fail'"),
        ("source_system: till", "source_system: till\nformat: xlsx", "'csv' or 'parquet'"),
        (
            "  order_id: no",
            "  order_id: {from: no, value: 1}",
            r"line 5, key 'columns\.order_id': give either 'from'",
        ),
        ("  order_id: no", "  order_id: {values: {a: b}}", "give either 'from'"),
        (
            "  order_id: no",
            "  order_id: {from: no, prefx: a}",
            r"line 5, key 'columns\.order_id\.prefx': unknown key 'prefx'",
        ),
        ("  order_id: no", "  order_id: {value: ''}", "at least 1 character"),
        (
            "  net_revenue: total",
            "  net_revenue: {from: total, prefix: a}",
            "line 8.*a prefix on 'net_revenue', which is no id",
        ),
        (
            "  net_revenue: total",
            "  net_revenue: total\n  channel: {from: c, values: {сайт: site}}",
            "line 9.*site is not a value of orders.channel.*web, app",
        ),
        (
            "  net_revenue: total",
            "  net_revenue: total\n  status: {value: payed}",
            "line 9.*payed is not a value of orders.status",
        ),
        (
            "  net_revenue: total",
            "  net_revenue: total\n  channel: {from: c, values: {Web: web, WEB: app}}",
            "web twice: words are compared without case",
        ),
        (
            "  net_revenue: total",
            "  net_revenue: total\n  channel: {from: c, values: {'': web}}",
            "an empty cell has no word",
        ),
    ],
)
def test_faults_of_a_map(tmp_path, change, to, message):
    assert change in GOOD
    path = write(tmp_path, GOOD.replace(change, to))
    with pytest.raises(FileError, match=f"(?s){message}"):
        load_map(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            GOOD.replace("  customer_id: client\n", "") + "create_customers: true\n",
            "line 8, key 'create_customers': create_customers is set, but no customer_id is mapped",
        ),
        (
            "table: customer\nsource_system: s\ncreate_customers: true\n"
            "columns: {customer_id: id}\n",
            "line 3.*customer makes its customers itself",
        ),
        ("", "the file is empty"),
        ("- a\n", "the top level is a"),
        ("a: [\n", "line 2: not valid YAML"),
        ("a: \x07b\n", "not valid YAML"),
    ],
)
def test_faults_of_a_whole_map(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(FileError, match=message):
        load_map(path)


def test_all_faults_come_at_once_with_their_lines(tmp_path):
    path = write(tmp_path, GOOD.replace("source_system: till", "colour: red\ndecimal: ';'"))
    with pytest.raises(FileError, match="colour") as caught:
        load_map(path)
    assert len(caught.value.faults) == 3
    places = [fault.where.removeprefix(f"{path}") for fault in caught.value.faults]
    assert places == ["", ", line 3, key 'decimal'", ", line 2, key 'colour'"]


def test_all_faults_of_columns_come_at_once(tmp_path):
    text = GOOD.replace("ordered_at: date", "orderd_at: date").replace(
        "order_id: no", "status: {value: x}"
    )
    path = write(tmp_path, text)
    with pytest.raises(FileError, match="orderd_at") as caught:
        load_map(path)
    found = [fault.found for fault in caught.value.faults]
    assert any("unknown column of orders 'orderd_at'" in item for item in found)
    assert any("'order_id' of orders is not mapped" in item for item in found)
    assert any("'ordered_at' of orders is not mapped" in item for item in found)
    assert any("x is not a value of orders.status" in item for item in found)


def test_header_names_that_look_like_numbers_stay_names(tmp_path):
    text = GOOD.replace("order_id: no", "order_id: {from: 2024_10, prefix: '007'}").replace(
        "net_revenue: total",
        "net_revenue: 2024\n  store_id: {value: 007}\n"
        "  channel: {from: c, values: {1: web, no: store}}",
    )
    columns = load_map(write(tmp_path, text)).declared.columns
    assert columns["order_id"].source == "2024_10"
    assert columns["net_revenue"].source == "2024"
    assert columns["store_id"].value == "007"
    assert columns["channel"].values == {"1": "web", "no": "store"}


def test_maps_come_in_the_order_of_their_references(tmp_path):
    write(tmp_path, GOOD, "a.yml")
    write(
        tmp_path,
        "table: order_line\nsource_system: s\ncolumns: {order_id: o, line_no: n, amount: a}\n",
        "b.yaml",
    )
    write(tmp_path, "table: customer\nsource_system: s\ncolumns: {customer_id: id}\n", "z.yml")
    assert [item.table.name for item in load_maps(tmp_path)] == ["customer", "orders", "order_line"]


def test_a_missing_or_foreign_map_is_named(tmp_path):
    with pytest.raises(FileError, match=r"none\.yml: the file does not exist"):
        load_map(tmp_path / "none.yml")
    path = tmp_path / "cp1251.yml"
    path.write_bytes("table: заказы\n".encode("cp1251"))
    with pytest.raises(FileError, match="byte 7 is not UTF-8"):
        load_map(path)
    with pytest.raises(FileError, match="cannot be read"):
        load_map(tmp_path)
