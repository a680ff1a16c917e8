"""Pre-registration, the status machine, decisions, and the register of experiments."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from crm_lab.errors import BusyError, CrmLabError, DesignError, LedgerError
from crm_lab.experiments.control_group_spec import ControlGroupSpec
from crm_lab.experiments.differences import plan_differences
from crm_lab.experiments.enrolment import registered_plan
from crm_lab.experiments.overview import build_registry
from crm_lab.experiments.plan import Plan, resolve
from crm_lab.experiments.registry import (
    TRANSITIONS,
    Status,
    change_status,
    current_status,
    record_decision,
    register_plan,
    status_history,
)
from crm_lab.experiments.spec import ArmSpec, ExperimentSpec
from crm_lab.gateway import Gateway
from crm_lab.gateway.store import Store
from crm_lab.language import using_language
from crm_lab.workbench import Workbench
from tests.experiments import shop_workbench as sw

NOW = datetime(2024, 4, 20, 9, 30)
AFTER = datetime(2024, 6, 30)
CONTROL = ControlGroupSpec(salt="2024")


def spec_of(name: str = "spring", **changed: object) -> ExperimentSpec:
    values: dict[str, object] = {
        "name": name,
        "title": f"Mailing {name}",
        "hypothesis": "It works.",
        "owner": "Anna",
        "starts_on": date(2024, 5, 1),
        "ends_on": date(2024, 5, 28),
        "arms": {
            "a": ArmSpec(share=0.5, message="a-1"),
            "b": ArmSpec(share=0.5, message="b-1"),
        },
    }
    return ExperimentSpec.model_validate(values | changed)


def plan_of(name: str = "spring", *, timezone: str = "UTC", **changed: object) -> Plan:
    return resolve(spec_of(name, **changed), CONTROL, timezone=timezone, currency="EUR")


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    Store.create(tmp_path / "gateway")
    return Gateway(tmp_path / "gateway", currency="EUR")


def drawn(gateway: Gateway, name: str = "spring") -> None:
    payload = {"at": NOW.isoformat(), "arms": {"control": 5, "a": 50, "b": 45}, "epoch": "g-1"}
    gateway.record("arms_assigned", name, payload)


def exported(gateway: Gateway, name: str = "spring") -> None:
    gateway.record("list_exported", name, {"at": NOW.isoformat(), "files": {}})


def bring_to(gateway: Gateway, status: Status, name: str = "spring") -> None:
    """The shortest honest way to a status."""
    register_plan(gateway, plan_of(name), by="Anna", at=NOW)
    drawn(gateway, name)
    for step in ("approved", "running", "closed"):
        if current_status(gateway, name) == status:
            break
        change_status(gateway, name, step, by="Boris", at=NOW)


def kinds(gateway: Gateway) -> list[str]:
    return [entry.kind for entry in gateway.entries()]


# --- status ------------------------------------------------------------------------------------


def test_an_untouched_experiment_is_a_draft(gateway: Gateway) -> None:
    assert current_status(gateway, "spring") == "draft"
    assert status_history(gateway, "spring") == ()


def test_the_whole_way_is_in_the_ledger_with_who_and_when(gateway: Gateway) -> None:
    sha256 = register_plan(gateway, plan_of(), by="Anna", at=NOW)
    drawn(gateway)
    for day, (to, by) in enumerate(
        [("approved", "Boris"), ("running", "Anna"), ("closed", "Vera")]
    ):
        at = NOW + timedelta(days=day)
        change = change_status(gateway, "spring", to, by=by, at=at, note=f"note {day}")
        assert (change.to_status, change.by, change.at, change.note) == (to, by, at, f"note {day}")
        assert current_status(gateway, "spring") == to
    entries = gateway.entries(kind="status_changed", subject="spring")
    assert [(e.payload["from"], e.payload["to"]) for e in entries] == [
        ("draft", "approved"),
        ("approved", "running"),
        ("running", "closed"),
    ]
    assert {e.payload["plan_sha256"] for e in entries} == {sha256}
    assert [c.by for c in status_history(gateway, "spring")] == ["Boris", "Anna", "Vera"]
    assert gateway.verify() == []


ALL: tuple[Status, ...] = tuple(TRANSITIONS)
WRONG = [(a, b) for a in ALL for b in ALL if b not in TRANSITIONS[a]]


@pytest.mark.parametrize(("now", "to"), WRONG)
def test_impossible_changes_are_refused_and_leave_the_ledger_alone(
    gateway: Gateway, now: Status, to: Status
) -> None:
    bring_to(gateway, now)
    before = gateway.ledger_head()
    with pytest.raises(LedgerError, match=f"cannot go from '{now}' to '{to}'") as caught:
        change_status(gateway, "spring", to, by="Anna", at=NOW)
    expected = caught.value.faults[0].expected
    assert all(status in expected for status in TRANSITIONS[now])
    assert expected.startswith("nothing") == (now == "closed")
    assert gateway.ledger_head() == before


def test_approving_needs_a_plan_and_running_needs_arms(gateway: Gateway) -> None:
    with pytest.raises(LedgerError, match=r"to 'approved': no plan is registered.*Expected: appr"):
        change_status(gateway, "spring", "approved", by="Anna", at=NOW)
    register_plan(gateway, plan_of(), by="Anna", at=NOW)
    change_status(gateway, "spring", "approved", by="Anna", at=NOW)
    with pytest.raises(LedgerError, match=r"to 'running': no arms are drawn yet\. Expected: draft"):
        change_status(gateway, "spring", "running", by="Anna", at=NOW)


def test_what_was_not_sent_goes_back_to_draft_and_what_was_sent_does_not(gateway: Gateway) -> None:
    bring_to(gateway, "approved")
    change_status(gateway, "spring", "draft", by="Boris", at=NOW)
    change_status(gateway, "spring", "approved", by="Boris", at=NOW)
    exported(gateway)
    with pytest.raises(LedgerError, match=r"its list was exported.*Expected: running"):
        change_status(gateway, "spring", "draft", by="Boris", at=NOW)


def test_a_change_before_the_last_one_is_refused(gateway: Gateway) -> None:
    bring_to(gateway, "approved")
    with pytest.raises(LedgerError, match="is dated 2024-04-20 09:29, before its last one"):
        change_status(gateway, "spring", "running", by="Anna", at=NOW - timedelta(minutes=1))


@pytest.mark.parametrize(
    ("by", "at", "message"),
    [("  ", NOW, "nobody is named"), ("Anna", NOW.astimezone(), "has a zone")],
)
def test_every_act_is_signed_and_dated(
    gateway: Gateway, by: str, at: datetime, message: str
) -> None:
    bring_to(gateway, "running")
    before = gateway.ledger_head()
    with pytest.raises(DesignError, match=message):
        change_status(gateway, "spring", "closed", by=by, at=at)
    with pytest.raises(DesignError, match=message):
        register_plan(gateway, plan_of(), by=by, at=at)
    with pytest.raises(DesignError, match=message):
        record_decision(gateway, "spring", decision="ship", by=by, at=at, snapshot="3-ab")
    assert gateway.ledger_head() == before


def test_of_two_who_approve_at_the_same_moment_one_is_told(gateway: Gateway) -> None:
    register_plan(gateway, plan_of(), by="Anna", at=NOW)
    barrier = threading.Barrier(2)

    def approve(name: str) -> str:
        barrier.wait()
        try:
            change_status(gateway, "spring", "approved", by=name, at=NOW)
        except (LedgerError, BusyError) as problem:
            return type(problem).__name__
        return "won"

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(approve, ["Anna", "Boris"]))
    assert outcomes in (["LedgerError", "won"], ["BusyError", "won"])
    assert kinds(gateway).count("status_changed") == 1


def test_the_ledger_is_read_again_under_the_lock(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody registers between the first look and the lock: the second look counts."""
    append = Gateway.append

    def overtaken(self: Gateway, *args: object, **kwargs: object) -> object:
        monkeypatch.setattr(Gateway, "append", append)
        register_plan(gateway, plan_of(), by="Boris", at=NOW)
        change_status(gateway, "spring", "approved", by="Boris", at=NOW)
        return append(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Gateway, "append", overtaken)
    with pytest.raises(LedgerError, match="another plan of 'spring' is registered"):
        register_plan(gateway, plan_of(alpha=0.1), by="Anna", at=NOW)
    assert kinds(gateway) == ["plan_registered", "status_changed"]


