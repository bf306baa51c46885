"""A condition: one model, one score s, one inference protocol, scored on every prompt."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydantic
import torch
from torch import Tensor

from attm_companion.study.arrays import Array
from attm_companion.study.chain import Features, Weights
from attm_companion.study.condition_scores import Scores
from attm_companion.study.features import embed_in_parts
from attm_companion.study.profile import HeadName
from attm_companion.study.roles import Frozen, RankerRole
from attm_companion.study.sampling import sampling_model
from attm_companion.study.stage import Stage
from attm_core.backbone.checkpoint import cross_load
from attm_core.backbone.config import Conditions
from attm_core.backbone.flux_audio import FluxAudio
from attm_core.evaluation.clap_score import cosine_per_item
from attm_core.files import write_atomic
from attm_core.generation.postprocess import PostprocessConfig, postprocess
from attm_core.generation.sampler import (
    GenerationConfig,
    generate_latents,
    initial_noise,
    prompt_seeds,
)
from attm_core.protocols import ClapModel
from attm_core.randomness import torch_generator
from attm_core.training.ema import load_ema

SCORES = "scores.npz"
AUDIO = "audio.npy"
NOISE_LEVEL = 0.1  # standard deviation of the white-noise anchor

Post = Literal["none", "as_written", "as_released"]


class InferenceProtocol(pydantic.BaseModel):
    """How a table generates: prompts, noise, guidance, post-processing, reference."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    split: Literal["prompts", "valid"]
    reference: Literal["reference", "valid"]
    seed: int
    w: float
    n_steps: int
    prefix: str
    post: Post
    batch_size: int
    n_listening: int
    negative: str | None = None
    one_seed: bool = False
    sigma_rel: float | None = None
    n_prompts: int = 0  # 0: all

    def changed(self, **changes: Any) -> InferenceProtocol:
        """The same protocol but for some fields; unknown names are errors."""
        return InferenceProtocol.model_validate({**self.model_dump(), **changes})

    def captions(self, frozen: Frozen) -> list[str]:
        """The prompts, un-prefixed."""
        return frozen.corpus.captions(self.split)[: self.n_prompts or None]

    def with_seed(self, seed: int) -> InferenceProtocol:
        """The same protocol under another generation seed."""
        return self.changed(seed=seed)


class Judge(pydantic.BaseModel):
    """Everything that turns waves into scores."""

    model_config = pydantic.ConfigDict(extra="forbid")

    frozen: Frozen
    ranker: RankerRole

    @cached_property
    def clap(self) -> ClapModel:
        """The evaluation CLAP model."""
        return self.frozen.evaluation_clap.model()

    def score(self, waves: Tensor, captions: list[str], separated: bool) -> Scores:
        """CLAP score, reward, embedding and vocal level of waves (n, S).

        The vocal level of clips that the separator has been through says nothing and is left NaN.
        """
        vocals_db = np.full(len(waves), np.nan) if separated else self.vocals_db(waves)
        rate = self.frozen.corpus.sample_rate_hz
        audio = embed_in_parts(self.clap, waves, rate)
        return Scores(
            clap=cosine_per_item(self.clap.embed_text(captions), audio),
            reward=self.ranker.score(waves, rate, captions),
            embeddings=audio.double().numpy(),
            vocals_db=vocals_db,
        )

    def vocals_db(self, waves: Tensor) -> Array:
        """Level of what one separation pass takes out, relative to the clip, in dB (n,)."""
        kept = self.frozen.separator.model().no_vocals_batch(waves)
        vocals = (waves - kept).square().mean(dim=1)
        level = vocals / waves.square().mean(dim=1).clamp_min(1e-12)
        decibels: Array = (10 * torch.log10(level.clamp_min(1e-6))).double().numpy()
        return decibels

    def finish(self, waves: Tensor, post: Post) -> Tensor:
        """Post-processed waves (n, S)."""
        if post == "none":
            return waves
        config = PostprocessConfig(separation=post, loudness=post)
        rate = self.frozen.corpus.sample_rate_hz
        return postprocess(waves, rate, self.frozen.separator.model(), config)[0]


