"""Samples of a model: drawn for rows of the corpus, scored, kept as training clips (III-D)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from attm_companion.study.arrays import Array, Rows
from attm_companion.study.features import TrainingData
from attm_core.backbone.flux_audio import FluxAudio
from attm_core.backbone.frozen import FrozenFluxAudio
from attm_core.files import load_tensors, save_tensors
from attm_core.generation.pipeline import GenerationConfig, generate
from attm_core.precision import fast_dtype
from attm_core.randomness import derived_seed
from attm_core.ranker.reward_model import embed_audio
from attm_core.training.data import LatentSet

LATENT_FIELDS = ("mean", "std", "tokens", "pooled", "score")
SAMPLED_AT_ONCE = 64  # waves are dropped as soon as they are scored


@dataclass(frozen=True)
class Samples:
    """n samples: latents (n, N, C), CLAP fit to their captions (n,), reward (n,) if asked for."""

    latents: Tensor
    clap: Array
    reward: Array | None


def sample(
    model: FluxAudio,
    features: TrainingData,
    rows: Rows,
    config: GenerationConfig,
    seed: int,
    with_reward: bool = True,
) -> Samples:
    """Sample for the captions of corpus rows, un-prefixed, each from its own noise, and score."""
    # PAPER-SILENT: which CLAP model ranks samples in Stages 2 and 3. We take the conditioning
    # model, so that the evaluation model's score is never optimised directly.
    clap, ranker = features.conditioning, features.ranker.reward_model if with_reward else None
    networks, ready = features.networks(), sampling_model(model, features.device)
    config = replace(config.without_postprocessing(), prefix="")
    captions = features.frozen.corpus.captions_of(rows)
    latents, fits, rewards = [], [], []
    for start in range(0, len(rows), SAMPLED_AT_ONCE):
        texts = captions[start : start + SAMPLED_AT_ONCE]
        seeds = [derived_seed(seed, "sample", start + number) for number in range(len(texts))]
        clips = generate(ready, texts, config, networks, seeds)
        audio = embed_audio(clap, clips.waves, clips.sample_rate_hz)
        latents.append(clips.latents)
        fits.append((audio * clap.embed_text(texts)).sum(dim=1))
        if ranker is not None:
            rewards.append(ranker.score(clips.waves, clips.sample_rate_hz, texts))
    reward = torch.cat(rewards).numpy() if rewards else None
    return Samples(torch.cat(latents), torch.cat(fits).numpy(), reward)


def sampling_model(model: FluxAudio, device: torch.device) -> FluxAudio | FrozenFluxAudio:
    """The model ready for sampling, in bfloat16 (velocities within 1 %) if that is fast there.

    On the CPU it is laid out for it; on a GPU it is moved there.
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
    conditions = features.conditions(rows)
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
