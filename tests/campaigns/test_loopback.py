"""The loopback service: what it plants is known to the cent, and only what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crm_lab.campaigns.loopback import (
    PLANTED_FILE,
    PlantedCheck,
    _read_list,
    read_planted,
    run_loopback,
)
from crm_lab.errors import DesignError, FileError, LedgerError
from crm_lab.simulation.shops import Shop
from crm_lab.workbench import Workbench
from tests.experiments import shop_workbench as sw

WorkbenchAt = Callable[[str], Workbench]
EFFECTS = {"strong": 0.5}


def window_orders(shop: Shop) -> pd.DataFrame:
    """The real orders of the window: what the shop would have sold without any campaign."""
    orders = shop.orders[~shop.orders["is_planted"]]
    inside = (orders["ordered_at"] >= sw.STARTS_AT) & (orders["ordered_at"] < sw.ENDS_AT)
    return orders.loc[inside].drop(columns="is_planted")


def results_of(workbench: Workbench, shop: Shop, *, seed: int = 1, name: str = "back") -> Path:
    folder = workbench.settings.folder / name
    workbench.experiment(sw.NAME).loopback(
        window_orders(shop), effects=EFFECTS, folder=folder, seed=seed
    )
    return folder


def planted_rows(folder: Path) -> pd.DataFrame:
    orders = pd.read_csv(folder / "orders.csv", dtype=str)
    rows = orders[orders["order_id"].str.startswith("planted-")].copy()
    rows["cents"] = (rows["total"].astype(float) * 100).round().astype(int)
    rows["ordered_at"] = pd.to_datetime(rows["ordered_at"])
    return rows


def recipients(workbench: Workbench, arm: str) -> pd.DataFrame:
    (path,) = workbench.settings.lists_folder.rglob(f"*_{arm}.csv")
    return pd.read_csv(path, dtype=str)


def test_planted_money_is_that_of_the_planted_orders_and_lies_in_the_window(
    workbench_at: WorkbenchAt, shop: Shop
) -> None:
    workbench = workbench_at("exported")
    folder = results_of(workbench, shop)
    by_arm = {item.arm: item for item in read_planted(folder) or []}
    rows = planted_rows(folder)
    strong = by_arm["strong"]
    assert round(strong.revenue * 100) == rows["cents"].sum()
    assert strong.orders == len(rows) > 0
    assert (by_arm["weak"].orders, by_arm["weak"].revenue, by_arm["weak"].effect) == (0, 0, 0)
    assert rows["ordered_at"].between(sw.STARTS_AT, sw.ENDS_AT, inclusive="left").all()
    listed = recipients(workbench, "strong")
    assert set(rows["customer_id"]) <= set(listed["customer_id"])
    assert strong.recipients == len(listed)
    till = window_orders(shop)
    spent = till.loc[till["customer_id"].isin(listed["customer_id"]), "amount_cents"].sum() / 100
    assert strong.revenue == pytest.approx(EFFECTS["strong"] * spent, rel=0.1)


def test_real_orders_come_back_as_they_were(workbench_at: WorkbenchAt, shop: Shop) -> None:
    folder = results_of(workbench_at("exported"), shop)
    orders = pd.read_csv(folder / "orders.csv", dtype=str)
    real = orders[~orders["order_id"].str.startswith("planted-")].set_index("order_id")
    till = window_orders(shop).set_index("order_id")
    assert sorted(real.index) == sorted(till.index)
    cents = (real["total"].astype(float) * 100).round().astype("int64")
    pd.testing.assert_series_equal(
        cents.sort_index(),
        till["amount_cents"].sort_index(),
        check_names=False,
        check_index_type=False,
    )
    times = pd.to_datetime(real["ordered_at"]).sort_index()
    assert (times.to_numpy() == till["ordered_at"].sort_index().to_numpy()).all()


def test_deliveries_are_of_messages_that_were_sent(workbench_at: WorkbenchAt, shop: Shop) -> None:
    workbench = workbench_at("exported")
    events = pd.read_csv(results_of(workbench, shop) / "deliveries.csv", dtype=str)
    sends = pd.concat([recipients(workbench, arm) for arm in sw.SHARES])
    assert set(events["send_id"]) == set(sends["send_id"])
    assert events["event_id"].is_unique
    kinds = events.groupby("type")["send_id"].agg(set)
    assert kinds["click"] <= kinds["open"] <= kinds["delivered"]
    assert not kinds["bounce_soft"] & kinds["delivered"]
    assert len(kinds["delivered"]) / len(sends) == pytest.approx(0.97, abs=0.02)


def test_the_same_seed_gives_the_same_files_and_another_seed_others(
    workbench_at: WorkbenchAt, shop: Shop
) -> None:
    workbench = workbench_at("exported")
    folders = [
        results_of(workbench, shop, seed=seed, name=name)
        for seed, name in ((1, "one"), (1, "again"), (2, "other"))
    ]
    contents = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders]
    assert set(contents[0]) == {"deliveries.csv", "orders.csv", PLANTED_FILE}
    assert contents[0] == contents[1]
    assert contents[0]["orders.csv"] != contents[2]["orders.csv"]
    assert contents[0]["deliveries.csv"] != contents[2]["deliveries.csv"]


def test_what_comes_back_is_loaded_and_the_planted_effect_found(
    workbench_at: WorkbenchAt, shop: Shop
) -> None:
    workbench = workbench_at("exported")
    folder = results_of(workbench, shop)
    experiment = workbench.experiment(sw.NAME)
    reports = experiment.ingest(folder)
    assert [report.table for report in reports] == ["orders", "delivery_event"]
    assert {report.rows_rejected for report in reports} == {0}
    result = experiment.analyze()
    check = experiment.planted_check(result, folder)
    assert check is not None
    assert check.is_recovered("strong")
    assert "which holds it" in check.sentence()
    assert "not real" in check.sentence()
    assert result.arm("strong").verdict == "ship"
    assert result.arm("weak").verdict == "cannot conclude"
    deliveries = result.deliveries.set_index("variant")
    assert deliveries.loc["strong", "sent"] == len(recipients(workbench, "strong"))
    assert (deliveries["delivered"] <= deliveries["sent"]).all()
    again = experiment.ingest(folder)
    assert {report.status for report in again} == {"already loaded"}


def test_an_unknown_file_stops_the_whole_folder(workbench_at: WorkbenchAt, shop: Shop) -> None:
    workbench = workbench_at("exported")
    folder = results_of(workbench, shop)
    (folder / "surprise.csv").write_text("a,b\n1,2\n", "utf-8")
    before = sw.state(workbench)
    experiment = workbench.experiment(sw.NAME)
    with pytest.raises(FileError, match="maps whose 'files' pattern fits: none"):
        experiment.ingest(folder)
    assert sw.state(workbench) == before
    assert len(workbench.gateway.imports()) == 5


@pytest.mark.parametrize("content", [None, []])
def test_a_results_folder_without_files_is_refused(
    workbench_at: WorkbenchAt, content: list[str] | None
) -> None:
    workbench = workbench_at("exported")
    folder = workbench.settings.folder / "nothing"
    if content is not None:
        folder.mkdir()
    experiment = workbench.experiment(sw.NAME)
    with pytest.raises(FileError, match=r"does not exist|no CSV or Parquet file"):
        experiment.ingest(folder)


def test_results_of_an_experiment_that_never_began_are_refused(
    workbench_at: WorkbenchAt, tmp_path: Path
) -> None:
    experiment = workbench_at("drawn").experiment(sw.NAME)
    with pytest.raises(LedgerError, match=r"never (assigned|registered)"):
        experiment.ingest(tmp_path)


SEND_LIST = pd.DataFrame(
    {
        "send_id": ["x/1/a", "x/1/=b"],
        "customer_id": ["a", "'=b"],
        "scheduled_at": ["2024-04-30 21:00:00"] * 2,
    }
)
TILL = pd.DataFrame(
    {
        "order_id": ["o1", "o2"],
        "customer_id": ["=b", "=b"],
        "store_id": "s",
        "ordered_at": pd.to_datetime(["2024-05-01 00:30:00", "2024-04-30 23:30:00"]),
        "amount_cents": [10_000, 77_700],
        "discount_cents": 0,
    }
)


def run(folder: Path, **changes: object) -> pd.DataFrame:
    path = folder / "list.csv"
    SEND_LIST.to_csv(path, index=False)
    options = {
        "effects": {"arm": 30.0},
        "ends_at": datetime(2024, 5, 1, 21),
        "folder": folder / "back",
        "rng": np.random.default_rng(3),
    }
    run_loopback({"arm": path}, TILL, **(options | changes))  # type: ignore[arg-type]
    return planted_rows(folder / "back")


def test_lists_with_and_without_an_offset_are_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    SEND_LIST.to_csv(path, index=False)
    before = _read_list(path)
    SEND_LIST.assign(scheduled_at="2024-05-01 00:00:00+03:00").to_csv(path, index=False)
    pd.testing.assert_frame_equal(_read_list(path), before)


def test_times_of_the_till_are_local_and_planted_ones_lie_in_the_window(tmp_path: Path) -> None:
    """A window of 1 May in Moscow; the order of 23:30 the day before does not count."""
    rows = run(tmp_path, timezone="Europe/Moscow")
    assert len(rows) == 30
    assert set(rows["cents"]) == {10_000}
    assert rows["ordered_at"].between("2024-05-01 00:00", "2024-05-01 23:59:59").all()
    back = pd.read_csv(tmp_path / "back" / "orders.csv")
    real = back[back["order_id"].isin(["o1", "o2"])].set_index("order_id")["ordered_at"]
    assert real.to_dict() == {"o1": "2024-05-01 00:30:00", "o2": "2024-04-30 23:30:00"}


def test_an_inert_id_of_a_list_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = run(tmp_path, timezone="Europe/Moscow")
    assert set(rows["customer_id"]) == {"a", "=b"}


def test_planted_orders_are_named_after_their_campaign(tmp_path: Path) -> None:
    rows = run(tmp_path, timezone="Europe/Moscow")
    assert rows["order_id"].str.startswith("planted-x-arm-").all()


@pytest.mark.parametrize(
    ("effects", "message"),
    [
        ({"typo": 0.4}, "an effect for typo, which has no send list.*one of arm"),
        ({"arm": -0.1}, "an effect of -0.1 for arm"),
        ({"arm": float("nan")}, "an effect of nan for arm"),
    ],
)
def test_an_effect_that_cannot_be_planted_is_refused(
    tmp_path: Path, effects: dict[str, float], message: str
) -> None:
    with pytest.raises(DesignError, match=message):
        run(tmp_path, effects=effects)
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "the send list does not exist"),
        ("send_id,customer_id\nx/1/a,a\n", "lacks scheduled_at"),
        ("send_id,customer_id,scheduled_at\nx/1/a,a,soon\n", "a time cannot be read"),
    ],
)
def test_a_wrong_send_list_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "list.csv"
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(FileError, match=message):
        run_loopback(
            {"arm": path},
            TILL,
            effects={},
            ends_at=datetime(2024, 5, 1),
            folder=tmp_path / "back",
            rng=np.random.default_rng(1),
        )


def test_a_list_after_the_window_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="scheduled after the end of the window"):
        run(tmp_path, ends_at=datetime(2024, 4, 30, 21) + timedelta(seconds=30))


def test_a_folder_without_a_planted_file_was_no_loopback_run(tmp_path: Path) -> None:
    assert read_planted(tmp_path) is None


@pytest.mark.parametrize("text", ["{", '[{"arm": "a"}]', "[1]"])
def test_a_broken_planted_file_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / PLANTED_FILE).write_text(text, "utf-8")
    with pytest.raises(FileError, match="not what a loopback run writes"):
        read_planted(tmp_path)


def test_a_missed_effect_is_said_to_be_missed(tmp_path: Path) -> None:
    (tmp_path / PLANTED_FILE).write_text(
        json.dumps([{"arm": "a", "effect": 1.0, "recipients": 9, "orders": 3, "revenue": 100.0}])
    )
    (item,) = read_planted(tmp_path) or []
    check = PlantedCheck(rows=((item, 1.0, -5.0, 9.0),), customers={"a": 10}, currency="EUR")
    assert check.truth(item) == 10
    assert not check.is_recovered("a")
    assert "which misses it" in check.sentence()
    assert not check.to_frame()["interval holds it"].any()
