"""The tables of the way from a landing page to a deal, and of what customers say."""

from __future__ import annotations

from crm_lab.gateway.columns import (
    CHANNELS,
    CUSTOMER,
    SOURCE,
    Column,
    Table,
    choice_column,
    id_column,
    money_column,
    text_column,
    time_column,
)

FUNNEL_TABLES = (
    Table(
        name="landing",
        about="pages on which people leave their contact",
        key=("landing_id",),
        columns=(
            id_column("landing_id"),
            text_column("name"),
            text_column("url"),
            text_column("direction"),
        ),
    ),
    Table(
        name="form",
        about="registration forms of a landing page",
        key=("form_id",),
        columns=(
            id_column("form_id"),
            text_column("name"),
            id_column("landing_id", required=False, references="landing"),
        ),
    ),
    Table(
        name="form_submission",
        about="who registered through which form, when, from which channel",
        key=("submission_id",),
        columns=(
            id_column("submission_id"),
            id_column("form_id", references="form"),
            CUSTOMER,
            time_column("at", required=True),
            choice_column("channel", *CHANNELS),
            SOURCE,
        ),
    ),
    Table(
        name="refusal_reason",
        about="why deals are lost, as a closed list",
        key=("refusal_reason_code",),
        columns=(
            id_column("refusal_reason_code"),
            text_column("name"),
            Column(name="recoverable", kind="flag"),
            text_column("default_scenario"),
        ),
    ),
    Table(
        name="deal",
        about="deals that sales people lead, open, won or lost",
        key=("deal_id",),
        columns=(
            id_column("deal_id"),
            CUSTOMER,
            time_column("opened_at", required=True),
            text_column("pipeline"),
            money_column("amount_expected"),
            Column(name="is_repeat", kind="flag", about="whether the customer had a deal before"),
            id_column("registered_via_form_id", required=False, references="form"),
            choice_column("channel", *CHANNELS),
            choice_column("status", "open", "won", "lost", required=True),
            time_column("closed_at"),
            id_column("refusal_reason_code", required=False, references="refusal_reason"),
            id_column("order_id", required=False, references="orders"),
            SOURCE,
        ),
    ),
    Table(
        name="lifecycle_history",
        about="which state a customer was in since when",
        key=("customer_id", "valid_from"),
        columns=(
            CUSTOMER,
            time_column("valid_from", required=True),
            choice_column(
                "state",
                "lead",
                "new",
                "active",
                "loyal",
                "at_risk",
                "lost",
                "reactivated",
                "advocate",
                "disengaged",
                required=True,
            ),
            time_column("valid_to"),
            text_column("prev_state"),
        ),
    ),
    Table(
        name="survey_response",
        about="what customers answered, one row per answer",
        key=("response_id",),
        columns=(
            id_column("response_id"),
            CUSTOMER,
            choice_column("kind", "nps", "csat", "ces", "product", "staff", "free", required=True),
            time_column("answered_at", required=True),
            Column(name="score", kind="number"),
            text_column("comment"),
            id_column("order_id", required=False, references="orders"),
            SOURCE,
        ),
    ),
)
"""Landings, forms, deals, refusals, life-cycle states and survey answers."""
