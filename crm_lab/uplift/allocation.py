"""Who gets what: contacts dealt out by expected profit under budgets and frequency caps.

Dealing out first come, first served gives the budget to whoever stands first in the file. Here the
whole list is solved at once: customers who are alike by a whole-number programme, long lists of
different customers by prices for the budget and for each option. The prices also give a bound that
no allocation can pass, so the distance to the best possible one is known and shown.

References
----------
Dantzig, G. B. (1957), "Discrete-variable extremum problems", Operations Research 5 (the bound).
Kelley, J. E. (1960), "The cutting-plane method for solving convex programs", Journal of the SIAM 8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, sparse

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.language import say
from crm_lab.stats.arguments import FloatArray
from crm_lab.uplift import wording

IntArray = NDArray[np.int64]
EXACT_CELLS = 20_000
"""Groups times options up to which the whole-number programme is solved."""
SECONDS = 20.0
"""Longest time for it; what it has not closed by then is in the gap."""
SMALLEST_GAP = 5e-5
"""A gap below this reads as none: 0.005 % of the profit."""
PRICE_ROUNDS = 60
PRICE_GAP = 1e-6
"""Relative distance at which prices are good enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One thing that can be sent.

    Attributes
    ----------
    name : str
        Arm, channel or offer.
    cost : float
        Cost of one contact, in money.
    capacity : int, optional
        Most contacts of this kind; without it there is no limit.
    """

    name: str
    cost: float
    capacity: int | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.cost) and self.cost >= 0):
            raise DesignError(
                say("the cost of {name} is {cost}", name=self.name, cost=self.cost),
                expected=say("0 or more"),
            )
        if self.capacity is not None and self.capacity < 0:
            raise DesignError(
                say("the capacity of {name} is {capacity}", name=self.name, capacity=self.capacity)
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Allocation(Result):
    """Who gets what, what it is expected to earn, and how far from the best possible.

    Attributes
    ----------
    options : tuple of Option
        What could be sent.
    sent : ndarray of bool, shape (n, options)
        What each customer gets.
    profit : float
        Expected incremental margin less contact cost, in money.
    bound : float
        No allocation under these limits is expected to earn more.
    spent : float
        Contact cost.
    budget : float or None
        Most that may be spent.
    first_come : float
        What the same limits earn dealt out in the order of the file.
    method : str
        How it was solved.
    currency : str
        Unit of the amounts.
    cap : int
        Most contacts of one customer.
    """

    title: ClassVar[str] = wording.ALLOCATION_TITLE
    plotter: ClassVar[str] = "crm_lab.plots.uplift:plot_allocation"

    options: tuple[Option, ...]
    sent: NDArray[np.bool_]
    profit: float
    bound: float
    spent: float
    budget: float | None
    first_come: float
    method: str
    currency: str
    cap: int

    @property
    def gap(self) -> float:
        """Largest part of the best possible profit that may be missed: 0 is the best possible."""
        return max(self.bound - self.profit, 0.0) / self.bound if self.bound > 0 else 0.0

    @property
    def contacted(self) -> int:
        """Customers who get something."""
        return int(self.sent.any(axis=1).sum())

    def _about(self, profit: float) -> str:
        places = min(formats.decimals_for(0.0, profit), 0)  # an expectation without interval
        return formats.money(profit, self.currency, decimals=places).strip()

    def sentence(self) -> str:
        """Say how many get something, what it is expected to earn, and the gap."""
        if not self.sent.any():
            return say(wording.ALLOCATION_NOBODY)
        values = {
            "contacts": formats.number(int(self.sent.sum())),
            "customers": formats.number(self.contacted),
            "spent": formats.money(self.spent, self.currency).strip(),
            "profit": self._about(self.profit),
            "gap": say(wording.ALLOCATION_GAP, gap=formats.percent(self.gap, decimals=2))
            if self.gap >= SMALLEST_GAP
            else say(wording.ALLOCATION_BEST),
            "first_come": self._about(self.first_come),
        }
        if self.budget is None:
            text = say(wording.ALLOCATION, **values)
        else:
            budget = formats.money(self.budget, self.currency).strip()
            text = say(wording.ALLOCATION_IN_BUDGET, **values, budget=budget)
        return f"{text} {say(wording.ALLOCATION_SEVERAL)}" if self.cap > 1 else text

    def to_dict(self) -> dict[str, object]:
        """Give the amounts and the table, without a row per customer."""
        return {
            "profit": self.profit,
            "bound": self.bound,
            "gap": self.gap,
            "spent": self.spent,
            "budget": self.budget,
            "first_come": self.first_come,
            "contacted": self.contacted,
            "method": self.method,
            "options": self.to_frame().to_dict("records"),
        }

    def to_frame(self) -> pd.DataFrame:
        """Give one row per option: contacts, cost, capacity."""
        return pd.DataFrame(
            {
                "option": option.name,
                "contacts": int(self.sent[:, place].sum()),
                "cost_of_one": option.cost,
                "spent": option.cost * int(self.sent[:, place].sum()),
                "capacity": option.capacity,
            }
            for place, option in enumerate(self.options)
        )


def allocate(
    values: ArrayLike,
    options: Sequence[Option],
    *,
    budget: float | None = None,
    cap: int = 1,
    caps: ArrayLike | None = None,
    currency: str = "",
    exact_cells: int = EXACT_CELLS,
) -> Allocation:
    """Deal out contacts so that the expected profit is largest.

    Parameters
    ----------
    values : array-like, shape (n, options)
        Expected incremental margin of each option for each customer, before its cost, in money;
        NaN where the customer may not get it.
    options : sequence of Option
        What can be sent.
    budget : float, optional
        Most that may be spent on contacts.
    cap : int
        Most contacts of one customer; above 1 the effects of several are taken to add up, which
        no test of single contacts shows.
    caps : array-like of int, shape (n,), optional
        What is left to each customer under the frequency cap, where it differs; at most ``cap``
        counts.
    currency : str
        Unit of the amounts.
    exact_cells : int
        Groups of alike customers times options up to which the programme is solved in whole
        numbers.

    Raises
    ------
    DesignError
        Shapes do not fit, or a limit is negative.

    Examples
    --------
    >>> found = allocate(
    ...     [[3.0, 5.0], [2.0, 0.5], [4.0, 4.5]],
    ...     [Option(name="email", cost=0.1), Option(name="call", cost=1.0)],
    ...     budget=1.2,
    ... )
    >>> found.sent.astype(int).tolist(), round(found.profit, 2), round(found.gap, 4)
    ([[0, 1], [1, 0], [1, 0]], 9.8, 0.0)
    """
    worth, left = _checked(values, options, budget, cap, caps)
    net = worth - np.array([option.cost for option in options])
    limits = _Limits(
        costs=np.array([option.cost for option in options], dtype=np.float64),
        capacities=np.array(
            [math.inf if option.capacity is None else option.capacity for option in options]
        ),
        budget=math.inf if budget is None else float(budget),
    )
    rows, group, size = _groups(net, left)
    if len(rows) * len(options) <= exact_cells:
        sent, bound, method = _exact(net, left, limits, rows, group, size)
    else:
        sent, bound = _priced(net, left, limits)
        method = wording.METHOD_PRICES
    profit = float(net[sent].sum())
    return Allocation(
        options=tuple(options),
        sent=sent,
        profit=profit,
        bound=max(bound, profit),
        spent=float((sent * limits.costs).sum()),
        budget=budget,
        first_come=_first_come(net, left, limits),
        method=method,
        currency=currency,
        cap=int(left.max(initial=0)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    costs: FloatArray
    capacities: FloatArray
    budget: float


def _checked(
    values: ArrayLike,
    options: Sequence[Option],
    budget: float | None,
    cap: int,
    caps: ArrayLike | None,
) -> tuple[FloatArray, IntArray]:
    worth = np.asarray(values, dtype=np.float64)
    if worth.ndim != 2 or worth.shape[1] != len(options) or not options:
        raise DesignError(
            say(
                "values of shape {shape} for {options} options",
                shape=worth.shape,
                options=len(options),
            ),
            expected=say("a row per customer and a column per option"),
        )
    if len({option.name for option in options}) < len(options):
        raise DesignError(say("two options have the same name"))
    if np.isposinf(worth).any():
        raise DesignError(say("an expected margin is infinite"))
    if budget is not None and not budget >= 0:
        raise DesignError(say("the budget is {budget}", budget=budget), expected=say("0 or more"))
    if cap < 1:
        raise DesignError(
            say("cap is {cap}", cap=cap), expected=say("1 or more contacts per customer")
        )
    if caps is None:
        left = np.full(len(worth), cap, dtype=np.int64)
    else:
        given = np.asarray(caps)
        if given.shape != (len(worth),) or not np.all(given >= 0):
            raise DesignError(say("caps do not fit"), expected=say("0 or more for every customer"))
        left = np.minimum(given, cap).astype(np.int64)
    return np.where(np.isfinite(worth), worth, -np.inf), left


def _groups(net: FloatArray, left: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Put customers who are alike together: first row, group of each row, size of each group."""
    key = np.column_stack([net, left])
    _, first, group, size = np.unique(
        key, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    return first.astype(np.int64), group.ravel().astype(np.int64), size.astype(np.int64)


def _exact(
    net: FloatArray,
    left: IntArray,
    limits: _Limits,
    rows: IntArray,
    group: IntArray,
    size: IntArray,
) -> tuple[NDArray[np.bool_], float, str]:
    """Solve for how many of each group get each option, in whole numbers."""
    gains = net[rows]
    groups, options = gains.shape
    useful = np.isfinite(gains) & (gains > 0)
    upper = np.where(useful, size[:, None], 0).ravel().astype(np.float64)
    gain = np.where(useful, gains, 0.0).ravel()
    if not upper.any():
        return np.zeros(net.shape, dtype=bool), 0.0, wording.METHOD_EXACT
    matrices: list[Any] = [sparse.kron(sparse.eye(groups), np.ones((1, options)))]
    tops = [size * left[rows]]
    if math.isfinite(limits.budget):
        matrices.append(sparse.csr_matrix(np.tile(limits.costs, groups)[None, :]))
        tops.append(np.array([limits.budget]))
    for option in np.flatnonzero(np.isfinite(limits.capacities)):
        row = np.zeros((groups, options))
        row[:, option] = 1.0
        matrices.append(sparse.csr_matrix(row.ravel()[None, :]))
        tops.append(np.array([limits.capacities[option]]))
    solved = optimize.milp(
        c=-gain,
        integrality=np.ones_like(gain),
        bounds=optimize.Bounds(0.0, upper),
        constraints=optimize.LinearConstraint(
            sparse.vstack(matrices).tocsc(), -np.inf, np.concatenate(tops).astype(np.float64)
        ),
        options={"time_limit": SECONDS, "mip_rel_gap": 0.0},
    )
    if solved.x is None:
        sent, bound = _priced(net, left, limits)
        return sent, bound, wording.METHOD_PRICES
    counts = np.round(solved.x).astype(np.int64).reshape(groups, options)
    bound = -float(solved.mip_dual_bound)
    return _dealt(counts, group, left), bound, wording.METHOD_EXACT


def _dealt(counts: IntArray, group: IntArray, left: IntArray) -> NDArray[np.bool_]:
    """Give each group's contacts to its members in turn, so that nobody gets one twice."""
    sent = np.zeros((len(group), counts.shape[1]), dtype=bool)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(counts) + 1))
    for number, wanted in enumerate(counts):
        members = order[starts[number] : starts[number + 1]]
        at = 0
        for option, count in enumerate(wanted):
            # around the circle: at most `cap` rounds, since the counts keep to it
            chosen = members[(at + np.arange(count)) % len(members)]
            sent[chosen, option] = True
            at = (at + int(count)) % len(members)
    return sent


