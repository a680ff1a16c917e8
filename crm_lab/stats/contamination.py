"""What contaminated controls and unreached units hide, when only their shares are known.

References
----------
See `crm_lab.stats.compliance`, which uses the marks of each unit instead of a share.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.language import message, say, word
from crm_lab.stats.arguments import as_given
from crm_lab.stats.effects import Comparison

_ASSUMPTIONS = (
    message("a contaminated control is changed as much as a treated unit that was reached"),
    message("contamination does not depend on how much the treatment changes a unit"),
    message("the stated shares are right: their own uncertainty is not in the interval"),
)
_NOT_ABOVE = message(
    "as many are reached in the control as in the treatment, so nothing can be told"
)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Dilution(Result):
    """What the difference would have been had the arms been kept apart.

    Attributes
    ----------
    metric : str
        Name of the metric.
    observed, observed_low, observed_high : float
        The difference as assigned, with its interval.
    estimate, low, high : float
        The difference between everybody reached and nobody reached, under the assumptions.
    remains : float
        Share of that difference that the comparison as it was can show, 0 to 1.
    reached_share, contaminated_share : float
        Share of the treated that was reached, and of the controls that was reached anyway.
    assumptions : tuple of str
        What the arithmetic rests on; none of it is checked by the data.
    reason : str
        Why there is no number; empty otherwise.
    """

    metric: str
    observed: float
    observed_low: float
    observed_high: float
    estimate: float
    low: float
    high: float
    remains: float
    reached_share: float
    contaminated_share: float
    assumptions: tuple[str, ...]
    reason: str = ""
    title: ClassVar[str] = message("What contamination hides")

    def sentence(self) -> str:
        """Say what the arms would have shown apart, and what that rests on."""
        if self.reason:
            return say(
                "{metric}: cannot conclude, because {reason}.",
                metric=word(self.metric),
                reason=self.reason,
            )
        return say(
            "{metric}: the arms differ by {observed}, with {controls} of the controls reached and"
            " {treated} of the treated. Kept apart they would differ by {apart}, if {assumptions}.",
            metric=word(self.metric),
            observed=formats.number_interval(self.observed, self.observed_low, self.observed_high),
            controls=formats.percent(self.contaminated_share),
            treated=formats.percent(self.reached_share),
            apart=formats.number_interval(self.estimate, self.low, self.high),
            assumptions="; ".join(self.assumptions),
        )

    def to_frame(self) -> pd.DataFrame:
        """Give both differences, a row each."""
        return pd.DataFrame(
            {
                "difference": ["as it was", "kept apart"],
                "estimate": [self.observed, self.estimate],
                "low": [self.observed_low, self.low],
                "high": [self.observed_high, self.high],
                "reason": [self.reason, self.reason],
            }
        )


def dilution(
    comparison: Comparison, *, contaminated_share: float, reached_share: float = 1.0
) -> Dilution:
    """Undo on paper what contaminated controls and unreached units took from a difference.

    Use it when it is known from elsewhere how many controls were reached. Where it is known per
    unit, `crm_lab.stats.compliance.complier_effect` uses that and carries its uncertainty.

    Parameters
    ----------
    comparison : Comparison
        The arms as assigned.
    contaminated_share : float
        Share of the controls that was reached all the same, 0 to below 1.
    reached_share : float
        Share of the treated that was reached, above 0 to 1.

    Returns
    -------
    Dilution
        Difference and interval divided by ``reached_share - contaminated_share``. When that is
        not above 0 they are NaN with a reason.

    Raises
    ------
    DesignError
        When a share is out of range.

    Examples
    --------
    >>> from crm_lab.stats import compare_proportions
    >>> found = dilution(compare_proportions(60, 1_000, 40, 1_000, alpha=0.05),
    ...                  contaminated_share=0.1, reached_share=0.9)
    >>> round(found.estimate, 4), round(found.remains, 2)
    (0.025, 0.8)
    """
    if not 0.0 <= contaminated_share < 1.0:
        raise DesignError(
            as_given("contaminated_share", contaminated_share),
            expected=say("a share of 0 to below 1"),
        )
    if not 0.0 < reached_share <= 1.0:
        raise DesignError(
            as_given("reached_share", reached_share), expected=say("a share above 0 to 1")
        )
    assigned = comparison.absolute
    remains = reached_share - contaminated_share
    reason = assigned.reason if not assigned.is_known else ""
    if not reason and remains <= 0:
        reason = say(_NOT_ABOVE)
    factor = math.nan if reason else 1.0 / remains
    return Dilution(
        metric=comparison.metric,
        observed=assigned.estimate,
        observed_low=assigned.low,
        observed_high=assigned.high,
        estimate=assigned.estimate * factor,
        low=assigned.low * factor,
        high=assigned.high * factor,
        remains=max(remains, 0.0),
        reached_share=reached_share,
        contaminated_share=contaminated_share,
        assumptions=tuple(say(text) for text in _ASSUMPTIONS),
        reason=reason,
    )
