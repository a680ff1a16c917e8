"""Plots of a month under way."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.dates import ConciseDateFormatter, DayLocator, date2num
from matplotlib.ticker import FuncFormatter

from crm_lab import formats
from crm_lab.language import say
from crm_lab.planning.pace import Pace
from crm_lab.plots.axes import localise_axes
from crm_lab.plots.palette import CONTROL, LABEL_GROUND, TREATED, ZERO

DAYS_BETWEEN_TICKS = 5
LABEL_STEPS = 3
LABEL_STEP = 0.07
"""Heights at which names of activities stand, so that neighbours do not cover each other."""
LABEL_DAYS = 4
"""Days that the name of an activity covers."""


def plot_pace(pace: Pace, *, ax: Axes | None = None) -> Axes:
    """Draw the month day by day: fact, what the plan asks for, and where it will end.

    Parameters
    ----------
    pace : Pace
        The month.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(7.2, 3.8), layout="constrained")
    days = pd.DatetimeIndex(pace.daily["day"])
    planned = pace.daily["planned"].cumsum()
    ax.plot(days, planned, "--", color=CONTROL, linewidth=2, label=say("on plan"))
    known = pace.daily[pace.daily["fact"].notna()]
    if len(known):
        fact = known["fact"].cumsum()
        ax.plot(known["day"], fact, color=TREATED[0], linewidth=2.5, label=say("fact"))
    found = pace.forecast
    if found.days_ahead and math.isfinite(found.total):
        start = days[0] if known.empty else known["day"].iloc[-1]
        ahead = days[days >= start]
        steps = pace.daily["planned"][days >= start].cumsum()
        steps = (steps - steps.iloc[0]) / max(float(steps.iloc[-1] - steps.iloc[0]), 1e-12)
        middle = found.known + found.rest * steps
        ax.plot(ahead, middle, color=TREATED[1], linewidth=2, label=say("forecast"))
        if math.isfinite(found.low):
            ax.fill_between(
                ahead,
                found.known + found.rest_low * steps,
                found.known + found.rest_high * steps,
                color=TREATED[1],
                alpha=0.2,
                linewidth=0,
                label=say("{level} interval", level=formats.separated(f"{1 - found.alpha:.0%}")),
            )
    top = max(ax.get_ylim()[1], pace.target * 1.02)
    ax.set_ylim(0, top)
    ax.axhline(pace.target, color=ZERO, linewidth=1)
    ax.annotate(
        say("plan of the month"),
        (days[0], pace.target),
        xytext=(2, 3),
        textcoords="offset points",
        color=ZERO,
        fontsize=9,
    )
    for place, item in enumerate(pace.activities):
        day = float(date2num(pd.Timestamp(item.day)))  # type: ignore[no-untyped-call]
        ax.axvline(day, color=CONTROL, linewidth=1, linestyle=":")
        height = _label_height(planned, days, pd.Timestamp(item.day), top)
        height += LABEL_STEP * (place % LABEL_STEPS) * top
        ax.annotate(
            item.name,
            (day, height),
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=9,
            bbox=LABEL_GROUND,
        )
    locator = DayLocator(bymonthday=range(1, 31, DAYS_BETWEEN_TICKS))  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if pace.plan.spec.metric == "revenue":
        ax.set_ylabel(
            say("revenue since the 1st ({currency})", currency=formats.currency_name(pace.currency))
        )
    else:
        ax.set_ylabel(say("orders since the 1st (orders)"))
    month = formats.month(pace.plan.spec.first_day)
    ax.set_title(say("Will {month} reach its plan?", month=month), loc="left")
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.0, 0.92))
    ax.set_xlim(*(float(date2num(day)) for day in (days[0], days[-1])))  # type: ignore[no-untyped-call]
    ax.spines[["top", "right"]].set_visible(False)
    return localise_axes(ax, x="date", y="money")


def _label_height(
    planned: pd.Series, days: pd.DatetimeIndex, day: pd.Timestamp, top: float
) -> float:
    """Give a height clear of the curve: under it, or above it where it has only begun."""
    place = min(max(int(days.searchsorted(day)), 0), len(days) - 1)
    if planned.iloc[place] > LABEL_STEP * (LABEL_STEPS + 0.5) * top:
        return 0.03 * top
    return float(planned.iloc[min(place + LABEL_DAYS, len(days) - 1)]) + 0.03 * top
