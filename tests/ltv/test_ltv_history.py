"""Purchase history: policies by hand, an outside reference, impossible input."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_lab.errors import DesignError
from crm_lab.ltv import PurchaseHistory, history_from_summary, purchase_history, split_history
from crm_lab.ltv.history import distinct_histories

AS_OF = date(2026, 1, 29)
CALIBRATION_END, HOLDOUT_END = date(1997, 9, 30), date(1998, 6, 30)

# Times are quotients of the same integers; only the last bit may differ.
EXACT = 1e-12


def orders(*rows: tuple[object, object, object]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["customer_id", "ordered_at", "amount"])
    frame["ordered_at"] = pd.to_datetime(frame["ordered_at"], format="mixed")
    return frame


def summary(**columns: list[object]) -> pd.DataFrame:
    good: dict[str, list[object]] = {
        "customer_id": ["a", "b"],
        "frequency": [2, 0],
        "recency": [3.0, 0.0],
        "age": [4.0, 4.0],
        "monetary_value": [10.0, np.nan],
    }
    return pd.DataFrame({**good, **columns})


def test_policies_by_hand() -> None:
    history = purchase_history(
        orders(
            ("a", "2026-01-01 10:00", 5),
            ("a", "2026-01-01 18:00", 5),  # the same day
            ("a", "2026-01-08", 0),  # free, yet a purchase
            ("a", "2026-01-15", 20),
            ("a", "2026-01-15", -8),  # netted
            ("a", "2026-01-22", -20),  # a refund alone
            ("a", "2026-02-01", 99),  # after the closing day
            ("b", "2026-01-29 23:59", 7),
            ("c", "2026-01-05", -1),
        ),
        as_of=AS_OF,
    )
    table = history.customers.set_index("customer_id")
    assert table.index.tolist() == ["a", "b"]
    assert table.loc["a", ["frequency", "recency", "age"]].tolist() == [2, 2.0, 4.0]
    assert table.loc["a", ["paid_frequency", "monetary_value"]].tolist() == [1, 12.0]
    assert table.loc["b", ["frequency", "recency", "age"]].tolist() == [0, 0.0, 0.0]
    assert np.isnan(table.loc["b", "monetary_value"])
    health = history.health
    assert health.rows == 9
    assert health.rows_after_as_of == 1
    assert health.same_day_orders == 1
    assert health.refund_rows == 3
    assert health.refund_only_days == 2
    assert health.customers_without_purchase == 1
    assert health.unpaid_repeat_days == 1
    assert history.paid_share == 0.5
    assert "1 rows after the closing day" in history.sentence()
    assert "customers" not in history.to_dict()


def test_days_do_not_lose_repeats_of_one_calendar_week() -> None:
    history = purchase_history(
        orders(("a", "2026-01-05", 1), ("a", "2026-01-07", 1), ("a", "2026-01-09", 1)),
        as_of=AS_OF,
        unit_days=7,
    )
    assert history.customers.loc[0, "frequency"] == 2
    assert history.customers.loc[0, "recency"] == pytest.approx(4 / 7, abs=EXACT)


def test_cdnow_sample_equals_the_published_summary(
    cdnow_history: PurchaseHistory, shared_data: Path
) -> None:
    path = shared_data / "ltv" / "cdnow_sample_cbs_money_39w.csv"
    published = pd.read_csv(path)
    ours = cdnow_history.customers
    np.testing.assert_array_equal(ours["frequency"], published["x"])
    np.testing.assert_allclose(ours["recency"], published["t_x"], atol=EXACT * 1000)
    np.testing.assert_allclose(ours["age"], published["T"], atol=EXACT * 1000)
    np.testing.assert_allclose(ours["monetary_value"].fillna(0), published["m_x"], atol=1e-6)


def test_split_holds_out_what_happened(cdnow: pd.DataFrame) -> None:
    split = split_history(cdnow, calibration_end=CALIBRATION_END, as_of=HOLDOUT_END)
    assert split.holdout_periods == 39
    assert split.newcomers == 0
    assert split.holdout["holdout_orders"].sum() == 1882
    assert split.calibration.customers["frequency"].sum() == 2457
    whole = purchase_history(cdnow, as_of=HOLDOUT_END)
    assert whole.customers["frequency"].sum() == 2457 + 1882


def test_newcomers_of_the_holdout_are_counted_and_left_out() -> None:
    frame = orders(("a", "2026-01-01", 1), ("b", "2026-01-20", 1), ("a", "2026-01-21", 3))
    split = split_history(frame, calibration_end=date(2026, 1, 10), as_of=AS_OF)
    assert split.newcomers == 1
    assert split.holdout.to_dict("list") == {
        "customer_id": ["a"],
        "holdout_orders": [1],
        "holdout_spend": [3.0],
    }


def test_summary_equals_history_from_orders(cdnow_history: PurchaseHistory) -> None:
    again = history_from_summary(cdnow_history.customers, as_of=CALIBRATION_END)
    pd.testing.assert_frame_equal(again.customers, cdnow_history.customers)


def test_distinct_histories_give_the_customers_back(cdnow_history: PurchaseHistory) -> None:
    tuples = distinct_histories(cdnow_history)
    frame = cdnow_history.customers
    assert tuples.customers.sum() == len(frame)
    assert len(tuples.customers) == 1016
    np.testing.assert_array_equal(tuples.frequency[tuples.position], frame["frequency"])
    np.testing.assert_array_equal(tuples.age[tuples.position], frame["age"])


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 20), st.integers(-3, 5)),
        min_size=1,
        max_size=40,
    )
)
def test_against_a_loop(rows: list[tuple[str, int, int]]) -> None:
    start = pd.Timestamp("2026-01-01")
    frame = orders(*((who, start + pd.Timedelta(days=day), amount) for who, day, amount in rows))
    bought = {(who, day) for who, day, amount in rows if amount >= 0}
    if not bought:
        with pytest.raises(DesignError, match="nobody bought"):
            purchase_history(frame, as_of=AS_OF)
        return
    history = purchase_history(frame, as_of=AS_OF, unit_days=1)
    expected = {}
    for who in sorted({name for name, _ in bought}):
        days = sorted(day for name, day in bought if name == who)
        totals = [sum(r[2] for r in rows if r[:2] == (who, day)) for day in days[1:]]
        paid = [total for total in totals if total > 0]
        expected[who] = (len(days) - 1, days[-1] - days[0], 28 - days[0], len(paid), sum(paid))
    got = {
        row.customer_id: (
            row.frequency,
            row.recency,
            row.age,
            row.paid_frequency,
            round(row.monetary_value * row.paid_frequency) if row.paid_frequency else 0,
        )
        for row in history.customers.itertuples()
    }
    assert got == expected


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"recency": [5.0, 0.0]}, "recency.*not above age"),
        ({"frequency": [-1, 0]}, "frequency.*whole number"),
        ({"frequency": [1.5, 0]}, "frequency.*whole number"),
        ({"frequency": [np.nan, 0]}, "frequency.*whole number"),
        ({"frequency": [30, 0]}, "not more than the days in recency"),
        ({"frequency": [2, 0], "recency": [3.0, 1.0]}, "customer b.*0 where frequency is 0"),
        ({"recency": [0.0, 0.0]}, "not more than the days in recency"),
        ({"age": [np.inf, 4.0]}, "age.*finite"),
        ({"monetary_value": [-2.0, np.nan]}, "monetary_value.*above 0"),
        ({"monetary_value": [np.inf, np.nan]}, "monetary_value.*above 0"),
        ({"customer_id": ["a", "a"]}, "customer_id.*each customer once"),
        ({"customer_id": [1.0, 2.0]}, "decimal numbers"),
        ({"customer_id": ["a", None]}, "without a customer_id"),
        ({"frequency": ["two", "none"]}, "frequency holds"),
        ({"paid_frequency": [3, 0]}, "paid_frequency"),
    ],
)
def test_impossible_summaries(columns: dict[str, list[object]], message: str) -> None:
    with pytest.raises(DesignError, match=f"(?s){message}"):
        history_from_summary(summary(**columns), as_of=AS_OF)


def test_every_fault_at_once() -> None:
    with pytest.raises(DesignError) as caught:
        history_from_summary(summary(frequency=[-1, 0], age=[np.nan, 1.0]), as_of=AS_OF)
    assert len(caught.value.faults) == 2


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"customer_id": ["a"]}), "columns missing: ordered_at"),
        (orders(), "no orders"),
        (orders(("a", "2026-01-01", np.nan)), "amount"),
        (orders(("a", "2026-01-01", np.inf)), "amount"),
        (orders(("a", None, 1)), "ordered_at"),
        (orders((1.5, "2026-01-01", 1)), "decimal numbers"),
        (orders(("a", "2027-01-01", 1)), "nobody bought until 2026-01-29"),
        (
            pd.DataFrame({"customer_id": ["a"], "ordered_at": [20260101], "amount": [1]}),
            "expected: dates|Expected: dates",
        ),
        (
            orders(("a", "2026-01-01", 1), ("a", "2026-01-02", 1)).assign(currency=["USD", "EUR"]),
            "2 currencies: USD, EUR",
        ),
    ],
)
def test_impossible_purchases(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(DesignError, match=message):
        purchase_history(frame, as_of=AS_OF)


def test_reversed_split_dates() -> None:
    frame = orders(("a", "2026-01-01", 1))
    with pytest.raises(DesignError, match="something is held out"):
        split_history(frame, calibration_end=AS_OF, as_of=AS_OF)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"unit_days": 0}, "unit_days"), ({"value_kind": "profit"}, "revenue or margin")],
)
def test_impossible_settings(settings: dict[str, object], message: str) -> None:
    frame = orders(("a", "2026-01-01", 1))
    with pytest.raises(DesignError, match=message):
        purchase_history(frame, as_of=AS_OF, **settings)  # type: ignore[arg-type]


def test_currency_comes_from_its_column_and_must_agree() -> None:
    frame = orders(("a", "2026-01-01", 1)).assign(currency="EUR")
    assert purchase_history(frame, as_of=AS_OF).currency == "EUR"
    with pytest.raises(DesignError, match="in EUR, not in USD"):
        purchase_history(frame, as_of=AS_OF, currency="USD")


def test_dates_as_objects_and_times_with_a_zone() -> None:
    as_objects = pd.DataFrame(
        {"customer_id": ["a", "a"], "ordered_at": [date(2026, 1, 1), date(2026, 1, 8)]}
    )
    history = purchase_history(as_objects, as_of=AS_OF)
    assert history.customers.loc[0, "frequency"] == 1
    assert history.n_spenders == 0
    zoned = pd.DataFrame(
        {"customer_id": ["a"], "ordered_at": [datetime(2026, 1, 29, 23, 30, tzinfo=UTC)]}
    )
    assert purchase_history(zoned, as_of=AS_OF).customers.loc[0, "age"] == 0


def test_input_is_not_changed(cdnow: pd.DataFrame) -> None:
    before = cdnow.copy()
    purchase_history(cdnow, as_of=CALIBRATION_END)
    pd.testing.assert_frame_equal(cdnow, before)
