"""Daily sales and campaigns sent, against the same numbers counted by hand."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pandas as pd

from crm_lab.gateway import audits, pacing

FAR = datetime(2030, 1, 1)
SEND = (
    "{send_id: id, campaign_id: campaign, customer_id: who, channel: channel, scheduled_at: at,"
    " message_class: class}"
)


def read(company, query: str) -> pd.DataFrame:  # type: ignore[no-untyped-def]
    with company.gateway.reader() as reader:
        return reader.frame(query)


def test_daily_sales_count_every_order_that_was_not_cancelled(company) -> None:  # type: ignore[no-untyped-def]
    text = (
        "no,client,date,total,state\n"
        "1,a,2024-01-01 10:00:00,10.10,paid\n"
        "2,a,2024-01-02 10:00:00,20.20,paid\n"
        "3,,2024-01-02 11:00:00,5.00,paid\n"
        "4,b,2024-01-02 12:00:00,7.00,cancelled\n"
        "5,b,2024-01-02 22:30:00,1.05,paid\n"
        "6,a,2024-01-05 09:00:00,-3.00,returned\n"
    )
    columns = (
        "{order_id: no, customer_id: client, ordered_at: date, net_revenue: total, status: state}"
    )
    company.load("orders", columns, text, "create_customers: true")
    found = read(company, pacing.daily_sales(until=FAR, zone="UTC"))
    assert [str(day)[:10] for day in found["day"]] == ["2024-01-01", "2024-01-02", "2024-01-05"]
    assert list(found["revenue"]) == [10.10, 26.25, -3.00]
    assert list(found["orders"]) == [1, 3, 1]
    assert list(found["known_revenue"]) == [0.0, 20.20, -3.0]
    assert list(found["known_orders"]) == [0, 1, 1]
    moscow = read(company, pacing.daily_sales(until=FAR, zone="Europe/Moscow"))
    assert [str(day)[:10] for day in moscow["day"]][1:3] == ["2024-01-02", "2024-01-03"]
    until = datetime(2024, 1, 2, 11)
    assert list(read(company, pacing.daily_sales(until=until, zone="UTC"))["orders"]) == [1, 1]


def test_campaigns_sent_are_counted_with_their_main_channel(company) -> None:  # type: ignore[no-untyped-def]
    company.customers("abc")
    company.load(
        "campaign",
        "{campaign_id: id, mechanic: kind, send_mode: mode, starts_at: at}",
        "id,kind,mode,at\nspring,discount,auto,2024-01-01\nidea,news,,2024-02-01\n"
        "later,news,,2031-01-01\n",
    )
    company.load(
        "send",
        SEND,
        "id,campaign,who,channel,at,class\n"
        "1,spring,a,email,2024-01-02,marketing\n"
        "2,spring,a,email,2024-01-03,marketing\n"
        "3,spring,b,sms,2024-01-04,\n"
        "4,spring,c,sms,2024-01-04,transactional\n",
    )
    found = read(company, pacing.campaigns_sent(until=FAR)).set_index("campaign_id")
    assert list(found.index) == ["spring", "idea"]
    spring = found.loc["spring"]
    assert (spring["messages"], spring["customers"], spring["channel"]) == (3, 2, "email")
    assert (spring["mechanic"], spring["send_mode"]) == ("discount", "auto")
    assert str(spring["first_at"])[:10] == "2024-01-02"
    assert found.loc["idea", "messages"] == 0
    early = read(company, pacing.campaigns_sent(until=datetime(2024, 1, 3)))
    assert list(early["messages"]) == [1]


def test_other_campaigns_are_counted_by_side(company) -> None:  # type: ignore[no-untyped-def]
    company.customers("abcd")
    company.load("campaign", "{campaign_id: id}", "id\nown\nother\n")
    company.load(
        "send",
        SEND,
        "id,campaign,who,channel,at,class\n"
        "1,own,a,email,2024-02-02,marketing\n"
        "2,other,a,email,2024-02-03,marketing\n"
        "3,other,b,email,2024-01-15,marketing\n"
        "4,other,c,email,2024-02-03,transactional\n"
        "5,other,d,email,2023-01-01,marketing\n",
    )
    at = datetime(2024, 1, 31)
    rows = pd.DataFrame(
        {
            "scope": "experiment:own",
            "customer_id": list("abcd"),
            "unit_id": list("abcd"),
            "variant": ["mail", "mail", "mail", "control"],
            "bucket": 1,
            "stratum": None,
            "rule": "hash",
            "assigned_at": at,
        }
    )
    company.gateway.append({"assignment": rows}, reason="test", entries=lambda *_: [])
    query = audits.others_sent(
        "experiment:own",
        "own",
        starts_at=datetime(2024, 2, 1),
        ends_at=datetime(2024, 3, 1),
        pre_starts_at=datetime(2024, 1, 1),
    )
    found = read(company, query).set_index("is_control")
    assert list(found.loc[False]) == [3, 1, 1]
    assert list(found.loc[True]) == [1, 0, 0]


def test_who_can_be_reached_leaves_controls_out(company) -> None:  # type: ignore[no-untyped-def]
    assert isinstance(company.folder, Path)
    company.customers("abc")
    company.load(
        "contact_point",
        "{contact_point_id: id, customer_id: who, channel: {value: email}, address: mail}",
        "id,who,mail\n1,a,a@x.org\n2,b,b@x.org\n",
    )
    company.load(
        "consent_event",
        "{consent_event_id: id, customer_id: who, purpose: {value: advertising},"
        " action: {value: granted}, at: at}",
        "id,who,at\n1,a,2024-01-01\n2,b,2024-01-01\n3,c,2024-01-01\n",
    )
    with company.gateway.reader() as reader:
        every = reader.integer(pacing.reachable_outside("email", FAR, scopes=[]))
    assert every == 2
    rows = pd.DataFrame(
        {
            "scope": "epoch:global-1",
            "customer_id": ["a", "b"],
            "unit_id": ["a", "b"],
            "variant": ["control", "rest"],
            "bucket": 1,
            "stratum": None,
            "rule": "hash",
            "assigned_at": datetime(2024, 1, 1),
        }
    )
    company.gateway.append({"assignment": rows}, reason="test", entries=lambda *_: [])
    with company.gateway.reader() as reader:
        query = pacing.reachable_outside("email", FAR, scopes=["epoch:global-1"])
        assert reader.integer(query) == 1
