"""Models that were learned once and are kept: plain numbers in a JSON file, nothing that runs.

A pickled model runs whatever code its file holds. Here a file holds coefficients, levels and
edges only, and a hash over them; reading one needs no scikit-learn and cannot run anything. So
linear learners and one-feature rules can be saved. Trees cannot: learn them anew from their
snapshot, which takes seconds.

The file, version 1: ``format``, ``version``, ``about`` (learner, trained_on, metric, treatment,
drawn_at, n, snapshot), ``encoder`` (``columns`` with numbers and choices, or ``groups`` of one
feature), ``terms`` (weight and one or two pieces: ``linear``, ``constant``, ``lookup``),
``intercept``, ``calibration`` (intercept and slope that turn the score into money), ``reference``
(shares per group of score and features, for drift), ``sha256`` of all the rest.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge

from crm_lab.errors import DesignError, FileError
from crm_lab.language import say
from crm_lab.stats.arguments import FloatArray
from crm_lab.uplift.drift import Distribution, Drift, Reference, drift
from crm_lab.uplift.features import ChoiceColumn, Encoder, NumberColumn
from crm_lab.uplift.one_feature import FeatureGroup, GroupEncoder, LookupPiece
from crm_lab.uplift.pieces import (
    ConstantPiece,
    Encoding,
    FittedEffect,
    LinearPiece,
    ModelPiece,
    Piece,
    Term,
)

FORMAT, VERSION = "crm-lab uplift model", 1
_REGRESSORS = (Ridge, LinearRegression, Lasso, ElasticNet)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UpliftModel:
    """A model for customers who were not in the trial.

    Attributes
    ----------
    effect : FittedEffect
        What the learner learned, from everybody in the trial.
    calibration : tuple of float
        Intercept and slope that turn its score into money per contact, before the contact's cost;
        from scores of customers who were not learned from.
    trained_on, metric, treatment : str
        Outcome it learned from, outcome that is worth money, and what was sent.
    drawn_at : datetime
        When the trial was drawn (UTC).
    n : int
        Customers of the trial.
    snapshot : str
        Snapshot of the data.
    reference : Reference
        How score and features were spread.
    """

    effect: FittedEffect
    calibration: tuple[float, float]
    trained_on: str
    metric: str
    treatment: str
    drawn_at: datetime
    n: int
    snapshot: str
    reference: Reference

    @property
    def learner(self) -> str:
        """Name of the learner."""
        return self.effect.learner

    def score(self, frame: pd.DataFrame) -> FloatArray:
        """Give the score of every customer, as the learner has it."""
        return self.effect.effect(frame)

    def expected(self, frame: pd.DataFrame) -> FloatArray:
        """Give what contacting each customer is expected to bring, before its cost, in money."""
        intercept, slope = self.calibration
        return intercept + slope * self.score(frame)

    def drift(self, frame: pd.DataFrame) -> Drift:
        """Compare customers to be scored with those of the trial."""
        return drift(self.reference, frame[list(self.features)], self.score(frame))

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that are looked at for drift."""
        return tuple(part.name for part in self.reference.parts[1:])


