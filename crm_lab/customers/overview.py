"""What a base holds and what it can carry: the first page of every workbench."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.language import message, say, word

MIN_CUSTOMERS_CONTROL = 2_000
MIN_DAYS_LTV = 180
MIN_REPEATERS_LTV = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether the base can carry one kind of analysis.

    Attributes
    ----------
    analysis : str
        What one might want to do.
    is_ready : bool
        Whether the data allow it.
    reason : str
        Why, with the number that decides.
    """

    analysis: str
    is_ready: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BaseOverview(Result):
    """The customer base at one moment.

    Attributes
    ----------
    company, currency : str
        Whose base, and the currency of its amounts.
    customers, customers_with_orders, orders : int
        Counts.
    revenue, revenue_known_customer : float
        All revenue, and the part with a known customer.
    orders_without_revenue : int
        Orders of 0 or less.
    first_order_at, last_order_at : datetime or None
        Period of the orders.
    has_cost : bool
        Whether cost of goods is known for every order, so that margin is.
    reach : mapping
        Customers who may be contacted, by channel.
    obstacles : mapping
        Customers who may not be contacted in the main channel, by obstacle.
    monthly : pandas.DataFrame
        Columns month, orders, buyers, new_buyers, revenue.
    chosen_campaigns : pandas.DataFrame
        Campaigns whose recipients were chosen, not drawn: campaign_id, recipients, others,
        recipients_before, others_before (revenue per customer of the 28 days before).
    imports : pandas.DataFrame
        Every import, the latest first.
    readiness : tuple of Readiness
        What the base can carry.
    snapshot : str
        Label of the data.
    """

    title: ClassVar[str] = message("Customer base")
    plotter: ClassVar[str] = "crm_lab.plots.overview:plot_months"

    company: str
    currency: str
    customers: int
    customers_with_orders: int
    orders: int
    revenue: float
    revenue_known_customer: float
    orders_without_revenue: int
    first_order_at: datetime | None
    last_order_at: datetime | None
    has_cost: bool
    reach: Mapping[str, int]
    obstacles: Mapping[str, int]
    monthly: pd.DataFrame
    chosen_campaigns: pd.DataFrame
    imports: pd.DataFrame
    readiness: tuple[Readiness, ...]
    snapshot: str

    @property
    def known_share(self) -> float:
        """Share of revenue whose customer is known."""
        return self.revenue_known_customer / self.revenue if self.revenue else float("nan")

    def sentence(self) -> str:
        """Say how many customers, orders and how much money of which period."""
        reach = ", ".join(
            say("{count} by {channel}", count=formats.number(count), channel=word(name))
            for name, count in self.reach.items()
        )
        return say(
            "{customers} customers, {orders} orders from {first} to {last}, revenue {revenue}"
            " ({known} with a known customer). May be contacted: {reach}.",
            customers=formats.number(self.customers),
            orders=formats.number(self.orders),
            first=formats.day(self.first_order_at),
            last=formats.day(self.last_order_at),
            revenue=formats.money(self.revenue, self.currency),
            known=formats.percent(self.known_share),
            reach=reach or say("nobody"),
        )

    def to_frame(self) -> pd.DataFrame:
        """Give the base month by month."""
        return self.monthly

    def readiness_frame(self) -> pd.DataFrame:
        """Give what the base can carry: analysis, ready, reason."""
        return pd.DataFrame(
            [
                {"analysis": say(item.analysis), "ready": item.is_ready, "why": item.reason}
                for item in self.readiness
            ],
            columns=["analysis", "ready", "why"],
        )

    def imports_frame(self) -> pd.DataFrame:
        """Give the imports as people read them: file, records, set aside, sums."""
        frame = self.imports
        unread = frame["amounts_unread"].fillna(0).astype(int)
        return pd.DataFrame(
            {
                "file": frame["file_name"],
                "table": frame["table_name"],
                "status": frame["status"],
                "records": frame["rows_in"],
                "loaded": frame["rows_loaded"],
                "set aside": frame["rows_rejected"],
                say("{currency} in the file", currency=self.currency): frame["amount_in"].astype(
                    float
                ),
                say("{currency} loaded", currency=self.currency): frame["amount_loaded"].astype(
                    float
                ),
                **({"money not read": unread} if unread.any() else {}),
            }
        )

    def chosen_frame(self) -> pd.DataFrame:
        """Give the campaigns that were not randomised, with who had spent what before."""
        frame = self.chosen_campaigns
        ratio = frame["recipients_before"] / frame["others_before"].where(
            frame["others_before"] > 0
        )
        return pd.DataFrame(
            {
                "campaign": frame["campaign_id"],
                "recipients": frame["recipients"],
                "others": frame["others"],
                "recipients spent before": frame["recipients_before"].round(2),
                "others spent before": frame["others_before"].round(2),
                "ratio": ratio.round(1),
            }
        )


