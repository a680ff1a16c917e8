"""The SQL of every operation on the gateway's tables, in one place.

Each function gives one SELECT over the tables of :mod:`.schema`. Standard SQL is used wherever
it serves; what differs between engines (the hash of :func:`bucket_expression`, the local day) is
one expression each in :mod:`.expressions`, so that another engine needs those and nothing else.
Who may be written to stands in :mod:`.recipients`; it is used from here like the rest.
"""

from __future__ import annotations

from datetime import datetime

from crm_lab.gateway.expressions import (
    BUCKETS,
    HASH_RANGE,
    bucket_expression,
    hash_expression,
    local_day,
    moment,
    valid_orders,
)
from crm_lab.gateway.recipients import (
    assigned,
    audience,
    control_contacts,
    reachability,
    reachable,
    recipients_of,
)
from crm_lab.gateway.store import sql_text

__all__ = [
    "BUCKETS",
    "HASH_RANGE",
    "assigned",
    "attributed_revenue",
    "audience",
    "base_totals",
    "bucket_expression",
    "buyers_before",
    "campaigns_not_randomised",
    "control_contacts",
    "deliveries_of",
    "hash_expression",
    "imported_until",
    "local_day",
    "moment",
    "monthly_base",
    "orders_with_cost",
    "outcomes",
    "purchase_days",
    "purchase_log",
    "purchase_summary",
    "reachability",
    "reachable",
    "recipients_of",
    "repeaters",
    "sent_list",
    "valid_orders",
]


def imported_until() -> str:
    """One row: the last moment of which orders are known."""
    return "select max(ordered_at) as last_order_at from orders"


def base_totals() -> str:
    """One row: customers, orders, period, revenue, and how much of it has a known customer."""
    return """
        select
            (select count(*) from customer) as customers,
            (select count(*) from contact_point) as contact_points,
            count(*) as orders,
            count(distinct customer_id) as customers_with_orders,
            min(ordered_at) as first_order_at,
            max(ordered_at) as last_order_at,
            coalesce(sum(net_revenue), 0) as revenue,
            coalesce(sum(case when customer_id is not null then net_revenue end), 0)
                as revenue_known_customer,
            count(*) filter (where net_revenue <= 0) as orders_without_revenue,
            count(*) filter (where cost is not null) as orders_with_cost
        from orders
        where status is distinct from 'cancelled'
    """


def monthly_base(zone: str) -> str:
    """One row per month: orders, buyers, new buyers, revenue."""
    day = local_day("ordered_at", zone)
    return f"""
        with valid as ({valid_orders()}),
        dated as (select customer_id, {day} as day, net_revenue from valid),
        firsts as (select customer_id, min(day) as first_day from dated group by customer_id)
        select
            cast(date_trunc('month', day) as date) as month,
            count(*) as orders,
            count(distinct customer_id) as buyers,
            count(distinct case when date_trunc('month', first_day) = date_trunc('month', day)
                  then customer_id end) as new_buyers,
            cast(sum(net_revenue) as double) as revenue
        from dated join firsts using (customer_id)
        group by 1
        order by 1
    """


def outcomes(
    population: str, *, starts_at: datetime, ends_at: datetime, pre_starts_at: datetime
) -> str:
    """One row per customer of ``population``, those without an order included.

    ``population`` is a SELECT of customer_id and variant. Columns: customer_id, variant, revenue,
    orders, pre_revenue, pre_orders; the outcome counts orders from ``starts_at`` to before
    ``ends_at``, the pre-period those from ``pre_starts_at`` to before ``starts_at``.
    """
    start, end, before = moment(starts_at), moment(ends_at), moment(pre_starts_at)
    return f"""
        with valid as (
            select customer_id, ordered_at, net_revenue from ({valid_orders()}) as counted
            where ordered_at >= {before} and ordered_at < {end}
        ),
        sums as (
            select
                customer_id,
                sum(case when ordered_at >= {start} then net_revenue end) as revenue,
                count(*) filter (where ordered_at >= {start}) as orders,
                sum(case when ordered_at < {start} then net_revenue end) as pre_revenue,
                count(*) filter (where ordered_at < {start}) as pre_orders
            from valid group by customer_id
        )
        select
            a.customer_id,
            a.variant,
            cast(coalesce(s.revenue, 0) as double) as revenue,
            coalesce(s.orders, 0) as orders,
            cast(coalesce(s.pre_revenue, 0) as double) as pre_revenue,
            coalesce(s.pre_orders, 0) as pre_orders
        from ({population}) as a
        left join sums as s on s.customer_id = a.customer_id
        order by a.customer_id
    """


def purchase_days(as_of: datetime, *, zone: str) -> str:
    """One row per customer and purchase day before ``as_of``: customer_id, day, amount.

    Several orders on one day are one purchase; a day with refunds only is none; refunds of other
    days are netted in their day's amount.
    """
    return f"""
        select customer_id, {local_day("ordered_at", zone)} as day, sum(net_revenue) as amount
        from ({valid_orders()}) as counted
        where ordered_at < {moment(as_of)}
        group by 1, 2
        having max(net_revenue) >= 0
    """


def purchase_log(as_of: datetime, *, zone: str) -> str:
    """Give :func:`purchase_days` in order, amounts as numbers: customer_id, ordered_at, amount."""
    return f"""
        select customer_id, day as ordered_at, cast(amount as double) as amount
        from ({purchase_days(as_of, zone=zone)}) as days
        order by customer_id, day
    """


