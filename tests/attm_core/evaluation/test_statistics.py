import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attm_core.errors import InputError
from attm_core.evaluation.statistics import (
    delta_out,
    holm,
    paired_t_test,
    pearson,
    score_correlation,
    spearman,
)


def test_paired_t_by_hand() -> None:
    # differences 1, 2, 3: mean 2, sd 1, t = 2·√3, df = 2; two-sided p of t₂ is 1 − t/√(t² + 2).
    test = paired_t_test([0, 0, 0], [1, 2, 3])
    assert test.t == pytest.approx(2 * math.sqrt(3))
    assert test.d_z == pytest.approx(2.0)
    assert test.p == pytest.approx(1 - math.sqrt(12 / 14))
    # t₂(0.975) = 4.302653
    half = 4.302653 / math.sqrt(3)
    interval = test.difference
    assert (interval.low, interval.high) == pytest.approx((2 - half, 2 + half), rel=1e-6)


def test_one_sided_p_is_half_or_the_rest() -> None:
    x, noise = np.random.default_rng(7).normal(size=(2, 40))
    y = 0.6 * x + noise + 0.2
    both, up, down = (paired_t_test(x, y, way) for way in ("two-sided", "greater", "less"))
    assert up.p == pytest.approx(both.p / 2)
    assert down.p == pytest.approx(1 - both.p / 2)
    assert up.significant(up.p * 1.01)
    assert not up.significant(up.p)
    # Differences that are equal up to rounding:
    assert paired_t_test([1, 2], [1, 2]).p == 1.0
    shifted = paired_t_test([0.1, 0.2, 0.7], [1.1, 1.2, 1.7])
    assert (shifted.t, shifted.p) == (math.inf, 0.0)
    assert paired_t_test([1.1, 1.2, 1.7], [0.1, 0.2, 0.7], "greater").p == 1.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=3, max_size=20), st.floats(0.1, 10))
def test_paired_t_does_not_depend_on_unit_or_order(values: list[float], scale: float) -> None:
    x = np.array(values) + np.arange(len(values))
    y = np.cos(np.arange(len(values)))
    plain, scaled = paired_t_test(x, y), paired_t_test(scale * x[::-1], scale * y[::-1])
    assert scaled.p == pytest.approx(plain.p, rel=1e-6, abs=1e-9)


def test_correlation_intervals_by_hand() -> None:
    # r = 0.7 on five pairs: tanh(atanh 0.7 ± 1.959964/√2); Spearman's is wider by √1.06.
    x, y = np.array([1, 2, 3, 4, 5]), np.array([2, 3, 1, 4, 5])
    result, ranks = pearson(x, y), spearman(10 * x, y)
    assert result.estimate == pytest.approx(0.7)
    assert spearman(x, np.exp(3 * x)).estimate == pytest.approx(1.0)
    assert math.isnan(pearson([1, 2, 3], [0, 2, 1]).low)  # below four pairs there is none
    half = 1.959964 / math.sqrt(2)
    assert result.high == pytest.approx(math.tanh(math.atanh(0.7) + half), rel=1e-6)
    assert ranks.low == pytest.approx(math.tanh(math.atanh(0.7) - half * 1.06**0.5), rel=1e-6)


def test_statistics_of_table_one_by_hand() -> None:
    rewards = {-0.5: [0.0, 0.2], 0.5: [0.6, 0.6], 1.5: [1.0, 1.4]}
    assert delta_out(rewards).estimate == pytest.approx(1.1)
    # s is −1, 0, 1 around its mean, twice; the rewards −0.1, 0.6, 1.2 on average.
    table = np.array([[0.0, 0.6, 1.0], [0.2, 0.6, 1.4]])
    expected = np.corrcoef([-0.5, 0.5, 1.5] * 2, table.ravel())[0, 1]
    found = score_correlation(rewards, np.random.default_rng(0))
    assert found.estimate == pytest.approx(expected)
    assert found.low < expected < found.high
    with pytest.raises(InputError, match=r"no rewards at s = \[2.0\]"):
        delta_out(rewards, high=2.0)


def test_the_interval_of_the_correlation_resamples_whole_clips() -> None:
    # Clips differ a lot and s moves all of them alike: with clips resampled r stays in a band that
    # single generations, torn from their clips, could not tell from chance.
    clips = np.random.default_rng(0).normal(0, 3, size=100)
    rewards = {s: clips + 0.5 * s for s in (-0.5, 0.5, 1.5)}
    interval = score_correlation(rewards, np.random.default_rng(1))
    assert 0 < interval.low < interval.estimate < interval.high


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
    with pytest.raises(InputError, match="alternative 'up'"):
        paired_t_test([1, 2], [2, 4], "up")
    wobbling = np.full(6, 0.1) * 3 / 3 + [0, 1e-17, 0, 0, 2e-17, 0]  # constant up to rounding
    for correlation, x in product((pearson, spearman), (wobbling, np.ones(6))):
        with pytest.raises(InputError, match="vary"):
            correlation(x, np.arange(6))
    with pytest.raises(InputError, match="between 0 and 1"):
        holm([0.5, 1.5])
