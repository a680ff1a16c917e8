"""Measure how often the tests of revenue claim what is not there, and what their intervals cover.

Writes ``docs/simulations/revenue_test.md``. Run from the root of the project::

    python benchmarks/simulate_revenue_test.py

The customers are simulated: 10 % buy, a buyer's spend is log-normal with sigma 1.5.
"""

from __future__ import annotations

import argparse
import datetime
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from crm_lab.stats import (
    Comparison,
    Effect,
    compare_means,
    compare_means_welch,
    permutation_null,
    permutation_test,
)

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "docs" / "simulations" / "revenue_test.md"
SEED = 20_261_121
ALPHA = 0.05
PERMUTATIONS = 599
BUYERS, SIGMA, LIFT = 0.10, 1.5, 0.20
SHARES = (0.02, 0.05, 0.10, 0.50)
REPLICATES = {3_000: 2_000, 20_000: 2_000, 100_000: 1_000}
SCENARIOS = ("no effect", "more buyers", "larger spend")
POOLS, SPLITS, SPLIT_PERMUTATIONS, SPLIT_SIZES = 20, 1_000, 9_999, (3_000, 20_000)
METHODS = ("Welch", "permutation")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Share of buyers, sigma of the log of their spend, and the true relative lift."""

    buyers: float = BUYERS
    sigma: float = SIGMA
    lift: float = LIFT

    @property
    def mean(self) -> float:
        """Revenue per customer without treatment."""
        return self.buyers * math.exp(self.sigma**2 / 2)


STANDARD = World()
HARDER = (
    (World(lift=1.0), 3_000),
    (World(lift=1.0), 20_000),
    (World(buyers=0.02), 3_000),
    (World(sigma=2.5), 3_000),
    (World(sigma=2.5), 20_000),
)
HARDER_SHARE, HARDER_REPLICATES = 0.05, 4_000


@dataclass(slots=True, kw_only=True)
class Cell:
    """Counts of one scenario, size, share and method."""

    scenario: str
    customers: int
    share: float
    method: str
    replicates: int
    counts: Counter[str] = field(default_factory=Counter)

    def rate(self, event: str) -> float:
        """Give the share of runs in which the event happened."""
        return self.counts[event] / self.replicates

    @property
    def coverage(self) -> float:
        """Share of runs whose interval of the lift does not miss the truth."""
        return 1 - self.rate("relative above") - self.rate("relative below")

    @property
    def coverage_absolute(self) -> float:
        """Share of runs whose interval of the difference does not miss the truth."""
        return 1 - self.rate("absolute above") - self.rate("absolute below")


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Share of random splits of the same customers that claim more and less."""

    customers: int
    share: float
    more: float
    less: float
    total: int


def spend(
    n: int, buyers: float, factor: float, rng: np.random.Generator, *, sigma: float = SIGMA
) -> np.ndarray:
    """Draw the revenue of n customers."""
    values = np.zeros(n)
    count = rng.binomial(n, buyers)
    values[:count] = factor * rng.lognormal(0.0, sigma, count)
    return values


def side(effect: Effect, truth: float) -> str:
    """Say on which side of the interval the truth was missed; empty when it is covered."""
    if effect.low > truth:
        return "above"
    return "below" if effect.high < truth else ""


def record(cell: Cell, result: Comparison, world: World) -> None:
    lift = 0.0 if cell.scenario == SCENARIOS[0] else world.lift
    if result.absolute.is_significant:
        cell.counts["claims more" if result.absolute.estimate > 0 else "claims less"] += 1
    cell.counts[f"absolute {side(result.absolute, lift * world.mean)}"] += 1
    cell.counts[f"relative {side(result.relative, lift)}"] += 1
    if not (math.isfinite(result.relative.low) and math.isfinite(result.relative.high)):
        cell.counts["unbounded"] += 1


