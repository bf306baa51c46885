"""Latents, text features and reward columns of every clip: what training reads (III-D(a))."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd
import torch
from torch import Tensor

from attm_companion.study.launch import launch_processes
from attm_companion.study.paper_corpus import JamendoStage
from attm_companion.study.paper_frozen import work_device
from attm_companion.study.ranking import RankerStage
from attm_companion.study.roles import Frozen, RankerRole
from attm_companion.study.stage import Stage
from attm_core.backbone.config import Conditions
from attm_core.errors import ConfigError
from attm_core.files import load_tensors, save_tensors
from attm_core.protocols import ClapModel, Codec, TextEncoder

if TYPE_CHECKING:
    from accelerate import Accelerator

    from attm_core.generation.pipeline import FixedNetworks
    from attm_core.training.data import LatentSet

SPLITS = ("train", "valid")
SHARDS = "shards"
ENCODE_BATCH = 64


class TrainingData(Stage):
    """What training and generation ask of the clips, whichever cast encoded them."""

    frozen: Frozen
    ranker: RankerRole

    @abstractmethod
    def latents(self, split: str, reward: str) -> LatentSet:
        """Training clips of a split with one of the three reward columns as score."""

    @property
    def device(self) -> torch.device:
        """Where backbones are trained and sampled."""
        return torch.device("cpu")

    def shapes(self) -> dict[str, int]:
        """Sizes that the backbone takes from the data."""
        return latent_shapes(self.frozen.codec.model(), self._text, self.conditioning)

    @cached_property
    def conditioning(self) -> ClapModel:
        """The conditioning CLAP model."""
        return self.frozen.conditioning_clap.model()

    @cached_property
    def _text(self) -> TextEncoder:
        return self.frozen.text.encoder()

    def encode_text(self, texts: list[str]) -> Conditions:
        """Token states and pooled embedding of some texts."""
        return Conditions(self._text.encode(texts), self.conditioning.embed_text(texts))

    def null_text(self) -> tuple[Tensor, Tensor]:
        """Features of the empty string, ∅_t."""
        empty = self.encode_text([""])
        return empty.tokens[0], empty.pooled[0]

    def networks(self, separator: bool = False) -> FixedNetworks:
        """What `generate` needs besides the backbone; the separator if it is wanted."""
        from attm_core.generation.pipeline import FixedNetworks

        loaded = self.frozen.separator.model() if separator else None
        return FixedNetworks(self.encode_text, self.frozen.codec.model(), loaded)


class FeaturesStage(TrainingData):
    """Everything a clip needs in training, computed once with the frozen cast."""

    kind: Literal["features"] = "features"
    ranker: RankerStage
    bleed_db: float

    def run(self, folder: Path) -> None:
        """Encode the stems of the training and validation splits, and their captions."""
        for split in SPLITS:
            save_tensors(folder / f"{split}.safetensors", self._encode(split))

    def _encode(self, split: str) -> dict[str, Tensor]:
        codec, corpus = self.frozen.codec.model(), self.frozen.corpus
        parts = [codec.encode(waves) for waves in self.stems(split).split(ENCODE_BATCH)]
        mean, std = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        captions = corpus.captions(split)
        unique = list(dict.fromkeys(captions))
        conditions = self.encode_text(unique)
        index = {caption: row for row, caption in enumerate(unique)}
        return {
            "mean": mean,
            "std": std,
            "tokens": conditions.tokens.half(),
            "pooled": conditions.pooled,
            "caption_index": torch.tensor([index[caption] for caption in captions]),
        }

    def stems(self, split: str) -> Tensor:
        """Instrumental stems (B, S) with the voice left in at ``bleed_db``."""
        # MINI-WORLD: the paper's stems come from Demucs, which leaves residues; ours are known from
        # rendering, so the residue is added at a stated level.
        waves = self.frozen.corpus.waves(split)
        vocals = self.frozen.corpus.waves(split, "vocals")
        return (waves + 10 ** (self.bleed_db / 20) * vocals).clamp(-1, 1)

    def latents(self, split: str, reward: str) -> LatentSet:
        """Training clips of a split with one of the three reward columns as score."""
        from attm_core.training.data import LatentSet

        stored = load_tensors(self.artefact(f"{split}.safetensors"))
        rows = self.frozen.corpus.rows(split)
        score = torch.tensor(self.rewards.loc[rows, reward].to_numpy(), dtype=torch.float32)
        tokens = stored.pop("tokens").float()
        return LatentSet(score=score, tokens=tokens, **stored)

    @cached_property
    def rewards(self) -> pd.DataFrame:
        """The three reward columns of every clip of the corpus, calibrated."""
        return self.ranker.rewards()


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
        from attm_core.data.shards import open_table

        launch_processes(self.extract, self.launch, self.device.type != "cpu")
        open_table(folder / SHARDS)

    def extract(self, accelerator: Accelerator | None) -> None:
        """Take shards that nobody else is at until none is left."""
        from attm_core.data.extraction import ExtractionCast, ExtractionConfig
        from attm_core.data.shards import extract

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
        from attm_core.data.shards import open_latents

        return open_latents(self.artefact(SHARDS), split, reward)

    @property
    def device(self) -> torch.device:
        """A GPU if there is one."""
        return work_device()


def latent_shapes(codec: Codec, text: TextEncoder, clap: ClapModel) -> dict[str, int]:
    """The fields of the backbone's configuration that its surroundings impose."""
    return {
        "n_channels": codec.n_channels,
        "n_latents": codec.n_latents,
        "n_tokens": text.n_tokens,
        "token_width": text.width,
        "pooled_width": clap.width,
    }
