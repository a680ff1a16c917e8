"""Time to an event when the watching ends before the event has come to everybody.

The curve of one arm, the shares to whom the event came by a day, and the mean time without it up
to a horizon, compared between two arms. Whoever has not had the event when the watching ends is
*censored*: the event may come later, and to count such a unit as "never" or to leave it out
misleads.

References
----------
Kaplan, E. L., Meier, P. (1958), "Nonparametric estimation from incomplete observations", Journal
of the American Statistical Association 53, equations 2b and 2d. Mantel, N. (1966), Cancer
Chemotherapy Reports 50 (log-rank test). Royston, P., Parmar, M. K. B. (2013), "Restricted mean
survival time", BMC Medical Research Methodology 13, section 2. Newcombe, R. G. (1998), "Interval
estimation for the difference between independent proportions", Statistics in Medicine 17, method
10. Cutler, S. J., Ederer, F. (1958), Journal of Chronic Diseases 8 (the effective sample size).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from crm_lab.errors import DesignError
from crm_lab.language import say
from crm_lab.stats.arguments import FloatArray, as_values, check_positive, check_share

MAX_POINTS = 400
"""Steps of a curve that a result keeps; more are thinned for showing, not for computing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeTable:
    """The times of one arm in summary: what every estimate here is made of.

    Attributes
    ----------
    n : int
        Units.
    last : float
        Longest time anybody was watched, in the unit of the times; NaN without units.
    times : ndarray, shape (k,)
        Distinct times at which events came or the watching of somebody ended, ascending.
    at_risk, events : ndarray, shape (k,)
        Units still watched and without the event just before each time, and events at it.
    """

    n: int
    last: float
    times: FloatArray
    at_risk: FloatArray
    events: FloatArray

    @property
    def survival(self) -> FloatArray:
        """Share without the event after each time (Kaplan and Meier 1958, equation 2b)."""
        return np.asarray(np.cumprod(1.0 - self.events / self.at_risk), dtype=np.float64)

    @property
    def hazard_variance(self) -> FloatArray:
        """Terms of Greenwood's sum; infinite where the event comes to all who are left."""
        left = self.at_risk * (self.at_risk - self.events)
        terms = np.full_like(left, math.inf)
        np.divide(self.events, left, out=terms, where=left > 0)
        return terms

    def reaches(self, time: float) -> bool:
        """Say whether the share at ``time`` is known: someone was watched so long, or all had it.

        Examples
        --------
        >>> life_table([3, 5], [True, False]).reaches(6)
        False
        """
        return self.last >= time or bool(self.times.size and self.survival[-1] == 0)


