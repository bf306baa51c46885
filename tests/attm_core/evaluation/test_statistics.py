import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from attm_core.errors import InputError
from attm_core.evaluation.statistics import (
    bootstrap_interval,
    delta_out,
    holm,
    mean_interval,
    paired_bootstrap,
    paired_t_test,
    pearson,
    spearman,
    t_p_value,
)


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    x = rng.normal(size=40)
    return x, 0.6 * x + rng.normal(size=40) + 0.2


def test_paired_t_by_hand() -> None:
    # differences 1, 2, 3: mean 2, sd 1, t = 2·√3, df = 2; two-sided p of t₂ is 1 − t/√(t² + 2).
    test = paired_t_test([0, 0, 0], [1, 2, 3])
    assert test.t == pytest.approx(2 * math.sqrt(3))
    assert test.d_z == pytest.approx(2.0)
    assert test.p == pytest.approx(1 - math.sqrt(12 / 14))
    assert "t(2) = 3.46" in test.describe()


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_paired_t_equals_scipy(pair: tuple[np.ndarray, np.ndarray], alternative: str) -> None:
    ours = paired_t_test(*pair, alternative)
    theirs = stats.ttest_rel(pair[1], pair[0], alternative=alternative)
    assert ours.t == pytest.approx(theirs.statistic, rel=1e-12)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-10)
    both = stats.ttest_rel(pair[1], pair[0]).confidence_interval()
    assert (ours.difference.low, ours.difference.high) == pytest.approx((both.low, both.high))


def test_paired_t_of_constant_differences() -> None:
    assert paired_t_test([1, 2], [1, 2]).p == 1.0
    shifted = paired_t_test([1.0, 2.0], [2.0, 3.0])
    assert shifted.t == math.inf
    assert shifted.p == 0.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=3, max_size=20), st.floats(0.1, 10))
def test_paired_t_does_not_depend_on_unit_or_order(values: list[float], scale: float) -> None:
    x = np.array(values) + np.arange(len(values))
    y = np.cos(np.arange(len(values)))
    plain, scaled = paired_t_test(x, y), paired_t_test(scale * x[::-1], scale * y[::-1])
    assert scaled.p == pytest.approx(plain.p, rel=1e-6, abs=1e-9)


def test_mean_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    intervals = [mean_interval(rng.exponential(size=60)) for _ in range(600)]
    covered = np.mean([interval.low <= 1.0 <= interval.high for interval in intervals])
    assert 0.91 < covered < 0.97


def test_bootstrap_agrees_with_the_t_interval(pair: tuple[np.ndarray, np.ndarray]) -> None:
    rng = np.random.default_rng(1)
    boot = paired_bootstrap(*pair, rng)
    exact = paired_t_test(*pair).difference
    assert boot.estimate == pytest.approx(exact.estimate)
    assert (boot.low, boot.high) == pytest.approx((exact.low, exact.high), abs=0.06)


def test_bootstrap_takes_another_statistic() -> None:
    rng = np.random.default_rng(1)
    interval = bootstrap_interval(
        np.arange(101), rng, lambda resamples: np.median(resamples, axis=1)
    )
    assert interval.estimate == 50
    assert 30 < interval.low < 45 < 55 < interval.high < 70


def test_bootstrap_is_reproducible() -> None:
    first, second = (bootstrap_interval([1, 2, 5, 9], np.random.default_rng(3)) for _ in range(2))
    assert first == second


def test_pearson_by_hand() -> None:
    # x centred −1 0 1, y centred −1 1 0: r = 1/2; below four pairs there is no interval.
    result = pearson([1, 2, 3], [0, 2, 1])
    assert result.estimate == pytest.approx(0.5)
    assert math.isnan(result.low)


def test_correlations_equal_scipy(pair: tuple[np.ndarray, np.ndarray]) -> None:
    ours, theirs = pearson(*pair), stats.pearsonr(*pair)
    bounds = theirs.confidence_interval()
    assert ours.estimate == pytest.approx(theirs.statistic)
    assert (ours.low, ours.high) == pytest.approx((bounds.low, bounds.high))
    tied = np.round(pair[0]), np.round(pair[1])
    assert spearman(*tied).estimate == pytest.approx(stats.spearmanr(*tied).statistic)


def test_spearman_sees_only_ranks() -> None:
    x = np.linspace(0, 2, 6)
    result = spearman(x, np.exp(3 * x))
    assert result.estimate == pytest.approx(1.0)
    assert spearman(x, -x).estimate == pytest.approx(-1.0)


def test_delta_out() -> None:
    rewards = {-0.5: [0.0, 0.2], 0.5: [9.0], 1.5: [1.0, 1.4]}
    assert delta_out(rewards) == pytest.approx(1.1)
    with pytest.raises(InputError, match=r"no rewards at s = \[2.0\]"):
        delta_out(rewards, high=2.0)


def test_holm_by_hand() -> None:
    # sorted 0.005·4, 0.01·3, 0.03·2, 0.04·1 → running maximum 0.02, 0.03, 0.06, 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ([1.0], [2.0], "at least 2"),
        ([1.0, 2.0], [1.0, 2.0, 3.0], "differ in length"),
        ([1.0, math.nan], [1.0, 2.0], "NaN"),
        ([[1.0, 2.0]], [1.0, 2.0], "must be a vector"),
    ],
)
def test_bad_samples_are_refused(before: list, after: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        paired_t_test(before, after)


def test_bad_requests_are_refused() -> None:
    with pytest.raises(InputError, match="alternative 'up'"):
        t_p_value(1.0, 5, "up")
    with pytest.raises(InputError, match="vary"):
        pearson([1, 1, 1], [1, 2, 3])
    with pytest.raises(InputError, match="between 0 and 1"):
        holm([0.5, 1.5])
