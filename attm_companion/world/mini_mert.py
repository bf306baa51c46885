"""A small self-supervised audio encoder: the mini cast of MERT-v1-330M (Section III-C).

Trained without labels: two windows of one clip must find each other among those of other clips
(InfoNCE). Nothing is augmented, so what all windows of a clip share (instruments, register,
hiss, dullness, detuning) stays in the embedding.
"""

# MINI-WORLD: MERT predicts masked tokens of two teachers; at a thousandth of its training the
# contrast of windows gives embeddings in which instruments and production are linearly readable.

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from attm_companion.world.config import MiniMertConfig
from attm_companion.world.fitting import crop_at, fit
from attm_companion.world.mel_tower import Ear, listen, projection
from attm_core.audio import channel_mean
from attm_core.errors import InputError
from attm_core.weights import build


class MiniMert(nn.Module):
    """Clip embeddings; meets ``AudioEncoder``."""

    def __init__(self, config: MiniMertConfig) -> None:
        super().__init__()
        self.config = config
        self.width = config.width
        self.ear = Ear(config.tower)
        # The contrast acts behind this projection: it may discard what the embedding keeps.
        self.projection = projection(config.width, config.projection, config.projection)

    def embed_audio(
        self, waves: Float[Tensor, "B C S"], sample_rate_hz: int
    ) -> Float[Tensor, "B width"]:
        """Embeddings of waves, whatever their level, pooled over time, not normalised."""
        return self.embed_mels(listen(channel_mean(waves), sample_rate_hz))

    def embed_mels(self, mels: Float[Tensor, "B M L"]) -> Float[Tensor, "B width"]:
        """Embeddings of what `listen` gave."""
        return self.ear.hear(mels)


def train_mini_mert(
    mels: Float[Tensor, "n M L"], config: MiniMertConfig, generator: Generator
) -> MiniMert:
    """Train on unlabelled clips, as `listen` gives them; the generator draws all that is random.

    Raises:
        InputError: the clips are too short for two windows, or there are none.
    """
    model = build(lambda: MiniMert(config), generator)
    model.ear.learn_scale(mels)

    def loss(rows: Tensor) -> Tensor:
        clips = model.ear.standardize(mels[rows])
        windows = torch.cat(disjoint_crops(clips, config.crop_frames, generator))
        unit = F.normalize(model.projection(model.ear.tower(windows)).float(), dim=-1)
        ours, theirs = unit.chunk(2)
        logits = ours @ theirs.T / config.temperature
        target = torch.arange(len(rows))
        return 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))

    fit(model, loss, len(mels), config.fit, generator, "mini MERT")
    return model


def disjoint_crops(
    items: Float[Tensor, "B M L"], width: int, generator: Generator
) -> tuple[Float[Tensor, "B M W"], Float[Tensor, "B M W"]]:
    """Two windows of each item without overlap, the earlier first; ``InputError`` if too short."""
    spare = items.shape[-1] - 2 * width
    if spare < 0:
        raise InputError(f"{items.shape[-1]} frames cannot hold two windows of {width}")
    cuts = torch.randint(spare + 1, (2, len(items)), generator=generator).sort(0).values
    return crop_at(items, cuts[0], width), crop_at(items, cuts[1] + width, width)


def probe_r2(
    features: NDArray[Any], targets: NDArray[Any], n_train: int, ridge: float = 0.1
) -> float:
    """R² on held-out rows of a ridge regression from ``features`` (n, d) to ``targets`` (n,).

    The first ``n_train`` rows train and standardise; ``ridge`` is the penalty as a share of their
    number. 1 − residual / variance on the other rows: 1 perfect, 0 no better than their mean.

    Raises:
        InputError: the test targets are all equal.
    """
    train = features[:n_train].astype(np.float64)
    mean, std = train.mean(0), train.std(0) + 1e-8
    design = (features - mean) / std
    centre = targets[:n_train].mean()
    gram = design[:n_train].T @ design[:n_train] + ridge * n_train * np.eye(design.shape[1])
    weights = np.linalg.solve(gram, design[:n_train].T @ (targets[:n_train] - centre))
    residual = targets[n_train:] - centre - design[n_train:] @ weights
    spread = targets[n_train:] - targets[n_train:].mean()
    if not spread.any():
        raise InputError("the probe's test targets are all equal; shuffle or take more rows")
    return float(1.0 - (residual**2).sum() / (spread**2).sum())
