"""Measure how often daily looks at a small control claim what is not there.

Writes ``docs/simulations/sequential.md``. Run from the root of the project::

    python benchmarks/simulate_sequential.py

Two ways of looking for 28 days: customers enter day by day, or all are there from the start and
their orders add up. 12 % order, an order is log-normal with sigma 1.5.
"""

from __future__ import annotations

import argparse
import datetime
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import special

from crm_lab.stats import Moments, compare_means_welch
from crm_lab.stats.confidence_sequences import confidence_sequence, sequence_quantile

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "docs" / "simulations" / "sequential.md"
SEED = 20_261_122
ALPHA, SHARE, DAYS = 0.05, 0.05, 28
ORDERS, SIGMA = 0.12, 1.5
RUNS = 1_000
CUSTOMERS = (20_000, 100_000, 400_000, 1_000_000)
METRICS = ("conversion", "revenue")
METHODS = ("Welch, last day only", "Welch every day", "sequence, normal", "sequence")

Way = Literal["customers enter", "orders add up"]
WAYS: tuple[Way, ...] = ("customers enter", "orders add up")
Looks = list[Moments]


@dataclass(slots=True, kw_only=True)
class Cell:
    """Counts of one way of looking, metric and size."""

    way: Way
    metric: str
    customers: int
    runs: int
    counts: Counter[str] = field(default_factory=Counter)


def from_power_sums(n: np.ndarray, sums: list[np.ndarray]) -> Looks:
    """Turn counts and sums of the first three powers per day into summaries."""
    found = []
    for units, first, second, third in zip(n, *sums, strict=True):
        mean = first / units
        m2 = second - units * mean**2
        m3 = third - 3 * mean * second + 2 * units * mean**3
        found.append(Moments(n=int(units), mean=mean, m2=max(m2, 0.0), m3=m3))
    return found


