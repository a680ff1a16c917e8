"""Arms against the control group, by hand, and the whole of it on an invented school."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.text import Text

from crm_lab.customers import funnel_wording as wording
from crm_lab.customers.arm_panel import arm_panel, net_text
from crm_lab.customers.arms import arm_shares
from crm_lab.customers.retention import cohort_triangle, retention_by_arm
from crm_lab.errors import LedgerError
from crm_lab.language import using_language
from crm_lab.simulation.school import School, make_school, with_campaign, write_school
from crm_lab.simulation.school_histories import true_first_week
from crm_lab.stats import adjust_p_values, compare_proportions
from crm_lab.stats.net_shares import net_share_interval
from crm_lab.workbench import Workbench, open_workbench
from tests.russian import latin_words

START, END = datetime(2026, 8, 3), datetime(2026, 8, 31)
EFFECTS = {"chat": 0.08, "letter": 0.0}
SAME = 1e-9
"""The same function, called here and there."""


def counts(**changes: Any) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "variant": ["control", "chat", "letter", "rest"],
        "customers": [500, 2_000, 2_000, 100],
        "won": [10, 140, 44, 90],
    }
    return pd.DataFrame(columns | changes)


def shares(table: pd.DataFrame, until: datetime | None = END, **changes: Any) -> Any:
    given: dict[str, Any] = {
        "heading": "a campaign",
        "experiment": "x",
        "arms": ("chat", "letter"),
        "starts_at": START,
        "ends_at": END,
        "known_until": until,
        "alpha": 0.05,
    }
    return arm_shares(table, {"won": "won a deal"}, **(given | changes))


def test_arms_are_compared_with_the_control_group_and_nothing_else() -> None:
    found = shares(counts())
    expected = [
        compare_proportions(x, 2_000, 10, 500, alpha=0.05, metric="won a deal").absolute
        for x in (140, 44)
    ]
    for row, effect in zip(found.rows, expected, strict=True):
        assert row.comparison.absolute.estimate == pytest.approx(effect.estimate, abs=SAME)
        assert row.comparison.absolute.low == pytest.approx(effect.low, abs=SAME)
        assert row.basis == "randomised"
    adjusted = adjust_p_values([effect.p_value for effect in expected])
    assert [row.p_adjusted for row in found.rows] == pytest.approx(adjusted, abs=SAME)
    assert "chat differs from the control group" in found.sentence()
    assert "Cannot conclude for letter" in found.sentence()


def test_nothing_found_is_cannot_conclude() -> None:
    found = shares(counts(won=[40, 165, 160, 0]))
    assert found.sentence().startswith("Cannot conclude: nothing differs")


def test_an_open_window_says_so() -> None:
    found = shares(counts(), until=START + timedelta(days=7))
    assert not found.is_complete
    assert "The window is open until 2026-08-30" in found.sentence()


@pytest.mark.parametrize(
    ("table", "until", "reason"),
    [
        (counts(), None, wording.NO_DEALS),
        (counts().iloc[:1], END, wording.NO_MEMBERS.format(name="x")),
        (counts().iloc[1:], END, wording.NO_CONTROL.format(name="x")),
    ],
)
def test_arms_that_cannot_be_compared_say_why(
    table: pd.DataFrame, until: datetime | None, reason: str
) -> None:
    found = shares(table, until=until)
    assert found.rows == ()
    assert reason in found.sentence()
    assert found.number() == ""


def panel(scores: dict[str, list[float]], n: int = 100) -> pd.DataFrame:
    frames = []
    for variant, given in scores.items():
        padded = given + [float("nan")] * (n - len(given))
        frames.append(pd.DataFrame({"variant": variant, "score": padded}))
    return pd.concat(frames, ignore_index=True).assign(
        is_active=False,
        is_lost=False,
        unsubscribed=False,
        complained=False,
        satisfaction=float("nan"),
    )


def judged(table: pd.DataFrame, **changes: Any) -> Any:
    given: dict[str, Any] = {
        "experiment": "x",
        "arms": ("chat",),
        "starts_at": START,
        "ends_at": END,
        "known_until": END,
        "active_days": 28,
        "alpha": 0.05,
        "rng": np.random.default_rng(1),
    }
    return arm_panel(table, **(given | changes))


def test_the_score_is_of_those_who_answered_and_observational() -> None:
    table = panel({"control": [10, 9, 8, 6, 3] * 8, "chat": [10, 10, 9, 7, 6] * 8})
    found = judged(table)
    net = found.net_scores["chat"]
    assert (net.positive, net.negative, net.n) == (24, 8, 40)
    assert net == net_share_interval(24, 8, 40, alpha=0.05)
    row = found.rows[-1]
    assert row.outcome == wording.NET_SCORE
    assert row.basis == "observational"
    assert row.comparison.absolute.estimate == pytest.approx(40)
    assert {item.basis for item in found.rows[:-1]} == {"randomised"}
    answered = found.to_frame().set_index("outcome").loc["answered the survey"]
    assert answered["n_treatment"] == 100


def test_satisfaction_is_compared_as_the_company_scales_it() -> None:
    table = panel({"control": [], "chat": []}).assign(
        satisfaction=[4.0, 5.0] * 50 + [3.0, 4.0] * 50
    )
    found = judged(table)
    row = found.rows[-1]
    assert (row.outcome, row.basis) == (wording.SATISFACTION, "observational")
    assert row.treated_text == "3.50 on average of 100"
    assert row.comparison.absolute.estimate == pytest.approx(-1)
    assert row.differs
    assert row.difference_text.startswith("-1.00 (")
    assert found.net_scores == {}


def test_few_answers_give_no_score() -> None:
    assert net_text(net_share_interval(2, 0, 3, alpha=0.05)).startswith("too few answers: 3")
    assert net_text(net_share_interval(0, 0, 0, alpha=0.05)) == wording.NOBODY


def test_without_answers_or_states_their_rows_are_gone() -> None:
    found = judged(panel({"control": [], "chat": []}), with_states=False)
    named = set(found.to_frame()["outcome"])
    assert named == {"bought in the last 28 days", "unsubscribed", "complained"}
    assert math.isnan(found.rows[-1].p_adjusted)


def buyers(*rows: tuple[str, float | None, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["variant", "week", "customers"])


WEEKS = buyers(
    ("control", None, 400),
    ("chat", None, 800),
    ("control", 1, 20),
    ("chat", 1, 120),
    ("chat", 3, 40),
)


def by_week(table: pd.DataFrame, until: datetime | None, weeks: int = 8) -> Any:
    return retention_by_arm(
        table,
        experiment="x",
        arms=("chat",),
        starts_at=START,
        known_until=until,
        weeks=weeks,
        alpha=0.05,
    )


def test_everybody_drawn_counts_in_every_whole_week() -> None:
    found = by_week(WEEKS, START + timedelta(days=20, hours=23))
    assert [(row.week, row.rate.events, row.rate.n) for row in found.rows] == [
        (1, 120, 800),
        (2, 0, 800),
    ]
    assert [row.control.events for row in found.rows] == [20, 0]
    expected = compare_proportions(120, 800, 20, 400, alpha=0.05).absolute
    assert found.rows[0].comparison.absolute.low == pytest.approx(expected.low, abs=SAME)
    assert "chat in week 1" in found.sentence()
    assert "Randomised" in found.sentence()
    assert len(by_week(WEEKS, END, weeks=3).rows) == 3


@pytest.mark.parametrize(
    ("table", "until", "reason"),
    [
        (WEEKS, None, wording.NO_ORDERS),
        (WEEKS, START + timedelta(days=6), wording.NO_WEEK),
        (WEEKS.iloc[:0], END, wording.NO_MEMBERS.format(name="x")),
        (buyers(("chat", None, 800)), END, wording.NO_CONTROL.format(name="x")),
    ],
)
def test_weeks_that_cannot_be_compared_say_why(
    table: pd.DataFrame, until: datetime | None, reason: str
) -> None:
    found = by_week(table, until)
    assert found.rows == ()
    assert reason in found.sentence()


def test_a_cell_of_the_triangle_waits_for_the_last_of_its_month() -> None:
    table = pd.DataFrame(
        {
            "cohort": pd.to_datetime(["2026-01-01", "2026-01-01", "2026-02-01"]),
            "period": [None, 2, None],
            "customers": [50, 10, 40],
            "last_at": [datetime(2026, 1, 31), pd.NaT, datetime(2026, 2, 28)],
        }
    )

    def triangle(until: datetime | None) -> Any:
        return cohort_triangle(table, until=until, period_days=30, periods=6, alpha=0.05)

    found = triangle(datetime(2026, 4, 1))
    cells = [(cell.cohort, cell.period, cell.rate.events) for cell in found.cells]
    assert cells == [("2026-01", 1, 0), ("2026-01", 2, 10), ("2026-02", 1, 0)]
    assert found.card_frame()["period 2"].tolist() == ["20 %", ""]
    assert triangle(datetime(2026, 3, 1)).reason == wording.NO_COHORT.format(days=30)
    assert wording.NO_ORDERS in triangle(None).sentence()


# the whole of it, on an invented school

SETTINGS = "company: A school\ncurrency: RUB\ntimezone: UTC\n"
CONTROL_GROUP = 'name: global\nshare: 0.2\nsalt: "school"\nchannel: email\n'
EXPERIMENT = """\
name: reactivation
title: "Reactivation"
hypothesis: "An offer brings people to a deal."
owner: CRM team
channel: email
starts_on: 2026-08-03
ends_on: 2026-08-30
arms:
  chat: {share: 0.5, message: chat-1}
  letter: {share: 0.5, message: letter-1}
