"""The ledger cannot be changed, and whoever changes it all the same is found."""

from __future__ import annotations

import sqlite3

import pandas as pd
import pytest

from crm_lab.errors import LedgerError

FIRST = "2024-03-01 10:00:00"
APPEND_ONLY = ("ledger", "snapshot", "import_batch", "rejected_row", "data_file")


@pytest.fixture
def filled(company):
    company.orders(
        [f"A1,c1,{FIRST},1", f"A2,c2,{FIRST},2", "A3,c1,never,3"], "max_rejected_share: 0.5"
    )
    for number in range(1, 5):
        company.gateway.record("decision", f"campaign-{number}", {"text": "да", "n": number})
    return company


def tamper(company, *statements: str) -> None:
    with company.store.manifest() as db:
        triggers = db.execute("select name from sqlite_master where type = 'trigger'").fetchall()
        for (name,) in triggers:
            db.execute(f"drop trigger {name}")
        db.execute("pragma foreign_keys = off")
        for statement in statements:
            db.execute(statement)


def test_entries_come_back_in_order(filled):
    entries = filled.gateway.entries()
    assert [entry.seq for entry in entries] == [1, 2, 3, 4]
    assert entries[2].payload == {"text": "да", "n": 3}
    assert entries[-1].digest == filled.gateway.ledger_head()
    assert [e.seq for e in filled.gateway.entries(subject="campaign-2")] == [2]
    assert filled.gateway.entries(kind="epoch_opened") == []
    assert filled.gateway.verify() == []


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("action", ["update", "delete", "replace"])
def test_triggers_refuse_every_change(filled, table, action):
    statement = {
        "update": f"update {table} set rowid = rowid + 1000"
        if table != "rejected_row"
        else "update rejected_row set reason = 'x'",
        "delete": f"delete from {table}",
        "replace": f"insert or replace into {table} select * from {table}",
    }[action]
    if (table, action) == ("data_file", "update"):
        statement = "update data_file set sha256 = 'x'"
    with (
        filled.store.manifest() as db,
        pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"),
    ):
        db.execute(statement)
    assert filled.gateway.verify() == []


@pytest.mark.parametrize(
    "change",
    [
        "removed_in = 1, path = 'x'",
        "removed_in = 1, rows = 7",
        "added_in = 0",
        "table_name = 'product'",
        "removed_in = null",
    ],
)
def test_a_data_file_may_only_be_removed_once(filled, change):
    with (
        filled.store.manifest() as db,
        pytest.raises(sqlite3.IntegrityError, match="data_file is append-only"),
    ):
        db.execute(f"update data_file set {change}")


def test_an_assignment_file_is_never_removed(filled):
    empty = filled.frame("select * exclude (import_batch_id) from assignment")
    rows = empty.reindex(range(1)).assign(
        scope="epoch:1", customer_id="c1", variant="control", assigned_at=pd.Timestamp(FIRST)
    )
    filled.gateway.append(
        {"assignment": rows},
        reason="draw",
        entries=lambda reader, hashes: [("members_drawn", "1", dict(hashes))],
    )
    with (
        filled.store.manifest() as db,
        pytest.raises(sqlite3.IntegrityError, match="data_file is append-only"),
    ):
        db.execute("update data_file set removed_in = 3 where table_name = 'assignment'")
    head = filled.gateway.ledger_head()
    with pytest.raises(LedgerError, match="1 rows of assignment are there already"):
        filled.gateway.append(
            {"assignment": rows}, reason="again", entries=lambda reader, hashes: []
        )
    assert filled.gateway.ledger_head() == head
    assert filled.rows("select count(*) from assignment") == [(1,)]


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (
            ["""update ledger set payload = '{"n":9}' where seq = 2"""],
            r"entry 2 \(decision of campaign-2\) was altered",
        ),
        (["update ledger set at = at || ' ' where seq = 4"], "entry 4 .* was altered"),
        (["update ledger set subject = 'x' where seq = 1"], "entry 1 .* was altered"),
        (["delete from ledger where seq = 2"], r"entry 2 of the ledger is missing \(found 3\)"),
        (["delete from ledger where seq = 1"], "entry 1 of the ledger is missing"),
        (
            [
                "update ledger set seq = 9 where seq = 2",
                "update ledger set seq = 2 where seq = 3",
                "update ledger set seq = 3 where seq = 9",
            ],
            "entry 2 does not follow from the entry before it",
        ),
        (
            ["delete from ledger where seq = 2", "update ledger set seq = seq - 1 where seq > 2"],
            "entry 2 does not follow",
        ),
        (
            [
                "insert into ledger select 5, at, kind, subject, payload, prev_digest, digest"
                " from ledger where seq = 4"
            ],
            "entry 5 ",
        ),
        (
            ["update data_file set removed_in = 1 where table_name = 'orders'"],
            "snapshot 1 does not hold the files",
        ),
        (
            ["update data_file set table_name = 'product' where table_name = 'orders'"],
            "snapshot 1 does not hold the files",
        ),
        (
            ["delete from data_file where table_name = 'customer'"],
            "snapshot 1 does not hold the files",
        ),
        (
            ["update data_file set sha256 = '00' where table_name = 'orders'"],
            "orders/.* was altered or is missing",
        ),
    ],
)
def test_verification_finds_what_was_changed(filled, statements, message):
    tamper(filled, *statements)
    with pytest.raises(AssertionError, match=message):
        assert_sound(filled)


def assert_sound(company) -> None:
    wrong = company.gateway.verify()
    assert wrong == [], "; ".join(wrong)


@pytest.mark.parametrize("how", ["altered", "missing"])
def test_an_altered_or_missing_file_is_found_in_every_snapshot(filled, how):
    path = filled.store.files("orders", 1)[0].path
    filled.orders([f"A1,c1,{FIRST},100"])  # replaces that file in the latest snapshot
    assert filled.gateway.verify() == []
    if how == "altered":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    else:
        path.unlink()
    assert filled.gateway.verify() == [
        f"the file facts/orders/{path.name} was altered or is missing"
    ]


def test_a_failing_transaction_writes_neither_rows_nor_entries(filled):
    before = (filled.gateway.snapshot(), filled.gateway.ledger_head())
    rows = pd.DataFrame({"campaign_id": ["k1"]})
    columns = filled.frame("select * exclude (import_batch_id) from campaign")
    new = columns.reindex(range(1)).assign(campaign_id=rows["campaign_id"])
    with pytest.raises(ValueError, match="Out of range float"):
        filled.gateway.append(
            {"campaign": new},
            reason="r",
            entries=lambda reader, hashes: [("decision", "s", {"x": float("nan")})],
        )
    assert (filled.gateway.snapshot(), filled.gateway.ledger_head()) == before
    filled.gateway.append(
        {"campaign": new}, reason="r", entries=lambda reader, hashes: [("decision", "s", {"x": 1})]
    )
    assert filled.rows("select campaign_id from campaign") == [("k1",)]
    assert filled.gateway.verify() == []
