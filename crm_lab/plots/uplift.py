"""Plots of targeting: the verdict, the league, who reacts, drift, arms and who gets what."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from crm_lab import formats
from crm_lab.language import label, say, word
from crm_lab.plots.palette import CONTROL, PALE, TREATED, ZERO
from crm_lab.uplift import wording
from crm_lab.uplift.allocation import Allocation
from crm_lab.uplift.arm_effects import ArmEffects
from crm_lab.uplift.drift import LARGE, MODERATE, Drift
from crm_lab.uplift.league import UpliftLeague
from crm_lab.uplift.segment_effects import SegmentEffects
from crm_lab.uplift.verdict import TargetingVerdict, amount

WIDTH = 7.2
MOST_LEARNERS = 14
MOST_FEATURES = 5
MOST_TICKS = 7


def plot_verdict(result: TargetingVerdict, *, ax: Axes | None = None) -> Axes:
    """Draw what contacting those chosen, everybody and nobody earns, with intervals.

    Parameters
    ----------
    result : TargetingVerdict
        The verdict.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = _axes(ax, 2.9)
    rows = (
        (wording.CHOSEN, result.targeted, TREATED[0]),
        (wording.EVERYONE, result.everyone, TREATED[1]),
    )
    ax.axvline(0, color=CONTROL, linewidth=2)
    for place, (_, value, colour) in enumerate(rows):
        found = value.profit
        if not found.is_known:
            ax.text(0, place, f"  {word(wording.NO_ESTIMATE)}", va="center")
            continue
        _interval(ax, place, found.estimate, found.low, found.high, colour)
        ax.annotate(
            amount(value),
            (found.estimate, place),
            xytext=(0, 10),
            textcoords="offset points",
            ha="center",
            color=ZERO,
        )
    ax.plot([0], [2], "s", color=CONTROL, markersize=9)
    names = [f"{word(name)}\n({formats.number(value.contacted)})" for name, value, _ in rows]
    ax.set_yticks(range(3), [*names, f"{word(wording.NOBODY)}\n(0)"])
    ax.set_ylim(2.5, -0.7)
    ax.set_xlabel(_unit(say(wording.EARNED_AXES[result.is_margin_known]), result.targeted.currency))
    ax.set_title(say("What does it earn to contact ..."), loc="left")
    return _plain(ax)


def plot_league(result: UpliftLeague, *, ax: Axes | None = None) -> Axes:
    """Draw how well each learner ranks, with its interval; grey line: a random order.

    Parameters
    ----------
    result : UpliftLeague
        The league; the first 14 are drawn.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    rows = result.rows[:MOST_LEARNERS]
    ax = _axes(ax, 1.4 + 0.34 * len(rows))
    ax.axvline(0, color=CONTROL, linewidth=2)
    for place, row in enumerate(rows):
        value = row.quality.value
        if not value.is_known:
            ax.text(0, place, f"  {word(wording.NO_ESTIMATE)}", va="center")
            continue
        is_rule = row.learner.startswith((wording.RULE, wording.RESPONSE))
        colour = TREATED[1] if is_rule else TREATED[0]
        filled = row.gap is None or row.is_tied
        _interval(ax, place, value.estimate, value.low, value.high, colour, filled=filled)
    ax.set_yticks(range(len(rows)), [wording.name_text(row.name) for row in rows])
    ax.set_ylim(len(rows) - 0.4, -0.7)
    more = say("more {metric} per 1,000 customers than a random order", metric=word(result.metric))
    key = say(
        "blue: models, orange: response and plain rules; filled: cannot be told from the first"
    )
    ax.set_xlabel(f"{more}\n{key}")
    ax.set_title(say("Which ranks customers best?"), loc="left")
    return _plain(ax)


def plot_segments(result: SegmentEffects, *, ax: Axes | None = None) -> Axes:
    """Draw what a contact brings in each group of the features that tell most.

    Parameters
    ----------
    result : SegmentEffects
        The effects; the five features with the clearest difference are drawn.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    features = [test.feature for test in result.tests[:MOST_FEATURES]]
    rows = [row for feature in features for row in result.of(feature)]
    ax = _axes(ax, 1.3 + 0.36 * (len(rows) + 0.5 * len(features)))
    ax.axvline(0, color=CONTROL, linewidth=2)
    place, places, names = 0.0, [], []
    for number, feature in enumerate(features):
        colour = TREATED[number % len(TREATED)]
        for row in result.of(feature):
            if row.reason:
                ax.text(0, place, f"  {word(wording.NO_ESTIMATE)}", va="center")
            else:
                _interval(ax, place, row.estimate, row.low, row.high, colour)
            ax.plot([row.cost], [place], marker="|", color=ZERO, markersize=12)
            places.append(place)
            names.append(f"{label(feature)}: {wording.group_text(row.group)}")
            place += 1.0
        place += 0.5
    ax.set_yticks(places, names)
    ax.set_ylim(place - 0.4, -0.7)
    ax.set_xlabel(_unit(say("what a contact brings; black mark: what it costs"), result.currency))
    ax.set_title(say("Who reacts to a contact?"), loc="left")
    return _plain(ax)