def describe_base(
    *,
    company: str,
    currency: str,
    totals: Mapping[str, object],
    monthly: pd.DataFrame,
    reach: Mapping[str, int],
    obstacles: Mapping[str, int],
    repeaters: int,
    chosen_campaigns: pd.DataFrame,
    imports: pd.DataFrame,
    snapshot: str,
) -> BaseOverview:
    """Put together what the base holds and judge what it can carry.

    Parameters
    ----------
    company, currency : str
        Whose base, and the currency of its amounts.
    totals : mapping
        Counts and sums, as the gateway's operation ``base_totals`` gives them.
    monthly, chosen_campaigns, imports : pandas.DataFrame
        See :class:`BaseOverview`.
    reach, obstacles : mapping
        Customers who may be contacted by channel, and what keeps the others from it.
    repeaters : int
        Customers with at least two purchase days.
    snapshot : str
        Label of the data.
    """
    first, last = _moment(totals["first_order_at"]), _moment(totals["last_order_at"])
    orders = _whole(totals["orders"])
    with_cost = _whole(totals["orders_with_cost"])
    reachable = max(reach.values(), default=0)
    return BaseOverview(
        company=company,
        currency=currency,
        customers=_whole(totals["customers"]),
        customers_with_orders=_whole(totals["customers_with_orders"]),
        orders=orders,
        revenue=float(str(totals["revenue"])),
        revenue_known_customer=float(str(totals["revenue_known_customer"])),
        orders_without_revenue=_whole(totals["orders_without_revenue"]),
        first_order_at=first,
        last_order_at=last,
        has_cost=orders > 0 and with_cost == orders,
        reach=dict(reach),
        obstacles=dict(obstacles),
        monthly=monthly,
        chosen_campaigns=chosen_campaigns,
        imports=imports,
        readiness=_readiness(reachable, first, last, repeaters, with_cost, orders),
        snapshot=snapshot,
    )


def _readiness(
    reachable: int,
    first: datetime | None,
    last: datetime | None,
    repeaters: int,
    with_cost: int,
    orders: int,
) -> tuple[Readiness, ...]:
    days = (last - first).days if first is not None and last is not None else 0
    return (
        Readiness(
            analysis=message("control group of 5 %"),
            is_ready=reachable >= MIN_CUSTOMERS_CONTROL,
            reason=say(
                "{reachable} customers may be contacted; below {least} a 5 % group sees only"
                " changes that no campaign brings; the page of the control group says what it sees",
                reachable=formats.number(reachable),
                least=formats.number(MIN_CUSTOMERS_CONTROL),
            ),
        ),
        Readiness(
            analysis=message("lifetime value"),
            is_ready=days >= MIN_DAYS_LTV and repeaters >= MIN_REPEATERS_LTV,
            reason=say(
                "{days} days of orders (at least {least_days}), {repeaters} customers who came"
                " back (at least {least_repeaters})",
                days=formats.number(days),
                least_days=MIN_DAYS_LTV,
                repeaters=formats.number(repeaters),
                least_repeaters=MIN_REPEATERS_LTV,
            ),
        ),
        Readiness(
            analysis=message("margin instead of revenue"),
            is_ready=orders > 0 and with_cost == orders,
            reason=say(
                "cost is known for {with_cost} of {orders} orders",
                with_cost=formats.number(with_cost),
                orders=formats.number(orders),
            ),
        ),
    )


def _moment(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None


def _whole(value: object) -> int:
    return int(str(value))
