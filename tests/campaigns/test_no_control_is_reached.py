"""The promise of the workbench, searched for a counterexample over random bases and campaigns.

No marketing send list holds a control customer's id or address, in whatever letter case, nor
reaches his household; everybody assigned is in exactly one arm; no assignment ever changes.
"""

from __future__ import annotations

import dataclasses
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st

from crm_lab.campaigns.send_lists import as_written
from crm_lab.errors import LedgerError
from crm_lab.simulation.shops import Shares, Shop, make_shop
from crm_lab.workbench import Workbench, open_workbench
from tests.experiments import shop_workbench as sw

NEVER_BUYS = 1e-12
DRAWN_AT = datetime(2024, 3, 1)

often = st.sampled_from([0.0, 0.1, 0.3])
some_shares = st.builds(
    Shares,
    no_address=often,
    bounced=often,
    no_consent=often,
    withdrawn=often,
    suppressed=often,
    shared_address=st.sampled_from([0.1, 0.5]),
    shared_household=often,
)
some_arms = st.sampled_from([{"a": 1.0}, {"a": 0.5, "b": 0.5}, {"a": 0.2, "b": 0.3, "c": 0.1}])


def some_people(
    seed: int, size: int, shares: Shares, prefix: str, starts_at: datetime, known: Shop | None
) -> Shop:
    """Customers, of whom some use an address or a home of the people before them."""
    rng = np.random.default_rng(seed)
    made = make_shop(
        size,
        rng=rng,
        starts_at=starts_at,
        days=10,
        joining_days=5,
        orders_per_customer_day=NEVER_BUYS,
        shares=shares,
        id_prefix=prefix,
    )
    if known is None or known.contact_points.empty:
        return made
    points, customers = made.contact_points.copy(), made.customers.copy()
    taken = rng.random(len(points)) < 0.3
    points.loc[taken, "address"] = rng.choice(
        known.contact_points["address"].to_numpy(), int(taken.sum())
    )
    points.loc[taken, "address"] = points.loc[taken, "address"].str.swapcase()
    homes = known.customers["household_id"].dropna().to_numpy()
    if len(homes):
        moved = rng.random(len(customers)) < 0.3
        customers.loc[moved, "household_id"] = rng.choice(homes, int(moved.sum()))
    return dataclasses.replace(made, customers=customers, contact_points=points)


class Company:
    """One workbench and everything that is known of its customers outside of it."""

    def __init__(self, folder: Path, *, share: float, salt: str) -> None:
        self.workbench: Workbench = open_workbench(
            sw.write_settings(folder, share=share, salt=salt)
        )
        self.points: list[pd.DataFrame] = []
        self.customers: list[pd.DataFrame] = []
        self.before: dict[tuple[str, str], str] = {}

    def gains(self, people: Shop, name: str) -> None:
        sw.load(self.workbench, people, name=name)
        self.points.append(people.contact_points)
        self.customers.append(people.customers)

    def protected(self) -> tuple[set[str], set[str], set[str]]:
        controls = sw.people(self.workbench, "epoch:", "control")
        points = pd.concat(self.points)
        homes = pd.concat(self.customers).set_index("customer_id")["household_id"].dropna()
        addresses = points.loc[points["customer_id"].isin(controls), "address"]
        return controls, set(addresses.str.lower()), set(homes[homes.index.isin(controls)])

    def home_of(self) -> dict[str, str]:
        homes = pd.concat(self.customers).set_index("customer_id")["household_id"].dropna()
        return dict(homes)

    def check_assignments(self) -> None:
        with self.workbench.gateway.reader() as reader:
            frame = reader.frame("select scope, customer_id, variant from assignment")
        assert not frame.duplicated(["scope", "customer_id"]).any()
        assert frame["variant"].notna().all()
        now = sw.assignment(self.workbench)
        assert {key: now.get(key) for key in self.before} == self.before
        self.before = now

    def campaign(self, name: str, arms: dict[str, float], at: datetime) -> None:
        sw.write_experiment(self.workbench.settings.folder, name, shares=arms)
        experiment = self.workbench.experiment(name)
        try:
            experiment.assign(as_of=at)
        except LedgerError as refused:
            assert "nobody is in the audience" in str(refused)  # noqa: PT017
            event("nobody in the audience")
            return
        self.check_assignments()
        exported = experiment.export(as_of=at)
        controls, addresses, homes = self.protected()
        home_of = self.home_of()
        seen: set[str] = set()
        for arm, path in exported.files.items():
            rows = pd.read_csv(path, dtype=str, keep_default_na=False)
            ids = set(rows["customer_id"].map(as_written))
            assert set(rows["variant"]) <= {arm}
            assert not ids & seen
            assert ids <= sw.people(self.workbench, f"experiment:{name}", arm)
            assert not ids & controls
            assert not set(rows["address"].map(as_written).str.lower()) & addresses
            assert not {home_of.get(who) for who in ids} & homes
            seen |= ids
        event(f"list of {min(len(seen) // 10 * 10, 50)} or more")


def search(found: dict[str, Any]) -> None:
    """Run two campaigns of one company, with newcomers in between, and check every promise."""
    seed, sizes, shares, arms = (found[name] for name in ("seed", "sizes", "shares", "arms"))
    with tempfile.TemporaryDirectory() as folder:
        company = Company(Path(folder), share=found["control_share"], salt=found["salt"])
        first = some_people(seed, sizes[0], shares, "c", datetime(2024, 1, 1), None)
        company.gains(first, "")
        try:
            company.workbench.control_group().draw(as_of=DRAWN_AT)
        except LedgerError as refused:
            assert "nobody may be contacted" in str(refused)  # noqa: PT017
            event("nobody to hold out")
            return
        company.check_assignments()
        second = some_people(seed + 1, sizes[1], shares, "n", DRAWN_AT, first)
        company.gains(second, "_second")
        company.campaign("first", arms[0], DRAWN_AT + timedelta(days=20))
        third = some_people(seed + 2, sizes[2], shares, "m", DRAWN_AT + timedelta(days=21), first)
        company.gains(third, "_third")
        company.workbench.control_group().draw(as_of=DRAWN_AT + timedelta(days=40))
        company.check_assignments()
        company.campaign("second", arms[1], DRAWN_AT + timedelta(days=41))
        company.check_assignments()
        assert company.workbench.gateway.verify() == []


companies = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "sizes": st.tuples(st.integers(20, 60), st.integers(1, 30), st.integers(1, 20)),
        "shares": some_shares,
        "control_share": st.sampled_from([0.05, 0.2, 0.5]),
        "salt": st.sampled_from(["2024", "соль", "it's"]),
        "arms": st.tuples(some_arms, some_arms),
    }
)
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""No shrinking: an example takes seconds, and a failing one says enough."""


@settings(max_examples=4, phases=PHASES)
@given(found=companies)
def test_no_list_reaches_a_control_and_no_assignment_changes(found: dict[str, Any]) -> None:
    search(found)


@pytest.mark.slow
@settings(max_examples=150, phases=PHASES, derandomize=False)
@given(found=companies)
def test_a_longer_search_finds_no_list_that_reaches_a_control(found: dict[str, Any]) -> None:
    search(found)
