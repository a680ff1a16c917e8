"""The SQL of redrawing: control groups under many salts on one base, for an A/A calibration.

Like :mod:`.operations`: each function gives one SELECT.
"""

from __future__ import annotations

from crm_lab.gateway.expressions import BUCKETS, HASH_RANGE
from crm_lab.gateway.store import sql_text


def control_places(relation: str, salts: tuple[str, ...], share: float) -> str:
    """Draw a control group of ``share`` under each salt: one row per salt and control.

    ``relation`` has the columns place (a whole number) and customer_id. Columns: draw (position of
    the salt, from 0), place. The rule is that of
    :func:`crm_lab.gateway.expressions.bucket_expression`: a bucket lies below a limit exactly when
    the hash, read as text, lies below a text, and that spares the arithmetic for every customer
    under every salt.
    """
    listed = ", ".join(f"({index}, '{sql_text(salt)}:')" for index, salt in enumerate(salts))
    first_outside = -(-round(share * BUCKETS) * HASH_RANGE // BUCKETS)
    return f"""
        select s.draw, p.place
        from "{relation}" as p
        cross join (values {listed}) as s(draw, prefix)
        where sha256(s.prefix || p.customer_id) < '{first_outside:08x}'
    """
