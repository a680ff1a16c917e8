"""The verdict: what is said when, and that it is not said by chance."""

from __future__ import annotations

import dataclasses
from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from crm_lab.errors import DesignError
from crm_lab.uplift.cross_fitting import cross_fit_all, expected_outcomes, make_folds
from crm_lab.uplift.features import Features
from crm_lab.uplift.learners import DRLearner, ResponseModel, TLearner
from crm_lab.uplift.leave_alone import leave_alone
from crm_lab.uplift.one_feature import OneFeatureRule
from crm_lab.uplift.policy import Economics
from crm_lab.uplift.trial import Trial
from crm_lab.uplift.verdict import ChosenRule, choose_rule, judge

AT = datetime(2024, 5, 1)
N = 6_000


def spending(
    effects: tuple[float, float], *, n: int = N, seed: int = 1, probability: float = 0.5
) -> tuple[Trial, np.ndarray]:
    """Two halves of customers with an effect each; gives the trial and who is in the first."""
    rng = np.random.default_rng(seed)
    first, is_treated = rng.random(n) < 0.5, rng.random(n) < probability
    effect = np.where(first, *effects)
    y = rng.gamma(2.0, 1.0, n) + 5.0 + np.where(is_treated, effect, 0.0)
    return Trial(outcome=y, is_treated=is_treated, probability=probability, metric="spend"), first


def judged(
    trial: Trial, rule: np.ndarray, *, cost: float = 1.0, margin: float = 1.0, **options: object
):  # type: ignore[no-untyped-def]
    return judge(
        trial,
        rule,
        economics=Economics(margin=margin, contact_cost=cost, currency="EUR"),
        alpha=0.05,
        rng=np.random.default_rng(2),
        permutations=500,
        **options,
    )


def test_target_where_one_half_pays_and_the_other_does_not() -> None:
    found = judged(*spending((2.0, 0.0)))
    assert found.choice == "target"
    assert found.sentence().startswith("Target: contact only those chosen.")
    assert "chosen" in found.number_label()


def test_everyone_where_both_halves_pay() -> None:
    found = judged(*spending((2.0, 2.0)))
    assert found.choice == "everyone"
    assert found.gain.profit.high < 0


def test_everyone_where_the_rule_leaves_nobody_alone() -> None:
    trial, _ = spending((2.0, 2.0))
    found = judged(trial, np.ones(N))
    assert found.choice == "everyone"
    assert "the same customers" in found.sentence()


def test_everyone_where_the_rule_leaves_too_few_alone_to_judge() -> None:
    trial, _ = spending((2.0, 2.0))
    rule = np.ones(N)
    rule[0] = 0.0
    found = judged(trial, rule)
    assert not found.gain.profit.is_known
    assert found.choice == "everyone"
    assert "All but 1 are expected" in found.sentence()


def test_revenue_is_not_called_profit() -> None:
    found = judged(*spending((0.2, 0.2)))
    (profit,) = found.headline_numbers()
    assert profit.label == "Profit by contacting everyone"
    (revenue,) = dataclasses.replace(found, is_margin_known=False).headline_numbers()
    assert revenue.label == "Revenue less contact costs, by contacting everyone"


def test_nobody_where_contacts_cost_more_than_they_bring() -> None:
    found = judged(*spending((0.2, 0.2)))
    assert found.choice == "nobody"
    assert found.sentence().startswith("Contact nobody.")


def test_no_evidence_but_everyone_pays() -> None:
    trial, _ = spending((2.0, 1.0))
    blind = np.random.default_rng(3).random(N) < 0.999
    found = judged(trial, blind)
    assert found.choice in ("no evidence", "everyone")
    assert found.until_then == "everyone"


def test_no_evidence_where_the_data_cannot_tell() -> None:
    trial, first = spending((1.0, 1.0), n=400)
    y, arm = trial.outcome, trial.is_treated
    found = judged(trial, first, cost=float(y[arm].mean() - y[~arm].mean()))
    assert found.choice == "no evidence"
    assert found.sentence().startswith("No evidence that targeting beats contacting everyone.")
    assert "+" in found.number() or "-" in found.number()


def test_a_constant_outcome_concludes_nothing() -> None:
    trial = Trial(outcome=np.zeros(100), is_treated=np.arange(100) < 50, probability=0.5)
    found = judged(trial, np.arange(100) % 2)
    assert found.choice == "no evidence"
    assert "Cannot conclude, because" in found.sentence()


