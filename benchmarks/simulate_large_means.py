"""Measure the test of two means from summaries: its error, and how near it is to permutations.

Writes ``docs/simulations/large_means.md``. Run from the root of the project::

    python benchmarks/simulate_large_means.py

The customers are simulated: 10 % buy, a buyer's spend is log-normal with sigma 1.5.
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
from scipy import special

from crm_lab.stats import (
    Comparison,
    Moments,
    compare_means_welch,
    large_means,
    permutation_null,
)
from crm_lab.stats.large_means import compare_means_moments, is_large_enough

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "docs" / "simulations" / "large_means.md"
SEED = 20_261_122
ALPHA = 0.05
SHARE, BUYERS, SIGMA = 0.05, 0.10, 1.5
SIZES = (100_000, 400_000, 1_000_000)
RUNS = 20_000
PERMUTATIONS = 40_000
POOLS = (
    ("exponential", 20_000),
    ("log-normal, sigma 1.0", 100_000),
    ("log-normal, sigma 1.5", 100_000),
    ("log-normal, sigma 1.5", 600_000),
    ("log-normal, sigma 1.5", 300_000),
    ("log-normal, sigma 2.0", 1_000_000),
    ("Pareto, index 2.5", 100_000),
    ("Pareto, index 2.5", 200_000),
)
SHARES = (0.05, 0.20, 0.50)
LEVELS = (0.10, 0.05, 0.01)


@dataclass(slots=True, kw_only=True)
class Errors:
    """Runs of one base, how many were judged, and who claimed what."""

    customers: int
    runs: int
    judged: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def percent(self, method: str, side: str, *, of: int) -> str:
        """Give the share of runs in which the method claims this side."""
        return f"{100 * self.counts[f'{method} {side}'] / of:.2f}" if of else ""

    def add(self, method: str, result: Comparison) -> None:
        """Count what the method claims in one run."""
        if result.absolute.is_significant:
            self.counts[f"{method} {'more' if result.absolute.estimate > 0 else 'less'}"] += 1


def arm(n: int, rng: np.random.Generator) -> Moments:
    """Summarise the revenue of n customers; those who bought nothing are not listed."""
    count = rng.binomial(n, BUYERS)
    idle = Moments(n=n - count, mean=0.0, m2=0.0, m3=0.0)
    return Moments.from_array(rng.lognormal(0.0, SIGMA, count)).merge(idle)


def quantiles(treatment: Moments, control: Moments, alpha: float) -> tuple[float, float]:
    """Give the quantiles of t from the summaries, whether or not they are within the limit."""
    skew, z = large_means.skew_term(treatment, control), -float(special.ndtri(alpha / 2))
    return large_means.t_of_normal(-z, skew), large_means.t_of_normal(z, skew)


def errors(customers: int, runs: int, seed: int) -> Errors:
    found = Errors(customers=customers, runs=runs)
    rng = np.random.default_rng([seed, customers])
    n_control = round(customers * SHARE)
    for _ in range(runs):
        treatment, control = arm(customers - n_control, rng), arm(n_control, rng)
        welch = compare_means_welch(treatment, control, alpha=ALPHA)
        low, high = quantiles(treatment, control, ALPHA)
        t = welch.absolute.estimate / math.sqrt(
            treatment.variance / treatment.n + control.variance / control.n
        )
        found.counts["always more"] += t > high
        found.counts["always less"] += t < low
        found.add("Welch", welch)
        if is_large_enough(treatment, control):
            found.judged += 1
            found.add("Welch where judged", welch)
            found.add("moments", compare_means_moments(treatment, control, alpha=ALPHA))
    return found


def spend(kind: str, n: int, rng: np.random.Generator) -> np.ndarray:
    values = np.zeros(n)
    count = rng.binomial(n, BUYERS)
    name, _, number = kind.partition(", ")
    scale = float(number.split()[-1]) if number else 1.0
    if name == "exponential":
        values[:count] = rng.exponential(scale, count)
    elif name == "log-normal":
        values[:count] = rng.lognormal(0.0, scale, count)
    else:
        values[:count] = 1 + rng.pareto(scale, count)
    return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Parts of the permutations beyond the approximate quantiles, divided by what should be."""

    kind: str
    customers: int
    share: float
    ratio: float
    valid: bool
    beyond: tuple[tuple[float, float], ...]


def agreements(seed: int, permutations: int) -> list[Agreement]:
    found = []
    for kind, customers in POOLS:
        for share in SHARES:
            rng = np.random.default_rng([seed, customers, round(100 * share), len(kind)])
            values = rng.permutation(spend(kind, customers, rng))
            n_control = round(customers * share)
            arms = Moments.from_array(values[n_control:]), Moments.from_array(values[:n_control])
            null = permutation_null(
                values, arms[0].n, arms[1].n, permutations=permutations, rng=rng
            )
            beyond = []
            for alpha in LEVELS:
                low, high = quantiles(*arms, alpha)
                beyond.append(
                    (
                        float(np.mean(null < low)) / (alpha / 2),
                        float(np.mean(null > high)) / (alpha / 2),
                    )
                )
            skewness, smaller = Moments.from_array(values).skewness, min(arms[0].n, n_control)
            found.append(
                Agreement(
                    kind=kind,
                    customers=customers,
                    share=share,
                    ratio=skewness / math.sqrt(smaller),
                    valid=is_large_enough(*arms),
                    beyond=tuple(beyond),
                )
            )
    return sorted(found, key=lambda row: row.ratio)


