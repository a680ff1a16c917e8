"""The SQL of funnels and cohorts: registrations, deals, refusals, life-cycle states, answers.

Like :mod:`.operations`: each function gives one SELECT over the tables of :mod:`.schema`.
``until`` is the last moment that counts; what is later in the tables is taken as not yet known.
"""

from __future__ import annotations

from datetime import datetime

from crm_lab.gateway.expressions import local_day, moment, valid_orders
from crm_lab.gateway.store import sql_text

LOST_STATES = ("lost", "disengaged")
"""States of the life cycle that count as churned."""
_SECONDS_PER_DAY = 86_400


def contents() -> str:
    """One row: rows of each table that funnels read, and the last moment that each knows."""
    tables = (
        "landing",
        "form",
        "form_submission",
        "deal",
        "refusal_reason",
        "lifecycle_history",
        "survey_response",
        "send",
        "orders",
    )
    counts = ", ".join(f"(select count(*) from {name}) as {name}" for name in tables)
    return f"""
        select {counts},
            (select max(greatest(opened_at, coalesce(closed_at, opened_at))) from deal)
                as deals_until,
            (select max("at") from form_submission) as registrations_until,
            (select max(ordered_at) from orders) as orders_until,
            (select max(answered_at) from survey_response) as answers_until
    """


def registrations(until: datetime) -> str:
    """One row per customer with a form: the first one, and what came after it.

    Columns: customer_id, form, landing (names, or ids where names are missing), channel,
    registered_at, contacted_at (first message), opened_at (first deal), won_at (first deal won),
    all from the registration on and NULL where there is none; won_undated says that a deal is won
    at an unknown time. Test accounts are left out.
    """
    end = moment(until)
    return f"""
        with first_form as (
            select customer_id, form_id, channel, "at" as registered_at
            from (
                select s.*, row_number() over (
                    partition by s.customer_id order by s."at", s.submission_id
                ) as place
                from form_submission as s
                where s."at" <= {end}
            ) as ranked
            where place = 1
        ),
        deals as (
            select f.customer_id,
                   min(case when d.opened_at >= f.registered_at then d.opened_at end) as opened_at,
                   min(case when d.status = 'won' and d.closed_at >= f.registered_at
                                 and d.closed_at <= {end} then d.closed_at end) as won_at,
                   bool_or(d.status = 'won' and d.closed_at is null) as won_undated
            from first_form as f
            join deal as d on d.customer_id = f.customer_id and d.opened_at <= {end}
            group by 1
        ),
        contacted as (
            select f.customer_id, min(s.scheduled_at) as contacted_at
            from first_form as f
            join send as s on s.customer_id = f.customer_id
             and s.scheduled_at >= f.registered_at and s.scheduled_at <= {end}
            group by 1
        )
        select f.customer_id,
               coalesce(o.name, f.form_id) as form,
               coalesce(l.name, l.landing_id) as landing,
               f.channel,
               f.registered_at,
               c.contacted_at,
               d.opened_at,
               d.won_at,
               coalesce(d.won_undated, false) as won_undated
        from first_form as f
        join customer as p on p.customer_id = f.customer_id
        left join form as o on o.form_id = f.form_id
        left join landing as l on l.landing_id = o.landing_id
        left join deals as d on d.customer_id = f.customer_id
        left join contacted as c on c.customer_id = f.customer_id
        where not coalesce(p.is_test, false)
        order by f.customer_id
    """


def members(scope: str) -> str:
    """One row per customer assigned under ``scope``: customer_id, variant."""
    return (
        "select customer_id, variant from assignment"
        f" where scope = '{sql_text(scope)}' order by customer_id"
    )


def shared_units(scope: str) -> str:
    """Count the customers of ``scope`` who were drawn together with another one."""
    return f"""
        select coalesce(sum(customers), 0) from (
            select count(*) as customers from assignment
            where scope = '{sql_text(scope)}'
            group by unit_id having count(*) > 1
        ) as units
    """


