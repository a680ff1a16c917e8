"""The read-out, from outside: planted effects are found, and what cannot be known is not said."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crm_lab.experiments.analysis import analyze_arm
from crm_lab.experiments.audit import audit
from crm_lab.experiments.control_group_spec import ControlGroupSpec
from crm_lab.experiments.estimators import RowEstimator
from crm_lab.experiments.guardrails import judge
from crm_lab.experiments.looks import current_look
from crm_lab.experiments.outcomes import Outcomes
from crm_lab.experiments.plan import Plan, resolve
from crm_lab.experiments.results import ArmResult, ExperimentResult
from crm_lab.experiments.spec import ArmSpec, CostsSpec, DecisionSpec, ExperimentSpec, MetricsSpec
from crm_lab.gateway import audits
from crm_lab.planning.readouts import measured_revenue
from crm_lab.simulation.shops import Shop, till_file
from crm_lab.workbench import Workbench, open_workbench
from tests.experiments import shop_workbench as sw

WorkbenchAt = Callable[[str], Workbench]
TO_THE_CENT = 0.005
PERMUTATIONS = 999
"""Enough for a verdict; the default would make the tests slow."""


@pytest.fixture(autouse=True)
def _few_permutations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crm_lab.experiments.estimators.PERMUTATIONS", PERMUTATIONS)


@functools.cache
def read_out() -> ExperimentResult:
    return open_workbench(sw.STAGES["finished"]()).experiment(sw.NAME).analyze(seed=7)


def import_rows(workbench: Workbench, kind: str, frame: pd.DataFrame, name: str) -> None:
    folder = workbench.settings.folder
    file = folder / "incoming" / f"{kind}_{name}.csv"
    frame.to_csv(file, index=False)
    assert workbench.import_file(folder / "maps" / f"{kind}.yml", file).rows_rejected == 0


def order(number: str, customer_id: str, at: str, total: str = "100.00") -> dict[str, str]:
    return {
        "order_id": number,
        "customer_id": customer_id,
        "store": "s",
        "ordered_at": at,
        "total": total,
        "discount": "0.00",
    }


def light_of(result: ExperimentResult, name: str) -> Any:
    return next(item for item in result.lights if item.name.startswith(name))


# --- through the workbench ----------------------------------------------------------------------


def test_a_planted_effect_is_within_its_interval_and_ships(shop: Shop) -> None:
    strong = read_out().arm("strong")
    truth = shop.true_effect(sw.LIFTS["strong"], days=28)
    effect = strong.primary.absolute
    assert effect.low < truth < effect.high
    assert effect.low > 0
    assert strong.verdict == "ship"
    assert read_out().verdict == "ship"
    assert read_out().best_arm == "strong"
    assert read_out().sentence().startswith("Ship. Strong brought +")


def test_where_nothing_was_planted_nothing_can_be_concluded() -> None:
    weak = read_out().arm("weak")
    assert weak.verdict == "cannot conclude"
    assert weak.primary.absolute.low < 0 < weak.primary.absolute.high
    assert "of weak nothing can be concluded" in read_out().sentence()


def test_levels_are_the_means_of_everybody_assigned(finished: Workbench, shop: Shop) -> None:
    orders = shop.orders
    inside = (orders["ordered_at"] >= sw.STARTS_AT) & (orders["ordered_at"] < sw.ENDS_AT)
    spent = orders[inside].groupby("customer_id")["amount_cents"].sum() / 100
    scope = f"experiment:{sw.NAME}"
    plain = next(
        found
        for found in read_out().arm("strong").comparisons
        if found.metric == "revenue_per_customer"
    )
    for variant, found in (
        ("strong", plain.absolute.treatment_value),
        ("control", plain.absolute.control_value),
    ):
        people = sorted(sw.people(finished, scope, variant))
        assert found == pytest.approx(spent.reindex(people, fill_value=0).mean(), abs=TO_THE_CENT)


def test_conversion_counts_buyers_not_orders(finished: Workbench, shop: Shop) -> None:
    orders = shop.orders
    inside = (orders["ordered_at"] >= sw.STARTS_AT) & (orders["ordered_at"] < sw.ENDS_AT)
    people = sw.people(finished, f"experiment:{sw.NAME}", "strong")
    buyers = people & set(orders.loc[inside, "customer_id"])
    found = next(c for c in read_out().arm("strong").comparisons if c.metric == "conversion")
    assert found.absolute.treatment_value == pytest.approx(len(buyers) / len(people))


def test_before_the_orders_of_the_window_power_says_that_they_are_missing(
    workbench_at: Callable[[str], Workbench],
) -> None:
    result = workbench_at("exported").experiment(sw.NAME).analyze()
    said = [light.detail for light in result.lights]
    assert (
        "what would show cannot be said: no orders of the controls in this window are known yet"
        in said
    )


def test_totals_are_the_effect_times_the_customers_and_margin_pays_the_costs() -> None:
    for arm in read_out().arms:
        effect = arm.primary.absolute
        assert arm.revenue_total.estimate == pytest.approx(effect.estimate * arm.customers)
        assert arm.revenue_total.low == pytest.approx(effect.low * arm.customers)
        assert arm.net_total is not None
        assert arm.net_total.high == pytest.approx(arm.revenue_total.high * 0.3 - arm.cost)
    sent = read_out().deliveries.set_index("variant")["sent"]
    assert read_out().arm("weak").cost == pytest.approx(0.5 * sent["weak"] + 50)


def test_attributed_revenue_is_another_number_and_larger(shop: Shop, finished: Workbench) -> None:
    arm = read_out().arm("strong")
    (path,) = finished.settings.lists_folder.rglob("*_strong.csv")
    listed = set(pd.read_csv(path, dtype=str)["customer_id"])
    orders = shop.orders
    inside = (orders["ordered_at"] >= sw.STARTS_AT) & (orders["ordered_at"] < sw.ENDS_AT)
    own = orders[inside & orders["customer_id"].isin(listed)]
    assert arm.attributed_revenue == pytest.approx(own["amount_cents"].sum() / 100)
    assert arm.attributed_revenue > 1.2 * arm.revenue_total.estimate


def test_every_light_of_a_sound_experiment_is_good() -> None:
    tones = {item.name: item.tone for item in read_out().lights}
    assert tones.pop("Power") in ("good", "unsure")
    assert set(tones.values()) == {"good"}
    assert len(tones) == 4


def test_the_same_seed_gives_the_same_numbers_in_a_copied_folder(
    workbench_at: WorkbenchAt,
) -> None:
    again = workbench_at("finished").experiment(sw.NAME).analyze(seed=7)
    pd.testing.assert_frame_equal(again.to_frame(), read_out().to_frame())
    assert again.sentence() == read_out().sentence()


def test_orders_before_the_window_are_no_outcome(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("finished")
    someone = min(sw.people(workbench, f"experiment:{sw.NAME}", "weak"))
    outside = [
        order("before", someone, "2024-04-30 23:59:59", "999999.00"),
        order("after", someone, "2024-05-29 00:00:00", "999999.00"),
    ]
    import_rows(workbench, "orders", pd.DataFrame(outside), "outside")
    weak = next(
        c
        for c in workbench.experiment(sw.NAME).analyze(seed=7).arm("weak").comparisons
        if c.metric == "conversion"
    )
    expected = next(c for c in read_out().arm("weak").comparisons if c.metric == "conversion")
    assert weak.absolute == expected.absolute


def test_the_registered_plan_counts_and_a_changed_file_is_told(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("finished")
    sw.write_experiment(workbench.settings.folder, extra="alpha: 0.2\n")
    result = workbench.experiment(sw.NAME).analyze(seed=7)
    assert result.plan.alpha == 0.05
    light = light_of(result, "Plan")
    assert light.tone == "unsure"
    assert "the file departs from the registered plan, which counts" in light.detail
    assert result.arm("strong").primary == read_out().arm("strong").primary


def test_an_open_window_says_continue(workbench_at: WorkbenchAt, shop: Shop) -> None:
    workbench = workbench_at("exported")
    orders = shop.orders
    part = orders[orders["ordered_at"].between(sw.STARTS_AT, datetime(2024, 5, 20))]
    import_rows(workbench, "orders", till_file(part), "part")
    result = workbench.experiment(sw.NAME).analyze(seed=7)
    assert result.verdict == "continue"
    assert "the window ends on 2024-05-28" in light_of(result, "Plan").detail


def test_control_customers_who_got_mail_light_the_contamination_light(
    workbench_at: WorkbenchAt,
) -> None:
    workbench = workbench_at("finished")
    folder = workbench.settings.folder
    controls = sorted(sw.people(workbench, f"experiment:{sw.NAME}", "control"))
    (folder / "maps" / "sends.yml").write_text(
        "table: send\nsource_system: old\nfiles: 'sends*.csv'\ncolumns:\n"
        "  send_id: id\n  campaign_id: {value: spring-mailing}\n  customer_id: customer\n"
        "  scheduled_at: at\n  message_class: class\n"
    )

    def send(name: str, people: list[str], at: str, message_class: str) -> None:
        frame = pd.DataFrame({"customer": people, "at": at, "class": message_class})
        frame.insert(0, "id", [f"{name}-{number}" for number in range(len(people))])
        import_rows(workbench, "sends", frame, name)

    send("outside", controls, "2024-04-30 12:00:00", "marketing")
    send("receipt", controls, "2024-05-02 12:00:00", "transactional")
    experiment = workbench.experiment(sw.NAME)
    send("few", controls[:5], "2024-05-02 12:00:00", "marketing")
    few = light_of(experiment.analyze(seed=7), "Contamination")
    assert few.tone == "unsure"
    audited = audit(
        workbench.gateway,
        f"experiment:{sw.NAME}",
        starts_at=sw.STARTS_AT,
        ends_at=sw.ENDS_AT,
        exempt_classes=("transactional",),
    )
    assert audited.touched >= 5  # and whoever shares an address with one of them
    assert f"{audited.touched} of {len(controls):,} control customers" in few.detail
    send("many", controls[: len(controls) // 10], "2024-05-02 12:00:00", "marketing")
    result = experiment.analyze(seed=7)
    assert light_of(result, "Contamination").tone == "bad"
    assert result.verdict == "cannot conclude"
    assert "A check failed (contamination)" in result.sentence()


def send_others(workbench: Workbench, at: str) -> None:
    """Another campaign reaches the arms, and not the standing control group."""
    folder = workbench.settings.folder
    (folder / "maps" / "campaigns.yml").write_text(
        "table: campaign\nsource_system: old\nfiles: 'campaigns*.csv'\ncolumns:\n"
        "  campaign_id: id\n  name: id\n"
    )
    import_rows(workbench, "campaigns", pd.DataFrame({"id": ["easter"]}), "easter")
    (folder / "maps" / "sends.yml").write_text(
        "table: send\nsource_system: old\nfiles: 'sends*.csv'\ncolumns:\n"
        "  send_id: id\n  campaign_id: {value: easter}\n  customer_id: customer\n"
        "  scheduled_at: at\n"
    )
    with workbench.gateway.reader() as reader:  # an address may be that of a control, too
        shared = set(reader.frame(audits.shared_contacts())["customer_id"])
    people = sorted(sw.people(workbench, f"experiment:{sw.NAME}", "strong") - shared)
    rows = pd.DataFrame({"id": people, "customer": people, "at": at})
    import_rows(workbench, "sends", rows.assign(id="easter-" + rows["id"]), "easter")


def test_a_pre_period_in_which_the_arms_were_treated_is_no_covariate(
    workbench_at: WorkbenchAt,
) -> None:
    workbench = workbench_at("finished")
    send_others(workbench, "2024-04-20 12:00:00")
    result = workbench.experiment(sw.NAME).analyze(seed=7)
    assert result.others.spoils_the_pre_period
    assert not result.others.is_in_the_effect
    balance = light_of(result, "Balance")
    assert balance.tone == "unsure"
    assert "nothing is adjusted by it" in balance.detail
    metrics = {found.metric for found in result.arm("strong").comparisons}
    assert not any(name.endswith(", adjusted") for name in metrics)
    assert result.arm("strong").variance_reduction == 0


def test_campaigns_beside_it_are_said_to_be_in_the_effect(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("finished")
    send_others(workbench, "2024-05-10 12:00:00")
    result = workbench.experiment(sw.NAME).analyze(seed=7)
    assert result.others.is_in_the_effect
    light = light_of(result, "Contamination")
    assert light.tone == "unsure"
    assert "the effect is that of all of them together" in light.detail


def test_lost_customers_break_the_sample_ratio(
    workbench_at: WorkbenchAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crm_lab.gateway import operations

    whole = operations.assigned
    workbench = workbench_at("finished")
    experiment = workbench.experiment(sw.NAME)
    monkeypatch.setattr(
        operations,
        "assigned",
        lambda scope: whole(scope) + " and not (variant = 'strong' and bucket % 5 = 0)",
    )
    result = experiment.analyze(seed=7)
    assert light_of(result, "Sample").tone == "bad"
    assert result.verdict == "cannot conclude"
    assert {arm.verdict for arm in result.arms} == {"cannot conclude"}
    assert "no number of this page may be believed yet" in result.sentence()


# --- on frames ----------------------------------------------------------------------------------


def plan_of(**changes: Any) -> Plan:
    spec = ExperimentSpec(
        name="x",
        title="t",
        hypothesis="h",
        owner="o",
        starts_on=date(2024, 5, 1),
        ends_on=date(2024, 5, 28),
        arms={"a": ArmSpec(share=1.0, message="m")},
        costs=CostsSpec(per_message=0.5, margin_share=0.5),
    ).model_copy(update={"pre_period_days": 0} | changes)
    return resolve(spec, ControlGroupSpec(salt="s"), timezone="UTC", currency="EUR")


def frame_of(
    treated: np.ndarray | list[float], control: np.ndarray | list[float], **columns: Any
) -> pd.DataFrame:
    revenue = np.concatenate([np.asarray(treated, float), np.asarray(control, float)])
    return pd.DataFrame(
        {
            "variant": ["a"] * len(treated) + ["control"] * len(control),
            "revenue": revenue,
            "orders": (revenue > 0).astype(int),
            "pre_revenue": 0.0,
            "pre_orders": 0,
        }
        | columns
    )


def spend(rng: np.random.Generator, n: int, *, shift: float = 0.0) -> np.ndarray:
    return np.where(rng.random(n) < 0.3, rng.lognormal(4, 1, n) + shift, 0.0)


def analyzed(plan: Plan, frame: pd.DataFrame, **options: Any) -> ArmResult:
    complete = options.pop("is_complete", True)
    look = current_look(plan, plan.ends_at if complete else plan.starts_at)
    estimator = RowEstimator(
        plan=plan, outcomes=Outcomes.from_frame(plan, frame), permutations=PERMUTATIONS
    )
    chosen = {"rng": np.random.default_rng(5), "look": look} | options
    return analyze_arm(estimator, "a", **chosen)


def test_the_result_does_not_depend_on_the_order_of_rows() -> None:
    rng = np.random.default_rng(1)
    frame = frame_of(spend(rng, 900), spend(rng, 100))
    frame["pre_revenue"] = spend(rng, 1_000)
    plan = plan_of(pre_period_days=28)
    first = analyzed(plan, frame)
    second = analyzed(plan, frame.sample(frac=1, random_state=3))
    for name in ("estimate", "treatment_value", "control_value"):
        left, right = (getattr(found.primary.absolute, name) for found in (first, second))
        assert left == pytest.approx(right)
    assert first.primary.absolute.low == pytest.approx(second.primary.absolute.low, rel=0.1)


NO_ESTIMATE = {
    "no treated": ([], [1.0, 2.0, 3.0]),
    "no control": ([1.0, 2.0, 3.0], []),
    "nobody": ([], []),
    "one treated": ([5.0], [1.0, 2.0, 3.0]),
    "one control": ([1.0, 2.0, 3.0], [5.0]),
    "nobody bought": ([0.0] * 50, [0.0] * 20),
    "everybody spent the same": ([7.0] * 50, [7.0] * 20),
}


@pytest.mark.parametrize("case", NO_ESTIMATE)
@pytest.mark.parametrize("pre_period_days", [0, 28])
def test_data_that_can_tell_nothing_give_nan_and_a_reason(case: str, pre_period_days: int) -> None:
    result = analyzed(plan_of(pre_period_days=pre_period_days), frame_of(*NO_ESTIMATE[case]))
    effect = result.primary.absolute
    assert result.verdict == "cannot conclude"
    assert not effect.is_known
    assert np.isnan(effect.p_value)
    assert effect.reason
    assert np.isnan(result.revenue_total.low)
    assert result.net_total is not None
    assert np.isnan(result.net_total.high)


def test_conversion_of_an_empty_arm_has_no_p_value() -> None:
    plan = plan_of(metrics=MetricsSpec(primary="conversion", secondary=()))
    effect = analyzed(plan, frame_of([], [1.0, 0.0])).primary.absolute
    assert not effect.is_known
    assert np.isnan(effect.p_value)
    assert effect.reason


@pytest.mark.parametrize(
    ("shift", "minimum", "verdict"),
    [(100.0, 0.0, "ship"), (100.0, 25.0, "cannot conclude"), (300.0, 25.0, "ship")],
)
def test_the_rule_asks_for_more_than_the_minimum(
    shift: float, minimum: float, verdict: str
) -> None:
    rule = "interval_above_minimum" if minimum else "interval_above_zero"
    plan = plan_of(decision=DecisionSpec(rule=rule, minimum=minimum))
    rng = np.random.default_rng(2)
    result = analyzed(plan, frame_of(spend(rng, 2_000, shift=shift), spend(rng, 500)))
    assert (result.primary.absolute.low > minimum) == (verdict == "ship")
    assert result.verdict == verdict


def test_a_harmful_campaign_is_stopped() -> None:
    rng = np.random.default_rng(3)
    result = analyzed(plan_of(), frame_of(spend(rng, 1_500), spend(rng, 500, shift=150)))
    assert result.primary.absolute.high < 0
    assert result.verdict == "stop"


@pytest.mark.parametrize(
    ("flags", "verdict"),
    [({"is_complete": False}, "continue"), ({"is_broken": True}, "cannot conclude")],
)
def test_flags_come_before_the_rule(flags: dict[str, bool], verdict: str) -> None:
    rng = np.random.default_rng(4)
    frame = frame_of(spend(rng, 1_500, shift=300), spend(rng, 500))
    assert analyzed(plan_of(), frame, **flags).verdict == verdict


def test_the_pre_period_narrows_the_interval_it_explains() -> None:
    rng = np.random.default_rng(6)
    before = rng.lognormal(4, 1, 2_000)
    revenue = before + rng.normal(0, 10, 2_000) + 500
    frame = frame_of(revenue[:1_600], revenue[1_600:])
    frame["pre_revenue"] = before
    plain = analyzed(plan_of(), frame)
    adjusted = analyzed(plan_of(pre_period_days=28), frame)
    assert adjusted.variance_reduction > 0.9

    def width(result: ArmResult) -> float:
        return result.primary.absolute.high - result.primary.absolute.low

    assert width(adjusted) < 0.4 * width(plain)
    assert plain.variance_reduction == 0


def test_costs_are_messages_and_fixed_costs() -> None:
    result = analyzed(plan_of(), frame_of([1.0, 2.0, 4.0], [1.0, 2.0, 5.0]), messages=3)
    assert result.cost == 1.5
    without_margin = plan_of(costs=CostsSpec(per_message=0.5))
    assert analyzed(without_margin, frame_of([1.0, 2.0, 4.0], [1.0, 2.0, 5.0])).net_total is None


def test_p_values_of_the_evidence_are_adjusted_by_holm() -> None:
    result = read_out()
    raw = np.array([c.absolute.p_value for c in result.every_comparison()])
    order = np.argsort(raw)
    steps = np.minimum(np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1)), 1)
    expected = np.empty_like(raw)
    expected[order] = steps
    assert result.holm == pytest.approx(tuple(expected))
    assert list(result.evidence_frame().columns)[-1] == "p (Holm)"


def said(result: ExperimentResult, **changes: Any) -> str:
    """The sentence of a result whose first arm is changed."""
    first, *others = result.arms
    arms = (replace(first, **changes), *others)
    return replace(result, arms=arms, best_arm=first.arm).sentence()


def test_an_arm_that_a_guardrail_stops_is_not_said_to_cost_sales() -> None:
    result = read_out()
    strong = result.arm("strong")
    guardrail = judge(result.plan, "unsubscribe_rate", "strong", strong.primary, (0.05, 0.04, 0.06))
    assert guardrail.state == "passed"
    text = said(result, verdict="stop", guardrails=(guardrail,))
    assert "cost sales" not in text
    assert "does not keep its guardrails" in text
    assert "A guardrail was passed (share of customers who unsubscribed), so strong" in text


def test_the_sentence_says_what_the_difference_is_of() -> None:
    result = read_out()
    assert " per customer, +" in result.sentence()
    conversion = next(c for c in result.arm("strong").comparisons if c.metric == "conversion")
    text = said(
        replace(result, plan=replace(result.plan, primary_metric="conversion")), primary=conversion
    )
    assert "in share of customers who bought, +" in text


def test_the_league_takes_the_spread_of_both_arms_together() -> None:
    revenue = next(
        c for c in read_out().arm("strong").comparisons if c.metric == "revenue_per_customer"
    )
    effect = revenue.absolute
    found = measured_revenue((revenue,), "amount")
    assert found.standard_error == revenue.pooled_error
    log_lift = measured_revenue((revenue,), "relative")
    spread = revenue.pooled_error / np.sqrt(1 / effect.n_treatment + 1 / effect.n_control)
    parts = 1 / (effect.n_treatment * effect.treatment_value**2) + 1 / (
        effect.n_control * effect.control_value**2
    )
    assert log_lift.standard_error == pytest.approx(spread * np.sqrt(parts))


@pytest.mark.parametrize("timezone", ["Europe/Moscow", "America/New_York", "Asia/Kamchatka"])
def test_days_on_a_page_are_those_of_the_plan_file(
    make_workbench: Callable[..., Workbench], small_shop: Callable[..., Shop], timezone: str
) -> None:
    workbench = make_workbench(small_shop(400, days=170), timezone=timezone, share=0.3)
    sw.write_experiment(workbench.settings.folder)
    day = workbench.day_start
    status = workbench.control_group().draw(as_of=day(date(2024, 4, 1)))
    assert "since 2024-04-01" in status.sentence()
    experiment = workbench.experiment(sw.NAME)
    assert "2024-05-01 to 2024-05-28" in experiment.plan(as_of=sw.ASSIGNED_AT).sentence()
    experiment.assign(as_of=sw.ASSIGNED_AT)
    result = experiment.analyze()
    assert result.subtitle().endswith("2024-05-01 to 2024-05-28.")
    window = {"starts_at": result.plan.starts_at, "ends_at": result.plan.ends_at}
    assert (
        workbench.control_group().audit(**window).sentence().startswith("2024-05-01 to 2024-05-28")
    )
