"""Small shops with a known truth: customers, addresses, consents, suppressions and orders.

A customer buys by a Poisson process of his own rate, rates being gamma distributed over
customers, and spends log-normal amounts, independent of the rate. So the expected revenue of a
customer who is present is known exactly,

    orders_per_customer_day * mean_amount * days,

and an effect is planted exactly: from ``lift_from`` on, the rate of a customer with lift 0.4 is
1.4 times what it was, and so is his expected revenue. What a finite shop really sold differs from
that by chance, as in a company.

Frames use the column names of the Data Gateway, ids and amounts as text would read them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crm_lab.errors import DesignError
from crm_lab.language import say

RATE_SHAPE = 1.2
"""Shape of the gamma distribution of purchase rates: below 1.5 most customers are occasional."""
AMOUNT_SIGMA = 0.8
"""Standard deviation of the logarithm of an amount."""

MAPS = {
    "customers": (
        "customer",
        {"customer_id": "id", "created_at": "since", "household_id": "home"},
    ),
    "addresses": (
        "contact_point",
        {
            "contact_point_id": "id",
            "customer_id": "customer",
            "channel": "channel",
            "address": "address",
            "status": "status",
        },
    ),
    "consents": (
        "consent_event",
        {
            "consent_event_id": "id",
            "customer_id": "customer",
            "purpose": "{value: advertising}",
            "action": "action",
            "at": "at",
        },
    ),
    "suppressions": (
        "suppression",
        {
            "suppression_id": "id",
            "customer_id": "customer",
            "reason": "reason",
            "from_at": "since",
        },
    ),
    "orders": (
        "orders",
        {
            "order_id": "order_id",
            "customer_id": "customer_id",
            "store_id": "store",
            "ordered_at": "ordered_at",
            "net_revenue": "total",
            "discount": "discount",
            "status": "{value: paid}",
        },
    ),
}
"""Per file: its table, and the file's column (or fixed value) of each column of the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How often the exceptions are that a real base is full of; each between 0 and 1.

    Attributes
    ----------
    no_address, bounced, no_consent, withdrawn, suppressed : float
        Customers without an address, with one that does not work, who never consented, who took
        consent back, who must not be contacted.
    shared_address : float
        Customers who use the address of another one, written in other letter case.
    shared_household : float
        Customers who live with another one.
    """

    no_address: float = 0.02
    bounced: float = 0.02
    no_consent: float = 0.04
    withdrawn: float = 0.02
    suppressed: float = 0.02
    shared_address: float = 0.04
    shared_household: float = 0.06


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """One synthetic shop.

    Attributes
    ----------
    customers : pandas.DataFrame
        customer_id, created_at, household_id (None for most).
    contact_points : pandas.DataFrame
        contact_point_id, customer_id, channel, address, status.
    consents : pandas.DataFrame
        consent_event_id, customer_id, purpose, action, at.
    suppressions : pandas.DataFrame
        suppression_id, customer_id, reason, from_at.
    orders : pandas.DataFrame
        order_id, customer_id, store_id, ordered_at, amount_cents, discount_cents, is_planted:
        whether the order is there because of a lift.
    orders_per_customer_day : float
        Mean purchase rate without a lift.
    mean_amount : float
        Expected amount of an order, in money.
    """

    customers: pd.DataFrame
    contact_points: pd.DataFrame
    consents: pd.DataFrame
    suppressions: pd.DataFrame
    orders: pd.DataFrame
    orders_per_customer_day: float
    mean_amount: float

    def true_effect(self, lift: float, *, days: float) -> float:
        """Give the expected additional revenue per customer of a lift over so many days."""
        return lift * self.orders_per_customer_day * self.mean_amount * days

    def until(self, moment: datetime) -> Shop:
        """Give the shop as it was known before a moment: later orders and customers left out."""
        kept = self.customers[self.customers["created_at"] < moment]
        known = set(kept["customer_id"])

        def of_known(frame: pd.DataFrame) -> pd.DataFrame:
            return frame[frame["customer_id"].isin(known)]

        return Shop(
            customers=kept,
            contact_points=of_known(self.contact_points),
            consents=of_known(self.consents),
            suppressions=of_known(self.suppressions),
            orders=self.orders[self.orders["ordered_at"] < moment],
            orders_per_customer_day=self.orders_per_customer_day,
            mean_amount=self.mean_amount,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calendar:
    starts_at: datetime
    days: int
    lift_from: datetime
    present_from: NDArray[np.float64] = field(repr=False)

    def moments(self, day: NDArray[np.float64]) -> NDArray[np.datetime64]:
        seconds = (day * 86_400).astype(np.int64).astype("timedelta64[s]")
        return np.datetime64(self.starts_at, "s") + seconds


def make_shop(
    n_customers: int,
    *,
    rng: np.random.Generator,
    starts_at: datetime = datetime(2024, 1, 1),
    days: int = 180,
    joining_days: int = 30,
    orders_per_customer_day: float = 1 / 40,
    median_amount: float = 900.0,
    shares: Shares | None = None,
    lift: Callable[[str], float] | None = None,
    lift_from: datetime | None = None,
    id_prefix: str = "c",
) -> Shop:
    """Make a small shop whose truth is known; for tests, demonstrations and studies.

    Parameters
    ----------
    n_customers : int
        Customers, at least 1.
    rng : numpy.random.Generator
        Source of chance; the same state gives the same shop.
    starts_at : datetime
        First moment (UTC, without zone).
    days : int
        Length of the history.
    joining_days : int
        Customers join evenly over the first so many days, and buy from then on.
    orders_per_customer_day : float
        Mean purchase rate over customers.
    median_amount : float
        Median amount of an order, in money.
    shares : Shares, optional
        How often the exceptions are.
    lift : callable, optional
        Gives the lift of a customer by id: 0.4 makes the rate 1.4 times as high, -0.3 makes it 0.7
        times; at least -1. Without it there is none.
    lift_from : datetime, optional
        When the lift begins; needed with ``lift``.
    id_prefix : str
        Start of every customer id, so that two shops can be joined.

    Raises
    ------
    DesignError
        There is no customer or no day, a lift is below -1, or it has no beginning.

    Examples
    --------
    >>> shop = make_shop(50, rng=np.random.default_rng(1))
    >>> len(shop.customers), shop.orders["is_planted"].any()
    (50, np.False_)
    """
    if n_customers < 1 or days < 1 or not 0 <= joining_days <= days:
        raise DesignError(
            say(
                "{n_customers} customers over {days} days, joining within {joining_days}",
                n_customers=n_customers,
                days=days,
                joining_days=joining_days,
            ),
            expected=say("at least one of each, and joining within the history"),
        )
    if lift is not None and lift_from is None:
        raise DesignError(say("a lift without a beginning"), remedy=say("give lift_from"))
    ids = np.array([f"{id_prefix}{number:06d}" for number in range(1, n_customers + 1)])
    lifts = np.array([lift(str(name)) if lift else 0.0 for name in ids], dtype=np.float64)
    if (lifts < -1).any():
        raise DesignError(
            say("a lift of {min}", min=lifts.min()), expected=say("at least -1 (nobody buys)")
        )
    calendar = _Calendar(
        starts_at=starts_at,
        days=days,
        lift_from=lift_from or starts_at + timedelta(days=days),
        present_from=rng.random(n_customers) * joining_days,
    )
    given = shares or Shares()
    rates = rng.gamma(RATE_SHAPE, orders_per_customer_day / RATE_SHAPE, n_customers)
    customers = _customers(ids, calendar, given, rng)
    return Shop(
        customers=customers,
        contact_points=_contact_points(ids, given, rng),
        consents=_consents(customers, given, rng),
        suppressions=_suppressions(customers, given, rng),
        orders=_orders(ids, rates, lifts, calendar, median_amount, id_prefix, rng),
        orders_per_customer_day=orders_per_customer_day,
        mean_amount=median_amount * float(np.exp(AMOUNT_SIGMA**2 / 2)),
    )


def write_shop(shop: Shop, folder: Path, *, name: str = "") -> list[tuple[Path, Path]]:
    """Write a shop as a company would deliver it; give the pairs (map, file) in import order.

    Parameters
    ----------
    shop : Shop
        What to write; a frame without rows gives no file.
    folder : pathlib.Path
        Gets ``maps/`` and ``incoming/``; the workbench's own folder, say.
    name : str
        Put behind each file's name, for a second delivery into the same folder.
    """
    frames = {
        "customers": pd.DataFrame(
            {
                "id": shop.customers["customer_id"],
                "since": _text(shop.customers["created_at"]),
                "home": shop.customers["household_id"],
            }
        ),
        "addresses": pd.DataFrame(
            {
                "id": shop.contact_points["contact_point_id"],
                "customer": shop.contact_points["customer_id"],
                "channel": shop.contact_points["channel"],
                "address": shop.contact_points["address"],
                "status": shop.contact_points["status"],
            }
        ),
        "consents": pd.DataFrame(
            {
                "id": shop.consents["consent_event_id"],
                "customer": shop.consents["customer_id"],
                "action": shop.consents["action"],
                "at": _text(shop.consents["at"]),
            }
        ),
        "suppressions": pd.DataFrame(
            {
                "id": shop.suppressions["suppression_id"],
                "customer": shop.suppressions["customer_id"],
                "reason": shop.suppressions["reason"],
                "since": _text(shop.suppressions["from_at"]),
            }
        ),
        "orders": till_file(shop.orders),
    }
    return [
        _write(folder, kind, frame, f"{kind}{name}") for kind, frame in frames.items() if len(frame)
    ]


def till_file(orders: pd.DataFrame) -> pd.DataFrame:
    """Give orders as a till writes them: order_id, customer_id, store, ordered_at, total, ..."""
    return pd.DataFrame(
        {
            "order_id": orders["order_id"],
            "customer_id": orders["customer_id"],
            "store": orders["store_id"],
            "ordered_at": _text(orders["ordered_at"]),
            "total": (orders["amount_cents"] / 100).map("{:.2f}".format),
            "discount": (orders["discount_cents"] / 100).map("{:.2f}".format),
        }
    )


def _customers(
    ids: NDArray[np.str_], calendar: _Calendar, shares: Shares, rng: np.random.Generator
) -> pd.DataFrame:
    household = np.full(len(ids), None, dtype=object)
    living = np.flatnonzero(rng.random(len(ids)) < shares.shared_household)
    for place in living[living > 0]:
        mate = int(rng.integers(0, place))
        household[mate] = household[mate] or f"home-{ids[mate]}"
        household[place] = household[mate]
    return pd.DataFrame(
        {
            "customer_id": ids.astype(object),
            "created_at": calendar.moments(calendar.present_from),
            "household_id": household,
        }
    )


def _contact_points(
    ids: NDArray[np.str_], shares: Shares, rng: np.random.Generator
) -> pd.DataFrame:
    address = np.array([f"{name}@example.org" for name in ids], dtype=object)
    for place in np.flatnonzero(rng.random(len(ids)) < shares.shared_address):
        if place:
            other = str(address[int(rng.integers(0, place))])
            address[place] = other.upper() if rng.random() < 0.5 else other.title()
    frame = pd.DataFrame(
        {
            "contact_point_id": [f"email-{name}" for name in ids],
            "customer_id": ids.astype(object),
            "channel": "email",
            "address": address,
            "status": np.where(rng.random(len(ids)) < shares.bounced, "bounced", "valid"),
        }
    )
    return frame[rng.random(len(ids)) >= shares.no_address].reset_index(drop=True)


def _consents(customers: pd.DataFrame, shares: Shares, rng: np.random.Generator) -> pd.DataFrame:
    chance = rng.random((2, len(customers)))
    granted = customers[chance[0] >= shares.no_consent]
    left = customers[(chance[0] >= shares.no_consent) & (chance[1] < shares.withdrawn)]
    frames = [
        pd.DataFrame(
            {
                "consent_event_id": f"{action}-" + people["customer_id"],
                "customer_id": people["customer_id"],
                "purpose": "advertising",
                "action": action,
                "at": people["created_at"] + after,
            }
        )
        for action, people, after in (
            ("granted", granted, timedelta(0)),
            ("withdrawn", left, timedelta(days=3)),
        )
    ]
    return pd.concat(frames, ignore_index=True)


def _suppressions(
    customers: pd.DataFrame, shares: Shares, rng: np.random.Generator
) -> pd.DataFrame:
    chosen = customers[rng.random(len(customers)) < shares.suppressed]
    return pd.DataFrame(
        {
            "suppression_id": "stop-" + chosen["customer_id"],
            "customer_id": chosen["customer_id"],
            "reason": "complaint",
            "from_at": chosen["created_at"] + timedelta(days=1),
        }
    ).reset_index(drop=True)


def _orders(
    ids: NDArray[np.str_],
    rates: NDArray[np.float64],
    lifts: NDArray[np.float64],
    calendar: _Calendar,
    median_amount: float,
    prefix: str,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Orders that happen anyway, less those a negative lift takes, and those a lift adds."""
    begin = (calendar.lift_from - calendar.starts_at).total_seconds() / 86_400
    present = calendar.days - calendar.present_from
    anyway = _purchases(rates * present, calendar.present_from, calendar.days, rng)
    stays = rng.random(len(anyway)) < 1 + np.minimum(lifts[anyway["who"]], 0)
    anyway = anyway[(anyway["day"] < begin) | stays].assign(is_planted=False)
    first = np.maximum(calendar.present_from, begin)
    room = np.clip(calendar.days - first, 0, None)
    added = _purchases(rates * np.maximum(lifts, 0) * room, first, calendar.days, rng)
    every = pd.concat([anyway, added.assign(is_planted=True)], ignore_index=True)
    every = every.sort_values(["day", "who"]).reset_index(drop=True)
    amounts = median_amount * np.exp(rng.normal(0, AMOUNT_SIGMA, len(every)))
    return pd.DataFrame(
        {
            "order_id": [f"{prefix}-order-{number}" for number in range(1, len(every) + 1)],
            "customer_id": ids[every["who"].to_numpy()].astype(object),
            "store_id": "store-1",
            "ordered_at": calendar.moments(every["day"].to_numpy()),
            "amount_cents": np.maximum(1, (amounts * 100).round()).astype(np.int64),
            "discount_cents": 0,
            "is_planted": every["is_planted"],
        }
    )


def _purchases(
    expected: NDArray[np.float64],
    first: NDArray[np.float64],
    last: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    who = np.repeat(np.arange(len(expected)), rng.poisson(expected))
    day = first[who] + rng.random(len(who)) * (last - first[who])
    return pd.DataFrame({"who": who, "day": day})


def _text(moments: pd.Series[pd.Timestamp]) -> pd.Series[str]:
    return moments.dt.strftime("%Y-%m-%d %H:%M:%S")


def _write(folder: Path, kind: str, frame: pd.DataFrame, file_name: str) -> tuple[Path, Path]:
    table, columns = MAPS[kind]
    maps, incoming = folder / "maps", folder / "incoming"
    for place in (maps, incoming):
        place.mkdir(parents=True, exist_ok=True)
    map_path, file = maps / f"{kind}.yml", incoming / f"{file_name}.csv"
    listed = "".join(f"  {target}: {origin}\n" for target, origin in columns.items())
    map_path.write_text(
        f'table: {table}\nsource_system: shop\nfiles: "{kind}*.csv"\ncolumns:\n{listed}', "utf-8"
    )
    frame.to_csv(file, index=False, encoding="utf-8", lineterminator="\n")
    return map_path, file
