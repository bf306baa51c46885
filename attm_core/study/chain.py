"""The three training stages as cached stages (Section III-D): SFT, expert iteration, CRPO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import exca
import numpy as np
import pydantic
import torch
from torch import Tensor

from attm_core.backbone.checkpoint import cross_load, load_model, save_model
from attm_core.backbone.config import Conditions, FluxAudioConfig
from attm_core.backbone.flux_audio import FluxAudio
from attm_core.backbone.frozen import FrozenFluxAudio
from attm_core.files import write_atomic, write_json
from attm_core.generation.sampler import GenerationConfig, generate_latents, initial_noise
from attm_core.precision import fast_dtype
from attm_core.randomness import derived_seed, torch_generator
from attm_core.study.arrays import Array, Rows
from attm_core.study.features import FeaturesStage
from attm_core.study.frozen import QUALITY, WEIGHTS
from attm_core.study.profile import Backbone, Crpo, ExpertIteration, Generation, HeadName, Training
from attm_core.study.stage import Stage
from attm_core.training.crpo import CRPOConfig, PairSet, build_pairs, train_crpo
from attm_core.training.data import LatentSet
from attm_core.training.expert_iteration import (
    ExpertIterationConfig,
    select_top_decile,
    train_expert_iteration,
)
from attm_core.training.objective import TrainConfig
from attm_core.training.sft import SFTConfig, train_sft

RewardColumn = Literal["instrumental_reward_score", "reward_score", "track_reward_score"]


def train_config(training: Training) -> TrainConfig:
    """Length, optimiser and bookkeeping of a run, from its section of the profile."""
    return TrainConfig(
        training.n_steps,
        optim=training.optim(),
        save_every=training.save_every,
        validate_every=training.save_every,
        snapshot_every=training.save_every,
    )


def flux_config(size: Backbone, head: HeadName, shapes: Mapping[str, int]) -> FluxAudioConfig:
    """The backbone of a profile: its size, a score head, and the shapes that the data impose."""
    return FluxAudioConfig(
        **shapes,
        width=size.n_heads * size.head_width,
        n_heads=size.n_heads,
        n_joint=size.n_joint_blocks,
        n_fused=size.n_fused_blocks,
        ffn_multiple=size.ffn_multiple,
        score_head=head,
        score_bandwidth=size.score_bandwidth,
    )


def sft_config(training: Training, seed: int) -> SFTConfig:
    """Flow-matching training from its section of the profile."""
    return SFTConfig(train_config(training), batch_size=training.batch_size, seed=seed)


class SFTStage(Stage):
    """Stage 1: flow matching from scratch under text and reward; head ``none`` is the baseline."""

    kind: Literal["sft"] = "sft"
    features: FeaturesStage
    backbone: Backbone
    head: HeadName
    reward: RewardColumn
    training: Training
    seed: int
    infra: exca.TaskInfra = exca.TaskInfra(version="1")

    @infra.apply
    def run(self) -> str:
        """Train, resuming what a killed run left."""
        with self.recording() as folder:
            # The same stream of initial weights for every head, so that models differ by the head.
            model = FluxAudio(self._model_config(), torch_generator(self.seed, "backbone"))
            model.set_null_text(*self.features.null_text())
            train, valid = (
                self.features.latents(split, self.reward) for split in ("train", "valid")
            )
            config = sft_config(self.training, self.seed)
            result = train_sft(model, train, valid, config, folder / "run", f"SFT {self.head}")
            save_model(model, folder / WEIGHTS)
            last = float(result.log["validation_loss"].dropna().iloc[-1])
            write_json(folder / QUALITY, {"validation_loss": last})
        return self.uid

    @property
    def label(self) -> str:
        """The stage and its head."""
        return f"SFT {self.head}"

    def model(self) -> FluxAudio:
        """The trained model under its own forward."""
        return load_model(self.folder / WEIGHTS).eval()

    def _model_config(self) -> FluxAudioConfig:
        return flux_config(self.backbone, self.head, self.features.shapes())


class ExpertStage(Stage):
    """Stage 2: sample, rank by reward and CLAP, keep the best, fine-tune on the mixture, polish."""

    kind: Literal["expert"] = "expert"
    start: SFTStage
    config: ExpertIteration
    generation: Generation
    seed: int
    infra: exca.TaskInfra = exca.TaskInfra(version="1")

    @infra.apply
    def run(self) -> str:
        """Sample, select and train; `selection.json` holds what was kept."""
        features = self.start.features
        with self.recording() as folder:
            model = self.start.model()
            rows = features.draw_rows("train", self.config.n_samples, self.seed, "expert")
            latents = sample(model, features, rows, self.config.s, self.generation, self.seed)
            reward, clap = features.judge(latents, rows)
            kept = select_top_decile(reward, clap, self.config.n_keep)
            experts = as_latent_set(features, latents[kept], rows[kept], reward[kept])
            write_json(folder / "selection.json", _selection(reward, clap, kept))
            samples = {"reward": reward, "clap": clap}
            write_atomic(folder / "samples.npz", lambda part: np.savez(part, **samples))
            train, valid = (
                features.latents(split, self.start.reward) for split in ("train", "valid")
            )
            config = ExpertIterationConfig(
                sft_config(self.config.finetune, self.seed),
                sft_config(self.config.polish, self.seed),
                self.config.oversample,
            )
            train_expert_iteration(model, train, experts, valid, config, folder / "run")
            save_model(model, folder / WEIGHTS)
        return self.uid

    @property
    def label(self) -> str:
        """The stage and its head."""
        return f"expert iteration {self.start.head}"

    def model(self) -> FluxAudio:
        """The trained model under its own forward."""
        return load_model(self.folder / WEIGHTS).eval()


class CrpoStage(Stage):
    """Stage 3: cross-load into a forward, rank own samples by CLAP, train on the pairs."""

    kind: Literal["crpo"] = "crpo"
    start: ExpertStage
    forward: HeadName
    config: Crpo
    generation: Generation
    seed: int
    infra: exca.TaskInfra = exca.TaskInfra(version="1")

    @infra.apply
    def run(self) -> str:
        """Build the pairs and train; `pairs.json` tells how far apart they are."""
        features = self.start.start.features
        with self.recording() as folder:
            model = cross_load(self.start.model(), self.forward)
            rows = features.draw_rows("train", self.config.n_prompts, self.seed, "crpo")
            pairs = self._pairs(model, rows)
            valid = features.latents("valid", self.start.start.reward)
            training = self.config.training
            config = CRPOConfig(
                train_config(training),
                batch_size=training.batch_size,
                beta=self.config.beta,
                lambda_fm=self.config.lambda_fm,
                seed=self.seed,
            )
            train_crpo(model, pairs, config, folder / "run", valid)
            save_model(model, folder / WEIGHTS)
        return self.uid

    @property
    def label(self) -> str:
        """The stage and its forward."""
        return f"CRPO {self.start.start.head} → {self.forward}"

    def model(self) -> FluxAudio:
        """The trained model under its own forward."""
        return load_model(self.folder / WEIGHTS).eval()

    def _pairs(self, model: FluxAudio, rows: Rows) -> PairSet:
        features, n = self.start.start.features, self.config.n_per_prompt
        repeated: Rows = np.repeat(rows, n)
        latents = sample(model, features, repeated, self.config.s, self.generation, self.seed)
        _, clap = features.judge(latents, repeated)
        chosen = build_pairs(clap.reshape(-1, n))
        sides = []
        for side in (chosen.winners, chosen.losers):
            at, prompt_rows = chosen.prompts * n + side, rows[chosen.prompts]
            # PAPER-SILENT: which s winners and losers are trained under; the one they came from.
            s = np.full(len(at), self.config.s)
            sides.append(as_latent_set(features, latents[at], prompt_rows, s))
        gap = clap[chosen.prompts * n + chosen.winners] - clap[chosen.prompts * n + chosen.losers]
        facts = {"n": len(gap), "skipped": chosen.n_skipped, "mean_gap": float(gap.mean())}
        write_json(self.folder / "pairs.json", facts)
        return PairSet(*sides)


Weights = Annotated[SFTStage | ExpertStage | CrpoStage, pydantic.Field(discriminator="kind")]


def sample(
    model: FluxAudio,
    features: FeaturesStage,
    rows: Rows,
    s: float,
    generation: Generation,
    seed: int,
) -> Tensor:
    """Latents (n, N, C) for the captions of corpus rows, un-prefixed, each from its own noise."""
    seeds = [derived_seed(seed, "sample", number) for number in range(len(rows))]
    noise = initial_noise(seeds, (model.config.n_latents, model.config.n_channels))
    config = GenerationConfig(
        s=s, w=generation.w, n_steps=generation.n_steps, batch_size=generation.batch_size
    )
    return generate_latents(frozen_model(model), features.conditions(rows), config, noise)


def frozen_model(model: FluxAudio) -> FrozenFluxAudio:
    """The model laid out for sampling, in bfloat16 (velocities within 1 %) if that is fast here."""
    return FrozenFluxAudio(model, fast_dtype())


def as_latent_set(
    features: FeaturesStage, latents: Tensor, rows: Rows, score: Sequence[float] | Array
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


def _selection(reward: Array, clap: Array, kept: Rows) -> dict[str, float]:
    return {
        "n_samples": len(reward),
        "n_kept": len(kept),
        "reward_mean": float(reward.mean()),
        "reward_mean_kept": float(reward[kept].mean()),
        "clap_mean": float(clap.mean()),
        "clap_mean_kept": float(clap[kept].mean()),
    }
