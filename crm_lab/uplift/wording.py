"""Texts of targeting that people read, in one place."""

from __future__ import annotations

from collections.abc import Mapping

from crm_lab import formats

PROGRESS = "learning"
SCORING = "scoring"

NO_MARGIN = (
    "The margin is not known, so revenue counts as profit and every amount is too high: name the"
    " margin share in the plan."
)
NOT_OVER = "The window ends on {day} and is not over: what comes later is not in these numbers."
GOOD, WATCH, BAD = "good", "watch", "bad"
CHECK_EVIDENCE = "who was contacted was drawn"
CHECK_SIZES = "arms have the planned sizes"
CHECK_TOUCHED = "the control was left alone"
CHECK_WINDOW = "the window is over"
CHECK_CONTROL = "the control is large enough to learn from"
CHECK_FEATURES = "nothing after the draw is used"
TOUCHED = "{count} controls were sent marketing"
WINDOW = "{starts} to {ends}"
FEATURES_BEFORE = "{count} features, all from before {day}"

EVERYONE = "everyone"
NOBODY = "nobody"
CHOSEN = "those chosen"
BESIDE_NOBODY = "contacting nobody"
BESIDE_EVERYONE = "contacting everyone"

SMALL_CONTROL = (
    "The control is {share} of the trial: enough to measure the effect of everybody together, too"
    " little to learn who is worth a contact (below {least}). Offer: in the next campaign leave"
    " half of a random part of the audience alone (an exploration cell), and learn from that part."
)

LEAGUE_TITLE = "Which learner ranks customers best"
RULE, RESPONSE = "rule:", "response"
NO_ESTIMATE = "no estimate"
LEAGUE_NONE = (
    "None of {count} learners and rules is shown to rank customers by their effect better than"
    " chance; the first is {first} ({number} per 1,000 customers above a random order)."
)
LEAGUE_FIRST = (
    "{first} ranks best: {number} more per 1,000 customers than a random order, over all depths."
)
LEAGUE_TIED = "{tied} of {others} others cannot be told from it, among them {such}."
LEAGUE_ALONE = "All others rank worse."
RANKS_BETTER = "better than chance"
RANKS_WORSE = "not better than chance"
RANKS_OPEN = "cannot be told from chance"
TIED = "cannot be told from the first"
BEHIND = "behind the first"

VERDICT_TITLE = "Whom to contact"
HEADLINES: Mapping[str, str] = {
    "target": "Target: contact only those chosen.",
    "everyone": "Contact everyone.",
    "nobody": "Contact nobody.",
    "no evidence": "No evidence that targeting beats contacting everyone.",
}
BECAUSE: Mapping[str, str] = {
    "target": (
        "Contacting the {chosen} of {n} customers that were chosen earns {targeted}, and {gain}"
        " more than contacting everyone."
    ),
    "everyone": (
        "Contacting all {n} customers earns {everyone}. Targeting earns less: the difference is"
        " {gain}."
    ),
    "nobody": (
        "Contacting all {n} customers earns {everyone}: it loses money. No part of them is shown"
        " to pay either: the {chosen} that were chosen earn {targeted}."
    ),
}
BECAUSE_SAME = (
    "Contacting all {n} customers earns {everyone}. Nobody is expected to bring less than his"
    " contact costs, so targeting would contact the same customers."
)
BECAUSE_NEARLY = (
    "Contacting all {n} customers earns {everyone}. All but {left} are expected to bring more than"
    " their contact costs; so few cannot be judged apart."
)
BECAUSE_WORSE = (
    "Contacting only the {chosen} chosen earns less than contacting everyone: {gain}. Whether"
    " contacting all {n} customers pays, the data cannot tell: {everyone}."
)
BECAUSE_OPEN: Mapping[str, str] = {
    "everyone": (
        "Targeting instead of contacting everyone changes the profit by {gain}; the interval"
        " includes no change. Contacting all {n} customers pays, {everyone}: go on with everyone"
        " until a larger test says otherwise."
    ),
    "target": (
        "Targeting instead of contacting everyone changes the profit by {gain}. Contacting the"
        " {chosen} chosen pays, {targeted}. Whether contacting all {n} pays, the data cannot tell:"
        " {everyone}."
    ),
    "": (
        "The data cannot tell: targeting instead of contacting everyone changes the profit by"
        " {gain}. Neither contacting all {n} customers, {everyone}, nor the {chosen} chosen,"
        " {targeted}, is shown to pay. Test on more customers, or at a lower cost."
    ),
}
NUMBER_TARGET = "{amount} by contacting those chosen"
NUMBER_EVERYONE = "{amount} by contacting everyone"
NUMBER_GAIN = "{amount}, targeting beside everyone"
UNKNOWN = "Cannot conclude, because {reason}."
OBSERVATIONAL = (
    "Observational: customers were not randomised, so this holds only if nothing but the given"
    " propensities decided who was contacted."
)

