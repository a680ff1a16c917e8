from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from crm_lab.errors import DesignError
from crm_lab.stats import ComplierEffect, compare_means_welch, complier_effect, dilution

# Two routes to the same number differ by rounding only.
ROUNDING = 1e-9

Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def campaign(
    seed: int, n_t: int, n_c: int, *, reached: float, leaked: float = 0.0, effect: float = 1.0
) -> Data:
    rng = np.random.default_rng(seed)
    marks = [(rng.random(n) < share).astype(float) for n, share in ((n_t, reached), (n_c, leaked))]
    y = [rng.normal(5.0, 2.0, m.size) + effect * m for m in marks]
    return y[0], marks[0], y[1], marks[1]


def another_way() -> Data:
    """Arms that differ in the outcome but hardly in what was delivered."""
    y_t, d_t, y_c, d_c = campaign(3, 60, 60, reached=0.55, leaked=0.5)
    return y_t + 4.0, d_t, y_c, d_c


def find(data: Data, **options: object) -> ComplierEffect:
    options = {"alpha": 0.05, "rng": np.random.default_rng(1), **options}
    return complier_effect(*data, **options)  # type: ignore[arg-type]


def accepted(data: Data, effects: np.ndarray, found: ComplierEffect) -> np.ndarray:
    """Whether Welch's t of y - b reached lies within the quantiles of the outcome."""
    y_t, d_t, y_c, d_c = data
    quantile = scipy_stats.t.isf(0.025, welch_degrees(y_t, y_c))
    inside = []
    for b in effects:
        a, c = y_t - b * d_t, y_c - b * d_c
        error = math.sqrt(a.var(ddof=1) / a.size + c.var(ddof=1) / c.size)
        inside.append(abs(a.mean() - c.mean()) <= quantile * error)
    return np.array(inside)


def welch_degrees(y_t: np.ndarray, y_c: np.ndarray) -> float:
    a, c = y_t.var(ddof=1) / y_t.size, y_c.var(ddof=1) / y_c.size
    return float((a + c) ** 2 / (a**2 / (y_t.size - 1) + c**2 / (y_c.size - 1)))


def shown(found: ComplierEffect, effects: np.ndarray) -> np.ndarray:
    inside = (effects >= found.low) & (effects <= found.high)
    if found.shape == "two rays":
        inside &= (effects <= found.excluded_low) | (effects >= found.excluded_high)
    return inside


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        (campaign(1, 400, 60, reached=0.7), "interval"),
        (campaign(2, 400, 60, reached=0.6, leaked=0.2, effect=2.0), "interval"),
        (campaign(3, 60, 60, reached=0.55, leaked=0.5, effect=6.0), "everything"),
        (another_way(), "two rays"),
    ],
)
def test_the_set_is_what_the_test_does_not_reject(data: Data, shape: str) -> None:
    found = find(data, method="t")
    effects = np.linspace(-200, 200, 8_001) + 1e-4
    assert (shown(found, effects) == accepted(data, effects, found)).all()
    assert found.shape == shape


def test_the_estimate_is_two_stage_least_squares() -> None:
    data = campaign(4, 500, 80, reached=0.6, leaked=0.1)
    y, d = np.concatenate([data[0], data[2]]), np.concatenate([data[1], data[3]])
    z = np.column_stack([np.ones(580), np.repeat([1.0, 0.0], [500, 80])])
    x = np.column_stack([np.ones(580), d])
    expected = np.linalg.solve(z.T @ x, z.T @ y)[1]
    assert find(data).estimate == pytest.approx(expected, rel=ROUNDING)


def test_the_estimate_is_that_of_statsmodels() -> None:
    gmm = pytest.importorskip("statsmodels.sandbox.regression.gmm")
    data = campaign(4, 5_000, 2_000, reached=0.6, leaked=0.1)
    y, d = np.concatenate([data[0], data[2]]), np.concatenate([data[1], data[3]])
    z = np.column_stack([np.ones(7_000), np.repeat([1.0, 0.0], [5_000, 2_000])])
    fit = gmm.IV2SLS(y, np.column_stack([np.ones(7_000), d]), z).fit()
    found = find(data, method="t")
    assert found.estimate == pytest.approx(fit.params[1], rel=1e-6)
    # A strong first stage: the set is about the usual interval.
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * fit.bse[1], rel=0.05)


def test_when_everybody_is_reached_it_is_the_difference_as_assigned() -> None:
    data = campaign(5, 300, 40, reached=1.0)
    found = find(data, method="t")
    assigned = found.intention_to_treat.absolute
    assert (found.estimate, found.low, found.high) == pytest.approx(
        (assigned.estimate, assigned.low, assigned.high), rel=ROUNDING
    )
    welch = compare_means_welch(data[0], data[2], alpha=0.05)
    assert assigned.p_value == pytest.approx(welch.absolute.p_value, rel=ROUNDING)


def test_one_sided_is_the_default() -> None:
    y_t, d_t, y_c, d_c = campaign(6, 300, 40, reached=0.5)
    assert not d_c.any()
    default, stated = (
        complier_effect(y_t, d_t, y_c, marks, alpha=0.05, rng=np.random.default_rng(1))
        for marks in (None, d_c)
    )
    assert default == stated
    assert len(default.assumptions) == 2
    assert default.compliers == pytest.approx(d_t.mean())


@pytest.mark.parametrize("method", ["permutation", "t"])
def test_it_agrees_with_the_test_as_assigned(method: str) -> None:
    for seed in range(25):
        found = find(
            campaign(seed, 200, 30, reached=0.6, effect=1.2), method=method, permutations=499
        )
        assert found.p_value == found.intention_to_treat.absolute.p_value
        if found.shape == "interval":
            assert (found.p_value <= 0.05) == (found.low > 0 or found.high < 0)


