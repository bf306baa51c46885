"""The three training stages, cached: SFT, expert iteration, CRPO (Section III-D).

Each is a few lines around the procedure of `attm_core.training`, which does the whole stage and
resumes in the stage's folder, in this process or in several (`attm_companion.study.launch`).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import pydantic

from attm_companion.study.features import SPLITS, FeaturesStage, ShardedFeaturesStage
from attm_companion.study.frozen import QUALITY, WEIGHTS
from attm_companion.study.launch import launch_processes
from attm_companion.study.profile import Generation
from attm_companion.study.stage import Stage
from attm_core.backbone.config import FluxAudioConfig
from attm_core.configuration import CRPOConfig, ExpertIterationConfig, SFTConfig
from attm_core.constants import HeadName
from attm_core.files import write_json
from attm_core.randomness import torch_generator
from attm_core.training.ema import load_ema

if TYPE_CHECKING:
    from accelerate import Accelerator

    from attm_core.backbone.flux_audio import FluxAudio
    from attm_core.training.data import LatentSet
    from attm_core.training.run import Run

Features = Annotated[FeaturesStage | ShardedFeaturesStage, pydantic.Field(discriminator="kind")]
RewardColumn = Literal["instrumental_reward_score", "reward_score", "track_reward_score"]


def first_stage(stage: TrainedStage) -> SFTStage:
    """Stage 1 of a stage's chain."""
    if isinstance(stage, SFTStage):
        return stage
    assert isinstance(stage, ExpertStage | CrpoStage)
    return first_stage(stage.start)


class TrainedStage(Stage):
    """A stage that ends with a backbone of its own."""

    FACTS: ClassVar[str]
    AVERAGES: ClassVar[str] = "run/ema"
    version: ClassVar[str] = "2"

    seed: int

    @abstractmethod
    def trained(self, run: Run) -> tuple[FluxAudio, dict[str, Any]]:
        """Run the procedure, as one process of however many there are; the model and its facts."""

    def run(self, folder: Path) -> None:
        """Train in as many processes as asked for, going on from what a killed run left."""
        launch_processes(self.train, self.launch, first_stage(self).features.device.type != "cpu")

    def train(self, accelerator: Accelerator | None) -> None:
        """One process' part; the first writes the facts, and the weights last."""
        from attm_core.backbone.checkpoint import save_model
        from attm_core.training.run import Run

        run = Run(self.folder / "run", self.seed, accelerator)
        model, facts = self.trained(run)
        if run.index == 0:
            write_json(self.folder / self.FACTS, facts)
            save_model(model, self.folder / WEIGHTS)

    def model(self, sigma_rel: float | None = None) -> FluxAudio:
        """The trained model under its own forward, or the average of its training's weights."""
        from attm_core.backbone.checkpoint import load_model

        model = load_model(self.artefact(WEIGHTS))
        if sigma_rel is not None:
            load_ema(model, self.artefact(self.AVERAGES), sigma_rel)
        return model.eval()


class SFTStage(TrainedStage):
    """Stage 1: flow matching from scratch under text and reward; head ``none`` is the baseline."""

    FACTS = QUALITY

    kind: Literal["sft"] = "sft"
    features: Features
    backbone: FluxAudioConfig
    head: HeadName
    reward: RewardColumn
    training: SFTConfig

    def trained(self, run: Run) -> tuple[FluxAudio, dict[str, Any]]:
        """Flow matching on the training split."""
        from attm_core.backbone.flux_audio import FluxAudio
        from attm_core.training.sft import sft, validation_loss

        config = replace(self.backbone, **self.features.shapes(), score_head=self.head)
        # The same stream of initial weights for every head, so that models differ by the head.
        model = FluxAudio(config, torch_generator(self.seed, "backbone"))
        model.set_null_text(*self.features.null_text())
        train, valid = self.clips()
        sft(model, train, valid, self.training, run)
        return model, {"validation_loss": validation_loss(model, valid)}

    def clips(self) -> tuple[LatentSet, LatentSet]:
        """Training and validation clips."""
        train, valid = (self.features.latents(split, self.reward) for split in SPLITS)
        return train, valid

    @property
    def label(self) -> str:
        """The stage and its head."""
        return f"SFT {self.head}"


class LaterStage(TrainedStage):
    """A stage that starts from another's model and learns from that model's own samples."""

    start_sigma_rel: float | None = None
    generation: Generation

    @property
    def features(self) -> Features:
        """Those of Stage 1."""
        return first_stage(self).features


class ExpertStage(LaterStage):
    """Stage 2: sample, judge, keep the best, fine-tune on the mixture, polish."""

    FACTS = "selection.json"
    AVERAGES = "run/polish/ema"

    kind: Literal["expert"] = "expert"
    start: Annotated[SFTStage | ExpertStage, pydantic.Field(discriminator="kind")]
    config: ExpertIterationConfig

    def trained(self, run: Run) -> tuple[FluxAudio, dict[str, Any]]:
        """Expert iteration on the Stage 1 model, its raw or its averaged weights."""
        from attm_companion.study.sampling import own_sampling
        from attm_core.training.expert_iteration import expert_iteration

        model = self.start.model(self.start_sigma_rel)
        sampling = own_sampling(self.features, self.generation.config(None))
        result = expert_iteration(model, sampling, *first_stage(self).clips(), self.config, run)
        facts: dict[str, Any] = {"n_samples": len(result.reward), "n_kept": len(result.kept)}
        for name, values in (("reward", result.reward), ("clap", result.clap)):
            facts[f"{name}_mean"] = float(values.mean())
            kept = float(values[result.kept].mean()) if len(result.kept) else None
            facts[f"{name}_mean_kept"] = kept
        return model, facts

    @property
    def label(self) -> str:
        """The stage and its head."""
        return f"expert iteration {first_stage(self).head}"


class CrpoStage(LaterStage):
    """Stage 3: cross-load into a forward, rank own samples by CLAP, train on the pairs."""

    FACTS = "pairs.json"

    kind: Literal["crpo"] = "crpo"
    start: ExpertStage
    forward: HeadName
    config: CRPOConfig

    def trained(self, run: Run) -> tuple[FluxAudio, dict[str, Any]]:
        """CRPO from the cross-loaded model."""
        from attm_companion.study.sampling import own_sampling
        from attm_core.backbone.checkpoint import cross_load
        from attm_core.training.crpo import crpo

        model = cross_load(self.start.model(self.start_sigma_rel), self.forward)
        valid = first_stage(self).clips()[1]
        sampling = own_sampling(self.features, self.generation.config(None), with_reward=False)
        result = crpo(model, sampling, valid, self.config, run)
        gaps = result.clap[result.pairs.prompts]
        facts = {"n": len(gaps), "skipped": result.pairs.n_skipped}
        return model, {**facts, "mean_gap": float((gaps.max(axis=1) - gaps.min(axis=1)).mean())}

    @property
    def label(self) -> str:
        """The stage and its forward."""
        return f"CRPO {first_stage(self).head} → {self.forward}"


Weights = Annotated[SFTStage | ExpertStage | CrpoStage, pydantic.Field(discriminator="kind")]
