"""Star-schema tables for BI tools: dimensions, facts, and keys that join.

Every fact carries a key for each of its dimensions; where the source does not know it, the key of
the member :data:`UNKNOWN`, so that no join loses a row. Customers, orders and messages are known
by keyed hashes: their ids, addresses and names do not leave the gateway.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd

from crm_lab.gateway.columns import CHANNELS
from crm_lab.gateway.expressions import local_day
from crm_lab.gateway.reads import Reader
from crm_lab.gateway.store import sql_text

UNKNOWN = "unknown"
UNKNOWN_DATE = 0
HAPPENED = ("delivered", "opened", "clicked", "bounced", "unsubscribed", "complained")
KEY_DIGITS = 16
FileFormat = Literal["parquet", "csv"]
_BOM = b"\xef\xbb\xbf"

RESULT_TYPES = {
    "run_id": "VARCHAR",
    "campaign_key": "VARCHAR",
    "variant": "VARCHAR",
    "reported_on": "DATE",
    "metric": "VARCHAR",
    "scale": "VARCHAR",
    "measure": "VARCHAR",
    "estimate": "DOUBLE",
    "low": "DOUBLE",
    "high": "DOUBLE",
    "p_value": "DOUBLE",
    "alpha": "DOUBLE",
    "n_treatment": "BIGINT",
    "n_control": "BIGINT",
    "verdict": "VARCHAR",
}
"""Columns of the results of experiments that the caller gives."""
POOL_TYPES = {"campaign_key": "VARCHAR", "team_pool": "VARCHAR"}
"""Who answers for which campaign, as the caller gives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StarTable:
    """One table of the star.

    Attributes
    ----------
    name, key : str
        Its name and its own key.
    columns : tuple of str
        Its columns in order; what they hold says :mod:`crm_lab.handover.star_dictionary`.
    joins : mapping of str to str
        Column of this table to the dimension whose key it holds.
    """

    name: str
    key: str
    columns: tuple[str, ...]
    joins: Mapping[str, str] = field(default_factory=dict)


STAR_TABLES: tuple[StarTable, ...] = (
    StarTable(
        name="dim_date",
        key="date_key",
        columns=(
            "date_key",
            "date",
            "year",
            "quarter",
            "month",
            "month_start",
            "iso_year",
            "iso_week",
            "weekday",
        ),
    ),
    StarTable(
        name="dim_customer",
        key="customer_key",
        columns=(
            "customer_key",
            "kind",
            "gender",
            "age_band",
            "income_band",
            "region_code",
            "city",
            "language",
            "is_test",
            "known_since",
            "first_order_on",
        ),
    ),
    StarTable(
        name="dim_mechanic",
        key="mechanic_key",
        columns=("mechanic_key",),
    ),
    StarTable(
        name="dim_team_pool",
        key="team_pool_key",
        columns=("team_pool_key",),
    ),
    StarTable(
        name="dim_channel",
        key="channel_key",
        columns=(
            "channel_key",
            "is_message_channel",
        ),
    ),
    StarTable(
        name="dim_campaign",
        key="campaign_key",
        columns=(
            "campaign_key",
            "name",
            "mechanic_key",
            "team_pool_key",
            "kind",
            "send_mode",
            "message_class",
            "is_randomised",
            "is_experiment",
            "starts_on",
            "ends_on",
        ),
        joins={"mechanic_key": "dim_mechanic", "team_pool_key": "dim_team_pool"},
    ),
    StarTable(
        name="dim_variant",
        key="variant_key",
        columns=(
            "variant_key",
            "campaign_key",
            "variant",
            "is_control",
        ),
        joins={"campaign_key": "dim_campaign"},
    ),
    StarTable(
        name="fact_orders",
        key="order_key",
        columns=(
            "order_key",
            "customer_key",
            "date_key",
            "channel_key",
            "status",
            "gross",
            "discount",
            "net_revenue",
            "cost",
        ),
        joins={
            "customer_key": "dim_customer",
            "date_key": "dim_date",
            "channel_key": "dim_channel",
        },
    ),
    StarTable(
        name="fact_messages",
        key="message_key",
        columns=(
            "message_key",
            "customer_key",
            "campaign_key",
            "variant_key",
            "channel_key",
            "date_key",
            "message_class",
            "delivered",
            "opened",
            "clicked",
            "bounced",
            "unsubscribed",
            "complained",
        ),
        joins={
            "customer_key": "dim_customer",
            "campaign_key": "dim_campaign",
            "variant_key": "dim_variant",
            "channel_key": "dim_channel",
            "date_key": "dim_date",
        },
    ),
    StarTable(
        name="fact_costs",
        key="cost_key",
        columns=(
            "cost_key",
            "campaign_key",
            "date_key",
            "channel_key",
            "kind",
            "amount",
            "units",
        ),
        joins={
            "campaign_key": "dim_campaign",
            "date_key": "dim_date",
            "channel_key": "dim_channel",
        },
    ),
    StarTable(
        name="fact_results",
        key="result_key",
        columns=(
            "result_key",
            "run_id",
            "campaign_key",
            "variant_key",
            "date_key",
            "metric",
            "scale",
            "measure",
            "estimate",
            "low",
            "high",
            "p_value",
            "alpha",
            "n_treatment",
            "n_control",
            "verdict",
        ),
        joins={
            "campaign_key": "dim_campaign",
            "variant_key": "dim_variant",
            "date_key": "dim_date",
        },
    ),
)
"""Every table of the star, dimensions before what refers to them."""


