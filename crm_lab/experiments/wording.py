"""Sentences about experiments that people read, in one place."""

from __future__ import annotations

from crm_lab.language import message

VERDICTS = {
    "ship": message("Ship"),
    "stop": message("Stop"),
    "continue": message("Continue"),
    "cannot conclude": message("Cannot conclude"),
}

ADJUSTED_SUFFIX = ", adjusted"
"""What the name of an adjusted metric ends with; a label in the catalogue."""

RULES = {
    "interval_above_zero": message("the whole interval above 0"),
    "interval_above_minimum": message("the whole interval above {minimum}"),
}

RULES_DOWN = {
    "interval_above_zero": message("the whole interval below 0"),
    "interval_above_minimum": message("a decrease of more than {minimum} in the whole interval"),
}
EFFECT_NAMES = {
    "absolute": message("difference per customer"),
    "relative": message("relative lift"),
    "attributable": message("attributable share"),
    "total": message("incremental total"),
}
EFFECT_MEANINGS = {
    "absolute": message("a customer of the arm against one who got nothing"),
    "relative": message("of what customers without the campaign brought"),
    "attributable": message(
        "of what the arm brought: this part would not have come without the campaign"
    ),
    "total": message("of the whole arm: the difference times its customers"),
}

ARM_SHIP = message(
    "{arm} brought {effect}, {relative}, {total} in all, against {controls}"
    " customers who got nothing"
)
ARM_STOP = message("{arm} cost sales: {effect}, {relative}")
ARM_WORSE = message("{arm} made it worse: {effect}, {relative}")
ARM_GUARDED = message("{arm} stands at {effect}, {relative}, and does not keep its guardrails")
PER_CUSTOMER = message("{effect} per customer")
IN_METRIC = message("{effect} in {metric}")
ARM_UNKNOWN = message(
    "of {arm} nothing can be concluded: {effect}, {relative}; only a change of"
    " about {detectable} would show"
)
ARM_NO_ESTIMATE = message("of {arm} nothing can be concluded, because {reason}")
ARM_CONTINUE = message(
    "{arm} stands at {effect}; the window ends on {end} and orders are known until {known}"
)
RULE = message("Registered rule: {rule} over {days} days.")
RED = message("A check failed ({checks}), so no number of this page may be believed yet.")

LIGHT_NAMES = {
    "sample_ratio": message("Sample ratio"),
    "balance": message("Balance before the start"),
    "contamination": message("Contamination"),
    "power": message("Power"),
    "plan_followed": message("Plan followed"),
    "ledger": message("Ledger and files"),
}

CONTROL_WITHOUT_SPLIT = message("control, {left_out} customers of two arms left out")
RATIO_GREEN = message("arms are as large as drawn ({p})")
RATIO_RED = message("arms are not as large as drawn ({p}): customers were lost on the way")
BALANCE = message("largest standardised difference of pre-period revenue {worst} (limit {limit})")
GROUP_BALANCE = message(
    "largest standardised difference before the draw {worst}, {errors} standard"
    " errors for groups of this size (limits {limit} and {most})"
)
BALANCE_UNKNOWN = message("a group of fewer than two customers has no balance")
BALANCE_NONE = message("no pre-period was planned")
BALANCE_OTHERS = message(
    "other campaigns reached {share} more of the arms than of the controls in"
    " the pre-period, so nothing is adjusted by it"
)
NOT_ALONE = message(
    "no control was reached; other campaigns reached {share} more of the arms"
    " than of the controls in the window: the effect is that of all of them"
    " together"
)
CONTAMINATION_GREEN = message("no control customer was reached by marketing in the window")
CONTAMINATION = message(
    "{touched} of {controls} control customers were reached by marketing in the"
    " window: a message, a shared address, a campaign's code"
)
POWER = message("a change of {detectable} or more would show with {power} probability")
POWER_UNKNOWN = message("what would show cannot be said: {reason}")
PLAN_GREEN = message("registered before the first message, window complete")
PLAN_CHANGED = message("the file departs from the registered plan, which counts: {where}")
PLAN_OPEN = message("the window ends on {end}; orders are known until {known}")

READING_QUESTIONS = {
    "reached": message("What did it do to those who were reached?"),
    "diluted": message("What did controls who were reached all the same hide?"),
    "likely": message("How likely is it better?"),
    "any time": message("What holds, however often one looks?"),
}
AMONG_SOME = message(
    "{metric} (among those who bought or answered, who may differ between the arms)"
)
POINTS = message("percentage points")
GUARDRAIL_STATES = {
    "kept": message("kept"),
    "passed": message("passed"),
    "cannot tell": message("cannot tell"),
}
GUARDRAIL_LIMIT = message("at most {limit}")
GUARDRAIL_CONTROL = message("not worse than the control")
GUARDRAIL_LEVEL = message("{level} ({low} to {high})")
GUARDRAIL_PASSED = message(
    "A guardrail was passed ({which}), so {arm} is not shipped whatever it sold."
)

SEGMENT_LABELS = {
    "value": message("value"),
    "recency": message("time since the last order"),
    "region_code": message("region"),
    "age_band": message("age"),
    "income_band": message("income"),
    "gender": message("gender"),
    "lifecycle_state": message("life-cycle state"),
}
SEGMENT_SMALL = message("fewer than {limit} customers on one side")
SEGMENTS_FEW = message("{arm} by {segment}: too few customers in the groups to compare them.")
SEGMENTS_DIFFER = message(
    "{arm} by {segment}: the effect is not the same in all {groups} groups ({p})."
)
SEGMENTS_ALIKE = message(
    "{arm} by {segment}: nothing shows that the effect differs between {groups} groups ({p})."
)
SEGMENTS_CERTAIN = message("It holds after adjustment for their number in: {groups}.")
SEGMENTS_NONE = message("In no single group does it hold after adjustment for their number.")

LOOK_FINAL = message("the end of the window")
LOOK_PLANNED = message(
    "look {number} of {of} of the plan, on data until {until}, at the error rate {alpha}"
)
LOOK_PEEK = message(
    "a peek outside the plan, {share} of the window passed: shown, and no ground for a decision"
)
LATE_DRAW = message(
    "the arms were drawn on {drawn}, after the start: orders count from then on,"
    " and the pre-period ends at the start"
)

SUMMARY_KIND = message(
    "this metric needs every customer's value, and the base has too many for that"
)
SUMMARY_MARGIN = message("the cost of every order is not added up for a base of this size")
SUMMARY_CLUSTERS = message(
    "customers were drawn in groups, and a base of this size is read as sums of single customers"
)
