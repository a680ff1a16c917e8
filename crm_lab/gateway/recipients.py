"""The SQL that says who may be written to: addresses, consents, suppressions, control groups."""

from __future__ import annotations

from datetime import datetime

from crm_lab.gateway.expressions import address_key, is_email, moment, valid_orders
from crm_lab.gateway.store import sql_text


def reachability(channel: str, as_of: datetime) -> str:
    """One row per customer known at ``as_of``: address, consent, suppression, ``eligible``.

    The last consent event for advertising counts (for this channel or for all); of two at the
    same moment, the one that takes consent away. Whoever unsubscribes from a message or complains
    about it takes consent away in its channel, in every channel where the message names none. A
    suppression counts from its start to its end, for the customer, or for an address of this
    channel and everybody who shares it. An address from which a message came back for good does
    not work, for nobody who shares it, unless it was collected after that. Of several addresses
    that work, the primary one is taken.

    Nobody leaves an assignment by this: it decides who joins a draw and who is on a list.
    """
    now = moment(as_of)
    name = sql_text(channel)
    works = "coalesce(c.status, 'unknown') in ('valid', 'unknown')"
    if channel == "email":
        works += f" and {is_email('c.address')}"
    return f"""
        with point as (
            select customer_id, contact_point_id, address, is_primary, status, collected_at,
                   {address_key("address")} as address_key
            from contact_point where channel = '{name}'
        ),
        answer as (
            select s.customer_id, s.contact_point_id, e.type = 'bounce_hard' as is_bounce,
                   max(e."at") as "at"
            from delivery_event as e join send as s on s.send_id = e.send_id
            where e.type in ('unsubscribe', 'complaint', 'bounce_hard') and e."at" <= {now}
              and (s.channel is null or s.channel = '{name}')
            group by 1, 2, 3
        ),
        bounced as (
            select c.address_key, max(b."at") as "at"
            from answer as b
            join point as c on c.customer_id = b.customer_id
             and (b.contact_point_id is null or b.contact_point_id = c.contact_point_id)
            where b.is_bounce and (c.collected_at is null or c.collected_at <= b."at")
            group by 1
        ),
        address as (
            select customer_id, contact_point_id
            from (
                select c.customer_id, c.contact_point_id, row_number() over (
                    partition by c.customer_id
                    order by coalesce(c.is_primary, false) desc, c.contact_point_id
                ) as place
                from point as c left join bounced as b on b.address_key = c.address_key
                where {works} and (b."at" is null or c.collected_at > b."at")
            ) as ranked
            where place = 1
        ),
        any_address as (
            select distinct customer_id from point
        ),
        consent as (
            select customer_id, action
            from (
                select customer_id, action, row_number() over (
                    partition by customer_id
                    order by "at" desc, case when action = 'granted' then 1 else 0 end, action
                ) as latest
                from (
                    select customer_id, action, "at" from consent_event
                    where purpose = 'advertising' and "at" <= {now}
                      and (channel is null or channel = '{name}')
                    union all
                    select customer_id, 'withdrawn', "at" from answer where not is_bounce
                ) as said
            ) as ranked
            where latest = 1
        ),
        suppression_now as (
            select customer_id, contact_point_id from suppression
            where from_at <= {now} and (to_at is null or to_at > {now})
              and (channel is null or channel = '{name}')
        ),
        suppressed as (
            select customer_id from suppression_now where customer_id is not null
            union
            select shared.customer_id
            from suppression_now as s
            join point as c on c.contact_point_id = s.contact_point_id
            join point as shared on shared.address_key = c.address_key
        ),
        judged as (
            select
                p.customer_id,
                p.created_at,
                p.household_id,
                a.contact_point_id,
                case
                    when coalesce(p.is_test, false) then 'test account'
                    when e.customer_id is null then 'no address'
                    when a.customer_id is null then 'address does not work'
                    when n.action is null then 'no consent to advertising'
                    when n.action <> 'granted' then 'consent withdrawn'
                    when p.customer_id in (select customer_id from suppressed) then 'suppressed'
                end as obstacle
            from customer as p
            left join any_address as e on e.customer_id = p.customer_id
            left join address as a on a.customer_id = p.customer_id
            left join consent as n on n.customer_id = p.customer_id
            where p.created_at is null or p.created_at <= {now}
        )
        select judged.*, c.address, obstacle is null as eligible
        from judged
        left join point as c on c.contact_point_id = judged.contact_point_id
    """


