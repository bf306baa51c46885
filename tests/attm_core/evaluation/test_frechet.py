import numpy as np
import pytest

from attm_core.errors import InputError
from attm_core.evaluation.frechet import (
    ReferenceStatistics,
    frechet_difference,
    frechet_distance,
    frechet_interval,
)


def by_square_root(a: np.ndarray, b: np.ndarray) -> float:
    """The trace of the root by its eigenvalues, since a product may be singular."""
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.sqrt(np.clip(np.linalg.eigvals(s1 @ s2).real, 0, None)).sum()
    delta = a.mean(axis=0) - b.mean(axis=0)
    return float(delta @ delta + np.trace(s1) + np.trace(s2) - 2 * root)


def draws(n: int, d: int, seed: int, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(d, d)) / np.sqrt(d)
    return rng.normal(size=(n, d)) @ mixing + shift


def test_by_hand_in_one_dimension() -> None:
    # variances 2 and 8, means 0 and 3: 9 + (√8 − √2)² = 9 + 2 = 11.
    a, b = np.array([[-1.0], [1.0]]), np.array([[1.0], [5.0]])
    assert frechet_distance(a, b) == pytest.approx(11.0, rel=1e-14)


@pytest.mark.parametrize(
    ("n", "m", "d"), [(80, 120, 24), (60, 25, 24), (300, 40, 16), (10, 30, 64)]
)
def test_equals_the_matrix_square_root(n: int, m: int, d: int) -> None:
    a, b = draws(n, d, 0), draws(m, d, 1, shift=0.3)
    assert frechet_distance(a, b) == pytest.approx(by_square_root(a, b), rel=1e-6)
    assert frechet_distance(a, ReferenceStatistics.of(b)) == pytest.approx(frechet_distance(a, b))


def test_symmetric_invariant_zero_on_itself_and_never_negative() -> None:
    a, b = draws(40, 32, 0), draws(90, 32, 1, shift=0.5)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-12)
    q, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(32, 32)))  # a rotation
    assert frechet_distance(a @ q + 3, b @ q + 3) == pytest.approx(frechet_distance(a, b))
    assert 0.0 <= frechet_distance(a, a) < 1e-12
    assert 0.0 <= frechet_distance(a, np.concatenate([a, a])[::-1]) < 0.1


def test_interval_spread_matches_fresh_samples() -> None:
    b = draws(2000, 6, 1)
    fresh = [frechet_distance(draws(50, 6, 100 + i, shift=0.5), b) for i in range(200)]
    boot = frechet_interval(draws(50, 6, 100, shift=0.5), b, np.random.default_rng(0))
    low, high = np.quantile(fresh, [0.025, 0.975])
    assert boot.high - boot.low == pytest.approx(high - low, rel=0.5)
    assert boot.estimate == pytest.approx(fresh[0], rel=1e-9)
    assert boot.low < boot.estimate < boot.high


def test_difference_is_paired() -> None:
    b = draws(300, 8, 1)
    before = draws(60, 8, 2, shift=0.6)
    after = before - 0.3
    result = frechet_difference(before, after, b, np.random.default_rng(0), n_resamples=200)
    expected = frechet_distance(after, b) - frechet_distance(before, b)
    assert result.estimate == pytest.approx(expected, rel=1e-9)
    assert result.high < 0
    same = frechet_difference(before, before, b, np.random.default_rng(0), n_resamples=20)
    assert same.low == same.high == 0.0
    with pytest.raises(InputError, match="number of prompts: 5 and 6"):
        frechet_difference(b[:5], b[:6], b, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("a", "message"),
    [
        (np.zeros((1, 4)), "n ≥ 2"),
        (np.zeros(4), "n ≥ 2"),
        (np.full((3, 4), np.nan), "NaN"),
        (np.zeros((3, 5)), "width 5 but the reference 4"),
    ],
)
def test_bad_embeddings_are_refused(a: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        frechet_distance(a, draws(10, 4, 0))
