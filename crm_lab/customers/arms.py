"""Arms of an experiment against its control group, by shares.

Everybody drawn counts, reached or not. Chance decided who is in which arm, so a difference beyond
chance is what the campaign did.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.customers import funnel_wording as wording
from crm_lab.customers.funnel_wording import Basis
from crm_lab.customers.rates import adjusted_words, basis_words, points_text, share_text
from crm_lab.language import say, word
from crm_lab.stats import (
    Comparison,
    adjust_p_values,
    compare_proportions,
    proportion_interval,
)
from crm_lab.stats.net_shares import NetShare

CONTROL = "control"
SAID_ROWS = 3
"""So many rows are said even where none of them differs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRow:
    """One outcome of one arm against the control group.

    Attributes
    ----------
    outcome, arm : str
        What is counted, in which arm.
    basis : {"randomised", "observational"}
        Whether the difference is an effect.
    treated_text, control_text : str
        The level of each side with its interval, for people.
    comparison : Comparison
        The difference with interval.
    p_adjusted : float
        p-value after Holm over every row of the table; NaN without a test.
    """

    outcome: str
    arm: str
    basis: Basis
    treated_text: str
    control_text: str
    comparison: Comparison
    p_adjusted: float

    @property
    def difference_text(self) -> str:
        """The difference with its interval, or why there is none."""
        effect = self.comparison.absolute
        if not effect.is_known:
            return effect.reason
        if self.comparison.scale == "share":
            return points_text(self.comparison)
        places = min(formats.decimals_for(effect.low, effect.high), 2)
        ends = formats.interval(effect.low, effect.high, decimals=max(places, 0))
        return f"{formats.number(effect.estimate, decimals=max(places, 0), signed=True)} ({ends})"

    @property
    def differs(self) -> bool:
        """Whether the arm differs from the control group by more than chance."""
        return self.p_adjusted <= self.comparison.absolute.alpha

    @property
    def differs_alone(self) -> bool:
        """Whether its own interval lies on one side of 0, whatever else was looked at."""
        effect = self.comparison.absolute
        return effect.is_known and (effect.low > 0 or effect.high < 0)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ArmShares(Result):
    """Outcomes of the arms of one experiment against its control group.

    Attributes
    ----------
    heading : str
        What the table is about.
    experiment : str
        Name of the experiment.
    rows : tuple of ArmRow
        One per outcome and arm.
    net_scores : mapping
        Net score (NPS) of the answers per arm, the control group included; empty without answers.
    starts_at, ends_at : datetime or None
        Window that is counted.
    notes : tuple of str
        What a reader must know to read it rightly.
    is_complete : bool
        Whether the whole window is known.
    reason : str
        Why there is nothing; empty otherwise.
    """

    plotter: ClassVar[str] = "crm_lab.plots.funnels:plot_arm_shares"

    heading: str
    experiment: str
    rows: tuple[ArmRow, ...]
    net_scores: Mapping[str, NetShare]
    starts_at: datetime | None
    ends_at: datetime | None
    notes: tuple[str, ...] = ()
    is_complete: bool = True
    reason: str = ""

    @property
    def title(self) -> str:  # type: ignore[override]
        """The heading of the card."""
        return say(self.heading)

    def sentence(self) -> str:
        """Say which arms differ from the control group, and in what."""
        if self.reason:
            return say(wording.CANNOT, reason=self.reason)
        adjusted = adjusted_words(sum(math.isfinite(row.p_adjusted) for row in self.rows))
        found = [row for row in self.rows if row.differs]
        others = [row for row in self.rows if not row.differs]
        parts = [_row_words(row, wording.DIFFERS) for row in found]
        if not found:
            parts.append(say(wording.NOTHING_DIFFERS, adjusted=adjusted))
            known = [row for row in others if row.comparison.absolute.is_known]
            if len(known) <= SAID_ROWS:
                parts += [_row_words(row, wording.ROW) for row in known]
            else:
                parts += _alone(known)
        elif others and len({row.outcome for row in self.rows}) == 1:
            named = formats.listing(word(row.arm) for row in others)
            parts.append(say(wording.CANNOT_CONCLUDE, arms=named, adjusted=adjusted))
        elif others:
            parts += [say(wording.NOTHING_ELSE, adjusted=adjusted), *_alone(others)]
        return " ".join([*parts, basis_words("randomised"), *self.notes])

    def number(self) -> str:
        """Give the difference where there is one arm and one outcome."""
        if self.reason or len(self.rows) != 1 or not self.rows[0].comparison.absolute.is_known:
            return ""
        return self.rows[0].difference_text

    def to_frame(self) -> pd.DataFrame:
        """Give one row per outcome and arm."""
        return pd.DataFrame(
            [
                {
                    "outcome": row.outcome,
                    "arm": row.arm,
                    "n_treatment": row.comparison.absolute.n_treatment,
                    "n_control": row.comparison.absolute.n_control,
                    "treatment": row.comparison.absolute.treatment_value,
                    "control": row.comparison.absolute.control_value,
                    "difference": row.comparison.absolute.estimate,
                    "low": row.comparison.absolute.low,
                    "high": row.comparison.absolute.high,
                    "p_adjusted": row.p_adjusted,
                    "basis": row.basis,
                    "method": row.comparison.absolute.method,
                    "reason": row.comparison.absolute.reason,
                }
                for row in self.rows
            ]
        )

    def card_frame(self) -> pd.DataFrame:
        """Give the rows as people read them."""
        is_one = len({row.outcome for row in self.rows}) == 1
        return pd.DataFrame(
            [
                ({} if is_one else {"outcome": row.outcome})
                | {
                    "arm": row.arm,
                    "difference": row.difference_text,
                    "p (Holm)": formats.p_value(row.p_adjusted),
                    "this arm": row.treated_text,
                    CONTROL: row.control_text,
                }
                | ({} if is_one else {"label": row.basis})
                for row in self.rows
            ]
        )