def assigned(scope: str) -> str:
    """Select the customers assigned under ``scope`` with their variant, as a population."""
    return (
        "select customer_id, unit_id, variant, assigned_at from assignment"
        f" where scope = '{sql_text(scope)}'"
    )


def reachable(channel: str, as_of: datetime) -> str:
    """Select everybody who may be reached, as a population."""
    return (
        f"select customer_id, 'all' as variant from ({reachability(channel, as_of)}) as judged"
        " where eligible"
    )


def eligible(judged: str, variant: str) -> str:
    """Select those whom a judgement lets through, each a unit of one variant, as a population."""
    return (
        f"select customer_id, customer_id as unit_id, '{sql_text(variant)}' as variant"
        f" from ({judged}) as judged where eligible"
    )


def audience(
    channel: str, as_of: datetime, *, bought_within_days: int | None, min_orders: int
) -> str:
    """Judge every customer for a campaign: :func:`reachability` and the audience's conditions.

    Who may be reached and does not fulfil the conditions gets the obstacle
    ``outside the audience``.
    """
    now = moment(as_of)
    since = "" if bought_within_days is None else f"interval {int(bought_within_days)} day"
    recent = f"and max(ordered_at) >= {now} - {since}" if since else ""
    needs_orders = bought_within_days is not None or min_orders > 0
    inside = "b.customer_id is not null" if needs_orders else "true"
    return f"""
        with buyers as (
            select customer_id from ({valid_orders()}) as counted
            where ordered_at < {now}
            group by customer_id
            having count(*) >= {int(min_orders)} {recent}
        ),
        reach as ({reachability(channel, as_of)})
        select
            r.customer_id, r.created_at, r.household_id, r.contact_point_id, r.address,
            case when r.obstacle is not null then r.obstacle
                 when not ({inside}) then 'outside the audience' end as obstacle,
            r.eligible and {inside} as eligible
        from reach as r
        left join buyers as b on b.customer_id = r.customer_id
    """


def recipients_of(scope: str, channel: str, as_of: datetime, *, protected: tuple[str, ...]) -> str:
    """Judge everybody assigned to an arm of ``scope`` for a send list, now.

    ``protected`` names the scopes whose controls must not be reached: the experiment's own and
    every open epoch.

    Columns: customer_id, variant, contact_point_id, address, household_id, obstacle. Besides what
    :func:`reachability` finds, an address or a household shared with a control customer is an
    obstacle: the control customer would read the message too.
    """
    listed = ", ".join(f"'{sql_text(name)}'" for name in protected)
    return f"""
        with members as (
            select customer_id, variant from ({assigned(scope)}) as everybody
        ),
        protected as (
            select distinct customer_id from assignment
            where variant = 'control' and scope in ({listed})
        ),
        protected_address as (
            select {address_key("c.address")} as address_key
            from contact_point as c join protected as p on p.customer_id = c.customer_id
            union
            select {address_key("i.identity_value")}
            from customer_identity as i join protected as p on p.customer_id = i.customer_id
            where i.identity_type in ('email', 'phone')
        ),
        protected_household as (
            select distinct c.household_id
            from customer as c join protected as p on p.customer_id = c.customer_id
            where c.household_id is not null
        ),
        reach as ({reachability(channel, as_of)})
        select
            m.customer_id, m.variant, r.contact_point_id, r.address, r.household_id,
            case
                when m.customer_id in (select customer_id from protected) then 'control group'
                when m.variant = 'rest' then 'left out by the plan'
                when r.customer_id is null then 'no longer known'
                when r.obstacle is not null then r.obstacle
                when {address_key("r.address")} in (select address_key from protected_address)
                    then 'shares an address with a control customer'
                when r.household_id in (select household_id from protected_household)
                    then 'shares a household with a control customer'
            end as obstacle
        from members as m
        left join reach as r on r.customer_id = m.customer_id
        order by m.customer_id
    """


def control_contacts(protected: tuple[str, ...]) -> str:
    """Select ids and addresses that no send list may hold: of every control of these scopes.

    An address is one that the customer has, or one under which another system knows them, each as
    its key.
    """
    listed = ", ".join(f"'{sql_text(name)}'" for name in protected)
    return f"""
        with protected as (
            select distinct customer_id from assignment
            where variant = 'control' and scope in ({listed})
        ),
        addresses as (
            select customer_id, {address_key("address")} as address from contact_point
            union
            select customer_id, {address_key("identity_value")} from customer_identity
            where identity_type in ('email', 'phone')
        )
        select p.customer_id, a.address
        from protected as p
        left join addresses as a on a.customer_id = p.customer_id
    """
