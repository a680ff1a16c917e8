"""Figures of predicted value: what is drawn, in which colours, and that nothing is no fault."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

from crm_lab.ltv.cohorts import GroupValue, GroupValues
from crm_lab.ltv.contrast import ContrastPart, LifetimeContrast
from crm_lab.ltv.rolling import Origin, RollingOrigin
from crm_lab.ltv.tiers import Tier, ValueTiers
from crm_lab.plots.lifetime_value import plot_probabilities, plot_rolling
from crm_lab.plots.palette import CONTROL, TREATED


def origin(error: float, reason: str = "") -> Origin:
    day = date(2026, 1, 1)
    expected = 100 * (1 + error)
    return Origin(
        origin=day,
        until=day + timedelta(days=91),
        n_customers=1_000,
        n_repeaters=500,
        history_days=365,
        expected=expected,
        low=expected - 5,
        high=expected + 5,
        actual=100,
        expected_value=10 * expected,
        value_low=9 * expected,
        value_high=11 * expected,
        actual_value=1_000.0,
        relative_error=error,
        baseline_errors=(("last_period", 0.2),),
        mean_absolute_error=0.5,
        baseline_absolute_errors=(("last_period", 0.6),),
        reason=reason,
    )


@pytest.fixture
def rolling() -> RollingOrigin:
    share = np.linspace(0.1, 0.9, 3)
    return RollingOrigin(
        origins=(origin(-0.15), origin(0.02), origin(0.0, reason="no fit")),
        horizon_days=91,
        probabilities=pd.DataFrame(
            {
                "tenth": [1, 2, 3],
                "customers": [10, 10, 10],
                "probability_alive": share,
                "expected": share,
                "actual": share,
                "low": share - 0.05,
                "high": share + 0.05,
            }
        ),
        tiers=pd.DataFrame(),
        model="bg_nbd",
        unit_days=7.0,
        alpha=0.05,
        currency="EUR",
        reason="",
        method="",
    )


def row(group: str, cost: float = math.nan) -> GroupValue:
    return GroupValue(
        group=group,
        customers=30,
        past_value=5.0,
        expected_value=5.0,
        lifetime_value=10.0,
        low=8.0,
        high=12.0,
        shrunken=9.5,
        shrunken_low=8.0,
        shrunken_high=11.0,
        cost=cost,
        payback_months=math.nan,
        pays_back="not known",
        reason="",
    )


def test_tests_of_the_past_show_the_misses(rolling: RollingOrigin) -> None:
    ax = rolling.plot()
    assert [text.get_text() for text in ax.texts] == ["-15 %", "+2 %"]
    assert ax.get_ylabel() == "orders in 91 days"
    assert ax.get_ylim()[0] == 0
    assert ax.get_title(loc="left").endswith("?")


def test_probabilities_lie_beside_the_grey_diagonal(rolling: RollingOrigin) -> None:
    ax = plot_probabilities(rolling)
    assert to_hex(ax.lines[0].get_color()) == CONTROL
    assert ax.get_xlabel() == "predicted probability"


def test_nothing_tested_is_said(rolling: RollingOrigin) -> None:
    empty = replace(rolling, origins=(), probabilities=pd.DataFrame())
    _, ax = plt.subplots()
    assert plot_rolling(empty, ax=ax) is ax
    assert ax.texts[0].get_text() == "nothing to draw"
    assert plot_probabilities(empty).texts[0].get_text() == "nothing to draw"


def test_tiers_carry_shares() -> None:
    tier = Tier(
        tier="best 5 %",
        customers=5,
        expected=90.0,
        share=0.9,
        mean=18.0,
        share_ordering=0.8,
        at_risk=1,
    )
    tiers = ValueTiers(
        tiers=(tier, replace(tier, tier="last 95 %", share=0.1)),
        members=pd.DataFrame(),
        by_value=True,
        horizon="26 weeks",
        currency="EUR",
        reason="",
    )
    ax = tiers.plot()
    assert [text.get_text() for text in ax.texts] == [" 90 %", " 10 %"]
    assert "26 weeks (%)" in ax.get_xlabel()
    nothing = replace(tiers, tiers=(), reason="it collapsed").plot()
    assert nothing.texts[0].get_text() == "nothing to draw"


def test_groups_show_their_cost() -> None:
    groups = GroupValues(
        rows=(row("web", cost=7.0), row("store")),
        by="channel",
        horizon="26 weeks",
        differ=False,
        heterogeneity_p=0.5,
        currency="EUR",
        value_kind="revenue",
        alpha=0.05,
        reason="",
        method="",
    )
    ax = groups.plot()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["web (30)", "store (30)"]
    marks = [line for line in ax.lines if line.get_marker() == "|"]
    assert [np.asarray(line.get_xdata()).tolist() for line in marks] == [[7.0]]
    assert replace(groups, rows=(), reason="none").plot().texts[0].get_text() == "nothing to draw"


def test_a_contrast_stands_on_grey_nothing() -> None:
    part = ContrastPart(
        part="so far",
        evidence="randomised, measured, no model",
        treatment=5.0,
        control=4.0,
        difference=1.0,
        standard_error=0.2,
        low=0.6,
        high=1.4,
    )
    contrast = LifetimeContrast(
        parts=(part, replace(part, part="ahead", low=math.nan, high=math.nan)),
        treatment="mail",
        control="control",
        n_treatment=100,
        n_control=100,
        starts_on=date(2026, 1, 1),
        as_of=date(2026, 3, 1),
        periods=26.0,
        unit_days=7.0,
        models={},
        currency="EUR",
        value_kind="revenue",
        alpha=0.05,
        refits=50,
        refits_failed=0,
    )
    ax = contrast.plot()
    colours = [to_hex(line.get_color()) for line in ax.lines]
    assert colours == [CONTROL, TREATED[0], TREATED[0]]
    assert "EUR per customer" in ax.get_xlabel()
