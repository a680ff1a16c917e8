"""The leave-alone list: customers whose expected effect does not pay for the contact.

They buy by themselves, or do not buy at all, or are driven away. What the company saves by leaving
them alone is measured on the customers of the trial whom the rule would leave alone; whether it
stays so is tested by contacting a part of the list, drawn by its own hash, in the next epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.language import say
from crm_lab.uplift import wording
from crm_lab.uplift.contact_rules import check_rule
from crm_lab.uplift.contrast import PERMUTATIONS
from crm_lab.uplift.estimate import Estimate, Predictions
from crm_lab.uplift.policy import Economics, policy_value
from crm_lab.uplift.trial import Evidence, Trial


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LeaveAlone(Result):
    """What leaving the customers of the list alone saves.

    Attributes
    ----------
    treatment, metric, currency : str
        What they are not sent, the outcome, the unit.
    listed, audience : int
        Customers on the list, and of the audience that it was made from.
    in_trial : float
        Customers of the trial whom the rule leaves alone; the saving is measured on them.
    contact_cost : float
        What contacting the list would cost: exact.
    margin_lost : Estimate
        Margin that comes only by contacting them, over the list.
    saved : Estimate
        Contact cost less margin lost, over the list.
    evidence : {"randomised", "observational"}
        What the numbers rest on.
    """

    title: ClassVar[str] = wording.LEAVE_TITLE

    treatment: str
    metric: str
    currency: str
    listed: int
    audience: int
    in_trial: float
    contact_cost: float
    margin_lost: Estimate
    saved: Estimate
    evidence: Evidence

    @property
    def is_shown(self) -> bool:
        """Whether the trial shows that leaving them alone saves money."""
        return self.saved.is_above(0.0)

    @property
    def is_refuted(self) -> bool:
        """Whether the trial shows that leaving them alone loses money."""
        return self.saved.is_below(0.0)

    def sentence(self) -> str:
        """Say who is left alone, what it saves and whether that is shown."""
        if not self.listed:
            return say(wording.LEAVE_NOBODY, n=formats.number(self.audience))
        parts = [
            say(
                wording.LEAVE_LIST,
                listed=formats.number(self.listed),
                n=formats.number(self.audience),
                share=formats.percent(self.listed / self.audience, decimals=0),
                cost=formats.money(self.contact_cost, self.currency).strip(),
            )
        ]
        if not self.saved.is_known:
            parts.append(say(wording.UNKNOWN, reason=self.saved.reason))
        elif self.is_shown:
            parts.append(say(wording.LEAVE_SHOWN, saved=self._amount(self.saved)))
        elif self.is_refuted:
            parts.append(say(wording.LEAVE_REFUTED, saved=self._amount(self.saved)))
        else:
            parts.append(say(wording.LEAVE_OPEN, saved=self._amount(self.saved)))
        if self.evidence != "randomised":
            parts.append(say(wording.OBSERVATIONAL))
        return " ".join(parts)

    def number(self) -> str:
        """Give the money saved with its interval."""
        return self._amount(self.saved) if self.saved.is_known and self.listed else ""

    def to_frame(self) -> pd.DataFrame:
        """Give contact cost, margin lost and money saved, one row each."""
        exact = (self.contact_cost, self.contact_cost, self.contact_cost, "exact", "")
        rows = [
            ("contact cost not spent", *exact),
            *(
                (what, value.estimate, value.low, value.high, value.method, value.reason)
                for what, value in (
                    ("margin not earned", self.margin_lost),
                    ("saved", self.saved),
                )
            ),
        ]
        columns = ["what", "estimate", "low", "high", "method", "reason"]
        frame = pd.DataFrame(rows, columns=columns)
        return frame.assign(customers=self.listed, evidence=self.evidence)

    def card_frame(self) -> pd.DataFrame:
        """Give the three amounts with their intervals."""
        return pd.DataFrame(
            {
                "what": ["contact cost not spent", "margin not earned", "saved"],
                "amount (interval)": [
                    formats.money(self.contact_cost, self.currency).strip(),
                    self._amount(self.margin_lost),
                    self._amount(self.saved),
                ],
            }
        )

    def _amount(self, value: Estimate) -> str:
        if not value.is_known:
            return say(formats.CANNOT_TELL)
        ends = (value.estimate, value.low, value.high)
        return formats.money_interval(*ends, self.currency).replace("  ", " ")


def leave_alone(
    trial: Trial,
    contact: ArrayLike,
    *,
    economics: Economics,
    alpha: float,
    rng: np.random.Generator,
    predictions: Predictions | None = None,
    listed: int | None = None,
    audience: int | None = None,
    is_cross_fitted: bool = False,
    permutations: int = PERMUTATIONS,
) -> LeaveAlone:
    """Estimate what leaving alone those saves whom a rule does not contact.

    Parameters
    ----------
    trial : Trial
        Outcome, arms, known chance.
    contact : array-like, shape (n,)
        The rule, 0 to 1; not fitted on the outcomes of these customers.
    economics : Economics
        Margin, contact cost, discount.
    alpha : float
        Two-sided error level.
    rng : numpy.random.Generator
        Source of the permutations.
    predictions : Predictions, optional
        For doubly robust estimates.
    listed, audience : int, optional
        Customers on the list that is used now and in its audience, to give the amounts for; by
        default those of the trial.
    is_cross_fitted : bool
        Whether the rule was learned on these customers by cross-fitting; see `judge`.
    permutations : int
        Random splits where an interval comes from permutation.

    Raises
    ------
    DesignError
        The list is longer than its audience.

    Examples
    --------
    >>> rng = np.random.default_rng(6)
    >>> is_treated, helps = rng.random(8_000) < 0.5, rng.random(8_000) < 0.5
    >>> spend = rng.gamma(2.0, 2.0, 8_000) + 3.0 * (is_treated & helps)
    >>> trial = Trial(outcome=spend, is_treated=is_treated, probability=0.5)
    >>> found = leave_alone(trial, helps, economics=Economics(contact_cost=1.0), alpha=0.05,
    ...                     rng=rng)
    >>> found.is_shown, found.contact_cost == found.listed
    (True, True)
    """
    left = 1.0 - check_rule(contact, trial.n)
    in_trial = float(left.sum())
    value = policy_value(
        trial,
        left,
        alpha=alpha,
        rng=rng,
        economics=economics,
        predictions=predictions,
        is_cross_fitted=is_cross_fitted,
        permutations=permutations,
    )
    count = round(in_trial) if listed is None else listed
    whole = trial.n if audience is None else audience
    if not 0 <= count <= whole:
        raise DesignError(
            say("a list of {count} customers of {whole}", count=count, whole=whole),
            expected=say("at most the whole audience"),
        )
    factor = count / in_trial if in_trial > 0 else 0.0
    return LeaveAlone(
        treatment=trial.treatment,
        metric=trial.metric,
        currency=economics.currency,
        listed=count,
        audience=whole,
        in_trial=in_trial,
        contact_cost=factor * value.cost,
        margin_lost=value.margin.scaled(factor),
        saved=value.profit.scaled(-factor),
        evidence=trial.evidence,
    )
