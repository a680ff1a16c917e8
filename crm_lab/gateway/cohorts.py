"""The SQL of acquisition: when, by which channel and form customers came, and what that cost.

Like :mod:`.operations`: each function gives one SELECT over the tables of :mod:`.schema`. A
customer is acquired with the first order that counts.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

from crm_lab.errors import DesignError
from crm_lab.gateway.expressions import local_day, moment, valid_orders
from crm_lab.gateway.recipients import assigned
from crm_lab.language import say

CohortBy = Literal["month", "channel", "form", "region_code", "age_band", "income_band", "gender"]
COHORTS: tuple[CohortBy, ...] = get_args(CohortBy)
UNKNOWN = "not known"
MONTH_DAYS = 30
"""Months of a customer's life have so many days, so that all are equally long."""


def acquired(until: datetime, *, by: CohortBy, zone: str) -> str:
    """One row per buyer: customer_id, label, first_day, past_value.

    Parameters
    ----------
    until : datetime
        First moment that is not observed.
    by : str
        ``month`` of the first order, ``channel`` of the first order, ``form`` of the first
        submission, or a column of the customer.
    zone : str
        Time zone of the company.

    Raises
    ------
    DesignError
        There is no such group.
    """
    if by not in COHORTS:
        raise DesignError(
            say("no cohorts by '{by}'", by=by),
            expected=say("one of {choices}", choices=", ".join(COHORTS)),
        )
    end = moment(until)
    day = local_day("ordered_at", zone)
    label = {
        "month": "strftime(b.first_day, '%Y-%m')",
        "channel": f"coalesce(b.channel, '{UNKNOWN}')",
        "form": f"coalesce(f.form, '{UNKNOWN}')",
    }.get(by, f"coalesce(c.{by}, '{UNKNOWN}')")
    return f"""
        with counted as (
            select customer_id, ordered_at, channel, order_id, net_revenue from orders
            where customer_id is not null and status is distinct from 'cancelled'
              and ordered_at < {end}
        ),
        b as (
            select customer_id, min({day}) as first_day,
                   min_by(channel, ordered_at) as channel,
                   sum(net_revenue) as past_value
            from counted group by customer_id
            having max(net_revenue) >= 0
        ),
        f as (
            select s.customer_id, min_by(coalesce(o.name, s.form_id), s."at") as form
            from form_submission as s left join form as o on o.form_id = s.form_id
            where s.customer_id is not null and s."at" < {end}
            group by s.customer_id
        )
        select b.customer_id, {label} as label, b.first_day,
               cast(b.past_value as double) as past_value
        from b
        left join f on f.customer_id = b.customer_id
        left join customer as c on c.customer_id = b.customer_id
        order by b.customer_id
    """


def value_by_age(until: datetime, *, by: CohortBy, zone: str) -> str:
    """Revenue by group and month of a customer's life: label, age_month, customers, revenue.

    Month 0 are the first 30 days. A month counts only for the customers who have been seen to its
    end, so that later months do not sink because the young have not lived them.
    """
    day = local_day("o.ordered_at", zone)
    last = local_day(moment(until), zone)
    return f"""
        with people as ({acquired(until, by=by, zone=zone)}),
        ages as (
            select p.*, date_diff('day', p.first_day, {last}) // {MONTH_DAYS} as whole_months
            from people as p
        ),
        months as (
            select a.label, m.age_month, count(*) as customers
            from ages as a
            cross join unnest(range(a.whole_months)) as m(age_month)
            group by 1, 2
        ),
        money as (
            select a.label, date_diff('day', a.first_day, {day}) // {MONTH_DAYS} as age_month,
                   sum(o.net_revenue) as revenue
            from ages as a
            join ({valid_orders()}) as o on o.customer_id = a.customer_id
            where o.ordered_at < {moment(until)}
              and date_diff('day', a.first_day, {day}) // {MONTH_DAYS} < a.whole_months
            group by 1, 2
        )
        select n.label, n.age_month, n.customers,
               cast(coalesce(m.revenue, 0) as double) as revenue
        from months as n
        left join money as m on m.label = n.label and m.age_month = n.age_month
        order by 1, 2
    """


def acquisition_costs(until: datetime, *, zone: str) -> str:
    """Cost of acquiring customers by month and channel: month, channel, amount."""
    return f"""
        select strftime(spent_on, '%Y-%m') as month,
               coalesce(channel, '{UNKNOWN}') as channel,
               cast(sum(amount) as double) as amount
        from cost_entry
        where kind = 'acquisition' and spent_on < {local_day(moment(until), zone)}
        group by 1, 2
        order by 1, 2
    """


def orders_since(scope: str, *, starts_at: datetime, ends_at: datetime, zone: str) -> str:
    """Orders and refunds of everybody assigned under ``scope`` in a window.

    Columns: customer_id, ordered_at (local day), amount; one row per order.
    """
    return f"""
        select o.customer_id, {local_day("o.ordered_at", zone)} as ordered_at,
               cast(o.net_revenue as double) as amount
        from ({valid_orders()}) as o
        where o.ordered_at >= {moment(starts_at)} and o.ordered_at < {moment(ends_at)}
          and o.customer_id in (select customer_id from ({assigned(scope)}) as people)
        order by 1, 2
    """


def order_health(until: datetime, *, zone: str) -> str:
    """Count what the policies of a purchase history touch, in one row.

    Columns: orders, later, cancelled, unknown_customer, same_day, refunds, refund_only_days,
    customers, customers_without_purchase, repeat_days, unpaid_repeat_days.
    """
    end, day = moment(until), local_day("ordered_at", zone)
    return f"""
        with counted as (
            select customer_id, {day} as day, net_revenue from ({valid_orders()}) as valid
            where ordered_at < {end}
        ),
        days as (
            select customer_id, day, sum(net_revenue) as amount,
                   count(case when net_revenue >= 0 then 1 end) as bought
            from counted group by 1, 2
        ),
        buys as (
            select *, row_number() over (partition by customer_id order by day) as place
            from days where bought > 0
        )
        select
            (select count(*) from orders) as orders,
            (select count(*) from orders where ordered_at >= {end}) as later,
            (select count(*) from orders where status = 'cancelled' and ordered_at < {end})
                as cancelled,
            (select count(*) from orders where customer_id is null and ordered_at < {end}
             and status is distinct from 'cancelled') as unknown_customer,
            (select coalesce(sum(bought - 1), 0) from days where bought > 0) as same_day,
            (select count(*) from counted where net_revenue < 0) as refunds,
            (select count(*) from days where bought = 0) as refund_only_days,
            (select count(distinct customer_id) from buys) as customers,
            (select count(distinct customer_id) from counted
             where customer_id not in (select customer_id from buys))
                as customers_without_purchase,
            (select count(*) from buys where place > 1) as repeat_days,
            (select count(*) from buys where place > 1 and not amount > 0) as unpaid_repeat_days
    """
