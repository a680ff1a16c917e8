"""Plots of the base, of looks and of waiting times in Russian."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.text import Text

from crm_lab.customers import describe_base
from crm_lab.language import using_language
from crm_lab.stats import Moments, compare_survival, confidence_sequence
from tests.russian import latin_words


@pytest.fixture(autouse=True)
def _figures_closed() -> Iterator[None]:
    yield
    plt.close("all")


def texts(ax: Axes) -> list[str]:
    """Everything that is written on the figure, once it is drawn."""
    ax.figure.canvas.draw()
    return [text.get_text().replace("\u00a0", " ") for text in ax.figure.findobj(Text)]


def test_looks() -> None:
    rng = np.random.default_rng(1)
    looks = [
        (Moments.from_array(rng.gamma(2, 6_000, n)), Moments.from_array(rng.gamma(2, 5_000, n)))
        for n in (300, 900)
    ]
    with using_language("ru"):
        ax = confidence_sequence(looks, alpha=0.05, planned_units=4_000, metric="revenue").plot()
        shown = texts(ax)
    assert ax.get_title(loc="left") == "Можно ли остановиться?"
    assert ax.get_ylabel() == "разница: выручка"
    assert latin_words(" ".join(shown)) == []


def test_waiting_times() -> None:
    rng = np.random.default_rng(1)
    times, came = rng.exponential(20.0, 1_200), rng.random(1_200) < 0.7
    with using_language("ru"):
        result = compare_survival(
            *(times, came, times * 1.3, came),
            horizon=30,
            alpha=0.05,
            rng=rng,
            permutations=199,
            metric="event",
        )
        shown = texts(result.plot())
    assert "контрольная группа (1 200)" in shown
    assert "доля с событием, % (полоса: 95 % интервал)" in shown
    assert latin_words(" ".join(shown)) == []


def test_months_of_the_base() -> None:
    months = pd.date_range("2025-01-01", periods=3, freq="MS")
    monthly = pd.DataFrame({"month": months, "orders": 9, "buyers": [1_500, 1_600, 1_700]})
    totals = dict.fromkeys(
        ("customers", "orders", "customers_with_orders", "orders_without_revenue"), 9
    )
    with using_language("ru"):
        base = describe_base(
            company="Школа",
            currency="RUB",
            totals={
                **totals,
                "orders_with_cost": 0,
                "revenue": 1.0,
                "revenue_known_customer": 1.0,
                "first_order_at": None,
                "last_order_at": None,
            },
            monthly=monthly.assign(new_buyers=5, revenue=[40_000.0, 250_000.0, 120_000.0]),
            reach={},
            obstacles={},
            repeaters=0,
            chosen_campaigns=pd.DataFrame(),
            imports=pd.DataFrame(),
            snapshot="1",
        )
        shown = texts(base.plot())
    assert {"янв.\n2025", "март\n2025", "200 000", "новые покупатели"} <= set(shown)
    assert latin_words(" ".join(shown), allowed=["RUB"]) == []
