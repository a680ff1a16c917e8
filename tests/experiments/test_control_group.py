"""The standing control group: drawn by the hash alone, joined at one rate, never changed."""

from __future__ import annotations

import dataclasses
import math
import shutil
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crm_lab.errors import BusyError, DesignError, LedgerError
from crm_lab.experiments.assignment import bucket_of
from crm_lab.experiments.control_group import balance_table
from crm_lab.experiments.outlook import detectable_effects
from crm_lab.gateway import Gateway
from crm_lab.gateway.store import Store
from crm_lab.simulation.shops import Shares, Shop, make_shop
from crm_lab.workbench import Workbench, open_workbench
from tests.experiments import shop_workbench as sw

ALMOST_NEVER = 1e-4
EPOCH = "epoch:global-1"

WorkbenchAt = Callable[[str], Workbench]
MakeWorkbench = Callable[..., Workbench]
MakeShop = Callable[..., Shop]


def eligible_by_hand(shop: Shop, as_of: datetime) -> set[str]:
    """Who may be contacted, from the shop's own frames and without SQL."""
    people = set(shop.customers.loc[shop.customers["created_at"] <= as_of, "customer_id"])
    points = shop.contact_points
    people &= set(points.loc[points["status"] == "valid", "customer_id"])
    consents = shop.consents[shop.consents["at"] <= as_of].sort_values("at", kind="stable")
    last = consents.groupby("customer_id")["action"].last()
    people &= set(last.index[last == "granted"])
    stopped = shop.suppressions
    return people - set(stopped.loc[stopped["from_at"] <= as_of, "customer_id"])


def test_members_are_exactly_the_eligible_and_arms_those_of_the_hash(
    workbench_at: WorkbenchAt, shop: Shop
) -> None:
    workbench = workbench_at("drawn")
    found = {who: variant for (_, who), variant in sw.assignment(workbench, EPOCH).items()}
    assert set(found) == eligible_by_hand(shop.until(sw.STARTS_AT), sw.DRAWN_AT)
    end = sw.CONTROL_SHARE * 10_000
    expected = {who: "control" if bucket_of(sw.SALT, who) < end else "treatment" for who in found}
    assert found == expected


def test_the_drawn_share_is_within_binomial_limits(workbench_at: WorkbenchAt) -> None:
    status = workbench_at("drawn").control_group().status(as_of=sw.DRAWN_AT)
    total = status.controls + status.treatable
    test = stats.binomtest(status.controls, total, sw.CONTROL_SHARE)
    assert test.pvalue > ALMOST_NEVER
    assert status.ratio.p_value > ALMOST_NEVER
    assert f"{status.controls:,} of {total:,} customers" in status.sentence()
    assert status.faults == ()
    assert status.verdict == "group sound"
    assert [light.name for light in status.lights] == [
        "Sample ratio",
        "Balance before the start",
        "Ledger and files",
    ]


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({"touched": 0}, "group sound"),
        ({"touched": 1}, "group doubtful"),
        ({"touched": 10_000}, "group broken"),
        ({"faults": ("a file is gone",)}, "group broken"),
    ],
)
def test_the_verdict_on_the_group(
    workbench_at: WorkbenchAt, changed: dict[str, Any], verdict: str
) -> None:
    status = workbench_at("drawn").control_group().status(as_of=sw.DRAWN_AT)
    found = dataclasses.replace(status, **changed)
    assert found.verdict == verdict
    assert found.to_dict()["verdict"] == verdict
    assert found.to_dict()["lights"][-1]["detail"] == (
        "; ".join(found.faults) or "ledger and files are sound"
    )


@pytest.mark.parametrize(
    ("worst", "sizes", "tone", "errors"),
    [
        (0.161, (392, 1540), "good", "2.8"),
        (0.161, (784, 3080), "unsure", "4.0"),
        (0.21, (100, 1000), "unsure", "2.0"),
        (0.04, (10_000, 190_000), "unsure", "3.9"),
    ],
)
def test_balance_is_judged_by_its_size_and_by_chance(
    workbench_at: WorkbenchAt, worst: float, sizes: tuple[int, int], tone: str, errors: str
) -> None:
    status = workbench_at("drawn").control_group().status(as_of=sw.DRAWN_AT)
    balance = status.balance.assign(**{"standardised difference": [0.0, -worst, 0.01]})
    found = dataclasses.replace(status, balance=balance, controls=sizes[0], treatable=sizes[1])
    light = next(light for light in found.lights if light.name == "Balance before the start")
    assert light.tone == tone
    assert f"{errors} standard errors for groups of this size (limits 0.2 and 3)" in light.detail
    assert (f"The difference is {errors} standard errors" in found.sentence()) == (tone == "unsure")


