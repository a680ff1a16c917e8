"""How results show themselves: one line, an escaped card, data for a machine, a plot."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import pkgutil
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

import crm_lab
from crm_lab import ltv
from crm_lab.campaigns.loopback import Planted, PlantedCheck
from crm_lab.cards import CARD_CSS, RESULT_MIME, Result, card
from crm_lab.datasets import load_cdnow
from crm_lab.experiments.estimators import RowEstimator
from crm_lab.experiments.outcomes import Outcomes
from crm_lab.experiments.segments import read_segment
from crm_lab.plots import show_plot
from crm_lab.plots.effects import plot_effects
from crm_lab.plots.palette import CONTROL
from crm_lab.stats import (
    minimum_detectable_effect_proportion,
    required_total,
    sample_ratio_test,
)
from crm_lab.workbench import open_workbench
from tests.experiments import shop_workbench as sw

MAX_CARD_BYTES = 6_000
"""Of a card with ordinary data, style included: a notebook of 20 results stays small."""
EVIL = "<script>alert(1)</script>"

MODULES = (
    "crm_lab.campaigns.",
    "crm_lab.customers.overview",
    "crm_lab.experiments.calibration",
    "crm_lab.experiments.control_group",
    "crm_lab.experiments.outlook",
    "crm_lab.experiments.preview",
    "crm_lab.experiments.results",
    "crm_lab.experiments.segments",
    "crm_lab.gateway.",
    "crm_lab.ltv.covariates",
    "crm_lab.ltv.cross_check",
    "crm_lab.ltv.fits",
    "crm_lab.ltv.forecast",
    "crm_lab.ltv.history",
    "crm_lab.ltv.validation",
    "crm_lab.stats.effects",
    "crm_lab.stats.sample_ratio",
    "crm_lab.workbench",
)
"""Parts whose every result must stand among the examples."""


@functools.cache
def planted_check() -> PlantedCheck:
    planted = Planted(arm="strong", effect=0.4, recipients=900, orders=100, revenue=123_456.78)
    return PlantedCheck(
        rows=((planted, 110.0, 70.0, 150.0),), customers={"strong": 1_000}, currency="EUR"
    )


def segment_reading() -> Any:
    plan = example("ExperimentResult").plan
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "customer_id": [str(n) for n in range(400)],
            "unit_id": [str(n) for n in range(400)],
            "variant": ["strong", "control"] * 200,
            "revenue": rng.gamma(1.0, 20.0, 400),
            "orders": 1,
            "pre_revenue": rng.gamma(1.0, 20.0, 400),
            "pre_orders": 1,
        }
    )
    estimator = RowEstimator(plan=plan, outcomes=Outcomes.from_frame(plan, frame), permutations=99)
    labels = pd.Series(["lower third", "upper third"] * 200, dtype=str).sort_values()
    return read_segment(
        estimator,
        labels.reset_index(drop=True),
        segment="value",
        arm="strong",
        alpha=0.05,
        rng=rng,
    )


EXAMPLES: dict[str, Callable[[], Any]] = {
    "WorkbenchCard": lambda: finished_workbench().status(),
    "BaseOverview": lambda: finished_workbench().base(as_of=sw.ENDS_AT),
    "HoldoutOutlook": lambda: finished_workbench().control_group().outlook(as_of=sw.STARTS_AT),
    "ControlGroupStatus": lambda: finished_workbench().control_group().status(as_of=sw.STARTS_AT),
    "PlanPreview": lambda: finished_workbench().experiment(sw.NAME).plan(as_of=sw.ASSIGNED_AT),
    "PowerTable": lambda: example("PlanPreview").power,
    "SendListExport": lambda: finished_workbench().experiment(sw.NAME).export(as_of=sw.STARTS_AT),
    "ExperimentResult": lambda: finished_workbench().experiment(sw.NAME).analyze(),
    "Comparison": lambda: example("ExperimentResult").arms[0].primary,
    "SampleRatio": lambda: sample_ratio_test({"control": 90, "a": 910}, {"control": 0.1, "a": 0.9}),
    "DetectableEffect": lambda: minimum_detectable_effect_proportion(
        0.1, 950, 50, alpha=0.05, power=0.8
    ),
    "RequiredSize": lambda: required_total(
        relative_effect=0.1, base_rate=0.1, control_share=0.05, alpha=0.05, power=0.8
    ),
    "Calibration": lambda: finished_workbench().calibrate(starts_on=date(2024, 3, 1), draws=20),
    "ImportReport": lambda: finished_workbench().import_file(
        finished_workbench().settings.folder / "maps" / "orders.yml",
        finished_workbench().settings.folder / "incoming" / "orders_later.csv",
    ),
    "PlantedCheck": planted_check,
    "PurchaseHistory": lambda: ltv.purchase_history(
        load_cdnow(sample=True), as_of=date(1998, 6, 30), currency="USD"
    ),
    "LifetimeForecast": lambda: ltv.forecast(
        example("PurchaseHistory"), periods=26, refits=10, rng=np.random.default_rng(1)
    ),
    "Validation": lambda: ltv.validate(
        load_cdnow(sample=True),
        calibration_end=date(1997, 9, 30),
        as_of=date(1998, 6, 30),
        currency="USD",
        refits=10,
        rng=np.random.default_rng(1),
    ),
    "SegmentReading": lambda: segment_reading(),
    "PurchaseFit": lambda: example("LifetimeForecast").model,
    "CrossCheck": lambda: ltv.cross_check(example("PurchaseFit"), example("PurchaseHistory")),
    "CovariateFit": lambda: ltv.fit_with_covariates(
        example("PurchaseHistory"),
        example("PurchaseHistory")
        .customers[["customer_id"]]
        .assign(even=lambda frame: np.arange(len(frame)) % 2),
    ),
    "GammaGammaFit": lambda: example("LifetimeForecast").spend_model,
}


@functools.cache
def finished_workbench() -> Any:
    return open_workbench(sw.STAGES["finished"]())


@functools.cache
def example(name: str) -> Any:
    return EXAMPLES[name]()


def every_result_class(parent: type = Result) -> Iterator[type]:
    for module in pkgutil.walk_packages(crm_lab.__path__, "crm_lab."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    waiting = [parent]
    while waiting:
        children = waiting.pop().__subclasses__()
        waiting += children
        yield from children


def test_every_result_of_these_parts_is_among_the_examples() -> None:
    found = {c.__name__ for c in every_result_class() if c.__module__.startswith(MODULES)}
    assert found - set(EXAMPLES) == set()


@pytest.fixture(params=EXAMPLES)
def result(request: pytest.FixtureRequest) -> Any:
    found = example(request.param)
    assert type(found).__name__ == request.param
    return found


def test_repr_is_one_line_with_the_sentence(result: Any) -> None:
    text = repr(result)
    assert "\n" not in text
    assert text.endswith(result.sentence())
    assert text == f"{result.title}: {result.sentence()}"
    assert f"{type(result).__name__}(" not in text
    assert result.sentence().strip()
    for unwanted in ("None", "nan", "  ", "{", "np."):
        assert unwanted not in result.sentence()


def test_the_card_is_small_and_has_no_script(result: Any) -> None:
    html = result._repr_html_()
    assert len(html.encode()) < MAX_CARD_BYTES
    assert "<script" not in html
    assert html.startswith(f"<style>{CARD_CSS}</style>")
    for empty in (">nan<", ">none<", ">nat<"):
        assert empty not in html.lower()


def test_to_dict_is_strict_json_with_every_field(result: Any) -> None:
    data = result.to_dict()
    text = json.dumps(data, allow_nan=False)
    assert json.loads(text) == data
    # a table of every customer may be given as a count
    tables = {
        field.name
        for field in dataclasses.fields(result)
        if isinstance(getattr(result, field.name), pd.DataFrame)
    }
    assert {field.name for field in dataclasses.fields(result)} - tables <= set(data)


def test_a_notebook_gets_text_card_and_data(result: Any) -> None:
    bundle = result._repr_mimebundle_()
    assert bundle["text/plain"] == repr(result)
    assert bundle["text/html"] == result._repr_html_()
    assert bundle[RESULT_MIME]["sentence"] == result.sentence()
    json.dumps(bundle, allow_nan=False)


def test_to_frame_is_a_table_with_named_columns(result: Any) -> None:
    frame = result.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert len(frame) > 0
    assert frame.columns.is_unique
    assert all(isinstance(name, str) and name for name in frame.columns)


def test_a_result_cannot_be_changed(result: Any) -> None:
    field = dataclasses.fields(result)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(result, field, None)
    assert not hasattr(result, "__dict__")


def test_a_plot_asks_a_question_and_labels_its_axes(result: Any) -> None:
    if not result.plotter:
        pytest.skip("has no plot")
    try:
        ax = result.plot()
        assert isinstance(ax, Axes)
        assert (ax.get_title(loc="left") + ax.get_title()).endswith("?")
        assert ax.get_xlabel() or ax.get_ylabel()
        assert ax.has_data()
        ax.figure.canvas.draw()
        _, own = plt.subplots()
        assert result.plot(ax=own) is own
    finally:
        plt.close("all")


def test_a_result_without_a_plot_says_so() -> None:
    with pytest.raises(TypeError, match="SampleRatio has no plot"):
        example("SampleRatio").plot()


def evil(name: str) -> Any:
    """An example with a script wherever a company's own words can stand."""
    found = example(name)
    changes: dict[str, dict[str, Any]] = {
        "WorkbenchCard": {"company": EVIL},
        "ImportReport": {"file_name": EVIL, "rejected_by_reason": {EVIL: 1}},
        "Calibration": {"base": EVIL},
        "ControlGroupStatus": {"faults": (EVIL,)},
        "SendListExport": {"waterfall": ((EVIL, 1),)},
        "HoldoutOutlook": {"currency": EVIL},
        "BaseOverview": {"currency": EVIL, "reach": {EVIL: 1}},
        "PlantedCheck": {"currency": EVIL},
    }
    if name == "PlanPreview":
        return dataclasses.replace(found, plan=dataclasses.replace(found.plan, title=EVIL))
    if name == "ExperimentResult":
        return dataclasses.replace(found, plan=dataclasses.replace(found.plan, currency=EVIL))
    return dataclasses.replace(found, **changes[name])


