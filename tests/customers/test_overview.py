"""The base as a whole: counted by hand, and judged for what it can carry."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crm_lab.customers import BaseOverview, describe_base
from crm_lab.simulation.shops import Shop, make_shop, till_file
from crm_lab.workbench import Workbench
from tests.experiments import shop_workbench as sw

NOTHING: dict[str, object] = {
    "customers": 0,
    "orders": 0,
    "customers_with_orders": 0,
    "first_order_at": None,
    "last_order_at": None,
    "revenue": 0,
    "revenue_known_customer": 0,
    "orders_without_revenue": 0,
    "orders_with_cost": 0,
}
MONTHS = ["month", "orders", "buyers", "new_buyers", "revenue"]


def described(**changes: Any) -> BaseOverview:
    given: dict[str, Any] = {
        "company": "A shop",
        "currency": "EUR",
        "totals": NOTHING | changes.pop("totals", {}),
        "monthly": pd.DataFrame(columns=MONTHS),
        "reach": {},
        "obstacles": {},
        "repeaters": 0,
        "chosen_campaigns": pd.DataFrame(
            columns=["campaign_id", "recipients", "others", "recipients_before", "others_before"]
        ),
        "imports": pd.DataFrame(),
        "snapshot": "1-abc",
    }
    return describe_base(**(given | changes))


def ready(base: BaseOverview) -> dict[str, bool]:
    return {item.analysis: item.is_ready for item in base.readiness}


def test_counts_and_months_are_those_of_the_shop(finished: Workbench, shop: Shop) -> None:
    base = finished.base(as_of=sw.ENDS_AT)
    orders = shop.orders.assign(month=shop.orders["ordered_at"].dt.to_period("M"))
    assert base.customers == sw.CUSTOMERS
    assert base.customers_with_orders == orders["customer_id"].nunique()
    grouped = orders.groupby("month")
    assert base.monthly["orders"].tolist() == grouped.size().tolist()
    assert base.monthly["buyers"].tolist() == grouped["customer_id"].nunique().tolist()
    assert np.allclose(base.monthly["revenue"], grouped["amount_cents"].sum() / 100)
    firsts = orders.groupby("customer_id")["month"].min().value_counts().sort_index()
    assert base.monthly["new_buyers"].tolist() == firsts.tolist()
    assert base.known_share == 1


def test_reach_and_obstacles_add_up_to_everybody(finished: Workbench) -> None:
    base = finished.base(as_of=sw.ENDS_AT)
    assert base.reach["email"] + sum(base.obstacles.values()) == base.customers
    assert set(base.obstacles) == {
        "no address",
        "address does not work",
        "no consent to advertising",
        "consent withdrawn",
        "suppressed",
    }


def test_orders_without_a_customer_lower_the_known_share(
    make_workbench: Callable[..., Workbench], small_shop: Callable[..., Shop]
) -> None:
    shop = small_shop(30)
    workbench = make_workbench(shop)
    folder = workbench.settings.folder
    orders = shop.orders.assign(order_id="anonymous-" + shop.orders["order_id"], customer_id="")
    till_file(orders).to_csv(folder / "incoming" / "orders_x.csv", index=False)
    workbench.import_file(folder / "maps" / "orders.yml", folder / "incoming" / "orders_x.csv")
    base = workbench.base(as_of=datetime(2024, 6, 1))
    assert base.known_share == pytest.approx(0.5)
    assert "50.0 % with a known customer" in base.sentence()


def test_an_empty_base_is_described_and_ready_for_nothing() -> None:
    base = described()
    assert np.isnan(base.known_share)
    assert ready(base) == {
        "control group of 5 %": False,
        "lifetime value": False,
        "margin instead of revenue": False,
    }
    assert "May be contacted: nobody." in base.sentence()
    assert not base.has_cost


@pytest.mark.parametrize(
    ("changes", "analysis", "is_ready"),
    [
        ({"reach": {"email": 1_999}}, "control group of 5 %", False),
        ({"reach": {"sms": 5, "email": 2_000}}, "control group of 5 %", True),
        ({"repeaters": 99}, "lifetime value", False),
        ({"repeaters": 100}, "lifetime value", True),
        ({"totals": {"orders": 9, "orders_with_cost": 8}}, "margin instead of revenue", False),
        ({"totals": {"orders": 9, "orders_with_cost": 9}}, "margin instead of revenue", True),
    ],
)
def test_readiness_changes_at_its_limit(
    changes: dict[str, Any], analysis: str, is_ready: bool
) -> None:
    period = {
        "first_order_at": datetime(2024, 1, 1),
        "last_order_at": datetime(2024, 6, 29),
        "orders": 9,
    }
    totals = period | changes.get("totals", {})
    assert ready(described(**(changes | {"totals": totals})))[analysis] is is_ready


def test_readiness_gives_the_number_that_decides() -> None:
    frame = described(reach={"email": 1_234}).readiness_frame()
    assert "1,234 customers may be contacted" in frame.loc[0, "why"]
    assert frame.columns.tolist() == ["analysis", "ready", "why"]


def test_a_campaign_to_chosen_customers_shows_who_they_were() -> None:
    chosen = pd.DataFrame(
        {
            "campaign_id": ["spring", "first"],
            "recipients": [10, 5],
            "others": [90, 95],
            "recipients_before": [30.0, 1.0],
            "others_before": [10.0, 0.0],
        }
    )
    frame = described(chosen_campaigns=chosen).chosen_frame().set_index("campaign")
    assert frame.loc["spring", "ratio"] == 3
    assert np.isnan(frame.loc["first", "ratio"])


def test_imports_are_listed_the_latest_first(finished: Workbench) -> None:
    frame = finished.base(as_of=sw.ENDS_AT).imports_frame()
    assert frame["file"].tolist()[0] == "orders_later.csv"
    assert (frame["records"] == frame["loaded"] + frame["set aside"]).all()
    orders = frame[frame["table"] == "orders"]
    assert np.allclose(orders["EUR in the file"], orders["EUR loaded"])


def test_a_base_of_customers_without_an_address_reaches_nobody(
    make_workbench: Callable[..., Workbench],
) -> None:
    shop = make_shop(
        25, rng=np.random.default_rng(1), shares=sw.Shares(no_address=1.0, suppressed=0)
    )
    base = make_workbench(shop).base(as_of=sw.ENDS_AT)
    assert base.reach == {}
    assert base.obstacles == {}
    assert "nobody" in base.sentence()
