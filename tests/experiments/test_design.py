"""The power and design page: the published example, identities with the formulas, bad input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crm_lab.cards import RESULT_MIME
from crm_lab.errors import DesignError
from crm_lab.experiments.design import design
from crm_lab.experiments.design_results import TARGET, Design
from crm_lab.experiments.design_sights import _rate_over
from crm_lab.stats import (
    minimum_detectable_effect_mean,
    minimum_detectable_effect_proportion,
    required_total,
)

ROUNDING = 1e-9
# Published facts are rounded to whole percents and to a thousand customers.
PERCENT, THOUSAND = 0.005, 500.0


def conversion_only(n: int = 3_000, *, rate: float = 0.1) -> pd.DataFrame:
    buyers = round(n * rate)
    return pd.DataFrame({"orders": [1] * buyers + [0] * (n - buyers)})


def shop(n: int = 4_000, *, seed: int = 0) -> pd.DataFrame:
    """Two windows of customers whose rates differ and stay."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(0.5, 0.3, n)
    frame = {}
    for before in ("", "pre_"):
        orders = rng.poisson(rates)
        frame[f"{before}orders"] = orders
        frame[f"{before}revenue"] = orders * rng.lognormal(3.0, 0.8, n)
    return pd.DataFrame(frame).assign(household_id=np.arange(n) // 2)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return shop()


@pytest.fixture(scope="module")
def full(frame: pd.DataFrame) -> Design:
    return design(
        frame,
        control_share=0.05,
        weeks=4,
        pre_weeks=4,
        shares={"mail": 0.5, "push": 0.3},
        looks=4,
        newcomers_per_week=100,
        rng=np.random.default_rng(1),
        replicates=60,
        permutations=199,
        currency="EUR",
    )


@pytest.mark.parametrize(
    ("eligible", "published"), [(3_000, 0.85), (20_000, 0.29), (100_000, 0.13), (400_000, 0.06)]
)
def test_what_five_percent_can_see(eligible: int, published: float) -> None:
    made = design(conversion_only(), control_share=0.05, weeks=4, eligible=eligible)
    assert made.metric("conversion").detectable.relative == pytest.approx(published, abs=PERCENT)


@pytest.mark.parametrize(
    ("rate", "base"), [(0.02, 863_000), (0.05, 334_000), (0.10, 158_000), (0.30, 40_000)]
)
def test_base_for_ten_percent(rate: float, base: float) -> None:
    made = design(conversion_only(rate=rate), control_share=0.05, weeks=4)
    required = dict(made.metric("conversion").required)
    assert required[0.10] == pytest.approx(base, abs=THOUSAND)


def test_the_shop_of_three_thousand() -> None:
    made = design(conversion_only(), control_share=0.05, weeks=4)
    text = made.sentence()
    assert text.startswith(
        "With 150 control customers only a change of about +85 % in the share who buy would show"
    )
    assert made.verdict == "hopeless"
    assert made.number() == "+85 %"
    assert made.number_label() == "Smallest change that shows, the share who buy"
    assert "pool 14 campaigns like it, or 3 with half held out" in text
    # The pooled campaigns do see the target together, one fewer does not.
    pooled = [
        minimum_detectable_effect_proportion(0.1, 2_850 * k, 150 * k, alpha=0.05, power=0.8)
        for k in (13, 14)
    ]
    assert pooled[0].relative > TARGET >= pooled[1].relative
    assert any("A larger control" in line for line in made.advice)
    assert any("Pooling: 14 campaigns" in line for line in made.advice)


def test_the_base_of_a_million() -> None:
    made = design(conversion_only(), control_share=0.05, weeks=4, eligible=1_000_000)
    assert made.n_control == 50_000
    assert made.metric("conversion").detectable.relative == pytest.approx(0.039, abs=PERCENT / 5)
    assert made.verdict == "enough"
    assert made.advice == ()
    assert "That is enough for most campaigns." in made.sentence()


def test_in_between_a_larger_share_is_named_and_right() -> None:
    made = design(conversion_only(), control_share=0.05, weeks=4, eligible=20_000)
    assert made.verdict == "only large effects"
    assert "Hold out 12 %, or pool" in made.sentence()
    again = design(conversion_only(), control_share=0.12, weeks=4, eligible=20_000)
    assert again.verdict == "enough"


def test_rows_are_those_of_the_formulas(frame: pd.DataFrame) -> None:
    made = design(frame, control_share=0.1, weeks=4)
    rules: dict[str, Any] = {"alpha": 0.05, "power": 0.8}
    rate = float((frame["orders"] > 0).mean())
    mean, sd = float(frame["revenue"].mean()), float(frame["revenue"].std())
    conversion = minimum_detectable_effect_proportion(rate, 3_600, 400, **rules)
    revenue = minimum_detectable_effect_mean(mean, sd, 3_600, 400, **rules)
    assert made.metric("conversion").detectable.relative == pytest.approx(conversion.relative)
    assert made.metric("revenue_per_customer").detectable.relative == pytest.approx(
        revenue.relative
    )
    size = required_total(mean=mean, sd=sd, relative_effect=0.2, control_share=0.1, **rules)
    assert dict(made.metric("revenue_per_customer").required)[0.2] == size.total
    assert made.metric("average_order_value").detectable.base_value == pytest.approx(
        frame["revenue"].sum() / frame["orders"].sum()
    )


def test_average_order_value_of_single_orders_is_their_mean() -> None:
    # Everybody orders once: the ratio is the mean revenue.
    rng = np.random.default_rng(1)
    once = pd.DataFrame({"orders": 1, "revenue": rng.lognormal(3, 1, 2_000)})
    made = design(once, control_share=0.1, weeks=4, primary="average_order_value")
    assert made.metric("average_order_value").detectable.relative == pytest.approx(
        made.metric("revenue_per_customer").detectable.relative, rel=ROUNDING
    )
    assert made.metric("conversion").detectable.reason == "everybody bought in the past window"


def test_adjustment_narrows_by_the_correlation(full: Design, frame: pd.DataFrame) -> None:
    rho = float(frame["revenue"].corr(frame["pre_revenue"]))
    plain, adjusted = (full.metric("revenue_per_customer", adjusted=a) for a in (False, True))
    assert adjusted.correlation == pytest.approx(rho)
    ratio = adjusted.detectable.relative / plain.detectable.relative
    assert ratio == pytest.approx(math.sqrt(1 - rho**2), rel=1e-6)


def test_several_arms_share_the_error(full: Design) -> None:
    assert full.alpha_per_arm == 0.025
    assert full.arms == {"mail": 1_900, "push": 1_140}
    effect = full.metric("conversion").detectable
    assert (effect.n_treatment, effect.n_control, effect.alpha) == (1_140, 200, 0.025)
    assert any(line.startswith("2 arms share") for line in full.advice)
    # A base of the needed size sees what it is needed for.
    required = dict(full.metric("conversion").required)[0.2]
    again = design(
        shop(), control_share=0.05, weeks=4, eligible=int(required), shares=dict.fromkeys("ab", 0.3)
    )
    assert again.metric("conversion").detectable.relative == pytest.approx(0.2, rel=1e-3)


def test_looks_cost(full: Design) -> None:
    assert full.looks is not None
    assert full.looks.alpha == full.alpha_per_arm
    row = full.metric("revenue_per_customer")
    ratio = row.relative_with_looks / row.detectable.relative
    assert ratio == pytest.approx(math.sqrt(full.looks.inflation), rel=1e-6)
    assert any(line.startswith("Planned looks") for line in full.advice)


def test_simulation_is_said_where_the_formula_is_too_hopeful(full: Design) -> None:
    assert [simulated.how for simulated in full.simulations] == ["more buyers", "larger spend"]
    formula = full.metric("revenue_per_customer").detectable.relative
    for how in ("more buyers", "larger spend"):
        plain = full.metric("revenue_per_customer", method=f"simulation, {how}")
        adjusted = full.metric("revenue_per_customer", method=f"simulation, {how}", adjusted=True)
        assert plain.detectable.relative > formula
        assert adjusted.detectable.relative < plain.detectable.relative
        assert "scaled by the formula" in adjusted.detectable.method
    assert any("too hopeful" in line for line in full.advice)
    without = design(shop(400), control_share=0.2, weeks=4)
    assert without.simulations == ()
    assert any("by formula only" in line for line in without.advice)


def test_the_curve_falls_with_the_share(full: Design) -> None:
    for _, part in full.curve.groupby(["metric", "is_adjusted"]):
        below = part[part["control_share"] <= 0.2]
        assert (np.diff(below["relative"]) < 0).all()
    at_plan = full.curve.query(
        "metric == 'conversion' and not is_adjusted and control_share == 0.05"
    )
    assert at_plan["relative"].item() == full.metric("conversion").detectable.relative


def test_newcomers_make_the_base(full: Design) -> None:
    row = full.metric("conversion")
    required, weeks = dict(row.required), dict(row.weeks_newcomers)
    assert weeks[0.2] == pytest.approx(4 + (required[0.2] - 4_000) / 100)


def test_clusters_cost_and_chance_likeness_does_not_help(frame: pd.DataFrame) -> None:
    alike = frame.loc[frame.index // 2 * 2].reset_index(drop=True)
    alike["household_id"] = frame["household_id"]
    made = design(alike, control_share=0.1, weeks=4, cluster="household_id")
    assert made.metric("conversion").design_effect == pytest.approx(2.0, abs=1e-6)
    assert "clusters" in made.metric("conversion").detectable.method
    alone = design(
        frame.assign(household_id=np.arange(len(frame))),
        control_share=0.1,
        weeks=4,
        cluster="household_id",
    )
    assert alone.metric("conversion").design_effect == 1.0


def test_two_windows_project_longer_ones() -> None:
    # A beta-geometric base, whose share of buyers over k windows is known.
    rng = np.random.default_rng(3)
    chances = rng.beta(0.5, 4.0, 400_000)
    bought = rng.random((6, chances.size)) < chances
    rate, either = bought[0].mean(), bought[:2].any(axis=0).mean()
    for k in (2, 6):
        assert _rate_over(rate, either, k) == pytest.approx(
            bought[:k].any(axis=0).mean(), abs=0.004
        )
    assert _rate_over(0.2, 0.36, 3) == pytest.approx(1 - 0.8**3)  # independent windows
    assert _rate_over(0.2, 0.2, 9) == pytest.approx(0.2, abs=1e-6)  # the same buyers always


def test_projection_of_revenue_is_near_the_longer_window() -> None:
    rng = np.random.default_rng(2)
    n = 200_000
    rates = rng.gamma(0.5, 0.3, n)
    revenue = [rng.poisson(rates) * rng.lognormal(3.0, 0.5, n) for _ in range(4)]
    short = pd.DataFrame(
        {
            "orders": revenue[0] > 0,
            "revenue": revenue[0],
            "pre_orders": revenue[1] > 0,
            "pre_revenue": revenue[1],
        }
    ).astype(float)
    long = pd.DataFrame({"orders": sum(revenue) > 0, "revenue": sum(revenue)}).astype(float)
    made = design(short, control_share=0.05, weeks=4, pre_weeks=4)
    seen = design(long, control_share=0.05, weeks=16)
    for metric in ("conversion", "revenue_per_customer"):
        rows = made.horizon.query(f"metric == '{metric}' and source == 'projected' and weeks == 16")
        expected = seen.metric(metric).detectable.relative  # type: ignore[arg-type]
        assert rows["relative"].item() == pytest.approx(expected, rel=0.03)


def test_given_windows_are_read_and_longer_ones_advised() -> None:
    made = design(
        conversion_only(),
        control_share=0.05,
        weeks=4,
        windows={13: conversion_only(rate=0.3), 1: conversion_only(rate=0.03)},
    )
    assert list(made.horizon["weeks"]) == [1, 4, 13]
    assert any(line.startswith("A longer window: 13 weeks") for line in made.advice)
    assert all(math.isnan(weeks) for _, weeks in made.metric("conversion").weeks_window)
    large = design(
        conversion_only(),
        control_share=0.05,
        weeks=4,
        eligible=40_000,
        windows={13: conversion_only(rate=0.3)},
    )
    weeks = dict(large.metric("conversion").weeks_window)
    assert 4 < weeks[0.2] < weeks[0.1] <= 13.0 + ROUNDING


def test_a_denser_metric_is_advised(frame: pd.DataFrame) -> None:
    made = design(frame, control_share=0.05, weeks=4, primary="revenue_per_customer")
    assert any(line.startswith("A denser metric: the share who buy") for line in made.advice)


def test_a_strong_pre_period_is_advised() -> None:
    rng = np.random.default_rng(1)
    level = rng.lognormal(0, 1.5, 2_000)
    steady = pd.DataFrame(
        {"orders": 1, "revenue": level, "pre_orders": 1, "pre_revenue": level * rng.random(2_000)}
    )
    made = design(steady, control_share=0.02, weeks=4, primary="revenue_per_customer")
    assert any(line.startswith("Adjustment of revenue per customer") for line in made.advice)
    assert made.metric("conversion", adjusted=True).detectable.reason


def test_it_shows_itself(full: Design) -> None:
    long, card = full.to_frame(), full.card_frame()
    assert len(long) == len(card) == len(full.metrics) == 10
    assert {"relative", "required_10%", "reason"} <= set(long.columns)
    assert card.loc[2, "base value"].endswith(" EUR")
    bundle = full._repr_mimebundle_()
    assert bundle[RESULT_MIME]["kind"] == "design"
    assert len(bundle["text/html"]) < 4_500
    assert len(full.advice_frame()) == len(full.advice)
    with pytest.raises(DesignError, match="no conversion by magic"):
        full.metric("conversion", method="magic")


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (pd.DataFrame({"orders": [0] * 100}), "nobody bought in the past window"),
        (pd.DataFrame({"orders": [2] * 100}), "everybody bought in the past window"),
    ],
)
def test_data_that_cannot_say_give_a_reason(frame: pd.DataFrame, reason: str) -> None:
    made = design(frame, control_share=0.1, weeks=4)
    effect = made.metric("conversion").detectable
    assert math.isnan(effect.relative)
    assert effect.reason == reason
    assert made.verdict == "cannot be said"
    assert reason in made.sentence()
    assert made.number() == ""


