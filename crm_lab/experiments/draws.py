"""Drawing: who joins a control group and in which arm, prepared inside one reader.

Each function makes temporary tables in the reader's engine, under the writer's lock; what they
hold becomes rows of the append-only tables ``assignment`` and ``eligibility``.

A newcomer whose contact cluster has members takes their arm (of members in both arms: control,
since a control must not be reached). Everybody else falls by the hash of the unit id. The first
draw of a stratified epoch takes within each stratum the units with the smallest hashes, so that
each stratum holds its share to the unit.
"""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from crm_lab.errors import LedgerError
from crm_lab.experiments.assignment import TREATABLE, bucket_ends
from crm_lab.experiments.clusters import contact_clusters
from crm_lab.experiments.epochs import Epoch
from crm_lab.experiments.fields import CONTROL
from crm_lab.formats import listing
from crm_lab.gateway import Reader, audits, operations
from crm_lab.gateway.store import sql_text
from crm_lab.language import say, say_many

STRATUM_DAYS = 365
NEWCOMER = "newcomer"
ELIGIBILITY = "judged_now"


def prepare_newcomers(
    reader: Reader, epoch: Epoch, as_of: datetime, *, uploaded: pd.Series[str] | None = None
) -> None:
    """Make the temporary tables of a draw: who joins with which arm, and who may not and why.

    Parameters
    ----------
    reader : Reader
        Pinned to the snapshot that the draw sees.
    epoch : Epoch
        The rule; its members so far are read from the snapshot.
    as_of : datetime
        Business time (UTC): consents and suppressions count as they are then.
    uploaded : pandas.Series of str, optional
        Ids of controls that somebody else has drawn; only in the first draw of an epoch.
    """
    reader.temporary(
        "judged", f"select * from ({operations.reachability(epoch.channel, as_of)}) as judged"
    )
    reader.temporary("member", operations.assigned(epoch.scope))
    prepare_units(reader, epoch.unit)
    is_first = reader.count("member") == 0
    is_by_stratum = epoch.draw == "stratum" and is_first
    if uploaded is None and not is_by_stratum and reader.count("unit") == 0:
        single_newcomers(reader, epoch, as_of, has_members=not is_first)
    else:
        reader.temporary(
            "joining",
            """
            select j.customer_id, coalesce(u.unit_id, j.customer_id) as unit_id
            from judged as j left join unit as u on u.customer_id = j.customer_id
            where j.eligible and j.customer_id not in (select customer_id from member)
            """,
        )
        if uploaded is not None:
            _by_upload(reader, uploaded)
        elif is_by_stratum:
            _by_stratum(reader, epoch, as_of)
        else:
            _by_hash(reader, epoch)
        _newcomers_of_units(reader, epoch, as_of)
    outside = "" if is_first else "where customer_id not in (select customer_id from member)"
    reader.temporary(
        ELIGIBILITY,
        f"""
        select '{sql_text(epoch.scope)}' as scope, customer_id,
               {operations.moment(as_of)} as drawn_at, obstacle
        from judged {outside}
        """,
    )


def single_newcomers(reader: Reader, epoch: Epoch, as_of: datetime, *, has_members: bool) -> None:
    """Make the table of newcomers by the hash where every customer is a unit alone.

    The rows are those of the general way; with nobody to share an arm with there is nothing to
    join and nothing to count once only.

    Parameters
    ----------
    reader : Reader
        With the temporary table ``judged`` (customer_id, eligible), and ``member`` where there
        are members.
    epoch : Epoch
        The rule.
    as_of : datetime
        Business time of the draw (UTC).
    has_members : bool
        Whether there are members, who do not join again.
    """
    end = bucket_ends({CONTROL: epoch.share})[CONTROL]
    bucket = operations.bucket_expression(epoch.drawn_salt, "customer_id")
    outside = "and customer_id not in (select customer_id from member)" if has_members else ""
    reader.temporary(
        NEWCOMER,
        f"""
        select '{sql_text(epoch.scope)}' as scope, customer_id, customer_id as unit_id,
               case when bucket < {end} then '{CONTROL}' else '{TREATABLE}' end as variant,
               bucket, cast(null as varchar) as stratum, 'hash' as rule,
               {operations.moment(as_of)} as assigned_at
        from (
            select customer_id, {bucket} as bucket from judged where eligible {outside}
        ) as hashed
        """,
    )


def prepare_units(reader: Reader, unit: str) -> None:
    """Make the temporary table ``unit``: customer_id and unit_id of everybody who is not alone."""
    shared = reader.frame(audits.shared_contacts()) if unit == "cluster" else None
    clusters = contact_clusters(
        shared if shared is not None else pd.DataFrame(columns=["contact", "customer_id"])
    )
    reader.temporary_frame("unit", clusters, {"customer_id": "VARCHAR", "unit_id": "VARCHAR"})


