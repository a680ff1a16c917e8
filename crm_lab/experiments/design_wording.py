"""Sentences of the power and design page, in one place."""

from __future__ import annotations

import math

from crm_lab import formats
from crm_lab.language import message, say, say_many

METRIC_LABELS = {
    "conversion": message("the share who buy"),
    "revenue_per_customer": message("revenue per customer"),
    "average_order_value": message("average order value"),
}
METHOD_LABELS = {
    "formula": message("formula"),
    "simulation, more buyers": message("simulation on own history, more buyers"),
    "simulation, larger spend": message("simulation on own history, larger spend"),
}

HEADLINE_POOR = message(
    "With {control} control customers only a change of about {detectable} in"
    " {metric} would show (base value {base}, {weeks}, {power} probability)."
)
HEADLINE_GOOD = message(
    "With {control} control customers a change of {detectable} in {metric} shows"
    " (base value {base}, {weeks}, {power} probability)."
)
HEADLINE_NONE = message(
    "What {control} control customers would see in {metric} cannot be said: {reason}."
)
ENOUGH = message("That is enough for most campaigns.")
NEXT_SHARE = message("Hold out {share}, or pool {campaigns} like it, to see {target}.")
NEXT_POOL = message(
    "No control share reaches {target} on this base (half and half sees {best}):"
    " pool {campaigns} like it, or {fewer} with half held out."
)
NEXT_NONE = message("No control share reaches {target} on this base (half and half sees {best}).")

LARGER_SHARE = message("A larger control: {share} of the base sees {target}.")
LARGER_SHARE_PART = message(
    "A larger control alone does not reach {target}: {share} would see {better},"
    " half and half {best}."
)
POOLING = message(
    "Pooling: {campaigns} of this size and kind, read together, see {target};"
    " what shows falls with the root of their number."
)
LONGER = message("A longer window: {weeks} instead of {now} see {better}.")
LONGER_PROJECTED = message(
    "A longer window: {weeks} instead of {now} would see about {better}, if"
    " customers go on buying as in the two windows that are known."
)
DENSER = message(
    "A denser metric: {dense} shows from {dense_detectable} on, {metric} only from {detectable} on."
)
PRE_PERIOD = message(
    "Adjustment of {metric} by the pre-period (correlation {correlation}) sees"
    " {better} instead of {detectable}."
)
PRE_PERIOD_NOTHING = message(
    "Adjustment by the pre-period hardly helps here (correlation {correlation} of {metric})."
)
FORMULA = message(
    "The formula for revenue is too hopeful here: it promises {formula}, the"
    " test on the company's own history needs {simulated}."
)
SIMULATED_NONE = message("no effect that was tried ({how})")
SIMULATED = message("{detectable} ({how})")
COMPARISONS = message(
    "{arms} arms share the error level; with one arm {detectable} in {metric}"
    " would show instead of {now}."
)
LOOKS = message(
    "Planned looks: with them {metric} shows from {with_looks} on instead of {detectable}."
)

NOBODY_BOUGHT = message("nobody bought in the past window")
EVERYBODY_BOUGHT = message("everybody bought in the past window")
NO_REVENUE = message("revenue of the past window is not above zero")
NO_VARIATION = message("the metric does not vary in the past window")
NO_PRE_VARIATION = message("the pre-period does not vary")
NEGATIVE_REVENUE = message(
    "past revenue has negative values, which the simulation does not resample"
)

NOT_SIMULATED = message(
    "Revenue is by formula only, which is too hopeful with a small control: give rng to simulate."
)

SCALED = "; scaled by the formula{words}"
"""Of the method of a row, which is data."""

PLOT_SHARE_TITLE = message("What would a larger control group see?")
PLOT_SHARE_X = message("share of the base in the control group")
PLOT_CHANGE_Y = message("smallest change that shows (%)")
PLOT_THIS_PLAN = message("this plan")
PLOT_HORIZON_TITLE = message("What would a longer window see?")
PLOT_HORIZON_X = message("length of the window (weeks)")
PLOT_PROJECTED = message("{metric}, projected")
PLOT_POWER_TITLE = message("Which effect on revenue would the test really find?")
PLOT_POWER_X = message("planted effect on revenue per customer (%)")
PLOT_POWER_Y = message("found, share of simulated experiments (%)")
PLOT_WANTED = message("wanted power")
PLOT_LOOKS_TITLE = message("How strong must the evidence be at each look?")
PLOT_LOOKS_X = message("share of the information (%)")
PLOT_LOOKS_Y = message("z statistic")
PLOT_LOOKS_BOUND = message("an effect is claimed beyond")
PLOT_LOOKS_FIXED = message("a single look at the end")
PLOT_ADJUSTED = message("{metric}, adjusted by the pre-period")
PLOT_BY_FORMULA = message("{metric}, by formula")
PLOT_NOTHING = message("nothing can be said")


def lift_words(relative: float, *, decimals: int | None = None) -> str:
    """Write a relative change; a decimal more below 10 %."""
    if decimals is None:
        decimals = 0 if not abs(relative) < 0.1 or abs(100 * relative % 1) < 1e-9 else 1
    return formats.percent(relative, decimals=decimals, signed=True)


def weeks_words(weeks: float) -> str:
    """Write a length in weeks."""
    if float(weeks).is_integer():
        return say_many("{count} week", "{count} weeks", int(weeks))
    written = formats.significant(weeks, figures=6)
    return say_many("{count} weeks", "{count} weeks", 2, count=written)


def campaigns_words(count: float) -> str:
    """Write a number of campaigns."""
    if not math.isfinite(count):
        return say("{count} campaigns", count=formats.number(count))
    return say_many("{count} campaign", "{count} campaigns", int(count))


def base_words(metric: str, value: float, currency: str) -> str:
    """Write the base value of a metric with its unit."""
    if metric == "conversion":
        return formats.percent(value)
    decimals = 0 if abs(value) >= 100 else 2
    if not currency:
        return formats.number(value, decimals=decimals)
    return formats.money(value, currency, decimals=decimals)


def rounded_up(size: float) -> float:
    """Round a needed base up to two significant figures: it is no more certain than that."""
    if not math.isfinite(size) or size <= 0:
        return size
    unit = 10 ** max(math.floor(math.log10(size)) - 1, 0)
    return float(math.ceil(size / unit) * unit)
