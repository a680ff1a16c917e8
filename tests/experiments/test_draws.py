"""Draws of the control group: clusters, strata, rerandomisation, uploads, epochs, kills."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crm_lab.errors import LedgerError
from crm_lab.experiments import control_group, draws
from crm_lab.experiments.assignment import bucket_of
from crm_lab.experiments.control_group_spec import ControlGroupSpec
from crm_lab.experiments.epochs import Epoch, epochs
from crm_lab.experiments.rotation import independence
from crm_lab.simulation.shops import Shop, make_shop
from crm_lab.workbench import Workbench
from tests.experiments import shop_workbench as sw

ALMOST_NEVER = 1e-4
LATER = sw.DRAWN_AT + timedelta(days=10)

WorkbenchAt = Callable[[str], Workbench]
MakeWorkbench = Callable[..., Workbench]
MakeShop = Callable[..., Shop]


def spec(**changes: Any) -> ControlGroupSpec:
    return ControlGroupSpec(**({"salt": "2024", "share": 0.2} | changes))


def draw(workbench: Workbench, as_of: datetime = sw.DRAWN_AT, **changes: Any) -> Epoch:
    options = {key: changes.pop(key) for key in ("new_epoch", "uploaded") if key in changes}
    return control_group.draw(workbench.gateway, spec(**changes), as_of=as_of, **options).epoch


def rows(workbench: Workbench, table: str = "assignment") -> pd.DataFrame:
    with workbench.gateway.reader() as reader:
        return reader.frame(f"select * from {table} order by customer_id")


def with_contacts(shop: Shop, *shared: tuple[str, str, str]) -> Shop:
    """Give contacts (channel or "household", text, position of the customer) to a shop."""
    points, customers = [shop.contact_points], shop.customers.copy()
    for channel, text, who in shared:
        if channel == "household":
            customers.loc[customers["customer_id"] == who, "household_id"] = text
            continue
        points.append(
            pd.DataFrame(
                {
                    "contact_point_id": [f"{channel}-{text}-{who}"],
                    "customer_id": [who],
                    "channel": [channel],
                    "address": [text],
                    "status": ["valid"],
                }
            )
        )
    return dataclasses.replace(
        shop, customers=customers, contact_points=pd.concat(points, ignore_index=True)
    )


def test_whoever_shares_a_contact_shares_the_arm(
    make_workbench: MakeWorkbench, small_shop: MakeShop
) -> None:
    a, b, c, d, e, f, g = (f"c{number:06d}" for number in range(1, 8))
    shop = with_contacts(
        small_shop(40),
        ("email", "Same@Shop.example", a),
        ("email", "same@shop.EXAMPLE", b),
        ("sms", "+49123", b),
        ("sms", "+49123", c),  # a - b - c: a chain
        ("household", "home-1", d),
        ("household", "home-1", e),
    )
    workbench = make_workbench(shop)
    draw(workbench, unit="cluster", share=0.5)
    found = rows(workbench).set_index("customer_id")
    assert set(found.loc[[a, b, c], "unit_id"]) == {a}
    assert set(found.loc[[d, e], "unit_id"]) == {d}
    assert found.loc[[f, g], "unit_id"].tolist() == [f, g]
    assert found.groupby("unit_id")["variant"].nunique().max() == 1
    for who, row in found.iterrows():
        arm = "control" if bucket_of("2024", row["unit_id"]) < 5_000 else "treatment"
        assert row["variant"] == arm, who


def test_the_share_of_units_is_within_binomial_limits(
    make_workbench: MakeWorkbench, small_shop: MakeShop
) -> None:
    shares = dataclasses.replace(
        sw.nobody_is_an_exception(), shared_address=0.3, shared_household=0.2
    )
    workbench = make_workbench(small_shop(800, shares=shares))
    draw(workbench, unit="cluster")
    units = rows(workbench).groupby("unit_id")["variant"].agg(["first", "nunique", "size"])
    assert units["nunique"].max() == 1
    assert units["size"].max() > 2
    held = int((units["first"] == "control").sum())
    assert stats.binomtest(held, len(units), 0.2).pvalue > ALMOST_NEVER


def test_newcomers_of_a_cluster_inherit_and_of_two_arms_the_control_wins(
    make_workbench: MakeWorkbench, small_shop: MakeShop
) -> None:
    workbench = make_workbench(small_shop(60))
    draw(workbench, unit="cluster", share=0.5)
    before = rows(workbench).set_index("customer_id")["variant"]
    held = before.index[before == "control"][:2]
    open_to = before.index[before == "treatment"][:2]
    late = make_shop(
        4,
        rng=np.random.default_rng(2),
        starts_at=sw.DRAWN_AT + timedelta(days=1),
        days=3,
        joining_days=1,
        shares=sw.nobody_is_an_exception(),
        id_prefix="late",
    )
    new = late.customers["customer_id"].tolist()
    late = with_contacts(
        late,
        ("email", f"{held[0]}@EXAMPLE.org", new[0]),
        ("email", f"{open_to[0]}@EXAMPLE.org", new[1]),
        ("email", f"{held[1]}@EXAMPLE.org", new[2]),
        ("email", f"{open_to[1]}@EXAMPLE.org", new[2]),
    )
    sw.load(workbench, late, name="_late")
    draw(workbench, LATER, unit="cluster", share=0.5)
    after = rows(workbench).set_index("customer_id")
    assert after.loc[new[:3], "variant"].tolist() == ["control", "treatment", "control"]
    assert set(after.loc[new[:3], "rule"]) == {"inherited"}
    assert after.loc[new[3], "rule"] == "hash"
    assert after.loc[before.index, "variant"].equals(before)


def test_the_short_way_gives_the_rows_of_the_general_way(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("loaded")
    epoch = control_group.next_epoch(workbench.gateway, spec(), as_of=sw.DRAWN_AT)
    with workbench.gateway.reader() as reader:
        draws.prepare_newcomers(reader, epoch, sw.DRAWN_AT)
        short = reader.frame(f"select * from {draws.NEWCOMER} order by customer_id")
        reader.temporary(
            "joining",
            "select customer_id, customer_id as unit_id from judged where eligible",
        )
        draws._by_hash(reader, epoch)
        draws._newcomers_of_units(reader, epoch, sw.DRAWN_AT)
        general = reader.frame(f"select * from {draws.NEWCOMER} order by customer_id")
    assert len(short) > 1_000
    pd.testing.assert_frame_equal(short, general)


@pytest.mark.parametrize("strata", [("value_decile",), ("rfm",), ("region",)])
def test_each_stratum_holds_its_share_to_the_unit(
    workbench_at: WorkbenchAt, tmp_path: Path, strata: tuple[Any, ...]
) -> None:
    workbench = workbench_at("loaded")
    if strata == ("region",):
        add_regions(workbench, tmp_path)
    epoch = draw(workbench, strata=strata)
    assert epoch.draw == "stratum"
    found = rows(workbench)
    held = found.assign(held=found["variant"] == "control").groupby("stratum")["held"]
    counts = held.agg(["sum", "size"])
    assert len(counts) == {"value_decile": 10, "rfm": 27, "region": 3}[strata[0]] or (
        strata == ("rfm",) and 10 < len(counts) <= 27
    )
    assert (np.abs(counts["sum"] - 0.2 * counts["size"]) < 1).all()
    with workbench.gateway.reader() as reader:
        draws.prepare_newcomers(
            reader, dataclasses.replace(epoch, epoch_id="global-9"), sw.DRAWN_AT
        )
        again = reader.frame(f"select customer_id, variant from {draws.NEWCOMER} order by 1")
    pd.testing.assert_frame_equal(again, found[["customer_id", "variant"]])


def add_regions(workbench: Workbench, folder: Path) -> None:
    with workbench.gateway.reader() as reader:
        people = reader.frame("select customer_id as id, created_at as since from customer")
    people["region"] = [("north", "south", "")[int(who[1:]) % 3] for who in people["id"]]
    people["since"] = people["since"].dt.strftime("%Y-%m-%d %H:%M:%S")
    people.to_csv(folder / "regions.csv", index=False)
    (folder / "regions.yml").write_text(
        'table: customer\nsource_system: shop\nfiles: "regions*.csv"\ncolumns:\n'
        "  customer_id: id\n  created_at: since\n  region_code: region\n",
        "utf-8",
    )
    workbench.import_file(folder / "regions.yml", folder / "regions.csv")


def test_newcomers_of_a_stratified_epoch_fall_by_the_hash(
    make_workbench: MakeWorkbench, small_shop: MakeShop
) -> None:
    workbench = make_workbench(small_shop(200, joining_days=100))
    draw(workbench, datetime(2024, 3, 1), strata=("value_decile",))
    draw(workbench, sw.DRAWN_AT, strata=("value_decile",))
    found = rows(workbench)
    late = found[found["rule"] == "hash"]
    assert 20 < len(late) < 150
    assert late["stratum"].isna().all()
    for row in late.itertuples():
        assert (row.variant == "control") == (bucket_of("2024", str(row.customer_id)) < 2_000)


def test_rerandomising_keeps_the_bound_and_names_the_attempt(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("loaded")
    options = {"share": 0.05, "salt": "r-1", "rerandomise": {"limit": 0.02, "tries": 200}}
    status = control_group.draw(workbench.gateway, spec(**options), as_of=sw.DRAWN_AT)
    assert status.worst_balance <= 0.02
    assert status.epoch.attempts > 1
    (kept,) = epochs(workbench.gateway)
    assert kept.attempts == status.epoch.attempts
    salt = f"r-1#{kept.attempts}"
    for row in rows(workbench).head(200).itertuples():
        assert row.bucket == bucket_of(salt, str(row.customer_id))
    assert control_group.verify(workbench.gateway) == []


def test_a_bound_that_no_salt_keeps_is_refused(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("loaded")
    before = sw.state(workbench)
    with pytest.raises(LedgerError, match="none of 3 salts"):
        draw(workbench, rerandomise={"limit": 1e-9, "tries": 3})
    assert sw.state(workbench) == before


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["c000001", "c000001"], "come twice"),
        (["c000001", "nobody"], "unknown or may not be contacted \\(nobody\\)"),
        (["c000001", "c000002"], "may not be contacted \\(c000002\\)"),
    ],
)
def test_a_faulty_upload_is_refused(
    make_workbench: MakeWorkbench, small_shop: MakeShop, ids: list[str], message: str
) -> None:
    shop = small_shop(30)
    points = shop.contact_points.copy()
    points.loc[points["customer_id"] == "c000002", "status"] = "bounced"
    workbench = make_workbench(dataclasses.replace(shop, contact_points=points))
    before = sw.state(workbench)
    with pytest.raises(LedgerError, match=message):
        draw(workbench, uploaded=pd.Series(ids))
    assert sw.state(workbench) == before


def test_the_cluster_of_an_uploaded_control_is_control_together(
    make_workbench: MakeWorkbench, small_shop: MakeShop
) -> None:
    shop = with_contacts(
        small_shop(30), ("household", "h", "c000003"), ("household", "h", "c000004")
    )
    workbench = make_workbench(shop)
    epoch = draw(workbench, unit="cluster", uploaded=pd.Series(["c000001", "c000004"]))
    assert epoch.draw == "upload"
    found = rows(workbench)
    held = set(found.loc[found["variant"] == "control", "customer_id"])
    assert held == {"c000001", "c000003", "c000004"}
    assert set(found["rule"]) == {"upload"}
    assert control_group.verify(workbench.gateway) == []


def test_a_new_epoch_closes_the_old_one_which_stays_readable(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("drawn")
    old_rows = rows(workbench)
    with pytest.raises(LedgerError, match="the same customers would be drawn"):
        draw(workbench, LATER, new_epoch=True)
    with pytest.raises(LedgerError, match="would overlap"):
        draw(workbench, sw.DRAWN_AT - timedelta(days=1), new_epoch=True, salt="other")
    draw(workbench, LATER, new_epoch=True, salt="other", share=0.1)
    old, new = epochs(workbench.gateway)
    assert (old.closed_at, new.closed_at, new.opened_at) == (LATER, None, LATER)
    every = rows(workbench)
    kept = every[every["scope"] == old.scope].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, old_rows)
    ours = every.loc[every["scope"] == new.scope, "variant"].eq("control")
    assert stats.binomtest(int(ours.sum()), len(ours), 0.1).pvalue > ALMOST_NEVER
    assert control_group.verify(workbench.gateway) == []


def test_redraws_under_other_salts_are_independent(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("drawn")
    p_values = []
    for number in range(8):
        at = LATER + timedelta(days=number)
        draw(workbench, at, new_epoch=True, salt=f"salt-{number}")
        old, new = epochs(workbench.gateway)[-2:]
        p_values.append(independence(workbench.gateway, old, new).p_value)
    assert min(p_values) > ALMOST_NEVER
    assert stats.kstest(p_values, "uniform").pvalue > ALMOST_NEVER


def test_why_everybody_was_or_was_not_eligible_is_kept(workbench_at: WorkbenchAt) -> None:
    workbench = workbench_at("drawn")
    kept = rows(workbench, "eligibility").set_index("customer_id")["obstacle"]
    known = rows(workbench, "customer")
    assert set(kept.index) == set(known.loc[known["created_at"] <= sw.DRAWN_AT, "customer_id"])
    assert set(kept.index[kept.isna()]) == set(rows(workbench)["customer_id"])
    assert {"no address", "address does not work", "consent withdrawn", "suppressed"} <= set(
        kept.dropna()
    )


def test_verify_finds_a_member_who_is_not_where_the_salt_puts_him(
    workbench_at: WorkbenchAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes rows and ledger consistently is still found by the salt."""
    workbench = workbench_at("loaded")
    honest = draws.single_newcomers

    def dishonest(reader: Any, *arguments: Any, **options: Any) -> None:
        honest(reader, *arguments, **options)
        reader.engine.execute(
            f"update {draws.NEWCOMER} set variant = 'treatment' where customer_id ="
            f" (select min(customer_id) from {draws.NEWCOMER} where variant = 'control')"
        )

    monkeypatch.setattr(draws, "single_newcomers", dishonest)
    draw(workbench)
    assert workbench.gateway.verify() == []
    wrong = control_group.verify(workbench.gateway)
    assert wrong == ["1 members of global-1 are not where the salt puts them"]


