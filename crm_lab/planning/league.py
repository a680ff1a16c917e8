"""The league of mechanics and channels: which of them works, and whether the order is certain.

The read-outs of many experiments are pooled on two levels, experiments within a mechanic and
mechanics among each other, so that one lucky campaign does not lead the table. Campaigns that were
sent without a control group are no read-outs; they are listed as never evaluated.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import pandas as pd

from crm_lab import formats
from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.headlines import HeadlineNumber
from crm_lab.language import message, say, word
from crm_lab.planning import league_wording as wording
from crm_lab.planning.readouts import Measure, Readout, people_scale, readout_frame, sharing
from crm_lab.stats.nested_pooling import NestedEffects, pool_nested_effects
from crm_lab.stats.normal import two_sided_quantile

Dimension = Literal["mechanic", "channel", "send_mode", "owner"]
RowVerdict = Literal["works", "costs sales", "cannot tell"]
LeagueVerdict = Literal["best known", "order not certain", "nothing to compare", "cannot conclude"]

FEW_EXPERIMENTS = 6
"""Below it the page says that the league says little yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeagueRow:
    """One mechanic (or channel, or way of sending) of the league.

    Attributes
    ----------
    name : str
        Which one.
    experiments, customers : int
        Experiments behind it, and customers assigned in them.
    raw, raw_low, raw_high : float
        Mean of its own experiments with its interval: a lift (0.1 is 10 %), or money per customer.
    estimate, low, high : float
        The same after pooling with all others; this is what to expect.
    p_value, holm : float
        Test of the raw mean against 0, plain and adjusted for the number of rows.
    probability_best : float
        Probability that it is the best of all.
    verdict : {"works", "costs sales", "cannot tell"}
        What is shown of it.
    """

    name: str
    experiments: int
    customers: int
    raw: float
    raw_low: float
    raw_high: float
    estimate: float
    low: float
    high: float
    p_value: float
    holm: float
    probability_best: float
    verdict: RowVerdict


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LeagueTable(Result):
    """The league: every mechanic with its pooled effect, and how certain the order is.

    Attributes
    ----------
    verdict : {"best known", "order not certain", "nothing to compare", "cannot conclude"}
        Whether one of them is the best.
    dimension : {"mechanic", "channel", "send_mode", "owner"}
        What is compared.
    measure : {"relative", "amount"}
        On which scale.
    rows : tuple of LeagueRow
        The best first.
    readouts : tuple of Readout
        Every experiment, those left out included.
    left_out : tuple of (str, str)
        Experiments that do not enter, each with the reason.
    unevaluated : int
        Campaigns that were sent without a control group.
    nested : NestedEffects
        The pooling behind it.
    shared : int
        Experiments that are measured against the same control group as another one.
    alpha : float
        Two-sided error level.
    currency : str
        Currency of amounts.
    """

    title: ClassVar[str] = message("League")
    plotter: ClassVar[str] = "crm_lab.plots.league:plot_league"

    verdict: LeagueVerdict
    dimension: Dimension
    measure: Measure
    rows: tuple[LeagueRow, ...]
    readouts: tuple[Readout, ...]
    left_out: tuple[tuple[str, str], ...]
    unevaluated: int
    nested: NestedEffects
    shared: int
    alpha: float
    currency: str

    @property
    def used(self) -> int:
        """Experiments that enter."""
        return sum(row.experiments for row in self.rows)

    def subtitle(self) -> str:
        """Say from how many experiments, and of which time."""
        used = [item for item in self.readouts if self._enters(item)]
        if not used:
            return ""
        return say(
            "{experiments}, {start} to {end}",
            experiments=wording.experiments_text(len(used)),
            start=formats.day(min(item.starts_at for item in used)),
            end=formats.last_day(max(item.ends_at for item in used)),
        )

    def sentence(self) -> str:
        """Say whether one is the best, what is shown to work, and what is missing."""
        parts = []
        if not self.rows:
            parts.append(say(wording.NOTHING[self.dimension]))
        else:
            parts.append(self._order())
            names = {
                verdict: [word(row.name) for row in self.rows if row.verdict == verdict]
                for verdict in ("works", "costs sales")
            }
            if names["works"]:
                parts.append(say(wording.WORKS, names=formats.listing(names["works"])))
            if names["costs sales"]:
                parts.append(say(wording.COSTS, names=formats.listing(names["costs sales"])))
            if not names["works"] and not names["costs sales"]:
                parts.append(say(wording.NOTHING_SHOWN))
            experiments = wording.experiments_text(self.used)
            rows = wording.rows_text(len(self.rows), self.dimension)
            parts.append(say(wording.BASIS, experiments=experiments, rows=rows))
        if self.left_out:
            parts.append(say(wording.LEFT_OUT, count=wording.experiments_text(len(self.left_out))))
        if self.unevaluated:
            count = wording.campaigns_text(self.unevaluated)
            parts.append(say(wording.UNEVALUATED, count=count))
        return " ".join(parts)

    def headline_numbers(self) -> tuple[HeadlineNumber, ...]:
        """Give the pooled effect of the first row."""
        return tuple(
            HeadlineNumber(
                label=say(wording.NUMBER_LABELS[self.measure], name=word(row.name)),
                estimate=row.estimate,
                low=row.low,
                high=row.high,
                kind="share" if self.measure == "relative" else "money",
                unit="" if self.measure == "relative" else self.currency,
            )
            for row in self.rows[:1]
        )

    def to_frame(self) -> pd.DataFrame:
        """Give one row per mechanic, numbers unrounded."""
        return pd.DataFrame(
            [
                {
                    self.dimension: row.name,
                    "experiments": row.experiments,
                    "customers": row.customers,
                    "raw": row.raw,
                    "raw_low": row.raw_low,
                    "raw_high": row.raw_high,
                    "estimate": row.estimate,
                    "low": row.low,
                    "high": row.high,
                    "p_value": row.p_value,
                    "holm": row.holm,
                    "probability_best": row.probability_best,
                    "verdict": row.verdict,
                }
                for row in self.rows
            ]
        )

    def unlike(self, other: LeagueTable) -> str:
        """Name the rows of which another measure shows something else; nothing where none does."""
        shown = {row.name: row.verdict for row in other.rows}
        names = [word(r.name) for r in self.rows if shown.get(r.name, r.verdict) != r.verdict]
        return say(wording.UNLIKE, names=formats.listing(names)) if names else ""

    def card_frame(self) -> pd.DataFrame:
        """Give the table of the card: what to expect of each, and what is shown."""
        return pd.DataFrame(
            [
                {
                    wording.DIMENSIONS[self.dimension]: row.name,
                    "experiments": row.experiments,
                    "what to expect": self.effect_text(row),
                    **(
                        {"the best with probability": chance(row.probability_best)}
                        if len(self.rows) > 1
                        else {}
                    ),
                    "shown": say(wording.VERDICTS[row.verdict]),
                }
                for row in self.rows
            ]
        )

    def evidence_frame(self) -> pd.DataFrame:
        """Give raw and pooled effects side by side, with the tests."""
        return pd.DataFrame(
            [
                {
                    wording.DIMENSIONS[self.dimension]: row.name,
                    "experiments": row.experiments,
                    "by itself": self.text(row.raw, row.raw_low, row.raw_high),
                    "pooled with all": self.effect_text(row),
                    "p": formats.p_value(row.p_value),
                    "p (Holm)": formats.p_value(row.holm),
                }
                for row in self.rows
            ]
        )

    def advice_frame(self) -> pd.DataFrame:
        """Give what to do with each."""
        return pd.DataFrame(
            [
                {
                    wording.DIMENSIONS[self.dimension]: row.name,
                    "shown": say(wording.VERDICTS[row.verdict]),
                    "what to do": say(wording.ADVICE[row.verdict]),
                }
                for row in self.rows
            ]
        )

    def readouts_frame(self) -> pd.DataFrame:
        """Give every experiment with its own effect, as people read it."""
        frame = readout_frame(self.readouts, self.measure, self.alpha)
        effects = [
            self.text(row["estimate"], row["low"], row["high"])
            if math.isfinite(row["estimate"])
            else ""
            for row in frame.to_dict("records")
        ]
        return pd.DataFrame(
            {
                "experiment": frame["experiment"],
                "mechanic": frame["mechanic"],
                "channel": frame["channel"],
                "sent": frame["send_mode"],
                "ended": [formats.last_day(moment) for moment in frame["ended_on"]],
                "customers": frame["customers"],
                "controls": frame["controls"],
                "effect by itself": effects,
                "decided": frame["decision"],
                "left out because": [dict(self.left_out).get(n, "") for n in frame["experiment"]],
            }
        )

    def caveats(self) -> tuple[str, ...]:
        """Say what makes the numbers less sure than they look."""
        found = []
        if self.rows and self.used < FEW_EXPERIMENTS:
            found.append(say(wording.FEW, least=FEW_EXPERIMENTS))
        several = sum(item.arms > 1 for item in self.readouts if self._enters(item))
        if several:
            count = wording.experiments_text(several)
            found.append(say(wording.SEVERAL_ARMS, count=count))
        if self.shared:
            found.append(say(wording.SHARED, shared=self.shared, used=self.used))
            found.append(say(wording.STANDING))
        plain = sum(not item.is_adjusted for item in self.readouts if self._enters(item))
        if plain:
            found.append(say(wording.UNADJUSTED, count=wording.experiments_text(plain)))
        if self.rows and not self.nested.within_degrees:
            found.append(say(wording.NOT_REPEATED))
        elif self.rows:
            tau = people_scale(self.nested.tau_within, self.measure)
            shown = (
                formats.percent(tau)
                if self.measure == "relative"
                else formats.money(tau, self.currency, decimals=2)
            )
            found.append(
                say(
                    wording.WITHIN,
                    what=word(wording.DIMENSIONS[self.dimension]),
                    tau=shown,
                    p=formats.p_text(self.nested.within_p),
                )
            )
        days = sorted({item.days for item in self.readouts if not item.why_not(self.measure)})
        if self.measure == "amount" and len(days) > 1:
            found.append(say(wording.WINDOWS, low=days[0], high=days[-1]))
        return tuple(found)

    def method(self) -> str:
        """Say how it was computed."""
        return say(
            wording.METHOD,
            what=word(wording.DIMENSIONS[self.dimension]),
            plural=say(wording.PLURALS[self.dimension]),
        )

    def effect_text(self, row: LeagueRow) -> str:
        """Write the pooled effect of a row with its interval."""
        return self.text(row.estimate, row.low, row.high)

    def text(self, estimate: float, low: float, high: float) -> str:
        """Write an effect of this measure with its interval."""
        return effect_text(self.measure, self.currency, estimate, low, high)

    def _enters(self, item: Readout) -> bool:
        return item.experiment not in dict(self.left_out)

    def _order(self) -> str:
        first = self.rows[0]
        words = {
            "name": word(first.name),
            "effect": self.effect_text(first),
            "unit": say(wording.MEASURES[self.measure]),
            "probability": chance(first.probability_best),
        }
        if len(self.rows) == 1:
            return say(wording.ONE_ROW, **words)
        if self.verdict == "best known":
            return say(wording.BEST, **words)
        return say(wording.UNCERTAIN, **words)


