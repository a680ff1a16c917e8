from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_lab import stats
from crm_lab.errors import DesignError
from crm_lab.uplift import (
    Economics,
    Estimate,
    Predictions,
    Trial,
    above,
    contrast,
    everyone,
    median_value,
    members_of,
    no_one,
    policy_value,
    top_count,
    top_share,
)
from crm_lab.uplift.contrast import hall_quantile, hall_transform

# Two routes to the same number differ by rounding only.
ROUNDING = 1e-9
ALPHA = 0.05


def generator(seed: int = 5) -> np.random.Generator:
    return np.random.default_rng(seed)


def shop(
    n: int = 3_000, *, share: float = 0.5, seed: int = 4, effect: float = 2.0
) -> tuple[Trial, np.ndarray]:
    rng = generator(seed)
    score = rng.random(n)
    is_treated = rng.random(n) < share
    spend = rng.gamma(2.0, 5.0, n) * (rng.random(n) < 0.6) + effect * is_treated * score
    trial = Trial(outcome=spend, is_treated=is_treated, probability=share, metric="revenue")
    return trial, score


def difference(trial: Trial, mask: np.ndarray) -> float:
    treated, control = mask & trial.is_treated, mask & ~trial.is_treated
    return float(trial.outcome[treated].mean() - trial.outcome[control].mean())


def value(trial: Trial, rule: Any, **settings: Any) -> Any:
    return policy_value(trial, rule, alpha=ALPHA, rng=generator(), **settings)


@given(st.integers(0, 1_000), st.sampled_from([0.1, 0.5, 0.95]))
def test_contacting_everyone_earns_the_difference_of_the_means(seed: int, share: float) -> None:
    trial, _ = shop(400, share=share, seed=seed)
    found = contrast(trial, everyone(trial.n), alpha=ALPHA, rng=generator(), permutations=99)
    assert found.estimate == pytest.approx(difference(trial, np.ones(trial.n, bool)), abs=ROUNDING)


def test_interval_of_everyone_is_that_of_the_comparison_of_means() -> None:
    trial, _ = shop(2_000, share=0.95)
    found = contrast(trial, everyone(trial.n), alpha=ALPHA, rng=generator(), permutations=999)
    treated = trial.is_treated
    direct = stats.compare_means(
        trial.outcome[treated],
        trial.outcome[~treated],
        alpha=ALPHA,
        rng=generator(),
        permutations=999,
    ).absolute
    assert [found.low, found.high] == pytest.approx([direct.low, direct.high], rel=1e-6)
    assert found.p_value == direct.p_value


def test_doubly_robust_without_covariates_is_the_difference_of_the_means() -> None:
    trial, _ = shop()
    treated = trial.is_treated
    flat = Predictions(
        treated=np.full(trial.n, trial.outcome[treated].mean()),
        control=np.full(trial.n, trial.outcome[~treated].mean()),
    )
    found = contrast(trial, everyone(trial.n), alpha=ALPHA, rng=generator(), predictions=flat)
    assert found.estimate == pytest.approx(difference(trial, np.ones(trial.n, bool)))


def test_doubly_robust_estimate_by_its_formula() -> None:
    trial, score = shop()
    rng = generator(1)
    guess = Predictions(treated=score + rng.random(trial.n), control=3.0 * score)
    weights = rng.normal(size=trial.n)
    found = contrast(trial, weights, alpha=ALPHA, rng=rng, predictions=guess)
    t, share = trial.is_treated, trial.is_treated.mean()
    scores = guess.effect + np.where(
        t,
        (trial.outcome - guess.treated) / share,
        -(trial.outcome - guess.control) / (1 - share),
    )
    assert found.estimate == pytest.approx(float(np.mean(weights * scores)))


def test_propensities_give_the_weighted_estimate_and_say_observational() -> None:
    rng = generator(2)
    n = 4_000
    rich = rng.random(n)
    chance = 0.1 + 0.8 * rich
    is_treated = rng.random(n) < chance
    outcome = 10.0 * rich + 1.5 * is_treated + rng.normal(0.0, 1.0, n)
    trial = Trial(outcome=outcome, is_treated=is_treated, probability=chance, is_randomised=False)
    guess = Predictions(treated=10.0 * rich + 1.0, control=9.0 * rich)
    found = contrast(trial, np.ones(n), alpha=ALPHA, rng=rng, predictions=guess)
    scores = guess.effect + np.where(
        is_treated, (outcome - guess.treated) / chance, -(outcome - guess.control) / (1 - chance)
    )
    error = scores.std(ddof=1) / math.sqrt(n)
    assert found.estimate == pytest.approx(scores.mean())
    # Hall's correction moves the normal ends by a fraction of an error only.
    ends = [scores.mean() - 1.96 * error, scores.mean() + 1.96 * error]
    assert [found.low, found.high] == pytest.approx(ends, abs=0.3 * error)
    assert found.low < 1.5 < found.high
    assert found.evidence == "observational"
    result = value(trial, np.ones(n))
    assert "Observational: customers were not randomised" in result.sentence()
    assert set(result.to_frame()["evidence"]) == {"observational"}


