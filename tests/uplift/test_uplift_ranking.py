from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from crm_lab.errors import DesignError
from crm_lab.uplift import (
    FORMULAS,
    Predictions,
    Trial,
    coefficient_replicates,
    compare_rankings,
    contrast,
    curve_bands,
    rank_quality,
    targeting_effect,
    top_share,
    uplift_at,
    uplift_curve,
)
from crm_lab.uplift.cumulative import coefficient, sums_by_score
from crm_lab.uplift.linear_scores import area_score
from crm_lab.uplift.resampling import grouped_trial, itself, score_groups
from crm_lab.uplift.targeting import rank_weights

ROUNDING = 1e-9
ALPHA = 0.05
REPLICATES = 2_000
# Standard deviations of 2,000 resamples have an error of 1.6 %; four of them.
SPREAD = 4 / math.sqrt(2 * REPLICATES)


def generator(seed: int = 5) -> np.random.Generator:
    return np.random.default_rng(seed)


def shop(
    n: int = 4_000, *, share: float = 0.5, kind: str = "visit", seed: int = 4, slope: float = 0.3
) -> tuple[Trial, np.ndarray]:
    rng = generator(seed)
    score = rng.random(n).round(2)
    is_treated = rng.random(n) < share
    outcome = (rng.random(n) < 0.2 + slope * score * is_treated).astype(float)
    if kind == "revenue":
        outcome *= rng.lognormal(1.0, 1.0, n)
    elif kind == "orders":
        outcome *= 1 + rng.poisson(0.5, n)
    trial = Trial(outcome=outcome, is_treated=is_treated, probability=share, metric=kind)
    return trial, score


@pytest.mark.parametrize("kind", ["visit", "orders", "revenue"])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_an_area_unit_by_unit_is_the_area(kind: str, share: float) -> None:
    trial, score = shop(kind=kind, share=share)
    _, sums = sums_by_score(trial, score)
    for definition in ("gain", "radcliffe"):
        area = float(coefficient(sums, definition))
        assert area_score(trial, score, definition).estimate == pytest.approx(area, rel=ROUNDING)
        found = rank_quality(
            trial, score, alpha=ALPHA, rng=generator(), definition=definition, permutations=99
        )
        assert found.value.estimate == pytest.approx(area, rel=1e-6)


@pytest.mark.parametrize("kind", ["visit", "revenue"])
def test_the_interval_agrees_with_resampling(kind: str) -> None:
    trial, score = shop(kind=kind)
    found = rank_quality(trial, score, alpha=ALPHA, rng=generator()).value
    drawn = coefficient_replicates(trial, score, "gain", replicates=REPLICATES, rng=generator())
    half = (found.high - found.low) / 2 / 1.959964
    assert half == pytest.approx(drawn.std(ddof=1), rel=SPREAD)
    assert drawn.mean() == pytest.approx(found.estimate, abs=0.2 * half)


def test_grouped_resamples_are_those_of_every_score() -> None:
    trial, score = shop(6_000)
    fine = coefficient_replicates(
        trial, score, "sklift_qini", replicates=REPLICATES, rng=generator(1), groups=1_000
    )
    coarse = coefficient_replicates(
        trial, score, "sklift_qini", replicates=REPLICATES, rng=generator(2), groups=30
    )
    assert coarse.std() == pytest.approx(fine.std(), rel=1.5 * SPREAD)


@pytest.mark.parametrize("kind", ["visit", "revenue"])
def test_resamples_agree_with_rows_drawn_anew(kind: str) -> None:
    trial, score = shop(1_500, kind=kind)
    rng, loop = generator(3), []
    for _ in range(600):
        rows = rng.integers(0, trial.n, trial.n)
        again = Trial(
            outcome=trial.outcome[rows], is_treated=trial.is_treated[rows], probability=0.5
        )
        loop.append(float(coefficient(sums_by_score(again, score[rows])[1], "radcliffe")))
    drawn = coefficient_replicates(
        trial, score, "radcliffe", replicates=REPLICATES, rng=generator()
    )
    # 600 rows drawn anew have an error of 2.9 %; four of them.
    assert drawn.std() == pytest.approx(np.std(loop), rel=4 / math.sqrt(1_200))


@pytest.mark.parametrize("kind", ["visit", "revenue"])
def test_the_grouped_trial_as_it_is_gives_the_curve(kind: str) -> None:
    trial, score = shop(kind=kind)
    curve = uplift_curve(trial, score)
    whole = itself(grouped_trial(trial, score, groups=1_000), with_errors=True)
    assert whole.sums.qini[0] == pytest.approx(curve.sums.qini)
    treated = trial.outcome[trial.is_treated]
    assert whole.squared_errors[0][0, -1] == pytest.approx(treated.var(ddof=1) / treated.size)


