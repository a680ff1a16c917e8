"""Every sentence about predicted value, cohorts and the worth of a forecast, in one place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from crm_lab.formats import (
    currency_name,
    day,
    decimals_for,
    interval,
    money_interval,
    number,
    number_interval,
    percent,
)
from crm_lab.headlines import HeadlineNumber
from crm_lab.language import message, say, say_many, word
from crm_lab.ltv.wording import (
    VALUE_WORDS,
    amount,
    capital,
    customers_text,
    off_by,
    share_of_sure,
    span,
    with_warnings,
)

if TYPE_CHECKING:
    from crm_lab.ltv.contrast import LifetimeContrast
    from crm_lab.ltv.forecast import Estimate
    from crm_lab.ltv.gate import ForecastVerdict
    from crm_lab.ltv.predictions import LifetimePredictions
    from crm_lab.ltv.rolling import Origin, RollingOrigin

BG_NBD = "BG/NBD"
NBD = "NBD"

CONTRAST_TITLE = message("What the treatment adds to the value of a customer")
CONTRAST_METHOD = (
    "each arm its own purchase and spend model on the time since the draw; standard error from"
    " {refits} draws of the customers of each arm with both models refitted; normal interval"
)
EVIDENCE: Mapping[str, str] = {
    "so far": "randomised, measured, no model",
    "ahead": "randomised arms, expected by models of the window",
    "together": "randomised, part measured and part expected",
}
NO_ARM_MODEL = message("no model fits the orders of an arm")
REFITS_FAILED = message("{failed} of {refits} refits failed, too many for an interval")
NOBODY_LEAVES = message(
    "in so short a window nobody is seen to leave, so orders ahead are taken to go on for ever and"
    " may be too many"
)
EARLY_LOOK = message(
    "the window of the plan is not over, so this is an early look and decides nothing"
)
FAR_AHEAD = message(
    "the horizon is many times the window; nothing in these data says that the effect lasts"
)
SCARCE_IN_ARM: Mapping[str, str] = {
    "customers": message(
        "arm '{arm}' has only {found} customers, at least {needed} are needed for a model of it"
    ),
    "buyers": message(
        "arm '{arm}' has only {found} customers with an order, at least {needed} are needed for a"
        " model of it"
    ),
    "payers": message(
        "arm '{arm}' has only {found} customers with a paid order, at least {needed} are needed"
        " for a model of it"
    ),
}


def arm_too_small(arm: str, what: str, found: int, needed: int) -> str:
    """Say that an arm has too little to carry a model; ``what`` is a key of ``SCARCE_IN_ARM``."""
    return say(SCARCE_IN_ARM[what], arm=arm, found=number(found), needed=number(needed))


def contrast_sentence(result: LifetimeContrast) -> str:
    """Say what a treatment adds per customer."""
    so_far = result.part("so far")
    measured = {
        "start": day(result.starts_on),
        "found": signed(so_far.difference, so_far.low, so_far.high, result.currency),
    }
    if result.reason:
        nothing = say("Nothing can be said about the time ahead: {reason}.", reason=result.reason)
        return f"{nothing} {say('Measured since {start}: {found} per customer.', **measured)}"
    both = result.part("together")
    values = {
        "arm": result.treatment,
        "length": span(result.periods, result.unit_days),
        "found": signed(both.difference, both.low, both.high, result.currency),
        "what": say(VALUE_WORDS[result.value_kind]),
        "sure": share_of_sure(result.alpha),
    }
    if both.low <= 0 <= both.high:
        text = say(
            "Cannot conclude that '{arm}' changes the value of a customer: until {length} ahead"
            " {found} of {what} per customer ({sure} interval).",
            **values,
        )
    elif both.difference > 0:
        text = say(
            "'{arm}' adds to the value of a customer: until {length} ahead {found} of {what} per"
            " customer ({sure} interval), if the effect lasts.",
            **values,
        )
    else:
        text = say(
            "'{arm}' takes from the value of a customer: until {length} ahead {found} of {what} per"
            " customer ({sure} interval), if the effect lasts.",
            **values,
        )
    evidence = word(EVIDENCE["so far"])
    measured_said = say(
        "Measured since {start}: {found} per customer, {evidence}.", **measured, evidence=evidence
    )
    return with_warnings(f"{text} {measured_said}", result.warnings)


def signed(estimate: float, low: float, high: float, currency: str) -> str:
    """Write a difference in money with its interval."""
    return money_interval(estimate, low, high, currency).replace("  ", " ")


PREDICTIONS_TITLE = message("What each customer is expected to bring")
PREDICTIONS_METHOD = (
    "per customer: delta method on the whole covariance of the log-parameters of both models;"
    " totals: the same, plus each customer's own chance drawn from the model; the model is taken"
    " as true"
)


def predictions_sentence(result: LifetimePredictions) -> str:
    """Say what a base is expected to do and to bring."""
    if result.reason:
        return say("No predictions: {reason}.", reason=result.reason)
    values = {
        "length": span(result.periods, result.unit_days),
        "share": percent(result.share_ordering, decimals=0),
        "customers": customers_text(result.n_customers),
        "orders": estimate_text(result.orders),
    }
    if result.value_reason:
        return say(
            "In the next {length} {share} of {customers} are expected to order, together {orders}"
            " times. No value: {reason}.",
            **values,
            reason=result.value_reason,
        )
    values |= {
        "what": say(VALUE_WORDS[result.value_kind]),
        "value": amount(result.value.as_tuple(), result.currency),
        "sure": share_of_sure(result.alpha),
    }
    if result.discount_rate:
        return say(
            "In the next {length} {share} of {customers} are expected to order, together {orders}"
            " times; {what} {value}, discounted by {rate} a year ({sure} prediction intervals, if"
            " the model is right).",
            **values,
            rate=percent(result.discount_rate),
        )
    return say(
        "In the next {length} {share} of {customers} are expected to order, together {orders}"
        " times; {what} {value} ({sure} prediction intervals, if the model is right).",
        **values,
    )


def total_headline(
    result: ForecastVerdict | LifetimePredictions, *, by_value: bool
) -> HeadlineNumber:
    """Give the total value or orders as the one number of a card or page."""
    length = span(result.periods, result.unit_days)
    if by_value:
        total, label = (
            result.value,
            say(
                "{what} of the next {length}, {currency}",
                what=capital(say(VALUE_WORDS[result.value_kind])),
                length=length,
                currency=currency_name(result.currency),
            ),
        )
    else:
        total, label = result.orders, say("Orders of the next {length}", length=length)
    return HeadlineNumber(label=label, estimate=total.estimate, low=total.low, high=total.high)


def orders_text(orders: Estimate) -> str:
    """Write a total of orders with its interval."""
    return say("{orders} orders", orders=estimate_text(orders))


def estimate_text(each: Estimate) -> str:
    """Write an estimate with its interval."""
    return number_interval(each.estimate, each.low, each.high)


ROLLING_TITLE = message("The same forecast, made in the past")
ROLLING_METHOD = (
    "at each origin the models are fitted on what was known, and forecast the customers of that day"
)
TESTING = message("Testing")
FORECASTERS: Mapping[str, str] = {
    "model": "model",
    "last_period": "last period",
    "same_rate": "own rate",
    "average_rate": "mean rate",
    "rfm_regression": "RFM regression",
}
"""Words of the tables, which are said when they are shown."""


def no_origin(history_days: int, horizon_days: int) -> str:
    """Say that the past is too short to test a forecast."""
    return say(
        "there is no moment with {history} days before it and {horizon} after it, so the forecast"
        " cannot be tested",
        history=number(history_days),
        horizon=number(horizon_days),
    )


def error_text(error: float) -> str:
    """Write a relative error in words."""
    if not math.isfinite(error):
        return say("without a forecast")
    return off_by(error, decimals=0)


def rolling_sentence(result: RollingOrigin) -> str:
    """Say how far off forecasts of the past were."""
    usable = result.usable
    if not usable:
        why = result.reason or next((o.reason for o in result.origins if o.reason), "")
        return say("Not tested: {reason}.", reason=why or say(NOTHING_CAME))
    text = say_many(
        "Made {count} time in the past for {length} ahead, it was {errors}; {inside} of {count}"
        " inside the interval.",
        "Made {count} times in the past for {length} ahead, it was {errors}; {inside} of {count}"
        " inside the interval.",
        len(usable),
        length=span(result.horizon_days, 1),
        errors=", ".join(error_text(each.relative_error) for each in usable),
        inside=number(sum(each.is_inside for each in usable)),
    )
    name, error = result.best_baseline()
    if not name:
        return text
    errors_said = say(
        "Mean error of the total {own}; the best simple rule ({rule}) {error}.",
        own=percent(result.error_of("model")),
        rule=word(FORECASTERS[name]),
        error=percent(error),
    )
    return f"{text} {errors_said}"


NOTHING_CAME = message("nobody ordered again in the time held out")


def rolling_table(result: RollingOrigin) -> pd.DataFrame:
    """Give the origins as people read them; percentages say how far each forecast missed."""
    best, _ = result.best_baseline()
    rows = []
    for each in result.origins:
        row = {
            "made on": day(each.origin),
            "expected orders": number_interval(each.expected, each.low, each.high)
            if math.isfinite(each.low)
            else say("no fit"),
            "came": each.actual,
            FORECASTERS["model"]: missed(each.relative_error),
        }
        if best:
            row[FORECASTERS[best]] = missed(dict(each.baseline_errors)[best])
        rows.append(row)
    return pd.DataFrame(rows)


def missed(error: float) -> str:
    """Write a relative error as a signed percentage."""
    return percent(error, decimals=0, signed=True) if math.isfinite(error) else ""


def errors_table(errors: Mapping[str, tuple[float, float]]) -> pd.DataFrame:
    """Give the mean errors of the model and of simple rules as people read them."""
    return pd.DataFrame(
        [
            {
                "forecast by": FORECASTERS[name],
                "mean error of the total": percent(total),
                "mean error per customer, orders": number(each, decimals=3),
            }
            for name, (total, each) in errors.items()
        ]
    )


VERDICT_TITLE = message("What is this forecast worth?")
ENOUGH_CUSTOMERS = "Enough customers?"
ENOUGH_REPEATERS = "Enough who came back?"
ENOUGH_HISTORY = "Enough days of history?"
MODEL_FITS = "Does the model fit?"
SPEND_INDEPENDENT = "Is spend independent of frequency?"
TESTED = "Tested on the past?"
HELD = "Did the tests stay inside the interval?"
BEATS_TOTAL = "Not clearly worse than simple rules, for the total?"
BEATS_CUSTOMER = "Not clearly worse, per customer?"
YES = message("yes")
NO = message("no")
TESTED_ONCE = message("it was tested once only")
DEPENDENT = message(
    "who buys more often spends differently each time, so the value of the best is off"
)


def found_of(found: int, needed: int) -> str:
    """Write a count beside what is needed."""
    return say("{found} (at least {needed})", found=number(found), needed=number(needed))


def listed(parts: Sequence[str]) -> str:
    """Join what there is."""
    return "; ".join(part for part in parts if part)


def correlation(value: float) -> str:
    """Write the correlation of frequency and spend."""
    return say("correlation {value}", value=number(value, decimals=2))


def no_value(reason: str) -> str:
    """Say that there is no value."""
    return say("there is no value, only orders: {reason}", reason=reason)


def never_tested(reason: str) -> str:
    """Say that a forecast was not tested."""
    return reason or say("no forecast of the past could be made, so this one is untested")


def some_failed(failed: int, tried: int) -> str:
    """Say that some tests gave no forecast."""
    return say(
        "in {failed} of {tried} tests the model could not be fitted",
        failed=number(failed),
        tried=number(tried),
    )


def longer(days: float, tested: int) -> str:
    """Say that a forecast looks farther than its tests."""
    return say(
        "it looks {days} days ahead and was tested for {tested}",
        days=number(days),
        tested=number(tested),
    )


def times(tests: int, days: int) -> str:
    """Say how often a forecast was tested."""
    return say_many(
        "{count} time, {length} ahead", "{count} times, {length} ahead", tests, length=span(days, 1)
    )


def held(inside: int, tests: int, worst: float) -> str:
    """Say how many tests stayed inside the interval."""
    return say(
        "{inside} of {tests}; the worst was {error}",
        inside=number(inside),
        tests=number(tests),
        error=error_text(worst),
    )


def far_off(origin: Origin, is_far: bool) -> str:
    """Say how far off a test was."""
    values = {"origin": day(origin.origin), "error": error_text(origin.relative_error)}
    if is_far:
        return say(
            "the same forecast, made on {origin}, was {error}, outside its interval", **values
        )
    return say(
        "the same forecast, made on {origin}, was {error}, outside its interval, so the interval"
        " is too narrow",
        **values,
    )


def against(own: float, name: str, error: float, *, by_customer: bool) -> str:
    """Write the error of the model beside that of the best simple rule."""
    rule = word(FORECASTERS.get(name, "no rule"))
    if by_customer:
        return say(
            "mean error {own} orders; {rule} {error} orders",
            own=number(own, decimals=2),
            rule=rule,
            error=number(error, decimals=2),
        )
    return say(
        "mean error {own}; {rule} {error}", own=percent(own), rule=rule, error=percent(error)
    )


def worse(own: float, name: str, error: float, *, by_customer: bool) -> str:
    """Say that a simple rule was better."""
    errors = against(own, name, error, by_customer=by_customer)
    if by_customer:
        return say("per customer a simple rule was better ({errors})", errors=errors)
    return say("for the total a simple rule was better ({errors})", errors=errors)


def verdict_sentence(result: ForecastVerdict) -> str:
    """Say what a forecast is worth, the reason first."""
    total = result.value if result.by_value else result.orders
    kind = say(VALUE_WORDS[result.value_kind]) if result.by_value else say("orders")
    length = span(result.periods, result.unit_days)
    said = amount(total.as_tuple(), result.currency) if result.by_value else orders_text(total)
    parts = []
    if not result.is_publishable:
        parts.append(
            say("Do not publish this forecast: {reasons}.", reasons=listed(result.reasons))
        )
        if result.cautions:
            parts.append(say("Also: {cautions}.", cautions=listed(result.cautions)))
        if math.isfinite(total.low):
            alone = f"{kind} {said}" if result.by_value else said
            parts.append(
                say(
                    "What the model alone says of the next {length}, not to be used: {alone}.",
                    length=length,
                    alone=alone,
                )
            )
        elif result.simple_rule:
            parts.append(
                say(
                    "In the tests a simple rule ({rule}) was {error} off on average.",
                    rule=word(FORECASTERS[result.simple_rule]),
                    error=percent(result.simple_rule_error),
                )
            )
    else:
        parts.append(
            say("Use it with care: {cautions}.", cautions=listed(result.cautions))
            if result.verdict == "with care"
            else say_many(
                "This forecast can be published: it passed every check, in {count} test on the past"
                " too.",
                "This forecast can be published: it passed every check, in {count} tests on the"
                " past too.",
                result.n_tests,
            )
        )
        parts.append(
            say(
                "{what} of the next {length} from {customers} of today: {total}.",
                what=capital(kind),
                length=length,
                customers=customers_text(result.n_customers),
                total=said,
            )
        )
    tested = result.tested
    if tested.low < total.low or tested.high > total.high:
        places = min(decimals_for(tested.low, tested.high), 2)
        ends = interval(tested.low, tested.high, decimals=places)
        parts.append(say("With the errors of the tests it would be {ends}.", ends=ends))
    return " ".join(parts)
