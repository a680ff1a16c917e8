"""Bootstrap refits of a real base, and the scoring of a large one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import date

import numpy as np
import pandas as pd

from benchmarks.bench_ltv_fits import bg_nbd_base, history_of
from benchmarks.harness import Sides, benchmark
from crm_lab.datasets import load_cdnow
from crm_lab.ltv import fit_bg_nbd, purchase_history, score_in_pieces
from crm_lab.ltv.estimation import maximise_purchases
from crm_lab.ltv.formulas import FloatArray
from crm_lab.ltv.history import distinct_histories
from crm_lab.ltv.parameters import BGNBDParameters, as_vector

REFITS = 500
PIECES = 10
PIECE_CUSTOMERS = 1_000_000
HORIZON = 182.0
SAME_OPTIMUM = 2e-3
"""lifetimes ends at a gradient of 1e-7 a customer, which leaves this much in a parameter."""

SAME_TOTAL = 1e-6


@benchmark(
    "bgnbd_refits_cdnow",
    peer="lifetimes.BetaGeoFitter on the same weighted tuples",
    note="500 bootstrap refits of the full CDNOW (23,570 customers, days); both start at the fit",
)
def bgnbd_refits_cdnow() -> Sides:
    import lifetimes

    history = purchase_history(load_cdnow(), as_of=date(1997, 9, 30), unit_days=1)
    tuples = distinct_histories(history)
    fitted = fit_bg_nbd(history).parameters
    chance = tuples.customers / tuples.customers.sum()
    size = int(tuples.customers.sum())
    rng = np.random.default_rng(5)
    weights = rng.multinomial(size, chance, REFITS).astype(np.float64)

    def ours() -> FloatArray:
        drawn = (tuples.with_customers(weight) for weight in weights)
        return np.array([maximise_purchases(each, start=fitted).estimates for each in drawn])

    def peer() -> FloatArray:
        found = []
        for weight in weights:
            used = weight > 0
            age = tuples.age[used]
            start = np.log(as_vector(fitted) * [1, 1 / age.max(), 1, 1])
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                fitter = lifetimes.BetaGeoFitter().fit(
                    tuples.frequency[used],
                    tuples.recency[used],
                    age,
                    weights=weight[used],
                    initial_params=start,
                )
            found.append(fitter.params_.to_numpy())
        return np.array(found)

    def check(ours: FloatArray, peer: FloatArray) -> None:
        np.testing.assert_allclose(ours, peer, rtol=SAME_OPTIMUM)

    return Sides(ours=ours, peer=peer, check=check)


@benchmark(
    "score_10m",
    peer="lifetimes: P(alive) and expected purchases of the same pieces",
    note="10 million customers in pieces of a million; ours also gives the chance of an order",
)
def score_10m() -> Sides:
    import lifetimes

    columns = bg_nbd_base(PIECE_CUSTOMERS, np.random.default_rng(1))
    history = history_of(columns, unit_days=1)
    fit = fit_bg_nbd(history)
    assert isinstance(fit.parameters, BGNBDParameters)
    fitter = lifetimes.BetaGeoFitter()
    fitter.params_ = pd.Series(as_vector(fit.parameters), index=["r", "alpha", "a", "b"])

    def pieces() -> Iterator[pd.DataFrame]:
        for _ in range(PIECES):
            yield history.customers

    def ours() -> FloatArray:
        totals = np.zeros(2)
        for piece in score_in_pieces(pieces(), fit=fit, periods=HORIZON):
            totals += [piece["probability_alive"].sum(), piece["expected_orders"].sum()]
        return totals

    def peer() -> FloatArray:
        totals = np.zeros(2)
        for piece in pieces():
            x, last, age = (piece[name].to_numpy() for name in ("frequency", "recency", "age"))
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                alive = fitter.conditional_probability_alive(x, last, age)
                orders = fitter.conditional_expected_number_of_purchases_up_to_time(
                    HORIZON, x, last, age
                )
            totals += [np.sum(alive), np.sum(orders)]
        return totals

    def check(ours: FloatArray, peer: FloatArray) -> None:
        np.testing.assert_allclose(ours, peer, rtol=SAME_TOTAL)

    return Sides(ours=ours, peer=peer, check=check)
