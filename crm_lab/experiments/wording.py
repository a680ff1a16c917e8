"""Sentences about experiments that people read, in one place."""

from __future__ import annotations

VERDICTS = {
    "ship": "Ship",
    "stop": "Stop",
    "continue": "Continue",
    "cannot conclude": "Cannot conclude",
}

ADJUSTED_SUFFIX = ", adjusted"

RULES = {
    "interval_above_zero": "the whole interval above 0",
    "interval_above_minimum": "the whole interval above {minimum}",
}

RULES_DOWN = {
    "interval_above_zero": "the whole interval below 0",
    "interval_above_minimum": "a decrease of more than {minimum} in the whole interval",
}
EFFECT_NAMES = {
    "absolute": "difference per customer",
    "relative": "relative lift",
    "attributable": "attributable share",
    "total": "incremental total",
}
EFFECT_MEANINGS = {
    "absolute": "a customer of the arm against one who got nothing",
    "relative": "of what customers without the campaign brought",
    "attributable": "of what the arm brought: this part would not have come without the campaign",
    "total": "of the whole arm: the difference times its customers",
}

ARM_SHIP = (
    "{arm} brought {effect}, {relative}, {total} in all, against {controls} customers"
    " who got nothing"
)
ARM_STOP = "{arm} cost sales: {effect}, {relative}"
ARM_WORSE = "{arm} made it worse: {effect}, {relative}"
ARM_GUARDED = "{arm} stands at {effect}, {relative}, and does not keep its guardrails"
PER_CUSTOMER = "{effect} per customer"
IN_METRIC = "{effect} in {metric}"
ARM_UNKNOWN = (
    "of {arm} nothing can be concluded: {effect}, {relative}; only a change of about"
    " {detectable} would show"
)
ARM_NO_ESTIMATE = "of {arm} nothing can be concluded, because {reason}"
ARM_CONTINUE = (
    "{arm} stands at {effect}; the window ends on {end} and orders are known until {known}"
)
RULE = "Registered rule: {rule} over {days} days."
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
BALANCE_OTHERS = (
    "other campaigns reached {share} more of the arms than of the controls in the pre-period, so"
    " nothing is adjusted by it"
)
NOT_ALONE = (
    "no control was reached; other campaigns reached {share} more of the arms than of the controls"
    " in the window: the effect is that of all of them together"
)
CONTAMINATION_GREEN = "no control customer was reached by marketing in the window"
CONTAMINATION = (
    "{touched} of {controls} control customers were reached by marketing in the window: a message,"
    " a shared address, a campaign's code"
)
POWER = "a change of {detectable} or more would show with {power} probability"
POWER_UNKNOWN = "what would show cannot be said: {reason}"
PLAN_GREEN = "registered before the first message, window complete"
PLAN_CHANGED = "the file departs from the registered plan, which counts: {where}"
PLAN_OPEN = "the window ends on {end}; orders are known until {known}"

READING_QUESTIONS = {
    "reached": "What did it do to those who were reached?",
    "diluted": "What did controls who were reached all the same hide?",
    "likely": "How likely is it better?",
    "any time": "What holds, however often one looks?",
}
AMONG_SOME = " (among those who bought or answered, who may differ between the arms)"
POINTS = "percentage points"
GUARDRAIL_STATES = {"kept": "kept", "passed": "passed", "cannot tell": "cannot tell"}
GUARDRAIL_LIMIT = "at most {limit}"
GUARDRAIL_CONTROL = "not worse than the control"
GUARDRAIL_LEVEL = "{level} ({low} to {high})"
GUARDRAIL_PASSED = "A guardrail was passed ({which}), so {arm} is not shipped whatever it sold."

SEGMENT_LABELS = {
    "value": "value",
    "recency": "time since the last order",
    "region_code": "region",
    "age_band": "age",
    "income_band": "income",
    "gender": "gender",
    "lifecycle_state": "life-cycle state",
}
SEGMENT_SMALL = "fewer than {limit} customers on one side"
SEGMENTS_FEW = "{arm} by {segment}: too few customers in the groups to compare them."
SEGMENTS_DIFFER = "{arm} by {segment}: the effect is not the same in all {groups} groups (p = {p})."
SEGMENTS_ALIKE = (
    "{arm} by {segment}: nothing shows that the effect differs between {groups} groups (p = {p})."
)
SEGMENTS_CERTAIN = "It holds after adjustment for their number in: {groups}."
SEGMENTS_NONE = "In no single group does it hold after adjustment for their number."

LOOK_FINAL = "the end of the window"
LOOK_PLANNED = "look {number} of {of} of the plan, on data until {until}, at the error rate {alpha}"
LOOK_PEEK = (
    "a peek outside the plan, {share} of the window passed: shown, and no ground for a decision"
)
LATE_DRAW = (
    "the arms were drawn on {drawn}, after the start: orders count from then on, and the pre-period"
    " ends at the start"
)

SUMMARY_KIND = "this metric needs every customer's value, and the base has too many for that"
SUMMARY_MARGIN = "the cost of every order is not added up for a base of this size"
SUMMARY_CLUSTERS = (
    "customers were drawn in groups, and a base of this size is read as sums of single customers"
)
