"""The SQL of attribution against a slow and plain computation, and its identities to the cent."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from crm_lab.gateway import attribution
from crm_lab.gateway.schema import TABLES

STARTS_AT, ENDS_AT = datetime(2024, 4, 1), datetime(2024, 5, 1)
LOOKBACK_DAYS = 14
NAMES = ("touchpoint", "send", "delivery_event", "orders")
Row = dict[str, Any]


class Tables:
    """The tables that attribution reads, in memory, filled row by row."""

    def __init__(self) -> None:
        self.engine = duckdb.connect()
        for name in NAMES:
            columns = ", ".join(f'"{c}" {kind}' for c, kind in TABLES[name].stored_columns)
            self.engine.execute(f'create table "{name}" ({columns})')

    def add(self, name: str, rows: Iterable[Row]) -> None:
        for row in rows:
            columns = ", ".join(f'"{column}"' for column in row)
            marks = ", ".join("?" for _ in row)
            self.engine.execute(
                f'insert into "{name}" ({columns}) values ({marks})', [*row.values()]
            )

    def order(self, number: str, at: datetime, amount: str, **more: Any) -> None:
        row = {"order_id": number, "customer_id": "c1", "ordered_at": at, "net_revenue": amount}
        self.add("orders", [row | more])

    def visit(self, number: str, at: datetime, medium: str | None, **more: Any) -> None:
        row = {"touchpoint_id": number, "customer_id": "c1", "at": at, "utm_medium": medium}
        self.add("touchpoint", [row | more])

    def click(self, number: str, at: datetime, message_class: str = "marketing") -> None:
        send = {"send_id": f"s{number}", "campaign_id": "a", "customer_id": "c1"}
        self.add("send", [send | {"channel": "email", "message_class": message_class}])
        event = {"delivery_event_id": number, "send_id": f"s{number}", "at": at, "type": "click"}
        self.add("delivery_event", [event])

    def shared(self) -> pd.DataFrame:
        """Every part of every order; amounts as exact decimals."""
        query = attribution.attributed_orders(
            starts_at=STARTS_AT, ends_at=ENDS_AT, lookback_days=LOOKBACK_DAYS
        )
        result = self.engine.execute(query)
        columns = [column[0] for column in result.description or []]
        return pd.DataFrame(result.fetchall(), columns=columns)

    def of(self, model: str) -> list[tuple[str, Decimal]]:
        frame = self.shared()
        frame = frame[frame["model"] == model].sort_values("touch_id")
        return list(zip(frame["touch_id"], frame["amount"], strict=True))


@pytest.fixture
def tables() -> Tables:
    return Tables()


def touches_by_hand(visits: list[Row], clicks: list[Row]) -> list[Row]:
    """Every touch once: within half an hour of the one before it, it is the same."""
    crm = set(attribution.CRM_MEDIA)
    every = []
    for visit in visits:
        if visit["customer_id"] is None:
            continue
        medium = (visit["utm_medium"] or "").strip().lower()
        is_crm = visit["campaign_id"] is not None or medium in crm
        key = (visit["customer_id"], medium or "not tagged", is_crm)
        every.append((key, visit["at"], f"visit:{visit['touchpoint_id']}"))
    for click in clicks:
        key = (click["customer_id"], "email", True)
        every.append((key, click["at"], f"click:{click['delivery_event_id']}"))
    kept = []
    before: dict[Any, datetime] = {}
    for key, at, touch_id in sorted(every, key=lambda item: (item[1], item[2])):
        gap = timedelta(minutes=attribution.SESSION_MINUTES)
        if key not in before or at - before[key] > gap:
            who, channel, is_crm = key
            kept.append(
                {"customer_id": who, "at": at, "touch_id": touch_id, "channel": channel}
                | {"is_crm": is_crm}
            )
        before[key] = at
    return kept


def parts_by_hand(orders: list[Row], touches: list[Row]) -> dict[tuple[str, str, str], Decimal]:
    """(order, model, touch) to its money."""
    found: dict[tuple[str, str, str], Decimal] = {}
    for order in orders:
        if order["customer_id"] is None or order["status"] == "cancelled":
            continue
        if not STARTS_AT <= order["ordered_at"] < ENDS_AT:
            continue
        first = order["ordered_at"] - timedelta(days=LOOKBACK_DAYS)
        mine = [
            touch
            for touch in touches
            if touch["customer_id"] == order["customer_id"]
            and first <= touch["at"] <= order["ordered_at"]
        ]
        if not mine:
            continue
        mine.sort(key=lambda touch: (touch["at"], touch["touch_id"]))
        money = Decimal(order["net_revenue"])
        not_direct = [t for t in mine if t["channel"] not in attribution.DIRECT_MEDIA]
        number = order["order_id"]
        found[number, "last touch", mine[-1]["touch_id"]] = money
        found[number, "first touch", mine[0]["touch_id"]] = money
        found[number, "last non-direct touch", (not_direct or mine)[-1]["touch_id"]] = money
        cents = int(abs(money) * 100)
        sign = -1 if money < 0 else 1
        for place, touch in enumerate(mine):
            part = cents // len(mine) + (1 if place < cents % len(mine) else 0)
            found[number, "linear", touch["touch_id"]] = Decimal(sign * part) / 100
    return found


def a_history(seed: int) -> tuple[list[Row], list[Row], list[Row], list[Row]]:
    """Orders, visits, clicks and their sends of a few customers, exceptions included."""
    rng = np.random.default_rng(seed)

    def moments(count: int) -> list[datetime]:
        minutes = rng.integers(-20 * 1440, 32 * 1440, count)
        return [STARTS_AT + timedelta(minutes=int(m)) for m in minutes]

    def people(count: int, *, unknown: float) -> list[str | None]:
        known = [f"c{int(n)}" for n in rng.integers(0, 25, count)]
        return [None if rng.random() < unknown else name for name in known]

    orders = [
        {
            "order_id": f"o{number:03d}",
            "customer_id": who,
            "ordered_at": at,
            "net_revenue": f"{int(rng.integers(-2_000, 20_000)) / 100:.2f}",
            "status": "cancelled" if rng.random() < 0.1 else None,
        }
        for number, (at, who) in enumerate(zip(moments(160), people(160, unknown=0.1), strict=True))
    ]
    media = ["email", " Email", "direct", "cpc", "organic", None, ""]
    visits = [
        {
            "touchpoint_id": f"v{number:03d}",
            "customer_id": who,
            "at": at,
            "utm_medium": media[int(rng.integers(0, len(media)))],
            "campaign_id": "winter" if rng.random() < 0.1 else None,
        }
        for number, (at, who) in enumerate(zip(moments(300), people(300, unknown=0.1), strict=True))
    ]
    clicks, sends = [], []
    for number, at in enumerate(moments(120)):
        who = f"c{int(rng.integers(0, 25))}"
        sends.append({"send_id": f"s{number}", "campaign_id": "m", "customer_id": who})
        sends[-1] |= {"channel": "email", "message_class": "marketing"}
        clicks.append({"delivery_event_id": f"k{number:03d}", "send_id": f"s{number}", "at": at})
        clicks[-1] |= {"customer_id": who}
        # the click brings a visit, which is the same touch
        if rng.random() < 0.5:
            visit = {"touchpoint_id": f"w{number:03d}", "customer_id": who, "campaign_id": None}
            visits.append(visit | {"at": at + timedelta(minutes=1), "utm_medium": "email"})
    return orders, visits, clicks, sends


@pytest.mark.parametrize("seed", [1, 2])
def test_every_part_is_that_of_a_computation_by_hand(tables: Tables, seed: int) -> None:
    orders, visits, clicks, sends = a_history(seed)
    tables.add("orders", orders)
    tables.add("touchpoint", visits)
    tables.add("send", sends)
    events = [
        {name: value for name, value in click.items() if name != "customer_id"} | {"type": "click"}
        for click in clicks
    ]
    tables.add("delivery_event", events)
    frame = tables.shared()
    found = {
        (row.order_id, row.model, row.touch_id): row.amount for row in frame.itertuples(index=False)
    }
    expected = parts_by_hand(orders, touches_by_hand(visits, clicks))
    assert len(found) == len(frame) > 400
    assert found == expected


def test_the_models_give_away_the_same_money_and_an_order_adds_up(tables: Tables) -> None:
    orders, visits, _, _ = a_history(3)
    tables.add("orders", orders)
    tables.add("touchpoint", visits)
    frame = tables.shared()
    amounts = {order["order_id"]: Decimal(order["net_revenue"]) for order in orders}
    sums = frame.groupby(["model", "order_id"])["amount"].sum()
    assert set(frame["model"]) == set(attribution.MODELS)
    for model in attribution.MODELS:
        of_model = sums[model]
        assert {name: of_model[name] for name in of_model.index} == {
            name: amounts[name] for name in of_model.index
        }
    totals = frame.groupby("model")["amount"].sum()
    touched = sum(amounts[name] for name in frame["order_id"].unique())
    assert all(total == touched for total in totals)


def test_linear_with_one_touch_is_last_touch(tables: Tables) -> None:
    tables.order("o1", datetime(2024, 4, 10), "99.99")
    tables.visit("v1", datetime(2024, 4, 9), "cpc")
    expected = [("visit:v1", Decimal("99.99"))]
    assert [tables.of(model) for model in attribution.MODELS] == [expected] * 4


@pytest.mark.parametrize(
    ("amount", "parts"),
    [
        ("0.10", ("0.04", "0.03", "0.03")),
        ("-0.10", ("-0.04", "-0.03", "-0.03")),
        ("0.00", ("0.00", "0.00", "0.00")),
        ("0.02", ("0.01", "0.01", "0.00")),
    ],
)
def test_cents_that_do_not_divide_go_to_the_earliest_touches(
    tables: Tables, amount: str, parts: tuple[str, ...]
) -> None:
    tables.order("o1", datetime(2024, 4, 10), amount)
    for day in (1, 2, 3):
        tables.visit(f"v{day}", datetime(2024, 4, day), "cpc")
    assert tuple(part for _, part in tables.of("linear")) == tuple(map(Decimal, parts))


def test_a_large_order_keeps_its_cents(tables: Tables) -> None:
    tables.order("o1", datetime(2024, 4, 10), "9999999999999999.99")
    for day in (1, 2, 3):
        tables.visit(f"v{day}", datetime(2024, 4, day), "cpc")
    assert sum(part for _, part in tables.of("linear")) == Decimal("9999999999999999.99")


def test_the_look_back_window_includes_both_ends(tables: Tables) -> None:
    at = datetime(2024, 4, 20)
    tables.order("o1", at, "10")
    tables.visit("early", at - timedelta(days=LOOKBACK_DAYS, microseconds=1), "cpc")
    tables.visit("first", at - timedelta(days=LOOKBACK_DAYS), "organic")
    tables.visit("last", at, "social")
    tables.visit("late", at + timedelta(microseconds=1), "cpc")
    assert tables.of("first touch") == [("visit:first", Decimal("10.00"))]
    assert tables.of("last touch") == [("visit:last", Decimal("10.00"))]


def test_a_direct_visit_gets_the_order_only_where_all_are_direct(tables: Tables) -> None:
    tables.order("o1", datetime(2024, 4, 10), "10")
    tables.visit("mail", datetime(2024, 4, 8), "email")
    tables.visit("direct", datetime(2024, 4, 9), "(direct)")
    assert tables.of("last touch")[0][0] == "visit:direct"
    assert tables.of("last non-direct touch")[0][0] == "visit:mail"
    tables.order("o2", datetime(2024, 4, 10), "10", customer_id="c2")
    tables.visit("only", datetime(2024, 4, 9), "direct", customer_id="c2")
    assert tables.of("last non-direct touch")[1][0] == "visit:only"


def test_a_click_and_the_visit_it_brings_are_one_touch(tables: Tables) -> None:
    at = datetime(2024, 4, 9)
    tables.order("o1", datetime(2024, 4, 10), "10")
    tables.click("k1", at)
    tables.visit("v1", at + timedelta(minutes=attribution.SESSION_MINUTES), "email")
    tables.visit("v2", at + timedelta(minutes=2 * attribution.SESSION_MINUTES, seconds=1), "email")
    assert [touch for touch, _ in tables.of("linear")] == ["click:k1", "visit:v2"]


def test_a_click_on_a_message_that_controls_receive_too_is_not_the_crms(tables: Tables) -> None:
    tables.order("o1", datetime(2024, 4, 10), "10")
    tables.click("k1", datetime(2024, 4, 9), "transactional")
    frame = tables.shared()
    assert not frame["is_crm"].any()
    assert set(frame["channel"]) == {"email, transactional"}


def test_an_order_without_a_touch_belongs_to_nobody(tables: Tables) -> None:
    tables.order("o1", datetime(2024, 4, 10), "10")
    tables.order("o2", datetime(2024, 4, 10), "10", status="cancelled")
    tables.order("o3", datetime(2024, 4, 10), "10", customer_id=None)
    tables.visit("v1", datetime(2024, 4, 11), "email")
    assert tables.shared().empty


def test_channels_add_up_and_a_week_is_that_of_the_order(tables: Tables) -> None:
    orders, visits, _, _ = a_history(4)
    tables.add("orders", orders)
    tables.add("touchpoint", visits)
    query = attribution.attributed_orders(
        starts_at=STARTS_AT, ends_at=ENDS_AT, lookback_days=LOOKBACK_DAYS
    )
    tables.engine.execute(f"create temp table shared as {query}")
    channels = tables.engine.execute(attribution.by_channel("shared")).df()
    frame = tables.shared()
    money = frame["amount"].astype(float).groupby(frame["model"]).sum()
    assert channels.groupby("model")["amount"].sum().to_dict() == pytest.approx(money.to_dict())
    members = "select 'c' || unnest(range(0, 12)) as customer_id, 'treatment' as variant"
    weeks = tables.engine.execute(
        attribution.crm_by_week("shared", members, starts_at=STARTS_AT)
    ).df()
    crm = frame[frame["is_crm"]]
    by_hand = crm.assign(
        week=(pd.to_datetime(crm["ordered_at"]) - STARTS_AT) // timedelta(days=7) + 1,
        amount=crm["amount"].astype(float),
        mine=crm["customer_id"].isin({f"c{n}" for n in range(12)}),
    )
    for row in weeks.itertuples(index=False):
        part = by_hand[(by_hand["model"] == row.model) & (by_hand["week"] == row.week)]
        assert row.amount == pytest.approx(part["amount"].sum())
        assert row.same == pytest.approx(part.loc[part["mine"], "amount"].sum())
    assert len(weeks) == by_hand.groupby(["model", "week"]).ngroups