def test_a_draw_of_a_handful_warns_and_says_what_helps(
    make_workbench: MakeWorkbench, small_shop: MakeShop
) -> None:
    group = make_workbench(small_shop(74), share=0.05).control_group()
    helps = "What helps: hold out a larger share, watch longer, or pool campaigns."
    told = group.outlook(as_of=sw.DRAWN_AT).sentence()
    assert "Only 4 controls." in told
    assert told.endswith(helps)
    drawn = group.draw(as_of=sw.DRAWN_AT)
    assert f"Only {drawn.controls} control" in drawn.sentence()
    assert "Even in 13 weeks only a change above +" in drawn.sentence()
    assert drawn.sentence().endswith(helps)
    assert drawn.verdict == "group doubtful"
    assert any(light.name == "Power" and light.tone == "unsure" for light in drawn.lights)


def test_a_group_that_sees_enough_is_not_warned_of(workbench_at: WorkbenchAt) -> None:
    group = workbench_at("loaded").control_group()
    assert "What helps" not in group.outlook(as_of=sw.DRAWN_AT).sentence()
    assert group.draw(as_of=sw.DRAWN_AT).warning() == ""


def test_what_the_group_that_stands_would_see(workbench_at: WorkbenchAt) -> None:
    group = workbench_at("drawn").control_group()
    outlook = group.outlook(as_of=sw.DRAWN_AT, controls=57)
    assert outlook.control == 57
    assert {effect.n_control for _, _, effect in outlook.detectable} == {57}


def test_row_order_and_folder_make_no_difference(
    make_workbench: MakeWorkbench, small_shop: MakeShop
) -> None:
    shop = small_shop(300, exceptions=True)
    mixed = np.random.default_rng(5)
    frames = {
        name: getattr(shop, name).sample(frac=1, random_state=mixed)
        for name in ("customers", "contact_points", "consents", "suppressions", "orders")
    }
    found = []
    for version in (shop, dataclasses.replace(shop, **frames)):
        workbench = make_workbench(version)
        workbench.control_group().draw(as_of=sw.DRAWN_AT)
        found.append(sw.assignment(workbench))
    assert len(found[0]) > 200
    assert found[0] == found[1]


def test_newcomers_join_at_the_same_rate_and_nobody_changes(
    make_workbench: MakeWorkbench, small_shop: MakeShop
) -> None:
    workbench = make_workbench(small_shop(400), share=0.2)
    first = workbench.control_group().draw(as_of=sw.DRAWN_AT)
    before = sw.assignment(workbench)
    more = make_shop(
        600,
        rng=np.random.default_rng(9),
        starts_at=sw.DRAWN_AT + timedelta(days=1),
        days=5,
        joining_days=4,
        shares=sw.nobody_is_an_exception(),
        id_prefix="late",
    )
    sw.load(workbench, more, name="_late")
    later = workbench.control_group().draw(as_of=sw.STARTS_AT)
    after = sw.assignment(workbench)
    assert {key: after[key] for key in before} == before
    new = [after[key] for key in after if key not in before]
    assert len(new) == later.newcomers == later.joined == 600
    assert stats.binomtest(new.count("control"), 600, 0.2).pvalue > ALMOST_NEVER
    assert later.controls == first.controls + new.count("control")
    assert later.epoch == first.epoch


def test_a_draw_without_newcomers_changes_nothing(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("drawn")
    before = sw.state(workbench)
    again = workbench.control_group().draw(as_of=sw.DRAWN_AT)
    assert again.joined == 0
    assert sw.state(workbench) == before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"share": 0.1}, "share 0.2 \\(the file says 0.1\\)"),
        ({"salt": "other"}, "salt 2024 \\(the file says other\\)"),
    ],
)
def test_a_changed_rule_is_refused(
    workbench_at: WorkbenchAt, changed: dict[str, Any], message: str
) -> None:
    workbench = workbench_at("drawn")
    before = sw.state(workbench)
    sw.write_settings(workbench.settings.folder, **changed)
    with pytest.raises(LedgerError, match=message):
        workbench.control_group().draw(as_of=sw.STARTS_AT)
    assert sw.state(workbench) == before


@pytest.mark.parametrize("shares", [{"no_consent": 1.0}, {"no_address": 1.0}, {"bounced": 1.0}])
def test_a_base_that_nobody_may_contact_is_refused(
    make_workbench: MakeWorkbench, shares: dict[str, float]
) -> None:
    workbench = make_workbench(make_shop(40, rng=np.random.default_rng(1), shares=Shares(**shares)))
    before = sw.state(workbench)
    with pytest.raises(LedgerError, match="nobody may be contacted"):
        workbench.control_group().draw(as_of=sw.DRAWN_AT)
    assert sw.state(workbench) == before
    assert workbench.gateway.entries() == []


