"""What a rule earns: incremental revenue, margin and profit of contacting whom it names."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.language import message, say, word
from crm_lab.stats.arguments import FloatArray
from crm_lab.uplift.contact_rules import check_rule
from crm_lab.uplift.contrast import PERMUTATIONS, contrast
from crm_lab.uplift.estimate import Estimate, Predictions
from crm_lab.uplift.trial import Evidence, Trial
from crm_lab.uplift.wording import name_text

NO_ONE = "no one"

_OBSERVATIONAL = message(
    "Observational: customers were not randomised, so this rests on the propensities and on"
    " nothing else having decided who was contacted."
)
_CANNOT = message("Contact {rule}: cannot conclude, because {reason}.")
_VALUE = message(
    "Contact {rule} ({contacted} of {n} customers): profit {profit} beside contacting no one"
    " (incremental {metric} {revenue}, contact cost {cost}). {verdict}"
)
_GAIN = message("It pays.")
_LOSS = message("It loses money.")
_OPEN = message("The data cannot tell whether it pays.")
_BETTER = message("{first} earns more than {second}: {profit}.")
_WORSE = message("{first} earns less than {second}: {profit}.")
_SAME = message("The data cannot tell {first} from {second}: {profit}.")
_MEDIAN = "median over {n} repetitions"
_IDENTICAL = message("{first} and {second} contact the same customers.")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Economics:
    """What an outcome is worth and what a contact costs.

    Attributes
    ----------
    margin : float
        What one unit of the outcome leaves before the cost of the contact: the margin share of
        revenue, or the margin of one order or visit where the outcome counts them.
    contact_cost : float or ndarray of shape (n,)
        Cost of contacting one customer, for everyone or each.
    discount : float
        Part of one unit of the outcome that a contacted customer is given back (0.1 is 10 % off),
        whether or not the contact made the purchase; also of what would have been bought anyway.
    currency : str
        Currency of the amounts.

    Raises
    ------
    DesignError
        When a number is negative or not finite.

    Examples
    --------
    >>> Economics(margin=0.4, contact_cost=0.05, discount=0.1).kept_when_contacted
    0.30000000000000004
    """

    margin: float = 1.0
    contact_cost: float | FloatArray = 0.0
    discount: float = 0.0
    currency: str = ""

    def __post_init__(self) -> None:
        for name in ("margin", "discount"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise DesignError(
                    say("{name} is {value}", name=name, value=value),
                    expected=say("0 or more for {name}", name=name),
                )
        cost = np.asarray(self.contact_cost, dtype=np.float64)
        if not np.all(np.isfinite(cost) & (cost >= 0.0)):
            raise DesignError(
                say("a contact cost is negative or missing"), expected=say("0 or more")
            )

    @property
    def kept_when_contacted(self) -> float:
        """What one unit of the outcome of a contacted customer leaves."""
        return self.margin - self.discount

    def costs(self, n: int) -> FloatArray:
        """Give the cost of contacting each of ``n`` units.

        Raises
        ------
        DesignError
            When there are costs of another number of units.
        """
        cost = np.asarray(self.contact_cost, dtype=np.float64)
        if cost.ndim == 0:
            return np.full(n, float(cost))
        if cost.shape != (n,):
            raise DesignError(
                say("{n} units but contact costs of shape {shape}", n=n, shape=cost.shape)
            )
        return cost

    def earned(self, trial: Trial) -> FloatArray:
        """Give what each unit left, discount taken off, before the cost of the contact."""
        kept = np.where(trial.is_treated, self.kept_when_contacted, self.margin)
        return np.asarray(trial.outcome * kept, dtype=np.float64)

    def predictions(self, predictions: Predictions | None) -> Predictions | None:
        """Turn predictions of the outcome into predictions of what it leaves."""
        if predictions is None:
            return None
        return Predictions(
            treated=predictions.treated * self.kept_when_contacted,
            control=predictions.control * self.margin,
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PolicyValue(Result):
    """What one rule earns beside another, over a number of customers.

    Attributes
    ----------
    rule, baseline : str
        Names of the rule and of what it is compared with.
    metric : str
        Name of the outcome.
    n : int
        Customers that the amounts are for.
    contacted, baseline_contacted : float
        How many of them each rule contacts.
    outcome, margin, profit : Estimate
        Incremental outcome; what it leaves after the discount; what is left after contact costs.
        Amounts over the ``n`` customers.
    cost : float
        Cost of the contacts beside those of the baseline.
    evidence : {"randomised", "observational"}
        What the numbers rest on.
    currency : str
        Currency of the amounts.
    """

    title: ClassVar[str] = message("What a rule earns")

    rule: str
    baseline: str
    metric: str
    n: int
    contacted: float
    baseline_contacted: float
    outcome: Estimate
    margin: Estimate
    profit: Estimate
    cost: float
    evidence: Evidence
    currency: str

    @property
    def profit_per_thousand(self) -> Estimate:
        """Profit per 1,000 customers of the whole list, contacted or not."""
        return self.profit.scaled(1_000.0 / self.n)

    @property
    def share_contacted(self) -> float:
        """Share of the customers that the rule contacts."""
        return self.contacted / self.n

    def sentence(self) -> str:
        """Say what the rule earns and whether the data can tell."""
        caution = [] if self.evidence == "randomised" else [say(_OBSERVATIONAL)]
        return " ".join([self._finding(), *caution])

    def _finding(self) -> str:
        rule = name_text(self.rule)
        if not self.profit.is_known:
            return say(_CANNOT, rule=rule, reason=self.profit.reason)
        if self.baseline != NO_ONE:
            return self._comparison()
        verdict = _OPEN
        if self.profit.is_above(0.0):
            verdict = _GAIN
        elif self.profit.is_below(0.0):
            verdict = _LOSS
        return say(
            _VALUE,
            rule=rule,
            contacted=formats.number(self.contacted),
            n=formats.number(self.n),
            profit=self._amount(self.profit),
            metric=word(self.metric),
            revenue=self._amount(self.outcome, currency=""),
            cost=formats.money(self.cost, self.currency).strip(),
            verdict=say(verdict),
        )

    def to_frame(self) -> pd.DataFrame:
        """Give one row each for outcome, margin and profit: number, interval, p-value, method."""
        rows = [
            {
                "rule": self.rule,
                "baseline": self.baseline,
                "what": what,
                "estimate": found.estimate,
                "low": found.low,
                "high": found.high,
                "p_value": found.p_value,
                "customers": self.n,
                "contacted": self.contacted,
                "cost": self.cost,
                "evidence": self.evidence,
                "method": found.method,
                "reason": found.reason,
            }
            for what, found in (
                (f"incremental {self.metric}", self.outcome),
                ("incremental margin", self.margin),
                ("profit", self.profit),
            )
        ]
        return pd.DataFrame(rows)

    def card_frame(self) -> pd.DataFrame:
        """Give number and interval of the three amounts."""
        shown = self.to_frame()[["what", "estimate", "low", "high", "evidence"]]
        outcome = say("incremental {metric}", metric=word(self.metric))
        return shown.assign(what=[outcome, *shown["what"].iloc[1:]])

    def number(self) -> str:
        """Give the profit with its interval."""
        return self._amount(self.profit) if self.profit.is_known else ""

    def _comparison(self) -> str:
        names = {"first": name_text(self.rule), "second": name_text(self.baseline)}
        if self.profit.low == self.profit.high == 0.0:
            return say(_IDENTICAL, **names)
        text = _SAME
        if self.profit.is_above(0.0):
            text = _BETTER
        elif self.profit.is_below(0.0):
            text = _WORSE
        return say(text, **names, profit=self._amount(self.profit))

    def _amount(self, found: Estimate, *, currency: str | None = None) -> str:
        unit = self.currency if currency is None else currency
        ends = (found.estimate, found.low, found.high)
        return formats.money_interval(*ends, unit).replace("  (", " (")


def policy_value(
    trial: Trial,
    rule: ArrayLike,
    *,
    alpha: float,
    rng: np.random.Generator,
    economics: Economics | None = None,
    baseline: ArrayLike | None = None,
    predictions: Predictions | None = None,
    name: str = "the rule",
    baseline_name: str = NO_ONE,
    customers: int | None = None,
    is_cross_fitted: bool = False,
    permutations: int = PERMUTATIONS,
) -> PolicyValue:
    """Estimate what a rule earns beside contacting no one, or beside another rule.

    Parameters
    ----------
    trial : Trial
        Outcome, arms and the chance to be treated. The outcome is revenue, or something that
        ``economics.margin`` turns into money.
    rule : array-like, shape (n,)
        Whom to contact: 0 or 1 per unit, or a chance, see `crm_lab.uplift.contact_rules`. It must
        not have been fitted on the outcomes of these units.
    alpha : float
        Two-sided error level, between 0 and 1.
    rng : numpy.random.Generator
        Source of the permutations.
    economics : Economics, optional
        Margin, contact cost and discount; without them profit is the incremental outcome.
    baseline : array-like, shape (n,), optional
        What the rule is compared with; contacting no one by default. The two are compared on the
        same customers, so what they share costs no precision.
    predictions : Predictions, optional
        Expected outcomes with and without the treatment, fitted on other units, for the doubly
        robust estimate.
    name, baseline_name : str
        Names for the sentence.
    customers : int, optional
        Give the amounts for a list of this size that is like the trial; by default for the units
        of the trial.
    is_cross_fitted : bool
        Whether the rule comes from models that were fitted on the other customers of this trial;
        the intervals are then wider, see `Estimate.cross_fitted`. A rule that learned nothing
        from this trial needs no wider interval.
    permutations : int
        Random splits where an interval comes from permutation.

    Raises
    ------
    DesignError
        When a rule is not a chance per unit or something else is impossible.

    Notes
    -----
    With a discount the profit is estimated on its own: the discount is lost on everybody who is
    contacted and buys, also on who would have bought anyway.

    Coverage of the intervals for controls of 5 to 50 % and heavy tails stands in
    ``docs/simulations/uplift.md``.

    References
    ----------
    Athey, S., Wager, S. (2021), "Policy learning with observational data", Econometrica 89,
    section 2. Dudik, M., Langford, J., Li, L. (2011), "Doubly robust policy evaluation", ICML.

    Examples
    --------
    >>> from crm_lab.uplift.contact_rules import everyone
    >>> rng = np.random.default_rng(4)
    >>> is_treated = rng.random(5_000) < 0.8
    >>> spend = rng.gamma(2.0, 5.0, 5_000) + 2.0 * is_treated
    >>> trial = Trial(outcome=spend, is_treated=is_treated, probability=0.8, metric="revenue")
    >>> value = policy_value(trial, everyone(trial.n), alpha=0.05, rng=rng, name="everyone",
    ...                      economics=Economics(margin=0.5, contact_cost=0.1, currency="EUR"))
    >>> value.profit.low < 5_000 * 0.9 < value.profit.high, round(value.cost)
    (True, 500)
    """
    terms = Economics() if economics is None else economics
    first = check_rule(rule, trial.n)
    second = np.zeros(trial.n) if baseline is None else check_rule(baseline, trial.n)
    size = trial.n if customers is None else customers
    if size < 1:
        raise DesignError(say("a list of {count} customers", count=size), expected=say("1 or more"))
    weights = first - second
    scale = float(size)
    outcome = contrast(
        trial,
        weights,
        alpha=alpha,
        rng=rng,
        predictions=predictions,
        is_cross_fitted=is_cross_fitted,
        permutations=permutations,
    )
    margin = outcome.scaled(terms.margin)
    if terms.discount > 0.0:
        margin = contrast(
            trial.with_outcome(terms.earned(trial), metric=trial.metric),
            weights,
            alpha=alpha,
            rng=rng,
            predictions=terms.predictions(predictions),
            is_cross_fitted=is_cross_fitted,
            permutations=permutations,
        )
    cost = float(np.mean(weights * terms.costs(trial.n)))
    return PolicyValue(
        rule=name,
        baseline=baseline_name,
        metric=trial.metric,
        n=size,
        contacted=scale * float(first.mean()),
        baseline_contacted=scale * float(second.mean()),
        outcome=outcome.scaled(scale),
        margin=margin.scaled(scale),
        profit=margin.scaled(scale, shift=-scale * cost),
        cost=scale * cost,
        evidence=trial.evidence,
        currency=terms.currency,
    )


def median_value(values: Sequence[PolicyValue]) -> PolicyValue:
    """Put the values of one rule from repeated splits together, by medians.

    Use it where a rule was made several times on other parts of the customers. Averaging the rules
    instead would make the interval too short, since all of them saw the same customers.

    Parameters
    ----------
    values : sequence of PolicyValue
        One per repetition, of the same rule, baseline and number of customers.

    Returns
    -------
    PolicyValue
        Medians of every number and of both ends of its interval; not known where one of the
        repetitions is not.

    Raises
    ------
    DesignError
        When there is no value or they are not of the same rule and list.

    References
    ----------
    Chernozhukov et al. (2025), Econometrica 93, section 4.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> trial = Trial(outcome=rng.random(200), is_treated=rng.random(200) < 0.5, probability=0.5)
    >>> found = policy_value(trial, np.ones(200), alpha=0.05, rng=rng)
    >>> median_value([found, found, found]).profit.estimate == found.profit.estimate
    True
    """
    if not values:
        raise DesignError(say("no value is given"), expected=say("one per repetition"))
    first = values[0]
    if any(
        (one.rule, one.baseline, one.n) != (first.rule, first.baseline, first.n) for one in values
    ):
        raise DesignError(
            say("the values are of different rules or lists"), expected=say("repetitions")
        )
    return replace(
        first,
        contacted=float(np.mean([one.contacted for one in values])),
        cost=float(np.mean([one.cost for one in values])),
        outcome=_median([one.outcome for one in values]),
        margin=_median([one.margin for one in values]),
        profit=_median([one.profit for one in values]),
    )


def _median(found: list[Estimate]) -> Estimate:
    unknown = [one for one in found if not one.is_known]
    if unknown:
        return unknown[0]
    if len(found) == 1:
        return found[0]
    # One repetition in which nothing differed does not make the whole a certainty.
    telling = next((one for one in found if not one.reason), found[0])
    return replace(
        telling,
        estimate=float(np.median([one.estimate for one in found])),
        low=float(np.median([one.low for one in found])),
        high=float(np.median([one.high for one in found])),
        p_value=float(np.median([one.p_value for one in found])),
        method=f"{telling.method}; {_MEDIAN.format(n=len(found))}",
    )
