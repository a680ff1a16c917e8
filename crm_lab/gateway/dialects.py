r"""The assignment rule written for other engines, so that a warehouse draws the same arms.

The rule is that of :func:`crm_lab.experiments.assignment.bucket_of`: the first 8 hexadecimal
digits of sha256 of ``salt:customer_id`` (UTF-8) as an integer h; the bucket is
floor(h * 10000 / 2**32). Every dialect computes it in integers: a division that rounds to a few
decimals, such as Snowflake's, would now and then move an id into the next bucket.

What is quoted is the salt and the names of the arms. Columns and tables are written as they are
given and must come from a person who may write SQL anyway.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from crm_lab import formats
from crm_lab.errors import DesignError
from crm_lab.gateway.operations import BUCKETS, HASH_RANGE
from crm_lab.language import say

Dialect = Literal["duckdb", "spark", "postgresql", "bigquery", "snowflake", "clickhouse"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)

HASH_BITS = HASH_RANGE.bit_length() - 1
BACKSLASH_ESCAPES: tuple[Dialect, ...] = ("spark", "bigquery", "clickhouse")
"""Dialects in which a quote inside a text is written with a backslash before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HashedArms:
    """Arms of one salted hash: who owns which buckets.

    Attributes
    ----------
    salt : str
        Salt of the hash.
    ends : mapping
        First bucket behind each arm, in order, as
        :func:`crm_lab.experiments.assignment.bucket_ends` gives it.
    rest : str
        What a customer gets whose bucket lies behind the last arm.
    """

    salt: str
    ends: Mapping[str, int]
    rest: str = "rest"

    def __post_init__(self) -> None:
        ends = list(self.ends.values())
        if not ends or not all(a < b for a, b in zip([0, *ends], ends, strict=False)):
            raise DesignError(
                say("the arms end at {ends}", ends=ends),
                expected=say("at least one arm, each ending behind the one before it"),
            )
        if ends[-1] > BUCKETS:
            raise DesignError(
                say("the last arm ends at {end}", end=formats.number(ends[-1])),
                expected=say("at most {count} buckets", count=formats.number(BUCKETS)),
            )


def bucket_sql(dialect: Dialect, salt: str, column: str) -> str:
    """Write the bucket (0 to 9999) of an id for one engine; a NULL or empty id has none (NULL).

    Parameters
    ----------
    dialect : {"duckdb", "spark", "postgresql", "bigquery", "snowflake", "clickhouse"}
        Engine that is to read it.
    salt : str
        Salt of the hash; no control characters.
    column : str
        Column (or expression) with the id **as text**: a number would lose leading zeros, and a
        padded CHAR would hash its spaces.

    Raises
    ------
    DesignError
        The dialect is unknown, or the salt cannot be written in every engine.

    Examples
    --------
    >>> print(bucket_sql("spark", "2017", "id"))
    case when id is null or id = '' then null else
    shiftright(cast(conv(substr(sha2(concat('2017:', id), 256), 1, 8), 16, 10) as bigint)
    * 10000, 32) end
    """
    text = text_literal(dialect, f"{salt}:")
    rule = _RULES[dialect].format(
        salt=text, column=column, buckets=BUCKETS, range=HASH_RANGE, bits=HASH_BITS
    )
    return f"case when {column} is null or {column} = '' then null else {rule} end"


