"""The pace of a month: verdicts, what the rest must bring, and what cannot be said."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from crm_lab.cards import TableView
from crm_lab.experiments.results import Money
from crm_lab.headlines import without_verdict
from crm_lab.language import using_language
from crm_lab.planning import pacing_wording as wording
from crm_lab.planning.league import LeagueTable, build_league
from crm_lab.planning.levers import closes, judge_base, missing_after, per_recipient
from crm_lab.planning.monthly_plan import MonthlyPlanSpec
from crm_lab.planning.pace import Pace
from crm_lab.planning.pacing import build_pace
from crm_lab.planning.plan_revisions import MonthlyPlan
from crm_lab.planning.readouts import Measured, Readout
from crm_lab.plots.pacing import plot_pace
from tests.russian import latin_words

TODAY = date(2024, 5, 16)
PER_DAY = 1_000.0
ACTIVITIES = {
    "wave-1": {"day": "2024-05-04", "mechanic": "reminder", "recipients": 900, "expected": 900.0},
    "wave-2": {"day": "2024-05-20", "mechanic": "discount", "recipients": 1000, "expected": 5.0},
    "wave-3": {"day": "2024-05-28", "recipients": 3000, "expected": 5.0},
}


def plan(target: float, **other: object) -> MonthlyPlan:
    given: dict[str, object] = {
        "month": "2024-05",
        "target": target,
        "owner": "o",
        "activities": ACTIVITIES,
        "acquisition_channels": {"context": 0.75, "media": 0.25},
    }
    spec = MonthlyPlanSpec.model_validate(given | other)
    return MonthlyPlan(
        spec=spec, written=spec, revisions=(), file_sha256=hashlib.sha256(b"").hexdigest()
    )


def sales(
    last: str = "2024-05-15", *, noise: float = 0.05, first: str = "2023-10-01"
) -> pd.DataFrame:
    days = pd.date_range(first, last)
    rng = np.random.default_rng(6)
    revenue = PER_DAY * (1 + noise * rng.normal(size=len(days)))
    return pd.DataFrame(
        {
            "day": days,
            "revenue": revenue,
            "orders": np.round(revenue / 10),
            "known_revenue": 0.8 * revenue,
            "known_orders": np.round(0.8 * revenue / 10),
        }
    )


def league(per_customer: Mapping[str, float], *, error: float = 0.2) -> LeagueTable:
    readouts = []
    for place, name in enumerate([*per_customer] * 4):
        starts_at = datetime(2023, 1, 1) + timedelta(days=28 * place)
        effect = per_customer[name] + 0.01 * (-1) ** place
        readouts.append(
            Readout(
                experiment=f"e{place}",
                mechanic=name,
                channel="email",
                send_mode="",
                starts_at=starts_at,
                ends_at=starts_at + timedelta(days=28),
                customers=1_000,
                controls=1_000,
                control=f"e{place}",
                relative=Measured(estimate=0.1, standard_error=0.1),
                amount=Measured(estimate=effect, standard_error=error),
            )
        )
    return build_league(readouts, measure="amount", currency="EUR")


def pace(target: float, *, daily: pd.DataFrame | None = None, **options: object) -> Pace:
    given = {"today": TODAY, "currency": "EUR"} | options
    return build_pace(plan(target), sales() if daily is None else daily, **given)  # type: ignore[arg-type]


def test_verdicts_follow_the_interval() -> None:
    assert pace(28_000).verdict == "on plan"
    assert pace(34_000).verdict == "behind"
    between = pace(31_000)
    assert between.verdict == "cannot tell"
    assert 0.05 < between.probability < 0.95
    assert between.forecast.low < 31_000 < between.forecast.high


def test_sentences_say_verdict_gap_and_interval() -> None:
    behind = pace(34_000)
    text = behind.sentence()
    assert text.startswith("Behind. 2024-05 should end at ")
    assert behind.money(behind.gap) in text
    assert behind.gap.estimate == pytest.approx(34_000 - behind.forecast.total)
    assert behind.gap.low == pytest.approx(34_000 - behind.forecast.high)
    assert "from each of 4,000 recipients" in text
    assert wording.NO_LEVERS in text
    assert pace(28_000).sentence().startswith("On plan")
    assert pace(31_000).sentence().startswith("Cannot tell")


def test_what_activities_to_come_must_bring_adds_up_to_the_gap() -> None:
    found = pace(34_000)
    assert [item.state for item in found.activities] == ["not measured", "to come", "to come"]
    need = found.need_per_recipient
    assert need is not None
    assert need.estimate * 4_000 == pytest.approx(found.gap.estimate)
    assert sum(item.needed.estimate for item in found.to_come) == pytest.approx(found.gap.estimate)
    assert found.activities[2].verdict == "not known"
    shown = found.activities_frame()["by experiments (randomised)"]
    assert shown.iloc[1] == "to come; nothing of its kind was measured"


def test_expected_by_now_is_the_part_of_a_usual_month() -> None:
    even = pace(31_000, daily=sales(noise=0.0))
    assert even.expected_by_now == pytest.approx(15_000)
    assert even.daily["planned"].sum() == pytest.approx(31_000)
    assert even.known_share == pytest.approx(0.8)


def test_a_lever_is_its_effect_times_who_can_be_reached_and_the_days_left() -> None:
    table = league({"discount": 8.0, "reminder": 1.0})
    found = pace(34_000, league=table, reachable={"email": 2_000})
    lever = found.levers[0]
    each = per_recipient(table, "discount", days_left=16)
    assert each is not None
    assert lever.mechanic == "discount"
    assert lever.per_customer == each
    assert each.estimate == pytest.approx(8.0 * 16 / 28, rel=0.05)
    assert lever.total.estimate == pytest.approx(2_000 * each.estimate)
    assert per_recipient(table, "quiz", days_left=16) is None
    assert per_recipient(table, "", days_left=16) is None
    assert found.base == "can"
    assert "discount alone should bring" in found.sentence()
    wave = found.activities[1]
    assert wave.foreseen is not None
    assert wave.foreseen.estimate == pytest.approx(1_000 * 8.0 * 12 / 28, rel=0.05)


def test_what_the_base_cannot_give_must_come_from_other_tools() -> None:
    table = league({"discount": 1.0, "reminder": 0.5})
    found = pace(60_000, league=table, reachable={"email": 2_000})
    assert found.base == "cannot"
    left = found.gap.estimate - found.levers[0].total.estimate
    assert found.remainder.estimate == pytest.approx(left)
    assert sum(part.estimate for part in found.split.values()) == pytest.approx(left)
    assert found.split["context"].estimate == pytest.approx(0.75 * left)
    assert "must come from other tools: context" in found.sentence()
    assert len(found.split_frame()) == 2
    unsure = pace(34_000, league=league({"discount": 2.0}, error=4.0), reachable={"email": 2_000})
    assert unsure.base == "cannot tell"
    assert unsure.split == {}
    assert "cannot be said" in unsure.sentence()


def test_measured_activities_show_what_their_experiment_found() -> None:
    named = ACTIVITIES | {"wave-1": ACTIVITIES["wave-1"] | {"experiment": "e1"}}
    money = Money(estimate=700.0, low=100.0, high=1_300.0)

    def state(measured: dict[str, Money | None]) -> str:
        found = build_pace(
            plan(31_000, activities=named),
            sales(),
            today=TODAY,
            currency="EUR",
            measured=measured,
        )
        shown = str(found.activities_frame().iloc[0]["by experiments (randomised)"])
        return f"{found.activities[0].state}: {shown}"

    assert state({"wave-1": money}) == "measured: brought +700 EUR (100 to 1,300)"
    assert state({"wave-1": None}) == "being measured: sent; its window is not over"
    assert state({}).startswith("not measured")


def test_a_month_that_is_over_is_judged_by_its_fact() -> None:
    daily = sales("2024-06-03", noise=0.0)
    reached = pace(31_000, daily=daily, today=date(2024, 6, 4))
    assert (reached.verdict, reached.forecast.days_ahead) == ("on plan", 0)
    assert "is over" in reached.sentence()
    missed = pace(32_000, daily=daily, today=date(2024, 6, 4))
    assert missed.verdict == "behind"
    assert "of the planned" in missed.sentence()


def test_old_data_and_no_data_are_said() -> None:
    stale = pace(31_000, daily=sales("2024-05-10"))
    assert stale.stale_days == 5
    assert any("Orders are known until 2024-05-10" in line for line in stale.assumptions())
    assert pace(31_000).stale_days == 0
    short = pace(31_000, daily=sales(first="2024-04-20"))
    assert short.verdict == "cannot tell"
    assert "cannot be foreseen" in short.sentence()
    assert short.number() == ""
    none = pace(31_000, daily=sales().iloc[:0])
    assert none.verdict == "cannot tell"
    assert math.isnan(none.known_share)
    assert wording.NOT_BEGUN in none.sentence()
    assert none.backtest_sentence() == wording.NO_BACKTEST


def test_today_is_not_over() -> None:
    assert pace(31_000, daily=sales("2024-05-16")).known_until == date(2024, 5, 15)


def test_the_same_forecast_is_compared_with_past_months() -> None:
    found = pace(31_000)
    assert list(found.backtest["month"]) == ["2024-04", "2024-03", "2024-02", "2024-01"]
    facts = sales().set_index("day")["revenue"]
    assert found.backtest["fact"].iloc[0] == pytest.approx(facts["2024-04"].sum())
    assert "4 past months" in found.backtest_sentence()


def test_orders_are_paced_without_levers() -> None:
    found = build_pace(
        plan(4_000, metric="orders"),
        sales(),
        today=TODAY,
        currency="EUR",
        league=league({"discount": 8.0}),
        reachable={"email": 2_000},
    )
    assert found.levers == ()
    assert "orders" in found.number_label()
    assert wording.LEVERS_IN_MONEY in found.sentence()


def test_gaps_and_levers_both_have_errors() -> None:
    brings = Money(estimate=10.0, low=7.0, high=13.0)
    gap = Money(estimate=6.0, low=2.0, high=10.0)
    left = missing_after(brings, gap)
    assert (left.estimate, left.low, left.high) == (-4.0, -9.0, 1.0)
    assert closes(brings, gap) == "cannot tell"
    assert closes(brings, Money(estimate=-1.0, low=-2.0, high=0.0)) == "not needed"
    assert closes(None, gap) == "not known"
    unknown = Money(estimate=math.nan, low=math.nan, high=math.nan)
    assert closes(brings, unknown) == judge_base((), unknown) == "cannot tell"
    assert judge_base((), gap) == "not known"


@pytest.mark.parametrize("target", [28_000, 31_000, 34_000])
def test_results_show_themselves(target: float) -> None:
    found = pace(
        target, league=league({"discount": 8.0, "reminder": 1.0}), reachable={"email": 2_000}
    )
    assert without_verdict(found.sentence(), found.verdict) in found._repr_html_()
    assert found.to_dict()["verdict"] == found.verdict
    assert len(found.to_frame()) == 1
    assert len(found.levers_frame()) == 2
    assert len(found.backtest_frame()) == 4
    axes = plot_pace(found)
    assert axes.get_title(loc="left") == "Will 2024-05 reach its plan?"
    plt.close(axes.figure)
    plt.close(plot_pace(pace(target, daily=sales().iloc[:0])).figure)


NAMES = ("discount", "reminder", "wave-1", "wave-2", "wave-3", "context", "media")


@pytest.mark.parametrize("target", [28_000, 31_000, 34_000])
def test_a_month_is_said_in_russian(target: float) -> None:
    with using_language("ru"):
        found = pace(
            target, league=league({"discount": 8.0, "reminder": 1.0}), reachable={"email": 2_000}
        )
        frames = (
            found.activities_frame(),
            found.levers_frame(),
            found.split_frame(),
            found.backtest_frame(),
        )
        said = [found._repr_html_(), found.plan.sentence(), found.backtest_sentence()]
        said += [found.base_sentence(), found.subtitle(), *found.assumptions()]
        said += [TableView(frame)._repr_html_() for frame in frames if len(frame)]
        begins = ("По плану.", "Нельзя сказать.", "Отставание.")[(28, 31, 34).index(target // 1000)]
        assert found.sentence().startswith(f"{begins} Итог за 05.2024 должен составить 30\u00a05")
        axes = plot_pace(found)
    assert axes.get_title(loc="left") == "Будет ли выполнен план на 05.2024?"
    axes.figure.canvas.draw()
    assert "20\u00a0000" in [text.get_text() for text in axes.get_yticklabels()]
    plt.close(axes.figure)
    assert found.to_frame().loc[0, ["month", "verdict"]].tolist() == ["2024-05", found.verdict]
    for text in said:
        assert latin_words(text, NAMES) == []


def test_the_top_of_the_page_is_the_forecast_beside_the_plan() -> None:
    found = pace(31_000)
    (number,) = found.headline_numbers()
    assert (number.estimate, number.reference) == (found.forecast.total, 31_000)
    assert number.text() in found.number().replace(" EUR", "")
    assert (number.label, number.note) == (
        "2024-05 by the forecast, EUR",
        "The plan is 31,000 EUR.",
    )
    assert found.subtitle() == "2024-05, orders known until 2024-05-15"
    assert pace(31_000, daily=sales().iloc[:0]).headline_numbers() == ()


@pytest.mark.parametrize(
    ("orders", "words"), [(1, "1 заказ"), (1_003, "1\u00a0003 заказа"), (11, "11 заказов")]
)
def test_orders_are_counted_in_their_form(orders: int, words: str) -> None:
    found = build_pace(plan(4_000, metric="orders"), sales(), today=TODAY, currency="EUR")
    with using_language("ru"):
        assert found.text(orders) == words


@pytest.mark.parametrize(("count", "words"), [(1, "один раз"), (3, "3 раза"), (5, "5 раз")])
def test_revisions_are_counted_in_their_form(count: int, words: str) -> None:
    with using_language("ru"):
        assert wording.times(count) == words
