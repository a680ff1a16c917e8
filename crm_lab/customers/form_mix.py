"""Through which form of which landing each group of customers registered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.customers import funnel_wording as wording
from crm_lab.customers.rates import label, share_text
from crm_lab.language import say, word
from crm_lab.stats import ProportionEstimate, proportion_interval

SHOWN_GROUPS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class FormShare:
    """Customers of one group who came through one form.

    Attributes
    ----------
    group, landing, form : str
        Which group, landing and form.
    share : ProportionEstimate
        Their share of the group.
    """

    group: str
    landing: str
    form: str
    share: ProportionEstimate


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FormMix(Result):
    """Through which form and landing each group of customers came.

    Attributes
    ----------
    groups : tuple of str
        The groups, such as the arms of an experiment, the largest first.
    rows : tuple of FormShare
        One per group, landing and form with customers; the largest share of a group first.
    reason : str
        Why there is nothing; empty otherwise.
    """

    title: ClassVar[str] = wording.FORM_MIX

    groups: tuple[str, ...]
    rows: tuple[FormShare, ...]
    reason: str = ""

    def sentence(self) -> str:
        """Say through which form most of each group came."""
        if self.reason:
            return say(wording.CANNOT, reason=self.reason)
        firsts = {row.group: row for row in reversed(self.rows)}
        said = [
            say(
                wording.MOST_THROUGH,
                group=word(group),
                form=word(firsts[group].form),
                share=share_text(firsts[group].share),
            )
            for group in self.groups[:SHOWN_GROUPS]
        ]
        return f"{'; '.join(said)}. {label('observational')}"

    def to_frame(self) -> pd.DataFrame:
        """Give one row per group, landing and form: customers, n, share, low, high."""
        return pd.DataFrame(
            [
                {
                    "group": row.group,
                    "landing": row.landing,
                    "form": row.form,
                    "customers": row.share.events,
                    "n": row.share.n,
                    "share": row.share.estimate,
                    "low": row.share.low,
                    "high": row.share.high,
                }
                for row in self.rows
            ]
        )

    def card_frame(self) -> pd.DataFrame:
        """Give one row per landing and form, with a column per group."""
        if self.reason:
            return pd.DataFrame()
        cells = {
            (row.landing, row.form, row.group): f"{formats.number(row.share.events)}"
            f" ({formats.percent(row.share.estimate, decimals=0)})"
            for row in self.rows
        }
        named = self.groups[:SHOWN_GROUPS]
        places = dict.fromkeys((row.landing, row.form) for row in self.rows)
        return pd.DataFrame(
            [
                {"landing": landing, "form": form}
                | {group: cells.get((landing, form, group), "0") for group in named}
                for landing, form in places
            ]
        )


def form_mix(
    registrations: pd.DataFrame, *, groups: pd.DataFrame | None = None, alpha: float
) -> FormMix:
    """Say through which form and landing each group of customers came.

    Parameters
    ----------
    registrations : pandas.DataFrame
        Columns customer_id, form, landing: one row per customer.
    groups : pandas.DataFrame, optional
        Columns customer_id, variant: whom to tell apart; by default everyone is one group. Members
        who never registered by a form stand under "not known".
    alpha : float
        Two-sided error level of each interval.

    Examples
    --------
    >>> frame = pd.DataFrame({"customer_id": ["a", "b"], "form": ["quiz", "quiz"], "landing": "x"})
    >>> form_mix(frame, alpha=0.05).card_frame().values.tolist()
    [['x', 'quiz', '2 (100 %)']]
    """
    if groups is None:
        joined = registrations.assign(group=wording.EVERYONE)
    else:
        joined = groups.rename(columns={"variant": "group"}).merge(
            registrations, on="customer_id", how="left"
        )
    columns = ["group", "landing", "form"]
    labelled = joined[columns].fillna(wording.UNKNOWN_GROUP)
    sizes = labelled["group"].value_counts()
    counts = labelled.groupby(columns, sort=False).size().reset_index(name="customers")
    counts = counts.sort_values(["customers", *columns], ascending=[False, True, True, True])
    rows = [
        FormShare(
            group=str(record["group"]),
            landing=str(record["landing"]),
            form=str(record["form"]),
            share=proportion_interval(
                int(record["customers"]), int(sizes[record["group"]]), alpha=alpha
            ),
        )
        for record in counts.to_dict("records")
    ]
    return FormMix(
        groups=tuple(str(name) for name in sizes.index),
        rows=tuple(rows),
        reason="" if len(registrations) else say(wording.NO_FORMS),
    )
