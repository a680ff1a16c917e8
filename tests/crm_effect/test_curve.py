"""Everybody outside the control group against the group: planted effects, identities, verdicts."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from crm_lab.crm_effect.curve import curve, judge_stability, planned_weeks
from crm_lab.crm_effect.curve_results import CurvePoint, CurveResult
from crm_lab.errors import DesignError, LedgerError
from crm_lab.experiments.assignment import TREATABLE, bucket_of
from crm_lab.experiments.control_group import draw
from crm_lab.experiments.control_group_spec import ControlGroupSpec, StableSpec, load_control_group
from crm_lab.experiments.epochs import DEFAULT_STABLE, epochs
from crm_lab.experiments.fields import CONTROL
from crm_lab.gateway import curves, operations
from crm_lab.simulation.shops import Shop, make_shop, till_file
from crm_lab.stats.effects import Effect, unknown_effect
from crm_lab.workbench import Workbench, open_workbench
from tests.experiments import shop_workbench as sw

DRAWN_AT = datetime(2024, 3, 25)
WEEKS = 13
LIFT = 0.6
SALT, SHARE = "drawn", 0.2
CUSTOMERS = 1_200
PERMUTATIONS = 199
"""Enough for intervals at the 5 % level; each test is about something else than their tails."""
ROUNDING = 1e-6
"""Of sums of a few thousand amounts in money, as doubles."""
ENDS_AT = DRAWN_AT + timedelta(weeks=WEEKS)


def lift_of(customer_id: str) -> float:
    return 0.0 if bucket_of(SALT, customer_id) < SHARE * 10_000 else LIFT


def shop_with(lift: Callable[[str], float] | None) -> Shop:
    return make_shop(
        CUSTOMERS,
        rng=np.random.default_rng(8),
        days=84 + 7 * WEEKS + 3,
        joining_days=20,
        lift=lift,
        lift_from=DRAWN_AT if lift else None,
        shares=sw.nobody_is_an_exception(),
    )


def drawn(folder: Path, shop: Shop, *, lines: str = "", share: float = SHARE) -> Workbench:
    """A workbench around a shop whose control group was drawn, with every order."""
    sw.write_settings(folder, share=share, salt=SALT)
    if lines:
        path = folder / "experiments" / "control_group.yml"
        path.write_text(path.read_text("utf-8") + lines, "utf-8")
    workbench = open_workbench(folder)
    sw.load(workbench, shop)
    workbench.control_group().draw(as_of=DRAWN_AT)
    return workbench


def read(workbench: Workbench, **options: Any) -> CurveResult:
    known = workbench.day_start(workbench.last_day() + timedelta(days=1))
    given = {
        "known_until": known,
        "timezone": "UTC",
        "rng": np.random.default_rng(1),
        "permutations": PERMUTATIONS,
        "decisive_permutations": PERMUTATIONS,
        "file_spec": load_control_group(workbench.settings.experiments_folder),
    }
    return curve(workbench.gateway, workbench.control_group().epoch(), **(given | options))


@pytest.fixture(scope="module")
def lifted(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    return drawn(tmp_path_factory.mktemp("lifted"), shop_with(lift_of))


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    return drawn(tmp_path_factory.mktemp("idle"), shop_with(None))


@pytest.fixture(scope="module")
def gain(lifted: Workbench) -> CurveResult:
    return read(lifted, margin_share=0.3)


@pytest.fixture(scope="module")
def nothing(idle: Workbench) -> CurveResult:
    return read(idle)


@pytest.fixture
def copied(lifted: Workbench, tmp_path: Path) -> Workbench:
    """The workbench with the lift, to be changed."""
    return open_workbench(shutil.copytree(lifted.settings.folder, tmp_path / "copied"))


# the number


def test_the_planted_effect_lies_in_the_interval_and_is_decided(gain: CurveResult) -> None:
    truth = shop_with(None).true_effect(LIFT, days=7 * WEEKS)
    effect = gain.decisive.absolute
    assert effect.low < truth < effect.high
    assert gain.verdict == "gain"
    assert gain.label == "randomised"
    assert len(gain.revenue) == planned_weeks(gain.epoch) == WEEKS


def test_the_estimate_is_that_of_an_analysis_of_covariance(
    lifted: Workbench, gain: CurveResult
) -> None:
    with lifted.gateway.reader() as reader:
        frame = reader.frame(
            operations.outcomes(
                operations.assigned(gain.epoch.scope),
                starts_at=DRAWN_AT,
                ends_at=ENDS_AT,
                pre_starts_at=DRAWN_AT - timedelta(weeks=13),
            )
        )
    is_treated = (frame["variant"] == TREATABLE).astype(float)
    design = sm.add_constant(pd.DataFrame({"treated": is_treated, "pre": frame["pre_revenue"]}))
    fitted = sm.OLS(frame["revenue"], design).fit()
    assert gain.decisive.absolute.estimate == pytest.approx(fitted.params["treated"], rel=1e-9)
    raw = frame.groupby("variant")["revenue"].mean()
    without = read(lifted, pre_weeks=0)
    assert without.decisive.absolute.estimate == pytest.approx(raw[TREATABLE] - raw[CONTROL])
    assert without.variance_reduction == pytest.approx(0.0)


def test_the_cumulative_estimate_is_the_sum_of_the_weeks(gain: CurveResult) -> None:
    for points in (gain.revenue, gain.margin):
        sums = np.cumsum([point.weekly.estimate for point in points])
        found = [point.cumulative.estimate for point in points]
        assert found == pytest.approx(sums, rel=1e-9, abs=ROUNDING)
    last = gain.revenue[WEEKS - 1].cumulative
    assert last == gain.decisive.absolute
    assert gain.total.estimate == pytest.approx(last.estimate * gain.treated)


def test_weeks_follow_each_other_without_a_gap(gain: CurveResult) -> None:
    assert gain.revenue[0].first_day == DRAWN_AT.date() == gain.starts_on
    for before, after in zip(gain.revenue, gain.revenue[1:], strict=False):
        assert after.first_day == before.last_day + timedelta(days=1)
    assert gain.revenue[-1].last_day == gain.decided_after == date(2024, 6, 23)


def test_margin_from_a_share_is_that_share_of_revenue_without_discounts(gain: CurveResult) -> None:
    assert gain.margin_source == "margin share"
    assert gain.decisive_margin is not None
    expected = 0.3 * gain.decisive.absolute.estimate
    assert gain.decisive_margin.absolute.estimate == pytest.approx(expected)


def test_customers_who_were_drawn_together_are_compared_together(
    tmp_path: Path, small_shop: Callable[..., Shop]
) -> None:
    shop = make_shop(
        400,
        rng=np.random.default_rng(4),
        days=84 + 7 * WEEKS + 3,
        joining_days=20,
        shares=dataclasses.replace(sw.nobody_is_an_exception(), shared_household=0.5),
    )
    workbench = drawn(tmp_path / "shop", shop, lines="unit: cluster\n", share=0.4)
    found = read(workbench)
    with workbench.gateway.reader() as reader:
        frame = reader.frame(
            curves.weekly_money(
                curves.first_drawn(found.epoch.scope, opened_at=DRAWN_AT),
                starts_at=DRAWN_AT,
                weeks=WEEKS,
                pre_weeks=13,
                discount_weeks=WEEKS,
            )
        )
    assert len(frame) < frame["customers"].sum() == 400
    assert found.decisive.absolute.n_control == (frame["variant"] == CONTROL).sum()
    revenue = frame[[f"revenue_{week}" for week in range(1, WEEKS + 1)]].sum(axis=1)
    design = sm.add_constant(
        pd.DataFrame(
            {
                "treated": (frame["variant"] == TREATABLE).astype(float),
                "pre": frame["pre_revenue"],
                "size": frame["customers"].astype(float),
            }
        )
    )
    fitted = sm.OLS(revenue / frame["customers"].mean(), design).fit()
    assert found.decisive.absolute.estimate == pytest.approx(fitted.params["treated"], rel=1e-9)
    assert found.treated + found.controls == 400


# stable, or not yet


def test_a_gain_is_stable_and_no_effect_is_not_yet(gain: CurveResult, nothing: CurveResult) -> None:
    assert gain.stability.since is not None
    assert gain.starts_on < gain.stability.since <= gain.decided_after
    assert f"stable since {gain.stability.since}" in gain.sentence()
    assert nothing.verdict == "cannot conclude"
    assert nothing.stability.since is None
    assert "not yet" in nothing.stable_sentence()
    assert nothing.decisive.absolute.low < 0 < nothing.decisive.absolute.high
    assert f"{nothing.controls:,} customers" in nothing.sentence()
    assert nothing.detectable.relative > 0


def points(lows: list[float]) -> tuple[CurvePoint, ...]:
    """A curve with these lower ends; NaN: no interval in that week."""
    found = []
    for week, low in enumerate(lows, start=1):
        sizes = {"n_treatment": 10, "n_control": 10, "alpha": 0.05, "method": "given"}
        effect = unknown_effect("absolute", reason="none", **sizes)
        if not math.isnan(low):
            effect = Effect(
                name="absolute",
                estimate=low + 1,
                low=low,
                high=low + 2,
                p_value=0.5,
                treatment_value=1.0,
                control_value=0.0,
                **sizes,
            )
        day = date(2024, 1, 1) + timedelta(weeks=week)
        found.append(
            CurvePoint(
                week=week,
                first_day=day - timedelta(weeks=1),
                last_day=day - timedelta(days=1),
                weekly=effect,
                cumulative=effect,
            )
        )
    return tuple(found)


@pytest.mark.parametrize(
    ("lows", "weeks", "minimum", "stable_week", "held"),
    [
        ([], 4, 0.0, None, 0),
        ([1, 1, 1], 4, 0.0, None, 3),
        ([1, 1, 1, 1], 4, 0.0, 4, 4),
        ([-1, 1, 1, 1, 1, 1], 4, 0.0, 5, 4),
        ([1, 1, 1, 1, -1, 1, 1], 4, 0.0, None, 3),
        ([1, 1, 1, 1, -1, 1, 1, 1, 1], 4, 0.0, 9, 4),
        ([1, 1, 1, 1, 0], 4, 0.0, None, 3),
        ([1, 1, math.nan, 1, 1], 3, 0.0, None, 2),
        ([1, 3, 3], 2, 2.0, 3, 2),
        ([1], 1, 0.0, 1, 1),
    ],
)
def test_the_rule_needs_an_unbroken_run_to_the_last_week(
    lows: list[float], weeks: int, minimum: float, stable_week: int | None, held: int
) -> None:
    curve_points = points(lows)
    found = judge_stability(curve_points, weeks=weeks, minimum=minimum)
    expected = None if stable_week is None else curve_points[stable_week - 1].last_day
    assert found.since == expected
    assert found.held == held
    assert found.looks == min(len(lows), weeks)


FALSE_STABLE_LIMIT = 0.03
"""Measured 2.5 % of 200,000 curves; the Monte Carlo error of 20,000 is 0.11 points."""


@pytest.mark.slow
def test_with_no_effect_the_rule_seldom_says_stable() -> None:
    rng = np.random.default_rng(1)
    runs = 20_000
    walks = rng.normal(size=(runs, WEEKS)).cumsum(axis=1)
    lows = walks - 1.959964 * np.sqrt(np.arange(1, WEEKS + 1))
    above = lows > 0
    at_the_end = above[:, -4:].all(axis=1).mean()
    ever = np.zeros(runs, dtype=bool)
    for week in range(4, WEEKS + 1):
        ever |= above[:, week - 4 : week].all(axis=1)
    assert at_the_end < 0.025
    assert ever.mean() < FALSE_STABLE_LIMIT


# what cannot be concluded


def test_before_the_planned_week_nothing_is_decided(lifted: Workbench) -> None:
    found = read(lifted, known_until=DRAWN_AT + timedelta(weeks=9, days=3))
    assert found.verdict == "not yet"
    assert found.weeks == len(found.revenue) == 9
    assert "9 of 13 planned weeks" in found.sentence()
    assert "2024-06-23" in found.sentence()


def test_showing_more_or_fewer_weeks_changes_no_decision(
    lifted: Workbench, gain: CurveResult
) -> None:
    few = read(lifted, weeks=5, margin_share=0.3)
    assert len(few.revenue) == 5
    assert few.decisive == gain.decisive
    assert few.verdict == gain.verdict
    short = dataclasses.replace(lifted.control_group().epoch(), planned_horizon_days=28)
    known = lifted.day_start(lifted.last_day() + timedelta(days=1))
    more = curve(
        lifted.gateway,
        short,
        known_until=known,
        timezone="UTC",
        rng=np.random.default_rng(1),
        weeks=8,
        permutations=PERMUTATIONS,
        decisive_permutations=PERMUTATIONS,
    )
    assert (len(more.revenue), more.planned_weeks, more.weeks) == (8, 4, 4)
    assert more.revenue[3].cumulative == more.decisive.absolute


def test_no_whole_week_is_said(lifted: Workbench) -> None:
    found = read(lifted, known_until=DRAWN_AT + timedelta(days=6))
    assert found.verdict == "not yet"
    assert found.revenue == ()
    assert math.isnan(found.decisive.absolute.estimate)
    assert "No whole week" in found.sentence()
    assert found.number() == ""
    assert found.to_frame().empty


def test_a_control_group_of_one_customer_concludes_nothing(tmp_path: Path) -> None:
    shop = make_shop(
        12,
        rng=np.random.default_rng(2),
        days=84 + 7 * WEEKS + 3,
        joining_days=0,
        orders_per_customer_day=1 / 5,
        shares=sw.nobody_is_an_exception(),
    )
    sw.write_settings(tmp_path / "tiny", salt=SALT)
    workbench = open_workbench(tmp_path / "tiny")
    sw.load(workbench, shop)
    only = pd.Series(["c000001"])
    spec = load_control_group(workbench.settings.experiments_folder)
    draw(workbench.gateway, spec, as_of=DRAWN_AT, uploaded=only)
    found = read(workbench)
    assert found.controls == 1
    assert found.verdict == "cannot conclude"
    assert math.isnan(found.decisive.absolute.estimate)
    assert "one unit" in found.sentence()
    assert found.label == "observational"
    assert "observational" in found.sentence()


def test_a_failed_check_takes_verdict_and_stability_away(copied: Workbench) -> None:
    controls = sorted(sw.people(copied, "epoch:global-1", CONTROL))
    folder = copied.settings.folder
    (folder / "maps" / "sends.yml").write_text(
        "table: send\nsource_system: x\nfiles: 'sends*.csv'\ncolumns:\n  send_id: id\n"
        "  campaign_id: campaign\n  customer_id: who\n  scheduled_at: at\n",
        "utf-8",
    )
    rows = [f"{n},spring,{who},2024-04-10 09:00:00" for n, who in enumerate(controls)]
    (folder / "incoming" / "sends.csv").write_text("\n".join(["id,campaign,who,at", *rows]))
    (folder / "maps" / "campaigns.yml").write_text(
        "table: campaign\nsource_system: x\nfiles: 'camp*.csv'\ncolumns:\n  campaign_id: id\n",
        "utf-8",
    )
    (folder / "incoming" / "camp.csv").write_text("id\nspring\n")
    copied.import_file(folder / "maps" / "campaigns.yml", folder / "incoming" / "camp.csv")
    report = copied.import_file(folder / "maps" / "sends.yml", folder / "incoming" / "sends.csv")
    assert report.rows_loaded == len(controls)
    found = read(copied)
    assert found.is_broken
    assert found.verdict == "cannot conclude"
    assert found.stability.since is None
    assert "contamination" in found.sentence()
    assert found.decisive.absolute.low > 0  # the number alone would have said otherwise


def test_an_epoch_that_ended_early_is_not_decided(copied: Workbench) -> None:
    group = copied.control_group()
    path = copied.settings.experiments_folder / "control_group.yml"
    path.write_text(path.read_text("utf-8").replace(SALT, "another"), "utf-8")
    open_workbench(copied.settings.folder).control_group().draw(
        as_of=DRAWN_AT + timedelta(weeks=6), new_epoch=True
    )
    first = group.epochs()[0]
    known = copied.day_start(copied.last_day() + timedelta(days=1))
    found = curve(
        copied.gateway,
        first,
        known_until=known,
        timezone="UTC",
        rng=np.random.default_rng(1),
        permutations=PERMUTATIONS,
        decisive_permutations=PERMUTATIONS,
    )
    assert found.weeks == 6
    assert found.verdict == "cannot conclude"
    effect = open_workbench(copied.settings.folder).crm_effect(epoch="global-1")
    assert effect.epoch.epoch_id == "global-1"


def test_newcomers_are_counted_and_left_out(copied: Workbench, gain: CurveResult) -> None:
    folder = copied.settings.folder
    later = make_shop(
        50,
        rng=np.random.default_rng(9),
        starts_at=DRAWN_AT,
        days=14,
        joining_days=1,
        shares=sw.nobody_is_an_exception(),
        id_prefix="n",
    )
    sw.load(copied, later, name="_later")
    copied.control_group().draw(as_of=DRAWN_AT + timedelta(days=15))
    found = read(open_workbench(folder))
    assert found.newcomers == 50
    assert (found.treated, found.controls) == (gain.treated, gain.controls)
    assert found.decisive.absolute.estimate == pytest.approx(gain.decisive.absolute.estimate)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weeks": 0}, "0 weeks"),
        ({"weeks": 261}, "261 weeks"),
        ({"pre_weeks": -1}, "-1 weeks before the draw"),
        ({"margin_share": 0.0}, "a margin share of 0.0"),
        ({"margin_share": 1.1}, "a margin share of 1.1"),
        ({"alpha": 1.0}, "alpha"),
    ],
)
def test_impossible_requests_are_refused(
    idle: Workbench, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(DesignError, match=words):
        read(idle, **options)


# margin


def test_cost_of_goods_counts_only_where_every_order_has_it(copied: Workbench) -> None:
    folder = copied.settings.folder
    orders = till_file(shop_with(lift_of).orders)
    orders["goods"] = (orders["total"].astype(float) * 0.6).map("{:.2f}".format)
    maps = folder / "maps" / "orders.yml"
    maps.write_text(maps.read_text("utf-8") + "  cost: goods\n", "utf-8")
    file = folder / "incoming" / "orders.csv"
    orders.to_csv(file, index=False)
    copied.import_file(maps, file)
    found = read(copied, margin_share=0.9)
    assert found.margin_source == "cost of goods"
    assert found.decisive_margin is not None
    expected = 0.4 * found.decisive.absolute.estimate
    assert found.decisive_margin.absolute.estimate == pytest.approx(expected, rel=1e-4)
    orders.loc[orders.index[-1], "goods"] = ""
    in_window = orders["ordered_at"] < f"{ENDS_AT:%Y-%m-%d}"
    orders.loc[in_window & (orders.index % 2 == 0), "goods"] = ""
    orders.to_csv(file, index=False)
    copied.import_file(maps, file)
    gaps = read(copied)
    assert gaps.margin_source == "not known"
    assert gaps.margin == ()
    assert gaps.total_margin is None
    assert "of the orders only" in gaps.margin_note
    assert read(copied, margin_share=0.3).margin_source == "margin share"


# the rule and the ledger


def test_the_stable_rule_of_the_file_is_kept_by_the_draw(tmp_path: Path) -> None:
    shop = make_shop(
        60,
        rng=np.random.default_rng(1),
        days=100,
        joining_days=20,
        shares=sw.nobody_is_an_exception(),
    )
    lines = "stable: {weeks: 2, minimum: 5.5}\n"
    workbench = drawn(tmp_path / "shop", shop, lines=lines)
    epoch = workbench.control_group().epoch()
    assert (epoch.stable_weeks, epoch.stable_minimum) == (2, 5.5)
    (entry,) = workbench.gateway.entries(kind="epoch_opened")
    assert entry.payload["stable"] == {"weeks": 2, "minimum": 5.5}
    path = workbench.settings.experiments_folder / "control_group.yml"
    path.write_text(path.read_text("utf-8").replace(lines, ""), "utf-8")
    found = open_workbench(workbench.settings.folder).crm_effect().curve()
    assert found.stability.weeks == 2
    (rule,) = [light for light in found.lights if light.name == "Plan followed"]
    assert rule.tone == "unsure"
    assert "stable" in rule.detail
    assert "above 5.50 EUR" in found.stable_sentence()


def test_an_epoch_from_before_there_was_a_rule_has_the_default(idle: Workbench) -> None:
    class Old:
        def entries(self, *, kind: str) -> list[Any]:
            found = idle.gateway.entries(kind=kind)  # type: ignore[arg-type]
            for entry in found:
                entry.payload.pop("stable", None)
            return found

    (epoch,) = epochs(Old())  # type: ignore[arg-type]
    assert (epoch.stable_weeks, epoch.stable_minimum) == (
        DEFAULT_STABLE.weeks,
        DEFAULT_STABLE.minimum,
    )
    assert ControlGroupSpec(salt="x").stable == StableSpec() == DEFAULT_STABLE


def test_the_handle_gives_what_the_function_gives_and_knows_its_epochs(
    idle: Workbench, nothing: CurveResult
) -> None:
    effect = idle.crm_effect()
    found = effect.curve(weeks=2)
    assert found.decisive.absolute.estimate == nothing.decisive.absolute.estimate
    assert len(found.revenue) == 2
    assert effect.decisions()["decision"].tolist() == ["not recorded yet"]
    with pytest.raises(LedgerError, match="there is no epoch 'global-7'"):
        idle.crm_effect(epoch="global-7")


def test_a_decision_is_kept_with_who_and_on_which_data(copied: Workbench) -> None:
    effect = copied.crm_effect()
    effect.decide("continue", by="Head of CRM", note="again in autumn", as_of=ENDS_AT)
    (row,) = effect.decisions().to_dict("records")
    expected = {"day": "2024-06-24", "decision": "continue", "by": "Head of CRM"}
    assert row == expected | {"note": "again in autumn"}
    assert copied.gateway.verify() == []
    with pytest.raises(DesignError, match="'ship' is no decision"):
        effect.decide("ship", by="Head of CRM")  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="nobody is named"):
        effect.decide("stop", by=" ")


# how it shows itself


def test_the_result_is_data_a_sentence_and_a_card(gain: CurveResult) -> None:
    data = gain.to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    frame = gain.to_frame()
    assert len(frame) == 2 * 2 * WEEKS
    assert set(frame["metric"]) == {"revenue", "margin"}
    assert "+" in gain.number()
    assert gain.number() in gain.sentence()
    assert len(gain.lights_frame()) == 5
    assert len(gain.weeks_frame()) == WEEKS
    html = gain._repr_html_()
    assert "<script" not in html
    assert ">nan<" not in html.lower()
