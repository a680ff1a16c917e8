"""The SQL of metrics: what is added up per customer, and summaries of it per arm.

A measure is a sum per customer over a span of time. :func:`customer_measures` gives one row per
customer, :func:`power_sums` what means, ratios and adjusted means need to know about ten million
of them. Money is added up as whole hundredths in 128-bit integers, so that sums of squares and
cubes are exact and do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations_with_replacement
from typing import Any

import duckdb

from crm_lab.errors import DesignError
from crm_lab.gateway.expressions import moment
from crm_lab.gateway.reads import Reader
from crm_lab.language import say

SCALE = 100
"""Money counts in hundredths wherever it is an integer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One column of a table of measures.

    Attributes
    ----------
    column : str
        Name of the column.
    measure : str
        What is added up, or ``days_to_first_order`` or ``recency_days``.
    starts_at, ends_at : datetime
        From when, and until before when (UTC, without zone).
    """

    column: str
    measure: str
    starts_at: datetime
    ends_at: datetime


_ORDERS = """
    select customer_id, ordered_at as at_, net_revenue as revenue,
           net_revenue - cost as margin, discount, 1 as orders
    from orders
    where customer_id is not null and status is distinct from 'cancelled'
"""
_SENDS = """
    select s.customer_id, s.scheduled_at as at_, 1 as messages
    from send as s
"""
_EVENTS = """
    select s.customer_id, min(e."at") as at_,
           max(case when e.type = 'delivered' then 1 else 0 end) as delivered,
           max(case when e.type = 'open' then 1 else 0 end) as opens,
           max(case when e.type = 'click' then 1 else 0 end) as clicks,
           max(case when e.type = 'unsubscribe' then 1 else 0 end) as unsubscribes,
           max(case when e.type = 'complaint' then 1 else 0 end) as complaints,
           max(case when e.type in ('bounce_hard', 'bounce_soft') then 1 else 0 end) as bounces
    from delivery_event as e join send as s on s.send_id = e.send_id
    group by e.send_id, s.customer_id
"""
_ANSWERS = """
    select customer_id, answered_at as at_,
           case when kind = 'nps' and score >= 9 then 100
                when kind = 'nps' and score <= 6 then -100 else 0 end as nps_points,
           case when kind = 'nps' and score is not null then 1 else 0 end as nps_answers,
           case when kind = 'csat' then score else 0 end as csat_points,
           case when kind = 'csat' and score is not null then 1 else 0 end as csat_answers
    from survey_response