def test_a_gain_must_be_worth_its_trouble() -> None:
    trial, first = spending((2.0, 0.0))
    gain = judged(trial, first, cost=0.7).gain.profit
    assert judged(trial, first, cost=0.7, worth=gain.low * 0.9).choice == "target"
    assert judged(trial, first, cost=0.7, worth=gain.high * 1.1).choice == "everyone"


def test_the_margin_from_which_contacting_everyone_pays() -> None:
    trial, first = spending((2.0, 2.0))
    for margin in (1.0, 0.9):
        found = judged(trial, first, margin=margin)
        assert found.choice == "everyone"
        again = judged(trial, first, margin=found.break_even).everyone.profit
        assert again.low == pytest.approx(0.0, abs=1e-6 * again.high)
        assert again.estimate > 0.0


def test_a_small_control_is_said() -> None:
    trial, first = spending((2.0, 0.0), probability=0.9)
    assert "exploration cell" in judged(trial, first).sentence()


def test_observational_data_are_said_to_be() -> None:
    rng = np.random.default_rng(1)
    chance = rng.uniform(0.3, 0.7, N)
    arm = rng.random(N) < chance
    trial = Trial(
        outcome=rng.random(N) + arm, is_treated=arm, probability=chance, is_randomised=False
    )
    assert "Observational" in judged(trial, rng.random(N) < 0.5, cost=0.1).sentence()


def test_a_rule_learned_on_these_customers_has_a_wider_interval() -> None:
    trial, first = spending((2.0, 0.0))
    given, learned = judged(trial, first), judged(trial, first, is_cross_fitted=True)
    assert learned.gain.profit.low < given.gain.profit.low
    assert learned.gain.profit.estimate == given.gain.profit.estimate
    assert learned.everyone.profit.low == given.everyone.profit.low


def test_amounts_are_for_the_list_and_the_table_adds_up() -> None:
    trial, first = spending((2.0, 0.0))
    found = judged(trial, first, customers=60_000)
    frame = found.to_frame()
    assert frame["contacted"].tolist()[1] == 60_000
    # beside everyone = beside nobody less everyone beside nobody
    profit = frame["profit"].to_numpy()
    # (but for the means of the arms, which each comparison takes over its own customers)
    assert profit[2] == pytest.approx(profit[0] - profit[1], rel=0.03)
    table = found.take_away_frame()
    assert table["contact"].tolist() == ["those chosen", "everyone", "nobody"]
    assert table["cost saved"].tolist()[2] == "60,000 EUR"


def test_the_order_of_the_rows_changes_nothing() -> None:
    trial, first = spending((2.0, 0.0))
    order = np.random.default_rng(9).permutation(N)
    turned = Trial(
        outcome=trial.outcome[order], is_treated=trial.is_treated[order], probability=0.5
    )
    one, two = judged(trial, first), judged(turned, first[order])
    assert two.gain.profit.estimate == pytest.approx(one.gain.profit.estimate)


def chosen(trial: Trial, features: Features, *, cost: float) -> tuple[ChosenRule, Economics]:
    rng = np.random.default_rng(5)
    folds = make_folds(trial, rng=rng, repeats=2)
    learners = [TLearner(), DRLearner(), ResponseModel(), *map(rule_of, features.names)]
    fitted = cross_fit_all(learners, features, trial, folds=folds, rng=rng, drawn_at=AT)
    economics = Economics(contact_cost=cost)
    predictions = expected_outcomes(features, trial, folds=folds)
    return choose_rule(fitted, trial, economics=economics, predictions=predictions), economics


def rule_of(name: str) -> OneFeatureRule:
    return OneFeatureRule(feature=name)


def test_the_learners_choose_those_who_pay() -> None:
    trial, first = spending((2.0, 0.0))
    features = Features.of(pd.DataFrame({"first": first}), known_at=AT)
    rule, _ = chosen(trial, features, cost=1.0)
    np.testing.assert_allclose(rule.contact, first)
    assert rule.expected[first].mean() == pytest.approx(1.0, abs=0.15)
    assert sum(rule.picked.values()) == pytest.approx(1.0)
    assert rule.name in rule.picked


