"""Sentences about the effect of all contact together that people read, in one place."""

from __future__ import annotations

VERDICTS = {
    "gain": "CRM brings more sales",
    "loss": "CRM costs sales",
    "not yet": "Not decided yet",
    "cannot conclude": "Cannot conclude",
}

RANDOMISED = "randomised"
OBSERVATIONAL = "observational"

GAIN = (
    "Over {weeks} weeks a customer outside the control group brought {effect} more revenue than a"
    " customer who got nothing, {relative}: {total} in all."
)
LOSS = (
    "Over {weeks} weeks a customer outside the control group brought less revenue than a customer"
    " who got nothing: {effect}, {relative}; {total} in all."
)
UNKNOWN = (
    "Over {weeks} weeks the difference is {effect} of revenue per customer, {relative}: the"
    " interval includes no difference. With {controls} customers in the control group only a"
    " change of about {detectable} or more would show."
)
NO_ESTIMATE = "Nothing can be said, because {reason}."
BROKEN = "A check failed ({checks}), so no number of this page may be believed yet."
INTERIM = (
    "{weeks} of {planned} planned weeks are known. So far: {effect} of revenue per customer,"
    " {relative}. The decision is made once, after {end}."
)
NO_WEEK = (
    "No whole week since the draw on {start} is known: orders are known until {until}. The decision"
    " is made after {end}."
)
NO_WEEK_REASON = "no whole week since the draw is known"
CHOSEN = "The list of this control group was given, not drawn here: the difference is {label}."

STABLE_SINCE = (
    "The gain is stable since {day}, by the rule of the draw: the lower ends of the last {weeks}"
    " weekly cumulative intervals lie above {minimum}."
)
STABLE_NOT_YET = (
    "Stable gain: not yet. The lower ends of the last {weeks} weekly cumulative intervals must lie"
    " above {minimum}; {held}."
)
STABLE_BROKEN = "Stable gain: cannot conclude, because a check failed."
HELD = "{count} of the last {looks} do"
HELD_NONE = "no week is known"

LIGHT_RULE_GOOD = "decided once, after {planned} weeks as planned at the draw; all weeks are known"
LIGHT_RULE_OPEN = "{weeks} of {planned} planned weeks are known; no decision before the end"
LIGHT_RULE_CHANGED = "control_group.yml says another {what} than the draw, which counts"
LIGHT_CHOSEN = "the control group was given as a list, so nobody can say that it was drawn"
POWER_UNKNOWN = "what would show cannot be said: {reason}"
POWER = "a change of {detectable} or more would show with {power} probability"
BALANCE = "largest standardised difference before the draw {worst} (limit {limit})"
BALANCE_UNKNOWN = "nothing is known of the time before the draw"

MARGIN_FROM_COST = "cost of goods, known of every order"
MARGIN_FROM_SHARE = "{share} of the price before discount, discounts taken off whole"
MARGIN_UNKNOWN = "neither cost of goods nor a margin share is known"
MARGIN_GAPS = "cost of goods is known of {known} of the orders only, and no margin share was given"

SINGLE_LOOK = (
    "Each interval is for a single look and misses the truth in {alpha} of all looks. Whoever looks"
    " every week finds something sooner or later, so the decision is made once, after week"
    " {planned}."
)
NEXT_LOOK = "It is to be decided once, after {end}; until then nothing is."
NEXT_NOW = "The planned weeks have passed on {end}: this page is what it is decided by."
NO_DISCOUNTS = "not known: orders carry no discounts"
ADJUSTED = "revenue per customer, adjusted"
TREATED = "outside the control group"

# ---------------------------------------------------------------------------- money and its cost

PAYS = "CRM pays for itself"
DOES_NOT_PAY = "CRM does not pay for itself"
PAYS_UNKNOWN = "CRM brings more sales; whether it pays for itself cannot be told"
MORE_SALES = "CRM brings more sales"
FEWER_SALES = "CRM costs sales"
NOT_YET = "Not decided yet"
CANNOT = "Cannot conclude"
MONEY_BROKEN = "A check failed ({checks}), so no money may be counted yet."
MONEY_GAIN = (
    "Over {weeks} weeks {treated} customers brought {total} more {metric} than without CRM."
)
MONEY_UNSURE = (
    "Over {weeks} weeks the difference to the control group is {total} of {metric} for {treated}"
    " customers; it may be nothing, because the interval includes 0. With {controls} customers in"
    " the control group only a change of revenue of about {detectable} or more would show."
)
MONEY_LOSS = (
    "Over {weeks} weeks {treated} customers brought {total} of {metric}: less than without CRM."
)
MONEY_INTERIM = (
    "{weeks} of {planned} planned weeks are known; nothing is decided before {end}. So far: "
)
NET_LEFT = (
    "Less {outlay} of costs, and less {holdout} that holding out the control group cost, {net} is"
    " left."
)
NET_PARTIAL = "The cost of {messages} messages is not known and is not in it."
NO_MARGIN = "Margin is not known, so whether it pays cannot be said: {note}."
NO_COSTS = (
    "No costs are known, so nothing can be taken off: load them (table cost_entry) or write them"
    " into the plans of the experiments."
)

