"""The peers of qini_bootstrap; runs in an environment of their own.

Draws customers anew, row by row, and computes the package's Qini coefficient each time. Prints the
mean, the standard deviation and the CPU seconds of the loop alone.
"""

import json
import sys
import time

import numpy as np


def scikit_uplift(outcome: np.ndarray, treated: np.ndarray, score: np.ndarray) -> float:
    """Qini coefficient of scikit-uplift."""
    from sklift.metrics import qini_auc_score

    return float(qini_auc_score(outcome, score, treated))


def causalml(outcome: np.ndarray, treated: np.ndarray, score: np.ndarray) -> float:
    """Qini coefficient of causalml."""
    import pandas as pd
    from causalml.metrics import qini_score

    frame = pd.DataFrame({"y": outcome, "w": treated, "score": score})
    return float(qini_score(frame, outcome_col="y", treatment_col="w", normalize=True)["score"])


def main(package: str, path: str, replicates: str) -> None:
    """Resample, compute, print."""
    data = np.load(path)
    outcome, treated, score = data["outcome"], data["treated"], data["score"]
    coefficient = {"scikit_uplift": scikit_uplift, "causalml": causalml}[package]
    rng = np.random.default_rng(1)
    coefficient(outcome[:100], treated[:100], score[:100])
    started = time.process_time()
    found = []
    for _ in range(int(replicates)):
        rows = rng.integers(0, outcome.size, outcome.size)
        found.append(coefficient(outcome[rows], treated[rows], score[rows]))
    loop = time.process_time() - started
    print(json.dumps({"mean": np.mean(found), "sd": np.std(found, ddof=1), "loop_s": loop}))


if __name__ == "__main__":
    main(*sys.argv[1:])
