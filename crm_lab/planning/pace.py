"""The pace of a month: plan, fact to date, where it will end, and what can still be done.

The forecast and the fact are observational: they say how much is sold, not what brought it. What an
activity or a mechanic brings comes from randomised experiments alone, and where there is none the
page says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Literal

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.experiments.results import Money
from crm_lab.headlines import HeadlineNumber
from crm_lab.language import message, say, say_many, word
from crm_lab.planning import pacing_wording as wording
from crm_lab.planning.league import chance
from crm_lab.planning.levers import (
    ActivityState,
    BaseVerdict,
    Lever,
    scaled,
)
from crm_lab.planning.plan_revisions import MonthlyPlan
from crm_lab.stats.period_totals import LEAST_MONTHS, LEVEL_DAYS, PeriodTotal

PaceVerdict = Literal["on plan", "behind", "cannot tell"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Pace(Result):
    """Whether a month is on plan, and what the rest of it must bring.

    Attributes
    ----------
    verdict : {"on plan", "behind", "cannot tell"}
        By the interval of the forecast.
    plan : MonthlyPlan
        The plan that counts, with its revisions.
    known_until : datetime.date
        Last day that counts as known whole.
    forecast : PeriodTotal
        Fact to date, the rest, the total, each with its interval.
    expected_by_now : float
        What the plan asks of the days that are over, by the shape of a month.
    probability : float
        Probability that the plan is reached; NaN where it cannot be said.
    gap : Money
        What is missing at the end by the forecast (in the unit of the metric); 0 or below: nothing.
    activities : tuple of ActivityState
        The activities of the plan, by day.
    levers : tuple of Lever
        Mechanics that were measured, with what they would bring now.
    base : str
        Whether the customers the company knows can close the gap.
    remainder : Money
        What must come from other tools where the base cannot; NaN otherwise.
    split : mapping
        The remainder by acquisition channel, as the plan shares it out.
    known_share : float
        Part of this month's fact that came from customers who had bought before; NaN without a
        fact.
    daily : pandas.DataFrame
        day, fact (NaN: not known), planned: what the plan asks of each day.
    backtest : pandas.DataFrame
        month, forecast, low, high, fact, inside: the same forecast for past months.
    stale_days : int
        Days before the day it is made for, of which no orders are known.
    currency : str
        Currency of amounts.
    """

    title: ClassVar[str] = message("Is the month on plan?")
    plotter: ClassVar[str] = "crm_lab.plots.pacing:plot_pace"

    verdict: PaceVerdict
    plan: MonthlyPlan
    known_until: date
    forecast: PeriodTotal
    expected_by_now: float
    probability: float
    gap: Money
    activities: tuple[ActivityState, ...]
    levers: tuple[Lever, ...]
    base: BaseVerdict
    remainder: Money
    split: Mapping[str, Money]
    known_share: float
    daily: pd.DataFrame
    backtest: pd.DataFrame
    stale_days: int
    currency: str

    @property
    def target(self) -> float:
        """The plan of the month, revisions included."""
        return self.plan.spec.target

    @property
    def to_come(self) -> tuple[ActivityState, ...]:
        """Activities that are not over."""
        return tuple(item for item in self.activities if item.state == "to come")

    @property
    def need_per_recipient(self) -> Money | None:
        """What each recipient to come must bring for the plan; None without any, or a gap."""
        recipients = sum(item.recipients for item in self.to_come)
        return scaled(self.gap, 1 / recipients) if recipients and self.gap.estimate > 0 else None

    def subtitle(self) -> str:
        """Say which month, and until when orders are known."""
        return say(
            "{month}, orders known until {day}",
            month=self._month(),
            day=formats.day(self.known_until),
        )

    def sentence(self) -> str:
        """Say the verdict, the fact, what is missing and where it can come from."""
        parts = [self._verdict_sentence(), self._fact_sentence()]
        if self.forecast.days_ahead and self.gap.estimate > 0:
            parts.append(self._need_sentence())
            parts.append(self.base_sentence())
        if self.plan.revisions:
            last = self.plan.revisions[-1]
            parts.append(
                say(
                    wording.REVISED,
                    count=wording.times(len(self.plan.revisions)),
                    by=last.by,
                    day=formats.day(last.at),
                    reason=last.reason,
                )
            )
        return " ".join(part for part in parts if part)

    def headline_numbers(self) -> tuple[HeadlineNumber, ...]:
        """Give the forecast of the month's end, beside the plan."""
        if not math.isfinite(self.forecast.low):
            return ()
        is_money = self.plan.spec.metric == "revenue"
        return (
            HeadlineNumber(
                label=say(
                    "{month} by the forecast, {currency}",
                    month=self._month(),
                    currency=formats.currency_name(self.currency),
                )
                if is_money
                else say("{month} by the forecast, orders", month=self._month()),
                estimate=self.forecast.total,
                low=self.forecast.low,
                high=self.forecast.high,
                reference=self.target,
                note=say("The plan is {target}.", target=self.text(self.target)),
            ),
        )

    def to_frame(self) -> pd.DataFrame:
        """Give the numbers of the month, one row."""
        found, need = self.forecast, self.need_per_recipient
        return pd.DataFrame(
            [
                {
                    "month": self.plan.spec.month,
                    "metric": self.plan.spec.metric,
                    "target": self.target,
                    "known_until": self.known_until,
                    "fact": found.known,
                    "expected_by_now": self.expected_by_now,
                    "forecast": found.total,
                    "low": found.low,
                    "high": found.high,
                    "gap": self.gap.estimate,
                    "gap_low": self.gap.low,
                    "gap_high": self.gap.high,
                    "probability": self.probability,
                    "need_per_recipient": math.nan if need is None else need.estimate,
                    "remainder": self.remainder.estimate,
                    "verdict": self.verdict,
                }
            ]
        )

    def card_frame(self) -> pd.DataFrame:
        """Give plan, fact, expectation and forecast as people read them."""
        found = self.forecast
        rows = [
            (say("plan of the month"), self.text(self.target)),
            (say("fact until {day}", day=formats.day(self.known_until)), self.text(found.known)),
            (say("a month on plan has by then"), self.text(self.expected_by_now)),
            (say("month's end by the forecast"), self._total_text()),
            (
                say("missing"),
                self.money(self.gap) if self.gap.estimate > 0 else say(wording.NOTHING),
            ),
        ]
        return pd.DataFrame(rows, columns=["what", "value"])

    def activities_frame(self) -> pd.DataFrame:
        """Give each activity: what was planned, what experiments say, what it must bring."""
        return pd.DataFrame(
            [
                {
                    "activity": f"{item.name} ({word(item.mechanic) or say(wording.NO_MECHANIC)})",
                    "day": formats.day(date.fromisoformat(item.day)),
                    "recipients": item.recipients,
                    "planned": self.text(item.expected),
                    "by experiments (randomised)": self._by_experiments(item),
                    "must bring": self.money(item.needed) if item.needed.estimate > 0 else "",
                    "enough?": say(wording.LEVER_WORDS[item.verdict])
                    if item.state == "to come"
                    else "",
                }
                for item in self.activities
            ]
        )

    def _by_experiments(self, item: ActivityState) -> str:
        if item.measured is not None:
            return say(wording.BROUGHT, amount=self.signed(item.measured))
        if item.foreseen is not None:
            return say(wording.SHOULD_BRING, amount=self.signed(item.foreseen))
        return say(wording.ACTIVITY_STATES[item.state])

    def levers_frame(self) -> pd.DataFrame:
        """Give each lever: what it would bring until the end of the month."""
        return pd.DataFrame(
            [
                {
                    "mechanic": lever.mechanic,
                    "channel": lever.channel,
                    "can be reached": lever.audience,
                    "experiments behind it": lever.experiments,
                    "per recipient": self.signed(lever.per_customer),
                    "in all until the month's end": self.signed(lever.total),
                    "enough for the gap?": say(wording.LEVER_WORDS[lever.closes(self.gap)]),
                }
                for lever in self.levers
            ]
        )

    def split_frame(self) -> pd.DataFrame:
        """Give what other tools must bring, by the shares of the plan."""
        return pd.DataFrame(
            [{"tool": name, "must bring": self.money(part)} for name, part in self.split.items()]
        )

    def backtest_frame(self) -> pd.DataFrame:
        """Give the forecasts of past months beside what they brought."""
        return pd.DataFrame(
            [
                {
                    "month": formats.month(date.fromisoformat(f"{row['month']}-01")),
                    "forecast then": self.interval(row["forecast"], row["low"], row["high"]),
                    "brought": self.text(row["fact"]),
                    "held": row["inside"],
                }
                for row in self.backtest.to_dict("records")
            ]
        )

    def backtest_sentence(self) -> str:
        """Say how many past forecasts held."""
        if self.backtest.empty:
            return say(wording.NO_BACKTEST)
        return say(
            wording.BACKTEST,
            months=say_many("{count} past month", "{count} past months", len(self.backtest)),
            scored=len(self.backtest),
            inside=int(self.backtest["inside"].sum()),
            level=formats.percent(1 - self.forecast.alpha, decimals=0),
        )

    def assumptions(self) -> tuple[str, ...]:
        """Say what the forecast takes for granted."""
        shape = self.forecast.shape
        found = []
        if self.forecast.days_ahead:
            found.append(say(wording.ASSUME_LEVEL, days=LEVEL_DAYS))
        if shape.weeks:
            ends = (min(shape.weekdays), max(shape.weekdays))
            low, high = (formats.percent(end, decimals=0) for end in ends)
            found.append(say(wording.ASSUME_WEEKDAYS, weeks=shape.weeks, low=low, high=high))
        else:
            found.append(say(wording.ASSUME_NO_WEEKDAYS))
        if max(shape.thirds) > min(shape.thirds):
            first, second, third = (formats.percent(x, decimals=0) for x in shape.thirds)
            found.append(
                say(
                    wording.ASSUME_THIRDS,
                    months=shape.months,
                    first=first,
                    second=second,
                    third=third,
                )
            )
        else:
            is_few = shape.months < LEAST_MONTHS
            template = wording.ASSUME_NO_THIRDS if is_few else wording.ASSUME_EQUAL_THIRDS
            found.append(say(template, months=shape.months))
        found.append(say(wording.ASSUME_YEAR))
        if self.levers:
            found.append(say(wording.ASSUME_EVENLY))
        if self.stale_days:
            found.append(
                say(wording.ASSUME_STALE, until=formats.day(self.known_until), days=self.stale_days)
            )
        if self.plan.is_file_changed:
            found.append(say(wording.ASSUME_CHANGED))
        return tuple(found)

    def base_sentence(self) -> str:
        """Say whether the customers the company knows can close the gap."""
        if self.base == "not needed":
            return ""
        if not self.levers:
            is_money = self.plan.spec.metric == "revenue"
            return say(wording.NO_LEVERS if is_money else wording.LEVERS_IN_MONEY)
        best = self.levers[0]
        words = {"lever": word(best.mechanic), "amount": self.signed(best.total)}
        if self.base == "can":
            return say(wording.BASE_CAN, **words)
        if self.base == "cannot tell":
            return say(wording.BASE_UNKNOWN, **words)
        shares = [f"{name} {self.money(part)}" for name, part in self.split.items()]
        return say(
            wording.BASE_CANNOT,
            remainder=self.money(self.remainder),
            split=", ".join(shares) or say(wording.NO_CHANNELS),
            **words,
        )

    def text(self, value: float) -> str:
        """Write an amount of the plan's metric."""
        if self.plan.spec.metric == "revenue":
            return formats.money(value, self.currency)
        text = formats.number(value)
        return wording.orders_text(text, value) if math.isfinite(value) else text

    def interval(self, estimate: float, low: float, high: float) -> str:
        """Write an amount with its interval, rounded to what the interval supports."""
        if not (math.isfinite(low) and math.isfinite(high)):
            return self.text(estimate)
        places = min(formats.decimals_for(low, high), 2)
        if self.plan.spec.metric == "revenue":
            text = formats.money(estimate, self.currency, decimals=places)
        else:
            shown = round(estimate, places)
            text = wording.orders_text(formats.number(estimate, decimals=places), shown)
        return f"{text} ({formats.interval(low, high, decimals=places)})"

    def money(self, money: Money) -> str:
        """Write an amount of the plan's metric with its interval."""
        return self.interval(money.estimate, money.low, money.high)

    def _month(self) -> str:
        return formats.month(self.plan.spec.first_day)

    def _total_text(self) -> str:
        return self.interval(self.forecast.total, self.forecast.low, self.forecast.high)

    def signed(self, money: Money | None) -> str:
        """Write what an activity brings, with its sign and interval; nothing where not known."""
        if money is None:
            return ""
        return formats.money_interval(money.estimate, money.low, money.high, self.currency)

    def _verdict_sentence(self) -> str:
        found = self.forecast
        words = {
            "month": self._month(),
            "target": self.text(self.target),
            "forecast": self._total_text(),
            "fact": self.text(found.known),
            "gap": self.money(self.gap),
            "reason": found.reason,
            "probability": "" if math.isnan(self.probability) else chance(self.probability),
        }
        if not found.days_ahead:
            template = wording.REACHED if self.verdict == "on plan" else wording.MISSED
        elif found.reason:
            template = wording.NO_FORECAST
        else:
            template = {
                "on plan": wording.ON_PLAN,
                "behind": wording.BEHIND,
                "cannot tell": wording.CANNOT_TELL,
            }[self.verdict]
        return say(template, **words)

    def _fact_sentence(self) -> str:
        if not self.forecast.days_known:
            return say(wording.NOT_BEGUN)
        if not self.forecast.days_ahead:
            return ""
        return say(
            wording.SO_FAR,
            until=formats.day(self.known_until),
            fact=self.text(self.forecast.known),
            expected=self.text(self.expected_by_now),
            part=formats.percent(self.forecast.expected_share, decimals=0),
        )

    def _need_sentence(self) -> str:
        need = self.need_per_recipient
        if need is None:
            return say(wording.NO_RECIPIENTS)
        recipients = sum(item.recipients for item in self.to_come)
        return say(wording.NEED, need=self.money(need), recipients=formats.number(recipients))
