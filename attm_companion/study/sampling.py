"""Samples of a model: drawn for rows of the corpus, kept as training clips (III-D(c) and (d))."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from attm_companion.study.arrays import Array, Rows
from attm_companion.study.features import TrainingData
from attm_companion.study.profile import Generation
from attm_core.backbone.config import Conditions
from attm_core.backbone.flux_audio import FluxAudio
from attm_core.backbone.frozen import FrozenFluxAudio
from attm_core.files import load_tensors, save_tensors
from attm_core.generation.sampler import GenerationConfig, generate_latents, initial_noise
from attm_core.precision import fast_dtype
from attm_core.randomness import derived_seed
from attm_core.training.data import LatentSet

LATENT_FIELDS = ("mean", "std", "tokens", "pooled", "score")


def sample(
    model: FluxAudio,
    features: TrainingData,
    rows: Rows,
    s: float,
    generation: Generation,
    seed: int,
) -> Tensor:
    """Latents (n, N, C) for the captions of corpus rows, un-prefixed, each from its own noise."""
    seeds = [derived_seed(seed, "sample", number) for number in range(len(rows))]
    noise = initial_noise(seeds, (model.config.n_latents, model.config.n_channels))
    config = GenerationConfig(
        s=s,
        w=generation.w,
        n_steps=generation.n_steps,
        batch_size=generation.batch_size,
        device=features.device,
        bf16=features.device.type != "cpu",
    )
    ready = sampling_model(model, features.device)
    return generate_latents(ready, features.conditions(rows), config, noise)


def sampling_model(model: FluxAudio, device: torch.device) -> FluxAudio | FrozenFluxAudio:
    """The model ready for sampling, in bfloat16 (velocities within 1 %) if that is fast there.

    On the CPU it is laid out for it; on a GPU it is moved there, and
    `GenerationConfig.device` brings the batches.
    """
    if device.type == "cpu":
        return FrozenFluxAudio(model, fast_dtype())
    return model.to(device)


def as_latent_set(
    features: TrainingData, latents: Tensor, rows: Rows, score: Sequence[float] | Array
) -> LatentSet:
    """Own samples as training clips: their latents as they are (std 0) under their captions."""
    # PAPER-SILENT: whether kept samples go back through audio and the encoder. Their latents are
    # taken as they came out of the sampler: no second codec loss, and no posterior to draw from.
    conditions: Conditions = features.conditions(rows)
    return LatentSet(
        latents,
        torch.zeros_like(latents),
        conditions.tokens,
        conditions.pooled,
        torch.as_tensor(np.asarray(score), dtype=torch.float32),
    )


def save_latents(latents: LatentSet, path: Path) -> Path:
    """Write a set whose captions are stored clip by clip."""
    return save_tensors(path, {name: getattr(latents, name) for name in LATENT_FIELDS})


def load_latents(path: Path) -> LatentSet:
    """Read what `save_latents` wrote."""
    return LatentSet(**load_tensors(path))
