"""A condition: one model, one score s, one inference protocol, scored on every prompt."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pydantic
import torch
from numpy.typing import NDArray
from torch import Tensor

from attm_companion.arrays import Array
from attm_companion.study.chain import Features, Weights
from attm_companion.study.condition_scores import Scores
from attm_companion.study.roles import Frozen, RankerRole
from attm_companion.study.stage import Stage
from attm_core.audio import clipped_share, level_dbfs
from attm_core.configuration import GenerationConfig
from attm_core.constants import HeadName
from attm_core.errors import ConfigError
from attm_core.files import write_atomic
from attm_core.protocols import ClapModel
from attm_core.randomness import torch_generator
from attm_core.ranker.reward_model import embed_audio

if TYPE_CHECKING:
    from attm_core.backbone.flux_audio import FluxAudio
    from attm_core.generation.pipeline import Clips

SCORES = "scores.npz"
AUDIO = "audio.npy"
ANCHORS = ("noise", "random_latents", "round_trip", "real")
NOISE_LEVEL = 0.1  # standard deviation of the white-noise anchor
CONFIG_FIELDS = frozenset(field.name for field in fields(GenerationConfig))


class InferenceProtocol(pydantic.BaseModel):
    """How a table generates: prompts, noise, guidance, post-processing, reference."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    split: Literal["prompts", "valid"]
    reference: Literal["reference", "valid"]
    seed: int
    config: GenerationConfig
    n_listening: int
    one_seed: bool = False
    sigma_rel: float | None = None
    vocals: bool = False  # whether the level of the voice is measured
    n_prompts: int = 0  # 0: all

    def changed(self, **changes: Any) -> InferenceProtocol:
        """The same protocol but for some fields, its own or those of its `GenerationConfig`."""
        own = {name: value for name, value in changes.items() if name not in CONFIG_FIELDS}
        config = replace(self.config, **{name: changes[name] for name in changes.keys() - own})
        return InferenceProtocol.model_validate({**dict(self), **own, "config": config})

    def captions(self, frozen: Frozen) -> list[str]:
        """The prompts, un-prefixed; raises ``ConfigError`` if ``n_prompts`` are not there."""
        captions = frozen.corpus.captions(self.split)
        if not 0 <= self.n_prompts <= len(captions):
            raise ConfigError(
                f"n_prompts must be from 0 (all) to {len(captions)}, got {self.n_prompts}"
            )
        return captions[: self.n_prompts or None]

    def clips(self, model: FluxAudio, features: Features) -> Clips:
        """One clip per prompt of a model, with the networks that its features were made with."""
        from attm_companion.study.sampling import sampling_model
        from attm_core.generation.pipeline import generate
        from attm_core.generation.sampler import prompt_seeds

        captions = self.captions(features.frozen)
        networks = features.networks(separator=self.config.n_passes > 0)
        seeds = prompt_seeds(self.seed, len(captions), self.one_seed)
        ready = sampling_model(model, features.device)
        return generate(ready, captions, self.config, networks, seeds)


class Evaluator(pydantic.BaseModel):
    """The networks that turn waves into scores."""

    model_config = pydantic.ConfigDict(extra="forbid")

    frozen: Frozen
    ranker: RankerRole

    @property
    def clap(self) -> ClapModel:
        """The evaluation CLAP model, which the ranker reads, too."""
        return self.ranker.reward_model.clap

    def embed(self, waves: Tensor) -> Tensor:
        """Evaluation-CLAP embeddings (n, P) of waves (n, C, S)."""
        return embed_audio(self.clap, waves, self.frozen.corpus.sample_rate_hz)

    def score(self, waves: Tensor, captions: list[str], vocals: bool = False) -> Scores:
        """All scores of waves (n, C, S); the vocal level only if asked for."""
        from attm_core.evaluation.clap_score import cosine_per_item

        audio, rate = self.embed(waves), self.frozen.corpus.sample_rate_hz
        reward = self.ranker.reward_model.score(waves, rate, captions, audio)
        return Scores(
            clap=cosine_per_item(self.clap.embed_text(captions), audio),
            reward=reward.numpy(),
            embeddings=audio.double().numpy(),
            vocals_db=self.vocals_db(waves) if vocals else np.full(len(waves), np.nan),
            level_dbfs=level_dbfs(waves).numpy(),
            clipped=clipped_share(waves).numpy(),
            **(self.frozen.oracle.scores(waves, captions) if self.frozen.oracle else {}),
        )

    def vocals_db(self, waves: Tensor) -> Array:
        """Level of what one separation pass takes out, relative to the clip, in dB (n,)."""
        kept = self.frozen.separator.model().no_vocals(waves)
        vocals = (waves - kept).square().mean(dim=(1, 2))
        share = vocals / waves.square().mean(dim=(1, 2)).clamp_min(1e-12)
        return (10 * torch.log10(share.clamp_min(1e-6))).double().numpy()


