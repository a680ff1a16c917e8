"""What the comparison of everybody with the control group gives, week by week."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import ClassVar, Literal

import numpy as np
import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result, lights_frame
from crm_lab.crm_effect import curve_wording as wording
from crm_lab.experiments.epochs import Epoch
from crm_lab.experiments.results import Money
from crm_lab.headlines import HeadlineNumber, Light, money_number
from crm_lab.language import message, say, word
from crm_lab.stats import Comparison, DetectableEffect, Effect, SampleRatio

CurveVerdict = Literal["gain", "loss", "not yet", "cannot conclude"]
MarginSource = Literal["cost of goods", "margin share", "not known"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One week after the draw: what a treated customer brought more than a control.

    Attributes
    ----------
    week : int
        Number of the week after the draw, from 1.
    first_day, last_day : datetime.date
        Its days in the company's zone, both included.
    weekly, cumulative : Effect
        Difference per customer in this week, and from the draw to its end; money.
    """

    week: int
    first_day: date
    last_day: date
    weekly: Effect
    cumulative: Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Stability:
    """Whether the gain is stable by the rule that was fixed at the draw.

    Attributes
    ----------
    weeks, minimum : int, float
        The rule: lower ends of the last so many weekly cumulative intervals above ``minimum``.
    since : datetime.date or None
        Day on which it became stable, without a break until now; None: not yet.
    held : int
        How many of the last ``weeks`` lower ends lie above ``minimum``.
    looks : int
        How many of them are known.
    """

    weeks: int
    minimum: float
    since: date | None
    held: int
    looks: int


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CurveResult(Result):
    """The effect of all contact together on revenue and margin, week by week since the draw.

    Attributes
    ----------
    verdict : {"gain", "loss", "not yet", "cannot conclude"}
        By the cumulative interval of revenue at the planned week, and only there.
    label : {"randomised", "observational"}
        Whether the control group was drawn, or given as a list.
    epoch : Epoch
        The control group.
    revenue : tuple of CurvePoint
        One per whole week that is known.
    margin : tuple of CurvePoint
        The same for margin; empty where it is not known.
    margin_source : {"cost of goods", "margin share", "not known"}
        Where margin comes from.
    margin_note : str
        The same in words.
    planned_weeks : int
        Week at whose end it is decided, from the horizon that was planned at the draw.
    decisive : Comparison
        Revenue per customer at the planned week; before it, at the last week that is known.
    decisive_margin : Comparison or None
        The same for margin.
    discount : Effect
        Discount per customer over the same weeks: treated minus control.
    stability : Stability
        Whether the gain is stable.
    detectable : DetectableEffect
        What would have shown at the week of ``decisive``.
    variance_reduction : float
        Part of the variance that the pre-period explained at that week.
    treated, controls : int
        Customers of the first draw in each group.
    newcomers : int
        Members who joined later; not in these numbers.
    unit : str
        What was drawn, and therefore what is compared.
    lights : tuple of Light
        Whether it can be trusted.
    ratio : SampleRatio
        The test behind the first light.
    alpha : float
        Error level of each single interval.
    starts_on, decided_after, known_until : datetime.date
        First day after the draw, last planned day, last day of which orders are known.
    snapshot, ledger_digest, currency : str
        Label of the data, digest of the ledger's last entry, currency of every amount.
    """

    title: ClassVar[str] = message("CRM against the control group")
    plotter: ClassVar[str] = "crm_lab.plots.curve:plot_cumulative"

    verdict: CurveVerdict
    label: str
    epoch: Epoch
    revenue: tuple[CurvePoint, ...]
    margin: tuple[CurvePoint, ...]
    margin_source: MarginSource
    margin_note: str
    margin_share: float
    planned_weeks: int
    decisive: Comparison
    decisive_margin: Comparison | None
    discount: Effect
    stability: Stability
    detectable: DetectableEffect
    variance_reduction: float
    treated: int
    controls: int
    newcomers: int
    unit: str
    lights: tuple[Light, ...]
    ratio: SampleRatio
    alpha: float
    starts_on: date
    decided_after: date
    known_until: date
    snapshot: str
    ledger_digest: str
    currency: str

    @property
    def weeks(self) -> int:
        """Whole weeks that count for ``decisive``: the planned ones, or those known so far."""
        return min(len(self.revenue), self.planned_weeks)

    @property
    def day_after(self) -> date:
        """First day after the weeks that count."""
        return self.starts_on + timedelta(weeks=self.weeks)

    @property
    def is_broken(self) -> bool:
        """Whether a check failed, so that no number may be believed."""
        return any(light.tone == "bad" for light in self.lights)

    @property
    def margin_by_discounts(self) -> Money | None:
        """The part of the incremental margin that comes from other discounts than the controls'.

        A margin share is one of the price before discount, so a discount less is margin more; None
        where margin comes from cost of goods or is not known.
        """
        if not (math.isfinite(self.margin_share) and self.discount.is_known):
            return None
        factor = -(1 - self.margin_share) * self.treated
        ends = sorted((factor * self.discount.low, factor * self.discount.high))
        return Money(estimate=factor * self.discount.estimate, low=ends[0], high=ends[1])

    @property
    def total(self) -> Money:
        """Incremental revenue of everybody outside the control group."""
        return scaled(self.decisive.absolute, self.treated)

    @property
    def total_margin(self) -> Money | None:
        """Incremental margin of everybody outside the control group; None where not known."""
        if self.decisive_margin is None:
            return None
        return scaled(self.decisive_margin.absolute, self.treated)

    def sentence(self) -> str:
        """Say the verdict, the gain per customer and in all, and whether it is stable."""
        parts = [say("{verdict}.", verdict=say(wording.VERDICTS[self.verdict]))]
        red = [word(light.name).lower() for light in self.lights if light.tone == "bad"]
        if red:
            parts.append(say(wording.BROKEN, checks=", ".join(red)))
        parts.append(self.clause())
        parts.append(self.stable_sentence())
        if self.label == wording.OBSERVATIONAL:
            parts.append(say(wording.CHOSEN, label=word(self.label)))
        return " ".join(parts)

    def clause(self) -> str:
        """Say the difference with its interval, as far as it is known."""
        effect = self.decisive.absolute
        words = {
            "weeks": self.weeks,
            "span": wording.over_weeks(self.weeks),
            "planned": self.planned_weeks,
            "start": formats.day(self.starts_on),
            "until": formats.day(self.known_until),
            "end": formats.day(self.decided_after),
        }
        if not self.revenue:
            return say(wording.NO_WEEK, **words)
        if not effect.is_known:
            return say(wording.NO_ESTIMATE, reason=effect.reason)
        relative, total = self.decisive.relative, self.total
        words |= {
            "effect": formats.money_interval(
                effect.estimate, effect.low, effect.high, self.currency
            ),
            "relative": formats.percent_interval(relative.estimate, relative.low, relative.high)
            if relative.is_known
            else say(wording.RELATIVE_UNKNOWN, reason=relative.reason),
            "total": formats.money_interval(total.estimate, total.low, total.high, self.currency),
            "controls": formats.number(self.controls),
            "detectable": formats.percent(self.detectable.relative, decimals=0, signed=True),
        }
        if len(self.revenue) < self.planned_weeks:
            return say(wording.INTERIM, **words)
        if effect.low > 0:
            return say(wording.GAIN, **words)
        return say(wording.LOSS if effect.high < 0 else wording.UNKNOWN, **words)

    def stable_sentence(self) -> str:
        """Say since when the gain is stable, or that it is not yet."""
        if self.is_broken:
            return say(wording.STABLE_BROKEN)
        rule = self.stability
        places = 0 if rule.minimum == round(rule.minimum) else 2
        minimum = formats.money(rule.minimum, self.currency, decimals=places)
        minimum = minimum if rule.minimum else "0"
        words = {"weeks": rule.weeks, "minimum": minimum}
        if rule.since is not None:
            return say(wording.STABLE_SINCE, day=formats.day(rule.since), **words)
        held = say(wording.HELD, count=rule.held, looks=rule.looks)
        return say(
            wording.STABLE_NOT_YET, held=held if rule.looks else say(wording.HELD_NONE), **words
        )

    def look_note(self) -> str:
        """Say what each interval is for, and when it is decided."""
        return say(
            wording.SINGLE_LOOK,
            alpha=formats.percent(self.alpha, decimals=0),
            planned=self.planned_weeks,
        )

    def next_look(self) -> str:
        """Say when it is to be decided."""
        is_due = self.weeks >= self.planned_weeks
        template = wording.NEXT_NOW if is_due else wording.NEXT_LOOK
        return say(template, end=formats.day(self.decided_after))

    def discount_text(self) -> str:
        """Give the discount that a treated customer got more than a control, with its interval."""
        effect = self.discount
        if not effect.is_known:
            return say(wording.NO_DISCOUNTS)
        return formats.money_interval(effect.estimate, effect.low, effect.high, self.currency)

    def to_frame(self) -> pd.DataFrame:
        """Give one row per metric, week and kind (weekly, cumulative), in long form."""
        rows = [
            {
                "metric": metric,
                "week": point.week,
                "first_day": point.first_day,
                "last_day": point.last_day,
                "kind": kind,
                "estimate": effect.estimate,
                "low": effect.low,
                "high": effect.high,
                "p_value": effect.p_value,
                "reason": effect.reason,
            }
            for metric, points in (("revenue", self.revenue), ("margin", self.margin))
            for point in points
            for kind, effect in (("weekly", point.weekly), ("cumulative", point.cumulative))
        ]
        return pd.DataFrame(rows, columns=_FRAME_COLUMNS)

    def card_frame(self) -> pd.DataFrame:
        """Give the short table of the card: what is compared over which weeks."""
        return pd.DataFrame(
            [
                {
                    "what": "revenue per customer",
                    "outside the control group": self._level(self.decisive.absolute, "treatment"),
                    "control group": self._level(self.decisive.absolute, "control"),
                },
                {
                    "what": "customers",
                    "outside the control group": formats.number(self.treated),
                    "control group": formats.number(self.controls),
                },
            ]
        )

    def headline_numbers(self) -> tuple[HeadlineNumber, ...]:
        """Give the gain in revenue per customer."""
        effect = self.decisive.absolute
        if not effect.is_known:
            return ()
        return (money_number(say(wording.ROW_GAIN), effect, currency=self.currency),)

    def weeks_frame(self) -> pd.DataFrame:
        """Give every week as people read it: this week alone, and since the draw."""
        margins: Mapping[int, CurvePoint] = {point.week: point for point in self.margin}
        rows = []
        for point in self.revenue:
            row: dict[str, object] = {
                "week": point.week,
                "until": formats.day(point.last_day),
                say(
                    "this week, {currency}", currency=formats.currency_name(self.currency)
                ): _interval(point.weekly),
                "since the draw": _interval(point.cumulative),
            }
            if point.week in margins:
                row["margin since the draw"] = _interval(margins[point.week].cumulative)
            rows.append(row)
        return pd.DataFrame(rows)

    def lights_frame(self) -> pd.DataFrame:
        """Give the checks: name, word, detail."""
        return lights_frame(self.lights)

    def _level(self, effect: Effect, arm: Literal["treatment", "control"]) -> str:
        value = effect.treatment_value if arm == "treatment" else effect.control_value
        if not np.isfinite(value):
            return say(formats.CANNOT_TELL)
        places = min(max(formats.decimals_for(effect.low, effect.high), 0), 2)
        return formats.money(value, self.currency, decimals=places)


_FRAME_COLUMNS = [
    "metric",
    "week",
    "first_day",
    "last_day",
    "kind",
    "estimate",
    "low",
    "high",
    "p_value",
    "reason",
]


def _interval(effect: Effect) -> str:
    """Write an effect without its currency, which the heading of its column names."""
    if not effect.is_known:
        return effect.reason
    places = min(formats.decimals_for(effect.low, effect.high), 2)
    estimate = formats.number(effect.estimate, decimals=places, signed=True)
    return f"{estimate} ({formats.interval(effect.low, effect.high, decimals=places)})"


def scaled(effect: Effect, customers: int) -> Money:
    """Give an effect per customer as money of so many customers."""
    return Money(
        estimate=effect.estimate * customers,
        low=effect.low * customers,
        high=effect.high * customers,
    )
