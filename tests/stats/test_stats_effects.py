from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from crm_lab import cards
from crm_lab.stats import Comparison, Effect, compare_means, compare_proportions

COLUMNS = [
    "metric",
    "variant",
    "control",
    "effect",
    "estimate",
    "low",
    "high",
    "p_value",
    "method",
    "n_treatment",
    "n_control",
    "reason",
]


@pytest.fixture
def conversion() -> Comparison:
    return compare_proportions(
        56, 70, 48, 80, alpha=0.05, metric="conversion", arms=("mail <b>", "holdout")
    )


def test_the_long_form(conversion: Comparison) -> None:
    frame = conversion.to_frame()
    assert list(frame.columns) == COLUMNS
    assert frame["effect"].tolist() == ["absolute", "relative"]
    assert frame["n_control"].tolist() == [80, 80]
    assert frame.loc[0, "estimate"] == pytest.approx(0.2)
    assert frame.loc[1, "estimate"] == pytest.approx(1 / 3)


def test_the_card_names_the_arms_and_escapes_them(conversion: Comparison) -> None:
    assert conversion.title == "conversion: mail <b> against holdout"
    page = conversion._repr_html_()
    assert "mail &lt;b&gt;" in page
    assert "<b>" not in page


def test_the_card_carries_itself_as_data(conversion: Comparison) -> None:
    bundle = conversion._repr_mimebundle_()[cards.RESULT_MIME]
    assert bundle["kind"] == "comparison"
    again = json.loads(json.dumps(bundle))["data"]
    assert again["absolute"]["alpha"] == 0.05
    assert again["relative"]["method"] == "Koopman score interval and test"


def test_a_number_is_not_written_as_a_share() -> None:
    rng = np.random.default_rng(4)
    treatment, control = rng.normal(130, 20, 300), rng.normal(100, 20, 90)
    result = compare_means(
        treatment, control, alpha=0.05, rng=rng, permutations=999, metric="revenue"
    )
    sentence = result.sentence()
    assert sentence.startswith("revenue: treatment 1")
    assert "percentage points" not in sentence
    assert sentence.endswith("The data show a difference at the 5 % level.")


def test_no_conclusion_is_said_as_such() -> None:
    sentence = compare_proportions(10, 100, 5, 50, alpha=0.1).sentence()
    assert sentence.endswith(
        "Cannot conclude at the 10 % level: the interval includes no difference."
    )


def test_effects_do_not_change(conversion: Comparison) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        conversion.absolute.estimate = 0.0  # type: ignore[misc]


def test_an_unknown_effect_is_never_significant() -> None:
    effect = compare_proportions(0, 0, 1, 2, alpha=0.05).absolute
    assert isinstance(effect, Effect)
    assert not effect.is_known
    assert not effect.is_significant
    assert math.isnan(effect.p_value)
