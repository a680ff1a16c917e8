"""Plots of the design page: titles ask, axes carry units, the control is grey."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from crm_lab.experiments.design import design
from crm_lab.experiments.design_results import Design
from crm_lab.plots.design import (
    plot_design,
    plot_horizon,
    plot_sequential,
    plot_simulated_power,
)
from crm_lab.plots.palette import CONTROL
from crm_lab.stats import group_sequential


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def made() -> Design:
    rng = np.random.default_rng(1)
    rates = rng.gamma(0.5, 0.3, 1_000)
    orders, before = rng.poisson(rates), rng.poisson(rates)
    frame = pd.DataFrame(
        {
            "orders": orders,
            "revenue": orders * 20.0,
            "pre_orders": before,
            "pre_revenue": before * 20.0,
        }
    )
    return design(
        frame,
        control_share=0.1,
        weeks=4,
        pre_weeks=4,
        looks=3,
        rng=rng,
        replicates=20,
        permutations=99,
    )


def greys(ax: Axes) -> int:
    return sum(to_hex(line.get_color()) == CONTROL for line in ax.lines)


def labels(ax: Axes) -> list[str]:
    return ax.get_legend_handles_labels()[1]


def test_design(made: Design) -> None:
    ax = made.plot()
    assert ax.get_title(loc="left").endswith("?")
    assert ax.get_ylabel() == "smallest change that shows (%)"
    assert greys(ax) == 1
    assert "the share who buy, by formula" in labels(ax)
    assert "revenue per customer, adjusted by the pre-period" in labels(ax)
    assert any("simulation on own history, more buyers" in label for label in labels(ax))
    assert not any("order value" in label for label in labels(ax))
    low, high = ax.get_ylim()
    shown = made.metric("revenue_per_customer").detectable.relative
    assert low == 0
    assert high > 100 * shown


def test_horizon(made: Design) -> None:
    ax = plot_horizon(made)
    assert ax.get_xlabel() == "length of the window (weeks)"
    assert {"the share who buy", "the share who buy, projected"} <= set(labels(ax))


def test_simulated_power(made: Design) -> None:
    ax = made.simulations[0].plot()
    assert ax.get_title(loc="left").endswith("?")
    assert ax.get_ylim() == (0, 102)
    assert "wanted power" in labels(ax)


def test_sequential(made: Design) -> None:
    assert made.looks is not None
    ax = made.looks.plot()
    assert greys(ax) == 1
    assert len(ax.texts) == 3
    one_sided = plot_sequential(group_sequential(20, alpha=0.05, power=0.8, sides=1))
    assert len(one_sided.texts) == 0


def test_given_axes_are_used(made: Design) -> None:
    _, axes = plt.subplots(1, 4)
    assert plot_design(made, ax=axes[0]) is axes[0]
    assert plot_horizon(made, ax=axes[1]) is axes[1]
    assert plot_simulated_power(made.simulations[1], ax=axes[2]) is axes[2]
    assert made.looks is not None
    assert plot_sequential(made.looks, ax=axes[3]) is axes[3]


def test_nothing_to_draw_is_said() -> None:
    empty = design(pd.DataFrame({"orders": [0] * 100}), control_share=0.1, weeks=4)
    assert [text.get_text() for text in plot_horizon(empty).texts] == ["nothing can be said"]
    assert "nothing can be said" in [text.get_text() for text in plot_design(empty).texts]