def effect_text(measure: Measure, currency: str, estimate: float, low: float, high: float) -> str:
    """Write an effect with its interval: a lift, or money per customer."""
    if measure == "relative":
        return formats.percent_interval(estimate, low, high)
    return formats.money_interval(estimate, low, high, currency)


def chance(probability: float) -> str:
    """Write a probability; none is written as certain.

    Examples
    --------
    >>> chance(0.634), chance(0.9999)
    ('63 %', 'more than 99 %')
    """
    if probability > 0.99:
        return say(wording.ALMOST_CERTAIN)
    return say(wording.HARDLY) if probability < 0.01 else formats.percent(probability, decimals=0)


def build_league(
    readouts: Iterable[Readout],
    *,
    dimension: Dimension = "mechanic",
    measure: Measure = "relative",
    alpha: float = 0.05,
    currency: str,
    unevaluated: int = 0,
) -> LeagueTable:
    """Pool the read-outs of many experiments into a league.

    Parameters
    ----------
    readouts : iterable of Readout
        The experiments, in any order.
    dimension : {"mechanic", "channel", "send_mode", "owner"}
        What is compared. Experiments that do not name it are left out.
    measure : {"relative", "amount"}
        Lift of revenue, or money per customer assigned.
    alpha : float
        Two-sided error level, between 0 and 1.
    currency : str
        Currency of amounts.
    unevaluated : int
        Campaigns that were sent without a control group, for the sentence.

    Returns
    -------
    LeagueTable
        Without rows and with the verdict "cannot conclude" where nothing can be read.

    Raises
    ------
    DesignError
        When an experiment stands there twice, or the dimension or measure is not known.
    """
    given = tuple(readouts)
    _check(given, dimension, measure)
    left_out = []
    used: list[Readout] = []
    for item in given:
        reason = item.why_not(measure)
        if not reason and not getattr(item, dimension):
            reason = say(wording.NOT_NAMED[dimension])
        if reason:
            left_out.append((item.experiment, reason))
        else:
            used.append(item)
    effects = [item.measured(measure) for item in used]
    nested = pool_nested_effects(
        [effect.estimate for effect in effects],
        [effect.standard_error for effect in effects],
        [str(getattr(item, dimension)) for item in used],
        alpha=alpha,
        scale="share" if measure == "relative" else "number",
    )
    rows = tuple(sorted(_rows(nested, used, dimension, measure), key=lambda row: -row.estimate))
    return LeagueTable(
        verdict=_verdict(nested, rows),
        dimension=dimension,
        measure=measure,
        rows=rows,
        readouts=given,
        left_out=tuple(left_out),
        unevaluated=unevaluated,
        nested=nested,
        shared=sharing(tuple(used)),
        alpha=alpha,
        currency=currency,
    )


