"""A T-learner that scores every customer by models that did not see him.

causalml is installed into an environment of its own. Where that is not possible, the peer is the
same learner written with scikit-learn and numpy alone.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression

from benchmarks.harness import Sides, benchmark
from benchmarks.peers import peer_python
from crm_lab.stats.arguments import FloatArray
from crm_lab.uplift import Trial
from crm_lab.uplift.cross_fitting import Folds, cross_fit
from crm_lab.uplift.features import Features
from crm_lab.uplift.learners import TLearner
from crm_lab.uplift.pieces import Models

CUSTOMERS, FEATURES, FOLDS = 1_000_000, 10, 5
PACKAGE = "causalml==0.18.0"
DRAWN_AT = datetime(2024, 5, 1)
SHAPE: dict[str, Any] = {
    "max_iter": 30,
    "max_leaf_nodes": 8,
    "early_stopping": False,
    "random_state": 0,
}
NOTE = (
    f"{CUSTOMERS:,} customers, {FEATURES} features, half treated, {FOLDS} folds; the peer's time"
    " includes its start and import, ours the encoding of features"
)
LINEAR_TOLERANCE, BOOSTED_TOLERANCE = 1e-6, 0.02
"""Least squares of the same data is the same; features that were standardised first are cut into
bins at slightly other places, which moves a boosted effect (of about 1) a little."""


def sides(kind: str) -> Sides:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(CUSTOMERS, FEATURES))
    is_treated = rng.random(CUSTOMERS) < 0.5
    y = x[:, 0] + rng.normal(size=CUSTOMERS) + is_treated * (1.0 + 0.5 * x[:, 1])
    number = rng.permutation(np.arange(CUSTOMERS) % FOLDS)
    features = Features.of(
        pd.DataFrame(x, columns=[f"x{place}" for place in range(FEATURES)]), known_at=DRAWN_AT
    )
    trial = Trial(outcome=y, is_treated=is_treated, probability=0.5, metric="spend")
    folds = Folds(number=number[None, :])
    models = Models(
        name=kind,
        classifier=LogisticRegression(),
        regressor=(
            LinearRegression() if kind == "linear" else HistGradientBoostingRegressor(**SHAPE)
        ),
    )

    def ours() -> FloatArray:
        fitted = cross_fit(
            TLearner(models=models),
            features,
            trial,
            folds=folds,
            rng=np.random.default_rng(1),
            drawn_at=DRAWN_AT,
        )
        return fitted.effects[0]

    def check(mine: FloatArray, theirs: FloatArray) -> None:
        if kind == "linear":
            np.testing.assert_allclose(mine, theirs, atol=LINEAR_TOLERANCE)
        else:
            assert float(np.sqrt(np.mean((mine - theirs) ** 2))) < BOOSTED_TOLERANCE

    try:
        python = peer_python("causalml", (PACKAGE,))
    except RuntimeError as problem:
        print(f"t_learner: {problem}; scikit-learn stands in for it", file=sys.stderr)
        return Sides(ours=ours, peer=lambda: by_hand(kind, x, is_treated, y, number), check=check)
    folder = Path(tempfile.mkdtemp(prefix="crm-lab-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    source, target = folder / "customers.npz", folder / "effects.npy"
    np.savez(source, x=x, treated=is_treated.astype(int), outcome=y, number=number)

    def peer() -> FloatArray:
        script = Path(__file__).with_name("t_learner_peer.py")
        done = subprocess.run(
            [str(python), str(script), kind, str(source), str(target), json.dumps(SHAPE)],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"MPLBACKEND": "Agg"},
        )
        seconds = json.loads(done.stdout.splitlines()[-1])["loop_s"]
        print(f"t_learner: causalml without its start: {seconds:.1f} s", file=sys.stderr)
        return np.asarray(np.load(target))

    return Sides(ours=ours, peer=peer, check=check)


def by_hand(
    kind: str, x: FloatArray, is_treated: np.ndarray, y: FloatArray, number: np.ndarray
) -> FloatArray:
    """Do what one would write at once with scikit-learn."""
    effects = np.empty(len(y))
    for fold in range(FOLDS):
        held = number == fold
        arms = []
        for arm in (True, False):
            rows = ~held & (is_treated == arm)
            model = (
                LinearRegression() if kind == "linear" else HistGradientBoostingRegressor(**SHAPE)
            )
            arms.append(model.fit(x[rows], y[rows]).predict(x[held]))
        effects[held] = arms[0] - arms[1]
    return effects


@benchmark("t_learner_1m", peer="causalml's BaseTRegressor in the same folds", note=NOTE)
def t_learner_1m() -> Sides:
    return sides("linear")


@benchmark(
    "t_learner_1m_boosted",
    peer="causalml's BaseTRegressor on the same boosted trees, in the same folds",
    note=NOTE,
)
def t_learner_1m_boosted() -> Sides:
    return sides("boosted")
