"""YAML is read as people mean it, and every fault names its line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from crm_lab.errors import FileError, SpecError
from crm_lab.language import using_language
from crm_lab.yaml_files import Declared, line_of, place, read_yaml, validate
from tests.russian import latin_words


class Inner(Declared):
    size: int


class Outer(Declared):
    name: str
    parts: tuple[Inner, ...] = ()


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "file.yml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_words_stay_words(tmp_path):
    text = (
        "a: no\nb: 2024_10\nc: 007\nd: 1_000\ne: on\nf: 12\ng: -3\nh: 1.5\ni: 0\nj: +7\nk: 0x1f\n"
    )
    data = read_yaml(write(tmp_path, text))
    assert dict(data) == {
        "a": "no",
        "b": "2024_10",
        "c": "007",
        "d": "1_000",
        "e": "on",
        "f": 12,
        "g": -3,
        "h": 1.5,
        "i": 0,
        "j": 7,
        "k": "0x1f",
    }


@given(number=st.integers(-(10**12), 10**12))
def test_plain_whole_numbers_are_numbers(tmp_path_factory, number):
    path = write(tmp_path_factory.getbasetemp(), f"a: {number}\n")
    assert read_yaml(path)["a"] == number


def test_a_byte_order_mark_is_passed_over(tmp_path):
    assert read_yaml(write(tmp_path, b"\xef\xbb\xbfname: a\n"))["name"] == "a"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("# only a remark\n", "the file is empty"),
        ("- a\n- b\n", "the top level is a"),
        ("a: 1\nb: 2\na: 3\n", "line 3: found duplicate key .a.*each key once"),
        ("a:\n  b: 1\n  b: 2\n", "line 3: found duplicate key"),
        ("a: [1, 2\nb: 3\n", "not valid YAML"),
        ("a: 1\n\tb: 2\n", "line 2: not valid YAML"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ("a: *nowhere\n", "line 1: not valid YAML"),
        ("a: \x00\n", "not valid YAML"),
        (b"a: \xff\n", "byte 3 is not UTF-8"),
    ],
)
def test_what_is_no_mapping_is_refused(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(FileError, match=message):
        read_yaml(path)


def test_the_callers_error_is_raised(tmp_path):
    with pytest.raises(SpecError, match="the file does not exist"):
        read_yaml(tmp_path / "none.yml", error=SpecError)


def test_lines_and_places(tmp_path):
    data = read_yaml(write(tmp_path, "name: a\nparts:\n  - size: 1\n  - size: x\n"))
    assert line_of(data, ("parts", 1, "size")) == 4
    assert line_of(data, ("parts", 7)) == 2
    assert line_of(data, ("nothing",)) is None
    assert place(Path("f.yml"), data, ("parts", 1, "size")) == "f.yml, line 4, key 'parts.1.size'"
    assert place(Path("f.yml"), data, ()) == "f.yml"


def test_all_faults_at_once(tmp_path):
    path = write(tmp_path, "nam: a\nparts:\n  - size: 1\n  - size: x\n  - sizes: 2\n")
    data = read_yaml(path)
    with pytest.raises(FileError, match="nam") as caught:
        validate(Outer, data, path=path)
    found = [fault.found for fault in caught.value.faults]
    assert found == [
        "the key 'name' is missing",
        "found 'x'",
        "the key 'size' is missing",
        "unknown key 'sizes'",
        "unknown key 'nam'; did you mean 'name'?",
    ]
    assert "line 4, key 'parts.1.size'" in caught.value.faults[1].where


class Priced(Declared):
    name: Annotated[str, Field(pattern="^[a-z]+$")] = "a"
    price: float = 0
    fixed: float = 0
    shares: dict[Annotated[str, Field(pattern="^[a-z]+$")], float] = Field(default_factory=dict)


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("{price: 0,5, fixed: 1}", "line 1, key 'price'", "'0,5' has a decimal comma"),
        ("{price: 12,05}", "line 1, key 'price'", "'12,05' has a decimal comma"),
        ("price: 0,5", "line 1, key 'price'", "'0,5' has a decimal comma"),
        ("shares: {a: 0,3, b: 0.7}", "line 1, key 'shares.a'", "'0,3' has a decimal comma"),
        ("shares:\n  A: 0.5", "line 2, key 'shares.A'", "found 'A'"),
        ("name: 0,5", "line 1, key 'name'", "found '0,5'"),
        ("price: 1\n'5':", "line 2, key '5'", "unknown key '5'"),
    ],
)
def test_a_decimal_comma_is_named(tmp_path, text, where, said):
    path = write(tmp_path, text)
    data = read_yaml(path)
    with pytest.raises(FileError) as caught:
        validate(Priced, data, path=path)
    (fault,) = caught.value.faults
    assert (fault.where, fault.found) == (f"{path}, {where}", said)
    if "comma" in said:
        written = said.split("'")[1].replace(",", ".")
        assert fault.expected == f"a decimal point: {written}"


def test_what_is_right_is_given_back_frozen(tmp_path):
    path = write(tmp_path, "name: a\nparts: [{size: 2}]\n")
    read = validate(Outer, read_yaml(path), path=path)
    assert read == Outer(name="a", parts=(Inner(size=2),))
    with pytest.raises(ValueError, match="frozen"):
        read.name = "b"


class Limits(BaseModel):
    a: int = 1
    b: float = Field(default=1.0, allow_inf_nan=False)
    c: str = ""
    d: Literal["x", "y", "z"] = "x"
    e: Mapping[str, int] = {}
    f: list[int] = []
    g: tuple[int, ...] = ()
    h: bool = Field(default=False, strict=True)
    i: int = Field(default=5, ge=2, le=9)
    j: float = Field(default=0.5, gt=0.25, lt=2)


@pytest.mark.parametrize(
    "data",
    [
        *({"a": value} for value in ("x", 1.5, [])),
        *({"b": value} for value in ("x", [], float("nan"))),
        *({name: 1} for name in "cefgh"),
        {"d": "q"},
        *({"i": value} for value in (1, 10)),
        *({"j": value} for value in (0.1, 2)),
    ],
)
def test_what_was_expected_is_said_as_pydantic_says_it_and_in_russian(data, tmp_path):
    with pytest.raises(ValidationError) as plain:
        Limits.model_validate(data)
    with pytest.raises(FileError) as english:
        validate(Limits, data, path=tmp_path)
    with using_language("ru"), pytest.raises(FileError) as russian:
        validate(Limits, data, path=tmp_path)
    (error,) = plain.value.errors()
    assert english.value.faults[0].expected == error["msg"]
    said = russian.value.faults[0].expected
    assert said.startswith("нуж")
    assert latin_words(said, ("true", "false")) == []


def test_faults_of_a_file_are_said_in_russian(tmp_path):
    path = write(tmp_path, "nam: x\nparts:\n  - size: many\n")
    with using_language("ru"), pytest.raises(FileError) as problem:
        validate(Outer, read_yaml(path), path=path)
    assert str(problem.value) == (
        f"{path}: нет ключа «name».\n"
        f"{path}, строка 3, ключ «parts.0.size»: получено 'many'. Ожидалось: нужно целое число,"
        " а этот текст числом не является.\n"
        f"{path}, строка 1, ключ «nam»: неизвестный ключ «nam»; может быть, «name»?"
    )
