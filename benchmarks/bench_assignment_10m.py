"""The first draw of a control group over ten million customers."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from datetime import datetime
from pathlib import Path

from benchmarks.harness import Sides, benchmark
from crm_lab.experiments.draws import NEWCOMER, single_newcomers
from crm_lab.experiments.epochs import Epoch
from crm_lab.gateway import Reader
from crm_lab.gateway.operations import bucket_expression
from crm_lab.gateway.store import Store

CUSTOMERS = 10_000_000
AS_OF = datetime(2026, 9, 1)
EPOCH = Epoch(
    epoch_id="global-1",
    name="global",
    share=0.05,
    salt="2026-autumn",
    channel="email",
    unit="customer",
    strata=(),
    opened_at=AS_OF,
    planned_horizon_days=90,
    exempt_classes=(),
)


@benchmark(
    "assignment_10m",
    peer="bare SQL: customer_id and bucket, nothing else",
    note="10 million eligible customers into rows of the assignment table (scope, customer_id,"
    " unit_id, variant, bucket, stratum, rule, assigned_at); who is eligible is judged before,"
    " the Parquet file is written after",
)
def assignment_10m() -> Sides:
    folder = Path(tempfile.mkdtemp(prefix="crm-lab-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    reader = Reader(Store.create(folder))
    reader.temporary(
        "judged",
        "select printf('C%08d', i) as customer_id, true as eligible"
        f" from range({CUSTOMERS}) as r(i)",
    )

    def ours() -> tuple[int, ...]:
        single_newcomers(reader, EPOCH, AS_OF, has_members=False)
        return totals(
            reader,
            f"select count(*), sum(bucket), count(*) filter (where variant = 'control')"
            f" from {NEWCOMER}",
        )

    def peer() -> tuple[int, ...]:
        bucket = bucket_expression(EPOCH.salt, "customer_id")
        reader.temporary("hashed", f"select customer_id, {bucket} as bucket from judged")
        return totals(
            reader,
            "select count(*), sum(bucket), count(*) filter (where bucket < 500) from hashed",
        )

    return Sides(ours=ours, peer=peer, check=check_totals)


def totals(reader: Reader, query: str) -> tuple[int, ...]:
    row = reader.engine.execute(query).fetchone()
    assert row is not None
    return tuple(int(value) for value in row)


def check_totals(ours: tuple[int, ...], peer: tuple[int, ...]) -> None:
    """Compare customers, the sum of all buckets, and controls."""
    assert ours == peer, f"{ours} against {peer}"
    assert ours[0] == CUSTOMERS
