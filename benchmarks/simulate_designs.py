"""Measure what the intervals of clustered, stratified, complier and pooled estimates cover.

Writes ``docs/simulations/designs.md``. Run from the root of the project::

    python benchmarks/simulate_designs.py

The customers are simulated: 10 % buy, a buyer's spend is log-normal with sigma 1.5.
"""

from __future__ import annotations

import argparse
import datetime
import math
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from crm_lab.stats import (
    Comparison,
    adjust_by_strata,
    compare_clustered_means,
    compare_means,
    compare_means_welch,
    compare_stratified_means,
    complier_effect,
)
from crm_lab.stats.clusters import ClusterMethod
from crm_lab.stats.pooling_posterior import (
    Posterior,
    paule_mandel,
    posterior_of_tau,
    shrink,
)

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "docs" / "simulations" / "designs.md"
SEED = 20_261_122
ALPHA, PERMUTATIONS = 0.05, 499
BUYERS, SIGMA, LIFT = 0.10, 1.5, 0.20
MEAN_SPEND = math.exp(SIGMA**2 / 2)
RUNS, POOLED_RUNS = 1_000, 1_000
# Name, clusters treated and held out, rows of a cluster, spread of the level between clusters.
CLUSTERS = (
    ("10 shops against 4", 10, 4, (20, 200), 0.4),
    ("95 shops against 5", 95, 5, (20, 200), 0.4),
    ("190 shops against 10", 190, 10, (20, 200), 0.4),
    ("950 households against 50", 950, 50, (1, 6), 0.8),
    ("9,500 households against 500", 9_500, 500, (1, 6), 0.8),
)
SIZES = (3_000, 20_000)
REACHED = (0.7, 0.1)
LEAGUES = tuple((k, tau) for k in (4, 8, 24) for tau in (0.0, 0.5, 1.0, 3.0))
SKEWED_LEAGUE, SKEWED_CUSTOMERS, SKEWED_TAU = 12, 20_000, 0.1
ROBUST: tuple[ClusterMethod, ...] = ("cr1", "cr2", "permutation")


@dataclass(slots=True, kw_only=True)
class Tally:
    """What happened to one method in one setting."""

    runs: int = 0
    more: int = 0
    less: int = 0
    covered: float = 0.0
    open_end: int = 0
    widths: list[float] = field(default_factory=list)

    def add(self, low: float, high: float, truth: float, *, claims: float = 0.0) -> None:
        """Count one interval; ``claims`` is the sign of what is claimed, 0 for nothing."""
        self.runs += 1
        self.covered += low <= truth <= high
        self.more += claims > 0
        self.less += claims < 0
        self.open_end += not (math.isfinite(low) and math.isfinite(high))
        self.widths.append(high - low)

    def compared(self, result: Comparison, truth: float) -> None:
        """Count the absolute effect of a comparison."""
        effect = result.absolute
        claims = math.copysign(1.0, effect.estimate) if effect.is_significant else 0.0
        self.add(effect.low, effect.high, truth, claims=claims)

    @property
    def row(self) -> tuple[str, ...]:
        """Claims more, claims less, covers, width."""
        return (share(self.more, self.runs), share(self.less, self.runs), self.coverage)

    @property
    def coverage(self) -> str:
        """Percent of the intervals that cover."""
        return share(self.covered, self.runs)

    @property
    def width(self) -> float:
        """Median width."""
        return float(np.median(self.widths))


Tallies = dict[tuple[str, ...], Tally]


def share(count: float, runs: int) -> str:
    return f"{100 * count / runs:.1f}"


def spend(rng: np.random.Generator, n: int, buyers: np.ndarray | float = BUYERS) -> np.ndarray:
    """Draw the revenue of n customers."""
    return np.asarray(rng.lognormal(0.0, SIGMA, n) * (rng.random(n) < buyers))


def clustered(runs: int, seed: int) -> Tallies:
    """Shops and households, without an effect and with one of +20 % of everything."""
    found: Tallies = defaultdict(Tally)
    for number, (name, n_t, n_c, sizes, spread) in enumerate(CLUSTERS):
        for lift in (0.0, LIFT):
            rng = np.random.default_rng([seed, 1, number, round(100 * lift)])
            for _ in range(runs):
                rows = rng.integers(*sizes, n_t + n_c)
                cluster = np.repeat(np.arange(n_t + n_c), rows)
                level = np.exp(rng.normal(0.0, spread, n_t + n_c) - spread**2 / 2)[cluster]
                y = spend(rng, cluster.size) * level
                treated = cluster < n_t
                y = y * np.where(treated, 1.0 + lift, 1.0)
                truth = lift * BUYERS * MEAN_SPEND
                arms = (y[treated], cluster[treated], y[~treated], cluster[~treated])
                key = (name, f"{lift:+.0%}" if lift else "none")
                by_row = compare_means_welch(arms[0], arms[2], alpha=ALPHA)
                found[(*key, "by rows (Welch)")].compared(by_row, truth)
                for method in ROBUST:
                    result = compare_clustered_means(
                        *arms, alpha=ALPHA, rng=rng, permutations=PERMUTATIONS, method=method
                    )
                    found[(*key, method)].compared(result, truth)
        print(name, flush=True)
    return found


