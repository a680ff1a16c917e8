"""How results of designs show themselves."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from crm_lab.cards import RESULT_MIME, Result
from crm_lab.stats import (
    compare_proportions,
    compare_stratified_means,
    complier_effect,
    dilution,
    pool_effects,
    read_proportions,
)

MAX_CARD_BYTES = 6_000
EVIL = "<script>alert(1)</script>"


def league() -> Result:
    rng = np.random.default_rng(1)
    names = [EVIL, *(f"effect {i}" for i in range(19))]
    return pool_effects(rng.normal(size=20), np.ones(20), alpha=0.05, names=names)


def within_strata() -> Result:
    rng = np.random.default_rng(1)
    strata = np.repeat([EVIL, "other"], 20)
    y_t, y_c = rng.normal(size=(2, 40))
    return compare_stratified_means(y_t, strata, y_c, strata, alpha=0.05, rng=rng, permutations=99)


def reached() -> Result:
    rng = np.random.default_rng(1)
    marks = rng.random(50) < 0.5
    y_t, y_c = rng.normal(size=(2, 50))
    return complier_effect(y_t, marks, y_c, alpha=0.05, rng=rng, permutations=99, metric=EVIL)


def contaminated() -> Result:
    return dilution(
        compare_proportions(6, 100, 3, 90, alpha=0.05, metric=EVIL), contaminated_share=0.1
    )


def reading() -> Result:
    return read_proportions(6, 100, 3, 90, alpha=0.05, metric=EVIL)


@pytest.mark.parametrize("make", [league, within_strata, reached, contaminated, reading])
def test_a_card_is_small_escaped_and_carries_itself(make: Any) -> None:
    result = make()
    html = result._repr_html_()
    assert len(html.encode()) <= MAX_CARD_BYTES
    assert "<script" not in html
    assert EVIL.replace("<", "&lt;").replace(">", "&gt;") in html
    bundle = result._repr_mimebundle_()[RESULT_MIME]
    assert json.loads(json.dumps(bundle, allow_nan=False))["sentence"] == result.sentence()
    assert not result.to_frame().empty


def test_the_card_of_a_league_begins_with_the_most_probable_best() -> None:
    card = league().card_frame()
    assert card["probability_best"].is_monotonic_decreasing
    assert math.isclose(card["probability_best"].sum(), 1.0, rel_tol=1e-9)
