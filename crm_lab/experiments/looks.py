"""Looks at a running experiment: which one the data have reached, and at what error rate.

A plan that names its looks may decide at each of them, on the data until its very moment, at the
error rate that the plan spends there. Between two looks the last one counts, and later orders wait
for the next. Before the first look every reading is a peek: it is shown, it is called so, and it
decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from crm_lab import formats
from crm_lab.experiments import wording
from crm_lab.experiments.plan import Plan
from crm_lab.language import say
from crm_lab.stats import Boundary, group_sequential

LATE = timedelta(days=1)
"""A day without a single order at its end does not keep a window open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One reading of an experiment.

    Attributes
    ----------
    number, of : int
        Which of the planned looks, from 1; 0 is a peek outside the plan.
    share : float
        Part of the window that has passed.
    until : datetime
        First moment that is not used (UTC).
    alpha : float
        Two-sided error rate of each arm's interval at this look.
    is_final : bool
        Whether the window is over.
    """

    number: int
    of: int
    share: float
    until: datetime
    alpha: float
    is_final: bool

    @property
    def is_planned(self) -> bool:
        """Whether the plan foresaw it, so that it may decide."""
        return self.number > 0


def current_look(plan: Plan, data_until: datetime | None) -> Look:
    """Give the reading that the data allow.

    Parameters
    ----------
    plan : Plan
        With its looks; without any there is one, at the end.
    data_until : datetime or None
        Last moment of which orders are known.

    Notes
    -----
    The share of the window stands for the share of the information. Customers who buy often buy in
    every part of the window, so that the results of two looks resemble each other more than the
    bounds assume, and the error rate that is spent is at most what was promised.
    """
    shares = plan.looks or (1.0,)
    alphas = nominal_alphas(plan)
    window = plan.ends_at - plan.starts_at
    moments = [plan.ends_at if share == 1 else plan.starts_at + share * window for share in shares]
    reached = [at for at in moments if data_until is not None and data_until >= at - LATE]
    if reached:
        at = len(reached) - 1
        return Look(
            number=len(reached),
            of=len(shares),
            share=shares[at],
            until=moments[at],
            alpha=alphas[at],
            is_final=len(reached) == len(shares),
        )
    until = plan.starts_at if data_until is None else max(data_until, plan.starts_at)
    return Look(
        number=0,
        of=len(shares),
        share=(until - plan.starts_at) / window,
        until=until,
        alpha=plan.alpha_per_arm,
        is_final=False,
    )


def window_is_complete(plan: Plan, data_until: datetime | None) -> bool:
    """Whether orders are known until the last day of the window."""
    return data_until is not None and data_until >= plan.ends_at - LATE


def nominal_alphas(plan: Plan) -> tuple[float, ...]:
    """Give the two-sided error rate of an arm's interval at each look."""
    if not plan.looks:
        return (plan.alpha_per_arm,)
    return group_sequential(
        plan.looks,
        alpha=plan.alpha_per_arm,
        power=plan.power,
        boundary=cast("Boundary", plan.boundary),
    ).nominal_p


def look_words(look: Look) -> str:
    """Say which reading this is."""
    if look.is_final:
        return say(wording.LOOK_FINAL)
    if not look.is_planned:
        return say(wording.LOOK_PEEK, share=formats.percent(look.share, decimals=0))
    return say(
        wording.LOOK_PLANNED,
        number=look.number,
        of=look.of,
        until=formats.last_day(look.until),
        alpha=formats.significant(look.alpha, figures=2),
    )
