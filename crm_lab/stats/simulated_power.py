"""Power of the workbench's own revenue test on the company's own history.

The normal formula promises too much for revenue with a heavy tail and a small control: it assumes
a standard deviation that a small control hardly ever sees. Here past customers are drawn into two
arms again and again, an effect is planted in one, and the test that will really be used is asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.language import message, say, word
from crm_lab.stats.arguments import FloatArray, as_given, as_values, check_count, check_share
from crm_lab.stats.permutation import permutation_null, permutation_test
from crm_lab.stats.proportions import proportion_interval

Mechanism = Literal["more buyers", "larger spend"]
"""How the planted effect comes about."""

SHARED_NULL_FROM = 1_000
"""From this many expected buyers in the smaller arm on one null distribution serves all draws."""
_SHARED_DRAWS = 8
_CONFIDENCE_ALPHA = 0.05

_SENTENCE = message(
    "On the company's own history, with {n_treatment} treated and {n_control} "
    "control customers, an effect of {effect} or more by {how} is found with "
    "probability {power}."
)
_UNREACHED = message(
    "On the company's own history, with {n_treatment} treated and {n_control} "
    "control customers, the smallest effect by {how} that is found with "
    "probability {power} cannot be told: {reason}."
)
_ONE_NULL = message(
    "studentised permutation, {splits} splits, one null distribution for all samples"
)
_NULL_PER_SAMPLE = message("studentised permutation, {splits} splits, its own per sample")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SimulatedPower(Result):
    """How often the default revenue test finds planted effects of several sizes.

    Attributes
    ----------
    effects : tuple of float
        Planted relative effects, rising; 0.2 means 20 % more revenue per customer.
    lifts, drops : tuple of int
        Replicates in which a lift, and in which a drop, was claimed.
    replicates : int
        Experiments simulated per effect.
    how : {"more buyers", "larger spend"}
        How the effect came about.
    detectable : float
        Smallest planted increase found with probability ``power``, by interpolation between the
        planted ones; NaN when none was, or when the smallest planted one was found already.
    base_value : float
        Mean of the history.
    n_treatment, n_control : int
        Customers per arm.
    alpha, power : float
        Two-sided error level and wanted power.
    method : str
        Test and null distribution, in words.
    reason : str
        Why there is no ``detectable``; empty otherwise.
    """

    title: ClassVar[str] = message("Power on the company's own history")
    plotter: ClassVar[str] = "crm_lab.plots.design:plot_simulated_power"

    effects: tuple[float, ...]
    lifts: tuple[int, ...]
    drops: tuple[int, ...]
    replicates: int
    how: Mechanism
    detectable: float
    base_value: float
    n_treatment: int
    n_control: int
    alpha: float
    power: float
    method: str
    reason: str = ""

    def sentence(self) -> str:
        """Say the smallest effect that is found."""
        return say(
            _UNREACHED if self.reason else _SENTENCE,
            n_treatment=formats.number(self.n_treatment),
            n_control=formats.number(self.n_control),
            effect=formats.percent(self.detectable, decimals=0, signed=True),
            how=word(self.how),
            power=formats.percent(self.power, decimals=0),
            reason=self.reason,
        )

    def to_frame(self) -> pd.DataFrame:
        """Give one row per effect: power with its 95 % Monte Carlo interval.

        Power counts claims in the direction of the effect; where nothing was planted it is the
        false-positive rate of both directions.
        """
        rows = []
        for effect, lifts, drops in zip(self.effects, self.lifts, self.drops, strict=True):
            found = _found(effect, lifts, drops)
            interval = proportion_interval(found, self.replicates, alpha=_CONFIDENCE_ALPHA)
            rows.append(
                {
                    "effect": effect,
                    "power": found / self.replicates,
                    "low": interval.low,
                    "high": interval.high,
                    "claimed a lift": lifts / self.replicates,
                    "claimed a drop": drops / self.replicates,
                }
            )
        return pd.DataFrame(rows)


def simulate_power(
    values: ArrayLike,
    *,
    n_treatment: int,
    n_control: int,
    effects: Sequence[float],
    how: Mechanism = "more buyers",
    alpha: float,
    power: float = 0.8,
    rng: np.random.Generator,
    replicates: int = 400,
    permutations: int = 400,
    share_null: bool | None = None,
    progress: bool = False,
) -> SimulatedPower:
    """Plant effects into resampled history and count how often the default test finds them.

    Use it for revenue per customer before the start, where the formula is too hopeful. In each
    replicate both arms are drawn with replacement from the past values, the effect is planted in
    the treated arm, and `compare_means` is imitated: studentised permutation, two-sided.

    Parameters
    ----------
    values : array-like, shape (n,)
        One past value per customer, zeros included, 0 or more.
    n_treatment, n_control : int
        Customers per arm of the experiment, at least 2.
    effects : sequence of float
        Relative effects on the mean to be planted, above -1.
    how : {"more buyers", "larger spend"}
        ``"more buyers"`` multiplies the share of customers above 0 and leaves their amounts;
        ``"larger spend"`` multiplies the amounts.
    alpha, power : float
        Two-sided error level, and wanted power for ``detectable``.
    rng : numpy.random.Generator
        Source of everything random.
    replicates : int
        Simulated experiments; the same draws serve all effects. The Monte Carlo error of a power
        near 0.8 is 2 points at 400.
    permutations : int
        Random splits per null distribution. At 400 the power is about a point lower than with the
        10,000 splits of the analysis.
    share_null : bool, optional
        Whether one null distribution per effect, mixed from the splits of 8 pooled samples,
        serves all replicates. By default it does when 1,000 buyers or more are expected in the
        smaller arm: the distribution then hardly depends on the sample, and a base of a million
        takes seconds. Below, each sample gets its own, as in the analysis.
    progress : bool
        Whether to show a progress bar on standard error.

    Returns
    -------
    SimulatedPower
        Counts per effect and the smallest effect that is found.

    Raises
    ------
    DesignError
        When an argument is out of range, a value is negative or not finite, nobody or nothing
        varies, or an effect by more buyers asks for more buyers than customers.

    Notes
    -----
    Zeros are never drawn one by one: the number of buyers is binomial. The history stands for the
    population, so that a tail that it has not seen is not simulated either, and the uncertainty
    of the history itself is not in the interval.

    References
    ----------
    Efron, B., Tibshirani, R. (1993), "An introduction to the bootstrap", section 25.4 (power by
    resampling). Test: see `crm_lab.stats.permutation`.

    Examples
    --------
    >>> rng = np.random.default_rng(5)
    >>> spend = rng.lognormal(3.0, 1.0, 3_000) * (rng.random(3_000) < 0.2)
    >>> result = simulate_power(spend, n_treatment=1_500, n_control=1_500, alpha=0.05, rng=rng,
    ...                         effects=[0.1, 0.3, 0.6], replicates=100, permutations=200)
    >>> 0.2 < result.detectable < 0.6
    True
    """
    history = _check_history(values)
    check_share(alpha, "alpha")
    check_share(power, "power")
    check_count(n_treatment, "n_treatment", minimum=2)
    check_count(n_control, "n_control", minimum=2)
    check_count(replicates, "replicates", minimum=2)
    check_count(permutations, "permutations", minimum=math.ceil(2 / alpha))
    buyers = np.sort(history[history > 0])
    rate = buyers.size / history.size
    planted = _check_effects(effects, how, rate)
    if share_null is None:
        share_null = min(n_treatment, n_control) * rate >= SHARED_NULL_FROM
    shop = _Shop(
        buyers=buyers, rate=rate, n_treatment=n_treatment, n_control=n_control, how=how, rng=rng
    )
    nulls = [_shared_null(shop, e, permutations) for e in planted] if share_null else []
    lifts = np.zeros(len(planted), dtype=np.int64)
    drops = np.zeros(len(planted), dtype=np.int64)
    said = say("power, {how}", how=word(how))
    for _ in tqdm(range(replicates), desc=said, disable=not progress, leave=False):
        control, treated = shop.draw(max(planted))
        for index, effect in enumerate(planted):
            arm = shop.plant(treated, effect, max(planted))
            t = _welch(arm, n_treatment, control, n_control)
            if not math.isfinite(t):
                continue
            null = nulls[index] if share_null else _null(arm, control, shop, permutations)
            if permutation_test(t, null, alpha=alpha).p_value <= alpha:
                lifts[index] += t > 0
                drops[index] += t < 0
    detectable, reason = _interpolate(planted, lifts, drops, replicates, power)
    return SimulatedPower(
        effects=planted,
        lifts=tuple(int(count) for count in lifts),
        drops=tuple(int(count) for count in drops),
        replicates=replicates,
        how=how,
        detectable=detectable,
        base_value=float(history.mean()),
        n_treatment=n_treatment,
        n_control=n_control,
        alpha=alpha,
        power=power,
        method=say(
            _ONE_NULL if share_null else _NULL_PER_SAMPLE, splits=formats.number(permutations)
        ),
        reason=reason,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shop:
    """Where the arms are drawn from; only the values above 0 are ever held."""

    buyers: FloatArray
    rate: float
    n_treatment: int
    n_control: int
    how: Mechanism
    rng: np.random.Generator

    def draw(self, largest: float) -> tuple[FloatArray, FloatArray]:
        """Draw the spend of buyers in control, and in treatment under the largest effect."""
        rate = self.rate * (1.0 + largest) if self.how == "more buyers" else self.rate
        return self._spend(self.n_control, self.rate), self._spend(self.n_treatment, rate)

    def plant(self, treated: FloatArray, effect: float, largest: float) -> FloatArray:
        """Give the treated arm under ``effect`` from that under the largest one."""
        if self.how == "larger spend":
            return treated * (1.0 + effect)
        kept = self.rng.binomial(treated.size, (1.0 + effect) / (1.0 + largest))
        return treated[:kept]

    def _spend(self, customers: int, rate: float) -> FloatArray:
        count = self.rng.binomial(customers, min(rate, 1.0))
        return self.buyers[self.rng.integers(0, self.buyers.size, count)]


def _null(
    treated: FloatArray, control: FloatArray, shop: _Shop, permutations: int
) -> NDArray[np.float64]:
    pooled = np.zeros(shop.n_treatment + shop.n_control)
    pooled[: treated.size] = treated
    pooled[treated.size : treated.size + control.size] = control
    return permutation_null(
        pooled, shop.n_treatment, shop.n_control, permutations=permutations, rng=shop.rng
    )


def _shared_null(shop: _Shop, effect: float, permutations: int) -> NDArray[np.float64]:
    """Mix the null distributions of several pooled samples under this effect."""
    parts = []
    for _ in range(_SHARED_DRAWS):
        control, treated = shop.draw(effect)
        arm = shop.plant(treated, effect, effect)
        parts.append(_null(arm, control, shop, permutations))
    return np.concatenate(parts)


def _welch(treated: FloatArray, n_t: int, control: FloatArray, n_c: int) -> float:
    """Give Welch's t of two arms from the values above 0; infinite or NaN without variation."""
    (mean_t, square_t), (mean_c, square_c) = _summary(treated, n_t), _summary(control, n_c)
    error = math.sqrt(square_t + square_c)
    return (mean_t - mean_c) / error if error > 0 else math.nan


