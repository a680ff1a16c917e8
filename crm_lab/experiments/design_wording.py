"""Sentences of the power and design page, in one place."""

from __future__ import annotations

import math

from crm_lab import formats

METRIC_LABELS = {
    "conversion": "the share who buy",
    "revenue_per_customer": "revenue per customer",
    "average_order_value": "average order value",
}
METHOD_LABELS = {
    "formula": "formula",
    "simulation, more buyers": "simulation on own history, more buyers",
    "simulation, larger spend": "simulation on own history, larger spend",
}

HEADLINE_POOR = (
    "With {control} control customers only a change of about {detectable} in {metric} would show"
    " (base value {base}, {weeks}, {power} probability)."
)
HEADLINE_GOOD = (
    "With {control} control customers a change of {detectable} in {metric} shows"
    " (base value {base}, {weeks}, {power} probability)."
)
HEADLINE_NONE = "What {control} control customers would see in {metric} cannot be said: {reason}."
ENOUGH = "That is enough for most campaigns."
NEXT_SHARE = "Hold out {share}, or pool {campaigns} like it, to see {target}."
NEXT_POOL = (
    "No control share reaches {target} on this base (half and half sees {best}): pool {campaigns}"
    " like it, or {fewer} with half held out."
)
NEXT_NONE = "No control share reaches {target} on this base (half and half sees {best})."

LARGER_SHARE = "A larger control: {share} of the base sees {target}."
LARGER_SHARE_PART = (
    "A larger control alone does not reach {target}: {share} would see {better},"
    " half and half {best}."
)
POOLING = (
    "Pooling: {campaigns} of this size and kind, read together, see {target}; what shows falls with"
    " the root of their number."
)
LONGER = "A longer window: {weeks} instead of {now} see {better}."
LONGER_PROJECTED = (
    "A longer window: {weeks} instead of {now} would see about {better}, if customers go on buying"
    " as in the two windows that are known."
)
DENSER = (
    "A denser metric: {dense} shows from {dense_detectable} on, {metric} only from {detectable} on."
)
PRE_PERIOD = (
    "Adjustment of {metric} by the pre-period (correlation {correlation}) sees {better} instead of"
    " {detectable}."
)
PRE_PERIOD_NOTHING = (
    "Adjustment by the pre-period hardly helps here (correlation {correlation} of {metric})."
)
FORMULA = (
    "The formula for revenue is too hopeful here: it promises {formula}, the test on the company's"
    " own history needs {simulated}."
)
SIMULATED_NONE = "no effect that was tried ({how})"
SIMULATED = "{detectable} ({how})"
COMPARISONS = (
    "{arms} arms share the error level; with one arm {detectable} in {metric} would show instead of"
    " {now}."
)
LOOKS = "Planned looks: with them {metric} shows from {with_looks} on instead of {detectable}."

CAMPAIGNS = "{count} campaigns"
WEEKS = "{count} weeks"
ONE_WEEK = "1 week"

NOBODY_BOUGHT = "nobody bought in the past window"
EVERYBODY_BOUGHT = "everybody bought in the past window"
NO_REVENUE = "revenue of the past window is not above zero"
NO_VARIATION = "the metric does not vary in the past window"
NO_PRE_VARIATION = "the pre-period does not vary"
NEGATIVE_REVENUE = "past revenue has negative values, which the simulation does not resample"

NOT_SIMULATED = (
    "Revenue is by formula only, which is too hopeful with a small control: give rng to simulate."
)

SCALED = "; scaled by the formula{words}"

PLOT_SHARE_TITLE = "What would a larger control group see?"
PLOT_SHARE_X = "share of the base in the control group"
PLOT_CHANGE_Y = "smallest change that shows (%)"
PLOT_THIS_PLAN = "this plan"
PLOT_HORIZON_TITLE = "What would a longer window see?"
PLOT_HORIZON_X = "length of the window (weeks)"
PLOT_PROJECTED = "{metric}, projected"
PLOT_POWER_TITLE = "Which effect on revenue would the test really find?"
PLOT_POWER_X = "planted effect on revenue per customer (%)"
PLOT_POWER_Y = "found, share of simulated experiments (%)"
PLOT_WANTED = "wanted power"
PLOT_LOOKS_TITLE = "How strong must the evidence be at each look?"
PLOT_LOOKS_X = "share of the information (%)"
PLOT_LOOKS_Y = "z statistic"
PLOT_LOOKS_BOUND = "an effect is claimed beyond"
PLOT_LOOKS_FIXED = "a single look at the end"
PLOT_ADJUSTED = ", adjusted by the pre-period"
PLOT_BY_FORMULA = ", by formula"
PLOT_NOTHING = "nothing can be said"


def lift_words(relative: float, *, decimals: int | None = None) -> str:
    """Write a relative change; a decimal more below 10 %."""
    if decimals is None:
        decimals = 0 if not abs(relative) < 0.1 or abs(100 * relative % 1) < 1e-9 else 1
    return formats.percent(relative, decimals=decimals, signed=True)


def weeks_words(weeks: float) -> str:
    """Write a length in weeks."""
    if weeks == 1:
        return ONE_WEEK
    return WEEKS.format(count=f"{weeks:g}")


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
