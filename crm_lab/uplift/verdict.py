"""The verdict on targeting, in words and before any curve: by what the rules earn.

Three things are compared on the same customers: contacting nobody, everybody, and those whom the
learners choose. The choice of learner and customers is made for each fold from the other folds
only, so that what is judged was not fitted on those who judge it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from crm_lab import formats
from crm_lab.cards import Result, lights_frame
from crm_lab.errors import DesignError
from crm_lab.headlines import HeadlineNumber, Light, money_number
from crm_lab.language import say, word
from crm_lab.stats.arguments import FloatArray
from crm_lab.uplift import wording
from crm_lab.uplift.contact_rules import check_rule, everyone
from crm_lab.uplift.contrast import PERMUTATIONS
from crm_lab.uplift.cross_fitting import CrossFitted, calibrated, effect_values
from crm_lab.uplift.estimate import Predictions
from crm_lab.uplift.lessons import control_warning
from crm_lab.uplift.policy import Economics, PolicyValue, policy_value
from crm_lab.uplift.trial import Trial

Choice = Literal["target", "everyone", "nobody", "no evidence"]
NEARLY = 0.01
"""Share left alone up to which a rule that cannot be told from contacting everybody is that."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChosenRule:
    """Whom the learners would contact, each customer by models and choices of other folds.

    Attributes
    ----------
    contact : ndarray, shape (n,)
        How often, over the cuts, a customer is chosen: 0 to 1.
    expected : ndarray, shape (n,)
        Expected profit of contacting the customer, in money.
    picked : mapping of str to float
        Share of the folds in which each learner was picked.
    """

    contact: FloatArray
    expected: FloatArray
    picked: dict[str, float]

    @property
    def name(self) -> str:
        """Name of the learner that was picked most often."""
        return max(self.picked, key=lambda label: self.picked[label])


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TargetingVerdict(Result):
    """What to do: target, contact everyone, contact nobody, or keep testing.

    Attributes
    ----------
    choice : {"target", "everyone", "nobody", "no evidence"}
        The verdict.
    rule : str
        Name of the rule that was judged.
    treatment, metric : str
        What is sent, and the outcome.
    targeted, everyone : PolicyValue
        What the rule and contacting everybody earn beside contacting nobody.
    gain : PolicyValue
        What the rule earns beside contacting everybody.
    worth : float
        Least gain, over the list, that makes targeting worth its trouble.
    warnings : tuple of str
        What limits the verdict, in words.
    is_margin_known : bool
        Whether profit is profit; otherwise it is revenue less the cost of contacts.
    break_even : float
        Margin, as a part of revenue, from which contacting everybody pays by its whole interval;
        NaN where no margin does, or where a discount is given too.
    lights : tuple of Light
        Checks of the trial and of the customers now.
    about : str
        What was tried, on whom and when.
    """

    title: ClassVar[str] = wording.VERDICT_TITLE
    plotter: ClassVar[str] = "crm_lab.plots.uplift:plot_verdict"

    choice: Choice
    rule: str
    treatment: str
    metric: str
    targeted: PolicyValue
    everyone: PolicyValue
    gain: PolicyValue
    worth: float
    warnings: tuple[str, ...] = ()
    is_margin_known: bool = True
    break_even: float = math.nan
    lights: tuple[Light, ...] = ()
    about: str = ""

    @property
    def headline(self) -> str:
        """The verdict in a few words."""
        return say(wording.HEADLINES[self.choice])

    @property
    def until_then(self) -> Literal["everyone", "target", ""]:
        """What is shown to pay while the data cannot tell more; empty where nothing is."""
        if self.everyone.profit.is_above(0.0):
            return "everyone"
        return "target" if self.targeted.profit.is_above(0.0) else ""

    @property
    def broken(self) -> tuple[str, ...]:
        """Names of the checks that failed: then no number of it may be believed."""
        return tuple(light.name for light in self.lights if light.tone == "bad")

    def sentence(self) -> str:
        """Say the verdict, and by which numbers."""
        if self.broken:
            return say(wording.BROKEN, checks=", ".join(self.broken))
        caution = [] if self.gain.evidence == "randomised" else [say(wording.OBSERVATIONAL)]
        if not self.is_margin_known:
            caution.append(self._without_margin())
        return " ".join([self.headline, self._because(), *caution, *self.warnings])

    @property
    def verdict(self) -> Choice | Literal["cannot conclude"]:
        """The choice as the verdict of a page, where no check failed."""
        return "cannot conclude" if self.broken else self.choice

    def subtitle(self) -> str:
        """Say what was tried, on whom and when."""
        return self.about

    def lights_frame(self) -> pd.DataFrame:
        """Give the checks: name, word, detail."""
        return lights_frame(self.lights)

    def headline_numbers(self) -> tuple[HeadlineNumber, ...]:
        """Give the profit that the verdict rests on; none where a check failed."""
        if self.broken:
            return ()
        value = {"target": self.targeted, "no evidence": self.gain}.get(self.choice, self.everyone)
        texts = wording.PROFIT_LABELS if self.is_margin_known else wording.REVENUE_LABELS
        label = say(texts.get(self.choice, texts["everyone"]))
        return (money_number(label, value.profit, currency=value.currency),)

    def to_dict(self) -> dict[str, Any]:
        """Give the fields and the verdict as JSON-ready data."""
        return {"verdict": self.verdict, **Result.to_dict(self)}

    def to_frame(self) -> pd.DataFrame:
        """Give one row per rule: contacted, profit and its interval, evidence."""
        rows = [
            (self.rule, wording.BESIDE_NOBODY, self.targeted),
            (wording.EVERYONE, wording.BESIDE_NOBODY, self.everyone),
            (self.rule, wording.BESIDE_EVERYONE, self.gain),
        ]
        return pd.DataFrame(
            {
                "rule": name,
                "beside": beside,
                "contacted": value.contacted,
                "profit": value.profit.estimate,
                "low": value.profit.low,
                "high": value.profit.high,
                "contact_cost": value.cost,
                "evidence": value.evidence,
                "method": value.profit.method,
                "reason": value.profit.reason,
            }
            for name, beside, value in rows
        )

    def card_frame(self) -> pd.DataFrame:
        """Give the table that a marketer takes away: contact whom, profit, interval, saved."""
        return self.take_away_frame()

    def take_away_frame(self) -> pd.DataFrame:
        """Give contact whom, customers, expected profit with its interval, contact cost saved."""
        full = self.everyone
        earned = wording.EARNED_COLUMNS[self.is_margin_known]
        rows = []
        for whom, value in ((wording.CHOSEN, self.targeted), (wording.EVERYONE, full)):
            rows.append(
                {
                    "contact": word(whom),
                    "customers": formats.number(value.contacted),
                    earned: amount(value),
                    "contact cost": formats.money(value.cost, value.currency).strip(),
                    "cost saved": formats.money(full.cost - value.cost, full.currency).strip(),
                }
            )
        rows.append(
            {
                "contact": wording.NOBODY,
                "customers": "0",
                earned: formats.money(0, full.currency).strip(),
                "contact cost": formats.money(0, full.currency).strip(),
                "cost saved": formats.money(full.cost, full.currency).strip(),
            }
        )
        return pd.DataFrame(rows)

    def _without_margin(self) -> str:
        if self.choice != "everyone" or not math.isfinite(self.break_even):
            return say(wording.NO_MARGIN)
        least = formats.significant(100 * self.break_even, figures=2)
        return say(wording.NO_MARGIN_YET_PAYS, least=f"{least}\u00a0%")

    def _because(self) -> str:
        if self.choice == "everyone" and self._nearly_same():
            return say(
                wording.BECAUSE_NEARLY,
                n=formats.number(self.everyone.n),
                left=formats.number(self.everyone.contacted - self.targeted.contacted),
                everyone=amount(self.everyone),
            )
        for value in (self.everyone, self.gain, self.targeted):
            if not value.profit.is_known:
                return say(wording.UNKNOWN, reason=value.profit.reason)
        words = {
            "chosen": formats.number(self.targeted.contacted),
            "n": formats.number(self.targeted.n),
            "targeted": amount(self.targeted),
            "everyone": amount(self.everyone),
            "gain": amount(self.gain),
        }
        if self.choice != "no evidence":
            text = wording.BECAUSE[self.choice]
            if self.choice == "everyone" and self._same_customers():
                text = wording.BECAUSE_SAME
            return say(text, **words)
        if self.until_then == "" and self.gain.profit.is_below(0.0):
            return say(wording.BECAUSE_WORSE, **words)
        return say(wording.BECAUSE_OPEN[self.until_then], **words)

    def _nearly_same(self) -> bool:
        return not self.gain.profit.is_known

    def _same_customers(self) -> bool:
        return self.gain.profit.low == self.gain.profit.high == 0.0


