"""The SQL of the curve against pandas: money by unit and week, the company, costs, messages."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import duckdb
import numpy as np
import pandas as pd
import pytest

from crm_lab.gateway import curves
from crm_lab.gateway.schema import TABLES

STARTS_AT = datetime(2024, 4, 1, 14, 30)
WEEKS, PRE_WEEKS = 4, 3
SCOPE = "epoch:global-1"


def engine_with(**frames: pd.DataFrame) -> duckdb.DuckDBPyConnection:
    """An engine with the gateway's tables, filled where a frame is given."""
    engine = duckdb.connect()
    for name in ("orders", "assignment", "cost_entry", "send"):
        columns = ", ".join(f'"{c}" {kind}' for c, kind in TABLES[name].stored_columns)
        engine.execute(f'create table "{name}" ({columns})')
        if name in frames:
            engine.register("given", frames[name])
            engine.execute(f'insert into "{name}" by name select * from given')
            engine.unregister("given")
    return engine


def orders(seed: int = 1, count: int = 600) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    minutes = rng.integers(-5 * 7 * 1440, 6 * 7 * 1440, count)
    frame = pd.DataFrame(
        {
            "order_id": [f"o{number}" for number in range(count)],
            "customer_id": [f"c{number}" for number in rng.integers(0, 60, count)],
            "ordered_at": [STARTS_AT + timedelta(minutes=int(m)) for m in minutes],
            "net_revenue": rng.integers(-3_000, 20_000, count) / 100,
            "discount": np.where(
                rng.random(count) < 0.5, rng.integers(0, 500, count) / 100, np.nan
            ),
            "cost": rng.integers(0, 9_000, count) / 100,
            "status": np.where(rng.random(count) < 0.1, "cancelled", "paid"),
        }
    )
    # the very edges of weeks
    edges = [STARTS_AT + timedelta(weeks=week) for week in range(-PRE_WEEKS, WEEKS + 1)]
    frame.loc[: len(edges) - 1, "ordered_at"] = edges
    before = [edge - timedelta(microseconds=1) for edge in edges]
    frame.loc[len(edges) : 2 * len(edges) - 1, "ordered_at"] = before
    frame.loc[rng.random(count) < 0.05, "customer_id"] = None
    return frame