def simulate(
    customers: int,
    share: float,
    scenario: str,
    replicates: int,
    seed: int,
    world: World = STANDARD,
) -> list[Cell]:
    cells = [
        Cell(scenario=scenario, customers=customers, share=share, method=m, replicates=replicates)
        for m in METHODS
    ]
    rng = np.random.default_rng([seed, customers, round(100 * share), SCENARIOS.index(scenario)])
    n_control = round(customers * share)
    buyers = world.buyers * (1 + world.lift) if scenario == SCENARIOS[1] else world.buyers
    factor = 1 + world.lift if scenario == SCENARIOS[2] else 1.0
    for _ in range(replicates):
        treatment = spend(customers - n_control, buyers, factor, rng, sigma=world.sigma)
        control = spend(n_control, world.buyers, 1.0, rng, sigma=world.sigma)
        record(cells[0], compare_means_welch(treatment, control, alpha=ALPHA), world)
        result = compare_means(treatment, control, alpha=ALPHA, rng=rng, permutations=PERMUTATIONS)
        record(cells[1], result, world)
    return cells


def harder(seed: int, fraction: float = 1.0) -> list[tuple[World, list[Cell]]]:
    """Measure coverage where more is asked: a doubled revenue, few buyers, a heavier tail."""
    runs = max(2, round(HARDER_REPLICATES * fraction))
    return [
        (world, simulate(customers, HARDER_SHARE, scenario, runs, seed, world))
        for world, customers in HARDER
        for scenario in SCENARIOS[1:]
    ]


def harder_finding(found: list[tuple[World, list[Cell]]]) -> str:
    world, cells = min(found, key=lambda item: item[1][1].coverage)
    ours = cells[1]
    return (
        "- Where more is asked the interval of the lift falls short: "
        f"{percent(ours.coverage)} % at worst ({ours.customers:,} customers, "
        f"{world.buyers:.0%} buyers, sigma {world.sigma}, true lift {world.lift:+.0%} by "
        f"{ours.scenario}). The misses then lie above the truth. With few buyers the interval "
        "is often open, which is the honest answer."
    )


