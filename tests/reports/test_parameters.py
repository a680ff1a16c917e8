from __future__ import annotations

import ast
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from papermill.translators import PythonTranslator

from crm_lab.errors import ReportError
from crm_lab.reports import check_parameters, declared_parameters, parse_text_parameters
from crm_lab.reports.declarations import parse_declarations

CELL = """
from datetime import date
from typing import Literal

experiment: str  # name of the experiment
alpha: float = 0.05  # error rate; a = b
weeks: int = 4
cuped: "bool" = True  # adjust
as_of: date = "2017-10-01"  # last day
until: date | None = None
segments: list[str] = []  # shown apart
cuts: list[float] = [
    0.1,
    0.5,  # inner
]  # quantiles
engine: Literal["duckdb", "spark"] = "duckdb"  # where to compute
note: str | None = None  # a remark
"""
HOSTILE = (
    '"',
    "'",
    '"""',
    "'''",
    "\\",
    '\\"',
    "a\nb\r\nc\x00d",
    '"); __import__("os").system("true"); ("',
    "{alpha}",
    "Ёлка, 客户 🎄",
    "\u2028\u202e",
    "</script><script>alert(1)</script>",
    "$(reboot) `reboot` %s",
)


@pytest.fixture
def declared() -> Any:
    return parse_declarations(CELL, where="demo.ipynb")


def test_declarations_carry_type_default_and_help(declared: Any) -> None:
    found = {p.name: p for p in declared}
    assert list(found)[:3] == ["experiment", "alpha", "weeks"]
    assert found["experiment"].is_required
    assert (found["alpha"].type, found["alpha"].default) == ("float", 0.05)
    assert found["alpha"].help == "error rate; a = b"
    assert found["cuped"].type == "bool"
    assert found["until"].is_optional
    assert found["cuts"].default == [0.1, 0.5]
    assert found["cuts"].help == "quantiles"
    assert found["engine"].choices == ("duckdb", "spark")


def test_defaults_fill_what_is_not_given(declared: Any) -> None:
    values = check_parameters(declared, {"experiment": "winter"})
    assert values["experiment"] == "winter"
    assert values["cuped"] is True
    assert values["note"] is None


def test_declarations_never_execute(notebook: Callable[..., Path], tmp_path: Path) -> None:
    path = notebook("# T", ("parameters", f"x: str = open({str(tmp_path / 'made')!r}, 'w')  # no"))
    with pytest.raises(ReportError, match="no literal"):
        declared_parameters(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1", "declares no parameter"),
        ("print(1)", "declares no parameter"),
        ("import os", "declares no parameter"),
        ("from os import system", "declares no parameter"),
        ("x: dict = {}", "not supported"),
        ("x: list[list[int]] = []", "not supported"),
        ("x: int = 1.5", "default 1.5 of x"),
        ("x: float = 1e999", "default inf of x"),
        ("x: date = '2017-13-01'", "default '2017-13-01' of x"),
        ("x: Literal['a'] = 'b'", "default 'b' of x"),
        ("x: str = f'{1}'", "no literal"),
        ("x: int = 1\nx: int = 2", "declared twice"),
        ("%matplotlib inline", "not plain Python"),
    ],
)
def test_bad_declarations_are_refused(source: str, message: str) -> None:
    with pytest.raises(ReportError, match=message):
        parse_declarations(source, where="demo.ipynb")


def test_every_fault_of_a_cell_is_reported_at_once() -> None:
    with pytest.raises(ReportError) as caught:
        parse_declarations("x = 1\ny: set = 2\nz: int = 'a'", where="demo.ipynb")
    assert len(caught.value.faults) == 3
    assert "demo.ipynb, parameters cell, line 2" in str(caught.value)


def test_two_parameters_cells_are_refused(notebook: Callable[..., Path]) -> None:
    path = notebook("# T", ("parameters", "x: int = 1"), ("parameters", "y: int = 1"))
    with pytest.raises(ReportError, match="2 cells are tagged"):
        declared_parameters(path)


def test_notebook_without_parameters_declares_none(notebook: Callable[..., Path]) -> None:
    assert declared_parameters(notebook("# T", "1 + 1")) == ()


@pytest.mark.parametrize("content", ["", "{", '{"a": 1}', "\x00\x01", "[]"])
def test_a_file_that_is_no_notebook_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.ipynb"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ReportError, match="cannot be read as a notebook"):
        declared_parameters(path)


