from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate
from scipy import stats as scipy_stats

from crm_lab.errors import DesignError
from crm_lab.stats import Moments
from crm_lab.stats.confidence_sequences import (
    ConfidenceSequence,
    _log_evidence,
    confidence_sequence,
    sequence_quantile,
)
from crm_lab.stats.large_means import skew_term, t_of_normal

# Two routes to the same number differ by rounding only.
ROUNDING = 1e-9
SIDES: tuple[Any, ...] = ("both", "more", "less")


def generator(seed: int = 5) -> np.random.Generator:
    return np.random.default_rng(seed)


def arm(n: int, mean: float, *, variance: float = 1.0, skewness: float = 0.0) -> Moments:
    return Moments(n=n, mean=mean, m2=variance * (n - 1), m3=skewness * variance**1.5 * n)


def judged(*looks: tuple[Moments, Moments], **given: Any) -> ConfidenceSequence:
    given = {"alpha": 0.05, "planned_units": 40_000} | given
    return confidence_sequence(looks, **given)


@pytest.mark.parametrize("mixing", [0.05, 1.0, 8.0, 200.0])
@pytest.mark.parametrize("z", [-2.0, 0.0, 1.0, 4.0])
@pytest.mark.parametrize("side", SIDES)
def test_evidence_is_the_ratio_of_the_mixture(mixing: float, z: float, side: Any) -> None:
    # Means drawn from a normal (or half of one) of variance ``mixing`` in squared errors.
    prior = scipy_stats.norm(0, math.sqrt(mixing))
    low, high = {"both": (-np.inf, np.inf), "more": (0, np.inf), "less": (-np.inf, 0)}[side]
    factor = 1 if side == "both" else 2

    def ratio(mean: float) -> float:
        return float(factor * prior.pdf(mean) * math.exp(z * mean - mean**2 / 2))

    expected, _ = integrate.quad(ratio, max(low, -30), min(high, 30), points=[0.0, z], limit=200)
    assert math.exp(_log_evidence(z, mixing, side=side)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("progress", [0.02, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("side", ["both", "more"])
def test_at_the_quantile_the_evidence_is_one_over_alpha(progress: float, side: Any) -> None:
    quantile = sequence_quantile(progress, alpha=0.05, side=side)
    level = 0.05 if side == "both" else 0.1
    mixing = progress * (-2 * math.log(level) + math.log(1 - 2 * math.log(level)))
    assert _log_evidence(quantile, mixing, side=side) == pytest.approx(
        -math.log(0.05), rel=ROUNDING
    )


def test_the_interval_is_narrowest_about_the_planned_end() -> None:
    parts = np.array([0.25, 0.5, 0.9, 1.0, 1.1, 2.0, 4.0])
    quantiles = [sequence_quantile(part, alpha=0.05) for part in parts]
    # The choice of rho is the authors' approximation of the best one.
    assert min(quantiles) == pytest.approx(quantiles[3], rel=0.005)
    assert quantiles[0] > quantiles[3]
    assert quantiles[-1] > quantiles[3]


@given(
    difference=st.floats(-0.4, 0.4),
    progress=st.sampled_from([0.1, 1.0, 2.0]),
    skewness=st.sampled_from([0.0, 3.0]),
    side=st.sampled_from(SIDES),
)
def test_p_value_and_interval_never_disagree(
    difference: float, progress: float, skewness: float, side: Any
) -> None:
    looks = (arm(19_000, 1 + difference, skewness=skewness), arm(1_000, 1.0, skewness=skewness))
    found = judged(looks, planned_units=round(20_000 / progress), side=side).last
    assert found.is_reliable
    assert (found.low > 0 or found.high < 0) == (found.p_value <= 0.05)
    assert found.low <= found.estimate <= found.high


def test_skewness_moves_the_ends() -> None:
    looks = arm(19_000, 1.0, skewness=5.0), arm(1_000, 1.0, skewness=5.0)
    plain = judged((arm(19_000, 1.0), arm(1_000, 1.0)), planned_units=20_000).last
    found = judged(looks, planned_units=20_000).last
    # A small control misses large values: what lies below is less sure.
    assert found.low < plain.low
    assert found.high < plain.high
    error = math.sqrt(1 / 19_000 + 1 / 1_000)
    quantile = sequence_quantile(1.0, alpha=0.05)
    assert found.low == pytest.approx(-error * t_of_normal(quantile, skew_term(*looks)))


def test_sides_mirror_each_other() -> None:
    one = judged((arm(19_000, 1.1), arm(1_000, 1.0)), side="more").last
    other = judged((arm(19_000, 0.9), arm(1_000, 1.0)), side="less").last
    assert one.high == math.inf
    assert other.low == -math.inf
    assert one.low == pytest.approx(-other.high, rel=ROUNDING)
    assert one.p_value == pytest.approx(other.p_value, rel=ROUNDING)
    both = judged((arm(19_000, 1.1), arm(1_000, 1.0))).last
    assert both.low < one.low < one.estimate


def test_units_that_arrive_and_values_that_add_up_are_one_formula() -> None:
    looks = arm(19_000, 1.1), arm(1_000, 1.0)
    error = math.sqrt(1 / 19_000 + 1 / 1_000)
    one = judged(looks, planned_units=40_000).last
    # Half of the information: the error of the end is larger by the root of two, as sums grow.
    other = judged(looks, planned_units=None, planned_error=error * math.sqrt(2)).last
    assert (one.low, one.high, one.p_value) == pytest.approx(
        (other.low, other.high, other.p_value), rel=ROUNDING
    )


def test_the_p_value_never_rises_and_the_first_claim_stays() -> None:
    control = arm(1_000, 1.0), arm(1_500, 1.0), arm(2_000, 1.0)
    treated = arm(19_000, 1.2), arm(28_500, 1.02), arm(38_000, 1.01)
    found = judged(*zip(treated, control, strict=True))
    assert found.first_shown == 1
    assert len({look.p_value for look in found.looks}) == 1
    assert "since look 1; one may stop" in found.sentence()
    assert found.last.low < 0


def test_a_look_that_is_too_early_warns_and_claims_nothing() -> None:
    early = arm(1_900, 3.0), arm(100, 1.0)
    found = judged(early)
    assert not found.last.is_reliable
    assert found.last.low > 0
    assert math.isnan(found.last.p_value)
    assert found.first_shown is None
    assert "Do not stop on this: the smaller arm has 100 units" in found.sentence()
    heavy = arm(38_000, 3.0, skewness=80.0), arm(2_000, 1.0, skewness=80.0)
    found = judged(early, heavy)
    assert "for values as skewed as these" in found.sentence()
    assert found.first_shown is None


def test_sentence_table_and_plot() -> None:
    empty = Moments(n=0, mean=math.nan, m2=0.0, m3=0.0)
    looks = [
        (empty, empty),
        (arm(1_900, 1.1), arm(100, 1.0)),
        (arm(19_000, 1.1), arm(1_000, 1.0)),
    ]
    assert judged(looks[0]).sentence() == ("mean: cannot conclude, because arm treatment is empty.")
    found = judged(*looks, metric="revenue", arms=("mail", "control"))
    assert "revenue: mail 1.10 against control 1.00 at look 3." in found.sentence()
    assert "an interval that allows for every look" in found.sentence()
    assert "Cannot conclude at the 5 % level; go on" in found.sentence()
    frame = found.to_frame()
    assert frame["look"].tolist() == [1, 2, 3]
    assert frame["reliable"].tolist() == [False, False, True]
    assert found.to_dict()["looks"][0]["estimate"] is None
    assert "revenue: mail against control, look by look" in found._repr_html_()
    one_sided = judged(*looks, side="more")
    assert "no upper bound" in one_sided.sentence()


def test_callers_mistakes() -> None:
    look = arm(19_000, 1.1), arm(1_000, 1.0)
    with pytest.raises(DesignError, match="both given or both left out"):
        confidence_sequence([look], alpha=0.05)
    with pytest.raises(DesignError, match="both given or both left out"):
        judged(look, planned_error=1.0)
    with pytest.raises(DesignError, match="there is no look"):
        judged()
    with pytest.raises(DesignError, match="look 2 has fewer units"):
        judged(look, (arm(100, 1.0), arm(900, 1.0)))
    with pytest.raises(DesignError, match=r"alpha is 0\.6 with one side"):
        judged(look, alpha=0.6, side="more")
    with pytest.raises(DesignError, match="planned_error is -1"):
        judged(look, planned_units=None, planned_error=-1.0)
    with pytest.raises(DesignError, match="progress is 0"):
        sequence_quantile(0.0, alpha=0.05)
    with pytest.raises(DesignError, match=r"alpha is 0\.5 with one side"):
        sequence_quantile(1.0, alpha=0.5, side="less")


@pytest.mark.slow
def test_daily_looks_keep_the_error_where_a_usual_interval_does_not() -> None:
    rng, runs, days = generator(41), 600, 28
    claims = {"sequence": 0, "usual": 0}
    for _ in range(runs):
        control = rng.binomial(1_000, 0.1, days).cumsum()
        treated = rng.binomial(19_000, 0.1, days).cumsum()
        looks, usual = [], False
        for day in range(days):
            pair = []
            for count, n in ((treated[day], 19_000 * (day + 1)), (control[day], 1_000 * (day + 1))):
                pair.append(Moments.from_weighted([0, 1], [n - count, count]))
            looks.append((pair[0], pair[1]))
            error = math.sqrt(sum(p.variance / p.n for p in pair))
            usual |= abs(pair[0].mean - pair[1].mean) > 1.96 * error
        found = confidence_sequence(looks, alpha=0.05, planned_units=20_000 * days)
        claims["sequence"] += found.first_shown is not None
        claims["usual"] += usual
    # Three standard errors of a share of 5 %.
    allowed = 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    assert claims["sequence"] / runs < allowed
    assert claims["usual"] / runs > 0.2
