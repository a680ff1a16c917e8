"""The balance of two shares of one sample: against a book's example, brute force and identities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats

from crm_lab.errors import DesignError
from crm_lab.stats.net_shares import net_share_interval

PRINTED = 5e-4
"""The book prints three decimals."""
SEARCHED = 1e-5
"""A numerical search for the most likely shares is exact to about 1e-8; the ends follow it."""


def test_the_interval_of_a_published_example() -> None:
    """Fagerland, Lydersen, Laake (2014), Statistics in Medicine 33: Tango score, -.517 to -.026."""
    net = net_share_interval(1, 7, 21, alpha=0.05)
    assert net.estimate == pytest.approx(-6 / 21)
    assert (net.low, net.high) == pytest.approx((-0.517, -0.026), abs=PRINTED)


def most_likely_against(up: int, down: int, n: int, delta: float) -> float:
    """The share against that maximises the likelihood of three classes, by search."""

    def loss(against: float) -> float:
        parts = ((up, against + delta), (down, against), (n - up - down, 1 - 2 * against - delta))
        return -sum(count * math.log(max(share, 1e-300)) for count, share in parts if count)

    low, high = max(0.0, -delta), (1 - delta) / 2
    return float(
        optimize.minimize_scalar(
            loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12}
        ).x
    )


@pytest.mark.parametrize(
    ("up", "down", "n"), [(50, 20, 100), (3, 9, 40), (200, 30, 260), (4, 4, 9)]
)
def test_the_ends_are_where_the_score_test_just_rejects(up: int, down: int, n: int) -> None:
    net = net_share_interval(up, down, n, alpha=0.05)
    for end in (net.low, net.high):
        against = most_likely_against(up, down, n, end)
        z = (up - down - n * end) / math.sqrt(n * (2 * against + end * (1 - end)))
        assert abs(z) == pytest.approx(stats.norm.isf(0.025), abs=SEARCHED * 100)


@pytest.mark.parametrize(("up", "down", "n"), [(5, 2, 10), (0, 3, 30), (12, 0, 12), (0, 0, 50)])
def test_changing_sides_changes_the_sign(up: int, down: int, n: int) -> None:
    net, other = (net_share_interval(*pair, n, alpha=0.1) for pair in ((up, down), (down, up)))
    assert (other.low, other.high) == pytest.approx((-net.high, -net.low), abs=SEARCHED)
    assert net.low <= net.estimate <= net.high


def test_no_unit_gives_no_number() -> None:
    net = net_share_interval(0, 0, 0, alpha=0.05)
    assert math.isnan(net.estimate)
    assert net.reason == "there are no units"


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ((6, 5, 10), "6 in favour and 5 against of n = 10"),
        ((-1, 5, 10), "positive is -1"),
        ((1.5, 5, 10), "positive is 1.5"),
    ],
)
def test_impossible_counts_are_refused(call: tuple[Any, Any, Any], found: str) -> None:
    with pytest.raises(DesignError, match=found):
        net_share_interval(*call, alpha=0.05)


@pytest.mark.slow
def test_the_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(5)
    shares = (0.5, 0.2, 0.3)
    hits = []
    for up, down, _ in rng.multinomial(60, shares, size=4_000):
        net = net_share_interval(int(up), int(down), 60, alpha=0.05)
        hits.append(net.low <= shares[0] - shares[1] <= net.high)
    assert 0.94 <= np.mean(hits) <= 0.96
