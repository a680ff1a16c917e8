"""The SQL of the effect of all contact together: money week by week since a draw, and its costs.

Like :mod:`.operations`: each function gives one SELECT over the tables of :mod:`.schema`.
"""

from __future__ import annotations

from datetime import date, datetime

from crm_lab.gateway.operations import moment
from crm_lab.gateway.store import sql_text


def counted_orders() -> str:
    """Orders that count (known customer, not cancelled), with id, discount and cost of goods."""
    return (
        "select order_id, customer_id, ordered_at, net_revenue, coalesce(discount, 0) as discount,"
        " cost from orders where customer_id is not null and status is distinct from 'cancelled'"
    )


def first_drawn(scope: str, *, opened_at: datetime) -> str:
    """Select who was assigned under ``scope`` by the first draw, as a population.

    Who joined later is left out: everybody is then observed over the same weeks.
    """
    return (
        "select customer_id, unit_id, variant from assignment"
        f" where scope = '{sql_text(scope)}' and assigned_at <= {moment(opened_at)}"
    )


def joined_later(scope: str, *, opened_at: datetime) -> str:
    """Count the members of ``scope`` who joined after the first draw."""
    return (
        "select count(*) from assignment"
        f" where scope = '{sql_text(scope)}' and assigned_at > {moment(opened_at)}"
    )


def touched_of(touched: str, population: str) -> str:
    """Count the customers of ``touched`` who belong to ``population``."""
    return (
        f"select count(*) from ({touched}) as t"
        f" where customer_id in (select customer_id from ({population}) as m)"
    )


def cost_knowledge(population: str, *, starts_at: datetime, ends_at: datetime) -> str:
    """One row: orders of ``population`` in a window, those with cost of goods, their revenue."""
    return f"""
        select count(*) as orders,
               count(o.cost) as orders_with_cost,
               cast(coalesce(sum(o.net_revenue), 0) as double) as revenue,
               cast(coalesce(sum(case when o.cost is not null then o.net_revenue end), 0)
                    as double) as revenue_with_cost,
               cast(coalesce(sum(o.discount), 0) as double) as discount
        from ({population}) as m
        join ({counted_orders()}) as o on o.customer_id = m.customer_id
        where o.ordered_at >= {moment(starts_at)} and o.ordered_at < {moment(ends_at)}
    """


def margin_from_cost() -> str:
    """Write the margin of an order whose cost of goods is known; its discount is in it."""
    return "o.net_revenue - o.cost"


def margin_from_share(margin_share: float) -> str:
    """Write the margin of an order from a share of the price before discount.

    The discount is taken off whole: ``share * (net revenue + discount) - discount``.
    """
    return f"({float(margin_share)!r} * (o.net_revenue + o.discount) - o.discount)"


