"""Score-conditioning heads (Section III-B, Table I): where the embedding e_s of the reward enters.

One :class:`ScoreEmbedding` serves all five. Its last layer starts at zero, so e_s = 0 for every s
at the start of training: v1, v2 and v4 then give exactly the velocity of the model without a head.

| head | name | what it does with e_s |
|---|---|---|
| v1 | ``global_adaln`` | adds it to the global condition c of every AdaLN |
| v2 | ``input_add`` | adds it to every audio token after the input projection |
| v3 | ``audio_prepend`` | one token made from it stands before the audio tokens |
| v4 | ``per_block_adaln`` | every block adds its own projection of it to the audio AdaLN terms |
| v5 | ``text_prepend`` | one token made from it stands before the text tokens |

v1 and v2 own no parameters of their own, so the two share one state dict (203 keys at full size).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attm_core.constants import HeadName


@dataclass(frozen=True)
class Entry:
    """What enters the first block, as a head may change it."""

    audio: Float[Tensor, "B N D"]  # after the input projection; a head may prepend tokens
    text: Float[Tensor, "B T D"]
    c: Float[Tensor, "B 1 D"]  # global condition
    # Terms of 6·D for the audio AdaLN, one per block, joint blocks first; or none.
    extra: tuple[Float[Tensor, "B 1 D6"], ...] = ()


def fourier_frequencies(n_frequencies: int, bandwidth: float) -> Float[Tensor, " n"]:
    """Quantiles of |N(0, bandwidth²)|: the Gaussian frequencies of [10] without a random draw."""
    # PAPER-SILENT: the paper gives neither the number of Fourier features nor their bandwidth, nor
    # says that s is normalised. We take s as it is, 256 features (the file size of the released
    # checkpoint fits 256) and bandwidth 0.5 rad per unit of reward. Two scores then correlate as
    # exp(−0.125·Δs²): 0.96 for neighbours one training standard deviation apart, 0.53 between the
    # largest training score and the deployed s = 5, 0.04 between s = 5 and the null score 0. With
    # bandwidth 1 the last two are 0.08 and 4e-6, that is, s = 5 resembles nothing seen in training.
    rank = (torch.arange(n_frequencies, dtype=torch.float64) + 0.5) / n_frequencies
    return (bandwidth * math.sqrt(2.0) * torch.erfinv(rank)).float()


class ScoreEmbedding(nn.Module):
    """s → Fourier features → Linear → SiLU → Linear (zero at the start) = e_s; 5 keys.

    The frequencies are a persistent buffer: a checkpoint carries the bandwidth it was trained with.
    """

    freqs: Tensor

    def __init__(self, width: int, n_features: int, bandwidth: float):
        super().__init__()
        self.bandwidth = bandwidth
        self.register_buffer("freqs", torch.empty(n_features // 2))
        self.mlp = nn.Sequential(nn.Linear(n_features, width), nn.SiLU(), nn.Linear(width, width))

    def initialize(self) -> None:
        """Set the frequencies and the zero projection (the other weights are set by the model)."""
        with torch.no_grad():
            self.freqs.copy_(fourier_frequencies(self.freqs.numel(), self.bandwidth))
            for parameter in self.mlp[2].parameters():
                parameter.zero_()

    def forward(self, s: Float[Tensor, " B"]) -> Float[Tensor, "B D"]:
        """e_s of scores in reward units; the null score is the number 0, embedded as any other."""
        angle = s.float()[:, None] * self.freqs
        out: Tensor = self.mlp(torch.cat([angle.cos(), angle.sin()], dim=-1))
        return out


@final
class GlobalAdaLN(nn.Module):
    """v1: c ← c + e_s, for every block, both streams and the final layer."""

    def forward(self, entry: Entry, e_s: Float[Tensor, "B D"]) -> Entry:
        """Add e_s to the global condition."""
        return replace(entry, c=entry.c + e_s[:, None])


@final
class InputAdd(nn.Module):
    """v2: z_i ← z_i + e_s for every audio token."""

    def forward(self, entry: Entry, e_s: Float[Tensor, "B D"]) -> Entry:
        """Add e_s to the audio tokens."""
        return replace(entry, audio=entry.audio + e_s[:, None])


def _token_projector(width: int) -> nn.Sequential:
    """e_s → the prepended token: Linear → SiLU → Linear, zero for e_s = 0 while biases are zero."""
    # PAPER-SILENT: Table I only names the two prepending heads. The token is a two-layer MLP of
    # e_s (`score_tokens: {seq_len: 1, projector: mlp}` in the released configuration), it stands at
    # rotary position −1, so that all other tokens keep theirs, and is dropped before the final
    # layer. Its softmax weight is positive even when the token is zero, so on trained backbone
    # weights v3 and v5 start near the model without a head, not at it; no smooth gate of a
    # softmax weight is both zero and learnable. They do start independent of s, and with freshly
    # initialised AdaLN (zero) at exactly the same velocity.
    return nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))


@final
class AudioPrepend(nn.Module):
    """v3: one score token before the audio tokens."""

    prefix = "audio_table"

    def __init__(self, width: int):
        super().__init__()
        self.projector = _token_projector(width)

    def forward(self, entry: Entry, e_s: Float[Tensor, "B D"]) -> Entry:
        """Prepend the token to the audio stream."""
        token = self.projector(e_s)[:, None].to(entry.audio.dtype)
        return replace(entry, audio=torch.cat([token, entry.audio], dim=1))


@final
class TextPrepend(nn.Module):
    """v5: one score token before the text tokens."""

    prefix = "text_table"

    def __init__(self, width: int):
        super().__init__()
        self.projector = _token_projector(width)

    def forward(self, entry: Entry, e_s: Float[Tensor, "B D"]) -> Entry:
        """Prepend the token to the text stream."""
        token = self.projector(e_s)[:, None].to(entry.text.dtype)
        return replace(entry, text=torch.cat([token, entry.text], dim=1))


@final
class PerBlockAdaLN(nn.Module):
    """v4: block i adds W_i·SiLU(e_s) to the six AdaLN terms of its audio stream."""

    # PAPER-SILENT: the paper only names this head. W_i has no bias and is not zero at the start:
    # e_s already is, and a product of two zeros would have no gradient and never learn.
    def __init__(self, width: int, n_blocks: int):
        super().__init__()
        self.adaln = nn.ModuleList(nn.Linear(width, 6 * width, bias=False) for _ in range(n_blocks))

    def forward(self, entry: Entry, e_s: Float[Tensor, "B D"]) -> Entry:
        """One extra AdaLN term per block."""
        activated = F.silu(e_s)[:, None]
        return replace(entry, extra=tuple(linear(activated) for linear in self.adaln))


def make_head(name: HeadName, width: int, n_blocks: int) -> nn.Module | None:
    """The head ``name``; None for the model without one."""
    heads: dict[HeadName, Callable[[], nn.Module | None]] = {
        "none": lambda: None,
        "global_adaln": GlobalAdaLN,
        "input_add": InputAdd,
        "audio_prepend": lambda: AudioPrepend(width),
        "per_block_adaln": lambda: PerBlockAdaLN(width, n_blocks),
        "text_prepend": lambda: TextPrepend(width),
    }
    return heads[name]()