NURSERY = """
import os, signal, sys, time
from datetime import datetime, timedelta
import numpy as np
from crm_lab.experiments import control_group
from crm_lab.experiments.control_group_spec import ControlGroupSpec
from crm_lab.workbench import open_workbench
first, rng = datetime.fromisoformat(sys.argv[2]), np.random.default_rng(int(sys.argv[3]))
longest = None
for number, _ in enumerate(sys.stdin):
    child = os.fork()  # a parent that never opened an engine has no threads that could be lost
    if child == 0:
        spec = ControlGroupSpec(salt=f"kill-{number}", share=0.2)
        control_group.draw(open_workbench(sys.argv[1]).gateway, spec, new_epoch=number > 0,
                           as_of=first + timedelta(hours=number))
        os._exit(0)
    begun = time.perf_counter()
    if longest is not None:
        time.sleep(rng.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    longest = longest or time.perf_counter() - begun
    print("killed" if os.WIFSIGNALED(status) else "ended", flush=True)
"""


def kill_draws(workbench: Workbench, kills: int, seed: int) -> None:
    """Kill draws of new epochs at moments of chance: each is there whole, or not at all."""
    command = [sys.executable, "-c", NURSERY, str(workbench.settings.folder)]
    command += [sw.DRAWN_AT.isoformat(), str(seed)]
    nothing_left = 0
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    ) as nursery:
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        for kill in range(kills + 1):
            before = sw.state(workbench)
            known = epochs(workbench.gateway)
            print("next", file=nursery.stdin, flush=True)
            answer = nursery.stdout.readline().strip()
            assert answer in ("killed", "ended")
            assert answer == "killed" or kill == 0 or len(epochs(workbench.gateway)) > len(known)
            found = epochs(workbench.gateway)
            if len(found) == len(known):
                assert sw.state(workbench) == before
                nothing_left += 1
                continue
            assert [epoch.closed_at is None for epoch in found] == [False] * len(known) + [True]
            assert control_group.verify(workbench.gateway) == []
            entries = workbench.gateway.entries(kind="members_drawn")
            assert len(entries) == len(found)
            members, judged = rows(workbench), rows(workbench, "eligibility")
            held = members["scope"].eq(found[-1].scope).sum()
            assert held == sum(entries[-1].payload["members"].values())
            eligible = judged[judged["scope"].eq(found[-1].scope) & judged["obstacle"].isna()]
            assert len(eligible) == held
        nursery.stdin.close()
    assert nothing_left
    assert control_group.verify(workbench.gateway) == []
    assert draw(workbench, LATER, new_epoch=True, salt="last").closed_at is None


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the kills need fork and SIGKILL")


@needs_fork
def test_a_killed_draw_is_all_or_nothing(workbench_at: WorkbenchAt) -> None:
    kill_draws(workbench_at("loaded"), 10, 1)


@needs_fork
@pytest.mark.slow
def test_fifty_killed_draws_are_all_or_nothing(workbench_at: WorkbenchAt) -> None:
    kill_draws(workbench_at("loaded"), 50, 2)
