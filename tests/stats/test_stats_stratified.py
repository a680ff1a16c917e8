from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from crm_lab.errors import DesignError
from crm_lab.stats import (
    StratifiedComparison,
    adjust_by_strata,
    compare_means,
    compare_means_welch,
    compare_stratified_means,
    cuped,
)
from crm_lab.stats.strata import group_strata, within_strata_t

# Two routes to the same number differ by rounding only.
ROUNDING = 1e-9
DRAWS = 20_000
# Five standard errors of a share found from DRAWS draws, at its widest.
FIVE_ERRORS = 5 * 0.5 / math.sqrt(DRAWS)


def base(
    seed: int, n_t: int, n_c: int, *, strata: int = 3, effect: float = 0.5
) -> dict[str, np.ndarray]:
    """Outcomes that depend on the stratum and on a covariate."""
    rng = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}
    for arm, n, added in (("t", n_t, effect), ("c", n_c, 0.0)):
        stratum = rng.integers(0, strata, n)
        x = rng.normal(0, 1, n)
        found[f"stratum_{arm}"] = stratum
        found[f"x_{arm}"] = x
        found[f"y_{arm}"] = added + 4.0 * stratum + 2.0 * x + rng.normal(0, 1, n)
    return found


def compare(
    data: dict[str, np.ndarray], *, history: bool = False, **options: object
) -> StratifiedComparison:
    options = {"alpha": 0.05, "rng": np.random.default_rng(1), **options}
    if history:
        options |= {"x_t": data["x_t"], "x_c": data["x_c"]}
    return compare_stratified_means(
        data["y_t"],
        data["stratum_t"],
        data["y_c"],
        data["stratum_c"],
        **options,  # type: ignore[arg-type]
    )


def by_hand(data: dict[str, np.ndarray]) -> tuple[float, float]:
    difference = squared = 0.0
    total = data["y_t"].size + data["y_c"].size
    for stratum in np.unique(data["stratum_t"]):
        treated = data["y_t"][data["stratum_t"] == stratum]
        control = data["y_c"][data["stratum_c"] == stratum]
        weight = (treated.size + control.size) / total
        difference += weight * (treated.mean() - control.mean())
        squared += weight**2 * (
            treated.var(ddof=1) / treated.size + control.var(ddof=1) / control.size
        )
    return float(difference), float(squared)


@pytest.mark.parametrize(("n_t", "n_c"), [(60, 40), (400, 25)])
def test_the_estimate_and_its_error_by_hand(n_t: int, n_c: int) -> None:
    data = base(n_c, n_t, n_c)
    difference, squared = by_hand(data)
    found = compare(data, method="t")
    absolute = found.comparison.absolute
    assert absolute.estimate == pytest.approx(difference, rel=ROUNDING)
    plain = sum(data[y].var(ddof=1) / data[y].size for y in ("y_t", "y_c"))
    assert found.variance_reduction == pytest.approx(1 - squared / plain, rel=ROUNDING)
    weighted = np.dot(found.weights, found.differences)
    assert absolute.estimate == pytest.approx(weighted, rel=ROUNDING)


def t_of(data: dict[str, np.ndarray]) -> float:
    difference, squared = by_hand(data)
    return difference / math.sqrt(squared)


def test_the_permutation_is_that_of_all_splits_within_strata() -> None:
    strata = np.array(list("aaaaabbbbbb"))
    y = np.array([1.0, 2, 0, 7, 4, 20, 0, 0, 25, 31, 28])
    control = {0, 3, 6, 7}
    exact = []
    for first in itertools.combinations(range(5), 2):
        for second in itertools.combinations(range(5, 11), 2):
            inside = np.isin(np.arange(11), [*first, *second])
            exact.append(
                t_of(
                    {
                        "y_t": y[~inside],
                        "stratum_t": strata[~inside],
                        "y_c": y[inside],
                        "stratum_c": strata[inside],
                    }
                )
            )
    held = np.isin(np.arange(11), list(control))
    grouping = group_strata(strata[~held], strata[held], minimum_units=2)
    drawn = within_strata_t(
        y[~held], y[held], grouping, permutations=DRAWS, rng=np.random.default_rng(1)
    )
    for t in np.unique(np.round(exact, 9)):
        share = np.mean(np.abs(np.array(exact) - t) < ROUNDING)
        assert np.mean(np.abs(drawn - t) < ROUNDING) == pytest.approx(share, abs=FIVE_ERRORS)


def test_one_stratum_is_a_comparison_of_means() -> None:
    data = base(4, 300, 30, strata=1)
    found = compare(data, permutations=DRAWS)
    plain = compare_means(
        data["y_t"], data["y_c"], alpha=0.05, rng=np.random.default_rng(2), permutations=DRAWS
    )
    assert found.comparison.absolute.estimate == pytest.approx(
        plain.absolute.estimate, rel=ROUNDING
    )
    assert found.comparison.absolute.p_value == pytest.approx(
        plain.absolute.p_value, abs=2 * FIVE_ERRORS
    )
    assert found.variance_reduction == pytest.approx(0.0, abs=ROUNDING)
    assert found.sentence().endswith("One stratum is left, so nothing was stratified.")


