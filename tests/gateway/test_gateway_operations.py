"""The SQL of the operations against a slow and plain computation of the same thing."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_lab.campaigns import send_lists
from crm_lab.datasets import load_cdnow, write_cdnow
from crm_lab.gateway import audits, load_map, operations
from crm_lab.gateway.expressions import address_key
from crm_lab.ltv import purchase_history

NOW = datetime(2024, 6, 1, 12)
EARLIER = "2024-05-01 00:00:00"
LATER = "2024-06-01 12:00:01"
ORDER_COLUMNS = (
    "{order_id: no, customer_id: client, ordered_at: date, net_revenue: total, status: status}"
)


# buckets


def test_buckets_are_those_of_the_rule_for_every_id():
    names = [f"{n}" for n in range(3000)] + [f"Клиент №{n}" for n in range(500)]
    names += [
        "o'neil",
        'a"b',
        "a:b",
        " ",
        "💳",
        "ё",
        "e\u0308",
        "\\",
        "%",
        "--",
        "'; drop table x; --",
    ]
    salt = "соль 'x'; --"
    with duckdb.connect() as engine:
        engine.execute("create table ids as select unnest(?::varchar[]) as id", [names])
        rows = engine.execute(
            f"select id, {operations.bucket_expression(salt, 'id')} from ids"
        ).fetchall()
    expected = {
        name: int(hashlib.sha256(f"{salt}:{name}".encode()).hexdigest()[:8], 16) * 10_000 // 2**32
        for name in names
    }
    assert dict(rows) == expected
    assert min(expected.values()) < 10
    assert max(expected.values()) > 9990


def test_a_missing_id_has_no_bucket():
    with duckdb.connect() as engine:
        bucket = operations.bucket_expression("salt", "cast(null as varchar)")
        assert engine.execute(f"select {bucket}").fetchone() == (None,)


def test_a_moment_with_a_zone_is_refused():
    with pytest.raises(ValueError, match="UTC without zone"):
        operations.moment(datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC")))


# who can be reached


class Contacts:
    """Builds a base for :func:`operations.reachability`, one customer per case."""

    def __init__(self, company):
        self.company = company
        self.people = ["id,made,test"]
        self.points = ["id,client,channel,address,primary,status,collected"]
        self.consents = ["id,client,channel,action,at"]
        self.sends = ["id,client,point,channel"]
        self.answers = ["id,send,at,type"]
        self.stops = ["id,client,point,channel,from,to"]

    def person(self, name, *, made=EARLIER, test="no", status="valid", consent="granted"):
        self.people.append(f"{name},{made},{test}")
        if status is not None:
            self.point(name, status=status)
        if consent:
            self.consent(name, consent)

    def point(
        self,
        name,
        *,
        number=1,
        channel="email",
        address="",
        primary="",
        status="valid",
        collected="",
    ):
        at = address or f"{name}{number}@example.org".replace(" ", "-")
        self.points.append(f"{name}/{number},{name},{channel},{at},{primary},{status},{collected}")

    def consent(self, name, action, *, at=EARLIER, channel=""):
        self.consents.append(f"k{len(self.consents):03d},{name},{channel},{action},{at}")

    def stop(self, *, name="", point="", channel="", since=EARLIER, to=""):
        self.stops.append(f"s{len(self.stops)},{name},{point},{channel},{since},{to}")

    def answer(self, name, kind, *, at=EARLIER, channel="email", point=""):
        """A message of ``channel`` to the customer and what came of it."""
        self.sends.append(f"m{len(self.sends)},{name},{point},{channel}")
        self.answers.append(f"a{len(self.answers)},m{len(self.sends) - 1},{at},{kind}")

    def obstacles(self, channel="email"):
        load = self.company.load
        load(
            "customer", "{customer_id: id, created_at: made, is_test: test}", self.text(self.people)
        )
        load(
            "contact_point",
            "{contact_point_id: id, customer_id: client, channel: channel, address: address,"
            " is_primary: primary, status: status, collected_at: collected}",
            self.text(self.points),
        )
        load(
            "consent_event",
            "{consent_event_id: id, customer_id: client, purpose: {value: advertising},"
            " channel: channel, action: action, at: at}",
            self.text(self.consents),
        )
        if len(self.stops) > 1:
            load(
                "suppression",
                "{suppression_id: id, customer_id: client, contact_point_id: point,"
                " reason: {value: manual}, channel: channel, from_at: from, to_at: to}",
                self.text(self.stops),
            )
        if len(self.answers) > 1:
            load("campaign", "{campaign_id: id}", "id\nspring\n")
            load(
                "send",
                "{send_id: id, campaign_id: {value: spring}, customer_id: client,"
                " contact_point_id: point, channel: channel}",
                self.text(self.sends),
            )
            load(
                "delivery_event",
                "{delivery_event_id: id, send_id: send, at: at, type: type}",
                self.text(self.answers),
            )
        return self.judged(channel)

    def judged(self, channel="email", at=NOW):
        self.frame = self.company.frame(operations.reachability(channel, at)).set_index(
            "customer_id"
        )
        assert self.frame.index.is_unique
        assert (self.frame["eligible"] == self.frame["obstacle"].isna()).all()
        return {name: None if pd.isna(why) else why for name, why in self.frame["obstacle"].items()}

    @staticmethod
    def text(lines):
        return "\n".join(lines) + "\n"


@pytest.fixture
def contacts(company):
    return Contacts(company)


def test_obstacles_of_each_kind(contacts):
    contacts.person("fine")
    contacts.person("unknown status", status="")
    contacts.person("no address", status=None)
    contacts.person("bounced", status="bounced")
    contacts.person("test", test="yes")
    contacts.person("never asked", consent="")
    contacts.person("withdrawn", consent="withdrawn")
    contacts.person("expired", consent="expired")
    contacts.person("born later", made=LATER)
    contacts.person("born unknown", made="")
    assert contacts.obstacles() == {
        "fine": None,
        "unknown status": None,
        "no address": "no address",
        "bounced": "address does not work",
        "test": "test account",
        "never asked": "no consent to advertising",
        "withdrawn": "consent withdrawn",
        "expired": "consent withdrawn",
        "born unknown": None,
    }


def test_the_last_consent_counts(contacts):
    for name in ("back", "gone", "future", "same moment", "email only", "all channels", "other"):
        contacts.person(name, consent="")
    contacts.consent("back", "withdrawn", at="2024-01-01")
    contacts.consent("back", "granted", at="2024-02-01")
    contacts.consent("gone", "granted", at="2024-01-01", channel="email")
    contacts.consent("gone", "withdrawn", at="2024-06-01 12:00:00")
    contacts.consent("future", "granted", at="2024-01-01")
    contacts.consent("future", "withdrawn", at=LATER)
    contacts.consent("same moment", "withdrawn", at="2024-01-01")
    contacts.consent("same moment", "granted", at="2024-01-01")
    contacts.consent("email only", "withdrawn", at="2024-01-01")
    contacts.consent("email only", "granted", at="2024-02-01", channel="email")
    contacts.consent("all channels", "granted", at="2024-01-01", channel="email")
    contacts.consent("all channels", "withdrawn", at="2024-02-01")
    contacts.consent("other", "granted", at="2024-01-01")
    contacts.consent("other", "withdrawn", at="2024-02-01", channel="sms")
    assert contacts.obstacles() == {
        "back": None,
        "gone": "consent withdrawn",
        "future": None,
        "same moment": "consent withdrawn",
        "email only": None,
        "all channels": "consent withdrawn",
        "other": None,
    }


def test_suppressions_count_within_their_time_channel_and_address(contacts):
    names = [
        "now",
        "ended",
        "ends now",
        "starts now",
        "later",
        "sms",
        "point",
        "twin",
        "sms point",
        "stays",
    ]
    for name in names:
        contacts.person(name, status=None)
        contacts.point(name, address="SHARED@example.org" if name in ("point", "twin") else "")
    contacts.point("sms point", number=2, channel="sms", address="+7900")
    contacts.stop(name="now")
    contacts.stop(name="ended", to="2024-05-31")
    contacts.stop(name="ends now", to="2024-06-01 12:00:00")
    contacts.stop(name="starts now", since="2024-06-01 12:00:00")
    contacts.stop(name="later", since=LATER)
    contacts.stop(name="sms", channel="sms")
    contacts.stop(point="point/1")
    contacts.stop(point="sms point/2")
    suppressed = [name for name, why in contacts.obstacles().items() if why == "suppressed"]
    assert sorted(suppressed) == ["now", "point", "starts now", "twin"]


def test_who_unsubscribes_or_complains_is_not_written_to_in_that_channel(contacts):
    for name in (
        "left",
        "annoyed",
        "clicked",
        "later",
        "by sms",
        "somewhere",
        "back",
        "left again",
    ):
        contacts.person(name)
    contacts.person("never asked", consent="")
    contacts.answer("left", "unsubscribe", at="2024-06-01 12:00:00")
    contacts.answer("annoyed", "complaint")
    contacts.answer("clicked", "click")
    contacts.answer("later", "unsubscribe", at=LATER)
    contacts.answer("by sms", "unsubscribe", channel="sms")
    contacts.answer("somewhere", "unsubscribe", channel="")
    contacts.answer("never asked", "unsubscribe")
    for name in ("back", "left again"):
        contacts.answer(name, "unsubscribe", at="2024-03-01")
        contacts.consent(name, "granted", at="2024-04-01", channel="email")
    contacts.answer("left again", "complaint", at="2024-05-01")
    found = contacts.obstacles()
    assert {name for name, why in found.items() if why == "consent withdrawn"} == {
        "left",
        "annoyed",
        "somewhere",
        "never asked",
        "left again",
    }
    assert {name for name, why in found.items() if why is None} == {
        "clicked",
        "later",
        "by sms",
        "back",
    }
    assert contacts.judged(at=datetime(2024, 6, 1, 11))["left"] is None
    assert contacts.judged(at=datetime(2030, 1, 1))["later"] == "consent withdrawn"


def test_an_address_from_which_mail_came_back_does_not_work_until_it_is_another(contacts):
    for name in ("gone", "soft", "twin", "two", "renewed", "no point named", "later"):
        contacts.person(name, status=None)
    for name in ("soft", "no point named", "later"):
        contacts.point(name)
    contacts.point("gone", address="Shared@example.org")
    contacts.point("twin", address="shared@example.org")
    contacts.point("two", number=1, primary="yes")
    contacts.point("two", number=2)
    contacts.point("renewed", collected="2024-05-01")
    contacts.answer("gone", "bounce_hard", point="gone/1")
    contacts.answer("soft", "bounce_soft", point="soft/1")
    contacts.answer("two", "bounce_hard", point="two/1")
    contacts.answer("renewed", "bounce_hard", at="2024-04-01", point="renewed/1")
    contacts.answer("no point named", "bounce_hard")
    contacts.answer("later", "bounce_hard", at=LATER, point="later/1")
    assert contacts.obstacles() == {
        "gone": "address does not work",
        "soft": None,
        "twin": "address does not work",
        "two": None,
        "renewed": None,
        "no point named": "address does not work",
        "later": None,
    }
    assert contacts.frame.loc["two", "contact_point_id"] == "two/2"


@pytest.mark.parametrize(
    ("address", "works"),
    [
        ("anna@example.org", True),
        ("анна@почта.рф", True),
        ("a.b+c@mail.example.org", True),
        ("maria310 at gmail.com", False),
        ("anna@example", False),
        ("anna@@example.org", False),
        ("anna@b@example.org", False),
        ("@example.org", False),
        ("anna@.org", False),
        ("anna@example.", False),
        ("an na@example.org", False),
    ],
)
def test_what_is_no_email_address_does_not_work(contacts, address, works):
    contacts.person("a", status=None)
    contacts.point("a", address=address)
    assert contacts.obstacles() == {"a": None if works else "address does not work"}


KEYS = [
    ("+7 (900) 035-72-96", "79000357296"),
    ("8 900 035 72 96", "79000357296"),
    ("8(900)035-72-96", "79000357296"),
    ("900\u00a0035 72 96", "79000357296"),
    ("79000357296", "79000357296"),
    ("+84 912 345 678", "84912345678"),
    ("+1 (800) 555-0199", "18005550199"),
    ("12345", "12345"),
    ("8123456789@example.org", "8123456789@example.org"),
    ("Анна@Пример.РФ", "анна@пример.рф"),
    ("@Anna", "@anna"),
    ("id_9001234567", "id_9001234567"),
]


@pytest.mark.parametrize(("address", "key"), KEYS)
def test_spellings_of_one_address_have_one_key(address, key):
    with duckdb.connect() as engine:
        found = engine.execute(
            f"select {address_key('written')} from (select ? as written)", [address]
        ).fetchone()
    assert found == (key,)
    assert send_lists.address_key(address) == key


def test_who_shares_a_phone_shares_it_however_it_is_written(contacts):
    for name in ("a", "b", "c"):
        contacts.person(name)
    contacts.point("a", number=2, channel="sms", address="+7 (900) 035-72-96")
    contacts.point("b", number=2, channel="call", address="8 900 035 72 96")
    contacts.point("c", number=2, channel="sms", address="8 900 035 72 97")
    contacts.stop(point="a/2")
    contacts.obstacles()
    shared = contacts.company.frame(audits.shared_contacts())
    assert shared["customer_id"].tolist() == ["a", "b"]
    assert set(shared["contact"]) == {"phone:79000357296"}


def test_a_suppressed_phone_is_suppressed_however_it_is_written(contacts):
    for name in ("a", "b"):
        contacts.person(name)
    contacts.point("a", number=2, channel="sms", address="+7 (900) 035-72-96")
    contacts.point("b", number=2, channel="sms", address="8 900 035 72 96")
    contacts.stop(point="a/2")
    contacts.obstacles()
    assert contacts.judged("sms") == {"a": "suppressed", "b": "suppressed"}


def test_the_primary_address_that_works_is_taken(contacts):
    contacts.person("a", status=None)
    contacts.point("a", number=1)
    contacts.point("a", number=2, primary="yes")
    contacts.person("b", status=None)
    contacts.point("b", number=1, status="invalid", primary="yes")
    contacts.point("b", number=3)
    contacts.point("b", number=2)
    contacts.obstacles()
    assert contacts.frame["contact_point_id"].to_dict() == {"a": "a/2", "b": "b/2"}
    assert contacts.frame["address"].to_dict() == {"a": "a2@example.org", "b": "b2@example.org"}


def test_another_channel_has_its_own_addresses(contacts):
    contacts.person("a")
    assert contacts.obstacles("sms") == {"a": "no address"}


def test_the_audience_asks_for_recent_and_repeated_orders(company):
    contacts = Contacts(company)
    for name in ("recent", "old", "none", "twice", "edge"):
        contacts.person(name)
    contacts.obstacles()
    dates = {
        "recent": ["2024-05-30"],
        "old": ["2023-01-01"],
        "twice": ["2023-01-01", "2024-05-31"],
        "edge": ["2024-05-02 12:00:00", "2024-06-01 12:00:00"],
    }
    rows = [f"{name}{day},{name},{day},1,paid" for name, days in dates.items() for day in days]
    company.load("orders", ORDER_COLUMNS, "no,client,date,total,status\n" + "\n".join(rows))

    def eligible(**conditions):
        frame = company.frame(operations.audience("email", NOW, **conditions))
        assert len(frame) == 5
        return sorted(frame.loc[frame["eligible"], "customer_id"])

    assert eligible(bought_within_days=None, min_orders=0) == [
        "edge",
        "none",
        "old",
        "recent",
        "twice",
    ]
    assert eligible(bought_within_days=30, min_orders=0) == ["edge", "recent", "twice"]
    assert eligible(bought_within_days=29, min_orders=0) == ["recent", "twice"]
    assert eligible(bought_within_days=None, min_orders=1) == ["edge", "old", "recent", "twice"]
    assert eligible(bought_within_days=None, min_orders=2) == ["twice"]


# outcomes and purchases


def test_outcome_windows_hold_their_first_moment_and_not_their_last(company):
    rows = [
        "1,a,2024-01-01 00:00:00,1,paid",  # first moment before
        "2,a,2023-12-31 23:59:59,100,paid",
        "3,a,2024-01-31 23:59:59,2,paid",
        "4,a,2024-02-01 00:00:00,10,paid",  # first moment of the window
        "5,a,2024-02-29 23:59:59,20.50,paid",
        "6,a,2024-03-01 00:00:00,1000,paid",  # first moment after
        "7,a,2024-02-10 00:00:00,5000,cancelled",
        "8,b,2024-02-10 00:00:00,-3,returned",
        "9,,2024-02-10 00:00:00,7,paid",
    ]
    text = "no,client,date,total,status\n" + "\n".join(rows)
    company.customers(["a", "b", "c"])
    company.load("orders", ORDER_COLUMNS, text)
    frame = company.frame(
        operations.outcomes(
            "select customer_id, 'v' as variant from customer",
            starts_at=datetime(2024, 2, 1),
            ends_at=datetime(2024, 3, 1),
            pre_starts_at=datetime(2024, 1, 1),
        )
    ).set_index("customer_id")
    assert frame.loc["a", ["revenue", "orders", "pre_revenue", "pre_orders"]].tolist() == [
        30.5,
        2,
        3,
        2,
    ]
    assert frame.loc["b", ["revenue", "orders", "pre_revenue", "pre_orders"]].tolist() == [
        -3,
        1,
        0,
        0,
    ]
    assert frame.loc["c", ["revenue", "orders", "pre_revenue", "pre_orders"]].tolist() == [
        0,
        0,
        0,
        0,
    ]


def summary_by_pandas(log: pd.DataFrame, as_of: datetime, zone: str) -> pd.DataFrame:
    """The purchase summary, customer by customer and day by day."""
    log = log[(log["at"] < as_of) & (log["status"] != "cancelled")]
    rows = []
    for customer, orders in log.groupby("client"):
        days = orders["at"].dt.tz_localize("UTC").dt.tz_convert(zone).dt.date
        purchases = {}
        for day, those in orders.groupby(days):
            if (those["total"] >= 0).any():
                purchases[day] = sum(those["total"], Decimal(0))
        if not purchases:
            continue
        first = min(purchases)
        paid = [amount for day, amount in purchases.items() if day > first and amount > 0]
        mean = float(sum(paid) / len(paid)) if paid else float("nan")
        rows.append((customer, first, max(purchases), len(purchases) - 1, len(paid), mean))
    names = [
        "customer_id",
        "first_day",
        "last_day",
        "frequency",
        "paid_frequency",
        "monetary_value",
    ]
    return pd.DataFrame(rows, columns=names)


ORDERS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.datetimes(datetime(2024, 1, 1), datetime(2024, 1, 9)),
        st.integers(-2000, 5000),
        st.sampled_from(["paid", "paid", "cancelled", "returned"]),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(orders=ORDERS, zone=st.sampled_from(["UTC", "Europe/Moscow", "America/New_York"]))
def test_purchase_summary_of_random_logs(company_in, orders, zone):
    company = company_in()
    log = pd.DataFrame(orders, columns=["client", "at", "cents", "status"])
    log["at"] = log["at"].dt.floor("s")
    log["total"] = [Decimal(int(cents)).scaleb(-2) for cents in log["cents"]]
    rows = [
        f"{n},{row.client},{row.at},{row.total},{row.status}"
        for n, row in enumerate(log.itertuples())
    ]
    company.customers(["a", "b", "c"])
    company.load("orders", ORDER_COLUMNS, "no,client,date,total,status\n" + "\n".join(rows))
    as_of = datetime(2024, 1, 7)
    found = company.frame(operations.purchase_summary(as_of, zone=zone))
    for name in ("first_day", "last_day"):
        found[name] = pd.to_datetime(found[name]).dt.date
    pd.testing.assert_frame_equal(found, summary_by_pandas(log, as_of, zone), check_dtype=False)
    days = company.frame(operations.purchase_log(as_of, zone=zone))
    assert len(days) == (found["frequency"] + 1).sum()


def test_local_days_are_the_companys(company):
    company.customers(["a"])
    rows = ["1,a,2024-01-01 20:59:59,1,paid", "2,a,2024-01-01 21:00:00,2,paid"]
    company.load("orders", ORDER_COLUMNS, "no,client,date,total,status\n" + "\n".join(rows))
    as_of = datetime(2024, 2, 1)
    days = company.frame(operations.purchase_log(as_of, zone="Europe/Moscow"))
    assert days["ordered_at"].astype(str).tolist() == ["2024-01-01", "2024-01-02"]
    assert len(company.frame(operations.purchase_log(as_of, zone="UTC"))) == 1
    months = company.frame(operations.monthly_base("Europe/Moscow"))
    assert months[["orders", "buyers", "new_buyers", "revenue"]].values.tolist() == [[2, 1, 1, 3]]


def test_purchase_summary_of_cdnow_agrees_with_the_history_of_its_log(company):
    ((map_path, file),) = write_cdnow(company.folder)
    report = company.gateway.import_file(load_map(map_path), file)
    assert (report.rows_in, report.rows_loaded, report.customers_created) == (
        69_659,
        69_659,
        23_570,
    )
    as_of = datetime(1998, 7, 1)
    stored = company.frame(operations.purchase_summary(as_of, zone="UTC")).set_index("customer_id")
    log = load_cdnow()
    assert report.amount_loaded == Decimal(str(round(log["amount"].sum(), 2)))
    closing = (as_of - timedelta(days=1)).date()
    history = purchase_history(log, as_of=closing, unit_days=1).to_frame()
    history = history.set_index("customer_id").loc[stored.index]
    assert len(stored) == len(history) == 23_570
    recency = (stored["last_day"] - stored["first_day"]).dt.days
    assert (recency == history["recency"]).all()
    assert ((pd.Timestamp(closing) - stored["first_day"]).dt.days == history["age"]).all()
    for name in ("frequency", "paid_frequency"):
        assert (stored[name] == history[name]).all()
    np.testing.assert_allclose(
        stored["monetary_value"], history["monetary_value"], rtol=1e-12, atol=0, equal_nan=True
    )