def test_sets_that_are_no_interval_are_said() -> None:
    wide = find(campaign(3, 60, 60, reached=0.55, leaked=0.5, effect=6.0))
    assert (wide.low, wide.high) == (-math.inf, math.inf)
    assert "any size is possible" in wide.sentence()
    assert "Cannot conclude on its size" in wide.sentence()
    rays = find(another_way(), method="t")
    assert "anything up to" in rays.sentence()
    assert rays.excluded_low < rays.excluded_high


def test_the_frame_holds_both_effects() -> None:
    found = find(campaign(1, 400, 60, reached=0.7))
    frame = found.to_frame()
    assert frame["effect"].tolist() == ["as assigned", "on those reached"]
    assert frame["estimate"].tolist() == [
        found.intention_to_treat.absolute.estimate,
        found.estimate,
    ]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (([1.0, 2], [0, 0], [1.0, 3], [0, 0]), "nobody of arm treatment was reached"),
        (([1.0, 2], [1, 0], [1.0, 3], [0, 1]), "the same share was reached in both arms"),
        (
            ([1.0, 2], [1, 0], [1.0, 3], [1, 1]),
            "fewer were reached in arm treatment than in arm control",
        ),
        (([1.0, 2], [1, 0], [1.0], [0]), "arm control has one unit"),
        (([1.0, 2], [1, 0], [], []), "arm control is empty"),
        (([1.0, math.nan], [1, 0], [1.0, 2], [0, 0]), "arm treatment holds a value that is"),
        (([1.0, 1], [1, 0], [1.0, 1], [0, 0]), "every unit has the same value"),
    ],
)
def test_what_the_data_cannot_support(data: Data, reason: str) -> None:
    found = find(data)
    assert found.reason.startswith(reason)
    assert found.shape == "nothing"
    assert math.isnan(found.estimate)
    assert math.isnan(found.p_value)
    assert "cannot conclude" in found.sentence()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reached_t": [1, 2]}, "neither 0 nor 1"),
        ({"reached_t": [1]}, "2 values but 1 marks of who was reached in the treatment"),
        ({"method": "z"}, "method is 'z'"),
        ({"alpha": 2.0}, "alpha is 2.0"),
    ],
)
def test_impossible_requests(change: dict[str, object], message: str) -> None:
    options = {
        "y_t": [1.0, 2.0],
        "reached_t": [1, 0],
        "y_c": [1.0, 3.0],
        "alpha": 0.05,
        "rng": np.random.default_rng(1),
    } | change
    with pytest.raises(DesignError, match=message):
        complier_effect(**options)  # type: ignore[arg-type]


def test_dilution_is_undone_by_arithmetic() -> None:
    """The true difference comes back when a known share of the controls was reached."""
    rng = np.random.default_rng(1)
    reached = rng.random(60_000) < 0.9
    leaked = rng.random(60_000) < 0.2
    y_t = rng.normal(10, 1, 60_000) + 3.0 * reached
    y_c = rng.normal(10, 1, 60_000) + 3.0 * leaked
    found = dilution(
        compare_means_welch(y_t, y_c, alpha=0.05), contaminated_share=0.2, reached_share=0.9
    )
    assert found.remains == pytest.approx(0.7)
    assert found.low < 3.0 < found.high
    assert found.estimate == pytest.approx(found.observed / 0.7, rel=ROUNDING)
    assert "Kept apart they would differ by 3" in found.sentence()
    assert found.to_frame()["difference"].tolist() == ["as it was", "kept apart"]


def test_without_contamination_nothing_changes() -> None:
    result = compare_means_welch([1.0, 2, 4], [0.0, 1, 3], alpha=0.05)
    found = dilution(result, contaminated_share=0.0)
    assert (found.estimate, found.low) == (result.absolute.estimate, result.absolute.low)


def test_as_many_controls_as_treated_tell_nothing() -> None:
    result = compare_means_welch([1.0, 2, 4], [0.0, 1, 3], alpha=0.05)
    found = dilution(result, contaminated_share=0.5, reached_share=0.5)
    assert math.isnan(found.estimate)
    assert found.remains == 0.0
    assert "nothing can be told" in found.sentence()


def test_dilution_of_an_unknown_difference_keeps_its_reason() -> None:
    found = dilution(compare_means_welch([1.0, 2], [1.0], alpha=0.05), contaminated_share=0.1)
    assert found.reason == "arm control has one unit"


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"contaminated_share": 1.0}, "contaminated_share is 1.0"),
        ({"contaminated_share": 0.1, "reached_share": 0.0}, "reached_share is 0.0"),
    ],
)
def test_impossible_shares(shares: dict[str, float], message: str) -> None:
    result = compare_means_welch([1.0, 2, 4], [0.0, 1, 3], alpha=0.05)
    with pytest.raises(DesignError, match=message):
        dilution(result, **shares)


@pytest.mark.slow
def test_the_set_covers_at_five_percent_control() -> None:
    covered, runs = 0, 600
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        spend = rng.lognormal(0, 1.5, 3_000) * (rng.random(3_000) < 0.1)
        reached = rng.random(2_850) < 0.7
        # Those who are reached buy more anyway; what is added to them is the effect.
        y_t = spend[150:] * (1 + 0.5 * reached) + 0.3 * reached
        found = complier_effect(y_t, reached, spend[:150], alpha=0.05, rng=rng, permutations=499)
        truth = 0.3 + 0.5 * 0.1 * math.exp(1.5**2 / 2)
        covered += found.low <= truth <= found.high
    # Three Monte Carlo errors below 95 % for 600 runs.
    assert covered / runs >= 0.95 - 0.027
