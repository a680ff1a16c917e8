"""Power with pre-periods, clusters, looks, several arms, ratios; and on own history."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crm_lab.errors import DesignError
from crm_lab.stats import (
    DesignFactors,
    cluster_sizes,
    compare_means,
    design_effect,
    group_sequential,
    intraclass_correlation,
    minimum_detectable_effect_mean,
    minimum_detectable_effect_proportion,
    minimum_detectable_effect_ratio,
    power_mean,
    power_proportion,
    ratio_variance,
    required_total,
    simulate_power,
)
from crm_lab.stats.permutation import permutation_null
from crm_lab.stats.simulated_power import _summary, _welch

RULES = {"alpha": 0.05, "power": 0.8}
ROUNDING = 1e-9


def history(n: int, *, sigma: float = 1.0, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.lognormal(3.0, sigma, n) * (rng.random(n) < 0.1)


def test_power_as_r(reference: Path) -> None:
    cases = json.loads((reference / "ab_oracles.json").read_text(encoding="utf-8"))["cases"]
    by_id = {case["id"]: case for case in cases}
    case = by_id["power_prop"]
    for given, expected in zip(case["inputs"], case["expected"], strict=True):
        n = given.get("n", expected.get("n"))
        power = power_proportion(given["p1"], given["p2"], n, n, alpha=0.05)
        wanted = given.get("power", expected.get("power"))
        assert power == pytest.approx(wanted, rel=case["rel_tol"])
    case = by_id["power_t"]
    for given, expected in zip(case["inputs"], case["expected"], strict=True):
        n = given.get("n", expected.get("n"))
        power = power_mean(given["delta"], given["sd"], n, n, alpha=0.05)
        assert power == pytest.approx(given.get("power", expected.get("power")), rel=1e-4)


def test_no_factor_changes_nothing() -> None:
    plain = minimum_detectable_effect_mean(6.0, 40.0, 9_500, 500, **RULES)
    same = minimum_detectable_effect_mean(6.0, 40.0, 9_500, 500, **RULES, factors=DesignFactors())
    assert plain == same


@pytest.mark.parametrize(
    "factors",
    [
        DesignFactors(correlation=0.7),
        DesignFactors(design_effect=1.6),
        DesignFactors(inflation=1.2),
        DesignFactors(correlation=-0.5, design_effect=2.0, inflation=1.02),
    ],
)
def test_a_factor_on_the_variance_is_one_on_the_size(factors: DesignFactors) -> None:
    # Arms are rounded up to whole customers.
    for known in ({"base_rate": 0.1}, {"mean": 6.0, "sd": 40.0}):
        rules: dict[str, Any] = {"relative_effect": 0.1, "control_share": 0.05, **RULES, **known}
        plain = required_total(**rules)
        changed = required_total(**rules, factors=factors)
        assert changed.total == pytest.approx(plain.total * factors.variance, rel=1e-3)
    wide = minimum_detectable_effect_mean(6.0, 40.0, 950_000, 50_000, **RULES, factors=factors)
    plain_effect = minimum_detectable_effect_mean(6.0, 40.0, 950_000, 50_000, **RULES)
    ratio = wide.relative / plain_effect.relative
    assert ratio == pytest.approx(math.sqrt(factors.variance), rel=1e-6)


def test_size_and_effect_are_inverse_with_factors() -> None:
    factors = DesignFactors(correlation=0.4, design_effect=1.3, inflation=1.1, comparisons=3)
    size = required_total(
        base_rate=0.1, relative_effect=0.2, control_share=0.1, **RULES, factors=factors
    )
    effect = minimum_detectable_effect_proportion(
        0.1, int(size.n_treatment), int(size.n_control), **RULES, factors=factors
    )
    assert effect.relative == pytest.approx(0.2, rel=1e-3)
    assert effect.alpha == size.alpha == pytest.approx(0.05 / 3)
    assert "3 comparisons" in effect.method
    assert "correlation 0.40" in size.method


def test_pre_period_removes_the_variance_that_cuped_removes() -> None:
    rng = np.random.default_rng(3)
    before = rng.normal(0, 1, 200_000)
    after = 10 + 0.6 * before + 0.8 * rng.normal(0, 1, 200_000)
    rho = float(np.corrcoef(before, after)[0, 1])
    left = after - np.cov(after, before)[0, 1] / before.var(ddof=1) * before
    assert DesignFactors(correlation=rho).variance == pytest.approx(
        left.var() / after.var(), abs=1e-6
    )


def test_ratio_with_a_constant_denominator_is_a_mean() -> None:
    ratio = minimum_detectable_effect_ratio(
        9_500,
        500,
        mean_numerator=6.0,
        mean_denominator=1.0,
        variance_numerator=1_600.0,
        variance_denominator=0.0,
        covariance=0.0,
        **RULES,
    )
    mean = minimum_detectable_effect_mean(6.0, 40.0, 9_500, 500, **RULES)
    assert ratio.relative == pytest.approx(mean.relative, rel=ROUNDING)


def test_ratio_variance_is_that_of_simulated_ratios() -> None:
    rng, runs, n = np.random.default_rng(8), 4_000, 500
    orders = rng.poisson(0.8, (runs, n))
    revenue = orders * rng.lognormal(3.0, 0.5, (runs, n))
    ratios = revenue.sum(axis=1) / orders.sum(axis=1)
    variance = ratio_variance(
        mean_numerator=float(revenue.mean()),
        mean_denominator=float(orders.mean()),
        variance_numerator=float(revenue.var()),
        variance_denominator=float(orders.var()),
        covariance=float(np.cov(revenue.ravel(), orders.ravel())[0, 1]),
    )
    # Relative Monte Carlo error of a variance over 4,000 runs is about 2.2 %; four of them.
    assert ratios.var() == pytest.approx(variance / n, rel=0.09)


def test_design_effect_is_that_of_simulated_clusters() -> None:
    rng, runs, clusters, size, icc = np.random.default_rng(9), 4_000, 60, 5, 0.3
    shared = rng.normal(0, math.sqrt(icc), (runs, clusters, 1))
    own = rng.normal(0, math.sqrt(1 - icc), (runs, clusters, size))
    means = (shared + own).mean(axis=(1, 2))
    expected = design_effect(size, icc) / (clusters * size)
    assert means.var() == pytest.approx(expected, rel=0.09)
    labels = np.repeat(np.arange(clusters), size)
    estimates = [intraclass_correlation((shared + own)[i].ravel(), labels) for i in range(200)]
    assert np.mean(estimates) == pytest.approx(icc, abs=0.02)


def test_unequal_clusters_cost_more() -> None:
    effects = [design_effect(3.0, 0.2, cluster_size_cv=cv) for cv in (0.0, 0.5, 1.0)]
    assert effects[0] == pytest.approx(1.4)
    assert all(np.diff(effects) > 0)
    assert design_effect(1.0, 0.5) == 1.0


def test_intraclass_correlation_of_extremes() -> None:
    labels = np.repeat(np.arange(50), 4)
    assert intraclass_correlation(np.repeat(np.arange(50.0), 4), labels) == pytest.approx(1.0)
    assert intraclass_correlation(np.tile([0.0, 1.0, 2.0, 3.0], 50), labels) < 0
    assert math.isnan(intraclass_correlation([1.0, 2.0], ["a", "b"]))
    assert math.isnan(intraclass_correlation([1.0, 2.0], ["a", "a"]))
    assert math.isnan(intraclass_correlation([1.0, 1.0, 1.0, 1.0], ["a", "a", "b", "b"]))
    sizes, codes = cluster_sizes(["b", "a", "b"])
    assert sizes.tolist() == [2, 1]
    assert codes.tolist() == [0, 1, 0]


def test_the_price_of_looks() -> None:
    plan = group_sequential(4, **RULES, boundary="pocock")
    once = minimum_detectable_effect_mean(6.0, 40.0, 9_500, 500, **RULES)
    often = minimum_detectable_effect_mean(
        6.0, 40.0, 9_500, 500, **RULES, factors=DesignFactors(inflation=plan.inflation)
    )
    assert often.relative / once.relative == pytest.approx(math.sqrt(plan.inflation), rel=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DesignFactors(correlation=1.0), r"correlation is 1\.0"),
        (lambda: DesignFactors(design_effect=0.0), r"design_effect is 0\.0"),
        (lambda: DesignFactors(inflation=0.9), r"inflation is 0\.9"),
        (lambda: DesignFactors(comparisons=0), "comparisons is 0"),
        (lambda: design_effect(0.5, 0.1), r"mean_cluster_size is 0\.5"),
        (lambda: design_effect(2.0, 1.5), r"intraclass_correlation is 1\.5"),
        (lambda: design_effect(2.0, 0.1, cluster_size_cv=-1.0), r"cluster_size_cv is -1\.0"),
        (lambda: design_effect(5.0, -0.5), "leaves some variance"),
        (lambda: intraclass_correlation([1.0], ["a", "b"]), "1 values but 2 labels"),
        (lambda: intraclass_correlation([1.0, math.inf], ["a", "a"]), "not finite"),
        (lambda: cluster_sizes(["a", None]), "1 units have no cluster"),
    ],
)
def test_impossible_factors(make: Any, message: str) -> None:
    with pytest.raises(DesignError, match=message):
        make()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean_denominator": 0.0}, "mean_denominator is 0"),
        ({"mean_numerator": math.nan}, "mean_numerator is nan"),
        ({"variance_numerator": -1.0}, r"variance_numerator is -1\.0"),
        ({"covariance": 50.0}, r"covariance is 50\.0"),
    ],
)
def test_impossible_ratios(change: dict[str, float], message: str) -> None:
    given = {
        "mean_numerator": 5.0,
        "mean_denominator": 0.5,
        "variance_numerator": 100.0,
        "variance_denominator": 0.5,
        "covariance": 5.0,
    }
    with pytest.raises(DesignError, match=message):
        ratio_variance(**(given | change))


def test_a_ratio_that_does_not_vary() -> None:
    with pytest.raises(DesignError, match="same for every unit"):
        minimum_detectable_effect_ratio(
            10,
            10,
            mean_numerator=10.0,
            mean_denominator=1.0,
            variance_numerator=100.0,
            variance_denominator=1.0,
            covariance=10.0,
            **RULES,
        )


# Power on own history


def test_the_imitated_statistic_is_that_of_the_default_test() -> None:
    rng = np.random.default_rng(6)
    treated, control = history(800, seed=2), history(200, seed=3)
    null = permutation_null(np.concatenate([treated, control]), 800, 200, rng=rng)
    result = compare_means(treated, control, alpha=0.05, rng=rng, null=null)
    t = _welch(treated[treated > 0], 800, control[control > 0], 200)
    error = math.sqrt(treated.var(ddof=1) / 800 + control.var(ddof=1) / 200)
    assert t == pytest.approx((treated.mean() - control.mean()) / error, rel=ROUNDING)
    assert _summary(control[control > 0], 200)[0] == pytest.approx(result.absolute.control_value)


@pytest.mark.parametrize("how", ["more buyers", "larger spend"])
def test_no_effect_is_claimed_as_often_as_promised(how: Any) -> None:
    result = simulate_power(
        history(3_000, sigma=1.5),
        n_treatment=950,
        n_control=50,
        effects=[0.0],
        how=how,
        alpha=0.05,
        rng=np.random.default_rng(7),
        replicates=600,
        permutations=199,
    )
    rate = result.to_frame().loc[0, "power"]
    # Four Monte Carlo errors above; a test of five buyers is allowed to claim less.
    assert rate < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 600)
    assert result.reason == "no increase was planted"


def test_formula_and_simulation_agree_for_a_large_control_and_light_tails() -> None:
    rng = np.random.default_rng(5)
    values = 10.0 + rng.random(4_000)  # no zeros, no tail
    formula = minimum_detectable_effect_mean(values.mean(), values.std(), 2_000, 2_000, **RULES)
    result = simulate_power(
        values,
        n_treatment=2_000,
        n_control=2_000,
        effects=[formula.relative * m for m in (0.6, 0.8, 1.0, 1.2, 1.4)],
        how="larger spend",
        alpha=0.05,
        rng=rng,
        replicates=400,
        share_null=True,
    )
    # Power rises by about 2.3 points per percent of effect; the Monte Carlo error is 2 points.
    assert result.detectable == pytest.approx(formula.relative, rel=0.08)


def test_power_rises_with_the_effect_and_the_formula_is_too_hopeful() -> None:
    values = history(3_000)
    formula = minimum_detectable_effect_mean(values.mean(), values.std(), 2_850, 150, **RULES)
    result = simulate_power(
        values,
        n_treatment=2_850,
        n_control=150,
        effects=[formula.relative * m for m in (0.5, 1.0, 2.0, 4.0)],
        alpha=0.05,
        rng=np.random.default_rng(1),
        replicates=150,
        permutations=199,
    )
    table = result.to_frame()
    assert table["power"].is_monotonic_increasing
    assert (table["low"] <= table["power"]).all()
    assert result.detectable > 1.2 * formula.relative
    assert "by more buyers is found with probability 80 %" in result.sentence()


def test_a_drop_is_counted_as_a_drop() -> None:
    result = simulate_power(
        history(3_000),
        n_treatment=2_000,
        n_control=2_000,
        effects=[-0.9],
        alpha=0.05,
        rng=np.random.default_rng(1),
        replicates=40,
        permutations=199,
    )
    assert result.drops[0] > 30
    assert result.to_frame().loc[0, "power"] == result.drops[0] / 40


def test_the_same_state_gives_the_same_power() -> None:
    made = [
        simulate_power(
            history(500),
            n_treatment=400,
            n_control=100,
            effects=[1.0],
            alpha=0.05,
            rng=np.random.default_rng(11),
            replicates=20,
            permutations=99,
        )
        for _ in range(2)
    ]
    assert made[0].to_dict() == made[1].to_dict()


def test_what_is_not_reached_is_said() -> None:
    result = simulate_power(
        history(500),
        n_treatment=95,
        n_control=5,
        effects=[0.1],
        alpha=0.05,
        rng=np.random.default_rng(1),
        replicates=20,
        permutations=99,
    )
    assert math.isnan(result.detectable)
    assert "the largest planted, +10 %, was found in" in result.sentence()
    high = simulate_power(
        history(5_000),
        n_treatment=5_000,
        n_control=5_000,
        effects=[5.0],
        alpha=0.05,
        rng=np.random.default_rng(1),
        replicates=20,
        permutations=99,
    )
    assert "plant smaller ones" in high.reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": [1.0, -1.0]}, "1 past values are negative"),
        ({"values": [1.0, math.nan]}, "1 past values are negative, missing"),
        ({"values": [2.0, 2.0]}, "do not vary"),
        ({"values": []}, "0 past values"),
        ({"n_control": 1}, "n_control is 1"),
        ({"alpha": 1.5}, r"alpha is 1\.5"),
        ({"power": 0.0}, r"power is 0\.0"),
        ({"effects": []}, "effects are"),
        ({"effects": [-1.0]}, "effects are"),
        ({"effects": [math.nan]}, "effects are"),
        ({"effects": [2.0]}, r"\+200\.0 % by more buyers, where 50\.0 % buy already"),
        ({"how": "luck"}, "how is 'luck'"),
        ({"replicates": 0}, "replicates is 0"),
        ({"permutations": 10}, "permutations is 10"),
    ],
)
def test_impossible_simulations(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {
        "values": [0.0, 0.0, 5.0, 9.0],
        "n_treatment": 10,
        "n_control": 10,
        "effects": [0.5],
        "alpha": 0.05,
        "rng": np.random.default_rng(1),
    } | change
    with pytest.raises(DesignError, match=message):
        simulate_power(given.pop("values"), **given)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["more buyers", "larger spend"])
def test_a_shared_null_changes_no_power(how: Any) -> None:
    rules: dict[str, Any] = {
        "n_treatment": 19_000,
        "n_control": 1_000,
        "effects": [0.0, 0.8, 1.1],
        "how": how,
        "alpha": 0.05,
        "replicates": 500,
    }
    values = history(20_000, sigma=1.5)
    own = simulate_power(values, rng=np.random.default_rng(1), share_null=False, **rules)
    shared = simulate_power(values, rng=np.random.default_rng(2), share_null=True, **rules)
    # Ten times fewer buyers than where sharing begins; four Monte Carlo errors of a difference.
    for one, other in zip(own.to_frame()["power"], shared.to_frame()["power"], strict=True):
        assert one == pytest.approx(other, abs=4 * math.sqrt(2 * 0.25 / 500))
