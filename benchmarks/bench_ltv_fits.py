"""Fits of lifetime models on large bases, beside the package lifetimes on the same columns."""

from __future__ import annotations

import warnings
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.harness import Sides, benchmark
from crm_lab.ltv import (
    BGNBDParameters,
    GammaGammaFit,
    GammaGammaParameters,
    ParetoNBDParameters,
    PurchaseFit,
    PurchaseHistory,
    fit_bg_nbd,
    fit_gamma_gamma,
    fit_pareto_nbd,
    history_from_summary,
)
from crm_lab.ltv.formulas import FloatArray, purchase_log_likelihood, spend_log_likelihood

CUSTOMERS = 1_000_000
DAYS = 1_096
"""A base of three years, customers joining on every day of them."""

PARETO_CUSTOMERS = 100_000
SPENDERS = 468_000
SHOP = BGNBDParameters(r=0.25, alpha=31.0, a=0.79, b=2.43)
PARETO_SHOP = ParetoNBDParameters(r=0.55, alpha=74.0, s=0.6, beta=82.0)
PRICES = GammaGammaParameters(p=6.25, q=3.74, gamma=15.44)

LIKELIHOOD = 1e-9
"""The two optima may differ by this part of the log-likelihood."""

Columns = tuple[FloatArray, FloatArray, FloatArray]


def bg_nbd_base(customers: int, rng: np.random.Generator) -> Columns:
    """Draw purchase days x, t_x, T of a shop that obeys BG/NBD, purchases of a day merged."""
    age = rng.integers(1, DAYS, customers).astype(np.float64)
    rate = rng.gamma(SHOP.r, size=customers) / SHOP.alpha
    dropout = rng.beta(SHOP.a, SHOP.b, customers)
    clock, x, last = (np.zeros(customers) for _ in range(3))
    active = np.arange(customers)
    while active.size:
        wait = rng.exponential(size=active.size) / np.maximum(rate[active], 1e-12)
        clock[active] += np.maximum(np.ceil(wait), 1)
        active = active[clock[active] <= age[active]]
        x[active] += 1
        last[active] = clock[active]
        active = active[rng.random(active.size) >= dropout[active]]
    return x, last, age


def pareto_base(customers: int, rng: np.random.Generator) -> Columns:
    """Draw purchase days of a shop that obeys Pareto/NBD, purchases of a day merged."""
    age = rng.integers(200, DAYS, customers).astype(np.float64)
    rate = rng.gamma(PARETO_SHOP.r, size=customers) / PARETO_SHOP.alpha
    leaving = rng.gamma(PARETO_SHOP.s, size=customers) / PARETO_SHOP.beta
    until = np.minimum(rng.exponential(size=customers) / np.maximum(leaving, 1e-12), age)
    clock, x, last = (np.zeros(customers) for _ in range(3))
    active = np.arange(customers)
    while active.size:
        wait = rng.exponential(size=active.size) / np.maximum(rate[active], 1e-12)
        clock[active] += np.maximum(np.ceil(wait), 1)
        active = active[clock[active] <= until[active]]
        x[active] += 1
        last[active] = clock[active]
    return x, last, age


def history_of(columns: Columns, *, unit_days: float, money: object = np.nan) -> PurchaseHistory:
    frame = pd.DataFrame(dict(zip(("frequency", "recency", "age"), columns, strict=True)))
    frame["monetary_value"] = money
    frame.insert(0, "customer_id", np.arange(len(frame)))
    return history_from_summary(frame, as_of=date(2026, 1, 1), unit_days=unit_days)


def quiet_fit(fitter: str, *columns: FloatArray) -> dict[str, float]:
    """Fit with lifetimes, whose warnings are not the matter here."""
    import lifetimes

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found: Any = getattr(lifetimes, fitter)().fit(*columns)
    return {name: float(value) for name, value in found.params_.items()}


def check_purchases(columns: Columns, kind: type[Any]) -> Any:
    def check(ours: PurchaseFit, peer: dict[str, float]) -> None:
        assert ours.is_trusted, ours.reason
        theirs = purchase_log_likelihood(kind(**peer), *columns)
        lower = (theirs - ours.log_likelihood) / abs(theirs)
        assert lower < LIKELIHOOD, f"our log-likelihood is lower by {lower:g} of it"
        assert lower > -LIKELIHOOD, f"theirs is lower by {-lower:g} of it"

    return check


@benchmark(
    "bgnbd_fit_1m_days",
    peer="lifetimes.BetaGeoFitter",
    note="BG/NBD, 1 million customers of a three-year base in days; equal log-likelihood",
)
def bgnbd_fit_1m_days() -> Sides:
    columns = bg_nbd_base(CUSTOMERS, np.random.default_rng(1))
    history = history_of(columns, unit_days=1)
    return Sides(
        ours=lambda: fit_bg_nbd(history),
        peer=lambda: quiet_fit("BetaGeoFitter", *columns),
        check=check_purchases(columns, BGNBDParameters),
    )


@benchmark(
    "bgnbd_fit_1m_weeks",
    peer="lifetimes.BetaGeoFitter",
    note="the same base with times rounded up to whole weeks; equal log-likelihood",
)
def bgnbd_fit_1m_weeks() -> Sides:
    x, last, age = bg_nbd_base(CUSTOMERS, np.random.default_rng(1))
    columns = (x, np.ceil(last / 7), np.ceil(age / 7))
    history = history_of(columns, unit_days=7)
    return Sides(
        ours=lambda: fit_bg_nbd(history),
        peer=lambda: quiet_fit("BetaGeoFitter", *columns),
        check=check_purchases(columns, BGNBDParameters),
    )


@benchmark(
    "pareto_nbd_100k",
    peer="lifetimes.ParetoNBDFitter",
    note="Pareto/NBD, 100,000 customers in days; equal log-likelihood",
)
def pareto_nbd_100k() -> Sides:
    columns = pareto_base(PARETO_CUSTOMERS, np.random.default_rng(3))
    history = history_of(columns, unit_days=1)
    return Sides(
        ours=lambda: fit_pareto_nbd(history),
        peer=lambda: quiet_fit("ParetoNBDFitter", *columns),
        check=check_purchases(columns, ParetoNBDParameters),
    )


@benchmark(
    "gamma_gamma_468k",
    peer="lifetimes.GammaGammaFitter",
    note="468,000 repeat customers; ours also checks independence; equal log-likelihood",
)
def gamma_gamma_468k() -> Sides:
    rng = np.random.default_rng(2)
    x = rng.geometric(0.3, SPENDERS).astype(np.float64)
    rate = rng.gamma(PRICES.q, size=SPENDERS) / PRICES.gamma
    mean = np.maximum(np.round(rng.gamma(PRICES.p * x) / rate, 2), 0.01) / x
    history = history_of((x, 2 * x, 3 * x), unit_days=1, money=mean)

    def check(ours: GammaGammaFit, peer: dict[str, float]) -> None:
        assert ours.is_trusted, ours.reason
        theirs = GammaGammaParameters(p=peer["p"], q=peer["q"], gamma=peer["v"])
        likelihood = spend_log_likelihood(theirs, x, mean)
        difference = (likelihood - ours.log_likelihood) / abs(likelihood)
        assert abs(difference) < LIKELIHOOD, f"the log-likelihoods differ by {difference:g}"

    return Sides(
        ours=lambda: fit_gamma_gamma(history),
        peer=lambda: quiet_fit("GammaGammaFitter", x, mean),
        check=check,
    )
