"""From the first form to a deal: steps, the first week, forms, channels, new and repeat deals.

Registrations count from the customer's first form. A window of so many days is so many times 24
hours from the registration itself, and a registration whose window is not over yet is left out
and counted: a young one has not had its time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Literal

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.customers import funnel_wording as wording
from crm_lab.customers.rates import (
    GroupRate,
    GroupRates,
    counted_text,
    group_rates,
    label,
    left_out_words,
    month_text,
    share_text,
)
from crm_lab.language import say, word
from crm_lab.stats import ProportionEstimate, proportion_interval

Dimension = Literal["form", "landing", "channel"]
MESSENGER, EMAIL = "messenger", "email"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FunnelContents(Result):
    """What the base holds of what funnels need.

    Attributes
    ----------
    rows : mapping
        Rows of each table.
    until : mapping
        Last moment that deals, registrations, orders and answers are known of; None without any.
    """

    title: ClassVar[str] = wording.CONTENTS

    rows: Mapping[str, int]
    until: Mapping[str, datetime | None]

    @property
    def missing(self) -> tuple[str, ...]:
        """Tables without a row."""
        return tuple(table for table, _ in wording.NEEDS if not self.rows.get(table))

    def sentence(self) -> str:
        """Say what is missing, or that nothing is."""
        if not self.missing:
            return say(wording.ALL_THERE)
        return say(wording.MISSING, tables=", ".join(self.missing))

    def to_frame(self) -> pd.DataFrame:
        """Give one row per table: table, rows, what it gives."""
        return pd.DataFrame(
            [
                {"table": table, "rows": self.rows.get(table, 0), "what it gives": say(gives)}
                for table, gives in wording.NEEDS
            ]
        )

    def card_frame(self) -> pd.DataFrame:
        """Give the tables that are missing, and what each would give."""
        return pd.DataFrame(
            [
                {"missing table": table, "what it gives": say(gives)}
                for table, gives in wording.NEEDS
                if table in self.missing
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelStep:
    """One step on the way to a deal.

    Attributes
    ----------
    step : str
        Name of the step.
    of_all, of_previous : ProportionEstimate
        Customers who made it, of all registered and of those who made the step before.
    """

    step: str
    of_all: ProportionEstimate
    of_previous: ProportionEstimate


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FunnelSteps(Result):
    """How many of the registered were contacted, opened a deal and won one.

    Attributes
    ----------
    days : int
        Length of each registration's window.
    steps : tuple of FunnelStep
        Registered, contacted, deal opened, deal won.
    left_out : mapping
        Who is not counted: why, and how many.
    until : datetime or None
        Last moment that counts.
    reason : str
        Why there is nothing; empty otherwise.
    """

    title: ClassVar[str] = wording.FUNNEL
    plotter: ClassVar[str] = "crm_lab.plots.funnels:plot_steps"

    days: int
    steps: tuple[FunnelStep, ...]
    left_out: Mapping[str, int]
    until: datetime | None
    reason: str = ""

    def sentence(self) -> str:
        """Say how many made each step within the window."""
        if self.reason:
            return say(wording.CANNOT, reason=self.reason)
        first, *later = self.steps
        said = say(
            wording.STEPS_MADE,
            n=formats.number(first.of_all.n),
            days=self.days,
            made=", ".join(f"{word(step.step)} {share_text(step.of_all)}" for step in later),
        )
        return _joined(said, left_out_words(self.left_out), label("observational"))

    def to_frame(self) -> pd.DataFrame:
        """Give one row per step: step, customers, share of registered and of the step before."""
        return pd.DataFrame(
            [
                {
                    "step": item.step,
                    "customers": item.of_all.events,
                    "n": item.of_all.n,
                    "share": item.of_all.estimate,
                    "low": item.of_all.low,
                    "high": item.of_all.high,
                    "of_previous": item.of_previous.estimate,
                    "of_previous_low": item.of_previous.low,
                    "of_previous_high": item.of_previous.high,
                }
                for item in self.steps
            ]
        )

    def card_frame(self) -> pd.DataFrame:
        """Give the steps as people read them."""
        if self.reason:
            return pd.DataFrame()
        return pd.DataFrame(
            [
                {
                    "step": item.step,
                    "of all registered": share_text(item.of_all)
                    if place
                    else word(wording.EVERYBODY),
                    "of the step before": share_text(item.of_previous) if place else "",
                    "customers": item.of_all.events,
                }
                for place, item in enumerate(self.steps)
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FirstWeek(Result):
    """Registrations that closed in a deal within the first week, all and by month.

    Attributes
    ----------
    days : int
        Length of the window.
    overall : ProportionEstimate
        All registrations whose window is over.
    cohorts : tuple of GroupRate
        By month of registration, in order.
    left_out : mapping
        Who is not counted: why, and how many.
    until : datetime or None
        Last moment that counts.
    reason : str
        Why there is nothing; empty otherwise.
    """

    title: ClassVar[str] = wording.FIRST_WEEK
    plotter: ClassVar[str] = "crm_lab.plots.funnels:plot_cohort_rates"

    days: int
    overall: ProportionEstimate
    cohorts: tuple[GroupRate, ...]
    left_out: Mapping[str, int]
    until: datetime | None
    reason: str = ""

    def sentence(self) -> str:
        """Say the share that closed, and who is too young to count."""
        if self.reason:
            return say(wording.CANNOT, reason=self.reason)
        said = say(
            wording.FIRST_DAYS,
            n=formats.number(self.overall.n),
            share=share_text(self.overall),
            days=self.days,
        )
        return _joined(said, left_out_words(self.left_out), label("observational"))

    def number(self) -> str:
        """Give the share with its interval."""
        return "" if self.reason else share_text(self.overall)

    def number_label(self) -> str:
        """Say what the share is of."""
        return say(
            "Deals won within {days} days of registration, share of registrations", days=self.days
        )

    def to_frame(self) -> pd.DataFrame:
        """Give one row per month of registration: cohort, n, events, share, low, high."""
        return pd.DataFrame(
            [
                {
                    "cohort": row.group,
                    "n": row.rate.n,
                    "events": row.rate.events,
                    "share": row.rate.estimate,
                    "low": row.rate.low,
                    "high": row.rate.high,
                }
                for row in self.cohorts
            ],
            columns=["cohort", "n", "events", "share", "low", "high"],
        )

    def card_frame(self) -> pd.DataFrame:
        """Give the months as people read them."""
        return pd.DataFrame(
            [
                {
                    "registered in": month_text(row.group),
                    "share": share_text(row.rate),
                    "won a deal": counted_text(row.rate),
                }
                for row in self.cohorts
            ]
        )


def funnel_steps(
    registrations: pd.DataFrame, *, until: datetime | None, days: int, alpha: float
) -> FunnelSteps:
    """Count the steps from the registration to a deal won.

    Parameters
    ----------
    registrations : pandas.DataFrame
        Columns registered_at, contacted_at, opened_at, won_at, won_undated: one row per customer.
    until : datetime or None
        Last moment that counts; None: no deal is known.
    days : int
        Length of each registration's window.
    alpha : float
        Two-sided error level of each interval.
    """
    reason = _reason(registrations, until)
    counted, left_out = complete_windows(
        registrations, until=until, days=days, young_words=wording.LEFT_YOUNG
    )
    limit = counted["registered_at"] + timedelta(days=days)
    made = [pd.Series(True, index=counted.index)] + [
        counted[column] <= limit for column in ("contacted_at", "opened_at", "won_at")
    ]
    steps = []
    for place, (name, reached) in enumerate(zip(wording.STEPS, made, strict=True)):
        before = made[max(place - 1, 0)]
        steps.append(
            FunnelStep(
                step=name,
                of_all=proportion_interval(int(reached.sum()), len(counted), alpha=alpha),
                of_previous=proportion_interval(
                    int((reached & before).sum()), int(before.sum()), alpha=alpha
                ),
            )
        )
    if not reason and counted.empty:
        reason = say(wording.NO_PERIOD, days=days)
    return FunnelSteps(days=days, steps=tuple(steps), left_out=left_out, until=until, reason=reason)


def first_week(
    registrations: pd.DataFrame, *, until: datetime | None, zone: str, days: int = 7, alpha: float
) -> FirstWeek:
    """Give the share of registrations that closed in a deal within their first days.

    Parameters
    ----------
    registrations : pandas.DataFrame
        Columns registered_at (UTC), won_at, won_undated: one row per customer.
    until : datetime or None
        Last moment that counts; None: no deal is known.
    zone : str
        IANA name of the zone whose months the cohorts are.
    days : int
        Length of the window.
    alpha : float
        Two-sided error level of each interval.

    Examples
    --------
    >>> frame = pd.DataFrame({
    ...     "registered_at": pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-20"]),
    ...     "won_at": pd.to_datetime(["2026-01-08", None, None]), "won_undated": False})
    >>> found = first_week(frame, until=datetime(2026, 1, 21), zone="UTC", alpha=0.05)
    >>> found.overall.events, found.overall.n, sum(found.left_out.values())
    (1, 2, 1)
    """
    reason = _reason(registrations, until)
    counted, left_out = complete_windows(
        registrations, until=until, days=days, young_words=wording.LEFT_YOUNG
    )
    won = counted["won_at"] <= counted["registered_at"] + timedelta(days=days)
    months = (
        counted["registered_at"]
        .dt.tz_localize("UTC")
        .dt.tz_convert(zone)
        .dt.strftime("%Y-%m")
        .rename("group")
    )
    grouped = won.groupby(months).agg(["size", "sum"])
    if not reason and counted.empty:
        reason = say(wording.NO_PERIOD, days=days)
    return FirstWeek(
        days=days,
        overall=proportion_interval(int(won.sum()), len(counted), alpha=alpha),
        cohorts=tuple(
            GroupRate(group=str(month), rate=proportion_interval(int(x), int(n), alpha=alpha))
            for month, n, x in grouped.itertuples()
        ),
        left_out=left_out,
        until=until,
        reason=reason,
    )


def conversion_by(
    registrations: pd.DataFrame,
    by: Dimension,
    *,
    until: datetime | None,
    days: int = 7,
    alpha: float,
) -> GroupRates:
    """Compare forms, landings or channels by the registrations that closed in a deal in time.

    Observational: people chose the form or channel themselves.

    Parameters
    ----------
    registrations : pandas.DataFrame
        Columns form, landing, channel, registered_at, won_at, won_undated.
    by : {"form", "landing", "channel"}
        What is compared; by channel, messenger stands against e-mail.
    until : datetime or None
        Last moment that counts; None: no deal is known.
    days : int
        Length of the window.
    alpha : float
        Two-sided error level, of all comparisons together.
    """
    counted, left_out = complete_windows(
        registrations, until=until, days=days, young_words=wording.LEFT_YOUNG
    )
    won = counted["won_at"] <= counted["registered_at"] + timedelta(days=days)
    names = counted[by].fillna(wording.UNKNOWN_GROUP).rename("group")
    counts = won.groupby(names).agg(n="size", events="sum").reset_index()
    return group_rates(
        counts,
        subject=by,
        event=say(wording.WON_WITHIN, days=days),
        unit=wording.REGISTRATIONS,
        alpha=alpha,
        until=until,
        pair=(MESSENGER, EMAIL) if by == "channel" else None,
        left_out=left_out,
        reason=_reason(registrations, until),
    )


def channel_responses(
    counts: pd.DataFrame, *, until: datetime | None, days: int, alpha: float
) -> tuple[GroupRates, GroupRates]:
    """Compare the channels of messages by clicks and by purchases; observational.

    Parameters
    ----------
    counts : pandas.DataFrame
        Columns channel, customers, clicked, bought, too_young: one row per channel.
    until : datetime or None
        Last moment that counts.
    days : int
        Length of the window from the first message.
    alpha : float
        Two-sided error level.
    """
    left_out = {say(wording.LEFT_YOUNG_MESSAGE, days=days): int(counts["too_young"].sum())}
    events = (("clicked", wording.CLICKED_WITHIN), ("bought", wording.BOUGHT_WITHIN))
    clicks, purchases = (
        group_rates(
            counts.rename(columns={"channel": "group", "customers": "n", column: "events"}),
            subject="channel",
            event=say(event, days=days),
            unit=wording.CUSTOMERS,
            alpha=alpha,
            until=until,
            pair=(MESSENGER, EMAIL),
            left_out=left_out,
            reason="" if len(counts) else say(wording.NO_SENDS),
        )
        for column, event in events
    )
    return clicks, purchases


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _reason(registrations: pd.DataFrame, until: datetime | None) -> str:
    if registrations.empty:
        return say(wording.NO_FORMS)
    return say(wording.NO_DEALS) if until is None else ""


def complete_windows(
    frame: pd.DataFrame, *, until: datetime | None, days: int, young_words: str
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Take out who is too young, and whose deal was won at a time that is not known.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns registered_at (the beginning of each window), won_at, won_undated.
    until : datetime or None
        Last moment that counts; None leaves nobody.
    days : int
        Length of the window, in days of 24 hours.
    young_words : str
        How to call those whose window is not over.

    Returns
    -------
    frame, left_out : pandas.DataFrame, dict
        Who counts, and who does not: why, and how many.
    """
    length = timedelta(days=days)
    if until is None:
        return frame.iloc[:0], {}
    old_enough = frame["registered_at"] + length <= until
    known = ~frame["won_undated"].astype(bool) | (
        frame["won_at"] <= frame["registered_at"] + length
    )
    left_out = {
        say(young_words, days=days): int((~old_enough).sum()),
        say(wording.LEFT_UNDATED): int((old_enough & ~known).sum()),
    }
    return frame[old_enough & known], left_out
