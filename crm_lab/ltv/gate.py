"""Whether a forecast may be published: the data that carry it, and what it was worth before.

A forecast is refused where the data are too few, the model does not fit, it was never tested, a
simple rule was better, or a test found it far outside its own interval. It is given with care
where smaller things are wrong, and those are said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import pandas as pd

from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.formats import separated
from crm_lab.headlines import HeadlineNumber
from crm_lab.language import say
from crm_lab.ltv import value_wording as wording
from crm_lab.ltv.forecast import Estimate, LifetimeForecast
from crm_lab.ltv.predictions import LifetimePredictions
from crm_lab.ltv.rolling import RollingOrigin
from crm_lab.ltv.validation import PUBLISH_CUSTOMERS, PUBLISH_REPEATERS
from crm_lab.ltv.wording import too_few

PUBLISH_HISTORY_DAYS = 91
"""A forecast from a shorter history is refused."""

FAR_OFF = 0.10
"""A total that was off by more than this, and outside its interval, is refused."""

WORSE_BY = 0.01
"""A model whose mean error exceeds that of a simple rule by more than this is refused."""

LONGER = 1.1
"""A horizon longer than the tested one by more than this factor is warned about."""

Verdict = Literal["publish", "with care", "do not publish"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    question : str
        What was asked.
    found : str
        What was found.
    outcome : {"good", "care", "refuse"}
        What it means for the forecast.
    says : str
        The reason as half a sentence; empty where the outcome is good.
    """

    question: str
    found: str
    outcome: Literal["good", "care", "refuse"]
    says: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ForecastVerdict(Result):
    """What a forecast is worth, and whether it may be published.

    Attributes
    ----------
    verdict : {"publish", "with care", "do not publish"}
        The outcome.
    checks : tuple of Check
        Everything that was looked at.
    orders, value : Estimate
        Totals with their prediction intervals.
    tested : Estimate
        The headline total with the range that the errors of the past give it; NaN where untested.
    by_value : bool
        Whether the headline total is the value; else it is the orders.
    periods, unit_days : float
        Horizon in units, and days in one unit.
    n_customers : int
        Customers of the forecast.
    n_tests : int
        How often such a forecast was tested.
    simple_rule : str
        The simple rule with the smallest mean error of the total; empty where untested.
    simple_rule_error : float
        That error; NaN where untested.
    currency, value_kind : str
        What values are in.
    alpha : float
        1 minus the nominal coverage of the intervals.
    """

    title: ClassVar[str] = wording.VERDICT_TITLE

    verdict: Verdict
    checks: tuple[Check, ...]
    orders: Estimate
    value: Estimate
    tested: Estimate
    by_value: bool
    periods: float
    unit_days: float
    n_customers: int
    n_tests: int
    simple_rule: str
    simple_rule_error: float
    currency: str
    value_kind: str
    alpha: float

    @property
    def is_publishable(self) -> bool:
        """Whether the forecast may be published, with care or without."""
        return self.verdict != "do not publish"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is refused; empty where it is not."""
        return tuple(each.says for each in self.checks if each.outcome == "refuse")

    @property
    def cautions(self) -> tuple[str, ...]:
        """What a reader must know although it is not refused for it."""
        return tuple(each.says for each in self.checks if each.outcome == "care")

    def sentence(self) -> str:
        """Say the verdict, with the reason first where it is refused."""
        return wording.verdict_sentence(self)

    def headline_numbers(self) -> tuple[HeadlineNumber, ...]:
        """Give the total with its interval, or nothing where it is refused."""
        if not self.is_publishable:
            return ()
        return (wording.total_headline(self, by_value=self.by_value),)

    def to_frame(self) -> pd.DataFrame:
        """Give the checks, one row each."""
        return pd.DataFrame(
            [
                {"check": each.question, "outcome": each.outcome, "found": each.found}
                for each in self.checks
            ]
        )

    def card_frame(self) -> pd.DataFrame:
        """Give the checks under the heads that a reader sees."""
        return self.to_frame().rename(columns={"outcome": "verdict"})


def judge_forecast(
    forecast: LifetimeForecast | LifetimePredictions, tests: RollingOrigin
) -> ForecastVerdict:
    """Judge a forecast by its data and by how the same forecast did in the past.

    Parameters
    ----------
    forecast : LifetimeForecast or LifetimePredictions
        What is to be published.
    tests : RollingOrigin
        The same forecast, made in the past.

    Returns
    -------
    ForecastVerdict
        ``do not publish``, ``with care`` or ``publish``, with every check.

    Raises
    ------
    DesignError
        When the tests are of another model or unit than the forecast.
    """
    if tests.unit_days != forecast.unit_days or tests.model != forecast.model.model:
        raise DesignError(
            say(
                "tests of {model} in units of {unit} days for a forecast by {other_model} in"
                " units of {other_unit}",
                model=tests.model,
                unit=separated(f"{tests.unit_days:g}"),
                other_model=forecast.model.model,
                other_unit=separated(f"{forecast.unit_days:g}"),
            ),
            expected=say("tests of the same model and unit"),
            where="tests",
        )
    checks = [*_data_checks(forecast), *_test_checks(forecast, tests)]
    outcomes = {each.outcome for each in checks}
    verdict: Verdict = "with care" if "care" in outcomes else "publish"
    if "refuse" in outcomes:
        verdict = "do not publish"
    by_value = math.isfinite(forecast.value.low)
    rule, rule_error = tests.best_baseline()
    return ForecastVerdict(
        verdict=verdict,
        checks=tuple(checks),
        orders=forecast.orders,
        value=forecast.value,
        tested=range_of_tests(forecast.value if by_value else forecast.orders, tests, by_value),
        by_value=by_value,
        periods=forecast.periods,
        unit_days=forecast.unit_days,
        n_customers=forecast.n_customers,
        n_tests=len(tests.usable),
        simple_rule=rule,
        simple_rule_error=rule_error,
        currency=forecast.currency,
        value_kind=forecast.value_kind,
        alpha=forecast.alpha,
    )


def range_of_tests(total: Estimate, tests: RollingOrigin, by_value: bool) -> Estimate:
    """Give a total the range it would have if the errors of the tests came again.

    Each test says by which factor the forecast missed; the range runs over all of them and the
    prediction interval itself.
    """
    factors = []
    for each in tests.usable:
        expected = each.expected_value if by_value else each.expected
        actual = each.actual_value if by_value else float(each.actual)
        if expected > 0 and math.isfinite(actual):
            factors.append(actual / expected)
    if not factors or not math.isfinite(total.low):
        return Estimate(estimate=total.estimate)
    return Estimate(
        estimate=total.estimate,
        low=min(total.low, total.estimate * min(factors)),
        high=max(total.high, total.estimate * max(factors)),
    )


def _data_checks(forecast: LifetimeForecast | LifetimePredictions) -> list[Check]:
    customers = forecast.customers
    history_days = round(float(customers["age"].max()) * forecast.unit_days)
    repeaters = int((customers["frequency"] > 0).sum())
    checks = []
    for question, what, found, needed in (
        (wording.ENOUGH_CUSTOMERS, "customers", len(customers), PUBLISH_CUSTOMERS),
        (wording.ENOUGH_REPEATERS, "returned", repeaters, PUBLISH_REPEATERS),
        (wording.ENOUGH_HISTORY, "days", history_days, PUBLISH_HISTORY_DAYS),
    ):
        says = "" if found >= needed else too_few(what, found, needed)
        shown = wording.found_of(found, needed)
        outcome: Literal["good", "refuse"] = "refuse" if says else "good"
        checks.append(Check(question=question, found=shown, outcome=outcome, says=says))
    model, reason = forecast.model, forecast.reason
    checks.append(
        Check(
            question=wording.MODEL_FITS,
            found=reason or wording.listed(model.warnings) or say(wording.YES),
            outcome="refuse" if reason else "care" if model.warnings else "good",
            says=reason or wording.listed(model.warnings),
        )
    )
    if not reason:
        checks.append(_spend_check(forecast))
    return checks


def _spend_check(forecast: LifetimeForecast | LifetimePredictions) -> Check:
    spend, reason = forecast.spend_model, forecast.value_reason
    says = wording.no_value(reason) if reason else ""
    if not reason and not spend.is_independent:
        says = say(wording.DEPENDENT)
    return Check(
        question=wording.SPEND_INDEPENDENT,
        found=reason or wording.correlation(spend.frequency_correlation),
        outcome="care" if says else "good",
        says=says,
    )


def _test_checks(
    forecast: LifetimeForecast | LifetimePredictions, tests: RollingOrigin
) -> list[Check]:
    usable = tests.usable
    if not usable:
        return [
            Check(
                question=wording.TESTED,
                found=say(wording.NO),
                outcome="refuse",
                says=wording.never_tested(tests.reason),
            )
        ]
    failed = len(tests.origins) - len(usable)
    some = wording.some_failed(failed, len(tests.origins)) if failed else ""
    some = some or (say(wording.TESTED_ONCE) if len(usable) == 1 else "")
    horizon = forecast.periods * forecast.unit_days
    if horizon > LONGER * tests.horizon_days:
        some = wording.listed([some, wording.longer(horizon, tests.horizon_days)])
    checks = [
        Check(
            question=wording.TESTED,
            found=wording.times(len(usable), tests.horizon_days),
            outcome="care" if some else "good",
            says=some,
        )
    ]
    worst = max(usable, key=lambda each: abs(each.relative_error))
    outside = [each for each in usable if not each.is_inside]
    far = [each for each in outside if abs(each.relative_error) > FAR_OFF]
    checks.append(
        Check(
            question=wording.HELD,
            found=wording.held(len(usable) - len(outside), len(usable), worst.relative_error),
            outcome="refuse" if far else "care" if outside else "good",
            says=wording.far_off(
                max(far, key=lambda each: abs(each.relative_error)) if far else worst, bool(far)
            )
            if outside
            else "",
        )
    )
    for question, by_customer in ((wording.BEATS_TOTAL, False), (wording.BEATS_CUSTOMER, True)):
        measure = tests.customer_error_of if by_customer else tests.error_of
        own = measure("model")
        name, error = tests.best_baseline(by_customer=by_customer)
        margin = WORSE_BY * error if by_customer else WORSE_BY
        worse = math.isfinite(error) and own > error + margin
        checks.append(
            Check(
                question=question,
                found=wording.against(own, name, error, by_customer=by_customer),
                outcome=("care" if by_customer else "refuse") if worse else "good",
                says=wording.worse(own, name, error, by_customer=by_customer) if worse else "",
            )
        )
    return checks
