"""The default test for revenue per customer on a base of a million."""

from __future__ import annotations

import numpy as np

from benchmarks.harness import Sides, benchmark
from crm_lab.stats import Comparison, compare_means

CUSTOMERS, CONTROLS, PERMUTATIONS = 1_000_000, 50_000, 10_000
PEER_PERMUTATIONS = 200
# A p-value from 200 splits is known to 0.03 or so; both must be of one opinion.
P_VALUES = 0.12


@benchmark(
    "revenue_test_1m",
    peer="a numpy loop that permutes the labels and computes Welch's t again",
    note=f"1 million customers of whom 10 % bought, 5 % control, {PERMUTATIONS:,} splits; the loop"
    f" runs {PEER_PERMUTATIONS} of them and its time is scaled up",
)
def revenue_test_1m() -> Sides:
    rng = np.random.default_rng(20261101)
    spend = rng.lognormal(3.0, 1.5, CUSTOMERS) * (rng.random(CUSTOMERS) < 0.1)
    control, treated = spend[:CONTROLS], spend[CONTROLS:]

    def ours() -> Comparison:
        return compare_means(
            treated,
            control,
            alpha=0.05,
            rng=np.random.default_rng(1),
            permutations=PERMUTATIONS,
        )

    def peer() -> float:
        generator = np.random.default_rng(1)
        observed = welch_t(treated, control)
        beyond = 0
        for _ in range(PEER_PERMUTATIONS):
            shuffled = generator.permutation(spend)
            beyond += abs(welch_t(shuffled[CONTROLS:], shuffled[:CONTROLS])) >= abs(observed)
        return (beyond + 1) / (PEER_PERMUTATIONS + 1)

    return Sides(
        ours=ours, peer=peer, check=same_opinion, peer_part=PEER_PERMUTATIONS / PERMUTATIONS
    )


def welch_t(one: np.ndarray, other: np.ndarray) -> float:
    spread = one.var(ddof=1) / one.size + other.var(ddof=1) / other.size
    return float((one.mean() - other.mean()) / np.sqrt(spread))


def same_opinion(ours: Comparison, p_value: float) -> None:
    assert abs(ours.absolute.p_value - p_value) < P_VALUES, (ours.absolute.p_value, p_value)