def arm_shares(
    counts: pd.DataFrame,
    outcomes: Mapping[str, str],
    *,
    heading: str,
    experiment: str,
    arms: Sequence[str],
    starts_at: datetime,
    ends_at: datetime,
    known_until: datetime | None,
    alpha: float,
    notes: tuple[str, ...] = (),
    reason: str = "",
) -> ArmShares:
    """Compare shares of each arm with the control group, everybody drawn counting.

    Parameters
    ----------
    counts : pandas.DataFrame
        Columns variant, customers and one column of counts per outcome: one row per variant.
    outcomes : mapping
        Column to what it counts, in words.
    heading, experiment : str
        What the table is about.
    arms : sequence of str
        The arms that received something, in order.
    starts_at, ends_at : datetime
        The planned window (end excluded).
    known_until : datetime or None
        Last moment of which outcomes are known; before ``ends_at`` the result says so.
    alpha : float
        Two-sided error level of each interval, and of all tests together (Holm).
    notes : tuple of str
        What a reader must know besides.
    reason : str
        Why there is nothing.
    """
    found = {str(row["variant"]): row for row in counts.to_dict("records")}
    reason = reason or _missing(found, arms, experiment, known_until)
    rows: list[tuple[str, str, Basis, Comparison]] = []
    if not reason:
        rows = [
            (
                words,
                arm,
                "randomised",
                compare_proportions(
                    int(found[arm][column]),
                    int(found[arm]["customers"]),
                    int(found[CONTROL][column]),
                    int(found[CONTROL]["customers"]),
                    alpha=alpha,
                    metric=words,
                    arms=(arm, CONTROL),
                ),
            )
            for column, words in outcomes.items()
            for arm in arms
            if arm in found
        ]
    is_complete = known_until is not None and known_until >= ends_at
    return ArmShares(
        heading=heading,
        experiment=experiment,
        rows=arm_rows(rows),
        net_scores={},
        starts_at=starts_at,
        ends_at=ends_at,
        notes=(*_open_note(ends_at, known_until, is_complete), *notes),
        is_complete=is_complete,
        reason=reason,
    )


def no_arms(heading: str, *, reason: str) -> ArmShares:
    """Give the comparison that cannot be made, with its reason."""
    return ArmShares(
        heading=heading,
        experiment="",
        rows=(),
        net_scores={},
        starts_at=None,
        ends_at=None,
        is_complete=False,
        reason=reason,
    )


def _row_words(row: ArmRow, form: str) -> str:
    return say(
        form,
        arm=word(row.arm),
        outcome=row.outcome,
        treated=row.treated_text,
        control=row.control_text,
        points=row.difference_text,
    )


def arm_rows(
    found: Sequence[tuple[str, str, Basis, Comparison]],
    texts: Mapping[tuple[str, str], str] | None = None,
) -> tuple[ArmRow, ...]:
    """Put comparisons into rows, with p-values adjusted by Holm over all of them.

    Parameters
    ----------
    found : sequence of (outcome, arm, basis, comparison)
        The comparisons, in order.
    texts : mapping, optional
        Levels in words by outcome and arm, for outcomes that are no shares.
    """
    adjusted = adjust_p_values([row[-1].absolute.p_value for row in found], method="holm")
    given, rows = dict(texts or {}), []
    for (outcome, arm, basis, comparison), p in zip(found, adjusted, strict=True):
        effect = comparison.absolute
        if comparison.scale == "share":
            given[outcome, arm] = _level(effect.treatment_value, effect.n_treatment, effect.alpha)
            given[outcome, CONTROL] = _level(effect.control_value, effect.n_control, effect.alpha)
        rows.append(
            ArmRow(
                outcome=outcome,
                arm=arm,
                basis=basis,
                treated_text=given[outcome, arm],
                control_text=given[outcome, CONTROL],
                comparison=comparison,
                p_adjusted=float(p),
            )
        )
    return tuple(rows)


def _level(share: float, n: int, alpha: float) -> str:
    events = round(share * n) if n else 0
    return share_text(proportion_interval(events, n, alpha=alpha))


def _missing(
    variants: Collection[str], arms: Sequence[str], experiment: str, known_until: datetime | None
) -> str:
    if known_until is None:
        return say(wording.NO_DEALS)
    if not set(arms) & set(variants):
        return say(wording.NO_MEMBERS, name=experiment)
    return "" if CONTROL in variants else say(wording.NO_CONTROL, name=experiment)


def _alone(rows: Sequence[ArmRow]) -> list[str]:
    """Name what differs if it is looked at alone: a harm must not hide behind many outcomes."""
    found = [_row_words(row, wording.ROW) for row in rows if row.differs_alone]
    return [say(wording.ALONE, differences=" ".join(found))] if found else []


def _open_note(
    ends_at: datetime, known_until: datetime | None, is_complete: bool
) -> tuple[str, ...]:
    if is_complete:
        return ()
    end, until = formats.last_day(ends_at), formats.day(known_until)
    return (say(wording.WINDOW_OPEN, end=end, until=until),)
