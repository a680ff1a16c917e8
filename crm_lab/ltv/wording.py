"""Every sentence that lifetime value says to a person, in one place, so that it can be translated.

Numbers come in as numbers and are written by :mod:`crm_lab.formats`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date

from crm_lab.formats import (
    decimals_for,
    interval,
    listing,
    money,
    number,
    number_interval,
    percent,
)

UNIT_NAMES: Mapping[float, tuple[str, str]] = {
    1: ("day", "days"),
    7: ("week", "weeks"),
    30: ("30-day month", "30-day months"),
    365: ("year", "years"),
}

VALUE_WORDS = {"revenue": "revenue", "margin": "margin"}

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
PURCHASE_TITLE = "Purchases: {model}"
COVARIATE_TITLE = "Purchases with covariates: {model}"
AS_GIVEN = "histories as they were given, without a purchase log behind them"
POLICIES: tuple[str, ...] = (
    "several orders of a customer on a day are one purchase day",
    "the first purchase day is the start of a customer and no repeat",
    "times are days divided by the unit, never calendar periods",
    "refunds are netted in the total of their day; a day with refunds only is no purchase day",
    "repeat purchase days with a total of 0 or less count as purchases and are left out of spend",
)

PROGRESS = "Refitting"
VALIDATION_METHOD = (
    "fitted on the calibration period alone, compared with the repeat purchases of the same"
    " customers in the holdout"
)
BASELINE_NAMES: Mapping[str, str] = {
    "same_rate": "Each customer going on at the same rate",
    "last_period": "Each customer repeating the last period",
}
NO_AMOUNTS = "the history carries no amounts of repeat purchases"
NO_OBSERVATION_TIME = "every customer bought first on the last day of the history: no time to see"
NOT_CONVERGED = "the fit did not converge ({detail})"
COLLAPSED = (
    "the fit shows no drop-out at all ({measure} {dropout}): {model} has collapsed to the plain"
    " {plain}, in which everybody stays a customer for ever"
)
DROPOUT_MEASURES: Mapping[str, str] = {
    "bg_nbd": "mean drop-out probability",
    "mbg_nbd": "mean drop-out probability",
    "pareto_nbd": "share who leave within the longest history",
    "bg_bb": "mean drop-out probability",
}
NO_DROPOUT_SEEN = (
    "drop-out cannot be told from none: the plain NBD, in which nobody leaves, fits as well"
    " (log-likelihood lower by {difference} only)"
)
WIDE = (
    "the data say little about {names}: the interval spans a factor of {factor} or more, so read"
    " forecasts rather than single parameters"
)
EVERYBODY_ALIKE = "all customers have the same history, so nothing says how they differ"
WEAK = "these histories do not determine the parameters ({names} run off to an extreme)"
NO_ERRORS = "the standard errors do not exist at the optimum, so the parameters are not determined"
NO_MEAN_SPEND = (
    "the spend model has no mean (q = {q}, must be above 1): a few very large purchases dominate"
)
TOO_FEW_REFITS = "only {done} of {asked} refits succeeded, too few for an interval"

HEALTH_WORDS: Mapping[str, str] = {
    "rows": "rows read",
    "rows_after_as_of": "rows after the closing day: left out",
    "same_day_orders": "further orders on the same day: merged into one purchase day",
    "refund_rows": "rows with a negative amount: netted in the total of their day",
    "refund_only_days": "days with refunds only: no purchase day",
    "customers_without_purchase": "customers without a purchase until the closing day: left out",
    "unpaid_repeat_days": "repeat purchase days with a total of 0 or less: kept as purchases,"
    " left out of the spend model",
}


def unit_name(unit_days: float, count: float = 2) -> str:
    """Name the time unit of a history."""
    one, many = UNIT_NAMES.get(unit_days, (f"{unit_days:g}-day unit", f"{unit_days:g}-day units"))
    return one if count == 1 else many


def span(periods: float, unit_days: float) -> str:
    """Write a length of time: ``39 weeks``."""
    decimals = 0 if float(periods).is_integer() else 1
    return f"{number(periods, decimals=decimals)} {unit_name(unit_days, periods)}"


def history_sentence(
    *, customers: int, repeaters: int, as_of: date, notes: Mapping[str, int]
) -> str:
    """Say who is in a purchase history and what was left out."""
    text = (
        f"{number(customers)} customers until {as_of:%Y-%m-%d}; {number(repeaters)}"
        f" ({percent(repeaters / customers)}) bought on more than one day."
    )
    parts = [f"{number(count)} {HEALTH_WORDS[key]}" for key, count in notes.items() if count]
    return f"{text} {capital('; '.join(parts))}." if parts else text


def too_few(what: str, found: int, needed: int) -> str:
    """Say that there is too little of something."""
    return f"only {number(found)} {what}, at least {number(needed)} are needed"


def no_forecast(what: str, reason: str) -> str:
    """Say that a result gives no estimate."""
    return f"No {what}: {reason}."


def bg_nbd_sentence(
    *, customers: int, monthly_rate: float, dropout: float, first_too: bool = False
) -> str:
    """Say what a BG/NBD or MBG/NBD fit has found."""
    after = "a purchase, the first included" if first_too else "a repeat purchase"
    return (
        f"{number(customers)} customers: while active they come back"
        f" {number(monthly_rate, decimals=2)} times in 30 days on average, and"
        f" {percent(dropout)} leave after {after}."
    )


def pareto_nbd_sentence(*, customers: int, monthly_rate: float, left: float) -> str:
    """Say what a Pareto/NBD fit has found."""
    return (
        f"{number(customers)} customers: while active they come back"
        f" {number(monthly_rate, decimals=2)} times in 30 days on average, and"
        f" {percent(left)} leave in the first 365 days."
    )


def bg_bb_sentence(*, customers: int, buys: float, leaves: float) -> str:
    """Say what a BG/BB fit has found."""
    return (
        f"{number(customers)} customers: while active they use {percent(buys)} of the"
        f" opportunities, and {percent(leaves)} leave before each."
    )


def covariate_sentence(*, base: str, effects: list[str]) -> str:
    """Say what a fit with covariates has found; effects compare customers as they are."""
    return f"{base} {' '.join(effects)} These are differences between customers, not effects."


def covariate_effect(*, name: str, rate: float, low: float, high: float) -> str:
    """Say how one covariate goes with the rate of purchases."""
    return (
        f"One more of {name} goes with {number(rate, decimals=2)} times the purchase rate"
        f" ({interval(low, high, decimals=2)})."
    )


def cross_check_sentence(*, model: str, difference: float, limit: float, agrees: bool) -> str:
    """Say whether two packages agree on the likelihood of the same data."""
    if agrees:
        return (
            f"{model}: the package lifetimes reaches the same likelihood (difference"
            f" {difference:.1e}, at most {limit:g} allowed)."
        )
    return (
        f"{model}: the package lifetimes ends {abs(difference):.3g} log-likelihood units"
        f" {'below' if difference > 0 else 'above'} our optimum; do not publish before this is"
        " understood."
    )


def no_cross_check(model: str, reason: str) -> str:
    """Say that two packages could not be compared."""
    return f"{model} was not cross-checked: {reason}."


def with_warnings(text: str, warnings: tuple[str, ...]) -> str:
    """Add warnings to a sentence."""
    return " ".join([text, *(f"Note: {warning}." for warning in warnings)])


def gamma_gamma_sentence(*, repeaters: int, mean: float, currency: str, independence: str) -> str:
    """Say what a Gamma-Gamma fit has found."""
    return (
        f"{number(repeaters)} repeat customers: the average customer spends"
        f" {money(mean, currency, decimals=2).rstrip()} on a purchase day. {independence}"
    )


def independence_sentence(correlation: float, low: float, high: float, *, limit: float) -> str:
    """Say whether spend per purchase goes with the number of purchases."""
    figures = (
        f"correlation of frequency and spend {number(correlation, decimals=2)}"
        f" ({interval(low, high, decimals=2)})"
    )
    if correlation > limit:
        return (
            f"Warning: who buys more often also spends more each time ({figures}); the model takes"
            " the two as independent, so the value of the best customers comes out too low."
        )
    if correlation < -limit:
        return (
            f"Warning: who buys more often spends less each time ({figures}); the model takes the"
            " two as independent, so the value of frequent customers comes out too high."
        )
    return f"Frequency and spend are near enough to independent ({figures})."


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
    text = (
        f"In the next {span(periods, unit_days)} these {number(customers)} customers are expected"
        f" to order {number_interval(*orders)} times ({percent(1 - alpha, decimals=0)} prediction"
        f" interval), {percent(ordering[0], decimals=0)} of them at least once."
    )
    if value_reason:
        text += f" No forecast of value: {value_reason}."
    else:
        text += (
            f" Expected {VALUE_WORDS[value_kind]}:"
            f" {f'{number_interval(*value)} {currency}'.rstrip()}."
        )
    return f"{text} {failures}".rstrip()


NOT_TESTED = "Not tested on held-out time yet: do not rely on it."


def tested_sentence(*, periods: float, unit_days: float, error: float, is_inside: bool) -> str:
    """Say what a forecast of the same kind was worth on held-out time."""
    direction = "too high" if error > 0 else "too low"
    found = f"{percent(abs(error))} {direction}"
    when = f"Tested on the {span(periods, unit_days)} before, such a forecast was {found}"
    if is_inside:
        return f"{when}, within its interval."
    return (
        f"{when}, outside its interval: these intervals are too narrow, expect errors that large."
    )


def refit_failures(failed: int, asked: int) -> str:
    """Say that some bootstrap refits failed; empty when none did."""
    if not failed:
        return ""
    return f"{number(failed)} of {number(asked)} refits failed and are left out of the interval."


def validation_sentence(
    *,
    periods: float,
    unit_days: float,
    expected: tuple[float, float, float],
    actual: int,
    alpha: float,
    baseline_name: str,
    baseline_error: float,
) -> str:
    """Say what the forecast would have been worth in the periods held out."""
    estimate, low, high = expected
    error = estimate / actual - 1 if actual else float("nan")
    inside = "inside" if low <= actual <= high else "outside"
    if actual:
        direction = "too high" if error > 0 else "too low"
        verdict = f"{percent(abs(error))} {direction}, {inside} the interval"
    else:
        verdict = f"{inside} the interval"
    text = (
        f"In the {span(periods, unit_days)} held out it expected {number(estimate)} repeat"
        f" purchases ({percent(1 - alpha, decimals=0)} prediction interval"
        f" {interval(low, high, decimals=0)}); {number(actual)} happened: {verdict}."
    )
    if actual and baseline_name:
        better = "worse" if abs(baseline_error) > abs(error) else "better"
        way = "high" if baseline_error > 0 else "low"
        text += (
            f" {baseline_name} would have been {better}: {percent(abs(baseline_error))} too {way}."
        )
    return text


def value_check(
    *, expected: tuple[float, float, float], actual: float, currency: str, value_kind: str
) -> str:
    """Say whether the value came as expected; empty where there is nothing to compare."""
    _, low, high = expected
    if not all(map(math.isfinite, (*expected, actual))):
        return ""
    inside = "inside" if low <= actual <= high else "outside"
    places = min(decimals_for(low, high), 2)
    unit = f" {currency}" if currency else ""
    return (
        f"{capital(VALUE_WORDS[value_kind])}: {number_interval(*expected)}{unit} expected,"
        f" {number(actual, decimals=places)}{unit} came, {inside} the interval."
    )


def gate_sentence(reason: str) -> str:
    """Say that a forecast must not be published; empty where it may."""
    return f"Not for publication: {reason}." if reason else ""


def reasons(parts: list[str]) -> str:
    """Join reasons into one."""
    return "; ".join(parts)


def names(words: list[str]) -> str:
    """Write names for a message."""
    return listing(words)


def capital(text: str) -> str:
    """Begin a text with a capital letter."""
    return text[:1].upper() + text[1:]


PLOT_ACTUAL = "happened"
PLOT_EXPECTED = "expected"
PLOT_FITTED = "model, on the data it was fitted to"
PLOT_FORECAST = "forecast"
PLOT_CUMULATIVE = "added up"
PLOT_TRACKING_TITLE = "Did the forecast keep up with what happened?"
PLOT_TRACKING_Y = "repeat purchases since the start (number)"
PLOT_FREQUENCY_TITLE = "For whom was the forecast right?"
PLOT_FREQUENCY_X = "repeat purchases before the holdout (customers)"
PLOT_FORECAST_X = "tenth of the customers, best first"
NOTHING_EXPECTED = "nothing is expected of these customers in this horizon"


def plot_interval(alpha: float) -> str:
    """Name the interval in a legend."""
    return f"{percent(1 - alpha, decimals=0)} prediction interval"


def plot_tracking_x(unit_days: float) -> str:
    """Name the time axis."""
    return f"date (one step is one {unit_name(unit_days, 1)})"


def plot_frequency_y(length: str) -> str:
    """Name the axis of the mean purchases in the holdout."""
    return f"purchases in {length} held out (mean per customer)"


def plot_forecast_title(*, by_value: bool) -> str:
    """Ask where the expectation lies."""
    what = "value" if by_value else "orders"
    return f"How much of the expected {what} do the best customers carry?"


def plot_forecast_y(length: str, *, by_value: bool) -> str:
    """Name the axis of the shares."""
    what = "value" if by_value else "orders"
    return f"share of the expected {what} of {length} (%)"


SAVE_AGAIN = "fit the model again and save it"
