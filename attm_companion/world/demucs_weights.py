"""Initial weights of the mini separator (Section III-E(b)) from a named stream.

The constructors of the ``demucs`` package draw from PyTorch's global stream; this draws the same
distributions again from a generator.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch import nn

RESCALE = 0.1  # the reference initialisation scale of demucs
EMBEDDING_SCALE = 10.0
CONVOLUTIONS = (
    torch.nn.Conv1d,
    torch.nn.Conv2d,
    torch.nn.ConvTranspose1d,
    torch.nn.ConvTranspose2d,
)


def draw_demucs_weights(model: nn.Module, generator: torch.Generator) -> None:
    """Redraw all random weights of a ``Demucs`` or ``HDemucs`` in place."""
    from demucs.demucs import rescale_module

    for module in model.modules():
        if isinstance(module, CONVOLUTIONS):
            _draw(module, generator)
    frequencies: Any = getattr(model, "freq_emb", None)
    if frequencies is not None:
        _draw_smooth(frequencies.embedding.weight, generator)
    rescale_module(model, RESCALE)


def _draw(module: Any, generator: torch.Generator) -> None:
    """PyTorch's default for convolutions, U(±1/√fan_in)."""
    bound = 1 / math.sqrt(module.weight[0].numel())
    with torch.no_grad():
        module.weight.uniform_(-bound, bound, generator=generator)
        if module.bias is not None:
            module.bias.uniform_(-bound, bound, generator=generator)


def _draw_smooth(embedding: Tensor, generator: torch.Generator) -> None:
    """Demucs' frequency embedding: a normalised random walk, so that neighbours are alike."""
    steps = torch.randn(embedding.shape, generator=generator)
    counts = torch.arange(1, len(embedding) + 1)[:, None]
    with torch.no_grad():
        embedding.copy_(steps.cumsum(dim=0) / counts.sqrt() / EMBEDDING_SCALE)
