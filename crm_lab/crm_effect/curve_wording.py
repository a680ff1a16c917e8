"""Sentences about the effect of all contact together that people read, in one place."""

from __future__ import annotations

from crm_lab.language import message, say_many


def over_weeks(weeks: int) -> str:
    """Say over how many weeks something is counted, as the beginning of a sentence."""
    return say_many("Over {count} weeks", "Over {count} weeks", weeks)


def in_weeks(weeks: int) -> str:
    """Say in how many weeks something is counted, within a sentence."""
    return say_many("in {count} weeks", "in {count} weeks", weeks)


VERDICTS = {
    "gain": message("CRM brings more sales"),
    "loss": message("CRM costs sales"),
    "not yet": message("Not decided yet"),
    "cannot conclude": message("Cannot conclude"),
}

RANDOMISED = "randomised"
OBSERVATIONAL = "observational"

GAIN = message(
    "{span} a customer outside the control group brought {effect} more revenue than a"
    " customer who got nothing, {relative}: {total} in all."
)
LOSS = message(
    "{span} a customer outside the control group brought less revenue than a customer"
    " who got nothing: {effect}, {relative}; {total} in all."
)
UNKNOWN = message(
    "{span} the difference is {effect} of revenue per customer, {relative}: the"
    " interval includes no difference. With {controls} customers in the control group only a"
    " change of about {detectable} or more would show."
)
NO_ESTIMATE = message("Nothing can be said, because {reason}.")
BROKEN = message("A check failed ({checks}), so no number of this page may be believed yet.")
INTERIM = message(
    "{weeks} of {planned} planned weeks are known. So far: {effect} of revenue per customer,"
    " {relative}. The decision is made once, after {end}."
)
NO_WEEK = message(
    "No whole week since the draw on {start} is known: orders are known until {until}. The decision"
    " is made after {end}."
)
RELATIVE_UNKNOWN = message("relative change not known because {reason}")
NO_WEEK_REASON = message("no whole week since the draw is known")
CHOSEN = message(
    "The list of this control group was given, not drawn here: the difference is {label}."
)

STABLE_SINCE = message(
    "The gain is stable since {day}, by the rule of the draw: the lower ends of the last {weeks}"
    " weekly cumulative intervals lie above {minimum}."
)
STABLE_NOT_YET = message(
    "Stable gain: not yet. The lower ends of the last {weeks} weekly cumulative intervals must lie"
    " above {minimum}; {held}."
)
STABLE_BROKEN = message("Stable gain: cannot conclude, because a check failed.")
HELD = message("{count} of the last {looks} do")
HELD_NONE = message("no week is known")

LIGHT_RULE_GOOD = message(
    "decided once, after {planned} weeks as planned at the draw; all weeks are known"
)
LIGHT_RULE_OPEN = message(
    "{weeks} of {planned} planned weeks are known; no decision before the end"
)
LIGHT_RULE_CHANGED = message("control_group.yml says another {what} than the draw, which counts")
LIGHT_CHOSEN = message("the control group was given as a list, so nobody can say that it was drawn")
POWER_UNKNOWN = message("what would show cannot be said: {reason}")
POWER = message("a change of {detectable} or more would show with {power} probability")
BALANCE_UNKNOWN = message("nothing is known of the time before the draw")

MARGIN_FROM_COST = message("cost of goods, known of every order")
MARGIN_FROM_SHARE = message(
    "assumed {share} of the price before discount, discounts taken off whole"
)
MARGIN_UNKNOWN = message("neither cost of goods nor a margin share is known")
MARGIN_GAPS = message(
    "cost of goods is known of {known} of the orders only, and no margin share was given"
)

SINGLE_LOOK = message(
    "Each interval is for a single look and misses the truth in {alpha} of all looks. Whoever looks"
    " every week finds something sooner or later, so the decision is made once, after week"
    " {planned}."
)
NEXT_LOOK = message("It is to be decided once, after {end}; until then nothing is.")
NEXT_NOW = message("The planned weeks have passed on {end}: this page is what it is decided by.")
NO_DISCOUNTS = message("not known: orders carry no discounts")
ADJUSTED = "revenue per customer, adjusted"
TREATED = "outside the control group"

# ---------------------------------------------------------------------------- money and its cost

