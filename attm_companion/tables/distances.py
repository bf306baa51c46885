"""Distances beside the paper's FAD: kernel distance, MAUVE, density and coverage.

Each takes generated embeddings (n, d), one per clip, and those of a reference (m, d).
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import trapezoid
from scipy.spatial.distance import cdist, pdist
from scipy.special import rel_entr

from attm_companion.arrays import Rows
from attm_core.errors import InputError
from attm_core.evaluation.frechet import Matrix, as_embedding_sets
from attm_core.evaluation.statistics import Vector

_SCALE = 100.0  # of the published code


def kernel_distance(
    generated: ArrayLike, reference: ArrayLike, bandwidth: float | None = None
) -> float:
    """KAD: the unbiased squared MMD; about 0 for equal distributions, negative by chance, ≤ 200.

    Chung et al. (2025, arXiv 2502.15602), for the Gaussian kernel k(a, b) = exp(−‖a − b‖² / 2σ²):

    KAD = 100 · ( mean_{i≠j} k(x_i, x_j) + mean_{i≠j} k(y_i, y_j) − 2 mean_{ij} k(x_i, y_j) )

    Unlike the Fréchet distance it assumes no normal distribution, and its expectation does not
    depend on the number of clips. σ is ``bandwidth``, or the median distance within the reference.
    (The published code takes the median of whichever set it is given second, which its command
    line fills with the generated one; its paper says the reference.)

    Raises:
        InputError: see ``as_embedding_sets``; or a bandwidth that is not positive.
    """
    x, y = as_embedding_sets(generated, reference)
    sigma = float(np.median(pdist(y))) if bandwidth is None else bandwidth
    if not sigma > 0:
        raise InputError(f"the kernel's bandwidth must be positive, got {sigma}")
    within = _mean_of_others(_kernel(x, x, sigma)) + _mean_of_others(_kernel(y, y, sigma))
    return float(_SCALE * (within - 2 * _kernel(x, y, sigma).mean()))


def _kernel(a: Matrix, b: Matrix, sigma: float) -> Matrix:
    kernel: Matrix = np.exp(-cdist(a, b, "sqeuclidean") / (2 * sigma**2))
    return kernel


def _mean_of_others(kernel: Matrix) -> float:
    """Mean over the pairs of different items: what makes the estimate unbiased."""
    n = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (n * (n - 1)))


_SCALING = 5.0  # c; this and what follows as in the published code
_EXPLAINED_VARIANCE = 0.9
_N_WEIGHTS = 25
_N_STARTS = 5
_MAX_ITERATIONS = 500


def mauve_divergence(
    generated: ArrayLike,
    reference: ArrayLike,
    generator: np.random.Generator,
    n_clusters: int | None = None,
) -> float:
    """MAD = −ln MAUVE: 0 for equal sets, about 5.5 for disjoint ones.

    Huang, Novack, Long, …, Donahue (2025, arXiv 2503.16669), on MERT's last layer, maximum over
    time; MAUVE: Pillutla et al. (NeurIPS 2021). Both sets are quantised together (L2 norm, PCA to
    90 % of variance, k-means from starts of ``generator``), to a tenth of the smaller set if
    ``n_clusters`` is None.

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
    return max(0.0, -float(np.log(_mauve(p, q))))


def _mauve(p: Vector, q: Vector) -> float:
    """MAUVE of two histograms (k,) that sum to 1: the area under their divergence curve.

    With R_w = wP + (1 − w)Q and c = 5 it is (e^(−c·KL(Q‖R_w)), e^(−c·KL(P‖R_w))), 0 < w < 1.
    """
    weights = np.linspace(1e-6, 1 - 1e-6, _N_WEIGHTS)[:, None]
    mixtures = weights * p + (1 - weights) * q
    x, y = (np.exp(-_SCALING * rel_entr(side, mixtures).sum(axis=1)) for side in (q, p))
    x, y = np.concatenate([[1.0], x, [0.0]]), np.concatenate([[0.0], y, [1.0]])
    return 0.5 * (_area(x, y) + _area(y, x))


def _area(x: Vector, y: Vector) -> float:
    order = np.lexsort((-y, x))  # downwards where x is the same
    return abs(float(trapezoid(y[order], x[order])))


def _clusters(rows: Matrix, k: int, generator: np.random.Generator) -> Rows:
    """Cluster number of each row, of all rows together."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    pca = PCA(svd_solver="full").fit(unit)
    explained = np.cumsum(pca.explained_variance_ratio_)
    width = int(np.argmax(explained >= _EXPLAINED_VARIANCE)) + 1
    # The published code has faiss for k-means: the same objective, other starts.
    seed = int(generator.integers(2**31))
    means = KMeans(k, n_init=_N_STARTS, max_iter=_MAX_ITERATIONS, random_state=seed)
    clusters: Rows = means.fit_predict(pca.transform(unit)[:, :width])
    return clusters


_K = 5  # the authors' choice


def density_and_coverage(
    generated: ArrayLike, reference: ArrayLike, k: int = _K
) -> tuple[float, float]:
    """Do generated clips lie where real ones do (density), and do they lie everywhere (coverage)?

    Naeem et al. (ICML 2020). Around each reference clip r_i lies a ball up to its k-th nearest
    other reference clip:

        density  = 1/(k n) · Σ_j Σ_i [g_j in ball i]         fidelity; may exceed 1
        coverage = 1/m · Σ_i [some g_j in ball i]             diversity; 0 to 1

    A distance like FAD mixes the two: a model that repeats one good clip has density but no
    coverage. For equal distributions and n = m they are about 1 and 1 − 2⁻ᵏ.

    Raises:
        InputError: see ``as_embedding_sets``; or k outside 1 … m − 1.
    """
    x, y = as_embedding_sets(generated, reference)
    if not 1 <= k < len(y):
        raise InputError(f"k must lie between 1 and {len(y) - 1}, got {k}")
    within = cdist(y, y)
    radii = np.partition(within, k, axis=1)[:, k]  # entry 0 is the distance to itself
    inside = cdist(y, x) < radii[:, None]  # (m, n)
    return float(inside.sum() / (k * len(x))), float(inside.any(axis=1).mean())