def assignment() -> pd.DataFrame:
    """Fifty of sixty customers, some of them drawn together, five of them later."""
    ids = [f"c{number}" for number in range(50)]
    return pd.DataFrame(
        {
            "scope": SCOPE,
            "customer_id": ids,
            "unit_id": [f"u{number // 2 if number < 20 else number}" for number in range(50)],
            "variant": ["control" if number // 2 % 5 == 0 else "treatment" for number in range(50)],
            "bucket": 0,
            "rule": "hash",
            "assigned_at": [STARTS_AT + timedelta(days=0 if n < 45 else 9) for n in range(50)],
        }
    )


def by_hand(frame: pd.DataFrame, members: pd.DataFrame) -> pd.DataFrame:
    counted = frame[(frame["status"] != "cancelled") & frame["customer_id"].notna()]
    joined = counted.merge(members, on="customer_id")
    joined["week"] = (joined["ordered_at"] - STARTS_AT) // timedelta(days=7) + 1
    joined["discount"] = joined["discount"].fillna(0.0)
    joined["margin"] = joined["net_revenue"] - joined["cost"]
    rows = []
    for (unit, variant), group in members.groupby(["unit_id", "variant"]):
        mine = joined[(joined["unit_id"] == unit) & (joined["variant"] == variant)]
        before = mine["week"].between(1 - PRE_WEEKS, 0)
        row = {
            "unit_id": unit,
            "variant": variant,
            "customers": len(group),
            "pre_revenue": mine.loc[before, "net_revenue"].sum(),
            "discount": mine.loc[mine["week"].between(1, 2), "discount"].sum(),
        }
        for name, column in (("revenue", "net_revenue"), ("margin", "margin")):
            for week in range(1, WEEKS + 1):
                row[f"{name}_{week}"] = mine.loc[mine["week"] == week, column].sum()
        rows.append(row)
    return pd.DataFrame(rows)


def test_money_by_unit_and_week_is_that_of_pandas() -> None:
    sold, assigned = orders(), assignment()
    population = curves.first_drawn(SCOPE, opened_at=STARTS_AT)
    with engine_with(orders=sold, assignment=assigned) as engine:
        found = engine.execute(
            curves.weekly_money(
                population,
                starts_at=STARTS_AT,
                weeks=WEEKS,
                pre_weeks=PRE_WEEKS,
                discount_weeks=2,
                margin=curves.margin_from_cost(),
            )
        ).df()
        later = engine.execute(curves.joined_later(SCOPE, opened_at=STARTS_AT)).fetchone()
    first = assigned[assigned["assigned_at"] <= STARTS_AT]
    expected = by_hand(sold, first).sort_values(["unit_id", "variant"], ignore_index=True)
    assert later == (5,)
    pd.testing.assert_frame_equal(
        found.sort_values(["unit_id", "variant"], ignore_index=True),
        expected,
        check_dtype=False,
    )


def test_margin_from_a_share_takes_a_discount_off_whole() -> None:
    sold = pd.DataFrame(
        {
            "order_id": ["a", "b"],
            "customer_id": ["c0", "c0"],
            "ordered_at": [STARTS_AT, STARTS_AT],
            "net_revenue": [80.0, 50.0],
            "discount": [20.0, np.nan],
        }
    )
    population = curves.first_drawn(SCOPE, opened_at=STARTS_AT)
    with engine_with(orders=sold, assignment=assignment()) as engine:
        found = engine.execute(
            curves.weekly_money(
                population,
                starts_at=STARTS_AT,
                weeks=1,
                pre_weeks=1,
                discount_weeks=1,
                margin=curves.margin_from_share(0.3),
            )
        ).df()
    # 0.3 x 100 - 20 of the first order, 0.3 x 50 of the second
    assert found.set_index("unit_id").loc["u0", "margin_1"] == pytest.approx(10.0 + 15.0)


def test_the_company_is_split_by_who_brought_it_and_adds_up() -> None:
    sold = orders(2)
    population = curves.first_drawn(SCOPE, opened_at=STARTS_AT)
    with engine_with(orders=sold, assignment=assignment()) as engine:
        found = engine.execute(
            curves.company_weeks(population, starts_at=STARTS_AT, weeks=WEEKS)
        ).df()
    counted = sold[sold["status"] != "cancelled"]
    week = (counted["ordered_at"] - STARTS_AT) // timedelta(days=7) + 1
    expected = counted.groupby(week)["net_revenue"].sum().reindex(range(1, WEEKS + 1))
    assert found["revenue"].to_numpy() == pytest.approx(expected.to_numpy())
    parts = found[["treated", "control", "others", "unknown"]]
    assert parts.sum(axis=1).to_numpy() == pytest.approx(found["revenue"].to_numpy())
    assert (parts > 0).any().all()


def test_knowledge_of_cost_counts_the_orders_without_it() -> None:
    sold = orders(3)
    sold.loc[sold.index % 4 == 0, "cost"] = np.nan
    ends_at = STARTS_AT + timedelta(weeks=WEEKS)
    population = curves.first_drawn(SCOPE, opened_at=STARTS_AT)
    with engine_with(orders=sold, assignment=assignment()) as engine:
        query = curves.cost_knowledge(population, starts_at=STARTS_AT, ends_at=ends_at)
        found = engine.execute(query).df().iloc[0]
    members = set(assignment().loc[lambda f: f["assigned_at"] <= STARTS_AT, "customer_id"])
    inside = sold[
        (sold["status"] != "cancelled")
        & sold["customer_id"].isin(members)
        & (sold["ordered_at"] >= STARTS_AT)
        & (sold["ordered_at"] < ends_at)
    ]
    assert found["orders"] == len(inside)
    assert found["orders_with_cost"] == inside["cost"].notna().sum() < len(inside)
    assert found["revenue"] == pytest.approx(inside["net_revenue"].sum())


def test_costs_and_messages_of_a_window_leave_its_end_out() -> None:
    days = [date(2024, 3, 31), date(2024, 4, 1), date(2024, 4, 28), date(2024, 4, 29)]
    costs = pd.DataFrame(
        {
            "cost_id": ["a", "b", "c", "d"],
            "campaign_id": ["x", "x", None, "x"],
            "spent_on": days,
            "kind": "message",
            "amount": [1.0, 2.0, 4.0, 8.0],
        }
    )
    sends = pd.DataFrame(
        {
            "send_id": ["a", "b", "c"],
            "campaign_id": "x",
            "customer_id": "c0",
            "message_class": [None, "marketing", "transactional"],
            "scheduled_at": [STARTS_AT, STARTS_AT + timedelta(weeks=WEEKS), STARTS_AT],
        }
    )
    with engine_with(cost_entry=costs, send=sends) as engine:
        found = engine.execute(curves.costs_between(date(2024, 4, 1), date(2024, 4, 29))).df()
        sent = engine.execute(
            curves.messages_between(STARTS_AT, STARTS_AT + timedelta(weeks=WEEKS))
        ).df()
    assert found["amount"].tolist() == [2.0, 4.0]
    assert sent["messages"].tolist() == [1]


def test_touched_customers_are_counted_within_the_population_only() -> None:
    population = curves.first_drawn(SCOPE, opened_at=STARTS_AT)
    touched = "select unnest(['c0', 'c49', 'c59']) as customer_id"
    with engine_with(assignment=assignment()) as engine:
        assert engine.execute(curves.touched_of(touched, population)).fetchone() == (1,)
