"""The league: what enters it, what it says, and what it must not say."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from scipy.stats import norm

from crm_lab.cards import TableView
from crm_lab.errors import DesignError
from crm_lab.experiments.others import OTHERS_LIMIT, OtherMarketing
from crm_lab.experiments.results import ExperimentResult
from crm_lab.language import using_language
from crm_lab.planning import league_wording as wording
from crm_lab.planning.league import LeagueTable, build_league
from crm_lab.planning.league_forecast import next_campaign, score_forecasts
from crm_lab.planning.readouts import (
    Measured,
    Readout,
    combined,
    measured_effect,
    readout_frame,
    readout_of,
)
from crm_lab.planning.unevaluated import SENT_COLUMNS, never_evaluated
from crm_lab.plots.league import plot_forecasts, plot_league
from crm_lab.stats import Effect, compare_means
from crm_lab.workbench import Workbench
from tests.experiments import shop_workbench as sw
from tests.russian import latin_words

WorkbenchAt = Callable[[str], Workbench]
START = datetime(2024, 1, 1)
ERROR = 0.04
COMBINED_TOLERANCE = 0.03
"""Of the standard error from two arms against that of one test over both: spreads differ a bit."""


def readout(
    number: int, mechanic: str, effect: float, *, error: float = ERROR, **other: object
) -> Readout:
    starts_at = START + timedelta(days=28 * number)
    given = {
        "experiment": f"e{number:03d}",
        "mechanic": mechanic,
        "channel": "email",
        "send_mode": "manual",
        "starts_at": starts_at,
        "ends_at": starts_at + timedelta(days=28),
        "customers": 9_500,
        "controls": 500,
        "control": f"e{number:03d}",
        "relative": Measured(estimate=effect, standard_error=error),
        "amount": Measured(estimate=100 * effect, standard_error=100 * error),
        "is_adjusted": True,
    }
    return Readout(**(given | other))  # type: ignore[arg-type]


def season(effects: dict[str, float], times: int, *, seed: int = 1) -> list[Readout]:
    rng = np.random.default_rng(seed)
    names = list(effects) * times
    return [
        readout(place, name, effects[name] + ERROR * rng.normal())
        for place, name in enumerate(names)
    ]


def league(readouts: list[Readout], **options: object) -> LeagueTable:
    return build_league(readouts, **({"currency": "EUR"} | options))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def analysed(finished: Workbench) -> ExperimentResult:
    return finished.experiment(sw.NAME).analyze()


def test_a_clear_winner_is_named_and_what_works_is_listed() -> None:
    table = league(season({"discount": 0.3, "reminder": 0.12, "news": 0.0}, 6))
    assert table.verdict == "best known"
    assert [row.name for row in table.rows] == ["discount", "reminder", "news"]
    assert [row.verdict for row in table.rows] == ["works", "works", "cannot tell"]
    assert table.sentence().startswith("The best is discount: +")
    assert "18 experiments with a control group, 3 mechanics" in table.sentence()


def test_alike_mechanics_have_no_certain_order() -> None:
    table = league(season({"discount": 0.1, "reminder": 0.1, "news": 0.1}, 3))
    assert table.verdict == "order not certain"
    assert table.sentence().startswith("The order is not certain")


def test_the_best_of_many_that_do_nothing_is_not_said_to_work() -> None:
    table = league(season({f"m{number}": 0.0 for number in range(25)}, 1, seed=3))
    assert table.verdict == "order not certain"
    assert all(row.verdict == "cannot tell" for row in table.rows)
    assert table.rows[0].raw > 0.05 > table.rows[0].estimate
    assert wording.NOTHING_SHOWN in table.sentence()


def test_what_costs_sales_is_said() -> None:
    table = league(season({"discount": 0.0, "spam": -0.3}, 5))
    assert [row.verdict for row in table.rows] == ["cannot tell", "costs sales"]
    assert "Shown to cost sales: spam." in table.sentence()


def test_the_raw_mean_of_single_experiments_is_the_experiment() -> None:
    table = league([readout(0, "a", 0.2), readout(1, "b", 0.0)])
    row = table.rows[0]
    z = norm.isf(0.025)
    assert row.raw == pytest.approx(math.expm1(0.2))
    assert row.raw_low == pytest.approx(math.expm1(0.2 - z * ERROR))
    amounts = league([readout(0, "a", 0.2), readout(1, "b", 0.0)], measure="amount").rows[0]
    assert (amounts.raw, amounts.raw_high) == pytest.approx((20, 20 + z * 100 * ERROR))


def test_nothing_and_one_row_say_so() -> None:
    nothing = league([], unevaluated=3)
    assert nothing.verdict == "cannot conclude"
    assert nothing.sentence().startswith("Cannot conclude")
    assert "never evaluated: 3 campaigns" in nothing.sentence()
    assert nothing.number() == ""
    one = league([readout(0, "a", 0.2)])
    assert one.sentence().startswith("Nothing to compare yet. Only a was measured")
    assert one.verdict == "nothing to compare"


def test_what_cannot_be_believed_is_left_out_with_its_reason() -> None:
    unknown = Measured(estimate=math.nan, standard_error=math.nan, reason=wording.OPEN_END)
    table = league(
        [
            readout(0, "a", 0.1),
            readout(1, "a", 0.1, reason="a check of the experiment failed (sample ratio)"),
            readout(2, "a", 0.1, relative=unknown),
            readout(3, "", 0.1),
        ]
    )
    assert table.used == 1
    assert dict(table.left_out) == {
        "e001": "a check of the experiment failed (sample ratio)",
        "e002": wording.OPEN_END,
        "e003": "it names no mechanic",
    }
    assert list(table.readouts_frame()["left out because"]) == [
        "",
        *(reason for _, reason in table.left_out),
    ]
    assert "Left out: 3 experiments" in table.sentence()
    assert league([readout(3, "", 0.1)], dimension="channel").used == 1


def test_caveats_name_shared_controls_plain_read_outs_and_windows_of_unequal_length() -> None:
    shared = [
        readout(0, "a", 0.1, control="global"),
        readout(1, "b", 0.1, control="global", is_adjusted=False),
        readout(2, "c", 0.1, ends_at=START + timedelta(days=70)),
    ]
    told = " ".join(league(shared, measure="amount").caveats())
    assert "2 of 3 experiments are measured against the same control group" in told
    assert "1 experiment could not be adjusted" in told
    assert "The windows last 14 to 28 days" in told
    assert wording.NOT_REPEATED in told
    assert "Fewer than 6 experiments" in told


@pytest.mark.parametrize(
    ("readouts", "options", "message"),
    [
        ([readout(0, "a", 0.1)] * 2, {}, "stand there twice: e000"),
        ([], {"dimension": "colour"}, "'colour' is nothing a league compares"),
        ([], {"measure": "orders"}, "'orders' is no measure"),
        ([], {"alpha": 2.0}, "alpha"),
    ],
)
def test_wrong_requests_are_refused(
    readouts: list[Readout], options: dict[str, object], message: str
) -> None:
    with pytest.raises(DesignError, match=message):
        league(readouts, **options)


def test_a_hundred_experiments_are_one_league() -> None:
    effects = {f"m{number}": 0.02 * number for number in range(10)}
    table = league(season(effects, 10))
    assert table.used == 100
    assert table.rows[0].name in ("m9", "m8")
    assert len(table.card_frame()) == 10


# From a result to a read-out


def test_the_standard_error_is_half_the_interval_over_the_normal_quantile() -> None:
    effect = Effect(
        name="absolute",
        estimate=2.0,
        low=1.0,
        high=3.0,
        p_value=0.01,
        method="m",
        alpha=0.01,
        n_treatment=10,
        n_control=10,
        treatment_value=3.0,
        control_value=1.0,
    )
    assert measured_effect(effect, "amount").standard_error == pytest.approx(1 / norm.isf(0.005))
    relative = measured_effect(effect, "relative")
    assert relative.estimate == pytest.approx(math.log(3))
    open_end = dataclasses.replace(effect, high=math.inf)
    assert measured_effect(open_end, "relative").reason == wording.OPEN_END
    unknown = dataclasses.replace(effect, estimate=math.nan, reason="the control arm is empty")
    assert measured_effect(unknown, "amount").reason == "the control arm is empty"


def test_two_arms_together_are_as_sure_as_one_test_over_both(analysed: ExperimentResult) -> None:
    found = combined(analysed.arms, "amount", is_adjusted=False)
    total = sum(arm.customers for arm in analysed.arms)
    plain = [
        next(c for c in arm.comparisons if c.metric == "revenue_per_customer").absolute
        for arm in analysed.arms
    ]
    mean = sum(
        arm.customers * effect.estimate for arm, effect in zip(analysed.arms, plain, strict=True)
    )
    assert found.estimate == pytest.approx(mean / total)
    rng = np.random.default_rng(1)
    values = [rng.normal(10, 3, size) for size in (900, 600, 300)]
    arms = tuple(
        dataclasses.replace(
            analysed.arms[0],
            arm=name,
            customers=len(arm),
            controls=300,
            comparisons=(
                compare_means(arm, values[2], alpha=0.05, rng=rng, metric="revenue_per_customer"),
            ),
        )
        for name, arm in (("a", values[0]), ("b", values[1]))
    )
    both = compare_means(
        np.concatenate(values[:2]),
        values[2],
        alpha=0.05,
        rng=rng,
        metric="revenue_per_customer",
    )
    expected = measured_effect(both.absolute, "amount")
    together = combined(arms, "amount")
    assert together.estimate == pytest.approx(expected.estimate)
    assert together.standard_error == pytest.approx(expected.standard_error, rel=COMBINED_TOLERANCE)


def test_a_read_out_carries_what_the_plan_says(analysed: ExperimentResult) -> None:
    found = readout_of(analysed, mechanic="reminder", send_mode="auto", decision="ship")
    assert (found.experiment, found.channel, found.control) == (sw.NAME, "email", "global")
    assert (found.mechanic, found.send_mode, found.decision) == ("reminder", "auto", "ship")
    assert found.is_adjusted
    assert found.why_not("relative") == ""
    assert found.days == 28


def beside_others(result: ExperimentResult, **shares: float) -> ExperimentResult:
    return dataclasses.replace(result, others=OtherMarketing(**shares))


def test_campaigns_beside_it_make_an_experiment_unusable(analysed: ExperimentResult) -> None:
    beside = readout_of(beside_others(analysed, in_window=2 * OTHERS_LIMIT))
    assert "got other campaigns in its window" in beside.why_not("relative")
    own = readout_of(beside_others(analysed, in_window=OTHERS_LIMIT / 2))
    assert own.why_not("relative") == ""


def test_after_campaigns_before_it_the_plain_difference_counts(analysed: ExperimentResult) -> None:
    adjusted = readout_of(analysed)
    plain = readout_of(beside_others(analysed, before=1.0))
    assert not plain.is_adjusted
    assert plain.amount.estimate != adjusted.amount.estimate
    assert plain.amount == combined(analysed.arms, "amount", is_adjusted=False)


def test_other_marketing_is_the_difference_of_arms_and_controls() -> None:
    counts = pd.DataFrame(
        {
            "is_control": [True, False],
            "members": [100, 400],
            "in_window": [10, 200],
            "before": [0, 400],
        }
    )
    assert OtherMarketing.of(counts) == OtherMarketing(in_window=0.4, before=1.0)
    assert OtherMarketing.of(counts.iloc[:0]) == OtherMarketing()


def test_a_broken_check_and_an_open_window_leave_it_out(analysed: ExperimentResult) -> None:
    broken = tuple(dataclasses.replace(light, tone="bad") for light in analysed.lights[:1])
    assert "a check of the experiment failed" in readout_of(
        dataclasses.replace(analysed, lights=broken)
    ).why_not("amount")
    early = dataclasses.replace(analysed, data_until=sw.STARTS_AT + timedelta(days=3))
    assert readout_of(early).why_not("amount") == wording.OPEN


# The next campaign


def test_the_next_campaign_is_foreseen_and_in_money() -> None:
    table = league(season({"discount": 0.3, "reminder": 0.12}, 6), measure="amount")
    found = next_campaign(table, "discount", customers=1_000)
    assert found.low < found.estimate < found.high
    assert found.reading_low < found.low < found.high < found.reading_high
    assert "Sent to 1,000 customers" in found.sentence()
    new = next_campaign(table, "quiz")
    assert new.experiments == 0
    assert "was never measured" in new.sentence()
    assert new.high - new.low > found.high - found.low
    nothing = next_campaign(league([]), "quiz")
    assert not nothing.is_known
    assert "cannot be foreseen" in nothing.sentence()


@pytest.mark.parametrize(("name", "customers"), [(" ", 0), ("a", -1)])
def test_the_next_campaign_needs_a_name_and_customers(name: str, customers: int) -> None:
    with pytest.raises(DesignError):
        next_campaign(league([]), name, customers=customers)


def test_forecasts_are_made_from_what_was_over_before_the_start() -> None:
    readouts = season({"discount": 0.3, "reminder": 0.1}, 3)
    score = score_forecasts(readouts, currency="EUR")
    assert list(score.rows["before"]) == list(range(2, 6))  # of one kind nothing else is foreseen
    last = score.rows.iloc[-1]
    before = league(readouts[:-1])
    expected = before.nested.expect("reminder", next_standard_error=ERROR)
    assert last["low"] == pytest.approx(math.expm1(expected.low))
    assert last["fact"] == pytest.approx(math.expm1(readouts[-1].relative.estimate))
    changed = [*readouts[:-1], readout(5, "reminder", 5.0)]
    moved = score_forecasts(changed, currency="EUR").rows.iloc[-1]
    assert moved["low"] == last["low"]
    assert not moved["inside"]
    assert score.verdict == "cannot tell"
    assert wording.SCORE_FEW in score.sentence()


def test_forecasts_that_miss_too_often_are_not_trusted() -> None:
    jumping = [readout(i, "ab"[i % 2], 0.0 if i < 6 else (-1) ** (i // 2) * 0.9) for i in range(13)]
    score = score_forecasts(jumping, currency="EUR", measure="amount")
    assert score.scored >= 10
    kept = score.inside / score.scored
    assert (score.verdict == "kept") == (score.share_high >= 0.95)
    assert score.share_low <= kept <= score.share_high
    empty = score_forecasts([], currency="EUR")
    assert empty.sentence() == wording.NO_SCORE


# What nobody evaluated


def test_campaigns_without_control_are_listed_with_how_much_was_sent() -> None:
    at = pd.Timestamp("2024-03-01")
    sent = pd.DataFrame(
        [
            ("small", "news", "sms", "auto", None, 10, 9, at, at),
            ("large", "", "email", "", False, 500, 400, at, pd.NaT),
            ("drawn", "", "email", "", True, 50, 40, at, at),
            ("read", "", "email", "", None, 70, 70, at, at),
            ("open", "", "email", "", None, 60, 60, at, at),
        ],
        columns=list(SENT_COLUMNS),
    )
    found = never_evaluated(sent, {"read": "", "open": wording.OPEN})
    assert list(found.rows["campaign"]) == ["large", "open", "drawn", "small"]
    assert found.evaluated == 1
    assert found.messages == 620
    why = dict(zip(found.rows["campaign"], found.rows["why"], strict=True))
    assert why["large"] == why["small"] == wording.NO_CONTROL
    assert why["drawn"] == wording.ELSEWHERE
    assert wording.OPEN in why["open"]
    assert "4 campaigns with 620 messages were never evaluated" in found.sentence()
    assert never_evaluated(sent.iloc[:0], {}).sentence() == wording.EVERYTHING_EVALUATED


# On a workbench


def test_the_league_of_a_workbench_reads_every_experiment(
    finished: Workbench, analysed: ExperimentResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crm_lab.handles.league.analyze", lambda *_, **__: analysed)
    league_of = finished.league()
    (found,) = league_of.readouts()
    assert found == readout_of(analysed, send_mode="manual")  # as the send list was written
    assert league_of.table().left_out == ((sw.NAME, "it names no mechanic"),)
    assert league_of.table(dimension="channel").rows[0].name == "email"
    assert league_of.table(dimension="owner").rows[0].name == "CRM team"
    assert league_of.never_evaluated().campaigns == 0
    (early,) = finished.league(as_of=sw.STARTS_AT).readouts()
    assert early.reason == wording.OPEN
    assert league_of.decisions().empty
    assert league_of.score().scored == 0
    assert league_of.expect("discount").reason


def test_the_mechanic_of_the_file_is_in_the_plan_and_in_the_league(
    workbench_at: WorkbenchAt,
) -> None:
    workbench = workbench_at("drawn")
    sw.write_experiment(workbench.settings.folder, extra="mechanic: reminder\n")
    campaign = workbench.experiment(sw.NAME)
    assert campaign.file_plan.mechanic == "reminder"
    assert campaign.file_plan.to_payload()["mechanic"] == "reminder"
    sw.write_experiment(workbench.settings.folder, extra="")
    plain = workbench.experiment(sw.NAME).file_plan
    assert "mechanic" not in plain.to_payload()
    assert type(plain).from_payload(plain.to_payload()) == plain
    assert plain.sha256 != campaign.file_plan.sha256


@pytest.mark.parametrize("measure", ["relative", "amount"])
def test_results_show_themselves(measure: str) -> None:
    table = league(season({"discount": 0.3, "reminder": 0.12}, 3), measure=measure)
    score = score_forecasts(table.readouts, measure=table.measure, currency="EUR")
    for result in (table, score, next_campaign(table, "discount")):
        assert result.sentence() in result._repr_html_().replace("&lt;", "<")
        assert result.to_dict()
        assert len(result.to_frame())
    assert len(table.evidence_frame()) == len(table.advice_frame()) == 2
    assert len(readout_frame(table.readouts, table.measure, 0.05)) == 6
    for axes in (plot_league(table), plot_forecasts(score), plot_league(league([]))):
        assert axes.get_title(loc="left").endswith("?")
        plt.close(axes.figure)
    plt.close(plot_forecasts(score_forecasts([], currency="EUR")).figure)


def test_the_top_of_the_page_is_the_first_of_the_league() -> None:
    table = league(season({"discount": 0.3, "reminder": 0.12}, 3))
    (number,) = table.headline_numbers()
    assert number.label == "discount: revenue against customers who got nothing"
    assert (table.number_label(), table.number()) == (number.label, number.text())
    assert table.subtitle() == "6 experiments, 2024-01-01 to 2024-06-16"
    assert league([]).headline_numbers() == ()
    assert league([]).subtitle() == ""


def test_what_money_shows_and_percent_does_not_is_named() -> None:
    readouts = season({"discount": 0.3, "reminder": 0.12}, 3)
    percent, money = league(readouts), league(readouts, measure="amount")
    assert percent.unlike(percent) == ""
    rows = tuple(dataclasses.replace(row, verdict="cannot tell") for row in money.rows[:1])
    assert percent.unlike(dataclasses.replace(money, rows=rows)).startswith("discount: in money")


def test_a_single_row_is_not_called_the_best() -> None:
    assert "the best with probability" not in league(season({"discount": 0.3}, 3)).card_frame()


@pytest.mark.parametrize("measure", ["relative", "amount"])
@pytest.mark.parametrize("dimension", ["mechanic", "channel", "send_mode", "owner"])
def test_a_league_is_said_in_russian(measure: str, dimension: str) -> None:
    readouts = season({"discount": 0.3, "reminder": 0.12}, 3)
    plain = readout(6, "", 0.1, is_adjusted=False, reason="")
    with using_language("ru"):
        table = league([*readouts, plain], measure=measure, dimension=dimension, unevaluated=3)
        score = score_forecasts(table.readouts, measure=table.measure, currency="EUR")
        empty = league([], dimension=dimension)
        foreseen = [next_campaign(one, "discount", customers=1_000) for one in (table, empty)]
        said = [one._repr_html_() for one in (table, empty, score, *foreseen)]
        frames = (table.evidence_frame(), table.advice_frame(), table.readouts_frame())
        said += [TableView(frame)._repr_html_() for frame in frames]
        said += [table.method(), table.subtitle(), *table.caveats()]
        axes = [plot_league(table), plot_forecasts(score), plot_league(empty)]
        said += [f"{ax.get_title(loc='left')} {ax.get_xlabel()}" for ax in axes]
    names = ("discount", "reminder", *(f"e{number:03d}" for number in range(7)))
    for text in said:
        assert latin_words(text, names) == []
    assert not any(row.verdict not in wording.VERDICTS for row in table.rows)
    for ax in axes:
        plt.close(ax.figure)


@pytest.mark.parametrize(
    ("count", "words"), [(1, "1 эксперимент"), (22, "22 эксперимента"), (12, "12 экспериментов")]
)
def test_experiments_are_counted_in_their_form(count: int, words: str) -> None:
    with using_language("ru"):
        assert wording.experiments_text(count) == words


def test_a_wrong_request_is_refused_in_russian() -> None:
    with using_language("ru"), pytest.raises(DesignError) as problem:
        league([], dimension="colour")
    assert str(problem.value) == (
        "«colour» сравнивать нельзя. Ожидалось: одно из: mechanic, channel, send_mode, owner."
    )
