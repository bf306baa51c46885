"""Sizes of FluxAudio (Section III-A), and the conditions it is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attm_core.constants import HEAD_NAMES, HeadName
from attm_core.errors import ConfigError, require


@dataclass(frozen=True)
class FluxAudioConfig:
    """Sizes of one FluxAudio; the defaults are FluxAudio-S at 44.1 kHz.

    Raises:
        ConfigError: the sizes contradict each other.
    """

    n_channels: int = 40  # of the latents, C
    n_latents: int = 430  # frames N, 430 for 10 s at 44.1 kHz
    n_tokens: int = 77  # of the text, T
    token_width: int = 1024  # F
    pooled_width: int = 512  # P
    width: int = 448  # of the model, D, a multiple of 2 · n_heads
    n_heads: int = 7
    n_joint: int = 4  # joint (text and audio) blocks
    n_fused: int = 8  # audio-only blocks after them
    ffn_ratio: float = 4.0  # the SwiGLU hidden width is ⅔ · ffn_ratio · D …
    ffn_multiple: int = 256  # … rounded up to a multiple of this (256 in the reference)
    score_head: HeadName = "none"
    score_features: int = 256  # Fourier features of the score, even
    score_bandwidth: float = 0.5  # their standard frequency, radians per unit of reward

    def __post_init__(self) -> None:
        require(self, positive="n_channels n_latents n_tokens token_width pooled_width width")
        require(self, positive="n_heads n_joint ffn_ratio ffn_multiple score_features")
        require(self, positive="score_bandwidth", at_least_0="n_fused", score_head=HEAD_NAMES)
        if self.width % (2 * self.n_heads):
            raise ConfigError(f"width {self.width} is not a multiple of 2 × {self.n_heads} heads")
        if self.score_features % 2:
            raise ConfigError(f"score_features must be even, not {self.score_features}")

    @property
    def ffn_hidden(self) -> int:
        """Hidden width of every SwiGLU."""
        hidden = int(2 * int(self.width * self.ffn_ratio) / 3)
        return -(-hidden // self.ffn_multiple) * self.ffn_multiple

    @property
    def head_width(self) -> int:
        """Channels of one attention head, d."""
        return self.width // self.n_heads

    def with_head(self, score_head: HeadName) -> FluxAudioConfig:
        """The same sizes with another score head."""
        return replace(self, score_head=score_head)


@dataclass(frozen=True)
class Conditions:
    """Text features of a batch: tokens (B, T, F) and a pooled embedding (B, P)."""

    tokens: Float[Tensor, "B T F"]
    pooled: Float[Tensor, "B P"]

    def __len__(self) -> int:
        return self.pooled.shape[0]

    def __getitem__(self, rows: slice | Tensor | Sequence[int]) -> Conditions:
        """The rows of a slice, index list or boolean mask."""
        return Conditions(self.tokens[rows], self.pooled[rows])

    def where(self, keep: Bool[Tensor, " B"], other: Conditions) -> Conditions:
        """These conditions in the rows of ``keep``, ``other``'s elsewhere (text dropout)."""
        return Conditions(
            torch.where(keep[:, None, None], self.tokens, other.tokens),
            torch.where(keep[:, None], self.pooled, other.pooled),
        )

    def repeat(self, times: int) -> Conditions:
        """The whole batch ``times`` times in a row."""
        return Conditions(self.tokens.repeat(times, 1, 1), self.pooled.repeat(times, 1))

    def to(self, target: torch.device | torch.dtype | str) -> Conditions:
        """On another device or in another dtype."""
        return Conditions(self.tokens.to(target), self.pooled.to(target))

    @staticmethod
    def cat(parts: Sequence[Conditions]) -> Conditions:
        """One batch from several."""
        tokens = torch.cat([part.tokens for part in parts])
        return Conditions(tokens, torch.cat([part.pooled for part in parts]))
