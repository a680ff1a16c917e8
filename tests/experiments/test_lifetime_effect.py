"""Lifetime value from a workbench: groups and health from the database, an experiment's effect."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from crm_lab.errors import DesignError
from crm_lab.gateway import cohorts, operations
from crm_lab.ltv.predictions import LifetimePredictions
from crm_lab.simulation.shops import Shop
from crm_lab.workbench import Workbench

NAME = "spring-mailing"


@pytest.fixture(scope="module")
def predictions(finished: Workbench) -> LifetimePredictions:
    return finished.ltv().predict(periods=4)


def test_the_effect_of_an_arm_is_found(finished: Workbench) -> None:
    found = finished.experiment(NAME).lifetime_effect(weeks=4, arm="strong", refits=50)
    part = found.part("so far")
    plan = finished.experiment(NAME).registered()
    with finished.gateway.reader() as reader:
        variants = reader.frame(operations.assigned(plan.scope))["variant"].value_counts()
    assert (found.n_treatment, found.n_control) == (variants["strong"], variants["control"])
    assert found.treatment == "strong"
    assert found.control == "control"
    assert part.low < part.difference < part.high
    assert (found.as_of - found.starts_on).days == 27
    assert "randomised" in found.sentence()


def test_no_such_arm_is_refused(finished: Workbench) -> None:
    with pytest.raises(DesignError, match="there is no arm 'best'"):
        finished.experiment(NAME).lifetime_effect(arm="best")


def test_past_value_is_what_was_paid(finished: Workbench) -> None:
    paid = finished.ltv().past_value()
    days = finished.ltv().purchases()
    pd.testing.assert_series_equal(
        paid.sort_index(),
        days.groupby("customer_id")["amount"].sum().sort_index(),
        check_names=False,
        check_dtype=False,
    )


def test_health_counts_add_up(finished: Workbench, shop: Shop) -> None:
    ltv = finished.ltv()
    health, days = ltv.health(), ltv.purchases()
    assert health.counts["customers"] == days["customer_id"].nunique()
    assert health.counts["repeat_days"] == len(days) - days["customer_id"].nunique()
    assert health.counts["same_day"] == health.counts["orders"] - health.counts["later"] - len(days)
    assert ltv.history().health.rows == health.counts["orders"]
    assert set(days["customer_id"]) <= set(shop.customers["customer_id"])


def test_groups_by_month_are_those_of_the_first_order(
    finished: Workbench, predictions: LifetimePredictions
) -> None:
    found = finished.ltv().groups(predictions, by="month")
    first = pd.to_datetime(finished.ltv().purchases().groupby("customer_id")["ordered_at"].min())
    expected = first.dt.strftime("%Y-%m").value_counts()
    assert {row.group: row.customers for row in found.rows} == expected.to_dict()
    assert all(np.isnan(row.cost) for row in found.rows)


def test_what_is_not_known_is_one_group(
    finished: Workbench, predictions: LifetimePredictions
) -> None:
    ltv = finished.ltv()
    assert [row.group for row in ltv.groups(predictions, by="channel").rows] == ["not known"]
    assert [row.group for row in ltv.groups(predictions, by="form").rows] == ["not known"]
    assert [row.group for row in ltv.groups(predictions, by="gender").rows] == ["not known"]


def test_months_of_life_count_who_lived_them(finished: Workbench) -> None:
    ltv = finished.ltv()
    until = finished.day_start(ltv.as_of + timedelta(days=1))
    with finished.gateway.reader() as reader:
        curve = reader.frame(cohorts.value_by_age(until, by="gender", zone="UTC"))
    days = ltv.purchases()
    days["ordered_at"] = pd.to_datetime(days["ordered_at"])
    first = days.groupby("customer_id")["ordered_at"].transform("min")
    whole = (pd.Timestamp(until) - first).dt.days // 30
    age = (days["ordered_at"] - first).dt.days // 30
    row = curve[curve["age_month"] == 1].iloc[0]
    assert row["customers"] == days.loc[whole > 1, "customer_id"].nunique()
    assert row["revenue"] == pytest.approx(days.loc[(age == 1) & (whole > 1), "amount"].sum())


def test_an_unknown_group_is_refused(finished: Workbench) -> None:
    until = finished.day_start(finished.ltv().as_of)
    with pytest.raises(DesignError, match="no cohorts by 'colour'"):
        cohorts.acquired(until, by="colour", zone="UTC")  # type: ignore[arg-type]


def test_the_past_is_tested_and_judged(
    finished: Workbench, predictions: LifetimePredictions
) -> None:
    ltv = finished.ltv()
    tests = ltv.test(horizon_days=14, origins=2)
    verdict = ltv.judge(predictions, tests)
    assert len(tests.origins) == 2
    assert verdict.verdict in ("publish", "with care", "do not publish")
