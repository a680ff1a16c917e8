"""What targeting says in Russian."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.language import using_language
from crm_lab.uplift import (
    Economics,
    best_cut,
    calibrate_effects,
    compare_rankings,
    curve_bands,
    group_profile,
    policy_value,
    rank_quality,
    sorted_effects,
    uplift_curve,
)
from crm_lab.uplift.allocation import Option, allocate
from crm_lab.uplift.arm_effects import ArmTrial, arm_effects
from crm_lab.uplift.cross_fitting import cross_fit_all, make_folds
from crm_lab.uplift.drift import Reference, drift
from crm_lab.uplift.features import Features
from crm_lab.uplift.league import league
from crm_lab.uplift.learners import ResponseModel, TLearner
from crm_lab.uplift.leave_alone import leave_alone
from crm_lab.uplift.one_feature import OneFeatureRule
from crm_lab.uplift.pieces import linear_models
from crm_lab.uplift.segment_effects import segment_effects
from crm_lab.uplift.trial import Trial
from crm_lab.uplift.verdict import judge
from crm_lab.uplift.wording import group_text, method_text, name_text
from tests.russian import latin_words

N = 4_000
AT = datetime(2024, 5, 1)
MONEY = Economics(margin=1.0, contact_cost=1.0, currency="RUB")
NAMES = ("to_frame()", "north", "south", "push", "DR", "Uplift")
SPACE = "\u00a0"


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def people() -> pd.DataFrame:
    region = rng().choice(["north", "south"], N)
    return pd.DataFrame({"region_code": region, "orders_year": rng().integers(0, 40, N)})


def trial(effect: float = 6.0) -> Trial:
    drawn = np.random.default_rng(11)
    is_treated = drawn.random(N) < 0.5
    reacts = (people()["region_code"] == "south").to_numpy()
    spend = drawn.gamma(2.0, 2.0, N) + effect * (is_treated & reacts)
    return Trial(outcome=spend, is_treated=is_treated, probability=0.5, metric="revenue")


def score() -> np.ndarray:
    return (people()["region_code"] == "south").to_numpy() + 0.001 * people()["orders_year"]


def ranked() -> Result:
    folds = make_folds(trial(), rng=rng(), folds=3, repeats=1)
    learners = [
        TLearner(models=linear_models()),
        ResponseModel(models=linear_models()),
        OneFeatureRule(feature="region_code"),
    ]
    features = Features.of(people(), known_at=AT)
    fitted = cross_fit_all(learners, features, trial(), folds=folds, rng=rng(), drawn_at=AT)
    return league(fitted, trial(), alpha=0.05, rng=rng(), permutations=199)


def by_segment() -> Result:
    features = Features.of(people(), known_at=AT)
    return segment_effects(
        features, trial(), economics=MONEY, alpha=0.05, rng=rng(), permutations=199
    )


def by_arm() -> Result:
    labels = people()["region_code"].to_numpy()
    arms = {"push": ArmTrial(trial=trial(), segments=labels, economics=MONEY)}
    return arm_effects(arms, alpha=0.05, rng=rng(), permutations=199)


def changed() -> Result:
    before = people()
    after = before.assign(orders_year=before["orders_year"] * 3)
    return drift(Reference.of(before, score()), after, score())


def dealt() -> Result:
    options = [Option(name="push", cost=1.0), Option(name="email", cost=2.0)]
    return allocate(np.full((30, 2), 5.0), options, budget=20.0, currency="RUB")


SETTINGS = {"alpha": 0.05, "permutations": 199}
RESULTS: dict[str, Callable[[], Result]] = {
    "target": lambda: judge(trial(), score() >= 1, economics=MONEY, rng=rng(), **SETTINGS),
    "everyone": lambda: judge(
        trial(6.0), np.ones(N), economics=Economics(currency="RUB"), rng=rng(), **SETTINGS
    ),
    "nobody": lambda: judge(trial(-3.0), score() >= 1, economics=MONEY, rng=rng(), **SETTINGS),
    "value": lambda: policy_value(trial(), score() >= 1, economics=MONEY, rng=rng(), **SETTINGS),
    "cut": lambda: best_cut(
        trial(), score(), economics=MONEY, rng=rng(), repetitions=2, **SETTINGS
    ),
    "sorted": lambda: sorted_effects(trial(), score(), rng=rng(), **SETTINGS),
    "calibration": lambda: calibrate_effects(trial(), 6.0 * score(), rng=rng(), **SETTINGS),
    "rank": lambda: rank_quality(trial(), score(), rng=rng(), **SETTINGS),
    "ranks": lambda: compare_rankings(
        trial(), score(), people()["orders_year"], rng=rng(), **SETTINGS
    ),
    "bands": lambda: curve_bands(trial(), score(), alpha=0.05, rng=rng(), replicates=50),
    "curve": lambda: uplift_curve(trial(), score()),
    "profile": lambda: group_profile(people(), score(), rng=rng(), **SETTINGS),
    "alone": lambda: leave_alone(trial(), score() >= 1, economics=MONEY, rng=rng(), **SETTINGS),
    "league": ranked,
    "segments": by_segment,
    "arms": by_arm,
    "drift": changed,
    "allocation": dealt,
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_card_holds_no_english(name: str) -> None:
    with using_language("ru"):
        result = RESULTS[name]()
        assert latin_words(repr(result), NAMES) == []
        assert latin_words(result.number(), NAMES) == []
        assert latin_words(result._repr_html_(), NAMES) == []


@pytest.mark.parametrize("name", [name for name in RESULTS if RESULTS[name]().plotter])
def test_a_plot_holds_no_english(name: str) -> None:
    with using_language("ru"):
        ax = RESULTS[name]().plot()
        ax.figure.canvas.draw()
        texts = [ax.get_title(), ax.get_title(loc="left"), ax.get_xlabel(), ax.get_ylabel()]
        texts += [text.get_text() for text in (*ax.get_xticklabels(), *ax.get_yticklabels())]
        legend = ax.get_legend()
        texts += [text.get_text() for text in legend.get_texts()] if legend else []
    plt.close(ax.figure)
    assert latin_words(" ".join(texts), NAMES) == []


def test_a_verdict_and_its_numbers_are_said_whole() -> None:
    with using_language("ru"):
        found = RESULTS["target"]()
        said, number = found.sentence().replace(SPACE, " "), found.number().replace(SPACE, " ")
        assert found.number_label() == "Прибыль при обращении к отобранным"
    assert said.startswith("Таргетинг: обращаться только к отобранным. Обращение к отобранным (1 9")
    assert " из 4 000 клиентов) приносит +" in said
    assert "; по сравнению с обращением ко всем это +" in said
    assert " ₽ (от " in number


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ("up to 1,200", f"до 1{SPACE}200"),
        ("below 0.5", "меньше 0,5"),
        ("3 or more", "3 и больше"),
        ("above 7", "больше 7"),
        ("1 to 2.5", "от 1 до 2,5"),
        ("0.5", "0,5"),
        ("missing", "нет данных"),
        ("north to south", "north to south"),
    ],
)
def test_a_group_is_said_where_it_is_shown(group: str, said: str) -> None:
    with using_language("ru"):
        assert group_text(group) == said


def test_names_of_rules_and_methods_are_said_part_by_part() -> None:
    with using_language("ru"):
        assert name_text("T, linear (revenue)") == "T, линейная модель (выручка)"
        assert name_text("rule: region_code") == "правило: регион"
        said = method_text("weighting by the known chance; whatever else")
    assert said == "взвешивание по известной вероятности; whatever else"


def test_an_error_is_said_in_russian() -> None:
    with using_language("ru"), pytest.raises(DesignError) as caught:
        Trial(outcome=[1.0, 2.0], is_treated=[True, False], probability=1.0)
    assert str(caught.value) == (
        "вероятность воздействия пропущена, не больше 0 или не меньше 1. Ожидалось: вероятности"
        " строго между 0 и 1: кто не мог попасть в оба варианта, ничего не говорит об эффекте."
        " Что делать: исключите единицы, которые не могли получить воздействие или не могли"
        " остаться без него."
    )
