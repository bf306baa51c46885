"""A model's own samples, judged: what Stages 2 and 3 learn from (Section III-D(c) and (d))."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attm_core.backbone.config import Conditions
from attm_core.backbone.flux_audio import FluxAudio
from attm_core.errors import InputError
from attm_core.randomness import derived_seed, numpy_generator
from attm_core.training.data import LatentSet
from attm_core.training.run import Run, identity_of

Array = NDArray[np.floating[Any]]
_AT_ONCE = 100  # prompts; their waves are dropped as soon as they are judged


@dataclass(frozen=True)
class Sampling:
    """What a stage needs in order to sample from a model and to judge what comes out."""

    captions: Sequence[str]  # that prompts are drawn from, un-prefixed
    encode: Callable[[list[str]], Conditions]
    # Clips of (model, captions, s, noise seeds): an object with latents (B, N, C), un-normalised,
    # such as `attm_core.generation.pipeline.generate` gives.
    generate: Callable[[FluxAudio, list[str], float, list[int]], Any]
    # Ranker reward and CLAP similarity, each (B,), of (clips, captions).
    judge: Callable[[Any, list[str]], tuple[Array, Array]]

    def prompts(self, n: int, seed: int, purpose: str) -> list[str]:
        """``n`` captions at random; each occurs once before any occurs twice."""
        if not self.captions:
            raise InputError("there is no caption to draw prompts from")
        rng, n_all = numpy_generator(seed, "rows", purpose), len(self.captions)
        rounds = [rng.permutation(n_all) for _ in range(-(-n // n_all))]
        return [self.captions[row] for row in np.concatenate(rounds)[:n]]


def judged_samples(
    model: FluxAudio, sampling: Sampling, prompts: list[str], s: float, run: Run
) -> dict[str, Tensor]:
    """``latents`` (n, N, C), ``reward`` (n,) and ``clap`` (n,) of one sample per prompt.

    Sample i comes from noise i of the run's seed; repeat a prompt for several samples of it. They
    are kept in the run's folder and read back from there.
    """

    def make() -> dict[str, Tensor]:
        parts = []
        for start in range(0, len(prompts), _AT_ONCE):
            captions = prompts[start : start + _AT_ONCE]
            seeds = [derived_seed(run.seed, "sample", start + i) for i in range(len(captions))]
            clips = sampling.generate(model, captions, s, seeds)
            scores = (torch.as_tensor(np.asarray(x)) for x in sampling.judge(clips, captions))
            parts.append((clips.latents.float().cpu(), *scores))
        columns = (torch.cat(column) for column in zip(*parts, strict=True))
        return dict(zip(("latents", "reward", "clap"), columns, strict=True))

    asked = {"prompts": prompts, "s": s, "seed": run.seed}
    return run.once("samples.safetensors", make, identity_of(asked, model))


def as_clips(latents: Tensor, conditions: Conditions, score: Tensor) -> LatentSet:
    """Own samples as training clips: their latents as they are (std 0)."""
    # PAPER-SILENT: whether kept samples go back through audio and the encoder. Their latents are
    # taken as they came out of the sampler: no second codec loss, and no posterior to draw from.
    tokens, pooled = conditions.tokens, conditions.pooled
    return LatentSet(latents, torch.zeros_like(latents), tokens, pooled, score.float())
