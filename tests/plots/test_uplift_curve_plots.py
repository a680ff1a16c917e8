"""Plots of scores: control grey, intervals drawn, nothing drawn that is not known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

from crm_lab.cards import Result
from crm_lab.plots.palette import CONTROL
from crm_lab.uplift import (
    Economics,
    Trial,
    best_cut,
    calibrate_effects,
    curve_bands,
    sorted_effects,
)

ALPHA = 0.05


@pytest.fixture(autouse=True)
def closed_figures() -> Iterator[None]:
    yield
    plt.close("all")


def results(n: int = 2_000) -> dict[str, Result]:
    rng = np.random.default_rng(3)
    score, is_treated = rng.random(n), rng.random(n) < 0.5
    spend = rng.gamma(2.0, 2.0, n) + 4.0 * score * is_treated
    trial = Trial(outcome=spend, is_treated=is_treated, probability=0.5, metric="revenue")
    terms = Economics(contact_cost=2.0, currency="EUR")
    return {
        "bands": curve_bands(trial, score, alpha=ALPHA, rng=rng, replicates=50),
        "groups": sorted_effects(trial, score, alpha=ALPHA, rng=rng),
        "calibration": calibrate_effects(trial, 4.0 * score, alpha=ALPHA, rng=rng),
        "cut": best_cut(
            trial, score, alpha=ALPHA, rng=rng, economics=terms, budget=0.8 * n, repetitions=1
        ),
    }


@pytest.mark.parametrize("name", ["bands", "groups", "calibration", "cut"])
def test_the_title_asks_and_the_comparison_is_grey(name: str) -> None:
    ax = results()[name].plot()
    assert ax.get_title(loc="left").endswith("?")
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    assert CONTROL in {to_hex(line.get_color()) for line in ax.get_lines()}


def test_bands_and_intervals_are_drawn() -> None:
    made = results()
    assert len(made["bands"].plot().collections) == 2
    assert len(made["groups"].plot().containers) == 1
    assert len(made["cut"].plot().containers) == 1


def test_it_draws_on_given_axes() -> None:
    _, ax = plt.subplots()
    assert results()["groups"].plot(ax=ax) is ax


def test_what_is_not_known_is_not_drawn() -> None:
    rng = np.random.default_rng(3)
    trial = Trial(outcome=np.zeros(200), is_treated=rng.random(200) < 0.5, probability=0.5)
    found = sorted_effects(trial, rng.random(200), alpha=ALPHA, rng=rng)
    assert not found.plot().containers
    assert not curve_bands(trial, rng.random(200), alpha=ALPHA, rng=rng, replicates=9).plot().texts
