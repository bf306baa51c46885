"""The mini cast of the frozen roles, as stages: corpus, encoders, codec, separator.

Besides `model`, what it trained, a stage of a network has `untrained`: the same network at birth.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Generator, Tensor

from attm_companion.study.arrays import Rows
from attm_companion.study.stage import Stage
from attm_companion.world.build import build_corpus
from attm_companion.world.config import CorpusConfig
from attm_companion.world.mini_clap import MiniClap, MiniClapConfig, clap_quality, train_mini_clap
from attm_companion.world.mini_codec import MiniCodec, MiniCodecConfig, train_mini_codec
from attm_companion.world.mini_mert import MiniMert, MiniMertConfig, mert_quality, train_mini_mert
from attm_companion.world.mini_separator import (
    MiniDemucsConfig,
    MiniDemucsTraining,
    build_mini_demucs,
    load_mini_demucs,
    save_mini_demucs,
    separation_quality,
    train_mini_demucs,
)
from attm_companion.world.minilm import MiniLM
from attm_companion.world.store import ClipStore, Track
from attm_core.files import (
    load_tensors,
    read_json,
    save_tensors,
    sha256_file,
    write_json,
    write_text,
)
from attm_core.generation.separation import DemucsSeparator
from attm_core.modules import build
from attm_core.randomness import torch_generator

WEIGHTS = "model.safetensors"
QUALITY = "quality.json"
TEXT = "text.safetensors"
CAPTIONS = "captions.json"
N_PROBE = 1000  # training clips behind a linear probe
TRACKS: tuple[Track, ...] = ("mix", "instrumental")


class CorpusStage(Stage):
    """Scores to clips: arrangement, rendering, production, captions, splits."""

    version: ClassVar[str] = "3"
    kind: Literal["corpus"] = "corpus"
    config: CorpusConfig
    workers: int = 2

    def run(self, folder: Path) -> None:
        """Build the corpus and note its hash."""
        build_corpus(self.config, folder / "corpus", self.workers)
        write_text(folder / "data-hash.txt", _hash_folder(folder / "corpus"))

    def store(self) -> ClipStore:
        """The clips."""
        return ClipStore(self.artefact("corpus"))

    def data_hash(self) -> str:
        """SHA-256 over all arrays and tables of the corpus."""
        return self.artefact("data-hash.txt").read_text()

    @property
    def sample_rate_hz(self) -> int:
        """Rate of `waves`."""
        return self.config.sample_rate_hz

    def rows(self, split: str) -> Rows:
        """Row numbers of the clips of a split."""
        return self.store().rows(split)

    def waves(self, split: str, track: Track = "instrumental") -> Tensor:
        """All clips (B, S) of a split."""
        return self.store().waves(track, self.rows(split))

    def captions(self, split: str) -> list[str]:
        """Captions of a split, in the order of `waves`."""
        return self.captions_of(self.rows(split))

    def captions_of(self, rows: Rows) -> list[str]:
        """Captions of some rows."""
        return self.store().captions(rows)


@cache
def _text_encoder(captions: Path, states: Path, n_tokens: int) -> MiniLM:
    """The one MiniLM of a process, knowing what a `TextStage` has read."""
    encoder = MiniLM(n_tokens)
    stored = load_tensors(states)
    encoder.remember(read_json(captions), stored["tokens"], stored["pooled"])
    return encoder


class TextStage(Stage):
    """MiniLM's token states and means of every caption, read once for all that need them."""

    kind: Literal["text"] = "text"
    corpus: CorpusStage
    n_tokens: int

    def run(self, folder: Path) -> None:
        """Read all captions."""
        captions = sorted({str(text) for text in self.corpus.store().table["caption"]})
        tokens, pooled = MiniLM(self.n_tokens).encode_both(captions)
        save_tensors(folder / TEXT, {"tokens": tokens, "pooled": pooled})
        write_json(folder / CAPTIONS, captions)

    def encoder(self) -> MiniLM:
        """MiniLM, which knows the captions already and reads any other text."""
        captions, states = (self.artefact(name) for name in (CAPTIONS, TEXT))
        return _text_encoder(captions, states, self.n_tokens)

    def untrained(self, generator: Generator) -> MiniLM:
        """MiniLM as published: nobody trains it here, so it has no other state."""
        return MiniLM(self.n_tokens)


