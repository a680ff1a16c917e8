"""Shares of groups of customers: each with its interval, and the best one only if it is certain."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.customers import funnel_wording as wording
from crm_lab.customers.funnel_wording import Basis
from crm_lab.errors import DesignError
from crm_lab.language import say, word
from crm_lab.stats import Comparison, ProportionEstimate, compare_proportions, proportion_interval
from crm_lab.stats.ranked_shares import rank_shares

MIN_UNITS = 30
"""Below so many units a share is not written as a number: its interval spans a third or more."""
_LISTED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRate:
    """The share of one group.

    Attributes
    ----------
    group : str
        Name of the group.
    rate : ProportionEstimate
        Its share with interval.
    p_against_top : float
        Adjusted p-value of "as large as the largest"; NaN for that one and where not compared.
    """

    group: str
    rate: ProportionEstimate
    p_against_top: float = math.nan

    @property
    def is_thin(self) -> bool:
        """Whether the group is too small for its share to be written as a number."""
        return self.rate.n < MIN_UNITS


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class GroupRates(Result):
    """Shares of several groups side by side.

    Attributes
    ----------
    subject, event, unit : str
        What the groups are, what is counted, and of what (plural).
    basis : {"randomised", "observational"}
        Whether chance decided who was in which group.
    rows : tuple of GroupRate
        Groups large enough first, by share; then the others by size.
    overall : ProportionEstimate
        All groups together.
    best : str
        The group whose share is certainly the largest; empty when none is.
    comparisons : int
        Pairs of groups that were tested, which the p-values allow for.
    pair : Comparison or None
        The two groups that the page asks about, compared.
    left_out : mapping
        Who is not counted: why, and how many.
    until : datetime or None
        Last moment that counts.
    reason : str
        Why there is nothing; empty otherwise.
    """

    plotter: ClassVar[str] = "crm_lab.plots.funnels:plot_rates"

    subject: str
    event: str
    unit: str
    basis: Basis
    rows: tuple[GroupRate, ...]
    overall: ProportionEstimate
    best: str
    comparisons: int
    pair: Comparison | None
    left_out: Mapping[str, int]
    until: datetime | None
    reason: str = ""

    @property
    def title(self) -> str:  # type: ignore[override]
        """The heading of the card."""
        return say(wording.BY_SUBJECT, subject=word(self.subject), event=self.event)

    def sentence(self) -> str:
        """Say the overall share, the best group only if it is certain, and on what basis."""
        if self.reason:
            return say(wording.CANNOT, reason=self.reason)
        parts = [
            say(
                wording.OF_UNITS,
                n=formats.number(self.overall.n),
                unit=word(self.unit),
                share=share_text(self.overall),
                event=self.event,
            ),
            *([self._pair_words()] if self.pair is not None else [self._best_words()]),
            left_out_words(self.left_out),
            basis_words(self.basis),
        ]
        return " ".join(part for part in parts if part)

    def number(self) -> str:
        """Give the difference that the page asks about, where there is one."""
        if self.reason or self.pair is None or not self.pair.absolute.is_known:
            return ""
        return points_text(self.pair)

    def number_label(self) -> str:
        """Say that it is a difference."""
        return say("Difference")

    def to_frame(self) -> pd.DataFrame:
        """Give one row per group: group, n, events, share, low, high, p, basis."""
        return pd.DataFrame(
            [
                {
                    "group": row.group,
                    "n": row.rate.n,
                    "events": row.rate.events,
                    "share": row.rate.estimate,
                    "low": row.rate.low,
                    "high": row.rate.high,
                    "p_against_top": row.p_against_top,
                    "basis": self.basis,
                }
                for row in self.rows
            ]
        )

    def card_frame(self) -> pd.DataFrame:
        """Give the groups as people read them."""
        return pd.DataFrame(
            [
                {
                    self.subject: row.group,
                    "share": share_text(row.rate),
                    self.unit: counted_text(row.rate),
                }
                | ({} if self.pair else {"p (Holm)": _known_p(row.p_against_top)})
                for row in self.rows
            ]
        )

    def _pair_words(self) -> str:
        assert self.pair is not None
        effect, rates = self.pair.absolute, {row.group: row.rate for row in self.rows}
        first, second = self.pair.variant, self.pair.control
        return say(
            wording.PAIR,
            subject=word(self.subject),
            first=word(first),
            first_share=share_text(rates[first]),
            second=word(second),
            second_share=share_text(rates[second]),
            points=points_text(self.pair),
            conclusion=say(wording.PAIR_DIFFERS if effect.is_significant else wording.PAIR_UNSURE),
        )

    def _best_words(self) -> str:
        large = [row for row in self.rows if not row.is_thin]
        thin = [word(row.group) for row in self.rows if row.is_thin]
        if not large:
            return say(wording.NO_GROUP, minimum=MIN_UNITS, unit=word(self.unit))
        if len(large) == 1:
            said = say(wording.ONE_GROUP, minimum=MIN_UNITS)
        elif self.best:
            said = say(
                wording.BEST,
                top=word(self.best),
                others=formats.listing((word(row.group) for row in large[1:]), limit=_LISTED),
                adjusted=adjusted_words(self.comparisons),
            )
        else:
            alpha = self.overall.alpha
            rivals = [word(row.group) for row in large[1:] if not row.p_against_top <= alpha]
            said = say(
                wording.NOT_BEST,
                top=word(large[0].group),
                rivals=formats.listing(rivals, limit=_LISTED),
            )
        if thin:
            groups = formats.listing(thin, limit=_LISTED)
            said += " " + say(wording.THIN_GROUPS, minimum=MIN_UNITS, groups=groups)
        return said


def group_rates(
    counts: pd.DataFrame,
    *,
    subject: str,
    event: str,
    unit: str,
    alpha: float,
    until: datetime | None,
    basis: Basis = "observational",
    pair: tuple[str, str] | None = None,
    left_out: Mapping[str, int] | None = None,
    reason: str = "",
) -> GroupRates:
    """Give the share of each group with its interval, and the best group only if it is certain.

    Parameters
    ----------
    counts : pandas.DataFrame
        Columns group, n, events: one row per group, groups without units in common.
    subject, event, unit : str
        See :class:`GroupRates`.
    alpha : float
        Two-sided error level of each interval, and of all comparisons together.
    until : datetime or None
        Last moment that counts.
    basis : {"randomised", "observational"}
        Whether chance decided who was in which group.
    pair : tuple of str, optional
        Two groups to compare, the first against the second, instead of looking for the best;
        left where one of them is too small.
    left_out : mapping, optional
        Who is not counted: why, and how many.
    reason : str
        Why there is nothing to count.

    Raises
    ------
    DesignError
        A group stands there twice.

    Examples
    --------
    >>> counts = pd.DataFrame({"group": ["a", "b"], "n": [400, 3], "events": [40, 2]})
    >>> found = group_rates(counts, subject="form", event="won", unit="registrations",
    ...                     alpha=0.05, until=None)
    >>> found.best, found.card_frame()["share"].tolist()
    ('', ['10.0 % (7.4 to 13.3 %)', 'too few to say: 2 of 3, between 21 and 94 %'])
    """
    if counts["group"].duplicated().any():
        raise DesignError(say("a group stands there twice"), expected=say("one row per group"))
    triples = [
        (str(group), int(events), int(n))
        for group, events, n in zip(counts["group"], counts["events"], counts["n"], strict=True)
    ]
    triples.sort(key=lambda item: (item[2] < MIN_UNITS, -item[1] / max(item[2], 1), -item[2]))
    large = [item for item in triples if item[2] >= MIN_UNITS]
    ranked = rank_shares([x for _, x, _ in large], [n for _, _, n in large], alpha=alpha)
    p_values = dict(zip((group for group, _, _ in large), ranked.p_against_top, strict=True))
    total, everything = sum(n for _, _, n in triples), sum(x for _, x, _ in triples)
    return GroupRates(
        subject=subject,
        event=event,
        unit=unit,
        basis=basis,
        rows=tuple(
            GroupRate(
                group=group,
                rate=proportion_interval(x, n, alpha=alpha),
                p_against_top=p_values.get(group, math.nan),
            )
            for group, x, n in triples
        ),
        overall=proportion_interval(everything, total, alpha=alpha),
        best=large[ranked.top][0] if ranked.is_certain else "",
        comparisons=ranked.comparisons,
        pair=_compared(triples, pair, event=event, alpha=alpha),
        left_out=dict(left_out or {}),
        until=until,
        reason=reason or ("" if total else say(wording.NOBODY)),
    )


def share_text(rate: ProportionEstimate) -> str:
    """Write a share with its interval; of few units, only what the interval leaves open.

    Examples
    --------
    >>> share_text(proportion_interval(30, 100, alpha=0.05))
    '30 % (22 to 40 %)'
    >>> share_text(proportion_interval(2, 3, alpha=0.05))
    'too few to say: 2 of 3, between 21 and 94 %'
    """
    if not rate.n:
        return say(wording.NOBODY)
    low, high = 100 * rate.low, 100 * rate.high
    if rate.n < MIN_UNITS:
        return say(
            wording.TOO_FEW,
            events=formats.number(rate.events),
            n=formats.number(rate.n),
            low=formats.number(low),
            high=formats.percent(rate.high, decimals=0),
        )
    places = min(max(formats.decimals_for(low, high), 0), 3)
    ends = formats.interval(low, high, decimals=places, unit="%")
    return f"{formats.percent(rate.estimate, decimals=places)} ({ends})"


def points_text(comparison: Comparison) -> str:
    """Write the difference of two shares in percentage points with its interval."""
    effect = comparison.absolute
    estimate, low, high = (100 * x for x in (effect.estimate, effect.low, effect.high))
    places = min(max(formats.decimals_for(low, high), 0), 3)
    return say(
        wording.POINTS,
        points=formats.number(estimate, decimals=places, signed=True),
        interval=formats.interval(low, high, decimals=places),
    )


def counted_text(rate: ProportionEstimate) -> str:
    """Write how many of how many, without a share."""
    return say(wording.COUNTED, events=formats.number(rate.events), n=formats.number(rate.n))


def label(basis: Basis) -> str:
    """Say the label of a number, where nothing is compared."""
    return say(wording.BASIS_ALONE[basis])


def basis_words(basis: Basis) -> str:
    """Say the label of a comparison and what it allows to conclude."""
    return say(wording.BASIS_SHORT[basis])


def left_out_words(left_out: Mapping[str, int]) -> str:
    """Say who is not counted and why; nothing where everybody is."""
    said = [
        say(wording.LEFT_OUT, count=formats.number(count), why=why)
        for why, count in left_out.items()
        if count
    ]
    return say(wording.NOT_COUNTED, groups="; ".join(said)) if said else ""


def month_text(cohort: str) -> str:
    """Write a month that is known as 2026-03."""
    return formats.month(date.fromisoformat(f"{cohort}-01"))


def adjusted_words(comparisons: int) -> str:
    """Say how many comparisons the p-values allow for; nothing for a single one."""
    return say(wording.ADJUSTED, n=comparisons) if comparisons > 1 else ""


def _known_p(value: float) -> str:
    return formats.p_value(value) if math.isfinite(value) else ""


def _compared(
    triples: list[tuple[str, int, int]],
    pair: tuple[str, str] | None,
    *,
    event: str,
    alpha: float,
) -> Comparison | None:
    known = {group: (x, n) for group, x, n in triples}
    if pair is None or not set(pair) <= set(known):
        return None
    first, second = pair
    if min(known[first][1], known[second][1]) < MIN_UNITS:
        return None
    return compare_proportions(*known[first], *known[second], alpha=alpha, metric=event, arms=pair)
