from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import betaln

from crm_lab.errors import DesignError
from crm_lab.stats import Moments, compare_means_welch, read_means, read_proportions

# Quadrature against a closed sum, and against the quantiles of draws.
EXACT = 1e-9
DRAWS = 400_000
# Five standard errors of a share found from DRAWS draws, at its widest.
FIVE_ERRORS = 5 * 0.5 / math.sqrt(DRAWS)


def closed_sum(a_t: int, b_t: int, a_c: int, b_c: int) -> float:
    """P(treatment above control) for whole parameters, as a finite sum of beta functions."""
    i = np.arange(a_t)
    terms = betaln(a_c + i, b_c + b_t) - np.log(b_t + i) - betaln(1 + i, b_t) - betaln(a_c, b_c)
    return float(np.exp(terms).sum())


@pytest.mark.parametrize(
    "table",
    [
        (56, 70, 48, 80),
        (5, 40, 9, 30),
        (0, 20, 1, 20),
        (520, 9_500, 25, 500),
        (7, 7, 7, 7),
    ],
)
def test_the_probability_is_the_closed_sum(table: tuple[int, int, int, int]) -> None:
    x_t, n_t, x_c, n_c = table
    expected = closed_sum(1 + x_t, 1 + n_t - x_t, 1 + x_c, 1 + n_c - x_c)
    assert read_proportions(*table, alpha=0.05).probability_better == pytest.approx(
        expected, rel=EXACT
    )


@pytest.mark.parametrize("table", [(25, 500, 52_000, 950_000), (2, 20, 95_000, 950_000)])
def test_very_unequal_arms_keep_their_digits(table: tuple[int, int, int, int]) -> None:
    x_t, n_t, x_c, n_c = table
    expected = closed_sum(1 + x_t, 1 + n_t - x_t, 1 + x_c, 1 + n_c - x_c)
    # The logarithms in the sum are near 100,000, which leaves them about nine decimals.
    found = read_proportions(*table, alpha=0.05)
    assert found.probability_better == pytest.approx(expected, rel=1e-7)
    swapped = read_proportions(x_c, n_c, x_t, n_t, alpha=0.05)
    assert swapped.probability_better == pytest.approx(1 - expected, rel=1e-7)
    assert swapped.low == pytest.approx(-found.high, rel=EXACT)


@pytest.mark.parametrize("table", [(56, 70, 48, 80), (2, 90, 0, 30), (520, 9_500, 25, 500)])
def test_everything_else_is_that_of_draws(table: tuple[int, int, int, int]) -> None:
    x_t, n_t, x_c, n_c = table
    rng = np.random.default_rng(1)
    treated = rng.beta(1 + x_t, 1 + n_t - x_t, DRAWS)
    control = rng.beta(1 + x_c, 1 + n_c - x_c, DRAWS)
    reading = read_proportions(*table, alpha=0.1)
    gap = treated - control
    assert reading.difference == pytest.approx(gap.mean(), abs=5 * gap.std() / math.sqrt(DRAWS))
    for end, tail in ((reading.low, 0.05), (reading.high, 0.95)):
        assert np.mean(gap <= end) == pytest.approx(tail, abs=FIVE_ERRORS)
    for end, tail in ((reading.lift_low, 0.05), (reading.lift, 0.5), (reading.lift_high, 0.95)):
        assert np.mean(treated / control - 1 <= end) == pytest.approx(tail, abs=FIVE_ERRORS)
    for loss, lost in (
        (reading.loss_choosing_variant, np.maximum(-gap, 0)),
        (reading.loss_choosing_control, np.maximum(gap, 0)),
    ):
        assert loss == pytest.approx(lost.mean(), abs=5 * lost.std() / math.sqrt(DRAWS))


def test_large_arms_keep_their_digits() -> None:
    table = (13_200, 415_500, 448, 27_400)
    reading = read_proportions(*table, alpha=0.05)
    assert reading.probability_better == pytest.approx(1.0, abs=EXACT)
    assert reading.loss_choosing_variant < EXACT
    # So much data leave nothing of a uniform prior: the score interval is the same.
    assert reading.lift_low == pytest.approx(0.770, abs=0.005)
    assert reading.lift_high == pytest.approx(1.133, abs=0.005)


