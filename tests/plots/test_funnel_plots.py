"""Plots of funnels and cohorts show the numbers of their results and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgba

from crm_lab.customers.arm_panel import arm_panel
from crm_lab.customers.arms import no_arms
from crm_lab.customers.deals import refusals
from crm_lab.customers.funnels import first_week, funnel_steps
from crm_lab.customers.rates import group_rates
from crm_lab.customers.retention import cohort_triangle, retention_by_arm
from crm_lab.plots.palette import CONTROL

CAME, UNTIL = datetime(2026, 3, 1), datetime(2026, 6, 1)


@pytest.fixture(autouse=True)
def _figures_closed() -> Iterator[None]:
    yield
    plt.close("all")


def registrations(n: int = 200, won: int = 30) -> pd.DataFrame:
    came = pd.Series([CAME] * n, dtype="datetime64[us]")
    frame = pd.DataFrame({"registered_at": came, "won_undated": False})
    moments = pd.Series([CAME] * won + [None] * (n - won), dtype="datetime64[us]")
    return frame.assign(contacted_at=moments, opened_at=moments, won_at=moments)


def steps(frame: pd.DataFrame) -> Any:
    return funnel_steps(frame, until=UNTIL, days=30, alpha=0.05)


def week(frame: pd.DataFrame) -> Any:
    return first_week(frame, until=UNTIL, zone="UTC", alpha=0.05)


def rates(*rows: tuple[str, int, int]) -> Any:
    counts = pd.DataFrame(rows, columns=["group", "events", "n"])
    words = {"subject": "form", "event": "won", "unit": "registrations"}
    return group_rates(counts, alpha=0.05, until=UNTIL, **words)


def lost(deals: list[int]) -> Any:
    n = len(deals)
    reasons = pd.DataFrame(
        {
            "code": [f"r{k}" for k in range(n)],
            "reason": [f"reason {k}" for k in range(n)],
            "recoverable": [True] * n,
            "scenario": ["ask"] * n,
            "deals": deals,
            "amount": [1.0] * n,
        }
    )
    returns = pd.DataFrame({"code": ["r0"] * n, "lost_at": CAME, "won_at": CAME})
    return refusals(reasons, returns, until=UNTIL, days=30, currency="RUB", alpha=0.05)


def weeks(known_until: datetime) -> Any:
    rows = [("control", None, 100), ("mail", None, 900), ("control", 1, 5), ("mail", 1, 90)]
    buyers = pd.DataFrame(rows, columns=["variant", "week", "customers"])
    return retention_by_arm(
        buyers,
        experiment="x",
        arms=("mail",),
        starts_at=CAME,
        known_until=known_until,
        weeks=3,
        alpha=0.05,
    )


def triangle(until: datetime) -> Any:
    cohorts = pd.DataFrame(
        {
            "cohort": pd.to_datetime(["2026-01-01", "2026-01-01", "2026-02-01"]),
            "period": [None, 1, None],
            "customers": [80, 20, 90],
            "last_at": [datetime(2026, 1, 31), pd.NaT, datetime(2026, 2, 27)],
        }
    )
    return cohort_triangle(cohorts, until=until, period_days=30, periods=2, alpha=0.05)


def panel() -> Any:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"variant": ["control"] * 200 + ["mail"] * 800})
    n = len(frame)
    return arm_panel(
        frame.assign(
            is_active=rng.random(n) < 0.2,
            is_lost=rng.random(n) < 0.1,
            unsubscribed=rng.random(n) < 0.05,
            complained=False,
            score=rng.integers(0, 11, n),
            satisfaction=float("nan"),
        ),
        experiment="x",
        arms=("mail",),
        starts_at=CAME,
        ends_at=UNTIL,
        known_until=UNTIL,
        active_days=28,
        alpha=0.05,
        rng=rng,
    )


def ends_of_lines(ax: Any, *, vertical: bool = False) -> list[tuple[float, float]]:
    every = (line.get_ydata() if vertical else line.get_xdata() for line in ax.lines)
    return [(float(x[0]), float(x[1])) for x in every if len(x) == 2]


FULL: dict[str, Any] = {
    "steps": lambda: steps(registrations()),
    "rates": lambda: rates(("a", 40, 200), ("b", 2, 3)),
    "week": lambda: week(registrations()),
    "refusals": lambda: lost([5, 3]),
    "weeks": lambda: weeks(UNTIL),
    "triangle": lambda: triangle(UNTIL),
    "panel": panel,
}
EMPTY: dict[str, Any] = {
    "steps": lambda: steps(registrations(0, 0)),
    "rates": lambda: rates(),
    "week": lambda: week(registrations(0, 0)),
    "refusals": lambda: lost([]),
    "weeks": lambda: weeks(CAME),
    "triangle": lambda: triangle(CAME),
    "panel": lambda: no_arms("x", reason="nothing is drawn"),
}


@pytest.mark.parametrize("name", FULL)
def test_a_plot_asks_a_question_and_names_its_axis(name: str) -> None:
    ax = FULL[name]().plot()
    assert ax.get_title(loc="left").endswith("?")
    assert ax.get_xlabel()
    ax.figure.canvas.draw()


@pytest.mark.parametrize("name", EMPTY)
def test_a_result_without_numbers_is_drawn_empty(name: str) -> None:
    result = EMPTY[name]()
    assert result.reason
    ax = result.plot()
    assert ax.get_xlabel() == "nothing to draw yet"
    assert not ax.lines
    assert not ax.patches
    ax.figure.canvas.draw()


@pytest.mark.parametrize("name", FULL)
def test_a_plot_is_drawn_where_it_is_asked_to_be(name: str) -> None:
    _, ax = plt.subplots()
    assert FULL[name]().plot(ax=ax) is ax


def test_intervals_of_groups_are_drawn_and_small_groups_have_no_point() -> None:
    found = rates(("a", 40, 200), ("b", 2, 3))
    ax = found.plot()
    for row in found.rows:
        assert any(np.allclose(ends, (row.rate.low, row.rate.high)) for ends in ends_of_lines(ax))
    points = [line for line in ax.lines if line.get_marker() == "o"]
    assert [float(line.get_xdata()[0]) for line in points] == [0.2]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a (200)", "b (too few: 3)"]


def test_steps_are_bars_of_their_shares() -> None:
    found = steps(registrations())
    widths = [patch.get_width() for patch in found.plot().patches]
    assert widths == pytest.approx([1.0, 0.15, 0.15, 0.15])


def test_the_control_group_is_grey() -> None:
    assert weeks(UNTIL).plot().lines[0].get_color() == CONTROL
    assert to_rgba(panel().plot().lines[0].get_color()) == to_rgba(CONTROL)


def test_cells_of_the_triangle_carry_their_share_and_the_rest_stays_empty() -> None:
    ax = triangle(datetime(2026, 4, 2)).plot()
    assert [text.get_text() for text in ax.texts] == ["25%", "0%", "0%"]
    grid = ax.images[0].get_array()
    assert np.isnan(np.ma.filled(grid, np.nan)).sum() == 1


def test_only_what_is_randomised_is_drawn_beside_each_other() -> None:
    found = panel()
    drawn = [label.get_text() for label in found.plot().get_yticklabels()]
    assert not any("NPS" in text for text in drawn)
    assert len(drawn) == sum(
        row.basis == "randomised" and row.comparison.absolute.is_known for row in found.rows
    )


def test_reasons_stand_in_their_order() -> None:
    ax = lost([5, 3]).plot()
    assert [patch.get_width() for patch in ax.patches] == [5, 3]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["reason 0", "reason 1"]
