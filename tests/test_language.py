"""The current language, sentences, counts, labels; the catalogue as a whole."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime

import pytest
from babel.core import Locale
from babel.numbers import format_currency, format_decimal
from babel.plural import PluralRule
from hypothesis import given
from hypothesis import strategies as st

from crm_lab import formats
from crm_lab.errors import Fault
from crm_lab.language import (
    LANGUAGE_VARIABLE,
    Language,
    current_language,
    label,
    language_of_environment,
    plural_form,
    say,
    say_many,
    set_language,
    using_language,
    word,
)
from tools import messages


def test_english_is_the_language_until_another_is_chosen():
    assert current_language() == "en"
    with using_language("ru"):
        assert current_language() == "ru"
    assert current_language() == "en"


def test_a_language_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="'de' is not one of en, ru"):
        set_language("de")  # type: ignore[arg-type]


def test_the_environment_may_choose(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(LANGUAGE_VARIABLE, "ru")
    assert language_of_environment() == "ru"
    monkeypatch.setenv(LANGUAGE_VARIABLE, "klingon")
    assert language_of_environment() is None


def test_a_sentence_without_values_keeps_its_braces():
    assert say("{not a template}") == "{not a template}"


def test_what_is_not_in_the_catalogue_stays_english():
    with using_language("ru"):
        assert say("Nobody ever translated this, {name}.", name="X") == (
            "Nobody ever translated this, X."
        )
        assert label("column_of_a_person") == "column of a person"


@given(st.integers(min_value=0, max_value=10**9))
def test_russian_plurals_are_those_of_the_unicode_rules(count: int):
    rule: PluralRule = Locale("ru").plural_form
    assert ("one", "few", "many")[plural_form(count, "ru")] == rule(count)


@given(st.integers(min_value=-(10**12), max_value=10**12), st.integers(min_value=0, max_value=4))
def test_russian_numbers_are_written_as_unicode_says(units: int, decimals: int):
    value = units / 10**decimals
    with using_language("ru"):
        ours = formats.number(value, decimals=decimals)
    pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
    theirs = format_decimal(round(value, decimals), format=pattern, locale="ru")
    assert ours == (theirs if float(f"{value:.{decimals}f}") else ours.replace("-", ""))


def test_russian_money_percent_and_dates():
    with using_language("ru"):
        assert formats.money(1234567.4, "RUB") == "1\u00a0234\u00a0567\u00a0₽"
        assert formats.money(12, "USD") == format_currency(
            12, "USD", format="#,##0\u00a0¤", locale="ru", currency_digits=False
        )
        assert formats.percent(0.0512) == "5,1\u00a0%"
        assert formats.day(date(2026, 12, 1)) == "01.12.2026"
        assert formats.minute(datetime(2026, 12, 1, 9, 30)) == "01.12.2026 09:30"
        assert formats.month(date(2026, 12, 1)) == "12.2026"
        assert formats.p_value(0.034) == "0,034"
        assert formats.percent_interval(0.061, 0.02, 0.1) == ("+6,1\u00a0% (от 2,0 до 10,0\u00a0%)")


def test_english_numbers_stay_as_they_are():
    assert formats.money_interval(41_200, 12_300, 70_900, "RUB") == "+41,000 RUB (12,000 to 71,000)"
    assert formats.minute(datetime(2026, 12, 1, 9, 30)) == "2026-12-01 09:30"


def test_counts_take_their_form():
    with using_language("ru"):
        words = [say_many("{count} customer", "{count} customers", n) for n in (1, 2, 5, 21, 1000)]
    assert words == ["1 клиент", "2 клиента", "5 клиентов", "21 клиент", "1\u00a0000 клиентов"]


def test_an_error_says_its_parts_in_russian():
    fault = Fault(found="x", expected="y", where="z", remedy="w")
    with using_language("ru"):
        assert str(fault) == "z: x. Ожидалось: y. Что делать: w."


def test_every_sentence_is_translated_and_keeps_its_placeholders():
    assert [line for language in messages.LANGUAGES for line in messages.faults(language)] == []


def test_threads_speak_each_their_own_language():
    barrier = threading.Barrier(2)

    def spoken(language: Language) -> str:
        with using_language(language):
            barrier.wait(timeout=10)
            text = formats.percent(0.5)
            barrier.wait(timeout=10)
        return text

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(spoken, ["en", "ru"])) == ["50.0 %", "50,0\u00a0%"]


def test_what_is_set_within_a_block_ends_with_it():
    with using_language("ru"):
        set_language("en")
        assert current_language() == "en"
        set_language("ru")
    assert current_language() == "en"


def test_a_code_word_is_found_with_underscores_and_with_spaces():
    with using_language("ru"):
        assert (
            word("consent_event") == label("consent_event") == word("consent event") == "согласия"
        )
        assert word("a_word_of_nobody") == "a_word_of_nobody"
