"""A/A calibration: whether the tests keep their promise on this company's own customers.

Control groups are drawn again under many salts on history in which nothing was done to anybody,
and each test is asked whether it sees an effect. There is none, so every "yes" is false; a test
that promises 5 % must say yes in 5 % of the draws, half of them in each direction.

Then effects are planted into the customers outside the control group, by more buyers or by larger
spend, and the same draws say how often each is found (the power curve that this base really has)
and how often the interval holds it (its coverage).
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special
from tqdm.auto import tqdm

from crm_lab import formats
from crm_lab.errors import DesignError
from crm_lab.experiments.assignment import bucket_ends
from crm_lab.experiments.calibration_results import Calibration, DrawnBy, FalsePositives
from crm_lab.experiments.fields import CONTROL
from crm_lab.experiments.planted import (
    CONVERSION,
    SCORE,
    STUDENTISED,
    mean_claims,
    plant_effects,
)
from crm_lab.experiments.planted import (
    EFFECTS as EFFECTS,
)
from crm_lab.experiments.rerandomised import (
    Arms,
    Columns,
    Groups,
    both_arms,
    null_statistics,
    size_grid,
    t_statistics,
)
from crm_lab.gateway import Gateway, Reader, operations, redraws
from crm_lab.language import say, say_many
from crm_lab.stats.proportions import score_statistic

FloatArray = NDArray[np.float64]
NULL_PERMUTATIONS = 4_000
ALONE_PERMUTATIONS = 20_000
"""Splits of the one null distribution that serves every draw of one size."""
MIN_CUSTOMERS = 100
MAX_SALTED = 50_000
"""From this many customers on groups are drawn by a generator: a hash each is too dear."""
REVENUE, ADJUSTED = "revenue per customer", "revenue per customer, adjusted"


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
    by: DrawnBy | None = None,
    effects: tuple[float, ...] = EFFECTS,
    progress: bool = False,
) -> Calibration:
    """Draw control groups again and again on untouched history and count what tests claim.

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
        Source of the permutations and of the planted effects, and of the groups if they are drawn
        at random; the salts are fixed names.
    draws : int
        How many control groups.
    alpha : float
        Promised two-sided rate.
    by : {"salt", "random"}, optional
        Draw by the hash of the customer id under so many salts, which is the rule of the real
        control group and gives groups of slightly different sizes, or by the generator, groups of
        one size; by default the salt up to 50,000 customers, and the generator above.
    effects : tuple of float
        Effects to plant (0.1: 10 % more), ascending; none: false positives only.
    progress : bool
        Whether to show a progress bar on standard error.

    Raises
    ------
    DesignError
        Fewer than 100 customers, no draw, a share or an error rate that is none, or an effect that
        is not above 0.
    """
    bucket_ends({CONTROL: control_share})
    if draws < 1 or not 0 < alpha < 1 or not control_share < 1:
        raise DesignError(
            say(
                "{draws} draws of {share} with an error rate of {alpha}",
                draws=draws,
                share=control_share,
                alpha=alpha,
            ),
            expected=say("at least one draw, and rates between 0 and 1"),
        )
    if any(not 0 < effect < np.inf for effect in effects) or list(effects) != sorted(set(effects)):
        raise DesignError(
            say("effects of {sizes}", sizes=formats.listing(str(effect) for effect in effects)),
            expected=say("effects above 0, ascending"),
        )
    with gateway.reader() as reader:
        frame = reader.frame(
            operations.outcomes(
                population, starts_at=starts_at, ends_at=ends_at, pre_starts_at=pre_starts_at
            )
        )
        if len(frame) < MIN_CUSTOMERS:
            raise DesignError(
                say_many(
                    "{count} customer in '{base}'",
                    "{count} customers in '{base}'",
                    len(frame),
                    base=base,
                ),
                expected=say("at least {least}", least=MIN_CUSTOMERS),
            )
        drawn_by: DrawnBy = by or ("salt" if len(frame) <= MAX_SALTED else "random")
        salted = (
            _salted_groups(reader, frame["customer_id"], draws, control_share)
            if drawn_by == "salt"
            else None
        )
        snapshot = reader.snapshot
    values = _metrics(frame)
    planted = plant_effects(values, effects, control_share=control_share, rng=rng)
    columns = Columns.of({**values, **planted.columns})
    size = min(max(round(len(frame) * control_share), 2), len(frame) - 2)
    groups = (
        _usable(salted, columns)
        if salted is not None
        else Groups.random(columns, size=size, draws=draws, rng=rng)
    )
    tests = _count_claims(
        columns, groups, alpha=alpha, rng=rng, progress=progress, metrics=tuple(values)
    )
    power, coverage = planted.judged(columns, groups, alpha=alpha, rng=rng)
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
        drawn_by=drawn_by,
        power=power,
        coverage=coverage,
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
    then depends on the size of the control group only. It is drawn for sizes 3 % apart, and each
    draw is judged by the nearest: the t statistic is studentised, so what is left to depend on the
    size is its skewness, which changes with the square root of the size, by less than 1 %.
    """
    columns = Columns.of(_metrics(frame))
    return _count_claims(columns, _usable(groups, columns), alpha=alpha, rng=rng, progress=progress)


