"""What the tables of the star schema hold, column by column, for people."""

from __future__ import annotations

from collections.abc import Mapping

from crm_lab import formats
from crm_lab.gateway.star import STAR_TABLES
from crm_lab.language import message, say

TABLE_TEXTS: Mapping[str, str] = {
    "dim_date": message(
        "One row per calendar day of the company's time zone, and one for an unknown day."
    ),
    "dim_customer": message("One row per customer, without name, address or id."),
    "dim_mechanic": message("Mechanics of campaigns."),
    "dim_team_pool": message(
        "Who answers for a campaign: the owner that its registered plan names."
    ),
    "dim_channel": message("Channels of messages, orders and costs."),
    "dim_campaign": message("Campaigns and experiments, run here or elsewhere."),
    "dim_variant": message("Variants of each campaign, the control included."),
    "fact_orders": message("One row per order, cancelled and returned ones included."),
    "fact_messages": message(
        "One row per message handed to a sending service, with what happened to it."
    ),
    "fact_costs": message("One row per cost entry."),
    "fact_results": message("One row per effect of an experiment, from its last complete report."),
}
"""What a row of each table is."""

COLUMN_TEXTS: Mapping[str, Mapping[str, str]] = {
    "dim_date": {
        "date_key": message("the day as a number, 20261201; 0: unknown"),
        "date": message("the day"),
        "year": message("calendar year"),
        "quarter": message("quarter, 1 to 4"),
        "month": message("month, 1 to 12"),
        "month_start": message("first day of the month"),
        "iso_year": message("year of the ISO week"),
        "iso_week": message("ISO week, 1 to 53"),
        "weekday": message("day of the week, 1 (Monday) to 7"),
    },
    "dim_customer": {
        "customer_key": message("keyed hash of the id; the same as on the pages of reports"),
        "kind": message("person or organisation"),
        "gender": message("as the source says it"),
        "age_band": message("as the source says it"),
        "income_band": message("as the source says it"),
        "region_code": message("region"),
        "city": message("city"),
        "language": message("language"),
        "is_test": message("whether the record is a test"),
        "known_since": message("day when the company first knew the customer"),
        "first_order_on": message("day of the first order that counts"),
    },
    "dim_mechanic": {
        "mechanic_key": message("the mechanic, such as abandoned basket"),
    },
    "dim_team_pool": {
        "team_pool_key": message("the team or the person"),
    },
    "dim_channel": {
        "channel_key": message("the channel"),
        "is_message_channel": message("whether messages are sent by it"),
    },
    "dim_campaign": {
        "campaign_key": message("id of the campaign; for an experiment its name"),
        "name": message("name for people"),
        "mechanic_key": message("its mechanic"),
        "team_pool_key": message("who answers for it"),
        "kind": message("informational, incentive or mixed"),
        "send_mode": message("auto or manual"),
        "message_class": message("marketing, service_survey, transactional or legal"),
        "is_randomised": message("whether recipients were drawn"),
        "is_experiment": message("whether its arms were drawn here"),
        "starts_on": message("first day"),
        "ends_on": message("last day"),
    },
    "dim_variant": {
        "variant_key": message("campaign and variant, joined by a slash"),
        "campaign_key": message("its campaign"),
        "variant": message("name of the variant"),
        "is_control": message("whether it receives nothing"),
    },
    "fact_orders": {
        "order_key": message("keyed hash of the order's id"),
        "customer_key": message("who ordered"),
        "date_key": message("day of the order"),
        "channel_key": message("where it was ordered"),
        "status": message("paid, cancelled, returned or partial"),
        "gross": message("before discounts"),
        "discount": message("discount"),
        "net_revenue": message("after discounts, without tax"),
        "cost": message("cost of goods, where known"),
    },
    "fact_messages": {
        "message_key": message("keyed hash of the message's id"),
        "customer_key": message("to whom"),
        "campaign_key": message("of which campaign"),
        "variant_key": message("which variant"),
        "channel_key": message("by which channel"),
        "date_key": message("day for which it was scheduled"),
        "message_class": message("marketing, service_survey, transactional or legal"),
        "delivered": message("1 when it was delivered"),
        "opened": message("1 when a person opened it"),
        "clicked": message("1 when it was clicked"),
        "bounced": message("1 when it came back"),
        "unsubscribed": message("1 when it led to an unsubscription"),
        "complained": message("1 when it led to a complaint"),
    },
    "fact_costs": {
        "cost_key": message("id of the entry"),
        "campaign_key": message("of which campaign"),
        "date_key": message("day of the cost"),
        "channel_key": message("by which channel"),
        "kind": message("message, discount, points, gift, creative, labour, media or acquisition"),
        "amount": message("amount"),
        "units": message("how many, where counted"),
    },
    "fact_results": {
        "result_key": message("number of the row"),
        "run_id": message("the report that says it"),
        "campaign_key": message("of which experiment"),
        "variant_key": message("which variant against the control"),
        "date_key": message("day of the report"),
        "metric": message("what is compared"),
        "scale": message("number or share"),
        "measure": message("absolute difference or relative change (0.05 is 5 %)"),
        "estimate": message("the effect"),
        "low": message("lower end of its interval"),
        "high": message("upper end of its interval"),
        "p_value": message("p-value"),
        "alpha": message("error rate of the interval"),
        "n_treatment": message("customers with the variant"),
        "n_control": message("customers in the control"),
        "verdict": message("verdict on the variant"),
    },
}
"""What each column holds."""


def dictionary(rows: Mapping[str, int], *, currency: str, zone: str) -> str:
    """Write what the tables hold and how they join, as Markdown."""
    parts = [
        f"# {say('Star-schema tables')}",
        say(
            "Amounts are in {currency}, days are those of {zone}. Customers, orders and messages"
            " stand under keyed hashes. Every key of a fact is found in its dimension; what is not"
            " known joins the member `unknown` (a day: 0).",
            currency=currency,
            zone=zone,
        ),
    ]
    for table in STAR_TABLES:
        parts += [
            f"## {table.name}",
            say(
                "{about} Rows: {rows}. Key: `{key}`.",
                about=say(TABLE_TEXTS[table.name]),
                rows=formats.number(rows.get(table.name, 0)),
                key=table.key,
            ),
            "\n".join(
                [
                    f"| {say('column')} | {say('joins')} | {say('what it holds')} |",
                    "|---|---|---|",
                    *(
                        f"| `{name}` | {table.joins.get(name, '')} | {say(about)} |"
                        for name, about in COLUMN_TEXTS[table.name].items()
                    ),
                ]
            ),
        ]
    return "\n\n".join(parts) + "\n"
