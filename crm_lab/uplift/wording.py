"""Texts of targeting that people read, in one place."""

from __future__ import annotations

import re
from collections.abc import Mapping

from crm_lab import formats
from crm_lab.language import label, message, say, using_language, word

PROGRESS = message("learning")
SCORING = message("scoring")

NO_MARGIN = message(
    "The margin is not known, so revenue counts as profit and every amount is too high: name the"
    " margin share in the plan."
)
NO_MARGIN_YET_PAYS = message(
    "The margin is not known, so every amount is revenue: contacting everyone pays by the whole"
    " interval where the margin is above {least} of revenue."
)
PROFIT_LABELS = {
    "target": message("Profit by contacting those chosen"),
    "no evidence": message("Profit by targeting beside contacting everyone"),
    "everyone": message("Profit by contacting everyone"),
}
REVENUE_LABELS = {
    "target": message("Revenue less contact costs, by contacting those chosen"),
    "no evidence": message("Revenue less contact costs, by targeting beside contacting everyone"),
    "everyone": message("Revenue less contact costs, by contacting everyone"),
}
"""What the one number of a verdict is; the second where the margin is not known."""
EARNED_COLUMNS = {True: "expected profit (interval)", False: "revenue less contact cost (interval)"}
EARNED_AXES = {
    True: message("profit beside contacting nobody"),
    False: message("revenue less contact cost, beside contacting nobody"),
}
"""The same in a table and on an axis, by whether the margin is known."""
BROKEN = message(
    "Cannot conclude. A check of the trial failed ({checks}), so nothing may be decided by it."
)
NOT_OVER = message(
    "The window ends on {day} and is not over: what comes later is not in these numbers."
)
CHECK_EVIDENCE = message("Random draw")
CHECK_WINDOW = message("Window over")
CHECK_CONTROL = message("Control large enough to learn from")
CHECK_FEATURES = message("Only what was known before")
CHECK_TODAY = message("Customers still alike")
CONTROL_SHARE = message("{share} of the trial")
ABOUT = message(
    "{experiment}: {arm} ({treated} customers) against {controls} who got nothing, {start} to {end}"
)
WINDOW = message("{starts} to {ends}")
FEATURES_BEFORE = message("{count} features, all from before {day}")

EVERYONE = "everyone"
NOBODY = "nobody"
CHOSEN = "those chosen"
BESIDE_NOBODY = "contacting nobody"
BESIDE_EVERYONE = "contacting everyone"

SMALL_CONTROL = message(
    "The control is {share} of the trial: enough to measure the effect of everybody together, too"
    " little to learn who is worth a contact (below {least}). Offer: in the next campaign leave"
    " half of a random part of the audience alone (an exploration cell), and learn from that part."
)

LEAGUE_TITLE = message("Which learner ranks customers best")
RULE, RESPONSE = "rule:", "response"
NO_ESTIMATE = "no estimate"
LEAGUE_NONE = message(
    "None of {count} learners and rules is shown to rank customers by their effect better than"
    " chance; the first is {first} ({number} per 1,000 customers above a random order)."
)
LEAGUE_FIRST = message(
    "{first} ranks best: {number} more per 1,000 customers than a random order, over all depths."
)
LEAGUE_TIED = message("{tied} of {others} others cannot be told from it, among them {such}.")
LEAGUE_ALONE = message("All others rank worse.")
RANKS_BETTER = message("better than chance")
RANKS_WORSE = message("not better than chance")
RANKS_OPEN = message("cannot be told from chance")
TIED = message("cannot be told from the first")
BEHIND = message("behind the first")

