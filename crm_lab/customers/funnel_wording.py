"""What the pages about funnels and cohorts say, in one place."""

from __future__ import annotations

from typing import Literal

Basis = Literal["randomised", "observational"]

BASIS_SHORT: dict[Basis, str] = {
    "randomised": "Randomised: a difference beyond chance is what the campaign did.",
    "observational": "Observational: a difference is not an effect.",
}
"""What each label promises a reader."""

CANNOT = "Cannot be said, because {reason}."
TOO_FEW = "too few to say: {events} of {n}, between {low} and {high} %"
NOBODY = "nobody to count"

NO_FORMS = "the base holds no registrations: load a file for the table form_submission"
NO_DEALS = "the base holds no deals: load a file for the table deal"
NO_ORDERS = "the base holds no orders: load a file for the table orders"
NO_STATES = "no customer is in the state reactivated: load a file for the table lifecycle_history"
NO_SENDS = "the base holds no messages: load files for the tables campaign and send"
NO_LOST = "no deal is lost yet"
NO_EXPERIMENT = "no experiment is named: give the report the parameter experiment"
NO_MEMBERS = "nobody is assigned to the experiment '{name}'"
NO_CONTROL = "the experiment '{name}' has no control group"
NO_WEEK = "no whole week after the start is known yet"
NO_PERIOD = "no registration is {days} days old yet"
ONE_CHANNEL = "the arms of '{name}' were not written to by different channels"

LEFT_YOUNG = "registered less than {days} days before the end of the data"
LEFT_YOUNG_DEAL = "opened it less than {days} days before the end of the data"
LEFT_YOUNG_LOSS = "lost it less than {days} days before the end of the data"
LEFT_YOUNG_RETURN = "returned less than {days} days before the end of the data"
LEFT_YOUNG_MESSAGE = "were first written to less than {days} days before the end of the data"
LEFT_UNDATED = "have a deal won at a time that is not known"
LEFT_UNDATED_LOSS = "were lost at a time that is not known"

FUNNEL = "Way to the deal"
STEPS = ("registered", "contacted", "deal opened", "deal won")
FIRST_WEEK = "First week: from registration to a deal won"
WON_WITHIN = "won a deal within {days} days of registration"
BOUGHT_WITHIN = "bought within {days} days of the first message"
CLICKED_WITHIN = "clicked within {days} days of the first message"
REGISTRATIONS = "registrations"
CUSTOMERS = "customers"
CUSTOMERS_WITH_DEAL = "customers with such a deal"
CUSTOMERS_LOST = "customers who lost a deal"
WON_AFTER_OPENING = "won it within {days} days of opening"
WON_AGAIN = "won a later deal within {days} days"
WON_IN_WINDOW = "won a deal in the window of the campaign"
CUSTOMERS_DRAWN = "customers drawn"
UNKNOWN_GROUP = "not known"
EVERYONE = "everyone"

BEST = (
    "The largest share is that of {top}, and it is ahead of each of the others ({others})"
    " by more than chance{adjusted}."
)
NOT_BEST = (
    "The largest share is that of {top}, but the data do not tell it apart from {rivals}: none can"
    " be named best."
)
ONE_GROUP = "There is only one group of at least {minimum}, so nothing is compared."
NO_GROUP = "No group has the {minimum} {unit} that a comparison needs."
PAIR = (
    "By {subject}: {first} {first_share}, {second} {second_share}, difference {points}."
    " {conclusion}"
)
PAIR_DIFFERS = "They differ by more than chance."
PAIR_UNSURE = "Cannot conclude: the interval includes no difference."
ADJUSTED = ", after allowing for {n} comparisons (Holm)"
THIN_GROUPS = "Not compared, having fewer than {minimum}: {groups}."

DIFFERS = "{arm} differs from the control group: {outcome} {treated} against {control}, {points}."
ROW = "{arm}: {outcome} {treated} against {control}, {points}."
CANNOT_CONCLUDE = "Cannot conclude for {arms}: the difference may be chance{adjusted}."
NOTHING_ELSE = "Nothing else differs by more than chance{adjusted}."
NOTHING_DIFFERS = (
    "Cannot conclude: nothing differs from the control group by more than chance{adjusted}."
)
TOO_FEW_ANSWERS = "too few answers: {n}, between {ends}"
NO_COHORT = "no month of registrations is {days} days old yet"
WEEKS_KNOWN = "Whole weeks known: {last}."
NO_WEEK_DIFFERS = (
    "Cannot conclude: in no week does an arm differ from the control group by more than"
    " chance{adjusted}."
)
WEEKS_DIFFER = "By more than chance{adjusted}: {said}."
EVERYBODY = "everybody"
RETENTION = "Buyers by week and arm"
FIRST_PERIOD = "Ordered in the first {days} days after registration: {share}"
LATER_PERIOD = "; in the days {first} to {last}, of the months that are so old: {share}"
TRIANGLE = "Cohorts: who buys again"
REFUSALS = "Why deals are lost, and who comes back"
NOT_RECOVERABLE = "(cannot be won back)"
NO_REASON_GIVEN = "no reason given"
AFTER_REACTIVATION = "After the return: from reactivated to a deal won"
REACTIVATION = "The reactivation campaign against its control group"
DEAL_KINDS = "New and repeat deals"
PANEL = "What else changed, by arm"
FORM_MIX = "Through which form people came"
CONTENTS = "What the base holds for this page"

OUTCOMES = {
    "is_active": "bought in the last {days} days",
    "is_lost": "recorded as lost",
    "unsubscribed": "unsubscribed",
    "complained": "complained",
    "answered": "answered the survey",
}
NET_SCORE = "NPS of those who answered"
SATISFACTION = "CSAT of those who answered"
FEW_ANSWERS = "too few answers: {n}"
MEAN_OF = "{mean} on average of {n}"
CONTROL_NOT_MAILED = (
    "The control group received no message of the campaign, so it could unsubscribe or complain"
    " only about others: a higher share among those written to is the price of writing."
)
PANEL_BASIS = (
    "Everybody drawn counts, answered or not; only NPS and CSAT are of those who answered, and"
    " therefore observational."
)
WINDOW_OPEN = "The window is open until {end}; the data end on {until}, so this is not the result."
SHARED = (
    "{n} customers were drawn together with somebody who shares their contact; the intervals take"
    " all customers as independent."
)

NEEDS: tuple[tuple[str, str], ...] = (
    ("form_submission", "registrations: by form and landing, first week, funnel, cohorts"),
    ("form", "names of the forms, and which landing each belongs to"),
    ("landing", "names of the landings"),
    ("deal", "deals: first week, funnel, refusals, new and repeat, reactivation"),
    ("refusal_reason", "names of the refusal reasons, and which of them can be won back"),
    ("lifecycle_history", "who was reactivated and who is lost"),
    ("survey_response", "NPS and CSAT"),
    ("send", "who was contacted, clicks and purchases by channel"),
    ("orders", "who buys again, week by week"),
)
"""Tables of the gateway, and what each gives this page."""
ALL_THERE = "Everything that this page needs is there."
MISSING = "Missing: {tables}. What needs them is left empty and says so."