class ConditionStage(Stage):
    """Generate one clip a prompt and score it."""

    kind: Literal["condition"] = "condition"
    weights: Weights
    forward: HeadName
    s: float | None
    protocol: InferenceProtocol
    judge: Judge

    def run(self, folder: Path) -> None:
        """Sample, decode, post-process, score; keep a few clips to listen to."""
        captions = self.protocol.captions(self.judge.frozen)
        latents = self._latents(captions)
        codec = self.judge.frozen.codec.model()
        parts = [codec.decode(part) for part in latents.split(self.protocol.batch_size)]
        waves = self.judge.finish(torch.cat(parts), self.protocol.post)
        separated = self.protocol.post != "none"
        self.judge.score(waves, captions, separated).save(folder / SCORES)
        _save_audio(folder / AUDIO, waves[: self.protocol.n_listening])

    def scores(self) -> Scores:
        """What the condition scored."""
        return Scores.load(self.artefact(SCORES))

    def audio(self) -> Tensor:
        """The first clips (n_listening, S)."""
        return load_clips(self.artefact(AUDIO))

    def _latents(self, captions: list[str]) -> Tensor:
        protocol, model, features = self.protocol, self._model(), self.weights.features
        seeds = prompt_seeds(protocol.seed, len(captions), protocol.one_seed)
        noise = initial_noise(seeds, (model.config.n_latents, model.config.n_channels))
        config = GenerationConfig(
            s=self.s,
            w=protocol.w,
            n_steps=protocol.n_steps,
            batch_size=protocol.batch_size,
            device=features.device,
            bf16=features.device.type != "cpu",
        )
        conditions = features.encode_text([protocol.prefix + caption for caption in captions])
        negative = None
        if protocol.negative is not None:
            one = features.encode_text([protocol.negative])
            negative = _repeated(one, len(captions))
        ready = sampling_model(model, features.device)
        return generate_latents(ready, conditions, config, noise, negative)

    def _model(self) -> FluxAudio:
        model = self.weights.model()
        if self.protocol.sigma_rel is not None:
            load_ema(model, self.weights.artefact("run") / "ema", self.protocol.sigma_rel)
        if self.forward != model.config.score_head:
            model = cross_load(model, self.forward)
        return model.eval()


class AnchorStage(Stage):
    """Scores of what is no model's output: noise, noise latents, round trip, real clips."""

    kind: Literal["anchors"] = "anchors"
    judge: Judge
    features: Features
    protocol: InferenceProtocol

    def run(self, folder: Path) -> None:
        """Score every anchor on the prompts of the protocol."""
        captions = self.protocol.captions(self.judge.frozen)
        for name, waves in self._waves().items():
            scores = self.judge.score(waves, captions, separated=False)
            scores.save(folder / f"{name}.npz")
            _save_audio(folder / f"{name}.npy", waves[: self.protocol.n_listening])
        reference = self.judge.frozen.corpus.waves(self.protocol.reference)
        rate = self.judge.frozen.corpus.sample_rate_hz
        embedded = embed_in_parts(self.judge.clap, reference, rate).double().numpy()
        write_atomic(folder / "reference.npy", lambda part: np.save(part, embedded))
        text = self.judge.clap.embed_text(captions).double().numpy()
        write_atomic(folder / "text.npy", lambda part: np.save(part, text))

    def _waves(self) -> dict[str, Tensor]:
        codec = self.judge.frozen.codec.model()
        real = self.judge.frozen.corpus.waves(self.protocol.split)[
            : self.protocol.n_prompts or None
        ]
        generator = torch_generator(self.protocol.seed, "anchors")
        mean, std = self.features.latents("train", "reward_score").statistics()
        shape = (len(real), codec.n_latents, codec.n_channels)
        random_latents = mean + std * torch.randn(shape, generator=generator)
        round_trip = [codec.encode(part)[0] for part in real.split(self.protocol.batch_size)]
        return {
            "noise": NOISE_LEVEL * torch.randn(real.shape, generator=generator),
            "random_latents": codec.decode(random_latents),
            "round_trip": torch.cat([codec.decode(latents) for latents in round_trip]),
            "real": real,
        }

    def audio(self, name: str) -> Tensor:
        """The first clips (n_listening, S) of an anchor."""
        return load_clips(self.artefact(f"{name}.npy"))

    def scores(self) -> dict[str, Scores]:
        """Anchor → what it scored."""
        names = ("noise", "random_latents", "round_trip", "real")
        return {name: Scores.load(self.artefact(f"{name}.npz")) for name in names}

    def reference(self) -> Array:
        """Evaluation-CLAP embeddings (m, P) of the reference clips."""
        embeddings: Array = np.load(self.artefact("reference.npy"))
        return embeddings

    def text(self) -> Array:
        """Evaluation-CLAP embeddings (n, P) of the un-prefixed prompts."""
        embeddings: Array = np.load(self.artefact("text.npy"))
        return embeddings


def _repeated(one: Conditions, n: int) -> Conditions:
    return Conditions(one.tokens.expand(n, -1, -1), one.pooled.expand(n, -1))


def _save_audio(path: Path, waves: Tensor) -> None:
    pcm = (waves.clamp(-1, 1) * 32767).round().to(torch.int16).numpy()
    write_atomic(path, lambda part: np.save(part, pcm))


def load_clips(path: Path) -> Tensor:
    """Clips (n, S) kept for listening."""
    return torch.from_numpy(np.load(path).astype(np.float32) / 32767)
