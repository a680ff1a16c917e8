"""Closed forms against 50-digit arithmetic, over a grid with the awkward corners."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from crm_lab.ltv import (
    BGBBParameters,
    BGNBDParameters,
    GammaGammaParameters,
    MBGNBDParameters,
    ParetoNBDParameters,
    bg_bb,
    bg_nbd,
    gamma_gamma,
    pareto_nbd,
)

mp = pytest.importorskip("mpmath", reason="mpmath is in the extra dev")

DIGITS = 50
# A double keeps 2e-16 of a log that is up to 10,000 in size.
LOGS = 1e-11
# Close to a = 1 the closed form loses the digits of a - 1 to a difference.
EXPECTATIONS = 1e-8
# The integral over the moment of leaving, in sums of at most 96 points.
PARETO = 1e-9

# (x, t_x, T): nobody seen, new, old, at the last moment, busy, very old.
HISTORIES = [
    (0, 0.0, 0.0),
    (0, 0.0, 38.86),
    (0, 0.0, 10_000.0),
    (2, 30.43, 38.86),
    (3, 10.0, 10.0),
    (50, 50.0, 50.0),
    (132, 200.0, 200.0),
    (300, 900.0, 1_000.0),
    (4, 1.0, 10_000.0),
    (1_500, 10_000.0, 10_000.0),
]
RATES = [(0.243, 4.414), (5.0, 0.5), (0.02, 300.0)]
# a = 1 and next to it, a + b below 1 with x = 0, a + b = 1, large and small.
DROPOUTS = [
    (0.05, 0.1),
    (0.2, 0.8),
    (0.793, 2.426),
    (0.9995, 2.426),
    (1.0, 0.5),
    (1.0, 2.426),
    (1.002, 2.426),
    (2.0, 300.0),
    (40.0, 0.5),
]


@pytest.fixture(autouse=True)
def _digits() -> Iterator[None]:
    with mp.workdps(DIGITS):
        yield


def exact(*values: float) -> tuple[Any, ...]:
    return tuple(mp.mpf(float(value)) for value in values)


def bg_log_likelihood(
    r: Any, alpha: Any, a: Any, b: Any, x: Any, last: Any, age: Any, first: int
) -> Any:
    rate = mp.gamma(r + x) / mp.gamma(r) * alpha**r
    alive = mp.beta(a, b + x + first) / mp.beta(a, b) / (alpha + age) ** (r + x)
    left = mp.mpf(0)
    if x + first > 0:
        left = mp.beta(a + 1, b + x + first - 1) / mp.beta(a, b) / (alpha + last) ** (r + x)
    return mp.log(rate * (alive + left)), alive / (alive + left)


@pytest.mark.parametrize("kind", [BGNBDParameters, MBGNBDParameters])
def test_likelihood_and_probability_alive_of_bg_nbd(kind: type[Any]) -> None:
    first = int(kind is MBGNBDParameters)
    for (r, alpha), (a, b), history in itertools.product(RATES, DROPOUTS, HISTORIES):
        p = kind(r=r, alpha=alpha, a=a, b=b)
        log, alive = bg_log_likelihood(*exact(r, alpha, a, b, *history), first)
        assert float(bg_nbd.log_likelihood(p, *history)) == pytest.approx(float(log), rel=LOGS)
        found = float(bg_nbd.probability_alive(p, *history))
        assert found == pytest.approx(float(alive), rel=1e-10, abs=1e-300)


def test_expectation_of_bg_nbd() -> None:
    check_expectation(BGNBDParameters, RATES[:1], (1e-3, 39.0))
    check_expectation(MBGNBDParameters, RATES[1:2], (3_000.0,))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [BGNBDParameters, MBGNBDParameters])
def test_expectation_of_bg_nbd_everywhere(kind: type[Any]) -> None:
    check_expectation(kind, RATES, (1e-3, 1.0, 39.0, 3_000.0))


def check_expectation(
    kind: type[Any], rates: list[tuple[float, float]], horizons: tuple[float, ...]
) -> None:
    first = int(kind is MBGNBDParameters)
    ages = [(0, 0.0), (0, 38.86), (0, 10_000.0), (3, 10.0), (300, 1_000.0)]
    for (r, alpha), (a, b), (x, age), t in itertools.product(rates, DROPOUTS, ages, horizons):
        p = kind(r=r, alpha=alpha, a=a, b=b)
        found = float(bg_nbd.purchases_while_alive(p, t, x, age))
        expected = float(euler(*exact(r, alpha, a, b + first, t, x, age)))
        assert found == pytest.approx(expected, rel=EXPECTATIONS), (p, x, age, t)


def euler(r: Any, alpha: Any, a: Any, b: Any, t: Any, x: Any, age: Any) -> Any:
    """Equation 10 without P(alive), a sliver beside its poles, with digits to spare."""
    with mp.workdps(2 * DIGITS):
        sliver = mp.mpf(10) ** -DIGITS
        a = a + sliver if abs(a - 1) < sliver else a
        b = b + sliver if abs(a + b + x - 1) < sliver else b
        z = t / (alpha + age + t)
        c = a + b + x - 1
        series = mp.hyp2f1(r + x, b + x, c, z)
        return c / (a - 1) * (1 - (1 - z) ** (r + x) * series)


LEAVING = [(0.606, 11.669), (1.0, 80.0), (0.05, 0.3), (6.0, 900.0)]


def left_integral(k: Any, q: Any, alpha: Any, beta: Any, start: Any, stop: Any) -> Any:
    """The integral over the moment of leaving, in the log of time and in many pieces."""
    if start == stop:
        return mp.mpf(0)
    near = min(alpha, beta)
    low, high = mp.log(near + start), mp.log(near + stop)
    steps = [mp.mpf(i) / 8 for i in range(9)] + [mp.mpf(2) ** -i for i in range(4, 12)]
    edges = [low + (high - low) * step for step in sorted(set(steps))]

    def each(w: Any) -> Any:
        u = mp.e**w - near
        return (alpha + u) ** -k * (beta + u) ** -q * (near + u)

    with mp.workdps(30):
        return mp.quad(each, edges)


@pytest.mark.slow
def test_likelihood_and_probability_alive_of_pareto_nbd_everywhere() -> None:
    for rate, leaving, history in itertools.product(RATES, LEAVING, HISTORIES):
        check_pareto(*rate, *leaving, *history)


def test_likelihood_and_probability_alive_of_pareto_nbd() -> None:
    for history in HISTORIES:
        check_pareto(0.553, 10.578, 0.606, 11.669, *history)
    check_pareto(5.0, 0.5, 6.0, 900.0, 132, 200.0, 200.0)
    check_pareto(0.02, 300.0, 0.05, 0.3, 4, 1.0, 10_000.0)


def check_pareto(
    r: float, alpha: float, s: float, beta: float, x: int, last: float, age: float
) -> None:
    p = ParetoNBDParameters(r=r, alpha=alpha, s=s, beta=beta)
    e_r, e_alpha, e_s, e_beta, e_x, e_last, e_age = exact(r, alpha, s, beta, x, last, age)
    alive = (e_alpha + e_age) ** -(e_r + e_x) * (e_beta + e_age) ** -e_s
    left = e_s * left_integral(e_r + e_x, e_s + 1, e_alpha, e_beta, e_last, e_age)
    rate = mp.gamma(e_r + e_x) / mp.gamma(e_r) * e_alpha**e_r * e_beta**e_s
    log = float(mp.log(rate * (alive + left)))
    assert float(pareto_nbd.log_likelihood(p, x, last, age)) == pytest.approx(
        log, rel=LOGS, abs=PARETO
    )
    found = float(pareto_nbd.probability_alive(p, x, last, age))
    assert found == pytest.approx(float(alive / (alive + left)), rel=PARETO)


def test_pareto_expectations_discounts_and_chances() -> None:
    check_pareto_ahead(RATES[:1], [(0, 0.0), (300, 1_000.0)])


@pytest.mark.slow
def test_pareto_expectations_discounts_and_chances_everywhere() -> None:
    check_pareto_ahead(RATES, [(0, 0.0), (2, 38.86), (300, 1_000.0)])


def check_pareto_ahead(rates: list[tuple[float, float]], ages: list[tuple[int, float]]) -> None:
    for (r, alpha), (s, beta), (x, age) in itertools.product(rates, LEAVING, ages):
        p = ParetoNBDParameters(r=r, alpha=alpha, s=s, beta=beta)
        e_r, e_alpha, e_s, e_beta, e_x, e_age = exact(r, alpha, s, beta, x, age)
        for t in (1e-3, 39.0, 3_000.0):
            ratio = mp.mpf(t) / (e_beta + e_age)
            share = mp.log(1 + ratio) if s == 1 else (1 - (1 + ratio) ** (1 - e_s)) / (e_s - 1)
            expected = (e_r + e_x) * (e_beta + e_age) / (e_alpha + e_age) * share
            found = float(pareto_nbd.purchases_while_alive(p, t, x, age))
            assert found == pytest.approx(float(expected), rel=1e-12)
            chance = (
                (e_r + e_x)
                * (e_alpha + e_age) ** (e_r + e_x)
                * (e_beta + e_age) ** e_s
                * left_integral(
                    e_r + e_x + 1, e_s, e_alpha + e_age, e_beta + e_age, mp.mpf(0), mp.mpf(t)
                )
            )
            found = float(pareto_nbd.purchase_chance_while_alive(p, t, x, age))
            assert found == pytest.approx(float(chance), rel=PARETO)
        for discount in (1e-4, 0.01, 0.5):
            scaled = mp.mpf(discount) * (e_beta + e_age)
            present = (e_beta + e_age) * mp.hyperu(1, 2 - e_s, scaled)
            expected = (e_r + e_x) / (e_alpha + e_age) * present
            found = float(pareto_nbd.discounted_purchases(p, discount, x, age, age))
            alive = float(pareto_nbd.probability_alive(p, x, age, age))
            assert found == pytest.approx(float(expected) * alive, rel=1e-9)


def test_likelihood_of_bg_bb() -> None:
    for values in ([1.204, 0.75, 0.657, 2.783], [0.05, 9.0, 1.0, 0.2], [300.0, 2.0, 40.0, 900.0]):
        p = BGBBParameters(alpha=values[0], beta=values[1], gamma=values[2], delta=values[3])
        alpha, beta, gamma, delta = exact(*values)
        for x, last, n in [(0, 0, 6), (2, 4, 6), (6, 6, 6), (0, 0, 0), (3, 20, 60), (60, 60, 60)]:
            total = mp.beta(alpha + x, beta + n - x) * mp.beta(gamma, delta + n)
            for step in range(n - last):
                total += mp.beta(alpha + x, beta + last - x + step) * mp.beta(
                    gamma + 1, delta + last + step
                )
            log = mp.log(total / mp.beta(alpha, beta) / mp.beta(gamma, delta))
            found = float(bg_bb.log_likelihood(p, x, last, n))
            assert found == pytest.approx(float(log), rel=LOGS, abs=1e-12)


def test_likelihood_of_gamma_gamma() -> None:
    for p, q, gamma in [(6.25, 3.74, 15.44), (0.01, 1.001, 1e-3), (900.0, 60.0, 1e4)]:
        parameters = GammaGammaParameters(p=p, q=q, gamma=gamma)
        for x, mean in [(1, 0.01), (2, 22.345), (300, 1e6)]:
            e_p, e_q, e_gamma, e_x, e_mean = exact(p, q, gamma, x, mean)
            shape = e_p * e_x
            density = (
                mp.gamma(shape + e_q)
                / mp.gamma(shape)
                / mp.gamma(e_q)
                * e_gamma**e_q
                * e_mean ** (shape - 1)
                * e_x**shape
                / (e_gamma + e_x * e_mean) ** (shape + e_q)
            )
            found = float(gamma_gamma.log_likelihood(parameters, x, mean))
            # Terms up to a million in size cancel.
            assert found == pytest.approx(float(mp.log(density)), rel=1e-8, abs=1e-8)


def test_fast_sums_keep_their_digits_at_extreme_parameters() -> None:
    from crm_lab.ltv.estimation import likelihood_of
    from crm_lab.ltv.tuples import count_histories

    tuples = count_histories(*(np.array(column) for column in zip(*HISTORIES[1:], strict=True)))
    for values in ([1e6, 1e8, 1e-6, 1e3], [1e-3, 1e-2, 1e4, 1e-3]):
        expected = sum(
            float(bg_log_likelihood(*exact(*values, x, last, age), 0)[0])
            for x, last, age in HISTORIES[1:]
        )
        found = likelihood_of("bg_nbd", tuples).value(np.log(values))[0]
        assert found == pytest.approx(expected, rel=1e-10)
