"""Plots of the league: mechanics with their intervals, and forecasts beside facts."""

from __future__ import annotations

import math

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from crm_lab import formats
from crm_lab.language import message, say, word
from crm_lab.planning.league import LeagueTable
from crm_lab.planning.league_forecast import ForecastScore
from crm_lab.plots.axes import localise_axes
from crm_lab.plots.palette import CONTROL, PALE, TREATED, ZERO

MOST_ROWS = 25
"""Forecasts shown at most, the latest ones."""
_TITLES = {
    "mechanic": message("Which mechanics work, and how sure is the order?"),
    "channel": message("Which channels work, and how sure is the order?"),
    "send_mode": message("Which ways of sending work, and how sure is the order?"),
    "owner": message("Which teams' campaigns work, and how sure is the order?"),
}


def plot_league(table: LeagueTable, *, ax: Axes | None = None) -> Axes:
    """Draw each mechanic with its interval after pooling, and by itself in pale, against 0.

    Parameters
    ----------
    table : LeagueTable
        The league.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    if ax is None:
        height = 1.6 + 0.55 * max(len(table.rows), 1)
        _, ax = plt.subplots(figsize=(7.2, height), layout="constrained")
    ax.axvline(0, color=CONTROL, linewidth=2)
    factor = 100 if table.measure == "relative" else 1
    for place, row in enumerate(table.rows):
        raw = [factor * end for end in (row.raw_low, row.raw_high, row.raw)]
        pooled = [factor * end for end in (row.low, row.high, row.estimate)]
        ax.plot(raw[:2], [place + 0.18] * 2, color=PALE, linewidth=3)
        ax.plot([raw[2]], [place + 0.18], "o", color=PALE, markersize=6)
        ax.plot(pooled[:2], [place] * 2, color=TREATED[0], linewidth=3)
        ax.plot([pooled[2]], [place], "o", color=TREATED[0], markersize=9)
        ax.annotate(
            _written(table.measure, pooled[2]),
            (pooled[2], place),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            color=ZERO,
        )
    names = [f"{word(row.name)} ({row.experiments})" for row in table.rows]
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(max(len(names), 1) - 0.4, -0.7)
    difference = say(
        "difference to customers who got nothing ({unit})",
        unit=_unit(table.measure, table.currency),
    )
    pale = say("grey line: the control group; pale: each by itself, without the others")
    ax.set_xlabel(f"{difference}\n{pale}")
    if not table.rows:
        ax.set_xlabel(say("no experiment can be read yet"))
        ax.set_xticks([])
    ax.set_title(say(_TITLES[table.dimension]), loc="left")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return localise_axes(ax, x="number")


def plot_forecasts(score: ForecastScore, *, ax: Axes | None = None) -> Axes:
    """Draw the interval that was foreseen for each experiment, and what was found.

    Parameters
    ----------
    score : ForecastScore
        Forecasts and facts.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    rows = score.rows.tail(MOST_ROWS).to_dict("records")
    if ax is None:
        _, ax = plt.subplots(figsize=(7.2, 1.6 + 0.28 * max(len(rows), 1)), layout="constrained")
    ax.axvline(0, color=CONTROL, linewidth=2)
    factor = 100 if score.measure == "relative" else 1
    facts = [factor * row["fact"] for row in rows]
    reach = 3 * max((abs(fact) for fact in facts), default=1.0)
    for place, row in enumerate(rows):
        low, high = factor * row["low"], factor * row["high"]
        ax.plot([max(low, -reach), min(high, reach)], [place] * 2, color=PALE, linewidth=6)
        colour, mark = (TREATED[0], "o") if row["inside"] else (TREATED[1], "X")
        ax.plot([facts[place]], [place], mark, color=colour, markersize=7)
    ax.set_yticks(range(len(rows)), [str(row["experiment"]) for row in rows])
    ax.set_ylim(max(len(rows), 1) - 0.4, -0.6)
    ax.set_xlabel(
        say(
            "effect ({unit}); pale bar: foreseen, point: found, cross: found outside",
            unit=_unit(score.measure, score.currency),
        )
    )
    ax.set_title(say("Did the read-outs lie where they were foreseen?"), loc="left")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    if not math.isfinite(reach) or not rows:
        ax.set_xlabel(say("no forecast can be compared with a fact yet"))
    return localise_axes(ax, x="number")


def _unit(measure: str, currency: str) -> str:
    if measure == "relative":
        return say("% of revenue")
    return say("{currency} per customer", currency=formats.currency_name(currency))


def _written(measure: str, value: float) -> str:
    """Write an effect at its point: signed, in percent or in money."""
    if measure == "relative":
        return f"{formats.separated(f'{value:+,.0f}')} %"
    return formats.separated(f"{value:+,.2f}")
