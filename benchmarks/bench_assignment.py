"""The draw of a control group over a large base."""

from __future__ import annotations

import hashlib

import duckdb
import numpy as np
import pandas as pd

from benchmarks.harness import Sides, benchmark
from crm_lab.experiments.assignment import arm_expression
from crm_lab.gateway.operations import bucket_expression

CUSTOMERS = 1_000_000
SALT = "2026-autumn"
SHARES = {"control": 0.05, "treatment": 0.95}


@benchmark(
    "assignment_1m",
    peer="a Python loop over hashlib",
    note="1 million customers, 5 % control; both give customer_id, variant, bucket",
)
def assignment_1m() -> Sides:
    engine = duckdb.connect(config={"threads": 2})
    engine.execute(
        "create table people as"
        f" select printf('C%07d', i) as customer_id from range({CUSTOMERS}) as r(i)"
    )
    customers = engine.execute("select customer_id from people").df()["customer_id"].tolist()
    draw = f"""
        select customer_id, {arm_expression("bucket", SHARES)} as variant, bucket
        from (select customer_id, {bucket_expression(SALT, "customer_id")} as bucket from people)
    """

    def ours() -> pd.DataFrame:
        return engine.execute(draw).df()

    def peer() -> pd.DataFrame:
        end = round(SHARES["control"] * 10_000)
        rows = []
        for customer in customers:
            digest = hashlib.sha256(f"{SALT}:{customer}".encode()).hexdigest()
            bucket = int(digest[:8], 16) * 10_000 // 2**32
            rows.append((customer, "control" if bucket < end else "treatment", bucket))
        return pd.DataFrame(rows, columns=["customer_id", "variant", "bucket"])

    return Sides(ours=ours, peer=peer, check=check_rows)


def check_rows(ours: pd.DataFrame, peer: pd.DataFrame) -> None:
    """Compare every customer's variant and bucket."""
    for column in ("customer_id", "variant", "bucket"):
        assert len(ours) == len(peer), "the number of rows differs"
        np.testing.assert_array_equal(
            ours[column].to_numpy(), peer[column].to_numpy(), err_msg=column
        )
