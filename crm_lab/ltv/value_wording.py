"""Every sentence about predicted value, cohorts and the worth of a forecast, in one place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from crm_lab.formats import (
    decimals_for,
    interval,
    money_interval,
    number,
    number_interval,
    percent,
)
from crm_lab.ltv.wording import VALUE_WORDS, capital, span

if TYPE_CHECKING:
    from crm_lab.ltv.contrast import LifetimeContrast
    from crm_lab.ltv.forecast import Estimate
    from crm_lab.ltv.gate import ForecastVerdict
    from crm_lab.ltv.predictions import LifetimePredictions
    from crm_lab.ltv.rolling import Origin, RollingOrigin

PROGRESS = "Refitting"
BG_NBD = "BG/NBD"
NBD = "NBD"

CONTRAST_TITLE = "What the treatment adds to the value of a customer"
CONTRAST_METHOD = (
    "each arm its own purchase and spend model on the time since the draw; standard error from"
    " {refits} draws of the customers of each arm with both models refitted; normal interval"
)
EVIDENCE: Mapping[str, str] = {
    "so far": "randomised, measured, no model",
    "ahead": "randomised arms, expected by models of the window",
    "together": "randomised, part measured and part expected",
}
NO_ARM_MODEL = "no model fits the orders of an arm"
REFITS_FAILED = "{failed} of {refits} refits failed, too many for an interval"
NOBODY_LEAVES = (
    "in so short a window nobody is seen to leave, so orders ahead are taken to go on for ever and"
    " may be too many"
)
EARLY_LOOK = "the window of the plan is not over, so this is an early look and decides nothing"
FAR_AHEAD = "the horizon is many times the window; nothing in these data says that the effect lasts"


def arm_too_small(arm: str, what: str, found: int, needed: int) -> str:
    """Say that an arm has too little to carry a model."""
    return (
        f"arm '{arm}' has only {number(found)} {what}, at least {number(needed)} are needed for a"
        " model of it"
    )


def contrast_sentence(result: LifetimeContrast) -> str:
    """Say what a treatment adds per customer."""
    so_far = result.part("so far")
    measured = (
        f"Measured since {result.starts_on:%Y-%m-%d}:"
        f" {signed(so_far.difference, so_far.low, so_far.high, result.currency)} per customer"
    )
    if result.reason:
        return f"Nothing can be said about the time ahead: {result.reason}. {measured}."
    both = result.part("together")
    length = span(result.periods, result.unit_days)
    what = VALUE_WORDS[result.value_kind]
    found = signed(both.difference, both.low, both.high, result.currency)
    sure = f"{percent(1 - result.alpha, decimals=0)} interval"
    if both.low <= 0 <= both.high:
        text = (
            f"Cannot conclude that '{result.treatment}' changes the value of a customer: until"
            f" {length} ahead {found} of {what} per customer ({sure})"
        )
    else:
        way = "adds to" if both.difference > 0 else "takes from"
        text = (
            f"'{result.treatment}' {way} the value of a customer: until {length} ahead {found} of"
            f" {what} per customer ({sure}), if the effect lasts"
        )
    said = f"{text}. {measured}, {EVIDENCE['so far']}."
    return " ".join([said, *(f"Note: {warning}." for warning in result.warnings)])


def contrast_number(result: LifetimeContrast) -> str:
    """Give the one number of a contrast."""
    name = "so far" if result.reason else "together"
    part = result.part(name)
    if not math.isfinite(part.low):
        return ""
    found = signed(part.difference, part.low, part.high, result.currency)
    return f"{found} per customer"


def signed(estimate: float, low: float, high: float, currency: str) -> str:
    """Write a difference in money with its interval."""
    return money_interval(estimate, low, high, currency).replace("  ", " ")


PREDICTIONS_TITLE = "What each customer is expected to bring"
PREDICTIONS_METHOD = (
    "per customer: delta method on the whole covariance of the log-parameters of both models;"
    " totals: the same, plus each customer's own chance drawn from the model; the model is taken"
    " as true"
)


def predictions_sentence(result: LifetimePredictions) -> str:
    """Say what a base is expected to do and to bring."""
    if result.reason:
        return f"No predictions: {result.reason}."
    length = span(result.periods, result.unit_days)
    text = (
        f"In the next {length} {percent(result.share_ordering, decimals=0)} of"
        f" {number(result.n_customers)} customers are expected to order, together"
        f" {estimate_text(result.orders)} times"
    )
    if result.value_reason:
        return f"{text}. No value: {result.value_reason}."
    rate = f", discounted by {percent(result.discount_rate)} a year" if result.discount_rate else ""
    value = f"{estimate_text(result.value)} {result.currency}".rstrip()
    return (
        f"{text}; {VALUE_WORDS[result.value_kind]} {value}{rate}"
        f" ({percent(1 - result.alpha, decimals=0)} prediction intervals, if the model is right)."
    )


def total_number(orders: Estimate, value: Estimate, currency: str) -> str:
    """Give the total value, or the total of orders, with its interval."""
    if math.isfinite(value.low):
        return f"{estimate_text(value)} {currency}".rstrip()
    return f"{estimate_text(orders)} orders" if math.isfinite(orders.low) else ""


def estimate_text(each: Estimate) -> str:
    """Write an estimate with its interval."""
    return number_interval(each.estimate, each.low, each.high)


ROLLING_TITLE = "The same forecast, made in the past"
ROLLING_METHOD = (
    "at each origin the models are fitted on what was known, and forecast the customers of that day"
)
TESTING = "Testing"
FORECASTERS: Mapping[str, str] = {
    "model": "model",
    "last_period": "last period",
    "same_rate": "own rate",
    "average_rate": "mean rate",
    "rfm_regression": "RFM regression",
}


def no_origin(history_days: int, horizon_days: int) -> str:
    """Say that the past is too short to test a forecast."""
    return (
        f"there is no moment with {number(history_days)} days before it and"
        f" {number(horizon_days)} after it, so the forecast cannot be tested"
    )


def error_text(error: float) -> str:
    """Write a relative error in words."""
    if not math.isfinite(error):
        return "without a forecast"
    return f"{percent(abs(error), decimals=0)} too {'high' if error > 0 else 'low'}"


def rolling_sentence(result: RollingOrigin) -> str:
    """Say how far off forecasts of the past were."""
    usable = result.usable
    if not usable:
        why = result.reason or next((o.reason for o in result.origins if o.reason), NOTHING_CAME)
        return f"Not tested: {why}."
    inside = sum(each.is_inside for each in usable)
    errors = ", ".join(error_text(each.relative_error) for each in usable)
    name, error = result.best_baseline()
    times = f"{number(len(usable))} time{'s' if len(usable) > 1 else ''}"
    text = (
        f"Made {times} in the past for {number(result.horizon_days)} days ahead, it was {errors};"
        f" {number(inside)} of {number(len(usable))} inside the interval"
    )
    if name:
        own = result.error_of("model")
        text += (
            f". Mean error of the total {percent(own)}; the best simple rule"
            f" ({FORECASTERS[name]}) {percent(error)}"
        )
    return text + "."


NOTHING_CAME = "nobody ordered again in the time held out"


def rolling_table(result: RollingOrigin) -> pd.DataFrame:
    """Give the origins as people read them; percentages say how far each forecast missed."""
    best, _ = result.best_baseline()
    rows = []
    for each in result.origins:
        row = {
            "made on": each.origin.isoformat(),
            "expected orders": number_interval(each.expected, each.low, each.high)
            if math.isfinite(each.low)
            else "no fit",
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


def tier_names(shares: Sequence[float]) -> list[str]:
    """Name tiers by their share, best first."""
    names, start = [], 0.0
    for share in shares:
        end = start + share
        if start == 0:
            names.append(f"best {percent(end, decimals=0)}")
        elif end >= 1 - 1e-9:
            names.append(f"last {percent(share, decimals=0)}")
        else:
            names.append(f"next {percent(share, decimals=0)}")
        start = end
    return names


VERDICT_TITLE = "What is this forecast worth?"
ENOUGH_CUSTOMERS = "Enough customers?"
ENOUGH_REPEATERS = "Enough who came back?"
ENOUGH_HISTORY = "Enough days of history?"
MODEL_FITS = "Does the model fit?"
SPEND_INDEPENDENT = "Is spend independent of frequency?"
TESTED = "Tested on the past?"
HELD = "Did the tests stay inside the interval?"
BEATS_TOTAL = "At least as good as simple rules, for the total?"
BEATS_CUSTOMER = "At least as good, per customer?"
YES = "yes"
NO = "no"
TESTED_ONCE = "it was tested once only"
DEPENDENT = "who buys more often spends differently each time, so the value of the best is off"


def found_of(found: int, needed: int) -> str:
    """Write a count beside what is needed."""
    return f"{number(found)} (at least {number(needed)})"


def listed(parts: Sequence[str]) -> str:
    """Join what there is."""
    return "; ".join(part for part in parts if part)


def correlation(value: float) -> str:
    """Write the correlation of frequency and spend."""
    return f"correlation {number(value, decimals=2)}"


def no_value(reason: str) -> str:
    """Say that there is no value."""
    return f"there is no value, only orders: {reason}"


def never_tested(reason: str) -> str:
    """Say that a forecast was not tested."""
    return reason or "no forecast of the past could be made, so this one is untested"


def some_failed(failed: int, tried: int) -> str:
    """Say that some tests gave no forecast."""
    return f"in {number(failed)} of {number(tried)} tests the model could not be fitted"


def longer(days: float, tested: int) -> str:
    """Say that a forecast looks farther than its tests."""
    return f"it looks {number(days)} days ahead and was tested for {number(tested)}"


def times(tests: int, days: int) -> str:
    """Say how often a forecast was tested."""
    return f"{number(tests)} times, {number(days)} days ahead"


def held(inside: int, tests: int, worst: float) -> str:
    """Say how many tests stayed inside the interval."""
    return f"{number(inside)} of {number(tests)}; the worst was {error_text(worst)}"


def far_off(origin: Origin, is_far: bool) -> str:
    """Say how far off a test was."""
    text = (
        f"the same forecast, made on {origin.origin:%Y-%m-%d}, was"
        f" {error_text(origin.relative_error)}, outside its interval"
    )
    return text if is_far else f"{text}, so the interval is too narrow"


def against(own: float, name: str, error: float, *, by_customer: bool) -> str:
    """Write the error of the model beside that of the best simple rule."""
    if by_customer:
        shown = [f"{number(each, decimals=2)} orders" for each in (own, error)]
    else:
        shown = [percent(each) for each in (own, error)]
    return f"mean error {shown[0]}; {FORECASTERS.get(name, 'no rule')} {shown[1]}"


def worse(own: float, name: str, error: float, *, by_customer: bool) -> str:
    """Say that a simple rule was better."""
    what = "per customer" if by_customer else "for the total"
    return f"{what} a simple rule was better ({against(own, name, error, by_customer=by_customer)})"


def verdict_sentence(result: ForecastVerdict) -> str:
    """Say what a forecast is worth, the reason first."""
    total = headline(result)
    unit = result.currency if result.by_value else "orders"
    kind = VALUE_WORDS[result.value_kind] if result.by_value else "orders"
    length = span(result.periods, result.unit_days)
    if not result.is_publishable:
        text = f"Do not publish this forecast: {listed(result.reasons)}."
        if result.cautions:
            text += f" Also: {listed(result.cautions)}."
        if math.isfinite(total.low):
            said = f"{estimate_text(total)} {unit}".rstrip()
            said = f"{kind} {said}" if result.by_value else said
            text += f" What the model alone says of the next {length}, not to be used: {said}."
        elif result.simple_rule:
            text += (
                f" In the tests a simple rule ({FORECASTERS[result.simple_rule]}) was"
                f" {percent(result.simple_rule_error)} off on average."
            )
    else:
        begin = (
            f"Use it with care: {listed(result.cautions)}."
            if result.verdict == "with care"
            else "This forecast can be published: it passed every check, in"
            f" {number(result.n_tests)} tests on the past too."
        )
        text = (
            f"{begin} {capital(kind)} of the next {length} from {number(result.n_customers)}"
            f" customers of today: {f'{estimate_text(total)} {unit}'.rstrip()}."
        )
    tested = result.tested
    if tested.low < total.low or tested.high > total.high:
        ends = interval(
            tested.low, tested.high, decimals=min(decimals_for(tested.low, tested.high), 2)
        )
        text += f" With the errors of the tests it would be {ends}."
    return text


def headline(result: ForecastVerdict) -> Estimate:
    """Give the total that leads."""
    return result.value if result.by_value else result.orders
