"""The best of many shares: against scipy's exact test, and how often a wrong one is named."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import fisher_exact

from crm_lab.errors import DesignError
from crm_lab.stats import adjust_p_values, proportion_interval
from crm_lab.stats.ranked_shares import rank_shares

SAME = 1e-9
"""Two implementations of the same finite sum."""


def test_p_values_are_those_of_fisher_doubled_and_adjusted_over_all_pairs() -> None:
    events, n = [30, 18, 5], [200, 190, 40]
    raw = []
    for a, b in ((0, 1), (0, 2), (1, 2)):
        table = [[events[a], n[a] - events[a]], [events[b], n[b] - events[b]]]
        tails = [fisher_exact(table, alternative=side).pvalue for side in ("less", "greater")]
        raw.append(min(1.0, 2 * min(tails)))
    expected = adjust_p_values(raw)
    found = rank_shares(events, n, alpha=0.05)
    assert found.top == 0
    assert found.p_against_top[1:] == pytest.approx(expected[:2], abs=SAME)
    assert math.isnan(found.p_against_top[0])
    assert found.comparisons == 3


def test_the_shares_have_wilson_intervals_in_the_order_given() -> None:
    found = rank_shares([1, 9], [10, 10], alpha=0.1)
    assert found.shares == tuple(proportion_interval(x, 10, alpha=0.1) for x in (1, 9))
    assert found.top == 1


def test_a_chance_event_in_a_small_group_is_not_called_a_difference() -> None:
    """One of 30 beside 5 of 2,000: the score test says p = 0.0016, chance alone makes 8 %."""
    assert not rank_shares([1, 5], [30, 2_000], alpha=0.05).is_certain


@pytest.mark.parametrize(("events", "n"), [([], []), ([0], [0]), ([5], [10]), ([0, 0], [50, 50])])
def test_nothing_to_compare_is_never_certain(events: list[int], n: list[int]) -> None:
    assert not rank_shares(events, n, alpha=0.05).is_certain


def test_groups_without_units_are_left_out_of_the_comparison() -> None:
    found = rank_shares([90, 0, 30], [300, 0, 300], alpha=0.05)
    assert found.is_certain
    assert found.comparisons == 1
    assert math.isnan(found.p_against_top[1])


def test_lengths_must_agree() -> None:
    with pytest.raises(DesignError, match="2 counts of events for 1 groups"):
        rank_shares([1, 2], [3], alpha=0.05)


@pytest.mark.slow
def test_a_wrong_group_is_named_at_most_as_often_as_promised() -> None:
    """Six equal groups of very different size: whatever is named best is named wrongly."""
    rng = np.random.default_rng(1)
    sizes = [40, 40, 200, 500, 1_000, 3_000]
    wrong = [
        rank_shares(rng.binomial(sizes, 0.1).tolist(), sizes, alpha=0.05).is_certain
        for _ in range(400)
    ]
    assert np.mean(wrong) <= 0.05
