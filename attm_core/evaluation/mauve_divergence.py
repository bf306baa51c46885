"""MAUVE audio divergence (MAD): −ln MAUVE of two sets of MERT embeddings.

Huang, Novack, Long, …, Donahue (2025, arXiv 2503.16669); MAUVE: Pillutla et al. (NeurIPS 2021).
Both sets are quantised together (L2 norm, PCA to 90 % of variance, k-means); with P and Q the two
histograms, R_w = wP + (1 − w)Q and c = 5,

    curve = { (e^(−c·KL(Q‖R_w)), e^(−c·KL(P‖R_w))) : 0 < w < 1 },   MAD = −ln(area under it)

0 for equal histograms, −ln(1/252) ≈ 5.53 for disjoint ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import trapezoid
from scipy.special import rel_entr

from attm_core.errors import InputError
from attm_core.evaluation.frechet import Matrix, as_embedding_sets
from attm_core.evaluation.statistics import Vector

SCALING = 5.0  # c; this and what follows as in the published code
EXPLAINED_VARIANCE = 0.9
N_WEIGHTS = 25
N_STARTS = 5
MAX_ITERATIONS = 500


def mauve_divergence(
    generated: ArrayLike,
    reference: ArrayLike,
    generator: np.random.Generator,
    n_clusters: int | None = None,
) -> float:
    """MAD of two sets.

    Args:
        generated: embeddings (n, d), one per clip; MERT's last layer, maximum over time.
        reference: embeddings (m, d).
        generator: source of the starts of k-means.
        n_clusters: a tenth of the smaller set, at least 2, if None.

    Returns:
        0 (equal) to about 5.5 (disjoint).

    Raises:
        InputError: see ``as_embedding_sets``; or more clusters than embeddings, or fewer than 2.
    """
    x, y = as_embedding_sets(generated, reference)
    k = max(2, round(min(len(x), len(y)) / 10)) if n_clusters is None else n_clusters
    if not 2 <= k <= len(x) + len(y):
        raise InputError(f"k-means needs 2 to {len(x) + len(y)} clusters, got {k}")
    labels = _clusters(np.concatenate([x, y]), k, generator)
    p, q = (np.bincount(part, minlength=k) / len(part) for part in np.split(labels, [len(x)]))
    # max: equal histograms have an area of 1 + 2e-16.
    return max(0.0, -float(np.log(mauve(p, q))))


def mauve(p: Vector, q: Vector) -> float:
    """MAUVE of two histograms (k,) that sum to 1: the area under their divergence curve.

    >>> round(mauve(np.array([0.5, 0.5]), np.array([0.5, 0.5])), 9)
    1.0
    """
    weights = np.linspace(1e-6, 1 - 1e-6, N_WEIGHTS)[:, None]
    mixtures = weights * p + (1 - weights) * q
    x, y = (np.exp(-SCALING * rel_entr(side, mixtures).sum(axis=1)) for side in (q, p))
    x, y = np.concatenate([[1.0], x, [0.0]]), np.concatenate([[0.0], y, [1.0]])
    return 0.5 * (_area(x, y) + _area(y, x))


def _area(x: Vector, y: Vector) -> float:
    order = np.lexsort((-y, x))  # downwards where x is the same
    return abs(float(trapezoid(y[order], x[order])))


def _clusters(rows: Matrix, k: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Cluster number of each row, of all rows together."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    pca = PCA(svd_solver="full").fit(unit)
    explained = np.cumsum(pca.explained_variance_ratio_)
    width = int(np.argmax(explained >= EXPLAINED_VARIANCE)) + 1
    # The published code has faiss for k-means: the same objective, other starts.
    seed = int(generator.integers(2**31))
    means = KMeans(k, n_init=N_STARTS, max_iter=MAX_ITERATIONS, random_state=seed)
    labels: NDArray[np.int64] = means.fit_predict(pca.transform(unit)[:, :width])
    return labels
