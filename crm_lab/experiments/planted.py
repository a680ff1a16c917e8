"""Effects planted into untouched history: how often they are found, and held by the interval.

An effect is planted into the whole base once. By *more buyers*, so many who had bought nothing buy
that there are 10 % more buyers; what they spend follows what buyers spent, quantile by quantile,
scaled so that revenue rises by 10 % to the last digit. By *larger spend*, everybody spends 10 %
more. In each draw the controls show their untouched history and the others what was planted, so
the true effect on this base is known exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from crm_lab.experiments.rerandomised import (
    Arms,
    Columns,
    FloatArray,
    Groups,
    IntArray,
    both_arms,
    null_statistics,
    t_statistics,
)
from crm_lab.stats import compare_proportions, proportion_interval
from crm_lab.stats.means import fieller_set
from crm_lab.stats.permutation import permutation_test, tie_slack
from crm_lab.stats.proportions import score_statistic

BoolArray = NDArray[np.bool_]
Way = Literal["more buyers", "larger spend"]
ScaleName = Literal["difference", "relative lift"]
WAYS: tuple[Way, ...] = ("more buyers", "larger spend")
EFFECTS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
WANTED_POWER = 0.8
CONVERSION = "conversion"
SCORE, STUDENTISED = "score test", "studentised permutation"
PLANTED_PERMUTATIONS = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundEffect:
    """How often a planted effect was found.

    Attributes
    ----------
    metric, method : str
        What was tested and how.
    planted : {"more buyers", "larger spend"}
        How the effect came about.
    lift : float
        The effect on the metric, relative (0.1: 10 % more).
    draws, found : int
        Draws, and those in which a lift was claimed.
    """

    metric: str
    method: str
    planted: Way
    lift: float
    draws: int
    found: int

    @property
    def share(self) -> float:
        """Share of draws in which it was found."""
        return self.found / self.draws if self.draws else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Interval (99 %) of the share, for the chance in drawing."""
        estimate = proportion_interval(self.found, self.draws, alpha=0.01)
        return (estimate.low, estimate.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How often an interval held the planted effect.

    Attributes
    ----------
    metric, method : str
        What was estimated and how.
    scale : {"difference", "relative lift"}
        Which of the two intervals.
    planted : {"more buyers", "larger spend"}
        How the effect came about; of no effect, the first of them.
    lift : float
        The effect, relative; 0 for none.
    draws, held : int
        Draws in which there was an interval, and those in which it held the effect.
    open_ends : int
        Draws in which an end of it was infinite.
    alpha : float
        It promised to miss the effect in this share of the draws.
    """

    metric: str
    method: str
    scale: ScaleName
    planted: Way
    lift: float
    draws: int
    held: int
    open_ends: int
    alpha: float

    @property
    def share(self) -> float:
        """Share of draws in which the interval held the effect."""
        return self.held / self.draws if self.draws else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Interval (99 %) of the share, for the chance in drawing."""
        estimate = proportion_interval(self.held, self.draws, alpha=0.01)
        return (estimate.low, estimate.high)

    @property
    def is_short(self) -> bool:
        """Whether it held the effect more seldom than promised, beyond chance."""
        return self.interval[1] < 1 - self.alpha


@dataclass(frozen=True, slots=True, kw_only=True)
class Planting:
    """One effect on one metric: the columns of the treated, and of the pool of both arms."""

    metric: str
    planted: Way
    lift: float
    treated: str
    pooled: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """Effects planted into one base.

    Attributes
    ----------
    columns : mapping of str to ndarray
        Values under each effect, per customer.
    plantings : tuple of Planting
        Which columns belong to which effect.
    """

    columns: Mapping[str, FloatArray]
    plantings: tuple[Planting, ...]

    def judged(
        self, columns: Columns, groups: Groups, *, alpha: float, rng: np.random.Generator
    ) -> tuple[tuple[FoundEffect, ...], tuple[Coverage, ...]]:
        """Judge every draw by the tests that decide: what they find, what intervals hold.

        Parameters
        ----------
        columns : Columns
            Metrics of the untouched history, and the columns of this object.
        groups : Groups
            The control groups.
        alpha : float
            Two-sided error level.
        rng : numpy.random.Generator
            Source of the permutations.

        Notes
        -----
        The null distribution of a planted effect is drawn once, at the middle size of the groups,
        from the pool of both arms as a draw would see it. Coverage is counted for no effect and
        for the smallest planted effect that is found in 80 % of the draws (or the largest).
        """
        if not self.plantings or not groups.sizes.size:
            return (), ()
        treated, control = both_arms(columns, groups)
        means = [p for p in self.plantings if p.metric != CONVERSION]
        wanted = list(dict.fromkeys([p.metric for p in means] + [p.pooled for p in means]))
        nulls: dict[str, FloatArray] = {}
        if wanted:
            pool = columns.keep(wanted)
            statistics = null_statistics(
                pool,
                size=int(np.median(groups.sizes)),
                permutations=PLANTED_PERMUTATIONS,
                rng=rng,
            )
            nulls = dict(zip(wanted, statistics, strict=True))
        judge = _Judge(columns=columns, treated=treated, control=control, nulls=nulls, alpha=alpha)
        power = [judge.power(planting) for planting in self.plantings]
        coverage: list[Coverage] = []
        for metric in dict.fromkeys(p.metric for p in self.plantings):
            for way in WAYS:
                curve = [
                    (point, planting)
                    for point, planting in zip(power, self.plantings, strict=True)
                    if (planting.metric, planting.planted) == (metric, way)
                ]
                if not curve:
                    continue
                if way == WAYS[0]:
                    coverage += judge.coverage(
                        Planting(
                            metric=metric, planted=way, lift=0.0, treated=metric, pooled=metric
                        )
                    )
                shown = [planting for point, planting in curve if point.share >= WANTED_POWER]
                coverage += judge.coverage(shown[0] if shown else curve[-1][1])
        return tuple(power), tuple(coverage)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judge:
    columns: Columns
    treated: Arms
    control: Arms
    nulls: Mapping[str, FloatArray]
    alpha: float

    def power(self, planting: Planting) -> FoundEffect:
        treated, control = self._arms(planting)
        if planting.metric == CONVERSION:
            x_t, n_t, x_c, n_c = _counts(treated, control)
            z = score_statistic(x_t, n_t, x_c, n_c)
            lifts = (2 * special.ndtr(-np.abs(z)) <= self.alpha) & (z > 0)
            known = np.ones(z.size, dtype=bool)
        else:
            t = t_statistics(treated, control)[:, 0]
            known = np.isfinite(t)
            nearest = np.zeros(t.size, dtype=np.int64)
            lifts, _ = mean_claims(t, [self.nulls[planting.pooled]], nearest, alpha=self.alpha)
        return FoundEffect(
            metric=planting.metric,
            method=_method(planting.metric),
            planted=planting.planted,
            lift=planting.lift,
            draws=int(known.sum()),
            found=int((lifts & known).sum()),
        )

    def coverage(self, planting: Planting) -> list[Coverage]:
        treated, control = self._arms(planting)
        means = self.columns.means()
        before, after = means[planting.metric], means[planting.treated]
        truths: dict[ScaleName, float] = {"difference": after - before}
        if before > 0:
            truths["relative lift"] = after / before - 1
        ends = (
            self._shares(treated, control)
            if planting.metric == CONVERSION
            else self._means(treated, control, planting)
        )
        found = []
        for scale, truth in truths.items():
            low, high = ends[scale]
            known = ~np.isnan(low)
            slack = 1e-12 * max(1.0, abs(after))
            held = (low - slack <= truth) & (truth <= high + slack)
            found.append(
                Coverage(
                    metric=planting.metric,
                    method=_method(planting.metric),
                    scale=scale,
                    planted=planting.planted,
                    lift=planting.lift,
                    draws=int(known.sum()),
                    held=int((held & known).sum()),
                    open_ends=int((known & ~(np.isfinite(low) & np.isfinite(high))).sum()),
                    alpha=self.alpha,
                )
            )
        return found

    def _arms(self, planting: Planting) -> tuple[Arms, Arms]:
        names = self.columns.names
        return (
            _one(self.treated, names.index(planting.treated)),
            _one(self.control, names.index(planting.metric)),
        )

    def _shares(
        self, treated: Arms, control: Arms
    ) -> dict[ScaleName, tuple[FloatArray, FloatArray]]:
        tables = np.stack(_counts(treated, control), axis=1).astype(np.int64)
        every, which = np.unique(tables, axis=0, return_inverse=True)
        found = [compare_proportions(*map(int, table), alpha=self.alpha) for table in every]
        ends = np.array(
            [(c.absolute.low, c.absolute.high, c.relative.low, c.relative.high) for c in found]
        )[which.reshape(-1)]
        return {"difference": (ends[:, 0], ends[:, 1]), "relative lift": (ends[:, 2], ends[:, 3])}

    def _means(
        self, treated: Arms, control: Arms, planting: Planting
    ) -> dict[ScaleName, tuple[FloatArray, FloatArray]]:
        test = permutation_test(0.0, self.nulls[planting.pooled], alpha=self.alpha)
        low_quantile, high_quantile = test.low_quantile, test.high_quantile
        mean_t, mean_c = treated.means[:, 0], control.means[:, 0]
        error_t, error_c = treated.errors[:, 0], control.errors[:, 0]
        error = np.sqrt(error_t + error_c)
        is_known = error > 0
        difference = np.where(is_known, mean_t - mean_c, np.nan)
        low, high = difference - high_quantile * error, difference - low_quantile * error
        number = self.columns.names.index(planting.metric)
        least = self.columns.usual[number] + self.columns.scale[number] * min(
            float(self.columns.table[:, number].min(initial=0.0)), 0.0
        )
        ratios = np.array(
            [
                fieller_set(
                    m_t,
                    m_c,
                    e_t,
                    e_c,
                    low_quantile=low_quantile,
                    high_quantile=high_quantile,
                    nonnegative=bool(least >= 0),
                )
                if known and m_c > 0 and e_t > 0
                else (np.nan, np.nan)
                for m_t, m_c, e_t, e_c, known in zip(
                    mean_t.tolist(),
                    mean_c.tolist(),
                    error_t.tolist(),
                    error_c.tolist(),
                    is_known.tolist(),
                    strict=True,
                )
            ]
        )
        return {"difference": (low, high), "relative lift": (ratios[:, 0] - 1, ratios[:, 1] - 1)}


def plant_effects(
    metrics: Mapping[str, FloatArray],
    effects: Sequence[float],
    *,
    control_share: float,
    rng: np.random.Generator,
) -> Planted:
    """Plant effects into a base.

    Parameters
    ----------
    metrics : mapping of str to ndarray
        Conversion (1 for a buyer, otherwise 0) first, then revenue per customer, then whatever
        differs from revenue by something that no effect changes (adjusted revenue).
    effects : sequence of float
        Relative, above 0, ascending. More buyers than there are customers cannot be planted.
    control_share : float
        Share of the base that stays untouched: for the pool of both arms.
    rng : numpy.random.Generator
        Who buys and what; who stays untouched in the pool.
    """
    (conversion, bought), (_, revenue), *_ = metrics.items()
    is_buyer = bought > 0
    buyers, total = int(is_buyer.sum()), float(revenue.sum())
    if not effects or not buyers or total <= 0:
        return Planted(columns={}, plantings=())
    order = rng.permutation(np.flatnonzero(~is_buyer))
    untouched = rng.random(revenue.size) < control_share
    columns: dict[str, FloatArray] = {}
    plantings = []

    def add(metric: str, way: Way, lift: float, change: FloatArray) -> None:
        values = metrics[metric]
        names = tuple(f"{metric} {lift:+} {way} {side}" for side in ("treated", "pooled"))
        columns[names[0]] = values + change
        columns[names[1]] = values + np.where(untouched, 0.0, change)
        plantings.append(
            Planting(metric=metric, planted=way, lift=lift, treated=names[0], pooled=names[1])
        )

    for metric in metrics:
        for way in WAYS:
            for lift in effects:
                if way == "larger spend":
                    if metric != conversion:
                        add(metric, way, lift, lift * revenue)
                    continue
                new = order[: round(lift * buyers)]
                if not 0 < new.size == round(lift * buyers):
                    continue
                change = np.zeros(revenue.size)
                if metric == conversion:
                    change[new] = 1.0
                    add(metric, way, new.size / buyers, change)
                    continue
                spent = _like(revenue[is_buyer], new)
                change[new] = spent * (lift * total / spent.sum())
                add(metric, way, lift, change)
    return Planted(columns=columns, plantings=tuple(plantings))


def mean_claims(
    t: FloatArray, nulls: Sequence[FloatArray], nearest: IntArray, *, alpha: float
) -> tuple[BoolArray, BoolArray]:
    """Say which draws claim a lift and which a drop, as `permutation_test` would one by one."""
    tests = [permutation_test(0.0, null, alpha=alpha) for null in nulls]
    high = np.array([test.high_quantile for test in tests])[nearest]
    low = np.array([test.low_quantile for test in tests])[nearest]
    slack = np.array([tie_slack(value) for value in t.tolist()])
    return (t > slack) & (t - slack > high), (t < -slack) & (t + slack < low)


def smallest_found(curve: Sequence[FoundEffect]) -> float:
    """Give the effect that is found in 80 % of the draws, between the planted ones by a line.

    NaN when not even the largest is; never below the smallest planted.

    Examples
    --------
    >>> points = [FoundEffect(metric="m", method="x", planted="more buyers", lift=lift, draws=100,
    ...                       found=found) for lift, found in ((0.1, 60), (0.2, 100))]
    >>> round(smallest_found(points), 3)
    0.15
    """
    before: FoundEffect | None = None
    for point in curve:
        if point.share >= WANTED_POWER:
            if before is None:
                return point.lift
            part = (WANTED_POWER - before.share) / (point.share - before.share)
            return before.lift + part * (point.lift - before.lift)
        before = point
    return float("nan")


def _like(spent: FloatArray, new: IntArray) -> FloatArray:
    """Give the new buyers what buyers spent, quantile by quantile, in an order of chance.

    The new buyers are numbered by chance already; a stride keeps the large amounts from going to
    the same few of them at every size of the effect.
    """
    quantiles = np.quantile(spent, (np.arange(new.size) + 0.5) / new.size)
    return np.asarray(quantiles[np.argsort(new, kind="stable")], dtype=np.float64)


def _one(arms: Arms, number: int) -> Arms:
    return Arms(
        sizes=arms.sizes,
        means=arms.means[:, number : number + 1],
        errors=arms.errors[:, number : number + 1],
    )


def _counts(treated: Arms, control: Arms) -> tuple[FloatArray, IntArray, FloatArray, IntArray]:
    n_t, n_c = treated.sizes[:, 0], control.sizes[:, 0]
    return np.rint(treated.means[:, 0] * n_t), n_t, np.rint(control.means[:, 0] * n_c), n_c


def _method(metric: str) -> str:
    return SCORE if metric == CONVERSION else STUDENTISED
