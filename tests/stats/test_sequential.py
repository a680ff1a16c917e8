"""Group-sequential bounds: rpact, Jennison and Turnbull (2000), identities, bad input."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from scipy import special

from crm_lab.errors import DesignError
from crm_lab.stats import Boundary, compare_means, group_sequential

Case = dict[str, Any]
BOUNDARIES: tuple[Boundary, ...] = get_args(Boundary)
RPACT: dict[str, Boundary] = {
    "pocock": "pocock",
    "obrien_fleming": "obrien_fleming",
    "lan_demets_of": "lan_demets_obrien_fleming",
    "lan_demets_pocock": "lan_demets_pocock",
}
# Integration is exact to about 1e-11; roots are found to 1e-11.
EXACT = 1e-9
# The tables are printed to three decimals.
PRINTED = 0.0006


@pytest.fixture(scope="module")
def oracle(reference: Path) -> Callable[[str], Case]:
    cases = json.loads((reference / "ab_oracles.json").read_text(encoding="utf-8"))["cases"]
    return {case["id"]: case for case in cases}.__getitem__


@pytest.mark.parametrize("looks", [2, 3, 4])
@pytest.mark.parametrize("name", RPACT)
def test_equal_looks_as_rpact(oracle: Callable[[str], Case], looks: int, name: str) -> None:
    case = oracle(f"gst_k{looks}")
    plan = group_sequential(looks, alpha=0.05, power=0.8, boundary=RPACT[name])
    assert plan.bounds == pytest.approx(case["expected"][name], rel=case["rel_tol"])


def test_unequal_looks_as_rpact(oracle: Callable[[str], Case]) -> None:
    case = oracle("gst_50_75_100")
    plan = group_sequential(case["inputs"]["information"], alpha=0.025, power=0.9, sides=1)
    assert plan.bounds == pytest.approx(case["expected"]["z"], rel=case["rel_tol"])


def test_alpha_spent_as_rpact(oracle: Callable[[str], Case]) -> None:
    case = oracle("gst_spent")
    plan = group_sequential(3, alpha=0.025, power=0.9, sides=1)
    expected = case["expected"]
    assert plan.bounds == pytest.approx(expected["z"], rel=case["rel_tol"])
    assert plan.alpha_spent == pytest.approx(expected["cumulative_alpha"], rel=case["rel_tol"])


@pytest.mark.parametrize(
    ("boundary", "published"),
    [
        ("pocock", {2: 1.110, 3: 1.166, 4: 1.202, 5: 1.229}),
        ("obrien_fleming", {2: 1.008, 3: 1.017, 4: 1.024, 5: 1.028}),
    ],
)
def test_inflation_as_published(boundary: Boundary, published: dict[int, float]) -> None:
    # Jennison and Turnbull (2000), tables 2.2 and 2.4, alpha 5 % two-sided, power 80 %.
    for looks, factor in published.items():
        plan = group_sequential(looks, alpha=0.05, power=0.8, boundary=boundary)
        assert plan.inflation == pytest.approx(factor, abs=PRINTED)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("sides", [1, 2])
def test_one_look_is_the_fixed_design(boundary: Boundary, sides: Any) -> None:
    plan = group_sequential(1, alpha=0.05, power=0.8, boundary=boundary, sides=sides)
    assert plan.bounds[0] == pytest.approx(-special.ndtri(0.05 / sides), abs=EXACT)
    assert plan.nominal_p[0] == pytest.approx(0.05, abs=EXACT)
    assert plan.inflation == pytest.approx(1.0, abs=EXACT)
    assert plan.average_size_effect == pytest.approx(1.0, abs=EXACT)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("looks", [(0.1, 0.15, 0.6, 1.0), (0.005, 1.0), 12])
def test_everything_is_spent_and_reached(boundary: Boundary, looks: Any) -> None:
    plan = group_sequential(looks, alpha=0.05, power=0.9, boundary=boundary)
    assert plan.alpha_spent[-1] == pytest.approx(0.05, abs=EXACT)
    assert plan.power_reached[-1] == pytest.approx(0.9, abs=EXACT)
    assert all(np.diff(plan.alpha_spent) >= 0)
    assert all(np.diff(plan.power_reached) >= 0)
    assert plan.inflation > 1 - EXACT
    assert plan.average_size_effect <= plan.average_size_null + EXACT
    assert plan.average_size_null <= plan.inflation


def test_a_look_too_early_spends_nothing_that_counts() -> None:
    plan = group_sequential([0.005, 1.0], alpha=0.05, power=0.8)
    assert "as many customers as that single look" in plan.sentence()
    assert plan.bounds[0] > 15
    assert plan.bounds[1] == pytest.approx(1.959964, abs=1e-6)


def test_more_looks_cost_more() -> None:
    plans = [
        group_sequential(k, alpha=0.05, power=0.8, boundary="pocock") for k in (1, 2, 4, 8, 16)
    ]
    assert all(np.diff([plan.inflation for plan in plans]) > 0)
    assert all(np.diff([plan.bounds[0] for plan in plans]) > 0)


@pytest.mark.parametrize("boundary", ["pocock", "lan_demets_obrien_fleming"])
def test_bounds_hold_for_simulated_walks(boundary: Boundary) -> None:
    rng, runs = np.random.default_rng(4), 200_000
    plan = group_sequential([0.3, 0.5, 1.0], alpha=0.05, power=0.8, boundary=boundary)
    information = np.array(plan.information)
    steps = np.sqrt(np.diff(information, prepend=0.0))
    walk = np.cumsum(rng.standard_normal((runs, 3)) * steps, axis=1)
    z = walk / np.sqrt(information)
    claimed = (np.abs(z) > np.array(plan.bounds)).any(axis=1).mean()
    # Four Monte Carlo errors.
    assert claimed == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / runs))


def test_nominal_p_is_the_alpha_of_a_look() -> None:
    plan = group_sequential(2, alpha=0.05, power=0.8, boundary="pocock")
    rng = np.random.default_rng(2)
    result = compare_means(
        rng.normal(0.5, 1, 100), rng.normal(0, 1, 100), alpha=plan.nominal_p[0], rng=rng
    )
    assert result.absolute.alpha == pytest.approx(0.0294, abs=1e-4)


def test_it_says_itself() -> None:
    plan = group_sequential(2, alpha=0.05, power=0.8, boundary="pocock")
    text = plan.sentence()
    assert "2 looks at 50 % and 100 % of the information, Pocock" in text
    assert "|z| passes 2.18 and 2.18" in text
    assert "11.0 % larger" in text
    assert list(plan.to_frame()["look"]) == [1, 2]
    assert group_sequential(1, alpha=0.05, power=0.8).sentence().startswith("One look")
    few = group_sequential(2, alpha=0.05, power=0.1, boundary="pocock").sentence()
    assert "more customers than that single look" in few
    assert "z passes 1.64" in group_sequential(1, alpha=0.05, power=0.8, sides=1).sentence()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"looks": 0}, "looks is 0"),
        ({"looks": 51}, "51 looks"),
        ({"looks": []}, "looks at nothing"),
        ({"looks": [0.5, 0.4, 1.0]}, r"looks at 0\.5, 0\.4, 1\.0"),
        ({"looks": [0.5, 0.501, 1.0]}, "rise by 0.005"),
        ({"looks": [0.5, 0.9]}, "last look is at 0.9"),
        ({"looks": [0.5, math.nan, 1.0]}, "looks at"),
        ({"looks": ["a"]}, "number of looks"),
        ({"looks": None}, "number of looks"),
        ({"alpha": 0.6}, "alpha is 0.6"),
        ({"alpha": math.nan}, "alpha is nan"),
        ({"power": 0.02}, "power is 0.02"),
        ({"sides": 3}, "sides is 3"),
        ({"boundary": "haybittle"}, "boundary is 'haybittle'"),
    ],
)
def test_impossible_plans(change: dict[str, Any], message: str) -> None:
    plan: dict[str, Any] = {"looks": 3, "alpha": 0.05, "power": 0.8} | change
    looks = plan.pop("looks")
    with pytest.raises(DesignError, match=message):
        group_sequential(looks, **plan)
