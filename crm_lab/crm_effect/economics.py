"""What is left of the gain after costs, what holding out costs, and what it is for the company.

Formulas, each named on the page:

- incremental margin = difference of margin per customer x customers outside the control group
- holding out = the same difference x customers of the control group
- net = incremental margin - costs - holding out
- ROI = net / costs
- share of the company = incremental revenue / revenue of the whole company in the same weeks

Costs are those of the window: cost entries, and where these know nothing of a campaign, what its
registered plan says. Discounts are in revenue already and are not taken off again. Costs and the
company's revenue are sums, not estimates, so the intervals are those of the difference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta

import pandas as pd

from crm_lab.crm_effect import curve_wording as wording
from crm_lab.crm_effect.curve_results import CurveResult
from crm_lab.crm_effect.economics_results import CostLine, Economics, plus, times
from crm_lab.errors import DesignError
from crm_lab.experiments.enrolment import registered_plan
from crm_lab.experiments.plan import Plan
from crm_lab.experiments.results import Money
from crm_lab.gateway import Gateway, curves
from crm_lab.language import say

COUNTED_KINDS = ("message", "points", "gift", "creative", "labour")
"""Kinds of cost entries that are costs of CRM; discounts only where revenue is before them."""


def economics(
    gateway: Gateway,
    curve: CurveResult,
    *,
    discounts_in_revenue: bool = True,
    goal: float | None = None,
    snapshot_id: int | None = None,
) -> Economics:
    """Turn the difference to the control group into money, net of what it cost.

    Parameters
    ----------
    gateway : Gateway
        Costs, messages, registered plans, and the company's revenue.
    curve : CurveResult
        The difference, from the same base.
    discounts_in_revenue : bool
        Whether net revenue is after discounts, as the gateway defines it; otherwise cost entries
        of discounts are taken off, too.
    goal : float, optional
        More revenue a year that the sales plan asks for, above 0.
    snapshot_id : int, optional
        Snapshot to read; by default the latest.

    Raises
    ------
    DesignError
        The goal is not above 0.
    """
    if goal is not None and not goal > 0:
        raise DesignError(
            say("a goal of {goal}", goal=goal), expected=say("an amount above 0, or none")
        )
    starts_at = curve.epoch.opened_at
    ends_at = starts_at + timedelta(weeks=curve.weeks)
    population = curves.first_drawn(curve.epoch.scope, opened_at=starts_at)
    with gateway.reader(snapshot_id) as reader:
        entries = reader.frame(curves.costs_between(curve.starts_on, curve.day_after))
        messages = reader.frame(curves.messages_between(starts_at, ends_at))
        company = reader.frame(
            curves.company_weeks(population, starts_at=starts_at, weeks=curve.weeks)
        )
    lines, uncosted = cost_lines(
        entries,
        messages,
        registered_plans(gateway),
        starts_at=starts_at,
        ends_at=ends_at,
        discounts_in_revenue=discounts_in_revenue,
    )
    outlay = sum(line.amount for line in lines if line.is_counted)
    has_costs = any(line.is_counted for line in lines)
    revenue = curve.total
    per_customer = times(curve.total_margin or revenue, 1 / curve.treated if curve.treated else 0)
    holdout = times(per_customer, curve.controls)
    net = None
    if curve.total_margin is not None and has_costs and curve.treated:
        net = plus(times(per_customer, curve.treated - curve.controls), -outlay)
    sold = float(company["revenue"].sum())
    nothing = Money(estimate=math.nan, low=math.nan, high=math.nan)
    return Economics(
        verdict=money_verdict(curve, net),
        effect=curve.verdict,
        label=curve.label,
        broken=tuple(item.name.lower() for item in curve.lights if item.tone == "bad"),
        lights=curve.lights,
        by_discounts=curve.margin_by_discounts if curve.total_margin is not None else None,
        reason=curve.decisive.absolute.reason,
        weeks=curve.weeks,
        planned_weeks=curve.planned_weeks,
        starts_on=curve.starts_on,
        ends_on=curve.day_after - timedelta(days=1),
        decided_after=curve.decided_after,
        treated=curve.treated,
        controls=curve.controls,
        revenue=revenue,
        margin=curve.total_margin,
        margin_note=curve.margin_note,
        costs=lines,
        messages=int(messages["messages"].sum()),
        uncosted_messages=uncosted,
        holdout=holdout,
        net=net,
        roi=times(net, 1 / outlay) if net is not None and outlay > 0 else None,
        company_revenue=sold,
        known_revenue=float(company["treated"].sum() + company["control"].sum()),
        share=times(revenue, 1 / sold) if sold > 0 else nothing,
        alpha=curve.alpha,
        detectable=curve.detectable.relative,
        goal=goal,
        currency=curve.currency,
    )


def money_verdict(curve: CurveResult, net: Money | None) -> str:
    """Say what the difference and what is left of it allow to conclude, at the planned week.

    Parameters
    ----------
    curve : CurveResult
        The difference to the control group.
    net : Money or None
        What is left after costs, where it is known.
    """
    if curve.verdict == "not yet":
        return wording.NOT_YET
    if curve.is_broken or curve.weeks < curve.planned_weeks:
        return wording.CANNOT
    if curve.verdict == "loss":
        return wording.FEWER_SALES
    if net is not None and net.high < 0:
        return wording.DOES_NOT_PAY
    if curve.verdict != "gain":
        return wording.CANNOT
    if net is None:
        return wording.MORE_SALES
    return wording.PAYS if net.low > 0 else wording.PAYS_UNKNOWN


def cost_lines(
    entries: pd.DataFrame,
    messages: pd.DataFrame,
    plans: Mapping[str, Plan],
    *,
    starts_at: datetime,
    ends_at: datetime,
    discounts_in_revenue: bool = True,
) -> tuple[tuple[CostLine, ...], int]:
    """Add up what was spent in a window, each thing once, and count messages without a cost.

    Parameters
    ----------
    entries : pandas.DataFrame
        Columns campaign_id, kind, amount: cost entries of the window.
    messages : pandas.DataFrame
        Columns campaign_id, messages: what was sent in the window.
    plans : mapping
        Registered plans by campaign.
    starts_at, ends_at : datetime
        The window.
    discounts_in_revenue : bool
        Whether discounts are in the revenue already.

    Notes
    -----
    A plan's cost per message counts for the messages that were sent, and its fixed cost when it
    starts in the window, both only where the cost entries hold nothing of that kind for the
    campaign or for no campaign in particular. A cost per message of 0 means that none is known.
    """
    is_discount_counted = not discounts_in_revenue
    counted = (*COUNTED_KINDS, "discount") if is_discount_counted else COUNTED_KINDS
    amounts: dict[tuple[str, str], float] = {}
    for kind, amount in entries.groupby("kind")["amount"].sum().items():
        amounts[str(kind), wording.FROM_ENTRIES] = float(amount)
    uncosted = 0
    for campaign, count in zip(messages["campaign_id"], messages["messages"], strict=True):
        plan = plans.get(str(campaign))
        if _knows(entries, str(campaign), "message"):
            continue
        if plan is None or not plan.cost_per_message > 0:
            uncosted += int(count)
            continue
        key = ("message", wording.FROM_PLANS)
        amounts[key] = amounts.get(key, 0.0) + int(count) * plan.cost_per_message
    for name, plan in plans.items():
        is_known = _knows(entries, name, "creative") or _knows(entries, name, "labour")
        if starts_at <= plan.starts_at < ends_at and plan.cost_fixed > 0 and not is_known:
            key = ("fixed", wording.FROM_PLANS)
            amounts[key] = amounts.get(key, 0.0) + plan.cost_fixed
    lines = []
    for (kind, source), amount in amounts.items():
        is_counted = kind == "fixed" or kind in counted
        note = "" if is_counted else wording.NOTE_ACQUISITION
        if kind == "discount" and not is_counted:
            note = wording.NOTE_DISCOUNT
        lines.append(
            CostLine(kind=kind, amount=amount, source=source, is_counted=is_counted, note=note)
        )
    return tuple(lines), uncosted


def registered_plans(gateway: Gateway) -> dict[str, Plan]:
    """Give the last registered plan of every experiment, by name."""
    names = dict.fromkeys(entry.subject for entry in gateway.entries(kind="plan_registered"))
    plans = {name: registered_plan(gateway, name, required=False) for name in names}
    return {name: plan for name, plan in plans.items() if plan is not None}


def planned_margin_share(
    plans: Mapping[str, Plan], *, starts_at: datetime, ends_at: datetime
) -> float | None:
    """Give the margin share of the plans that run in a window, where all that name one agree."""
    shares = {
        plan.margin_share
        for plan in plans.values()
        if plan.margin_share is not None and plan.starts_at < ends_at and plan.ends_at > starts_at
    }
    return shares.pop() if len(shares) == 1 else None


def _knows(entries: pd.DataFrame, campaign: str, kind: str) -> bool:
    """Whether there are costs of a kind for a campaign, or for none in particular."""
    of_kind = entries[entries["kind"] == kind]
    return bool((of_kind["campaign_id"].isna() | (of_kind["campaign_id"] == campaign)).any())
