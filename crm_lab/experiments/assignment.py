"""Who gets what: a salted hash of the customer id, the same in Python and in SQL.

A bucket is floor(h * 10000 / 2**32), where h is the first 8 hexadecimal digits of sha256 of
``salt:customer_id`` (UTF-8) read as an integer. An arm owns a run of buckets, so a customer's arm
depends on nothing but the id and the salt: not on row order, process, engine or day.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

from crm_lab.errors import DesignError
from crm_lab.experiments.fields import BUCKETS, CONTROL, REST, check_whole_buckets
from crm_lab.gateway import operations
from crm_lab.gateway.store import sql_text
from crm_lab.language import say

TREATABLE = "treatment"


def bucket_of(salt: str, customer_id: str) -> int:
    """Give the bucket of one customer id, 0 to 9999.

    Raises
    ------
    DesignError
        The id is empty.

    Examples
    --------
    >>> bucket_of("2017", "900")
    8813
    """
    if not customer_id:
        raise DesignError(say("an empty customer id has no bucket"))
    digest = hashlib.sha256(f"{salt}:{customer_id}".encode()).hexdigest()
    return int(digest[:8], 16) * BUCKETS // operations.HASH_RANGE


def arm_of(bucket: int, shares: Mapping[str, float]) -> str:
    """Give the arm that owns a bucket; arms follow each other in the order of ``shares``.

    Examples
    --------
    >>> [arm_of(bucket, {"a": 0.5, "b": 0.4}) for bucket in (4999, 5000, 9000)]
    ['a', 'b', 'rest']
    """
    for name, end in bucket_ends(shares).items():
        if bucket < end:
            return name
    return REST


def bucket_ends(shares: Mapping[str, float]) -> dict[str, int]:
    """Give the first bucket behind each arm, in order.

    Raises
    ------
    DesignError
        A share is not positive, finer than 1/10,000, or the shares exceed 1.
    """
    ends: dict[str, int] = {}
    end = 0
    for name, share in shares.items():
        if not 0 < share <= 1:
            raise DesignError(
                say("the share of '{name}' is {share}", name=name, share=share),
                expected=say("a share above 0 and at most 1"),
            )
        try:
            end += round(check_whole_buckets(share) * BUCKETS)
        except ValueError as problem:
            raise DesignError(
                say("the share of '{name}': {problem}", name=name, problem=problem)
            ) from None
        ends[name] = end
    if end > BUCKETS:
        raise DesignError(
            say("the shares add up to {total}", total=end / BUCKETS),
            expected=say("at most {most}", most=1),
        )
    return ends


def arm_expression(bucket: str, shares: Mapping[str, float]) -> str:
    """Write :func:`arm_of` in SQL over a bucket expression."""
    whens = " ".join(
        f"when {bucket} < {end} then '{sql_text(name)}'"
        for name, end in bucket_ends(shares).items()
    )
    return f"case {whens} else '{REST}' end"


def experiment_rows(people: str, arm: str, *, scope: str, salt: str, at: datetime) -> str:
    """Write an experiment's draw over ``people``.

    Parameters
    ----------
    people : str
        SELECT of customer_id, unit_id and is_control.
    arm : str
        SQL of the arm over the columns bucket and unit_id (see :func:`arm_expression`).
    scope, salt : str
        Scope of the rows, and salt of the bucket.
    at : datetime
        Business time of the draw (UTC).
    """
    bucket = operations.bucket_expression(salt, "unit_id")
    return f"""
        select '{sql_text(scope)}' as scope, customer_id, unit_id,
               case when is_control then '{CONTROL}' else {arm} end as variant,
               bucket, cast(null as varchar) as stratum, 'hash' as rule,
               {operations.moment(at)} as assigned_at
        from (
            select customer_id, unit_id, is_control, {bucket} as bucket from ({people}) as people
        ) as hashed
    """
