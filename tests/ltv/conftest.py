"""Real and simulated purchase bases for the tests of lifetime value."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crm_lab.ltv import (
    BGNBDParameters,
    GammaGammaParameters,
    PurchaseHistory,
    Validation,
    purchase_history,
    validate,
)
from crm_lab.ltv.formulas import FloatArray

CALIBRATION_END = date(1997, 9, 30)
HOLDOUT_END = date(1998, 6, 30)


@pytest.fixture(scope="session")
def cdnow() -> pd.DataFrame:
    """The 1/10 sample of CDNOW, read from the package that carries it, without importing it."""
    spec = importlib.util.find_spec("lifetimes")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package lifetimes, which carries CDNOW, is not installed")
    path = Path(next(iter(spec.submodule_search_locations))) / "datasets" / "CDNOW_sample.txt"
    frame = pd.read_csv(
        path,
        sep=r"\s+",
        header=None,
        names=["master_id", "customer_id", "day", "quantity", "amount"],
        dtype={"customer_id": str, "day": str},
    )
    frame["ordered_at"] = pd.to_datetime(frame["day"], format="%Y%m%d")
    return frame[["customer_id", "ordered_at", "amount"]]


@pytest.fixture(scope="session")
def cdnow_history(cdnow: pd.DataFrame) -> PurchaseHistory:
    return purchase_history(cdnow, as_of=CALIBRATION_END, currency="USD")


@pytest.fixture(scope="session")
def cdnow_validation(cdnow: pd.DataFrame) -> Validation:
    return validate(
        cdnow,
        calibration_end=CALIBRATION_END,
        as_of=HOLDOUT_END,
        currency="USD",
        refits=20,
        rng=np.random.default_rng(1),
    )


@pytest.fixture(scope="session")
def make_orders() -> Callable[..., pd.DataFrame]:
    return simulate_orders


def simulate_orders(
    purchases: BGNBDParameters,
    *,
    customers: int,
    days: int,
    rng: np.random.Generator,
    spend: GammaGammaParameters | None = None,
    start: date = date(2024, 1, 1),
    joining_days: int = 90,
) -> pd.DataFrame:
    """Orders of a shop that obeys BG/NBD and Gamma-Gamma, in days, from their definitions."""
    spend = spend or GammaGammaParameters(p=6.25, q=3.74, gamma=15.44)
    rows = []
    for index in range(customers):
        rate = rng.gamma(purchases.r) / purchases.alpha
        dropout = rng.beta(purchases.a, purchases.b)
        price = rng.gamma(spend.q) / spend.gamma
        moment = float(rng.integers(0, joining_days))
        while moment < days:
            rows.append((f"c{index}", moment, rng.gamma(spend.p) / price))
            if len(rows) > 1 and rows[-2][0] == f"c{index}" and rng.random() < dropout:
                break
            moment += rng.exponential(1 / rate) if rate > 1e-12 else days
    frame = pd.DataFrame(rows, columns=["customer_id", "moment", "amount"])
    frame["ordered_at"] = pd.Timestamp(start) + pd.to_timedelta(frame["moment"], unit="D")
    return frame[["customer_id", "ordered_at", "amount"]]


@pytest.fixture(scope="session")
def shop() -> Callable[..., tuple[FloatArray, FloatArray, FloatArray]]:
    return draw_shop


def draw_shop(
    customers: int,
    *,
    rng: np.random.Generator,
    r: float = 0.6,
    alpha: float = 20.0,
    a: float = 0.8,
    b: float = 2.5,
    days: int = 500,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Exact times x, t_x, T (not merged by day) of a shop that obeys BG/NBD."""
    age = rng.integers(1, days, customers).astype(np.float64)
    rate = rng.gamma(r, size=customers) / alpha
    dropout = rng.beta(a, b, customers)
    clock, x, last = (np.zeros(customers) for _ in range(3))
    active = np.arange(customers)
    while active.size:
        clock[active] += rng.exponential(size=active.size) / np.maximum(rate[active], 1e-12)
        active = active[clock[active] <= age[active]]
        x[active] += 1
        last[active] = clock[active]
        active = active[rng.random(active.size) >= dropout[active]]
    return x, last, age
