"""Plots of what all contact together brings: what they ask, what is grey, which ends they draw."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from crm_lab.crm_effect.attribution import Attribution
from crm_lab.crm_effect.curve_results import CurveResult
from crm_lab.crm_effect.economics_results import Economics
from crm_lab.plots.curve import plot_attribution, plot_cumulative, plot_money, plot_weekly
from crm_lab.plots.palette import CONTROL
from crm_lab.workbench import Workbench
from tests.experiments import shop_workbench as sw


@pytest.fixture(scope="module")
def curve() -> CurveResult:
    return sw.nine_weeks()


@pytest.fixture(scope="module")
def money(finished: Workbench, curve: CurveResult) -> Economics:
    return finished.crm_effect().economics(curve)


@pytest.fixture(scope="module")
def attribution(finished: Workbench, curve: CurveResult) -> Attribution:
    return finished.crm_effect().attribution(curve)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.mark.parametrize(
    ("draw", "name"),
    [
        (plot_cumulative, "curve"),
        (plot_weekly, "curve"),
        (plot_money, "money"),
        (plot_attribution, "attribution"),
    ],
)
def test_a_plot_asks_labels_and_draws_where_it_is_told(
    draw: Any, name: str, request: pytest.FixtureRequest
) -> None:
    result = request.getfixturevalue(name)
    _, own = plt.subplots()
    assert draw(result, ax=own) is own
    ax = draw(result)
    assert isinstance(ax, Axes)
    assert ax.get_title(loc="left").endswith("?")
    assert ax.get_xlabel()
    assert ax.lines[0].get_color() == CONTROL
    ax.figure.canvas.draw()


def test_the_band_has_the_ends_of_the_intervals(curve: CurveResult) -> None:
    ax = plot_cumulative(curve)
    (band,) = [item for item in ax.collections if isinstance(item, PolyCollection)]
    corners = band.get_paths()[0].vertices
    for point in curve.revenue:
        for end in (point.cumulative.low, point.cumulative.high):
            assert np.isclose(corners, [point.week, end]).all(axis=1).any()


def test_the_results_name_these_plots(
    curve: CurveResult, money: Economics, attribution: Attribution
) -> None:
    for result in (curve, money, attribution):
        assert isinstance(result.plot(), Axes)


def test_nothing_known_is_drawn_without_a_number(finished: Workbench) -> None:
    effect = finished.crm_effect()
    early = effect.curve(as_of=sw.DRAWN_AT + timedelta(days=2))
    for result in (early, effect.economics(early), effect.attribution(early)):
        result.plot().figure.canvas.draw()
    texts = [text.get_text().strip() for text in effect.economics(early).plot().texts]
    assert "no estimate" in texts


def test_an_open_end_has_no_band(curve: CurveResult) -> None:
    first = curve.revenue[0]
    open_end = dataclasses.replace(first.cumulative, high=math.inf)
    changed = dataclasses.replace(first, cumulative=open_end)
    ax = plot_cumulative(dataclasses.replace(curve, revenue=(changed, *curve.revenue[1:])))
    (band,) = [item for item in ax.collections if isinstance(item, PolyCollection)]
    assert band.get_paths()[0].vertices[:, 0].min() == 2
