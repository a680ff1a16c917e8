"""The invented school has the truth that it promises."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crm_lab.errors import DesignError
from crm_lab.gateway.schema import TABLES as GATEWAY_TABLES
from crm_lab.simulation.school import TABLES, School, make_school, with_campaign, write_school
from crm_lab.simulation.school_histories import (
    CHANNELS,
    FORMS,
    REASONS,
    WINS_AFTER_RETURN,
    true_first_week,
)

STANDARD_ERRORS = 4
"""Fixed seeds: a deviation of more than four standard errors is an error, not chance."""
STARTS_AT, DAYS = datetime(2026, 1, 5), 400
OLD = 200
"""Days that a registration has had when everything of its first deal must have happened."""


@pytest.fixture(scope="module")
def school() -> School:
    return make_school(20_000, rng=np.random.default_rng(3), starts_at=STARTS_AT, days=DAYS)


def close(found: pd.Series, truth: float) -> bool:
    error = math.sqrt(truth * (1 - truth) / len(found))
    return bool(abs(found.mean() - truth) <= STANDARD_ERRORS * error)


def old_registrations(school: School) -> pd.DataFrame:
    came = school.registrations
    return came[came["at"] < STARTS_AT + timedelta(days=DAYS - OLD)]


def test_shares_add_up_and_channels_average_to_one() -> None:
    assert sum(item[2] for item in FORMS.values()) == pytest.approx(1)
    assert sum(item[3] for item in REASONS.values()) == pytest.approx(1)
    assert sum(share * factor for share, factor in CHANNELS.values()) == pytest.approx(1)


def test_first_weeks_have_the_chance_of_form_and_channel(school: School) -> None:
    came = old_registrations(school)
    won = school.deals[school.deals["status"] == "won"].groupby("customer_id")["closed_at"].min()
    in_week = came["customer_id"].map(won) <= came["at"] + timedelta(days=7)
    for form in FORMS:
        assert close(in_week[came["form_id"] == form], true_first_week(form))
        for channel in CHANNELS:
            chosen = (came["form_id"] == form) & (came["channel"] == channel)
            assert close(in_week[chosen], true_first_week(form, channel))


def test_lost_customers_come_back_with_the_chance_of_their_reason(school: School) -> None:
    lost = school.deals[school.deals["status"] == "lost"].set_index("customer_id")
    lost = lost[lost["closed_at"] < STARTS_AT + timedelta(days=DAYS - 90)]
    won = school.deals[school.deals["status"] == "won"].groupby("customer_id")["closed_at"].min()
    again = pd.Series(lost.index.map(won), index=lost.index)
    in_time = (again > lost["closed_at"]) & (again <= lost["closed_at"] + timedelta(days=90))
    for reason, (_, _, _, _, chance) in REASONS.items():
        assert close(in_time[lost["refusal_reason_code"] == reason], chance)


def test_half_of_the_returned_win_within_thirty_days(school: School) -> None:
    back = school.states[school.states["state"] == "reactivated"]
    back = back[back["valid_from"] < STARTS_AT + timedelta(days=DAYS - 30)]
    won = school.deals[school.deals["status"] == "won"].groupby("customer_id")["closed_at"].min()
    in_time = back["customer_id"].map(won) <= back["valid_from"] + timedelta(days=30)
    assert close(in_time, WINS_AFTER_RETURN)


def test_what_was_known_before_a_moment_has_nothing_from_later(school: School) -> None:
    moment = STARTS_AT + timedelta(days=90)
    before = school.until(moment)
    assert (before.deals["opened_at"] < moment).all()
    assert not (before.deals["closed_at"] >= moment).any()
    closed = before.deals["closed_at"].notna()
    assert (before.deals["status"] == np.where(closed, before.deals["status"], "open")).all()
    ordered = before.deals["order_id"].dropna()
    assert ordered.isin(before.orders["order_id"]).all()
    assert set(before.addresses["customer_id"]) == set(before.customers["customer_id"])


def test_a_campaign_adds_wins_with_the_chance_of_the_arm(school: School) -> None:
    starts_at, ends_at = datetime(2026, 9, 1), datetime(2026, 9, 29)
    names = school.until(starts_at).customers["customer_id"]
    arms = {
        name: ("control", "chat", "letter")[place % 3] for place, name in enumerate(sorted(names))
    }
    after = with_campaign(
        school,
        arms,
        effects={"chat": 0.1, "letter": 0.0},
        channels={"chat": "messenger", "letter": "email"},
        starts_at=starts_at,
        ends_at=ends_at,
        rng=np.random.default_rng(4),
    )
    anyway, wins = school.wins_in(starts_at, ends_at), after.wins_in(starts_at, ends_at)
    added = wins - anyway
    assert anyway <= wins
    assert {arms[name] for name in added} == {"chat"}
    free = [name for name, arm in arms.items() if arm == "chat" and name not in anyway]
    assert close(pd.Series([name in added for name in free]), 0.1)
    written = after.sends[after.sends["campaign_id"] == "reactivation"]
    assert not written["customer_id"].map(arms).eq("control").any()
    assert (
        written["channel"] == written["variant"].map({"chat": "messenger", "letter": "email"})
    ).all()


def test_an_arm_without_an_effect_is_refused(school: School) -> None:
    window = {"starts_at": STARTS_AT, "ends_at": STARTS_AT + timedelta(days=28)}
    with pytest.raises(DesignError, match="arms without an effect or a channel: chat"):
        with_campaign(
            school,
            {"s000001": "chat"},
            effects={},
            channels={},
            rng=np.random.default_rng(1),
            **window,
        )


def test_nobody_is_no_school() -> None:
    with pytest.raises(DesignError, match="0 people over 10 days"):
        make_school(0, rng=np.random.default_rng(1), days=10)


def test_the_same_seed_gives_the_same_school() -> None:
    first, second = (make_school(50, rng=np.random.default_rng(9)) for _ in range(2))
    for kind in TABLES:
        pd.testing.assert_frame_equal(getattr(first, kind), getattr(second, kind))


def test_files_stand_in_import_order_and_name_columns_of_their_table(tmp_path: Path) -> None:
    pairs = write_school(make_school(300, rng=np.random.default_rng(2)), tmp_path)
    order = [path.stem.removeprefix("school_") for path, _ in pairs]
    assert order == [kind for kind in TABLES if kind in order]
    for map_path, file in pairs:
        table = GATEWAY_TABLES[TABLES[map_path.stem.removeprefix("school_")]]
        columns = file.read_text("utf-8").splitlines()[0].split(",")
        assert set(columns) <= set(table.by_name)
    kinds = list(TABLES.values())
    for place, table in enumerate(kinds):
        for column in GATEWAY_TABLES[table].columns:
            if column.references and column.references in kinds:
                assert kinds.index(column.references) <= place
