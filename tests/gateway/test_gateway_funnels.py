"""The SQL of funnels against a slow and plain computation of the same thing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crm_lab.gateway import funnels as sql
from crm_lab.gateway import load_map
from crm_lab.simulation.school import School, make_school, write_school

STARTS_AT = datetime(2026, 1, 5)
UNTIL = datetime(2026, 4, 1, 10, 30)
SAME_MONEY = 0.005
"""Sums of cents, read as numbers."""


@pytest.fixture(scope="module")
def school() -> School:
    return make_school(600, rng=np.random.default_rng(11), starts_at=STARTS_AT, days=110)


@pytest.fixture(scope="module")
def gateway(school: School, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from crm_lab.gateway import Gateway

    folder: Path = tmp_path_factory.mktemp("school")
    made = Gateway(folder / "gateway", currency="RUB")
    for map_path, file in write_school(school, folder):
        assert made.import_file(load_map(map_path), file).rows_rejected == 0
    return made


@pytest.fixture(scope="module")
def read(gateway: Any) -> Callable[[str], pd.DataFrame]:
    def frame(query: str) -> pd.DataFrame:
        with gateway.reader() as reader:
            found: pd.DataFrame = reader.frame(query)
            return found

    return frame


def known_deals(school: School) -> pd.DataFrame:
    """Deals as they stood at UNTIL, by plain pandas."""
    deals = school.deals[school.deals["opened_at"] <= UNTIL].copy()
    later = deals["closed_at"] > UNTIL
    deals.loc[later, "status"] = "open"
    deals.loc[later, ["closed_at", "refusal_reason_code"]] = None
    return deals


def moment(value: Any) -> Any:
    return None if pd.isna(value) else pd.Timestamp(value)


def test_registrations_and_what_came_after(school: School, read: Any) -> None:
    found = read(sql.registrations(UNTIL)).set_index("customer_id")
    deals = known_deals(school)
    names = dict(zip(school.forms["form_id"], school.forms["name"], strict=True))
    seen = 0
    for row in school.registrations.to_dict("records"):
        if row["at"] > UNTIL:
            assert row["customer_id"] not in found.index
            continue
        seen += 1
        own = deals[deals["customer_id"] == row["customer_id"]]
        won = own[(own["status"] == "won") & (own["closed_at"] >= row["at"])]
        sent = school.sends[school.sends["customer_id"] == row["customer_id"]]["scheduled_at"]
        line = found.loc[row["customer_id"]]
        assert line["form"] == names[row["form_id"]]
        assert line["channel"] == row["channel"]
        assert line["registered_at"] == row["at"]
        assert moment(line["opened_at"]) == moment(own["opened_at"].min())
        assert moment(line["won_at"]) == moment(won["closed_at"].min())
        assert moment(line["contacted_at"]) == moment(sent[sent <= UNTIL].min())
        assert not line["won_undated"]
    assert len(found) == seen


def test_lost_deals_by_reason_with_their_money(school: School, read: Any) -> None:
    found = read(sql.refusals(UNTIL)).set_index("code")
    deals = known_deals(school)
    lost = deals[deals["status"] == "lost"].groupby("refusal_reason_code")
    assert found["deals"].to_dict() == lost.size().to_dict()
    amounts = lost["amount_expected"].sum()
    for code, amount in found["amount"].items():
        assert amount == pytest.approx(amounts[code], abs=SAME_MONEY)


def test_returns_count_the_first_loss_and_the_next_win(school: School, read: Any) -> None:
    found = read(sql.returns(UNTIL)).set_index("customer_id")
    deals = known_deals(school)
    losses = deals[deals["status"] == "lost"].sort_values("closed_at")
    for name, own in losses.groupby("customer_id"):
        lost_at = own["closed_at"].iloc[0]
        wins = deals[(deals["customer_id"] == name) & (deals["status"] == "won")]["closed_at"]
        assert found.loc[name, "lost_at"] == lost_at
        assert found.loc[name, "code"] == own["refusal_reason_code"].iloc[0]
        assert moment(found.loc[name, "won_at"]) == moment(wins[wins > lost_at].min())
    assert len(found) == losses["customer_id"].nunique()


def test_new_and_repeat_deals_add_up(school: School, read: Any) -> None:
    found = read(sql.deals_by_kind(UNTIL)).set_index("kind")
    deals = known_deals(school)
    assert found["deals"].sum() == len(deals)
    for kind, flag in (("new", "no"), ("repeat", "yes")):
        own = deals[deals["is_repeat"] == flag]
        line = found.loc[kind]
        assert [line[status] for status in ("won", "lost", "open")] == [
            (own["status"] == status).sum() for status in ("won", "lost", "open")
        ]
        won = own[own["status"] == "won"]["amount_expected"].sum()
        assert line["amount_won"] == pytest.approx(won, abs=SAME_MONEY)
    firsts = read(sql.first_deals(UNTIL))
    assert not firsts.duplicated(["customer_id", "kind"]).any()
    pairs = {
        (name, flag) for name, flag in zip(deals["customer_id"], deals["is_repeat"], strict=True)
    }
    assert len(firsts) == len(pairs)


def test_cohorts_count_each_buyer_once_per_period(school: School, read: Any) -> None:
    found = read(sql.cohorts(UNTIL, period_days=30, zone="UTC"))
    came = school.registrations[school.registrations["at"] <= UNTIL]
    orders = school.orders[school.orders["ordered_at"] <= UNTIL]
    joined = came.merge(orders, on="customer_id")
    joined = joined[joined["ordered_at"] >= joined["at"]]
    age = (joined["ordered_at"] - joined["at"]) // timedelta(days=30) + 1
    month = joined["at"].dt.to_period("M").dt.to_timestamp()
    expected = joined.groupby([month, age])["customer_id"].nunique().to_dict()
    counted = found[found["period"].notna()]
    keys = zip(pd.to_datetime(counted["cohort"]), counted["period"].astype(int), strict=True)
    assert dict(zip(keys, counted["customers"], strict=True)) == expected
    sizes = found[found["period"].isna()]
    assert sizes["customers"].sum() == len(came)
    assert sizes["last_at"].max() == came["at"].max()


def test_responses_by_channel(school: School, read: Any) -> None:
    found = read(sql.responses_by_channel(UNTIL, days=7)).set_index("channel")
    week = timedelta(days=7)
    sends = school.sends[school.sends["scheduled_at"] <= UNTIL]
    firsts = sends.groupby(["channel", "customer_id"])["scheduled_at"].min().reset_index()
    clicks = school.events[school.events["type"] == "click"].merge(sends, on="send_id")
    won = known_deals(school)
    won = won[won["status"] == "won"]
    sales = pd.concat(
        [
            school.orders[["customer_id", "ordered_at"]].set_axis(["customer_id", "sold"], axis=1),
            won[["customer_id", "closed_at"]].set_axis(["customer_id", "sold"], axis=1),
        ]
    )
    for channel, part in firsts.groupby("channel"):
        old = part[part["scheduled_at"] + week <= UNTIL].set_index("customer_id")["scheduled_at"]
        own = clicks[(clicks["channel"] == channel) & clicks["customer_id"].isin(old.index)]
        in_time = own["at"] < own["customer_id"].map(old) + week
        bought = sales[sales["customer_id"].isin(old.index)]
        first = bought["customer_id"].map(old)
        inside = (bought["sold"] >= first) & (bought["sold"] < first + week)
        line = found.loc[channel]
        assert line["customers"] == len(old)
        assert line["too_young"] == len(part) - len(old)
        assert line["clicked"] == own.loc[in_time, "customer_id"].nunique()
        assert line["bought"] == bought.loc[inside, "customer_id"].nunique()


def test_reactivations_count_the_first_return_and_the_next_win(school: School, read: Any) -> None:
    found = read(sql.reactivations(UNTIL)).set_index("customer_id")
    back = school.states[school.states["state"] == "reactivated"]
    back = back[back["valid_from"] <= UNTIL].groupby("customer_id")["valid_from"].min()
    deals = known_deals(school)
    won = deals[deals["status"] == "won"]
    assert found["reactivated_at"].to_dict() == back.to_dict()
    for name, since in back.items():
        closed = won[(won["customer_id"] == name) & (won["closed_at"] >= since)]["closed_at"]
        assert moment(found.loc[name, "won_at"]) == moment(closed.min())


def test_arms_are_counted_whole_whoever_bought(school: School, gateway: Any, read: Any) -> None:
    names = school.customers["customer_id"]
    variants = np.where(np.arange(len(names)) % 10 == 0, "control", "mail")
    gateway.append(
        {
            "assignment": pd.DataFrame(
                {
                    "scope": "experiment:x",
                    "customer_id": names,
                    "unit_id": ["u1", "u1", *names[2:]],
                    "variant": variants,
                    "bucket": 0,
                    "stratum": None,
                    "rule": "hash",
                    "assigned_at": STARTS_AT,
                }
            )
        },
        reason="a draw by hand",
        entries=lambda reader, files: [],
    )
    window = {"starts_at": datetime(2026, 3, 1), "ends_at": datetime(2026, 3, 29)}
    arm_of = dict(zip(names, variants, strict=True))

    def customers(frame: pd.DataFrame, column: str, since: Any, to: Any) -> dict[str, int]:
        inside = frame[(frame[column] >= since) & (frame[column] < to)]["customer_id"].unique()
        arms = pd.Series([arm_of[name] for name in inside]).value_counts()
        return {arm: int(arms.get(arm, 0)) for arm in ("control", "mail")}

    deals = read(sql.deals_by_arm("experiment:x", **window)).set_index("variant")
    ends = window["starts_at"], window["ends_at"]
    won = school.deals[school.deals["status"] == "won"]
    assert deals["customers"].to_dict() == {"control": 60, "mail": 540}
    assert deals["won"].to_dict() == customers(won, "closed_at", *ends)
    assert deals["opened"].to_dict() == customers(school.deals, "opened_at", *ends)

    weeks = read(sql.buyers_by_week("experiment:x", starts_at=window["starts_at"], weeks=4))
    sizes = weeks[weeks["week"].isna()].set_index("variant")["customers"]
    assert sizes.to_dict() == {"control": 60, "mail": 540}
    for week in range(1, 5):
        since = window["starts_at"] + timedelta(days=7 * (week - 1))
        own = weeks[weeks["week"] == week].set_index("variant")["customers"].to_dict()
        expected = customers(school.orders, "ordered_at", since, since + timedelta(days=7))
        assert {arm: own.get(arm, 0) for arm in expected} == expected
    assert weeks["week"].max() <= 4

    panel = read(sql.arm_panel("experiment:x", active_days=14, **window))
    assert len(panel) == len(names)
    active = customers(school.orders, "ordered_at", ends[1] - timedelta(days=14), ends[1])
    assert panel.groupby("variant")["is_active"].sum().to_dict() == active
    states = school.states[school.states["valid_from"] < ends[1]].sort_values("valid_from")
    lost = states.groupby("customer_id")["state"].last() == "lost"
    assert panel.set_index("customer_id")["is_lost"].sum() == lost.sum()
    answers = school.answers[school.answers["answered_at"].between(*ends, inclusive="left")]
    scores = answers.sort_values("answered_at").groupby("customer_id")["score"].last()
    assert panel.set_index("customer_id")["score"].dropna().to_dict() == scores.to_dict()
    assert panel["satisfaction"].isna().all()
    assert read(sql.shared_units("experiment:x")).iloc[0, 0] == 2
    assert len(read(sql.members("experiment:x"))) == len(names)


def test_unsubscribes_and_complaints_are_found_wherever_they_stand(company: Any) -> None:
    company.customers(["message", "list", "consent", "other", "early"])
    company.load("campaign", "{campaign_id: id}", "id\nc\n")
    company.load(
        "send",
        "{send_id: id, campaign_id: campaign, customer_id: who}",
        "id,campaign,who\ns,c,message\n",
    )
    company.load(
        "delivery_event",
        "{delivery_event_id: id, send_id: send, at: at, type: type}",
        "id,send,at,type\n1,s,2026-03-02,complaint\n2,s,2026-03-02,unsubscribe\n",
    )
    company.load(
        "suppression",
        "{suppression_id: id, customer_id: who, reason: why, from_at: at}",
        "id,who,why,at\n1,list,unsubscribe,2026-03-02\n2,early,unsubscribe,2026-01-02\n"
        "3,other,legal,2026-03-02\n",
    )
    company.load(
        "consent_event",
        "{consent_event_id: id, customer_id: who, purpose: what, action: did, at: at}",
        "id,who,what,did,at\n1,consent,advertising,withdrawn,2026-03-02\n"
        "2,other,profiling,withdrawn,2026-03-02\n",
    )
    names = ["message", "list", "consent", "other", "early"]
    company.gateway.append(
        {
            "assignment": pd.DataFrame(
                {
                    "scope": "experiment:x",
                    "customer_id": names,
                    "unit_id": names,
                    "variant": "mail",
                    "bucket": 0,
                    "stratum": None,
                    "rule": "hash",
                    "assigned_at": STARTS_AT,
                }
            )
        },
        reason="a draw by hand",
        entries=lambda reader, files: [],
    )
    panel = company.frame(
        sql.arm_panel(
            "experiment:x",
            starts_at=datetime(2026, 3, 1),
            ends_at=datetime(2026, 3, 29),
            active_days=28,
        )
    ).set_index("customer_id")
    left = panel["unsubscribed"]
    assert set(left.index[left]) == {"message", "list", "consent"}
    assert set(panel.index[panel["complained"]]) == {"message"}


def test_the_first_of_several_forms_counts_and_test_accounts_do_not(company: Any) -> None:
    company.load("customer", "{customer_id: id, is_test: test}", "id,test\na,no\nb,yes\nc,no\n")
    company.load("form", "{form_id: id}", "id\nf1\nf2\n")
    company.load(
        "form_submission",
        "{submission_id: id, form_id: form, customer_id: who, at: at}",
        "id,form,who,at\n1,f2,a,2026-02-01 10:00\n2,f1,a,2026-01-01 10:00\n"
        "3,f1,b,2026-01-01 10:00\n4,f1,c,2026-06-01 10:00\n",
    )
    company.load(
        "deal",
        "{deal_id: id, customer_id: who, opened_at: opened, closed_at: closed, status: status}",
        "id,who,opened,closed,status\n1,a,2025-12-01,2025-12-05,won\n2,a,2026-01-02,,won\n"
        "3,a,2026-01-03,2026-06-05,won\n",
    )
    found = company.frame(sql.registrations(UNTIL))
    assert found["customer_id"].tolist() == ["a"]
    assert found.loc[0, "form"] == "f1"
    assert found.loc[0, "registered_at"] == datetime(2026, 1, 1, 10)
    assert found.loc[0, "opened_at"] == datetime(2026, 1, 2)
    assert pd.isna(found.loc[0, "won_at"])
    assert found.loc[0, "won_undated"]


def test_a_deal_is_a_repeat_by_its_flag_or_else_by_its_place(company: Any) -> None:
    company.customers(["a", "b"])
    company.load(
        "deal",
        "{deal_id: id, customer_id: who, opened_at: opened, status: status, is_repeat: again}",
        "id,who,opened,status,again\n1,a,2026-01-01,open,\n2,a,2026-02-01,open,\n"
        "3,b,2026-01-01,open,yes\n",
    )
    found = company.frame(sql.deals_by_kind(UNTIL)).set_index("kind")["deals"].to_dict()
    assert found == {"new": 1, "repeat": 2}
    firsts = company.frame(sql.first_deals(UNTIL))
    assert firsts["kind"].tolist() == ["new", "repeat", "repeat"]


def test_an_empty_base_has_no_contents_and_no_moments(company: Any) -> None:
    company.customers(["a"])
    row = company.frame(sql.contents()).iloc[0]
    assert row["deal"] == 0
    assert pd.isna(row["deals_until"])
    for query in (
        sql.registrations(UNTIL),
        sql.refusals(UNTIL),
        sql.returns(UNTIL),
        sql.reactivations(UNTIL),
        sql.deals_by_kind(UNTIL),
        sql.first_deals(UNTIL),
        sql.responses_by_channel(UNTIL, days=7),
        sql.cohorts(UNTIL, period_days=30, zone="Europe/Moscow"),
        sql.deals_by_arm("x", starts_at=UNTIL, ends_at=UNTIL),
        sql.buyers_by_week("x", starts_at=UNTIL, weeks=4),
        sql.arm_panel("x", starts_at=UNTIL, ends_at=UNTIL, active_days=28),
    ):
        assert company.frame(query).empty
