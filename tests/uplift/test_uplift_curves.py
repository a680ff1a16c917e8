from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_lab.errors import DesignError
from crm_lab.uplift import FORMULAS, Trial, uplift_curve
from crm_lab.uplift.cumulative import RANDOM_LEVEL, coefficient, sums_by_score

# Two routes to the same sum differ by rounding only.
ROUNDING = 1e-9


def shop(
    n: int = 400, *, share: float = 0.5, revenue: bool = False, seed: int = 4
) -> tuple[Trial, np.ndarray]:
    rng = np.random.default_rng(seed)
    score = rng.integers(0, 40, n).astype(float)
    is_treated = rng.random(n) < share
    outcome = (rng.random(n) < 0.2 + 0.01 * score * is_treated).astype(float)
    if revenue:
        outcome *= rng.lognormal(1.0, 1.0, n)
    return Trial(outcome=outcome, is_treated=is_treated, probability=share), score


def by_hand(trial: Trial, score: np.ndarray) -> list[tuple[int, int, float, float]]:
    """Units, treated units and outcome sums of both arms down to each distinct score."""
    rows = []
    for cut in sorted(set(score), reverse=True):
        inside = score >= cut
        treated, control = inside & trial.is_treated, inside & ~trial.is_treated
        rows.append(
            (
                int(inside.sum()),
                int(treated.sum()),
                float(trial.outcome[treated].sum()),
                float(trial.outcome[control].sum()),
            )
        )
    return rows


def area(points: list[tuple[float, float]]) -> float:
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(points))


def over(a: float, b: float) -> float:
    return a / b if b else 0.0


def qini_points(rows: list[tuple[int, int, float, float]]) -> list[tuple[float, float]]:
    return [(0.0, 0.0)] + [(n, y_t - y_c * over(t, n - t)) for n, t, y_t, y_c in rows]


def gain_points(rows: list[tuple[int, int, float, float]]) -> list[tuple[float, float]]:
    return [(0.0, 0.0)] + [(n, (over(y_t, t) - over(y_c, n - t)) * n) for n, t, y_t, y_c in rows]


def above_line(points: list[tuple[float, float]]) -> float:
    return area(points) - points[-1][0] * points[-1][1] / 2


@pytest.mark.parametrize("share", [0.5, 0.95, 0.05])
@pytest.mark.parametrize("revenue", [False, True])
def test_curves_are_those_counted_by_hand(share: float, revenue: bool) -> None:
    trial, score = shop(share=share, revenue=revenue)
    curve = uplift_curve(trial, score)
    rows = by_hand(trial, score)
    assert curve.sums.n.tolist() == [row[0] for row in rows]
    qini, gain = qini_points(rows)[1:], gain_points(rows)[1:]
    assert curve.sums.qini == pytest.approx([y for _, y in qini], abs=ROUNDING)
    assert curve.sums.gain == pytest.approx([y for _, y in gain], abs=ROUNDING)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_coefficients_of_scikit_uplift_by_hand(share: float) -> None:
    trial, score = shop(share=share)
    found = uplift_curve(trial, score).coefficients()
    y, t = trial.outcome, trial.is_treated.astype(float)
    rows = by_hand(trial, score)
    best = by_hand(trial, y * t - y * (1 - t))
    expected = above_line(qini_points(rows)) / above_line(qini_points(best))
    assert found["sklift_qini"] == pytest.approx(expected, rel=ROUNDING)
    bought_by_control = np.sum((y == 1) & (t == 0))
    second = y if bought_by_control > np.sum((y == 0) & (t == 1)) else t
    best = by_hand(trial, 2.0 * (y == t) + second)
    expected = above_line(gain_points(rows)) / above_line(gain_points(best))
    assert found["sklift_uplift"] == pytest.approx(expected, rel=ROUNDING)


def test_coefficients_of_causalml_by_hand_where_nothing_ties() -> None:
    trial, _ = shop()
    score = np.random.default_rng(8).random(trial.n)
    rows = by_hand(trial, score)
    found = uplift_curve(trial, score).coefficients()
    qini = np.array([y for _, y in qini_points(rows)])
    line = np.linspace(0.0, np.sign(qini[-1]), qini.size)
    expected = (qini / abs(qini[-1]) - line).sum() / (trial.n + 1)
    assert found["causalml_qini"] == pytest.approx(expected, rel=ROUNDING)
    gain = np.array([y for _, y in gain_points(rows)])
    expected = (gain / abs(gain[-1])).sum() / (trial.n + 1)
    assert found["causalml_auuc"] == pytest.approx(expected, rel=ROUNDING)


