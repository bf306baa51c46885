"""The three training stages as cached stages (Section III-D): SFT, expert iteration, CRPO.

What a stage samples and selects is written to its folder first; its training then reads it from
there, in this process or in several (`attm_companion.study.launch`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import pydantic

from attm_companion.study.arrays import Array, Rows
from attm_companion.study.features import SPLITS, FeaturesStage
from attm_companion.study.frozen import QUALITY, WEIGHTS
from attm_companion.study.launch import launch_processes
from attm_companion.study.paper_features import ShardedFeaturesStage
from attm_companion.study.profile import (
    Backbone,
    Crpo,
    ExpertIteration,
    Generation,
    HeadName,
    Training,
)
from attm_companion.study.sampling import as_latent_set, load_latents, sample, save_latents
from attm_companion.study.stage import Stage
from attm_core.backbone.checkpoint import cross_load, load_model, save_model
from attm_core.backbone.config import FluxAudioConfig
from attm_core.backbone.flux_audio import FluxAudio
from attm_core.files import write_atomic, write_json
from attm_core.randomness import torch_generator
from attm_core.training.crpo import CRPOConfig, PairSet, build_pairs, train_crpo
from attm_core.training.expert_iteration import (
    ExpertIterationConfig,
    select_top_decile,
    train_expert_iteration,
)
from attm_core.training.objective import TrainConfig
from attm_core.training.sft import SFTConfig, train_sft

if TYPE_CHECKING:
    from accelerate import Accelerator

EXPERTS, PAIRS = "experts.safetensors", ("winners.safetensors", "losers.safetensors")

Features = Annotated[FeaturesStage | ShardedFeaturesStage, pydantic.Field(discriminator="kind")]
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


class TrainedStage(Stage):
    """A stage that ends with a backbone of its own."""

    @abstractmethod
    def train(self, accelerator: Accelerator | None) -> None:
        """Train, as one process of however many there are, and let the first write the weights."""

    def model(self) -> FluxAudio:
        """The trained model under its own forward."""
        return load_model(self.artefact(WEIGHTS)).eval()

    def keep(self, model: FluxAudio, accelerator: Accelerator | None) -> None:
        """Write the trained weights, once."""
        if accelerator is None or accelerator.is_main_process:
            save_model(model, self.folder / WEIGHTS)


class SFTStage(TrainedStage):
    """Stage 1: flow matching from scratch under text and reward; head ``none`` is the baseline."""

    kind: Literal["sft"] = "sft"
    features: Features
    backbone: Backbone
    head: HeadName
    reward: RewardColumn
    training: Training
    seed: int

    def run(self, folder: Path) -> None:
        """Train, resuming what a killed run left."""
        launch_processes(self.train, self.launch, self.features.device.type != "cpu")

    def train(self, accelerator: Accelerator | None) -> None:
        """Flow matching on the training split."""
        # The same stream of initial weights for every head, so that models differ by the head.
        model = FluxAudio(self._model_config(), torch_generator(self.seed, "backbone"))
        model.set_null_text(*self.features.null_text())
        train, valid = (self.features.latents(split, self.reward) for split in SPLITS)
        config, run = sft_config(self.training, self.seed), self.folder / "run"
        result = train_sft(model, train, valid, config, run, self.label, accelerator)
        last = float(result.log["validation_loss"].dropna().iloc[-1])
        if accelerator is None or accelerator.is_main_process:
            write_json(self.folder / QUALITY, {"validation_loss": last})
        self.keep(model, accelerator)

    @property
    def label(self) -> str:
        """The stage and its head."""
        return f"SFT {self.head}"

    def _model_config(self) -> FluxAudioConfig:
        return flux_config(self.backbone, self.head, self.features.shapes())


class ExpertStage(TrainedStage):
    """Stage 2: sample, rank by reward and CLAP, keep the best, fine-tune on the mixture, polish."""

    kind: Literal["expert"] = "expert"
    start: SFTStage
    config: ExpertIteration
    generation: Generation
    seed: int

    def run(self, folder: Path) -> None:
        """Sample, select and train; `selection.json` holds what was kept."""
        if not (folder / EXPERTS).exists():
            self._select(folder)
        launch_processes(self.train, self.launch, self.features.device.type != "cpu")

    def _select(self, folder: Path) -> None:
        features = self.features
        rows = features.draw_rows("train", self.config.n_samples, self.seed, "expert")
        model, s = self.start.model(), self.config.s
        made = sample(model, features, rows, self.generation.config(s), self.seed)
        latents, clap, reward = made.latents, made.clap, made.reward
        assert reward is not None
        kept = select_top_decile(reward, clap, self.config.n_keep)
        write_json(folder / "selection.json", _selection(reward, clap, kept))
        samples = {"reward": reward, "clap": clap}
        write_atomic(folder / "samples.npz", lambda part: np.savez(part, **samples))
        experts = as_latent_set(features, latents[kept], rows[kept], reward[kept])
        save_latents(experts, folder / EXPERTS)

    def train(self, accelerator: Accelerator | None) -> None:
        """Fine-tune on the mixture, then on the kept samples alone."""
        model, folder = self.start.model(), self.folder
        train, valid = (self.features.latents(split, self.start.reward) for split in SPLITS)
        config = ExpertIterationConfig(
            sft_config(self.config.finetune, self.seed),
            sft_config(self.config.polish, self.seed),
            self.config.oversample,
        )
        experts = load_latents(folder / EXPERTS)
        train_expert_iteration(model, train, experts, valid, config, folder / "run", accelerator)
        self.keep(model, accelerator)

    @property
    def features(self) -> Features:
        """Those of Stage 1."""
        return self.start.features

    @property
    def label(self) -> str:
        """The stage and its head."""
        return f"expert iteration {self.start.head}"


class CrpoStage(TrainedStage):
    """Stage 3: cross-load into a forward, rank own samples by CLAP, train on the pairs."""

    kind: Literal["crpo"] = "crpo"
    start: ExpertStage
    forward: HeadName
    config: Crpo
    generation: Generation
    seed: int

    def run(self, folder: Path) -> None:
        """Build the pairs and train; `pairs.json` tells how far apart they are."""
        if not (folder / PAIRS[1]).exists():
            self._build_pairs(folder)
        launch_processes(self.train, self.launch, self.features.device.type != "cpu")

    def train(self, accelerator: Accelerator | None) -> None:
        """CRPO on the pairs, from the cross-loaded model."""
        pairs = PairSet(*(load_latents(self.folder / name) for name in PAIRS))
        valid = self.features.latents("valid", self.start.start.reward)
        training = self.config.training
        config = CRPOConfig(
            train_config(training),
            batch_size=training.batch_size,
            beta=self.config.beta,
            lambda_fm=self.config.lambda_fm,
            seed=self.seed,
        )
        model = self._start_model()
        train_crpo(model, pairs, config, self.folder / "run", valid, accelerator)
        self.keep(model, accelerator)

    @property
    def features(self) -> Features:
        """Those of Stage 1."""
        return self.start.features

    @property
    def label(self) -> str:
        """The stage and its forward."""
        return f"CRPO {self.start.start.head} → {self.forward}"

    def _start_model(self) -> FluxAudio:
        return cross_load(self.start.model(), self.forward)

    def _build_pairs(self, folder: Path) -> None:
        features, n = self.features, self.config.n_per_prompt
        rows = features.draw_rows("train", self.config.n_prompts, self.seed, "crpo")
        repeated: Rows = np.repeat(rows, n)
        model, s = self._start_model(), self.config.s
        config = self.generation.config(s)
        made = sample(model, features, repeated, config, self.seed, with_reward=False)
        latents, clap = made.latents, made.clap
        chosen = build_pairs(clap.reshape(-1, n))
        gap = clap[chosen.prompts * n + chosen.winners] - clap[chosen.prompts * n + chosen.losers]
        facts = {"n": len(gap), "skipped": chosen.n_skipped, "mean_gap": float(gap.mean())}
        write_json(folder / "pairs.json", facts)
        for side, name in zip((chosen.winners, chosen.losers), PAIRS, strict=True):
            at, prompt_rows = chosen.prompts * n + side, rows[chosen.prompts]
            # PAPER-SILENT: which s winners and losers are trained under; the one they came from.
            same = np.full(len(at), s)
            kept = as_latent_set(features, latents[at], prompt_rows, same)
            save_latents(kept, folder / name)


Weights = Annotated[SFTStage | ExpertStage | CrpoStage, pydantic.Field(discriminator="kind")]


def _selection(reward: Array, clap: Array, kept: Rows) -> dict[str, float]:
    return {
        "n_samples": len(reward),
        "n_kept": len(kept),
        "reward_mean": float(reward.mean()),
        "reward_mean_kept": float(reward[kept].mean()),
        "clap_mean": float(clap.mean()),
        "clap_mean_kept": float(clap[kept].mean()),
    }
