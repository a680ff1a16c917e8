from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_lab.errors import DesignError
from crm_lab.stats import adjust_p_values
from crm_lab.stats.multiplicity import AdjustmentMethod

METHODS: tuple[AdjustmentMethod, ...] = ("holm", "benjamini-hochberg")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.sampled_from(METHODS))
def test_adjusted_values_follow_the_definition(
    p_values: list[float], method: AdjustmentMethod
) -> None:
    p = np.array(p_values)
    adjusted = adjust_p_values(p, method=method)
    order = np.argsort(p, kind="stable")
    m = p.size
    if method == "holm":
        steps = np.maximum.accumulate(p[order] * (m - np.arange(m)))
    else:
        steps = np.minimum.accumulate((p[order] * m / (np.arange(m) + 1))[::-1])[::-1]
    assert adjusted[order] == pytest.approx(np.minimum(steps, 1.0), abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_a_test_that_was_not_made_does_not_count(method: AdjustmentMethod) -> None:
    adjusted = adjust_p_values([0.02, math.nan, 0.5], method=method)
    assert math.isnan(adjusted[1])
    assert adjusted[[0, 2]] == pytest.approx(adjust_p_values([0.02, 0.5], method=method))


def test_nothing_to_adjust() -> None:
    assert adjust_p_values([]).size == 0
    assert np.isnan(adjust_p_values([math.nan])).all()


def test_impossible_inputs() -> None:
    with pytest.raises(DesignError, match="outside 0 to 1"):
        adjust_p_values([0.1, 1.2])
    with pytest.raises(DesignError, match="method is 'sidak'"):
        adjust_p_values([0.1], method="sidak")  # type: ignore[arg-type]
