"""What attribution claims beside what the control group shows, on a workbench with touches."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from crm_lab.crm_effect import curve_wording as wording
from crm_lab.crm_effect.attribution import Attribution, attribute
from crm_lab.crm_effect.curve_results import CurveResult
from crm_lab.errors import DesignError
from crm_lab.experiments.results import Money
from crm_lab.gateway import attribution as sql
from crm_lab.workbench import Workbench, open_workbench
from tests.experiments import shop_workbench as sw

CENT = 0.005
"""Sums of exact decimals that went through doubles: half a cent."""


@pytest.fixture(scope="module")
def curve() -> CurveResult:
    return sw.nine_weeks()


@pytest.fixture(scope="module")
def touched(finished: Workbench, tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """The shared shop with visits: every order of two in three customers had one before it."""
    folder = tmp_path_factory.mktemp("touched") / "shop"
    shutil.copytree(finished.settings.folder, folder)
    workbench = open_workbench(folder)
    with workbench.gateway.reader() as reader:
        orders = reader.frame(
            "select order_id, customer_id, ordered_at from orders"
            f" where ordered_at >= timestamp '{sw.DRAWN_AT}' order by order_id"
        )
    rng = np.random.default_rng(1)
    chosen = orders[rng.random(len(orders)) < 2 / 3]
    media = rng.choice(["email", "cpc", "direct"], len(chosen))
    before = (chosen["ordered_at"] - timedelta(hours=5)).dt.strftime("%Y-%m-%d %H:%M:%S")
    columns = (chosen["order_id"], chosen["customer_id"], before, media)
    rows = [",".join(values) for values in zip(*columns, strict=True)]
    (folder / "maps" / "visits.yml").write_text(
        "table: touchpoint\nsource_system: web\nfiles: 'visits*.csv'\ncolumns:\n"
        "  touchpoint_id: id\n  customer_id: who\n  at: at\n  utm_medium: medium\n",
        "utf-8",
    )
    file = folder / "incoming" / "visits.csv"
    file.write_text("\n".join(["id,who,at,medium", *rows]), "utf-8")
    assert workbench.import_file(folder / "maps" / "visits.yml", file).rows_rejected == 0
    return workbench


@pytest.fixture(scope="module")
def found(touched: Workbench, curve: CurveResult) -> Attribution:
    return touched.crm_effect().attribution(curve)


def test_channels_share_the_same_money_in_every_model(found: Attribution) -> None:
    totals = [found.channels[model].sum() for model in sql.MODELS]
    assert totals == pytest.approx([totals[0]] * len(totals), abs=CENT)
    assert 0 < totals[0] < found.company_revenue
    assert set(found.channels["channel"]) == {"email", "cpc", "direct"}
    crm = found.channels[found.channels["is_crm"]]
    assert crm["channel"].tolist() == ["email"]
    assert found.touches == found.channels["touches"].sum()


def test_the_crms_part_is_that_of_its_channels_and_customers(
    touched: Workbench, found: Attribution
) -> None:
    crm = found.channels[found.channels["is_crm"]]
    controls = sw.people(touched, "epoch:global-1", "control")
    assert controls
    for item in found.models:
        assert item.every == pytest.approx(crm[item.model].sum(), abs=CENT)
        assert 0 < item.same < item.every
    weeks = found.trend["company"]
    assert weeks.sum() == pytest.approx(found.company_revenue)
    last = (found.trend["last_touch"] * weeks).sum()
    assert last == pytest.approx(found.models[0].same)


def test_a_longer_look_back_never_touches_fewer_orders(
    touched: Workbench, curve: CurveResult, found: Attribution
) -> None:
    short = attribute(touched.gateway, curve, lookback_days=1)
    assert short.channels["linear"].sum() <= found.channels["linear"].sum() + CENT
    with pytest.raises(DesignError, match="a look-back of 0 days"):
        attribute(touched.gateway, curve, lookback_days=0)


def test_a_base_without_touches_says_what_is_missing(
    finished: Workbench, curve: CurveResult
) -> None:
    nothing = finished.crm_effect().attribution(curve)
    assert not nothing.is_known
    assert nothing.sentence() == wording.NO_TOUCHES
    assert nothing.channels.empty
    assert nothing.card_frame()["CRM's part by"].tolist() == [wording.INCREMENTAL]
    assert "last touch" not in nothing.trend_frame().columns
    assert len(nothing.to_frame()) == 5


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (1.0, 4.0, "most of the attributed money, at least 6"),
        (6.0, 8.0, "only +7.0 EUR (6.0 to 8.0) is extra"),
        (-3.0, 2.0, "which may be nothing: at least 8 EUR of the attributed money (80 %)"),
        (-5.0, -1.0, "at least 10 EUR of the attributed money (100 %)"),
        (5.0, 15.0, "cannot be told"),
        (11.0, 15.0, "more than its clicks show"),
    ],
)
def test_the_difference_is_said_by_the_interval(
    found: Attribution, low: float, high: float, words: str
) -> None:
    first = dataclasses.replace(found.models[0], same=10.0)
    given = dataclasses.replace(
        found,
        models=(first, *found.models[1:]),
        incremental=Money(estimate=(low + high) / 2, low=low, high=high),
        is_final=True,
    )
    assert words in given.sentence()


def test_attributed_money_stands_beside_the_money_with_its_sentence(
    found: Attribution, touched: Workbench, curve: CurveResult
) -> None:
    money = touched.crm_effect().economics(curve)
    assert [number.unit for number in money.headline_numbers()] == ["EUR", "EUR"]
    _, each, claimed = found.beside(money).headline_numbers()
    assert each.estimate == pytest.approx(money.revenue.estimate / money.treated)
    assert (claimed.estimate, claimed.note) == (found.models[0].same, found.difference())
    assert math.isnan(claimed.low)
    nothing = dataclasses.replace(found, touches=0)
    assert nothing.beside(money) == money
    assert dataclasses.replace(money, broken=("balance",)).headline_numbers() == ()


def test_an_early_or_missing_difference_is_no_comparison(found: Attribution) -> None:
    assert not found.is_final
    assert "so far" in found.sentence()
    nothing = Money(estimate=math.nan, low=math.nan, high=math.nan)
    missing = dataclasses.replace(found, incremental=nothing, reason="no week is known")
    assert "because no week is known" in missing.sentence()
    assert wording.INCREMENTAL not in missing.card_frame()["CRM's part by"].tolist()


def test_no_whole_week_gives_no_money_and_no_error(touched: Workbench) -> None:
    effect = touched.crm_effect()
    early = effect.curve(as_of=sw.DRAWN_AT + timedelta(days=2))
    found = effect.attribution(early)
    assert not found.is_known
    assert found.company_revenue == 0
    assert found.trend.empty


def test_the_result_is_data_a_sentence_and_a_card(found: Attribution) -> None:
    data = found.to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    frame = found.to_frame()
    assert frame["evidence"].tolist() == ["observational"] * 4 + ["randomised"]
    assert ">nan<" not in found._repr_html_().lower()
    channels = found.channels.assign(channel="<script>")
    evil = dataclasses.replace(found, channels=channels, currency="<script>")
    assert "<script" not in evil._repr_html_()
    assert len(found.formulas_frame()) == 5
    assert len(found.channels_frame()) == 3
    assert (Path(sql.__file__).name, len(sql.MODELS)) == ("attribution.py", 4)
