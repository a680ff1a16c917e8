"""Plots of targeting: control grey, intervals drawn, what is not known said."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

from crm_lab.plots.palette import CONTROL, TREATED
from crm_lab.plots.uplift import plot_verdict
from crm_lab.uplift.allocation import Option, allocate
from crm_lab.uplift.arm_effects import ArmTrial, arm_effects
from crm_lab.uplift.cross_fitting import cross_fit_all, make_folds
from crm_lab.uplift.drift import Reference, drift
from crm_lab.uplift.features import Features
from crm_lab.uplift.league import league
from crm_lab.uplift.learners import ResponseModel, TLearner
from crm_lab.uplift.policy import Economics
from crm_lab.uplift.segment_effects import segment_effects
from crm_lab.uplift.trial import Trial
from crm_lab.uplift.verdict import judge

N = 1_000
AT = datetime(2024, 5, 1)
MONEY = Economics(contact_cost=1.0, currency="EUR")
OPTIONS = {"alpha": 0.05, "permutations": 200}


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def a_trial() -> tuple[Trial, pd.DataFrame]:
    chance = rng()
    helps, arm = chance.random(N) < 0.5, chance.random(N) < 0.5
    y = chance.gamma(2.0, 2.0, N) + 3.0 * (helps & arm)
    trial = Trial(outcome=y, is_treated=arm, probability=0.5, metric="spend", treatment="mail")
    return trial, pd.DataFrame({"helps": helps, "noise": chance.normal(size=N)})


def test_the_verdict_with_nobody_in_grey() -> None:
    trial, frame = a_trial()
    ax = judge(trial, frame["helps"], economics=MONEY, rng=rng(), **OPTIONS).plot()
    assert to_hex(ax.lines[0].get_color()) == CONTROL
    assert to_hex(ax.lines[-1].get_color()) == CONTROL
    assert [to_hex(line.get_color()) for line in ax.lines[1:5:2]] == list(TREATED[:2])
    assert ax.get_xlabel() == "profit beside contacting nobody (EUR)"
    assert [label.get_text().split("\n")[0] for label in ax.get_yticklabels()] == [
        "those chosen",
        "everyone",
        "nobody",
    ]


def test_a_verdict_without_a_number_says_so() -> None:
    trial = Trial(outcome=np.zeros(100), is_treated=np.arange(100) < 50, probability=0.5)
    _, ax = plt.subplots()
    found = judge(trial, np.arange(100) % 2, economics=MONEY, rng=rng(), **OPTIONS)
    assert plot_verdict(found, ax=ax) is ax
    assert [text.get_text().strip() for text in ax.texts] == ["no estimate"] * 2


def test_the_league_models_in_blue_and_plain_rankings_in_orange() -> None:
    trial, frame = a_trial()
    chance = rng()
    fitted = cross_fit_all(
        [TLearner(), ResponseModel()],
        Features.of(frame, known_at=AT),
        trial,
        folds=make_folds(trial, rng=chance, folds=2, repeats=1),
        rng=chance,
        drawn_at=AT,
    )
    ax = league(fitted, trial, rng=chance, **OPTIONS).plot()
    names = [label.get_text() for label in ax.get_yticklabels()]
    markers = [to_hex(line.get_markeredgecolor()) for line in ax.lines if line.get_marker() == "o"]
    expected = {"T, linear (spend)": TREATED[0], "response, linear (spend)": TREATED[1]}
    assert dict(zip(names, markers, strict=True)) == expected


def test_segments_and_arms_show_what_a_contact_costs() -> None:
    trial, frame = a_trial()
    features = Features.of(frame, known_at=AT)
    ax = segment_effects(features, trial, economics=MONEY, rng=rng(), **OPTIONS).plot()
    assert "black mark: what it costs (EUR)" in ax.get_xlabel()
    assert ax.get_yticklabels()[0].get_text().startswith("helps:")
    one = ArmTrial(trial=trial, segments=frame["helps"].astype(str), economics=MONEY)
    ax = arm_effects({"mail": one, "call": one}, rng=rng(), **OPTIONS).plot()
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["mail", "call"]


def test_drift_and_allocation() -> None:
    frame = pd.DataFrame({"spend": rng().lognormal(0, 1, N)})
    kept = Reference.of(frame, frame["spend"])
    ax = drift(kept, frame * 3.0, frame["spend"] * 3.0).plot()
    assert to_hex(ax.patches[0].get_facecolor()) == TREATED[1]
    dealt = allocate([[3.0], [1.0]], [Option(name="mail", cost=0.5)], budget=0.5, currency="EUR")
    ax = dealt.plot()
    assert ax.get_title(loc="left").endswith("Contacts: mail 1")
    assert to_hex(ax.patches[0].get_facecolor()) == CONTROL