class ConditionStage(Stage):
    """Generate one clip per prompt and score it."""

    version = "2"
    kind: Literal["condition"] = "condition"
    weights: Weights
    forward: HeadName
    protocol: InferenceProtocol
    evaluator: Evaluator

    def run(self, folder: Path) -> None:
        """Generate and score; keep a few clips to listen to."""
        clips = self.protocol.clips(self._model(), self.weights.features)
        scores = self.evaluator.score(clips.waves, list(clips.prompts), self.protocol.vocals)
        scores.save(folder / SCORES)
        _save_audio(folder / AUDIO, clips.waves[: self.protocol.n_listening])

    @property
    def s(self) -> float | None:
        """The input score."""
        return self.protocol.config.s

    def scores(self) -> Scores:
        """What the condition scored."""
        return Scores.load(self.artefact(SCORES))

    def audio(self) -> Tensor:
        """The first clips (n_listening, S)."""
        return load_clips(self.artefact(AUDIO))

    def _model(self) -> FluxAudio:
        from attm_core.backbone.checkpoint import cross_load

        model = self.weights.model(self.protocol.sigma_rel)
        if self.forward != model.config.score_head:
            model = cross_load(model, self.forward)
        return model.eval()


class AnchorStage(Stage):
    """Scores of what is no model's output: noise, noise latents, round trip, real clips.

    They are post-processed as the protocol post-processes a model's clips.
    """

    version = "2"
    kind: Literal["anchors"] = "anchors"
    evaluator: Evaluator
    features: Features
    protocol: InferenceProtocol

    def run(self, folder: Path) -> None:
        """Score every anchor on the prompts of the protocol."""
        captions = self.protocol.captions(self.evaluator.frozen)
        for name, waves in self._waves(len(captions)).items():
            self.evaluator.score(waves, captions).save(folder / f"{name}.npz")
            _save_audio(folder / f"{name}.npy", waves[: self.protocol.n_listening])
        reference = self.evaluator.frozen.corpus.waves(self.protocol.reference)
        _save(folder / "reference.npy", self.evaluator.embed(reference).double().numpy())
        _save(folder / "text.npy", self.evaluator.clap.embed_text(captions).double().numpy())

    def _waves(self, n: int) -> dict[str, Tensor]:
        from attm_core.generation.pipeline import postprocess

        codec = self.evaluator.frozen.codec.model()
        real = self.evaluator.frozen.corpus.waves(self.protocol.split)[:n]
        generator = torch_generator(self.protocol.seed, "anchors")
        mean, std = self.features.latents("train", "reward_score").statistics()
        shape = (len(real), codec.n_latents, codec.n_channels)
        random_latents = mean + std * torch.randn(shape, generator=generator)
        round_trip = [codec.encode(part)[0] for part in real.split(self.protocol.config.batch_size)]
        anchors = {
            "noise": NOISE_LEVEL * torch.randn(real.shape, generator=generator),
            "random_latents": codec.decode(random_latents),
            "round_trip": torch.cat([codec.decode(latents) for latents in round_trip]),
            "real": real,
        }
        rate, config = codec.sample_rate_hz, self.protocol.config
        separator = self.evaluator.frozen.separator.model() if config.n_passes else None
        return {
            name: postprocess(waves, rate, separator, config)[0] for name, waves in anchors.items()
        }

    def audio(self, name: str) -> Tensor:
        """The first clips (n_listening, S) of an anchor."""
        return load_clips(self.artefact(f"{name}.npy"))

    def scores(self) -> dict[str, Scores]:
        """Anchor → what it scored."""
        return {name: Scores.load(self.artefact(f"{name}.npz")) for name in ANCHORS}

    def embedded(self, name: Literal["reference", "text"]) -> Array:
        """Evaluation-CLAP embeddings (m, P) of reference clips or un-prefixed prompts."""
        embeddings: Array = np.load(self.artefact(f"{name}.npy"))
        return embeddings


def _save_audio(path: Path, waves: Tensor) -> None:
    _save(path, (waves[:, 0].clamp(-1, 1) * 32767).round().to(torch.int16).numpy())


def _save(path: Path, values: NDArray[Any]) -> None:
    write_atomic(path, lambda part: np.save(part, values))


def load_clips(path: Path) -> Tensor:
    """Clips (n, S) kept for listening."""
    return torch.from_numpy(np.load(path).astype(np.float32) / 32767)
