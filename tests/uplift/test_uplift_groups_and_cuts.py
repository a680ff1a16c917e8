from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crm_lab.errors import DesignError
from crm_lab.uplift import (
    BestCut,
    Economics,
    Trial,
    best_cut,
    calibrate_effects,
    group_profile,
    sorted_effects,
    uplift_curve,
)

ALPHA = 0.05


def generator(seed: int = 5) -> np.random.Generator:
    return np.random.default_rng(seed)


def shop(
    n: int = 4_000, *, share: float = 0.5, slope: float = 4.0, seed: int = 4
) -> tuple[Trial, np.ndarray]:
    rng = generator(seed)
    score = rng.random(n)
    is_treated = rng.random(n) < share
    outcome = rng.gamma(2.0, 2.0, n) + slope * score * is_treated
    trial = Trial(outcome=outcome, is_treated=is_treated, probability=share, metric="revenue")
    return trial, score


def test_effects_by_group_are_differences_of_means() -> None:
    trial, score = shop()
    found = sorted_effects(trial, score, alpha=ALPHA, rng=generator(), groups=4)
    order = np.argsort(-score)
    for group, effect in enumerate(found.effects):
        members = np.zeros(trial.n, dtype=bool)
        members[order[group * 1_000 : (group + 1) * 1_000]] = True
        treated, control = members & trial.is_treated, members & ~trial.is_treated
        expected = trial.outcome[treated].mean() - trial.outcome[control].mean()
        assert effect.estimate == pytest.approx(expected)
        assert effect.n_treatment == treated.sum()
    assert found.shares == pytest.approx([0.25] * 4)
    gap = found.effects[0].estimate - found.effects[-1].estimate
    assert found.top_minus_lowest.estimate == pytest.approx(gap)
    assert found.sentence().startswith("Effects differ along the score")
    turned = sorted_effects(trial, -score, alpha=ALPHA, rng=generator())
    assert turned.sentence().startswith("Effects differ against the score")


def test_the_slope_is_that_of_least_squares() -> None:
    api = pytest.importorskip("statsmodels.api")
    trial, score = shop()
    found = sorted_effects(trial, score, alpha=ALPHA, rng=generator()).slope
    t, s = trial.is_treated.astype(float), score - score.mean()
    fit = api.OLS(trial.outcome, np.column_stack([np.ones(trial.n), t, s, t * s])).fit(
        cov_type="HC3"
    )
    assert found.estimate == pytest.approx(fit.params[3], rel=1e-6)
    assert [found.low, found.high] == pytest.approx(fit.conf_int()[3], rel=0.03)
    # The weighted regression of Chernozhukov et al. has the same target and another noise.
    design = np.column_stack([np.ones(trial.n), s, t - 0.5, (t - 0.5) * s])
    blp = api.WLS(trial.outcome, design, weights=np.full(trial.n, 4.0)).fit(cov_type="HC3")
    assert found.estimate == pytest.approx(blp.params[3], abs=0.1 * blp.bse[3])


def test_equal_effects_are_not_told_apart() -> None:
    trial, score = shop(slope=0.0)
    found = sorted_effects(trial, score, alpha=ALPHA, rng=generator())
    assert not found.is_heterogeneous
    assert found.sentence().startswith("The data do not show that effects differ")


def test_a_constant_score_has_one_group_and_no_slope() -> None:
    trial, _ = shop()
    found = sorted_effects(trial, np.ones(trial.n), alpha=ALPHA, rng=generator())
    assert len(found.effects) == 1
    assert "the score is the same for everyone" in found.sentence()
    assert found.average.estimate == pytest.approx(found.effects[0].estimate)


def test_repetitions_average_the_groups() -> None:
    trial, score = shop()
    rows = np.stack([score, score + generator(1).normal(0.0, 0.5, trial.n)])
    found = sorted_effects(trial, rows, alpha=ALPHA, rng=generator())
    single = [sorted_effects(trial, row, alpha=ALPHA, rng=generator()) for row in rows]
    mean = np.mean([one.slope.estimate for one in single])
    assert found.slope.estimate == pytest.approx(mean, rel=1e-6)
    ends = [one.effects[0].estimate for one in single]
    assert min(ends) - 0.2 < found.effects[0].estimate < max(ends) + 0.2
    assert found.repetitions == 2


@pytest.mark.parametrize(
    ("factor", "shift", "words"),
    [
        (4.0, 0.0, "agree with the data"),
        (12.0, -4.0, "differ more than the real ones"),
        (1.0, 1.5, "differ less than the real ones"),
        (-4.0, 4.0, "say nothing that the data confirm"),
        (4.0, 1.0, "too high by"),
        (4.0, -1.0, "too low by"),
    ],
)
def test_calibration_of_predicted_effects(factor: float, shift: float, words: str) -> None:
    trial, score = shop(20_000)
    found = calibrate_effects(trial, factor * score + shift, alpha=ALPHA, rng=generator())
    assert words in found.sentence()
    # The third decimal of a mean over a fifth of 20,000 uniform scores.
    first = factor * (0.9 if factor > 0 else 0.1) + shift
    assert found.predicted[0] == pytest.approx(first, abs=0.05 * abs(factor))
    assert list(found.card_frame())[:4] == ["group", "share", "predicted", "estimate"]


def test_calibration_says_when_the_data_cannot_tell() -> None:
    trial, score = shop(200, slope=0.0)
    found = calibrate_effects(trial, 0.01 * score, alpha=ALPHA, rng=generator())
    assert "The data cannot tell how far" in found.sentence()


