"""Sampling from a study's models: ready for the device, or as the training stages need it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from attm_companion.arrays import Array
from attm_companion.study.features import TrainingData
from attm_core.configuration import GenerationConfig
from attm_core.ranker.reward_model import embed_audio

if TYPE_CHECKING:
    from attm_core.backbone.fast_sampling import FastFluxAudio
    from attm_core.backbone.flux_audio import FluxAudio
    from attm_core.generation.pipeline import Clips
    from attm_core.training.own_samples import Sampling


def own_sampling(
    features: TrainingData, config: GenerationConfig, with_reward: bool = True
) -> Sampling:
    """What Stages 2 and 3 sample with: training captions, un-prefixed, and this study's judges.

    Guidance and steps are those of ``config``, its prefix and post-processing are left out;
    rewards are NaN unless ``with_reward``, for then the ranker listens, too.
    """
    from attm_core.generation.pipeline import encode_distinct, generate
    from attm_core.training.own_samples import Sampling

    plain, networks = replace(config.without_postprocessing(), prefix=""), features.networks()
    # PAPER-SILENT: which CLAP model ranks samples in Stages 2 and 3. We take the conditioning
    # model, so that the evaluation model's score is never optimised directly.
    clap, ranker = features.conditioning, features.ranker.reward_model if with_reward else None
    # The miniature's training ranker reads the same model: a wave is then embedded once for both.
    shared = features.ranker.clap.uid == features.frozen.conditioning_clap.uid

    def sample(model: FluxAudio, captions: list[str], s: float, seeds: list[int]) -> Clips:
        ready = sampling_model(model, features.device)
        return generate(ready, captions, replace(plain, s=s), networks, seeds)

    def judge(clips: Clips, captions: list[str]) -> tuple[Array, Array]:
        audio = embed_audio(clap, clips.waves, clips.sample_rate_hz)
        fit = (audio * clap.embed_text(captions)).sum(dim=1).numpy()
        if ranker is None:
            return np.full(len(fit), np.nan), fit
        known = audio if shared else None
        return ranker.score(clips.waves, clips.sample_rate_hz, captions, known).numpy(), fit

    encode = partial(encode_distinct, features.encode_text)
    return Sampling(features.frozen.corpus.captions("train"), encode, sample, judge)


def sampling_model(model: FluxAudio, device: torch.device) -> FluxAudio | FastFluxAudio:
    """The model ready for sampling, in bfloat16 (velocities within 1 %) if that is fast there.

    On the CPU it is laid out for it; on a GPU it is moved there.
    """
    from attm_core.backbone.fast_sampling import FastFluxAudio
    from attm_core.precision import fast_dtype

    if device.type == "cpu":
        return FastFluxAudio(model, fast_dtype())
    return model.to(device)
