"""Batches for training a voice separator (Section III-E) on the corpus' own stems."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxtyping import Float
from numpy.typing import NDArray

from attm_companion.world.store import ClipStore
from attm_core.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

SOURCES = ("instrumental", "vocals")
GAIN_SPREAD_DB = 4.0


def draw_stems(
    store: ClipStore,
    rows: NDArray[np.int64],
    batch_size: int,
    generator: torch.Generator,
    remixed_share: float = 0.5,
) -> Float[Tensor, "B 2 S"]:
    """Draw clips and return their sources; the mixture is ``sources.sum(1)``, exactly.

    In ``remixed_share`` of the batch the voice comes from another clip of the batch and at
    another level, so that a separator cannot learn which voice goes with which instruments.

    Args:
        store: the corpus.
        rows: rows to draw from (those of the train split).
        batch_size: number of clips B.
        generator: source of the draws.
        remixed_share: in [0, 1].

    Returns:
        Sources in the order of `SOURCES`, (B, 2, S) float32.

    Raises:
        InputError: no row, or a share outside [0, 1].
    """
    import torch

    if len(rows) == 0 or not 0.0 <= remixed_share <= 1.0:
        raise InputError("draw_stems needs rows and a remixed_share in [0, 1]")
    picked = torch.randint(len(rows), (batch_size,), generator=generator).numpy()
    instrumental = store.waves("instrumental", rows[picked])
    vocals = store.waves("vocals", rows[picked])
    remixed = torch.rand(batch_size, 1, generator=generator) < remixed_share
    gain_db = GAIN_SPREAD_DB * torch.randn(batch_size, 1, generator=generator)
    others = vocals.roll(1, dims=0) * 10 ** (gain_db / 20)
    return torch.stack([instrumental, torch.where(remixed, others, vocals)], dim=1)
