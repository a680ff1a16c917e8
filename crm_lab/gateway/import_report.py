"""What one import did with every record of the file, as a card."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Literal

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result

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
        Sums of the money column; loaded + rejected = in.
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

    title: ClassVar[str] = "Import"

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
    rejected_by_reason: dict[str, int]
    first_rejected: tuple[dict[str, str], ...]
    currency: str
    snapshot: str
    seconds: float

    def sentence(self) -> str:
        """Say what happened to the file."""
        if self.status == "already loaded":
            return (
                f"{self.file_name} had been loaded before (batch {self.import_batch_id});"
                " nothing was changed."
            )
        text = (
            f"{self.file_name}: {self.rows_in:,} records, {self.rows_loaded:,} loaded into"
            f" {self.table} ({self.rows_inserted:,} new, {self.rows_updated:,} changed,"
            f" {self.rows_unchanged:,} as they were), {self.rows_rejected:,} set aside"
        )
        if self.amount_in is not None and self.amount_loaded is not None:
            text += (
                f"; {formats.money(float(self.amount_in), self.currency, decimals=2)} in,"
                f" {formats.money(float(self.amount_loaded), self.currency, decimals=2)} loaded"
            )
        return text + "."

    def to_frame(self) -> pd.DataFrame:
        """Give counts and sums, one row each."""
        rows: list[tuple[str, object]] = [
            ("records in the file", self.rows_in),
            ("loaded", self.rows_loaded),
            ("of these new", self.rows_inserted),
            ("of these changed", self.rows_updated),
            ("of these as they were", self.rows_unchanged),
            ("set aside", self.rows_rejected),
        ]
        rows += [(f"set aside: {why}", n) for why, n in self.rejected_by_reason.items()]
        if self.customers_created:
            rows.append(("customers made from their orders", self.customers_created))
        if self.amount_in is not None:
            rows += [
                (f"{self.currency} in the file", float(self.amount_in)),
                (f"{self.currency} loaded", float(self.amount_loaded or 0)),
                (f"{self.currency} set aside", float(self.amount_rejected or 0)),
            ]
        return pd.DataFrame(rows, columns=["what", "value"])
