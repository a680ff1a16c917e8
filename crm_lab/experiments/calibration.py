"""A/A calibration: whether the tests keep their promise on this company's own customers.

Control groups are drawn again under many salts on history in which nothing was done to anybody,
and each test is asked whether it sees an effect. There is none, so every "yes" is false; a test
that promises 5 % must say yes in 5 % of the draws, half of them in each direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm.auto import tqdm

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.experiments.assignment import bucket_ends
from crm_lab.experiments.spec import CONTROL
from crm_lab.gateway import Gateway, operations
from crm_lab.stats import (
    Comparison,
    compare_means,
    compare_means_welch,
    compare_proportions,
    permutation_null,
    proportion_interval,
)

FloatArray = NDArray[np.float64]
NULL_PERMUTATIONS = 4_000
MIN_CUSTOMERS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FalsePositives:
    """How often one test claimed an effect where there was none.

    Attributes
    ----------
    metric, method : str
        What was tested and how.
    draws : int
        Draws in which the test could be made.
    lifts, drops : int
        Draws in which it claimed a lift, and a drop.
    alpha : float
        What it promised for both together.
    is_default : bool
        Whether the workbench decides by it.
    """

    metric: str
    method: str
    draws: int
    lifts: int
    drops: int
    alpha: float
    is_default: bool

    @property
    def rate(self) -> float:
        """Share of draws with a false claim in either direction."""
        return (self.lifts + self.drops) / self.draws if self.draws else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Interval (99 %) of the rate over the draws, for the chance in drawing salts."""
        estimate = proportion_interval(self.lifts + self.drops, self.draws, alpha=0.01)
        return (estimate.low, estimate.high)

    @property
    def keeps_promise(self) -> bool:
        """Whether the promise lies in the interval of the rate, or the rate below it.

        A test that could not be made in any draw broke no promise.
        """
        low, _ = self.interval
        return not low > self.alpha

    @property
    def is_one_sided(self) -> bool:
        """Whether claims of a lift alone exceed the half that was promised for them."""
        if not self.draws:
            return False
        return proportion_interval(self.lifts, self.draws, alpha=0.01).low > self.alpha / 2


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Calibration(Result):
    """False-positive rates of every test on one base.

    Attributes
    ----------
    base : str
        Which customers and which window.
    customers : int
        Customers in it.
    control_share : float
        Share drawn as control.
    draws : int
        Salts.
    alpha : float
        Promised rate.
    tests : tuple of FalsePositives
        One per metric and method.
    share_who_bought, mean_revenue : float
        What the window looked like.
    snapshot : str
        Label of the data.
    """

    title: ClassVar[str] = "A/A calibration"
    plotter: ClassVar[str] = "crm_lab.plots.control_group:plot_calibration"

    base: str
    customers: int
    control_share: float
    draws: int
    alpha: float
    tests: tuple[FalsePositives, ...]
    share_who_bought: float
    mean_revenue: float
    snapshot: str

    def sentence(self) -> str:
        """Say whether the workbench's own tests keep their promise, and which others do not."""
        ours = [test for test in self.tests if test.is_default]
        broken = [test for test in ours if not test.keeps_promise or test.is_one_sided]
        others = [
            test
            for test in self.tests
            if not test.is_default and (not test.keeps_promise or test.is_one_sided)
        ]
        rates = ", ".join(f"{test.metric} {formats.percent(test.rate)}" for test in ours)
        text = (
            f"{self.base}: over {self.draws:,} control groups of"
            f" {formats.percent(self.control_share)} drawn where nothing was done, the tests that"
            f" decide claimed an effect in {rates} of the draws; promised"
            f" {formats.percent(self.alpha)}."
        )
        if not any(test.draws for test in ours):
            text += " None of them could be made on this window."
        elif broken:
            text += f" Broken promise: {', '.join(f'{t.metric} ({t.method})' for t in broken)}."
        else:
            text += " They keep their promise."
        for test in others:
            text += (
                f" {test.method} does not for {test.metric}: it claimed a lift in"
                f" {formats.percent(test.lifts / test.draws)} of the draws where"
                f" {formats.percent(self.alpha / 2)} was promised."
            )
        return text

    def to_frame(self) -> pd.DataFrame:
        """Give one row per test: claims of lift and drop, both, interval, promise."""
        return pd.DataFrame(
            [
                {
                    "metric": test.metric,
                    "method": test.method,
                    "claimed a lift": formats.percent(test.lifts / test.draws),
                    "claimed a drop": formats.percent(test.drops / test.draws),
                    "either": formats.percent(test.rate),
                    "interval (99 %)": formats.interval(
                        100 * test.interval[0], 100 * test.interval[1], decimals=1, unit="%"
                    ),
                    "promised": formats.percent(test.alpha),
                }
                for test in self.tests
                if test.draws
            ]
        )


