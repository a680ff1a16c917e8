"""Who the customers with the largest effects are: features of the top against the lowest (CLAN)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.language import message, say, word
from crm_lab.stats import adjust_p_values
from crm_lab.stats.arguments import check_count, check_share
from crm_lab.uplift.contact_rules import check_score
from crm_lab.uplift.contrast import PERMUTATIONS, difference_of_means
from crm_lab.uplift.resampling import score_groups

GROUPS = 5
MAXIMUM_LEVELS = 20
"""Levels of a text feature that are shown; the rarer ones are put together."""

OTHERS = "others"
_NOTHING = message(
    "Customers at the top and at the bottom of the score do not differ in any feature."
)
_DIFFER = message("Customers at the top of the score differ most in: {features}.")
_ONE_GROUP = message("The score is the same for everyone: there is no top and no bottom.")
_MORE = message("more {feature} ({top} against {low})")
_LESS = message("less {feature} ({top} against {low})")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class GroupProfile(Result):
    """Features of the customers with the highest and with the lowest scores.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per feature (per level of a text feature): means of top and lowest group, their
        difference with its interval, the standardised difference, the p-value adjusted by Holm.
    alpha : float
        Two-sided error level.
    n_top, n_lowest : int
        Customers in the two groups.
    """

    title: ClassVar[str] = message("Who the customers at the top are")

    table: pd.DataFrame
    alpha: float
    n_top: int
    n_lowest: int

    def sentence(self) -> str:
        """Name the features that differ most."""
        if self.n_lowest == 0:
            return say(_ONE_GROUP)
        differs = self.table[self.table["p_adjusted"] <= self.alpha]
        if differs.empty:
            return say(_NOTHING)
        order = differs["standardised"].abs().sort_values(ascending=False).index[:3]
        words = [
            say(
                _MORE if row["difference"] > 0 else _LESS,
                feature=_feature_text(row["feature"]),
                top=formats.number(row["top"], decimals=2),
                low=formats.number(row["lowest"], decimals=2),
            )
            for row in differs.loc[order].to_dict("records")
        ]
        return say(_DIFFER, features="; ".join(words))

    def to_frame(self) -> pd.DataFrame:
        """Give the table."""
        return self.table

    def card_frame(self) -> pd.DataFrame:
        """Give the table with the features as people read them."""
        return self.table.assign(feature=self.table["feature"].map(_feature_text))


def group_profile(
    features: pd.DataFrame,
    score: ArrayLike,
    *,
    alpha: float,
    rng: np.random.Generator,
    groups: int = GROUPS,
    permutations: int = PERMUTATIONS,
) -> GroupProfile:
    """Compare the features of the customers with the highest and with the lowest scores.

    Parameters
    ----------
    features : pandas.DataFrame, shape (n, k)
        What was known before assignment. Numbers are compared by their means (missing ones left
        out), texts and categories by the share of each level.
    score : array-like, shape (n,)
        The score.
    alpha : float
        Two-sided error level of all rows together (Holm), and of each interval alone.
    rng : numpy.random.Generator
        Source of the permutations.
    groups : int
        The top and the lowest of this many groups of about equal size are compared.
    permutations : int
        Random splits where an interval comes from permutation.

    Raises
    ------
    DesignError
        When the lengths differ or a score is missing.

    Notes
    -----
    It describes whom the score puts first. It does not say that a feature causes the effect.

    References
    ----------
    Chernozhukov et al. (2025), Econometrica 93, section 3.3 (classification analysis).

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> recency = rng.integers(1, 13, 2_000)
    >>> found = group_profile(pd.DataFrame({"recency": recency}), -recency, alpha=0.05, rng=rng)
    >>> found.table.loc[0, "difference"] < 0
    np.True_
    """
    check_share(alpha, "alpha")
    check_count(groups, "groups", minimum=2)
    if len(features.columns) == 0:
        raise DesignError(say("no feature is given"), expected=say("one column or more"))
    values = check_score(score, len(features))
    place, count = score_groups(values, groups)
    top, lowest = place == 0, (place == count - 1) & (count > 1)
    rows = []
    for name, column in _columns(features):
        first, second = (column[members & np.isfinite(column)] for members in (top, lowest))
        effect = difference_of_means(
            first, second, alpha=alpha, rng=rng, permutations=permutations
        ).absolute
        spread = float(np.nanstd(column)) if np.isfinite(column).any() else math.nan
        rows.append(
            {
                "feature": name,
                "top": float(first.mean()) if first.size else math.nan,
                "lowest": float(second.mean()) if second.size else math.nan,
                "difference": effect.estimate,
                "low": effect.low,
                "high": effect.high,
                "standardised": effect.estimate / spread if spread > 0 else math.nan,
                "p_value": effect.p_value,
                "reason": effect.reason,
            }
        )
    table = pd.DataFrame(rows)
    table["p_adjusted"] = adjust_p_values(table["p_value"].to_numpy(dtype=float))
    return GroupProfile(table=table, alpha=alpha, n_top=int(top.sum()), n_lowest=int(lowest.sum()))


def _feature_text(feature: str) -> str:
    """Say a feature, or a level of one, which is English in the data."""
    name, sign, level = feature.partition(": ")
    return f"{word(name)}{sign}{word(level)}"


def _columns(features: pd.DataFrame) -> list[tuple[str, np.ndarray]]:
    """Give every feature as numbers; levels of texts as 0 and 1."""
    found: list[tuple[str, np.ndarray]] = []
    for name in features.columns:
        column = features[name]
        if is_bool_dtype(column) or is_numeric_dtype(column):
            found.append((str(name), column.to_numpy(dtype=np.float64, na_value=np.nan)))
            continue
        texts = column.astype("string")
        levels = texts.value_counts()
        shown = [(f"{name}: {level}", texts == level) for level in levels.index[:MAXIMUM_LEVELS]]
        if len(levels) > MAXIMUM_LEVELS:
            shown.append((f"{name}: {OTHERS}", texts.isin(levels.index[MAXIMUM_LEVELS:])))
        found += [
            (label, member.to_numpy(dtype=np.float64, na_value=0.0)) for label, member in shown
        ]
    return found