# --- registration ------------------------------------------------------------------------------


def test_a_registered_plan_is_read_back_whole(gateway: Gateway) -> None:
    plan = plan_of()
    assert register_plan(gateway, plan, by="Anna", at=NOW) == plan.sha256
    (entry,) = gateway.entries(kind="plan_registered")
    assert entry.subject == "spring"
    assert entry.payload == {
        "sha256": plan.sha256,
        "plan": plan.to_payload(),
        "by": "Anna",
        "at": "2024-04-20T09:30:00",
    }
    assert registered_plan(gateway, "spring") == plan


@pytest.mark.parametrize("status", ALL)
def test_the_same_plan_again_changes_nothing(gateway: Gateway, status: Status) -> None:
    bring_to(gateway, status)
    before, snapshot = gateway.ledger_head(), gateway.snapshot().snapshot_id
    assert register_plan(gateway, plan_of(), by="Vera", at=AFTER) == plan_of().sha256
    assert gateway.ledger_head() == before
    assert gateway.snapshot().snapshot_id == snapshot


def test_a_draft_may_be_registered_anew_and_both_plans_stay(gateway: Gateway) -> None:
    first, second = plan_of(), plan_of(alpha=0.1)
    register_plan(gateway, first, by="Anna", at=NOW)
    register_plan(gateway, second, by="Boris", at=NOW)
    assert registered_plan(gateway, "spring") == second
    entries = gateway.entries(kind="plan_registered", subject="spring")
    assert [entry.payload["sha256"] for entry in entries] == [first.sha256, second.sha256]