def test_swapping_the_arms_swaps_the_reading() -> None:
    one, other = (
        read_proportions(30, 90, 8, 40, alpha=0.05),
        read_proportions(8, 40, 30, 90, alpha=0.05),
    )
    assert one.probability_better == pytest.approx(1 - other.probability_better, rel=EXACT)
    assert one.loss_choosing_variant == pytest.approx(other.loss_choosing_control, rel=1e-6)
    assert one.low == pytest.approx(-other.high, rel=EXACT)


def test_losses_differ_by_the_difference() -> None:
    for reading in (
        read_proportions(30, 90, 8, 40, alpha=0.05),
        read_means([3.0, 4, 5, 8], [1.0, 2, 2, 1], alpha=0.05),
    ):
        gap = reading.loss_choosing_control - reading.loss_choosing_variant
        assert gap == pytest.approx(reading.difference, rel=EXACT)


def test_a_strong_prior_weighs_like_units() -> None:
    plain = read_proportions(30, 90, 8, 40, alpha=0.05)
    strong = read_proportions(30, 90, 8, 40, alpha=0.05, prior=(500.0, 1_500.0))
    assert abs(strong.difference) < abs(plain.difference)
    assert strong.prior == "prior of each share: Beta(500, 1500)"
    assert "prior of each share: Beta(500, 1500)" in strong.sentence()


def by_draws(
    reading_inputs: tuple[float, float, float, float], lift_sd: float
) -> tuple[np.ndarray, np.ndarray]:
    """Lift and control mean drawn from prior times likelihood on a plain two-way grid."""
    mean_t, error_t, mean_c, error_c = reading_inputs
    lift = np.linspace(-4 * lift_sd, 4 * lift_sd, 1_601)[:, None]
    level = np.linspace(mean_c - 7 * error_c, mean_c + 7 * error_c, 1_601)
    log_weight = -0.5 * (
        ((mean_t - (1 + lift) * level) / error_t) ** 2
        + ((mean_c - level) / error_c) ** 2
        + (lift / lift_sd) ** 2
    )
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    return weight, lift * level


@pytest.mark.parametrize("lift_sd", [0.05, 0.3, 1.0])
def test_means_are_read_as_a_two_way_grid_reads_them(lift_sd: float) -> None:
    rng = np.random.default_rng(2)
    y_t, y_c = rng.normal(11, 4, 300), rng.normal(10, 4, 40)
    reading = read_means(y_t, y_c, alpha=0.05, lift_sd=lift_sd)
    weight, change = by_draws(
        (y_t.mean(), y_t.std(ddof=1) / math.sqrt(300), y_c.mean(), y_c.std(ddof=1) / math.sqrt(40)),
        lift_sd,
    )
    # A cell of the grid is up to a tenth of the spread of the lift; the one at 0 counts half.
    above = weight[change > 0].sum() + 0.5 * weight[change == 0].sum()
    assert reading.probability_better == pytest.approx(above, abs=1e-3)
    assert reading.difference == pytest.approx((weight * change).sum(), rel=2e-3)
    assert reading.loss_choosing_variant == pytest.approx(
        (weight * np.maximum(-change, 0)).sum(), rel=5e-3
    )
    assert weight[change <= reading.low].sum() == pytest.approx(0.025, abs=2e-3)
    assert weight[change <= reading.high].sum() == pytest.approx(0.975, abs=2e-3)


def test_a_wide_prior_and_much_data_give_the_usual_interval() -> None:
    rng = np.random.default_rng(3)
    y_t, y_c = rng.normal(11, 3, 20_000), rng.normal(10, 3, 2_000)
    reading = read_means(y_t, y_c, alpha=0.05)
    welch = compare_means_welch(y_t, y_c, alpha=0.05)
    width = welch.relative.high - welch.relative.low
    for ours, theirs in (
        (reading.lift_low, welch.relative.low),
        (reading.lift_high, welch.relative.high),
    ):
        assert ours == pytest.approx(theirs, abs=0.01 * width)


