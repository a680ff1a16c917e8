"""The plot of how soon an event comes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

from crm_lab.plots.palette import CONTROL, TREATED
from crm_lab.plots.survival import plot_survival
from crm_lab.stats.survival_comparison import SurvivalComparison, compare_survival


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def compared(n_control: int) -> SurvivalComparison:
    rng = np.random.default_rng(1)
    times = np.ceil(rng.exponential(40.0, 400))
    watched, happened = np.minimum(times, 28), times <= 28
    return compare_survival(
        watched,
        happened,
        watched[:n_control],
        happened[:n_control],
        horizon=28,
        alpha=0.05,
        rng=rng,
        permutations=99,
        metric="first order",
        arms=("mail", "control"),
    )


def test_both_curves_with_the_control_in_grey() -> None:
    ax = compared(60).plot()
    colours = [to_hex(line.get_color()) for line in ax.lines[:2]]
    assert colours == [TREATED[0], CONTROL]
    assert len(ax.collections) == 2
    assert ax.get_title(loc="left") == "How soon did it come? first order"
    assert ax.get_xlabel() == "days since the start (dotted: horizon)"
    assert "%" in ax.get_ylabel()
    assert [text.get_text() for text in ax.texts] == ["mail (400)", "control (60)"]


def test_an_empty_arm_is_left_out() -> None:
    _, ax = plt.subplots()
    assert plot_survival(compared(0), ax=ax) is ax
    assert [text.get_text() for text in ax.texts] == ["mail (400)"]
