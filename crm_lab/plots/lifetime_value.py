"""Figures of predicted value: tests on the past, probabilities, tiers, groups, a contrast."""

from __future__ import annotations

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from crm_lab.formats import currency_name, day, number, percent
from crm_lab.language import message, say, word
from crm_lab.ltv.cohorts import GroupValues
from crm_lab.ltv.contrast import LifetimeContrast
from crm_lab.ltv.group_wording import by_text, group_text, tier_text
from crm_lab.ltv.rolling import RollingOrigin
from crm_lab.ltv.tiers import ValueTiers
from crm_lab.ltv.wording import span
from crm_lab.plots.axes import localise_axes
from crm_lab.plots.palette import CONTROL, PALE, TREATED, ZERO

_NOTHING = message("nothing to draw")
_MAX_ROWS = 24


def plot_rolling(result: RollingOrigin, *, ax: Axes | None = None) -> Axes:
    """Draw each forecast of the past with its interval beside what came.

    Parameters
    ----------
    result : RollingOrigin
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = _axes(ax, 3.6)
    ax.set_title(say("Would this forecast have been right before?"), loc="left")
    usable = result.usable
    if not usable:
        return _empty(ax)
    place = np.arange(len(usable))
    for x, each in zip(place, usable, strict=True):
        ax.plot([x, x], [each.low, each.high], color=TREATED[0], linewidth=5, alpha=0.5)
        ax.annotate(
            percent(each.relative_error, decimals=0, signed=True),
            (x, max(each.high, each.actual)),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            color=ZERO,
        )
    expected = [each.expected for each in usable]
    ax.plot(
        place, expected, "o", color=TREATED[0], markersize=7, label=say("expected, with interval")
    )
    ax.plot(
        place, [each.actual for each in usable], "D", color=ZERO, markersize=7, label=say("came")
    )
    top = max(max(each.high, each.actual) for each in usable)
    ax.set_ylim(0, 1.18 * top)
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.set_xlim(-0.6, len(usable) - 0.4)
    ax.set_xticks(place, [day(each.origin) for each in usable])
    ax.set_xlabel(say("forecast made on (percent: how far it missed)"))
    ax.set_ylabel(say("orders in {length}", length=span(result.horizon_days, 1)))
    ax.legend(frameon=False, loc="lower right")
    return localise_axes(_clean(ax), y="number")


def plot_probabilities(result: RollingOrigin, *, ax: Axes | None = None) -> Axes:
    """Draw the share who ordered against the predicted probability, by tenths of the customers.

    Parameters
    ----------
    result : RollingOrigin
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = _axes(ax, 4.2)
    ax.set_title(say("Did those order who were said to?"), loc="left")
    table = result.probabilities
    if table.empty:
        return _empty(ax)
    ax.plot([0, 1], [0, 1], color=CONTROL, linestyle="--", linewidth=1, label=say("perfect"))
    expected, actual = table["expected"].to_numpy(), table["actual"].to_numpy()
    errors = np.maximum([actual - table["low"], table["high"] - actual], 0)
    ax.errorbar(
        expected,
        actual,
        yerr=errors,
        fmt="o",
        color=TREATED[0],
        capsize=3,
        label=say("a tenth of the customers"),
    )
    ax.plot(
        table["probability_alive"],
        actual,
        "x",
        color=TREATED[1],
        label=say("the same by probability to be a customer"),
    )
    ax.set_xlim(-0.02, 1.02)
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel(say("predicted probability"))
    ax.set_ylabel(say("share who ordered"))
    ax.legend(frameon=False, loc="upper left", fontsize="small")
    return localise_axes(_clean(ax), x="number", y="number")