def test_a_few_chances_are_judged_within_each() -> None:
    rng = generator(3)
    n = 20_000
    rich = rng.random(n) < 0.3
    chance = np.where(rich, 0.9, 0.5)
    is_treated = rng.random(n) < chance
    trial = Trial(
        outcome=20.0 * rich + is_treated + rng.normal(0.0, 1.0, n),
        is_treated=is_treated,
        probability=chance,
    )
    found = contrast(trial, np.ones(n), alpha=ALPHA, rng=rng, permutations=499)
    expected = sum(part.mean() * difference(trial, part) for part in (rich, ~rich))
    assert found.estimate == pytest.approx(expected)
    assert found.low < 1.0 < found.high
    assert found.high - found.low < 0.2


def test_a_rule_earns_its_part_of_the_customers() -> None:
    trial, score = shop()
    found = value(trial, above(score, 0.7))
    mask = score > 0.7
    assert found.outcome.estimate == pytest.approx(mask.sum() * difference(trial, mask))
    assert (found.n, found.contacted) == (trial.n, mask.sum())


def test_two_rules_are_compared_where_they_differ() -> None:
    trial, score = shop()
    first, second = score > 0.3, score > 0.5
    between = first & ~second
    found = value(trial, first, baseline=second, name="wide", baseline_name="narrow")
    assert found.outcome.estimate == pytest.approx(between.sum() * difference(trial, between))
    assert found.outcome.n_treatment == (between & trial.is_treated).sum()
    apart = [value(trial, rule).outcome for rule in (first, second)]
    assert apart[0].estimate - apart[1].estimate == pytest.approx(found.outcome.estimate, rel=0.2)


def test_the_order_of_rows_changes_nothing() -> None:
    trial, score = shop(500)
    order = generator(9).permutation(trial.n)
    moved = Trial(outcome=trial.outcome[order], is_treated=trial.is_treated[order], probability=0.5)
    first = contrast(trial, score, alpha=ALPHA, rng=generator(), permutations=199)
    second = contrast(moved, score[order], alpha=ALPHA, rng=generator(), permutations=199)
    numbers = [dataclasses.astuple(found)[:4] for found in (first, second)]
    assert numbers[0] == pytest.approx(numbers[1])


def test_no_one_and_equal_rules_earn_nothing_for_certain() -> None:
    trial, score = shop()
    found = value(trial, no_one(trial.n), economics=Economics(contact_cost=1.0))
    assert (found.profit.estimate, found.profit.low, found.profit.high) == (0.0, 0.0, 0.0)
    rule = score > 0.5
    same = value(trial, rule, baseline=rule, name="a", baseline_name="b")
    assert same.sentence() == "a and b contact the same customers."


def test_costs_margin_and_discount() -> None:
    trial, score = shop()
    rule = score > 0.6
    cost = 0.1 + 0.2 * score
    terms = Economics(margin=0.4, contact_cost=cost, discount=0.1, currency="EUR")
    found = value(trial, rule, economics=terms)
    treated, control = rule & trial.is_treated, rule & ~trial.is_treated
    per_head = 0.3 * trial.outcome[treated].mean() - 0.4 * trial.outcome[control].mean()
    assert found.margin.estimate == pytest.approx(rule.sum() * per_head)
    assert found.cost == pytest.approx(cost[rule].sum())
    assert found.profit.estimate == pytest.approx(rule.sum() * per_head - cost[rule].sum())
    assert found.profit.high - found.profit.low == pytest.approx(
        found.margin.high - found.margin.low
    )


def test_amounts_for_a_list_of_another_size() -> None:
    trial, score = shop()
    terms = Economics(margin=0.5, contact_cost=0.2)
    own = value(trial, score > 0.5, economics=terms)
    tenfold = value(trial, score > 0.5, economics=terms, customers=10 * trial.n)
    assert tenfold.profit.estimate == pytest.approx(10 * own.profit.estimate)
    assert tenfold.profit_per_thousand.low == pytest.approx(own.profit_per_thousand.low)


def test_sentences_say_what_the_interval_allows() -> None:
    trial, _ = shop(effect=5.0)
    whole = everyone(trial.n)
    terms = {"cheap": 0.1, "dear": 9.0, "even": 2.6}
    found = {
        name: value(trial, whole, name="everyone", economics=Economics(contact_cost=cost))
        for name, cost in terms.items()
    }
    assert found["cheap"].sentence().endswith("It pays.")
    assert found["dear"].sentence().endswith("It loses money.")
    assert found["even"].sentence().endswith("The data cannot tell whether it pays.")


