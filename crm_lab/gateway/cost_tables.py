"""The tables of what reached a customer from where, and of what it cost."""

from __future__ import annotations

from crm_lab.gateway.columns import (
    SOURCE,
    Column,
    Table,
    choice_column,
    id_column,
    money_column,
    text_column,
    time_column,
)

COST_TABLES = (
    Table(
        name="touchpoint",
        about="visits and clicks by which customers came, for attribution",
        key=("touchpoint_id",),
        columns=(
            id_column("touchpoint_id"),
            id_column("customer_id", required=False, references="customer", about="empty: unknown"),
            time_column("at", required=True),
            text_column("utm_source"),
            text_column("utm_medium", "email, sms, cpc, organic, direct, ..."),
            text_column("utm_campaign"),
            id_column("campaign_id", required=False, references="campaign"),
            SOURCE,
        ),
    ),
    Table(
        name="cost_entry",
        about="what campaigns cost, day by day and by kind",
        key=("cost_id",),
        money="amount",
        columns=(
            id_column("cost_id"),
            id_column("campaign_id", required=False, references="campaign"),
            Column(name="spent_on", kind="day", required=True),
            choice_column(
                "kind",
                "message",
                "discount",
                "points",
                "gift",
                "creative",
                "labour",
                "media",
                "acquisition",
                required=True,
            ),
            text_column("channel"),
            money_column("amount", required=True),
            Column(name="units", kind="number"),
            SOURCE,
        ),
    ),
)
"""Touch points and costs."""