VERDICT_TITLE = message("Whom to contact")
HEADLINES: Mapping[str, str] = {
    "target": message("Target: contact only those chosen."),
    "everyone": message("Contact everyone."),
    "nobody": message("Contact nobody."),
    "no evidence": message("No evidence that targeting beats contacting everyone."),
}
BECAUSE: Mapping[str, str] = {
    "target": message(
        "Contacting the {chosen} of {n} customers that were chosen earns {targeted}, and {gain}"
        " more than contacting everyone."
    ),
    "everyone": message(
        "Contacting all {n} customers earns {everyone}. Targeting earns less: the difference is"
        " {gain}."
    ),
    "nobody": message(
        "Contacting all {n} customers earns {everyone}: it loses money. No part of them is shown"
        " to pay either: the {chosen} that were chosen earn {targeted}."
    ),
}
BECAUSE_SAME = message(
    "Contacting all {n} customers earns {everyone}. Nobody is expected to bring less than his"
    " contact costs, so targeting would contact the same customers."
)
BECAUSE_NEARLY = message(
    "Contacting all {n} customers earns {everyone}. All but {left} are expected to bring more than"
    " their contact costs; so few cannot be judged apart."
)
BECAUSE_WORSE = message(
    "Contacting only the {chosen} chosen earns less than contacting everyone: {gain}. Whether"
    " contacting all {n} customers pays, the data cannot tell: {everyone}."
)
BECAUSE_OPEN: Mapping[str, str] = {
    "everyone": message(
        "Targeting instead of contacting everyone changes the profit by {gain}; the interval"
        " includes no change. Contacting all {n} customers pays, {everyone}: go on with everyone"
        " until a larger test says otherwise."
    ),
    "target": message(
        "Targeting instead of contacting everyone changes the profit by {gain}. Contacting the"
        " {chosen} chosen pays, {targeted}. Whether contacting all {n} pays, the data cannot tell:"
        " {everyone}."
    ),
    "": message(
        "The data cannot tell: targeting instead of contacting everyone changes the profit by"
        " {gain}. Neither contacting all {n} customers, {everyone}, nor the {chosen} chosen,"
        " {targeted}, is shown to pay. Test on more customers, or at a lower cost."
    ),
}
UNKNOWN = message("Cannot conclude, because {reason}.")
OBSERVATIONAL = message(
    "Observational: customers were not randomised, so this holds only if nothing but the given"
    " propensities decided who was contacted."
)

SEGMENTS_TITLE = message("Who reacts to a contact")
SEGMENTS_NONE = message(
    "The data do not show that the effect differs by any of {count} features: what a contact"
    " brings may be the same for all."
)
SEGMENT_DIFFERS = message(
    "The effect differs by {feature}: a contact brings {most} where it is {best}, {least} where it"
    " is {worst}."
)
SEGMENTS_ALSO = message("It differs by {features} too.")
SEGMENTS_OTHERS = message("By {count} other features no difference is shown.")
SEGMENT_PAYS = "yes"
SEGMENT_LOSES = "no"
SEGMENT_OPEN = "cannot tell"
SEGMENT_UNKNOWN = NO_ESTIMATE

LEAVE_TITLE = message("Whom to leave alone")
LEAVE_NOBODY = message(
    "Nobody: each of the {n} customers is expected to bring more than his contact costs."
)
LEAVE_LIST = message(
    "{listed} of {n} customers ({share}) are expected to bring less than their contact costs;"
    " contacting them would cost {cost}."
)
LEAVE_SHOWN = message("Leaving them alone saves {saved}, the margin that is lost taken off.")
LEAVE_REFUTED = message(
    "The trial shows the opposite: leaving them alone loses money ({saved} saved). Do not use the"
    " list."
)
LEAVE_OPEN = message(
    "Whether leaving them alone saves money the data cannot tell: {saved}. Use the list only with"
    " its holdout."
)

ARMS_TITLE = message("What to send to whom")
ARMS_OPEN = message(
    "In none of {count} segments is one arm, or leaving them alone, shown to earn more than all"
    " else. The first of each is the one to try, not a finding."
)
ARMS_CERTAIN = message("In {certain} of {count} segments it is shown what earns most: {named}.")
ARMS_ELSEWHERE = message("Elsewhere the data cannot tell.")
NOT_TESTED = message("the arm was not tested in this segment")

