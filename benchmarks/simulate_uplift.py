"""Measure what the intervals of rankings, bands, rules and cuts are worth.

Writes ``docs/simulations/uplift.md``. Run from the root of the project::

    python benchmarks/simulate_uplift.py [--runs 0.1]

The customers are simulated: one in ten buys; a buyer's amount is log-normal with sigma 1.5; the
treatment brings more buyers, the more the higher a customer's score (uniform from 0 to 1).
"""

from __future__ import annotations

import argparse
import datetime
import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crm_lab.uplift import Economics, Trial, everyone, policy_value, top_share
from crm_lab.uplift.bands import coefficient_replicates, curve_bands
from crm_lab.uplift.cumulative import coefficient, sums_by_score
from crm_lab.uplift.cuts import best_cut
from crm_lab.uplift.estimate import Estimate, Predictions
from crm_lab.uplift.ranking import rank_quality
from crm_lab.uplift.resampling import Drawn, GroupedTrial, _summed, grouped_trial, score_groups
from crm_lab.uplift.targeting import targeting_effect

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "docs" / "simulations" / "uplift.md"
SEED = 20_261_122
ALPHA = 0.05
PERMUTATIONS = 599
BUYERS, SIGMA, LIFT = 0.10, 1.5, 0.6
AMOUNT = math.exp(SIGMA**2 / 2)
CUSTOMERS = 20_000
CONTROLS = (0.5, 0.05)
OUTCOMES = ("bought", "revenue")
RUNS = {"random": 1_000, "bands": 150, "rules": 500, "cuts": 100, "groups": 2_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """Customers of one run: what they would do with and without the treatment.

    Attributes
    ----------
    trial : Trial
        What was seen.
    score : ndarray
        Decides the effect.
    expected : Predictions
        The true expected outcomes given the score and a taste that is known beforehand.
    """

    trial: Trial
    score: np.ndarray
    expected: Predictions


def shop(
    rng: np.random.Generator,
    *,
    control: float,
    outcome: str,
    customers: int = CUSTOMERS,
    flat: bool = False,
) -> Shop:
    """Draw customers; ``flat`` gives everyone the average effect, whatever the score."""
    score = rng.random(customers)
    taste = rng.choice([0.5, 1.5], customers)
    lift = np.full(customers, LIFT / 2) if flat else LIFT * score
    chance = np.stack([BUYERS * taste, BUYERS * (taste + lift)])
    is_treated = np.zeros(customers, dtype=bool)
    n_control = round(customers * control)
    is_treated[rng.permutation(customers)[n_control:]] = True
    buys = rng.random(customers) < chance[is_treated.astype(int), np.arange(customers)]
    amount = rng.lognormal(0.0, SIGMA, customers) if outcome == "revenue" else 1.0
    scale = AMOUNT if outcome == "revenue" else 1.0
    return Shop(
        trial=Trial(
            outcome=buys * amount,
            is_treated=is_treated,
            probability=1.0 - control,
            metric=outcome,
        ),
        score=score,
        expected=Predictions(treated=scale * chance[1], control=scale * chance[0]),
    )


def true_gain(depth: np.ndarray, outcome: str) -> np.ndarray:
    """Give the incremental outcome per customer of the list when the top ``depth`` is contacted."""
    scale = AMOUNT if outcome == "revenue" else 1.0
    return scale * BUYERS * LIFT * (1.0 - (1.0 - depth) ** 2) / 2.0


def tally(counts: Counter[str], name: str, found: Estimate, truth: float) -> None:
    """Count whether an interval misses the truth, and on which side."""
    counts[f"{name} runs"] += 1
    if not found.is_known:
        counts[f"{name} unknown"] += 1
    elif found.low > truth:
        counts[f"{name} above"] += 1
    elif found.high < truth:
        counts[f"{name} below"] += 1


def shares(counts: Counter[str], name: str) -> list[str]:
    """Give coverage and the misses on both sides, in percent."""
    known = counts[f"{name} runs"] - counts[f"{name} unknown"]
    above, below = counts[f"{name} above"], counts[f"{name} below"]
    return [percent(1 - (above + below) / known), percent(above / known), percent(below / known)]


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def markdown(head: list[str], rows: Iterable[list[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def random_scores(runs: int) -> list[str]:
    """Count how often a random score is claimed to rank better or worse than chance."""
    rows = []
    for outcome in OUTCOMES:
        for control in CONTROLS:
            rng = np.random.default_rng([SEED, 1, OUTCOMES.index(outcome), int(100 * control)])
            counts: Counter[str] = Counter()
            for _ in range(runs):
                made = shop(rng, control=control, outcome=outcome, flat=True)
                found = rank_quality(
                    made.trial, made.score, alpha=ALPHA, rng=rng, permutations=PERMUTATIONS
                )
                tally(counts, "gain", found.value, 0.0)
                rate = targeting_effect(
                    made.trial, made.score, alpha=ALPHA, rng=rng, permutations=PERMUTATIONS
                )
                tally(counts, "autoc", rate, 0.0)
            rows += [
                [outcome, percent(control), name, *shares(counts, name)]
                for name in ("gain", "autoc")
            ]
    head = ["outcome", "control %", "number", "no claim", "claims better", "claims worse"]
    return [
        f"Effects are the same for everyone, so every score is random. {CUSTOMERS:,} customers,"
        f" {runs:,} runs each; 95, 2.5 and 2.5 are promised.",
        "",
        *markdown(head, rows),
    ]


def bands(runs: int) -> list[str]:
    """Count what the bands of the gain curve cover, and what they claim falsely."""
    rows = []
    depth = np.arange(1, 21) / 20
    for outcome in OUTCOMES:
        for control in CONTROLS:
            rng = np.random.default_rng([SEED, 2, OUTCOMES.index(outcome), int(100 * control)])
            counts: Counter[str] = Counter()
            for _ in range(runs):
                made = shop(rng, control=control, outcome=outcome)
                found = curve_bands(
                    made.trial, made.score, alpha=ALPHA, rng=rng, depth=depth, replicates=400
                )
                truth = true_gain(depth, outcome)
                counts["runs"] += 1
                seen = np.isfinite(found.estimate)
                one = (found.low <= truth) & (truth <= found.high)
                counts["one"] += int(one[5])
                every = (found.low_all <= truth) & (truth <= found.high_all)
                counts["all"] += int(every[seen].all())
                counts["above"] += int((found.low_all > truth)[seen].any())
                counts["below"] += int((found.high_all < truth)[seen].any())
                line = shop(rng, control=control, outcome=outcome, flat=True)
                flat = curve_bands(
                    line.trial, line.score, alpha=ALPHA, rng=rng, depth=depth, replicates=400
                )
                inner = np.isfinite(flat.estimate) & (depth < 1)
                claimed = (flat.above_random_low > 0) | (flat.above_random_high < 0)
                counts["claim"] += int(claimed[inner].any())
            names = ("one", "all", "above", "below", "claim")
            cells = [percent(counts[name] / runs) for name in names]
            rows.append([outcome, percent(control), *cells])
    head = [
        "outcome",
        "control %",
        "covers at 30 %",
        "covers at all depths",
        "above the truth somewhere",
        "below somewhere",
        "random score: claims something somewhere",
    ]
    return [
        f"{CUSTOMERS:,} customers, {runs:,} runs each, 20 depths, 400 resamples; 95 is promised for"
        " both coverages, 5 for the last column.",
        "",
        *markdown(head, rows),
    ]


def rules(runs: int) -> list[str]:
    """Count what intervals of rules cover, beside the plain normal interval."""
    rows = []
    for outcome in OUTCOMES:
        for control in CONTROLS:
            rng = np.random.default_rng([SEED, 3, OUTCOMES.index(outcome), int(100 * control)])
            counts: Counter[str] = Counter()
            for _ in range(runs):
                made = shop(rng, control=control, outcome=outcome)
                top, whole = top_share(made.score, 0.4), everyone(made.trial.n)
                effect = made.expected.effect
                cases = {
                    "everyone": (whole, None, None),
                    "top 40 %": (top, None, None),
                    "top 40 %, doubly robust": (top, None, made.expected),
                    "top 40 % against everyone": (top, whole, None),
                }
                for name, (rule, base, expected) in cases.items():
                    found = policy_value(
                        made.trial,
                        rule,
                        alpha=ALPHA,
                        rng=rng,
                        baseline=base,
                        predictions=expected,
                        permutations=PERMUTATIONS,
                        customers=1,
                    )
                    gap = rule - (0.0 if base is None else base)
                    tally(counts, name, found.outcome, float(np.mean(gap * effect)))
                plain = normal_interval(made.trial, top)
                truth = float(np.mean(top * effect))
                tally(counts, "top 40 %, plain normal interval", plain, truth)
            names = list(dict.fromkeys(key.rsplit(" ", 1)[0] for key in counts))
            rows += [[outcome, percent(control), name, *shares(counts, name)] for name in names]
    head = ["outcome", "control %", "rule", "covers", "above the truth", "below the truth"]
    return [
        f"{CUSTOMERS:,} customers, {runs:,} runs each; 95, 2.5 and 2.5 are promised. The truth is"
        " the expected effect on the very customers of the run.",
        "",
        *markdown(head, rows),
    ]


def normal_interval(trial: Trial, rule: np.ndarray) -> Estimate:
    """Inverse probability weighting with the usual normal interval: the peer."""
    chance = np.where(trial.is_treated, trial.probability, 1.0 - trial.probability)
    sign = np.where(trial.is_treated, 1.0, -1.0)
    scores = rule * sign * trial.outcome / chance
    error = 1.959964 * float(scores.std(ddof=1)) / math.sqrt(trial.n)
    mean = float(scores.mean())
    return Estimate(
        estimate=mean,
        low=mean - error,
        high=mean + error,
        p_value=math.nan,
        alpha=ALPHA,
        method="normal",
        evidence="randomised",
        n_treatment=trial.n_treatment,
        n_control=trial.n_control,
    )


def cuts(runs: int) -> list[str]:
    """Measure how far the naive and the corrected profit of the best cut are off."""
    rows = []
    costs = {"score that ranks": (False, 0.5), "random score, cost = effect": (True, 1.0)}
    for name, (flat, factor) in costs.items():
        for outcome in OUTCOMES:
            for control in CONTROLS:
                rng = np.random.default_rng(
                    [SEED, 4, int(flat), OUTCOMES.index(outcome), int(100 * control)]
                )
                scale = AMOUNT if outcome == "revenue" else 1.0
                cost = factor * BUYERS * LIFT / 2 * scale
                counts: Counter[str] = Counter()
                off: dict[str, list[float]] = {"naive": [], "honest": []}
                for _ in range(runs):
                    made = shop(rng, control=control, outcome=outcome, flat=flat)
                    found = best_cut(
                        made.trial,
                        made.score,
                        alpha=ALPHA,
                        rng=rng,
                        economics=Economics(contact_cost=cost),
                        customers=1_000,
                        repetitions=5,
                        permutations=PERMUTATIONS,
                    )
                    rule = top_share(made.score, found.share)
                    truth = 1_000 * float(np.mean(rule * (made.expected.effect - cost)))
                    for which in off:
                        value = getattr(found, which).profit
                        tally(counts, which, value, truth)
                        off[which].append(value.estimate - truth)
                unit = 1_000 * BUYERS * LIFT / 2 * scale
                for which, gaps in off.items():
                    bias = f"{100 * float(np.mean(gaps)) / unit:+.1f}"
                    cells = [bias, *shares(counts, which)]
                    rows.append([name, outcome, percent(control), which, *cells])
    head = [
        "score",
        "outcome",
        "control %",
        "profit",
        "mean error, % of the effect of contacting all",
        "covers",
        "above the truth",
        "below the truth",
    ]
    return [
        f"{CUSTOMERS:,} customers, {runs:,} runs each, 21 cuts, 5 parts, 5 repetitions. The"
        " truth is the expected profit of the cut that was chosen on all customers.",
        "",
        *markdown(head, rows),
    ]


def regrouped(grouped: GroupedTrial, counts: np.ndarray) -> Drawn:
    return _summed(grouped, counts, [], False)


def groups(runs: int) -> list[str]:
    """Compare resamples of grouped scores with those of every score on its own."""
    rows = []
    for customers, replicates in ((20_000, runs), (1_000_000, max(runs // 80, 10))):
        rng = np.random.default_rng([SEED, 5, customers])
        made = shop(rng, control=0.5, outcome="bought", customers=customers)
        every = grouped_trial(made.trial, made.score, groups=customers)
        coarse = {k: grouped_trial(made.trial, made.score, groups=k) for k in (50, 200, 1_000)}
        # The same resample in all: counts of the customers, added up by group, arm and outcome.
        order = np.argsort(-made.score, kind="stable")
        cells = {k: cell_of_unit(made.trial, made.score, k)[order] for k in coarse}
        exact, found = [], {k: [] for k in coarse}
        for _ in range(replicates):
            drawn = rng.poisson(1.0, customers).astype(float)
            exact.append(float(coefficient(regrouped(every, drawn[None, :]).sums, "gain")[0]))
            for k, part in coarse.items():
                counts = np.bincount(cells[k], weights=drawn, minlength=part.cell.size)
                sums = regrouped(part, counts[None, :]).sums
                found[k].append(float(coefficient(sums, "gain")[0]))
        sd = float(np.std(exact, ddof=1))
        whole = float(coefficient(sums_by_score(made.trial, made.score)[1], "gain"))
        for k in coarse:
            ratio = float(np.std(found[k], ddof=1)) / sd
            apart = float(np.std(np.subtract(found[k], exact), ddof=1)) / sd
            values = coefficient_replicates(
                made.trial, made.score, "gain", replicates=runs, rng=rng, groups=k
            )
            free = float(np.std(values, ddof=1)) / sd if replicates == runs else math.nan
            shift = (float(np.mean(values)) - whole) / sd
            rows.append(
                [
                    f"{customers:,}",
                    f"{k:,}",
                    f"{ratio:.4f}",
                    f"{apart:.4f}",
                    "" if math.isnan(free) else f"{free:.3f}",
                    f"{shift:+.3f}",
                ]
            )
    head = [
        "customers",
        "groups",
        "sd grouped / sd exact, same resamples",
        "sd of their difference / sd",
        "sd of fresh grouped resamples / sd exact",
        "their mean minus the estimate, in sd",
    ]
    return [
        "Gain of a score with as many values as customers, 50 % control, outcome 0 or 1. The third"
        " column compares the very same resamples, so it has no Monte Carlo error to speak of; the"
        f" fifth, from {runs:,} resamples each, has one of {100 / math.sqrt(runs):.1f} %.",
        "",
        *markdown(head, rows),
    ]


def cell_of_unit(trial: Trial, score: np.ndarray, k: int) -> np.ndarray:
    """Give the row of the grouped trial that each unit belongs to."""
    group, _ = score_groups(score, k)
    key = (2 * group + trial.is_treated) * 2 + trial.outcome.astype(int)
    return np.unique(key, return_inverse=True)[1]


SECTIONS: dict[str, tuple[str, Callable[[int], list[str]]]] = {
    "random": ("A random score gives zero", random_scores),
    "bands": ("Bands of the gain curve", bands),
    "rules": ("Value of a rule", rules),
    "cuts": ("The best cut and the winner's curse", cuts),
    "groups": ("Resampling by score group", groups),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=float, default=1.0, help="factor on the numbers of runs")
    parser.add_argument("--only", choices=SECTIONS, help="run one section and print it")
    options = parser.parse_args()
    text: list[str] = []
    for name, (title, section) in SECTIONS.items():
        if options.only and name != options.only:
            continue
        text += [f"## {title}", "", *section(max(10, round(options.runs * RUNS[name]))), ""]
        print("\n".join(text[-40:]), flush=True)
    if options.only:
        return
    head = [
        "# Rankings, bands, rules and cuts on simulated customers",
        "",
        f"Made on {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d} by"
        f" `benchmarks/simulate_uplift.py`, seed {SEED}.",
        "",
        f"Setting: {percent(BUYERS)} % of the customers buy; a buyer's amount is log-normal with"
        f" sigma {SIGMA}; the treatment brings up to {percent(LIFT)} % more buyers, in proportion"
        f" to the score; two-sided alpha {ALPHA}; {PERMUTATIONS} permutations per interval (the"
        " product uses 4,000). One kind of shop: the figures give a direction, not a law.",
        "",
    ]
    OUTPUT.write_text("\n".join([*head, *text]), encoding="utf-8")
    print(f"written: {OUTPUT}")


if __name__ == "__main__":
    main()