def error_table(found: list[Errors]) -> list[str]:
    lines = [
        "| customers | control | judged % | summaries: more | less | Welch there: more | less "
        "| all runs, Welch: more | less | summaries without the limit: more | less |",
        "|---:|" + "---:|" * 10,
    ]
    for row in found:
        cells = [f"{row.customers:,}", f"{SHARE:.0%}", f"{100 * row.judged / row.runs:.1f}"]
        for method, of in (
            ("moments", row.judged),
            ("Welch where judged", row.judged),
            ("Welch", row.runs),
            ("always", row.runs),
        ):
            cells += [row.percent(method, side, of=of) for side in ("more", "less")]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def agreement_table(rows: list[Agreement]) -> list[str]:
    lines = [
        "| spend of buyers | customers | control | skewness / root of the smaller arm | judged | "
        + " | ".join(f"{1 - a:.0%}: below | above" for a in LEVELS)
        + " |",
        "|---|---:|---:|---:|---|" + "---:|" * (2 * len(LEVELS)),
    ]
    for row in rows:
        cells = [f"{value:.2f}" for pair in row.beyond for value in pair]
        lines.append(
            f"| {row.kind} | {row.customers:,} | {row.share:.0%} | {row.ratio:.2f} "
            f"| {'yes' if row.valid else 'no'} | " + " | ".join(cells) + " |"
        )
    return lines


def findings(found: list[Errors], rows: list[Agreement]) -> list[str]:
    lines = []
    for row in found:
        share = f"{100 * row.judged / row.runs:.1f} %"
        text = f"- {row.customers:,} customers: the limit lets {share} of the runs be judged"
        if row.judged:
            text += (
                f"; of these {row.percent('moments', 'more', of=row.judged)} % claim more and "
                f"{row.percent('moments', 'less', of=row.judged)} % less than there is, Welch "
                f"{row.percent('Welch where judged', 'more', of=row.judged)} and "
                f"{row.percent('Welch where judged', 'less', of=row.judged)} %"
            )
        lines.append(text + ".")
    judged = [row for row in rows if row.valid]
    level = LEVELS.index(ALPHA)
    shares = [share for row in judged for share in row.beyond[level]]
    lines.append(
        f"- Where it is judged, the permutations beyond the {1 - ALPHA:.0%} quantiles are "
        f"{min(shares):.2f} to {max(shares):.2f} of what they should be."
    )
    return lines


def page(found: list[Errors], rows: list[Agreement], seed: int, seconds: float) -> str:
    error = 100 * math.sqrt(0.025 * 0.975 / found[0].runs)
    lines = [
        "# The test of two means from summaries",
        "",
        f"Made on {datetime.datetime.now(tz=datetime.UTC).date().isoformat()} by "
        f"`benchmarks/simulate_large_means.py`, seed {seed}, {seconds / 60:.0f} minutes of CPU.",
        "",
        "`compare_means_moments` judges only where the smaller arm has "
        f"{large_means.MINIMUM_UNITS} units and (skewness / {large_means.SKEWNESS_LIMIT}) squared "
        "of them; elsewhere the values are read and permuted.",
        "",
        "## What it shows",
        "",
        *findings(found, rows),
        "",
        "## Claims where nothing differs",
        "",
        f"{BUYERS:.0%} of the customers buy, log-normal spend with sigma {SIGMA}; {SHARE:.0%} "
        f"control; two-sided alpha {ALPHA}; {found[0].runs:,} runs per row. Percent of runs that "
        f"claim more or less than there is; 2.5 is promised, with a Monte Carlo error of "
        f"{error:.2f} points where all runs count.",
        "",
        *error_table(found),
        "",
        "## Beside the permutation distribution",
        "",
        f"{BUYERS:.0%} buyers. Part of {PERMUTATIONS:,} permutations that lies beyond the quantile "
        "from summaries, divided by what should be there: 1 is exact, less than 1 errs towards "
        '"cannot conclude". Monte Carlo error 0.02 at 90 %, 0.03 at 95 %, 0.07 at 99 %.',
        "",
        *agreement_table(rows),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--fraction", type=float, default=1.0, help="share of the runs to do")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    started = time.process_time()
    runs = max(2, round(RUNS * given.fraction))
    found = [errors(customers, runs, given.seed) for customers in SIZES]
    rows = agreements(given.seed, max(1_000, round(PERMUTATIONS * given.fraction)))
    text = page(found, rows, given.seed, time.process_time() - started)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
