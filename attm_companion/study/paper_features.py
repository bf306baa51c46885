"""Training data of the paper's cast: extracted shard by shard, read from disk (III-D(a))."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from attm_companion.study.features import TrainingData
from attm_companion.study.launch import launch_processes
from attm_companion.study.paper_corpus import JamendoStage
from attm_companion.study.paper_frozen import work_device
from attm_core.data.extraction import ExtractionCast, ExtractionConfig
from attm_core.data.shards import extract, open_latents, open_table
from attm_core.errors import ConfigError
from attm_core.training.data import LatentSet

if TYPE_CHECKING:
    from accelerate import Accelerator

SHARDS = "shards"


class ShardedFeaturesStage(TrainingData):
    """Latents, text features and reward columns of all windows, a few files a shard.

    With ``launch.processes`` several processes of one machine share the shards.
    """

    kind: Literal["sharded_features"] = "sharded_features"
    shard_size: int

    def run(self, folder: Path) -> None:
        """Extract, going on where a killed run left off.

        Raises:
            AssetError: a shard is still missing afterwards.
        """
        launch_processes(self.extract, self.launch, self.device.type != "cpu")
        open_table(folder / SHARDS)

    def extract(self, accelerator: Accelerator | None) -> None:
        """Take shards that nobody else is at until none is left."""
        corpus, frozen = self.frozen.corpus, self.frozen
        if not isinstance(corpus, JamendoStage):
            raise ConfigError(f"{self.label} reads windows of tracks, not {corpus.label}")
        cast = ExtractionCast(
            codec=frozen.codec.model(),
            text=self._text,
            clap=self.conditioning,
            separator=frozen.separator.model(),
            ranker=self.ranker.reward_model,
            uid=self.uid,
        )
        config = ExtractionConfig(self.shard_size)
        extract(corpus.table, corpus.audio_root, cast, self.folder / SHARDS, config)
        if accelerator is not None:
            accelerator.wait_for_everyone()

    def latents(self, split: str, reward: str) -> LatentSet:
        """Usable windows of a split; their latents stay on disk."""
        return open_latents(self.artefact(SHARDS), split, reward)

    @property
    def device(self) -> torch.device:
        """A GPU if there is one."""
        return work_device()