def test_one_stratum_by_t_is_welch() -> None:
    data = base(4, 300, 30, strata=1)
    ours = compare(data, method="t").comparison.absolute
    welch = compare_means_welch(data["y_t"], data["y_c"], alpha=0.05).absolute
    assert (ours.low, ours.high, ours.p_value) == pytest.approx(
        (welch.low, welch.high, welch.p_value), rel=ROUNDING
    )


def test_strata_and_history_each_remove_variance() -> None:
    data = base(6, 2_000, 150)
    strata, both = compare(data, method="t"), compare(data, history=True, method="t")
    assert strata.variance_reduction > 0.5
    assert both.variance_reduction > strata.variance_reduction + 0.1
    assert both.theta[0] == pytest.approx(2.0, abs=0.15)
    assert "CUPED within strata" in both.comparison.absolute.method
    assert "The strata and the history took" in both.sentence()


def test_a_constant_covariate_changes_nothing() -> None:
    data = base(7, 200, 40)
    plain = compare(data)
    # Constant, and constant within each stratum: the strata say it already.
    x = [
        np.column_stack([np.full(s.size, 3.7), 0.1 + 3.3 * s])
        for s in (data["stratum_t"], data["stratum_c"])
    ]
    found = compare(data, x_t=x[0], x_c=x[1])
    assert found.theta == (0.0, 0.0)
    assert found.comparison.absolute.estimate == plain.comparison.absolute.estimate
    assert found.comparison.absolute.p_value == plain.comparison.absolute.p_value


def test_the_covariates_take_theta_from_within_strata_and_arms() -> None:
    data = base(8, 90, 50)
    x = np.concatenate([data["x_t"], data["x_c"]])
    y = np.concatenate([data["y_t"], data["y_c"]])
    cell = np.concatenate([data["stratum_t"], 10 + data["stratum_c"]])
    dummies = (cell[:, None] == np.unique(cell)).astype(float)
    theta = np.linalg.lstsq(np.column_stack([dummies, x]), y, rcond=None)[0][-1]
    assert compare(data, history=True, method="t").theta == pytest.approx((theta,), rel=ROUNDING)


def test_adjusted_values_are_the_analysis_of_covariance() -> None:
    data = base(9, 80, 30)
    arm = np.repeat([1.0, 0.0], [80, 30])
    stratum = np.concatenate([data["stratum_t"], data["stratum_c"]])
    x = np.concatenate([data["x_t"], data["x_c"]])
    y = np.concatenate([data["y_t"], data["y_c"]])
    dummies = (stratum[:, None] == np.arange(3)).astype(float)
    for covariates in ([], [x]):
        design = np.column_stack([arm, dummies, *covariates])
        expected = np.linalg.lstsq(design, y, rcond=None)[0][0]
        history = {"x_t": data["x_t"], "x_c": data["x_c"]} if covariates else {}
        adjusted = adjust_by_strata(
            data["y_t"], data["stratum_t"], data["y_c"], data["stratum_c"], **history
        )
        effect = adjusted.treatment.mean() - adjusted.control.mean()
        assert effect == pytest.approx(expected, rel=ROUNDING)
        both = np.concatenate([adjusted.treatment, adjusted.control])
        assert both.mean() == pytest.approx(y.mean(), rel=ROUNDING)


def test_adjusting_by_one_stratum_is_cuped() -> None:
    data = base(10, 80, 30, strata=1)
    ours = adjust_by_strata(
        data["y_t"],
        data["stratum_t"],
        data["y_c"],
        data["stratum_c"],
        x_t=data["x_t"],
        x_c=data["x_c"],
    )
    theirs = cuped(data["y_t"], data["x_t"], data["y_c"], data["x_c"])
    assert ours.theta == pytest.approx(theirs.theta, rel=ROUNDING)
    assert ours.treatment == pytest.approx(theirs.treatment, rel=ROUNDING)
    assert ours.variance_reduction == pytest.approx(theirs.variance_reduction, rel=ROUNDING)


def test_both_ways_agree_when_arms_hold_the_same_mix() -> None:
    rng = np.random.default_rng(3)
    stratum = np.tile([0, 1, 2], 40)
    y_t, y_c = (rng.normal(stratum, 1.0) for _ in range(2))
    adjusted = adjust_by_strata(y_t, stratum, y_c, stratum)
    found = compare_stratified_means(y_t, stratum, y_c, stratum, alpha=0.05, rng=rng, method="t")
    effect = adjusted.treatment.mean() - adjusted.control.mean()
    assert found.comparison.absolute.estimate == pytest.approx(effect, rel=ROUNDING)


