"""Plots of funnels and cohorts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from crm_lab import formats
from crm_lab.customers.arms import ArmShares
from crm_lab.customers.deals import Refusals
from crm_lab.customers.funnels import FirstWeek, FunnelSteps
from crm_lab.customers.rates import GroupRate, GroupRates, month_text
from crm_lab.customers.retention import CohortTriangle, RetentionByArm
from crm_lab.language import message, say, word
from crm_lab.plots.axes import localise_axes
from crm_lab.plots.palette import CONTROL, PALE, TREATED, ZERO
from crm_lab.stats import ProportionEstimate

_NOTHING = message("nothing to draw yet")
_MAX_ROWS = 15


def plot_steps(result: FunnelSteps, *, ax: Axes | None = None) -> Axes:
    """Draw the share of the registered that made each step, with its interval.

    Parameters
    ----------
    result : FunnelSteps
        The steps.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = ax or _axes(0.9 + 0.55 * len(result.steps))
    ax.set_title(say("How far do people get?"), loc="left")
    if result.reason:
        return _empty(ax)
    rows = np.arange(len(result.steps))
    shares = [step.of_all.estimate for step in result.steps]
    ax.barh(rows, shares, color=PALE, height=0.6)
    for row, step in zip(rows, result.steps, strict=True):
        if row:
            _interval(ax, step.of_all, float(row), TREATED[0])
        ax.annotate(
            formats.number(step.of_all.events),
            (0, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=ZERO,
        )
    ax.set_yticks(rows, [word(step.step) for step in result.steps])
    ax.invert_yaxis()
    ax.set_xlabel(say("share of the registered, within {days} days", days=result.days))
    return _shares_on_x(ax, 1.0)


def plot_rates(result: GroupRates, *, ax: Axes | None = None) -> Axes:
    """Draw the share of each group with its interval; groups too small in a pale colour.

    Parameters
    ----------
    result : GroupRates
        The groups.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    shown = result.rows[:_MAX_ROWS]
    ax = ax or _axes(1.0 + 0.45 * max(len(shown), 1))
    title = say("Which {subject} does better, and is that sure?", subject=word(result.subject))
    ax.set_title(title, loc="left")
    if result.reason:
        return _empty(ax)
    ax.axvline(result.overall.estimate, color=CONTROL, linestyle="--", linewidth=1.5)
    _dots(ax, shown)
    ax.set_xlabel(say("{event}; dashed: all together", event=result.event))
    large = [row.rate.high for row in shown if not row.is_thin]
    return _shares_on_x(ax, 1.15 * max(large) if large else 1.0)


def plot_cohort_rates(result: FirstWeek, *, ax: Axes | None = None) -> Axes:
    """Draw the share that closed in its first week, by month of registration.

    Parameters
    ----------
    result : FirstWeek
        The months.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = ax or _axes(3.2)
    ax.set_title(say("What share closes in a deal within the first week?"), loc="left")
    if result.reason:
        return _empty(ax)
    places = np.arange(len(result.cohorts))
    for place, row in zip(places, result.cohorts, strict=True):
        colour = PALE if row.is_thin else TREATED[0]
        ax.plot([place, place], [row.rate.low, row.rate.high], color=colour, linewidth=3)
        ax.plot([place], [row.rate.estimate], "o", color=colour, markersize=8)
    ax.axhline(result.overall.estimate, color=CONTROL, linestyle="--", linewidth=1.5)
    step = max(1, -(-len(places) // 12))
    ax.set_xticks(places[::step], [month_text(row.group) for row in result.cohorts][::step])
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.yaxis.set_major_locator(_round_ticks())
    ax.set_ylim(bottom=0)
    ax.set_ylabel(say("won a deal in time"))
    ax.set_xlabel(say("month of registration; dashed: all together"))
    return localise_axes(_clean(ax), y="percent")


def plot_refusals(result: Refusals, *, ax: Axes | None = None) -> Axes:
    """Draw lost deals by reason, the most frequent first, and their running share.

    Parameters
    ----------
    result : Refusals
        The reasons.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    shown = result.rows[:_MAX_ROWS]
    ax = ax or _axes(1.0 + 0.5 * max(len(shown), 1))
    ax.set_title(say("Why are deals lost?"), loc="left")
    if result.reason:
        return _empty(ax)
    rows = np.arange(len(shown))
    ax.barh(rows, [row.deals for row in shown], color=TREATED[0], height=0.6)
    for row, item in zip(rows, shown, strict=True):
        ax.annotate(
            say(
                "{share}, with those above {cumulative}",
                share=_close_percent(item.share),
                cumulative=_close_percent(item.cumulative),
            ),
            (item.deals, row),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            color=ZERO,
            fontsize="small",
        )
    ax.set_yticks(rows, [word(item.reason) for item in shown])
    ax.invert_yaxis()
    ax.set_xlim(0, 1.5 * max(item.deals for item in shown))
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    ax.set_xlabel(say("deals lost"))
    return localise_axes(_clean(ax), x="number")


def plot_retention(result: RetentionByArm, *, ax: Axes | None = None) -> Axes:
    """Draw the share that ordered in each week, the control group in grey.

    Parameters
    ----------
    result : RetentionByArm
        The weeks.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = ax or _axes(3.4)
    ax.set_title(say("Who orders in which week after the start?"), loc="left")
    if result.reason:
        return _empty(ax)
    first = [row for row in result.rows if row.arm == result.arms[0]]
    series = [(say("control group"), CONTROL, [(row.week, row.control) for row in first])]
    series += [
        (
            word(arm),
            TREATED[place % len(TREATED)],
            [(row.week, row.rate) for row in result.rows if row.arm == arm],
        )
        for place, arm in enumerate(result.arms)
    ]
    for place, (name, colour, points) in enumerate(series):
        weeks = np.array([week for week, _ in points]) + 0.12 * (place - len(series) / 2 + 0.5)
        ax.plot(weeks, [rate.estimate for _, rate in points], "o-", color=colour, label=name)
        ax.vlines(
            weeks, [rate.low for _, rate in points], [rate.high for _, rate in points], color=colour
        )
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.yaxis.set_major_locator(_round_ticks())
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylim(bottom=0)
    ax.set_xlabel(say("week after the start of the campaign"))
    ax.set_ylabel(say("ordered in that week"))
    ax.legend(frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.18))
    return localise_axes(_clean(ax), y="percent")


def plot_triangle(result: CohortTriangle, *, ax: Axes | None = None) -> Axes:
    """Draw the triangle of cohorts: the darker, the more ordered.

    Parameters
    ----------
    result : CohortTriangle
        The cells.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    cohorts = [name for name, _ in result.sizes if any(c.cohort == name for c in result.cells)]
    ax = ax or _axes(1.1 + 0.42 * max(len(cohorts), 1))
    ax.set_title(say("Who of each month orders again?"), loc="left")
    if result.reason:
        return _empty(ax)
    grid = np.full((len(cohorts), result.periods), np.nan)
    for cell in result.cells:
        grid[cohorts.index(cell.cohort), cell.period - 1] = cell.rate.estimate
    top = float(np.nanmax(grid)) or 1.0
    ax.imshow(grid, cmap="Blues", vmin=0, vmax=top, aspect="auto")
    for cell in result.cells:
        dark = cell.rate.estimate > 0.6 * top
        ax.text(
            cell.period - 1,
            cohorts.index(cell.cohort),
            _close_percent(cell.rate.estimate),
            ha="center",
            va="center",
            color="white" if dark else ZERO,
        )
    ax.set_yticks(np.arange(len(cohorts)), [month_text(name) for name in cohorts])
    ax.set_xticks(np.arange(result.periods), [str(p + 1) for p in range(result.periods)])
    ax.set_xlabel(say("period of {days} days after each registration", days=result.period_days))
    ax.set_ylabel(say("registered in"))
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return ax


def plot_arm_shares(result: ArmShares, *, ax: Axes | None = None) -> Axes:
    """Draw the difference of each arm from the control group with its interval, against 0.

    Only what is randomised is drawn: the score of those who answered has another scale and is no
    effect.

    Parameters
    ----------
    result : ArmShares
        The arms.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    known = [
        row for row in result.rows if row.comparison.absolute.is_known and row.basis == "randomised"
    ]
    ax = ax or _axes(1.2 + 0.45 * max(len(known), 1))
    ax.set_title(say("How do the arms differ from the control group?"), loc="left")
    if result.reason or not known:
        return _empty(ax)
    ax.axvline(0, color=CONTROL, linewidth=2)
    arms = list(dict.fromkeys(row.arm for row in known))
    for place, row in enumerate(known):
        effect = row.comparison.absolute
        colour = TREATED[arms.index(row.arm) % len(TREATED)]
        ax.plot([100 * effect.low, 100 * effect.high], [place, place], color=colour, linewidth=3)
        ax.plot([100 * effect.estimate], [place], "o", color=colour, markersize=8)
    one = len({row.outcome for row in known}) == 1
    labels = [word(row.arm) if one else f"{row.outcome}\n{word(row.arm)}" for row in known]
    ax.set_yticks(np.arange(len(known)), labels)
    ax.set_ylim(len(known) - 0.4, -0.6)
    ax.set_xlabel(
        say("{outcome}: percentage points", outcome=known[0].outcome)
        if one
        else say("percentage points; grey: no difference")
    )
    return localise_axes(_clean(ax), x="number")


def _dots(ax: Axes, rows: Sequence[GroupRate]) -> None:
    for place, row in enumerate(rows):
        colour = PALE if row.is_thin else TREATED[0]
        _interval(ax, row.rate, float(place), colour)
        if not row.is_thin:
            ax.plot([row.rate.estimate], [place], "o", color=colour, markersize=8)
    labels = [
        say("{group} (too few: {n})", group=word(row.group), n=formats.number(row.rate.n))
        if row.is_thin
        else f"{word(row.group)} ({formats.number(row.rate.n)})"
        for row in rows
    ]
    ax.set_yticks(np.arange(len(rows)), labels)
    ax.set_ylim(len(rows) - 0.4, -0.6)


def _interval(ax: Axes, rate: ProportionEstimate, place: float, colour: str) -> None:
    if rate.n:
        ax.plot([rate.low, rate.high], [place, place], color=colour, linewidth=3)


def _shares_on_x(ax: Axes, right: float) -> Axes:
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.xaxis.set_major_locator(_round_ticks())
    ax.set_xlim(0, min(right, 1.0))
    return localise_axes(_clean(ax), x="percent")


def _round_ticks() -> MaxNLocator:
    return MaxNLocator(nbins=6, steps=[1, 2, 5, 10])


def _empty(ax: Axes) -> Axes:
    ax.set_xlabel(say(_NOTHING))
    figure = ax.get_figure()
    if isinstance(figure, Figure):
        figure.set_size_inches(7.2, 0.8)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    return ax


def _axes(height: float) -> Axes:
    _, ax = plt.subplots(figsize=(7.2, height), layout="constrained")
    return ax


def _close_percent(share: float) -> str:
    """Write a share without the space that English text has before its sign."""
    return formats.percent(share, decimals=0).replace(" %", "%")


def _clean(ax: Axes) -> Axes:
    ax.spines[["top", "right"]].set_visible(False)
    return ax
