"""The synthetic shop has the truth that it promises."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crm_lab.errors import DesignError
from crm_lab.simulation.shops import Shares, make_shop, write_shop

START, LIFT_FROM = datetime(2024, 1, 1), datetime(2024, 3, 1)
STANDARD_ERRORS = 4
"""Fixed seeds: a deviation of more than four standard errors is an error, not chance."""


def shop_with(lift: float, seed: int = 1) -> Any:
    return make_shop(
        20_000,
        rng=np.random.default_rng(seed),
        starts_at=START,
        days=100,
        joining_days=0,
        lift=lambda _: lift,
        lift_from=LIFT_FROM,
    )


def revenue_after(shop: Any) -> pd.Series:
    orders = shop.orders[shop.orders["ordered_at"] >= LIFT_FROM]
    sums = orders.groupby("customer_id")["amount_cents"].sum() / 100
    return sums.reindex(shop.customers["customer_id"], fill_value=0.0)


@pytest.mark.parametrize("lift", [0.5, -0.4])
def test_a_planted_lift_changes_revenue_by_what_is_promised(lift: float) -> None:
    with_it, without = revenue_after(shop_with(lift)), revenue_after(shop_with(0.0, seed=2))
    shop = shop_with(lift)
    difference = with_it.mean() - without.mean()
    error = np.sqrt(with_it.var() / len(with_it) + without.var() / len(without))
    assert abs(difference - shop.true_effect(lift, days=40)) < STANDARD_ERRORS * error
    assert abs(difference) > STANDARD_ERRORS * error


def test_before_its_beginning_a_lift_changes_nothing() -> None:
    rate = (shop_with(0.5).orders["ordered_at"] < LIFT_FROM).sum() / 20_000 / 60
    assert rate == pytest.approx(1 / 40, rel=0.03)


def test_planted_orders_are_marked() -> None:
    orders = shop_with(0.5).orders
    assert (orders.loc[orders["is_planted"], "ordered_at"] >= LIFT_FROM).all()
    assert orders["is_planted"].any()
    assert not shop_with(-0.4).orders["is_planted"].any()


def test_the_same_state_of_chance_gives_the_same_shop() -> None:
    first, second = (make_shop(200, rng=np.random.default_rng(3)) for _ in range(2))
    for field in dataclasses.fields(first):
        left, right = getattr(first, field.name), getattr(second, field.name)
        if isinstance(left, pd.DataFrame):
            pd.testing.assert_frame_equal(left, right)
        else:
            assert left == right


def test_nobody_buys_before_he_is_a_customer_and_ids_are_unique() -> None:
    shop = make_shop(500, rng=np.random.default_rng(4), joining_days=100, days=120)
    since = shop.customers.set_index("customer_id")["created_at"]
    assert (
        shop.orders["ordered_at"].to_numpy() >= since[shop.orders["customer_id"]].to_numpy()
    ).all()
    assert shop.customers["customer_id"].is_unique
    assert shop.orders["order_id"].is_unique
    assert (shop.orders["amount_cents"] > 0).all()


def test_exceptions_are_as_frequent_as_asked() -> None:
    shares = Shares(no_address=0.2, bounced=0.1, no_consent=0.3, withdrawn=0.1, suppressed=0.2)
    shop = make_shop(5_000, rng=np.random.default_rng(5), shares=shares)
    near = {"abs": 0.02}
    assert len(shop.contact_points) / 5_000 == pytest.approx(0.8, **near)
    assert (shop.contact_points["status"] == "bounced").mean() == pytest.approx(0.1, **near)
    assert shop.consents["customer_id"].nunique() / 5_000 == pytest.approx(0.7, **near)
    assert len(shop.suppressions) / 5_000 == pytest.approx(0.2, **near)
    lower = shop.contact_points["address"].str.lower()
    assert lower.duplicated().any()
    assert not shop.contact_points["address"].duplicated().all()
    assert shop.customers["household_id"].dropna().duplicated(keep=False).all()


def test_a_shop_as_it_was_known_leaves_out_what_came_later() -> None:
    shop = make_shop(300, rng=np.random.default_rng(6), joining_days=100)
    early = shop.until(datetime(2024, 2, 1))
    assert 0 < len(early.customers) < 300
    assert (early.orders["ordered_at"] < datetime(2024, 2, 1)).all()
    assert set(early.consents["customer_id"]) <= set(early.customers["customer_id"])


def test_files_come_with_maps_in_import_order(tmp_path: Path) -> None:
    shop = make_shop(30, rng=np.random.default_rng(7), shares=Shares(suppressed=0))
    pairs = write_shop(shop, tmp_path)
    assert [file.name for _, file in pairs] == [
        "customers.csv",
        "addresses.csv",
        "consents.csv",
        "orders.csv",
    ]
    assert all(map_path.is_file() for map_path, _ in pairs)
    assert write_shop(shop, tmp_path, name="_2")[0][1].name == "customers_2.csv"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_customers": 0}, "0 customers"),
        ({"days": 0}, "over 0 days"),
        ({"joining_days": 999}, "joining within 999"),
        ({"lift": lambda _: 0.1}, "without a beginning"),
        ({"lift": lambda _: -2.0, "lift_from": LIFT_FROM}, "a lift of -2.0"),
    ],
)
def test_an_impossible_shop_is_refused(changes: dict[str, Any], message: str) -> None:
    options = {"n_customers": 10, "rng": np.random.default_rng(1)} | changes
    with pytest.raises(DesignError, match=message):
        make_shop(options.pop("n_customers"), **options)
