"""A cross-fitted T-learner of causalml, run by ``bench_t_learner`` in an environment of its own."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from causalml.inference.meta import BaseTRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression


def main() -> None:
    """Read features, arm, outcome and folds; write the effects; print the seconds."""
    kind, source, target = sys.argv[1:4]
    given = np.load(source)
    x, treated, y, number = (given[name] for name in ("x", "treated", "outcome", "number"))
    shape = json.loads(sys.argv[4])
    begin = time.process_time()
    effects = np.empty(len(y))
    for fold in range(int(number.max()) + 1):
        held = number == fold
        model = LinearRegression() if kind == "linear" else HistGradientBoostingRegressor(**shape)
        learner = BaseTRegressor(learner=model, control_name=0)
        learner.fit(X=x[~held], treatment=treated[~held], y=y[~held])
        effects[held] = learner.predict(X=x[held], verbose=False)[:, 0]
    seconds = time.process_time() - begin
    np.save(target, effects)
    print(json.dumps({"loop_s": seconds}))


if __name__ == "__main__":
    main()