SEGMENTS_TITLE = "Who reacts to a contact"
SEGMENTS_NONE = (
    "The data do not show that the effect differs by any of {count} features: what a contact"
    " brings may be the same for all."
)
SEGMENT_DIFFERS = (
    "The effect differs by {feature}: a contact brings {most} where it is {best}, {least} where it"
    " is {worst}."
)
SEGMENTS_ALSO = "It differs by {features} too."
SEGMENTS_OTHERS = "By {count} other features no difference is shown."
SEGMENT_PAYS = "yes"
SEGMENT_LOSES = "no"
SEGMENT_OPEN = "cannot tell"
SEGMENT_UNKNOWN = NO_ESTIMATE

LEAVE_TITLE = "Whom to leave alone"
LEAVE_NOBODY = "Nobody: each of the {n} customers is expected to bring more than his contact costs."
LEAVE_LIST = (
    "{listed} of {n} customers ({share}) are expected to bring less than their contact costs;"
    " contacting them would cost {cost}."
)
LEAVE_SHOWN = "Leaving them alone saves {saved}, the margin that is lost taken off."
LEAVE_REFUTED = (
    "The trial shows the opposite: leaving them alone loses money ({saved} saved). Do not use the"
    " list."
)
LEAVE_OPEN = (
    "Whether leaving them alone saves money the data cannot tell: {saved}. Use the list only with"
    " its holdout."
)

ARMS_TITLE = "What to send to whom"
ARMS_OPEN = (
    "In none of {count} segments is one arm, or leaving them alone, shown to earn more than all"
    " else. The first of each is the one to try, not a finding."
)
ARMS_CERTAIN = "In {certain} of {count} segments it is shown what earns most: {named}."
ARMS_ELSEWHERE = " Elsewhere the data cannot tell."
NOT_TESTED = "the arm was not tested in this segment"

ALLOCATION_TITLE = "Who gets what"
ALLOCATION = (
    "{contacts} contacts to {customers} customers for {spent}{limits} are expected to earn"
    " {profit}, contact cost taken off; {gap}. Dealt out first come, first served it would be"
    " {first_come}.{several}"
)
ALLOCATION_GAP = "at most {gap} more is possible under these limits"
ALLOCATION_BEST = "no allocation under these limits is expected to earn more"
ALLOCATION_BUDGET = " (budget {budget})"
ALLOCATION_SEVERAL = (
    " Several contacts of one customer are taken to add up, which no test of single contacts shows."
)
ALLOCATION_NOBODY = (
    "Nobody gets anything: no contact is expected to bring more than it costs within these limits."
)
METHOD_EXACT = "whole-number programme over groups of alike customers"
METHOD_PRICES = "prices of budget and capacities, dealt out by profit after prices"

DRIFT_TITLE = "Whether the model still fits the customers"
DRIFT_NOBODY = "There is nobody to compare."
DRIFT_NONE = (
    "The {n} customers to be scored are like those the model was learned from: no feature and not"
    " the score changed more than a little."
)
DRIFT_GROUP = "{most}: {before} then, {now} now"
DRIFT_CHANGE = "{name} ({change}; {most}: {before} then, {now} now)"
DRIFT_MODERATE = "The customers have changed: {named}. Watch the next test closely."
DRIFT_LARGE = "The customers have changed much: {named}. Learn the model anew before it is used."
OTHER_LEVEL = "any other"
ANY_VALUE = "any value"
MISSING = "missing"


def up_to(value: float) -> str:
    """Write the group of small values."""
    return f"up to {_short(value)}"


def below(value: float) -> str:
    """Write the group of values below an edge."""
    return f"below {_short(value)}"


def from_on(value: float) -> str:
    """Write the group of values from an edge on."""
    return f"{_short(value)} or more"


def above(value: float) -> str:
    """Write the group of large values."""
    return f"above {_short(value)}"


def between(low: float, high: float) -> str:
    """Write the group of values in the middle."""
    return f"{_short(low)} to {_short(high)}"


def _short(value: float) -> str:
    places = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2
    return formats.number(value, decimals=places)