def _check(readouts: Sequence[Readout], dimension: Dimension, measure: Measure) -> None:
    names = [item.experiment for item in readouts]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DesignError(
            say("read-outs that stand there twice: {names}", names=formats.listing(twice)),
            expected=say("each experiment once"),
        )
    if dimension not in wording.DIMENSIONS:
        raise DesignError(
            say("'{dimension}' is nothing a league compares", dimension=dimension),
            expected=say("one of {choices}", choices=", ".join(wording.DIMENSIONS)),
        )
    if measure not in wording.MEASURES:
        raise DesignError(
            say("'{measure}' is no measure of a league", measure=measure),
            expected=say("one of {choices}", choices=", ".join(wording.MEASURES)),
        )


def _rows(
    nested: NestedEffects, used: Sequence[Readout], dimension: Dimension, measure: Measure
) -> list[LeagueRow]:
    pooled = nested.pooled
    z = two_sided_quantile(nested.alpha)
    rows = []
    for place, kind in enumerate(nested.kinds):
        raw, error = nested.means[place], nested.standard_errors[place]
        low, high = pooled.shrunken_low[place], pooled.shrunken_high[place]
        is_shown = pooled.holm[place] <= nested.alpha
        verdict: RowVerdict = "cannot tell"
        if is_shown and low > 0:
            verdict = "works"
        elif is_shown and high < 0:
            verdict = "costs sales"
        rows.append(
            LeagueRow(
                name=kind,
                experiments=nested.counts[place],
                customers=sum(item.customers for item in used if getattr(item, dimension) == kind),
                raw=people_scale(raw, measure),
                raw_low=people_scale(raw - z * error, measure),
                raw_high=people_scale(raw + z * error, measure),
                estimate=people_scale(pooled.shrunken[place], measure),
                low=people_scale(low, measure),
                high=people_scale(high, measure),
                p_value=pooled.p_values[place],
                holm=pooled.holm[place],
                probability_best=pooled.probability_best[place],
                verdict=verdict,
            )
        )
    return rows


def _verdict(nested: NestedEffects, rows: tuple[LeagueRow, ...]) -> LeagueVerdict:
    if not rows:
        return "cannot conclude"
    if len(rows) == 1:
        return "nothing to compare"
    first = rows[0]
    is_best = first.probability_best >= 1 - nested.alpha
    return "best known" if is_best and first.verdict == "works" else "order not certain"
