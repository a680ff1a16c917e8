"""Groups, pay-back, tiers and data health: hand counts, brute force, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from crm_lab.errors import DesignError
from crm_lab.ltv import PurchaseHistory
from crm_lab.ltv.cohorts import MIN_GROUP, group_values, payback_months
from crm_lab.ltv.health import DataHealth
from crm_lab.ltv.predictions import LifetimePredictions, predict
from crm_lab.ltv.tiers import due_by_tier, value_tiers


@pytest.fixture(scope="module")
def predictions(cdnow_history: PurchaseHistory) -> LifetimePredictions:
    past = pd.Series(50.0, index=cdnow_history.customers["customer_id"])
    return predict(cdnow_history, periods=26, past_value=past)


@pytest.fixture(scope="module")
def groups(predictions: LifetimePredictions) -> pd.DataFrame:
    frame = predictions.customers
    often = np.where(frame["frequency"] > 2, "often", "seldom").astype(object)
    often[:5] = "few"
    return pd.DataFrame({"customer_id": frame["customer_id"], "label": often})


def test_groups_are_means_of_their_customers(
    predictions: LifetimePredictions, groups: pd.DataFrame
) -> None:
    found = group_values(predictions, groups, by="channel")
    frame = predictions.customers
    for row in found.rows:
        mine = frame[(groups["label"] == row.group).to_numpy()]
        assert row.customers == len(mine)
        assert row.lifetime_value == pytest.approx(50 + mine["expected_value"].mean())
        if len(mine) >= MIN_GROUP:
            plain = 1.96 * mine["expected_value"].std() / np.sqrt(len(mine))
            assert row.high - row.lifetime_value > plain * 0.999
    assert found.differ
    assert found.sentence().startswith("Lifetime value differs by channel of the first order: most")
    assert "Observational" in found.sentence()


def test_a_group_too_small_has_no_interval(
    predictions: LifetimePredictions, groups: pd.DataFrame
) -> None:
    few = next(r for r in group_values(predictions, groups, by="month").rows if r.group == "few")
    assert few.reason == "only 5 customers, at least 20 are needed for an interval"
    assert np.isnan(few.low)
    assert np.isnan(few.shrunken)


def test_pooling_pulls_noise_together(predictions: LifetimePredictions) -> None:
    rng = np.random.default_rng(1)
    ids = predictions.customers["customer_id"]
    drawn = pd.DataFrame({"customer_id": ids, "label": rng.integers(0, 30, len(ids)).astype(str)})
    found = group_values(predictions, drawn, by="region_code")
    raw = [row.lifetime_value for row in found.rows]
    pooled = [row.shrunken for row in found.rows]
    assert np.std(pooled) < np.std(raw)
    assert not found.differ
    assert found.sentence().startswith("The data do not show that lifetime value differs by region")


def test_pay_back_against_costs(predictions: LifetimePredictions, groups: pd.DataFrame) -> None:
    n = groups["label"].value_counts()
    worth = {r.group: r for r in group_values(predictions, groups, by="channel").rows}
    costs = {
        "few": 40.0 * n["few"],
        "often": worth["often"].low * 0.99 * n["often"],
        "seldom": worth["seldom"].high * 1.5 * n["seldom"],
    }
    curve = pd.DataFrame(
        {
            "label": ["few", "few"],
            "age_month": [0, 1],
            "customers": [5, 5],
            "revenue": [100.0, 150.0],
        }
    )
    found = {
        row.group: row
        for row in group_values(predictions, groups, by="channel", costs=costs, curve=curve).rows
    }
    assert found["few"].pays_back == "yes"
    assert found["few"].payback_months == 2
    assert found["often"].pays_back == "expected"
    assert np.isnan(found["often"].payback_months)
    assert found["seldom"].pays_back == "no"
    result = group_values(predictions, groups, by="channel", costs=costs, curve=curve)
    assert "1 of 3 groups with a known cost have paid it back" in result.sentence()
    assert {"cost", "paid back", "months"} <= set(result.card_frame().columns)
    assert len(result.to_frame()) == 3
    between = {"often": worth["often"].lifetime_value * n["often"]}
    unsure = group_values(predictions, groups, by="channel", costs=between).rows
    assert next(row for row in unsure if row.group == "often").pays_back == "not sure"


def test_pay_back_counts_only_who_lived_a_month() -> None:
    curve = pd.DataFrame(
        {"age_month": [2, 0, 1], "customers": [1, 10, 5], "revenue": [9.0, 100.0, 25.0]}
    )
    assert payback_months(curve, cost=10) == 1
    assert payback_months(curve, cost=15) == 2
    assert payback_months(curve, cost=24) == 3
    assert np.isnan(payback_months(curve, cost=24.1))


def test_without_values_groups_cannot_be_compared(
    predictions: LifetimePredictions, groups: pd.DataFrame
) -> None:
    broken = replace(predictions, value_reason="no amounts")
    assert group_values(broken, groups, by="month").sentence().startswith("Cannot compare: no am")
    nobody = pd.DataFrame({"customer_id": ["nobody"], "label": ["x"]})
    assert group_values(predictions, nobody, by="month").reason == "no customer is in any group"


def test_bad_groups_are_refused(predictions: LifetimePredictions, groups: pd.DataFrame) -> None:
    with pytest.raises(DesignError, match="columns missing: label"):
        group_values(predictions, groups[["customer_id"]], by="month")
    with pytest.raises(DesignError, match="costs below 0: few"):
        group_values(predictions, groups, by="month", costs={"few": -1.0})
    with pytest.raises(DesignError, match="alpha"):
        group_values(predictions, groups, by="month", alpha=0.0)


def test_tiers_cut_the_base_by_value(predictions: LifetimePredictions) -> None:
    found = value_tiers(predictions)
    each = np.sort(predictions.customers["expected_value"].to_numpy())[::-1]
    n = len(each)
    assert [tier.customers for tier in found.tiers] == [118, 353, 707, n - 1178]
    assert found.tiers[0].expected == pytest.approx(each[:118].sum())
    assert sum(tier.share for tier in found.tiers) == pytest.approx(1)
    assert found.members["tier"].value_counts()["best 5 %"] == 118
    assert "the best 5 % (118 customers)" in found.sentence()
    assert len(found.to_frame()) == len(found.card_frame()) == 4


def test_the_due_are_counted_by_tier(predictions: LifetimePredictions) -> None:
    tiers = value_tiers(predictions)
    table = due_by_tier(predictions, tiers, days=14)
    due = predictions.due(days=14)
    assert table["tier"].tolist() == [tier.tier for tier in tiers.tiers]
    assert table["customers"].sum() == len(due) > 0
    assert table["expected_orders"].sum() == pytest.approx(due["expected_orders"].sum())


def test_tiers_without_value_are_by_orders(predictions: LifetimePredictions) -> None:
    found = value_tiers(replace(predictions, value_reason="no amounts"), shares=(0.5, 0.5))
    each = np.sort(predictions.customers["expected_orders"].to_numpy())[::-1]
    assert not found.by_value
    assert found.tiers[0].expected == pytest.approx(each[:1178].sum())
    nothing = value_tiers(replace(predictions, reason="it collapsed", value_reason="it collapsed"))
    assert nothing.sentence() == "No tiers: it collapsed."


@pytest.mark.parametrize("shares", [(), (0.5,), (0.5, 0.6), (1.5, -0.5)])
def test_impossible_tiers_are_refused(
    predictions: LifetimePredictions, shares: tuple[float, ...]
) -> None:
    with pytest.raises(DesignError, match="add up to 1"):
        value_tiers(predictions, shares=shares)


def test_data_health_says_what_was_done() -> None:
    counts = {
        "orders": 100,
        "later": 2,
        "cancelled": 3,
        "unknown_customer": 5,
        "same_day": 7,
        "refunds": 4,
        "refund_only_days": 1,
        "customers": 40,
        "customers_without_purchase": 1,
        "repeat_days": 30,
        "unpaid_repeat_days": 2,
    }
    found = DataHealth.of(counts)
    assert found.sentence().startswith("100 orders became 30 repeat purchase days of 40 customers")
    assert "10 orders (10.0 %) were left out and 7 merged" in found.sentence()
    assert len(found.to_frame()) == len(counts)
    health = found.history_health
    assert (health.rows, health.same_day_orders, health.refund_only_days) == (92, 7, 1)
