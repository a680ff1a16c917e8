"""What was sent that nobody can evaluate, because no control group was held out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.language import message, say
from crm_lab.planning import league_wording as wording

SENT_COLUMNS = (
    "campaign_id",
    "mechanic",
    "channel",
    "send_mode",
    "is_randomised",
    "messages",
    "customers",
    "first_at",
    "last_at",
)
"""Columns of a frame of campaigns that were sent."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class NeverEvaluated(Result):
    """Campaigns of which nobody can say what they brought, the largest first.

    Attributes
    ----------
    rows : pandas.DataFrame
        campaign, mechanic, channel, send_mode, messages, customers, first_day, last_day, why.
    evaluated : int
        Campaigns that were sent and can be read.
    """

    title: ClassVar[str] = message("Never evaluated")

    rows: pd.DataFrame
    evaluated: int

    @property
    def campaigns(self) -> int:
        """How many there are."""
        return len(self.rows)

    @property
    def messages(self) -> int:
        """Messages of all of them."""
        return int(self.rows["messages"].sum())

    def sentence(self) -> str:
        """Say how many there are and which is the largest."""
        if self.rows.empty:
            return say(wording.EVERYTHING_EVALUATED)
        first = self.rows.iloc[0]
        return say(
            wording.NEVER,
            campaigns=wording.campaigns_text(self.campaigns),
            messages=formats.number(self.messages),
            largest=first["campaign"],
            largest_messages=formats.number(int(first["messages"])),
        )

    def to_frame(self) -> pd.DataFrame:
        """Give one row per campaign."""
        return self.rows

    def card_frame(self) -> pd.DataFrame:
        """Give what fits on a card."""
        shown = self.rows[["campaign", "mechanic", "channel", "messages", "last_day", "why"]]
        days = [formats.day(date.fromisoformat(day)) if day else "" for day in shown["last_day"]]
        return shown.assign(last_day=days)


def never_evaluated(sent: pd.DataFrame, experiments: Mapping[str, str]) -> NeverEvaluated:
    """List the campaigns that cannot be evaluated.

    Parameters
    ----------
    sent : pandas.DataFrame
        Campaigns that were sent, with the columns :data:`SENT_COLUMNS`.
    experiments : mapping
        Experiments with drawn arms, by name: empty where their result can be read, else why not.
    """
    rows, evaluated = [], 0
    for item in sent.to_dict("records"):
        name = str(item["campaign_id"])
        if name in experiments:
            if not experiments[name]:
                evaluated += 1
                continue
            why = say(wording.NOT_READ, reason=experiments[name])
        else:
            is_drawn = not pd.isna(item["is_randomised"]) and bool(item["is_randomised"])
            why = say(wording.ELSEWHERE if is_drawn else wording.NO_CONTROL)
        days = (
            "" if pd.isna(item[at]) else formats.local_date(item[at]).isoformat()
            for at in ("first_at", "last_at")
        )
        first, last = days
        rows.append(
            {
                "campaign": name,
                "mechanic": item["mechanic"],
                "channel": item["channel"],
                "send_mode": item["send_mode"],
                "messages": int(item["messages"]),
                "customers": int(item["customers"]),
                "first_day": first,
                "last_day": last,
                "why": why,
            }
        )
    frame = pd.DataFrame(
        rows,
        columns=[
            "campaign",
            "mechanic",
            "channel",
            "send_mode",
            "messages",
            "customers",
            "first_day",
            "last_day",
            "why",
        ],
    )
    ordered = frame.sort_values(["messages", "campaign"], ascending=[False, True])
    return NeverEvaluated(rows=ordered.reset_index(drop=True), evaluated=evaluated)
