"""Taking in a company's file."""

from __future__ import annotations

import itertools
import tempfile
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd

from benchmarks.harness import Sides, benchmark
from crm_lab.gateway import Gateway, ImportReport, load_map

ROWS = 1_000_000
CUSTOMERS = 100_000
MAP = """\
table: orders
source_system: shop
files: "orders*.csv"
date_formats: ["%Y-%m-%d %H:%M:%S"]
timezone: Europe/Berlin
create_customers: true
columns:
  order_id: order
  customer_id: customer
  ordered_at: time
  net_revenue: paid
  channel: {from: where, values: {site: web, shop: store}}
  status: {value: paid}
"""


@benchmark(
    "import_1m",
    peer="pandas.read_csv(dtype=str) and to_parquet",
    note="1 million orders as CSV; ours also casts, judges every cell, checks keys and reconciles",
)
def import_1m() -> Sides:
    scratch = tempfile.TemporaryDirectory(prefix="crm-lab-bench-")
    folder = Path(scratch.name)
    source, declared = folder / "orders.csv", folder / "orders.yml"
    declared.write_text(MAP, "utf-8")
    duckdb.execute(f"""
        copy (
            select printf('O%08d', i) as "order",
                   printf('C%06d', hash(i) % {CUSTOMERS}) as customer,
                   strftime(timestamp '2025-01-01' + to_seconds(cast(i * 31 as bigint)),
                            '%Y-%m-%d %H:%M:%S') as "time",
                   printf('%.2f', 1 + hash(i, 2) % 20000 / 100.0) as paid,
                   case when i % 3 = 0 then 'shop' else 'site' end as "where"
            from range({ROWS}) as r(i)
        ) to '{source}' (format csv, header)
    """)
    runs = itertools.count()

    def ours() -> ImportReport:
        # a gateway of its own each time: the same content is not loaded twice
        target = Path(scratch.name) / f"gateway-{next(runs)}"
        return Gateway(target, currency="EUR").import_file(load_map(declared), source)

    def peer() -> pd.DataFrame:
        frame = pd.read_csv(source, dtype=str)
        frame.to_parquet(Path(scratch.name) / f"peer-{next(runs)}.parquet")
        return frame

    return Sides(ours=ours, peer=peer, check=check_totals)


def check_totals(ours: ImportReport, peer: pd.DataFrame) -> None:
    """Compare rows and money, to the cent."""
    assert ours.rows_loaded == len(peer), "the rows differ"
    assert ours.amount_loaded == sum(map(Decimal, peer["paid"])), "the money differs"