def test_chances_that_differ_are_resampled_with_their_weights() -> None:
    rng = generator(6)
    n = 3_000
    chance = np.where(rng.random(n) < 0.4, 0.8, 0.5)
    trial = Trial(
        outcome=rng.gamma(2.0, 1.0, n), is_treated=rng.random(n) < chance, probability=chance
    )
    score = rng.random(n)
    curve = uplift_curve(trial, score)
    whole = itself(grouped_trial(trial, score, groups=n)).sums
    assert whole.gain[0] == pytest.approx(curve.sums.gain)
    single = Trial(
        outcome=trial.outcome,
        is_treated=trial.is_treated,
        probability=rng.uniform(0.3, 0.7, n),
        is_randomised=False,
    )
    drawn = coefficient_replicates(single, score, "gain", replicates=50, rng=rng)
    assert np.isfinite(drawn).all()


def test_groups_never_split_ties() -> None:
    score = np.array([3.0] * 50 + [2.0] * 30 + [1.0, 0.5, 0.4, 0.3] * 5)
    group, count = score_groups(score, 3)
    assert len(set(group[:50])) == 1
    assert len(set(group[50:80])) == 1
    assert group[0] == 0
    assert count == group.max() + 1


@pytest.mark.parametrize("definition", FORMULAS)
def test_every_coefficient_has_an_interval_and_its_formula(definition: Any) -> None:
    trial, score = shop(slope=0.5)
    found = rank_quality(
        trial, score, alpha=ALPHA, rng=generator(), definition=definition, replicates=200
    )
    assert found.value.low < found.value.estimate < found.value.high
    assert found.is_better_than_random
    assert found.sentence().startswith("The score ranks customers better than chance")
    assert found.to_frame().loc[0, "formula"] == FORMULAS[definition]


@pytest.mark.parametrize("definition", ["radcliffe_q0", "sklift_qini", "sklift_uplift"])
def test_some_coefficients_exist_only_for_yes_and_no(definition: Any) -> None:
    trial, score = shop(kind="revenue")
    found = rank_quality(trial, score, alpha=ALPHA, rng=generator(), definition=definition)
    assert math.isnan(found.value.estimate)
    assert "needs an outcome of 0 or 1" in found.sentence()


@pytest.mark.parametrize("definition", ["causalml_qini", "causalml_auuc", "radcliffe_q0"])
def test_nothing_is_divided_by_an_effect_that_may_be_zero(definition: Any) -> None:
    trial, score = shop(slope=0.0)
    found = rank_quality(trial, score, alpha=ALPHA, rng=generator(), definition=definition)
    assert "too close to 0" in found.value.reason


def test_a_constant_score_ranks_nothing() -> None:
    trial, _ = shop()
    found = rank_quality(trial, np.ones(trial.n), alpha=ALPHA, rng=generator())
    assert found.value.estimate == pytest.approx(0.0, abs=ROUNDING)
    assert found.sentence().startswith("The data cannot tell this ranking from a random one")


def test_repetitions_are_averaged_and_widen_the_interval() -> None:
    trial, score = shop()
    rng = generator(8)
    rows = np.stack([score + rng.normal(0.0, 0.8, trial.n) for _ in range(4)])
    single = [rank_quality(trial, row, alpha=ALPHA, rng=rng) for row in rows]
    found = rank_quality(trial, rows, alpha=ALPHA, rng=rng)
    values = [one.value.estimate for one in single]
    assert found.value.estimate == pytest.approx(np.mean(values))
    assert found.split_sd == pytest.approx(np.std(values, ddof=1))
    assert "Mean over 4 repetitions" in found.sentence()
    twice = np.stack([score, score])
    again = rank_quality(trial, twice, alpha=ALPHA, rng=rng, is_cross_fitted=False)
    once = rank_quality(trial, score, alpha=ALPHA, rng=rng)
    assert again.value.high == pytest.approx(once.value.high)


