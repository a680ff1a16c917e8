"""Funnels counted by hand: windows, censoring, small groups, what may be called best."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from crm_lab.customers import funnel_wording as wording
from crm_lab.customers.deals import after_reactivation, deal_kinds, refusals
from crm_lab.customers.form_mix import form_mix
from crm_lab.customers.funnels import (
    FunnelContents,
    channel_responses,
    conversion_by,
    first_week,
    funnel_steps,
)
from crm_lab.customers.rates import MIN_UNITS, group_rates, share_text
from crm_lab.errors import DesignError
from crm_lab.stats import compare_proportions, proportion_interval

CAME = datetime(2026, 3, 1, 12)
UNTIL = datetime(2026, 4, 30)
WEEK = timedelta(days=7)
SAME = 1e-9
"""Two implementations of one closed form."""


def registrations(*rows: dict[str, Any]) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "customer_id": "c",
        "form": "quiz",
        "landing": "site",
        "channel": "email",
        "registered_at": CAME,
        "contacted_at": None,
        "opened_at": None,
        "won_at": None,
        "won_undated": False,
    }
    frame = pd.DataFrame([columns | row for row in rows], columns=list(columns))
    moments = [name for name in frame if name.endswith("_at")]
    return frame.astype(dict.fromkeys(moments, "datetime64[us]"))


def many(n: int, won: int, **same: Any) -> list[dict[str, Any]]:
    return [same | ({"won_at": CAME + timedelta(days=2)} if k < won else {}) for k in range(n)]


def week_of(frame: pd.DataFrame, until: datetime | None = UNTIL, zone: str = "UTC") -> Any:
    return first_week(frame, until=until, zone=zone, alpha=0.05)


# the first week


def test_seven_times_24_hours_are_in_and_a_second_more_is_out() -> None:
    frame = registrations({"won_at": CAME + WEEK}, {"won_at": CAME + WEEK + timedelta(seconds=1)})
    assert (week_of(frame).overall.events, week_of(frame).overall.n) == (1, 2)


def test_a_registration_is_counted_from_the_moment_its_week_is_over() -> None:
    frame = registrations({}, {"registered_at": CAME + timedelta(seconds=1)})
    found = week_of(frame, until=CAME + WEEK)
    assert found.overall.n == 1
    assert found.left_out["registered less than 7 days before the end of the data"] == 1
    assert "Not counted: 1 registered less than 7 days" in found.sentence()


def test_a_young_registration_that_was_won_is_left_out_too() -> None:
    """Counting the young only when they are won would overstate the share."""
    young = {"registered_at": UNTIL - timedelta(days=2), "won_at": UNTIL - timedelta(days=1)}
    found = week_of(registrations(young, {}))
    assert (found.overall.events, found.overall.n) == (0, 1)


def test_a_deal_won_at_an_unknown_time_leaves_its_customer_out() -> None:
    frame = registrations(
        {"won_undated": True}, {"won_undated": True, "won_at": CAME + timedelta(days=1)}, {}
    )
    found = week_of(frame)
    assert (found.overall.events, found.overall.n) == (1, 2)
    assert found.left_out[wording.LEFT_UNDATED] == 1


def test_months_are_those_of_the_zone() -> None:
    late = datetime(2026, 2, 28, 22, 30)
    frame = registrations({"registered_at": late})
    assert [row.group for row in week_of(frame).cohorts] == ["2026-02"]
    assert [row.group for row in week_of(frame, zone="Europe/Moscow").cohorts] == ["2026-03"]


def test_the_share_has_a_wilson_interval() -> None:
    found = week_of(registrations(*many(80, 12)))
    low, high = proportion_confint(12, 80, method="wilson")
    assert (found.overall.low, found.overall.high) == pytest.approx((low, high), abs=SAME)
    assert found.number() == "15 % (9 to 24 %)"
    assert found.number_label().endswith("share of registrations")


@pytest.mark.parametrize(
    ("frame", "until", "reason"),
    [
        (registrations(), UNTIL, wording.NO_FORMS),
        (registrations({}), None, wording.NO_DEALS),
        (registrations({}), CAME, wording.NO_PERIOD.format(days=7)),
    ],
)
def test_what_cannot_be_computed_says_why_and_gives_no_number(
    frame: pd.DataFrame, until: datetime | None, reason: str
) -> None:
    found = week_of(frame, until=until)
    assert found.reason == reason
    assert math.isnan(found.overall.estimate)
    assert found.number() == ""
    assert reason in found.sentence()
    assert "0 %" not in found.sentence()


# steps


def test_steps_count_only_what_happened_in_time() -> None:
    day = timedelta(days=1)
    frame = registrations(
        {"contacted_at": CAME, "opened_at": CAME + day, "won_at": CAME + 2 * day},
        {"contacted_at": CAME + 31 * day, "opened_at": CAME + 2 * day},
        {"contacted_at": CAME + 3 * day},
        {},
    )
    found = funnel_steps(frame, until=UNTIL, days=30, alpha=0.05)
    counted = [(s.of_all.events, s.of_previous.events, s.of_previous.n) for s in found.steps]
    assert counted == [(4, 4, 4), (2, 2, 4), (2, 1, 2), (1, 1, 2)]
    assert found.card_frame()["of all registered"].iloc[0] == wording.EVERYBODY


def test_steps_without_deals_are_not_zero() -> None:
    found = funnel_steps(registrations({}), until=None, days=30, alpha=0.05)
    assert wording.NO_DEALS in found.sentence()
    assert all(math.isnan(step.of_all.estimate) for step in found.steps)


# groups


def test_two_of_three_are_not_sixty_seven_percent() -> None:
    text = share_text(proportion_interval(2, 3, alpha=0.05))
    assert text == "too few to say: 2 of 3, between 21 and 94 %"
    assert "67" not in text


def test_a_small_group_with_the_largest_share_is_not_named() -> None:
    frame = registrations(
        *many(3, 3, form="partner"), *many(400, 60, form="quiz"), *many(400, 20, form="price")
    )
    found = conversion_by(frame, "form", until=UNTIL, alpha=0.05)
    assert found.best == "quiz"
    assert [row.group for row in found.rows] == ["quiz", "price", "partner"]
    assert "Not compared, having fewer than 30: partner" in found.sentence()
    assert "Observational" in found.sentence()


def test_the_top_form_is_not_named_best_when_the_second_is_near() -> None:
    frame = registrations(
        *many(400, 60, form="quiz"), *many(400, 55, form="trial"), *many(400, 10, form="price")
    )
    found = conversion_by(frame, "form", until=UNTIL, alpha=0.05)
    assert found.best == ""
    assert "the data do not tell it apart from trial: none can be named best" in found.sentence()


def test_messenger_stands_against_email_with_its_interval() -> None:
    frame = registrations(*many(300, 60, channel="messenger"), *many(500, 50, channel="email"))
    found = conversion_by(frame, "channel", until=UNTIL, alpha=0.05)
    expected = compare_proportions(60, 300, 50, 500, alpha=0.05).absolute
    assert found.pair is not None
    effect = found.pair.absolute
    assert (effect.estimate, effect.low, effect.high) == pytest.approx(
        (expected.estimate, expected.low, expected.high), abs=SAME
    )
    assert found.basis == "observational"
    assert found.number().startswith("+10 points")
    assert found.number_label() == "Difference"


def test_a_channel_of_too_few_is_not_compared() -> None:
    frame = registrations(*many(5, 4, channel="messenger"), *many(500, 50, channel="email"))
    found = conversion_by(frame, "channel", until=UNTIL, alpha=0.05)
    assert found.pair is None
    assert found.number() == ""
    assert "only one group of at least 30" in found.sentence()


def test_registrations_without_a_channel_stand_under_not_known() -> None:
    found = conversion_by(registrations({"channel": None}), "channel", until=UNTIL, alpha=0.05)
    assert [row.group for row in found.rows] == [wording.UNKNOWN_GROUP]
    assert "No group has the 30 registrations" in found.sentence()


def test_a_group_may_not_stand_twice() -> None:
    counts = pd.DataFrame({"group": ["a", "a"], "n": 5, "events": 1})
    with pytest.raises(DesignError, match="a group stands there twice"):
        group_rates(counts, subject="x", event="y", unit="z", alpha=0.05, until=None)


@pytest.mark.parametrize("n", [MIN_UNITS - 1, MIN_UNITS])
def test_the_limit_of_too_few(n: int) -> None:
    assert share_text(proportion_interval(5, n, alpha=0.05)).startswith("too few") is (
        n < MIN_UNITS
    )


def test_responses_name_who_is_too_young() -> None:
    counts = pd.DataFrame(
        {
            "channel": ["email", "messenger"],
            "customers": [200, 100],
            "clicked": [20, 30],
            "bought": [4, 5],
            "too_young": [3, 2],
        }
    )
    clicks, purchases = channel_responses(counts, until=UNTIL, days=7, alpha=0.05)
    assert clicks.pair is not None
    assert clicks.pair.absolute.estimate == pytest.approx(0.2)
    assert "5 were first written to less than 7 days" in purchases.sentence()
    assert purchases.rows[0].rate.events == 5


def test_forms_of_each_group_add_up_to_it() -> None:
    frame = registrations(
        *({"customer_id": f"a{k}", "form": "quiz" if k < 30 else "price"} for k in range(40))
    )
    groups = pd.DataFrame(
        {
            "customer_id": [f"a{k}" for k in range(44)],
            "variant": ["mail"] * 35 + ["control"] * 9,
        }
    )
    found = form_mix(frame, groups=groups, alpha=0.05)
    table = found.to_frame()
    assert table.groupby("group")["customers"].sum().to_dict() == {"mail": 35, "control": 9}
    lost = table[(table["group"] == "control") & (table["form"] == wording.UNKNOWN_GROUP)]
    assert lost["customers"].tolist() == [4]
    assert "mail: most through quiz" in found.sentence()
    assert "too few to say" in found.sentence()


# deals


def reasons(**changes: Any) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "code": ["price", "time", None],
        "reason": ["Too expensive", "No time", None],
        "recoverable": [True, False, None],
        "scenario": ["Offer instalments", None, None],
        "deals": [60, 30, 10],
        "amount": [600.0, 300.0, float("nan")],
    }
    return pd.DataFrame(columns | changes)


def losses(*groups: tuple[str, int, int]) -> pd.DataFrame:
    rows = [
        {"code": code, "lost_at": CAME, "won_at": CAME + WEEK if k < back else None}
        for code, n, back in groups
        for k in range(n)
    ]
    frame = pd.DataFrame(rows, columns=["code", "lost_at", "won_at"])
    return frame.astype({"lost_at": "datetime64[us]", "won_at": "datetime64[us]"})


def refused(found: pd.DataFrame, came_back: pd.DataFrame, until: datetime | None = UNTIL) -> Any:
    return refusals(found, came_back, until=until, days=30, currency="RUB", alpha=0.05)


def test_reasons_are_ranked_and_add_up_to_all() -> None:
    found = refused(reasons(), losses(("price", 50, 20), ("time", 40, 2)))
    assert [row.share for row in found.rows] == pytest.approx([0.6, 0.3, 0.1])
    assert [row.cumulative for row in found.rows] == pytest.approx([0.6, 0.9, 1.0])
    assert found.rows[2].reason == wording.NO_REASON_GIVEN
    assert found.rows[2].returned.n == 0
    assert found.returned.best == "Too expensive"
    assert "the 2 most frequent of 3 reasons make up 90 % of them" in found.sentence()
    assert found.card_frame()["what to do"].tolist() == [
        "Offer instalments",
        "(cannot be won back)",
        "",
    ]


def test_a_loss_without_a_date_or_too_young_is_left_out() -> None:
    came_back = losses(("price", 3, 1))
    came_back.loc[0, "lost_at"] = pd.NaT
    came_back.loc[1, "lost_at"] = UNTIL - timedelta(days=3)
    found = refused(reasons(), came_back)
    assert found.returned.overall.n == 1
    assert list(found.returned.left_out.values()) == [1, 0, 1]


def test_two_codes_of_one_name_are_told_apart() -> None:
    table = reasons(reason=["Too expensive", "Too expensive", "Other"])
    found = refused(table, losses(("price", 3, 1), ("time", 4, 0)))
    assert [row.reason for row in found.rows][:2] == [
        "Too expensive (price)",
        "Too expensive (time)",
    ]
    assert [row.returned.n for row in found.rows] == [3, 4, 0]


@pytest.mark.parametrize(("until", "reason"), [(None, wording.NO_DEALS), (UNTIL, wording.NO_LOST)])
def test_without_lost_deals_there_is_no_ranking(until: datetime | None, reason: str) -> None:
    found = refused(reasons().iloc[:0], losses(), until=until)
    assert found.rows == ()
    assert reason in found.sentence()


def test_new_and_repeat_deals() -> None:
    table = pd.DataFrame(
        {
            "kind": ["new", "repeat"],
            "deals": [50, 60],
            "won": [20, 30],
            "lost": [20, 20],
            "open": [10, 10],
            "amount_won": [100.0, 300.0],
        }
    )
    firsts = pd.DataFrame(
        {
            "kind": ["new"] * 40 + ["repeat"] * 35,
            "opened_at": CAME,
            "won_at": [CAME + WEEK] * 10 + [None] * 30 + [CAME + WEEK] * 20 + [None] * 15,
            "won_undated": False,
        }
    ).astype({"won_at": "datetime64[us]"})
    found = deal_kinds(table, firsts, until=UNTIL, days=30, currency="RUB", alpha=0.05)
    assert {row.group: (row.rate.events, row.rate.n) for row in found.rates.rows} == {
        "new": (10, 40),
        "repeat": (20, 35),
    }
    assert "50 new, of them 20 won, 20 lost, 10 open" in found.sentence()
    empty = deal_kinds(
        table.iloc[:0], firsts.iloc[:0], until=None, days=30, currency="RUB", alpha=0.05
    )
    assert wording.NO_DEALS in empty.sentence()


def test_after_the_return_only_whole_windows_count() -> None:
    frame = pd.DataFrame(
        {
            "reactivated_at": [CAME, CAME, UNTIL - timedelta(days=1)],
            "won_at": [CAME + timedelta(days=30), CAME + timedelta(days=31), UNTIL],
        }
    )
    found = after_reactivation(frame, until=UNTIL, days=30, alpha=0.05)
    assert (found.rate.events, found.rate.n) == (1, 2)
    assert "1 returned less than 30 days" in found.sentence()
    assert "Observational" in found.sentence()
    nobody = after_reactivation(frame.iloc[:0], until=UNTIL, days=30, alpha=0.05)
    assert wording.NO_STATES in nobody.sentence()
    assert nobody.number() == ""


def test_contents_name_what_is_missing() -> None:
    rows = {table: 5 for table, _ in wording.NEEDS}
    assert FunnelContents(rows=rows, until={}).sentence() == wording.ALL_THERE
    without = FunnelContents(rows=rows | {"deal": 0, "form": 0}, until={})
    assert "Missing: form, deal." in without.sentence()
    assert without.card_frame()["missing table"].tolist() == ["form", "deal"]
