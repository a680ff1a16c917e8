"""The plot of looks at a running experiment."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

from crm_lab.plots.palette import CONTROL, PALE, TREATED
from crm_lab.plots.sequence import plot_sequence
from crm_lab.stats import Moments
from crm_lab.stats.confidence_sequences import ConfidenceSequence, Side, confidence_sequence


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def arm(n: int, mean: float) -> Moments:
    return Moments(n=n, mean=mean if n else math.nan, m2=float(max(n - 1, 0)), m3=0.0)


def judged(*sizes: int, side: Side = "both") -> ConfidenceSequence:
    looks = [(arm(19 * n, 1.1), arm(n, 1.0)) for n in sizes]
    return confidence_sequence(looks, alpha=0.05, planned_units=40_000, side=side, metric="revenue")


def test_looks_too_early_are_pale_and_no_difference_is_grey() -> None:
    ax = judged(0, 100, 1_000).plot()
    colours = [to_hex(line.get_color()) for line in ax.lines]
    assert colours == [CONTROL, PALE, PALE, TREATED[0], TREATED[0]]
    assert ax.get_title(loc="left") == "May one stop here?"
    assert ax.get_ylabel() == "difference in revenue"
    assert ax.get_xlabel().startswith("look")


def test_an_open_end_stays_on_the_page() -> None:
    ax = judged(1_000, 2_000, side="more").plot()
    ends = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in ax.lines])
    assert np.all(np.isfinite(ends))


def test_without_an_estimate_there_is_an_empty_plot() -> None:
    _, ax = plt.subplots()
    assert plot_sequence(judged(0), ax=ax) is ax
    assert len(ax.lines) == 1
