"""Learners of the effect: how much more a customer does because he is contacted.

Each learner takes features, outcome, arm and the known chance to be treated, and gives a
`FittedEffect`. Any scikit-learn classifier and regressor can stand under them. A model of the
response and rules of one feature are learners too, since they often rank as well.

References
----------
Kunzel, S. R. et al. (2019), "Metalearners for estimating heterogeneous treatment effects using
machine learning", PNAS 116 (S, T, X; equation 10). Nie, X., Wager, S. (2021), "Quasi-oracle
estimation of heterogeneous treatment effects", Biometrika 108 (R; equation 4). Kennedy, E. H.
(2023), "Towards optimal doubly robust estimation of heterogeneous causal effects", Electronic
Journal of Statistics 17 (DR). Jaskowski, M., Jaroszewicz, S. (2012), "Uplift modeling for clinical
trial data", ICML workshop (class transformation).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from crm_lab import formats
from crm_lab.errors import DesignError
from crm_lab.formats import separated
from crm_lab.language import say
from crm_lab.stats.arguments import FloatArray
from crm_lab.uplift.features import Encoder
from crm_lab.uplift.lessons import Lesson
from crm_lab.uplift.pieces import (
    FittedEffect,
    ModelPiece,
    Models,
    Piece,
    Term,
    fit_piece,
    is_binary,
    linear_models,
    out_of_fold,
    with_arm,
)

INNER_FOLDS = 3
"""Parts in which the outcome is predicted before the last stage of R and DR."""
EVEN_TOLERANCE = 0.02
"""How far a chance may lie from one half for the plain class transformation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _OnModels:
    """A learner that stands on scikit-learn models."""

    models: Models = field(default_factory=linear_models)

    def _encode(self, lesson: Lesson) -> tuple[Encoder, FloatArray]:
        encoder = Encoder.fit(lesson.frame, missing=self.models.missing)
        return encoder, encoder.encode(lesson.frame)

    def _outcome(self, encoded: FloatArray, y: FloatArray) -> Piece:
        return fit_piece(self.models.outcome_model(y), encoded, y)


