"""Money is read to the last cent, and what is no money is not lost sight of."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FIRST = "2024-03-01 10:00:00"
ORDER_COLUMNS = "{order_id: no, customer_id: client, ordered_at: date, net_revenue: total}"


def test_reasons_of_the_money_column_are_added_up(company):
    rows = [
        f"A1,c1,{FIRST},1.005",
        f"A2,c1,{FIRST},{'9' * 29}",
        f"A3,c1,{FIRST},0.01",
        f"A4,c1,{FIRST},x",
    ]
    report = company.orders(rows, "max_rejected_share: 0.75")
    assert report.amount_in == Decimal("100000000000000000000000000000.015")
    assert report.amount_loaded == Decimal("0.01")


def test_money_that_cannot_be_read_is_counted_and_said(company):
    rows = [
        f'A1,c1,{FIRST},"1 732,18"',
        f"A2,c1,{FIRST},n/a",
        f"A3,c1,{FIRST},",
        f"A4,c1,{FIRST}",
        f"A5,c1,{FIRST},7.5",
        "A6,c1,never,2.5",
    ]
    report = company.orders(rows, "max_rejected_share: 0.9")
    assert (report.amount_in, report.amount_loaded, report.amount_rejected) == (10, 7.5, 2.5)
    assert report.amounts_unread == 4
    unread = "The money of 4 records could not be read: the sums lack it"
    assert unread in report.sentence()
    frame = report.to_frame().set_index("what")["value"]
    assert frame["records whose money could not be read"] == 4
    again = company.orders(rows, "max_rejected_share: 0.9")
    assert (again.status, again.amounts_unread) == ("already loaded", 4)
    assert company.gateway.imports()["amounts_unread"].tolist() == [4]


def test_of_a_file_whose_money_is_all_read_nothing_is_said(company):
    report = company.orders([f"A1,c1,{FIRST},7.5", "A2,c1,never,0"], "max_rejected_share: 0.9")
    assert report.amounts_unread == 0
    assert "could not be read" not in report.sentence()


def test_money_that_a_parquet_file_lacks_is_counted(company):
    file = company.parquet(
        "select 'A' || i as no, 'c1' as client, '2024-03-01' as date,"
        " case when i = 1 then 5.25 end as total from range(3) as t(i)"
    )
    report = company.load(
        "orders",
        ORDER_COLUMNS,
        file,
        "format: parquet",
        "create_customers: true",
        "max_rejected_share: 0.9",
    )
    assert (report.amount_in, report.amounts_unread) == (Decimal("5.25"), 2)


def test_a_manifest_of_before_the_count_is_read_and_written(company):
    company.orders([f"A1,c1,{FIRST},7.5"])
    with company.store.manifest() as db:
        db.execute("alter table import_batch drop column amounts_unread")
    assert company.gateway.imports()["amounts_unread"].tolist() == [None]
    assert company.orders([f"A1,c1,{FIRST},7.5"]).amounts_unread == 0
    company.orders([f"A2,c1,{FIRST},x", f"A3,c1,{FIRST},1"], "max_rejected_share: 0.9")
    assert company.gateway.imports()["amounts_unread"].iloc[0] == 1


def test_money_words_are_translated_for_both_readers(company):
    words = "{from: total, values: {Бесплатно: 0, пять: 5}}"
    columns = ORDER_COLUMNS.replace("total", words)
    text = f"no,client,date,total\nA1,c1,{FIRST},бесплатно\nA2,c1,{FIRST}, ПЯТЬ \nA3,c1,{FIRST},2\n"
    report = company.load("orders", columns, text, "create_customers: true")
    assert report.amount_in == report.amount_loaded == 7


def test_a_money_column_may_be_a_fixed_value(company):
    columns = "{order_id: no, customer_id: client, ordered_at: date, net_revenue: {value: 2.5}}"
    report = company.load(
        "orders", columns, f"no,client,date\nA1,c1,{FIRST}\n", "create_customers: true"
    )
    assert report.amount_in is None
    assert company.rows("select net_revenue from orders") == [(Decimal("2.50"),)]


@st.composite
def written_amounts(draw):
    """One notation and amounts written in it, in cents."""
    thousands, decimal = draw(
        st.sampled_from(
            [("", "."), ("", ","), (" ", ","), ("\u00a0", ","), (",", "."), (".", ","), ("'", ".")]
        )
    )
    cents = draw(st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=30))
    texts = []
    for value in cents:
        whole, part = divmod(abs(value), 100)
        grouped = draw(st.booleans())
        text = f"{whole:,}".replace(",", thousands) if grouped else str(whole)
        if part or draw(st.booleans()):
            text += f"{decimal}{part:02d}" + "0" * draw(st.integers(0, 3))
        sign = "-" if value < 0 else draw(st.sampled_from(["", "+"]))
        texts.append(sign + text)
    return thousands, decimal, cents, texts


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=written_amounts())
def test_money_is_exact_in_every_notation(company_in, written):
    thousands, decimal, cents, texts = written
    company = company_in()
    rows = "".join(f"A{n}|c1|{FIRST}|{text}\n" for n, text in enumerate(texts))
    lines = (
        'delimiter: "|"',
        f'thousands: "{thousands}"',
        f'decimal: "{decimal}"',
        "create_customers: true",
    )
    report = company.load("orders", ORDER_COLUMNS, "no|client|date|total\n" + rows, *lines)
    assert report.rows_rejected == 0
    assert report.amount_in == report.amount_loaded == Decimal(sum(cents)).scaleb(-2)
    assert company.rows("select sum(net_revenue) from orders") == [
        (Decimal(sum(cents)).scaleb(-2),)
    ]
