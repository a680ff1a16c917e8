"""The control group as it stands: what is said of it, and whether it can be measured against."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result, plain
from crm_lab.experiments.audit import ContaminationAudit
from crm_lab.experiments.epochs import Epoch
from crm_lab.experiments.lights import (
    balance_words,
    contamination_light,
    group_balance_light,
    is_balanced,
    light,
    ratio_light,
)
from crm_lab.experiments.outlook import smallness
from crm_lab.headlines import Light
from crm_lab.language import grouped, message, say
from crm_lab.stats import SampleRatio
from crm_lab.stats.balance import balance_errors


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ControlGroupStatus(Result):
    """The control group as it stands: members, ratio, balance, ledger.

    Attributes
    ----------
    epoch : Epoch
        The open epoch.
    controls, treatable : int
        Members of each kind.
    newcomers : int
        Members who came after the first draw.
    joined : int
        Members that the last draw added.
    ratio : SampleRatio
        Whether the share of controls is what the rule promises.
    balance : pandas.DataFrame
        Covariate, mean of controls, mean of the others, standardised difference; before the draw.
    not_eligible : mapping
        Customers outside, by obstacle.
    ledger_digest : str
        Digest of the ledger's last entry.
    faults : tuple of str
        What the check of ledger and files found; empty when sound.
    touched : int or None
        Controls that marketing reached after all; None where nobody looked (`audited`).
    smallest_change : float
        Smallest relative change of revenue per customer that would have shown in the 13 weeks
        before the draw with 80 % probability; NaN where it cannot be said.
    """

    title: ClassVar[str] = message("Control group")
    plotter: ClassVar[str] = "crm_lab.plots.control_group:plot_balance"

    epoch: Epoch
    controls: int
    treatable: int
    newcomers: int
    joined: int
    ratio: SampleRatio
    balance: pd.DataFrame
    not_eligible: Mapping[str, int]
    ledger_digest: str
    faults: tuple[str, ...]
    touched: int | None = None
    smallest_change: float = math.nan

    def audited(self, audit: ContaminationAudit) -> ControlGroupStatus:
        """Give the same with what the audit of its controls found."""
        return replace(self, touched=audit.touched)

    @property
    def lights(self) -> tuple[Light, ...]:
        """Size, balance, contamination where it was looked at, ledger and files."""
        found = [
            ratio_light(self.ratio),
            group_balance_light(self.worst_balance, self.controls, self.treatable),
        ]
        if self.warning():
            found.append(light("power", "unsure", self.warning()))
        if self.touched is not None:
            found.append(contamination_light(self.controls, self.touched))
        state = self._state()
        found.append(light("ledger", "bad" if self.faults else "good", state))
        return tuple(found)

    @property
    def verdict(self) -> Literal["group sound", "group doubtful", "group broken"]:
        """Whether effects can be measured against the group."""
        tones = {light.tone for light in self.lights}
        if "bad" in tones:
            return "group broken"
        return "group doubtful" if "unsure" in tones else "group sound"

    def to_dict(self) -> dict[str, Any]:
        """Give the fields, the verdict and the lights as JSON-ready data."""
        shown = {"verdict": self.verdict, "lights": plain(self.lights)}
        return {**shown, **Result.to_dict(self)}

    @property
    def worst_balance(self) -> float:
        """Largest absolute standardised difference; NaN where none is known."""
        return float(self.balance["standardised difference"].abs().max())

    @property
    def balance_errors(self) -> float:
        """The largest standardised difference in standard errors of two groups of these sizes."""
        return balance_errors(self.worst_balance, self.controls, self.treatable)

    @property
    def is_balanced(self) -> bool:
        """Whether no difference is too large, and none too large for chance."""
        return is_balanced(self.worst_balance, self.controls, self.treatable)

    def warning(self) -> str:
        """Warn of a group too small to see with, and say what helps; empty where it is not."""
        return smallness(self.controls, smallest_change=self.smallest_change)

    def sentence(self) -> str:
        """Say size, rule and soundness of the group."""
        total = self.controls + self.treatable
        told = say(
            "{controls} of {total} customers ({share}, promised {promised}) receive no marketing"
            " since {since}; {newcomers}. Largest standardised difference before the draw"
            " {difference}; {state}.",
            controls=grouped(self.controls),
            total=grouped(total),
            share=formats.percent(self.controls / total, decimals=2),
            promised=formats.percent(self.epoch.share),
            since=formats.day(self.epoch.opened_at),
            newcomers=say("{count} joined later at the same rate", count=grouped(self.newcomers))
            if self.newcomers
            else say("nobody joined later"),
            difference=formats.number(self.worst_balance, decimals=2),
            state=self._state(),
        )
        doubt = ""
        if math.isfinite(self.worst_balance) and not self.is_balanced:
            doubt = say(
                "The difference is {errors} standard errors for groups of this size; the limits"
                " are {limit} or {most} standard errors.",
                **balance_words(self.worst_balance, self.controls, self.treatable),
            )
        return " ".join(filter(None, [told, doubt, self.warning()]))

    def _state(self) -> str:
        return "; ".join(self.faults) or say("ledger and files are sound")

    def to_frame(self) -> pd.DataFrame:
        """Give the balance table."""
        return self.balance
