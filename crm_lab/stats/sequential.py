"""Planned looks at an experiment that is still running: bounds that keep the error rate.

Whoever looks five times with 5 % each claims an effect in 14 % of the cases where there is none.
A group-sequential plan says beforehand when it will be looked at and how large the statistic must
be each time, so that all looks together err as often as promised. The probabilities come from
numerical integration over the looks, in the score scale where the statistic is a Brownian motion.

References
----------
Armitage, P., McPherson, C. K., Rowe, B. C. (1969), "Repeated significance tests on accumulating
data", Journal of the Royal Statistical Society A 132, 235-244 (the recursion). Pocock, S. J.
(1977), "Group sequential methods in the design and analysis of clinical trials", Biometrika 64.
O'Brien, P. C., Fleming, T. R. (1979), "A multiple testing procedure for clinical trials",
Biometrics 35. Lan, K. K. G., DeMets, D. L. (1983), "Discrete sequential boundaries for clinical
trials", Biometrika 70 (alpha spending). Jennison, C., Turnbull, B. W. (2000), "Group sequential
methods with applications to clinical trials", sections 2.3 to 2.5, 7.2 and chapter 19.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from scipy import optimize, special

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.language import message, say
from crm_lab.stats.arguments import FloatArray, as_given, check_count, check_share

Boundary = Literal["obrien_fleming", "pocock", "lan_demets_obrien_fleming", "lan_demets_pocock"]
"""Shape of the bounds: two classical ones, and their alpha-spending versions."""

BOUNDARY_WORDS: dict[Boundary, str] = {
    "obrien_fleming": message("O'Brien-Fleming"),
    "pocock": message("Pocock"),
    "lan_demets_obrien_fleming": message("O'Brien-Fleming type alpha spending (Lan-DeMets)"),
    "lan_demets_pocock": message("Pocock type alpha spending (Lan-DeMets)"),
}

_SENTENCE = message(
    "{looks} looks at {information} of the information, {boundary}: an effect is "
    "claimed when {statistic} passes {bounds}. The last size must be {price} "
    "larger than with a single look; on average {spared}, if the effect is as "
    "planned."
)
_ONE_LOOK = message("One look at the end: an effect is claimed when {statistic} passes {bounds}.")
_SPARED = message("it ends with {share} fewer customers than that single look")
_AS_MANY = message("it needs as many customers as that single look")
_NOT_SPARED = message("it needs {share} more customers than that single look")

MAX_LOOKS = 50
SMALLEST_STEP = 0.005
"""Looks closer than this share of the information are the same look."""

_REACH = 8.3
"""Standard deviations beyond which a normal tail is below 1e-16."""
_LARGEST_Z, _SMALLEST_SPEND = 37.0, 1e-300
_PANEL_NODES, _PANEL_WIDTH = 16, 2.0
_GAUSS_NODES, _GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(_PANEL_NODES)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SequentialPlan(Result):
    """When a running experiment is looked at, and what counts as an effect at each look.

    Attributes
    ----------
    information : tuple of float
        Share of the final information (for equal arms over time: of the customers) per look; the
        last is 1.
    bounds : tuple of float
        The z statistic that has to be passed (in absolute value with two sides); infinite where a
        look spends nothing.
    nominal_p : tuple of float
        The same as a p-value, of as many sides as the plan: at a look an effect is claimed when
        the p-value of that look is at most this. It is the ``alpha`` for `compare_means`.
    alpha_spent : tuple of float
        Error spent up to and including each look; the last is ``alpha``.
    power_reached : tuple of float
        Probability that the planned effect has been found by each look; the last is ``power``.
    inflation : float
        Size at the last look, as a multiple of the fixed design with the same alpha and power.
    average_size_effect, average_size_null : float
        Average size at the end, as a multiple of the same fixed design, when the effect is as
        planned and when there is none.
    alpha, power : float
        Error level (of both sides together when two-sided) and wanted power.
    sides : int
        1 or 2.
    boundary : str
        Shape of the bounds.
    """

    title: ClassVar[str] = message("Planned looks")
    plotter: ClassVar[str] = "crm_lab.plots.design:plot_sequential"

    information: tuple[float, ...]
    bounds: tuple[float, ...]
    nominal_p: tuple[float, ...]
    alpha_spent: tuple[float, ...]
    power_reached: tuple[float, ...]
    inflation: float
    average_size_effect: float
    average_size_null: float
    alpha: float
    power: float
    sides: int
    boundary: Boundary

    def sentence(self) -> str:
        """Say the looks, the bounds and the price."""
        statistic = "|z|" if self.sides == 2 else "z"
        bounds = _series(formats.number(bound, decimals=2) for bound in self.bounds)
        if len(self.bounds) == 1:
            return say(_ONE_LOOK, statistic=statistic, bounds=bounds)
        saved = 1 - self.average_size_effect
        share = formats.percent(abs(saved), decimals=0)
        spared = say(_SPARED if saved > 0 else _NOT_SPARED, share=share)
        if abs(saved) < 0.005:
            spared = say(_AS_MANY)
        return say(
            _SENTENCE,
            looks=len(self.bounds),
            information=_series(_share(share) for share in self.information),
            boundary=say(BOUNDARY_WORDS[self.boundary]),
            statistic=statistic,
            bounds=bounds,
            price=formats.percent(self.inflation - 1),
            spared=spared,
        )

    def to_frame(self) -> pd.DataFrame:
        """Give one row per look."""
        return pd.DataFrame(
            {
                "look": range(1, len(self.bounds) + 1),
                "information": self.information,
                "bound": self.bounds,
                "nominal_p": self.nominal_p,
                "alpha_spent": self.alpha_spent,
                "power_reached": self.power_reached,
            }
        )


def group_sequential(
    looks: int | Sequence[float],
    *,
    alpha: float,
    power: float,
    boundary: Boundary = "lan_demets_obrien_fleming",
    sides: Literal[1, 2] = 2,
) -> SequentialPlan:
    """Give the bounds for looks at a running experiment, and what the looks cost.

    Use it when the plan is written, before the start. The spending versions allow looks whose
    information turned out otherwise than planned: give the fractions that were really reached,
    then those still to come, and 1.

    Parameters
    ----------
    looks : int or sequence of float
        Number of equally spaced looks (1 to 50), or the share of the final information at each
        look, rising to 1 in steps of 0.005 or more.
    alpha : float
        Error level over all looks, between 0 and 0.5; both sides together when two-sided.
    power : float
        Wanted power, counting findings in the right direction only; above ``alpha / sides``.
    boundary : str
        ``"obrien_fleming"`` (hardly anything early), ``"pocock"`` (the same bound at every look),
        or the alpha-spending versions of both.
    sides : {1, 2}
        Sides of the test. Two-sided bounds are symmetric.

    Raises
    ------
    DesignError
        When the looks do not rise to 1, or another argument is out of range.

    Notes
    -----
    Spending (Lan and DeMets 1983), per side with its error ``a``:
    ``2 - 2 Phi(z_{1 - a/2} / sqrt(t))`` and ``a log(1 + (e - 1) t)``. The bounds hold for
    statistics with independent increments that are normal at every look. With a small control and
    heavy-tailed revenue use ``nominal_p`` with the permutation test instead of the bounds.

    Examples
    --------
    >>> plan = group_sequential(3, alpha=0.05, power=0.8, boundary="obrien_fleming")
    >>> [round(bound, 3) for bound in plan.bounds], round(plan.inflation, 3)
    ([3.471, 2.454, 2.004], 1.017)
    """
    information = _check_information(looks)
    if not 0.0 < alpha < 0.5:
        raise DesignError(
            as_given("alpha", alpha), expected=say("an error level between 0 and 0.5")
        )
    if sides not in (1, 2):
        raise DesignError(as_given("sides", repr(sides)), expected=say("1 or 2"))
    if boundary not in BOUNDARY_WORDS:
        raise DesignError(
            as_given("boundary", repr(boundary)),
            expected=say("one of {words}", words=", ".join(BOUNDARY_WORDS)),
        )
    check_share(power, "power")
    if power <= alpha / sides:
        raise DesignError(
            as_given("power", power),
            expected=say(
                "a power above {alpha}", alpha=formats.significant(alpha / sides, figures=6)
            ),
        )
    if boundary in ("obrien_fleming", "pocock"):
        bounds = _shaped_bounds(information, alpha, sides, flat=boundary == "pocock")
    else:
        bounds = _spending_bounds(information, alpha, sides, flat=boundary == "lan_demets_pocock")
    fixed = -float(special.ndtri(alpha / sides)) + float(special.ndtri(power))

    def shortfall(drift: float) -> float:
        return float(_crossings(information, bounds, sides, drift)[0].sum()) - power

    drift = float(optimize.brentq(shortfall, 0.0, 4.0 * abs(fixed) + 4.0, xtol=1e-11))
    inflation = (drift / fixed) ** 2
    above_null, below_null = _crossings(information, bounds, sides, 0.0)
    above, below = _crossings(information, bounds, sides, drift)
    return SequentialPlan(
        information=information,
        bounds=bounds,
        nominal_p=tuple(sides * float(special.ndtr(-bound)) for bound in bounds),
        alpha_spent=tuple(float(spent) for spent in np.cumsum(above_null + below_null)),
        power_reached=tuple(float(reached) for reached in np.cumsum(above)),
        inflation=inflation,
        average_size_effect=inflation * _average_information(information, above + below),
        average_size_null=inflation * _average_information(information, above_null + below_null),
        alpha=alpha,
        power=power,
        sides=sides,
        boundary=boundary,
    )


def _check_information(looks: int | Sequence[float]) -> tuple[float, ...]:
    if isinstance(looks, (int, np.integer)):
        count = check_count(looks, "looks", minimum=1)
        if count > MAX_LOOKS:
            raise DesignError(
                say("{count} looks", count=count),
                expected=say("at most {looks} looks", looks=MAX_LOOKS),
            )
        return tuple((index + 1) / count for index in range(count))
    try:
        information = tuple(float(share) for share in looks)
    except (TypeError, ValueError):
        raise DesignError(
            as_given("looks", repr(looks)),
            expected=say("a number of looks, or shares of the information"),
        ) from None
    steps = np.diff((0.0, *information))
    if not information or len(information) > MAX_LOOKS or not np.all(steps >= SMALLEST_STEP - 1e-9):
        raise DesignError(
            say(
                "looks at {shares}",
                shares=formats.listing(str(share) for share in information) or say("nothing"),
            ),
            expected=say(
                "1 to {looks} shares that rise by {step} or more",
                looks=MAX_LOOKS,
                step=SMALLEST_STEP,
            ),
        )
    if abs(information[-1] - 1.0) > 1e-9:
        raise DesignError(
            say(
                "the last look is at {information} of the information", information=information[-1]
            ),
            expected=say("a last look at 1"),
        )
    return (*information[:-1], 1.0)


def _shaped_bounds(
    information: tuple[float, ...], alpha: float, sides: int, *, flat: bool
) -> tuple[float, ...]:
    shape = [1.0 if flat else 1.0 / math.sqrt(share) for share in information]

    def excess(constant: float) -> float:
        bounds = tuple(constant * factor for factor in shape)
        above, below = _crossings(information, bounds, sides, 0.0)
        return float((above + below).sum()) - alpha

    single = -float(special.ndtri(alpha / sides))
    # The bound lies between that of one look and that of as many looks by Bonferroni.
    strictest = -float(special.ndtri(alpha / sides / len(information)))
    if len(information) == 1:
        return (single,)
    constant = float(optimize.brentq(excess, single - 0.01, strictest, xtol=1e-11))
    return tuple(constant * factor for factor in shape)


def _spending_bounds(
    information: tuple[float, ...], alpha: float, sides: int, *, flat: bool
) -> tuple[float, ...]:
    per_side = alpha / sides
    walk = _Walk.start()
    bounds: list[float] = []
    spent = 0.0
    for index, share in enumerate(information):
        if flat:
            spend = per_side * math.log1p((math.e - 1.0) * share)
        else:
            spend = 2.0 * float(special.ndtr(special.ndtri(per_side / 2.0) / math.sqrt(share)))
        spend = per_side if share == 1.0 else spend
        bounds.append(_bound(walk, share, spend - spent, sides))
        spent = spend
        if share < 1.0:
            walk = walk.go_on(share, bounds[-1], sides, 0.0, following=information[index + 1])
    return tuple(bounds)


def _bound(walk: _Walk, share: float, spend: float, sides: int) -> float:
    """Find the bound that a share of ``spend`` of all walks passes upwards at this look."""
    lowest = 0.0 if sides == 2 else -_REACH
    if not spend > max(walk.above(share, _LARGEST_Z, 0.0), _SMALLEST_SPEND):
        return math.inf

    def excess(bound: float) -> float:
        passed = max(walk.above(share, bound, 0.0), _SMALLEST_SPEND)
        return math.log(passed) - math.log(spend)

    return float(optimize.brentq(excess, lowest, _LARGEST_Z, xtol=1e-12))


@dataclass(frozen=True, slots=True)
class _Walk:
    """Where the walks are that have not ended: points of the score scale and their masses."""

    points: FloatArray
    masses: FloatArray
    information: float

    @classmethod
    def start(cls) -> _Walk:
        return cls(np.zeros(1), np.ones(1), 0.0)

    def above(self, share: float, bound: float, drift: float) -> float:
        """Mass that lies above the bound (in z) at the next look."""
        return self._beyond(share, bound, drift, sign=1.0)

    def below(self, share: float, bound: float, drift: float) -> float:
        """Mass that lies below minus the bound (in z) at the next look."""
        return self._beyond(share, bound, drift, sign=-1.0)

    def _beyond(self, share: float, bound: float, drift: float, *, sign: float) -> float:
        step = share - self.information
        centres = self.points + drift * step
        gap = (bound * math.sqrt(share) - sign * centres) / math.sqrt(step)
        return float(np.sum(self.masses * special.ndtr(-gap)))

    def go_on(
        self, share: float, bound: float, sides: int, drift: float, *, following: float
    ) -> _Walk:
        """Give the walks between the bounds at the next look, ready for the one that follows."""
        step, root = share - self.information, math.sqrt(share)
        scale = math.sqrt(min(step, following - share))
        low, high = drift * share - _REACH * root, drift * share + _REACH * root
        high = min(high, bound * root)
        low = max(low, -bound * root) if sides == 2 else low
        if not low < high:
            return _Walk(np.array([high]), np.zeros(1), share)
        panels = math.ceil((high - low) / (_PANEL_WIDTH * scale))
        half = (high - low) / panels / 2.0
        middles = low + half * (2.0 * np.arange(panels) + 1.0)
        points = (middles[:, None] + half * _GAUSS_NODES).ravel()
        weights = np.tile(half * _GAUSS_WEIGHTS, panels)
        gaps = (points[:, None] - (self.points + drift * step)) / math.sqrt(step)
        density = np.exp(-0.5 * gaps**2) @ self.masses / math.sqrt(2.0 * math.pi * step)
        return _Walk(points, density * weights, share)


def _crossings(
    information: tuple[float, ...], bounds: tuple[float, ...], sides: int, drift: float
) -> tuple[FloatArray, FloatArray]:
    """Give the probabilities of ending above and below at each look (Armitage et al. 1969)."""
    walk = _Walk.start()
    above, below = np.zeros(len(bounds)), np.zeros(len(bounds))
    for index, (share, bound) in enumerate(zip(information, bounds, strict=True)):
        above[index] = walk.above(share, bound, drift)
        if sides == 2:
            below[index] = walk.below(share, bound, drift)
        if share < 1.0:
            walk = walk.go_on(share, bound, sides, drift, following=information[index + 1])
    return above, below


def _average_information(information: tuple[float, ...], ended: FloatArray) -> float:
    early = ended[:-1]
    return float(np.dot(information[:-1], early) + 1.0 - early.sum())


def _share(share: float) -> str:
    return formats.percent(share, decimals=0 if abs(100 * share - round(100 * share)) < 1e-6 else 1)


def _series(words: Iterable[str]) -> str:
    every = list(words)
    if len(every) == 1:
        return every[0]
    return say("{words} and {last}", words=", ".join(every[:-1]), last=every[-1])
