"""What an import and the gateway's refusals say in Russian; codes and tables stay as they are."""

from __future__ import annotations

import pandas as pd
import pytest

from crm_lab.cards import TableView
from crm_lab.errors import CrmLabError, FileError, ImportRefusedError, StoreError
from crm_lab.gateway import Gateway, load_map
from crm_lab.gateway.casting import REASONS, reason_text
from crm_lab.language import using_language
from tests.russian import latin_words

NAMES = ("orders", "file.csv", "map.yml", "customer", "net_revenue", "ordered_at", "ok", "till")
KEYS = ("thousands", "decimal")
ROWS = ("1,a,2024-01-01,10.00", "2,b,2024-01-02,1200.50", "3,c,2024-01-03,ten")


def test_an_import_is_reported_in_russian(company):
    with using_language("ru"):
        report = company.orders(ROWS, "max_rejected_share: 0.5")
        again = company.orders(ROWS, "max_rejected_share: 0.5")
        said, shown = report.sentence(), report._repr_html_()
        listed = TableView(company.gateway.imports().drop(columns=["started_at"]))._repr_html_()
        repeated = again.sentence()
    assert said == (
        "file.csv: записей 3, загружено в orders 2 (новых 2, изменённых 0, прежних 0), отложено 1;"
        " в файле 1\u00a0210,50\u00a0₽, загружено 1\u00a0210,50\u00a0₽."
        " Деньги 1 записи прочесть не удалось: в суммах их нет, и сколько денег в файле всего,"
        " неизвестно."
    )
    assert repeated == (
        f"file.csv уже был загружен раньше (загрузка {report.import_batch_id}); ничего не изменено."
    )
    assert latin_words(shown, (*NAMES, *KEYS)) == []
    assert latin_words(listed, (*NAMES, "shop", report.import_batch_id)) == []
    assert "частично" in listed
    assert report.to_dict()["status"] == "partial"


def test_the_data_of_an_import_stay_english(company):
    english = company.orders(ROWS[:2])
    with using_language("ru"):
        found = english.to_frame()
    pd.testing.assert_frame_equal(found, english.to_frame())


@pytest.mark.parametrize("reason", [*REASONS, "unknown_customer"])
def test_every_reason_is_russian(reason):
    with using_language("ru"):
        assert latin_words(reason_text(reason), ("values", "customer")) == []


def test_records_set_aside_are_listed_with_the_names_of_the_map(company):
    with using_language("ru"):
        report = company.orders([",a,2024-01-01,10.00", *ROWS], "max_rejected_share: 0.5")
        shown = TableView(pd.DataFrame(report.first_rejected))._repr_html_()
    assert ">order_id</td>" in shown
    for header in ("запись", "столбец", "причина", "содержание"):
        assert f">{header}</th>" in shown
    assert not {"record", "column", "content"} & set(latin_words(shown, NAMES))


def test_a_refused_import_says_why_in_russian(company):
    with using_language("ru"), pytest.raises(ImportRefusedError) as problem:
        company.orders(ROWS)
    said = str(problem.value)
    assert "Пришлось бы отложить записей: 1 из 3 (1 × net_revenue: не сумма" in said
    assert "а карта допускает 20,0\u00a0%; первые из них" in said
    assert "Что делать: исправьте файл или карту и загрузите снова;" in said
    assert "снова; из этого файла ничего не загружено." in said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04...", "это книга Excel или zip-архив. Ожидалось: текстовый файл"),
        (b"PAR1...", "впишите в карту «format: parquet»"),
        ("no,client,date,total\n1,Ж,x,1\n".encode("cp1251"), "байт 3 строки 2 — не utf-8"),
        (b"no,client,date\n", "в файле нет столбца total"),
        (b"no,client,date,total\n", "в файле есть заголовок и нет строк"),
        (b'no,client,date,total\n1,"a,2024-01-01,1\n', "CSV испорчен около строки 2"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_in_russian(company, content, words):
    columns = "{order_id: no, customer_id: client, ordered_at: date, net_revenue: total}"
    with using_language("ru"), pytest.raises(FileError) as problem:
        company.load("orders", columns, content)
    assert words in str(problem.value)


@pytest.mark.parametrize(
    ("table", "columns", "line", "words"),
    [
        ("order", "{order_id: no}", "", "неизвестная таблица «order»; может быть, «orders»?"),
        ("orders", "{order_id: no}", "", "для обязательного столбца «net_revenue» таблицы orders"),
        ("orders", "{no: no}", "delimiter: x", "'x' не может разделять поля"),
        ("orders", "{no: no}", "encoding: klingon", "неизвестная кодировка «klingon»"),
        ("orders", "{no: no}", "date_formats: ['%d.%m']", "в «%d.%m» нет года"),
        ("orders", "{no: no}", "max_rejected_share: 2", "нужно не больше 1"),
    ],
)
def test_a_wrong_map_is_refused_in_russian(company, table, columns, line, words):
    path = company.map(table, columns, line)
    with using_language("ru"), pytest.raises(FileError) as problem:
        load_map(path)
    assert words in str(problem.value)


def test_a_folder_without_a_gateway_says_so_in_russian(tmp_path):
    with using_language("ru"), pytest.raises(StoreError) as problem:
        Gateway(tmp_path, currency="RUB").snapshot()
    assert str(problem.value) == (
        f"{tmp_path}: здесь нет шлюза данных. Что делать: загрузите первый файл командой:"
        " crm-lab import MAP FILE."
    )
    assert isinstance(problem.value, CrmLabError)
