"""What attribution gives the CRM, beside what the control group shows.

Attribution shares the money of orders among the touches before them. It says who was there, not
what would not have come otherwise: a loyal customer clicks, and buys anyway. The control group
says what is extra. Both stand side by side, for the same customers and the same weeks.

References
----------
Gordon, B. R., Zettelmeyer, F., Bhargava, N., Chapsky, D. (2019), "A comparison of approaches to
advertising measurement: evidence from big field experiments at Facebook", Marketing Science 38(2),
on how far counting without a control group is from the effect.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import ClassVar

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.crm_effect import curve_wording as wording
from crm_lab.crm_effect.curve_results import CurveResult, scaled
from crm_lab.crm_effect.economics_results import Economics
from crm_lab.errors import DesignError
from crm_lab.experiments.results import Money
from crm_lab.gateway import Gateway, attribution, curves
from crm_lab.language import message, say, word

MAX_LOOKBACK_DAYS = 365
MOST = 0.5
"""Part of the attributed money from which on it is called most of it."""
_ATTRIBUTED = "attributed"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributedMoney:
    """What one model of attribution gives the CRM.

    Attributes
    ----------
    model : str
        Last touch, first touch, linear, or last non-direct touch.
    same : float
        Of the orders of the customers outside the control group.
    every : float
        Of the orders of all customers of the company.
    """

    model: str
    same: float
    every: float


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Attribution(Result):
    """Attributed and incremental money of the CRM, side by side.

    Attributes
    ----------
    models : tuple of AttributedMoney
        One per model, the customary one first.
    incremental : Money
        What the same customers brought beyond the control group; randomised where the group was
        drawn.
    label : {"randomised", "observational"}
        Where ``incremental`` comes from; attribution is always observational.
    reason : str
        Why there is no ``incremental``; empty where there is.
    is_final : bool
        Whether the planned weeks have passed and no check failed.
    company_revenue : float
        Revenue of the whole company in the same weeks.
    lookback_days : int
        How long before an order a touch counts.
    touches : int
        Touches in these weeks.
    channels : pandas.DataFrame
        channel, is_crm, touches, customers, orders (linear), and the money of every model.
    trend : pandas.DataFrame
        week, until, company (revenue), incremental, low, high, last_touch: shares of the company's
        revenue of each week.
    currency : str
        Currency of every amount.
    """

    title: ClassVar[str] = message("Attributed and incremental")
    plotter: ClassVar[str] = "crm_lab.plots.curve:plot_attribution"

    models: tuple[AttributedMoney, ...]
    incremental: Money
    label: str
    reason: str
    is_final: bool
    company_revenue: float
    lookback_days: int
    touches: int
    channels: pd.DataFrame
    trend: pd.DataFrame
    currency: str

    @property
    def is_known(self) -> bool:
        """Whether the base holds any touch of these weeks."""
        return self.touches > 0

    def sentence(self) -> str:
        """Say what attribution claims and how much of it would have come anyway."""
        if not self.is_known:
            return say(wording.NO_TOUCHES)
        first = self.models[0]
        return say(
            wording.ATTRIBUTED,
            model=word(first.model).capitalize(),
            attributed=formats.money(first.same, self.currency),
            share=formats.percent(self._share(first.same)),
            difference=self.difference(),
        )

    def difference(self) -> str:
        """Say how attributed and incremental money differ."""
        claimed, extra = self.models[0].same, self.incremental
        if not math.isfinite(extra.estimate):
            return say(wording.DIFFERENCE_UNKNOWN, reason=self.reason)
        words = {"incremental": self._money(extra)}
        if not self.is_final:
            return say(wording.DIFFERENCE_EARLY, **words)
        if extra.low > claimed:
            return say(wording.DIFFERENCE_MORE, **words)
        if extra.high >= claimed or claimed <= 0:
            return say(wording.DIFFERENCE_OPEN, **words)
        anyway = claimed - max(extra.high, 0.0)
        part = anyway / claimed
        places = min(formats.decimals_for(extra.low, extra.high), 0)
        words |= {
            "anyway": formats.money(anyway, self.currency, decimals=places),
            "part": formats.percent(part, decimals=0),
        }
        if extra.low <= 0:
            return say(wording.DIFFERENCE_NONE, **words)
        if part > MOST:
            return say(wording.DIFFERENCE_MOST, **words)
        return say(wording.DIFFERENCE_ANYWAY, **words)

    def beside(self, money: Economics) -> Economics:
        """Give the money with what attribution claims beside it, for the top of a page."""
        if not self.is_known:
            return money
        claimed = self.models[0].same
        return replace(money, attributed=claimed, attributed_note=self.difference())

    def to_frame(self) -> pd.DataFrame:
        """Give one row per way of counting: money and share of the company, same customers."""
        rows = [
            {
                "way": item.model,
                "estimate": item.same,
                "low": item.same,
                "high": item.same,
                "share": self._share(item.same),
                "all_customers": item.every,
                "evidence": wording.OBSERVATIONAL,
            }
            for item in self.models
        ]
        extra = self.incremental
        rows.append(
            {
                "way": wording.INCREMENTAL,
                "estimate": extra.estimate,
                "low": extra.low,
                "high": extra.high,
                "share": self._share(extra.estimate),
                "all_customers": math.nan,
                "evidence": self.label,
            }
        )
        return pd.DataFrame(rows)

    def card_frame(self) -> pd.DataFrame:
        """Give the short table of the card: money and share of the company by each way."""
        rows = []
        extra = self.incremental
        if math.isfinite(extra.estimate):
            rows.append((say(wording.INCREMENTAL), self._money(extra), self._shares(extra)))
        if self.is_known:
            rows += [
                (
                    item.model,
                    formats.money(item.same, self.currency),
                    formats.percent(self._share(item.same)),
                )
                for item in self.models
            ]
        return pd.DataFrame(rows, columns=["CRM's part by", "revenue", "of the company's revenue"])

    def formulas_frame(self) -> pd.DataFrame:
        """Give the formula of every way of counting, and what it gives for all customers."""
        first = (
            say(wording.INCREMENTAL),
            f"{say(wording.INCREMENTAL_FORMULA)} ({word(self.label)})",
            "",
        )
        rows = [
            (
                item.model,
                say(wording.MODEL_FORMULAS[item.model], days=self.lookback_days),
                formats.money(item.every, self.currency),
            )
            for item in self.models
            if self.is_known
        ]
        return pd.DataFrame([first, *rows], columns=["way", "how it counts", "all customers"])

    def channels_frame(self) -> pd.DataFrame:
        """Give touches, customers and money by channel, all customers, as people read it."""
        frame = self.channels.copy()
        for model in attribution.MODELS:
            frame[model] = [formats.number(value) for value in frame[model]]
        first, *_ = attribution.MODELS
        heading = say(
            "{model}, {currency}", model=word(first), currency=formats.currency_name(self.currency)
        )
        names = {"is_crm": "CRM", first: heading}
        return frame.rename(columns=names)

    def trend_frame(self) -> pd.DataFrame:
        """Give the shares of each week as people read them."""
        rows = []
        for row in self.trend.to_dict("records"):
            share = (row["incremental"], row["low"], row["high"])
            line = {
                "week": row["week"],
                "until": formats.day(row["until"]),
                "company's revenue": formats.money(row["company"], self.currency),
                "incremental": formats.percent_interval(*share).removeprefix("+")
                if all(map(math.isfinite, share))
                else say(formats.CANNOT_TELL),
            }
            if self.is_known:
                line["last touch"] = formats.percent(row["last_touch"])
            rows.append(line)
        return pd.DataFrame(rows)

    def _share(self, amount: float) -> float:
        return amount / self.company_revenue if self.company_revenue > 0 else math.nan

    def _shares(self, money: Money) -> str:
        ends = (self._share(money.estimate), self._share(money.low), self._share(money.high))
        if not all(map(math.isfinite, ends)):
            return say(formats.CANNOT_TELL)
        return formats.percent_interval(*ends).removeprefix("+")

    def _money(self, money: Money) -> str:
        return formats.money_interval(money.estimate, money.low, money.high, self.currency)


def attribute(
    gateway: Gateway,
    curve: CurveResult,
    *,
    lookback_days: int = 30,
    snapshot_id: int | None = None,
) -> Attribution:
    """Share the orders of the weeks of ``curve`` to touches, and set the control group beside it.

    Parameters
    ----------
    gateway : Gateway
        Orders, visits, and clicks on messages.
    curve : CurveResult
        The difference to the control group, from the same base.
    lookback_days : int
        How long before an order a touch counts, 1 to 365.
    snapshot_id : int, optional
        Snapshot to read; by default the latest.

    Raises
    ------
    DesignError
        The look-back window is impossible.
    """
    if not 1 <= lookback_days <= MAX_LOOKBACK_DAYS:
        raise DesignError(
            say("a look-back of {days} days", days=lookback_days),
            expected=say("1 to {most} days", most=MAX_LOOKBACK_DAYS),
        )
    starts_at = curve.epoch.opened_at
    window = {"starts_at": starts_at, "ends_at": starts_at + timedelta(weeks=curve.weeks)}
    population = curves.first_drawn(curve.epoch.scope, opened_at=starts_at)
    with gateway.reader(snapshot_id) as reader:
        query = attribution.attributed_orders(**window, lookback_days=lookback_days)
        reader.temporary(_ATTRIBUTED, query)
        shared = reader.frame(attribution.by_channel(_ATTRIBUTED))
        by_week = reader.frame(
            attribution.crm_by_week(_ATTRIBUTED, population, starts_at=starts_at)
        )
        touches = reader.frame(attribution.touches_by_channel(**window))
        company = reader.frame(
            curves.company_weeks(population, starts_at=starts_at, weeks=curve.weeks)
        )
    sums = by_week.groupby("model")[["amount", "same"]].sum()
    models = tuple(
        AttributedMoney(
            model=model,
            same=float(sums["same"].get(model, 0.0)),
            every=float(sums["amount"].get(model, 0.0)),
        )
        for model in attribution.MODELS
    )
    return Attribution(
        models=models,
        incremental=curve.total,
        label=curve.label,
        reason=curve.decisive.absolute.reason,
        is_final=curve.weeks == curve.planned_weeks and not curve.is_broken,
        company_revenue=float(company["revenue"].sum()),
        lookback_days=lookback_days,
        touches=int(touches["touches"].sum()),
        channels=_channels(touches, shared),
        trend=_trend(curve, company, by_week),
        currency=curve.currency,
    )


def _channels(touches: pd.DataFrame, shared: pd.DataFrame) -> pd.DataFrame:
    """Join touches and money by channel; a channel without orders has no money, not none."""
    keys = ["channel", "is_crm"]
    linear = shared[shared["model"] == "linear"][[*keys, "orders"]]
    money = shared.pivot_table(index=keys, columns="model", values="amount", aggfunc="sum")
    money = money.reindex(columns=list(attribution.MODELS)).reset_index()
    frame = touches.merge(linear, on=keys, how="outer").merge(money, on=keys, how="outer")
    numbers = ["touches", "customers", "orders"]
    frame[numbers] = frame[numbers].fillna(0).astype(int)
    frame[list(attribution.MODELS)] = frame[list(attribution.MODELS)].fillna(0.0)
    return frame.sort_values(["touches", "channel"], ascending=[False, True], ignore_index=True)


def _trend(curve: CurveResult, company: pd.DataFrame, by_week: pd.DataFrame) -> pd.DataFrame:
    """Give the weekly shares of the company's revenue: incremental, and by last touch."""
    sold = dict(zip(company["week"], company["revenue"], strict=True))
    last = by_week[by_week["model"] == attribution.MODELS[0]]
    claimed = dict(zip(last["week"], last["same"], strict=True))
    rows = []
    for point in curve.revenue[: curve.weeks]:
        revenue = float(sold.get(point.week, 0.0))
        extra = scaled(point.weekly, curve.treated)
        per = 1 / revenue if revenue > 0 else math.nan
        rows.append(
            {
                "week": point.week,
                "until": point.last_day,
                "company": revenue,
                "incremental": extra.estimate * per,
                "low": extra.low * per,
                "high": extra.high * per,
                "last_touch": float(claimed.get(point.week, 0.0)) * per,
            }
        )
    columns = ["week", "until", "company", "incremental", "low", "high", "last_touch"]
    return pd.DataFrame(rows, columns=columns)
