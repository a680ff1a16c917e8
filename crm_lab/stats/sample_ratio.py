"""Check that assignment gave each arm the share that the plan says.

A sample-ratio mismatch means that assignment, delivery or logging lost units of one arm; no effect
of such an experiment may be read.

References
----------
Fabijan, A. et al. (2019), "Diagnosing sample ratio mismatch in online controlled experiments",
KDD. Pearson, K. (1900), Philosophical Magazine 50.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd
from scipy import stats

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError, Fault
from crm_lab.language import message, say, word
from crm_lab.stats.arguments import check_count, check_share

EXACT_UP_TO_TOTAL = 1_000
EXACT_BELOW_EXPECTED = 10.0
_SHARE_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SampleRatio(Result):
    """Observed against planned units per arm.

    Attributes
    ----------
    observed : dict of str to int
        Units per arm, with 0 for a planned arm that has none.
    shares : dict of str to float
        Planned share per arm, summing to 1.
    p_value : float
        How likely a deviation at least this large is when assignment works; NaN without units.
    statistic : float
        Pearson's chi-square; NaN for the exact test.
    degrees_of_freedom : int
        Arms with a share above 0, less 1.
    method : str
        Chi-square or exact binomial test.
    alpha : float
        Level below which the sentence speaks of a mismatch; strict, because the check is made
        often and a mismatch stops the read-out.
    unplanned : dict of str to int
        Units in arms that have share 0 or are not in the plan; any such unit is a mismatch of its
        own, whatever the p-value of the planned arms.
    reason : str
        Why there is no p-value; empty otherwise.
    """

    observed: dict[str, int]
    shares: dict[str, float]
    p_value: float
    statistic: float
    degrees_of_freedom: int
    method: str
    alpha: float
    unplanned: dict[str, int]
    reason: str = ""
    title: ClassVar[str] = message("Sample ratio")

    @property
    def is_mismatch(self) -> bool:
        """Whether the arms deviate from the plan, or units are in an arm that has no share."""
        return bool(self.unplanned) or self.p_value < self.alpha

    def sentence(self) -> str:
        """Say whether the arms have the planned shares."""
        if self.unplanned:
            arms = formats.listing(
                f"{word(arm)} ({formats.number(n)})" for arm, n in self.unplanned.items()
            )
            return say(
                "Assignment is broken: units are in arms without a planned share: {arms}. "
                "Do not read effects before this is explained.",
                arms=arms,
            )
        if self.reason:
            return say("The sample ratio cannot be checked, because {reason}.", reason=self.reason)
        total = sum(self.observed.values())
        worst = max(self.shares, key=lambda arm: abs(self.observed[arm] / total - self.shares[arm]))
        found = formats.percent(self.observed[worst] / total, decimals=2)
        planned = formats.percent(self.shares[worst], decimals=2)
        shown = formats.p_value(self.p_value)
        evidence = say(
            "{arm} holds {found} of {total} units against {planned} planned (p {p})",
            arm=word(worst),
            found=found,
            total=formats.number(total),
            planned=planned,
            p=shown if shown.startswith("<") else f"= {shown}",
        )
        if self.is_mismatch:
            return say(
                "The arms do not have their planned shares: {evidence}. "
                "Do not read effects before this is explained.",
                evidence=evidence,
            )
        return say("The arms have their planned shares: {evidence}.", evidence=evidence)

    def to_frame(self) -> pd.DataFrame:
        """Give one row per arm: units observed and expected, shares observed and planned."""
        total = sum(self.observed[arm] for arm in self.shares)
        rows = [
            {
                "variant": arm,
                "observed": n,
                "expected": total * self.shares.get(arm, 0.0),
                "share": n / total if total and arm in self.shares else math.nan,
                "planned_share": self.shares.get(arm, 0.0),
                "p_value": self.p_value,
                "method": self.method,
            }
            for arm, n in self.observed.items()
        ]
        return pd.DataFrame(rows)


def sample_ratio_test(
    observed: Mapping[str, int], shares: Mapping[str, float], *, alpha: float = 0.001
) -> SampleRatio:
    """Test whether the arms hold the shares of units that the plan gives them.

    Parameters
    ----------
    observed : mapping of str to int
        Units found per arm. A planned arm that is missing counts as 0 units.
    shares : mapping of str to float
        Planned share per arm, 0 to 1, summing to 1. Arms of share 0 take no degree of freedom.
    alpha : float
        Level of the check, between 0 and 1.

    Raises
    ------
    DesignError
        When a count or share is impossible, or the shares do not sum to 1.

    Notes
    -----
    Two arms with at most 1,000 units in all, or with fewer than 10 expected in an arm, are
    tested by the exact binomial test; otherwise the test is Pearson's chi-square, which for three
    arms or more is only approximate when an arm expects fewer than about 5 units.

    Examples
    --------
    >>> check = sample_ratio_test({"control": 5_121, "mail": 94_879}, {"control": .05, "mail": .95})
    >>> round(check.p_value, 4), check.is_mismatch
    (0.0791, False)
    """
    check_share(alpha, "alpha")
    counts = {
        arm: check_count(n, say("units of arm {arm}", arm=word(arm))) for arm, n in observed.items()
    }
    _check_shares(shares)
    planned = {arm: float(share) for arm, share in shares.items() if share > 0}
    counts |= {arm: 0 for arm in planned if arm not in counts}
    unplanned = {arm: n for arm, n in counts.items() if n and arm not in planned}
    total = sum(counts[arm] for arm in planned)
    expected = [total * share for share in planned.values()]
    found = [counts[arm] for arm in planned]
    degrees = len(planned) - 1
    statistic, reason, method = math.nan, "", "chi-square test"
    p_value = math.nan
    if total == 0:
        reason = say("no planned arm holds a unit")
    elif degrees == 0:
        reason = say("the plan has one arm")
    elif degrees == 1 and (total <= EXACT_UP_TO_TOTAL or min(expected) < EXACT_BELOW_EXPECTED):
        method = "exact binomial test"
        share = next(iter(planned.values()))
        p_value = float(stats.binomtest(found[0], total, share).pvalue)
    else:
        statistic = math.fsum((n - e) ** 2 / e for n, e in zip(found, expected, strict=True))
        p_value = float(stats.chi2.sf(statistic, degrees))
    return SampleRatio(
        observed=counts,
        shares=planned,
        p_value=p_value,
        statistic=statistic,
        degrees_of_freedom=degrees,
        method=method,
        alpha=alpha,
        unplanned=unplanned,
        reason=reason,
    )


def _check_shares(shares: Mapping[str, float]) -> None:
    faults = [
        Fault(
            found=say("share of arm {arm} is {share}", arm=word(arm), share=share),
            expected=say("a number from 0 to 1"),
        )
        for arm, share in shares.items()
        if not 0.0 <= share <= 1.0
    ]
    total = math.fsum(shares.values())
    if not faults and abs(total - 1.0) > _SHARE_SUM_TOLERANCE:
        faults.append(
            Fault(
                found=say("the shares sum to {total}", total=formats.significant(total, figures=6)),
                expected=say("a sum of 1"),
            )
        )
    if faults:
        raise DesignError(faults)