def stratified(runs: int, seed: int) -> Tallies:
    """Three strata that differ in the share of buyers, and a history that knows the buyers."""
    found: Tallies = defaultdict(Tally)
    for customers in SIZES:
        for lift in (0.0, LIFT):
            rng = np.random.default_rng([seed, 2, customers, round(100 * lift)])
            for _ in range(runs):
                stratum = rng.integers(0, 3, customers)
                y = spend(rng, customers, np.array([0.02, 0.08, 0.20])[stratum])
                history = np.log1p(y) + rng.normal(0.0, 0.5, customers)
                treated = rng.permutation(customers) >= customers // 20
                y = y * np.where(treated, 1.0 + lift, 1.0)
                y_t, y_c = y[treated], y[~treated]
                s_t, s_c = stratum[treated], stratum[~treated]
                x = {"x_t": history[treated], "x_c": history[~treated]}
                options = {"alpha": ALPHA, "rng": rng, "permutations": PERMUTATIONS}
                adjusted = adjust_by_strata(y_t, s_t, y_c, s_c)
                results = {
                    "no strata, permutation": compare_means(y_t, y_c, **options),
                    "strata, permutation": _within(y_t, s_t, y_c, s_c, **options),
                    "strata, t": _within(y_t, s_t, y_c, s_c, method="t", **options),
                    "adjusted values, permutation": compare_means(
                        adjusted.treatment, adjusted.control, **options
                    ),
                    "strata and history, permutation": _within(y_t, s_t, y_c, s_c, **x, **options),
                }
                # In 10 % buyers on average: the truth over all customers that could come.
                truth = lift * BUYERS * MEAN_SPEND
                for name, result in results.items():
                    key = (f"{customers:,}", f"{lift:+.0%}" if lift else "none", name)
                    found[key].compared(result, truth)
        print(f"stratified {customers:,}", flush=True)
    return found


def _within(*arms: np.ndarray, **options: object) -> Comparison:
    result = compare_stratified_means(*arms, **options)  # type: ignore[arg-type]
    return result.comparison


def compliers(runs: int, seed: int) -> Tallies:
    """Reach some of the treated; those who are reached buy more often anyway."""
    found: Tallies = defaultdict(Tally)
    for customers in SIZES:
        for reached in REACHED:
            rng = np.random.default_rng([seed, 3, customers, round(100 * reached)])
            n_c = customers // 20
            for _ in range(runs):
                reachable = rng.random(customers) < reached
                y = spend(rng, customers, np.where(reachable, 1.3 * BUYERS, BUYERS))
                marks = reachable[n_c:]
                y_t = y[n_c:] * np.where(marks, 1.0 + LIFT, 1.0)
                truth = LIFT * 1.3 * BUYERS * MEAN_SPEND
                for method in ("permutation", "t"):
                    result = complier_effect(
                        y_t,
                        marks,
                        y[:n_c],
                        alpha=ALPHA,
                        rng=rng,
                        permutations=PERMUTATIONS,
                        method=method,
                    )
                    key = (f"{customers:,}", f"{reached:.0%}", method)
                    found[key].add(result.low, result.high, truth)
        print(f"compliers {customers:,}", flush=True)
    return found


def one_tau(y: np.ndarray, s: np.ndarray) -> Posterior:
    """Take the estimate of tau for the truth, as plain empirical Bayes does."""
    tau = max(math.sqrt(paule_mandel(y, s)), 1e-6)
    precision = 1.0 / (s**2 + tau**2)
    total = precision.sum()
    return Posterior(
        tau=np.array([tau]),
        weight=np.ones(1),
        mean=np.array([(precision * y).sum() / total]),
        variance=np.array([1.0 / total]),
    )


WAYS: dict[str, Callable[[np.ndarray, np.ndarray], Posterior]] = {
    "flat prior of tau": lambda y, s: posterior_of_tau(y, s, flat=True),
    "prior s / (s + tau)^2": lambda y, s: posterior_of_tau(y, s, flat=False),
    "one estimate of tau": one_tau,
}