def choose_rule(
    fitted: Sequence[CrossFitted],
    trial: Trial,
    *,
    economics: Economics,
    predictions: Predictions | None = None,
) -> ChosenRule:
    """Let the learners choose whom to contact: who is expected to bring more than he costs.

    Each learner's scores become expected money (`calibrated`); a customer is chosen whose money is
    above the cost of his contact. For each fold the learner is picked whose choice earned most in
    the other folds.

    Parameters
    ----------
    fitted : sequence of CrossFitted
        Learners, all with the same folds.
    trial : Trial
        The outcome that is worth money.
    economics : Economics
        Margin, contact cost, discount.
    predictions : Predictions, optional
        Expected outcomes in both arms from models that did not see the customer.

    Raises
    ------
    DesignError
        There is no learner, or they were cut differently.
    """
    if not fitted:
        raise DesignError(say("there is no learner"), expected=say("one or more"))
    folds = fitted[0].folds
    if any(item.folds is not folds for item in fitted):
        raise DesignError(
            say("the learners were cut into different folds"),
            remedy=say("cross-fit them together, so that they can be compared"),
        )
    money = trial.with_outcome(economics.earned(trial), metric=trial.metric)
    expected_money = economics.predictions(predictions)
    values = effect_values(money, expected_money)
    costs = economics.costs(trial.n)
    profits = np.stack([calibrated(item, money, predictions=expected_money) for item in fitted])
    profits -= costs
    earned = np.where(profits > 0, values - costs, 0.0)
    contact, expected = np.zeros(trial.n), np.zeros(trial.n)
    picked = dict.fromkeys((item.label for item in fitted), 0.0)
    jobs = folds.repeats * folds.count
    for number in folds.number:
        for fold in range(folds.count):
            here = number == fold
            best = int(np.argmax(earned[:, ~here].mean(axis=1)))
            contact[here] += (profits[best, here] > 0) / folds.repeats
            expected[here] += profits[best, here] / folds.repeats
            picked[fitted[best].label] += 1.0 / jobs
    return ChosenRule(
        contact=np.clip(contact, 0.0, 1.0),
        expected=expected,
        picked={label: share for label, share in picked.items() if share > 0},
    )


