from __future__ import annotations

import math

import numpy as np
import pytest

from crm_lab.errors import DesignError
from crm_lab.stats import PairMoments, compare_means_welch, cuped, cuped_theta
from crm_lab.stats.adjustment import Convention

# Rounding of least squares on a few hundred numbers.
ROUNDING = 1e-9
CONVENTIONS: tuple[Convention, ...] = ("within", "total")

Arms = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def history(seed: int = 1, n_t: int = 400, n_c: int = 60, covariates: int = 1) -> Arms:
    rng = np.random.default_rng(seed)
    found = []
    for n, effect in ((n_t, 0.5), (n_c, 0.0)):
        x = rng.normal(10, 2, (n, covariates))
        y = effect + x @ np.arange(1.0, covariates + 1) + rng.normal(0, 1, n)
        found += [y, x[:, 0] if covariates == 1 else x]
    y_t, x_t, y_c, x_c = found
    return y_t, x_t, y_c, x_c


def least_squares_effect(
    y_t: np.ndarray, x_t: np.ndarray, y_c: np.ndarray, x_c: np.ndarray
) -> float:
    """Coefficient of the arm in the regression of y on arm and covariates (ANCOVA)."""
    treated = np.concatenate([np.ones(y_t.size), np.zeros(y_c.size)])
    x = np.concatenate([x_t.reshape(y_t.size, -1), x_c.reshape(y_c.size, -1)])
    design = np.column_stack([np.ones_like(treated), treated, x])
    return float(np.linalg.lstsq(design, np.concatenate([y_t, y_c]), rcond=None)[0][1])


@pytest.mark.parametrize("covariates", [1, 3])
def test_within_is_the_analysis_of_covariance(covariates: int) -> None:
    arms = history(covariates=covariates)
    adjusted = cuped(*arms)
    effect = adjusted.treatment.mean() - adjusted.control.mean()
    assert effect == pytest.approx(least_squares_effect(*arms), rel=ROUNDING)
    assert "ANCOVA" in adjusted.method


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_summaries_give_the_same_theta(convention: Convention) -> None:
    y_t, x_t, y_c, x_c = history()
    theta = cuped_theta(
        PairMoments.from_arrays(y_t, x_t), PairMoments.from_arrays(y_c, x_c), convention=convention
    )
    assert cuped(y_t, x_t, y_c, x_c, convention=convention).theta == pytest.approx(
        (theta,), rel=ROUNDING
    )


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("constant", [0.0, 0.1, 1e9 / 3])
def test_a_constant_covariate_changes_nothing(convention: Convention, constant: float) -> None:
    y_t, _, y_c, _ = history()
    adjusted = cuped(
        y_t, np.full(y_t.size, constant), y_c, np.full(y_c.size, constant), convention=convention
    )
    assert adjusted.theta == (0.0,)
    assert np.array_equal(adjusted.treatment, y_t)
    assert np.array_equal(adjusted.control, y_c)
    assert adjusted.variance_reduction == 0.0
    assert adjusted.reason == ""


def test_a_constant_beside_a_useful_covariate_changes_nothing() -> None:
    y_t, x_t, y_c, x_c = history()
    alone = cuped(y_t, x_t, y_c, x_c)
    beside = cuped(
        y_t,
        np.column_stack([x_t, np.full(y_t.size, 7.0)]),
        y_c,
        np.column_stack([x_c, np.full(y_c.size, 7.0)]),
    )
    assert beside.theta[1] == 0.0
    assert beside.treatment == pytest.approx(alone.treatment, rel=ROUNDING)


def test_a_covariate_given_twice_changes_nothing() -> None:
    y_t, x_t, y_c, x_c = history()
    twice = cuped(y_t, np.column_stack([x_t, x_t]), y_c, np.column_stack([x_c, x_c]))
    assert twice.treatment == pytest.approx(cuped(y_t, x_t, y_c, x_c).treatment, rel=ROUNDING)


def test_an_unrelated_covariate_removes_no_variance() -> None:
    y_t, _, y_c, _ = history(n_t=20_000, n_c=2_000)
    rng = np.random.default_rng(7)
    adjusted = cuped(y_t, rng.normal(size=y_t.size), y_c, rng.normal(size=y_c.size))
    assert 0 <= adjusted.variance_reduction < 0.001
    assert adjusted.treatment.mean() - adjusted.control.mean() == pytest.approx(
        y_t.mean() - y_c.mean(), abs=0.01
    )


def test_the_interval_narrows_by_what_is_said() -> None:
    y_t, x_t, y_c, x_c = history(n_t=20_000, n_c=5_000)
    adjusted = cuped(y_t, x_t, y_c, x_c)
    raw = compare_means_welch(y_t, y_c, alpha=0.05).absolute
    fine = compare_means_welch(adjusted.treatment, adjusted.control, alpha=0.05).absolute
    ratio = ((fine.high - fine.low) / (raw.high - raw.low)) ** 2
    # The covariate has a variance of 4 and the noise one of 1; about five standard errors.
    assert adjusted.variance_reduction == pytest.approx(4 / 5, abs=0.01)
    assert 1 - ratio == pytest.approx(adjusted.variance_reduction, abs=0.01)


def test_the_level_stays_that_of_the_outcome() -> None:
    y_t, x_t, y_c, x_c = history()
    adjusted = cuped(y_t, x_t, y_c, x_c)
    both = np.concatenate([adjusted.treatment, adjusted.control])
    assert both.mean() == pytest.approx(np.concatenate([y_t, y_c]).mean(), rel=ROUNDING)


@pytest.mark.parametrize(
    ("arms", "reason"),
    [
        (([], [], [1.0], [1.0]), "an arm is empty"),
        (([1.0, 2.0], [1.0, math.nan], [1.0, 3.0], [1.0, 2.0]), "a covariate is missing"),
        (([1.0, math.inf], [1.0, 2.0], [1.0, 3.0], [1.0, 2.0]), "an outcome is missing"),
        (([1.0], [1.0], [1.0, 3.0], [1.0, 2.0]), "not more units than covariates"),
    ],
)
def test_what_cannot_be_adjusted_is_given_back(arms: tuple[list[float], ...], reason: str) -> None:
    adjusted = cuped(*arms)
    assert reason in adjusted.reason
    assert np.array_equal(adjusted.treatment, arms[0])
    assert math.isnan(adjusted.theta[0])
    assert math.isnan(adjusted.variance_reduction)


def test_the_inputs_are_not_changed() -> None:
    arms = history()
    before = [array.copy() for array in arms]
    cuped(*arms)
    assert all(np.array_equal(a, b) for a, b in zip(arms, before, strict=True))


def test_impossible_inputs() -> None:
    with pytest.raises(DesignError, match="x_treatment has shape"):
        cuped([1.0, 2.0], [1.0], [1.0], [1.0])
    with pytest.raises(DesignError, match="1 covariates in the treatment but 2"):
        cuped([1.0, 2.0], [1.0, 2.0], [1.0], [[1.0, 2.0]])
    with pytest.raises(DesignError, match="x_control holds something"):
        cuped([1.0, 2.0], [1.0, 2.0], [1.0], ["x"])
    with pytest.raises(DesignError, match="convention is 'both'"):
        cuped([1.0], [1.0], [1.0], [1.0], convention="both")  # type: ignore[arg-type]
    pair = PairMoments.from_arrays([1.0, 2.0], [1.0, 2.0])
    with pytest.raises(DesignError, match="convention is 'both'"):
        cuped_theta(pair, pair, convention="both")  # type: ignore[arg-type]