def pooled(runs: int, seed: int) -> Tallies:
    """Leagues of effects with uneven errors; tau in units of the typical standard error."""
    found: Tallies = defaultdict(Tally)
    for k, tau in LEAGUES:
        rng = np.random.default_rng([seed, 4, k, round(10 * tau)])
        for _ in range(runs):
            s = np.exp(rng.normal(0.0, 0.5, k))
            true = tau * rng.normal(size=k)
            y, following = true + s * rng.normal(size=k), tau * rng.normal()
            for name, way in WAYS.items():
                each = shrink(y, s, way(y, s), alpha=ALPHA)
                _pooled_row(found[str(k), f"{tau}", name], each.low, each.high, true, s)
                top = int(np.argmax(each.shrunken))
                found[str(k), f"{tau}", name, "top"].add(each.low[top], each.high[top], true[top])
                found[str(k), f"{tau}", name, "next"].add(*each.prediction, following)
    print("pooled", flush=True)
    return found


def _pooled_row(
    tally: Tally, low: np.ndarray, high: np.ndarray, true: np.ndarray, s: np.ndarray
) -> None:
    tally.runs += 1
    tally.covered += float(np.mean((low <= true) & (true <= high)))
    tally.widths.append(float(np.mean((high - low) / (2 * 1.959964 * s))))


def skewed_league(runs: int, seed: int) -> Tallies:
    """Pool campaigns, each measured on heavy-tailed revenue against its own 5 %."""
    found: Tallies = defaultdict(Tally)
    rng = np.random.default_rng([seed, 5])
    n_c = SKEWED_CUSTOMERS // 20
    for _ in range(runs):
        lifts = 0.05 + SKEWED_TAU * rng.normal(size=SKEWED_LEAGUE)
        y, own, both = (np.empty(SKEWED_LEAGUE) for _ in range(3))
        for i, lift in enumerate(lifts):
            base = spend(rng, SKEWED_CUSTOMERS)
            treated, control = (1.0 + lift) * base[n_c:], base[:n_c]
            y[i] = treated.mean() - control.mean()
            own[i] = math.sqrt(treated.var(ddof=1) / treated.size + control.var(ddof=1) / n_c)
            variance = np.concatenate([treated, control]).var(ddof=1)
            both[i] = math.sqrt(variance * (1 / treated.size + 1 / n_c))
        true = lifts * BUYERS * MEAN_SPEND
        z = 1.959964
        for words, s in (("of each arm", own), ("of both arms together", both)):
            for name, way in WAYS.items():
                each = shrink(y, s, way(y, s), alpha=ALPHA)
                _pooled_row(found[words, name], each.low, each.high, true, own)
            _pooled_row(found[words, "not pooled"], y - z * s, y + z * s, true, own)
    print("skewed league", flush=True)
    return found


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]


def worst(tallies: Tallies, name: str) -> str:
    """Give the least coverage of a method over all settings."""
    return f"{min(100 * t.covered / t.runs for key, t in tallies.items() if key[-1] == name):.1f}"