def test_another_plan_is_refused_once_approved(gateway: Gateway) -> None:
    register_plan(gateway, plan_of(), by="Anna", at=NOW)
    change_status(gateway, "spring", "approved", by="Boris", at=NOW)
    with pytest.raises(LedgerError, match=r"alpha: registered 0\.05, found 0\.1.*back to draft"):
        register_plan(gateway, plan_of(alpha=0.1), by="Anna", at=NOW)
    assert kinds(gateway) == ["plan_registered", "status_changed"]
    change_status(gateway, "spring", "draft", by="Boris", at=NOW)
    register_plan(gateway, plan_of(alpha=0.1), by="Anna", at=NOW)
    assert kinds(gateway)[-1] == "plan_registered"


def test_another_plan_is_refused_once_arms_are_drawn(gateway: Gateway) -> None:
    bring_to(gateway, "draft")
    with pytest.raises(LedgerError, match=r"arms drawn.*give the changed experiment a new name"):
        register_plan(gateway, plan_of(alpha=0.1), by="Anna", at=NOW)
    assert kinds(gateway) == ["plan_registered", "arms_assigned"]


def test_the_order_of_the_arms_makes_another_plan(gateway: Gateway) -> None:
    """Arms own runs of buckets in their order, so the other order assigns other people."""
    arms = {name: ArmSpec(share=0.5, message=f"{name}-1") for name in ("b", "a")}
    register_plan(gateway, plan_of(), by="Anna", at=NOW)
    change_status(gateway, "spring", "approved", by="Anna", at=NOW)
    with pytest.raises(LedgerError, match=r"shares \(order\): registered 'a', 'b', found 'b', 'a'"):
        register_plan(gateway, plan_of(arms=arms), by="Anna", at=NOW)


def test_a_plan_is_not_registered_after_its_window(gateway: Gateway) -> None:
    end = plan_of().ends_at
    with pytest.raises(LedgerError, match="its outcome could be known"):
        register_plan(gateway, plan_of(), by="Anna", at=end)
    register_plan(gateway, plan_of(), by="Anna", at=end - timedelta(seconds=1))


# --- differences -------------------------------------------------------------------------------


def test_equal_plans_do_not_differ() -> None:
    assert plan_differences(plan_of(), plan_of()) == ()


def test_every_field_of_a_plan_is_compared() -> None:
    plan = plan_of()
    for field in dataclasses.fields(Plan):
        value = getattr(plan, field.name)
        changed: object = object()
        if isinstance(value, dict):
            changed = {**value, "z": 0.25}
        elif isinstance(value, datetime):
            changed = value + timedelta(days=1)
        found = plan_differences(plan, dataclasses.replace(plan, **{field.name: changed}))
        assert [difference.key.partition(".")[0] for difference in found] == [field.name]


