from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from crm_lab.errors import DesignError
from crm_lab.stats import Comparison, compare_means, compare_means_welch
from crm_lab.stats.clusters import ClusterMethod, compare_clustered_means

# Two routes to the same number differ by rounding only.
ROUNDING = 1e-9
DRAWS = 20_000
# Five standard errors of a share found from DRAWS draws, at its widest.
FIVE_ERRORS = 5 * 0.5 / math.sqrt(DRAWS)

Data = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def shops(seed: int, n_t: int, n_c: int, *, rows: int = 6, spread: float = 2.0) -> Data:
    """Rows of shops with a level of their own; sizes differ."""
    rng = np.random.default_rng(seed)
    found: list[np.ndarray] = []
    for n, start in ((n_t, 0), (n_c, n_t)):
        sizes = rng.integers(1, rows + 1, n)
        cluster = start + np.repeat(np.arange(n), sizes)
        level = np.repeat(rng.normal(10.0, spread, n), sizes)
        found += [level + rng.normal(0.0, 1.0, cluster.size), cluster]
    return found[0], found[1], found[2], found[3]


def compare(data: Data, **options: object) -> Comparison:
    options = {"alpha": 0.05, "rng": np.random.default_rng(1), **options}
    return compare_clustered_means(*data, **options)  # type: ignore[arg-type]


def sandwich(data: Data, *, kind: ClusterMethod) -> tuple[float, float, float]:
    """Coefficient of the arm, its error and degrees of freedom, from the full matrices."""
    y_t, g_t, y_c, g_c = data
    y, g = np.concatenate([y_t, y_c]), np.concatenate([g_t, g_c])
    x = np.column_stack([np.ones(y.size), np.repeat([1.0, 0.0], [y_t.size, y_c.size])])
    bread = np.linalg.inv(x.T @ x)
    hat = x @ bread @ x.T
    left = y - hat @ y
    labels = np.unique(g)
    meat, columns = np.zeros((2, 2)), []
    for label in labels:
        inside = g == label
        if kind == "cr1":
            adjusted = left[inside]
        else:
            block = np.eye(inside.sum()) - hat[np.ix_(inside, inside)]
            values, vectors = np.linalg.eigh(block)
            root = vectors @ np.diag(values**-0.5) @ vectors.T
            adjusted = root @ left[inside]
            columns.append((np.eye(y.size) - hat)[:, inside] @ root @ x[inside] @ bread[:, 1])
        score = x[inside].T @ adjusted
        meat += np.outer(score, score)
    squared = float((bread @ meat @ bread)[1, 1])
    effect = float((bread @ x.T @ y)[1])
    if kind == "cr1":
        m, n = labels.size, y.size
        return effect, math.sqrt(squared * m / (m - 1) * (n - 1) / (n - 2)), m - 1
    gram = np.column_stack(columns).T @ np.column_stack(columns)
    return effect, math.sqrt(squared), float(np.trace(gram) ** 2 / np.trace(gram @ gram))


@pytest.mark.parametrize("kind", ["cr1", "cr2"])
@pytest.mark.parametrize(("n_t", "n_c"), [(8, 4), (15, 3), (5, 12)])
def test_the_sandwich_is_that_of_the_full_matrices(kind: ClusterMethod, n_t: int, n_c: int) -> None:
    from scipy import stats as scipy_stats

    data = shops(n_t, n_t, n_c)
    effect, error, degrees = sandwich(data, kind=kind)
    found = compare(data, method=kind).absolute
    half = error * scipy_stats.t.isf(0.025, degrees)
    assert found.estimate == pytest.approx(effect, rel=ROUNDING)
    assert (found.low, found.high) == pytest.approx((effect - half, effect + half), rel=ROUNDING)
    expected = 2 * scipy_stats.t.sf(abs(effect) / error, degrees)
    assert found.p_value == pytest.approx(expected, rel=ROUNDING)


def test_cr1_is_that_of_statsmodels_with_clusters_in_both_arms() -> None:
    api = pytest.importorskip("statsmodels.api")
    y_t, g_t, y_c, _ = shops(3, 8, 8)
    g_c = np.arange(y_c.size) % 5  # the labels of some treated shops
    data = (y_t, g_t, y_c, g_c)
    y = np.concatenate([y_t, y_c])
    x = np.column_stack([np.ones(y.size), np.repeat([1.0, 0.0], [y_t.size, y_c.size])])
    fit = api.OLS(y, x).fit(
        cov_type="cluster", cov_kwds={"groups": np.concatenate([g_t, g_c])}, use_t=True
    )
    found = compare(data, method="cr1")
    assert found.absolute.p_value == pytest.approx(fit.pvalues[1], rel=ROUNDING)
    assert (found.absolute.low, found.absolute.high) == pytest.approx(fit.conf_int()[1])
    assert found.relative.reason == "there are clusters in both arms"