def test_gain_and_radcliffe_by_hand() -> None:
    trial, score = shop(share=0.7)
    rows = by_hand(trial, score)
    found = uplift_curve(trial, score).coefficients()
    assert found["gain"] == pytest.approx(1_000 * above_line(gain_points(rows)) / trial.n**2)
    raw = above_line(qini_points(rows)) / trial.n / trial.n_treatment
    assert found["radcliffe"] == pytest.approx(raw)
    effect = rows[-1][2] / rows[-1][1] - rows[-1][3] / (rows[-1][0] - rows[-1][1])
    assert found["radcliffe_q0"] == pytest.approx(raw / (effect * (1 - effect) / 2))


@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.5, 0.95]), st.booleans())
def test_curves_end_at_the_average_effect(seed: int, share: float, revenue: bool) -> None:
    trial, score = shop(200, share=share, revenue=revenue, seed=seed)
    curve = uplift_curve(trial, score)
    treated = trial.is_treated
    effect = trial.outcome[treated].mean() - trial.outcome[~treated].mean()
    for kind in ("uplift", "gain", "qini"):
        assert curve.curve(kind)[-1] == pytest.approx(effect, abs=ROUNDING)


def test_a_constant_score_gives_a_straight_line() -> None:
    trial, _ = shop()
    curve = uplift_curve(trial, np.full(trial.n, 3.0))
    depth = np.array([0.25, 0.5, 1.0])
    assert curve.at(depth) == pytest.approx(depth * curve.gain[-1])
    for name, value in curve.coefficients().items():
        assert value == pytest.approx(RANDOM_LEVEL[name], abs=ROUNDING)


def test_the_order_of_rows_changes_nothing_even_when_sorted_by_outcome() -> None:
    trial, score = shop()
    order = np.argsort(trial.outcome)
    sorted_trial = Trial(
        outcome=trial.outcome[order], is_treated=trial.is_treated[order], probability=0.5
    )
    first = uplift_curve(trial, score).coefficients()
    second = uplift_curve(sorted_trial, score[order]).coefficients()
    assert first == pytest.approx(second, rel=ROUNDING)


def test_a_score_turned_around_turns_the_gain_around() -> None:
    trial, score = shop(2_000)
    first = uplift_curve(trial, score).coefficients()["gain"]
    assert first > 0 > uplift_curve(trial, -score).coefficients()["gain"]


def test_chances_that_differ_are_weighted() -> None:
    rng = np.random.default_rng(2)
    n = 60_000
    rich = rng.random(n) < 0.5
    chance = np.where(rich, 0.9, 0.5)
    is_treated = rng.random(n) < chance
    # Rich customers buy more and are treated more often; the effect is 1 for everyone.
    outcome = 5.0 * rich + is_treated + rng.normal(0.0, 1.0, n)
    trial = Trial(outcome=outcome, is_treated=is_treated, probability=chance)
    curve = uplift_curve(trial, rng.random(n))
    assert curve.uplift[-1] == pytest.approx(1.0, abs=0.1)
    assert outcome[is_treated].mean() - outcome[~is_treated].mean() > 1.5


def test_a_stack_of_sums_gives_a_coefficient_each() -> None:
    trial, score = shop()
    _, sums = sums_by_score(trial, score)
    stacked = type(sums)(
        **{name: np.stack([getattr(sums, name)] * 3) for name in sums.__dataclass_fields__}
    )
    for name in FORMULAS:
        single = float(coefficient(sums, name))
        assert coefficient(stacked, name) == pytest.approx([single] * 3)


def test_no_unit_of_an_arm_at_the_top_is_not_a_number_for_the_uplift() -> None:
    trial = Trial(outcome=[1, 1, 0, 0], is_treated=[1, 1, 0, 0], probability=0.5)
    curve = uplift_curve(trial, [4, 3, 2, 1])
    assert np.isnan(curve.uplift[:2]).all()
    assert curve.uplift[-1] == 1.0


def test_a_curve_shows_itself() -> None:
    trial, score = shop()
    curve = uplift_curve(trial, score)
    assert "30 % of customers" in curve.sentence()
    assert len(curve.card_frame()) == 10
    assert list(curve.to_frame()) == ["score", "depth", "customers", "uplift", "gain", "qini"]


@pytest.mark.parametrize("score", [[1.0, np.nan], [1.0, np.inf]])
def test_missing_scores_are_refused(score: list[float]) -> None:
    trial = Trial(outcome=[1, 0], is_treated=[1, 0], probability=0.5)
    with pytest.raises(DesignError, match="1 scores are missing or infinite"):
        uplift_curve(trial, score)


def test_scores_of_other_units_are_refused() -> None:
    trial = Trial(outcome=[1, 0], is_treated=[1, 0], probability=0.5)
    with pytest.raises(DesignError, match="2 units but 3 scores"):
        uplift_curve(trial, [1, 2, 3])
