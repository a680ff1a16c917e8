"""The calibration's vectorised draws against the tests one by one; planted effects; coverage."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from datetime import date
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from scipy import stats

from crm_lab.errors import DesignError
from crm_lab.experiments.assignment import bucket_of
from crm_lab.experiments.calibration import count_random_claims
from crm_lab.experiments.calibration_results import Calibration
from crm_lab.experiments.planted import mean_claims, plant_effects, smallest_found
from crm_lab.experiments.rerandomised import (
    Columns,
    Groups,
    both_arms,
    null_statistics,
    size_grid,
    t_statistics,
)
from crm_lab.gateway import redraws
from crm_lab.plots.calibration import plot_power_curve
from crm_lab.stats import compare_means, permutation_null
from crm_lab.stats.permutation import random_subsets
from crm_lab.workbench import Workbench

mpl.use("Agg")
ALMOST_NEVER = 1e-4
ROUNDING = 1e-9
WINDOW: dict[str, Any] = {"starts_on": date(2024, 3, 1), "pre_period_days": 28}


@pytest.fixture
def values() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    bought = rng.random(900) < 0.2
    return {
        "conversion": bought.astype(float),
        "revenue": np.where(bought, rng.lognormal(3, 1, 900), 0.0),
        "dense": 1e6 + rng.normal(size=900),
    }


@pytest.fixture(scope="module")
def calibration(finished: Workbench) -> Calibration:
    return finished.calibrate(**WINDOW, draws=200, control_share=0.1, seed=3)


@pytest.mark.parametrize("names", [("conversion", "revenue"), ("conversion", "revenue", "dense")])
def test_arms_are_those_of_the_values_themselves(
    values: dict[str, np.ndarray], names: tuple[str, ...]
) -> None:
    rng = np.random.default_rng(1)
    columns = Columns.of({name: values[name] for name in names})
    drawn = [rng.choice(900, size, replace=False) for size in (2, 45, 500)]
    treated, control = both_arms(columns, Groups.of(drawn, columns))
    t = t_statistics(treated, control)
    for draw, places in enumerate(drawn):
        mask = np.zeros(900, dtype=bool)
        mask[places] = True
        for number, name in enumerate(names):
            ours, others = values[name][mask], values[name][~mask]
            assert control.means[draw, number] == pytest.approx(ours.mean(), rel=ROUNDING)
            assert treated.errors[draw, number] == pytest.approx(
                others.var(ddof=1) / others.size, rel=1e-6
            )
            if ours.var() > 0:
                expected = stats.ttest_ind(others, ours, equal_var=False).statistic
                assert t[draw, number] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("size", [3, 90, 700])
def test_the_joint_null_is_that_of_the_single_one(values: dict[str, np.ndarray], size: int) -> None:
    columns = Columns.of({name: values[name] for name in ("conversion", "revenue")})
    joint = null_statistics(columns, size=size, permutations=4_000, rng=np.random.default_rng(1))
    single = permutation_null(
        values["revenue"], 900 - size, size, permutations=4_000, rng=np.random.default_rng(2)
    )
    # the same split of the data differs in the last digits between the two
    ours, theirs = np.round(joint[1], 6), np.round(single, 6)
    assert stats.ks_2samp(ours, theirs).pvalue > ALMOST_NEVER


def test_claims_are_those_of_compare_means(values: dict[str, np.ndarray]) -> None:
    rng = np.random.default_rng(8)
    columns = Columns.of({"revenue": values["revenue"]})
    drawn = [rng.choice(900, 60, replace=False) for _ in range(200)]
    null = null_statistics(columns, size=60, permutations=1_999, rng=rng)[0]
    t = t_statistics(*both_arms(columns, Groups.of(drawn, columns)))[:, 0]
    lifts, drops = mean_claims(t, [null], np.zeros(200, dtype=np.int64), alpha=0.2)
    for draw, places in enumerate(drawn):
        rest = np.delete(values["revenue"], places)
        one = compare_means(rest, values["revenue"][places], alpha=0.2, rng=rng, null=null).absolute
        assert (lifts[draw] | drops[draw]) == one.is_significant
        assert not lifts[draw] or one.estimate > 0


@pytest.mark.parametrize(
    ("of_interest", "size"), [(5, 2), (5, 4), (10, 9), (1, 3), (0, 3), (2_000, 1_500)]
)
def test_random_subsets_hold_nobody_twice_and_everybody_alike(of_interest: int, size: int) -> None:
    population, draws = max(10, of_interest), 400
    members, ends = random_subsets(
        population, size, draws, of_interest=of_interest, rng=np.random.default_rng(1)
    )
    groups = [members[ends[i] : ends[i + 1]] for i in range(draws)]
    assert all(len(set(group.tolist())) == group.size for group in groups)
    assert ends[-1] == members.size
    if of_interest:
        counts = np.bincount(members, minlength=of_interest)
        z = (counts - draws * size / population) / math.sqrt(
            draws * size / population * (1 - size / population) + 1e-12
        )
        assert counts.size == of_interest
        assert np.abs(z).max() < 5.5


def test_more_than_there_are_cannot_be_drawn() -> None:
    with pytest.raises(DesignError, match="no more than there are"):
        random_subsets(10, 11, 1, of_interest=3, rng=np.random.default_rng(1))


def test_small_sizes_stand_for_themselves() -> None:
    grid, nearest = size_grid(np.array([2, 3, 7, 3, 20]))
    assert grid[nearest].tolist() == [2, 3, 7, 3, 20]
    sizes = np.arange(1_000, 1_400)
    grid, nearest = size_grid(sizes)
    assert np.abs(np.log(grid[nearest] / sizes)).max() < 0.016
    assert grid.size < 15


def test_planted_effects_are_exact(values: dict[str, np.ndarray]) -> None:
    metrics = {"conversion": values["conversion"], "revenue": values["revenue"]}
    planted = plant_effects(metrics, (0.1, 0.5), control_share=0.1, rng=np.random.default_rng(1))
    assert {(p.metric, p.planted) for p in planted.plantings} == {
        ("conversion", "more buyers"),
        ("revenue", "more buyers"),
        ("revenue", "larger spend"),
    }
    for planting in planted.plantings:
        before, after = metrics[planting.metric], planted.columns[planting.treated]
        assert after.sum() == pytest.approx(before.sum() * (1 + planting.lift), rel=ROUNDING)
        if planting.planted == "more buyers":
            bought = before > 0
            np.testing.assert_array_equal(after[bought], before[bought])


def test_more_buyers_than_customers_are_not_planted() -> None:
    bought = np.array([1.0, 1.0, 1.0, 0.0])
    planted = plant_effects(
        {"conversion": bought, "revenue": bought * 5},
        (1 / 3, 1.0),
        control_share=0.5,
        rng=np.random.default_rng(1),
    )
    assert [p.lift for p in planted.plantings if p.planted == "more buyers"] == [1 / 3, 1 / 3]


def test_power_rises_and_coverage_keeps_its_promise(calibration: Calibration) -> None:
    curves: dict[tuple[str, str], list[float]] = {}
    for point in calibration.power:
        curves.setdefault((point.metric, point.planted), []).append(point.share)
    assert len(curves) == 5
    for shares in curves.values():
        assert all(later >= before - 0.05 for before, later in itertools.pairwise(shares))
        assert shares[0] < 0.2
        assert shares[-1] > 0.8
    for row in calibration.coverage:
        assert row.draws == 200
        assert stats.binomtest(row.held, 200, 0.95, "less").pvalue > ALMOST_NEVER
        assert row.interval[0] <= row.share <= row.interval[1]
    assert len(calibration.power_frame()) == len(calibration.power)
    assert len(calibration.coverage_frame()) == len(calibration.coverage)
    assert "80 % of the draws: conversion by more buyers from +" in calibration.power_sentence()
    assert "held the planted effect" in calibration.coverage_sentence()


def test_both_ways_of_drawing_give_the_same_rates(
    finished: Workbench, calibration: Calibration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crm_lab.experiments.calibration.MAX_SALTED", 100)
    other = finished.calibrate(**WINDOW, draws=200, control_share=0.1, seed=3)
    assert (calibration.drawn_by, other.drawn_by) == ("salt", "random")
    for ours, theirs in zip(calibration.tests, other.tests, strict=True):
        assert (ours.metric, ours.method) == (theirs.metric, theirs.method)
        table = [[t.lifts + t.drops, t.draws - t.lifts - t.drops] for t in (ours, theirs)]
        assert stats.fisher_exact(table).pvalue > ALMOST_NEVER
    for ours, theirs in zip(calibration.power, other.power, strict=True):
        table = [[p.found, p.draws - p.found] for p in (ours, theirs)]
        assert stats.fisher_exact(table).pvalue > ALMOST_NEVER


def test_redrawn_controls_are_those_of_the_hash(finished: Workbench) -> None:
    with finished.gateway.reader() as reader:
        reader.temporary(
            "people",
            "select row_number() over (order by customer_id) - 1 as place, customer_id"
            " from customer",
        )
        people = reader.frame("select customer_id from people order by place")["customer_id"]
        drawn = reader.frame(redraws.control_places("people", ("aa-0", "it's"), 0.0503))
    for draw, salt in enumerate(("aa-0", "it's")):
        expected = {place for place, who in enumerate(people) if bucket_of(salt, who) < 503}
        assert set(drawn.loc[drawn["draw"] == draw, "place"]) == expected


def test_effects_that_are_none_are_refused(finished: Workbench) -> None:
    from crm_lab.experiments import calibration as module

    for effects in ((0.2, 0.1), (0.0,), (-0.1,)):
        with pytest.raises(DesignError, match="effects above 0, ascending"):
            module.calibrate(
                finished.gateway,
                base="x",
                population="",
                starts_at=None,  # type: ignore[arg-type]
                ends_at=None,  # type: ignore[arg-type]
                pre_starts_at=None,  # type: ignore[arg-type]
                control_share=0.1,
                rng=np.random.default_rng(1),
                effects=effects,
            )


def test_claims_of_random_groups_keep_their_promise() -> None:
    rng = np.random.default_rng(2)
    bought = rng.random(5_000) < 0.1
    revenue = np.where(bought, rng.lognormal(3, 1, 5_000), 0.0)
    tests = count_random_claims(
        bought, {"revenue per customer": revenue}, size=250, draws=500, alpha=0.05, rng=rng
    )
    for test in tests:
        if test.is_default:
            assert test.draws == 500
            assert stats.binomtest(test.lifts + test.drops, 500, 0.05).pvalue > ALMOST_NEVER


def test_the_power_curve_is_drawn(calibration: Calibration) -> None:
    axes = plot_power_curve(calibration)
    assert axes.get_title(loc="left").endswith("?")
    assert len(axes.containers) == 5
    _, given = plt.subplots()
    assert plot_power_curve(calibration, ax=given) is given
    plt.close("all")


def test_a_base_without_buyers_has_no_curve(
    make_workbench: Callable[..., Workbench], small_shop: Callable[..., Any]
) -> None:
    found = make_workbench(small_shop(150)).calibrate(
        starts_on=date(2025, 1, 1), draws=20, control_share=0.1
    )
    assert found.power == ()
    assert found.coverage_frame().empty
    assert math.isnan(smallest_found(found.power))
    plot_power_curve(found)
    plt.close("all")
