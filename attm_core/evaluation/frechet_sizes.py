"""FAD against the number of clips, and FAD∞: what the distance tends to with more of them.

The Fréchet distance of n clips is biased upwards by about a/n, so that sets of different size, or a
small set and a published figure, cannot be compared. Chong & Forsyth (CVPR 2020) and Gui et al.
(ICASSP 2024) fit FAD(n) = FAD∞ + a/n by least squares and report FAD∞.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from attm_core.errors import InputError
from attm_core.evaluation.frechet import ReferenceStatistics, Resampler
from attm_core.evaluation.statistics import Vector


def frechet_by_size(
    generated: ArrayLike,
    reference: ArrayLike | ReferenceStatistics,
    sizes: Sequence[int],
    generator: np.random.Generator,
    n_draws: int = 20,
) -> Vector:
    """Mean FAD of subsets of each size.

    Subsets are drawn without replacement. (The published tools draw with replacement, which
    repeats clips, and so makes the set smaller than n says.)

    Args:
        generated: embeddings (n, d), one per clip.
        reference: embeddings or statistics, used whole.
        sizes: numbers of clips, 2 to n.
        generator: source of the subsets.
        n_draws: subsets per size.

    Returns:
        (len(sizes),).

    Raises:
        InputError: a size outside 2 … n; see also `frechet_distance`.
    """
    resampler = Resampler.of(generated, reference)
    if not sizes or min(sizes) < 2 or max(sizes) > resampler.n:
        raise InputError(f"sizes must lie between 2 and {resampler.n}, got {list(sizes)}")
    draws = [
        [resampler.distance(generator.permutation(resampler.n)[:k]) for _ in range(n_draws)]
        for k in sizes
    ]
    means: Vector = np.mean(draws, axis=1)
    return means


def frechet_infinity(sizes: Sequence[int], distances: ArrayLike) -> float:
    """FAD∞: the intercept of a straight line through FAD against 1/n.

    Raises:
        InputError: fewer than two different sizes.

    >>> round(frechet_infinity([10, 20, 40], [0.3, 0.2, 0.15]), 6)
    0.1
    """
    if len(set(sizes)) < 2:
        raise InputError(f"a line needs two different sizes or more, got {list(sizes)}")
    fit = np.polynomial.Polynomial.fit(1 / np.asarray(sizes), np.asarray(distances), 1)
    return float(fit(0.0))
