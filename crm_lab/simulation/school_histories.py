"""What happens to the people of an invented school: the chances, and the draws from them."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LANDINGS = {"l-courses": "Courses", "l-webinar": "Open webinar"}
FORMS = {
    "f-quiz": ("Quiz: find your course", "l-courses", 0.30, 0.18),
    "f-trial": ("Trial lesson", "l-courses", 0.25, 0.12),
    "f-price": ("Price list", "l-courses", 0.15, 0.08),
    "f-seat": ("Seat at the webinar", "l-webinar", 0.20, 0.11),
    "f-record": ("Recording of the webinar", "l-webinar", 0.098, 0.06),
    "f-partner": ("Partner's page", "l-webinar", 0.002, 0.50),
}
"""Form: name, landing, share of registrations, chance of a deal won within the first week."""
CHANNELS = {"messenger": (0.4, 1.3), "email": (0.6, 0.8)}
"""Channel: share of registrations, and factor on the chance; the factors average to 1."""
REASONS = {
    "price": ("Too expensive", True, "Offer instalments", 0.38, 0.12),
    "time": ("No time now", True, "Ask again in two months", 0.27, 0.20),
    "silent": ("Does not answer", True, "Write by messenger", 0.17, 0.06),
    "other": ("Chose another school", False, "Leave in peace", 0.12, 0.03),
    "unfit": ("Wrong course", True, "Show the catalogue", 0.06, 0.10),
}
"""Refusal: name, recoverable, default scenario, share of the lost, chance to win a deal again."""
CONTACTED, LATE_WIN, LOST, STAYS_OPEN = 0.85, 0.05, 0.45, 0.15
"""Chances: a message after the registration; of those not won in the week, what becomes of them."""
WINS_AFTER_RETURN = 0.5
"""Chance of a deal won within 30 days of the return."""
SECOND_DEAL, SECOND_WON = 0.25, 0.55
NEXT_ORDER = 0.7
"""Chance that a customer orders again about four weeks after an order."""
ANSWERS = 0.3
"""Chance that a buyer answers the survey."""
UNSUBSCRIBES = {True: 0.02, False: 0.004}
"""Chance to unsubscribe in the window, written to or not."""
CLICKS = {"messenger": 0.25, "email": 0.08}
MEDIAN_AMOUNT, AMOUNT_SIGMA = 12_000.0, 0.4
_ORDER_CYCLE_DAYS = 28
_WEEK = 7.0


def true_first_week(form: str, channel: str | None = None) -> float:
    """Give the chance that a registration closes in a deal within its first week."""
    return FORMS[form][3] * (CHANNELS[channel][1] if channel else 1.0)


def draw_histories(
    ids: NDArray[np.object_],
    came: NDArray[np.float64],
    forms: NDArray[np.object_],
    channels: NDArray[np.object_],
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw every customer's deals and life-cycle states, in days since the start."""
    n = len(ids)
    chance = np.array([true_first_week(f, c) for f, c in zip(forms, channels, strict=True)])
    in_week = rng.random(n) < chance
    fate = rng.random(n)
    late = ~in_week & (fate < LATE_WIN)
    lost = ~in_week & ~late & (fate < LATE_WIN + LOST)
    stays = ~in_week & ~late & ~lost & (fate < LATE_WIN + LOST + STAYS_OPEN)
    reason = pick(list(REASONS), [item[3] for item in REASONS.values()], n, rng)
    u, v = rng.random(n), rng.random(n)
    opened = came + np.where(in_week, 0.4 * _WEEK * u, 10 * u)
    closed = np.select(
        [in_week, late, lost],
        [opened + v * (came + _WEEK - 0.01 - opened), came + 10.5 + 45 * v, opened + 25 * v],
        np.nan,
    )
    has = in_week | late | lost | stays
    first = _deals(ids, opened, closed, np.where(in_week | late, "won", "lost"), has, False)
    first["status"] = first["status"].where(first["closed"].notna(), "open")
    first["refusal_reason_code"] = pd.Series(reason[has]).where(first["status"] == "lost")

    wins_again = np.array([REASONS[code][4] for code in reason])
    returns = lost & (rng.random(n) < wins_again / WINS_AFTER_RETURN)
    returned_at = closed + 1 + 55 * rng.random(n)
    wins = returns & (rng.random(n) < WINS_AFTER_RETURN)
    again = _deals(
        ids, returned_at, returned_at + 0.1 + 29 * rng.random(n), np.full(n, "won"), wins, True
    )
    more = (in_week | late) & (rng.random(n) < SECOND_DEAL)
    second_won = rng.random(n) < SECOND_WON
    second_at = closed + 30 + 60 * rng.random(n)
    second = _deals(
        ids,
        second_at,
        np.where(second_won, second_at + 1 + 20 * rng.random(n), np.nan),
        np.where(second_won, "won", "open"),
        more,
        True,
    )
    deals = pd.concat(
        [first, *(frame.assign(refusal_reason_code=None) for frame in (again, second))],
        ignore_index=True,
    )
    deals["amount_expected"] = draw_amounts(len(deals), rng)
    states = pd.concat(
        [
            pd.DataFrame({"customer_id": ids[chosen], "day": day[chosen], "state": state})
            for state, day, chosen in (
                ("lead", came, np.full(n, True)),
                ("new", closed, in_week | late),
                ("lost", closed, lost),
                ("reactivated", returned_at, returns),
            )
        ],
        ignore_index=True,
    )
    return deals, states