ROW_GAIN = message("More revenue per customer")
SUBTITLE = message(
    "{treated} customers outside the control group against {controls} in it, {start} to {end}"
)
PAYS = message("CRM pays for itself")
DOES_NOT_PAY = message("CRM does not pay for itself")
PAYS_UNKNOWN = message("CRM brings more sales; whether it pays for itself cannot be told")
MORE_SALES = message("CRM brings more sales")
FEWER_SALES = message("CRM costs sales")
NOT_YET = message("Not decided yet")
CANNOT = message("Cannot conclude")
MONEY_BROKEN = message("A check failed ({checks}), so no money may be counted yet.")
MONEY_GAIN = {
    "revenue": message("{span} {treated} customers brought {total} more revenue than without CRM."),
    "margin": message("{span} {treated} customers brought {total} more margin than without CRM."),
}
MONEY_UNSURE = {
    "revenue": message(
        "{span} the difference to the control group is {total} of revenue for {treated} customers;"
        " it may be nothing, because the interval includes 0. With {controls} customers in the"
        " control group only a change of revenue of about {detectable} or more would show."
    ),
    "margin": message(
        "{span} the difference to the control group is {total} of margin for {treated} customers;"
        " it may be nothing, because the interval includes 0. With {controls} customers in the"
        " control group only a change of revenue of about {detectable} or more would show."
    ),
}
MONEY_LOSS = {
    "revenue": message(
        "{span} {treated} customers brought {total} of revenue: less than without CRM."
    ),
    "margin": message(
        "{span} {treated} customers brought {total} of margin: less than without CRM."
    ),
}
MONEY_INTERIM = message(
    "{weeks} of {planned} planned weeks are known; nothing is decided before {end}. So far: "
)
NET_LEFT = message(
    "Less {outlay} of costs, and less {holdout} that holding out the control group cost, {net} is"
    " left."
)
NET_PARTIAL = message("The cost of {messages} messages is not known and is not in it.")
NO_MARGIN = message("Margin is not known, so whether it pays cannot be said: {note}.")
NO_COSTS = message(
    "No costs are known, so nothing can be taken off: load them (table cost_entry) or write them"
    " into the plans of the experiments."
)

KIND_LABELS = {
    "message": message("messages"),
    "discount": message("discounts"),
    "points": message("points"),
    "gift": message("gifts"),
    "creative": message("creative work"),
    "labour": message("labour"),
    "fixed": message("fixed costs of campaigns"),
    "media": message("media"),
    "acquisition": message("acquisition"),
}
FROM_ENTRIES = message("cost entries")
FROM_PLANS = message("registered plans")
NOTE_DISCOUNT = message("not taken off again: revenue is after discounts")
NOTE_ACQUISITION = message(
    "not counted: it brings new customers, whom the control group does not measure"
)

ROW_EACH = message("more revenue per customer")
ROW_ATTRIBUTED = message("Attributed money (last touch)")
ROW_REVENUE = message("incremental revenue")
ROW_MARGIN = message("incremental margin")
ROW_DISCOUNTS = message("of it by other discounts")
ROW_COST = message("less {kind}")
ROW_NO_COST = message("less costs")
ROW_HOLDOUT = message("less holding out")
ROW_NET = message("left after costs")
ROW_NET_PARTIAL = message("left after the known costs")
ROW_ROI = message("ROI")
ROI_TIMES = message("{ratio} × the costs")
ROW_SHARE = message("share of company")
ROW_EVIDENCE = message("evidence")
EVIDENCE = message("{label}; {controls} customers in the control group")
FORMULA_EACH = message("revenue per customer outside the control group less that in it")
FORMULA_REVENUE = message("difference per customer × {treated} customers outside the control group")
FORMULA_MARGIN = message("difference of margin per customer × {treated} customers; margin: {note}")
FORMULA_DISCOUNTS = message(
    "difference of discounts per customer × (margin share - 1) × {treated} customers"
)
BY_DISCOUNTS = message("Of the margin {part} come from other discounts than the controls got.")
BY_CHANCE = message(
    "Of the margin {part} come from other discounts than the controls got, which may be chance."
)
FORMULA_HOLDOUT = message(
    "difference of margin per customer × {controls} customers of the control group"
)
FORMULA_NET = message("incremental margin - costs - holding out")
FORMULA_ROI = message(
    "return on what was spent (messages and other costs of CRM): what is left / costs"
)
FORMULA_SHARE = message("incremental revenue / revenue of the whole company in the same weeks")
FORMULA_NO_COST = message("neither cost entries nor costs in registered plans")
FORMULA_COST = message("{source}, whole company, {start} to {end}")
UNKNOWN_MARGIN = message("not known: margin is not known")
UNKNOWN_COSTS = message("not known: no costs are known")
UNKNOWN_ROI = message("not known: nothing was spent")
SO_FAR = message(", so far")
IN_WEEKS = message("{name} {span}{so_far}")
UNKNOWN_SHARE = message("not known: the company sold nothing")

