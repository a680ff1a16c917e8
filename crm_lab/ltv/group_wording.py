"""Every sentence about tiers, groups and the data behind lifetime value, in one place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from crm_lab.formats import number, number_interval, percent

if TYPE_CHECKING:
    from crm_lab.ltv.cohorts import GroupValues
    from crm_lab.ltv.health import DataHealth
    from crm_lab.ltv.tiers import ValueTiers


TIERS_TITLE = "Who will bring it?"
GROUPS_TITLE = "Lifetime value by group"
GROUPS_METHOD = (
    "past and expected value per customer; variance between customers plus the error of the"
    " prediction, taken as shared; pooled by a normal law of the true values of the groups"
)
NO_GROUPS = "no customer is in any group"
OBSERVATIONAL = "Observational: other people came, so a difference is no effect of how they came."
BY_WORDS: Mapping[str, str] = {
    "month": "month of the first order",
    "channel": "channel of the first order",
    "form": "first form",
    "region_code": "region",
    "age_band": "age",
    "income_band": "income",
    "gender": "gender",
}
PAYS_BACK: Mapping[str, str] = {
    "yes": "has paid back",
    "expected": "will, by the forecast",
    "not sure": "cannot conclude",
    "no": "will not in this horizon",
    "not known": "not known",
}


def small_group(n: int, needed: int) -> str:
    """Say that a group is too small."""
    return f"only {number(n)} customers, at least {number(needed)} are needed for an interval"


def tiers_sentence(result: ValueTiers) -> str:
    """Say how much the best customers carry."""
    if result.reason or not result.tiers:
        return f"No tiers: {result.reason or NO_GROUPS}."
    best, last = result.tiers[0], result.tiers[-1]
    what = "value" if result.by_value else "orders"
    return (
        f"In the next {result.horizon} the {best.tier} ({number(best.customers)} customers) are"
        f" expected to bring {percent(best.share, decimals=0)} of the {what}, the {last.tier}"
        f" {percent(last.share, decimals=0)}; {number(best.at_risk)} of the {best.tier} have"
        " probably left already."
    )


def tiers_table(result: ValueTiers) -> pd.DataFrame:
    """Give the tiers as people read them."""
    unit = result.currency if result.by_value else "orders"
    return pd.DataFrame(
        [
            {
                "tier": each.tier,
                "customers": each.customers,
                f"expected, {unit}": number(each.expected),
                "share": percent(each.share, decimals=0),
                "each": number(each.mean, decimals=2),
                "will order": percent(each.share_ordering, decimals=0),
                "left": each.at_risk,
            }
            for each in result.tiers
        ]
    )


def groups_sentence(result: GroupValues) -> str:
    """Say which groups bring most."""
    if result.reason:
        return f"Cannot compare: {result.reason}."
    by = BY_WORDS.get(result.by, result.by)
    known = [row for row in result.rows if math.isfinite(row.shrunken)]
    if not known:
        text = f"One group by {by} only, nothing to compare."
    elif not result.differ:
        text = f"The data do not show that lifetime value differs by {by}."
    else:
        best = max(known, key=lambda row: row.shrunken)
        worst = min(known, key=lambda row: row.shrunken)
        text = (
            f"Lifetime value differs by {by}: most for {best.group}"
            f" ({number_interval(best.shrunken, best.shrunken_low, best.shrunken_high)}"
            f" {result.currency} per customer), least for {worst.group}"
            f" ({number_interval(worst.shrunken, worst.shrunken_low, worst.shrunken_high)})."
        )
    priced = [row for row in result.rows if math.isfinite(row.cost)]
    if priced:
        paid = sum(row.pays_back == "yes" for row in priced)
        text += (
            f" {number(paid)} of {number(len(priced))} groups with a known cost have paid it back."
        )
    return f"{text} {OBSERVATIONAL}"


def groups_table(result: GroupValues) -> pd.DataFrame:
    """Give the groups as people read them."""
    rows = []
    has_cost = any(math.isfinite(row.cost) for row in result.rows)
    for each in result.rows:
        row = {
            BY_WORDS.get(result.by, result.by): each.group,
            "customers": each.customers,
            "brought": number(each.past_value, decimals=2),
            f"in {result.horizon}": number(each.expected_value, decimals=2),
            "together": number_interval(each.lifetime_value, each.low, each.high)
            if math.isfinite(each.low)
            else each.reason or number(each.lifetime_value, decimals=2),
            "pooled": number_interval(each.shrunken, each.shrunken_low, each.shrunken_high)
            if math.isfinite(each.shrunken_low)
            else number(each.shrunken, decimals=2),
        }
        if has_cost:
            row["cost"] = number(each.cost, decimals=2)
            row["paid back"] = PAYS_BACK[each.pays_back]
            row["months"] = number(each.payback_months)
        rows.append(row)
    return pd.DataFrame(rows)


HEALTH_TITLE = "The data behind it"
POLICY_WORDS: Mapping[str, tuple[str, str]] = {
    "orders": ("orders in the data", "read"),
    "later": ("orders after the last day of this report", "left out"),
    "cancelled": ("cancelled orders", "left out"),
    "unknown_customer": ("orders without a known customer", "left out"),
    "same_day": ("further orders of a customer on the same day", "merged into one purchase day"),
    "refunds": ("refunds (amounts below 0)", "netted in the total of their day"),
    "refund_only_days": ("days with refunds only", "no purchase day; kept out of spend"),
    "customers_without_purchase": ("customers with refunds only", "left out"),
    "customers": ("customers with a purchase", "their first purchase day starts them, no repeat"),
    "repeat_days": ("purchase days after the first", "what the purchase model counts"),
    "unpaid_repeat_days": (
        "of these, days with a total of 0 or less",
        "count as purchases, left out of spend",
    ),
}


def health_sentence(result: DataHealth) -> str:
    """Say how much of the orders is in the histories."""
    c = result.counts
    out = c["later"] + c["cancelled"] + c["unknown_customer"]
    share = percent(out / c["orders"]) if c["orders"] else percent(0.0)
    return (
        f"{number(c['orders'])} orders became {number(c['repeat_days'])} repeat purchase days of"
        f" {number(c['customers'])} customers; {number(out)} orders ({share}) were left out and"
        f" {number(c['same_day'])} merged with another of the same day."
    )
