"""What the pages about funnels and cohorts say, in one place."""

from __future__ import annotations

from typing import Literal

from crm_lab.language import message

Basis = Literal["randomised", "observational"]

BASIS_SHORT: dict[Basis, str] = {
    "randomised": message("Randomised: a difference beyond chance is what the campaign did."),
    "observational": message("Observational: a difference is not an effect."),
}
"""What each label promises a reader."""
BASIS_ALONE: dict[Basis, str] = {
    "randomised": message("Randomised."),
    "observational": message("Observational."),
}
"""The label of a number where nothing is compared."""

CANNOT = message("Cannot be said, because {reason}.")
TOO_FEW = message("too few to say: {events} of {n}, between {low} and {high}")
NOBODY = message("nobody to count")

NO_FORMS = message("the base holds no registrations: load a file for the table form_submission")
NO_DEALS = message("the base holds no deals: load a file for the table deal")
NO_ORDERS = message("the base holds no orders: load a file for the table orders")
NO_STATES = message(
    "no customer is in the state reactivated: load a file for the table lifecycle_history"
)
NO_SENDS = message("the base holds no messages: load files for the tables campaign and send")
NO_LOST = message("no deal is lost yet")
NO_EXPERIMENT = message("no experiment is named: give the report the parameter experiment")
NO_MEMBERS = message("nobody is assigned to the experiment '{name}'")
NO_CONTROL = message("the experiment '{name}' has no control group")
NO_WEEK = message("no whole week after the start is known yet")
NO_PERIOD = message("no registration is {days} days old yet")
ONE_CHANNEL = message("the arms of '{name}' were not written to by different channels")

LEFT_YOUNG = message("registered less than {days} days before the end of the data")
LEFT_YOUNG_DEAL = message("opened it less than {days} days before the end of the data")
LEFT_YOUNG_LOSS = message("lost it less than {days} days before the end of the data")
LEFT_YOUNG_RETURN = message("returned less than {days} days before the end of the data")
LEFT_YOUNG_MESSAGE = message(
    "were first written to less than {days} days before the end of the data"
)
LEFT_UNDATED = message("have a deal won at a time that is not known")
LEFT_UNDATED_LOSS = message("were lost at a time that is not known")

OF_UNITS = message("Of {n} {unit}, {share} {event}.")
BY_SUBJECT = message("By {subject}: {event}")
COUNTED = message("{events} of {n}")
POINTS = message("{points} points ({interval})")
LEFT_OUT = message("{count} {why}")
NOT_COUNTED = message("Not counted: {groups}.")

FUNNEL = message("Way to the deal")
STEPS = ("registered", "contacted", "deal opened", "deal won")
STEPS_MADE = message("Of {n} registered, within {days} days: {made}.")
FIRST_WEEK = message("First week: from registration to a deal won")
FIRST_DAYS = message(
    "Of {n} registrations, {share} won a deal within {days} days of registration"
    " (7 x 24 hours a week)."
)
WON_WITHIN = message("won a deal within {days} days of registration")
BOUGHT_WITHIN = message("bought within {days} days of the first message")
CLICKED_WITHIN = message("clicked within {days} days of the first message")
# Units and groups are code words: they are translated where they are shown.
REGISTRATIONS = "registrations"
CUSTOMERS = "customers"
CUSTOMERS_WITH_DEAL = "customers with such a deal"
CUSTOMERS_LOST = "customers who lost a deal"
WON_AFTER_OPENING = message("won it within {days} days of opening")
WON_AGAIN = message("won a later deal within {days} days")
WON_IN_WINDOW = message("won a deal in the window of the campaign")
CUSTOMERS_DRAWN = "customers drawn"
UNKNOWN_GROUP = "not known"
EVERYONE = "everyone"

BEST = message(
    "The largest share is that of {top}, and it is ahead of each of the others "
    "({others}) by more than chance{adjusted}."
)
NOT_BEST = message(
    "The largest share is that of {top}, but the data do not tell it apart from "
    "{rivals}: none can be named best."
)
ONE_GROUP = message("There is only one group of at least {minimum}, so nothing is compared.")
NO_GROUP = message("No group has the {minimum} {unit} that a comparison needs.")
PAIR = message(
    "By {subject}: {first} {first_share}, {second} {second_share}, difference "
    "{points}. {conclusion}"
)
PAIR_DIFFERS = message("They differ by more than chance.")
PAIR_UNSURE = message("Cannot conclude: the interval includes no difference.")
ADJUSTED = message(", after allowing for {n} comparisons (Holm)")
THIN_GROUPS = message("Not compared, having fewer than {minimum}: {groups}.")