def stratum_query(strata: tuple[str, ...], as_of: datetime) -> str:
    """Write the SELECT of customer_id and stratum over the temporary table ``joining``."""
    parts = {
        "value_decile": "cast(ntile(10) over (order by revenue, customer_id) as varchar)",
        "rfm": (
            "cast(ntile(3) over (order by last_at nulls first, customer_id) as varchar)"
            " || cast(ntile(3) over (order by orders, customer_id) as varchar)"
            " || cast(ntile(3) over (order by revenue, customer_id) as varchar)"
        ),
        "region": "coalesce(region_code, '-')",
    }
    stratum = " || '|' || ".join(parts[name] for name in strata)
    since = f"{operations.moment(as_of)} - interval {STRATUM_DAYS} day"
    return f"""
        with spent as (
            select j.customer_id, p.region_code,
                   coalesce(sum(o.net_revenue), 0) as revenue,
                   count(o.ordered_at) as orders,
                   max(o.ordered_at) as last_at
            from joining as j
            join customer as p on p.customer_id = j.customer_id
            left join ({operations.valid_orders()}) as o
              on o.customer_id = j.customer_id
             and o.ordered_at >= {since} and o.ordered_at < {operations.moment(as_of)}
            group by 1, 2
        )
        select customer_id, {stratum} as stratum from spent
    """


def _newcomers_of_units(reader: Reader, epoch: Epoch, as_of: datetime) -> None:
    """Give everybody who joins the arm of the own unit, or that of its members."""
    at = operations.moment(as_of)
    scope = sql_text(epoch.scope)
    reader.temporary(
        NEWCOMER,
        f"""
        with inherited as (
            select coalesce(u.unit_id, m.customer_id) as unit_id,
                   max(case when m.variant = '{CONTROL}' then 1 else 0 end) as any_control
            from member as m left join unit as u on u.customer_id = m.customer_id
            group by 1
        )
        select '{scope}' as scope, j.customer_id, j.unit_id,
               case when i.any_control = 1 then '{CONTROL}'
                    when i.any_control = 0 then '{TREATABLE}'
                    else d.variant end as variant,
               d.bucket,
               case when i.any_control is not null then null else d.stratum end as stratum,
               case when i.any_control is not null then 'inherited' else d.rule end as rule,
               {at} as assigned_at
        from joining as j
        join drawn_unit as d on d.unit_id = j.unit_id
        left join inherited as i on i.unit_id = j.unit_id
        """,
    )


def _by_hash(reader: Reader, epoch: Epoch) -> None:
    end = bucket_ends({CONTROL: epoch.share})[CONTROL]
    bucket = operations.bucket_expression(epoch.drawn_salt, "unit_id")
    reader.temporary(
        "drawn_unit",
        f"""
        select unit_id, bucket, cast(null as varchar) as stratum, 'hash' as rule,
               case when bucket < {end} then '{CONTROL}' else '{TREATABLE}' end as variant
        from (
            select unit_id, {bucket} as bucket
            from (select distinct unit_id from joining) as units
        ) as hashed
        """,
    )


def _by_stratum(reader: Reader, epoch: Epoch, as_of: datetime) -> None:
    """Take the share of each stratum to the unit; what is left of rounding falls by a hash."""
    bucket = operations.bucket_expression(epoch.drawn_salt, "unit_id")
    digits = operations.hash_expression(epoch.drawn_salt, "unit_id")
    rest = operations.hash_expression(f"{epoch.drawn_salt}:stratum", "stratum")
    reader.temporary("stratum_of", stratum_query(epoch.strata, as_of))
    reader.temporary(
        "drawn_unit",
        f"""
        with units as (
            select j.unit_id, min(s.stratum) as stratum
            from joining as j join stratum_of as s on s.customer_id = j.customer_id
            group by 1
        ),
        ranked as (
            select unit_id, stratum,
                   row_number() over (partition by stratum order by {digits}, unit_id) as place,
                   count(*) over (partition by stratum) as units_in_stratum
            from units
        )
        select unit_id, {bucket} as bucket, stratum, 'stratum' as rule,
               case when place <= floor(
                        {epoch.share} * units_in_stratum + {rest} / {operations.HASH_RANGE}.0
                    ) then '{CONTROL}' else '{TREATABLE}' end as variant
        from ranked
        """,
    )


def _by_upload(reader: Reader, uploaded: pd.Series[str]) -> None:
    twice = sorted(set(uploaded[uploaded.duplicated()]))
    if twice:
        raise LedgerError(
            say_many(
                "{count} ids of the list come twice ({ids})",
                "{count} ids of the list come twice ({ids})",
                len(twice),
                ids=listing(twice),
            ),
            expected=say("each control once"),
            remedy=say("nothing was written; correct the list"),
        )
    reader.temporary_frame(
        "uploaded", pd.DataFrame({"customer_id": uploaded}), {"customer_id": "VARCHAR"}
    )
    unknown = reader.frame(
        "select u.customer_id from uploaded as u"
        " left join judged as j on j.customer_id = u.customer_id"
        " where j.customer_id is null or not j.eligible order by 1"
    )["customer_id"]
    if len(unknown):
        raise LedgerError(
            say_many(
                "{count} id of the list is unknown or may not be contacted ({ids})",
                "{count} ids of the list are unknown or may not be contacted ({ids})",
                len(unknown),
                ids=listing(unknown),
            ),
            expected=say("ids of eligible customers"),
            remedy=say("nothing was written; correct the list or load the customers first"),
        )
    reader.temporary(
        "drawn_unit",
        f"""
        select j.unit_id, cast(null as integer) as bucket, cast(null as varchar) as stratum,
               'upload' as rule,
               case when max(case when u.customer_id is not null then 1 else 0 end) = 1
                    then '{CONTROL}' else '{TREATABLE}' end as variant
        from joining as j left join uploaded as u on u.customer_id = j.customer_id
        group by 1
        """,
    )