def build_star(
    reader: Reader, *, key: str, zone: str, results: pd.DataFrame, team_pools: pd.DataFrame
) -> None:
    """Make the tables of the star as temporary tables of a reader.

    Parameters
    ----------
    reader : Reader
        Pinned to one snapshot.
    key : str
        Key of the hashes that stand for customers, orders and messages.
    zone : str
        Time zone of the company.
    results : pandas.DataFrame
        Effects of experiments, columns :data:`RESULT_TYPES`.
    team_pools : pandas.DataFrame
        Who answers for which campaign, columns :data:`POOL_TYPES`.
    """
    reader.temporary_frame("given_results", results, RESULT_TYPES)
    reader.temporary_frame("given_pools", team_pools, POOL_TYPES)
    for name, query in star_queries(key=key, zone=zone).items():
        reader.temporary(name, query)


def star_queries(*, key: str, zone: str) -> dict[str, str]:
    """Give the query of each table, in an order in which they can be made."""
    day = {name: local_day(name, zone) for name in ("ordered_at", "scheduled_at", "created_at")}
    known = "(select customer_key from dim_customer)"
    return {
        "dim_customer": f"""
            with firsts as (
                select customer_id, min({day["ordered_at"]}) as first_order_on
                from orders where status is distinct from 'cancelled' group by 1
            )
            select {_hashed(key, "c", "c.customer_id")} as customer_key,
                   c.kind, c.gender, c.age_band, c.income_band, c.region_code, c.city, c.language,
                   c.is_test, {local_day("c.created_at", zone)} as known_since, f.first_order_on
            from customer as c left join firsts as f using (customer_id)
            union all
            select '{UNKNOWN}', null, null, null, null, null, null, null, null, null, null
        """,
        "star_orders": f"""
            select {_hashed(key, "o", "order_id")} as order_key,
                   {_hashed(key, "c", "customer_id")} as customer_hash,
                   {day["ordered_at"]} as day, coalesce(channel, '{UNKNOWN}') as channel_key,
                   status, gross, discount, net_revenue, cost
            from orders
        """,
        "star_messages": f"""
            with happened as (
                select send_id, bool_or(type = 'delivered') as delivered,
                       bool_or(type = 'open') as opened, bool_or(type = 'click') as clicked,
                       bool_or(type in ('bounce_hard', 'bounce_soft')) as bounced,
                       bool_or(type = 'unsubscribe') as unsubscribed,
                       bool_or(type = 'complaint') as complained
                from delivery_event group by send_id
            )
            select {_hashed(key, "m", "s.send_id")} as message_key,
                   {_hashed(key, "c", "s.customer_id")} as customer_hash,
                   coalesce(s.campaign_id, '{UNKNOWN}') as campaign_key,
                   coalesce(s.variant, '{UNKNOWN}') as variant,
                   coalesce(s.channel, '{UNKNOWN}') as channel_key,
                   {day["scheduled_at"]} as day, s.message_class,
                   {_flags(HAPPENED)}
            from send as s left join happened as h using (send_id)
        """,
        "star_costs": f"""
            select cost_id as cost_key, coalesce(campaign_id, '{UNKNOWN}') as campaign_key,
                   spent_on as day, coalesce(channel, '{UNKNOWN}') as channel_key, kind, amount,
                   units
            from cost_entry
        """,
        "star_experiments": """
            select distinct substr(scope, 12) as campaign_key, variant
            from assignment where scope like 'experiment:%'
        """,
        "dim_team_pool": f"""
            select distinct team_pool as team_pool_key from given_pools where team_pool <> ''
            union select '{UNKNOWN}'
        """,
        "dim_mechanic": f"""
            select distinct mechanic as mechanic_key from campaign where mechanic <> ''
            union select '{UNKNOWN}'
        """,
        "dim_channel": f"""
            with seen as (
                select channel_key from star_orders union select channel_key from star_messages
                union select channel_key from star_costs union select '{UNKNOWN}'
                union select unnest([{_texts(CHANNELS)}])
            )
            select channel_key, channel_key in ({_texts(CHANNELS)}) as is_message_channel from seen
        """,
        "dim_campaign": f"""
            with seen as (
                select campaign_id as campaign_key from campaign
                union select campaign_key from star_messages
                union select campaign_key from star_costs
                union select campaign_key from star_experiments
                union select campaign_key from given_results
                union select '{UNKNOWN}'
            ),
            pools as (
                select campaign_key, min(team_pool) as team_pool from given_pools
                where team_pool <> '' group by 1
            )
            select s.campaign_key, coalesce(c.name, s.campaign_key) as name,
                   coalesce(nullif(c.mechanic, ''), '{UNKNOWN}') as mechanic_key,
                   coalesce(p.team_pool, '{UNKNOWN}') as team_pool_key,
                   c.kind, c.send_mode, c.message_class, c.is_randomised,
                   s.campaign_key in (select campaign_key from star_experiments) as is_experiment,
                   {local_day("c.starts_at", zone)} as starts_on,
                   {local_day("c.ends_at", zone)} as ends_on
            from seen as s
            left join campaign as c on c.campaign_id = s.campaign_key
            left join pools as p on p.campaign_key = s.campaign_key
        """,
        "dim_variant": f"""
            with seen as (
                select campaign_key, variant from star_experiments
                union select campaign_key, variant from star_messages
                union select campaign_key, variant from given_results
                union select campaign_key, '{UNKNOWN}' from dim_campaign
            )
            select campaign_key || '/' || variant as variant_key, campaign_key, variant,
                   variant = 'control' as is_control
            from seen
        """,
        "dim_date": f"""
            with days as (
                select day from star_orders union all select day from star_messages
                union all select day from star_costs
                union all select reported_on from given_results
                union all select first_order_on from dim_customer
            ),
            bounds as (select min(day) as first_day, max(day) as last_day from days),
            every as (
                select cast(unnest(generate_series(first_day, last_day, interval 1 day)) as date)
                       as date
                from bounds where first_day is not null
            )
            select {_date_key("date")} as date_key, date,
                   cast(year(date) as integer) as year, cast(quarter(date) as integer) as quarter,
                   cast(month(date) as integer) as month,
                   cast(date_trunc('month', date) as date) as month_start,
                   cast(isoyear(date) as integer) as iso_year,
                   cast(week(date) as integer) as iso_week,
                   cast(isodow(date) as integer) as weekday
            from every
            union all select {UNKNOWN_DATE}, null, null, null, null, null, null, null, null
        """,
        "fact_orders": f"""
            select order_key, {_member("customer_hash", known)} as customer_key,
                   {_date_key("day")} as date_key, channel_key, status, gross, discount,
                   net_revenue, cost
            from star_orders
        """,
        "fact_messages": f"""
            select message_key, {_member("customer_hash", known)} as customer_key, campaign_key,
                   campaign_key || '/' || variant as variant_key, channel_key,
                   {_date_key("day")} as date_key, message_class,
                   delivered, opened, clicked, bounced, unsubscribed, complained
            from star_messages
        """,
        "fact_costs": f"""
            select cost_key, campaign_key, {_date_key("day")} as date_key, channel_key, kind,
                   amount, units
            from star_costs
        """,
        "fact_results": f"""
            select row_number() over (order by campaign_key, variant, metric, measure, run_id)
                   as result_key, run_id, campaign_key,
                   campaign_key || '/' || variant as variant_key,
                   {_date_key("reported_on")} as date_key, metric, scale, measure, estimate, low,
                   high, p_value, alpha, n_treatment, n_control, verdict
            from given_results
        """,
    }


