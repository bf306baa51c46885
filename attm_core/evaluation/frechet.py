"""Fréchet audio distance (FAD-CLAP, Section IV) without a matrix square root.

For centred data A (n, d) and B (m, d), each divided by √(count − 1), the covariances are AᵀA and
BᵀB, and tr sqrtm(AᵀA · BᵀB) is the nuclear norm of A Bᵀ: the sum of its singular values. That is
exact when n < d (where ``scipy.linalg.sqrtm`` meets singular matrices), real, and fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attm_core.errors import InputError
from attm_core.evaluation.statistics import LEVEL, Interval, Vector

Matrix = NDArray[np.float64]

_N_RESAMPLES = 1000


def _as_embeddings(values: ArrayLike, name: str = "embeddings") -> Matrix:
    """``values`` as float64 if it is a finite (n, d) matrix with n ≥ 2."""
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] < 2 or matrix.shape[1] < 1:
        raise InputError(f"{name} must have shape (n ≥ 2, d), got {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise InputError(f"{name} hold NaN or infinite values")
    return matrix


def as_embedding_sets(generated: ArrayLike, reference: ArrayLike) -> tuple[Matrix, Matrix]:
    """Check two sets of one width.

    Raises:
        InputError: not (n ≥ 2, d), NaN or infinite, or of different widths.
    """
    x, y = _as_embeddings(generated, "generated embeddings"), _as_embeddings(reference, "reference")
    if x.shape[1] != y.shape[1]:
        raise InputError(f"embeddings have width {x.shape[1]} but the reference {y.shape[1]}")
    return x, y


@dataclass(frozen=True)
class ReferenceStatistics:
    """Mean (d,) and a square-root factor of the covariance (n − 1) of one set of n embeddings."""

    mean: Matrix
    factor: Matrix  # (k, d) with factorᵀ factor = covariance, k ≤ n
    trace: float  # of the covariance
    n: int

    @classmethod
    def of(
        cls, embeddings: ArrayLike, name: str = "reference embeddings", reduce: bool = True
    ) -> ReferenceStatistics:
        """Statistics of (n, d) embeddings; if ``reduce``, a tall set is reduced to d rows by QR.

        That pays where the statistics are used again, or meet another large set.

        Raises:
            InputError: not (n ≥ 2, d), or NaN or infinite.
        """
        x = _as_embeddings(embeddings, name)
        n, d = x.shape
        mean = x.mean(axis=0)
        factor = (x - mean) / np.sqrt(n - 1)
        if reduce and n > d:
            factor = np.linalg.qr(factor, mode="r")
        return cls(mean, factor, float(np.square(factor).sum()), n)


def frechet_distance(generated: ArrayLike, reference: ArrayLike | ReferenceStatistics) -> float:
    """Fréchet distance ‖μ_a − μ_b‖² + tr Σ_a + tr Σ_b − 2 tr sqrtm(Σ_a Σ_b), ≥ 0.

    Of embeddings (n, d), one per file, to a reference (m, d) or its statistics computed once; 0
    for equal statistics up to 1e-12 of the traces.

    Raises:
        InputError: fewer than two rows, other width, or non-finite values.
    """
    a = ReferenceStatistics.of(generated, "generated embeddings")
    few = 2 * len(a.factor) < a.mean.size  # then the QR of a reference costs more than it saves
    b = _as_statistics(reference, a.mean.size, reduce=not few)
    overlap = float(np.linalg.svd(a.factor @ b.factor.T, compute_uv=False).sum())
    return _combine(float(np.square(a.mean - b.mean).sum()), a.trace, b.trace, overlap)


def frechet_interval(
    generated: ArrayLike,
    reference: ArrayLike | ReferenceStatistics,
    generator: np.random.Generator,
    level: float = LEVEL,
    n_resamples: int = _N_RESAMPLES,
) -> Interval:
    """Distance with a bootstrap interval over the generated items (the reference is held fixed).

    The distance grows as the generated set shrinks, and a resample has fewer distinct items than
    the set: plain percentiles would lie above the estimate. They are moved down by that bias, so
    the interval shows spread around the estimate and nothing else. Arguments as
    ``frechet_distance``; ``generator`` is the source of the resamples.
    """
    resampler = _Resampler.of(generated, statistics := _as_statistics(reference))
    rows = generator.integers(0, resampler.n, size=(n_resamples, resampler.n))
    estimate = frechet_distance(generated, statistics)
    return _recentred(estimate, np.array([resampler.distance(row) for row in rows]), level)


def frechet_difference(
    before: ArrayLike,
    after: ArrayLike,
    reference: ArrayLike | ReferenceStatistics,
    generator: np.random.Generator,
    n_resamples: int = _N_RESAMPLES,
) -> Interval:
    """distance(after) − distance(before) on the same prompts, with a 95 % interval.

    Prompts (rows) are resampled in pairs, so most of the resampling bias cancels.

    Raises:
        InputError: different numbers of prompts.
    """
    statistics = _as_statistics(reference)
    first, second = (_Resampler.of(values, statistics) for values in (before, after))
    if first.n != second.n:
        raise InputError(f"paired systems differ in number of prompts: {first.n} and {second.n}")
    rows = generator.integers(0, first.n, size=(n_resamples, first.n))
    estimate = frechet_distance(after, statistics) - frechet_distance(before, statistics)
    resamples = np.array([second.distance(row) - first.distance(row) for row in rows])
    return _recentred(estimate, resamples, LEVEL)


@dataclass(frozen=True)
class _Resampler:
    """Distances of resampled rows from what is computed once: Gram matrices of the generated set.

    With G the generated rows minus the reference mean and P = G factorᵀ, every quantity of the
    distance is a double-centred block of GGᵀ or PPᵀ, so a resample costs one (n, n) eigenproblem.
    """

    gram: Matrix
    projected: Matrix
    trace: float
    n: int
    width: int

    @classmethod
    def of(cls, generated: ArrayLike, reference: ArrayLike | ReferenceStatistics) -> _Resampler:
        """Prepare a generated set (n, d) for a reference."""
        x = _as_embeddings(generated, "generated embeddings")
        statistics = _as_statistics(reference, x.shape[1])
        rows = x - statistics.mean
        projected = rows @ statistics.factor.T
        gram, width = rows @ rows.T, projected.shape[1]
        return cls(gram, projected @ projected.T, statistics.trace, len(x), width)

    def distance(self, rows: NDArray[np.int64]) -> float:
        """Distance of the rows drawn (k,), k ≤ n."""
        block, k = np.ix_(rows, rows), len(rows)
        gram = self.gram[block]
        mean_square = float(gram.mean())
        trace = (float(np.trace(gram)) - k * mean_square) / (k - 1)
        projected = self.projected[block]
        means = projected.mean(axis=0)
        centred = projected - means - means[:, None] + means.mean()
        values = np.linalg.eigvalsh(centred / (k - 1))
        rank = min(k - 1, self.width)
        largest = values[-rank:]  # the others are rounding, whose roots would add up
        overlap = float(np.sqrt(np.clip(largest, 0.0, None)).sum())
        return _combine(mean_square, trace, self.trace, overlap)


def _recentred(estimate: float, resamples: Matrix, level: float) -> Interval:
    bias = float(resamples.mean()) - estimate
    low, high = np.quantile(resamples - bias, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), level)


def _combine(mean_square: float, trace_a: float, trace_b: float, overlap: float) -> float:
    # Not negative in exact arithmetic; rounding of equal sets can leave −1e-16.
    return max(0.0, mean_square + trace_a + trace_b - 2.0 * overlap)


def _as_statistics(
    reference: ArrayLike | ReferenceStatistics, width: int | None = None, reduce: bool = True
) -> ReferenceStatistics:
    if not isinstance(reference, ReferenceStatistics):
        reference = ReferenceStatistics.of(reference, reduce=reduce)
    if width not in (None, reference.mean.size):
        raise InputError(
            f"embeddings have width {width} but the reference {reference.mean.size}; "
            "embed both with the same model"
        )
    return reference


def frechet_by_size(
    generated: ArrayLike,
    reference: ArrayLike | ReferenceStatistics,
    sizes: Sequence[int],
    generator: np.random.Generator,
    n_draws: int = 20,
) -> Vector:
    """Mean FAD (len(sizes),) of ``n_draws`` random subsets of each size; the reference stays whole.

    The distance of n clips is biased upwards by about a/n, so that sets of different size cannot
    be compared (Chong & Forsyth, CVPR 2020; Gui et al., ICASSP 2024). Subsets are drawn without
    replacement. (The published tools draw with replacement, which repeats clips, and so makes the
    set smaller than n says.)

    Raises:
        InputError: a size outside 2 … n; see also `frechet_distance`.
    """
    resampler = _Resampler.of(generated, reference)
    if not sizes or min(sizes) < 2 or max(sizes) > resampler.n:
        raise InputError(f"sizes must lie between 2 and {resampler.n}, got {list(sizes)}")
    n, draws = resampler.n, range(n_draws)
    found = [[resampler.distance(generator.permutation(n)[:k]) for _ in draws] for k in sizes]
    means: Vector = np.mean(found, axis=1)
    return means


def frechet_infinity(sizes: Sequence[int], distances: ArrayLike) -> float:
    """FAD∞: the intercept of the line FAD(n) = FAD∞ + a/n, fitted by least squares.

    Raises:
        InputError: fewer than two different sizes.

    >>> round(frechet_infinity([10, 20, 40], [0.3, 0.2, 0.15]), 6)
    0.1
    """
    if len(set(sizes)) < 2:
        raise InputError(f"a line needs two different sizes or more, got {list(sizes)}")
    fit = np.polynomial.Polynomial.fit(1 / np.asarray(sizes), np.asarray(distances), 1)
    return float(fit(0.0))
