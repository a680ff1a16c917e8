"""What an A/A calibration gives: claims where nothing was done, and what would be seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.experiments.planted import Coverage, FoundEffect, smallest_found
from crm_lab.language import grouped, message, say, word
from crm_lab.stats import proportion_interval

DrawnBy = Literal["salt", "random"]
FOUND = message("by {way} from {lift} on")
NOT_FOUND = message("by {way} not even {lift}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FalsePositives:
    """How often one test claimed an effect where there was none.

    Attributes
    ----------
    metric, method : str
        What was tested and how.
    draws : int
        Draws in which the test could be made.
    lifts, drops : int
        Draws in which it claimed a lift, and a drop.
    alpha : float
        What it promised for both together.
    is_default : bool
        Whether the workbench decides by it.
    """

    metric: str
    method: str
    draws: int
    lifts: int
    drops: int
    alpha: float
    is_default: bool

    @property
    def rate(self) -> float:
        """Share of draws with a false claim in either direction."""
        return (self.lifts + self.drops) / self.draws if self.draws else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Interval (99 %) of the rate over the draws, for the chance in drawing salts."""
        estimate = proportion_interval(self.lifts + self.drops, self.draws, alpha=0.01)
        return (estimate.low, estimate.high)

    @property
    def keeps_promise(self) -> bool:
        """Whether the promise lies in the interval of the rate, or the rate below it.

        A test that could not be made in any draw broke no promise.
        """
        low, _ = self.interval
        return not low > self.alpha

    @property
    def is_one_sided(self) -> bool:
        """Whether claims of a lift alone exceed the half that was promised for them."""
        if not self.draws:
            return False
        return proportion_interval(self.lifts, self.draws, alpha=0.01).low > self.alpha / 2


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Calibration(Result):
    """False-positive rates, power and coverage of the tests on one base.

    Attributes
    ----------
    base : str
        Which customers and which window.
    customers : int
        Customers in it.
    control_share : float
        Share drawn as control.
    draws : int
        Control groups drawn.
    alpha : float
        Promised rate.
    tests : tuple of FalsePositives
        One per metric and method.
    share_who_bought, mean_revenue : float
        What the window looked like.
    snapshot : str
        Label of the data.
    drawn_by : {"salt", "random"}
        How: by the hash under salts, as a real control group, or by a random generator.
    power : tuple of FoundEffect
        One per metric, way of planting and size of the effect, for the tests that decide.
    coverage : tuple of Coverage
        One per metric, scale, way of planting and effect: none, and one that shows.
    """

    title: ClassVar[str] = message("A/A calibration")
    plotter: ClassVar[str] = "crm_lab.plots.control_group:plot_calibration"

    base: str
    customers: int
    control_share: float
    draws: int
    alpha: float
    tests: tuple[FalsePositives, ...]
    share_who_bought: float
    mean_revenue: float
    snapshot: str
    drawn_by: DrawnBy = "salt"
    power: tuple[FoundEffect, ...] = ()
    coverage: tuple[Coverage, ...] = ()

    def sentence(self) -> str:
        """Say whether the tests that decide keep their promise, and what they can find."""
        ours, broken = self._deciding(), self._broken()
        others = [
            test
            for test in self.tests
            if not test.is_default and (not test.keeps_promise or test.is_one_sided)
        ]
        parts = [
            say(
                "{base}: in {draws} draws of a control group of {share} who were treated no"
                " differently than the others, the tests that decide claimed an effect in {rates}"
                " of the draws; promised {alpha}.",
                base=self.base,
                draws=grouped(self.draws),
                share=formats.percent(self.control_share),
                rates=", ".join(
                    f"{word(test.metric)} {formats.percent(test.rate)}" for test in ours
                ),
                alpha=formats.percent(self.alpha),
            )
        ]
        if not any(test.draws for test in ours):
            parts.append(say("None of them could be made on this window."))
        elif broken:
            which = ", ".join(f"{word(test.metric)} ({word(test.method)})" for test in broken)
            parts.append(say("Broken promise: {which}.", which=which))
        else:
            parts.append(say("They keep their promise."))
        parts += [
            say(
                "{method} does not for {metric}: it claimed a lift in {share} of the draws where"
                " {promised} was promised.",
                method=word(test.method),
                metric=word(test.metric),
                share=formats.percent(test.lifts / test.draws),
                promised=formats.percent(self.alpha / 2),
            )
            for test in others
        ]
        if any(row.is_short for row in self.coverage if row.draws):
            parts.append(self.coverage_sentence())
        return " ".join(parts)

    @property
    def verdict(self) -> Literal["promise kept", "promise broken", "cannot be said"]:
        """Whether the tests that decide keep their promise, as the verdict of a page."""
        if not any(test.draws for test in self._deciding()):
            return "cannot be said"
        return "promise broken" if self._broken() else "promise kept"

    def to_dict(self) -> dict[str, Any]:
        """Give the fields and the verdict as JSON-ready data."""
        return {"verdict": self.verdict, **Result.to_dict(self)}

    def _deciding(self) -> list[FalsePositives]:
        return [test for test in self.tests if test.is_default]

    def _broken(self) -> list[FalsePositives]:
        return [t for t in self._deciding() if not t.keeps_promise or t.is_one_sided]

    def power_sentence(self) -> str:
        """Say the smallest effect that is found in 80 % of the draws, per metric."""
        found = []
        for metric in dict.fromkeys(point.metric for point in self.power):
            points = [point for point in self.power if point.metric == metric]
            words = []
            for way in dict.fromkeys(point.planted for point in points):
                curve = [point for point in points if point.planted == way]
                lift = smallest_found(curve)
                is_found = bool(np.isfinite(lift))
                words.append(
                    say(
                        FOUND if is_found else NOT_FOUND,
                        lift=formats.percent(
                            lift if is_found else curve[-1].lift, decimals=0, signed=True
                        ),
                        way=word(way),
                    )
                )
            found.append(say("{metric} {lifts}", metric=word(metric), lifts=", ".join(words)))
        if not found:
            return ""
        return say(
            "The smallest effect that they find in 80 % of the draws: {found}.",
            found="; ".join(found),
        )

    def coverage_sentence(self) -> str:
        """Say in how many of the draws the intervals held what was planted."""
        known = [row for row in self.coverage if row.draws]
        if not known:
            return ""
        shares = sorted(row.share for row in known)
        short = [row for row in known if row.is_short]
        told = {
            "promise": formats.percent(1 - self.alpha, decimals=0),
            "low": formats.percent(shares[0]),
            "high": formats.percent(shares[-1]),
        }
        if not short:
            return say(
                "Intervals of {promise} held the planted effect in {low} to {high} of the draws.",
                **told,
            )
        worst = min(short, key=lambda row: row.share)
        return say(
            "Intervals of {promise} held the planted effect in {low} to {high} of the draws, too"
            " seldom for {metric} ({scale}) with {lift} by {way}.",
            metric=word(worst.metric),
            scale=word(worst.scale),
            lift=formats.percent(worst.lift, decimals=0, signed=True),
            way=word(worst.planted),
            **told,
        )

    def to_frame(self) -> pd.DataFrame:
        """Give one row per test: claims of lift and drop, both, interval, promise."""
        return pd.DataFrame(
            [
                {
                    "metric": test.metric,
                    "method": test.method,
                    "claimed a lift": formats.percent(test.lifts / test.draws),
                    "claimed a drop": formats.percent(test.drops / test.draws),
                    "either": formats.percent(test.rate),
                    "interval (99 %)": _percents(test.interval),
                    "promised": formats.percent(test.alpha),
                }
                for test in self.tests
                if test.draws
            ]
        )

    def power_frame(self) -> pd.DataFrame:
        """Give one row per planted effect: how often the test that decides claimed a lift."""
        return pd.DataFrame(
            [
                {
                    "metric": point.metric,
                    "planted by": point.planted,
                    "effect": formats.percent(point.lift, decimals=0, signed=True),
                    "found": formats.percent(point.share),
                    "interval (99 %)": _percents(point.interval),
                    "draws": point.draws,
                }
                for point in self.power
            ],
            columns=["metric", "planted by", "effect", "found", "interval (99 %)", "draws"],
        )

    def coverage_frame(self) -> pd.DataFrame:
        """Give one row per interval: how often it held the planted effect."""
        return pd.DataFrame(
            [
                {
                    "metric": row.metric,
                    "interval of": row.scale,
                    "planted by": row.planted,
                    "effect": formats.percent(row.lift, decimals=0, signed=True),
                    "held": formats.percent(row.share),
                    "interval (99 %)": _percents(row.interval),
                    "promised": formats.percent(1 - row.alpha),
                    "open ends": row.open_ends,
                    "draws": row.draws,
                }
                for row in self.coverage
            ],
            columns=[
                "metric",
                "interval of",
                "planted by",
                "effect",
                "held",
                "interval (99 %)",
                "promised",
                "open ends",
                "draws",
            ],
        )


def _percents(interval: tuple[float, float]) -> str:
    return formats.interval(100 * interval[0], 100 * interval[1], decimals=1, unit="%")
