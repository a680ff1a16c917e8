"""What results about the base and its funnels say in Russian."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import pytest

from crm_lab.customers import describe_base
from crm_lab.customers.deals import deal_kinds
from crm_lab.customers.rates import group_rates, left_out_words, month_text, share_text
from crm_lab.errors import DesignError
from crm_lab.language import using_language
from crm_lab.stats import proportion_interval
from tests.russian import latin_words

UNTIL = datetime(2026, 6, 1)


def plain(text: str) -> str:
    """The text with the spaces of a typewriter."""
    return text.replace("\u00a0", " ")


def test_a_base_says_its_size_with_dates_and_money_of_the_language() -> None:
    totals = {
        "customers": 24_630,
        "orders": 144_133,
        "customers_with_orders": 20_000,
        "first_order_at": datetime(2025, 1, 1),
        "last_order_at": datetime(2025, 11, 28),
        "revenue": 4_224_098.5,
        "revenue_known_customer": 2_112_049.25,
        "orders_without_revenue": 0,
        "orders_with_cost": 0,
    }
    months = {"month": pd.to_datetime(["2025-01-01"]), "orders": [7], "buyers": [5]}
    with using_language("ru"):
        base = describe_base(
            company="Школа",
            currency="RUB",
            totals=totals,
            monthly=pd.DataFrame(months | {"new_buyers": [1], "revenue": [10.0]}),
            reach={"messenger": 1_500},
            obstacles={},
            repeaters=2_428,
            chosen_campaigns=pd.DataFrame(),
            imports=pd.DataFrame(),
            snapshot="1",
        )
        said, card = plain(base.sentence()), base._repr_html_()
        readiness = plain(base.readiness_frame().to_string())
    assert said == (
        "Клиентов 24 630, заказов 144 133 с 01.01.2025 по 28.11.2025, выручка 4 224 098 ₽"
        " (с известным клиентом 50,0 %). Доступны для контакта: мессенджер — 1 500."
    )
    assert latin_words(card) == []
    assert "если их меньше 2 000" in readiness
    assert latin_words(readiness, allowed=["analysis", "ready", "why", "True", "False"]) == []


def test_groups_are_compared_in_russian() -> None:
    counts = pd.DataFrame({"group": ["а", "б"], "n": [1_400, 3], "events": [140, 2]})
    with using_language("ru"):
        found = group_rates(
            counts, subject="form", event="выиграли", unit="registrations", alpha=0.05, until=UNTIL
        )
        said = plain(found.sentence())
    assert said == (
        "Всего 1 403 (регистрации); выиграли: 10,1 % (от 8,7 до 11,8 %). Группа, в которой хотя бы"
        " 30, только одна, поэтому сравнивать не с чем. Не сравниваются, потому что в них меньше"
        " 30: б. Наблюдение: разница не является эффектом."
    )


def test_deals_are_counted_by_kind() -> None:
    deals = pd.DataFrame(
        {"kind": ["new"], "deals": [1_200], "won": [3], "lost": [4], "open": [5], "amount_won": 9.0}
    )
    first = pd.DataFrame(
        {"kind": ["new"], "opened_at": [datetime(2026, 1, 1)], "won_at": [pd.NaT]}
    ).assign(won_undated=False)
    with using_language("ru"):
        made = deal_kinds(deals, first, until=UNTIL, days=30, currency="RUB", alpha=0.05)
        said = plain(made.sentence())
    assert said == ("Новые: 1 200, из них заключено 3, сорвано 4, открыто 5. Наблюдение.")


def test_shares_months_and_who_is_left_out() -> None:
    with using_language("ru"):
        few = plain(share_text(proportion_interval(2, 3, alpha=0.05)))
        left_out = plain(left_out_words({"вернулись поздно": 1_387}))
        month = month_text("2026-03")
    assert few == "слишком мало, чтобы сказать: 2 из 3, от 21 до 94 %"
    assert left_out == "Не посчитаны: вернулись поздно — 1 387."
    assert month == "03.2026"
    assert month_text("2026-03") == "2026-03"


def test_a_fault_is_said_in_russian() -> None:
    twice = pd.DataFrame({"group": ["a", "a"], "n": [1, 1], "events": [0, 0]})
    with using_language("ru"), pytest.raises(DesignError) as caught:
        group_rates(twice, subject="form", event="won", unit="customers", alpha=0.05, until=None)
    assert str(caught.value) == "группа встречается дважды. Ожидалось: по одной строке на группу."
