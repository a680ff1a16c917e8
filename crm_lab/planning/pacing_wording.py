"""Sentences about the pace of a month that people read, in one place."""

from __future__ import annotations

METRICS = {"revenue": "revenue", "orders": "orders"}

ON_PLAN = (
    "On plan. {month} should end at {forecast}, which is above the plan of {target} even at the"
    " lower end."
)
BEHIND = (
    "Behind. {month} should end at {forecast}, which is below the plan of {target} even at the"
    " upper end; {gap} are missing."
)
CANNOT_TELL = (
    "Cannot tell. {month} should end at {forecast}, and the plan of {target} lies inside; it is"
    " reached with a probability of {probability}."
)
NO_FORECAST = "Cannot tell. The end of {month} cannot be foreseen, because {reason}."
REACHED = "The month is over: {month} brought {fact}, and the plan of {target} is reached."
MISSED = "The month is over: {month} brought {fact} of the planned {target}; {gap} are missing."
SO_FAR = (
    "Until {until} it brought {fact}; a month on plan has {expected} by then ({part} of the month)."
)
NOT_BEGUN = "No day of the month is known yet."
NEED = "The activities still to come must bring {need} from each of {recipients} recipients."
NO_RECIPIENTS = "No activity is planned for the rest of the month."
BASE_CAN = "The customers it knows can give that: {lever} alone should bring {amount}."
BASE_CANNOT = (
    "The customers it knows cannot give that: {lever}, sent to everybody who can be reached, should"
    " bring {amount}. {remainder} must come from other tools: {split}."
)
BASE_UNKNOWN = (
    "Whether the customers it knows can give that cannot be said: {lever}, sent to everybody who"
    " can be reached, should bring {amount}."
)
NO_LEVERS = (
    "What the customers it knows could give is not known: no mechanic was measured with a control"
    " group."
)
LEVERS_IN_MONEY = "Effects of mechanics are known in money only, so no lever is named for orders."
NO_CHANNELS = "none are named under acquisition_channels"
REVISED = "The plan was revised {count} (last by {by} on {day}: {reason})."

NO_MECHANIC = "mechanic not named"
BROUGHT = "brought {amount}"
SHOULD_BRING = "should bring {amount}"
ACTIVITY_STATES = {
    "to come": "to come; nothing of its kind was measured",
    "not measured": "over; not measured with a control group",
    "measured": "over; measured",
    "being measured": "over; its window is not",
}
LEVER_WORDS = {
    "enough": "enough",
    "not enough": "not enough",
    "cannot tell": "cannot tell",
    "not needed": "not needed",
    "not known": "not known",
}

BACKTEST = (
    "The same forecast, made on the same day of {months} with what was known then: the {level}"
    " interval held the total in {inside} of {scored}."
)
NO_BACKTEST = "No past month is known well enough to make the same forecast and compare it."

ASSUME_LEVEL = (
    "The rest of the month is taken to be like the last {days} days, with the same campaigns and"
    " the same season; what is new, a holiday or a larger wave, comes on top."
)
ASSUME_WEEKDAYS = (
    "Weekdays differ by what {weeks} past weeks show ({low} to {high} of an average day)."
)
ASSUME_NO_WEEKDAYS = "Too few weeks are known to tell weekdays apart."
ASSUME_THIRDS = (
    "The thirds of a month differ by what {months} whole months show ({first}, {second} and {third}"
    " of an average day)."
)
ASSUME_NO_THIRDS = (
    "{months} whole months are known: too few to tell how the days of a month differ beyond their"
    " weekday."
)
ASSUME_EQUAL_THIRDS = (
    "{months} whole months show no difference between the days of a month beyond their weekday."
)
ASSUME_YEAR = "The time of the year is not taken out."
ASSUME_EVENLY = (
    "Of what a mechanic brings over its window, the part of the days that lie in this month counts."
)
ASSUME_STALE = "Orders are known until {until}; the {days} days since then count as not over."
ASSUME_CHANGED = "The file of the plan was changed after the last revision."

NOT_IN_MONTH = "the day {day} of '{name}' is not in {month}"
SHARES = "the shares of acquisition_channels add up to {total}, not to 100 %"
NO_SUCH_ITEM = "the plan has no item '{item}'"
ITEMS = "'target', an activity or one of its keys ({items})"
SAME = "'{item}' is {value} already"
NO_REASON = "no reason is given"
MONTH_OVER = "{month} is over, and a plan of the past is not revised"
BEFORE_LAST = "the revision is dated {at}, before the last one"
NOT_FITTING = "a revision of the plan does not fit its file any more: {fault}"
NOT_READABLE = "'{text}' cannot be read as a value"
NOTHING = "nothing"
NO_REVISION = "The plan of {month} stands as it was written."
REVISIONS = (
    "The plan of {month} was revised {count}; the last: {item} from {old} to {new} ({reason})."
)
