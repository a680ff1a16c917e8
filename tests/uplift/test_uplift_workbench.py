"""Targeting from the assignment table of a workbench: a shop with three kinds of customers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from types import ModuleType

import duckdb
import numpy as np
import pandas as pd
import pytest

from crm_lab.errors import DesignError, LedgerError
from crm_lab.gateway import features
from crm_lab.gateway.schema import TABLES
from crm_lab.handles.uplift import Uplift
from crm_lab.uplift.learners import TLearner, XLearner
from crm_lab.uplift.one_feature import OneFeatureRule
from crm_lab.uplift.saved_models import load_model, save_model
from crm_lab.workbench import Workbench

BEFORE = datetime(2024, 5, 1, 12)
LEARNERS = [TLearner(), XLearner(), OneFeatureRule(feature="region_code")]


# the SQL of features


def engine() -> duckdb.DuckDBPyConnection:
    opened = duckdb.connect()
    for name in ("orders", "customer", "send", "delivery_event", "lifecycle_history", "assignment"):
        columns = ", ".join(f'"{c}" {kind}' for c, kind in TABLES[name].stored_columns)
        opened.execute(f'create table "{name}" ({columns})')
    return opened


def insert(opened: duckdb.DuckDBPyConnection, table: str, rows: list[dict[str, object]]) -> None:
    frame = pd.DataFrame(rows)
    opened.register("given", frame)
    opened.execute(f'insert into "{table}" by name select * from given')
    opened.unregister("given")


def known(opened: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    query = features.customer_features("select customer_id from customer", BEFORE)
    return opened.execute(f"select * from ({query}) order by 1").df().set_index("customer_id")


def test_features_against_pandas_and_strictly_before() -> None:
    rng = np.random.default_rng(1)
    opened = engine()
    ids = [f"c{number}" for number in range(30)]
    since = [BEFORE - timedelta(days=int(d)) for d in rng.integers(-20, 500, 30)]
    insert(
        opened,
        "customer",
        [
            {"customer_id": i, "created_at": s, "gender": "f"}
            for i, s in zip(ids, since, strict=True)
        ],
    )
    hours = rng.integers(-12_000, 800, 400)
    orders = pd.DataFrame(
        {
            "order_id": [str(number) for number in range(400)],
            "customer_id": rng.choice(ids[:25], 400),
            "ordered_at": [BEFORE + timedelta(hours=int(hour)) for hour in hours],
            "net_revenue": rng.integers(-500, 9_000, 400) / 100,
            "status": np.where(rng.random(400) < 0.1, "cancelled", "paid"),
        }
    )
    orders.loc[0, "ordered_at"] = BEFORE  # the moment itself does not count
    orders.loc[1, "ordered_at"] = BEFORE - timedelta(days=365)  # the first moment of the year does
    orders.loc[[0, 1], "status"] = "paid"
    insert(opened, "orders", orders.to_dict("records"))
    found = known(opened)
    past = orders[(orders["status"] == "paid") & (orders["ordered_at"] < BEFORE)]
    for days, name in ((365, "year"), (90, "quarter")):
        window = past[past["ordered_at"] >= BEFORE - timedelta(days=days)]
        count = window.groupby("customer_id").size().reindex(ids, fill_value=0)
        money = window.groupby("customer_id")["net_revenue"].sum().reindex(ids, fill_value=0)
        np.testing.assert_array_equal(found.loc[ids, f"orders_{name}"], count)
        np.testing.assert_allclose(found.loc[ids, f"revenue_{name}"], money, atol=1e-9)
    last = past.groupby("customer_id")["ordered_at"].max().reindex(ids)
    days_since = (BEFORE - last).dt.total_seconds() / 86_400
    np.testing.assert_allclose(found.loc[ids, "recency_days"], days_since, atol=1e-4)
    first = past.groupby("customer_id")["ordered_at"].min().reindex(ids)
    start = pd.concat([first, pd.Series(since, index=ids)], axis=1).min(axis=1)
    np.testing.assert_array_equal(
        found.loc[ids, "is_newcomer"], start >= BEFORE - timedelta(days=90)
    )


def test_nothing_of_the_moment_or_later_changes_a_feature() -> None:
    opened = engine()
    insert(opened, "customer", [{"customer_id": "a", "created_at": datetime(2024, 1, 1)}])
    insert(
        opened,
        "lifecycle_history",
        [{"customer_id": "a", "valid_from": datetime(2024, 2, 1), "state": "active"}],
    )
    earlier = known(opened)
    insert(
        opened,
        "orders",
        [{"order_id": "1", "customer_id": "a", "ordered_at": BEFORE, "net_revenue": 5.0}],
    )
    insert(
        opened,
        "send",
        [{"send_id": "s", "campaign_id": "x", "customer_id": "a", "scheduled_at": BEFORE}],
    )
    insert(
        opened,
        "delivery_event",
        [{"delivery_event_id": "d", "send_id": "s", "at": BEFORE, "type": "click"}],
    )
    insert(
        opened,
        "lifecycle_history",
        [{"customer_id": "a", "valid_from": BEFORE, "state": "lost"}],
    )
    pd.testing.assert_frame_equal(known(opened), earlier)
    assert earlier.loc["a", "lifecycle_state"] == "active"


def test_parts_hold_everybody_once() -> None:
    opened = engine()
    insert(opened, "customer", [{"customer_id": f"c{n}"} for n in range(100)])
    opened.execute('create table "feature" as select customer_id from customer')
    parts = [opened.execute(features.part_of("feature", p, 3)).df() for p in range(3)]
    assert sorted(pd.concat(parts)["customer_id"]) == sorted(f"c{n}" for n in range(100))
    with pytest.raises(DesignError, match="part 3 of 3"):
        features.part_of("feature", 3, 3)


# the handle


@pytest.fixture(scope="module")
def uplift(targeting_workbench: Workbench, targeting: ModuleType) -> Uplift:
    return Uplift(
        targeting_workbench,
        targeting.NAME,
        learners=LEARNERS,
        repeats=1,
        permutations=300,
    )


def test_the_members_are_those_of_the_assignment_table(
    uplift: Uplift, targeting_workbench: Workbench, targeting: ModuleType
) -> None:
    trial = uplift.trial()
    with targeting_workbench.gateway.reader() as reader:
        sizes = reader.counts("assignment", "variant")
        orders = reader.frame(
            "select customer_id, cast(sum(net_revenue) as double) as money from orders"
            f" where ordered_at >= timestamp '{targeting.STARTS_AT}'"
            f" and ordered_at < timestamp '{targeting.STARTS_AT + timedelta(days=28)}' group by 1"
        ).set_index("customer_id")["money"]
    assert trial.n_treatment == sizes["card"]
    assert trial.probability[0] == pytest.approx(0.36 / (0.36 + 0.4))
    ids = pd.Index(trial.unit_ids)
    np.testing.assert_allclose(trial.outcome, orders.reindex(ids, fill_value=0.0), atol=1e-6)
    assert uplift.economics.margin == targeting.MARGIN
    assert set(uplift.features().names) <= {*features.NUMBERS, *features.CATEGORIES}
    assert max(uplift.features().known_at.values()) <= uplift.drawn_at


def test_the_verdict_finds_the_kind_that_was_planted(uplift: Uplift) -> None:
    kind = pd.Series(uplift.trial().unit_ids).str.split("-").str[0]
    contact = pd.Series(uplift.chosen.contact)
    assert contact[kind == "sleeper"].mean() > 0.8
    assert contact[kind == "regular"].mean() < 0.4
    assert uplift.verdict.choice == "target"
    assert uplift.verdict.everyone.n == len(uplift.audience())
    assert uplift.segments.differing[0] == "region_code"
    trust = uplift.verdict.lights_frame()
    assert trust["state"].tolist() == [*["good"] * 6, "mind"]
    ratio, *others = uplift.verdict.lights
    broken = dataclasses.replace(
        uplift.verdict, lights=(dataclasses.replace(ratio, tone="bad"), *others)
    )
    assert broken.verdict == broken.to_dict()["verdict"] == "cannot conclude"
    assert broken.sentence().startswith(
        "Cannot conclude. A check of the trial failed (Random draw)"
    )
    assert broken.headline_numbers() == ()
    assert broken.number() == ""
    assert trust["detail"].iloc[-1].startswith("orders year (moderate; 9 or more: 11.5 % then")


def test_the_base_is_scored_and_nobody_of_the_control_is_in_it(
    uplift: Uplift, targeting_workbench: Workbench
) -> None:
    scored = uplift.score()
    with targeting_workbench.gateway.reader() as reader:
        controls = reader.frame("select customer_id from assignment where variant = 'control'")
    assert not set(scored["customer_id"]) & set(controls["customer_id"])
    assert (scored["contact"] == (scored["expected_profit"] > 0)).all()
    assert scored["expected_margin"].sub(scored["expected_profit"]).round(6).eq(uplift.cost).all()
    kind = scored["customer_id"].str.split("-").str[0]
    assert scored["contact"][kind == "sleeper"].mean() > 0.8


def test_pieces_give_the_same_scores(uplift: Uplift, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = uplift.score()
    monkeypatch.setattr("crm_lab.handles.uplift.PART_CUSTOMERS", 100)
    pd.testing.assert_frame_equal(uplift.score(), whole)


def test_a_saved_model_scores_the_same(uplift: Uplift, tmp_path: Path) -> None:
    save_model(uplift.model, tmp_path / "model.json")
    model = load_model(tmp_path / "model.json")
    pd.testing.assert_frame_equal(uplift.score(model=model), uplift.score())
    assert uplift.drift(model=model).rows[-1].change != "large"


def test_arms_and_allocation(uplift: Uplift) -> None:
    effects = uplift.arm_effects(segment="region_code")
    first = {choice.segment: choice.arm for choice in effects.choices}
    assert first["south"] == "card"
    found, table = uplift.allocation(effects, segment="region_code", budget=5_000.0)
    assert found.spent <= 5_000.0
    assert len(table) == len(uplift.audience())
    assert table["card"].sum() == found.sent[:, 0].sum()


def test_an_arm_that_is_not_there(targeting_workbench: Workbench, targeting: ModuleType) -> None:
    with pytest.raises(DesignError, match=r"has no arm 'control'(.|\n)*card, letter"):
        targeting_workbench.uplift(targeting.NAME, arm="control")


def test_an_experiment_that_was_never_drawn(targeting_workbench: Workbench) -> None:
    with pytest.raises(LedgerError, match="was never assigned"):
        targeting_workbench.uplift("unheard-of")


def test_a_margin_that_is_not_known_is_said(
    targeting_workbench: Workbench, targeting: ModuleType
) -> None:
    study = targeting_workbench.uplift(targeting.NAME)
    study.margin_share = None
    verdict = study.verdict
    assert "every amount is too high" in verdict.sentence()
    everyone = dataclasses.replace(verdict, choice="everyone", break_even=0.0123)
    assert "where the margin is above 1.2\u00a0% of revenue" in everyone.sentence()


# the leave-alone list and its test


def test_the_list_is_written_tested_and_read_out(
    targeting_copy: Callable[[], Workbench], targeting: ModuleType
) -> None:
    workbench = targeting_copy()
    uplift = Uplift(workbench, targeting.NAME, learners=LEARNERS[2:], repeats=1, permutations=300)
    written = uplift.write_leave_alone(by="anna")
    scored = uplift.score()
    listed = pd.read_csv(written.file, dtype=str)
    assert set(listed["customer_id"]) == set(scored.loc[~scored["contact"], "customer_id"])
    assert written.customers == len(listed)
    # it stands in the ledger, and not yet among the experiments
    entry = workbench.gateway.entries(kind="list_exported", subject=f"segment:{written.name}")[-1]
    assert entry.payload["sha256"] == written.sha256
    assert written.name not in workbench.experiments()
    assert uplift.write_leave_alone(by="anna").sha256 == written.sha256
    assert written.starts_on == date(2024, 7, 15)  # the epoch was planned for 90 days
    at = datetime(2024, 7, 14)
    sizes = uplift.draw_leave_alone_test(written.name, as_of=at)
    assert sum(sizes.values()) == len(listed)
    assert abs(sizes["control"] - len(listed) / 2) < 4 * np.sqrt(len(listed)) / 2
    with workbench.gateway.reader() as reader:
        drawn = reader.frame(
            f"select customer_id from assignment where scope = 'experiment:{written.name}'"
        )
    assert set(drawn["customer_id"]) == set(listed["customer_id"])
    test = workbench.experiment(written.name)
    assert sum(test.export(as_of=at).rows.values()) == sizes["contacted"]
    assert test.analyze().plan.rule == "interval_above_minimum"
    assert test.analyze().plan.minimum == pytest.approx(targeting.COST / targeting.MARGIN, abs=0.01)
    with pytest.raises(LedgerError, match="was drawn before"):
        uplift.draw_leave_alone_test(written.name, as_of=at)


def test_a_list_that_was_changed_or_never_written(
    targeting_copy: Callable[[], Workbench], targeting: ModuleType
) -> None:
    workbench = targeting_copy()
    uplift = Uplift(workbench, targeting.NAME, learners=LEARNERS[2:], repeats=1, permutations=300)
    with pytest.raises(LedgerError, match="there is no leave-alone list 'other'"):
        uplift.draw_leave_alone_test("other")
    written = uplift.write_leave_alone(by="anna")
    written.file.write_text(written.file.read_text().replace("regular", "irregular"))
    with pytest.raises(LedgerError, match="is not the one that was written"):
        uplift.draw_leave_alone_test(written.name)


def test_nobody_is_to_be_left_alone(targeting_workbench: Workbench, targeting: ModuleType) -> None:
    uplift = Uplift(
        targeting_workbench,
        targeting.NAME,
        cost_per_message=0.0,
        learners=LEARNERS[2:],
        repeats=1,
        permutations=300,
    )
    scored = uplift.score().assign(contact=True)
    uplift.score = lambda **_: scored  # type: ignore[method-assign]
    with pytest.raises(LedgerError, match="nobody is to be left alone"):
        uplift.write_leave_alone(by="anna")