def t_of(data: Data) -> float:
    """Studentised difference of two ratios of sums, spelled out."""
    means, squared = [], 0.0
    for y, g in (data[:2], data[2:]):
        labels = np.unique(g)
        mean = y.sum() / y.size
        deviations = [(y[g == label] - mean).sum() for label in labels]
        m = labels.size
        squared += m / (m - 1) * float(np.square(deviations).sum()) / y.size**2
        means.append(mean)
    return float((means[0] - means[1]) / math.sqrt(squared))


def every_split(data: Data, n_t: int) -> np.ndarray:
    y, g = np.concatenate([data[0], data[2]]), np.concatenate([data[1], data[3]])
    found = []
    for chosen in itertools.combinations(np.unique(g), n_t):
        inside = np.isin(g, chosen)
        found.append(t_of((y[inside], g[inside], y[~inside], g[~inside])))
    return np.array(found)


@pytest.mark.parametrize(("n_t", "n_c"), [(6, 3), (3, 6), (5, 5)])
def test_few_clusters_are_split_in_every_way(n_t: int, n_c: int) -> None:
    data = shops(21 + n_t, n_t, n_c)
    data = (data[0] + 3.0, *data[1:])
    t, exact = t_of(data), every_split(data, n_t)
    expected = 2 * min(np.mean(exact >= t - ROUNDING), np.mean(exact <= t + ROUNDING))
    found = compare(data)
    assert found.absolute.p_value == pytest.approx(expected, rel=ROUNDING)
    assert f"every one of {exact.size:,} splits" in found.absolute.method


def test_drawn_splits_agree_with_every_split() -> None:
    data = shops(5, 9, 5)
    data = (data[0] + 2.0, *data[1:])
    listed, drawn = (compare(data, permutations=n) for n in (DRAWS, 2_001))
    assert "every one" in listed.absolute.method
    assert "2,001 splits" in drawn.absolute.method
    # Five standard errors of a p-value from 2,001 draws, doubled.
    assert drawn.absolute.p_value == pytest.approx(listed.absolute.p_value, abs=0.11)


def test_counted_clusters_follow_the_distribution_of_drawn_ones() -> None:
    """Households of one to three, most without a purchase: most of them are the same."""
    rng = np.random.default_rng(9)
    sizes = rng.integers(1, 4, 900)
    cluster = np.repeat(np.arange(900), sizes)
    y = rng.poisson(0.15, cluster.size).astype(float)
    control = cluster < 60
    data = (y[~control], cluster[~control], y[control], cluster[control])
    whole = compare(data, permutations=DRAWS)
    # A little noise makes every cluster different, so that none is counted.
    noisy = (y + rng.normal(0, 1e-7, y.size)).round(12)
    shaken = compare(
        (noisy[~control], cluster[~control], noisy[control], cluster[control]), permutations=DRAWS
    )
    assert shaken.absolute.p_value == pytest.approx(whole.absolute.p_value, abs=2 * FIVE_ERRORS)
    width = whole.absolute.high - whole.absolute.low
    assert shaken.absolute.low == pytest.approx(whole.absolute.low, abs=0.03 * width)
    assert shaken.absolute.high == pytest.approx(whole.absolute.high, abs=0.03 * width)


def test_clusters_of_one_are_a_comparison_of_means() -> None:
    rng = np.random.default_rng(4)
    y_t, y_c = rng.normal(10, 2, 300), rng.normal(10.3, 2, 60)
    data = (y_t, np.arange(300), y_c, np.arange(300, 360))
    ours, theirs = (
        compare(data, permutations=DRAWS),
        compare_means(y_t, y_c, alpha=0.05, rng=np.random.default_rng(2), permutations=DRAWS),
    )
    assert ours.absolute.estimate == pytest.approx(theirs.absolute.estimate, rel=ROUNDING)
    assert ours.absolute.p_value == pytest.approx(theirs.absolute.p_value, abs=2 * FIVE_ERRORS)
    # CR2 with clusters of one has Welch's error; only the degrees of freedom differ.
    welch = compare_means_welch(y_t, y_c, alpha=0.05).absolute
    cr2 = compare(data, method="cr2").absolute
    assert cr2.high - cr2.low == pytest.approx(welch.high - welch.low, rel=0.03)


def test_weeks_of_a_shop_are_not_independent() -> None:
    """137 shops, four weeks each, a promotion drawn by shop: rows claim far too much."""
    rng = np.random.default_rng(3)
    shop = np.repeat(np.arange(86), 4)
    sales = 50.0 + np.repeat(rng.normal(0, 16, 86), 4) + rng.normal(0, 5, shop.size)
    treated = shop < 43
    sales = sales + 12.0 * treated
    by_row = compare_means_welch(sales[treated], sales[~treated], alpha=0.05).absolute.p_value
    data = (sales[treated], shop[treated], sales[~treated], shop[~treated])
    cr2, permuted = (compare(data, method=m).absolute.p_value for m in ("cr2", "permutation"))
    assert by_row < 1e-6
    assert 1e-4 < cr2 < 0.05
    assert 1e-4 < permuted < 0.05


