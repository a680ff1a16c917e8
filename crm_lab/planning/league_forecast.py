"""What the next campaign of a mechanic should bring, and whether such forecasts held."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import ClassVar, Literal

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.language import message, say, say_many, word
from crm_lab.planning import league_wording as wording
from crm_lab.planning.league import Dimension, LeagueTable, build_league, effect_text
from crm_lab.planning.readouts import Measure, Readout, people_scale
from crm_lab.stats import proportion_interval
from crm_lab.stats.nested_pooling import Expectation

LEAST_SCORED = 10
"""Below so many forecasts it is not said whether they keep their promise."""

ScoreVerdict = Literal["kept", "not kept", "cannot tell"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class NextCampaign(Result):
    """What the next campaign of a mechanic should bring, before it is sent.

    Attributes
    ----------
    name : str
        The mechanic (or channel).
    dimension, measure : str
        What it is, and on which scale the numbers are.
    experiments : int
        Past experiments of this mechanic; 0: it was never measured.
    behind : int
        Past experiments of all mechanics behind the forecast.
    estimate, low, high : float
        True effect of the next campaign with its prediction interval; NaN where nothing is known.
    reading_low, reading_high : float
        Where the read-out of a control group like before will lie.
    customers : int
        To how many it is to be sent; 0: not said.
    days : int
        Median length of the windows behind it.
    alpha : float
        Two-sided error level.
    currency : str
        Currency of amounts.
    reason : str
        Why it is NaN, or what the interval leaves out; empty otherwise.
    """

    title: ClassVar[str] = message("What to expect of the next campaign")

    name: str
    dimension: Dimension
    measure: Measure
    experiments: int
    behind: int
    estimate: float
    low: float
    high: float
    reading_low: float
    reading_high: float
    customers: int
    days: int
    alpha: float
    currency: str
    reason: str = ""

    @property
    def is_known(self) -> bool:
        """Whether the past supports a forecast."""
        return math.isfinite(self.estimate)

    def sentence(self) -> str:
        """Say the forecast with its intervals, and what it rests on."""
        if not self.is_known:
            return say(wording.NOT_EXPECTED, name=word(self.name), reason=self.reason)
        level = formats.percent(1 - self.alpha, decimals=0)
        words = {
            "name": word(self.name),
            "plural": say(wording.PLURALS[self.dimension]),
            "effect": effect_text(self.measure, self.currency, self.estimate, self.low, self.high),
            "reading": _ends(self.measure, self.currency, self.reading_low, self.reading_high),
            "level": level,
            "experiments": wording.experiments_text(self.experiments or self.behind),
        }
        text = say(wording.EXPECTED if self.experiments else wording.EXPECTED_NEW, **words)
        if self.customers and self.measure == "amount":
            total = formats.money_interval(
                self.estimate * self.customers,
                self.low * self.customers,
                self.high * self.customers,
                self.currency,
            )
            text += " " + say(
                wording.TOTAL, customers=formats.number(self.customers), total=total, days=self.days
            )
        if self.reason:
            text += f" {self.reason[:1].upper()}{self.reason[1:]}."
        return text

    def to_frame(self) -> pd.DataFrame:
        """Give the forecast as one row."""
        return pd.DataFrame(
            [
                {
                    self.dimension: self.name,
                    "experiments": self.experiments,
                    "estimate": self.estimate,
                    "low": self.low,
                    "high": self.high,
                    "reading_low": self.reading_low,
                    "reading_high": self.reading_high,
                    "customers": self.customers,
                }
            ]
        )

    def card_frame(self) -> pd.DataFrame:
        """Give nothing: the sentence says it all."""
        return pd.DataFrame()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ForecastScore(Result):
    """Forecasts of past campaigns, each made from what was known before its start, and the facts.

    Attributes
    ----------
    verdict : {"kept", "not kept", "cannot tell"}
        Whether the intervals held as often as promised.
    measure : {"relative", "amount"}
        On which scale.
    rows : pandas.DataFrame
        experiment, mechanic, before (experiments known then), expected, low, high, fact, inside.
    scored, inside : int
        Forecasts that can be compared, and those whose interval held the read-out.
    share_low, share_high : float
        95 % interval of the share that held; NaN without any.
    alpha : float
        Error level that the intervals promised.
    currency : str
        Currency of amounts.
    """

    title: ClassVar[str] = message("Did earlier forecasts hold?")
    plotter: ClassVar[str] = "crm_lab.plots.league:plot_forecasts"

    verdict: ScoreVerdict
    measure: Measure
    rows: pd.DataFrame
    scored: int
    inside: int
    share_low: float
    share_high: float
    alpha: float
    currency: str

    def sentence(self) -> str:
        """Say how many forecasts held, beside what was promised."""
        if not self.scored:
            return say(wording.NO_SCORE)
        share = self.inside / self.scored
        text = say(
            wording.SCORE,
            inside=self.inside,
            scored=self.scored,
            share=formats.percent_interval(share, self.share_low, self.share_high).lstrip("+"),
            level=formats.percent(1 - self.alpha, decimals=0),
        )
        judged = {
            "cannot tell": wording.SCORE_FEW,
            "kept": wording.SCORE_GOOD,
            "not kept": wording.SCORE_BAD,
        }
        return f"{text} {say(judged[self.verdict])}"

    def to_frame(self) -> pd.DataFrame:
        """Give one row per forecast."""
        return self.rows

    def card_frame(self) -> pd.DataFrame:
        """Give forecasts and facts as people read them, the latest first."""
        return pd.DataFrame(
            [
                {
                    "experiment": row["experiment"],
                    "mechanic": row["mechanic"],
                    "known before": row["before"],
                    "expected": effect_text(
                        self.measure, self.currency, row["expected"], row["low"], row["high"]
                    ),
                    "found": formats.percent(row["fact"], signed=True)
                    if self.measure == "relative"
                    else formats.money(row["fact"], self.currency, decimals=2, signed=True),
                    "held": row["inside"],
                }
                for row in self.rows[::-1].to_dict("records")
            ]
        )


def next_campaign(table: LeagueTable, name: str, *, customers: int = 0) -> NextCampaign:
    """Foresee the next campaign of a mechanic from a league.

    Parameters
    ----------
    table : LeagueTable
        What is known.
    name : str
        The mechanic (or what the league compares); one that was never measured is foreseen from
        what the others did.
    customers : int
        To how many it is to be sent, for the total in money.

    Raises
    ------
    DesignError
        When nothing is named or customers is negative.
    """
    if not name.strip():
        raise DesignError(say("no mechanic is named"), expected=say("the name of one"))
    if customers < 0:
        raise DesignError(
            say_many("{count} customers", "{count} customers", customers),
            expected=say("0 (not said) or more"),
        )
    used = [item for item in table.readouts if not item.why_not(table.measure)]
    used = [item for item in used if getattr(item, table.dimension)]
    own = [item for item in used if getattr(item, table.dimension) == name]
    truth = table.nested.expect(name)
    errors = [item.measured(table.measure).standard_error for item in own or used]
    reading = table.nested.expect(name, next_standard_error=median(errors) if errors else 0.0)
    estimate, low, high = _people(truth, table.measure)
    _, reading_low, reading_high = _people(reading, table.measure)
    return NextCampaign(
        name=name,
        dimension=table.dimension,
        measure=table.measure,
        experiments=len(own),
        behind=len(used),
        estimate=estimate,
        low=low,
        high=high,
        reading_low=reading_low,
        reading_high=reading_high,
        customers=customers,
        days=round(median(item.days for item in own or used)) if used else 0,
        alpha=table.alpha,
        currency=table.currency,
        reason=truth.reason,
    )


def score_forecasts(
    readouts: Iterable[Readout],
    *,
    dimension: Dimension = "mechanic",
    measure: Measure = "relative",
    alpha: float = 0.05,
    currency: str,
) -> ForecastScore:
    """Make each past forecast again from what was over before the campaign began, and compare.

    Parameters
    ----------
    readouts : iterable of Readout
        The experiments, in any order.
    dimension, measure, alpha, currency
        As in :func:`crm_lab.planning.league.build_league`.

    Notes
    -----
    The read-out of the campaign lends its standard error to the interval, as the size of the
    campaign is known before it; its estimate is not used.
    """
    known = [item for item in readouts if not item.why_not(measure) and getattr(item, dimension)]
    rows = []
    for item in sorted(known, key=lambda one: (one.starts_at, one.experiment)):
        before = [other for other in known if other.ends_at <= item.starts_at]
        if not before:
            continue
        table = build_league(
            before, dimension=dimension, measure=measure, alpha=alpha, currency=currency
        )
        fact = item.measured(measure)
        name = str(getattr(item, dimension))
        expected = table.nested.expect(name, next_standard_error=fact.standard_error)
        if not expected.is_known:
            continue
        estimate, low, high = _people(expected, measure)
        found = people_scale(fact.estimate, measure)
        rows.append(
            {
                "experiment": item.experiment,
                dimension: name,
                "before": len(before),
                "expected": estimate,
                "low": low,
                "high": high,
                "fact": found,
                "inside": bool(low <= found <= high),
            }
        )
    frame = pd.DataFrame(
        rows,
        columns=[
            "experiment",
            dimension,
            "before",
            "expected",
            "low",
            "high",
            "fact",
            "inside",
        ],
    )
    inside = int(frame["inside"].sum()) if rows else 0
    share = proportion_interval(inside, len(rows), alpha=0.05) if rows else None
    low_share, high_share = (share.low, share.high) if share else (math.nan, math.nan)
    verdict: ScoreVerdict = "cannot tell"
    if len(rows) >= LEAST_SCORED:
        verdict = "kept" if high_share >= 1 - alpha else "not kept"
    return ForecastScore(
        verdict=verdict,
        measure=measure,
        rows=frame.rename(columns={dimension: "mechanic"}),
        scored=len(rows),
        inside=inside,
        share_low=low_share,
        share_high=high_share,
        alpha=alpha,
        currency=currency,
    )


def _people(found: Expectation, measure: Measure) -> tuple[float, float, float]:
    estimate, low, high = (
        people_scale(end, measure) if math.isfinite(end) else math.nan
        for end in (found.estimate, found.low, found.high)
    )
    return estimate, low, high


def _ends(measure: Measure, currency: str, low: float, high: float) -> str:
    if measure == "relative":
        places = min(max(formats.decimals_for(100 * low, 100 * high), 0), 3)
        return formats.interval(100 * low, 100 * high, decimals=places, unit="%")
    places = min(formats.decimals_for(low, high), 2)
    ends = formats.number(low, decimals=places), formats.money(high, currency, decimals=places)
    return say("{low} to {high}", low=ends[0], high=ends[1])
