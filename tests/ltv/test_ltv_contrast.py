"""Value as an outcome: histories since the draw, a planted effect, refusals."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crm_lab.errors import DesignError
from crm_lab.ltv.arm_histories import ArmHistory, arm_histories
from crm_lab.ltv.contrast import LifetimeContrast, lifetime_contrast
from crm_lab.simulation.shops import make_shop

START = datetime(2024, 3, 1)
LAST = date(2024, 5, 30)
LIFT = 0.5
DAYS = 91

Arms = dict[str, ArmHistory]


def shop_arms(lift: float, *, customers: int = 2_000, seed: int = 1) -> tuple[Arms, float, float]:
    """Arms of a shop, and the true difference per customer so far and in 13 weeks."""
    rng = np.random.default_rng(seed)
    shop = make_shop(
        customers,
        rng=rng,
        starts_at=START - timedelta(days=60),
        days=60 + DAYS,
        lift=lambda name: lift if int(name[1:]) % 2 else 0.0,
        lift_from=START,
    )
    ids = shop.customers["customer_id"]
    variant = np.where(ids.str[1:].astype(int) % 2 == 1, "mail", "control")
    orders = shop.orders.assign(amount=shop.orders["amount_cents"] / 100)
    arms = arm_histories(
        pd.DataFrame({"customer_id": ids, "variant": variant}),
        orders,
        starts_on=START.date(),
        as_of=LAST,
        currency="EUR",
    )
    truth = shop.true_effect(lift, days=DAYS)
    return dict(arms), truth, truth


@pytest.fixture(scope="module")
def arms() -> Arms:
    return shop_arms(LIFT)[0]


@pytest.fixture(scope="module")
def few() -> Arms:
    return shop_arms(LIFT, customers=300, seed=2)[0]


@pytest.fixture(scope="module")
def contrast(arms: Arms) -> LifetimeContrast:
    return lifetime_contrast(
        arms["mail"], arms["control"], periods=13, refits=50, rng=np.random.default_rng(2)
    )


def test_everybody_assigned_is_in_the_history(arms: Arms) -> None:
    assert sum(arm.history.n_customers for arm in arms.values()) == 2_000
    history = arms["mail"].history
    assert (history.customers["age"] == DAYS / 7).all()
    assert (history.customers["frequency"] == 0).any()
    assert history.currency == "EUR"


def test_histories_count_by_hand() -> None:
    orders = pd.DataFrame(
        {
            "customer_id": ["a", "a", "a", "a", "a", "z"],
            "ordered_at": pd.to_datetime(
                ["2024-02-28", "2024-03-01", "2024-03-10", "2024-03-10", "2024-03-20", "2024-03-05"]
            ),
            "amount": [99.0, 10.0, 4.0, 6.0, -3.0, 50.0],
        }
    )
    people = pd.DataFrame({"customer_id": ["a", "b"], "variant": ["mail", "mail"]})
    found = arm_histories(people, orders, starts_on=START.date(), as_of=LAST, unit_days=1)["mail"]
    first = found.history.customers.iloc[0]
    assert (first["frequency"], first["recency"], first["age"]) == (2, 10.0, DAYS)
    assert first["monetary_value"] == 10.0
    assert found.observed.tolist() == [17.0, 0.0]


def test_the_measured_part_is_a_plain_difference(arms: Arms, contrast: LifetimeContrast) -> None:
    part = contrast.part("so far")
    one, other = arms["mail"].observed, arms["control"].observed
    welch = stats.ttest_ind(one, other, equal_var=False)
    assert part.difference == pytest.approx(one.mean() - other.mean())
    assert part.difference / part.standard_error == pytest.approx(welch.statistic)


def test_a_planted_effect_is_found(contrast: LifetimeContrast) -> None:
    _, so_far, ahead = shop_arms(LIFT)
    for name, truth in (("so far", so_far), ("ahead", ahead), ("together", so_far + ahead)):
        part = contrast.part(name)
        assert part.low < truth < part.high, name
    assert contrast.part("together").low > 0
    assert contrast.sentence().startswith("'mail' adds to the value of a customer")
    assert "if the effect lasts" in contrast.sentence()
    assert contrast.number_label().endswith("per customer")
    assert " EUR (" in contrast.number()
    assert contrast.refits_failed == 0
    assert contrast.to_frame()["part"].tolist() == ["so far", "ahead", "together"]


def test_parts_add_up(contrast: LifetimeContrast) -> None:
    so_far, ahead, both = contrast.parts
    assert both.difference == pytest.approx(so_far.difference + ahead.difference)
    assert both.treatment - both.control == pytest.approx(both.difference)
    # What was measured and what is expected move together, so errors add up to less than a sum.
    assert both.standard_error < so_far.standard_error + ahead.standard_error
    assert both.standard_error > ahead.standard_error


def test_nothing_planted_cannot_conclude() -> None:
    arms, *_ = shop_arms(0.0, seed=4)
    found = lifetime_contrast(
        arms["mail"], arms["control"], periods=13, refits=50, rng=np.random.default_rng(2)
    )
    assert found.sentence().startswith("Cannot conclude that 'mail'")


def test_equal_seeds_give_equal_intervals(few: Arms) -> None:
    one, other = (
        lifetime_contrast(
            few["mail"], few["control"], periods=13, refits=50, rng=np.random.default_rng(2)
        )
        for _ in range(2)
    )
    assert one.to_dict() == other.to_dict()


def test_no_horizon_adds_nothing(few: Arms) -> None:
    found = lifetime_contrast(
        few["mail"], few["control"], periods=0, refits=50, rng=np.random.default_rng(2)
    )
    assert found.part("ahead").difference == pytest.approx(0.0, abs=1e-9)
    assert found.part("together").difference == pytest.approx(found.part("so far").difference)


def test_a_small_arm_gives_the_measured_part_only() -> None:
    arms, *_ = shop_arms(LIFT, customers=80)
    found = lifetime_contrast(
        arms["mail"], arms["control"], periods=13, refits=50, rng=np.random.default_rng(2)
    )
    assert "has only 40 customers" in found.reason
    assert np.isnan(found.part("together").low)
    assert np.isfinite(found.part("so far").low)
    assert found.sentence().startswith("Nothing can be said about the time ahead")
    assert found.number_label().endswith("per customer")


def test_a_far_horizon_is_warned_about(few: Arms) -> None:
    found = lifetime_contrast(
        few["mail"], few["control"], periods=520, refits=50, rng=np.random.default_rng(2)
    )
    assert "many times the window" in found.sentence()


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"periods": -1}, "horizon"), ({"refits": 10}, "refits"), ({"alpha": 1.0}, "alpha")],
)
def test_impossible_wishes_are_refused(arms: Arms, changes: dict[str, float], message: str) -> None:
    wishes = {"periods": 13, "rng": np.random.default_rng(1), **changes}
    with pytest.raises(DesignError, match=message):
        lifetime_contrast(arms["mail"], arms["control"], **wishes)  # type: ignore[arg-type]


def test_arms_must_be_seen_alike(arms: Arms) -> None:
    rng = np.random.default_rng(1)
    other = replace(arms["control"], starts_on=date(2024, 2, 1))
    with pytest.raises(DesignError, match="same window"):
        lifetime_contrast(arms["mail"], other, periods=13, rng=rng)
    other = replace(arms["control"], history=replace(arms["control"].history, currency="USD"))
    with pytest.raises(DesignError, match="same money"):
        lifetime_contrast(arms["mail"], other, periods=13, rng=rng)


def test_bad_assignments_are_refused() -> None:
    orders = pd.DataFrame({"customer_id": [], "ordered_at": [], "amount": []})
    people = pd.DataFrame({"customer_id": ["a", "a"], "variant": ["mail", "control"]})
    with pytest.raises(DesignError, match="more than once"):
        arm_histories(people, orders, starts_on=START.date(), as_of=LAST)
    with pytest.raises(DesignError, match="columns missing: variant"):
        arm_histories(people[["customer_id"]], orders, starts_on=START.date(), as_of=LAST)
    with pytest.raises(DesignError, match="not before the first"):
        arm_histories(people.head(1), orders, starts_on=LAST, as_of=START.date())


def test_nobody_ordered_is_no_fault() -> None:
    orders = pd.DataFrame(
        {"customer_id": ["z"], "ordered_at": pd.to_datetime(["2024-03-05"]), "amount": [1.0]}
    )
    people = pd.DataFrame({"customer_id": ["a", "b"], "variant": ["mail", "control"]})
    found = arm_histories(people, orders, starts_on=START.date(), as_of=LAST)
    assert found["mail"].history.customers["frequency"].tolist() == [0]
    assert found["control"].observed.tolist() == [0.0]
