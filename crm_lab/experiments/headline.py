"""What stands at the top of a campaign's page: on whom and when, and the one number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crm_lab import formats
from crm_lab.headlines import HeadlineNumber, money_number
from crm_lab.language import say

if TYPE_CHECKING:
    from crm_lab.experiments.results import ArmResult, ExperimentResult


def experiment_about(result: ExperimentResult) -> str:
    """Say what was tried, on whom and when.

    Parameters
    ----------
    result : ExperimentResult
        The read-out.
    """
    plan = result.plan
    arms = [f"{arm.arm} ({formats.number(arm.customers)})" for arm in result.arms]
    return say(
        "{title}: {arms}, against {controls} customers who got nothing, {start} to {end}.",
        title=plan.title,
        arms=formats.listing(arms),
        controls=formats.number(max(arm.controls for arm in result.arms)),
        start=formats.day(plan.starts_at),
        end=formats.last_day(plan.ends_at),
    )


def experiment_numbers(result: ExperimentResult) -> tuple[HeadlineNumber, ...]:
    """Give the money of the arm that the verdict speaks of: in all, per customer, attributed.

    What is left after costs comes first where the margin is known; otherwise it is revenue.

    Parameters
    ----------
    result : ExperimentResult
        The read-out.
    """
    arm, currency = result.arm(result.best_arm), result.plan.currency
    revenue = money_number(
        say("Incremental revenue, {arm}", arm=arm.arm), arm.revenue_total, currency=currency
    )
    first, beside = revenue, [_each(revenue, arm)]
    if arm.net_total is not None:
        label = say("Margin less costs, {arm}", arm=arm.arm)
        first = money_number(label, arm.net_total, currency=currency)
        beside = [_each(first, arm), revenue]
    attributed = HeadlineNumber(
        label=say("All orders of those written to"),
        estimate=arm.attributed_revenue,
        kind="money",
        unit=currency,
        note=say(
            "Most of it would have come anyway; only the comparison with the control group says"
            " how much."
        ),
    )
    return (first, *beside, attributed)


def _each(total: HeadlineNumber, arm: ArmResult) -> HeadlineNumber:
    count = max(arm.customers, 1)
    return HeadlineNumber(
        label=say("The same per customer"),
        estimate=total.estimate / count,
        low=total.low / count,
        high=total.high / count,
        kind="money",
        unit=total.unit,
    )
