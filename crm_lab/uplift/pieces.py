"""The pieces a learner is made of: fitted models of an outcome, put together to an effect.

Every learner ends as a sum of terms, each a weight times one or two pieces. So a model can be
scored, explained and saved in one way, whatever learner made it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils import get_tags
from threadpoolctl import ThreadpoolController

from crm_lab.stats.arguments import FloatArray
from crm_lab.uplift.features import Missing


class Encoding(Protocol):
    """Turns features into numbers, always by what was learned once."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features that are needed."""
        ...

    def encode(self, frame: pd.DataFrame) -> FloatArray:
        """Give the numbers of a frame: (rows, columns)."""
        ...

    def unseen(self, frame: pd.DataFrame) -> dict[str, int]:
        """Count, per feature, the customers whose level was not there when it was learned."""
        ...


class Piece(Protocol):
    """Something that gives one number per customer from the encoded features."""

    def predict(self, encoded: FloatArray) -> FloatArray:
        """Give one number per row."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantPiece:
    """The same number for everybody: where there was nothing to learn from.

    Attributes
    ----------
    value : float
        The number.
    """

    value: float

    def predict(self, encoded: FloatArray) -> FloatArray:
        """Give the number for every row."""
        return np.full(len(encoded), self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPiece:
    """A fitted scikit-learn model: the chance of 1 of a classifier, the value of a regressor.

    Attributes
    ----------
    model : estimator
        The fitted model.
    arm : float, optional
        For a model that was given the arm as a column: the arm that is asked for (1 or 0).
    has_interactions : bool
        Whether the model was given the arm times every feature too.
    """

    model: Any
    arm: float | None = None
    has_interactions: bool = False

    def predict(self, encoded: FloatArray) -> FloatArray:
        """Give the chance, or the value, for every row."""
        if self.arm is not None:
            arm = np.full(len(encoded), self.arm)
            encoded = with_arm(encoded, arm, interactions=self.has_interactions)
        with one_thread():
            if is_classifier(self.model):
                return np.asarray(self.model.predict_proba(encoded)[:, 1], dtype=np.float64)
            return np.asarray(self.model.predict(encoded), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearPiece:
    """A linear model as plain numbers, which is what a saved model holds.

    Attributes
    ----------
    coefficients : tuple of float
        One per encoded column.
    intercept : float
        Added to the sum.
    is_logistic : bool
        Whether the sum is turned into a chance.
    """

    coefficients: tuple[float, ...]
    intercept: float
    is_logistic: bool

    def predict(self, encoded: FloatArray) -> FloatArray:
        """Give the chance, or the value, for every row."""
        sums = encoded @ np.asarray(self.coefficients, dtype=np.float64) + self.intercept
        if not self.is_logistic:
            return sums
        # the tails of the exponential would overflow
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(sums, -500.0, 500.0))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A weight times the product of pieces.

    Attributes
    ----------
    weight : float
        The factor before it.
    pieces : tuple of Piece
        One or two.
    """

    weight: float
    pieces: tuple[Piece, ...]

    def predict(self, encoded: FloatArray) -> FloatArray:
        """Give the term for every row."""
        total = np.full(len(encoded), self.weight)
        for piece in self.pieces:
            total = total * piece.predict(encoded)
        return total


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedEffect:
    """What a learner has learned: features in, expected effect per customer out.

    Attributes
    ----------
    learner : str
        Name of the learner.
    encoder : Encoding
        How features are seen.
    terms : tuple of Term
        Their sum is the effect.
    intercept : float
        Added to the sum.
    """

    learner: str
    encoder: Encoding
    terms: tuple[Term, ...]
    intercept: float = 0.0

    def effect(self, frame: pd.DataFrame) -> FloatArray:
        """Give the expected effect of every customer, in the unit of the outcome.

        Raises
        ------
        DesignError
            A feature is not there, or a value is missing that may not be.
        """
        encoded = self.encoder.encode(frame)
        total = np.full(len(encoded), self.intercept)
        for term in self.terms:
            total += term.predict(encoded)
        return total


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Models:
    """The scikit-learn models that learners are built on.

    Attributes
    ----------
    name : str
        How results name the pair.
    classifier : estimator
        For outcomes of 0 and 1; needs ``predict_proba``.
    regressor : estimator
        For numbers, and for the last stage of learners that have one.
    """

    name: str
    classifier: BaseEstimator
    regressor: BaseEstimator

    @property
    def missing(self) -> Missing:
        """What happens to missing numbers: kept where both models take them, else filled."""
        taken = all(get_tags(m).input_tags.allow_nan for m in (self.classifier, self.regressor))
        return "keep" if taken else "fill"

    @property
    def is_linear(self) -> bool:
        """Whether both models are linear, so that an arm acts on features only if told to."""
        return all("coef_" in vars(_tiny_fit(model)) for model in (self.classifier, self.regressor))

    def outcome_model(self, y: FloatArray) -> BaseEstimator:
        """Give the classifier for outcomes of 0 and 1, the regressor for others."""
        return self.classifier if is_binary(y) else self.regressor