def test_a_base_before_its_first_customer_is_empty(
    make_workbench: MakeWorkbench, small_shop: MakeShop
) -> None:
    workbench = make_workbench(small_shop(20))
    with pytest.raises(LedgerError, match="nobody may be contacted"):
        workbench.control_group().draw(as_of=datetime(2023, 1, 1))


def before_its_write(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something in the moment between a command's first look and its write."""
    write = Gateway.append
    pending = [act]

    def late(self: Gateway, *arguments: Any, **options: Any) -> Any:
        while pending:
            pending.pop()()
        return write(self, *arguments, **options)

    monkeypatch.setattr(Gateway, "append", late)


def test_of_two_draws_at_the_same_moment_one_wins_and_the_other_is_told(
    workbench_at: WorkbenchAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    workbench = workbench_at("loaded")
    other = open_workbench(workbench.settings.folder)
    before_its_write(monkeypatch, lambda: other.control_group().draw(as_of=sw.DRAWN_AT))
    with pytest.raises(LedgerError, match="was drawn in this moment by another process"):
        workbench.control_group().draw(as_of=sw.DRAWN_AT)
    assert len(workbench.gateway.entries(kind="epoch_opened")) == 1
    assert len(workbench.gateway.entries(kind="members_drawn")) == 1


def test_newcomers_who_just_joined_elsewhere_join_once(
    make_workbench: MakeWorkbench, small_shop: MakeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = small_shop(80, joining_days=100)
    workbench = make_workbench(shop)
    early, late = datetime(2024, 2, 1), datetime(2024, 4, 1)
    workbench.control_group().draw(as_of=early)
    other = open_workbench(workbench.settings.folder)
    before_its_write(monkeypatch, lambda: other.control_group().draw(as_of=late))
    found = workbench.control_group().draw(as_of=late)
    assert found.controls + found.treatable == len(eligible_by_hand(shop, late))
    assert len(workbench.gateway.entries(kind="members_drawn")) == 2


def test_a_draw_while_another_process_writes_is_told_who(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("loaded")
    store = Store.open(workbench.settings.gateway_folder)
    with (
        store.write_lock("a long import"),
        pytest.raises(BusyError, match="a long import"),
    ):
        workbench.control_group().draw(as_of=sw.DRAWN_AT)
    assert workbench.gateway.entries() == []


def test_the_store_refuses_to_change_the_ledger(workbench_at: WorkbenchAt) -> None:
    manifest = workbench_at("drawn").settings.gateway_folder / "manifest.sqlite"
    with sqlite3.connect(manifest) as db:
        for statement in ("update ledger set subject = 'x'", "delete from ledger"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(statement)
    db.close()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("update ledger set payload = replace(payload, '0.2', '0.3') where seq = 1", "was altered"),
        ("delete from ledger where seq = 1", "missing"),
    ],
)
def test_verify_finds_an_altered_ledger(
    workbench_at: WorkbenchAt, statement: str, message: str
) -> None:
    workbench = workbench_at("drawn")
    assert workbench.gateway.verify() == []
    db = sqlite3.connect(workbench.settings.gateway_folder / "manifest.sqlite")
    names = db.execute("select name from sqlite_master where type = 'trigger'").fetchall()
    for (name,) in names:
        db.execute(f"drop trigger {name}")
    assert db.execute(statement).rowcount == 1
    db.commit()
    db.close()
    assert message in "; ".join(workbench.gateway.verify())


def test_verify_finds_members_that_were_exchanged(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("drawn")
    (file,) = (workbench.settings.gateway_folder / "facts" / "assignment").glob("*.parquet")
    frame = pd.read_parquet(file)
    frame["variant"] = "treatment"
    frame.to_parquet(file)
    assert any(file.name in wrong for wrong in workbench.gateway.verify())
    assert workbench.control_group().status(as_of=sw.DRAWN_AT).faults != ()


def test_a_group_that_was_never_drawn_has_no_status(workbench_at: WorkbenchAt) -> None:
    group = workbench_at("loaded").control_group()
    with pytest.raises(LedgerError, match=r"never drawn.*crm-lab control-group draw"):
        group.status()


def test_a_copied_folder_keeps_its_members(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("drawn")
    moved = workbench.settings.folder.with_name("moved")
    shutil.copytree(workbench.settings.folder, moved)
    assert sw.assignment(open_workbench(moved)) == sw.assignment(workbench)


def test_a_group_of_one_has_unknown_balance_and_is_not_called_balanced() -> None:
    before = pd.DataFrame(
        {
            "variant": ["control", "treatment", "treatment"],
            "pre_revenue": [5.0, 1.0, 2.0],
            "pre_orders": [1, 1, 2],
        }
    )
    assert balance_table(before)["standardised difference"].isna().all()


def test_balance_is_the_textbook_difference() -> None:
    before = pd.DataFrame(
        {
            "variant": ["control", "control", "treatment", "treatment"],
            "pre_revenue": [3.0, 5.0, 1.0, 3.0],
            "pre_orders": [2, 2, 2, 2],
        }
    )
    table = balance_table(before).set_index("covariate")["standardised difference"]
    assert table["revenue of 13 weeks"] == pytest.approx((4 - 2) / math.sqrt(2))
    assert table["orders of 13 weeks"] == 0


def test_a_shop_of_3000_subscribers_gets_the_honest_answer(make_workbench: MakeWorkbench) -> None:
    """150 controls at 10 % conversion cannot see less than about +85 % (reference/facts.md)."""
    rate = 1.2 * (0.9 ** (-1 / 1.2) - 1) / 28  # one customer in ten buys within four weeks
    shop = make_shop(
        3_000,
        rng=np.random.default_rng(4),
        days=56,
        joining_days=0,
        orders_per_customer_day=rate,
        shares=sw.nobody_is_an_exception(),
    )
    workbench = make_workbench(shop, share=0.05)
    outlook = workbench.control_group().outlook(as_of=datetime(2024, 2, 26))
    assert (outlook.eligible, outlook.control) == (3_000, 150)
    four_weeks = {metric: effect for weeks, metric, effect in outlook.detectable if weeks == 4}
    conversion = four_weeks["conversion"]
    assert conversion.base_value == pytest.approx(0.10, abs=0.015)
    assert conversion.relative == pytest.approx(0.85, abs=0.1)
    assert outlook.held_revenue_per_month > 0
    assert "about 150 controls" in outlook.sentence()


def test_exactly_300_buyers_of_3000_give_85_percent() -> None:
    frame = pd.DataFrame(
        {"orders": [1] * 300 + [0] * 2_700, "revenue": [50.0] * 300 + [0.0] * 2700}
    )
    found = detectable_effects(frame, n_treatment=2_850, n_control=150)
    assert found["conversion"].relative == pytest.approx(0.85, abs=0.02)


@pytest.mark.parametrize("share", [1.0, 1.5, -0.1, 0.00001])
def test_an_outlook_on_an_impossible_share_is_refused(
    workbench_at: WorkbenchAt, share: float
) -> None:
    group = workbench_at("loaded").control_group()
    with pytest.raises(DesignError):
        group.outlook(share=share, as_of=sw.DRAWN_AT)


def test_an_outlook_on_a_base_without_orders_says_why_it_knows_nothing(
    make_workbench: MakeWorkbench, small_shop: MakeShop
) -> None:
    shop = small_shop(200, orders_per_customer_day=1e-12)
    outlook = make_workbench(shop).control_group().outlook(as_of=sw.DRAWN_AT, share=0.2)
    reasons = {effect.reason for _, _, effect in outlook.detectable}
    assert reasons == {"nobody bought in the past"}
    assert all(math.isnan(effect.relative) for _, _, effect in outlook.detectable)
    assert "too little history" in outlook.sentence()


@pytest.mark.parametrize(
    ("orders", "revenue", "sizes", "reason"),
    [
        ([1, 1], [5.0, 5.0], (90, 10), "customers did not differ in the past"),
        ([0, 0], [0.0, 0.0], (90, 10), "nobody bought in the past"),
        ([], [], (90, 10), "nobody's past is known"),
        ([1, 0], [5.0, 0.0], (90, 1), "a group has fewer than two customers"),
    ],
)
def test_sight_that_cannot_be_computed_is_nan_with_a_reason(
    orders: list[int], revenue: list[float], sizes: tuple[int, int], reason: str
) -> None:
    frame = pd.DataFrame({"orders": orders, "revenue": revenue})
    found = detectable_effects(frame, n_treatment=sizes[0], n_control=sizes[1])
    effect = found["revenue per customer"]
    assert effect.reason == reason
    assert math.isnan(effect.relative)


def test_an_outlook_on_a_handful_of_customers_says_it_knows_nothing(
    make_workbench: MakeWorkbench, small_shop: MakeShop
) -> None:
    outlook = make_workbench(small_shop(8)).control_group().outlook(as_of=sw.DRAWN_AT, share=0.05)
    assert outlook.detectable == ()
    assert "too little history" in outlook.sentence()
