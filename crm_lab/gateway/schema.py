"""The tables of the Data Gateway: columns, keys and closed lists, in one place.

Conventions. Ids are text and never reused. Times are ``TIMESTAMP`` in UTC. Money is
``DECIMAL(18,2)``. Every table that is imported also carries ``import_batch_id``. What a customer
ordered stands in ``orders``, since ``order`` is a reserved word of SQL.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

ColumnKind = Literal["id", "text", "integer", "number", "money", "time", "day", "flag", "choice"]

SQL_TYPES: dict[ColumnKind, str] = {
    "id": "VARCHAR",
    "text": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "money": "DECIMAL(18,2)",
    "time": "TIMESTAMP",
    "day": "DATE",
    "flag": "BOOLEAN",
    "choice": "VARCHAR",
}

CHANNELS = (
    "email",
    "sms",
    "call",
    "messenger",
    "bot",
    "push_mobile",
    "push_web",
    "social",
    "postal",
)
MESSAGE_CLASSES = ("marketing", "service_survey", "transactional", "legal")
BATCH_COLUMN = "import_batch_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name : str
        Column name.
    kind : ColumnKind
        What it holds; decides the SQL type and how text is read.
    required : bool
        Whether a row without it is rejected.
    choices : tuple of str
        The closed list of a ``choice`` column.
    references : str
        Table whose single key this column points to, or empty.
    about : str
        One line for people.
    """

    name: str
    kind: ColumnKind
    required: bool = False
    choices: tuple[str, ...] = ()
    references: str = ""
    about: str = ""

    @property
    def sql_type(self) -> str:
        """Type of the column in the store."""
        return SQL_TYPES[self.kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table of the gateway.

    Attributes
    ----------
    name, about : str
        Name and one line for people.
    columns : tuple of Column
        Columns in order, without ``import_batch_id``.
    key : tuple of str
        Natural key; rows with the same key are the same thing.
    money : str
        The money column that an import reconciles, or empty.
    append_only : bool
        Whether rows, once written, can never be replaced.
    """

    name: str
    about: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    money: str = ""
    append_only: bool = False
    importable: bool = True
    by_name: dict[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {column.name: column for column in self.columns})

    @property
    def stored_columns(self) -> tuple[tuple[str, str], ...]:
        """Names and SQL types as they stand in the files, batch column last."""
        return (*((c.name, c.sql_type) for c in self.columns), (BATCH_COLUMN, "VARCHAR"))


def _id(name: str, *, required: bool = True, references: str = "", about: str = "") -> Column:
    return Column(name=name, kind="id", required=required, references=references, about=about)


def _text(name: str, about: str = "") -> Column:
    return Column(name=name, kind="text", about=about)


def _choice(name: str, *choices: str, required: bool = False) -> Column:
    return Column(name=name, kind="choice", choices=choices, required=required)


def _time(name: str, *, required: bool = False, about: str = "") -> Column:
    return Column(name=name, kind="time", required=required, about=about)


def _money(name: str, *, required: bool = False, about: str = "") -> Column:
    return Column(name=name, kind="money", required=required, about=about)


def _integer(name: str, *, required: bool = False) -> Column:
    return Column(name=name, kind="integer", required=required)


_CUSTOMER = _id("customer_id", references="customer")
_SOURCE = _text("source_system", "where the row comes from")

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            name="customer",
            about="people and organisations, one row each",
            key=("customer_id",),
            columns=(
                _id("customer_id"),
                _choice("kind", "person", "organisation"),
                _time("created_at", about="when the company first knew the customer"),
                _text("full_name"),
                _text("first_name"),
                _text("last_name"),
                Column(name="birth_date", kind="day"),
                _text("gender"),
                _text("age_band"),
                _text("income_band"),
                _text("region_code"),
                _text("city"),
                _text("timezone", "IANA name"),
                _text("language"),
                _text("household_id", "people who share a home share an arm"),
                Column(name="is_test", kind="flag"),
                _SOURCE,
            ),
        ),
        Table(
            name="customer_identity",
            about="the ids under which other systems know a customer",
            key=("identity_type", "identity_value"),
            columns=(
                _choice(
                    "identity_type",
                    "email",
                    "phone",
                    "loyalty_card",
                    "crm_id",
                    "esp_id",
                    "cookie",
                    "device",
                    "social",
                    required=True,
                ),
                _id("identity_value"),
                _CUSTOMER,
                Column(name="verified", kind="flag"),
                _time("first_seen_at"),
                _time("last_seen_at"),
            ),
        ),
        Table(
            name="identity_merge",
            about="two ids that turned out to be one customer; the past is not rewritten",
            key=("merge_id",),
            columns=(
                _id("merge_id"),
                _id("kept_id", references="customer"),
                _id("merged_id", references="customer"),
                _text("rule", "what showed it: e-mail, phone, a clerk"),
                _time("merged_at", required=True),
            ),
        ),
        Table(
            name="contact_point",
            about="addresses under which a customer can be reached",
            key=("contact_point_id",),
            columns=(
                _id("contact_point_id"),
                _CUSTOMER,
                _choice("channel", *CHANNELS, required=True),
                _id("address", about="normalised address"),
                Column(name="is_primary", kind="flag"),
                _choice("status", "valid", "invalid", "bounced", "blocked", "unknown"),
                _time("collected_at"),
                _SOURCE,
            ),
        ),
        Table(
            name="consent_event",
            about="consents given and withdrawn; the last one counts",
            key=("consent_event_id",),
            columns=(
                _id("consent_event_id"),
                _CUSTOMER,
                _choice(
                    "purpose",
                    "personal_data",
                    "advertising",
                    "service_survey",
                    "profiling",
                    required=True,
                ),
                _choice("channel", *CHANNELS),
                _choice("action", "granted", "withdrawn", "expired", required=True),
                _time("at", required=True),
                _text("evidence_kind"),
                _text("evidence_ref"),
                _SOURCE,
            ),
        ),
        Table(
            name="suppression",
            about="customers or addresses that must not be contacted",
            key=("suppression_id",),
            columns=(
                _id("suppression_id"),
                _id("customer_id", required=False, references="customer"),
                _id("contact_point_id", required=False, references="contact_point"),
                _choice(
                    "reason",
                    "unsubscribe",
                    "hard_bounce",
                    "complaint",
                    "legal",
                    "deceased",
                    "staff",
                    "manual",
                    "never_engaged",
                    required=True,
                ),
                _choice("channel", *CHANNELS),
                _time("from_at", required=True),
                _time("to_at"),
            ),
        ),
        Table(
            name="product",
            about="what is sold",
            key=("product_id",),
            columns=(
                _id("product_id"),
                _text("sku"),
                _text("name"),
                _text("category"),
                _text("department"),
                _text("brand"),
                _money("price"),
                _money("unit_cost"),
            ),
        ),
        Table(
            name="orders",
            about="orders, paid or taken back; net_revenue is what the company keeps",
            key=("order_id",),
            money="net_revenue",
            columns=(
                _id("order_id"),
                _id("customer_id", required=False, references="customer", about="empty: unknown"),
                _time("ordered_at", required=True),
                _choice("channel", "web", "app", "store", "phone"),
                _text("store_id"),
                _choice("status", "paid", "cancelled", "returned", "partial"),
                _money("gross"),
                _money("discount"),
                _money("net_revenue", required=True, about="after discounts, without tax"),
                _money("cost", about="cost of goods; with it margin is known"),
                _SOURCE,
            ),
        ),
        Table(
            name="order_line",
            about="lines of an order",
            key=("order_id", "line_no"),
            money="amount",
            columns=(
                _id("order_id", references="orders"),
                Column(name="line_no", kind="integer", required=True),
                _id("product_id", required=False, references="product"),
                Column(name="quantity", kind="number"),
                _money("amount", required=True),
                _money("discount"),
            ),
        ),
        Table(
            name="campaign",
            about="campaigns, run here or elsewhere",
            key=("campaign_id",),
            columns=(
                _id("campaign_id"),
                _text("name"),
                _text("mechanic"),
                _choice("kind", "informational", "incentive", "mixed"),
                _choice("send_mode", "auto", "manual"),
                _choice("message_class", *MESSAGE_CLASSES),
                _time("starts_at"),
                _time("ends_at"),
                Column(name="is_randomised", kind="flag", about="whether recipients were drawn"),
            ),
        ),
        Table(
            name="campaign_wave",
            about="waves of a campaign",
            key=("campaign_id", "wave_no"),
            columns=(
                _id("campaign_id", references="campaign"),
                _integer("wave_no", required=True),
                _time("planned_at"),
                _choice("channel", *CHANNELS),
                _integer("planned_count"),
            ),
        ),
        Table(
            name="send",
            about="messages handed to a sending service or sent elsewhere",
            key=("send_id",),
            columns=(
                _id("send_id"),
                _id("campaign_id", references="campaign"),
                _integer("wave_no"),
                _CUSTOMER,
                _id("contact_point_id", required=False),
                _choice("channel", *CHANNELS),
                _choice("message_class", *MESSAGE_CLASSES),
                _text("variant"),
                _time("scheduled_at"),
            ),
        ),
        Table(
            name="delivery_event",
            about="what happened to a message",
            key=("delivery_event_id",),
            columns=(
                _id("delivery_event_id"),
                _id("send_id", references="send"),
                _time("at", required=True),
                _choice(
                    "type",
                    "sent",
                    "delivered",
                    "open",
                    "machine_open",
                    "click",
                    "bounce_hard",
                    "bounce_soft",
                    "unsubscribe",
                    "complaint",
                    "reply",
                    required=True,
                ),
            ),
        ),
        Table(
            name="promo_code",
            about="coupons and codes",
            key=("code",),
            columns=(
                _id("code"),
                _id("campaign_id", required=False, references="campaign"),
                _text("offer"),
                Column(name="is_shared", kind="flag"),
                _time("expires_at"),
            ),
        ),
        Table(
            name="promo_redemption",
            about="codes used",
            key=("redemption_id",),
            columns=(
                _id("redemption_id"),
                _id("code", references="promo_code"),
                _id("campaign_id", required=False, references="campaign"),
                _id("order_id", required=False),
                _CUSTOMER,
                _time("at", required=True),
            ),
        ),
        Table(
            name="assignment",
            about="who was in which arm, since when; written by draws, never changed",
            key=("scope", "customer_id"),
            append_only=True,
            importable=False,
            columns=(
                _id("scope", about="'epoch:…' of the control group or 'experiment:…'"),
                _id("customer_id", references="customer"),
                _id("unit_id", about="the customer, or everybody who shares a contact"),
                _text("variant"),
                _integer("bucket"),
                _text("stratum"),
                _choice("rule", "hash", "stratum", "inherited", "upload"),
                _time("assigned_at", required=True),
            ),
        ),
        Table(
            name="eligibility",
            about="why each customer was or was not eligible when a control group was drawn",
            key=("scope", "drawn_at", "customer_id"),
            append_only=True,
            importable=False,
            columns=(
                _id("scope"),
                _CUSTOMER,
                _time("drawn_at", required=True),
                _text("obstacle", "empty: eligible"),
            ),
        ),
    )
}


def importable_tables() -> tuple[str, ...]:
    """Names of the tables that a file can be loaded into, in the order of their references."""
    return tuple(name for name, table in TABLES.items() if table.importable)
