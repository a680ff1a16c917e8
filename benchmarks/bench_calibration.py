"""The A/A calibration on a large base."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.harness import Sides, benchmark
from crm_lab.experiments.calibration import count_random_claims
from crm_lab.experiments.calibration_results import FalsePositives

CUSTOMERS = 200_000
CONTROLS = 10_000
DRAWS = 1_000
ALPHA = 0.05
FloatArray = NDArray[np.float64]
Claims = dict[str, tuple[int, int]]
"""Metric to claims of a lift and of a drop."""


@benchmark(
    "aa_calibration_200k",
    peer="a numpy loop: permute the labels, means and variances of both arms, z and t",
    note="200,000 customers, 5 % control, 1,000 draws; conversion, revenue (10 % buyers), orders;"
    " ours also makes the studentised permutation tests, which the loop does not",
)
def aa_calibration_200k() -> Sides:
    rng = np.random.default_rng(5)
    bought = rng.random(CUSTOMERS) < 0.1
    means = {
        "revenue per customer": np.where(bought, rng.lognormal(3.0, 1.5, CUSTOMERS), 0.0),
        "orders per customer": np.where(bought, 1.0 + rng.poisson(0.3, CUSTOMERS), 0.0),
    }

    def ours() -> tuple[FalsePositives, ...]:
        return count_random_claims(
            bought,
            means,
            size=CONTROLS,
            draws=DRAWS,
            alpha=ALPHA,
            rng=np.random.default_rng(1),
        )

    def peer() -> Claims:
        return claims_in_a_loop(bought, means, np.random.default_rng(2))

    return Sides(ours=ours, peer=peer, check=check_rates)


def claims_in_a_loop(
    bought: NDArray[np.bool_], means: dict[str, FloatArray], rng: np.random.Generator
) -> Claims:
    """Do what one would write at once; the mask and the values are plain arrays already."""
    is_control = np.zeros(CUSTOMERS, dtype=bool)
    is_control[:CONTROLS] = True
    n_t, n_c = CUSTOMERS - CONTROLS, CONTROLS
    pooled = float(bought.mean())
    share_error = np.sqrt(pooled * (1 - pooled) * (1 / n_t + 1 / n_c))
    statistics: dict[str, list[float]] = {name: [] for name in ("conversion", *means)}
    for _ in range(DRAWS):
        held = rng.permutation(is_control)
        others = ~held
        difference = bought[others].mean() - bought[held].mean()
        statistics["conversion"].append(float(difference / share_error))
        for name, values in means.items():
            treated, control = values[others], values[held]
            error = np.sqrt(treated.var(ddof=1) / n_t + control.var(ddof=1) / n_c)
            statistics[name].append(float((treated.mean() - control.mean()) / error))
    limit = stats.norm.ppf(1 - ALPHA / 2)
    return {
        name: (int(np.sum(np.array(found) > limit)), int(np.sum(np.array(found) < -limit)))
        for name, found in statistics.items()
    }


def check_rates(ours: tuple[FalsePositives, ...], peer: Claims) -> None:
    """Compare claims of lifts and of drops of the z test and of Welch's t: equal within chance."""
    compared = [test for test in ours if test.method in ("score test", "Welch's t")]
    assert {test.metric for test in compared} == set(peer)
    for test in compared:
        assert test.draws == DRAWS
        for found, expected in zip((test.lifts, test.drops), peer[test.metric], strict=True):
            table = [[found, DRAWS - found], [expected, DRAWS - expected]]
            p_value = float(stats.fisher_exact(table).pvalue)
            assert p_value > 1e-4, f"{test.metric}: {found} against {expected} claims"
