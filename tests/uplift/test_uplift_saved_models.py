"""Saved models: the same scores again, nothing that runs, and changes are found."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crm_lab.errors import DesignError, FileError
from crm_lab.uplift.cross_fitting import cross_fit, make_folds
from crm_lab.uplift.features import Features
from crm_lab.uplift.final_models import fit_model, picked_learner
from crm_lab.uplift.learners import (
    ClassTransformation,
    DRLearner,
    ResponseModel,
    RLearner,
    SLearner,
    TLearner,
    TwoPartLearner,
    XLearner,
)
from crm_lab.uplift.lessons import Learner
from crm_lab.uplift.one_feature import OneFeatureRule
from crm_lab.uplift.pieces import boosted_models
from crm_lab.uplift.policy import Economics
from crm_lab.uplift.saved_models import UpliftModel, load_model, save_model
from crm_lab.uplift.trial import Trial

AT = datetime(2024, 5, 1)
EXACT = 1e-9
N = 1_500
LEARNERS: list[Learner] = [
    SLearner(),
    TLearner(),
    XLearner(),
    RLearner(),
    DRLearner(),
    TwoPartLearner(),
    ResponseModel(),
    OneFeatureRule(feature="region"),
    OneFeatureRule(feature="orders"),
]


def table(n: int = N, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "orders": np.where(rng.random(n) < 0.1, np.nan, rng.poisson(20.0, n)),
            "region": rng.choice(["north", "south", "west"], n),
        }
    )


def a_model(learner: Learner, *, binary: bool = False) -> UpliftModel:
    rng = np.random.default_rng(2)
    frame, arm = table(), rng.random(N) < 0.5
    y = (rng.random(N) < 0.4).astype(float)
    if not binary:
        y *= rng.gamma(2.0, 5.0, N) + 4.0 * arm * (frame["region"] == "south")
    trial = Trial(outcome=y, is_treated=arm, probability=0.5, metric="spend")
    features = Features.of(frame, known_at=AT)
    folds = make_folds(trial, rng=rng, folds=3, repeats=1)
    judged = cross_fit(learner, features, trial, folds=folds, rng=rng, drawn_at=AT)
    return fit_model(
        learner,
        judged,
        features,
        trial,
        economics=Economics(margin=0.5),
        rng=rng,
        drawn_at=AT,
        snapshot="3-abc",
    )


@pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: learner.name)
def test_a_model_comes_back_as_it_was(learner: Learner, tmp_path: Path) -> None:
    model = a_model(learner)
    digest = save_model(model, tmp_path / "model.json")
    again = load_model(tmp_path / "model.json")
    later = table(400, seed=9).assign(region=lambda f: f["region"].where(f.index > 5, "moon"))
    np.testing.assert_allclose(again.expected(later), model.expected(later), atol=EXACT)
    assert again.drift(later) == model.drift(later)
    assert (again.learner, again.n, again.snapshot) == (learner.name, N, "3-abc")
    assert save_model(again, tmp_path / "again.json") == digest


def test_a_class_transformation_comes_back(tmp_path: Path) -> None:
    model = a_model(ClassTransformation(), binary=True)
    save_model(model, tmp_path / "model.json")
    frame = table()
    again = load_model(tmp_path / "model.json")
    np.testing.assert_allclose(again.score(frame), model.score(frame), atol=EXACT)


def test_trees_are_refused_with_what_to_do(tmp_path: Path) -> None:
    model = a_model(TLearner(models=boosted_models()))
    with pytest.raises(DesignError, match="cannot be saved as plain numbers"):
        save_model(model, tmp_path / "model.json")
    assert not list(tmp_path.iterdir())


def test_a_changed_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    save_model(a_model(TLearner()), path)
    content = json.loads(path.read_text())
    content["calibration"][0] += 1.0
    path.write_text(json.dumps(content))
    with pytest.raises(FileError, match="changed after it was saved"):
        load_model(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a saved model"),
        ("[]", "not a saved model"),
        ('{"format": "crm-lab uplift model", "version": 9}', "a model of version 9"),
    ],
)
def test_what_is_no_saved_model(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(text)
    with pytest.raises(FileError, match=message):
        load_model(path)


def test_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="there is no saved model"):
        load_model(tmp_path / "none.json")


def test_scores_of_another_learner_give_no_line() -> None:
    rng = np.random.default_rng(1)
    frame, arm = table(), rng.random(N) < 0.5
    trial = Trial(outcome=rng.random(N), is_treated=arm, probability=0.5)
    features = Features.of(frame, known_at=AT)
    folds = make_folds(trial, rng=rng, folds=2, repeats=1)
    judged = cross_fit(TLearner(), features, trial, folds=folds, rng=rng, drawn_at=AT)
    assert picked_learner([TLearner()], [judged], judged.label)[1] is judged
    with pytest.raises(DesignError, match="scores of T, linear"):
        fit_model(XLearner(), judged, features, trial, economics=Economics(), rng=rng, drawn_at=AT)
    with pytest.raises(DesignError, match="there is no learner 'Z'"):
        picked_learner([TLearner()], [judged], "Z")