def _summary(spend: FloatArray, n: int) -> tuple[float, float]:
    """Give mean and squared standard error of ``n`` values of which the others are 0."""
    mean = float(spend.sum()) / n
    centred = float(np.square(spend - mean).sum()) + (n - spend.size) * mean**2
    return mean, centred / (n - 1) / n


def _found(effect: float, lifts: int, drops: int) -> int:
    if effect == 0:
        return lifts + drops
    return lifts if effect > 0 else drops


def _interpolate(
    effects: tuple[float, ...],
    lifts: NDArray[np.int64],
    drops: NDArray[np.int64],
    replicates: int,
    power: float,
) -> tuple[float, str]:
    """Find where the power of increases first reaches ``power``; power never falls by chance."""
    increases = [index for index, effect in enumerate(effects) if effect > 0]
    if not increases:
        return math.nan, say("no increase was planted")
    sizes = np.array([effects[index] for index in increases])
    reached = np.maximum.accumulate(lifts[increases] / replicates)
    above = np.flatnonzero(reached >= power)
    if above.size == 0:
        share = formats.percent(float(reached[-1]), decimals=0)
        largest = formats.percent(float(sizes[-1]), decimals=0, signed=True)
        return math.nan, say(
            "the largest planted, {largest}, was found in {share} of the replicates",
            largest=largest,
            share=share,
        )
    first = int(above[0])
    if first == 0:
        # Without any effect half of the promised errors are lifts: too few to interpolate from.
        return math.nan, say("the smallest increase was found already: plant smaller ones")
    low, high = reached[first - 1], reached[first]
    weight = (power - low) / (high - low)
    return float(sizes[first - 1] + weight * (sizes[first] - sizes[first - 1])), ""


