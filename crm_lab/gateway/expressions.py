"""Pieces of SQL that every operation is made of: the hash, addresses, moments, days, orders.

What differs between engines stands here, one expression each.
"""

from __future__ import annotations

from datetime import datetime

from crm_lab.gateway.store import sql_text

BUCKETS = 10_000
HASH_RANGE = 2**32


def hash_expression(salt: str, column: str) -> str:
    """Write the whole 32-bit hash behind a bucket, for draws that rank instead of cutting."""
    return f"cast('0x' || substr(sha256('{sql_text(salt)}:' || {column}), 1, 8) as bigint)"


def bucket_expression(salt: str, column: str) -> str:
    """Write the bucket (0 to 9999) of an id: its salted hash, spread over 10,000 buckets.

    The first 8 hexadecimal digits of sha256 of ``salt:id`` (UTF-8) as an integer h; the bucket is
    floor(h * 10000 / 2**32). The same rule in Python stands in
    :func:`crm_lab.experiments.assignment.bucket_of`.
    """
    text = f"sha256('{sql_text(salt)}:' || {column})"
    return (
        f"cast(cast('0x' || substr({text}, 1, 8) as bigint) * {BUCKETS} // {HASH_RANGE} as integer)"
    )


def moment(value: datetime) -> str:
    """Write a moment (UTC, without zone) as a SQL literal."""
    if value.tzinfo is not None:
        raise ValueError("moments are UTC without zone")
    return f"timestamp '{value.isoformat(sep=' ', timespec='microseconds')}'"


def local_day(column: str, zone: str) -> str:
    """Write the calendar day of a UTC time in the company's time zone."""
    if zone == "UTC":
        return f"cast({column} as date)"
    return f"cast(timezone('{sql_text(zone)}', timezone('UTC', {column})) as date)"


def valid_orders() -> str:
    """Orders that count: known customer, not cancelled."""
    return (
        "select customer_id, ordered_at, net_revenue, cost from orders"
        " where customer_id is not null and status is distinct from 'cancelled'"
    )


def address_key(column: str) -> str:
    """Write the key by which addresses are compared: two spellings of one address have one key.

    A phone number (10 to 15 digits and no letter) is its digits; written in the Russian way, with
    8 in front or without a country, it gets its 7. Everything else is lower-cased and trimmed. The
    same rule in Python stands in :func:`crm_lab.campaigns.send_lists.address_key`.
    """
    digits = f"regexp_replace({column}, '[^0-9+]+', '', 'g')"
    national = "^(?:8([0-9]{10})|(9[0-9]{9}))$"
    phone = f"replace(regexp_replace({digits}, '{national}', '7\\1\\2'), '+', '')"
    return (
        f"(case when not regexp_matches({column}, '[@_/a-zA-Z]|\\p{{L}}')"
        f" and length({column}) >= 10 and length({phone}) between 10 and 15"
        f" then {phone} else lower(trim({column})) end)"
    )


def is_email(column: str) -> str:
    """Write whether a text can be an e-mail address: one @, something before it, a dot after."""
    pattern = "[^@\\s]+@[^@\\s.]+([.][^@\\s.]+)+"
    return f"regexp_full_match(trim({column}), '{pattern}')"
