"""A shop with three kinds of customers whom a gift card treats differently, through real imports.

Regulars buy anyway; sleepers buy much more when they are contacted; the tired buy less. Nobody's
kind is written down: it shows in what they bought before, and mostly in the region they live in.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd

from crm_lab.experiments.assignment import arm_of, bucket_of
from crm_lab.simulation.shops import Shop, make_shop, till_file, write_shop
from crm_lab.workbench import Workbench, open_workbench

NAME = "gift-card"
CONTROL_SHARE = 0.4
SALT = "targeting"
DRAWN_AT = datetime(2024, 4, 15)
ASSIGNED_AT = datetime(2024, 4, 30)
STARTS_AT = datetime(2024, 5, 1)
DAYS = 170
COST, MARGIN = 100.0, 0.3
SHARES = {"card": 0.6, "letter": 0.4}
KINDS = {"regular": (800, 1 / 20), "sleeper": (800, 1 / 60), "tired": (200, 1 / 30)}
"""Customers and orders per customer and day."""
REGIONS = {"regular": "north", "sleeper": "south", "tired": "west"}
STRAY = 0.1
"""Share of customers who live in any region."""
LIFTS = {
    "card": {"regular": 0.0, "sleeper": 2.5, "tired": -0.4},
    "letter": {"regular": 0.0, "sleeper": 0.5, "tired": 0.0},
}
EXPERIMENT = f"""\
name: {NAME}
title: "A gift card by post"
hypothesis: "A gift card wakes those who have stopped buying."
owner: CRM team
starts_on: 2024-05-01
ends_on: 2024-05-28
arms:
  card: {{share: {SHARES["card"]}, message: card-1}}
  letter: {{share: {SHARES["letter"]}, message: letter-1}}
metrics: {{primary: revenue_per_customer, secondary: [conversion]}}
costs: {{per_message: {COST}, margin_share: {MARGIN}}}
"""


def lift_of(customer_id: str) -> float:
    """The planted lift: none for controls, else by arm and kind."""
    if bucket_of(SALT, customer_id) < CONTROL_SHARE * 10_000:
        return 0.0
    arm = arm_of(bucket_of(f"experiment:{NAME}", customer_id), SHARES)
    return LIFTS[arm][customer_id.split("-")[0]]


@functools.cache
def the_shop(module: ModuleType, *, size: float = 1.0) -> Shop:
    shops = [
        make_shop(
            round(count * size),
            rng=np.random.default_rng(20240601 + number),
            days=DAYS,
            orders_per_customer_day=rate,
            shares=module.nobody_is_an_exception(),
            lift=lift_of,
            lift_from=STARTS_AT,
            id_prefix=f"{kind}-",
        )
        for number, (kind, (count, rate)) in enumerate(KINDS.items())
    ]
    frames = ("customers", "contact_points", "consents", "suppressions", "orders")
    joined = {
        name: pd.concat([getattr(shop, name) for shop in shops], ignore_index=True)
        for name in frames
    }
    return replace(shops[0], **joined)


def add_regions(map_path: Path, file: Path) -> None:
    """Write the region into the delivery of customers and into its map."""
    frame = pd.read_csv(file)
    rng = np.random.default_rng(7)
    home = frame["id"].str.split("-").str[0].map(REGIONS).to_numpy(dtype=object)
    stray = rng.random(len(frame)) < STRAY
    home[stray] = rng.choice(list(REGIONS.values()), int(stray.sum()))
    frame.assign(region=home).to_csv(file, index=False, lineterminator="\n")
    with map_path.open("a", encoding="utf-8") as text:
        text.write("  region_code: region\n")


def build(folder: Path, module: ModuleType, *, size: float = 1.0) -> Workbench:
    """Make the workbench: import, draw, assign, export, and import what was bought after."""
    module.write_settings(folder, share=CONTROL_SHARE, salt=SALT)
    (folder / "experiments" / f"{NAME}.yml").write_text(EXPERIMENT, "utf-8")
    shop = the_shop(module, size=size)
    workbench = open_workbench(folder)
    for map_path, file in write_shop(shop.until(STARTS_AT), folder):
        if file.stem == "customers":
            add_regions(map_path, file)
        assert workbench.import_file(map_path, file).rows_rejected == 0
    workbench.control_group().draw(as_of=DRAWN_AT)
    campaign = workbench.experiment(NAME)
    campaign.assign(as_of=ASSIGNED_AT)
    campaign.export(as_of=STARTS_AT)
    later = shop.orders[shop.orders["ordered_at"] >= STARTS_AT]
    file = folder / "incoming" / "orders_later.csv"
    till_file(later).to_csv(file, index=False)
    workbench.import_file(folder / "maps" / "orders.yml", file)
    return open_workbench(folder)