def test_interval_and_test_agree() -> None:
    for seed in range(30):
        found = compare(shops(seed, 12, 6), permutations=199)
        assert found.absolute.is_significant == (found.absolute.low > 0 or found.absolute.high < 0)
        assert found.absolute.is_significant == (found.relative.low > 0 or found.relative.high < 0)


def test_order_of_rows_does_not_matter() -> None:
    data = shops(8, 40, 12)
    rng = np.random.default_rng(1)
    first, second = rng.permutation(data[0].size), rng.permutation(data[2].size)
    mixed = (data[0][first], data[1][first], data[2][second], data[3][second])
    one, other = compare(data, permutations=499), compare(mixed, permutations=499)
    assert one.absolute.p_value == other.absolute.p_value
    assert one.absolute.low == pytest.approx(other.absolute.low, rel=ROUNDING)


def test_labels_may_be_text() -> None:
    data = shops(8, 7, 4)
    named = (data[0], data[1].astype(str), data[2], data[3].astype(str))
    assert compare(named).absolute.p_value == compare(data).absolute.p_value


@pytest.mark.parametrize(
    ("n_c", "values", "reason"),
    [
        (1, None, "arm control has one cluster"),
        (0, None, "arm control is empty"),
        (3, 4.0, "every cluster has the same mean"),
        (3, math.nan, "arm treatment holds a value that is missing or infinite"),
    ],
)
def test_what_the_data_cannot_support(n_c: int, values: float | None, reason: str) -> None:
    y_t, g_t, y_c, g_c = shops(2, 5, max(n_c, 1))
    y_c, g_c = (y_c, g_c) if n_c else (y_c[:0], g_c[:0])
    if values is not None:
        y_t = np.full_like(y_t, values)
        y_c = y_c if math.isnan(values) else np.full_like(y_c, values)
    for method in ("permutation", "cr1", "cr2"):
        found = compare((y_t, g_t, y_c, g_c), method=method)
        assert found.absolute.reason == reason
        assert math.isnan(found.absolute.estimate)
        assert math.isnan(found.absolute.p_value)


def test_three_against_three_never_conclude() -> None:
    data = shops(1, 3, 3, spread=0.1)
    found = compare((data[0] + 50.0, *data[1:]))
    assert found.absolute.p_value == pytest.approx(0.1)
    assert found.absolute.low == -math.inf
    assert found.absolute.reason == "there are too few clusters for this alpha"
    assert found.sentence().endswith("the interval includes no difference.")


def test_a_cluster_in_both_arms_is_refused() -> None:
    y_t, g_t, y_c, _ = shops(2, 5, 5)
    with pytest.raises(DesignError, match="clusters are in both arms"):
        compare((y_t, g_t, y_c, np.zeros(y_c.size, dtype=int)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "cr3"}, "method is 'cr3'"),
        ({"alpha": 0.0}, "alpha is 0.0"),
        ({"permutations": 0}, "permutations is 0"),
    ],
)
def test_impossible_requests(change: dict[str, object], message: str) -> None:
    with pytest.raises(DesignError, match=message):
        compare(shops(1, 4, 4), **change)


def test_a_label_for_every_row() -> None:
    y_t, g_t, y_c, g_c = shops(1, 4, 4)
    with pytest.raises(DesignError, match="labels of clusters in the control"):
        compare((y_t, g_t, y_c, g_c[:-1]))


def test_a_missing_label_is_refused() -> None:
    y_t, g_t, y_c, g_c = shops(1, 4, 4)
    labels = g_c.astype(float)
    labels[0] = math.nan
    with pytest.raises(DesignError, match="units have no cluster"):
        compare((y_t, g_t.astype(float), y_c, labels))


@pytest.mark.slow
@pytest.mark.parametrize(("n_t", "n_c"), [(10, 4), (40, 5)])
def test_the_error_level_holds_with_few_shops(n_t: int, n_c: int) -> None:
    claims, runs = 0, 1_000
    for seed in range(runs):
        rng = np.random.default_rng([n_t, seed])
        sizes = rng.integers(4, 30, n_t + n_c)
        shop = np.repeat(np.arange(n_t + n_c), sizes)
        y = np.exp(rng.normal(0, 0.8, n_t + n_c))[shop] * rng.gamma(1.0, 1.0, shop.size)
        chosen = rng.permutation(n_t + n_c)[:n_c]
        control = np.isin(shop, chosen)
        found = compare_clustered_means(
            y[~control],
            shop[~control],
            y[control],
            shop[control],
            alpha=0.05,
            rng=rng,
            permutations=999,
        )
        claims += found.absolute.is_significant
    # Four Monte Carlo errors above 5 % for 1,000 runs.
    assert claims / runs <= 0.05 + 0.028