def test_thin_strata_are_merged_and_named() -> None:
    data = base(11, 300, 60)
    names = np.array(["a", "b", "c"], dtype=object)
    labels_t, labels_c = names[data["stratum_t"]], names[data["stratum_c"]]
    labels_t[0], labels_t[1] = "new", "newer"
    data |= {"stratum_t": labels_t, "stratum_c": labels_c}
    found = compare(data, method="t")
    assert set(found.merged) >= {"new", "newer"}
    assert len(found.strata) == 3
    assert sum(found.n_treatment) == 300
    assert sum(found.n_control) == 60
    assert sum(found.weights) == pytest.approx(1.0)
    assert "Too thin to stand alone, and read together: new, newer" in found.sentence()
    assert found.to_frame()["stratum"].tolist() == list(found.strata)


def test_order_of_rows_does_not_matter() -> None:
    data = base(13, 120, 40)
    rng = np.random.default_rng(1)
    mixed = dict(data)
    for arm, n in (("t", 120), ("c", 40)):
        order = rng.permutation(n)
        for name in ("y", "stratum"):
            mixed[f"{name}_{arm}"] = data[f"{name}_{arm}"][order]
    one, other = (compare(given, permutations=499).comparison.absolute for given in (data, mixed))
    assert one.p_value == other.p_value
    assert one.low == pytest.approx(other.low, rel=ROUNDING)


def test_nothing_is_merged_without_need() -> None:
    assert compare(base(12, 90, 60)).merged == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"y_c": np.empty(0), "stratum_c": np.empty(0, dtype=int)}, "an arm is empty"),
        ({"y_c": np.ones(1), "stratum_c": np.ones(1, dtype=int)}, "an arm has fewer than 2 units"),
        ({"y_t": np.array([math.inf, 1, 2])}, "an outcome is missing or infinite"),
        ({"x_t": np.array([math.nan, 1, 2])}, "a covariate is missing or infinite"),
        ({"y_t": np.ones(3), "y_c": np.ones(3)}, "the values do not vary within any stratum"),
    ],
)
def test_what_the_data_cannot_support(change: dict[str, np.ndarray], reason: str) -> None:
    data = {
        "y_t": np.array([1.0, 2, 3]),
        "stratum_t": np.array([0, 0, 0]),
        "y_c": np.array([1.0, 2, 5]),
        "stratum_c": np.array([0, 0, 0]),
        "x_t": np.array([1.0, 2, 4]),
        "x_c": np.array([1.0, 2, 4]),
    } | change
    found = compare(data, history="x_t" in change)
    assert found.reason == reason
    assert found.comparison.absolute.reason == reason
    assert math.isnan(found.comparison.absolute.estimate)
    assert math.isnan(found.variance_reduction)
    assert "cannot conclude" in found.sentence()


def test_adjusting_without_data_gives_the_raw_values_and_a_reason() -> None:
    found = adjust_by_strata([1.0, math.nan], ["a", "a"], [2.0], ["a"])
    assert found.reason == "an outcome is missing or infinite"
    assert found.control.tolist() == [2.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "z"}, "method is 'z'"),
        ({"minimum_units": 1}, "minimum_units is 1"),
        ({"x_t": np.ones(4)}, "one arm has covariates and the other has none"),
        ({"x_t": np.ones(3), "x_c": np.ones(4)}, "x_t has shape"),
        ({"x_t": np.ones((4, 2)), "x_c": np.ones((4, 1))}, "2 covariates in the treatment but 1"),
        ({"x_t": list("abcd"), "x_c": np.ones(4)}, "x_t holds something that is not a number"),
    ],
)
def test_impossible_requests(change: dict[str, object], message: str) -> None:
    data = {
        "y_t": np.arange(4.0),
        "stratum_t": np.zeros(4),
        "y_c": np.arange(4.0),
        "stratum_c": np.zeros(4),
    }
    with pytest.raises(DesignError, match=message):
        compare(data, **change)


def test_a_stratum_for_everybody() -> None:
    with pytest.raises(DesignError, match="1 units have no stratum"):
        adjust_by_strata([1.0, 2.0], np.array(["a", None]), [1.0], ["a"])


def test_a_label_for_every_value() -> None:
    with pytest.raises(DesignError, match="2 values but 1 labels of strata in the treatment"):
        adjust_by_strata([1.0, 2.0], ["a"], [1.0], ["a"])


@pytest.mark.slow
def test_the_error_level_holds_at_five_percent_control() -> None:
    claims, runs = 0, 800
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        stratum = rng.integers(0, 3, 3_000)
        y = rng.lognormal(0, 1.5, 3_000) * (rng.random(3_000) < 0.05 + 0.1 * stratum)
        control = rng.permutation(3_000) < 150
        found = compare_stratified_means(
            y[~control],
            stratum[~control],
            y[control],
            stratum[control],
            alpha=0.05,
            rng=rng,
            permutations=499,
        )
        claims += found.comparison.absolute.is_significant
    # Four Monte Carlo errors above 5 % for 800 runs.
    assert claims / runs <= 0.05 + 0.031
