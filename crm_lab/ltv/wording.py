"""Every sentence that lifetime value says to a person, in one place.

Numbers come in as numbers and are written by :mod:`crm_lab.formats`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date

import pandas as pd

from crm_lab.formats import (
    currency_name,
    day,
    decimals_for,
    interval,
    listing,
    money,
    number,
    number_interval,
    percent,
    separated,
)
from crm_lab.language import current_language, message, say, say_many

VALUE_WORDS = {"revenue": message("revenue"), "margin": message("margin")}

BOOTSTRAP_METHOD = (
    "Prediction interval: {refits} refits on customers drawn again with replacement (parameters),"
    " plus each customer's own chance purchases; gamma law with the variance of both."
    " It does not carry that the model itself may be wrong; the validation shows that."
)
OWN_METHOD = (
    "maximum likelihood on distinct weighted histories: Newton's method on log-parameters with"
    " analytic gradient and Hessian; covariance by the delta method"
)
LIFETIMES_METHOD = "maximum likelihood by the package lifetimes, on distinct weighted histories"
LIFETIMES_COVARIANCE = "covariance from our own Hessian at its optimum, by the delta method"

MODEL_NAMES: Mapping[str, str] = {
    "bg_nbd": "BG/NBD",
    "mbg_nbd": "MBG/NBD",
    "pareto_nbd": "Pareto/NBD",
    "bg_bb": "BG/BB",
    "gamma_gamma": "Gamma-Gamma",
}
FORECAST_TITLE = message("Lifetime forecast")
VALIDATION_TITLE = message("Forecast against what happened")
CROSS_CHECK_TITLE = message("Cross-check by the package lifetimes")
SPEND_TITLE = message("Spend per purchase: Gamma-Gamma")
PURCHASE_TITLE = message("Purchases: {model}")
COVARIATE_TITLE = message("Purchases with covariates: {model}")
HISTORY_TITLE = message("Purchase history")
AS_GIVEN = "histories as they were given, without a purchase log behind them"
POLICIES: tuple[str, ...] = (
    "several orders of a customer on a day are one purchase day",
    "the first purchase day is the start of a customer and no repeat",
    "times are days divided by the unit, never calendar periods",
    "refunds are netted in the total of their day; a day with refunds only is no purchase day",
    "repeat purchase days with a total of 0 or less count as purchases and are left out of spend",
)

PROGRESS = message("Refitting")
VALIDATION_METHOD = (
    "fitted on the calibration period alone, compared with the repeat purchases of the same"
    " customers in the holdout"
)
BASELINE_NAMES: Mapping[str, str] = {
    "same_rate": message("Each customer going on at the same rate"),
    "last_period": message("Each customer repeating the last period"),
}
NO_FORECAST = message("No forecast: {reason}.")
NO_COMPARISON = message("No forecast to compare: {reason}.")
NO_PURCHASE_MODEL = message("No purchase model to rely on: {reason}.")
NO_SPEND_MODEL = message("No spend model to rely on: {reason}.")
NO_COVARIATE_MODEL = message("No model with covariates to rely on: {reason}.")
NO_AMOUNTS = message("the history carries no amounts of repeat purchases")
NO_OBSERVATION_TIME = message(
    "every customer bought first on the last day of the history: no time to see"
)
WITH_COVARIATES = message("with covariates")
BETA_BINOMIAL = message("beta-binomial")
BASE_PARAMETERS = message("base parameters")
NOT_CONVERGED = message("the fit did not converge ({detail})")
COLLAPSED = message(
    "the fit shows no drop-out at all ({measure} {dropout}): {model} has collapsed to the plain"
    " {plain}, in which everybody stays a customer for ever"
)
DROPOUT_MEASURES: Mapping[str, str] = {
    "bg_nbd": message("mean drop-out probability"),
    "mbg_nbd": message("mean drop-out probability"),
    "pareto_nbd": message("share who leave within the longest history"),
    "bg_bb": message("mean drop-out probability"),
}
NO_DROPOUT_SEEN = message(
    "drop-out cannot be told from none: the plain NBD, in which nobody leaves, fits as well"
    " (log-likelihood lower by {difference} only)"
)
WIDE = message(
    "the data say little about {names}: the interval spans a factor of {factor} or more, so read"
    " forecasts rather than single parameters"
)
EVERYBODY_ALIKE = message("all customers have the same history, so nothing says how they differ")
WEAK = message("these histories do not determine the parameters ({names} run off to an extreme)")
NO_ERRORS = message(
    "the standard errors do not exist at the optimum, so the parameters are not determined"
)
NO_MEAN_SPEND = message(
    "the spend model has no mean (q = {q}, must be above 1): a few very large purchases dominate"
)
TOO_FEW_REFITS = message("only {done} of {asked} refits succeeded, too few for an interval")

HEALTH_WORDS: Mapping[str, str] = {
    "rows": message("rows read"),
    "rows_after_as_of": message("rows after the closing day: left out"),
    "same_day_orders": message("further orders on the same day: merged into one purchase day"),
    "refund_rows": message("rows with a negative amount: netted in the total of their day"),
    "refund_only_days": message("days with refunds only: no purchase day"),
    "customers_without_purchase": message(
        "customers without a purchase until the closing day: left out"
    ),
    "unpaid_repeat_days": message(
        "repeat purchase days with a total of 0 or less: kept as purchases,"
        " left out of the spend model"
    ),
}


SCARCE: Mapping[str, str] = {
    "customers": message("only {found} customers, at least {needed} are needed"),
    "repeaters": message(
        "only {found} customers with a repeat purchase, at least {needed} are needed"
    ),
    "spenders": message(
        "only {found} customers with a paid repeat purchase, at least {needed} are needed"
    ),
    "returned": message("only {found} customers who came back, at least {needed} are needed"),
    "days": message("only {found} days of history, at least {needed} are needed"),
    "held out": message("only {found} days held out, at least {needed} are needed"),
}


SYMBOLS: tuple[str, ...] = (
    message("alpha"),
    message("beta"),
    message("gamma"),
    message("delta"),
)


def with_symbols(frame: pd.DataFrame) -> pd.DataFrame:
    """Give a table of parameters with their names as people read them."""
    return frame.assign(parameter=frame["parameter"].map(say))


def span(periods: float, unit_days: float) -> str:
    """Write a length of time: ``39 weeks``."""
    is_whole = float(periods).is_integer()
    text = number(periods, decimals=0 if is_whole else 1)
    count = int(periods) if is_whole else 2  # fractions take the form of a few
    if unit_days == 1:
        return say_many("{periods} day", "{periods} days", count, periods=text)
    if unit_days == 7:
        return say_many("{periods} week", "{periods} weeks", count, periods=text)
    if unit_days == 30:
        return say_many("{periods} 30-day month", "{periods} 30-day months", count, periods=text)
    if unit_days == 365:
        return say_many("{periods} year", "{periods} years", count, periods=text)
    return say_many(
        "{periods} {days}-day unit",
        "{periods} {days}-day units",
        count,
        periods=text,
        days=separated(f"{unit_days:g}"),
    )


def customers_text(count: int) -> str:
    """Write a number of customers."""
    return say_many("{count} customer", "{count} customers", count)


def share_of_sure(alpha: float) -> str:
    """Write the nominal coverage of an interval."""
    return percent(1 - alpha, decimals=0)


def amount(each: tuple[float, float, float], currency: str) -> str:
    """Write an amount with its interval and its currency, where it has one."""
    if not currency or current_language() == "en":
        return f"{number_interval(*each)} {currency}".rstrip()
    value, space, ends = number_interval(*each).partition(" (")
    return f"{value}\u00a0{currency_name(currency)}{space}{ends}"


def history_sentence(
    *, customers: int, repeaters: int, as_of: date, notes: Mapping[str, int]
) -> str:
    """Say who is in a purchase history and what was left out."""
    text = say_many(
        "{count} customer until {as_of}; {repeaters} ({share}) bought on more than one day.",
        "{count} customers until {as_of}; {repeaters} ({share}) bought on more than one day.",
        customers,
        as_of=day(as_of),
        repeaters=number(repeaters),
        share=percent(repeaters / customers),
    )
    parts = [
        say("{count} {what}", count=number(count), what=say(HEALTH_WORDS[key]))
        for key, count in notes.items()
        if count
    ]
    return f"{text} {capital('; '.join(parts))}." if parts else text


def too_few(what: str, found: int, needed: int) -> str:
    """Say that there is too little of something; ``what`` is a key of ``SCARCE``."""
    return say(SCARCE[what], found=number(found), needed=number(needed))


def bg_nbd_sentence(
    *, customers: int, monthly_rate: float, dropout: float, first_too: bool = False
) -> str:
    """Say what a BG/NBD or MBG/NBD fit has found."""
    values = {
        "customers": customers_text(customers),
        "rate": number(monthly_rate, decimals=2),
        "dropout": percent(dropout),
    }
    if first_too:
        return say(
            "{customers}: while active they come back {rate} times in 30 days on average, and"
            " {dropout} leave after a purchase, the first included.",
            **values,
        )
    return say(
        "{customers}: while active they come back {rate} times in 30 days on average, and"
        " {dropout} leave after a repeat purchase.",
        **values,
    )


def pareto_nbd_sentence(*, customers: int, monthly_rate: float, left: float) -> str:
    """Say what a Pareto/NBD fit has found."""
    return say(
        "{customers}: while active they come back {rate} times in 30 days on average, and"
        " {left} leave in the first 365 days.",
        customers=customers_text(customers),
        rate=number(monthly_rate, decimals=2),
        left=percent(left),
    )


def bg_bb_sentence(*, customers: int, buys: float, leaves: float) -> str:
    """Say what a BG/BB fit has found."""
    return say(
        "{customers}: while active they use {buys} of the opportunities, and {leaves} leave"
        " before each.",
        customers=customers_text(customers),
        buys=percent(buys),
        leaves=percent(leaves),
    )


def covariate_sentence(*, customers: int, effects: list[str]) -> str:
    """Say what a fit with covariates has found; effects compare customers as they are."""
    caution = say("These are differences between customers, not effects.")
    return " ".join([f"{customers_text(customers)}.", *effects, caution])


def covariate_effect(*, name: str, rate: float, low: float, high: float) -> str:
    """Say how one covariate goes with the rate of purchases."""
    return say(
        "One more of {name} goes with {rate} times the purchase rate ({interval}).",
        name=name,
        rate=number(rate, decimals=2),
        interval=interval(low, high, decimals=2),
    )


def cross_check_sentence(*, model: str, difference: float, limit: float, agrees: bool) -> str:
    """Say whether two packages agree on the likelihood of the same data."""
    if agrees:
        return say(
            "{model}: the package lifetimes reaches the same likelihood (difference"
            " {difference}, at most {limit} allowed).",
            model=model,
            difference=separated(f"{difference:.1e}"),
            limit=separated(f"{limit:g}"),
        )
    units = separated(f"{abs(difference):.3g}")
    if difference > 0:
        return say(
            "{model}: the package lifetimes ends {units} log-likelihood units below our optimum;"
            " do not publish before this is understood.",
            model=model,
            units=units,
        )
    return say(
        "{model}: the package lifetimes ends {units} log-likelihood units above our optimum;"
        " do not publish before this is understood.",
        model=model,
        units=units,
    )


def no_cross_check(model: str, reason: str) -> str:
    """Say that two packages could not be compared."""
    return say("{model} was not cross-checked: {reason}.", model=model, reason=reason)


def with_warnings(text: str, warnings: tuple[str, ...]) -> str:
    """Add warnings to a sentence."""
    return " ".join([text, *(say("Note: {warning}.", warning=warning) for warning in warnings)])


def gamma_gamma_sentence(*, repeaters: int, mean: float, currency: str, independence: str) -> str:
    """Say what a Gamma-Gamma fit has found."""
    found = say_many(
        "{count} repeat customer: the average customer spends {mean} on a purchase day.",
        "{count} repeat customers: the average customer spends {mean} on a purchase day.",
        repeaters,
        mean=money(mean, currency, decimals=2).rstrip(),
    )
    return f"{found} {independence}"


def independence_sentence(correlation: float, low: float, high: float, *, limit: float) -> str:
    """Say whether spend per purchase goes with the number of purchases."""
    figures = say(
        "correlation of frequency and spend {correlation} ({interval})",
        correlation=number(correlation, decimals=2),
        interval=interval(low, high, decimals=2),
    )
    if correlation > limit:
        return say(
            "Warning: who buys more often also spends more each time ({figures}); the model takes"
            " the two as independent, so the value of the best customers comes out too low.",
            figures=figures,
        )
    if correlation < -limit:
        return say(
            "Warning: who buys more often spends less each time ({figures}); the model takes the"
            " two as independent, so the value of frequent customers comes out too high.",
            figures=figures,
        )
    return say("Frequency and spend are near enough to independent ({figures}).", figures=figures)


EXPECTED_OF: Mapping[str, str] = {
    "revenue": message("Expected revenue: {value}."),
    "margin": message("Expected margin: {value}."),
}


def forecast_sentence(
    *,
    customers: int,
    periods: float,
    unit_days: float,
    orders: tuple[float, float, float],
    value: tuple[float, float, float],
    ordering: tuple[float, float, float],
    currency: str,
    value_kind: str,
    value_reason: str,
    alpha: float,
    failures: str,
) -> str:
    """Say what a base of customers is expected to bring."""
    orders_said = say(
        "In the next {length} these {customers} are expected to order {orders} times ({sure}"
        " prediction interval), {ordering} of them at least once.",
        length=span(periods, unit_days),
        customers=customers_text(customers),
        orders=number_interval(*orders),
        sure=share_of_sure(alpha),
        ordering=percent(ordering[0], decimals=0),
    )
    if value_reason:
        value_said = say("No forecast of value: {reason}.", reason=value_reason)
    else:
        value_said = say(EXPECTED_OF[value_kind], value=amount(value, currency))
    return f"{orders_said} {value_said} {failures}".rstrip()


NOT_TESTED = message("Not tested on held-out time yet: do not rely on it.")
OUTSIDE_TESTED = message(
    "Tested on the {length} before, such a forecast was {error}, outside its interval: these"
    " intervals are too narrow, expect errors that large."
)


def tested_sentence(*, periods: float, unit_days: float, error: float, is_inside: bool) -> str:
    """Say what a forecast of the same kind was worth on held-out time."""
    values = {"length": span(periods, unit_days), "error": off_by(error)}
    if is_inside:
        return say(
            "Tested on the {length} before, such a forecast was {error}, within its interval.",
            **values,
        )
    return say(OUTSIDE_TESTED, **values)


def off_by(error: float, *, decimals: int = 1) -> str:
    """Write a relative error in words: ``5.0 % too high``."""
    share = percent(abs(error), decimals=decimals)
    if error > 0:
        return say("{share} too high", share=share)
    return say("{share} too low", share=share)


def refit_failures(failed: int, asked: int) -> str:
    """Say that some bootstrap refits failed; empty when none did."""
    if not failed:
        return ""
    return say(
        "{failed} of {asked} refits failed and are left out of the interval.",
        failed=number(failed),
        asked=number(asked),
    )


def validation_sentence(
    *,
    periods: float,
    unit_days: float,
    expected: tuple[float, float, float],
    actual: int,
    alpha: float,
    baseline_error: float,
) -> str:
    """Say what the forecast would have been worth in the periods held out."""
    estimate, low, high = expected
    verdict = inside_or_outside(low <= actual <= high)
    error = estimate / actual - 1 if actual else math.nan
    if actual:
        verdict = f"{off_by(error)}, {verdict}"
    text = say(
        "In the {length} held out it expected {expected} repeat purchases ({sure} prediction"
        " interval {interval}); {actual} happened: {verdict}.",
        length=span(periods, unit_days),
        expected=number(estimate),
        sure=share_of_sure(alpha),
        interval=interval(low, high, decimals=0),
        actual=number(actual),
        verdict=verdict,
    )
    if not actual:
        return text
    values = {"rule": say(BASELINE_NAMES["same_rate"]), "error": off_by(baseline_error)}
    if abs(baseline_error) > abs(error):
        rule_said = say("{rule} would have been worse: {error}.", **values)
    else:
        rule_said = say("{rule} would have been better: {error}.", **values)
    return f"{text} {rule_said}"


def inside_or_outside(is_inside: bool) -> str:
    """Say on which side of its interval something came."""
    return say("inside the interval") if is_inside else say("outside the interval")


def value_check(
    *, expected: tuple[float, float, float], actual: float, currency: str, value_kind: str
) -> str:
    """Say whether the value came as expected; empty where there is nothing to compare."""
    _, low, high = expected
    if not all(map(math.isfinite, (*expected, actual))):
        return ""
    came = number(actual, decimals=min(decimals_for(low, high), 2))
    return say(
        "{what}: {expected} expected, {came} came, {verdict}.",
        what=capital(say(VALUE_WORDS[value_kind])),
        expected=amount(expected, currency),
        came=f"{came} {currency_name(currency)}".rstrip(),
        verdict=inside_or_outside(low <= actual <= high),
    )


def gate_sentence(reason: str) -> str:
    """Say that a forecast must not be published; empty where it may."""
    return say("Not for publication: {reason}.", reason=reason) if reason else ""


def names(words: list[str]) -> str:
    """Write names for a message."""
    return listing(words)


def capital(text: str) -> str:
    """Begin a text with a capital letter."""
    return text[:1].upper() + text[1:]


SAVE_AGAIN = message("fit the model again and save it")
