"""Plots of the control group, of plans, and of the A/A calibration."""

from __future__ import annotations

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from crm_lab.experiments.calibration_results import Calibration
from crm_lab.experiments.control_group_status import ControlGroupStatus
from crm_lab.experiments.lights import BALANCE_LIMIT
from crm_lab.experiments.outlook import HoldoutOutlook
from crm_lab.experiments.preview import PlanPreview, PowerTable
from crm_lab.language import say, say_many, word
from crm_lab.plots.axes import TickKind, legend_below, localise_axes
from crm_lab.plots.palette import CONTROL, PALE, TREATED, ZERO


def plot_outlook(outlook: HoldoutOutlook, *, ax: Axes | None = None) -> Axes:
    """Draw the smallest change that shows, by horizon and metric.

    Parameters
    ----------
    outlook : HoldoutOutlook
        What the group would see.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = ax or _axes(3.2)
    for row, metric in enumerate(dict.fromkeys(metric for _, metric, _ in outlook.detectable)):
        points = [(w, e.relative) for w, m, e in outlook.detectable if m == metric]
        weeks, changes = zip(*points, strict=True)
        ax.plot(weeks, changes, "o-", color=TREATED[row], label=word(metric))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_ylim(bottom=0)
    ax.set_xlabel(say("weeks of observation"))
    ax.set_ylabel(say("smallest change that shows"))
    ax.set_title(
        say_many(
            "What can a control group of {count} customer see?",
            "What can a control group of {count} customers see?",
            outlook.control,
        ),
        loc="left",
    )
    if outlook.detectable:
        ax.legend(frameon=False)
    return _clean(ax, y="percent")


def plot_balance(status: ControlGroupStatus, *, ax: Axes | None = None) -> Axes:
    """Draw the standardised differences before the draw.

    Parameters
    ----------
    status : ControlGroupStatus
        The group as it stands.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = ax or _axes(2.6)
    table = status.balance
    rows = np.arange(len(table))
    ax.axvspan(-BALANCE_LIMIT, BALANCE_LIMIT, color=PALE, alpha=0.6, label=say("balanced"))
    ax.axvline(0, color=CONTROL, linewidth=2)
    ax.plot(table["standardised difference"], rows, "o", color=TREATED[0], markersize=9)
    ax.set_yticks(rows, [word(name) for name in table["covariate"]])
    ax.set_ylim(len(table) - 0.5, -0.5)
    reach = max(2 * BALANCE_LIMIT, 1.2 * status.worst_balance)
    ax.set_xlim(-reach, reach)
    ax.set_xlabel(say("standardised difference, control minus others"))
    ax.set_title(say("Were the control customers like the others before?"), loc="left")
    ax.legend(frameon=False, loc="upper right")
    return _clean(ax)


def plot_power(power: PowerTable, *, ax: Axes | None = None) -> Axes:
    """Draw the smallest change that shows by share of the control group.

    Parameters
    ----------
    power : PowerTable
        What a plan can find.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = ax or _axes(3.2)
    curve = power.curve
    ax.plot(curve["control_share"], curve["relative"], color=TREATED[0], linewidth=2)
    ax.axvline(power.control_share, color=CONTROL, linewidth=2)
    ax.annotate(
        say("this plan"),
        (power.control_share, 0.97),
        xycoords=("data", "axes fraction"),
        xytext=(6, 0),
        textcoords="offset points",
        va="top",
        color=ZERO,
    )
    ax.set_xscale("log")
    ticks = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
    ax.set_xticks(ticks, [f"{tick:.0%}" for tick in ticks])
    ax.minorticks_off()
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_ylim(bottom=0)
    ax.set_xlabel(say("share of the base in the control group"))
    ax.set_ylabel(say("smallest change that shows"))
    ax.set_title(say("What would a larger control group see?"), loc="left")
    return _clean(ax, y="percent")


def plot_plan(preview: PlanPreview, *, ax: Axes | None = None) -> Axes:
    """Draw what a plan can find (see :func:`plot_power`)."""
    return plot_power(preview.power, ax=ax)


def plot_calibration(result: Calibration, *, ax: Axes | None = None) -> Axes:
    """Draw false claims of a lift and of a drop per test, beside what was promised.

    Parameters
    ----------
    result : Calibration
        The A/A calibration.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = ax or _axes(1.2 + 0.62 * len(result.tests))
    tests = [test for test in result.tests if test.draws]
    rows = np.arange(len(tests))
    lifts = np.array([test.lifts / test.draws for test in tests])
    drops = np.array([test.drops / test.draws for test in tests])
    ax.barh(rows - 0.19, lifts, 0.36, color=TREATED[1], label=say("claimed a lift"))
    ax.barh(rows + 0.19, drops, 0.36, color=TREATED[0], label=say("claimed a drop"))
    ax.axvline(result.alpha / 2, color=ZERO, linestyle="--", label=say("promised for each"))
    ax.set_yticks(rows, [f"{word(test.metric)}\n{word(test.method)}" for test in tests])
    ax.invert_yaxis()
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    ax.set_xlabel(
        say_many(
            "share of {count} draw in which nothing was done",
            "share of {count} draws in which nothing was done",
            result.draws,
        )
    )
    ax.set_title(say("How often is an effect claimed where there is none?"), loc="left")
    legend_below(ax)
    return _clean(ax)


def _axes(height: float) -> Axes:
    _, ax = plt.subplots(figsize=(7.2, height), layout="constrained")
    return ax


def _clean(ax: Axes, *, x: TickKind = "number", y: TickKind | None = None) -> Axes:
    ax.spines[["top", "right"]].set_visible(False)
    return localise_axes(ax, x=x, y=y)