def save_model(model: UpliftModel, path: Path) -> str:
    """Write a model as JSON and give its hash.

    Parameters
    ----------
    model : UpliftModel
        The model.
    path : pathlib.Path
        The file; written whole or not at all.

    Raises
    ------
    DesignError
        The model is not linear and not a one-feature rule.
    """
    content = _content(model)
    digest = _digest(content)
    text = json.dumps(content | {"sha256": digest}, indent=1, ensure_ascii=False, allow_nan=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.writing")
    temporary.write_text(text + "\n", "utf-8")
    temporary.replace(path)
    return digest


def load_model(path: Path) -> UpliftModel:
    """Read a model that `save_model` wrote; nothing in the file is run.

    Raises
    ------
    FileError
        There is no file, it is no such model, of another version, or was changed.
    """
    if not path.is_file():
        raise FileError(say("there is no saved model"), where=str(path))
    try:
        content = json.loads(path.read_text("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as problem:
        raise FileError(
            say("not a saved model ({problem})", problem=problem), where=str(path)
        ) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise FileError(
            say("not a saved model"),
            expected=say("a JSON file with the format '{format}'", format=FORMAT),
            where=str(path),
        )
    if content.get("version") != VERSION:
        raise FileError(
            say("a model of version {value}", value=content.get("version")),
            expected=say("version {version}", version=VERSION),
            where=str(path),
            remedy=say("learn it anew and save it again"),
        )
    digest = content.pop("sha256", "")
    if digest != _digest(content):
        raise FileError(
            say("the model was changed after it was saved"),
            expected=say("the hash that stands in it"),
            where=str(path),
            remedy=say("take the file as it was written, or learn the model anew"),
        )
    return _model(content)


def with_linear_pieces(effect: FittedEffect) -> FittedEffect:
    """Give the same effect as plain numbers, without scikit-learn.

    Raises
    ------
    DesignError
        A model in it is not linear.
    """
    return replace(
        effect,
        terms=tuple(
            replace(term, pieces=tuple(_as_numbers(piece, effect.learner) for piece in term.pieces))
            for term in effect.terms
        ),
    )


def _as_numbers(piece: Piece, learner: str) -> Piece:
    if not isinstance(piece, ModelPiece):
        return piece
    model = piece.model
    is_logistic = isinstance(model, LogisticRegression)
    if not is_logistic and type(model) not in _REGRESSORS:
        raise DesignError(
            say(
                "'{learner}' stands on {kind}, which cannot be saved as plain numbers",
                learner=learner,
                kind=type(model).__name__,
            ),
            expected=say("a linear learner or a one-feature rule"),
            remedy=say(
                "learn it anew from its snapshot, or choose the linear learner of the league"
            ),
        )
    coefficients = np.ravel(model.coef_).astype(np.float64)
    intercept = float(np.ravel(model.intercept_)[0])
    if piece.arm is not None:
        width = (len(coefficients) - 1) // (2 if piece.has_interactions else 1)
        main, arm = coefficients[:width], float(coefficients[width])
        if piece.has_interactions:
            main = main + piece.arm * coefficients[width + 1 :]
        coefficients, intercept = main, intercept + piece.arm * arm
    return LinearPiece(
        coefficients=tuple(coefficients.tolist()), intercept=intercept, is_logistic=is_logistic
    )


def _content(model: UpliftModel) -> dict[str, Any]:
    plain = with_linear_pieces(model.effect)
    return {
        "format": FORMAT,
        "version": VERSION,
        "about": {
            "learner": model.learner,
            "trained_on": model.trained_on,
            "metric": model.metric,
            "treatment": model.treatment,
            "drawn_at": model.drawn_at.isoformat(),
            "n": model.n,
            "snapshot": model.snapshot,
        },
        "encoder": _encoder_content(plain.encoder),
        "terms": [
            {"weight": term.weight, "pieces": [_piece_content(piece) for piece in term.pieces]}
            for term in plain.terms
        ],
        "intercept": plain.intercept,
        "calibration": list(model.calibration),
        "reference": {
            "n": model.reference.n,
            "parts": [
                {
                    "name": part.name,
                    "edges": list(part.edges),
                    "levels": list(part.levels),
                    "shares": list(part.shares),
                }
                for part in model.reference.parts
            ],
        },
    }


def _encoder_content(encoder: Encoding) -> dict[str, Any]:
    if isinstance(encoder, GroupEncoder):
        return {
            "kind": "groups",
            "feature": encoder.feature,
            "groups": [
                {
                    "label": group.label,
                    "level": group.level,
                    "low": _finite(group.low),
                    "high": _finite(group.high),
                }
                for group in encoder.groups
            ],
        }
    assert isinstance(encoder, Encoder)  # there are only these two
    return {
        "kind": "columns",
        "missing": encoder.missing,
        "numbers": [
            {
                "name": column.name,
                "mean": column.mean,
                "deviation": column.deviation,
                "has_missing": column.has_missing,
            }
            for column in encoder.numbers
        ],
        "choices": [
            {"name": column.name, "levels": list(column.levels), "known": sorted(column.known)}
            for column in encoder.choices
        ],
    }


def _piece_content(piece: Piece) -> dict[str, Any]:
    if isinstance(piece, LinearPiece):
        return {
            "kind": "linear",
            "coefficients": list(piece.coefficients),
            "intercept": piece.intercept,
            "is_logistic": piece.is_logistic,
        }
    if isinstance(piece, LookupPiece):
        return {"kind": "lookup", "values": list(piece.values)}
    assert isinstance(piece, ConstantPiece)  # with_linear_pieces leaves nothing else
    return {"kind": "constant", "value": piece.value}


def _model(content: Mapping[str, Any]) -> UpliftModel:
    about = content["about"]
    return UpliftModel(
        effect=FittedEffect(
            learner=about["learner"],
            encoder=_encoder(content["encoder"]),
            terms=tuple(
                Term(weight=term["weight"], pieces=tuple(_piece(p) for p in term["pieces"]))
                for term in content["terms"]
            ),
            intercept=content["intercept"],
        ),
        calibration=(content["calibration"][0], content["calibration"][1]),
        trained_on=about["trained_on"],
        metric=about["metric"],
        treatment=about["treatment"],
        drawn_at=datetime.fromisoformat(about["drawn_at"]),
        n=about["n"],
        snapshot=about["snapshot"],
        reference=Reference(
            n=content["reference"]["n"],
            parts=tuple(
                Distribution(
                    name=part["name"],
                    edges=tuple(part["edges"]),
                    levels=tuple(part["levels"]),
                    shares=tuple(part["shares"]),
                )
                for part in content["reference"]["parts"]
            ),
        ),
    )


def _encoder(content: Mapping[str, Any]) -> Encoding:
    if content["kind"] == "groups":
        return GroupEncoder(
            feature=content["feature"],
            groups=tuple(
                FeatureGroup(
                    label=group["label"],
                    level=group["level"],
                    low=-math.inf if group["low"] is None else group["low"],
                    high=math.inf if group["high"] is None else group["high"],
                )
                for group in content["groups"]
            ),
        )
    return Encoder(
        missing=content["missing"],
        numbers=tuple(NumberColumn(**column) for column in content["numbers"]),
        choices=tuple(
            ChoiceColumn(
                name=column["name"],
                levels=tuple(column["levels"]),
                known=frozenset(column["known"]),
            )
            for column in content["choices"]
        ),
    )


def _piece(content: Mapping[str, Any]) -> Piece:
    if content["kind"] == "linear":
        return LinearPiece(
            coefficients=tuple(content["coefficients"]),
            intercept=content["intercept"],
            is_logistic=content["is_logistic"],
        )
    if content["kind"] == "lookup":
        return LookupPiece(values=tuple(content["values"]))
    return ConstantPiece(value=content["value"])


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
