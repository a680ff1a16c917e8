"""The hash: the same in Python and in SQL, even, independent between salts."""

from __future__ import annotations

import hashlib

import duckdb
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from crm_lab.errors import DesignError
from crm_lab.experiments.assignment import arm_expression, arm_of, bucket_ends, bucket_of
from crm_lab.experiments.fields import BUCKETS, REST
from crm_lab.gateway import operations
from crm_lab.stats import sample_ratio_test

ALMOST_NEVER = 1e-4
"""p-value below which chance is no explanation; ids are fixed, so a pass is a pass for ever."""
# a cell cannot hold a NUL: no CSV reader takes one
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1)


def buckets_in_sql(salt: str, ids: list[str]) -> list[int]:
    with duckdb.connect() as engine:
        rows = engine.execute(
            f"select {operations.bucket_expression(salt, 'id')} from"
            " (select unnest(?::varchar[]) as id)",
            [ids],
        ).fetchall()
    return [row[0] for row in rows]


def buckets_of(salt: str, ids: list[str]) -> np.ndarray:
    return np.array([bucket_of(salt, name) for name in ids])


@given(salt=TEXTS, ids=st.lists(TEXTS, min_size=1, max_size=40))
@example(
    salt="2024", ids=["Ирина", "o'brien", 'a"b', "🙂", "001", "a;b", "--", " ", "\\", "ß", "é"]
)
@example(salt="it's", ids=["x'; drop table customer; --"])
def test_sql_gives_the_bucket_of_python(salt: str, ids: list[str]) -> None:
    assert buckets_in_sql(salt, ids) == [bucket_of(salt, name) for name in ids]


def test_bucket_follows_the_written_rule() -> None:
    h = int(hashlib.sha256("соль:id-7".encode()).hexdigest()[:8], 16)
    assert bucket_of("соль", "id-7") == int(h * 10_000 // 2**32)


def test_first_and_last_hash_fall_into_first_and_last_bucket() -> None:
    found = set(buckets_of("even", [f"c{number}" for number in range(200_000)]).tolist())
    assert min(found) == 0
    assert max(found) == BUCKETS - 1


def test_buckets_are_even_over_100_000_ids() -> None:
    counts = np.bincount(buckets_of("2024", [str(n) for n in range(100_000)]) // 10, minlength=1000)
    assert stats.chisquare(counts).pvalue > ALMOST_NEVER


def test_two_salts_draw_independently() -> None:
    ids = [f"customer-{number}" for number in range(50_000)]
    first, second = (buckets_of(salt, ids) // 1_000 for salt in ("experiment:a", "experiment:b"))
    table = np.zeros((10, 10))
    np.add.at(table, (first, second), 1)
    assert stats.chi2_contingency(table).pvalue > ALMOST_NEVER


def test_salt_and_id_are_kept_apart() -> None:
    assert bucket_of("ab", "c") != bucket_of("a", "bc")


def test_an_empty_id_has_no_bucket() -> None:
    with pytest.raises(DesignError, match="empty customer id"):
        bucket_of("2024", "")


shares_of_arms = st.lists(st.integers(1, 3_333), min_size=1, max_size=3).map(
    lambda parts: {f"arm-{place}": part / BUCKETS for place, part in enumerate(parts)}
)


@settings(max_examples=15)
@given(shares=shares_of_arms)
def test_arm_ends_python_and_sql_agree_on_every_bucket(shares: dict[str, float]) -> None:
    ends = bucket_ends(shares)
    assert list(ends) == list(shares)
    with duckdb.connect() as engine:
        rows = engine.execute(
            f"select {arm_expression('bucket', shares)} from range({BUCKETS}) as b(bucket)"
            " order by bucket"
        ).fetchall()
    arms = [row[0] for row in rows]
    assert arms == [arm_of(bucket, shares) for bucket in range(BUCKETS)]
    for name, share in shares.items():
        assert arms.count(name) == round(share * BUCKETS)
    assert arms.count(REST) == BUCKETS - list(ends.values())[-1]


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"a": 0.6, "b": 0.5}, "add up to 1.1"),
        ({"a": 0.0}, "share of 'a' is 0"),
        ({"a": -0.1}, "share of 'a' is -0.1"),
        ({"a": 1.2}, "share of 'a' is 1.2"),
        ({"a": float("nan")}, "share of 'a' is nan"),
        ({"a": 0.00005}, "finer than 0.0001"),
        ({"a": 0.33333}, "finer than 0.0001"),
    ],
)
def test_impossible_shares_are_refused(shares: dict[str, float], message: str) -> None:
    with pytest.raises(DesignError, match=message):
        bucket_ends(shares)


def test_the_whole_base_can_be_given_out() -> None:
    assert bucket_ends({"a": 0.3333, "b": 0.3333, "c": 0.3334}) == {
        "a": 3333,
        "b": 6666,
        "c": 10_000,
    }


def test_the_sample_ratio_of_fresh_salts_is_chance() -> None:
    ids = [f"customer-{number}" for number in range(3_000)]
    p_values = []
    for salt in range(200):
        held = sum(bucket_of(f"salt-{salt}", who) < 500 for who in ids)
        observed = {"control": held, "treatment": len(ids) - held}
        p_values.append(sample_ratio_test(observed, {"control": 0.05, "treatment": 0.95}).p_value)
    for level in (0.05, 0.25, 0.5, 0.75):
        below = sum(p <= level for p in p_values)
        assert stats.binomtest(below, len(p_values), level, "greater").pvalue > 1e-4
    assert 0.4 < sum(p_values) / len(p_values) < 0.62
