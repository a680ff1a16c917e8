"""The resolved plan: named by its hash, registered before the first message, read afterwards."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from scipy import stats

from crm_lab.errors import LedgerError
from crm_lab.experiments.assignment import arm_of, bucket_of
from crm_lab.experiments.control_group_spec import ControlGroupSpec
from crm_lab.experiments.enrolment import registered_plan
from crm_lab.experiments.plan import Plan, resolve
from crm_lab.experiments.spec import (
    ArmSpec,
    AudienceSpec,
    CostsSpec,
    DecisionSpec,
    ExperimentSpec,
    MetricsSpec,
)
from crm_lab.simulation.shops import Shop
from crm_lab.workbench import Workbench, open_workbench
from tests.experiments import shop_workbench as sw

SPEC = ExperimentSpec(
    name="winter-sale",
    title="Зимняя распродажа",
    hypothesis="h",
    owner="o",
    starts_on=date(2026, 12, 1),
    ends_on=date(2026, 12, 28),
    arms={"a": ArmSpec(share=0.5, message="m"), "b": ArmSpec(share=0.4, message="n")},
)
CONTROL = ControlGroupSpec(salt="2026")

WorkbenchAt = Callable[[str], Workbench]
MakeWorkbench = Callable[..., Workbench]
MakeShop = Callable[..., Shop]


def plan_of(
    spec: ExperimentSpec = SPEC, control: ControlGroupSpec = CONTROL, **options: str
) -> Plan:
    return resolve(spec, control, **({"timezone": "UTC", "currency": "EUR"} | options))


def test_a_plan_comes_back_equal_from_what_the_ledger_keeps() -> None:
    plan = plan_of()
    kept = json.loads(json.dumps(plan.to_payload()))
    back = Plan.from_payload(kept)
    assert back == plan
    assert back.sha256 == plan.sha256
    assert list(back.shares) == ["a", "b"]


def test_the_hash_is_the_same_in_another_process() -> None:
    program = (
        "import json, sys; from crm_lab.experiments.plan import Plan;"
        "print(Plan.from_payload(json.loads(sys.stdin.read())).sha256)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(plan_of().to_payload()),
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )
    assert done.stdout.strip() == plan_of().sha256


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "x"},
        {"owner": "x"},
        {"hypothesis": "x"},
        {"channel": "sms"},
        {"starts_on": date(2026, 12, 2)},
        {"ends_on": date(2026, 12, 27)},
        {"pre_period_days": 27},
        {"audience": AudienceSpec(bought_within_days=90)},
        {"audience": AudienceSpec(min_orders=1)},
        {"arms": dict(reversed(SPEC.arms.items()))},
        {"arms": {**SPEC.arms, "b": ArmSpec(share=0.5, message="n")}},
        {"arms": {**SPEC.arms, "b": ArmSpec(share=0.4, message="x")}},
        {"arms": {**SPEC.arms, "c": ArmSpec(share=0.1, message="n")}},
        {"metrics": MetricsSpec(primary="orders_per_customer")},
        {"metrics": MetricsSpec(secondary=())},
        {"alpha": 0.1},
        {"power": 0.9},
        {"decision": DecisionSpec(rule="interval_above_minimum", minimum=1.0)},
        {"costs": CostsSpec(per_message=0.1)},
        {"costs": CostsSpec(fixed=1)},
        {"costs": CostsSpec(margin_share=0.3)},
    ],
)
def test_the_hash_changes_with_everything_that_is_written(changes: dict[str, Any]) -> None:
    changed = SPEC.model_copy(update=changes)
    assert plan_of(changed).sha256 != plan_of().sha256


def test_the_hash_changes_with_control_group_zone_and_currency() -> None:
    every = {
        plan_of().sha256,
        plan_of(control=ControlGroupSpec(salt="2026", share=0.1)).sha256,
        plan_of(control=ControlGroupSpec(salt="2026", name="other")).sha256,
        plan_of(timezone="Europe/Moscow").sha256,
        plan_of(currency="USD").sha256,
    }
    assert len(every) == 5


def test_days_are_those_of_the_company() -> None:
    plan = plan_of(timezone="Europe/Moscow")
    assert plan.starts_at == datetime(2026, 11, 30, 21)
    assert plan.ends_at == datetime(2026, 12, 28, 21)
    assert plan.pre_starts_at == plan.starts_at - timedelta(days=28)
    assert plan.days == 28
    assert plan.alpha_per_arm == 0.025


def test_assignment_follows_the_hash_and_the_control_group(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("assigned")
    plan = workbench.experiment(sw.NAME).registered()
    group = sw.assignment(workbench, "epoch:")
    arms = sw.assignment(workbench, plan.scope)
    assert len(arms) > 1_500
    for (_, who), variant in arms.items():
        is_control = group[("epoch:global-1", who)] == "control"
        expected = "control" if is_control else arm_of(bucket_of(plan.salt, who), plan.shares)
        assert variant == expected
    sizes = {arm: len(sw.people(workbench, plan.scope, arm)) for arm in plan.shares}
    assert stats.binomtest(sizes["strong"], sum(sizes.values()), 0.5).pvalue > 1e-4


def test_newcomers_join_the_control_group_with_the_assignment(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("assigned")
    group = {who for _, who in sw.assignment(workbench, "epoch:")}
    assert {who for _, who in sw.assignment(workbench, f"experiment:{sw.NAME}")} <= group


def test_a_plan_is_registered_with_its_arms_in_the_ledger(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("assigned")
    kinds = [entry.kind for entry in workbench.gateway.entries(subject=sw.NAME)]
    assert kinds == ["plan_registered", "arms_assigned"]
    plan = registered_plan(workbench.gateway, sw.NAME)
    assert plan is not None
    assert workbench.experiment(sw.NAME).plan(as_of=sw.ASSIGNED_AT).is_registered
    assert workbench.gateway.entries(kind="plan_registered")[0].payload["sha256"] == plan.sha256


def test_a_plan_with_its_arms_in_another_order_is_not_the_registered_one(
    workbench_at: WorkbenchAt,
) -> None:
    workbench = workbench_at("assigned")
    sw.write_experiment(workbench.settings.folder, shares=dict(reversed(sw.SHARES.items())))
    assert not workbench.experiment(sw.NAME).plan(as_of=sw.ASSIGNED_AT).is_registered


def test_arms_are_never_drawn_again(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("assigned")
    before = sw.state(workbench)
    with pytest.raises(LedgerError, match="was assigned before"):
        workbench.experiment(sw.NAME).assign(as_of=sw.ASSIGNED_AT)
    assert sw.state(workbench) == before


def test_without_a_control_group_nothing_is_assigned(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("loaded")
    with pytest.raises(LedgerError, match="never drawn"):
        workbench.experiment(sw.NAME).assign(as_of=sw.ASSIGNED_AT)
    assert workbench.gateway.entries() == []


def test_an_audience_of_nobody_is_refused_and_objected_to(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("drawn")
    sw.write_experiment(
        workbench.settings.folder, "nobody", extra="audience: {min_orders: 100000}\n"
    )
    experiment = workbench.experiment("nobody")
    before = sw.state(workbench)
    preview = experiment.plan(as_of=sw.ASSIGNED_AT)
    assert "Nobody is in the audience." in preview.objections
    assert "; nobody. What it can find cannot be said. Objections:" in preview.sentence()
    with pytest.raises(LedgerError, match="nobody is in the audience"):
        experiment.assign(as_of=sw.ASSIGNED_AT)
    assert sw.state(workbench) == before


def test_only_the_audience_is_assigned(workbench_at: WorkbenchAt, shop: Shop) -> None:
    workbench = workbench_at("drawn")
    sw.write_experiment(
        workbench.settings.folder,
        "recent",
        extra="audience: {bought_within_days: 14, min_orders: 2}\n",
    )
    workbench.experiment("recent").assign(as_of=sw.ASSIGNED_AT)
    found = {who for _, who in sw.assignment(workbench, "experiment:recent")}
    orders = shop.orders[shop.orders["ordered_at"] < sw.ASSIGNED_AT]
    grouped = orders.groupby("customer_id")["ordered_at"].agg(["count", "max"])
    fits = (grouped["count"] >= 2) & (grouped["max"] >= sw.ASSIGNED_AT - timedelta(days=14))
    members = {who for _, who in sw.assignment(workbench, "epoch:")}
    assert found == set(grouped.index[fits]) & members
    assert found


def test_a_preview_changes_nothing_and_is_right_about_the_sizes(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("drawn")
    before = sw.state(workbench)
    shown = workbench.experiment(sw.NAME).plan(as_of=sw.ASSIGNED_AT)
    assert sw.state(workbench) == before
    assert shown.objections == ()
    assert not shown.is_registered
    assert shown.sizes == workbench.experiment(sw.NAME).assign(as_of=sw.ASSIGNED_AT)


def test_a_preview_objects_to_a_small_control_and_a_past_start(
    make_workbench: MakeWorkbench, small_shop: MakeShop
) -> None:
    workbench = make_workbench(small_shop(120), share=0.2)
    sw.write_experiment(workbench.settings.folder)
    objections = " ".join(workbench.experiment(sw.NAME).plan(as_of=datetime(2024, 5, 2)).objections)
    assert "The control group 'global' is not drawn yet." in objections
    assert "controls: hold out more" in objections
    assert "few campaigns bring that" in objections
    assert "The start, 2024-05-01, is past." in objections


def test_a_preview_objects_to_an_experiment_of_the_same_customers_and_days(
    workbench_at: WorkbenchAt,
) -> None:
    workbench = workbench_at("assigned")
    treated = set.union(
        *(sw.people(workbench, f"experiment:{sw.NAME}", variant) for variant in sw.SHARES)
    )
    path = sw.write_experiment(workbench.settings.folder, "second")
    (objection,) = workbench.experiment("second").plan(as_of=sw.ASSIGNED_AT).objections
    assert objection.startswith(
        f"{len(treated):,} of {len(treated):,} customers to be treated take part in"
        f" '{sw.NAME}' as well (2024-05-01 to 2024-05-28)"
    )
    own = workbench.experiment(sw.NAME).plan(as_of=sw.ASSIGNED_AT)
    assert own.objections == ()
    later = path.read_text("utf-8").replace("2024-05-01", "2024-05-29")
    path.write_text(later.replace("2024-05-28", "2024-06-20"), "utf-8")
    assert workbench.experiment("second").plan(as_of=sw.ASSIGNED_AT).objections == ()


def test_a_preview_is_silent_about_the_other_part_of_a_layer(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("drawn")
    for name, part in (("first", "from: 0, to: 0.5"), ("second", "from: 0.5, to: 1")):
        extra = f"layer: {{name: spring, {part}}}\n"
        sw.write_experiment(workbench.settings.folder, name, extra=extra)
    workbench.experiment("first").assign(as_of=sw.ASSIGNED_AT)
    shown = workbench.experiment("second").plan(as_of=sw.ASSIGNED_AT)
    assert "take part in" not in " ".join(shown.objections)


def test_a_changed_control_group_is_named_where_the_plan_was_registered(
    workbench_at: WorkbenchAt,
) -> None:
    workbench = workbench_at("drawn")
    workbench.experiment(sw.NAME).register(by="Anna", as_of=sw.ASSIGNED_AT)
    sw.write_settings(workbench.settings.folder, share=0.3)
    with pytest.raises(LedgerError) as caught:
        workbench.experiment(sw.NAME).assign(as_of=sw.ASSIGNED_AT)
    (fault,) = caught.value.faults
    assert fault.where == "experiments/control_group.yml"
    assert "(control_share: registered 20 %, found 30 %)" in fault.found
    assert f"experiment status {sw.NAME} --to draft --by NAME && crm-lab" in fault.remedy
    sw.write_settings(workbench.settings.folder)
    sw.write_experiment(workbench.settings.folder, extra="alpha: 0.1\n")
    with pytest.raises(LedgerError, match=rf"^experiments/{sw.NAME}\.yml: .*alpha: registered"):
        workbench.experiment(sw.NAME).assign(as_of=sw.ASSIGNED_AT)


def test_the_curve_falls_as_the_control_group_grows(workbench_at: WorkbenchAt) -> None:
    power = workbench_at("drawn").experiment(sw.NAME).plan(as_of=sw.ASSIGNED_AT).power
    small = power.curve[power.curve["control_share"] < 0.2]["relative"]
    assert small.is_monotonic_decreasing
    arms = {(arm, metric) for arm, metric, _ in power.rows}
    assert arms == {
        (arm, metric)
        for arm in sw.SHARES
        for metric in ("revenue_per_customer", "conversion", "orders_per_customer")
    }


def test_a_changed_plan_in_the_ledger_is_noticed(
    workbench_at: WorkbenchAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    workbench = workbench_at("assigned")
    monkeypatch.setattr(Plan, "sha256", property(lambda self: "0" * 64))
    with pytest.raises(LedgerError, match="does not fit its hash"):
        workbench.experiment(sw.NAME).registered()


def test_two_workbenches_of_one_folder_read_the_same_plan(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("assigned")
    again = open_workbench(workbench.settings.folder).experiment(sw.NAME).registered()
    assert again == workbench.experiment(sw.NAME).registered()
    assert dataclasses.asdict(again)["shares"] == sw.SHARES
