"""Sentences about experiments that people read, in one place."""

from __future__ import annotations

VERDICTS = {
    "ship": "Ship",
    "stop": "Stop",
    "continue": "Continue",
    "cannot conclude": "Cannot conclude",
}

METRIC_LABELS = {
    "revenue_per_customer": "revenue per customer",
    "conversion": "share of customers who bought",
    "orders_per_customer": "orders per customer",
}


def metric_label(name: str) -> str:
    """Write a metric for people; what follows its name, such as ``, adjusted``, stays."""
    known, _, rest = name.partition(",")
    return METRIC_LABELS.get(known, known) + (f",{rest}" if rest else "")


RULES = {
    "interval_above_zero": "the whole interval above 0",
    "interval_above_minimum": "the whole interval above {minimum}",
}

ARM_SHIP = (
    "{arm} brought {effect} per customer, {relative}, {total} in all, against {controls} customers"
    " who got nothing"
)
ARM_STOP = "{arm} cost sales: {effect} per customer, {relative}"
ARM_UNKNOWN = (
    "of {arm} nothing can be concluded: {effect} per customer, {relative}; only a change of about"
    " {detectable} would show"
)
ARM_NO_ESTIMATE = "of {arm} nothing can be concluded, because {reason}"
ARM_CONTINUE = (
    "{arm} stands at {effect} per customer; the window ends on {end} and orders are known until"
    " {known}"
)
RULE = "Registered rule: {rule} over {days} days."
ATTRIBUTED = (
    "Orders of its recipients after the message: {attributed}; most of that would have come anyway."
)
RED = "A check failed ({checks}), so no number of this page may be believed yet."

LIGHT_NAMES = {
    "sample_ratio": "Sample ratio",
    "balance": "Balance before the start",
    "contamination": "Contamination",
    "power": "Power",
    "plan_followed": "Plan followed",
}
LIGHT_WORDS = {"good": "good", "unsure": "mind", "bad": "broken"}

CONTROL_WITHOUT_SPLIT = "control, {left_out} customers of two arms left out"
RATIO_GREEN = "arms are as large as drawn (p = {p})"
RATIO_RED = "arms are not as large as drawn (p = {p}): customers were lost on the way"
BALANCE = "largest standardised difference of pre-period revenue {worst} (limit {limit})"
BALANCE_UNKNOWN = "a group of fewer than two customers has no balance"
BALANCE_NONE = "no pre-period was planned"
CONTAMINATION_GREEN = "no control customer got a marketing message in the window"
CONTAMINATION = "{touched} of {controls} control customers got marketing messages in the window"
POWER = "a change of {detectable} or more would show with {power} probability"
POWER_UNKNOWN = "what would show cannot be said: {reason}"
PLAN_GREEN = "registered before the first message, window complete"
PLAN_CHANGED = "the file departs from the registered plan, which counts: {where}"
PLAN_OPEN = "the window ends on {end}; orders are known until {known}"
