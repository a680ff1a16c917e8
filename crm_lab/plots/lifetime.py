"""Figures of lifetime value: tracking, holdout by frequency, where the expected value lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from crm_lab.formats import number, percent, separated
from crm_lab.language import message, say
from crm_lab.ltv import wording
from crm_lab.ltv.forecast import LifetimeForecast
from crm_lab.ltv.validation import Validation
from crm_lab.plots.axes import localise_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACTUAL_COLOUR = "#000000"
EXPECTED_COLOUR = "#0072B2"
SECOND_COLOUR = "#E69F00"
QUIET_COLOUR = "#8C8C8C"
"""Okabe and Ito's palette, which colour-blind readers can tell apart; grey for marks."""

SHARES = 10

_TIME_AXES: Mapping[float, str] = {
    1: message("date (one step is one day)"),
    7: message("date (one step is one week)"),
    30: message("date (one step is one 30-day month)"),
    365: message("date (one step is one year)"),
}


def plot_tracking(validation: Validation, *, ax: Axes | None = None) -> Axes:
    """Draw the repeat purchases that happened and those expected, added up over time.

    Left of the dashed line the model was fitted; right of it, it forecasts. The bar at the end is
    the prediction interval of the holdout.

    Parameters
    ----------
    validation : Validation
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes when missing.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.
    """
    ax = _axes(ax)
    table = validation.tracking
    fitted = table[table["phase"] == "calibration"]
    later = table[table["phase"] == "holdout"]
    ax.plot(table["until"], table["actual_cumulative"], color=ACTUAL_COLOUR, label=say("happened"))
    ax.plot(
        fitted["until"],
        fitted["expected_cumulative"],
        color=EXPECTED_COLOUR,
        linestyle=":",
        label=say("model, on the data it was fitted to"),
    )
    ax.plot(
        later["until"],
        later["expected_cumulative"],
        color=EXPECTED_COLOUR,
        linestyle="--",
        label=say("forecast"),
    )
    estimate, low, high = validation.expected_orders.as_tuple()
    if np.isfinite([estimate, low, high]).all():
        last = later.iloc[-1]
        ax.errorbar(
            [last["until"]],
            [last["expected_cumulative"]],
            yerr=[[estimate - low], [high - estimate]],
            color=EXPECTED_COLOUR,
            capsize=5,
            label=say("{sure} prediction interval", sure=wording.share_of_sure(validation.alpha)),
        )
    # matplotlib draws dates on a time axis, its type hints know numbers only.
    end: Any = validation.calibration_end
    ax.axvline(end, color=QUIET_COLOUR, linestyle="--", linewidth=1)
    ax.set_title(say("Did the forecast keep up with what happened?"))
    ax.set_ylabel(say("repeat purchases since the start (number)"))
    ax.set_xlabel(_time_axis(validation.unit_days))
    ax.tick_params(axis="x", labelrotation=30)
    ax.set_ylim(bottom=0)
    ax.legend(loc="lower right", framealpha=1.0, edgecolor="none")
    return localise_axes(ax, x="date", y="number")


def plot_holdout_by_frequency(validation: Validation, *, ax: Axes | None = None) -> Axes:
    """Draw the mean purchases in the holdout by purchases before it, expected beside actual.

    Parameters
    ----------
    validation : Validation
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes when missing.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.
    """
    ax = _axes(ax)
    table = validation.by_frequency
    place = np.arange(len(table))
    ax.plot(
        place,
        table["actual_mean"],
        color=ACTUAL_COLOUR,
        marker="o",
        label=say("happened"),
    )
    ax.plot(
        place,
        table["expected_mean"],
        color=EXPECTED_COLOUR,
        marker="s",
        linestyle="--",
        label=say("expected"),
    )
    labels = [
        say("{frequency}\n(n = {count})", frequency=frequency, count=number(n))
        for frequency, n in zip(table["frequency"], table["customers"], strict=True)
    ]
    ax.set_xticks(place, labels, fontsize="small")
    ax.set_title(say("For whom was the forecast right?"))
    ax.set_xlabel(say("repeat purchases before the holdout (customers)"))
    ax.set_ylabel(
        say(
            "purchases in {length} held out (mean per customer)",
            length=wording.span(validation.holdout_periods, validation.unit_days),
        )
    )
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False)
    return localise_axes(ax, y="number")


def plot_forecast(forecast: LifetimeForecast, *, ax: Axes | None = None) -> Axes:
    """Draw which share of the expected value each tenth of the customers carries.

    Customers are sorted by expected value, or by expected orders where there is no spend model.

    Parameters
    ----------
    forecast : LifetimeForecast
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes when missing.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.
    """
    ax = _axes(ax)
    by_value = not forecast.value_reason
    column = "expected_value" if by_value else "expected_orders"
    length = wording.span(forecast.periods, forecast.unit_days)
    if by_value:
        ax.set_title(say("How much of the expected value do the best customers carry?"))
        ax.set_ylabel(say("share of the expected value of {length} (%)", length=length))
    else:
        ax.set_title(say("How much of the expected orders do the best customers carry?"))
        ax.set_ylabel(say("share of the expected orders of {length} (%)", length=length))
    ax.set_xlabel(say("tenth of the customers, best first"))
    values = np.sort(forecast.customers[column].to_numpy(np.float64))[::-1]
    total = values.sum()
    if forecast.reason or not total > 0:
        nothing = say("nothing is expected of these customers in this horizon")
        note = wording.capital(forecast.reason or nothing)
        ax.text(0.5, 0.5, note, ha="center", va="center", wrap=True, transform=ax.transAxes)
        ax.set_xticks([])
        ax.set_yticks([])
        return ax
    shares = np.array([part.sum() / total for part in np.array_split(values, SHARES)])
    place = np.arange(1, SHARES + 1)
    bars = ax.bar(place, 100 * shares, color=EXPECTED_COLOUR)
    ax.bar_label(bars, [percent(share, decimals=0) for share in shares], fontsize="small")
    ax.plot(
        place,
        100 * np.cumsum(shares),
        color=SECOND_COLOUR,
        marker="o",
        label=say("added up"),
    )
    ax.set_xticks(place)
    ax.set_ylim(0, 110)
    ax.legend(frameon=False, loc="center right")
    return localise_axes(ax, y="number")


def _time_axis(unit_days: float) -> str:
    if unit_days in _TIME_AXES:
        return say(_TIME_AXES[unit_days])
    return say("date (one step is one {days}-day unit)", days=separated(f"{unit_days:g}"))


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    _, new = plt.subplots(layout="constrained")
    return new
