"""The uplift, gain and Qini curve of a score: what contacting from the top down brings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.language import message, say, word
from crm_lab.stats.arguments import FloatArray
from crm_lab.uplift.contact_rules import check_score
from crm_lab.uplift.cumulative import (
    BINARY_ONLY,
    FORMULAS,
    Definition,
    Sums,
    coefficient,
    sums_by_score,
)
from crm_lab.uplift.trial import Evidence, Trial

CurveKind = Literal["uplift", "gain", "qini"]
SHOWN = 10

_SENTENCE = message(
    "{metric}: the best {share} of customers by this score have an effect of {top},"
    " all together one of {all}. {points} different scores; no interval stands here."
)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class UpliftCurve(Result):
    """The three curves of one score, one point per distinct score.

    Attributes
    ----------
    metric : str
        Name of the outcome.
    treatment, control : str
        Names of the arms.
    score : ndarray, shape (k,)
        Distinct scores, falling.
    sums : Sums
        Sums from the highest score down to each of them.
    evidence : {"randomised", "observational"}
        What the numbers rest on.
    is_binary : bool
        Whether the outcome is 0 or 1.
    """

    title: ClassVar[str] = message("Uplift by score")

    metric: str
    treatment: str
    control: str
    score: FloatArray
    sums: Sums
    evidence: Evidence
    is_binary: bool

    @property
    def depth(self) -> FloatArray:
        """Share of the customers down to each score."""
        return np.asarray(self.sums.n / self.sums.n[-1])

    @property
    def uplift(self) -> FloatArray:
        """Difference of the means among the customers down to each score; NaN without both arms."""
        both = (self.sums.weight_treated > 0) & (self.sums.weight_control > 0)
        return np.asarray(np.where(both, self.sums.effect, np.nan))

    @property
    def gain(self) -> FloatArray:
        """Incremental outcome per customer of the whole list; ends at the average effect."""
        return np.asarray(self.sums.gain / self.sums.n[-1])

    @property
    def qini(self) -> FloatArray:
        """The same counted in treated units, per treated unit; ends at the average effect."""
        return np.asarray(self.sums.qini / self.sums.n_treated[-1])

    def curve(self, kind: CurveKind) -> FloatArray:
        """Give one of the three curves."""
        curves = {"uplift": self.uplift, "gain": self.gain, "qini": self.qini}
        return curves[kind]

    def at(self, depth: ArrayLike, *, kind: CurveKind = "gain") -> FloatArray:
        """Give a curve at any depth from 0 to 1; gain and Qini rise straight within ties.

        The uplift at a depth is the gain there divided by the depth.
        """
        wanted = np.asarray(depth, dtype=np.float64)
        ends = np.concatenate([[0.0], self.depth])
        heights = self.gain if kind != "qini" else self.qini
        found = np.interp(wanted, ends, np.concatenate([[0.0], heights]))
        if kind != "uplift":
            return np.asarray(found)
        blank = np.full(found.shape, np.nan)
        return np.asarray(np.divide(found, wanted, out=blank, where=wanted > 0))

    def coefficients(self) -> dict[Definition, float]:
        """Give every coefficient that this outcome allows, without an interval."""
        return {
            name: float(coefficient(self.sums, name))
            for name in FORMULAS
            if self.is_binary or name not in BINARY_ONLY
        }

    def sentence(self) -> str:
        """Say the effect at the top and of all."""
        share = 0.3
        top, whole = (float(self.at(depth, kind="uplift")) for depth in (share, 1.0))
        return say(
            _SENTENCE,
            metric=word(self.metric),
            share=formats.percent(share, decimals=0),
            top=formats.number(top, decimals=4),
            all=formats.number(whole, decimals=4),
            points=formats.number(self.score.size),
        )

    def to_frame(self) -> pd.DataFrame:
        """Give one row per distinct score: depth, sums and curves."""
        return pd.DataFrame(
            {
                "score": self.score,
                "depth": self.depth,
                "customers": self.sums.n,
                "uplift": self.uplift,
                "gain": self.gain,
                "qini": self.qini,
            }
        )

    def card_frame(self) -> pd.DataFrame:
        """Give the curves at every tenth of the customers."""
        depth = np.arange(1, SHOWN + 1) / SHOWN
        kinds: tuple[CurveKind, ...] = ("uplift", "gain", "qini")
        return pd.DataFrame({"depth": depth} | {kind: self.at(depth, kind=kind) for kind in kinds})


def uplift_curve(trial: Trial, score: ArrayLike) -> UpliftCurve:
    """Give the uplift, gain and Qini curve of a score, ties merged.

    Parameters
    ----------
    trial : Trial
        Outcome, arms and the chance to be treated; with chances that differ the units are
        weighted by their inverse.
    score : array-like, shape (n,)
        Higher means contacted earlier. It must not have been fitted on the outcomes of these
        units.

    Raises
    ------
    DesignError
        When a score is missing or infinite.

    Notes
    -----
    The gain curve is ``(mean_t - mean_c) * n`` and the Qini curve ``Y_t - Y_c N_t / N_c`` among
    the ``n`` units with the highest scores (Radcliffe 2007). A constant score gives a straight
    line.

    Examples
    --------
    >>> trial = Trial(outcome=[1, 1, 0, 0, 1, 0], is_treated=[1, 1, 0, 0, 0, 1], probability=0.5)
    >>> curve = uplift_curve(trial, [2, 2, 2, 2, 1, 1])
    >>> [round(float(x), 4) for x in curve.gain]
    [0.6667, 0.3333]
    """
    values = check_score(score, trial.n)
    distinct, sums = sums_by_score(trial, values)
    return UpliftCurve(
        metric=trial.metric,
        treatment=trial.treatment,
        control=trial.control,
        score=distinct,
        sums=sums,
        evidence=trial.evidence,
        is_binary=trial.is_binary,
    )