DIFFERS = message(
    "{arm} differs from the control group: {outcome} {treated} against {control}, {points}."
)
ROW = message("{arm}: {outcome} {treated} against {control}, {points}.")
CANNOT_CONCLUDE = message("Cannot conclude for {arms}: the difference may be chance{adjusted}.")
NOTHING_ELSE = message("Nothing else differs by more than chance{adjusted}.")
ALONE = message("Looked at alone, without allowing for the other outcomes: {differences}")
NOTHING_DIFFERS = message(
    "Cannot conclude: nothing differs from the control group by more than chance{adjusted}."
)
TOO_FEW_ANSWERS = message("too few answers: {n}, between {ends}")
NO_COHORT = message("no month of registrations is {days} days old yet")
WEEKS_KNOWN = message("Whole weeks known: {last}.")
NO_WEEK_DIFFERS = message(
    "Cannot conclude: in no week does an arm differ from the control group by more "
    "than chance{adjusted}."
)
WEEKS_DIFFER = message("By more than chance{adjusted}: {said}.")
EVERYBODY = "everybody"
RETENTION = message("Buyers by week and arm")
PERIOD = message("period {period}")
WEEK = message("week {week}")
FIRST_PERIOD = message("Ordered in the first {days} days after registration: {share}")
LATER_PERIOD = message("; in the days {first} to {last}, of the months that are so old: {share}")
TRIANGLE = message("Cohorts: who buys again")
IN_WEEKS = message("{arm} in week {weeks}")
REFUSALS = message("Why deals are lost, and who comes back")
LOST_MOST = message(
    "{deals} deals lost, most often: {reason} ({share}); the {few} most frequent of {reasons}"
    " reasons make up {together} of them."
)
AGAIN_WITHIN = message("won again within {days} days")
NOT_RECOVERABLE = message("(cannot be won back)")
NO_REASON_GIVEN = "no reason given"
AFTER_REACTIVATION = message("After the return: from reactivated to a deal won")
RETURNED_WON = message("Of {n} reactivated customers, {share} won a deal within {days} days.")
REACTIVATION = message("The reactivation campaign against its control group")
DEAL_KINDS = message("New and repeat deals")
KINDS = {"new": message("new"), "repeat": message("repeat")}
DEALS_OF_KIND = message("{deals} {kind}, of them {won} won, {lost} lost, {open} open")
EXPECTED = message("expected of the won ({currency})")
PANEL = message("What else changed, by arm")
FORM_MIX = message("Through which form people came")
MOST_THROUGH = message("{group}: most through {form}, {share}")
CONTENTS = message("What the base holds for this page")

OUTCOMES = {
    "is_active": message("bought in the last {days} days"),
    "is_lost": message("recorded as lost"),
    "unsubscribed": message("unsubscribed"),
    "complained": message("complained"),
    "answered": message("answered the survey"),
}
NET_SCORE = message("NPS of those who answered")
SATISFACTION = message("CSAT of those who answered")
FEW_ANSWERS = message("too few answers: {n}")
MEAN_OF = message("{mean} on average of {n}")
CONTROL_NOT_MAILED = message(
    "The control group received no message of the campaign, so it could "
    "unsubscribe or complain only about others: a higher share among those written "
    "to is the price of writing."
)
PANEL_BASIS = message(
    "Everybody drawn counts, answered or not; only NPS and CSAT are of those who "
    "answered, and therefore observational."
)
WINDOW_OPEN = message(
    "The window is open until {end}; the data end on {until}, so this is not the result."
)
SHARED = message(
    "{n} customers were drawn together with somebody who shares their contact; the "
    "intervals take all customers as independent."
)

NEEDS: tuple[tuple[str, str], ...] = (
    ("form_submission", message("registrations: by form and landing, first week, funnel, cohorts")),
    ("form", message("names of the forms, and which landing each belongs to")),
    ("landing", message("names of the landings")),
    ("deal", message("deals: first week, funnel, refusals, new and repeat, reactivation")),
    ("refusal_reason", message("names of the refusal reasons, and which of them can be won back")),
    ("lifecycle_history", message("who was reactivated and who is lost")),
    ("survey_response", message("NPS and CSAT")),
    ("send", message("who was contacted, clicks and purchases by channel")),
    ("orders", message("who buys again, week by week")),
)
"""Tables of the gateway, and what each gives this page."""
ALL_THERE = message("Everything that this page needs is there.")
MISSING = message("Missing: {tables}. What needs them is left empty and says so.")