def test_differences_are_said_in_words() -> None:
    arms = {
        "a": ArmSpec(share=0.3, message="a-1"),
        "c": ArmSpec(share=0.3333, message="c-1"),
    }
    other = plan_of(
        arms=arms,
        ends_on=date(2024, 6, 4),
        costs={"margin_share": 0.4},
        metrics={"primary": "conversion", "secondary": []},
        pre_period_days=0,
    )
    found = {str(difference) for difference in plan_differences(plan_of(), other)}
    assert {
        "shares.a: registered 50 %, found 30 %",
        "shares.b: registered 50 %, found nothing",
        "shares.c: registered nothing, found 33.33 %",
        "messages.c: registered nothing, found 'c-1'",
        "ends_at: registered 2024-05-29 00:00 UTC, found 2024-06-05 00:00 UTC",
        "margin_share: registered nothing, found 40 %",
        "primary_metric: registered 'revenue_per_customer', found 'conversion'",
        "secondary_metrics: registered 'conversion', found nothing",
        "is_adjusted: registered yes, found no",
    } <= found


# --- decisions ---------------------------------------------------------------------------------


def test_a_decision_says_what_it_rests_on(gateway: Gateway) -> None:
    bring_to(gateway, "running")
    record_decision(
        gateway,
        "spring",
        decision="cannot conclude",
        by="Vera",
        at=AFTER,
        note="too few controls",
        result_sha256="ab" * 32,
    )
    (entry,) = gateway.entries(kind="decision", subject="spring")
    assert entry.payload == {
        "decision": "cannot conclude",
        "by": "Vera",
        "at": AFTER.isoformat(),
        "note": "too few controls",
        "plan_sha256": plan_of().sha256,
        "result_sha256": "ab" * 32,
        "snapshot": None,
        "before_end": False,
    }
    assert current_status(gateway, "spring") == "running"


def test_a_decision_closes_when_asked_and_is_then_the_last(gateway: Gateway) -> None:
    bring_to(gateway, "running")
    signed = {"by": "Vera", "at": AFTER, "snapshot": "3-ab"}
    record_decision(gateway, "spring", decision="continue", **signed)
    record_decision(gateway, "spring", decision="ship", close=True, **signed)
    assert current_status(gateway, "spring") == "closed"
    assert status_history(gateway, "spring")[-1].note == "decided: ship"
    with pytest.raises(LedgerError, match="is closed with the decision 'ship'"):
        record_decision(gateway, "spring", decision="stop", **signed)


def test_what_was_closed_without_a_decision_can_still_be_evaluated(gateway: Gateway) -> None:
    bring_to(gateway, "closed")
    record_decision(
        gateway, "spring", decision="stop", by="Vera", at=AFTER, snapshot="3-ab", close=True
    )
    assert kinds(gateway)[-1] == "decision"


@pytest.mark.parametrize("status", ["draft", "approved"])
def test_a_decision_that_cannot_close_is_not_written_either(
    gateway: Gateway, status: Status
) -> None:
    bring_to(gateway, status)
    before = gateway.ledger_head()
    with pytest.raises(LedgerError, match=f"cannot go from '{status}' to 'closed'"):
        record_decision(
            gateway, "spring", decision="ship", by="Vera", at=AFTER, snapshot="3-ab", close=True
        )
    assert gateway.ledger_head() == before


def test_a_decision_starts_what_was_sent_and_closes_it(gateway: Gateway) -> None:
    bring_to(gateway, "approved")
    exported(gateway)
    record_decision(
        gateway, "spring", decision="ship", by="Vera", at=AFTER, snapshot="3-ab", close=True
    )
    steps = status_history(gateway, "spring")[1:]
    assert [(step.from_status, step.to_status, step.by, step.note) for step in steps] == [
        ("approved", "running", "Vera", "its list was exported and its window has begun"),
        ("running", "closed", "Vera", "decided: ship"),
    ]
    assert kinds(gateway)[-3:] == ["decision", "status_changed", "status_changed"]


def test_a_decision_before_the_window_starts_nothing(gateway: Gateway) -> None:
    bring_to(gateway, "approved")
    exported(gateway)
    signed = {"decision": "stop", "by": "Vera", "snapshot": "3-ab", "close": True}
    with pytest.raises(LedgerError, match="cannot go from 'approved' to 'closed'"):
        record_decision(gateway, "spring", at=NOW, **signed)  # type: ignore[arg-type]


STATUS = "crm-lab experiment status spring"