def missing_keys(reader: Reader) -> dict[str, int]:
    """Count, for each key of each table, the rows that no row of its dimension answers."""
    keys = {table.name: table.key for table in STAR_TABLES}
    return {
        f"{table.name}.{column}": reader.integer(
            f'select count(*) from "{table.name}" as f left join "{dimension}" as d'
            f' on d."{keys[dimension]}" = f."{column}" where d."{keys[dimension]}" is null'
        )
        for table in STAR_TABLES
        for column, dimension in table.joins.items()
    }


def write_star(reader: Reader, folder: Path, *, formats: Sequence[FileFormat]) -> dict[str, int]:
    """Write every table of the star into a folder; give the rows of each.

    A text cell of a CSV file that a spreadsheet would run as a formula gets an apostrophe before
    it; Parquet files hold every value as it is.
    """
    rows = {}
    for table in STAR_TABLES:
        columns = ", ".join(f'"{name}"' for name in table.columns)
        query = f'select {columns} from "{table.name}" order by "{table.key}"'
        rows[table.name] = reader.count(table.name)
        if "parquet" in formats:
            _copy(reader, query, folder / f"{table.name}.parquet", "format parquet")
        if "csv" in formats:
            guarded = ", ".join(_guarded(reader, table.name, name) for name in table.columns)
            query = f'select {guarded} from "{table.name}" order by "{table.key}"'
            body = folder / f".{table.name}.csv"
            _copy(reader, query, body, "format csv, header true")
            with (folder / f"{table.name}.csv").open("wb") as file, body.open("rb") as content:
                file.write(_BOM)
                shutil.copyfileobj(content, file)
            body.unlink()
    return rows


