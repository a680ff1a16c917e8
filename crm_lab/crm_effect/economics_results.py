"""What the gain of all contact together is in money: gross, net of costs, of the company."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Literal, NamedTuple

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.crm_effect import curve_wording as wording
from crm_lab.crm_effect.curve_results import CurveVerdict
from crm_lab.experiments.results import Money
from crm_lab.headlines import HeadlineNumber, Light, money_number
from crm_lab.language import message, say, using_language, word

DAYS_PER_YEAR = 365.25
MUCH_BY_DISCOUNTS = 0.2
"""Part of the margin from which on its coming from discounts is said."""
MANY_TIMES = 10.0
"""Return from which on it is written as so many times the costs instead of thousands of percent."""
_LineKind = Literal[
    "each", "revenue", "margin", "discounts", "cost", "no cost", "holdout", "net", "roi", "share"
]
_ON_THE_CARD: set[_LineKind] = {"revenue", "margin", "net", "roi"}


class _Line(NamedTuple):
    """One line of the calculation: which one, its name, its amount, its formula."""

    kind: _LineKind
    name: str
    money: Money
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLine:
    """One kind of cost in the window.

    Attributes
    ----------
    kind : str
        As in the table of cost entries, or ``fixed``.
    amount : float
        In the company's currency.
    source : str
        Cost entries or registered plans.
    is_counted : bool
        Whether it is taken off.
    note : str
        Why it is not.
    """

    kind: str
    amount: float
    source: str
    is_counted: bool = True
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Economics(Result):
    """The gain of all contact together in money: gross, net of costs, as a share of the company.

    Attributes
    ----------
    verdict : str
        What a page says first: whether CRM pays for itself, or what else can be said.
    effect : {"gain", "loss", "not yet", "cannot conclude"}
        Of the comparison with the control group.
    label : {"randomised", "observational"}
        Where the difference comes from.
    broken : tuple of str
        Checks that failed.
    lights : tuple of Light
        All checks of the comparison.
    reason : str
        Why there is no estimate; empty where there is one.
    weeks, planned_weeks : int
        Weeks that are counted, and those that were planned.
    starts_on, ends_on, decided_after : datetime.date
        First and last day that count, last planned day.
    treated, controls : int
        Customers of each group.
    revenue : Money
        Incremental revenue of the treated.
    margin : Money or None
        Incremental margin of the treated; None where margin is not known.
    margin_note : str
        Where margin comes from, or why it is not known.
    by_discounts : Money or None
        The part of ``margin`` that comes from other discounts than the control group's; None where
        margin is not by a share of the price.
    costs : tuple of CostLine
        What was spent.
    messages, uncosted_messages : int
        Marketing messages of the window, and those of which no cost is known.
    holdout : Money
        What the control group would have brought; margin where known, else revenue.
    net : Money or None
        Incremental margin less costs and holding out; None where margin or costs are not known.
    roi : Money or None
        ``net`` divided by the costs; None where it cannot be said.
    company_revenue, known_revenue : float
        Revenue of the whole company in the window, and the part of it that came from the customers
        of the first draw.
    share : Money
        Incremental revenue as a part of the company's revenue; NaN where it sold nothing.
    alpha : float
        Error level of each interval.
    detectable : float
        Relative change of revenue that would have shown; NaN where it cannot be said.
    goal : float or None
        More revenue a year that the sales plan asks for.
    currency : str
        Currency of every amount.
    attributed : float
        What attribution gives CRM of the same customers and weeks; NaN where it was not computed.
    attributed_note : str
        How that differs from what the control group shows, in one sentence.
    """

    title: ClassVar[str] = message("What CRM brings")
    plotter: ClassVar[str] = "crm_lab.plots.curve:plot_money"

    verdict: str
    effect: CurveVerdict
    label: str
    broken: tuple[str, ...]
    lights: tuple[Light, ...]
    reason: str
    weeks: int
    planned_weeks: int
    starts_on: date
    ends_on: date
    decided_after: date
    treated: int
    controls: int
    revenue: Money
    margin: Money | None
    margin_note: str
    by_discounts: Money | None
    costs: tuple[CostLine, ...]
    messages: int
    uncosted_messages: int
    holdout: Money
    net: Money | None
    roi: Money | None
    company_revenue: float
    known_revenue: float
    share: Money
    alpha: float
    detectable: float
    goal: float | None
    currency: str
    attributed: float = math.nan
    attributed_note: str = ""

    @property
    def outlay(self) -> float:
        """Costs that are taken off."""
        return sum(line.amount for line in self.costs if line.is_counted)

    @property
    def has_costs(self) -> bool:
        """Whether anything is known that was spent."""
        return any(line.is_counted for line in self.costs)

    @property
    def is_projected(self) -> bool:
        """Whether the interval supports a projection to a year."""
        return self.effect == "gain" and self.label == wording.RANDOMISED and not self.broken

    @property
    def per_year(self) -> float:
        """How many such windows a year has."""
        return DAYS_PER_YEAR / (7 * self.weeks) if self.weeks else math.nan

    def headline_numbers(self) -> tuple[HeadlineNumber, ...]:
        """Give the one number, the same per customer, and attributed money beside it."""
        name, money = self._headline()
        if self.broken or not math.isfinite(money.estimate):
            return ()
        each = times(self.revenue, 1 / self.treated)
        found = [(name, money), (say(wording.ROW_GAIN), each)]
        numbers = [money_number(label, amount, currency=self.currency) for label, amount in found]
        if math.isfinite(self.attributed):
            numbers.append(
                HeadlineNumber(
                    label=say(wording.ROW_ATTRIBUTED),
                    estimate=self.attributed,
                    kind="money",
                    unit=self.currency,
                    note=self.attributed_note,
                )
            )
        return tuple(numbers)

    def subtitle(self) -> str:
        """Say who was compared, and over which days."""
        return say(
            wording.SUBTITLE,
            treated=formats.number(self.treated),
            controls=formats.number(self.controls),
            start=formats.day(self.starts_on),
            end=formats.day(self.ends_on),
        )

    def sentence(self) -> str:
        """Say whether it pays, what it brought, what it cost, and what is not known."""
        verdict = say("{verdict}.", verdict=say(self.verdict))
        if self.broken:
            checks = ", ".join(word(name).lower() for name in self.broken)
            return f"{verdict} {say(wording.MONEY_BROKEN, checks=checks)}"
        if not math.isfinite(self.revenue.estimate):
            return f"{verdict} {self._no_estimate()}"
        parts = [verdict, self._gain(), *self._discounts()]
        if self.net is not None:
            parts.append(
                say(
                    wording.NET_LEFT,
                    outlay=formats.money(self.outlay, self.currency),
                    holdout=self._money(self.holdout, signed=False),
                    net=self._money(self.net),
                )
            )
        if self.margin is None:
            parts.append(say(wording.NO_MARGIN, note=self.margin_note))
        if not self.has_costs:
            parts.append(say(wording.NO_COSTS))
        if self.uncosted_messages and self.net is not None:
            parts.append(say(wording.NET_PARTIAL, messages=formats.number(self.uncosted_messages)))
        return " ".join(parts)

    def to_frame(self) -> pd.DataFrame:
        """Give one row per amount: name, estimate, ends, formula."""
        with using_language("en"):
            lines = self._lines()
        return pd.DataFrame(
            {
                "what": line.name,
                "estimate": line.money.estimate,
                "low": line.money.low,
                "high": line.money.high,
                "how": line.how,
            }
            for line in lines
        )

    def card_frame(self) -> pd.DataFrame:
        """Give the short table of the card: what was brought and what is left, with intervals."""
        rows = [
            {"what": line.name, "amount": self._shown(line)}
            for line in self._lines()
            if line.kind in _ON_THE_CARD
        ]
        evidence = say(
            wording.EVIDENCE, label=word(self.label), controls=formats.number(self.controls)
        )
        return pd.DataFrame([*rows, {"what": say(wording.ROW_EVIDENCE), "amount": evidence}])

    def money_frame(self) -> pd.DataFrame:
        """Give the calculation from revenue to net, each line with its formula."""
        rows = [
            {"what": line.name, "amount": self._shown(line), "how": line.how}
            for line in self._lines()
        ]
        return pd.DataFrame(rows)

    def aside_frame(self) -> pd.DataFrame:
        """Give the costs that are known and not taken off, with the reason."""
        return pd.DataFrame(
            [
                {
                    "cost": say(wording.KIND_LABELS[line.kind]),
                    "amount": formats.money(line.amount, self.currency),
                    "why it is not taken off": say(line.note),
                }
                for line in self.costs
                if not line.is_counted
            ],
            columns=["cost", "amount", "why it is not taken off"],
        )

    def projection_sentence(self) -> str:
        """Say what it is a year for the company, or why nothing is projected."""
        if not self.is_projected:
            return say(wording.NO_PROJECTION["cannot conclude" if self.broken else self.effect])
        net = ""
        if self.net is not None:
            is_clear = self.net.low > 0 or self.net.high < 0
            net = (
                say(wording.PROJECTION_NET, net=self._money(self._yearly(self.net)))
                if is_clear
                else say(wording.PROJECTION_NET_OPEN)
            )
        return say(
            wording.PROJECTION,
            weeks=self.weeks,
            revenue=self._money(self._yearly(self.revenue)),
            share=self._percent(self.share),
            contribution=net,
        )

    def base_sentence(self) -> str:
        """Say how much of the company's revenue CRM can move at all."""
        known = self.known_revenue / self.company_revenue if self.company_revenue > 0 else math.nan
        return say(wording.BASE_NOTE, share=formats.percent(known))

    def goal_sentence(self) -> str:
        """Say whether the sales plan can be met from customers who are known; empty without one."""
        if self.goal is None:
            return ""
        goal = formats.money(self.goal, self.currency)
        if not self.is_projected:
            return say(wording.GOAL_OPEN, goal=goal)
        yearly = self._yearly(self.revenue)
        if self.goal <= yearly.high:
            return say(wording.GOAL_WITHIN, goal=goal, revenue=self._money(yearly))
        places = min(formats.decimals_for(yearly.low, yearly.high), 0)
        return say(
            wording.GOAL_BEYOND,
            goal=goal,
            most=formats.money(yearly.high, self.currency, decimals=places),
            rest=formats.money(self.goal - yearly.high, self.currency, decimals=places),
            channels=formats.listing(say(name) for name in wording.ACQUISITION_CHANNELS),
        )

    def _headline(self) -> tuple[str, Money]:
        name, money = wording.ROW_REVENUE, self.revenue
        if self.net is not None:
            partial = self.uncosted_messages > 0
            name, money = wording.ROW_NET_PARTIAL if partial else wording.ROW_NET, self.net
        elif self.margin is not None:
            name, money = wording.ROW_MARGIN, self.margin
        so_far = say(wording.SO_FAR) if self.weeks < self.planned_weeks else ""
        said = say(
            wording.IN_WEEKS,
            name=say(name).capitalize(),
            span=wording.in_weeks(self.weeks),
            so_far=so_far,
        )
        return said, money

    def _gain(self) -> str:
        metric = "margin" if self.margin is not None else "revenue"
        money = self.margin or self.revenue
        words = {
            "weeks": self.weeks,
            "span": wording.over_weeks(self.weeks),
            "treated": formats.number(self.treated),
            "total": self._money(money),
            "planned": self.planned_weeks,
            "controls": formats.number(self.controls),
            "detectable": formats.percent(self.detectable, decimals=0, signed=True),
            "end": formats.day(self.decided_after),
        }
        template = wording.MONEY_UNSURE[metric]
        if money.low > 0:
            template = wording.MONEY_GAIN[metric]
        elif money.high < 0:
            template = wording.MONEY_LOSS[metric]
        said = say(template, **words)
        if self.weeks >= self.planned_weeks:
            return said
        return say(wording.MONEY_INTERIM, **words) + said[:1].lower() + said[1:]

    def _discounts(self) -> list[str]:
        part = self.by_discounts
        if part is None or self.margin is None:
            return []
        if abs(part.estimate) < MUCH_BY_DISCOUNTS * abs(self.margin.estimate):
            return []
        text = wording.BY_DISCOUNTS if part.low > 0 or part.high < 0 else wording.BY_CHANCE
        return [say(text, part=self._money(part))]

    def _no_estimate(self) -> str:
        return say(wording.NO_ESTIMATE, reason=self.reason)

    def _lines(self) -> list[_Line]:
        """Give every line from revenue to net; an amount that is not known is NaN."""
        treated, controls = formats.number(self.treated), formats.number(self.controls)
        nothing = Money(estimate=math.nan, low=math.nan, high=math.nan)
        each = times(self.revenue, 1 / self.treated if self.treated else math.nan)
        dates = {"start": formats.day(self.starts_on), "end": formats.day(self.ends_on)}
        costs = [
            _Line(
                "cost",
                say(wording.ROW_COST, kind=say(wording.KIND_LABELS[line.kind])),
                Money(estimate=line.amount, low=line.amount, high=line.amount),
                say(wording.FORMULA_COST, source=say(line.source), **dates),
            )
            for line in self.costs
            if line.is_counted
        ]
        if not self.has_costs:
            no_cost = say(wording.FORMULA_NO_COST)
            costs.append(_Line("no cost", say(wording.ROW_NO_COST), nothing, no_cost))
        discounts = []
        if self.by_discounts is not None:
            how = say(wording.FORMULA_DISCOUNTS, treated=treated)
            discounts = [_Line("discounts", say(wording.ROW_DISCOUNTS), self.by_discounts, how)]
        made = say(wording.FORMULA_MARGIN, treated=treated, note=self.margin_note)
        holdout = self.holdout if self.margin is not None else nothing
        held_out = say(wording.FORMULA_HOLDOUT, controls=controls)
        net = say(wording.ROW_NET_PARTIAL if self.uncosted_messages else wording.ROW_NET)
        sold = say(wording.FORMULA_REVENUE, treated=treated)
        return [
            _Line("each", say(wording.ROW_EACH), each, say(wording.FORMULA_EACH)),
            _Line("revenue", say(wording.ROW_REVENUE), self.revenue, sold),
            _Line("margin", say(wording.ROW_MARGIN), self.margin or nothing, made),
            *discounts,
            *costs,
            _Line("holdout", say(wording.ROW_HOLDOUT), holdout, held_out),
            _Line("net", net, self.net or nothing, say(wording.FORMULA_NET)),
            _Line("roi", say(wording.ROW_ROI), self.roi or nothing, say(wording.FORMULA_ROI)),
            _Line("share", say(wording.ROW_SHARE), self.share, say(wording.FORMULA_SHARE)),
        ]

    def _shown(self, line: _Line) -> str:
        money = line.money
        if math.isnan(money.estimate):
            return self._why_unknown(line.kind)
        if line.kind == "roi" and money.estimate >= MANY_TIMES:
            ratio = formats.number_interval(money.estimate, money.low, money.high)
            return say(wording.ROI_TIMES, ratio=ratio)
        if line.kind in ("roi", "share"):
            return self._percent(money)
        if money.low == money.high:
            return formats.money(money.estimate, self.currency)
        return self._money(money, signed=line.kind != "holdout")

    def _why_unknown(self, kind: _LineKind) -> str:
        if kind == "share" and not self.company_revenue > 0:
            return say(wording.UNKNOWN_SHARE)
        if kind == "no cost":
            return say(wording.UNKNOWN_COSTS)
        if not math.isfinite(self.revenue.estimate):
            return self._no_estimate()
        if self.margin is None:
            return say(wording.UNKNOWN_MARGIN)
        return say(wording.UNKNOWN_ROI) if self.net is not None else say(wording.UNKNOWN_COSTS)

    def _yearly(self, money: Money) -> Money:
        return times(money, self.per_year)

    def _money(self, money: Money, *, signed: bool = True) -> str:
        text = formats.money_interval(money.estimate, money.low, money.high, self.currency)
        return text if signed else text.removeprefix("+")

    def _percent(self, share: Money) -> str:
        return formats.percent_interval(share.estimate, share.low, share.high).removeprefix("+")


def times(money: Money, factor: float) -> Money:
    """Multiply an amount and its interval; a negative factor turns the ends around.

    Examples
    --------
    >>> times(Money(estimate=2.0, low=1.0, high=4.0), -1.0)
    Money(estimate=-2.0, low=-4.0, high=-1.0)
    """
    ends = sorted((money.low * factor, money.high * factor))
    return Money(estimate=money.estimate * factor, low=ends[0], high=ends[1])


def plus(money: Money, amount: float) -> Money:
    """Add a known amount to an estimate and to both ends of its interval.

    Examples
    --------
    >>> plus(Money(estimate=2.0, low=1.0, high=4.0), -3.0)
    Money(estimate=-1.0, low=-2.0, high=1.0)
    """
    return Money(estimate=money.estimate + amount, low=money.low + amount, high=money.high + amount)
