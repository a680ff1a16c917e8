"""The SQL of audits: who shares contacts, who of the control group was touched and by what.

Like :mod:`.operations`: each function gives one SELECT over the tables of :mod:`.schema`.
"""

from __future__ import annotations

from datetime import datetime

from crm_lab.gateway.expressions import address_key, moment, valid_orders
from crm_lab.gateway.store import sql_text

EXEMPT_KIND = "exempt message"
"""A message of a class that controls do receive: listed, and no contamination."""


def contacts() -> str:
    """Give every address, identity and household of every customer: contact, customer_id.

    An address stands as its key, and a phone is one contact whether it rings or gets texts.
    """
    kind = "case when channel in ('sms', 'call') then 'phone' else channel end"
    return f"""
        select {kind} || ':' || {address_key("address")} as contact, customer_id
        from contact_point
        union
        select 'household:' || household_id, customer_id from customer
        where household_id is not null
        union
        select identity_type || ':' || {address_key("identity_value")}, customer_id
        from customer_identity where identity_type in ('email', 'phone')
    """


def shared_contacts() -> str:
    """Give every contact that two or more customers share: contact, customer_id."""
    return f"""
        with every as ({contacts()})
        select contact, customer_id from every
        where contact in (
            select contact from every group by contact having count(distinct customer_id) > 1
        )
        order by contact, customer_id
    """


def exposures(
    scope: str, *, starts_at: datetime, ends_at: datetime, exempt_classes: tuple[str, ...]
) -> str:
    """Give everything that touched a control of ``scope``: customer_id, kind, at, what.

    Kinds: ``control contacted`` (a marketing message to the control), ``exempt message`` (a class
    that controls do receive), ``shared contact`` (a marketing message to somebody under an address
    or in a household of the control), ``promo leak`` (the control redeemed a campaign's code).
    """
    exempt = ", ".join(f"'{sql_text(name)}'" for name in exempt_classes) or "''"
    window = f">= {moment(starts_at)} and {{}} < {moment(ends_at)}"
    sent = f"s.scheduled_at {window.format('s.scheduled_at')}"
    redeemed = f'r."at" {window.format(chr(34) + "at" + chr(34))}'
    kind = "coalesce(s.message_class, 'marketing')"
    return f"""
        with controls as (
            select customer_id from assignment
            where scope = '{sql_text(scope)}' and variant = 'control'
        ),
        every as ({contacts()}),
        control_contact as (
            select e.contact, e.customer_id from every as e
            join controls as c on c.customer_id = e.customer_id
        ),
        neighbour as (
            select distinct e.customer_id, c.customer_id as control_id
            from every as e
            join control_contact as c
              on c.contact = e.contact and c.customer_id <> e.customer_id
        )
        select s.customer_id,
               case when {kind} in ({exempt}) then '{EXEMPT_KIND}' else 'control contacted' end
                   as kind,
               s.scheduled_at as moment, s.campaign_id as what, {kind} as message_class
        from send as s join controls as c on c.customer_id = s.customer_id
        where {sent}
        union all
        select n.control_id, 'shared contact', s.scheduled_at, s.campaign_id, {kind}
        from send as s join neighbour as n on n.customer_id = s.customer_id
        where {sent} and {kind} not in ({exempt})
        union all
        select r.customer_id, 'promo leak', r."at", coalesce(r.campaign_id, r.code), 'marketing'
        from promo_redemption as r join controls as c on c.customer_id = r.customer_id
        where {redeemed}
        order by 1, 3, 2
    """


def touched_controls(
    scope: str, *, starts_at: datetime, ends_at: datetime, exempt_classes: tuple[str, ...]
) -> str:
    """Select the controls of ``scope`` that anything but an exempt message touched: customer_id."""
    found = exposures(scope, starts_at=starts_at, ends_at=ends_at, exempt_classes=exempt_classes)
    return f"select distinct customer_id from ({found}) as e where kind <> '{EXEMPT_KIND}'"


def activity_of(scope: str, *, since: datetime, until: datetime) -> str:
    """Give for each member of ``scope`` revenue and orders of a window: drift of the group."""
    return f"""
        select a.customer_id, a.variant, a.assigned_at,
               cast(coalesce(sum(o.net_revenue), 0) as double) as revenue,
               count(o.ordered_at) as orders
        from assignment as a
        left join ({valid_orders()}) as o
          on o.customer_id = a.customer_id
         and o.ordered_at >= {moment(since)} and o.ordered_at < {moment(until)}
        where a.scope = '{sql_text(scope)}'
        group by 1, 2, 3
        order by 1
    """


def overlap(old_scope: str, new_scope: str) -> str:
    """Count customers by their variant in two scopes: old, new, customers."""
    return f"""
        select o.variant as old, n.variant as new, count(*) as customers
        from assignment as o join assignment as n on n.customer_id = o.customer_id
        where o.scope = '{sql_text(old_scope)}' and n.scope = '{sql_text(new_scope)}'
        group by 1, 2
        order by 1, 2
    """


def split_units(scope: str) -> str:
    """Give members of ``scope`` who by now share a contact with a member of another variant.

    Columns: customer_id, variant, contact. The past is not rewritten; an analysis runs with and
    without them.
    """
    return f"""
        with every as ({contacts()}),
        members as (
            select customer_id, variant from assignment where scope = '{sql_text(scope)}'
        ),
        merged as (
            select 'merge:' || kept_id as contact, kept_id as customer_id from identity_merge
            union
            select 'merge:' || kept_id, merged_id from identity_merge
        ),
        shared as (
            select e.contact, m.customer_id, m.variant
            from (select * from every union select * from merged) as e
            join members as m on m.customer_id = e.customer_id
        )
        select customer_id, min(variant) as variant, min(contact) as contact
        from shared
        where contact in (
            select contact from shared
            group by contact
            having count(distinct case when variant = 'control' then 1 else 0 end) > 1
        )
        group by customer_id
        order by customer_id
    """


def without(population: str, table: str) -> str:
    """Select a population without the customers of a table of this reader."""
    return (
        f"select * from ({population}) as every"
        f' where customer_id not in (select customer_id from "{table}")'
    )


def others_sent(
    scope: str,
    campaign_id: str,
    *,
    starts_at: datetime,
    ends_at: datetime,
    pre_starts_at: datetime,
) -> str:
    """Count the members of an experiment who were sent other marketing, by side.

    Columns: is_control, members, in_window (sent something else between ``starts_at`` and
    ``ends_at``), before (between ``pre_starts_at`` and ``starts_at``).
    """
    return f"""
        with members as (
            select customer_id, variant = 'control' as is_control from assignment
            where scope = '{sql_text(scope)}'
        ),
        others as (
            select customer_id,
                   bool_or(scheduled_at >= {moment(starts_at)}) as in_window,
                   bool_or(scheduled_at < {moment(starts_at)}) as before
            from send
            where coalesce(message_class, 'marketing') = 'marketing'
              and campaign_id <> '{sql_text(campaign_id)}'
              and scheduled_at >= {moment(pre_starts_at)} and scheduled_at < {moment(ends_at)}
            group by customer_id
        )
        select m.is_control,
               count(*) as members,
               count(case when o.in_window then 1 end) as in_window,
               count(case when o.before then 1 end) as before
        from members as m left join others as o on o.customer_id = m.customer_id
        group by 1
        order by 1
    """