@pytest.mark.parametrize(
    ("now", "to", "remedy"),
    [
        ("approved", "closed", f"run first: {STATUS} --to running --by 'Anna B.'"),
        ("draft", "closed", f"run first: {STATUS} --to approved --by 'Anna B.'"),
        ("closed", "running", ""),
        ("running", "draft", ""),
    ],
)
def test_a_refused_change_names_the_command_of_the_next_step(
    gateway: Gateway, now: Status, to: Status, remedy: str
) -> None:
    bring_to(gateway, now)
    with pytest.raises(LedgerError) as caught:
        change_status(gateway, "spring", to, by="Anna B.", at=NOW)
    assert caught.value.faults[0].remedy == remedy


def test_a_refused_change_names_the_step_that_is_missing_before_it(gateway: Gateway) -> None:
    with pytest.raises(
        LedgerError, match="run first: crm-lab experiment register spring --by Anna"
    ):
        change_status(gateway, "spring", "running", by="Anna", at=NOW)
    register_plan(gateway, plan_of(), by="Anna", at=NOW)
    change_status(gateway, "spring", "approved", by="Anna", at=NOW)
    with pytest.raises(LedgerError, match="run first: crm-lab experiment assign spring"):
        change_status(gateway, "spring", "closed", by="Anna", at=NOW)


def test_a_refused_change_speaks_of_statuses_as_the_table_does(gateway: Gateway) -> None:
    bring_to(gateway, "approved")
    with using_language("ru"), pytest.raises(LedgerError) as caught:
        change_status(gateway, "spring", "closed", by="Анна", at=NOW)
    assert str(caught.value) == (
        "«spring» нельзя перевести из «утверждён» в «закрыт». Ожидалось: идёт или черновик."
        f" Что делать: сначала выполните: {STATUS} --to running --by Анна."
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"decision": "shipped"}, "'shipped' is no decision"),
        ({"snapshot": ""}, "rests on no result"),
        ({"decision": "continue", "close": True}, "cannot be continued and closed"),
    ],
)
def test_a_decision_that_says_nothing_is_refused(
    gateway: Gateway, changed: dict[str, object], message: str
) -> None:
    bring_to(gateway, "running")
    given = {"decision": "ship", "by": "Vera", "at": AFTER, "snapshot": "3-ab"} | changed
    with pytest.raises(DesignError, match=message):
        record_decision(gateway, "spring", **given)


def test_nothing_is_decided_before_anybody_was_assigned(gateway: Gateway) -> None:
    given = {"decision": "ship", "by": "Vera", "at": AFTER, "snapshot": "3-ab"}
    with pytest.raises(CrmLabError, match="'spring' was never"):
        record_decision(gateway, "spring", **given)  # type: ignore[arg-type]
    register_plan(gateway, plan_of(), by="Anna", at=NOW)
    with pytest.raises(LedgerError, match="nobody was assigned to 'spring'"):
        record_decision(gateway, "spring", **given)  # type: ignore[arg-type]


# --- the registry ------------------------------------------------------------------------------


def test_an_empty_registry_says_so(gateway: Gateway) -> None:
    registry = build_registry(gateway, {}, as_of=NOW)
    assert registry.sentence() == "There is no experiment yet."
    assert registry.to_frame().empty
    assert "evaluation" in registry.to_frame().columns
    assert registry._repr_html_()


def test_the_registry_names_what_nobody_evaluated(gateway: Gateway) -> None:
    for name in ("decided", "forgotten", "dropped"):
        bring_to(gateway, "running", name)
        exported(gateway, name)
    record_decision(gateway, "decided", decision="ship", by="V", at=AFTER, snapshot="3", close=True)
    change_status(gateway, "dropped", "closed", by="V", at=NOW)
    later = {"starts_on": date(2024, 9, 1), "ends_on": date(2024, 9, 28)}
    specs = {
        "decided": spec_of("decided"),
        "forgotten": spec_of("forgotten"),
        "written": spec_of("written", owner="Boris"),
        "planned": spec_of("planned", **later),
    }
    registry = build_registry(gateway, specs, as_of=AFTER)
    found = registry.to_frame().set_index("name")
    assert list(found["evaluation"].sort_index().items()) == [
        ("decided", "decided"),
        ("dropped", "never evaluated"),
        ("forgotten", "never evaluated"),
        ("planned", "open"),
        ("written", "never started"),
    ]
    assert found.loc["decided", "assigned_customers"] == 100
    assert found.loc["written", "assigned_customers"] == 0
    assert found.loc["decided", "decision"] == "ship"
    assert found.loc["decided", "status"] == "closed"
    assert bool(found.loc["forgotten", "list_exported"])
    assert not found.loc["dropped", "has_file"]
    assert found.loc["written", "owner"] == "Boris"
    assert registry.rows[0].name == "planned"
    assert registry.sentence() == (
        "5 experiments: 2 draft, 1 running, 2 closed. Never evaluated: dropped, forgotten."
        " 2 other points to look at: written: its window ended on 2024-05-28 and nobody was"
        " assigned. dropped stands in the ledger and has no file."
    )
    assert registry.attention == (
        "dropped ended on 2024-05-28 and was never evaluated (Anna).",
        "forgotten ended on 2024-05-28 and was never evaluated (Anna).",
        "written: its window ended on 2024-05-28 and nobody was assigned.",
        "dropped stands in the ledger and has no file.",
    )
    assert "forgotten" in registry._repr_html_()