"""
_SOURCES: dict[str, tuple[str, tuple[str, ...]]] = {
    "order": (
        _ORDERS,
        ("revenue", "margin", "discount", "orders", "days_to_first_order", "recency_days"),
    ),
    "message": (_SENDS, ("messages",)),
    "event": (
        _EVENTS,
        ("delivered", "opens", "clicks", "unsubscribes", "complaints", "bounces"),
    ),
    "answer": (_ANSWERS, ("nps_points", "nps_answers", "csat_points", "csat_answers")),
}
MONEY_MEASURES = ("revenue", "margin", "discount")


def customer_measures(
    population: str, wanted: Sequence[Measured], *, only_active: bool = False
) -> str:
    """Select one row per customer of ``population`` with every measure that is wanted.

    Parameters
    ----------
    population : str
        A SELECT of customer_id, unit_id and variant.
    wanted : sequence of Measured
        The columns.
    only_active : bool
        Whether customers without any order, message or answer in the spans are left out; all
        their measures are 0.

    Returns
    -------
    str
        Columns customer_id, unit_id, variant, then those wanted. Money is DECIMAL. Sums are 0
        where there is nothing; ``days_to_first_order`` is NULL where there is no order.
        ``recency_days`` counts the days since the last order less the length of its span, so that
        it is 0 where there is none. ``margin`` is NULL where an order has no cost.

    Raises
    ------
    DesignError
        Nothing is wanted, or a measure is not known.
    """
    if not wanted:
        raise DesignError(say("no measure is wanted"))
    parts: list[str] = []
    columns: dict[str, str] = {}
    for source, (relation, measures) in _SOURCES.items():
        here = [item for item in wanted if item.measure in measures]
        if not here:
            continue
        first = min(item.starts_at for item in here)
        last = max(item.ends_at for item in here)
        sums = ",\n               ".join(f"{_sum(item)} as {item.column}" for item in here)
        parts.append(
            f"""{source}_sums as (
        select customer_id,
               {sums}
        from ({relation}) as {source}_rows
        where at_ >= {moment(first)} and at_ < {moment(last)}
        group by customer_id
    )"""
        )
        columns |= {item.column: _or_nothing(item, source) for item in here}
    unknown = [item.measure for item in wanted if item.column not in columns]
    if unknown:
        raise DesignError(say("there is no measure '{name}'", name=unknown[0]))
    sources = [part.split(" ", 1)[0] for part in parts]
    joins = "\n        ".join(
        f"left join {name} on {name}.customer_id = a.customer_id" for name in sources
    )
    named = ",\n            ".join(f"{columns[item.column]} as {item.column}" for item in wanted)
    active = " or ".join(f"{name}.customer_id is not null" for name in sources)
    if only_active and len(sources) == 1:
        joins, active = joins.removeprefix("left "), "true"
    return f"""
        with {", ".join(parts)}
        select
            a.customer_id, a.unit_id, a.variant,
            {named}
        from ({population}) as a
        {joins}
        {"where " + active if only_active else ""}
    """


def as_numbers(relation: str, wanted: Sequence[Measured]) -> str:
    """Select the rows of :func:`customer_measures`, kept as ``relation``, as doubles, by id."""
    named = ", ".join(f"cast({item.column} as double) as {item.column}" for item in wanted)
    return f'select customer_id, unit_id, variant, {named} from "{relation}" order by customer_id'


def customers_in(population: str) -> str:
    """Count the customers of a population."""
    return f"select count(*) from ({population}) as people"


def customers_by_variant(population: str) -> str:
    """Count the customers of a population: variant, customers."""
    return f"""
        select variant, count(*) as customers
        from ({population}) as people group by variant order by variant
    """


def power_sums(
    reader: Reader,
    relation: str,
    groups: Sequence[tuple[str, ...]],
    *,
    money: Iterable[str],
    counted: Iterable[str],
) -> list[dict[str, Any]]:
    """Add up products of measures per variant, exactly.

    Parameters
    ----------
    reader : Reader
        Of the snapshot.
    relation : str
        Rows of :func:`customer_measures`.
    groups : sequence of tuple of str
        Columns whose products up to the third order are added up: of ``("y", "x")`` these are y,
        x, yy, yx, xx, yyy, yyx, yxx, xxx.
    money : iterable of str
        Columns that are amounts; they count in hundredths.
    counted : iterable of str
        Columns of which the customers with a value above 0 are counted, as ``NAME_n``.

    Returns
    -------
    list of dict
        One per variant: variant, active, drawn_with_others (those of them whose unit is not they
        alone), counts, then a whole number per product, named by :func:`product_name`.

    Notes
    -----
    Squares fit 64 bits up to 30 million in the currency per customer; where one does not, all are
    computed again in 128 bits, which takes longer.
    """
    shared: dict[str, Any] = {"money": list(money), "counted": list(counted)}
    try:
        return reader.rows(power_sums_query(relation, groups, **shared))
    except duckdb.OutOfRangeException:
        return reader.rows(power_sums_query(relation, groups, **shared, integer="hugeint"))


def power_sums_query(
    relation: str,
    groups: Sequence[tuple[str, ...]],
    *,
    money: Sequence[str],
    counted: Sequence[str],
    integer: str = "bigint",
) -> str:
    """Write the SELECT of :func:`power_sums`."""
    every = list(dict.fromkeys([*counted, *(name for group in groups for name in group)]))
    whole = ", ".join(
        # an amount with two decimals survives a double up to 90 million million
        f"cast(round(cast({name} as double) * {SCALE if name in money else 1}) as {integer})"
        f" as {name}"
        for name in every
    )
    sums = [f"count(*) filter (where {name} > 0) as {name}_n" for name in counted]
    products = dict.fromkeys(
        factors
        for group in groups
        for order in (1, 2, 3)
        for factors in combinations_with_replacement(group, order)
    )
    sums += [
        f"coalesce(sum({_product(factors)}), 0) as {product_name(factors)}" for factors in products
    ]
    return f"""
        select variant, count(*) as active,
               count(*) filter (where unit_id <> customer_id) as drawn_with_others,
               {", ".join(sums)}
        from (
            select variant, customer_id, unit_id, {whole} from ({relation}) as measured
        ) as whole
        group by variant order by variant
    """


def product_name(factors: Sequence[str]) -> str:
    """Name the column of a product of measures."""
    return "__".join(("sum", *factors))


def _product(factors: Sequence[str]) -> str:
    if len(factors) < 3:
        return " * ".join(factors)
    return f"cast({factors[0]} * {factors[1]} as hugeint) * {factors[2]}"


def _sum(item: Measured) -> str:
    inside = f"at_ >= {moment(item.starts_at)} and at_ < {moment(item.ends_at)}"
    if item.measure == "days_to_first_order":
        first = f"min(case when {inside} then at_ end)"
        return f"date_diff('second', {moment(item.starts_at)}, {first}) / 86400.0"
    if item.measure == "recency_days":
        last = f"max(case when {inside} then at_ end)"
        span = (item.ends_at - item.starts_at).total_seconds() / 86_400
        return f"date_diff('second', {last}, {moment(item.ends_at)}) / 86400.0 - {span}"
    if item.measure == "margin":
        missing = f"count(*) filter (where {inside} and margin is null) > 0"
        total = f"coalesce(sum(case when {inside} then margin end), 0)"
        return f"case when {missing} then null else {total} end"
    return f"sum(case when {inside} then {item.measure} end)"


def _or_nothing(item: Measured, source: str) -> str:
    column = f"{source}_sums.{item.column}"
    if item.measure == "days_to_first_order":
        return column
    if item.measure == "margin":
        # NULL is kept where an order has no cost; nobody's orders have none
        return f"case when {source}_sums.customer_id is null then 0 else {column} end"
    return f"coalesce({column}, 0)"
