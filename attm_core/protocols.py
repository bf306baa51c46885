"""The roles of the system that have two casts (mini and paper), each as a small Protocol.

Everything else (backbone, heads, ranker head, stages, guidance, metrics, statistics) is one
implementation for all profiles. Audio enters every role as (B, C, S) float32 at the rate the
caller states; each cast resamples and mixes down to what it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class TextEncoder(Protocol):
    """Frozen token states for the joint blocks (Section III-A; FLAN-T5-Large in the paper)."""

    n_tokens: int
    width: int

    def encode(self, texts: Sequence[str]) -> Tensor:
        """Token states (B, T, F), padded to ``n_tokens``."""


class ClapModel(Protocol):
    """A text-audio contrastive model (LAION-CLAP): conditioning, CLAP score and FAD."""

    width: int

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """Unit-norm text embeddings (B, P)."""

    def embed_audio(self, waves: Tensor, sample_rate_hz: int) -> Tensor:
        """Unit-norm audio embeddings (B, P) of waves (B, C, S)."""


class AudioEncoder(Protocol):
    """A self-supervised audio encoder pooled over time (MERT-v1-330M in the paper)."""

    width: int

    def embed_audio(self, waves: Tensor, sample_rate_hz: int) -> Tensor:
        """Embeddings (B, width) of waves (B, C, S)."""


class Codec(Protocol):
    """Mel VAE and vocoder: audio ↔ latents (Section III-A)."""

    sample_rate_hz: int
    n_samples: int
    n_latents: int
    n_channels: int

    def encode(self, waves: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and standard deviation, each (B, N, C), of waves (B, C, S)."""

    def decode(self, latents: Tensor) -> Tensor:
        """Waves (B, 1, S) from un-normalised latents (B, N, C)."""


class Separator(Protocol):
    """Vocal separation (Demucs): what the post-processing of Section III-E runs three times."""

    sample_rate_hz: int

    def no_vocals(self, waves: Tensor) -> Tensor:
        """The sum of all non-vocal stems of each clip, (B, C, S) → (B, C, S), deterministic."""
