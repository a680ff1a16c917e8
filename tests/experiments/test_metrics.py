"""Metrics that a company declares: read strictly, counted as pandas does, judged by kind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crm_lab.errors import SpecError
from crm_lab.experiments.enrolment import registered_plan
from crm_lab.experiments.estimators import RowEstimator
from crm_lab.experiments.metrics import BUILT_IN, MetricSpec, load_metrics, metric_of
from crm_lab.experiments.outcomes import Outcomes, Window, read_outcomes
from crm_lab.experiments.plan import Plan
from crm_lab.experiments.spec import load_experiment
from crm_lab.experiments.summaries import open_summaries
from crm_lab.gateway import operations
from crm_lab.simulation.shops import Shop
from crm_lab.workbench import Workbench, open_workbench
from tests.experiments import shop_workbench as sw

WorkbenchAt = Callable[[str], Workbench]
TO_THE_CENT = 0.005
# The summary approximates the quantiles of the permutation; its estimates are the same numbers.
QUANTILES, SAME_NUMBER = 0.12, 1e-9

METRICS = """\
capped: {label: capped revenue, numerator: revenue, cap: 50}
cut: {numerator: revenue, winsorise: 0.99}
second_fortnight: {kind: share, numerator: orders, from_day: 14, days: 14}
late_spend: {numerator: revenue, from_day: 7, days: 7}
"""


def write_metrics(folder: Path, text: str) -> Path:
    path = folder / "metrics.yml"
    path.write_text(text, "utf-8")
    return path


def test_what_is_declared_comes_before_what_is_built_in(tmp_path: Path) -> None:
    write_metrics(tmp_path, "conversion: {kind: share, numerator: orders, days: 7}\n")
    declared = load_metrics(tmp_path)
    assert metric_of("conversion", declared).days == 7
    assert metric_of("revenue_per_customer", declared) == BUILT_IN["revenue_per_customer"]


def test_without_a_file_there_are_the_built_in_metrics(tmp_path: Path) -> None:
    assert load_metrics(tmp_path) == {}


WRONG = {
    "a: {numerator: turnover}\n": "'revenue', 'margin'",
    "a: {numerator: revenue, kind: ratio}\n": "a ratio has a 'denominator'",
    "a: {numerator: revenue, denominator: orders}\n": "a ratio has a 'denominator'",
    "a: {numerator: revenue, kind: quantile}\n": "a quantile names its 'quantile'",
    "a: {numerator: revenue, cap: 5, winsorise: 0.9}\n": "not both",
    "a: {numerator: orders, kind: share, cap: 5}\n": "is not capped",
    "a: {numerator: revenue, kind: days_to_first}\n": "the first of 'orders'",
    "a: {numerator: orders, kind: share, per_week: true}\n": "is for a mean",
    "a: {numerator: revenue, day: 3}\n": "did you mean|unknown key 'day'",
    "A b: {numerator: revenue}\n": "is not a name of small letters",
    "a: {label: x}\n": "'numerator' is missing",
    "a: {numerator: revenue, days: 0}\n": "greater than or equal to 1",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_declaration_is_refused_with_its_place(tmp_path: Path, text: str) -> None:
    write_metrics(tmp_path, text)
    with pytest.raises(SpecError, match=WRONG[text]):
        load_metrics(tmp_path)


def test_an_unknown_metric_of_an_experiment_is_refused(tmp_path: Path) -> None:
    folder = sw.write_settings(tmp_path) / "experiments"
    sw.write_experiment(tmp_path)
    text = (folder / f"{sw.NAME}.yml").read_text("utf-8")
    (folder / f"{sw.NAME}.yml").write_text(text.replace("conversion", "conversoin"), "utf-8")
    with pytest.raises(SpecError, match=r"there is no metric 'conversoin'.*metrics\.yml"):
        load_experiment(folder, sw.NAME)


def test_a_plan_without_declared_metrics_keeps_the_hash_it_always_had() -> None:
    workbench = open_workbench(sw.STAGES["assigned"]())
    plan = registered_plan(workbench.gateway, sw.NAME)
    assert plan is not None
    later = {"definitions", "guardrails", "segments", "looks", "boundary", "covariates", "strata"}
    assert later.isdisjoint(plan.to_payload())
    assert Plan.from_payload(plan.to_payload()) == plan


# --- counted as pandas counts --------------------------------------------------------------------


@pytest.fixture
def measured(workbench_at: WorkbenchAt) -> tuple[Workbench, Plan]:
    """A finished experiment whose plan uses declared metrics of every kind."""
    workbench = workbench_at("finished")
    folder = workbench.settings.experiments_folder
    write_metrics(folder, METRICS)
    path = folder / f"{sw.NAME}.yml"
    names = [*load_metrics(folder), "average_order_value", "days_to_first_order", "median_spend"]
    path.write_text(
        path.read_text("utf-8").replace(
            "secondary: [conversion, orders_per_customer]",
            f"secondary: [conversion, orders_per_customer, {', '.join(names)}]",
        ),
        "utf-8",
    )
    return workbench, open_workbench(workbench.settings.folder).experiment(sw.NAME).file_plan


def outcomes_of(workbench: Workbench, plan: Plan) -> Outcomes:
    window = Window.of(plan, assigned_at=sw.ASSIGNED_AT)
    with workbench.gateway.reader() as reader:
        return read_outcomes(reader, plan, window)


def spent(shop: Shop, start: datetime, end: datetime) -> pd.Series[float]:
    orders = shop.orders
    inside = (orders["ordered_at"] >= start) & (orders["ordered_at"] < end)
    return orders[inside].groupby("customer_id")["amount_cents"].sum() / 100


def test_every_measure_is_what_pandas_adds_up(measured: tuple[Workbench, Plan], shop: Shop) -> None:
    workbench, plan = measured
    found = outcomes_of(workbench, plan)
    frame = found.frame.set_index("customer_id")
    start = sw.STARTS_AT
    before = sw.ASSIGNED_AT  # the draw was a day before the start, and covariates end there
    for column, first, last in (
        ("revenue", start, sw.ENDS_AT),
        ("pre_revenue", before - (plan.starts_at - plan.pre_starts_at), before),
        ("revenue_7_7", start + timedelta(days=7), start + timedelta(days=14)),
    ):
        expected = spent(shop, first, last).reindex(frame.index, fill_value=0.0)
        np.testing.assert_allclose(frame[column], expected, atol=TO_THE_CENT)
    late = spent(shop, start + timedelta(days=14), sw.ENDS_AT).index
    bought = frame["orders_14_14"] > 0
    assert set(frame.index[bought]) == set(late) & set(frame.index)


def test_days_to_the_first_order_count_from_the_start(
    measured: tuple[Workbench, Plan], shop: Shop
) -> None:
    workbench, plan = measured
    frame = outcomes_of(workbench, plan).frame.set_index("customer_id")
    orders = shop.orders
    inside = (orders["ordered_at"] >= sw.STARTS_AT) & (orders["ordered_at"] < sw.ENDS_AT)
    first = orders[inside].groupby("customer_id")["ordered_at"].min()
    days = (first - pd.Timestamp(sw.STARTS_AT)).dt.total_seconds() / 86_400
    expected = days.reindex(frame.index)
    np.testing.assert_allclose(frame["days_to_first_order"], expected, atol=2e-5)


def estimated(estimator: Any, metric: str, *, seed: int = 3) -> Any:
    return estimator.estimate(
        metric,
        treated=("strong",),
        control=("control",),
        alpha=0.05,
        rng=np.random.default_rng(seed),
        arms=("strong", "control"),
    )


def test_each_kind_of_metric_has_the_level_that_pandas_gives(
    measured: tuple[Workbench, Plan],
) -> None:
    workbench, plan = measured
    found = outcomes_of(workbench, plan)
    estimator = RowEstimator(plan=plan, outcomes=found, permutations=999)
    strong = found.of("strong")
    limit = np.quantile(found.frame["revenue"], 0.99, method="higher")
    expected = {
        "conversion": (strong["orders"] > 0).mean(),
        "average_order_value": strong["revenue"].sum() / strong["orders"].sum(),
        "days_to_first_order": strong["days_to_first_order"].fillna(28).mean(),
        "median_spend": None,
        "capped": strong["revenue"].clip(upper=50).mean(),
        "cut": strong["revenue"].clip(upper=limit).mean(),
        "second_fortnight": (strong["orders_14_14"] > 0).mean(),
        "late_spend": strong["revenue_7_7"].mean(),
    }
    for metric, level in expected.items():
        found_estimate = estimated(estimator, metric)
        comparison = found_estimate.plain or found_estimate.comparison
        assert comparison.absolute.is_known, (metric, comparison.absolute.reason)
        if level is not None:
            assert comparison.absolute.treatment_value == pytest.approx(level), metric


def test_a_window_that_has_not_begun_has_a_reason_and_no_number(
    measured: tuple[Workbench, Plan],
) -> None:
    workbench, plan = measured
    early = Window.of(plan, assigned_at=sw.ASSIGNED_AT, until=plan.starts_at + timedelta(days=10))
    with workbench.gateway.reader() as reader:
        found = read_outcomes(reader, plan, early)
    estimator = RowEstimator(plan=plan, outcomes=found, permutations=99)
    effect = estimated(estimator, "second_fortnight").comparison.absolute
    assert not effect.is_known
    assert effect.reason == "its first day, day 15, has not come yet"


def test_margin_without_costs_is_not_known(measured: tuple[Workbench, Plan]) -> None:
    workbench, plan = measured
    found = outcomes_of(workbench, plan)
    assert found.frame["margin"].isna().any()
    free = Plan(
        **{name: getattr(plan, name) for name in plan.__dataclass_fields__} | {"margin_share": None}
    )
    assert "net_per_customer" in Outcomes.from_frame(free, found.frame).reasons
    assert "net_per_customer" not in found.reasons  # the plan names its margin


# --- sums of the database agree with rows --------------------------------------------------------


@pytest.mark.parametrize(
    "metric", ["revenue_per_customer", "conversion", "average_order_value", "orders_per_customer"]
)
def test_sums_give_the_numbers_that_rows_give(
    measured: tuple[Workbench, Plan], metric: str
) -> None:
    workbench, plan = measured
    window = Window.of(plan, assigned_at=sw.ASSIGNED_AT)
    with workbench.gateway.reader() as reader:
        sums = open_summaries(reader, plan, window, operations.assigned(plan.scope))
    rows = RowEstimator(plan=plan, outcomes=outcomes_of(workbench, plan), permutations=9_999)
    assert dict(sums.customers) == dict(rows.customers)
    ours, theirs = estimated(sums, metric), estimated(rows, metric)
    one, other = ours.comparison.absolute, theirs.comparison.absolute
    assert ours.variance_reduction == pytest.approx(theirs.variance_reduction, abs=SAME_NUMBER)
    assert one.treatment_value == pytest.approx(other.treatment_value, rel=SAME_NUMBER)
    if one.is_known:  # a small base has a reason instead
        assert one.estimate == pytest.approx(other.estimate, rel=1e-6)
        width = other.high - other.low
        assert [one.low, one.high] == pytest.approx([other.low, other.high], abs=QUANTILES * width)
    else:
        assert one.reason
    assert sums.imbalance("strong", "control") == pytest.approx(
        rows.imbalance("strong", "control"), rel=SAME_NUMBER
    )
    levels = sums.level(metric, "strong", alpha=0.05), rows.level(metric, "strong", alpha=0.05)
    assert levels[0][0] == pytest.approx(levels[1][0], rel=SAME_NUMBER)
    bases = sums.base(metric, "control"), rows.base(metric, "control")
    assert bases[0].value == pytest.approx(bases[1].value, rel=SAME_NUMBER)
    if not bases[0].is_share:
        assert bases[0].spread == pytest.approx(bases[1].spread, rel=1e-6)


@pytest.mark.parametrize("metric", ["revenue_per_customer", "average_order_value"])
def test_intervals_of_sums_are_those_of_rows_where_both_arms_are_large_enough(
    measured: tuple[Workbench, Plan], metric: str
) -> None:
    workbench, plan = measured
    window = Window.of(plan, assigned_at=sw.ASSIGNED_AT)
    with workbench.gateway.reader() as reader:
        sums = open_summaries(reader, plan, window, operations.assigned(plan.scope))
    rows = RowEstimator(plan=plan, outcomes=outcomes_of(workbench, plan), permutations=9_999)
    found = []
    for estimator in (sums, rows):
        arms = {"treated": ("strong",), "control": ("weak",), "arms": ("strong", "weak")}
        rng = np.random.default_rng(3)
        estimate = estimator.estimate(metric, **arms, alpha=0.05, rng=rng)
        found.append(estimate.comparison.absolute)
    one, other = found
    assert one.is_known
    width = other.high - other.low
    assert [one.low, one.high] == pytest.approx([other.low, other.high], abs=QUANTILES * width)
    assert one.estimate == pytest.approx(other.estimate, rel=1e-6)


def test_what_sums_cannot_give_has_a_reason(measured: tuple[Workbench, Plan]) -> None:
    workbench, plan = measured
    window = Window.of(plan, assigned_at=sw.ASSIGNED_AT)
    with workbench.gateway.reader() as reader:
        sums = open_summaries(reader, plan, window, operations.assigned(plan.scope))
    for metric in ("median_spend", "days_to_first_order", "cut"):
        effect = estimated(sums, metric).comparison.absolute
        assert not effect.is_known
        assert "every customer's value" in effect.reason


def test_built_in_metrics_are_sound() -> None:
    for name, spec in BUILT_IN.items():
        assert MetricSpec(**spec.model_dump()) == spec
        assert spec.label, name


def test_sums_of_customers_who_were_drawn_together_are_refused(
    measured: tuple[Workbench, Plan],
) -> None:
    workbench, plan = measured
    together = (
        "select customer_id, substr(customer_id, 1, 5) as unit_id, variant"
        f" from ({operations.assigned(plan.scope)}) as people"
    )
    with workbench.gateway.reader() as reader:
        sums = open_summaries(reader, plan, Window.of(plan, assigned_at=sw.ASSIGNED_AT), together)
    effect = estimated(sums, "revenue_per_customer").comparison.absolute
    assert not effect.is_known
    assert "drawn in groups" in effect.reason
