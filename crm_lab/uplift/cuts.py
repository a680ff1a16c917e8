"""How far down a ranking to go under a budget, and what that earns when chosen honestly.

The cut that looks best on some data looks better there than it is: among many cuts, luck wins
(the winner's curse). So the cut is chosen anew without one part of the customers and its earnings
are counted on that part, until every part had its turn. This is done several times with other
parts, and the median over the repetitions is given, of the number and of both ends of its interval.

References
----------
Andrews, I., Kitagawa, T., McCloskey, A. (2024), "Inference on winners", Quarterly Journal of
Economics 139. Stone, M. (1974), "Cross-validatory choice and assessment of statistical
predictions", Journal of the Royal Statistical Society B 36.
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
from crm_lab.language import message, say, word
from crm_lab.stats.arguments import FloatArray, as_values, check_count, check_share
from crm_lab.uplift.contact_rules import check_score, everyone, top_share
from crm_lab.uplift.contrast import PERMUTATIONS
from crm_lab.uplift.curves import uplift_curve
from crm_lab.uplift.estimate import Predictions
from crm_lab.uplift.policy import NO_ONE, Economics, PolicyValue, median_value, policy_value
from crm_lab.uplift.trial import Trial
from crm_lab.uplift.wording import name_text

DEPTHS = tuple(step / 20 for step in range(21))
FOLDS, REPETITIONS = 5, 10
SMALLEST_ARM = 4
"""Fewest customers of an arm in each part."""

_TOP = message("the {share} of customers with the highest scores")
_BEST = message(
    "Contact {whom} ({contacted} of {n}): expected profit {honest}, against {naive} before the"
    " correction for having chosen the cut."
)
_NO_ONE = message("On these data no cut earns more than it costs: contact no one by this score.")
_PAYS = message("It pays.")
_NOT_SURE = message("The data cannot tell whether it pays.")
_LOSES = message("Chosen so, a cut loses money.")
_BETTER = message("It earns more than contacting everyone ({number}).")
_WORSE = message("It earns less than contacting everyone ({number}).")
_SAME = message("The data cannot tell it from contacting everyone ({number}).")
_BUDGET = message("The budget allows {share} of the customers at most.")
_CANNOT = message("Cannot conclude which cut is best, because {reason}.")
_OBSERVATIONAL = message("Observational: customers were not randomised.")
EVERYONE = "everyone"
_HONEST_NAME = message("a cut of {score}, chosen on other customers")
_NAIVE_NAME = message("the chosen cut of {score}, not corrected")
_THIN = message("an arm has fewer than {n} customers in each of the {folds} parts")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BestCut(Result):
    """The most profitable cut of a score within a budget.

    Attributes
    ----------
    score : str
        Name of the score.
    share : float
        Share of the customers to contact, 0 for no one.
    largest_share : float
        Largest share that the budget allows.
    honest : PolicyValue
        What the choice of a cut earns, counted on customers that did not take part in it.
    naive : PolicyValue
        What the chosen cut seems to earn on the customers that chose it; too high on average.
    against_everyone : PolicyValue
        The choice beside contacting everyone, counted in the same honest way.
    cuts : pandas.DataFrame
        share, contacted, cost, profit of every cut on all customers, without correction.
    chosen : tuple of float
        Shares that the parts of the customers chose: how stable the choice is.
    reason : str
        Why nothing could be chosen; empty otherwise.
    """

    title: ClassVar[str] = message("How far down the list to go")
    plotter: ClassVar[str] = "crm_lab.plots.uplift_curves:plot_profit_by_cut"

    score: str
    share: float
    largest_share: float
    honest: PolicyValue
    naive: PolicyValue
    against_everyone: PolicyValue
    cuts: pd.DataFrame
    chosen: tuple[float, ...]
    reason: str = ""

    @property
    def curse(self) -> float:
        """How much the naive profit of the cut exceeds the honest one."""
        return self.naive.profit.estimate - self.honest.profit.estimate

    def sentence(self) -> str:
        """Say the cut, its corrected profit, and whether it beats contacting everyone."""
        found = self.honest.profit
        caution = [say(_OBSERVATIONAL)] if self.honest.evidence == "observational" else []
        if self.reason or not found.is_known:
            return " ".join([say(_CANNOT, reason=self.reason or found.reason), *caution])
        if self.largest_share < 1.0:
            limit = say(_BUDGET, share=formats.percent(self.largest_share, decimals=0))
            caution = [limit, *caution]
        if self.share == 0.0:
            return " ".join([say(_NO_ONE), *caution])
        text = say(
            _BEST,
            whom=word(EVERYONE)
            if self.share == 1.0
            else say(_TOP, share=formats.percent(self.share, decimals=0)),
            contacted=formats.number(self.naive.contacted),
            n=formats.number(self.naive.n),
            honest=self.honest.number(),
            naive=formats.money(self.naive.profit.estimate, self.naive.currency, signed=True),
        )
        verdict = _NOT_SURE
        if found.is_above(0.0):
            verdict = _PAYS
        elif found.is_below(0.0):
            verdict = _LOSES
        return " ".join([text, say(verdict), *self._beside_everyone(), *caution])

    def to_frame(self) -> pd.DataFrame:
        """Give honest, naive and compared values, one row per amount."""
        parts = (self.honest, self.naive, self.against_everyone)
        return pd.concat([part.to_frame() for part in parts], ignore_index=True)

    def card_frame(self) -> pd.DataFrame:
        """Give the profit of the three with their intervals."""
        frame = self.to_frame()
        columns = ["rule", "baseline", "estimate", "low", "high", "evidence"]
        shown = frame.loc[frame["what"] == "profit", columns]
        score = name_text(self.score)
        honest, naive = say(_HONEST_NAME, score=score), say(_NAIVE_NAME, score=score)
        return shown.assign(rule=[honest, naive, honest])

    def number(self) -> str:
        """Give the corrected profit with its interval."""
        return "" if self.reason else self.honest.number()

    def _beside_everyone(self) -> list[str]:
        found = self.against_everyone.profit
        if not found.is_known or self.largest_share < 1.0 or self.share == 1.0:
            return []
        text = _SAME
        if found.is_above(0.0):
            text = _BETTER
        elif found.is_below(0.0):
            text = _WORSE
        return [say(text, number=self.against_everyone.number())]


def best_cut(
    trial: Trial,
    score: ArrayLike,
    *,
    alpha: float,
    rng: np.random.Generator,
    economics: Economics,
    budget: float | None = None,
    customers: int | None = None,
    depths: ArrayLike = DEPTHS,
    folds: int = FOLDS,
    repetitions: int = REPETITIONS,
    predictions: Predictions | None = None,
    name: str = "the score",
    permutations: int = PERMUTATIONS,
) -> BestCut:
    """Find the most profitable share to contact, with the profit that can be expected of it.

    Parameters
    ----------
    trial : Trial
        Outcome, arms and the chance to be treated.
    score : array-like, shape (n,)
        Higher means contacted earlier; fitted on other units.
    alpha : float
        Two-sided error level, between 0 and 1.
    rng : numpy.random.Generator
        Source of the parts and of the permutations.
    economics : Economics
        Margin, contact cost, discount.
    budget : float, optional
        Most that the contacts may cost for ``customers`` customers.
    customers : int, optional
        Size of the list that the amounts are for; by default the units of the trial.
    depths : array-like
        Shares that may be chosen; 0 (no one) is always among them.
    folds, repetitions : int
        In how many parts the customers are divided, and how often anew.
    predictions : Predictions, optional
        For doubly robust values, see `policy_value`.
    name : str
        Name of the score.
    permutations : int
        Random splits where an interval comes from permutation.

    Raises
    ------
    DesignError
        When a depth, the budget or something else is impossible.

    Notes
    -----
    The honest value is that of a cut chosen on ``(folds - 1) / folds`` of the customers, which is
    a little worse than one chosen on all of them. Its interval is that of a rule from
    cross-fitting; how well it covers the profit of the chosen cut stands in
    ``docs/simulations/uplift.md``.

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> is_treated, reacts = rng.random((2, 8_000)) < 0.5
    >>> spend = rng.gamma(2.0, 5.0, 8_000) + 2.0 * is_treated * reacts
    >>> trial = Trial(outcome=spend, is_treated=is_treated, probability=0.5, metric="revenue")
    >>> found = best_cut(trial, reacts, alpha=0.05, rng=rng, repetitions=2,
    ...                  economics=Economics(margin=1.0, contact_cost=0.8))
    >>> found.share, found.honest.profit.low > 0.0
    (0.5, True)
    """
    check_share(alpha, "alpha")
    check_count(folds, "folds", minimum=2)
    check_count(repetitions, "repetitions", minimum=1)
    values = check_score(score, trial.n)
    size = trial.n if customers is None else customers
    if budget is not None and not budget >= 0.0:
        raise DesignError(say("budget is {budget}", budget=budget), expected=say("0 or more"))
    grid = _grid(depths)
    cost = economics.costs(trial.n)
    earned = trial.with_outcome(economics.earned(trial), metric=trial.metric)
    limit = np.inf if budget is None else budget / size
    cuts = _profits(earned, values, cost, grid)
    cuts["allowed"] = cuts["cost"] <= limit * (1.0 + 1e-12)
    share = _choose(cuts)
    largest = float(cuts.loc[cuts["allowed"], "share"].max())
    smallest = min(trial.n_treatment, trial.n_control)
    reason = say(_THIN, n=SMALLEST_ARM, folds=folds) if smallest < SMALLEST_ARM * folds else ""
    rules, chosen = [], []
    for _ in range(1 if reason else repetitions):
        rule = np.zeros(trial.n)
        part = _parts(trial.is_treated, folds, rng)
        for held in range(0 if reason else folds):
            inside = part == held
            table = _profits(earned.subset(~inside), values[~inside], cost[~inside], grid)
            table["allowed"] = table["share"] <= largest
            chosen.append(_choose(table))
            rule[inside] = top_share(values[inside], chosen[-1])
        rules.append(rule)

    def value(
        rule: FloatArray, words: str, baseline: FloatArray | None = None, *, learned: bool = True
    ) -> PolicyValue:
        return policy_value(
            trial,
            rule,
            alpha=alpha,
            rng=rng,
            economics=economics,
            baseline=baseline,
            predictions=predictions,
            name=words,
            baseline_name=NO_ONE if baseline is None else EVERYONE,
            customers=size,
            is_cross_fitted=learned,
            permutations=permutations,
        )

    words = _HONEST_NAME.format(score=name)
    cuts[["contacted", "cost", "profit"]] *= size
    return BestCut(
        score=name,
        share=share,
        largest_share=largest,
        honest=median_value([value(rule, words) for rule in rules]),
        naive=value(top_share(values, share), _NAIVE_NAME.format(score=name), learned=False),
        against_everyone=median_value([value(rule, words, everyone(trial.n)) for rule in rules]),
        cuts=cuts,
        chosen=tuple(chosen),
        reason=reason,
    )


def _grid(depths: ArrayLike) -> FloatArray:
    grid = np.unique(np.append(as_values(depths, "depths"), 0.0))
    if not np.all((grid >= 0.0) & (grid <= 1.0)):
        raise DesignError(say("a depth is not a share from 0 to 1"))
    return grid


def _profits(earned: Trial, score: FloatArray, cost: FloatArray, grid: FloatArray) -> pd.DataFrame:
    """Give cost and profit of every cut, per customer of the list."""
    curve = uplift_curve(earned, score)
    distinct, place = np.unique(-score, return_inverse=True)
    spent = np.cumsum(np.bincount(place, weights=cost, minlength=distinct.size)) / earned.n
    costs = np.interp(grid, np.append(0.0, curve.depth), np.append(0.0, spent))
    return pd.DataFrame(
        {
            "share": grid,
            "contacted": grid,
            "cost": costs,
            "profit": curve.at(grid, kind="gain") - costs,
        }
    )


def _choose(cuts: pd.DataFrame) -> float:
    """Give the share with the highest profit; the smaller one where two are equal."""
    allowed = cuts[cuts["allowed"]]
    return float(allowed["share"].iloc[int(np.argmax(allowed["profit"].to_numpy()))])


def _parts(is_treated: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Divide each arm into parts of equal size, at random."""
    part = np.empty(is_treated.size, dtype=np.intp)
    for arm in (is_treated, ~is_treated):
        n = int(arm.sum())
        part[arm] = rng.permutation(np.arange(n) % folds)
    return part
