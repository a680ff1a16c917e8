"""Outside references for designs: R (estimatr), a published case, the numbers of a textbook."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats

from crm_lab import stats

Case = dict[str, Any]
ALPHA = 0.05
# The published case is rounded to a tenth of a percent and to whole orders.
TENTH_OF_PERCENT, ORDER = 5e-4, 0.5
# Its interval is Wald's; a score interval lies elsewhere by about 0.4 % of the estimate.
SCORE_AGAINST_WALD = 0.004


@pytest.fixture(scope="module")
def oracle(reference: Path) -> Callable[[str], Case]:
    cases = json.loads((reference / "ab_oracles.json").read_text(encoding="utf-8"))["cases"]
    by_id = {case["id"]: case for case in cases}
    return by_id.__getitem__


def generator() -> np.random.Generator:
    return np.random.default_rng(1)


def standard_error(effect: stats.Effect, degrees: float) -> float:
    return (effect.high - effect.low) / 2 / float(scipy_stats.t.isf(ALPHA / 2, degrees))


def test_cluster_robust_difference(oracle: Callable[[str], Case]) -> None:
    case = oracle("cluster_cr1")
    given, expected = case["inputs"], case["expected"]
    treated, y = np.array(given["treat"]) == 1, np.array(given["y"])
    cluster = np.array(given["cluster"])
    effect = stats.compare_clustered_means(
        y[treated],
        cluster[treated],
        y[~treated],
        cluster[~treated],
        alpha=ALPHA,
        rng=generator(),
        method="cr1",
    ).absolute
    assert effect.estimate == pytest.approx(expected["effect"], rel=case["rel_tol"])
    error = standard_error(effect, expected["df"])
    assert error == pytest.approx(expected["se"], rel=case["rel_tol"])


def test_blocked_difference(oracle: Callable[[str], Case]) -> None:
    case = oracle("blocked")
    given, expected = case["inputs"], case["expected"]
    y, wool, tension = (np.array(given[key]) for key in ("breaks", "wool", "tension"))
    b = wool == "B"
    result = stats.compare_stratified_means(
        y[b], tension[b], y[~b], tension[~b], alpha=ALPHA, rng=generator(), method="t"
    )
    effect = result.comparison.absolute
    assert effect.estimate == pytest.approx(expected["effect"], rel=case["rel_tol"])
    # The error from the share of the variance that the strata removed.
    plain = y[b].var(ddof=1) / b.sum() + y[~b].var(ddof=1) / (~b).sum()
    error = np.sqrt(plain * (1 - result.variance_reduction))
    assert error == pytest.approx(expected["se"], rel=case["rel_tol"])


@pytest.mark.parametrize("name", ["cuped_within", "ancova_hc1"])
def test_one_stratum_with_a_covariate_is_the_analysis_of_covariance(
    oracle: Callable[[str], Case], name: str
) -> None:
    case = oracle(name)
    given, expected = case["inputs"], case["expected"]
    treated = np.array(given["treat"]) == 1
    y, x = np.array(given["y"]), np.array(given["x"])
    one_t, one_c = np.zeros(treated.sum()), np.zeros((~treated).sum())
    adjusted = stats.adjust_by_strata(
        y[treated], one_t, y[~treated], one_c, x_t=x[treated], x_c=x[~treated]
    )
    effect = adjusted.treatment.mean() - adjusted.control.mean()
    # The two cases give the effect to different digits of the same regression.
    assert effect == pytest.approx(expected["effect"], rel=case["rel_tol"])
    result = stats.compare_stratified_means(
        y[treated],
        one_t,
        y[~treated],
        one_c,
        x_t=x[treated],
        x_c=x[~treated],
        alpha=ALPHA,
        rng=generator(),
        method="t",
    )
    assert result.comparison.absolute.estimate == pytest.approx(
        expected["effect"], rel=case["rel_tol"]
    )


def test_probability_to_beat(oracle: Callable[[str], Case]) -> None:
    case = oracle("bayes_ptb")
    given, expected = case["inputs"], case["expected"]
    reading = stats.read_proportions(
        given["x_treat"], given["n_treat"], given["x_control"], given["n_control"], alpha=ALPHA
    )
    assert reading.probability_better == pytest.approx(expected["p"], rel=case["rel_tol"])
    assert reading.loss_choosing_variant == pytest.approx(
        expected["expected_loss_choose_treat"], rel=case["rel_tol"]
    )


def test_a_published_vendor_case() -> None:
    """94.3 % more, 48.5 % attributable, 6,406 orders more (5,744 to 7,069)."""
    n_t, n_c = 415_500, 27_400
    score = stats.compare_proportions(13_200, n_t, 448, n_c, alpha=ALPHA)
    assert score.relative.estimate == pytest.approx(0.943, abs=TENTH_OF_PERCENT)
    assert score.attributable.estimate == pytest.approx(0.485, abs=TENTH_OF_PERCENT)
    assert score.total.estimate == pytest.approx(6_406, abs=ORDER)
    assert score.total.low == pytest.approx(5_744, abs=SCORE_AGAINST_WALD * 6_406)
    assert score.total.high == pytest.approx(7_069, abs=SCORE_AGAINST_WALD * 6_406)
    summaries = [
        stats.Moments.from_weighted([1.0, 0.0], [x, n - x]) for x, n in ((13_200, n_t), (448, n_c))
    ]
    wald = stats.compare_means_welch(*summaries, alpha=ALPHA).total
    # Welch's t and divisors of n - 1 are Wald's interval but for a tenth of an order.
    assert (wald.low, wald.high) == pytest.approx((5_744, 7_069), abs=2 * ORDER)
