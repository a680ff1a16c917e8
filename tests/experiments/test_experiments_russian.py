"""What experiments, the control group and their plots say in Russian."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from crm_lab.cards import TableView
from crm_lab.errors import DesignError, LedgerError, SpecError
from crm_lab.experiments.calibration_results import Calibration, FalsePositives
from crm_lab.experiments.design import design
from crm_lab.experiments.design_wording import weeks_words
from crm_lab.experiments.metrics import label_of, metric_of
from crm_lab.experiments.overview import Registry
from crm_lab.experiments.registry import record_decision
from crm_lab.experiments.rotation import Independence
from crm_lab.handles.decisions import Decisions
from crm_lab.language import using_language
from crm_lab.plots.calibration import plot_power_curve
from crm_lab.plots.design import plot_sequential
from crm_lab.workbench import Workbench
from tests.russian import latin_words

NAMES = ("strong", "weak", "two-mailings", "Two mailings in spring", "CRM team", "global", "A shop")


@pytest.fixture(autouse=True)
def _russian() -> Iterator[None]:
    with using_language("ru"):
        yield
    plt.close("all")


def plain(text: str) -> str:
    """The text with the spaces of a typewriter."""
    return text.replace("\u00a0", " ")


def calibration(*tests: FalsePositives) -> Calibration:
    return Calibration(
        base="Магазин",
        customers=2_400,
        control_share=0.05,
        draws=1_000,
        alpha=0.05,
        tests=tests,
        share_who_bought=0.1,
        mean_revenue=12.0,
        snapshot="1",
    )


def claims(method: str, *, lifts: int, is_default: bool) -> FalsePositives:
    return FalsePositives(
        metric="revenue per customer",
        method=method,
        draws=1_000,
        lifts=lifts,
        drops=20,
        alpha=0.05,
        is_default=is_default,
    )


def test_a_calibration_says_which_test_keeps_its_promise() -> None:
    found = calibration(
        claims("studentised permutation", lifts=24, is_default=True),
        claims("Welch's t", lifts=80, is_default=False),
    )
    assert plain(found.sentence()) == (
        "Магазин: 1 000 раз отобрана контрольная группа (5,0 %), с которой ничего не делали иначе,"
        " чем с остальными. Тесты, по которым принимаются решения, нашли эффект в такой доле"
        " отборов: выручка на клиента 4,4 %; обещано 5,0 %. Они держат обещание. t-критерий"
        " Уэлча для показателя «выручка на клиента»"
        " обещания не держит: прирост найден в 8,0 % отборов, а обещано 2,5 %."
    )


def test_a_plot_has_its_title_axes_and_legend_in_the_language() -> None:
    ax = calibration(claims("studentised permutation", lifts=24, is_default=True)).plot()
    assert ax.get_title(loc="left") == "Как часто заявляют эффект там, где его нет?"
    assert plain(ax.get_xlabel()) == "доля из 1 000 отборов, в которых ничего не делали"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "обещано для каждого",
        "признан прирост",
        "признано падение",
    ]
    assert [text.get_text() for text in ax.get_yticklabels()] == [
        "выручка на клиента\nстьюдентизированная перестановка"
    ]
    ax.figure.canvas.draw()
    assert any("," in text.get_text() for text in ax.get_xticklabels())


@pytest.mark.parametrize(
    ("weeks", "words"),
    [(1, "1 неделя"), (4, "4 недели"), (13, "13 недель"), (21, "21 неделя"), (2.5, "2,5 недели")],
)
def test_weeks_take_the_form_of_their_number(weeks: float, words: str) -> None:
    assert weeks_words(weeks) == words


def test_a_design_says_what_shows_and_the_way_out() -> None:
    made = design(pd.DataFrame({"orders": [1] * 300 + [0] * 2_700}), control_share=0.05, weeks=4)
    assert plain(made.sentence()) == (
        "С контрольной группой размером 150 было бы видно только изменение показателя «конверсия"
        "» примерно на +85 % (исходное значение 10,0 %, срок 4 недели, вероятность"
        " 80 %). На этой базе увидеть +20 % не позволяет никакая доля контроля (при делении"
        " пополам видно +33 %): объедините похожие кампании (14 кампаний; если держать в контроле"
        " половину, хватит 3)."
    )
    assert latin_words(made._repr_html_()) == []
    assert latin_words(" ".join(made.advice)) == []
    assert made.plot().get_title(loc="left") == "Что увидела бы контрольная группа побольше?"


def test_planned_looks_are_drawn_with_russian_words() -> None:
    shop = pd.DataFrame({"orders": [1] * 300 + [0] * 2_700})
    made = design(shop, control_share=0.05, weeks=4, looks=3)
    assert made.looks is not None
    ax = plot_sequential(made.looks)
    texts = [ax.get_xlabel(), ax.get_ylabel(), ax.get_title(loc="left")]
    assert latin_words(" ".join(texts)) == []
    assert [text.get_text() for text in ax.texts][-1] == "1,99"


@pytest.mark.parametrize(
    ("both", "words"),
    [
        (1, "1 клиент в контрольной группе и в a, и в b"),
        (3, "3 клиента в контрольной группе и в a, и в b"),
        (1_205, "1 205 клиентов в контрольной группе и в a, и в b"),
    ],
)
def test_customers_are_counted_in_three_forms(both: int, words: str) -> None:
    found = Independence(
        old="a", new="b", table=pd.DataFrame(), both=both, expected=2.5, p_value=0.5
    )
    assert plain(found.sentence()) == (
        f"{words}; при независимых отборах ожидается 2,5 (p = 0,5): признаков зависимости нет."
    )


def test_decisions_are_told_with_their_day() -> None:
    taken = {
        "day": "2026-03-01",
        "decision": "cannot conclude",
        "by": "Анна",
        "note": "мало данных.",
    }
    made = Decisions(about="весна", decisions=(taken,))
    assert made.sentence() == (
        "весна: нельзя сделать вывод, решение от 01.03.2026, принял(а) Анна: мало данных."
    )
    assert made.card_frame()["day"].tolist() == ["01.03.2026"]
    assert made.to_dict()["decisions"] == [taken]
    nothing = Decisions(about="весна", decisions=())
    assert nothing.sentence() == "весна: решение ещё не записано."
    assert "ещё не записано" in nothing._repr_html_()
    assert nothing.to_frame()["decision"].tolist() == ["not recorded yet"]


def test_metrics_have_russian_names_and_a_company_keeps_its_own() -> None:
    assert label_of("revenue_per_customer", {}) == "выручка на клиента"
    own = {"second_month": {"label": "купившие во втором месяце", "numerator": "orders"}}
    assert label_of("second_month", own) == "купившие во втором месяце"
    with pytest.raises(SpecError, match="нет показателя «nothing»"):
        metric_of("nothing", {})


def test_an_impossible_design_is_refused_in_russian() -> None:
    frame = pd.DataFrame({"orders": [1, 0, 0, 1, 1]})
    with pytest.raises(DesignError) as refused:
        design(frame, control_share=1.5, weeks=4, eligible=2)
    assert str(refused.value).splitlines() == [
        "control_share: 1.5. Ожидалось: доля между 0 и 1.",
        "2 клиента доступны для контакта. Ожидалось: не меньше 4.",
    ]


def test_an_undrawn_group_and_an_unknown_experiment_say_what_to_do(
    workbench_at: Callable[[str], Workbench],
) -> None:
    workbench = workbench_at("loaded")
    with using_language("ru"), pytest.raises(LedgerError) as undrawn:
        workbench.control_group().status()
    assert str(undrawn.value) == (
        "контрольная группа «global» ещё не отобрана. Что делать: отберите её: crm-lab"
        " control-group draw."
    )
    with using_language("ru"), pytest.raises(LedgerError, match="эксперимент «x» не зарегистр"):
        record_decision(
            workbench.gateway,
            "x",
            decision="ship",
            by="a",
            at=pd.Timestamp("2026-01-01").to_pydatetime(),
            snapshot="1",
        )


RESULTS: dict[str, Callable[[Workbench], Any]] = {
    "status": lambda wb: wb.control_group().status(as_of=_draw(wb)),
    "outlook": lambda wb: wb.control_group().outlook(as_of=_draw(wb)),
    "audit": lambda wb: wb.control_group().audit(),
    "rotation": lambda wb: wb.control_group().rotation(),
    "plan": lambda wb: _experiment(wb).plan(as_of=_draw(wb)),
    "calibration": lambda wb: wb.calibrate(starts_on=date(2024, 3, 1), draws=20),
    "registry": lambda wb: wb.registry(),
    "decisions": lambda wb: _experiment(wb).decision_block(),
}


@pytest.mark.parametrize("name", RESULTS)
def test_no_english_is_left_on_a_card(name: str, finished: Workbench) -> None:
    result = RESULTS[name](finished)
    assert latin_words(result._repr_html_(), allowed=_allowed(finished)) == []
    assert latin_words(repr(result), allowed=_allowed(finished)) == []
    if result.plotter:
        ax = result.plot()
        drawn = [ax.get_title(loc="left"), ax.get_xlabel(), ax.get_ylabel()]
        assert latin_words(" ".join(drawn), allowed=_allowed(finished)) == []
    if isinstance(result, Calibration):
        for frame in (result.power_frame(), result.coverage_frame()):
            assert latin_words(TableView(frame)._repr_html_()) == []
        assert latin_words(plot_power_curve(result).get_ylabel()) == []
    if isinstance(result, Registry):
        assert latin_words(" ".join(result.attention), allowed=_allowed(finished)) == []


def test_no_english_is_left_on_the_page_of_a_campaign(finished: Workbench) -> None:
    result = _experiment(finished).analyze()
    allowed = [*_allowed(finished), *(name.capitalize() for name in _allowed(finished))]
    assert latin_words(result._repr_html_(), allowed=allowed) == []
    for frame in (
        result.money_frame(),
        result.four_numbers_frame(),
        result.evidence_frame(),
        result.lights_frame(),
        result.readings_frame(),
        result.deliveries,
    ):
        assert latin_words(TableView(frame)._repr_html_(), allowed=allowed) == []
    assert result.plot().get_title(loc="left") == (
        "Что принёс каждый вариант и насколько это надёжно?"
    )
    assert result.to_frame().columns[0] == "metric"
    assert result.verdict in ("ship", "stop", "continue", "cannot conclude")


def _experiment(workbench: Workbench) -> Any:
    return workbench.experiment(workbench.experiments()[0])


def _draw(workbench: Workbench) -> Any:
    return workbench.control_group().epoch().opened_at


def _allowed(workbench: Workbench) -> list[str]:
    name = workbench.experiments()[0]
    plan = workbench.experiment(name).registered()
    return [*NAMES, *plan.arms, name, plan.title, plan.owner, np.str_(plan.currency)]
