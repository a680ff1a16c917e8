"""Features: known before the draw or refused; encoded by what was learned once."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from crm_lab.errors import DesignError
from crm_lab.uplift.features import NOT_KNOWN, SMALLEST_LEVEL, Encoder, Features

DRAWN_AT = datetime(2024, 5, 1)
FRAME = pd.DataFrame(
    {
        "orders": [1.0, np.nan, 3.0, 4.0] * 10,
        "is_member": [True, False, True, True] * 10,
        "region": ["north", "south", None, "south"] * 10,
    }
)


def test_a_feature_known_after_the_draw_is_refused_with_every_other_one() -> None:
    late = {"orders": DRAWN_AT, "is_member": datetime(2024, 5, 2), "region": datetime(2024, 6, 1)}
    with pytest.raises(DesignError, match=r"is_member: known only on 2024-05-02(.|\n)*region:"):
        Features.of(FRAME, known_at=late).check_before(DRAWN_AT)


def test_features_until_the_draw_are_taken() -> None:
    Features.of(FRAME, known_at=DRAWN_AT).check_before(DRAWN_AT)


@pytest.mark.parametrize(
    ("frame", "known_at", "message"),
    [
        (FRAME[[]], DRAWN_AT, "there is no feature"),
        (FRAME[["orders", "orders"]], DRAWN_AT, "come twice: orders"),
        (FRAME, {"orders": DRAWN_AT}, "without a moment: is_member, region"),
    ],
)
def test_what_is_no_table_of_features(
    frame: pd.DataFrame, known_at: datetime | dict[str, datetime], message: str
) -> None:
    with pytest.raises(DesignError, match=message):
        Features.of(frame, known_at=known_at)


def test_encoding_by_hand() -> None:
    encoder = Encoder.fit(FRAME, missing="fill")
    columns = dict(zip(encoder.columns, encoder.encode(FRAME).T, strict=True))
    known = FRAME["orders"].dropna()
    expected = ((FRAME["orders"] - known.mean()) / known.std(ddof=0)).fillna(0.0)
    np.testing.assert_allclose(columns["orders"], expected)
    np.testing.assert_array_equal(columns["orders is missing"], FRAME["orders"].isna())
    # 10 customers are too few for a column of their own
    assert set(columns) == {"orders", "is_member", "orders is missing", "region = south"}
    assert SMALLEST_LEVEL > 10
    np.testing.assert_array_equal(columns["region = south"], FRAME["region"] == "south")


def test_kept_missing_values_stay_missing() -> None:
    encoded = Encoder.fit(FRAME, missing="keep").encode(FRAME)
    np.testing.assert_array_equal(np.isnan(encoded[:, 0]), FRAME["orders"].isna())


def test_refused_missing_values() -> None:
    with pytest.raises(DesignError, match="orders: 10 missing values"):
        Encoder.fit(FRAME, missing="refuse")


def test_a_category_unseen_at_scoring_is_like_no_level_and_is_counted() -> None:
    encoder = Encoder.fit(FRAME, missing="fill")
    later = FRAME.assign(region=["moon", *FRAME["region"][1:]])
    assert encoder.unseen(later) == {"region": 1}
    assert encoder.unseen(FRAME) == {}
    assert not encoder.encode(later)[0, -1]


def test_a_missing_category_is_a_level() -> None:
    frame = pd.DataFrame({"region": [None] * SMALLEST_LEVEL})
    assert Encoder.fit(frame).columns == (f"region = {NOT_KNOWN}",)


def test_a_feature_that_is_not_there() -> None:
    encoder = Encoder.fit(FRAME)
    with pytest.raises(DesignError, match="not there: region"):
        encoder.encode(FRAME[["orders", "is_member"]])


def test_a_moment_is_no_feature() -> None:
    with pytest.raises(DesignError, match="a moment is no feature"):
        Encoder.fit(pd.DataFrame({"last": [pd.Timestamp("2024-01-01")]}))
