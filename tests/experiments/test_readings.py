"""Looks, guardrails, segments, clusters, strata and further readings: who may conclude what."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crm_lab.errors import DesignError
from crm_lab.experiments.analysis import analyze_arm
from crm_lab.experiments.control_group_spec import ControlGroupSpec
from crm_lab.experiments.estimators import RowEstimator
from crm_lab.experiments.lights import plan_light
from crm_lab.experiments.looks import current_look, nominal_alphas
from crm_lab.experiments.outcomes import Outcomes, Window
from crm_lab.experiments.plan import Plan, resolve
from crm_lab.experiments.readings import read_arm
from crm_lab.experiments.results import ArmResult
from crm_lab.experiments.segments import read_segment
from crm_lab.experiments.spec import AdjustSpec, ArmSpec, ExperimentSpec, LooksSpec, MetricsSpec
from crm_lab.stats import group_sequential

START = datetime(2024, 5, 1)
PERMUTATIONS = 999
THREE_LOOKS = LooksSpec(at=(0.25, 0.5, 1.0))
# Two runs of 999 splits differ by this much of an interval's width.
PERMUTED = 0.15


def plan_of(**changes: Any) -> Plan:
    spec = ExperimentSpec(
        name="x",
        title="t",
        hypothesis="h",
        owner="o",
        starts_on=date(2024, 5, 1),
        ends_on=date(2024, 5, 28),
        pre_period_days=0,
        arms={"a": ArmSpec(share=1.0, message="m")},
    )
    changed = spec.model_copy(update=changes)
    return resolve(changed, ControlGroupSpec(salt="s"), timezone="UTC", currency="EUR")


def frame_of(treated: int, control: int, *, seed: int = 1, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = treated + control
    revenue = np.where(rng.random(n) < 0.4, rng.lognormal(3, 0.8, n), 0.0)
    variant = np.array(["a"] * treated + ["control"] * control)
    revenue = revenue + np.where((variant == "a") & (revenue > 0), shift, 0.0)
    return pd.DataFrame(
        {
            "customer_id": [f"c{i}" for i in range(n)],
            "unit_id": [f"c{i}" for i in range(n)],
            "variant": variant,
            "revenue": revenue,
            "orders": (revenue > 0).astype(int),
            "pre_revenue": 0.0,
            "pre_orders": 0,
        }
    )


def estimator_of(plan: Plan, frame: pd.DataFrame, **options: Any) -> RowEstimator:
    return RowEstimator(
        plan=plan,
        outcomes=Outcomes.from_frame(plan, frame),
        permutations=PERMUTATIONS,
        **options,
    )


def analyzed(plan: Plan, frame: pd.DataFrame, *, days: float = 28, **options: Any) -> ArmResult:
    look = current_look(plan, plan.starts_at + timedelta(days=days))
    return analyze_arm(
        estimator_of(plan, frame, **options), "a", rng=np.random.default_rng(5), look=look
    )


# --- looks ---------------------------------------------------------------------------------------


def test_each_look_has_the_error_rate_that_the_plan_spends_there() -> None:
    plan = plan_of(looks=THREE_LOOKS)
    bounds = group_sequential((0.25, 0.5, 1.0), alpha=0.05, power=0.8)
    assert nominal_alphas(plan) == pytest.approx(bounds.nominal_p)
    assert nominal_alphas(plan_of()) == (0.05,)


@pytest.mark.parametrize(
    ("day", "number", "share", "is_final"),
    [(0, 0, 0, False), (3, 0, 3 / 28, False), (7, 1, 0.25, False), (10, 1, 0.25, False),
     (14, 2, 0.5, False), (27, 3, 1.0, True), (90, 3, 1.0, True)],
)  # fmt: skip
def test_the_last_planned_look_that_the_data_have_reached_counts(
    day: int, number: int, share: float, is_final: bool
) -> None:
    look = current_look(plan_of(looks=THREE_LOOKS), START + timedelta(days=day))
    assert (look.number, look.is_final) == (number, is_final)
    assert look.share == pytest.approx(share)
    assert look.is_planned == (number > 0)


def test_without_orders_there_is_no_look() -> None:
    look = current_look(plan_of(looks=THREE_LOOKS), None)
    assert not look.is_planned
    assert look.share == 0


def test_an_early_look_ships_a_large_effect_and_goes_on_with_a_small_one() -> None:
    plan = plan_of(looks=THREE_LOOKS)
    large = analyzed(plan, frame_of(4_000, 1_000, shift=60), days=14)
    assert large.verdict == "ship"
    assert large.primary.absolute.alpha == pytest.approx(nominal_alphas(plan)[1])
    small = analyzed(plan, frame_of(4_000, 1_000), days=14)
    assert small.verdict == "continue"


def test_a_peek_decides_nothing_however_large_the_effect() -> None:
    result = analyzed(plan_of(looks=THREE_LOOKS), frame_of(4_000, 1_000, shift=60), days=3)
    assert result.primary.absolute.low > 0
    assert result.verdict == "continue"


def test_a_peek_is_called_so() -> None:
    plan = plan_of()
    until = plan.starts_at + timedelta(days=7)
    light = plan_light(plan, plan, until, look=current_look(plan, until), drawn_at=plan.starts_at)
    assert light.tone == "unsure"
    assert "a peek outside the plan, 25 % of the window passed" in light.detail


def test_looks_that_do_not_rise_to_the_end_are_refused() -> None:
    with pytest.raises(ValueError, match="does not rise to 1"):
        LooksSpec(at=(0.5, 0.4, 1.0))


def test_a_late_draw_moves_the_start_and_is_told() -> None:
    plan = plan_of(pre_period_days=28)
    drawn = plan.starts_at + timedelta(days=2)
    window = Window.of(plan, assigned_at=drawn)
    assert window.starts_at == drawn
    assert window.pre_ends_at == plan.starts_at
    light = plan_light(
        plan, plan, plan.ends_at, look=current_look(plan, plan.ends_at), drawn_at=drawn
    )
    assert "drawn on 2024-05-03, after the start" in light.detail


def test_covariates_end_before_the_draw() -> None:
    plan = plan_of(pre_period_days=28)
    window = Window.of(plan, assigned_at=plan.starts_at - timedelta(days=5))
    assert window.pre_ends_at == plan.starts_at - timedelta(days=5)
    assert window.pre_ends_at - window.pre_starts_at == timedelta(days=28)


# --- guardrails ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "state"), [(0.05, "passed"), (0.0, "kept"), (0.01, "cannot tell")]
)
def test_a_guardrail_with_a_limit_judges_the_level_of_the_arm(share: float, state: str) -> None:
    plan = plan_of(metrics=MetricsSpec(guardrails=("unsubscribe_rate",)))
    frame = frame_of(2_000, 500, shift=60)
    frame["unsubscribes"] = (np.arange(2_500) < 2_000 * share).astype(int)
    result = analyzed(plan, frame)
    (guardrail,) = result.guardrails
    assert guardrail.state == state
    assert result.verdict == ("stop" if state == "passed" else "ship")


def test_a_guardrail_without_a_limit_compares_with_the_control() -> None:
    plan = plan_of(
        metrics=MetricsSpec(
            primary="conversion", secondary=(), guardrails=("revenue_per_customer",)
        )
    )
    frame = frame_of(4_000, 1_000, shift=-12)
    (guardrail,) = analyzed(plan, frame).guardrails
    assert guardrail.limit is None
    assert guardrail.state == "passed"


def test_a_metric_that_should_fall_ships_when_it_falls() -> None:
    plan = plan_of(metrics=MetricsSpec(primary="days_to_first_order", secondary=()))
    frame = frame_of(4_000, 1_000)
    rng = np.random.default_rng(2)
    waited = rng.uniform(0, 40, 5_000) - np.where(frame["variant"] == "a", 8, 0)
    frame["days_to_first_order"] = np.where(waited < 28, np.maximum(waited, 0), np.nan)
    result = analyzed(plan, frame)
    assert result.primary.absolute.high < 0
    assert result.verdict == "ship"


# --- clusters, strata, costs ---------------------------------------------------------------------


def test_units_that_were_drawn_together_are_compared_as_one() -> None:
    frame = frame_of(2_000, 1_000)
    rng = np.random.default_rng(3)
    households = np.concatenate([np.arange(2_000) // 20, 1_000 + np.arange(1_000) // 20])
    frame["revenue"] += rng.normal(0, 30, 2_000)[households]  # a household spends alike
    single = analyzed(plan_of(), frame).primary.absolute
    frame["unit_id"] = [f"h{n}" for n in households]
    together = analyzed(plan_of(), frame).primary.absolute
    assert together.estimate == pytest.approx(single.estimate)
    assert together.high - together.low > 2 * (single.high - single.low)
    assert "cluster" in together.method


def test_shares_and_ratios_of_clusters_are_wider_too() -> None:
    frame = frame_of(2_000, 1_000)
    households = np.concatenate([np.arange(2_000) // 20, 1_000 + np.arange(1_000) // 20])
    bought = np.random.default_rng(4).random(2_000)[households] < 0.3
    frame["orders"] = bought.astype(int)
    frame["revenue"] = frame["revenue"].clip(lower=5) * bought
    widths = {}
    for unit in ("single", "household"):
        if unit == "household":
            frame["unit_id"] = [f"h{n}" for n in households]
        for metric in ("conversion", "average_order_value"):
            plan = plan_of(metrics=MetricsSpec(primary=metric, secondary=()))
            effect = analyzed(plan, frame).primary
            widths[unit, metric] = effect.absolute.high - effect.absolute.low
            assert effect.scale == ("share" if metric == "conversion" else "number")
    assert widths["household", "conversion"] > 2 * widths["single", "conversion"]


def test_strata_take_out_what_they_explain() -> None:
    frame = frame_of(3_000, 1_000)
    is_heavy = np.random.default_rng(5).random(4_000) < 0.5
    frame["revenue"] += np.where(is_heavy, 200.0, 0.0)
    plain = analyzed(plan_of(), frame)
    strata = pd.Series(np.where(is_heavy, "heavy", "light"), dtype=str)
    split = analyzed(plan_of(adjust=AdjustSpec(strata=("value",))), frame, strata=strata)
    assert split.variance_reduction > 0.8
    width = split.primary.absolute.high - split.primary.absolute.low
    assert width < 0.5 * (plain.primary.absolute.high - plain.primary.absolute.low)


def test_a_covariate_that_says_nothing_changes_nothing() -> None:
    frame = frame_of(3_000, 1_000)
    plain = analyzed(plan_of(), frame).primary.absolute
    frame["pre_revenue"] = 7.0
    adjusted = analyzed(plan_of(pre_period_days=28), frame)
    assert adjusted.primary.absolute.estimate == pytest.approx(plain.estimate)
    assert adjusted.variance_reduction == pytest.approx(0, abs=1e-9)
    width = plain.high - plain.low
    assert adjusted.primary.absolute.low == pytest.approx(plain.low, abs=PERMUTED * width)


def test_costs_of_a_metric_enter_the_net_effect_with_their_spread() -> None:
    metrics = {
        "discounts": {"numerator": "discount", "cost": 1.0, "label": "discount given"},
    }
    plan = replace(
        plan_of(metrics=MetricsSpec(secondary=("conversion",))),
        margin_share=0.5,
        definitions=metrics,
        secondary_metrics=("discounts",),
    )
    frame = frame_of(3_000, 1_000)
    frame["discount"] = np.where(frame["variant"] == "a", 4.0, 0.0)
    result = analyzed(plan, frame)
    assert result.net_total is not None
    expected = 0.5 * result.primary.absolute.estimate * 3_000 - 4.0 * 3_000
    assert result.net_total.estimate == pytest.approx(expected)


# --- segments ------------------------------------------------------------------------------------


def segment(frame: pd.DataFrame, labels: Any) -> Any:
    estimator = estimator_of(plan_of(), frame)
    return read_segment(
        estimator,
        pd.Series(labels, index=frame.index, dtype=str),
        segment="value",
        arm="a",
        alpha=0.05,
        rng=np.random.default_rng(6),
    )


def test_groups_that_react_differently_are_told_apart() -> None:
    frame = frame_of(6_000, 3_000)
    is_first = np.arange(9_000) % 2 == 0
    frame["revenue"] += np.where(is_first & (frame["variant"] == "a"), 15.0, 0.0)
    reading = segment(frame, np.where(is_first, "first", "second"))
    assert reading.differs
    assert "It holds after adjustment for their number in: first." in reading.sentence()
    shown = reading.to_frame().set_index("group")
    raw, drawn = shown.loc["first", "estimate"], shown.loc["first", "shrunken"]
    assert 0 < drawn < raw


def test_groups_of_no_effect_are_drawn_to_their_mean_and_nothing_is_named() -> None:
    frame = frame_of(6_000, 1_000)
    reading = segment(frame, [f"g{i % 8}" for i in range(7_000)])
    assert not reading.differs
    assert "In no single group" in reading.sentence()
    shown = reading.to_frame()
    assert shown["shrunken"].std() < 0.7 * shown["estimate"].std()


def test_a_group_that_is_too_small_has_a_reason() -> None:
    frame = frame_of(6_000, 1_000)
    labels = np.where(np.arange(7_000) % 1_000 == 3, "few", "many")
    shown = segment(frame, labels).to_frame().set_index("group")
    assert np.isnan(shown.loc["few", "estimate"])
    assert shown.loc["few", "reason"] == "fewer than 30 customers on one side"


def test_a_segment_that_was_not_planned_is_refused() -> None:
    from crm_lab.workbench import open_workbench
    from tests.experiments import shop_workbench as sw

    result = open_workbench(sw.STAGES["finished"]()).experiment(sw.NAME).analyze(seed=1)
    with pytest.raises(DesignError, match="no segment is planned"):
        result.by("value")


# --- further readings ----------------------------------------------------------------------------


def readings(frame: pd.DataFrame, reached: list[str], **options: Any) -> Any:
    plan = plan_of()
    look = current_look(plan, plan.starts_at + timedelta(days=options.pop("days", 28)))
    estimator = estimator_of(plan, frame)
    rng = np.random.default_rng(7)
    primary = analyze_arm(estimator, "a", rng=rng, look=look).primary
    chosen = {"touched_share": 0.0} | options
    return primary, read_arm(estimator, "a", primary, reached, look=look, rng=rng, **chosen)


def test_the_effect_on_those_reached_comes_from_the_effect_as_assigned() -> None:
    frame = frame_of(3_000, 1_000, shift=20)
    reached = [f"c{i}" for i in range(0, 3_000, 2)]
    primary, found = readings(frame, reached)
    assert found.complier.reached_treatment == pytest.approx(0.5)
    assert found.complier.estimate == pytest.approx(2 * primary.absolute.estimate)
    assert found.complier.intention_to_treat.absolute.estimate == pytest.approx(
        primary.absolute.estimate
    )


def test_touched_controls_are_undone_on_paper_only() -> None:
    primary, found = readings(frame_of(3_000, 1_000, shift=20), [], touched_share=0.2)
    assert found.complier is None
    assert found.diluted.estimate == pytest.approx(primary.absolute.estimate / 0.8)


def test_a_bayesian_reading_names_its_prior() -> None:
    _, found = readings(frame_of(3_000, 1_000, shift=20), [])
    assert found.bayesian.probability_better > 0.99
    assert "prior" in found.bayesian.sentence()


def test_where_less_is_better_nothing_is_called_probably_better() -> None:
    plan = plan_of(metrics=MetricsSpec(primary="days_to_first_order", secondary=()))
    frame = frame_of(3_000, 1_000).assign(days_to_first_order=np.arange(4_000) % 28)
    look = current_look(plan, plan.ends_at)
    estimator = estimator_of(plan, frame)
    rng = np.random.default_rng(7)
    primary = analyze_arm(estimator, "a", rng=rng, look=look).primary
    found = read_arm(estimator, "a", primary, [], touched_share=0.0, look=look, rng=rng)
    assert found.bayesian is None


def test_an_open_window_has_an_interval_for_any_time_and_it_is_wider() -> None:
    frame = frame_of(30_000, 10_000, shift=20)
    primary, found = readings(frame, [], days=10)
    look = found.sequence.last
    assert look.progress == pytest.approx(10 / 28)
    fixed = primary.absolute.high - primary.absolute.low
    assert look.high - look.low > 1.4 * fixed
    assert readings(frame, [])[1].sequence is None


def test_a_plan_may_not_name_a_metric_twice() -> None:
    with pytest.raises(ValueError, match="both primary and a guardrail"):
        MetricsSpec(primary="conversion", secondary=(), guardrails=("conversion",))
