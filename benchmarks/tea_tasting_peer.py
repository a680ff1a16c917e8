"""The peer of readout_10m_tea_tasting; runs in tea-tasting's own environment."""

import json
import sys

import ibis
import tea_tasting

START, END, BEFORE = "2026-05-01", "2026-05-29", "2026-04-03"


def people(folder: str) -> ibis.Table:
    """One row per assigned customer, as an expression that DuckDB evaluates."""
    engine = ibis.duckdb.connect(threads=2)
    orders = engine.read_parquet(f"{folder}/orders.parquet")
    assigned = engine.read_parquet(f"{folder}/assignment.parquet")
    orders = orders.filter(
        orders.ordered_at >= ibis.timestamp(BEFORE),
        orders.ordered_at < ibis.timestamp(END),
        orders.customer_id.notnull(),
        orders.status != "cancelled",
    )
    inside = orders.ordered_at >= ibis.timestamp(START)
    amount = orders.net_revenue.cast("float64")
    sums = orders.group_by("customer_id").agg(
        revenue=inside.ifelse(amount, 0.0).sum(),
        orders=inside.cast("int64").sum(),
        before=inside.ifelse(0.0, amount).sum(),
    )
    joined = assigned.left_join(sums, "customer_id")
    return joined.select(
        variant=(joined.variant == "mail").cast("int64"),
        revenue=joined.revenue.fill_null(0.0),
        orders=joined.orders.fill_null(0),
        bought=(joined.orders.fill_null(0) > 0).cast("int64"),
        before=joined.before.fill_null(0.0),
    )


def main(folder: str) -> None:
    """Analyse and print the relative effects."""
    experiment = tea_tasting.Experiment(
        revenue_per_customer=tea_tasting.Mean("revenue", covariate="before"),
        conversion=tea_tasting.Mean("bought"),
        average_order_value=tea_tasting.RatioOfMeans("revenue", "orders"),
    )
    result = experiment.analyze(people(folder))
    print(json.dumps({name: found.rel_effect_size for name, found in result.items()}))


if __name__ == "__main__":
    main(sys.argv[1])
