"""What all contact together brings, in Russian: whole sentences, nothing left in English."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from crm_lab.cards import TableView
from crm_lab.crm_effect import curve_wording as wording
from crm_lab.crm_effect.curve import curve as compare
from crm_lab.crm_effect.curve_results import CurveResult
from crm_lab.crm_effect.economics_results import Economics
from crm_lab.errors import DesignError
from crm_lab.experiments.results import Money
from crm_lab.language import using_language
from crm_lab.plots.curve import plot_attribution, plot_cumulative, plot_money, plot_weekly
from crm_lab.workbench import Workbench
from tests.experiments import shop_workbench as sw
from tests.russian import latin_words

NAMES = ("global-1", "cost_entry", "touchpoint", "delivery_event", "email", "EUR", "p =")


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def curve(finished: Workbench) -> CurveResult:
    with using_language("ru"):
        return compare(
            finished.gateway,
            finished.control_group().epoch(),
            known_until=finished.day_start(finished.last_day() + timedelta(days=1)),
            timezone="UTC",
            rng=np.random.default_rng(1),
            margin_share=0.3,
            permutations=sw.CURVE_PERMUTATIONS,
            decisive_permutations=sw.CURVE_PERMUTATIONS,
        )


@pytest.fixture(scope="module")
def money(finished: Workbench, curve: CurveResult) -> Economics:
    with using_language("ru"):
        return finished.crm_effect().economics(curve)


def with_amount(money: Economics, low: float, high: float, **other: Any) -> Economics:
    amount = Money(estimate=(low + high) / 2, low=low, high=high)
    changed = {"revenue": amount, "margin": None, "net": None, "weeks": 13, "effect": "gain"}
    return dataclasses.replace(money, **(changed | other))


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (
            1_000.0,
            3_000.0,
            "За 13 недель CRM дала дополнительно +2\u00a0000\u00a0€ (от 1\u00a0000 до 3\u00a0000)"
            " выручки; клиентов вне контрольной группы: ",
        ),
        (-3_000.0, -1_000.0, "За 13 недель разница выручки с контрольной группой составила -2"),
        (-1_000.0, 3_000.0, "её может и не быть: интервал включает 0"),
    ],
)
def test_money_is_said_by_its_interval(
    money: Economics, low: float, high: float, words: str
) -> None:
    with using_language("ru"):
        said = with_amount(money, low, high, verdict=wording.MORE_SALES).sentence()
    assert said.startswith("CRM приносит больше продаж. За 13 недель ")
    assert words in said
    assert latin_words(said, NAMES) == []


@pytest.mark.parametrize(
    ("weeks", "words"), [(1, "За 1 неделю"), (3, "За 3 недели"), (21, "За 21 неделю")]
)
def test_weeks_are_counted_in_their_form(weeks: int, words: str) -> None:
    with using_language("ru"):
        assert wording.over_weeks(weeks) == words


def test_every_table_and_card_is_russian(
    finished: Workbench, curve: CurveResult, money: Economics
) -> None:
    with using_language("ru"):
        attribution = finished.crm_effect().attribution(curve)
        frames = (
            curve.weeks_frame(),
            curve.lights_frame(),
            money.money_frame(),
            money.aside_frame(),
            attribution.formulas_frame(),
            attribution.channels_frame(),
            attribution.trend_frame(),
        )
        shown = [TableView(frame)._repr_html_() for frame in frames if len(frame)]
        shown += [result._repr_html_() for result in (curve, money, attribution)]
        shown += [curve.look_note(), curve.next_look(), curve.discount_text()]
        shown += [money.projection_sentence(), money.base_sentence(), money.subtitle()]
    assert len(shown) > 10
    for text in shown:
        assert latin_words(text, NAMES) == []


def test_every_verdict_and_sentence_is_russian(curve: CurveResult, money: Economics) -> None:
    nothing = Money(estimate=math.nan, low=math.nan, high=math.nan)
    with using_language("ru"):
        said = [
            dataclasses.replace(curve, verdict=verdict, label=label).sentence()
            for verdict in wording.VERDICTS
            for label in (wording.RANDOMISED, wording.OBSERVATIONAL)
        ]
        said += [
            with_amount(money, 1.0, 2.0, verdict=verdict).sentence()
            for verdict in (
                wording.PAYS,
                wording.DOES_NOT_PAY,
                wording.PAYS_UNKNOWN,
                wording.FEWER_SALES,
                wording.CANNOT,
            )
        ]
        said += [dataclasses.replace(money, effect=e, goal=9e9).goal_sentence() for e in ("gain",)]
        said += [
            dataclasses.replace(money, costs=(), net=None, roi=None).sentence(),
            dataclasses.replace(money, revenue=nothing, reason="причина").sentence(),
            with_amount(money, 1.0, 2.0, goal=1.0).goal_sentence(),
            with_amount(money, 1.0, 2.0, goal=9e9).goal_sentence(),
        ]
    for text in said:
        assert text
        assert latin_words(text, NAMES) == []


def test_data_for_machines_stay_english(curve: CurveResult, money: Economics) -> None:
    english = money.to_frame()
    with using_language("ru"):
        found = money.to_frame()
        assert curve.to_dict()["verdict"] == "not yet"
        assert money.to_dict()["verdict"] == "Not decided yet"
    pd.testing.assert_frame_equal(found, english)


def test_plots_are_labelled_in_russian(
    finished: Workbench, curve: CurveResult, money: Economics
) -> None:
    with using_language("ru"):
        attribution = finished.crm_effect().attribution(curve)
        drawn = [
            plot_cumulative(curve),
            plot_weekly(curve),
            plot_money(money),
            plot_attribution(attribution),
        ]
    assert drawn[0].get_ylabel() == "прирост выручки на клиента (€)"
    assert drawn[2].get_xlabel() == "€ за 9 недель, интервалы 95\u00a0%"
    for ax in drawn:
        ax.figure.canvas.draw()
        texts = [ax.get_title(loc="left"), ax.get_xlabel(), ax.get_ylabel()]
        texts += [text.get_text() for text in (*ax.texts, *ax.get_yticklabels())]
        assert latin_words("\n".join(texts)) == []


def test_a_wrong_request_is_refused_in_russian(finished: Workbench) -> None:
    effect = finished.crm_effect()
    with using_language("ru"), pytest.raises(DesignError) as problem:
        effect.curve(margin_share=2.0)
    assert str(problem.value) == "доля маржи 2.0. Ожидалось: доля больше 0 и не больше 1."
