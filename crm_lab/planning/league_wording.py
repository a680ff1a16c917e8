"""Sentences about the league of mechanics that people read, in one place."""

from __future__ import annotations

from crm_lab.language import message, say_many

PROGRESS = message("experiments")

BROKEN = message("a check of the experiment failed ({checks})")
OPEN = message("its window is not over, or its orders are not known yet")
NOT_ALONE = message(
    "{share} of its customers got other campaigns in its window and its controls did not, so the"
    " effect is not its own; an experiment needs a control of its own then"
)
NOBODY = message("nobody was assigned")
NO_REVENUE = message("its revenue was not compared")
OPEN_END = message("its interval has an open end")
NO_WIDTH = message("its interval has no width")
NOT_NAMED = {
    "mechanic": message("it names no mechanic"),
    "channel": message("it names no channel"),
    "send_mode": message("it names no way of sending"),
    "owner": message("it names nobody who answers for it"),
}

DIMENSIONS = {
    "mechanic": "mechanic",
    "channel": "channel",
    "send_mode": "way of sending",
    "owner": "team",
}
PLURALS = {
    "mechanic": message("mechanics"),
    "channel": message("channels"),
    "send_mode": message("ways of sending"),
    "owner": message("teams"),
}
MEASURES = {
    "relative": message(" revenue against customers who got nothing"),
    "amount": message(" per customer against customers who got nothing"),
}
"""What follows an effect of each measure in a sentence."""
NUMBER_LABELS = {
    "relative": message("{name}: revenue against customers who got nothing"),
    "amount": message("{name}: money per customer against customers who got nothing"),
}
UNLIKE = message(
    "{names}: in money something else is shown than in percent, which is also unsure of what"
    " customers would have spent anyway. The league goes by the percent."
)

VERDICTS = {
    "works": message("works"),
    "costs sales": message("costs sales"),
    "cannot tell": message("cannot tell"),
}
ADVICE = {
    "works": message("keep; measure again now and then"),
    "costs sales": message("stop"),
    "cannot tell": message("test again with a control group before money depends on it"),
}

NOTHING = {
    "mechanic": message(
        "Cannot conclude. No experiment with a control group can be read yet, so no mechanic can be"
        " compared with another."
    ),
    "channel": message(
        "Cannot conclude. No experiment with a control group can be read yet, so no channel can be"
        " compared with another."
    ),
    "send_mode": message(
        "Cannot conclude. No experiment with a control group can be read yet, so no way of sending"
        " can be compared with another."
    ),
    "owner": message(
        "Cannot conclude. No experiment with a control group can be read yet, so no team can be"
        " compared with another."
    ),
}
BASIS = message("{experiments} with a control group, {rows}.")
ALMOST_CERTAIN, HARDLY = message("more than 99 %"), message("less than 1 %")
ONE_ROW = message("Nothing to compare yet. Only {name} was measured: {effect}{unit}.")
BEST = message(
    "The best is {name}: {effect}{unit}; it is the best with a probability of {probability}."
)
UNCERTAIN = message(
    "The order is not certain: {name} looks best, {effect}{unit}, but it is the best with a"
    " probability of {probability} only."
)
WORKS = message("Shown to work: {names}.")
COSTS = message("Shown to cost sales: {names}.")
NOTHING_SHOWN = message("Of none is it shown that it works or costs sales.")
LEFT_OUT = message("Left out: {count} (see the list).")
UNEVALUATED = message("Sent without a control group, so never evaluated: {count}.")

SHARED = message(
    "{shared} of {used} experiments are measured against the same control group. What sets that"
    " group apart by chance is in all of them, so each average is less sure than its interval says;"
    " the order suffers less."
)
UNADJUSTED = message(
    "{count} could not be adjusted by revenue before the start: earlier campaigns had reached its"
    " customers and not its controls. The plain difference is used."
)
SEVERAL_ARMS = message(
    "{count} compared several arms. Here all arms of an experiment are taken together; its own page"
    " tells them apart."
)
STANDING = message(
    "Against a standing control group an effect holds what earlier campaigns still bring as well."
)
NOT_REPEATED = message(
    "Nothing was measured twice, so how far a repetition departs from the first time is not known;"
    " the intervals are too narrow by that."
)
WITHIN = message(
    "Repetitions of one {what} differ by about {tau} (standard deviation of the true effects,"
    " {p} that they do not differ)."
)
FEW = message("Fewer than {least} experiments: the league says little yet.")
WINDOWS = message("The windows last {low} to {high} days, so amounts are not of equal time.")

NO_CONTROL = message("sent without a control group")
ELSEWHERE = message("drawn at random elsewhere, and its result is not here")
NOT_READ = message("an experiment that cannot be read: {reason}")
EVERYTHING_EVALUATED = message("Nothing was sent that nobody evaluated.")
NEVER = message(
    "{campaigns} with {messages} messages were never evaluated: what they brought is not known, and"
    " orders after a message do not tell. The largest is {largest} ({largest_messages} messages)."
)

EXPECTED = message(
    "The next {name} should bring {effect}; with a control group like before it will read"
    " {reading}. Both are intervals of {level}, from {experiments}."
)
EXPECTED_NEW = message(
    "{name} was never measured. From what other {plural} did, it should bring {effect}; a read-out"
    " would say {reading} (intervals of {level}, from {experiments})."
)
NOT_EXPECTED = message("What the next {name} brings cannot be foreseen, because {reason}.")
TOTAL = message("Sent to {customers} customers, that is {total} over {days} days.")

NO_SCORE = message(
    "No experiment had one before it, so no forecast can be compared with a fact yet."
)
SCORE = message(
    "{inside} of {scored} forecasts held, the read-out lying inside the interval made before:"
    " {share}, where {level} were promised."
)
SCORE_FEW = message("Too few to say whether the intervals keep their promise.")
SCORE_GOOD = message("That is in keeping with the promise.")
SCORE_BAD = message(
    "That is not in keeping with the promise: take forecasts as too sure of themselves."
)

METHOD = message(
    "Only randomised read-outs enter: revenue of everybody assigned against the control group."
    " Lifts are pooled as logarithms, amounts as they are. Experiments of one {what} scatter around"
    " its mean, the {plural} around a mean of all; every mean is drawn towards that of all, the"
    " more so the less it says by itself. Tests of the {plural} are adjusted for their number"
    " (Holm). That a {what} works is said only where both show it: its interval after pooling and"
    " the adjusted test."
)


def experiments_text(count: int) -> str:
    """Write a count of experiments."""
    return say_many("{count} experiment", "{count} experiments", count)


def campaigns_text(count: int) -> str:
    """Write a count of campaigns."""
    return say_many("{count} campaign", "{count} campaigns", count)


def rows_text(count: int, dimension: str) -> str:
    """Write how many mechanics, channels, ways of sending or teams are compared."""
    if dimension == "mechanic":
        return say_many("{count} mechanic", "{count} mechanics", count)
    if dimension == "channel":
        return say_many("{count} channel", "{count} channels", count)
    if dimension == "owner":
        return say_many("{count} team", "{count} teams", count)
    return say_many("{count} way of sending", "{count} ways of sending", count)
