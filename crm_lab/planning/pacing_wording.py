"""Sentences about the pace of a month that people read, in one place."""

from __future__ import annotations

from crm_lab.language import message, say, say_many

ON_PLAN = message(
    "On plan. {month} should end at {forecast}, which is above the plan of {target} even at the"
    " lower end."
)
BEHIND = message(
    "Behind. {month} should end at {forecast}, which is below the plan of {target} even at the"
    " upper end; {gap} are missing."
)
CANNOT_TELL = message(
    "Cannot tell. {month} should end at {forecast}, and the plan of {target} lies inside; it is"
    " reached with a probability of {probability}."
)
NO_FORECAST = message("Cannot tell. The end of {month} cannot be foreseen, because {reason}.")
REACHED = message("The month is over: {month} brought {fact}, and the plan of {target} is reached.")
MISSED = message(
    "The month is over: {month} brought {fact} of the planned {target}; {gap} are missing."
)
SO_FAR = message(
    "Until {until} it brought {fact}; a month on plan has {expected} by then ({part} of the month)."
)
NOT_BEGUN = message("No day of the month is known yet.")
NEED = message(
    "The activities still to come must bring {need} from each of {recipients} recipients."
)
NO_RECIPIENTS = message("No activity is planned for the rest of the month.")
BASE_CAN = message("The customers it knows can give that: {lever} alone should bring {amount}.")
BASE_CANNOT = message(
    "The customers it knows cannot give that: {lever}, sent to everybody who can be reached, should"
    " bring {amount}. {remainder} must come from other tools: {split}."
)
BASE_UNKNOWN = message(
    "Whether the customers it knows can give that cannot be said: {lever}, sent to everybody who"
    " can be reached, should bring {amount}."
)
NO_LEVERS = message(
    "What known customers could still bring is not known: no mechanic was measured with a control"
    " group."
)
LEVERS_IN_MONEY = message(
    "Effects of mechanics are known in money only, so no lever is named for orders."
)
NO_CHANNELS = message("none are named under acquisition_channels")
REVISED = message("The plan was revised {count} (last by {by} on {day}: {reason}).")

NO_MECHANIC = message("mechanic not named")
BROUGHT = message("brought {amount}")
SHOULD_BRING = message("should bring {amount}")
ACTIVITY_STATES = {
    "to come": message("to come; nothing of its kind was measured"),
    "not measured": message("over; not measured with a control group"),
    "measured": message("over; measured"),
    "being measured": message("sent; its window is not over"),
}
LEVER_WORDS = {
    "enough": message("enough"),
    "not enough": message("not enough"),
    "cannot tell": message("cannot tell"),
    "not needed": message("not needed"),
    "not known": message("not known"),
}

BACKTEST = message(
    "The same forecast, made on the same day of {months} with what was known then: the {level}"
    " interval held the total in {inside} of {scored}."
)
NO_BACKTEST = message(
    "No past month is known well enough to make the same forecast and compare it."
)

ASSUME_LEVEL = message(
    "The rest of the month is taken to be like the last {days} days, with the same campaigns and"
    " the same season; what is new, a holiday or a larger wave, comes on top."
)
ASSUME_WEEKDAYS = message(
    "Weekdays differ by what {weeks} past weeks show ({low} to {high} of an average day)."
)
ASSUME_NO_WEEKDAYS = message("Too few weeks are known to tell weekdays apart.")
ASSUME_THIRDS = message(
    "The thirds of a month differ by what {months} whole months show ({first}, {second} and {third}"
    " of an average day)."
)
ASSUME_NO_THIRDS = message(
    "{months} whole months are known: too few to tell how the days of a month differ beyond their"
    " weekday."
)
ASSUME_EQUAL_THIRDS = message(
    "{months} whole months show no difference between the days of a month beyond their weekday."
)
ASSUME_YEAR = message("The time of the year is not taken out.")
ASSUME_EVENLY = message(
    "Of what a mechanic brings over its window, the part of the days that lie in this month counts."
)
ASSUME_STALE = message(
    "Orders are known until {until}; the {days} days since then count as not over."
)
ASSUME_CHANGED = message("The file of the plan was changed after the last revision.")

NOT_IN_MONTH = message("the day {day} of '{name}' is not in {month}")
SHARES = message("the shares of acquisition_channels add up to {total}, not to 100 %")
NO_SUCH_ITEM = message("the plan has no item '{item}'")
ITEMS = message("'target', an activity or one of its keys ({items})")
SAME = message("'{item}' is {value} already")
NO_REASON = message("no reason is given")
MONTH_OVER = message("{month} is over, and a plan of the past is not revised")
BEFORE_LAST = message("the revision is dated {at}, before the last one")
NOT_FITTING = message("a revision of the plan does not fit its file any more: {fault}")
NOT_READABLE = message("'{text}' cannot be read as a value")
NOTHING = message("nothing")
NO_REVISION = message("The plan of {month} stands as it was written.")
REVISIONS = message(
    "The plan of {month} was revised {count}; the last: {item} from {old} to {new} ({reason})."
)


def times(count: int) -> str:
    """Write how often: once, twice, 3 times."""
    if count in (1, 2):
        return say("once") if count == 1 else say("twice")
    return say_many("{count} times", "{count} times", count)


def orders_text(written: str, orders: float) -> str:
    """Write a number of orders with its noun."""
    counted = round(orders) if orders == round(orders) else 2  # a fraction counts as a few
    return say_many("{number} orders", "{number} orders", counted, number=written)
