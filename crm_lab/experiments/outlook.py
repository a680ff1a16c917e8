"""What a control group would see and hold back, before it is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.experiments.assignment import bucket_ends
from crm_lab.experiments.fields import CONTROL
from crm_lab.gateway import Gateway, operations
from crm_lab.language import grouped, message, say, say_many
from crm_lab.stats import (
    DetectableEffect,
    minimum_detectable_effect_mean,
    minimum_detectable_effect_proportion,
)

HORIZON_WEEKS = (4, 8, 13)
SMALL_CONTROL = 100
"""Controls below which a group or a plan is objected to."""
HOPELESS_EFFECT = 0.5
"""Relative effect above which hardly any campaign lies: a design that needs it is hopeless."""
ALPHA = 0.05
POWER = 0.8


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class HoldoutOutlook(Result):
    """What a control group of this share would see on this base, and what it holds back.

    Attributes
    ----------
    share : float
        Share of the eligible base.
    eligible, control : int
        Eligible customers, and expected controls among them.
    obstacles : mapping
        Customers who are not eligible, by obstacle.
    detectable : tuple of (weeks, metric, DetectableEffect)
        Smallest effect that is found with 80 % probability, per horizon and metric, from the
        base's own last weeks.
    held_revenue_per_month : float
        What the control customers spent a month, so far: the sales that campaigns may not ask for.
    currency : str
        Currency of the amounts.
    """

    title: ClassVar[str] = message("What this control group would see")
    plotter: ClassVar[str] = "crm_lab.plots.control_group:plot_outlook"

    share: float
    eligible: int
    control: int
    obstacles: Mapping[str, int]
    detectable: tuple[tuple[int, str, DetectableEffect], ...]
    held_revenue_per_month: float
    currency: str

    def sentence(self) -> str:
        """Say size, sight and price of the group."""
        known = [d for w, m, d in self.detectable if w == 13 and m == "revenue per customer"]
        sight = (
            say(
                "in 13 weeks it finds a change of revenue per customer of {change} or more",
                change=formats.percent(known[0].relative, decimals=0, signed=True),
            )
            if known and known[0].relative == known[0].relative
            else say("the base has too little history to say what it would see")
        )
        held = formats.money(self.held_revenue_per_month, self.currency)
        told = say(
            "{share} of {eligible} customers who may be contacted is about {controls} controls;"
            " {sight} (80 % probability). These customers spend about {held} a month without being"
            " asked.",
            share=formats.percent(self.share),
            eligible=grouped(self.eligible),
            controls=grouped(self.control),
            sight=sight,
            held=held,
        )
        change = known[0].relative if known else math.nan
        return " ".join(filter(None, [told, smallness(self.control, smallest_change=change)]))

    def to_frame(self) -> pd.DataFrame:
        """Give one row per horizon and metric: base value and smallest change that shows."""
        return pd.DataFrame(
            [
                {
                    "weeks": weeks,
                    "metric": metric,
                    "base value": effect.base_value,
                    "smallest change that shows": formats.percent(
                        effect.relative, decimals=0, signed=True
                    ),
                    "reason": effect.reason,
                }
                for weeks, metric, effect in self.detectable
            ]
        )


def outlook(
    gateway: Gateway,
    *,
    share: float,
    channel: str,
    as_of: datetime,
    last_order_at: datetime,
    controls: int | None = None,
) -> HoldoutOutlook:
    """Say what a control group would see, before it is drawn; or what the one that stands sees.

    Parameters
    ----------
    gateway : Gateway
        The base.
    share : float
        Share of eligible customers to hold out.
    channel : str
        Channel that decides who may be contacted.
    as_of : datetime
        Business time of the draw (UTC).
    last_order_at : datetime
        End of the history that is used.
    controls : int, optional
        Controls of a group that stands; by default as many as the share promises.

    Raises
    ------
    DesignError
        The share is not between 0 and 1, or finer than 1/10,000.
    """
    bucket_ends({CONTROL: share})
    if share >= 1:
        raise DesignError(say("a control group of everybody"), expected=say("a share below 1"))
    end = min(as_of, last_order_at)
    found: list[tuple[int, str, DetectableEffect]] = []
    held = 0.0
    with gateway.reader() as reader:
        judged = reader.frame(operations.reachability(channel, as_of))
        population = (
            "select customer_id, 'all' as variant"
            f" from ({operations.reachability(channel, as_of)}) as judged where eligible"
        )
        eligible = int(judged["eligible"].sum())
        control = round(share * eligible) if controls is None else controls
        for weeks in HORIZON_WEEKS if 2 <= control <= eligible - 2 else ():
            frame = reader.frame(
                operations.outcomes(
                    population,
                    starts_at=end - pd.Timedelta(weeks=weeks).to_pytimedelta(),
                    ends_at=end,
                    pre_starts_at=end - pd.Timedelta(weeks=weeks).to_pytimedelta(),
                )
            )
            sizes = {"n_treatment": eligible - control, "n_control": control}
            found += [
                (weeks, metric, effect)
                for metric, effect in detectable_effects(frame, **sizes).items()
            ]
            held = float(frame["revenue"].mean()) * control * 52 / 12 / weeks
    return HoldoutOutlook(
        share=control / eligible if eligible else share,
        eligible=eligible,
        control=control,
        obstacles=count_obstacles(judged),
        detectable=tuple(found),
        held_revenue_per_month=held,
        currency=gateway.currency,
    )


def smallness(controls: int, *, smallest_change: float) -> str:
    """Warn of a control group that sees little, and say what helps; empty where it sees enough.

    Parameters
    ----------
    controls : int
        Customers of the group.
    smallest_change : float
        Smallest relative change of revenue per customer that shows in 13 weeks with 80 %
        probability; NaN where it cannot be said.
    """
    found = []
    if controls < SMALL_CONTROL:
        found.append(say_many("Only {count} control.", "Only {count} controls.", controls))
    if smallest_change > HOPELESS_EFFECT:
        found.append(
            say(
                "Even in 13 weeks only a change above {change} would show; few campaigns bring"
                " that.",
                change=formats.percent(smallest_change, decimals=0, signed=True),
            )
        )
    if found:
        found.append(say("What helps: hold out a larger share, watch longer, or pool campaigns."))
    return " ".join(found)


def detectable_effects(
    frame: pd.DataFrame,
    *,
    n_treatment: int,
    n_control: int,
    alpha: float = ALPHA,
    power: float = POWER,
) -> dict[str, DetectableEffect]:
    """Give the smallest effect that shows per metric, from a frame of past outcomes."""
    rate = float((frame["orders"] > 0).mean())
    mean, spread = float(frame["revenue"].mean()), float(frame["revenue"].std())
    return {
        "conversion": detectable_share(
            rate, n_treatment=n_treatment, n_control=n_control, alpha=alpha, power=power
        ),
        "revenue per customer": detectable_mean(
            mean, spread, n_treatment=n_treatment, n_control=n_control, alpha=alpha, power=power
        ),
    }


def detectable_share(
    rate: float, *, n_treatment: int, n_control: int, alpha: float, power: float
) -> DetectableEffect:
    """Give the smallest change of a share that shows; NaN with a reason where none can be said.

    Parameters
    ----------
    rate : float
        Share in the past, from 0 to 1, or NaN.
    n_treatment, n_control : int
        Customers in both groups.
    alpha, power : float
        Error rate and wanted power.
    """
    reason = _too_few(n_treatment, n_control) or _no_past(rate)
    if not reason and rate >= 1:
        reason = say("everybody bought in the past")
    if reason:
        return _unknown(rate, n_treatment, n_control, alpha, power, reason)
    return minimum_detectable_effect_proportion(
        rate, n_treatment, n_control, alpha=alpha, power=power
    )


def detectable_mean(
    mean: float, spread: float, *, n_treatment: int, n_control: int, alpha: float, power: float
) -> DetectableEffect:
    """Give the smallest change of a mean that shows; NaN with a reason where none can be said.

    Parameters
    ----------
    mean, spread : float
        Mean and standard deviation per customer in the past, or NaN.
    n_treatment, n_control : int
        Customers in both groups.
    alpha, power : float
        Error rate and wanted power.
    """
    reason = _too_few(n_treatment, n_control) or _no_past(mean)
    if not reason and not spread > 0:
        reason = say("customers did not differ in the past")
    if reason:
        return _unknown(mean, n_treatment, n_control, alpha, power, reason)
    return minimum_detectable_effect_mean(
        mean, spread, n_treatment, n_control, alpha=alpha, power=power
    )


def _too_few(n_treatment: int, n_control: int) -> str:
    return say("a group has fewer than two customers") if min(n_treatment, n_control) < 2 else ""


def _no_past(value: float) -> str:
    if math.isnan(value):
        return say("nobody's past is known")
    return "" if value > 0 else say("nobody bought in the past")


def _unknown(
    base: float, n_treatment: int, n_control: int, alpha: float, power: float, reason: str
) -> DetectableEffect:
    return DetectableEffect(
        base_value=base,
        absolute=math.nan,
        relative=math.nan,
        n_treatment=n_treatment,
        n_control=n_control,
        alpha=alpha,
        power=power,
        method="none",
        reason=reason,
    )


def count_obstacles(judged: pd.DataFrame) -> dict[str, int]:
    """Count customers by what keeps them from being contacted, the most frequent first."""
    counts = judged["obstacle"].value_counts()
    return {str(name): int(count) for name, count in counts.items()}
