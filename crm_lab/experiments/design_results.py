"""What a design can see, and what it advises."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.experiments import design_wording as wording
from crm_lab.experiments.design_rows import (
    MetricDesign,
    long_row,
    row_name,
)
from crm_lab.experiments.design_sights import (
    Metric,
)
from crm_lab.language import message, say
from crm_lab.stats import (
    SequentialPlan,
    SimulatedPower,
)

TARGET = 0.20
"""Relative effect that a good design sees; few campaigns bring more."""
Verdict = Literal["enough", "only large effects", "hopeless", "cannot be said"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Design(Result):
    """What a control group would see on this base, and what would see more.

    Attributes
    ----------
    eligible : int
        Customers who may be contacted.
    control_share : float
        Share held out.
    n_control : int
        Controls.
    arms : mapping
        Customers per treated arm.
    weeks : float
        Length of the outcome window.
    alpha, alpha_per_arm, power : float
        Two-sided error level of all arms, of one, and wanted power.
    primary : str
        Metric of the headline and the advice.
    metrics : tuple of MetricDesign
        One per metric, method and adjustment; of the smallest arm.
    curve : pandas.DataFrame
        Columns control_share, metric, is_adjusted, relative: smallest change by formula.
    horizon : pandas.DataFrame
        Columns weeks, metric, is_adjusted, relative, source (window or projected).
    simulations : tuple of SimulatedPower
        Power on the company's own history; empty without a random generator.
    looks : SequentialPlan or None
        Planned looks.
    advice : tuple of str
        What would see more, most useful first; and what to mind.
    verdict : str
        ``enough``, ``only large effects``, ``hopeless`` or ``cannot be said``.
    campaigns, campaigns_half : float
        Campaigns of this size that together see a change of 20 % in the primary metric, with this
        control share and with half held out; NaN when no number does.
    currency : str
        Currency of amounts; may be empty.
    """

    title: ClassVar[str] = message("What this design can see")
    plotter: ClassVar[str] = "crm_lab.plots.design:plot_design"

    eligible: int
    control_share: float
    n_control: int
    arms: Mapping[str, int]
    weeks: float
    alpha: float
    alpha_per_arm: float
    power: float
    primary: Metric
    metrics: tuple[MetricDesign, ...]
    curve: pd.DataFrame
    horizon: pd.DataFrame
    simulations: tuple[SimulatedPower, ...]
    looks: SequentialPlan | None
    advice: tuple[str, ...]
    verdict: Verdict
    campaigns: float
    campaigns_half: float
    currency: str

    def metric(
        self, name: Metric, *, method: str = "formula", adjusted: bool = False
    ) -> MetricDesign:
        """Give one metric by name.

        Raises
        ------
        DesignError
            The design does not hold it.
        """
        for row in self.metrics:
            if (row.metric, row.method, row.is_adjusted) == (name, method, adjusted):
                return row
        raise DesignError(
            say("the design holds no adjusted {metric} by {method}", metric=name, method=method)
            if adjusted
            else say("the design holds no {metric} by {method}", metric=name, method=method),
            expected=formats.listing(row_name(row) for row in self.metrics),
        )

    def sentence(self) -> str:
        """Say what would show, and the way out where that is hopeless."""
        effect = self.metric(self.primary).detectable
        metric = say(wording.METRIC_LABELS[self.primary])
        control = formats.number(self.n_control)
        if effect.reason:
            return say(wording.HEADLINE_NONE, control=control, metric=metric, reason=effect.reason)
        good = self.verdict == "enough"
        headline = say(
            wording.HEADLINE_GOOD if good else wording.HEADLINE_POOR,
            control=control,
            detectable=wording.lift_words(effect.relative),
            metric=metric,
            base=wording.base_words(self.primary, effect.base_value, self.currency),
            weeks=wording.weeks_words(self.weeks),
            power=formats.percent(self.power, decimals=0),
        )
        return f"{headline} {say(wording.ENOUGH) if good else self._next_step()}"

    def number(self) -> str:
        """Give the smallest change of the primary metric that shows."""
        effect = self.metric(self.primary).detectable
        return "" if effect.reason else wording.lift_words(effect.relative)

    def number_label(self) -> str:
        """Say of which metric it is the smallest change."""
        metric = say(wording.METRIC_LABELS[self.primary])
        return say("Smallest change that shows, {metric}", metric=metric)

    def to_frame(self) -> pd.DataFrame:
        """Give one row per metric, method and adjustment, in long form."""
        return pd.DataFrame([long_row(row) for row in self.metrics])

    def card_frame(self) -> pd.DataFrame:
        """Give the table for people."""
        return pd.DataFrame(
            [
                {
                    "metric": say(
                        "{metric}, adjusted by pre-period",
                        metric=say(wording.METRIC_LABELS[row.metric]),
                    )
                    if row.is_adjusted
                    else say(wording.METRIC_LABELS[row.metric]),
                    say("by"): say(wording.METHOD_LABELS[row.method]),
                    "base value": wording.base_words(
                        row.metric, row.detectable.base_value, self.currency
                    ),
                    "smallest change that shows": wording.lift_words(row.detectable.relative)
                    if not row.detectable.reason
                    else row.detectable.reason,
                    **{
                        say("base for {lift}", lift=wording.lift_words(lift)): formats.number(
                            wording.rounded_up(size)
                        )
                        for lift, size in row.required
                    },
                }
                for row in self.metrics
            ]
        )

    def advice_frame(self) -> pd.DataFrame:
        """Give the advice, one sentence a row."""
        return pd.DataFrame({"advice": list(self.advice)})

    def _next_step(self) -> str:
        target = wording.lift_words(TARGET)
        share, best = _share_that_sees(self.curve, self.primary, self.control_share)
        campaigns = wording.campaigns_words(self.campaigns)
        if math.isfinite(share):
            return say(
                wording.NEXT_SHARE,
                share=formats.percent(share, decimals=0),
                campaigns=campaigns,
                target=target,
            )
        return say(
            wording.NEXT_POOL if math.isfinite(self.campaigns) else wording.NEXT_NONE,
            target=target,
            best=wording.lift_words(best),
            campaigns=campaigns,
            fewer=formats.number(self.campaigns_half),
        )


def _share_that_sees(curve: pd.DataFrame, metric: Metric, share: float) -> tuple[float, float]:
    """Give the smallest larger share that sees the target (or NaN), and what half sees."""
    rows = curve[(curve["metric"] == metric) & ~curve["is_adjusted"].astype(bool)]
    rows = rows[rows["control_share"] >= share].sort_values("control_share")
    best = float(rows["relative"].min())
    enough = rows[rows["relative"] <= TARGET]
    if enough.empty:
        return math.nan, best
    return math.ceil(100 * float(enough["control_share"].iloc[0]) - 1e-9) / 100, best
