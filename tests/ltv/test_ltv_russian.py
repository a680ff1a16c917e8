"""What lifetime value says in Russian."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from crm_lab import ltv
from crm_lab.cards import Result, TableView
from crm_lab.errors import DesignError
from crm_lab.language import using_language
from crm_lab.ltv import PurchaseHistory, Validation, wording
from crm_lab.ltv.cohorts import group_values
from crm_lab.ltv.gate import judge_forecast
from crm_lab.ltv.group_wording import POLICY_WORDS, tier_text
from crm_lab.ltv.health import DataHealth
from crm_lab.ltv.predictions import LifetimePredictions, predict
from crm_lab.ltv.rolling import RollingOrigin, rolling_origin
from crm_lab.ltv.tiers import due_by_tier, value_tiers
from tests.russian import latin_words

LAST_DAY = date(1998, 6, 30)
SPACE = "\u00a0"
NAMES = ("Gamma-Gamma", "lifetimes", "push")


@pytest.fixture(scope="module")
def tests_of_the_past(cdnow: pd.DataFrame) -> RollingOrigin:
    with using_language("ru"):
        return rolling_origin(
            cdnow,
            horizon_days=91,
            as_of=LAST_DAY,
            origins=2,
            currency="USD",
            rng=np.random.default_rng(1),
        )


@pytest.fixture(scope="module")
def predictions(cdnow_history: PurchaseHistory) -> LifetimePredictions:
    ids = cdnow_history.customers["customer_id"]
    past = pd.Series(10.0, index=ids)
    with using_language("ru"):
        return predict(cdnow_history, periods=26, past_value=past, rng=np.random.default_rng(1))


def groups(found: LifetimePredictions) -> Result:
    ids = found.customers["customer_id"]
    label = np.where(np.arange(len(ids)) % 2, "email", "push")
    members = pd.DataFrame({"customer_id": ids, "label": label})
    return group_values(found, members, by="channel", costs={"email": 100.0})


def few(history: PurchaseHistory) -> Result:
    summary = history.customers.head(12)
    return ltv.fit_purchases(ltv.history_from_summary(summary, as_of=history.as_of))


RESULTS: dict[str, Callable[[PurchaseHistory, LifetimePredictions, RollingOrigin], Result]] = {
    "history": lambda history, _, tests: history,
    "too few": lambda history, _, tests: few(history),
    "fit": lambda history, found, tests: found.model,
    "spend": lambda history, found, tests: found.spend_model,
    "cross-check": lambda history, found, tests: ltv.cross_check(found.model, history),
    "predictions": lambda history, found, tests: found,
    "tests": lambda history, found, tests: tests,
    "verdict": lambda history, found, tests: judge_forecast(found, tests),
    "tiers": lambda history, found, tests: value_tiers(found),
    "groups": lambda history, found, tests: groups(found),
    "health": lambda history, found, tests: DataHealth.of(dict.fromkeys(POLICY_WORDS, 3)),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_card_holds_no_english(
    name: str,
    cdnow_history: PurchaseHistory,
    predictions: LifetimePredictions,
    tests_of_the_past: RollingOrigin,
) -> None:
    with using_language("ru"):
        result = RESULTS[name](cdnow_history, predictions, tests_of_the_past)
        assert latin_words(repr(result), NAMES) == []
        assert latin_words(result._repr_html_(), NAMES) == []


def test_tables_beside_the_cards_hold_no_english(
    predictions: LifetimePredictions, tests_of_the_past: RollingOrigin
) -> None:
    due = due_by_tier(predictions, value_tiers(predictions), days=7)
    with using_language("ru"):
        for frame in (tests_of_the_past.errors_table(), tests_of_the_past.tiers, due):
            assert latin_words(TableView(frame)._repr_html_()) == []


def test_a_validation_is_said_whole(cdnow_validation: Validation) -> None:
    with using_language("ru"):
        said = cdnow_validation.sentence().replace(SPACE, " ")
        worth = cdnow_validation.worth().replace(SPACE, " ")
    assert said.startswith("Проверка за 39 недель: ожидалось повторных покупок 1 6")
    assert "произошло 1 882: на 12,1 % ниже факта, " in said
    assert "Правило «каждый покупает в прежнем темпе»: было бы хуже, на 55,7 % выше факта." in said
    assert worth.startswith("При проверке на прошлом (за 39 недель) такой прогноз был на 12,1 %")


@pytest.mark.parametrize(
    ("periods", "unit_days", "said"),
    [
        (1, 7, "1 неделю"),
        (3, 7, "3 недели"),
        (26, 7, "26 недель"),
        (21, 1, "21 день"),
        (3.7, 7, "3,7 недели"),
        (2, 365, "2 года"),
        (12, 30, "12 30-дневных месяцев"),
        (5, 14, "5 периодов по 14 дн."),
    ],
)
def test_a_length_of_time_takes_its_form(periods: float, unit_days: float, said: str) -> None:
    with using_language("ru"):
        assert wording.span(periods, unit_days) == said


def test_a_reason_and_an_error_are_said_in_russian() -> None:
    with using_language("ru"):
        too_few = wording.too_few("repeaters", 1_200, 3_000).replace(SPACE, " ")
        with pytest.raises(DesignError) as caught:
            ltv.history_from_summary(pd.DataFrame({"customer_id": ["a"]}), as_of=LAST_DAY)
    assert too_few == "клиентов с повторной покупкой только 1 200, а нужно не меньше 3 000"
    assert str(caught.value) == (
        "summary: нет столбцов: frequency, recency, age, monetary_value."
        " Ожидалось: customer_id, frequency, recency, age, monetary_value."
    )


def test_tiers_are_english_in_the_data_and_russian_where_they_are_shown(
    predictions: LifetimePredictions,
) -> None:
    with using_language("ru"):
        tiers = value_tiers(predictions, shares=(0.25, 0.75))
        assert [tier.tier for tier in tiers.tiers] == ["best 25 %", "last 75 %"]
        assert tier_text("best 25 %") == f"лучшие 25{SPACE}%"
        ax = tiers.plot()
    assert ax.get_title(loc="left") == "Кто это принесёт?"
    assert ax.get_xlabel() == "доля ожидаемой ценности за 26 недель (%)"
    assert [text.get_text() for text in ax.get_yticklabels()] == [
        f"лучшие 25{SPACE}%",
        f"последние 75{SPACE}%",
    ]
    plt.close(ax.figure)


def test_a_plot_has_russian_texts_and_numbers(cdnow_validation: Validation) -> None:
    with using_language("ru"):
        ax = cdnow_validation.plot()
        legend = ax.get_legend()
        assert legend is not None
        texts = [text.get_text() for text in legend.get_texts()]
    assert ax.get_title() == "Поспевал ли прогноз за тем, что произошло?"
    assert texts == [
        "произошло",
        "модель на тех данных, по которым она подобрана",
        "прогноз",
        f"95{SPACE}% интервал прогноза",
    ]
    plt.close(ax.figure)
