"""Every sentence about tiers, groups and the data behind lifetime value, in one place."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

import pandas as pd

from crm_lab.formats import currency_name, month, number, number_interval, percent
from crm_lab.language import message, say, word
from crm_lab.ltv.wording import amount, customers_text

if TYPE_CHECKING:
    from crm_lab.ltv.cohorts import GroupValues
    from crm_lab.ltv.health import DataHealth
    from crm_lab.ltv.tiers import ValueTiers


TIERS_TITLE = message("Who will bring it?")
GROUPS_TITLE = message("Lifetime value by group")
GROUPS_METHOD = (
    "past and expected value per customer; variance between customers plus the error of the"
    " prediction, taken as shared; pooled by a normal law of the true values of the groups"
)
NO_GROUPS = message("no customer is in any group")
OBSERVATIONAL = message(
    "Observational: other people came, so a difference is no effect of how they came."
)
BY_WORDS: Mapping[str, str] = {
    "month": message("month of the first order"),
    "channel": message("channel of the first order"),
    "form": message("first form"),
    "region_code": message("region"),
    "age_band": message("age"),
    "income_band": message("income"),
    "gender": message("gender"),
}
PAYS_BACK: Mapping[str, str] = {
    "yes": message("has paid back"),
    "expected": message("will, by the forecast"),
    "not sure": message("cannot conclude"),
    "no": message("will not in this horizon"),
    "not known": message("not known"),
}


def by_text(by: str) -> str:
    """Say what groups are made by."""
    return say(BY_WORDS.get(by, by))


def small_group(n: int, needed: int) -> str:
    """Say that a group is too small."""
    return say(
        "only {found} customers, at least {needed} are needed for an interval",
        found=number(n),
        needed=number(needed),
    )


def tier_names(shares: Sequence[float]) -> list[str]:
    """Name tiers by their share, best first; :func:`tier_text` says them."""
    names, start = [], 0.0
    for share in shares:
        end = start + share
        if start == 0:
            names.append(f"best {100 * end:.0f} %")
        elif end >= 1 - 1e-9:
            names.append(f"last {100 * share:.0f} %")
        else:
            names.append(f"next {100 * share:.0f} %")
        start = end
    return names


TIER_WORDS: Mapping[str, str] = {
    "best": message("best {share}"),
    "next": message("next {share}"),
    "last": message("last {share}"),
}


def tier_text(name: str) -> str:
    """Say the name of a tier."""
    place, _, share = name.removesuffix(" %").partition(" ")
    return say(TIER_WORDS[place], share=percent(float(share) / 100, decimals=0))


def tiers_sentence(result: ValueTiers) -> str:
    """Say how much the best customers carry."""
    if result.reason or not result.tiers:
        return say("No tiers: {reason}.", reason=result.reason or say(NO_GROUPS))
    best, last = result.tiers[0], result.tiers[-1]
    values = {
        "horizon": result.horizon,
        "best": tier_text(best.tier),
        "customers": customers_text(best.customers),
        "best_share": percent(best.share, decimals=0),
        "last": tier_text(last.tier),
        "last_share": percent(last.share, decimals=0),
        "gone": number(best.at_risk),
    }
    if result.by_value:
        return say(
            "In the next {horizon} the {best} ({customers}) are expected to bring {best_share} of"
            " the value, the {last} {last_share}; {gone} of the {best} have probably left already.",
            **values,
        )
    return say(
        "In the next {horizon} the {best} ({customers}) are expected to bring {best_share} of the"
        " orders, the {last} {last_share}; {gone} of the {best} have probably left already.",
        **values,
    )


def tiers_table(result: ValueTiers) -> pd.DataFrame:
    """Give the tiers as people read them."""
    unit = currency_name(result.currency) if result.by_value else say("orders")
    expected = say("expected, {unit}", unit=unit)
    return pd.DataFrame(
        [
            {
                "tier": tier_text(each.tier),
                "customers": each.customers,
                expected: number(each.expected),
                "share": percent(each.share, decimals=0),
                "each": number(each.mean, decimals=2),
                "will order": percent(each.share_ordering, decimals=0),
                "left": each.at_risk,
            }
            for each in result.tiers
        ]
    )


def group_text(by: str, group: str) -> str:
    """Write the name of a group; a month as the language writes it."""
    if by == "month" and re.fullmatch(r"\d{4}-\d{2}", group):
        return month(date.fromisoformat(f"{group}-01"))
    return word(group)


def groups_sentence(result: GroupValues) -> str:
    """Say which groups bring most."""
    if result.reason:
        return say("Cannot compare: {reason}.", reason=result.reason)
    by = by_text(result.by)
    known = [row for row in result.rows if math.isfinite(row.shrunken)]
    if not known:
        parts = [say("One group by {by} only, nothing to compare.", by=by)]
    elif not result.differ:
        parts = [say("The data do not show that lifetime value differs by {by}.", by=by)]
    else:
        best = max(known, key=lambda row: row.shrunken)
        worst = min(known, key=lambda row: row.shrunken)
        parts = [
            say(
                "Lifetime value differs by {by}: most for {best} ({most} per customer), least for"
                " {worst} ({least}).",
                by=by,
                best=group_text(result.by, best.group),
                most=amount(
                    (best.shrunken, best.shrunken_low, best.shrunken_high), result.currency
                ),
                worst=group_text(result.by, worst.group),
                least=number_interval(worst.shrunken, worst.shrunken_low, worst.shrunken_high),
            )
        ]
    priced = [row for row in result.rows if math.isfinite(row.cost)]
    if priced:
        parts.append(
            say(
                "{paid} of {priced} groups with a known cost have paid it back.",
                paid=number(sum(row.pays_back == "yes" for row in priced)),
                priced=number(len(priced)),
            )
        )
    return " ".join([*parts, say(OBSERVATIONAL)])


def groups_table(result: GroupValues) -> pd.DataFrame:
    """Give the groups as people read them."""
    rows = []
    has_cost = any(math.isfinite(row.cost) for row in result.rows)
    for each in result.rows:
        row = {
            by_text(result.by): group_text(result.by, each.group),
            "customers": each.customers,
            "brought": number(each.past_value, decimals=2),
            say("in {horizon}", horizon=result.horizon): number(each.expected_value, decimals=2),
            "together": number_interval(each.lifetime_value, each.low, each.high)
            if math.isfinite(each.low)
            else each.reason or number(each.lifetime_value, decimals=2),
            "pooled": number_interval(each.shrunken, each.shrunken_low, each.shrunken_high)
            if math.isfinite(each.shrunken_low)
            else number(each.shrunken, decimals=2),
        }
        if has_cost:
            row["cost"] = number(each.cost, decimals=2)
            row["paid back"] = say(PAYS_BACK[each.pays_back])
            row["months"] = number(each.payback_months)
        rows.append(row)
    return pd.DataFrame(rows)


HEALTH_TITLE = message("The data behind it")
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
    return say(
        "{orders} orders became {days} repeat purchase days of {customers} customers; {out} orders"
        " ({share}) were left out and {merged} merged with another of the same day.",
        orders=number(c["orders"]),
        days=number(c["repeat_days"]),
        customers=number(c["customers"]),
        out=number(out),
        share=share,
        merged=number(c["same_day"]),
    )