ALLOCATION_TITLE = message("Who gets what")
ALLOCATION = message(
    "{contacts} contacts to {customers} customers for {spent} are expected to earn about {profit},"
    " contact cost taken off; {gap}. Dealt out first come, first served it would be {first_come}."
)
ALLOCATION_IN_BUDGET = message(
    "{contacts} contacts to {customers} customers for {spent} (budget {budget}) are expected to"
    " earn about {profit}, contact cost taken off; {gap}. Dealt out first come, first served it"
    " would be {first_come}."
)
ALLOCATION_GAP = message("at most {gap} more is possible under these limits")
ALLOCATION_BEST = message("no allocation under these limits is expected to earn more")
ALLOCATION_SEVERAL = message(
    "Several contacts of one customer are taken to add up, which no test of single contacts shows."
)
ALLOCATION_NOBODY = message(
    "Nobody gets anything: no contact is expected to bring more than it costs within these limits."
)
METHOD_EXACT = "whole-number programme over groups of alike customers"
METHOD_PRICES = "prices of budget and capacities, dealt out by profit after prices"

DRIFT_TITLE = message("Whether the model still fits the customers")
DRIFT_CAUTION = message(
    "The customers have changed much since the trial, so what held then may not hold now."
)
DRIFT_NOTHING = message("nothing changed more than a little")
DRIFT_NOBODY = message("There is nobody to compare.")
DRIFT_NONE = message(
    "The {n} customers to be scored are like those the model was learned from: no feature and not"
    " the score changed more than a little."
)
DRIFT_GROUP = message("{most}: {before} then, {now} now")
DRIFT_CHANGE = message("{name} ({change}; {most}: {before} then, {now} now)")
DRIFT_MODERATE = message("The customers have changed: {named}. Watch the next test closely.")
DRIFT_LARGE = message(
    "The customers have changed much: {named}. What the trial found may not hold for them; learn"
    " the model anew before it is used."
)
OTHER_LEVEL = "any other"
ANY_VALUE = "any value"
MISSING = "missing"


_RANGES: Mapping[str, str] = {
    "up to ": message("up to {value}"),
    "below ": message("below {value}"),
    "above ": message("above {value}"),
}
_NUMBER = re.compile(r"-?[\d,]+(\.\d+)?")
_LEARNED_ON = re.compile(r"(.+) \((\w+)\)")


def up_to(value: float) -> str:
    """Write the group of small values; :func:`group_text` says it."""
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


def group_text(group: str) -> str:
    """Say the name of a group of values, which is English in the data.

    Examples
    --------
    >>> group_text("up to 1,000"), group_text("email")
    ('up to 1,000', 'email')
    """
    if _is_number(group):
        return formats.separated(group)
    for start, text in _RANGES.items():
        if group.startswith(start) and _is_number(group.removeprefix(start)):
            return say(text, value=formats.separated(group.removeprefix(start)))
    if group.endswith(" or more") and _is_number(group.removesuffix(" or more")):
        value = group.removesuffix(" or more")
        return say("{value} or more", value=formats.separated(value))
    low, _, high = group.partition(" to ")
    if _is_number(low) and _is_number(high):
        return say("{low} to {high}", low=formats.separated(low), high=formats.separated(high))
    return word(group)


def name_text(name: str) -> str:
    """Say the name of a rule, a learner or a score, which is English in the data.

    Examples
    --------
    >>> name_text("rule: days_since_order"), name_text("DR, boosted")
    ('rule: days since order', 'DR, boosted')
    """
    if found := _LEARNED_ON.fullmatch(name):
        return f"{name_text(found[1])} ({word(found[2])})"
    if name.startswith(RULE):
        return say("rule: {feature}", feature=label(name.removeprefix(RULE).strip()))
    return ", ".join(word(part) for part in name.split(", "))


def method_text(method: str) -> str:
    """Say a method, part by part; it is English in the data."""
    return "; ".join(word(part) for part in method.split("; "))


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None


def _short(value: float) -> str:
    places = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2
    with using_language("en"):
        return formats.number(value, decimals=places)
