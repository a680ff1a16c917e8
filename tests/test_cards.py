"""A result shows itself: escaped, small, and as strict JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from crm_lab.cards import RESULT_MIME, Result, TableView, cell, kind_of, plain, table_html

HOSTILE = '<script>alert("x")</script>'


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Sample(Result):
    title: ClassVar[str] = HOSTILE
    value: float
    name: str

    def sentence(self) -> str:
        return f"{self.name} is {self.value}."

    def to_frame(self) -> pd.DataFrame:
        return pd.DataFrame({HOSTILE: [self.name], "a_b": [self.value]})


def test_a_card_escapes_everything() -> None:
    html = Sample(value=1.0, name=HOSTILE)._repr_html_()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 4
    assert '<th scope="col">a b</th>' in html


def test_a_result_carries_itself_as_strict_json() -> None:
    bundle = Sample(value=math.nan, name="x")._repr_mimebundle_()
    payload = json.loads(json.dumps(bundle[RESULT_MIME], allow_nan=False))
    assert payload == {
        "kind": "sample",
        "title": HOSTILE,
        "sentence": "x is nan.",
        "data": {"value": None, "name": "x"},
    }


def test_a_result_without_plot_says_so() -> None:
    with pytest.raises(TypeError, match="Sample has no plot"):
        Sample(value=1.0, name="x").plot()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(3), 3),
        (np.float64(math.inf), None),
        (np.bool_(True), True),
        (Decimal("1.10"), "1.10"),
        (pd.NaT, None),
        (date(2026, 12, 1), "2026-12-01"),
        (datetime(2026, 12, 1, tzinfo=UTC), "2026-12-01T00:00:00+00:00"),
        ({"a": (1, np.nan)}, {"a": [1, None]}),
        (pd.DataFrame({"a": [1.5, math.nan]}), [{"a": 1.5}, {"a": None}]),
        (np.array([1, 2]), [1, 2]),
    ],
)
def test_plain_gives_json_ready_data(value: Any, expected: Any) -> None:
    found = plain(value)
    assert found == expected
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        (True, "yes"),
        (1234567, "1,234,567"),
        (1234.5, "1,234"),
        (12.345, "12.35"),
        (0.123456, "0.123"),
        (math.nan, ""),
        (pd.Timestamp("2026-12-01"), "2026-12-01"),
        ("text", "text"),
    ],
)
def test_cells_are_written_for_people(value: Any, expected: str) -> None:
    assert cell(value) == expected


def test_a_long_table_is_cut_and_says_how_much() -> None:
    frame = pd.DataFrame({"a": range(20)})
    html = table_html(frame, max_rows=5)
    assert html.count("<tr>") == 6
    assert "15 more rows in to_frame()" in html
    assert "more rows" not in TableView(frame)._repr_html_()


def test_the_kind_of_a_class_is_its_name_in_small_letters() -> None:
    assert kind_of(Sample) == "sample"
    assert kind_of(type("ControlGroupDraw", (), {})) == "control_group_draw"