def test_scores_from_cross_fitting_have_wider_intervals() -> None:
    trial, score = shop()
    once = rank_quality(trial, score, alpha=ALPHA, rng=generator()).value
    learned = rank_quality(trial, score[None, :], alpha=ALPHA, rng=generator()).value
    stated = rank_quality(trial, score, alpha=ALPHA, rng=generator(), is_cross_fitted=True).value
    assert learned == stated
    assert learned.high - learned.estimate == pytest.approx(
        math.sqrt(2.0) * (once.high - once.estimate)
    )
    assert learned.p_value > once.p_value
    assert "cross-fitting" in learned.method
    # Half of the customers: half of the variance does not depend on who they are.
    rule = score > np.median(score)
    plain = contrast(trial, rule, alpha=ALPHA, rng=generator())
    wide = contrast(trial, rule, alpha=ALPHA, rng=generator(), is_cross_fitted=True)
    ratio = (wide.high - wide.low) / (plain.high - plain.low)
    assert ratio == pytest.approx(math.sqrt(2.0 - rule.mean()))


def test_two_scores_are_compared_on_the_same_customers() -> None:
    trial, score = shop()
    noise = generator(2).random(trial.n)
    found = compare_rankings(trial, score, noise, alpha=ALPHA, rng=generator())
    values = [rank_quality(trial, row, alpha=ALPHA, rng=generator()) for row in (score, noise)]
    gap = values[0].value.estimate - values[1].value.estimate
    assert found.difference.estimate == pytest.approx(gap)
    assert [found.first_value, found.second_value] == pytest.approx(
        [one.value.estimate for one in values]
    )
    assert "ranks customers better than" in found.sentence()
    turned = compare_rankings(trial, noise, score, alpha=ALPHA, rng=generator())
    assert turned.difference.high == pytest.approx(-found.difference.low, rel=1e-3)
    assert "ranks customers worse than" in turned.sentence()


def test_nearly_equal_scores_have_a_narrow_difference() -> None:
    trial, score = shop()
    near = score + generator(3).normal(0.0, 0.02, trial.n)
    found = compare_rankings(trial, score, near, alpha=ALPHA, rng=generator())
    alone = rank_quality(trial, score, alpha=ALPHA, rng=generator()).value
    assert found.difference.high - found.difference.low < 0.3 * (alone.high - alone.low)
    same = compare_rankings(trial, score, 2.0 * score, alpha=ALPHA, rng=generator()).difference
    assert (same.low, same.high, same.reason) == (0.0, 0.0, "both scores give the same order")


def test_repetitions_of_two_scores_belong_together() -> None:
    trial, score = shop(500)
    three, two = np.stack([score] * 3), np.stack([score] * 2)
    with pytest.raises(DesignError, match="3 and 2 repetitions"):
        compare_rankings(trial, three, two, alpha=ALPHA, rng=generator())
    found = compare_rankings(trial, three, -score, alpha=ALPHA, rng=generator(), permutations=99)
    assert found.repetitions == 3


def test_uplift_at_a_depth_is_the_difference_there() -> None:
    trial, score = shop()
    found = uplift_at(trial, score, 0.3, alpha=ALPHA, rng=generator())
    expected = uplift_curve(trial, score).at([0.3], kind="uplift")[0]
    assert found.estimate == pytest.approx(expected, rel=0.05)
    whole = uplift_at(trial, score, 1.0, alpha=ALPHA, rng=generator())
    assert whole.estimate == pytest.approx(uplift_curve(trial, score).uplift[-1])
    assert top_share(score, 0.3).mean() == pytest.approx(0.3)


def test_rate_by_its_definition() -> None:
    n = 200
    trial, _ = shop(n)
    score = generator(1).permutation(n).astype(float)
    guess = Predictions(treated=0.1 * score, control=np.zeros(n))
    t, share = trial.is_treated, trial.is_treated.mean()
    effects = guess.effect + np.where(
        t, (trial.outcome - guess.treated) / share, -trial.outcome / (1 - share)
    )
    ranked = effects[np.argsort(-score)]
    toc = np.cumsum(ranked) / np.arange(1, n + 1) - ranked.mean()
    found = targeting_effect(trial, score, alpha=ALPHA, rng=generator(), predictions=guess)
    # The sum over ranks and the integral over depths differ by about one rank of n.
    assert found.estimate == pytest.approx(toc.mean(), abs=0.05 * np.abs(ranked).max())
    by_qini = targeting_effect(
        trial, score, alpha=ALPHA, rng=generator(), predictions=guess, weighting="qini"
    )
    depth = np.arange(1, n + 1) / n
    assert by_qini.estimate == pytest.approx(np.mean(depth * toc), abs=0.01)


