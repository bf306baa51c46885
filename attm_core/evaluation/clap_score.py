"""CLAP score: cosine of a prompt and the audio made from it, mean over prompts (Section IV)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from attm_core.errors import InputError
from attm_core.evaluation.statistics import Vector

_EPSILON = 1e-8  # in the denominator, as in the protocol's released evaluation


def cosine_per_item(text: ArrayLike, audio: ArrayLike) -> Vector:
    """CLAP score (n,) of each prompt, a·b / (‖a‖‖b‖ + 1e-8), −1 to 1; a zero embedding scores 0.

    Both embeddings are (n, d); ``text`` is the prompts as the user wrote them, without the prefix.

    Raises:
        InputError: other rank, different shapes, NaN or infinite.
    """
    a, b = (np.asarray(values, dtype=np.float64) for values in (text, audio))
    if a.ndim != 2 or a.shape != b.shape or 0 in a.shape:
        raise InputError(
            f"text and audio embeddings must share a shape (n, d), got {a.shape} and {b.shape}"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("text or audio embeddings hold NaN or infinite values")
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines: Vector = np.einsum("nd,nd->n", a, b) / (norms + _EPSILON)
    return cosines


def shuffled_cosines(text: ArrayLike, audio: ArrayLike) -> Vector:
    """The floor (n,): each prompt against the audio of its neighbour; none keeps its own."""
    return cosine_per_item(np.roll(np.asarray(text), 1, axis=0), audio)