def count_random_claims(
    bought: NDArray[np.bool_],
    means: dict[str, FloatArray],
    *,
    size: int,
    draws: int,
    alpha: float,
    rng: np.random.Generator,
    permutations: int = NULL_PERMUTATIONS,
) -> tuple[FalsePositives, ...]:
    """Ask every test about control groups of one size drawn by a generator.

    Parameters
    ----------
    bought : ndarray of bool, shape (customers,)
        Who bought: the metric conversion.
    means : mapping of str to ndarray
        Name and values of every metric that is a mean per customer.
    size, draws : int
        Controls per group, and groups.
    alpha : float
        Promised two-sided rate.
    rng : numpy.random.Generator
        Source of groups and permutations.
    permutations : int
        Splits of the null distribution.
    """
    columns = Columns.of({CONVERSION: bought.astype(np.float64)} | means)
    groups = Groups.random(columns, size=size, draws=draws, rng=rng)
    return _count_claims(
        columns, groups, alpha=alpha, rng=rng, permutations=permutations, progress=False
    )


def _metrics(frame: pd.DataFrame) -> dict[str, FloatArray]:
    revenue = frame["revenue"].to_numpy(dtype=float)
    return {
        CONVERSION: (frame["orders"] > 0).to_numpy(dtype=float),
        REVENUE: revenue,
        ADJUSTED: _adjusted(revenue, frame["pre_revenue"].to_numpy(dtype=float)),
    }


def _usable(groups: list[NDArray[np.int64]], columns: Columns) -> Groups:
    """Leave out the draws with fewer than two customers on a side."""
    return Groups.of(
        [group for group in groups if 2 <= len(group) <= columns.population - 2], columns
    )


def _count_claims(
    columns: Columns,
    groups: Groups,
    *,
    alpha: float,
    rng: np.random.Generator,
    progress: bool,
    permutations: int | None = None,
    metrics: tuple[str, ...] = (),
) -> tuple[FalsePositives, ...]:
    """Count the claims of every test, on all columns or on those of ``metrics``."""
    if not groups.sizes.size:
        return ()
    own = columns.keep(metrics or columns.names)
    treated, control = both_arms(own, groups)
    t = t_statistics(treated, control)
    grid, nearest = size_grid(groups.sizes)
    splits = permutations or (ALONE_PERMUTATIONS if grid.size == 1 else NULL_PERMUTATIONS)
    nulls = [
        null_statistics(own, size=int(size), permutations=splits, rng=rng)
        for size in tqdm(grid, desc=say("null distributions"), disable=not progress, leave=False)
    ]
    found = []
    for number, metric in enumerate(own.names):
        statistic = t[:, number]
        if metric == CONVERSION:
            x_t, x_c = (
                np.rint(arm.means[:, number] * arm.sizes[:, 0]) for arm in (treated, control)
            )
            z = score_statistic(x_t, treated.sizes[:, 0], x_c, control.sizes[:, 0])
            p_value = 2 * special.ndtr(-np.abs(z))
            lifts, drops = (p_value <= alpha) & (z > 0), (p_value <= alpha) & (z < 0)
            known = np.ones(z.size, dtype=bool)
            found.append(_counted(metric, SCORE, known, lifts, drops, alpha, is_default=True))
            continue
        known = np.isfinite(statistic)
        if metric != ADJUSTED:
            p_value = _welch_p(statistic, treated, control, number)
            claims = known & (p_value <= alpha)
            found.append(
                _counted(
                    metric,
                    "Welch's t",
                    known,
                    claims & (statistic > 0),
                    claims & (statistic < 0),
                    alpha,
                    is_default=False,
                )
            )
        lifts, drops = mean_claims(
            statistic, [null[number] for null in nulls], nearest, alpha=alpha
        )
        found.append(
            _counted(
                metric, STUDENTISED, known, lifts & known, drops & known, alpha, is_default=True
            )
        )
    return tuple(found)


def _welch_p(t: FloatArray, treated: Arms, control: Arms, number: int) -> FloatArray:
    first, second = treated.errors[:, number], control.errors[:, number]
    spread = first**2 / (treated.sizes[:, 0] - 1) + second**2 / (control.sizes[:, 0] - 1)
    df = np.full(t.shape, np.nan)
    np.divide((first + second) ** 2, spread, out=df, where=spread > 0)
    return np.asarray(2 * special.stdtr(df, -np.abs(t)), dtype=np.float64)


def _counted(
    metric: str,
    method: str,
    known: NDArray[np.bool_],
    lifts: NDArray[np.bool_],
    drops: NDArray[np.bool_],
    alpha: float,
    *,
    is_default: bool,
) -> FalsePositives:
    return FalsePositives(
        metric=metric,
        method=method,
        draws=int(known.sum()),
        lifts=int((lifts & known).sum()),
        drops=int((drops & known).sum()),
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


def _salted_groups(
    reader: Reader, customer_ids: pd.Series[str], draws: int, share: float
) -> list[NDArray[np.int64]]:
    """Draw by the hash: the places of the controls under each salt."""
    places = pd.DataFrame({"place": np.arange(len(customer_ids)), "customer_id": customer_ids})
    reader.temporary_frame("redrawn", places, {"place": "INTEGER", "customer_id": "VARCHAR"})
    salts = tuple(f"aa-{index}" for index in range(draws))
    drawn = reader.frame(redraws.control_places("redrawn", salts, share))
    order = np.lexsort((drawn["place"], drawn["draw"]))
    place = drawn["place"].to_numpy(dtype=np.int64)[order]
    ends = np.searchsorted(drawn["draw"].to_numpy()[order], np.arange(draws + 1))
    return [place[ends[i] : ends[i + 1]] for i in range(draws)]
