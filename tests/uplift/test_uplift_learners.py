"""Learners against statsmodels, against tables of means, and on effects that were planted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression

from crm_lab.errors import DesignError
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
from crm_lab.uplift.lessons import Learner, Lesson, control_warning
from crm_lab.uplift.one_feature import OneFeatureRule, feature_groups
from crm_lab.uplift.pieces import Models, boosted_models, linear_models

N = 4_000
EXACT = 1e-8
"""Least squares of the same problem by other code."""
PLANTED = 0.25
"""Error of an effect of 0 or 2 learned from 4,000 customers with noise of 1: 5 standard errors."""
PLAIN = Models(name="plain", classifier=LogisticRegression(C=1e8), regressor=LinearRegression())


def lesson(*, probability: float = 0.5, binary: bool = False, seed: int = 1) -> Lesson:
    """An effect of 2 (or .3) where x is above 0, none below."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=N), rng.normal(size=N)
    treated = rng.random(N) < probability
    helped = x > 0
    if binary:
        y = (rng.random(N) < 0.2 + 0.3 * (treated & helped)).astype(float)
    else:
        y = z + rng.normal(size=N) + 2.0 * (treated & helped) + 5.0
    frame = pd.DataFrame({"x": x, "z": z, "helped": helped})
    chances = np.full(N, probability)
    return Lesson(frame=frame, outcome=y, is_treated=treated, probability=chances)


def fitted_effect(learner: Learner, given: Lesson) -> np.ndarray:
    return learner.fit(given, rng=np.random.default_rng(3)).effect(given.frame)


LEARNERS = [SLearner, TLearner, XLearner, RLearner, DRLearner]


@pytest.mark.parametrize("kind", LEARNERS)
@pytest.mark.parametrize("probability", [0.5, 0.85])
def test_planted_effects_are_found(kind: type, probability: float) -> None:
    given = lesson(probability=probability)
    effect = fitted_effect(kind(models=linear_models()), given)
    helped = given.frame["helped"].to_numpy()
    assert effect[helped].mean() == pytest.approx(2.0, abs=PLANTED)
    assert effect[~helped].mean() == pytest.approx(0.0, abs=PLANTED)


@pytest.mark.parametrize("kind", LEARNERS)
def test_planted_effects_on_shares(kind: type) -> None:
    given = lesson(binary=True)
    effect = fitted_effect(kind(models=linear_models()), given)
    helped = given.frame["helped"].to_numpy()
    assert effect[helped].mean() == pytest.approx(0.3, abs=0.1)
    assert effect[~helped].mean() == pytest.approx(0.0, abs=0.1)


def test_boosted_trees_and_any_other_regressor() -> None:
    given = lesson()
    helped = given.frame["helped"].to_numpy()
    forest = Models(
        name="forest",
        classifier=LogisticRegression(),
        regressor=RandomForestRegressor(n_estimators=10, max_depth=4, random_state=0),
    )
    for models in (boosted_models(), forest):
        effect = fitted_effect(TLearner(models=models), given)
        assert effect[helped].mean() - effect[~helped].mean() > 1.5


def test_t_learner_is_two_regressions_of_statsmodels() -> None:
    given = lesson()
    x = sm.add_constant(given.frame.astype(float).to_numpy())
    treated = given.is_treated
    fits = [sm.OLS(given.outcome[arm], x[arm]).fit() for arm in (treated, ~treated)]
    expected = x @ (fits[0].params - fits[1].params)
    np.testing.assert_allclose(fitted_effect(TLearner(models=PLAIN), given), expected, atol=EXACT)


def test_s_learner_with_interactions_is_the_t_learner() -> None:
    given = lesson()
    np.testing.assert_allclose(
        fitted_effect(SLearner(models=PLAIN), given),
        fitted_effect(TLearner(models=PLAIN), given),
        atol=EXACT,
    )


def test_response_model_is_the_regression_of_the_treated() -> None:
    given = lesson()
    x = sm.add_constant(given.frame.astype(float).to_numpy())
    arm = given.is_treated
    expected = sm.OLS(given.outcome[arm], x[arm]).fit().predict(x)
    response = ResponseModel(models=PLAIN)
    np.testing.assert_allclose(fitted_effect(response, given), expected, atol=EXACT)
    assert not response.is_effect


@pytest.mark.parametrize("probability", [0.5, 0.85])
def test_class_transformation_of_one_flag_is_a_table_of_shares(probability: float) -> None:
    given = lesson(probability=probability, binary=True)
    flag = Lesson(
        frame=given.frame[["helped"]],
        outcome=given.outcome,
        is_treated=given.is_treated,
        probability=given.probability,
    )
    learner = ClassTransformation(models=PLAIN, is_weighted=probability != 0.5)
    effect = fitted_effect(learner, flag)
    for value in (True, False):
        here = flag.frame["helped"].to_numpy() == value
        y, arm, p = given.outcome[here], given.is_treated[here], probability
        if probability == 0.5:
            expected = 2 * np.where(arm, y, 1 - y).mean() - 1
        else:
            # weights 1/p and 1/(1-p): both arms weigh about the same
            up, down = (arm * y).sum() / p, (~arm * (1 - y)).sum() / (1 - p)
            weight = arm.sum() / p + (~arm).sum() / (1 - p)
            expected = 2 * (up + down) / weight - 1
        np.testing.assert_allclose(effect[here], expected, atol=1e-4)