@dataclass(frozen=True, slots=True, kw_only=True)
class SLearner(_OnModels):
    """One model of the outcome that knows the arm; the effect is what changing the arm changes.

    With linear models the arm is also multiplied by every feature; without that the effect would
    be the same for everybody.

    Attributes
    ----------
    models : Models
        What it stands on.
    """

    is_effect: bool = field(default=True, init=False)

    @property
    def name(self) -> str:
        """How results name it."""
        return f"S, {self.models.name}"

    def fit(self, lesson: Lesson, *, rng: np.random.Generator) -> FittedEffect:
        """Learn the effect; see `Learner.fit`."""
        encoder, encoded = self._encode(lesson)
        interactions = self.models.is_linear
        joined = with_arm(encoded, lesson.is_treated.astype(np.float64), interactions=interactions)
        fitted = self._outcome(joined, lesson.outcome)
        return FittedEffect(
            learner=self.name,
            encoder=encoder,
            terms=tuple(
                Term(weight=weight, pieces=(_asked(fitted, arm, interactions),))
                for weight, arm in ((1.0, 1.0), (-1.0, 0.0))
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TLearner(_OnModels):
    """Two models of the outcome, one per arm; the effect is their difference.

    Attributes
    ----------
    models : Models
        What it stands on.
    """

    is_effect: bool = field(default=True, init=False)

    @property
    def name(self) -> str:
        """How results name it."""
        return f"T, {self.models.name}"

    def fit(self, lesson: Lesson, *, rng: np.random.Generator) -> FittedEffect:
        """Learn the effect; see `Learner.fit`."""
        encoder, encoded = self._encode(lesson)
        treated = lesson.is_treated
        return FittedEffect(
            learner=self.name,
            encoder=encoder,
            terms=tuple(
                Term(
                    weight=weight,
                    pieces=(
                        fit_piece(
                            self.models.outcome_model(lesson.outcome),
                            encoded[arm],
                            lesson.outcome[arm],
                        ),
                    ),
                )
                for weight, arm in ((1.0, treated), (-1.0, ~treated))
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class XLearner(_OnModels):
    """Each arm's effects from the other arm's model, weighted by the chance to be treated.

    Made for a small control: the effect among the treated, who are many, is learned from their
    own outcomes less what the control's model expects, and weighs less the fewer controls there
    are.

    Attributes
    ----------
    models : Models
        What it stands on.
    """

    is_effect: bool = field(default=True, init=False)

    @property
    def name(self) -> str:
        """How results name it."""
        return f"X, {self.models.name}"

    def fit(self, lesson: Lesson, *, rng: np.random.Generator) -> FittedEffect:
        """Learn the effect; see `Learner.fit`."""
        encoder, encoded = self._encode(lesson)
        treated, y = lesson.is_treated, lesson.outcome
        model = self.models.outcome_model(y)
        if_treated = fit_piece(model, encoded[treated], y[treated])
        if_not = fit_piece(model, encoded[~treated], y[~treated])
        among_treated = y[treated] - if_not.predict(encoded[treated])
        among_control = if_treated.predict(encoded[~treated]) - y[~treated]
        chance = float(lesson.probability.mean())
        return FittedEffect(
            learner=self.name,
            encoder=encoder,
            terms=(
                Term(
                    weight=1.0 - chance,
                    pieces=(fit_piece(self.models.regressor, encoded[treated], among_treated),),
                ),
                Term(
                    weight=chance,
                    pieces=(fit_piece(self.models.regressor, encoded[~treated], among_control),),
                ),
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RLearner(_OnModels):
    """What is left of outcome and arm after what is expected of them, one against the other.

    Attributes
    ----------
    models : Models
        What it stands on.
    """

    is_effect: bool = field(default=True, init=False)

    @property
    def name(self) -> str:
        """How results name it."""
        return f"R, {self.models.name}"

    def fit(self, lesson: Lesson, *, rng: np.random.Generator) -> FittedEffect:
        """Learn the effect; see `Learner.fit`."""
        encoder, encoded = self._encode(lesson)
        y = lesson.outcome
        expected = out_of_fold(
            self._outcome, encoded, y, np.ones(len(y), dtype=bool), parts=_parts(len(y), rng)
        )
        pull = lesson.is_treated - lesson.probability
        piece = fit_piece(self.models.regressor, encoded, (y - expected) / pull, weights=pull**2)
        return FittedEffect(
            learner=self.name, encoder=encoder, terms=(Term(weight=1.0, pieces=(piece,)),)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DRLearner(_OnModels):
    """A doubly robust value of the effect per customer, then a model of these values.

    Attributes
    ----------
    models : Models
        What it stands on.
    """

    is_effect: bool = field(default=True, init=False)

    @property
    def name(self) -> str:
        """How results name it."""
        return f"DR, {self.models.name}"

    def fit(self, lesson: Lesson, *, rng: np.random.Generator) -> FittedEffect:
        """Learn the effect; see `Learner.fit`."""
        encoder, encoded = self._encode(lesson)
        y, treated = lesson.outcome, lesson.is_treated
        parts = _parts(len(y), rng)
        model = self.models.outcome_model(y)

        def of_arm(features: FloatArray, outcome: FloatArray) -> Piece:
            return fit_piece(model, features, outcome)

        if_treated = out_of_fold(of_arm, encoded, y, treated, parts=parts)
        if_not = out_of_fold(of_arm, encoded, y, ~treated, parts=parts)
        chance = lesson.probability
        values = (
            if_treated
            - if_not
            + treated * (y - if_treated) / chance
            - ~treated * (y - if_not) / (1.0 - chance)
        )
        piece = fit_piece(self.models.regressor, encoded, values)
        return FittedEffect(
            learner=self.name, encoder=encoder, terms=(Term(weight=1.0, pieces=(piece,)),)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassTransformation(_OnModels):
    """One classifier of "bought when contacted, or did not buy when left alone".

    Its chance, doubled and less 1, is the effect, but only where both arms were equally likely.
    Off one half each customer must weigh 1 over the chance of the arm he is in.

    Attributes
    ----------
    models : Models
        What it stands on.
    is_weighted : bool
        Whether customers weigh by their known chance.
    """

    is_weighted: bool = False
    is_effect: bool = field(default=True, init=False)

    @property
    def name(self) -> str:
        """How results name it."""
        return f"class transformation, {self.models.name}"

    def fit(self, lesson: Lesson, *, rng: np.random.Generator) -> FittedEffect:
        """Learn the effect; see `Learner.fit`.

        Raises
        ------
        DesignError
            The outcome is not 0 or 1, or the arms were not equally likely and nothing is weighted.
        """
        y, treated, chance = lesson.outcome, lesson.is_treated, lesson.probability
        if not is_binary(y):
            raise DesignError(
                say("the class transformation needs an outcome of 0 or 1"),
                remedy=say("choose another learner, or an outcome such as conversion"),
            )
        if not self.is_weighted and np.max(np.abs(chance - 0.5)) > EVEN_TOLERANCE:
            raise DesignError(
                say(
                    "the chance to be treated is {chance}",
                    chance=formats.percent(float(chance.mean())),
                ),
                expected=say("one half, for the plain class transformation"),
                remedy=say(
                    "weigh by the known chance (is_weighted=True), or choose another learner"
                ),
            )
        encoder, encoded = self._encode(lesson)
        label = np.where(treated, y, 1.0 - y)
        weights = np.where(treated, 1.0 / chance, 1.0 / (1.0 - chance)) / 2.0
        piece = fit_piece(
            self.models.classifier, encoded, label, weights=weights if self.is_weighted else None
        )
        return FittedEffect(
            learner=self.name,
            encoder=encoder,
            terms=(Term(weight=2.0, pieces=(piece,)),),
            intercept=-1.0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoPartLearner(_OnModels):
    """For revenue that is 0 for most: the chance to buy times the amount of a buyer, per arm.

    The chance is learned in each arm; the amount, of which there are few, over both arms with the
    arm as a feature.

    Attributes
    ----------
    models : Models
        What it stands on.
    """

    is_effect: bool = field(default=True, init=False)

    @property
    def name(self) -> str:
        """How results name it."""
        return f"two-part, {self.models.name}"

    def fit(self, lesson: Lesson, *, rng: np.random.Generator) -> FittedEffect:
        """Learn the effect; see `Learner.fit`.

        Raises
        ------
        DesignError
            The outcome has values below 0.
        """
        y, treated = lesson.outcome, lesson.is_treated
        if float(y.min()) < 0:
            raise DesignError(
                say("the outcome goes down to {least}", least=separated(f"{float(y.min()):g}")),
                expected=say("0 for who did not buy, above 0 for who did"),
                remedy=say("choose a learner of one part"),
            )
        encoder, encoded = self._encode(lesson)
        bought = y > 0
        arms = with_arm(encoded[bought], treated[bought].astype(np.float64), interactions=False)
        amount = fit_piece(self.models.regressor, arms, y[bought])
        return FittedEffect(
            learner=self.name,
            encoder=encoder,
            terms=tuple(
                Term(
                    weight=weight,
                    pieces=(
                        fit_piece(
                            self.models.classifier, encoded[arm], bought[arm].astype(np.float64)
                        ),
                        _asked(amount, value, False),
                    ),
                )
                for weight, value, arm in ((1.0, 1.0, treated), (-1.0, 0.0, ~treated))
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseModel(_OnModels):
    """What contacted customers do: no effect, but what most companies rank by.

    Attributes
    ----------
    models : Models
        What it stands on.
    """

    is_effect: bool = field(default=False, init=False)

    @property
    def name(self) -> str:
        """How results name it."""
        return f"response, {self.models.name}"

    def fit(self, lesson: Lesson, *, rng: np.random.Generator) -> FittedEffect:
        """Learn the outcome of the treated; see `Learner.fit`."""
        encoder, encoded = self._encode(lesson)
        treated = lesson.is_treated
        model = self.models.outcome_model(lesson.outcome)
        piece = fit_piece(model, encoded[treated], lesson.outcome[treated])
        return FittedEffect(
            learner=self.name, encoder=encoder, terms=(Term(weight=1.0, pieces=(piece,)),)
        )


def _asked(fitted: Piece, arm: float, interactions: bool) -> Piece:
    """Give a fitted piece the arm that it is asked for; a constant knows none."""
    if not isinstance(fitted, ModelPiece):
        return fitted
    return ModelPiece(model=fitted.model, arm=arm, has_interactions=interactions)


def _parts(n: int, rng: np.random.Generator) -> FloatArray:
    return rng.permutation(np.arange(n) % INNER_FOLDS).astype(np.float64)