class ClapStage(Stage):
    """A two-tower CLAP stand-in; the study trains two, for conditioning and for evaluation."""

    kind: Literal["clap"] = "clap"
    corpus: CorpusStage
    text: TextStage
    config: MiniClapConfig
    seed: int

    def run(self, folder: Path) -> None:
        """Train on the mixes and the instrumental versions of the training split."""
        waves = torch.cat([self.corpus.waves("train", track) for track in TRACKS])
        captions = self.corpus.captions("train") * 2
        generator = torch_generator(self.seed, "clap")
        clap = train_mini_clap(waves, captions, self.text.encoder(), self.config, generator)
        clap.save(folder / WEIGHTS)
        held_out = self.corpus.waves("valid"), self.corpus.captions("valid")
        write_json(folder / QUALITY, clap_quality(clap, *held_out, generator))

    def model(self) -> MiniClap:
        """The trained model."""
        return MiniClap.load(self.artefact(WEIGHTS), self.text.encoder())

    def untrained(self, generator: Generator) -> MiniClap:
        """The network at birth."""
        text = self.text.untrained(generator)
        return build(lambda: MiniClap(self.config, text), generator).eval()


class MertStage(Stage):
    """A self-supervised MERT stand-in, trained on training audio without labels."""

    kind: Literal["mert"] = "mert"
    corpus: CorpusStage
    config: MiniMertConfig
    seed: int

    def run(self, folder: Path) -> None:
        """Train, and probe how well the embedding tells the hidden production quality."""
        mert = train_mini_mert(
            self.corpus.waves("train", "mix"), self.config, torch_generator(self.seed, "mert")
        )
        mert.save(folder / WEIGHTS)
        write_json(folder / QUALITY, self._probe(mert))

    def model(self) -> MiniMert:
        """The trained model."""
        return MiniMert.load(self.artefact(WEIGHTS))

    def _probe(self, mert: MiniMert) -> dict[str, float]:
        """Linear probe of the hidden quality: fitted on training clips, read on held-out ones."""
        store = self.corpus.store()
        train = store.rows("train")[:N_PROBE]
        rows = np.concatenate([train, store.rows("valid"), store.rows("test")])
        quality = store.table["quality"].to_numpy()[rows]
        return mert_quality(mert, store.waves("mix", rows), quality, len(train))


class CodecStage(Stage):
    """The mel VAE and vocoder."""

    kind: Literal["codec"] = "codec"
    corpus: CorpusStage
    config: MiniCodecConfig
    seed: int

    def run(self, folder: Path) -> None:
        """Train on the instrumental training clips."""
        waves = self.corpus.waves("train")
        codec = train_mini_codec(waves, self.config, torch_generator(self.seed, "codec"))
        codec.save(folder / WEIGHTS)

    def model(self) -> MiniCodec:
        """The trained codec."""
        return MiniCodec.load(self.artefact(WEIGHTS))

    def untrained(self, generator: Generator) -> MiniCodec:
        """The network at birth."""
        return build(lambda: MiniCodec(self.config), generator).eval()


class SeparatorStage(Stage):
    """A small real Demucs model, trained on the corpus' stems."""

    kind: Literal["separator"] = "separator"
    corpus: CorpusStage
    config: MiniDemucsConfig
    training: MiniDemucsTraining
    seed: int

    def run(self, folder: Path) -> None:
        """Train on instrumental and sung stems of the training split; measure on validation."""
        instrumental, vocals = self._stems("train")
        generator = torch_generator(self.seed, "separator")
        model = train_mini_demucs(instrumental, vocals, generator, self.config, self.training)
        save_mini_demucs(model, self.config, folder / WEIGHTS)
        quality = separation_quality(DemucsSeparator(model), *self._stems("valid"))
        write_json(folder / QUALITY, asdict(quality))

    def model(self) -> DemucsSeparator:
        """The separator, run through ``demucs.apply``."""
        return load_mini_demucs(self.artefact(WEIGHTS))

    def untrained(self, generator: Generator) -> DemucsSeparator:
        """The network at birth."""
        return DemucsSeparator(build_mini_demucs(self.config, generator))

    def _stems(self, split: str) -> tuple[Tensor, Tensor]:
        return self.corpus.waves(split, "instrumental"), self.corpus.waves(split, "vocals")


def _hash_folder(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return "\n".join(f"{sha256_file(path)}  {path.relative_to(folder)}" for path in files)
