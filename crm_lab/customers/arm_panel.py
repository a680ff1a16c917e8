"""What else a campaign may have changed: activity, loss, unsubscribes, complaints, surveys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

import numpy as np
import pandas as pd

from crm_lab import formats
from crm_lab.customers import funnel_wording as wording
from crm_lab.customers.arms import CONTROL, ArmShares, arm_rows, arm_shares
from crm_lab.customers.funnel_wording import Basis
from crm_lab.customers.rates import MIN_UNITS
from crm_lab.language import say
from crm_lab.stats import Comparison, compare_means
from crm_lab.stats.arguments import FloatArray
from crm_lab.stats.net_shares import NetShare, net_share_interval

PROMOTER, DETRACTOR = 9, 6
"""An answer from 0 to 10: at least the first recommends, at most the second does not."""
PERMUTATIONS = 5_000


def arm_panel(
    panel: pd.DataFrame,
    *,
    experiment: str,
    arms: Sequence[str],
    starts_at: datetime,
    ends_at: datetime,
    known_until: datetime | None,
    active_days: int,
    alpha: float,
    rng: np.random.Generator,
    with_states: bool = True,
    reason: str = "",
) -> ArmShares:
    """Compare what else may have changed: activity, loss, unsubscribes, complaints, surveys.

    Survey scores are of those who answered, and who answers is not drawn by chance: observational.

    Parameters
    ----------
    panel : pandas.DataFrame
        Columns variant, is_active, is_lost, unsubscribed, complained, score (NPS, 0 to 10 or
        missing), satisfaction (CSAT, in the company's own scale, or missing): one row per customer
        drawn.
    experiment : str
        Name of the experiment.
    arms : sequence of str
        The arms that received something, in order.
    starts_at, ends_at : datetime
        The planned window (end excluded).
    known_until : datetime or None
        Last moment of which outcomes are known.
    active_days : int
        Length of the stretch before the end in which an active customer bought.
    alpha : float
        Two-sided error level of each interval, and of all tests together (Holm).
    rng : numpy.random.Generator
        Source of the permutations for the scores.
    with_states : bool
        Whether the base knows life-cycle states, without which nobody is recorded as lost.
    reason : str
        Why there is nothing.
    """
    known = panel.assign(answered=panel["score"].notna())
    columns = {
        name: say(words, days=active_days)
        for name, words in wording.OUTCOMES.items()
        if (name != "is_lost" or with_states) and (name != "answered" or known["answered"].any())
    }
    counts = known.groupby("variant")[list(columns)].sum().astype(int)
    counts = counts.assign(customers=known.groupby("variant").size()).reset_index()
    result = arm_shares(
        counts,
        columns,
        heading=say(wording.PANEL),
        experiment=experiment,
        arms=arms,
        starts_at=starts_at,
        ends_at=ends_at,
        known_until=known_until,
        alpha=alpha,
        notes=(say(wording.CONTROL_NOT_MAILED), say(wording.PANEL_BASIS)),
        reason=reason,
    )
    if result.reason:
        return result
    found: list[tuple[str, str, Basis, Comparison]] = [
        (row.outcome, row.arm, row.basis, row.comparison) for row in result.rows
    ]
    texts: dict[tuple[str, str], str] = {}
    compare = partial(compare_means, alpha=alpha, rng=rng, permutations=PERMUTATIONS)
    scores, nets = _answers(known, "score", arms), {}
    for name, values in scores.items():
        nets[name] = _net(values, alpha)
        texts[say(wording.NET_SCORE), name] = net_text(nets[name])
    satisfied = _answers(known, "satisfaction", arms)
    for name, values in satisfied.items():
        texts[say(wording.SATISFACTION), name] = _mean_text(values)
    signs = {name: 100 * _signs(values) for name, values in scores.items()}
    for outcome, values_of in (
        (say(wording.NET_SCORE), signs),
        (say(wording.SATISFACTION), satisfied),
    ):
        for arm in (name for name in arms if name in values_of):
            compared = compare(
                values_of[arm], values_of[CONTROL], metric=outcome, arms=(arm, CONTROL)
            )
            found.append((outcome, arm, "observational", compared))
    return replace(result, rows=arm_rows(found, texts), net_scores=nets)


def net_text(net: NetShare) -> str:
    """Write a net score from -100 to 100 with its interval; of few answers, only the interval.

    Examples
    --------
    >>> net_text(net_share_interval(50, 20, 100, alpha=0.05))
    '+30 (14 to 44)'
    """
    if not net.n:
        return say(wording.NOBODY)
    ends = formats.interval(100 * net.low, 100 * net.high, decimals=0)
    if net.n < MIN_UNITS:
        return say(wording.TOO_FEW_ANSWERS, n=net.n, ends=ends)
    return f"{formats.number(100 * net.estimate, signed=True)} ({ends})"


def _answers(panel: pd.DataFrame, column: str, arms: Sequence[str]) -> dict[str, FloatArray]:
    """Give the answers of the control group and of each arm; nothing where nobody answered."""
    found = {
        str(name): part[column].dropna().to_numpy(dtype=np.float64)
        for name, part in panel.groupby("variant")
        if name in (CONTROL, *arms)
    }
    return found if any(len(values) for values in found.values()) else {}


def _net(scores: FloatArray, alpha: float) -> NetShare:
    return net_share_interval(
        int((scores >= PROMOTER).sum()),
        int((scores <= DETRACTOR).sum()),
        len(scores),
        alpha=alpha,
    )


def _signs(scores: FloatArray) -> FloatArray:
    signs: FloatArray = (scores >= PROMOTER).astype(float) - (scores <= DETRACTOR).astype(float)
    return signs


def _mean_text(values: FloatArray) -> str:
    if len(values) < MIN_UNITS:
        return say(wording.FEW_ANSWERS, n=len(values)) if len(values) else say(wording.NOBODY)
    mean = formats.number(float(values.mean()), decimals=2)
    return say(wording.MEAN_OF, mean=mean, n=formats.number(len(values)))
