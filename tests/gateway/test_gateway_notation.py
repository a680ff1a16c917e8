"""The two readers of amounts, Python's and the engine's, agree on every text."""

from __future__ import annotations

from decimal import Decimal

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crm_lab.gateway.notation import AMOUNT, THOUSANDS, Notation, amount_of, number_sql, trimmed_sql

NOTATIONS = [
    Notation(decimal=decimal, thousands=thousands)
    for decimal in (".", ",")
    for thousands in THOUSANDS
    if thousands != decimal
]
NASTY = (
    "0123456789٣५+-\u2212.,'\u2019_ \u00a0\u202f\u2009\u3000\t\r\n\x0b\x1c\x85eExn%()₽\u200b\ufeff"
)


@pytest.fixture(scope="module")
def engine():
    with duckdb.connect() as connection:
        yield connection


def read_by_sql(
    engine: duckdb.DuckDBPyConnection, texts: list[str], notation: Notation
) -> list[Decimal | None]:
    number = number_sql("t", notation)
    amount = f"case when regexp_full_match({number}, '{AMOUNT}') then {number} end"
    rows = engine.execute(
        f"select try_cast({amount} as decimal(38,6)), {amount} from"
        f" (select {trimmed_sql('u')} as t from unnest(?::varchar[]) as t(u))",
        [texts],
    ).fetchall()
    # what is too long for the engine's type is compared as its text
    return [None if text is None else Decimal(text) for _, text in rows]


@settings(max_examples=150)
@given(
    texts=st.lists(st.text(NASTY, max_size=12), min_size=1, max_size=30),
    notation=st.sampled_from(NOTATIONS),
)
@example(
    texts=["1e5", "+5", ".5", "5.", "--5", "1 2", "٣", "\u22125", "", ".", "-", "+.", "1,5", "1.5"],
    notation=NOTATIONS[0],
)
@example(
    texts=["1 234,50", "1\u00a0234\u202f567", "12 34", "1 234 ,5", " 5 ", "1.5", "1,5,5"],
    notation=Notation(decimal=",", thousands=" "),
)
@example(
    texts=["1.234,5", "1.5", "1.234.5", "1234,5", "1.2345"],
    notation=Notation(decimal=",", thousands="."),
)
@example(
    texts=["9" * 30, "9" * 31, "0." + "0" * 30, "0." + "0" * 31, "1" + "0" * 400],
    notation=NOTATIONS[0],
)
@example(texts=["\u30005", "5\x0b", "5\x85", "\u20285", "5\x1c"], notation=NOTATIONS[0])
def test_both_readers_agree_on_every_text(engine, texts, notation):
    assert read_by_sql(engine, texts, notation) == [amount_of(text, notation) for text in texts]


@settings(max_examples=100)
@given(text=st.text(NASTY, max_size=8))
def test_trimming_agrees_with_python(engine, text):
    trimmed = engine.execute(
        f"select {trimmed_sql('u')} from (select ?::varchar as u)", [text]
    ).fetchone()
    assert trimmed == (text.strip(" \u00a0\u202f\u2009\t\r\n") or None,)


@pytest.mark.parametrize(
    ("text", "decimal", "thousands", "amount"),
    [
        ("1 234,56", ",", " ", "1234.56"),
        ("1\u00a0234\u00a0567,8", ",", " ", "1234567.8"),
        ("-1\u202f234", ",", "\u00a0", "-1234"),
        ("1,234.50", ".", ",", "1234.50"),
        ("1.234,50", ",", ".", "1234.50"),
        ("1'234.50", ".", "'", "1234.50"),
        ("+5", ".", "", "5"),
        (".5", ".", "", "0.5"),
        ("5.", ".", "", "5"),
        ("\u00a05\t", ".", "", "5"),
        ("0,5", ",", "", "0.5"),
    ],
)
def test_amounts_that_are_read(text, decimal, thousands, amount):
    assert amount_of(text, Notation(decimal=decimal, thousands=thousands)) == Decimal(amount)


@pytest.mark.parametrize(
    ("text", "decimal", "thousands"),
    [
        ("1,5", ".", ","),  # would be 15 if a comma were simply taken away
        ("1.5", ",", "."),
        ("12 34", ".", " "),
        ("1234 567", ".", " "),
        ("1  234", ".", " "),
        ("1.5", ",", ""),
        ("1,5", ".", ""),
        ("\u22125", ".", ""),
        ("٣", ".", ""),
        ("1e5", ".", ""),
        ("--5", ".", ""),
        ("5-", ".", ""),
        ("nan", ".", ""),
        ("1_000", ".", ""),
        ("", ".", ""),
        (".", ".", ""),
    ],
)
def test_texts_that_are_no_amount(text, decimal, thousands):
    assert amount_of(text, Notation(decimal=decimal, thousands=thousands)) is None
