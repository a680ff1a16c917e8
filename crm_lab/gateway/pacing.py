"""The SQL of a month under way and of what was sent: daily sales, campaigns and their messages.

Like :mod:`.operations`: each function gives one SELECT over the tables of :mod:`.schema`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from crm_lab.gateway.expressions import local_day, moment
from crm_lab.gateway.recipients import reachable
from crm_lab.gateway.store import sql_text


def daily_sales(*, until: datetime, zone: str) -> str:
    """Sales of every local day before ``until``, orders without a known customer included.

    Columns: day, revenue, orders, known_revenue (of customers who had bought on an earlier day),
    known_orders. Cancelled orders do not count; days without an order have no row.
    """
    day = local_day("ordered_at", zone)
    return f"""
        with counted as (
            select customer_id, {day} as day, net_revenue
            from orders
            where status is distinct from 'cancelled' and ordered_at < {moment(until)}
        ),
        firsts as (
            select customer_id, min(day) as first_day from counted
            where customer_id is not null group by customer_id
        )
        select c.day,
               cast(sum(c.net_revenue) as double) as revenue,
               count(*) as orders,
               cast(coalesce(sum(case when f.first_day < c.day then c.net_revenue end), 0)
                    as double) as known_revenue,
               count(case when f.first_day < c.day then 1 end) as known_orders
        from counted as c
        left join firsts as f on f.customer_id = c.customer_id
        group by 1
        order by 1
    """


def campaigns_sent(*, until: datetime) -> str:
    """Every campaign of which marketing was sent before ``until``, with how much.

    Columns: campaign_id, name, mechanic, send_mode, channel (the one with most messages),
    is_randomised, messages, customers, first_at, last_at. Campaigns that are only named in the
    campaign table and began before ``until`` have 0 messages.
    """
    now = moment(until)
    return f"""
        with counted as (
            select campaign_id, channel, customer_id, scheduled_at
            from send
            where coalesce(message_class, 'marketing') = 'marketing'
              and (scheduled_at is null or scheduled_at < {now})
        ),
        sent as (
            select campaign_id, count(*) as messages, count(distinct customer_id) as customers,
                   min(scheduled_at) as first_at, max(scheduled_at) as last_at
            from counted group by campaign_id
        ),
        channels as (
            select campaign_id, channel from (
                select campaign_id, channel, row_number() over (
                    partition by campaign_id order by count(*) desc, channel
                ) as place
                from counted where channel is not null group by campaign_id, channel
            ) as ranked
            where place = 1
        )
        select coalesce(s.campaign_id, c.campaign_id) as campaign_id,
               coalesce(c.name, '') as name,
               coalesce(c.mechanic, '') as mechanic,
               coalesce(c.send_mode, '') as send_mode,
               coalesce(h.channel, '') as channel,
               c.is_randomised,
               coalesce(s.messages, 0) as messages,
               coalesce(s.customers, 0) as customers,
               coalesce(s.first_at, c.starts_at) as first_at,
               coalesce(s.last_at, c.ends_at) as last_at
        from sent as s
        full join campaign as c on c.campaign_id = s.campaign_id
        left join channels as h on h.campaign_id = coalesce(s.campaign_id, c.campaign_id)
        where s.campaign_id is not null
           or (coalesce(c.message_class, 'marketing') = 'marketing'
               and (c.starts_at is null or c.starts_at < {now}))
        order by messages desc, campaign_id
    """


def reachable_outside(channel: str, as_of: datetime, *, scopes: Sequence[str]) -> str:
    """Count the customers who may be reached and are no controls of any of the scopes."""
    held = ", ".join(f"'{sql_text(scope)}'" for scope in scopes) or "''"
    return f"""
        select count(*) from ({reachable(channel, as_of)}) as people
        where customer_id not in (
            select customer_id from assignment
            where variant = 'control' and scope in ({held})
        )
    """