def entering(n: int, metric: str, rng: np.random.Generator) -> Looks:
    """Let customers enter in equal numbers per day, each with its final value."""
    count = rng.binomial(n, ORDERS)
    day = rng.integers(0, DAYS, count)
    value = np.ones(count) if metric == "conversion" else rng.lognormal(0.0, SIGMA, count)
    sums = [np.bincount(day, value**power, minlength=DAYS).cumsum() for power in (1, 2, 3)]
    return from_power_sums(n * np.arange(1, DAYS + 1) // DAYS, sums)


def adding_up(n: int, metric: str, rng: np.random.Generator) -> Looks:
    """Let all customers be there; their orders (or the fact of having ordered) add up by day."""
    count = rng.poisson(n * ORDERS)
    customer, day = rng.integers(0, n, count), rng.integers(0, DAYS, count)
    value = rng.lognormal(0.0, SIGMA, count)
    order = np.lexsort((day, customer))
    customer, day, value = customer[order], day[order], value[order]
    first = np.concatenate([[True], customer[1:] != customer[:-1]])
    if metric == "conversion":
        day, after = day[first], np.ones(int(first.sum()))
        before = np.zeros(after.size)
    else:
        total = value.cumsum()
        start = (total - value)[first]
        after = total - start[np.cumsum(first) - 1]
        before = after - value
    sums = [
        np.bincount(day, after**power - before**power, minlength=DAYS).cumsum()
        for power in (1, 2, 3)
    ]
    return from_power_sums(np.full(DAYS, n), sums)


def planned_error(n: int, n_control: int, metric: str) -> float:
    """Give the standard error at the end that a plan would state."""
    variance = ORDERS * math.exp(2 * SIGMA**2)
    if metric == "conversion":
        rate = -math.expm1(-ORDERS)
        variance = rate * (1 - rate)
    return math.sqrt(variance * (1 / (n - n_control) + 1 / n_control))


def simulate(way: Way, metric: str, customers: int, runs: int, seed: int) -> Cell:
    cell = Cell(way=way, metric=metric, customers=customers, runs=runs)
    rng = np.random.default_rng([seed, customers, WAYS.index(way), METRICS.index(metric)])
    n_control = round(customers * SHARE)
    make = entering if way == "customers enter" else adding_up
    usual = -float(special.ndtri(ALPHA / 2))
    for _ in range(runs):
        arms = [make(n, metric, rng) for n in (customers - n_control, n_control)]
        looks = list(zip(*arms, strict=True))
        if way == "customers enter":
            plan: dict[str, float] = {"planned_units": customers}
        else:
            plan = {"planned_error": planned_error(customers, n_control, metric)}
        found = confidence_sequence(looks, alpha=ALPHA, **plan)  # type: ignore[arg-type]
        seen = dict.fromkeys(METHODS[1:3], "")
        for (treated, control), look in zip(looks, found.looks, strict=True):
            squared = treated.variance / treated.n + control.variance / control.n
            if not squared > 0:
                continue
            t = (treated.mean - control.mean) / math.sqrt(squared)
            wide = sequence_quantile(look.progress, alpha=ALPHA)
            for method, quantile in zip(METHODS[1:3], (usual, wide), strict=True):
                if abs(t) > quantile and not seen[method]:
                    seen[method] = "more" if t > 0 else "less"
        for method, side in seen.items():
            cell.counts[f"{method} {side}"] += 1
        last = compare_means_welch(*looks[-1], alpha=ALPHA).absolute
        if last.is_significant:
            cell.counts[f"{METHODS[0]} {'more' if last.estimate > 0 else 'less'}"] += 1
        # A look that is not reliable shows its interval too: what would happen if it were used.
        outside = [look for look in found.looks if look.low > 0 or look.high < 0]
        if outside:
            cell.counts[f"uncensored {'more' if outside[0].low > 0 else 'less'}"] += 1
        if found.first_shown is not None:
            shown = found.looks[found.first_shown - 1]
            cell.counts[f"{METHODS[3]} {'more' if shown.low > 0 else 'less'}"] += 1
        cell.counts["reliable looks"] += sum(look.is_reliable for look in found.looks)
        cell.counts["reliable end"] += found.last.is_reliable
    return cell


def findings(cells: list[Cell]) -> list[str]:
    def worst(method: str, metric: str) -> tuple[float, Cell]:
        return max(
            (
                (100 * sum(c.counts[f"{method} {s}"] for s in ("more", "less")) / c.runs, c)
                for c in cells
                if c.metric == metric
            ),
            key=lambda item: item[0],
        )

    lines = []
    for metric in METRICS:
        parts = []
        for method in (*METHODS, "uncensored"):
            rate, cell = worst(method, metric)
            name = method if method != "uncensored" else "sequence used where it warns too"
            parts.append(f"{name} {rate:.1f} % ({cell.customers:,}, {cell.way})")
        lines.append(
            f"- {metric}: runs that ever claim a difference where there is none, at worst "
            f"(promised 5 %): " + "; ".join(parts) + "."
        )
    return lines


def page(cells: list[Cell], seed: int, seconds: float) -> str:
    runs = cells[0].runs
    lines = [
        "# Looking every day",
        "",
        f"Made on {datetime.datetime.now(tz=datetime.UTC).date().isoformat()} by "
        f"`benchmarks/simulate_sequential.py`, seed {seed}, {seconds / 60:.0f} minutes of CPU.",
        "",
        f"Nothing differs; {SHARE:.0%} control; one look a day for {DAYS} days; {ORDERS:.0%} "
        f"order, log-normal with sigma {SIGMA}; alpha {ALPHA} for all looks together; {runs:,} "
        f"runs per row: Monte Carlo error {100 * math.sqrt(0.05 * 0.95 / runs):.1f} points at 5 %.",
        "",
        "`sequence` is `confidence_sequence` with its correction for skewness, counting only looks "
        "that it calls reliable; `sequence, normal` is the same without the correction and counts "
        "every look.",
        "",
        "## What it shows",
        "",
        *findings(cells),
        "",
        "## Percent of runs that ever claim more or less than there is",
        "",
        "| over the days | metric | customers | "
        + " | ".join(f"{method}: more | less" for method in METHODS)
        + " | used where it warns too: more | less | reliable looks | reliable end |",
        "|---|---|---:|" + "---:|" * (2 * len(METHODS) + 4),
    ]
    for cell in cells:
        values = [
            cell.counts[f"{method} {side}"] / cell.runs
            for method in (*METHODS, "uncensored")
            for side in ("more", "less")
        ]
        values += [
            cell.counts["reliable looks"] / cell.runs / DAYS,
            cell.counts["reliable end"] / cell.runs,
        ]
        lines.append(
            f"| {cell.way} | {cell.metric} | {cell.customers:,} | "
            + " | ".join(f"{100 * value:.1f}" for value in values)
            + " |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--fraction", type=float, default=1.0, help="share of the runs to do")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    started, runs = time.process_time(), max(2, round(RUNS * given.fraction))
    cells = [
        simulate(way, metric, customers, runs, given.seed)
        for way in WAYS
        for metric in METRICS
        for customers in CUSTOMERS
    ]
    given.output.parent.mkdir(parents=True, exist_ok=True)
    text = page(cells, given.seed, time.process_time() - started)
    given.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