def arm_sql(
    dialect: Dialect,
    arms: HashedArms,
    *,
    source: str,
    column: str = "customer_id",
    control: HashedArms | None = None,
) -> str:
    """Write the SELECT that gives every id its bucket and its arm.

    Its columns are customer_id, bucket and variant. An id that is NULL or empty keeps a row with
    NULL in all that follows, so that it is seen and belongs to no arm.

    Parameters
    ----------
    dialect : Dialect
        Engine that is to read it.
    arms : HashedArms
        Arms of the experiment, or the control group itself (with ``rest="treatment"``).
    source : str
        Table, view or subquery in parentheses that holds the ids.
    column : str
        Column with the id, as text.
    control : HashedArms, optional
        Standing control group, whose first arm gets nothing: its customers are named like that
        arm, whatever the experiment's hash says.

    Raises
    ------
    DesignError
        As for :func:`bucket_sql`, or a name cannot be written.
    """
    bucket = bucket_sql(dialect, arms.salt, column)
    held = ""
    whens = ["when bucket is null then null"]
    if control is not None:
        name, end = next(iter(control.ends.items()))
        held = f",\n           {bucket_sql(dialect, control.salt, column)} as control_bucket"
        whens.append(f"when control_bucket < {end} then {text_literal(dialect, name)}")
    whens += [
        f"when bucket < {end} then {text_literal(dialect, name)}" for name, end in arms.ends.items()
    ]
    cases = "\n            ".join(whens)
    return (
        "select customer_id, bucket,\n"
        f"       case {cases}\n"
        f"            else {text_literal(dialect, arms.rest)} end as variant\n"
        "from (\n"
        f"    select {column} as customer_id,\n"
        f"           {bucket} as bucket{held}\n"
        f"    from {source}\n"
        ") as hashed"
    )


def text_literal(dialect: Dialect, value: str) -> str:
    r"""Write a text as a literal of one engine, quotes included.

    DuckDB knows no escapes and doubles the quote. PostgreSQL does the same; a backslash is
    written in its E'' form, which means the same under every setting. Snowflake doubles both
    quote and backslash. Spark, BigQuery and ClickHouse put a backslash before either; Spark gets
    the dollar of ``${`` as an escape, since it would look for a variable.

    Raises
    ------
    DesignError
        The dialect is unknown, or the text holds a control character or half a surrogate pair.

    Examples
    --------
    >>> print(text_literal("postgresql", "it's"), text_literal("bigquery", "it's"))
    'it''s' 'it\'s'
    """
    if dialect not in DIALECTS:
        raise DesignError(
            say("there is no dialect '{dialect}'", dialect=dialect),
            expected=say("one of {choices}", choices=", ".join(DIALECTS)),
        )
    odd = [letter for letter in value if unicodedata.category(letter) in ("Cc", "Cs")]
    if odd:
        raise DesignError(
            say(
                "{text} holds the character {code}",
                text=repr(value),
                code=f"U+{ord(odd[0]):04X}",
            ),
            expected=say("a text without control characters, which not every engine takes"),
        )
    if dialect in BACKSLASH_ESCAPES:
        text = value.replace("\\", "\\\\").replace("'", "\\'")
        return "'" + (text.replace("${", "\\u0024{") if dialect == "spark" else text) + "'"
    text = value.replace("'", "''")
    if dialect == "duckdb" or "\\" not in text:
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\")
    return f"E'{escaped}'" if dialect == "postgresql" else f"'{escaped}'"


_RULES: Mapping[Dialect, str] = {
    "duckdb": (
        "cast('0x' || substr(sha256({salt} || {column}), 1, 8) as bigint) * {buckets} // {range}"
    ),
    "spark": (
        "shiftright(cast(conv(substr(sha2(concat({salt}, {column}), 256), 1, 8), 16, 10) as bigint)"
        " * {buckets}, {bits})"
    ),
    "postgresql": (
        "('x' || substr(encode(sha256(convert_to({salt} || {column}, 'UTF8')), 'hex'), 1, 8))"
        "::bit(32)::bigint * {buckets} / {range}"
    ),
    "bigquery": (
        "div(cast(concat('0x', substr(to_hex(sha256(concat({salt}, {column}))), 1, 8)) as int64)"
        " * {buckets}, {range})"
    ),
    "snowflake": (
        "bitshiftright(to_number(substr(sha2(concat({salt}, {column}), 256), 1, 8), 'XXXXXXXX')"
        " * {buckets}, {bits})"
    ),
    "clickhouse": (
        "intDiv(toUInt64(reinterpretAsUInt32(reverse(substring("
        "SHA256(concat({salt}, ifNull({column}, ''))), 1, 4)))) * {buckets}, {range})"
    ),
}