def _priced(net: FloatArray, left: IntArray, limits: _Limits) -> tuple[NDArray[np.bool_], float]:
    """Find prices of budget and capacities, then deal out by profit after prices."""
    tight = np.flatnonzero(np.isfinite(limits.capacities))
    has_budget = math.isfinite(limits.budget)
    tops = np.concatenate([[limits.budget] if has_budget else [], limits.capacities[tight]])
    used = np.zeros((len(tops), net.shape[1]))
    if has_budget:
        used[0] = limits.costs
    for place, option in enumerate(tight):
        used[place + has_budget, option] = 1.0

    def at(prices: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        after = net - prices @ used
        chosen = _best(after, left)
        bound = float(after[chosen].sum()) + float(prices @ tops)
        return bound, tops - used @ chosen.sum(axis=0), after

    prices = np.zeros(len(tops))
    bound, slope, after = at(prices)
    best, best_after = bound, after
    if len(tops):
        cuts, heights = [slope], [bound - float(slope @ prices)]
        most = float(np.max(net, initial=0.0, where=np.isfinite(net)))
        ceilings = [most / max(float(row[row > 0].min(initial=math.inf)), 1e-12) for row in used]
        for _ in range(PRICE_ROUNDS):
            model = optimize.linprog(
                c=[*np.zeros(len(tops)), 1.0],
                A_ub=np.column_stack([np.array(cuts), -np.ones(len(cuts))]),
                b_ub=-np.array(heights),
                bounds=[*((0.0, max(top, 1e-9)) for top in ceilings), (None, None)],
            )
            if model.x is None:
                break
            prices = np.asarray(model.x[:-1])
            bound, slope, after = at(prices)
            if bound < best:
                best, best_after = bound, after
            if best - float(model.x[-1]) <= PRICE_GAP * max(abs(best), 1.0):
                break
            cuts.append(slope)
            heights.append(bound - float(slope @ prices))
    return _filled(net, best_after, left, limits), best


def _best(after: FloatArray, left: IntArray) -> NDArray[np.bool_]:
    """Give each customer his best options that are above 0, as many as his cap allows."""
    if int(left.max(initial=0)) <= 1:
        first = np.argmax(after, axis=1)
        rows = np.arange(len(after))
        chosen = np.zeros(after.shape, dtype=bool)
        chosen[rows, first] = (after[rows, first] > 0) & (left > 0)
        return chosen
    place = np.argsort(np.argsort(-after, axis=1, kind="stable"), axis=1, kind="stable")
    return (place < left[:, None]) & (after > 0)


def _filled(
    net: FloatArray, after: FloatArray, left: IntArray, limits: _Limits
) -> NDArray[np.bool_]:
    """Deal out by profit after prices, largest first, then what still fits by profit."""
    sent = np.zeros(net.shape, dtype=bool)
    room, money = left.copy(), limits.budget
    free = limits.capacities.copy()
    for order_by in (after, net):
        rows, columns = np.nonzero((net > 0) & np.isfinite(net) & ~sent)
        keys = order_by[rows, columns]
        order = np.argsort(-keys, kind="stable")
        for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
            cost = float(limits.costs[column])
            if room[row] > 0 and free[column] >= 1 and cost <= money + 1e-9:
                sent[row, column] = True
                room[row] -= 1
                free[column] -= 1
                money -= cost
    return sent


def _first_come(net: FloatArray, left: IntArray, limits: _Limits) -> float:
    """Earn what dealing out in the order of the file earns, each customer his best option."""
    chosen = _best(net, left)
    profit, money, free = 0.0, limits.budget, limits.capacities.copy()
    for row, column in zip(*(found.tolist() for found in np.nonzero(chosen)), strict=True):
        cost = float(limits.costs[column])
        if free[column] >= 1 and cost <= money + 1e-9:
            profit += float(net[row, column])
            free[column] -= 1
            money -= cost
    return profit