def _deals(
    ids: NDArray[np.object_],
    opened: NDArray[np.float64],
    closed: NDArray[np.float64],
    status: NDArray[np.str_],
    chosen: NDArray[np.bool_],
    is_repeat: bool,
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "customer_id": ids[chosen],
            "opened": opened[chosen],
            "closed": closed[chosen],
            "status": status[chosen].astype(object),
            "is_repeat": "yes" if is_repeat else "no",
        }
    )


def draw_orders(deals: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Give an order for each deal won, and those that follow four weeks apart."""
    won = deals[deals["status"] == "won"]
    deals["order_id"] = ("o-" + deals["deal_id"]).where(deals["status"] == "won")
    cycles = rng.geometric(1 - NEXT_ORDER, len(won))
    place = np.repeat(np.arange(len(won)), cycles)
    step = np.arange(len(place)) - np.repeat(np.cumsum(cycles) - cycles, cycles)
    day = won["closed"].to_numpy()[place] + step * _ORDER_CYCLE_DAYS
    jitter = np.where(step > 0, 8 * (rng.random(len(place)) - 0.5), 0.0)
    names = won["deal_id"].to_numpy()[place]
    return pd.DataFrame(
        {
            "order_id": [
                f"o-{name}" if k == 0 else f"o-{name}-{k}"
                for name, k in zip(names, step, strict=True)
            ],
            "customer_id": won["customer_id"].to_numpy()[place],
            "day": day + jitter,
            "net_revenue": np.where(
                step == 0,
                won["amount_expected"].to_numpy()[place],
                0.5 * won["amount_expected"].to_numpy()[place],
            ),
        }
    )


def draw_addresses(
    ids: NDArray[np.object_], channels: NDArray[np.object_], rng: np.random.Generator
) -> pd.DataFrame:
    """Give everybody an e-mail address, and a messenger to those who came by it."""
    chats = ids[channels == "messenger"]
    return pd.DataFrame(
        {
            "contact_point_id": [f"e-{name}" for name in ids] + [f"m-{name}" for name in chats],
            "customer_id": [*ids, *chats],
            "channel": ["email"] * len(ids) + ["messenger"] * len(chats),
            "address": [f"{name}@example.org" for name in ids] + [f"@{name}" for name in chats],
            "status": np.where(rng.random(len(ids) + len(chats)) < 0.03, "bounced", "valid"),
        }
    )


def draw_events(sends: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Give deliveries and clicks of messages."""
    rate = sends["channel"].map(CLICKS).to_numpy()
    clicked = sends[rng.random(len(sends)) < rate]
    frames = [
        pd.DataFrame(
            {
                "delivery_event_id": f"{kind}-" + part["send_id"],
                "send_id": part["send_id"],
                "at": part["scheduled_at"] + after,
                "type": kind,
            }
        )
        for kind, part, after in (
            ("delivered", sends, timedelta(minutes=1)),
            ("click", clicked, timedelta(hours=3)),
        )
    ]
    return pd.concat(frames, ignore_index=True)


def draw_answers(
    customers: pd.Series[str],
    moments: pd.Series[pd.Timestamp],
    rng: np.random.Generator,
    *,
    prefix: str,
) -> pd.DataFrame:
    """Give answers from 0 to 10."""
    scores = rng.choice(np.arange(11), len(customers), p=[0.02] * 6 + [0.06, 0.12, 0.2, 0.25, 0.25])
    return pd.DataFrame(
        {
            "response_id": [f"{prefix}-{name}" for name in customers],
            "customer_id": customers.to_numpy(),
            "kind": "nps",
            "answered_at": moments.to_numpy(),
            "score": scores,
        }
    )


def pick(
    names: list[str], shares: list[float], size: int, rng: np.random.Generator
) -> NDArray[np.object_]:
    """Draw names by their shares."""
    return np.array(names, dtype=object)[rng.choice(len(names), size, p=shares)]


def draw_amounts(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw amounts of money."""
    return np.round(MEDIAN_AMOUNT * np.exp(rng.normal(0, AMOUNT_SIGMA, size)), 2)