def plot_drift(result: Drift, *, ax: Axes | None = None) -> Axes:
    """Draw the stability index of score and features beside what is called moderate and large.

    Parameters
    ----------
    result : Drift
        The drift.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = _axes(ax, 1.4 + 0.36 * max(len(result.rows), 1))
    for edge, style in ((MODERATE, ":"), (LARGE, "--")):
        ax.axvline(edge, color=CONTROL, linestyle=style, linewidth=1.5)
    places = np.arange(len(result.rows))
    shown = [row.change in ("moderate", "large") for row in result.rows]
    ax.barh(
        places,
        [row.index for row in result.rows],
        color=[TREATED[1] if is_changed else PALE for is_changed in shown],
        height=0.6,
    )
    ax.plot([row.chance for row in result.rows], places, "|", color=ZERO, markersize=12)
    ax.set_yticks(places, [label(row.name) for row in result.rows])
    ax.invert_yaxis()
    ax.set_xlabel(say("stability index; black: chance, dotted: moderate, dashed: large"))
    ax.set_title(say("Are the customers still those the model was learned from?"), loc="left")
    return _plain(ax)


def plot_arm_effects(result: ArmEffects, *, ax: Axes | None = None) -> Axes:
    """Draw what a contact by each arm brings in each segment, with its interval.

    Parameters
    ----------
    result : ArmEffects
        The effects.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    count = len(result.arms)
    ax = _axes(ax, 1.4 + (0.3 * count + 0.25) * len(result.segments))
    ax.axvline(0, color=CONTROL, linewidth=2)
    step = 0.7 / max(count, 1)
    for place, row in enumerate(result.rows):
        segment, arm = divmod(place, count)
        at = segment + (arm - (count - 1) / 2) * step
        colour = TREATED[arm % len(TREATED)]
        if row.reason:
            ax.text(0, at, f"  {word(wording.NO_ESTIMATE)}", va="center")
        else:
            _interval(ax, at, row.estimate, row.low, row.high, colour)
            ax.plot([row.shrunken], [at], "D", color="white", markeredgecolor=colour, markersize=5)
        ax.plot([row.cost], [at], marker="|", color=ZERO, markersize=10)
    ax.set_yticks(range(len(result.segments)), [wording.group_text(s) for s in result.segments])
    ax.set_ylim(len(result.segments) - 0.4, -0.7)
    for arm, name in enumerate(result.arms):
        ax.plot([], [], "o-", color=TREATED[arm % len(TREATED)], label=name)
    ax.legend(frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.22))
    ax.set_xlabel(
        _unit(
            say("what a contact brings; diamond: drawn to the rest, black: cost"), result.currency
        )
    )
    ax.set_title(say("What brings most in which segment?"), loc="left")
    return _plain(ax)


def plot_allocation(result: Allocation, *, ax: Axes | None = None) -> Axes:
    """Draw contacts by option, and what they earn beside first come, first served.

    Parameters
    ----------
    result : Allocation
        The allocation.
    ax : matplotlib.axes.Axes, optional
        Where to draw; new axes by default.
    """
    ax = _axes(ax, 2.6)
    amounts = (result.first_come, result.profit, result.bound)
    names = (
        say("first come,\nfirst served"),
        say("this allocation"),
        say("best possible,\nat most"),
    )
    ax.barh(range(3), amounts, color=(CONTROL, TREATED[0], PALE), height=0.6)
    for place, value in enumerate(amounts):
        ax.text(value, place, f" {formats.number(value)}", va="center", color=ZERO)
    ax.set_yticks(range(3), names)
    ax.invert_yaxis()
    ax.margins(x=0.16)
    ax.set_xlabel(_unit(say("expected profit"), result.currency))
    listed = ", ".join(
        f"{option.name} {formats.number(int(sent))}"
        for option, sent in zip(result.options, result.sent.sum(axis=0), strict=True)
    )
    ax.set_title(say("What is it worth to choose? Contacts: {listed}", listed=listed), loc="left")
    return _plain(ax)


def _interval(
    ax: Axes,
    place: float,
    estimate: float,
    low: float,
    high: float,
    colour: str,
    *,
    filled: bool = True,
) -> None:
    ends: Sequence[float] = [end for end in (low, high) if math.isfinite(end)]
    if len(ends) == 2:
        ax.plot([low, high], [place, place], color=colour, linewidth=3)
    face = colour if filled else "white"
    ax.plot([estimate], [place], "o", markersize=8, color=face, markeredgecolor=colour)


def _axes(ax: Axes | None, height: float) -> Axes:
    if ax is None:
        _, ax = plt.subplots(figsize=(WIDTH, height), layout="constrained")
    return ax


def _unit(words: str, currency: str) -> str:
    return f"{words} ({formats.currency_name(currency)})" if currency else words


def _plain(ax: Axes) -> Axes:
    ax.xaxis.set_major_locator(MaxNLocator(nbins=MOST_TICKS))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax


def _tick(value: float) -> str:
    is_whole = abs(value) >= 10 or value == int(value)
    return formats.separated(f"{value:,.0f}" if is_whole else f"{value:g}")