def test_no_learner_and_other_folds() -> None:
    trial, first = spending((2.0, 0.0))
    with pytest.raises(DesignError, match="there is no learner"):
        choose_rule([], trial, economics=Economics())
    features = Features.of(pd.DataFrame({"first": first}), known_at=AT)
    rng = np.random.default_rng(1)
    fits = [
        cross_fit_all(
            [TLearner()],
            features,
            trial,
            folds=make_folds(trial, rng=rng, repeats=1),
            rng=rng,
            drawn_at=AT,
        )[0]
        for _ in range(2)
    ]
    with pytest.raises(DesignError, match="cut into different folds"):
        choose_rule(fits, trial, economics=Economics())


def test_leaving_alone_saves_what_contacting_loses() -> None:
    trial, first = spending((2.0, 0.0))
    found = leave_alone(
        trial,
        first,
        economics=Economics(contact_cost=1.0, currency="EUR"),
        alpha=0.05,
        rng=np.random.default_rng(1),
        listed=500,
        audience=1_000,
    )
    y, arm = trial.outcome[~first], trial.is_treated[~first]
    effect = y[arm].mean() - y[~arm].mean()
    assert found.contact_cost == pytest.approx(500.0)
    assert found.margin_lost.estimate == pytest.approx(500.0 * effect)
    assert found.saved.estimate == pytest.approx(500.0 * (1.0 - effect))
    assert found.is_shown
    assert "saves" in found.sentence()
    assert found.to_frame()["estimate"].tolist()[0] == pytest.approx(500.0)


def test_leaving_alone_those_who_pay_is_refuted_and_unclear_is_said() -> None:
    trial, first = spending((0.0, 2.0))
    options = {"alpha": 0.05, "rng": np.random.default_rng(1)}
    wrong = leave_alone(trial, first, economics=Economics(contact_cost=1.0), **options)  # type: ignore[arg-type]
    assert wrong.is_refuted
    assert "Do not use the list" in wrong.sentence()
    y, arm = trial.outcome[~first], trial.is_treated[~first]
    even = Economics(contact_cost=float(y[arm].mean() - y[~arm].mean()))
    close = leave_alone(trial, first, economics=even, **options)  # type: ignore[arg-type]
    assert "the data cannot tell" in close.sentence()


def test_nobody_to_leave_alone() -> None:
    trial, _ = spending((2.0, 2.0))
    found = leave_alone(
        trial, np.ones(N), economics=Economics(), alpha=0.05, rng=np.random.default_rng(1)
    )
    assert found.sentence().startswith("Nobody: each of the 6,000")
    assert found.number() == ""


def test_a_list_longer_than_its_audience() -> None:
    trial, first = spending((2.0, 0.0))
    with pytest.raises(DesignError, match="a list of 5 customers of 4"):
        leave_alone(
            trial,
            first,
            economics=Economics(),
            alpha=0.05,
            rng=np.random.default_rng(1),
            listed=5,
            audience=4,
        )


RUNS = 120
MOST = 0.07
"""Share of claims that 120 runs stay below with probability 0.996 at 2.5 % each."""


@pytest.mark.slow
@pytest.mark.parametrize("probability", [0.5, 0.8])
def test_where_targeting_gains_nothing_it_is_rarely_claimed(probability: float) -> None:
    """The effect is the cost for everybody: every rule earns 0."""
    better = targets = 0
    for run in range(RUNS):
        rng = np.random.default_rng(run)
        n = 3_000
        x = rng.normal(size=(n, 2))
        arm = rng.random(n) < probability
        buys = rng.random(n) < 0.3
        y = buys * rng.lognormal(0.0, 0.8, n) * 3 * np.exp(0.3 * x[:, 0]) + arm * rng.gamma(1, 1, n)
        trial = Trial(outcome=y, is_treated=arm, probability=probability)
        frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "g": rng.random(n) < 0.5})
        rule, economics = chosen(trial, Features.of(frame, known_at=AT), cost=1.0)
        found = judge(
            trial,
            rule.contact,
            economics=economics,
            alpha=0.05,
            rng=rng,
            is_cross_fitted=True,
            permutations=300,
        )
        better += found.gain.profit.is_above(0.0)
        targets += found.choice == "target"
    assert better / RUNS < MOST
    assert targets / RUNS < MOST
