"""Outside references for crm_lab.stats: R, gsDesign, rpact, and statsmodels itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crm_lab import stats
from crm_lab.stats.adjustment import Convention
from crm_lab.stats.multiplicity import AdjustmentMethod

Case = dict[str, Any]
ALPHA = 0.05
# Published facts are rounded: to a whole percent, and to a thousand units.
PERCENT, THOUSAND = 0.005, 500.0


@pytest.fixture(scope="module")
def oracle(reference: Path) -> Callable[[str], Case]:
    cases = json.loads((reference / "ab_oracles.json").read_text(encoding="utf-8"))["cases"]
    by_id = {case["id"]: case for case in cases}
    return by_id.__getitem__


def compare(case: Case, *, correction: bool = True) -> stats.Comparison:
    given = case["inputs"]
    return stats.compare_proportions(
        given["x_treat"],
        given["n_treat"],
        given["x_control"],
        given["n_control"],
        alpha=ALPHA,
        correction=correction,
    )


def arms(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    given = case["inputs"]
    treated = np.array(given["treat"]) == 1
    y, x = np.array(given["y"]), np.array(given["x"])
    return y[treated], x[treated], y[~treated], x[~treated]


@pytest.mark.parametrize(
    ("name", "correction"), [("mn_ci", True), ("mee_ci", False), ("mee_ci_holdout", False)]
)
def test_score_interval_of_a_difference(
    oracle: Callable[[str], Case], name: str, correction: bool
) -> None:
    case = oracle(name)
    effect = compare(case, correction=correction).absolute
    assert [effect.low, effect.high] == pytest.approx(case["expected"]["ci"], rel=case["rel_tol"])


def test_score_interval_of_a_ratio(oracle: Callable[[str], Case]) -> None:
    case = oracle("koopman_rr")
    effect = compare(case).relative
    ends = [1 + effect.low, 1 + effect.high]
    assert ends == pytest.approx(case["expected"]["ci"], rel=case["rel_tol"])


@pytest.mark.parametrize("name", ["prop_z_pooled", "prop_z_holdout"])
def test_pooled_test_of_two_proportions(oracle: Callable[[str], Case], name: str) -> None:
    case = oracle(name)
    effect = compare(case, correction=False).absolute
    assert effect.p_value == pytest.approx(case["expected"]["p"], rel=case["rel_tol"])


@pytest.mark.parametrize(
    "table", [(56, 70, 48, 80), (5_200, 95_000, 250, 5_000), (9, 2_850, 2, 150), (3, 40, 1, 50)]
)
def test_ratio_interval_is_that_of_statsmodels(table: tuple[int, int, int, int]) -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    theirs = proportion.confint_proportions_2indep(*table, compare="ratio", method="score")
    ours = stats.compare_proportions(*table, alpha=ALPHA).relative
    # statsmodels stops its root search at about 1e-6.
    assert (1 + ours.low, 1 + ours.high) == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize(("events", "n"), [(0, 20), (7, 90), (20, 20), (448, 27_400)])
def test_wilson_interval_is_that_of_statsmodels(events: int, n: int) -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    theirs = proportion.proportion_confint(events, n, alpha=ALPHA, method="wilson")
    ours = stats.proportion_interval(events, n, alpha=ALPHA)
    assert (ours.low, ours.high) == pytest.approx(theirs, abs=1e-12)


def test_welch_on_the_sleep_data(oracle: Callable[[str], Case]) -> None:
    case = oracle("welch_sleep")
    given, expected = case["inputs"], case["expected"]
    effect = stats.compare_means_welch(given["g1"], given["g2"], alpha=ALPHA).absolute
    assert effect.p_value == pytest.approx(expected["p"], rel=case["rel_tol"])
    assert [effect.low, effect.high] == pytest.approx(expected["ci"], rel=case["rel_tol"])


def test_relative_estimate_from_summaries(oracle: Callable[[str], Case]) -> None:
    case = oracle("rel_delta")
    summaries = []
    for arm in ("treat", "control"):
        given = case["inputs"][arm]
        mean = given["sum"] / given["n"]
        m2 = given["sum_squares"] - given["n"] * mean**2
        summaries.append(stats.Moments(n=given["n"], mean=mean, m2=m2, m3=0.0))
    result = stats.compare_means_welch(*summaries, alpha=ALPHA)
    assert result.relative.estimate == pytest.approx(case["expected"]["est"], rel=case["rel_tol"])
    # The note of the case gives the p-value of the absolute difference to four digits.
    assert result.absolute.p_value == pytest.approx(0.0711, abs=5e-5)


@pytest.mark.parametrize(
    ("name", "convention"), [("cuped_within", "within"), ("cuped_total", "total")]
)
def test_cuped_in_both_conventions(
    oracle: Callable[[str], Case], name: str, convention: Convention
) -> None:
    case = oracle(name)
    adjusted = stats.cuped(*arms(case), convention=convention)
    effect = adjusted.treatment.mean() - adjusted.control.mean()
    expected = case["expected"]
    assert adjusted.theta[0] == pytest.approx(expected["theta"], rel=case["rel_tol"])
    assert effect == pytest.approx(expected["effect"], rel=case["rel_tol"])


@pytest.mark.parametrize("name", ["srm_5050", "srm_5050_b", "srm_holdout"])
def test_sample_ratio_chi_square(oracle: Callable[[str], Case], name: str) -> None:
    case = oracle(name)
    given = case["inputs"]
    check = stats.sample_ratio_test(
        dict(zip("ab", given["observed"], strict=True)),
        dict(zip("ab", given["weights"], strict=True)),
    )
    assert check.statistic == pytest.approx(case["expected"]["chi2"], rel=case["rel_tol"])
    assert check.p_value == pytest.approx(case["expected"]["p"], rel=case["rel_tol"])


def test_an_arm_of_share_zero_takes_no_degree_of_freedom(oracle: Callable[[str], Case]) -> None:
    case = oracle("srm_holdout")
    held_out, mailed = case["inputs"]["observed"]
    check = stats.sample_ratio_test(
        {"control": held_out, "mail": mailed, "paused": 0},
        {"control": 0.05, "mail": 0.95, "paused": 0.0},
    )
    assert check.p_value == pytest.approx(case["expected"]["p"], rel=case["rel_tol"])
    assert not check.unplanned


def test_sample_ratio_exact(oracle: Callable[[str], Case]) -> None:
    case = oracle("srm_exact")
    given = case["inputs"]
    held_out, n, share = given["observed_holdout"], given["n"], given["p"]
    check = stats.sample_ratio_test(
        {"control": held_out, "mail": n - held_out}, {"control": share, "mail": 1 - share}
    )
    assert check.method == "exact binomial test"
    assert check.p_value == pytest.approx(case["expected"]["p"], rel=case["rel_tol"])


@pytest.mark.parametrize(("method", "name"), [("holm", "holm"), ("benjamini-hochberg", "BH")])
def test_multiplicity(oracle: Callable[[str], Case], method: AdjustmentMethod, name: str) -> None:
    case = oracle("multiplicity")
    adjusted = stats.adjust_p_values(case["inputs"]["p"], method=method)
    assert adjusted == pytest.approx(case["expected"][name], rel=case["rel_tol"])


def test_power_of_proportions(oracle: Callable[[str], Case]) -> None:
    case = oracle("power_prop")
    (first, second, third), expected = case["inputs"], case["expected"]
    tolerance = case["rel_tol"]
    for given, wanted in ((first, expected[0]), (third, expected[2])):
        power = stats.power_proportion(
            given["p1"], given["p2"], wanted["n"], wanted["n"], alpha=ALPHA
        )
        assert power == pytest.approx(given["power"], rel=tolerance)
        size = stats.required_total(
            base_rate=given["p1"],
            relative_effect=given["p2"] / given["p1"] - 1,
            control_share=0.5,
            alpha=ALPHA,
            power=given["power"],
        )
        assert size.n_control == np.ceil(wanted["n"])
    power = stats.power_proportion(
        second["p1"], second["p2"], second["n"], second["n"], alpha=ALPHA
    )
    assert power == pytest.approx(expected[1]["power"], rel=tolerance)


def test_power_of_means(oracle: Callable[[str], Case]) -> None:
    case = oracle("power_t")
    (first, second), (size, power) = case["inputs"], case["expected"]
    found = stats.power_mean(first["delta"], first["sd"], size["n"], size["n"], alpha=ALPHA)
    assert found == pytest.approx(first["power"], rel=case["rel_tol"])
    found = stats.power_mean(second["delta"], second["sd"], second["n"], second["n"], alpha=ALPHA)
    assert found == pytest.approx(power["power"], rel=case["rel_tol"])
    needed = stats.required_total(
        mean=1.0,
        sd=first["sd"],
        relative_effect=first["delta"],
        control_share=0.5,
        alpha=ALPHA,
        power=first["power"],
    )
    assert needed.n_control == np.ceil(size["n"])


@pytest.mark.parametrize(
    ("customers", "lift"), [(3_000, 0.85), (20_000, 0.29), (100_000, 0.13), (400_000, 0.06)]
)
def test_what_five_percent_can_see(customers: int, lift: float) -> None:
    effect = stats.minimum_detectable_effect_proportion(
        0.10, customers * 95 // 100, customers // 20, alpha=ALPHA, power=0.8
    )
    assert effect.relative == pytest.approx(lift, abs=PERCENT)


@pytest.mark.parametrize(
    ("rate", "total"), [(0.02, 863_000), (0.05, 334_000), (0.10, 158_000), (0.30, 40_000)]
)
def test_base_needed_for_ten_percent(rate: float, total: int) -> None:
    size = stats.required_total(
        base_rate=rate, relative_effect=0.1, control_share=0.05, alpha=ALPHA, power=0.8
    )
    assert size.total == pytest.approx(total, abs=THOUSAND)


def test_a_published_vendor_case() -> None:
    result = stats.compare_proportions(13_200, 415_500, 448, 27_400, alpha=ALPHA)
    assert result.absolute.treatment_value == pytest.approx(0.03177, abs=5e-6)
    assert result.absolute.control_value == pytest.approx(0.01635, abs=5e-6)
    assert result.relative.estimate == pytest.approx(0.943, abs=5e-4)
    # 6,406 incremental orders of the 13,200 are the attributable share, which is another number.
    assert result.absolute.estimate * 415_500 == pytest.approx(6_406, abs=1)