def _copy(reader: Reader, query: str, path: Path, options: str) -> None:
    reader.engine.execute(f"copy ({query}) to '{sql_text(str(path))}' ({options})")


def _guarded(reader: Reader, table: str, column: str) -> str:
    kinds = {row[0]: row[1] for row in reader.engine.execute(f'describe "{table}"').fetchall()}
    if kinds[column] != "VARCHAR":
        return f'"{column}"'
    cleaned = f"regexp_replace(\"{column}\", '[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f]', '', 'g')"
    return (
        f"case when regexp_matches({cleaned}, '^[=+@\\t\\r\\n＝＋－＠-]') then '''' || {cleaned}"
        f' else {cleaned} end as "{column}"'
    )


def _hashed(key: str, kind: str, column: str) -> str:
    """Hash an id as :func:`crm_lab.reports.masking.masked_id` does; other kinds by their letter."""
    text = "" if kind == "c" else f"{kind}:"
    digest = f"substr(sha256('{sql_text(key)}:{text}' || {column}), 1, {KEY_DIGITS})"
    return f"'{kind}-' || {digest}"


def _member(column: str, known: str) -> str:
    return f"case when {column} in {known} then {column} else '{UNKNOWN}' end"


def _date_key(column: str) -> str:
    return f"coalesce(cast(strftime({column}, '%Y%m%d') as integer), {UNKNOWN_DATE})"


def _flags(names: Sequence[str]) -> str:
    return ", ".join(f"cast(coalesce(h.{name}, false) as integer) as {name}" for name in names)


def _texts(values: Sequence[str]) -> str:
    return ", ".join(f"'{sql_text(value)}'" for value in values)
