"""Outside references for ratios, confidence sequences and curves of time: R, gbstats, papers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crm_lab.stats import Moments, PairMoments
from crm_lab.stats.confidence_sequences import (
    _log_evidence,
    _tuning,
    confidence_sequence,
    sequence_quantile,
)
from crm_lab.stats.ratios import compare_ratio_moments, compare_ratios, ratio_estimate

Case = dict[str, Any]
ALPHA = 0.05
# The summaries of the case hold no third moment; that of both arms together is not quite 0.
SKEWNESS_OF_BOTH = 2e-4


@pytest.fixture(scope="module")
def oracle(reference: Path) -> Callable[[str], Case]:
    cases = json.loads((reference / "ab_oracles.json").read_text(encoding="utf-8"))["cases"]
    by_id = {case["id"]: case for case in cases}
    return by_id.__getitem__


def arms(case: Case) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    given = case["inputs"]
    treated = np.array(given["treat"]) == 1
    numerator, denominator = np.array(given["numer"], float), np.array(given["denom"], float)
    return {
        "treatment": (numerator[treated], denominator[treated]),
        "control": (numerator[~treated], denominator[~treated]),
    }


@pytest.mark.parametrize("arm", ["treatment", "control"])
def test_ratio_of_one_arm(oracle: Callable[[str], Case], arm: str) -> None:
    case = oracle("delta_ratio")
    found = ratio_estimate(PairMoments.from_arrays(*arms(case)[arm]), alpha=ALPHA, method="delta")
    expected = case["expected"][arm]
    assert found.estimate == pytest.approx(expected["est"], rel=case["rel_tol"])
    assert found.standard_error == pytest.approx(expected["se"], rel=case["rel_tol"])


def test_difference_of_ratios(oracle: Callable[[str], Case]) -> None:
    case = oracle("delta_ratio")
    both = arms(case)
    expected = case["expected"]
    pairs = [PairMoments.from_arrays(*both[arm]) for arm in ("treatment", "control")]
    found = compare_ratio_moments(*pairs, alpha=ALPHA).absolute
    assert found.estimate == pytest.approx(expected["diff"], rel=case["rel_tol"])
    assert (found.low + found.high) / 2 == pytest.approx(found.estimate, rel=case["rel_tol"])
    same = compare_ratios(*both["treatment"], *both["control"], alpha=ALPHA, method="delta")
    # The half-width is the standard error times Student's quantile with Welch's degrees.
    errors = [ratio_estimate(pair, alpha=ALPHA).standard_error for pair in pairs]
    assert math.hypot(*errors) == pytest.approx(expected["se"], rel=case["rel_tol"])
    assert same.absolute.high == pytest.approx(found.high, rel=case["rel_tol"])


def test_half_width_of_a_confidence_sequence(oracle: Callable[[str], Case]) -> None:
    case = oracle("cs_halfwidth")
    given, expected = case["inputs"], case["expected"]
    progress = given["n"] / given["tuning_n"]
    quantile = sequence_quantile(progress, alpha=given["alpha"])
    half = quantile * math.sqrt(given["s2"] / given["n"])
    assert half == pytest.approx(expected["halfwidth"], rel=case["rel_tol"])
    rho = math.sqrt(_tuning(given["alpha"], "both") / given["tuning_n"])
    assert rho == pytest.approx(expected["rho"], rel=case["rel_tol"])


def test_confidence_sequence_of_a_difference(oracle: Callable[[str], Case]) -> None:
    case = oracle("conf_seq")
    given, expected = case["inputs"], case["expected"]
    looks = []
    for arm in ("treat", "control"):
        part = given[arm]
        mean = part["sum"] / part["n"]
        m2 = part["sum_squares"] - part["n"] * mean**2
        looks.append(Moments(n=part["n"], mean=mean, m2=m2, m3=0.0))
    found = confidence_sequence(
        [(looks[0], looks[1])], alpha=given["alpha"], planned_units=given["tuning_n"]
    ).last
    assert found.estimate == pytest.approx(expected["est"], rel=case["rel_tol"])
    error = math.sqrt(sum(arm.variance / arm.n for arm in looks))
    assert error == pytest.approx(expected["se"], rel=case["rel_tol"])
    quantile = sequence_quantile(found.progress, alpha=given["alpha"])
    ends = [found.estimate - quantile * error, found.estimate + quantile * error]
    assert ends == pytest.approx(expected["ci"], rel=case["rel_tol"])
    # Both arms together are a little skewed, for which the result corrects.
    assert [found.low, found.high] == pytest.approx(expected["ci"], rel=SKEWNESS_OF_BOTH)
    assert found.p_value == expected["p"]


def test_likelihood_ratio_of_the_mixture(oracle: Callable[[str], Case]) -> None:
    case = oracle("msprt")
    given = case["inputs"]
    squared = 2 * given["sigma"] ** 2 / given["n_per_arm"]
    z = (given["mean_y"] - given["mean_x"]) / math.sqrt(squared)
    ratio = math.exp(_log_evidence(z, given["tau"] ** 2 / squared, side="both"))
    assert ratio == pytest.approx(case["expected"]["lr"], rel=case["rel_tol"])


def test_first_crossing_of_the_mixture(oracle: Callable[[str], Case]) -> None:
    case = oracle("msprt_stop")
    given, expected = case["inputs"], case["expected"]
    squared = 2 * given["sigma"] ** 2 / expected["n"]
    z = expected["mean_diff_x_minus_y"] / math.sqrt(squared)
    ratio = math.exp(_log_evidence(z, given["tau"] ** 2 / squared, side="both"))
    assert ratio == pytest.approx(expected["lr"], rel=1e-6)
    assert ratio > 1 / given["alpha"]
