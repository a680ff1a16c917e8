"""The order summary per customer, the input of every lifetime model."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.harness import Sides, benchmark
from crm_lab.gateway import operations
from crm_lab.gateway.reads import Reader
from crm_lab.gateway.schema import TABLES
from crm_lab.gateway.store import Store

ORDERS = 5_000_000
FILES = 5
CUSTOMERS = 500_000
FIRST_DAY = datetime(2024, 1, 1)
DAYS = 730
AS_OF = datetime(2025, 12, 31)
"""The first moment that is not observed: the day after the last day with orders."""

MONEY_TOLERANCE = 1e-6
"""The gateway adds decimals, pandas adds doubles: means differ in the last digits."""


def orders_of_file(number: int) -> str:
    """Write the rows of one file: made of hashes, so that they are the same everywhere.

    A customer's rank is the square of a uniform number, so few customers order often.
    """
    values = {name: f"cast(null as {kind})" for name, kind in TABLES["orders"].stored_columns}
    values |= {
        "order_id": "printf('O%08d', i)",
        "customer_id": "printf('C%07d', cast(floor(pow(hash(i) % 1000003 / 1000003.0, 2)"
        f" * {CUSTOMERS}) as integer))",
        "ordered_at": f"{operations.moment(FIRST_DAY)}"
        f" + to_seconds(cast(hash(i, 1) % {DAYS * 86_400} as bigint))",
        "status": "'paid'",
        "net_revenue": "cast(1 + (hash(i, 2) % 100000) / 100.0 as decimal(18, 2))",
        "import_batch_id": f"'batch {number}'",
    }
    rows = ORDERS // FILES
    listed = ", ".join(f"{value} as {name}" for name, value in values.items())
    return f"select {listed} from range({number * rows}, {(number + 1) * rows}) as r(i)"


@benchmark(
    "purchase_history_5m",
    peer="lifetimes.utils.summary_data_from_transaction_data",
    note="5 million orders of 500,000 customers, text ids; ours reads Parquet, the peer a frame",
)
def purchase_history_5m() -> Sides:
    from lifetimes.utils import summary_data_from_transaction_data

    scratch = tempfile.TemporaryDirectory(prefix="crm-lab-bench-")
    store = Store.create(Path(scratch.name))
    with store.engine() as engine:
        files = [store.write_file(engine, "orders", orders_of_file(n)) for n in range(FILES)]
    store.publish(add=files, remove=[], reason="benchmark")
    with Reader(store) as reader:
        log = reader.frame(
            "select customer_id, ordered_at, cast(net_revenue as double) as amount from orders"
        )
    last_day = pd.Timestamp(AS_OF) - pd.Timedelta(days=1)

    def ours() -> pd.DataFrame:
        assert scratch.name  # the folder lives as long as this function
        with Reader(store) as reader:
            found = reader.frame(operations.purchase_summary(AS_OF, zone="UTC"))
        first, last = pd.to_datetime(found["first_day"]), pd.to_datetime(found["last_day"])
        return pd.DataFrame(
            {
                "frequency": found["frequency"].astype(float),
                "recency": (last - first).dt.days.astype(float),
                "T": (last_day - first).dt.days.astype(float),
                "monetary_value": found["monetary_value"].fillna(0.0),
            }
        ).set_axis(pd.Index(found["customer_id"]), axis="index")

    def peer() -> pd.DataFrame:
        return summary_data_from_transaction_data(
            log, "customer_id", "ordered_at", "amount", observation_period_end=last_day
        )

    return Sides(ours=ours, peer=peer, check=check_summaries)


def check_summaries(ours: pd.DataFrame, peer: pd.DataFrame) -> None:
    """Compare customer by customer: counts and days exactly, money within the tolerance."""
    peer = peer.sort_index()
    assert ours.index.tolist() == peer.index.tolist(), "the customers differ"
    for column in ("frequency", "recency", "T"):
        np.testing.assert_array_equal(ours[column], peer[column], err_msg=column)
    np.testing.assert_allclose(
        ours["monetary_value"], peer["monetary_value"], rtol=0, atol=MONEY_TOLERANCE
    )
