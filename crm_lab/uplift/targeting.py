"""The effect at the top of a ranking, and averages over all depths (RATE)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from crm_lab.errors import DesignError
from crm_lab.language import say
from crm_lab.stats.arguments import FloatArray
from crm_lab.uplift.contact_rules import check_score, top_share
from crm_lab.uplift.contrast import PERMUTATIONS, contrast
from crm_lab.uplift.estimate import Estimate, Predictions
from crm_lab.uplift.trial import Trial

Weighting = Literal["autoc", "qini"]


def uplift_at(
    trial: Trial,
    score: ArrayLike,
    share: float,
    *,
    alpha: float,
    rng: np.random.Generator,
    predictions: Predictions | None = None,
    permutations: int = PERMUTATIONS,
) -> Estimate:
    """Estimate the average effect among the given share of customers with the highest scores.

    Parameters
    ----------
    trial, alpha, rng, predictions, permutations
        As in `crm_lab.uplift.contrast.contrast`.
    score : array-like, shape (n,)
        Higher means contacted earlier; units that tie at the cut count in part.
    share : float
        Above 0, at most 1.

    Raises
    ------
    DesignError
        When the share is impossible or a score is missing.

    Examples
    --------
    >>> trial = Trial(outcome=[1, 1, 0, 1, 1, 0, 1, 0], is_treated=[1, 1, 0, 0, 0, 1, 1, 0],
    ...               probability=0.5)
    >>> rng = np.random.default_rng(1)
    >>> uplift_at(trial, [9, 8, 7, 6, 2, 2, 1, 1], 0.5, alpha=0.05, rng=rng).estimate
    0.5
    """
    if not 0.0 < share <= 1.0:
        raise DesignError(
            say("share is {share}", share=share), expected=say("a share above 0, at most 1")
        )
    rule = top_share(check_score(score, trial.n), share)
    found = contrast(
        trial, rule, alpha=alpha, rng=rng, predictions=predictions, permutations=permutations
    )
    return found.scaled(1.0 / share)


def targeting_effect(
    trial: Trial,
    score: ArrayLike,
    *,
    alpha: float,
    rng: np.random.Generator,
    weighting: Weighting = "autoc",
    predictions: Predictions | None = None,
    permutations: int = PERMUTATIONS,
) -> Estimate:
    """Estimate the rank-weighted average effect (RATE): 0 for a score that ranks nothing.

    Parameters
    ----------
    trial, alpha, rng, predictions, permutations
        As in `crm_lab.uplift.contrast.contrast`.
    score : array-like, shape (n,)
        Higher means contacted earlier; tied units share their ranks.
    weighting : {"autoc", "qini"}
        ``"autoc"`` is the area under the targeting operator characteristic, the effect among the
        first q minus the average effect, over all depths q: strong where few react.
        ``"qini"`` weights each depth by q: strong where the effect changes slowly.

    Raises
    ------
    DesignError
        When a score is missing or the weighting is not known.

    References
    ----------
    Yadlowsky, S., Fleming, S., Shah, N., Brunskill, E., Wager, S. (2025), "Evaluating treatment
    prioritization rules via rank-weighted average treatment effects", Journal of the American
    Statistical Association 120, equations 2.2 to 2.6.

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> is_treated, reacts = rng.random((2, 6_000)) < 0.5
    >>> visit = rng.random(6_000) < 0.1 + 0.2 * is_treated * reacts
    >>> trial = Trial(outcome=visit, is_treated=is_treated, probability=0.5)
    >>> targeting_effect(trial, reacts, alpha=0.05, rng=rng).low > 0
    True
    """
    if weighting not in ("autoc", "qini"):
        raise DesignError(
            say("weighting is {weighting}", weighting=repr(weighting)),
            expected=say("'autoc' or 'qini'"),
        )
    weight = rank_weights(check_score(score, trial.n), weighting)
    return contrast(
        trial, weight, alpha=alpha, rng=rng, predictions=predictions, permutations=permutations
    )


def rank_weights(score: FloatArray, weighting: Weighting) -> FloatArray:
    """Give what the effect of each unit counts in a RATE; the weights add up to 0.

    Examples
    --------
    >>> rank_weights(np.array([4.0, 3.0, 2.0, 1.0]), "qini")
    array([ 0.375,  0.125, -0.125, -0.375])
    """
    distinct, place = np.unique(-score, return_inverse=True)
    after = np.cumsum(np.bincount(place, minlength=distinct.size)) / score.size
    before = np.concatenate([[0.0], after[:-1]])
    if weighting == "qini":
        return np.asarray((0.5 - (before + after) / 2.0)[place])
    # The mean of -log(q) - 1 over the depths that the tied units take up.
    steps = _entropy(after) - _entropy(before)
    return np.asarray((-steps / (after - before))[place])


def _entropy(q: FloatArray) -> FloatArray:
    """``q log q``, 0 at 0."""
    return np.asarray(q * np.log(np.where(q > 0.0, q, 1.0)))
