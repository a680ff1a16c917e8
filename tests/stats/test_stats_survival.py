from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from crm_lab.errors import DesignError
from crm_lab.stats import compare_means, compare_proportions
from crm_lab.stats.permutation import tie_slack
from crm_lab.stats.survival import (
    MAX_POINTS,
    life_table,
    log_rank,
    log_rank_scores,
    restricted_mean,
    restricted_mean_scores,
    share_by,
    share_interval,
    survival_curve,
)
from crm_lab.stats.survival_comparison import compare_survival

# Two routes to the same number differ by rounding only.
ROUNDING = 1e-9
Watched = tuple[np.ndarray, np.ndarray]


def generator(seed: int = 5) -> np.random.Generator:
    return np.random.default_rng(seed)


def watch(seed: int, n: int, *, mean: float = 30.0, until: int = 28) -> Watched:
    """Whole days to an event, watched for between 5 and ``until`` days."""
    rng = generator(seed)
    times = np.ceil(rng.exponential(mean, n))
    ends = rng.integers(5, until + 1, n)
    return np.minimum(times, ends), times <= ends


def watch_all(seed: int, n: int, *, mean: float = 30.0, until: int = 28) -> Watched:
    times = np.ceil(generator(seed).exponential(mean, n))
    return np.minimum(times, until), times <= until


def test_curve_is_that_of_statsmodels() -> None:
    survfunc = pytest.importorskip("statsmodels.duration.survfunc")
    times, happened = watch(1, 300)
    theirs = survfunc.SurvfuncRight(times, happened.astype(float))
    table = life_table(times, happened)
    for time, share, error in zip(
        theirs.surv_times, theirs.surv_prob, theirs.surv_prob_se, strict=True
    ):
        assert 1 - share_by(table, time) == pytest.approx(share, rel=ROUNDING)
        passed = np.searchsorted(table.times, time, side="right")
        greenwood = share * math.sqrt(table.hazard_variance[:passed].sum())
        assert greenwood == pytest.approx(error, rel=ROUNDING)


def test_log_rank_is_that_of_statsmodels() -> None:
    survfunc = pytest.importorskip("statsmodels.duration.survfunc")
    one, other = watch(2, 400, mean=25), watch(3, 60)
    chi_square, p_value = survfunc.survdiff(
        np.concatenate([one[0], other[0]]),
        np.concatenate([one[1], other[1]]).astype(float),
        np.repeat([0, 1], [400, 60]),
    )
    statistic, p_ours = log_rank(life_table(*one), life_table(*other))
    assert statistic**2 == pytest.approx(chi_square, rel=ROUNDING)
    assert p_ours == pytest.approx(p_value, rel=ROUNDING)


def test_log_rank_scores_add_up_to_the_observed_minus_expected() -> None:
    one, other = watch(2, 90), watch(3, 40)
    times, happened = (np.concatenate(pair) for pair in zip(one, other, strict=True))
    scores = log_rank_scores(times, happened.astype(float), life_table(times, happened))
    observed_less_expected = 0.0
    for time in np.unique(times[happened]):
        at_risk, events = times >= time, (times == time) & happened
        expected = events.sum() * at_risk[:90].sum() / at_risk.sum()
        observed_less_expected += events[:90].sum() - expected
    assert scores[:90].sum() == pytest.approx(observed_less_expected, rel=ROUNDING)
    assert scores.sum() == pytest.approx(0.0, abs=ROUNDING)


def test_without_censoring_the_mean_is_a_mean() -> None:
    times, happened = watch_all(4, 200)
    table, horizon = life_table(times, happened), 28.0
    mean, squared = restricted_mean(table, horizon)
    cut = np.minimum(times, horizon)
    assert mean == pytest.approx(cut.mean(), rel=ROUNDING)
    assert squared == pytest.approx(cut.var(ddof=1) / cut.size, rel=ROUNDING)
    scores = restricted_mean_scores(times, happened.astype(float), table, horizon)
    assert scores == pytest.approx(cut, rel=ROUNDING)
    shorter = restricted_mean_scores(times, happened.astype(float), table, 9.5)
    assert shorter == pytest.approx(np.minimum(times, 9.5), rel=ROUNDING)


def test_scores_of_the_mean_are_its_derivative() -> None:
    # Leaving one unit out moves the mean by its score over n - 1, up to terms of 1 / n^2.
    times, happened = watch(6, 400)
    table = life_table(times, happened)
    mean, squared = restricted_mean(table, 20.0)
    scores = restricted_mean_scores(times, happened.astype(float), table, 20.0)
    assert scores.mean() == pytest.approx(mean, rel=ROUNDING)
    assert scores.var(ddof=1) / scores.size == pytest.approx(squared, rel=0.01)
    for left_out in range(0, 400, 23):
        kept = np.arange(400) != left_out
        without, _ = restricted_mean(life_table(times[kept], happened[kept]), 20.0)
        assert without - mean == pytest.approx((mean - scores[left_out]) / 399, abs=30 / 400**2)


