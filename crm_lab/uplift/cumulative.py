"""Sums from the highest score down, and what the known definitions of Qini make of them.

Every function takes one set of sums or a stack of them (resamples), with the depths on the last
axis. Units with equal scores are one point: their order means nothing.

Each definition is written by its formula, because the same name stands for different numbers in
different books and packages.

References
----------
Radcliffe, N. J. (2007), "Using control groups to target on predicted lift", Direct Marketing
Analytics Journal. Radcliffe, N. J., Surry, P. D. (2011), "Real-world uplift modelling with
significance-based uplift trees", section 4. Gutierrez, P., Gerardy, J.-Y. (2016), "Causal
inference and uplift modeling: a review of the literature", section 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from crm_lab.language import message
from crm_lab.stats.arguments import FloatArray
from crm_lab.uplift.trial import Trial

Definition = Literal[
    "gain",
    "radcliffe",
    "radcliffe_q0",
    "sklift_qini",
    "sklift_uplift",
    "causalml_qini",
    "causalml_auuc",
]

PER = 1_000.0
"""The gain is given per this many customers."""

FORMULAS: dict[Definition, str] = {
    "gain": "incremental outcome per 1,000 customers, averaged over all depths, above random",
    "radcliffe": "area between the Qini curve and its straight line, per treated unit and depth"
    " share (Radcliffe and Surry 2011; not normalised)",
    "radcliffe_q0": "the same area divided by that of the best curve without negative effects,"
    " u (1 - u) / 2 with the average effect u (Radcliffe 2007, q0)",
    "sklift_qini": "area between the Qini curve and its straight line, divided by that of the"
    " curve that ranks treated responders first and responders of the control last"
    " (qini_auc_score of scikit-uplift)",
    "sklift_uplift": "the same for the gain curve with its own perfect order (uplift_auc_score of"
    " scikit-uplift)",
    "causalml_qini": "area between the Qini curve and its straight line in units of the curve's"
    " end (qini_score of causalml; can exceed 1, unstable when the average effect is near 0)",
    "causalml_auuc": "area under the gain curve in units of its end; random is 0.5 (auuc_score of"
    " causalml; unstable when the average effect is near 0)",
}
RANDOM_LEVEL: dict[Definition, float] = dict.fromkeys(FORMULAS, 0.0) | {"causalml_auuc": 0.5}
"""What a random score gives."""
BINARY_ONLY = frozenset({"radcliffe_q0", "sklift_qini", "sklift_uplift"})
"""Definitions that exist only for an outcome of 0 or 1."""

NOT_BINARY = message("this definition needs an outcome of 0 or 1")
NO_EFFECT = message("the average effect is too close to 0, or below it, to divide by")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sums:
    """Sums over the units with the highest scores, one entry per distinct score.

    Attributes
    ----------
    n, n_treated : ndarray, shape (..., k)
        Units and treated units so far.
    weight_treated, weight_control : ndarray, shape (..., k)
        Sums of ``1 / chance``; where the chance is the same for all, plain counts.
    outcome_treated, outcome_control : ndarray, shape (..., k)
        Sums of the outcome with the same weights.
    """

    n: FloatArray
    n_treated: FloatArray
    weight_treated: FloatArray
    weight_control: FloatArray
    outcome_treated: FloatArray
    outcome_control: FloatArray

    @property
    def effect(self) -> FloatArray:
        """Difference of the means so far; a mean of no units counts as 0, as elsewhere."""
        treated = _ratio(self.outcome_treated, self.weight_treated)
        return np.asarray(treated - _ratio(self.outcome_control, self.weight_control))

    @property
    def gain(self) -> FloatArray:
        """Effect so far times units so far: the gain curve (cumulative uplift)."""
        return np.asarray(self.effect * self.n)

    @property
    def qini(self) -> FloatArray:
        """Effect so far times treated units so far: the Qini curve; without control 0 is taken."""
        return np.asarray(self.effect * self.n_treated)


def unit_weights(trial: Trial) -> FloatArray:
    """Give the weight of each unit: 1 where the chance is the same for all, else its inverse."""
    if trial.has_one_chance:
        return np.ones(trial.n)
    chance = np.where(trial.is_treated, trial.probability, 1.0 - trial.probability)
    return np.asarray(1.0 / chance, dtype=np.float64)


def sums_by_score(trial: Trial, score: FloatArray) -> tuple[FloatArray, Sums]:
    """Add up a trial from the highest score down.

    Returns
    -------
    tuple
        The distinct scores, falling, and the sums down to each of them.
    """
    distinct, place = np.unique(-score, return_inverse=True)
    k = distinct.size
    weight = unit_weights(trial)
    treated = trial.is_treated
    value = weight * trial.outcome

    def total(weights: FloatArray | None = None) -> FloatArray:
        return np.cumsum(np.bincount(place, weights=weights, minlength=k)).astype(np.float64)

    return -distinct, Sums(
        n=total(),
        n_treated=total(treated.astype(np.float64)),
        weight_treated=total(np.where(treated, weight, 0.0)),
        weight_control=total(np.where(treated, 0.0, weight)),
        outcome_treated=total(np.where(treated, value, 0.0)),
        outcome_control=total(np.where(treated, 0.0, value)),
    )


def coefficient(sums: Sums, definition: Definition) -> FloatArray:
    """Give a coefficient of one set of sums, or of each in a stack.

    Parameters
    ----------
    sums : Sums
        The last entry along the depths is the whole.
    definition : str
        One of `FORMULAS`.

    Returns
    -------
    ndarray, shape (...)
        NaN where the definition divides by 0.
    """
    total = sums.n[..., -1]
    if definition == "gain":
        return PER * _above_line(sums.n, sums.gain) / total**2
    if definition == "radcliffe":
        return _above_line(sums.n, sums.qini) / (total * sums.n_treated[..., -1])
    if definition == "radcliffe_q0":
        effect = sums.effect[..., -1]
        best = np.where(effect > 0.0, effect * (1.0 - effect) / 2.0, np.nan)
        return np.asarray(coefficient(sums, "radcliffe") / best)
    if definition in ("causalml_qini", "causalml_auuc"):
        curve = sums.qini if definition == "causalml_qini" else sums.gain
        # One point per unit and one at the start: the mean of n + 1 heights of the curve.
        end = np.abs(curve[..., -1])
        scaled = np.where(end > 0.0, end, np.nan)
        if definition == "causalml_qini":
            return np.asarray(_above_line(sums.n, curve) / scaled / (total + 1.0))
        heights = _area(sums.n, curve) + curve[..., -1] / 2.0
        return np.asarray(heights / scaled / (total + 1.0))
    curve = sums.qini if definition == "sklift_qini" else sums.gain
    ideal = _perfect(sums, definition)
    perfect = ideal.qini if definition == "sklift_qini" else ideal.gain
    scale = _above_line(ideal.n, perfect)
    return np.asarray(_above_line(sums.n, curve) / np.where(scale > 0.0, scale, np.nan))


def _perfect(sums: Sums, definition: Definition) -> Sums:
    """Add up the order that scikit-uplift calls perfect, for an outcome of 0 or 1."""
    n_t, n_c = sums.n_treated[..., -1], (sums.n - sums.n_treated)[..., -1]
    share_t = _ratio(sums.outcome_treated[..., -1], sums.weight_treated[..., -1])
    share_c = _ratio(sums.outcome_control[..., -1], sums.weight_control[..., -1])
    bought_t, bought_c = n_t * share_t, n_c * share_c
    none = np.zeros_like(bought_t)
    treated_not = (n_t - bought_t, none, none)
    control_bought = (none, bought_c, bought_c)
    # Steps of treated units, units of the control, responders, in the order of the ranking.
    if definition == "sklift_qini":
        middle = (n_t - bought_t, n_c - bought_c, none)
        steps = [(bought_t, none, bought_t), middle, control_bought]
    else:
        swapped = bought_c > n_t - bought_t
        pairs = list(zip(control_bought, treated_not, strict=True))
        third = tuple(np.where(swapped, a, b) for a, b in pairs)
        last = tuple(np.where(swapped, b, a) for a, b in pairs)
        steps = [(bought_t, none, bought_t), (none, n_c - bought_c, none)]
        steps += [(third[0], third[1], third[2]), (last[0], last[1], last[2])]
    treated = np.cumsum(np.stack([step[0] for step in steps], axis=-1), axis=-1)
    control = np.cumsum(np.stack([step[1] for step in steps], axis=-1), axis=-1)
    y_t = [step[2] if index == 0 else none for index, step in enumerate(steps)]
    y_c = [none if index == 0 else step[2] for index, step in enumerate(steps)]
    return Sums(
        n=treated + control,
        n_treated=treated,
        weight_treated=treated,
        weight_control=control,
        outcome_treated=np.cumsum(np.stack(y_t, axis=-1), axis=-1),
        outcome_control=np.cumsum(np.stack(y_c, axis=-1), axis=-1),
    )


def _above_line(x: FloatArray, curve: FloatArray) -> FloatArray:
    """Area between a curve from (0, 0) and the straight line to its end."""
    return np.asarray(_area(x, curve) - x[..., -1] * curve[..., -1] / 2.0)


def _area(x: FloatArray, curve: FloatArray) -> FloatArray:
    """Area under a curve that starts at (0, 0), by trapezoids."""
    first = x[..., 0] * curve[..., 0] / 2.0
    steps = np.diff(x, axis=-1)
    return np.asarray(first + 0.5 * (steps * (curve[..., 1:] + curve[..., :-1])).sum(axis=-1))


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """Divide; 0 where nothing is below."""
    filled = np.zeros(np.broadcast(above, below).shape)
    return np.divide(above, below, out=filled, where=below > 0.0)