def test_profile_names_what_differs() -> None:
    rng = generator()
    n = 5_000
    frame = pd.DataFrame(
        {
            "recency": rng.integers(1, 13, n),
            "noise": rng.random(n),
            "channel": rng.choice(["web", "phone"], n),
            "gap": np.where(rng.random(n) < 0.1, np.nan, 1.0 + rng.random(n)),
        }
    )
    score = -frame["recency"] + 2.0 * (frame["channel"] == "web")
    found = group_profile(frame, score, alpha=ALPHA, rng=rng)
    table = found.table.set_index("feature")
    assert set(table.index) == {"recency", "noise", "channel: web", "channel: phone", "gap"}
    assert table.loc["recency", "high"] < 0 < table.loc["channel: web", "low"]
    assert table.loc["noise", "p_adjusted"] > ALPHA
    assert "less recency" in found.sentence()
    assert "noise" not in found.sentence()


def test_profile_of_a_constant_score_says_so() -> None:
    frame = pd.DataFrame({"recency": [1, 2, 3, 4]})
    found = group_profile(frame, np.ones(4), alpha=ALPHA, rng=generator())
    assert "no top and no bottom" in found.sentence()
    with pytest.raises(DesignError, match="no feature is given"):
        group_profile(frame[[]], np.ones(4), alpha=ALPHA, rng=generator())
    with pytest.raises(DesignError, match="4 units but 3 scores"):
        group_profile(frame, np.ones(3), alpha=ALPHA, rng=generator())


def cut(trial: Trial, score: np.ndarray, **settings: Any) -> BestCut:
    chosen: dict[str, Any] = {"economics": Economics(contact_cost=2.0), "repetitions": 3}
    return best_cut(
        trial, score, alpha=ALPHA, rng=generator(), permutations=199, **(chosen | settings)
    )


def test_the_best_cut_is_that_of_the_profit_curve() -> None:
    trial, score = shop(20_000)
    found = cut(trial, score)
    depth = np.arange(21) / 20
    profit = (uplift_curve(trial, score).at(depth) - 2.0 * depth) * trial.n
    assert found.cuts["profit"].to_numpy() == pytest.approx(profit)
    assert found.share == depth[np.argmax(profit)]
    # The effect is 4 times the score: contacting pays above a score of one half.
    assert found.share == pytest.approx(0.5, abs=0.1)
    assert found.naive.profit.estimate == pytest.approx(profit.max(), rel=0.01)
    assert found.honest.profit.low > 0.0
    assert len(found.chosen) == 15
    assert "It earns more than contacting everyone" in found.sentence()


def test_a_budget_limits_the_cut() -> None:
    trial, score = shop(20_000)
    found = cut(trial, score, budget=500.0, customers=1_000)
    assert found.largest_share == 0.25
    assert found.share == 0.25
    assert found.naive.cost == pytest.approx(500.0)
    assert found.honest.cost <= 500.0 * (1 + 1e-9)
    assert "The budget allows 25 % of the customers at most" in found.sentence()


def test_costs_that_differ_are_added_up_along_the_score() -> None:
    trial, score = shop()
    cost = 4.0 * score
    found = cut(trial, score, economics=Economics(contact_cost=cost), depths=[0.5])
    top = score >= np.median(score)
    assert found.cuts["cost"].to_numpy() == pytest.approx([0.0, cost[top].sum()], rel=0.01)


def test_no_cut_may_pay() -> None:
    trial, score = shop()
    found = cut(trial, score, economics=Economics(contact_cost=50.0))
    assert found.share == 0.0
    assert "contact no one by this score" in found.sentence()
    assert found.honest.profit.estimate == 0.0


def test_a_free_contact_that_helps_all_is_for_everyone() -> None:
    trial, score = shop(slope=4.0)
    found = cut(trial, score, economics=Economics(), depths=[0.5, 1.0])
    assert found.share == 1.0
    assert found.sentence().startswith("Contact everyone")


def test_the_chosen_cut_looks_better_than_it_is() -> None:
    gaps = []
    for seed in range(25):
        trial, _ = shop(1_000, slope=1.0, seed=seed)
        noise = generator(1_000 + seed).random(trial.n)
        found = cut(trial, noise, economics=Economics(contact_cost=0.5), repetitions=1)
        # The effect is 0.5 on average and a contact costs as much: no cut earns anything.
        gaps.append((found.naive.profit.estimate, found.honest.profit.estimate))
    naive, honest = np.mean(gaps, axis=0)
    error = np.std([gap[1] for gap in gaps], ddof=1) / math.sqrt(len(gaps))
    assert naive > 3 * error
    assert honest == pytest.approx(0.0, abs=3 * error)


def test_too_few_customers_for_the_parts() -> None:
    trial, score = shop(30)
    found = cut(trial, score, folds=10)
    assert "fewer than 4 customers in each of the 10 parts" in found.sentence()
    assert found.number() == ""


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget": -1.0}, "budget is -1.0"),
        ({"depths": [1.5]}, "a depth is not a share"),
        ({"folds": 1}, "folds is 1"),
        ({"repetitions": 0}, "repetitions is 0"),
    ],
)
def test_bad_requests(settings: dict[str, Any], message: str) -> None:
    trial, score = shop(100)
    with pytest.raises(DesignError, match=message):
        cut(trial, score, **settings)


def test_repetitions_must_give_as_many_groups() -> None:
    trial, score = shop(500)
    rows = np.stack([score, (score > 0.5).astype(float)])
    with pytest.raises(DesignError, match="repetitions give 2, 5 groups"):
        sorted_effects(trial, rows, alpha=ALPHA, rng=generator())
