"""Allocation against trying everything, and its bound."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from crm_lab.errors import DesignError
from crm_lab.uplift.allocation import Allocation, Option, allocate

CASES = 25
EXACT = 1e-6


def by_trying(
    values: np.ndarray, options: list[Option], budget: float | None, caps: np.ndarray
) -> float:
    costs = np.array([option.cost for option in options])
    best = 0.0
    for rows in product(product([0, 1], repeat=len(options)), repeat=len(values)):
        sent = np.array(rows)
        if (sent.sum(axis=1) > caps).any():
            continue
        if budget is not None and (sent * costs).sum() > budget + 1e-9:
            continue
        if any(
            option.capacity is not None and sent[:, place].sum() > option.capacity
            for place, option in enumerate(options)
        ):
            continue
        best = max(best, float((sent * (values - costs)).sum()))
    return best


def kept_to(found: Allocation, caps: np.ndarray) -> bool:
    within = found.budget is None or found.spent <= found.budget + 1e-9
    full = all(
        option.capacity is None or found.sent[:, place].sum() <= option.capacity
        for place, option in enumerate(found.options)
    )
    return bool(within and full and (found.sent.sum(axis=1) <= caps).all())


@pytest.mark.parametrize("seed", range(CASES))
def test_the_best_of_all_ways_to_deal_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(2, 5)), int(rng.integers(1, 4))
    values = rng.normal(1.0, 1.5, (n, k))
    options = [
        Option(
            name=str(place),
            cost=float(rng.integers(0, 4)) / 2,
            capacity=None if rng.random() < 0.5 else int(rng.integers(0, n + 1)),
        )
        for place in range(k)
    ]
    budget = None if rng.random() < 0.3 else float(rng.integers(0, 8)) / 2
    cap = int(rng.integers(1, 3))
    caps = np.minimum(rng.integers(0, 3, n), cap)
    best = by_trying(values, options, budget, caps)
    exact = allocate(values, options, budget=budget, cap=cap, caps=caps)
    assert exact.profit == pytest.approx(best, abs=EXACT)
    assert kept_to(exact, caps)
    # the way for long lists: never above the best, never a bound below it
    priced = allocate(values, options, budget=budget, cap=cap, caps=caps, exact_cells=0)
    assert priced.profit <= best + EXACT
    assert priced.bound >= best - EXACT
    assert kept_to(priced, caps)


def test_a_long_list_of_different_customers_is_near_its_bound() -> None:
    rng = np.random.default_rng(1)
    values = rng.gamma(1.0, 1.0, (20_000, 3))
    options = [
        Option(name="email", cost=0.1),
        Option(name="sms", cost=0.5, capacity=4_000),
        Option(name="call", cost=2.0, capacity=500),
    ]
    found = allocate(values, options, budget=2_000.0, currency="EUR")
    assert found.gap < 1e-4
    assert found.first_come < 0.6 * found.profit
    assert "no allocation under these limits is expected to earn more" in found.sentence()
    assert found.to_frame()["contacts"].sum() == found.sent.sum()
    assert found.to_dict()["contacted"] == found.contacted


def test_customers_who_are_alike_are_dealt_out_exactly() -> None:
    rng = np.random.default_rng(1)
    table = rng.gamma(1.0, 1.0, (6, 2))
    labels = rng.integers(0, 6, 5_000)
    options = [Option(name="a", cost=0.3), Option(name="b", cost=0.7, capacity=700)]
    found = allocate(table[labels], options, budget=900.0, cap=2)
    assert found.gap < 1e-6
    assert kept_to(found, np.full(5_000, 2))
    assert "add up" in found.sentence()


def test_who_may_not_get_it_does_not() -> None:
    found = allocate([[np.nan, 5.0], [3.0, np.nan]], [Option(name=n, cost=1.0) for n in "ab"])
    assert found.sent.tolist() == [[False, True], [True, False]]


def test_nothing_pays() -> None:
    found = allocate([[0.5], [0.1]], [Option(name="a", cost=1.0)], budget=10.0)
    assert not found.sent.any()
    assert found.sentence().startswith("Nobody gets anything")
    assert (found.profit, found.gap) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": [1.0, 2.0]}, "values of shape"),
        ({"budget": -1.0}, "the budget is -1"),
        ({"cap": 0}, "cap is 0"),
        ({"caps": [1]}, "caps do not fit"),
        ({"values": [[np.inf], [1.0]]}, "an expected margin is infinite"),
        ({"options": [Option(name="a", cost=0.0)] * 2, "values": [[1.0, 1.0]]}, "same name"),
    ],
)
def test_what_cannot_be_dealt_out(changes: dict[str, object], message: str) -> None:
    given = {"values": [[1.0], [2.0]], "options": [Option(name="a", cost=0.0)]} | changes
    values, options = given.pop("values"), given.pop("options")
    with pytest.raises(DesignError, match=message):
        allocate(values, options, **given)  # type: ignore[arg-type]


def test_options_that_cannot_be() -> None:
    with pytest.raises(DesignError, match="the cost of a is -1"):
        Option(name="a", cost=-1.0)
    with pytest.raises(DesignError, match="the capacity of a is -1"):
        Option(name="a", cost=1.0, capacity=-1)
