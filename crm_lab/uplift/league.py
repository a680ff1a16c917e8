"""The league of learners: how well each ranks customers, models, response and plain rules alike.

Every learner is judged on the same customers and the same cuts, so that differences are seen
sharper than each one alone. The best of many is partly lucky: it is named best only where the
others can be told from it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.language import say
from crm_lab.stats import adjust_p_values
from crm_lab.stats.normal import implied_p_value
from crm_lab.uplift import wording
from crm_lab.uplift.contrast import PERMUTATIONS
from crm_lab.uplift.cross_fitting import CrossFitted
from crm_lab.uplift.cumulative import FORMULAS
from crm_lab.uplift.rank_results import RankComparison, RankQuality
from crm_lab.uplift.ranking import compare_rankings, rank_quality
from crm_lab.uplift.trial import Evidence, Trial

DEFINITION: Final = "gain"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeagueRow:
    """One learner of the league.

    Attributes
    ----------
    learner, trained_on : str
        Name of the learner and the outcome that it learned from.
    quality : RankQuality
        Incremental outcome per 1,000 customers above a random order, mean over all depths.
    holm : float
        Test of "no better or worse than random", adjusted for the number of learners.
    gap : RankComparison or None
        The first of the league less this one, on the same customers; None for the first.
    """

    learner: str
    trained_on: str
    quality: RankQuality
    holm: float
    gap: RankComparison | None

    @property
    def name(self) -> str:
        """Name of the learner with what it was trained on."""
        return self.quality.name

    @property
    def is_tied(self) -> bool:
        """Whether the data cannot tell it from the first."""
        return self.gap is not None and not self.gap.difference.is_above(0.0)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class UpliftLeague(Result):
    """Learners of one trial, the best ranking first.

    Attributes
    ----------
    treatment, metric : str
        What was sent and what is ranked by.
    rows : tuple of LeagueRow
        The learners.
    alpha : float
        Two-sided error level of every interval.
    folds, repeats : int
        How customers were cut.
    evidence : {"randomised", "observational"}
        What the numbers rest on.
    n : int
        Customers of the trial.
    """

    title: ClassVar[str] = wording.LEAGUE_TITLE
    plotter: ClassVar[str] = "crm_lab.plots.uplift:plot_league"

    treatment: str
    metric: str
    rows: tuple[LeagueRow, ...]
    alpha: float
    folds: int
    repeats: int
    evidence: Evidence
    n: int

    @property
    def first(self) -> LeagueRow:
        """The learner with the largest coefficient."""
        return self.rows[0]

    def sentence(self) -> str:
        """Say which ranks best, whether that is better than chance, and which are as good."""
        caution = [] if self.evidence == "randomised" else [say(wording.OBSERVATIONAL)]
        first = self.first
        name = wording.name_text(first.name)
        if not first.quality.value.is_known:
            return " ".join([say(wording.UNKNOWN, reason=first.quality.value.reason), *caution])
        if not (first.holm <= self.alpha and first.quality.is_better_than_random):
            text = say(
                wording.LEAGUE_NONE, count=len(self.rows), first=name, number=shown(first.quality)
            )
            return " ".join([text, *caution])
        tied = [row for row in self.rows if row.is_tied]
        parts = [say(wording.LEAGUE_FIRST, first=name, number=shown(first.quality))]
        if tied:
            plain = [
                row for row in tied if row.learner.startswith((wording.RULE, wording.RESPONSE))
            ]
            such = [wording.name_text(row.name) for row in plain or tied]
            parts.append(
                say(
                    wording.LEAGUE_TIED,
                    tied=len(tied),
                    others=len(self.rows) - 1,
                    such=formats.listing(such, limit=3),
                )
            )
        else:
            parts.append(say(wording.LEAGUE_ALONE))
        return " ".join([*parts, *caution])

    def number(self) -> str:
        """Give the coefficient of the first with its interval."""
        return shown(self.first.quality) if self.first.quality.value.is_known else ""

    def number_label(self) -> str:
        """Say what the coefficient counts."""
        return say("Per 1,000 customers above a random order")

    def to_frame(self) -> pd.DataFrame:
        """Give one row per learner: coefficient, interval, tests, gap to the first."""
        return pd.DataFrame([self._row(row) for row in self.rows])

    def card_frame(self) -> pd.DataFrame:
        """Give learner, coefficient, gap to the first, and what they say."""
        return pd.DataFrame(
            {
                "learner": wording.name_text(row.name),
                "per 1,000 customers": shown(row.quality),
                "the first less this": "" if row.gap is None else _gap(row.gap),
                "says": self._says(row),
            }
            for row in self.rows
        )

    def _says(self, row: LeagueRow) -> str:
        if not row.quality.value.is_known:
            return row.quality.value.reason
        known = row.holm <= self.alpha
        if known and row.quality.is_better_than_random:
            ranks = wording.RANKS_BETTER
        elif known:
            ranks = wording.RANKS_WORSE
        else:
            ranks = wording.RANKS_OPEN
        if row.gap is None:
            return say(ranks)
        return f"{say(ranks)}; {say(wording.TIED if row.is_tied else wording.BEHIND)}"

    def _row(self, row: LeagueRow) -> dict[str, object]:
        value = row.quality.value
        gap = None if row.gap is None else row.gap.difference
        return {
            "learner": row.learner,
            "trained_on": row.trained_on,
            "metric": self.metric,
            "definition": FORMULAS[row.quality.definition],
            "estimate": value.estimate,
            "low": value.low,
            "high": value.high,
            "p_value": p_value_of(row.quality),
            "holm": row.holm,
            "split_sd": row.quality.split_sd,
            "gap_to_first": 0.0 if gap is None else gap.estimate,
            "gap_low": 0.0 if gap is None else gap.low,
            "gap_high": 0.0 if gap is None else gap.high,
            "is_tied": row.gap is None or row.is_tied,
            "evidence": self.evidence,
            "method": value.method,
            "reason": value.reason,
        }


def league(
    fitted: Sequence[CrossFitted],
    trial: Trial,
    *,
    alpha: float,
    rng: np.random.Generator,
    permutations: int = PERMUTATIONS,
) -> UpliftLeague:
    """Rank the learners by how well they rank customers, each beside the first.

    Parameters
    ----------
    fitted : sequence of CrossFitted
        The learners.
    trial : Trial
        The outcome.
    alpha : float
        Two-sided error level.
    rng : numpy.random.Generator
        Source of the permutations.
    permutations : int
        Random splits where an interval comes from permutation.

    Raises
    ------
    DesignError
        There is no learner.
    """
    if not fitted:
        raise DesignError(say("there is no learner"), expected=say("one or more"))
    ranks = {item.label: item.ranks for item in fitted}
    qualities = [
        rank_quality(
            trial,
            ranks[item.label],
            alpha=alpha,
            rng=rng,
            definition=DEFINITION,
            name=item.label,
            permutations=permutations,
        )
        for item in fitted
    ]
    adjusted = adjust_p_values([p_value_of(found) for found in qualities], method="holm")
    order = sorted(range(len(fitted)), key=lambda place: _sort_key(qualities[place]))
    first = fitted[order[0]].label
    rows = []
    for place in order:
        item, quality = fitted[place], qualities[place]
        gap = None
        if item.label != first:
            gap = compare_rankings(
                trial,
                ranks[first],
                ranks[item.label],
                alpha=alpha,
                rng=rng,
                definition=DEFINITION,
                names=(first, item.label),
                permutations=permutations,
            )
        rows.append(
            LeagueRow(
                learner=item.learner,
                trained_on=item.trained_on,
                quality=quality,
                holm=float(adjusted[place]),
                gap=gap,
            )
        )
    return UpliftLeague(
        treatment=trial.treatment,
        metric=trial.metric,
        rows=tuple(rows),
        alpha=alpha,
        folds=fitted[0].folds.count,
        repeats=fitted[0].folds.repeats,
        evidence=trial.evidence,
        n=trial.n,
    )


def p_value_of(quality: RankQuality) -> float:
    """Give the test of "no better or worse than random", from the interval where there is none.

    The interval may hold more than the test does (what repeated cuts add), and then there is no
    test that belongs to it: the half of the interval towards chance is read as that of a normal.
    """
    value, level = quality.value, quality.random_level
    if math.isfinite(value.p_value) or not value.is_known:
        return value.p_value
    return implied_p_value(value.estimate, value.low, value.high, against=level, alpha=value.alpha)


def shown(quality: RankQuality) -> str:
    """Write a coefficient with its interval."""
    value = quality.value
    if not value.is_known:
        return say(formats.CANNOT_TELL)
    return formats.number_interval(value.estimate, value.low, value.high)


def _gap(gap: RankComparison) -> str:
    value = gap.difference
    if not value.is_known:
        return say(formats.CANNOT_TELL)
    return formats.number_interval(value.estimate, value.low, value.high)


def _sort_key(quality: RankQuality) -> tuple[bool, float, str]:
    known = quality.value.is_known
    return (not known, -quality.value.estimate if known else 0.0, quality.name)
