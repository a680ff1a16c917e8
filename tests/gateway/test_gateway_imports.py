"""An import accounts for every record and every cent of a file, or loads nothing of it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from crm_lab.errors import FileError, ImportRefusedError
from crm_lab.gateway import load_map
from crm_lab.gateway.store import MANY_SMALL_FILES

ORDER_COLUMNS = "{order_id: no, customer_id: client, ordered_at: date, net_revenue: total}"
FIRST = "2024-03-01 10:00:00"
LINE_COLUMNS = "{order_id: o, line_no: n, amount: a, quantity: q}"


def test_import_counts_rows_and_money(company):
    report = company.orders([f"A1,c1,{FIRST},10.50", f"A2,c2,{FIRST},-0.25", f"A3,c1,{FIRST},0"])
    assert (report.status, report.rows_in, report.rows_loaded, report.rows_rejected) == (
        "ok",
        3,
        3,
        0,
    )
    assert (report.rows_inserted, report.rows_updated, report.rows_unchanged) == (3, 0, 0)
    assert report.customers_created == 2
    assert report.amount_in == report.amount_loaded == Decimal("10.25")
    assert report.amount_rejected == 0
    assert "3 records, 3 loaded" in report.sentence()
    stored = company.rows("select order_id, customer_id, net_revenue from orders order by 1")
    assert stored == [
        ("A1", "c1", Decimal("10.50")),
        ("A2", "c2", Decimal("-0.25")),
        ("A3", "c1", Decimal("0.00")),
    ]


def test_first_five_rejected_rows_are_shown_and_all_are_kept(company):
    bad = [f"B{n},c1,yesterday,1.00" for n in range(7)]
    report = company.orders([f"A1,c1,{FIRST},10", *bad], "max_rejected_share: 0.9")
    assert report.status == "partial"
    assert [item["record"] for item in report.first_rejected] == ["2", "3", "4", "5", "6"]
    assert report.rejected_by_reason == {"ordered_at: not a date in a declared format": 7}
    assert '"no":"B0"' in report.first_rejected[0]["content"]
    assert (report.amount_in, report.amount_loaded, report.amount_rejected) == (17, 10, 7)
    kept = company.gateway.rejected_rows(report.import_batch_id)
    assert kept["row_no"].tolist() == [2, 3, 4, 5, 6, 7, 8]
    assert set(kept["reason"]) == {"not_a_date"}
    assert company.gateway.rejected_rows("another")["row_no"].tolist() == []
    batch = company.gateway.imports().iloc[0]
    assert batch["status"] == "partial"
    assert (batch["rows_in"], batch["rows_loaded"], batch["rows_rejected"]) == (8, 1, 7)
    assert (batch["amount_in"], batch["amount_loaded"]) == ("17.00", "10.00")
    # nobody becomes a customer by an order that was not loaded
    assert company.rows("select count(*) from customer") == [(1,)]


def test_of_several_files_it_is_said_which_went_in(company):
    paths = []
    for name, total in (("a.csv", "1"), ("b.csv", "x"), ("c.csv", "2")):
        paths.append(company.folder / name)
        paths[-1].write_text(f"no,client,date,total\n{name},c1,{FIRST},{total}\n")
    source = load_map(company.map("orders", ORDER_COLUMNS, "create_customers: true"))
    with pytest.raises(ImportRefusedError, match=r"loaded from this folder: a\.csv; not loaded:"):
        company.gateway.import_files([(source, path) for path in paths])
    assert company.rows("select order_id from orders") == [("a.csv",)]
    reports = company.gateway.import_files([(source, path) for path in (paths[0], paths[2])])
    assert [report.status for report in reports] == ["already loaded", "ok"]


def test_the_form_of_amounts_and_the_words_of_a_list_are_named(company):
    columns = ORDER_COLUMNS.replace("}", ", status: status}")
    text = (
        f'no,client,date,total,status\nA1,c1,{FIRST},"1 732,18",paid\nA2,c1,{FIRST},1,оплачен\n'
        f"A3,c1,{FIRST},1,paid\n"
    )
    loose = ("create_customers: true", "max_rejected_share: 0.9")
    report = company.load("orders", columns, text, *loose)
    amount = (
        "net_revenue: not an amount as the map declares amounts, such as 1234.56; for amounts such"
        ' as 1 234,56 the map needs thousands: " " decimal: ","'
    )
    word = (
        "status: a word outside the closed list (paid, cancelled, returned, partial); translate it"
        " under 'values' in the map"
    )
    assert report.rejected_by_reason == {amount: 1, word: 1}
    report = company.load("orders", columns, text, *loose, "decimal: ','", "thousands: ' '")
    assert list(report.rejected_by_reason) == [word]


def test_customers_of_rejected_orders_are_not_created(company):
    company.orders([f"A1,c1,{FIRST},1", "A2,c2,never,1"], "max_rejected_share: 0.5")
    assert company.rows("select customer_id, source_system from customer") == [("c1", "shop")]


def test_the_same_file_again_changes_nothing_and_says_so(company):
    rows = [f"A1,c1,{FIRST},10", "A2,c1,never,5"]
    first = company.orders(rows, "max_rejected_share: 0.5")
    again = company.orders(rows, "max_rejected_share: 0.5")
    assert again.status == "already loaded"
    assert "nothing was changed" in again.sentence()
    assert again.rejected_by_reason == first.rejected_by_reason
    assert again.first_rejected == first.first_rejected
    assert again.snapshot == first.snapshot
    assert len(company.gateway.imports()) == 1


def test_a_changed_map_loads_again_and_finds_the_rows_as_they_were(company):
    rows = [f"A{n},c1,{FIRST},{n}" for n in range(1, 6)]
    first = company.orders(rows)
    again = company.orders(rows, "on_error: fail")
    assert (again.rows_loaded, again.rows_unchanged, again.rows_inserted) == (5, 5, 0)
    assert again.amount_loaded == 15
    assert again.snapshot.split("-")[1] == first.snapshot.split("-")[1]  # the same content
    assert company.rows("select count(*) from orders") == [(5,)]


def test_changed_and_late_orders_leave_the_old_snapshot_as_it_was(company):
    company.orders([f"A{n},c1,{FIRST},{n}" for n in range(1, 6)])
    before = company.gateway.snapshot()
    query = "select order_id, net_revenue from orders order by 1"
    old = company.rows(query)
    report = company.orders([f"A2,c1,{FIRST},20", f"A3,c1,{FIRST},3", f"A9,c2,{FIRST},9"])
    assert (report.rows_inserted, report.rows_updated, report.rows_unchanged) == (1, 1, 1)
    assert report.amount_loaded == 32
    assert company.rows(query, before.snapshot_id) == old
    assert company.rows("select sum(net_revenue), count(*) from orders") == [(Decimal(42), 6)]
    assert company.rows("select count(*) from orders", 0) == [(0,)]
    assert company.gateway.snapshot(before.snapshot_id) == before
    assert company.gateway.verify() == []


def test_changes_in_several_files_replace_only_their_rows(company):
    for part in range(4):
        company.orders([f"A{part}{n},c{part},{FIRST},{n}" for n in range(3)])
    untouched = company.store.files("orders", company.gateway.snapshot().snapshot_id)[3].path
    report = company.orders([f"A00,c0,{FIRST},100", f"A21,c2,{FIRST},200"])
    assert (report.rows_inserted, report.rows_updated) == (0, 2)
    files = company.store.files("orders", company.gateway.snapshot().snapshot_id)
    assert untouched in [file.path for file in files]
    assert sum(file.rows for file in files) == 12
    assert company.rows("select sum(net_revenue) from orders") == [(Decimal(3 * 4 + 300 - 1),)]


def test_many_small_files_are_merged_without_loss(company):
    for day in range(MANY_SMALL_FILES + 2):
        company.orders([f"A{day},c{day},{FIRST},{day}"])
    latest = company.gateway.snapshot().snapshot_id
    assert len(company.store.files("orders", latest)) < MANY_SMALL_FILES
    assert len(company.store.files("customer", latest)) < MANY_SMALL_FILES
    count = MANY_SMALL_FILES + 2
    assert company.rows(
        "select count(*), count(distinct order_id), sum(net_revenue) from orders"
    ) == [(count, count, Decimal(count * (count - 1) // 2))]
    assert company.rows("select count(*) from customer") == [(count,)]
    assert company.rows("select count(*) from orders", latest - 3) == [(count - 3,)]
    assert company.gateway.verify() == []


def test_a_key_that_comes_twice_is_loaded_once(company):
    rows = [f"A1,c1,{FIRST},1", f"A2,c1,{FIRST},2", f"A1,c1,{FIRST},3", f"A1,c1,{FIRST},1"]
    report = company.orders(rows, "max_rejected_share: 0.5")
    assert (report.rows_loaded, report.rows_rejected) == (2, 2)
    assert list(report.rejected_by_reason) == [
        "order_id: the same key stands in an earlier record of the file"
    ]
    assert company.rows("select order_id, net_revenue from orders order by 1") == [
        ("A1", Decimal(1)),
        ("A2", Decimal(2)),
    ]


def test_an_unreadable_record_does_not_make_its_correction_a_duplicate(company):
    report = company.orders(["A1,c1,never,1", f"A1,c1,{FIRST},1"], "max_rejected_share: 0.5")
    assert report.rows_loaded == 1


def test_unknown_references_are_set_aside(company):
    company.customers(["c1"])
    text = f"no,client,date,total\nA1,c1,{FIRST},1\nA2,stranger,{FIRST},2\nA3,,{FIRST},4\n"
    report = company.load("orders", ORDER_COLUMNS, text, "max_rejected_share: 0.5")
    assert report.rejected_by_reason == {
        "customer_id: refers to a customer that the gateway does not know": 1
    }
    assert (report.amount_in, report.amount_loaded, report.amount_rejected) == (7, 5, 2)
    assert report.customers_created == 0


def test_created_customers_take_the_prefix(company):
    columns = ORDER_COLUMNS.replace("client", "{from: client, prefix: 'b:'}")
    text = f"no,client,date,total\nA1,7,{FIRST},1\nA2,,{FIRST},1\n"
    report = company.load("orders", columns, text, "create_customers: true")
    assert report.customers_created == 1
    assert company.rows("select customer_id from customer") == [("b:7",)]


def test_one_wrong_record_fails_the_import_where_the_map_says_so(company):
    text = f"no,client,date,total\nA1,c1,{FIRST},1\nA2,c1,{FIRST},oops\n"
    columns = ORDER_COLUMNS
    with pytest.raises(
        ImportRefusedError,
        match=r"1 of 2 records .*on_error: fail.*\n.*record 2, column net_revenue",
    ):
        company.load("orders", columns, text, "create_customers: true", "on_error: fail")
    assert company.rows("select count(*) from orders") == [(0,)]
    assert company.rows("select count(*) from customer") == [(0,)]
    batch = company.gateway.imports().iloc[0]
    assert (batch["status"], batch["rows_loaded"], batch["amount_loaded"]) == ("failed", 0, None)
    assert "nothing of this file was loaded" in batch["message"]


def test_too_many_rejected_records_refuse_the_file(company):
    rows = [f"A{n},c1,{FIRST},1" for n in range(7)] + [f"B{n},c1,never,1" for n in range(3)]
    with pytest.raises(ImportRefusedError, match=r"3 of 10 records .*the map allows 29\.0 %"):
        company.orders(rows, "max_rejected_share: 0.29")
    report = company.orders(rows, "max_rejected_share: 0.3")  # a failed attempt may be repeated
    assert report.rows_rejected == 3
    assert company.gateway.imports()["status"].tolist() == ["partial", "failed"]


@pytest.mark.parametrize(
    ("cell", "column", "reason"),
    [
        ("ordered_at,", "ordered_at", "missing"),
        ("order_id,17.0", "order_id", "id_read_as_number"),
        ("order_id,1.2E+10", "order_id", "id_read_as_number"),
        ("order_id,9E5", "order_id", "id_read_as_number"),
        ("gross,1 000", "gross", "not_an_amount"),
        ("gross,1e5", "gross", "not_an_amount"),
        ("gross,1.005", "gross", "more_than_two_decimals"),
        ("gross,1.0000001", "gross", "more_than_two_decimals"),
        ("gross,10000000000000000.00", "gross", "amount_out_of_range"),
        ("ordered_at,2024-02-30", "ordered_at", "not_a_date"),
        ("ordered_at,05/03/2024", "ordered_at", "not_a_date"),
        ("ordered_at,infinity", "ordered_at", "not_a_date"),
        ("ordered_at,epoch", "ordered_at", "not_a_date"),
        ("ordered_at,0024-02-01", "ordered_at", "date_out_of_range"),
        ("ordered_at,2201-01-01", "ordered_at", "date_out_of_range"),
        ("status,lost", "status", "unknown_value"),
        ("customer_id,c9", "customer_id", "unknown_customer"),
        ("order_id,A0", "order_id", "duplicate_key"),
        ("net_revenue,nan", "net_revenue", "not_an_amount"),
    ],
)
def test_reasons_for_cells_of_orders(company, cell, column, reason):
    company.customers(["c1"])
    names = ["order_id", "customer_id", "ordered_at", "net_revenue", "gross", "status"]
    good = {
        "order_id": "A0",
        "customer_id": "c1",
        "ordered_at": "2024-01-01",
        "net_revenue": "1.10",
        "gross": "2.50",
        "status": "PAID",
    }
    name, _, text = cell.partition(",")
    bad = {**good, "order_id": "A1", name: text}
    lines = [",".join(names), *(",".join(row[name] for name in names) for row in (good, bad))]
    columns = "{" + ", ".join(f"{name}: {name}" for name in names) + "}"
    company.load("orders", columns, "\n".join(lines), "max_rejected_share: 0.5")
    kept = company.gateway.rejected_rows()
    assert kept[["row_no", "column_name", "reason"]].values.tolist() == [[2, column, reason]]
    assert company.rows("select order_id, gross, status from orders") == [
        ("A0", Decimal("2.50"), "paid")
    ]


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        ("A0,x,1,1", "line_no", "not_a_whole_number"),
        ("A0,1.5,1,1", "line_no", "not_a_whole_number"),
        ("A0,1_000,1,1", "line_no", "not_a_whole_number"),
        ("A0,99999999999999999999,1,1", "line_no", "not_a_whole_number"),
        ("A0,2,1,many", "quantity", "not_a_number"),
        ("A0,2,1,1e999", "quantity", "not_a_number"),
        ("A0,2,1", "", "wrong_number_of_fields"),
        ("A0,2,1,1,1", "", "wrong_number_of_fields"),
        ("A7,2,1,1", "order_id", "unknown_orders"),
    ],
)
def test_reasons_for_cells_of_order_lines(company, line, column, reason):
    company.orders([f"A0,c1,{FIRST},1"])
    text = f"o,n,a,q\nA0,1,5,-2.5e0\n{line}\n"
    report = company.load("order_line", LINE_COLUMNS, text, "max_rejected_share: 0.5")
    kept = company.gateway.rejected_rows()
    assert kept[["row_no", "column_name", "reason"]].values.tolist() == [[2, column, reason]]
    assert report.amount_in == 6 or reason == "wrong_number_of_fields"
    assert report.amount_in == report.amount_loaded + report.amount_rejected
    assert company.rows("select line_no, amount, quantity from order_line") == [
        (1, Decimal(5), -2.5)
    ]


def test_flags_are_read_in_two_languages(company):
    words = ["Да", "нет", "1", "FALSE", "yes", "maybe", ""]
    text = "id,test\n" + "".join(f"c{n},{word}\n" for n, word in enumerate(words))
    company.load("customer", "{customer_id: id, is_test: test}", text)
    stored = company.rows("select is_test from customer order by customer_id")
    assert [row[0] for row in stored] == [True, False, True, False, True, None]
    assert company.gateway.rejected_rows()["reason"].tolist() == ["not_yes_or_no"]


def test_every_reason_code_is_explained_and_tested():
    from crm_lab.gateway.casting import REASONS, reason_text

    marks = [
        mark
        for test in (test_reasons_for_cells_of_orders, test_reasons_for_cells_of_order_lines)
        for mark in test.pytestmark
    ]
    tried = {case[2] for mark in marks for case in mark.args[1]} | {"not_yes_or_no"}
    assert set(REASONS) <= tried
    assert all(reason_text(reason) for reason in tried)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"no,client,date,total\n", "a header and no rows"),
        (b"no,client,date\nA1,c1,2024-01-01\n", "column total is not in the file"),
        (b"no;client;date;total\nA1;c1;2024-01-01;1\n", "check the map's delimiter"),
        (b"no,client,date,total,total\nA1,c1,2024-01-01,1,2\n", "the header has total twice"),
        (
            b'no,client,date,total\nA1,c1,2024-01-01,"1\nA2,c1,2024-01-01,2\n',
            "near line .*unclosed quote",
        ),
        (b'no,client,date,total\nA1,"c"1,2024-01-01,1\n', "CSV is broken near line 2"),
        (b"no,client,date,total\nA1,c\x001,2024-01-01,1\n", "line 2 holds a zero byte"),
        (
            "no,client,date,total\nA1,Иван,2024-01-01,1\n".encode("cp1251"),
            r"of line 2 is not utf-8.*encoding: cp1251.*Иван",
        ),
        (
            "no,client,date,total\nA1,c1,2024-01-01,1\n".encode("utf-16"),
            "this is a UTF-16 file.*CSV UTF-8",
        ),
        ("no,client,date,total\nA1,c1,2024-01-01,1\n".encode("utf-16-le"), "zero byte.*UTF-16"),
        (b"PK\x03\x04rest", "an Excel workbook"),
        (b"no,client,date,total\nA1," + b"c" * 1_000_001 + b",2024-01-01,1\n", "field larger than"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_whole(company, content, message):
    with pytest.raises(FileError, match=f"(?s){message}"):
        company.load("orders", ORDER_COLUMNS, content)
    assert company.gateway.imports().empty
    assert company.gateway.snapshot().snapshot_id == 0
    assert list(company.gateway.folder.glob(".import-*")) == []


def test_a_missing_file_and_a_folder_are_named(company):
    with pytest.raises(FileError, match=r"nowhere\.csv: the file does not exist"):
        company.load("orders", ORDER_COLUMNS, company.folder / "nowhere.csv")
    with pytest.raises(FileError, match="cannot be read"):
        company.load("orders", ORDER_COLUMNS, company.folder)


def test_utf8_mark_in_a_file_declared_as_cp1251(company):
    text = "no,client,date,total\nA1,c1,2024-01-01,1\n".encode("utf-8-sig")
    with pytest.raises(FileError, match="begins with the mark of UTF-8, and the map says cp1251"):
        company.load("orders", ORDER_COLUMNS, text, "encoding: cp1251")


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "utf-8-sig", "UTF_8_SIG"])
def test_a_byte_order_mark_is_passed_over(company, encoding):
    text = f"no,client,date,total\nA1,c1,{FIRST},1\n".encode("utf-8-sig")
    report = company.load(
        "orders", ORDER_COLUMNS, text, "create_customers: true", f"encoding: {encoding}"
    )
    assert report.rows_loaded == 1


def test_a_file_that_grows_while_it_is_read_is_refused(company, monkeypatch):
    from crm_lab.gateway import imports

    def stage_and_grow(engine, source, file, **rest):
        staged = stage(engine, source, file, **rest)
        file.write_text(file.read_text() + f"A2,c1,{FIRST},1\n")
        return staged

    stage = imports.stage_file
    monkeypatch.setattr(imports, "stage_file", stage_and_grow)
    with pytest.raises(FileError, match="the file changed while it was read"):
        company.orders([f"A1,c1,{FIRST},1"])
    assert company.gateway.snapshot().snapshot_id == 0


def test_quoted_fields_keep_line_breaks_delimiters_and_quotes(company):
    name = "Ann \"A, B\"\r\nsecond line; 'x'"
    quoted = '"' + name.replace('"', '""') + '"'
    company.load("customer", "{customer_id: id, full_name: n}", f"id,n\nc1,{quoted}\n\nc2,NULL\n")
    assert company.rows("select full_name from customer order by 1") == [(name,), ("NULL",)]


def test_names_with_quotes_are_only_names(company_in):
    odd = company_in("кафе 'У дома' [new] shop=1")
    file = odd.folder / 'it\'s "x" year=2024.csv'
    file.write_text(
        """no,"cl""i'ent",date,"to'tal"\nA1,o'neil,2024-01-01,5\nA2,"d""x",x,5\n""", "utf-8"
    )
    columns = (
        """{order_id: no, customer_id: "cl\\"i'ent", ordered_at: date,"""
        """ net_revenue: "to'tal", store_id: {value: "o'k"}}"""
    )
    path = odd.map("orders", columns, "create_customers: true", "max_rejected_share: 0.5")
    path.write_text(
        path.read_text("utf-8").replace("source_system: shop", """source_system: "till's" """),
        "utf-8",
    )
    report = odd.gateway.import_file(load_map(path), file)
    assert report.rows_loaded == 1
    assert odd.rows("select customer_id, source_system from customer") == [("o'neil", "till's")]
    assert odd.rows("select store_id from orders") == [("o'k",)]
    assert odd.gateway.rejected_rows()["raw_json"].tolist() == [
        '{"no":"A2","cl\\"i\'ent":"d\\"x","date":"x","to\'tal":"5"}'
    ]
    again = odd.orders([f"A1,o'neil,{FIRST},6"])
    assert again.rows_updated == 1
    assert odd.gateway.verify() == []