KIND_LABELS = {
    "message": "messages",
    "discount": "discounts",
    "points": "points",
    "gift": "gifts",
    "creative": "creative work",
    "labour": "labour",
    "fixed": "fixed costs of campaigns",
    "media": "media",
    "acquisition": "acquisition",
}
FROM_ENTRIES = "cost entries"
FROM_PLANS = "registered plans"
NOTE_DISCOUNT = "not taken off again: revenue is after discounts"
NOTE_ACQUISITION = "not counted: it brings new customers, whom the control group does not measure"

ROW_EACH = "more revenue per customer"
ROW_REVENUE = "incremental revenue"
ROW_MARGIN = "incremental margin"
ROW_COST = "less {kind}"
ROW_NO_COST = "less costs"
ROW_HOLDOUT = "less holding out"
ROW_NET = "left after costs"
ROW_NET_PARTIAL = "left after the known costs"
ROW_ROI = "ROI"
ROW_SHARE = "share of company"
ROW_EVIDENCE = "evidence"
EVIDENCE = "{label}; {controls} customers in the control group"
FORMULA_EACH = "revenue per customer outside the control group less that in it"
FORMULA_REVENUE = "difference per customer × {treated} customers outside the control group"
FORMULA_MARGIN = "difference of margin per customer × {treated} customers; margin: {note}"
FORMULA_HOLDOUT = "difference of margin per customer × {controls} customers of the control group"
FORMULA_NET = "incremental margin - costs - holding out"
FORMULA_ROI = "return on what was spent: what is left / costs; 0 %: costs just covered"
FORMULA_SHARE = "incremental revenue / revenue of the whole company in the same weeks"
FORMULA_NO_COST = "neither cost entries nor costs in registered plans"
FORMULA_COST = "{source}, whole company, {start} to {end}"
UNKNOWN_MARGIN = "not known: margin is not known"
UNKNOWN_COSTS = "not known: no costs are known"
UNKNOWN_ROI = "not known: nothing was spent"
SO_FAR = ", so far"
IN_WEEKS = "{name} in {weeks} weeks{so_far}"
UNKNOWN_SHARE = "not known: the company sold nothing"

PROJECTION = (
    "Extrapolated to a year, if the customers, the campaigns and the season stay as in these"
    " {weeks} weeks: {revenue} of revenue, {share} of what the company sells{contribution}."
)
PROJECTION_NET = "; {net} after costs"
PROJECTION_NET_OPEN = "; what is left of it after costs cannot be told from nothing"
NO_PROJECTION = {
    "gain": "Nothing is projected to a year: the control group was not drawn here.",
    "loss": "Nothing is projected to a year: CRM brought no more than would have come anyway.",
    "not yet": "Nothing is projected to a year before the planned weeks have passed.",
    "cannot conclude": "Nothing is projected to a year: no gain is shown.",
}
BASE_NOTE = (
    "{share} of the company's revenue of these weeks came from customers who were known and"
    " reachable at the draw; only those can be moved by CRM and are measured here."
)
GOAL_OPEN = (
    "The plan asks for {goal} more a year. What CRM can bring of it cannot be said, because a gain"
    " is not shown."
)
GOAL_BEYOND = (
    "The plan asks for {goal} more a year. CRM as it is run brings at most {most} a year, from"
    " customers who know the company already; at least {rest} must come from other tools:"
    " {channels}."
)
GOAL_WITHIN = (
    "The plan asks for {goal} more a year. That lies within what CRM as it is run may bring a year,"
    " {revenue}; it is in today's revenue already, so more needs more or better campaigns."
)
ACQUISITION_CHANNELS = ("media", "context advertising", "outdoor", "targeted advertising")

# --------------------------------------------------------------------------------- attribution

NO_TOUCHES = (
    "Nothing can be attributed: the base holds neither visits (table touchpoint) nor clicks on"
    " messages (table delivery_event) of these weeks. Load them to see what attribution would"
    " claim."
)
ATTRIBUTED = (
    "{model} gives CRM {attributed} of the orders of the customers outside the control group,"
    " {share} of the company's revenue. {difference}"
)
DIFFERENCE_ANYWAY = (
    "Against the control group only {incremental} is extra, so at least {anyway} of the attributed"
    " money ({part}) would have come anyway."
)
DIFFERENCE_MOST = (
    "Against the control group only {incremental} is extra, so most of the attributed money, at"
    " least {anyway} ({part}), would have come anyway."
)
DIFFERENCE_NONE = (
    "Against the control group the extra is {incremental}, which may be nothing: at least {anyway}"
    " of the attributed money ({part}) would have come anyway."
)
DIFFERENCE_OPEN = (
    "Against the control group {incremental} is extra; how much of the attributed money would have"
    " come anyway cannot be told from this."
)
DIFFERENCE_MORE = (
    "Against the control group {incremental} is extra: CRM brings more than its clicks show."
)
DIFFERENCE_EARLY = (
    "Against the control group {incremental} is extra so far; the comparison of the two waits for"
    " the planned weeks and for sound checks."
)
DIFFERENCE_UNKNOWN = "What is extra cannot be said, because {reason}."
MODEL_FORMULAS = {
    "last touch": "the whole order to the latest touch of the {days} days before it",
    "first touch": "the whole order to the earliest touch of the {days} days before it",
    "linear": "equal parts, to the cent, to all touches of the {days} days before it",
    "last non-direct touch": "the whole order to the latest touch of the {days} days before it"
    " that is no direct visit",
}
INCREMENTAL = "against the control group"
INCREMENTAL_FORMULA = "difference per customer × customers outside the control group"
