"""CLAP score: cosine of a prompt and the audio made from it, mean over prompts (Section IV)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from attm_core.errors import InputError
from attm_core.evaluation.statistics import Interval, Vector, mean_interval

EPSILON = 1e-8  # in the denominator, as in the protocol's released evaluation


@dataclass(frozen=True)
class ClapScore:
    """Scores of one condition.

    Attributes:
        per_prompt: cosine of each prompt (n,), −1 to 1.
        mean: their mean with its 95 % t interval.
    """

    per_prompt: Vector
    mean: Interval

    def describe(self) -> str:
        """Mean, interval and number of prompts."""
        return f"CLAP {self.mean.describe()}, n = {self.per_prompt.size}"


def as_embedding_pairs(text: ArrayLike, audio: ArrayLike) -> tuple[Vector, Vector]:
    """Check two finite (n, d) matrices of the same shape.

    Raises:
        InputError: other rank, different shapes, NaN or infinite.
    """
    first, second = (np.asarray(values, dtype=np.float64) for values in (text, audio))
    if first.ndim != 2 or first.shape != second.shape or 0 in first.shape:
        raise InputError(
            f"text and audio embeddings must share a shape (n, d), "
            f"got {first.shape} and {second.shape}"
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise InputError("text or audio embeddings hold NaN or infinite values")
    return first, second


def cosine_per_item(text: ArrayLike, audio: ArrayLike) -> Vector:
    """Cosine of each row pair, a·b / (‖a‖‖b‖ + 1e-8).

    Args:
        text: embeddings (n, d) of the prompts as the user wrote them, without the prefix.
        audio: embeddings (n, d).

    Returns:
        (n,); a zero embedding scores 0.

    Raises:
        InputError: see ``as_embedding_pairs``.
    """
    a, b = as_embedding_pairs(text, audio)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines: Vector = np.einsum("nd,nd->n", a, b) / (norms + EPSILON)
    return cosines


def clap_score(text: ArrayLike, audio: ArrayLike) -> ClapScore:
    """CLAP score of one condition over n ≥ 2 prompts."""
    per_prompt = cosine_per_item(text, audio)
    return ClapScore(per_prompt, mean_interval(per_prompt))


def shuffled_clap_score(
    text: ArrayLike, audio: ArrayLike, generator: np.random.Generator
) -> ClapScore:
    """The floor: every prompt against the audio of another prompt.

    A random cyclic order pairs no prompt with its own audio.
    """
    a, b = as_embedding_pairs(text, audio)
    order = generator.permutation(len(a))
    partner = np.empty_like(order)
    partner[order] = np.roll(order, 1)
    return clap_score(a, b[partner])
