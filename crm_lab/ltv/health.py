"""What was done with how many rows before a lifetime model saw them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from crm_lab.cards import Result
from crm_lab.ltv import group_wording as wording
from crm_lab.ltv.purchase_days import HistoryHealth


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DataHealth(Result):
    """How many rows each policy touched on the way from orders to histories.

    Attributes
    ----------
    counts : dict of str to int
        ``orders``, ``later``, ``cancelled``, ``unknown_customer``, ``same_day``, ``refunds``,
        ``refund_only_days``, ``customers``, ``customers_without_purchase``, ``repeat_days``,
        ``unpaid_repeat_days``.
    """

    title: ClassVar[str] = wording.HEALTH_TITLE

    counts: dict[str, int]

    @classmethod
    def of(cls, counts: Mapping[str, object]) -> DataHealth:
        """Take the counts of the database as whole numbers."""
        return cls(counts={name: int(str(counts[name])) for name in wording.POLICY_WORDS})

    @property
    def history_health(self) -> HistoryHealth:
        """The same, as a purchase history carries it."""
        c = self.counts
        return HistoryHealth(
            rows=c["orders"] - c["cancelled"] - c["unknown_customer"],
            rows_after_as_of=c["later"],
            same_day_orders=c["same_day"],
            refund_rows=c["refunds"],
            refund_only_days=c["refund_only_days"],
            customers_without_purchase=c["customers_without_purchase"],
            unpaid_repeat_days=c["unpaid_repeat_days"],
        )

    def sentence(self) -> str:
        """Say how much of the orders is in the histories."""
        return wording.health_sentence(self)

    def to_frame(self) -> pd.DataFrame:
        """Give one row per policy: what, rows, what was done."""
        return pd.DataFrame(
            [
                {"what": what, "rows": self.counts[name], "what was done": done}
                for name, (what, done) in wording.POLICY_WORDS.items()
            ]
        )