def test_a_narrow_prior_pulls_the_lift_to_nothing() -> None:
    rng = np.random.default_rng(4)
    y_t, y_c = rng.normal(12, 4, 300), rng.normal(10, 4, 60)
    wide, narrow = (read_means(y_t, y_c, alpha=0.05, lift_sd=sd) for sd in (1.0, 0.05))
    assert 0 < narrow.lift < wide.lift
    assert "standard deviation of 5.0 %" in narrow.sentence()


def test_summaries_are_read_like_values() -> None:
    y_t, y_c = [3.0, 4, 5, 8], [1.0, 2, 2, 1]
    summaries = Moments.from_array(y_t), Moments.from_array(y_c)
    assert read_means(*summaries, alpha=0.05) == read_means(y_t, y_c, alpha=0.05)


def test_uneven_values_are_warned_of() -> None:
    rng = np.random.default_rng(5)
    spend = rng.lognormal(0, 1.5, 3_000) * (rng.random(3_000) < 0.1)
    reading = read_means(spend[150:], spend[:150], alpha=0.05)
    assert "too uneven" in reading.caution
    assert "trust the permutation test instead" in reading.sentence()
    even = read_means(rng.normal(10, 2, 500), rng.normal(10, 2, 50), alpha=0.05)
    assert even.caution == ""


def test_the_sentence_names_prior_and_cost() -> None:
    sentence = read_proportions(56, 70, 48, 80, alpha=0.05, metric="conversion").sentence()
    assert sentence.startswith(
        "conversion: treatment is better than control with a probability of 99.6 %."
    )
    assert "percentage points per unit" in sentence
    assert "This rests on a prior: every share from 0 to 100 % is equally probable" in sentence
    frame = read_proportions(56, 70, 48, 80, alpha=0.05).to_frame()
    assert frame["effect"].tolist() == ["difference", "relative lift"]


@pytest.mark.parametrize(
    ("treatment", "control", "reason"),
    [
        ([], [1.0, 2.0], "arm treatment is empty"),
        ([1.0, 2.0], [1.0], "arm control has one unit"),
        ([1.0, math.inf], [1.0, 2.0], "arm treatment holds a value that is missing or infinite"),
        ([1.0, 2.0], [3.0, 3.0], "the values do not vary within arm control"),
        ([1.0, 2.0], [-3.0, 3.0], "the mean of arm control is not clearly above zero"),
    ],
)
def test_what_the_data_cannot_support(
    treatment: list[float], control: list[float], reason: str
) -> None:
    reading = read_means(treatment, control, alpha=0.05)
    assert reading.reason.startswith(reason)
    assert math.isnan(reading.probability_better)
    assert "cannot conclude" in reading.sentence()


def test_an_empty_arm_teaches_nothing() -> None:
    reading = read_proportions(0, 0, 3, 10, alpha=0.05)
    assert reading.reason == "arm treatment is empty"
    assert math.isnan(reading.lift)


def test_no_event_at_all_is_even_odds() -> None:
    assert read_proportions(0, 10, 0, 10, alpha=0.05).probability_better == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x_treatment": 11}, "x_treatment is 11 but n_treatment is 10"),
        ({"prior": (0.0, 1.0)}, "a parameter of the prior is 0.0"),
        ({"alpha": 1.0}, "alpha is 1.0"),
    ],
)
def test_impossible_proportions(options: dict[str, object], message: str) -> None:
    given = {"x_treatment": 1, "n_treatment": 10, "x_control": 1, "n_control": 10, "alpha": 0.05}
    with pytest.raises(DesignError, match=message):
        read_proportions(**(given | options))  # type: ignore[arg-type]


def test_a_prior_needs_a_spread() -> None:
    with pytest.raises(DesignError, match="lift_sd is 0"):
        read_means([1.0, 2.0], [1.0, 2.0], alpha=0.05, lift_sd=0)
