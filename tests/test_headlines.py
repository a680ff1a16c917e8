"""The top of a card and a page: verdicts, the one number, its bar."""

from __future__ import annotations

import json
import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_lab.cards import card
from crm_lab.headlines import (
    VERDICTS,
    HeadlineNumber,
    bar_svg,
    verdict_look,
    without_verdict,
)
from crm_lab.language import using_language

AMOUNT = HeadlineNumber(
    label="Extra revenue", estimate=1000.0, low=400.0, high=1600.0, kind="money", unit="RUB"
)
FINITE = st.floats(-1e12, 1e12, allow_nan=False)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (AMOUNT, "+1,000 RUB (400 to 1,600)"),
        (HeadlineNumber(label="x", estimate=5.0, kind="money", unit="RUB"), "5 RUB"),
        (
            HeadlineNumber(label="x", estimate=0.1, low=0.05, high=0.15, kind="share"),
            "+10 % (5 to 15 %)",
        ),
        (HeadlineNumber(label="x", estimate=12.0, low=10.0, high=14.0), "12.0 (10.0 to 14.0)"),
        (HeadlineNumber(label="x", estimate=0.25, kind="share"), "25.0 %"),
    ],
)
def test_a_number_is_written_by_its_kind(number: HeadlineNumber, expected: str) -> None:
    assert number.text() == expected


def test_a_number_is_written_in_the_language_of_the_reader() -> None:
    with using_language("ru"):
        assert AMOUNT.text() == "+1\u00a0000\u00a0₽ (от 400 до 1\u00a0600)"


def test_a_number_as_data_is_strict_json() -> None:
    found = HeadlineNumber(label="x", estimate=1.0, low=-math.inf, high=2.0).to_dict()
    assert json.loads(json.dumps(found, allow_nan=False))["low"] is None
    assert "reference" not in found


def _parts(svg: str) -> dict[str, list[ElementTree.Element]]:
    found: dict[str, list[ElementTree.Element]] = {}
    for part in ElementTree.fromstring(svg):
        found.setdefault(part.tag, []).append(part)
    return found


def test_the_bar_stands_where_the_interval_is() -> None:
    parts = _parts(bar_svg(AMOUNT.to_dict()))
    [band], [point], [zero] = parts["rect"], parts["circle"], parts["text"]
    scale = (300 - 16) / 1600
    assert float(zero.attrib["x"]) == pytest.approx(8, abs=0.1)
    assert float(band.attrib["x"]) == pytest.approx(8 + 400 * scale, abs=0.1)
    assert float(band.attrib["width"]) == pytest.approx(1200 * scale, abs=0.2)
    assert float(point.attrib["cx"]) == pytest.approx(8 + 1000 * scale, abs=0.1)


@given(estimate=FINITE, low=FINITE, high=FINITE, reference=FINITE)
def test_a_bar_stays_inside_its_picture(
    estimate: float, low: float, high: float, reference: float
) -> None:
    number = HeadlineNumber(
        label='"<x>&', estimate=estimate, low=low, high=max(low, high), reference=reference
    )
    svg = bar_svg(number.to_dict())
    if not svg:
        assert estimate == low == max(low, high) == reference == 0 or estimate == 0
        return
    assert len(svg.encode()) < 1_500
    for part in ElementTree.fromstring(svg).iter():
        for key in ("x", "cx"):
            assert 0 <= float(part.attrib.get(key, 0)) <= 300


@pytest.mark.parametrize(
    "number",
    [
        {},
        {"estimate": None, "low": 1.0, "high": 2.0},
        {"estimate": 1.0, "low": None, "high": None},
        {"estimate": 0.0, "low": 0.0, "high": 0.0},
        {"estimate": "1", "low": "<script>", "high": True},
        {"estimate": math.nan, "low": math.inf, "high": 1.0},
    ],
)
def test_without_an_interval_there_is_no_bar(number: dict[str, object]) -> None:
    assert bar_svg(number) == ""


def test_an_open_interval_reaches_the_edge() -> None:
    [band] = _parts(bar_svg({"estimate": 2.0, "low": 1.0, "high": None}))["rect"]
    assert float(band.attrib["x"]) + float(band.attrib["width"]) == pytest.approx(300)


def test_every_verdict_is_said_in_russian() -> None:
    with using_language("ru"):
        assert all(verdict_look(word).word != look.word for word, look in VERDICTS.items())


def test_a_sentence_loses_the_verdict_that_stands_before_it() -> None:
    assert without_verdict("Cannot conclude. Too few.", "cannot conclude") == "Too few."
    assert without_verdict("Too few.", "cannot conclude") == "Too few."
    assert without_verdict("Unheard of. Yes.", "unheard of") == "Yes."


def test_a_card_shows_verdict_number_and_bar_and_stays_small() -> None:
    beside = HeadlineNumber(label="Attributed", estimate=9.0, note="<b>Mostly</b> not extra.")
    html = card("T", "Ship. It pays.", None, numbers=(AMOUNT, beside), verdict="ship")
    assert '<p class="crm-verdict crm-good"><b aria-hidden="true">✓</b>Ship</p>' in html
    assert "<p>It pays.</p>" in html
    assert "<small>Extra revenue: </small>+1,000 RUB (400 to 1,600)</p><svg" in html
    assert "Attributed: 9. &lt;b&gt;Mostly&lt;/b&gt; not extra.</p>" in html
    assert len(html.encode()) < 4_000


def test_what_is_not_known_is_not_shown() -> None:
    unknown = HeadlineNumber(label="x", estimate=math.nan, low=1.0, high=2.0)
    assert 'crm-number"' not in card("T", "S.", None, numbers=(unknown,))