def refusals(until: datetime) -> str:
    """One row per refusal reason of lost deals: code, name, recoverable, scenario, deals, amount.

    The code is NULL for deals that were lost without a reason; ``amount`` is what they were
    expected to bring, NULL where no deal says it.
    """
    return f"""
        select d.refusal_reason_code as code,
               coalesce(r.name, d.refusal_reason_code) as reason,
               r.recoverable,
               r.default_scenario as scenario,
               count(*) as deals,
               cast(sum(d.amount_expected) as double) as amount
        from ({_deals_known(until)}) as d
        left join refusal_reason as r on r.refusal_reason_code = d.refusal_reason_code
        where d.status = 'lost'
        group by 1, 2, 3, 4
        order by deals desc, code
    """


def returns(until: datetime) -> str:
    """One row per customer who lost a deal: code, lost_at of the first, won_at of the next win.

    ``lost_at`` is NULL where no lost deal of the customer has a closing time. A customer stands
    under the reason of the first deal lost only, so that reasons have no customer in common.
    """
    return f"""
        with known as ({_deals_known(until)}),
        lost as (
            select customer_id, refusal_reason_code as code, closed_at as lost_at
            from (
                select *, row_number() over (
                    partition by customer_id order by closed_at nulls last, deal_id
                ) as place
                from known where status = 'lost'
            ) as ranked
            where place = 1
        )
        select l.customer_id, l.code, l.lost_at,
               min(case when w.closed_at > l.lost_at then w.closed_at end) as won_at
        from lost as l
        left join known as w on w.customer_id = l.customer_id and w.status = 'won'
        group by 1, 2, 3
        order by 1
    """


def reactivations(until: datetime) -> str:
    """One row per customer who was reactivated: first reactivated_at, won_at of the next win."""
    end = moment(until)
    return f"""
        with back as (
            select customer_id, min(valid_from) as reactivated_at
            from lifecycle_history
            where state = 'reactivated' and valid_from <= {end}
            group by 1
        )
        select b.customer_id, b.reactivated_at,
               min(case when d.closed_at >= b.reactivated_at then d.closed_at end) as won_at
        from back as b
        left join ({_deals_known(until)}) as d
          on d.customer_id = b.customer_id and d.status = 'won'
        group by 1, 2
        order by 1
    """


def deals_by_kind(until: datetime) -> str:
    """One row per kind, new and repeat: deals, won, lost, open and the expected money of the won.

    A deal is a repeat when the company says so, or else when the customer opened one before it.
    """
    return f"""
        select case when is_repeat then 'repeat' else 'new' end as kind,
               count(*) as deals,
               count(*) filter (where status = 'won') as won,
               count(*) filter (where status = 'lost') as lost,
               count(*) filter (where status = 'open') as open,
               cast(sum(case when status = 'won' then amount_expected end) as double) as amount_won
        from ({_deals_with_kind(until)}) as known
        group by 1
        order by 1
    """


def first_deals(until: datetime) -> str:
    """One row per customer and kind: the first deal of it, opened_at, won_at, won_undated."""
    return f"""
        select customer_id, kind, opened_at,
               case when status = 'won' then closed_at end as won_at,
               status = 'won' and closed_at is null as won_undated
        from (
            select *, case when is_repeat then 'repeat' else 'new' end as kind,
                   row_number() over (
                       partition by customer_id, coalesce(is_repeat, false)
                       order by opened_at, deal_id
                   ) as rank_of_kind
            from ({_deals_with_kind(until)}) as known
        ) as ranked
        where rank_of_kind = 1
        order by customer_id, kind
    """