def purchase_summary(as_of: datetime, *, zone: str) -> str:
    """One row per buyer: first and last day, repeat purchase days, what they spent on them.

    ``frequency`` counts purchase days after the first; ``paid_frequency`` those of them whose
    amount is above 0, and ``monetary_value`` is the mean amount of these (NULL without any),
    which is what a spend model may use. ``as_of`` is the first moment that is not observed.
    """
    return f"""
        with per_customer as (
            select customer_id, min(day) as first_day, max(day) as last_day, count(*) as days,
                   greatest(min_by(amount, day), 0) as first_paid,
                   count(case when amount > 0 then 1 end) as paid_days,
                   sum(greatest(amount, 0)) as paid
            from ({purchase_days(as_of, zone=zone)}) as days
            group by customer_id
        ),
        repeats as (
            select *, paid_days - case when first_paid > 0 then 1 else 0 end as paid_frequency
            from per_customer
        )
        select
            customer_id,
            first_day,
            last_day,
            days - 1 as frequency,
            paid_frequency,
            cast(paid - first_paid as double) / nullif(paid_frequency, 0) as monetary_value
        from repeats
        order by customer_id
    """


def orders_with_cost() -> str:
    """Count the orders whose cost of goods is known."""
    return "select count(*) from orders where cost is not null"


def repeaters() -> str:
    """Count the customers with at least two days with orders."""
    return f"""
        select count(*) from (
            select customer_id from ({valid_orders()}) as counted
            group by customer_id
            having count(distinct cast(ordered_at as date)) > 1
        ) as returned
    """


def sent_list(campaign_id: str, wave_no: int) -> str:
    """Give the rows of an exported send list again, with the addresses of this snapshot."""
    return f"""
        select s.send_id, s.customer_id, c.address, s.variant, s.scheduled_at
        from send as s
        left join contact_point as c on c.contact_point_id = s.contact_point_id
        where s.campaign_id = '{sql_text(campaign_id)}' and s.wave_no = {int(wave_no)}
        order by s.send_id
    """


def deliveries_of(campaign_id: str) -> str:
    """Count the sends of a campaign by variant, and how many were delivered, opened and clicked."""
    return f"""
        with reached as (
            select send_id,
                   bool_or(type = 'delivered') as delivered,
                   bool_or(type = 'open') as opened,
                   bool_or(type = 'click') as clicked,
                   bool_or(type in ('bounce_hard', 'bounce_soft')) as bounced,
                   bool_or(type = 'unsubscribe') as unsubscribed
            from delivery_event group by send_id
        )
        select s.variant,
               count(*) as sent,
               count(*) filter (where r.delivered) as delivered,
               count(*) filter (where r.opened) as opened,
               count(*) filter (where r.clicked) as clicked,
               count(*) filter (where r.bounced) as bounced,
               count(*) filter (where r.unsubscribed) as unsubscribed
        from send as s
        left join reached as r on r.send_id = s.send_id
        where s.campaign_id = '{sql_text(campaign_id)}'
        group by 1
        order by 1
    """


def attributed_revenue(campaign_id: str, *, starts_at: datetime, ends_at: datetime) -> str:
    """Revenue of everybody who was sent the campaign, by variant: what attribution would claim."""
    return f"""
        with recipients as (
            select variant, customer_id, min(scheduled_at) as sent_at
            from send where campaign_id = '{sql_text(campaign_id)}' group by 1, 2
        )
        select r.variant, count(*) as orders, cast(sum(o.net_revenue) as double) as revenue
        from recipients as r
        join ({valid_orders()}) as o on o.customer_id = r.customer_id
        where o.ordered_at >= r.sent_at
          and o.ordered_at >= {moment(starts_at)} and o.ordered_at < {moment(ends_at)}
        group by 1
        order by 1
    """


def campaigns_not_randomised() -> str:
    """Campaigns whose recipients were chosen, with how much they had spent before it.

    One row per campaign: recipients, others, mean revenue of the 28 days before its start in
    each group. Where the first exceeds the second, a comparison of the two is no effect.
    """
    return f"""
        with chosen as (
            select campaign_id, starts_at from campaign
            where is_randomised is not true and starts_at is not null
        ),
        recipients as (
            select distinct campaign_id, customer_id from send
        ),
        grid as (
            select c.campaign_id, c.starts_at, p.customer_id,
                   r.customer_id is not null as is_recipient
            from chosen as c
            cross join customer as p
            left join recipients as r
              on r.campaign_id = c.campaign_id and r.customer_id = p.customer_id
        ),
        spent as (
            select g.campaign_id, g.customer_id, g.is_recipient,
                   coalesce(sum(o.net_revenue), 0) as amount
            from grid as g
            left join ({valid_orders()}) as o
              on o.customer_id = g.customer_id
             and o.ordered_at < g.starts_at and o.ordered_at >= g.starts_at - interval 28 day
            group by 1, 2, 3
        )
        select campaign_id,
               count(*) filter (where is_recipient) as recipients,
               count(*) filter (where not is_recipient) as others,
               cast(avg(case when is_recipient then amount end) as double) as recipients_before,
               cast(avg(case when not is_recipient then amount end) as double) as others_before
        from spent
        group by 1
        having count(*) filter (where is_recipient) > 0
        order by 1
    """


def buyers_before(as_of: datetime) -> str:
    """Select everybody who bought before a moment, as a population."""
    return (
        "select distinct customer_id, 'all' as variant"
        f" from ({valid_orders()}) as counted where ordered_at < {moment(as_of)}"
    )
