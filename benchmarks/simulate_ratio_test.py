"""Measure how often the tests of average order value err, and what their intervals cover.

Writes ``docs/simulations/ratios.md``. Run from the root of the project::

    python benchmarks/simulate_ratio_test.py

The customers are simulated: 10 % buy, 1 + Poisson(0.5) orders each, and the value of a customer's
orders is log-normal with sigma 1.5.
"""

from __future__ import annotations

import argparse
import datetime
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from crm_lab.stats import Effect
from crm_lab.stats.ratios import RatioMethod, compare_ratios

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "docs" / "simulations" / "ratios.md"
SEED = 20_261_122
ALPHA = 0.05
PERMUTATIONS = 599
SHARE, BUYERS, MORE_ORDERS, SIGMA, LIFT = 0.05, 0.10, 0.5, 1.5, 0.20
REPLICATES = {3_000: 4_000, 20_000: 4_000, 100_000: 2_000}
METHODS: tuple[RatioMethod, ...] = ("permutation", "fieller", "delta")
ORDER_VALUE = math.exp(SIGMA**2 / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What the treatment changes: share of buyers, orders per buyer, value of an order."""

    name: str
    buyers: float = 1.0
    orders: float = 1.0
    value: float = 1.0


SCENARIOS = (
    Scenario(name="no effect"),
    Scenario(name="more buyers", buyers=1 + LIFT),
    Scenario(name="more orders per buyer", orders=1 + LIFT),
    Scenario(name="larger orders", value=1 + LIFT),
)


@dataclass(slots=True, kw_only=True)
class Cell:
    """Counts of one scenario, size and method."""

    scenario: Scenario
    customers: int
    method: RatioMethod
    runs: int
    counts: Counter[str] = field(default_factory=Counter)

    def rate(self, event: str) -> float:
        """Give the share of runs with the event."""
        return self.counts[event] / self.runs

    def covers(self, name: str) -> float:
        """Give the share of runs with an interval that does not miss the truth."""
        known = self.runs - self.counts["no answer"]
        return 1 - (self.counts[f"{name} above"] + self.counts[f"{name} below"]) / known


def draw(n: int, effect: Scenario, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw revenue and orders of n customers."""
    revenue, orders = np.zeros(n), np.zeros(n)
    count = rng.binomial(n, BUYERS * effect.buyers)
    # The mean number of orders per buyer is what the scenario multiplies.
    more = (1 + MORE_ORDERS) * effect.orders - 1
    orders[:count] = 1 + rng.poisson(more, count)
    revenue[:count] = orders[:count] * effect.value * rng.lognormal(0.0, SIGMA, count)
    return revenue, orders


def miss(effect: Effect, truth: float) -> str:
    """Say on which side of the interval the truth was missed; empty when it is covered."""
    if effect.low > truth:
        return "above"
    return "below" if effect.high < truth else ""


def simulate(scenario: Scenario, customers: int, runs: int, seed: int) -> list[Cell]:
    cells = [Cell(scenario=scenario, customers=customers, method=m, runs=runs) for m in METHODS]
    rng = np.random.default_rng([seed, customers, SCENARIOS.index(scenario)])
    n_control = round(customers * SHARE)
    for _ in range(runs):
        treatment = draw(customers - n_control, scenario, rng)
        control = draw(n_control, SCENARIOS[0], rng)
        for cell in cells:
            result = compare_ratios(
                *treatment,
                *control,
                alpha=ALPHA,
                rng=rng,
                permutations=PERMUTATIONS,
                method=cell.method,
            )
            effect = result.absolute
            if not effect.is_known:
                cell.counts["no answer"] += 1
                continue
            if effect.is_significant:
                cell.counts["claims more" if effect.estimate > 0 else "claims less"] += 1
            change = scenario.value - 1
            cell.counts[f"absolute {miss(effect, change * ORDER_VALUE)}"] += 1
            cell.counts[f"relative {miss(result.relative, change)}"] += 1
            ends = result.relative.low, result.relative.high
            cell.counts["open"] += not all(map(math.isfinite, ends))
    return cells


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def table(cells: list[Cell]) -> list[str]:
    lines = [
        "| treatment brings | customers | method | claims more | claims less | difference covers "
        "| lift covers | lift above the truth | lift below the truth | open end |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for cell in cells:
        values = (
            cell.rate("claims more"),
            cell.rate("claims less"),
            cell.covers("absolute"),
            cell.covers("relative"),
            cell.rate("relative above"),
            cell.rate("relative below"),
            cell.rate("open"),
        )
        lines.append(
            f"| {cell.scenario.name} | {cell.customers:,} | {cell.method} | "
            + " | ".join(map(percent, values))
            + " |"
        )
    return lines


def findings(cells: list[Cell]) -> list[str]:
    lines = []
    for method in METHODS:
        same = [c for c in cells if c.method == method and c.scenario.value == 1]
        rate, cell, event = max(
            ((c.rate(event), c, event) for c in same for event in ("claims more", "claims less")),
            key=lambda item: item[0],
        )
        worst = min((c for c in cells if c.method == method), key=lambda c: c.covers("relative"))
        lines.append(
            f"- {method}: {event} in {percent(rate)} % of the runs at worst where orders are worth "
            f"the same (promised 2.5 %; {cell.customers:,} customers, {cell.scenario.name}). The "
            f"interval of the lift covers {percent(worst.covers('relative'))} % at worst "
            f"({worst.customers:,} customers, {worst.scenario.name})."
        )
    return lines


def page(cells: list[Cell], seed: int, seconds: float) -> str:
    errors = "; ".join(
        f"{n:,} customers: {cell.runs:,} runs, "
        f"{100 * math.sqrt(0.025 * 0.975 / cell.runs):.2f} points at 2.5 %"
        for n, cell in {cell.customers: cell for cell in cells}.items()
    )
    return "\n".join(
        [
            "# The tests of average order value",
            "",
            f"Made on {datetime.datetime.now(tz=datetime.UTC).date().isoformat()} by "
            f"`benchmarks/simulate_ratio_test.py`, seed {seed}, {seconds / 60:.0f} minutes of "
            "CPU.",
            "",
            f"{SHARE:.0%} control, {BUYERS:.0%} buyers, {1 + MORE_ORDERS} orders per buyer, value "
            f"of a customer's orders log-normal with sigma {SIGMA}; an effect is {LIFT:+.0%}; "
            f"two-sided alpha {ALPHA}; {PERMUTATIONS} permutations. Monte Carlo error: {errors}.",
            "",
            "## What it shows",
            "",
            *findings(cells),
            "- The permutation is the default of `compare_ratios`. `fieller` and `delta` share "
            "the test and differ in the interval of the lift.",
            "",
            "## Percent of runs",
            "",
            "In the first three groups orders are worth the same in both arms, so every claim is "
            'false. "Covers" counts the runs with an answer.',
            "",
            *table(cells),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--fraction", type=float, default=1.0, help="share of the runs to do")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    started = time.process_time()
    cells = [
        cell
        for scenario in SCENARIOS
        for customers, runs in REPLICATES.items()
        for cell in simulate(scenario, customers, max(2, round(runs * given.fraction)), given.seed)
    ]
    given.output.parent.mkdir(parents=True, exist_ok=True)
    text = page(cells, given.seed, time.process_time() - started)
    given.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
