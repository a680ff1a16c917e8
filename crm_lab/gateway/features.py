"""The SQL of features: what is known of customers strictly before a moment.

Models learn from these and score by them, with the same SELECT, so that a score means the same
thing in the trial and in the base. Nothing of the moment itself or later is looked at.
"""

from __future__ import annotations

from datetime import datetime

from crm_lab.errors import DesignError
from crm_lab.gateway.expressions import moment, valid_orders
from crm_lab.gateway.store import sql_text
from crm_lab.language import say

YEAR_DAYS, QUARTER_DAYS = 365, 90
NUMBERS = (
    "recency_days",
    "orders_year",
    "revenue_year",
    "orders_quarter",
    "revenue_quarter",
    "is_newcomer",
    "messages_quarter",
    "clicks_quarter",
)
"""Features that are numbers; recency is missing where nothing was ever bought. How long a customer
is known is told only as newcomer (less than 90 days) or not: a length that grows for everybody
would carry a model outside what it was learned from."""
CATEGORIES = ("gender", "age_band", "income_band", "region_code", "lifecycle_state")
"""Features that are categories, missing where the company does not know."""


def customer_features(population: str, before: datetime) -> str:
    """Select what is known of everybody in ``population`` before a moment, one row each.

    Parameters
    ----------
    population : str
        A SELECT of customer_id.
    before : datetime
        First moment (UTC, without zone) that may not be used.

    Returns
    -------
    str
        customer_id, then :data:`NUMBERS` as doubles, then :data:`CATEGORIES`. Windows end at the
        moment and go back 365 days (year) and 90 days (quarter).
    """
    at = moment(before)
    year, quarter = f"{at} - interval {YEAR_DAYS} day", f"{at} - interval {QUARTER_DAYS} day"
    categories = ",\n            ".join(
        f"c.{name}" for name in CATEGORIES if name != "lifecycle_state"
    )
    return f"""
        with people as (select distinct customer_id from ({population}) as given),
        bought as (
            select o.customer_id,
                   max(o.ordered_at) as last_at,
                   count(*) filter (where o.ordered_at >= {year}) as orders_year,
                   sum(o.net_revenue) filter (where o.ordered_at >= {year}) as revenue_year,
                   count(*) filter (where o.ordered_at >= {quarter}) as orders_quarter,
                   sum(o.net_revenue) filter (where o.ordered_at >= {quarter}) as revenue_quarter,
                   min(o.ordered_at) as first_at
            from ({valid_orders()}) as o join people as p on p.customer_id = o.customer_id
            where o.ordered_at < {at}
            group by o.customer_id
        ),
        written as (
            select s.customer_id, count(*) as messages_quarter
            from send as s join people as p on p.customer_id = s.customer_id
            where s.scheduled_at < {at} and s.scheduled_at >= {quarter}
            group by s.customer_id
        ),
        clicked as (
            select s.customer_id, count(distinct e.send_id) as clicks_quarter
            from delivery_event as e
            join send as s on s.send_id = e.send_id
            join people as p on p.customer_id = s.customer_id
            where e.type = 'click' and e."at" < {at} and e."at" >= {quarter}
            group by s.customer_id
        ),
        states as (
            select customer_id, max_by(state, valid_from) as lifecycle_state
            from lifecycle_history
            where valid_from < {at} and (valid_to is null or valid_to >= {at})
            group by customer_id
        )
        select
            p.customer_id,
            date_diff('second', b.last_at, {at}) / 86400.0 as recency_days,
            cast(coalesce(b.orders_year, 0) as double) as orders_year,
            cast(coalesce(b.revenue_year, 0) as double) as revenue_year,
            cast(coalesce(b.orders_quarter, 0) as double) as orders_quarter,
            cast(coalesce(b.revenue_quarter, 0) as double) as revenue_quarter,
            case when least(c.created_at, b.first_at) >= {quarter} then 1.0
                 when least(c.created_at, b.first_at) < {quarter} then 0.0 end as is_newcomer,
            cast(coalesce(w.messages_quarter, 0) as double) as messages_quarter,
            cast(coalesce(k.clicks_quarter, 0) as double) as clicks_quarter,
            {categories},
            s.lifecycle_state
        from people as p
        left join customer as c on c.customer_id = p.customer_id
        left join bought as b on b.customer_id = p.customer_id
        left join written as w on w.customer_id = p.customer_id
        left join clicked as k on k.customer_id = p.customer_id
        left join states as s on s.customer_id = p.customer_id
    """


def in_order(relation: str) -> str:
    """Select a relation of features, kept as a temporary table, by customer."""
    return f'select * from "{relation}" order by customer_id'


def part_of(relation: str, part: int, parts: int) -> str:
    """Select one part of a relation of features, so that millions are scored piece by piece.

    Parameters
    ----------
    relation : str
        Name of a temporary table with the rows of :func:`customer_features`.
    part, parts : int
        Which part, from 0, of how many.

    Raises
    ------
    DesignError
        There is no such part.
    """
    if not 0 <= part < parts:
        raise DesignError(
            say("part {part} of {parts}", part=part, parts=parts),
            expected=say("a part from 0 on"),
        )
    return (
        f'select * from "{relation}" where hash(customer_id) % {int(parts)} = {int(part)}'
        " order by customer_id"
    )


def open_to_contact(audience: str, scopes: tuple[str, ...]) -> str:
    """Select who of an audience may be contacted and is in no control group.

    Parameters
    ----------
    audience : str
        Rows of :func:`crm_lab.gateway.recipients.audience`.
    scopes : tuple of str
        Scopes whose controls are held back.
    """
    listed = ", ".join(f"'{sql_text(name)}'" for name in scopes) or "''"
    return f"""
        select a.customer_id from ({audience}) as a
        where a.eligible and a.customer_id not in (
            select customer_id from assignment where variant = 'control' and scope in ({listed})
        )
    """
