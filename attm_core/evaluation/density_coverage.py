"""Density and coverage: do generated clips lie where real ones do, and do they lie everywhere?

Naeem et al. (ICML 2020). Around each reference clip r_i lies a ball up to its k-th nearest other
reference clip. With n generated and m reference clips,

    density  = 1/(k n) · Σ_j Σ_i [g_j in ball i]         fidelity; may exceed 1
    coverage = 1/m · Σ_i [some g_j in ball i]             diversity; 0 to 1

A distance like FAD mixes the two: a model that repeats one good clip has density but no coverage.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from attm_core.errors import InputError
from attm_core.evaluation.frechet import as_embedding_sets

K = 5  # the authors' choice


def density_and_coverage(
    generated: ArrayLike, reference: ArrayLike, k: int = K
) -> tuple[float, float]:
    """Density and coverage of a set.

    Args:
        generated: embeddings (n, d), one per clip.
        reference: embeddings (m, d).
        k: number of neighbours that sets the radius of a ball, below m.

    Returns:
        Density (about 1 for equal distributions) and coverage (about 1 − 2⁻ᵏ then, if n = m).

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