def responses_by_channel(until: datetime, *, days: int) -> str:
    """One row per channel of messages: customers written to, clicked, bought within ``days``.

    A customer counts once per channel, from the first message on; ``too_young`` counts those whose
    window reaches beyond ``until`` and who are in no other column. Bought means an order that
    counts or a deal won.
    """
    end, window = moment(until), f"interval {int(days)} day"
    return f"""
        with firsts as (
            select coalesce(channel, 'not known') as channel, customer_id,
                   min(scheduled_at) as first_at, count(*) as messages
            from send where scheduled_at <= {end} group by 1, 2
        ),
        clicked as (
            select distinct coalesce(s.channel, 'not known') as channel, s.customer_id
            from send as s
            join delivery_event as e on e.send_id = s.send_id and e.type = 'click'
            join firsts as f
              on f.customer_id = s.customer_id and f.channel = coalesce(s.channel, 'not known')
            where e."at" < f.first_at + {window}
        ),
        sales as (
            select customer_id, ordered_at as sold_at from ({valid_orders()}) as counted
            union all
            select customer_id, closed_at from ({_deals_known(until)}) as d where status = 'won'
        ),
        bought as (
            select distinct f.channel, f.customer_id
            from firsts as f
            join sales as s on s.customer_id = f.customer_id
             and s.sold_at >= f.first_at and s.sold_at < f.first_at + {window}
        )
        select f.channel,
               count(*) filter (where f.first_at + {window} <= {end}) as customers,
               coalesce(sum(f.messages) filter (where f.first_at + {window} <= {end}), 0)
                   as messages,
               count(c.customer_id) filter (where f.first_at + {window} <= {end}) as clicked,
               count(b.customer_id) filter (where f.first_at + {window} <= {end}) as bought,
               count(*) filter (where f.first_at + {window} > {end}) as too_young
        from firsts as f
        left join clicked as c on c.channel = f.channel and c.customer_id = f.customer_id
        left join bought as b on b.channel = f.channel and b.customer_id = f.customer_id
        group by 1
        order by 1
    """


def arm_channels(campaign_id: str) -> str:
    """Give the channels through which each arm of a campaign was written to: variant, channel."""
    return f"""
        select distinct variant, channel from send
        where campaign_id = '{sql_text(campaign_id)}' and variant is not null
          and channel is not null
        order by 1, 2
    """


def deals_by_arm(scope: str, *, starts_at: datetime, ends_at: datetime) -> str:
    """One row per variant: customers assigned, and how many opened and won a deal in the window."""
    start, end = moment(starts_at), moment(ends_at)
    return f"""
        with flags as (
            select a.variant, a.customer_id,
                   coalesce(bool_or(d.opened_at >= {start} and d.opened_at < {end}), false)
                       as opened,
                   coalesce(bool_or(d.status = 'won' and d.closed_at >= {start}
                                    and d.closed_at < {end}), false) as won
            from assignment as a
            left join deal as d on d.customer_id = a.customer_id
            where a.scope = '{sql_text(scope)}'
            group by 1, 2
        )
        select variant, count(*) as customers,
               count(*) filter (where opened) as opened,
               count(*) filter (where won) as won
        from flags group by 1 order by 1
    """


def buyers_by_week(scope: str, *, starts_at: datetime, weeks: int) -> str:
    """Count the customers of each variant who ordered in each week after ``starts_at``.

    Columns: variant, week (from 1; NULL in one row per variant that carries its size), customers.
    Weeks are of 7 x 24 hours.
    """
    start = moment(starts_at)
    seconds = 7 * _SECONDS_PER_DAY
    return f"""
        select a.variant, cast(null as bigint) as week, count(*) as customers
        from assignment as a where a.scope = '{sql_text(scope)}' group by 1
        union all
        select a.variant,
               cast(floor(extract(epoch from (o.ordered_at - {start})) / {seconds}) as bigint) + 1
                   as week,
               count(distinct a.customer_id) as customers
        from assignment as a
        join ({valid_orders()}) as o on o.customer_id = a.customer_id
        where a.scope = '{sql_text(scope)}' and o.ordered_at >= {start}
          and o.ordered_at < {start} + interval {7 * int(weeks)} day
        group by 1, 2
        order by 1, 2
    """


def cohorts(until: datetime, *, period_days: int, zone: str) -> str:
    """One row per month of registration and period after it: cohort, period, customers.

    Periods are of ``period_days`` x 24 hours from each customer's own registration, counted from
    1; the row with period NULL carries the size of the cohort and ``last_at``, its last
    registration. Orders that count, until ``until``.
    """
    month = f"cast(date_trunc('month', {local_day('registered_at', zone)}) as date)"
    seconds = int(period_days) * _SECONDS_PER_DAY
    return f"""
        with joined as (
            select customer_id, registered_at, {month} as cohort
            from ({registrations(until)}) as registered
        )
        select cohort, cast(null as bigint) as period, count(*) as customers,
               max(registered_at) as last_at
        from joined group by 1
        union all
        select j.cohort,
               cast(floor(extract(epoch from (o.ordered_at - j.registered_at)) / {seconds})
                    as bigint) + 1 as period,
               count(distinct j.customer_id) as customers,
               cast(null as timestamp) as last_at
        from joined as j
        join ({valid_orders()}) as o on o.customer_id = j.customer_id
        where o.ordered_at >= j.registered_at and o.ordered_at <= {moment(until)}
        group by 1, 2
        order by 1, 2
    """


