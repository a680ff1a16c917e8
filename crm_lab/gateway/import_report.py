"""What one import did with every record of the file, as a card."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.language import message, say, say_many, using_language

LOADED = message(
    "{file}: {rows} records, {loaded} loaded into {table} ({new} new, {changed} changed,"
    " {unchanged} as they were), {rejected} set aside."
)
LOADED_MONEY = message(
    "{file}: {rows} records, {loaded} loaded into {table} ({new} new, {changed} changed,"
    " {unchanged} as they were), {rejected} set aside; {money_in} in, {money_loaded} loaded."
)
ImportStatus = Literal["ok", "partial", "already loaded"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ImportReport(Result):
    """What one import did with every record of the file.

    Attributes
    ----------
    import_batch_id : str
        Name of the batch, made of the file's and the map's content.
    status : {"ok", "partial", "already loaded"}
        Whether every record was loaded, some were set aside, or the file had been loaded before.
    table, file_name : str
        Where it went and where it came from.
    rows_in, rows_loaded, rows_rejected : int
        Records of the file; loaded + rejected = in.
    rows_inserted, rows_updated, rows_unchanged : int
        What the loaded rows were to the gateway.
    customers_created : int
        Customers that the file named for the first time.
    amount_in, amount_loaded, amount_rejected : Decimal or None
        Sums of the money column, as far as it can be read; loaded + rejected = in.
    amounts_unread : int
        Records whose money cannot be read; no sum holds it.
    rejected_by_reason : mapping
        Count per (column, reason).
    first_rejected : tuple of dict
        The first five records set aside: record number, column, reason, content.
    currency : str
        Currency of the amounts.
    snapshot : str
        Label of the snapshot that holds the rows.
    seconds : float
        How long it took.
    """

    title: ClassVar[str] = message("Import")

    import_batch_id: str
    status: ImportStatus
    table: str
    file_name: str
    rows_in: int
    rows_loaded: int
    rows_rejected: int
    rows_inserted: int
    rows_updated: int
    rows_unchanged: int
    customers_created: int
    amount_in: Decimal | None
    amount_loaded: Decimal | None
    amount_rejected: Decimal | None
    amounts_unread: int
    rejected_by_reason: dict[str, int]
    first_rejected: tuple[dict[str, str], ...]
    currency: str
    snapshot: str
    seconds: float

    def sentence(self) -> str:
        """Say what happened to the file."""
        if self.status == "already loaded":
            return say(
                "{file} had been loaded before (batch {batch}); nothing was changed.",
                file=self.file_name,
                batch=self.import_batch_id,
            )
        words = {
            "file": self.file_name,
            "rows": formats.number(self.rows_in),
            "loaded": formats.number(self.rows_loaded),
            "table": self.table,
            "new": formats.number(self.rows_inserted),
            "changed": formats.number(self.rows_updated),
            "unchanged": formats.number(self.rows_unchanged),
            "rejected": formats.number(self.rows_rejected),
        }
        if self.amount_in is None or self.amount_loaded is None:
            return say(LOADED, **words)
        money_in, money_loaded = (
            formats.money(float(amount), self.currency, decimals=2)
            for amount in (self.amount_in, self.amount_loaded)
        )
        said = say(LOADED_MONEY, money_in=money_in, money_loaded=money_loaded, **words)
        if not self.amounts_unread:
            return said
        return f"{said} " + say_many(
            "The money of {count} record could not be read: the sums lack it, and what the file"
            " holds in all is not known.",
            "The money of {count} records could not be read: the sums lack it, and what the file"
            " holds in all is not known.",
            self.amounts_unread,
        )

    def to_frame(self) -> pd.DataFrame:
        """Give counts and sums, one row each."""
        with using_language("en"):
            return self.card_frame()

    def card_frame(self) -> pd.DataFrame:
        """Give the same as people read it."""
        rows: list[tuple[str, object]] = [
            (say("records in the file"), self.rows_in),
            (say("loaded"), self.rows_loaded),
            (say("of these new"), self.rows_inserted),
            (say("of these changed"), self.rows_updated),
            (say("of these as they were"), self.rows_unchanged),
            (say("set aside"), self.rows_rejected),
        ]
        rows += [
            (say("set aside: {reason}", reason=why), n)
            for why, n in self.rejected_by_reason.items()
        ]
        if self.customers_created:
            rows.append((say("customers made from their orders"), self.customers_created))
        if self.amount_in is not None:
            rows += [
                (
                    say("{currency} in the file", currency=formats.currency_name(self.currency)),
                    formats.number(float(self.amount_in), decimals=2),
                ),
                (
                    say("{currency} loaded", currency=formats.currency_name(self.currency)),
                    formats.number(float(self.amount_loaded or 0), decimals=2),
                ),
                (
                    say("{currency} set aside", currency=formats.currency_name(self.currency)),
                    formats.number(float(self.amount_rejected or 0), decimals=2),
                ),
            ]
        if self.amounts_unread:
            rows.append((say("records whose money could not be read"), self.amounts_unread))
        return pd.DataFrame(rows, columns=["what", "value"])
