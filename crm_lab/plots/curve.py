"""Plots of what all contact together brings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from crm_lab import formats
from crm_lab.crm_effect import curve_wording as wording
from crm_lab.crm_effect.attribution import Attribution
from crm_lab.crm_effect.curve_results import CurvePoint, CurveResult
from crm_lab.crm_effect.economics_results import Economics
from crm_lab.experiments.results import Money
from crm_lab.language import say, word
from crm_lab.plots.axes import localise_axes
from crm_lab.plots.palette import CONTROL, PALE, TREATED, ZERO


def plot_cumulative(result: CurveResult, *, ax: Axes | None = None) -> Axes:
    """Draw the gain per customer since the draw, week by week, with its band against 0.

    Parameters
    ----------
    result : CurveResult
        The comparison.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = ax or _axes(3.8)
    points = _bounded(result.revenue)
    weeks = [point.week for point in points]
    ax.axhline(0, color=CONTROL, linewidth=2)
    low = [point.cumulative.low for point in points]
    high = [point.cumulative.high for point in points]
    ax.fill_between(weeks, low, high, color=TREATED[0], alpha=0.2, linewidth=0)
    ax.plot(weeks, [p.cumulative.estimate for p in points], "o-", color=TREATED[0], markersize=4)
    ax.set_xlim(0.5, max([result.planned_weeks, *weeks]) + 0.5)
    ax.axvline(result.planned_weeks, color=ZERO, linestyle=":", linewidth=1)
    _note(ax, result.planned_weeks, say("decided here"))
    stable = [p.week for p in points if p.last_day == result.stability.since]
    if stable:
        ax.axvline(stable[0], color=TREATED[2], linestyle="--", linewidth=1)
        _note(ax, stable[0], say("stable"))
    ax.annotate(
        say("control group"),
        (result.planned_weeks, 0),
        xytext=(-4, -3),
        textcoords="offset points",
        ha="right",
        va="top",
        color=ZERO,
        fontsize="small",
    )
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=14))
    ax.set_xlabel(say("weeks since the draw"))
    ax.set_ylabel(
        say(
            "more revenue per customer ({currency})",
            currency=formats.currency_name(result.currency),
        )
    )
    ax.set_title(say("How much more did a customer bring since the draw?"), loc="left")
    return _clean(localise_axes(ax, y="money"))


def plot_weekly(result: CurveResult, *, ax: Axes | None = None) -> Axes:
    """Draw the gain per customer of each week alone, with its interval.

    Parameters
    ----------
    result : CurveResult
        The comparison.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = ax or _axes(3.0)
    ax.axhline(0, color=CONTROL, linewidth=2)
    for point in result.revenue:
        effect = point.weekly
        if effect.is_known:
            ax.plot([point.week] * 2, [effect.low, effect.high], color=TREATED[0], linewidth=2)
            ax.plot([point.week], [effect.estimate], "o", color=TREATED[0], markersize=5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=14))
    ax.set_xlabel(say("week since the draw"))
    ax.set_ylabel(say("difference ({currency})", currency=formats.currency_name(result.currency)))
    ax.set_title(say("How much more did a customer bring in each week?"), loc="left")
    return _clean(localise_axes(ax, y="money"))


def plot_money(result: Economics, *, ax: Axes | None = None) -> Axes:
    """Draw what was brought in all, what holding out cost, and what is left, against 0.

    Parameters
    ----------
    result : Economics
        The money.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    rows: list[tuple[str, Money, str]] = [(say(wording.ROW_REVENUE), result.revenue, TREATED[0])]
    if result.margin is not None:
        rows.append((say(wording.ROW_MARGIN), result.margin, TREATED[0]))
    if result.net is not None:
        spent = Money(estimate=-result.outlay, low=-result.outlay, high=-result.outlay)
        held = result.holdout
        lost = Money(estimate=-held.estimate, low=-held.high, high=-held.low)
        rows += [(say("costs"), spent, TREATED[1]), (say("holding out"), lost, CONTROL)]
        rows.append((say("left"), result.net, TREATED[2]))
    ax = ax or _axes(1.2 + 0.55 * len(rows))
    ax.axvline(0, color=CONTROL, linewidth=2)
    for row, (_, money, colour) in enumerate(rows):
        _interval(ax, row, money, colour)
    ax.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: formats.number(value)))
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5))
    level = formats.percent(1 - result.alpha, decimals=0)
    ax.set_xlabel(
        say(
            "{currency} {span}, with {level} intervals",
            currency=formats.currency_name(result.currency),
            span=wording.in_weeks(result.weeks),
            level=level,
        )
    )
    ax.set_title(say("What did it bring, and what is left?"), loc="left")
    ax.tick_params(axis="y", length=0)
    return _clean(localise_axes(ax, x="money"))


def plot_attribution(result: Attribution, *, ax: Axes | None = None) -> Axes:
    """Draw the CRM's share of the company's revenue by each way of counting.

    Parameters
    ----------
    result : Attribution
        Attributed and incremental money.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    per = 1 / result.company_revenue if result.company_revenue > 0 else math.nan
    names = [word(item.model) for item in result.models] if result.is_known else []
    ax = ax or _axes(1.6 + 0.5 * len(names))
    extra = result.incremental
    share = Money(estimate=extra.estimate * per, low=extra.low * per, high=extra.high * per)
    ax.axvline(0, color=CONTROL, linewidth=2)
    _interval(ax, 0, share, TREATED[0])
    for row, item in enumerate(result.models[: len(names)], start=1):
        ax.barh(row, item.same * per, 0.5, color=PALE)
    ax.set_yticks(range(len(names) + 1), [say(wording.INCREMENTAL), *names])
    ax.set_ylim(len(names) + 0.6, -0.6)
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_xlabel(say("share of the company's revenue; bars: claimed by attribution"))
    ax.set_title(say("How much of the revenue is the CRM's?"), loc="left")
    ax.tick_params(axis="y", length=0)
    return _clean(localise_axes(ax, x="percent"))


def _bounded(points: Sequence[CurvePoint]) -> list[CurvePoint]:
    """Keep the points whose interval is known and has two ends; the others have no band."""
    return [
        point
        for point in points
        if math.isfinite(point.cumulative.low) and math.isfinite(point.cumulative.high)
    ]


def _interval(ax: Axes, row: int, money: Money, colour: str) -> None:
    if not math.isfinite(money.estimate):
        ax.text(0, row, f"  {say('no estimate')}", va="center", color=ZERO)
        return
    ends = np.array([money.low, money.high])
    if np.isfinite(ends).all() and ends[0] < ends[1]:
        ax.plot(ends, [row, row], color=colour, linewidth=3)
    ax.plot([money.estimate], [row], "o", color=colour, markersize=8)


def _note(ax: Axes, week: float, text: str) -> None:
    ax.annotate(
        text,
        (week, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-4, -2),
        textcoords="offset points",
        va="top",
        ha="right",
        color=ZERO,
        fontsize="small",
    )


def _axes(height: float) -> Axes:
    _, ax = plt.subplots(figsize=(7.2, height), layout="constrained")
    return ax


def _clean(ax: Axes) -> Axes:
    ax.spines[["top", "right"]].set_visible(False)
    return ax
