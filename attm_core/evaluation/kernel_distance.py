"""Kernel audio distance (KAD): the unbiased squared MMD of two sets of embeddings.

Chung et al. (2025, arXiv 2502.15602), for the Gaussian kernel k(a, b) = exp(−‖a − b‖² / 2σ²):

    KAD = 100 · ( mean_{i≠j} k(x_i, x_j) + mean_{i≠j} k(y_i, y_j) − 2 mean_{ij} k(x_i, y_j) )

with σ the median distance within the reference. Unlike the Fréchet distance it assumes no normal
distribution and its expectation does not depend on the number of clips; it can be below zero.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist, pdist

from attm_core.errors import InputError
from attm_core.evaluation.frechet import Matrix, as_embedding_sets

SCALE = 100.0  # of the published code


def kernel_distance(
    generated: ArrayLike, reference: ArrayLike, bandwidth: float | None = None
) -> float:
    """KAD of two sets.

    Args:
        generated: embeddings (n, d), one per clip.
        reference: embeddings (m, d).
        bandwidth: σ; the median distance within the reference if None. (The published code takes
            the median of whichever set it is given second, which its command line fills with the
            generated one; its paper says the reference.)

    Returns:
        About 0 for equal distributions, negative by chance; at most 200.

    Raises:
        InputError: see ``as_embedding_sets``; or a bandwidth that is not positive.
    """
    x, y = as_embedding_sets(generated, reference)
    sigma = float(np.median(pdist(y))) if bandwidth is None else bandwidth
    if not sigma > 0:
        raise InputError(f"the kernel's bandwidth must be positive, got {sigma}")
    within = _mean_of_others(_kernel(x, x, sigma)) + _mean_of_others(_kernel(y, y, sigma))
    return float(SCALE * (within - 2 * _kernel(x, y, sigma).mean()))


def _kernel(a: Matrix, b: Matrix, sigma: float) -> Matrix:
    kernel: Matrix = np.exp(-cdist(a, b, "sqeuclidean") / (2 * sigma**2))
    return kernel


def _mean_of_others(kernel: Matrix) -> float:
    """Mean over the pairs of different items: what makes the estimate unbiased."""
    n = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (n * (n - 1)))
