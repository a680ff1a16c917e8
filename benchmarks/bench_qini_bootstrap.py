"""A Qini coefficient with 1,000 resamples of the customers.

The peers are installed into environments of their own. Where that is not possible, the peer is
what one would write with numpy: sort once, then weight every customer in every resample.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.harness import Sides, benchmark
from benchmarks.peers import peer_python
from crm_lab.uplift import Definition, Trial, coefficient_replicates
from crm_lab.uplift.cumulative import coefficient, sums_by_score

REPLICATES = 1_000
PEER_REPLICATES_1M = 200
PACKAGES = {
    "scikit_uplift": ("scikit-uplift==0.5.1", "scikit-learn<1.8", "pandas<3"),
    "causalml": ("causalml==0.18.0",),
}
DEFINITIONS: dict[str, Definition] = {"scikit_uplift": "sklift_qini", "causalml": "causalml_qini"}
# Both standard deviations come from 1,000 resamples: an error of 3.2 % between them, four times.
SPREAD = 4 / math.sqrt(REPLICATES)
Summary = dict[str, float]
NOTE = (
    "outcome 0 or 1, half of the customers treated, every score different; ours groups the scores"
    " by half a percent of the customers; the peer's time includes its start and import"
)


def customers(n: int) -> tuple[Trial, np.ndarray]:
    """Draw customers of whom one in six visits, more of the treated with a high score."""
    rng = np.random.default_rng(6)
    score = rng.normal(size=n)
    is_treated = rng.random(n) < 0.5
    chance = 0.12 + is_treated * np.clip(0.04 + 0.02 * score, -0.1, 0.2)
    visit = (rng.random(n) < chance).astype(float)
    return Trial(outcome=visit, is_treated=is_treated, probability=0.5, metric="visit"), score


def summary(values: np.ndarray) -> Summary:
    return {"mean": float(np.mean(values)), "sd": float(np.std(values, ddof=1))}


def sides(n: int, package: str, *, peer_replicates: int = REPLICATES) -> Sides:
    """Prepare ours and a package, or numpy where the package cannot be installed."""
    trial, score = customers(n)
    definition = DEFINITIONS[package]

    def ours() -> Summary:
        rng = np.random.default_rng(2)
        return summary(
            coefficient_replicates(trial, score, definition, replicates=REPLICATES, rng=rng)
        )

    try:
        python = peer_python(package, PACKAGES[package])
    except RuntimeError as problem:
        print(f"qini_bootstrap: {problem}; numpy stands in for it", file=sys.stderr)
        return Sides(ours=ours, peer=lambda: in_numpy(trial, score, definition), check=check)
    folder = Path(tempfile.mkdtemp(prefix="crm-lab-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "customers.npz"
    np.savez(path, outcome=trial.outcome, treated=trial.is_treated.astype(int), score=score)

    def peer() -> Summary:
        script = Path(__file__).with_name("qini_peer.py")
        done = subprocess.run(
            [str(python), str(script), package, str(path), str(peer_replicates)],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"MPLBACKEND": "Agg"},
        )
        found: Summary = json.loads(done.stdout.splitlines()[-1])
        print(
            f"qini_bootstrap: {package} without its start: {found['loop_s']:.1f} s", file=sys.stderr
        )
        return found

    return Sides(
        ours=ours,
        peer=peer,
        check=partial(check, replicates=peer_replicates),
        peer_part=peer_replicates / REPLICATES,
    )


def in_numpy(trial: Trial, score: np.ndarray, definition: Definition) -> Summary:
    """Sort once; draw how often each customer counts, and add up from the top, every time."""
    order = np.argsort(-score)
    y, t = trial.outcome[order], trial.is_treated[order].astype(float)
    _, sums = sums_by_score(trial, score)
    rng, found = np.random.default_rng(3), []
    for _ in range(REPLICATES):
        w = rng.poisson(1.0, trial.n).astype(float)
        treated, control = np.cumsum(w * t), np.cumsum(w * (1 - t))
        drawn = type(sums)(
            n=treated + control,
            n_treated=treated,
            weight_treated=treated,
            weight_control=control,
            outcome_treated=np.cumsum(w * t * y),
            outcome_control=np.cumsum(w * (1 - t) * y),
        )
        found.append(float(coefficient(drawn, definition)))
    return summary(np.array(found))


def check(ours: Summary, peer: Summary, *, replicates: int = REPLICATES) -> None:
    """Compare the standard deviations and the centres of both sets of resamples."""
    spread = SPREAD * math.sqrt((1 + REPLICATES / replicates) / 2)
    np.testing.assert_allclose(ours["sd"], peer["sd"], rtol=spread)
    np.testing.assert_allclose(ours["mean"], peer["mean"], atol=2 * spread * peer["sd"])


@benchmark("qini_bootstrap_64k", peer="causalml's qini_score in a loop over resamples", note=NOTE)
def qini_bootstrap_64k() -> Sides:
    return sides(64_000, "causalml")


@benchmark(
    "qini_bootstrap_64k_scikit_uplift",
    peer="scikit-uplift's qini_auc_score in a loop over resamples",
    note=NOTE,
)
def qini_bootstrap_64k_scikit_uplift() -> Sides:
    return sides(64_000, "scikit_uplift")


@benchmark(
    "qini_bootstrap_1m",
    peer="causalml's qini_score in a loop over resamples",
    note=NOTE + f"; the peer makes {PEER_REPLICATES_1M} resamples and its time is scaled up",
)
def qini_bootstrap_1m() -> Sides:
    return sides(1_000_000, "causalml", peer_replicates=PEER_REPLICATES_1M)
