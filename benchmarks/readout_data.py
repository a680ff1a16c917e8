"""Ten million assigned customers and their orders as Parquet files, for the read-out benchmarks.

Run as a program it reads out the files of a folder once, from the start of a process to its end.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np

from crm_lab.experiments.outcomes import Window
from crm_lab.experiments.plan import Plan
from crm_lab.experiments.summaries import SummaryEstimator, open_summaries
from crm_lab.gateway import Reader, operations
from crm_lab.gateway.store import Store
from crm_lab.stats import Comparison

CUSTOMERS = 10_000_000
START, END, BEFORE = datetime(2026, 5, 1), datetime(2026, 5, 29), datetime(2026, 4, 3)
METRICS = ("revenue_per_customer", "conversion", "average_order_value")
PLAN = Plan(
    name="may",
    title="May",
    hypothesis="more",
    owner="CRM",
    channel="email",
    message_class="marketing",
    starts_at=START,
    ends_at=END,
    pre_starts_at=BEFORE,
    bought_within_days=None,
    min_orders=0,
    control_group="global",
    control_share=0.05,
    own_control_share=0.0,
    layer="",
    layer_from=0.0,
    layer_to=1.0,
    salt="may",
    shares={"mail": 1.0},
    messages={"mail": "m"},
    factors={},
    primary_metric=METRICS[0],
    secondary_metrics=METRICS[1:],
    alpha=0.05,
    alpha_per_arm=0.05,
    power=0.8,
    is_adjusted=True,
    rule="interval_above_zero",
    minimum=0.0,
    cost_per_message=0.0,
    cost_fixed=0.0,
    margin_share=None,
    currency="EUR",
)


def write_files(folder: Path, customers: int = CUSTOMERS) -> None:
    """Write assignment.parquet and orders.parquet: one customer in five bought in eight weeks.

    Spend is log-normal with a spread of 1.2; who bought before buys again more often; the
    treatment adds 3 %.
    """
    engine = duckdb.connect()
    engine.execute("set threads = 2")
    engine.execute("select setseed(0.5)")
    engine.execute(
        f"""
        copy (
            select 'experiment:may' as scope, printf('C%08d', i) as customer_id,
                   printf('C%08d', i) as unit_id,
                   case when hash(i) % 20 = 0 then 'control' else 'mail' end as variant,
                   timestamp '2026-04-30' as assigned_at
            from range({customers}) as r(i)
        ) to '{folder / "assignment.parquet"}' (format parquet)
        """
    )
    engine.execute(
        f"""
        copy (
            select printf('C%08d', i) as customer_id,
                   timestamp '2026-04-03' + (hash(i * 7 + k) % 4838400) * interval 1 second
                       as ordered_at,
                   cast((case when hash(i) % 20 = 0 then 1.0 else 1.03 end)
                        * exp(3 + 1.2 * sqrt(-2 * ln((hash(i * 3 + k) % 1000003 + 1) / 1000005.0))
                              * cos(6.283185307 * (hash(i * 5 + k) % 1000003) / 1000003.0))
                        as decimal(18, 2)) as net_revenue,
                   cast(null as decimal(18, 2)) as cost,
                   cast(0 as decimal(18, 2)) as discount,
                   'paid' as status
            from range({customers}) as r(i), range(3) as o(k)
            where hash(i * 11) % 5 = 0 and hash(i * 13 + k) % 2 = 0
        ) to '{folder / "orders.parquet"}' (format parquet)
        """
    )
    engine.close()


def open_files(folder: Path) -> Reader:
    """Give a reader whose assignment and orders are the files of a folder."""
    reader = Reader(
        Store.create(folder / "gateway")
        if not (folder / "gateway").exists()
        else Store.open(folder / "gateway")
    )
    for name in ("assignment", "orders"):
        file = folder / f"{name}.parquet"
        reader.engine.execute(f"create or replace view {name} as from read_parquet('{file}')")
    return reader


def read_out(reader: Reader) -> list[Comparison]:
    """Compare three metrics, one a ratio and one adjusted, from sums of the database."""
    window = Window(starts_at=START, ends_at=END, pre_starts_at=BEFORE, pre_ends_at=START)
    estimator: SummaryEstimator = open_summaries(
        reader, PLAN, window, operations.assigned(PLAN.scope)
    )
    return [
        estimator.estimate(
            metric,
            treated=("mail",),
            control=("control",),
            alpha=0.05,
            rng=np.random.default_rng(1),
            arms=("mail", "control"),
        ).comparison
        for metric in METRICS
    ]


BARE = f"""
    with sums as (
        select customer_id,
               sum(case when ordered_at >= timestamp '{START}' then net_revenue end) as revenue,
               count(case when ordered_at >= timestamp '{START}' then 1 end) as orders,
               sum(case when ordered_at < timestamp '{START}' then net_revenue end) as pre
        from orders
        where ordered_at >= timestamp '{BEFORE}' and ordered_at < timestamp '{END}'
          and customer_id is not null and status is distinct from 'cancelled'
        group by customer_id
    ),
    people as (
        select variant, cast(coalesce(revenue, 0) as double) as y, coalesce(orders, 0) as o,
               cast(coalesce(pre, 0) as double) as x
        from assignment left join sums on sums.customer_id = assignment.customer_id
        where scope = 'experiment:may'
    )
    select variant, count(*) as n, sum(y) as y, sum(y * y) as yy, sum(x) as x, sum(x * x) as xx,
           sum(x * y) as xy, count(*) filter (where o > 0) as buyers, sum(o) as o,
           sum(o * o) as oo, sum(o * y) as oy
    from people group by variant order by variant
"""
"""What somebody would write by hand: the join, and the sums that means and a ratio need."""


if __name__ == "__main__":
    found = read_out(open_files(Path(sys.argv[1])))
    effects = zip(METRICS, found, strict=True)
    print(json.dumps({name: comparison.relative.estimate for name, comparison in effects}))
