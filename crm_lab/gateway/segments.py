"""The SQL of segments: groups of customers by what was known before a moment.

A segment of an experiment may use nothing that happened after the draw; every SELECT here takes
the moment until which it may look.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

from crm_lab.errors import DesignError
from crm_lab.gateway.expressions import moment, valid_orders
from crm_lab.gateway.store import sql_text
from crm_lab.language import say

Segment = Literal[
    "value", "recency", "region_code", "age_band", "income_band", "gender", "lifecycle_state"
]
SEGMENTS: tuple[Segment, ...] = get_args(Segment)
UNKNOWN = "not known"
HISTORY_DAYS = 365
"""How far back value and recency look."""


def segment_labels(population: str, segment: Segment, before: datetime) -> str:
    """Select the segment of everybody in ``population``: customer_id, label.

    Parameters
    ----------
    population : str
        A SELECT of customer_id.
    segment : str
        ``value``: nothing, or the lower, middle or upper third of what buyers paid in the year
        before; ``recency``: days since the last order; ``lifecycle_state``: the state that held;
        the others are columns of the customer.
    before : datetime
        First moment that may not be used.

    Raises
    ------
    DesignError
        There is no such segment.
    """
    if segment not in SEGMENTS:
        raise DesignError(
            say("there is no segment '{segment}'", segment=segment),
            expected=say("one of {choices}", choices=", ".join(SEGMENTS)),
        )
    at = moment(before)
    if segment == "value":
        body = f"""
            with people as ({population}),
            paid as (
                select o.customer_id, sum(o.net_revenue) as amount
                from ({valid_orders()}) as o join people as p on p.customer_id = o.customer_id
                where o.ordered_at < {at}
                  and o.ordered_at >= {at} - interval {HISTORY_DAYS} day
                group by o.customer_id
            ),
            ranked as (
                select customer_id, ntile(3) over (order by amount, customer_id) as third
                from paid where amount > 0
            )
            select p.customer_id,
                   case r.third when 1 then 'lower third' when 2 then 'middle third'
                                when 3 then 'upper third' else 'no orders' end as label
            from people as p left join ranked as r on r.customer_id = p.customer_id
        """
    elif segment == "recency":
        body = f"""
            with people as ({population}),
            last as (
                select o.customer_id, max(o.ordered_at) as at_
                from ({valid_orders()}) as o join people as p on p.customer_id = o.customer_id
                where o.ordered_at < {at}
                group by o.customer_id
            )
            select p.customer_id,
                   case when l.at_ is null then 'never bought'
                        when l.at_ >= {at} - interval 30 day then 'within 30 days'
                        when l.at_ >= {at} - interval 90 day then '31 to 90 days'
                        when l.at_ >= {at} - interval 365 day then '91 to 365 days'
                        else 'over a year' end as label
            from people as p left join last as l on l.customer_id = p.customer_id
        """
    elif segment == "lifecycle_state":
        body = f"""
            with people as ({population}),
            states as (
                select customer_id, max_by(state, valid_from) as state
                from lifecycle_history
                where valid_from < {at} and (valid_to is null or valid_to >= {at})
                group by customer_id
            )
            select p.customer_id, coalesce(s.state, '{UNKNOWN}') as label
            from people as p left join states as s on s.customer_id = p.customer_id
        """
    else:
        body = f"""
            with people as ({population})
            select p.customer_id, coalesce(c.{segment}, '{UNKNOWN}') as label
            from people as p left join customer as c on c.customer_id = p.customer_id
        """
    return f"select customer_id, label from ({body}) as labelled order by customer_id"


def reached(campaign_id: str, *, starts_at: datetime, ends_at: datetime) -> str:
    """Select the customers to whom a message of a campaign was delivered in the window."""
    return f"""
        select distinct s.customer_id
        from send as s join delivery_event as e on e.send_id = s.send_id
        where s.campaign_id = '{sql_text(campaign_id)}' and e.type = 'delivered'
          and e."at" >= {moment(starts_at)} and e."at" < {moment(ends_at)}
        order by 1
    """
