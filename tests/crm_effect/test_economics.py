"""Money of the comparison with the control group: each thing counted once, each formula by hand."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from crm_lab.crm_effect import curve_wording as wording
from crm_lab.crm_effect.curve_results import CurveResult
from crm_lab.crm_effect.economics import (
    cost_lines,
    economics,
    planned_margin_share,
    registered_plans,
)
from crm_lab.crm_effect.economics_results import Economics, plus, times
from crm_lab.errors import DesignError
from crm_lab.experiments.plan import Plan
from crm_lab.experiments.results import Money
from crm_lab.workbench import Workbench
from tests.experiments import shop_workbench as sw

WINDOW = {"starts_at": datetime(2024, 5, 1), "ends_at": datetime(2024, 6, 1)}
COLUMNS = ["campaign_id", "kind", "amount"]
COSTS = "id,campaign,day,kind,amount\n"


@pytest.fixture(scope="module")
def curve() -> CurveResult:
    return sw.nine_weeks()


@pytest.fixture(scope="module")
def plan(finished: Workbench) -> Plan:
    return registered_plans(finished.gateway)[sw.NAME]


@pytest.fixture(scope="module")
def money(finished: Workbench, curve: CurveResult) -> Economics:
    return finished.crm_effect().economics(curve)


def decided(curve: CurveResult, *, low: float = 10.0, high: float = 30.0) -> CurveResult:
    """The same curve as if its planned weeks had passed, with another interval."""

    def moved(comparison: Any, part: float) -> Any:
        effect = dataclasses.replace(
            comparison.absolute,
            estimate=part * (low + high) / 2,
            low=part * low,
            high=part * high,
        )
        return dataclasses.replace(comparison, absolute=effect)

    verdict = "gain" if low > 0 else ("loss" if high < 0 else "cannot conclude")
    assert curve.decisive_margin is not None
    return dataclasses.replace(
        curve,
        verdict=verdict,
        planned_weeks=len(curve.revenue),
        decisive=moved(curve.decisive, 1.0),
        decisive_margin=moved(curve.decisive_margin, 0.3),
    )


def entries(*rows: tuple[str | None, str, float]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=COLUMNS)


def sent(**messages: int) -> pd.DataFrame:
    rows = list(messages.items())
    return pd.DataFrame(rows, columns=["campaign_id", "messages"])


def lines(*arguments: Any, **options: Any) -> tuple[dict[tuple[str, bool], float], int]:
    """Amount by kind and by whether it is taken off, whatever its source."""
    found, uncosted = cost_lines(*arguments, **WINDOW, **options)
    amounts: dict[tuple[str, bool], float] = {}
    for line in found:
        key = (line.kind, line.is_counted)
        amounts[key] = amounts.get(key, 0.0) + line.amount
    return amounts, uncosted


# costs


def test_every_kind_is_added_up_and_others_are_set_aside() -> None:
    given = entries(
        ("a", "message", 10.0),
        (None, "message", 5.0),
        ("a", "points", 7.0),
        ("a", "discount", 100.0),
        (None, "media", 50.0),
        ("b", "acquisition", 60.0),
    )
    found, uncosted = lines(given, sent(a=3), {})
    assert found == {
        ("message", True): 15.0,
        ("points", True): 7.0,
        ("discount", False): 100.0,
        ("media", False): 50.0,
        ("acquisition", False): 60.0,
    }
    assert uncosted == 0
    again, _ = lines(given, sent(a=3), {}, discounts_in_revenue=False)
    assert again["discount", True] == 100.0


def test_a_plan_counts_where_the_entries_know_nothing(plan: Plan) -> None:
    plans = {"a": plan}
    assert (plan.cost_per_message, plan.cost_fixed) == (0.5, 100.0)
    found, uncosted = lines(entries(), sent(a=40), plans)
    assert found == {("message", True): 20.0, ("fixed", True): 100.0}
    assert uncosted == 0
    found, _ = lines(entries(("a", "message", 8.0), ("a", "labour", 9.0)), sent(a=40), plans)
    assert found == {("message", True): 8.0, ("labour", True): 9.0}
    found, _ = lines(entries((None, "message", 8.0)), sent(a=40), plans)
    assert found == {("message", True): 8.0, ("fixed", True): 100.0}
    found, _ = lines(entries(("b", "message", 8.0)), sent(a=40, b=1), plans)
    assert found["message", True] == pytest.approx(8.0 + 20.0)


def test_messages_without_any_cost_are_counted(plan: Plan) -> None:
    free = dataclasses.replace(plan, cost_per_message=0.0, cost_fixed=0.0)
    found, uncosted = lines(entries(), sent(a=40, b=2), {"a": free})
    assert found == {}
    assert uncosted == 42


def test_a_plan_that_starts_outside_brings_no_fixed_cost(plan: Plan) -> None:
    late = dataclasses.replace(plan, starts_at=WINDOW["ends_at"])
    found, _ = lines(entries(), sent(), {"a": late})
    assert found == {}


def test_the_margin_share_of_the_plans_counts_where_they_agree(plan: Plan) -> None:
    window = {"starts_at": plan.starts_at, "ends_at": plan.ends_at}
    other = dataclasses.replace(plan, margin_share=0.5)
    without = dataclasses.replace(plan, margin_share=None)
    before = dataclasses.replace(other, ends_at=plan.starts_at)
    assert planned_margin_share({"a": plan, "b": without, "c": before}, **window) == 0.3
    assert planned_margin_share({"a": plan, "b": other}, **window) is None
    assert planned_margin_share({"b": without}, **window) is None


# formulas


def test_every_amount_follows_its_formula(finished: Workbench, curve: CurveResult) -> None:
    found = economics(finished.gateway, decided(curve))
    t, c = found.treated, found.controls
    assert (t, c) == (curve.treated, curve.controls)
    assert found.outlay > 0
    assert found.margin == Money(estimate=6.0 * t, low=3.0 * t, high=9.0 * t)
    assert found.holdout.estimate == pytest.approx(6.0 * c)
    assert found.holdout.low == pytest.approx(3.0 * c)
    assert found.net is not None
    for end, each in (("estimate", 6.0), ("low", 3.0), ("high", 9.0)):
        assert getattr(found.net, end) == pytest.approx(each * (t - c) - found.outlay)
    assert found.roi is not None
    assert found.roi.estimate == pytest.approx(found.net.estimate / found.outlay)
    assert found.share.high == pytest.approx(30.0 * t / found.company_revenue)
    with finished.gateway.reader() as reader:
        sold = reader.one(
            "select cast(sum(net_revenue) as double) as total from orders where"
            f" ordered_at >= timestamp '{sw.DRAWN_AT}' and status is distinct from 'cancelled'"
            f" and ordered_at < timestamp '{sw.DRAWN_AT + timedelta(weeks=curve.weeks)}'"
        )
    assert found.company_revenue == pytest.approx(sold["total"])
    assert 0 < found.known_revenue < found.company_revenue


def test_the_costs_of_the_shop_are_those_of_its_plan(money: Economics, plan: Plan) -> None:
    assert money.messages > 0
    assert money.uncosted_messages == 0
    amounts = {line.kind: line.amount for line in money.costs}
    assert amounts == {"message": pytest.approx(0.5 * money.messages), "fixed": plan.cost_fixed}
    assert {line.source for line in money.costs} == {wording.FROM_PLANS}


def test_cost_entries_of_the_base_take_the_place_of_the_plan(
    workbench_at: Callable[[str], Workbench], curve: CurveResult
) -> None:
    workbench = workbench_at("finished")
    folder = workbench.settings.folder
    (folder / "maps" / "costs.yml").write_text(
        "table: cost_entry\nsource_system: x\nfiles: 'costs*.csv'\ncolumns:\n  cost_id: id\n"
        "  campaign_id: campaign\n  spent_on: day\n  kind: kind\n  amount: amount\n",
        "utf-8",
    )
    rows = [
        f"1,{sw.NAME},2024-05-02,message,12.34",
        "2,,2024-05-02,labour,100.00",
        "3,,2024-05-02,discount,5.00",
        "4,,2023-01-01,labour,999.00",
    ]
    file = folder / "incoming" / "costs.csv"
    file.write_text(COSTS + "\n".join(rows), "utf-8")
    workbench.import_file(folder / "maps" / "costs.yml", file)
    found = workbench.crm_effect().economics(curve)
    assert found.outlay == pytest.approx(112.34)
    assert found.aside_frame()["cost"].tolist() == ["discounts"]
    assert found.aside_frame()["why it is not taken off"].tolist() == [wording.NOTE_DISCOUNT]
    with_discounts = workbench.crm_effect().economics(curve, discounts_in_revenue=False)
    assert with_discounts.outlay == pytest.approx(117.34)


# what is said


def test_a_very_large_return_is_said_in_times_of_the_costs(money: Economics) -> None:
    def said(roi: float) -> str:
        ratio = Money(estimate=roi, low=0.9 * roi, high=1.1 * roi)
        frame = dataclasses.replace(money, roi=ratio).card_frame()
        return str(frame.set_index("what").loc["ROI", "amount"])

    assert said(0.5) == "50 % (45 to 55 %)"
    assert said(470.0) == "470 (423 to 517) × the costs"


def test_the_card_leaves_the_steps_to_the_calculation(money: Economics) -> None:
    assert money.card_frame()["what"].tolist() == [
        "incremental revenue",
        "incremental margin",
        money.money_frame()["what"].iloc[-3],
        "ROI",
        "evidence",
    ]
    assert money.lights


def test_it_pays_only_when_the_whole_interval_says_so(
    finished: Workbench, curve: CurveResult
) -> None:
    def verdict(low: float, high: float) -> str:
        return economics(finished.gateway, decided(curve, low=low, high=high)).verdict

    assert verdict(10.0, 30.0) == wording.PAYS
    assert verdict(0.01, 30.0) == wording.PAYS_UNKNOWN
    assert verdict(-9.0, 30.0) == wording.CANNOT
    assert verdict(0.01, 0.02) == wording.DOES_NOT_PAY
    assert verdict(-9.0, 0.02) == wording.DOES_NOT_PAY
    assert verdict(-9.0, -3.0) == wording.FEWER_SALES


def test_before_the_planned_week_the_money_is_so_far(money: Economics) -> None:
    assert money.verdict == wording.NOT_YET
    assert money.sentence().startswith(f"{wording.NOT_YET}.")
    assert "9 of 13 planned weeks are known" in money.sentence()
    assert "so far" in money.number_label()
    assert money.projection_sentence() == wording.NO_PROJECTION["not yet"]


def test_without_margin_or_costs_the_page_says_so(
    finished: Workbench, curve: CurveResult, money: Economics
) -> None:
    note = {"decisive_margin": None, "margin": (), "margin_note": wording.MARGIN_UNKNOWN}
    unknown = economics(finished.gateway, dataclasses.replace(decided(curve), **note))
    assert unknown.net is None
    assert unknown.roi is None
    assert unknown.verdict == wording.MORE_SALES
    assert "Margin is not known" in unknown.sentence()
    assert unknown.number_label().startswith("Incremental revenue")
    shown = unknown.money_frame().set_index("what")["amount"]
    assert shown[wording.ROW_NET] == wording.UNKNOWN_MARGIN
    no_costs = dataclasses.replace(money, costs=(), net=None, roi=None)
    assert wording.NO_COSTS in no_costs.sentence()
    assert no_costs.number_label().startswith("Incremental margin")
    some = dataclasses.replace(money, uncosted_messages=7)
    assert "The cost of 7 messages is not known" in some.sentence()
    assert some.number_label().startswith("Left after the known costs")


def test_a_failed_check_gives_no_number(money: Economics) -> None:
    broken = dataclasses.replace(money, broken=("contamination",), verdict=wording.CANNOT)
    assert broken.number() == ""
    assert "contamination" in broken.sentence()
    assert not broken.is_projected


def test_nothing_known_yet_is_said(finished: Workbench) -> None:
    effect = finished.crm_effect()
    early = effect.curve(as_of=sw.DRAWN_AT + timedelta(days=3))
    found = effect.economics(early)
    assert math.isnan(found.revenue.estimate)
    assert found.number() == ""
    assert wording.NO_WEEK_REASON in found.sentence()
    assert found.money_frame()["amount"].notna().all()
    assert "n/a" in found.base_sentence()


# the company


def test_a_year_is_projected_only_from_a_randomised_gain(
    finished: Workbench, curve: CurveResult
) -> None:
    found = economics(finished.gateway, decided(curve))
    assert found.is_projected
    said = found.projection_sentence()
    assert said.startswith("Extrapolated to a year")
    assert "after costs" in said
    assert found.per_year == pytest.approx(365.25 / (7 * found.weeks))
    chosen = dataclasses.replace(found, label=wording.OBSERVATIONAL)
    assert chosen.projection_sentence() == wording.NO_PROJECTION["gain"]
    unsure = economics(finished.gateway, decided(curve, low=0.01))
    assert wording.PROJECTION_NET_OPEN in unsure.projection_sentence()


def test_a_goal_beyond_the_known_base_is_handed_to_other_tools(
    finished: Workbench, curve: CurveResult
) -> None:
    def said(goal: float | None) -> str:
        return economics(finished.gateway, decided(curve), goal=goal).goal_sentence()

    found = economics(finished.gateway, decided(curve))
    most = found.revenue.high * found.per_year
    assert said(None) == ""
    assert "other tools: media, context advertising" in said(3 * most)
    assert "lies within" in said(0.5 * most)
    early = economics(finished.gateway, curve, goal=1.0)
    assert "cannot be said" in early.goal_sentence()
    with pytest.raises(DesignError, match="a goal of 0"):
        economics(finished.gateway, curve, goal=0)


def test_multiplying_by_a_negative_factor_turns_the_ends_around() -> None:
    money = Money(estimate=2.0, low=1.0, high=4.0)
    assert times(money, -2.0) == Money(estimate=-4.0, low=-8.0, high=-2.0)
    assert plus(money, -3.0) == Money(estimate=-1.0, low=-2.0, high=1.0)


def test_the_result_is_data_a_sentence_and_a_card(money: Economics) -> None:
    data = money.to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert isinstance(money.starts_on, date)
    html = money._repr_html_()
    assert ">nan<" not in html.lower()
    evil = dataclasses.replace(money, currency="<script>")._repr_html_()
    assert "<script" not in evil
    assert money.to_frame().columns.tolist() == ["what", "estimate", "low", "high", "how"]
