"""The contamination audit: which controls were touched, when, by what, and what that costs.

A control who received the campaign anyway pulls the comparison towards 0. With a share d of the
controls touched, and touched controls behaving like the treated, the difference that is measured is
(1 - d) times the effect; so the audit says how much an estimate may be too small. Messages of
exempt classes are listed, not hidden, and do not count as contamination.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.experiments.fields import CONTROL
from crm_lab.gateway import Gateway, audits, operations
from crm_lab.language import grouped, message, say, say_many, word

CONTAMINATING = ("control contacted", "shared contact", "promo leak")
EXEMPT = audits.EXEMPT_KIND
CONTAMINATION_LIMIT = 0.05
"""Share of touched controls above which the comparison is broken."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ContaminationAudit(Result):
    """What touched the controls of one scope in one window.

    Attributes
    ----------
    scope : str
        Epoch or experiment.
    starts_at, ends_at : datetime
        The window (UTC, end excluded).
    controls : int
        Control customers.
    touched : int
        Controls with at least one contamination; exempt messages do not count.
    exposures : pandas.DataFrame
        customer_id, kind, moment, what, message_class: every single touch, exempt ones included.
    split : pandas.DataFrame
        Members who by now share a contact with a member of another variant: customer_id, variant,
        contact.
    """

    title: ClassVar[str] = message("Contamination audit")

    scope: str
    starts_at: datetime
    ends_at: datetime
    controls: int
    touched: int
    exposures: pd.DataFrame
    split: pd.DataFrame

    @property
    def touched_share(self) -> float:
        """Share of the controls that were touched; NaN without controls."""
        return self.touched / self.controls if self.controls else float("nan")

    @property
    def dilution(self) -> float:
        """Factor by which the measured effect is too small if touched controls act like treated."""
        return 1 - self.touched_share

    def sentence(self) -> str:
        """Say how many controls were touched, by what, and how much it dilutes."""
        parts = [self._finding()]
        exempt = int((self.exposures["kind"] == EXEMPT).sum())
        if exempt:
            parts.append(
                say_many(
                    "{count} exempt message is listed.",
                    "{count} exempt messages are listed.",
                    exempt,
                )
            )
        if len(self.split):
            parts.append(
                say_many(
                    "{count} member shares a contact with a member of another arm by now.",
                    "{count} members share a contact with a member of another arm by now.",
                    len(self.split),
                )
            )
        return " ".join(parts)

    def _finding(self) -> str:
        window = {"start": formats.day(self.starts_at), "end": formats.last_day(self.ends_at)}
        controls = grouped(self.controls)
        if not self.touched:
            return say(
                "{start} to {end}: none of {controls} control customers was touched.",
                controls=controls,
                **window,
            )
        kinds = self.exposures["kind"].value_counts()
        what = ", ".join(
            f"{grouped(int(kinds[kind]))} × {word(kind)}" for kind in CONTAMINATING if kind in kinds
        )
        return say(
            "{start} to {end}: {touched} of {controls} control customers ({share}) were touched"
            " ({what}). If they behave like treated customers, a measured effect is {dilution} of"
            " the true one.",
            touched=grouped(self.touched),
            controls=controls,
            share=formats.percent(self.touched_share),
            what=what,
            dilution=formats.percent(self.dilution),
            **window,
        )

    def to_frame(self) -> pd.DataFrame:
        """Give every touch, one row each."""
        return self.exposures

    def card_frame(self) -> pd.DataFrame:
        """Give the touches by kind and campaign: touches, customers, first and last."""
        grouped = self.exposures.groupby(["kind", "what", "message_class"], dropna=False)
        return grouped.agg(
            touches=("customer_id", "size"),
            customers=("customer_id", "nunique"),
            first=("moment", "min"),
            last=("moment", "max"),
        ).reset_index()


def audit(
    gateway: Gateway,
    scope: str,
    *,
    starts_at: datetime,
    ends_at: datetime,
    exempt_classes: tuple[str, ...],
) -> ContaminationAudit:
    """Join deliveries, redemptions and shared contacts back to the controls of ``scope``.

    Parameters
    ----------
    gateway : Gateway
        The base with what came back.
    scope : str
        ``epoch:…`` or ``experiment:…``.
    starts_at, ends_at : datetime
        The window (UTC without zone, end excluded).
    exempt_classes : tuple of str
        Message classes that controls do receive.
    """
    with gateway.reader() as reader:
        members = reader.frame(operations.assigned(scope))
        found = reader.frame(
            audits.exposures(
                scope, starts_at=starts_at, ends_at=ends_at, exempt_classes=exempt_classes
            )
        )
        split = reader.frame(audits.split_units(scope))
    contaminated = found.loc[found["kind"] != EXEMPT, "customer_id"]
    return ContaminationAudit(
        scope=scope,
        starts_at=starts_at,
        ends_at=ends_at,
        controls=int((members["variant"] == CONTROL).sum()),
        touched=int(contaminated.nunique()),
        exposures=found,
        split=split,
    )