def test_tiny_controls_are_hopeless() -> None:
    made = design(conversion_only(40, rate=0.5), control_share=0.05, weeks=4)
    assert made.verdict == "hopeless"
    assert "would be missed too often" in made.sentence()


def test_refunds_are_not_simulated() -> None:
    frame = shop(400)
    frame.loc[0, "revenue"] = -5.0
    made = design(frame, control_share=0.2, weeks=4, rng=np.random.default_rng(1))
    row = made.metric("revenue_per_customer", method="simulation, more buyers")
    assert "negative values" in row.detectable.reason
    assert made.simulations == ()


def test_revenue_that_is_none() -> None:
    frame = conversion_only().assign(revenue=0.0)
    made = design(frame, control_share=0.2, weeks=4, rng=np.random.default_rng(1))
    for method in ("formula", "simulation, larger spend"):
        effect = made.metric("revenue_per_customer", method=method).detectable
        assert effect.reason == "revenue of the past window is not above zero"


def test_the_input_is_not_changed(frame: pd.DataFrame) -> None:
    before = frame.copy()
    design(frame, control_share=0.05, weeks=4, cluster="household_id")
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"control_share": 1.0}, r"control_share is 1\.0"),
        ({"control_share": 0.0001}, "give 0 controls"),
        ({"weeks": 0}, "weeks is 0"),
        ({"pre_weeks": -1}, "pre_weeks is -1"),
        ({"eligible": 2}, "2 eligible customers"),
        ({"shares": {}}, "shares are {}"),
        ({"shares": {"a": 0.7, "b": 0.7}}, "add up to at most 1"),
        ({"primary": "clicks"}, "primary is 'clicks'"),
        ({"primary": "revenue_per_customer"}, "without revenue"),
        ({"cluster": "home"}, "no column home"),
        ({"newcomers_per_week": -1.0}, "newcomers_per_week is -1"),
        ({"alpha": 0.0}, r"alpha is 0\.0"),
        ({"power": 1.0}, r"power is 1\.0"),
        ({"looks": 0}, "looks is 0"),
        ({"frame": pd.DataFrame({"bought": [1, 0]})}, "no column orders"),
        ({"frame": pd.DataFrame({"orders": ["a", "b"] * 5})}, "orders holds no numbers"),
        ({"frame": pd.DataFrame({"orders": [1.0, None] * 5})}, "missing or infinite for 5"),
        ({"frame": pd.DataFrame({"orders": [1, -1] * 5})}, "orders is negative"),
        ({"windows": {8: pd.DataFrame({"x": [1, 2]})}}, r"windows\[8\]: no column orders"),
    ],
)
def test_impossible_designs(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"frame": conversion_only(200), "control_share": 0.1, "weeks": 4}
    given |= change
    with pytest.raises(DesignError, match=message):
        design(given.pop("frame"), **given)


def test_every_fault_is_reported_at_once() -> None:
    with pytest.raises(DesignError) as caught:
        design(pd.DataFrame({"x": [1, 2]}), control_share=2.0, weeks=-1)
    assert len(caught.value.faults) == 4
