"""How deals end: new and repeat ones, why they are lost, and who comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.customers import funnel_wording as wording
from crm_lab.customers.funnels import complete_windows
from crm_lab.customers.rates import (
    GroupRates,
    group_rates,
    label,
    left_out_words,
    share_text,
)
from crm_lab.language import say, word
from crm_lab.stats import ProportionEstimate, proportion_interval


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DealKinds(Result):
    """New and repeat deals: how many, how they ended, what was won.

    Attributes
    ----------
    currency : str
        Currency of the amounts.
    deals : pandas.DataFrame
        Columns kind, deals, won, lost, open, amount_won (what the won ones were expected to
        bring).
    rates : GroupRates
        Won within so many days of opening; each customer counts once per kind, by the first deal.
    reason : str
        Why there is nothing; empty otherwise.
    """

    title: ClassVar[str] = wording.DEAL_KINDS

    currency: str
    deals: pd.DataFrame
    rates: GroupRates
    reason: str = ""

    def sentence(self) -> str:
        """Say how many deals of each kind there are and how they ended."""
        if self.reason:
            return say(wording.CANNOT, reason=self.reason)
        said = "; ".join(
            say(
                wording.DEALS_OF_KIND,
                kind=_kind_text(row["kind"]),
                **{name: formats.number(row[name]) for name in ("deals", "won", "lost", "open")},
            )
            for _, row in self.deals.iterrows()
        )
        return f"{said[:1].upper()}{said[1:]}. {label('observational')}"

    def to_frame(self) -> pd.DataFrame:
        """Give one row per kind: deals, won, lost, open, money of the won."""
        return self.deals

    def card_frame(self) -> pd.DataFrame:
        """Give the kinds as people read them."""
        if self.reason:
            return pd.DataFrame()
        rates = {row.group: share_text(row.rate) for row in self.rates.rows}
        shown = self.deals["kind"].map(lambda kind: rates.get(kind, say(wording.NOBODY)))
        return pd.DataFrame(
            {
                "kind": self.deals["kind"].map(_kind_text),
                self.rates.event: shown,
                "deals": self.deals["deals"],
                "won": self.deals["won"],
                say(wording.EXPECTED, currency=self.currency): self.deals["amount_won"].map(
                    formats.number
                ),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One reason for which deals are lost.

    Attributes
    ----------
    code, reason : str
        Code and name; the code is empty for deals lost without a reason.
    deals : int
        Deals lost for it.
    share, cumulative : float
        Its part of all lost deals, and that of it and every larger reason.
    amount : float
        What the deals were expected to bring; NaN where no deal says it.
    recoverable : bool or None
        Whether the company's list says such customers can be won back.
    scenario : str
        What the company's list says to do by default.
    returned : ProportionEstimate
        Customers who won a later deal within the window.
    """

    code: str
    reason: str
    deals: int
    share: float
    cumulative: float
    amount: float
    recoverable: bool | None
    scenario: str
    returned: ProportionEstimate


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Refusals(Result):
    """Refusal reasons from the most frequent on, and how many customers come back from each.

    Attributes
    ----------
    currency : str
        Currency of the amounts.
    days : int
        Length of the window from the loss.
    rows : tuple of Refusal
        The most frequent first.
    returned : GroupRates
        The reasons compared by who comes back.
    reason : str
        Why there is nothing; empty otherwise.
    """

    title: ClassVar[str] = wording.REFUSALS
    plotter: ClassVar[str] = "crm_lab.plots.funnels:plot_refusals"

    currency: str
    days: int
    rows: tuple[Refusal, ...]
    returned: GroupRates
    reason: str = ""

    def sentence(self) -> str:
        """Say which reasons make up most losses, and who comes back."""
        if self.reason:
            return say(wording.CANNOT, reason=self.reason)
        total = sum(row.deals for row in self.rows)
        first = self.rows[0]
        few = next(place for place, row in enumerate(self.rows, 1) if row.cumulative >= 0.8)
        most = say(
            wording.LOST_MOST,
            deals=formats.number(total),
            reason=word(first.reason),
            share=formats.percent(first.share, decimals=0),
            few=few,
            reasons=len(self.rows),
            together=formats.percent(self.rows[few - 1].cumulative, decimals=0),
        )
        return f"{most} {self.returned.sentence()}"

    def to_frame(self) -> pd.DataFrame:
        """Give one row per reason."""
        return pd.DataFrame(
            [
                {
                    "code": row.code,
                    "reason": row.reason,
                    "deals": row.deals,
                    "share": row.share,
                    "cumulative": row.cumulative,
                    "amount": row.amount,
                    "recoverable": row.recoverable,
                    "scenario": row.scenario,
                    "customers": row.returned.n,
                    "returned": row.returned.events,
                    "returned_share": row.returned.estimate,
                    "returned_low": row.returned.low,
                    "returned_high": row.returned.high,
                }
                for row in self.rows
            ]
        )

    def card_frame(self) -> pd.DataFrame:
        """Give the reasons as people read them."""
        return pd.DataFrame(
            [
                {
                    "reason": row.reason,
                    "deals lost": _lost_text(row),
                    say(wording.AGAIN_WITHIN, days=self.days): share_text(row.returned),
                    "what to do": _advice(row),
                }
                for row in self.rows
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AfterReactivation(Result):
    """Customers who were reactivated and won a deal within a window; observational.

    Attributes
    ----------
    days : int
        Length of the window from the day of the return.
    rate : ProportionEstimate
        Share with a deal won.
    left_out : mapping
        Who is not counted: why, and how many.
    until : datetime or None
        Last moment that counts.
    reason : str
        Why there is nothing; empty otherwise.
    """

    title: ClassVar[str] = wording.AFTER_REACTIVATION

    days: int
    rate: ProportionEstimate
    left_out: Mapping[str, int]
    until: datetime | None
    reason: str = ""

    def sentence(self) -> str:
        """Say the share, who is too young, and the label."""
        if self.reason:
            return say(wording.CANNOT, reason=self.reason)
        return " ".join(
            part
            for part in (
                say(
                    wording.RETURNED_WON,
                    n=formats.number(self.rate.n),
                    share=share_text(self.rate),
                    days=self.days,
                ),
                left_out_words(self.left_out),
                label("observational"),
            )
            if part
        )

    def number(self) -> str:
        """Give the share with its interval."""
        return "" if self.reason else share_text(self.rate)

    def to_frame(self) -> pd.DataFrame:
        """Give one row: n, events, share, low, high, basis."""
        return pd.DataFrame(
            [
                {
                    "n": self.rate.n,
                    "events": self.rate.events,
                    "share": self.rate.estimate,
                    "low": self.rate.low,
                    "high": self.rate.high,
                    "basis": "observational",
                }
            ]
        )

    def card_frame(self) -> pd.DataFrame:
        """Give no table: the sentence says it all."""
        return pd.DataFrame()


def deal_kinds(
    deals: pd.DataFrame,
    first_deals: pd.DataFrame,
    *,
    until: datetime | None,
    days: int,
    currency: str,
    alpha: float,
) -> DealKinds:
    """Tell new from repeat deals, and how many of each are won in time.

    Parameters
    ----------
    deals : pandas.DataFrame
        Columns kind, deals, won, lost, open, amount_won.
    first_deals : pandas.DataFrame
        Columns kind, opened_at, won_at, won_undated: the first deal of each kind per customer, so
        that a customer with many deals does not count as many.
    until : datetime or None
        Last moment that counts; None: no deal is known.
    days : int
        Length of the window from opening.
    currency : str
        Currency of the amounts.
    alpha : float
        Two-sided error level.
    """
    reason = say(wording.NO_DEALS) if until is None or deals.empty else ""
    return DealKinds(
        currency=currency,
        deals=deals,
        rates=_won_in_time(
            first_deals.rename(columns={"opened_at": "registered_at", "kind": "group"}),
            subject="kind of deal",
            event=say(wording.WON_AFTER_OPENING, days=days),
            unit=wording.CUSTOMERS_WITH_DEAL,
            young_words=wording.LEFT_YOUNG_DEAL,
            until=until,
            days=days,
            alpha=alpha,
            reason=reason,
        ),
        reason=reason,
    )


def refusals(
    reasons: pd.DataFrame,
    returns: pd.DataFrame,
    *,
    until: datetime | None,
    days: int,
    currency: str,
    alpha: float,
) -> Refusals:
    """Rank the refusal reasons, and say from which of them customers come back.

    Coming back is a deal won within ``days`` after the first deal that the customer lost; it
    counts for the reason of that deal. Customers whose window is not over, or whose loss has no
    date, are left out and counted.

    Parameters
    ----------
    reasons : pandas.DataFrame
        Columns code, reason, recoverable, scenario, deals, amount: one row per reason.
    returns : pandas.DataFrame
        Columns code, lost_at, won_at: one row per customer, with the first deal lost.
    until : datetime or None
        Last moment that counts; None: no deal is known.
    days : int
        Length of the window.
    currency : str
        Currency of the amounts.
    alpha : float
        Two-sided error level, of all comparisons of reasons together.
    """
    reason = (
        say(wording.NO_DEALS) if until is None else (say(wording.NO_LOST) if reasons.empty else "")
    )
    named = reasons.assign(
        code=reasons["code"].fillna(""), reason=reasons["reason"].fillna(wording.NO_REASON_GIVEN)
    ).sort_values("deals", ascending=False, kind="stable")
    twice = named["reason"].duplicated(keep=False)
    if twice.any():
        named.loc[twice, "reason"] += " (" + named.loc[twice, "code"] + ")"
    names = dict(zip(named["code"], named["reason"], strict=True))
    dated = returns[returns["lost_at"].notna()]
    rates = _won_in_time(
        dated.assign(group=dated["code"].fillna("").map(names), won_undated=False).rename(
            columns={"lost_at": "registered_at"}
        ),
        subject="reason",
        event=say(wording.WON_AGAIN, days=days),
        unit=wording.CUSTOMERS_LOST,
        young_words=wording.LEFT_YOUNG_LOSS,
        until=until,
        days=days,
        alpha=alpha,
        reason=reason,
        more_left_out={say(wording.LEFT_UNDATED_LOSS): len(returns) - len(dated)},
    )
    by_name = {row.group: row.rate for row in rates.rows}
    nobody = proportion_interval(0, 0, alpha=alpha)
    total, so_far, rows = int(named["deals"].sum()), 0, []
    for record in named.to_dict("records"):
        so_far += int(record["deals"])
        known = record["recoverable"]
        rows.append(
            Refusal(
                code=str(record["code"]),
                reason=str(record["reason"]),
                deals=int(record["deals"]),
                share=int(record["deals"]) / total,
                cumulative=so_far / total,
                amount=float(record["amount"]),
                recoverable=None if pd.isna(known) else bool(known),
                scenario="" if pd.isna(record["scenario"]) else str(record["scenario"]),
                returned=by_name.get(str(record["reason"]), nobody),
            )
        )
    return Refusals(currency=currency, days=days, rows=tuple(rows), returned=rates, reason=reason)


def after_reactivation(
    reactivations: pd.DataFrame, *, until: datetime | None, days: int, alpha: float
) -> AfterReactivation:
    """Give the share of the reactivated who won a deal within a window after their return.

    It describes those who came back. What a campaign did is the comparison of everybody drawn for
    it with its control group (see :mod:`crm_lab.customers.arms`).

    Parameters
    ----------
    reactivations : pandas.DataFrame
        Columns reactivated_at, won_at: one row per customer.
    until : datetime or None
        Last moment that counts; None: no deal is known.
    days : int
        Length of the window.
    alpha : float
        Two-sided error level.
    """
    frame = reactivations.rename(columns={"reactivated_at": "registered_at"})
    counted, left_out = complete_windows(
        frame.assign(won_undated=False),
        until=until,
        days=days,
        young_words=wording.LEFT_YOUNG_RETURN,
    )
    won = counted["won_at"] <= counted["registered_at"] + timedelta(days=days)
    if until is None:
        reason = say(wording.NO_DEALS)
    elif frame.empty:
        reason = say(wording.NO_STATES)
    else:
        reason = "" if len(counted) else say(wording.NO_PERIOD, days=days)
    return AfterReactivation(
        days=days,
        rate=proportion_interval(int(won.sum()), len(counted), alpha=alpha),
        left_out=left_out,
        until=until,
        reason=reason,
    )


def _kind_text(kind: str) -> str:
    return say(wording.KINDS.get(kind, kind))


def _lost_text(row: Refusal) -> str:
    return f"{formats.number(row.deals)} ({formats.percent(row.share, decimals=0)})"


def _advice(row: Refusal) -> str:
    not_back = say(wording.NOT_RECOVERABLE) if row.recoverable is False else ""
    return " ".join(part for part in (row.scenario, not_back) if part)


def _won_in_time(
    frame: pd.DataFrame,
    *,
    subject: str,
    event: str,
    unit: str,
    young_words: str,
    until: datetime | None,
    days: int,
    alpha: float,
    reason: str,
    more_left_out: Mapping[str, int] | None = None,
) -> GroupRates:
    counted, left_out = complete_windows(frame, until=until, days=days, young_words=young_words)
    won = counted["won_at"] <= counted["registered_at"] + timedelta(days=days)
    return group_rates(
        won.groupby(counted["group"]).agg(n="size", events="sum").reset_index(),
        subject=subject,
        event=event,
        unit=unit,
        alpha=alpha,
        until=until,
        left_out=left_out | dict(more_left_out or {}),
        reason=reason,
    )