@pytest.mark.parametrize("weighting", ["autoc", "qini"])
def test_rank_weights_add_up_to_nothing(weighting: Any) -> None:
    score = generator(1).integers(0, 5, 300).astype(float)
    assert rank_weights(score, weighting).mean() == pytest.approx(0.0, abs=ROUNDING)
    assert rank_weights(np.ones(7), weighting) == pytest.approx(np.zeros(7), abs=ROUNDING)


def test_bands_hold_the_curve_and_lie_around_each_other() -> None:
    trial, score = shop()
    for kind in ("uplift", "gain", "qini"):
        found = curve_bands(trial, score, alpha=ALPHA, rng=generator(), kind=kind, replicates=300)
        curve = uplift_curve(trial, score)
        assert found.estimate == pytest.approx(curve.at(found.depth, kind=kind), rel=0.02)
        assert np.all(found.low_all <= found.low)
        assert np.all(found.low < found.estimate)
        assert np.all(found.high <= found.high_all)
        assert found.above_random_low[-1] == found.above_random_high[-1] == 0.0
        assert "lies above random" in found.sentence()


def test_the_band_at_full_depth_is_that_of_the_average_effect() -> None:
    trial, score = shop()
    found = curve_bands(
        trial, score, alpha=ALPHA, rng=generator(), depth=[1.0], replicates=REPLICATES
    )
    direct = uplift_at(trial, score, 1.0, alpha=ALPHA, rng=generator())
    width = direct.high - direct.low
    assert [found.low[0], found.high[0]] == pytest.approx(
        [direct.low, direct.high], abs=0.08 * width
    )


def test_depths_with_too_few_customers_have_no_band() -> None:
    trial, score = shop(3_000, share=0.95)
    found = curve_bands(
        trial, score, alpha=ALPHA, rng=generator(), depth=[0.05, 0.95, 1.0], replicates=100
    )
    assert "fewer than 20 customers who did" in found.reasons[0]
    assert np.isnan(found.low[0])
    assert np.isfinite(found.low[1:]).all()
    assert found.reasons[1:] == ("", "")


def test_a_constant_outcome_has_no_band() -> None:
    rng = generator()
    trial = Trial(outcome=np.zeros(500), is_treated=rng.random(500) < 0.5, probability=0.5)
    found = curve_bands(trial, rng.random(500), alpha=ALPHA, rng=rng, replicates=20)
    assert "does not vary" in found.sentence()
    quality = rank_quality(trial, rng.random(500), alpha=ALPHA, rng=rng)
    assert "does not vary" in quality.sentence()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t, s: rank_quality(t, s, alpha=0.0, rng=generator()), "alpha is 0.0"),
        (
            lambda t, s: rank_quality(t, s, alpha=ALPHA, rng=generator(), definition="gini"),
            "definition is 'gini'",
        ),
        (
            lambda t, s: compare_rankings(
                t, s, s, alpha=ALPHA, rng=generator(), definition="sklift_qini"
            ),
            "'gain' or 'radcliffe'",
        ),
        (lambda t, s: uplift_at(t, s, 0.0, alpha=ALPHA, rng=generator()), "share is 0.0"),
        (
            lambda t, s: targeting_effect(t, s, alpha=ALPHA, rng=generator(), weighting="x"),
            "weighting is 'x'",
        ),
        (lambda t, s: curve_bands(t, s, alpha=ALPHA, rng=generator(), depth=[0.0]), "a depth is"),
        (lambda t, s: curve_bands(t, s, alpha=ALPHA, rng=generator(), kind="x"), "kind is 'x'"),
        (
            lambda t, s: rank_quality(t, np.ones((1, 1, 9)), alpha=ALPHA, rng=generator()),
            "scores of shape",
        ),
    ],
)
def test_bad_requests(call: Any, message: str) -> None:
    trial, score = shop(100)
    with pytest.raises(DesignError, match=message):
        call(trial, score)


@pytest.mark.slow
@pytest.mark.parametrize(("share", "kind"), [(0.5, "visit"), (0.95, "visit"), (0.95, "revenue")])
def test_a_random_score_gives_zero_at_the_stated_rate(share: float, kind: str) -> None:
    rng, runs, claims = generator(12), 600, 0
    for run in range(runs):
        trial, _ = shop(3_000, share=share, kind=kind, seed=run)
        found = rank_quality(trial, rng.random(trial.n), alpha=ALPHA, rng=rng, permutations=399)
        claims += found.value.is_above(0.0) or found.value.is_below(0.0)
    # Four standard errors of a share of 5 % over the runs.
    assert claims / runs == pytest.approx(ALPHA, abs=4 * math.sqrt(ALPHA * (1 - ALPHA) / runs))