def _check_history(values: ArrayLike) -> FloatArray:
    history = as_values(values, "values")
    bad = int((~np.isfinite(history)).sum() + (history < 0).sum())
    if bad:
        raise DesignError(
            say("{bad} past values are negative, missing or infinite", bad=formats.number(bad)),
            expected=say("one value of 0 or more per customer"),
        )
    if history.size < 2 or history.min() == history.max():
        raise DesignError(
            say("{history} past values that do not vary", history=history.size),
            expected=say("a history with variation"),
        )
    return history


def _check_effects(effects: Sequence[float], how: Mechanism, rate: float) -> tuple[float, ...]:
    planted = tuple(sorted({float(effect) for effect in effects}))
    if how not in ("more buyers", "larger spend"):
        raise DesignError(
            as_given("how", repr(how)), expected=say("'more buyers' or 'larger spend'")
        )
    if not planted or not all(math.isfinite(e) and e > -1.0 for e in planted):
        raise DesignError(
            say("effects are {effects!r}", effects=list(effects)),
            expected=say("one or more finite numbers above -1"),
        )
    if how == "more buyers" and rate * (1.0 + planted[-1]) > 1.0 + 1e-12:
        raise DesignError(
            say(
                "an effect of {planted} by more buyers, where {rate} buy already",
                planted=formats.percent(planted[-1], signed=True),
                rate=formats.percent(rate),
            ),
            expected=say(
                "effects of at most {rate}", rate=formats.significant(1.0 / rate - 1.0, figures=4)
            ),
        )
    return planted