metrics: {primary: conversion, secondary: []}
"""


@pytest.fixture(scope="module")
def school() -> School:
    return make_school(3_000, rng=np.random.default_rng(21), days=245)


@pytest.fixture(scope="module")
def workbench(school: School, tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    folder: Path = tmp_path_factory.mktemp("school")
    (folder / "experiments").mkdir()
    (folder / "crm-lab.yml").write_text(SETTINGS, "utf-8")
    (folder / "experiments" / "control_group.yml").write_text(CONTROL_GROUP, "utf-8")
    (folder / "experiments" / "reactivation.yml").write_text(EXPERIMENT, "utf-8")
    made = open_workbench(folder)
    for pair in write_school(school.until(START), folder):
        made.import_file(*pair)
    made.control_group().draw(as_of=START - timedelta(days=1))
    made.experiment("reactivation").assign(as_of=START - timedelta(hours=1))
    drawn = made.funnels().members("reactivation")
    after = with_campaign(
        school,
        dict(zip(drawn["customer_id"], drawn["variant"], strict=True)),
        effects=EFFECTS,
        channels={"chat": "messenger", "letter": "email"},
        starts_at=START,
        ends_at=END,
        rng=np.random.default_rng(22),
    )
    for pair in write_school(after, folder, name="_later"):
        assert made.import_file(*pair).rows_rejected == 0
    return made


def test_the_planted_effects_lie_in_their_intervals(workbench: Workbench, school: School) -> None:
    found = workbench.funnels().reactivation("reactivation")
    drawn = workbench.funnels().members("reactivation")
    anyway = drawn["customer_id"].isin(school.wins_in(START, END)).groupby(drawn["variant"]).mean()
    assert found.is_complete
    for row in found.rows:
        truth = EFFECTS[row.arm] * (1 - anyway[row.arm])
        effect = row.comparison.absolute
        assert effect.low <= truth <= effect.high
    assert [row.arm for row in found.rows if row.differs] == ["chat"]


def test_the_true_shares_of_the_school_lie_in_their_intervals(workbench: Workbench) -> None:
    funnels = workbench.funnels(alpha=0.001)
    names = {"Quiz: find your course": "f-quiz", "Price list": "f-price"}
    rates = {row.group: row.rate for row in funnels.conversion_by("form").rows}
    for name, form in names.items():
        assert rates[name].low <= true_first_week(form) <= rates[name].high
    assert workbench.funnels().conversion_by("form").best == "Quiz: find your course"
    back = funnels.after_reactivation().rate
    assert back.low <= 0.5 <= back.high


def test_arms_of_different_channels_are_a_randomised_comparison(workbench: Workbench) -> None:
    found = workbench.funnels().channels_of("reactivation")
    assert found.basis == "randomised"
    assert {row.group for row in found.rows} == {"messenger", "email"}
    assert found.pair is not None
    assert found.pair.absolute.low > 0
    assert workbench.funnels().conversion_by("channel").basis == "observational"


def test_an_earlier_day_takes_back_what_came_later(workbench: Workbench) -> None:
    early = workbench.funnels(as_of=date(2026, 3, 31))
    assert early.deal_kinds().deals["deals"].sum() < 1_500
    assert early.first_week().cohorts[-1].group == "2026-03"
    late = workbench.funnels(as_of=date(2030, 1, 1)).first_week()
    assert late.until == workbench.funnels().first_week().until


CALLS: dict[str, Callable[[Any], Any]] = {
    "contents": lambda f: f.contents(),
    "steps": lambda f: f.steps(),
    "first_week": lambda f: f.first_week(),
    "forms": lambda f: f.conversion_by("form"),
    "mix": lambda f: f.form_mix(),
    "mix_of_arms": lambda f: f.form_mix(experiment="reactivation"),
    "clicks": lambda f: f.channel_responses()[0],
    "kinds": lambda f: f.deal_kinds(),
    "refusals": lambda f: f.refusals(),
    "after": lambda f: f.after_reactivation(),
    "no_arms": lambda f: f.reactivation(),
    "arms": lambda f: f.reactivation("reactivation"),
    "no_weeks": lambda f: f.retention(),
    "weeks": lambda f: f.retention("reactivation"),
    "cohorts": lambda f: f.cohorts(),
    "no_panel": lambda f: f.panel(),
    "panel": lambda f: f.panel("reactivation"),
    "channels": lambda f: f.channels_of(),
}


@pytest.mark.parametrize("call", CALLS)
def test_every_result_shows_itself_with_its_label(workbench: Workbench, call: str) -> None:
    result = CALLS[call](workbench.funnels())
    bundle = result._repr_mimebundle_()
    assert "\n" not in bundle["text/plain"]
    for unwanted in ("None", "nan", "  ", "{", "np."):
        assert unwanted not in result.sentence()
    if call != "contents" and not result.reason:
        assert "andomised" in result.sentence() or "bservational" in result.sentence()
    if call.startswith("no_"):
        assert wording.NO_EXPERIMENT in result.sentence()


NAMES = ["reactivation", "chat", "letter", "RUB", "experiment"]


def names_of(school: School) -> list[str]:
    """What people called their forms, landings and reasons: it is not translated."""
    tables = [school.forms, school.landings, school.reasons]
    return [str(text) for table in tables for text in table.to_numpy().ravel()]


@pytest.mark.parametrize("call", CALLS)
def test_in_russian_nothing_of_card_and_plot_is_left_in_english(
    workbench: Workbench, school: School, call: str
) -> None:
    with using_language("ru"):
        result = CALLS[call](workbench.funnels())
        shown = unescape(result._repr_html_())
        if result.plotter:
            axes = result.plot()
            axes.figure.canvas.draw()
            shown += " ".join(text.get_text() for text in axes.figure.findobj(Text))
            plt.close(axes.figure)
    assert latin_words(shown, allowed=[*NAMES, *names_of(school)]) == []


def test_an_experiment_that_was_never_registered_is_refused(workbench: Workbench) -> None:
    funnels = workbench.funnels()
    with pytest.raises(LedgerError, match="'other' was never registered"):
        funnels.reactivation("other")


def test_a_base_without_forms_or_deals_says_so_everywhere(finished: Workbench) -> None:
    funnels = finished.funnels()
    assert "form_submission" in funnels.contents().sentence()
    for call in ("steps", "first_week", "forms", "mix", "kinds", "refusals", "after", "cohorts"):
        result = CALLS[call](funnels)
        assert result.reason
        assert "Cannot be said" in result.sentence()
        result._repr_mimebundle_()
    assert not funnels.retention("spring-mailing").reason