def life_table(times: ArrayLike, happened: ArrayLike) -> LifeTable:
    """Summarise times and whether they ended with the event or with the watching.

    Parameters
    ----------
    times : array-like, shape (n,)
        Time to the event, or time watched without it; 0 or more, finite.
    happened : array-like of bool, shape (n,)
        Whether the time ended with the event.

    Raises
    ------
    DesignError
        When lengths differ, a time is negative or not finite, or ``happened`` is not yes or no.

    Examples
    --------
    >>> table = life_table([2, 4, 4, 9], [True, True, False, False])
    >>> table.times.tolist(), table.survival.tolist()
    ([2.0, 4.0, 9.0], [0.75, 0.5, 0.5])
    """
    values, flags = as_values(times, "times"), as_values(happened, "happened")
    if values.shape != flags.shape:
        raise DesignError(
            say("{values} times but {flags} of happened", values=values.size, flags=flags.size)
        )
    if not np.all(np.isfinite(values) & (values >= 0)):
        raise DesignError(say("a time is negative or missing"), expected=say("finite times from 0"))
    if not np.all((flags == 0) | (flags == 1)):
        raise DesignError(say("happened holds something else than yes and no"))
    distinct, position = np.unique(values, return_inverse=True)
    left = np.bincount(position, minlength=distinct.size)
    events = np.bincount(position, weights=flags, minlength=distinct.size)
    at_risk = values.size - np.concatenate([[0], np.cumsum(left)[:-1]]) if values.size else left
    return LifeTable(
        n=values.size,
        last=float(distinct[-1]) if distinct.size else math.nan,
        times=distinct,
        at_risk=np.asarray(at_risk, dtype=np.float64),
        events=np.asarray(events, dtype=np.float64),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SurvivalCurve:
    """Share to whom the event has come, by time, with its interval at each time.

    Attributes
    ----------
    arm : str
        Name of the arm.
    times : tuple of float
        From 0, ascending; at most 400.
    share, low, high : tuple of float
        Share with the event by each time, and its pointwise interval.
    n, events : int
        Units and events.
    """

    arm: str
    times: tuple[float, ...]
    share: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n: int
    events: int


def survival_curve(table: LifeTable, *, alpha: float, arm: str = "") -> SurvivalCurve:
    """Give the curve of one arm with pointwise intervals, to be drawn.

    Parameters
    ----------
    table : LifeTable
        The arm.
    alpha : float
        Two-sided error level at each time.
    arm : str
        Its name.

    Raises
    ------
    DesignError
        When ``alpha`` is not between 0 and 1.

    Examples
    --------
    >>> curve = survival_curve(life_table([2, 4, 4, 9], [True, True, False, False]), alpha=0.05)
    >>> curve.times, curve.share
    ((0.0, 2.0, 4.0, 9.0), (0.0, 0.25, 0.5, 0.5))
    """
    check_share(alpha, "alpha")
    steps = table.times[table.events > 0]
    if steps.size > MAX_POINTS - 2:
        steps = steps[np.unique(np.linspace(0, steps.size - 1, MAX_POINTS - 2).astype(int))]
    ends = [0.0, table.last] if table.n else []
    points = np.union1d(steps, np.asarray(ends, dtype=np.float64))
    low, high = _intervals(table, points, alpha)
    return SurvivalCurve(
        arm=arm,
        times=tuple(points.tolist()),
        share=tuple(_shares(table, points).tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        n=table.n,
        events=int(table.events.sum()),
    )


def share_by(table: LifeTable, time: float) -> float:
    """Give the share to whom the event has come by ``time``; NaN where nobody was watched so long.

    Examples
    --------
    >>> share_by(life_table([2, 4, 4, 9], [True, True, False, False]), 3)
    0.25
    """
    return float(_shares(table, np.array([time], dtype=np.float64))[0])


def share_interval(table: LifeTable, time: float, *, alpha: float) -> tuple[float, float]:
    """Give the interval of `share_by`: Wilson's, with the size that the censoring leaves.

    Parameters
    ----------
    table : LifeTable
        The arm.
    time : float
        By when, in the unit of the times.
    alpha : float
        Two-sided error level, between 0 and 1.

    Returns
    -------
    tuple of float
        The ends, within 0 and 1. Without censoring before ``time`` it is Wilson's interval of a
        proportion. NaN where nobody was watched so long.

    Examples
    --------
    >>> table = life_table([1, 2, 30, 30, 30, 30], [True, True, False, False, False, False])
    >>> [round(end, 3) for end in share_interval(table, 28, alpha=0.05)]
    [0.097, 0.7]
    """
    low, high = _intervals(table, np.array([time], dtype=np.float64), alpha)
    return float(low[0]), float(high[0])


def _shares(table: LifeTable, times: FloatArray) -> FloatArray:
    passed = np.searchsorted(table.times, times, side="right")
    shares = 1.0 - np.concatenate([[1.0], table.survival])[passed]
    everybody = bool(table.times.size) and table.survival[-1] == 0
    return np.where(everybody | (times <= table.last), shares, math.nan)


def _intervals(table: LifeTable, times: FloatArray, alpha: float) -> tuple[FloatArray, FloatArray]:
    share = _shares(table, times)
    return wilson_ends(share, effective_sizes(table, times), alpha=alpha)


def wilson_ends(
    share: FloatArray, size: FloatArray, *, alpha: float
) -> tuple[FloatArray, FloatArray]:
    """Give Wilson's interval for shares seen in samples of these sizes, which need not be whole.

    Examples
    --------
    >>> low, high = wilson_ends(np.array([0.0]), np.array([150.0]), alpha=0.05)
    >>> float(low[0]), round(float(high[0]), 4)
    (0.0, 0.025)
    """
    z = -float(special.ndtri(alpha / 2))
    centre = share + z**2 / (2 * size)
    half = z * np.sqrt(share * (1 - share) / size + z**2 / (4 * size**2))
    scale = 1 + z**2 / size
    low = np.where(share == 0, 0.0, (centre - half) / scale)
    high = np.where(share == 1, 1.0, (centre + half) / scale)
    return low, high


def effective_sizes(table: LifeTable, times: FloatArray) -> FloatArray:
    """Give the size of a sample without censoring that would know each share as well.

    Examples
    --------
    >>> table = life_table([1, 3, 5, 9, 9], [True, False, True, False, False])
    >>> effective_sizes(table, np.array([2.0, 6.0])).round(2).tolist()
    [5.0, 4.04]
    """
    share = _shares(table, times)
    passed = np.searchsorted(table.times, times, side="right")
    spread = np.concatenate([[0.0], np.cumsum(table.hazard_variance)])[passed]
    inside = (share > 0) & (share < 1)
    sizes = np.full(times.size, math.nan)
    sizes[inside] = share[inside] / ((1.0 - share[inside]) * spread[inside])
    # Without an event only those still watched count; with nobody left, those of the last event.
    watched = _at_risk(table, times)
    sizes[share == 0] = watched[share == 0]
    if table.times.size:
        last = table.at_risk[np.flatnonzero(table.events > 0)[-1]] if table.events.any() else 0.0
        sizes[share == 1] = last
    return sizes


def _at_risk(table: LifeTable, times: FloatArray) -> FloatArray:
    """Units still watched and without the event just before each time."""
    position = np.searchsorted(table.times, times, side="left")
    return np.concatenate([table.at_risk, [0.0]])[position]


def restricted_mean(table: LifeTable, horizon: float) -> tuple[float, float]:
    """Give the mean time without the event up to ``horizon``, and its squared standard error.

    Parameters
    ----------
    table : LifeTable
        The arm, with at least two units.
    horizon : float
        Above 0, in the unit of the times.

    Returns
    -------
    tuple of float
        The area under the share without the event from 0 to ``horizon`` and its squared standard
        error, with the factor ``n / (n - 1)``; without censoring before the horizon they are those
        of the mean of ``min(time, horizon)``. NaN where nobody was watched so long.

    Raises
    ------
    DesignError
        When ``horizon`` is not above 0.

    Examples
    --------
    >>> restricted_mean(life_table([2, 4, 10, 10], [True, True, False, False]), 10)[0]
    6.5
    """
    check_positive(horizon, "horizon")
    if table.n < 2 or not table.reaches(horizon):
        return math.nan, math.nan
    ahead = _ahead(table, horizon)
    terms = np.where(ahead > 0, table.hazard_variance[: ahead.size], 0.0)
    variance = float((ahead**2 * terms).sum()) * table.n / (table.n - 1)
    first = float(table.times[0]) if ahead.size else horizon
    return first + (float(ahead[0]) if ahead.size else 0.0), variance


def restricted_mean_scores(
    times: FloatArray, happened: FloatArray, table: LifeTable, horizon: float
) -> FloatArray:
    """Give each unit's part in the mean time without the event, for permuting.

    Parameters
    ----------
    times, happened : ndarray, shape (n,)
        As in `life_table`, of both arms together.
    table : LifeTable
        The same units in summary.
    horizon : float
        Until when the time counts.

    Returns
    -------
    ndarray, shape (n,)
        Their mean is the restricted mean; without censoring before the horizon they are
        ``min(time, horizon)``.

    Examples
    --------
    >>> times, happened = np.array([1.0, 2.0, 9.0]), np.array([1.0, 1.0, 0.0])
    >>> restricted_mean_scores(times, happened, life_table(times, happened), 5.0).round(9).tolist()
    [1.0, 2.0, 5.0]
    """
    ahead = _ahead(table, horizon)
    passed = ahead.size
    at_risk, events = table.at_risk[:passed], table.events[:passed]
    left = at_risk - events
    weight = np.zeros(passed)
    np.divide(ahead * table.n, left, out=weight, where=left > 0)
    expected = np.concatenate([[0.0], np.cumsum(weight * events / at_risk)])
    own = np.concatenate([weight, [0.0]])
    position = np.minimum(np.searchsorted(table.times, times, side="left"), passed)
    seen = np.minimum(np.searchsorted(table.times, times, side="right"), passed)
    mean, _ = restricted_mean(table, horizon)
    scores = mean - happened * own[position] + expected[seen]
    return np.asarray(scores, dtype=np.float64)


def _ahead(table: LifeTable, horizon: float) -> FloatArray:
    """Area under the share without the event from each time before the horizon up to it."""
    passed = int(np.searchsorted(table.times, horizon, side="left"))
    widths = np.diff(np.concatenate([table.times[:passed], [horizon]]))
    areas = table.survival[:passed] * widths
    return np.asarray(np.cumsum(areas[::-1])[::-1], dtype=np.float64)


def log_rank_scores(times: FloatArray, happened: FloatArray, table: LifeTable) -> FloatArray:
    """Give each unit's event less what was to be expected while it was watched.

    Summed over one arm these are the observed minus expected events of the log-rank test.

    Parameters
    ----------
    times, happened : ndarray, shape (n,)
        As in `life_table`, of both arms together.
    table : LifeTable
        The same units in summary.

    Examples
    --------
    >>> times, happened = np.array([1.0, 2.0]), np.array([1.0, 1.0])
    >>> log_rank_scores(times, happened, life_table(times, happened)).tolist()
    [0.5, -0.5]
    """
    hazard = np.concatenate([[0.0], np.cumsum(table.events / table.at_risk)])
    scores = happened - hazard[np.searchsorted(table.times, times, side="right")]
    return np.asarray(scores, dtype=np.float64)


def log_rank(treatment: LifeTable, control: LifeTable) -> tuple[float, float]:
    """Give the log-rank statistic and its p-value, which say whether events come at one rate.

    Parameters
    ----------
    treatment, control : LifeTable
        The two arms.

    Returns
    -------
    tuple of float
        The signed normal statistic, positive when events come sooner under treatment than
        expected, and its two-sided p-value; NaN without events or where one arm is never watched
        while the other still is.

    Examples
    --------
    >>> one = life_table([1, 2, 3, 9, 9], [True, True, True, False, False])
    >>> other = life_table([4, 9, 9, 9, 9], [True, False, False, False, False])
    >>> statistic, p_value = log_rank(one, other)
    >>> round(statistic, 3), round(p_value, 3)
    (1.442, 0.149)
    """
    times = np.union1d(treatment.times, control.times)
    at_risk = [_at_risk(table, times) for table in (treatment, control)]
    events = []
    for table in (treatment, control):
        here = np.zeros(times.size)
        here[np.searchsorted(times, table.times)] = table.events
        events.append(here)
    total, deaths = at_risk[0] + at_risk[1], events[0] + events[1]
    expected = deaths * at_risk[0] / total
    share = at_risk[0] / total
    finite = np.where(total > 1, (total - deaths) / np.maximum(total - 1, 1), 0.0)
    variance = float((deaths * share * (1 - share) * finite).sum())
    if not variance > 0:
        return math.nan, math.nan
    statistic = float((events[0] - expected).sum()) / math.sqrt(variance)
    return statistic, 2.0 * float(special.ndtr(-abs(statistic)))