def test_area_by_hand() -> None:
    # 1 until 2, 3/4 until 3, and 3/8 until 6; the unit watched for 2.5 leaves without its event.
    table = life_table([2.0, 2.5, 3.0, 9.0], [True, False, True, False])
    mean, _ = restricted_mean(table, 6.0)
    assert mean == pytest.approx(2 + 0.75 + 0.375 * 3)
    assert restricted_mean(table, 1.0)[0] == 1.0


@pytest.mark.parametrize("time", [3.0, 28.0])
def test_without_censoring_the_share_is_a_proportion(time: float) -> None:
    times, happened = watch_all(8, 150)
    events = int((times[happened] <= time).sum())
    wilson = scipy_stats.binomtest(events, 150).proportion_ci(0.95, method="wilson")
    found = share_interval(life_table(times, happened), time, alpha=0.05)
    assert found == pytest.approx((wilson.low, wilson.high), rel=ROUNDING)


def test_without_censoring_the_difference_is_that_of_newcombe() -> None:
    # 56 of 70 against 48 of 80, Newcombe (1998), table II, contrast (a), method 10.
    days_t, days_c = np.where(np.arange(70) < 56, 3, 28), np.where(np.arange(80) < 48, 3, 28)
    effect = (
        compare_survival(
            days_t, days_t == 3, days_c, days_c == 3, horizon=28, alpha=0.05, rng=generator()
        )
        .shares[0]
        .effect
    )
    assert (effect.low, effect.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    score = compare_proportions(56, 70, 48, 80, alpha=0.05).absolute
    # Two methods for the same question.
    assert effect.p_value == pytest.approx(score.p_value, rel=0.2)


def test_mean_time_is_compared_as_a_mean() -> None:
    one, other = watch_all(11, 900, mean=60), watch_all(12, 60, mean=60)
    ours = compare_survival(*one, *other, horizon=28, alpha=0.05, rng=generator()).restricted_mean
    means = compare_means(one[0], other[0], alpha=0.05, rng=generator()).absolute
    # Quantiles of two sets of 10,000 permutations.
    slack = 0.06 * (means.high - means.low) / 4
    assert ours.estimate == pytest.approx(means.estimate, rel=ROUNDING)
    assert (ours.low, ours.high) == pytest.approx((means.low, means.high), abs=slack)


def test_the_test_is_that_of_every_split() -> None:
    times = np.array([1.0, 2, 2, 4, 6, 6, 3, 6, 6, 6])
    happened = np.array([1.0, 1, 1, 1, 0, 0, 1, 0, 0, 0])
    scores = log_rank_scores(times, happened, life_table(times, happened))
    observed, count, total = _t(scores[:7], scores[7:]), 0, 0
    for chosen in itertools.combinations(range(10), 3):
        control = np.isin(np.arange(10), chosen)
        t = _t(scores[~control], scores[control])
        total += 1
        sign = math.copysign(1.0, observed)
        count += sign * t >= abs(observed) - tie_slack(observed)
    result = compare_survival(
        times[:7], happened[:7], times[7:], happened[7:], horizon=6, alpha=0.05, rng=generator()
    )
    # Five standard errors of twice a share from 10,000 permutations.
    assert result.p_value == pytest.approx(min(1.0, 2 * count / total), abs=0.05)


def _t(one: np.ndarray, other: np.ndarray) -> float:
    squared = one.var(ddof=1) / one.size + other.var(ddof=1) / other.size
    difference = one.mean() - other.mean()
    return (
        float(difference / math.sqrt(squared)) if squared else math.copysign(math.inf, difference)
    )


def test_tests_and_intervals_never_disagree() -> None:
    for seed in range(25):
        one, other = watch(seed, 300, mean=25.0 + seed), watch(100 + seed, 30, mean=45.0)
        result = compare_survival(
            *one, *other, horizon=20, by=[5, 14], alpha=0.1, rng=generator(), permutations=299
        )
        for effect in (result.restricted_mean, *(row.effect for row in result.shares)):
            outside = effect.low > 0 or effect.high < 0
            assert outside == (effect.p_value <= 0.1)
            assert effect.low <= effect.estimate <= effect.high


def test_censoring_is_not_never() -> None:
    # The same customers, half of them watched for a shorter time.
    times, happened = watch_all(21, 40_000)
    ends = np.where(np.arange(40_000) % 2, 28, 10)
    watched, seen = np.minimum(times, ends), happened & (times <= ends)
    full, cut = life_table(times, happened), life_table(watched, seen)
    assert share_by(cut, 28) == pytest.approx(share_by(full, 28), abs=0.015)
    assert seen.mean() < share_by(full, 28) - 0.1
    assert restricted_mean(cut, 28)[0] == pytest.approx(restricted_mean(full, 28)[0], abs=0.3)


def test_sentence_table_and_data() -> None:
    one, other = watch_all(1, 2_000, mean=40), watch_all(2, 200, mean=80)
    result = compare_survival(
        *one,
        *other,
        horizon=28,
        by=[7, 28],
        alpha=0.05,
        rng=generator(),
        permutations=999,
        metric="first order",
        arms=("mail", "control"),
    )
    text = result.sentence()
    assert text.startswith("first order: within 28 days it came to")
    assert "a unit waits" in text
    assert "The data show that the curves differ at the 5 % level (p = 0.002)." in text
    assert result.statistic > 0
    frame = result.to_frame()
    assert frame["quantity"].tolist() == [
        "share with the event",
        "share with the event",
        "mean time without it",
        "both curves",
    ]
    assert result.to_dict()["curves"][1]["arm"] == "control"
    assert "first order: mail against control" in result._repr_html_()


def test_nobody_was_watched_so_long() -> None:
    one, other = watch_all(1, 200), watch_all(2, 50, until=10)
    result = compare_survival(
        *one, *other, horizon=28, by=[7, 28], alpha=0.05, rng=generator(), permutations=199
    )
    assert result.shares[0].effect.is_known
    for effect in (result.restricted_mean, result.shares[1].effect):
        assert math.isnan(effect.estimate)
        assert effect.reason == "nobody in arm control was watched until 28 days"
    assert math.isfinite(result.p_value)
    assert "within 7 days it came to" in result.sentence()
    assert "mean time without it is not known" in result.sentence()


def test_when_the_event_has_come_to_everybody_the_share_stays_one() -> None:
    table = life_table([1, 2, 3], [True, True, True])
    assert share_by(table, 50) == 1.0
    assert restricted_mean(table, 50)[0] == pytest.approx(2.0)
    low, high = share_interval(table, 50, alpha=0.05)
    assert 0 < low < high == 1.0


def test_without_events_there_is_no_test() -> None:
    days = np.full(40, 28.0)
    none = np.zeros(40, dtype=bool)
    result = compare_survival(
        days, none, days[:9], none[:9], horizon=28, alpha=0.05, rng=generator(), metric="order"
    )
    assert math.isnan(result.p_value)
    assert result.reason == "there is no event in either arm"
    effect = result.shares[0].effect
    assert effect.estimate == 0.0
    assert math.isnan(effect.p_value)
    assert effect.reason == "the share is 0 % in both arms"
    assert effect.low < 0 < effect.high
    assert result.restricted_mean.reason == "the times do not vary within either arm"
    assert "Cannot conclude, because there is no event" in result.sentence()


@pytest.mark.parametrize(("n", "reason"), [(0, "is empty"), (1, "has one unit")])
def test_arms_that_cannot_be_compared(n: int, reason: str) -> None:
    times, happened = watch(1, 50)
    result = compare_survival(
        times, happened, times[:n], happened[:n], horizon=10, alpha=0.05, rng=generator()
    )
    assert reason in result.reason
    assert reason in result.restricted_mean.reason
    assert math.isnan(result.p_value)
    assert "cannot conclude" in result.sentence()


def test_curves_are_thinned_for_showing() -> None:
    times = generator().exponential(10.0, 5_000)
    table = life_table(times, np.ones(5_000, dtype=bool))
    curve = survival_curve(table, alpha=0.05)
    assert len(curve.times) <= MAX_POINTS
    assert curve.times[0] == 0.0
    assert curve.times[-1] == times.max()
    assert curve.share[-1] == pytest.approx(1.0)
    shares = np.array(curve.share)
    assert np.all(np.diff(shares) >= 0)
    assert np.all(np.array(curve.low) <= shares)
    assert np.all(shares <= np.array(curve.high))


def test_callers_mistakes() -> None:
    times, happened = watch(1, 20)
    with pytest.raises(DesignError, match="20 times but 19 of happened"):
        life_table(times, happened[:19])
    with pytest.raises(DesignError, match="control: a time is negative or missing"):
        compare_survival(
            times, happened, [-1.0, 2.0], [True, True], horizon=5, alpha=0.05, rng=generator()
        )
    with pytest.raises(DesignError, match="something else than yes and no"):
        life_table([1.0, 2.0], [1, 2])
    with pytest.raises(DesignError, match="horizon is 0"):
        compare_survival(times, happened, times, happened, horizon=0, alpha=0.05, rng=generator())
    with pytest.raises(DesignError, match="a time of by is -7"):
        compare_survival(
            times, happened, times, happened, horizon=9, by=[-7], alpha=0.05, rng=generator()
        )


@pytest.mark.slow
def test_keeps_its_level_with_few_events_in_the_control() -> None:
    rng, runs, claims, missed = generator(31), 1_000, 0, 0
    for _ in range(runs):
        arms = []
        for n in (2_850, 150):
            times = np.ceil(rng.exponential(500.0, n))
            arms += [np.minimum(times, 28), times <= 28]
        result = compare_survival(*arms, horizon=28, alpha=0.05, rng=rng, permutations=199)
        claims += result.p_value <= 0.05
        missed += not result.restricted_mean.low <= 0 <= result.restricted_mean.high
    # Three standard errors of a share of 5 %.
    allowed = 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    assert claims / runs < allowed
    assert missed / runs < allowed