def linear_models() -> Models:
    """Give logistic and ridge regression: the default, and hard to beat with rare outcomes.

    Examples
    --------
    >>> linear_models().missing, linear_models().is_linear
    ('fill', True)
    """
    return Models(
        name="linear",
        classifier=LogisticRegression(solver="newton-cholesky", max_iter=100),
        regressor=Ridge(alpha=1.0),
    )


def boosted_models() -> Models:
    """Give small gradient-boosted trees, which take missing values and find thresholds.

    Examples
    --------
    >>> boosted_models().missing, boosted_models().is_linear
    ('keep', False)
    """
    shape = {
        "max_iter": 60,
        "learning_rate": 0.06,
        "max_leaf_nodes": 8,
        "min_samples_leaf": 100,
        "l2_regularization": 1.0,
        "early_stopping": False,
        "random_state": 0,
    }
    return Models(
        name="boosted",
        classifier=HistGradientBoostingClassifier(**shape),
        regressor=HistGradientBoostingRegressor(**shape),
    )


def fit_piece(
    model: BaseEstimator,
    encoded: FloatArray,
    y: FloatArray,
    *,
    weights: FloatArray | None = None,
    arm: float | None = None,
    has_interactions: bool = False,
) -> Piece:
    """Fit one model; a constant where the outcome does not vary or nobody is there.

    Parameters
    ----------
    model : estimator
        Copied before it is fitted.
    encoded : ndarray, shape (n, k)
        Features.
    y : ndarray, shape (n,)
        What is learned.
    weights : ndarray of shape (n,), optional
        Weight of each row.
    arm, has_interactions
        See `ModelPiece`.
    """
    if not len(y) or np.ptp(y) == 0:
        return ConstantPiece(value=float(y[0]) if len(y) else 0.0)
    fitted: Any = clone(model)
    target: Any = y.astype(np.int64) if is_classifier(fitted) else y
    with one_thread():
        if weights is None:
            fitted.fit(encoded, target)
        else:
            fitted.fit(encoded, target, sample_weight=weights)
    return ModelPiece(model=fitted, arm=arm, has_interactions=has_interactions)


@functools.cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[object]:
    """Keep numerical libraries to one thread: small fits wait for threads longer than they run."""
    limited: AbstractContextManager[object] = _threads().limit(limits=1)
    return limited


def out_of_fold(
    fit: Callable[[FloatArray, FloatArray], Piece],
    encoded: FloatArray,
    y: FloatArray,
    taken: np.ndarray[Any, np.dtype[np.bool_]],
    *,
    parts: FloatArray,
) -> FloatArray:
    """Predict everybody by a model that did not see him, learned from the rows ``taken``.

    Parameters
    ----------
    fit : callable
        Takes features and outcome, gives a piece.
    encoded, y : ndarray
        All rows.
    taken : ndarray of bool
        Rows that may be learned from.
    parts : ndarray
        Part of each row; a row is predicted by what was learned from the other parts.
    """
    predicted = np.empty(len(y))
    for part in np.unique(parts):
        here = parts == part
        learned = taken & ~here
        predicted[here] = fit(encoded[learned], y[learned]).predict(encoded[here])
    return predicted


def with_arm(encoded: FloatArray, arm: FloatArray, *, interactions: bool) -> FloatArray:
    """Put the arm behind the features, and the arm times every feature where wanted."""
    columns = [encoded, arm[:, None]]
    if interactions:
        columns.append(encoded * arm[:, None])
    return np.hstack(columns)


def is_binary(y: FloatArray) -> bool:
    """Whether an outcome is 0 or 1 for everybody."""
    return bool(np.all((y == 0.0) | (y == 1.0)))


def _tiny_fit(model: BaseEstimator) -> Any:
    fitted: Any = clone(model)
    return fitted.fit(np.array([[0.0], [1.0], [0.0], [1.0]]), np.array([0, 1, 0, 1]))
