"""Units and ranges of parameters, and values that must reach the kernel as they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_lab.errors import ReportError
from crm_lab.reports import RunRecord, check_parameters
from crm_lab.reports.bounds import Bounds, parse_note
from crm_lab.reports.declarations import parse_declarations
from crm_lab.reports.kernels import shared_environment
from crm_lab.reports.runner import run_report
from crm_lab.reports.warm_kernels import WarmParent

from .conftest import write_notebook

Run = Callable[..., RunRecord]

CELL = """
from datetime import date

days: int = 28  # length of the window [days, 1..366]
share: float = 0.05  # part that is held out [share, 0<..<1]
budget: float | None = None  # most that may be spent [money, 0..]
cuts: list[float] = [0.5]  # quantiles [0..1]
as_of: date = "2017-10-01"  # last day [2016-01-01..2017-12-31]
wait: int = 3  # pause [weeks]
plain: int = 1  # no unit (and no range)
"""


@pytest.fixture
def declared() -> Any:
    return parse_declarations(CELL, where="demo.ipynb")


def test_a_comment_ends_with_unit_and_range(declared: Any) -> None:
    found = {p.name: (p.help, p.unit, p.range_text) for p in declared}
    assert found == {
        "days": ("length of the window", "days", "1..366"),
        "share": ("part that is held out", "share", "0<..<1"),
        "budget": ("most that may be spent", "money", "0.."),
        "cuts": ("quantiles", "", "0..1"),
        "as_of": ("last day", "", "2016-01-01..2017-12-31"),
        "wait": ("pause", "weeks", ""),
        "plain": ("no unit (and no range)", "", ""),
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("days", 1),
        ("days", 366),
        ("share", 0.999),
        ("budget", None),
        ("budget", 0),
        ("cuts", [0.0, 1.0]),
        ("cuts", []),
        ("as_of", date(2017, 12, 31)),
        ("plain", -5),
    ],
)
def test_the_ends_of_a_range_belong_to_it_unless_marked(
    declared: Any, name: str, value: object
) -> None:
    assert name in check_parameters(declared, {name: value})


def test_everything_out_of_range_is_refused_at_once(declared: Any) -> None:
    wrong = {
        "days": 367,
        "share": 0.0,
        "budget": -0.01,
        "cuts": [0.5, 1.1],
        "as_of": "2018-01-01",
        "typo": 1,
        "plain": "x",
    }
    with pytest.raises(ReportError) as refused:
        check_parameters(declared, wrong)
    said = str(refused.value)
    assert len(refused.value.faults) == len(wrong)
    assert "a whole number of at most 64 bits, in days, in the range 1..366" in said
    assert "a list, each a finite number, written with a point, in the range 0..1" in said


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x: int = 1  # a [1-3]", "hold no unit and range"),
        ("x: int = 1  # a [3..1]", "hold no unit and range"),
        ("x: int = 1  # a [1<..1]", "hold no unit and range"),
        ("x: int = 1  # a [..]", "hold no unit and range"),
        ("x: int = 1  # a [days, weeks]", "hold no unit and range"),
        ("x: float = 1.0  # a [0..inf]", "hold no unit and range"),
        ("x: str = 'a'  # a [0..1]", "has no range"),
        ("x: int = 9  # a [0..1]", "the default 9 of x is not"),
        ("x: date = '2020-01-01'  # a [0..1]", "hold no unit and range"),
    ],
)
def test_a_wrong_range_is_a_fault_of_the_notebook(line: str, message: str) -> None:
    with pytest.raises(ReportError, match=message):
        parse_declarations(line, where="demo.ipynb")


@given(
    st.integers(-1000, 1000),
    st.integers(-1000, 1000),
    st.booleans(),
    st.booleans(),
    st.integers(-1100, 1100),
)
def test_a_range_holds_what_its_text_says(
    low: int, high: int, is_above: bool, is_below: bool, value: int
) -> None:
    bounds = Bounds(low=low, high=high, is_above_low=is_above, is_below_high=is_below)
    inside = (low < value if is_above else low <= value) and (
        value < high if is_below else value <= high
    )
    assert bounds.holds(value) == inside
    if low < high:
        assert parse_note(f"help [{bounds}]", is_date=False) == ("help", "", bounds)


VALUES = st.fixed_dictionaries(
    {
        "text": st.text(st.characters(exclude_categories=["Cs"])),
        "maybe": st.none() | st.text(st.sampled_from("\"'\\\n\r\t{}#)(;%`$ Ёж客🎄\u2028\x00")),
        "texts": st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20)),
        "day": st.dates().map(date.isoformat),
        "number": st.floats(allow_nan=False, allow_infinity=False),
        "whole": st.integers(-(2**63), 2**63 - 1),
        "flag": st.booleans(),
    }
)
TYPES = """
text: str
maybe: str | None
texts: list[str]
day: "date"
number: float
whole: int
flag: bool
"""


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, WarmParent | None]]:
    folder = tmp_path_factory.mktemp("values")
    names = "('text', 'maybe', 'texts', 'day', 'number', 'whole', 'flag')"
    write_notebook(
        folder / "values.ipynb",
        "# Values",
        ("parameters", TYPES),
        "import json\nfrom pathlib import Path\n"
        f"found = {{name: globals()[name] for name in {names}}}\n"
        "Path('found.json').write_text(json.dumps(found), 'utf-8')",
    )
    if not WarmParent.is_possible():
        yield folder, None
        return
    preloaded = ("ipykernel.kernelapp",)
    with WarmParent(folder, shared_environment(), preloaded=preloaded) as parent:
        yield folder, parent


@given(values=VALUES)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
def test_values_reach_the_kernel_unchanged(
    values: dict[str, Any], warm: tuple[Path, WarmParent | None]
) -> None:
    folder, parent = warm
    record = run_report(
        folder / "values.ipynb",
        parameters=values,
        reports_folder=folder / "reports",
        kind="values",
        working_folder=folder,
        warm_parent=parent,
    )
    assert record.is_good, record.error
    assert json.loads((folder / "found.json").read_text("utf-8")) == values


def test_a_long_note_may_stand_on_the_line_above() -> None:
    source = "# share of\n# margin [share, 0..1]\nmargin: float = 0.3\nweeks: int = 4"
    margin, weeks = parse_declarations(source, where="demo")
    assert (margin.help, margin.unit, weeks.help) == ("margin", "share", "")
