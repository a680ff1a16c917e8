"""Plots of the league: mechanics with their intervals, and forecasts beside facts."""

from __future__ import annotations

import math

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from crm_lab.planning import league_wording as wording
from crm_lab.planning.league import LeagueTable
from crm_lab.planning.league_forecast import ForecastScore
from crm_lab.plots.palette import CONTROL, PALE, TREATED, ZERO

MOST_ROWS = 25
"""Forecasts shown at most, the latest ones."""


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
            f"{pooled[2]:+,.0f} %" if table.measure == "relative" else f"{pooled[2]:+,.2f}",
            (pooled[2], place),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
            color=ZERO,
        )
    names = [f"{row.name} ({row.experiments})" for row in table.rows]
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(max(len(names), 1) - 0.4, -0.7)
    unit = "% of revenue" if table.measure == "relative" else f"{table.currency} per customer"
    ax.set_xlabel(
        f"difference to customers who got nothing ({unit})\n"
        "grey line: the control group; pale: each by itself, without the others"
    )
    what = wording.PLURALS[table.dimension]
    if not table.rows:
        ax.set_xlabel("no experiment can be read yet")
        ax.set_xticks([])
    ax.set_title(f"Which {what} work, and how sure is the order?", loc="left")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax


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
    unit = "% of revenue" if score.measure == "relative" else f"{score.currency} per customer"
    ax.set_xlabel(f"effect ({unit}); pale bar: foreseen, point: found, cross: found outside")
    ax.set_title("Did the read-outs lie where they were foreseen?", loc="left")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    if not math.isfinite(reach) or not rows:
        ax.set_xlabel("no forecast can be compared with a fact yet")
    return ax
