"""What was decided about an experiment or an epoch, as the ledger keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.gateway import Gateway
from crm_lab.language import message, say, word

NOTHING = {"day": "", "decision": "not recorded yet", "by": "", "note": ""}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Decisions(Result):
    """What was decided, by whom, with which note; the last one counts.

    Attributes
    ----------
    about : str
        The experiment or the epoch.
    decisions : tuple of mapping
        day (ISO text), decision, by, note; in the order of the ledger, empty where none is there.
    """

    title: ClassVar[str] = message("Decision")

    about: str
    decisions: tuple[Mapping[str, str], ...]

    @classmethod
    def of(cls, gateway: Gateway, subject: str, *, about: str) -> Decisions:
        """Read the decisions on a subject of the ledger."""
        return cls(
            about=about,
            decisions=tuple(
                {
                    "day": str(entry.payload["at"])[:10],
                    "decision": str(entry.payload["decision"]),
                    "by": str(entry.payload["by"]),
                    "note": str(entry.payload.get("note", "")),
                }
                for entry in gateway.entries(kind="decision", subject=subject)
            ),
        )

    def sentence(self) -> str:
        """Say the last decision, or that there is none."""
        if not self.decisions:
            return say("{about}: no decision is recorded yet.", about=self.about)
        last = self.decisions[-1]
        told = {
            "about": self.about,
            "decision": word(last["decision"]),
            "day": _day(last["day"]),
            "by": last["by"],
        }
        if not last["note"]:
            return say("{about}: {decision}, decided on {day} by {by}.", **told)
        return say(
            "{about}: {decision}, decided on {day} by {by}: {note}.",
            note=last["note"].rstrip("."),
            **told,
        )

    def to_frame(self) -> pd.DataFrame:
        """Give one row per decision, and one row saying so where there is none."""
        return pd.DataFrame(list(self.decisions) or [NOTHING])

    def card_frame(self) -> pd.DataFrame:
        """Give the decisions as people read them."""
        frame = self.to_frame()
        return frame.assign(day=[_day(text) for text in frame["day"]])


def _day(text: str) -> str:
    return formats.day(date.fromisoformat(text)) if text else ""