@pytest.mark.parametrize(
    ("timezone", "first"), [("UTC", 0), ("Europe/Moscow", -3), ("America/New_York", 4)]
)
def test_a_window_ends_with_the_last_day_of_the_company(
    gateway: Gateway, timezone: str, first: int
) -> None:
    register_plan(gateway, plan_of(timezone=timezone), by="Anna", at=NOW)
    drawn(gateway)
    end = datetime(2024, 5, 29) + timedelta(hours=first)
    specs = {"spring": spec_of(), "written": spec_of("written")}
    for as_of, expected in (
        (end - timedelta(seconds=1), ["open", "open"]),
        (end, ["never evaluated", "never started"]),
    ):
        registry = build_registry(gateway, specs, as_of=as_of, timezone=timezone)
        assert sorted(row.evaluation for row in registry.rows) == expected
        assert {(row.first_day, row.last_day) for row in registry.rows} == {
            ("2024-05-01", "2024-05-28")
        }


def test_the_registry_shows_where_a_file_departs_from_its_plan(gateway: Gateway) -> None:
    bring_to(gateway, "approved")
    specs = {"spring": spec_of(alpha=0.1)}
    plans = {"spring": plan_of(alpha=0.1)}
    registry = build_registry(gateway, specs, as_of=NOW, file_plans=plans)
    assert registry.attention == (
        "spring: the file departs from the registered plan"
        " (alpha: registered 0.05, found 0.1, alpha_per_arm: registered 0.025, found 0.05).",
    )
    same = build_registry(gateway, specs, as_of=NOW, file_plans={"spring": plan_of()})
    assert same.attention == ()


def test_the_registry_sees_what_went_past_the_rules(gateway: Gateway) -> None:
    start = plan_of().starts_at
    register_plan(gateway, plan_of(), by="Anna", at=start + timedelta(hours=1))
    drawn(gateway)
    exported(gateway)
    record_decision(
        gateway, "spring", decision="ship", by="V", at=start + timedelta(days=2), snapshot="3"
    )
    registry = build_registry(gateway, {"spring": spec_of()}, as_of=AFTER)
    assert registry.attention == (
        "spring: 'ship' was decided before its window ended.",
        "spring: its plan was registered after its start on 2024-05-01.",
        "spring was sent while its status is 'draft'.",
    )


def test_the_registry_of_a_real_workbench(workbench_at: Callable[[str], Workbench]) -> None:
    workbench = workbench_at("exported")
    spec = workbench.experiment(sw.NAME).spec
    registry = build_registry(workbench.gateway, {sw.NAME: spec}, as_of=sw.ENDS_AT)
    (row,) = registry.rows
    with workbench.gateway.reader() as reader:
        counted = reader.integer(
            f"select count(*) from assignment where scope = 'experiment:{sw.NAME}'"
        )
    assert row.assigned == counted > 1_000
    assert row.registered_at == sw.ASSIGNED_AT
    assert row.is_exported
    assert registry.never_evaluated == (sw.NAME,)
    for to in ("approved", "running"):
        change_status(workbench.gateway, sw.NAME, to, by="Anna", at=sw.ASSIGNED_AT)
    record_decision(
        workbench.gateway,
        sw.NAME,
        decision="ship",
        by="Anna",
        at=sw.ENDS_AT,
        snapshot=workbench.snapshot().label,
        close=True,
    )
    after = build_registry(workbench.gateway, {sw.NAME: spec}, as_of=sw.ENDS_AT)
    assert after.never_evaluated == ()
    assert (
        after.sentence() == "1 experiment: 1 closed. Every experiment that has ended was evaluated."
    )
    assert workbench.gateway.verify() == []
