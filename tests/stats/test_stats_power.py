from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_lab.errors import DesignError
from crm_lab.stats import (
    compare_proportions,
    minimum_detectable_effect_mean,
    minimum_detectable_effect_proportion,
    power_mean,
    power_proportion,
    required_total,
)


@given(
    st.floats(0.01, 0.6),
    st.floats(0.02, 0.6),
    st.floats(0.05, 0.6),
    st.sampled_from([0.5, 0.8, 0.95]),
)
def test_size_and_effect_are_inverse(base: float, lift: float, share: float, power: float) -> None:
    size = required_total(
        base_rate=base, relative_effect=lift, control_share=share, alpha=0.05, power=power
    )
    effect = minimum_detectable_effect_proportion(
        base, int(size.n_treatment), int(size.n_control), alpha=0.05, power=power
    )
    # Rounding the arms up can only make a smaller effect visible.
    assert effect.relative <= lift * (1 + 1e-9)
    reached = power_proportion(
        base, base * (1 + lift), size.n_treatment, size.n_control, alpha=0.05
    )
    fewer = power_proportion(
        base, base * (1 + lift), size.n_treatment - 1, size.n_control - 1, alpha=0.05
    )
    assert fewer <= power + 1e-9 <= reached + 2e-9


@pytest.mark.parametrize("n", [30, 5_000, 2_000_000])
def test_the_effect_on_a_mean_has_the_power(n: int) -> None:
    effect = minimum_detectable_effect_mean(6.0, 40.0, n, n // 10, alpha=0.05, power=0.8)
    power = power_mean(effect.absolute, 40.0, n, n // 10, alpha=0.05)
    assert power == pytest.approx(0.8, abs=1e-9)
    assert effect.relative == pytest.approx(effect.absolute / 6.0)


def test_the_normal_takes_over_from_t_without_a_step() -> None:
    below = power_mean(0.0125, 1.0, 50_000, 50_000, alpha=0.05)
    above = power_mean(0.0125, 1.0, 50_002, 50_002, alpha=0.05)
    assert above == pytest.approx(below, abs=5e-5)


def test_power_is_what_the_test_finds() -> None:
    rng, runs = np.random.default_rng(3), 2_000
    n_t, n_c, base, rate = 3_000, 600, 0.10, 0.14
    found = sum(
        compare_proportions(
            rng.binomial(n_t, rate), n_t, rng.binomial(n_c, base), n_c, alpha=0.05
        ).absolute.is_significant
        for _ in range(runs)
    )
    power = power_proportion(base, rate, n_t, n_c, alpha=0.05)
    # Four Monte Carlo errors, and a point for the normal approximation.
    assert found / runs == pytest.approx(power, abs=0.01 + 4 * math.sqrt(0.25 / runs))


def test_no_increase_is_enough() -> None:
    effect = minimum_detectable_effect_proportion(0.9, 20, 2, alpha=0.05, power=0.8)
    assert math.isnan(effect.absolute)
    assert effect.reason == "even an increase to 100 % would be missed too often"
    assert effect.reason in effect.sentence()


def test_a_rate_above_one_does_not_exist() -> None:
    size = required_total(
        base_rate=0.7, relative_effect=0.5, control_share=0.05, alpha=0.05, power=0.8
    )
    assert math.isnan(size.total)
    assert size.reason == "a rate of 105.0 % does not exist"
    assert size.reason in size.sentence()


def test_an_effect_too_small_for_any_base() -> None:
    size = required_total(
        mean=1.0, sd=1e3, relative_effect=1e-7, control_share=0.05, alpha=0.05, power=0.8
    )
    assert math.isnan(size.total)
    assert size.reason == "the effect is too small for any real base"


def test_a_decrease_can_be_planned() -> None:
    size = required_total(
        base_rate=0.1, relative_effect=-0.5, control_share=0.5, alpha=0.05, power=0.8
    )
    # The textbook value for 10 % against 5 % at 80 % power is 434.4 per arm.
    assert size.n_control == 435


def test_results_say_themselves() -> None:
    size = required_total(
        base_rate=0.1, relative_effect=0.1, control_share=0.05, alpha=0.05, power=0.8
    )
    assert "To find an effect of +10.0 % with probability 80 %, 157,5" in size.sentence()
    assert size.to_frame().loc[0, "control_share"] == 0.05
    effect = minimum_detectable_effect_mean(6.0, 40.0, 1_000, 100, alpha=0.05, power=0.8)
    assert effect.to_frame().loc[0, "n_control"] == 100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"base_rate": 1.2}, "base_rate is 1.2"),
        ({"relative_effect": 0.0}, "relative_effect is 0.0"),
        ({"control_share": 1.0}, "control_share is 1.0"),
        ({"power": 0.01}, "power is 0.01"),
        ({"alpha": 0.0}, "alpha is 0.0"),
        ({"base_rate": None}, "base value is not clear"),
        ({"mean": 3.0}, "base value is not clear"),
        ({"base_rate": None, "mean": 3.0, "sd": -1.0}, "sd is -1.0"),
    ],
)
def test_impossible_plans(change: dict[str, float | None], message: str) -> None:
    plan = {
        "base_rate": 0.1,
        "relative_effect": 0.1,
        "control_share": 0.05,
        "alpha": 0.05,
        "power": 0.8,
    }
    with pytest.raises(DesignError, match=message):
        required_total(**(plan | change))  # type: ignore[arg-type]


def test_impossible_designs() -> None:
    with pytest.raises(DesignError, match="n_control is 0"):
        minimum_detectable_effect_proportion(0.1, 10, 0, alpha=0.05, power=0.8)
    with pytest.raises(DesignError, match="n_treatment is 1"):
        minimum_detectable_effect_mean(1.0, 1.0, 1, 10, alpha=0.05, power=0.8)
    with pytest.raises(DesignError, match=r"rate is 1\.5"):
        power_proportion(0.1, 1.5, 10, 10, alpha=0.05)
    with pytest.raises(DesignError, match="difference is inf"):
        power_mean(math.inf, 1.0, 10, 10, alpha=0.05)
    with pytest.raises(DesignError, match="2 units in all"):
        power_mean(1.0, 1.0, 1, 1, alpha=0.05)