@pytest.mark.parametrize(
    "name",
    [
        "WorkbenchCard",
        "ImportReport",
        "Calibration",
        "ControlGroupStatus",
        "SendListExport",
        "HoldoutOutlook",
        "BaseOverview",
        "PlantedCheck",
        "PlanPreview",
        "ExperimentResult",
    ],
)
def test_a_script_in_a_name_is_text_on_the_card(name: str) -> None:
    html = evil(name)._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_every_part_of_a_card_is_escaped() -> None:
    html = card(EVIL, EVIL, pd.DataFrame({EVIL: [EVIL]}))
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 4


def test_the_control_group_is_grey_on_the_plots_of_effects() -> None:
    try:
        line = plot_effects(example("ExperimentResult")).lines[0]
        assert line.get_color() == CONTROL
    finally:
        plt.close("all")


def test_intervals_of_the_plot_are_those_of_the_result() -> None:
    found = example("ExperimentResult")
    try:
        drawn = [line.get_xdata() for line in plot_effects(found).lines]
    finally:
        plt.close("all")
    for arm in found.arms:
        ends = [arm.primary.absolute.low, arm.primary.absolute.high]
        assert any(len(x) == 2 and np.allclose(np.asarray(x, float), ends) for x in drawn)


def test_a_plot_shown_in_a_notebook_is_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[Any, Any]] = []
    monkeypatch.setattr(
        "crm_lab.plots.display", lambda figure, metadata: shown.append((figure, metadata))
    )
    ax = example("HoldoutOutlook").plot()
    number = ax.figure.number
    show_plot(ax, alt="what is seen")
    assert shown == [(ax.figure, {"alt": "what is seen"})]
    assert not plt.fignum_exists(number)


def test_drawing_changes_no_style_of_the_reader() -> None:
    before = dict(plt.rcParams)
    try:
        example("ExperimentResult").plot()
    finally:
        plt.close("all")
    assert dict(plt.rcParams) == before


def test_an_outlook_without_history_is_drawn_empty() -> None:
    outlook = dataclasses.replace(example("HoldoutOutlook"), detectable=())
    try:
        assert outlook.plot().get_title(loc="left").endswith("?")
    finally:
        plt.close("all")


def test_the_base_is_described_as_the_shop_sold(shop: Any) -> None:
    base = example("BaseOverview")
    assert base.customers == sw.CUSTOMERS
    assert base.orders == len(shop.orders)
    assert base.revenue == pytest.approx(shop.orders["amount_cents"].sum() / 100)
    assert base.last_order_at - base.first_order_at < timedelta(days=170)
    assert base.first_order_at >= datetime(2024, 1, 1)