def harder_section(found: list[tuple[World, list[Cell]]]) -> list[str]:
    runs = found[0][1][0].replicates
    lines = [
        f"## Coverage in harder settings, {HARDER_SHARE:.0%} control",
        "",
        f"As above, {runs:,} runs each ({100 * math.sqrt(0.05 * 0.95 / runs):.2f} points of Monte "
        "Carlo error at 95 %).",
        "",
        "| customers | buyers | sigma | true lift | by | Welch: covers | permutation: covers "
        "| above the truth | below the truth | difference covers | open end |",
        "|---:|---:|---:|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for world, (welch, ours) in found:
        values = (
            welch.coverage,
            ours.coverage,
            ours.rate("relative above"),
            ours.rate("relative below"),
            ours.coverage_absolute,
            ours.rate("unbounded"),
        )
        lines.append(
            f"| {ours.customers:,} | {world.buyers:.0%} | {world.sigma} | {world.lift:+.0%} "
            f"| {ours.scenario} | " + " | ".join(map(percent, values)) + " |"
        )
    return lines


def exactness(seed: int, fraction: float = 1.0) -> list[Splits]:
    """Split the same customers at random many times and judge all splits by one distribution."""
    found = []
    n_splits = max(2, round(SPLITS * fraction))
    for customers in SPLIT_SIZES:
        for share in SHARES:
            rng = np.random.default_rng([seed, customers, round(100 * share), len(SCENARIOS)])
            n_control = round(customers * share)
            more = less = 0
            for _ in range(POOLS):
                pool = spend(customers, BUYERS, 1.0, rng)
                null = permutation_null(
                    pool,
                    customers - n_control,
                    n_control,
                    permutations=SPLIT_PERMUTATIONS,
                    rng=rng,
                )
                for _ in range(n_splits):
                    mixed = rng.permutation(pool)
                    treatment, control = mixed[n_control:], mixed[:n_control]
                    squared = (
                        treatment.var(ddof=1) / treatment.size + control.var(ddof=1) / n_control
                    )
                    difference = treatment.mean() - control.mean()
                    if squared > 0:
                        test = permutation_test(difference / math.sqrt(squared), null, alpha=ALPHA)
                        if test.p_value <= ALPHA:
                            more += difference > 0
                            less += difference < 0
            total = POOLS * n_splits
            found.append(
                Splits(
                    customers=customers,
                    share=share,
                    more=more / total,
                    less=less / total,
                    total=total,
                )
            )
    return found


def exactness_finding(splits: list[Splits]) -> str:
    rates = [rate for row in splits for rate in (row.more, row.less)]
    error = 100 * math.sqrt(0.025 * 0.975 / min(row.total for row in splits))
    return (
        f"- The permutation test is exact when nothing differs, so an excess in the first table "
        f"is chance. The second table measures the same more sharply: all its entries lie "
        f"between {100 * min(rates):.2f} and {100 * max(rates):.2f} %, with a Monte Carlo error of "
        f"{error:.2f} points."
    )


def exactness_section(splits: list[Splits]) -> list[str]:
    lines = [
        "## The same promise, measured more sharply",
        "",
        f"{POOLS} sets of customers; each is split at random {splits[0].total // POOLS:,} times "
        f"and every split is judged by one distribution of {SPLIT_PERMUTATIONS:,} permutations, "
        "as in an A/A calibration over many salts. Percent of splits that claim more or less.",
        "",
        "| customers | control | more | less |",
        "|---:|---:|---:|---:|",
    ]
    return lines + [
        f"| {row.customers:,} | {row.share:.0%} | {100 * row.more:.2f} | {100 * row.less:.2f} |"
        for row in splits
    ]


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def error_table(cells: list[Cell]) -> list[str]:
    lines = [
        "| customers | control | Welch: more | Welch: less | permutation: more "
        "| permutation: less |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    null = [cell for cell in cells if cell.scenario == "no effect"]
    for welch, ours in zip(null[::2], null[1::2], strict=True):
        rates = [cell.rate(e) for cell in (welch, ours) for e in ("claims more", "claims less")]
        lines.append(
            f"| {ours.customers:,} | {ours.share:.0%} | " + " | ".join(map(percent, rates)) + " |"
        )
    return lines


def coverage_table(cells: list[Cell], scenario: str) -> list[str]:
    lines = [
        "| customers | control | Welch: covers | above the truth | below the truth "
        "| permutation: covers | above the truth | below the truth | difference covers "
        "| open end |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    chosen = [cell for cell in cells if cell.scenario == scenario]
    for welch, ours in zip(chosen[::2], chosen[1::2], strict=True):
        values = [
            value
            for cell in (welch, ours)
            for value in (cell.coverage, cell.rate("relative above"), cell.rate("relative below"))
        ]
        values += [ours.coverage_absolute, ours.rate("unbounded")]
        lines.append(
            f"| {ours.customers:,} | {ours.share:.0%} | " + " | ".join(map(percent, values)) + " |"
        )
    return lines


def findings(cells: list[Cell]) -> list[str]:
    """Say what the tables show, from the numbers themselves."""
    null = [cell for cell in cells if cell.scenario == "no effect"]
    claims = {
        method: [
            (cell.rate(event), cell, event)
            for cell in null
            if cell.method == method
            for event in ("claims more", "claims less")
        ]
        for method in METHODS
    }
    lines = []
    for method, name in (("Welch", "Welch's t"), ("permutation", "The permutation test")):
        worst, cell, event = max(claims[method], key=lambda item: item[0])
        over = [c for rate, c, _ in claims[method] if rate > ALPHA / 2 + 2 * mc_error(ALPHA / 2, c)]
        lines.append(
            f"- {name} {event} than there is in {percent(worst)} % of the runs at worst "
            f"({cell.customers:,} customers, {cell.share:.0%} control; promised 2.5 %). "
            f"It exceeds the promise by more than two Monte Carlo errors in {len(over)} of "
            f"{len(claims[method])} entries of the first table."
        )
    covered = [c for c in cells if c.method == "permutation" and c.scenario != "no effect"]
    kinds: dict[str, Callable[[Cell], float]] = {
        "relative lift": lambda c: c.coverage,
        "absolute difference": lambda c: c.coverage_absolute,
    }
    for label, coverage in kinds.items():
        short = [c for c in covered if coverage(c) < 1 - ALPHA - 2 * mc_error(ALPHA, c)]
        worst_cell = min(covered, key=coverage)
        lines.append(
            f"- The permutation interval of the {label} covers {percent(coverage(worst_cell))} % "
            f"at worst ({worst_cell.customers:,} customers, {worst_cell.share:.0%} control, "
            f"{worst_cell.scenario}; promised 95 %). It falls short by more than two Monte Carlo "
            f"errors in {len(short)} of {len(covered)} settings"
            + (": " + "; ".join(setting(c) for c in short) if short else "")
            + "."
        )
    welch = [c for c in cells if c.method == "Welch" and c.scenario != "no effect"]
    low = min(welch, key=lambda c: c.coverage)
    lines.append(
        f"- Welch's interval of the relative lift covers {percent(low.coverage)} % at worst "
        f"({setting(low)})."
    )
    return lines


def setting(cell: Cell) -> str:
    return f"{cell.customers:,} at {cell.share:.0%}, {cell.scenario}"


def mc_error(rate: float, cell: Cell) -> float:
    return math.sqrt(rate * (1 - rate) / cell.replicates)


def page(
    cells: list[Cell],
    splits: list[Splits],
    found: list[tuple[World, list[Cell]]],
    seed: int,
    seconds: float,
) -> str:
    runs = {cell.customers: cell.replicates for cell in cells}
    errors = "; ".join(
        f"{n:,} customers: {r:,} runs, {100 * math.sqrt(0.025 * 0.975 / r):.2f} points at 2.5 % "
        f"and {100 * math.sqrt(0.05 * 0.95 / r):.2f} at 95 %"
        for n, r in runs.items()
    )
    lines = [
        "# The revenue test on simulated customers",
        "",
        f"Made on {datetime.datetime.now(tz=datetime.UTC).date().isoformat()} by "
        f"`benchmarks/simulate_revenue_test.py`, seed {seed}, {seconds / 60:.0f} minutes of CPU.",
        "",
        f"Setting: {BUYERS:.0%} of the customers buy; a buyer's spend is log-normal with sigma "
        f"{SIGMA}; two-sided alpha {ALPHA}; {PERMUTATIONS} permutations per run (the product "
        "uses 10,000). `compare_means` is the permutation test, `compare_means_welch` is Welch's "
        "t; both give the relative lift by Fieller's set.",
        "",
        f"Monte Carlo error (one standard error): {errors}.",
        "",
        "One distribution of spend: the figures give a direction, not a law.",
        "",
        "## What the tables show",
        "",
        *findings(cells),
        exactness_finding(splits),
        harder_finding(found),
        "- The permutations know only the values that were seen: a rare large spender who decides "
        "the true mean may be missing from the data, and no interval made from them can know.",
        "",
        "## Claims when there is no effect",
        "",
        "Percent of runs that claim more or less revenue at the two-sided 5 % level; 2.5 is "
        "promised in each direction.",
        "",
        *error_table(cells),
    ]
    lines += ["", *exactness_section(splits)]
    for scenario in SCENARIOS[1:]:
        lines += [
            "",
            f"## Coverage, true lift {LIFT:+.0%} by {scenario}",
            "",
            "Percent of runs whose 95 % interval of the relative lift covers the true +20 %, lies "
            "above it, lies below it. The last two columns are of the permutation: coverage of "
            "the absolute difference, and runs whose interval of the lift has an open end or that "
            "give no lift because the control bought nothing; these count as not missed.",
            "",
            *coverage_table(cells, scenario),
        ]
    lines += ["", *harder_section(found)]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--fraction", type=float, default=1.0, help="share of the replicates")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    cells: list[Cell] = []
    started = time.process_time()
    for scenario in SCENARIOS:
        for customers, replicates in REPLICATES.items():
            for share in SHARES:
                runs = max(2, round(replicates * options.fraction))
                cells += simulate(customers, share, scenario, runs, options.seed)
                print(f"{time.process_time() - started:7.1f} s  {setting(cells[-1])}", flush=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    splits = exactness(options.seed, options.fraction)
    found = harder(options.seed, options.fraction)
    text = page(cells, splits, found, options.seed, time.process_time() - started)
    options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
