"""Numbers keep their names whatever else a result says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crm_lab.reports.numbers import (
    LONGEST_LIST,
    RELATIVE_TOLERANCE,
    estimated_numbers,
    is_same,
    leaves_of,
    numbers_of,
    result_names,
    row_names,
    shown_numbers,
)


def result(**data: object) -> dict[str, object]:
    return {"kind": "experiment_result", "title": "T", "sentence": "S.", "data": data}


ARMS = [
    {"arm": "reminder", "effect": {"estimate": 64.1, "low": 35.2, "high": 88.5}},
    {"arm": "newsletter", "effect": {"estimate": -5.9, "low": -32.9, "high": 17.7}},
]


def test_rows_are_named_by_what_they_are_called_and_not_by_their_place() -> None:
    forward, backward = result(arms=ARMS), result(arms=ARMS[::-1])
    assert numbers_of([forward]) == numbers_of([backward])
    assert numbers_of([forward])["experiment_result.arms[reminder].effect.estimate"] == 64.1


def test_exact_amounts_are_numbers_and_words_and_flags_are_not() -> None:
    found = numbers_of([result(cost="20.78", plan="2017-11-01", ok=True, n=3, missing=None)])
    assert found == {"experiment_result.cost": 20.78, "experiment_result.n": 3}


def test_long_lists_stay_out_of_the_manifest_and_in_the_comparison() -> None:
    curve = result(curve=list(range(LONGEST_LIST + 1)))
    assert numbers_of([curve]) == {}
    assert len(numbers_of([curve], longest=None)) == LONGEST_LIST + 1
    assert len(leaves_of([curve])) == LONGEST_LIST + 1


def test_results_of_one_kind_are_told_apart() -> None:
    first, second = result(), result() | {"title": "Other"}
    assert result_names([first, second]) == ["experiment_result[T]", "experiment_result[Other]"]
    assert result_names([first, first]) == ["experiment_result[1]", "experiment_result[2]"]


def test_rows_without_a_name_of_their_own_are_named_by_two_words_or_by_place() -> None:
    rows = [{"metric": "a", "arm": "x"}, {"metric": "a", "arm": "y"}, {"metric": "b", "arm": "x"}]
    assert row_names(rows) == ["a, x", "a, y", "b, x"]
    assert row_names([{"n": 1}, {"n": 1}]) == ["0", "1"]
    assert row_names([]) == []


def test_the_estimates_of_the_leading_result_come_once_each() -> None:
    leading = result(verdict="ship", arms=ARMS, again=ARMS[0]["effect"], plan={"estimate": 1.0})
    found = estimated_numbers([result(customers=5) | {"kind": "other"}, leading])
    assert list(found) == [
        "experiment_result.arms[reminder].effect",
        "experiment_result.arms[newsletter].effect",
    ]


def test_numbers_at_the_top_of_the_page_go_by_their_label() -> None:
    number = {"label": "Money", "text": "+1 USD", "estimate": 1.0, "low": 0.5, "high": 1.5}
    shown = shown_numbers([result() | {"numbers": [number]}])
    assert shown == {"Money": {"estimate": 1.0, "low": 0.5, "high": 1.5, "text": "+1 USD"}}
    assert shown_numbers([result()]) == {}
    assert shown_numbers([]) == {}


def test_last_digits_do_not_count_and_real_differences_do() -> None:
    assert is_same(1_000.0, 1_000.0 * (1 + RELATIVE_TOLERANCE / 10))
    assert not is_same(1_000.0, 1_000.0 * (1 + RELATIVE_TOLERANCE * 10))
    assert is_same("20.78", 20.78)
    assert not is_same(1, None)
    assert not is_same("ship", "stop")


LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=3))
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab", max_size=2), inner),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(st.text("xy", min_size=1, max_size=2), TREES), max_size=3))
def test_any_result_can_be_walked_twice_with_the_same_outcome(items: list[dict]) -> None:  # type: ignore[type-arg]
    results = [{"kind": "k", "data": item} for item in items]
    assert leaves_of(results) == leaves_of(results)
    assert set(numbers_of(results)) <= set(leaves_of(results))