def weekly_money(
    population: str,
    *,
    starts_at: datetime,
    weeks: int,
    pre_weeks: int,
    discount_weeks: int,
    margin: str = "",
) -> str:
    """One row per drawn unit of ``population``, those without an order included.

    ``population`` is a SELECT of customer_id, unit_id and variant. Columns: unit_id, variant,
    customers, pre_revenue (of ``pre_weeks`` weeks before ``starts_at``), discount (of the first
    ``discount_weeks``), revenue_1 to revenue_N, and with ``margin`` (an expression over an order
    ``o``) margin_1 to margin_N. Week 1 begins at ``starts_at``; each has seven times 24 hours.
    Amounts are summed exactly and given as numbers.
    """
    start = moment(starts_at)
    numbers = range(1, weeks + 1)
    sums = [f"sum(case when week = {k} then net_revenue end) as revenue_{k}" for k in numbers]
    shown = [f"cast(coalesce(s.revenue_{k}, 0) as double) as revenue_{k}" for k in numbers]
    if margin:
        sums += [f"sum(case when week = {k} then margin end) as margin_{k}" for k in numbers]
        shown += [f"cast(coalesce(s.margin_{k}, 0) as double) as margin_{k}" for k in numbers]
    return f"""
        with members as ({population}),
        spent as (
            select m.unit_id, m.variant, o.net_revenue, o.discount,
                   {margin or "null"} as margin,
                   case when o.ordered_at < {start} then 0
                        else datesub('day', {start}, o.ordered_at) // 7 + 1 end as week
            from members as m
            join ({counted_orders()}) as o on o.customer_id = m.customer_id
            where o.ordered_at >= {start} - interval {7 * int(pre_weeks)} day
              and o.ordered_at < {start} + interval {7 * int(weeks)} day
        ),
        sums as (
            select unit_id, variant,
                   sum(case when week = 0 then net_revenue end) as pre_revenue,
                   sum(case when week between 1 and {int(discount_weeks)} then discount end)
                       as discount,
                   {", ".join(sums)}
            from spent group by unit_id, variant
        ),
        units as (
            select unit_id, variant, count(*) as customers from members group by unit_id, variant
        )
        select u.unit_id, u.variant, u.customers,
               cast(coalesce(s.pre_revenue, 0) as double) as pre_revenue,
               cast(coalesce(s.discount, 0) as double) as discount,
               {", ".join(shown)}
        from units as u
        left join sums as s on s.unit_id = u.unit_id and s.variant = u.variant
        order by u.unit_id, u.variant
    """


def company_weeks(population: str, *, starts_at: datetime, weeks: int) -> str:
    """One row per week: revenue of the whole company, and who of ``population`` brought it.

    Columns: week, revenue (orders without a known customer included), treated, control (members
    by variant), others (known customers outside), unknown.
    """
    start = moment(starts_at)
    return f"""
        with numbers as (select unnest(range(1, {int(weeks) + 1})) as week),
        sold as (
            select datesub('day', {start}, o.ordered_at) // 7 + 1 as week, o.net_revenue,
                   case when o.customer_id is null then 'unknown'
                        when m.variant = 'control' then 'control'
                        when m.customer_id is not null then 'treated'
                        else 'others' end as who
            from orders as o
            left join ({population}) as m on m.customer_id = o.customer_id
            where o.status is distinct from 'cancelled'
              and o.ordered_at >= {start}
              and o.ordered_at < {start} + interval {7 * int(weeks)} day
        )
        select n.week,
               cast(coalesce(sum(s.net_revenue), 0) as double) as revenue,
               cast(coalesce(sum(case when who = 'treated' then s.net_revenue end), 0) as double)
                   as treated,
               cast(coalesce(sum(case when who = 'control' then s.net_revenue end), 0) as double)
                   as control,
               cast(coalesce(sum(case when who = 'others' then s.net_revenue end), 0) as double)
                   as others,
               cast(coalesce(sum(case when who = 'unknown' then s.net_revenue end), 0) as double)
                   as unknown
        from numbers as n
        left join sold as s on s.week = n.week
        group by n.week
        order by n.week
    """


def costs_between(first_day: date, end_day: date) -> str:
    """Costs from ``first_day`` to before ``end_day``: campaign_id, kind, amount, entries."""
    return f"""
        select campaign_id, kind, cast(sum(amount) as double) as amount, count(*) as entries
        from cost_entry
        where spent_on >= date '{first_day.isoformat()}' and spent_on < date '{end_day.isoformat()}'
        group by 1, 2
        order by 1 nulls last, 2
    """


def messages_between(starts_at: datetime, ends_at: datetime) -> str:
    """Marketing messages scheduled in a window, by campaign: campaign_id, messages."""
    return f"""
        select campaign_id, count(*) as messages
        from send
        where coalesce(message_class, 'marketing') = 'marketing'
          and scheduled_at >= {moment(starts_at)} and scheduled_at < {moment(ends_at)}
        group by 1
        order by 1
    """
