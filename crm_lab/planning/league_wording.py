"""Sentences about the league of mechanics that people read, in one place."""

from __future__ import annotations

PROGRESS = "experiments"

BROKEN = "a check of the experiment failed ({checks})"
OPEN = "its window is not over, or its orders are not known yet"
NOT_ALONE = (
    "{share} of its customers got other campaigns in its window and its controls did not, so the"
    " effect is not its own; an experiment needs a control of its own then"
)
NOBODY = "nobody was assigned"
NO_REVENUE = "its revenue was not compared"
OPEN_END = "its interval has an open end"
NO_WIDTH = "its interval has no width"
NOT_NAMED = "it names no {what}"

DIMENSIONS = {"mechanic": "mechanic", "channel": "channel", "send_mode": "way of sending"}
PLURALS = {"mechanic": "mechanics", "channel": "channels", "send_mode": "ways of sending"}
MEASURES = {
    "relative": " revenue against customers who got nothing",
    "amount": " per customer against customers who got nothing",
}
"""What follows an effect of each measure in a sentence."""

VERDICTS = {"works": "works", "costs sales": "costs sales", "cannot tell": "cannot tell"}
ADVICE = {
    "works": "keep; measure again now and then",
    "costs sales": "stop",
    "cannot tell": "test again with a control group before money depends on it",
}

NOTHING = (
    "Cannot conclude. No experiment with a control group can be read yet, so no {what} can be"
    " compared with another."
)
BASIS = "{experiments} with a control group, {rows}."
ALMOST_CERTAIN, HARDLY = "more than 99 %", "less than 1 %"
ONE_ROW = "Only {name} was measured, so there is nothing to compare it with: {effect}{unit}."
BEST = "The best is {name}: {effect}{unit}; it is the best with a probability of {probability}."
UNCERTAIN = (
    "The order is not certain: {name} looks best, {effect}{unit}, but it is the best with a"
    " probability of {probability} only."
)
WORKS = "Shown to work: {names}."
COSTS = "Shown to cost sales: {names}."
NOTHING_SHOWN = "Of none is it shown that it works or costs sales."
LEFT_OUT = "Left out: {count} (see the list)."
UNEVALUATED = "Sent without a control group, so never evaluated: {count}."

SHARED = (
    "{shared} of {used} experiments are measured against the same control group. What sets that"
    " group apart by chance is in all of them, so each average is less sure than its interval says;"
    " the order suffers less."
)
UNADJUSTED = (
    "{count} could not be adjusted by revenue before the start: earlier campaigns had reached its"
    " customers and not its controls. The plain difference is used."
)
STANDING = (
    "Against a standing control group an effect holds what earlier campaigns still bring as well."
)
NOT_REPEATED = (
    "Nothing was measured twice, so how far a repetition departs from the first time is not known;"
    " the intervals are too narrow by that."
)
WITHIN = (
    "Repetitions of one {what} differ by about {tau} (standard deviation of the true effects,"
    " p = {p} that they do not differ)."
)
FEW = "Fewer than {least} experiments: the league says little yet."
WINDOWS = "The windows last {low} to {high} days, so amounts are not of equal time."

NO_CONTROL = "sent without a control group"
ELSEWHERE = "drawn at random elsewhere, and its result is not here"
NOT_READ = "an experiment that cannot be read: {reason}"
EVERYTHING_EVALUATED = "Nothing was sent that nobody evaluated."
NEVER = (
    "{campaigns} with {messages} messages were never evaluated: what they brought is not known, and"
    " orders after a message do not tell. The largest is {largest} ({largest_messages} messages)."
)

EXPECTED = (
    "The next {name} should bring {effect}; with a control group like before it will read"
    " {reading}. Both are intervals of {level}, from {experiments}."
)
EXPECTED_NEW = (
    "{name} was never measured. From what other {plural} did, it should bring {effect}; a read-out"
    " would say {reading} (intervals of {level}, from {experiments})."
)
NOT_EXPECTED = "What the next {name} brings cannot be foreseen, because {reason}."
TOTAL = "Sent to {customers} customers, that is {total} over {days} days."

NO_SCORE = "No experiment had one before it, so no forecast can be compared with a fact yet."
SCORE = (
    "{inside} of {scored} forecasts held, the read-out lying inside the interval made before:"
    " {share}, where {level} were promised."
)
SCORE_FEW = "Too few to say whether the intervals keep their promise."
SCORE_GOOD = "That is in keeping with the promise."
SCORE_BAD = "That is not in keeping with the promise: take forecasts as too sure of themselves."

METHOD = (
    "Only randomised read-outs enter: revenue of everybody assigned against the control group."
    " Lifts are pooled as logarithms, amounts as they are. Experiments of one {what} scatter around"
    " its mean, the {plural} around a mean of all; every mean is drawn towards that of all, the"
    " more so the less it says by itself. Tests of the {plural} are adjusted for their number"
    " (Holm). That a {what} works is said only where both show it: its interval after pooling and"
    " the adjusted test."
)