@pytest.mark.parametrize(
    ("outcome", "is_treated", "rule", "message"),
    [
        ([1, 2, 3, 4], [1, 0, 1, 0], [1, 1, 0, 0], "arm treatment has 1 of the units"),
        ([2, 2, 2, 2], [1, 0, 1, 0], [1, 1, 1, 1], "the outcome does not vary"),
    ],
)
def test_data_that_support_nothing_give_a_reason(
    outcome: list[float], is_treated: list[int], rule: list[int], message: str
) -> None:
    trial = Trial(outcome=outcome, is_treated=is_treated, probability=0.5)
    found = value(trial, rule)
    assert math.isnan(found.profit.estimate)
    assert message in found.profit.reason
    assert found.sentence().startswith("Contact the rule: cannot conclude")
    assert found.number() == ""


@pytest.mark.parametrize(
    ("rule", "message"),
    [([1, 1], "4 units but a rule for 2"), ([0, 1, 2, 0], "below 0 or above 1")],
)
def test_bad_rules(rule: list[float], message: str) -> None:
    trial = Trial(outcome=[1, 2, 3, 4], is_treated=[1, 0, 1, 0], probability=0.5)
    with pytest.raises(DesignError, match=message):
        value(trial, rule)


@pytest.mark.parametrize(
    "terms", [{"margin": -1.0}, {"discount": math.nan}, {"contact_cost": -0.1}]
)
def test_bad_terms(terms: dict[str, float]) -> None:
    with pytest.raises(DesignError, match=r"0 or more|negative or missing"):
        Economics(**terms)


def test_ties_at_the_cut_share_what_is_left() -> None:
    assert top_share([2, 2, 2, 1], 0.5).tolist() == pytest.approx([2 / 3] * 3 + [0])
    assert top_count([5, 4, 3], 3).tolist() == [1, 1, 1]
    assert members_of(["a", "b"], ["b"]).tolist() == [0, 1]
    with pytest.raises(DesignError, match="no unit in segment c"):
        members_of(["a", "b"], ["c"])
    with pytest.raises(DesignError, match="4 contacts among 3 units"):
        top_count([1, 2, 3], 4)
    with pytest.raises(DesignError, match="a share from 0 to 1"):
        top_share([1, 2, 3], 1.4)


def test_medians_over_repetitions() -> None:
    trial, score = shop()
    values = [value(trial, score > cut, name="a rule") for cut in (0.4, 0.5, 0.6)]
    found = median_value(values)
    assert found.profit.estimate == sorted(one.profit.estimate for one in values)[1]
    assert found.profit.low == sorted(one.profit.low for one in values)[1]
    assert "median over 3 repetitions" in found.profit.method
    with pytest.raises(DesignError, match="different rules or lists"):
        median_value([values[0], value(trial, score > 0.5, name="another")])
    with pytest.raises(DesignError, match="no value is given"):
        median_value([])


def test_estimates_are_scaled_and_widened() -> None:
    found = Estimate(
        estimate=2.0,
        low=1.0,
        high=4.0,
        p_value=0.01,
        alpha=ALPHA,
        method="t",
        evidence="randomised",
        n_treatment=9,
        n_control=9,
    )
    turned = found.scaled(-2.0)
    assert (turned.estimate, turned.low, turned.high, turned.p_value) == (-4.0, -8.0, -2.0, 0.01)
    assert math.isnan(found.scaled(1.0, shift=1.0).p_value)
    wider = found.widened(1.0)
    assert wider.low == pytest.approx(2.0 - math.hypot(1.0, 1.959964))
    assert wider.high == pytest.approx(2.0 + math.hypot(2.0, 1.959964))
    assert found.widened(0.0) == found


@given(st.floats(-3.0, 3.0), st.floats(-8.0, 8.0), st.integers(50, 5_000))
def test_halls_transform_and_its_inverse(z: float, skewness: float, n: int) -> None:
    t = hall_quantile(z, skewness=skewness, n=n)
    assert hall_transform(t, skewness=skewness, n=n) == pytest.approx(z, abs=1e-6)


@pytest.mark.parametrize(
    ("weights", "message"),
    [([1, 2], "4 units but 2 weights"), ([1, 2, math.nan, 1], "a weight is missing")],
)
def test_bad_weights(weights: list[float], message: str) -> None:
    trial = Trial(outcome=[1, 2, 3, 4], is_treated=[1, 0, 1, 0], probability=0.5)
    with pytest.raises(DesignError, match=message):
        contrast(trial, weights, alpha=ALPHA, rng=generator())


def test_predictions_must_be_numbers_for_the_same_units() -> None:
    with pytest.raises(DesignError, match="missing or infinite"):
        Predictions(treated=[1.0, math.nan], control=[0.0, 0.0])
    with pytest.raises(DesignError, match="2 predictions of one arm and 1"):
        Predictions(treated=[1.0, 2.0], control=[0.0])
    trial, _ = shop(100)
    short = Predictions(treated=[1.0, 2.0], control=[0.0, 0.0])
    with pytest.raises(DesignError, match="100 units but 2 predictions"):
        contrast(trial, np.ones(100), alpha=ALPHA, rng=generator(), predictions=short)