def page(parts: dict[str, Tallies], runs: dict[str, int], seconds: float) -> str:
    clusters, strata, reached, league, skewed = (
        parts[name] for name in ("clustered", "stratified", "compliers", "pooled", "skewed")
    )
    error = 100 * math.sqrt(0.05 * 0.95 / runs["most"])
    effects = {key: t for key, t in league.items() if len(key) == 3}
    lines = [
        "# Designs on simulated customers",
        "",
        f"Made on {datetime.datetime.now(tz=datetime.UTC).date().isoformat()} by "
        f"`benchmarks/simulate_designs.py`, seed {SEED}, {seconds / 60:.0f} minutes of CPU.",
        "",
        f"Two-sided alpha {ALPHA}, {PERMUTATIONS} permutations per run (the product uses 10,000). "
        f"{BUYERS:.0%} of the customers buy, a buyer's spend is log-normal with sigma {SIGMA}. "
        f"{runs['most']:,} runs of each setting: one Monte Carlo error is {error:.1f} points at "
        "95 %. One distribution of spend: the figures give a direction, not a law.",
        "",
        "## What the tables show",
        "",
        f"- Whole clusters: rows cover {worst(clusters, 'by rows (Welch)')} % at worst, CR1 "
        f"{worst(clusters, 'cr1')} %, CR2 {worst(clusters, 'cr2')} %, the permutation "
        f"{worst(clusters, 'permutation')} %; 95 is promised.",
        f"- Strata: the permutation within strata covers {worst(strata, 'strata, permutation')} % "
        f"at worst, with the history {worst(strata, 'strata and history, permutation')} %, t "
        f"{worst(strata, 'strata, t')} %.",
        f"- Those who were reached: the set with permuted quantiles covers "
        f"{worst(reached, 'permutation')} % at worst, with quantiles of t {worst(reached, 't')} %.",
        f"- Many effects: the flat prior of tau covers {worst(effects, 'flat prior of tau')} % at "
        f"worst, the other prior {worst(effects, 'prior s / (s + tau)^2')} %, one estimate of tau "
        f"{worst(effects, 'one estimate of tau')} %.",
        f"- Many campaigns on heavy-tailed revenue: pooled {skewed_line(skewed)}",
        "",
        "## Whole shops and households",
        "",
        "Shops differ in their level (log-normal, sigma 0.4; households 0.8) and have 20 to 199 "
        "rows (households 1 to 5). Percent of runs that claim more, claim less (2.5 is promised "
        "for each where there is no effect), and whose interval of the difference covers the "
        "truth; open: an end is missing because no split is rare enough.",
        "",
        *table(
            ("design", "effect", "method", "claims more", "claims less", "covers", "open"),
            [(*key, *t.row, share(t.open_end, t.runs)) for key, t in clusters.items()],
        ),
        "## Strata and history, 5 % control",
        "",
        "Three strata of equal size in which 2, 8 and 20 % buy; the history is the logarithm of "
        "the spend without treatment plus noise. Width: median width of the interval.",
        "",
        *table(
            ("customers", "effect", "method", "claims more", "claims less", "covers", "width"),
            [(*key, *t.row, f"{t.width:.3f}") for key, t in strata.items()],
        ),
        "## The effect on those who were reached, 5 % control",
        "",
        "Those who can be reached buy 1.3 times as often; the treatment adds 20 % to their spend. "
        "Open: the set has no end on a side.",
        "",
        *table(
            ("customers", "reached", "quantiles", "covers", "open", "median width"),
            [
                (*key, t.coverage, share(t.open_end, t.runs), f"{t.width:.2f}")
                for key, t in reached.items()
            ],
        ),
        "## Many effects together",
        "",
        "Effects are normal with standard errors that differ (log-normal, sigma 0.5); tau is in "
        "units of the median standard error. Covers: share of all effects within their interval; "
        "of the top: of the one with the largest shrunken effect; of the next: of an effect that "
        "was not seen. Width: against the interval of the raw effect.",
        "",
        *table(
            ("effects", "tau", "method", "covers", "of the top", "of the next", "width"),
            [
                (
                    *key,
                    t.coverage,
                    league[(*key, "top")].coverage,
                    league[(*key, "next")].coverage,
                    f"{t.width:.2f}",
                )
                for key, t in effects.items()
            ],
        ),
        f"## {SKEWED_LEAGUE} campaigns on heavy-tailed revenue",
        "",
        f"Each campaign has {SKEWED_CUSTOMERS:,} customers of its own and holds out 5 %; the true "
        f"lifts are normal about 5 % with a standard deviation of {SKEWED_TAU:.0%}. A control of "
        "5 % that misses the large spenders has a low mean and a small variance at once, so that "
        "the campaigns that look best also look most certain; a standard error from the variance "
        f"of both arms together does not do that. {runs['skewed']:,} runs; width against the "
        "interval from the variance of each arm.",
        "",
        *table(
            ("variance", "method", "covers", "width"),
            [(*key, t.coverage, f"{t.width:.2f}") for key, t in skewed.items()],
        ),
    ]
    return "\n".join(lines).rstrip() + "\n"


def skewed_line(skewed: Tallies) -> str:
    found = [
        f"{skewed[words, 'flat prior of tau'].coverage} % with the variance {words}"
        for words in ("of each arm", "of both arms together")
    ]
    return f"intervals cover {found[0]} and {found[1]}: the standard errors that go in decide."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fraction", type=float, default=1.0, help="share of the runs")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    most = max(2, round(RUNS * options.fraction))
    few = max(2, round(POOLED_RUNS * options.fraction))
    runs = {"most": most, "skewed": max(2, few // 4)}
    started = time.process_time()
    parts = {
        "clustered": clustered(most, SEED),
        "stratified": stratified(most, SEED),
        "compliers": compliers(most, SEED),
        "pooled": pooled(few, SEED),
        "skewed": skewed_league(runs["skewed"], SEED),
    }
    text = page(parts, runs, time.process_time() - started)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