def plot_tiers(result: ValueTiers, *, ax: Axes | None = None) -> Axes:
    """Draw the share of what is expected that each tier carries.

    Parameters
    ----------
    result : ValueTiers
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = _axes(ax, 1.0 + 0.55 * max(len(result.tiers), 1))
    ax.set_title(say("Who will bring it?"), loc="left")
    if not result.tiers:
        return _empty(ax)
    rows = np.arange(len(result.tiers))
    shares = [100 * tier.share for tier in result.tiers]
    bars = ax.barh(rows, shares, color=TREATED[0], height=0.6)
    ax.bar_label(bars, [f" {percent(tier.share, decimals=0)}" for tier in result.tiers])
    ax.set_yticks(rows, [tier_text(tier.tier) for tier in result.tiers])
    ax.invert_yaxis()
    ax.set_xlim(0, 1.15 * max(shares))
    if result.by_value:
        ax.set_xlabel(say("share of the expected value of {length} (%)", length=result.horizon))
    else:
        ax.set_xlabel(say("share of the expected orders of {length} (%)", length=result.horizon))
    return localise_axes(_clean(ax), x="number")


def plot_groups(result: GroupValues, *, ax: Axes | None = None) -> Axes:
    """Draw lifetime value by group after pooling, the raw mean pale, the cost as a mark.

    Parameters
    ----------
    result : GroupValues
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    shown = result.rows[:_MAX_ROWS]
    ax = _axes(ax, 1.2 + 0.4 * max(len(shown), 1))
    ax.set_title(say("How much is a customer worth, by {by}?", by=by_text(result.by)), loc="left")
    if result.reason or not shown:
        return _empty(ax)
    for y, row in enumerate(shown):
        ax.plot(
            [row.lifetime_value],
            [y],
            "o",
            color=PALE,
            markersize=8,
            label=say("as measured") if y == 0 else None,
        )
        ax.plot([row.shrunken_low, row.shrunken_high], [y, y], color=TREATED[0], linewidth=3)
        ax.plot([row.shrunken], [y], "o", color=TREATED[0], label=say("pooled") if y == 0 else None)
        if np.isfinite(row.cost):
            ax.plot([row.cost], [y], "|", color=TREATED[1], markersize=14, markeredgewidth=3)
    ax.set_yticks(
        np.arange(len(shown)),
        [f"{group_text(result.by, row.group)} ({number(row.customers)})" for row in shown],
    )
    ax.set_ylim(len(shown) - 0.5, -0.5)
    ax.set_xlabel(
        say(
            "{currency} per customer, so far and {length} ahead",
            currency=currency_name(result.currency),
            length=result.horizon,
        ).strip()
    )
    ax.legend(frameon=False, loc="best", fontsize="small")
    return localise_axes(_clean(ax), x="number")


def plot_contrast(result: LifetimeContrast, *, ax: Axes | None = None) -> Axes:
    """Draw what a treatment adds: measured so far, expected ahead, together.

    Parameters
    ----------
    result : LifetimeContrast
        What to draw.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = _axes(ax, 2.8)
    ax.set_title(say("What does the treatment add to the value of a customer?"), loc="left")
    ax.axvline(0, color=CONTROL, linewidth=2)
    for y, part in enumerate(result.parts):
        if np.isfinite(part.low):
            colour = TREATED[0] if part.part == "so far" else TREATED[1]
            ax.plot([part.low, part.high], [y, y], color=colour, linewidth=3)
            ax.plot([part.difference], [y], "o", color=colour)
    ax.set_yticks(
        range(len(result.parts)), [f"{word(p.part)}\n{word(p.evidence)}" for p in result.parts]
    )
    ax.set_ylim(len(result.parts) - 0.5, -0.5)
    currency = currency_name(result.currency)
    ax.set_xlabel(say("{currency} per customer (grey: no difference)", currency=currency).strip())
    return localise_axes(_clean(ax), x="number")


def _axes(ax: Axes | None, height: float) -> Axes:
    if ax is None:
        _, ax = plt.subplots(figsize=(7.2, height), layout="constrained")
    return ax


def _clean(ax: Axes) -> Axes:
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _empty(ax: Axes) -> Axes:
    ax.text(0.5, 0.5, say(_NOTHING), ha="center", va="center", transform=ax.transAxes)
    ax.set_xticks([])
    ax.set_yticks([])
    return _clean(ax)