def test_a_missing_notebook_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="does not exist"):
        declared_parameters(tmp_path / "none.ipynb")


def test_unknown_missing_and_mistyped_come_together(declared: Any) -> None:
    with pytest.raises(ReportError) as caught:
        check_parameters(declared, {"alhpa": 0.1, "weeks": "4", "cuped": 1})
    message = str(caught.value)
    assert len(caught.value.faults) == 4
    assert "unknown parameter 'alhpa'" in message
    assert "did you mean alpha?" in message
    assert "experiment is missing" in message
    assert "weeks cannot be '4'" in message
    assert "cuped cannot be 1" in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("alpha", float("nan")),
        ("alpha", float("inf")),
        ("alpha", True),
        ("alpha", Decimal("0.1")),
        ("weeks", 2**63),
        ("weeks", 4.0),
        ("weeks", None),
        ("as_of", datetime(2017, 10, 1, 12)),
        ("as_of", "20171001"),
        ("as_of", "01.10.2017"),
        ("segments", "new"),
        ("segments", {"new"}),
        ("segments", [1]),
        ("engine", "oracle"),
        ("note", b"bytes"),
        ("note", "lone \ud800 surrogate"),
    ],
)
def test_badly_typed_values_are_refused(declared: Any, name: str, value: object) -> None:
    with pytest.raises(ReportError, match=f"parameter {name} cannot be"):
        check_parameters(declared, {"experiment": "w", name: value})


def test_values_become_json_ready(declared: Any) -> None:
    given_values = {
        "experiment": "w",
        "as_of": date(2018, 1, 2),
        "segments": ("new", "loyal"),
        "alpha": np.float64(0.1),
        "weeks": np.int64(8),
        "cuped": np.bool_(False),
        "cuts": [1],
    }
    values = check_parameters(declared, given_values)
    assert values["as_of"] == "2018-01-02"
    assert values["segments"] == ["new", "loyal"]
    assert type(values["alpha"]) is float
    assert type(values["weeks"]) is int
    assert values["cuped"] is False
    assert values["cuts"] == [1.0]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(declared: Any, text: str) -> None:
    values = check_parameters(declared, {"experiment": text, "segments": [text]})
    code = PythonTranslator.codify(values)
    tree = ast.parse(code)
    written = {n.targets[0].id: ast.literal_eval(n.value) for n in tree.body}  # type: ignore[attr-defined]
    assert written == values


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_text_survives(text: str) -> None:
    [parameter] = parse_declarations("x: str", where="demo")
    value = check_parameters([parameter], {"x": text})["x"]
    assert ast.literal_eval(PythonTranslator.translate(value)) == text


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("cuped", "false", False),
        ("cuped", "Yes", True),
        ("cuped", "0", False),
        ("alpha", "0.05", 0.05),
        ("alpha", "5e-2", 0.05),
        ("alpha", "1", 1.0),
        ("weeks", "-3", -3),
        ("as_of", "2017-10-01", "2017-10-01"),
        ("until", "none", None),
        ("until", "2017-10-01", "2017-10-01"),
        ("segments", "new, loyal", ["new", "loyal"]),
        ("segments", '["a,b", "c"]', ["a,b", "c"]),
        ("segments", "", []),
        ("cuts", "0.1,0.9", [0.1, 0.9]),
        ("engine", "spark", "spark"),
        ("note", "", None),
        ("experiment", "false", "false"),
        ("experiment", "  spaced ", "  spaced "),
    ],
)
def test_texts_become_values_of_the_declared_type(
    declared: Any, name: str, text: str, value: object
) -> None:
    assert parse_text_parameters(declared, {name: text}) == {name: value}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cuped", "maybe"),
        ("alpha", "nan"),
        ("alpha", "0,05"),
        ("alpha", "1e999"),
        ("weeks", "4.0"),
        ("weeks", "1_000"),
        ("weeks", "٤"),
        ("as_of", "2017-02-30"),
        ("segments", "[1]"),
        ("segments", "[broken"),
        ("engine", "oracle"),
        ("typo", "1"),
    ],
)
def test_texts_that_do_not_fit_are_refused(declared: Any, name: str, text: str) -> None:
    with pytest.raises(ReportError, match=name):
        parse_text_parameters(declared, {name: text})
