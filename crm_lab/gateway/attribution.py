"""The SQL of attribution: each order's money shared to the touches before it, to the cent.

Four models, each over the touches of a customer in the look-back window before an order:

========================  ========================================================================
last touch                the whole order to the latest touch
first touch               the whole order to the earliest touch
linear                    equal parts; cents that do not divide go to the earliest touches
last non-direct touch     the whole order to the latest touch that is not a direct visit; to the
                          latest touch where all are direct
========================  ========================================================================

An order without a touch belongs to nobody. Within a model the parts of an order add up to it.
"""

from __future__ import annotations

from datetime import datetime

from crm_lab.gateway.curves import counted_orders
from crm_lab.gateway.operations import moment
from crm_lab.gateway.store import sql_text

MODELS = ("last touch", "first touch", "linear", "last non-direct touch")
"""Every model, the customary one first."""
CRM_MEDIA = (
    "email",
    "sms",
    "call",
    "messenger",
    "bot",
    "push",
    "push_mobile",
    "push_web",
    "postal",
)
"""Media of visits that the company's own messages bring; a visit with a campaign counts, too."""
DIRECT_MEDIA = ("direct", "(direct)", "(none)", "none")
SESSION_MINUTES = 30
"""Touches of one customer through one medium that follow each other faster are one touch."""


def touches() -> str:
    """Give every visit and click of known customers, each once.

    Columns: touch_id, customer_id, at, channel, is_crm, is_direct. A click on a message and the
    visit that it brings are one touch: of touches of one customer through one medium that follow
    each other within half an hour, the first is kept. Clicks on messages that controls receive,
    too (transactional, legal, service) are a medium of their own and not the CRM's.
    """
    return f"""
        with every as (
            select 'visit:' || touchpoint_id as touch_id, customer_id, "at",
                   coalesce(lower(nullif(trim(utm_medium), '')), 'not tagged') as channel,
                   (campaign_id is not null
                    or coalesce(lower(trim(utm_medium)), '') in ({_listed(CRM_MEDIA)})) as is_crm
            from touchpoint
            where customer_id is not null
            union all
            select 'click:' || e.delivery_event_id, s.customer_id, e."at",
                   coalesce(s.channel, 'message')
                   || case when coalesce(s.message_class, 'marketing') = 'marketing' then ''
                           else ', ' || s.message_class end,
                   coalesce(s.message_class, 'marketing') = 'marketing'
            from delivery_event as e join send as s on s.send_id = e.send_id
            where e.type = 'click'
        ),
        spaced as (
            select *, lag("at") over (
                partition by customer_id, channel, is_crm order by "at", touch_id
            ) as before_at
            from every
        )
        select touch_id, customer_id, "at", channel, is_crm,
               channel in ({_listed(DIRECT_MEDIA)}) as is_direct
        from spaced
        where before_at is null or "at" - before_at > interval {SESSION_MINUTES} minute
    """


def attributed_orders(*, starts_at: datetime, ends_at: datetime, lookback_days: int) -> str:
    """Share each order of a window to the touches in the look-back window before it.

    One row per order, model and touch that gets money: order_id, customer_id, ordered_at, model,
    touch_id, channel, is_crm, amount (DECIMAL). A touch counts from ``lookback_days`` before the
    order to the moment of the order, both included.
    """
    return f"""
        with touch as ({touches()}),
        bought as (
            select order_id, customer_id, ordered_at, net_revenue,
                   cast(cast(net_revenue as decimal(22, 2)) * 100 as bigint) as cents
            from ({counted_orders()}) as counted
            where ordered_at >= {moment(starts_at)} and ordered_at < {moment(ends_at)}
        ),
        touched as (
            select b.*, t.touch_id, t.channel, t.is_crm,
                   row_number() over first_first as from_first,
                   row_number() over last_first as from_last,
                   row_number() over not_direct as from_not_direct,
                   count(*) over (partition by b.order_id) as parts
            from bought as b
            join touch as t
              on t.customer_id = b.customer_id
             and t."at" <= b.ordered_at
             and t."at" >= b.ordered_at - interval {int(lookback_days)} day
            window
                first_first as (partition by b.order_id order by t."at", t.touch_id),
                last_first as (partition by b.order_id order by t."at" desc, t.touch_id desc),
                not_direct as (partition by b.order_id
                               order by t.is_direct, t."at" desc, t.touch_id desc)
        ),
        shared as (
            select *, '{MODELS[0]}' as model, cents as part from touched where from_last = 1
            union all
            select *, '{MODELS[1]}', cents from touched where from_first = 1
            union all
            select *, '{MODELS[2]}',
                   cast(sign(cents) as bigint)
                   * (abs(cents) // parts
                      + case when from_first <= abs(cents) % parts then 1 else 0 end)
            from touched
            union all
            select *, '{MODELS[3]}', cents from touched where from_not_direct = 1
        )
        select order_id, customer_id, ordered_at, model, touch_id, channel, is_crm,
               cast(cast(part as decimal(20, 0)) * cast(0.01 as decimal(3, 2))
                    as decimal(18, 2)) as amount
        from shared
    """


def by_channel(attributed: str) -> str:
    """Add up ``attributed`` (a table of :func:`attributed_orders`) by model and channel."""
    return f"""
        select model, channel, is_crm, count(distinct order_id) as orders,
               cast(sum(amount) as double) as amount
        from "{attributed}"
        group by 1, 2, 3
        order by 1, 5 desc, 2
    """


def crm_by_week(attributed: str, population: str, *, starts_at: datetime) -> str:
    """Add up what ``attributed`` gives the CRM, by model and week of the window.

    Columns: model, week, amount (all customers), same (members of ``population`` outside the
    control group).
    """
    return f"""
        select a.model, datesub('day', {moment(starts_at)}, a.ordered_at) // 7 + 1 as week,
               cast(sum(a.amount) as double) as amount,
               cast(coalesce(sum(case when m.variant <> 'control' then a.amount end), 0) as double)
                   as same
        from "{attributed}" as a
        left join ({population}) as m on m.customer_id = a.customer_id
        where a.is_crm
        group by 1, 2
        order by 1, 2
    """


def touches_by_channel(*, starts_at: datetime, ends_at: datetime) -> str:
    """Count touches and the customers behind them by channel, in a window."""
    return f"""
        select channel, is_crm, count(*) as touches, count(distinct customer_id) as customers
        from ({touches()}) as touch
        where "at" >= {moment(starts_at)} and "at" < {moment(ends_at)}
        group by 1, 2
        order by 3 desc, 1
    """


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{sql_text(word)}'" for word in words)