PROJECTION = message(
    "Extrapolated to a year, if the customers, the campaigns and the season stay as in these"
    " {weeks} weeks: {revenue} of revenue, {share} of what the company sells{contribution}."
)
PROJECTION_NET = message("; {net} after costs")
PROJECTION_NET_OPEN = message("; what is left of it after costs cannot be told from nothing")
NO_PROJECTION = {
    "gain": message("Nothing is projected to a year: the control group was not drawn here."),
    "loss": message(
        "Nothing is projected to a year: CRM brought no more than would have come anyway."
    ),
    "not yet": message("Nothing is projected to a year before the planned weeks have passed."),
    "cannot conclude": message("Nothing is projected to a year: no gain is shown."),
}
BASE_NOTE = message(
    "{share} of the company's revenue of these weeks came from customers who were known and"
    " reachable at the draw; only those can be moved by CRM and are measured here."
)
GOAL_OPEN = message(
    "The plan asks for {goal} more a year. What CRM can bring of it cannot be said, because a gain"
    " is not shown."
)
GOAL_BEYOND = message(
    "The plan asks for {goal} more a year. CRM as it is run brings at most {most} a year, from"
    " customers who know the company already; at least {rest} must come from other tools:"
    " {channels}."
)
GOAL_WITHIN = message(
    "The plan asks for {goal} more a year. That lies within what CRM as it is run may bring a year,"
    " {revenue}; it is in today's revenue already, so more needs more or better campaigns."
)
ACQUISITION_CHANNELS = (
    message("media"),
    message("context advertising"),
    message("outdoor"),
    message("targeted advertising"),
)

# --------------------------------------------------------------------------------- attribution

NO_TOUCHES = message(
    "Nothing can be attributed: the base holds neither visits (table touchpoint) nor clicks on"
    " messages (table delivery_event) of these weeks. Load them to see what attribution would"
    " claim."
)
ATTRIBUTED = message(
    "{model} gives CRM {attributed} of the orders of the customers outside the control group,"
    " {share} of the company's revenue. {difference}"
)
DIFFERENCE_ANYWAY = message(
    "Against the control group only {incremental} is extra, so at least {anyway} of the attributed"
    " money ({part}) would have come anyway."
)
DIFFERENCE_MOST = message(
    "Against the control group only {incremental} is extra, so most of the attributed money, at"
    " least {anyway} ({part}), would have come anyway."
)
DIFFERENCE_NONE = message(
    "Against the control group the extra is {incremental}, which may be nothing: at least {anyway}"
    " of the attributed money ({part}) would have come anyway."
)
DIFFERENCE_OPEN = message(
    "Against the control group {incremental} is extra; how much of the attributed money would have"
    " come anyway cannot be told from this."
)
DIFFERENCE_MORE = message(
    "Against the control group {incremental} is extra: CRM brings more than its clicks show."
)
DIFFERENCE_EARLY = message(
    "Against the control group {incremental} is extra so far; the comparison of the two waits for"
    " the planned weeks and for sound checks."
)
DIFFERENCE_UNKNOWN = message("What is extra cannot be said, because {reason}.")
MODEL_FORMULAS = {
    "last touch": message("the whole order to the latest touch of the {days} days before it"),
    "first touch": message("the whole order to the earliest touch of the {days} days before it"),
    "linear": message("equal parts, to the cent, to all touches of the {days} days before it"),
    "last non-direct touch": message(
        "the whole order to the latest touch of the {days} days before it that is no direct visit"
    ),
}
INCREMENTAL = message("against the control group")
INCREMENTAL_FORMULA = message("difference per customer × customers outside the control group")
