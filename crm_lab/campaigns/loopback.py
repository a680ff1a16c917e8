"""A sending service that is not there: it reads send lists and returns what one would return.

It plants a known effect on top of real orders, so that the whole loop can be run and its answer
checked: an arm with an effect of 0.4 gets extra orders worth 40 % of what its recipients really
spent in the window. What was planted is written beside the results, and a page that uses it says
so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from crm_lab import formats
from crm_lab.campaigns.send_lists import as_written
from crm_lab.cards import Result
from crm_lab.errors import DesignError, FileError
from crm_lab.language import message, say, word

DELIVERED, OPENED, CLICKED, UNSUBSCRIBED = 0.97, 0.32, 0.06, 0.004
PLANTED_FILE = "planted.json"


_HELD = message("{arm}: planted {planted} per customer, found {found}, which holds it")
_MISSED = message("{arm}: planted {planted} per customer, found {found}, which misses it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """What the loopback service added in one arm.

    Attributes
    ----------
    arm : str
        The arm.
    effect : float
        Wanted effect, as a part of what the recipients really spent in the window.
    recipients : int
        Rows of the send list.
    orders : int
        Orders that were added.
    revenue : float
        What they are worth in all; exact.
    """

    arm: str
    effect: float
    recipients: int
    orders: int
    revenue: float


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PlantedCheck(Result):
    """Whether the read-out found what a loopback run had planted.

    Attributes
    ----------
    rows : tuple of (Planted, estimate, low, high)
        Planted revenue per assigned customer is compared with the interval of the read-out.
    customers : mapping
        Customers assigned per arm.
    currency : str
        Currency of the amounts.
    """

    title: ClassVar[str] = message("Planted and found")

    rows: tuple[tuple[Planted, float, float, float], ...]
    customers: Mapping[str, int]
    currency: str

    def truth(self, item: Planted) -> float:
        """Planted revenue per customer assigned to the arm; NaN where nobody was."""
        customers = self.customers[item.arm]
        return item.revenue / customers if customers else float("nan")

    def is_recovered(self, arm: str) -> bool:
        """Whether the planted effect of an arm lies in the interval of the read-out."""
        return any(
            low <= self.truth(item) <= high for item, _, low, high in self.rows if item.arm == arm
        )

    def sentence(self) -> str:
        """Say what was planted and whether the interval holds it."""
        parts = []
        for item, estimate, low, high in self.rows:
            found = formats.money_interval(estimate, low, high, self.currency)
            truth = self.truth(item)
            parts.append(
                say(
                    _HELD if low <= truth <= high else _MISSED,
                    arm=word(item.arm),
                    planted=formats.money(truth, self.currency, decimals=2, signed=True),
                    found=found,
                )
            )
        return say(
            "These effects are not real: the loopback service planted them on top of real orders."
            " {parts}.",
            parts="; ".join(parts),
        )

    def to_frame(self) -> pd.DataFrame:
        """Give one row per arm: planted and found, per customer assigned."""
        return pd.DataFrame(
            [
                {
                    "arm": item.arm,
                    "planted orders": item.orders,
                    "planted per customer": formats.money(
                        self.truth(item), self.currency, decimals=2, signed=True
                    ),
                    "found per customer": formats.money_interval(
                        estimate, low, high, self.currency
                    ),
                    "interval holds it": low <= self.truth(item) <= high,
                }
                for item, estimate, low, high in self.rows
            ]
        )


def run_loopback(
    lists: Mapping[str, Path],
    till: pd.DataFrame,
    *,
    effects: Mapping[str, float],
    ends_at: datetime,
    folder: Path,
    rng: np.random.Generator,
    timezone: str = "UTC",
) -> list[Planted]:
    """Consume send lists and write delivery events and orders as files.

    Parameters
    ----------
    lists : mapping
        Send list file per arm.
    till : pandas.DataFrame
        The real orders of the window: order_id, customer_id, store_id, ordered_at (local time of
        the till), amount_cents, discount_cents.
    effects : mapping
        Effect to plant per arm, from 0; arms that are not named get none.
    ends_at : datetime
        End of the window (UTC, without zone).
    folder : pathlib.Path
        Gets ``deliveries.csv``, ``orders.csv`` (the real orders and the planted ones) and
        ``planted.json``.
    rng : numpy.random.Generator
        Source of chance.
    timezone : str
        IANA name of the zone of the till's times.

    Raises
    ------
    DesignError
        An effect is negative or no number, or is meant for an arm that has no list.
    FileError
        A send list is missing, has other columns or times that cannot be read.
    """
    _check_effects(effects, lists)
    till = till.assign(ordered_at=_to_utc(till["ordered_at"], timezone))
    events, planted, extra = [], [], []
    for arm, path in lists.items():
        recipients = _read_list(path)
        events.append(_deliveries(recipients, rng))
        orders = _planted_orders(
            recipients, till, effect=effects.get(arm, 0.0), ends_at=ends_at, arm=arm, rng=rng
        )
        extra.append(orders)
        planted.append(
            Planted(
                arm=arm,
                effect=effects.get(arm, 0.0),
                recipients=len(recipients),
                orders=len(orders),
                revenue=int(orders["amount_cents"].sum()) / 100,
            )
        )
    folder.mkdir(parents=True, exist_ok=True)
    _write_csv(pd.concat(events, ignore_index=True), folder / "deliveries.csv")
    every = pd.concat([till, *extra], ignore_index=True).sort_values(["ordered_at", "order_id"])
    every["ordered_at"] = _to_local(every["ordered_at"], timezone)
    _write_csv(_till_columns(every), folder / "orders.csv")
    truth = [
        {
            "arm": item.arm,
            "effect": item.effect,
            "recipients": item.recipients,
            "orders": item.orders,
            "revenue": item.revenue,
        }
        for item in planted
    ]
    (folder / PLANTED_FILE).write_text(json.dumps(truth, indent=2), "utf-8")
    return planted


def read_planted(folder: Path) -> list[Planted] | None:
    """Read what a loopback run planted, or None where there was none."""
    path = folder / PLANTED_FILE
    if not path.is_file():
        return None
    try:
        return [Planted(**item) for item in json.loads(path.read_text("utf-8"))]
    except (ValueError, TypeError) as problem:
        raise FileError(
            say("not what a loopback run writes ({problem})", problem=problem),
            where=str(path),
            remedy=say("run the loopback service again, or remove the file"),
        ) from None


def _read_list(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise FileError(say("the send list does not exist"), where=str(path))
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    missing = {"send_id", "customer_id", "scheduled_at"} - set(frame.columns)
    if missing:
        raise FileError(
            say("the send list lacks {missing}", missing=", ".join(sorted(missing))),
            where=str(path),
        )
    frame["customer_id"] = frame["customer_id"].map(as_written)
    try:
        # with an offset; lists of earlier versions have none and are UTC
        moments = pd.to_datetime(frame["scheduled_at"], format="ISO8601", utc=True)
    except ValueError as problem:
        raise FileError(
            say("a time cannot be read ({problem})", problem=problem), where=str(path)
        ) from None
    frame["scheduled_at"] = moments.dt.tz_localize(None)
    return frame


def _check_effects(effects: Mapping[str, float], lists: Mapping[str, Path]) -> None:
    unknown = [arm for arm in effects if arm not in lists]
    if unknown:
        raise DesignError(
            say(
                "an effect for {unknown}, which has no send list", unknown=formats.listing(unknown)
            ),
            expected=say("one of {lists}", lists=formats.listing(lists, limit=20)),
        )
    for arm, effect in effects.items():
        if not (math.isfinite(effect) and effect >= 0):
            raise DesignError(
                say("an effect of {effect} for {arm}", effect=effect, arm=arm),
                expected=say("0 or more: orders can only be added"),
            )


def _to_utc(local: pd.Series[pd.Timestamp], timezone: str) -> pd.Series[pd.Timestamp]:
    zoned = local.dt.tz_localize(timezone, ambiguous="NaT", nonexistent="shift_forward")
    # an hour that the clocks repeat is taken as its first pass
    first = local.dt.tz_localize(timezone, ambiguous=True, nonexistent="shift_forward")
    return zoned.fillna(first).dt.tz_convert("UTC").dt.tz_localize(None)


def _to_local(moments: pd.Series[pd.Timestamp], timezone: str) -> pd.Series[pd.Timestamp]:
    return moments.dt.tz_localize("UTC").dt.tz_convert(timezone).dt.tz_localize(None)


def _deliveries(recipients: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """One event per thing that happened to a message, ids made of the message's."""
    chance = rng.random((4, len(recipients)))
    minutes = rng.integers(1, 60 * 48, (3, len(recipients)))
    delivered = chance[0] < DELIVERED
    opened = delivered & (chance[1] < OPENED)
    clicked = opened & (chance[2] < CLICKED / OPENED)
    left = opened & (chance[3] < UNSUBSCRIBED / OPENED)
    parts = []
    for kind, happened, after in (
        ("delivered", delivered, np.ones(len(recipients), dtype=int)),
        ("bounce_soft", ~delivered, np.ones(len(recipients), dtype=int)),
        ("open", opened, minutes[0]),
        ("click", clicked, minutes[0] + minutes[1]),
        ("unsubscribe", left, minutes[0] + minutes[2]),
    ):
        chosen = recipients[happened]
        parts.append(
            pd.DataFrame(
                {
                    "event_id": chosen["send_id"] + f"/{kind}",
                    "send_id": chosen["send_id"],
                    "at": chosen["scheduled_at"] + pd.to_timedelta(after[happened], unit="min"),
                    "type": kind,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _planted_orders(
    recipients: pd.DataFrame,
    till: pd.DataFrame,
    *,
    effect: float,
    ends_at: datetime,
    arm: str,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Extra orders worth ``effect`` times the recipients' real spend, drawn from their receipts."""
    if not effect or recipients.empty:
        return till.iloc[:0]
    if (recipients["scheduled_at"] >= ends_at - timedelta(minutes=1)).any():
        raise FileError(say("a message is scheduled after the end of the window"), where=arm)
    sent_at = recipients["scheduled_at"].min()
    own = till[
        till["customer_id"].isin(recipients["customer_id"])
        & (till["ordered_at"] >= sent_at)
        & (till["ordered_at"] < ends_at)
        & (till["amount_cents"] > 0)
    ]
    target = effect * float(own["amount_cents"].sum())
    if target <= 0:
        return till.iloc[:0]
    campaign = str(recipients["send_id"].iloc[0]).partition("/")[0]
    count = max(1, round(target / float(own["amount_cents"].mean())))
    receipts = own.iloc[rng.integers(0, len(own), count)]
    takers = recipients.iloc[rng.integers(0, len(recipients), count)]
    first = takers["scheduled_at"].to_numpy()
    room = (np.datetime64(ends_at - timedelta(minutes=1)) - first).astype("timedelta64[s]")
    seconds = (rng.random(count) * room.astype(np.int64)).astype(np.int64)
    return pd.DataFrame(
        {
            "order_id": [f"planted-{campaign}-{arm}-{number}" for number in range(1, count + 1)],
            "customer_id": takers["customer_id"].to_numpy(),
            "store_id": receipts["store_id"].to_numpy(),
            "ordered_at": first + seconds.astype("timedelta64[s]"),
            "amount_cents": receipts["amount_cents"].to_numpy(),
            "discount_cents": 0,
        }
    )


def _till_columns(orders: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "order_id": orders["order_id"],
            "customer_id": orders["customer_id"],
            "store": orders["store_id"],
            "ordered_at": orders["ordered_at"].dt.strftime("%Y-%m-%d %H:%M:%S"),
            "total": (orders["amount_cents"] / 100).map("{:.2f}".format),
            "discount": (orders["discount_cents"] / 100).map("{:.2f}".format),
        }
    )


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False, encoding="utf-8", lineterminator="\n")
