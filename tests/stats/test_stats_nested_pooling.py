"""Effects of several kinds: against a brute-force posterior, in the limits, and by coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects

from crm_lab.errors import DesignError
from crm_lab.stats.nested_pooling import NOT_REPEATED, pool_nested_effects
from crm_lab.stats.pooling import pool_effects

GRID_TOLERANCE = 2e-3
"""Of a mean from a grid of 200 scatters against one of 1,500, in standard errors."""
EXACT = 1e-9
MONTE_CARLO = 0.06
"""Two standard errors of a share of 0.95 over 50 runs are about 0.06."""


def posterior_mean(y: np.ndarray, s: np.ndarray, kinds: np.ndarray, kind: int) -> float:
    """Mean of one kind by summing over a fine grid, written out without any shortcut."""
    typical = 1 / math.sqrt(float(np.mean(1 / s**2)))
    total = weight = 0.0
    for log_tau in np.linspace(math.log(1e-4 * typical), math.log(1e2 * typical), 1_500):
        tau = math.exp(log_tau)
        likelihood = 1.0
        for one in np.unique(kinds):
            inside = kinds == one
            precision = 1 / (s[inside] ** 2 + tau**2)
            mean = float((precision * y[inside]).sum() / precision.sum())
            if one == kind:
                mean_of_kind = mean
            densities = np.sqrt(precision) * np.exp(-precision * (y[inside] - mean) ** 2 / 2)
            likelihood *= float(np.prod(densities)) / math.sqrt(float(precision.sum()))
        prior = typical / (typical + tau) ** 2 * tau  # steps are of log tau
        weight += likelihood * prior
        total += likelihood * prior * mean_of_kind
    return total / weight


def test_means_of_kinds_are_those_of_a_brute_force_posterior() -> None:
    y = np.array([0.3, 0.1, -0.2, 0.05, 0.4, 0.35, 0.0])
    s = np.array([0.1, 0.2, 0.15, 0.1, 0.12, 0.3, 0.2])
    kinds = np.array([0, 0, 1, 1, 2, 2, 3])
    found = pool_nested_effects(y, s, [f"k{kind}" for kind in kinds], alpha=0.05)
    for kind in range(4):
        expected = posterior_mean(y, s, kinds, kind)
        assert found.means[kind] == pytest.approx(expected, abs=GRID_TOLERANCE * s.min())


def test_within_heterogeneity_is_the_sum_over_kinds_of_an_outside_reference() -> None:
    y, s = np.array([0.3, 0.1, -0.2, 0.05, 0.4]), np.array([0.1, 0.2, 0.15, 0.1, 0.12])
    found = pool_nested_effects(y, s, ["a", "a", "b", "b", "b"], alpha=0.05)
    outside = [
        combine_effects(y[part], s[part] ** 2, method_re="dl")
        for part in (slice(0, 2), slice(2, 5))
    ]
    assert found.within_q == pytest.approx(sum(result.q for result in outside))
    assert found.within_degrees == 3
    assert found.within_p == pytest.approx(stats.chi2.sf(found.within_q, 3))


def test_kinds_measured_once_are_pooled_as_they_are() -> None:
    y, s = [0.3, 0.1, -0.2], [0.1, 0.2, 0.15]
    found = pool_nested_effects(y, s, ["a", "b", "c"], alpha=0.05)
    plain = pool_effects(y, s, alpha=0.05, names=["a", "b", "c"])
    assert found.means == pytest.approx(y)
    assert found.standard_errors == pytest.approx(s, rel=EXACT)
    assert found.pooled.shrunken == pytest.approx(plain.shrunken)
    assert found.reason == NOT_REPEATED
    assert math.isnan(found.tau_within)
    assert found.expect("a").reason == NOT_REPEATED


def test_order_of_rows_changes_nothing() -> None:
    y, s = np.array([0.3, 0.1, -0.2, 0.05, 0.4]), np.array([0.1, 0.2, 0.15, 0.1, 0.12])
    kinds = ["a", "b", "a", "b", "c"]
    order = [4, 2, 0, 3, 1]
    one = pool_nested_effects(y, s, kinds, alpha=0.05)
    other = pool_nested_effects(y[order], s[order], [kinds[i] for i in order], alpha=0.05)
    for kind in "abc":
        assert one.means[one.kinds.index(kind)] == pytest.approx(
            other.means[other.kinds.index(kind)]
        )
        assert one.expect(kind).low == pytest.approx(other.expect(kind).low)


def test_a_kind_measured_once_is_less_sure_where_repetitions_differ() -> None:
    s = [0.1] * 7
    alike = pool_nested_effects([0, 0.01, 1, 1.01, 0.5, 0.51, 2], s, list("aabbccd"), alpha=0.05)
    apart = pool_nested_effects([0, 0.6, 1, 1.7, 0.5, 0.0, 2], s, list("aabbccd"), alpha=0.05)
    assert apart.tau_within > 3 * alike.tau_within
    assert apart.standard_errors[3] > 2 * alike.standard_errors[3] > 0.1
    assert apart.within_p < 0.01 < 0.5 < alike.within_p


def test_a_measurement_is_foreseen_with_a_wider_interval_than_the_truth() -> None:
    found = pool_nested_effects([0.3, 0.1, 0.2], [0.1] * 3, ["a", "a", "b"], alpha=0.05)
    truth, reading = found.expect("a"), found.expect("a", next_standard_error=0.3)
    assert reading.low < truth.low < truth.estimate < truth.high < reading.high
    new = found.expect("never seen")
    assert new.high - new.low > truth.high - truth.low


def test_nothing_usable_gives_nothing() -> None:
    found = pool_nested_effects([math.nan, 0.1], [0.1, 0.0], ["a", "b"], alpha=0.05)
    assert found.counts == (0, 0)
    assert np.isnan(found.means).all()
    expected = found.expect("a")
    assert math.isnan(expected.estimate)
    assert not expected.is_known
    assert "nothing of this kind" in expected.reason
    assert pool_nested_effects([], [], [], alpha=0.05).kinds == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kinds": ["a"]}, "2 estimates, 2 standard errors and 1 kinds"),
        ({"standard_errors": [-1.0, 1.0]}, "a standard error is -1.0"),
        ({"alpha": 1.5}, "alpha"),
    ],
)
def test_wrong_input_is_refused(change: dict[str, object], message: str) -> None:
    given = {
        "estimates": [1.0, 2.0],
        "standard_errors": [1.0, 1.0],
        "kinds": ["a", "b"],
        "alpha": 0.05,
    } | change
    with pytest.raises(DesignError, match=message):
        pool_nested_effects(**given)  # type: ignore[arg-type]


def test_a_negative_error_of_the_next_is_refused() -> None:
    found = pool_nested_effects([1.0, 2.0], [1.0, 1.0], ["a", "b"], alpha=0.05)
    with pytest.raises(DesignError, match="next_standard_error is -1"):
        found.expect("a", next_standard_error=-1.0)


@pytest.mark.slow
@pytest.mark.parametrize("within", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("between", [0.0, 1.0])
@pytest.mark.parametrize(("kinds", "most"), [(12, 4), (4, 3)])
def test_intervals_hold(within: float, between: float, kinds: int, most: int) -> None:
    rng = np.random.default_rng(7)
    held = foreseen = total = 0
    for _ in range(50):
        counts = rng.integers(1, most + 1, kinds)
        counts[0] = 2
        means = between * rng.normal(size=kinds)
        s = rng.uniform(0.6, 1.8, counts.sum())
        truth = np.repeat(means, counts) + within * rng.normal(size=s.size)
        names = list(np.repeat([f"k{kind}" for kind in range(kinds)], counts))
        found = pool_nested_effects(truth + s * rng.normal(size=s.size), s, names, alpha=0.05)
        for kind in range(kinds):
            pooled = found.pooled
            held += pooled.shrunken_low[kind] <= means[kind] <= pooled.shrunken_high[kind]
            expected = found.expect(f"k{kind}", next_standard_error=1.0)
            coming = means[kind] + within * rng.normal() + rng.normal()
            foreseen += expected.low <= coming <= expected.high
            total += 1
    assert held / total >= 0.95 - MONTE_CARLO
    assert foreseen / total >= 0.95 - MONTE_CARLO
