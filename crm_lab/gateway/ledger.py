"""The append-only ledger: epochs, draws, registered plans, exported lists.

Each entry carries the digest of the one before it, so an altered, missing or reordered entry is
found by :func:`verify`. The store's triggers refuse UPDATE and DELETE; whoever drops them breaks
the chain. Somebody with write access to the file could rebuild the whole chain, so the digest of
the last entry is printed on every page that leans on it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from crm_lab.gateway.store import Store, utc_now
from crm_lab.language import say

EntryKind = Literal[
    "epoch_opened",
    "epoch_closed",
    "members_drawn",
    "plan_registered",
    "arms_assigned",
    "list_exported",
    "status_changed",
    "merge_flagged",
    "audited",
    "decision",
    "plan_revised",
]

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the ledger.

    Attributes
    ----------
    seq : int
        Position, counted from 1.
    at : datetime
        When it was written (UTC).
    kind : str
        What happened.
    subject : str
        Epoch, experiment or campaign it is about.
    payload : Mapping
        What there is to say of it, JSON-ready.
    digest : str
        Checksum over this entry and the digest before it.
    """

    seq: int
    at: datetime
    kind: str
    subject: str
    payload: Mapping[str, Any]
    digest: str


def append(
    db: sqlite3.Connection, kind: EntryKind, subject: str, payload: Mapping[str, Any]
) -> str:
    """Write one entry inside the caller's transaction and give its digest."""
    last = db.execute("select seq, digest from ledger order by seq desc limit 1").fetchone()
    seq, previous = (last[0] + 1, last[1]) if last else (1, GENESIS)
    at = utc_now().isoformat()
    text = json.dumps(payload, sort_keys=True, ensure_ascii=False, allow_nan=False)
    digest = _digest(seq, at, kind, subject, text, previous)
    db.execute(
        "insert into ledger values (?, ?, ?, ?, ?, ?, ?)",
        (seq, at, kind, subject, text, previous, digest),
    )
    return digest


def entries(store: Store, *, kind: EntryKind | None = None, subject: str = "") -> list[Entry]:
    """Read entries in order, all or those of one kind or subject."""
    with store.manifest() as db:
        rows = db.execute(
            "select seq, at, kind, subject, payload, digest from ledger"
            " where (?1 is null or kind = ?1) and (?2 = '' or subject = ?2) order by seq",
            (kind, subject),
        ).fetchall()
    return [
        Entry(
            seq=row[0],
            at=datetime.fromisoformat(row[1]),
            kind=row[2],
            subject=row[3],
            payload=json.loads(row[4]),
            digest=row[5],
        )
        for row in rows
    ]


def head(store: Store) -> str:
    """Digest of the last entry; zeros when the ledger is empty."""
    with store.manifest() as db:
        row = db.execute("select digest from ledger order by seq desc limit 1").fetchone()
    return str(row[0]) if row else GENESIS


def verify(store: Store) -> list[str]:
    """Recompute the chain, the files and the snapshots; give what is wrong (empty: sound).

    An entry that was altered, removed from the middle or inserted breaks the chain. Every file
    of every snapshot is compared with the hash that the manifest holds, and every snapshot with
    the files it was made of.
    """
    wrong: list[str] = []
    with store.manifest() as db:
        rows = db.execute(
            "select seq, at, kind, subject, payload, prev_digest, digest from ledger order by seq"
        ).fetchall()
    previous = GENESIS
    for position, row in enumerate(rows, start=1):
        seq, at, kind, subject, payload, prev_digest, digest = row
        if seq != position:
            wrong.append(
                say(
                    "entry {number} of the ledger is missing (found {found})",
                    number=position,
                    found=seq,
                )
            )
            break
        if prev_digest != previous:
            wrong.append(say("entry {number} does not follow from the entry before it", number=seq))
        if _digest(seq, at, kind, subject, payload, prev_digest) != digest:
            wrong.append(
                say(
                    "entry {number} ({kind} of {subject}) was altered",
                    number=seq,
                    kind=kind,
                    subject=subject,
                )
            )
        previous = digest
    wrong += [
        say("the file {name} was altered or is missing", name=name)
        for name in store.altered_files()
    ]
    wrong += [
        say("snapshot {number} does not hold the files it was made of", number=number)
        for number in store.altered_snapshots()
    ]
    return wrong


def _digest(seq: int, at: str, kind: str, subject: str, payload: str, previous: str) -> str:
    text = "\x1f".join((str(seq), at, kind, subject, payload, previous))
    return hashlib.sha256(text.encode()).hexdigest()