def judge(
    trial: Trial,
    rule: ArrayLike,
    *,
    economics: Economics,
    alpha: float,
    rng: np.random.Generator,
    predictions: Predictions | None = None,
    name: str = wording.CHOSEN,
    customers: int | None = None,
    worth: float = 0.0,
    is_cross_fitted: bool = False,
    permutations: int = PERMUTATIONS,
) -> TargetingVerdict:
    """Say what to do, by what a rule, everybody and nobody earn.

    "Target" needs both: more than contacting everybody, and more than nothing. "Everyone" is said
    where contacting everybody pays and the rule is shown not to be better, or is nearly the same.
    "Nobody" is said where contacting everybody loses money and the rule is not shown to pay. All
    else is "no evidence".

    Parameters
    ----------
    trial : Trial
        Outcome, arms, known chance.
    rule : array-like, shape (n,)
        Whom to contact, 0 to 1; it must not have been fitted on the outcomes of these customers.
    economics : Economics
        Margin, contact cost, discount.
    alpha : float
        Two-sided error level of each interval.
    rng : numpy.random.Generator
        Source of the permutations.
    predictions : Predictions, optional
        For doubly robust estimates.
    name : str
        Name of the rule.
    customers : int, optional
        Size of the list that the amounts are for; by default the customers of the trial.
    worth : float
        Least gain beside contacting everybody, over the list, that makes a rule worth its trouble.
    is_cross_fitted : bool
        Whether the rule was learned on these customers by cross-fitting, as that of `choose_rule`;
        intervals of the rule are then wider, see `Estimate.cross_fitted`. A rule that was written
        down before is not.
    permutations : int
        Random splits where an interval comes from permutation.

    Examples
    --------
    >>> rng = np.random.default_rng(5)
    >>> is_treated, helps = rng.random(8_000) < 0.5, rng.random(8_000) < 0.5
    >>> spend = rng.gamma(2.0, 2.0, 8_000) + 3.0 * (is_treated & helps)
    >>> trial = Trial(outcome=spend, is_treated=is_treated, probability=0.5)
    >>> found = judge(trial, helps, economics=Economics(contact_cost=1.0), alpha=0.05, rng=rng)
    >>> found.choice
    'target'
    """
    given = check_rule(rule, trial.n)
    whole = everyone(trial.n)

    def value(
        first: FloatArray,
        second: FloatArray | None,
        names: tuple[str, str],
        *,
        learned: bool = is_cross_fitted,
    ) -> PolicyValue:
        return policy_value(
            trial,
            first,
            alpha=alpha,
            rng=rng,
            economics=economics,
            baseline=second,
            predictions=predictions,
            name=names[0],
            baseline_name=names[1],
            customers=customers,
            is_cross_fitted=learned,
            permutations=permutations,
        )

    targeted = value(given, None, (name, wording.NOBODY))
    full = value(whole, None, (wording.EVERYONE, wording.NOBODY), learned=False)
    gain = value(given, whole, (name, wording.EVERYONE))
    choice = _choice(targeted, full, gain, worth)
    # whom to leave alone is not the question where everybody or nobody is contacted
    warning = "" if choice in ("everyone", "nobody") else control_warning(trial.control_share)
    pays = full.margin.is_above(0.0) and not economics.discount
    return TargetingVerdict(
        choice=choice,
        rule=name,
        treatment=trial.treatment,
        metric=trial.metric,
        targeted=targeted,
        everyone=full,
        gain=gain,
        worth=worth,
        break_even=full.cost * economics.margin / full.margin.low if pays else math.nan,
        warnings=(warning,) if warning else (),
    )


def amount(value: PolicyValue) -> str:
    """Write the profit of a rule with its interval, in money."""
    found = value.profit
    if not found.is_known:
        return say(formats.CANNOT_TELL)
    written = formats.money_interval(found.estimate, found.low, found.high, value.currency)
    return written.replace("  ", " ")


def _choice(targeted: PolicyValue, full: PolicyValue, gain: PolicyValue, worth: float) -> Choice:
    left = full.share_contacted - targeted.share_contacted
    if not gain.profit.is_known and full.profit.is_above(0.0) and left <= NEARLY:
        return "everyone"
    known = all(value.profit.is_known for value in (targeted, full, gain))
    if not known:
        return "no evidence"
    if gain.profit.is_above(worth) and targeted.profit.is_above(0.0):
        return "target"
    if full.profit.is_above(0.0) and gain.profit.high <= worth:
        return "everyone"
    if full.profit.is_below(0.0) and not targeted.profit.is_above(0.0):
        return "nobody"
    return "no evidence"