def arm_panel(scope: str, *, starts_at: datetime, ends_at: datetime, active_days: int) -> str:
    """One row per customer of ``scope`` with what else may have changed in the window.

    Columns: variant, is_active (an order in the last ``active_days`` of the window), is_lost (the
    state at its end is one of :data:`LOST_STATES`), unsubscribed, complained (in the window, by
    message, by withdrawn consent or by a stop on the list), score and satisfaction (the
    last answers of kind nps, from 0 to 10, and csat in the window, NULL without one).
    """
    start, end = moment(starts_at), moment(ends_at)
    inside = f">= {start} and {{0}} < {end}"
    lost = ", ".join(f"'{state}'" for state in LOST_STATES)

    def within(column: str) -> str:
        return f"{column} {inside.format(column)}"

    return f"""
        with people as (
            select customer_id, variant from assignment where scope = '{sql_text(scope)}'
        ),
        active as (
            select distinct customer_id from ({valid_orders()}) as counted
            where ordered_at >= {end} - interval {int(active_days)} day and ordered_at < {end}
              and ordered_at >= {start}
        ),
        state as (
            select customer_id, state from (
                select customer_id, state, row_number() over (
                    partition by customer_id order by valid_from desc
                ) as place
                from lifecycle_history
                where valid_from < {end} and (valid_to is null or valid_to >= {end})
            ) as ranked where place = 1
        ),
        stops as (
            select s.customer_id, e.type as kind
            from delivery_event as e join send as s on s.send_id = e.send_id
            where e.type in ('unsubscribe', 'complaint') and {within('e."at"')}
            union all
            select customer_id, reason from suppression
            where reason in ('unsubscribe', 'complaint') and {within("from_at")}
            union all
            select customer_id, 'unsubscribe' from consent_event
            where purpose = 'advertising' and action = 'withdrawn' and {within('"at"')}
        ),
        answers as (
            select customer_id,
                   max(case when kind = 'nps' then score end) as score,
                   max(case when kind = 'csat' then score end) as satisfaction
            from (
                select customer_id, kind, score, row_number() over (
                    partition by customer_id, kind order by answered_at desc, response_id desc
                ) as place
                from survey_response
                where (kind = 'csat' or kind = 'nps' and score between 0 and 10)
                  and score is not null and {within("answered_at")}
            ) as ranked
            where place = 1
            group by 1
        )
        select p.customer_id, p.variant,
               p.customer_id in (select customer_id from active) as is_active,
               coalesce(s.state in ({lost}), false) as is_lost,
               p.customer_id in (
                   select customer_id from stops
                   where kind = 'unsubscribe' and customer_id is not null
               ) as unsubscribed,
               p.customer_id in (
                   select customer_id from stops
                   where kind = 'complaint' and customer_id is not null
               ) as complained,
               w.score,
               w.satisfaction
        from people as p
        left join state as s on s.customer_id = p.customer_id
        left join answers as w on w.customer_id = p.customer_id
        order by p.customer_id
    """


def _deals_known(until: datetime) -> str:
    """Deals as they stood at ``until``: what closed later was still open."""
    end = moment(until)
    return f"""
        select deal_id, customer_id, opened_at, amount_expected, is_repeat,
               case when closed_at > {end} then 'open' else status end as status,
               case when closed_at > {end} then null else closed_at end as closed_at,
               case when closed_at > {end} then null else refusal_reason_code end
                   as refusal_reason_code
        from deal where opened_at <= {end}
    """


def _deals_with_kind(until: datetime) -> str:
    return f"""
        select deal_id, customer_id, opened_at, closed_at, status, amount_expected,
               coalesce(is_repeat, row_number() over (
                   partition by customer_id order by opened_at, deal_id
               ) > 1) as is_repeat
        from ({_deals_known(until)}) as known
    """