def calibrate(
    gateway: Gateway,
    *,
    base: str,
    population: str,
    starts_at: datetime,
    ends_at: datetime,
    pre_starts_at: datetime,
    control_share: float,
    rng: np.random.Generator,
    draws: int = 1_000,
    alpha: float = 0.05,
    progress: bool = False,
) -> Calibration:
    """Draw control groups under many salts on untouched history and count false claims.

    Parameters
    ----------
    gateway : Gateway
        The base.
    base : str
        Name of customers and window, for people.
    population : str
        SELECT of customer_id and variant (see :mod:`crm_lab.gateway.operations`).
    starts_at, ends_at, pre_starts_at : datetime
        Outcome window (end excluded) and start of the pre-period, UTC without zone.
    control_share : float
        Share drawn as control.
    rng : numpy.random.Generator
        Source of the permutations; the salts are fixed names.
    draws : int
        How many salts.
    alpha : float
        Promised two-sided rate.
    progress : bool
        Whether to show a progress bar on standard error.

    Raises
    ------
    DesignError
        Fewer than 100 customers, no draw, or a share or an error rate that is none.
    """
    bucket_ends({CONTROL: control_share})
    if draws < 1 or not 0 < alpha < 1 or not control_share < 1:
        raise DesignError(
            f"{draws} draws of {control_share} with an error rate of {alpha}",
            expected="at least one draw, and rates between 0 and 1",
        )
    salts = tuple(f"aa-{index}" for index in range(draws))
    with gateway.reader() as reader:
        frame = reader.frame(
            operations.outcomes(
                population, starts_at=starts_at, ends_at=ends_at, pre_starts_at=pre_starts_at
            )
        )
        if len(frame) < MIN_CUSTOMERS:
            raise DesignError(
                f"{len(frame)} customers in '{base}'", expected=f"at least {MIN_CUSTOMERS}"
            )
        drawn = reader.frame(operations.drawn_controls(population, salts, control_share))
        snapshot = reader.snapshot
    groups = _control_positions(frame["customer_id"], drawn, draws)
    tests = count_false_positives(frame, groups, alpha=alpha, rng=rng, progress=progress)
    return Calibration(
        base=base,
        customers=len(frame),
        control_share=control_share,
        draws=draws,
        alpha=alpha,
        tests=tests,
        share_who_bought=float((frame["orders"] > 0).mean()),
        mean_revenue=float(frame["revenue"].mean()),
        snapshot=snapshot.label,
    )


def count_false_positives(
    frame: pd.DataFrame,
    groups: list[NDArray[np.int64]],
    *,
    alpha: float,
    rng: np.random.Generator,
    progress: bool = False,
) -> tuple[FalsePositives, ...]:
    """Ask every test about every draw.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns revenue, orders, pre_revenue; one row per customer.
    groups : list of ndarray
        Positions of the controls, per draw.
    alpha : float
        Promised two-sided rate.
    rng : numpy.random.Generator
        Source of the permutations.
    progress : bool
        Whether to show a progress bar.

    Notes
    -----
    Adjusted revenue uses one slope over all customers, since there is no effect that a slope
    within arms would have to be kept apart from; the null distribution of the permutation test
    then depends on the size of the control group only and is drawn once per size.
    """
    revenue = frame["revenue"].to_numpy(dtype=float)
    bought = (frame["orders"] > 0).to_numpy()
    adjusted = _adjusted(revenue, frame["pre_revenue"].to_numpy(dtype=float))
    means = {"revenue per customer": revenue, "revenue per customer, adjusted": adjusted}
    counts: dict[tuple[str, str, bool], list[Comparison]] = {}
    nulls: dict[tuple[str, int], FloatArray] = {}
    for positions in tqdm(groups, desc="A/A draws", disable=not progress):
        held = len(positions)
        if held < 2 or len(frame) - held < 2:
            continue
        mask = np.zeros(len(frame), dtype=bool)
        mask[positions] = True
        conversion = compare_proportions(
            int(bought[~mask].sum()), len(frame) - held, int(bought[mask].sum()), held, alpha=alpha
        )
        counts.setdefault(("conversion", "score test", True), []).append(conversion)
        welch = compare_means_welch(revenue[~mask], revenue[mask], alpha=alpha)
        counts.setdefault(("revenue per customer", "Welch's t", False), []).append(welch)
        for metric, values in means.items():
            key = (metric, held)
            if key not in nulls:
                nulls[key] = permutation_null(
                    values, len(frame) - held, held, permutations=NULL_PERMUTATIONS, rng=rng
                )
            found = compare_means(
                values[~mask], values[mask], alpha=alpha, rng=rng, null=nulls[key]
            )
            counts.setdefault((metric, "studentised permutation", True), []).append(found)
    return tuple(
        _false_positives(metric, method, is_default, found, alpha)
        for (metric, method, is_default), found in counts.items()
    )


def _false_positives(
    metric: str, method: str, is_default: bool, found: list[Comparison], alpha: float
) -> FalsePositives:
    known = [comparison.absolute for comparison in found if comparison.absolute.is_known]
    claims = [effect for effect in known if effect.is_significant]
    return FalsePositives(
        metric=metric,
        method=method,
        draws=len(known),
        lifts=sum(effect.estimate > 0 for effect in claims),
        drops=sum(effect.estimate < 0 for effect in claims),
        alpha=alpha,
        is_default=is_default,
    )


def _adjusted(revenue: FloatArray, before: FloatArray) -> FloatArray:
    centred = before - before.mean()
    spread = float(centred @ centred)
    if spread == 0:
        return revenue
    slope = float(centred @ (revenue - revenue.mean())) / spread
    return np.asarray(revenue - slope * centred, dtype=np.float64)


def _control_positions(
    customer_ids: pd.Series[str], drawn: pd.DataFrame, draws: int
) -> list[NDArray[np.int64]]:
    places = pd.Series(np.arange(len(customer_ids)), index=customer_ids.to_numpy())
    positions = places.loc[drawn["customer_id"].to_numpy()].to_numpy(dtype=np.int64)
    order = np.argsort(drawn["draw"].to_numpy(), kind="stable")
    ends = np.searchsorted(drawn["draw"].to_numpy()[order], np.arange(draws + 1))
    ordered = positions[order]
    return [np.sort(ordered[ends[i] : ends[i + 1]]) for i in range(draws)]
