"""What results of statistics say in Russian."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from crm_lab.cards import Result
from crm_lab.errors import DesignError
from crm_lab.language import using_language, word
from crm_lab.stats import (
    Moments,
    compare_clustered_means,
    compare_means,
    compare_proportions,
    compare_quantiles,
    compare_ratios,
    compare_stratified_means,
    compare_survival,
    complier_effect,
    confidence_sequence,
    dilution,
    group_sequential,
    minimum_detectable_effect_proportion,
    pool_effects,
    read_means,
    read_proportions,
    required_total,
    sample_ratio_test,
    simulate_power,
)
from tests.russian import latin_words

SPLITS = 199
WORDS = ("tau", "theta", "CR1", "CR2", "Beta")


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def spend(n: int, lift: float = 0.0) -> np.ndarray:
    return rng().gamma(2.0, 10.0, n) * (1.0 + lift)


def looks() -> list[tuple[Moments, Moments]]:
    return [
        (Moments.from_array(spend(n, 0.2)), Moments.from_array(spend(n // 2)))
        for n in (400, 800, 1_200)
    ]


def stratified(method: str = "permutation") -> Result:
    strata = np.tile(["a", "b", "b"], 40)
    return compare_stratified_means(
        *(spend(120, 0.2), strata, spend(120), strata),
        alpha=0.05,
        rng=rng(),
        permutations=SPLITS,
        method=method,  # type: ignore[arg-type]
    )


def reached(share: float) -> Result:
    marks = rng().random(200) < share
    return complier_effect(
        spend(200, 0.2), marks, spend(200), alpha=0.05, rng=rng(), permutations=SPLITS
    )


def survival(n: int) -> Result:
    times, came = rng().exponential(20.0, n), rng().random(n) < 0.7
    return compare_survival(
        *(times, came, times * 1.3, came),
        horizon=30,
        by=(14,),
        alpha=0.05,
        rng=rng(),
        permutations=SPLITS,
    )


def clustered(method: str) -> Result:
    labels = np.repeat(np.arange(20), 5)
    return compare_clustered_means(
        *(spend(100), labels, spend(100, 0.3), labels + 20),
        alpha=0.05,
        rng=rng(),
        permutations=SPLITS,
        method=method,  # type: ignore[arg-type]
    )


def ratios(method: str) -> Result:
    orders = rng().integers(0, 4, 200)
    return compare_ratios(
        *(spend(200, 0.1), orders, spend(200), orders),
        alpha=0.05,
        rng=rng(),
        permutations=SPLITS,
        method=method,  # type: ignore[arg-type]
    )


RESULTS: dict[str, Callable[[], Result]] = {
    "shares": lambda: compare_proportions(56, 70, 48, 80, alpha=0.05),
    "no events": lambda: compare_proportions(0, 70, 0, 80, alpha=0.05),
    "empty arm": lambda: compare_proportions(0, 0, 0, 80, alpha=0.05),
    "no buyers in control": lambda: compare_proportions(9, 70, 0, 80, alpha=0.05),
    "means": lambda: compare_means(
        spend(90, 0.4), spend(40), alpha=0.05, rng=rng(), permutations=SPLITS
    ),
    "equal values": lambda: compare_means([1, 1], [1, 1], alpha=0.05, rng=rng()),
    "quantiles": lambda: compare_quantiles(spend(300, 0.5), spend(200), q=0.5, alpha=0.05),
    "quantiles of few": lambda: compare_quantiles([1, 2, 3], [4, 5, 6], q=0.9, alpha=0.05),
    "ratios": lambda: ratios("permutation"),
    "ratios by fieller": lambda: ratios("fieller"),
    "ratios by delta": lambda: ratios("delta"),
    "clusters": lambda: clustered("permutation"),
    "clusters by cr1": lambda: clustered("cr1"),
    "clusters by cr2": lambda: clustered("cr2"),
    "strata": stratified,
    "strata by t": lambda: stratified("t"),
    "reached": lambda: reached(0.6),
    "nobody reached": lambda: reached(0.0),
    "contaminated": lambda: dilution(
        compare_proportions(60, 1_000, 40, 1_000, alpha=0.05), contaminated_share=0.1
    ),
    "contaminated as much": lambda: dilution(
        compare_proportions(60, 1_000, 40, 1_000, alpha=0.05),
        contaminated_share=0.5,
        reached_share=0.5,
    ),
    "reading of shares": lambda: read_proportions(60, 1_000, 40, 1_000, alpha=0.05),
    "reading of means": lambda: read_means(spend(900, 0.4), spend(800), alpha=0.05),
    "reading of equal values": lambda: read_means([1, 1], [1, 1], alpha=0.05),
    "looks": lambda: confidence_sequence(looks(), alpha=0.05, planned_units=3_000),
    "first look": lambda: confidence_sequence(looks()[:1], alpha=0.05, planned_units=3_000),
    "pooled": lambda: pool_effects([5.0, 2.0, 1.0], [1.0, 1.0, 1.0], alpha=0.05),
    "one effect": lambda: pool_effects([5.0], [1.0], alpha=0.05),
    "no effect": lambda: pool_effects([5.0], [0.0], alpha=0.05),
    "ratio as planned": lambda: sample_ratio_test(
        {"control": 51, "letter": 949}, {"control": 0.05, "letter": 0.95}
    ),
    "ratio broken": lambda: sample_ratio_test(
        {"control": 90, "letter": 910}, {"control": 0.05, "letter": 0.95}
    ),
    "ratio of strangers": lambda: sample_ratio_test(
        {"control": 9, "letter": 1}, {"control": 1.0, "letter": 0.0}
    ),
    "smallest effect": lambda: minimum_detectable_effect_proportion(
        0.10, 2_850, 150, alpha=0.05, power=0.8
    ),
    "no effect large enough": lambda: minimum_detectable_effect_proportion(
        0.9, 20, 10, alpha=0.05, power=0.8
    ),
    "size": lambda: required_total(
        base_rate=0.1, relative_effect=0.1, control_share=0.05, alpha=0.05, power=0.8
    ),
    "no size": lambda: required_total(
        base_rate=0.6, relative_effect=0.9, control_share=0.05, alpha=0.05, power=0.8
    ),
    "planned looks": lambda: group_sequential(3, alpha=0.05, power=0.8),
    "planned one look": lambda: group_sequential(1, alpha=0.05, power=0.8),
    "simulated": lambda: simulate_power(
        np.where(rng().random(900) < 0.3, spend(900), 0.0),
        n_treatment=600,
        n_control=300,
        effects=(0.1, 0.5),
        how="more buyers",
        replicates=20,
        permutations=SPLITS,
        alpha=0.05,
        power=0.8,
        rng=rng(),
    ),
    "survival": lambda: survival(60),
    "survival of few": lambda: survival(2),
}


@pytest.mark.parametrize("name", RESULTS)
def test_nothing_of_a_card_is_left_in_english(name: str) -> None:
    with using_language("ru"):
        result = RESULTS[name]()
        methods = [word(str(method)) for method in result.to_frame().get("method", ())]
        shown = " ".join([result._repr_html_(), *methods])
    assert latin_words(shown, allowed=[*WORDS, "letter"]) == []


def test_a_comparison_is_said_in_whole_sentences() -> None:
    with using_language("ru"):
        said = compare_proportions(56, 70, 48, 80, alpha=0.05, metric="conversion").sentence()
    assert said.replace("\u00a0", " ") == (
        "конверсия: воздействие — 80,00 %, контрольная группа — 60,00 %. Разница +20 п. п. (от 5"
        " до 34), относительный прирост +33 % (от 8 до 67 %), p = 0,0083. Данные показывают"
        " разницу на уровне ошибки 5 %."
    )


@pytest.mark.parametrize(
    ("count", "begins"),
    [(2, "2 эффекта: в среднем "), (5, "5 эффектов: в среднем "), (21, "21 эффект: в среднем ")],
)
def test_effects_are_counted_in_their_plural(count: int, begins: str) -> None:
    with using_language("ru"):
        said = pool_effects(np.arange(count), np.ones(count), alpha=0.05).sentence()
    assert said.startswith(begins)


def test_large_numbers_have_the_separators_of_the_language() -> None:
    with using_language("ru"):
        said = minimum_detectable_effect_proportion(
            0.10, 2_850, 150, alpha=0.05, power=0.8
        ).sentence()
    assert "2\u00a0850" in said
    assert "+85\u00a0%" in said


def test_data_for_machines_stay_english() -> None:
    with using_language("ru"):
        result = compare_proportions(56, 70, 48, 80, alpha=0.05)
        data, frame = result.to_dict(), result.to_frame()
    assert data["scale"] == "share"
    assert frame["effect"].tolist() == ["absolute", "relative"]
    assert frame["variant"].unique().tolist() == ["treatment"]


def test_a_fault_is_said_with_what_was_expected() -> None:
    with using_language("ru"), pytest.raises(DesignError) as caught:
        compare_proportions(1, 2, 1, 2, alpha=1.5)
    assert str(caught.value) == ("alpha: 1.5. Ожидалось: число строго между 0 и 1 для alpha.")
