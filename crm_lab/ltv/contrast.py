"""Lifetime value as the outcome of an experiment: treatment against control, so far and ahead.

Every customer's clock starts with the draw, so both arms are seen for the same time and nothing
that was known before enters. Each arm gets its own purchase and spend model; the arms differ
because of the treatment alone, what the models add to it is how long the difference lasts. The
interval draws the customers of each arm again and refits both models every time, so it carries
the sampling and the parameters together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crm_lab.cards import Result, plain
from crm_lab.errors import DesignError
from crm_lab.formats import day, separated
from crm_lab.headlines import HeadlineNumber
from crm_lab.language import say
from crm_lab.ltv import value_wording as wording
from crm_lab.ltv.arm_histories import ArmHistory
from crm_lab.ltv.estimation import (
    COLLAPSE_DROPOUT,
    EXTREME_SHAPE,
    NBDLikelihood,
    maximise_purchases,
    maximise_spend,
)
from crm_lab.ltv.fits import MIN_CUSTOMERS, MIN_REPEATERS, check_alpha
from crm_lab.ltv.fitting import maximise
from crm_lab.ltv.formulas import expected_purchases, expected_spend
from crm_lab.ltv.parameters import (
    BGNBDParameters,
    FloatArray,
    GammaGammaParameters,
    from_vector,
)
from crm_lab.ltv.tuples import DistinctHistories, count_histories
from crm_lab.ltv.wording import PROGRESS, VALUE_WORDS
from crm_lab.stats.normal import two_sided_quantile

DEFAULT_REFITS = 200
"""Bootstrap refits per arm; the standard error is then known to about 5 %."""

MIN_REFITS = 50
"""With fewer refits the standard error is known to worse than 10 %."""

LARGEST_FAILED_SHARE = 0.1
"""With more failed refits than this the kept ones are no longer a fair draw."""

LONGEST_STRETCH = 12.0
"""A horizon of more than so many windows is warned about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastPart:
    """One part of the difference in value per customer.

    Attributes
    ----------
    part : {"so far", "ahead", "together"}
        What was measured in the window, what the models expect after it, and their sum.
    evidence : str
        What the number rests on.
    treatment, control : float
        Value per customer of each arm.
    difference, standard_error, low, high : float
        Treatment minus control per customer, with its interval; NaN where there is none.
    """

    part: str
    evidence: str
    treatment: float
    control: float
    difference: float
    standard_error: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class LifetimeContrast(Result):
    """What a treatment adds to the value of a customer, measured so far and expected ahead.

    Attributes
    ----------
    parts : tuple of ContrastPart
        So far, ahead, together.
    treatment, control : str
        Names of the arms.
    n_treatment, n_control : int
        Customers assigned to each, those without an order included.
    starts_on, as_of : datetime.date
        First and last day of the window.
    periods, unit_days : float
        Horizon after ``as_of`` in units, and days in one unit.
    models : dict
        Purchase model of each arm, ``BG/NBD`` or ``NBD`` where the window shows nobody leaving.
    currency, value_kind : str
        What the value is in.
    alpha : float
        1 minus the nominal coverage of the intervals.
    refits, refits_failed : int
        Bootstrap refits asked for, and those without a usable model.
    warnings : tuple of str
        What a reader must know although there is an estimate.
    reason : str
        Why nothing is expected ahead; empty where something is.
    method : str
        How the interval was made.
    """

    title: ClassVar[str] = wording.CONTRAST_TITLE
    plotter: ClassVar[str] = "crm_lab.plots.lifetime_value:plot_contrast"

    parts: tuple[ContrastPart, ...]
    treatment: str
    control: str
    n_treatment: int
    n_control: int
    starts_on: date
    as_of: date
    periods: float
    unit_days: float
    models: dict[str, str]
    currency: str
    value_kind: str
    alpha: float
    refits: int
    refits_failed: int
    warnings: tuple[str, ...] = ()
    reason: str = ""
    method: str = ""

    def part(self, name: str) -> ContrastPart:
        """Give one part by its name."""
        return next(item for item in self.parts if item.part == name)

    def sentence(self) -> str:
        """Say what the treatment adds per customer, or that it cannot be said."""
        return wording.contrast_sentence(self)

    def headline_numbers(self) -> tuple[HeadlineNumber, ...]:
        """Give the difference together, or that so far where nothing is expected ahead."""
        part = self.part("so far" if self.reason else "together")
        number = HeadlineNumber(
            label=say("Difference in value per customer"),
            estimate=part.difference if math.isfinite(part.low) else math.nan,
            low=part.low,
            high=part.high,
            kind="money",
            unit=self.currency,
        )
        return (number,)

    def to_frame(self) -> pd.DataFrame:
        """Give one row per part."""
        return pd.DataFrame([plain(part) for part in self.parts])

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON-ready data."""
        return Result.to_dict(self)


def lifetime_contrast(
    treatment: ArmHistory,
    control: ArmHistory,
    *,
    periods: float,
    alpha: float = 0.05,
    refits: int = DEFAULT_REFITS,
    rng: np.random.Generator,
    progress: bool = False,
) -> LifetimeContrast:
    """Estimate what a treatment adds to the value of a customer, over the window and a horizon.

    Use it where arms were drawn at random and the effect may outlast the window. What was measured
    needs no model; what lies ahead holds if customers go on as they did in the window, so the
    effect must last. Where it fades the truth lies between the first part and the sum.

    Parameters
    ----------
    treatment, control : ArmHistory
        Everybody assigned to each arm, from :func:`~crm_lab.ltv.arm_histories.arm_histories`.
    periods : float
        Horizon after the window, 0 or more, in units of the histories.
    alpha : float, default 0.05
        1 minus the nominal coverage of the intervals.
    refits : int, default 200
        Bootstrap refits of each arm, at least ``MIN_REFITS``.
    rng : numpy.random.Generator
        Source of randomness.
    progress : bool, default False
        Show a progress bar of the refits.

    Returns
    -------
    LifetimeContrast
        With a ``reason`` and no part ahead where an arm cannot carry a model.

    Raises
    ------
    DesignError
        When horizon, alpha or refits are impossible, or the arms were seen for different times.

    Notes
    -----
    The interval is normal around the estimate, with the standard deviation of the refits of both
    arms. An arm whose window shows nobody leaving is read by the plain NBD, and one whose customers
    do not differ in spend by the mean of a purchase: the limits of the two models. See
    ``docs/simulations/ltv.md`` for the coverage on shops with a known effect.
    """
    _check(treatment, control, periods, alpha, refits)
    reason = too_little(treatment) or too_little(control)
    arms = [_Arm(item, periods) for item in (treatment, control)]
    found: list[_Value | None] = [None, None] if reason else [arm.value() for arm in arms]
    failed = 0
    so_far = [(float(arm.observed.mean()), _mean_error(arm.observed)) for arm in arms]
    error_ahead = error_together = math.nan
    ahead = [math.nan, math.nan]
    if not reason and any(value is None for value in found):
        reason = say(wording.NO_ARM_MODEL)
    if not reason:
        ahead = [value.ahead for value in found if value is not None]
        drawn = [
            _resample(arm, refits, child, progress)
            for arm, child in zip(arms, rng.spawn(2), strict=True)
        ]
        failed = max(refits - len(values) for values in drawn)
        if failed > LARGEST_FAILED_SHARE * refits:
            reason = say(wording.REFITS_FAILED, failed=failed, refits=refits)
            ahead = [math.nan, math.nan]
        else:
            error_ahead, error_together = (
                math.sqrt(sum(float(np.var(values[:, column], ddof=1)) for values in drawn))
                for column in (0, 1)
            )
    error_so_far = math.hypot(so_far[0][1], so_far[1][1])
    means = [pair[0] for pair in so_far]
    together = [a + b for a, b in zip(means, ahead, strict=True)]
    history = treatment.history
    return LifetimeContrast(
        parts=(
            _part("so far", means, error_so_far, alpha),
            _part("ahead", ahead, error_ahead, alpha),
            _part("together", together, error_together, alpha),
        ),
        treatment=treatment.arm,
        control=control.arm,
        n_treatment=history.n_customers,
        n_control=control.history.n_customers,
        starts_on=treatment.starts_on,
        as_of=history.as_of,
        periods=float(periods),
        unit_days=history.unit_days,
        models={
            item.arm: value.model
            for item, value in zip((treatment, control), found, strict=True)
            if value is not None
        },
        currency=history.currency,
        value_kind=history.value_kind,
        alpha=alpha,
        refits=refits,
        refits_failed=failed,
        warnings=_warnings(arms, found, periods, reason),
        reason=reason,
        method=wording.CONTRAST_METHOD.format(refits=refits),
    )


def too_little(item: ArmHistory) -> str:
    """Say why an arm cannot carry a model of its own; empty where it can."""
    history = item.history
    for what, found, needed in (
        ("customers", history.n_customers, MIN_CUSTOMERS),
        ("buyers", history.n_repeaters, MIN_REPEATERS),
        ("payers", history.n_spenders, MIN_REPEATERS),
    ):
        if found < needed:
            return wording.arm_too_small(item.arm, what, found, needed)
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Value:
    """Value per customer that is expected ahead, and the models it comes from."""

    ahead: float
    model: str
    purchases: BGNBDParameters | None
    spend: GammaGammaParameters | None


class _Arm:
    """One arm, ready to be drawn from again."""

    def __init__(self, item: ArmHistory, periods: float) -> None:
        history = item.history
        frame = history.customers
        self.n = history.n_customers
        self.periods = periods
        self.window = float(frame["age"].max())
        self.observed = item.observed
        self.frequency = frame["frequency"].to_numpy(np.float64)
        self.paid = frame["paid_frequency"].to_numpy(np.float64)
        self.mean = frame["monetary_value"].fillna(0.0).to_numpy(np.float64)
        self.tuples: DistinctHistories = count_histories(
            self.frequency,
            frame["recency"].to_numpy(),
            frame["age"].to_numpy(),
            unit_days=history.unit_days,
            with_position=True,
        )

    def value(
        self, drawn: FloatArray | None = None, *, near: _Value | None = None
    ) -> _Value | None:
        """Fit both models to the customers, or to a draw of them, and look ahead."""
        t = self.tuples
        each = np.ones(self.n) if drawn is None else drawn
        weight = np.bincount(t.position, weights=each, minlength=len(t)).astype(np.float64)
        orders_in, purchases, model = _purchases(t.with_customers(weight), near=near)
        spend_in, spend = self._spend(each, near=near)
        if orders_in is None or spend_in is None:
            return None
        orders = orders_in(self.periods, t)[t.position]
        paid_share = float(self.paid @ each / (self.frequency @ each))
        ahead = float(orders * spend_in @ each) * paid_share / float(each.sum())
        return _Value(ahead=ahead, model=model, purchases=purchases, spend=spend)

    def _spend(
        self, each: FloatArray, *, near: _Value | None
    ) -> tuple[FloatArray | None, GammaGammaParameters | None]:
        used = (each > 0) & (self.paid > 0)
        if not used.any():
            return None, None
        start = near.spend if near else None
        found = maximise_spend(self.paid[used], self.mean[used], each[used], start=start)
        p = from_vector(GammaGammaParameters, found.estimates)
        if found.converged and 1 < p.q <= EXTREME_SHAPE:
            return expected_spend(p, self.paid, self.mean), p
        if p.q <= 1:
            return None, None
        mean = float(self.paid * self.mean @ each) / float(self.paid @ each)
        return np.full(self.n, mean), None


Ahead = Callable[[float, DistinctHistories], FloatArray]


def _purchases(
    tuples: DistinctHistories, *, near: _Value | None
) -> tuple[Ahead | None, BGNBDParameters | None, str]:
    """Fit BG/NBD, or the plain NBD where nobody is seen to leave.

    Where the customers themselves show nobody leaving, no draw of them is searched for it.
    """
    if not (tuples.frequency > 0).any():
        return None, None, ""
    if near is None or near.purchases is not None:
        start = near.purchases if near else None
        found = maximise_purchases(tuples, model="bg_nbd", start=start)
        p = from_vector(BGNBDParameters, found.estimates)
        leaves = p.a / (p.a + p.b) >= COLLAPSE_DROPOUT and max(p.a, p.b) <= EXTREME_SHAPE
        if found.converged and leaves:
            return _by_bg_nbd(p), p, wording.BG_NBD
    plain_found = maximise(NBDLikelihood(tuples))
    if not plain_found.converged:
        return None, None, ""
    r, alpha = plain_found.estimates.tolist()
    return _by_nbd(r, alpha), None, wording.NBD


def _by_bg_nbd(p: BGNBDParameters) -> Ahead:
    return lambda periods, t: expected_purchases(p, periods, t.frequency, t.recency, t.age)


def _by_nbd(r: float, alpha: float) -> Ahead:
    return lambda periods, t: (r + t.frequency) / (alpha + t.age) * periods


def _resample(
    arm: _Arm, refits: int, rng: np.random.Generator, progress: bool
) -> NDArray[np.float64]:
    """Give, per refit that worked, the value ahead and the value together."""
    near = arm.value()
    kept = []
    for _ in _steps(refits, progress):
        drawn = np.bincount(rng.integers(0, arm.n, arm.n), minlength=arm.n).astype(np.float64)
        value = arm.value(drawn, near=near)
        if value is not None and math.isfinite(value.ahead):
            kept.append((value.ahead, value.ahead + float(arm.observed @ drawn) / arm.n))
    return np.array(kept, dtype=np.float64).reshape(-1, 2)


def _part(name: str, values: list[float], error: float, alpha: float) -> ContrastPart:
    difference = values[0] - values[1]
    width = two_sided_quantile(alpha) * error
    return ContrastPart(
        part=name,
        evidence=wording.EVIDENCE[name],
        treatment=values[0],
        control=values[1],
        difference=difference,
        standard_error=error,
        low=difference - width,
        high=difference + width,
    )


def _mean_error(values: FloatArray) -> float:
    return float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def _warnings(
    arms: list[_Arm], found: list[_Value | None], periods: float, reason: str
) -> tuple[str, ...]:
    if reason:
        return ()
    warnings = []
    if any(value is not None and value.model == wording.NBD for value in found):
        warnings.append(say(wording.NOBODY_LEAVES))
    if periods > LONGEST_STRETCH * arms[0].window:
        warnings.append(say(wording.FAR_AHEAD))
    return tuple(warnings)


def _steps(refits: int, progress: bool) -> Iterable[int]:
    if not progress:
        return range(refits)
    from tqdm.auto import tqdm

    bar: Iterable[int] = tqdm(range(refits), desc=say(PROGRESS), unit=say("refit"), leave=False)
    return bar


def _check(
    treatment: ArmHistory, control: ArmHistory, periods: float, alpha: float, refits: int
) -> None:
    check_alpha(alpha)
    if not (np.isfinite(periods) and periods >= 0):
        raise DesignError(
            say("a horizon of {periods} units", periods=separated(f"{periods:g}")),
            expected=say("0 or more, finite"),
            where="periods",
        )
    if refits < MIN_REFITS:
        raise DesignError(
            say("{refits} refits", refits=refits),
            expected=say("at least {least}", least=MIN_REFITS),
            where="refits",
        )
    one, other = treatment.history, control.history
    spans = [(item.starts_on, item.history.as_of) for item in (treatment, control)]
    if spans[0] != spans[1] or one.unit_days != other.unit_days:
        raise DesignError(
            say(
                "arms seen from {start} to {end} and from {other_start} to {other_end}, in units of"
                " {unit} and {other_unit} days",
                start=day(spans[0][0]),
                end=day(spans[0][1]),
                other_start=day(spans[1][0]),
                other_end=day(spans[1][1]),
                unit=separated(f"{one.unit_days:g}"),
                other_unit=separated(f"{other.unit_days:g}"),
            ),
            expected=say("the same window and unit for both arms"),
            where="treatment, control",
        )
    if (one.currency, one.value_kind) != (other.currency, other.value_kind):
        raise DesignError(
            say(
                "{kind} in {currency} against {other_kind} in {other_currency}",
                kind=say(VALUE_WORDS[one.value_kind]),
                currency=one.currency or say("no currency"),
                other_kind=say(VALUE_WORDS[other.value_kind]),
                other_currency=other.currency or say("no currency"),
            ),
            expected=say("the same money in both arms"),
            where="treatment, control",
        )