def test_plain_class_transformation_is_refused_off_one_half() -> None:
    given = lesson(probability=0.85, binary=True)
    with pytest.raises(DesignError, match=r"chance to be treated is 85\.0 %"):
        fitted_effect(ClassTransformation(), given)


def test_class_transformation_is_refused_for_amounts() -> None:
    given = lesson()
    with pytest.raises(DesignError, match="needs an outcome of 0 or 1"):
        fitted_effect(ClassTransformation(), given)


def test_two_parts_find_an_effect_on_buying() -> None:
    rng = np.random.default_rng(2)
    given = lesson(binary=True)
    amounts = given.outcome * rng.gamma(2.0, 10.0, N)
    bought = Lesson(
        frame=given.frame,
        outcome=amounts,
        is_treated=given.is_treated,
        probability=given.probability,
    )
    effect = fitted_effect(TwoPartLearner(), bought)
    helped = given.frame["helped"].to_numpy()
    assert effect[helped].mean() == pytest.approx(6.0, abs=2.0)
    assert effect[~helped].mean() == pytest.approx(0.0, abs=2.0)


def test_two_parts_refuse_values_below_zero() -> None:
    given = lesson()
    shifted = Lesson(
        frame=given.frame,
        outcome=given.outcome - 10.0,
        is_treated=given.is_treated,
        probability=given.probability,
    )
    with pytest.raises(DesignError, match="the outcome goes down to"):
        fitted_effect(TwoPartLearner(), shifted)


@pytest.mark.parametrize("kind", [*LEARNERS, ResponseModel, TwoPartLearner])
def test_a_constant_outcome_has_no_effect(kind: type) -> None:
    given = lesson()
    constant = Lesson(
        frame=given.frame,
        outcome=np.zeros(N),
        is_treated=given.is_treated,
        probability=given.probability,
    )
    np.testing.assert_allclose(fitted_effect(kind(), constant), 0.0, atol=EXACT)


def test_a_rule_of_one_feature_is_a_table_of_differences() -> None:
    given = lesson()
    effect = fitted_effect(OneFeatureRule(feature="helped"), given)
    frame = pd.DataFrame(
        {"helped": given.frame["helped"], "y": given.outcome, "arm": given.is_treated}
    )
    means = frame.groupby(["helped", "arm"])["y"].mean().unstack()
    expected = given.frame["helped"].map(means[True] - means[False])
    np.testing.assert_allclose(effect, expected, atol=EXACT)


def test_a_rule_of_a_level_that_was_not_there_gives_the_mean_effect() -> None:
    given = lesson()
    regions = np.random.default_rng(1).choice(["north", "south"], N)
    named = Lesson(
        frame=pd.DataFrame({"region": regions}),
        outcome=given.outcome,
        is_treated=given.is_treated,
        probability=given.probability,
    )
    rule = OneFeatureRule(feature="region").fit(named, rng=np.random.default_rng(1))
    y, arm = given.outcome, given.is_treated
    found = rule.effect(pd.DataFrame({"region": ["moon"]}))
    assert found[0] == pytest.approx(y[arm].mean() - y[~arm].mean())
    assert rule.encoder.unseen(pd.DataFrame({"region": ["moon"]})) == {"region": 1}


def test_thirds_of_a_number_hold_everybody_once() -> None:
    values = pd.Series(np.random.default_rng(1).poisson(20.0, 3_000).astype(float))
    groups = feature_groups(values)
    inside = [((values > g.low) & (values <= g.high)).sum() for g in groups]
    assert sum(inside) == 3_000
    assert all(abs(count - 1_000) < 200 for count in inside)
    assert [g.label for g in groups] == ["up to 18", "18 to 22", "above 22"]


def test_a_small_control_is_warned_about_with_an_offer() -> None:
    assert "exploration cell" in control_warning(0.05)
    assert control_warning(0.2) == ""


def test_missing_numbers_go_through_linear_and_boosted_learners() -> None:
    given = lesson()
    frame = given.frame.assign(x=given.frame["x"].where(given.frame["z"] < 1.0))
    holed = Lesson(
        frame=frame,
        outcome=given.outcome,
        is_treated=given.is_treated,
        probability=given.probability,
    )
    for models in (linear_models(), boosted_models()):
        assert np.isfinite(fitted_effect(TLearner(models=models), holed)).all()
